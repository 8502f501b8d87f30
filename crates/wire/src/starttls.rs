//! Protocols that begin in plaintext and turn to TLS: what is said before the hello.
//!
//! Sans-I/O: a `Dialogue` takes what the server said and answers what to send, until the server gives
//! the go-ahead. Nothing it says after that in plaintext is believed: it is thrown away, since an
//! attacker may have put it there. No user, password or content is ever sent.

mod databases;
mod identify;
mod ldap;
mod lines;
mod rdp;
pub mod tds;
mod xmpp;

pub use identify::identify;

use std::fmt;
use std::str::FromStr;

/// The most a server may say before TLS, in bytes: a banner has no end if it does not want one.
const SAID_MAX: usize = 64 * 1024;

/// A protocol with a way from plaintext to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Mail between servers and submission (RFC 3207).
    Smtp,
    /// Local mail delivery (RFC 2033).
    Lmtp,
    /// Mail reading (RFC 9051 section 6.2.1).
    Imap,
    /// Mail reading (RFC 2595 section 4).
    Pop3,
    /// Files (RFC 4217).
    Ftp,
    /// Directory (RFC 4511 section 4.14).
    Ldap,
    /// Chat, clients' side (RFC 6120 section 5).
    Xmpp,
    /// Chat between servers (RFC 6120 section 5).
    XmppServer,
    /// PostgreSQL's SSLRequest.
    Postgres,
    /// MySQL's and MariaDB's SSLRequest.
    Mysql,
    /// Microsoft SQL Server: TLS inside TDS packets (MS-TDS section 2.2.6.5).
    Mssql,
    /// Mail filters (RFC 5804 section 2.2).
    Sieve,
    /// News (RFC 4642).
    Nntp,
    /// Chat (IRCv3 tls).
    Irc,
    /// Remote desktop: X.224 negotiation (MS-RDPBCGR section 2.2.1.1).
    Rdp,
}

impl Protocol {
    /// All of them, in the order of the documentation.
    pub const ALL: [Protocol; 15] = [
        Protocol::Smtp,
        Protocol::Lmtp,
        Protocol::Imap,
        Protocol::Pop3,
        Protocol::Ftp,
        Protocol::Ldap,
        Protocol::Xmpp,
        Protocol::XmppServer,
        Protocol::Postgres,
        Protocol::Mysql,
        Protocol::Mssql,
        Protocol::Sieve,
        Protocol::Nntp,
        Protocol::Irc,
        Protocol::Rdp,
    ];

