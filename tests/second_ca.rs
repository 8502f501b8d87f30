//! Another CA than pebble, of another make (Caddy's, whose code is smallstep's): the whole cycle by http-01 and tls-alpn-01, and in
//! the place of a first CA that is gone.
//!
//! It validates at the ports of the standards, so that the test runs in a machine of its own.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::print_stdout, reason = "what was seen is said")]

mod run;

use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::pebble;
use notafter_lab::servers::{caddy, nginx};
use notafter_lab::{Authority, Lab, NotRun, Request, Server, machine, need, peer, program, server};
use run::{Run, finished, notafter};
use serde_json::Value;

const TEST: &str = "a_second_ca_of_another_make";
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn a_second_ca_of_another_make() {
    if machine::is_inside() {
        return need(inside()).unwrap_or(());
    }
    let lab = Lab::new("second-ca");
    let Some(ran) = need(machine::again(&lab, TEST, &[], ("NOTAFTER_TEST", "inside"))) else { return };
    assert!(ran.status.success() && ran.text().contains("1 passed"), "{}", ran.all());
    ran.text().lines().filter(|line| line.contains("second CA")).for_each(|line| println!("{line}"));
}

/// A certificate of the configuration, and where it is in use.
struct House {
    config: PathBuf,
    data: PathBuf,
    web: Server,
}

impl House {
    /// `issuers`: their tables; `certificate`: what is said of the certificate beyond its name and target.
    fn new(lab: &Lab, issuers: &str, certificate: &str) -> Result<Self, NotRun> {
        let web = nginx::start(lab, &Authority::new(lab).issue(&Request::server().days(20)))?;
        let folder = lab.subfolder("house");
        let (tls, pid) = (web.folder().join("tls"), web.pid().unwrap_or(0));
        let text = format!(
            "{issuers}[[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\n{certificate}\
             [[certificate.target]]\nkind = \"files\"\npreset = \"nginx\"\ncertificate = \"{tls}/fullchain.pem\"\n\
             key = \"{tls}/key.pem\"\ncheck = [\"true\"]\nreload = [\"kill\", \"-HUP\", \"{pid}\"]\n\
             prove = [\"tls://{}?sni=srv.test\"]\n",
            web.address(),
            tls = tls.display(),
        );
        let config = folder.join("notafter.toml");
        std::fs::write(&config, text).expect("written");
        Ok(Self { config, data: folder.join("data"), web })
    }

    /// The program, so much later.
    fn ask(&self, words: &[&str], later: &str) -> Run {
        let mut command = notafter(words);
        command.arg("--config").arg(&self.config).arg("--data").arg(&self.data);
        if !later.is_empty() {
            command
                .env("LD_PRELOAD", FAKETIME)
                .env("FAKETIME", later)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        finished(command.output().expect("the binary runs"))
    }

    /// Whose certificate a client is shown, by openssl.
    fn issuer(&self) -> String {
        self.web.settled();
        let served = peer::served(&self.web.endpoints()[0]).expect("a certificate");
        let file = self.data.with_extension("shown");
        std::fs::write(&file, &served.chain[0]).expect("written");
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-inform", "DER", "-noout", "-issuer", "-in"]).arg(&file);
        program::run(&mut openssl).expect("openssl runs").text()
    }

    /// Renews, and is in use.
    fn renews(&self, ca: &str, said: &dyn Fn() -> String) {
        let run = self.ask(&["renew", "web", "--json", "--wait", "90s"], "");
        assert_eq!(run.code, 0, "{}\n{}\n{}", run.out, run.err, said());
        assert_eq!(json(&run)["state"], "proved", "{}", run.out);
        assert!(self.issuer().contains(ca), "{}", self.issuer());
        let proved = self.ask(&["prove", "web"], "");
        assert_eq!(proved.code, 0, "{}{}", proved.out, proved.err);
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

fn issuer(name: &str, directory: &str, ca_file: &Path) -> String {
    format!(
        "[[issuer]]\nname = \"{name}\"\nkind = \"acme\"\ndirectory = \"{directory}\"\nca_file = \"{}\"\n",
        ca_file.display()
    )
}

fn inside() -> Result<(), NotRun> {
    let lab = Lab::new("second-ca");
    // It looks names up as the system does, and asks the name server for records of dns-01 alone.
    machine::write("/etc/hosts", "127.0.0.1 localhost srv.test\n");
    let mut first = pebble::start(&lab, &pebble::Options::default())?;
    let second = caddy::ca(&lab, first.dns().endpoint("dns").address)?;
    let issuers = issuer("pebble", &first.directory(), first.ca_file())
        + &issuer("caddy", &second.directory(), second.root());
    let said = || second.log();

    // http-01 by a folder that a web server serves, at the port of the standard and at that of the first CA.
    let (folder, webroot) = (lab.subfolder("web"), lab.subfolder("webroot"));
    let ports = [80, first.http_port()];
    let listen: String = ports.iter().map(|port| format!("listen 127.0.0.1:{port}; ")).collect();
    let configuration = format!(
        "daemon off; pid nginx.pid; error_log stderr; user root; events {{}}\nhttp {{ access_log off; \
         client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n\
         server {{ {listen} root {}; }} }}",
        webroot.display()
    );
    std::fs::write(folder.join("nginx.conf"), configuration).expect("written");
    let mut command = Command::new(program::find("nginx")?);
    command.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "stderr"]);
    let _web = server::attend("nginx", &folder, command, &ports.map(|port| ([127, 0, 0, 1], port).into()))?;
    let by_file = format!(
        "solver = {{ kind = \"http-01\", webroot = \"{}\", address = \"127.0.0.1\" }}\n",
        webroot.display()
    );
    let house = House::new(&lab, &issuers, &format!("issuer = \"caddy\"\n{by_file}"))?;
    let would = house.ask(&["rehearse", "web"], "");
    assert_eq!(would.code, 0, "{}{}", would.out, would.err);
    house.renews("Lab Caddy CA", &said);
    house.renews("Lab Caddy CA", &said);

    // tls-alpn-01 by a port of our own.
    let by_handshake = "issuer = \"caddy\"\nsolver = { kind = \"tls-alpn-01\", listen = \"127.0.0.1:443\", address = \"127.0.0.1\" }\n";
    House::new(&lab, &issuers, by_handshake)?.renews("Lab Caddy CA", &said);

    // The first one of two is gone: after its failures the second is asked, and that is seen in use.
    let house = House::new(&lab, &issuers, &format!("issuer = [\"pebble\", \"caddy\"]\n{by_file}"))?;
    house.renews("Pebble", &said);
    first.stop();
    let (mut tries, mut last) = (0, String::new());
    for later in ["", "+1m", "+3m", "+7m", "+15m", "+30m", "+60m"] {
        let run = house.ask(&["renew", "web", "--json", "--wait", "5s"], later);
        (tries, last) = (tries + 1, format!("{later}: {}\n{}", run.out, run.err));
        if run.code == 0 {
            break;
        }
        assert!(house.issuer().contains("Pebble"), "what works stays: {last}");
    }
    assert!(house.issuer().contains("Lab Caddy CA"), "{last}\n{}", said());
    println!("the second CA was asked and its certificate in use at the {tries}. try");
    Ok(())
}
