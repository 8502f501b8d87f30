//! TLS, read from outside: which certificates a server shows, and to whom.
//!
//! `hello` writes a first message that costs no public-key arithmetic, `flight` reads the answer
//! up to the certificates, `schedule` opens the encrypted part of TLS 1.3, and `grab` runs thousands
//! of such conversations at once. Nothing here verifies a chain or proves that the server holds
//! the key: that is `prove`, a full handshake and several times dearer.

pub mod chain;
pub mod flight;
pub mod grab;
pub mod hello;
mod message;
pub mod outcome;
pub mod prove;
mod schedule;

pub use chain::Chain;
pub use flight::{FlightReader, Limits, Progress};
pub use hello::{ClientHello, Offer};
pub use outcome::{ClientAuth, Flight, Outcome, Stage};
