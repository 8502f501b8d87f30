//! `check`: a drop-in for what operators already have in their Nagios or Icinga.
//!
//! One line, perfdata, exit 0/1/2/3 (Monitoring Plugins guidelines). The same look and the same rules as
//! `scan`; thresholds on the command line replace the ladder. Wrong usage is UNKNOWN (3).

use notafter_core::UnixTime;
use notafter_core::deadline::Ladder;
use notafter_core::document::AssetDocument;
use notafter_core::finding::{Kind, Severity};
use notafter_core::inventory::{Asset, AssetKind, Placement, Role};
use notafter_engine::pipeline::Report;
use notafter_pki::time::DAY;

use super::{End, Usage};
use crate::assemble::Assembly;
use crate::cli::{Check, Global, Look};
use crate::print;
use crate::print::table::common_name;

/// A plugin's states, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum State {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// How much must be left.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Threshold {
    Days(f64),
    Percent(f64),
}

impl Threshold {
    fn parse(text: &str) -> Result<Self, Usage> {
        let (number, percent) = match text.strip_suffix('%') {
            Some(number) => (number, true),
            None => (text.strip_suffix('d').unwrap_or(text), false),
        };
        match number.trim().parse::<f64>() {
            Ok(n) if n.is_finite() && n >= 0.0 => Ok(if percent { Self::Percent(n) } else { Self::Days(n) }),
            _ => Err(Usage::new(format!("`{text}` is no threshold"))
                .hint("write days, like 30, or a share of the lifetime, like 30%")),
        }
    }

    /// In seconds before the end, for a lifetime.
    fn seconds(self, lifetime: i64) -> i64 {
        match self {
            Self::Days(days) => (days * DAY as f64) as i64,
            Self::Percent(share) => (lifetime as f64 * share / 100.0) as i64,
        }
    }
}

struct Thresholds {
    warning: Option<Threshold>,
    critical: Option<Threshold>,
}

pub(crate) fn run(global: &Global, args: Check) -> Result<End, Usage> {
    match plugin(global, &args) {
        Ok((state, line)) => {
            print::out(line.as_bytes());
            Ok(End::Plugin(state as u8))
        }
        // A plugin speaks on standard output, whatever happened.
        Err(usage) => {
            let hint = usage.hint.map(|h| format!(" ({h})")).unwrap_or_default();
            print::out(format!("NOTAFTER UNKNOWN - {}{hint}\n", plain(&usage.message)).as_bytes());
            Ok(End::Plugin(State::Unknown as u8))
        }
    }
}

/// A message without the picture of a configuration file's line.
fn plain(message: &str) -> String {
    let picture =
        |line: &str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|');
    let lines: Vec<_> = message.lines().filter(|line| !picture(line)).map(str::trim).collect();
    one_line(&lines.join(": "))
}

fn plugin(global: &Global, args: &Check) -> Result<(State, String), Usage> {
    let thresholds = thresholds(args)?;
    if let (Some(Threshold::Days(warning)), Some(Threshold::Days(critical))) =
        (thresholds.warning, thresholds.critical)
        && warning < critical
    {
        return Err(Usage::new(format!("warning at {warning} days would come after critical at {critical}"))
            .hint("give -w more days than -c"));
    }
    let target = target(args)?;
    let look = look(args)?;
    let assembly = Assembly::new(global, &look, std::slice::from_ref(&target))?;
    super::scan::polite(&assembly)?;
    let in_network = assembly.network.is_some();
    let shown = shown_target(&target, in_network);
    let at = assembly.at;
    let cx = assembly.cx();
    let report = super::scan::look(assembly, &cx, true, true, None)?;
    if report.interrupted {
        return Ok((
            State::Unknown,
            format!("NOTAFTER UNKNOWN - {shown}: interrupted before there was an answer\n"),
        ));
    }
    Ok(judge(&report, &thresholds, &shown, in_network, at))
}

fn thresholds(args: &Check) -> Result<Thresholds, Usage> {
    if let Some(both) = &args.certificate {
        let (warning, critical) = both.split_once(',').unwrap_or((both, "0"));
        return Ok(Thresholds {
            warning: Some(Threshold::parse(warning)?),
            critical: Some(Threshold::parse(critical)?),
        });
    }
    let parse = |t: &Option<String>| t.as_deref().map(Threshold::parse).transpose();
    Ok(Thresholds { warning: parse(&args.warning)?, critical: parse(&args.critical)? })
}

