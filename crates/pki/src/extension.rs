//! The extensions of certificates and CRLs, and the values of those the inventory asks about
//! (RFC 5280 section 4.2, RFC 6962, RFC 7633).
//!
//! `certificate.rs` finds an extension; this file says what its value means. Values are walked lazily and
//! leniently: an iterator ends where its bytes stop making sense, and `lint.rs` reports that they did.

use crate::der::{Reader, Tlv, bit_string, tag, unsigned};
use crate::name::Name;
use crate::oid;
use crate::time::UnixTime;

/// One extension (RFC 5280 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extension<'a> {
    /// Contents octets of extnID.
    pub oid: &'a [u8],
    /// Whether a relying party must understand it.
    pub critical: bool,
    /// Contents of extnValue: the DER of the extension's own type.
    pub value: &'a [u8],
}

/// The extensions one after another; ends at the first that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a> {
    list: Reader<'a>,
}

impl<'a> Extensions<'a> {
    /// Over the contents of an Extensions SEQUENCE.
    pub(crate) fn over(contents: &'a [u8]) -> Self {
        Self { list: Reader::new(contents) }
    }

    /// What has not been read: not empty after the end when the list was cut short by garbage.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.list.rest()
    }

    /// The first extension with this identifier.
    pub fn find(mut self, oid: &[u8]) -> Option<Extension<'a>> {
        Iterator::find(&mut self, |extension| extension.oid == oid)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    #[inline]
    fn next(&mut self) -> Option<Extension<'a>> {
        let mut ahead = self.list;
        let mut inner = ahead.sequence().ok()?;
        let oid = inner.expect(tag::OID).ok()?.value;
        let critical = inner.optional(tag::BOOLEAN).is_some_and(|flag| flag.value != [0]);
        let value = inner.expect(tag::OCTET_STRING).ok()?.value;
        self.list = ahead;
        Some(Extension { oid, critical, value })
    }
}

/// One GeneralName (RFC 5280 section 4.2.1.6). Contents are raw: `Dns` may hold anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeneralName<'a> {
    /// dNSName.
    Dns(&'a [u8]),
    /// iPAddress: 4 or 16 octets, or twice that in name constraints; anything else is a problem.
    Ip(&'a [u8]),
    /// rfc822Name.
    Email(&'a [u8]),
    /// uniformResourceIdentifier.
    Uri(&'a [u8]),
    /// directoryName.
    DirectoryName(Name<'a>),
    /// otherName: its type's contents octets, and the DER of its value.
    OtherName {
        /// Contents octets of type-id.
        oid: &'a [u8],
        /// DER of the value within its `[0]`.
        value: &'a [u8],
    },
    /// registeredID: contents octets.
    RegisteredId(&'a [u8]),
    /// x400Address, ediPartyName, or what nobody defined.
    Other {
        /// The identifier octet.
        tag: u8,
        /// The contents.
        value: &'a [u8],
    },
}

impl<'a> GeneralName<'a> {
    /// The name in this element.
    #[inline]
    pub fn read(element: &Tlv<'a>) -> Self {
        let value = element.value;
        match element.tag & !0x20 {
            0x81 => Self::Email(value),
            0x82 => Self::Dns(value),
            0x86 => Self::Uri(value),
            0x87 => Self::Ip(value),
            0x88 => Self::RegisteredId(value),
            0x84 => Self::DirectoryName(Name::new(value)),
            0x80 => {
                let mut inner = element.reader();
                match inner.expect(tag::OID) {
                    Ok(oid) => {
                        let value = inner.optional(tag::context(0)).map_or(&[][..], |v| v.value);
                        Self::OtherName { oid: oid.value, value }
                    }
                    Err(_) => Self::Other { tag: element.tag, value },
                }
            }
            _ => Self::Other { tag: element.tag, value },
        }
    }

    /// The name as text that is safe to print: `example.com`, `192.0.2.1`, `2001:db8::1`, a URI, an RFC 4514
    /// name. Octets that are not UTF-8 are replaced; kinds without a customary text come as hex.
    pub fn to_text(&self) -> String {
        let lossy = |value: &[u8]| crate::name::printable(&String::from_utf8_lossy(value));
        match self {
            Self::Dns(value) | Self::Email(value) | Self::Uri(value) => lossy(value),
            Self::Ip(value) => match ip_text(value) {
                Some(text) => text,
                None => format!("ip:{}", crate::fingerprint::hex(value)),
            },
            Self::DirectoryName(name) => name.to_rfc4514(),
            Self::OtherName { oid, value } => {
                let inner = Reader::new(value).read().ok();
                let text = inner.and_then(|v| crate::name::decode_string(v.tag, v.value));
                let shown = text.map_or_else(
                    || format!("#{}", crate::fingerprint::hex(value)),
                    |text| crate::name::printable(&text),
                );
                format!("{}:{shown}", oid::dotted(oid))
            }
            Self::RegisteredId(oid) => oid::dotted(oid),
            Self::Other { tag, value } => format!("tag{tag:02x}:{}", crate::fingerprint::hex(value)),
        }
    }
}

/// An address, or an address and mask as name constraints have them.
fn ip_text(value: &[u8]) -> Option<String> {
    let plain = |octets: &[u8]| -> Option<std::net::IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(octets) {
            return Some(v4.into());
        }
        <[u8; 16]>::try_from(octets).ok().map(Into::into)
    };
    if let Some(address) = plain(value) {
        return Some(address.to_string());
    }
    let (address, mask) = value.split_at_checked(value.len() / 2)?;
    Some(format!("{}/{}", plain(address)?, plain(mask)?))
}

/// GeneralNames one after another.
#[derive(Clone, Copy, Debug)]
pub struct GeneralNames<'a> {
    list: Reader<'a>,
}

impl<'a> GeneralNames<'a> {
    /// Over the contents of a GeneralNames SEQUENCE.
    pub fn over(contents: &'a [u8]) -> Self {
        Self { list: Reader::new(contents) }
    }

    /// Over the value of an extension of type GeneralNames.
    pub(crate) fn of_extension(value: &'a [u8]) -> Self {
        Self { list: Reader::new(value).sequence().unwrap_or(Reader::new(&[])) }
    }
}

impl<'a> Iterator for GeneralNames<'a> {
    type Item = GeneralName<'a>;

    #[inline]
    fn next(&mut self) -> Option<GeneralName<'a>> {
        Iterator::next(&mut self.list).map(|element| GeneralName::read(&element))
    }
}

/// basicConstraints (RFC 5280 section 4.2.1.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BasicConstraints {
    /// Whether the key may sign certificates.
    pub ca: bool,
    /// How many intermediates may follow; clamped to `u32::MAX`, `None` for no limit.
    pub path_len: Option<u32>,
}

impl BasicConstraints {
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut inner = Reader::new(value).sequence().ok()?;
        let ca = inner.optional(tag::BOOLEAN).is_some_and(|flag| flag.value != [0]);
        let path_len = inner.optional(tag::INTEGER).map(|length| match unsigned(length.value) {
            Some(length) => u32::try_from(length).unwrap_or(u32::MAX),
            None => u32::MAX,
        });
        Some(Self { ca, path_len })
    }
}

