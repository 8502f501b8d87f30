//! For tests: a certificate whose CA is a person, and that waits for what that person brings.
//!
//! Whether what comes is a certificate this clerk judges by its first words; what a real one does is tested where it is.

#[path = "../../../engine/tests/idle/nothing.rs"]
mod idle;

use std::sync::Arc;

use idle::Nothing;
use notafter_core::UnixTime;
use notafter_core::calendar::Calendar;
use notafter_core::deployment::{Check, Key};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Identifier, Issued, KeyType, Progress, Request, RevocationReason, Ticket};
use notafter_core::joints::{BoxFuture, Cx, Issuer, Solver};
use notafter_core::renew::{IssuedBy, Renewal};
use notafter_engine::renew::pass::Keeping;
use notafter_engine::renew::{Managed, Tools};
use notafter_store::Store;
use notafter_store::works::Note;

use super::{NOW, certificate};

/// What the configuration calls the certificate.
pub(crate) const PAPER: &str = "paper";

struct Clerk;

fn no() -> Fault {
    Fault::new(FaultKind::Invalid, "nobody asks this here").retry(Retry::Never)
}

impl Issuer for Clerk {
    fn begin<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        Box::pin(async { Err(no()) })
    }

    fn advance<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Request,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(async { Err(no()) })
    }

    fn abandon<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn revoke<'a>(&'a self, _: &'a Cx, _: &'a [u8], _: RevocationReason) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Err(no()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request, _: &'a dyn Solver) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }

    fn is_by_hand(&self) -> bool {
        true
    }

    fn reply<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Request,
        octets: &'a [u8],
    ) -> BoxFuture<'a, Result<Issued, Fault>> {
        Box::pin(async move {
            if octets.starts_with(b"-----BEGIN CERTIFICATE-----") {
                let chain = vec![certificate(PAPER, &["paper.test"], 90).to_vec()];
                return Ok(Issued { chain, reference: None });
            }
            let shown = String::from_utf8_lossy(octets.get(..40).unwrap_or(octets)).into_owned();
            Err(Fault::new(FaultKind::Refused, format!("it is no certificate: {shown}")).retry(Retry::Never))
        })
    }
}

fn names() -> Vec<Identifier> {
    vec![Identifier::parse("paper.test").unwrap()]
}

/// What is kept alive, by this clerk and nobody else; nothing is done by itself.
pub(super) fn keeping() -> Arc<Keeping> {
    let managed = Managed {
        name: PAPER.to_owned(),
        names: names(),
        key: KeyType::EcdsaP256,
        profile: None,
        preferred_chain: None,
        lifetime_s: None,
        issuers: vec![("office".to_owned(), Arc::new(Clerk))],
        solver: Arc::new(Nothing),
        targets: Vec::new(),
        windows: None,
        revoke_old: false,
        rehearse_s: None,
        made_from: String::new(),
        goes_to: String::new(),
    };
    let tools = Tools {
        keep: Arc::new(Nothing),
        probe: Arc::new(Nothing),
        make: Arc::new(|_, _, _| Ok((Key::new(vec![1]), vec![1]))),
        calendar: Calendar::default(),
        holder: "the bench".to_owned(),
        is_gone: Arc::new(|_| false),
        may: Arc::new(|_| Err("this bench renews nothing".to_owned())),
    };
    Arc::new(Keeping::new(vec![managed], Vec::new(), Vec::new(), tools))
}

/// The renewal that waits for an answer, looked for again in a day.
pub(super) fn waits(store: &Store) {
    let mut paper = Renewal::begin(PAPER, 1, "asked for", NOW);
    let note = || Note { what: "renewal-begun", detail: String::new(), proofs: Vec::new() };
    assert!(store.begin_work(&paper, &note(), NOW).unwrap());
    let request = Request {
        names: names(),
        csr: vec![0x30, 0x03, 0x02, 0x01, 0x00],
        profile: None,
        replaces: None,
        preferred_chain: None,
        lifetime_s: None,
    };
    (paper.request, paper.issuer) = (Some(request), IssuedBy::Name("office".to_owned()));
    paper.ticket = Some(Ticket(serde_json::Value::Null));
    (paper.next, paper.said) = (NOW.plus(86_400).0, "waits for the certificate".to_owned());
    let held = store.hold_work(PAPER, 1, "x", NOW.plus(60), NOW).unwrap().unwrap();
    store.put_work(&paper, held.version, ("x", NOW.plus(60)), &Note::default(), NOW).unwrap().unwrap();
    store.let_go_of_work(PAPER, 1, "x").unwrap();
}

/// When it is looked for again.
pub(crate) fn next(store: &Store) -> UnixTime {
    UnixTime(store.works_of(PAPER, 1).unwrap().remove(0).renewal.next)
}
