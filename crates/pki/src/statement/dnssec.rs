//! Signed zones and trust anchors of DNSSEC in files: zone files with signatures, BIND's raw copies of them, and what
//! validators trust: `root.key` of unbound, `*.positive` of systemd, `bind.keys` and `trust-anchors` of BIND and its
//! RFC 5011 state, `trust-anchor=` of dnsmasq, IANA's `root-anchors.xml` (RFC 9718).
//!
//! A file with a SOA is a zone, whose signatures end; keys or digests without one are trusted by somebody. Whether a
//! key is still the right one is not known here. `$INCLUDE` is not followed: zones that are signed come in one piece.

use std::collections::{BTreeMap, BTreeSet};

use crate::container::{Content, Found, Place, Reason, Session};
use crate::dns::text::{self, Outcome};
use crate::dns::zone::{Signatures, anchors};
use crate::dns::{Data, Ds, KeyIdentity, Record, name, raw};

/// What stands in a file that is worth reading.
pub(crate) const MARKERS: &[&[u8]] =
    &[b"RRSIG", b"DNSKEY", b"KEYDATA", b"257 3 ", b"20326", b"38696", b"trust-anchor"];

/// Anchors: which keys by zone, and whether they only begin an RFC 5011 state that is kept elsewhere.
type Anchors = BTreeMap<(String, bool), BTreeSet<KeyIdentity>>;

/// So many zones of anchors are kept of one file.
const ZONES_MAX: usize = 100;

/// Reads text that may be one of these.
pub(crate) fn read(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut trusted = Anchors::new();
    let source = String::from_utf8_lossy(bytes);
    if source.contains("<TrustAnchor") {
        iana(&source, &mut trusted);
    } else if ["trust-anchors", "managed-keys", "trusted-keys"].iter().any(|word| source.contains(word)) {
        named(&source, &mut trusted);
    } else {
        dnsmasq(&source, &mut trusted);
    }
    if trusted.is_empty() {
        let origin = comment_origin(&source);
        master(session, found, &mut trusted, |each| text::read(bytes, origin, &mut |_| None, each));
    }
    keep(trusted, session, found);
}

/// Reads a zone as BIND keeps it of others.
pub(crate) fn read_raw<'a>(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'a>>) {
    let mut trusted = Anchors::new();
    master(session, found, &mut trusted, |each| raw::read(bytes, each));
    keep(trusted, session, found);
}

/// Records of a file: a zone, or keys that somebody trusts.
fn master<'a>(
    session: &mut Session,
    found: &mut Vec<Found<'a>>,
    trusted: &mut Anchors,
    read: impl FnOnce(&mut text::Each<'_>) -> Outcome,
) {
    let mut signatures = Signatures::of(None);
    let outcome = read(&mut |record: Record| {
        signatures.see(&record);
        let key = match &record.data {
            Data::Dnskey(key) if key.is_entry() => Some(key.identity(&record.owner)),
            Data::Ds(ds) => Some(ds.identity()),
            _ => None,
        };
        if let Some(key) = key.filter(|_| trusted.len() < ZONES_MAX) {
            trusted.entry((record.owner, false)).or_default().insert(key);
        }
        true
    });
    let prose = outcome.unread > 2 + outcome.records / 10;
    if signatures.zone().is_some() {
        // A zone's own keys, and those of zones below it, are what is served, not what is trusted.
        trusted.clear();
    }
    if prose {
        trusted.clear();
        return;
    }
    let Some(zone) = signatures.zone().map(str::to_owned) else { return };
    let Some(statement) = signatures.statement() else { return };
    if let Some(line) = outcome.first_unread {
        let detail = format!(
            "{} entries of the zone {zone} could not be read, the first on line {line}: their signatures are not known",
            outcome.unread
        );
        session.problem(Reason::Malformed, detail);
    }
    session.keep(found, Content::Statement(statement), Place::whole());
}

fn keep<'a>(trusted: Anchors, session: &mut Session, found: &mut Vec<Found<'a>>) {
    for ((zone, initial), keys) in trusted {
        let statement = anchors(&zone, &keys, "dnssec-anchor", initial);
        session.keep(found, Content::Statement(statement), Place::whole());
    }
}

