//! The table of a dns-01 solver: what all providers have in common, and each one's own, which are read where they are used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::acme_dns::{self, AcmeDns};
use super::api::Api;
use super::hooks::{Contract, Hook};
use super::provider::{Plain, Provider, Purse};
use super::rfc2136::{self, Rfc2136};
use super::walk::{Resolver, is_plain, server};
use super::{BuildCx, rows};
use crate::http::{Client, ClientSettings};
use crate::secret::MaybeSecret;
use crate::settings::{self, Span, nearest};

/// How long a record may take until every name server has it, and how long is waited where nobody looks.
const PROPAGATION: Span = Span::seconds(3_600);
const BLIND: Span = Span::seconds(120);
/// How long a program may run.
const HOOK: Span = Span::seconds(300);
/// How long a record may be remembered, in seconds.
const TTL: u32 = 120;

/// `kind = "dns-01"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Who holds the zone: `rfc2136`, `acme-dns`, `exec`, `certbot`, `acme.sh`, or the name that lego has for a DNS service.
    provider: String,
    /// Variables by the names that lego reads them from; secrets as references. With a program: what it finds in its
    /// environment.
    environment: Option<BTreeMap<String, MaybeSecret>>,
    /// The zone that the record is in. Without it, the nearest name above with an SOA record.
    zone: Option<String>,
    /// How long the record may be remembered by others, in seconds. Default: lego's for the provider, else `120`.
    ttl: Option<u32>,
    /// Ask every name server of the zone for the record before the CA is asked. Default `true`; `false` where this machine
    /// cannot reach them.
    check: Option<bool>,
    /// How long it may take until every name server has it. Default `1h`. With `check = false`: how long is waited before
    /// the CA is asked, by default `2m`.
    propagation: Option<Span>,
    /// The resolver that is asked for aliases, the zone and its servers. Default: the system's.
    resolver: Option<String>,
    /// Name servers to look at, instead of those that the zone names.
    authoritative: Option<Vec<String>>,
    /// The port of the zone's name servers. Default `53`; another one only for tests of one's own.
    port: Option<u16>,
    /// Of `exec`: the program and its first arguments; `present` or `cleanup` and the record follow, as in lego.
    command: Option<Vec<String>>,
    /// Of `exec`: lego's mode RAW: name, token and key authorization instead of the record.
    raw: Option<bool>,
    /// Of `certbot`: the program of `--manual-auth-hook`, with its arguments.
    auth_hook: Option<Vec<String>>,
    /// Of `certbot`: the program of `--manual-cleanup-hook`, with its arguments.
    cleanup_hook: Option<Vec<String>>,
    /// Of `acme.sh`: the `dnsapi` script, by its full path.
    script: Option<PathBuf>,
    /// Of `acme.sh`: what its functions begin with. Default: the name of the script.
    function: Option<String>,
    /// Of `acme.sh`: acme.sh itself, whose functions most scripts use. Its folder's `account.conf` is theirs, too.
    library: Option<PathBuf>,
    /// How long a program may run (default `5m`), or an exchange with acme-dns may take (default `15s`).
    timeout: Option<Span>,
    /// Of `acme-dns`: a PEM file with further CA certificates to trust.
    ca_file: Option<PathBuf>,
    /// Of `acme-dns`: an HTTP proxy to go through.
    proxy: Option<MaybeSecret>,
}

/// The settings that every provider takes.
const COMMON: &[&str] =
    &["provider", "environment", "zone", "ttl", "check", "propagation", "resolver", "authoritative", "port"];

/// What was read.
pub(super) struct Read {
    pub(super) provider: Box<dyn Provider>,
    pub(super) resolver: Resolver,
    pub(super) authoritative: Vec<SocketAddr>,
    pub(super) port: u16,
    pub(super) zone: Option<String>,
    pub(super) check: bool,
    pub(super) propagation: Duration,
    pub(super) ttl: u32,
}

/// A provider by its name, with the settings that are its own.
#[derive(Clone, Copy)]
enum Kind {
    Rfc2136,
    AcmeDns,
    Exec,
    Certbot,
    AcmeSh,
    Row(&'static super::api::Row),
}

const EXEC_PATH: Plain = Plain::text("command", &["EXEC_PATH"]).optional();
const EXEC_MODE: Plain = Plain::text("raw", &["EXEC_MODE"]).optional();

impl Kind {
    /// Those that are not of the crate `dns-update`, by all their names.
    const OWN: &[(&'static str, Self)] = &[
        ("rfc2136", Self::Rfc2136),
        ("dnsupdate", Self::Rfc2136),
        ("acme-dns", Self::AcmeDns),
        ("acmedns", Self::AcmeDns),
        ("exec", Self::Exec),
        ("certbot", Self::Certbot),
        ("acme.sh", Self::AcmeSh),
    ];

    fn find(name: &str) -> Result<Self, String> {
        let own = Self::OWN.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        own.or_else(|| rows::find(name).map(Self::Row)).ok_or_else(|| {
            let known: Vec<&str> =
                Self::OWN.iter().map(|(name, _)| *name).chain(rows::ROWS.iter().map(|r| r.name)).collect();
            let hint = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "docs/guide/dns-01.md lists them; any other one can be reached by a program: provider = \"exec\"".to_owned(),
            };
            format!("`provider`: there is no `{}`\nhint: {hint}", name.escape_debug())
        })
    }

