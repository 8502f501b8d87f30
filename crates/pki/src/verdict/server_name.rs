//! The name a client wants to reach, and whether a certificate is for it (RFC 9525).
//!
//! Only subjectAltName counts; the commonName has not counted since RFC 2818's days ended (RFC 9525 section
//! 2). Names that are not ASCII are refused: whoever asks has the A-label, and guessing is how homographs win.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::certificate::Certificate;
use crate::extension::GeneralName;

/// A DNS name or an address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ServerName {
    /// A DNS name: lower case, without the final dot.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Text that is neither a DNS name nor an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAServerName;

impl fmt::Display for NotAServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a DNS name (in ASCII) nor an address")
    }
}
impl std::error::Error for NotAServerName {}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl FromStr for ServerName {
    type Err = NotAServerName;

    fn from_str(text: &str) -> Result<Self, NotAServerName> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Ip(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if is_host(name.as_bytes()) { Ok(Self::Dns(name)) } else { Err(NotAServerName) }
    }
}

/// Whether these are labels of letters, digits, hyphens and underscores, the last not all digits.
pub(super) fn is_host(name: &[u8]) -> bool {
    let fine = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    };
    let last = name.rsplit(|octet| *octet == b'.').next().unwrap_or(name);
    name.len() <= 253 && name.split(|octet| *octet == b'.').all(fine) && !last.iter().all(u8::is_ascii_digit)
}

impl ServerName {
    /// Whether the certificate is for this name.
    pub fn is_named_by(&self, certificate: &Certificate<'_>) -> bool {
        certificate.subject_alt_names().any(|name| self.is_presented_as(&name))
    }

    fn is_presented_as(&self, name: &GeneralName<'_>) -> bool {
        match (self, name) {
            (Self::Dns(wanted), GeneralName::Dns(presented)) => dns_matches(wanted.as_bytes(), presented),
            (Self::Ip(IpAddr::V4(wanted)), GeneralName::Ip(presented)) => wanted.octets() == *presented,
            (Self::Ip(IpAddr::V6(wanted)), GeneralName::Ip(presented)) => wanted.octets() == *presented,
            _ => false,
        }
    }
}

/// RFC 9525 section 6.3: equal but for case, or a wildcard for exactly the leftmost label. As browsers and
/// rustls do, at least two labels must follow the wildcard: nobody may be given `*.com`.
fn dns_matches(wanted: &[u8], presented: &[u8]) -> bool {
    match presented.strip_prefix(b"*.") {
        None => is_host(presented) && presented.eq_ignore_ascii_case(wanted),
        Some(parent) => {
            let mut labels = wanted.splitn(2, |octet| *octet == b'.');
            let rest = (labels.next(), labels.next()).1;
            is_host(parent)
                && parent.contains(&b'.')
                && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(parent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str, presented: &str, expected: bool) {
        let name: ServerName = wanted.parse().expect("a server name");
        assert_eq!(
            name.is_presented_as(&GeneralName::Dns(presented.as_bytes())),
            expected,
            "{wanted} {presented}"
        );
    }

    #[test]
    fn dns_names() {
        check("example.com", "example.com", true);
        check("EXAMPLE.com.", "Example.COM", true);
        check("example.com", "example.com.", false);
        check("example.com", "example.com\0.evil.example", false);
        check("a.example.com", "*.example.com", true);
        check("a.b.example.com", "*.example.com", false);
        check("example.com", "*.example.com", false);
        check("example.com", "*.com", false);
        check("a.example.com", "a*.example.com", false);
        check("a.example.com", "a.*.com", false);
        check("a.example.com", "*", false);
        check("a.example.com", "*.*.com", false);
        check("xn--bcher-kva.example.com", "*.example.com", true);
        check("192.0.2.1", "192.0.2.1", false);
    }

    #[test]
    fn addresses() {
        let name: ServerName = "[2001:db8::1]".parse().expect("an address");
        let octets = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(name.is_presented_as(&GeneralName::Ip(&octets)));
        assert!(!name.is_presented_as(&GeneralName::Ip(&octets[..4])));
        assert_eq!("192.0.2.1".parse(), Ok(ServerName::Ip(IpAddr::from([192, 0, 2, 1]))));
    }

    #[test]
    fn no_names() {
        for text in ["", ".", "a..b", "bücher.example", "*.example.com", "-a.example", "1.2.3.4.5", "a b"] {
            assert_eq!(text.parse::<ServerName>(), Err(NotAServerName), "{text}");
        }
    }
}
