//! Containers of the corpora: how many certificates are in each, where truth is what OpenSSL and keytool say.

use std::fs;

use notafter_pki::container::{self, Content, Limits, Opened, Reason, open};

use crate::corpora;

/// Opens a file of the corpora and hands the result on, with the kinds of problems.
fn check(path: &std::path::Path, certificates: usize, problems: &[Reason]) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let opened = open(&bytes, corpora::PASSWORDS, &Limits::default());
    let reasons: Vec<_> = opened.problems.iter().map(|problem| problem.reason).collect();
    assert_eq!(
        (opened.certificates().count(), reasons.as_slice()),
        (certificates, problems),
        "{}: {:?}",
        path.display(),
        opened.problems
    );
}

/// Certificates (by `openssl pkcs12 -legacy -nokeys`, `openssl pkcs7 -print_certs`, `keytool -list -rfc`),
/// and problems.
#[rustfmt::skip]
const STORES: &[(&str, usize, &[Reason])] = &[
    ("gnutls-data/cert-tests/data/aes-128.p12", 0, &[]), // a key alone
    ("gnutls-data/cert-tests/data/client.p12", 1, &[]),
    ("gnutls-data/cert-tests/data/key-corpus-rc2-1.p12", 1, &[]),
    ("gnutls-data/cert-tests/data/mac-sha512.p12", 1, &[]),
    ("gnutls-data/cert-tests/data/mem-leak.p12", 0, &[Reason::Malformed]), // made by a fuzzer
    ("gnutls-data/cert-tests/data/no-salt.p12", 1, &[]),
    ("gnutls-data/cert-tests/data/pbes1-no-salt.p12", 1, &[]),
    ("gnutls-data/cert-tests/data/pkcs12_5certs.p12", 5, &[]),
    ("gnutls-data/cert-tests/data/test-null.p12", 1, &[]),
    ("gnutls-data/cert-tests/data/unclient.p12", 1, &[]),
    ("keystores/bad1.p12", 0, &[Reason::Malformed]),
    ("keystores/bad2.p12", 0, &[Reason::Malformed]),
    ("keystores/no_encryption.p12", 1, &[]),
    ("keystores/nss.p12", 1, &[]),
    ("keystores/null_password.p12", 1, &[]),
    ("keystores/openssl/test/keystore-empty-chain.p12", 1, &[]),
    ("keystores/pbes2_sha1.p12", 1, &[]),
    ("keystores/pbes2_sha256.p12", 1, &[]),
    ("keystores/windows.p12", 1, &[]),
    ("keystores/pkcs12/tests/examples/ValidCertificatePathTest1EE.p12", 1, &[]),
    ("keystores/pkcs12/tests/examples/example.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example11.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example12.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example15.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example16.pfx", 0, &[]), // a key alone
    ("keystores/pkcs12/tests/examples/example17.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example2.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example3.pfx", 1, &[]),
    ("keystores/pkcs12/tests/examples/example7.pfx", 2, &[]),
    ("keystores/pkcs12/tests/examples/example8.pfx", 1, &[]),
    ("openssl-certs/certs/v3-certs-RC2.p12", 2, &[]),
    ("openssl-certs/certs/v3-certs-TDES.p12", 2, &[]),
    ("pyca-vectors/pkcs12/cert-key-aes256cbc.p12", 1, &[]),
    ("pyca-vectors/pkcs12/java-truststore.p12", 2, &[]),
    ("pyca-vectors/pkcs12/name-1-no-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/name-1-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/name-2-3-no-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/name-all-no-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/name-unicode-no-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/name-unicode-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/no-cert-key-aes256cbc.p12", 0, &[]), // a key alone
    ("pyca-vectors/pkcs12/no-cert-name-2-no-pwd.p12", 2, &[]),
    ("pyca-vectors/pkcs12/no-cert-name-3-no-pwd.p12", 2, &[]),
    ("pyca-vectors/pkcs12/no-cert-name-3-pwd.p12", 2, &[]),
    ("pyca-vectors/pkcs12/no-cert-name-all-pwd.p12", 2, &[]),
    ("pyca-vectors/pkcs12/no-cert-name-unicode-no-pwd.p12", 2, &[]),
    ("pyca-vectors/pkcs12/no-cert-name-unicode-pwd.p12", 2, &[]),
    ("pyca-vectors/pkcs12/no-name-no-pwd.p12", 3, &[]),
    ("pyca-vectors/pkcs12/no-name-pwd.p12", 3, &[]),
    ("keystores/jks/DSA2048.jks", 1, &[]),
    ("keystores/jks/RSA2048_3certs.jks", 3, &[]),
    ("keystores/jks/custom_entry_passwords.jks", 2, &[Reason::WrongPassword]),
    ("keystores/jks/empty.jks", 0, &[]),
    ("keystores/jceks/DSA2048.jceks", 1, &[]),
    ("keystores/jceks/RSA1024.jceks", 1, &[]),
    ("keystores/jceks/custom_entry_passwords.jceks", 2, &[Reason::WrongPassword]),
    ("keystores/jceks/duplicate_aliases.jceks", 2, &[]), // keytool shows only the second
    ("keystores/jceks/unknown_sealed_object_sealAlg.jceks", 0, &[]),
    ("keystores/bks/christmas.bksv1", 2, &[]),
    ("keystores/bks/custom_entry_passwords.bksv1", 3, &[]),
    ("keystores/bks/empty.bksv2", 0, &[]),
    ("gnutls-data/cert-tests/data/rfc4490.p7b", 0, &[]),
    ("gnutls-data/cert-tests/data/openssl-keyid.p7b", 2, &[]), // OpenSSL 3.0 refuses it
    ("gnutls-data/cert-tests/data/detached.p7b", 2, &[]),
    ("gnutls-data/cert-tests/data/full.p7b", 2, &[]),
    ("gnutls-data/cert-tests/data/openssl.p7b", 2, &[]),
    ("gnutls-data/cert-tests/data/single-ca.p7b", 1, &[]),
    ("gnutls-data/cert-tests/data/pkcs7-cat.p7", 4, &[]),
    ("pyca-vectors/pkcs7/amazon-roots.p7b", 2, &[]),
];

