//! LDAP: the StartTLS extended operation (RFC 4511 section 4.14).
//!
//! Reads just enough BER to find the result code and the diagnostic text of one response.

use super::{State, Step, foreign, refused};

/// LDAPMessage { 1, ExtendedRequest { "1.3.6.1.4.1.1466.20037" } }.
const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

pub(super) fn advance(received: &[u8], state: &mut State, out: &mut Vec<u8>) -> Step {
    if state.turn == 0 {
        out.extend_from_slice(REQUEST);
        state.turn = 1;
    }
    if received.first().is_some_and(|tag| *tag != 0x30) {
        return foreign(received);
    }
    let mut rest = received;
    let message = match element(&mut rest) {
        Cut::Whole(_, message) => message,
        Cut::Short => return Step::NeedMore,
        Cut::Bad => return foreign(received),
    };
    match result(message) {
        Some((0, _)) => Step::StartTls,
        Some((code, text)) => {
            refused(format!("LDAP result {code}: {}", String::from_utf8_lossy(text)).as_bytes())
        }
        None => Step::Violation { what: "an LDAP answer that is no ExtendedResponse" },
    }
}

/// The result code and diagnostic message of an ExtendedResponse.
fn result(mut message: &[u8]) -> Option<(u8, &[u8])> {
    let Cut::Whole(0x02, _) = element(&mut message) else { return None };
    let Cut::Whole(0x78, mut response) = element(&mut message) else { return None };
    let Cut::Whole(0x0a, &[code]) = element(&mut response) else { return None };
    let Cut::Whole(0x04, _) = element(&mut response) else { return None };
    match element(&mut response) {
        Cut::Whole(0x04, text) => Some((code, text)),
        _ => Some((code, &[])),
    }
}

enum Cut<'a> {
    Whole(u8, &'a [u8]),
    Short,
    Bad,
}

/// Cuts one element of definite length off the front.
fn element<'a>(bytes: &mut &'a [u8]) -> Cut<'a> {
    let [tag, first, rest @ ..] = *bytes else { return Cut::Short };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let Some((digits, rest)) = rest.split_at_checked(usize::from(first & 0x7f)) else {
                return Cut::Short;
            };
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return Cut::Bad,
    };
    let Some((content, rest)) = rest.split_at_checked(length) else { return Cut::Short };
    *bytes = rest;
    Cut::Whole(*tag, content)
}

#[cfg(test)]
mod tests {
    use super::super::Protocol::Ldap;
    use super::super::tests::check;
    use super::REQUEST;

    #[test]
    fn reads_responses() {
        let good = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
        check(Ldap, good, REQUEST, "StartTls");
        let long =
            b"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00";
        check(Ldap, long, REQUEST, "StartTls");
        let no = b"\x30\x10\x02\x01\x01\x78\x0b\x0a\x01\x02\x04\x00\x04\x04nope";
        check(Ldap, no, REQUEST, "LDAP result 2: nope");
        check(Ldap, b"\x30\x05\x02\x01\x01\x61\x00", REQUEST, "Violation");
        check(Ldap, b"220 x", REQUEST, "Foreign");
    }
}
