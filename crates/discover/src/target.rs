//! What a user may name as a target, read once at the edge.
//!
//! Text in, a [`Target`] out, or a sentence with a hint. Nothing is opened, resolved or connected here.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use notafter_core::location::Location;
use notafter_wire::starttls::Protocol;

use crate::sources;

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This host: its listening ports.
    ThisHost,
    /// Servers on the network.
    Network(NetworkTarget),
    /// A file or a folder.
    Path(PathBuf),
    /// What a source of [`crate::sources::SOURCES`] takes: its name, and the whole text.
    Worded(&'static str, String),
}

/// Servers on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkTarget {
    /// Who.
    pub hosts: Hosts,
    /// On which ports; `None`: the ones chosen for the scan.
    pub ports: Option<Vec<PortRange>>,
    /// How TLS begins; `None`: as the port and the server say.
    pub start: Option<Start>,
    /// The name to send instead of the host's own.
    pub sni: Option<String>,
}

/// How TLS begins on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Tls,
    /// After this protocol's own request.
    Starttls(Protocol),
}

/// One name or a run of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// A DNS name, in its ASCII form, lower case.
    Name(String),
    /// Addresses from the first to the last, both included.
    Addresses(AddressRange),
}

/// A run of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The first address.
    pub first: IpAddr,
    /// The last address, not before the first and of the same family.
    pub last: IpAddr,
}

