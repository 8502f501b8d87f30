//! `key-mismatch`: the private key beside a certificate is not its key. The server that is told to use
//! this pair will not start, often only at its next restart, months later.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct KeyMismatch;

impl Rule for KeyMismatch {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::KeyMismatch,
            doc: "the key file that belongs to a certificate by name or place holds another key",
            citation: "RFC 5280 section 4.1.2.7; acme.sh issue 6621 (new key kept beside the old certificate)",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        if view.keys_beside.is_empty() {
            return Verdict::NotApplicable;
        }
        // What packages ship for their tests and manuals starts no server.
        let ours = view.keys_beside.iter().filter(|b| !b.place.location.is_published());
        let mut known = ours.filter(|b| b.key.key.is_some());
        let wrong = known.find(|b| b.key.key != view.asset.key);
        let Some(beside) = wrong else { return Verdict::Pass { holds_until: None } };
        let finding = Finding::new(
            Kind::KeyMismatch,
            Severity::Critical,
            Some(view.asset.id),
            beside.key.location.container(),
        )
        .at([&beside.place.location, &beside.key.location])
        .summary(format!("the key beside {} is not its key", view.title()))
        .hint("find the key that was made for this certificate, or reissue the certificate for this key; do not restart the server before")
        .evidence("certificate", &beside.place.location)
        .evidence("key", &beside.key.location)
        .evidence("because", beside.because);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    #[test]
    fn the_pair_fits_or_not() {
        let found = Some((Kind::KeyMismatch, Severity::Critical));
        Scene::leaf("a.test").in_file().with_key(false).check(&super::KeyMismatch, found);
        Scene::leaf("a.test").in_file().with_key(true).check(&super::KeyMismatch, None);
        Scene::leaf("a.test").in_file().check(&super::KeyMismatch, None);
        let shipped = "/usr/lib/python3/dist-packages/thing/tests/testdata/cert1.pem";
        let shipped = Scene::leaf("a.test").at_file(shipped, crate::inventory::Role::Leaf);
        shipped.with_key(false).check(&super::KeyMismatch, None);
    }
}
