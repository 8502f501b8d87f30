//! `policy-date`: a dated decision of a root program, of the CA/Browser Forum or of NIST will catch it, or has.
//!
//! The decisions are data ([`DECISIONS`]), each with its source: dates move, and then a line changes and no code. They
//! bind public certificates only, but for the sunset of algorithms, which a private CA that lives for decades meets
//! first. Chrome counts its notices by the earliest SCT of a certificate; here its first day
//! counts, which lies within an hour or so of it. What is weak today (SHA-1, RSA of 1024 bits) is `weak-signature` and `weak-key`; what
//! breaks the rules of the day it was issued on is `lifetime-exceeds-policy`. One finding a certificate and decision:
//! all that one decision catches have the same cause.

use notafter_pki::certificate::Certificate;
use notafter_pki::oid;
use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};

/// A decision is told so long before it takes effect.
const AHEAD: i64 = 180 * DAY;
/// The end of an algorithm: other keys have to be made, and everybody who checks them has to be able to.
const AHEAD_OF_SUNSET: i64 = 730 * DAY;

/// Whom a decision catches.
enum Catches {
    /// What lives for longer than so many days: its renewal may not.
    LongerThan(i64),
    /// What is for servers and for clients: its renewal will be for servers only.
    ServerAndClient,
    /// What was issued after the date below a root whose subject holds one of these.
    IssuedBelow(&'static [&'static str]),
    /// What has a key of fewer bits of security than this, and lives on.
    WeakerThan(u32),
}

/// A dated decision.
struct Decision {
    /// Its name: part of the finding's identity.
    name: &'static str,
    /// The first instant at which it holds.
    from: UnixTime,
    catches: Catches,
    /// Where it is written down.
    source: &'static str,
}

/// What was decided, by date.
const DECISIONS: &[Decision] = &[
    Decision {
        name: "chrome-entrust",
        from: UnixTime(1_731_369_600),
        catches: Catches::IssuedBelow(&["O=Entrust\\, Inc.", "O=Entrust.net", "O=AffirmTrust"]),
        source: "Chrome 131: nothing newer than 11 November 2024 below Entrust's roots (Google Online Security Blog, 27 June 2024, updated 10 September 2024)",
    },
    Decision {
        name: "chrome-chunghwa-netlock",
        from: UnixTime(1_754_006_400),
        catches: Catches::IssuedBelow(&["O=Chunghwa Telecom Co.\\, Ltd.", "O=NetLock Kft."]),
        source: "Chrome 139: nothing newer than 31 July 2025 below Chunghwa Telecom's and Netlock's roots (Google Online Security Blog, 30 May 2025)",
    },
    Decision {
        name: "sc-081-100",
        from: UnixTime(1_805_068_800),
        catches: Catches::LongerThan(100),
        source: "CA/Browser Forum ballot SC-081v3: 100 days at most from 15 March 2027 (TLS Baseline Requirements 2.2.6, section 6.3.2)",
    },
    Decision {
        name: "chrome-client-auth",
        from: UnixTime(1_805_068_800),
        catches: Catches::ServerAndClient,
        source: "Chrome Root Program Policy 1.8: new leaves are for servers only from 15 March 2027; CAs stop earlier",
    },
    Decision {
        name: "sc-081-47",
        from: UnixTime(1_868_227_200),
        catches: Catches::LongerThan(47),
        source: "CA/Browser Forum ballot SC-081v3: 47 days at most from 15 March 2029 (TLS Baseline Requirements 2.2.6, section 6.3.2)",
    },
    Decision {
        name: "nist-112-bits",
        from: UnixTime(1_924_992_000),
        catches: Catches::WeakerThan(128),
        source: "NIST SP 800-57 Part 1 Rev. 5 (May 2020), tables 2 and 4: 112 bits of security (RSA of 2048) sign nothing new after 2030",
    },
];

