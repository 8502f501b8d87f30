//! What `zone:` and `dnssec:` name, and the settings of their tables: `example.com`, `example.com@SERVER`,
//! `example.com@FILE`; the key of transfers.
//!
//! Text in, names and places out. Nothing is opened or asked, but the key, by whoever uses it.

use std::path::PathBuf;

use notafter_pki::dns::name;
use notafter_pki::dns::tsig::{Algorithm, Key};
use serde_json::Value;

use crate::sources::{Order, Reveal};
use crate::target::NoTarget;

/// A zone and where to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name, as `pki` writes names.
    pub(crate) zone: String,
    /// Where.
    pub(crate) from: From,
}

/// Where to get a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Whoever has it, by the resolver.
    Its,
    /// This server, by name or address, with or without a port.
    Server(String),
    /// This file.
    File(PathBuf),
}

/// What an order names: its words, or the list `key` of its settings.
///
/// # Errors
/// A sentence and a hint.
pub(crate) fn zones(order: &Order<'_>, word: &str, key: &str) -> Result<Vec<Named>, NoTarget> {
    let wrong = |message: String| NoTarget {
        message,
        hint: format!("write {word}:example.com, {word}:example.com@10.0.0.53 or {word}:example.com@FILE"),
    };
    let mut texts: Vec<String> = order
        .targets
        .iter()
        .map(|text| text.split_once(':').map_or(text.as_str(), |(_, rest)| rest).to_owned())
        .collect();
    if texts.is_empty() {
        let list = order.settings.get(key).and_then(|list| list.as_array());
        let list = list.ok_or_else(|| wrong(format!("a source of the kind `{word}` needs `{key}`")))?;
        for one in list {
            texts.push(one.as_str().ok_or_else(|| wrong(format!("`{key}` is a list of texts")))?.to_owned());
        }
    }
    if texts.is_empty() {
        return Err(wrong(format!("`{key}` is empty")));
    }
    texts.iter().map(|text| named(text).ok_or_else(|| wrong(format!("`{text}` names no zone")))).collect()
}

fn named(text: &str) -> Option<Named> {
    let (zone, from) = match text.split_once('@') {
        None => (text, From::Its),
        Some((_, "")) => return None,
        Some((zone, place)) => {
            let server = super::server(place).is_some();
            let path = place.contains('/') || place.starts_with(['.', '~']);
            let file = !server && (path || std::path::Path::new(place).is_file());
            (zone, if file { From::File(place.into()) } else { From::Server(place.to_owned()) })
        }
    };
    let ascii = idna::domain_to_ascii(zone).ok()?;
    let zone = name::from_text(if ascii.is_empty() { zone } else { &ascii }.as_bytes(), Some("."))?;
    (!zone.is_empty()).then_some(Named { zone, from })
}

/// The key with which a zone is asked for: `tsig = { name = "...", secret = { file = "..." } }`, or a file that holds
/// all of it, as `tsig-keygen` writes them.
#[derive(Clone)]
pub(crate) enum TransferKey {
    /// Its secret lies somewhere; the rest was said.
    Named { name: String, algorithm: Algorithm, secret: Reveal },
    /// All of it lies there.
    Whole(Reveal),
}

impl TransferKey {
    /// The key as it is now.
    ///
    /// # Errors
    /// A sentence without a secret.
    pub(crate) fn read(&self) -> Result<Key, String> {
        match self {
            Self::Named { name, algorithm, secret } => Key::new(name, *algorithm, &secret()?),
            Self::Whole(text) => Key::of_file(&text()?),
        }
        .map_err(|said| format!("the key for transfers cannot be used: {}", said.replace("\nhint: ", "; ")))
    }
}

/// The key that an order names, or that was given for all.
///
/// # Errors
/// A sentence and a hint.
pub(crate) fn transfer_key(order: &Order<'_>) -> Result<Option<TransferKey>, NoTarget> {
    let wrong = |message: String| {
        NoTarget {
        message: format!("`tsig`: {message}"),
        hint: r#"tsig = { name = "transfer", algorithm = "hmac-sha256", secret = { file = "/etc/notafter/tsig" } }"#
            .to_owned(),
    }
    };
    let Some(table) = order.settings.get("tsig") else {
        return Ok(order.given.tsig.clone().map(TransferKey::Whole));
    };
    let table = table.as_object().ok_or_else(|| wrong("it is a table".to_owned()))?;
    let known = ["name", "algorithm", "secret"];
    let reference = |value: &Value| (order.given.secret)(value).map_err(&wrong);
    // `tsig = { file = "..." }`: the whole key.
    if table.len() == 1 && table.keys().all(|key| matches!(key.as_str(), "file" | "env" | "credential")) {
        return Ok(Some(TransferKey::Whole(reference(&Value::Object(table.clone()))?)));
    }
    if let Some(other) = table.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(format!("`{}` is no key of it", other.escape_debug())));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let name =
        text("name").ok_or_else(|| wrong("it needs `name`, the key's name at the name server".to_owned()))?;
    let algorithm = match table.get("algorithm") {
        None => "hmac-sha256",
        Some(value) => value.as_str().ok_or_else(|| wrong("`algorithm` is a text".to_owned()))?,
    };
    let algorithm = Algorithm::parse(algorithm).map_err(|said| wrong(said.replace("\nhint: ", "; ")))?;
    let secret = table.get("secret").ok_or_else(|| wrong("it needs `secret`".to_owned()))?;
    Ok(Some(TransferKey::Named { name: name.to_owned(), algorithm, secret: reference(secret)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let file = |path: &str| From::File(path.into());
        let server = |text: &str| From::Server(text.to_owned());
        for (text, expected) in [
            ("example.com", Some(("example.com", From::Its))),
            ("Example.COM.", Some(("example.com", From::Its))),
            ("bücher.example", Some(("xn--bcher-kva.example", From::Its))),
            ("a.test@127.0.0.1:5353", Some(("a.test", server("127.0.0.1:5353")))),
            ("a.test@[::1]:53", Some(("a.test", server("[::1]:53")))),
            ("a.test@ns1.a.test", Some(("a.test", server("ns1.a.test")))),
            ("a.test@/var/named/a.test", Some(("a.test", file("/var/named/a.test")))),
            ("a.test@./db", Some(("a.test", file("./db")))),
            ("a..test", None),
            ("a.test@", None),
        ] {
            let expected = expected.map(|(zone, from)| Named { zone: zone.to_owned(), from });
            assert_eq!(named(text), expected, "{text}");
        }
    }
}
