//! The account: found by its key, given another one, taken over from certbot, acme.sh and lego.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use notafter_core::fault::FaultKind;
use notafter_core::joints::{Issuer, Keep};
use notafter_lab::pebble::{Options, Pebble};
use notafter_lab::{Lab, program};
use notafter_pki::der::{Reader, strip_zeros, tag};
use serde_json::{Value, json};

use crate::{Memory, cx, issuer, order, request, standalone, start, table};

#[tokio::test]
async fn another_key_and_what_if_nobody_saw_the_end() {
    let lab = Lab::new("acme-rollover");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let keep = Arc::new(Memory::default());
    let acme = issuer(table(&ca, json!({})), &keep);
    let solver = standalone(&ca);
    order(&acme, &request(&lab, &["a.test"]), &*solver).await.unwrap();
    let (name, before) = keep.account();
    acme.roll_over(&cx(), None).await.unwrap();
    let (_, after) = keep.account();
    assert!(before["url"] == after["url"] && before["key"] != after["key"] && after["next"].is_null());
    order(&acme, &request(&lab, &["a.test"]), &*solver).await.unwrap();

    let write = |value: &Value| {
        let now = keep.kept(&name).unwrap();
        assert!(keep.keep(&name, now.as_deref(), value.to_string().as_bytes()).unwrap());
    };
    // Killed after the CA took the new key, before that was kept: the key before is kept, the new one as `next`.
    let mut torn = before.clone();
    torn["next"] = after["key"].clone();
    write(&torn);
    let fresh = issuer(table(&ca, json!({})), &keep);
    order(&fresh, &request(&lab, &["a.test"]), &*solver).await.unwrap();
    assert_eq!((&keep.account().1["key"], &keep.account().1["next"]), (&after["key"], &Value::Null));

    // Killed before the CA heard of it.
    let mut torn = after.clone();
    torn["next"] = before["key"].clone();
    write(&torn);
    let fresh = issuer(table(&ca, json!({})), &keep);
    order(&fresh, &request(&lab, &["a.test"]), &*solver).await.unwrap();
    assert_eq!(keep.account().1["key"], after["key"]);
}

/// A private RSA key as certbot writes it.
fn jwk(pem: &Path) -> Value {
    let mut openssl = Command::new("openssl");
    openssl.args(["rsa", "-traditional", "-outform", "DER", "-in"]).arg(pem);
    let der = program::run(&mut openssl).unwrap().stdout;
    let mut parts = Reader::new(&der).sequence().unwrap();
    let mut next = || URL_SAFE_NO_PAD.encode(strip_zeros(parts.expect(tag::INTEGER).unwrap().value));
    let _version = next();
    let mut jwk = json!({ "kty": "RSA" });
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        jwk[name] = json!(next());
    }
    jwk
}

fn key(folder: &Path, name: &str, arguments: &[&str]) -> std::path::PathBuf {
    let path = folder.join(name);
    let (verb, rest) = arguments.split_first().unwrap();
    program::run(Command::new("openssl").arg(verb).arg("-out").arg(&path).args(rest)).unwrap();
    path
}

