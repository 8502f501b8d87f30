//! Where an address lies: in the open, inside a house, or where a cloud keeps a machine's credentials; and what an
//! operator allowed.
//!
//! Only what is globally reachable by the IANA special-purpose registries (RFC 6890 and its successors) counts as
//! open: an address that nobody has thought of is inside. IPv6 addresses that a translator or a tunnel brings to an
//! IPv4 address are judged by that, too. Resolves and connects nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::target::{AddressRange, Hosts, NoTarget, PortRange, Target};

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On the public Internet.
    Open,
    /// Loopback, private, shared, link-local, multicast, documentation, reserved.
    Inside,
    /// Where clouds keep the credentials of the machine: never connected to, whatever is allowed.
    Metadata,
}

/// Where this address lies.
pub fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => four(ip),
        IpAddr::V6(ip) => six(ip),
    }
}

fn four(ip: Ipv4Addr) -> Reach {
    let o = ip.octets();
    let metadata = o[..3] == [169, 254, 169]
        || [[169, 254, 170, 2], [169, 254, 170, 23], [169, 254, 0, 23]].contains(&o)
        || [[168, 63, 129, 16], [100, 100, 100, 200], [192, 0, 0, 192]].contains(&o);
    if metadata {
        return Reach::Metadata;
    }
    let inside = matches!(o[0], 0 | 10 | 127 | 224..=255)
        || (o[0] == 100 && o[1] & 0xc0 == 64)
        || o[..2] == [169, 254]
        || (o[0] == 172 && o[1] & 0xf0 == 16)
        || o[..2] == [192, 168]
        || o[..3] == [192, 0, 0]
        || o[..3] == [192, 88, 99]
        || (o[0] == 198 && o[1] & 0xfe == 18)
        || ip.is_documentation();
    if inside { Reach::Inside } else { Reach::Open }
}

fn six(ip: Ipv6Addr) -> Reach {
    let s = ip.segments();
    let metadata = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    ];
    if metadata.contains(&ip) {
        return Reach::Metadata;
    }
    let v4 = |high: u16, low: u16| four(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    // NAT64 (RFC 6052): in a house without IPv4, the whole of the open Internet is behind it.
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return v4(s[6], s[7]);
    }
    // Other spellings of an IPv4 address (compatible, translated, NAT64 of a house's own, 6to4, ISATAP): no server
    // that is meant to be found is named so, and only metadata has to be told from the rest.
    let hidden = if s[0] == 0x2002 { v4(s[1], s[2]) } else { v4(s[6], s[7]) };
    let tunnel = s[..4] == [0; 4] || s[0] == 0x2002 || s[..3] == [0x64, 0xff9b, 1] || s[5] == 0x5efe;
    if tunnel {
        return if hidden == Reach::Metadata { Reach::Metadata } else { Reach::Inside };
    }
    let global = s[0] & 0xe000 == 0x2000;
    // 2001::/23 is for protocols (Teredo, benchmarking, ORCHID); the others are documentation.
    let special =
        (s[0] == 0x2001 && s[1] < 0x200) || s[..2] == [0x2001, 0xdb8] || (s[0] == 0x3fff && s[1] < 0x1000);
    if global && !special { Reach::Open } else { Reach::Inside }
}

/// What an operator allowed beyond the open Internet: whatever a configuration or a command line names itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    names: Vec<(String, Option<Vec<PortRange>>)>,
    ranges: Vec<(AddressRange, Option<Vec<PortRange>>)>,
}

impl Allow {
    /// Allows the server of a web address (its host and its port, nothing else), or what a target names:
    /// `10.0.0.0/8`, `idp.corp.example:8443`, `[::1]:8080`.
    ///
    /// # Errors
    /// A sentence and a hint.
    pub fn add(&mut self, text: &str) -> Result<(), NoTarget> {
        let wrong = || NoTarget {
            message: format!("`{text}` is no address that could be allowed"),
            hint: "write https://host:port/, an address or a range like 10.0.0.0/8".to_owned(),
        };
        let (hosts, ports) = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                let host = url.host_str().ok_or_else(wrong)?;
                let port = url.port_or_known_default().ok_or_else(wrong)?;
                let ports = vec![PortRange { first: port, last: port }];
                match literal(host) {
                    Some(ip) => (Hosts::Addresses(AddressRange { first: ip, last: ip }), Some(ports)),
                    None => (Hosts::Name(host.trim_end_matches('.').to_owned()), Some(ports)),
                }
            }
            _ if text == "localhost" => (Hosts::Name(text.to_owned()), None),
            _ => match Target::parse(text, |_| false)? {
                Target::Network(target) => (target.hosts, target.ports),
                _ => return Err(wrong()),
            },
        };
        match hosts {
            Hosts::Name(name) => self.names.push((name, ports)),
            Hosts::Addresses(range) => self.ranges.push((range, ports)),
        }
        Ok(())
    }

    /// Did the operator name this host with this port? Then it may lie inside.
    pub(super) fn name(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.');
        self.names.iter().any(|(name, ports)| name.eq_ignore_ascii_case(host) && within(ports, port))
    }

    /// Did the operator name this address with this port?
    pub(super) fn address(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        self.ranges.iter().any(|(range, ports)| range.contains(ip) && within(ports, port))
    }
}

fn within(ports: &Option<Vec<PortRange>>, port: u16) -> bool {
    ports.as_ref().is_none_or(|ports| ports.iter().any(|p| (p.first..=p.last).contains(&port)))
}

/// The address that a host of a web address is, if it is one. Other spellings (`0x7f.1`, `2130706433`) were read
/// into this one when the address was parsed.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Reach) {
        let ip = text.parse().unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(reach(ip), expected, "{text}");
    }

    #[test]
    fn open_inside_and_metadata() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            check(text, Reach::Open);
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:0:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:808:808::1",
            "2a00::5efe:10.0.0.1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ] {
            check(text, Reach::Inside);
        }
        for text in [
            "169.254.169.254",
            "169.254.169.123",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd00:42::42",
            "fe80::a9fe:a9fe",
        ] {
            check(text, Reach::Metadata);
        }
    }

    #[test]
    fn what_is_allowed_is_a_server_and_not_its_neighbours() {
        let mut allow = Allow::default();
        for text in
            ["http://127.0.0.1:8080/rdap/", "https://idp.corp.test/x", "10.0.0.0/8", "a.test:81", "[::1]:9"]
        {
            allow.add(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (address, port, allowed) in [
            ("127.0.0.1", 8080, true),
            ("::ffff:127.0.0.1", 8080, true),
            ("127.0.0.1", 8081, false),
            ("127.0.0.2", 8080, false),
            ("10.1.2.3", 5432, true),
            ("11.0.0.1", 80, false),
            ("::1", 9, true),
            ("::1", 10, false),
        ] {
            assert_eq!(allow.address(ip(address), port), allowed, "{address} {port}");
        }
        for (name, port, allowed) in [
            ("idp.corp.test", 443, true),
            ("IDP.corp.test.", 443, true),
            ("idp.corp.test", 80, false),
            ("x.idp.corp.test", 443, false),
            ("a.test", 81, true),
            ("a.test", 82, false),
        ] {
            assert_eq!(allow.name(name, port), allowed, "{name} {port}");
        }
        for text in ["", "file:///etc/passwd", "/etc", "gopher://x", "10.0.0.0/99"] {
            assert!(allow.add(text).is_err(), "{text}");
        }
    }
}
