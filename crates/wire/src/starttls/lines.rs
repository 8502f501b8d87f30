//! The protocols made of lines: mail (SMTP, LMTP, IMAP, POP3, Sieve), files (FTP), news and IRC.
//!
//! Each is a greeting, perhaps a question about what is offered, one command, one answer.
//! A line may be 4 KiB long, far more than any of the standards allow.

use super::{Names, Protocol, State, Step, foreign, refused};

const LINE_MAX: usize = 4096;

/// What one line leads to.
enum Turn {
    /// It says nothing of interest.
    Skip,
    /// Send this, and expect the next answer.
    Say(&'static str),
    /// Send this without expecting anything new.
    Aside(String),
    Greet,
    End(Step),
}

pub(super) fn advance(
    protocol: Protocol,
    received: &mut Vec<u8>,
    state: &mut State,
    names: &Names,
    out: &mut Vec<u8>,
) -> Step {
    if protocol == Protocol::Irc && state.turn == 0 {
        // Here the client may speak at once; servers take their time to look up its name first.
        out.extend_from_slice(b"STARTTLS\r\n");
        state.turn = 1;
    }
    loop {
        let Some(end) = received[state.searched..].iter().position(|byte| *byte == b'\n') else {
            state.searched = received.len();
            return match received.len() {
                LINE_MAX.. => Step::Violation { what: "a line longer than 4 KiB before TLS" },
                // Enough to see that no line of this protocol has begun, so there is no use in waiting for its end.
                16.. if !state.greeted && !greets(protocol, received) => foreign(received),
                _ => Step::NeedMore,
            };
        };
        let end = state.searched + end;
        if end > LINE_MAX {
            return Step::Violation { what: "a line longer than 4 KiB before TLS" };
        }
        let line = received[..end].trim_ascii_end();
        if !state.greeted && !greets(protocol, line) {
            return foreign(received);
        }
        state.greeted = true;
        let turn = match protocol {
            Protocol::Imap => imap(line, state),
            Protocol::Pop3 => pop3(line, state),
            Protocol::Ftp => ftp(line, state),
            Protocol::Sieve => sieve(line, state),
            Protocol::Nntp => nntp(line, state),
            Protocol::Irc => irc(line),
            _ => smtp(line, state),
        };
        match turn {
            Turn::Skip => {}
            Turn::Say(text) => {
                out.extend_from_slice(text.as_bytes());
                state.turn += 1;
            }
            Turn::Aside(text) => out.extend_from_slice(text.as_bytes()),
            Turn::Greet => {
                let verb = if protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
                out.extend_from_slice(format!("{verb} {}\r\n", names.client).as_bytes());
                state.turn += 1;
            }
            Turn::End(step) => return step,
        }
        received.drain(..=end);
        state.searched = 0;
    }
}

/// Whether the first line can be one of this protocol.
fn greets(protocol: Protocol, line: &[u8]) -> bool {
    let digits = || line.len() >= 3 && line[..3].iter().all(u8::is_ascii_digit);
    match protocol {
        Protocol::Imap => line.starts_with(b"* "),
        Protocol::Pop3 => line.starts_with(b"+OK") || line.starts_with(b"-ERR"),
        Protocol::Sieve => [&b"\""[..], b"OK", b"NO", b"BYE"].iter().any(|word| line.starts_with(word)),
        Protocol::Irc => [&b":"[..], b"NOTICE", b"PING", b"ERROR", b"CAP", b"0", b"4", b"6", b"@"]
            .iter()
            .any(|word| line.starts_with(word)),
        _ => digits(),
    }
}

/// The line's reply code, and whether it is the reply's last line.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let number = std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()?;
    Some((number, line.get(3) != Some(&b'-')))
}

fn has_word(line: &[u8], word: &[u8]) -> bool {
    line.split(|byte| !byte.is_ascii_alphanumeric()).any(|part| part.eq_ignore_ascii_case(word))
}

fn starts(line: &[u8], word: &[u8]) -> bool {
    line.len() >= word.len() && line[..word.len()].eq_ignore_ascii_case(word)
}

/// RFC 5321 section 4.2, RFC 3207 section 4; LMTP is the same from here on.
fn smtp(line: &[u8], state: &mut State) -> Turn {
    let Some((code, last)) = code(line) else {
        return Turn::End(Step::Violation { what: "an SMTP reply without a code" });
    };
    match (state.turn, code, last) {
        (0, 220, true) => Turn::Greet,
        (1, 250, _) => {
            state.offered |= has_word(&line[3..], b"STARTTLS");
            match (last, state.offered) {
                (false, _) => Turn::Skip,
                (true, true) => Turn::Say("STARTTLS\r\n"),
                (true, false) => Turn::End(refused(b"the reply to EHLO does not list STARTTLS")),
            }
        }
        (2, 220, true) => Turn::End(Step::StartTls),
        (_, 220, false) => Turn::Skip,
        (_, _, false) => Turn::Skip,
        _ => Turn::End(refused(line)),
    }
}

fn imap(line: &[u8], state: &State) -> Turn {
    if state.turn == 0 {
        return match line {
            line if starts(line, b"* OK") => Turn::Say("a1 STARTTLS\r\n"),
            line => Turn::End(refused(line)),
        };
    }
    match line {
        line if starts(line, b"a1 OK") => Turn::End(Step::StartTls),
        line if starts(line, b"a1 ") || starts(line, b"* BYE") => Turn::End(refused(line)),
        _ => Turn::Skip,
    }
}

fn pop3(line: &[u8], state: &State) -> Turn {
    match (state.turn, line.starts_with(b"+OK")) {
        (0, true) => Turn::Say("STLS\r\n"),
        (_, true) => Turn::End(Step::StartTls),
        (_, false) => Turn::End(refused(line)),
    }
}

