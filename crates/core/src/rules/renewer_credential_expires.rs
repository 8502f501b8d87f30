//! `renewer-credential-expires`: what a renewer signs in with ends, and its renewals with it.
//!
//! A token for the DNS, a client certificate, a password with a date beside it. One finding for each, whatever is
//! renewed by it. What lives for two days or less is renewed by something else all the time: only its end is told.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::upkeep::Credential;
use notafter_pki::time::DAY;

use crate::renewers::dry_run;

/// The rule.
pub struct RenewerCredentialExpires;

impl Rule for RenewerCredentialExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::RenewerCredentialExpires,
            doc: "a token or certificate that a renewer signs in with ends within 30 days (a quarter of its life), or has",
            citation: "recorded outage I52: the principal that renewed the certificate ended before it",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let mut next: Option<UnixTime> = None;
        let mut findings = Vec::new();
        let mut asked = false;
        for one in view.automatic(now).filter(|m| !m.left_behind) {
            for credential in &one.renewal.credentials {
                asked = true;
                let (severity, until) = step(credential, now);
                next = [next, until].into_iter().flatten().min();
                let Some(severity) = severity else { continue };
                let (tool, ended) = (&one.renewal.tool, credential.until <= now);
                let verb = if ended { "ended" } else { "ends" };
                let Credential { place, what, until, .. } = credential;
                findings.push(
                    Finding::new(Kind::RenewerCredentialExpires, severity, None, format!("{what} {place}"))
                        .at([place, &one.renewal.state])
                        .deadline(Some(*until))
                        .summary(format!("the {what} that {tool} renews with {verb} {WHEN}"))
                        .hint(format!(
                            "put a new {what} into {place} {}; then see that `{}` goes well",
                            if ended { "now" } else { "before that" },
                            dry_run(one.renewal)
                        ))
                        .evidence("renewer", tool)
                        .evidence("credential", what)
                        .evidence("ends", until.to_string()),
                );
            }
        }
        match (asked, findings.is_empty()) {
            (false, _) => Verdict::NotApplicable,
            (true, true) => Verdict::Pass { holds_until: next },
            (true, false) => Verdict::Found { findings, holds_until: next },
        }
    }
}

/// How bad it is now, and when that changes.
fn step(credential: &Credential, now: UnixTime) -> (Option<Severity>, Option<UnixTime>) {
    let until = credential.until;
    if until <= now {
        return (Some(Severity::Critical), None);
    }
    let life = credential.from.map(|from| until.0.saturating_sub(from.0));
    if life.is_some_and(|life| life <= 2 * DAY) {
        return (None, Some(until));
    }
    let shares = |part: i64, most: i64| life.map_or(most, |life| (life / part).min(most));
    let (warning, critical) = (until.plus(-shares(4, 30 * DAY)), until.plus(-shares(20, 7 * DAY)));
    match () {
        () if now < warning => (None, Some(warning)),
        () if now < critical => (Some(Severity::Warning), Some(critical)),
        () => (Some(Severity::Critical), Some(until)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::Location;
    use crate::rules::scene::{Scene, days, renewal};
    use crate::upkeep::Upkeep;

    fn check(life: Option<i64>, left: i64, severity: Option<Severity>) {
        let until = days(left).plus(-60);
        let place = Location::file(b"/etc/lego/env", "");
        let from = life.map(|life| until.plus(-life * DAY));
        let credential = Credential { place, what: "token".into(), from, until };
        let one = Upkeep { credentials: vec![credential], ..renewal() };
        let scene = Scene::leaf("a.test").lives(90, 60).in_file().managed(one);
        scene.check(&RenewerCredentialExpires, severity.map(|s| (Kind::RenewerCredentialExpires, s)));
    }

    #[test]
    fn by_what_is_left() {
        check(None, 0, Some(Severity::Critical));
        check(None, 5, Some(Severity::Critical));
        check(None, 29, Some(Severity::Warning));
        check(Some(365), 29, Some(Severity::Warning));
        check(Some(60), 14, Some(Severity::Warning));
        check(Some(1), 0, Some(Severity::Critical));
    }

    #[test]
    fn healthy() {
        check(None, 40, None);
        check(Some(60), 20, None);
        check(Some(1), 1, None);
        Scene::leaf("a.test").in_file().managed(renewal()).check(&RenewerCredentialExpires, None);
        Scene::leaf("a.test").in_file().check(&RenewerCredentialExpires, None);
    }
}
