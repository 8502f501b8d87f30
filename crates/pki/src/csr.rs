//! Certification requests, PKCS#10 (RFC 2986): who asked for what, with which key.
//!
//! A request found beside a key tells of a renewal half done. Its signature is verified by nobody here.

use crate::certificate::Malformed;
use crate::der::{Error, Reader, bit_string, offset_of, tag};
use crate::extension::{Extensions, GeneralNames};
use crate::key::{AlgorithmIdentifier, PublicKey};
use crate::name::Name;
use crate::oid;

/// A parsed request: spans over its DER.
#[derive(Clone, Copy, Debug)]
pub struct Csr<'a> {
    der: &'a [u8],
    info: &'a [u8],
    subject: &'a [u8],
    spki: &'a [u8],
    attributes: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
}

impl<'a> Csr<'a> {
    /// Walks the request at the start of these bytes.
    ///
    /// # Errors
    /// [`Malformed`] where the structure of RFC 2986 section 4 cannot be walked.
    pub fn parse(input: &'a [u8]) -> Result<Self, Malformed> {
        let mut at = Reader::new(input);
        Self::walk(&mut at)
            .map_err(|error| Malformed { reason: error.reason(), offset: offset_of(input, at.rest()) })
    }

    fn walk(outer: &mut Reader<'a>) -> Result<Self, Error> {
        let whole = outer.expect(tag::SEQUENCE)?;
        let mut parts = whole.reader();
        let info = parts.expect(tag::SEQUENCE)?;
        let algorithm = AlgorithmIdentifier::read(&parts.expect(tag::SEQUENCE)?);
        let signature = bit_string(parts.expect(tag::BIT_STRING)?.value);
        let mut fields = info.reader();
        fields.expect(tag::INTEGER)?;
        let subject = fields.expect(tag::SEQUENCE)?.raw;
        let spki = fields.expect(tag::SEQUENCE)?.raw;
        let attributes = fields.optional(tag::context(0)).map_or(&[][..], |set| set.value);
        Ok(Self { der: whole.raw, info: info.raw, subject, spki, attributes, algorithm, signature })
    }

    /// The DER of the request.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The DER of the CertificationRequestInfo: what is signed.
    pub fn info(&self) -> &'a [u8] {
        self.info
    }

    /// The name asked for.
    pub fn subject(&self) -> Name<'a> {
        Name::new(self.subject)
    }

    /// The key to be certified.
    pub fn public_key(&self) -> PublicKey<'a> {
        PublicKey::read(self.spki)
    }

    /// The algorithm of the signature.
    pub fn signature_algorithm(&self) -> AlgorithmIdentifier<'a> {
        self.algorithm
    }

    /// The octets of the signature.
    pub fn signature(&self) -> &'a [u8] {
        self.signature
    }

    /// The extensions asked for (RFC 2985 section 5.4.2, or Microsoft's attribute).
    pub fn requested_extensions(&self) -> Extensions<'a> {
        for attribute in Reader::new(self.attributes) {
            let mut pair = attribute.reader();
            let (Ok(kind), Ok(values)) = (pair.expect(tag::OID), pair.expect(tag::SET)) else { continue };
            if matches!(kind.value, oid::EXTENSION_REQUEST | oid::MICROSOFT_EXTENSION_REQUEST)
                && let Ok(list) = values.reader().expect(tag::SEQUENCE)
            {
                return Extensions::over(list.value);
            }
        }
        Extensions::over(&[])
    }

    /// The subjectAltName entries asked for.
    pub fn subject_alt_names(&self) -> GeneralNames<'a> {
        let extension = self.requested_extensions().find(oid::SUBJECT_ALT_NAME);
        GeneralNames::of_extension(extension.map_or(&[], |extension| extension.value))
    }
}