/// Where certificates stand within, by the aliases that OpenSSL and keytool show.
#[rustfmt::skip]
const PLACES: &[(&str, &[&str])] = &[
    ("keystores/jks/RSA2048_3certs.jks", &["#mykey", "#mykey/1", "#mykey/2"]),
    ("keystores/jceks/duplicate_aliases.jceks", &["#my_alias", "#my_alias"]),
    ("keystores/jks/custom_entry_passwords.jks", &["#private", "#cert"]),
    ("keystores/bks/christmas.bksv1", &["#sealed_private_key", "#cert"]),
    ("pyca-vectors/pkcs12/java-truststore.p12", &["#cert1", "#2"]),
    ("pyca-vectors/pkcs12/name-unicode-no-pwd.p12", &["#%E2%98%BA", "#%C3%A4", "#%C3%A7"]),
    ("keystores/pkcs12/tests/examples/example7.pfx", &["#1", "#2"]),
    ("pyca-vectors/pkcs7/amazon-roots.p7b", &["#1", "#2"]),
];

#[test]
fn places_of_entries() {
    let Some(root) = corpora::root("places_of_entries") else { return };
    for (path, expected) in PLACES {
        let bytes = fs::read(root.join(path)).expect("a file of the corpora");
        let opened = open(&bytes, corpora::PASSWORDS, &Limits::default());
        let certificates = opened.found.iter().filter(|f| matches!(f.content, Content::Certificate(_)));
        let places: Vec<_> = certificates.map(|found| found.place.to_string()).collect();
        assert_eq!(&places, expected, "{path}");
    }
}

#[test]
fn keystores_within_text() {
    let Some(root) = corpora::root("keystores_within_text") else { return };
    for (path, place) in [
        ("keystores/jks/DSA2048.jks", "#1/mykey"),
        ("keystores/jceks/RSA1024.jceks", "#1/mykey"),
        ("keystores/pbes2_sha256.p12", "#1/1"),
        ("pyca-vectors/pkcs7/amazon-roots.p7b", "#1/1"),
    ] {
        let bytes = fs::read(root.join(path)).expect("a file of the corpora");
        let text = format!("data:\n  store: {}\ntype: Opaque\n", container::base64::encode(&bytes));
        let opened = open(text.as_bytes(), corpora::PASSWORDS, &Limits::default());
        let first = opened.found.iter().find(|found| matches!(found.content, Content::Certificate(_)));
        assert_eq!(first.map(|found| found.place.to_string()).as_deref(), Some(place), "{path}");
    }
}

