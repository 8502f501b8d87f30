//! Everything about connections: one grab, the whole pipeline, silence, refusal, and the first probe.
//!
//! Every address is this machine's. A real nginx stands for real servers; a server that replays nginx's
//! recorded answer takes the server's own cost out of the comparison with the floor.

use std::process::Command;

use serde_json::Value;

use super::side::{Cost, Server, Setup, Side, free_port};
use super::table::{Row, Table};

/// How many targets one run of `grab` asks.
const GRABS: usize = 6_000;
/// How many against the server that costs nothing.
const CANNED: usize = 20_000;
/// How many the pipeline asks: a /18.
const PIPELINE: usize = 16_384;
/// Connections at once against a real server.
const IN_FLIGHT: &str = "64";
/// How many connections say nothing.
const SILENT: usize = 10_000;
/// How many addresses refuse: a /16.
const CLOSED: usize = 65_536;

/// The wire alone: no parsing, no output.
pub(super) fn grab(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let nginx = Nginx::start(setup)?;
    let (canned, canned_port) = nginx.canned(setup)?;
    let role = |name: &'static str, subcommand: &str, port: u16, count: usize| Side {
        name,
        ours: subcommand == "grab",
        command: setup.role(&[subcommand, "127.1.0.1", &port.to_string(), &count.to_string(), IN_FLIGHT]),
        check: answered(count),
    };
    let mut sides = vec![
        role("grab, nginx", "grab", nginx.port, GRABS),
        role("rustls, nginx", "handshake", nginx.port, GRABS),
        role("grab, canned", "grab", canned_port, CANNED),
        role("floor, canned", "floor", canned_port, CANNED),
    ];
    if let Ok(go) = &setup.go {
        let words =
            [go.display().to_string(), "127.1.0.1".to_owned(), nginx.port.to_string(), GRABS.to_string()];
        let command = words.into_iter().chain([IN_FLIGHT.to_owned()]).collect();
        sides.push(Side { name: "Go, nginx", ours: false, command, check: answered(GRABS) });
    }
    let costs = setup.interleaved(table, &sides)?;
    drop(canned);
    let each = |n: usize, count: usize| costs[n].cpu_us / count as f64;
    let ours = each(0, GRABS);
    match (&setup.go, costs.get(4)) {
        (_, Some(go)) => {
            let go = go.cpu_us / GRABS as f64;
            let goal = Some((0.25, "<= 1/4"));
            table.row(Row::ratio("grab", "nginx TLS 1.3 EC, vs Go crypto/tls", (ours, go), "us CPU", goal));
        }
        (Err(why), None) => table.not_run("grab", "nginx TLS 1.3 EC, vs Go crypto/tls", why),
        (Ok(_), None) => {}
    }
    let (rustls, goal) = (each(1, GRABS), Some((0.4, "<= 1/2.5")));
    table.row(Row::ratio("grab", "nginx TLS 1.3 EC, vs tokio + rustls", (ours, rustls), "us CPU", goal));
    let (ours, floor) = (each(2, CANNED), each(3, CANNED));
    let goal = Some((1.3, "<= 1.3x"));
    table.row(Row::ratio("grab", "canned TLS 1.2, vs floor", (ours, floor), "us CPU", goal));
    let user = |n: usize, count: usize| costs[n].user_us / count as f64;
    let users = (user(2, CANNED), user(3, CANNED));
    table.row(Row::ratio("grab", "canned TLS 1.2, vs floor, user time only", users, "us CPU", None));
    Ok(())
}

/// The real program: grab, parse, fingerprint, print.
pub(super) fn pipeline(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let nginx = Nginx::start(setup)?;
    let (canned, canned_port) = nginx.canned(setup)?;
    let range = format!("127.64.0.0/18:{}", nginx.port);
    let scan = |name: &'static str, more: &[&str]| {
        let words = ["--concurrency", IN_FLIGHT, &range];
        Side { name, ours: true, command: setup.scan(&[more, &words].concat()), check: leaves(PIPELINE) }
    };
    let floor =
        setup.role(&["floor", "127.64.0.0", &canned_port.to_string(), &PIPELINE.to_string(), IN_FLIGHT]);
    let costs = setup.interleaved(
        table,
        &[
            scan("pipeline", &["--no-findings"]),
            scan("pipeline with findings", &[]),
            Side { name: "floor, canned", ours: false, command: floor, check: answered(PIPELINE) },
        ],
    )?;
    drop(canned);
    let each = |n: usize| costs[n].cpu_us / PIPELINE as f64;
    let floor = each(2);
    let goal = Some((2.5, "<= 2.5x"));
    table.row(Row::ratio("pipeline", "nginx, ndjson, vs floor (canned)", (each(0), floor), "us CPU", goal));
    table.row(Row::ratio("pipeline", "the same, findings too", (each(1), floor), "us CPU", None));
    let user = costs[0].user_us / PIPELINE as f64;
    table.row(Row::quantity("pipeline", "user time of it", user, "us CPU", None));
    table.row(Row::quantity("pipeline", "peak memory with findings", costs[1].rss_mb, "MB", None));
    Ok(())
}

