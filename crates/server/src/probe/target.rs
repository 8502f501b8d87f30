//! What a probe is asked for: the target and the module, read into one canonical line, and the places that
//! are never looked at.
//!
//! Nothing is guessed: a host is a plain address or a plain name. Other spellings of an address (decimal,
//! octal, hexadecimal, short, percent-encoded, full-width digits) are refused rather than understood,
//! because the next program in the row might understand them otherwise (F31).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use notafter_wire::starttls::Protocol;

/// A module: what kind of look, and ssl_exporter's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    Tls(&'static str),
    Starttls(Protocol),
    File,
}

/// What a probe is asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// In the words of `scan`: `tls://host:443`, `smtp://mail:25`, `file:///etc/x.pem`.
    pub(crate) target: String,
    /// The protocol whose STARTTLS is used.
    pub(crate) starttls: Option<&'static str>,
    /// ssl_exporter's name of the prober: `tcp`, `https`, `file`.
    pub(crate) prober: &'static str,
}

/// Why a target is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be understood.
    Wrong {
        /// What is wrong.
        detail: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
    /// It is where a cloud keeps the machine's credentials.
    Metadata,
}

fn wrong(detail: &'static str, hint: &'static str) -> Refusal {
    Refusal::Wrong { detail, hint }
}

const WRITE_TARGET: &str = "write example.com:443, https://example.com/ or [2001:db8::1]:443";
const WRITE_MODULE: &str = "use tcp, https, http_2xx, starttls:smtp (imap, pop3, ldap, ...) or file";

impl Module {
    fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        Some(match name.as_str() {
            "" | "tcp" | "tcp-tls" | "tls" | "tls-connect" | "tcp-connect-tls" | "ssl" => Self::Tls("tcp"),
            "https" | "http" | "http-2xx" | "https-2xx" | "http-post-2xx" => Self::Tls("https"),
            "file" => Self::File,
            other => {
                let plain = other.strip_prefix("starttls:").unwrap_or(other);
                let plain = plain.strip_prefix("tcp-").unwrap_or(plain);
                let plain = plain.strip_suffix("-starttls").unwrap_or(plain);
                Self::Starttls(plain.parse().ok()?)
            }
        })
    }
}

impl Asked {
    /// Reads a target as people write it for either exporter.
    pub(crate) fn parse(target: &str, module: &str, hostname: Option<&str>) -> Result<Self, Refusal> {
        let module = Module::parse(module).ok_or_else(|| wrong("no module is called so", WRITE_MODULE))?;
        if target.is_empty() {
            return Err(wrong("`target` is missing", WRITE_TARGET));
        }
        if target.len() > 4096 || target.chars().any(|c| c.is_control() || c == ' ') {
            return Err(wrong("`target` is no target", WRITE_TARGET));
        }
        match module {
            Module::File => Self::file(target),
            Module::Tls(prober) => Self::endpoint(target, None, prober, hostname),
            Module::Starttls(protocol) => Self::endpoint(target, Some(protocol), "tcp", hostname),
        }
    }

    fn file(target: &str) -> Result<Self, Refusal> {
        let path = target.strip_prefix("file://").unwrap_or(target);
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(wrong("`target` is no absolute path", "write /etc/nginx/api.pem"));
        }
        Ok(Self { target: format!("file://{path}"), starttls: None, prober: "file" })
    }

    fn endpoint(
        target: &str,
        module: Option<Protocol>,
        prober: &'static str,
        hostname: Option<&str>,
    ) -> Result<Self, Refusal> {
        let (scheme, rest) = match target.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), target),
        };
        let by_scheme = scheme.parse::<Protocol>().ok();
        let protocol = match (scheme.as_str(), by_scheme, module) {
            ("" | "https" | "tls" | "tcp" | "ssl", _, module) => module,
            (_, Some(named), Some(module)) if named != module => {
                return Err(wrong("the target and the module name two protocols", "leave one of them out"));
            }
            (_, Some(named), _) => Some(named),
            ("http", ..) => {
                return Err(wrong("http:// has no certificate", "write https://, or host:port"));
            }
            ("file", ..) => return Err(wrong("a file needs its module", "add module=file")),
            _ => return Err(wrong("the target's scheme is not known", WRITE_TARGET)),
        };
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let in_target = tail.split_once("?sni=").map(|(_, name)| name.split('&').next().unwrap_or(""));
        let (host, port) = split(authority)?;
        let host = host_text(host)?;
        let usual = protocol.map_or(443, Protocol::default_port);
        let mut text =
            format!("{}://{host}:{}", protocol.map_or("tls", Protocol::name), port.unwrap_or(usual));
        if let Some(name) = hostname.or(in_target) {
            if !is_name(name) {
                return Err(wrong("the server name is no name", "write letters, digits, dots and hyphens"));
            }
            text.push_str("?sni=");
            text.push_str(&name.to_ascii_lowercase());
        }
        Ok(Self { target: text, starttls: protocol.map(Protocol::name), prober })
    }
}

