//! What a renewer signs in with, where that has an end: tokens, client certificates, dates that stand beside a secret.
//!
//! The files are those that its state, its unit or its script names. Only dates leave this file, never what they belong
//! to. A date counts where a word beside it says that something ends then.

use std::path::Path;

use notafter_core::UnixTime;
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Content, Limits};
use notafter_pki::time::Civil;

use super::dates;
use crate::tree::Tree;

/// A credential's end. The file is its owner's to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// `token`, `certificate`, or the setting that says the date.
    pub what: String,
    /// When it begins, if that is known.
    pub from: Option<UnixTime>,
    /// When it ends.
    pub until: UnixTime,
}

/// No larger file is taken for a credential, in bytes.
const SIZE_MAX: usize = 256 << 10;
/// So many lines of one are read, each so long at most, in bytes.
const LINES_MAX: usize = 2000;
const LINE_MAX: usize = 16 << 10;
/// So many ends of one file are kept.
const ENDS_MAX: usize = 8;

/// Words beside which a date is an end.
const WORDS: &[&str] = &[
    "expir",
    "valid_until",
    "validuntil",
    "valid until",
    "valid_to",
    "notafter",
    "not_after",
    "enddate",
    "end_date",
];

/// The ends of what is in a file.
pub(super) fn ends(tree: &Tree, path: &Path) -> Vec<Ends> {
    let Ok(bytes) = tree.read(path) else { return Vec::new() };
    if bytes.len() > SIZE_MAX {
        return Vec::new();
    }
    let mut out = in_container(&bytes);
    if !bytes.contains(&0) {
        out.extend(in_text(&String::from_utf8_lossy(&bytes)));
    }
    out.truncate(ENDS_MAX);
    out
}

/// Tokens, and the certificate of a client whose key is beside it.
fn in_container(bytes: &[u8]) -> Vec<Ends> {
    let opened = container::open(bytes, &[], &Limits::default());
    let key = opened.found.iter().any(|f| matches!(f.content, Content::PrivateKey(_)));
    let mut out = Vec::new();
    for found in &opened.found {
        match &found.content {
            Content::Statement(statement) => out.extend(statement.not_after().map(|until| Ends {
                what: statement.kind().as_str().replace('-', " "),
                from: statement.not_before(),
                until,
            })),
            Content::Certificate(der) if key => {
                let leaf = Certificate::parse(der).ok().filter(|c| !c.is_ca());
                out.extend(leaf.and_then(|c| {
                    Some(Ends {
                        what: "client certificate".into(),
                        from: c.not_before(),
                        until: c.not_after()?,
                    })
                }));
            }
            _ => {}
        }
    }
    out
}

fn in_text(text: &str) -> Vec<Ends> {
    let mut out: Vec<Ends> = Vec::new();
    for line in text.lines().take(LINES_MAX).filter(|l| l.len() <= LINE_MAX) {
        let lower = line.to_ascii_lowercase();
        let Some(at) = WORDS.iter().filter_map(|word| lower.find(word)).min() else { continue };
        let Some(until) = date_after(&line[at..]) else { continue };
        let what = setting(line, at);
        if !out.iter().any(|e| e.until == until) {
            out.push(Ends { what, from: None, until });
        }
    }
    out
}

/// The name of the setting that says it, `secret` where a remark does.
fn setting(line: &str, at: usize) -> String {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let before = line[..at].rsplit(|c| !name(c)).next().unwrap_or_default();
    let word: String = line[at - before.len()..].chars().take_while(|c| name(*c)).take(60).collect();
    let remark = line.trim_start().starts_with(['#', ';', '/']);
    if remark || word.is_empty() { "secret".to_owned() } else { format!("secret ({word})") }
}

/// The first date in a text: RFC 3339 or its day alone, or seconds (or thousandths) since 1970.
fn date_after(text: &str) -> Option<UnixTime> {
    for (n, _) in text.char_indices().take(400) {
        let rest = &text[n..];
        if n > 0 && text.as_bytes()[n - 1].is_ascii_digit() || !rest.as_bytes()[0].is_ascii_digit() {
            continue;
        }
        if let Some(found) = dates::parse(rest).or_else(|| day(rest)) {
            return Some(found);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: Option<i64> = rest[..digits].parse().ok();
        match (digits, number) {
            (10, Some(seconds)) => return Some(UnixTime(seconds)),
            (13, Some(thousandths)) => return Some(UnixTime(thousandths / 1000)),
            _ => {}
        }
    }
    None
}

/// `2026-12-01`, at its end: a date without a time is the last day on which it works.
fn day(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    let marks = bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let date = Civil {
        year: i64::from(part(0, 4)?),
        month: part(5, 7)? as u8,
        day: part(8, 10)? as u8,
        hour: 23,
        minute: 59,
        second: 59,
    };
    marks.then(|| UnixTime::from_civil(date))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let found = ends(&Tree::of(&[("/x", text)]), Path::new("/x"));
            let got: Vec<_> = found.iter().map(|e| (e.what.clone(), e.until.to_string())).collect();
            let expected: Vec<_> = expected.iter().map(|(w, t)| ((*w).to_owned(), (*t).to_owned())).collect();
            assert_eq!(got, expected, "{text}");
        };
        check(
            "dns_x_token = abc\ndns_x_token_expires = 2026-12-01\n",
            &[("secret (dns_x_token_expires)", "2026-12-01T23:59:59Z")],
        );
        check("# this token expires 2026-12-01, ask Ann\ntoken=1\n", &[("secret", "2026-12-01T23:59:59Z")]);
        check(
            "{\"accessToken\":\"x\", \"expiresAt\":\"2026-12-01T10:00:00Z\"}",
            &[("secret (expiresAt)", "2026-12-01T10:00:00Z")],
        );
        check("{\"expires_on\": 1796119200}", &[("secret (expires_on)", "2026-12-01T10:00:00Z")]);
        check("expires_in=3600\nttl = 120\n", &[]);
        check("created = 2026-12-01\n", &[]);
        check("é expiré 2026-é2-01 é", &[]);
        check("été_expires 2026-12-01", &[("secret (_expires)", "2026-12-01T23:59:59Z")]);
        // {"alg":"none"} . {"exp":1796119200,"iat":1796032800} . (none)
        check(
            "TOKEN=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTYxMTkyMDAsImlhdCI6MTc5NjAzMjgwMH0.c2lnbmF0dXJl\n",
            &[("token", "2026-12-01T10:00:00Z")],
        );
    }
}
