//! Keystores and key formats: what is written opens with the field's own tools, and what they wrote is kept.

use std::path::Path;

use notafter_lab::{Authority, Key, Lab, Request, stores};
use serde_json::json;

use super::{bundle, deployer, judge, leaves, run, text};

/// Java takes ASCII alone for the modern form.
const PASSWORD: &str = "passw0rd 1";

fn password(folder: &Path) -> serde_json::Value {
    let path = folder.join("password");
    std::fs::write(&path, PASSWORD).unwrap();
    json!({ "file": path })
}

/// The key and the leaf's serial in a PKCS#12 file, by `openssl`.
fn opened(path: &Path) -> (String, String) {
    let pass = format!("pass:{PASSWORD}");
    let key = judge("openssl", &["pkcs12", "-in", text(path), "-passin", &pass, "-nocerts", "-noenc"]);
    let all = judge("openssl", &["pkcs12", "-in", text(path), "-passin", &pass, "-nokeys"]);
    (key[key.find("-----BEGIN").unwrap()..].trim().to_owned(), all)
}

#[test]
fn pkcs12_opens_with_openssl_and_keytool() {
    let lab = Lab::new("p12");
    let authority = Authority::new(&lab);
    for (kind, name) in [(Key::P256, "EC"), (Key::Rsa2048, "RSA")] {
        let leaf = authority.issue(&Request::server().key(kind));
        for form in ["modern", "legacy"] {
            let folder = lab.subfolder(name);
            let path = folder.join("api.p12");
            let table = json!({ "pkcs12": { "path": path, "password": password(&folder), "form": form, "alias": "Tomcät" } });
            run(deployer("files", table).deploy(&super::cx(), &bundle(&leaf, 1))).unwrap();
            let (key, certificates) = opened(&path);
            assert_eq!(key, std::fs::read_to_string(&leaf.key_pem).unwrap().trim(), "{name} {form}");
            assert_eq!(certificates.matches("BEGIN CERTIFICATE").count(), 2, "{certificates}");
            let info = judge(
                "openssl",
                &["pkcs12", "-in", text(&path), "-passin", &format!("pass:{PASSWORD}"), "-info", "-noout"],
            );
            let sign = if form == "modern" {
                "AES-256-CBC, Iteration 100000, PRF hmacWithSHA256"
            } else {
                "pbeWithSHA1And3-KeyTripleDES-CBC"
            };
            assert!(info.contains(sign), "{info}");
            let listed = judge(
                "keytool",
                &["-list", "-v", "-keystore", text(&path), "-storepass:file", text(&folder.join("password"))],
            );
            assert!(
                listed.contains("Entry type: PrivateKeyEntry")
                    && listed.contains("Certificate chain length: 2"),
                "{listed}"
            );
        }
    }
}

