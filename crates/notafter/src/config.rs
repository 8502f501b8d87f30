//! `notafter.toml`: its tables as written, read strictly.
//!
//! An unknown key is an error that names its line and the nearest known one. What the tables mean together
//! is `plan.rs`'s, which file is read `assemble.rs`'s. The doc comments here are the reference: the JSON
//! schema and the commented file of `config init` are made from the same words.

pub(crate) mod apart;
pub(crate) mod entries;
pub(crate) mod init;
pub(crate) mod managed;
mod place;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod stakes;
pub(crate) mod web;
pub(crate) mod windows;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use notafter_core::UnixTime;
use notafter_core::calendar::{Calendar, Closed};
use notafter_core::owner::{Match, Owner};
use notafter_core::query::nearest;
use notafter_pki::time::DAY;

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
    /// Dates that no source can see, typed in by hand.
    #[serde(default)]
    pub(crate) manual: Vec<ManualTable>,
    /// Counters that should move.
    #[serde(default)]
    pub(crate) flow: Vec<FlowTable>,
    /// When an owner is away: the next one is told at the same time.
    #[serde(default)]
    pub(crate) absence: Vec<AbsenceTable>,
    /// When nothing is changed: what ends then has to be renewed before.
    #[serde(default)]
    pub(crate) freeze: Vec<FreezeTable>,
    /// Days on which nobody works.
    #[serde(default)]
    pub(crate) holiday: Vec<HolidayTable>,
    /// Who issues certificates: kind and its settings.
    #[serde(default)]
    pub(crate) issuer: Vec<managed::IssuerTable>,
    /// Certificates that are kept alive here.
    #[serde(default)]
    pub(crate) certificate: Vec<managed::CertificateTable>,
    /// When something may be installed. None: at any time.
    #[serde(default)]
    pub(crate) window: Vec<managed::WindowTable>,
    /// Where the key lies that seals what is secret.
    #[serde(default)]
    pub(crate) keys: managed::KeysTable,
    /// Two processes: another one has the rights to install.
    #[serde(default)]
    pub(crate) act: apart::ActTable,
    /// A dead man's switch elsewhere, told that this server lives.
    #[schemars(with = "Option<HeartbeatTable>")]
    pub(crate) heartbeat: Option<Spanned<HeartbeatTable>>,
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
    /// Address and port [default: 127.0.0.1:4747]. Any but loopback needs `public_url` with https, and `behind_proxy`.
    #[schemars(with = "Option<String>")]
    pub(crate) listen: Option<Spanned<String>>,
    /// How the pages are reached from outside: in links, and as an allowed host name.
    #[schemars(with = "Option<String>")]
    pub(crate) public_url: Option<Spanned<String>>,
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
    /// Pages, GETs and metrics without a token [default: true where only this machine can ask: `listen` on loopback, no
    /// `behind_proxy`, no `public_url` elsewhere].
    pub(crate) open_reads: Option<bool>,
    /// Ask this DNS server instead of the system.
    #[schemars(with = "Option<String>")]
    pub(crate) resolver: Option<Spanned<String>>,
    /// After so long without a sight of a place its owner is asked [default: 7d].
    #[schemars(with = "Option<String>")]
    pub(crate) gone_after: Option<Spanned<String>>,
    /// `postgres://...` instead of the file in the data folder. Better: a reference to a secret.
    #[schemars(with = "Option<String>")]
    pub(crate) database: Option<notafter_act::secret::MaybeSecret>,
    /// When the week's summary is written, UTC [default: mon 08:00]; "off" for never.
    #[schemars(with = "Option<String>")]
    pub(crate) digest: Option<Spanned<String>>,
    /// Roots that clients of this house trust besides the usual ones (PEM or DER).
    #[serde(default)]
    #[schemars(with = "Vec<PathBuf>")]
    pub(crate) roots: Vec<Spanned<PathBuf>>,
}

/// `[[source]]`
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct SourceTable {
    /// What it is called on the Sources page [default: its kind].
    pub(crate) name: Option<String>,
    /// `network`, `files`, `local` (what listens here), or another source of the reference.
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
    /// The settings of the other kinds; each says its own in docs/guide/configuration.md.
    #[serde(flatten)]
    #[schemars(skip)]
    pub(crate) rest: toml::Table,
}

/// A port, or a range of them as text.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub(crate) enum PortsValue {
    One(u16),
    Text(String),
}

