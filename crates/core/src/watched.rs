//! What is looked at again and again: the servers that a configuration names, as far as one can tell by reading it.
//!
//! Made by the binary of the configuration's targets, asked by `unmonitored-endpoint`. It resolves no name and knows
//! no source.

use std::net::IpAddr;

use crate::location::Location;

/// Servers that somebody looks at regularly.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Those that are named.
    pub servers: Vec<Server>,
    /// Is everything that was seen seen again, as by a server that makes its rounds? Only what nothing but a zone led
    /// to is not looked at for its own sake then. A scan looks once.
    pub rounds: bool,
}

/// Servers that are named, and on which ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Who.
    pub host: Host,
    /// From the first port to the last, both included.
    pub ports: Vec<(u16, u16)>,
}

/// A name or a run of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, in its ASCII form.
    Name(String),
    /// From the first address to the last, both included and of one family.
    Addresses(IpAddr, IpAddr),
}

impl Watched {
    /// Is this endpoint looked at?
    pub fn covers(&self, location: &Location) -> bool {
        let Some(address) = location.address() else { return false };
        let (ip, name) = (address.ip(), location.sni());
        self.servers.iter().any(|server| {
            let host = match &server.host {
                Host::Name(known) => name.is_some_and(|name| name.eq_ignore_ascii_case(known)),
                Host::Addresses(first, last) => {
                    first.is_ipv4() == ip.is_ipv4() && (*first..=*last).contains(&ip)
                }
            };
            host && server.ports.iter().any(|(first, last)| (*first..=*last).contains(&address.port()))
        })
    }

    /// Has anybody said what is to be looked at?
    pub fn any(&self) -> bool {
        !self.servers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered() {
        let ip = |text: &str| text.parse().unwrap();
        let watched = Watched {
            servers: vec![
                Server { host: Host::Name("www.a.test".into()), ports: vec![(443, 443)] },
                Server { host: Host::Addresses(ip("10.0.0.0"), ip("10.0.0.255")), ports: vec![(1, 1024)] },
            ],
            rounds: false,
        };
        for (place, expected) in [
            ("tls://192.0.2.1:443?sni=WWW.a.test", true),
            ("tls://192.0.2.1:8443?sni=www.a.test", false),
            ("tls://192.0.2.1:443", false),
            ("smtp://10.0.0.7:25", true),
            ("tls://10.0.0.7:8443", false),
            ("tls://[::1]:443", false),
            ("file:///srv/a.pem", false),
        ] {
            assert_eq!(watched.covers(&Location::parse(place).unwrap()), expected, "{place}");
        }
        assert!(watched.any() && !Watched::default().any());
    }
}