#[test]
fn the_alias_of_a_pkcs12_file_is_kept_and_a_wrong_password_is_said() {
    let lab = Lab::new("p12-alias");
    let leaves = leaves(&lab, 2);
    let folder = lab.subfolder("tls");
    let path = folder.join("api.p12");
    stores::pkcs12(&path, &leaves[0], stores::Pkcs12::Modern, PASSWORD).unwrap();
    let table = json!({ "pkcs12": { "path": path, "password": password(&folder) } });
    let receipt = run(deployer("files", table.clone()).deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    assert_eq!(receipt.before.unwrap().fingerprint, format!("sha256:{}", leaves[0].sha256));
    assert!(opened(&path).1.contains("friendlyName: srv.test"));
    // Who looks at the place is given the password that holds now, and for this place alone.
    let target = deployer("files", table.clone());
    let [place] = &target.places()[..] else { panic!("{:?}", target.places()) };
    assert_eq!(target.opens(place.as_str()), [PASSWORD]);
    assert!(target.opens("file:///etc/ssl/other.p12").is_empty());
    std::fs::write(folder.join("password"), "another").unwrap();
    assert_eq!(target.opens(place.as_str()), ["another"]);
    let before = std::fs::read(&path).unwrap();
    let fault = run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[0], 3))).unwrap_err();
    assert!(fault.to_string().contains("does not open the keystore"), "{fault}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn what_would_be_lost_or_shut_in_a_keystore_is_not_written_over() {
    let lab = Lab::new("stores-refused");
    let leaves = leaves(&lab, 2);
    let folder = lab.subfolder("tls");
    let other = Authority::new(&lab);
    let refused = |table: serde_json::Value, path: &Path, sign: &str| {
        let before = std::fs::read(path).unwrap();
        let fault = run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap_err();
        assert!(fault.to_string().contains(sign) && fault.hint.is_some(), "{fault}");
        assert_eq!(std::fs::read(path).unwrap(), before);
    };
    // An anchor for clients beside the server's key.
    let path = folder.join("api.p12");
    let pass = format!("pass:{PASSWORD}");
    judge(
        "openssl",
        &[
            "pkcs12",
            "-export",
            "-inkey",
            text(&leaves[0].key_pem),
            "-in",
            text(&leaves[0].cert_pem),
            "-certfile",
            text(&other.root().cert_pem),
            "-passout",
            &pass,
            "-out",
            text(&path),
        ],
    );
    refused(json!({ "pkcs12": { "path": path, "password": password(&folder) } }), &path, "holds CN=");
    // A key with a password of its own: Tomcat's certificateKeyPassword.
    let path = folder.join("api.jks");
    stores::java(&path, &leaves[0], stores::Java::Jks, "changeit").unwrap();
    let store = ["-keystore", text(&path), "-storepass", "changeit", "-alias", "srv.test"];
    judge("keytool", &[&["-keypasswd"][..], &store, &["-keypass", "changeit", "-new", "another"]].concat());
    refused(json!({ "jks": { "path": path } }), &path, "password of its own");
    judge("keytool", &[&["-keypasswd"][..], &store, &["-keypass", "another", "-new", "changeit"]].concat());
    run(deployer("files", json!({ "jks": { "path": path } })).deploy(&super::cx(), &bundle(&leaves[1], 2)))
        .unwrap();
}

#[test]
fn a_java_keystore_keeps_its_alias_and_its_other_entries() {
    let lab = Lab::new("jks");
    let leaves = leaves(&lab, 2);
    let folder = lab.subfolder("tls");
    let path = folder.join("api.jks");
    let root = Authority::new(&lab);
    stores::java(&path, &leaves[0], stores::Java::Jks, "changeit").unwrap();
    judge(
        "keytool",
        &[
            "-importcert",
            "-noprompt",
            "-alias",
            "anchor",
            "-file",
            text(&root.root().cert_pem),
            "-keystore",
            text(&path),
            "-storepass",
            "changeit",
        ],
    );
    std::fs::write(folder.join("password"), "changeit").unwrap();
    let table = json!({ "jks": { "path": path, "password": { "file": folder.join("password") } } });
    run(deployer("files", table.clone()).deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    let listed = judge("keytool", &["-list", "-v", "-keystore", text(&path), "-storepass", "changeit"]);
    assert!(listed.contains("Your keystore contains 2 entries"), "{listed}");
    assert!(listed.contains("Alias name: srv.test") && listed.contains("Alias name: anchor"), "{listed}");
    assert!(listed.to_lowercase().replace(':', "").contains(&leaves[1].sha256), "{listed}");
    // The key in it is the right one: Java takes it out, openssl shows it.
    let out = folder.join("out.p12");
    judge(
        "keytool",
        &[
            "-importkeystore",
            "-noprompt",
            "-srckeystore",
            text(&path),
            "-srcstorepass",
            "changeit",
            "-srcalias",
            "srv.test",
            "-destkeystore",
            text(&out),
            "-deststoretype",
            "PKCS12",
            "-deststorepass",
            "changeit",
        ],
    );
    let key =
        judge("openssl", &["pkcs12", "-in", text(&out), "-passin", "pass:changeit", "-nocerts", "-noenc"]);
    assert!(key.contains(std::fs::read_to_string(&leaves[1].key_pem).unwrap().trim()), "another key");
    // A first store, made here.
    let fresh = folder.join("fresh.jks");
    let table = json!({ "jks": { "path": fresh, "password": { "file": folder.join("password") }, "alias": "Tomcat" } });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    let listed = judge("keytool", &["-list", "-keystore", text(&fresh), "-storepass", "changeit"]);
    assert!(listed.contains("tomcat,") && listed.contains("PrivateKeyEntry"), "{listed}");
    // One that is no JKS is not overwritten.
    std::fs::copy(&out, &fresh).unwrap();
    let table = json!({ "jks": { "path": fresh, "password": { "file": folder.join("password") } } });
    let fault = run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[1], 9))).unwrap_err();
    assert!(fault.to_string().contains("no Java keystore of the form JKS"), "{fault}");
}

