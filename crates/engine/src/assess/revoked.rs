//! Which certificates were revoked: by the response that is stapled beside them, and by the lists that were seen.
//!
//! A list counts if its signature is by the key of an issuer that was seen, and that key signed the certificate, too. It
//! counts past its next update: what it revokes stays revoked. Not asked here: responders, and lists that nobody put in a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use notafter_core::UnixTime;
use notafter_core::dossier::RevokedView;
use notafter_core::inventory::{AssetIx, AssetKind, Inventory, Placement};
use notafter_core::location::Location;
use notafter_pki::certificate::Certificate;
use notafter_pki::crl::{Crl, reason_name};
use notafter_pki::der::strip_zeros;
use notafter_pki::fingerprint::hex;
use notafter_pki::statement::{Statement, read_rfc3339};
use notafter_pki::verdict::{is_list_of, speaks_of};
use notafter_pki::{SignatureVerdict, is_signed_by};

/// So many lists are read, the latest first, and so many octets of them.
const LISTS_MAX: usize = 500;
const OCTETS_MAX: usize = 128 << 20;
/// So many certificates of one CA's name are tried as its issuer.
const ISSUERS_MAX: usize = 8;
/// `certificateHold`, which a later list may take back, and `removeFromCRL`, which does.
const HOLD: u8 = 6;
const REMOVED: u8 = 8;

pub(super) struct Index<'i> {
    /// Responses that say `revoked`, at endpoints.
    staples: HashMap<&'i Location, Vec<AssetIx>>,
    listed: HashMap<AssetIx, Listed<'i>>,
}

/// What a list says of a certificate.
#[derive(Clone, Copy)]
struct Listed<'i> {
    place: &'i Location,
    since: Option<UnixTime>,
    reason: Option<u8>,
}

/// Certificates by the name of a CA that has a list.
#[derive(Default)]
struct House {
    issuers: Vec<AssetIx>,
    issued: Vec<AssetIx>,
}

/// Lists, each with where it lies, by the name of their issuer.
type Lists<'i> = BTreeMap<Vec<u8>, Vec<(Cow<'i, [u8]>, &'i Location)>>;

/// Certificates of one CA's name by their serial numbers.
type BySerial<'c> = HashMap<&'c [u8], Vec<(AssetIx, Certificate<'c>)>>;

impl<'i> Index<'i> {
    pub(super) fn new(inventory: &'i Inventory, places: &[Vec<u32>], at: UnixTime) -> Self {
        Self { staples: staples(inventory), listed: listed(inventory, places, at) }
    }

    /// What says that this certificate is revoked. A list weighs more than what a server says of itself.
    pub(super) fn view(
        &self,
        inventory: &Inventory,
        ix: AssetIx,
        certificate: &Certificate<'_>,
        places: &[&'i Placement],
    ) -> Option<RevokedView<'i>> {
        if let Some(found) = self.listed.get(&ix) {
            let reason = found.reason.map(|code| reason_name(code).to_owned());
            return Some(RevokedView { listed: true, place: found.place, since: found.since, reason });
        }
        if self.staples.is_empty() {
            return None;
        }
        let serial = hex(certificate.serial());
        places.iter().find_map(|place| {
            let responses = self.staples.get(&place.location)?.iter();
            let mut statements = responses.filter_map(|ix| Statement::parse(&inventory.bytes(*ix)));
            let said = statements.find(|said| said.fact_of("serial") == Some(&serial))?;
            Some(RevokedView {
                listed: false,
                place: &place.location,
                since: said.fact_of("revoked_at").and_then(read_rfc3339),
                reason: said.fact_of("reason").map(str::to_owned),
            })
        })
    }
}

fn staples(inventory: &Inventory) -> HashMap<&Location, Vec<AssetIx>> {
    let mut out: HashMap<&Location, Vec<AssetIx>> = HashMap::new();
    if !inventory.assets().any(|(_, asset)| asset.kind == AssetKind::OcspResponse) {
        return out;
    }
    for place in inventory.placements().iter().filter(|p| p.location.is_endpoint()) {
        let revoked = || {
            let said = Statement::parse(&inventory.bytes(place.asset));
            said.is_some_and(|said| said.fact_of("status") == Some("revoked"))
        };
        if inventory.asset(place.asset).kind == AssetKind::OcspResponse && revoked() {
            out.entry(&place.location).or_default().push(place.asset);
        }
    }
    out
}

fn listed<'i>(inventory: &'i Inventory, places: &[Vec<u32>], at: UnixTime) -> HashMap<AssetIx, Listed<'i>> {
    let mut out = HashMap::new();
    let lists = lists(inventory, places);
    if lists.is_empty() {
        return out;
    }
    let houses = houses(inventory, &lists);
    for (name, lists) in &lists {
        let Some(house) = houses.get(name) else { continue };
        let issued: Vec<_> = house.issued.iter().map(|ix| (*ix, inventory.bytes(*ix))).collect();
        let mut by_serial: BySerial<'_> = HashMap::new();
        for (ix, bytes) in &issued {
            if let Ok(certificate) = Certificate::parse(bytes) {
                by_serial.entry(strip_zeros(certificate.serial())).or_default().push((*ix, certificate));
            }
        }
        let mut keys = Vec::new();
        for issuer in &house.issuers {
            let bytes = inventory.bytes(*issuer);
            let Ok(issuer) = Certificate::parse(&bytes) else { continue };
            if keys.contains(&issuer.key_id()) || keys.len() == ISSUERS_MAX {
                continue;
            }
            keys.push(issuer.key_id());
            // Oldest first: what a later list says is what holds.
            for (bytes, place) in lists.iter().rev() {
                let Ok(crl) = Crl::parse(bytes) else { continue };
                if is_list_of(&crl, &issuer, at) {
                    read(&by_serial, &issuer, &crl, place, &mut out);
                }
            }
        }
    }
    out
}

