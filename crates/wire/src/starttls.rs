//! Protocols that begin in plaintext and turn to TLS: what is said before the hello.
//!
//! Sans-I/O: a `Dialogue` takes what the server said and answers what to send, until the server gives
//! the go-ahead. Nothing it says after that in plaintext is believed: it is thrown away, since an
//! attacker may have put it there. No user, password or content is ever sent.

use std::fmt;
use std::str::FromStr;

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
