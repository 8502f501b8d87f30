//! Microsoft SQL Server: a PRELOGIN exchange, then TLS records inside TDS packets, both ways.
//!
//! MS-TDS sections 2.2.3.1 (packet header), 2.2.6.5 (PRELOGIN). The wrapping lasts as long as the TLS
//! handshake, and so as long as anything we do.

use super::{State, Step, foreign, refused};

const HEADER: usize = 8;
const PRELOGIN: u8 = 0x12;
const REPLY: u8 = 0x04;

/// A PRELOGIN packet: VERSION, ENCRYPTION = on, terminator.
const REQUEST: [u8; 26] = [
    PRELOGIN, 1, 0, 26, 0, 0, 0, 0, // type, end of message, length, process, packet, window
    0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, // option, offset, length
    11, 0, 0, 0, 0, 0, 1,
];

pub(super) fn advance(received: &[u8], state: &mut State, out: &mut Vec<u8>) -> Step {
    if state.turn == 0 {
        out.extend_from_slice(&REQUEST);
        state.turn = 1;
    }
    if received.first().is_some_and(|kind| *kind != REPLY) {
        return foreign(received);
    }
    let [_, _, high, low, ..] = received else { return Step::NeedMore };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if !(HEADER..=4096).contains(&length) {
        return foreign(received);
    }
    let Some(packet) = received.get(HEADER..length) else { return Step::NeedMore };
    match encryption(packet) {
        Some(2) => refused(b"the server's PRELOGIN says that it does not support encryption"),
        Some(0 | 1 | 3) => Step::StartTls,
        _ => Step::Violation { what: "a PRELOGIN answer without the encryption option" },
    }
}

/// The value of the ENCRYPTION option.
fn encryption(packet: &[u8]) -> Option<u8> {
    let mut options = packet;
    loop {
        match options {
            [1, high, low, 0, 1, ..] => {
                return packet.get(usize::from(u16::from_be_bytes([*high, *low]))).copied();
            }
            [0xff, ..] => return None,
            [_, _, _, _, _, rest @ ..] => options = rest,
            _ => return None,
        }
    }
}

/// Appends `bytes` to `out` inside a TDS packet.
pub fn wrap(bytes: &[u8], out: &mut Vec<u8>) {
    for (index, part) in bytes.chunks(4096 - HEADER).enumerate() {
        let last = (index + 1) * (4096 - HEADER) >= bytes.len();
        let length = ((part.len() + HEADER) as u16).to_be_bytes();
        out.extend_from_slice(&[PRELOGIN, u8::from(last), length[0], length[1], 0, 0, index as u8, 0]);
        out.extend_from_slice(part);
    }
}

/// Takes the TDS headers out of what the server sends.
#[derive(Debug, Default)]
pub struct Unwrapper {
    header: Vec<u8>,
    left: usize,
}

impl Unwrapper {
    /// Appends to `out` what `bytes` carry; `false` if they are no TDS packets.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> bool {
        while !bytes.is_empty() {
            if self.left == 0 {
                let missing = (HEADER - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                if let [kind, _, high, low, _, _, _, _] = self.header[..] {
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if !matches!(kind, PRELOGIN | REPLY) || length < HEADER {
                        return false;
                    }
                    self.left = length - HEADER;
                    self.header.clear();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            out.extend_from_slice(part);
            self.left -= part.len();
            bytes = rest;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Protocol::Mssql;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn reads_prelogin_answers() {
        let answer = |encryption: u8| {
            let mut packet = vec![REPLY, 1, 0, 26, 0, 0, 1, 0];
            packet.extend_from_slice(&[0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 7, 0xd0, 0, 0]);
            packet.push(encryption);
            packet
        };
        check(Mssql, &answer(0), &REQUEST, "StartTls");
        check(Mssql, &answer(3), &REQUEST, "StartTls");
        check(Mssql, &answer(2), &REQUEST, "does not support encryption");
        check(Mssql, &[REPLY, 1, 0, 9, 0, 0, 1, 0, 0xff], &REQUEST, "Violation");
        check(Mssql, b"SSH-2.0", &REQUEST, "Foreign");
    }

    #[test]
    fn wraps_and_unwraps() {
        let check = |length: usize, piece: usize| {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let (mut wrapped, mut back) = (Vec::new(), Vec::new());
            wrap(&bytes, &mut wrapped);
            let mut unwrapper = Unwrapper::default();
            assert!(wrapped.chunks(piece).all(|part| unwrapper.feed(part, &mut back)));
            assert_eq!(back, bytes);
        };
        check(1, 1);
        check(700, 3);
        check(10_000, 1460);
        assert!(!Unwrapper::default().feed(b"\x16\x03\x01\x00\x05aaaaa", &mut Vec::new()));
    }
}
