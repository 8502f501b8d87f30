//! Where things are found: sources, one file each.
//!
//! A source looks at the world through `wire` or the file system and puts observations into a sink. It
//! deliberately knows no inventory, no findings and no storage, and changes nothing it looks at.

pub mod configs;
pub mod ct;
pub mod dnssec;
pub mod domain;
pub mod exclude;
pub mod files;
pub mod flow;
pub mod http;
pub mod local;
pub mod manual;
pub mod network;
pub mod oidc;
pub mod promsd;
pub mod renewers;
pub mod resolve;
pub mod saml;
pub mod sources;
pub mod target;
pub mod tree;
pub mod zone;

mod dns;
mod guard;
mod limits;
mod named_file;
mod parts;
mod passwd;
mod permutation;
#[cfg(test)]
mod testing;
