//! What places say of one another by their text alone: which link means which endpoint, which file lies beside which,
//! which folder is called what.

use std::net::IpAddr;

use notafter_core::location::Location;

/// Words in a path by which people say that what lies there is to be used no more. `old`, `archive` and `backup` are
/// none of them: what is in use has copies there as well.
const RETIRED: &[&str] = &[
    "retired",
    "revoked",
    "decommissioned",
    "withdrawn",
    "obsolete",
    "superseded",
    "deprecated",
    "disabled",
    "removed",
    "distrusted",
    "untrusted",
    "blocked",
    "denied",
    "blocklist",
    "denylist",
];

/// Words in a path by which people say that others are checked against what lies there.
const TRUSTED: &[&str] = &[
    "trusted",
    "trust",
    "truststore",
    "allowed",
    "allowlist",
    "authorized",
    "authorised",
    "accepted",
    "pinned",
    "pins",
    "peers",
];

/// Folders so near the root that what lies in them belongs to many.
const SHALLOW: usize = 2;
/// So many folders below another a file may lie and still belong to it.
const BELOW_MAX: usize = 2;

/// How exactly a link names this endpoint, if it does: by address, then by name. `[::]` stands for every address of the
/// host, `0.0.0.0` for every IPv4 address; a link without a name for whatever is asked for.
pub(super) fn exactness(link: &Location, endpoint: &Location) -> Option<(u8, u8)> {
    let (to, at) = (link.address()?, endpoint.address()?);
    if link.scheme() != endpoint.scheme() || to.port() != at.port() {
        return None;
    }
    let address = match to.ip() {
        ip if ip == at.ip() => 2,
        IpAddr::V4(ip) if ip.is_unspecified() && at.is_ipv4() => 1,
        IpAddr::V6(ip) if ip.is_unspecified() => 0,
        _ => return None,
    };
    let parent = |name: &str| name.split_once('.').map(|(_, parent)| parent.to_owned());
    let name = match (link.sni(), endpoint.sni()) {
        (None, _) => 0,
        (Some(wanted), Some(name)) if wanted == name => 2,
        (Some(wanted), Some(name)) => match wanted.strip_prefix("*.") {
            Some(rest) if parent(name).as_deref() == Some(rest) => 1,
            None if wanted.starts_with('.') && (name.ends_with(wanted) || name == &wanted[1..]) => 1,
            _ => return None,
        },
        (Some(_), None) => return None,
    };
    Some((address, name))
}

/// Does the later one lie where it has taken the earlier one's place: in the same file or folder, or in the folder above?
/// A later one in a folder of its own below has not been put to use yet, and one in a folder elsewhere may be another's.
pub(super) fn beside(earlier: &Location, later: &Location) -> bool {
    let number = |l: &Location| l.fragment().is_none_or(|f| f.bytes().all(|b| b.is_ascii_digit()));
    if earlier.container() == later.container() {
        return number(earlier) && number(later);
    }
    // Entries of structured files have owners of their own.
    let plain = |l: &Location| number(l) || l.is_for_certificates();
    if !plain(earlier) || !plain(later) {
        return false;
    }
    let (below, above) = (folder(earlier), folder(later));
    if below == above {
        return true;
    }
    let deep =
        above.trim_start_matches("file://").split('/').filter(|part| !part.is_empty()).count() >= SHALLOW;
    let rest = below.strip_prefix(above).and_then(|rest| rest.strip_prefix('/'));
    deep && rest.is_some_and(|rest| rest.split('/').count() <= BELOW_MAX)
}

fn folder(location: &Location) -> &str {
    location.container().rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The word by which its path says that it is to be used no more.
pub(super) fn says_retired(location: &Location) -> Option<&'static str> {
    word(location, RETIRED)
}

/// Does its path say that others are checked against it?
pub(super) fn says_trusted(location: &Location) -> bool {
    word(location, TRUSTED).is_some()
}

