//! A CA of one's own and a CA without an API, by the real binary: openssl and a real nginx say whether it is true.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notafter_core::UnixTime;
use notafter_core::joints::Keep;
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, Server, need};
use notafter_store::seal::{Master, Sealed};
use notafter_store::{Database, Store};
use run::{Run, notafter, run};
use serde_json::Value;
use serving::Serving;
use web::Browser;

/// The table of a CA that may issue for what the servers of the lab are called.
const HOUSE: &str = "[[issuer]]\nname = \"house\"\nkind = \"ca\"\nnames = [\"*.test\", \"localhost.test\"]\naddresses = [\"127.0.0.0/8\"]\nmax_days = 30\n";

/// A configuration and a data folder.
struct House {
    lab: Lab,
    config: PathBuf,
    data: PathBuf,
}

impl House {
    fn new(name: &str, text: &str) -> Self {
        let lab = Lab::new(name);
        let (config, data) = (lab.path().join("notafter.toml"), lab.path().join("data"));
        std::fs::write(&config, text).expect("written");
        Self { lab, config, data }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = notafter(arguments);
        command.arg("--config").arg(&self.config).arg("--data").arg(&self.data);
        command
    }

    fn ask(&self, arguments: &[&str]) -> Run {
        run::finished(self.command(arguments).output().expect("the binary runs"))
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let run = self.ask(&[arguments, &["--json"]].concat());
        assert_eq!(run.code, 0, "{arguments:?}: {}\n{}", run.out, run.err);
        json(&run)
    }

    fn path(&self, name: &str) -> String {
        self.lab.path().join(name).to_string_lossy().into_owned()
    }

