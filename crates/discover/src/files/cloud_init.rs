//! User data for cloud-init that has several parts: a MIME message (RFC 2045, RFC 2046) whose parts are `#cloud-config`, scripts
//! and files, each as it is, in base64 or compressed.
//!
//! For `document.rs`, which reads the parts as it reads files. Told by its first header and by a type that only cloud-init has;
//! mail is read elsewhere (`pki`'s `statement/mail.rs`). Parts within parts are followed a few levels. What a part tells the
//! machine to fetch is not fetched.

use notafter_pki::container::base64;

/// So much of the beginning is looked at.
const HEAD: usize = 4096;
/// So many parts are read, and so deep.
const PARTS_MAX: usize = 200;
const DEPTH_MAX: u32 = 4;
/// The types of cloud-init's parts (its documentation, "User-data formats").
const TYPES: &[&str] = &[
    "text/cloud-config",
    "text/cloud-boothook",
    "text/x-shellscript",
    "text/x-include-url",
    "text/x-include-once-url",
    "text/part-handler",
    "text/jinja2",
    "text/cloud-config-archive",
    "text/cloud-config-jsonp",
];

/// A part, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its file name, else `part/2`.
    pub(super) name: String,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
    /// Was it in base64 or quoted-printable, so that it cannot be read where it lies?
    pub(super) encoded: bool,
}

/// Is this `#cloud-config`, also one that is a template?
pub(super) fn is_config(start: &[u8]) -> bool {
    let start = match start.strip_prefix(b"## template:") {
        Some(rest) => memchr::memchr(b'\n', rest).and_then(|end| rest.get(end + 1..)).unwrap_or(&[]),
        None => start,
    };
    start.starts_with(b"#cloud-config")
}

/// Is this a message for cloud-init?
pub(super) fn is_multipart(start: &[u8]) -> bool {
    let head = start.get(..HEAD).unwrap_or(start);
    let headers = head.first().is_some_and(|b| matches!(b, b'C' | b'c' | b'M' | b'm' | b'F' | b'N'));
    let has = |word: &str| {
        let lower = || start.to_ascii_lowercase();
        memchr::memmem::find(start, word.as_bytes()).is_some()
            || start.len() <= HEAD && memchr::memmem::find(&lower(), word.as_bytes()).is_some()
    };
    let multipart = || {
        let text = head.to_ascii_lowercase();
        memchr::memmem::find(&text, b"content-type: multipart/").is_some()
    };
    headers && multipart() && TYPES.iter().any(|kind| has(kind))
}

/// The parts, those of parts in their place.
pub(super) fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut out = Vec::new();
    message(bytes, 0, &mut out);
    out
}

/// One header with what belongs to it.
struct Headers {
    kind: String,
    boundary: Option<String>,
    name: Option<String>,
    encoding: String,
}

fn message(bytes: &[u8], depth: u32, out: &mut Vec<Part>) {
    let (headers, body) = split(bytes);
    match headers.boundary.filter(|_| headers.kind.starts_with("multipart/") && depth < DEPTH_MAX) {
        Some(boundary) => {
            for part in bodies(body, boundary.as_bytes()) {
                if out.len() >= PARTS_MAX {
                    return;
                }
                message(part, depth + 1, out);
            }
        }
        None => {
            let (bytes, encoded) = match headers.encoding.as_str() {
                "base64" => (base64::decode(body), true),
                "quoted-printable" => (unquoted(body), true),
                _ => (body.to_vec(), false),
            };
            let name = headers.name.unwrap_or_else(|| format!("part/{}", out.len() + 1));
            out.push(Part { name, bytes, encoded });
        }
    }
}

/// The headers before the first empty line, and what comes behind it.
fn split(bytes: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Headers { kind: String::new(), boundary: None, name: None, encoding: String::new() };
    let mut rest = bytes;
    let mut field = String::new();
    loop {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        // A line that begins with a blank goes on with the one before (RFC 5322 section 2.2.3).
        if text.starts_with([' ', '\t']) && field.len() < HEAD {
            field.push_str(text);
            continue;
        }
        take(&field, &mut headers);
        field = text.to_owned();
        if text.is_empty() || rest.is_empty() {
            return (headers, rest);
        }
    }
}

