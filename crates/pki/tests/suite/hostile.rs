//! Hostile input, generated: F39 to F43 and F46 to F48 of the fault list. No panic, bounded time, nothing
//! dropped.

use std::time::{Duration, Instant};

use notafter_pki::container::{Format, Limits, Reason, open};
use notafter_pki::der::{encode, tag};
use notafter_pki::{Certificate, oid, salvage};
use proptest::prelude::*;

/// A certificate with these parts; enough for the reader, with a signature of nothing.
struct Recipe {
    serial: Vec<u8>,
    common_name: (u8, Vec<u8>),
    algorithm: Vec<u8>,
    spki: Vec<u8>,
    extensions: Vec<u8>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            serial: vec![1],
            common_name: (tag::UTF8_STRING, b"x".to_vec()),
            algorithm: encode(tag::SEQUENCE, &encode(tag::OID, oid::ED25519)),
            spki: key(oid::ED25519, &[]),
            extensions: Vec::new(),
        }
    }
}

fn key(algorithm: &[u8], parameters: &[u8]) -> Vec<u8> {
    let algorithm = encode(tag::SEQUENCE, &[&encode(tag::OID, algorithm)[..], parameters].concat());
    encode(tag::SEQUENCE, &[algorithm, encode(tag::BIT_STRING, &[0; 33])].concat())
}

fn san(names: &[u8]) -> Vec<u8> {
    let value = encode(tag::OCTET_STRING, &encode(tag::SEQUENCE, names));
    encode(tag::SEQUENCE, &[encode(tag::OID, oid::SUBJECT_ALT_NAME), value].concat())
}

impl Recipe {
    fn der(&self) -> Vec<u8> {
        let (kind, text) = &self.common_name;
        let pair = [encode(tag::OID, oid::COMMON_NAME), encode(*kind, text)].concat();
        let name = encode(tag::SEQUENCE, &encode(tag::SET, &encode(tag::SEQUENCE, &pair)));
        let dates =
            [encode(tag::UTC_TIME, b"260101000000Z"), encode(tag::UTC_TIME, b"270101000000Z")].concat();
        let mut tbs = [
            encode(tag::context(0), &[2, 1, 2]),
            encode(tag::INTEGER, &self.serial),
            self.algorithm.clone(),
            name.clone(),
            encode(tag::SEQUENCE, &dates),
            name,
            self.spki.clone(),
        ]
        .concat();
        if !self.extensions.is_empty() {
            tbs.extend(encode(tag::context(3), &encode(tag::SEQUENCE, &self.extensions)));
        }
        let parts = [encode(tag::SEQUENCE, &tbs), self.algorithm.clone(), encode(tag::BIT_STRING, &[0, 1])];
        encode(tag::SEQUENCE, &parts.concat())
    }
}

/// Reads everything there is to read; what matters is that it returns, and when.
fn exhaust(der: &[u8]) {
    let _ = salvage(der);
    let Ok(c) = Certificate::parse(der) else { return };
    let _ = (c.fingerprint(), c.key_id(), c.version(), c.not_before(), c.not_after(), c.is_ca());
    let _ = (c.subject().to_rfc4514(), c.issuer_name().common_name(), c.subject().comparison_key());
    let _ = (c.public_key().algorithm(), c.public_key().bits(), c.public_key().curve());
    let _ = (c.signature_algorithm().signature_name(), c.signature().len(), c.problems().len());
    let _ = c.subject_alt_names().map(|name| name.to_text().len()).sum::<usize>();
    let _ = (c.key_usage(), c.extended_key_usage().map(|usage| usage.names()));
    let _ = (c.authority_key_id(), c.subject_key_id(), c.must_staple(), c.is_precertificate());
    let _ = (c.authority_info_access().ocsp().count(), c.authority_info_access().ca_issuers().count());
    let _ = (c.crl_distribution_points().count(), c.policies().count(), c.sct_list().count());
    let _ = c.name_constraints().map(|n| (n.permitted().count(), n.excluded().count()));
    let _ = notafter_pki::is_signed_by(&c, c.spki());
}