/// Host and port of an authority. A bare IPv6 address needs no brackets when it has no port.
fn split(authority: &str) -> Result<(&str, Option<u16>), Refusal> {
    let bad = || wrong("`target` names no host and port", WRITE_TARGET);
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Ok((authority, None));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(bad)?;
            host.parse::<Ipv6Addr>().map_err(|_| bad())?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or_else(bad)?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let digits = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
    let port = match port {
        Some(text) if digits(text) => Some(text.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(bad)?),
        Some(_) => return Err(bad()),
        None => None,
    };
    Ok((host, port))
}

/// A host as it is looked at: an address in its one spelling, or a name in lower case.
fn host_text(host: &str) -> Result<String, Refusal> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip {
            ip if is_metadata(ip) => Err(Refusal::Metadata),
            IpAddr::V4(ip) => Ok(ip.to_string()),
            IpAddr::V6(ip) => Ok(format!("[{ip}]")),
        };
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if looks_like_address(&name) {
        return Err(match spelt(&name) {
            Some(ip) if is_metadata(IpAddr::V4(ip)) => Refusal::Metadata,
            _ => wrong("the host is an address in another spelling", "write it as four numbers: 10.0.0.5"),
        });
    }
    if !is_name(&name) {
        return Err(wrong("the host is no name and no address", WRITE_TARGET));
    }
    if METADATA_NAMES.contains(&name.as_str()) {
        return Err(Refusal::Metadata);
    }
    Ok(name)
}

/// A DNS name in ASCII; names in other scripts are written as `xn--`.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}

/// Would a resolver take this for an IPv4 address? It does when the last part is a number.
fn looks_like_address(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// An IPv4 address as `inet_aton` reads it: one to four parts, decimal, octal or hexadecimal.
fn spelt(name: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = name
        .split('.')
        .map(|part| match (part.strip_prefix("0x"), part.strip_prefix('0')) {
            (Some(""), _) => Some(0),
            (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
            (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
            _ => part.parse().ok(),
        })
        .collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - front.len() as u32);
    if *last >= 1_u64 << room {
        return None;
    }
    let mut address = *last;
    for (i, part) in front.iter().enumerate() {
        address |= part << (24 - 8 * i);
    }
    u32::try_from(address).ok().map(Ipv4Addr::from_bits)
}

/// Names under which a cloud's metadata service goes.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
];

/// Where clouds keep the credentials of the machine (AWS, Azure, Google, Oracle, Alibaba, OpenStack, ...):
/// never connected to by a probe, whoever asks. A [`super::Prober`] asks this about every address that a name
/// resolved to.
pub fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let o = ip.octets();
            // The whole of 169.254.169.0/24: time and DNS of AWS are there, too, and nothing of anybody's own.
            o[..3] == [169, 254, 169]
                || [
                    [169, 254, 170, 2],
                    [169, 254, 0, 23],
                    [168, 63, 129, 16],
                    [100, 100, 100, 200],
                    [192, 0, 0, 192],
                ]
                .contains(&o)
        }
        IpAddr::V6(ip) => {
            let own = [
                Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
                Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
                Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
                Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
                Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
            ];
            own.contains(&ip)
                || inside(ip).into_iter().any(|four| is_metadata(IpAddr::V4(four)))
                || through(ip).into_iter().any(is_inner)
        }
    }
}

