//! Certificate policies, as far as they can refuse a path (RFC 5280 section 6.1, RFC 9618).
//!
//! A TLS client asks for no policy of its own (its initial set is anyPolicy), so a path fails only where a
//! certificate on it demands an explicit policy and no policy is valid all the way. For that question the tree
//! of RFC 5280 is not needed, only the set of names that are valid at each depth: that cannot grow beyond what
//! the certificates themselves list, so CVE-2023-0464 has nothing to grow on.

use std::collections::BTreeSet;

use crate::certificate::Certificate;
use crate::der::{Reader, Tlv, tag, unsigned};
use crate::oid;

/// anyPolicy (RFC 5280 section 4.2.1.4).
const ANY: &[u8] = b"\x55\x1d\x20\x00";

/// Whether the policies let the path pass. `path` is from the anchor's child to the leaf; `anchor` is given
/// where its own certificate binds, and sets what the path begins with (RFC 5937 section 3.2).
pub(super) fn is_met(anchor: Option<&Certificate<'_>>, path: &[Certificate<'_>]) -> bool {
    let demands = |c: &Certificate<'_>| c.extension(oid::POLICY_CONSTRAINTS).is_some();
    if !anchor.into_iter().chain(path).any(demands) {
        return true;
    }
    let start = path.len() as u64 + 1;
    let mut state =
        State { valid: BTreeSet::from([ANY]), explicit: start, mapping: start, inhibit_any: start };
    if let Some(anchor) = anchor {
        if anchor.extension(oid::CERTIFICATE_POLICIES).is_some() {
            state.valid = anchor.policies().collect();
        }
        state.map(anchor);
        state.constrain(anchor);
    }
    for (index, certificate) in path.iter().enumerate() {
        state.enter(certificate, index + 1 == path.len());
    }
    state.explicit > 0 || !state.valid.is_empty()
}

struct State<'a> {
    /// The names a policy of the next certificate must be one of.
    valid: BTreeSet<&'a [u8]>,
    explicit: u64,
    mapping: u64,
    inhibit_any: u64,
}

impl<'a> State<'a> {
    fn enter(&mut self, certificate: &Certificate<'a>, last: bool) {
        let own_word = certificate.is_self_issued() && !last;
        let listed: BTreeSet<&[u8]> = certificate.policies().collect();
        let any_counts = listed.contains(ANY) && (self.inhibit_any > 0 || own_word);
        let mut next: BTreeSet<&[u8]> = BTreeSet::new();
        if any_counts {
            next.clone_from(&self.valid);
        }
        let takes_any = self.valid.contains(ANY);
        next.extend(listed.iter().filter(|p| **p != ANY && (takes_any || self.valid.contains(*p))));
        self.valid = next;
        if last {
            // RFC 5280 section 6.1.5 (a), (b).
            self.explicit = self.explicit.saturating_sub(1);
            if policy_constraints(certificate).0 == Some(0) {
                self.explicit = 0;
            }
            return;
        }
        self.map(certificate);
        if !certificate.is_self_issued() {
            self.explicit = self.explicit.saturating_sub(1);
            self.mapping = self.mapping.saturating_sub(1);
            self.inhibit_any = self.inhibit_any.saturating_sub(1);
        }
        self.constrain(certificate);
    }

    /// RFC 5280 section 6.1.4 (i), (j).
    fn constrain(&mut self, certificate: &Certificate<'a>) {
        let (explicit, mapping) = policy_constraints(certificate);
        self.explicit = self.explicit.min(explicit.unwrap_or(u64::MAX));
        self.mapping = self.mapping.min(mapping.unwrap_or(u64::MAX));
        let inhibit = certificate.extension(oid::INHIBIT_ANY_POLICY).map(|extension| {
            Reader::new(extension.value)
                .expect(tag::INTEGER)
                .ok()
                .and_then(|n| unsigned(n.value))
                .unwrap_or(0)
        });
        self.inhibit_any = self.inhibit_any.min(inhibit.unwrap_or(u64::MAX));
    }

    /// RFC 5280 section 6.1.4 (b): a mapped policy goes on under its other names, or not at all.
    fn map(&mut self, certificate: &Certificate<'a>) {
        let Some(extension) = certificate.extension(oid::POLICY_MAPPINGS) else { return };
        let Ok(list) = Reader::new(extension.value).sequence() else { return };
        let pair = |element: Tlv<'a>| {
            let mut pair = element.reader();
            Some((pair.expect(tag::OID).ok()?.value, pair.expect(tag::OID).ok()?.value))
        };
        let pairs: Vec<(&[u8], &[u8])> = list.into_iter().filter_map(pair).collect();
        let takes_any = self.valid.contains(ANY);
        let mut added = BTreeSet::new();
        let mut gone = BTreeSet::new();
        for (issuers, subjects) in pairs {
            if self.valid.contains(issuers) {
                gone.insert(issuers);
            }
            if self.mapping > 0 && (self.valid.contains(issuers) || takes_any) {
                added.insert(subjects);
            }
        }
        self.valid.retain(|policy| !gone.contains(policy));
        self.valid.extend(added);
    }
}

/// requireExplicitPolicy and inhibitPolicyMapping; a malformed extension demands both at once.
fn policy_constraints(certificate: &Certificate<'_>) -> (Option<u64>, Option<u64>) {
    let Some(extension) = certificate.extension(oid::POLICY_CONSTRAINTS) else { return (None, None) };
    let Ok(mut inner) = Reader::new(extension.value).sequence() else { return (Some(0), Some(0)) };
    let mut read = |number: u8| {
        let element = inner.optional(tag::context_primitive(number))?;
        Some(unsigned(element.value).unwrap_or(0))
    };
    (read(0), read(1))
}