    /// The name users write.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Smtp => "smtp",
            Protocol::Lmtp => "lmtp",
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Ftp => "ftp",
            Protocol::Ldap => "ldap",
            Protocol::Xmpp => "xmpp",
            Protocol::XmppServer => "xmpp-server",
            Protocol::Postgres => "postgres",
            Protocol::Mysql => "mysql",
            Protocol::Mssql => "mssql",
            Protocol::Sieve => "sieve",
            Protocol::Nntp => "nntp",
            Protocol::Irc => "irc",
            Protocol::Rdp => "rdp",
        }
    }

    /// The port it is found on unless told otherwise.
    pub fn default_port(self) -> u16 {
        match self {
            Protocol::Smtp => 25,
            Protocol::Lmtp => 24,
            Protocol::Imap => 143,
            Protocol::Pop3 => 110,
            Protocol::Ftp => 21,
            Protocol::Ldap => 389,
            Protocol::Xmpp => 5222,
            Protocol::XmppServer => 5269,
            Protocol::Postgres => 5432,
            Protocol::Mysql => 3306,
            Protocol::Mssql => 1433,
            Protocol::Sieve => 4190,
            Protocol::Nntp => 119,
            Protocol::Irc => 6667,
            Protocol::Rdp => 3389,
        }
    }

    /// The protocol that a port is known for, where that one begins in plaintext.
    pub fn usual_on(port: u16) -> Option<Protocol> {
        Some(match port {
            587 | 2525 => Protocol::Smtp,
            // Microsoft's global catalogue is LDAP.
            3268 => Protocol::Ldap,
            6665..=6669 => Protocol::Irc,
            _ => return Protocol::ALL.into_iter().find(|protocol| protocol.default_port() == port),
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not the name of a protocol that this crate can start TLS in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no STARTTLS protocol is called {0:?}")]
pub struct UnknownProtocol(pub String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Protocol, UnknownProtocol> {
        Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.name() == name)
            .ok_or_else(|| UnknownProtocol(name.to_string()))
    }
}

/// What to do after `Dialogue::advance`. Whatever was appended to `out` is to be sent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait for more from the server (having sent `out`, if it is not empty).
    NeedMore,
    /// TLS begins now: send the hello (behind `out`, if it is not empty).
    StartTls,
    /// The server speaks the protocol and will not start TLS.
    Refused {
        /// Its answer made printable, at most 200 characters.
        reply: String,
    },
    /// The server broke the protocol's rules or our limits.
    Violation {
        /// The rule.
        what: &'static str,
    },
    /// The first thing it said is not of this protocol.
    Foreign {
        /// Up to 64 bytes of it.
        first: Vec<u8>,
    },
}

/// One plaintext conversation up to the go-ahead for TLS.
pub struct Dialogue {
    protocol: Protocol,
    names: Names,
    received: Vec<u8>,
    seen: usize,
    state: State,
}

/// Who we say we are and whom we say we want.
struct Names {
    client: String,
    host: String,
}

/// What a protocol remembers between two answers.
#[derive(Default)]
struct State {
    /// Which answer we wait for: 0 is the greeting.
    turn: u8,
    /// Whether the server has offered TLS.
    offered: bool,
    /// Whether anything in this protocol has come.
    greeted: bool,
    /// How much of `received` has been searched already.
    searched: usize,
}

impl Dialogue {
    /// A conversation with `host` (as the server knows itself), in which we call ourselves `client`. To be
    /// advanced with empty input once connected: some protocols let the client speak first.
    pub fn new(protocol: Protocol, host: &str, client: &str) -> Dialogue {
        // Both go into lines and XML attributes, so they end before anything that could break out of one.
        let plain = |text: &str| -> String {
            let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
            text.chars().take_while(fits).take(253).collect()
        };
        let names = Names { client: plain(client), host: plain(host) };
        Dialogue { protocol, names, received: Vec::new(), seen: 0, state: State::default() }
    }

    /// The protocol spoken.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Takes what the server said and appends to `out` what to answer.
    pub fn advance(&mut self, input: &[u8], out: &mut Vec<u8>) -> Step {
        self.seen += input.len();
        if self.seen > SAID_MAX {
            return Step::Violation { what: "more than 64 KiB before TLS" };
        }
        self.received.extend_from_slice(input);
        let (received, state, names) = (&mut self.received, &mut self.state, &self.names);
        match self.protocol {
            Protocol::Ldap => ldap::advance(received, state, out),
            Protocol::Xmpp => xmpp::advance(false, received, state, names, out),
            Protocol::XmppServer => xmpp::advance(true, received, state, names, out),
            Protocol::Postgres => databases::postgres(received, state, out),
            Protocol::Mysql => databases::mysql(received, out),
            Protocol::Mssql => tds::advance(received, state, out),
            Protocol::Rdp => rdp::advance(received, state, out),
            line => lines::advance(line, received, state, names, out),
        }
    }
}

/// A refusal in the server's words.
fn refused(reply: &[u8]) -> Step {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text = String::from_utf8_lossy(&reply[..reply.len().min(600)]);
    let reply: String = text.trim().chars().map(printable).take(200).collect();
    Step::Refused { reply }
}

fn foreign(received: &[u8]) -> Step {
    Step::Foreign { first: received[..received.len().min(64)].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Plays the server's lines one byte at a time and all at once; returns what we said and how it ended.
    pub(super) fn play(protocol: Protocol, said: &[u8], piece: usize) -> (Vec<u8>, Step) {
        let mut dialogue = Dialogue::new(protocol, "host.example'/>", "notafter/1.0\r\nQUIT");
        let mut out = Vec::new();
        let mut step = dialogue.advance(&[], &mut out);
        for part in said.chunks(piece) {
            if step != Step::NeedMore {
                break;
            }
            step = dialogue.advance(part, &mut out);
        }
        (out, step)
    }

    pub(super) fn check(protocol: Protocol, said: &[u8], sent: &[u8], end: &str) {
        for piece in [1, 5, 100_000] {
            let (out, step) = play(protocol, said, piece);
            assert_eq!(out.escape_ascii().to_string(), sent.escape_ascii().to_string(), "{protocol}");
            let step = format!("{step:?}");
            assert!(step.contains(end), "{protocol}, in pieces of {piece}: {step}, not {end}");
        }
    }

    #[test]
    fn names_go_both_ways() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
            assert_eq!(Protocol::usual_on(protocol.default_port()), Some(protocol));
        }
        assert!("SMTP2".parse::<Protocol>().is_err());
        assert_eq!(Protocol::usual_on(443), None);
    }

    #[test]
    fn bounds_what_a_server_says() {
        for protocol in Protocol::ALL {
            for byte in [b'x', b'2', b'<', b'"', b'*', 0, 3, 4, 10, 48, 255] {
                let (_, step) = play(protocol, &vec![byte; 100_000], 3000);
                assert_ne!(step, Step::NeedMore, "{protocol} {byte}");
                assert_ne!(step, Step::StartTls, "{protocol} {byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
            for protocol in Protocol::ALL {
                let _ = play(protocol, &bytes, piece);
            }
            let _ = identify(&bytes);
        }
    }
}
