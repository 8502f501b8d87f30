//! How fast certificates are read, ours against x509-parser, and how fast markers are searched for.
//!
//! Prints microseconds a certificate (parse, serial, issuer, subject, key, validity, and every SAN as text)
//! and gigabytes a second. Certificates are generated, plus those of the PEM files named as arguments.
#![allow(clippy::print_stdout, reason = "an example that prints is its whole purpose")]
#![allow(clippy::disallowed_methods, reason = "a benchmark needs the real clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use notafter_pki::container::sniff::Markers;
use notafter_pki::container::{Limits, open};
use notafter_pki::{Certificate, GeneralName};
use rcgen::{CertificateParams, KeyPair};
use x509_parser::extensions::{GeneralName as Theirs, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

fn main() {
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        corpus.extend(open(&bytes, &[], &Limits::default()).certificates().map(<[u8]>::to_vec));
    }
    let key = KeyPair::generate().expect("a key");
    for index in 0..2000usize {
        let names = [1, 2, 4, 10, 40].get(index % 5).copied().unwrap_or(1);
        let names: Vec<String> = (0..names).map(|name| format!("host-{index}-{name}.example.com")).collect();
        let certificate = CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
        corpus.push(certificate.der().to_vec());
    }
    let octets: usize = corpus.iter().map(Vec::len).sum();
    println!("{} certificates, mean {} B", corpus.len(), octets / corpus.len());
    let per = |time: Duration| time.as_secs_f64() * 1e6 / corpus.len() as f64;
    let ours = median(|| corpus.iter().map(|der| read_ours(der)).sum());
    let spans = median(|| corpus.iter().map(|der| read_spans(der)).sum());
    let theirs = median(|| corpus.iter().map(|der| read_theirs(der)).sum());
    println!("ours, SAN as strings: {:.3} us   ours, SAN as spans: {:.3} us", per(ours), per(spans));
    println!("x509-parser, SAN as strings: {:.3} us   ratio {:.1}", per(theirs), per(theirs) / per(ours));
    let problems =
        median(|| corpus.iter().map(|der| Certificate::parse(der).map_or(0, |c| c.problems().len())).sum());
    println!("problems(): {:.3} us", per(problems));

    let markers = Markers::new();
    let gigabytes = |time: Duration, octets: usize| octets as f64 / time.as_secs_f64() / 1e9;
    let mut state = 1u64;
    let noise: Vec<u8> = (0..64 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    let text = b"The quick brown fox -- jumps over: {\"the\": \"lazy\"} dog;\n    return M - 1; // ------\n";
    let text: Vec<u8> = text.iter().copied().cycle().take(64 << 20).collect();
    for (name, bytes) in [("noise", &noise), ("text", &text)] {
        let time = median(|| markers.all(bytes).count());
        println!("markers over {name}: {:.2} GB/s", gigabytes(time, bytes.len()));
    }
}

fn median(mut work: impl FnMut() -> usize) -> Duration {
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    times.sort();
    times.get(3).copied().unwrap_or_default()
}

/// A number that depends on everything read, so that nothing is optimised away.
fn read_spans(der: &[u8]) -> usize {
    let Ok(c) = Certificate::parse(der) else { return 0 };
    let names: usize = c
        .subject_alt_names()
        .map(|name| match name {
            GeneralName::Dns(value) | GeneralName::Email(value) | GeneralName::Uri(value) => value.len(),
            _ => 1,
        })
        .sum();
    facts(&c) + names
}

fn read_ours(der: &[u8]) -> usize {
    let Ok(c) = Certificate::parse(der) else { return 0 };
    let names: Vec<String> = c
        .subject_alt_names()
        .filter_map(|name| match name {
            GeneralName::Dns(value) => std::str::from_utf8(value).ok().map(str::to_owned),
            _ => None,
        })
        .collect();
    facts(&c) + names.len()
}

fn facts(c: &Certificate<'_>) -> usize {
    c.serial().len()
        + c.issuer_name().der().len()
        + c.subject().der().len()
        + c.spki().len()
        + c.not_before().map_or(0, |time| time.0 as usize & 1)
        + c.not_after().map_or(0, |time| time.0 as usize & 1)
}

fn read_theirs(der: &[u8]) -> usize {
    let Ok((_, c)) = X509Certificate::from_der(der) else { return 0 };
    let names: Vec<String> = c
        .extensions()
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
        .collect();
    c.raw_serial().len()
        + c.issuer.as_raw().len()
        + c.subject.as_raw().len()
        + c.public_key().raw.len()
        + (c.validity.not_before.timestamp() & 1) as usize
        + (c.validity.not_after.timestamp() & 1) as usize
        + names.len()
}
