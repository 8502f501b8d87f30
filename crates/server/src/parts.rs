//! A form with a file in it, as browsers send it: `multipart/form-data` (RFC 7578 over RFC 2046 section 5.1).
//!
//! For the gate, which looks for the CSRF token in it, and for the one page that takes a file. The body was read whole
//! before, and bounded; what is here are slices of it. The names of files are read over and nothing is kept of them.

use axum::http::{HeaderMap, header};

/// A form of ours has fewer parts.
const PARTS_MAX: usize = 16;
/// RFC 2046 section 5.1.1.
const BOUNDARY_MAX: usize = 70;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'b> {
    pub(crate) name: &'b [u8],
    pub(crate) value: &'b [u8],
}

/// The boundary, if the body is such a form.
pub(crate) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (media, rest) = kind.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(rest.as_bytes(), b"boundary")?;
    let fits = !boundary.is_empty() && boundary.len() <= BOUNDARY_MAX;
    String::from_utf8(boundary.to_vec()).ok().filter(|_| fits)
}

/// The fields of a body; those that can be read, where it was cut off.
pub(crate) fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<Part<'b>> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    let mut out = Vec::new();
    // The first may stand at the very beginning.
    let mut rest = match delimiter.get(2..).and_then(|first| body.strip_prefix(first)) {
        Some(rest) => rest,
        None => match cut(body, delimiter) {
            Some((_, rest)) => rest,
            None => return out,
        },
    };
    while out.len() < PARTS_MAX && !rest.starts_with(b"--") {
        let Some((_, part)) = cut(rest, b"\r\n") else { break };
        let Some((part, after)) = cut(part, delimiter) else { break };
        rest = after;
        // A part without a header begins with the empty line itself.
        let Some((head, value)) = cut(part, b"\r\n\r\n") else { continue };
        if let Some(name) = head.split(|b| *b == b'\n').find_map(name_of) {
            out.push(Part { name, value });
        }
    }
    out
}

/// What a form has under a name.
pub(crate) fn field<'b>(parts: &[Part<'b>], name: &str) -> Option<&'b [u8]> {
    parts.iter().find(|part| part.name == name.as_bytes()).map(|part| part.value)
}

/// What stands before and after the first `mark`.
fn cut<'b>(text: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = text.windows(mark.len().max(1)).position(|window| window == mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// The name in `Content-Disposition: form-data; name="..."`.
fn name_of(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    if !name.trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
        return None;
    }
    let semicolon = value.iter().position(|b| *b == b';')?;
    if !value.get(..semicolon)?.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    parameter(value.get(semicolon + 1..)?, b"name")
}

/// One of `a=b; c="d"`. A semicolon in quotes ends nothing; what is escaped in quotes is left as it is.
fn parameter<'b>(mut text: &'b [u8], wanted: &[u8]) -> Option<&'b [u8]> {
    loop {
        let equals = text.iter().position(|b| *b == b'=')?;
        let name = text.get(..equals)?.trim_ascii();
        let value = text.get(equals + 1..)?.trim_ascii_start();
        let (value, rest) = match value.strip_prefix(b"\"") {
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.iter().position(|b| {
                    let ends = *b == b'"' && !escaped;
                    escaped = *b == b'\\' && !escaped;
                    ends
                })?;
                (quoted.get(..end)?, quoted.get(end + 1..)?)
            }
            None => {
                let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
                (value.get(..end)?.trim_ascii_end(), value.get(end..)?)
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        let next = rest.iter().position(|b| *b == b';')?;
        text = rest.get(next + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(kind: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        boundary(&headers)
    }

    #[test]
    fn what_a_browser_sends() {
        let body = "--B\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nab12\r\n\
                    --B\r\nContent-Disposition: form-data; filename=\"a; name=\\\"csrf\\\".pem\"; name=\"file\"\r\n\
                    Content-Type: application/octet-stream\r\n\r\n\0\r\n--Bx\r\n\r\n--\r\n--B--\r\n";
        let read = parts(body.as_bytes(), "B");
        assert_eq!(field(&read, "csrf"), Some(&b"ab12"[..]));
        // `--Bx` is another line that begins like it: RFC 2046 forbids such a boundary, and nothing after it is lost.
        assert_eq!(read.len(), 2, "{read:?}");
        assert_eq!(field(&read, "file"), Some(&b"\0"[..]));
        assert_eq!(field(&read, "reply"), None);
        let whole = "preamble\r\n--B \r\ncontent-disposition:form-data;name=reply\r\n\r\nx\r\ny\r\n--B--";
        assert_eq!(field(&parts(whole.as_bytes(), "B"), "reply"), Some(&b"x\r\ny"[..]));
    }

    #[test]
    fn what_is_cut_off_or_none_at_all() {
        let whole = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n";
        for end in 0..whole.len() {
            let read = parts(&whole[..end], "B");
            assert!(read.is_empty() || field(&read, "a") == Some(&b"1"[..]), "{end}: {read:?}");
        }
        let many = "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n".repeat(100);
        assert!(parts(many.as_bytes(), "B").len() <= PARTS_MAX);
        for (kind, is) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data; charset=x; boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=abc", None),
            ("application/x-www-form-urlencoded", None),
        ] {
            assert_eq!(of(kind).as_deref(), is, "{kind}");
        }
        assert_eq!(of(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }

    #[test]
    fn whatever_comes_is_slices_of_it() {
        let whole = "--B\r\nContent-Disposition: form-data; filename=\"a\\\";b\"; name=\"x\"\r\n\r\n1\r\n--B\r\n\r\n2\r\n--B--\r\n";
        let words: [&[u8]; 10] =
            [b"--B", b"\r\n", b"\r\n\r\n", b"name=", b"\"", b";", b"\\", b":", b"", b"\xff\0"];
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..20_000 {
            let mut body = whole.as_bytes().to_vec();
            for _ in 0..=random(6) {
                let from = random(body.len() + 1);
                let to = (from + random(8)).min(body.len());
                body.splice(from..to, words[random(words.len())].iter().copied());
            }
            for part in parts(&body, "B") {
                assert!(part.name.len() + part.value.len() < body.len(), "{part:?}");
                assert!(body.windows(part.value.len().max(1)).any(|w| w.starts_with(part.value)), "{part:?}");
            }
        }
    }
}
