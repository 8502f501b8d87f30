//! Records of the DNS as facts, from messages (`message.rs`), from zone files (`text.rs`) and from what BIND keeps of
//! other servers' zones (`raw.rs`); what a zone's signatures say about its end (`zone.rs`); shared keys (`tsig.rs`).
//!
//! Only what tells where servers are or when something ends is taken apart (RFC 1035, 2782, 4034, 8659, 9460); the
//! rest is [`Data::Other`]. It asks nobody, opens no file and checks no signature of a zone.

pub mod caa;
pub mod message;
pub mod name;
pub mod raw;
pub mod text;
pub mod tsig;
pub mod zone;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::fingerprint::{hex, sha256};
use crate::time::UnixTime;

/// Numbers of the types that are read (IANA, "Resource Record (RR) TYPEs").
pub mod kind {
    #![allow(missing_docs)]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DS: u16 = 43;
    pub const RRSIG: u16 = 46;
    pub const DNSKEY: u16 = 48;
    pub const TLSA: u16 = 52;
    pub const SVCB: u16 = 64;
    pub const HTTPS: u16 = 65;
    pub const AXFR: u16 = 252;
    pub const CAA: u16 = 257;
    /// What BIND keeps its RFC 5011 state in: a DNSKEY behind three times.
    pub const KEYDATA: u16 = 65533;
}

/// Types by their words, beside `TYPE123`.
const WORDS: &[(&str, u16)] = &[
    ("A", kind::A),
    ("NS", kind::NS),
    ("CNAME", kind::CNAME),
    ("SOA", kind::SOA),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", kind::MX),
    ("TXT", kind::TXT),
    ("RP", 17),
    ("AFSDB", 18),
    ("KEY", 25),
    ("AAAA", kind::AAAA),
    ("LOC", 29),
    ("SRV", kind::SRV),
    ("NAPTR", 35),
    ("DNAME", 39),
    ("APL", 42),
    ("DS", kind::DS),
    ("SSHFP", 44),
    ("RRSIG", kind::RRSIG),
    ("NSEC", 47),
    ("DNSKEY", kind::DNSKEY),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", kind::TLSA),
    ("SMIMEA", 53),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", kind::SVCB),
    ("HTTPS", kind::HTTPS),
    ("SPF", 99),
    ("URI", 256),
    ("CAA", kind::CAA),
    ("KEYDATA", kind::KEYDATA),
];

/// The number of a type, by its word.
pub fn kind_of(word: &str) -> Option<u16> {
    let known = WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
    known.or_else(|| {
        let digits = word.get(..4).filter(|w| w.eq_ignore_ascii_case("TYPE")).and_then(|_| word.get(4..))?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    })
}

/// The word for a type.
pub fn word_of(kind: u16) -> String {
    let known = WORDS.iter().find(|(_, number)| *number == kind).map(|(word, _)| (*word).to_owned());
    known.unwrap_or_else(|| format!("TYPE{kind}"))
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its owner, as [`name`] writes names.
    pub owner: String,
    /// The number of its type.
    pub kind: u16,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says, as far as it is of use here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// An address.
    A(Ipv4Addr),
    /// An address.
    Aaaa(Ipv6Addr),
    /// A server of the zone.
    Ns(String),
    /// Another name for it.
    Cname(String),
    /// The beginning of a zone.
    Soa(Soa),
    /// Who takes its mail.
    Mx(String),
    /// Text: its pieces, one behind the other (RFC 1035 section 3.3.14). Read from messages alone.
    Txt(Vec<u8>),
    /// Where a service is.
    Srv {
        /// Its port.
        port: u16,
        /// Its host.
        target: String,
    },
    /// How a service is reached, HTTPS among them.
    Svcb {
        /// 0: another name for it.
        priority: u16,
        /// Its host; `.`: the owner.
        target: String,
        /// Its port, if that is not the usual one.
        port: Option<u16>,
    },
    /// Who may issue certificates.
    Caa {
        /// 128: whoever does not understand it must not issue.
        flags: u8,
        /// `issue`, `issuewild`, `iodef`, ...; lower case.
        tag: String,
        /// What it says.
        value: String,
    },
    /// The digest of a key of a zone below.
    Ds(Ds),
    /// A key of the zone.
    Dnskey(Dnskey),
    /// A signature.
    Rrsig(Rrsig),
    /// Anything else.
    Other,
}

/// The beginning of a zone, RFC 1035 section 3.3.13. Times in seconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Soa {
    /// The server that changes are made at.
    pub primary: String,
    /// Grows with each change.
    pub serial: u32,
    /// So often a copy asks whether there is a newer one.
    pub refresh: u32,
    /// So old a copy may become.
    pub expire: u32,
}

