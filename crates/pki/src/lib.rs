//! Bytes to facts: X.509 and its relatives, every other thing with a date (`statement.rs`), and every container
//! that may hold one.
//!
//! First in the pipeline's data flow, last in the import order: this crate imports none of ours.
//! It deliberately does no I/O, reads no clock, and knows no policy: what is odd about a certificate
//! is recorded as a problem, never refused, and never judged here.

pub mod asn1_time;
pub mod certificate;
pub mod chain;
pub mod container;
pub mod crl;
pub mod csr;
pub mod der;
pub mod dns;
pub mod extension;
pub mod fingerprint;
pub mod key;
pub mod lint;
pub mod name;
pub mod oid;
pub mod private_key;
pub mod salvage;
pub mod statement;
pub mod time;
pub mod verdict;
pub mod verify;

pub use certificate::{Certificate, Malformed};
pub use crl::Crl;
pub use csr::Csr;
pub use extension::{
    BasicConstraints, ExtendedKeyUsage, Extension, Extensions, GeneralName, GeneralNames, KeyUsage,
};
pub use fingerprint::{Fingerprint, KeyId};
pub use key::{AlgorithmIdentifier, PublicKey};
pub use lint::Problem;
pub use name::Name;
pub use private_key::PrivateKey;
pub use salvage::{Salvaged, salvage};
pub use statement::{Statement, StatementKind};
pub use time::UnixTime;
pub use verify::{SignatureVerdict, is_signed_by, verify_signature};
