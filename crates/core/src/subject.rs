//! What can be judged, by a key that outlives the run: what the store remembers verdicts under.
//!
//! Prints and parses as one line. It is only a name; the thing itself is gathered by `engine/assess.rs`.

use std::fmt;

use crate::Fingerprint;
use crate::location::Location;

/// The key of a subject.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SubjectKey {
    /// An asset, by its identity.
    Asset(Fingerprint),
    /// A server name on one port, at all its addresses.
    Name {
        /// `tls`, `smtp`, ...
        scheme: String,
        /// The port.
        port: u16,
        /// The name sent.
        name: String,
    },
    /// A private key at a place.
    Key(Location),
    /// A place that could not be seen.
    Blind(Location),
    /// A source, by its name in the configuration.
    Source(String),
    /// An owner, by name.
    Owner(String),
    /// What ends of one owner's, by day; without an owner, what is nobody's.
    Crowd(Option<String>),
    /// This server itself: its clock, its memory.
    Server,
}

impl SubjectKey {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "server" => return Some(Self::Server),
            "crowd" => return Some(Self::Crowd(None)),
            _ => {}
        }
        let (what, rest) = text.split_once(' ')?;
        Some(match what {
            "asset" => Self::Asset(rest.parse().ok()?),
            "name" => {
                let mut parts = rest.splitn(3, ' ');
                let scheme = parts.next()?.to_owned();
                let port = parts.next()?.parse().ok()?;
                Self::Name { scheme, port, name: parts.next()?.to_owned() }
            }
            "key" => Self::Key(Location::parse(rest)?),
            "blind" => Self::Blind(Location::parse(rest)?),
            "source" => Self::Source(rest.to_owned()),
            "owner" => Self::Owner(rest.to_owned()),
            "crowd" => Self::Crowd(Some(rest.to_owned())),
            _ => return None,
        })
    }
}

impl fmt::Display for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset(id) => write!(f, "asset {id}"),
            Self::Name { scheme, port, name } => write!(f, "name {scheme} {port} {name}"),
            Self::Key(location) => write!(f, "key {location}"),
            Self::Blind(location) => write!(f, "blind {location}"),
            Self::Source(name) => write!(f, "source {name}"),
            Self::Owner(name) => write!(f, "owner {name}"),
            Self::Crowd(None) => f.write_str("crowd"),
            Self::Crowd(Some(owner)) => write!(f, "crowd {owner}"),
            Self::Server => f.write_str("server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_and_parses_the_same() {
        let location = Location::parse("tls://127.0.0.1:443?sni=a.test").unwrap();
        for key in [
            SubjectKey::Asset(Fingerprint([7; 32])),
            SubjectKey::Name { scheme: "tls".into(), port: 443, name: "a.test".into() },
            SubjectKey::Key(location.clone()),
            SubjectKey::Blind(location),
            SubjectKey::Source("this host".into()),
            SubjectKey::Owner("web".into()),
            SubjectKey::Server,
        ] {
            assert_eq!(SubjectKey::parse(&key.to_string()), Some(key));
        }
        assert_eq!(SubjectKey::parse("asset x"), None);
    }
}
