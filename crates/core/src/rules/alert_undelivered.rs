//! `alert-undelivered`: a channel was given up, so a message reached nobody by it.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct AlertUndelivered;

impl Rule for AlertUndelivered {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::AlertUndelivered,
            doc: "the last message to an owner by this channel could not be delivered",
            citation: "Equifax (GAO-18-559): warnings went to a list of people who had left",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Subject::Owner(owner) = &dossier.subject else { return Verdict::NotApplicable };
        let findings: Vec<_> = owner
            .channels
            .iter()
            .filter_map(|channel| Some((channel, channel.failed?)))
            .map(|(channel, error)| {
                let cause = format!("{} {}", owner.name, channel.name);
                Finding::new(Kind::AlertUndelivered, Severity::Critical, None, cause)
                    .summary(format!(
                        "a message to {} by {} was not delivered: {error}",
                        owner.name, channel.name
                    ))
                    .hint("mend the channel and try it: notafter alert test")
                    .evidence("owner", owner.name)
                    .evidence("channel", channel.name)
                    .evidence("at", channel.at.to_string())
            })
            .collect();
        if findings.is_empty() {
            Verdict::Pass { holds_until: None }
        } else {
            Verdict::Found { findings, holds_until: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dossier::{ChannelView, OwnerView, Subject};
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::{NOW, judge};

    #[test]
    fn the_channel_is_named() {
        let channels = [
            ChannelView { name: "mail:a@b.test", failed: Some("550 no such user"), at: NOW },
            ChannelView { name: "oncall", failed: None, at: NOW },
        ];
        let owner = |channels| OwnerView { name: "web", last_resort: false, channels };
        let critical = Some((Kind::AlertUndelivered, Severity::Critical));
        judge(Subject::Owner(owner(&channels)), &super::AlertUndelivered, None, critical);
        judge(Subject::Owner(owner(&channels[1..])), &super::AlertUndelivered, None, None);
    }
}
