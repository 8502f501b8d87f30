//! x509-limbo: under the common rules, under the strict ones, and what rustls-webpki says.

use std::time::{Duration, Instant};

use notafter_pki::Crl;
use notafter_pki::verdict::{Profile, Purpose, Question, Rules, ServerName, Verdict, judge, second_opinion};
use serde_json::Value;

use super::agreement::{Group, Tally, certificates, corpus, crls, instant, json_gz, parsed};

fn pems(value: &Value, read: fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.flat_map(|pem| read(pem.as_bytes())).collect()
}

/// Puts every case to `ask`, and tells whether it may be asked.
fn each(cases: &Value, rules: Rules, mut tell: impl FnMut(&str, bool, &Question<'_, '_>)) {
    for case in cases["testcases"].as_array().expect("cases") {
        let id = case["id"].as_str().expect("an id");
        let anchors = pems(&case["trusted_certs"], certificates);
        let sent = pems(&case["untrusted_intermediates"], certificates);
        let leaf = certificates(case["peer_certificate"].as_str().unwrap_or("").as_bytes());
        let lists = pems(&case["crls"], crls);
        let crls: Vec<Crl<'_>> = lists.iter().filter_map(|der| Crl::parse(der).ok()).collect();
        let name = case["expected_peer_name"]["value"].as_str();
        let name: Option<ServerName> =
            name.map(|name| name.parse().unwrap_or_else(|e| panic!("{id}: {name}: {e}")));
        let expected = case["expected_result"].as_str() == Some("SUCCESS");
        let time = case["validation_time"].as_str();
        let depth = case["max_chain_depth"].as_u64().map_or(rules.intermediates_max, |depth| depth as usize);
        let question = Question {
            leaf: parsed(&leaf)[0],
            sent: &parsed(&sent),
            anchors: &parsed(&anchors),
            name: name.as_ref(),
            at: time.map_or(instant("2026-11-20T00:00:00Z"), instant),
            purpose: if case["validation_kind"] == "CLIENT" { Purpose::Client } else { Purpose::Server },
            crls: &crls,
            rules: Rules { intermediates_max: depth, ..rules },
        };
        tell(id, expected, &question);
    }
}

fn check(corpus_name: &'static str, profile: impl Fn(&str) -> Profile, least: usize, exceptions: &[Group]) {
    let Some(folder) = corpus("x509-limbo") else { return };
    let cases = json_gz(&folder.join("limbo.json.gz"));
    let mut tally = Tally::new(corpus_name);
    each(&cases, Rules::default(), |id, expected, question| {
        let question = Question { rules: Rules { profile: profile(id), ..question.rules }, ..*question };
        let started = Instant::now();
        let verdict = judge(&question);
        assert!(started.elapsed() < Duration::from_secs(2), "{id} took {:?}", started.elapsed());
        tally.case(id, verdict.is_trusted() == expected, || match verdict {
            Verdict::Trusted { .. } => "trusted".to_owned(),
            Verdict::Untrusted { reason, detail, .. } => format!("{reason}: {detail}"),
        });
    });
    tally.finish(least, exceptions);
}

#[test]
fn limbo_as_tls_clients_do() {
    check("x509-limbo, common profile", |_| Profile::Common, 83, COMMON);
}

/// Each part of the suite by the profile that it is about.
#[test]
fn limbo_by_its_own_profiles() {
    let profile = |id: &str| match id.split("::").next() {
        Some("rfc5280") => Profile::Rfc5280,
        Some("webpki") => Profile::WebPki,
        _ => Profile::Common,
    };
    check("x509-limbo, each part by its own profile", profile, 101, OWN);
}

/// Where rustls-webpki and our verdict differ, the suite is on our side: why ours decides.
#[test]
fn limbo_by_rustls() {
    let Some(folder) = corpus("x509-limbo") else { return };
    let cases = json_gz(&folder.join("limbo.json.gz"));
    let (mut of_rustls, mut together, mut all) = (0, 0, 0);
    each(&cases, Rules::default(), |id, expected, question| {
        let second = second_opinion(question);
        let ours = judge(question).is_trusted();
        all += 1;
        of_rustls += usize::from(second.is_ok() == expected);
        together += usize::from(second.is_ok() == ours);
        assert!(
            second.is_ok() == ours || ours == expected,
            "{id}: rustls-webpki is right and we are not: {second:?}"
        );
    });
    println!(
        "x509-limbo: rustls-webpki agrees with {of_rustls} of {all}, and with our verdict in {together}"
    );
    assert!(together >= 88, "{together} of {all}");
}

/// No TLS client in wide use refuses these as it comes; Python since 3.13 and `openssl -x509_strict` do some.
const COMMON: &[Group] = &[
    (
        "form that RFC 5280 demands and only strict clients enforce (refused by Profile::Rfc5280)",
        &[
            "rfc5280::aki::leaf-missing-aki",
            "rfc5280::aki::intermediate-missing-aki",
            "rfc5280::nc::invalid-dnsname-leading-period",
            "rfc5280::san::noncritical-with-empty-subject",
            "rfc5280::serial::too-long",
            "rfc5280::serial::zero",
            "rfc5280::leaf-ku-keycertsign",
        ],
    ),
    (
        "name constraints that are not critical: the suite itself expects the opposite in webpki::nc",
        &["rfc5280::nc::permitted-dns-match-noncritical"],
    ),
    (
        "what the Baseline Requirements ask of public CAs, and linters check (refused by Profile::WebPki)",
        &[
            "webpki::aki::root-with-aki-missing-keyidentifier",
            "webpki::aki::root-with-aki-authoritycertissuer",
            "webpki::aki::root-with-aki-ski-mismatch",
            "webpki::cn::ipv4-hex-mismatch",
            "webpki::cn::utf8-vs-punycode-mismatch",
            "webpki::cn::not-in-san",
            "webpki::eku::ee-anyeku",
            "webpki::eku::ee-critical-eku",
            "webpki::eku::ee-without-eku",
            "webpki::san::san-critical-with-nonempty-subject",
            "webpki::forbidden-rsa-not-divisible-by-8-in-root",
        ],
    ),
];
const OWN: &[Group] = &[(
    "its commonName is none of its subjectAltNames, for which webpki::cn::not-in-san is to be refused",
    &["webpki::san::leftmost-wildcard-san"],
)];
