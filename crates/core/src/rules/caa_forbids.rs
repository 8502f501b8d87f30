//! `caa-forbids`: the DNS does not let the CA of this certificate issue for its names now: the next renewal will fail.
//!
//! By the records nearest above a name (RFC 8659 section 3), as far as they were seen. CAs are told by the organisation
//! that issued; one that is not in the table, a private one above all, looks at no CAA records and is not judged.

use notafter_pki::dns::caa;
use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::dossier::{CaaView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct CaaForbids;

/// One CA, or several of one house.
struct Authority {
    /// What the organisation in an issuer's name begins with.
    names: &'static [&'static str],
    /// The domains by which CAA records name it; the first is the one to write.
    domains: &'static [&'static str],
    /// Where the CA says so.
    source: &'static str,
}

/// The report that the Common CA Database publishes of the practice statements (Mozilla's "CA Information Report", column
/// "Recognized CAA Domains", as of 5 December 2018). Rows with this source were not looked up at the CA since.
const CCADB: &str = "CCADB, CA Information Report, Recognized CAA Domains, December 2018";

/// Whoever is listed. A domain too many costs a finding, one too few makes a false one: deprecated ones are listed, too.
const AUTHORITIES: &[Authority] = &[
    Authority {
        names: &["let's encrypt", "internet security research group"],
        domains: &["letsencrypt.org"],
        source: "https://letsencrypt.org/docs/caa/, 16 August 2023",
    },
    Authority { names: &["google trust services"], domains: &["pki.goog", "google.com"], source: CCADB },
    Authority {
        names: &["digicert", "geotrust", "thawte", "rapidssl", "symantec", "quovadis"],
        domains: &[
            "digicert.com",
            "www.digicert.com",
            "digicert.ne.jp",
            "symantec.com",
            "thawte.com",
            "geotrust.com",
            "rapidssl.com",
            "digitalcertvalidation.com",
            "quovadisglobal.com",
        ],
        source: CCADB,
    },
    Authority {
        names: &["sectigo", "comodo", "the usertrust network", "zerossl"],
        domains: &[
            "sectigo.com",
            "usertrust.com",
            "trust-provider.com",
            "comodo.com",
            "comodoca.com",
            "entrust.net",
            "affirmtrust.com",
        ],
        source: "Sectigo TLS CP/CPS 6.2.2, 22 April 2026, section 4.2.4",
    },
    Authority { names: &["globalsign"], domains: &["globalsign.com"], source: CCADB },
    Authority {
        names: &["amazon"],
        domains: &["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com", "aws.amazon.com"],
        source: "https://docs.aws.amazon.com/acm/latest/userguide/setup-caa.html names four of them; CCADB all",
    },
    Authority {
        names: &["godaddy", "starfield"],
        domains: &["godaddy.com", "starfieldtech.com"],
        source: "https://www.godaddy.com/help/using-caa-records-with-your-ssl-certificate-27227",
    },
    Authority { names: &["entrust"], domains: &["entrust.net", "affirmtrust.com"], source: CCADB },
    Authority { names: &["ssl corp", "ssl.com"], domains: &["ssl.com"], source: CCADB },
    Authority { names: &["buypass"], domains: &["buypass.com", "buypass.no"], source: CCADB },
    Authority { names: &["actalis"], domains: &["actalis.it"], source: CCADB },
    Authority {
        names: &["asseco data systems", "unizeto"],
        domains: &["certum.pl", "certum.eu"],
        source: CCADB,
    },
    Authority { names: &["hellenic academic"], domains: &["harica.gr"], source: CCADB },
    Authority { names: &["identrust"], domains: &["identrust.com", "www.identrust.com"], source: CCADB },
    Authority {
        names: &["swisssign"],
        domains: &["swisssign.com", "swisssign.net", "swisssign.ch", "swisssign.li", "swisssign.org"],
        source: CCADB,
    },
    Authority {
        names: &["d-trust"],
        domains: &["d-trust.net", "dtrust.de", "d-trust.de", "dtrust.net"],
        source: CCADB,
    },
    Authority {
        names: &["deutsche telekom security", "t-systems"],
        domains: &["telesec.de", "pki.dfn.de", "dfn.de"],
        source: CCADB,
    },
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
        let Some(Authority { domains, source, .. }) = authority_of(&organisation) else {
            return Verdict::NotApplicable;
        };
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
            .hint(match &first.critical {
                Some(tag) => format!(
                    "before the renewal, take the critical flag off `{tag}` at {}: a CA that does not know it must not issue",
                    first.records_of
                ),
                None => format!(
                    "before the renewal, add `CAA 0 issue \"{}\"` at {}, or have it renewed by a CA that is allowed there",
                    domains.first().unwrap_or(&"the CA's domain"),
                    first.records_of
                ),
            })
            .evidence("allowed", first.allowed.clone())
            .evidence("domains_by", *source)
            .evidence("names", forbidden.iter().map(|p| p.name.clone()).collect::<Vec<_>>());
        let holds = if soon { end.map(|end| end.plus(1)) } else { due };
        Verdict::found(finding, holds)
    }
}

pub(super) fn domains_of(organisation: &str) -> Option<&'static [&'static str]> {
    authority_of(organisation).map(|one| one.domains)
}

fn authority_of(organisation: &str) -> Option<&'static Authority> {
    let organisation = organisation.to_lowercase();
    AUTHORITIES.iter().find(|one| one.names.iter().any(|name| organisation.starts_with(name)))
}

/// Is one of the values for this CA? What stands behind a semicolon binds it to an account or a method.
pub(super) fn allows(policy: &CaaView<'_>, domains: &[&str]) -> bool {
    policy
        .allowed
        .iter()
        .any(|value| domains.iter().any(|known| known.eq_ignore_ascii_case(caa::domain(value))))
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
        // Sectigo may where Entrust may; not the other way round.
        check("Sectigo Limited", &["entrust.net"], 20, None);
        check("Entrust, Inc.", &["sectigo.com"], 20, Some(Severity::Warning));
        // None may: a critical property that no CA knows.
        check("Let's Encrypt", &[], 20, Some(Severity::Warning));
        // A private CA asks nobody.
        check("Our own", &["digicert.com"], 20, None);
    }

    #[test]
    fn every_row_has_a_source() {
        for one in AUTHORITIES {
            assert!(!one.source.is_empty() && !one.domains.is_empty(), "{:?}", one.names);
            assert!(one.names.iter().all(|name| *name == name.to_lowercase()), "{:?}", one.names);
        }
    }
}