/// The IPv4 addresses that a translator or a tunnel would bring an IPv6 address to. What lies inside the house has an
/// address of its own: whoever names it in this way wants to get around something.
fn through(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let s = ip.segments();
    // Mapped addresses are the same host by another spelling, and are looked at as that.
    let mapped = s[..5] == [0; 5] && (s[5] == 0xffff || s[5] == 0);
    if mapped { Vec::new() } else { inside(ip) }
}

/// Private, shared, link-local, or this host.
fn is_inner(ip: Ipv4Addr) -> bool {
    let o = ip.octets();
    let shared = o[0] == 100 && o[1] & 0xc0 == 64;
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
}

/// The same as ranges, for an implementation that excludes by range: everything in them is [`is_metadata`], and what a
/// name resolves to is held against them. Teredo (RFC 4380) is here as a whole: nothing is reached by it any more.
pub const NEVER: &[&str] = &[
    "169.254.169.0/24",
    "169.254.170.2",
    "169.254.0.23",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:42::42",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    // Behind NAT64 (RFC 6052): metadata, then what is private; and the prefix for a house's own (RFC 8215).
    "64:ff9b::a83f:8110",
    "64:ff9b::c000:c0",
    "64:ff9b::/104",
    "64:ff9b::a00:0/104",
    "64:ff9b::6440:0/106",
    "64:ff9b::7f00:0/104",
    "64:ff9b::a9fe:0/112",
    "64:ff9b::ac10:0/108",
    "64:ff9b::c0a8:0/112",
    "64:ff9b:1::/48",
    // Behind 6to4 (RFC 3056).
    "2002:a83f:8110::/48",
    "2002:c000:c0::/48",
    "2002::/24",
    "2002:a00::/24",
    "2002:6440::/26",
    "2002:7f00::/24",
    "2002:a9fe::/32",
    "2002:ac10::/28",
    "2002:c0a8::/32",
    "2001::/32",
];

