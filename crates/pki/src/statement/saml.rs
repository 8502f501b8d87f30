//! SAML 2.0 metadata (saml-metadata-2.0-os): the keys of identity and service providers, and until when the
//! document itself may be used.
//!
//! Read in chunks, so that a federation's aggregate of 100 MB costs little memory: [`Metadata`] for a stream,
//! `container::open` for a file. Certificates come with a place that names entity, role and use; `validUntil`
//! becomes a statement. Signatures are not verified, and messages (responses, requests) are none of its business.

use std::borrow::Cow;

use super::xml::{Event, Tag, Xml, XmlError};
use super::{Statement, StatementKind, read_rfc3339};
use crate::certificate::Certificate;
use crate::container::base64;
use crate::container::{Content, Found, Place, Problem, Reason, Session};
use crate::fingerprint::{hex, sha256};
use crate::salvage::salvage;

/// The namespace of metadata; also what makes a file worth reading.
pub(crate) const NAMESPACE: &[u8] = b"urn:oasis:names:tc:SAML:2.0:metadata";
/// Who published them and when (saml-metadata-rpi-v1.0, section 2.2).
const PUBLISHED: &[u8] = b"urn:oasis:names:tc:SAML:metadata:rpi";
const SIGNATURES: &[u8] = b"http://www.w3.org/2000/09/xmldsig#";

/// No certificate is longer, in octets of base64.
const CERTIFICATE_MAX: usize = 128 << 10;
/// Certificates of one entity that its digest covers.
const KEYS_MAX: usize = 1000;
/// Problems told of one document.
const PROBLEMS_MAX: usize = 100;

