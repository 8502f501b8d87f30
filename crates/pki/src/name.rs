//! Distinguished names: raw DER, decoded on demand (RFC 5280 section 4.1.2.4, RFC 4514).
//!
//! Sits beside `certificate.rs`, which hands out the spans. It deliberately matches no host names and
//! judges nothing: a name that cannot be decoded is still shown, byte by byte.
//!
//! Text follows RFC 4514 and, where that leaves a choice, `openssl x509 -nameopt RFC2253,-esc_msb`:
//! attribute types by OpenSSL's short names (`emailAddress`, `serialNumber`; `street` in lower case),
//! unknown types and values that are no strings as `oid=#hex`, the order of the RDNs reversed. Beyond it,
//! control and bidirectional characters are escaped octet by octet (`\E2\80\AE`), so that a name is always
//! safe to print.

use crate::der::{Reader, Tlv, tag};
use crate::oid;

/// A distinguished name: the DER of an RDNSequence, possibly malformed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Name<'a> {
    der: &'a [u8],
}

/// One attribute of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attribute<'a> {
    /// Which RDN it stands in, from 0 in the order of the encoding.
    pub rdn: usize,
    /// Contents octets of the attribute type's identifier.
    pub oid: &'a [u8],
    /// The value as encoded.
    pub value: Tlv<'a>,
}

impl<'a> Name<'a> {
    /// The name in this DER.
    pub fn new(der: &'a [u8]) -> Self {
        Self { der }
    }

    /// The DER, header included.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Whether the name has no attributes that can be read.
    pub fn is_empty(&self) -> bool {
        self.attributes().next().is_none()
    }

    /// The attributes in the order of their encoding; what cannot be read is left out.
    pub fn attributes(&self) -> Attributes<'a> {
        let rdns = Reader::new(self.der).read().map(|name| name.reader());
        Attributes { rdns: rdns.unwrap_or(Reader::new(&[])), current: Reader::new(&[]), rdn: 0 }
    }

    /// Whether the whole structure is as X.501 says: sets of pairs of a type and a value.
    pub fn is_well_formed(&self) -> bool {
        let mut outer = Reader::new(self.der);
        let Ok(mut rdns) = outer.sequence() else { return false };
        while !rdns.is_empty() {
            let Ok(set) = rdns.expect(tag::SET) else { return false };
            let mut set = set.reader();
            if set.is_empty() {
                return false;
            }
            while !set.is_empty() {
                let Ok(mut pair) = set.sequence() else { return false };
                if pair.expect(tag::OID).is_err() || pair.read().is_err() || !pair.is_empty() {
                    return false;
                }
            }
        }
        outer.is_empty()
    }

    /// The name as RFC 4514 text, safe to print (see the head of this file).
    pub fn to_rfc4514(&self) -> String {
        let mut attributes: Vec<Attribute<'a>> = self.attributes().collect();
        attributes.reverse();
        let mut out = String::new();
        let mut previous: Option<usize> = None;
        for attribute in attributes {
            match previous {
                Some(rdn) if rdn == attribute.rdn => out.push('+'),
                Some(_) => out.push(','),
                None => {}
            }
            previous = Some(attribute.rdn);
            attribute.write_rfc4514(&mut out);
        }
        out
    }

    /// The most specific (last encoded) commonName, with control and bidirectional characters shown as
    /// `\u{..}`: text to show, not to match with.
    pub fn common_name(&self) -> Option<String> {
        self.text_of(oid::COMMON_NAME)
    }

    /// The last attribute of this type as text that is safe to print.
    pub fn text_of(&self, oid: &[u8]) -> Option<String> {
        let last = self.attributes().filter(|attribute| attribute.oid == oid).last()?;
        Some(printable(&last.text_lossy()))
    }

    /// Whether two names are the same for building a chain: equal octets, or equal after the comparison of
    /// RFC 5280 section 7.1 (case folded, spaces compressed, string types not told apart). The order of
    /// attributes within one RDN does not matter.
    pub fn matches(&self, other: &Name<'_>) -> bool {
        if self.der == other.der {
            return true;
        }
        if !self.is_well_formed() || !other.is_well_formed() {
            return false;
        }
        let (ours, theirs) = (self.normalised(), other.normalised());
        ours == theirs
    }

    /// The name with every string value in its compared form, as a value equal for names that match;
    /// a key for indexes. Names that are malformed have their raw DER in it.
    pub fn comparison_key(&self) -> Vec<u8> {
        if !self.is_well_formed() {
            return self.der.to_vec();
        }
        let mut out = Vec::with_capacity(self.der.len());
        for (rdn, oid, value) in self.normalised() {
            out.extend_from_slice(&(rdn as u32).to_be_bytes());
            for part in [oid, &value] {
                out.extend_from_slice(&(part.len() as u32).to_be_bytes());
                out.extend_from_slice(part);
            }
        }
        out
    }

    fn normalised(&self) -> Vec<(usize, &'a [u8], Vec<u8>)> {
        let mut all: Vec<_> = self
            .attributes()
            .map(|attribute| {
                let value = match attribute.text() {
                    Some(text) => {
                        let words = text.split(' ').filter(|word| !word.is_empty());
                        let folded = words.map(str::to_lowercase).collect::<Vec<_>>().join(" ");
                        folded.into_bytes()
                    }
                    None => attribute.value.raw.to_vec(),
                };
                (attribute.rdn, attribute.oid, value)
            })
            .collect();
        // Sorts by RDN first, so that only the order within an RDN changes.
        all.sort();
        all
    }
}

