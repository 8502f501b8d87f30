//! OCSP responses (RFC 6960 section 4.2): what a responder said of which certificates, and until when.
//!
//! Stapled into TLS handshakes and kept as files by servers. The responder's signature is for whoever knows its
//! key: nothing is verified here. Requests are neither read nor made.

use std::borrow::Cow;

use super::{Statement, StatementKind};
use crate::asn1_time;
use crate::container::{Content, Found, Place, Session};
use crate::crl::reason_name;
use crate::der::{Error, Reader, bit_string, tag, unsigned};
use crate::fingerprint::{Fingerprint, hex};
use crate::key::AlgorithmIdentifier;
use crate::name::Name;
use crate::oid;
use crate::time::UnixTime;

/// So many answers of one response are read: real ones have one, Windows' caches some more.
const ANSWERS_MAX: usize = 1000;

/// A successful basic response: spans over its DER.
#[derive(Clone, Copy, Debug)]
pub struct OcspResponse<'a> {
    der: &'a [u8],
    tbs: &'a [u8],
    responder: Responder<'a>,
    produced_at: Option<UnixTime>,
    answers: &'a [u8],
    certificates: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
}

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Responder<'a> {
    /// The DER of its name.
    Name(&'a [u8]),
    /// SHA-1 of its public key.
    KeyHash(&'a [u8]),
}

/// What is said of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Not revoked, as far as the responder knows.
    Good,
    /// Revoked, when, and the reason code.
    Revoked(Option<UnixTime>, Option<u8>),
    /// The responder does not know it.
    Unknown,
}

/// The answer about one certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    /// The digest both hashes are made with, as an identifier's contents octets.
    pub digest: &'a [u8],
    /// Digest of the issuer's name.
    pub issuer_name_hash: &'a [u8],
    /// Digest of the issuer's key.
    pub issuer_key_hash: &'a [u8],
    /// Contents octets of the serial number.
    pub serial: &'a [u8],
    /// The answer.
    pub status: Status,
    /// As of when.
    pub this_update: Option<UnixTime>,
    /// Until when; `None` where newer information is always available.
    pub next_update: Option<UnixTime>,
}

impl<'a> OcspResponse<'a> {
    /// Walks the response at the start of these bytes.
    ///
    /// # Errors
    /// Where it is no successful response of the basic type.
    pub fn parse(input: &'a [u8]) -> Result<Self, Error> {
        let whole = Reader::new(input).expect(tag::SEQUENCE)?;
        let mut outer = whole.reader();
        if outer.expect(tag::ENUMERATED)?.value != [0] {
            return Err(Error::UnexpectedTag);
        }
        let mut bytes = outer.expect(tag::context(0))?.reader().sequence()?;
        if bytes.expect(tag::OID)?.value != oid::OCSP_BASIC {
            return Err(Error::UnexpectedTag);
        }
        let basic = bytes.expect(tag::OCTET_STRING)?.value;
        let mut parts = Reader::new(basic).sequence()?;
        let tbs = parts.expect(tag::SEQUENCE)?;
        let mut fields = tbs.reader();
        fields.optional(tag::context(0));
        let by = fields.read()?;
        let responder = match by.tag {
            tag if tag == tag::context(1) => Responder::Name(by.value),
            tag if tag == tag::context(2) => Responder::KeyHash(by.reader().expect(tag::OCTET_STRING)?.value),
            _ => return Err(Error::UnexpectedTag),
        };
        let produced_at = asn1_time::read(&fields.expect(tag::GENERALIZED_TIME)?).map(|at| at.time);
        let answers = fields.expect(tag::SEQUENCE)?.value;
        let algorithm = AlgorithmIdentifier::read(&parts.expect(tag::SEQUENCE)?);
        let signature = parts.optional(tag::BIT_STRING).map_or(&[][..], |bits| bit_string(bits.value));
        let certificates = parts
            .optional(tag::context(0))
            .and_then(|wrapped| wrapped.reader().optional(tag::SEQUENCE))
            .map_or(&[][..], |list| list.value);
        Ok(Self {
            der: whole.raw,
            tbs: tbs.raw,
            responder,
            produced_at,
            answers,
            certificates,
            algorithm,
            signature,
        })
    }

