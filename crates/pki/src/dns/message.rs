//! Messages of the DNS (RFC 1035 section 4): questions out, answers in; and the octets of single records.
//!
//! A question asks for signatures, too (RFC 4035 section 3.2.1). Whatever does not parse makes the whole message
//! unreadable: what a server sends is to be believed whole or not at all. Nothing is sent here.

use super::{Data, Dnskey, Ds, Record, Rrsig, Soa, kind, name};
use crate::time::UnixTime;

/// What we say that we can take by UDP: no more than travels in one piece (DNS flag day 2020).
const UDP_MAX: u16 = 1232;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which question it belongs to.
    pub id: u16,
    /// Is it from a server that has the zone?
    pub authoritative: bool,
    /// Did it not fit? Then TCP is the way to ask.
    pub truncated: bool,
    /// 0: no error; 3: no such name; 5: refused; 9: not authoritative.
    pub code: u8,
    /// What was asked for.
    pub answers: Vec<Record>,
    /// Who would know.
    pub authority: Vec<Record>,
    /// What else is of use.
    pub additional: Vec<Record>,
}

/// A question for records of this name and type. `None` where the name is none. `recurse`: for a resolver.
pub fn question(id: u16, owner: &str, kind: u16, recurse: bool) -> Option<Vec<u8>> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend([u8::from(recurse), 0]);
    for count in [1u16, 0, 0, 1] {
        out.extend(count.to_be_bytes());
    }
    out.extend(name::to_wire(owner)?);
    out.extend(kind.to_be_bytes());
    out.extend(1u16.to_be_bytes());
    // OPT (RFC 6891) with the bit that asks for signatures.
    out.extend([0, 0, 41]);
    out.extend(UDP_MAX.to_be_bytes());
    out.extend([0, 0, 0x80, 0, 0, 0]);
    Some(out)
}

impl Message {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let flags = word(2)?;
        let mut at = 12;
        for _ in 0..word(4)? {
            at = name::from_message(bytes, at)?.1.checked_add(4)?;
        }
        let mut section = |count: u16| -> Option<Vec<Record>> {
            let mut out = Vec::new();
            for _ in 0..count {
                let (record, next) = record(bytes, at)?;
                at = next;
                out.extend(record);
            }
            Some(out)
        };
        let (answers, authority, additional) = (section(word(6)?)?, section(word(8)?)?, section(word(10)?)?);
        (flags & 0x8000 != 0).then_some(Self {
            id: word(0)?,
            authoritative: flags & 0x0400 != 0,
            truncated: flags & 0x0200 != 0,
            code: (flags & 15) as u8,
            answers,
            authority,
            additional,
        })
    }
}

/// One record and where the next begins. None for what is no record of the Internet's: OPT, TSIG.
fn record(bytes: &[u8], at: usize) -> Option<(Option<Record>, usize)> {
    let (owner, at) = name::from_message(bytes, at)?;
    let head: [u8; 10] = bytes.get(at..at + 10)?.try_into().ok()?;
    let [k0, k1, c0, c1, t0, t1, t2, t3, l0, l1] = head;
    let (kind, class) = (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([c0, c1]));
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let start = at + 10;
    bytes.get(start..start + length)?;
    let data = if class == 1 { Some(data(kind, bytes, start, length)?) } else { None };
    let ttl = u32::from_be_bytes([t0, t1, t2, t3]);
    Some((data.map(|data| Record { owner, kind, ttl, data }), start + length))
}

