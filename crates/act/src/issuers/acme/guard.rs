//! Where a CA may send us: https, to the directory's own host or one that the directory lists, and never inward unless
//! the directory itself is there.
//!
//! Every address in an order, an authorization or a header is the CA's to choose. A CA that turned hostile, or whoever
//! took its place, could otherwise have this machine ask any service of its own network, signed and with a body.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::text::cut;

/// The rules, for one directory.
#[derive(Debug)]
pub(crate) struct Guard {
    home: String,
    inward: AtomicBool,
    allowed: Mutex<BTreeSet<(String, u16)>>,
}

impl Guard {
    /// Rules around this directory, which the user named.
    pub(crate) fn new(directory: &Url) -> Arc<Self> {
        let home = directory.host_str().unwrap_or_default().to_owned();
        let inward = literal(&home).is_some_and(is_inward);
        let allowed = Mutex::new(place(directory).into_iter().collect());
        Arc::new(Self { home, inward: AtomicBool::new(inward), allowed })
    }

    /// Takes over the hosts that the directory lists.
    ///
    /// # Errors
    /// When one of its addresses is none that may be asked.
    pub(crate) fn learn<'a>(&self, urls: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
        let places: Result<Vec<_>, Fault> =
            urls.map(|text| Ok(place(&self.form(text)?).unwrap_or_default())).collect();
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        allowed.retain(|(host, _)| *host == self.home);
        allowed.extend(places?);
        Ok(())
    }

    /// An address that may be asked.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn url(&self, text: &str) -> Result<Url, Fault> {
        let url = self.form(text)?;
        let known = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        match place(&url).filter(|place| known.contains(place)) {
            Some(_) => Ok(url),
            None => Err(hostile(text, "to a host that is not in its directory")),
        }
    }

    fn form(&self, text: &str) -> Result<Url, Fault> {
        let url = Url::parse(text).map_err(|_| hostile(text, "to no address"))?;
        if url.scheme() != "https" {
            return Err(hostile(text, "to an address without https"));
        }
        if !url.username().is_empty() || url.password().is_some() || text.len() > 2_048 {
            return Err(hostile(text, "to an address of a form that ACME does not use"));
        }
        let inside = url.host_str().and_then(literal).is_some_and(is_inward);
        if inside && !self.inward.load(Ordering::Relaxed) {
            return Err(hostile(text, "to an address inside this network"));
        }
        Ok(url)
    }

    /// Which of the addresses of a name may be connected to.
    fn judge(&self, host: &str, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if host == self.home {
            if found.iter().any(|address| is_inward(address.ip())) {
                self.inward.store(true, Ordering::Relaxed);
            }
            return found;
        }
        let inward = self.inward.load(Ordering::Relaxed);
        found.into_iter().filter(|address| inward || !is_inward(address.ip())).collect()
    }
}

/// What the HTTP client resolves names with. Behind a `proxy` names are resolved there, and only addresses are judged.
pub(crate) struct Resolver(pub(crate) Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let some = !found.is_empty();
            let kept = guard.judge(name.as_str(), found);
            if some && kept.is_empty() {
                return Err(format!("{} leads to an address inside this network", name.as_str()).into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

fn hostile(text: &str, to: &str) -> Fault {
    let shown = cut(&printable(text), 200);
    Fault::new(FaultKind::Refused, format!("the CA sends us {to}, and we do not go there: {shown}"))
        .retry(Retry::Never)
        .hint("is `directory` the CA's own address? A CA that answers so is broken or not the one you mean")
}

fn place(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

/// Is it anywhere but in the open (the IANA special-purpose registries, RFC 6890)?
pub(crate) fn is_inward(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => four(ip),
        IpAddr::V6(ip) => six(ip),
    }
}

fn four(ip: Ipv4Addr) -> bool {
    let o = ip.octets();
    ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || matches!(o[0], 0 | 127 | 224..=255)
        || (o[0] == 100 && o[1] & 0xc0 == 64)
        || o[..3] == [192, 0, 0]
        || (o[0] == 198 && o[1] & 0xfe == 18)
}

fn six(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return four(Ipv4Addr::from_bits(u32::from(s[6]) << 16 | u32::from(s[7])));
    }
    // Only 2000::/3 is given out; in it, 6to4, protocol assignments and documentation are not meant for servers.
    s[0] & 0xe000 != 0x2000 || s[0] == 0x2002 || (s[0] == 0x2001 && s[1] < 0x200) || s[..2] == [0x2001, 0xdb8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(directory: &str) -> Arc<Guard> {
        Guard::new(&Url::parse(directory).expect("an address"))
    }

    #[test]
    fn a_ca_in_the_open() {
        let guard = guard("https://ca.example.org/dir");
        guard.learn(["https://ca.example.org/o", "https://api.example.org/ari"].into_iter()).expect("fine");
        assert!(guard.url("https://ca.example.org/order/1").is_ok());
        assert!(guard.url("https://api.example.org/ari/1").is_ok());
        for wrong in [
            "http://ca.example.org/x",
            "https://ca.example.org:8443/x",
            "https://elsewhere.example.org/x",
            "https://10.0.0.1/x",
            "https://[::1]/x",
            "https://user@ca.example.org/x",
            "file:///etc/passwd",
            "/relative",
            "",
        ] {
            let fault = guard.url(wrong).expect_err(wrong);
            assert_eq!(fault.retry, Retry::Never, "{wrong}");
        }
        assert!(guard.learn(["https://169.254.169.254/latest"].into_iter()).is_err());
        let inside = vec![SocketAddr::from(([10, 0, 0, 1], 0))];
        assert!(guard.judge("api.example.org", inside.clone()).is_empty());
        // The directory's own name leads inward: then the CA is there.
        assert_eq!(guard.judge("ca.example.org", inside.clone()), inside);
        assert_eq!(guard.judge("api.example.org", inside.clone()), inside);
    }

    #[test]
    fn addresses() {
        for open in ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"] {
            assert!(!is_inward(open.parse().expect("an address")), "{open}");
        }
        for inside in [
            "127.0.0.1",
            "10.1.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "192.168.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
        ] {
            assert!(is_inward(inside.parse().expect("an address")), "{inside}");
        }
        for inside in
            ["fd00::1", "64:ff9b::a00:1", "2002:a00:1::", "::ffff:10.0.0.1", "224.0.0.1", "198.18.0.1"]
        {
            assert!(is_inward(inside.parse().expect("an address")), "{inside}");
        }
    }
}
