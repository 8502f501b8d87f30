//! A certificate is replaced by the real binary: a real CA validates, a real nginx loads, and only what was seen in use counts.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notafter_lab::pebble::{self, Pebble};
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, Server, need};
use run::{Run, run};
use serde_json::Value;
use serving::Serving;

/// A CA, a server, and a configuration that keeps the server's certificate alive.
struct House {
    lab: Lab,
    _ca: Pebble,
    web: Server,
    config: PathBuf,
    data: PathBuf,
}

/// How the one target is written, beyond its files.
type Ways<'a> = &'a dyn Fn(&Server) -> String;

fn reload(web: &Server) -> String {
    format!("reload = [\"kill\", \"-HUP\", \"{}\"]\n", web.pid().unwrap_or(0))
}

impl House {
    fn new(name: &str, ways: Ways<'_>, more: &str) -> Option<Self> {
        let lab = Lab::new(name);
        let authority = Authority::new(&lab);
        let ca = need(pebble::start(&lab, &pebble::Options::default()))?;
        let web = need(nginx::start(&lab, &authority.issue(&Request::server().days(20))))?;
        let tls = web.folder().join("tls");
        let port = ca.http_port();
        let text = format!(
            "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
             [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"4s\"\n{more}\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
             [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
             prove = [\"tls://{}?sni=srv.test\"]\n{}",
            ca.directory(),
            ca.ca_file().display(),
            web.address(),
            ways(&web),
            tls = tls.display(),
        );
        let config = lab.path().join("notafter.toml");
        std::fs::write(&config, text).expect("written");
        let data = lab.path().join("data");
        Some(Self { lab, _ca: ca, web, config, data })
    }

    fn ask(&self, arguments: &[&str]) -> Run {
        let (config, data) = (self.config.to_string_lossy(), self.data.to_string_lossy());
        let mut all = arguments.to_vec();
        all.extend(["--config", &config, "--data", &data]);
        run(&all)
    }

    fn files(&self) -> (Vec<u8>, Vec<u8>) {
        let tls = self.web.folder().join("tls");
        let read = |name: &str| std::fs::read(tls.join(name)).expect(name);
        (read("fullchain.pem"), read("key.pem"))
    }

    /// Somebody puts other files there by hand, and has them loaded.
    fn put_back(&self, (certificate, key): &(Vec<u8>, Vec<u8>)) {
        let tls = self.web.folder().join("tls");
        std::fs::write(tls.join("fullchain.pem"), certificate).expect("written");
        std::fs::write(tls.join("key.pem"), key).expect("written");
        let pid = self.web.pid().unwrap_or(0).to_string();
        let reloaded = std::process::Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs");
        assert!(reloaded.success());
        let begun = std::time::Instant::now();
        while self.issuer().contains("Pebble") && begun.elapsed().as_secs() < 10 {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    /// The issuer of what a client of its own kind is shown, by openssl.
    fn issuer(&self) -> String {
        self.web.settled();
        let address = self.web.address().to_string();
        let shown = std::process::Command::new("sh")
            .args(["-c", "openssl s_client -connect \"$1\" -servername srv.test </dev/null 2>/dev/null | openssl x509 -noout -issuer", "-", &address])
            .output()
            .expect("openssl runs");
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

fn modes(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).map_or(0, |m| m.permissions().mode() & 0o777)
}

#[test]
fn renewed_is_what_was_seen_in_use() {
    let Some(house) = House::new("renew", &reload, "") else { return };
    assert!(!house.issuer().contains("Pebble"));
    let renewed = house.ask(&["renew", "web", "--json"]);
    assert_eq!(renewed.code, 0, "{}\n{}", renewed.out, renewed.err);
    let document = json(&renewed);
    assert_eq!(document["state"], "proved");
    let places = document["targets"][0]["places"].as_array().expect("places");
    assert!(
        places.iter().any(|p| p["location"].as_str().is_some_and(|l| l.starts_with("tls://"))),
        "{places:?}"
    );
    assert!(places.iter().all(|p| p["proofs"].as_array().is_some_and(|p| !p.is_empty())), "{places:?}");
    assert!(house.issuer().contains("Pebble"), "{}", house.issuer());
    // The master key and nothing of the private key lie in the data folder for others to read.
    assert_eq!(modes(&house.data.join("master.key")), 0o600);
    let kept = std::fs::read(house.data.join("notafter.db")).expect("the memory");
    assert!(!kept.windows(11).any(|w| w == b"PRIVATE KEY"));

    let proved = house.ask(&["prove", "web", "--json"]);
    assert_eq!((proved.code, json(&proved)["proved"].as_bool()), (0, Some(true)), "{}", proved.out);
    // Deployed again without a new one; and renewed again, with a new key.
    let before = house.files();
    let again = house.ask(&["deploy", "web"]);
    assert_eq!(again.code, 0, "{}\n{}", again.out, again.err);
    assert_eq!(house.files(), before);
    let second = house.ask(&["renew", "web", "--json"]);
    assert_eq!(
        (second.code, json(&second)["generation"].as_u64()),
        (0, Some(2)),
        "{}\n{}",
        second.out,
        second.err
    );
    assert_ne!(house.files(), before);
}

#[test]
fn a_reload_that_does_nothing_is_caught_and_what_was_there_is_put_back() {
    let Some(house) = House::new("renew-still", &|_| "reload = [\"true\"]\n".into(), "") else { return };
    let before = house.files();
    let run = house.ask(&["renew", "web", "--json"]);
    assert_eq!(run.code, 1, "{}", run.out);
    let document = json(&run);
    assert_eq!(document["state"], "waits-for-person");
    let said = document["said"].as_str().unwrap_or_default();
    assert!(said.contains("still shows the certificate before") && said.contains("put back"), "{said}");
    assert_eq!(house.files(), before, "the pair before is in force again");
    let proved = house.ask(&["prove", "web"]);
    assert_eq!(proved.code, 1, "{}", proved.out);
}

#[test]
fn a_check_that_fails_changes_nothing() {
    let ways = |web: &Server| format!("check = [\"false\"]\n{}", reload(web));
    let Some(house) = House::new("renew-check", &ways, "") else { return };
    let before = house.files();
    let run = house.ask(&["renew", "web", "--json", "--wait", "1s"]);
    assert_eq!(run.code, 1, "{}", run.out);
    assert_eq!(house.files(), before);
    assert!(!house.issuer().contains("Pebble"));
    let _ = &house.lab;
}

/// Certificates of eighty seconds, renewed by the server over and over, and a client that asks all the while.
#[test]
fn the_server_renews_by_itself_and_nobody_who_connects_notices() {
    let lab = Lab::new("renew-serve");
    let authority = Authority::new(&lab);
    let options = pebble::Options { profiles: vec![("tiny".to_owned(), 80)], ..pebble::Options::default() };
    let Some(ca) = need(pebble::start(&lab, &options)) else { return };
    let Some(web) = need(nginx::start(&lab, &authority.issue(&Request::server().seconds(60)))) else {
        return;
    };
    let (tls, port) = (web.folder().join("tls"), ca.http_port());
    let config = format!(
        "[[source]]\nkind = \"network\"\ntargets = [\"tls://{0}?sni=srv.test\"]\nevery = \"5s\"\n\
         [[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{1}\"\nca_file = \"{2}\"\n\
         [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\nprofile = \"tiny\"\n\
         solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
         [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
         prove = [\"tls://{0}?sni=srv.test\"]\n{3}",
        web.address(),
        ca.directory(),
        ca.ca_file().display(),
        reload(&web),
        tls = tls.display(),
    );
    let serving = Serving::start(&lab, &config);
    let over = Arc::new(AtomicBool::new(false));
    let (stop, address) = (Arc::clone(&over), web.address());
    // A handshake that fails, or a certificate that has ended, would be somebody's outage.
    let client = std::thread::spawn(move || {
        let (mut asked, mut dropped) = (0_u32, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let shown = std::process::Command::new("sh")
                .args(["-c", "openssl s_client -connect \"$1\" -servername srv.test </dev/null 2>&1 | openssl x509 -noout -checkend 0 2>&1", "-", &address.to_string()])
                .output()
                .expect("openssl runs");
            asked += 1;
            if !shown.status.success() {
                dropped.push(String::from_utf8_lossy(&shown.stdout).into_owned());
            }
        }
        (asked, dropped)
    });
    let proved = || {
        let audit = serving.ask(&["prove", "web", "--json"]);
        let generation = serde_json::from_str::<Value>(&audit.out).ok()?["generation"].as_u64()?;
        (generation >= 2 && audit.code == 0).then_some(generation)
    };
    let begun = std::time::Instant::now();
    let mut generation = None;
    while generation.is_none() && begun.elapsed().as_secs() < 150 {
        generation = proved();
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    over.store(true, Ordering::Relaxed);
    let (asked, dropped) = client.join().expect("the client ends");
    assert!(generation.is_some(), "{}", serving.words());
    assert!(
        asked > 20 && dropped.is_empty(),
        "{asked} asked, {} dropped: {:?}",
        dropped.len(),
        dropped.first()
    );
}

#[test]
fn a_rehearsal_says_what_would_go_wrong_and_touches_nothing() {
    let Some(house) = House::new("renew-rehearsal", &reload, "") else { return };
    let before = house.files();
    let run = house.ask(&["rehearse", "web", "--json"]);
    let document = json(&run);
    assert_eq!((run.code, document[0]["would_renew"].as_bool()), (0, Some(true)), "{}\n{}", run.out, run.err);
    assert_eq!(house.files(), before);
    std::fs::remove_dir_all(house.web.folder().join("tls")).expect("removed");
    let run = house.ask(&["rehearse", "web"]);
    assert!(run.code == 1 && run.out.contains("would renew today: no"), "{}\n{}", run.out, run.err);
}

/// Whoever renews and whoever answers the CA are two processes here: the server answers for both.
#[test]
fn the_server_answers_the_ca() {
    let lab = Lab::new("renew-answer");
    let Some(ca) = need(pebble::start(&lab, &pebble::Options::default())) else { return };
    let (port, folder) = (ca.http_port(), lab.path().join("tls"));
    std::fs::create_dir(&folder).expect("a folder");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[[source]]\nkind = \"files\"\npaths = [\"{tls}\"]\n\
         [[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
         [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\n\
         solver = {{ kind = \"http-01\", server = true, port = {port}, address = \"127.0.0.1\" }}\n\
         [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/web.pem\"\nkey = \"{tls}/web.key\"\n",
        ca.directory(),
        ca.ca_file().display(),
        tls = folder.display(),
    );
    let file = lab.path().join("answers.toml");
    std::fs::write(&file, config).expect("written");
    let serving = Serving::on(lab.path(), lab.path().join("data"), file);
    serving.until("a certificate", || folder.join("web.pem").exists().then_some(()));
    let first = std::fs::read(folder.join("web.pem")).expect("the first");
    let run = serving.ask(&["renew", "web", "--json"]);
    assert_eq!(run.code, 0, "{}\n{}", run.out, run.err);
    assert_ne!(std::fs::read(folder.join("web.pem")).expect("the second"), first);
    // What nobody shows is not there, by whatever name one comes, and nothing else opens by such names.
    let asked = |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let out = std::process::Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: srv.test", &url])
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert_eq!(asked("/.well-known/acme-challenge/nothing"), "404");
    assert_eq!(asked("/.well-known/acme-challenge/..%2f..%2fapi"), "404");
    assert_eq!(asked("/"), "421");
}

/// What this program may not write: the pair is laid out, a person installs it, and what is seen ticks itself off.
#[test]
fn a_person_installs_and_the_runbook_ticks_itself_off() {
    let lab = Lab::new("renew-hand");
    let authority = Authority::new(&lab);
    let Some(ca) = need(pebble::start(&lab, &pebble::Options::default())) else { return };
    let Some(mut web) = need(nginx::start(&lab, &authority.issue(&Request::server().days(20)))) else {
        return;
    };
    let (tls, stage, port) = (web.folder().join("tls"), lab.subfolder("stage"), ca.http_port());
    let place = format!("tls://{}?sni=srv.test", web.address());
    let config = format!(
        "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
         [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\n\
         solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
         [[certificate.target]]\nkind = \"hand\"\nname = \"the box\"\nprove = [\"{place}\"]\n\
         files = {{ certificate = \"{stage}/web.pem\", key = \"{stage}/web.key\" }}\n\
         steps = [\"upload both at System > TLS\", \"press Apply\"]\n",
        ca.directory(),
        ca.ca_file().display(),
        stage = stage.display(),
    );
    let file = lab.path().join("notafter.toml");
    std::fs::write(&file, &config).expect("written");
    let data = lab.path().join("data");
    let ask = |arguments: &[&str]| {
        let (config, data) = (file.to_string_lossy().into_owned(), data.to_string_lossy().into_owned());
        run(&[arguments, &["--config", &config, "--data", &data]].concat())
    };
    let before = ask(&["runbook", "web"]);
    assert!(
        before.code == 1 && before.out.contains("nothing was issued yet"),
        "{}{}",
        before.out,
        before.err
    );
    let renewed = ask(&["renew", "web", "--json", "--wait", "5s"]);
    assert_eq!(
        (renewed.code, json(&renewed)["state"].as_str()),
        (1, Some("waits-for-proof")),
        "{}",
        renewed.out
    );
    assert_eq!(modes(&stage.join("web.key")), 0o600);
    let lines = |run: &Run| -> Vec<(String, bool)> {
        let document = json(run);
        let lines = document["lines"].as_array().into_iter().flatten();
        lines.map(|l| (l["what"].as_str().unwrap_or_default().to_owned(), l["done"] == true)).collect()
    };
    let of = |ticks: [bool; 4]| -> Vec<(String, bool)> {
        ["stage", "do", "do", "verify"].iter().map(|w| (*w).to_owned()).zip(ticks).collect()
    };
    let open = ask(&["runbook", "web", "--json"]);
    assert_eq!((open.code, lines(&open)), (1, of([true, false, false, false])), "{}", open.out);
    // The person does it.
    for (from, to) in [("web.pem", "fullchain.pem"), ("web.key", "key.pem")] {
        std::fs::copy(stage.join(from), tls.join(to)).expect("installed");
    }
    web.reload().expect("nginx reloads");
    let done = ask(&["runbook", "web", "--json"]);
    assert_eq!((done.code, lines(&done)), (0, of([true; 4])), "{}", done.out);
    let closed = ask(&["prove", "web"]);
    assert_eq!(closed.code, 0, "{}", closed.out);

    // A target that is seen nowhere would never end.
    std::fs::write(&file, config.replace(&format!("prove = [\"{place}\"]\n"), "")).expect("written");
    let check = ask(&["config", "check"]);
    assert!(check.code == 2 && check.err.contains("seen nowhere"), "{}{}", check.out, check.err);
}

/// The witness: what somebody else's renewer wrote has to be in use, and nothing is configured for it.
#[test]
fn what_somebody_else_renewed_is_proved_from_outside() {
    let lab = Lab::new("renew-witness");
    let authority = Authority::new(&lab);
    let Some(mut web) = need(nginx::start(&lab, &authority.issue(&Request::server().days(20)))) else {
        return;
    };
    let file = web.folder().join("tls/fullchain.pem").display().to_string();
    let place = format!("tls://{}?sni=srv.test", web.address());
    let data = lab.path().join("data").display().to_string();
    let prove = |more: &[&str]| run(&[&["prove", file.as_str(), "--data", data.as_str()], more].concat());
    let fits = prove(&[&place, "--json"]);
    assert_eq!((fits.code, json(&fits)["proved"].as_bool()), (0, Some(true)), "{}{}", fits.out, fits.err);
    // Where it is in use is not known before anybody looked.
    let unknown = prove(&[]);
    assert!(unknown.code == 2 && unknown.err.contains("not known where"), "{}{}", unknown.out, unknown.err);
    let saved = run(&["scan", &place, "--save", "--data", &data]);
    assert_eq!(saved.code, 0, "{}", saved.err);
    // Renewed in the file alone: by the inventory it is still the other one.
    web.replace(&authority.issue(&Request::server().days(80))).expect("written");
    let still = prove(&[]);
    assert!(still.code == 1 && still.out.contains(&place), "{}{}", still.out, still.err);
    web.reload().expect("nginx reloads");
    let proved = prove(&[]);
    assert_eq!(proved.code, 0, "{}{}", proved.out, proved.err);
}

/// The server rehearses by itself, and a no is a finding weeks before the day.
#[test]
fn the_server_rehearses_and_says_what_would_go_wrong() {
    let lab = Lab::new("renew-rehearses");
    let authority = Authority::new(&lab);
    let Some(ca) = need(pebble::start(&lab, &pebble::Options::default())) else { return };
    let Some(web) = need(nginx::start(&lab, &authority.issue(&Request::server().days(80)))) else { return };
    let (tls, port) = (web.folder().join("tls"), ca.http_port());
    let config = format!(
        "[[source]]\nkind = \"files\"\npaths = [\"{tls}\"]\nevery = \"5s\"\n\
         [[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
         [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\n\
         solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
         [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
         check = [\"false\"]\n",
        ca.directory(),
        ca.ca_file().display(),
        tls = tls.display(),
    );
    let serving = Serving::start(&lab, &config);
    // What it says of itself is read once a minute.
    let begun = std::time::Instant::now();
    let mut found = String::new();
    while !found.contains("renewal-failing") && begun.elapsed().as_secs() < 150 {
        std::thread::sleep(std::time::Duration::from_secs(2));
        found = serving.ask(&["ls", "--findings", "--json"]).out;
    }
    assert!(found.contains("it would not renew"), "{found}\n{}", serving.words());
    assert_eq!(ca.issued(), 0, "nothing was ordered in earnest");
}

/// A keystore is read again with the password that its own target says, and by `prove FILE` as well.
#[test]
fn a_keystore_is_proved_with_the_password_of_its_target() {
    let lab = Lab::new("renew-store");
    let Some(ca) = need(pebble::start(&lab, &pebble::Options::default())) else { return };
    let (folder, port) = (lab.subfolder("tls"), ca.http_port());
    let secret = lab.path().join("password");
    std::fs::write(&secret, "un guess able").expect("written");
    let config = format!(
        "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
         [[certificate]]\nname = \"it\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\n\
         solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
         [[certificate.target]]\nkind = \"files\"\n\
         pkcs12 = {{ path = \"{at}/api.p12\", password = {{ file = \"{word}\" }} }}\n\
         jks = {{ path = \"{at}/api.jks\", password = {{ file = \"{word}\" }} }}\n",
        ca.directory(),
        ca.ca_file().display(),
        word = secret.display(),
        at = folder.display(),
    );
    let file = lab.path().join("notafter.toml");
    std::fs::write(&file, config).expect("written");
    let (config, data) = (file.display().to_string(), lab.path().join("data").display().to_string());
    let ask = |words: &[&str]| run(&[words, &["--config", &config, "--data", &data]].concat());
    let renewed = ask(&["renew", "it", "--json"]);
    assert_eq!((renewed.code, json(&renewed)["state"].as_str()), (0, Some("proved")), "{}", renewed.out);
    let places = json(&renewed)["targets"][0]["places"].as_array().cloned().unwrap_or_default();
    assert_eq!(places.len(), 2, "{places:?}");
    assert_eq!(ask(&["prove", "it"]).code, 0);
    let store = folder.join("api.jks").display().to_string();
    let witnessed = ask(&["prove", &store, &format!("file://{}", folder.join("api.p12").display())]);
    assert_eq!(witnessed.code, 0, "{}{}", witnessed.out, witnessed.err);
}

/// A window on the day after tomorrow: nothing is installed before.
fn window() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    // The first of January 1970 was a Thursday.
    let day = (now.as_secs() / 86_400 + 4 + 2) % 7;
    format!("[[window]]\ncron = \"0 12 * * {day}\"\nduration = \"1h\"\n")
}

#[test]
fn an_open_renewal_is_pushed_or_given_up_and_it_is_said_which() {
    let ways = |web: &Server| format!("{}{}", reload(web), window());
    let Some(house) = House::new("renew-push", &ways, "") else { return };
    let state = |run: &Run| {
        let document = json(run);
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        (text("did"), text("state"), document["generation"].as_u64().unwrap_or(0))
    };
    let renew = |more: &[&str]| house.ask(&[&["renew", "web", "--json", "--wait", "8s"], more].concat());
    let first = renew(&[]);
    assert_eq!(state(&first), ("begun".into(), "waits-for-window".into(), 1), "{}\n{}", first.out, first.err);
    assert!(!house.issuer().contains("Pebble"));
    let anew = renew(&["--anew"]);
    assert_eq!(state(&anew), ("begun-anew".into(), "waits-for-window".into(), 2), "{}", anew.err);
    assert!(anew.err.contains("generation 1") && anew.err.contains("given up"), "{}", anew.err);
    let pushed = renew(&[]);
    assert_eq!(state(&pushed), ("went-on".into(), "proved".into(), 2), "{}\n{}", pushed.out, pushed.err);
    assert!(pushed.err.contains("it goes on now") && pushed.err.contains("--anew"), "{}", pushed.err);
    assert!(house.issuer().contains("Pebble"), "{}", house.issuer());

    // Deployed is the newest that was issued: also one that still waits for its window.
    let third = renew(&[]);
    assert_eq!(state(&third), ("begun".into(), "waits-for-window".into(), 3), "{}", third.err);
    let deployed = house.ask(&["deploy", "web", "--json"]);
    assert_eq!(
        state(&deployed),
        ("deployed".into(), "proved".into(), 3),
        "{}\n{}",
        deployed.out,
        deployed.err
    );
}

#[test]
fn deployed_again_after_somebody_put_the_old_files_back() {
    let Some(house) = House::new("renew-redeploy", &reload, "") else { return };
    let old = house.files();
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    let new = house.files();
    house.put_back(&old);
    assert_eq!(house.ask(&["prove", "web"]).code, 1);
    let deployed = house.ask(&["deploy", "web"]);
    assert_eq!(deployed.code, 0, "{}\n{}", deployed.out, deployed.err);
    assert!(deployed.out.contains("deployed: seen in use at every place"), "{}", deployed.out);
    assert_eq!(house.files(), new);
    assert!(house.issuer().contains("Pebble"), "{}", house.issuer());
}

#[test]
fn what_was_proved_is_looked_at_again_and_it_is_said_when_it_was_undone() {
    let Some(house) = House::new("renew-undone", &reload, "rehearse = \"never\"\n") else { return };
    let old = house.files();
    assert_eq!(house.ask(&["renew", "web"]).code, 0);
    // The inventory has it at once, and from no other source.
    let rows = json(&house.ask(&["ls", "--json"]));
    assert_eq!(
        (&rows["items"][0]["title"], &rows["items"][0]["served"]),
        (&"srv.test".into(), &1.into()),
        "{rows}"
    );
    house.put_back(&old);

    // A source that leads elsewhere.
    let config = std::fs::read_to_string(&house.config).expect("read");
    let elsewhere = house.lab.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let more = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[source]]\nkind = \"files\"\npaths = [\"{}\"]\n",
        elsewhere.display()
    );
    std::fs::write(&house.config, more + &config).expect("written");
    let serving = Serving::on(house.lab.path(), house.data.clone(), house.config.clone());
    let said = serving.until("what was undone is said", || {
        let found = house.ask(&["ls", "--findings", "--json"]);
        found.out.contains("shows the certificate before again").then_some(found.out)
    });
    assert!(said.contains("renewal-failing") && said.contains("notafter deploy web"), "{said}");
    assert_eq!(house.ask(&["deploy", "web"]).code, 0);
    let token = std::fs::read_to_string(serving.folder.join("token")).expect("the token");
    let bearer = format!("Bearer {}", token.trim());
    let url = format!("{}/api/v1/sources/own%20places/scan", serving.url());
    let scan = web::ask("POST", &url, &[("Authorization", &bearer)], "");
    assert_eq!(scan.status, 202, "{}", scan.body);
    serving.until("it is in use again, and nothing is left to say", || {
        let found = house.ask(&["ls", "--findings", "--json"]);
        (found.code == 0 && !found.out.contains("certificate before again")).then_some(())
    });
}

#[test]
fn a_server_that_is_down_is_no_reason_to_put_anything_back() {
    let Some(mut house) = House::new("renew-down", &|_| "reload = [\"true\"]\n".into(), "") else { return };
    let port = house.web.address();
    house.web.stop();
    assert!(std::net::TcpStream::connect(port).is_err(), "it is down");
    let before = house.files();
    let run = house.ask(&["renew", "web", "--json", "--wait", "30s"]);
    let document = json(&run);
    assert_eq!((run.code, document["state"].as_str()), (1, Some("waits-for-proof")), "{}", run.out);
    let said = document["said"].as_str().unwrap_or_default();
    assert!(said.contains("nothing was put back"), "{said}");
    assert_ne!(house.files(), before, "the new pair lies there, for when it is started");
}
