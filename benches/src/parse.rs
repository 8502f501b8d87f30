//! From bytes to the fields of an inventory, ours against x509-parser, interleaved on one core.
//!
//! Both give serial, issuer, subject, key, both dates, and every DNS name of the SAN as a `String`. Measured
//! besides: the hash that identity costs, and ours with everything that is printed. Names that cannot be
//! read fail the run: a parser that skips is not faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use notafter_pki::container::{Limits, open};
use notafter_pki::{Certificate, Fingerprint, GeneralName};
use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension, KeyPair};
use serde_json::{Value, json};
use x509_parser::extensions::{GeneralName as Theirs, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Result;

const GENERATED: usize = 20_000;
const RUNS: usize = 7;
/// Where systems keep their roots, in one file.
const ROOTS: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Measures in turns and gives the medians in microseconds a certificate.
pub(crate) fn run() -> Result<Value> {
    let corpus = corpus()?;
    let bytes: usize = corpus.iter().map(Vec::len).sum();
    type Read = (&'static str, fn(&[u8]) -> usize);
    let reads: [Read; 5] =
        [("ours", ours), ("theirs", theirs), ("spans", spans), ("hash", hash), ("texts", texts)];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); reads.len()];
    for _ in 0..RUNS {
        for (n, (_, read)) in reads.iter().enumerate() {
            let began = Instant::now();
            black_box(corpus.iter().map(|der| read(der)).sum::<usize>());
            times[n].push(began.elapsed());
        }
    }
    let mut out = json!({
        "count": corpus.len(),
        "mean_bytes": bytes / corpus.len(),
        "parsed": corpus.iter().filter(|der| Certificate::parse(der).is_ok()).count(),
        "same_names": corpus.iter().filter(|der| our_names(der) == their_names(der)).count(),
    });
    for (n, (name, _)) in reads.iter().enumerate() {
        times[n].sort();
        out[name] = json!(times[n][RUNS / 2].as_secs_f64() * 1e6 / corpus.len() as f64);
    }
    Ok(out)
}

fn corpus() -> Result<Vec<Vec<u8>>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    if let Some(bytes) = ROOTS.iter().find_map(|path| std::fs::read(path).ok()) {
        out.extend(open(&bytes, &[], &Limits::default()).certificates().map(<[u8]>::to_vec));
    }
    let key = KeyPair::generate()?;
    for index in 0..GENERATED {
        let count = [1, 2, 4, 10, 40][index % 5];
        let names: Vec<String> = (0..count).map(|name| format!("host-{index}-{name}.example.com")).collect();
        let mut params = CertificateParams::new(names)?;
        if index % 3 == 0 {
            params.crl_distribution_points = vec![CrlDistributionPoint {
                uris: vec!["http://crl.example.com/issuing-ca-1.crl".to_owned()],
            }];
            // As large as two signed timestamps, and as opaque to a parser that does not look inside.
            let stamps = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![4; 240]);
            params.custom_extensions.push(stamps);
        }
        out.push(params.self_signed(&key)?.der().to_vec());
    }
    Ok(out)
}

/// A number that depends on everything read, so that nothing is optimised away.
fn facts(c: &Certificate<'_>) -> usize {
    c.serial().len()
        + c.issuer_name().der().len()
        + c.subject().der().len()
        + c.spki().len()
        + c.not_before().map_or(0, |time| time.0 as usize & 1)
        + c.not_after().map_or(0, |time| time.0 as usize & 1)
}

fn ours(der: &[u8]) -> usize {
    let Ok(c) = Certificate::parse(der) else { return 0 };
    facts(&c) + names_of(&c).len()
}

fn names_of(c: &Certificate<'_>) -> Vec<String> {
    c.subject_alt_names()
        .filter_map(|name| match name {
            GeneralName::Dns(value) => std::str::from_utf8(value).ok().map(str::to_owned),
            _ => None,
        })
        .collect()
}

fn our_names(der: &[u8]) -> Vec<String> {
    Certificate::parse(der).map(|c| names_of(&c)).unwrap_or_default()
}

fn spans(der: &[u8]) -> usize {
    let Ok(c) = Certificate::parse(der) else { return 0 };
    let names = c.subject_alt_names().map(|name| match name {
        GeneralName::Dns(value) | GeneralName::Email(value) | GeneralName::Uri(value) => value.len(),
        _ => 1,
    });
    facts(&c) + names.sum::<usize>()
}

fn hash(der: &[u8]) -> usize {
    usize::from(Fingerprint::of(der).to_string().len() == 64)
}

/// Everything as it is printed: names as text, the serial in hex, problems.
fn texts(der: &[u8]) -> usize {
    let Ok(c) = Certificate::parse(der) else { return 0 };
    facts(&c)
        + names_of(&c).len()
        + c.subject().to_rfc4514().len()
        + c.issuer_name().to_rfc4514().len()
        + notafter_pki::fingerprint::hex(c.serial()).len()
        + c.problems().len()
}

fn theirs(der: &[u8]) -> usize {
    let Ok((_, c)) = X509Certificate::from_der(der) else { return 0 };
    c.raw_serial().len()
        + c.issuer.as_raw().len()
        + c.subject.as_raw().len()
        + c.public_key().raw.len()
        + (c.validity.not_before.timestamp() & 1) as usize
        + (c.validity.not_after.timestamp() & 1) as usize
        + names_of_theirs(&c).len()
}

fn names_of_theirs(c: &X509Certificate<'_>) -> Vec<String> {
    c.extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => Some(&san.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(|name| match name {
            Theirs::DNSName(dns) => Some((*dns).to_owned()),
            _ => None,
        })
        .collect()
}

fn their_names(der: &[u8]) -> Vec<String> {
    X509Certificate::from_der(der).map(|(_, c)| names_of_theirs(&c)).unwrap_or_default()
}
