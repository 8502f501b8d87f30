//! What can come of asking a server for its certificates: one closed list, from every driver.
//!
//! These are observations in the protocol's own words. What they mean to a user (refused, no TLS,
//! malformed, ...) is decided by the caller.

use crate::tls::Chain;

/// What a server showed before we left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The protocol version agreed on: 0x0304 is TLS 1.3, 0x0303 TLS 1.2, 0x0300 SSL 3.0.
    pub version: u16,
    /// The cipher suite agreed on (IANA number).
    pub cipher: u16,
    /// The key exchange group (IANA number): always known in TLS 1.3; below it, only where the driver read on.
    pub group: Option<u16>,
    /// The certificates.
    pub certificates: Chain,
    /// Set if the server asked for a client certificate. Below TLS 1.3 the request comes after the
    /// certificates, so there `None` means "did not ask" only if the names were wanted.
    pub client_auth: Option<ClientAuth>,
    /// The OCSP response stapled for the leaf (DER).
    pub staple: Option<Vec<u8>>,
    /// The SignedCertificateTimestampList sent beside the leaf in TLS 1.3 (RFC 6962 section 3.3).
    pub timestamps: Option<Vec<u8>>,
}

/// A server's request for a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAuth {
    /// The names (DER) of the authorities it accepts; empty if it named none.
    pub ca_names: Vec<Vec<u8>>,
}

/// How far a conversation had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// No connection yet.
    Connect,
    /// Connected, in the plaintext dialogue before TLS (STARTTLS and kin).
    Greeting,
    /// Our hello was sent, the certificates had not arrived.
    Handshake,
}

/// The final result for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server showed its certificates. Possession of the key is not verified.
    Certificates(Box<Flight>),
    /// Nothing listens there: the connection was refused.
    Refused,
    /// The network says no: the operating system's error number (ENETUNREACH, EHOSTUNREACH, EACCES, ...).
    Unreachable {
        /// `errno`; `std::io::Error::from_raw_os_error` gives its text.
        errno: i32,
    },
    /// The time given to the target is over.
    Timeout {
        /// What we were waiting for.
        stage: Stage,
    },
    /// The server refused with a TLS alert (RFC 8446 section 6). 112 means that it wants another name.
    Alert {
        /// 1 warning, 2 fatal.
        level: u8,
        /// The alert's number.
        description: u8,
    },
    /// The server reset the connection.
    Reset {
        /// While we were waiting for this.
        stage: Stage,
    },
    /// The server closed the connection.
    Closed {
        /// While we were waiting for this.
        stage: Stage,
    },
    /// What answered does not speak TLS.
    NotTls {
        /// Up to 64 bytes of what it said first.
        first: Vec<u8>,
    },
    /// A part of the answer is bigger than we accept.
    TooLarge {
        /// The part.
        what: &'static str,
        /// Its size as announced or as far as read, in bytes (or certificates, for a chain).
        size: u64,
    },
    /// It began as TLS (or as the STARTTLS protocol) and then broke the protocol's rules.
    Malformed {
        /// The rule, in a few words.
        what: &'static str,
    },
    /// The server insists on something that only a full client can do (see `prove`).
    Unsupported {
        /// The key exchange group it asked for.
        group: u16,
    },
    /// The handshake needs no certificate here: an anonymous or pre-shared-key suite.
    NoCertificate,
    /// The plaintext protocol works, but the server will not start TLS.
    StarttlsRefused {
        /// Its answer, at most a line, made printable.
        reply: String,
    },
    /// This machine ran out of something (descriptors, local ports) and waiting did not help.
    NoResources {
        /// What there was too little of.
        what: &'static str,
    },
}