/// The target in the words of `scan`.
fn target(args: &Check) -> Result<String, Usage> {
    if let Some(file) = &args.file {
        return Ok(format!(
            "file://{}",
            std::path::absolute(file).unwrap_or_else(|_| file.clone()).display()
        ));
    }
    let Some(host) = &args.host else {
        return args.target.clone().ok_or_else(|| Usage::new("name a target"));
    };
    let bracketed =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
    let (scheme, usual) = match args.protocol.as_deref() {
        None => ("tls", 443),
        Some(implicit @ ("https" | "tls" | "ssl")) => {
            (if implicit == "https" { "https" } else { "tls" }, 443)
        }
        Some(name) => {
            let protocol = crate::assemble::protocol(name)?;
            (protocol.name(), protocol.default_port())
        }
    };
    let port = args.port.unwrap_or(usual);
    // --sni without a value means: send the host's own name, which is done anyway.
    let sni = args.sni.as_deref().filter(|s| !s.is_empty()).map(|s| format!("?sni={s}")).unwrap_or_default();
    Ok(format!("{scheme}://{bracketed}:{port}{sni}"))
}

fn look(args: &Check) -> Result<Look, Usage> {
    Ok(Look {
        ports: "443".to_owned(),
        starttls: None,
        prove: false,
        both: false,
        gentle: false,
        resolver: args.resolver.clone(),
        sni: Vec::new(),
        rate: None,
        concurrency: 100,
        timeout: format!("{}s", args.timeout.max(1)),
        all_addresses: true,
        roots: args.roots.clone(),
        owner_file: None,
        password_file: args.password_file.clone(),
        tsig_file: None,
        exclude: Vec::new(),
    })
}

/// How the line names what was checked: with its port, as it was typed.
fn shown_target(target: &str, in_network: bool) -> String {
    match (in_network, target.contains("://")) {
        (true, false) if target.rsplit(':').next().is_some_and(|p| p.parse::<u16>().is_ok()) => {
            format!("tls://{target}")
        }
        (true, false) => format!("tls://{target}:443"),
        (true, true) => target.split("?sni=").next().unwrap_or(target).to_owned(),
        (false, true) => target.to_owned(),
        (false, false) => {
            let path = std::path::absolute(target).unwrap_or_else(|_| target.into());
            format!("file://{}", path.display())
        }
    }
}

/// One certificate with what the thresholds say of it.
struct Judged<'r> {
    asset: &'r Asset,
    document: AssetDocument,
    state: State,
    left: i64,
    warning: i64,
    critical: i64,
    /// Its place in the chain, from 1.
    element: usize,
}

fn judge(
    report: &Report,
    thresholds: &Thresholds,
    target: &str,
    in_network: bool,
    at: UnixTime,
) -> (State, String) {
    let mut judged = elements(report, thresholds, at);
    if judged.is_empty() {
        let state = if in_network { State::Critical } else { State::Unknown };
        let spot = report.inventory.blind_spots().first();
        let why = spot.map_or_else(|| "no certificate there".to_owned(), |s| s.detail.clone());
        return (state, one_line(&format!("NOTAFTER {} - {target}: {why}", state.word())) + "\n");
    }
    // The worst decides; among equals the one that ends first, leaves before issuers.
    judged.sort_by_key(|j| (std::cmp::Reverse(j.state), j.element > 1, j.left));
    let worst = &judged[0];
    let (mut state, mut problems) = (worst.state, Vec::new());
    for finding in &report.findings {
        let by_threshold = matches!(
            finding.kind,
            Kind::ExpiresSoon | Kind::Expired | Kind::ExpiredInUse | Kind::ChainExpiresFirst
        );
        let severity = match finding.severity {
            Severity::Critical => State::Critical,
            Severity::Warning => State::Warning,
            Severity::Info => continue,
        };
        if !by_threshold {
            state = state.max(severity);
            problems.push(format!("{}: {}", finding.kind, finding.summary));
        }
    }
    let failed: Vec<_> = report.inventory.blind_spots().iter().filter(|_| in_network).collect();
    if let Some(spot) = failed.first() {
        state = State::Critical;
        problems.push(format!("{}: {}", spot.location, spot.detail));
    }
    let date = worst.document.not_after.clone().unwrap_or_else(|| "unknown".to_owned());
    let days = worst.left.div_euclid(DAY);
    let verb = if worst.left < 0 { "expired on" } else { "valid until" };
    let issuer = worst.document.issuer_name.as_deref().map(common_name).unwrap_or_default();
    let subject = worst.document.subject.as_deref().filter(|s| !s.is_empty()).map(common_name);
    let subject = subject.or_else(|| worst.document.names.first().cloned()).unwrap_or_default();
    let more = if problems.is_empty() { String::new() } else { format!("; {}", problems.join("; ")) };
    let text = format!(
        "NOTAFTER {} - {target} '{subject}' from '{issuer}' {verb} {date} ({days} days){more}",
        state.word()
    );
    let whole = |seconds: i64| seconds.div_euclid(DAY);
    let mut perfdata = format!("days_left={days};{};{};;", whole(worst.warning), whole(worst.critical));
    judged.sort_by_key(|j| (j.element, j.left));
    judged.dedup_by_key(|j| j.element);
    for j in &judged {
        perfdata.push_str(&format!(
            " days_chain_elem{}={};{};{};;",
            j.element,
            j.left.div_euclid(DAY),
            whole(j.warning),
            whole(j.critical)
        ));
    }
    (state, format!("{}|{perfdata}\n", one_line(&text)))
}

