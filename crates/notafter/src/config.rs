//! `notafter.toml`: its tables as written, read strictly.
//!
//! An unknown key is an error that names its line and the nearest known one. What the tables mean together
//! is `plan.rs`'s, which file is read `assemble.rs`'s. The doc comments here are the reference: the JSON
//! schema and the commented file of `config init` are made from the same words.

pub(crate) mod init;
pub(crate) mod plan;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use notafter_core::owner::{Match, Owner};
use notafter_core::query::nearest;

/// The configuration file of Notafter. Everything has a default.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The server itself.
    #[serde(default)]
    pub(crate) server: ServerTable,
    /// Where to look, and how often.
    #[serde(default)]
    pub(crate) source: Vec<SourceTable>,
    /// Who answers for what, and how they are told: the first that matches.
    #[serde(default)]
    pub(crate) owner: Vec<OwnerTable>,
    /// Channels to people: kind and its settings.
    #[serde(default)]
    pub(crate) notifier: Vec<NotifierTable>,
    /// Groups of places, each a row of the status page.
    #[serde(default)]
    pub(crate) service: Vec<ServiceTable>,
    /// When an owner is away: the next one is told at the same time.
    #[serde(default)]
    pub(crate) absence: Vec<AbsenceTable>,
    /// A dead man's switch elsewhere, told that this server lives.
    pub(crate) heartbeat: Option<HeartbeatTable>,
    /// For every look, also of `notafter scan`.
    #[serde(default)]
    pub(crate) scan: ScanTable,
    /// What the organisation wants, beyond the field's own rules.
    #[serde(default)]
    pub(crate) policy: PolicyTable,
    /// What Prometheus is given.
    #[serde(default)]
    pub(crate) metrics: MetricsTable,
}

/// `[server]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerTable {
    /// Address and port [default: 127.0.0.1:4747]. Any but loopback needs `public_url` and https or `behind_proxy`.
    pub(crate) listen: Option<String>,
    /// How the pages are reached from outside: in links, and as an allowed host name.
    pub(crate) public_url: Option<String>,
    /// Further names by which the pages may be asked for.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
    /// The data folder [default: ./notafter-data].
    pub(crate) data: Option<PathBuf>,
    /// The file with the access token [default: token in the data folder]; made at the first start.
    pub(crate) token_file: Option<PathBuf>,
    /// A proxy in front speaks https for us.
    #[serde(default)]
    pub(crate) behind_proxy: bool,
    /// Pages, GETs and metrics without a token [default: true on loopback, else false].
    pub(crate) open_reads: Option<bool>,
    /// Ask this DNS server instead of the system.
    pub(crate) resolver: Option<String>,
    /// After so long without a sight of a place its owner is asked [default: 7d].
    pub(crate) gone_after: Option<String>,
    /// `postgres://...` instead of the file in the data folder. Better: a reference to a secret.
    #[schemars(with = "Option<String>")]
    pub(crate) database: Option<notafter_act::secret::MaybeSecret>,
    /// When the week's summary is written, UTC [default: mon 08:00]; "off" for never.
    pub(crate) digest: Option<String>,
    /// Roots that clients of this house trust besides the usual ones (PEM or DER).
    #[serde(default)]
    pub(crate) roots: Vec<PathBuf>,
}

/// `[[source]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceTable {
    /// What it is called on the Sources page [default: its kind].
    pub(crate) name: Option<String>,
    /// `network` or `files`.
    #[schemars(with = "String")]
    pub(crate) kind: Spanned<String>,
    /// How often [default: 1h for network, 6h for files].
    pub(crate) every: Option<String>,
    /// network: hosts, addresses and ranges, as for `notafter scan`; `localhost` is what listens here.
    #[serde(default)]
    pub(crate) targets: Vec<String>,
    /// network: ports for targets that name none: numbers, ranges ("8000-8999"), "all" or "common".
    #[serde(default)]
    pub(crate) ports: Vec<PortsValue>,
    /// network: begin TLS as this protocol does.
    pub(crate) starttls: Option<String>,
    /// network: names to send to addresses.
    #[serde(default)]
    pub(crate) sni: Vec<String>,
    /// network: prove that each server holds its key.
    #[serde(default)]
    pub(crate) prove: bool,
    /// network: look for both key types at addresses too.
    #[serde(default)]
    pub(crate) both: bool,
    /// network: TLS 1.2 first.
    #[serde(default)]
    pub(crate) gentle: bool,
    /// network: new connections a second, in all.
    pub(crate) rate: Option<u32>,
    /// network: connections open at once [default: 1000].
    pub(crate) concurrency: Option<u32>,
    /// network: for one server, in all [default: 5s].
    pub(crate) timeout: Option<String>,
    /// files: files and folders.
    #[serde(default)]
    pub(crate) paths: Vec<String>,
    /// files: passwords to try on keystores, one a line.
    #[serde(default)]
    pub(crate) password_file: Vec<PathBuf>,
    /// Never look at these.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
}

/// A port, or a range of them as text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum PortsValue {
    One(u16),
    Text(String),
}

