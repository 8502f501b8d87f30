//! Protocol clients: what to say to a server, and how to read what it answers.
//!
//! Stands below `discover` and `act`, which turn these plain bytes and structs into observations.
//! Every protocol is written sans-I/O first (bytes in, bytes out, no socket, no clock) and then
//! driven by a thin loop. This crate knows no certificate, policy or finding: a certificate is
//! a run of bytes here, and nothing is parsed out of it.

pub mod clock;
pub mod starttls;
pub mod tls;

pub use clock::Monotonic;
