//! `inconsistent-endpoint`: the addresses of one name serve different certificates, and one of them is
//! dead or dying. Different but healthy ones are a roll-out or a farm with a key per node, and silent.

use std::collections::{BTreeMap, BTreeSet};

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct InconsistentEndpoint;

impl Rule for InconsistentEndpoint {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::InconsistentEndpoint,
            doc: "the addresses of one name disagree, and not all of what they serve is healthy",
            citation: "recorded outages of one node or one IP family among many",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Subject::Name(view) = &dossier.subject else { return Verdict::NotApplicable };
        let mut by_address: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (place, asset) in &view.served {
            by_address.entry(place.location.ip()).or_default().insert(asset.id);
        }
        let sets: BTreeSet<_> = by_address.values().collect();
        if by_address.len() < 2 || sets.len() < 2 {
            return Verdict::NotApplicable;
        }
        let mut holds_until: Option<UnixTime> = None;
        let mut worst: Option<(UnixTime, Step)> = None;
        for (_, asset) in &view.served {
            let (Some(begin), Some(end)) = (asset.not_before, asset.not_after) else { continue };
            let (step, next) = Ladder::for_leaf(end.0.saturating_sub(begin.0)).step(end, now);
            holds_until = holds_until.into_iter().chain(next).min();
            if step > Step::Quiet && worst.is_none_or(|(w, _)| end < w) {
                worst = Some((end, step));
            }
        }
        let Some((end, step)) = worst else { return Verdict::Pass { holds_until } };
        let severity = if step == Step::Warning { Severity::Warning } else { Severity::Critical };
        let verb = if end < now { "expired" } else { "expires" };
        let cause = format!("{}://{}:{}", view.scheme, view.name, view.port);
        let finding = Finding::new(Kind::InconsistentEndpoint, severity, None, cause)
            .at(view.served.iter().map(|(place, _)| &place.location))
            .deadline(Some(end))
            .summary(format!(
                "the {} addresses of {} serve {} different certificates, and one {verb} {}",
                by_address.len(),
                view.name,
                view.served.iter().map(|(_, a)| a.id).collect::<BTreeSet<_>>().len(),
                WHEN,
            ))
            .hint("install the newest certificate on every address listed, reload each, and look again");
        let served = view.served.iter().map(|(place, asset)| {
            let end = asset.not_after.map(|t| t.to_string()).unwrap_or_default();
            let ip = place.location.ip().map(|i| i.to_string()).unwrap_or_default();
            format!("{ip} {} until {end}", asset.id)
        });
        let finding = finding.evidence("served", served.collect::<Vec<_>>());
        Verdict::found(finding, holds_until)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{Scene, name_at};

    #[test]
    fn one_of_two_addresses() {
        let check = |left: &[i64], expected: Option<Severity>| {
            let leaves: Vec<_> = left.iter().map(|d| Scene::leaf("a.test").lives(90, *d)).collect();
            name_at(leaves, &super::InconsistentEndpoint, expected.map(|s| (Kind::InconsistentEndpoint, s)));
        };
        check(&[80, 2], Some(Severity::Critical));
        check(&[80, 20], Some(Severity::Warning));
        check(&[80, -1], Some(Severity::Critical));
        check(&[80, 70], None);
        check(&[2], None);
    }
}
