//! `saml-certificate-expires`: a certificate in SAML metadata ends, and every partner that knows it has to learn the next.
//!
//! Whether a partner looks at the date at all is the partner's choice and is not known here: some sign-ins go on, others
//! stop. In a federation's aggregate, where most entities are others', dates are ignored by agreement: silent.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::ending::{self, Ending};
use crate::finding::{Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::observation::Whole;

/// The rule.
pub struct SamlCertificateExpires;

impl Rule for SamlCertificateExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::SamlCertificateExpires,
            doc: "a certificate in SAML metadata ends; partners that check the date then refuse sign-ins",
            citation: "SAML metadata section 2.4.1.1; SAML metadata interoperability profile section 2.6.1",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some((_, part)) = view.parts(Whole::Metadata).next() else { return Verdict::NotApplicable };
        let next = view.around.next;
        let ending = Ending {
            kind: Kind::SamlCertificateExpires,
            ladder: |life| ending::shares(life, 60, 30, 7),
            ends: "in SAML metadata ends",
            ended: "in SAML metadata ended",
            hint: match next {
                None => {
                    "make the next key now, publish its certificate beside this one, have every partner fetch the \
                     metadata, and only then sign with it; do not replace it in one step"
                }
                Some(_) => {
                    "the next one is published already: see that every partner has it, sign with it, then take this \
                     one out"
                }
            },
        };
        let ended = view.asset.not_after.is_some_and(|end| now > end);
        let mut verdict = ending::judge(dossier, view, &ending, now);
        if let Some(next) = next {
            verdict = ending::at_most(verdict, if ended { Severity::Info } else { Severity::Warning });
            verdict = ending::with_fact(verdict, "next", next);
        }
        verdict = ending::with_fact(verdict, "entity", &part.name);
        verdict = ending::with_fact(verdict, "use", &part.usage);
        ending::with_fact(verdict, "dates_enforced", "unknown")
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::observation::Whole;
    use crate::rules::scene::Scene;

    fn check(lives: (i64, i64), dress: impl FnOnce(Scene) -> Scene, expected: Option<Severity>) {
        let scene = Scene::leaf("idp").lives(lives.0, lives.1).in_file_as(Role::Signer);
        let expected = expected.map(|s| (Kind::SamlCertificateExpires, s));
        dress(scene).check(&super::SamlCertificateExpires, expected);
    }

    #[test]
    fn in_time() {
        let in_metadata = |scene: Scene| scene.part_of(Whole::Metadata, false);
        check((730, 59), in_metadata, Some(Severity::Warning));
        check((730, 29), in_metadata, Some(Severity::Critical));
        check((730, -1), in_metadata, Some(Severity::Critical));
        check((730, 6), |s| in_metadata(s).with_next(), Some(Severity::Warning));
        check((730, -1), |s| in_metadata(s).with_next(), Some(Severity::Info));
    }

    #[test]
    fn healthy_or_not_ours() {
        check((730, 61), |s| s.part_of(Whole::Metadata, false), None);
        check((730, 1), |s| s.part_of(Whole::Metadata, true), None);
        check((730, 1), |s| s.part_of(Whole::KeySet, false), None);
        check((730, 1), |s| s, None);
    }
}
