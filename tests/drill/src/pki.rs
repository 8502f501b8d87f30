//! Certificates with any dates, made in this process.
//!
//! `rcgen` signs within a millisecond where starting `openssl` takes thirty, and a drill makes hundreds. What a
//! client thinks of a certificate is asked of other programs ([`crate::client`]), never of this file.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};

/// An instant as rcgen wants it.
macro_rules! instant {
    ($unix:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from($unix).expect("after 1970"))
    };
}

/// A certificate, its key, and what stands above it.
#[derive(Clone)]
pub(crate) struct Cert {
    /// The certificate.
    pub(crate) pem: String,
    /// The same, DER.
    pub(crate) der: Vec<u8>,
    /// Its key, PKCS#8.
    pub(crate) key: String,
    /// The authorities above it, nearest first, without the root.
    pub(crate) above: String,
    /// What it was made of, for issuing below it.
    params: CertificateParams,
    /// Whether it signed itself.
    root: bool,
}

impl Cert {
    /// The certificate, then the authorities above it.
    pub(crate) fn chain(&self) -> String {
        format!("{}{}", self.pem, self.above)
    }

    /// Chain, then key: one file for everything.
    pub(crate) fn combined(&self) -> String {
        self.chain() + &self.key
    }

    /// Makes a certificate below this one.
    pub(crate) fn issue(&self, make: &Make) -> Cert {
        let key = make.key_pair();
        let issuer = Issuer::new(self.params.clone(), KeyPair::from_pem(&self.key).expect("its own key"));
        let params = make.params(&key);
        let cert = params.signed_by(&key, &issuer).expect("a certificate");
        let above = if self.root { String::new() } else { self.chain() };
        let key = key.serialize_pem();
        Cert { pem: cert.pem(), der: cert.der().to_vec(), key, above, params, root: false }
    }

    /// A revocation list of this authority that names nobody.
    pub(crate) fn crl(&self, from: i64, until: i64) -> (String, Vec<u8>) {
        let issuer = Issuer::new(self.params.clone(), KeyPair::from_pem(&self.key).expect("its own key"));
        let list = CertificateRevocationListParams {
            this_update: instant!(from),
            next_update: instant!(until),
            crl_number: SerialNumber::from(7_u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = list.signed_by(&issuer).expect("a revocation list");
        (crl.pem().expect("PEM"), crl.der().to_vec())
    }
}

/// What a certificate shall say.
#[derive(Clone)]
pub(crate) struct Make {
    /// The common name.
    subject: String,
    /// The alternative names.
    names: Vec<String>,
    /// First and last second.
    dates: (i64, i64),
    /// Whether it is an authority.
    authority: bool,
    /// Its purposes.
    usages: Vec<ExtendedKeyUsagePurpose>,
    /// A key that exists already.
    key: Option<String>,
    /// An extension of its own.
    extension: Option<(Vec<u64>, Vec<u8>)>,
}

impl Make {
    /// A server's certificate; the first name is the common name.
    pub(crate) fn server(names: &[&str], from: i64, until: i64) -> Self {
        Self {
            subject: names.first().copied().unwrap_or("nameless").to_owned(),
            names: names.iter().map(|&n| n.to_owned()).collect(),
            dates: (from, until),
            authority: false,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            key: None,
            extension: None,
        }
    }

    /// An authority's certificate.
    pub(crate) fn authority(name: &str, from: i64, until: i64) -> Self {
        Self { names: Vec::new(), authority: true, usages: Vec::new(), ..Self::server(&[name], from, until) }
    }

    /// A certificate that is neither a server's nor an authority's: a signer or a client.
    pub(crate) fn plain(name: &str, from: i64, until: i64) -> Self {
        Self { names: Vec::new(), usages: Vec::new(), ..Self::server(&[name], from, until) }
    }

    /// For these purposes.
    pub(crate) fn usages(mut self, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        self.usages = usages.to_vec();
        self
    }

    /// With a key that exists already.
    pub(crate) fn key(mut self, pem: &str) -> Self {
        self.key = Some(pem.to_owned());
        self
    }

    /// With one more extension that nobody may overlook.
    pub(crate) fn critical(mut self, oid: &[u64], content: &[u8]) -> Self {
        self.extension = Some((oid.to_vec(), content.to_vec()));
        self
    }

    /// Signed by its own key.
    pub(crate) fn self_signed(&self) -> Cert {
        let key = self.key_pair();
        let mut params = self.params(&key);
        params.use_authority_key_identifier_extension = false;
        let cert = params.self_signed(&key).expect("a certificate");
        let key = key.serialize_pem();
        Cert { pem: cert.pem(), der: cert.der().to_vec(), key, above: String::new(), params, root: true }
    }

    /// The key it gets.
    fn key_pair(&self) -> KeyPair {
        match &self.key {
            Some(pem) => KeyPair::from_pem(pem).expect("a key"),
            None => KeyPair::generate().expect("a key"),
        }
    }

    /// All of it, as rcgen wants it.
    fn params(&self, key: &KeyPair) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.subject.as_str());
        params.distinguished_name.push(DnType::OrganizationName, "Notafter Drill");
        params.not_before = instant!(self.dates.0);
        params.not_after = instant!(self.dates.1);
        params.use_authority_key_identifier_extension = true;
        if self.authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }
        params.extended_key_usages = self.usages.clone();
        params.key_identifier_method = KeyIdMethod::PreSpecified(params.key_identifier(key));
        if let Some((oid, content)) = &self.extension {
            let mut extension = CustomExtension::from_oid_content(oid, content.clone());
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        }
        params
    }
}
