//! Dated things that are no certificates (`pki::statement`): against what gpg, ssh-keygen and openssl say of the
//! same files, against material made by the tools that people use, and against hostile input.
//!
//! A corpus prints how many of its cases agree, and every case that does not is named with the reason. Corpora
//! are found through `NOTAFTER_CORPORA`; without them, or without a tool, those tests say `NOT RUN` and pass.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test that did not run must say so")]
#![allow(
    clippy::disallowed_methods,
    reason = "time limits of hostile input are measured with the real clock"
)]

mod hostile;
mod openpgp;
mod saml;
mod signatures;
mod ssh;
mod tools;
