//! A whole renewal into each real server by its preset as it stands: issued by a CA that validates, written, checked, loaded, and
//! seen in use at each of its ports. The serial is read before and after by openssl, which is none of ours.
//!
//! Nothing is said of a server but `preset` and paths, so that the row's own check and reload are run, on the configuration where
//! its package has it. Each server is in a machine of its own, where the lab plays `systemctl` by the units of the packages.
//! `crates/act/tests/suite/deploy/presets.rs` has the deployer alone and the way back; `reloads.rs` the reloads that do not help.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::print_stdout, reason = "what was seen is said")]

mod run;

use std::sync::{Arc, Mutex};

use notafter_lab::machine::{self, Manager};
use notafter_lab::servers::{self, Start};
use notafter_lab::{Authority, Endpoint, Lab, NotRun, Request, Starttls, need, pebble, peer};
use run::{finished, notafter};
use serde_json::Value;

/// Names the row inside.
const ROW: &str = "NOTAFTER_TEST_ROW";
/// The usual two files, and all in one.
const PAIR: &str = "certificate = \"{folder}/tls/fullchain.pem\"\nkey = \"{folder}/tls/key.pem\"\n";
const COMBINED: &str = "combined = \"{folder}/tls/combined.pem\"\n";

/// How one server is set up.
struct Row {
    preset: &'static str,
    start: Start,
    /// What a target says of it beyond its preset: its files; its `reload`, where the preset's cannot be run here.
    target: &'static str,
    /// Files of the lab's server, and where its package has them.
    at: &'static [(&'static str, &'static str)],
    /// Other files of the machine.
    texts: &'static [(&'static str, &'static str)],
    /// What is otherwise in one of the server's files: the file, the words, other words.
    edits: &'static [(&'static str, &'static str, &'static str)],
    /// Packages that are unpacked beside the system.
    layers: &'static [&'static str],
    /// What a server manager is told by the row; nothing where the row needs none.
    told: &'static [&'static str],
}

const fn row(preset: &'static str, start: Start) -> Row {
    Row { preset, start, target: PAIR, at: &[], texts: &[], edits: &[], layers: &[], told: &[] }
}

/// The accounts of a package that is only unpacked.
const EXIM: &str = "root:x:0:0:root:/root:/bin/sh\nDebian-exim:x:64999:64999::/var/spool/exim4:/bin/false\n\
                    nobody:x:65534:65534::/nonexistent:/bin/false\nmail:x:8:8::/var/mail:/bin/false\n";

