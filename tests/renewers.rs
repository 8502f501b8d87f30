//! The witness of renewers that are not ours: certbot, acme.sh and Caddy really renew at the lab's CA, and nothing is adopted or
//! configured. `notafter prove FILE` says what was written and is not in use yet, and that it is, once it is.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::print_stdout, reason = "what was seen is said")]

mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use notafter_lab::pebble::{self, Pebble};
use notafter_lab::servers::{self, nginx};
use notafter_lab::{Authority, Lab, Request, Server, dns, need, peer, program};
use run::{Run, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// A CA, and a server that reads what somebody else's renewer writes.
struct House {
    ca: Pebble,
    web: Server,
    data: String,
    lab: Lab,
}

impl House {
    fn new(name: &str, options: &pebble::Options) -> Option<Self> {
        let lab = Lab::new(name);
        let ca = need(pebble::start(&lab, options))?;
        let web = need(nginx::start(&lab, &Authority::new(&lab).issue(&Request::server().days(20))))?;
        let data = lab.path().join("data").display().to_string();
        Some(Self { ca, web, data, lab })
    }

    /// From now on the server reads the renewer's own files, once it is told.
    fn reads(&mut self, certificate: &Path, key: &Path) {
        let tls = self.web.folder().join("tls");
        for (to, name) in [(certificate, "fullchain.pem"), (key, "key.pem")] {
            fs::remove_file(tls.join(name)).expect("it was there");
            std::os::unix::fs::symlink(to, tls.join(name)).expect("linked");
        }
        self.web.reload().expect("nginx reloads");
        self.until_shown(certificate);
    }

    fn until_shown(&self, certificate: &Path) {
        let (wanted, begun) = (serial(certificate), Instant::now());
        while self.shown() != wanted {
            assert!(begun.elapsed() < PATIENCE, "{wanted} is not shown, but {}", self.shown());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn shown(&self) -> String {
        peer::served(&self.web.endpoints()[0]).map_or_else(|error| error, |seen| seen.serial)
    }

    fn place(&self) -> String {
        format!("tls://{}?sni=srv.test", self.web.address())
    }

    fn prove(&self, certificate: &Path, place: &str) -> Run {
        run(&["prove", &certificate.to_string_lossy(), place, "--data", &self.data])
    }

    /// The whole of it: in use, renewed and not loaded, loaded.
    fn witnessed(&mut self, who: &str, certificate: &Path, key: &Path, renew: impl FnOnce()) {
        self.reads(certificate, key);
        let (first, place) = (serial(certificate), self.place());
        let fits = self.prove(certificate, &place);
        assert_eq!(fits.code, 0, "{who}: {}{}", fits.out, fits.err);
        renew();
        let second = serial(certificate);
        assert_ne!(first, second, "{who} did not renew");
        assert_eq!(self.shown(), first, "{who}: it is in use by itself");
        let open = self.prove(certificate, &place);
        assert_eq!(open.code, 1, "{who}: {}{}", open.out, open.err);
        assert!(open.out.contains(&self.web.address().to_string()), "{who}: {}{}", open.out, open.err);
        println!("{who}: {}", open.out.trim());
        self.web.reload().expect("nginx reloads");
        self.until_shown(certificate);
        let proved = self.prove(certificate, &place);
        assert_eq!(proved.code, 0, "{who}: {}{}", proved.out, proved.err);
        println!("{who}: served {first} before and {second} after; nothing of ours was configured");
    }
}

/// The serial number of a file's first certificate, by openssl.
fn serial(file: &Path) -> String {
    let mut openssl = Command::new("openssl");
    let ran =
        program::run(openssl.args(["x509", "-noout", "-serial", "-in"]).arg(file)).expect("a certificate");
    ran.text().trim().trim_start_matches("serial=").to_lowercase()
}

fn well(command: &mut Command) {
    let ran = program::finish(command, b"", Duration::from_secs(90)).expect("it runs");
    assert!(ran.status.success(), "{}", ran.all());
}

#[test]
fn certbot() {
    let Some(mut house) = House::new("renewers-certbot", &pebble::Options::default()) else { return };
    let Some(program) = need(program::find("certbot")) else { return };
    let home = house.lab.subfolder("certbot");
    let (directory, roots) = (house.ca.directory(), house.ca.ca_file().to_owned());
    let port = house.ca.http_port().to_string();
    let certbot = |words: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(words)
            .args(["--non-interactive", "--server", &directory])
            .env("REQUESTS_CA_BUNDLE", &roots);
        for folder in ["--config-dir", "--work-dir", "--logs-dir"] {
            command.arg(folder).arg(&home);
        }
        well(&mut command);
    };
    let alone = ["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", &port];
    let words = ["certonly", "--agree-tos", "-m", "a@b.test", "-d", "srv.test"];
    certbot(&[words.as_slice(), &alone].concat());
    let live = home.join("live/srv.test");
    house.witnessed("certbot", &live.join("fullchain.pem"), &live.join("privkey.pem"), || {
        certbot(&["renew", "--force-renewal", "--no-random-sleep-on-renew"]);
    });
    assert_eq!(house.ca.issued(), 2);
}

/// A program that ends with the test.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn acme_sh() {
    let Some(mut house) = House::new("renewers-acme-sh", &pebble::Options::default()) else { return };
    let Some((script, _)) = need(dns::acme_sh(house.lab.path())) else { return };
    let (home, webroot) = (house.lab.subfolder("acme"), house.lab.subfolder("webroot"));
    let (certificate, key) = (house.lab.path().join("site.pem"), house.lab.path().join("site.key"));
    let port = house.ca.http_port().to_string();
    let mut files = Command::new("python3");
    files.args(["-m", "http.server", &port, "--bind", "127.0.0.1", "--directory"]).arg(&webroot);
    let _files = Beside(files.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("python3 runs"));
    let (directory, roots) = (house.ca.directory(), house.ca.ca_file().to_owned());
    let acme = |words: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(&script).args(words).args(["-d", "srv.test", "--server", &directory]);
        command.arg("--ca-bundle").arg(&roots).arg("--home").arg(&home).env("HOME", &home);
        well(&mut command);
    };
    acme(&["--issue", "-w", &webroot.to_string_lossy()]);
    let to = [certificate.to_string_lossy(), key.to_string_lossy()];
    acme(&["--install-cert", "--fullchain-file", &to[0], "--key-file", &to[1]]);
    house.witnessed("acme.sh", &certificate, &key, || acme(&["--renew", "--force"]));
    assert_eq!(house.ca.issued(), 2);
}

