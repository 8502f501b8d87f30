//! Other programs in the way: a memory that somebody locks (trust F13), files that somebody moved (F19), a busy port (F30).

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::house::{House, Plan, Running};
use crate::{Options, Row, facts};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![locked(options)?, moved(options)?, busy(options)?])
}

/// Somebody holds an exclusive transaction, first shorter and then longer than we wait.
fn locked(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F13", "the memory locked by another program during a renewal");
    let house = House::new(options, "locked", &Plan::default())?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    let lengths: &[u64] = if options.quick { &[3] } else { &[10, 55, 75] };
    row.asked = lengths.len();
    let mut said = Vec::new();
    for seconds in lengths {
        let (from, issued) = (house.generation(), house.orders().1);
        let begun = Instant::now();
        let mut renewal = house.start(&["renew", "web", "--json", "--wait", "100s"], "locked.out");
        sleep(first.took / 3);
        let mut python = Command::new("python3");
        python.args(["-c", "import sqlite3,sys,time\nc=sqlite3.connect(sys.argv[1],timeout=30,isolation_level=None)\nc.execute('BEGIN EXCLUSIVE')\ntime.sleep(float(sys.argv[2]))\nc.execute('COMMIT')"]);
        python.arg(house.data.join("notafter.db")).arg(seconds.to_string());
        let mut lock = Running::start(python, &house.lab.path().join("lock.out"));
        let code = renewal.end(Duration::from_secs(170));
        let took = begun.elapsed().as_secs();
        row.must(lock.end(Duration::from_secs(100)) == Some(0), || format!("the lock: {}", lock.words()));
        row.points += 1;
        said.push(format!("{seconds} s: exit {code:?} after {took} s"));
        row.must(code.is_some(), || format!("{seconds} s: it does not end"));
        row.must(code == Some(0) || *seconds >= 60, || format!("{seconds} s: {}", renewal.words()));
        let again = house.renew();
        row.must(again.code == Some(0), || format!("{seconds} s, afterwards: {}", again.words()));
        let renewals = usize::try_from(house.generation() - from).unwrap_or(0);
        let made = house.orders().1 - issued;
        row.must(made == renewals, || format!("{seconds} s: {made} certificates for {renewals} renewals"));
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || agree.clone().unwrap_err());
    }
    Ok(row.note(said.join(", ")))
}

/// Somebody else put a newer one there.
fn moved(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F19", "files that another tool replaced: never a newer one by an older one");
    let mut house = House::new(options, "moved", &Plan::default())?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    sleep(Duration::from_secs(2));
    // Another client of the same CA, which puts its own into the same files.
    let text = fs::read_to_string(&house.config).map_err(|e| e.to_string())?;
    let (elsewhere, data) = (house.lab.subfolder("elsewhere"), house.data.clone());
    let own = house.tls().display().to_string();
    let other = text.replace(&own, &elsewhere.display().to_string());
    let other: String = other.lines().filter(|l| !l.starts_with("prove")).map(|l| format!("{l}\n")).collect();
    fs::write(&house.config, other).map_err(|e| e.to_string())?;
    house.data = house.lab.path().join("another-client");
    let theirs = house.renew();
    house.data = data;
    fs::write(&house.config, text).map_err(|e| e.to_string())?;
    if theirs.code != Some(0) {
        return Err(theirs.words());
    }
    for name in ["key.pem", "fullchain.pem"] {
        fs::copy(elsewhere.join(name), house.tls().join(name)).map_err(|e| e.to_string())?;
    }
    let younger = facts::leaf(&house.certificate())?;
    house.web.reload().map_err(|e| e.to_string())?;
    house.shows(&younger)?;
    let drift = house.run(&["prove", "web", "--json"]);
    row.points += 1;
    row.must(drift.code == Some(1), || format!("the drift is not found: {}", drift.words()));
    let deploy = house.run(&["deploy", "web", "--json", "--wait", "1s"]);
    row.points += 1;
    row.must(deploy.code != Some(0), || format!("an older one took its place: {}", deploy.words()));
    let lies = facts::leaf(&house.certificate())?;
    row.must(lies == younger, || "an older one took its place".to_owned());
    let said = deploy.json()["said"].as_str().unwrap_or_default().to_owned();
    row.must(said.contains("newer"), || format!("it does not say why: {}", deploy.words()));
    // Links in the place of files, by hand, between two renewals.
    let second = house.renew();
    let tls = house.tls();
    let elsewhere = house.lab.subfolder("moved");
    let script =
        "mv \"$0/fullchain.pem\" \"$0/key.pem\" \"$1\" && ln -s \"$1/fullchain.pem\" \"$1/key.pem\" \"$0\"";
    let linked = Command::new("sh").args(["-c", script]).arg(&tls).arg(&elsewhere).status();
    row.must(linked.is_ok_and(|s| s.success()), || "the lab could not link".to_owned());
    let third = house.renew();
    for (what, run) in [("replaced files", second), ("links", third)] {
        row.points += 1;
        row.must(run.code == Some(0), || format!("a renewal after {what}: {}", run.words()));
    }
    let is_link = fs::symlink_metadata(house.certificate()).is_ok_and(|m| m.file_type().is_symlink());
    row.must(is_link, || "somebody's link was replaced by a file".to_owned());
    let agree = facts::agree(&house.certificate(), &house.key());
    row.must(agree.is_ok(), || agree.clone().unwrap_err());
    Ok(row)
}

/// Somebody listens where the challenge is to be shown.
fn busy(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F30", "the port of the challenge is somebody else's");
    let house = House::new(options, "busy", &Plan::default())?;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, house.ca.http_port())).map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let answers = std::thread::spawn(move || {
        let mut served = 0;
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 1024];
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let read = stream.read(&mut buffer).unwrap_or(0);
            let _ =
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            served += 1;
            if buffer[..read].starts_with(b"END") {
                break;
            }
        }
        served
    });
    let run = house.run(&["renew", "web", "--json", "--wait", "1s"]);
    row.points = 2;
    row.must(run.code == Some(1), || run.words());
    let said = run.json()["said"].as_str().unwrap_or_default().to_lowercase();
    row.must(said.contains(&address.port().to_string()) && said.contains("use"), || {
        format!("it does not say what is wrong: {}", run.words())
    });
    let log = house.ca.log();
    row.must(!log.contains("invalid"), || "the CA was sent to somebody else's port".to_owned());
    let mut stream = TcpStream::connect(address).map_err(|e| format!("the other listener is gone: {e}"))?;
    let _ = stream.write_all(b"END");
    let _ = stream.read(&mut [0; 64]);
    row.must(answers.join().is_ok_and(|served| served >= 1), || "the other listener is gone".to_owned());
    let run = house.later("+6m", &["renew", "web", "--json", "--wait", "60s"]);
    row.must(run.code == Some(0), || format!("with the port free: {}", run.words()));
    Ok(row)
}
