//! `expires-soon` and `expired-in-use` for a date that a person typed in: a contract, a licence, what no source can see.
//!
//! Nothing is known of it but its date and its note. After the date it stays on the list until somebody takes it off or
//! writes the next one.

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::Dossier;
use crate::ending;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ManualDate;

/// From so long before the date somebody is woken.
const PAGE: i64 = 7 * DAY;

impl Rule for ManualDate {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ExpiresSoon,
            doc: "a date entered by hand comes near: warning 30 days before, or as many as its owner needs, critical 14, page 7",
            citation: "`[[manual]]` of the configuration",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = dossier.asset().filter(|v| v.asset.kind == AssetKind::Manual) else {
            return Verdict::NotApplicable;
        };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        let (title, note) = (view.title(), view.statement.as_ref().and_then(|s| s.fact_of("note")));
        let dressed = |finding: Finding| {
            let finding = finding.at(view.locations()).deadline(Some(end)).pages(PAGE);
            match note {
                Some(note) => finding.evidence("note", note),
                None => finding,
            }
        };
        if now > end {
            let finding = Finding::new(Kind::ExpiredInUse, Severity::Critical, Some(view.asset.id), "")
                .summary(format!("{title}: the date entered by hand passed {WHEN}"))
                .hint("if it was taken care of, write the next date, or take the entry out of the configuration");
            return Verdict::found(dressed(finding), None);
        }
        let needed = dossier.owner.and_then(|o| o.needs_days).map_or(0, |d| i64::from(d) * DAY);
        let ladder = Ladder { warning: needed.max(30 * DAY), critical: 14 * DAY, page: PAGE };
        let due = ending::due_of(dossier, view.asset.not_before.unwrap_or(end.plus(-365 * DAY)), end);
        let (step, next) = ladder.step(due.at, now);
        let next = next.or(Some(end.plus(1)));
        let Some(severity) = step.severity() else { return Verdict::Pass { holds_until: next } };
        let finding = Finding::new(Kind::ExpiresSoon, severity, Some(view.asset.id), "")
            .summary(match ending::moved(&due, now) {
                None => format!("{title}: the date entered by hand comes {WHEN}"),
                Some(words) => format!("{title}: the date entered by hand comes on {}, {words}", end.date()),
            })
            .hint("do what the entry stands for, then write the next date");
        Verdict::found(dressed(finding).deadline(Some(due.at)), next)
    }
}

#[cfg(test)]
mod tests {
    use crate::ending::scene::check as judged;
    use crate::finding::{Kind, Severity};
    use crate::inventory::AssetKind;

    fn check(left: i64, expected: Option<(Kind, Severity)>) {
        judged(&super::ManualDate, AssetKind::Manual, (365, left), "/etc/notafter.toml", expected);
    }

    #[test]
    fn by_days() {
        check(31, None);
        check(29, Some((Kind::ExpiresSoon, Severity::Warning)));
        check(13, Some((Kind::ExpiresSoon, Severity::Critical)));
        check(-1, Some((Kind::ExpiredInUse, Severity::Critical)));
    }
}
