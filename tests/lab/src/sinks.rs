//! The sinks: real receivers of messages, from a mail server to an Alertmanager.
//!
//! What notifications are tested against. Each listens on 127.0.0.1, keeps what it got, and hands it to the test;
//! none passes anything on.

pub mod alertmanager;
pub mod http;
pub mod ntfy;
pub mod smtp;
