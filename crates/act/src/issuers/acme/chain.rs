//! The chains a CA offers (RFC 8555 section 7.4.2): read, checked against the request, and one of them chosen.
//!
//! Whether a chain is trusted, and what it says, is reviewed elsewhere. Here it is only made sure that it is a chain for the
//! key that was asked for.

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::certificate::Certificate;
use notafter_pki::csr::Csr;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// More certificates than any CA sends.
const CHAIN_MAX: usize = 16;

/// Reads `application/pem-certificate-chain` (RFC 8555 section 9.1), the leaf first.
///
/// # Errors
/// When it is no chain for the key in the request. What is no chain at all is not the CA's last word: a login page or half an
/// answer in between, and the certificate of the order is still there to be fetched.
pub(crate) fn read(pem: &[u8], csr: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let wrong = |why: &str| {
        Fault::new(FaultKind::Refused, format!("what the CA sent as the certificate is none of ours: {why}"))
            .retry(Retry::Backoff)
            .hint("nothing was installed; if it goes on, the CA or something in between is broken")
    };
    let garbled = |why: &str| {
        Fault::new(FaultKind::Unreachable, format!("what the CA sent as the certificate is none: {why}"))
            .hint("it is fetched again; if it goes on, something in between is broken")
    };
    let chain: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(pem)
        .take(CHAIN_MAX + 1)
        .map(|read| read.map(|der| der.as_ref().to_vec()))
        .collect();
    let chain = chain.map_err(|_| garbled("it is no PEM"))?;
    if chain.len() > CHAIN_MAX {
        return Err(wrong("it has more than 16 certificates"));
    }
    let leaf = chain.first().ok_or_else(|| garbled("it is empty"))?;
    let leaf = Certificate::parse(leaf).map_err(|_| garbled("its first certificate cannot be read"))?;
    let asked = Csr::parse(csr).map_err(|_| {
        Fault::new(FaultKind::Invalid, "the request that was ordered with cannot be read (PKCS#10)")
    })?;
    if leaf.spki() != asked.public_key().spki() {
        return Err(wrong("it is for another key"));
    }
    Ok(chain)
}

/// The common name at the upper end of a chain: of the issuer of its last certificate.
pub(crate) fn root_name(chain: &[Vec<u8>]) -> Option<String> {
    Certificate::parse(chain.last()?).ok()?.issuer_name().common_name()
}
