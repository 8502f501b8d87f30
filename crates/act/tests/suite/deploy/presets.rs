//! Presets against their servers, each in a machine of its own: nothing but `preset` and the paths is given, so that the
//! row's own check and reload are run as they stand, on the configuration where the row takes it to be.
//!
//! A server serves the old certificate, is deployed to, serves the new one, and the old one after the way back. Where a row
//! says that only a restart helps, what an administrator would try instead is tried, too: it exits 0 and changes nothing.

// These wait for servers, in real time.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use notafter_act::deployers::presets::{self, PRESETS, PickUp};
use notafter_lab::machine::{self, Manager};
use notafter_lab::servers::{self, Start};
use notafter_lab::{Lab, NotRun, need, peer};
use serde_json::{Value, json};

use super::{bundle, deployer, leaves, run};

const PATIENCE: Duration = Duration::from_secs(30);
/// Names the row inside.
const ROW: &str = "NOTAFTER_TEST_ROW";
const TEST: &str = "deploy::presets::every_preset_is_run_as_it_stands_against_its_server";

/// How one server is set up.
struct Row {
    preset: &'static str,
    /// Nobody, where there is no such server to be had.
    start: Option<Start>,
    /// Files of the lab's server, and where its package has them.
    at: &'static [(&'static str, &'static str)],
    /// Other files of the machine.
    texts: &'static [(&'static str, &'static str)],
    /// What is otherwise in one of the server's files: the file, the words, other words.
    edits: &'static [(&'static str, &'static str, &'static str)],
    /// Packages that are unpacked beside the system.
    layers: &'static [&'static str],
    /// What an administrator would try, and what does not help; `{folder}` and `{pid}` are the server's.
    idle: &'static [&'static str],
}

const PLAIN: Row = Row { preset: "", start: None, at: &[], texts: &[], edits: &[], layers: &[], idle: &[] };

/// The account of a package that is only unpacked.
const EXIM: &str = "root:x:0:0:root:/root:/bin/sh\nDebian-exim:x:64999:64999::/var/spool/exim4:/bin/false\n\
                    nobody:x:65534:65534::/nonexistent:/bin/false\nmail:x:8:8::/var/mail:/bin/false\n";

