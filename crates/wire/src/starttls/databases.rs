//! PostgreSQL and MySQL (MariaDB): a request of a few bytes asks for TLS.
//!
//! PostgreSQL answers it with one letter; MySQL says beforehand what it can do and does not answer.

use super::{State, Step, foreign, refused};

/// SSLRequest: length 8, code 80877103 (PostgreSQL documentation, "Message Formats").
const POSTGRES: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

pub(super) fn postgres(received: &[u8], state: &mut State, out: &mut Vec<u8>) -> Step {
    if state.turn == 0 {
        out.extend_from_slice(&POSTGRES);
        state.turn = 1;
    }
    match received {
        [] => Step::NeedMore,
        [b'S', ..] => Step::StartTls,
        [b'N', ..] => refused(b"N"),
        // ErrorResponse: from servers older than SSLRequest, or that are full.
        [b'E', 0, 0, _, _, text @ ..] => match text.iter().position(|byte| *byte == 0) {
            Some(_) => refused(&text.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect::<Vec<u8>>()),
            None => Step::NeedMore,
        },
        [b'E', rest @ ..] if rest.len() < 4 => Step::NeedMore,
        _ => foreign(received),
    }
}

/// CLIENT_SSL in the capabilities of the handshake packet.
const SSL: u16 = 0x0800;
/// SSLRequest: CLIENT_LONG_PASSWORD, PROTOCOL_41, SSL, SECURE_CONNECTION; 16 MiB packets; UTF-8.
const MYSQL: [u8; 13] = [32, 0, 0, 1, 0x01, 0x8a, 0, 0, 0, 0, 0, 1, 33];

pub(super) fn mysql(received: &[u8], out: &mut Vec<u8>) -> Step {
    let [low, mid, high, sequence, rest @ ..] = received else {
        return if received.first().is_some_and(u8::is_ascii_digit) && received.len() == 3 {
            foreign(received)
        } else {
            Step::NeedMore
        };
    };
    let length = u32::from_le_bytes([*low, *mid, *high, 0]) as usize;
    if *sequence != 0 || !(1..=4096).contains(&length) {
        return foreign(received);
    }
    let Some(packet) = rest.get(..length) else { return Step::NeedMore };
    match packet {
        [10, text @ ..] => match capabilities(text) {
            Some(capabilities) if capabilities & SSL != 0 => {
                out.extend_from_slice(&MYSQL);
                out.resize(out.len() + 23, 0);
                Step::StartTls
            }
            Some(_) => refused(b"the server's capabilities do not list TLS"),
            None => Step::Violation { what: "a MySQL greeting cut short" },
        },
        [0xff, _, _, text @ ..] => refused(text),
        _ => foreign(received),
    }
}

/// The lower half of the capability flags: behind the version text, thread id, scramble and filler.
fn capabilities(greeting: &[u8]) -> Option<u16> {
    let end = greeting.iter().position(|byte| *byte == 0)?;
    let flags = greeting.get(end + 14..end + 16)?;
    Some(u16::from_le_bytes([flags[0], flags[1]]))
}

#[cfg(test)]
mod tests {
    use super::super::Protocol::{Mysql, Postgres};
    use super::super::tests::check;
    use super::*;

    fn greeting(flags: u16) -> Vec<u8> {
        let mut body = b"\x0a5.5.5-10.11.6-MariaDB\0".to_vec();
        body.extend_from_slice(&[7, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
        body.extend_from_slice(&flags.to_le_bytes());
        body.extend_from_slice(&[33, 2, 0, 0xff, 0x81, 21]);
        let mut packet = vec![body.len() as u8, 0, 0, 0];
        packet.extend_from_slice(&body);
        packet
    }

    #[test]
    fn asks_for_tls() {
        check(Postgres, b"S", &POSTGRES, "StartTls");
        check(Postgres, b"N", &POSTGRES, "Refused { reply: \"N\" }");
        check(Postgres, b"E\0\0\0\x10SFATAL\0", &POSTGRES, "SFATAL");
        check(Postgres, b"<html>", &POSTGRES, "Foreign");
        let request = [&MYSQL[..], &[0; 23]].concat();
        check(Mysql, &greeting(0xf7fe | SSL), &request, "StartTls");
        check(Mysql, &greeting(0xf7fe), b"", "do not list TLS");
        check(Mysql, b"\x10\0\0\0\xff\x10\x04Too many conn", b"", "Too many conn");
        check(Mysql, b"SSH-2.0-OpenSSH", b"", "Foreign");
    }
}
