//! The address of the database: what the driver takes, and what `libpq` takes beside it (`verify-full`, `sslrootcert`).

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;
use crate::db::{Result, other};

/// Reads the address. What it does not say: a peer that is gone is noticed within a minute.
pub(super) fn read(url: &str) -> Result<(Config, Option<MakeRustlsConnect>)> {
    let (url, roots) = split(url);
    let mut config: Config = url.parse().map_err(|e: tokio_postgres::Error| {
        // The text may hold a password: only what is wrong with it is said.
        let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}")).unwrap_or_default();
        other(format!("the address of the PostgreSQL database cannot be read: {e}{cause}"))
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(60));
    }
    config.keepalives_idle(Duration::from_secs(30)).keepalives_interval(Duration::from_secs(10));
    config.keepalives_retries(3);
    config.application_name("notafter");
    let tls = match config.get_ssl_mode() {
        SslMode::Disable => None,
        _ => Some(MakeRustlsConnect::new(tls(roots.as_deref())?)),
    };
    Ok((config, tls))
}

/// Takes out what the driver does not know: `verify-full` is what `require` means here, as chain and name are always
/// checked; `sslrootcert` names the CAs to check against.
fn split(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut roots = None;
    let mut kept = Vec::new();
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("sslmode", "verify-full")) => kept.push("sslmode=require"),
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", file)) => roots = Some(plain(file)),
            _ => kept.push(part),
        }
    }
    (format!("{base}?{}", kept.join("&")), roots)
}

/// Without percent signs.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Checks against these CAs, else the system's. `sslmode=require` without a check is not offered: it only looks safe.
fn tls(file: Option<&str>) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    match file {
        Some(file) => {
            let wrong = |e: String| StoreError {
                hint: Some(
                    "it must hold the PEM of the CA that issued the database server's certificate".into(),
                ),
                ..other(format!("sslrootcert {file}: {e}"))
            };
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| wrong(e.to_string()))? {
                let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
                roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("no certificate is in it".to_owned()));
            }
        }
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // One that cannot be read is no reason to trust none.
                let _ = roots.add(certificate);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| other(format!("TLS: {e}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_says_is_understood() {
        let (url, roots) =
            split("postgres://a:b%3F@h/n?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem&options=x");
        assert_eq!(url, "postgres://a:b%3F@h/n?sslmode=require&options=x");
        assert_eq!(roots.as_deref(), Some("/etc/my ca.pem"));
        assert_eq!(split("postgres://h/n").0, "postgres://h/n");
        let secret = read("postgres://a:geheim@h:x/n").err().unwrap().to_string();
        assert!(!secret.contains("geheim"), "{secret}");
        assert!(read("postgres://h/n?sslmode=verify-ca").is_err());
    }
}
