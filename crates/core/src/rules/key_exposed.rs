//! `key-exposed`: a private key that everyone on the machine can read.

use crate::UnixTime;
use crate::dossier::{Dossier, Subject};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct KeyExposed;

impl Rule for KeyExposed {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::KeyExposed,
            doc: "an unencrypted private key can be read by everyone on the machine",
            citation: "certbot issues 1540 and 1821; NIST SP 1800-16B section 5.1",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Subject::Key(key) = &dossier.subject else { return Verdict::NotApplicable };
        let Some(file) = key.facts.file.as_deref() else { return Verdict::NotApplicable };
        if key.encrypted || file.mode & 0o004 == 0 || !file.reachable_by_others {
            return Verdict::Pass { holds_until: None };
        }
        // A key that a package ships to everyone is no secret that leaked here; one in a program's file is
        // mostly for its self-test.
        let shipped = key.location.is_published() && !key.location.as_str().contains("/etc/");
        let severity = if shipped { Severity::Info } else { Severity::Critical };
        let owner = file.owner.clone().unwrap_or_else(|| file.uid.to_string());
        let finding = Finding::new(Kind::KeyExposed, severity, None, key.location.as_str())
            .at([&key.location])
            .summary(format!("a private key can be read by everyone (mode {:04o}, owner {owner})", file.mode))
            .hint("chmod 600 it, make a new key and reissue: whoever could read it may have")
            .evidence("mode", format!("{:04o}", file.mode))
            .evidence("owner", owner)
            .evidence("format", key.format);
        Verdict::found(finding, None)
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::key_file;

    #[test]
    fn modes() {
        let check = |mode, encrypted, reachable, expected: bool| {
            let found = expected.then_some((Kind::KeyExposed, Severity::Critical));
            key_file(mode, encrypted, reachable, &super::KeyExposed, found);
        };
        check(0o644, false, true, true);
        check(0o644, true, true, false);
        check(0o644, false, false, false);
        check(0o640, false, true, false);
        check(0o600, false, true, false);
    }
}
