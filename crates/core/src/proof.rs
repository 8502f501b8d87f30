//! "Renewed" is what was seen in use, at every place: the only sense in which this program says it.
//!
//! An [`Expectation`] is made from what was issued; [`Expectation::judge`] holds one observation against it, and is the
//! only way to a [`Proof`]. That a deployer wrote files and a server said "reloaded" proves nothing here.

use std::collections::BTreeMap;

use notafter_pki::fingerprint::hex;
use serde::{Deserialize, Serialize};

use crate::location::Location;
use crate::observation::{Observation, Possession, Seen};
use crate::{Fingerprint, UnixTime};

/// What every place of a certificate shall show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The leaf.
    pub leaf: Fingerprint,
    /// The CA certificates that an endpoint has to send with it, in order, without a root. What it sends beyond them
    /// is a finding of its own, not a failed proof.
    pub chain: Vec<Fingerprint>,
    /// The leaf before it: still seen, it says that something was not reloaded.
    pub before: Option<Fingerprint>,
}

/// Evidence that one place showed what was expected. Only [`Expectation::judge`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    at: i64,
    vantage: String,
    location: String,
    leaf: String,
    possession: bool,
}

impl Proof {
    /// When it was seen.
    pub fn at(&self) -> UnixTime {
        UnixTime(self.at)
    }

    /// From where.
    pub fn vantage(&self) -> &str {
        &self.vantage
    }

    /// At which place.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The leaf's fingerprint, in hexadecimal.
    pub fn leaf(&self) -> &str {
        &self.leaf
    }

    /// Was it verified that the place holds the key? At an endpoint always, of a file never.
    pub fn is_possession(&self) -> bool {
        self.possession
    }
}

/// Why an observation is no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disproof {
    /// The leaf before is still there: written perhaps, loaded not.
    StillBefore,
    /// Some other leaf is there.
    Other(Fingerprint),
    /// The leaf is there, and the chain behind it is not: clients without the missing one refuse it.
    ChainDiffers {
        /// How many of the expected CA certificates came, in their order.
        came: usize,
        /// How many were expected.
        expected: usize,
    },
    /// The public chain is there, and nobody proved to hold the key: a relay could replay it.
    KeyNotProved,
    /// Nothing was seen, and why.
    Unseen(String),
}

impl std::fmt::Display for Disproof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StillBefore => f.write_str(
                "still shows the certificate before: it was not reloaded, or it reads another file",
            ),
            Self::Other(leaf) => {
                write!(f, "shows another certificate, sha256:{}", &hex(&leaf.0)[..16])
            }
            Self::ChainDiffers { came, expected } => {
                write!(f, "shows the new certificate with {came} of {expected} CA certificates behind it")
            }
            Self::KeyNotProved => {
                f.write_str("shows the new certificate and did not prove that it holds its key")
            }
            Self::Unseen(why) => write!(f, "could not be seen: {why}"),
        }
    }
}

impl Expectation {
    /// Holds one look at one place against what is expected there.
    ///
    /// # Errors
    /// What is wrong at the place, for a person.
    pub fn judge(&self, seen: &Observation, vantage: &str) -> Result<Proof, Disproof> {
        let (chain, facts) = match &seen.seen {
            Seen::Chain { chain, facts, .. } => (chain, facts),
            Seen::Failed { reason, detail } => {
                return Err(Disproof::Unseen(format!("{}: {detail}", reason.as_str())));
            }
            _ => return Err(Disproof::Unseen("what is there is no certificate".into())),
        };
        let mut shown = chain.iter().map(|der| Fingerprint::of(der));
        let leaf = shown.next().ok_or_else(|| Disproof::Unseen("an empty chain".into()))?;
        if self.before == Some(leaf) && leaf != self.leaf {
            return Err(Disproof::StillBefore);
        }
        if leaf != self.leaf {
            return Err(Disproof::Other(leaf));
        }
        let endpoint = facts.protocol.is_some();
        let possession = facts.possession == Some(Possession::Verified);
        if endpoint {
            // Each certifies the one before it: an order that is not kept is mended by some clients only.
            let came = shown.zip(&self.chain).take_while(|(shown, expected)| shown == *expected).count();
            if came < self.chain.len() {
                return Err(Disproof::ChainDiffers { came, expected: self.chain.len() });
            }
            if !possession {
                return Err(Disproof::KeyNotProved);
            }
        }
        Ok(Proof {
            at: seen.at.0,
            vantage: vantage.to_owned(),
            location: seen.location.as_str().to_owned(),
            leaf: hex(&leaf.0),
            possession: endpoint && possession,
        })
    }
}

