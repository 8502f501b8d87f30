//! One dated fact: from where, by whom, at which place, what was seen or why nothing was.
//!
//! What every source yields and the only thing `engine/ingest.rs` takes. It holds bytes as they came;
//! what they mean is decided later, by `pki`.

use std::sync::Arc;

use crate::location::Location;
use crate::{KeyId, UnixTime};

/// What one look at one place gave.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When it was seen.
    pub at: UnixTime,
    /// The place.
    pub location: Location,
    /// What was there.
    pub seen: Seen,
}

/// The outcome of a look.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Certificates: the chain as sent or stored, leaf first, and facts about the place.
    Chain {
        /// DER of each, in the order of the place. At an endpoint all of them are there; in a file only
        /// the first is at this place, and each of the others has an observation of its own.
        chain: Vec<Arc<[u8]>>,
        /// What the first is there for, where the source knows better than the certificate itself.
        role: Option<crate::inventory::Role>,
        /// Does it stand for itself, rather than as an issuer behind a leaf in the same file?
        leads: bool,
        /// About the place.
        facts: Facts,
    },
    /// Something else with a date (a CRL).
    Dated {
        /// What it is.
        kind: crate::inventory::AssetKind,
        /// Its DER.
        der: Arc<[u8]>,
        /// About the place.
        facts: Facts,
    },
    /// A private key. Its bytes never leave the source.
    Key {
        /// Whose key it is; `None` when it is encrypted or of an unknown kind.
        key: Option<KeyId>,
        /// How it is written down: `PKCS#8`, `PKCS#1`, `SEC1`, ...
        format: &'static str,
        /// Is a password needed to use it?
        encrypted: bool,
        /// About the place.
        facts: Facts,
    },
    /// Nothing could be seen, and why.
    Failed {
        /// One of the closed list.
        reason: Reason,
        /// What exactly came back, for a person.
        detail: String,
    },
    /// A relation between two places.
    Linked(Link),
    /// What a renewer says of one of its lineages.
    Managed(Box<crate::upkeep::Upkeep>),
    /// A server was asked for the time: by so many seconds our clock is ahead of its (behind: negative).
    Time {
        /// In seconds.
        ahead: i64,
    },
}

/// Why a place could not be seen: the closed list of interface.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Reason {
    Dns,
    Refused,
    Timeout,
    NoTls,
    Handshake,
    PermissionDenied,
    WrongPassword,
    UnsupportedFormat,
    Malformed,
    TooLarge,
    SpecialFile,
    OtherFilesystem,
    Excluded,
    Budget,
    NotFound,
}

impl Reason {
    /// The word used in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::NoTls => "no-tls",
            Self::Handshake => "handshake",
            Self::PermissionDenied => "permission-denied",
            Self::WrongPassword => "wrong-password",
            Self::UnsupportedFormat => "unsupported-format",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::SpecialFile => "special-file",
            Self::OtherFilesystem => "other-filesystem",
            Self::Excluded => "excluded",
            Self::Budget => "budget",
            Self::NotFound => "not-found",
        }
    }
}

/// Was it proved that the server holds the private key of the certificate it showed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Possession {
    Verified,
    Unverified,
}

impl Possession {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
        }
    }
}

/// Typed facts about a place. Absent is not the same as no: it was not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// `tls`, `starttls:smtp`, ...; `None` for a file.
    pub protocol: Option<Arc<str>>,
    /// The negotiated version on the wire: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3.
    pub tls_version: Option<u16>,
    /// The cipher suite agreed on (IANA number). Not kept: it tells of one handshake.
    pub cipher: Option<u16>,
    /// Whether possession of the key was proved.
    pub possession: Option<Possession>,
    /// Distinguished names (RFC 4514) of the CAs whose client certificates are accepted; `Some(vec![])`
    /// when a client certificate is asked for without naming a CA.
    pub client_cas: Option<Arc<[String]>>,
    /// The process behind a listening port of this host.
    pub process: Option<Arc<Process>>,
    /// Another program was connected to this port of this host. Otherwise nobody was, or it was not looked at.
    pub connected: bool,
    /// Only a zone of the DNS led there: no list of servers names it.
    pub hinted: bool,
    /// One entry of a keystore, beside which others stand for themselves. Not kept: every look tells it anew.
    pub entry: bool,
    /// The file's own facts.
    pub file: Option<Arc<FileFacts>>,
    /// What the place is a part of, where an end means something else there than at a server.
    pub part: Option<Arc<Part>>,
    /// How a counter has moved, of a file that is watched for it.
    pub flow: Option<Arc<Flow>>,
}

/// A place within something that is published or signed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of what.
    pub of: Whole,
    /// Which part: the entity of metadata, the key id of a key set; empty for a signature.
    pub name: String,
    /// What for: `idp/signing`, `sig RSA`; things for different uses do not take each other's place.
    pub usage: String,
    /// Is it one of very many in one document, such as a federation's: most of them are others' to keep?
    pub crowd: bool,
}

/// What a place can be a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whole {
    /// SAML metadata.
    Metadata,
    /// A set of keys by which tokens are verified (JWKS).
    KeySet,
    /// A signature over something else: code, mail, an answer of OCSP.
    Signature,
}

impl Whole {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Metadata, Self::KeySet, Self::Signature];

    /// The word used in the memory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::KeySet => "key-set",
            Self::Signature => "signature",
        }
    }
}

/// How a counter has moved, as the file that records it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// So much an hour is the least that is normal.
    pub floor: u32,
    /// The last time that it reached the floor; `None`: never, as far as the file tells.
    pub moved: Option<UnixTime>,
    /// The first record that the file tells of.
    pub first: UnixTime,
    /// The last one, whatever it counts.
    pub last: UnixTime,
}

/// The process behind a port of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// Its name (`comm`).
    pub name: String,
    /// Its systemd unit, where the control group names one.
    pub unit: Option<String>,
}

/// What `stat` says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The owner's numeric id.
    pub uid: u32,
    /// The owner's name, when the system knows one.
    pub owner: Option<String>,
    /// Last modification.
    pub mtime: UnixTime,
    /// Can others than owner and group get to it through its folders?
    pub reachable_by_others: bool,
}

/// A dated relation with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What relates.
    pub kind: LinkKind,
    /// From this place (a file for `Serves`).
    pub from: Location,
    /// To this place (an endpoint for `Serves`).
    pub to: Location,
    /// How we know: file and line, pid, rule.
    pub evidence: String,
}

/// The kinds of link. Each reads from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// This file is what that endpoint serves.
    Serves,
    /// This file is kept alive by that renewer (the place of its state).
    ManagedBy,
    /// This one (a configuration, an endpoint) checks others by that file of anchors.
    Trusts,
    /// This one (a configuration) signs in as a client with that file.
    Presents,
    /// This file is a copy of what that place publishes.
    CopyOf,
}

impl LinkKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Serves, Self::ManagedBy, Self::Trusts, Self::Presents, Self::CopyOf];

    /// The word used in JSON and in the memory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serves => "serves",
            Self::ManagedBy => "managed-by",
            Self::Trusts => "trusts",
            Self::Presents => "presents",
            Self::CopyOf => "copy-of",
        }
    }
}
