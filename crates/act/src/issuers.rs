//! The issuers: each hands out certificates behind `core::joints::Issuer`.
//!
//! One file and one line in [`ISSUERS`] each. An issuer sees a signed request, never a key; when it is asked, and what is
//! done with what it hands out, is decided by the engine.

pub mod acme;
pub mod ca;
pub mod csr;
pub mod ledger;

use std::sync::Arc;

use notafter_core::joints::{Issuer, Keep};
use serde_json::Value;

use crate::privsep::Client;
use crate::roots::Roots;

/// Every issuer, by name.
pub const ISSUERS: &[IssuerKind] = &[
    IssuerKind {
        name: acme::NAME,
        doc: acme::DOC,
        wants_proof: true,
        build: |table, cx| Ok(Box::new(acme::Acme::open(table, cx)?)),
        rehearsal: |table, cx| {
            Some(acme::Acme::rehearsal(table, cx)?.map(|acme| Box::new(acme) as Box<dyn Issuer>))
        },
        settings: acme::schema,
    },
    IssuerKind {
        name: ca::NAME,
        doc: ca::DOC,
        wants_proof: false,
        build: |table, cx| Ok(Box::new(ca::Ca::open(table, cx)?)),
        rehearsal: |_, _| None,
        settings: ca::schema,
    },
    IssuerKind {
        name: csr::NAME,
        doc: csr::DOC,
        wants_proof: false,
        build: |table, cx| Ok(Box::new(csr::ByHand::open(table, cx)?)),
        rehearsal: |_, _| None,
        settings: csr::schema,
    },
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static IssuerKind> {
    ISSUERS.iter().find(|kind| kind.name == name)
}

/// What every issuer is built with.
#[derive(Clone)]
pub struct BuildCx {
    /// What the configuration calls it.
    pub name: String,
    /// Whom connections trust, before an issuer's own `ca_file`.
    pub roots: Roots,
    /// What it remembers.
    pub keep: Arc<dyn Keep>,
    /// Who writes outside the data folder, where that is another process.
    pub act: Option<Arc<Client>>,
}

/// An issuer, or a sentence for the person who wrote its table.
pub type Built = Result<Box<dyn Issuer>, String>;

/// One kind of issuer.
#[derive(Clone, Copy)]
pub struct IssuerKind {
    /// `kind = "..."` in the file.
    pub name: &'static str,
    /// One line for the reference page.
    pub doc: &'static str,
    /// Does it want to see that names are ours? Then a certificate of it needs a solver.
    pub wants_proof: bool,
    /// Builds one from its table without `name` and `kind`.
    pub build: fn(Value, &BuildCx) -> Built,
    /// Builds the one that a rehearsal orders from (`staging`); `None` where the table names none.
    pub rehearsal: fn(Value, &BuildCx) -> Option<Built>,
    /// The JSON schema of its table.
    pub settings: fn() -> Value,
}