/// Ports from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first port, never 0.
    pub first: u16,
    /// The last port, not before the first.
    pub last: u16,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTarget {
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for NoTarget {}

fn wrong<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, NoTarget> {
    Err(NoTarget { message: message.into(), hint: hint.into() })
}

/// Schemes of targets that a later version understands.
const RESERVED: &[&str] = &["ct", "k8s", "aws", "azure", "gcp", "vault"];

/// Schemes whose servers speak TLS from the first byte, and their ports (IANA).
const IMPLICIT: &[(&str, Option<u16>)] = &[
    ("tls", None),
    ("https", Some(443)),
    ("wss", Some(443)),
    ("smtps", Some(465)),
    ("submissions", Some(465)),
    ("nntps", Some(563)),
    ("ldaps", Some(636)),
    ("dot", Some(853)),
    ("ftps", Some(990)),
    ("imaps", Some(993)),
    ("pop3s", Some(995)),
    ("sips", Some(5061)),
    ("amqps", Some(5671)),
    ("ircs", Some(6697)),
    ("mqtts", Some(8883)),
    ("rediss", Some(6379)),
];

/// The ports looked at when none are named. No printer and no control-system port is among them: some
/// of those devices fall over when spoken to.
pub const COMMON_PORTS: &[u16] = &[
    21, 25, 110, 119, 143, 389, 443, 465, 563, 587, 636, 853, 989, 990, 993, 994, 995, 1433, 2376, 2379,
    2380, 3269, 3306, 3389, 4190, 4433, 5061, 5222, 5223, 5269, 5349, 5432, 5671, 6379, 6443, 6514, 6667,
    6697, 8443, 8883, 9443, 10250,
];

impl Target {
    /// Reads a target. `exists` says whether a path is there: a bare word that names an existing file is
    /// that file, unless it could only be a host.
    ///
    /// # Errors
    /// A sentence and a hint, when the text is no target.
    pub fn parse(text: &str, exists: impl Fn(&str) -> bool) -> Result<Self, NoTarget> {
        if text.is_empty() {
            return wrong("a target is empty", "name a host, a range, a file or a folder");
        }
        if let Some(path) = text.strip_prefix("file://") {
            // As our own output writes it: percent-encoded, and an entry of a file means the file.
            let printed = Location::parse(text).and_then(|l| l.path());
            let path = printed.map_or_else(|| PathBuf::from(path), |p| PathBuf::from(OsString::from_vec(p)));
            return Ok(Self::Path(path));
        }
        if text.starts_with(['/', '.', '~']) || text.contains('\\') {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        // Before `://` is looked for: some of them have an address behind their colon, as in `vault:https://...`.
        let word = text.split_once(':').map(|(word, _)| word.to_ascii_lowercase());
        if let Some(kind) = word.as_deref().and_then(sources::of_word) {
            return Ok(Self::Worded(kind.name, text.to_owned()));
        }
        if let Some(scheme) = word.filter(|word| RESERVED.contains(&word.as_str())) {
            return wrong(format!("targets of the kind `{scheme}:` are not read yet"), "not in this version");
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Self::with_scheme(&scheme.to_ascii_lowercase(), rest);
        }
        if text == "localhost" {
            return Ok(Self::ThisHost);
        }
        let is_address = text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if !is_address && exists(text) {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        let (hosts, ports) = host_and_ports(text)?;
        Ok(Self::Network(NetworkTarget { hosts, ports, start: None, sni: None }))
    }

    fn with_scheme(scheme: &str, rest: &str) -> Result<Self, NoTarget> {
        if scheme == "nats" {
            return wrong("targets of the kind `nats://` are not read yet", "not in this version");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let sni = rest.split_once("?sni=").map(|(_, name)| name.split(['&', '#']).next().unwrap_or(name));
        let (start, port) = if let Some((_, port)) = IMPLICIT.iter().find(|(s, _)| *s == scheme) {
            (Start::Tls, *port)
        } else if let Ok(protocol) = scheme.parse::<Protocol>() {
            (Start::Starttls(protocol), Some(protocol.default_port()))
        } else {
            let mut known: Vec<_> = IMPLICIT.iter().map(|(s, _)| *s).collect();
            known.extend(Protocol::ALL.iter().map(|p| p.name()));
            return wrong(
                format!("`{scheme}://` is not a scheme that leads to a certificate"),
                format!("known are {}, and a plain host:port", known.join(" ")),
            );
        };
        let (hosts, ports) = host_and_ports(authority)?;
        let ports = ports.or_else(|| port.map(|p| vec![PortRange { first: p, last: p }]));
        let sni = sni.map(host_name).transpose()?;
        Ok(Self::Network(NetworkTarget { hosts, ports, start: Some(start), sni }))
    }
}

/// Splits `host`, `host:ports`, `[::1]:ports`, `a.b.c.d/n:ports`, `first-last:ports`.
fn host_and_ports(text: &str) -> Result<(Hosts, Option<Vec<PortRange>>), NoTarget> {
    let (host, ports) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, after)) = rest.split_once(']') else {
            return wrong(format!("`{text}` has no closing bracket"), "write [address]:port");
        };
        match after.strip_prefix(':') {
            Some(ports) => (host, Some(ports)),
            None if after.is_empty() => (host, None),
            None => (text, None),
        }
    } else if text.matches(':').count() > 1 {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, ports)) => (host, Some(ports)),
            None => (text, None),
        }
    };
    Ok((hosts(host)?, ports.map(parse_ports).transpose()?))
}

