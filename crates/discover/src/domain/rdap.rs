//! RDAP: a domain object as JSON (RFC 9083) into a registration, and IANA's list of who serves what (RFC 9224).
//!
//! What is missing or of another type is not there; nothing is required but the object's class. Nothing is fetched
//! here.

use serde_json::Value;

use super::dates;
use super::registration::Registration;

/// Where IANA publishes which registry serves which domains.
pub const BOOTSTRAP: &str = "https://data.iana.org/rdap/dns.json";

/// Reads a domain object. `None` for what is none.
pub fn read(body: &[u8], name: &str) -> Option<Registration> {
    let all: Value = serde_json::from_slice(body).ok()?;
    if all["objectClassName"].as_str() != Some("domain") {
        return None;
    }
    let said = all["ldhName"].as_str().unwrap_or(name).trim_end_matches('.').to_ascii_lowercase();
    // An answer about another name is no answer.
    if said != name && idna::domain_to_ascii(&said).ok().as_deref() != Some(name) {
        return None;
    }
    let list = |key: &str| all[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let event = |action: &str| {
        let named =
            |event: &&Value| event["eventAction"].as_str().is_some_and(|a| a.eq_ignore_ascii_case(action));
        let date = list("events").iter().find(named)?["eventDate"].as_str()?;
        Some((dates::read(date), date.to_owned()))
    };
    let end = event("expiration").or_else(|| event("registrar expiration"));
    let mut out = Registration {
        name: name.to_owned(),
        created: event("registration").and_then(|(date, _)| date),
        expires: end.as_ref().and_then(|(date, _)| *date),
        expires_text: end.filter(|(date, _)| date.is_none()).map(|(_, text)| text),
        source: "rdap",
        ..Registration::default()
    };
    list("status").iter().filter_map(Value::as_str).take(64).for_each(|state| out.add_state(state));
    let servers = list("nameservers").iter().filter_map(|server| server["ldhName"].as_str());
    out.name_servers = servers.take(16).map(|s| s.trim_end_matches('.').to_ascii_lowercase()).collect();
    entities(&all, 0, &mut |role, entity| match role {
        "registrar" if out.registrar.is_none() => {
            out.registrar = vcard(entity, "fn").or_else(|| vcard(entity, "org"))
        }
        "registrant" if out.registrant_email.is_none() => out.registrant_email = vcard(entity, "email"),
        _ => {}
    });
    Some(out)
}

/// Every entity with each of its roles, three levels deep.
fn entities(object: &Value, depth: usize, see: &mut dyn FnMut(&str, &Value)) {
    for entity in object["entities"].as_array().into_iter().flatten().take(64) {
        for role in entity["roles"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            see(role, entity);
        }
        if depth < 2 {
            entities(entity, depth + 1, see);
        }
    }
}

/// A property of an entity's jCard (RFC 7095) as text.
fn vcard(entity: &Value, property: &str) -> Option<String> {
    let properties = entity["vcardArray"].as_array()?.get(1)?.as_array()?;
    let found = properties.iter().take(64).find(|p| p[0].as_str() == Some(property))?;
    let text = found[3].as_str()?.trim();
    (!text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// IANA's list: suffixes and the addresses of who serves them.
#[derive(Debug, Default)]
pub struct Bootstrap(Vec<(String, String)>);

impl Bootstrap {
    /// Reads the list. `None` for what is none.
    pub fn read(body: &[u8]) -> Option<Self> {
        let all: Value = serde_json::from_slice(body).ok()?;
        let mut out = Vec::new();
        for service in all["services"].as_array()? {
            let (suffixes, addresses) = (service.get(0)?.as_array()?, service.get(1)?.as_array()?);
            let addresses = || addresses.iter().filter_map(Value::as_str);
            // https before anything else, where there is a choice.
            let address = addresses().find(|a| a.starts_with("https://")).or_else(|| addresses().next());
            let Some(address) = address else { continue };
            let address = format!("{}/", address.trim_end_matches('/'));
            for suffix in suffixes.iter().filter_map(Value::as_str) {
                out.push((suffix.trim_matches('.').to_ascii_lowercase(), address.clone()));
            }
        }
        Some(Self(out))
    }

    /// Who serves this name: the longest suffix that fits (RFC 9224 section 4).
    pub fn server(&self, name: &str) -> Option<&str> {
        let fits = |suffix: &str| {
            suffix.is_empty()
                || name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let best = self.0.iter().filter(|(suffix, _)| fits(suffix)).max_by_key(|(suffix, _)| suffix.len());
        best.map(|(_, address)| address.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_a_name() {
        let list = br#"{"version": "1.0", "services": [
            [["com", "net"], ["http://rdap.example/com", "https://rdap.example/com/v1/"]],
            [["UK"], ["https://rdap.example/uk"]], [["co.uk"], ["https://rdap.example/couk"]], [["x"], []]]}"#;
        let list = Bootstrap::read(list).unwrap();
        for (name, expected) in [
            ("example.com", Some("https://rdap.example/com/v1/")),
            ("example.co.uk", Some("https://rdap.example/couk/")),
            ("example.uk", Some("https://rdap.example/uk/")),
            ("examplecom", None),
            ("a.xcom", None),
            ("a.x", None),
        ] {
            assert_eq!(list.server(name), expected, "{name}");
        }
        for text in ["", "[]", "{}", "{\"services\": [1]}", "{\"services\": [[\"com\", \"x\"]]}"] {
            assert!(Bootstrap::read(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_domain_object() {
        let text = r#"{"objectClassName": "domain", "ldhName": "Example.COM", "status": ["server hold", "auto renew period"],
            "events": [{"eventAction": "registration", "eventDate": "2001-02-03T00:00:00Z"},
                       {"eventAction": "expiration", "eventDate": "2027-03-01T08:30:00.0Z"}],
            "nameservers": [{"ldhName": "NS1.example.net."}],
            "entities": [{"roles": ["registrar"], "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Good Names"]]],
                          "entities": [{"roles": ["abuse"]}]},
                         {"roles": ["registrant"], "vcardArray": ["vcard", [["email", {}, "text", "a@example.com"]]]}]}"#;
        let found = read(text.as_bytes(), "example.com").unwrap();
        assert_eq!(found.expires.unwrap().to_string(), "2027-03-01T08:30:00Z");
        assert_eq!(found.status, ["serverHold", "autoRenewPeriod"]);
        assert_eq!(found.registrar.as_deref(), Some("Good Names"));
        assert_eq!(found.registrant_email.as_deref(), Some("a@example.com"));
        assert_eq!(found.name_servers, ["ns1.example.net"]);
        for (text, name) in [
            (text, "other.com"),
            ("{\"objectClassName\": \"entity\"}", "example.com"),
            ("{\"errorCode\": 404}", "example.com"),
            ("", "example.com"),
            ("[]", "example.com"),
        ] {
            assert!(read(text.as_bytes(), name).is_none(), "{name}");
        }
        // Types that are wrong are as good as nothing.
        let odd = r#"{"objectClassName": "domain", "ldhName": 7, "status": {}, "events": [1, {"eventAction": "expiration", "eventDate": 5}],
            "entities": [{"roles": "registrar", "vcardArray": [[]]}, 7], "nameservers": "x"}"#;
        let odd = read(odd.as_bytes(), "a.test").unwrap();
        assert_eq!((odd.expires, odd.status.len(), odd.registrar), (None, 0, None));
        assert!(read("[".repeat(100_000).as_bytes(), "a.test").is_none());
    }
}
