//! `chain-wrong-order`: the certificates are sent, but not each followed by its issuer.
//!
//! TLS 1.2 demands the order, TLS 1.3 tells clients to be lenient; old ones are not. Certificates that
//! belong to no path are superfluous, not disorder.

use crate::UnixTime;
use notafter_pki::certificate::Certificate;

use crate::dossier::{ChainView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};

/// The rule.
pub struct ChainWrongOrder;

impl Rule for ChainWrongOrder {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ChainWrongOrder,
            doc: "the certificates of a chain are not sent in issuing order",
            citation: "RFC 5246 section 7.4.2; RFC 8446 section 4.4.2",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, _now: UnixTime) -> Verdict {
        let Some((view, _)) = dossier.certificate() else { return Verdict::NotApplicable };
        let served: Vec<_> = view.chains.iter().filter(|c| c.is_served()).collect();
        if served.is_empty() {
            return Verdict::NotApplicable;
        }
        let wrong: Vec<_> = served.into_iter().filter(|c| disordered(c)).collect();
        if wrong.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        let finding = Finding::new(Kind::ChainWrongOrder, Severity::Warning, Some(view.asset.id), "")
            .at(wrong.iter().flat_map(|c| c.locations()).filter(|l| l.is_endpoint()))
            .summary(format!("the server of {} sends its chain out of order", view.title()))
            .hint("put the leaf first, then the certificate that issued it, and so on; then reload");
        Verdict::found(finding, None)
    }
}

/// Walking from the leaf, is an issuer found somewhere other than in the next place?
fn disordered(chain: &ChainView<'_>) -> bool {
    // The same certificate twice is waste, not disorder.
    let mut sent: Vec<_> = Vec::with_capacity(chain.sent.len());
    for one in &chain.sent {
        if !sent.iter().any(|known: &Certificate<'_>| known.der() == one.der()) {
            sent.push(*one);
        }
    }
    let mut at = 0;
    for _ in 0..sent.len() {
        let Some(child) = sent.get(at) else { return false };
        if child.is_self_issued() {
            return false;
        }
        let issues = |i: usize| i != at && sent[i].subject().matches(&child.issuer_name());
        if at + 1 < sent.len() && issues(at + 1) {
            at += 1;
        } else {
            return (0..sent.len()).any(issues);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::finding::{Kind, Severity};
    use crate::rules::scene::Scene;

    fn check(order: &[usize], expected: bool) {
        let found = expected.then_some((Kind::ChainWrongOrder, Severity::Warning));
        Scene::leaf("a.test").served().sent_in_order(order).check(&super::ChainWrongOrder, found);
    }

    #[test]
    fn orders_of_leaf_two_issuers_and_root() {
        check(&[0, 1, 2, 3], false);
        check(&[0, 1, 2], false);
        check(&[0], false);
        check(&[0, 1, 1, 2], false);
        check(&[0, 2, 1], true);
        check(&[0, 3, 2, 1], true);
        check(&[0, 1, 3, 2], true);
    }
}
