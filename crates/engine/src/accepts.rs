//! Which endpoints ask for a client certificate, and which of them name its issuer: where a certificate that signs in is
//! let in.
//!
//! An index over an inventory, for the judge and for `show`. A server names the CAs that it accepts (RFC 8446 section
//! 4.2.4, RFC 5246 section 7.4.4) by their names alone, and one that names none may accept any or look elsewhere: what is
//! told is who asks for what, never that somebody was let in.

use std::collections::HashMap;

use notafter_core::dossier::Accepted;
use notafter_core::inventory::{AssetIx, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_pki::certificate::Certificate;
use notafter_pki::oid;

/// So many endpoints are told of one certificate.
const PLACES_MAX: usize = 100;

/// May it be shown to others? It lies in a file, is no CA's, and its purposes or its role say so.
pub(crate) fn signs_in(certificate: &Certificate<'_>, places: &[&Placement]) -> bool {
    let in_file = places.iter().any(|p| p.location.is_file() && matches!(p.role, Role::Client | Role::Leaf));
    let client = || certificate.extended_key_usage().is_some_and(|all| all.has(oid::CLIENT_AUTH));
    in_file && !certificate.is_ca() && (places.iter().any(|p| p.role == Role::Client) || client())
}

/// Endpoints by the names of the CAs that they ask for.
#[derive(Default)]
pub struct Accepts<'i> {
    by_ca: HashMap<&'i str, Vec<&'i Location>>,
    any: Vec<&'i Location>,
}

impl<'i> Accepts<'i> {
    /// Of what an inventory has seen.
    pub fn new(inventory: &'i Inventory) -> Self {
        let mut out = Self::default();
        for placement in inventory.placements().iter().filter(|p| p.role == Role::Leaf) {
            let Some(cas) = placement.facts.client_cas.as_deref() else { continue };
            if cas.is_empty() {
                out.any.push(&placement.location);
            }
            for ca in cas {
                out.by_ca.entry(ca).or_default().push(&placement.location);
            }
        }
        out
    }

    /// The same for a certificate of the inventory by itself; empty for what is a CA's, and no client's by its purposes or
    /// its role there.
    pub fn of_client(&self, inventory: &Inventory, ix: AssetIx) -> Accepted<'i> {
        let places: Vec<u32> = inventory
            .placements()
            .iter()
            .enumerate()
            .filter(|(_, p)| p.asset == ix)
            .map(|(n, _)| n as u32)
            .collect();
        let bytes = inventory.bytes(ix);
        let own: Vec<_> = places.iter().filter_map(|n| inventory.placements().get(*n as usize)).collect();
        match Certificate::parse(&bytes) {
            Ok(certificate) if signs_in(&certificate, &own) => self.of(inventory, ix, &places),
            _ => Accepted::default(),
        }
    }

    /// Who asks for certificates of the issuers of this one: its own, and those of the certificates that lie behind it.
    pub fn of(&self, inventory: &Inventory, ix: AssetIx, places: &[u32]) -> Accepted<'i> {
        if self.by_ca.is_empty() && self.any.is_empty() {
            return Accepted::default();
        }
        let mut members = vec![ix];
        for place in places.iter().take(PLACES_MAX) {
            let chain = inventory.placements().get(*place as usize).and_then(|p| p.chain.as_ref());
            members.extend(chain.into_iter().flat_map(|chain| chain.iter().skip(1)).copied());
        }
        members.sort_unstable_by_key(|ix| ix.0);
        members.dedup();
        let mut named: Vec<&Location> = Vec::new();
        for member in members {
            let bytes = inventory.bytes(member);
            let Ok(certificate) = Certificate::parse(&bytes) else { continue };
            let issuer = certificate.issuer_name().to_rfc4514();
            named.extend(self.by_ca.get(issuer.as_str()).into_iter().flatten());
        }
        named.sort_unstable();
        named.dedup();
        named.truncate(PLACES_MAX);
        let mut any = self.any.clone();
        any.truncate(PLACES_MAX);
        Accepted { named, any }
    }
}
