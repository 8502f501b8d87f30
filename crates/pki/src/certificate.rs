//! An X.509 certificate as spans over its DER (RFC 5280 section 4.1): the hot path of the whole program.
//!
//! `parse` walks the skeleton only, without allocating; everything else is decoded when asked for. It is
//! lenient on purpose: an inventory records bad certificates, it does not refuse them. What is odd about the
//! form is told by [`Certificate::problems`] (`lint.rs`); nothing here judges, verifies or builds paths. What
//! even this refuses goes to `salvage.rs`.

use std::fmt;

use crate::asn1_time;
use crate::der::{self, Reader, bit_string, offset_of, tag, unsigned};
use crate::extension::{
    AccessDescriptions, BasicConstraints, DistributionPoints, ExtendedKeyUsage, Extension, Extensions,
    GeneralNames, KeyUsage, NameConstraints, Policies, SctList, authority_key_id, lists_status_request,
};
use crate::fingerprint::{Fingerprint, KeyId};
use crate::key::{AlgorithmIdentifier, PublicKey};
use crate::lint::{self, Problem};
use crate::name::Name;
use crate::oid;
use crate::time::UnixTime;

/// A parsed certificate: spans over the DER it came from. Cheap to copy, and cheap to make again from the
/// bytes, which is how to keep one.
#[derive(Clone, Copy)]
pub struct Certificate<'a> {
    pub(crate) input: &'a [u8],
    der: &'a [u8],
    tbs: &'a [u8],
    version: u32,
    serial: &'a [u8],
    pub(crate) inner_algorithm: &'a [u8],
    issuer: &'a [u8],
    pub(crate) validity: &'a [u8],
    subject: &'a [u8],
    spki: &'a [u8],
    /// What follows the key in the TBS: unique identifiers and extensions.
    pub(crate) tail: &'a [u8],
    extensions: &'a [u8],
    /// What follows the TBS: outer algorithm and signature.
    pub(crate) outer: &'a [u8],
}

/// Why bytes are no certificate at all: not even serial to key could be walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What was wrong, one phrase.
    pub reason: &'static str,
    /// Where in the input, in octets.
    pub offset: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at octet {})", self.reason, self.offset)
    }
}
impl std::error::Error for Malformed {}

impl<'a> Certificate<'a> {
    /// Walks the skeleton of the certificate at the start of these bytes.
    ///
    /// # Errors
    /// [`Malformed`] only where the outer SEQUENCE, the TBS or its fields from serial number to key cannot be
    /// walked. A missing signature, broken extensions or trailing octets are problems, not errors.
    #[inline]
    pub fn parse(input: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(input);
        Self::walk(&mut outer)
            .map_err(|(rest, error)| Malformed { reason: error.reason(), offset: offset_of(input, rest) })
            .map(|certificate| Self { input, ..certificate })
    }

