//! What a command finds in its environment: our own names, and those of the hooks of certbot and lego.
//!
//! So a script that was written for `certbot --deploy-hook` or `lego --run-hook` runs unchanged. Never the key, and never
//! a secret: paths and names only. Names of certificates are data and are passed as they are; no shell reads them here.

use std::ffi::OsString;
use std::path::Path;

use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::{Fingerprint, hex};
use notafter_pki::private_key::PrivateKey;

use super::files::Goods;

/// Where the files of a deployment lie, as far as there are any.
#[derive(Default)]
pub(super) struct Paths<'a> {
    /// The folder with `cert.pem`, `chain.pem`, `fullchain.pem` and `privkey.pem`, or those of them that the target has.
    pub(super) folder: Option<&'a Path>,
    /// Certificate and intermediates.
    pub(super) fullchain: Option<&'a Path>,
    /// The key.
    pub(super) key: Option<&'a Path>,
    /// The intermediates alone.
    pub(super) chain: Option<&'a Path>,
    /// Key and certificates in one.
    pub(super) combined: Option<&'a Path>,
    /// PKCS#12.
    pub(super) pkcs12: Option<&'a Path>,
}

/// Name and value of each variable.
pub(super) fn variables(goods: &Goods, paths: &Paths<'_>, event: &str) -> Vec<(String, OsString)> {
    let leaf = Certificate::parse(goods.leaf()).ok();
    let names = leaf.as_ref().map(names).unwrap_or_default();
    let fingerprint = Fingerprint::of(goods.leaf());
    let key_type = PrivateKey::recognise(goods.key.expose());
    let key_type = key_type.as_ref().and_then(|k| k.public_key()).map(|k| lego_key(&k.algorithm(), k.bits()));
    let first = names.first().cloned().unwrap_or_else(|| goods.name.clone());
    let safe: String = goods
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' })
        .collect();
    let mut out: Vec<(String, OsString)> = Vec::new();
    let mut text = |name: &str, value: String| {
        // No system call takes a NUL in a variable, and no name of a certificate may stop a deployment.
        out.push((name.to_owned(), value.replace('\0', "").into()));
    };
    text("NOTAFTER_EVENT", event.to_owned());
    text("NOTAFTER_CERTIFICATE", goods.name.clone());
    text("NOTAFTER_GENERATION", goods.generation.to_string());
    text("NOTAFTER_DOMAINS", names.join(" "));
    text("NOTAFTER_FINGERPRINT", fingerprint.to_string());
    if let Some(leaf) = &leaf {
        text("NOTAFTER_SERIAL", hex(leaf.serial()));
        text("NOTAFTER_NOT_AFTER", leaf.not_after().map(|t| t.0.to_string()).unwrap_or_default());
    }
    text("RENEWED_DOMAINS", names.join(" "));
    text("LEGO_HOOK_CERT_NAME", goods.name.clone());
    text("LEGO_HOOK_CERT_NAME_SANITIZED", safe);
    text("LEGO_HOOK_CERT_DOMAINS", names.join(","));
    text("LEGO_CERT_DOMAIN", first);
    if let Some(kind) = key_type {
        text("LEGO_HOOK_CERT_KEY_TYPE", kind);
    }
    let mut path = |names: &[&str], value: Option<&Path>| {
        for name in names {
            out.extend(value.map(|v| ((*name).to_owned(), v.as_os_str().to_owned())));
        }
    };
    path(&["NOTAFTER_FOLDER", "RENEWED_LINEAGE"], paths.folder);
    path(&["NOTAFTER_CERTIFICATE_PATH", "LEGO_HOOK_CERT_PATH", "LEGO_CERT_PATH"], paths.fullchain);
    path(&["NOTAFTER_KEY_PATH", "LEGO_HOOK_CERT_KEY_PATH", "LEGO_CERT_KEY_PATH"], paths.key);
    path(&["NOTAFTER_CHAIN_PATH", "LEGO_HOOK_ISSUER_CERT_PATH"], paths.chain);
    path(&["NOTAFTER_COMBINED_PATH", "LEGO_HOOK_CERT_PEM_PATH", "LEGO_CERT_PEM_PATH"], paths.combined);
    path(&["NOTAFTER_PKCS12_PATH", "LEGO_HOOK_CERT_PFX_PATH", "LEGO_CERT_PFX_PATH"], paths.pkcs12);
    out
}

/// The DNS names and addresses of a certificate.
pub(super) fn names(leaf: &Certificate<'_>) -> Vec<String> {
    use notafter_pki::extension::GeneralName;
    leaf.subject_alt_names()
        .filter_map(|name| match name {
            GeneralName::Dns(name) => Some(String::from_utf8_lossy(name).into_owned()),
            GeneralName::Ip(octets) => match octets.len() {
                4 => Some(std::net::IpAddr::from(<[u8; 4]>::try_from(octets).ok()?).to_string()),
                16 => Some(std::net::IpAddr::from(<[u8; 16]>::try_from(octets).ok()?).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// The name of a type of key in lego's hooks.
fn lego_key(algorithm: &str, bits: Option<u32>) -> String {
    match (algorithm, bits) {
        ("ECDSA", Some(bits)) => format!("EC{bits}"),
        ("RSA", Some(bits)) => format!("RSA{bits}"),
        (other, _) => other.to_owned(),
    }
}
