//! What each simulated client would say of the chains that a host serves: the same judge as `notafter verify --client`.
//!
//! Clients that say the same stand in one line. Roots named with `--roots` are trusted by all of them here, because
//! whoever names them has them installed.

use std::collections::BTreeMap;

use notafter_core::UnixTime;
use notafter_core::clients::{LISTED, OPENSSL_1_0};
use notafter_core::inventory::AssetIx;
use notafter_pki::certificate::Certificate;
use notafter_pki::verdict::{Purpose, Question, Reason, Rules, ServerName, Verdict, judge};

use super::Seen;
use super::evidence::leaves;
use crate::commands::verify::client::Client;
use crate::print::table::shown;

/// So many different chains are judged; a farm has one or two.
const CHAINS_MAX: usize = 8;

/// What some clients say of one chain.
pub(super) struct View {
    /// One of its places.
    pub(super) place: String,
    /// Who says so.
    pub(super) clients: Vec<&'static str>,
    /// How many were asked.
    pub(super) asked: usize,
    /// Why they refuse it; `None`: they accept it.
    pub(super) refused: Option<Refusal>,
    /// Until when they accept it.
    pub(super) expires: Option<UnixTime>,
}

/// Why a chain is refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    /// In a sentence.
    pub(super) why: String,
    /// Is it a date?
    pub(super) dated: bool,
    /// Is it only that they do not know the root?
    pub(super) unknown: bool,
}

/// Every view there is, chain by chain.
pub(super) fn views(seen: &Seen) -> Vec<View> {
    let served = leaves(&seen.inventory);
    if served.is_empty() {
        return Vec::new();
    }
    let names = ["mozilla", "system", OPENSSL_1_0].into_iter().chain(LISTED.iter().map(|client| client.name));
    let clients: Vec<(&'static str, Client)> = names
        .filter_map(|name| {
            let mut client = Client::named(name, &[]).ok()?;
            client.roots.extend(seen.trust.given.iter().cloned());
            Some((name, client))
        })
        .collect();
    // Each distinct chain once, by preference as those see it who send the name.
    let mut chains: BTreeMap<Vec<AssetIx>, (String, Option<String>)> = BTreeMap::new();
    for place in served.values().flatten() {
        let Some(chain) = &place.chain else { continue };
        let sni = place.location.sni().map(str::to_owned);
        let entry = chains.entry(chain.to_vec()).or_insert_with(|| (shown(&place.location), sni.clone()));
        if entry.1.is_none() && sni.is_some() {
            *entry = (shown(&place.location), sni);
        }
    }
    // What is shown to those who send no name is met by none who do.
    if seen.name.is_some() && chains.values().any(|(_, sni)| sni.is_some()) {
        chains.retain(|_, (_, sni)| sni.is_some());
    }
    let mut out = Vec::new();
    for (chain, (place, sni)) in chains.into_iter().take(CHAINS_MAX) {
        out.extend(of_chain(seen, &clients, &chain, &place, sni.as_deref()));
    }
    out
}

fn of_chain(
    seen: &Seen,
    clients: &[(&'static str, Client)],
    chain: &[AssetIx],
    place: &str,
    sni: Option<&str>,
) -> Vec<View> {
    let bytes: Vec<_> = chain.iter().map(|ix| seen.inventory.bytes(*ix)).collect();
    let certificates: Vec<Certificate<'_>> =
        bytes.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    let Some((leaf, sent)) = certificates.split_first() else { return Vec::new() };
    let name = sni.and_then(|name| name.parse::<ServerName>().ok());
    let mut groups: BTreeMap<(Option<Refusal>, Option<UnixTime>), Vec<&'static str>> = BTreeMap::new();
    for (who, client) in clients {
        let anchors: Vec<Certificate<'_>> =
            client.roots.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
        let narrowed = client.narrowed(leaf, sent, &anchors);
        let (sent, anchors): (&[_], &[_]) = match &narrowed {
            Some((sent, anchors)) => (sent, anchors),
            None => (sent, &anchors),
        };
        let question = Question {
            leaf: *leaf,
            sent,
            anchors,
            name: name.as_ref(),
            at: seen.at,
            purpose: Purpose::Server,
            crls: &[],
            rules: Rules { anchor_expiry: client.heeds_anchor, ..Rules::default() },
        };
        let said = match judge(&question) {
            Verdict::Trusted { expires, .. } => (None, Some(expires)),
            Verdict::Untrusted { reason, detail, .. } => {
                let refusal = Refusal {
                    why: format!("{detail} ({reason})"),
                    dated: matches!(reason, Reason::Expired | Reason::NotYetValid),
                    unknown: matches!(reason, Reason::UnknownIssuer | Reason::UntrustedRoot),
                };
                (Some(refusal), None)
            }
        };
        groups.entry(said).or_default().push(who);
    }
    let clients_asked = clients.len();
    let view = |((refused, expires), clients)| View {
        place: place.to_owned(),
        clients,
        asked: clients_asked,
        refused,
        expires,
    };
    groups.into_iter().map(view).collect()
}
