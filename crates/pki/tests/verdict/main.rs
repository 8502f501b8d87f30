//! The judge of chains (`pki::verdict`) and the graph of paths (`pki::chain`) against public corpora and against
//! chains made to hurt.
//!
//! Each corpus prints how many of its cases agree. Every case that does not is named in its file, with the
//! reason: one more or one fewer is a failure, so that the figure cannot drift unseen. Corpora are found through
//! `NOTAFTER_CORPORA`; without them those tests say `NOT RUN` and pass.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test that did not run must say so")]
#![allow(
    clippy::disallowed_methods,
    reason = "time limits of hostile input are measured with the real clock"
)]

mod agreement;
mod bettertls;
mod boringssl;
mod constraints;
mod crl;
mod graph;
mod judged;
mod limbo;
mod made;
mod openssl;
mod paths;
