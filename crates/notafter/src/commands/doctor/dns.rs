//! One question to one DNS server: does it answer at all? Nothing of the answer is used but its code and its count.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::PATIENCE;

/// What the server made of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It exists.
    Known,
    /// There is no such name.
    Unknown,
    /// The server says that something went wrong (RFC 1035, 4.1.1).
    Error(u8),
}

/// Asks for the address of a name.
pub(super) fn ask(server: SocketAddr, name: &str) -> io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let id = std::process::id() as u16;
    socket.send(&question(id, name))?;
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes)?;
        if let Some(answer) = read(id, bytes.get(..length).unwrap_or_default()) {
            return Ok(answer);
        }
    }
}

fn question(id: u16, name: &str) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    // A plain question, to be answered whole; one of them.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|l| !l.is_empty()) {
        let label = label.as_bytes().get(..63).unwrap_or(label.as_bytes());
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
    // The end of the name, type A, class IN.
    out.extend([0, 0, 1, 0, 1]);
    out
}

/// `None`: no answer to this question.
fn read(id: u16, bytes: &[u8]) -> Option<Answer> {
    let head: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    if [head[0], head[1]] != id.to_be_bytes() || head[2] & 0x80 == 0 {
        return None;
    }
    Some(match head[3] & 0x0f {
        0 => Answer::Known,
        3 => Answer::Unknown,
        code => Answer::Error(code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answers() {
        let asked = question(0x0102, "a.test");
        assert_eq!(asked, b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01");
        for (bytes, expected) in [
            (&[1, 2, 0x81, 0x80][..], Some(Answer::Known)),
            (&[1, 2, 0x81, 0x83], Some(Answer::Unknown)),
            (&[1, 2, 0x81, 0x85], Some(Answer::Error(5))),
            (&[1, 3, 0x81, 0x80], None),
            (&[1, 2, 0x01, 0x00], None),
            (&[1], None),
        ] {
            assert_eq!(read(0x0102, bytes), expected, "{bytes:?}");
        }
    }
}
