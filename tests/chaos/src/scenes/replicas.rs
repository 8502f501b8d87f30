//! Several at once (trust F10 to F12): one renewal is done once, whoever is stopped, killed or started in between.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use notafter_lab::servers::postgres;
use notafter_lab::{Authority, Lab, Request, Server, pebble, program};

use crate::house::{House, Plan, Running, at_another_time, finish, until};
use crate::proxy::Files;
use crate::{Dice, Options, Row, facts};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let mut rows = vec![together(options)?, stopped(options, None)?];
    let base = Lab::new("chaos-postgres");
    match database(&base) {
        Ok(server) => rows.push(stopped(options, Some(&server))?),
        Err(why) => rows.push(Row::not_run("F10", "two hosts on one PostgreSQL", why)),
    }
    rows.push(restarted(options)?);
    Ok(rows)
}

/// A PostgreSQL with an empty database.
fn database(lab: &Lab) -> Result<Server, String> {
    let server =
        postgres::start(lab, &Authority::new(lab).issue(&Request::server())).map_err(|e| e.to_string())?;
    ask(&server, "postgres", "CREATE DATABASE notafter")?;
    Ok(server)
}

fn ask(server: &Server, database: &str, sql: &str) -> Result<(), String> {
    let mut command = Command::new("psql");
    command.args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-p"]);
    command.args([&server.address().port().to_string(), "-d", database, "-c", sql]);
    program::run(&mut command).map(drop).map_err(|error| error.to_string())
}

/// Five commands at the same moment.
fn together(options: &Options) -> Result<Row, String> {
    let house = House::new(options, "together", &Plan::default())?;
    let mut row = Row::of("F10", "five commands at one moment: one certificate a renewal");
    let rounds = if options.quick { 1 } else { 5 };
    let mut generations = 0;
    for round in 0..rounds {
        let issued = house.orders().1;
        let ran: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..5).map(|_| scope.spawn(|| house.renew())).collect();
            started.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        row.points += ran.len();
        for run in &ran {
            row.must(run.code == Some(0), || format!("round {round}: {}", run.words()));
        }
        let now = ran.iter().filter_map(|run| run.json()["generation"].as_u64()).max().unwrap_or(0);
        let (made, renewals) = (house.orders().1 - issued, usize::try_from(now - generations).unwrap_or(0));
        row.must(made == renewals, || format!("round {round}: {made} certificates for {renewals} renewals"));
        generations = now;
        let leaf = facts::leaf(&house.certificate())?;
        row.must(house.shows(&leaf).is_ok(), || format!("round {round}: what lies there is not shown"));
    }
    Ok(row)
}

