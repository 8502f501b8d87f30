//! Which private key belongs to which certificate by where they lie: in one file, or side by side under
//! names that say so (`api.crt` and `api.key`, `fullchain3.pem` and `privkey3.pem`).

use std::collections::HashMap;

use notafter_core::KeyId;
use notafter_core::inventory::{Asset, Inventory, KeySighting, Placement};

/// Keys by file and by name.
pub(crate) struct Index<'i> {
    in_file: HashMap<&'i str, Vec<&'i KeySighting>>,
    by_name: HashMap<(&'i str, String), Vec<&'i KeySighting>>,
    /// The keys that certificates in a file are for.
    certified: HashMap<&'i str, Vec<KeyId>>,
}

impl<'i> Index<'i> {
    pub(crate) fn new(inventory: &'i Inventory) -> Self {
        let mut out = Self { in_file: HashMap::new(), by_name: HashMap::new(), certified: HashMap::new() };
        for key in inventory.keys().iter().filter(|k| k.key.is_some()) {
            let file = key.location.container();
            out.in_file.entry(file).or_default().push(key);
            let (folder, name) = split(file);
            out.by_name.entry((folder, bare(name))).or_default().push(key);
        }
        for placement in inventory.placements() {
            let file = placement.location.container();
            let (folder, name) = split(file);
            let paired = || placement.location.is_file() && out.by_name.contains_key(&(folder, bare(name)));
            if out.in_file.contains_key(file) || paired() {
                out.certified.entry(file).or_default().extend(inventory.asset(placement.asset).key);
            }
        }
        out
    }

    /// The keys that ought to be this certificate's, by place, and why. If one of them is, only that one.
    pub(crate) fn keys_of(&self, place: &Placement, asset: &Asset) -> Vec<(&'i KeySighting, &'static str)> {
        let file = place.location.container();
        let (candidates, because) = match self.in_file.get(file) {
            Some(keys) => (keys, "same file"),
            None => {
                let (folder, name) = split(file);
                match self.by_name.get(&(folder, bare(name))) {
                    Some(keys) => (keys, "same name"),
                    None => return Vec::new(),
                }
            }
        };
        if let Some(own) = candidates.iter().find(|k| k.key == asset.key) {
            return vec![(own, because)];
        }
        // A key that another certificate of the same file is for is that one's.
        let others = self.certified.get(file).map(Vec::as_slice).unwrap_or_default();
        let free = |k: &&&KeySighting| k.key.is_none_or(|id| !others.contains(&id));
        candidates.iter().filter(free).map(|k| (*k, because)).collect()
    }
}

fn split(file: &str) -> (&str, &str) {
    file.rsplit_once('/').unwrap_or(("", file))
}

/// A file name without what only says which half of a pair it is.
fn bare(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let mut stem = name.as_str();
    for ending in ["pem", "crt", "cer", "cert", "key", "der", "txt", "p8", "pk8", "bundle"] {
        if let Some(rest) = stem.strip_suffix(ending).and_then(|s| s.strip_suffix('.')) {
            stem = rest;
        }
    }
    let words =
        ["fullchain", "privkey", "privatekey", "private", "certificate", "cert", "crt", "key", "bundle"];
    let mut out = stem.to_owned();
    for word in words {
        // Only whole words: at the end behind a separator, or in front of nothing but digits.
        let separated = ['-', '_', '.'].iter().find_map(|s| out.strip_suffix(word)?.strip_suffix(*s));
        let numbered =
            out.strip_prefix(word).filter(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        if let Some(rest) = separated.or(numbered) {
            out = rest.to_owned();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn pairs_share_a_bare_name_and_others_do_not() {
        for (a, b, pair) in [
            ("api.crt", "api.key", true),
            ("api.pem", "api.key", true),
            ("api.crt.pem", "api.key.pem", true),
            ("api-cert.pem", "api-key.pem", true),
            ("fullchain3.pem", "privkey3.pem", true),
            ("cert.pem", "privkey.pem", true),
            ("fullchain.pem", "privkey.pem", true),
            ("tls.crt", "tls.key", true),
            ("fullchain2.pem", "privkey3.pem", false),
            ("api.crt", "web.key", false),
            ("keyring.pem", "ring.key", false),
            ("ca.pem", "server.key", false),
        ] {
            assert_eq!(bare(a) == bare(b), pair, "{a} {b}: {} {}", bare(a), bare(b));
        }
    }
}
