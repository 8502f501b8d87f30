//! `client-certificate-expires`: what we show to others ends, and they stop letting us in.
//!
//! Nothing of ours looks broken then: the other side refuses. So it is told earlier than a server's certificate, and is
//! never just old. Where a later one of the same client lies in its place and nothing is known to show this one, it has
//! been replaced.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::ending::{self, Ending};
use crate::finding::{Kind, REPLACED, Severity};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ClientCertificateExpires;

/// So long after its end one that nothing is known to show still counts.
const STILL: i64 = 30 * DAY;

impl Rule for ClientCertificateExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ClientCertificateExpires,
            doc: "a certificate by which we sign in to others ends: they refuse us, and nothing here looks broken",
            citation: "RFC 8446 section 4.4.2.4; RFC 5280 section 4.2.1.12 (clientAuth)",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let shown = |role| role == Role::Client;
        let shows = view.places.iter().any(|p| shown(p.role) && p.facts.part.is_none());
        if !shows || view.is_only_published() || view.is_correspondents() {
            return Verdict::NotApplicable;
        }
        let ending = Ending {
            kind: Kind::ClientCertificateExpires,
            ladder: |life| ending::shares(life.saturating_mul(3) / 4, 45, 21, 7),
            ends: "signs us in to others and ends",
            ended: "signed us in to others and ended",
            hint: "get the next one from whoever issues it, give it to the other side first if they list certificates, \
                   install it, reload what uses it, and see one sign-in succeed; ask now how long the other side needs",
        };
        let verdict = ending::judge(dossier, view, &ending, now);
        let verdict = match view.around.presented.as_slice() {
            [] => verdict,
            by => ending::with_fact(
                verdict,
                "presented_by",
                by.iter().map(|b| (*b).to_owned()).collect::<Vec<_>>(),
            ),
        };
        let verdict = match view.around.accepted.in_words() {
            None => verdict,
            Some(words) => {
                let all: Vec<String> = view.around.accepted.named.iter().map(ToString::to_string).collect();
                let more = format!("of what was seen, these ask for certificates of its issuer: {words}");
                ending::with_fact(ending::with_hint(verdict, &more), "accepted_at", all)
            }
        };
        if let Some(later) = view.around.replaced_by {
            return ending::at_most(ending::with_fact(verdict, REPLACED, later), Severity::Info);
        }
        let end = view.asset.not_after.unwrap_or(UnixTime::NO_EXPIRY);
        match verdict {
            // Long dead, and nothing is known to show it.
            found if view.around.presented.is_empty() && now > end.plus(STILL) => {
                ending::at_most(found, Severity::Info)
            }
            Verdict::Found { findings, holds_until } if view.around.presented.is_empty() && now > end => {
                let quiet = end.plus(STILL + 1);
                Verdict::Found { findings, holds_until: Some(holds_until.map_or(quiet, |t| t.min(quiet))) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::rules::scene::Scene;

    fn check(lives: (i64, i64), dress: impl FnOnce(Scene) -> Scene, expected: Option<Severity>) {
        let scene = Scene::leaf("us").lives(lives.0, lives.1).in_file_as(Role::Client);
        let expected = expected.map(|s| (Kind::ClientCertificateExpires, s));
        dress(scene).check(&super::ClientCertificateExpires, expected);
    }

    #[test]
    fn in_time() {
        check((365, 44), |s| s, Some(Severity::Warning));
        check((365, 20), |s| s, Some(Severity::Critical));
        check((365, -20), |s| s, Some(Severity::Critical));
        check((365, -40), |s| s, Some(Severity::Info));
        check((365, -40), Scene::presented, Some(Severity::Critical));
        check((90, 20), |s| s, Some(Severity::Warning));
    }

    #[test]
    fn healthy_or_replaced() {
        check((365, 46), |s| s, None);
        check((90, 25), |s| s, None);
        check((365, 5), Scene::replaced, Some(Severity::Info));
        Scene::leaf("a.test").lives(90, 5).in_file().check(&super::ClientCertificateExpires, None);
    }
}