#[test]
fn stores_that_cannot_be_read_are_named() {
    use notafter_pki::der::{encode, tag};
    let scheme = encode(tag::OID, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13]);
    let sealed = [encode(tag::SEQUENCE, &scheme), encode(tag::OCTET_STRING, &[0; 64])].concat();
    let bcfks = encode(tag::SEQUENCE, &[encode(tag::SEQUENCE, &sealed), encode(tag::SEQUENCE, &[])].concat());
    let uber = [&[0, 0, 0, 1, 0, 0, 0, 20][..], &[0xab; 300]].concat();
    for (bytes, name) in [(bcfks, "BCFKS"), (uber, "UBER")] {
        let opened = open(&bytes, &[], &Limits::default());
        let problem = opened.problems.first().expect("a problem");
        assert_eq!(problem.reason, Reason::UnsupportedFormat);
        assert!(problem.detail.contains(name), "{}", problem.detail);
    }
}

#[test]
fn roots_have_signed_themselves() {
    let Some(root) = corpora::root("roots_have_signed_themselves") else { return };
    let mut verdicts = std::collections::BTreeMap::new();
    for path in corpora::files(&root.join("testssl")) {
        let bytes = fs::read(&path).unwrap_or_default();
        for der in open(&bytes, &[], &Limits::default()).certificates() {
            let certificate = notafter_pki::Certificate::parse(der).expect("a root parses");
            let verdict = notafter_pki::is_signed_by(&certificate, certificate.spki());
            *verdicts.entry(format!("{verdict:?}")).or_insert(0) += 1;
        }
    }
    // Ten of Microsoft's are signed with MD2 or MD5, which nothing here implements; and that of
    // "CCA India 2015 SPL" is bad by `openssl verify -check_ss_sig`, too.
    let expected =
        [("Bad", 1), ("Good", 751), ("Unsupported", 10)].map(|(verdict, n)| (verdict.to_owned(), n));
    assert_eq!(verdicts.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn keystores_and_bundles() {
    let Some(root) = corpora::root("keystores_and_bundles") else { return };
    for (path, certificates, problems) in STORES {
        check(&root.join(path), *certificates, problems);
    }
}

/// Per corpus: files, certificates, CRLs, requests, keys (private and public), files with problems.
#[rustfmt::skip]
const CENSUS: &[(&str, [usize; 6])] = &[
    ("augeas-root", [129, 0, 0, 0, 0, 0]),
    ("badssl", [39, 35, 0, 0, 2, 0]),
    ("bettertls", [2, 0, 0, 0, 0, 0]),
    ("boringssl-pki", [551, 310, 27, 0, 25, 4]),
    ("certbot-configs", [142, 0, 0, 0, 0, 0]),
    ("certbot-files", [32, 13, 0, 7, 8, 0]),
    ("crossplane-nginx", [23, 0, 0, 0, 0, 0]),
    ("ct", [39, 1034, 0, 0, 0, 0]),
    ("gnutls-data", [156, 109, 2, 3, 46, 1]),
    ("haproxy", [55, 25, 5, 0, 15, 0]),
    ("keystores", [53, 45, 0, 0, 34, 4]),
    ("manifests", [439, 42, 0, 0, 33, 14]),
    ("openpgp", [170, 0, 0, 0, 5, 1]),
    ("openssl-certs", [273, 207, 3, 1, 77, 0]),
    ("pyca-vectors", [198, 111, 14, 14, 58, 5]),
    ("rdap", [38, 1, 0, 0, 1, 0]),
    ("rusticata", [38, 24, 9, 4, 0, 1]),
    ("saml", [289, 56, 0, 0, 5, 2]),
    ("ssh", [29, 0, 0, 0, 7, 0]),
    ("testssl", [6, 762, 0, 0, 0, 0]),
    ("whois", [308, 0, 0, 0, 0, 0]),
    ("x509-limbo", [3, 0, 0, 0, 0, 0]),
    ("zlint", [685, 653, 31, 0, 0, 0]),
];

#[test]
fn census_of_the_corpora() {
    let Some(root) = corpora::root("census_of_the_corpora") else { return };
    let mut census = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(&root).into_iter().flatten().flatten().map(|f| f.path()).collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let mut counts = [0; 6];
        for path in corpora::files(folder) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let opened = open(&bytes, corpora::PASSWORDS, &Limits::default());
            let [files, certificates, crls, requests, keys, troubled] = &mut counts;
            *files += 1;
            *certificates += count(&opened, |content| matches!(content, Content::Certificate(_)));
            *crls += count(&opened, |content| matches!(content, Content::Crl(_)));
            *requests += count(&opened, |content| matches!(content, Content::Csr(_)));
            *keys += count(&opened, |c| matches!(c, Content::PrivateKey(_) | Content::PublicKey(_)));
            *troubled += usize::from(!opened.problems.is_empty());
        }
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        println!("    (\"{name}\", {counts:?}),");
        census.push((name, counts));
    }
    let census: Vec<_> = census.iter().map(|(name, counts)| (name.as_str(), *counts)).collect();
    assert_eq!(census, CENSUS);
}