    /// The DER of the response.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The DER of the ResponseData: what is signed.
    pub fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.der)
    }

    /// Who answered.
    pub fn responder(&self) -> Responder<'a> {
        self.responder
    }

    /// When it was signed.
    pub fn produced_at(&self) -> Option<UnixTime> {
        self.produced_at
    }

    /// The algorithm of the signature.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifier<'a> {
        self.algorithm
    }

    /// The octets of the signature.
    pub fn signature(&self) -> &'a [u8] {
        self.signature
    }

    /// The answers in their order.
    pub fn answers(&self) -> impl Iterator<Item = Answer<'a>> + use<'a> {
        Reader::new(self.answers).take(ANSWERS_MAX).filter_map(|answer| answer_of(answer.reader()))
    }

    /// DER of the certificates sent along: the responder's, as a rule.
    pub fn certificates(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Reader::new(self.certificates).filter(|der| der.tag == tag::SEQUENCE).map(|der| der.raw).take(16)
    }

    /// What each answer states.
    pub fn statements(&self) -> impl Iterator<Item = Statement> + use<'a> {
        let response = *self;
        self.answers().map(move |answer| response.statement(&answer))
    }

    fn statement(&self, answer: &Answer<'_>) -> Statement {
        let serial = hex(answer.serial);
        let (word, revoked, reason) = match answer.status {
            Status::Good => ("good", None, None),
            Status::Revoked(at, reason) => ("revoked", at, reason),
            Status::Unknown => ("unknown", None, None),
        };
        let by = match self.responder {
            Responder::Name(der) => Name::new(der).to_rfc4514(),
            Responder::KeyHash(hash) => format!("key {}", hex(hash)),
        };
        Statement::new(StatementKind::OcspResponse, format!("OCSP for serial {serial}"))
            .issuer(by)
            .dated(answer.this_update, answer.next_update)
            .fact("serial", serial)
            .fact("status", word)
            .fact("issuer_name_hash", hex(answer.issuer_name_hash))
            .fact("issuer_key_hash", hex(answer.issuer_key_hash))
            .fact("digest", oid::dotted(answer.digest))
            .fact_time("produced_at", self.produced_at)
            .fact_time("revoked_at", revoked)
            .fact_if("reason", reason.map(reason_name))
            .fact("signature", self.algorithm.signature_name())
            .fact("response", self.fingerprint().to_string())
    }
}

