//! `key-reused`: one key in certificates for different names. Whoever gets hold of it in one place has it in all, and
//! none of them can be revoked alone.
//!
//! A key that is kept over renewals is one line's own affair, and one certificate in many places has one key by nature:
//! both are silent.

use std::collections::BTreeSet;

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct KeyReused;

impl Rule for KeyReused {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::KeyReused,
            doc: "certificates for different names have the same key",
            citation: "NIST SP 800-57 part 1 section 5.2: one key, one purpose",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(key) = view.asset.key else { return Verdict::NotApplicable };
        if view.is_only_published() || view.asset.not_after.is_some_and(|end| end < now) {
            return Verdict::NotApplicable;
        }
        let alive = |end: Option<UnixTime>| end.is_none_or(|end| end >= now);
        let others: Vec<_> = view.lineage.same_key.iter().filter(|o| alive(o.asset.not_after)).collect();
        let ends = others.iter().map(|o| o.asset.not_after).chain([view.asset.not_after]).flatten();
        let holds_until = ends.min().map(|end| end.plus(1));
        if others.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        let apart = others.iter().any(|o| o.apart);
        let severity = if apart { Severity::Warning } else { Severity::Info };
        let mut titles: BTreeSet<String> = others.iter().map(|o| o.title.clone()).collect();
        titles.insert(view.title());
        let titles: Vec<String> = titles.into_iter().collect();
        let count = others.len() + 1;
        let shown = titles.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if titles.len() > 3 { ", ..." } else { "" };
        let apart_text = if apart { ", on different hosts or of different owners" } else { "" };
        let finding = Finding::new(Kind::KeyReused, severity, None, key.to_string())
            .at(view.locations().chain(others.iter().flat_map(|o| o.places.iter().copied())))
            .summary(format!("one key is in {count} certificates for different names{apart_text}: {shown}{more}"))
            .hint("at the next renewal let each name have a key of its own; where the key was copied, make a new one now")
            .evidence("key", key.to_string())
            .evidence("titles", titles);
        Verdict::found(finding, holds_until)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn for_other_names() {
        let check = |scene: Scene, severity: Option<Severity>| {
            scene.check(&super::KeyReused, severity.map(|s| (Kind::KeyReused, s)));
        };
        check(Scene::leaf("a.test").served().shares_its_key(true), Some(Severity::Warning));
        check(Scene::leaf("a.test").in_file().shares_its_key(false), Some(Severity::Info));
        check(Scene::leaf("a.test").lives(90, -1).in_file().shares_its_key(true), None);
        check(Scene::leaf("a.test").served(), None);
    }
}