impl Decision {
    /// From when on it is told.
    fn speaks(&self) -> UnixTime {
        let sunset = matches!(self.catches, Catches::WeakerThan(_));
        self.from.plus(if sunset { -AHEAD_OF_SUNSET } else { -AHEAD })
    }

    /// Is this certificate of those that it is about?
    fn binds(&self, view: &AssetView<'_>, certificate: &Certificate<'_>) -> bool {
        match self.catches {
            Catches::WeakerThan(_) => view.is_ours_to_renew(),
            _ => !certificate.is_ca() && view.chains.iter().any(|c| c.path.public),
        }
    }
}

/// When a decision takes effect and where it is written down, by its name (evidence `decision` of its findings).
pub fn decision(name: &str) -> Option<(UnixTime, &'static str)> {
    DECISIONS.iter().find(|decision| decision.name == name).map(|decision| (decision.from, decision.source))
}

/// The rule.
pub struct PolicyDate;

impl Rule for PolicyDate {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::PolicyDate,
            doc: "a dated decision about public certificates catches it or its renewal",
            citation: "CA/Browser Forum SC-081v3; Chrome Root Program Policy 1.8 and its notices of distrust; NIST SP 800-57",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let (Some(begin), Some(end)) = (view.asset.not_before, view.asset.not_after) else {
            return Verdict::NotApplicable;
        };
        let bound = |decision: &&Decision| decision.binds(view, &certificate);
        if now > end || view.superseded_by.is_some() || !DECISIONS.iter().any(|d| bound(&d)) {
            return Verdict::NotApplicable;
        }
        // Both ends count (RFC 5280 section 4.1.2.5).
        let lifetime = end.0.saturating_sub(begin.0).saturating_add(1);
        let mut findings = Vec::new();
        let mut holds_until: Option<UnixTime> = None;
        for decision in DECISIONS.iter().filter(bound) {
            let (severity, summary, hint, deadline) = match decision.catches {
                Catches::LongerThan(days) if lifetime > days * DAY && now < decision.from => (
                    Severity::Info,
                    format!(
                        "{} lives for {} days; what is issued {WHEN} or later lives for {days} at most",
                        view.title(),
                        lifetime / DAY
                    ),
                    "have it renewed by a program, or count on renewing it by hand that much more often",
                    decision.from,
                ),
                Catches::ServerAndClient => {
                    let usages = certificate.extended_key_usage();
                    let both = usages.is_some_and(|u| u.has(oid::SERVER_AUTH) && u.has(oid::CLIENT_AUTH));
                    if !both {
                        continue;
                    }
                    let used = view.has_role(Role::Client);
                    let severity = if used { Severity::Warning } else { Severity::Info };
                    (
                        severity,
                        format!(
                            "{} is for servers and for clients; what replaces it is for servers only, {WHEN} at the latest",
                            view.title()
                        ),
                        "wherever it signs in as a client, get a certificate from a private CA for that, and have the other side accept it first",
                        // It may be used until it ends, and be renewed as it is until the date.
                        decision.from.max(end),
                    )
                }
                Catches::IssuedBelow(roots) if below(view, roots) => {
                    if begin >= decision.from {
                        (
                            Severity::Warning,
                            format!(
                                "{} was issued after Chrome stopped trusting new certificates of its CA",
                                view.title()
                            ),
                            "replace it by one from another CA: browsers refuse it today",
                            begin,
                        )
                    } else {
                        (
                            Severity::Info,
                            format!(
                                "{} is trusted until it ends, {WHEN}; a renewal by the same CA is not, in Chrome",
                                view.title()
                            ),
                            "renew it with another CA",
                            end,
                        )
                    }
                }
                Catches::WeakerThan(bits) if end >= decision.from && strength(&certificate) < bits => (
                    Severity::Info,
                    format!(
                        "the key of {} has {} bits of security, which {} too few for new signatures {WHEN}; it lives longer",
                        view.title(),
                        strength(&certificate),
                        if now < decision.from { "become" } else { "became" },
                    ),
                    "replace it, and what it has signed, with RSA of 3072 bits or P-256 at least; whoever also has to \
                     withstand quantum computers asks for more",
                    decision.from,
                ),
                Catches::LongerThan(_) | Catches::IssuedBelow(_) | Catches::WeakerThan(_) => continue,
            };
            let speaks = decision.speaks();
            let next = if now < speaks { Some(speaks) } else { Some(decision.from).filter(|t| *t > now) };
            holds_until = match (holds_until, next) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if now < speaks {
                continue;
            }
            findings.push(
                Finding::new(Kind::PolicyDate, severity, Some(view.asset.id), decision.name)
                    .at(view.locations())
                    .deadline(Some(deadline))
                    .summary(summary)
                    .hint(hint)
                    .evidence("decision", decision.name)
                    .evidence("from", decision.from.to_string())
                    .evidence("source", decision.source),
            );
        }
        match (findings.is_empty(), holds_until) {
            (true, None) => Verdict::Pass { holds_until: None },
            (true, Some(from)) => Verdict::NotYetEffective { from },
            (false, holds_until) => Verdict::Found { findings, holds_until },
        }
    }
}

