//! The roots that a provider's own connections trust: Mozilla's, the system's and a file's.
//!
//! Read once and shared. This is about reaching a service of somebody else's; what the certificates under
//! watch are judged by is `core::TrustStores`.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Roots, each known to be fit for a store.
#[derive(Clone, Debug)]
pub struct Roots(Arc<Vec<CertificateDer<'static>>>);

impl Roots {
    /// Mozilla's and the system's.
    pub fn read() -> Self {
        let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        let system = rustls_native_certs::load_native_certs().certs;
        Self::of(mozilla.chain(system))
    }

    /// None: for what connects to nobody.
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// These and the certificates of a PEM file.
    ///
    /// # Errors
    /// A sentence for the person who named the file.
    pub fn and_file(&self, path: &Path) -> Result<Self, String> {
        let wrong = |why: String| {
            format!(
                "the roots in {} cannot be used: {why}\nhint: ca_file is a PEM file with CA certificates",
                path.display()
            )
        };
        let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let read = read.map_err(|e| wrong(e.to_string()))?;
        let count = read.len();
        let own = Self::of(read);
        if count == 0 || own.0.len() < count {
            return Err(wrong(format!("{} of its {count} certificates can be a root", own.0.len())));
        }
        Ok(Self::of(self.0.iter().chain(own.0.iter()).cloned()))
    }

    /// The certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// The TLS of a client that trusts them (aws-lc-rs; TLS 1.2 and 1.3).
    ///
    /// # Errors
    /// Only if the cryptographic library offers nothing at all.
    pub fn client_config(&self) -> Result<ClientConfig, String> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.0.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(store).with_no_client_auth())
    }

    /// Each once, and only those that a store takes: one odd file of the system must not end all mail.
    fn of(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut seen = std::collections::HashSet::new();
        let fit = |c: &CertificateDer<'static>| RootCertStore::empty().add(c.clone()).is_ok();
        Self(Arc::new(certificates.into_iter().filter(|c| fit(c) && seen.insert(c.clone())).collect()))
    }
}