/// BIND dumps managed keys with an origin of its own: the zone of every key stands before it.
fn comment_origin(source: &str) -> Option<&'static str> {
    source.contains("KEYDATA").then_some(".")
}

/// `trust-anchors { . initial-key 257 3 8 "..."; };` and its forerunners, in a configuration of BIND.
fn named(source: &str, out: &mut Anchors) {
    let mut words = words(source).into_iter().peekable();
    while let Some(word) = words.next() {
        let old = match word {
            "trust-anchors" => false,
            "managed-keys" => false,
            "trusted-keys" => true,
            _ => continue,
        };
        if words.next_if_eq(&"{").is_none() {
            continue;
        }
        let mut entry: Vec<&str> = Vec::new();
        for word in words.by_ref() {
            match word {
                ";" => {
                    if let Some((zone, key, initial)) = entry_of(&entry, old)
                        && out.len() < ZONES_MAX
                    {
                        out.entry((zone, initial)).or_default().insert(key);
                    }
                    entry.clear();
                }
                "}" => break,
                word => entry.push(word),
            }
        }
    }
}

fn entry_of(entry: &[&str], old: bool) -> Option<(String, KeyIdentity, bool)> {
    let (zone, rest) = entry.split_first()?;
    let zone = name::from_text(zone.as_bytes(), Some("."))?;
    let (mode, rest) = if old { (&"static-key", rest) } else { rest.split_first()? };
    let rest: Vec<&[u8]> = rest.iter().map(|word| word.as_bytes()).collect();
    let key = match *mode {
        "initial-ds" | "static-ds" => digest(rest.first()?, rest.get(1)?, rest.get(2)?, rest.get(3..)?)?,
        _ => match text::dnskey(&rest)? {
            Data::Dnskey(key) => key.is_entry().then(|| key.identity(&zone))?,
            _ => return None,
        },
    };
    Some((zone, key, mode.starts_with("initial")))
}

fn digest(tag: &[u8], algorithm: &[u8], kind: &[u8], digits: &[&[u8]]) -> Option<KeyIdentity> {
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.trim().parse::<u16>().ok();
    Some(
        Ds {
            tag: number(tag)?,
            algorithm: u8::try_from(number(algorithm)?).ok()?,
            digest_type: u8::try_from(number(kind)?).ok()?,
            digest: text::unhex(digits)?,
        }
        .identity(),
    )
}

/// Words, quoted strings and punctuation of a BIND configuration, comments left out.
fn words(source: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        let until =
            |end: &str| after.find(end).and_then(|at| after.get(at + end.len()..)).unwrap_or_default();
        rest = match first {
            '#' => until("\n"),
            '/' if after.starts_with('/') => until("\n"),
            '/' if after.starts_with('*') => until("*/"),
            '"' => {
                let end = after.find('"').unwrap_or(after.len());
                out.extend(after.get(..end).map(str::split_ascii_whitespace).into_iter().flatten());
                after.get(end + 1..).unwrap_or_default()
            }
            '{' | '}' | ';' => {
                out.extend(rest.get(..1));
                after
            }
            c if c.is_whitespace() => after,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"'));
                let end = end.unwrap_or(rest.len());
                out.extend(rest.get(..end));
                rest.get(end..).unwrap_or_default()
            }
        };
    }
    out
}

/// `trust-anchor=.,20326,8,2,E06D...` of dnsmasq.
fn dnsmasq(source: &str, out: &mut Anchors) {
    for line in source.lines().filter_map(|line| line.trim().strip_prefix("trust-anchor=")) {
        let mut fields: Vec<&str> = line.split(',').map(str::trim).collect();
        // A class may stand second.
        if fields.get(1).is_some_and(|class| class.eq_ignore_ascii_case("IN")) {
            fields.remove(1);
        }
        if let [zone, tag, algorithm, kind, digits] = fields.as_slice()
            && let Some(zone) = name::from_text(zone.as_bytes(), Some("."))
            && let Some(key) =
                digest(tag.as_bytes(), algorithm.as_bytes(), kind.as_bytes(), &[digits.as_bytes()])
            && out.len() < ZONES_MAX
        {
            out.entry((zone, false)).or_default().insert(key);
        }
    }
}