/// What an open element is to us.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Level {
    Entities,
    Entity,
    Role(&'static str),
    Key(&'static str),
    Signature,
    Certificate,
    Other,
}

/// Reads metadata as they come in.
#[derive(Debug, Default)]
pub struct Metadata {
    xml: Xml,
    walk: Walk,
}

#[derive(Debug, Default)]
struct Walk {
    levels: Vec<Level>,
    entity: String,
    /// What is said of the entity at its end, when its keys are known.
    stated: Option<Statement>,
    /// What is said of several entities, until it is known when that was published.
    group: Option<Statement>,
    /// SHA-256 of the certificates of its roles.
    keys: Vec<[u8; 32]>,
    /// How many certificates of each label the entity has had.
    counts: Vec<(String, usize)>,
    text: Vec<u8>,
    problems: Vec<Problem>,
}

impl Metadata {
    /// At the beginning of a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on; `put` is given what is found.
    ///
    /// # Errors
    /// Where the document is refused; what was found before stays found.
    pub fn push(&mut self, chunk: &[u8], mut put: impl FnMut(Found<'static>)) -> Result<(), XmlError> {
        let walk = &mut self.walk;
        let read = self.xml.push(chunk, |event| walk.on(event, &mut put));
        if read.is_err() {
            // What was said of the entity that breaks off here was said all the same.
            walk.end_of_head(&mut put);
            walk.end_of_entity(&mut put);
        }
        read
    }

    /// Ends the document and gives what in it could not be read.
    ///
    /// # Errors
    /// Where it breaks off.
    pub fn finish(self, mut put: impl FnMut(Found<'static>)) -> Result<Vec<Problem>, XmlError> {
        let Self { xml, mut walk } = self;
        match xml.finish() {
            Ok(()) => Ok(walk.problems),
            Err(error) => {
                walk.end_of_head(&mut put);
                walk.end_of_entity(&mut put);
                Err(error)
            }
        }
    }
}

impl Walk {
    fn on(&mut self, event: Event<'_>, put: &mut impl FnMut(Found<'static>)) {
        match event {
            Event::Start(tag) => {
                let level = self.level(&tag);
                match level {
                    Level::Entity => {
                        self.end_of_head(put);
                        self.entity = tag.attribute(b"entityID").unwrap_or_default();
                        self.counts.clear();
                        self.keys.clear();
                        self.stated = Some(self.statement(&tag, "entity"));
                    }
                    Level::Entities => {
                        self.end_of_head(put);
                        let statement = self.statement(&tag, "entities");
                        self.group = Some(statement).filter(|said| said.not_after().is_some());
                    }
                    Level::Certificate => self.text.clear(),
                    Level::Other if tag.namespace == PUBLISHED && tag.local == b"PublicationInfo" => {
                        self.published(&tag);
                    }
                    _ => {}
                }
                self.levels.push(level);
            }
            Event::Text(text) => {
                if self.levels.last() == Some(&Level::Certificate) && self.text.len() <= CERTIFICATE_MAX {
                    self.text.extend_from_slice(text);
                }
            }
            Event::End => match self.levels.pop() {
                Some(Level::Certificate) => self.certificate(put),
                Some(Level::Entity) => self.end_of_entity(put),
                Some(Level::Entities) => self.end_of_head(put),
                _ => {}
            },
        }
    }

    fn level(&self, tag: &Tag<'_>) -> Level {
        if tag.namespace == SIGNATURES {
            return match tag.local {
                b"Signature" => Level::Signature,
                b"X509Certificate" => Level::Certificate,
                _ => Level::Other,
            };
        }
        if tag.namespace != NAMESPACE {
            return Level::Other;
        }
        match tag.local {
            b"EntitiesDescriptor" => Level::Entities,
            b"EntityDescriptor" => Level::Entity,
            b"IDPSSODescriptor" => Level::Role("idp"),
            b"SPSSODescriptor" => Level::Role("sp"),
            b"AttributeAuthorityDescriptor" => Level::Role("attribute-authority"),
            b"AuthnAuthorityDescriptor" => Level::Role("authn-authority"),
            b"PDPDescriptor" => Level::Role("pdp"),
            b"RoleDescriptor" => Level::Role("role"),
            b"KeyDescriptor" => Level::Key(match tag.attribute(b"use").as_deref() {
                Some("signing") => "signing",
                Some("encryption") => "encryption",
                // Without a word it is for both (section 2.4.1.1).
                _ => "any",
            }),
            _ => Level::Other,
        }
    }

    /// What an element says of itself, and until when it may be used.
    fn statement(&mut self, tag: &Tag<'_>, what: &str) -> Statement {
        let written = tag.attribute(b"validUntil");
        let until = written.as_deref().and_then(read_rfc3339);
        if let Some(written) = written.filter(|_| until.is_none()) {
            self.problem(format!("a validUntil that is no date: {}", crate::name::printable(&written)));
        }
        let name = tag.attribute(if what == "entity" { b"entityID" } else { b"Name" }).unwrap_or_default();
        let title =
            if name.is_empty() { "SAML metadata".to_owned() } else { format!("SAML metadata of {name}") };
        Statement::new(StatementKind::SignedMetadata, title)
            .name(&name)
            .dated(None, until)
            .fact("format", "saml")
            .fact("element", what)
            .fact_if("id", tag.attribute(b"ID"))
            .fact_if("cache_duration", tag.attribute(b"cacheDuration"))
    }

    /// What may be believed until a date has a beginning where it says when it was made. What has no end needs none, and
    /// stays the same thing however often it is published.
    fn published(&mut self, tag: &Tag<'_>) {
        let made = tag.attribute(b"creationInstant").as_deref().and_then(read_rfc3339);
        let of_entity = self.levels.iter().rev().find(|l| matches!(l, Level::Entity | Level::Entities));
        let said = if of_entity == Some(&Level::Entity) { &mut self.stated } else { &mut self.group };
        let Some(statement) = said.take() else { return };
        let until = statement.not_after();
        *said = Some(match made.filter(|made| until.is_some_and(|until| *made < until)) {
            Some(made) => statement.dated(Some(made), until),
            None => statement,
        });
    }

    /// Puts what was said of several entities, when what stands before them was read.
    fn end_of_head(&mut self, put: &mut impl FnMut(Found<'static>)) {
        if let Some(statement) = self.group.take() {
            put(Found { content: Content::Statement(statement), place: Place::whole() });
        }
    }

    /// Puts what was said of an entity, with a digest of its keys: other keys are other metadata. An entity without
    /// keys and dates has nothing that could end.
    fn end_of_entity(&mut self, put: &mut impl FnMut(Found<'static>)) {
        self.entity.clear();
        self.keys.sort_unstable();
        self.keys.dedup();
        let Some(statement) = self.stated.take() else { return };
        if self.keys.is_empty() && statement.not_after().is_none() {
            return;
        }
        let statement = statement
            .fact("keys", self.keys.len().to_string())
            .fact("keys_sha256", hex(&sha256(&self.keys.concat())));
        let place = Place::whole();
        let place = match statement.names().first() {
            Some(name) => place.named(name),
            None => place,
        };
        put(Found { content: Content::Statement(statement), place });
    }

    fn problem(&mut self, detail: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { reason: Reason::Malformed, detail });
        }
    }

    fn certificate(&mut self, put: &mut impl FnMut(Found<'static>)) {
        let text = std::mem::take(&mut self.text);
        let label = self.label();
        let number = match self.counts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.push((label.clone(), 1));
                1
            }
        };
        if text.trim_ascii().is_empty() {
            return;
        }
        let mut der = decoded(&text);
        match Certificate::parse(&der).map(|certificate| certificate.der().len()) {
            Ok(length) => der.truncate(length),
            Err(_) if text.len() <= CERTIFICATE_MAX && !salvage(&der).is_empty() => {}
            Err(malformed) => {
                let entity = crate::name::printable(&self.entity);
                return self.problem(format!("a certificate of {entity:?} does not parse: {malformed}"));
            }
        }
        let mut place = Place::whole();
        if !self.entity.is_empty() {
            place = place.named(&self.entity);
        }
        if label.contains('/') && self.keys.len() < KEYS_MAX {
            self.keys.push(sha256(&der));
        }
        for part in label.split('/') {
            place = place.named(part);
        }
        put(Found { content: Content::Certificate(Cow::Owned(der)), place: place.numbered(number) });
    }

    /// What the certificate is for: `idp/signing`, `signature`, `other`.
    fn label(&self) -> String {
        let mut role = "";
        let mut label = None;
        for level in &self.levels {
            match level {
                Level::Role(name) => role = name,
                Level::Key(usage) => label = Some(*usage),
                Level::Signature => label = Some("signature"),
                _ => {}
            }
        }
        match (role, label.unwrap_or("other")) {
            ("", label) => label.to_owned(),
            (role, label) => format!("{role}/{label}"),
        }
    }
}

/// The octets of a certificate. Some paste the armour along, or encode all of it once more.
fn decoded(text: &[u8]) -> Vec<u8> {
    let within = |text: &[u8]| {
        let start = memchr::memmem::find(text, b"CERTIFICATE-----")? + 16;
        let body = text.get(start..)?;
        Some(base64::decode(body.get(..memchr::memmem::find(body, b"-----").unwrap_or(body.len()))?))
    };
    within(text).unwrap_or_else(|| {
        let once = base64::decode(text);
        within(&once).unwrap_or(once)
    })
}

/// Whether a document is metadata, by its root: `None` for anything else.
fn probe(bytes: &[u8]) -> Option<Result<(), XmlError>> {
    let start = bytes.get(..bytes.len().min(64 << 10))?;
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if start.first() != Some(&b'<') || memchr::memmem::find(bytes, NAMESPACE).is_none() {
        return None;
    }
    let mut root = None;
    let read = Xml::new().push(start, |event| {
        if let Event::Start(tag) = event {
            let is_ours = tag.namespace == NAMESPACE
                && matches!(tag.local, b"EntityDescriptor" | b"EntitiesDescriptor");
            root.get_or_insert(is_ours);
        }
    });
    match (root, read) {
        (Some(true), _) => Some(Ok(())),
        // A schema or a web page about SAML has a document type, too, but no such element.
        (None, Err(XmlError::DocumentType)) => has_root(start).then_some(Err(XmlError::DocumentType)),
        _ => None,
    }
}

/// Whether a start tag of metadata stands anywhere in these octets.
fn has_root(text: &[u8]) -> bool {
    [&b"EntityDescriptor"[..], b"EntitiesDescriptor"].iter().any(|name| {
        memchr::memmem::find_iter(text, name).any(|at| {
            let before = text.get(..at).unwrap_or(&[]);
            let prefix = before.iter().rev().take(32);
            let length = prefix.take_while(|octet| octet.is_ascii_alphanumeric() || **octet == b':').count();
            before.get(..at - length).unwrap_or(&[]).ends_with(b"<")
        })
    })
}

/// Opens a file that is metadata; `None` for any other, and for those refused from the start. Also says whether it
/// was read to its end: where not, more certificates may be found by other means.
pub(crate) fn open(bytes: &[u8], session: &mut Session) -> Option<(Vec<Found<'static>>, bool)> {
    let mut found = Vec::new();
    let refused = |session: &mut Session, error: XmlError| {
        let reason = match error {
            XmlError::DocumentType => Reason::UnsupportedFormat,
            XmlError::Malformed => Reason::Malformed,
            XmlError::TooLarge => Reason::TooLarge,
        };
        session.problem(reason, format!("SAML metadata: {error}"));
    };
    if let Err(error) = probe(bytes)? {
        refused(session, error);
        return None;
    }
    let mut metadata = Metadata::new();
    let read = metadata
        .push(bytes, |one| session.keep(&mut found, one.content, one.place))
        .and_then(|()| metadata.finish(|one| session.keep(&mut found, one.content, one.place)));
    let whole = read.is_ok();
    match read {
        Ok(problems) => problems.into_iter().for_each(|one| session.problem(one.reason, one.detail)),
        Err(error) => refused(session, error),
    }
    Some((found, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open as open_any};

    fn certificate() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn document(inner: &str) -> String {
        let certificate = base64::encode(&certificate());
        inner
            .replace("ENTITIES", "md:EntitiesDescriptor xmlns:md='urn:oasis:names:tc:SAML:2.0:metadata' xmlns:ds='http://www.w3.org/2000/09/xmldsig#'")
            .replace("ENTITY", "EntityDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata' xmlns:ds='http://www.w3.org/2000/09/xmldsig#'")
            .replace("KEYINFO", &format!("<ds:X509Data><ds:X509Certificate>\n{certificate}\n</ds:X509Certificate></ds:X509Data>"))
    }

    fn check(text: &str, places: &[&str], problems: usize) {
        let whole = document(text);
        let opened = open_any(whole.as_bytes(), &[], &Limits::default());
        let found: Vec<_> = opened.found.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(
            (found.iter().map(String::as_str).collect::<Vec<_>>(), opened.problems.len()),
            (places.to_vec(), problems),
            "{text}: {:?}",
            opened.problems
        );
    }

    #[test]
    fn places_and_dates() {
        check(
            "<ENTITY entityID='https://idp/x' validUntil='2030-01-01T00:00:00Z'><ds:Signature>KEYINFO</ds:Signature>\
             <IDPSSODescriptor><KeyDescriptor use='signing'>KEYINFO</KeyDescriptor><KeyDescriptor use='signing'>KEYINFO\
             </KeyDescriptor><KeyDescriptor>KEYINFO</KeyDescriptor></IDPSSODescriptor><SPSSODescriptor><KeyDescriptor \
             use='encryption'>KEYINFO</KeyDescriptor></SPSSODescriptor></EntityDescriptor>",
            &[
                "#https%3A%2F%2Fidp%2Fx/signature/1",
                "#https%3A%2F%2Fidp%2Fx/idp/signing/1",
                "#https%3A%2F%2Fidp%2Fx/idp/signing/2",
                "#https%3A%2F%2Fidp%2Fx/idp/any/1",
                "#https%3A%2F%2Fidp%2Fx/sp/encryption/1",
                "#https%3A%2F%2Fidp%2Fx",
            ],
            0,
        );
        check(
            "<?xml version='1.0'?><!-- x --><ENTITIES Name='f' validUntil='2030-01-01T00:00:00Z'>\
             <md:EntityDescriptor entityID='a'><md:SPSSODescriptor><md:KeyDescriptor>KEYINFO</md:KeyDescriptor>\
             </md:SPSSODescriptor></md:EntityDescriptor></md:EntitiesDescriptor>",
            &["", "#a/sp/any/1", "#a"],
            0,
        );
        check("<ENTITY entityID='a' validUntil='soon'/>", &[], 1);
        let armour = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            base64::encode(&certificate())
        );
        for text in [&armour, &base64::encode(armour.as_bytes())] {
            check(
                &format!(
                    "<ENTITY entityID='a'><ds:X509Certificate>{text}</ds:X509Certificate></EntityDescriptor>"
                ),
                &["#a/other/1"],
                0,
            );
        }
        check(
            "<ENTITY entityID='a'><SPSSODescriptor><KeyDescriptor><ds:X509Certificate>MIIx</ds:X509Certificate>\
             </KeyDescriptor></SPSSODescriptor></EntityDescriptor>",
            &[],
            1,
        );
    }

    #[test]
    fn when_it_was_published() {
        let made = |head: &str, made: &str| {
            let rpi = "xmlns:mdrpi='urn:oasis:names:tc:SAML:metadata:rpi'";
            let text = document(&format!(
                "{head}<md:Extensions><mdrpi:PublicationInfo {rpi} publisher='p' creationInstant='{made}'/></md:Extensions>\
                 <SPSSODescriptor><KeyDescriptor>KEYINFO</KeyDescriptor></SPSSODescriptor></EntityDescriptor>"
            ));
            let mut out = Vec::new();
            let mut metadata = Metadata::new();
            let mut put = |found: Found<'static>| {
                if let Content::Statement(statement) = found.content {
                    out.push((
                        statement.names().join(" "),
                        statement.not_before().map(crate::UnixTime::date),
                    ));
                }
            };
            let _ = metadata.push(text.as_bytes(), &mut put);
            let _ = metadata.finish(&mut put);
            out
        };
        let found = |name: &str, made: Option<&str>| (name.to_owned(), made.map(str::to_owned));
        let dated = "<ENTITY entityID='a' validUntil='2030-01-15T00:00:00Z'>";
        assert_eq!(made(dated, "2030-01-01T00:00:00Z"), [found("a", Some("2030-01-01"))]);
        // Made after its end, or no date: no beginning. Without an end there is none either.
        assert_eq!(made(dated, "2031-01-01T00:00:00Z"), [found("a", None)]);
        assert_eq!(made(dated, "lately"), [found("a", None)]);
        assert_eq!(made("<ENTITY entityID='a'>", "2030-01-01T00:00:00Z"), [found("a", None)]);
        // What stands before the entities is about all of them.
        let rpi = "<mdrpi:PublicationInfo xmlns:mdrpi='urn:oasis:names:tc:SAML:metadata:rpi' creationInstant='2029-12-31T00:00:00Z'/>";
        let group = format!("<ENTITIES Name='f' validUntil='2030-01-15T00:00:00Z'>{rpi}{dated}");
        let all = made(&group, "2030-01-01T00:00:00Z");
        assert_eq!(all, [found("f", Some("2029-12-31")), found("a", Some("2030-01-01"))]);
    }

    #[test]
    fn what_is_refused_is_told() {
        check(
            "<!DOCTYPE EntityDescriptor [<!ENTITY a 'b'>]><ENTITY entityID='a'>KEYINFO</EntityDescriptor>",
            &["#1"],
            1,
        );
        check("<!DOCTYPE html><p>urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor</p>", &[], 0);
        check("<ENTITY entityID='a' validUntil='2030-01-01'><SPSSODescriptor>", &["#a"], 1);
        check("<other xmlns='urn:oasis:names:tc:SAML:2.0:metadata'/>", &[], 0);
    }

    #[test]
    fn an_aggregate_is_read_in_chunks() {
        let entity = "<md:EntityDescriptor entityID='a'><md:SPSSODescriptor><md:KeyDescriptor>KEYINFO\
                      </md:KeyDescriptor></md:SPSSODescriptor></md:EntityDescriptor>";
        let text = document(&format!("<ENTITIES>{}</md:EntitiesDescriptor>", entity.repeat(200)));
        for size in [1000, 4096, 1 << 20] {
            let mut metadata = Metadata::new();
            let mut count = 0;
            for chunk in text.as_bytes().chunks(size) {
                let count_one = |found: Found<'static>| {
                    count += usize::from(matches!(found.content, Content::Certificate(_)));
                };
                metadata.push(chunk, count_one).expect("well-formed");
            }
            assert_eq!((metadata.finish(|_| {}).map(|problems| problems.len()), count), (Ok(0), 200));
        }
    }
}