fn take(field: &str, headers: &mut Headers) {
    let Some((name, value)) = field.split_once(':') else { return };
    match name.to_ascii_lowercase().as_str() {
        "content-type" => {
            let kind = value.split(';').next().unwrap_or("");
            headers.kind = kind.trim().to_ascii_lowercase();
            headers.boundary = parameter(value, "boundary");
            headers.name = headers.name.take().or_else(|| parameter(value, "name"));
        }
        "content-disposition" => headers.name = parameter(value, "filename").or(headers.name.take()),
        "content-transfer-encoding" => headers.encoding = value.trim().to_ascii_lowercase(),
        _ => {}
    }
}

/// `name=value` or `name="value"` of a header.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
    })
}

/// What stands between the lines that are the boundary (RFC 2046 section 5.1.1).
fn bodies<'b>(body: &'b [u8], boundary: &[u8]) -> Vec<&'b [u8]> {
    let line = [b"--", boundary].concat();
    let mut out = Vec::new();
    let mut begun: Option<usize> = None;
    for at in memchr::memmem::find_iter(body, &line) {
        let begins_line = at == 0 || body.get(at - 1) == Some(&b'\n');
        if !begins_line {
            continue;
        }
        if let Some(part) = begun.and_then(|begun| body.get(begun..at)) {
            out.push(part);
        }
        let after = body.get(at + line.len()..).unwrap_or(&[]);
        if after.starts_with(b"--") || out.len() >= PARTS_MAX {
            return out;
        }
        let end = memchr::memchr(b'\n', after).map_or(after.len(), |end| end + 1);
        begun = Some(at + line.len() + end);
    }
    // The last one has no end: read as far as it goes.
    out.extend(begun.and_then(|begun| body.get(begun..)));
    out
}

/// Quoted-printable (RFC 2045 section 6.7).
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let digit = |at: usize| tail.get(at).and_then(|b| (*b as char).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'=', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            (b'=', ..) => {
                let end = memchr::memchr(b'\n', tail).map_or(tail.len(), |end| end + 1);
                rest = tail.get(end..).unwrap_or(&[]);
            }
            _ => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "Content-Type: multipart/mixed; boundary=\"==A==\"\nMIME-Version: 1.0\nNumber-Attachments: 3\n\n\
        --==A==\nContent-Type: text/cloud-config; charset=\"us-ascii\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\
        Content-Disposition: attachment;\n filename=\"cloud.cfg\"\n\nI2Nsb3VkLWNvbmZpZwo=\n\n--==A==\n\
        Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--B\n\
        Content-Transfer-Encoding: quoted-printable\n\na=3Db=\nc\n--B--\n--==A==\nx: y\n\nlast";

    #[test]
    fn every_part_decoded() {
        assert!(is_multipart(MESSAGE.as_bytes()));
        let parts = parts(MESSAGE.as_bytes());
        let got: Vec<_> = parts
            .iter()
            .map(|part| (part.name.as_str(), std::str::from_utf8(&part.bytes).unwrap(), part.encoded))
            .collect();
        let expected = [
            ("cloud.cfg", "#cloud-config\n", true),
            ("part/2", "#!/bin/sh\n", false),
            ("part/3", "a=bc\n", true),
            ("part/4", "last", false),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "#cloud-config\n",
            "From: a@a.test\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\nhi\n--x--\n",
            "Content-Type: text/cloud-config\n\n#cloud-config\n",
        ] {
            assert!(!is_multipart(text.as_bytes()), "{text}");
        }
        assert!(is_config(b"## template: jinja\n#cloud-config\n") && is_config(b"#cloud-config-archive\n"));
        assert!(!is_config(b"## template: jinja\n#!/bin/sh\n"));
    }

    #[test]
    fn broken_ones_end() {
        for cut in 0..MESSAGE.len() {
            let _ = parts(&MESSAGE.as_bytes()[..cut]);
        }
        let nested = "Content-Type: multipart/mixed; boundary=x\n\n--x\n".repeat(50);
        assert!(parts(nested.as_bytes()).len() <= PARTS_MAX);
    }
}