/// Runs `work` and holds it to its time, generously: builds of tests are slow and machines busy.
fn check(limit: Duration, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed();
    assert!(took < limit, "took {took:?}, allowed {limit:?}");
}

const SECONDS: Duration = Duration::from_secs(10);

#[test]
fn f39_depth_and_length_bombs() {
    for exponent in 2..=6 {
        let depth = 10usize.pow(exponent);
        // Definite lengths, nested from the inside out in linear time: headers of a fixed width.
        let mut nested = Vec::with_capacity(depth * 6);
        for level in (0..depth).rev() {
            let length = (level * 6) as u32;
            nested.extend_from_slice(&[tag::SEQUENCE, 0x84]);
            nested.extend_from_slice(&length.to_be_bytes());
        }
        let indefinite = [tag::SEQUENCE, 0x80].repeat(depth);
        check(SECONDS, || {
            for bomb in [&nested, &indefinite] {
                exhaust(bomb);
                assert_eq!(open(bomb, &[], &Limits::default()).found, []);
                let within = Recipe { extensions: san(bomb), ..Recipe::default() }.der();
                exhaust(&within);
                assert_eq!(open(&within, &[], &Limits::default()).found.len(), 1);
            }
        });
    }
    for bomb in [
        &[0x30, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0][..],
        &[0x30, 0x88, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0x30],
        &[0x3f, 0x81, 0x81, 0x81, 0x81, 0x81, 0x01, 0x00],
        &[0x30, 0xff, 0, 0],
    ] {
        exhaust(bomb);
        assert!(Certificate::parse(bomb).is_err());
    }
}

#[test]
fn f39_a_million_names_and_a_huge_identifier() {
    let names = encode(0x82, b"a.example").repeat(1_000_000);
    let der = Recipe { extensions: san(&names), ..Recipe::default() }.der();
    check(SECONDS, || {
        exhaust(&der);
        let certificate = Certificate::parse(&der).expect("a certificate");
        assert_eq!(certificate.subject_alt_names().count(), 1_000_000);
    });
    let extension =
        encode(tag::SEQUENCE, &[encode(tag::OID, oid::SCT_LIST), encode(tag::OCTET_STRING, &[])].concat());
    let der = Recipe { extensions: extension.repeat(300_000), ..Recipe::default() }.der();
    check(SECONDS, || exhaust(&der));
    let der = Recipe { spki: key(&vec![0x55; 100_000_000], &[]), ..Recipe::default() }.der();
    check(SECONDS, || {
        let certificate = Certificate::parse(&der).expect("a certificate");
        assert!(certificate.public_key().algorithm().len() < 200);
    });
}

#[test]
fn f41_iteration_bombs() {
    let pbes2 = |iterations: u32| {
        let salt = encode(tag::OCTET_STRING, &[1; 8]);
        let count = encode(tag::INTEGER, &[&[0][..], &iterations.to_be_bytes()].concat());
        let kdf = [
            encode(tag::OID, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12]),
            encode(tag::SEQUENCE, &[salt, count].concat()),
        ]
        .concat();
        let cipher = [
            encode(tag::OID, &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42]),
            encode(tag::OCTET_STRING, &[2; 16]),
        ]
        .concat();
        let parameters = [encode(tag::SEQUENCE, &kdf), encode(tag::SEQUENCE, &cipher)].concat();
        let algorithm = [
            encode(tag::OID, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13]),
            encode(tag::SEQUENCE, &parameters),
        ];
        let info = [
            encode(tag::OID, oid::PKCS7_DATA),
            encode(tag::SEQUENCE, &algorithm.concat()),
            encode(0x80, &[3; 32]),
        ];
        let encrypted =
            encode(tag::SEQUENCE, &[&[2, 1, 0][..], &encode(tag::SEQUENCE, &info.concat())].concat());
        let part =
            [encode(tag::OID, oid::PKCS7_ENCRYPTED_DATA), encode(tag::context(0), &encrypted)].concat();
        let parts = encode(tag::SEQUENCE, &encode(tag::SEQUENCE, &part).repeat(50));
        let safe =
            [encode(tag::OID, oid::PKCS7_DATA), encode(tag::context(0), &encode(tag::OCTET_STRING, &parts))]
                .concat();
        encode(tag::SEQUENCE, &[&[2, 1, 3][..], &encode(tag::SEQUENCE, &safe)].concat())
    };
    for iterations in [u32::MAX, 50_000_000, 5_000_001, 4_000_000, 1_000_000] {
        check(Duration::from_secs(60), || {
            let limits = Limits { total_iterations: 2_000_000, ..Limits::default() };
            let file = pbes2(iterations);
            let opened = open(&file, &["a", "b"], &limits);
            assert_eq!(opened.format, Format::Pkcs12);
            assert!(opened.problems.iter().all(|problem| problem.reason == Reason::TooLarge));
            assert!(!opened.problems.is_empty());
        });
    }
}

