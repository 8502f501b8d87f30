//! A CA that answers with errors, pages, halves, nothing, limits and somebody else's certificate (trust F22 to F24, F26).

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use notafter_lab::{Authority, Request, base64};

use crate::house::{House, Plan};
use crate::proxy::{Act, Proxy, answer};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "5s"];
const LATER: &[&str] = &["renew", "web", "--json", "--wait", "60s"];

/// What pebble calls what is asked for.
const ASKED: &[&str] = &[
    "/dir",
    "/nonce-plz",
    "/sign-me-up",
    "/order-plz",
    "/authZ/",
    "/chalZ/",
    "/finalize-order/",
    "/my-order/",
    "/certZ/",
];

struct Street {
    house: House,
    proxy: Proxy,
    authority: Authority,
}

impl Street {
    fn new(options: &Options, name: &str) -> Result<Self, String> {
        let plan = Plan { issuer: "timeout = \"4s\"\n".to_owned(), ..Plan::default() };
        let house = House::new(options, name, &plan)?;
        let authority = Authority::new(&house.lab);
        let pem = fs::read_to_string(house.ca.ca_file()).map_err(|e| e.to_string())?;
        let root = base64::blocks(&pem, "CERTIFICATE").pop().ok_or("the CA has no root")?;
        // The proxy shows a certificate of an authority of its own: both are trusted.
        let leaf = authority.issue(&Request::server());
        let upstream = house.ca.directory();
        let port = upstream.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse::<u16>().ok());
        let upstream = std::net::SocketAddr::from(([127, 0, 0, 1], port.ok_or("no port")?));
        let proxy = Proxy::start(upstream, &root, &leaf)?;
        let street = Self { house, proxy, authority };
        street.house.write(&plan, &street.proxy.directory());
        let config = fs::read_to_string(&street.house.config).map_err(|e| e.to_string())?;
        let own = street.house.ca.ca_file().display().to_string();
        let config = config.replace(&own, &leaf.root_pem.display().to_string());
        fs::write(&street.house.config, config).map_err(|e| e.to_string())?;
        Ok(street)
    }
}

fn problem(status: &str, kind: &str, wait: Option<u32>) -> Act {
    let mut headers = HashMap::from([("Content-Type", "application/problem+json".to_owned())]);
    if let Some(wait) = wait {
        headers.insert("Retry-After", wait.to_string());
    }
    let body = format!("{{\"type\":\"urn:ietf:params:acme:error:{kind}\",\"detail\":\"made by the lab\"}}");
    Act::Say(answer(status, &headers, &body))
}

fn page(status: &str) -> Act {
    let headers = HashMap::from([("Content-Type", "text/html".to_owned())]);
    Act::Say(answer(status, &headers, "<html><title>Please sign in</title></html>"))
}

fn faults() -> Vec<(&'static str, Act)> {
    vec![
        ("500 and a problem", problem("500 Internal Server Error", "serverInternal", None)),
        ("503 and a page", page("503 Service Unavailable")),
        ("200 and a page", page("200 OK")),
        ("half an answer", Act::Half),
        ("no answer", Act::Nothing),
        ("an answer that drips", Act::Drip),
        ("429 and a minute", problem("429 Too Many Requests", "rateLimited", Some(60))),
    ]
}

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![answers(options)?, limits(options)?, wrong(options)?])
}

