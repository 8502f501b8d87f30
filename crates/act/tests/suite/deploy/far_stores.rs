//! Keystores on a far host, over a real sshd, judged by keytool and openssl; and what is younger there is left alone.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use notafter_core::fault::Retry;
use notafter_lab::{Authority, Lab, Request, calendar, need, stores};
use serde_json::{Value, json};

use super::far::{loose, same, start};
use super::{bundle, deployer, judge, leaves, run, script, text};

const PASSWORD: &str = "passw0rd1";

fn listed(store: &Path) -> String {
    judge("keytool", &["-list", "-v", "-keystore", text(store), "-storepass", PASSWORD])
}

/// The key in a PKCS#12 file, by openssl.
fn key_in(store: &Path) -> String {
    let pass = format!("pass:{PASSWORD}");
    let all = judge("openssl", &["pkcs12", "-in", text(store), "-passin", &pass, "-nocerts", "-noenc"]);
    all[all.find("-----BEGIN").unwrap()..].trim().to_owned()
}

#[test]
fn keystores_on_a_far_host_keep_what_they_hold_and_are_switched_as_one() {
    let lab = Lab::new("far-stores");
    let leaves = leaves(&lab, 3);
    let Some(far) = need(start(&lab, false)) else { return };
    let folder = lab.subfolder("tls");
    let at = |name: &str| folder.join(name);
    let (java, twelve, whole) = (at("api.jks"), at("api.p12"), at("all.pem"));
    stores::java(&java, &leaves[0], stores::Java::Jks, PASSWORD).unwrap();
    stores::pkcs12(&twelve, &leaves[0], stores::Pkcs12::Modern, PASSWORD).unwrap();
    let root = Authority::new(&lab).root().cert_pem.clone();
    let import =
        ["-importcert", "-noprompt", "-alias", "anchor", "-storepass", PASSWORD, "-file", text(&root)];
    judge("keytool", &[&import[..], &["-keystore", text(&java)]].concat());
    for store in [&java, &twelve] {
        std::fs::set_permissions(store, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(store, Some(33), Some(33)).unwrap();
    }
    let secret = lab.path().join("password");
    std::fs::write(&secret, PASSWORD).unwrap();
    let (log, good) = (far.folder.join("log"), |name: &str, body: &str| script(&far.folder, name, body));
    let reload = good("reload", &format!("echo x >>{}", text(&log)));
    let store = |path: &Path| json!({ "path": path, "password": { "file": secret } });
    let table = |reload: &Path| {
        far.table(json!({
            "jks": store(&java), "pkcs12": store(&twelve), "combined": whole, "der": at("api.der"), "pkcs7": at("api.p7b"),
            "reload": [reload],
        }))
    };
    let target = deployer("ssh", table(&reload));
    let checks = run(target.rehearse(&super::cx()));
    assert!(checks.len() == 3 && checks.iter().all(|c| c.works), "{checks:?}");
    let before: Vec<Vec<u8>> = [&java, &twelve].map(|path| std::fs::read(path).unwrap()).into();
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    assert_eq!(receipt.before.as_ref().unwrap().fingerprint, format!("sha256:{}", leaves[0].sha256));
    let shown = listed(&java);
    assert!(shown.contains("Your keystore contains 2 entries"), "{shown}");
    assert!(shown.contains("Alias name: srv.test") && shown.contains("Alias name: anchor"), "{shown}");
    assert!(shown.to_lowercase().replace(':', "").contains(&leaves[1].sha256), "{shown}");
    let key = std::fs::read_to_string(&leaves[1].key_pem).unwrap();
    assert_eq!(key_in(&twelve), key.trim());
    let pass = format!("pass:{PASSWORD}");
    let named = judge("openssl", &["pkcs12", "-in", text(&twelve), "-passin", &pass, "-nokeys"]);
    assert!(named.contains("friendlyName: srv.test"), "{named}");
    assert_eq!(std::fs::read(at("api.der")).unwrap(), leaves[1].der());
    judge("openssl", &["pkcs7", "-in", text(&at("api.p7b")), "-print_certs", "-noout"]);
    judge("openssl", &["pkey", "-in", text(&whole), "-noout"]);
    let meta = |path: &Path| path.metadata().map(|m| (m.uid(), m.gid(), m.mode() & 0o7777, m.ino())).unwrap();
    let (m1, m2) = (meta(&java), meta(&twelve));
    assert_eq!(((m1.0, m1.1, m1.2), (m2.0, m2.1, m2.2)), ((33, 33, 0o640), (33, 33, 0o640)));
    // Salts and all: the same again writes nothing, and reloads.
    assert_eq!(run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap(), receipt);
    assert_eq!((meta(&java), meta(&twelve)), (m1, m2));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "x\nx\n");
    assert_eq!(loose(&folder), Vec::<String>::new());
    // The way back is to the very same octets, of both at once, and to nothing where nothing was.
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    let now: Vec<Vec<u8>> = [&java, &twelve].map(|path| std::fs::read(path).unwrap()).into();
    assert!(now == before && !whole.exists() && !at("api.der").exists());
    run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    assert_eq!(key_in(&twelve), key.trim());
    // A reload that fails puts both back.
    let bad = good("bad", "echo 'will not' >&2; exit 1");
    let fault = run(deployer("ssh", table(&bad)).deploy(&super::cx(), &bundle(&leaves[2], 2))).unwrap_err();
    assert!(
        fault.to_string().contains("whose files are in place: the server may run with either: will not"),
        "{fault}"
    );
    assert_eq!(key_in(&twelve), key.trim());
    // A password that does not open what is there: nothing is written.
    let all = || [&java, &twelve, &whole].map(|path| std::fs::read(path).unwrap());
    let there = all();
    std::fs::write(&secret, "another").unwrap();
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves[2], 2))).unwrap_err();
    assert!(
        fault.to_string().contains("does not open the keystore") && fault.retry == Retry::Never,
        "{fault}"
    );
    assert_eq!(all(), there);
}

