//! The solvers: each shows what proves control of a name, behind `core::joints::Solver`.
//!
//! One file and one line in [`SOLVERS`] each. A solver shows, looks whether it can be seen, and takes back what it showed
//! and nothing else; when, is the issuer's business.

mod dns_01;
mod http_01;
mod seen;
mod stand;
mod tls_alpn_01;
mod tokens;
mod unasked;

use std::sync::Arc;
use std::time::Duration;

use notafter_core::issuance::ChallengeType;
use notafter_core::joints::{Keep, Solver};
use serde_json::Value;

pub(crate) use dns_01::{Resolver, server_at};
pub use tokens::{PLACE, Shown};
pub use unasked::Unasked;

use crate::roots::Roots;

/// Every solver, by name.
pub const SOLVERS: &[SolverKind] = &[
    SolverKind {
        name: "dns-01",
        shows: ChallengeType::Dns01,
        doc: "A TXT record in DNS, by an API, a dynamic update or a program (RFC 8555 section 8.4).",
        build: |table, cx| Ok(Box::new(dns_01::Dns01::open(table, cx)?)),
        settings: dns_01::schema,
        // Programs of the site's; everybody else is asked over the network.
        needs_rights: |table| dns_01::runs_a_program(table),
        patience: dns_01::patience,
    },
    SolverKind {
        name: "http-01",
        shows: ChallengeType::Http01,
        doc: "A file or a small answer on port 80 (RFC 8555 section 8.3).",
        build: |table, cx| Ok(Box::new(http_01::Http01::open(table, cx)?)),
        settings: http_01::schema,
        needs_rights: |table| table["server"] != true,
        patience: |_| Duration::ZERO,
    },
    SolverKind {
        name: "tls-alpn-01",
        shows: ChallengeType::TlsAlpn01,
        doc: "A certificate of its own kind on port 443 (RFC 8737).",
        build: |table, _| Ok(Box::new(tls_alpn_01::TlsAlpn01::open(table)?)),
        settings: tls_alpn_01::schema,
        needs_rights: |_| true,
        patience: |_| Duration::ZERO,
    },
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static SolverKind> {
    SOLVERS.iter().find(|kind| kind.name == name)
}

/// What every solver is built with.
#[derive(Clone)]
pub struct BuildCx {
    /// Whom connections trust.
    pub roots: Roots,
    /// What a solver remembers.
    pub keep: Arc<dyn Keep>,
}

/// A solver, or a sentence for the person who wrote its table.
pub type Built = Result<Box<dyn Solver>, String>;

/// One kind of solver.
#[derive(Clone, Copy)]
pub struct SolverKind {
    /// `kind = "..."` in the table.
    pub name: &'static str,
    /// The challenge.
    pub shows: ChallengeType,
    /// One line for the reference page.
    pub doc: &'static str,
    /// Builds one from its table without `kind`.
    pub build: fn(Value, &BuildCx) -> Built,
    /// The JSON schema of its table.
    pub settings: fn() -> Value,
    /// Does one with this table write files, open a port or run a program? Then it belongs where there are the rights to.
    pub needs_rights: fn(&Value) -> bool,
    /// `Solver::patience` of one with this table, where another process has it.
    pub patience: fn(&Value) -> Duration,
}
