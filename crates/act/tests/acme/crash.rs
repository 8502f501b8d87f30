//! Killed after every step, and in the middle of each: one finalised order, never two.

use std::sync::Arc;

use notafter_core::fault::{FaultKind, Retry};
use notafter_core::issuance::Progress;
use notafter_core::joints::Issuer;
use notafter_lab::Lab;
use notafter_lab::pebble::Options;
use serde_json::json;

use crate::{Memory, cx, go_on, issuer, kept, order, request, solver, standalone, start, table, wait};

#[tokio::test]
async fn resumed_from_every_ticket() {
    let lab = Lab::new("acme-crash");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let whole = issuer(table(&ca, json!({})), &Arc::default());
    let first = request(&lab, &["a.test", "b.test"]);
    let begun = whole.begin(&cx(), &first).await.unwrap();
    let (_, tickets) = go_on(&whole, &first, begun, &*standalone(&ca)).await.unwrap();
    // Account, order, authorizations chosen, two shown, two told, finalized, downloaded.
    assert!(tickets.len() >= 8, "{tickets:?}");
    let mut done = 1;
    for killed_after in 0..tickets.len() {
        let keep = Arc::new(Memory::default());
        let request = request(&lab, &["a.test", "b.test"]);
        let mut ticket = {
            let (acme, solver) = (issuer(table(&ca, json!({})), &keep), standalone(&ca));
            let mut ticket = acme.begin(&cx(), &request).await.unwrap();
            for _ in 0..killed_after {
                loop {
                    match acme.advance(&cx(), &request, &kept(&ticket), &*solver).await.unwrap() {
                        Progress::Stepped(next) => break ticket = next,
                        Progress::Waits { ticket: next, until, .. } => {
                            ticket = next;
                            wait(until).await;
                        }
                        Progress::Issued(_) => break,
                    }
                }
            }
            // The next step is made, and killed before its ticket is kept.
            let _ = acme.advance(&cx(), &request, &kept(&ticket), &*solver).await.unwrap();
            ticket
        };
        ticket = kept(&ticket);
        let (acme, solver) = (issuer(table(&ca, json!({})), &keep), standalone(&ca));
        let (issued, _) = go_on(&acme, &request, ticket.clone(), &*solver)
            .await
            .unwrap_or_else(|fault| panic!("killed after {killed_after}: {fault:?}\n{ticket:?}"));
        done += 1;
        assert_eq!(ca.issued(), done, "killed after {killed_after}: {ticket:?}");
        assert_eq!(issued.chain.len(), 2);
    }
    drop(std::net::TcpListener::bind(("127.0.0.1", ca.http_port())).expect("nothing is left listening"));
}

#[tokio::test]
async fn a_ca_that_lost_everything() {
    let lab = Lab::new("acme-amnesia");
    let Some(mut ca) = start(&lab, &Options::default()) else { return };
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["a.test"]), &*standalone(&ca)).await.unwrap();
    ca.forget_everything().unwrap();
    // The account is made anew with the same key. The connection that was open may be found dead first.
    let again = request(&lab, &["a.test"]);
    if let Err(fault) = order(&acme, &again, &*standalone(&ca)).await {
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault:?}");
        order(&acme, &again, &*standalone(&ca)).await.unwrap();
    }
    assert_eq!(ca.issued(), 1);
}

#[tokio::test]
async fn a_ticket_whose_order_is_over_begins_another() {
    let lab = Lab::new("acme-over");
    let Some(ca) = start(&lab, &Options::default()) else { return };
    let keep = Arc::new(Memory::default());
    let (webroot, wanted) = (lab.subfolder("nobody"), request(&lab, &["a.test"]));
    // Nobody answers where the CA looks.
    let silent = solver("http-01", json!({ "webroot": webroot, "check": false }), &Arc::default());
    let acme = issuer(table(&ca, json!({})), &keep);
    let mut ticket = acme.begin(&cx(), &wanted).await.unwrap();
    let fault = loop {
        match acme.advance(&cx(), &wanted, &kept(&ticket), &*silent).await {
            Ok(Progress::Stepped(next)) => ticket = next,
            Ok(Progress::Waits { ticket: next, until, .. }) => {
                ticket = next;
                wait(until).await;
            }
            Ok(done) => panic!("{done:?}"),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.kind, fault.retry), (FaultKind::Refused, Retry::Backoff), "{fault:?}");
    // Another process, the same ticket, and somebody has repaired what was wrong.
    let acme = issuer(table(&ca, json!({})), &keep);
    let (_, tickets) = go_on(&acme, &wanted, kept(&ticket), &*standalone(&ca)).await.unwrap();
    assert!(tickets.len() > 3 && ca.issued() == 1, "{tickets:?}");
    acme.abandon(&cx(), &ticket, &*silent).await.unwrap();
    let left = webroot.join(".well-known/acme-challenge");
    assert_eq!(
        std::fs::read_dir(left).unwrap().count(),
        0,
        "what was shown for the first order is still there"
    );
}
