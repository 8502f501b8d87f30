//! `domain-expires`: a registration that nobody renews takes every name below it along.
//!
//! Registries differ in what they do at the date. Where the registry says that it is renewing on its own, the date it
//! still shows is the old one, and nothing is wrong yet. Where it publishes no date, that is said rather than
//! silence. What is out of the DNS by its status is `domain-hold`.

use crate::UnixTime;
use crate::calendar::Due;
use crate::deadline::{Ladder, Step};
use crate::dossier::{AssetView, Dossier};
use crate::ending;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct DomainExpires;

/// A renewal that costs weeks of looking for the person who holds the account needs its warning early.
const LADDER: Ladder = Ladder { warning: 60 * DAY, critical: 30 * DAY, page: 14 * DAY };

/// So long a registry may take back a renewal that it made on its own (RFC 3915 section 3.1 leaves it to policy; 45
/// days are the custom of the generic domains).
const GRACE: i64 = 45 * DAY;

/// The states in which a renewal was made and can still be taken back, in the words of EPP (RFC 3915).
const RENEWED: &[&str] = &["autoRenewPeriod", "renewPeriod"];

impl Rule for DomainExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::DomainExpires,
            doc: "a domain registration ends within 60 days, or has ended, and no renewal is under way",
            citation: "RFC 5731 section 2.3, RFC 3915; passport.com 1999, hotmail.co.uk 2003, Marketo 2017",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::Domain]) else {
            return Verdict::NotApplicable;
        };
        let name = view.title();
        let found = |severity| {
            Finding::new(Kind::DomainExpires, severity, Some(view.asset.id), "").at(view.locations())
        };
        let Some(end) = view.asset.not_after else {
            let written = view.statement.as_ref().and_then(|s| s.fact_of("expires_text"));
            let what = match written {
                Some(text) => {
                    format!("the end of {name}'s registration is written as `{text}`, which is no date")
                }
                None => format!("the registry of {name} publishes no date on which the registration ends"),
            };
            let finding = found(Severity::Info)
                .summary(what)
                .hint(format!(
                    "read the date where {name} is paid for, and enter it: [[manual]] name = \"{name}\", \
                     deadline = \"...\""
                ))
                .evidence("published", false);
            return Verdict::found(with(finding, view), None);
        };
        if states(view).any(|state| RENEWED.contains(&state)) && now < end.plus(GRACE) {
            return Verdict::Pass { holds_until: Some(end.plus(GRACE)) };
        }
        // What ends when nobody may change anything has to be done before.
        let due = ending::due_of(dossier, view.asset.not_before.unwrap_or(end.plus(-365 * DAY)), end);
        let due = if now > end { Due { at: end, because: None } } else { due };
        let (step, next) = LADDER.step(due.at, now);
        let next = next.or((now <= end).then(|| end.plus(1)));
        let (severity, verb) = match step {
            _ if now > end => (Severity::Critical, "ended"),
            Step::Quiet => return Verdict::Pass { holds_until: next },
            Step::Warning => (Severity::Warning, "ends"),
            Step::Critical | Step::Page | Step::Ended => (Severity::Critical, "ends"),
        };
        let finding = found(severity)
            .deadline(Some(due.at))
            .pages(LADDER.page)
            .summary(match ending::moved(&due, now) {
                None => format!("the registration of {name} {verb} {WHEN}; {AFTER}"),
                Some(words) => {
                    format!("the registration of {name} {verb} on {}, {words}; {AFTER}", end.date())
                }
            })
            .hint(hint(view, &name))
            // Registries publish no contract; what they show is the period after such a renewal.
            .evidence("no_auto_renew", "the registry shows no sign of an automatic renewal");
        Verdict::found(with(finding, view), next)
    }
}

/// What hangs on a registration.
const AFTER: &str = "with it end all its names, its mail and its certificates' renewals";

