//! What the server endures: a database that is elsewhere, goes away and comes back; a full disk, a lock, damage, being
//! killed at any moment, a clock that was set. The real binary throughout.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notafter_lab::calendar::faketime;
use notafter_lab::servers::{nginx, postgres};
use notafter_lab::sinks::http::{Answer, Receiver};
use notafter_lab::{Authority, Lab, NotRun, Request, Server, need};
use run::{Run, notafter, run};
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

/// A small file system of its own under the data folder; gone with the test.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, megabytes: u32) -> Result<Self, NotRun> {
        fs::create_dir_all(at).map_err(|e| NotRun::new("a small file system", e.to_string()))?;
        let size = format!("size={megabytes}m,mode=0700");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        if done.is_ok_and(|status| status.success()) {
            Ok(Self(at.to_owned()))
        } else {
            Err(NotRun::new("a small file system", "mounting one needs root"))
        }
    }

    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = fs::File::create(&ballast).expect("a file");
        while file.write_all(&[7; 4096]).is_ok() {}
        while file.write_all(&[7; 16]).is_ok() {}
        ballast
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn expiring(authority: &Authority, folder: &Path, name: &str, days: i64) {
    let leaf = authority.issue(&left(days).sans(&[&format!("DNS:{name}")]));
    // Whole at once, as whoever installs one should.
    let beside = folder.join(format!(".{name}"));
    fs::copy(leaf.cert_pem, &beside).expect("copied");
    fs::rename(beside, folder.join(format!("{name}.pem"))).expect("renamed");
}