/// Does keytool open a store with this password, and find a key?
fn opens(path: &Path, password: &str) -> bool {
    let keytool = notafter_lab::program::find("keytool").unwrap();
    let mut command = std::process::Command::new(keytool);
    let ran = command.args(["-list", "-keystore", text(path), "-storepass", password]).output().unwrap();
    ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("PrivateKeyEntry")
}

#[test]
fn a_keystore_keeps_the_password_that_it_has_or_is_left_alone() {
    let lab = Lab::new("store-passwords");
    let leaves = leaves(&lab, 2);
    let folder = lab.subfolder("tls");
    type Make<'m> = &'m dyn Fn(&Path, &str);
    let stores: [(&str, Make<'_>); 4] = [
        ("pkcs12", &|path, password| {
            stores::pkcs12(path, &leaves[0], stores::Pkcs12::Modern, password).unwrap();
        }),
        ("pkcs12", &|path, password| {
            stores::pkcs12(path, &leaves[0], stores::Pkcs12::Legacy, password).unwrap();
        }),
        // Only the key is sealed: anybody reads the certificates, and the MAC says whose it is.
        ("pkcs12", &|path, password| {
            let pass = format!("pass:{password}");
            let of = ["-in", text(&leaves[0].fullchain_pem), "-inkey", text(&leaves[0].key_pem)];
            let more = ["-certpbe", "NONE", "-name", "srv.test", "-passout", &pass, "-out", text(path)];
            judge("openssl", &[&["pkcs12", "-export"][..], &of, &more].concat());
        }),
        ("jks", &|path, password| {
            stores::java(path, &leaves[0], stores::Java::Jks, password).unwrap();
        }),
    ];
    for (n, (kind, make)) in stores.iter().enumerate() {
        let path = folder.join(format!("{n}.store"));
        let set = |password: Option<&str>| {
            let secret = folder.join("secret");
            let mut table = json!({ *kind: { "path": path } });
            if let Some(password) = password {
                std::fs::write(&secret, password).unwrap();
                table[*kind]["password"] = json!({ "file": secret });
            }
            deployer("files", table)
        };
        let deploy = |password: Option<&str>, leaf: usize, generation: u64| {
            run(set(password).deploy(&super::cx(), &bundle(&leaves[leaf], generation)))
        };
        let rehearsed = |password: Option<&str>| {
            let checks = run(set(password).rehearse(&super::cx()));
            checks.into_iter().find(|c| c.what.starts_with("keystore ")).unwrap()
        };
        // Made with `changeit`, and another one is set: what the server reads stays what it opens.
        make(&path, "changeit");
        let there = std::fs::read(&path).unwrap();
        let fault = deploy(Some("another1"), 1, 1).unwrap_err();
        let said = fault.to_string();
        assert!(
            said.contains("does not open the keystore that is there; the well-known `changeit` does"),
            "{said}"
        );
        assert_eq!(fault.retry, notafter_core::fault::Retry::Never);
        let check = rehearsed(Some("another1"));
        assert!(!check.works && check.because.contains("does not open"), "{check:?}");
        assert_eq!(std::fs::read(&path).unwrap(), there, "{kind} {n}");
        // None is set: the one that it has is kept.
        assert!(rehearsed(None).works);
        deploy(None, 1, 1).unwrap();
        assert_ne!(std::fs::read(&path).unwrap(), there);
        assert!(opens(&path, "changeit"), "{kind} {n}");
        let again = std::fs::read(&path).unwrap();
        deploy(None, 1, 1).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), again, "the same again writes nothing");
        // One that nobody knows, and none is set.
        std::fs::remove_file(&path).unwrap();
        make(&path, "0nly-theirs");
        let there = std::fs::read(&path).unwrap();
        let fault = deploy(None, 1, 2).unwrap_err();
        assert!(fault.to_string().contains("no well-known password opens"), "{fault}");
        assert!(fault.hint.as_deref().is_some_and(|h| h.contains("password = { file =")), "{fault:?}");
        assert!(!rehearsed(None).works);
        assert_eq!(std::fs::read(&path).unwrap(), there, "{kind} {n}");
        deploy(Some("0nly-theirs"), 1, 2).unwrap();
        assert!(opens(&path, "0nly-theirs") && !opens(&path, "changeit"), "{kind} {n}");
        // A new one is made with a password that somebody chose, or not at all.
        std::fs::remove_file(&path).unwrap();
        let fault = deploy(None, 1, 3).unwrap_err();
        assert!(fault.to_string().contains("no password for a new one") && !path.exists(), "{fault}");
    }
    // Neither sealed nor authenticated: nothing of a password is in it, and the one that is set is taken.
    let path = folder.join("plain.p12");
    stores::pkcs12(&path, &leaves[0], stores::Pkcs12::Unprotected, "").unwrap();
    let table = json!({ "pkcs12": { "path": path, "password": password(&folder) } });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    assert!(opens(&path, PASSWORD));
}

