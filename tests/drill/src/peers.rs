//! Other tools on the same scenes: check_ssl_cert, ssl-cert-check and blackbox_exporter.
//!
//! Each is told what it can take of level 2 (the exact endpoints, the exact PEM files) and asked twice, with the lead
//! that would be early and a day before T0. What it says is brought to one word; why it says so, none of them tells.
//! A tool that is not installed is reported as NOT RUN, and nothing is fetched for it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use notafter_lab::calendar::{DAY, now};
use notafter_lab::{NotRun, Port, Server, program, server};

use crate::client;
use crate::scene::Text;
use crate::site::Site;

/// Their names, in the order of what [`ask_all`] gives.
const NAMES: [&str; 3] = ["check_ssl_cert", "ssl-cert-check", "blackbox_exporter"];

/// How many days before the end they are told to warn.
const WARN: i64 = 30;

/// How many of a site's places a tool is asked about; a scene with fifteen of them is no other scene.
const PLACES: usize = 3;

/// A place as these tools understand one.
enum Place {
    /// Address, protocol, name.
    Endpoint(SocketAddr, String, String),
    /// A PEM file.
    File(String),
}

/// One scene, as the peers see it: its number, its text, its two sites.
pub(crate) type Asked<'a> = (u16, &'a Text, &'a Site, &'a Site);

/// Asks all of them about all scenes. Gives for each scene's number the tools' names with what each made of it.
pub(crate) fn ask_all(scenes: &[Asked<'_>], told: &Path) -> Vec<(u16, Vec<(String, String)>)> {
    let exporter = Exporter::start(scenes, told);
    let jobs: VecDeque<&Asked<'_>> = scenes.iter().collect();
    let (jobs, done) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(asked) = jobs.lock().expect("the jobs").pop_front() else { break };
                    let said = (0..NAMES.len()).map(|tool| verdict(tool, asked, told, &exporter));
                    let row = NAMES.iter().map(|n| (*n).to_owned()).zip(said).collect();
                    done.lock().expect("what is done").push((asked.0, row));
                }
            });
        }
    });
    done.into_inner().expect("what is done")
}