const ROWS: &[Row] = &[
    Row {
        preset: "caddy",
        start: Some(servers::caddy::start),
        at: &[("Caddyfile", "/etc/caddy/Caddyfile")],
        ..PLAIN
    },
    Row { preset: "etcd", start: Some(servers::etcd::start), ..PLAIN },
    Row {
        preset: "exim",
        start: Some(servers::exim::start),
        at: &[("exim4.conf", "/etc/exim4/exim4.conf")],
        texts: &[
            ("/etc/passwd", EXIM),
            ("/etc/group", "root:x:0:\nmail:x:8:\nDebian-exim:x:64999:\nnogroup:x:65534:\n"),
        ],
        layers: &["exim4-daemon-light"],
        ..PLAIN
    },
    Row {
        preset: "hitch",
        start: Some(servers::hitch::start),
        at: &[("hitch.conf", "/etc/hitch/hitch.conf")],
        ..PLAIN
    },
    Row {
        preset: "lighttpd",
        start: Some(servers::lighttpd::start),
        at: &[("lighttpd.conf", "/etc/lighttpd/lighttpd.conf")],
        ..PLAIN
    },
    Row {
        preset: "mariadb",
        start: Some(servers::mariadb::start),
        texts: &[("/etc/mysql/conf.d/lab.cnf", "[client]\nsocket={folder}/data/lab.sock\n")],
        ..PLAIN
    },
    Row { preset: "mosquitto", start: Some(servers::mosquitto::start), ..PLAIN },
    // Debian 12 has MariaDB in its place; the row was measured by hand with MySQL 9.7, unpacked from a newer suite.
    Row { preset: "mysql", ..PLAIN },
    Row {
        preset: "nats",
        start: Some(servers::nats::start),
        at: &[("nats-server.conf", "/etc/nats-server.conf")],
        ..PLAIN
    },
    Row {
        preset: "proftpd",
        start: Some(servers::proftpd::start),
        at: &[("proftpd.conf", "/etc/proftpd/proftpd.conf")],
        edits: &[(
            "proftpd.conf",
            "CertificateFile {folder}/tls/fullchain.pem",
            "CertificateFile {folder}/tls/cert.pem\nTLSCertificateChainFile {folder}/tls/rest.pem",
        )],
        layers: &["proftpd-core", "proftpd-mod-crypto"],
        ..PLAIN
    },
    Row {
        preset: "prosody",
        start: Some(servers::prosody::start),
        at: &[("prosody.lua", "/etc/prosody/prosody.cfg.lua")],
        ..PLAIN
    },
    Row {
        preset: "rabbitmq",
        start: Some(servers::rabbitmq::start),
        texts: &[("/etc/rabbitmq/rabbitmq-env.conf", "NODENAME=rabbit@localhost\n")],
        ..PLAIN
    },
    // Its row speaks to the port without TLS.
    Row {
        preset: "redis",
        start: Some(servers::redis::start),
        edits: &[("redis.conf", "port 0\n", "port 6379\n")],
        ..PLAIN
    },
    Row {
        preset: "slapd",
        start: Some(servers::slapd::start),
        at: &[("slapd.conf", "/etc/ldap/slapd.conf")],
        ..PLAIN
    },
    Row {
        preset: "stunnel",
        start: Some(servers::stunnel::start),
        at: &[("stunnel.conf", "/etc/stunnel/stunnel.conf")],
        ..PLAIN
    },
    Row { preset: "tomcat", start: Some(servers::tomcat::start), idle: &["true"], ..PLAIN },
    Row {
        preset: "unbound",
        start: Some(servers::unbound::start),
        at: &[("unbound.conf", "/etc/unbound/unbound.conf")],
        idle: &["unbound-control", "reload"],
        ..PLAIN
    },
    Row {
        preset: "vsftpd",
        layers: &["vsftpd"],
        start: Some(servers::vsftpd::start),
        edits: &[
            ("vsftpd.conf", "{folder}/tls/fullchain.pem", "{folder}/tls/combined.pem"),
            ("vsftpd.conf", "rsa_private_key_file={folder}/tls/key.pem\n", ""),
        ],
        idle: &["kill", "-HUP", "{pid}"],
        ..PLAIN
    },
];

/// Those that are met elsewhere in this suite, with a reload of the lab's.
const ELSEWHERE: &[&str] = &["apache", "dovecot", "haproxy", "nginx", "postfix", "postgresql"];

