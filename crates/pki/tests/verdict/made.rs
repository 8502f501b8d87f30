//! Certificates made for one test: CAs that sign each other, and leaves.

use std::sync::atomic::{AtomicU64, Ordering};

use notafter_pki::{Certificate, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::agreement::instant;

/// 2026-11-21, when these tests happen.
pub(crate) fn now() -> UnixTime {
    instant("2026-11-21T00:00:00Z")
}

/// A serial number that no other has.
fn serial() -> SerialNumber {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    SerialNumber::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A name and a key, which may have many certificates.
pub(crate) struct Authority {
    pub(crate) params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { params, key: KeyPair::generate().expect("a key") }
    }

    /// Its own root.
    pub(crate) fn root(&self, until: i32) -> Vec<u8> {
        self.certified_by(self, until, |_| {})
    }

    /// A certificate for it by another.
    pub(crate) fn certified_by(
        &self,
        issuer: &Self,
        until: i32,
        with: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let mut params = self.params.clone();
        params.not_after = date_time_ymd(until, 1, 1);
        with(&mut params);
        issuer.sign(&params, &self.key)
    }

    /// A leaf by it.
    pub(crate) fn leaf(&self, name: &str, until: i32, with: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name = named(name).distinguished_name;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.use_authority_key_identifier_extension = true;
        with(&mut params);
        self.sign(&params, &KeyPair::generate().expect("a key"))
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
        let mut params = params.clone();
        params.serial_number = params.serial_number.or_else(|| Some(serial()));
        let signed = params.signed_by(key, &Issuer::from_params(&self.params, &self.key));
        signed.expect("a certificate").der().to_vec()
    }

    /// A CRL that revokes these, of 2026, due again in that year.
    pub(crate) fn crl(&self, revoked: &[&[u8]], due: i32) -> Vec<u8> {
        let revoked_certs = revoked.iter().map(|der| RevokedCertParams {
            serial_number: SerialNumber::from(parse(der).serial().to_vec()),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(due, 11, 1),
            crl_number: serial(),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&Issuer::from_params(&self.params, &self.key)).expect("a CRL").der().to_vec()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

/// Parses one.
pub(crate) fn parse(der: &[u8]) -> Certificate<'_> {
    Certificate::parse(der).expect("a certificate")
}
