//! What is known of a certificate that a public log has: is it, or the certificate that came of it, anywhere here; and
//! who issued what is served here.
//!
//! A precertificate and its certificate have issuer and serial number in common, and no octet more than that (RFC 6962
//! section 3.1). Nothing is judged. Without anything of a log, this costs one look at each placement.

use std::collections::{BTreeMap, HashMap};

use notafter_core::dossier::LoggedView;
use notafter_core::inventory::{AssetIx, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::rules::unexpected_issuance::issuer_of;
use notafter_pki::certificate::Certificate;

/// So many CAs are named at most.
const ISSUERS_MAX: usize = 200;

/// Certificates by issuer and serial number, where a log has any.
#[derive(Default)]
pub(super) struct Index<'i> {
    twins: HashMap<Vec<u8>, Twin<'i>>,
    /// Who issued what is served, the most frequent first.
    issuers: Vec<String>,
}

/// A certificate and its precertificate, as one.
#[derive(Default)]
struct Twin<'i> {
    /// Where one of them is, other than in a log.
    known_at: Option<&'i Location>,
    /// The certificate in a log.
    issued: Option<AssetIx>,
}

/// Octets that a certificate and its precertificate share.
fn key(certificate: &Certificate<'_>) -> Vec<u8> {
    [certificate.serial(), &[0], certificate.issuer_name().der()].concat()
}

impl<'i> Index<'i> {
    pub(super) fn new(inventory: &'i Inventory) -> Self {
        let mut out = Self::default();
        if !inventory.placements().iter().any(|place| place.role == Role::Logged) {
            return out;
        }
        let mut issuers: BTreeMap<String, usize> = BTreeMap::new();
        for place in inventory.placements() {
            if !matches!(place.role, Role::Logged | Role::Leaf | Role::Client | Role::Signer) {
                continue;
            }
            let bytes = inventory.bytes(place.asset);
            let Ok(certificate) = Certificate::parse(&bytes) else { continue };
            let twin = out.twins.entry(key(&certificate)).or_default();
            if place.role != Role::Logged {
                twin.known_at = twin.known_at.or(Some(&place.location));
            } else if !certificate.is_precertificate() {
                twin.issued = Some(place.asset);
            }
            let served = place.role == Role::Leaf && place.location.is_endpoint();
            if served && !certificate.is_self_issued() {
                *issuers.entry(issuer_of(&certificate.issuer_name())).or_default() += 1;
            }
        }
        let mut issuers: Vec<_> = issuers.into_iter().collect();
        issuers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        out.issuers = issuers.into_iter().take(ISSUERS_MAX).map(|(issuer, _)| issuer).collect();
        out
    }

    /// What is known of this one, if a log has it.
    pub(super) fn view(
        &self,
        ix: AssetIx,
        certificate: &Certificate<'_>,
        places: &[&'i Placement],
    ) -> Option<LoggedView<'i>> {
        let at: Vec<_> =
            places.iter().filter(|place| place.role == Role::Logged).map(|place| &place.location).collect();
        if at.is_empty() {
            return None;
        }
        let twin = self.twins.get(&key(certificate));
        Some(LoggedView {
            at,
            known_at: twin.and_then(|twin| twin.known_at),
            issued: twin.and_then(|twin| twin.issued).is_some_and(|issued| issued != ix),
            issuers: self.issuers.clone(),
        })
    }
}
