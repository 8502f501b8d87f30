//! Zone files: the master format of RFC 1035 section 5, with `$ORIGIN`, `$INCLUDE` and `$TTL` (RFC 2308), records
//! over many lines, and types by number (RFC 3597).
//!
//! Records are handed on one by one, so that a zone of any size needs no memory. What cannot be read is counted and
//! passed over: a server would refuse the whole file, and somebody who looks for dates wants the rest. `$INCLUDE`
//! asks the caller, who knows the disk; `$GENERATE` of BIND is counted as not read.

use super::{Data, Dnskey, Ds, Record, Rrsig, Soa, kind, kind_of, message, name};
use crate::container::base64;
use crate::statement::read_rfc3339;
use crate::time::UnixTime;

/// Files that include each other: no deeper than this.
const DEPTH_MAX: usize = 8;
/// So many words make a record at most: a long key is written in some hundred.
const WORDS_MAX: usize = 20_000;

/// So many entries more than were understood are not, and it is no zone file.
const UNREAD_MAX: u64 = 50;

/// Gives the text of a file that `$INCLUDE` names.
pub type Include<'f> = dyn FnMut(&str) -> Option<Vec<u8>> + 'f;
/// Takes a record; `false` ends the reading.
pub type Each<'f> = dyn FnMut(Record) -> bool + 'f;

/// What became of a zone file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// So many records were read.
    pub records: u64,
    /// So many entries were not understood.
    pub unread: u64,
    /// The first of them: its line, from 1.
    pub first_unread: Option<usize>,
    /// Files that were named and could not be had.
    pub missing: Vec<String>,
}

/// Reads a zone file. `origin`: the zone's name, where the caller knows it.
pub fn read(text: &[u8], origin: Option<&str>, include: &mut Include<'_>, each: &mut Each<'_>) -> Outcome {
    let mut reader = Reader {
        origin: origin.map(str::to_owned),
        owner: None,
        ttl: 0,
        outcome: Outcome::default(),
        include,
        each,
    };
    reader.file(text, 0);
    reader.outcome
}

struct Reader<'f, 'i, 'e> {
    origin: Option<String>,
    owner: Option<String>,
    ttl: u32,
    outcome: Outcome,
    include: &'f mut Include<'i>,
    each: &'f mut Each<'e>,
}

/// One entry: its words, and whether a blank stands before the first.
#[derive(Default)]
struct Entry {
    words: Vec<Vec<u8>>,
    indented: bool,
    line: usize,
    /// More words than make sense, or a quote or a bracket that is never closed.
    broken: bool,
}