fn hosts(text: &str) -> Result<Hosts, NoTarget> {
    let bare = text.trim_matches(['[', ']']);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(Hosts::Addresses(AddressRange { first: ip, last: ip }));
    }
    if let Some((base, prefix)) = text.split_once('/') {
        let base = base.trim_matches(['[', ']']);
        return match (base.parse::<IpAddr>(), prefix.parse::<u8>()) {
            (Ok(ip), Ok(length)) if length <= bits(ip) => Ok(Hosts::Addresses(network(ip, length))),
            (Err(_), _) => wrong(
                format!("`{text}` is neither a file that exists nor a network"),
                "write ./ in front of a path, or an address and a prefix length, like 10.0.0.0/24",
            ),
            _ => wrong(
                format!("`{text}` is no network"),
                "write an address and a prefix length, like 10.0.0.0/24",
            ),
        };
    }
    if let Some((first, last)) = text.split_once('-')
        && let Ok(first) = first.parse::<IpAddr>()
    {
        // `10.0.0.1-10.0.0.50`, or `10.0.0.1-50` as nmap writes it.
        let last = match (last.parse::<IpAddr>(), last.parse::<u8>(), first) {
            (Ok(last), ..) => Some(last),
            (_, Ok(octet), IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                Some(IpAddr::V4(Ipv4Addr::new(a, b, c, octet)))
            }
            _ => None,
        };
        return match last {
            Some(last) if last.is_ipv4() == first.is_ipv4() && last >= first => {
                Ok(Hosts::Addresses(AddressRange { first, last }))
            }
            _ => wrong(format!("`{text}` is no range"), "write first-last, the lower address first"),
        };
    }
    host_name(text).map(Hosts::Name)
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn network(ip: IpAddr, length: u8) -> AddressRange {
    match ip {
        IpAddr::V4(ip) => {
            let rest = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let first = ip.to_bits() & !rest;
            AddressRange {
                first: IpAddr::V4(Ipv4Addr::from_bits(first)),
                last: IpAddr::V4(Ipv4Addr::from_bits(first | rest)),
            }
        }
        IpAddr::V6(ip) => {
            let rest = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            let first = ip.to_bits() & !rest;
            AddressRange {
                first: IpAddr::V6(Ipv6Addr::from_bits(first)),
                last: IpAddr::V6(Ipv6Addr::from_bits(first | rest)),
            }
        }
    }
}

impl AddressRange {
    /// How many addresses, saturating.
    pub fn len(&self) -> u64 {
        match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u64::from(b.to_bits() - a.to_bits()) + 1,
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                u64::try_from(b.to_bits() - a.to_bits()).unwrap_or(u64::MAX).saturating_add(1)
            }
            _ => 0,
        }
    }

    /// Never: a range has at least one address.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The n-th address, from 0.
    pub fn nth(&self, n: u64) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits().wrapping_add(n as u32))),
            IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from_bits(first.to_bits().wrapping_add(u128::from(n)))),
        }
    }

    /// Is this address in it?
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.first.is_ipv4() && ip >= self.first && ip <= self.last
    }

    /// Does it reach beyond one /24 (or one /64... counted as 256 addresses) of the public Internet?
    pub fn is_wide_and_public(&self) -> bool {
        self.len() > 256 && !(is_private(self.first) && is_private(self.last))
    }
}

/// Not of the public Internet: loopback, private use, link local, shared, documentation.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_documentation()
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.segments()[..2] == [0x2001, 0xdb8]
        }
    }
}

/// Reads `443`, `443,8443`, `1-1024,8443`.
///
/// # Errors
/// When a part is no port or no range.
pub fn parse_ports(text: &str) -> Result<Vec<PortRange>, NoTarget> {
    let port = |t: &str| t.trim().parse::<u16>().ok().filter(|p| *p > 0);
    let mut out = Vec::new();
    for part in text.split(',') {
        let range = match part.split_once('-') {
            Some((first, last)) => port(first).zip(port(last)).filter(|(a, b)| a <= b),
            None => port(part).map(|p| (p, p)),
        };
        let Some((first, last)) = range else {
            return wrong(
                format!("`{part}` is no port"),
                "write ports from 1 to 65535, like 443, 443,8443 or 1-1024",
            );
        };
        out.push(PortRange { first, last });
    }
    Ok(out)
}