    /// What it is told, besides programs and paths.
    fn fields(self) -> &'static [Plain] {
        match self {
            Self::Rfc2136 => rfc2136::FIELDS,
            Self::AcmeDns => acme_dns::FIELDS,
            Self::Exec | Self::Certbot | Self::AcmeSh => &[],
            Self::Row(row) => row.fields,
        }
    }

    /// The rest of its own settings.
    fn more(self) -> &'static [&'static str] {
        match self {
            Self::Rfc2136 | Self::Row(_) => &[],
            Self::AcmeDns => &["timeout", "ca_file", "proxy"],
            Self::Exec => &["command", "raw", "timeout"],
            Self::Certbot => &["auth_hook", "cleanup_hook", "timeout"],
            Self::AcmeSh => &["script", "function", "library", "timeout"],
        }
    }

    fn runs_a_program(self) -> bool {
        matches!(self, Self::Exec | Self::Certbot | Self::AcmeSh)
    }
}

/// Is the provider of this table a program of the site's? One that nobody knows is refused elsewhere.
pub(in crate::solvers) fn runs_a_program(table: &Value) -> bool {
    table["provider"].as_str().and_then(|name| Kind::find(name).ok()).is_some_and(Kind::runs_a_program)
}

/// How long the record of a solver with this table may take, where it is shown by another process.
pub(in crate::solvers) fn patience(table: &Value) -> Duration {
    let set = serde_json::from_value::<Span>(table["propagation"].clone()).ok();
    set.unwrap_or(if table["check"] == false { BLIND } else { PROPAGATION }).0
}

/// Every setting that a provider of an API, a name server or acme-dns has, with who has it.
fn plain() -> BTreeMap<&'static str, (bool, Vec<&'static str>)> {
    let own = [("rfc2136", rfc2136::FIELDS), ("acme-dns", acme_dns::FIELDS)];
    let mut all: BTreeMap<&str, (bool, Vec<&str>)> = BTreeMap::new();
    for (name, fields) in own.into_iter().chain(rows::ROWS.iter().map(|row| (row.name, row.fields))) {
        for field in fields {
            let entry = all.entry(field.setting).or_default();
            entry.0 |= field.is_secret;
            entry.1.push(name);
        }
    }
    all
}

/// The JSON schema.
pub(in crate::solvers) fn schema() -> Value {
    let mut schema = settings::schema::<Settings>();
    for (setting, (is_secret, of)) in plain() {
        let kind = if is_secret { "A secret, as a reference" } else { "Plain text, or a reference" };
        let property = json!({
            "description": format!("{kind}. Of {}.", of.join(", ")),
            "anyOf": [{ "type": ["string", "integer", "boolean"] }, { "$ref": "#/$defs/Secret" }],
        });
        schema["properties"][setting] = property;
    }
    schema
}