/// The attributes of a name; see [`Name::attributes`].
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    rdns: Reader<'a>,
    current: Reader<'a>,
    rdn: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        loop {
            if let Some(pair) = Iterator::next(&mut self.current) {
                let mut pair = pair.reader();
                if let (Ok(oid), Ok(value)) = (pair.expect(tag::OID), pair.read()) {
                    return Some(Attribute { rdn: self.rdn - 1, oid: oid.value, value });
                }
                continue;
            }
            let set = Iterator::next(&mut self.rdns)?;
            self.current = set.reader();
            self.rdn += 1;
        }
    }
}

impl<'a> Attribute<'a> {
    /// The value as text; `None` where it is no string type or its octets do not decode as that type.
    pub fn text(&self) -> Option<String> {
        decode_string(self.value.tag, self.value.value)
    }

    /// The value as text come what may: what does not decode becomes U+FFFD or hex.
    pub fn text_lossy(&self) -> String {
        self.text().unwrap_or_else(|| match self.value.tag {
            tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
                String::from_utf8_lossy(self.value.value).into_owned()
            }
            _ => format!("#{}", crate::fingerprint::hex(self.value.raw)),
        })
    }

    fn write_rfc4514(&self, out: &mut String) {
        // Extensions' names, too: OpenSSL has one table for all, and such attributes are met.
        let name = oid::attribute_name(self.oid).or_else(|| oid::extension_name(self.oid));
        match name {
            Some(name) => out.push_str(name),
            None => out.push_str(&oid::dotted(self.oid)),
        }
        out.push('=');
        let is_string = is_string_type(self.value.tag);
        match (name, is_string, self.text()) {
            (Some(_), true, Some(text)) => escape_rfc4514(&text, out),
            // A string that is not of its type is shown octet by octet, so that nothing is lost.
            (Some(_), true, None) => {
                for octet in self.value.value {
                    if octet.is_ascii_alphanumeric() || *octet == b' ' {
                        out.push(*octet as char);
                    } else {
                        push_octet(*octet, out);
                    }
                }
            }
            _ => {
                out.push('#');
                out.push_str(&crate::fingerprint::hex(self.value.raw).to_uppercase());
            }
        }
    }
}

fn is_string_type(tag: u8) -> bool {
    matches!(
        tag,
        tag::UTF8_STRING
            | tag::NUMERIC_STRING
            | tag::PRINTABLE_STRING
            | tag::TELETEX_STRING
            | tag::IA5_STRING
            | tag::UTC_TIME
            | tag::GENERALIZED_TIME
            | tag::VISIBLE_STRING
            | tag::UNIVERSAL_STRING
            | tag::BMP_STRING
    )
}

/// Text of a string type. Single-octet types are read as Latin-1, as is the custom for TeletexString (and
/// the only reading that never fails for the rest).
pub fn decode_string(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        tag::UTF8_STRING => std::str::from_utf8(value).ok().map(str::to_owned),
        tag::BMP_STRING => {
            // UCS-2 by the standard; surrogate pairs are met and read as UTF-16.
            let (units, rest) = value.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
            if !rest.is_empty() {
                return None;
            }
            char::decode_utf16(units).collect::<Result<String, _>>().ok()
        }
        tag::UNIVERSAL_STRING => {
            let (units, rest) = value.as_chunks::<4>();
            if !rest.is_empty() {
                return None;
            }
            units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect()
        }
        _ if is_string_type(tag) => Some(value.iter().map(|octet| *octet as char).collect()),
        _ => None,
    }
}

/// Whether a character must not reach a terminal or a page as it is: controls, and what changes the
/// direction or the joining of text (bidi overrides and isolates, zero-width characters, tags).
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text made safe to print: deceptive characters as `\u{202e}`.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn push_octet(octet: u8, out: &mut String) {
    out.push('\\');
    out.push_str(&format!("{octet:02X}"));
}