/// RFC 959 section 4.2: inside a reply of several lines anything may stand, up to the code and a space.
fn ftp(line: &[u8], state: &State) -> Turn {
    match (state.turn, code(line)) {
        (_, None | Some((_, false)) | Some((120, _))) => Turn::Skip,
        (0, Some((220, _))) => Turn::Say("AUTH TLS\r\n"),
        (1, Some((220, _))) => Turn::Skip,
        (1, Some((234, _))) => Turn::End(Step::StartTls),
        _ => Turn::End(refused(line)),
    }
}

fn sieve(line: &[u8], state: &mut State) -> Turn {
    if state.turn == 0 && line.starts_with(b"\"") {
        state.offered |= starts(line, b"\"STARTTLS\"");
        return Turn::Skip;
    }
    match (state.turn, starts(line, b"OK")) {
        (0, true) if state.offered => Turn::Say("STARTTLS\r\n"),
        (0, true) => Turn::End(refused(b"the greeting does not list STARTTLS")),
        (1, true) => Turn::End(Step::StartTls),
        _ if starts(line, b"NO") || starts(line, b"BYE") => Turn::End(refused(line)),
        _ => Turn::Skip,
    }
}

fn nntp(line: &[u8], state: &State) -> Turn {
    match (state.turn, code(line)) {
        (0, Some((200 | 201, _))) => Turn::Say("STARTTLS\r\n"),
        (1, Some((382, _))) => Turn::End(Step::StartTls),
        _ => Turn::End(refused(line)),
    }
}

/// The numerics 670 and 691 of the IRCv3 tls extension; 421 and 451 from servers without it.
fn irc(line: &[u8]) -> Turn {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut word = words.next().unwrap_or_default();
    while word.starts_with(b":") || word.starts_with(b"@") {
        word = words.next().unwrap_or_default();
    }
    match word {
        b"670" => Turn::End(Step::StartTls),
        b"691" | b"421" | b"451" | b"ERROR" => Turn::End(refused(line)),
        b"PING" => {
            let rest = words.next().unwrap_or_default();
            Turn::Aside(format!("PONG {}\r\n", String::from_utf8_lossy(&rest[..rest.len().min(200)])))
        }
        _ => Turn::Skip,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use Protocol::*;

    use super::*;

    #[test]
    fn starts_tls() {
        let ehlo = b"EHLO notafter\r\nSTARTTLS\r\n";
        let said = b"220-mail.example\r\n220 ESMTP\r\n250-mail\r\n250-STARTTLS\r\n250 HELP\r\n220 go\r\n";
        check(Smtp, said, ehlo, "StartTls");
        check(Smtp, b"220 x\n250-x\n250 starttls\n220 go\n", ehlo, "StartTls");
        let said = b"220 x LMTP\r\n250-x\r\n250 STARTTLS\r\n220 2.0.0 ready\r\n";
        check(Lmtp, said, b"LHLO notafter\r\nSTARTTLS\r\n", "StartTls");
        let said = b"* OK [CAPABILITY IMAP4rev1] ready\r\n* x\r\na1 OK begin\r\n";
        check(Imap, said, b"a1 STARTTLS\r\n", "StartTls");
        check(Pop3, b"+OK hi <1@x>\r\n+OK go\r\n", b"STLS\r\n", "StartTls");
        let said = b"220-hello\r\n  text 230 x\r\n220 ready\r\n234 AUTH TLS OK\r\n";
        check(Ftp, said, b"AUTH TLS\r\n", "StartTls");
        let said = b"\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"go\"\r\nOK \"begin\"\r\n";
        check(Sieve, said, b"STARTTLS\r\n", "StartTls");
        check(Nntp, b"200 news\r\n382 go\r\n", b"STARTTLS\r\n", "StartTls");
        let said = b":irc NOTICE * :*** Looking up\r\nPING :7\r\n:irc 670 * :go\r\n";
        check(Irc, said, b"STARTTLS\r\nPONG :7\r\n", "StartTls");
    }

    #[test]
    fn says_why_not() {
        check(Smtp, b"220 x\r\n250 x\r\n", b"EHLO notafter\r\n", "does not list STARTTLS");
        check(Smtp, b"554 go away\r\n", b"", "Refused { reply: \"554 go away\" }");
        check(Smtp, b"220 x\r\n250 STARTTLS\r\n454 later\r\n", b"EHLO notafter\r\nSTARTTLS\r\n", "454 later");
        check(Smtp, b"220 x\r\nwhat\r\n", b"EHLO notafter\r\n", "Violation");
        check(Smtp, b"HTTP/1.1 400 Bad Request\r\n", b"", "Foreign");
        check(Imap, b"* PREAUTH hi\r\n", b"", "PREAUTH");
        check(Imap, b"* OK\r\na1 BAD no\r\n", b"a1 STARTTLS\r\n", "a1 BAD no");
        check(Pop3, b"+OK\r\n-ERR no\r\n", b"STLS\r\n", "-ERR no");
        check(Ftp, b"220 x\r\n502 no\r\n", b"AUTH TLS\r\n", "502 no");
        check(Sieve, b"\"SASL\" \"\"\r\nOK\r\n", b"", "does not list STARTTLS");
        check(Nntp, b"200 x\r\n502 no\r\n", b"STARTTLS\r\n", "502 no");
        check(Irc, b":i 451 * :register first\r\n", b"STARTTLS\r\n", "451");
        check(Smtp, &[b"220 ".to_vec(), vec![b'a'; 5000]].concat(), b"", "longer than 4 KiB");
    }
}
