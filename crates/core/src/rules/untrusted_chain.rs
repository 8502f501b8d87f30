//! `untrusted-chain`: the path of a served certificate does not end at a known root.
//!
//! Private CAs and self-signed certificates are ordinary inside an organisation: worth knowing, not an
//! alarm. A signature that is not by the issuer's key is one: no client on earth accepts it.

use crate::UnixTime;
use crate::dossier::{Dossier, PathEnd};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct UntrustedChain;

impl Rule for UntrustedChain {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::UntrustedChain,
            doc: "the path does not end at a root in Mozilla's list, the system's or --roots",
            citation: "RFC 5280 section 6.1",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let Some(chain) = view.chains.iter().find(|c| c.is_served()) else { return Verdict::NotApplicable };
        let title = view.title();
        let issuer = &chain.path.ends_at;
        let (severity, summary, hint) = match chain.path.end {
            PathEnd::Trusted => return Verdict::Pass { holds_until: None },
            PathEnd::SelfSigned => (
                Severity::Info,
                format!("{title} is self-signed"),
                "clients accept it only if they were given it by hand; if that is meant, pass it with --roots",
            ),
            PathEnd::PrivateRoot => (
                Severity::Info,
                format!("{title} is from a private CA, {issuer}"),
                "if this CA is yours, pass its root with --roots and the chain is checked against it",
            ),
            PathEnd::UnknownIssuer => (
                Severity::Info,
                format!("the chain of {title} ends at {issuer}, which is not a known root"),
                "if this CA is yours, pass its root with --roots and the chain is checked against it",
            ),
            PathEnd::BadSignature => (
                Severity::Critical,
                format!("the signature on {title} is not by its issuer, {issuer}"),
                "the chain beside this certificate belongs to another CA key: install the chain that came with it",
            ),
        };
        let places = view.chains.iter().filter(|c| c.is_served() && c.path.end == chain.path.end);
        let finding = Finding::new(Kind::UntrustedChain, severity, Some(view.asset.id), "")
            .at(places.flat_map(|c| c.locations()).filter(|l| l.is_endpoint()))
            .summary(summary)
            .hint(hint)
            .evidence("ends_at", issuer)
            .evidence("search_cut_short", chain.path.cut_short);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::dossier::PathEnd;
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    fn check(end: PathEnd, severity: Option<Severity>) {
        Scene::leaf("a.test")
            .served()
            .path(end, None)
            .check(&super::UntrustedChain, severity.map(|s| (Kind::UntrustedChain, s)));
    }

    #[test]
    fn ends_of_paths() {
        check(PathEnd::Trusted, None);
        check(PathEnd::PrivateRoot, Some(Severity::Info));
        check(PathEnd::SelfSigned, Some(Severity::Info));
        check(PathEnd::UnknownIssuer, Some(Severity::Info));
        check(PathEnd::BadSignature, Some(Severity::Critical));
    }
}
