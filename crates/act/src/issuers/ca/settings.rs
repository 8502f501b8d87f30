//! The table of a CA of one's own, and the policy in it.

use std::path::PathBuf;

use notafter_core::issuance::KeyType;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::policy::{Pattern, Policy, Purpose, Range};
use crate::settings;

/// `kind = "ca"`
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// What it may issue for: `*.internal.example` is every name below it, `db.example` that one name.
    #[serde(default)]
    names: Vec<String>,
    /// Addresses it may issue for: `10.0.0.0/8`, `fd00::/8`, or one address.
    #[serde(default)]
    addresses: Vec<String>,
    /// Whether it issues for wildcards such as `*.internal.example`. Default `false`.
    #[serde(default)]
    wildcards: bool,
    /// The longest life of a certificate in days, and its life where nothing is asked for. Default 90.
    max_days: Option<u32>,
    /// What certificates are for: `server` (the default), `client`, or both.
    purposes: Option<Vec<Purpose>>,
    /// The kinds of keys it takes: `ecdsa-p256`, `ecdsa-p384`, `ed25519`, `rsa-2048` ... Default: all that Notafter makes.
    #[schemars(with = "Option<Vec<String>>")]
    keys: Option<Vec<KeyType>>,
    /// The kind of its own keys, looked at when it is made: `ecdsa-p384` (the default), `ecdsa-p256`, `rsa-4096` ...
    #[schemars(with = "Option<String>")]
    ca_key: Option<KeyType>,
    /// The address under which clients find its revocation list: `http://pki.internal.example/house.crl`.
    crl_url: Option<String>,
    /// Where the revocation list is written, before the last one lapses and after every revocation: DER where the name
    /// ends in `.crl` or `.der`, PEM otherwise.
    pub(super) crl_file: Option<PathBuf>,
    /// How many days a revocation list is good for. Default 7.
    crl_days: Option<u32>,
}

/// A table that was read.
pub(super) struct Plan {
    pub(super) policy: Policy,
    pub(super) ca_key: KeyType,
    pub(super) crl_file: Option<PathBuf>,
    pub(super) crl_days: u32,
}

/// The JSON schema.
pub(super) fn schema() -> Value {
    settings::schema::<Settings>()
}

/// Where a table has the list written; for whoever does only that.
///
/// # Errors
/// The table is wrong, or the path depends on where a program is started.
pub fn crl_file(table: Value) -> Result<Option<PathBuf>, String> {
    let file = read(table)?.crl_file;
    match file.as_deref().filter(|file| !file.is_absolute()) {
        Some(file) => Err(format!(
            "`crl_file` = {} depends on where the program is started\nhint: crl_file = \"/var/www/pki/house.crl\"",
            file.display()
        )),
        None => Ok(file),
    }
}

/// Reads and checks a table.
pub(super) fn read(table: Value) -> Result<Plan, String> {
    let read: Settings = settings::read(table, &schema())?;
    if read.names.is_empty() && read.addresses.is_empty() {
        return Err("it says nothing of what it may issue for\nhint: names = [\"*.internal.example\"], or addresses = [\"10.0.0.0/8\"]".into());
    }
    let names: Result<Vec<Pattern>, String> = read.names.iter().map(|text| Pattern::parse(text)).collect();
    let ranges: Result<Vec<Range>, String> = read.addresses.iter().map(|text| Range::parse(text)).collect();
    let max_days = read.max_days.unwrap_or(90);
    if !(1..=3_650).contains(&max_days) {
        return Err("`max_days` is 1 to 3650\nhint: max_days = 90".into());
    }
    let crl_days = read.crl_days.unwrap_or(7);
    if !(1..=365).contains(&crl_days) {
        return Err("`crl_days` is 1 to 365\nhint: crl_days = 7".into());
    }
    let purposes = read.purposes.unwrap_or_else(|| vec![Purpose::Server]);
    if purposes.is_empty() {
        return Err("`purposes` is empty\nhint: purposes = [\"server\"]".into());
    }
    let keys = read.keys.unwrap_or_else(|| KeyType::ALL.iter().map(|(_, key)| *key).collect());
    if keys.is_empty() {
        return Err("`keys` is empty\nhint: leave it out to take every kind of key".into());
    }
    if let Some(url) = &read.crl_url {
        let plain = url.is_ascii() && !url.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control());
        // Over https, a client would need a list to read the list (RFC 5280 section 8).
        if !plain || !url.starts_with("http://") || url.len() > 500 {
            return Err("`crl_url` is no http:// address\nhint: the list is signed, and https would ask for another list to read it: crl_url = \"http://pki.internal.example/house.crl\"".into());
        }
    }
    Ok(Plan {
        policy: Policy {
            names: names?,
            ranges: ranges?,
            wildcards: read.wildcards,
            keys,
            max_s: i64::from(max_days) * notafter_pki::time::DAY,
            purposes,
            crl_url: read.crl_url,
        },
        ca_key: read.ca_key.unwrap_or(KeyType::EcdsaP384),
        crl_file: read.crl_file,
        crl_days,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables() {
        let check = |more: Value, sign: &str| {
            let mut table = json!({ "names": ["*.internal.example"] });
            table.as_object_mut().expect("a table").extend(more.as_object().cloned().expect("a table"));
            match read(table) {
                Ok(_) => assert_eq!(sign, ""),
                Err(error) => assert!(!sign.is_empty() && error.contains(sign), "{error}"),
            }
        };
        check(json!({}), "");
        check(json!({ "names": [] }), "says nothing of what it may issue for");
        check(json!({ "names": [], "addresses": ["10.0.0.0/8", "fd00::/8", "192.0.2.7"] }), "");
        check(json!({ "names": ["*.*.example"] }), "is no name");
        check(json!({ "names": ["a_b.example/../x"] }), "is no name");
        check(json!({ "addresses": ["10.0.0.1/8"] }), "did you mean 10.0.0.0/8");
        check(json!({ "addresses": ["10.0.0.0/33"] }), "is no range");
        check(json!({ "max_days": 0 }), "1 to 3650");
        check(json!({ "crl_days": 0 }), "1 to 365");
        check(json!({ "purposes": ["server", "client"] }), "");
        check(json!({ "purposes": ["code"] }), "purposes");
        check(json!({ "purposes": [] }), "is empty");
        check(json!({ "keys": ["rsa-1024"] }), "rsa-1024");
        check(json!({ "crl_url": "https://x.example/a.crl" }), "no http:// address");
        check(json!({ "crl_url": "http://x.example/a.crl" }), "");
        check(json!({ "max_dyas": 3 }), "did you mean `max_days`?");
    }
}
