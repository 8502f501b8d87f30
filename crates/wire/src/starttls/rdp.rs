//! Remote desktop: the X.224 connection request that asks for TLS (MS-RDPBCGR section 2.2.1.1).

use super::{State, Step, foreign, refused};

/// TPKT, X.224 Connection Request, RDP_NEG_REQ for TLS or CredSSP (which is TLS underneath).
const REQUEST: [u8; 19] = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];

pub(super) fn advance(received: &[u8], state: &mut State, out: &mut Vec<u8>) -> Step {
    if state.turn == 0 {
        out.extend_from_slice(&REQUEST);
        state.turn = 1;
    }
    if received.first().is_some_and(|byte| *byte != 3) || received.get(1).is_some_and(|byte| *byte != 0) {
        return foreign(received);
    }
    let [_, _, high, low, ..] = received else { return Step::NeedMore };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if !(11..=512).contains(&length) {
        return foreign(received);
    }
    let Some(packet) = received.get(..length) else { return Step::NeedMore };
    if packet[5] & 0xf0 != 0xd0 {
        return Step::Violation { what: "an X.224 answer that is no connection confirm" };
    }
    match packet[11..] {
        [2, _, 8, 0, 1 | 2 | 8, 0, 0, 0, ..] => Step::StartTls,
        [2, _, 8, 0, ..] | [] => refused(b"only standard RDP security, without TLS"),
        [3, _, 8, 0, code, ..] => refused(format!("RDP negotiation failure {code}").as_bytes()),
        _ => Step::Violation { what: "an RDP negotiation answer of unknown kind" },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Protocol::Rdp;
    use super::super::tests::check;
    use super::REQUEST;

    #[test]
    fn reads_confirmations() {
        let confirm = |tail: &[u8]| {
            let mut packet =
                vec![3, 0, 0, 11 + tail.len() as u8, 6 + tail.len() as u8, 0xd0, 0, 0, 0x12, 0x34, 0];
            packet.extend_from_slice(tail);
            packet
        };
        check(Rdp, &confirm(&[2, 0x1f, 8, 0, 1, 0, 0, 0]), &REQUEST, "StartTls");
        check(Rdp, &confirm(&[2, 0x1f, 8, 0, 2, 0, 0, 0]), &REQUEST, "StartTls");
        check(Rdp, &confirm(&[2, 0, 8, 0, 0, 0, 0, 0]), &REQUEST, "standard RDP");
        check(Rdp, &confirm(&[3, 0, 8, 0, 5, 0, 0, 0]), &REQUEST, "failure 5");
        check(Rdp, &confirm(&[]), &REQUEST, "standard RDP");
        check(Rdp, b"HTTP/1.1", &REQUEST, "Foreign");
    }
}
