//! Bytes to facts: X.509 and its relatives, and every container that may hold a certificate.
//!
//! First in the pipeline's data flow, last in the import order: this crate imports none of ours.
//! It deliberately does no I/O, reads no clock, and knows no policy: what is odd about a certificate
//! is recorded as a problem, never refused, and never judged here.

pub mod fingerprint;
pub mod time;

pub use fingerprint::{Fingerprint, KeyId};
pub use time::UnixTime;
