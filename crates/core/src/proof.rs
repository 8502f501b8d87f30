//! "Renewed" is what was seen in use, at every place: the only sense in which this program says it.
//!
//! An [`Expectation`] is made from what was issued; [`Expectation::judge`] holds one observation against it, and is the
//! only way to a [`Proof`]. That a deployer wrote files and a server said "reloaded" proves nothing here.

use std::collections::BTreeMap;
use std::sync::Arc;

use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::hex;
use serde::{Deserialize, Serialize};

use crate::document;
use crate::issuance::Identifier;
use crate::location::Location;
use crate::observation::{Observation, Possession, Seen};
use crate::rules::name_mismatch::covers;
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
    /// What another leaf has to have to be in its way. `None`: it cannot be read, and every other one is.
    post: Option<Post>,
}

/// What a leaf is there for: two of the same key type for the same name cannot both be in use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Post {
    key: String,
    names: Vec<String>,
}

impl Post {
    fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::parse(der).ok()?;
        let mut names = document::names(&certificate).dns_and_ip;
        if names.is_empty() {
            names.extend(certificate.subject().common_name());
        }
        Some(Self { key: certificate.public_key().algorithm(), names })
    }

    /// Would the other one stand in its place? One for other names, or for clients of another key type, would not.
    fn is_that_of(&self, other: &Self) -> bool {
        let shared = |name: &String| other.names.iter().any(|its| covers(name, its) || covers(its, name));
        self.key == other.key && (self.names.is_empty() || self.names.iter().any(shared))
    }
}

/// Evidence that one place showed what was expected. Only [`Expectation::judge`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    at: i64,
    vantage: String,
    location: String,
    leaf: String,
    /// The CA certificates that came behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chain: Vec<String>,
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

    /// The fingerprints of the CA certificates that were shown behind it, in their order, in hexadecimal.
    pub fn chain(&self) -> &[String] {
        &self.chain
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
    /// Another leaf of the same key type is there for the same name: an older one, or one that somebody else put there.
    Rival(Fingerprint),
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
                "still shows the certificate before: it was not reloaded, it wants a restart, or it reads another file",
            ),
            Self::Other(leaf) => {
                write!(f, "shows another certificate, sha256:{}", &hex(&leaf.0)[..16])
            }
            Self::Rival(leaf) => {
                write!(f, "shows another certificate for the same name, sha256:{}", &hex(&leaf.0)[..16])
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

impl Disproof {
    /// Does it stand in the way of a proof that another answer of the same place gave? Another machine behind the same
    /// address gave it: one that was forgotten, or that lacks the chain. A key that was not proved does not: the first look at
    /// an address proves nothing where the second one, which would, came to another machine.
    fn outweighs_a_proof(&self) -> bool {
        match self {
            Self::StillBefore | Self::Rival(_) | Self::ChainDiffers { .. } => true,
            Self::Other(_) | Self::KeyNotProved | Self::Unseen(_) => false,
        }
    }
}

impl Expectation {
    /// Of this leaf (DER), with these CA certificates behind it, after that leaf.
    pub fn new(
        leaf: &[u8],
        above: impl IntoIterator<Item = Fingerprint>,
        before: Option<Fingerprint>,
    ) -> Self {
        let chain = above.into_iter().collect();
        Self { leaf: Fingerprint::of(leaf), chain, before, post: Post::of(leaf) }
    }

    /// Another leaf than the one expected.
    fn other(&self, der: &[u8]) -> Disproof {
        let rival = self.post.as_ref().zip(Post::of(der)).is_none_or(|(own, its)| own.is_that_of(&its));
        let leaf = Fingerprint::of(der);
        if rival { Disproof::Rival(leaf) } else { Disproof::Other(leaf) }
    }

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
        let (Some(leaf), Some(der)) = (shown.next(), chain.first()) else {
            return Err(Disproof::Unseen("an empty chain".into()));
        };
        if self.before == Some(leaf) && leaf != self.leaf {
            return Err(Disproof::StillBefore);
        }
        if leaf != self.leaf {
            return Err(self.other(der));
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
            chain: chain.iter().skip(1).map(|der| hex(&Fingerprint::of(der).0)).collect(),
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
    /// Of its addresses, those that are not asked for, as `scheme://address:port`, each with who said so and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spared: Vec<(String, String)>,
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
    /// the new certificate and none the one before, nor another one that would stand in its place. What else a server has
    /// for clients of another key type, or a keystore in its other entries, is no concern of this one.
    pub fn judge(&mut self, expected: &Expectation, seen: &[Observation], vantage: &str) {
        let mut by_spot: BTreeMap<Spot<'_>, Vec<Answer<'_>>> = BTreeMap::new();
        let spared: Vec<Location> = self.spared.iter().filter_map(|(at, _)| Location::parse(at)).collect();
        let is_spared = |o: &&Observation| {
            spared.iter().any(|at| at.scheme() == o.location.scheme() && at.address() == o.location.address())
        };
        let mut silent = true;
        for one in seen.iter().filter(|o| speaks(&o.seen)) {
            silent = false;
            if is_spared(&one) {
                continue;
            }
            by_spot.entry(spot(one)).or_default().push((&one.location, expected.judge(one, vantage)));
        }
        self.proofs.clear();
        self.last.clear();
        self.against = false;
        let answered = self.stood.as_ref().map(|stood| stood.answered.as_slice()).unwrap_or_default();
        if by_spot.is_empty() {
            let why =
                if silent { "nothing was there to be looked at" } else { "every address of it is excused" };
            self.last = why.into();
        }
        let mut proofs = Vec::new();
        for answers in by_spot.into_values() {
            let (location, wrong) = match verdict(&answers) {
                Ok(proof) => {
                    proofs.push(proof.clone());
                    continue;
                }
                Err(wrong) => wrong,
            };
            let unseen = answers.iter().all(|(_, a)| matches!(a, Err(Disproof::Unseen(_))));
            self.against |= !unseen || answered.iter().any(|known| known == whole(location));
            if self.last.is_empty() {
                self.last = format!("{} {wrong}", location.as_str());
            }
        }
        if self.last.is_empty() {
            self.proofs = proofs;
        }
    }
}

/// What has to show the certificate: an address, a file, one certificate of several in a file, a whole keystore.
type Spot<'a> = (&'a str, bool);

/// What one look at a spot gave.
type Answer<'a> = (&'a Location, Result<Proof, Disproof>);