/// The bits of security of its key (NIST SP 800-57 Part 1 Rev. 5, table 2); where the algorithm is unknown, nothing is
/// held against it. Broken ones are `weak-key`.
fn strength(certificate: &Certificate<'_>) -> u32 {
    let key = certificate.public_key();
    match (key.algorithm().as_str(), key.bits()) {
        ("RSA" | "DSA", Some(bits)) if bits < 3072 => 112,
        ("ECDSA", Some(bits)) if bits < 256 => 112,
        _ => 128,
    }
}

/// Does a public path of it end at a root with one of these in its subject?
fn below(view: &AssetView<'_>, roots: &[&str]) -> bool {
    let mut public = view.chains.iter().filter(|c| c.path.public);
    public.any(|c| roots.iter().any(|root| c.path.ends_at.contains(root)))
}

#[cfg(test)]
mod tests {
    use super::DECISIONS;
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    fn check(scene: Scene, severity: Option<Severity>) {
        scene.check(&super::PolicyDate, severity.map(|s| (Kind::PolicyDate, s)));
    }

    #[test]
    fn the_dates_are_what_their_text_says() {
        let dates: Vec<_> = DECISIONS.iter().map(|d| (d.name, d.from.to_string())).collect();
        let expected = [
            ("chrome-entrust", "2024-11-12T00:00:00Z"),
            ("chrome-chunghwa-netlock", "2025-08-01T00:00:00Z"),
            ("sc-081-100", "2027-03-15T00:00:00Z"),
            ("chrome-client-auth", "2027-03-15T00:00:00Z"),
            ("sc-081-47", "2029-03-15T00:00:00Z"),
            ("nist-112-bits", "2031-01-01T00:00:00Z"),
        ];
        assert_eq!(dates, expected.map(|(name, date)| (name, date.to_owned())));
    }

    // The scenes' "now" is 21 November 2026.
    #[test]
    fn caught() {
        check(Scene::leaf("a.test").lives(199, 150).served().public(), Some(Severity::Info));
        check(
            Scene::leaf("a.test").lives(90, 60).served().public().below("O=AffirmTrust,C=US"),
            Some(Severity::Warning),
        );
        check(Scene::leaf("a.test").lives(90, 60).served().public().for_clients_too(), Some(Severity::Info));
    }

    #[test]
    fn not_caught() {
        check(Scene::leaf("a.test").lives(90, 60).served().public(), None);
        check(Scene::leaf("a.test").lives(199, 150).served(), None);
        check(Scene::leaf("a.test").lives(199, -1).served().public(), None);
        check(Scene::leaf("a.test").lives(90, 60).served().for_clients_too(), None);
        check(Scene::leaf("a.test").lives(90, 60).served().public().below("O=Other,C=US"), None);
    }
}
