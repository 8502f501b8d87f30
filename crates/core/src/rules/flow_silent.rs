//! `flow-silent`: a counter that should move stands still.
//!
//! What fails open or in silence shows only by what no longer happens: an inspecting box that inspects nothing, a partner
//! that takes no more records. How much is normal only people know: they say it in `[[flow]]`. A silence is judged up
//! to the last look: what nobody has looked at since is not called silent.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct FlowSilent;

/// So long, in seconds, a counter may stand: an hour that is counted, and one until it is written down.
const PATIENCE: i64 = 2 * 3600;

impl Rule for FlowSilent {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::FlowSilent,
            doc: "a counter stayed below its floor for two hours, as `[[flow]]` says it should not",
            citation: "GAO-18-559: an inspecting device that inspected nothing for ten months",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = dossier.asset().filter(|v| v.asset.kind == AssetKind::Flow) else {
            return Verdict::NotApplicable;
        };
        let mut holds: Option<UnixTime> = None;
        for place in &view.places {
            let Some(flow) = &place.facts.flow else { continue };
            let since = flow.moved.unwrap_or(flow.first);
            let silent = since.plus(PATIENCE);
            let known = now.min(place.last_seen.max(flow.last));
            if known < silent {
                holds = holds.into_iter().chain((silent > now).then_some(silent)).min();
                continue;
            }
            let never = if flow.moved.is_some() { "" } else { " as far back as its file tells" };
            let finding = Finding::new(Kind::FlowSilent, Severity::Warning, Some(view.asset.id), "")
                .at([&place.location])
                .deadline(Some(since))
                .summary(format!("{}: below {} an hour since {WHEN}{never}", view.title(), flow.floor))
                .hint(
                    "find out what stopped feeding it: look at certificates, tokens and keys on its way that ended at \
                     that time, then at whatever was changed then",
                )
                .evidence("floor_per_hour", flow.floor)
                .evidence("moved", flow.moved.map_or("never".to_owned(), |t| t.to_string()));
            return Verdict::found(finding, None);
        }
        Verdict::Pass { holds_until: holds }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dossier::Around;
    use crate::ending::scene::check_stated;
    use crate::observation::{Facts, Flow};
    use crate::rules::scene::NOW;

    fn check(moved: Option<i64>, first: i64, last: i64, expected: bool) {
        let at = |hours: i64| NOW.plus(hours * 3600);
        let flow = Flow { floor: 10, moved: moved.map(at), first: at(first), last: at(last) };
        check_stated(
            &FlowSilent,
            AssetKind::Flow,
            (1, 1),
            "/var/log/records",
            |s| s,
            Facts { flow: Some(Arc::new(flow)), ..Facts::default() },
            |_| Around::default(),
            expected.then_some((Kind::FlowSilent, Severity::Warning)),
        );
    }

    #[test]
    fn moving_and_silent() {
        check(Some(0), -100, 0, false);
        check(Some(-1), -100, -1, false);
        check(Some(-3), -100, 0, true);
        check(Some(-3), -100, -3, true);
        check(None, -100, 0, true);
        check(None, 0, 0, false);
    }
}
