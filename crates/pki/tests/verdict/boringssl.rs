//! BoringSSL's `verify_certificate_chain_unittest`: verdict and reason of each `.test` file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use notafter_pki::UnixTime;
use notafter_pki::verdict::{Purpose, Question, Reason, Rules, Verdict, judge};

use super::agreement::{Group, Tally, certificates, corpus, instant, parsed};

/// What a sentence of BoringSSL's is called here.
fn reasons(error: &str) -> &'static [Reason] {
    use Reason as R;
    const TABLE: &[(&str, &[Reason])] = &[
        ("Time is after notAfter", &[R::Expired]),
        ("Time is before notBefore", &[R::NotYetValid]),
        ("Basic Constraints indicates not a CA", &[R::NotACa]),
        ("The extended key usage does not include", &[R::PurposeUnfit]),
        ("Unconsumed critical extension", &[R::UnknownCriticalExtension]),
        (
            "Couldn't parse SubjectPublicKeyInfo",
            &[R::Malformed, R::BadSignature, R::WeakKey, R::UnsupportedAlgorithm],
        ),
        ("Unacceptable signature algorithm", &[R::WeakSignature]),
        ("Unacceptable public key", &[R::WeakKey]),
        ("Too many name constraints checks", &[R::Budget]),
        ("No valid policy", &[R::PolicyUnmet]),
        ("keyCertSign bit is not set", &[R::KeyUsageUnfit]),
        ("Certificate is not a trust anchor", &[R::UntrustedRoot, R::UnknownIssuer]),
        ("Distrusted by trust store", &[R::UntrustedRoot]),
        ("subject does not match issuer", &[R::UnknownIssuer]),
        ("max_path_length reached", &[R::PathTooLong]),
    ];
    TABLE.iter().find(|(text, _)| error.starts_with(text)).map_or(&[], |(_, reasons)| reasons)
}

struct Case {
    chain: Vec<Vec<u8>>,
    keys: BTreeMap<String, String>,
    errors: Vec<String>,
}

fn read(file: &Path) -> Case {
    let text = fs::read_to_string(file).expect("a case");
    let mut keys = BTreeMap::new();
    let mut errors = Vec::new();
    for line in text.lines() {
        if let Some(error) = line.trim().strip_prefix("ERROR: ") {
            errors.push(error.to_owned());
        } else if let Some((key, value)) = line.split_once(':') {
            keys.entry(key.trim().to_owned()).or_insert(value.trim().to_owned());
        }
    }
    let chain = file.with_file_name(keys.get("chain").expect("a chain"));
    Case { chain: certificates(&fs::read(chain).expect("a chain")), keys, errors }
}

/// `YYMMDDHHMMSSZ`.
fn utc_time(text: &str) -> UnixTime {
    if text == "DEFAULT" {
        return instant("2021-10-05T12:00:00Z");
    }
    let part = |at: usize| text.get(at..at + 2).expect("digits");
    instant(&format!("20{}-{}-{}T{}:{}:{}Z", part(0), part(2), part(4), part(6), part(8), part(10)))
}

#[test]
fn verify_certificate_chain() {
    let Some(folder) = corpus("boringssl-pki/verify_certificate_chain_unittest") else { return };
    let mut tally = Tally::new("boringssl verify_certificate_chain, verdicts");
    let mut by_reason = Tally::new("boringssl verify_certificate_chain, reasons");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .flat_map(|entry| fs::read_dir(entry.path()).expect("a folder").flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "test"))
        .collect();
    files.sort();
    for file in files {
        let id = file.strip_prefix(&folder).expect("below").display().to_string();
        let case = read(&file);
        let key = |name: &str| case.keys.get(name).map_or("", String::as_str);
        let purpose = match key("key_purpose") {
            "SERVER_AUTH" => Purpose::Server,
            "CLIENT_AUTH" => Purpose::Client,
            "ANY_EKU" => Purpose::Any,
            other => {
                tally.skip(match other.contains("_STRICT") {
                    true => "strict purposes, which are BoringSSL's own",
                    false => "purposes other than TLS: MLS, C2PA",
                });
                continue;
            }
        };
        let trust = key("last_cert_trust");
        let certificates = parsed(&case.chain);
        let (Some((last, rest)), false) = (certificates.split_last(), certificates.len() != case.chain.len())
        else {
            tally.case(&id, !case.errors.is_empty(), || "a certificate cannot be parsed".to_owned());
            continue;
        };
        let anchor = match trust {
            "DISTRUSTED" | "UNSPECIFIED" => &[][..],
            "TRUSTED_LEAF" | "TRUSTED_LEAF_REQUIRE_SELF_SIGNED" if !rest.is_empty() => &[],
            "TRUSTED_ANCHOR" if rest.is_empty() => &[],
            "TRUSTED_LEAF_REQUIRE_SELF_SIGNED" if !last.is_self_issued() => &[],
            _ => std::slice::from_ref(last),
        };
        let rules = Rules {
            anchor_constraints: trust.contains("CONSTRAINTS"),
            anchor_expiry: trust.contains("EXPIRATION"),
            ..Rules::default()
        };
        let verdict = judge(&Question {
            leaf: certificates[0],
            sent: certificates.get(1..).unwrap_or(&[]),
            anchors: anchor,
            name: None,
            at: utc_time(key("utc_time")),
            purpose,
            crls: &[],
            rules,
        });
        tally.case(&id, verdict.is_trusted() == case.errors.is_empty(), || {
            format!("{:?}: {verdict:?}", case.errors)
        });
        if let Verdict::Untrusted { reason, detail, .. } = &verdict
            && !case.errors.is_empty()
        {
            let known: Vec<Reason> = case.errors.iter().flat_map(|error| reasons(error)).copied().collect();
            by_reason.case(&id, known.contains(reason), || format!("{:?}: {reason}: {detail}", case.errors));
        }
    }
    tally.finish(102, VERDICTS);
    by_reason.finish(45, REASONS);
}

const VERDICTS: &[Group] = &[
    (
        "SHA-1, which BoringSSL's tests allow unless told otherwise and no client does any more",
        &[
            "intermediate-eku-server-gated-crypto/sha1-eku-any.test",
            "issuer-and-subject-not-byte-for-byte-equal/anchor.test",
            "issuer-and-subject-not-byte-for-byte-equal/target.test",
        ],
    ),
    (
        "more names times constraints than OpenSSL takes, either; by RFC 5280 t171.test and on are not permitted anyway",
        &["many-names/ok-all-types.test"],
    ),
];
const REASONS: &[Group] =
    &[("the chain has lapsed, too, which we say first", &["intermediate-invalid-spki/main.test"])];
