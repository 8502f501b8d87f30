//! Lists of certificates that somebody else picked out of the logs: the answers of search services, and files of them.
//!
//! Two forms, both JSON: whole certificates in `cert_der` or `cert.data` (SSLMate's API), and numbers by which they can
//! be fetched one by one (crt.sh). Text in, certificates and numbers out. What a service leaves out nobody sees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::UnixTime;
use serde_json::Value;

/// One certificate of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the list calls it.
    pub id: Option<String>,
    /// Its DER, where the list has it.
    pub der: Option<Vec<u8>>,
    /// The names that the list gives.
    pub names: Vec<String>,
    /// Its serial number in lower-case hex, without leading zeros, where the list says it.
    pub serial: Option<String>,
    /// When it ends, where the list says it.
    pub not_after: Option<UnixTime>,
}

/// Reads a list: a JSON array, one object on each line, or an object that holds the array. `None`: it is none.
pub fn read(bytes: &[u8]) -> Option<Vec<Listed>> {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        let list = match &value {
            Value::Array(list) => Some(list),
            Value::Object(map) => ["issuances", "certificates", "entries", "results"]
                .iter()
                .find_map(|key| map.get(*key).and_then(Value::as_array)),
            _ => None,
        };
        return match list {
            Some(list) => Some(list.iter().filter_map(listed).collect()),
            None => listed(&value).map(|one| vec![one]),
        };
    }
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let found: Option<Vec<_>> = lines.map(|line| listed(&serde_json::from_slice(line).ok()?)).collect();
    found.filter(|found| !found.is_empty())
}

fn listed(value: &Value) -> Option<Listed> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let id = value.get("id").and_then(|id| match id {
        Value::Number(number) => number.as_u64().map(|n| n.to_string()),
        Value::String(text) => text.bytes().all(|b| b.is_ascii_alphanumeric()).then(|| text.clone()),
        _ => None,
    });
    let id = id.filter(|id| id.len() <= 64);
    let inside = value.get("cert").and_then(|cert| cert.get("data")).and_then(Value::as_str);
    let der = text("cert_der").or(inside).and_then(|text| STANDARD.decode(text.trim()).ok());
    let list = value.get("dns_names").and_then(Value::as_array);
    let mut names: Vec<String> =
        list.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    names.extend(text("name_value").into_iter().flat_map(str::lines).map(str::to_owned));
    names.extend(text("common_name").map(str::to_owned));
    let serial = text("serial_number").map(|hex| hex.trim_start_matches('0').to_ascii_lowercase());
    let not_after = text("not_after").and_then(date);
    (id.is_some() || der.is_some()).then_some(Listed { id, der, names, serial, not_after })
}

/// `2026-11-22T05:00:00`, in UTC, with or without a `Z` or a fraction behind it.
fn date(text: &str) -> Option<UnixTime> {
    let text = text.get(..19)?;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970, counted in years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1;
    Some(UnixTime((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second))
}

/// What a service is asked for one domain and everything below it.
pub fn question(base: &str, domain: &str) -> Vec<String> {
    let bare = base.trim_end_matches('/');
    if bare.ends_with("/issuances") {
        return vec![format!(
            "{bare}?domain={domain}&include_subdomains=true&match_wildcards=true&expand=dns_names&expand=cert_der"
        )];
    }
    let ask = |what: &str| format!("{bare}/?q={what}&output=json&exclude=expired");
    vec![ask(&format!("%25.{domain}")), ask(domain)]
}

/// What is asked after this answer, where a service gives a page at a time: what came after its last one. `None`: that
/// was all.
pub fn after(url: &str, list: &[Listed]) -> Option<String> {
    let (base, query) = url.split_once('?').filter(|(base, _)| base.ends_with("/issuances"))?;
    let last = list.last()?.id.as_deref().filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    let (query, before) = match query.split_once("&after=") {
        Some((query, before)) => (query, Some(before)),
        None => (query, None),
    };
    // One that begins with the same again gives no pages.
    (before != Some(last)).then(|| format!("{base}?{query}&after={last}"))
}

/// Where crt.sh has the certificate of this number.
pub fn certificate(base: &str, id: &str) -> String {
    format!("{}/?d={id}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_list() {
        let crtsh = br#"[{"issuer_ca_id":1,"issuer_name":"C=US","common_name":"a.test","name_value":"a.test\nb.a.test",
            "id":4711,"not_before":"2026-01-01T00:00:00","not_after":"2026-04-01T12:00:00","serial_number":"00AB"}]"#;
        let one = &read(crtsh).unwrap()[0];
        assert_eq!((one.id.as_deref(), one.serial.as_deref()), (Some("4711"), Some("ab")));
        assert_eq!(one.names, ["a.test", "b.a.test", "a.test"]);
        assert_eq!(one.not_after, Some(UnixTime(1_775_044_800)));
        for text in [
            r#"[{"dns_names": ["a.test"], "cert": {"data": "AQID"}}]"#,
            r#"{"issuances": [{"dns_names": ["a.test"], "cert_der": "AQID"}]}"#,
            "{\"dns_names\": [\"a.test\"], \"cert_der\": \"AQID\"}\n{\"id\": 2}\n",
        ] {
            let list = read(text.as_bytes()).unwrap();
            assert_eq!(
                (list[0].der.as_deref(), &*list[0].names),
                (Some(&[1, 2, 3][..]), &["a.test".to_owned()][..])
            );
        }
        for text in ["", "no", "[1]x", "3", "\n"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"[]"), Some(Vec::new()));
        assert_eq!(read(b"[1, {}, null]"), Some(Vec::new()));
        for text in ["2024-02-29T00:00:00", "1970-01-01T00:00:00"] {
            assert_eq!(date(text).map(|t| t.to_string()), Some(format!("{text}Z")));
        }
        assert_eq!(date("2024-13-01T00:00:00"), None);
    }

    #[test]
    fn one_page_after_the_other() {
        let list = |text: &str| read(text.as_bytes()).unwrap();
        let first = &question("https://api.test/v1/issuances", "a.test")[0];
        let page = list(r#"[{"id": "7", "dns_names": ["a.test"]}, {"id": "42", "dns_names": ["b.a.test"]}]"#);
        let second = after(first, &page).unwrap();
        assert_eq!(second, format!("{first}&after=42"));
        assert_eq!(after(&second, &page), None, "the same once more");
        let other = list(r#"[{"id": "43", "dns_names": ["a.test"]}]"#);
        assert_eq!(after(&second, &other), Some(format!("{first}&after=43")));
        assert_eq!(after(&second, &[]), None);
        assert_eq!(after(first, &list(r#"[{"id": "7&x=1", "dns_names": []}]"#)), None, "no number of theirs");
        assert_eq!(after("https://crt.test/?q=a.test", &page), None, "all at once");
    }

    #[test]
    fn questions() {
        assert_eq!(
            question("https://crt.test/", "a.test"),
            [
                "https://crt.test/?q=%25.a.test&output=json&exclude=expired",
                "https://crt.test/?q=a.test&output=json&exclude=expired"
            ]
        );
        assert!(question("https://api.test/v1/issuances", "a.test")[0].contains("?domain=a.test&"));
        assert_eq!(certificate("https://crt.test", "7"), "https://crt.test/?d=7");
    }
}
