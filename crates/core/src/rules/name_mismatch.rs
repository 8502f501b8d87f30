//! `name-mismatch`: the certificate is not for the name that was asked for, or for which a configuration serves it.
//!
//! Names are compared as RFC 9525 says: only subjectAltName counts, `*` stands for exactly one leftmost
//! label, the common name for nothing. Without a name sent there is nothing to compare: a bare address
//! shows its default certificate, which is nobody's mistake. What a configuration says counts only where its file is for
//! none of the names that it is served for: one name too many in a list is often an old one.

use std::collections::BTreeMap;

use notafter_pki::certificate::Certificate;

use crate::UnixTime;
use crate::document;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;
use crate::observation::LinkKind;

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
        let configured = configured(view);
        if asked.is_empty() && configured.is_empty() {
            return Verdict::NotApplicable;
        }
        let names = document::names(&certificate).dns_and_ip;
        let mut findings: Vec<_> = asked
            .iter()
            .copied()
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
        for (evidence, served) in configured {
            let fits = |name: &&str| names.iter().any(|n| covers(n, name));
            if certificate.is_ca() || served.names.iter().any(fits) {
                continue;
            }
            // What was asked for by name is told already.
            for name in served.names.iter().filter(|name| !asked.contains(name)) {
                let shown = if names.is_empty() { "no name at all".to_owned() } else { some(&names) };
                let severity = if served.seen.is_empty() { Severity::Warning } else { Severity::Critical };
                findings.push(
                    Finding::new(Kind::NameMismatch, severity, Some(view.asset.id), *name)
                        .at(served.seen.iter().copied().chain(served.files.iter().copied()))
                        .summary(format!("{name} is configured to serve a certificate for {shown} ({evidence})"))
                        .hint("name the file with the certificate for this name there, or reissue it with this name in it")
                        .evidence("asked", *name)
                        .evidence("names", names.clone())
                        .evidence("configuration", evidence),
                );
            }
        }
        if findings.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        Verdict::Found { findings, holds_until: None }
    }
}

/// What one directive serves it for.
#[derive(Default)]
struct Configured<'a> {
    /// The names, as far as they are whole ones that clients come to from elsewhere.
    names: Vec<&'a str>,
    /// Where it was seen to be served so.
    seen: Vec<&'a Location>,
    /// Its files.
    files: Vec<&'a Location>,
}

/// The names for which configurations serve it, by directive.
fn configured<'v>(view: &'v AssetView<'_>) -> BTreeMap<&'v str, Configured<'v>> {
    let mut out: BTreeMap<&str, Configured<'_>> = BTreeMap::new();
    for link in view.lineage.used_by.iter().filter(|link| link.kind == LinkKind::Serves) {
        let (Some(name), Some(to)) = (link.to.sni(), link.to.address()) else { continue };
        let own = |location: &&Location| location.container() == link.from.container();
        // Not what only stands behind the leaf in the same file.
        let leads = view.places.iter().filter(|p| p.role == Role::Leaf && p.chain.is_some());
        let files: Vec<&Location> = leads.map(|p| &p.location).filter(own).collect();
        if files.is_empty() || !is_whole(name) {
            continue;
        }
        let here = |location: &&Location| {
            let fits = |ip: std::net::IpAddr| ip.is_unspecified() || Some(ip) == location.ip();
            let port = location.address().is_some_and(|address| address.port() == to.port());
            port && fits(to.ip()) && location.scheme() == link.to.scheme()
        };
        let one = out.entry(link.evidence.as_str()).or_default();
        one.names.push(name);
        one.seen.extend(view.served_at().filter(here));
        one.files.extend(files);
    }
    for one in out.values_mut() {
        one.names.sort_unstable();
        one.names.dedup();
    }
    out
}

/// A name that a client could send: no pattern, and more than a label.
fn is_whole(name: &str) -> bool {
    let local = ["localhost", "local", "localdomain", "invalid"].iter();
    let last = name.rsplit('.').next().unwrap_or(name);
    name.contains('.')
        && !name.starts_with('.')
        && !name.contains('*')
        && name.parse::<std::net::IpAddr>().is_err()
        && !local.into_iter().any(|word| last.eq_ignore_ascii_case(word))
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

    #[test]
    fn configured_for_another_name() {
        let check = |certificate, names: &'static [&'static str], seen: bool, severity: Option<Severity>| {
            let scene = Scene::leaf(certificate).in_file().configured_for(names);
            let scene = if seen { scene.served() } else { scene };
            scene.check(&super::NameMismatch, severity.map(|s| (Kind::NameMismatch, s)));
        };
        check("other.test", &["web.a.test"], true, Some(Severity::Critical));
        check("other.test", &["web.a.test"], false, Some(Severity::Warning));
        check("*.a.test", &["web.a.test"], true, None);
        check("web.a.test", &["old.a.test", "web.a.test"], true, None);
        check("other.test", &["localhost"], true, None);
        check("other.test", &["*.a.test"], true, None);
        check("other.test", &["192.0.2.1"], true, None);
    }
}
