//! XMPP: the stream's features, then starttls and proceed (RFC 6120 section 5).
//!
//! No XML parser: four element names are looked for in at most 16 KiB of text.

use super::{Names, State, Step, foreign, refused};

const SAID_MAX: usize = 16 * 1024;

pub(super) fn advance(
    server: bool,
    received: &mut Vec<u8>,
    state: &mut State,
    names: &Names,
    out: &mut Vec<u8>,
) -> Step {
    if state.turn == 0 {
        let namespace = if server { "server" } else { "client" };
        let open = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:{namespace}' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{}' version='1.0'>",
            names.host
        );
        out.extend_from_slice(open.as_bytes());
        state.turn = 1;
    }
    if received.first().is_some_and(|byte| *byte != b'<' && !byte.is_ascii_whitespace()) {
        return foreign(received);
    }
    if received.len() > SAID_MAX {
        return Step::Violation { what: "more than 16 KiB of XMPP before TLS" };
    }
    let find = |text: &str| received.windows(text.len()).position(|part| part == text.as_bytes());
    if let Some(at) = find("<stream:error") {
        return match find("</stream:error>") {
            Some(end) => refused(&received[at..end.max(at)]),
            None => Step::NeedMore,
        };
    }
    if state.turn == 1 {
        let end =
            ["</stream:features>", "<stream:features/>", "</features>"].iter().find_map(|tag| find(tag));
        let Some(end) = end else { return Step::NeedMore };
        if find("<starttls").is_none_or(|at| at > end) {
            return refused(b"the stream's features do not list starttls");
        }
        out.extend_from_slice(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        state.turn = 2;
        received.drain(..end);
        return Step::NeedMore;
    }
    if let Some(at) = find("<proceed") {
        return if received[at..].contains(&b'>') { Step::StartTls } else { Step::NeedMore };
    }
    match find("<failure") {
        Some(at) if received[at..].contains(&b'>') => refused(&received[at..]),
        _ => Step::NeedMore,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Protocol::{Xmpp, XmppServer};
    use super::super::tests::{check, play};

    const STREAM: &str = "<?xml version='1.0'?><stream:stream id='1'>";
    const FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>\
        <required/></starttls></stream:features>";

    #[test]
    fn starts_tls() {
        let open = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
            xmlns:stream='http://etherx.jabber.org/streams' to='host.example' version='1.0'>";
        let sent = format!("{open}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        // All at once the go-ahead comes before the request: it is waited for with the next piece.
        for piece in [1, 9] {
            let said = format!("{STREAM}{FEATURES}<proceed xmlns='urn:x'/>");
            let (out, step) = play(Xmpp, said.as_bytes(), piece);
            assert_eq!((String::from_utf8(out).unwrap(), step), (sent.clone(), super::Step::StartTls));
        }
        check(Xmpp, b"220 x", open.as_bytes(), "Foreign");
        let none = format!("{STREAM}<stream:features/>");
        check(Xmpp, none.as_bytes(), open.as_bytes(), "do not list starttls");
        let error = format!("{STREAM}<stream:error><host-unknown/></stream:error>");
        check(XmppServer, error.as_bytes(), open.replace("client", "server").as_bytes(), "host-unknown");
    }
}
