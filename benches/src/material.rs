//! A root, an intermediate and a server's certificate, all P-256: what the servers under measurement show.

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use std::path::Path;

use crate::Result;

/// Writes `chain.pem` (leaf, intermediate) and `key.pem` into the folder.
pub(crate) fn write(folder: &Path) -> Result<Value> {
    let root = Issuer::new(authority("Bench Root"), KeyPair::generate()?);
    let middle_key = KeyPair::generate()?;
    let middle = authority("Bench Intermediate").signed_by(&middle_key, &root)?;
    let middle_issuer = Issuer::new(authority("Bench Intermediate"), middle_key);
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(vec!["srv.test".to_owned(), "www.srv.test".to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, "srv.test");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    usual_weight(&mut leaf);
    let leaf = leaf.signed_by(&key, &middle_issuer)?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("chain.pem"), leaf.pem() + &middle.pem())?;
    std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(json!({ "leaf_bytes": leaf.der().len(), "intermediate_bytes": middle.der().len() }))
}

fn authority(name: &str) -> CertificateParams {
    let mut out = CertificateParams::default();
    out.distinguished_name.push(DnType::CommonName, name);
    out.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    out.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    usual_weight(&mut out);
    out
}

/// What makes real certificates as large as they are: where the CRL is, and as much as two signed timestamps.
fn usual_weight(params: &mut CertificateParams) {
    params.use_authority_key_identifier_extension = true;
    params.crl_distribution_points =
        vec![CrlDistributionPoint { uris: vec!["http://crl.example.com/issuing-ca-1.crl".to_owned()] }];
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![4; 240]));
}
