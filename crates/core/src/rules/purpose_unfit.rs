//! `purpose-unfit`: a certificate is used for what it was not issued for.
//!
//! Only what it says itself counts: without a list of purposes it is fit for all of them. CA certificates are judged
//! with their paths.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::inventory::Role;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;
use notafter_pki::certificate::Certificate;
use notafter_pki::oid;

/// The rule.
pub struct PurposeUnfit;

impl Rule for PurposeUnfit {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::PurposeUnfit,
            doc: "a server shows a certificate that is not for servers, or a client uses one that is not for clients",
            citation: "RFC 5280 sections 4.2.1.3 and 4.2.1.12; RFC 8446 section 4.4.2.2",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        // Remote Desktop has a purpose of its own.
        let served: Vec<&Location> = view.served_at().filter(|l| l.scheme() != "rdp").collect();
        let presented: Vec<&Location> =
            view.places.iter().filter(|p| p.role == Role::Client).map(|p| &p.location).collect();
        if served.is_empty() && presented.is_empty() {
            return Verdict::NotApplicable;
        }
        let mut why = Vec::new();
        let mut places = Vec::new();
        if !served.is_empty() {
            let before = why.len();
            if !is_for(&certificate, oid::SERVER_AUTH) {
                why.push(format!("it is served, and is for {} only", purposes(&certificate)));
            }
            why.extend(key_usage(&certificate));
            if why.len() > before {
                places.extend(served);
            }
        }
        if !presented.is_empty() && !is_for(&certificate, oid::CLIENT_AUTH) {
            why.push(format!("a client presents it, and it is for {} only", purposes(&certificate)));
            places.extend(presented);
        }
        if why.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        let finding = Finding::new(Kind::PurposeUnfit, Severity::Warning, Some(view.asset.id), "")
            .at(places)
            .summary(format!("{} is used for what it was not issued for: {}", view.title(), why.join("; ")))
            .hint("have it issued again with the purposes of its use, and install that; the request or the CA's profile has them")
            .evidence("purposes", certificate.extended_key_usage().map(|u| u.names()).unwrap_or_default());
        Verdict::found(finding, None)
    }
}

pub(crate) fn is_for(certificate: &Certificate<'_>, purpose: &[u8]) -> bool {
    certificate
        .extended_key_usage()
        .is_none_or(|listed| listed.has(purpose) || listed.has(oid::ANY_EXTENDED_KEY_USAGE))
}

pub(crate) fn purposes(certificate: &Certificate<'_>) -> String {
    let names = certificate.extended_key_usage().map(|u| u.names()).unwrap_or_default();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// A server signs with its key, unless it is RSA and the client encrypts to it.
pub(crate) fn key_usage(certificate: &Certificate<'_>) -> Option<String> {
    let usage = certificate.key_usage()?;
    let encrypts = certificate.public_key().algorithm() == "RSA" && usage.key_encipherment();
    // Static Diffie-Hellman agrees on a key with what is certified.
    let agrees = certificate.public_key().algorithm() != "RSA" && usage.key_agreement();
    if usage.digital_signature() || encrypts || agrees {
        return None;
    }
    Some(format!("its key may be used for {} only", usage.names().join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::inventory::Role;
    use crate::rules::scene::Scene;
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};

    #[test]
    fn servers_and_clients() {
        let check = |scene: Scene, expected: bool| {
            let found = expected.then_some((Kind::PurposeUnfit, Severity::Warning));
            scene.check(&super::PurposeUnfit, found);
        };
        check(Scene::leaf("a.test").for_purposes(&[ClientAuth]).served(), true);
        check(Scene::leaf("a.test").for_purposes(&[ServerAuth]).in_file_as(Role::Client), true);
        check(Scene::leaf("a.test").for_purposes(&[ServerAuth]).served(), false);
        check(Scene::leaf("a.test").for_purposes(&[ServerAuth, ClientAuth]).in_file_as(Role::Client), false);
        check(Scene::leaf("a.test").for_purposes(&[ClientAuth]).in_file(), false);
        check(Scene::leaf("a.test").served(), false);
    }
}
