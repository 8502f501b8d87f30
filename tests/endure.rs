//! What the server endures: a database that is elsewhere, goes away and comes back; a full disk, a lock, damage, being
//! killed at any moment, a clock that was set. The real binary throughout.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use notafter_lab::servers::{nginx, postgres};
use notafter_lab::sinks::http::{Answer, Receiver};
use notafter_lab::{Authority, Lab, Request, Server, need};
use run::{Run, run};
use serving::Serving;
use web::get;

const DAY: i64 = 86_400;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// A certificate of ninety days with so many of them left.
fn left(days: i64) -> Request {
    Request::server().between(now() + (days - 90) * DAY, now() + days * DAY + 3600)
}

fn source(server: &Server) -> String {
    format!(
        "[[source]]\nname = \"office\"\nkind = \"network\"\ntargets = [\"tls://{}?sni=srv.test\"]\nevery = \"3s\"\n",
        server.address()
    )
}

fn files(folder: &Path) -> String {
    format!(
        "[[source]]\nname = \"files\"\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"2s\"\n",
        folder.display()
    )
}

fn hook(receiver: &Receiver) -> String {
    format!(
        "[[notifier]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\n\
         [[owner]]\nname = \"web\"\nnotify = [\"hook\"]\ndefault = true\n",
        receiver.url("/n")
    )
}

/// The ids of the messages about the certificate that came, each as often as it came.
fn told(receiver: &Receiver) -> Vec<String> {
    let about = receiver.received().into_iter().filter(|r| r.text().contains("srv.test expires"));
    let id = |r: notafter_lab::sinks::http::Received| {
        let body: serde_json::Value = serde_json::from_slice(&r.body).ok()?;
        Some(body["id"].as_str()?.to_owned())
    };
    about.filter_map(id).collect()
}

fn each_once(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A database server that a test owns.
struct Database {
    server: Server,
    authority: Authority,
}

impl Database {
    fn start(lab: &Lab) -> Option<Self> {
        let authority = Authority::new(lab);
        let server = need(postgres::start(lab, &authority.issue(&Request::server())))?;
        let database = Self { server, authority };
        database.ask("postgres", "CREATE DATABASE notafter");
        Some(database)
    }

    fn ask(&self, name: &str, sql: &str) -> String {
        let port = self.server.address().port().to_string();
        let out = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-p",
                &port,
                "-d",
                name,
                "-c",
                sql,
            ])
            .output()
            .expect("psql runs");
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn url(&self, host: &str, how: &str) -> String {
        format!("postgres://postgres@{host}:{}/notafter?{how}", self.server.address().port())
    }

    /// The beginning of a configuration that uses it.
    fn config(&self, how: &str) -> String {
        format!("[server]\ndatabase = \"{}\"\n", self.url("127.0.0.1", how))
    }
}

const PLAIN: &str = "sslmode=disable";

fn assets(serving: &Serving) -> u64 {
    get(&format!("{}/api/v1/totals", serving.url())).json()["assets"].as_u64().unwrap_or(0)
}

#[test]
fn a_server_on_postgresql() {
    let lab = Lab::new("endure-postgres");
    let Some(mut database) = Database::start(&lab) else { return };
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let config = format!("{}{}{}", database.config(PLAIN), source(&web), hook(&heard));
    let mut serving = Serving::start(&lab, &config);
    serving.until("the message", || (!told(&heard).is_empty()).then_some(()));
    assert!(assets(&serving) > 0);
    for page in ["/", "/inventory", "/alerts", "/sources", "/healthz"] {
        assert_eq!(get(&format!("{}{page}", serving.url())).status, 200, "{page}");
    }
    let alerts = serving.ask(&["ls", "--alerts"]).out;
    let id = alerts.split_whitespace().next().unwrap_or_default().to_owned();
    assert!(serving.ask(&["ack", &id, "--note", "on it"]).out.contains("acknowledged"), "{alerts}");
    // A command from another process puts a source on its schedule.
    let watched = serving.ask(&["watch", &format!("tls://{}?sni=other.test", web.address())]);
    assert_eq!(watched.code, 0, "{}", watched.err);
    serving.until("the new source", || serving.words().contains("configuration loaded anew").then_some(()));
    assert_eq!(serving.ask(&["doctor"]).out.matches("postgresql").count(), 1);
    // A restart keeps everything and tells nobody anew.
    let before = assets(&serving);
    assert_eq!(serving.stop(), 0);
    serving.crash_and_restart(lab.path());
    assert_eq!(assets(&serving), before);
    assert!(serving.ask(&["ls", "--alerts"]).out.contains("acknowledged by"));
    // The database goes away and comes back: the pages say so, and the rest goes on by itself.
    database.server.stop();
    serving
        .until("what is wrong", || (get(&format!("{}/healthz", serving.url())).status == 503).then_some(()));
    database.server.restart().expect("it starts again");
    serving
        .until("its recovery", || (get(&format!("{}/healthz", serving.url())).status == 200).then_some(()));
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(told(&heard).len(), 1, "{:?}", told(&heard));
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}

