//! Whose eyes `verify` looks through: the roots of a client, and how it goes about them.
//!
//! A listed client is a list of fingerprints (`core::clients`): of its roots, those that Mozilla, this system or the
//! user's file still have can be followed to, and it is said how many those are. A client without a list is refused by
//! name, never guessed at.

use std::path::Path;
use std::sync::Arc;

use notafter_core::Fingerprint;
use notafter_core::clients::{self, LISTED, OPENSSL_1_0, UNLISTED};
use notafter_pki::Certificate;
use notafter_pki::chain::Graph;

use super::Usage;
use crate::assemble;

/// A list of fingerprints is short; anything longer is another file.
const LIST_MAX: u64 = 16 << 20;

/// A client.
pub(in crate::commands) struct Client {
    /// Its roots that are at hand, as DER.
    pub(in crate::commands) roots: Vec<Arc<[u8]>>,
    /// Does the end of an anchor count?
    pub(in crate::commands) heeds_anchor: bool,
    /// Does it follow what it is sent before it looks for another path?
    pub(in crate::commands) follows_sent: bool,
    /// What the reader has to know.
    pub(in crate::commands) notes: Vec<String>,
}

impl Client {
    fn of(roots: Vec<Arc<[u8]>>) -> Self {
        Self { roots, heeds_anchor: true, follows_sent: false, notes: Vec::new() }
    }

    /// The client of this name, or with the roots of this file.
    /// `more`: certificates at hand besides.
    pub(in crate::commands) fn named(word: &str, more: &[Arc<[u8]>]) -> Result<Self, Usage> {
        match word {
            "mozilla" => return Ok(Self::of(assemble::mozilla())),
            "system" => {
                let roots = assemble::system();
                if roots.is_empty() {
                    return Err(
                        Usage::new("this system has no trust store").hint("name roots with --roots FILE")
                    );
                }
                return Ok(Self::of(roots));
            }
            OPENSSL_1_0 => return Ok(Self { follows_sent: true, ..Self::of(at_hand(&[])) }),
            _ => {}
        }
        if let Some(client) = clients::Client::named(word) {
            let listed: Vec<Fingerprint> = client.roots().collect();
            return Ok(Self { heeds_anchor: false, ..Self::listed(word, &listed, more) });
        }
        if UNLISTED.contains(&word) {
            return Err(Usage::new(format!(
                "{word} is not simulated: no whole list of its roots is built in"
            ))
            .hint("give its roots yourself: --client FILE, a PEM bundle or a list of SHA-256 fingerprints"));
        }
        let file = Path::new(word);
        if !file.exists() {
            let known: Vec<&str> = LISTED.iter().map(|client| client.name).collect();
            let message = format!("`{word}` is neither a client that is known nor a file");
            let hint = format!("name one of mozilla, system, {OPENSSL_1_0}, {}, or a file", known.join(", "));
            return Err(Usage::new(message).hint(hint));
        }
        match list(file)? {
            Some(listed) => Ok(Self::listed(word, &listed, more)),
            None => Ok(Self::of(assemble::certificates(file)?)),
        }
    }

    fn listed(name: &str, listed: &[Fingerprint], more: &[Arc<[u8]>]) -> Self {
        let mut roots = at_hand(more);
        roots.retain(|der| listed.contains(&Fingerprint::of(der)));
        let mut out = Self::of(roots);
        if out.roots.len() < listed.len() {
            out.notes.push(format!(
                "{} of the {} roots of {name} are at hand; a chain that ends at another is not judged by it",
                out.roots.len(),
                listed.len()
            ));
        }
        out
    }

    /// What is left for the judge where a client follows what it was sent: these issuers and these anchors. Where that
    /// leads to no root of its own, it looks for another path as all do (OpenSSL since 1.0.1n and 1.0.2b).
    pub(in crate::commands) fn narrowed<'a>(
        &self,
        leaf: &Certificate<'a>,
        sent: &[Certificate<'a>],
        anchors: &[Certificate<'a>],
    ) -> Option<(Vec<Certificate<'a>>, Vec<Certificate<'a>>)> {
        if !self.follows_sent {
            return None;
        }
        let mut graph = Graph::new();
        for anchor in anchors {
            graph.add(*anchor, 1);
        }
        let nodes: Vec<_> = sent.iter().map(|certificate| graph.add(*certificate, 0)).collect();
        let path = graph.as_sent(leaf, &nodes);
        let (root, between) = path.split_last()?;
        if graph.anchors(*root) == 0 {
            return None;
        }
        let certificates = |nodes: &[_]| nodes.iter().map(|node| graph.certificate(*node)).collect();
        Some((certificates(between), certificates(&[*root])))
    }
}

/// Every root there is here, and what else is at hand, each once.
fn at_hand(more: &[Arc<[u8]>]) -> Vec<Arc<[u8]>> {
    let mut roots = assemble::mozilla();
    roots.extend(more.iter().cloned());
    roots.extend(assemble::system());
    roots.sort_unstable();
    roots.dedup();
    roots
}

/// The fingerprints in a file that is a list of such: one in a line, with or without colons; what follows it, and lines
/// that begin with `#`, is for people. `None`: it is another kind of file.
fn list(file: &Path) -> Result<Option<Vec<Fingerprint>>, Usage> {
    let cannot = |e: std::io::Error| Usage::new(format!("cannot read {}: {e}", file.display()));
    if std::fs::metadata(file).map_err(cannot)?.len() > LIST_MAX {
        return Ok(None);
    }
    let bytes = std::fs::read(file).map_err(cannot)?;
    Ok(std::str::from_utf8(&bytes).ok().and_then(fingerprints))
}

fn fingerprints(text: &str) -> Option<Vec<Fingerprint>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let found: Vec<Fingerprint> = lines
        .map(|line| line.split([' ', '\t', ',']).next().unwrap_or(line).parse().ok())
        .collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, found: Option<usize>) {
        assert_eq!(fingerprints(text).map(|list| list.len()), found, "{text}");
    }

    #[test]
    fn a_list_of_fingerprints_or_something_else() {
        let one = "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6";
        check(one, Some(1));
        check(&format!("# ours\n\nsha256:{one} ISRG Root X1\n{one}\tagain\n"), Some(2));
        check(
            "96:BC:EC:06:26:49:76:F3:74:60:77:9A:CF:28:C5:A7:CF:E8:A3:C0:AA:E1:1A:8F:FC:EE:05:C0:BD:DF:08:C6",
            Some(1),
        );
        check("-----BEGIN CERTIFICATE-----\nMIIB\n", None);
        check("# nothing\n", None);
        check(&format!("{one}\n96bc\n"), None);
    }

    #[test]
    fn who_is_known() {
        let refused = |word: &str, why: &str| {
            let Err(error) = Client::named(word, &[]) else { panic!("{word}") };
            assert!(error.message.contains(why), "{}", error.message);
        };
        refused("java-8", "not simulated");
        refused("netscape-4", "neither a client");
        let Ok(old) = Client::named("android-7.0", &[]) else { panic!("android-7.0") };
        assert!(
            !old.heeds_anchor && old.roots.len() > 10 && old.notes[0].contains("of the 148 roots"),
            "{:?}",
            old.notes
        );
    }
}
