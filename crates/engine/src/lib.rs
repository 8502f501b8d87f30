//! The pipeline: what was seen goes in, what follows from it comes out.
//!
//! Read `pipeline` first. Of providers it sees only the traits in `core::joints`; it opens no socket and
//! no file of its own but the spool, and prints nothing.

pub mod assess;
pub mod clock;
pub mod ingest;
pub mod pipeline;
pub mod spool;
