//! `chain-incomplete`: a server sends too little for a client to reach a root.
//!
//! Browsers with a cached intermediate still succeed, so people who look do not see it. A leaf issued
//! straight by a trusted root is complete alone. Files are not judged: many keep the chain beside.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct ChainIncomplete;

impl Rule for ChainIncomplete {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ChainIncomplete,
            doc: "a server does not send the intermediate certificates that lead to a root",
            citation: "RFC 8446 section 4.4.2; RFC 5246 section 7.4.2",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let mut applicable = false;
        let mut broken = Vec::new();
        for chain in view.chains.iter().filter(|c| c.is_served()) {
            applicable = true;
            if let Some(missing) = &chain.path.missing {
                broken.push((chain, missing));
            }
        }
        let Some((first, missing)) = broken.first() else {
            return if applicable { Verdict::Pass { holds_until: None } } else { Verdict::NotApplicable };
        };
        // A leaf alone under an issuer nobody here has seen may be complete: a private root is not sent.
        let known = first.path.missing_is_certain;
        let title = view.title();
        let (severity, summary) = if known {
            (
                Severity::Warning,
                format!("the server of {title} does not send the certificate of its issuer, {missing}"),
            )
        } else {
            let alone = format!("the server of {title} sends that certificate alone");
            (Severity::Info, format!("{alone}; if its issuer, {missing}, is no root, clients will fail"))
        };
        let finding = Finding::new(Kind::ChainIncomplete, severity, Some(view.asset.id), "")
            .at(broken.iter().flat_map(|(c, _)| c.locations()).filter(|l| l.is_endpoint()))
            .summary(summary)
            .hint("install the full chain: the leaf first, then each issuer, without the root; then reload")
            .evidence("missing", *missing)
            .evidence("certain", known)
            .evidence("sent", first.sent.len());
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::dossier::PathEnd;
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn missing_or_issued_by_the_root_itself() {
        let found = Some((Kind::ChainIncomplete, Severity::Warning));
        Scene::leaf("a.test")
            .served()
            .path(PathEnd::Trusted, Some("CN=Int"))
            .check(&super::ChainIncomplete, found);
        let unsure = Some((Kind::ChainIncomplete, Severity::Info));
        Scene::leaf("a.test")
            .served()
            .path(PathEnd::UnknownIssuer, Some("CN=Int"))
            .check(&super::ChainIncomplete, unsure);
        Scene::leaf("a.test").served().path(PathEnd::Trusted, None).check(&super::ChainIncomplete, None);
        Scene::leaf("a.test")
            .in_file()
            .path(PathEnd::Trusted, Some("CN=Int"))
            .check(&super::ChainIncomplete, None);
    }
}