    #[inline]
    fn walk(outer: &mut Reader<'a>) -> Result<Self, (&'a [u8], der::Error)> {
        let start = outer.rest();
        let whole = outer.expect(tag::SEQUENCE).map_err(|e| (start, e))?;
        let mut parts = whole.reader();
        let tbs = parts.expect(tag::SEQUENCE).map_err(|e| (whole.value, e))?;
        let mut fields = tbs.reader();
        let mut field = |wanted: u8| {
            let at = fields.rest();
            fields.expect(wanted).map_err(|e| (at, e))
        };
        let version = match field(tag::context(0)) {
            Ok(version) => match version.reader().expect(tag::INTEGER).ok().map(|v| unsigned(v.value)) {
                Some(Some(number)) => u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1),
                _ => 0,
            },
            Err((_, der::Error::UnexpectedTag)) => 1,
            Err(other) => return Err(other),
        };
        let serial = field(tag::INTEGER)?.value;
        let inner_algorithm = field(tag::SEQUENCE)?.raw;
        let issuer = field(tag::SEQUENCE)?.raw;
        let validity = field(tag::SEQUENCE)?.value;
        let subject = field(tag::SEQUENCE)?.raw;
        let spki = field(tag::SEQUENCE)?.raw;
        let tail = fields.rest();
        let mut extensions: &[u8] = &[];
        // Any order is taken, and the first [3] counts; `lint.rs` reports what else is there.
        if let Some(wrapped) = fields.find(|element| element.tag == tag::context(3)) {
            extensions = wrapped.reader().expect(tag::SEQUENCE).map_or(&[], |list| list.value);
        }
        Ok(Self {
            input: whole.raw,
            der: whole.raw,
            tbs: tbs.raw,
            version,
            serial,
            inner_algorithm,
            issuer,
            validity,
            subject,
            spki,
            tail,
            extensions,
            outer: parts.rest(),
        })
    }

    /// The DER of the certificate, without what may follow it in the input.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The DER of the TBSCertificate: what is signed.
    pub fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// SHA-256 of [`der`](Self::der): the identity of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.der)
    }

    /// 1, 2 or 3; one more than the number in the certificate for any other; 0 where it is no number.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Contents octets of the serial number, as encoded: any length, perhaps negative. Not an identity.
    pub fn serial(&self) -> &'a [u8] {
        self.serial
    }

    /// The name of who issued it.
    pub fn issuer_name(&self) -> Name<'a> {
        Name::new(self.issuer)
    }

    /// The name of whom or what it is about.
    pub fn subject(&self) -> Name<'a> {
        Name::new(self.subject)
    }

    /// The start of validity; `None` where it cannot be read as an instant.
    pub fn not_before(&self) -> Option<UnixTime> {
        let element = Reader::new(self.validity).read().ok()?;
        Some(asn1_time::read(&element)?.time)
    }

    /// The end of validity; `None` where it cannot be read as an instant.
    pub fn not_after(&self) -> Option<UnixTime> {
        let mut times = Reader::new(self.validity);
        times.read().ok()?;
        Some(asn1_time::read(&times.read().ok()?)?.time)
    }

    /// The subject's public key.
    pub fn public_key(&self) -> PublicKey<'a> {
        PublicKey::read(self.spki)
    }

    /// The DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &'a [u8] {
        self.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the identity of the key.
    pub fn key_id(&self) -> KeyId {
        KeyId::of(self.spki)
    }

    /// The algorithm of the signature, from outside the TBS (from within it, should the outer be missing).
    pub fn signature_algorithm(&self) -> AlgorithmIdentifier<'a> {
        let outer = Reader::new(self.outer).optional(tag::SEQUENCE);
        match outer.or_else(|| Reader::new(self.inner_algorithm).read().ok()) {
            Some(element) => AlgorithmIdentifier::read(&element),
            None => AlgorithmIdentifier::absent(),
        }
    }

    /// The octets of the signature; empty where there is none.
    pub fn signature(&self) -> &'a [u8] {
        let mut parts = Reader::new(self.outer);
        parts.optional(tag::SEQUENCE);
        parts.optional(tag::BIT_STRING).map_or(&[], |bits| bit_string(bits.value))
    }

    /// The extensions in their order.
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::over(self.extensions)
    }

    /// The first extension with this identifier.
    pub fn extension(&self, oid: &[u8]) -> Option<Extension<'a>> {
        self.extensions().find(oid)
    }

    fn value_of(&self, oid: &[u8]) -> Option<&'a [u8]> {
        self.extension(oid).map(|extension| extension.value)
    }

    /// The names of the (first) subjectAltName extension; none where there is none.
    pub fn subject_alt_names(&self) -> GeneralNames<'a> {
        GeneralNames::of_extension(self.value_of(oid::SUBJECT_ALT_NAME).unwrap_or(&[]))
    }

    /// basicConstraints, where there is one that can be read.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        BasicConstraints::read(self.value_of(oid::BASIC_CONSTRAINTS)?)
    }

    /// Whether it presents itself as a CA: by basicConstraints; and, as version 1 and 2 have no extensions to
    /// say so, any self-issued certificate of these versions, for that is what old roots look like.
    pub fn is_ca(&self) -> bool {
        match self.basic_constraints() {
            Some(constraints) => constraints.ca,
            None => self.version < 3 && self.is_self_issued(),
        }
    }

    /// keyUsage, where there is one that can be read.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        KeyUsage::read(self.value_of(oid::KEY_USAGE)?)
    }

    /// extKeyUsage, where there is one that can be read.
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage<'a>> {
        ExtendedKeyUsage::of_extension(self.value_of(oid::EXTENDED_KEY_USAGE)?)
    }

    /// The key identifier within authorityKeyIdentifier.
    pub fn authority_key_id(&self) -> Option<&'a [u8]> {
        authority_key_id(self.value_of(oid::AUTHORITY_KEY_ID)?)
    }

    /// subjectKeyIdentifier.
    pub fn subject_key_id(&self) -> Option<&'a [u8]> {
        Some(Reader::new(self.value_of(oid::SUBJECT_KEY_ID)?).expect(tag::OCTET_STRING).ok()?.value)
    }

    /// authorityInfoAccess: OCSP responders and the issuer's certificates.
    pub fn authority_info_access(&self) -> AccessDescriptions<'a> {
        AccessDescriptions::of_extension(self.value_of(oid::AUTHORITY_INFO_ACCESS).unwrap_or(&[]))
    }

    /// The URIs of cRLDistributionPoints.
    pub fn crl_distribution_points(&self) -> DistributionPoints<'a> {
        DistributionPoints::of_extension(self.value_of(oid::CRL_DISTRIBUTION_POINTS).unwrap_or(&[]))
    }

    /// nameConstraints, where there are some that can be read.
    pub fn name_constraints(&self) -> Option<NameConstraints<'a>> {
        NameConstraints::of_extension(self.value_of(oid::NAME_CONSTRAINTS)?)
    }

    /// The identifiers of certificatePolicies.
    pub fn policies(&self) -> Policies<'a> {
        Policies::of_extension(self.value_of(oid::CERTIFICATE_POLICIES).unwrap_or(&[]))
    }

    /// The embedded signed certificate timestamps (RFC 6962 section 3.3).
    pub fn sct_list(&self) -> SctList<'a> {
        SctList::of_extension(self.value_of(oid::SCT_LIST).unwrap_or(&[]))
    }

    /// Whether it demands a stapled OCSP response (RFC 7633).
    pub fn must_staple(&self) -> bool {
        self.value_of(oid::TLS_FEATURE).is_some_and(lists_status_request)
    }

    /// Whether it carries the poison of a precertificate (RFC 6962 section 3.1).
    pub fn is_precertificate(&self) -> bool {
        self.extension(oid::CT_POISON).is_some()
    }

    /// Whether issuer and subject are the same octets.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Everything odd about the form, found anew at each call.
    pub fn problems(&self) -> Vec<Problem> {
        lint::problems(self)
    }
}

impl fmt::Debug for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject().to_rfc4514(), self.fingerprint())
    }
}
