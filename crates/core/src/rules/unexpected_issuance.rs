//! `unexpected-issuance`: a public log holds a certificate for our names, nothing of ours uses it, and it comes from a CA
//! that we do not use.
//!
//! What is expected is what the policy lists as `issuers`; else what the CAA records of the name allow; else the CAs whose
//! certificates are served by us. A renewal that is not in use yet, by such a CA, is nobody's business, and neither is the
//! precertificate of what is served. Which account ordered a certificate stands in no certificate: CAA records with
//! `accounturi` bind a CA to one, and nobody can look at that from outside.

use crate::UnixTime;
use crate::dossier::{Dossier, LoggedView, title};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

use super::caa_forbids::{allows, domains_of};
use notafter_pki::time::DAY;

const HOUR: i64 = 3600;

/// The rule.
pub struct UnexpectedIssuance;

impl Rule for UnexpectedIssuance {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::UnexpectedIssuance,
            doc: "a log has a certificate for our names, from a CA that we do not use, and nothing of ours uses it",
            citation: "RFC 9162 section 8.2 (monitors); RFC 8659; DigiNotar 2011, Fina and 1.1.1.1 2025",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(logged) = &view.logged else { return Verdict::NotApplicable };
        if certificate.is_ca() {
            return Verdict::NotApplicable;
        }
        // Once it has ended, nobody can do anything with it.
        let ended = view.asset.not_after.is_some_and(|end| end < now);
        let known = !view.places.is_empty() || logged.known_at.is_some() || logged.issued;
        if known || ended {
            return Verdict::Pass { holds_until: None };
        }
        let holds_until = view.asset.not_after.map(|end| end.plus(1));
        let issuer = issuer_of(&certificate.issuer_name());
        let forbidden =
            domains_of(&issuer).and_then(|domains| view.caa.iter().find(|policy| !allows(policy, domains)));
        let allowed = |expected: &[String]| expected.iter().any(|one| is_meant(one, &issuer));
        let wanted = &dossier.policy.issuers;
        let (severity, because) = if !wanted.is_empty() {
            if allowed(wanted) {
                return Verdict::Pass { holds_until };
            }
            (Severity::Critical, format!("the policy expects {}", wanted.join(", ")))
        } else if let Some(policy) = forbidden {
            // The records may be younger than it.
            (Severity::Warning, format!("the CAA records of {} do not allow that CA", policy.records_of))
        } else if logged.issuers.is_empty() {
            // Nothing that is served was seen yet. Asked again: what comes later does not lead back here.
            return Verdict::Pass { holds_until: Some(now.plus(HOUR)) };
        } else if domains_of(&issuer).is_some() && !view.caa.is_empty() || allowed(&logged.issuers) {
            return Verdict::Pass { holds_until };
        } else {
            let issuers: Vec<&str> = logged.issuers.iter().take(5).map(String::as_str).collect();
            (Severity::Warning, format!("what is served here comes from {}", issuers.join(", ")))
        };
        let names = crate::document::names(&certificate).dns_and_ip;
        let finding = Finding::new(Kind::UnexpectedIssuance, severity, Some(view.asset.id), "")
            .at(logged.at.iter().copied())
            .summary(format!(
                "{issuer} issued a certificate for {}, which nothing of ours uses: {because}",
                title(&certificate)
            ))
            .hint(
                "ask who ordered it (other teams, hosters, a CDN); if it was one of yours, add the CA to [policy] issuers; if \
                 nobody did, report it to the CA's address for problems, which must look into it within 24 hours, have it \
                 revoked, look for changes in the DNS, and bind issuing by CAA records with accounturi",
            )
            .evidence("issuer", certificate.issuer_name().to_rfc4514())
            .evidence("serial", notafter_pki::fingerprint::hex(certificate.serial()))
            .evidence("names", names)
            .evidence("precertificate", certificate.is_precertificate())
            .evidence("expected", expectation(logged, wanted));
        // Something of the same CA may be served tomorrow.
        Verdict::found(finding, holds_until.map(|end| end.min(now.plus(DAY))))
    }
}

fn expectation(logged: &LoggedView<'_>, wanted: &[String]) -> Vec<String> {
    if wanted.is_empty() { logged.issuers.clone() } else { wanted.to_vec() }
}

/// The organisation that issued, or the common name where there is none: one CA signs with many names, all of which
/// have the organisation.
pub fn issuer_of(name: &notafter_pki::Name<'_>) -> String {
    let organisation = name.text_of(notafter_pki::oid::ORGANIZATION).filter(|text| !text.is_empty());
    let text = organisation.or_else(|| name.common_name()).unwrap_or_else(|| name.to_rfc4514());
    notafter_pki::name::printable(&text)
}

