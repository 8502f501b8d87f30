//! How a place is found by its text, and what belongs together: one server name on one port, one folder, one address.

use std::borrow::Cow;

use notafter_core::location::Location;
use notafter_core::subject::SubjectKey;

/// Longer names are kept under their hash.
const FIT_MAX: usize = 500;

/// 48 bits of the hash of some bytes: six bytes in SQLite, and few enough to meet by chance among millions.
pub(crate) fn hash48(bytes: &[u8]) -> i64 {
    let hash = notafter_pki::fingerprint::sha256(bytes);
    let mut eight = [0; 8];
    eight[2..].copy_from_slice(&hash[..6]);
    i64::from_be_bytes(eight)
}

/// 16 bytes of the hash of a text: its key where it may be long. Two do not meet by chance.
pub(crate) fn key16(text: &str) -> Vec<u8> {
    notafter_pki::fingerprint::sha256(text.as_bytes())[..16].to_vec()
}

/// A name as a key: itself, or its hash when it is longer than an index takes.
pub(crate) fn fit(name: &str) -> Cow<'_, str> {
    if name.len() <= FIT_MAX {
        return Cow::Borrowed(name);
    }
    let hash = notafter_pki::fingerprint::sha256(name.as_bytes());
    Cow::Owned(format!("sha256:{}", notafter_pki::fingerprint::hex(&hash)))
}

/// What belongs together, in 32 bits. Two groups that meet by chance are only loaded together.
pub(crate) fn group(location: &Location) -> i64 {
    let text = if location.is_file() {
        folder(location).to_owned()
    } else {
        match name_subject(location) {
            Some(subject) => subject.to_string(),
            None => format!("at {}", host(location)),
        }
    };
    hash48(text.as_bytes()) >> 16
}

/// The key of a place: its group, and 16 bits of its text.
pub(crate) fn spot(location: &Location) -> i64 {
    (group(location) << 16) | (hash48(location.as_str().as_bytes()) & 0xffff)
}

/// The group of a place by its key.
pub(crate) fn group_of(spot: i64) -> i64 {
    spot >> 16
}

/// The first and last key of a group.
pub(crate) fn group_range(group: i64) -> (i64, i64) {
    (group << 16, (group << 16) | 0xffff)
}

/// The folder a file lies in.
pub(crate) fn folder(location: &Location) -> &str {
    location.container().rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn host(location: &Location) -> String {
    location.ip().map_or_else(|| location.container().to_owned(), |ip| ip.to_string())
}

/// The server name that a place is one address of.
pub(crate) fn name_subject(location: &Location) -> Option<SubjectKey> {
    let (name, address) = (location.sni()?, location.address()?);
    Some(SubjectKey::Name {
        scheme: location.scheme().to_owned(),
        port: address.port(),
        name: name.to_owned(),
    })
}

/// The group of a server name, without a place.
pub(crate) fn name_group(subject: &SubjectKey) -> i64 {
    hash48(subject.to_string().as_bytes()) >> 16
}

/// What a link hangs on, at either end: a file whatever the entry in it, an address and port whatever the name.
pub(crate) fn end_hash(location: &Location) -> i64 {
    match location.address() {
        Some(address) => hash48(address.to_string().as_bytes()),
        None => hash48(location.container().as_bytes()),
    }
}

/// DNS labels from the top: `com.example.login`, so that a tree of names is a range. Addresses stay as they are.
pub(crate) fn reversed(name: &str) -> String {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for label in name.trim_end_matches('.').rsplit('.') {
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(label);
    }
    out
}

/// The names below a reversed one, as a range: from the first on, and before the second. The sign after the dot is the
/// slash.
pub(crate) fn names_below(top: &str) -> (String, String) {
    (format!("{top}."), format!("{top}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together() {
        let at = |text: &str| Location::parse(text).unwrap();
        let same = |a: &str, b: &str| group(&at(a)) == group(&at(b));
        assert!(same("tls://10.0.0.1:443?sni=a.test", "tls://10.0.0.2:443?sni=a.test"));
        assert!(!same("tls://10.0.0.1:443?sni=a.test", "tls://10.0.0.1:444?sni=a.test"));
        assert!(same("tls://10.0.0.1:443", "smtp://10.0.0.1:25"));
        assert!(same("file:///etc/a.pem#1", "file:///etc/b.pem"));
        assert!(!same("file:///etc/a.pem", "file:///etc/x/a.pem"));
        let (low, high) = group_range(group(&at("file:///etc/a.pem")));
        assert!((low..=high).contains(&spot(&at("file:///etc/b.pem"))));
        let name = name_subject(&at("tls://10.0.0.1:443?sni=a.test")).unwrap();
        assert_eq!(name_group(&name), group(&at("tls://10.0.0.9:443?sni=a.test")));
    }

    #[test]
    fn names_from_the_top() {
        for (name, top) in
            [("login.example.com", "com.example.login"), ("*.a.b", "b.a.*"), ("10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(reversed(name), top);
        }
    }
}
