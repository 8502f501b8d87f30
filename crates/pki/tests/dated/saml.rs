//! SAML metadata of the corpus, against every certificate and date that stands in them as plain text.

use std::fs;

use notafter_pki::StatementKind;
use notafter_pki::container::{Content, Format};

use super::tools::{corpus, files, opened, statements};

/// Documents in which something cannot be read, and why.
const REFUSED: &[(&str, &str)] = &[
    ("metadata/unparsed_metadata.xml", "an end tag closes what was not opened"),
    ("metadata/corrupted-metadata-selfsigned.xml", "a start tag has lost a letter"),
];

#[test]
fn the_corpus() {
    let Some(root) = corpus("the_corpus", "saml") else { return };
    let (mut documents, mut whole, mut certificates, mut dates) = (0, 0, 0, 0);
    for path in files(&root) {
        let bytes = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let name = path.strip_prefix(&root).expect("below").display().to_string();
        let found = opened(&bytes);
        if found.format != Format::Saml {
            continue;
        }
        documents += 1;
        if found.problems.is_empty() {
            whole += 1;
        } else {
            let known = REFUSED.iter().find(|(known, _)| name.ends_with(known));
            let (_, why) = known.unwrap_or_else(|| panic!("{name}: {:?}", found.problems));
            println!("saml: {name}: {why}");
        }
        let places: Vec<_> = found
            .found
            .iter()
            .filter(|one| matches!(one.content, Content::Certificate(_)))
            .map(|one| one.place.to_string())
            .collect();
        // Every filled element, whatever its prefix.
        let filled = text.split("X509Certificate>").skip(1).step_by(2).filter(|text| text.len() > 40).count();
        let unread = found.problems.iter().filter(|one| one.detail.starts_with("a certificate")).count();
        assert_eq!(places.len() + unread, filled, "{name}: {places:?}");
        let mut unique = places.clone();
        unique.dedup();
        assert_eq!(unique.len(), places.len(), "{name}: a place is said twice");
        let stated = statements(&bytes, StatementKind::SignedMetadata);
        // Those of an entity stand also for its keys, with a date or without.
        let dated = stated.iter().filter(|(_, statement)| statement.not_after().is_some()).count();
        assert_eq!(dated, text.matches("validUntil=").count(), "{name}");
        certificates += places.len();
        dates += dated;
    }
    println!("saml: {whole} of {documents} documents whole, {certificates} certificates, {dates} dates");
    assert!(documents > 0);
}

#[test]
fn an_aggregate_of_a_hundred_megabytes_is_streamed() {
    use notafter_pki::statement::saml::Metadata;
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
    let der = parameters.self_signed(&key).expect("a certificate").der().to_vec();
    let certificate = notafter_pki::container::base64::encode(&der);
    let entity = format!(
        "<md:EntityDescriptor entityID='https://a.example/x'><md:IDPSSODescriptor><md:KeyDescriptor use='signing'>\
         <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\
         </md:KeyDescriptor></md:IDPSSODescriptor><md:Extensions>{}</md:Extensions></md:EntityDescriptor>\n",
        "<x>some text of no interest</x>".repeat(100)
    );
    let mut metadata = Metadata::new();
    let (mut octets, mut entities, mut found) = (0, 0, 0);
    let start = std::time::Instant::now();
    let head = "<md:EntitiesDescriptor xmlns:md='urn:oasis:names:tc:SAML:2.0:metadata' \
                xmlns:ds='http://www.w3.org/2000/09/xmldsig#' validUntil='2030-01-01T00:00:00Z'>";
    metadata.push(head.as_bytes(), |_| found += 1).expect("a beginning");
    while octets < 100 << 20 {
        metadata.push(entity.as_bytes(), |_| found += 1).expect("an entity");
        octets += entity.len();
        entities += 1;
    }
    metadata.push(b"</md:EntitiesDescriptor>", |_| found += 1).expect("an end");
    assert_eq!(metadata.finish(|_| {}), Ok(Vec::new()));
    // A certificate and what the entity states, and the date of the whole.
    assert_eq!(found, 2 * entities + 1);
    let took = start.elapsed();
    println!("saml: {} MB and {entities} entities in {took:?}", octets >> 20);
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
}