/// RFC 4514 section 2.4.
fn escape_rfc4514(text: &str, out: &mut String) {
    let last = text.len().saturating_sub(1);
    for (at, c) in text.char_indices() {
        let at_edge = (at == 0 && (c == ' ' || c == '#')) || (at == last && c == ' ');
        if at_edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
            out.push(c);
        } else if is_deceptive(c) {
            let mut buffer = [0; 4];
            for octet in c.encode_utf8(&mut buffer).bytes() {
                push_octet(octet, out);
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    /// DER of a name with one attribute an RDN.
    fn name(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let rdns: Vec<u8> = attributes
            .iter()
            .flat_map(|(oid, tag, value)| {
                let pair = [encode(tag::OID, oid), encode(*tag, value)].concat();
                encode(tag::SET, &encode(tag::SEQUENCE, &pair))
            })
            .collect();
        encode(tag::SEQUENCE, &rdns)
    }

    fn check(attributes: &[(&[u8], u8, &[u8])], text: &str) {
        assert_eq!(Name::new(&name(attributes)).to_rfc4514(), text);
    }

    const CN: &[u8] = oid::COMMON_NAME;
    const O: &[u8] = oid::ORGANIZATION;

    #[test]
    fn text() {
        check(&[], "");
        check(
            &[(O, tag::UTF8_STRING, b"Acme, Inc."), (CN, tag::PRINTABLE_STRING, b"a")],
            "CN=a,O=Acme\\, Inc.",
        );
        check(&[(CN, tag::UTF8_STRING, b" #a ")], "CN=\\ #a\\ ");
        check(&[(CN, tag::UTF8_STRING, b" ")], "CN=\\ ");
        check(&[(CN, tag::UTF8_STRING, b"#a")], "CN=\\#a");
        check(&[(CN, tag::UTF8_STRING, "Zürich".as_bytes())], "CN=Zürich");
        check(&[(CN, tag::TELETEX_STRING, b"Z\xfcrich")], "CN=Zürich");
        check(&[(CN, tag::BMP_STRING, b"\0Z\0\xfc")], "CN=Zü");
        check(&[(CN, tag::UNIVERSAL_STRING, b"\0\0\0Z\0\x01\xf6\x00")], "CN=Z\u{1f600}");
        check(&[(CN, tag::UTF8_STRING, b"good.example\0.evil.example")], "CN=good.example\\00.evil.example");
        check(&[(CN, tag::UTF8_STRING, "a\u{202e}b".as_bytes())], "CN=a\\E2\\80\\AEb");
        check(&[(CN, tag::UTF8_STRING, b"a\xffb")], "CN=a\\FFb");
        check(&[(CN, tag::BMP_STRING, b"\0Z\xfc")], "CN=\\00Z\\FC");
        check(&[(CN, tag::INTEGER, &[5])], "CN=#020105");
        check(&[(&[0x2a, 3, 4], tag::UTF8_STRING, b"x")], "1.2.3.4=#0C0178");
        check(&[(oid::EMAIL_ADDRESS, tag::IA5_STRING, b"a@b.example")], "emailAddress=a@b.example");
    }

    #[test]
    fn common_name_is_safe_to_print_and_the_last() {
        let der = name(&[(CN, tag::UTF8_STRING, b"first"), (CN, tag::UTF8_STRING, b"a\0\x1b[2Jb")]);
        assert_eq!(Name::new(&der).common_name().as_deref(), Some("a\\u{0}\\u{1b}[2Jb"));
        assert_eq!(Name::new(&[]).common_name(), None);
    }

    #[test]
    fn names_match_as_rfc_5280_says() {
        let check = |a: &[u8], b: &[u8], same: bool| {
            let one = name(&[(CN, tag::UTF8_STRING, a)]);
            let two = name(&[(CN, tag::PRINTABLE_STRING, b)]);
            assert_eq!(Name::new(&one).matches(&Name::new(&two)), same);
            let keys = Name::new(&one).comparison_key() == Name::new(&two).comparison_key();
            assert_eq!(keys, same);
        };
        check(b"Example CA", b"example  ca ", true);
        check(b"Example CA", b"ExampleCA", false);
        check(b"a", b"b", false);
    }

    #[test]
    fn hostile_names_stay_cheap() {
        let long = vec![b'a'; 65_536];
        let der = name(&[(CN, tag::UTF8_STRING, &long)]);
        assert_eq!(Name::new(&der).common_name().map(|cn| cn.len()), Some(65_536));
        let many: Vec<_> = (0..100_000).map(|_| (CN, tag::UTF8_STRING, &b"x"[..])).collect();
        let der = name(&many);
        assert_eq!(Name::new(&der).to_rfc4514().len(), 5 * 100_000 - 1);
        assert!(!Name::new(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]).is_well_formed());
    }
}