fn answer_of(mut fields: Reader<'_>) -> Option<Answer<'_>> {
    let mut id = fields.sequence().ok()?;
    let digest = AlgorithmIdentifier::read(&id.expect(tag::SEQUENCE).ok()?).oid;
    let issuer_name_hash = id.expect(tag::OCTET_STRING).ok()?.value;
    let issuer_key_hash = id.expect(tag::OCTET_STRING).ok()?.value;
    let serial = id.expect(tag::INTEGER).ok()?.value;
    let status = fields.read().ok()?;
    let time = |mut at: Reader<'_>| Some(asn1_time::read(&at.read().ok()?)?.time);
    let status = match status.tag & 0x1f {
        0 => Status::Good,
        1 => {
            let mut inner = status.reader();
            let at = time(inner);
            let _ = inner.read();
            let reason = inner
                .optional(tag::context(0))
                .and_then(|code| code.reader().optional(tag::ENUMERATED))
                .and_then(|code| u8::try_from(unsigned(code.value)?).ok());
            Status::Revoked(at, reason)
        }
        _ => Status::Unknown,
    };
    let this_update = time(fields);
    fields.read().ok()?;
    let next_update = fields.optional(tag::context(0)).and_then(|wrapped| time(wrapped.reader()));
    Some(Answer { digest, issuer_name_hash, issuer_key_hash, serial, status, this_update, next_update })
}

/// Keeps what a response in a file holds; gives whether it was one.
pub(crate) fn open<'a>(bytes: &'a [u8], place: &Place, session: &mut Session, found: &mut Vec<Found<'a>>) {
    let Ok(response) = OcspResponse::parse(bytes) else { return };
    let single = response.answers().nth(1).is_none();
    for (n, statement) in response.statements().enumerate() {
        let place = if single { place.clone() } else { place.numbered(n + 1) };
        session.keep(found, Content::Statement(statement), place);
    }
    for (n, der) in response.certificates().enumerate() {
        session.keep(
            found,
            Content::Certificate(Cow::Borrowed(der)),
            place.named("responder").numbered(n + 1),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    fn response(status: &[u8], next: bool) -> Vec<u8> {
        let id = [
            encode(tag::SEQUENCE, &encode(tag::OID, oid::SHA1)),
            encode(tag::OCTET_STRING, &[1; 20]),
            encode(tag::OCTET_STRING, &[2; 20]),
            encode(tag::INTEGER, &[0x0a, 0xbc]),
        ]
        .concat();
        let mut single =
            [encode(tag::SEQUENCE, &id), status.to_vec(), encode(tag::GENERALIZED_TIME, b"20260101000000Z")]
                .concat();
        if next {
            single.extend(encode(tag::context(0), &encode(tag::GENERALIZED_TIME, b"20260108000000Z")));
        }
        let data = [
            encode(tag::context(2), &encode(tag::OCTET_STRING, &[3; 20])),
            encode(tag::GENERALIZED_TIME, b"20260101000001Z"),
            encode(tag::SEQUENCE, &encode(tag::SEQUENCE, &single)),
        ]
        .concat();
        let basic = [
            encode(tag::SEQUENCE, &data),
            encode(tag::SEQUENCE, &encode(tag::OID, oid::SHA256_RSA)),
            encode(tag::BIT_STRING, &[0, 1]),
        ]
        .concat();
        let bytes =
            [encode(tag::OID, oid::OCSP_BASIC), encode(tag::OCTET_STRING, &encode(tag::SEQUENCE, &basic))];
        let wrapped = encode(tag::context(0), &encode(tag::SEQUENCE, &bytes.concat()));
        encode(tag::SEQUENCE, &[encode(tag::ENUMERATED, &[0]), wrapped].concat())
    }

    fn check(der: &[u8], status: &str, until: Option<&str>) {
        let opened = crate::container::open(der, &[], &crate::container::Limits::default());
        let [one] = opened.found.as_slice() else { panic!("one statement: {opened:?}") };
        let Content::Statement(statement) = &one.content else { panic!("a statement") };
        assert_eq!(statement.fact_of("status"), Some(status));
        assert_eq!(statement.fact_of("serial"), Some("0abc"));
        assert_eq!(statement.not_after().map(|time| time.to_string()).as_deref(), until);
        assert_eq!(one.place.to_string(), "");
    }

    #[test]
    fn answers() {
        check(&response(&[0x80, 0], true), "good", Some("2026-01-08T00:00:00Z"));
        check(&response(&[0x82, 0], false), "unknown", None);
        let revoked = [
            encode(tag::GENERALIZED_TIME, b"20251201000000Z"),
            encode(tag::context(0), &encode(tag::ENUMERATED, &[1])),
        ];
        let der = response(&encode(tag::context(1), &revoked.concat()), true);
        check(&der, "revoked", Some("2026-01-08T00:00:00Z"));
        let statement = OcspResponse::parse(&der).ok().and_then(|r| r.statements().next()).expect("one");
        assert_eq!(statement.fact_of("reason"), Some("keyCompromise"));
        // "Try later" states nothing.
        assert!(OcspResponse::parse(&[0x30, 3, 0x0a, 1, 3]).is_err());
        for end in 0..der.len() {
            assert!(OcspResponse::parse(der.get(..end).unwrap_or(&[])).is_err());
        }
    }
}