/// One place that has to show it, and how it stands there. A name is one place with several addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceProof {
    /// The place, as it was named or found.
    pub location: String,
    /// Seen there: one for every address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
    /// Not asked for: who said so and why. By name, never by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excused: Option<String>,
    /// What was there at the last look, where it was no proof.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last: String,
    /// How it stood before anything was installed, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood: Option<Stood>,
    /// Does the last look speak against what was installed? Something else was seen, or it was broken, or nobody answers
    /// where somebody did before. A place that does not answer, and did not before, says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub against: bool,
}

/// How a place stood before something was installed for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stood {
    /// It showed the very certificate already, at every address.
    pub showed: bool,
    /// Where somebody answered with a certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<String>,
}

impl PlaceProof {
    /// A place that was not looked at yet.
    pub fn of(location: impl Into<String>) -> Self {
        Self { location: location.into(), ..Self::default() }
    }

    /// Is nothing more expected of it?
    pub fn is_settled(&self) -> bool {
        !self.proofs.is_empty() || self.excused.is_some()
    }

    /// Notes how it stands before anything is installed.
    pub fn stand(&mut self, expected: &Expectation, seen: &[Observation], vantage: &str) {
        let mut look = Self::of(self.location.clone());
        look.judge(expected, seen, vantage);
        let chains = seen.iter().filter(|o| speaks(&o.seen) && matches!(o.seen, Seen::Chain { .. }));
        let answered = chains.map(|o| whole(&o.location).to_owned()).collect();
        self.stood = Some(Stood { showed: !look.proofs.is_empty(), answered });
    }

    /// Holds all that one look at the place gave against what is expected. It is proved when every address of it showed
    /// the new certificate and none the one before; what else a server has for clients of another key type is no concern
    /// of this one.
    pub fn judge(&mut self, expected: &Expectation, seen: &[Observation], vantage: &str) {
        let mut by_address: BTreeMap<&Location, Vec<Result<Proof, Disproof>>> = BTreeMap::new();
        for one in seen.iter().filter(|o| speaks(&o.seen)) {
            by_address.entry(&one.location).or_default().push(expected.judge(one, vantage));
        }
        self.proofs.clear();
        self.last.clear();
        self.against = false;
        let answered = self.stood.as_ref().map(|stood| stood.answered.as_slice()).unwrap_or_default();
        if by_address.is_empty() {
            self.last = "nothing was there to be looked at".into();
        }
        let mut proofs = Vec::new();
        for (location, answers) in by_address {
            let still =
                answers.iter().find_map(|a| a.as_ref().err().filter(|d| **d == Disproof::StillBefore));
            let proof = answers.iter().find_map(|a| a.as_ref().ok());
            match (still, proof, answers.iter().find_map(|a| a.as_ref().err())) {
                (None, Some(proof), _) => proofs.push(proof.clone()),
                (Some(wrong), ..) | (None, None, Some(wrong)) => {
                    let unseen = answers.iter().all(|a| matches!(a, Err(Disproof::Unseen(_))));
                    self.against |= !unseen || answered.iter().any(|known| known == whole(location));
                    if self.last.is_empty() {
                        self.last = format!("{} {wrong}", location.as_str());
                    }
                }
                (None, None, None) => {}
            }
        }
        if self.last.is_empty() {
            self.proofs = proofs;
        }
    }
}

/// A place without the number of a part in it.
fn whole(location: &Location) -> &str {
    location.as_str().split('#').next().unwrap_or_default()
}

