//! `key-expires`: a signing key ends, and with it what it signs: repositories, hosts, people.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Kind, Severity};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;

use crate::ending::{self, Ending};

/// The rule.
pub struct KeyExpires;

impl Rule for KeyExpires {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::KeyExpires,
            doc: "an OpenPGP key or an SSH certificate ends",
            citation: "RFC 9580 section 5.2.3.13; OpenSSH PROTOCOL.certkeys",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::OpenpgpKey, AssetKind::SshCertificate]) else {
            return Verdict::NotApplicable;
        };
        let ending = Ending {
            kind: Kind::KeyExpires,
            ladder: |life| ending::shares(life, 60, 21, 7),
            ends: "ends",
            ended: "ended",
            hint: "extend or replace it where it is made, then bring the new copy to every place listed: whoever holds the old copy sees the old date",
        };
        let statement = view.statement.as_ref();
        let fact = |key| statement.and_then(|s| s.fact_of(key));
        // Nobody goes by it already; or another subkey for the same use stands beside it and lasts longer.
        let dead = fact("revoked").is_some() || fact("unbound").is_some();
        if dead || view.around.overtaken_by.is_some() {
            return Verdict::Pass { holds_until: None };
        }
        let verdict = ending::judge(dossier, view, &ending, now);
        // The public keys of those one writes to are theirs to extend.
        let theirs = fact("secret").is_none() && view.locations().all(is_of_correspondents);
        // A subkey that signs nothing takes no signature with it; its owner merely gets no more encrypted mail.
        let signs =
            |usage: &str| usage.split(',').any(|word| matches!(word, "sign" | "certify" | "authenticate"));
        let idle = fact("primary").is_some() && fact("usage").is_some_and(|usage| !signs(usage));
        if idle || theirs { ending::at_most(verdict, Severity::Info) } else { verdict }
    }
}

/// Does a keyring of GnuPG hold it, where a person or a program collects the public keys of others?
fn is_of_correspondents(location: &Location) -> bool {
    let file = location.container();
    let name = file.rsplit('/').next().unwrap_or(file);
    file.contains("/.gnupg/") || matches!(name, "pubring.gpg" | "pubring.kbx")
}

#[cfg(test)]
mod tests {
    use notafter_pki::statement::Statement;

    use crate::ending::scene::{check, check_beside, check_stated};
    use crate::finding::{Kind, Severity};
    use crate::inventory::AssetKind;
    use crate::observation::Facts;

    #[test]
    fn in_time_and_healthy() {
        let at = |life, expected: Option<Severity>| {
            check(
                &super::KeyExpires,
                AssetKind::OpenpgpKey,
                life,
                "/srv/app/thing",
                expected.map(|s| (Kind::KeyExpires, s)),
            );
        };
        at((730, 61), None);
        at((730, 59), Some(Severity::Warning));
        at((730, 20), Some(Severity::Critical));
        // Made anew each day.
        at((1, 1), None);
        at((730, -5), Some(Severity::Critical));
        at((730, -800), Some(Severity::Info));
    }

    #[test]
    fn a_subkey_by_what_it_does() {
        let at = |usage: &str, expected| {
            let subkey = |s: notafter_pki::statement::Statement| s.fact("primary", "AB").fact("usage", usage);
            let (kind, path) = (AssetKind::OpenpgpKey, "/srv/a.gpg");
            check_stated(
                &super::KeyExpires,
                kind,
                (300, -5),
                path,
                subkey,
                Facts::default(),
                |_| crate::dossier::Around::default(),
                expected,
            );
        };
        at("encrypt", Some((Kind::KeyExpires, Severity::Info)));
        at("sign", Some((Kind::KeyExpires, Severity::Critical)));
    }

    /// One in this file with these facts, that ends in twenty days.
    fn known(path: &str, facts: &[(&str, &str)], overtaken: bool, expected: Option<Severity>) {
        let stated = |s: Statement| facts.iter().fold(s, |s, (key, value)| s.fact(key, value));
        let expected = expected.map(|s| (Kind::KeyExpires, s));
        check_beside(&super::KeyExpires, AssetKind::OpenpgpKey, (730, 20), path, stated, overtaken, expected);
    }

    #[test]
    fn whose_end_is_nobodys_here() {
        const KEYRING: &str = "/etc/apt/keyrings/a.gpg";
        known(KEYRING, &[("usage", "sign")], false, Some(Severity::Critical));
        known(KEYRING, &[("revoked", "superseded")], false, None);
        known(KEYRING, &[("unbound", "yes")], false, None);
        known(KEYRING, &[("primary", "AB"), ("usage", "sign")], true, None);
        known("/usr/share/keyrings/vendor-archive-keyring.gpg", &[], false, Some(Severity::Critical));
        known("/usr/share/keyrings/debian-archive-keyring.gpg", &[], false, None);
        // Of correspondents, and one's own.
        known("/home/x/.gnupg/pubring.kbx", &[], false, Some(Severity::Info));
        known("/home/x/.gnupg/secring.gpg", &[("secret", "yes")], false, Some(Severity::Critical));
    }

    #[test]
    fn what_a_package_ships_is_the_packages() {
        check(&super::KeyExpires, AssetKind::OpenpgpKey, (90, 1), "/usr/share/doc/thing", None);
    }
}
