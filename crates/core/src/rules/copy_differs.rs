//! `copy-differs`: a partner's copy of SAML metadata lacks a certificate that a newer copy has.
//!
//! As soon as the new key is used, whoever has the old copy refuses. Which copy is the newer one is told by the
//! certificates: the one whose latest begins later. A copy that merely keeps an old one besides is in order.

use crate::UnixTime;
use crate::dossier::{CopyView, Dossier};
use crate::ending;
use crate::finding::{Finding, Kind, Severity};
use crate::inventory::{Asset, AssetKind};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct CopyDiffers;

/// So long before its last certificate ends a copy becomes urgent.
const CRITICAL: i64 = 7 * DAY;

impl Rule for CopyDiffers {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::CopyDiffers,
            doc: "a copy of SAML metadata lacks certificates that a newer copy of the same entity's has",
            citation: "SAML metadata interoperability profile section 2.6: keys are what metadata say, and nothing else",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::SignedMetadata]) else {
            return Verdict::NotApplicable;
        };
        let copies = &view.around.copies;
        let latest = |copy: &&CopyView<'_>| {
            (
                copy.certificates.iter().filter_map(|a| a.not_before).max(),
                copy.certificates.len(),
                !copy.crowd,
            )
        };
        let Some(newest) = copies.iter().max_by_key(latest).filter(|_| copies.len() > 1) else {
            return Verdict::NotApplicable;
        };
        let mut holds: Option<UnixTime> = None;
        let mut until = |at: Option<UnixTime>| {
            let at = at.filter(|at| *at > now);
            holds = holds.into_iter().chain(at).min();
        };
        let mut findings = Vec::new();
        for copy in copies.iter().filter(|c| c.place.container() != newest.place.container()) {
            // Each copy is judged where it is stated; two documents of a federation are others' to compare.
            let here = view.locations().any(|l| l.container() == copy.place.container());
            if !here || (copy.crowd && newest.crowd) || copy.place.is_published() {
                continue;
            }
            let has = |asset: &Asset| copy.certificates.iter().any(|known| known.id == asset.id);
            let alive = |asset: &Asset| asset.not_after.is_none_or(|end| end >= now);
            let missing: Vec<_> = newest.certificates.iter().filter(|a| !has(a) && alive(a)).collect();
            missing.iter().for_each(|a| until(a.not_after.map(|t| t.plus(1))));
            if missing.is_empty() {
                continue;
            }
            let last = copy.certificates.iter().filter_map(|a| a.not_after).max();
            let urgent = last.is_none_or(|last| now > last.plus(-CRITICAL));
            until(last.map(|last| last.plus(1 - CRITICAL)));
            let severity = if urgent { Severity::Critical } else { Severity::Warning };
            let count = missing.len();
            let lacks = if count == 1 { "a certificate".to_owned() } else { format!("{count} certificates") };
            findings.push(
                Finding::new(Kind::CopyDiffers, severity, Some(view.asset.id), copy.place.container())
                    .at([copy.place, newest.place])
                    .deadline(last)
                    .summary(format!("a copy of the {} lacks {lacks} that a newer copy has", view.title()))
                    .hint(
                        "have whoever keeps the old copy fetch it anew before the new key is used, and have it fetched \
                         daily from then on; do not sign with the new key before",
                    )
                    .evidence("copy", copy.place)
                    .evidence("newer", newest.place)
                    .evidence("missing", missing.iter().map(|a| a.id.to_string()).collect::<Vec<_>>()),
            );
        }
        if findings.is_empty() {
            return Verdict::Pass { holds_until: holds };
        }
        Verdict::Found { findings, holds_until: holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fingerprint;
    use crate::dossier::Around;
    use crate::ending::scene::check_stated;
    use crate::inventory::BytesAt;
    use crate::location::Location;
    use crate::observation::Facts;
    use crate::rules::scene::days;

    /// A certificate: number, first day, last day.
    type Dated = (u8, i64, i64);

    /// Copies as paths with the certificates in them.
    fn check(copies: &[(&str, &[Dated])], expected: Option<Severity>) {
        let asset = |(n, from, until): &Dated| Asset {
            id: Fingerprint([*n; 32]),
            kind: AssetKind::Certificate,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(days(*from)),
            not_after: Some(days(*until)),
            key: None,
        };
        let view = |(path, certificates): &(&str, &[Dated])| CopyView {
            place: Box::leak(Box::new(Location::file(path.as_bytes(), "idp"))),
            certificates: certificates.iter().map(|c| &*Box::leak(Box::new(asset(c)))).collect(),
            crowd: path.contains("federation"),
        };
        check_stated(
            &CopyDiffers,
            AssetKind::SignedMetadata,
            (365, 200),
            "/sp/copy.xml",
            |s| s,
            Facts::default(),
            |_| Around { copies: copies.iter().map(view).collect(), ..Around::default() },
            expected.map(|s| (Kind::CopyDiffers, s)),
        );
    }

    const OLD: Dated = (1, -700, 30);
    const NEW: Dated = (2, -10, 900);

    #[test]
    fn an_old_copy() {
        check(&[("/idp/own.xml", &[OLD, NEW]), ("/sp/copy.xml", &[OLD])], Some(Severity::Warning));
        check(&[("/idp/own.xml", &[NEW]), ("/sp/copy.xml", &[OLD])], Some(Severity::Warning));
        let dying = (1, -700, 5);
        check(&[("/idp/own.xml", &[NEW]), ("/sp/copy.xml", &[dying])], Some(Severity::Critical));
        check(&[("/idp/own.xml", &[NEW]), ("/sp/copy.xml", &[])], Some(Severity::Critical));
        check(&[("/federation.xml", &[NEW]), ("/sp/copy.xml", &[OLD])], Some(Severity::Warning));
    }

    #[test]
    fn in_order() {
        check(&[("/idp/own.xml", &[OLD, NEW]), ("/sp/copy.xml", &[NEW, OLD])], None);
        check(&[("/idp/own.xml", &[NEW]), ("/sp/copy.xml", &[NEW, OLD])], None);
        check(&[("/sp/copy.xml", &[OLD])], None);
        // It is the newer one here, and the other is judged where it lies.
        check(&[("/idp/own.xml", &[OLD]), ("/sp/copy.xml", &[OLD, NEW])], None);
    }
}
