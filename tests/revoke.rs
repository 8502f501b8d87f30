//! A certificate is taken back at a real CA: not while it is in use, once it is not, and after a key compromise at once
//! with another one behind it.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;

use std::path::PathBuf;

use notafter_lab::pebble::{self, Pebble};
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, Server, need};
use run::{Run, run};
use serde_json::Value;

struct House {
    _lab: Lab,
    ca: Pebble,
    web: Server,
    config: PathBuf,
    data: PathBuf,
}

impl House {
    fn new(name: &str) -> Option<Self> {
        let lab = Lab::new(name);
        let authority = Authority::new(&lab);
        let ca = need(pebble::start(&lab, &pebble::Options::default()))?;
        let web = need(nginx::start(&lab, &authority.issue(&Request::server().days(20))))?;
        let tls = web.folder().join("tls");
        let port = ca.http_port();
        let text = format!(
            "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
             [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"4s\"\n\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
             [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
             reload = [\"kill\", \"-HUP\", \"{}\"]\nprove = [\"tls://{}?sni=srv.test\"]\n",
            ca.directory(),
            ca.ca_file().display(),
            web.pid().unwrap_or(0),
            web.address(),
            tls = tls.display(),
        );
        let config = lab.path().join("notafter.toml");
        std::fs::write(&config, text).expect("written");
        let data = lab.path().join("data");
        Some(Self { _lab: lab, ca, web, config, data })
    }

    fn ask(&self, arguments: &[&str]) -> Run {
        let (config, data) = (self.config.to_string_lossy(), self.data.to_string_lossy());
        let mut all = arguments.to_vec();
        all.extend(["--config", &config, "--data", &data]);
        run(&all)
    }

    /// What the CA itself says of a serial number: status and reason.
    fn status(&self, serial: &str) -> (String, Option<u64>) {
        let body =
            self.ca.manage("GET", &format!("/cert-status-by-serial/{serial}"), "").expect("the CA says");
        let value: Value = serde_json::from_str(&body).expect("JSON");
        (value["Status"].as_str().unwrap_or_default().to_owned(), value["Reason"].as_u64())
    }

    fn audit(&self) -> String {
        let ran = self.ask(&["export", "--as", "json"]);
        let _ = ran;
        let kept = std::fs::read(self.data.join("notafter.db")).expect("the memory");
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// The serial number in the file that the server reads.
    fn serial(&self) -> String {
        let file = self.web.folder().join("tls/fullchain.pem");
        let shown = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-serial", "-in"])
            .arg(file)
            .output();
        let shown = String::from_utf8_lossy(&shown.expect("openssl runs").stdout).to_ascii_lowercase();
        shown.trim().trim_start_matches("serial=").to_owned()
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

#[test]
fn not_in_use_then_revoked_and_twice_is_once() {
    let Some(house) = House::new("revoke") else { return };
    let nothing = house.ask(&["revoke", "web", "--reason", "superseded", "--yes"]);
    assert!(nothing.code == 2 && nothing.err.contains("nothing was issued"), "{}", nothing.err);
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    let first = house.serial();

    let refused = house.ask(&["revoke", "web", "--reason", "superseded", "--yes"]);
    assert!(
        refused.code == 2 && refused.err.contains("still in use") && refused.err.contains("--in-use"),
        "{}",
        refused.err
    );
    assert_eq!(house.status(&first).0, "Valid");
    for (reason, says) in [("certificateHold", "for a CA to say"), ("stolen", "no reason of RFC 5280")] {
        let wrong = house.ask(&["revoke", "web", "--reason", reason, "--yes"]);
        assert!(wrong.code == 2 && wrong.err.contains(says), "{}", wrong.err);
    }

    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    assert_ne!(house.serial(), first);
    // Nobody is there to be asked.
    let unasked = house.ask(&["revoke", "web", "--generation", "1", "--reason", "superseded"]);
    assert!(unasked.code == 2 && unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(house.status(&first).0, "Valid");
    let done =
        house.ask(&["revoke", "web", "--generation", "1", "--reason", "superseded", "--yes", "--json"]);
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    assert_eq!(
        (json(&done)["revoked"].as_bool(), json(&done)["reason"].as_str()),
        (Some(true), Some("superseded"))
    );
    assert_eq!(house.status(&first), ("Revoked".to_owned(), Some(4)));
    let again = house.ask(&["revoke", "web", "--serial", &first, "--reason", "superseded", "--yes"]);
    assert_eq!(again.code, 0, "revoked already is done: {}\n{}", again.out, again.err);
    let trail = house.audit();
    assert!(trail.contains("revoking") && trail.contains(&first), "it stands in the audit trail");
    // The one in use was not touched.
    assert_eq!(house.status(&house.serial()).0, "Valid");
    assert_eq!(house.ask(&["prove", "web"]).code, 0);
}

#[test]
fn a_compromised_key_is_revoked_and_replaced() {
    let Some(house) = House::new("revoke-compromise") else { return };
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    let (first, key) =
        (house.serial(), std::fs::read(house.web.folder().join("tls/key.pem")).expect("the key"));
    let refused = house.ask(&["revoke", "web", "--reason", "keyCompromise", "--yes"]);
    assert!(refused.code == 2 && refused.err.contains("replaced right after"), "{}", refused.err);
    let done = house.ask(&["revoke", "web", "--reason", "keyCompromise", "--in-use", "--yes", "--json"]);
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    let document = json(&done);
    assert_eq!(document["renewal"]["state"], "proved", "{document:#}");
    assert_eq!(house.status(&first), ("Revoked".to_owned(), Some(1)));
    assert_ne!(house.serial(), first);
    assert_ne!(std::fs::read(house.web.folder().join("tls/key.pem")).expect("the key"), key, "a new key");
    assert_eq!(house.status(&house.serial()).0, "Valid");

    // What was revoked is not installed again.
    let newest = house.ask(&["revoke", "web", "--reason", "cessationOfOperation", "--in-use", "--yes"]);
    assert_eq!(newest.code, 0, "{}\n{}", newest.out, newest.err);
    let deployed = house.ask(&["deploy", "web"]);
    assert!(deployed.code == 2 && deployed.err.contains("is revoked"), "{}\n{}", deployed.out, deployed.err);
}

#[test]
fn a_file_must_be_one_of_its_own() {
    let Some(house) = House::new("revoke-file") else { return };
    let authority = Authority::new(&house._lab);
    let other = authority.issue(&Request::new(&["other.test"]));
    let path = other.cert_pem.to_string_lossy().into_owned();
    let refused = house.ask(&["revoke", "web", "--file", &path, "--reason", "superseded", "--yes"]);
    assert!(refused.code == 2 && refused.err.contains("is for none of these"), "{}", refused.err);
    // One of its names from another CA: this one says no, in its own words, and nothing is claimed.
    let stranger = authority.issue(&Request::server());
    let path = stranger.cert_pem.to_string_lossy().into_owned();
    let refused = house.ask(&["revoke", "web", "--file", &path, "--reason", "superseded", "--yes"]);
    assert!(refused.code == 1 && !refused.out.contains("revoked:"), "{}\n{}", refused.out, refused.err);
}

/// A compromised key is no better because a newer one is issued already: it is in use until that one is installed.
#[test]
fn a_compromised_key_that_is_not_the_newest_is_replaced_where_it_is_in_use() {
    let Some(house) = House::new("revoke-older") else { return };
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    let first = house.serial();
    // The second waits for a window: the day after tomorrow, counted from a Thursday.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let day = (now.as_secs() / 86_400 + 4 + 2) % 7;
    let mut text = std::fs::read_to_string(&house.config).expect("the configuration");
    text.push_str(&format!("[[window]]\ncron = \"0 12 * * {day}\"\nduration = \"1h\"\n"));
    std::fs::write(&house.config, text).expect("written");
    let second = house.ask(&["renew", "web", "--json", "--wait", "8s"]);
    assert_eq!(json(&second)["state"], "waits-for-window", "{}\n{}", second.out, second.err);
    assert_eq!(house.serial(), first);

    let arguments =
        ["revoke", "web", "--generation", "1", "--reason", "keyCompromise", "--in-use", "--yes", "--json"];
    let done = house.ask(&arguments);
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    let document = json(&done);
    assert_eq!(
        (document["renewal"]["state"].as_str(), document["renewal"]["generation"].as_u64()),
        (Some("proved"), Some(2)),
        "{document:#}"
    );
    assert_eq!(house.status(&first), ("Revoked".to_owned(), Some(1)));
    assert_ne!(house.serial(), first);
}

#[test]
fn the_certificates_own_key_takes_it_back_and_the_account_gets_another() {
    let Some(house) = House::new("revoke-key") else { return };
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    let first = house.serial();
    let wrong = house.ask(&["issuer", "rollover", "pebbel", "--yes"]);
    assert!(wrong.code == 2 && wrong.err.contains("did you mean `pebble`?"), "{}", wrong.err);
    let changed = house.ask(&["issuer", "rollover", "pebble", "--key", "ecdsa-p384", "--yes", "--json"]);
    assert_eq!((changed.code, json(&changed)["changed"].as_bool()), (0, Some(true)), "{}", changed.err);
    // The same account goes on with it.
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    assert_ne!(house.serial(), first);
    let arguments = ["revoke", "web", "--generation", "1", "--reason", "superseded", "--with-key", "--yes"];
    let done = house.ask(&arguments);
    assert_eq!(done.code, 0, "{}\n{}", done.out, done.err);
    assert_eq!(house.status(&first), ("Revoked".to_owned(), Some(4)));
}
