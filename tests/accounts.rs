//! Accounts that certbot and lego really made at a CA go on here; acme.sh's is built from its documented layout.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;

use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::pebble::{self, Options, Pebble};
use notafter_lab::{Lab, NotRun, need, program};
use run::{Run, run};
use serde_json::Value;

struct House {
    lab: Lab,
    ca: Pebble,
    config: PathBuf,
    data: PathBuf,
}

impl House {
    fn new(name: &str) -> Option<Self> {
        let lab = Lab::new(name);
        let ca = need(pebble::start(&lab, &Options::default()))?;
        let (config, data) = (lab.path().join("notafter.toml"), lab.path().join("data"));
        Some(Self { lab, ca, config, data })
    }

    fn ask(&self, arguments: &[&str]) -> Run {
        let (config, data) = (self.config.to_string_lossy(), self.data.to_string_lossy());
        let mut all = arguments.to_vec();
        all.extend(["--config", &config, "--data", &data]);
        run(&all)
    }

    fn import(&self, folder: &Path, more: &[&str]) -> Run {
        let (folder, ca) = (folder.to_string_lossy(), self.ca.ca_file().to_string_lossy().into_owned());
        let mut all = vec!["issuer", "import", &folder, "--ca-file", &ca, "--yes", "--json"];
        all.extend(more);
        self.ask(&all)
    }

    /// Orders with what was imported; how many accounts the CA has.
    fn renews(&self) {
        let port = self.ca.http_port();
        let name = "localhost";
        let mut text = std::fs::read_to_string(&self.config).expect("the configuration");
        text.push_str(&format!(
            "[[certificate]]\nname = \"a\"\nnames = [\"a.test\"]\nissuer = \"{name}\"\n\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n"
        ));
        std::fs::write(&self.config, text).expect("written");
        let before = self.accounts();
        let renewed = self.ask(&["renew", "a", "--json"]);
        let document: Value =
            serde_json::from_str(&renewed.out).unwrap_or_else(|e| panic!("{e}: {}", renewed.err));
        assert_eq!(document["state"], "proved", "{document:#}");
        assert_eq!(self.accounts(), before, "the same account, and no other");
        assert_eq!(self.ca.issued(), 1);
    }