/// IANA's file. Keys of which it says that they are not valid any more are left out: it lists the past, too.
fn iana(source: &str, out: &mut Anchors) {
    let within = |text: &str, tag: &str| {
        let start = text.find(&format!("<{tag}>"))? + tag.len() + 2;
        let rest = text.get(start..)?;
        Some(rest.get(..rest.find("</")?)?.trim().to_owned())
    };
    let zone = within(source, "Zone").unwrap_or_else(|| ".".to_owned());
    let Some(zone) = name::from_text(zone.as_bytes(), Some(".")) else { return };
    for part in source.split("<KeyDigest").skip(1).take(ZONES_MAX) {
        let head = part.split('>').next().unwrap_or_default();
        let fields = || {
            let [tag, algorithm, kind, digits] =
                ["KeyTag", "Algorithm", "DigestType", "Digest"].map(|tag| within(part, tag));
            digest(tag?.as_bytes(), algorithm?.as_bytes(), kind?.as_bytes(), &[digits?.as_bytes()])
        };
        if !head.contains("validUntil")
            && let Some(key) = fields()
        {
            out.entry((zone.clone(), false)).or_default().insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};
    use crate::statement::StatementKind;

    const DIGEST: &str = "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
    const ROOT: &str = "20326/8/e06d44b80b8f1d39";

    fn check(source: &str, expected: &[(&str, &str, Option<&str>)]) {
        let opened = open(source.as_bytes(), &[], &Limits::default());
        let statements: Vec<_> = opened
            .found
            .iter()
            .filter_map(|found| match &found.content {
                Content::Statement(one) => Some(one),
                _ => None,
            })
            .collect();
        let shown: Vec<_> = statements
            .iter()
            .map(|one| {
                assert_eq!(one.kind(), StatementKind::BareKey);
                (one.names()[0].as_str(), one.fact_of("keys").unwrap_or_default(), one.fact_of("mode"))
            })
            .collect();
        assert_eq!(shown, expected, "{source}");
    }

    #[test]
    fn every_way_to_write_an_anchor_down() {
        let ds = format!("20326 8 2 {DIGEST}");
        check(&format!(". IN DS {ds}\n"), &[(".", ROOT, None)]);
        check(&format!("trust-anchor=.,{}\n", ds.replace(' ', ",")), &[(".", ROOT, None)]);
        check(&format!("trust-anchor=.,IN,{}\n", ds.replace(' ', ",")), &[(".", ROOT, None)]);
        check(
            &format!("// DNSKEY\ntrust-anchors {{\n # x }}\n\".\" initial-ds {ds};\n}};"),
            &[(".", ROOT, Some("initial"))],
        );
        check(&format!("trust-anchors {{ . static-ds {ds}; }};"), &[(".", ROOT, None)]);
        let xml = format!(
            "<TrustAnchor id=\"1\"><Zone>.</Zone><KeyDigest id=\"a\" validFrom=\"2010\" validUntil=\"2019-01-11T00:00:00+00:00\">\
             <KeyTag>19036</KeyTag><Algorithm>8</Algorithm><DigestType>2</DigestType><Digest>49AA</Digest></KeyDigest>\
             <KeyDigest id=\"b\" validFrom=\"2017\"><KeyTag>20326</KeyTag><Algorithm>8</Algorithm><DigestType>2</DigestType>\
             <Digest>{DIGEST}</Digest></KeyDigest></TrustAnchor>"
        );
        check(&xml, &[(".", ROOT, None)]);
        // A key that is revoked, one that signs records only, and prose.
        for other in [
            "x.test. IN DNSKEY 385 3 8 AwEAAaz=",
            "x.test. IN DNSKEY 256 3 8 AwEAAaz=",
            "The DNSKEY with the tag 20326\nis 257 3 8 and so on.\nMore\nlines\nof\nprose\n. IN DS 20326 8 2 00\n",
            "trust-anchors { . initial-key 257 3 8",
            "trust-anchor=.,20326,8",
        ] {
            check(other, &[]);
        }
    }
}