/// The lists that were seen, by the names of their issuers, the latest first.
fn lists<'i>(inventory: &'i Inventory, places: &[Vec<u32>]) -> Lists<'i> {
    let mut all: Vec<(AssetIx, &Location)> = inventory
        .assets()
        .filter(|(_, asset)| asset.kind == AssetKind::Crl)
        .filter_map(|(ix, _)| {
            let first = *places.get(ix.0 as usize)?.first()?;
            Some((ix, &inventory.placements().get(first as usize)?.location))
        })
        .collect();
    all.sort_by_key(|(ix, _)| std::cmp::Reverse(inventory.asset(*ix).not_before));
    let mut octets = OCTETS_MAX;
    let mut out = Lists::new();
    for (ix, place) in all.into_iter().take(LISTS_MAX) {
        let bytes = inventory.bytes(ix);
        let Some(left) = octets.checked_sub(bytes.len()) else { continue };
        let Some(name) = Crl::parse(&bytes).ok().map(|crl| crl.issuer_name().comparison_key()) else {
            continue;
        };
        octets = left;
        out.entry(name).or_default().push((bytes, place));
    }
    out
}

/// The certificates of those who have a list, and those that they issued.
fn houses(inventory: &Inventory, lists: &Lists<'_>) -> HashMap<Vec<u8>, House> {
    let mut out: HashMap<Vec<u8>, House> = HashMap::new();
    for (ix, _) in inventory.assets().filter(|(_, asset)| asset.kind == AssetKind::Certificate) {
        let bytes = inventory.bytes(ix);
        let Ok(certificate) = Certificate::parse(&bytes) else { continue };
        let subject = certificate.subject().comparison_key();
        let issuer = certificate.issuer_name().comparison_key();
        if lists.contains_key(&subject) && (certificate.is_ca() || certificate.version() < 3) {
            out.entry(subject).or_default().issuers.push(ix);
        }
        if lists.contains_key(&issuer) {
            out.entry(issuer).or_default().issued.push(ix);
        }
    }
    out
}

/// Takes from one list what it says of the certificates of its issuer.
fn read<'i>(
    by_serial: &BySerial<'_>,
    issuer: &Certificate<'_>,
    crl: &Crl<'_>,
    place: &'i Location,
    out: &mut HashMap<AssetIx, Listed<'i>>,
) {
    let by_issuer = |one: &Certificate<'_>| is_signed_by(one, issuer.spki()) == SignatureVerdict::Good;
    let mut named = Vec::new();
    for entry in crl.revoked() {
        let Some(found) = by_serial.get(strip_zeros(entry.serial)) else { continue };
        for (ix, _) in found.iter().filter(|(_, one)| speaks_of(crl, one) && by_issuer(one)) {
            named.push(*ix);
            if entry.reason == Some(REMOVED) {
                out.remove(ix);
            } else {
                out.insert(*ix, Listed { place, since: entry.date, reason: entry.reason });
            }
        }
    }
    // What was on hold and is on the later list no more was let go.
    if !crl.is_delta() {
        for (ix, certificate) in by_serial.values().flatten() {
            let held = out.get(ix).is_some_and(|listed| listed.reason == Some(HOLD));
            if held && !named.contains(ix) && speaks_of(crl, certificate) && by_issuer(certificate) {
                out.remove(ix);
            }
        }
    }
}