#[test]
fn every_form_of_key_and_certificate_is_the_fields() {
    let lab = Lab::new("forms");
    let authority = Authority::new(&lab);
    let folder = lab.subfolder("tls");
    let at = |name: &str| folder.join(name);
    let ec = authority.issue(&Request::server().key(Key::P384));
    let rsa = authority.issue(&Request::server().key(Key::Rsa2048));
    let table = json!({
        "certificate": at("cert.pem"), "chain": at("chain.pem"), "fullchain": at("full.pem"), "key": at("key.pem"),
        "der": at("cert.der"), "pkcs7": at("chain.p7b"), "key_format": "sec1",
    });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&ec, 1))).unwrap();
    let key = std::fs::read_to_string(at("key.pem")).unwrap();
    assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----"), "{key}");
    judge("openssl", &["ec", "-in", text(&at("key.pem")), "-check", "-noout"]);
    let modulus = |path: &Path| judge("openssl", &["pkey", "-in", text(path), "-pubout"]);
    assert_eq!(modulus(&at("key.pem")), modulus(&ec.key_pem));
    let same = |a: &Path, b: &Path| assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap(), "{a:?}");
    same(&at("cert.pem"), &ec.cert_pem);
    same(&at("chain.pem"), &ec.chain_pem);
    same(&at("full.pem"), &ec.fullchain_pem);
    assert_eq!(std::fs::read(at("cert.der")).unwrap(), ec.der());
    let printed = judge("openssl", &["pkcs7", "-in", text(&at("chain.p7b")), "-print_certs"]);
    assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2);

    let table = json!({ "key": at("rsa.key"), "certificate": at("rsa.pem"), "pkcs7": at("rsa.p7c"), "key_format": "pkcs1" });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&rsa, 1))).unwrap();
    assert!(std::fs::read_to_string(at("rsa.key")).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    judge("openssl", &["rsa", "-in", text(&at("rsa.key")), "-check", "-noout"]);
    same(&at("rsa.pem"), &rsa.fullchain_pem);
    judge("openssl", &["pkcs7", "-inform", "DER", "-in", text(&at("rsa.p7c")), "-print_certs", "-noout"]);
    // A form that a key cannot have.
    let table = json!({ "key": at("no.key"), "certificate": at("no.pem"), "key_format": "pkcs1" });
    let fault = run(deployer("files", table).deploy(&super::cx(), &bundle(&ec, 1))).unwrap_err();
    assert!(fault.to_string().contains("is for RSA keys") && !at("no.key").exists(), "{fault}");
    // Certificate first, where a server wants that.
    let table = json!({ "combined": at("all.pem"), "combined_order": "certificate-first" });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&ec, 1))).unwrap();
    assert!(std::fs::read_to_string(at("all.pem")).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}
