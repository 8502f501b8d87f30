//! The names of a CA's own certificates: from `CN=House,O=Example,C=DE` to DER (RFC 4514, RFC 5280 section 4.1.2.4).
//!
//! A few attributes, as they are written and shown everywhere; no multi-valued RDNs.

use notafter_pki::der::{encode, tag};
use notafter_pki::name::is_deceptive;
use notafter_pki::oid;

/// What may stand in front of `=`, and the most characters it may have (RFC 5280 appendix A.1).
const ATTRIBUTES: &[(&str, &[u8], usize)] = &[
    ("CN", oid::COMMON_NAME, 64),
    ("O", ORGANIZATION, 64),
    ("OU", UNIT, 64),
    ("L", LOCALITY, 128),
    ("ST", STATE, 128),
    ("C", COUNTRY, 2),
];
const COUNTRY: &[u8] = &[0x55, 4, 6];
const LOCALITY: &[u8] = &[0x55, 4, 7];
const STATE: &[u8] = &[0x55, 4, 8];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const UNIT: &[u8] = &[0x55, 4, 11];

/// What the intermediate's common name has after the root's.
const BELOW: &str = " intermediate";

/// A name: attribute by attribute, in the order in which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject(Vec<(&'static str, String)>);

impl Subject {
    /// Reads `CN=House,O=Example`; a comma within a value is `\,`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let hint = "\nhint: write --subject \"CN=House CA,O=Example,C=DE\"";
        let mut out: Vec<(&'static str, String)> = Vec::new();
        for part in split(text) {
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!("`{}` has no = in it{hint}", part.escape_debug()));
            };
            let (name, value) = (name.trim(), value.trim());
            let Some((name, _, most)) =
                ATTRIBUTES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name))
            else {
                return Err(format!("`{}` is none of CN, O, OU, L, ST, C{hint}", name.escape_debug()));
            };
            let most = if *name == "CN" { most - BELOW.len() } else { *most };
            if value.is_empty() || value.chars().count() > most || value.chars().any(is_deceptive) {
                return Err(format!("{name} has 1 to {most} printable characters{hint}"));
            }
            if *name == "C" && !(value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase())) {
                return Err(format!("C is two capital letters (ISO 3166){hint}"));
            }
            if out.iter().any(|(known, _)| known == name) {
                return Err(format!("{name} stands in it twice{hint}"));
            }
            out.push((name, value.to_owned()));
        }
        if !out.iter().any(|(name, _)| *name == "CN") {
            return Err(format!("it has no CN: clients show a CA by it{hint}"));
        }
        Ok(Self(out))
    }

    /// One with a common name alone.
    pub(super) fn common(name: &str) -> Self {
        Self(vec![("CN", name.to_owned())])
    }

    /// The name of the intermediate below a root of this name.
    pub(super) fn below(&self) -> Self {
        let end = |(name, value): &(&'static str, String)| match *name {
            "CN" => (*name, format!("{value}{BELOW}")),
            _ => (*name, value.clone()),
        };
        Self(self.0.iter().map(end).collect())
    }

    /// The DER: RFC 4514 writes the last RDN first.
    pub(super) fn der(&self) -> Vec<u8> {
        let rdn = |(name, value): &(&'static str, String)| {
            let oid = ATTRIBUTES.iter().find(|(known, ..)| known == name).map_or(&[][..], |(_, oid, _)| oid);
            let kind = if *name == "C" { tag::PRINTABLE_STRING } else { tag::UTF8_STRING };
            let pair = [encode(tag::OID, oid), encode(kind, value.as_bytes())].concat();
            encode(tag::SET, &encode(tag::SEQUENCE, &pair))
        };
        encode(tag::SEQUENCE, &self.0.iter().rev().map(rdn).collect::<Vec<_>>().concat())
    }
}

/// The parts between commas that are not behind a backslash.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut current, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                current.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            ',' => parts.push(std::mem::take(&mut current)),
            _ => current.push(c),
        }
    }
    parts.push(current);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use notafter_pki::name::Name;

    #[test]
    fn written_and_shown_alike() {
        let subject = Subject::parse("CN=House\\, root, o=Exämple,C=DE").expect("a name");
        let der = subject.der();
        assert_eq!(Name::new(&der).common_name().as_deref(), Some("House, root"));
        assert!(Name::new(&der).is_well_formed());
        assert!(Name::new(&der).to_rfc4514().starts_with("CN=House\\, root,O=Ex"));
        let below = subject.below().der();
        assert_eq!(Name::new(&below).common_name().as_deref(), Some("House, root intermediate"));
        for (wrong, words) in [
            ("House", "no ="),
            ("O=x", "no CN"),
            ("CN=", "1 to 51"),
            ("CN=a,CN=b", "twice"),
            ("CN=a,C=de", "two capital letters"),
            ("CN=a,DC=x", "is none of"),
            ("CN=a\u{202e}b", "printable"),
        ] {
            let error = Subject::parse(wrong).expect_err(wrong);
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