/// keyUsage (RFC 5280 section 4.2.1.3): bit 0 (digitalSignature) is the lowest bit of the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUsage(pub u16);

macro_rules! usages {
    ($($name:ident $bit:literal $text:literal;)+) => {
        impl KeyUsage {
            $(
                #[doc = concat!("Whether `", $text, "` is set.")]
                pub fn $name(self) -> bool {
                    self.0 & (1 << $bit) != 0
                }
            )+

            /// The names of the usages that are set, as RFC 5280 has them.
            pub fn names(self) -> Vec<&'static str> {
                [$(($bit, $text)),+].iter().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, t)| *t).collect()
            }
        }
    };
}
usages! {
    digital_signature 0 "digitalSignature";
    content_commitment 1 "contentCommitment";
    key_encipherment 2 "keyEncipherment";
    data_encipherment 3 "dataEncipherment";
    key_agreement 4 "keyAgreement";
    key_cert_sign 5 "keyCertSign";
    crl_sign 6 "cRLSign";
    encipher_only 7 "encipherOnly";
    decipher_only 8 "decipherOnly";
}

impl KeyUsage {
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let bits = bit_string(Reader::new(value).expect(tag::BIT_STRING).ok()?.value);
        let first = u16::from(bits.first().copied().unwrap_or(0).reverse_bits());
        let second = u16::from(bits.get(1).copied().unwrap_or(0).reverse_bits());
        Some(Self(first | second << 8))
    }
}

/// The identifiers of an extKeyUsage (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug)]
pub struct ExtendedKeyUsage<'a> {
    list: Reader<'a>,
}

impl<'a> ExtendedKeyUsage<'a> {
    pub(crate) fn of_extension(value: &'a [u8]) -> Option<Self> {
        Some(Self { list: Reader::new(value).sequence().ok()? })
    }

    /// Whether this purpose is listed.
    pub fn has(mut self, purpose: &[u8]) -> bool {
        self.any(|oid| oid == purpose)
    }

