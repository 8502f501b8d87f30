//! `caa-forbids`: the DNS does not let the CA of this certificate issue for its names now: the next renewal will fail.
//!
//! By the records nearest above a name (RFC 8659 section 3), as far as they were seen. CAs are told by the organisation
//! that issued; one that is not in the table, a private one above all, looks at no CAA records and is not judged.

use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::dossier::{CaaView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct CaaForbids;

/// What the organisation in an issuer's name begins with, and the domains by which CAA records name that CA.
///
/// Source: "Recognized CAA Domains" in the Common CA Database (CCADB) and the CAs' practice statements, section 4.2.1.
const AUTHORITIES: &[(&[&str], &[&str])] = &[
    (&["let's encrypt", "internet security research group"], &["letsencrypt.org"]),
    (&["google trust services"], &["pki.goog"]),
    (
        &["digicert", "geotrust", "thawte", "rapidssl", "symantec", "quovadis"],
        &[
            "digicert.com",
            "www.digicert.com",
            "digicert.ne.jp",
            "symantec.com",
            "thawte.com",
            "geotrust.com",
            "rapidssl.com",
            "quovadisglobal.com",
        ],
    ),
    (
        &["sectigo", "comodo", "the usertrust network", "zerossl"],
        &["sectigo.com", "comodo.com", "comodoca.com", "usertrust.com", "trust-provider.com"],
    ),
    (&["globalsign"], &["globalsign.com"]),
    (&["amazon"], &["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com", "aws.amazon.com"]),
    (&["godaddy", "starfield"], &["godaddy.com", "starfieldtech.com"]),
    (&["entrust"], &["entrust.net", "affirmtrust.com"]),
    (&["ssl corp", "ssl.com"], &["ssl.com"]),
    (&["buypass"], &["buypass.com", "buypass.no"]),
    (&["actalis"], &["actalis.it"]),
    (&["asseco data systems", "unizeto"], &["certum.pl", "certum.eu"]),
    (&["hellenic academic"], &["harica.gr"]),
    (&["identrust"], &["identrust.com"]),
    (&["swisssign"], &["swisssign.com"]),
    (&["d-trust"], &["d-trust.net", "dtrust.de", "d-trust.de", "dtrust.net"]),
    (&["deutsche telekom security", "t-systems"], &["telesec.de", "pki.dfn.de", "dfn.de"]),
];

impl Rule for CaaForbids {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::CaaForbids,
            doc: "the CAA records of a name do not allow the CA that issued the certificate served for it",
            citation: "RFC 8659 sections 3 and 4; CA/Browser Forum Baseline Requirements section 3.2.2.8",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let ended = view.asset.not_after.is_none_or(|end| end < now);
        if view.caa.is_empty() || ended || view.superseded_by.is_some() || view.served_at().next().is_none() {
            return Verdict::NotApplicable;
        }
        let Some(organisation) = certificate.issuer_name().text_of(notafter_pki::oid::ORGANIZATION) else {
            return Verdict::NotApplicable;
        };
        let Some(domains) = domains_of(&organisation) else { return Verdict::NotApplicable };
        let forbidden: Vec<&CaaView<'_>> =
            view.caa.iter().filter(|policy| !allows(policy, domains)).collect();
        let Some(first) = forbidden.first() else {
            return Verdict::Pass { holds_until: view.asset.not_after.map(|end| end.plus(1)) };
        };
        // It works until it is renewed.
        let (begin, end) = (view.asset.not_before, view.asset.not_after);
        let due = begin.zip(end).map(|(begin, end)| end.plus(-((end.0 - begin.0) / 3).clamp(0, 60 * DAY)));
        let soon = due.is_none_or(|due| due <= now);
        let severity = if soon { Severity::Warning } else { Severity::Info };
        let finding = Finding::new(Kind::CaaForbids, severity, Some(view.asset.id), "")
            .at(view.served_at())
            .deadline(end)
            .summary(format!(
                "the CAA records of {} do not allow {organisation} to issue for {}: the renewal will fail",
                first.records_of, first.name
            ))
            .hint(format!(
                "before the renewal, add `CAA 0 issue \"{}\"` at {}, or have it renewed by a CA that is allowed there",
                domains.first().unwrap_or(&"the CA's domain"),
                first.records_of
            ))
            .evidence("allowed", first.allowed.clone())
            .evidence("names", forbidden.iter().map(|p| p.name.clone()).collect::<Vec<_>>());
        let holds = if soon { end.map(|end| end.plus(1)) } else { due };
        Verdict::found(finding, holds)
    }
}

fn domains_of(organisation: &str) -> Option<&'static [&'static str]> {
    let organisation = organisation.to_lowercase();
    let known = |names: &[&str]| names.iter().any(|name| organisation.starts_with(name));
    AUTHORITIES.iter().find(|(names, _)| known(names)).map(|(_, domains)| *domains)
}

/// Is one of the values for this CA? What stands behind a semicolon binds it to an account or a method.
fn allows(policy: &CaaView<'_>, domains: &[&str]) -> bool {
    policy.allowed.iter().any(|value| {
        let domain = value.split(';').next().unwrap_or_default().trim();
        domains.iter().any(|known| known.eq_ignore_ascii_case(domain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::scene::Scene;

    fn check(issuer: &'static str, allowed: &[&str], left: i64, expected: Option<Severity>) {
        let scene =
            Scene::leaf("a.test").lives(90, left).served_as("a.test").of_organisation(issuer).caa(allowed);
        scene.check(&CaaForbids, expected.map(|severity| (Kind::CaaForbids, severity)));
    }

    #[test]
    fn only_the_ca_that_is_named_may() {
        check("Let's Encrypt", &["letsencrypt.org"], 20, None);
        check("Let's Encrypt", &["digicert.com", "LetsEncrypt.org; accounturi=https://x"], 20, None);
        check("Let's Encrypt", &["digicert.com"], 20, Some(Severity::Warning));
        check("Let's Encrypt", &["digicert.com"], 60, Some(Severity::Info));
        check("Let's Encrypt", &[";"], 20, Some(Severity::Warning));
        check("DigiCert Inc", &["thawte.com"], 20, None);
        // A private CA asks nobody.
        check("Our own", &["digicert.com"], 20, None);
    }
}
