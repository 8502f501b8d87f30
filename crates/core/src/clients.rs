//! Clients whose trust stores differ from today's, as facts: which roots a release had, by fingerprint.
//!
//! Never a root itself: a fingerprint says which of the roots at hand such a client trusts, and a root that is not
//! at hand cannot be followed to. What a client does besides (whether it looks for another path, whether an
//! anchor's own end counts) is said here too. A client is here only if its whole list is at hand; the others are
//! named in [`UNLISTED`], so that nobody takes silence for an answer.

use notafter_pki::chain::AnchorSets;

use crate::Fingerprint;

/// A client that can be simulated by its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it is called on the command line and in findings.
    pub name: &'static str,
    /// The bit of its store in a set of anchors.
    pub set: AnchorSets,
    release: usize,
}

/// Releases of Android in the order of `clients/android.txt`.
const RELEASES: &[&str] = &["7.0", "7.1.1", "8.1", "9", "10", "11", "12"];
const ANDROID: &str = include_str!("clients/android.txt");

/// Every client with a list. None of them heeds the end of an anchor: Android takes a root as a name and a key
/// (Let's Encrypt, "Extending Android Device Compatibility", 21 December 2020).
pub const LISTED: &[Client] = &[
    Client { name: "android-7.0", set: 1 << 4, release: 0 },
    Client { name: "android-7.1.1", set: 1 << 5, release: 1 },
    Client { name: "android-8.1", set: 1 << 6, release: 2 },
    Client { name: "android-9", set: 1 << 7, release: 3 },
    Client { name: "android-10", set: 1 << 8, release: 4 },
    Client { name: "android-11", set: 1 << 9, release: 5 },
    Client { name: "android-12", set: 1 << 10, release: 6 },
];

/// Clients that people ask for and of which there is no whole list here, so that they are not simulated. What Oracle's
/// release notes tell is a root or two: Java has IdenTrust's DST Root CA X3 since 8u101 and ISRG Root X1 since 8u141.
pub const UNLISTED: &[&str] = &["java-7", "java-8"];

/// Follows what it is sent and looks for no other path: OpenSSL before 1.1.0. It brings no store of its own.
pub const OPENSSL_1_0: &str = "openssl-1.0";

impl Client {
    /// The client of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        LISTED.iter().find(|client| client.name == name)
    }

    /// The roots of its store.
    pub fn roots(self) -> impl Iterator<Item = Fingerprint> {
        android().filter(move |(_, releases)| releases.contains(&self.release)).map(|(id, _)| id)
    }
}

/// Every listed root with the sets of the clients that have it.
pub fn roots() -> impl Iterator<Item = (Fingerprint, AnchorSets)> {
    android().map(|(id, releases)| {
        let has = LISTED.iter().filter(|client| releases.contains(&client.release));
        (id, has.fold(0, |sets, client| sets | client.set))
    })
}

/// Roots of Android, each with the releases that have it.
fn android() -> impl Iterator<Item = (Fingerprint, std::ops::RangeInclusive<usize>)> {
    ANDROID.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split(' ');
        let id: Fingerprint = words.next()?.parse().ok()?;
        let release = |word: &str| RELEASES.iter().position(|r| *r == word);
        let (first, last) = (release(words.next()?)?, words.next()?);
        let last = if last == "-" { RELEASES.len() - 1 } else { release(last)? };
        Some((id, first..=last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every root by its fingerprint.
    fn check(client: &str, id: &str, has: bool) {
        let id: Fingerprint = id.parse().unwrap();
        assert_eq!(Client::named(client).unwrap().roots().any(|root| root == id), has, "{client}");
    }

    #[test]
    fn who_had_which_root() {
        let dst_root_x3 = "0687260331a72403d909f105e69bcf0d32e1bd2493ffc6d9206d11bcd6770739";
        let isrg_root_x1 = "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6";
        check("android-7.0", dst_root_x3, true);
        check("android-7.0", isrg_root_x1, false);
        check("android-7.1.1", isrg_root_x1, true);
        check("android-12", isrg_root_x1, true);
    }

    #[test]
    fn every_line_is_read() {
        let lines = ANDROID.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((android().count(), lines), (lines, 194));
        let sizes: Vec<_> = LISTED.iter().map(|client| client.roots().count()).collect();
        assert_eq!(sizes, [148, 156, 142, 137, 138, 138, 129]);
    }
}