/// Reads the table.
///
/// # Errors
/// A sentence for the person who wrote it.
pub(super) fn read(mut table: Value, cx: &BuildCx) -> Result<Read, String> {
    let name = table["provider"].as_str().map(str::to_owned);
    // A wrong type, or none: the general reader has the words.
    let Some(name) = name else {
        return Err(settings::read::<Settings>(table, &schema()).err().unwrap_or_default());
    };
    let kind = Kind::find(&name)?;
    let mut purse = Purse::default();
    if let Some(table) = table.as_object_mut() {
        for setting in plain().into_keys() {
            let Some((_, value)) = table.remove_entry(setting) else { continue };
            purse.plain.insert(setting.to_owned(), scalar(setting, value)?);
        }
        let known: Vec<&str> = COMMON.iter().chain(kind.more()).copied().collect();
        let all = schema();
        if let Some(wrong) = table
            .keys()
            .find(|key| !known.contains(&key.as_str()) && all["properties"].get(key.as_str()).is_some())
        {
            return Err(format!(
                "the provider {name} has no setting `{wrong}`\nhint: it has {}",
                kind.fields()
                    .iter()
                    .map(|f| f.setting)
                    .chain(kind.more().iter().copied())
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
    }
    let mut read: Settings = settings::read(table, &schema())?;
    purse.environment = read.environment.take().unwrap_or_default();
    let (mut ttl, mut propagation) = (read.ttl, read.propagation);
    if !kind.runs_a_program() {
        // lego's own words for two of our settings.
        ttl = ttl.or(number(&mut purse, "_TTL")?.map(|n| u32::try_from(n).unwrap_or(u32::MAX)));
        propagation = propagation.or(number(&mut purse, "_PROPAGATION_TIMEOUT")?.map(Span::seconds));
        purse.check(&read.provider, kind.fields(), kind.more())?;
    } else if let Some(wrong) = purse.plain.keys().next() {
        return Err(format!(
            "the provider {name} has no setting `{wrong}`\nhint: it has {}",
            kind.more().join(", ")
        ));
    }
    let check = read.check.unwrap_or(true);
    let set = read.resolver.as_deref().map(|text| server("resolver", text)).transpose()?;
    let authoritative: Result<Vec<SocketAddr>, String> =
        read.authoritative.iter().flatten().map(|text| server("authoritative", text)).collect();
    let zone = match &read.zone {
        None => None,
        Some(text) => {
            let name = text.trim_end_matches('.').to_ascii_lowercase();
            if !is_plain(&name) {
                return Err(format!(
                    "`zone`: `{}` is no name of a zone\nhint: zone = \"example.com\"",
                    text.escape_debug()
                ));
            }
            Some(name)
        }
    };
    let port = read.port.unwrap_or(53);
    let usual = if let Kind::Row(row) = kind { row.ttl } else { TTL };
    Ok(Read {
        provider: provider(kind, read, purse, set, cx)?,
        resolver: Resolver::new(set),
        authoritative: authoritative?,
        port,
        zone,
        check,
        propagation: propagation.unwrap_or(if check { PROPAGATION } else { BLIND }).0,
        ttl: ttl.unwrap_or(usual).clamp(1, 86_400),
    })
}

/// A value as text: people write numbers and yes or no without quotes.
fn scalar(setting: &str, value: Value) -> Result<MaybeSecret, String> {
    let value = match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(is) => Value::String(is.to_string()),
        value => value,
    };
    serde_json::from_value(value).map_err(|e| format!("`{setting}`: {e}"))
}

/// Takes a variable with this ending out of `environment`, as a number.
fn number(purse: &mut Purse, ending: &str) -> Result<Option<u64>, String> {
    let Some(name) = purse.environment.keys().find(|name| name.ends_with(ending)).cloned() else {
        return Ok(None);
    };
    let Some(value) = purse.environment.remove(&name) else { return Ok(None) };
    let text = value.read().map_err(|e| format!("`environment.{name}`: {e}"))?;
    text.trim().parse().map(Some).map_err(|_| format!("`environment.{name}` is no number of seconds"))
}

fn provider(
    kind: Kind,
    read: Settings,
    mut purse: Purse,
    resolver: Option<SocketAddr>,
    cx: &BuildCx,
) -> Result<Box<dyn Provider>, String> {
    let timeout = read.timeout.unwrap_or(HOOK).0;
    let missing = |setting: &str, example: &str| {
        format!("the setting `{setting}` is missing\nhint: {setting} = {example}")
    };
    let contract = match kind {
        Kind::Row(row) => return Ok(Box::new(Api::open(row, Arc::new(purse))?)),
        Kind::Rfc2136 => {
            let read = Box::new(move |field: &Plain| purse.read(field));
            return Ok(Box::new(Rfc2136::open(read, Resolver::new(resolver))?));
        }
        Kind::AcmeDns => {
            let client = ClientSettings { ca_file: read.ca_file, proxy: read.proxy, timeout: read.timeout };
            return Ok(Box::new(AcmeDns::open(Arc::new(purse), Client::new(&client, &cx.roots)?)?));
        }
        Kind::Exec => {
            let path = purse.read(&EXEC_PATH)?;
            let mode = purse.read(&EXEC_MODE)?;
            EXEC_PATH
                .names
                .iter()
                .chain(EXEC_MODE.names)
                .for_each(|name| drop(purse.environment.remove(*name)));
            let command = read.command.or_else(|| path.map(|path| vec![path.to_string()]));
            let command = command.ok_or_else(|| missing("command", "[\"/usr/local/bin/update-dns\"]"))?;
            let raw = read.raw.unwrap_or_else(|| mode.is_some_and(|mode| mode.as_str() == "RAW"));
            Contract::Lego { command, raw }
        }
        Kind::Certbot => Contract::Certbot {
            auth: read.auth_hook.ok_or_else(|| missing("auth_hook", "[\"/etc/letsencrypt/auth-hook\"]"))?,
            cleanup: read.cleanup_hook,
        },
        Kind::AcmeSh => {
            let script =
                read.script.ok_or_else(|| missing("script", "\"/usr/share/acme.sh/dnsapi/dns_xyz.sh\""))?;
            let stem = script.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            Contract::AcmeSh { function: read.function.unwrap_or(stem), script, library: read.library }
        }
    };
    Ok(Box::new(Hook::open(contract, purse.environment, timeout)?))
}
