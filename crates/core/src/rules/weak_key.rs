//! `weak-key`: a key that can be broken, or that clients refuse for being too short.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::finding::{Fact, Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct WeakKey;

impl Rule for WeakKey {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::WeakKey,
            doc: "RSA under 2048 bits or with a public exponent of 1 or even, an elliptic curve under 224 bits, or DSA",
            citation: "CA/Browser Forum Baseline Requirements 6.1.5 and 6.1.6; NIST SP 800-131A",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, certificate)) = dossier.certificate() else { return Verdict::NotApplicable };
        if view.only_trust_anchor() {
            return Verdict::NotApplicable;
        }
        let key = certificate.public_key();
        let algorithm = key.algorithm();
        let bits = key.bits();
        let what = match (algorithm.as_str(), bits) {
            ("RSA", Some(bits)) if bits < 2048 => format!("RSA with {bits} bits"),
            ("RSA", _) if key.rsa_exponent().is_some_and(weak_exponent) => {
                "RSA with a broken public exponent".to_owned()
            }
            ("ECDSA", Some(bits)) if bits < 224 => format!("an elliptic curve of {bits} bits"),
            ("DSA", _) => "DSA".to_owned(),
            _ => return Verdict::Pass { holds_until: None },
        };
        let in_use = view.served_at().next().is_some();
        let severity = if in_use { Severity::Warning } else { Severity::Info };
        let finding = Finding::new(Kind::WeakKey, severity, Some(view.asset.id), "")
            .at(view.locations())
            .summary(format!("the key of {} is weak: {what}", view.title()))
            .hint("make a new key, P-256 or RSA with 2048 bits at least, and reissue; do not renew with the old key")
            .evidence("algorithm", algorithm)
            .evidence("bits", bits.map_or(Fact::Text("unknown".to_owned()), Fact::from));
        Verdict::found(finding, None)
    }
}

/// 1 signs anything, an even one signs nothing right.
fn weak_exponent(exponent: &[u8]) -> bool {
    let significant = exponent.iter().skip_while(|b| **b == 0).collect::<Vec<_>>();
    matches!(significant[..], [] | [1]) || significant.last().is_some_and(|b| *b % 2 == 0)
}

#[cfg(test)]
mod tests {
    use super::weak_exponent;
    use crate::rules::scene::Scene;

    #[test]
    fn exponents() {
        for (exponent, weak) in
            [(&[1][..], true), (&[0, 1], true), (&[2], true), (&[], true), (&[3], false), (&[1, 0, 1], false)]
        {
            assert_eq!(weak_exponent(exponent), weak, "{exponent:?}");
        }
    }

    #[test]
    fn a_p256_key_is_fine() {
        Scene::leaf("a.test").served().check(&super::WeakKey, None);
    }
}