/// An account with this key, made at the CA.
async fn account(lab: &Lab, ca: &Pebble, key: &Path) -> String {
    let keep = Arc::new(Memory::default());
    let acme = issuer(table(ca, json!({ "account_key": key })), &keep);
    order(&acme, &request(lab, &["a.test"]), &*standalone(ca)).await.unwrap();
    keep.account().1["url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn accounts_of_other_clients_go_on() {
    let lab = Lab::new("acme-import");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let keys = lab.subfolder("keys");
    let rsa = key(&keys, "rsa.pem", &["genrsa", "2048"]);
    // acme.sh writes SEC1 with the parameters in front; lego SEC1 without.
    let sec1 = key(&keys, "ec.pem", &["ecparam", "-name", "secp384r1", "-genkey"]);
    let bare = key(&keys, "bare.pem", &["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    let urls =
        [account(&lab, &ca, &rsa).await, account(&lab, &ca, &sec1).await, account(&lab, &ca, &bare).await];

    let certbot = lab.path().join("letsencrypt/accounts/localhost/dir/0123abcd");
    let acme_sh = lab.path().join("acme.sh/ca/localhost/dir");
    let lego = lab.path().join("lego/accounts/localhost/me@example.com");
    for folder in [&certbot, &acme_sh, &lego.join("keys")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(certbot.join("private_key.json"), jwk(&rsa).to_string()).unwrap();
    std::fs::write(certbot.join("regr.json"), json!({ "body": {}, "uri": urls[0] }).to_string()).unwrap();
    std::fs::copy(&sec1, acme_sh.join("account.key")).unwrap();
    std::fs::write(acme_sh.join("ca.conf"), format!("ACCOUNT_URL='{}'\n", urls[1])).unwrap();
    std::fs::copy(&bare, lego.join("keys/me@example.com.key")).unwrap();
    std::fs::write(lego.join("account.json"), json!({ "registration": { "uri": urls[2] } }).to_string())
        .unwrap();
    // One of another CA lies beside them, and is left alone.
    let other = lab.path().join("letsencrypt/accounts/acme.example.org/directory/ffff");
    std::fs::create_dir_all(&other).unwrap();
    let stranger = key(&keys, "stranger.pem", &["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    std::fs::copy(&stranger, other.join("account.key")).unwrap();
    std::fs::write(other.join("regr.json"), "{\"uri\":\"https://acme.example.org/acme/acct/1\"}").unwrap();

    for (root, url) in ["letsencrypt", "acme.sh", "lego"].iter().zip(&urls) {
        let keep = Arc::new(Memory::default());
        let acme = issuer(table(&ca, json!({})), &keep);
        let imported = acme.import_account(&cx(), &lab.path().join(root)).await.unwrap();
        assert_eq!(&imported.account, url, "{root}");
        assert_eq!(acme.import_account(&cx(), &imported.file).await.unwrap().account, *url, "twice is once");
        order(&acme, &request(&lab, &["a.test"]), &*standalone(&ca)).await.unwrap();
        assert_eq!(keep.account().1["url"], **url);
        let fault = acme.import_account(&cx(), if *root == "lego" { &rsa } else { &bare }).await.unwrap_err();
        assert!(fault.context.contains("an account at this CA already"), "{fault:?}");
    }
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let fault = acme.import_account(&cx(), &stranger).await.unwrap_err();
    assert!(
        fault.kind == FaultKind::Invalid && fault.context.contains("knows none of the 1 account keys"),
        "{fault:?}"
    );
    for nothing in ["keys", "nowhere"] {
        let fault = acme.import_account(&cx(), &lab.path().join(nothing)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Invalid, "{fault:?}");
    }
}

#[tokio::test]
async fn terms_are_not_agreed_to_in_silence() {
    let lab = Lab::new("acme-terms");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let acme = issuer(table(&ca, json!({ "agree_tos": false })), &Arc::default());
    let wanted = request(&lab, &["a.test"]);
    let fault = order(&acme, &wanted, &*standalone(&ca)).await.unwrap_err();
    assert!(fault.context.contains("terms of service at data:text/plain"), "{fault:?}");
    let checks = acme.rehearse(&cx(), &wanted, &*standalone(&ca)).await;
    assert!(checks.iter().any(|check| !check.works && check.what == "account at the CA"), "{checks:?}");

    let keep = Arc::new(Memory::default());
    let acme = issuer(table(&ca, json!({})), &keep);
    let checks = acme.rehearse(&cx(), &wanted, &*standalone(&ca)).await;
    assert!(checks.iter().all(|check| check.works), "{checks:?}");
    assert!(keep.0.lock().unwrap().is_empty(), "a rehearsal made something");
    order(&acme, &wanted, &*standalone(&ca)).await.unwrap();
    let checks = acme.rehearse(&cx(), &wanted, &*standalone(&ca)).await;
    assert!(checks.iter().any(|check| check.works && check.because.ends_with("is usable")), "{checks:?}");
    // Another contact is told to the CA.
    let moved =
        issuer(table(&ca, json!({ "contact": ["ops@example.com", "mailto:pki@example.com"] })), &keep);
    order(&moved, &wanted, &*standalone(&ca)).await.unwrap();
    assert_eq!(keep.account().1["contact"], json!(["mailto:ops@example.com", "mailto:pki@example.com"]));
}