    fn root(&self) -> String {
        self.data.join("ca-house-root.pem").to_string_lossy().into_owned()
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

fn mode(path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect(path).permissions().mode() & 0o777
}

/// What openssl says; its exit code.
fn openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let ran = Command::new("openssl").current_dir(folder).args(arguments).output().expect("openssl runs");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    (ran.status.success(), text)
}

#[test]
fn a_ca_is_made_once_issues_by_its_policy_and_revokes() {
    let house = House::new("authority", HOUSE);
    let early = house.ask(&["ca", "issue", "--names", "a.test", "--out", &house.path("")]);
    assert_eq!(early.code, 2, "{}", early.err);
    let made = house.done(&["ca", "init", "--subject", "CN=House CA,O=Lab"]);
    assert_eq!(made["root"]["subject"], "CN=House CA,O=Lab");
    assert_eq!(made["root"]["file"], house.root());
    let again = house.ask(&["ca", "init", "house"]);
    assert!(
        again.code == 2 && again.err.contains("was made already") && again.err.contains("hint:"),
        "{}",
        again.err
    );

    let out = house.path("out");
    std::fs::create_dir(&out).expect("a folder");
    let issued = house.done(&["ca", "issue", "--names", "api.test,127.0.0.1", "--out", &out]);
    let (certificate, key) = (format!("{out}/api.test.pem"), format!("{out}/api.test.key"));
    assert_eq!((issued["certificate"].as_str(), issued["key"].as_str()), (Some(&*certificate), Some(&*key)));
    assert_eq!((mode(&certificate), mode(&key)), (0o644, 0o600));
    let public = |kind: &str, file: &str| {
        openssl(
            house.lab.path(),
            &[kind, "-in", file, "-noout", if kind == "pkey" { "-text_pub" } else { "-pubkey" }],
        )
        .0
    };
    assert!(public("x509", &certificate) && public("pkey", &key));
    // Nothing is overwritten, and nothing is left of what was refused.
    let before = std::fs::read(&key).expect("a key");
    let over = house.ask(&["ca", "issue", "--names", "api.test", "--out", &out]);
    assert!(over.code == 2 && over.err.contains("is there already: nothing was issued"), "{}", over.err);
    assert_eq!(std::fs::read(&key).expect("a key"), before);
    for (names, words) in [
        ("www.evil.example", "not among what this CA may issue for"),
        ("*.a.test", "is a wildcard"),
        ("a b", "no name a certificate can have"),
    ] {
        let refused = house.ask(&["ca", "issue", "--names", names, "--out", &out]);
        assert!(
            refused.code == 2 && refused.err.contains(words) && refused.err.contains("hint:"),
            "{names}: {}",
            refused.err
        );
    }
    let long = house.ask(&["ca", "issue", "--names", "b.test", "--days", "31", "--out", &out]);
    assert!(long.code == 2 && long.err.contains("30 at most"), "{}", long.err);
    assert_eq!(std::fs::read_dir(&out).expect("the folder").count(), 2);

    // A request of somebody else: only the certificate, and by the names it asks for.
    let folder = house.lab.path();
    assert!(
        openssl(
            folder,
            &[
                "req",
                "-new",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-keyout",
                "own.key",
                "-out",
                "own.csr",
                "-subj",
                "/CN=ignored",
                "-addext",
                "subjectAltName=DNS:own.test"
            ]
        )
        .0
    );
    let own =
        house.done(&["ca", "issue", "house", "--csr", &house.path("own.csr"), "--days", "3", "--out", &out]);
    assert_eq!((own["names"][0].as_str(), own.get("key")), (Some("own.test"), None));
    assert!(!Path::new(&format!("{out}/own.test.key")).exists());
    assert!(
        openssl(folder, &["req", "-new", "-key", "own.key", "-out", "bare.csr", "-subj", "/CN=own.test"]).0
    );
    let bare = house.ask(&["ca", "issue", "--csr", &house.path("bare.csr"), "--out", &out]);
    assert!(bare.code == 2 && bare.err.contains("asks for no name"), "{}", bare.err);

    // The judges: ours and openssl, with the list.
    let crl = house.path("lists.pem");
    house.done(&["ca", "crl", "--out", &crl]);
    let root = house.root();
    let verify =
        |chain: &str| house.ask(&["verify", chain, "--roots", &root, "--name", "api.test", "--crl", &crl]);
    assert_eq!(verify(&certificate).code, 0, "{}", verify(&certificate).out);
    let strict = || {
        openssl(
            folder,
            &[
                "verify",
                "-x509_strict",
                "-crl_check_all",
                "-CRLfile",
                &crl,
                "-CAfile",
                &root,
                "-untrusted",
                &certificate,
                "-verify_hostname",
                "api.test",
                &certificate,
            ],
        )
    };
    assert!(strict().0, "{}", strict().1);
    let serial = issued["serial"].as_str().expect("a serial number").to_owned();
    let revoked = house.done(&["ca", "revoke", "--serial", &serial, "--reason", "key-compromise"]);
    assert_eq!((revoked["new"].as_bool(), revoked["crl_number"].as_u64()), (Some(true), Some(2)));
    assert_eq!(house.done(&["ca", "revoke", "--certificate", &certificate])["new"], false);
    house.done(&["ca", "crl", "--out", &crl]);
    assert!(!strict().0 && strict().1.contains("revoked"), "{}", strict().1);
    assert!(
        verify(&certificate).code == 1 && verify(&certificate).out.contains("revoked"),
        "{}",
        verify(&certificate).out
    );
    let der = house.path("house.crl");
    assert_eq!(house.done(&["ca", "crl", "--out", &der])["revoked"], 1);
    let (read, text) = openssl(folder, &["crl", "-inform", "DER", "-in", &der, "-noout", "-text"]);
    assert!(read && text.contains("Key Compromise") && text.contains(&serial.to_uppercase()), "{text}");
    let refused = house.ask(&["ca", "crl", "--out", &key]);
    assert!(refused.code == 2 && refused.err.contains("is no revocation list"), "{}", refused.err);
    assert_eq!(std::fs::read(&key).expect("a key"), before);
    let plain = house.ask(&["ca", "crl"]);
    assert_eq!((plain.code, plain.out.matches("BEGIN X509 CRL").count()), (0, 2));

    let shown = house.done(&["ca", "show"]);
    assert_eq!(
        (shown["issued"].as_array().map(Vec::len), shown["revoked"][0]["serial"].as_str()),
        (Some(2), Some(&*serial))
    );
    let table = house.ask(&["ca", "show"]);
    assert!(table.out.contains("own.test") && table.out.contains("revoked at"), "{}", table.out);
    assert_eq!(house.ask(&["ca", "show", "--root"]).out, std::fs::read_to_string(&root).expect("the root"));
    let renewed = house.done(&["ca", "init", "--renew-intermediate"]);
    assert_ne!(renewed["intermediate"]["fingerprint"], made["intermediate"]["fingerprint"]);
    for wrong in [
        vec!["ca", "show", "huose"],
        vec!["ca", "csr"],
        vec!["ca", "revoke", "--serial", "00"],
        vec!["ca", "issue"],
    ] {
        let run = house.ask(&wrong);
        assert!(run.code == 2 && !run.err.is_empty(), "{wrong:?}: {}", run.err);
    }
    assert!(house.ask(&["ca", "show", "huose"]).err.contains("did you mean `house`?"));
}

/// The secret octets of an ECDSA or any other PKCS#8 key: its longest OCTET STRING within.
fn secret(pkcs8: &[u8]) -> Vec<u8> {
    let at = pkcs8.windows(2).position(|w| w == [0x04, 0x30]).expect("a key of P-384");
    pkcs8[at + 2..at + 2 + 48].to_vec()
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

#[test]
fn its_keys_lie_nowhere_in_clear_and_do_not_open_with_another_master_key() {
    let house = House::new("authority-sealed", HOUSE);
    house.done(&["ca", "init"]);
    house.done(&["ca", "issue", "--names", "a.test", "--out", &house.path("")]);
    house.done(&["ca", "crl"]);
    let backup = house.path("backup");
    house.done_plain(&["backup", &backup]);
    let keep = |master: &Path| {
        let store =
            Store::open(&Database::File(house.data.join("notafter.db")), UnixTime(0)).expect("the memory");
        Sealed::new(Arc::new(store), Master::in_file(master).expect("a master key"))
    };
    let own = keep(&house.data.join("master.key"));
    let made = own.kept("ca/house/made").expect("it opens").expect("it is there");
    let made: Value = serde_json::from_slice(&made).expect("JSON");
    let mut all = vec![PathBuf::from(&backup)];
    files(&house.data, &mut all);
    for name in ["root_key", "intermediate_key"] {
        let key = own.kept(made[name].as_str().expect("a name")).expect("it opens").expect("it is there");
        let secret = secret(&key);
        let hex: String = secret.iter().map(|o| format!("{o:02x}")).collect();
        for file in &all {
            let octets = std::fs::read(file).expect("a file");
            let holds = |what: &[u8]| octets.windows(what.len()).any(|w| w == what);
            assert!(!holds(&secret) && !holds(hex.as_bytes()), "{name} lies in {} in clear", file.display());
        }
    }
    drop(own);
    // The search finds what is there: the certificate is public and lies there sealed, the root in its file does not.
    assert!(all.iter().any(|f| f.ends_with("ca-house-root.pem")), "{all:?}");

    let (key, aside) = (house.data.join("master.key"), house.path("aside"));
    std::fs::rename(&key, &aside).expect("lost");
    for lost in
        [vec!["ca", "show"], vec!["ca", "init"], vec!["ca", "issue", "--names", "b.test", "--out", &aside]]
    {
        let run = house.ask(&lost);
        assert!(
            run.code == 2
                && run.err.contains("master key")
                && run.err.contains("is gone")
                && run.err.contains("hint:"),
            "{lost:?}: {}",
            run.err
        );
    }
    assert!(!key.exists(), "none is made in its place");
    Master::in_file(&key).expect("another one");
    let other = house.ask(&["ca", "issue", "--names", "b.test", "--out", &house.path("")]);
    assert!(other.code == 2 && other.err.contains("sealed with another master key"), "{}", other.err);
    assert!(!Path::new(&house.path("b.test.key")).exists());
    std::fs::rename(&aside, &key).expect("found again");
    house.done(&["ca", "issue", "--names", "b.test", "--out", &house.path("")]);
}

impl House {
    fn done_plain(&self, arguments: &[&str]) {
        let run = self.ask(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}\n{}", run.out, run.err);
    }
}

/// A web server whose certificate is kept alive by an issuer.
struct Web {
    house: House,
    web: Server,
}

impl Web {
    fn new(name: &str, issuers: &dyn Fn(&Path) -> String, more: &str) -> Option<Self> {
        let house = House::new(name, "");
        let authority = Authority::new(&house.lab);
        let web = need(nginx::start(&house.lab, &authority.issue(&Request::server().days(20))))?;
        let tls = web.folder().join("tls");
        let text = format!(
            "{}[[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\ngrace = \"10s\"\n{more}\
             [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
             prove = [\"tls://{}?sni=srv.test\"]\nreload = [\"kill\", \"-HUP\", \"{}\"]\n",
            issuers(house.lab.path()),
            web.address(),
            web.pid().unwrap_or(0),
            tls = tls.display(),
        );
        std::fs::write(&house.config, text).expect("written");
        Some(Self { house, web })
    }

    /// What the server shows, as openssl sees it with these roots.
    fn shown(&self, root: &str) -> String {
        let address = self.web.address().to_string();
        let ran = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &address,
                "-servername",
                "srv.test",
                "-verify_hostname",
                "srv.test",
                "-CAfile",
                root,
            ])
            .stdin(Stdio::null())
            .output()
            .expect("openssl runs");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }
}

#[test]
fn a_web_server_gets_its_certificates_from_a_ca_of_our_own() {
    let issuers = |folder: &Path| format!("{HOUSE}crl_file = \"{}/house.crl\"\n", folder.display());
    let Some(web) =
        Web::new("authority-web", &issuers, "issuer = \"house\"\nlifetime = \"10d\"\nrevoke_old = true\n")
    else {
        return;
    };
    let house = &web.house;
    // Nobody made the CA: it is said, and nothing is made silently.
    let early = house.ask(&["renew", "web", "--wait", "1s"]);
    assert!(
        early.code == 1
            && early.out.contains("was not made yet")
            && early.out.contains("notafter ca init house"),
        "{}\n{}",
        early.out,
        early.err
    );
    let rehearsed = house.ask(&["rehearse", "web"]);
    assert!(rehearsed.code == 1 && rehearsed.out.contains("was not made yet"), "{}", rehearsed.out);
    house.done(&["ca", "init"]);
    let rehearsed = house.ask(&["rehearse", "web"]);
    assert_eq!(rehearsed.code, 0, "{}", rehearsed.out);
    let root = house.root();
    // The renewal that waited goes on.
    let first = house.ask(&["renew", "web", "--json", "--wait", "90s"]);
    assert_eq!(first.code, 0, "{}\n{}", first.out, first.err);
    assert_eq!(json(&first)["state"], "proved");
    assert!(web.shown(&root).contains("Verify return code: 0 (ok)"), "{}", web.shown(&root));
    let leaf = std::fs::read(web.web.folder().join("tls/fullchain.pem")).expect("a chain");
    let second = house.ask(&["renew", "web", "--json"]);
    assert_eq!(
        (second.code, json(&second)["generation"].as_u64()),
        (0, Some(2)),
        "{}\n{}",
        second.out,
        second.err
    );
    assert!(web.shown(&root).contains("Verify return code: 0 (ok)"));
    // The one before is revoked, now that nothing uses it, and the list that everybody reads says so.
    let before = house.path("before.pem");
    std::fs::write(&before, leaf).expect("written");
    let (crl, now) =
        (house.path("house.crl"), web.web.folder().join("tls/fullchain.pem").to_string_lossy().into_owned());
    let check =
        |chain: &str| house.ask(&["verify", chain, "--roots", &root, "--name", "srv.test", "--crl", &crl]);
    assert_eq!(
        (check(&before).code, check(&now).code),
        (1, 0),
        "{}\n{}",
        check(&before).out,
        check(&now).out
    );
}

#[test]
fn who_wants_proof_needs_a_solver_and_says_so() {
    let acme = "[[issuer]]\nname = \"le\"\nkind = \"acme\"\ndirectory = \"https://ca.example/dir\"\n";
    let certificate =
        "[[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = [\"house\", \"le\"]\n";
    let house = House::new("authority-solver", &format!("{HOUSE}{acme}{certificate}"));
    let run = house.ask(&["config", "check"]);
    assert!(
        run.code == 2 && run.err.contains("it has no solver, and the issuer `le` wants to see"),
        "{}\n{}",
        run.out,
        run.err
    );
    assert!(run.err.contains("hint: solver = {"), "{}", run.err);
    std::fs::write(
        &house.config,
        format!("{HOUSE}{acme}{}", certificate.replace("[\"house\", \"le\"]", "\"house\"")),
    )
    .expect("written");
    let run = house.ask(&["config", "check"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
}

#[test]
fn the_server_makes_the_list_anew_by_itself() {
    let lab = Lab::new("authority-serve");
    let crl = lab.path().join("house.crl");
    let text = format!("{HOUSE}crl_file = \"{}\"\n", crl.display());
    let config = lab.path().join("notafter.toml");
    std::fs::write(&config, &text).expect("written");
    let (config, data) =
        (config.to_string_lossy().into_owned(), lab.path().join("data").to_string_lossy().into_owned());
    assert_eq!(run(&["ca", "init", "--config", &config, "--data", &data]).code, 0);
    // Made at once, so that nobody who trusts the root asks in vain.
    std::fs::remove_file(&crl).expect("it was there");
    let serving = Serving::start(&lab, &text);
    serving.until("the list", || crl.exists().then_some(()));
    assert!(openssl(lab.path(), &["crl", "-inform", "DER", "-in", "house.crl", "-noout", "-nextupdate"]).0);
    assert_eq!(json(&serving.ask(&["ca", "show", "--json"]))["trouble"], Value::Null);
}

#[test]
fn a_list_that_cannot_be_written_is_told() {
    let lab = Lab::new("authority-trouble");
    let text = format!("{HOUSE}crl_file = \"{}/no/such/folder/house.crl\"\n", lab.path().display());
    let config = lab.path().join("notafter.toml");
    std::fs::write(&config, &text).expect("written");
    let (config, data) =
        (config.to_string_lossy().into_owned(), lab.path().join("data").to_string_lossy().into_owned());
    let made = run(&["ca", "init", "--config", &config, "--data", &data]);
    assert!(made.code == 0 && made.err.contains("could not be written"), "{}", made.err);
    let serving = Serving::start(&lab, &text);
    serving.until("the trouble", || {
        let shown = json(&serving.ask(&["ca", "show", "--json"]));
        shown["trouble"].as_str().is_some_and(|t| t.contains("could not be written")).then_some(())
    });
}

#[test]
fn revoked_is_said_and_that_the_list_is_not_written_too() {
    let house = House::new("authority-unlisted", "");
    let text = format!("{HOUSE}crl_file = \"{}\"\n", house.path("lists/house.crl"));
    std::fs::write(&house.config, text).expect("written");
    assert_eq!(house.ask(&["ca", "init"]).code, 0);
    let out = house.lab.path().to_string_lossy().into_owned();
    let issued = house.done(&["ca", "issue", "--names", "a.test", "--out", &out]);
    let serial = issued["serial"].as_str().expect("a serial number").to_owned();
    let run = house.ask(&["ca", "revoke", "--serial", &serial, "--reason", "key-compromise"]);
    assert_eq!(run.code, 1, "{}\n{}", run.out, run.err);
    assert!(run.out.contains(&serial) && run.out.contains("is revoked"), "{}", run.out);
    assert!(run.err.contains("it is revoked, and the list") && run.err.contains("hint: "), "{}", run.err);
    let shown = house.done(&["ca", "show"]);
    assert_eq!(shown["revoked"][0]["serial"], serial.as_str(), "{shown:#}");
    // Mended, and asked again: it was revoked already, and now the list says so.
    std::fs::create_dir(house.path("lists")).expect("a folder");
    let again = house.done(&["ca", "revoke", "--serial", &serial]);
    assert_eq!((again["new"].as_bool(), &again["unlisted"]), (Some(false), &Value::Null), "{again:#}");
    let (read, text) = openssl(
        house.lab.path(),
        &["crl", "-inform", "DER", "-in", &house.path("lists/house.crl"), "-noout", "-text"],
    );
    assert!(read && text.contains("Key Compromise"), "{text}");
}

#[test]
fn issued_and_installed_nowhere_is_said_so() {
    let table = "[[certificate]]\nname = \"web\"\nnames = [\"a.test\"]\nissuer = \"house\"\n";
    let house = House::new("authority-nowhere", &format!("{HOUSE}{table}"));
    assert_eq!(house.ask(&["ca", "init"]).code, 0);
    let renewed = house.ask(&["renew", "web"]);
    assert_eq!(renewed.code, 0, "{}\n{}", renewed.out, renewed.err);
    assert!(renewed.out.contains("issued; installed nowhere"), "{}", renewed.out);
    assert!(!renewed.out.contains("seen in use"), "{}", renewed.out);
    assert_eq!(house.done(&["renew", "web"])["outcome"], "issued; installed nowhere");
    let nowhere = house.ask(&["deploy", "web"]);
    assert!(nowhere.code == 2 && nowhere.err.contains("has no target"), "{}", nowhere.err);
}

/// An office that signs what it is brought, by openssl ca.
struct Office(PathBuf);

impl Office {
    fn new(lab: &Lab) -> Self {
        let folder = lab.subfolder("office");
        std::fs::write(
            folder.join("ca.cnf"),
            "[ca]\ndefault_ca=office\n[office]\ndir=.\ndatabase=./index.txt\nnew_certs_dir=.\nserial=./serial\ncertificate=./ca.pem\nprivate_key=./ca.key\ndefault_md=sha256\ndefault_days=60\npolicy=any\ncopy_extensions=copy\nx509_extensions=leaf\nunique_subject=no\n[any]\ncommonName=optional\n[leaf]\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n",
        )
        .expect("written");
        std::fs::write(folder.join("index.txt"), "").expect("written");
        std::fs::write(folder.join("serial"), "1000\n").expect("written");
        let root = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "900",
            "-subj",
            "/CN=Office",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ];
        assert!(openssl(&folder, &root).0);
        Self(folder)
    }

    /// Signs a request; the certificate and the CA's behind it.
    fn sign(&self, request: &Path) -> String {
        let request = request.to_string_lossy();
        let (signed, said) = openssl(
            &self.0,
            &[
                "ca",
                "-batch",
                "-config",
                "ca.cnf",
                "-notext",
                "-subj",
                "/CN=srv.test",
                "-in",
                &request,
                "-out",
                "leaf.pem",
            ],
        );
        assert!(signed, "{said}");
        let read = |name: &str| std::fs::read_to_string(self.0.join(name)).expect(name);
        read("leaf.pem") + &read("ca.pem")
    }
}

fn by_hand(folder: &Path) -> String {
    std::fs::create_dir_all(folder.join("requests")).expect("a folder");
    format!("[[issuer]]\nname = \"office\"\nkind = \"csr\"\nfolder = \"{}/requests\"\n", folder.display())
}

fn the_request(house: &House) -> PathBuf {
    let list = std::fs::read_dir(house.lab.path().join("requests")).expect("the folder");
    let mut all: Vec<PathBuf> = list
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "csr"))
        .collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_reply_that_is_pasted_days_later_is_installed_and_seen_in_use() {
    let Some(web) = Web::new("authority-csr", &by_hand, "issuer = \"office\"\n") else { return };
    let (house, office) = (&web.house, Office::new(&web.house.lab));
    let run = house.ask(&["issuer", "reply", "web", "/dev/null"]);
    assert!(run.code == 2, "nothing is kept yet: {}", run.err);
    // Somebody is killed while it waits.
    let mut child = house
        .command(&["renew", "web"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let begun = Instant::now();
    let request = loop {
        let list = std::fs::read_dir(house.lab.path().join("requests")).expect("the folder");
        if list.filter_map(Result::ok).any(|e| e.path().extension().is_some_and(|e| e == "csr")) {
            break the_request(house);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no request");
        std::thread::sleep(Duration::from_millis(50));
    };
    std::thread::sleep(Duration::from_millis(500));
    child.kill().expect("killed");
    child.wait().expect("gone");
    let reply = house.path("reply.pem");
    for (text, words) in [
        (std::fs::read_to_string(office.0.join("ca.pem")).expect("a CA"), "CA certificates alone"),
        ("garbage".to_owned(), "no certificate that can be read"),
        (office.sign(&request)[..300].to_owned(), "no certificate that can be read"),
        ("x".repeat((1 << 20) + 1), "larger than 1024 KiB"),
    ] {
        std::fs::write(&reply, text).expect("written");
        let run = house.ask(&["issuer", "reply", "web", &reply]);
        assert!(run.code == 2 && run.err.contains(words), "{words}: {}", run.err);
    }
    let wrong = house.ask(&["issuer", "reply", "wbe", &reply]);
    assert!(wrong.code == 2 && wrong.err.contains("did you mean `web`?"), "{}", wrong.err);
    std::fs::write(&reply, office.sign(&request)).expect("written");
    let taken = house.done(&["issuer", "reply", "office", &reply]);
    assert_eq!((taken["certificate"].as_str(), taken["issuer"].as_str()), (Some("web"), Some("office")));
    std::fs::remove_file(&reply).expect("not needed any more");
    let renewed = house.ask(&["renew", "web", "--json", "--wait", "120s"]);
    assert_eq!(renewed.code, 0, "{}\n{}", renewed.out, renewed.err);
    assert_eq!(json(&renewed)["generation"], 1, "the renewal that was begun, and not another one");
    assert!(web.shown(&office.0.join("ca.pem").to_string_lossy()).contains("Verify return code: 0 (ok)"));
    let over = house.ask(&["issuer", "reply", "web", "/dev/null"]);
    assert!(over.code == 2 && over.err.contains("no request of `web` waits for a reply"), "{}", over.err);
}

#[test]
fn a_reply_that_is_dropped_into_the_folder_is_found_by_the_server() {
    let Some(web) = Web::new("authority-drop", &by_hand, "issuer = \"office\"\n") else { return };
    let (house, office) = (&web.house, Office::new(&web.house.lab));
    let waits = house.ask(&["renew", "web", "--json", "--wait", "1s"]);
    let document = json(&waits);
    assert_eq!((waits.code, document["state"].as_str()), (1, Some("waits-for-issuer")), "{}", waits.out);
    let request = the_request(house);
    let said = document["said"].as_str().unwrap_or_default();
    assert!(
        said.contains(&*request.to_string_lossy())
            && said.contains("since 20")
            && said.contains("notafter issuer reply office"),
        "{said}"
    );
    let text = std::fs::read_to_string(&house.config).expect("the configuration");
    let serving = Serving::start(&house.lab, &text);
    let part = request.with_file_name("reply.part");
    std::fs::write(&part, &office.sign(&request)[..200]).expect("written");
    std::fs::write(request.with_file_name("reply.cer"), office.sign(&request)).expect("dropped");
    let begun = Instant::now();
    while !web.shown(&office.0.join("ca.pem").to_string_lossy()).contains("Verify return code: 0 (ok)") {
        assert!(begun.elapsed() < Duration::from_secs(90), "{}", serving.words());
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What the server answers to a reply for `web`: the status, and the document.
fn bring(serving: &Serving, reply: &str) -> (u32, Value) {
    let token = std::fs::read_to_string(serving.folder.join("token")).expect("the token");
    let body = serde_json::json!({ "reply": reply }).to_string();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let ran = Command::new("curl")
        .args(["-sS", "--max-time", "20", "-w", "\n%{http_code}", "-H", &bearer])
        .args(["-H", "Content-Type: application/json", "-d", &body])
        .arg(format!("{}/api/v1/renewals/web/reply", serving.url()))
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (document, status) = text.rsplit_once('\n').expect("a status");
    let document = serde_json::from_str(document).unwrap_or_else(|e| panic!("{e}: {text}"));
    (status.parse().expect("a number"), document)
}

#[test]
fn a_reply_that_is_brought_to_the_server_is_installed_and_seen_in_use() {
    let Some(web) = Web::new("authority-brought", &by_hand, "issuer = \"office\"\n") else { return };
    let (house, office) = (&web.house, Office::new(&web.house.lab));
    let waits = house.ask(&["renew", "web", "--json", "--wait", "1s"]);
    assert_eq!(json(&waits)["state"], "waits-for-issuer", "{}\n{}", waits.out, waits.err);
    let request = the_request(house);
    let printed = house.ask(&["issuer", "request", "office"]);
    assert_eq!(printed.out, std::fs::read_to_string(&request).expect("the request"), "{}", printed.err);
    let text = std::fs::read_to_string(&house.config).expect("the configuration");
    let serving = Serving::start(&house.lab, &text);
    // What somebody would carry to the CA is what the API says.
    let shown = serving.until("the request in the API", || {
        let url = format!("{}/api/v1/renewals?name=web", serving.url());
        let ran = Command::new("curl").args(["-sS", &url]).output().expect("curl runs");
        let list: Value = serde_json::from_slice(&ran.stdout).ok()?;
        list["items"][0]["request"].as_str().map(str::to_owned)
    });
    assert_eq!(shown, std::fs::read_to_string(&request).expect("the request"));
    // Another key, half of it, something else: each is told, and it waits on.
    let other = office.0.join("other.csr");
    let make =
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=srv.test"];
    let make = [&make[..], &["-keyout", "other.key", "-out", "other.csr"]].concat();
    assert!(openssl(&office.0, &make).0);
    for (reply, words) in [
        (office.sign(&other), "is for another key than the one that asked"),
        (office.sign(&request)[..300].to_owned(), "holds no certificate that can be read"),
        (std::fs::read_to_string(office.0.join("ca.pem")).expect("a CA"), "CA certificates alone"),
        ("\u{1b}[2J <script>".to_owned(), "holds no certificate that can be read"),
    ] {
        let (status, document) = bring(&serving, &reply);
        assert!(
            status == 400 && document["detail"].as_str().is_some_and(|d| d.contains(words)),
            "{document}"
        );
        assert!(document["hint"].as_str().is_some_and(|h| h.contains("waits on")), "{document}");
    }
    let (status, document) = bring(&serving, &office.sign(&request));
    assert!(status == 200 && document["issuer"] == "office", "{document}");
    let root = office.0.join("ca.pem").to_string_lossy().into_owned();
    serving.until("it in use", || web.shown(&root).contains("Verify return code: 0 (ok)").then_some(()));
    serving.until("its end", || {
        let (status, document) = bring(&serving, "again");
        (status == 409 && document["detail"].as_str()?.contains("waits for no certificate")).then_some(())
    });
}

#[test]
fn a_reply_is_chosen_as_a_file_in_a_browser() {
    let Some(web) = Web::new("authority-browser", &by_hand, "issuer = \"office\"\n") else { return };
    let Some(browser) = need(Browser::start(390, false)) else { return };
    let (house, office) = (&web.house, Office::new(&web.house.lab));
    let waits = house.ask(&["renew", "web", "--json", "--wait", "1s"]);
    assert_eq!(json(&waits)["state"], "waits-for-issuer", "{}\n{}", waits.out, waits.err);
    let request = the_request(house);
    let text = std::fs::read_to_string(&house.config).expect("the configuration");
    let serving = Serving::start(&house.lab, &text);
    let page = format!("{}/renewals/web", serving.url());
    // Also what is folded away.
    let all = "return document.body.textContent";
    let words = || browser.script(all).as_str().unwrap_or_default().to_owned();
    serving.until("the request on its page", || {
        browser.go(&page);
        words().contains("-----BEGIN CERTIFICATE REQUEST-----").then_some(())
    });
    let count = "return document.querySelectorAll('input[type=file]').length";
    assert_eq!(browser.script(count), 0, "only who signed in may bring it");
    let printed = serving.words();
    browser.go(printed.split_whitespace().find(|w| w.contains("/sign-in/")).expect("a link is printed"));
    browser.click("main form button");
    serving.until("the page behind the sign-in", || (!browser.at().contains("/sign-in/")).then_some(()));
    let bring = |name: &str, text: &str| {
        let file = house.path(name);
        std::fs::write(&file, text).expect("written");
        browser.go(&page);
        browser.fill("input[type=file]", &file);
        browser.click("form.reply button");
    };
    bring("the CA alone \"; x=.pem", &std::fs::read_to_string(office.0.join("ca.pem")).expect("a CA"));
    serving.until("what is wrong with it", || words().contains("CA certificates alone").then_some(()));
    // As DER, which no text field could have held.
    std::fs::write(house.path("reply.pem"), office.sign(&request)).expect("written");
    let (pem, der) = (house.path("reply.pem"), house.path("reply.p7b"));
    let packed = ["crl2pkcs7", "-nocrl", "-certfile", &pem, "-outform", "DER", "-out", &der];
    assert!(openssl(&office.0, &packed).0);
    browser.go(&page);
    browser.fill("input[type=file]", &der);
    browser.click("form.reply button");
    let root = office.0.join("ca.pem").to_string_lossy().into_owned();
    serving.until("it in use", || web.shown(&root).contains("Verify return code: 0 (ok)").then_some(()));
    // Chromium says of the page that refused that it was one.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|said| said.contains("status of 400")), "{complaints:?}");
}