#[test]
#[allow(clippy::print_stdout)]
fn every_preset_is_run_as_it_stands_against_its_server() {
    if let Ok(name) = std::env::var(ROW) {
        let row = ROWS.iter().find(|row| row.preset == name).expect("a row");
        let lab = Lab::new("preset");
        return need(row.play(&lab)).unwrap_or(());
    }
    let mut known: Vec<&str> = ROWS.iter().map(|row| row.preset).chain(ELSEWHERE.iter().copied()).collect();
    known.sort_unstable();
    assert_eq!(known, PRESETS.iter().map(|p| p.name).collect::<Vec<_>>(), "a preset without a server");
    let (mut met, mut wrong) = (0, Vec::new());
    // All of them, or those that are named in the environment.
    let only = std::env::var("NOTAFTER_TEST_ROWS").unwrap_or_default();
    for row in ROWS.iter().filter(|row| only.is_empty() || only.split(',').any(|name| name == row.preset)) {
        if row.start.is_none() {
            // Said, and not counted.
            NotRun::new(row.preset, "no package of Debian 12 has this server").report();
            continue;
        }
        let lab = Lab::new(&format!("preset-{}", row.preset));
        let Some(ran) = need(machine::again(&lab, TEST, row.layers, (ROW, row.preset))) else { continue };
        let line = ran.text().lines().find(|line| line.contains(" served ")).map(str::to_owned);
        match line.filter(|_| ran.status.success()) {
            Some(line) => {
                println!("{line}");
                met += 1;
            }
            None => wrong.push(format!("{}: {}", row.preset, ran.all())),
        }
    }
    println!("{met} of {} presets met their server as they stand", ROWS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

impl Row {
    /// Inside: the whole way there and back.
    #[allow(clippy::print_stdout)]
    fn play(&self, lab: &Lab) -> Result<(), NotRun> {
        let preset = presets::find(self.preset).unwrap();
        let leaves = leaves(lab, 2);
        for (path, text) in self.texts.iter().filter(|(_, text)| !text.contains("{folder}")) {
            machine::write(path, text);
        }
        let mut server = (self.start.expect("a server"))(lab, &leaves[0])?;
        let folder = server.folder().to_owned();
        let place = |text: &str| text.replace("{folder}", super::text(&folder));
        for (path, text) in self.texts.iter().filter(|(_, text)| text.contains("{folder}")) {
            machine::write(path, &place(text));
        }
        for (file, from, to) in self.edits {
            let path = folder.join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(&place(from)), "{from} is not in {text}");
            std::fs::write(&path, text.replacen(&place(from), &place(to), 1)).unwrap();
        }
        if !self.edits.is_empty() {
            server.restart()?;
        }
        if self.preset == "slapd" {
            // The package's own settings would be the ones that are checked.
            let _ = std::fs::remove_dir_all("/etc/ldap/slapd.d");
        }
        for (file, path) in self.at {
            machine::write(path, &std::fs::read_to_string(folder.join(file)).unwrap());
        }
        server.await_serving(&leaves[0], PATIENCE).unwrap();
        let endpoint = server.endpoints()[0].clone();
        let served = || peer::served(&endpoint).map(|seen| seen.sha256).unwrap_or_else(|e| e);
        let pid = server.pid().unwrap().to_string();
        let server = Arc::new(Mutex::new(server));
        let manager = Manager::start(&folder, &server, self.layers)?;
        let until = |leaf: &notafter_lab::Leaf| {
            let begun = Instant::now();
            let waited = server.lock().unwrap().await_serving(leaf, PATIENCE);
            waited.unwrap_or_else(|e| panic!("{}: {e}\n{:?}", self.preset, manager.said()));
            begun.elapsed().as_millis()
        };
        let tls = folder.join("tls");
        let with = |more: Value| {
            let mut table = match preset.layout {
                presets::Layout::Combined => json!({ "combined": tls.join("combined.pem") }),
                presets::Layout::Separate => {
                    json!({ "certificate": tls.join("fullchain.pem"), "key": tls.join("key.pem") })
                }
                presets::Layout::ChainFile => json!({
                    "certificate": tls.join("cert.pem"), "chain": tls.join("rest.pem"), "key": tls.join("key.pem"),
                }),
            };
            table["preset"] = json!(self.preset);
            table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            deployer("files", table)
        };
        // What does not help: it succeeds, and the old one is served still.
        if !self.idle.is_empty() {
            let words: Vec<String> = self.idle.iter().map(|word| word.replace("{pid}", &pid)).collect();
            let target = with(json!({ "reload": words }));
            let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(served(), leaves[0].sha256, "{}: {words:?} helps after all", self.preset);
            run(target.roll_back(&super::cx(), &receipt)).unwrap();
        }
        let target = with(json!({}));
        let checks = run(target.rehearse(&super::cx()));
        assert!(checks.iter().all(|check| check.works), "{}: {checks:?}", self.preset);
        let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 2)))
            .unwrap_or_else(|fault| panic!("{}: {fault}\n{:?}", self.preset, manager.said()));
        let (old, new) = (&leaves[0].serial, &leaves[1].serial);
        let there = until(&leaves[1]);
        run(target.roll_back(&super::cx(), &receipt))
            .unwrap_or_else(|fault| panic!("{}: {fault}\n{:?}", self.preset, manager.said()));
        let back = until(&leaves[0]);
        let restarted = server.lock().unwrap().pid().unwrap().to_string() != pid;
        assert_eq!(restarted, preset.pick_up == PickUp::Restart, "{}", preset.pick_up.as_str());
        println!(
            "{}: served {old}, then {new} {there} ms after it was deployed, then {old} {back} ms after the way back; {}; {}",
            self.preset,
            if preset.reload.is_empty() { "no command".to_owned() } else { preset.reload.join(" ") },
            if self.idle.is_empty() {
                String::new()
            } else {
                format!("`{}` exits 0 and changes nothing", self.idle.join(" "))
            },
        );
        Ok(())
    }
}
