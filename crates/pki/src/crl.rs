//! Certificate revocation lists (RFC 5280 section 5): when they lapse, and what they revoke.
//!
//! A CRL is an asset with a deadline of its own: past nextUpdate, strict verifiers fail. Entries are
//! iterated, never collected: lists of a million entries are real. Signatures are for `verify.rs`.

use crate::asn1_time;
use crate::certificate::Malformed;
use crate::der::{Error, Reader, bit_string, offset_of, tag, unsigned};
use crate::extension::{Extension, Extensions, authority_key_id};
use crate::fingerprint::Fingerprint;
use crate::key::AlgorithmIdentifier;
use crate::name::Name;
use crate::oid;
use crate::time::UnixTime;

/// A parsed CRL: spans over its DER.
#[derive(Clone, Copy, Debug)]
pub struct Crl<'a> {
    der: &'a [u8],
    tbs: &'a [u8],
    issuer: &'a [u8],
    this_update: Option<UnixTime>,
    next_update: Option<UnixTime>,
    revoked: &'a [u8],
    extensions: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
}

/// One revoked certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revoked<'a> {
    /// Contents octets of its serial number.
    pub serial: &'a [u8],
    /// When it was revoked; `None` where the date cannot be read.
    pub date: Option<UnixTime>,
    /// The reason code (RFC 5280 section 5.3.1), where there is one; see [`reason_name`].
    pub reason: Option<u8>,
}

/// The name of a reason code.
pub fn reason_name(code: u8) -> &'static str {
    match code {
        0 => "unspecified",
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => "unknown",
    }
}

impl<'a> Crl<'a> {
    /// Walks the CRL at the start of these bytes.
    ///
    /// # Errors
    /// [`Malformed`] where issuer and thisUpdate cannot be walked.
    pub fn parse(input: &'a [u8]) -> Result<Self, Malformed> {
        let mut at = Reader::new(input);
        Self::walk(&mut at)
            .map_err(|error| Malformed { reason: error.reason(), offset: offset_of(input, at.rest()) })
    }

    fn walk(outer: &mut Reader<'a>) -> Result<Self, Error> {
        let whole = outer.expect(tag::SEQUENCE)?;
        let mut parts = whole.reader();
        let tbs = parts.expect(tag::SEQUENCE)?;
        let mut fields = tbs.reader();
        fields.optional(tag::INTEGER);
        let inner = fields.expect(tag::SEQUENCE)?;
        let issuer = fields.expect(tag::SEQUENCE)?.raw;
        let is_time = |tag: Option<u8>| matches!(tag, Some(tag::UTC_TIME | tag::GENERALIZED_TIME));
        if !is_time(fields.peek()) {
            return Err(Error::UnexpectedTag);
        }
        let this_update = asn1_time::read(&fields.read()?).map(|instant| instant.time);
        let mut next_update = None;
        if is_time(fields.peek()) {
            next_update = asn1_time::read(&fields.read()?).map(|instant| instant.time);
        }
        let revoked = fields.optional(tag::SEQUENCE).map_or(&[][..], |list| list.value);
        let extensions = fields
            .optional(tag::context(0))
            .and_then(|wrapped| wrapped.reader().optional(tag::SEQUENCE))
            .map_or(&[][..], |list| list.value);
        let algorithm = parts.optional(tag::SEQUENCE).unwrap_or(inner);
        let signature = parts.optional(tag::BIT_STRING).map_or(&[][..], |bits| bit_string(bits.value));
        Ok(Self {
            der: whole.raw,
            tbs: tbs.raw,
            issuer,
            this_update,
            next_update,
            revoked,
            extensions,
            algorithm: AlgorithmIdentifier::read(&algorithm),
            signature,
        })
    }

    /// The DER of the CRL.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The DER of the TBSCertList: what is signed.
    pub fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.der)
    }

    /// The name of who issued it.
    pub fn issuer_name(&self) -> Name<'a> {
        Name::new(self.issuer)
    }

    /// When it was issued; `None` where the date cannot be read.
    pub fn this_update(&self) -> Option<UnixTime> {
        self.this_update
    }

    /// When the next one is due: its deadline. `None` where it has none or it cannot be read.
    pub fn next_update(&self) -> Option<UnixTime> {
        self.next_update
    }

    /// The algorithm of the signature.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifier<'a> {
        self.algorithm
    }

    /// The octets of the signature.
    pub fn signature(&self) -> &'a [u8] {
        self.signature
    }

    /// How many entries can be read; costs a pass over the list.
    pub fn entry_count(&self) -> usize {
        self.revoked().count()
    }

    /// The revoked certificates in their order.
    pub fn revoked(&self) -> RevokedEntries<'a> {
        RevokedEntries { list: Reader::new(self.revoked) }
    }

    /// The extensions of the list.
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::over(self.extensions)
    }

    /// The first extension with this identifier.
    pub fn extension(&self, oid: &[u8]) -> Option<Extension<'a>> {
        self.extensions().find(oid)
    }

    /// The key identifier within authorityKeyIdentifier.
    pub fn authority_key_id(&self) -> Option<&'a [u8]> {
        authority_key_id(self.extension(oid::AUTHORITY_KEY_ID)?.value)
    }

    /// Contents octets of cRLNumber, which may have 20 of them.
    pub fn number(&self) -> Option<&'a [u8]> {
        Some(Reader::new(self.extension(oid::CRL_NUMBER)?.value).expect(tag::INTEGER).ok()?.value)
    }

    /// Whether it covers only a part (a critical issuingDistributionPoint): a certificate that is not on it
    /// may be on another.
    pub fn is_partial(&self) -> bool {
        self.extension(oid::ISSUING_DISTRIBUTION_POINT).is_some_and(|extension| extension.critical)
    }

    /// Whether it is a delta to another (deltaCRLIndicator).
    pub fn is_delta(&self) -> bool {
        self.extension(oid::DELTA_CRL_INDICATOR).is_some()
    }
}

/// The entries of a CRL; see [`Crl::revoked`].
#[derive(Clone, Copy, Debug)]
pub struct RevokedEntries<'a> {
    list: Reader<'a>,
}

impl<'a> Iterator for RevokedEntries<'a> {
    type Item = Revoked<'a>;

    fn next(&mut self) -> Option<Revoked<'a>> {
        let mut entry = Iterator::next(&mut self.list)?.reader();
        let serial = entry.expect(tag::INTEGER).ok()?.value;
        let date = entry.read().ok().and_then(|date| asn1_time::read(&date)).map(|instant| instant.time);
        let reason = entry
            .optional(tag::SEQUENCE)
            .and_then(|list| Extensions::over(list.value).find(oid::REASON_CODE))
            .and_then(|extension| Reader::new(extension.value).optional(tag::ENUMERATED))
            .and_then(|code| unsigned(code.value))
            .and_then(|code| u8::try_from(code).ok());
        Some(Revoked { serial, date, reason })
    }
}