impl std::fmt::Display for PortsValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(port) => write!(f, "{port}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// `[[owner]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerTable {
    /// The owner's name.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// What is theirs: name:*.example.com, location:10.0.3.0/24, path:/etc/nginx/**.
    #[serde(default, rename = "match")]
    pub(crate) matches: Vec<String>,
    /// Answers for everything that nobody else does: the owner of last resort.
    #[serde(default)]
    pub(crate) default: bool,
    /// How they are told: NOTIFIER or NOTIFIER:ADDRESS, all of them.
    #[serde(default)]
    pub(crate) notify: Vec<String>,
    /// Who is told when nobody acknowledges.
    pub(crate) escalate_to: Option<String>,
    /// After so long [default: 8h, 3d for a mere warning].
    pub(crate) escalate_after: Option<String>,
    /// How many days they need to replace something: warned at least so early.
    pub(crate) needs_days: Option<u32>,
    /// For people and filters: high, normal, low.
    #[allow(dead_code, reason = "shown by `config check` and the schema; nothing decides by it yet")]
    pub(crate) criticality: Option<String>,
}

/// `[[notifier]]`
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NotifierTable {
    /// What owners call it in `notify`.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// email, webhook, slack, teams, pagerduty, opsgenie, discord, telegram, ntfy, alertmanager or exec.
    pub(crate) kind: String,
    /// Only messages at least so bad: critical, warning [default: all].
    pub(crate) severity: Option<String>,
    /// The settings of the kind.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(crate) rest: toml::Table,
}

/// `[[service]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceTable {
    /// What the status page calls it.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// Its places, in the words of the search language: name:login.example.com, location:10.0.3.0/24.
    pub(crate) places: Vec<String>,
    /// May strangers see it?
    #[serde(default)]
    pub(crate) public: bool,
}

/// `[[absence]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbsenceTable {
    /// Who is away.
    #[schemars(with = "String")]
    pub(crate) owner: Spanned<String>,
    /// From this day.
    pub(crate) from: String,
    /// Until this day.
    pub(crate) until: String,
}

/// `[heartbeat]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatTable {
    /// What is asked for (GET); a plain URL or a reference to a secret.
    #[schemars(with = "String")]
    pub(crate) url: notafter_act::secret::MaybeSecret,
    /// How often [default: 5m].
    pub(crate) every: Option<String>,
    /// The root of the switch's own https, when it is private.
    pub(crate) ca_file: Option<PathBuf>,
}

/// `[scan]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanTable {
    /// Never look at these paths, hosts and ranges.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
}

/// `[policy]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyTable {
    /// Longest lifetime of a leaf in days, whoever issued it.
    pub(crate) max_days: Option<u32>,
}

/// `[metrics]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsTable {
    /// So many series of assets at most [default: 20000].
    pub(crate) max_series: Option<usize>,
}

impl OwnerTable {
    /// The owner, its rules read.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub(crate) fn owner(&self) -> Result<Owner, String> {
        let read = |text: &String| Match::parse(text);
        let matches = self.matches.iter().map(read).collect::<Result<_, _>>();
        let name = self.name.get_ref();
        let matches = matches.map_err(|e| format!("owner `{name}`: {e}"))?;
        Ok(Owner { name: name.clone(), matches, default: self.default, needs_days: self.needs_days })
    }
}

/// Reads the text of a file.
///
/// # Errors
/// Line, column and what is wrong, with the nearest known key.
pub(crate) fn parse(text: &str) -> Result<Config, String> {
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        let hint = match near(message) {
            Some(key) => format!("\nhint: did you mean `{key}`?"),
            None if is_reserved(message) => "\nhint: not in this version".to_owned(),
            None => String::new(),
        };
        format!("{}{hint}", error.to_string().trim_end())
    })
}

/// The line (from 1) on which a byte of a text stands.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

/// Is the unknown field a table of a later version?
fn is_reserved(message: &str) -> bool {
    const LATER: &[&str] = &[
        "holiday",
        "window",
        "manual",
        "flow",
        "keys",
        "freeze",
        "issuer",
        "certificate",
        "queue",
        "roles",
        "issuers",
        "key",
        "wildcard",
    ];
    message.split('`').nth(1).is_some_and(|field| LATER.contains(&field))
}

/// From serde's "unknown field `x`, expected one of `a`, `b`": the one that is nearest to x.
fn near(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read() {
        let text = "[[owner]]\nname = 'web'\nmatch = ['name:*.example.com']\nnotify = ['mail:x']\n";
        let config = parse(text).unwrap();
        assert_eq!(config.owner[0].owner().unwrap().name, "web");
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = parse("[[owner]]\nnmae = 'web'\n").unwrap_err();
        assert!(error.contains("did you mean `name`?") && error.contains("line 2"), "{error}");
        assert!(parse("[server]\nlisen = ''\n").unwrap_err().contains("did you mean `listen`?"));
        assert!(parse("[[freeze]]\nfrom = ''\n").unwrap_err().contains("hint: not in this version"));
    }
}
