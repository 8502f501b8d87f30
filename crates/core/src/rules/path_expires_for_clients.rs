//! `path-expires-for-clients`: some clients take another path than the best one, and theirs ends first.
//!
//! On 30 May 2020 AddTrust's root ended: whoever followed the cross-sign that servers still sent failed, and browsers,
//! which knew a newer root of the same key, did not. Judged by simulated clients (`clients.rs`), told once for the
//! certificate that ends. A certificate that is sent and stands on nobody's path says nothing.

use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::{ClientPath, Dossier};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::joints::{Rule, RuleInfo, Verdict};

/// So long after its end, whoever took that path has long failed or been mended.
const FORGOTTEN: i64 = 30 * DAY;

/// The rule.
pub struct PathExpiresForClients;

impl Rule for PathExpiresForClients {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::PathExpiresForClients,
            doc: "the path that some clients take from a served certificate ends before it, and before the path of others",
            citation: "RFC 4158 section 2.4.2; AddTrust External CA Root, 30 May 2020; DST Root CA X3, 30 September 2021",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        if view.asset.not_after.is_none_or(|end| now > end) {
            return Verdict::NotApplicable;
        }
        let mut findings: Vec<Finding> = Vec::new();
        let mut holds_until: Option<UnixTime> = None;
        let mut applicable = false;
        for chain in view.chains.iter().filter(|c| c.is_served()) {
            applicable = true;
            let mut told = Vec::new();
            for path in &chain.path.clients {
                if told.contains(&path.through) {
                    continue;
                }
                told.push(path.through);
                let (severity, next) = judge(path, now);
                holds_until = match (holds_until, next) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                let Some(severity) = severity else { continue };
                let who: Vec<String> = chain
                    .path
                    .clients
                    .iter()
                    .filter(|p| p.through == path.through)
                    .map(|p| p.client.to_owned())
                    .collect();
                let endpoints = chain.locations().filter(|l| l.is_endpoint());
                match findings.iter_mut().find(|f| f.asset == Some(path.through)) {
                    Some(known) => known.locations.extend(endpoints.cloned()),
                    None => findings.push(tell(path, who, severity, now).at(endpoints)),
                }
            }
        }
        match (applicable, findings.is_empty()) {
            (false, _) => Verdict::NotApplicable,
            (true, true) => Verdict::Pass { holds_until },
            (true, false) => Verdict::Found { findings, holds_until },
        }
    }
}

fn judge(path: &ClientPath, now: UnixTime) -> (Option<Severity>, Option<UnixTime>) {
    let forgotten = path.ends.plus(FORGOTTEN);
    if now > forgotten {
        return (Some(Severity::Info), None);
    }
    // Nobody can mend old clients, only what they are sent: 90 days are little for that.
    let ladder = Ladder { warning: 90 * DAY, critical: 14 * DAY, page: 0 };
    let (step, next) = ladder.step(path.ends, now);
    (step.severity(), next.or(Some(forgotten.plus(1))))
}

fn tell(path: &ClientPath, who: Vec<String>, severity: Severity, now: UnixTime) -> Finding {
    let verb = if now > path.ends { "ended" } else { "ends" };
    let hint = match &path.superfluous {
        Some(sent) => format!(
            "stop sending {sent}: without it clients find the path that lasts; those that know nothing but the old root need an update, whatever is sent"
        ),
        None => "send the cross-sign that leads to a root these clients have, or update them".to_owned(),
    };
    let names = who.join(", ");
    Finding::new(Kind::PathExpiresForClients, severity, Some(path.through), "")
        .deadline(Some(path.ends))
        .pages(0)
        .summary(format!(
            "for some clients ({names}) the path {verb} {WHEN}, at {}; for others it goes on",
            path.title
        ))
        .hint(hint)
        .evidence("clients", who)
        .evidence(
            "not_simulated",
            crate::clients::UNLISTED.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(),
        )
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::PathExpiresForClients, severity.map(|s| (Kind::PathExpiresForClients, s)));
    }

    #[test]
    fn an_old_path() {
        check(Scene::leaf("a.test").lives(360, 260).served().old_path(90), Some(Severity::Warning));
        check(Scene::leaf("a.test").lives(360, 260).served().old_path(5), Some(Severity::Critical));
        check(Scene::leaf("a.test").lives(360, 260).served().old_path(-1), Some(Severity::Critical));
        check(Scene::leaf("a.test").lives(360, 260).served().old_path(-40), Some(Severity::Info));
    }

    #[test]
    fn healthy() {
        check(Scene::leaf("a.test").lives(360, 260).served(), None);
        check(Scene::leaf("a.test").lives(360, 260).served().old_path(200), None);
        check(Scene::leaf("a.test").lives(360, 260).in_file().old_path(5), None);
        check(Scene::leaf("a.test").lives(360, -1).served().old_path(5), None);
    }
}