impl Reader<'_, '_, '_> {
    /// `false`: enough was read.
    fn file(&mut self, text: &[u8], depth: usize) -> bool {
        let mut lines = Lines { rest: text, line: 0 };
        while let Some(entry) = lines.entry() {
            match self.entry(&entry, depth) {
                Some(true) => {}
                Some(false) => return false,
                None => {
                    self.outcome.unread += 1;
                    self.outcome.first_unread.get_or_insert(entry.line);
                    // Prose: there is no end of it, and nothing in it.
                    if self.outcome.unread > UNREAD_MAX + self.outcome.records {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// `None`: not understood.
    fn entry(&mut self, entry: &Entry, depth: usize) -> Option<bool> {
        if entry.broken {
            return None;
        }
        let words: Vec<&[u8]> = entry.words.iter().map(Vec::as_slice).collect();
        let first = *words.first()?;
        if first.first() == Some(&b'$') && !entry.indented {
            let word = *words.get(1)?;
            match first.to_ascii_uppercase().as_slice() {
                b"$ORIGIN" => self.origin = Some(name::from_text(word, self.origin.as_deref())?),
                b"$TTL" => self.ttl = seconds(word)?,
                b"$INCLUDE" => {
                    let file = String::from_utf8_lossy(word).into_owned();
                    let inner = match words.get(2) {
                        Some(origin) => Some(name::from_text(origin, self.origin.as_deref())?),
                        None => self.origin.clone(),
                    };
                    let text = if depth < DEPTH_MAX { (self.include)(&file) } else { None };
                    let Some(text) = text else {
                        if self.outcome.missing.len() < 100 {
                            self.outcome.missing.push(file);
                        }
                        return Some(true);
                    };
                    // What is set within a file holds within it.
                    let outer = (std::mem::replace(&mut self.origin, inner), self.owner.clone());
                    let more = self.file(&text, depth + 1);
                    (self.origin, self.owner) = outer;
                    return Some(more);
                }
                _ => return None,
            }
            return Some(true);
        }
        let mut rest = words.as_slice();
        if !entry.indented {
            self.owner = Some(name::from_text(first, self.origin.as_deref())?);
            rest = rest.get(1..)?;
        }
        let owner = self.owner.clone()?;
        let mut ttl = None;
        let kind = loop {
            let word = *rest.first()?;
            rest = rest.get(1..)?;
            if let (None, Some(time)) = (ttl, seconds(word)) {
                ttl = Some(time);
                continue;
            }
            let word = std::str::from_utf8(word).ok()?;
            if ["IN", "CH", "HS", "CS"].iter().any(|class| word.eq_ignore_ascii_case(class)) {
                continue;
            }
            break kind_of(word)?;
        };
        let data = data(kind, rest, self.origin.as_deref())?;
        self.outcome.records += 1;
        let ttl = ttl.unwrap_or(self.ttl);
        self.ttl = ttl;
        Some((self.each)(Record { owner, kind, ttl, data }))
    }
}

/// Seconds, also as `1h30m`.
fn seconds(word: &[u8]) -> Option<u32> {
    let (mut all, mut number, mut digits) = (0u64, 0u64, false);
    for byte in word {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
                digits = true;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if !std::mem::take(&mut digits) {
            return None;
        }
        all = all.checked_add(std::mem::take(&mut number).checked_mul(unit)?)?;
    }
    (!word.is_empty()).then_some(())?;
    u32::try_from(all.checked_add(number)?).ok()
}

/// What follows the type, as facts.
fn data(kind: u16, words: &[&[u8]], origin: Option<&str>) -> Option<Data> {
    let text = |n: usize| words.get(n).and_then(|word| std::str::from_utf8(word).ok());
    if text(0) == Some("\\#") {
        let length: usize = text(1)?.parse().ok()?;
        let bytes = unhex(words.get(2..)?)?;
        return (bytes.len() == length).then(|| message::data(kind, &bytes, 0, length)).flatten();
    }
    let named = |n: usize| name::from_text(words.get(n)?, origin);
    let short = |n: usize| text(n)?.parse::<u16>().ok();
    let byte = |n: usize| text(n)?.parse::<u8>().ok();
    Some(match kind {
        kind::A => Data::A(text(0)?.parse().ok()?),
        kind::AAAA => Data::Aaaa(text(0)?.parse().ok()?),
        kind::NS => Data::Ns(named(0)?),
        kind::CNAME => Data::Cname(named(0)?),
        kind::MX => Data::Mx(named(1)?),
        kind::SRV => Data::Srv { port: short(2)?, target: named(3)? },
        kind::SOA => Data::Soa(Soa {
            primary: named(0)?,
            serial: text(2)?.parse().ok()?,
            refresh: seconds(words.get(3)?)?,
            expire: seconds(words.get(5)?)?,
        }),
        kind::DS => Data::Ds(Ds {
            tag: short(0)?,
            algorithm: algorithm(text(1)?)?,
            digest_type: byte(2)?,
            digest: unhex(words.get(3..)?)?,
        }),
        kind::DNSKEY => dnskey(words)?,
        // Three times of RFC 5011 before the key.
        kind::KEYDATA => dnskey(words.get(3..)?)?,
        kind::RRSIG => {
            words.get(8)?;
            Data::Rrsig(Rrsig {
                covered: kind_of(text(0)?)?,
                algorithm: algorithm(text(1)?)?,
                expiration: time(text(4)?)?,
                inception: time(text(5)?)?,
                tag: short(6)?,
                signer: named(7)?,
            })
        }
        kind::SVCB | kind::HTTPS => {
            let parameters = words.get(2..)?.iter().filter_map(|word| std::str::from_utf8(word).ok());
            let port = parameters.filter_map(|word| word.strip_prefix("port=")).next();
            Data::Svcb {
                priority: short(0)?,
                target: named(1)?,
                port: port.map(|port| port.trim_matches('"').parse()).transpose().ok()?,
            }
        }
        kind::CAA => Data::Caa {
            flags: byte(0)?,
            tag: text(1)?.to_ascii_lowercase(),
            value: String::from_utf8_lossy(words.get(2)?).into_owned(),
        },
        _ => Data::Other,
    })
}

/// A key: flags, protocol, algorithm, base64 in any number of words.
pub(crate) fn dnskey(words: &[&[u8]]) -> Option<Data> {
    let text = |n: usize| words.get(n).and_then(|word| std::str::from_utf8(word).ok());
    let key = base64::decode(&words.get(3..)?.concat());
    (!key.is_empty()).then_some(())?;
    Some(Data::Dnskey(Dnskey {
        flags: text(0)?.parse().ok()?,
        protocol: text(1)?.parse().ok()?,
        algorithm: algorithm(text(2)?)?,
        key,
    }))
}

/// An algorithm by number or by word (IANA, "DNS Security Algorithm Numbers").
fn algorithm(word: &str) -> Option<u8> {
    const KNOWN: &[(&str, u8)] = &[
        ("RSASHA1", 5),
        ("NSEC3RSASHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
    ];
    let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
    known.or_else(|| word.parse().ok())
}

/// `20260301120000`, or seconds (RFC 4034 section 3.2).
fn time(word: &str) -> Option<UnixTime> {
    if word.len() != 14 {
        return word.parse::<u32>().ok().map(|seconds| UnixTime(seconds.into()));
    }
    let part = |from: usize, to: usize| word.get(from..to);
    let (date, clock) =
        ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 14)?));
    read_rfc3339(&format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, clock.0, clock.1, clock.2))
}

pub(crate) fn unhex(words: &[&[u8]]) -> Option<Vec<u8>> {
    crate::fingerprint::unhex(std::str::from_utf8(&words.concat()).ok()?)
}

/// Entries of a file, one after the other.
struct Lines<'t> {
    rest: &'t [u8],
    line: usize,
}