/// Does this word mean that issuer? The name or its beginning, or the domain by which CAA records name the CA.
fn is_meant(word: &str, issuer: &str) -> bool {
    let (word, issuer) = (word.trim().to_lowercase(), issuer.to_lowercase());
    let same_ca = || {
        let domains = domains_of(&issuer)?;
        Some(domains.contains(&word.as_str()) || domains_of(&word) == Some(domains))
    };
    !word.is_empty() && (issuer.starts_with(&word) || same_ca().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fingerprint;
    use crate::dossier::{AssetView, CaaView, Subject};
    use crate::inventory::{Asset, AssetKind, BytesAt};
    use crate::location::Location;
    use crate::policy::Policy;
    use crate::rules::scene::{NOW, days};
    use notafter_pki::certificate::Certificate;

    struct Case<'c> {
        issuer: &'c str,
        policy: &'c [&'c str],
        caa: &'c [&'c str],
        in_use: &'c [&'c str],
        known: bool,
        issued: bool,
        left: i64,
    }

    const CASE: Case<'_> = Case {
        issuer: "Let's Encrypt",
        policy: &[],
        caa: &[],
        in_use: &["DigiCert Inc"],
        known: false,
        issued: false,
        left: 60,
    };

    fn check(case: &Case<'_>, expected: Option<Severity>) {
        let mut params = rcgen::CertificateParams::new(vec!["go.a.test".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, case.issuer);
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let asset = Asset {
            id: Fingerprint::of(&der),
            kind: AssetKind::Certificate,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(days(-30)),
            not_after: Some(days(case.left)),
            key: None,
        };
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (at, elsewhere) = (Location::logged("log.test", Some("7")), Location::file(b"/srv/a.pem", ""));
        let view = AssetView {
            certificate: Some(Certificate::parse(&der).unwrap()),
            logged: Some(LoggedView {
                at: vec![&at],
                known_at: case.known.then_some(&elsewhere),
                issued: case.issued,
                issuers: texts(case.in_use),
            }),
            caa: (!case.caa.is_empty())
                .then(|| CaaView {
                    name: "go.a.test".to_owned(),
                    records_of: "a.test".to_owned(),
                    allowed: texts(case.caa),
                    critical: None,
                    seen_at: &elsewhere,
                })
                .into_iter()
                .collect(),
            ..AssetView::bare(&asset, Vec::new())
        };
        let policy = Policy { issuers: texts(case.policy), ..Policy::default() };
        let dossier = Dossier { subject: Subject::Asset(view), policy: &policy, owner: None };
        let verdict = UnexpectedIssuance.check(&dossier, NOW);
        assert!(verdict.holds_until().is_none_or(|next| next > NOW));
        let severity = match &verdict {
            Verdict::Found { findings, .. } => {
                assert_eq!(findings[0].locations, std::slice::from_ref(&at));
                Some(findings[0].severity)
            }
            _ => None,
        };
        assert_eq!(severity, expected, "{verdict:?}");
        // No other rule has anything to say about what nobody uses.
        for finding in crate::assess::assess(&dossier, NOW).findings {
            assert_eq!(finding.kind, Kind::UnexpectedIssuance, "{finding:?}");
        }
    }

    #[test]
    fn from_a_ca_that_we_use_or_not() {
        check(&CASE, Some(Severity::Warning));
        check(&Case { in_use: &["DigiCert Inc", "Let's Encrypt"], ..CASE }, None);
        // Brands of one CA.
        check(&Case { issuer: "GeoTrust Inc.", ..CASE }, None);
        // Nothing to compare with.
        check(&Case { in_use: &[], ..CASE }, None);
    }

    #[test]
    fn the_policy_counts_before_records_and_these_before_use() {
        check(&Case { policy: &["DigiCert"], ..CASE }, Some(Severity::Critical));
        check(&Case { policy: &["letsencrypt.org"], ..CASE }, None);
        check(&Case { policy: &["Let's Encrypt"], caa: &["digicert.com"], ..CASE }, None);
        check(&Case { policy: &[""], ..CASE }, Some(Severity::Critical));
        check(&Case { caa: &["digicert.com"], in_use: &[], ..CASE }, Some(Severity::Warning));
        check(&Case { caa: &["letsencrypt.org; accounturi=https://x"], ..CASE }, None);
    }

    #[test]
    fn what_is_known_or_over_is_silent() {
        check(&Case { known: true, ..CASE }, None);
        check(&Case { issued: true, ..CASE }, None);
        check(&Case { left: -1, policy: &["DigiCert"], ..CASE }, None);
    }
}
