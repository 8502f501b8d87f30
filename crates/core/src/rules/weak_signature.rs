//! `weak-signature`: signed with MD5, SHA-1 or older: collisions can be made, and clients refuse it.
//! A root's signature on itself proves nothing either way and is not judged.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct WeakSignature;

impl Rule for WeakSignature {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::WeakSignature,
            doc: "signed with MD2, MD4, MD5 or SHA-1",
            citation: "CA/Browser Forum Baseline Requirements 7.1.3.2; RFC 6151; NIST SP 800-131A",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        if view.only_trust_anchor() || certificate.is_self_issued() {
            return Verdict::NotApplicable;
        }
        let name = certificate.signature_algorithm().signature_name();
        let folded = name.to_ascii_lowercase();
        if !["md2", "md4", "md5", "sha1"].iter().any(|weak| folded.contains(weak)) {
            return Verdict::Pass { holds_until: None };
        }
        let in_use = view.served_at().next().is_some();
        let finding = Finding::new(
            Kind::WeakSignature,
            if in_use { Severity::Warning } else { Severity::Info },
            Some(view.asset.id),
            "",
        )
        .at(view.locations())
        .summary(format!("{} is signed with {name}, which clients no longer accept", view.title()))
        .hint("have it reissued with SHA-256 or better")
        .evidence("signature", name);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::scene::Scene;

    #[test]
    fn sha256_is_fine() {
        Scene::leaf("a.test").served().check(&super::WeakSignature, None);
    }
}
