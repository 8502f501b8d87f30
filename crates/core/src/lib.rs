//! Vocabulary and judgment: what there is, what is known about it, and what follows from that.
//!
//! Between `pki` (facts) and everything that acts. It deliberately has no I/O, no runtime, no sockets,
//! no files and no database, and reads no clock: `now` is an argument of everything that judges.

pub mod alert;
pub mod assess;
pub mod blast;
pub mod calendar;
pub mod cell;
pub mod census;
pub mod change;
pub mod cipher;
pub mod clients;
pub mod clock;
pub mod deadline;
pub mod deployment;
pub mod document;
pub mod dossier;
mod ending;
pub mod fault;
pub mod finding;
pub mod fix;
pub mod glob;
pub mod inventory;
pub mod issuance;
pub mod joints;
pub mod lifetimes;
pub mod location;
pub mod notice;
pub mod observation;
pub mod outlook;
pub mod owner;
pub mod policy;
pub mod proof;
pub mod query;
pub mod rate_limits;
pub mod renew;
mod renewers;
pub mod review;
pub mod rules;
pub mod scan;
pub mod subject;
pub mod trust;
pub mod upkeep;
pub mod watched;

pub use notafter_pki::{Fingerprint, KeyId, UnixTime};
