//! The second opinion: what rustls-webpki says to the same question.
//!
//! `verdict.rs` decides, as it can name a reason, a path and a date, and knows rules that rustls leaves out
//! (anchors that lapse, certificates trusted for themselves); this is asked beside it, so that a difference is
//! seen by the user and by the tests. See `docs/decisions/0001-verdict.md`.

use std::time::Duration;

use rustls_pki_types as types;
use webpki::{EndEntityCert, KeyUsage};

use super::{Purpose, Question, ServerName};
use crate::certificate::Certificate;

/// What rustls-webpki says: nothing wrong, or its error by name.
///
/// It is not asked about revocation (its rules on missing lists are another choice), and [`Purpose::Any`] is
/// put to it as a server's.
///
/// # Errors
/// The name of its error, such as `UnknownIssuer`.
pub fn second_opinion(question: &Question<'_, '_>) -> Result<(), String> {
    let der = |certificate: &Certificate<'_>| types::CertificateDer::from(certificate.der().to_vec());
    let anchors_der: Vec<_> = question.anchors.iter().map(der).collect();
    let anchors: Vec<types::TrustAnchor<'_>> =
        anchors_der.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let sent: Vec<_> = question.sent.iter().map(der).collect();
    let leaf_der = der(&question.leaf);
    let leaf = EndEntityCert::try_from(&leaf_der).map_err(named)?;
    let usage = match question.purpose {
        Purpose::Server | Purpose::Any => KeyUsage::server_auth(),
        Purpose::Client => KeyUsage::client_auth(),
    };
    let seconds = u64::try_from(question.at.0).map_err(|_| "TimeBefore1970".to_owned())?;
    let at = types::UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &sent, at, usage, None, None)
        .map_err(named)?;
    if let Some(name) = question.name {
        let name = match name {
            ServerName::Dns(name) => types::ServerName::try_from(name.as_str()).map_err(|e| e.to_string())?,
            ServerName::Ip(address) => types::ServerName::from(*address),
        };
        leaf.verify_is_valid_for_subject_name(&name).map_err(named)?;
    }
    Ok(())
}

/// The error without the context it may carry: `CertExpired { time: .. }` is `CertExpired`.
fn named(error: webpki::Error) -> String {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).to_owned()
}