/// Checks a host name and gives its ASCII form.
fn host_name(text: &str) -> Result<String, NoTarget> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let ascii = if bare.is_ascii() {
        bare.to_ascii_lowercase()
    } else {
        match idna::domain_to_ascii(bare) {
            Ok(ascii) => ascii,
            Err(_) => return wrong(format!("`{text}` is no internationalised name"), "check its spelling"),
        }
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // All digits and dots would be an address that is not one, like 10.0.0 or 256.1.1.1.
    let numeric = ascii.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if ascii.is_empty() || ascii.len() > 253 || numeric || !ascii.split('.').all(label) {
        return wrong(
            format!("`{text}` is neither a host, nor an address, nor an existing file"),
            "write a host like example.com, an address like 10.0.0.5, a range like 10.0.0.0/24, or a path like ./certs",
        );
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network_of(text: &str) -> NetworkTarget {
        match Target::parse(text, |_| false) {
            Ok(Target::Network(target)) => target,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn check(text: &str, hosts: &str, ports: &str) {
        let target = network_of(text);
        let shown = match &target.hosts {
            Hosts::Name(name) => name.clone(),
            Hosts::Addresses(r) if r.first == r.last => r.first.to_string(),
            Hosts::Addresses(r) => format!("{}-{}", r.first, r.last),
        };
        let shown_ports: Vec<_> =
            target.ports.iter().flatten().map(|r| format!("{}-{}", r.first, r.last)).collect();
        assert_eq!((shown.as_str(), shown_ports.join(",").as_str()), (hosts, ports), "{text}");
    }

    #[test]
    fn every_form_of_the_guide() {
        check("example.com", "example.com", "");
        check("Example.COM.:8443", "example.com", "8443-8443");
        check("https://host/path?x=1", "host", "443-443");
        check("10.0.0.0/24", "10.0.0.0-10.0.0.255", "");
        check("10.0.0.7/24:443,8443", "10.0.0.0-10.0.0.255", "443-443,8443-8443");
        check("10.0.0.1-10.0.0.50:1-1024", "10.0.0.1-10.0.0.50", "1-1024");
        check("10.0.0.1-50", "10.0.0.1-10.0.0.50", "");
        check("[::1]:8443", "::1", "8443-8443");
        check("::1", "::1", "");
        check("fd00::/120", "fd00::-fd00::ff", "");
        check("smtp://mail:25", "mail", "25-25");
        check("smtp://mail", "mail", "25-25");
        check("ldaps://dir", "dir", "636-636");
        check("bücher.example", "xn--bcher-kva.example", "");
        check("127.0.1.0/28:18000-18999", "127.0.1.0-127.0.1.15", "18000-18999");
        check("0.0.0.0/0", "0.0.0.0-255.255.255.255", "");
        let sni = network_of("tls://10.0.0.5:8443?sni=api.example.com");
        assert_eq!((sni.sni.as_deref(), sni.start), (Some("api.example.com"), Some(Start::Tls)));
        assert_eq!(network_of("xmpp-server://x").start, Some(Start::Starttls(Protocol::XmppServer)));
    }

    #[test]
    fn files_and_this_host() {
        for (text, exists, expected) in [
            ("/etc", false, Target::Path("/etc".into())),
            ("./api.p12", false, Target::Path("./api.p12".into())),
            ("api.p12", true, Target::Path("api.p12".into())),
            ("file:///etc/x", false, Target::Path("/etc/x".into())),
            ("file:///srv/a%20b.pem#2", false, Target::Path("/srv/a b.pem".into())),
            ("localhost", false, Target::ThisHost),
        ] {
            assert_eq!(Target::parse(text, |_| exists), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_have_hints() {
        for text in [
            "",
            "256.1.1.1",
            "10.0.0",
            "host:0",
            "host:70000",
            "host:9-3",
            "10.0.0.9-10.0.0.1",
            "10.0.0.0/33",
            "[::1",
            "a b",
            "-x-.",
            "http://x",
            "gopher://x",
            "k8s:prod",
            "ex..ample",
            "$(x)",
            "a;b",
        ] {
            let error = Target::parse(text, |_| false).expect_err(text);
            assert!(!error.message.is_empty() && !error.hint.is_empty(), "{text}");
        }
        assert_eq!(Target::parse("vault:x", |_| false).unwrap_err().hint, "not in this version");
    }

    #[test]
    fn ranges_count_and_index() {
        let range = network("10.0.0.0".parse().unwrap(), 8);
        assert_eq!((range.len(), range.nth(256).to_string().as_str()), (1 << 24, "10.0.1.0"));
        assert!(!range.is_wide_and_public());
        assert!(network("8.0.0.0".parse().unwrap(), 23).is_wide_and_public());
        assert!(!network("8.8.8.0".parse().unwrap(), 24).is_wide_and_public());
        assert_eq!(network("::".parse().unwrap(), 0).len(), u64::MAX);
    }
}
