//! Tells from the first bytes a server says which plaintext protocol it speaks.
//!
//! They are its greeting, or what it makes of a TLS hello it did not expect. A wrong guess costs
//! one connection, so the tests are short and none is certain.

use super::Protocol;

/// The protocol that these first bytes belong to, if it is one with a way to TLS.
pub fn identify(first: &[u8]) -> Option<Protocol> {
    let says = |word: &str| first.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    let starts = |word: &str| first.starts_with(word.as_bytes());
    Some(match first {
        _ if starts("220") && says("LMTP") => Protocol::Lmtp,
        _ if starts("220") && says("FTP") && !says("SMTP") => Protocol::Ftp,
        _ if starts("220") => Protocol::Smtp,
        _ if starts("* OK") || starts("* PREAUTH") || starts("* BYE") => Protocol::Imap,
        _ if starts("+OK") => Protocol::Pop3,
        _ if starts("200 ") || starts("201 ") => Protocol::Nntp,
        _ if starts("\"IMPLEMENTATION\"") || starts("\"SIEVE\"") => Protocol::Sieve,
        _ if says("jabber:server") => Protocol::XmppServer,
        _ if starts("<?xml") && says("stream") || starts("<stream:") => Protocol::Xmpp,
        _ if starts("NOTICE ") || starts("ERROR :") || starts(":") && says(" NOTICE ") => Protocol::Irc,
        // A message from an LDAP server begins with a sequence holding a small message id.
        [0x30, length, 0x02, 0x01, ..] if *length < 0x80 => Protocol::Ldap,
        [0x30, 0x84, _, _, _, _, 0x02, 0x01, ..] => Protocol::Ldap,
        [b'E', 0, 0, _, _, b'S', ..] | [b'N'] => Protocol::Postgres,
        _ if starts("EFATAL") => Protocol::Postgres,
        [_, _, 0, 0, 10 | 0xff, ..] => Protocol::Mysql,
        [0x04, 1, _, _, _, _, _, _, ..] => Protocol::Mssql,
        [3, 0, 0, _, _, 0xd0 | 0x80 | 0xf0, ..] => Protocol::Rdp,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: &[u8], expected: Option<Protocol>) {
        assert_eq!(identify(first), expected, "{}", first.escape_ascii());
    }

    #[test]
    fn knows_greetings() {
        check(b"220 mail.example ESMTP Postfix\r\n", Some(Protocol::Smtp));
        check(b"220 (vsFTPd 3.0.3)\r\n", Some(Protocol::Ftp));
        check(b"220 x LMTP\r\n", Some(Protocol::Lmtp));
        check(b"* OK [CAPABILITY IMAP4rev1", Some(Protocol::Imap));
        check(b"+OK Dovecot ready.\r\n", Some(Protocol::Pop3));
        check(b"200 news\r\n", Some(Protocol::Nntp));
        check(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client'", Some(Protocol::Xmpp));
        check(b"\x59\0\0\0\x0a5.5.5-10.11", Some(Protocol::Mysql));
        check(b"EFATAL:  unsupported", Some(Protocol::Postgres));
        check(b"\x30\x2b\x02\x01\x00\x78", Some(Protocol::Ldap));
        check(b"HTTP/1.1 400 Bad Request", None);
        check(b"SSH-2.0-OpenSSH_9.2", None);
        check(b"", None);
    }
}