#[test]
fn f43_pem_bombs() {
    check(Duration::from_secs(30), || {
        let line = [b"-----BEGIN CERTIFICATE-----\n".to_vec(), vec![b'A'; 200_000_000]].concat();
        let opened = open(&line, &[], &Limits::default());
        assert_eq!(opened.problems.first().map(|problem| problem.reason), Some(Reason::TooLarge));
    });
}

#[test]
fn f46_names() {
    let shown = |kind, text: &[u8]| {
        let der = Recipe { common_name: (kind, text.to_vec()), ..Recipe::default() }.der();
        exhaust(&der);
        let certificate = Certificate::parse(&der).expect("a certificate");
        let problems: Vec<_> = certificate.problems().iter().map(|problem| problem.name).collect();
        (certificate.subject().to_rfc4514(), problems)
    };
    assert_eq!(shown(tag::UTF8_STRING, b"a\0b"), ("CN=a\\00b".to_owned(), vec!["nul-in-name"]));
    assert_eq!(
        shown(tag::UTF8_STRING, "a\u{202e}b".as_bytes()),
        ("CN=a\\E2\\80\\AEb".to_owned(), vec!["deceptive-name"])
    );
    assert_eq!(shown(tag::UTF8_STRING, b"\xff"), ("CN=\\FF".to_owned(), vec!["invalid-utf8-name"]));
    assert_eq!(shown(tag::UTF8_STRING, &[b'a'; 65_536]).1, ["long-name"]);
    let names = [encode(0x82, b"f*o.example"), encode(0x87, &[1, 2, 3])].concat();
    for name in [&names[..], &encode(0x82, b"10.0.0.1"), &encode(0x82, b"a\xffb")] {
        let der = Recipe { extensions: san(name), ..Recipe::default() }.der();
        let problems = Certificate::parse(&der).expect("a certificate").problems();
        assert_eq!(problems.first().map(|problem| problem.name), Some("invalid-san"));
    }
}

#[test]
fn f47_serials() {
    for (serial, expected) in [
        (vec![1], None),
        (vec![], Some("empty-serial")),
        (vec![0], Some("non-positive-serial")),
        (vec![0xff], Some("non-positive-serial")),
        (vec![7; 200], Some("serial-too-long")),
        (vec![0, 1], Some("non-minimal-serial")),
    ] {
        let der = Recipe { serial: serial.clone(), ..Recipe::default() }.der();
        let certificate = Certificate::parse(&der).expect("a certificate");
        assert_eq!(certificate.serial(), serial);
        assert_eq!(certificate.problems().first().map(|problem| problem.name), expected);
    }
}