/// Which spot was looked at. A server takes its entry out of a keystore by name; of other files it takes the first.
fn spot(seen: &Observation) -> Spot<'_> {
    match &seen.seen {
        Seen::Chain { facts, .. } if facts.entry => (whole(&seen.location), true),
        _ => (seen.location.as_str(), false),
    }
}

/// What all answers of one spot come to.
fn verdict<'a>(answers: &'a [Answer<'a>]) -> Result<&'a Proof, (&'a Location, Disproof)> {
    let wrong = |(at, answer): &'a Answer<'a>| Some((*at, answer.as_ref().err()?));
    if let Some((at, wrong)) = answers.iter().filter_map(wrong).find(|(_, d)| d.outweighs_a_proof()) {
        return Err((at, wrong.clone()));
    }
    match answers.iter().find_map(|(_, answer)| answer.as_ref().ok()) {
        Some(proof) => Ok(proof),
        None => Err(answers.iter().find_map(wrong).map_or_else(
            || (answers[0].0, Disproof::Unseen("nobody answered".into())),
            |(at, wrong)| (at, wrong.clone()),
        )),
    }
}

/// Did a server show it, at one of these places, and prove to hold its key? A file that holds it says nothing of servers.
pub fn is_served(places: &[PlaceProof]) -> bool {
    places.iter().flat_map(|place| &place.proofs).any(Proof::is_possession)
}

/// The chain that a place has for these names (none: whatever it is for). A file leads with its first; a keystore has an
/// order of its own, and others whom it trusts beside it.
pub fn leading<'a>(seen: &'a [Observation], names: &[Identifier]) -> Option<&'a [Arc<[u8]>]> {
    let chains = || {
        seen.iter().filter_map(|one| match &one.seen {
            Seen::Chain { chain, leads: true, facts, .. } => Some((chain.as_slice(), facts.entry)),
            _ => None,
        })
    };
    let (first, entry) = chains().next()?;
    if !entry {
        return Some(first);
    }
    let asked: Vec<String> = names.iter().map(ToString::to_string).collect();
    let fits = |chain: &&[Arc<[u8]>]| {
        let Some(leaf) = chain.first().and_then(|der| Certificate::parse(der).ok()) else { return false };
        let its = document::names(&leaf).dns_and_ip;
        !leaf.is_ca() && (asked.is_empty() || asked.iter().any(|name| its.iter().any(|n| covers(n, name))))
    };
    chains().map(|(chain, _)| chain).find(fits).or(asked.is_empty().then_some(first))
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
        let expected = Expectation::new(b"new", [Fingerprint::of(b"ca")], Some(Fingerprint::of(b"old")));
        let judge =
            |chain: &[&[u8]], endpoint, proved| expected.judge(&seen(chain, endpoint, proved), "here");
        let proof = judge(&[b"new", b"ca", b"root"], true, true).expect("a proof");
        assert_eq!((proof.at(), proof.vantage(), proof.is_possession()), (UnixTime(1000), "here", true));
        assert_eq!(proof.location(), "tls://127.0.0.1:443?sni=a.test");
        assert_eq!(judge(&[b"old", b"ca"], true, true), Err(Disproof::StillBefore));
        assert!(matches!(judge(&[b"third", b"ca"], true, true), Err(Disproof::Rival(_))));
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
        let expected = Expectation::new(b"new", [Fingerprint::of(b"ca")], Some(Fingerprint::of(b"old")));
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
        // What cannot be read is not known to be harmless.
        assert_eq!(judged(&[at(1, b"new", true), at(1, b"odd", true)]).0, 0);
        assert_eq!(judged(&[at(1, b"new", true), at(1, b"old", true)]).0, 0);
        let (proved, last) = judged(&[at(1, b"new", true), at(2, b"old", true)]);
        assert!(proved == 0 && last.contains(":2") && last.contains("not reloaded"), "{last}");
        assert_eq!(judged(&[at(1, b"new", true), at(2, b"new", false)]).0, 0, "one relays and has no key");
        let mut bare = at(1, b"new", true);
        let Seen::Chain { chain, .. } = &mut bare.seen else { unreachable!() };
        chain.truncate(1);
        let (proved, last) = judged(&[at(1, b"new", true), bare]);
        assert!(proved == 0 && last.contains("0 of 1"), "one behind the address lacks the chain: {last}");
        assert_eq!(judged(&[]).0, 0);
        // One address is excused by name: the others are not.
        let excused = |seen: &[Observation]| {
            let spared = vec![("tls://127.0.0.1:2".to_owned(), "it is replaced in spring".to_owned())];
            let mut place = PlaceProof { spared, ..PlaceProof::of("tls://a.test:443") };
            place.judge(&expected, seen, "here");
            (place.proofs.len(), place.last)
        };
        assert_eq!(excused(&[at(1, b"new", true), at(2, b"old", true)]), (1, String::new()));
        assert_eq!(excused(&[at(1, b"old", true), at(2, b"new", true)]).0, 0);
        assert_eq!(excused(&[at(2, b"new", true)]), (0, "every address of it is excused".to_owned()));
    }

    /// A certificate for these names with a P-256 key, or an Ed25519 one.
    fn leaf(names: &[&str], edwards: bool) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let kind = if edwards { &rcgen::PKCS_ED25519 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
        let key = rcgen::KeyPair::generate_for(kind).expect("a key");
        let params = rcgen::CertificateParams::new(names).expect("names");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn an_older_one_behind_the_same_address_is_in_the_way_and_a_twin_for_other_clients_is_not() {
        let (new, old) = (leaf(&["a.test", "b.test"], false), leaf(&["a.test", "b.test"], false));
        let judged = |before: Option<&[u8]>, other: &[u8]| {
            let expected = Expectation::new(&new, [], before.map(Fingerprint::of));
            let mut place = PlaceProof::of("tls://a.test:443");
            place.judge(&expected, &[seen(&[&new], true, true), seen(&[other], true, true)], "here");
            (place.is_settled(), place.last, place.against)
        };
        // Two backends of one address, of which one is older still than the one before.
        let stale = leaf(&["a.test"], false);
        for before in [None, Some(old.as_slice())] {
            let (settled, last, against) = judged(before, &stale);
            assert!(!settled && against && last.contains("for the same name"), "{last}");
            assert!(judged(before, &leaf(&["a.test"], true)).0, "for clients of another key type");
            assert!(judged(before, &leaf(&["c.test"], false)).0, "for another name");
        }
        assert!(!judged(None, b"what is this").0);
        let wild = leaf(&["*.a.test"], false);
        let expected = Expectation::new(&wild, [], None);
        let other = expected.judge(&seen(&[&leaf(&["x.a.test"], false)], true, true), "here");
        assert!(matches!(other, Err(Disproof::Rival(_))), "{other:?}");
    }

    #[test]
    fn of_a_keystore_only_our_own_entry_counts_and_of_another_file_everything() {
        let (new, old) = (leaf(&["a.test"], false), leaf(&["a.test"], false));
        let (anchor, partner) = (leaf(&["Partner CA"], false), leaf(&["b.test"], false));
        let expected = Expectation::new(&new, [], Some(Fingerprint::of(&old)));
        let part = |entry: bool, (n, der): (usize, &&Vec<u8>)| {
            let mut one = seen(&[der.as_slice()], false, false);
            one.location = Location::file(b"/srv/store", &format!("e{n}"));
            let Seen::Chain { facts, .. } = &mut one.seen else { unreachable!() };
            facts.entry = entry;
            one
        };
        let judged = |entry: bool, all: &[&Vec<u8>]| {
            let mut place = PlaceProof::of("file:///srv/store");
            place.judge(
                &expected,
                &all.iter().enumerate().map(|one| part(entry, one)).collect::<Vec<_>>(),
                "here",
            );
            (place.proofs.len(), place.last)
        };
        for all in [[&anchor, &partner, &new], [&new, &partner, &anchor]] {
            assert_eq!(judged(true, &all), (1, String::new()));
            // The first of a PEM file is the one that is served: what it is, nobody knows.
            assert_eq!(judged(false, &all).0, 0);
        }
        assert_eq!(judged(true, &[&anchor, &partner]).0, 0);
        assert!(judged(true, &[&new, &old]).1.contains("still shows"));
        let stale = leaf(&["a.test"], false);
        assert!(
            judged(true, &[&new, &anchor, &stale]).1.contains("#e2 shows another certificate for the same")
        );
    }

    #[test]
    fn what_does_not_answer_speaks_against_it_only_where_somebody_answered_before() {
        let expected = Expectation::new(b"new", [Fingerprint::of(b"ca")], Some(Fingerprint::of(b"old")));
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