impl Lines<'_> {
    /// The next entry with a word in it.
    fn entry(&mut self) -> Option<Entry> {
        let mut entry = Entry::default();
        let (mut depth, mut fresh) = (0usize, true);
        while let Some((&byte, after)) = self.rest.split_first() {
            if fresh {
                self.line += 1;
                if entry.words.is_empty() && depth == 0 {
                    entry.indented = matches!(byte, b' ' | b'\t');
                    entry.line = self.line;
                }
                fresh = false;
            }
            match byte {
                b'\n' => {
                    self.rest = after;
                    fresh = true;
                    if depth == 0 && !entry.words.is_empty() {
                        return Some(entry);
                    }
                }
                b' ' | b'\t' | b'\r' => self.rest = after,
                b';' => {
                    let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
                    self.rest = self.rest.get(end..).unwrap_or_default();
                }
                b'(' => {
                    depth += 1;
                    self.rest = after;
                }
                b')' => {
                    entry.broken |= depth == 0;
                    depth = depth.saturating_sub(1);
                    self.rest = after;
                }
                _ => self.word(&mut entry),
            }
        }
        entry.broken |= depth > 0;
        (!entry.words.is_empty()).then_some(entry)
    }

    fn word(&mut self, entry: &mut Entry) {
        let quoted = self.rest.first() == Some(&b'"');
        let mut word = Vec::new();
        let mut at = usize::from(quoted);
        loop {
            match self.rest.get(at) {
                None => {
                    entry.broken |= quoted;
                    break;
                }
                Some(b'\\') => {
                    // An escape is left as it is for names; what is quoted is text.
                    let next = self.rest.get(at + 1).copied();
                    if quoted && next.is_some_and(|n| !n.is_ascii_digit()) {
                        word.extend(next);
                    } else {
                        word.push(b'\\');
                        word.extend(next);
                    }
                    self.line += usize::from(next == Some(b'\n'));
                    at += 2;
                }
                Some(b'"') if quoted => {
                    at += 1;
                    break;
                }
                Some(b'\n') if quoted => {
                    entry.broken = true;
                    break;
                }
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"') if !quoted => break,
                Some(byte) => {
                    word.push(*byte);
                    at += 1;
                }
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        if entry.words.len() < WORDS_MAX {
            entry.words.push(word);
        } else {
            entry.broken = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, origin: Option<&str>) -> (Vec<Record>, Outcome) {
        let mut out = Vec::new();
        let mut include = |file: &str| (file == "more").then(|| b"in 60 A 10.0.0.9\n".to_vec());
        let outcome = read(text.as_bytes(), origin, &mut include, &mut |record| {
            out.push(record);
            true
        });
        (out, outcome)
    }

    fn check(text: &str, expected: &[&str], unread: u64) {
        let (found, outcome) = records(text, Some("example.com"));
        let shown: Vec<String> = found
            .iter()
            .map(|r| format!("{} {} {}", r.owner, r.ttl, super::super::word_of(r.kind)))
            .collect();
        assert_eq!(
            (shown, outcome.unread),
            (expected.iter().map(|s| (*s).to_owned()).collect(), unread),
            "{text}"
        );
    }

    #[test]
    fn every_form_of_an_entry() {
        check("www 300 IN A 10.0.0.1", &["www.example.com 300 A"], 0);
        check(
            "$TTL 1h30m\nwww IN A 10.0.0.1\n\tAAAA ::1\n",
            &["www.example.com 5400 A", "www.example.com 5400 AAAA"],
            0,
        );
        check(
            "a IN 60 A 10.0.0.1 ; text ( in a comment\nb A 10.0.0.2",
            &["a.example.com 60 A", "b.example.com 60 A"],
            0,
        );
        check(
            "@ SOA ns1 admin (\n 7 ; serial\n 3600 600\n 86400 300 )\n$ORIGIN sub\nx A 10.0.0.1",
            &["example.com 0 SOA", "x.sub.example.com 0 A"],
            0,
        );
        check(
            "$INCLUDE more sub.test.\nafter A 10.0.0.1",
            &["in.sub.test 60 A", "after.example.com 60 A"],
            0,
        );
        check(
            "a TXT \"one ; ( two\" three\nb TXT \"never closed\nc A 10.0.0.1",
            &["a.example.com 0 TXT", "c.example.com 0 A"],
            1,
        );
        check(
            "a TYPE1 \\# 4 0a000001\nb TYPE65280 \\# 1 ff\nc A \\# 3 0a0000",
            &["a.example.com 0 A", "b.example.com 0 TYPE65280"],
            1,
        );
        check("a A 10.0.0.300\na A\nb NOSUCH x\n$GENERATE 1-2 h$ A 10.0.0.$\n)", &[], 4);
        check("a A ( 10.0.0.1", &[], 1);
        check("\t A 10.0.0.1", &[], 1);
    }

    #[test]
    fn what_records_say() {
        let text = "a MX 10 mail\n_x._tcp SRV 0 5 8443 host.test.\n@ HTTPS 1 . alpn=h2 port=8443\n@ CAA 0 Issue \"ca.test; x=y\"\n";
        let (found, _) = records(text, Some("test"));
        let data: Vec<&Data> = found.iter().map(|r| &r.data).collect();
        assert_eq!(data[0], &Data::Mx("mail.test".into()));
        assert_eq!(data[1], &Data::Srv { port: 8443, target: "host.test".into() });
        assert_eq!(data[2], &Data::Svcb { priority: 1, target: ".".into(), port: Some(8443) });
        assert_eq!(data[3], &Data::Caa { flags: 0, tag: "issue".into(), value: "ca.test; x=y".into() });
    }

    #[test]
    fn root_keys_have_the_tags_and_digests_that_iana_publishes() {
        // IANA, root-anchors.xml: KSK-2017.
        let key = ". 172800 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=";
        let (found, _) = records(key, None);
        let Data::Dnskey(key) = &found[0].data else { panic!("{found:?}") };
        assert!(key.is_entry());
        assert_eq!(key.identity(".").to_string(), "20326/8/e06d44b80b8f1d39");
    }

    #[test]
    fn includes_end() {
        let mut asked = 0;
        let outcome = read(
            b"$INCLUDE again\n",
            Some("test"),
            &mut |_| {
                asked += 1;
                Some(b"$INCLUDE again\n".to_vec())
            },
            &mut |_| true,
        );
        assert_eq!((asked, outcome.missing.len()), (8, 1));
    }
}