#[test]
fn f48_algorithms_are_listed_whatever_they_are() {
    for (algorithm, parameters, name) in [
        (oid::ML_DSA_65, vec![], "ML-DSA-65"),
        (oid::RSA, vec![5, 0], "RSA"),
        (oid::DSA, vec![], "DSA"),
        (oid::EC_PUBLIC_KEY, encode(tag::OID, oid::SM2), "SM2"),
        (oid::EC_PUBLIC_KEY, encode(tag::SEQUENCE, &[0; 9]), "ECDSA"),
        (&[0x2a, 0x85, 3, 7, 1, 1, 1, 1][..], vec![], "GOST R 34.10-2012 (256 bit)"),
        (&[0x2a, 3, 4][..], vec![], "1.2.3.4"),
    ] {
        let spki = key(algorithm, &parameters);
        let der = Recipe { spki, algorithm: encode(tag::SEQUENCE, &[]), ..Recipe::default() }.der();
        exhaust(&der);
        let opened = open(&der, &[], &Limits::default());
        let found = opened.certificates().next().expect("kept");
        assert_eq!(Certificate::parse(found).expect("parses").public_key().algorithm(), name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Flipped, cut and spliced certificates never panic, whatever is asked of them.
    #[test]
    fn mutated_certificates_never_panic(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let names = [encode(0x82, b"a.example"), encode(0x87, &[1, 2, 3, 4]), encode(0xa4, &[0x30, 0])].concat();
        let mut der = Recipe { extensions: san(&names), ..Recipe::default() }.der();
        for (at, octet) in flips {
            let at = at.index(der.len());
            if let Some(slot) = der.get_mut(at) {
                *slot ^= octet;
            }
        }
        if !keep {
            der.truncate(cut.index(der.len() + 1));
        }
        exhaust(&der);
        let _ = open(&der, &[], &Limits::default());
        let _ = notafter_pki::Crl::parse(&der).map(|crl| crl.revoked().count());
        let _ = notafter_pki::Csr::parse(&der).map(|csr| csr.subject_alt_names().count());
        let _ = notafter_pki::PrivateKey::recognise(&der);
    }

    /// So do files of any other octets, also behind the beginnings of every format.
    #[test]
    fn any_octets_never_panic(
        start in prop::sample::select(vec![
            &b""[..], b"\xfe\xed\xfe\xed\0\0\0\x02", b"\xce\xce\xce\xce\0\0\0\x02", b"\0\0\0\x02\0\0\0\x14",
            b"\x30\x80\x02\x01\x03\x30\x80", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----", b"LS0tLS1CRUdJTi",
            b"\x30\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", b"openssh-key-v1\0",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, &rest].concat();
        let _ = open(&bytes, &[], &Limits::default());
        let _ = salvage(&bytes);
        exhaust(&bytes);
        let _ = notafter_pki::PrivateKey::recognise_openssh(&bytes);
    }
}

/// Numbers without a pattern, and always the same.
fn noise() -> impl FnMut() -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize
    }
}

/// A few octets changed, and perhaps the end cut off.
fn mutate(bytes: &[u8], random: &mut impl FnMut() -> usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..random() % 6 {
        let at = random() % out.len().max(1);
        let octet = random() as u8;
        if let Some(slot) = out.get_mut(at) {
            *slot = octet;
        }
    }
    if random().is_multiple_of(4) {
        out.truncate(random() % out.len().max(1));
    }
    out
}

/// How often each file is mutated: more by `NOTAFTER_MUTATIONS`.
fn rounds() -> usize {
    std::env::var("NOTAFTER_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

/// Certificates of the corpora, mutated: nearer to what the world has.
#[test]
fn mutated_real_certificates_never_panic() {
    let Some(root) = crate::corpora::root("mutated_real_certificates_never_panic") else { return };
    let mut random = noise();
    for path in crate::corpora::files(&root.join("zlint")) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        for der in open(&bytes, &[], &Limits::default()).certificates() {
            for _ in 0..rounds() {
                let der = mutate(der, &mut random);
                exhaust(&der);
                let _ = open(&der, &[], &Limits::default());
            }
        }
    }
}

/// Keystores, bundles, CRLs, keys and PEM files, mutated.
#[test]
fn mutated_containers_never_panic() {
    let Some(root) = crate::corpora::root("mutated_containers_never_panic") else { return };
    let mut random = noise();
    let limits = Limits { total_iterations: 5_000, ..Limits::default() };
    for folder in ["keystores", "gnutls-data", "pyca-vectors", "rusticata", "ssh"] {
        for path in crate::corpora::files(&root.join(folder)) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            for _ in 0..rounds() {
                let bytes = mutate(&bytes, &mut random);
                for found in open(&bytes, crate::corpora::PASSWORDS, &limits).found {
                    if let notafter_pki::container::Content::Crl(der) = found.content {
                        let _ = notafter_pki::Crl::parse(&der).map(|crl| (crl.entry_count(), crl.is_delta()));
                    }
                }
            }
        }
    }
}