/// Caddy renews and loads by itself; the server beside it that reads Caddy's files does not.
#[test]
fn caddy() {
    // It renews when a third is left.
    let options = pebble::Options { profiles: vec![("tiny".to_owned(), 20)], ..pebble::Options::default() };
    let Some(mut house) = House::new("renewers-caddy", &options) else { return };
    let Some(program) = need(servers::caddy::newest()) else { return };
    let folder = house.lab.subfolder("caddy");
    let (https, admin) = (notafter_lab::Port::free(), notafter_lab::Port::free());
    let text = format!(
        "{{\n\tadmin 127.0.0.1:{}\n\tacme_ca {}\n\tacme_ca_root {}\n\thttp_port {}\n\thttps_port {}\n\tskip_install_trust\n\
         \tdefault_bind 127.0.0.1\n\trenew_interval 2s\n\tstorage file_system {}\n}}\nsrv.test {{\n\trespond lab\n}}\n",
        admin.number(),
        house.ca.directory(),
        house.ca.ca_file().display(),
        house.ca.http_port(),
        https.number(),
        folder.join("storage").display()
    );
    fs::write(folder.join("Caddyfile"), text).expect("written");
    let log = fs::File::create(folder.join("log")).expect("a log");
    let mut caddy = Command::new(program);
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("Caddyfile"))
        .env("HOME", &folder);
    let _caddy = Beside(caddy.stdout(Stdio::null()).stderr(log).spawn().expect("caddy runs"));
    let said = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    let begun = Instant::now();
    let certificate = loop {
        if let Some(found) = below(&folder.join("storage"), "srv.test.crt") {
            break found;
        }
        assert!(begun.elapsed() < PATIENCE, "Caddy has no certificate: {}", said());
        std::thread::sleep(Duration::from_millis(100));
    };
    let key = certificate.with_extension("key");
    let own = format!("tls://127.0.0.1:{}?sni=srv.test", https.number());
    let renewed = {
        let (first, certificate, said) = (serial(&certificate), certificate.clone(), &said);
        move || {
            let begun = Instant::now();
            while serial(&certificate) == first {
                assert!(begun.elapsed() < PATIENCE, "Caddy does not renew: {}", said());
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    };
    house.witnessed("caddy", &certificate, &key, renewed);
    // At its own port the newest is in use at once.
    let begun = Instant::now();
    loop {
        let proved = house.prove(&certificate, &own);
        if proved.code == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{}{}\n{}", proved.out, proved.err, said());
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// A file of this name somewhere below, once it is not empty.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return below(&path, name);
        }
        (path.ends_with(name) && fs::metadata(&path).is_ok_and(|meta| meta.len() > 0)).then_some(path)
    })
}