/// Does it say what is in use at the place? An issuer behind the leaf in the same file does not, nor does a key.
fn speaks(seen: &Seen) -> bool {
    match seen {
        Seen::Linked(_) | Seen::Key { .. } | Seen::Time { .. } | Seen::Managed(_) => false,
        Seen::Chain { leads, facts, .. } => *leads || facts.protocol.is_some(),
        Seen::Dated { .. } | Seen::Failed { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observation::{Facts, Reason};

    fn seen(chain: &[&[u8]], endpoint: bool, proved: bool) -> Observation {
        let address = "127.0.0.1:443".parse().expect("an address");
        let facts = Facts {
            protocol: endpoint.then(|| "tls".into()),
            possession: endpoint.then_some(if proved {
                Possession::Verified
            } else {
                Possession::Unverified
            }),
            ..Facts::default()
        };
        let chain = chain.iter().map(|c| Arc::from(*c)).collect();
        Observation {
            at: UnixTime(1000),
            location: Location::endpoint("tls", address, Some("a.test")),
            seen: Seen::Chain { chain, role: None, leads: true, facts },
        }
    }

    #[test]
    fn only_the_new_one_with_its_chain_and_its_key_is_a_proof() {
        let expected = Expectation {
            leaf: Fingerprint::of(b"new"),
            chain: vec![Fingerprint::of(b"ca")],
            before: Some(Fingerprint::of(b"old")),
        };
        let judge =
            |chain: &[&[u8]], endpoint, proved| expected.judge(&seen(chain, endpoint, proved), "here");
        let proof = judge(&[b"new", b"ca", b"root"], true, true).expect("a proof");
        assert_eq!((proof.at(), proof.vantage(), proof.is_possession()), (UnixTime(1000), "here", true));
        assert_eq!(proof.location(), "tls://127.0.0.1:443?sni=a.test");
        assert_eq!(judge(&[b"old", b"ca"], true, true), Err(Disproof::StillBefore));
        assert!(matches!(judge(&[b"third", b"ca"], true, true), Err(Disproof::Other(_))));
        assert_eq!(judge(&[b"new"], true, true), Err(Disproof::ChainDiffers { came: 0, expected: 1 }));
        assert_eq!(
            judge(&[b"new", b"root", b"ca"], true, true),
            Err(Disproof::ChainDiffers { came: 0, expected: 1 })
        );
        // A relay replays the public chain and cannot finish the handshake.
        assert_eq!(judge(&[b"new", b"ca"], true, false), Err(Disproof::KeyNotProved));
        // A file proves what is in it, and no more.
        let file = judge(&[b"new"], false, false).expect("a proof");
        assert!(!file.is_possession());
        let mut failed = seen(&[b"new"], true, true);
        failed.seen = Seen::Failed { reason: Reason::Refused, detail: "connection refused".into() };
        assert!(matches!(expected.judge(&failed, "here"), Err(Disproof::Unseen(_))));
    }

    #[test]
    fn a_place_is_proved_when_every_address_shows_it_and_none_the_one_before() {
        let expected = Expectation {
            leaf: Fingerprint::of(b"new"),
            chain: vec![Fingerprint::of(b"ca")],
            before: Some(Fingerprint::of(b"old")),
        };
        let at = |port: u16, leaf: &[u8], proved: bool| {
            let mut one = seen(&[leaf, b"ca"], true, proved);
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            one.location = Location::endpoint("tls", address, None);
            one
        };
        let judged = |seen: &[Observation]| {
            let mut place = PlaceProof::of("tls://a.test:443");
            place.judge(&expected, seen, "here");
            (place.proofs.len(), place.last)
        };
        assert_eq!(judged(&[at(1, b"new", true), at(2, b"new", true)]), (2, String::new()));
        // The other certificate of a server with two key types is not in the way; the one before is.
        assert_eq!(judged(&[at(1, b"new", true), at(1, b"rsa", true)]).0, 1);
        assert_eq!(judged(&[at(1, b"new", true), at(1, b"old", true)]).0, 0);
        let (proved, last) = judged(&[at(1, b"new", true), at(2, b"old", true)]);
        assert!(proved == 0 && last.contains(":2") && last.contains("not reloaded"), "{last}");
        assert_eq!(judged(&[at(1, b"new", true), at(2, b"new", false)]).0, 0, "one relays and has no key");
        assert_eq!(judged(&[]).0, 0);
    }

    #[test]
    fn what_does_not_answer_speaks_against_it_only_where_somebody_answered_before() {
        let expected = Expectation {
            leaf: Fingerprint::of(b"new"),
            chain: vec![Fingerprint::of(b"ca")],
            before: Some(Fingerprint::of(b"old")),
        };
        let mut silent = seen(&[b"new"], true, true);
        silent.seen = Seen::Failed { reason: Reason::Refused, detail: "connection refused".into() };
        let after = |stood: &[Observation], now: &[Observation]| {
            let mut place = PlaceProof::of("tls://a.test:443");
            place.stand(&expected, stood, "here");
            place.judge(&expected, now, "here");
            (place.stood.as_ref().expect("looked at").showed, place.is_settled(), place.against)
        };
        let (old, new) = (seen(&[b"old", b"ca"], true, true), seen(&[b"new", b"ca"], true, true));
        let gone = std::slice::from_ref(&silent);
        assert_eq!(after(gone, gone), (false, false, false), "it is down, and was");
        assert_eq!(after(std::slice::from_ref(&old), gone), (false, false, true), "it was there before");
        assert_eq!(after(gone, std::slice::from_ref(&old)), (false, false, true), "seen, and wrong");
        assert_eq!(after(std::slice::from_ref(&new), std::slice::from_ref(&new)), (true, true, false));
        assert_eq!(after(std::slice::from_ref(&old), &[]), (false, false, false), "no look is no proof");
        let relayed = seen(&[b"new", b"ca"], true, false);
        assert!(after(gone, std::slice::from_ref(&relayed)).2, "broken");
    }
}
