//! `unmonitored-endpoint`: something is served under a name of ours, and nobody here has it on a list.
//!
//! Known by a zone of the DNS, by a public log or by a feed of one, and by nothing else: no file, key, renewer or
//! configuration accounts for the certificate, and nothing that is configured looks at the endpoint. Only what was seen
//! to be served counts: a name in a log whose entry in the DNS is gone is nobody's work. It is a warning once the
//! certificate's end comes near, because nobody else would have been told; before that it is worth a line, and only where
//! somebody has said what is looked at.

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::{Placement, Role};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct UnmonitoredEndpoint;

impl Rule for UnmonitoredEndpoint {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::UnmonitoredEndpoint,
            doc: "a zone, a log or a feed led to what is served there, and nothing that is configured looks at it",
            citation: "LinkedIn, November 2017 and May 2019: country hosts and lnkd.in, on no list, lapsed",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(end) = view.asset.not_after else { return Verdict::NotApplicable };
        let served: Vec<&Placement> = view
            .places
            .iter()
            .copied()
            .filter(|p| p.role == Role::Leaf && p.location.is_endpoint())
            .collect();
        let Some(told_by) = told_by(view, &served) else { return Verdict::NotApplicable };
        if served.is_empty() {
            return Verdict::NotApplicable;
        }
        let watched = &dossier.policy.watched;
        let looked_at = |p: &Placement| watched.covers(&p.location) || watched.rounds && !p.facts.hinted;
        if accounted_for(view) || served.iter().any(|p| looked_at(p)) {
            return Verdict::Pass { holds_until: None };
        }
        let lifetime = view.lifetime();
        let ladder = Ladder::for_leaf(lifetime);
        let ladder = ladder.needing(lifetime, dossier.owner.and_then(|o| o.needs_days));
        let due = dossier.policy.calendar.due(end, dossier.owner.map(|o| o.name.as_str()));
        let (step, next) = ladder.step(due.at, now);
        let severity = match step {
            Step::Quiet if !watched.any() => return Verdict::Pass { holds_until: next },
            Step::Quiet => Severity::Info,
            Step::Warning | Step::Critical | Step::Page | Step::Ended => Severity::Warning,
        };
        let ends = if end < now { "expired" } else { "expires" };
        let finding = Finding::new(Kind::UnmonitoredEndpoint, severity, Some(view.asset.id), "")
            .at(served.iter().map(|p| &p.location))
            .deadline(Some(due.at))
            .summary(format!(
                "{} is on no list: only {} led to it, and its certificate {ends} {WHEN}",
                view.title(),
                told_by.join(" and "),
            ))
            .hint(
                "find out who runs it and name an owner; put it on the list (`notafter watch`, or targets of a [[source]]), \
                 or take the name out of the DNS if nobody needs it",
            )
            .evidence("known_from", sources(view));
        Verdict::found(finding, next)
    }
}

