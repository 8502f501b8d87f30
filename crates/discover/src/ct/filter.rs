//! Which of a log's entries are about our names: a search in octets first, which passes over nearly everything, then
//! the names themselves.
//!
//! A log grows by a hundred entries a second and holds a billion; a watcher has a handful of domains. So nothing is
//! parsed until the octets of a watched domain were seen in what the log signed. Names stand there as ASCII or UTF-8;
//! one that a CA wrote down in UTF-16 only, as a common name without an alternative name, is not found.

use aho_corasick::AhoCorasick;
use notafter_pki::GeneralName;
use notafter_pki::certificate::Certificate;

use super::entry::Entry;

/// Domains that are watched, each with everything below it.
pub struct Watched {
    /// In ASCII and lower case.
    domains: Vec<String>,
    /// Their octets, and those of their Unicode form.
    search: AhoCorasick,
}

impl Watched {
    /// Watches these domains. A leading `.` or `*.` means the same as none. The `Err` is what is no name.
    ///
    /// # Errors
    /// The first text that is no name.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut domains = Vec::new();
        for text in names {
            let bare = text.trim().trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
            let ascii = idna::domain_to_ascii(bare).unwrap_or_default();
            let label = |l: &str| {
                (1..=63).contains(&l.len())
                    && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            };
            if ascii.len() > 253 || !ascii.split('.').all(label) {
                return Err(text.to_owned());
            }
            domains.push(ascii);
        }
        domains.sort_unstable();
        domains.dedup();
        let mut patterns = domains.clone();
        patterns.extend(domains.iter().filter(|d| d.contains("xn--")).map(|d| idna::domain_to_unicode(d).0));
        let search = AhoCorasick::builder().ascii_case_insensitive(true).build(&patterns);
        let search = search.map_err(|_| "more domains than can be searched for at once".to_owned())?;
        Ok(Self { domains, search })
    }

    /// The domains, in ASCII, sorted.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// May this be about a watched name? Of the octets alone.
    #[inline]
    pub fn may_be_in(&self, octets: &[u8]) -> bool {
        self.search.is_match(octets)
    }

    /// Is this name one of ours? `*.example.com` is below `example.com`.
    pub fn is_ours(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let mut rest = name.as_str();
        loop {
            if self.domains.binary_search_by(|known| known.as_str().cmp(rest)).is_ok() {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return false,
            }
        }
    }

    /// Is this entry for one of our names?
    pub fn wants(&self, entry: &Entry<'_>) -> bool {
        self.may_be_in(entry.signed) && self.names_ours(entry.certificate())
    }

    /// Is this certificate for one of our names? By alternative names and common name. One that cannot be parsed is, if
    /// its octets are: better one too many.
    pub fn names_ours(&self, der: &[u8]) -> bool {
        let Ok(certificate) = Certificate::parse(der) else { return self.may_be_in(der) };
        let ours = |text: &str| match idna::domain_to_ascii(text) {
            Ok(ascii) => self.is_ours(&ascii),
            Err(_) => self.is_ours(text),
        };
        let by_alternative = certificate.subject_alt_names().any(|name| match name {
            GeneralName::Dns(_) => ours(&name.to_text()),
            // The domain of an address.
            GeneralName::Email(_) => name.to_text().rsplit_once('@').is_some_and(|(_, domain)| ours(domain)),
            _ => false,
        });
        by_alternative || certificate.subject().common_name().is_some_and(|name| ours(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::tile_leaf;
    use super::*;

    #[test]
    fn names_at_and_below_a_domain() {
        let watched = Watched::new(["Example.com", "*.Bücher.example", ".b.test"]).unwrap();
        for (name, ours) in [
            ("example.com", true),
            ("www.EXAMPLE.com", true),
            ("*.example.com", true),
            ("notexample.com", false),
            ("example.com.evil.test", false),
            ("xn--bcher-kva.example", true),
            ("a.b.test", true),
            ("test", false),
        ] {
            assert_eq!(watched.is_ours(name), ours, "{name}");
        }
        for text in ["", "a b", "*", "a..b"] {
            assert!(Watched::new([text]).is_err(), "{text}");
        }
    }

    #[test]
    fn octets_first_then_names() {
        let watched = Watched::new(["example.com"]).unwrap();
        let certificate = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            rcgen::generate_simple_self_signed(names).unwrap().cert.der().to_vec()
        };
        for (names, wanted) in
            [(&["a.test", "WWW.Example.COM"][..], true), (&["notexample.com"], false), (&["a.test"], false)]
        {
            let der = certificate(names);
            let tile = tile_leaf(&der, None, &[], 0);
            let (entry, _) = Entry::of_tile(&tile).unwrap();
            assert_eq!(watched.wants(&entry), wanted, "{names:?}");
        }
        // What cannot be parsed is kept rather than lost.
        let tile = tile_leaf(b"0garbage with example.com in it", None, &[], 0);
        assert!(watched.wants(&Entry::of_tile(&tile).unwrap().0));
    }
}