    /// The purposes by name, or as dotted text.
    pub fn names(self) -> Vec<String> {
        self.map(|oid| oid::key_purpose_name(oid).map_or_else(|| oid::dotted(oid), str::to_owned)).collect()
    }
}

impl<'a> Iterator for ExtendedKeyUsage<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        Iterator::find(&mut self.list, |element| element.tag == tag::OID).map(|element| element.value)
    }
}

/// authorityInfoAccess (RFC 5280 section 4.2.2.1): pairs of a method and where.
#[derive(Clone, Copy, Debug)]
pub struct AccessDescriptions<'a> {
    list: Reader<'a>,
}

impl<'a> AccessDescriptions<'a> {
    pub(crate) fn of_extension(value: &'a [u8]) -> Self {
        Self { list: Reader::new(value).sequence().unwrap_or(Reader::new(&[])) }
    }

    /// The URIs of OCSP responders.
    pub fn ocsp(self) -> impl Iterator<Item = &'a [u8]> {
        self.uris(oid::ACCESS_OCSP)
    }

    /// The URIs of the issuer's certificates.
    pub fn ca_issuers(self) -> impl Iterator<Item = &'a [u8]> {
        self.uris(oid::ACCESS_CA_ISSUERS)
    }

    fn uris(self, method: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.filter_map(move |(found, location)| match location {
            GeneralName::Uri(uri) if found == method => Some(uri),
            _ => None,
        })
    }
}

impl<'a> Iterator for AccessDescriptions<'a> {
    /// Contents octets of accessMethod, and accessLocation.
    type Item = (&'a [u8], GeneralName<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut pair = Iterator::next(&mut self.list)?.reader();
            if let (Ok(method), Ok(location)) = (pair.expect(tag::OID), pair.read()) {
                return Some((method.value, GeneralName::read(&location)));
            }
        }
    }
}

/// The URIs of cRLDistributionPoints (RFC 5280 section 4.2.1.13), also of freshestCRL.
#[derive(Clone, Copy, Debug)]
pub struct DistributionPoints<'a> {
    points: Reader<'a>,
    names: Reader<'a>,
}

impl<'a> DistributionPoints<'a> {
    pub(crate) fn of_extension(value: &'a [u8]) -> Self {
        let points = Reader::new(value).sequence().unwrap_or(Reader::new(&[]));
        Self { points, names: Reader::new(&[]) }
    }
}

impl<'a> Iterator for DistributionPoints<'a> {
    /// A URI of a distribution point's fullName.
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            for element in self.names.by_ref() {
                if let GeneralName::Uri(uri) = GeneralName::read(&element) {
                    return Some(uri);
                }
            }
            let point = Iterator::next(&mut self.points)?;
            // DistributionPoint { [0] { [0] fullName } .. }
            if let Some(name) = point.reader().optional(tag::context(0))
                && let Some(full) = name.reader().optional(tag::context(0))
            {
                self.names = full.reader();
            }
        }
    }
}

/// nameConstraints (RFC 5280 section 4.2.1.10).
#[derive(Clone, Copy, Debug)]
pub struct NameConstraints<'a> {
    permitted: Reader<'a>,
    excluded: Reader<'a>,
}

impl<'a> NameConstraints<'a> {
    pub(crate) fn of_extension(value: &'a [u8]) -> Option<Self> {
        let mut inner = Reader::new(value).sequence().ok()?;
        let none = Reader::new(&[]);
        let permitted = inner.optional(tag::context(0)).map_or(none, |list| list.reader());
        let excluded = inner.optional(tag::context(1)).map_or(none, |list| list.reader());
        Some(Self { permitted, excluded })
    }

    /// The bases of permittedSubtrees.
    pub fn permitted(self) -> impl Iterator<Item = GeneralName<'a>> {
        bases(self.permitted)
    }

    /// The bases of excludedSubtrees.
    pub fn excluded(self) -> impl Iterator<Item = GeneralName<'a>> {
        bases(self.excluded)
    }
}

fn bases<'a>(subtrees: Reader<'a>) -> impl Iterator<Item = GeneralName<'a>> {
    subtrees.filter_map(|subtree| subtree.reader().read().ok()).map(|base| GeneralName::read(&base))
}

/// The identifiers of certificatePolicies (RFC 5280 section 4.2.1.4).
#[derive(Clone, Copy, Debug)]
pub struct Policies<'a> {
    list: Reader<'a>,
}

impl<'a> Policies<'a> {
    pub(crate) fn of_extension(value: &'a [u8]) -> Self {
        Self { list: Reader::new(value).sequence().unwrap_or(Reader::new(&[])) }
    }
}

