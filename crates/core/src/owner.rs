//! Who answers for a place: the first rule that matches it.
//!
//! The words are those of `[[owner]]` in interface.md: `name:*.example.com`, `location:10.0.3.0/24`,
//! `path:/etc/nginx/**`. Notification is not here.

use std::net::IpAddr;

use crate::glob;
use crate::location::Location;
use crate::query::NamePattern;

/// One owner and what is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner's name.
    pub name: String,
    /// What is theirs; any one that matches suffices.
    pub matches: Vec<Match>,
    /// Answers for everything that nobody else does.
    pub default: bool,
    /// How many days this owner needs to replace something: a warning comes at least so early.
    pub needs_days: Option<u32>,
}

/// One thing an owner can be known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// A DNS name in the certificate or the one asked for; `*.` in front matches one label or more, `**.` none as well.
    Name(NamePattern),
    /// Addresses: base and prefix length.
    Network(IpAddr, u8),
    /// A location by how it begins, up to the end of one of its parts (`tls://10.0.0.5:8443`).
    Location(String),
    /// A path; `*` matches within a segment, `**` across segments.
    Path(String),
}

impl Match {
    /// Does it speak of this DNS name? Places and paths speak of none.
    pub fn covers_name(&self, name: &str) -> bool {
        matches!(self, Self::Name(pattern) if pattern.covers(name))
    }

    /// Reads `name:`, `location:` or `path:` and what follows.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` has no key: write name:, location: or path: in front"))?;
        match key {
            "name" => NamePattern::read(value).map(Self::Name).ok_or_else(|| {
                format!(
                    "`{value}`: a * stands in front alone, for whole labels: *.example.com, or **.example.com for it and those below"
                )
            }),
            "path" => Ok(Self::Path(value.to_owned())),
            "location" => {
                let (base, prefix) = value.split_once('/').unwrap_or((value, ""));
                match base.trim_matches(['[', ']']).parse::<IpAddr>() {
                    Ok(ip) => {
                        let bits = if ip.is_ipv4() { 32 } else { 128 };
                        let length = if prefix.is_empty() { Some(bits) } else { prefix.parse().ok() };
                        let length = length.filter(|l| *l <= bits);
                        length.map(|l| Self::Network(ip, l)).ok_or_else(|| format!("`{value}` is no network"))
                    }
                    Err(_) => Ok(Self::Location(value.to_owned())),
                }
            }
            _ => Err(format!("`{key}` is not known: use name, location or path")),
        }
    }

    /// Is a place, of something with these names, among them?
    pub fn covers(&self, names: &[String], location: &Location) -> bool {
        match self {
            Self::Name(pattern) => {
                names.iter().any(|n| pattern.covers(n)) || location.sni().is_some_and(|n| pattern.covers(n))
            }
            Self::Network(base, length) => location.ip().is_some_and(|ip| in_network(ip, *base, *length)),
            Self::Location(prefix) => location.as_str().strip_prefix(prefix.as_str()).is_some_and(|rest| {
                // `tls://10.0.4.9` is not `tls://10.0.4.90`: what was written ends where a part of the place does.
                let boundary = |c: char| matches!(c, ':' | '/' | '?' | '#' | '!' | '@' | '&');
                rest.is_empty() || rest.starts_with(boundary) || !prefix.ends_with(char::is_alphanumeric)
            }),
            Self::Path(pattern) => {
                location.path().is_some_and(|path| glob::matches(pattern.as_bytes(), &path))
            }
        }
    }
}

/// The owner of an asset with these names at these places: the first rule that matches any of them,
/// else the default one.
pub fn owner_of<'a>(owners: &'a [Owner], names: &[String], locations: &[Location]) -> Option<&'a Owner> {
    let covers = |o: &Owner, l: &Location| o.matches.iter().any(|m| m.covers(names, l));
    let first = owners.iter().find(|o| locations.iter().any(|l| covers(o, l)));
    first.or_else(|| owners.iter().find(|o| o.default))
}

fn in_network(ip: IpAddr, base: IpAddr, length: u8) -> bool {
    match (ip, base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            ip.to_bits() & mask == base.to_bits() & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(base)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            ip.to_bits() & mask == base.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, location: &str, expected: bool) {
        let owner = Owner {
            name: "web".into(),
            matches: vec![Match::parse(rule).unwrap()],
            default: false,
            needs_days: None,
        };
        let location = Location::parse(location).unwrap();
        let found = owner_of(std::slice::from_ref(&owner), &["api.example.com".into()], &[location]);
        assert_eq!(found.is_some(), expected, "{rule}");
    }

    #[test]
    fn rules() {
        check("name:*.example.com", "file:///x", true);
        check("name:example.com", "file:///x", false);
        check("name:*.other.test", "tls://10.0.0.1:443?sni=a.b.other.test", true);
        check("location:10.0.3.0/24", "tls://10.0.3.9:443", true);
        check("location:10.0.3.0/24", "tls://10.0.4.9:443", false);
        check("location:tls://10.0.4.9", "tls://10.0.4.9:443", true);
        check("location:tls://10.0.4.9", "tls://10.0.4.90:443", false);
        check("location:tls://10.0.4.9:443", "tls://10.0.4.9:443?sni=a.test", true);
        check("location:tls://10.0.4.9:44", "tls://10.0.4.9:443", false);
        check("location:tls://10.0.4.", "tls://10.0.4.9:443", true);
        check("location:tls://[::1]", "tls://[::1]:443", true);
        check("location:file:///etc/ng", "file:///etc/nginx/a.pem", false);
        check("location:file:///etc/nginx", "file:///etc/nginx/a.pem", true);
        check("path:/etc/nginx/**", "file:///etc/nginx/a/b.pem#2", true);
        check("path:/etc/*.pem", "file:///etc/nginx/b.pem", false);
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(Match::parse("10.0.0.0/24").unwrap_err().contains("name:, location: or path:"));
        assert!(Match::parse("location:10.0.0.0/240").is_err());
        assert!(Match::parse("name:node*.example.com").unwrap_err().contains("whole labels"));
    }
}