const ROWS: &[Row] = &[
    Row { at: &[("httpd.conf", "/etc/apache2/apache2.conf")], ..row("apache", servers::apache::start) },
    Row { at: &[("Caddyfile", "/etc/caddy/Caddyfile")], ..row("caddy", servers::caddy::start) },
    Row { at: &[("dovecot.conf", "/etc/dovecot/dovecot.conf")], ..row("dovecot", servers::dovecot::start) },
    Row {
        at: &[("exim4.conf", "/etc/exim4/exim4.conf")],
        texts: &[
            ("/etc/passwd", EXIM),
            ("/etc/group", "root:x:0:\nmail:x:8:\nDebian-exim:x:64999:\nnogroup:x:65534:\n"),
        ],
        layers: &["exim4-daemon-light"],
        ..row("exim", servers::exim::start)
    },
    Row {
        target: COMBINED,
        at: &[("haproxy.cfg", "/etc/haproxy/haproxy.cfg")],
        told: &["reload haproxy"],
        ..row("haproxy", servers::haproxy::start)
    },
    Row {
        target: COMBINED,
        at: &[("hitch.conf", "/etc/hitch/hitch.conf")],
        told: &["reload hitch"],
        ..row("hitch", servers::hitch::start)
    },
    Row {
        at: &[("lighttpd.conf", "/etc/lighttpd/lighttpd.conf")],
        told: &["restart lighttpd"],
        ..row("lighttpd", servers::lighttpd::start)
    },
    Row {
        texts: &[("/etc/mysql/conf.d/lab.cnf", "[client]\nsocket={folder}/data/lab.sock\n")],
        ..row("mariadb", servers::mariadb::start)
    },
    Row { told: &["reload mosquitto"], ..row("mosquitto", servers::mosquitto::start) },
    // Its own prefix would be the package's otherwise.
    Row {
        at: &[("nginx.conf", "/etc/nginx/nginx.conf")],
        edits: &[("nginx.conf", "pid nginx.pid;", "pid {folder}/nginx.pid;")],
        ..row("nginx", servers::nginx::start)
    },
    Row {
        at: &[("etc/main.cf", "/etc/postfix/main.cf"), ("etc/master.cf", "/etc/postfix/master.cf")],
        ..row("postfix", servers::postfix::start)
    },
    // The row's `systemctl reload postgresql` is handed on by systemd to the cluster's own unit, which the lab's manager
    // cannot do: in its place stands what that unit comes to, told over SQL.
    Row {
        target: "certificate = \"{folder}/tls/fullchain.pem\"\nkey = \"{folder}/tls/key.pem\"\n\
                 reload = [\"psql\", \"-q\", \"-h\", \"127.0.0.1\", \"-p\", \"{port}\", \"-U\", \"postgres\", \"-c\", \"SELECT pg_reload_conf()\"]\n",
        ..row("postgresql", servers::postgres::start)
    },
    // The row speaks to the port without TLS.
    Row { edits: &[("redis.conf", "port 0\n", "port 6379\n")], ..row("redis", servers::redis::start) },
    Row {
        at: &[("slapd.conf", "/etc/ldap/slapd.conf")],
        told: &["restart slapd"],
        ..row("slapd", servers::slapd::start)
    },
    Row {
        at: &[("stunnel.conf", "/etc/stunnel/stunnel.conf")],
        told: &["reload stunnel4"],
        ..row("stunnel", servers::stunnel::start)
    },
    Row {
        at: &[("unbound.conf", "/etc/unbound/unbound.conf")],
        told: &["restart unbound"],
        ..row("unbound", servers::unbound::start)
    },
    Row {
        target: COMBINED,
        edits: &[
            ("vsftpd.conf", "{folder}/tls/fullchain.pem", "{folder}/tls/combined.pem"),
            ("vsftpd.conf", "rsa_private_key_file={folder}/tls/key.pem\n", ""),
        ],
        layers: &["vsftpd"],
        told: &["restart vsftpd"],
        ..row("vsftpd", servers::vsftpd::start)
    },
];

