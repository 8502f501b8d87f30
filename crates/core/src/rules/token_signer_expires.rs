//! `token-signer-expires`: what signs tokens ends, no other key is published beside it, and then nobody can sign in.
//!
//! It lies on no port, and everyone depends on it (Teams, February 2020, was an authentication certificate). Keys are
//! rotated by publishing the next one first: where that is done, nothing is said. Tokens that were found and name the key
//! stop being believed with it: they are named.

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::ending::{self, Ending};
use crate::finding::Kind;
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::observation::Whole;

/// So many places of tokens are named.
const NAMED_MAX: usize = 20;

/// The rule.
pub struct TokenSignerExpires;

impl Rule for TokenSignerExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::TokenSignerExpires,
            doc: "the certificate or key of a key set (JWKS) ends, and no other for its use is published beside it",
            citation: "OpenID Connect Core section 10.1.1; RFC 7517 section 4.7",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::Certificate, AssetKind::BareKey]) else {
            return Verdict::NotApplicable;
        };
        let Some((_, part)) = view.parts(Whole::KeySet).next() else { return Verdict::NotApplicable };
        if view.around.next.is_some() {
            return Verdict::Pass { holds_until: None };
        }
        let ending = Ending {
            kind: Kind::TokenSignerExpires,
            // Half a year: whoever checks tokens may have the key set in a cache, a configuration or a product.
            ladder: |life| ending::shares(life.saturating_mul(3) / 2, 180, 90, 14),
            ends: "signs tokens and ends",
            ended: "signs tokens and ended",
            hint: "publish the next key beside this one now, wait until every verifier has fetched the set, sign with \
                   the new one, and take this one out last; do not replace it in one step",
        };
        let verdict = ending::with_fact(ending::judge(dossier, view, &ending, now), "kid", &part.name);
        let verdict = ending::with_fact(verdict, "use", &part.usage);
        depended_on(verdict, view, now)
    }
}

/// Names the tokens that are still to be believed and name this key.
fn depended_on(verdict: Verdict, view: &AssetView<'_>, now: UnixTime) -> Verdict {
    let alive = view.around.tokens.iter().filter(|(token, _)| token.not_after.is_none_or(|end| end > now));
    let mut places: Vec<String> = alive.map(|(_, place)| place.to_string()).collect();
    let Verdict::Found { mut findings, holds_until } = verdict else { return verdict };
    let count = places.len();
    if count > 0 {
        places.sort_unstable();
        places.truncate(NAMED_MAX);
        let tokens =
            if count == 1 { "token that was found names it" } else { "tokens that were found name it" };
        for finding in &mut findings {
            finding.summary = format!("{}; {count} {tokens}", finding.summary);
            finding.evidence.push(("tokens", count.into()));
            finding.evidence.push(("token_places", places.clone().into()));
        }
    }
    Verdict::Found { findings, holds_until }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::observation::Whole;
    use crate::rules::scene::Scene;

    fn check(lives: (i64, i64), dress: impl FnOnce(Scene) -> Scene, expected: Option<Severity>) {
        let scene = Scene::leaf("signer").lives(lives.0, lives.1).in_file_as(Role::Signer);
        let expected = expected.map(|s| (Kind::TokenSignerExpires, s));
        dress(scene).check(&super::TokenSignerExpires, expected);
    }

    #[test]
    fn half_a_year_before() {
        let in_set = |scene: Scene| scene.part_of(Whole::KeySet, false);
        check((730, 179), in_set, Some(Severity::Warning));
        check((365, 179), in_set, Some(Severity::Warning));
        check((730, 89), in_set, Some(Severity::Critical));
        check((730, 8), in_set, Some(Severity::Critical));
        check((730, -1), in_set, Some(Severity::Critical));
    }

    #[test]
    fn healthy() {
        check((730, 181), |s| s.part_of(Whole::KeySet, false), None);
        check((730, 8), |s| s.part_of(Whole::KeySet, false).with_next(), None);
        check((730, 8), |s| s, None);
        // Made anew by a machine.
        check((30, 20), |s| s.part_of(Whole::KeySet, false), None);
    }
}
