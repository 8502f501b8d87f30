//! Input made to hurt the readers of statements: any octets, mutations of the real thing, and bombs.

use std::time::{Duration, Instant};

use notafter_pki::Statement;
use notafter_pki::container::{Content, Limits, open};
use notafter_pki::statement::{authenticode, cms, ocsp::OcspResponse, openpgp, saml::Metadata, ssh};
use proptest::prelude::*;

use super::tools::{corpus, files};

/// Reads everything there is to read; whatever is stated must be bounded, and come back from its octets.
fn exhaust(bytes: &[u8]) {
    for found in open(bytes, &[], &Limits::default()).found {
        assert!(!found.place.as_str().contains(['\n', ' ']));
        if let Content::Statement(statement) = found.content {
            assert_eq!(Statement::parse(&statement.to_bytes()), Some(statement));
        }
    }
    let _ = Statement::parse(bytes);
    let _ = OcspResponse::parse(bytes).map(|response| response.statements().count());
    let _ = ssh::SshCertificate::parse(bytes).map(|certificate| certificate.statement());
    openpgp::keys(bytes).iter().for_each(|key| drop((key.statement(), key.subkey_statements().count())));
    let _ = (cms::jar_signature(bytes), cms::certificates(bytes), authenticode::table(bytes));
    let mut metadata = Metadata::new();
    let mut half = bytes.chunks(bytes.len() / 2 + 1);
    let _ = half.try_for_each(|chunk| metadata.push(chunk, |_| {}));
}

const SECONDS: Duration = Duration::from_secs(20);

fn check(what: &str, limit: Duration, bytes: &[u8]) {
    let start = Instant::now();
    exhaust(bytes);
    let took = start.elapsed();
    assert!(took < limit, "{what}: took {took:?}, allowed {limit:?}");
}

#[test]
fn f45_bombs() {
    let metadata = "<EntityDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata' entityID='a'>";
    let lol = format!("<!DOCTYPE EntityDescriptor [<!ENTITY a '{}'>]>{metadata}", "&a;".repeat(1000));
    check("entities", SECONDS, lol.as_bytes());
    check("depth", SECONDS, format!("{metadata}{}", "<x>".repeat(1_000_000)).as_bytes());
    check("attributes", SECONDS, format!("{metadata}<x{}>", " a='b'".repeat(1_000_000)).as_bytes());
    let names = (0..100_000).map(|n| format!(" xmlns:n{n}='u'")).collect::<String>();
    check("namespaces", SECONDS, format!("{metadata}<x{names}/>").as_bytes());
    check("empty elements", SECONDS, format!("{metadata}{}", "<x/>".repeat(2_000_000)).as_bytes());
    check("deep JSON", SECONDS, format!("{}\"kty\"", "[".repeat(4_000_000)).as_bytes());
    let log = format!("[{}0]", r#"{"key_id":"a","expires_at":"2027-01-01"},"#.repeat(1_000_000));
    assert_eq!(open(log.as_bytes(), &[], &Limits::default()).found, []);
    let keys = format!("[{}0]", r#"{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"},"#.repeat(100_000));
    check("keys", SECONDS, keys.as_bytes());
}

#[test]
fn markers_by_the_million_are_linear() {
    for filler in [
        "eyJhbGci",
        "\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6.",
        "ZXlKaGJHY2lPaUpI",
        "ssh-rsa-cert-v01@openssh.com AAAA ",
        "\n@cert-authority * ssh-rsa AAAA",
        "SIG # Begin signature block\n",
        "BEGIN:VCARD\nKEY:AAAA\n",
        "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\nAAAA\n",
        "application/pkcs7-",
        "Valid-Until: ",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
        "BEGIN:VCARD\n ",
    ] {
        check(filler, SECONDS, filler.repeat(4_000_000 / filler.len()).as_bytes());
    }
}

#[test]
fn keyrings_made_to_cost() {
    // A key, a huge user id and a million signatures that all claim to be its own.
    let key = [&[0x99, 0, 40, 4, 0x60, 0, 0, 0, 1, 1, 0][..], &[0xab; 32], &[0]].concat();
    let id = [&[0xcd, 255, 0, 0x10, 0, 0][..], &vec![b'a'; 1 << 20]].concat();
    let signature = [0x88, 14, 4, 0x13, 1, 8, 0, 6, 5, 2, 0x60, 0, 0, 0, 0, 0];
    let bomb = [&key[..], &id, &signature.repeat(500_000)].concat();
    check("signatures", Duration::from_secs(60), &bomb);
    check("keys", Duration::from_secs(60), &key.repeat(200_000));
    let box_header = [0, 0, 0, 32, 1, 1, 0, 2, b'K', b'B', b'X', b'f'];
    check("blobs", SECONDS, &[&box_header[..], &[0; 20], &[0, 0, 0, 5, 2].repeat(1_000_000)].concat());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any octets, behind the beginnings of every format.
    #[test]
    fn any_octets_never_panic(
        start in prop::sample::select(vec![
            &b""[..], b"\x30\x82\x01\x00\x0a\x01\x00\xa0\x82\x00\xf0\x30\x82", b"\x99\x01\x00\x04\x60\x00\x00\x00\x01",
            b"\xc6\x40\x06\x60\x00\x00\x00\x1b", b"\x00\x00\x00\x20\x01\x01\x00\x02KBXf", b"MZ",
            b"<EntityDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata'>", b"{\"kty\":", b"{\"endDateTime\":",
            b"eyJhbGciOiJIUzI1NiJ9.", b"ssh-ed25519-cert-v01@openssh.com AAAA", b"@cert-authority * ssh-rsa AAAA",
            b"# SIG # Begin signature block\r\n# MII", b"BEGIN:VCARD\nKEY:", b"Content-Type: application/pkcs7-mime\n",
            b"Suite: x\nDate: Sat, 01 Nov 2025 10:00:00 UTC\nValid-Until: ", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n",
            b"notafter-statement 1\nkind token\n", b"{\"signed\":{\"_type\":\"root\",\"expires\":\"",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        exhaust(&[start, &rest].concat());
    }

    /// Any text is kept as it is, and comes back.
    #[test]
    fn any_statement_comes_back(
        title in ".{0,40}", key in ".{0,10}", value in any::<String>(), name in any::<String>(),
        from in any::<Option<i64>>(),
    ) {
        let time = from.map(notafter_pki::UnixTime);
        let statement = Statement::new(notafter_pki::StatementKind::Secret, &title)
            .name(&name).issuer(&value).dated(time, time).fact(&key, &value).fact("b", &name);
        prop_assert_eq!(Statement::parse(&statement.to_bytes()), Some(statement));
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

/// The corpora with some octets changed, and perhaps the end cut off.
#[test]
fn mutated_files_never_panic() {
    let mut random = noise();
    let rounds = std::env::var("NOTAFTER_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    for folder in ["openpgp", "ssh", "saml"] {
        let Some(root) = corpus("mutated_files_never_panic", folder) else { return };
        for path in files(&root) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            for _ in 0..if bytes.len() > 200_000 { 1 } else { rounds } {
                let mut bytes = bytes.clone();
                for _ in 0..random() % 6 {
                    let at = random() % bytes.len().max(1);
                    let octet = random() as u8;
                    if let Some(slot) = bytes.get_mut(at) {
                        *slot = octet;
                    }
                }
                if random().is_multiple_of(4) {
                    bytes.truncate(random() % bytes.len().max(1));
                }
                exhaust(&bytes);
            }
        }
    }
}