macro_rules! servers {
    ($($name:ident),*) => {
        $(#[test] fn $name() { everywhere(stringify!($name)); })*
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

servers!(
    apache, caddy, dovecot, exim, haproxy, hitch, lighttpd, mariadb, mosquitto, nginx, postfix, postgresql,
    redis, slapd, stunnel, unbound, vsftpd
);

#[test]
fn each_row_has_its_test() {
    assert_eq!(NAMES, ROWS.iter().map(|row| row.preset).collect::<Vec<_>>());
}

fn everywhere(preset: &str) {
    let row = ROWS.iter().find(|row| row.preset == preset).expect("a row");
    if machine::is_inside() {
        return need(row.renewed(&Lab::new("everywhere"))).unwrap_or(());
    }
    let lab = Lab::new(&format!("everywhere-{preset}"));
    let Some(ran) = need(machine::again(&lab, preset, row.layers, (ROW, preset))) else { return };
    let text = ran.text();
    let line = text.lines().find(|line| line.contains(" served "));
    assert!(ran.status.success() && line.is_some(), "{}", ran.all());
    println!("{}", line.unwrap_or_default());
}

/// A place as a user writes it.
fn place(endpoint: &Endpoint) -> String {
    let scheme = match endpoint.starttls {
        Starttls::Direct => "tls",
        Starttls::Smtp => "smtp",
        Starttls::Imap => "imap",
        Starttls::Pop3 => "pop3",
        Starttls::Lmtp => "lmtp",
        Starttls::Sieve => "sieve",
        Starttls::Ftp => "ftp",
        Starttls::Ldap => "ldap",
        Starttls::Postgres => "postgres",
        Starttls::Mysql => "mysql",
        other => panic!("{other:?} is in no row"),
    };
    format!("{scheme}://{}?sni=srv.test", endpoint.address)
}

impl Row {
    /// Inside: from one certificate to the next.
    fn renewed(&self, lab: &Lab) -> Result<(), NotRun> {
        for (path, text) in self.texts.iter().filter(|(_, text)| !text.contains("{folder}")) {
            machine::write(path, text);
        }
        let leaf = Authority::new(lab).issue(&Request::server().days(20));
        let mut server = (self.start)(lab, &leaf)?;
        let folder = server.folder().to_owned();
        let place_in = |text: &str| {
            text.replace("{folder}", &folder.to_string_lossy())
                .replace("{port}", &server.address().port().to_string())
        };
        for (path, text) in self.texts.iter().filter(|(_, text)| text.contains("{folder}")) {
            machine::write(path, &place_in(text));
        }
        let target = place_in(self.target);
        for (file, from, to) in self.edits {
            let text = std::fs::read_to_string(folder.join(file)).expect("its file");
            assert!(text.contains(&place_in(from)), "{from} is not in {text}");
            std::fs::write(folder.join(file), text.replacen(&place_in(from), &place_in(to), 1))
                .expect("written");
        }
        if !self.edits.is_empty() {
            server.restart()?;
        }
        if self.preset == "slapd" {
            // The package's own settings would be the ones that are checked.
            let _ = std::fs::remove_dir_all("/etc/ldap/slapd.d");
        }
        for (file, path) in self.at {
            machine::write(path, &std::fs::read_to_string(folder.join(file)).expect("its file"));
        }
        let endpoints = server.endpoints().to_vec();
        let serials = || -> Vec<Result<String, String>> {
            endpoints.iter().map(|endpoint| peer::served(endpoint).map(|seen| seen.serial)).collect()
        };
        server.await_serving(&leaf, std::time::Duration::from_secs(20)).expect("the first one");
        let before = serials();
        assert!(before.iter().all(|serial| serial.as_deref() == Ok(leaf.serial.as_str())), "{before:?}");
        let pid = server.pid();
        let server = Arc::new(Mutex::new(server));
        let manager = Manager::start(&folder, &server, self.layers)?;

        let ca = pebble::start(lab, &pebble::Options::default())?;
        let (file, data, port) = (lab.path().join("notafter.toml"), lab.path().join("data"), ca.http_port());
        let config = format!(
            "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
             [[certificate]]\nname = \"it\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"15s\"\n\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
             [[certificate.target]]\nkind = \"files\"\npreset = \"{}\"\n{target}prove = {:?}\n",
            ca.directory(),
            ca.ca_file().display(),
            self.preset,
            endpoints.iter().map(place).collect::<Vec<_>>(),
        );
        std::fs::write(&file, &config).expect("written");
        let ask = |words: &[&str]| {
            let mut command = notafter(words);
            finished(command.arg("--config").arg(&file).arg("--data").arg(&data).output().expect("it runs"))
        };
        let renewed = ask(&["renew", "it", "--json", "--wait", "40s"]);
        let document: Value = serde_json::from_str(&renewed.out).unwrap_or_default();
        let words = || format!("{}\n{}\n{:?}\n{config}", renewed.out, renewed.err, manager.said());
        assert_eq!((renewed.code, document["state"].as_str()), (0, Some("proved")), "{}", words());
        let places = document["targets"][0]["places"].as_array().map_or(0, Vec::len);
        assert!(
            places >= endpoints.len(),
            "{places} of {} places were looked at: {}",
            endpoints.len(),
            words()
        );

        // What lies there is what every port shows, to openssl.
        let after = serials();
        let lies = notafter_lab::program::run(
            std::process::Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(
                folder.join(if self.target == COMBINED { "tls/combined.pem" } else { "tls/fullchain.pem" }),
            ),
        )?;
        let lies = lies.text().trim().trim_start_matches("serial=").to_lowercase();
        assert!(after.iter().all(|serial| serial.as_deref() == Ok(lies.as_str())), "{lies}: {after:?}");
        assert_ne!(lies, leaf.serial);
        assert_eq!(ca.issued(), 1);
        assert_eq!(manager.said(), self.told, "what the manager was told");
        let restarted = server.lock().expect("nobody broke it").pid() != pid;
        assert_eq!(restarted, self.told.iter().any(|told| told.starts_with("restart")));
        println!(
            "{}: {} places served {} before and {lies} after; {}",
            self.preset,
            endpoints.len(),
            leaf.serial,
            if self.told.is_empty() { "no manager was asked".to_owned() } else { self.told.join(", ") }
        );
        Ok(())
    }
}
