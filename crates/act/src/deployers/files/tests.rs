//! A deployment stopped before each of its effects, and the disk it leaves.
//!
//! The judge is not the code under test: what a server would read is opened by path, as a server does, and key and
//! certificate are held against each other by `pki`.

mod atomic;
mod kept;
mod support;
