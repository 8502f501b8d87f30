//! `domain-hold`: a registration whose state keeps it out of the DNS, whatever its date.
//!
//! A hold is set by registrar or registry for reasons that no date shows: an unverified contact, a complaint, a
//! mistake. What follows an end that was missed (redemption, deletion) is here, too, because what has to be done is
//! another thing than renewing.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::ending;
use crate::finding::{Finding, Kind, Severity};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};

use super::domain_expires::{states, with};

/// The rule.
pub struct DomainHold;

/// State (EPP, RFC 5731 and 3915), what it means, what to do. The first that holds is the cause.
const STATES: &[(&str, &str, &str)] = &[
    (
        "pendingRestore",
        "is being brought back, and is out of the DNS until that is done",
        "ask the registrar for the report that the registry still waits for: it has a week",
    ),
    (
        "pendingDelete",
        "is about to be deleted, and then anybody may register it",
        "it cannot be renewed any more: have the registrar restore it if it still can, or order it for the day it is free",
    ),
    (
        "redemptionPeriod",
        "was deleted and is out of the DNS; for about 30 days its holder alone can bring it back",
        "order the restoration (redemption) at the registrar today: it costs more than a renewal, and later it is lost",
    ),
    (
        "serverHold",
        "is on hold by its registry and out of the DNS",
        "renewing does not help: ask the registrar why the registry holds it (contact not verified, complaint, dispute)",
    ),
    (
        "clientHold",
        "is on hold by its registrar and out of the DNS",
        "renewing does not help: ask the registrar why (unpaid, contact not verified, complaint)",
    ),
];

impl Rule for DomainHold {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::DomainHold,
            doc: "the registry or registrar keeps a domain out of the DNS: on hold, in redemption, before deletion",
            citation: "RFC 5731 section 2.3, RFC 3915 section 3.1, RFC 8056; Zoom 2025",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::Domain]) else {
            return Verdict::NotApplicable;
        };
        let held: Vec<_> = STATES.iter().filter(|(state, ..)| states(view).any(|s| s == *state)).collect();
        let Some((state, means, hint)) = held.first() else {
            return Verdict::Pass { holds_until: None };
        };
        let name = view.title();
        let at = view.statement.as_ref().and_then(|s| s.fact_of("registrar"));
        let at = at.map(|registrar| format!(" (registrar: {registrar})")).unwrap_or_default();
        let finding = Finding::new(Kind::DomainHold, Severity::Critical, Some(view.asset.id), *state)
            .at(view.locations())
            .deadline(view.asset.not_after)
            .summary(format!("{name} {means}: none of its names answers"))
            .hint(format!("{hint}{at}"));
        Verdict::found(with(finding, view), None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::domain_expires::tests::check;
    use super::*;

    #[test]
    fn out_of_the_dns_or_not() {
        let critical = Some((Kind::DomainHold, Severity::Critical));
        for state in [
            "serverHold",
            "clientHold",
            "redemptionPeriod",
            "pendingDelete redemptionPeriod",
            "ok clientHold",
        ] {
            check(&DomainHold, Some(600), state, critical);
            check(&DomainHold, None, state, critical);
        }
        for state in
            ["", "ok", "autoRenewPeriod", "clientTransferProhibited serverDeleteProhibited", "inactive"]
        {
            check(&DomainHold, Some(600), state, None);
        }
    }
}
