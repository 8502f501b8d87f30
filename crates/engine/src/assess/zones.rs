//! What was seen of each zone of the DNS: the copy that was signed last, its keys, and who may issue for names in it.
//!
//! Joins copies of zones with each other and with the anchors by which somebody trusts them, and certificates with the
//! CAA records above their names. Nothing is judged.

use std::collections::HashMap;

use notafter_core::document;
use notafter_core::dossier::{CaaView, ZoneView};
use notafter_core::inventory::{AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_pki::certificate::Certificate;
use notafter_pki::dns::{KeyIdentity, caa, name, zone::keys_of};
use notafter_pki::statement::Statement;

/// So many names of one certificate are compared with CAA records.
const NAMES_MAX: usize = 100;

/// Zones by their names.
#[derive(Default)]
pub(crate) struct Zones<'i> {
    copies: HashMap<String, Vec<Copy<'i>>>,
    policies: HashMap<String, (Statement, &'i Location)>,
}

/// One copy of a zone, or the keys that its servers have.
struct Copy<'i> {
    asset: AssetIx,
    signed: String,
    keys: Vec<KeyIdentity>,
    at: &'i Location,
}

impl<'i> Zones<'i> {
    pub(crate) fn new(inventory: &'i Inventory, places: &[Vec<u32>]) -> Self {
        let mut out = Self::default();
        for (ix, asset) in inventory.assets() {
            let related = [AssetKind::DnssecSignature, AssetKind::BareKey, AssetKind::CaaPolicy];
            if !related.contains(&asset.kind) {
                continue;
            }
            let first = places.get(ix.0 as usize).and_then(|list| list.first());
            let Some(place) = first.and_then(|n| inventory.placements().get(*n as usize)) else { continue };
            let Some(statement) = Statement::parse(&inventory.bytes(ix)) else { continue };
            if asset.kind == AssetKind::CaaPolicy {
                if let Some(owner) = statement.names().first().cloned() {
                    out.policies.insert(owner, (statement, &place.location));
                }
                continue;
            }
            let is_copy =
                asset.kind == AssetKind::DnssecSignature || statement.fact_of("usage") == Some("dnssec-keys");
            if let Some((zone, keys)) = keys_of(&statement).filter(|_| is_copy) {
                // RFC 3339 in UTC: the order of the text is that of the time.
                let signed = statement.fact_of("last_signed").unwrap_or_default().to_owned();
                let copy = Copy { asset: ix, signed, keys, at: &place.location };
                out.copies.entry(zone.to_owned()).or_default().push(copy);
            }
        }
        out
    }

    /// What else is known of the zone that this is about.
    pub(crate) fn view(&self, ix: AssetIx, statement: &Statement) -> Option<ZoneView<'i>> {
        let (zone, _) = keys_of(statement)?;
        let copies = self.copies.get(zone).map(Vec::as_slice).unwrap_or_default();
        let own = copies.iter().find(|copy| copy.asset == ix).map(|copy| copy.signed.as_str());
        let last = copies.iter().max_by(|a, b| a.signed.cmp(&b.signed));
        Some(ZoneView {
            keys: last.map(|copy| copy.keys.clone()),
            keys_at: last.map(|copy| copy.at),
            newer: last.filter(|last| own.is_some_and(|own| *last.signed > *own)).map(|last| last.at),
        })
    }

    /// Who may issue for the names of a certificate that is served, or that a log has.
    pub(crate) fn policies(&self, certificate: &Certificate<'_>, places: &[&Placement]) -> Vec<CaaView<'i>> {
        let counts =
            |p: &&Placement| p.role == Role::Logged || p.role == Role::Leaf && p.location.is_endpoint();
        let served = places.iter().any(counts);
        if self.policies.is_empty() || !served {
            return Vec::new();
        }
        let names = document::names(certificate).dns_and_ip;
        names.into_iter().take(NAMES_MAX).filter_map(|name| self.policy(name)).collect()
    }

    /// The records nearest above a name; for a wildcard, `issuewild` where there is one (RFC 8659 section 4.3).
    fn policy(&self, name: String) -> Option<CaaView<'i>> {
        let lower = name.to_ascii_lowercase();
        let wild = lower.strip_prefix("*.");
        let mut at = Some(wild.unwrap_or(&lower));
        let (statement, seen_at) = loop {
            let here = at.filter(|here| *here != ".")?;
            match self.policies.get(here) {
                Some(found) => break found,
                None => at = name::parent(here),
            }
        };
        Some(CaaView {
            name,
            records_of: statement.names().first()?.clone(),
            allowed: caa::allowed(statement, wild.is_some())?,
            critical: statement.fact_of("critical_unknown").map(str::to_owned),
            seen_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notafter_pki::statement::StatementKind;

    #[test]
    fn a_critical_property_that_nobody_knows_forbids() {
        let at = Location::file(b"/zones/test", "");
        let mut zones = Zones::default();
        for (owner, tag) in [("a.test", Some("tbs")), ("b.test", None)] {
            let policy = Statement::new(StatementKind::CaaPolicy, "a policy")
                .name(owner)
                .fact_if("critical_unknown", tag.map(str::to_owned));
            zones.policies.insert(owner.to_owned(), (policy, &at));
        }
        let view = zones.policy("*.www.a.test".to_owned()).expect("it is a policy");
        assert_eq!((view.records_of.as_str(), view.critical.as_deref()), ("a.test", Some("tbs")));
        assert!(view.allowed.is_empty());
        assert!(zones.policy("b.test".to_owned()).is_none(), "whoever may");
    }
}
