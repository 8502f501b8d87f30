//! Names of the DNS: from octets and from text to one form, and back.
//!
//! The form: lower case, no dot at the end, `.` for the root; a dot within a label and whatever is not printable as
//! `\ddd` (RFC 1035 section 5.1). Two names are the same when their forms are (RFC 4343).

/// The longest name, in octets as sent.
const NAME_MAX: usize = 255;
/// So many pointers are followed in one name: none that shortens anything needs more.
const POINTERS_MAX: usize = 64;

/// Reads a name in a message at `at`, pointers followed; with where it ends.
pub fn from_message(message: &[u8], at: usize) -> Option<(String, usize)> {
    let (mut out, mut length) = (String::new(), 0);
    let (mut at, mut end, mut pointers) = (at, None, 0);
    loop {
        let size = usize::from(*message.get(at)?);
        match size {
            0 => {
                let end = end.unwrap_or(at + 1);
                return Some((if out.is_empty() { ".".to_owned() } else { out }, end));
            }
            1..=63 => {
                length += size + 1;
                if length >= NAME_MAX {
                    return None;
                }
                push(&mut out, message.get(at + 1..at + 1 + size)?);
                at += 1 + size;
            }
            0xc0.. => {
                pointers += 1;
                if pointers > POINTERS_MAX {
                    return None;
                }
                end.get_or_insert(at + 2);
                at = (size & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            }
            _ => return None,
        }
    }
}

/// Reads a name as people write it, `origin` behind it unless it ends with a dot. `@` is the origin.
pub fn from_text(text: &[u8], origin: Option<&str>) -> Option<String> {
    if text == b"@" {
        return origin.map(str::to_owned);
    }
    if text == b"." {
        return Some(".".to_owned());
    }
    let (mut out, mut length, mut absolute) = (String::new(), 0, false);
    let mut label = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [] => break,
            [b'.', after @ ..] => {
                length += label.len() + 1;
                if label.is_empty() || label.len() > 63 || length >= NAME_MAX {
                    return None;
                }
                push(&mut out, &label);
                label.clear();
                absolute = after.is_empty();
                rest = after;
            }
            [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..] => {
                let value = [a, b, c].iter().fold(0u32, |n, d| n * 10 + u32::from(**d - b'0'));
                label.push(u8::try_from(value).ok()?);
                rest = after;
            }
            [b'\\', one, after @ ..] => {
                label.push(*one);
                rest = after;
            }
            [b'\\'] => return None,
            [one, after @ ..] => {
                label.push(*one);
                rest = after;
            }
        }
        if label.len() > 63 {
            return None;
        }
    }
    if absolute {
        return Some(out);
    }
    push(&mut out, &label);
    match origin? {
        "." => {}
        origin => {
            out.push('.');
            out.push_str(origin);
        }
    }
    to_wire(&out).map(|_| out)
}

/// The octets of a name in our form, nothing shortened.
pub fn to_wire(name: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len() + 2);
    if name != "." {
        let mut bytes = name.as_bytes();
        while !bytes.is_empty() {
            let mut label = Vec::new();
            loop {
                match bytes {
                    [] => break,
                    [b'.', after @ ..] => {
                        bytes = after;
                        break;
                    }
                    [b'\\', a, b, c, after @ ..] => {
                        let digit = |d: &u8| char::from(*d).to_digit(10);
                        let value = digit(a)? * 100 + digit(b)? * 10 + digit(c)?;
                        label.push(u8::try_from(value).ok()?);
                        bytes = after;
                    }
                    [one, after @ ..] => {
                        label.push(*one);
                        bytes = after;
                    }
                }
            }
            if label.is_empty() || label.len() > 63 {
                return None;
            }
            out.push(label.len() as u8);
            out.append(&mut label);
        }
    }
    out.push(0);
    (out.len() <= NAME_MAX).then_some(out)
}

/// The name above; `None` above the root.
pub fn parent(name: &str) -> Option<&str> {
    match name.split_once('.') {
        _ if name == "." => None,
        Some((_, above)) => Some(above),
        None => Some("."),
    }
}

/// Is it the zone itself or below it?
pub fn is_within(name: &str, zone: &str) -> bool {
    zone == "." || name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}

fn push(out: &mut String, label: &[u8]) {
    if !out.is_empty() {
        out.push('.');
    }
    for octet in label {
        match octet.to_ascii_lowercase() {
            c
            @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*' | b'/' | b'+' | b'=' | b':' | b'!' | b'~') => {
                out.push(char::from(c));
            }
            c => out.push_str(&format!("\\{c:03}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, origin: Option<&str>, expected: Option<&str>) {
        let read = from_text(text.as_bytes(), origin);
        assert_eq!(read.as_deref(), expected, "{text}");
        if let Some(name) = read {
            let wire = to_wire(&name).expect("what was read can be sent");
            assert_eq!(from_message(&wire, 0), Some((name, wire.len())), "{text}");
        }
    }

    #[test]
    fn text_and_octets_say_the_same() {
        check("www", Some("example.com"), Some("www.example.com"));
        check("WWW.Example.COM.", Some("x.test"), Some("www.example.com"));
        check("@", Some("example.com"), Some("example.com"));
        check("a", Some("."), Some("a"));
        check(".", None, Some("."));
        check("host\\.master", Some("test"), Some("host\\046master.test"));
        check("a\\032b.test.", None, Some("a\\032b.test"));
        check("*.test.", None, Some("*.test"));
        for bad in ["a", "a..b.", ".a.", "a\\", "a\\999.", &format!("{}.", "x".repeat(64))] {
            check(bad, None, None);
        }
        check(&"a.".repeat(127), None, Some(&vec!["a"; 127].join(".")));
        check(&"a.".repeat(128), None, None);
    }

    #[test]
    fn pointers_end() {
        // A pointer to itself, two that point at each other, one past the end.
        for bytes in [&[0xc0, 0][..], &[0xc0, 2, 0xc0, 0], &[0xc0, 9], &[1, b'a', 0xc0, 0], &[0x40, 0]] {
            assert_eq!(from_message(bytes, 0), None, "{bytes:?}");
        }
        assert_eq!(from_message(&[1, b'a', 0, 1, b'b', 0xc0, 0], 3), Some(("b.a".to_owned(), 7)));
    }

    #[test]
    fn above_and_below() {
        assert_eq!(parent("www.example.com"), Some("example.com"));
        assert_eq!((parent("com"), parent(".")), (Some("."), None));
        assert!(is_within("a.b", "b") && is_within("b", "b") && is_within("x", "."));
        assert!(!is_within("ab", "b") && !is_within("b", "a.b"));
    }
}
