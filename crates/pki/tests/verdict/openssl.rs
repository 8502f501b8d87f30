//! OpenSSL's `test_verify`: the cases that are questions to a TLS client.

use std::fs;

use notafter_pki::verdict::{Purpose, Question, Rules, judge};
use serde_json::Value;

use super::agreement::{Group, Tally, certificates, corpus, instant, parsed};

#[test]
fn verify_cases() {
    let Some(folder) = corpus("openssl-certs") else { return };
    let text = fs::read_to_string(folder.join("verify-cases.json")).expect("the cases");
    let cases: Value = serde_json::from_str(&text).expect("JSON");
    let mut tally = Tally::new("openssl test_verify");
    for case in cases.as_array().expect("cases") {
        let what = case["what"].as_str().expect("a description");
        let named = |value: &Value| -> Vec<Vec<u8>> {
            let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            let file = |name: &str| folder.join("certs").join(format!("{name}.pem"));
            names.flat_map(|name| certificates(&fs::read(file(name)).expect("a certificate"))).collect()
        };
        let options: Vec<&str> =
            case["opts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let trusted = named(&case["trusted"]);
        let out_of_scope = match options.as_slice() {
            ["-allow_proxy_certs", ..] => Some("proxy certificates (RFC 3820)"),
            ["-auth_level", "0"] => Some("OpenSSL's level of security without security"),
            ["-policy_check", ..] => Some("a policy that the caller asks for"),
            _ => None,
        };
        if let Some(why) = out_of_scope {
            tally.skip(why);
            continue;
        }
        let leaf = named(&serde_json::json!([case["cert"]]));
        let purpose = match case["purpose"].as_str() {
            Some("sslserver") => Purpose::Server,
            Some("sslclient") => Purpose::Client,
            _ => Purpose::Any,
        };
        let sent = named(&case["untrusted"]);
        let at = match options.as_slice() {
            ["-attime", seconds] => notafter_pki::UnixTime(seconds.parse().expect("seconds")),
            _ => instant("2026-11-20T00:00:00Z"),
        };
        let intermediates_max = match options.as_slice() {
            ["-verify_depth", depth] => depth.parse().expect("a number"),
            _ => Rules::default().intermediates_max,
        };
        let verdict = judge(&Question {
            leaf: parsed(&leaf)[0],
            sent: &parsed(&sent),
            anchors: &parsed(&trusted),
            name: None,
            at,
            purpose,
            crls: &[],
            rules: Rules { intermediates_max, ..Rules::default() },
        });
        let id = format!("{what} [{}]", options.join(" "));
        tally.case(&id, verdict.is_trusted() == (case["expect"] == "ok"), || format!("{verdict:?}"));
    }
    tally.finish(60, EXCEPTIONS);
}

const EXCEPTIONS: &[Group] = &[
    (
        "they turn on trust settings beside a certificate (BEGIN TRUSTED CERTIFICATE), which are OpenSSL's own",
        &[
            "accept server trust with client purpose []",
            "fail client trust with server purpose []",
            "fail trusted-first path with client trust []",
            "accept server trust client purpose partial chain [-partial_chain]",
            "fail server mistrust partial chain [-partial_chain]",
            "fail client trust partial chain [-partial_chain]",
            "fail wildcard mistrust partial chain [-partial_chain]",
            "fail server mistrust []",
            "fail server mistrust and client purpose []",
        ],
    ),
    (
        "OpenSSL goes no further than the first issuer it finds among the trusted; we try the others",
        &["fail client purpose intermediate trusted []"],
    ),
    (
        "OpenSSL constrains a commonName that looks like a host even beside an IP address among the subjectAltNames; \
         browsers and rustls do not, and bettertls expects that they do not",
        &[
            "Name Constraints CNs not permitted []",
            "Name Constraints CN hostname not permitted []",
            "Name Constraints CN BMPSTRING hostname not permitted []",
        ],
    ),
];