impl<'a> Iterator for Policies<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let policy = Iterator::next(&mut self.list)?;
            if let Ok(oid) = policy.reader().expect(tag::OID) {
                return Some(oid.value);
            }
        }
    }
}

/// One signed certificate timestamp (RFC 6962 section 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sct<'a> {
    /// 0 for v1.
    pub version: u8,
    /// SHA-256 of the log's key: which log it is.
    pub log_id: &'a [u8],
    /// Milliseconds since 1970 as the log wrote them.
    pub timestamp_ms: u64,
    /// Extensions, digitally-signed struct: whatever follows the timestamp.
    pub rest: &'a [u8],
    /// The whole SerializedSCT, without its length.
    pub raw: &'a [u8],
}

impl Sct<'_> {
    /// The timestamp, cut to seconds.
    pub fn time(&self) -> UnixTime {
        UnixTime((self.timestamp_ms / 1000) as i64)
    }
}

/// A SignedCertificateTimestampList in TLS encoding (RFC 6962 section 3.3); ends where it stops making sense.
#[derive(Clone, Copy, Debug)]
pub struct SctList<'a> {
    rest: &'a [u8],
}

impl<'a> SctList<'a> {
    /// Over the TLS-encoded list, as TLS and OCSP carry it.
    pub fn over(list: &'a [u8]) -> Self {
        let rest = prefixed(list).map_or(&[][..], |(list, _)| list);
        Self { rest }
    }

    /// Over the extension's value, which is the list in one more OCTET STRING.
    pub(crate) fn of_extension(value: &'a [u8]) -> Self {
        Reader::new(value).expect(tag::OCTET_STRING).map_or(Self { rest: &[] }, |list| Self::over(list.value))
    }
}

/// What a big-endian length of two octets says, and what follows it.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

impl<'a> Iterator for SctList<'a> {
    type Item = Sct<'a>;

    fn next(&mut self) -> Option<Sct<'a>> {
        let (raw, rest) = prefixed(self.rest)?;
        self.rest = rest;
        let (version, tail) = raw.split_first()?;
        let (log_id, tail) = tail.split_at_checked(32)?;
        let (timestamp, tail) = tail.split_first_chunk::<8>()?;
        Some(Sct { version: *version, log_id, timestamp_ms: u64::from_be_bytes(*timestamp), rest: tail, raw })
    }
}

/// keyIdentifier of an authorityKeyIdentifier value (RFC 5280 section 4.2.1.1).
pub(crate) fn authority_key_id(value: &[u8]) -> Option<&[u8]> {
    let mut inner = Reader::new(value).sequence().ok()?;
    Some(inner.optional(tag::context_primitive(0))?.value)
}

/// Whether a TLS feature value (RFC 7633 section 3) lists status_request (5).
pub(crate) fn lists_status_request(value: &[u8]) -> bool {
    let Ok(features) = Reader::new(value).sequence() else { return false };
    features.into_iter().any(|feature| feature.tag == tag::INTEGER && unsigned(feature.value) == Some(5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    fn check(tag: u8, value: &[u8], text: &str) {
        let element = encode(tag, value);
        let element = Reader::new(&element).read().expect("own encoding");
        assert_eq!(GeneralName::read(&element).to_text(), text);
    }

    #[test]
    fn general_names_as_text() {
        check(0x82, b"example.com", "example.com");
        check(0x82, b"a\0b\xff", "a\\u{0}b\u{fffd}");
        check(0x87, &[192, 0, 2, 1], "192.0.2.1");
        check(0x87, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1");
        check(0x87, &[10, 0, 0, 0, 255, 0, 0, 0], "10.0.0.0/255.0.0.0");
        check(0x87, &[1, 2, 3], "ip:010203");
        check(0x88, &[0x2a, 3, 4], "1.2.3.4");
        check(0xa3, &[5, 0], "taga3:0500");
        let upn = [&[6, 3, 0x2a, 3, 4][..], &encode(0xa0, &encode(tag::UTF8_STRING, b"a@b"))].concat();
        check(0xa0, &upn, "1.2.3.4:a@b");
    }

    #[test]
    fn key_usage_bits() {
        let usage = KeyUsage::read(&[3, 2, 1, 0x06]).expect("a bit string");
        assert_eq!(usage.names(), ["keyCertSign", "cRLSign"]);
        let usage = KeyUsage::read(&[3, 3, 7, 0x80, 0x80]).expect("a bit string");
        assert!(usage.digital_signature() && usage.decipher_only() && !usage.key_agreement());
    }
}