fn hint(view: &AssetView<'_>, name: &str) -> String {
    let fact = |key| view.statement.as_ref().and_then(|s| s.fact_of(key));
    let at = fact("registrar").map(|r| format!(" at {r}")).unwrap_or_default();
    let mut hint = format!(
        "renew {name}{at} now and look at the date again a day later; switch on automatic renewal and check the card \
         or contract behind it"
    );
    if let Some(mail) = fact("registrant_email").filter(|mail| is_within(mail, name)) {
        hint += &format!(
            "; the registrar's reminders go to {mail}, which dies with the domain: give an address elsewhere"
        );
    }
    hint
}

/// Does mail for this address need the domain itself?
fn is_within(mail: &str, name: &str) -> bool {
    let host = mail.rsplit_once('@').map_or("", |(_, host)| host).to_ascii_lowercase();
    host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The states of the registration, in the words of EPP.
pub(super) fn states<'v>(view: &'v AssetView<'_>) -> impl Iterator<Item = &'v str> {
    let all = view.statement.as_ref().and_then(|s| s.fact_of("status")).unwrap_or_default();
    all.split_whitespace()
}

/// The finding with what the registry says besides.
pub(super) fn with(mut finding: Finding, view: &AssetView<'_>) -> Finding {
    let fact = |key| view.statement.as_ref().and_then(|s| s.fact_of(key));
    for key in ["registrar", "status", "registrant_email", "source"] {
        if let Some(value) = fact(key) {
            finding = finding.evidence(key, value);
        }
    }
    finding
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use notafter_pki::statement::{Statement, StatementKind};

    use super::*;
    use crate::Fingerprint;
    use crate::dossier::Subject;
    use crate::inventory::{Asset, AssetIx, BytesAt, Placement, Role};
    use crate::location::Location;
    use crate::observation::Facts;
    use crate::rules::scene::{NOW, days, judge};

    /// A domain with so many days left and these states.
    pub(in crate::rules) fn check(
        rule: &dyn Rule,
        left: Option<i64>,
        status: &str,
        expected: Option<(Kind, Severity)>,
    ) {
        let (begin, end) = (Some(days(-1000)), left.map(days));
        let asset = Asset {
            id: Fingerprint([5; 32]),
            kind: AssetKind::Domain,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: begin,
            not_after: end,
            key: None,
        };
        let place = Placement {
            asset: AssetIx(0),
            location: Location::domain("example.com"),
            role: Role::Signer,
            chain: None,
            first_seen: NOW,
            last_seen: NOW,
            unseen_since: None,
            facts: Arc::new(Facts::default()),
        };
        let statement = Statement::new(StatementKind::Domain, "example.com")
            .dated(begin, end)
            .fact("status", status)
            .fact("registrant_email", "admin@mail.example.com");
        let view = AssetView { statement: Some(statement), ..AssetView::bare(&asset, vec![&place]) };
        judge(Subject::Asset(view), rule, None, expected);
    }

    #[test]
    fn sixty_thirty_and_after() {
        let at = |left, status, expected: Option<Severity>| {
            check(&DomainExpires, left, status, expected.map(|s| (Kind::DomainExpires, s)));
        };
        at(Some(400), "ok", None);
        at(Some(61), "", None);
        at(Some(59), "clientTransferProhibited", Some(Severity::Warning));
        at(Some(29), "ok", Some(Severity::Critical));
        at(Some(-1), "ok", Some(Severity::Critical));
        at(Some(-100), "redemptionPeriod", Some(Severity::Critical));
        // Renewed by the registry itself: the date is the old one.
        at(Some(-1), "autoRenewPeriod", None);
        at(Some(-44), "autoRenewPeriod clientTransferProhibited", None);
        at(Some(-46), "autoRenewPeriod", Some(Severity::Critical));
        at(Some(5), "renewPeriod", None);
        at(None, "ok", Some(Severity::Info));
    }

    #[test]
    fn mail_that_dies_with_the_domain() {
        for (mail, within) in [
            ("a@example.com", true),
            ("a@mail.EXAMPLE.com", true),
            ("a@badexample.com", false),
            ("a@example.org", false),
            ("example.com", false),
        ] {
            assert_eq!(is_within(mail, "example.com"), within, "{mail}");
        }
    }
}