/// The IPv4 addresses that an IPv6 address may lead to.
fn inside(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let s = ip.segments();
    let four = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    let mut out = Vec::new();
    let mapped = s[..5] == [0; 5] && (s[5] == 0xffff || s[5] == 0);
    let translated = s[..2] == [0x64, 0xff9b] || (s[..4] == [0; 4] && s[4] == 0xffff && s[5] == 0);
    if mapped || translated {
        out.push(four(s[6], s[7]));
    }
    if s[0] == 0x2002 {
        out.push(four(s[1], s[2]));
    }
    if s[..2] == [0x2001, 0] {
        // Teredo hides the client's address by turning its bits round; its server stands in the open.
        out.push(four(!s[6], !s[7]));
        out.push(four(s[2], s[3]));
    }
    if s[..3] == [0x64, 0xff9b, 1] {
        // RFC 8215: where in it the address stands is the house's own affair; these are the usual places.
        out.push(four(s[6], s[7]));
        out.push(four(s[3], (s[4] << 8) | (s[5] >> 8)));
    }
    if matches!(s[4], 0 | 0x200) && s[5] == 0x5efe {
        // ISATAP.
        out.push(four(s[6], s[7]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str, module: &str) -> Result<String, Refusal> {
        Asked::parse(text, module, None).map(|asked| asked.target)
    }

    #[test]
    fn targets_as_people_write_them() {
        for (text, module, expected) in [
            ("example.com", "", "tls://example.com:443"),
            ("Example.com.", "tcp", "tls://example.com:443"),
            ("example.com:8443", "tcp_tls", "tls://example.com:8443"),
            ("https://example.com/path?x=1", "http_2xx", "tls://example.com:443"),
            ("https://example.com:8443", "https", "tls://example.com:8443"),
            ("tls://10.0.0.1:443?sni=A.test", "", "tls://10.0.0.1:443?sni=a.test"),
            ("[2001:db8::1]:443", "", "tls://[2001:db8::1]:443"),
            ("[2001:DB8:0::1]", "", "tls://[2001:db8::1]:443"),
            ("2001:db8::1", "", "tls://[2001:db8::1]:443"),
            ("mail.example.com", "smtp_starttls", "smtp://mail.example.com:25"),
            ("mail.example.com:587", "starttls:smtp", "smtp://mail.example.com:587"),
            ("imap://mail.example.com", "", "imap://mail.example.com:143"),
            ("mail.example.com", "imap", "imap://mail.example.com:143"),
            ("/etc/ssl/x.pem", "file", "file:///etc/ssl/x.pem"),
            ("file:///etc/ssl/x.pem", "file", "file:///etc/ssl/x.pem"),
            ("localhost", "", "tls://localhost:443"),
            ("127.0.0.1:4747", "", "tls://127.0.0.1:4747"),
        ] {
            assert_eq!(target(text, module).as_deref(), Ok(expected), "{text} {module}");
        }
        let asked = Asked::parse("10.0.0.1", "smtp_starttls", Some("mail.test")).unwrap();
        assert_eq!(
            (asked.target.as_str(), asked.starttls),
            ("smtp://10.0.0.1:25?sni=mail.test", Some("smtp"))
        );
    }

    #[test]
    fn the_ranges_hold_what_the_addresses_do() {
        // The first address of each range is one that is never looked at; a whole one is there on purpose.
        for range in NEVER {
            let (first, whole) = range.split_once('/').map_or((*range, false), |(first, bits)| {
                (first, ["2001::", "64:ff9b:1::"].contains(&first) && !bits.is_empty())
            });
            let ip: IpAddr = first.parse().unwrap();
            assert!(whole || is_metadata(ip), "{range}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for (text, module) in [
            ("", ""),
            ("example.com", "icmp"),
            ("http://example.com", ""),
            ("gopher://example.com", ""),
            ("file:///etc/passwd", ""),
            ("x.pem", "file"),
            ("/etc/../x", "file"),
            ("user@example.com", ""),
            ("example.com:0", ""),
            ("example.com:65536", ""),
            ("example.com:+1", ""),
            ("example.com:", ""),
            ("exa mple.com", ""),
            ("example.com\n", ""),
            ("exämple.com", ""),
            ("１２７.0.0.1", ""),
            ("127。0。0。1", ""),
            ("%31%32%37.0.0.1", ""),
            ("[::1", ""),
            ("[::1]x", ""),
            ("[fe80::1%eth0]", ""),
            ("..", ""),
            ("smtp://x:25", "imap"),
        ] {
            assert!(matches!(target(text, module), Err(Refusal::Wrong { .. })), "{text:?} {module}");
        }
        assert!(Asked::parse("10.0.0.1", "", Some("a&b")).is_err());
    }

    /// F31: every spelling of the places that are never looked at, and of those that are refused for their
    /// spelling alone.
    #[test]
    fn no_spelling_leads_to_the_metadata_service() {
        for host in [
            "169.254.169.254",
            "169.254.169.254.",
            "169.254.169.254:80",
            "https://169.254.169.254/latest/meta-data",
            "2852039166",
            "0xa9fea9fe",
            "0xA9.0xFE.0xA9.0xFE",
            "0251.0376.0251.0376",
            "169.16689662",
            "169.254.43518",
            "0251.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "169.254.170.2",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "[2002:a9fe:a9fe::1]",
            "[fd00:ec2::254]",
            "[fd00:0ec2:0:0::254]:443",
            "fd00:ec2::254",
            "[fd00:42::42]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b:1::169.254.169.254]",
            "[64:ff9b:1::192.168.0.1]",
            "[2002:c0a8:1::1]",
            "[2002:7f00:1::1]",
            "[2001:0:c000:201:0:0:5601:5601]",
            "[2001:0:a00:1::1]",
            "[2001:db8::5efe:169.254.169.254]",
            "[2001:db8::200:5efe:10.0.0.1]",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "metadata",
        ] {
            assert_eq!(target(host, ""), Err(Refusal::Metadata), "{host}");
        }
        for host in
            ["2130706433", "0", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.1", "999.999.999.999", "1.2.3.0x"]
        {
            assert!(matches!(target(host, ""), Err(Refusal::Wrong { .. })), "{host}");
        }
        for host in [
            "10.0.0.5",
            "192.168.1.1",
            "169.254.1.1",
            "[::1]",
            "[2001:db8::254]",
            "[64:ff9b::192.0.2.1]",
            "[2002:c000:201::1]",
            "[::ffff:10.0.0.1]",
            "a.0x7f.test",
        ] {
            assert!(target(host, "").is_ok(), "{host}");
        }
    }
}