#[test]
fn tls_to_the_database_is_checked() {
    let lab = Lab::new("endure-postgres-tls");
    let Some(database) = Database::start(&lab) else { return };
    let root = database.authority.root().cert_pem.display().to_string();
    let asked = |host: &str, how: &str| -> Run {
        let config = lab.path().join("notafter.toml");
        let text = format!("[server]\ndatabase = \"{}\"\n", database.url(host, how));
        fs::write(&config, text).expect("the configuration is written");
        let (data, config) = (lab.path().join("data"), config.display().to_string());
        run(&["ls", "--data", &data.display().to_string(), "--config", &config])
    };
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.application_name LIKE 'notafter%'";
    // Its certificate is nobody's that this system knows.
    for how in ["sslmode=require", "sslmode=verify-full", ""] {
        let refused = asked("localhost", how);
        assert_eq!(refused.code, 2, "{how}: {}", refused.out);
        assert!(refused.err.contains("ertificate") && refused.err.contains("hint"), "{how}: {}", refused.err);
    }
    assert_eq!(database.ask("notafter", encrypted), "0");
    for how in ["sslmode=require", "sslmode=verify-full"] {
        let taken = asked("localhost", &format!("{how}&sslrootcert={root}"));
        assert_eq!(taken.code, 0, "{how}: {}", taken.err);
    }
    // The right CA and another name.
    let other = asked("wrong.test", &format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={root}"));
    assert!(other.code == 2 && other.err.contains("ertificate"), "{}{}", other.out, other.err);
    let missing = asked("localhost", "sslmode=verify-full&sslrootcert=/nowhere/ca.pem");
    assert!(missing.err.contains("/nowhere/ca.pem") && missing.err.contains("hint"), "{}", missing.err);
    // A server that works over it.
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(40)))) else { return };
    let how = format!("sslmode=verify-full&sslrootcert={root}");
    let config = format!("[server]\ndatabase = \"{}\"\n{}", database.url("localhost", &how), source(&web));
    let serving = Serving::start(&lab, &config);
    serving.until("the asset", || (assets(&serving) > 0).then_some(()));
    assert_ne!(database.ask("notafter", encrypted), "0");
}

#[test]
fn two_servers_never_work_on_one_database() {
    let lab = Lab::new("endure-two");
    let Some(database) = Database::start(&lab) else { return };
    let folder = lab.subfolder("nothing");
    let config = format!("{}{}", database.config(PLAIN), files(&folder));
    let mut serving = Serving::start(&lab, &config);
    let other = lab.path().join("other").display().to_string();
    let file = lab.path().join("notafter.toml").display().to_string();
    let second = run(&["serve", "--data", &other, "--config", &file]);
    assert_eq!(second.code, 2, "{}", second.out);
    assert!(second.err.contains("another server works on this database"), "{}", second.err);
    assert!(second.err.contains(&format!("pid {}", serving.pid())), "{}", second.err);
    // Killed, it leaves the place at once.
    serving.crash_and_restart(lab.path());
    assert_eq!(get(&format!("{}/healthz", serving.url())).status, 200);
}
