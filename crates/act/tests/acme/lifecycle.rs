//! After issuance: when it should be replaced, what it replaces, revocation.

use std::sync::Arc;

use notafter_core::issuance::RevocationReason;
use notafter_core::joints::Issuer;
use notafter_lab::Lab;
use notafter_lab::pebble::Options;
use serde_json::{Value, json};

use crate::{cx, issuer, order, request, standalone, start, table};

fn pem(der: &[u8]) -> String {
    use std::fmt::Write as _;
    let text = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(der)
    };
    let mut out = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        let _ = writeln!(out, "{}", String::from_utf8_lossy(line));
    }
    out + "-----END CERTIFICATE-----\n"
}

#[tokio::test]
async fn renewal_information_and_replacement() {
    let lab = Lab::new("acme-ari");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let solver = standalone(&ca);
    let first = order(&acme, &request(&lab, &["a.test"]), &*solver).await.unwrap();
    let now = cx().clock.now().0;
    let usual = acme.suggested(&cx(), &first.chain[0]).await.unwrap().expect("a window");
    assert!(usual.start > now && usual.end > usual.start && usual.ask_again > now, "{usual:?}");

    // The CA wants it replaced at once, and says why.
    let answer = "{\"suggestedWindow\":{\"start\":\"2020-01-01T00:00:00Z\",\"end\":\"2020-01-02T00:00:00Z\"},\"explanationURL\":\"https://example.com/why\"}";
    let body = json!({ "certificate": pem(&first.chain[0]), "ariResponse": answer }).to_string();
    ca.manage("POST", "/set-renewal-info/", &body).unwrap();
    let urgent = acme.suggested(&cx(), &first.chain[0]).await.unwrap().expect("a window");
    assert_eq!((urgent.start, urgent.end), (1_577_836_800, 1_577_923_200));
    assert_eq!(urgent.explanation.as_deref(), Some("https://example.com/why"));

    let mut second = request(&lab, &["a.test"]);
    second.replaces = Some(first.chain[0].clone());
    order(&acme, &second, &*solver).await.unwrap();
    // Replaced already: ordered all the same, as one that replaces nothing.
    let mut third = request(&lab, &["a.test"]);
    third.replaces = Some(first.chain[0].clone());
    order(&acme, &third, &*solver).await.unwrap();
    assert_eq!(ca.issued(), 3);
    // A certificate of somebody else.
    let foreign = notafter_lab::Authority::new(&lab).issue(&notafter_lab::Request::server());
    assert_eq!(acme.suggested(&cx(), foreign.der()).await.unwrap(), None);
}

#[tokio::test]
async fn revocation_by_the_account_and_by_the_key() {
    let lab = Lab::new("acme-revoke");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let solver = standalone(&ca);
    let status = |der: &[u8]| -> Value {
        let leaf = notafter_pki::certificate::Certificate::parse(der).unwrap();
        let serial: String = leaf.serial().iter().map(|b| format!("{b:02x}")).collect();
        let path = format!("/cert-status-by-serial/{}", serial.trim_start_matches('0'));
        serde_json::from_str(&ca.manage("GET", &path, "").unwrap()).unwrap()
    };
    let issued = order(&acme, &request(&lab, &["a.test"]), &*solver).await.unwrap();
    assert_eq!(status(&issued.chain[0])["Status"], "Valid");
    acme.revoke(&cx(), &issued.chain[0], RevocationReason::Superseded).await.unwrap();
    let said = status(&issued.chain[0]);
    assert_eq!((&said["Status"], &said["Reason"]), (&json!("Revoked"), &json!(4)), "{said}");
    acme.revoke(&cx(), &issued.chain[0], RevocationReason::Superseded)
        .await
        .expect("revoked already is done");

    let request = request(&lab, &["b.test"]);
    let issued = order(&acme, &request, &*solver).await.unwrap();
    // The key that openssl made for the request: the newest of the lab.
    let folder =
        std::fs::read_dir(lab.path()).unwrap().flatten().filter(|e| e.path().join("key.pem").exists());
    let newest =
        folder.max_by_key(|e| e.metadata().unwrap().modified().unwrap()).unwrap().path().join("key.pem");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["pkey", "-outform", "DER", "-in"]).arg(newest);
    let key = notafter_lab::program::run(&mut openssl).unwrap().stdout;
    let other = issuer(table(&ca, json!({})), &Arc::default());
    other.revoke_with_key(&cx(), &issued.chain[0], &key, RevocationReason::KeyCompromise).await.unwrap();
    assert_eq!(status(&issued.chain[0])["Reason"], json!(1));
    let fault = other
        .revoke_with_key(&cx(), &issued.chain[1], &key, RevocationReason::Unspecified)
        .await
        .unwrap_err();
    assert!(fault.context.starts_with("the CA does not revoke"), "{fault:?}");
}