/// Whole words only, in the file's name and the two folders it lies in: further up, other things are named.
fn word(location: &Location, words: &[&'static str]) -> Option<&'static str> {
    let path = location.container().to_ascii_lowercase();
    let near = path.rmatch_indices('/').nth(2).map_or(path.as_str(), |(at, _)| &path[at..]);
    let parts: Vec<&str> = near.split(|c: char| !c.is_alphanumeric()).collect();
    words.iter().find(|word| parts.contains(word)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Location {
        Location::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_link_to_every_address_and_name() {
        let meant = |link: &str, endpoint: &str| exactness(&parse(link), &parse(endpoint)).is_some();
        assert!(meant("tls://[::]:443", "tls://10.0.0.5:443?sni=a.test"));
        assert!(meant("tls://0.0.0.0:443?sni=a.test", "tls://10.0.0.5:443?sni=a.test"));
        assert!(meant("tls://[::]:443?sni=*.a.test", "tls://[::1]:443?sni=b.a.test"));
        assert!(meant("tls://10.0.0.5:443", "tls://10.0.0.5:443"));
        for (link, endpoint) in [
            ("tls://0.0.0.0:443", "tls://[::1]:443"),
            ("tls://[::]:443", "tls://10.0.0.5:8443"),
            ("tls://10.0.0.6:443", "tls://10.0.0.5:443"),
            ("tls://[::]:443?sni=a.test", "tls://10.0.0.5:443?sni=b.test"),
            ("tls://[::]:443?sni=a.test", "tls://10.0.0.5:443"),
            ("tls://[::]:443?sni=*.a.test", "tls://10.0.0.5:443?sni=c.b.a.test"),
            ("smtp://[::]:25", "tls://10.0.0.5:25"),
        ] {
            assert!(!meant(link, endpoint), "{link} {endpoint}");
        }
    }

    #[test]
    fn the_most_exact_one_counts() {
        let endpoint = parse("tls://10.0.0.5:443?sni=a.test");
        let rank = |link: &str| exactness(&parse(link), &endpoint).unwrap();
        assert!(rank("tls://10.0.0.5:443") > rank("tls://0.0.0.0:443?sni=a.test"));
        assert!(rank("tls://0.0.0.0:443") > rank("tls://[::]:443?sni=a.test"));
        assert!(rank("tls://[::]:443?sni=a.test") > rank("tls://[::]:443"));
    }

    #[test]
    fn what_lies_beside_what() {
        for (earlier, later, expected) in [
            ("file:///etc/le/archive/a/cert1.pem", "file:///etc/le/archive/a/cert2.pem", true),
            ("file:///etc/partner/old/client.pem", "file:///etc/partner/client.pem", true),
            ("file:///etc/pki/ca.crt#1", "file:///etc/pki/ca.crt#2", true),
            ("file:///etc/a/client.p12#web", "file:///etc/a/client2.p12#web", true),
            // Not installed yet.
            ("file:///etc/partner/client.pem", "file:///etc/partner/new/client.pem", false),
            // Two services, each with a copy of its own.
            ("file:///srv/a/tls.pem", "file:///srv/c/tls.pem", false),
            ("file:///srv/x/y/z/tls.pem", "file:///srv/tls.pem", false),
            ("file:///k8s/all.yaml#a.tls.crt", "file:///k8s/all.yaml#b.tls.crt", false),
            ("file:///k8s/a.yaml#tls.crt", "file:///k8s/b.yaml#tls.crt", false),
        ] {
            assert_eq!(beside(&parse(earlier), &parse(later)), expected, "{earlier} {later}");
        }
    }

    #[test]
    fn words_of_paths() {
        for (path, retired, trusted) in [
            ("file:///gw/retired/writer.pem", Some("retired"), false),
            ("file:///gw/writer.revoked.pem", Some("revoked"), false),
            ("file:///gw/trusted/writer.pem", None, true),
            ("file:///gw/allowed-clients.pem", None, true),
            ("file:///srv/old/web.pem", None, false),
            ("file:///home/retired/now/tls/web.pem", None, false),
            ("file:///srv/semiretired/web.pem", None, false),
        ] {
            assert_eq!(
                (says_retired(&parse(path)), says_trusted(&parse(path))),
                (retired, trusted),
                "{path}"
            );
        }
    }
}