/// One is stopped anywhere, another one takes over when its hold is over, and the first one goes on.
fn stopped(options: &Options, server: Option<&Server>) -> Result<Row, String> {
    let mut row = Row::of(
        "F10",
        match server {
            None => "one stopped beyond its hold, another takes over, the first goes on (SQLite)",
            Some(_) => "the same on two hosts with one PostgreSQL",
        },
    );
    let mut plan = Plan::default();
    let place = Lab::new("chaos-master");
    let master = place.path().join("master.key");
    if let Some(server) = server {
        let key: String = (0..64).map(|n| char::from(b"0123456789abcdef"[n % 16])).collect();
        std::fs::write(&master, key).map_err(|e| e.to_string())?;
        Command::new("chmod").arg("600").arg(&master).status().map_err(|e| e.to_string())?;
        plan.head = format!(
            "[server]\ndatabase = \"postgres://postgres@127.0.0.1:{}/notafter?sslmode=disable\"\n[keys]\nmaster = {{ file = \"{}\" }}\n",
            server.address().port(),
            master.display()
        );
    }
    let mut house = House::new(options, "stopped", &plan)?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    let whole = house.renew().took;
    let mut dice = Dice::new(options.seed);
    let rounds = options.points.min(if options.quick { 2 } else { 16 });
    row.asked = rounds;
    let (mut taken, mut waited) = (0, 0);
    for round in 0..rounds {
        eprint!("\r  stopped: {}/{rounds} ", round + 1);
        let (from, issued) = (house.generation(), house.orders().1);
        let begun = Instant::now();
        let mut one = house.start(&["renew", "web", "--json", "--wait", "60s"], "one.out");
        sleep(whole.mul_f64((round as f64 + dice.below(100) as f64 / 100.0) / rounds as f64));
        one.signal("STOP");
        let at = begun.elapsed();
        // The second one has a data folder of its own where they share a database, and a clock beyond the hold.
        let data = house.data.clone();
        if server.is_some() {
            house.data = house.lab.path().join("other");
        }
        let two = house.command(&["renew", "web", "--json", "--wait", "10s"]);
        house.data = data;
        let two = finish(at_another_time(two, "+20m"), Duration::from_secs(60));
        one.signal("CONT");
        let ended = one.end(Duration::from_secs(90));
        row.points += 1;
        let at = |what: String| format!("stopped after {} ms: {what}", at.as_millis());
        row.must(ended.is_some(), || at("the first one does not end".into()));
        match two.code {
            Some(0) => taken += 1,
            // It was in the middle of the files: their lock is the first one's.
            _ => waited += 1,
        }
        // What the second one put off, it put off by its own clock.
        let last = house.later("+25m", &["renew", "web", "--json", "--wait", "90s"]);
        row.must(last.code == Some(0), || at(last.words()));
        let renewals = usize::try_from(house.generation().saturating_sub(from)).unwrap_or(0);
        let made = house.orders().1 - issued;
        row.must(made <= renewals, || at(format!("{made} certificates for {renewals} renewals")));
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        let proved = house.run(&["prove", "web", "--json"]);
        row.must(proved.code == Some(0), || at(proved.words()));
    }
    eprintln!();
    Ok(row.note(format!("{taken} ended by the second, {waited} left to the first")))
}

/// A server that is killed every few seconds while the CA takes its time.
fn restarted(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F12", "a server killed every few seconds during a pending order");
    let ca = pebble::Options { pause: 15, ..pebble::Options::default() };
    let mut plan = Plan { ca, names: vec!["srv.test", "more.test"], ..Plan::default() };
    let house = House::new(options, "restarted", &plan)?;
    let root = house.lab.subfolder("webroot");
    let _files = Files::start(house.ca.http_port(), root.clone())?;
    plan.solver = Some(format!(
        "{{ kind = \"http-01\", webroot = \"{}\", port = {}, address = \"127.0.0.1\" }}",
        root.display(),
        house.ca.http_port()
    ));
    plan.head = "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    house.write(&plan, &house.ca.directory());
    let (mut dice, mut kills) = (Dice::new(options.seed), 0);
    let begun = Instant::now();
    let old = facts::leaf(&house.certificate())?;
    let is_new = || facts::leaf(&house.certificate()).is_ok_and(|leaf| leaf != old);
    while begun.elapsed() < Duration::from_secs(90) && !is_new() {
        let mut server = house.start(&["serve"], "serve.out");
        sleep(Duration::from_millis(2_000 + dice.below(2_000)));
        server.kill();
        kills += 1;
    }
    let _server: Running = house.start(&["serve"], "serve.out");
    let proved = until(Duration::from_secs(60), || {
        let run = house.run(&["prove", "web", "--json"]);
        (run.code == Some(0)).then_some(())
    });
    row.must(proved.is_some(), || {
        let words = _server.words();
        format!("not renewed after {kills} kills: {}", &words[words.len().saturating_sub(800)..])
    });
    let (orders, issued) = house.orders();
    row.points = kills;
    row.must(orders == 1, || format!("{orders} orders"));
    row.must(issued == 1, || format!("{issued} certificates"));
    Ok(row.note(format!(
        "{kills} kills in {} s, {orders} order, {issued} certificate",
        begun.elapsed().as_secs()
    )))
}