    /// How many accounts were made at the CA, by its log.
    fn accounts(&self) -> usize {
        let log = self.ca.log();
        log.lines().filter(|line| line.contains("There are now ") && line.contains(" accounts ")).count()
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

/// A program that is not on every machine.
fn there(name: &str) -> Result<(), NotRun> {
    let path = std::env::var("PATH").unwrap_or_default();
    match path.split(':').any(|folder| Path::new(folder).join(name).is_file()) {
        true => Ok(()),
        false => Err(NotRun::new(name, "it is not installed".to_owned())),
    }
}

#[test]
fn certbots_account_goes_on() {
    let Some(house) = House::new("account-certbot") else { return };
    if need(there("certbot")).is_none() {
        return;
    }
    let folder = house.lab.path().join("letsencrypt");
    let mut certbot = Command::new("certbot");
    certbot.env("REQUESTS_CA_BUNDLE", house.ca.ca_file());
    certbot.args([
        "register",
        "--non-interactive",
        "--agree-tos",
        "--email",
        "me@example.com",
        "--no-eff-email",
    ]);
    certbot.args(["--server", &house.ca.directory()]);
    for (flag, name) in [("--config-dir", "letsencrypt"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
        certbot.arg(flag).arg(house.lab.path().join(name));
    }
    program::run(&mut certbot).expect("certbot registers");

    let shown = house.import_shown(&folder);
    assert!(
        shown.out.contains("certbot") && shown.out.contains("RSA") && shown.out.contains("+[[issuer]]"),
        "{}",
        shown.out
    );
    assert!(!house.config.exists());
    let imported = house.import(&folder, &[]);
    assert_eq!(imported.code, 0, "{}\n{}", imported.out, imported.err);
    let document = json(&imported);
    assert_eq!(document["taken"]["client"], "certbot");
    assert_eq!(document["taken"]["directory"], house.ca.directory().as_str());
    assert!(
        document["account"].as_str().is_some_and(|url| url.starts_with("https://localhost:")),
        "{document:#}"
    );
    assert_eq!(
        json(&house.import(&folder, &["--issuer", "localhost"]))["account"],
        document["account"],
        "twice is once"
    );
    // The key is sealed: nothing of it lies in the memory in the clear.
    let kept = std::fs::read(house.data.join("notafter.db")).expect("the memory");
    assert!(!kept.windows(5).any(|w| w == b"\"key\"") && !kept.windows(11).any(|w| w == b"PRIVATE KEY"));
    house.renews();
}

impl House {
    fn import_shown(&self, folder: &Path) -> Run {
        let ca = self.ca.ca_file().to_string_lossy().into_owned();
        let shown = self.ask(&["issuer", "import", &folder.to_string_lossy(), "--ca-file", &ca, "--dry-run"]);
        assert_eq!(shown.code, 0, "{}\n{}", shown.out, shown.err);
        shown
    }
}

#[test]
fn legos_account_goes_on() {
    let Some(house) = House::new("account-lego") else { return };
    if need(there("lego")).is_none() {
        return;
    }
    let folder = house.lab.subfolder("lego");
    let mut lego = Command::new("lego");
    lego.env("LEGO_CA_CERTIFICATES", house.ca.ca_file());
    // It registers first; the order fails where nobody answers for the name, which is as good.
    lego.args([
        "--accept-tos",
        "--email",
        "me@example.com",
        "--domains",
        "blocked.test",
        "--http",
        "--http.port",
        "127.0.0.1:1",
    ]);
    lego.args(["--server", &house.ca.directory(), "--path"]).arg(&folder).arg("run");
    let _ = program::run(&mut lego);
    // Its folders name a host and no path: the directory has to be said.
    let unsaid = house.import(&folder, &[]);
    assert!(unsaid.code == 2 && unsaid.err.contains("--directory"), "{}\n{}", unsaid.out, unsaid.err);
    let imported = house.import(&folder, &["--directory", &house.ca.directory()]);
    assert_eq!(imported.code, 0, "{}\n{}", imported.out, imported.err);
    let document = json(&imported);
    assert_eq!(
        (&document["taken"]["client"], &document["taken"]["contact"][0]),
        (&"lego".into(), &"me@example.com".into())
    );
    assert!(
        house.ask(&["config", "check"]).out.contains("right"),
        "{}",
        std::fs::read_to_string(&house.config).expect("read")
    );
    house.renews();
}

/// `ca/HOST/PATH/account.key` with `ca.conf` and `account.json`, as acme.sh 3 documents and writes it.
#[test]
fn acme_shs_account_goes_on_and_offline_too() {
    let Some(house) = House::new("account-acme-sh") else { return };
    // An account that exists: made here, its key then laid out as acme.sh would.
    let made = house.lab.subfolder("made");
    let mut openssl = Command::new("openssl");
    openssl.args(["ecparam", "-name", "prime256v1", "-genkey", "-out"]).arg(made.join("account.key"));
    program::run(&mut openssl).expect("openssl makes a key");
    let folder = house.lab.path().join("acme.sh/ca/localhost/dir");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::copy(made.join("account.key"), folder.join("account.key")).expect("copied");
    let host = house.ca.directory().replace("/dir", "");
    std::fs::write(
        folder.join("ca.conf"),
        format!("ACCOUNT_URL='{host}/my-account/1'\nCA_EMAIL='me@example.com'\n"),
    )
    .expect("written");
    std::fs::write(
        folder.join("account.json"),
        "{\"status\":\"valid\",\"contact\":[\"mailto:me@example.com\"]}",
    )
    .expect("written");

    // The CA does not know it yet, and says so.
    let root = house.lab.path().join("acme.sh");
    let unknown = house.import(&root, &[]);
    assert!(
        unknown.code == 2 && unknown.err.contains("knows none of the 1 account keys"),
        "{}\n{}",
        unknown.out,
        unknown.err
    );
    assert!(!house.config.exists(), "nothing was added");
    // Not asked, it is taken as it is; the first order makes the account with this key, and with no other.
    let imported = house.import(&root, &["--offline"]);
    assert_eq!(imported.code, 0, "{}\n{}", imported.out, imported.err);
    let document = json(&imported);
    assert_eq!(
        document["taken"]["directory"],
        house.ca.directory().as_str(),
        "the port is that of the account's address"
    );
    assert_eq!(document["account"], Value::Null);
    let text = std::fs::read_to_string(&house.config).expect("the configuration");
    assert!(text.contains("contact = \"me@example.com\""), "{text}");
    let port = house.ca.http_port();
    std::fs::write(
        &house.config,
        format!(
            "{text}[[certificate]]\nname = \"a\"\nnames = [\"a.test\"]\nissuer = \"localhost\"\n\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n"
        ),
    )
    .expect("written");
    let renewed = house.ask(&["renew", "a", "--json"]);
    assert_eq!(renewed.code, 0, "{}\n{}", renewed.out, renewed.err);
    // Now the CA knows it, and another data folder may take it over with being asked.
    let other = house.lab.path().join("other");
    let known = run(&[
        "issuer",
        "import",
        &root.to_string_lossy(),
        "--yes",
        "--json",
        "--config",
        &house.config.to_string_lossy(),
        "--data",
        &other.to_string_lossy(),
    ]);
    assert_eq!(known.code, 0, "{}\n{}", known.out, known.err);
    assert!(json(&known)["account"].is_string() && json(&known)["toml"].is_null(), "{}", known.out);
}