/// One tool on one scene: `SPOKE` early, `LATE`, or `-`; and `FALSE` if it also spoke about the twin.
fn verdict(tool: usize, asked: &Asked<'_>, told: &Path, exporter: &Result<Exporter, NotRun>) -> String {
    let (_, text, scene, twin) = asked;
    let early = text.early().clamp(1, 90).min(text.since_days);
    let ask = |site: &Site, lead: i64| -> Result<bool, NotRun> {
        let at = site.t0 - lead * DAY + 60;
        for place in places(site).iter().take(PLACES) {
            let spoke = match tool {
                0 => check_ssl_cert(site, place, told, at)?,
                1 => ssl_cert_check(site, place, at)?,
                _ => exporter.as_ref().map_err(Clone::clone)?.spoke(site, place, at, text.broken_at_once)?,
            };
            if spoke {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let said = || -> Result<String, NotRun> {
        let word = if ask(scene, early)? {
            "SPOKE"
        } else if ask(scene, 1)? {
            "LATE"
        } else {
            "-"
        };
        let wrong = text.twin_since_days.unwrap_or(text.since_days) >= 1 && ask(twin, 1)?;
        Ok(format!("{word}{}", if wrong { " FALSE" } else { "" }))
    };
    said().unwrap_or_else(|error| error.to_string())
}

/// What of a site these tools can be told.
fn places(site: &Site) -> Vec<Place> {
    let one = |place: &String| {
        if place.starts_with('/') {
            let pem = [".pem", ".crt"].iter().any(|end| place.ends_with(end));
            return pem.then(|| Place::File(place.clone()));
        }
        let (scheme, rest) = place.split_once("://")?;
        if scheme != "tls" && scheme != "smtp" {
            return None;
        }
        let (address, name) = rest.split_once("?sni=").unwrap_or((rest, ""));
        Some(Place::Endpoint(address.parse().ok()?, scheme.to_owned(), name.to_owned()))
    };
    site.places.iter().filter_map(one).collect()
}

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks a script, whose own children end with it when it takes too long. Silence is no warning.
fn asked(mut command: Command) -> Option<program::Ran> {
    program::finish(command.process_group(0), b"", PATIENCE).ok()
}

/// Nagios' plug-in: warns by its exit code.
fn check_ssl_cert(site: &Site, place: &Place, told: &Path, at: i64) -> Result<bool, NotRun> {
    let path = Path::new("/usr/lib/nagios/plugins/check_ssl_cert");
    if !path.exists() {
        return Err(NotRun::new(NAMES[0], "the package monitoring-plugins-contrib is not installed"));
    }
    let mut command = client::ahead(Command::new(path), at - now())?;
    command.current_dir(&site.work).env("HOME", &site.work);
    command.args(["-w", &WARN.to_string(), "-c", "14", "--ignore-sct", "--ignore-ocsp", "-r"]);
    command.arg(told.join("roots.pem"));
    match place {
        Place::Endpoint(address, scheme, name) => {
            command.args(["-H", &address.ip().to_string(), "-p", &address.port().to_string()]);
            if !name.is_empty() {
                command.args(["--sni", name, "-m", name]);
            }
            if scheme == "smtp" {
                command.args(["-P", "smtp"]);
            }
        }
        Place::File(path) => {
            command.args(["-f", path]);
        }
    }
    Ok(asked(command).is_some_and(|ran| matches!(ran.status.code(), Some(1 | 2))))
}

/// A table with a word for each certificate; its exit code says nothing.
fn ssl_cert_check(site: &Site, place: &Place, at: i64) -> Result<bool, NotRun> {
    let mut command = client::at_time(site, "ssl-cert-check", at)?;
    command.args(["-x", &WARN.to_string()]);
    match place {
        // It knows other protocols by their usual ports alone.
        Place::Endpoint(_, scheme, _) if scheme != "tls" => return Ok(false),
        Place::Endpoint(address, _, _) => {
            command.args(["-s", &address.ip().to_string(), "-p", &address.port().to_string()]);
        }
        Place::File(path) => {
            command.args(["-c", path]);
        }
    }
    Ok(asked(command).is_some_and(|ran| ran.text().contains("Expiring") || ran.text().contains("Expired")))
}

/// blackbox_exporter, running. It gives timestamps, and the alerting rule is ours: sooner than the warning.
///
/// Its clock cannot be moved, so what it makes of a chain or a name counts only where a scene is broken at once.
struct Exporter {
    /// Where it listens.
    address: SocketAddr,
    /// The process.
    _server: Server,
    /// Its port is ours.
    _port: Port,
}

impl Exporter {
    /// Starts it with two modules for every endpoint: one that looks, one that verifies.
    fn start(scenes: &[Asked<'_>], told: &Path) -> Result<Self, NotRun> {
        let path = program::find("prometheus-blackbox-exporter")?;
        let mut text = "modules:\n".to_owned();
        for site in scenes.iter().flat_map(|(_, _, scene, twin)| [scene, twin]) {
            for (number, place) in places(site).iter().enumerate().take(PLACES) {
                let Place::Endpoint(_, scheme, name) = place else { continue };
                let start = if scheme == "smtp" {
                    "      query_response: [{expect: \"^220\"}, {send: \"EHLO drill\"}, {expect: \"^250 \"}, \
                     {send: STARTTLS}, {expect: \"^220\"}, {starttls: true}]\n"
                } else {
                    "      tls: true\n"
                };
                for (kind, skip) in [("look", true), ("verify", false)] {
                    let _ = write!(
                        text,
                        "  {}-{number}-{kind}:\n    prober: tcp\n    timeout: 5s\n    tcp:\n{start}      tls_config:\n        \
                         insecure_skip_verify: {skip}\n        ca_file: {:?}\n        server_name: {name:?}\n",
                        site.id,
                        told.join("roots.pem")
                    );
                }
            }
        }
        let config = told.join("blackbox.yml");
        std::fs::write(&config, text).map_err(|error| NotRun::new(NAMES[2], error.to_string()))?;
        let port = Port::free();
        let address = port.local();
        let mut command = Command::new(path);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--web.listen-address={address}"));
        let server = server::attend("blackbox", told, command, &[address])?;
        Ok(Self { address, _server: server, _port: port })
    }

    /// Whether the usual rules would fire at this moment.
    fn spoke(&self, site: &Site, place: &Place, at: i64, verify: bool) -> Result<bool, NotRun> {
        let Place::Endpoint(address, _, name) = place else { return Ok(false) };
        let number = places(site)
            .iter()
            .position(|p| matches!(p, Place::Endpoint(a, _, n) if a == address && n == name));
        let number = number.unwrap_or_default();
        let probe = |kind: &str| -> Result<String, NotRun> {
            let url =
                format!("http://{}/probe?target={address}&module={}-{number}-{kind}", self.address, site.id);
            let mut curl = site.command("curl")?;
            Ok(program::finish(curl.args(["-sS", "--noproxy", "*", &url]), b"", PATIENCE)?.text())
        };
        let metric = |text: &str, name: &str| -> Option<f64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        let seen = probe("look")?;
        let end = metric(&seen, "probe_ssl_earliest_cert_expiry ");
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
        let soon = end.is_some_and(|end| end - (at as f64) < (WARN * DAY) as f64);
        // Without a name it would compare with the address, which nobody asked for.
        let refused = verify && !name.is_empty() && metric(&probe("verify")?, "probe_success ") == Some(0.0);
        Ok(soon || refused)
    }
}
