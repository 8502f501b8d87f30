//! Keys and requests signed with them (PKCS#10, RFC 2986).
//!
//! A key is made here, handed on as PKCS#8 and never written by this file. What is asked for is only the names: purposes
//! and lifetime are the issuer's.

use notafter_core::deployment::Key;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Identifier, KeyType};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::privsep;

/// Makes a key of this type, or takes the one that there is, and signs a request for these names with it.
///
/// # Errors
/// A name that no certificate can have; a key of another type.
pub fn make(names: &[Identifier], key_type: KeyType, kept: Option<&Key>) -> Result<(Key, Vec<u8>), Fault> {
    let failed = |what: &str, error: rcgen::Error| {
        Fault::new(FaultKind::Invalid, format!("{what} could not be made: {error}"))
    };
    if let Some(key) = kept {
        privsep::is_here(key, "this renewal")?;
    }
    let pair = match kept {
        Some(key) => open(key, key_type).map_err(|e| failed("a request with the key that was kept", e))?,
        None => generate(key_type).map_err(|e| failed(&format!("a key of type {key_type}"), e))?,
    };
    let params = named(names).map_err(|(name, e)| failed(&format!("a request for {name}"), e))?;
    let csr = params.serialize_request(&pair).map_err(|e| failed("the request", e))?;
    Ok((Key::new(pair.serialize_der()), csr.der().to_vec()))
}

/// A certificate for this key and these names, with that of the CA that issued it: made to be written somewhere and read again.
/// The key of that CA is gone when this returns, and nobody ever trusts it.
pub(crate) fn for_trial(names: &[Identifier], key: &Key, key_type: KeyType) -> Result<Vec<Vec<u8>>, Fault> {
    let failed = |error: rcgen::Error| {
        Fault::new(FaultKind::Invalid, format!("a certificate to try with could not be made: {error}"))
    };
    let mut above = CertificateParams::default();
    above.distinguished_name = DistinguishedName::new();
    above.distinguished_name.push(DnType::CommonName, "nobody's: a rehearsal");
    above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca =
        CertifiedIssuer::self_signed(above, generate(KeyType::EcdsaP256).map_err(failed)?).map_err(failed)?;
    let params = named(names).map_err(|(_, e)| failed(e))?;
    let leaf = params.signed_by(&open(key, key_type).map_err(failed)?, &*ca).map_err(failed)?;
    Ok(vec![leaf.der().to_vec(), ca.der().to_vec()])
}

/// What is asked for: the names and nothing else. The name that no certificate can have.
fn named(names: &[Identifier]) -> Result<CertificateParams, (&str, rcgen::Error)> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for name in names {
        params.subject_alt_names.push(match name {
            Identifier::Dns(name) => {
                SanType::DnsName(name.as_str().try_into().map_err(|e| (name.as_str(), e))?)
            }
            Identifier::Ip(ip) => SanType::IpAddress(*ip),
        });
    }
    Ok(params)
}

/// Makes a key of this type.
pub(crate) fn generate(key_type: KeyType) -> Result<KeyPair, rcgen::Error> {
    match key_type {
        KeyType::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyType::EcdsaP384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyType::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
        KeyType::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyType::Rsa3072 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072),
        KeyType::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
    }
}

/// Opens one that was kept.
pub(crate) fn open(key: &Key, key_type: KeyType) -> Result<KeyPair, rcgen::Error> {
    let algorithm = match key_type {
        KeyType::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        KeyType::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
        KeyType::Ed25519 => &PKCS_ED25519,
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &PKCS_RSA_SHA256,
    };
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.expose()));
    KeyPair::from_der_and_sign_algo(&der, algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use notafter_pki::csr::Csr;
    use notafter_pki::extension::GeneralName;

    #[test]
    fn each_type_of_key_signs_a_request_and_can_be_taken_up_again() {
        let names = [Identifier::Dns("*.a.test".into()), Identifier::Ip([127, 0, 0, 1].into())];
        for (word, key_type) in KeyType::ALL {
            let (key, csr) = make(&names, *key_type, None).expect(word);
            let read = Csr::parse(&csr).expect(word);
            let shown = read.public_key();
            let algorithm = shown.algorithm();
            assert!(word.starts_with(&algorithm.to_lowercase()), "{word}: {algorithm}");
            if let Some(bits) = word.strip_prefix("rsa-") {
                assert_eq!(shown.bits().map(|b| b.to_string()).as_deref(), Some(bits));
            }
            let asked: Vec<_> = read.subject_alt_names().collect();
            assert!(matches!(asked[..], [GeneralName::Dns(b"*.a.test"), GeneralName::Ip([127, 0, 0, 1])]));
            let (again, second) = make(&names, *key_type, Some(&key)).expect(word);
            assert_eq!(again, key, "{word}");
            assert_eq!(Csr::parse(&second).expect(word).public_key().spki(), shown.spki(), "{word}");
        }
        assert!(make(&names, KeyType::EcdsaP256, Some(&Key::new(vec![1, 2, 3]))).is_err());
    }
}
