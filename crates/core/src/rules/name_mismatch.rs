//! `name-mismatch`: the certificate is not for the name that was asked for.
//!
//! Names are compared as RFC 9525 says: only subjectAltName counts, `*` stands for exactly one leftmost
//! label, the common name for nothing. Without a name sent there is nothing to compare: a bare address
//! shows its default certificate, which is nobody's mistake.

use notafter_pki::certificate::Certificate;

use crate::UnixTime;
use crate::document;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct NameMismatch;

impl Rule for NameMismatch {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::NameMismatch,
            doc: "the certificate does not hold the name under which it is served",
            citation: "RFC 9525 section 6.3; RFC 6125",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        let mut asked: Vec<&str> = view.served_at().filter_map(|l| l.sni()).collect();
        asked.sort_unstable();
        asked.dedup();
        if asked.is_empty() {
            return Verdict::NotApplicable;
        }
        let names = document::names(&certificate).dns_and_ip;
        let findings: Vec<_> = asked
            .into_iter()
            .filter(|name| !names.iter().any(|n| covers(n, name)))
            .map(|name| {
                let shown = if names.is_empty() { "no name at all".to_owned() } else { some(&names) };
                let only_cn = common_name_only(&certificate, name);
                Finding::new(Kind::NameMismatch, Severity::Critical, Some(view.asset.id), name)
                    .at(view.served_at().filter(|l| l.sni() == Some(name)))
                    .summary(format!("{name} serves a certificate for {shown}"))
                    .hint(if only_cn {
                        "the name stands only in the common name, which clients ignore: reissue it with a subjectAltName"
                    } else {
                        "give this name its own virtual host and certificate, or reissue the certificate with this name in it"
                    })
                    .evidence("asked", name)
                    .evidence("names", names.clone())
            })
            .collect();
        if findings.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        Verdict::Found { findings, holds_until: None }
    }
}

fn some(names: &[String]) -> String {
    match names {
        [a] => a.clone(),
        [a, b] => format!("{a} and {b}"),
        [a, rest @ ..] => format!("{a} and {} others", rest.len()),
        [] => String::new(),
    }
}

fn common_name_only(certificate: &Certificate<'_>, name: &str) -> bool {
    certificate.subject().common_name().is_some_and(|cn| covers(&cn, name))
}

/// Does a name from a certificate cover the name asked for (RFC 9525 section 6.3)?
pub fn covers(presented: &str, asked: &str) -> bool {
    let asked = asked.trim_end_matches('.');
    let presented = presented.trim_end_matches('.');
    match presented.strip_prefix("*.") {
        Some(parent) => asked.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && parent.contains('.') && rest.eq_ignore_ascii_case(parent)
        }),
        None => presented.eq_ignore_ascii_case(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn names_cover_names() {
        for (presented, asked, expected) in [
            ("a.test", "a.test", true),
            ("A.Test", "a.tesT", true),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "c.b.a.test", false),
            ("*.a.test", "a.test", false),
            ("*.test", "a.test", false),
            ("*", "a", false),
            ("a.*.test", "a.b.test", false),
            ("w*.a.test", "www.a.test", false),
        ] {
            assert_eq!(covers(presented, asked), expected, "{presented} {asked}");
        }
    }

    #[test]
    fn served_under_another_name() {
        let found = Some((Kind::NameMismatch, Severity::Critical));
        Scene::leaf("other.test").served_as("web.test").check(&super::NameMismatch, found);
        Scene::leaf("*.web.test").served_as("a.web.test").check(&super::NameMismatch, None);
        Scene::leaf("other.test").served().check(&super::NameMismatch, None);
    }
}
