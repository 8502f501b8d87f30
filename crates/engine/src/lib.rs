//! The pipeline: what was seen goes in, what follows from it comes out.
//!
//! Read `pipeline` first. Of providers it sees only the traits in `core::joints`; it opens no socket and
//! no file of its own but the spool, and prints nothing.

pub mod accepts;
pub mod assess;
pub mod clock;
pub mod digest;
pub mod forecast;
pub mod hands;
pub mod ingest;
pub mod judge;
mod look;
pub mod notify;
pub mod pipeline;
pub mod record;
pub mod renew;
pub mod schedule;
pub mod serve;
pub mod service;
pub mod setup;
pub mod spool;
pub mod status;
