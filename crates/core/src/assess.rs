//! Judgment: the list of rules, and what they say about one dossier.

use crate::dossier::Dossier;
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, Verdict};
use crate::{UnixTime, rules};

/// Every rule, by the name of its file. The order has no meaning; a test keeps it sorted.
pub const RULES: &[&dyn Rule] = &[
    &rules::alert_undelivered::AlertUndelivered,
    &rules::anchor_expires::AnchorExpires,
    &rules::caa_forbids::CaaForbids,
    &rules::cannot_read::CannotRead,
    &rules::cannot_see::Unseen,
    &rules::chain_expires_first::ChainExpiresFirst,
    &rules::chain_incomplete::ChainIncomplete,
    &rules::chain_wrong_order::ChainWrongOrder,
    &rules::client_certificate_expires::ClientCertificateExpires,
    &rules::client_copy_stale::ClientCopyStale,
    &rules::clock_skew::ClockSkew,
    &rules::copy_differs::CopyDiffers,
    &rules::crl_expires::CrlExpires,
    &rules::default_vhost_stale::DefaultVhostStale,
    &rules::dnssec_signature_expires::DnssecSignatureExpires,
    &rules::domain_expires::DomainExpires,
    &rules::domain_hold::DomainHold,
    &rules::embedded_anchor_expires::EmbeddedAnchorExpires,
    &rules::expired::Expired,
    &rules::expired_but_tolerated::ExpiredButTolerated,
    &rules::expires_in_freeze::ExpiresInFreeze,
    &rules::expires_soon::ExpiresSoon,
    &rules::expires_soon_by_hand::ManualDate,
    &rules::expiry_cliff::ExpiryCliff,
    &rules::flow_silent::FlowSilent,
    &rules::inconsistent_endpoint::InconsistentEndpoint,
    &rules::issuer_outlived::IssuerOutlived,
    &rules::key_expires::KeyExpires,
    &rules::key_exposed::KeyExposed,
    &rules::key_mismatch::KeyMismatch,
    &rules::key_reused::KeyReused,
    &rules::lifetime_exceeds_policy::LifetimeExceedsPolicy,
    &rules::metadata_expires::MetadataExpires,
    &rules::name_mismatch::NameMismatch,
    &rules::not_yet_valid::NotYetValid,
    &rules::owner_unreachable::OwnerUnreachable,
    &rules::path_expires_for_clients::PathExpiresForClients,
    &rules::policy_date::PolicyDate,
    &rules::purpose_unfit::PurposeUnfit,
    &rules::renewal_changed::RenewalChanged,
    &rules::renewal_failing::RenewalFailing,
    &rules::renewal_overdue::RenewalOverdue,
    &rules::renewed_not_loaded::RenewedNotLoaded,
    &rules::renewer_credential_expires::RenewerCredentialExpires,
    &rules::renewer_dead::RenewerDead,
    &rules::revoked::Revoked,
    &rules::saml_certificate_expires::SamlCertificateExpires,
    &rules::signature_dies::SignatureDies,
    &rules::source_stale::SourceStale,
    &rules::staple_expires::StapleExpires,
    &rules::still_in_use::StillInUse,
    &rules::stored_not_deployed::StoredNotDeployed,
    &rules::token_expires::TokenExpires,
    &rules::token_signer_expires::TokenSignerExpires,
    &rules::trust_anchor_stale::TrustAnchorStale,
    &rules::unexpected_issuance::UnexpectedIssuance,
    &rules::unmonitored_endpoint::UnmonitoredEndpoint,
    &rules::unowned::Unowned,
    &rules::untrusted_chain::UntrustedChain,
    &rules::weak_key::WeakKey,
    &rules::weak_signature::WeakSignature,
];

/// What all rules say about one subject, and when the earliest of them could change its mind.
#[derive(Debug, Default, PartialEq)]
pub struct Assessment {
    /// Everything found.
    pub findings: Vec<Finding>,
    /// The next instant at which time alone could change something; `None` means never.
    pub holds_until: Option<UnixTime>,
}

/// Judges one subject at one instant.
pub fn assess(dossier: &Dossier<'_>, now: UnixTime) -> Assessment {
    let mut out = Assessment::default();
    // Of what only a log has, nobody here makes use: its dates and its form are others' business.
    let only_logged = dossier.asset().is_some_and(|view| view.logged.is_some() && view.places.is_empty());
    for rule in RULES {
        if only_logged && rule.info().kind != Kind::UnexpectedIssuance {
            continue;
        }
        let verdict = rule.check(dossier, now);
        out.holds_until = match (out.holds_until, verdict.holds_until()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Verdict::Found { findings, .. } = verdict {
            out.findings.extend(findings);
        }
    }
    if let Some((view, lapsed)) = dossier.asset().and_then(|view| Some((view, view.lapsed?))) {
        for finding in out.findings.iter_mut().filter(|f| f.asset == Some(view.asset.id)) {
            remember(finding, lapsed);
        }
    }
    out
}

/// What lapsed before is likelier to lapse again than anything else: a step worse than its date alone, and why.
fn remember(finding: &mut Finding, lapsed: UnixTime) {
    let ends = matches!(
        finding.kind,
        Kind::ExpiresSoon
            | Kind::RenewalOverdue
            | Kind::RenewalFailing
            | Kind::ClientCertificateExpires
            | Kind::SamlCertificateExpires
            | Kind::TokenSignerExpires
            | Kind::TokenExpires
            | Kind::KeyExpires
            | Kind::CrlExpires
            | Kind::StapleExpires
            | Kind::MetadataExpires
            | Kind::DnssecSignatureExpires
            | Kind::DomainExpires
    );
    // What is worth a line stays a line: nothing waits for it.
    if ends && finding.deadline.is_some() && finding.severity <= Severity::Warning {
        finding.severity = Severity::Critical;
        finding.summary.push_str(&format!("; it lapsed before, on {}", lapsed.date()));
        finding.evidence.push(("lapsed_before", lapsed.to_string().into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lapsed_before_is_a_step_worse() {
        let finding = |kind, severity, deadline: Option<i64>| {
            Finding::new(kind, severity, None, "").deadline(deadline.map(UnixTime)).summary("a ends soon")
        };
        let check = |kind, severity, deadline, expected: Severity, says: bool| {
            let mut one = finding(kind, severity, deadline);
            remember(&mut one, UnixTime(1_767_225_600));
            assert_eq!(
                (one.severity, one.summary.contains("before, on 2026-01-01")),
                (expected, says),
                "{kind:?}"
            );
        };
        check(Kind::ExpiresSoon, Severity::Warning, Some(5), Severity::Critical, true);
        check(Kind::CrlExpires, Severity::Critical, Some(5), Severity::Critical, true);
        check(Kind::ExpiresSoon, Severity::Info, Some(5), Severity::Info, false);
        check(Kind::WeakKey, Severity::Warning, None, Severity::Warning, false);
        check(Kind::ChainIncomplete, Severity::Warning, Some(5), Severity::Warning, false);
    }

    #[test]
    fn the_list_is_sorted_by_kind() {
        let names: Vec<_> = RULES.iter().map(|r| r.info().kind.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(names, sorted);
    }
}
