//! Configurations, renewers' state and registrations against outside truth: the servers themselves, asked what they make of
//! a configuration, and corpora of other projects. Where either is absent the test says `NOT RUN` and passes.

#![allow(clippy::print_stdout, reason = "what was not run, and how much was, is said")]

mod corpora;
mod domains;
mod hostile;
mod judges;
mod lab;