/// In a few words: how anybody outside knows of it. `None`: by nothing that would lead strangers there.
fn told_by(view: &AssetView<'_>, served: &[&Placement]) -> Option<Vec<&'static str>> {
    let ways = [
        (served.iter().any(|p| p.facts.hinted), "a zone of the DNS"),
        (view.logged.is_some(), "a public log"),
        (!view.lineage.told_by.is_empty(), "a list of certificates"),
    ];
    let out: Vec<_> = ways.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    (!out.is_empty()).then_some(out)
}

/// Is it, or one that takes its place, somebody's here: in a file, with its key, under a renewer, in a configuration?
fn accounted_for(view: &AssetView<'_>) -> bool {
    let lists = &view.lineage.told_by;
    let mut files = view.places.iter().filter(|p| p.location.is_file());
    files.any(|p| !lists.iter().any(|list| list.container() == p.location.container()))
        || view.key_seen
        || !view.managed.is_empty()
        || !view.lineage.used_by.is_empty()
        || !view.successors.is_empty()
}

/// The places that tell of it.
fn sources(view: &AssetView<'_>) -> Vec<String> {
    let logged = view.logged.iter().flat_map(|logged| logged.at.iter().copied());
    logged.chain(view.lineage.told_by.iter().copied()).take(20).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Fingerprint;
    use crate::dossier::{Lineage, Subject};
    use crate::inventory::{Asset, AssetIx, AssetKind, BytesAt};
    use crate::location::Location;
    use crate::observation::Facts;
    use crate::policy::Policy;
    use crate::rules::scene::{NOW, days};
    use crate::watched::{Host, Server, Watched};
    use notafter_pki::certificate::Certificate;

    /// At `served`, of a year with so many days left.
    struct Case<'c> {
        left: i64,
        served: &'c str,
        hinted: bool,
        /// Another place that has it.
        file: Option<&'c str>,
        /// A feed that tells of it.
        feed: bool,
        watching: Option<&'c str>,
        rounds: bool,
    }

    const CASE: Case<'_> = Case {
        left: 20,
        served: "tls://192.0.2.1:443?sni=go.a.test",
        hinted: true,
        file: None,
        feed: false,
        watching: None,
        rounds: false,
    };

    fn check(case: &Case<'_>, expected: Option<Severity>) {
        let params = rcgen::CertificateParams::new(vec!["go.a.test".to_owned()]).unwrap();
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let asset = Asset {
            id: Fingerprint::of(&der),
            kind: AssetKind::Certificate,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(days(case.left - 365)),
            not_after: Some(days(case.left)),
            key: None,
        };
        let feed = "file:///srv/feed.json#entries/2";
        let place = |text: &str, hinted| Placement {
            asset: AssetIx(0),
            location: Location::parse(text).unwrap(),
            role: Role::Leaf,
            chain: None,
            first_seen: NOW,
            last_seen: NOW,
            unseen_since: None,
            facts: Arc::new(Facts { hinted, ..Facts::default() }),
        };
        let mut places = vec![place(case.served, case.hinted)];
        places.extend(case.file.map(|text| place(text, false)));
        places.extend(case.feed.then(|| place(feed, false)));
        let told_by = places.iter().map(|p| &p.location).filter(|l| l.as_str() == feed).collect();
        let view = AssetView {
            certificate: Some(Certificate::parse(&der).unwrap()),
            lineage: Lineage { told_by, ..Lineage::default() },
            ..AssetView::bare(&asset, places.iter().collect())
        };
        let servers =
            case.watching.map(|name| Server { host: Host::Name(name.into()), ports: vec![(1, 65_535)] });
        let watched = Watched { servers: servers.into_iter().collect(), rounds: case.rounds };
        let policy = Policy { watched, ..Policy::default() };
        let dossier = Dossier { subject: Subject::Asset(view), policy: &policy, owner: None };
        let verdict = UnmonitoredEndpoint.check(&dossier, NOW);
        assert!(verdict.holds_until().is_none_or(|next| next > NOW));
        let got = match &verdict {
            Verdict::Found { findings, .. } => Some(findings[0].severity),
            _ => None,
        };
        assert_eq!(got, expected, "{verdict:?}");
    }

    #[test]
    fn known_to_strangers_and_to_nobody_here() {
        check(&CASE, Some(Severity::Warning));
        check(&Case { left: -2, ..CASE }, Some(Severity::Warning));
        check(&Case { hinted: false, feed: true, ..CASE }, Some(Severity::Warning));
        check(&Case { watching: Some("www.a.test"), rounds: true, ..CASE }, Some(Severity::Warning));
        check(&Case { left: 100, ..CASE }, None);
        check(&Case { left: 100, watching: Some("www.a.test"), ..CASE }, Some(Severity::Info));
    }

    #[test]
    fn known_here_or_not_there() {
        check(&Case { hinted: false, ..CASE }, None);
        check(&Case { watching: Some("go.a.test"), ..CASE }, None);
        check(&Case { file: Some("file:///etc/nginx/go.pem"), ..CASE }, None);
        // Of what only a list of targets names, the rounds of a server are the watch; a scan makes none.
        check(&Case { hinted: false, feed: true, rounds: true, ..CASE }, None);
        check(&Case { served: "file:///srv/go.pem", hinted: false, feed: true, ..CASE }, None);
    }
}