/// Ten thousand servers that accept and never answer.
pub(super) fn silent(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let port = free_port()?;
    let server = setup.serve_role(&["silent", &port.to_string()], port)?;
    let range = format!("127.80.0.0-127.80.39.15:{port}");
    let scan = |name: &'static str, more: &[&str]| Side {
        name,
        ours: true,
        command: setup.scan(&[more, &["--concurrency", "10000", "--timeout", "4s", &range]].concat()),
        check: Box::new(|printed| {
            let spots = printed.lines().filter(|line| line.contains("\"blind_spot\"")).count();
            enough(spots, SILENT, "blind spots")
        }),
    };
    let costs =
        setup.interleaved(table, &[scan("silent", &["--no-findings"]), scan("silent, judged", &[])])?;
    let most = server
        .said()
        .lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok())
        .filter_map(|v| v["open_at_most"].as_u64())
        .max();
    if let Err(error) = enough(most.unwrap_or_default() as usize, SILENT, "connections at once") {
        table.missed(format!("silent: {error}"));
    }
    let goal = Some((20.0, "<= 20 MB"));
    table.row(Row::quantity("silent", "10,000 in flight, peak memory", costs[0].rss_mb, "MB", goal));
    table.row(Row::quantity("silent", "the same, findings too", costs[1].rss_mb, "MB", None));
    Ok(())
}

/// A /16 of addresses that refuse.
pub(super) fn closed(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let port = free_port()?;
    let range = format!("127.96.0.0/16:{port}");
    let floor = setup.role(&["closed", "127.96.0.0", &port.to_string(), &CLOSED.to_string(), "512"]);
    let costs = setup.interleaved(
        table,
        &[
            Side {
                name: "closed",
                ours: true,
                command: setup.scan(&["--no-findings", &range]),
                check: Box::new(|printed| field(printed, "attempted", CLOSED)),
            },
            Side {
                name: "floor",
                ours: false,
                command: floor,
                check: Box::new(|printed| field(printed, "refused", CLOSED)),
            },
        ],
    )?;
    let each = |cost: &Cost| cost.cpu_us / CLOSED as f64;
    let goal = Some((25.0, "<= 25 us"));
    table.row(Row::quantity("closed", "a /16 that refuses, each", each(&costs[0]), "us CPU", goal));
    let (ours, floor) = (each(&costs[0]), each(&costs[1]));
    table.row(Row::ratio("closed", "the same, vs bare connect()", (ours, floor), "us CPU", None));
    table.row(Row::quantity("closed", "all of it, wall", costs[0].wall_us / 1e6, "s", None));
    Ok(())
}

/// From exec to the first connection.
pub(super) fn start(setup: &Setup, table: &mut Table) -> Result<(), String> {
    let measured = setup.ask(&["start", &setup.notafter.display().to_string(), "21"])?;
    let number = |name: &str| measured[name].as_f64().unwrap_or(f64::INFINITY);
    let goal = Some((20.0, "<= 20 ms"));
    table.row(Row::quantity("start", "to the first probe, no findings", number("bare_ms"), "ms", goal));
    table.row(Row::quantity("start", "to the first probe", number("judged_ms"), "ms", goal));
    let memory = number("rss_kib") / 1024.0;
    table.row(Row::quantity("start", "memory at the first probe", memory, "MB", None));
    Ok(())
}

/// The last line says how many were answered.
fn answered(count: usize) -> Box<dyn Fn(&str) -> Result<(), String>> {
    Box::new(move |printed| field(printed, "answered", count))
}

/// A line for each leaf, each at a place of its own.
fn leaves(count: usize) -> Box<dyn Fn(&str) -> Result<(), String>> {
    Box::new(move |printed| {
        let lines = printed.lines().filter(|line| line.contains("\"role\":\"leaf\""));
        let places: std::collections::HashSet<&str> = lines.filter_map(location).collect();
        enough(places.len(), count, "places of a leaf")
    })
}

/// The place in a printed line.
pub(super) fn location(line: &str) -> Option<&str> {
    line.split_once("\"location\":\"")?.1.split('"').next()
}

fn field(printed: &str, name: &str, count: usize) -> Result<(), String> {
    let last = printed.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(last).map_err(|e| format!("{e}: {last}"))?;
    let found = value[name].as_u64().unwrap_or_default() as usize;
    enough(found, count, name).map_err(|e| format!("{e}: {last}"))
}

fn enough(found: usize, count: usize, what: &str) -> Result<(), String> {
    if found == count { Ok(()) } else { Err(format!("{found} {what} of {count}")) }
}

/// nginx with one worker and an EC chain, remembering nothing from one connection to the next.
struct Nginx {
    _server: Server,
    /// Where it speaks TLS 1.2 and 1.3.
    port: u16,
    /// Where it speaks TLS 1.2 only.
    old_port: u16,
}

impl Nginx {
    fn start(setup: &Setup) -> Result<Self, String> {
        let folder = setup.folder.join("nginx");
        setup.ask(&["material", &folder.display().to_string()])?;
        let (port, old_port) = (free_port()?, free_port()?);
        let user = if crate::packages::is_root() { "user root;" } else { "" };
        let text = CONFIGURATION
            .replace("@USER@", user)
            .replace("@PORT@", &port.to_string())
            .replace("@OLD_PORT@", &old_port.to_string());
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).args(["-c", "nginx.conf", "-e", "stderr"]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        Ok(Self { _server: setup.serve(command, port)?, port, old_port })
    }

    /// Records what the TLS 1.2 side answers, and starts the server that replays it.
    fn canned(&self, setup: &Setup) -> Result<(Server, u16), String> {
        let file = setup.folder.join("flight").display().to_string();
        setup.ask(&["record", &self.old_port.to_string(), &file])?;
        let port = free_port()?;
        Ok((setup.serve_role(&["canned", &port.to_string(), &file], port)?, port))
    }
}

const CONFIGURATION: &str = "daemon off;
pid nginx.pid;
error_log stderr error;
worker_processes 1;
@USER@
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ssl_certificate chain.pem;
  ssl_certificate_key key.pem;
  ssl_session_cache off;
  ssl_session_tickets off;
  server { listen 0.0.0.0:@PORT@ ssl backlog=8192; ssl_protocols TLSv1.2 TLSv1.3; }
  server { listen 0.0.0.0:@OLD_PORT@ ssl backlog=8192; ssl_protocols TLSv1.2; }
}
";
