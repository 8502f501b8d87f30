//! Our reader against x509-parser, certificate by certificate: whatever that accepts, we read alike.

use std::collections::BTreeMap;
use std::fs;

use notafter_pki::container::{Content, Limits, open};
use notafter_pki::der::tag;
use notafter_pki::{Certificate, Fingerprint, GeneralName};
use x509_parser::extensions::{GeneralName as Theirs, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::corpora;

/// Certificates of all corpora, by what they are.
fn corpus(test: &str) -> Option<BTreeMap<[u8; 32], Vec<u8>>> {
    let root = corpora::root(test)?;
    let mut all = BTreeMap::new();
    for path in corpora::files(&root) {
        let Ok(bytes) = fs::read(&path) else { continue };
        for der in open(&bytes, corpora::PASSWORDS, &Limits::default()).certificates() {
            all.insert(Fingerprint::of(der).0, der.to_vec());
        }
    }
    Some(all)
}

/// What differs between the two readings, by name.
fn check(der: &[u8]) -> Result<(), &'static str> {
    let ours = Certificate::parse(der).map_err(|_| "ours refuses")?;
    let Ok((_, theirs)) = X509Certificate::from_der(der) else { return Err("theirs refuses") };
    let same = |equal: bool, what| if equal { Ok(()) } else { Err(what) };
    same(ours.serial() == theirs.raw_serial(), "serial")?;
    for (our, their) in [(ours.issuer_name(), &theirs.issuer), (ours.subject(), &theirs.subject)] {
        if our.der().strip_prefix(their.as_raw()) == Some(&[tag::SET, 0]) {
            return Err("theirs cuts an empty RDN off the name");
        }
        same(our.der() == their.as_raw(), "name")?;
    }
    same(ours.spki() == theirs.public_key().raw, "key")?;
    same(ours.tbs() == theirs.tbs_certificate.as_ref(), "tbs")?;
    same(ours.signature() == theirs.signature_value.data.as_ref(), "signature")?;
    same(ours.not_before().map(|t| t.0) == Some(theirs.validity.not_before.timestamp()), "not before")?;
    same(ours.not_after().map(|t| t.0) == Some(theirs.validity.not_after.timestamp()), "not after")?;
    same(ours.version() == theirs.version.0 + 1, "version")?;
    same(ours.extensions().count() == theirs.extensions().len(), "count of extensions")?;
    for (our, their) in ours.extensions().zip(theirs.extensions()) {
        same(our.oid == their.oid.as_bytes(), "extension")?;
        same(our.critical == their.critical, "criticality")?;
        same(our.value == their.value, "extension value")?;
    }
    let san = theirs.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(san) => Some(san),
        _ => None,
    });
    if let Some(san) = san {
        let mut our_names = ours.subject_alt_names();
        for their_name in &san.general_names {
            let our_name = our_names.next().ok_or("SAN missing")?;
            let equal = match (our_name, their_name) {
                (GeneralName::Dns(a), Theirs::DNSName(b)) => a == b.as_bytes(),
                (GeneralName::Email(a), Theirs::RFC822Name(b)) => a == b.as_bytes(),
                (GeneralName::Uri(a), Theirs::URI(b)) => a == b.as_bytes(),
                (GeneralName::Ip(a), Theirs::IPAddress(b)) => a == *b,
                (GeneralName::DirectoryName(a), Theirs::DirectoryName(b)) => a.der() == b.as_raw(),
                (GeneralName::RegisteredId(a), Theirs::RegisteredID(b)) => a == b.as_bytes(),
                (GeneralName::OtherName { oid, .. }, Theirs::OtherName(b, _)) => oid == b.as_bytes(),
                (GeneralName::Other { tag: 0xa3, .. }, Theirs::X400Address(_)) => true,
                // What they call invalid (a name that is not ASCII, say) we hand out raw.
                (_, Theirs::Invalid(..)) => true,
                _ => false,
            };
            same(equal, "SAN")?;
        }
        same(our_names.next().is_none(), "SAN too many")?;
    }
    if let Ok(Some(constraints)) = theirs.basic_constraints() {
        let our_constraints = ours.basic_constraints().ok_or("no basic constraints")?;
        same(our_constraints.ca == constraints.value.ca, "CA")?;
        same(our_constraints.path_len == constraints.value.path_len_constraint, "path length")?;
    }
    if let Ok(Some(usage)) = theirs.key_usage() {
        same(ours.key_usage().map(|ours| ours.0) == Some(usage.value.flags), "key usage")?;
    }
    Ok(())
}