#[test]
fn a_full_disk_stops_nothing_but_writing() {
    let lab = Lab::new("endure-full");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&left(8)))) else { return };
    let Some(small) = need(Small::mount(&lab.path().join("data"), 8)) else { return };
    let folder = lab.subfolder("grows");
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let config = format!("{}{}{}", source(&web), files(&folder), hook(&heard));
    let serving = Serving::start(&lab, &config);
    serving.until("the message", || (!told(&heard).is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    let ballast = small.fill();
    for n in 0..30 {
        expiring(&authority, &folder, &format!("later{n}.test"), 60);
    }
    let health = || get(&format!("{}/healthz", serving.url())).status;
    serving.until("what is wrong", || (health() == 503).then_some(()));
    // Nothing that fails or that changes nothing says that all is well; reading goes on; nobody is flooded.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(15) {
        assert_eq!(health(), 503, "{}", serving.words());
        assert_eq!(get(&format!("{}/inventory", serving.url())).status, 200);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(told(&heard).len(), 1, "{:?}", told(&heard));
    fs::remove_file(ballast).expect("removed");
    serving.until("what came meanwhile", || {
        (serving.ask(&["ls", "later29.test"]).out.contains("later29.test")).then_some(())
    });
    serving.until("its recovery", || (health() == 200).then_some(()));
    assert_eq!(told(&heard).len(), 1, "{:?}", told(&heard));
    assert_eq!(serving.ask(&["doctor"]).out.matches("failed memory").count(), 0);
}

/// Another process that holds the write lock of a SQLite file.
fn holder(file: &Path, seconds: u32) -> Child {
    let script = "import sqlite3,sys,time\nc=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=30)\n\
                  c.execute('BEGIN EXCLUSIVE')\nprint('held',flush=True)\ntime.sleep(int(sys.argv[2]))\nc.execute('ROLLBACK')\n";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .arg(seconds.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut said = [0; 4];
    use std::io::Read;
    child.stdout.as_mut().expect("its words").read_exact(&mut said).expect("it holds the lock");
    child
}

#[test]
fn locked_for_a_minute_while_a_message_is_on_its_way() {
    let lab = Lab::new("endure-locked");
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    let (begun, said) = (lab.path().join("begun"), lab.path().join("said"));
    let script = format!("touch {}; sleep 3; echo $NOTAFTER_ID >> {}", begun.display(), said.display());
    let config = format!(
        "{}[[notifier]]\nname = \"slow\"\nkind = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n\
         [[owner]]\nname = \"web\"\nnotify = [\"slow\"]\ndefault = true\n",
        source(&web)
    );
    let serving = Serving::start(&lab, &config);
    serving.until("the message on its way", || begun.exists().then_some(()));
    // It ends while the lock is held: that it was delivered can only be noted a minute later.
    let mut holder = holder(&serving.folder.join("notafter.db"), 66);
    serving.until("the end of it", || said.exists().then_some(()));
    for _ in 0..10 {
        assert_eq!(get(&format!("{}/inventory", serving.url())).status, 200, "reading goes on");
        std::thread::sleep(Duration::from_secs(6));
    }
    let _ = holder.wait();
    serving.until("the note of it", || {
        let alerts = get(&format!("{}/alerts", serving.url()));
        let fine = get(&format!("{}/healthz", serving.url())).status == 200;
        (fine && alerts.status == 200).then_some(())
    });
    std::thread::sleep(Duration::from_secs(10));
    let ids: Vec<String> = fs::read_to_string(&said).unwrap_or_default().lines().map(str::to_owned).collect();
    let ids: Vec<String> = ids.into_iter().filter(|id| id.contains("-alert-")).collect();
    assert_eq!((ids.len(), each_once(ids.clone()).len()), (1, 1), "{ids:?}");
    assert_eq!(serving.ask(&["doctor"]).out.matches("given up").count(), 0);
}

/// A new configuration while another program holds the memory: said to be waited for, and worked by as soon as it can be.
#[test]
fn a_new_configuration_waits_for_a_locked_memory() {
    let lab = Lab::new("endure-reload");
    let authority = Authority::new(&lab);
    let (old, new) = (lab.subfolder("old"), lab.subfolder("new"));
    expiring(&authority, &old, "old.test", 40);
    expiring(&authority, &new, "new.test", 40);
    let serving = Serving::start(&lab, &files(&old));
    let has = |name: &str| serving.ask(&["ls", name]).out.contains(name).then_some(());
    serving.until("the first look", || has("old.test"));
    let mut holder = holder(&serving.folder.join("notafter.db"), 25);
    let file = lab.path().join("notafter.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let more = files(&new).replace("\"files\"\nkind", "\"more\"\nkind");
    fs::write(&file, format!("{text}{more}")).expect("written");
    serving.signal("HUP");
    serving.until("that it was read", || serving.words().contains("configuration loaded anew").then_some(()));
    // Longer than a step waits for the memory: it was refused, and stays.
    std::thread::sleep(Duration::from_secs(18));
    assert!(has("new.test").is_none(), "the memory was not held");
    assert_eq!(get(&format!("{}/inventory", serving.url())).status, 200);
    let _ = holder.wait();
    serving.until("what only the new configuration names", || has("new.test"));
    serving.until("that all is well", || {
        (get(&format!("{}/healthz", serving.url())).status == 200).then_some(())
    });
}

#[test]
fn damage_at_the_start_is_said_and_left_as_it_is() {
    let lab = Lab::new("endure-damage");
    let folder = lab.subfolder("some");
    let authority = Authority::new(&lab);
    for n in 0..20 {
        expiring(&authority, &folder, &format!("a{n}.test"), 60);
    }
    let mut serving = Serving::start(&lab, &files(&folder));
    serving
        .until("what is there", || serving.ask(&["ls", "a19.test"]).out.contains("a19.test").then_some(()));
    assert_eq!(serving.stop(), 0);
    let file = serving.folder.join("notafter.db");
    let whole = fs::read(&file).expect("the database");
    let size = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    for (what, change) in [
        (
            "a page",
            &(|bytes: &mut Vec<u8>| bytes[3 * size..3 * size + 64].fill(0xff)) as &dyn Fn(&mut Vec<u8>),
        ),
        ("the header", &|bytes: &mut Vec<u8>| bytes[..16].fill(0)),
        ("the end", &|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2)),
    ] {
        let mut damaged = whole.clone();
        change(&mut damaged);
        fs::write(&file, &damaged).expect("written");
        let refused = serving.ask(&["serve"]);
        assert_eq!(refused.code, 2, "{what}: {}", refused.out);
        assert!(
            refused.err.contains("hint:") && !refused.err.contains("panicked"),
            "{what}: {}",
            refused.err
        );
        assert_eq!(fs::read(&file).expect("the database"), damaged, "{what}: it was changed");
    }
    // A token that was cut off lets nobody in, and is not replaced unasked.
    fs::write(&file, &whole).expect("written");
    let token = serving.folder.join("token");
    fs::write(&token, "abc").expect("written");
    let refused = serving.ask(&["serve"]);
    assert!(refused.code == 2 && refused.err.contains("hint:"), "{}", refused.err);
    assert_eq!(fs::read_to_string(&token).expect("the token"), "abc");
}

#[test]
fn killed_while_it_takes_in_on_postgresql() {
    let lab = Lab::new("endure-killed");
    let Some(database) = Database::start(&lab) else { return };
    let folder = lab.subfolder("many");
    let authority = Authority::new(&lab);
    for n in 0..60 {
        expiring(&authority, &folder, &format!("k{n}.test"), 60);
    }
    let config = format!("{}{}", database.config(PLAIN), files(&folder));
    let mut serving = Serving::start(&lab, &config);
    for n in 0..6 {
        std::thread::sleep(Duration::from_millis(60 + 170 * n));
        serving.crash_and_restart(lab.path());
    }
    serving.until("all of them", || (assets(&serving) == 60).then_some(()));
    let doctor = serving.ask(&["doctor"]);
    assert!(!doctor.out.contains("failed memory") && doctor.out.contains("whole"), "{}", doctor.out);
    // Each is there once.
    assert_eq!(database.ask("notafter", "SELECT count(*) - count(DISTINCT (fp8, fp24)) FROM asset"), "0");
    assert_eq!(database.ask("notafter", "SELECT count(*) FROM placement WHERE gone IS NULL"), "60");
}

#[test]
fn killed_while_it_tells_on_postgresql() {
    let lab = Lab::new("endure-killed-telling");
    let Some(database) = Database::start(&lab) else { return };
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    let mute = Receiver::start(Answer::Silence);
    let config =
        |receiver: &Receiver| format!("{}{}{}", database.config(PLAIN), source(&web), hook(receiver));
    let mut serving = Serving::start(&lab, &config(&mute));
    serving.until("an attempt", || (!mute.received().is_empty()).then_some(()));
    for _ in 0..3 {
        serving.crash_and_restart(lab.path());
        std::thread::sleep(Duration::from_millis(700));
    }
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let file = lab.path().join("notafter.toml");
    let text =
        fs::read_to_string(&file).expect("the configuration").replace(&mute.url("/n"), &heard.url("/n"));
    fs::write(&file, text).expect("written");
    serving.crash_and_restart(lab.path());
    serving.until("the message", || (!told(&heard).is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told(&heard).len(), 1, "taken over once");
    let all = each_once(told(&heard).into_iter().chain(told(&mute)).collect());
    assert_eq!(all.len(), 1, "one message, however often it was tried: {all:?}");
}

#[test]
fn killed_while_the_schema_is_made() {
    let lab = Lab::new("endure-schema");
    let ask = |data: &Path, config: &Path, arguments: &[&str]| {
        let mut command = notafter(arguments);
        command.arg("--data").arg(data).arg("--config").arg(config);
        command
    };
    let database = Database::start(&lab);
    for kind in ["file", "postgres"] {
        let (data, config) = (lab.path().join(kind), lab.path().join(format!("{kind}.toml")));
        let text = match (kind, &database) {
            ("file", _) => String::new(),
            (_, Some(database)) => database.config(PLAIN),
            (_, None) => continue,
        };
        fs::write(&config, text).expect("written");
        // Killed at every moment of the first start: of each step, all or nothing is there, and the next one goes on.
        for wait in 0..25 {
            let mut starting = ask(&data, &config, &["serve", "--listen", "127.0.0.1:0"]);
            let mut child = starting.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
            std::thread::sleep(Duration::from_millis(5 * wait));
            let _ = child.kill();
            let _ = child.wait();
            let next = run::finished(ask(&data, &config, &["ls"]).output().expect("it runs"));
            let early = next.err.contains("nothing is kept");
            assert!(next.code == 0 || early, "{kind} after {wait}: {}", next.err);
            match &database {
                _ if kind == "file" => drop(fs::remove_dir_all(&data)),
                Some(database) => {
                    database.ask("postgres", "DROP DATABASE notafter WITH (FORCE)");
                    database.ask("postgres", "CREATE DATABASE notafter");
                }
                None => {}
            }
        }
        let folder = lab.subfolder("schema-some");
        expiring(&Authority::new(&lab), &folder, "s.test", 60);
        let saved = run::finished(
            ask(&data, &config, &["scan", &folder.to_string_lossy(), "--save"]).output().expect("it runs"),
        );
        assert!(saved.err.contains("1 new assets"), "{kind}: {}", saved.err);
        // A newer program was here: refused, with what to do, and nothing changed.
        match (kind, &database) {
            ("file", _) => {
                let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\n\
                              c.execute(\"INSERT INTO migration VALUES (99, 'x', 0)\")\nc.commit()\n";
                let done =
                    Command::new("python3").args(["-c", script]).arg(data.join("notafter.db")).status();
                assert!(done.is_ok_and(|s| s.success()));
            }
            (_, Some(database)) => {
                database.ask("notafter", "INSERT INTO migration VALUES (99, 'x', 0)");
            }
            (_, None) => {}
        }
        let refused = run::finished(ask(&data, &config, &["serve"]).output().expect("it runs"));
        assert_eq!(refused.code, 2, "{kind}: {}", refused.out);
        assert!(refused.err.contains("newer") && refused.err.contains("hint:"), "{kind}: {}", refused.err);
    }
}

/// A server whose wall clock is set while it runs, and set right again.
fn clock_set(name: &str, days: i64, certificate: &Request) {
    let lab = Lab::new(name);
    let Some(library) = need(faketime()) else { return };
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(certificate))) else { return };
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let clock = lab.path().join("clock");
    let set = |seconds: i64| {
        let beside = lab.path().join("clock.new");
        fs::write(&beside, format!("{seconds:+}\n")).expect("written");
        fs::rename(&beside, &clock).expect("renamed");
    };
    set(0);
    let file = lab.path().join("notafter.toml");
    let text = format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{}", source(&web), hook(&heard));
    fs::write(&file, text).expect("written");
    let (library, stamps) = (library.display().to_string(), clock.display().to_string());
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", stamps.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let serving = Serving::with(lab.path(), lab.path().join("data"), file, &environment);
    let findings = || serving.ask(&["ls", "--findings"]).out;
    serving.until("the first look", || (assets(&serving) > 0).then_some(()));
    std::thread::sleep(Duration::from_secs(4));
    let about = || {
        let lines = findings();
        lines.lines().filter(|line| line.contains("srv.test")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = about();
    assert!(!before.iter().any(|line| line.contains("expire")), "{before:?}");
    set(days * DAY);
    serving.until("that it was set", || findings().contains("clock-skew").then_some(()));
    std::thread::sleep(Duration::from_secs(8));
    let health = get(&format!("{}/healthz", serving.url()));
    assert_eq!(health.status, 200, "{}", health.body);
    assert_eq!(get(&format!("{}/", serving.url())).status, 200);
    assert!(told(&heard).is_empty(), "a wrong clock is no reason to tell anybody: {:?}", told(&heard));
    // Set right: nothing of it is left, neither a message nor a finding about the certificate.
    set(0);
    serving.until("the right time", || {
        serving.words().lines().filter(|l| l.contains("clock was set")).nth(1).map(drop)
    });
    serving.until("the end of what was wrong", || (about() == before).then_some(()));
    std::thread::sleep(Duration::from_secs(5));
    assert!(told(&heard).is_empty(), "{:?}", told(&heard));
    assert_eq!(get(&format!("{}/healthz", serving.url())).status, 200);
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}

#[test]
fn the_clock_jumps_forward_sixty_days() {
    clock_set("endure-clock-forward", 60, &left(45));
}

#[test]
fn the_clock_jumps_back_sixty_days() {
    clock_set("endure-clock-back", -60, &left(60));
}

/// Sends a signal to a process and all that it started.
fn signal_family(name: &str, pid: u32) {
    let listed = Command::new("pgrep").args(["-P", &pid.to_string()]).output().expect("pgrep runs");
    let children = String::from_utf8_lossy(&listed.stdout).into_owned();
    let all = children.split_whitespace().map(str::to_owned).chain([pid.to_string()]);
    let sent = Command::new("kill").arg(format!("-{name}")).args(all).status();
    assert!(sent.is_ok(), "kill -{name} {pid}");
}

#[test]
fn a_database_that_says_nothing_is_said_and_waited_for() {
    let lab = Lab::new("endure-silent");
    let Some(database) = Database::start(&lab) else { return };
    let folder = lab.subfolder("grows");
    let authority = Authority::new(&lab);
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let config = format!("{}{}{}", database.config(PLAIN), files(&folder), hook(&heard));
    let serving = Serving::start(&lab, &config);
    expiring(&authority, &folder, "before.test", 60);
    serving.until("the first look", || (assets(&serving) == 1).then_some(()));
    let pid = database.server.pid().expect("it runs");
    signal_family("STOP", pid);
    expiring(&authority, &folder, "srv.test", 8);
    let health = get(&format!("{}/healthz", serving.url()));
    assert_eq!(health.status, 503, "{}", health.body);
    std::thread::sleep(Duration::from_secs(8));
    signal_family("CONT", pid);
    serving
        .until("its recovery", || (get(&format!("{}/healthz", serving.url())).status == 200).then_some(()));
    serving.until("the message", || (!told(&heard).is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told(&heard).len(), 1);
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}

#[test]
fn a_database_that_says_nothing_does_not_keep_the_server_from_ending() {
    let lab = Lab::new("endure-silent-end");
    let Some(database) = Database::start(&lab) else { return };
    let folder = lab.subfolder("grows");
    let authority = Authority::new(&lab);
    let mut serving = Serving::start(&lab, &format!("{}{}", database.config(PLAIN), files(&folder)));
    expiring(&authority, &folder, "before.test", 60);
    serving.until("the first look", || (assets(&serving) == 1).then_some(()));
    let pid = database.server.pid().expect("it runs");
    signal_family("STOP", pid);
    // Long enough that the engine, the source and whoever looks for changes all wait for it.
    expiring(&authority, &folder, "later.test", 60);
    std::thread::sleep(Duration::from_secs(8));
    let begun = Instant::now();
    let code = serving.stop();
    let took = begun.elapsed();
    signal_family("CONT", pid);
    assert_eq!(code, 0, "{}", serving.words());
    assert!(took < Duration::from_secs(20), "{took:?}");
    // What it could not keep is seen again.
    serving.crash_and_restart(lab.path());
    serving.until("what came meanwhile", || (assets(&serving) == 2).then_some(()));
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}

#[test]
fn doctor_finds_what_no_longer_agrees() {
    let lab = Lab::new("endure-agree");
    let folder = lab.subfolder("some");
    let authority = Authority::new(&lab);
    for n in 0..12 {
        expiring(&authority, &folder, &format!("d{n}.test"), 60);
    }
    let Some(database) = Database::start(&lab) else { return };
    for kind in ["file", "postgres"] {
        let (data, config) = (lab.path().join(kind), lab.path().join(format!("{kind}.toml")));
        let text = if kind == "file" { String::new() } else { database.config(PLAIN) };
        fs::write(&config, text).expect("written");
        let ask = |arguments: &[&str]| {
            let mut command = notafter(arguments);
            command.arg("--data").arg(&data).arg("--config").arg(&config);
            run::finished(command.output().expect("it runs"))
        };
        let change = |sql: &str| {
            if kind == "postgres" {
                database.ask("notafter", sql);
                return;
            }
            let script =
                "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.execute(sys.argv[2])\nc.commit()\n";
            let file = data.join("notafter.db");
            let done = Command::new("python3").args(["-c", script]).arg(file).arg(sql).status();
            assert!(done.is_ok_and(|s| s.success()), "{sql}");
        };
        let saved = ask(&["scan", &folder.to_string_lossy(), "--save"]);
        assert!(saved.err.contains("12 new assets"), "{kind}: {}", saved.err);
        let well = ask(&["doctor"]).out;
        assert!(!well.contains("failed memory"), "{kind}: {well}");
        for (sql, back, says) in [
            (
                "UPDATE total SET count = count + 1 WHERE name = 'placements'",
                "UPDATE total SET count = count - 1 WHERE name = 'placements'",
                "placements: 13 noted, 12 counted",
            ),
            (
                "UPDATE der SET asset = asset + 1000 WHERE asset = (SELECT max(asset) FROM der)",
                "UPDATE der SET asset = asset - 1000 WHERE asset > 1000",
                "1 assets without their bytes",
            ),
            (
                "UPDATE asset SET fp8 = fp8 + 1 WHERE id = (SELECT min(id) FROM asset)",
                "UPDATE asset SET fp8 = fp8 - 1 WHERE id = (SELECT min(id) FROM asset)",
                "are not those of sha256:",
            ),
            (
                "UPDATE der SET bytes = substr(bytes, 1, length(bytes) - 1) WHERE asset = (SELECT max(asset) FROM der)",
                "",
                "the bytes of asset",
            ),
        ] {
            change(sql);
            let ill = ask(&["doctor"]);
            assert_eq!(ill.code, 1, "{kind}: {sql}: {}", ill.out);
            let line =
                ill.out.lines().find(|l| l.starts_with("failed memory")).unwrap_or_default().to_owned();
            assert!(line.contains(says), "{kind}: {sql}: {}", ill.out);
            if !back.is_empty() {
                change(back);
                assert!(!ask(&["doctor"]).out.contains("failed memory"), "{kind}: {back}");
            }
        }
    }
}

#[test]
fn without_descriptors_nothing_is_lost() {
    let lab = Lab::new("endure-descriptors");
    let folder = lab.subfolder("grows");
    let authority = Authority::new(&lab);
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let serving = Serving::start(&lab, &format!("{}{}", files(&folder), hook(&heard)));
    expiring(&authority, &folder, "before.test", 60);
    serving.until("the first look", || (assets(&serving) == 1).then_some(()));
    let limit = |most: usize| {
        let (pid, most) = (serving.pid().to_string(), format!("--nofile={most}:4096"));
        let done = Command::new("prlimit").args(["--pid", &pid, &most]).status();
        assert!(done.is_ok_and(|status| status.success()), "prlimit {most}");
    };
    // Not one more than it holds now.
    let open = fs::read_dir(format!("/proc/{}/fd", serving.pid())).expect("its descriptors").count();
    limit(open);
    expiring(&authority, &folder, "srv.test", 8);
    std::thread::sleep(Duration::from_secs(10));
    limit(4096);
    serving.until("the message", || (!told(&heard).is_empty()).then_some(()));
    serving
        .until("its recovery", || (get(&format!("{}/healthz", serving.url())).status == 200).then_some(()));
    serving.until("what is there", || (assets(&serving) == 2).then_some(()));
    // What could not be opened for a while is not gone.
    assert!(serving.ask(&["ls", "before.test"]).out.contains("before.test"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told(&heard).len(), 1);
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}