/// Each fault once, at each thing that is asked for; some minutes later all is well.
fn answers(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("each bad answer, once, to each request of a renewal");
    let mut street = Street::new(options, "answers")?;
    street.house.keep();
    let all: Vec<(&str, &str, Act)> = ASKED
        .iter()
        .flat_map(|asked| faults().into_iter().map(move |(name, act)| (*asked, name, act)))
        .collect();
    let chosen = Dice::new(options.seed).spread(&all, options.points.max(4));
    let (mut at_once, mut again) = (0, 0);
    for (n, (asked, name, act)) in chosen.iter().enumerate() {
        eprint!("\r  answers: {}/{} ", n + 1, chosen.len());
        street.house.back()?;
        let (old, issued) = (facts::leaf(&street.house.certificate())?, street.house.orders().1);
        let (left, asked, act) = (Arc::new(AtomicUsize::new(1)), *asked, act.clone());
        street.proxy.decide(move |_, path| {
            let hit = path.starts_with(asked)
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            if hit { act.clone() } else { Act::Pass }
        });
        let run = street.house.run(RENEW);
        row.points += 1;
        let at = |what: String| format!("{name} to {asked}: {what}");
        let done = run.code == Some(0);
        at_once += usize::from(done);
        if !done {
            let document = run.json();
            let said = document["said"].as_str().unwrap_or_default();
            row.must(!said.is_empty(), || at(format!("nothing is said: {}", run.words())));
            row.must(document["state"] != "waits-for-person", || at(format!("given up: {}", run.words())));
            let lies = facts::leaf(&street.house.certificate())?;
            let waits = document["state"] == "waits-for-issuer";
            row.must(lies == old || !waits, || at("something was installed before it was issued".into()));
            street.proxy.pass();
            let run = street.house.later("+12m", LATER);
            again += 1;
            row.must(run.code == Some(0), || at(format!("some minutes later: {}", run.words())));
        }
        let made = street.house.orders().1 - issued;
        row.must(made == 1, || at(format!("{made} certificates")));
        let agree = facts::agree(&street.house.certificate(), &street.house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        street.proxy.pass();
    }
    eprintln!();
    Ok(row.note(format!("{at_once} done all the same, {again} at the next try")))
}

/// 429: kept to across restarts, and said with its date.
fn limits(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("429 with Retry-After: 3600 is kept to by every later run");
    let street = Street::new(options, "limits")?;
    street.proxy.decide(|_, path| match path {
        "/order-plz" => problem("429 Too Many Requests", "rateLimited", Some(3_600)),
        _ => Act::Pass,
    });
    let run = street.house.run(RENEW);
    let asked = street.proxy.asked("/order-plz");
    row.must(asked == 1, || format!("asked {asked} times: {}", run.words()));
    let document = run.json();
    row.must(document["next"].as_str().is_some(), || format!("no date is said: {}", run.words()));
    for offset in ["+1m", "+20m", "+50m"] {
        let run = street.house.later(offset, RENEW);
        row.points += 1;
        let now = street.proxy.asked("/order-plz");
        row.must(now == asked, || format!("{offset}: asked again: {}", run.words()));
    }
    street.proxy.pass();
    let run = street.house.later("+62m", LATER);
    row.points += 1;
    row.must(run.code == Some(0), || format!("after the hour: {}", run.words()));
    Ok(row)
}

/// Another certificate than the one that was asked for is never installed.
fn wrong(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("a wrong certificate is refused, and nothing is touched");
    let mut street = Street::new(options, "wrong")?;
    street.house.keep();
    let read = |path| fs::read_to_string(path).map_err(|e: std::io::Error| e.to_string());
    let other = read(street.authority.issue(&Request::new(&["srv.test"])).fullchain_pem)?;
    let first = street.house.renew();
    let own = read(street.house.certificate())?;
    if first.code != Some(0) {
        return Err(first.words());
    }
    let blocks: Vec<String> = own
        .split_inclusive("-----END CERTIFICATE-----\n")
        .map(str::to_owned)
        .filter(|b| b.contains("BEGIN"))
        .collect();
    let texts = [
        ("for another key", other),
        ("the one before", own.clone()),
        ("the CA's certificate first", blocks.iter().rev().cloned().collect::<String>()),
        (
            "no certificate at all",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        ("nothing", String::new()),
    ];
    for (name, text) in texts {
        street.house.back()?;
        let old = facts::leaf(&street.house.certificate())?;
        let body = text.clone();
        street.proxy.decide(move |_, path| match path.starts_with("/certZ/") {
            true => Act::Instead(body.clone()),
            false => Act::Pass,
        });
        let run = street.house.run(RENEW);
        row.points += 1;
        row.must(run.code == Some(1), || format!("{name}: {}", run.words()));
        let said = run.json()["said"].as_str().unwrap_or_default().to_owned();
        row.must(!said.is_empty(), || format!("{name}: nothing is said: {}", run.words()));
        let lies = facts::leaf(&street.house.certificate())?;
        row.must(lies == old, || format!("{name}: something was installed"));
    }
    Ok(row)
}