/// Reads what a record of this type says. `None` where it says nothing that makes sense.
pub(super) fn data(kind: u16, bytes: &[u8], at: usize, length: usize) -> Option<Data> {
    let end = at.checked_add(length)?;
    let own = bytes.get(at..end)?;
    let byte = |n: usize| own.get(n).copied();
    let word = |n: usize| Some(u16::from_be_bytes([byte(n)?, byte(n + 1)?]));
    let long = |n: usize| Some(u32::from(word(n)?) << 16 | u32::from(word(n + 2)?));
    // Names may point outside, but not reach beyond the end.
    let named = |n: usize| name::from_message(bytes, at + n).filter(|(_, after)| *after <= end);
    let ends = |n: usize| named(n).filter(|(_, after)| *after == end).map(|(name, _)| name);
    Some(match kind {
        kind::A => Data::A(<[u8; 4]>::try_from(own).ok()?.into()),
        kind::AAAA => Data::Aaaa(<[u8; 16]>::try_from(own).ok()?.into()),
        kind::NS => Data::Ns(ends(0)?),
        kind::CNAME => Data::Cname(ends(0)?),
        kind::SOA => {
            let (primary, next) = named(0)?;
            let (_, next) = named(next - at)?;
            let at = next - at;
            if own.len() != at + 20 {
                return None;
            }
            Data::Soa(Soa { primary, serial: long(at)?, refresh: long(at + 4)?, expire: long(at + 12)? })
        }
        kind::MX => Data::Mx(ends(2)?),
        kind::TXT => text(own).map_or(Data::Other, Data::Txt),
        kind::SRV => Data::Srv { port: word(4)?, target: ends(6)? },
        kind::DS => Data::Ds(Ds {
            tag: word(0)?,
            algorithm: byte(2)?,
            digest_type: byte(3)?,
            digest: own.get(4..)?.to_vec(),
        }),
        kind::DNSKEY => Data::Dnskey(dnskey(own)?),
        // Three times of RFC 5011 before the key.
        kind::KEYDATA => Data::Dnskey(dnskey(own.get(12..)?)?),
        kind::RRSIG => Data::Rrsig(Rrsig {
            covered: word(0)?,
            algorithm: byte(2)?,
            expiration: UnixTime(long(8)?.into()),
            inception: UnixTime(long(12)?.into()),
            tag: word(16)?,
            signer: named(18)?.0,
        }),
        kind::SVCB | kind::HTTPS => {
            let (target, next) = named(2)?;
            Data::Svcb { priority: word(0)?, target, port: svcb_port(bytes.get(next..end)?) }
        }
        kind::CAA => {
            let size = usize::from(byte(1)?);
            let tag = own.get(2..2 + size).filter(|tag| !tag.is_empty())?;
            Data::Caa {
                flags: byte(0)?,
                tag: String::from_utf8_lossy(tag).to_ascii_lowercase(),
                value: String::from_utf8_lossy(own.get(2 + size..)?).into_owned(),
            }
        }
        _ => Data::Other,
    })
}

/// The pieces of a text, joined. `None` where a length leads beyond the end: some servers hold such records, and a zone
/// is not unreadable for one of them.
fn text(mut own: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let [size, rest @ ..] = own {
        out.extend_from_slice(rest.get(..usize::from(*size))?);
        own = &rest[usize::from(*size)..];
    }
    Some(out)
}

fn dnskey(own: &[u8]) -> Option<Dnskey> {
    match own {
        [f0, f1, protocol, algorithm, key @ ..] => Some(Dnskey {
            flags: u16::from_be_bytes([*f0, *f1]),
            protocol: *protocol,
            algorithm: *algorithm,
            key: key.to_vec(),
        }),
        _ => None,
    }
}

/// The port among the parameters of a service (RFC 9460 section 7.2), key 3.
fn svcb_port(mut parameters: &[u8]) -> Option<u16> {
    while let [k0, k1, l0, l1, rest @ ..] = parameters {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = rest.get(..length)?;
        if (*k0, *k1) == (0, 3) {
            return Some(u16::from_be_bytes(value.try_into().ok()?));
        }
        parameters = rest.get(length..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one() {
        let bytes = question(7, "example.com", kind::SOA, true).expect("a question");
        assert_eq!(bytes[..12], [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(Message::parse(&bytes), None, "it is no answer");
        assert_eq!(question(7, &"x".repeat(64), kind::SOA, true), None);
    }

    #[test]
    fn texts_are_joined() {
        let read = |own: &[u8]| data(kind::TXT, own, 0, own.len());
        assert_eq!(read(b"\x03abc\x00\x02de"), Some(Data::Txt(b"abcde".to_vec())));
        assert_eq!(read(b""), Some(Data::Txt(Vec::new())));
        assert_eq!(read(b"\x04abc"), Some(Data::Other), "a length beyond the end");
    }

    #[test]
    fn half_an_answer_is_none() {
        let mut bytes = question(7, "example.com", kind::A, false).expect("a question");
        bytes[2] |= 0x84;
        bytes[7] = 1;
        let at = bytes.len() - 11;
        let answer = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 10, 0, 0, 1][..], &bytes[at..]].concat();
        bytes.truncate(at);
        bytes.extend(answer);
        let message = Message::parse(&bytes).expect("an answer");
        assert!(message.authoritative && message.additional.is_empty());
        assert_eq!(message.answers[0].owner, "example.com");
        assert_eq!(message.answers[0].data, Data::A([10, 0, 0, 1].into()));
        for length in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..length]), None, "{length}");
        }
    }
}
