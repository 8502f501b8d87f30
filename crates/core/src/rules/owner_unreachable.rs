//! `owner-unreachable`: no channel to an owner works, or there is none at all.
//!
//! The owner of last resort without a channel is the page and the log: true, and not enough.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct OwnerUnreachable;

impl Rule for OwnerUnreachable {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::OwnerUnreachable,
            doc: "an owner has no channel, or none of them works",
            citation: "Equifax (GAO-18-559): warnings went to a list of people who had left",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Subject::Owner(owner) = &dossier.subject else { return Verdict::NotApplicable };
        let name = owner.name;
        let (severity, summary) = if owner.channels.is_empty() {
            if owner.last_resort {
                let text = "alerts reach nobody: no notifier is configured for the owner of last resort, so they \
                            are on the page and in the log only";
                (Severity::Warning, text.to_owned())
            } else {
                (
                    Severity::Warning,
                    format!("{name} has no channel: its alerts go to the owner of last resort"),
                )
            }
        } else if owner.channels.iter().all(|c| c.failed.is_some()) {
            (
                Severity::Critical,
                format!("no channel to {name} works: its alerts go to the owner of last resort"),
            )
        } else {
            return Verdict::Pass { holds_until: None };
        };
        let finding = Finding::new(Kind::OwnerUnreachable, severity, None, name)
            .summary(summary)
            .hint("add a [[notifier]] and name it in `notify` of the [[owner]]; try it with notafter alert test")
            .evidence("owner", name);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::dossier::{ChannelView, OwnerView, Subject};
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{NOW, judge};

    fn check(channels: &[ChannelView<'_>], expected: Option<Severity>) {
        let owner = OwnerView { name: "web", last_resort: true, channels };
        let expected = expected.map(|s| (Kind::OwnerUnreachable, s));
        judge(Subject::Owner(owner), &super::OwnerUnreachable, None, expected);
    }

    #[test]
    fn none_or_none_that_works() {
        let good = ChannelView { name: "mail", failed: None, at: NOW };
        let bad = ChannelView { failed: Some("550"), ..good };
        check(&[], Some(Severity::Warning));
        check(&[bad], Some(Severity::Critical));
        check(&[bad, good], None);
    }
}