impl<'de> Deserialize<'de> for PortsValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortsVisitor)
    }
}

/// Reads a port or a range, so that a mistake is told in the words of whoever wrote it.
struct PortsVisitor;

impl serde::de::Visitor<'_> for PortsVisitor {
    type Value = PortsValue;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a port, or a range of ports as text, like 443 or \"8000-8999\"")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<PortsValue, E> {
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(PortsValue::One(port)),
            _ => Err(E::custom(format!("{number} is no port\nhint: write ports from 1 to 65535"))),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<PortsValue, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PortsValue, E> {
        if !matches!(text, "all" | "common") {
            let read = notafter_discover::target::parse_ports(text);
            read.map_err(|wrong| E::custom(format!("{}\nhint: {}", wrong.message, wrong.hint)))?;
        }
        Ok(PortsValue::Text(text.to_owned()))
    }
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

/// `[[manual]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManualTable {
    /// What it is.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// When it ends: 2027-03-01, or with a time.
    pub(crate) deadline: String,
    /// Who answers for it [default: whoever the rules of the owners say].
    pub(crate) owner: Option<String>,
    /// What to know about it.
    pub(crate) note: Option<String>,
}

/// `[[flow]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlowTable {
    /// What flows.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// The file that records it: lines with a date, and a number or one line a record.
    pub(crate) file: PathBuf,
    /// Less than this in an hour is silence [default: 1].
    pub(crate) floor_per_hour: Option<u32>,
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
    #[schemars(with = "Option<String>")]
    pub(crate) every: Option<Spanned<String>>,
    /// The root of the switch's own https, when it is private.
    pub(crate) ca_file: Option<PathBuf>,
}

/// `[scan]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanTable {
    /// Never look at these paths, hosts and ranges.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) exclude: Vec<Spanned<String>>,
}

/// `[policy]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyTable {
    /// Longest lifetime of a leaf in days, whoever issued it.
    pub(crate) max_days: Option<u32>,
    /// The CAs that may issue for our names, by name or by the domain that CAA records have for them: "Let's Encrypt",
    /// "letsencrypt.org" [default: those whose certificates are served].
    #[serde(default)]
    pub(crate) issuers: Vec<String>,
    /// Days of the week on which nothing is changed: "sat", "sun" [default: none].
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) days_off: Vec<Spanned<String>>,
}

/// `[[freeze]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreezeTable {
    /// From this day.
    #[schemars(with = "String")]
    pub(crate) from: Spanned<String>,
    /// To this day, included.
    pub(crate) until: String,
    /// What people call it.
    #[serde(default)]
    pub(crate) reason: String,
    /// Whom it concerns [default: everybody].
    pub(crate) owner: Option<String>,
}

/// `[[holiday]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HolidayTable {
    /// The days.
    #[schemars(with = "Vec<String>")]
    pub(crate) dates: Vec<Spanned<String>>,
    /// Whose [default: everybody's].
    pub(crate) owner: Option<String>,
}

/// `[metrics]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsTable {
    /// So many series of assets at most [default: 20000].
    pub(crate) max_series: Option<usize>,
}

/// The end of what lasts until then: a day that is named is part of it, an instant is one.
pub(crate) fn until(text: &str, at: UnixTime) -> UnixTime {
    if text.len() == 10 { at.plus(DAY) } else { at }
}

