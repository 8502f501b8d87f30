//! `cannot-read`: something that holds certificates, or may, could not be read.
//!
//! A keystore whose password we do not know may expire tomorrow: that is a gap in the inventory, and
//! gaps are said aloud. A port that is closed or a name that is gone is a blind spot, not this.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;
use crate::observation::Reason;

/// The rule.
pub struct CannotRead;

impl Rule for CannotRead {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::CannotRead,
            doc: "a keystore, a file or a certificate could not be read, so its dates are unknown",
            citation: "52 recorded outages: what nobody could read was in nobody's list",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        match &dossier.subject {
            Subject::Blind(spot) if spot.location.is_file() => {
                let (severity, hint) = match spot.reason {
                    Reason::WrongPassword => {
                        (Severity::Warning, "give its password in a file with --password-file and scan again")
                    }
                    // Manuals, sources and programs are full of half certificates that nobody will ever load:
                    // those are blind spots and no more.
                    Reason::Malformed if !spot.location.is_for_certificates() => {
                        return Verdict::Pass { holds_until: None };
                    }
                    Reason::Malformed => (
                        Severity::Warning,
                        "look at the file: it claims to be what it is not, or it was cut short",
                    ),
                    Reason::UnsupportedFormat => {
                        (Severity::Info, "convert it to PKCS#12 or PEM, or enter its date by hand")
                    }
                    Reason::PermissionDenied => (Severity::Info, "run the scan as a user who may read it"),
                    _ => return Verdict::NotApplicable,
                };
                let severity = if spot.location.is_published() { Severity::Info } else { severity };
                let cause = format!("{} {}", spot.reason.as_str(), spot.location);
                let finding = Finding::new(Kind::CannotRead, severity, None, cause)
                    .at([&spot.location])
                    .summary(format!("cannot read {}: {}", shown(&spot.location), spot.detail))
                    .hint(hint)
                    .evidence("reason", spot.reason.as_str());
                Verdict::found(finding, None)
            }
            Subject::Asset(view)
                if view.asset.kind == AssetKind::Certificate && view.certificate.is_none() =>
            {
                let severity = if view.is_only_published() { Severity::Info } else { Severity::Warning };
                let finding = Finding::new(Kind::CannotRead, severity, Some(view.asset.id), "")
                    .at(view.locations())
                    .summary("a certificate is too broken to be read; it is kept by its fingerprint")
                    .hint("have it reissued: clients may refuse it, each in its own way");
                Verdict::found(finding, None)
            }
            Subject::Asset(_) => Verdict::Pass { holds_until: None },
            _ => Verdict::NotApplicable,
        }
    }
}

/// A file as its path.
fn shown(location: &Location) -> &str {
    location.as_str().strip_prefix("file://").unwrap_or(location.as_str())
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::observation::Reason;
    use crate::rules::scene::{Scene, blind};

    #[test]
    fn blind_spots() {
        let check = |location: &str, reason, severity: Option<Severity>| {
            blind(location, reason, &super::CannotRead, severity.map(|s| (Kind::CannotRead, s)));
        };
        check("file:///a.p12", Reason::WrongPassword, Some(Severity::Warning));
        check("file:///a.pem#2", Reason::Malformed, Some(Severity::Warning));
        check("file:///README.md", Reason::Malformed, None);
        check("file:///a.bks", Reason::UnsupportedFormat, Some(Severity::Info));
        check("file:///proc", Reason::OtherFilesystem, None);
        check("tls://10.0.0.1:443", Reason::Refused, None);
    }

    #[test]
    fn a_certificate_that_reads() {
        Scene::leaf("a.test").in_file().check(&super::CannotRead, None);
    }
}