/// Every certificate of every chain, with its place in it.
fn elements<'r>(report: &'r Report, thresholds: &Thresholds, at: UnixTime) -> Vec<Judged<'r>> {
    let inventory = &report.inventory;
    let leads = |p: &&Placement| p.chain.is_some() && p.role != Role::TrustAnchor;
    let mut out: Vec<Judged<'_>> = Vec::new();
    for placement in inventory.placements().iter().filter(leads) {
        for (n, ix) in placement.chain.iter().flat_map(|c| c.iter()).enumerate() {
            let asset = inventory.asset(*ix);
            if asset.kind != AssetKind::Certificate || out.iter().any(|j| j.asset.id == asset.id) {
                continue;
            }
            let document = AssetDocument::of(asset, &inventory.bytes(*ix), at);
            let is_ca = document.is_ca == Some(true) && n > 0;
            let end = asset.not_after.unwrap_or(UnixTime(0));
            let lifetime = end.0.saturating_sub(asset.not_before.unwrap_or(end).0);
            // An issuer in a chain is not ours to renew: unless told otherwise it is late only when it
            // would break the chain, so the leaf's own steps are asked of it.
            // A CA certificate that is checked for itself has a CA's steps, as in a scan.
            let for_itself = n == 0 && matches!(placement.role, Role::Root | Role::Intermediate);
            let ladder = if for_itself { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) };
            let given = thresholds.warning.is_some() || thresholds.critical.is_some();
            let warning = match (thresholds.warning, given) {
                (Some(t), _) => t.seconds(lifetime),
                (None, true) => 0,
                (None, false) => ladder.warning,
            };
            let critical = match (thresholds.critical, given) {
                (Some(t), _) => t.seconds(lifetime),
                (None, true) => 0,
                (None, false) => ladder.critical,
            };
            let left = end.0.saturating_sub(at.0);
            let self_issued_root = is_ca && document.self_signed == Some(true);
            let state = if self_issued_root {
                State::Ok
            } else if left < 0 || left < critical || at < asset.not_before.unwrap_or(at) {
                State::Critical
            } else if left < warning {
                State::Warning
            } else {
                State::Ok
            };
            out.push(Judged { asset, document, state, left, warning, critical, element: n + 1 });
        }
    }
    out
}

/// A plugin's text is one line, and `|` begins its perfdata.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_in_days_and_shares() {
        for (text, seconds) in [("30", 30 * DAY), ("30%", 27 * DAY), ("0.5", DAY / 2), ("14d", 14 * DAY)] {
            assert_eq!(Threshold::parse(text).unwrap().seconds(90 * DAY), seconds, "{text}");
        }
        assert!(Threshold::parse("soon").is_err() && Threshold::parse("-1").is_err());
    }

    #[test]
    fn targets_as_they_are_shown() {
        for (target, in_network, shown) in [
            ("example.com", true, "tls://example.com:443"),
            ("example.com:8443", true, "tls://example.com:8443"),
            ("smtp://mail:25", true, "smtp://mail:25"),
            ("tls://10.0.0.1:443?sni=a.test", true, "tls://10.0.0.1:443"),
            ("file:///a.pem", false, "file:///a.pem"),
        ] {
            assert_eq!(shown_target(target, in_network), shown);
        }
    }
}