#[test]
fn what_changes_between_the_look_and_the_writing_is_not_overwritten() {
    let lab = Lab::new("far-meanwhile");
    let leaves = leaves(&lab, 2);
    let Some(far) = need(start(&lab, true)) else { return };
    let folder = lab.subfolder("tls");
    let (java, once) = (folder.join("api.jks"), far.folder.join("once"));
    stores::java(&java, &leaves[0], stores::Java::Jks, PASSWORD).unwrap();
    let root = Authority::new(&lab).root().cert_pem.clone();
    let secret = lab.path().join("password");
    std::fs::write(&secret, PASSWORD).unwrap();
    // As soon as it was looked at, somebody adds an anchor.
    let add = format!(
        "keytool -importcert -noprompt -alias anchor -storepass {PASSWORD} -file {} -keystore {} >/dev/null 2>&1",
        text(&root),
        text(&java)
    );
    let once = text(&once);
    let session = format!(
        "( eval \"$SSH_ORIGINAL_COMMAND\" ); code=$?; [ -e {once} ] || {{ : >{once}; {add}; }}; exit $code"
    );
    script(&far.folder, "force", &session);
    let table = far.table(json!({ "jks": { "path": java, "password": { "file": secret } } }));
    let target = deployer("ssh", table);
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap_err();
    assert!(fault.to_string().contains("was changed while it was looked at"), "{fault}");
    assert!(fault.retry != Retry::Never && listed(&java).contains("Alias name: anchor"), "{fault:?}");
    run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    let shown = listed(&java);
    assert!(shown.contains("Alias name: anchor"), "{shown}");
    assert!(shown.to_lowercase().replace(':', "").contains(&leaves[1].sha256), "{shown}");
}

#[test]
fn a_younger_one_on_a_far_host_is_left_alone() {
    let lab = Lab::new("far-newer");
    let authority = Authority::new(&lab);
    let now = calendar::now();
    let of = |days: i64| {
        authority.issue(&Request::server().fresh_key().between(now - days * 86_400, now + 60 * 86_400))
    };
    let (old, middle, young) = (of(20), of(10), of(1));
    let Some(far) = need(start(&lab, false)) else { return };
    let folder = lab.subfolder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let table: Value = far.table(json!({ "certificate": certificate, "key": key }));
    let target = deployer("ssh", table);
    let is = |leaf: &notafter_lab::Leaf| same(&certificate, &leaf.fullchain_pem) && same(&key, &leaf.key_pem);
    let refused = |leaf, generation| {
        let fault = run(target.deploy(&super::cx(), &bundle(leaf, generation))).unwrap_err();
        assert!(fault.to_string().contains("what is in place is newer"), "{fault}");
        assert!(fault.retry == Retry::Never && fault.hint.is_some(), "{fault:?}");
    };
    run(target.deploy(&super::cx(), &bundle(&old, 1))).unwrap();
    // Another tool renewed it, too.
    std::fs::copy(&young.fullchain_pem, &certificate).unwrap();
    std::fs::copy(&young.key_pem, &key).unwrap();
    refused(&middle, 2);
    assert!(is(&young), "it was touched");
    // A process that was stopped in an older renewal goes on.
    std::fs::copy(&old.fullchain_pem, &certificate).unwrap();
    std::fs::copy(&old.key_pem, &key).unwrap();
    let receipt = run(target.deploy(&super::cx(), &bundle(&young, 3))).unwrap();
    refused(&middle, 2);
    assert!(is(&young), "it was touched");
    // The way back is another matter.
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    assert!(is(&old));
    run(target.deploy(&super::cx(), &bundle(&middle, 4))).unwrap();
    assert!(is(&middle));
}
