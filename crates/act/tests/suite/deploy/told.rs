//! The program and the service that install for us: what they are given, and what stays behind.

use notafter_core::fault::FaultKind;
use notafter_lab::Lab;
use notafter_lab::sinks::http::{Answer, Receiver};
use serde_json::{Value, json};

use super::{built, bundle, deployer, leaves, run, script};

#[test]
fn a_program_finds_the_files_and_names_of_the_hooks_it_was_written_for() {
    let lab = Lab::new("deploy-exec");
    let leaves = leaves(&lab, 1);
    let folder = lab.subfolder("out");
    let out = folder.to_str().unwrap();
    let body = format!(
        "set -e\ncp \"$RENEWED_LINEAGE/fullchain.pem\" \"$LEGO_HOOK_CERT_KEY_PATH\" {out}/\n\
         stat -c %a \"$RENEWED_LINEAGE\" \"$RENEWED_LINEAGE/privkey.pem\" >{out}/modes\n\
         cat >{out}/input\nenv >{out}/env\nls -1 \"$RENEWED_LINEAGE\" >{out}/names\necho \"$RENEWED_LINEAGE\" >{out}/folder"
    );
    let program = script(&folder, "install", &body);
    let back =
        script(&folder, "back", &format!("echo \"$NOTAFTER_EVENT $NOTAFTER_GENERATION $#\" >{out}/back"));
    let table = json!({ "command": [program, "a b", "$(touch x)"], "roll_back": [back], "input": "pem" });
    let target = deployer("exec", table);
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[0], 7))).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("fullchain.pem"), std::fs::read_to_string(&leaves[0].fullchain_pem).unwrap());
    assert_eq!(read("privkey.pem"), std::fs::read_to_string(&leaves[0].key_pem).unwrap());
    assert_eq!(read("modes"), "700\n600\n");
    assert_eq!(read("names"), "cert.pem\nchain.pem\ncombined.pem\nfullchain.pem\nprivkey.pem\n");
    assert!(read("input").contains("BEGIN PRIVATE KEY") && read("input").contains("BEGIN CERTIFICATE"));
    assert!(read("env").contains("NOTAFTER_GENERATION=7") && !read("env").contains("PRIVATE KEY"));
    assert!(!std::path::Path::new(read("folder").trim()).exists(), "the key was left behind");
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    assert_eq!(read("back"), "roll-back 7 0\n");

    let bad = script(&folder, "bad", "echo 'no such zone' >&2; exit 4");
    let target = deployer("exec", json!({ "command": [bad] }));
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves[0], 8))).unwrap_err();
    assert!(fault.to_string().contains("exit status: 4: no such zone"), "{fault}");
    let fault = run(target.roll_back(&super::cx(), &receipt)).unwrap_err();
    assert!(fault.to_string().contains("has no way back"), "{fault}");
}

/// A program that fails after it has printed what it was given (`tee` to a full disk does): no line of the key gets into a fault,
/// which goes into mails, pages and a trail that nobody can take anything out of.
#[test]
fn a_key_that_a_program_prints_is_told_to_nobody() {
    let lab = Lab::new("deploy-prints");
    let leaves = leaves(&lab, 1);
    let folder = lab.subfolder("out");
    let key = std::fs::read_to_string(&leaves[0].key_pem).unwrap();
    for (name, body) in [
        ("input", "cat; exit 1"),
        ("file", "cat \"$LEGO_HOOK_CERT_KEY_PATH\" >&2; exit 1"),
        ("bare", "grep -v -e ----- \"$LEGO_HOOK_CERT_KEY_PATH\"; exit 1"),
        ("one-line", "tr -d '\\n' <\"$LEGO_HOOK_CERT_KEY_PATH\"; exit 1"),
    ] {
        let program = script(&folder, name, &format!("echo begun\n{body}"));
        let target = deployer("exec", json!({ "command": [program], "input": "pem" }));
        let fault = run(target.deploy(&super::cx(), &bundle(&leaves[0], 7))).unwrap_err().to_string();
        assert!(fault.contains("begun"), "{fault}");
        let lines = key.lines().filter(|line| !line.starts_with('-'));
        assert!(lines.into_iter().all(|line| !fault.contains(line)), "{name}: {fault}");
    }
}

#[test]
fn a_service_is_told_and_the_key_stays_here_unless_asked_for() {
    let lab = Lab::new("deploy-webhook");
    let leaves = leaves(&lab, 1);
    let secret = lab.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let receiver = Receiver::start(Answer::status(200, "", "ok"));
    let table = |send_key: bool| json!({ "url": receiver.url("/install"), "secret": { "file": secret }, "send_key": send_key });
    run(deployer("webhook", table(false)).deploy(&super::cx(), &bundle(&leaves[0], 3))).unwrap();
    let got = receiver.only();
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body["fingerprint"], format!("sha256:{}", leaves[0].sha256));
    assert_eq!(body["certificate_pem"], std::fs::read_to_string(&leaves[0].cert_pem).unwrap());
    assert_eq!(body["chain_pem"], std::fs::read_to_string(&leaves[0].chain_pem).unwrap());
    assert!(!got.text().contains("PRIVATE KEY"));
    assert_eq!(got.header("webhook-id"), Some("api-3-deploy"));
    let path = lab.path().join("body");
    std::fs::write(&path, &got.body).unwrap();
    let mac = super::judge("openssl", &["dgst", "-sha256", "-hmac", "s3cret", "-r", path.to_str().unwrap()]);
    assert_eq!(
        got.header("x-notafter-signature"),
        Some(&*format!("sha256={}", mac.split(' ').next().unwrap()))
    );
    // The key is not sent in the clear.
    let error = built("webhook", table(true)).err().unwrap();
    assert!(error.contains("unencrypted") && error.contains("hint:"), "{error}");
}

#[test]
fn a_service_that_refuses_is_a_fault() {
    let lab = Lab::new("deploy-refused");
    let receiver = Receiver::start(Answer::status(403, "", "no"));
    let target = deployer("webhook", json!({ "url": receiver.url("/t0ken-in-the-path") }));
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves(&lab, 1)[0], 1))).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(!fault.to_string().contains("t0ken"), "{fault}");
}
