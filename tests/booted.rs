//! The units of `packaging/` under a real systemd: they become ready, are watched, may do what they have to, and no more is
//! refused than should be. A real CA, the nginx of the distribution with its own unit.
//!
//! Both units are installed as they are, and so is the program; what is changed is in drop-ins, as an administrator would.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use notafter_lab::booted::Booted;
use notafter_lab::pebble::{self, Pebble};
use notafter_lab::{Authority, Lab, Port, Request, need};
use serde_json::Value;

const SERVER: &str = "notafter.service";
const ACT: &str = "notafter-act.service";

/// A unit as it is packaged.
fn packaged(name: &str) -> String {
    let path = format!("{}/../../packaging/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

struct Machine {
    machine: Booted,
    /// Where nginx shows its certificate.
    tls: Port,
    _ca: Pebble,
    _lab: Lab,
}

impl Machine {
    /// Everything installed, and nothing started but nginx.
    fn new(name: &str) -> Option<Self> {
        let lab = Lab::new(name);
        let ca = need(pebble::start(&lab, &pebble::Options::default()))?;
        let binary = Path::new(env!("CARGO_BIN_EXE_notafter"));
        let machine = need(Booted::start(&lab, &[(binary, "/usr/bin/notafter")]))?;
        let (tls, web) = (Port::free(), Port::free());
        let authority = Authority::new(&lab);
        let old =
            authority.issue(&Request::server().between(seconds() - 80 * 86_400, seconds() + 5 * 86_400));
        for (file, from, mode) in [("api.pem", &old.fullchain_pem, 0o644), ("api.key", &old.key_pem, 0o600)] {
            machine.write(&format!("/etc/nginx/tls/{file}"), fs::read(from).expect("made"));
            mode_of(&machine, &format!("/etc/nginx/tls/{file}"), mode);
        }
        let hidden =
            authority.issue(&Request::server().sans(&["DNS:hidden.test"]).common_name("hidden.test"));
        machine.write("/etc/ssl/private/hidden.pem", fs::read(&hidden.cert_pem).expect("made"));
        mode_of(&machine, "/etc/ssl/private/hidden.pem", 0o600);
        mode_of(&machine, "/etc/ssl/private", 0o700);
        let seen = authority.issue(&Request::server().sans(&["DNS:seen.test"]).common_name("seen.test"));
        machine.write("/etc/ssl/lab/seen.pem", fs::read(&seen.cert_pem).expect("made"));
        machine.write(
            "/etc/nginx/nginx.conf",
            format!(
                "user www-data;\npid /run/nginx.pid;\nevents {{}}\nhttp {{\n  access_log off;\n\
                 server {{ listen 127.0.0.1:{}; root /var/www/html; }}\n\
                 server {{ listen 127.0.0.1:{} ssl; server_name srv.test; ssl_certificate /etc/nginx/tls/api.pem;\n\
                 ssl_certificate_key /etc/nginx/tls/api.key; }}\n}}\n",
                ca.http_port(),
                tls.number()
            ),
        );
        machine.write("/etc/notafter/ca.pem", fs::read(ca.ca_file()).expect("made"));
        machine.write(
            "/etc/notafter/notafter.toml",
            format!(
                "[server]\nlisten = \"127.0.0.1:{web}\"\n[act]\nsocket = \"/run/notafter/act.sock\"\n\
                 [[source]]\nkind = \"files\"\npaths = [\"/etc/ssl\"]\nevery = \"1m\"\n\
                 [[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"/etc/notafter/ca.pem\"\n\
                 [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"10s\"\nrehearse = \"never\"\n\
                 solver = {{ kind = \"http-01\", webroot = \"/var/www/html\", port = {}, address = \"127.0.0.1\" }}\n\
                 [[certificate.target]]\nkind = \"files\"\npreset = \"nginx\"\ncertificate = \"/etc/nginx/tls/api.pem\"\n\
                 key = \"/etc/nginx/tls/api.key\"\nprove = [\"tls://127.0.0.1:{}?sni=srv.test\"]\n",
                ca.directory(),
                ca.http_port(),
                tls.number(),
                web = web.number(),
            ),
        );
        machine.write("/usr/lib/sysusers.d/notafter.conf", packaged("notafter.sysusers"));
        for unit in [SERVER, ACT] {
            machine.write(&format!("/etc/systemd/system/{unit}"), packaged(unit));
        }
        let this = Self { machine, tls, _ca: ca, _lab: lab };
        this.well(&["systemd-sysusers"]);
        this.well(&["systemctl", "daemon-reload"]);
        this.well(&["systemctl", "start", "nginx"]);
        Some(this)
    }

    /// Runs what must succeed.
    fn well(&self, words: &[&str]) -> String {
        let ran = self.machine.run(words).expect("it runs");
        assert!(ran.status.success(), "{}: {}\n{}", words.join(" "), ran.all(), self.words());
        ran.text()
    }

    /// A command of ours as the account of the service.
    fn ask(&self, words: &[&str]) -> (bool, String) {
        let all = [&["runuser", "-u", "notafter", "--", "notafter"], words, &["--data", "/var/lib/notafter"]]
            .concat();
        let ran = self.machine.run(&all).expect("it runs");
        (ran.status.success(), ran.all())
    }

    fn words(&self) -> String {
        format!("{}\n{}", self.machine.journal(SERVER), self.machine.journal(ACT))
    }

    /// Waits for something.
    fn until<T>(&self, what: &str, patience: u64, mut check: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = check() {
                return value;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(patience),
                "{what} did not come:\n{}",
                self.words()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The issuer of what nginx shows, by openssl.
    fn issuer(&self) -> String {
        // An old worker of nginx answers for a moment beside the new ones.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let line = "openssl s_client -connect \"$1\" -servername srv.test </dev/null 2>/dev/null | openssl x509 -noout -issuer";
        let shown = Command::new("sh").args(["-c", line, "-", &self.tls.local().to_string()]).output();
        String::from_utf8_lossy(&shown.expect("openssl runs").stdout).into_owned()
    }
}

fn mode_of(machine: &Booted, path: &str, mode: u32) {
    fs::set_permissions(machine.at(path), fs::Permissions::from_mode(mode)).expect("set");
}

fn seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs() as i64)
}

#[test]
fn both_units_are_ready_watched_and_renew() {
    let Some(lab) = Machine::new("booted") else { return };
    let machine = &lab.machine;
    // `start` comes back when they have said that they are ready, and not before.
    lab.well(&["systemctl", "start", ACT, SERVER]);
    for unit in [SERVER, ACT] {
        let state = ["ActiveState", "SubState", "Type", "NRestarts"].map(|name| machine.property(unit, name));
        assert_eq!(state, ["active", "running", "notify", "0"], "{unit}: {}", lab.words());
    }
    let users = [SERVER, ACT].map(|unit| {
        let id = machine.property(unit, "MainPID");
        lab.well(&["stat", "-c", "%U", &format!("/proc/{id}")]).trim().to_owned()
    });
    assert_eq!(users, ["notafter", "root"]);
    let socket = lab.well(&["stat", "-c", "%U:%G %a", "/run/notafter/act.sock"]);
    assert_eq!(socket.trim(), "root:notafter 660");
    let (_, doctor) = lab.ask(&["doctor", "--json"]);
    assert!(doctor.contains("act.sock answers"), "{doctor}");

    // Each says every two seconds that it lives.
    let alive =
        || [SERVER, ACT].map(|unit| machine.property(unit, "WatchdogTimestampMonotonic").parse::<u64>());
    let [Ok(server), Ok(act)] = alive() else { panic!("{:?}\n{}", alive(), lab.words()) };
    lab.until("a sign of life of both", 20, || match alive() {
        [Ok(a), Ok(b)] if a > server && b > act => Some(()),
        _ => None,
    });

    // By itself: the certificate of nginx ends in five days.
    lab.until("the new certificate", 90, || lab.issuer().contains("Pebble").then_some(()));
    lab.until("its proof", 60, || lab.ask(&["prove", "web", "--json"]).0.then_some(()));
    let files = lab.well(&["stat", "-c", "%U %a", "/etc/nginx/tls/api.pem", "/etc/nginx/tls/api.key"]);
    assert_eq!(files.lines().collect::<Vec<_>>(), ["root 644", "root 600"]);
    let words = machine.journal(ACT);
    assert!(words.contains("deploy web files 1: done") || words.contains("deploy web"), "{words}");
    // A second one, by a person.
    let (well, said) = lab.ask(&["renew", "web", "--json"]);
    assert!(well && said.contains("\"proved\""), "{said}\n{}", lab.words());

    // Files that everybody may read are found; those of root are not, and that is said.
    lab.until("what lies open", 60, || {
        lab.ask(&["ls", "name:seen.test"]).1.contains("seen.test").then_some(())
    });
    assert!(!lab.ask(&["ls", "name:hidden.test", "--json"]).1.contains("hidden.test\""), "{}", lab.words());
    // With the one right that the unit has in a comment, they are.
    machine.write(
        "/etc/systemd/system/notafter.service.d/read.conf",
        "[Service]\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\nAmbientCapabilities=CAP_DAC_READ_SEARCH\n",
    );
    lab.well(&["systemctl", "daemon-reload"]);
    lab.well(&["systemctl", "restart", SERVER]);
    lab.until("what only root can read", 120, || {
        lab.ask(&["ls", "name:hidden.test", "--json"]).1.contains("hidden.test\"").then_some(())
    });

    // A new configuration, and the end.
    lab.well(&["systemctl", "reload", ACT, SERVER]);
    lab.until("the configuration", 20, || {
        let loaded = |unit| machine.journal(unit).contains("configuration loaded anew");
        (loaded(ACT) && loaded(SERVER)).then_some(())
    });
    // Nothing that it needs was refused it by the filter of system calls.
    assert!(!lab.words().contains("Operation not permitted"), "{}", lab.words());
    lab.well(&["systemctl", "stop", SERVER, ACT]);
    for unit in [SERVER, ACT] {
        let ended = ["Result", "ExecMainStatus", "NRestarts"].map(|name| machine.property(unit, name));
        assert_eq!(ended, ["success", "0", "0"], "{unit}: {}", lab.words());
    }
    assert!(!machine.at("/run/notafter/act.sock").exists());
}

#[test]
fn what_stands_still_is_started_again() {
    let Some(lab) = Machine::new("booted-watchdog") else { return };
    let machine = &lab.machine;
    // A minute is long for a test.
    for unit in [SERVER, ACT] {
        let path = format!("/etc/systemd/system/{unit}.d/soon.conf");
        machine.write(&path, "[Service]\nWatchdogSec=10\nRestartSec=1\n");
    }
    lab.well(&["systemctl", "daemon-reload"]);
    lab.well(&["systemctl", "start", ACT, SERVER]);
    for unit in [ACT, SERVER] {
        let id = machine.property(unit, "MainPID");
        lab.well(&["kill", "-STOP", &id]);
        lab.until("another process", 60, || {
            let now = machine.property(unit, "MainPID");
            let is_up = machine.property(unit, "ActiveState") == "active"
                && machine.property(unit, "SubState") == "running";
            (is_up && now != id && now != "0").then_some(())
        });
        assert_eq!(machine.property(unit, "NRestarts"), "1", "{unit}: {}", lab.words());
    }
    // And killed without a word: the same, and it answers again.
    lab.well(&["systemctl", "kill", "--signal=KILL", ACT]);
    lab.until("the next process", 60, || (machine.property(ACT, "NRestarts") == "2").then_some(()));
    let answers = lab.until("its answer", 30, || {
        let (_, doctor) = lab.ask(&["doctor", "--json"]);
        doctor.contains("act.sock answers").then_some(doctor)
    });
    assert!(serde_json::from_str::<Value>(&answers).is_ok(), "{answers}");
}
