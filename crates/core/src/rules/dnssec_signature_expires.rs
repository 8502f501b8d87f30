//! `dnssec-signature-expires`: the signatures of a zone end, and with them every name in it for whoever validates.
//!
//! Signers work at very different rhythms: BIND leaves five of fourteen days, Knot a tenth of the lifetime, PowerDNS a
//! third, some sign for two days and only when asked. So it speaks where less is left than any of them leaves: a tenth
//! of the lifetime, and of short-lived signatures two fifths, at most 30 hours. What is below that is not refreshed.

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::{AssetView, Dossier};
use crate::ending::{self, Ending};
use crate::finding::{Kind, Severity};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct DnssecSignatureExpires;

const HOUR: i64 = 3600;

impl Rule for DnssecSignatureExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::DnssecSignatureExpires,
            doc: "the signatures of a zone, at a server or in a copy of it, are not made anew and end",
            citation: "RFC 4034 section 3.1.5; RFC 4035 section 5.3.1; RFC 6781 section 4.4.2; ICANN/ISC practice of refreshing",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::DnssecSignature]) else {
            return Verdict::NotApplicable;
        };
        let ending = Ending {
            kind: Kind::DnssecSignatureExpires,
            ladder,
            ends: "end, and validating resolvers then answer SERVFAIL for all of it:",
            ended: "have ended, and validating resolvers answer SERVFAIL:",
            hint: hint(view),
        };
        match ending::judge(dossier, view, &ending, now) {
            Verdict::Found { mut findings, holds_until } => {
                for finding in &mut findings {
                    finding.evidence.extend(evidence(view));
                    if has_newer_beside(view) {
                        finding.severity = Severity::Info;
                        finding.summary.push_str(" (a newer copy lies beside it)");
                    }
                }
                Verdict::Found { findings, holds_until }
            }
            other => other,
        }
    }
}

fn ladder(lifetime: i64) -> Ladder {
    let life = lifetime.max(0);
    Ladder {
        warning: (life / 10).min(30 * DAY).max((life * 2 / 5).min(30 * HOUR)),
        critical: (life / 20).min(7 * DAY).max((life / 6).min(12 * HOUR)),
        page: (life / 40).min(2 * DAY).max((life / 20).min(4 * HOUR)),
    }
}

fn hint(view: &AssetView<'_>) -> &'static str {
    if view.places.iter().any(|place| place.location.is_file()) {
        "find out why this copy is not refreshed (transfer refused? wrong primary? job stopped?) and fetch it anew; if it is the signed zone itself, sign it again and reload. Do not lengthen the signatures instead"
    } else {
        "let the signer make them anew now (`rndc sign ZONE`, `knotc zone-sign ZONE`, `pdnsutil rectify-zone ZONE`), see that every server has the new serial, and find out why it had stopped: keys not readable, disk full, clock"
    }
}

/// An old version kept next to the present one is nobody's zone.
fn has_newer_beside(view: &AssetView<'_>) -> bool {
    let folder = |text: &str| text.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let newer = view.zone.as_ref().and_then(|zone| zone.newer).filter(|place| place.is_file());
    newer.is_some_and(|newer| {
        view.places
            .iter()
            .all(|p| p.location.is_file() && folder(p.location.container()) == folder(newer.container()))
    })
}

fn evidence(view: &AssetView<'_>) -> Vec<(&'static str, crate::finding::Fact)> {
    let fact = |name: &str| view.statement.as_ref().and_then(|s| s.fact_of(name)).map(str::to_owned);
    let newer = view.zone.as_ref().and_then(|zone| zone.newer).map(ToString::to_string);
    [
        ("first_to_end", fact("first_to_end")),
        ("last_signed", fact("last_signed")),
        ("serial", fact("serial")),
        ("newer_copy", newer),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?.into())))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::scene::check;

    fn hours(life: i64, left: i64, expected: Option<Severity>) {
        let (step, next) = ladder(life * HOUR).step(UnixTime(left * HOUR), UnixTime(0));
        let severity = match step {
            crate::deadline::Step::Quiet => None,
            crate::deadline::Step::Warning => Some(Severity::Warning),
            _ => Some(Severity::Critical),
        };
        assert_eq!(severity, expected, "{left} of {life} hours");
        assert!(next.is_none_or(|next| next > UnixTime(0)));
    }

    #[test]
    fn no_signer_that_works_is_reported_and_none_that_stopped_is_missed() {
        // The least that each leaves: on demand for two days, daily for three, BIND, Knot, PowerDNS, OpenDNSSEC.
        for (life, least) in [(49, 24), (72, 46), (336, 120), (336, 35), (504, 168), (336, 72)] {
            hours(life, least, None);
        }
        hours(72, 28, Some(Severity::Warning));
        hours(72, 12, Some(Severity::Critical));
        hours(336, 33, Some(Severity::Warning));
        hours(336, 16, Some(Severity::Critical));
        hours(720, 72, Some(Severity::Warning));
        hours(0, 0, Some(Severity::Critical));
    }

    #[test]
    fn in_time_and_healthy() {
        let at = |life, path, expected: Option<Severity>| {
            let expected = expected.map(|s| (Kind::DnssecSignatureExpires, s));
            check(&DnssecSignatureExpires, AssetKind::DnssecSignature, life, path, expected);
        };
        at((14, 5), "/var/cache/bind/a.test", None);
        at((14, 1), "/var/cache/bind/a.test", Some(Severity::Warning));
        at((14, -1), "/var/cache/bind/a.test", Some(Severity::Critical));
        at((14, -60), "/var/cache/bind/a.test", Some(Severity::Info));
        at((14, 1), "/usr/share/doc/bind9/example.signed", None);
    }
}
