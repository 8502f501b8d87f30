//! `chain-expires-first`: an issuer on the path ends before what it signed.
//!
//! Wherever that is served; and where it lies in files alone, to be used (with its chain or beside its key) and not replaced.
//! On 4 April 2015 Gmail's SMTP failed for hours over an intermediate, while the leaves were fine. One
//! finding for the dying issuer, with every leaf under it; certificates that are sent but stand on no
//! path say nothing.

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ChainExpiresFirst;

impl Rule for ChainExpiresFirst {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ChainExpiresFirst,
            doc: "an issuer on the path of a certificate that is served, or lies with its chain or its key in a file, expires before \
                  that certificate",
            citation: "RFC 5280 section 6.1.3 (a)(2); Gmail SMTP, 4 April 2015",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        if view.outlived_by.is_empty() {
            return Verdict::NotApplicable;
        }
        // An issuer takes days to replace wherever its leaves are, so it speaks 90 days ahead at least.
        let ca = Ladder::for_ca(view.lifetime());
        let ladder = Ladder {
            warning: ca.warning.max(90 * DAY),
            critical: ca.critical.clamp(14 * DAY, 30 * DAY),
            page: 7 * DAY,
        };
        let (step, next) = ladder.step(end, now);
        let next = next.or((now <= end).then(|| end.plus(1)));
        let severity = step.severity().unwrap_or(Severity::Info);
        let leaves = view.outlived_by.len();
        let plural = if leaves == 1 { "" } else { "s" };
        let past = now > end;
        let verb = if past { "expired" } else { "expires" };
        let finding = Finding::new(Kind::ChainExpiresFirst, severity, Some(view.asset.id), "")
            .at(view.outlived_by.iter().flat_map(|d| d.locations.iter().copied()))
            .deadline(Some(end))
            .pages(ladder.page)
            .summary(format!(
                "the issuer {} {verb} {}, before {leaves} certificate{plural} that it signed",
                view.title(),
                WHEN,
            ))
            .hint("get the issuer's newer certificate from the CA and install it in each chain, or reissue the leaves from another issuer")
            .evidence("certificates", leaves);
        Verdict::found(finding, next)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{Scene, days};

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::ChainExpiresFirst, severity.map(|s| (Kind::ChainExpiresFirst, s)));
    }

    #[test]
    fn an_issuer_that_dies_first() {
        check(Scene::root("Int").lives(1000, 9).in_chain().outlived_by(days(80)), Some(Severity::Critical));
        check(Scene::root("Int").lives(1000, 80).in_chain().outlived_by(days(90)), Some(Severity::Warning));
        check(Scene::root("Int").lives(1000, 900).in_chain().outlived_by(days(999)), Some(Severity::Info));
    }

    #[test]
    fn one_on_no_path() {
        check(Scene::root("Extra").lives(1000, -3).in_chain(), None);
    }
}