#[test]
fn certificates_of_the_corpora_read_alike() {
    let Some(all) = corpus("certificates_of_the_corpora_read_alike") else { return };
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for der in all.values() {
        let result = check(der);
        *tally.entry(result.err().unwrap_or("alike")).or_default() += 1;
        if let Err(what) = result
            && !matches!(what, "theirs refuses" | "ours refuses")
        {
            println!("{what}: {}", Fingerprint::of(der));
        }
    }
    println!("{} certificates: {tally:?}", all.len());
    assert_eq!(tally.into_iter().collect::<Vec<_>>(), EXPECTED);
}

/// The four we refuse are PEM bodies that are no certificates at all (boringssl's `cert_not_sequence`,
/// `cert_empty_sequence`, `cert_data_after_signature`, `serial_not_number`); they are kept as bytes all the
/// same. The empty RDNs are zlint's.
const EXPECTED: &[(&str, usize)] = &[
    ("alike", 2767),
    ("ours refuses", 4),
    ("theirs cuts an empty RDN off the name", 79),
    ("theirs refuses", 5),
];

#[test]
fn every_pem_certificate_that_x509_parser_finds_is_found() {
    let Some(root) = corpora::root("every_pem_certificate_that_x509_parser_finds_is_found") else { return };
    let (mut theirs, mut missed) = (0, Vec::new());
    for path in corpora::files(&root) {
        let Ok(bytes) = fs::read(&path) else { continue };
        let opened = open(&bytes, &[], &Limits::default());
        let ours: Vec<&[u8]> = opened
            .found
            .iter()
            .filter_map(|found| match &found.content {
                Content::Certificate(der) => Some(der.as_ref()),
                _ => None,
            })
            .collect();
        for block in Pem::iter_from_buffer(&bytes).flatten() {
            if matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
                theirs += 1;
                if !ours.iter().any(|der| block.contents.starts_with(der)) {
                    missed.push(path.clone());
                }
            }
        }
    }
    println!("{theirs} PEM certificates by x509-parser, {} of them missed", missed.len());
    assert_eq!(missed, Vec::<std::path::PathBuf>::new());
    assert_eq!(theirs, PEM_CERTIFICATES);
}

const PEM_CERTIFICATES: usize = 2151;

#[test]
fn generated_certificates_read_alike() {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, date_time_ymd};
    let mut alike = 0;
    for index in 0..200u32 {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names yet");
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, format!("host {index} \u{e4}\u{4f8b}"));
        name.push(DnType::OrganizationName, "Acme, \"Inc.\"");
        params.distinguished_name = name;
        let dates =
            [(1950, 1, 1), (2000, 2, 29), (2049, 12, 31), (2050, 1, 1), (2400, 2, 29), (9999, 12, 31)];
        let (from, until) = (index as usize % 3, 3 + index as usize % 3);
        let date = |(year, month, day): (i32, u8, u8)| date_time_ymd(year, month, day);
        params.not_before = date(*dates.get(from).expect("six dates"));
        params.not_after = date(*dates.get(until).expect("six dates"));
        for name in 0..index % 40 {
            let dns = format!("n{name}.example.com").try_into().expect("ASCII");
            params.subject_alt_names.push(SanType::DnsName(dns));
            params.subject_alt_names.push(SanType::IpAddress([10, 0, 0, name as u8].into()));
        }
        let certificate = params.self_signed(&key).expect("a certificate");
        let der = certificate.der();
        assert_eq!(check(der), Ok(()), "number {index}");
        let ours = Certificate::parse(der).expect("parses");
        assert_eq!(notafter_pki::is_signed_by(&ours, ours.spki()), notafter_pki::SignatureVerdict::Good);
        alike += 1;
    }
    assert_eq!(alike, 200);
}
