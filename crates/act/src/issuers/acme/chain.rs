//! The chains a CA offers (RFC 8555 section 7.4.2): read, and one of them chosen.
//!
//! What a chain says, and whether it is for the key that was asked for, is reviewed elsewhere (`core::review`), where whoever
//! issues something wrong again and again is given up. Here it is only made sure that it is one.

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::certificate::Certificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// More certificates than any CA sends. Of a longer chain no more is handed on: its end is missing.
const CHAIN_MAX: usize = 16;

/// Reads `application/pem-certificate-chain` (RFC 8555 section 9.1), the leaf first.
///
/// # Errors
/// When it is none at all. That is not the CA's last word: a login page or half an answer in between, and the certificate of the
/// order is still there to be fetched.
pub(crate) fn read(pem: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let garbled = |why: &str| {
        Fault::new(FaultKind::Unreachable, format!("what the CA sent as the certificate is none: {why}"))
            .hint("it is fetched again; if it goes on, something in between is broken")
    };
    let chain: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(pem)
        .take(CHAIN_MAX + 1)
        .map(|read| read.map(|der| der.as_ref().to_vec()))
        .collect();
    let chain = chain.map_err(|_| garbled("it is no PEM"))?;
    let leaf = chain.first().ok_or_else(|| garbled("it is empty"))?;
    Certificate::parse(leaf).map_err(|_| garbled("its first certificate cannot be read"))?;
    Ok(chain)
}

/// The common name at the upper end of a chain: of the issuer of its last certificate.
pub(crate) fn root_name(chain: &[Vec<u8>]) -> Option<String> {
    Certificate::parse(chain.last()?).ok()?.issuer_name().common_name()
}