impl Config {
    /// When nobody may change anything. A mistake with where it stands in the text.
    ///
    /// # Errors
    /// The offset of the first mistake, and what is wrong there.
    pub(crate) fn calendar(&self) -> Result<Calendar, (usize, String)> {
        let day = |text: &str, at: usize| {
            crate::moment::parse_at(text, UnixTime(0)).map_err(|e| {
                (at, format!("`{text}` is no day: {e}\nhint: write 2026-12-15 or 2026-12-15T08:00:00Z"))
            })
        };
        let mut out = Calendar::default();
        for table in &self.freeze {
            let (text, at) = (table.from.get_ref(), table.from.span().start);
            let (from, until) = (day(text, at)?, until(&table.until, day(&table.until, at)?));
            if until <= from {
                return Err((at, "freeze: it ends before it begins".to_owned()));
            }
            let reason = if table.reason.is_empty() { "freeze" } else { &table.reason };
            out.closed.push(Closed { from, until, why: reason.to_owned(), owner: table.owner.clone() });
        }
        for table in &self.holiday {
            for text in &table.dates {
                let from = day(text.get_ref(), text.span().start)?;
                let why = format!("holiday of {}", from.date());
                out.closed.push(Closed { from, until: from.plus(DAY), why, owner: table.owner.clone() });
            }
        }
        for table in &self.absence {
            let (owner, at) = (table.owner.get_ref(), table.owner.span().start);
            let (from, until) = (day(&table.from, at)?, until(&table.until, day(&table.until, at)?));
            if until <= from {
                return Err((at, format!("absence of {owner}: it ends before it begins")));
            }
            let why = format!("absence of {owner}");
            out.closed.push(Closed { from, until, why, owner: Some(owner.clone()) });
        }
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        for text in &self.policy.days_off {
            let known = DAYS.iter().position(|name| *name == text.get_ref().to_ascii_lowercase());
            let Some(known) = known else {
                let what = format!("days_off: `{}` is no day of the week", text.get_ref());
                return Err((text.span().start, format!("{what}\nhint: write {}", DAYS.join(", "))));
            };
            out.days_off[known] = true;
        }
        if out.days_off == [true; 7] {
            let at = self.policy.days_off.first().map_or(0, |t| t.span().start);
            return Err((at, "days_off: a day of the week must be left to work on".to_owned()));
        }
        Ok(out)
    }
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
        let matches = matches?;
        const KNOWN: [&str; 3] = ["high", "normal", "low"];
        if let Some(word) = self.criticality.as_deref().filter(|word| !KNOWN.contains(word)) {
            let hint = match nearest(word, KNOWN.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write high, normal or low".to_owned(),
            };
            return Err(format!("criticality = \"{word}\" is not known\nhint: {hint}"));
        }
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
        // A word of a later version first: it may be near to one of this version.
        let hint = match near(message) {
            _ if is_reserved(message) => "\nhint: not in this version".to_owned(),
            Some(key) => format!("\nhint: did you mean `{key}`?"),
            None => String::new(),
        };
        format!("{}{hint}", error.to_string().trim_end())
    })
}

/// What serde says of a wrong word in a list of words, as a person would say it.
pub(crate) fn human(message: &str) -> String {
    // What stands before it says where.
    let Some((place, rest)) = message.split_once("unknown variant ") else { return message.to_owned() };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let Some(wrong) = quoted.next() else { return message.to_owned() };
    let known: Vec<&str> = quoted.collect();
    let hint = match nearest(wrong, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", known.join(", ")),
    };
    format!("{place}`{wrong}` is not known here\nhint: {hint}")
}

/// The line (from 1) on which a byte of a text stands.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

/// Is the unknown field a table of a later version?
fn is_reserved(message: &str) -> bool {
    const LATER: &[&str] = &["queue", "roles", "key", "wildcard"];
    message.split('`').nth(1).is_some_and(|field| LATER.contains(&field))
}

/// From serde's "unknown field `x`, expected one of `a`, `b`": the one that is nearest to x.
fn near(message: &str) -> Option<&str> {
    let mut quoted = message.split_once("unknown field ")?.1.split('`').skip(1).step_by(2);
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
    }

    #[test]
    fn a_word_of_a_later_version_is_no_misspelling() {
        for text in
            ["[policy]\nwildcard = 'ask'\n", "[server]\nroles = ['web']\n", "[server]\nqueue = 'nats://x'\n"]
        {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains("hint: not in this version") && !error.contains("did you mean"),
                "{error}"
            );
        }
    }

    #[test]
    fn mistakes_are_told_in_words() {
        let ports =
            |what: &str| parse(&format!("[[source]]\nkind = 'network'\nports = [{what}]\n")).unwrap_err();
        for (what, says) in [
            ("99999", "99999 is no port\nhint: write ports from 1 to 65535"),
            ("0", "0 is no port"),
            ("'9-1'", "hint: "),
            ("true", "expected a port, or a range"),
        ] {
            let error = ports(what);
            assert!(error.contains("line 3") && error.contains(says), "{what}: {error}");
        }
        assert_eq!(
            human("unknown variant `tsl`, expected one of `starttls`, `tls`, `none`"),
            "`tsl` is not known here\nhint: did you mean `tls`?"
        );
        assert_eq!(human("anything"), "anything");
        let wrong =
            parse("[[owner]]\nname = 'web'\ncriticality = 'hgih'\n").unwrap().owner[0].owner().unwrap_err();
        assert!(wrong.contains("did you mean `high`?"), "{wrong}");
    }
}