/// The digest of a key, RFC 4034 section 5.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ds {
    /// The key's tag.
    pub tag: u16,
    /// The key's algorithm.
    pub algorithm: u8,
    /// How it was made: 2 is SHA-256.
    pub digest_type: u8,
    /// It.
    pub digest: Vec<u8>,
}

/// A key, RFC 4034 section 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dnskey {
    /// 256: of a zone; 1: where trust begins; 128: revoked (RFC 5011).
    pub flags: u16,
    /// Always 3.
    pub protocol: u8,
    /// Its algorithm.
    pub algorithm: u8,
    /// It.
    pub key: Vec<u8>,
}

/// A signature, RFC 4034 section 3. Who made it and when it ends; not the signature itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rrsig {
    /// The type that is signed.
    pub covered: u16,
    /// The algorithm.
    pub algorithm: u8,
    /// From when.
    pub inception: UnixTime,
    /// Until when.
    pub expiration: UnixTime,
    /// The tag of the key.
    pub tag: u16,
    /// The zone whose key it is.
    pub signer: String,
}

impl Dnskey {
    /// Does trust begin here: a key-signing key of a zone that is not revoked?
    pub fn is_entry(&self) -> bool {
        self.flags & 0x0181 == 0x0101 && self.protocol == 3
    }

    fn to_wire(&self) -> Vec<u8> {
        let mut out = self.flags.to_be_bytes().to_vec();
        out.extend([self.protocol, self.algorithm]);
        out.extend_from_slice(&self.key);
        out
    }

    /// Its tag, RFC 4034 appendix B.
    pub fn tag(&self) -> u16 {
        let sum = self.to_wire().chunks(2).fold(0u32, |sum, pair| {
            let (high, low) =
                (pair.first().copied().unwrap_or_default(), pair.get(1).copied().unwrap_or_default());
            sum.wrapping_add(u32::from(high) << 8 | u32::from(low))
        });
        (sum.wrapping_add(sum >> 16) & 0xffff) as u16
    }

    /// It as the key of this zone.
    pub fn identity(&self, owner: &str) -> KeyIdentity {
        let digest = name::to_wire(owner).map(|mut wire| {
            wire.extend(self.to_wire());
            hex(&sha256(&wire)[..8])
        });
        KeyIdentity { tag: self.tag(), algorithm: self.algorithm, digest }
    }
}

impl Ds {
    /// The key that it stands for.
    pub fn identity(&self) -> KeyIdentity {
        let digest = (self.digest_type == 2).then(|| self.digest.get(..8)).flatten().map(hex);
        KeyIdentity { tag: self.tag, algorithm: self.algorithm, digest }
    }
}

/// Which key of a zone: its tag and algorithm, and the beginning of the SHA-256 that a DS record would have.
///
/// Prints and parses as `20326/8/e06d44b80b8f1d39`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyIdentity {
    /// The tag.
    pub tag: u16,
    /// The algorithm.
    pub algorithm: u8,
    /// 16 digits; `None` where only another digest is known.
    pub digest: Option<String>,
}

impl KeyIdentity {
    /// Can it be the same key?
    pub fn is(&self, other: &Self) -> bool {
        let digests = self.digest.as_ref().zip(other.digest.as_ref());
        (self.tag, self.algorithm) == (other.tag, other.algorithm) && digests.is_none_or(|(a, b)| a == b)
    }

    /// Reads what [`std::fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let (tag, algorithm) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let digest = parts.next()?;
        Some(Self { tag, algorithm, digest: (digest != "-").then(|| digest.to_owned()) })
    }
}

impl std::fmt::Display for KeyIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.tag, self.algorithm, self.digest.as_deref().unwrap_or("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_words() {
        for (word, number) in [("a", Some(1)), ("TYPE65534", Some(65534)), ("TYPE", None), ("X", None)] {
            assert_eq!(kind_of(word), number, "{word}");
        }
        assert_eq!((word_of(46), word_of(65280)), ("RRSIG".to_owned(), "TYPE65280".to_owned()));
    }

    #[test]
    fn a_key_is_told_by_its_digest_where_there_is_one() {
        let known = KeyIdentity { tag: 20326, algorithm: 8, digest: Some("e06d44b80b8f1d39".to_owned()) };
        let other = KeyIdentity { digest: Some("0000000000000000".to_owned()), ..known.clone() };
        let blank = KeyIdentity { digest: None, ..known.clone() };
        assert!(known.is(&blank) && !known.is(&other));
        for one in [known, blank] {
            assert_eq!(KeyIdentity::parse(&one.to_string()), Some(one));
        }
    }
}
