//! What `ct:` names, and the settings of its table: domains, logs, lists of logs, a search service, files.
//!
//! Values in, a source out. Nothing is opened or asked; the form of a list of logs (version 3, as browsers publish
//! theirs) is known here, too.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Logs;
use super::filter::Watched;
use super::log::{Api, Log};
use crate::http::reach::Allow;
use crate::sources::Order;
use crate::target::NoTarget;

/// So many entries of each log are read in a scan: some minutes of a large log.
const NEWEST: u64 = 1 << 14;
/// So many logs one list may name.
const LOGS_MAX: usize = 500;

fn wrong(message: impl Into<String>, hint: &str) -> NoTarget {
    NoTarget { message: message.into(), hint: hint.to_owned() }
}

/// The source of an order. A target is `ct:DOMAIN`, with the table's logs, or `ct:DOMAIN@LOG`, where `LOG` is the
/// address of a log, or a file of entries.
pub(super) fn logs(order: &Order<'_>) -> Result<Logs, NoTarget> {
    let settings = order.settings;
    let mut logs = Logs {
        watched: Arc::new(Watched::new([]).map_err(|why| wrong(why, ""))?),
        logs: Vec::new(),
        lists: texts(settings, "log_list")?,
        search: text(settings, "search")?,
        files: texts(settings, "files")?.into_iter().map(PathBuf::from).collect(),
        newest: number(settings, "newest")?.unwrap_or(NEWEST),
        allow: Allow::default(),
        given: order.given.clone(),
    };
    for range in texts(settings, "allow")? {
        logs.allow.add(&range)?;
    }
    for value in list(settings, "logs")? {
        logs.logs.push(log(value)?);
    }
    let mut domains = texts(settings, "domains")?;
    if !order.targets.is_empty() {
        domains.clear();
    }
    for target in order.targets {
        let rest = target.split_once(':').map_or(target.as_str(), |(_, rest)| rest);
        let (domain, place) = rest.split_once('@').map_or((rest, None), |(domain, at)| (domain, Some(at)));
        domains.push(domain.to_owned());
        match place {
            Some("") => return Err(wrong("behind the @ stands no log", "write ct:example.com@https://LOG/")),
            Some(url) if url.contains("://") => {
                logs.logs.push(log(&Value::String(url.to_owned()))?);
            }
            Some(file) => logs.files.push(file.into()),
            None => {}
        }
    }
    if domains.is_empty() {
        return Err(wrong(
            "no domain is named whose certificates are looked for",
            "write domains = [\"example.com\"]",
        ));
    }
    logs.watched = Arc::new(Watched::new(domains.iter().map(String::as_str)).map_err(|text| {
        wrong(format!("`{text}` is no domain that could be looked for"), "write ct:example.com")
    })?);
    if logs.logs.is_empty() && logs.lists.is_empty() && logs.search.is_none() && logs.files.is_empty() {
        return Err(wrong(
            "no log is named, and none is asked unless it is",
            "write ct:example.com@https://LOG/ or, in a [[source]] of kind \"ct\", logs, log_list, search or files",
        ));
    }
    let addresses = logs.logs.iter().map(|log| &log.url).chain(&logs.search);
    for address in addresses.chain(logs.lists.iter().filter(|list| list.contains("://"))) {
        if !address.starts_with("https://") && !address.starts_with("http://") {
            return Err(wrong(format!("`{address}` is no web address"), "write https://..."));
        }
        logs.allow.add(address)?;
    }
    logs.files.sort();
    logs.files.dedup();
    Ok(logs)
}

/// A log: its address, or a table with `url`, `key` (the public key in base64) and `api`.
fn log(value: &Value) -> Result<Log, NoTarget> {
    const HINT: &str = "write \"https://LOG/\" or { url = \"https://LOG/\", key = \"MFkw...\" }";
    let member = |name: &str| value.get(name).and_then(Value::as_str);
    let url = value.as_str().or_else(|| member("url")).ok_or_else(|| wrong("a log has no address", HINT))?;
    let key = match member("key") {
        None => None,
        Some(text) => {
            Some(STANDARD.decode(text).map_err(|_| wrong(format!("the key of {url} is no base64"), HINT))?)
        }
    };
    let api = match member("api") {
        None => None,
        Some("static-ct") => Some(Api::StaticCt),
        Some("rfc6962") => Some(Api::Rfc6962),
        Some(other) => {
            return Err(wrong(
                format!("`{other}` is no way of reading a log"),
                "there are static-ct and rfc6962",
            ));
        }
    };
    Ok(Log { url: with_slash(url), key, api })
}

fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

/// The logs of a list in version 3 of the form, except those that are rejected or gone. `None`: it is none.
pub(super) fn log_list(bytes: &[u8]) -> Option<Vec<Log>> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let operators = value.get("operators")?.as_array()?;
    let mut out = Vec::new();
    for operator in operators {
        for (kind, at, api) in
            [("logs", "url", Api::Rfc6962), ("tiled_logs", "monitoring_url", Api::StaticCt)]
        {
            for one in operator.get(kind).and_then(Value::as_array).into_iter().flatten() {
                let state = one.get("state").and_then(Value::as_object);
                let over = state
                    .is_some_and(|s| ["rejected", "retired", "pending"].iter().any(|w| s.contains_key(*w)));
                let url = one.get(at).and_then(Value::as_str).filter(|url| url.starts_with("https://"));
                let key = one.get("key").and_then(Value::as_str).and_then(|key| STANDARD.decode(key).ok());
                if let (false, Some(url), true) = (over, url, out.len() < LOGS_MAX) {
                    out.push(Log { url: with_slash(url), key, api: Some(api) });
                }
            }
        }
    }
    Some(out)
}

fn list<'v>(settings: &'v Value, key: &str) -> Result<&'v [Value], NoTarget> {
    match settings.get(key) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(wrong(format!("`{key}` is no list"), "write [...]")),
    }
}

/// A list of texts, or one text alone.
fn texts(settings: &Value, key: &str) -> Result<Vec<String>, NoTarget> {
    if let Some(one) = settings.get(key).and_then(Value::as_str) {
        return Ok(vec![one.to_owned()]);
    }
    let all = list(settings, key)?.iter();
    all.map(|one| one.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong(format!("`{key}` is no list of texts"), "write [\"...\"]"))
}

fn text(settings: &Value, key: &str) -> Result<Option<String>, NoTarget> {
    match settings.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(format!("`{key}` is no text"), "write it in quotes")),
    }
}

fn number(settings: &Value, key: &str) -> Result<Option<u64>, NoTarget> {
    match settings.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| wrong(format!("`{key}` is no number of entries"), "write newest = 100000")),
    }
}