/// Statements per corpus: OCSP responses, SSH certificates, OpenPGP keys, tokens, secrets, signed metadata, code
/// signatures, bare keys.
#[rustfmt::skip]
const STATEMENTS: &[(&str, [usize; 8])] = &[
    ("boringssl-pki", [20, 0, 0, 0, 0, 0, 0, 0]),
    ("gnutls-data", [0, 0, 9, 0, 0, 0, 11, 0]),
    ("haproxy", [2, 0, 0, 0, 0, 0, 0, 0]),
    ("openpgp", [0, 0, 312, 0, 0, 1, 0, 0]),
    ("pyca-vectors", [8, 11, 0, 0, 0, 0, 1, 0]),
    ("saml", [0, 0, 0, 0, 0, 25, 0, 0]),
    ("ssh", [0, 4, 0, 0, 0, 0, 0, 1]),
    ("zlint", [2, 0, 0, 0, 0, 0, 0, 0]),
];

#[test]
fn statements_of_the_corpora() {
    let Some(root) = corpora::root("statements_of_the_corpora") else { return };
    let mut census = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(&root).into_iter().flatten().flatten().map(|f| f.path()).collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let mut counts = [0; 8];
        for path in corpora::files(folder) {
            let Ok(bytes) = fs::read(&path) else { continue };
            let opened = open(&bytes, corpora::PASSWORDS, &Limits::default());
            for (slot, kind) in counts.iter_mut().zip(notafter_pki::StatementKind::ALL) {
                *slot +=
                    count(&opened, |content| matches!(content, Content::Statement(s) if s.kind() == kind));
            }
        }
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if counts.iter().any(|count| *count > 0) {
            println!("    (\"{name}\", {counts:?}),");
            census.push((name, counts));
        }
    }
    let census: Vec<_> = census.iter().map(|(name, counts)| (name.as_str(), *counts)).collect();
    assert_eq!(census, STATEMENTS);
}

fn count(opened: &Opened<'_>, of: impl Fn(&Content<'_>) -> bool) -> usize {
    opened.found.iter().filter(|found| of(&found.content)).count()
}

#[test]
fn keys_match_their_certificates() {
    let Some(root) = corpora::root("keys_match_their_certificates") else { return };
    // Files that hold a certificate and its key, plain, by `openssl x509 -pubkey` and `openssl pkey -pubout`.
    let mut matched = 0;
    for path in corpora::files(&root.join("haproxy")) {
        let Ok(bytes) = fs::read(&path) else { continue };
        let opened = open(&bytes, &[], &Limits::default());
        let keys: Vec<_> = opened
            .found
            .iter()
            .filter_map(|found| match &found.content {
                Content::PrivateKey(key) => key.key_id(),
                _ => None,
            })
            .collect();
        let certificates = opened.certificates().filter_map(|der| notafter_pki::Certificate::parse(der).ok());
        matched += certificates.filter(|certificate| keys.contains(&certificate.key_id())).count();
    }
    assert_eq!(matched, HAPROXY_PAIRS);
}

const HAPROXY_PAIRS: usize = 14;
