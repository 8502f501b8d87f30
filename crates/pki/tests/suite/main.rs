//! The tests of `pki` that need more than one file: against public corpora, against x509-parser, and
//! against hostile input.
//!
//! Corpora are found through `NOTAFTER_CORPORA`; without them those tests say `NOT RUN` and pass.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test that did not run must say so")]
#![allow(
    clippy::disallowed_methods,
    reason = "time limits of hostile input are measured with the real clock"
)]

mod containers;
mod corpora;
mod differential;
mod hostile;
