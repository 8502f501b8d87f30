//! The client: what an answer means, what is never shown, and that it ends.

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::notice::Event;
use notafter_lab::hostile::{Act, Peer};
use notafter_lab::servers::nginx;
use notafter_lab::sinks::http::{Answer, Receiver};
use notafter_lab::{Authority, Lab, Request, need};
use serde_json::json;

use crate::{NOW, notice, send};

const SECRET: &str = "/services/T000/B000/s3cr3ts3cr3t";

async fn fault(answer: Answer) -> Fault {
    let receiver = Receiver::start(answer);
    let table = json!({ "url": receiver.url(SECRET), "timeout": "1s" });
    let fault = send("slack", table, None, &notice(Event::Alert)).await.unwrap_err();
    assert!(receiver.received().len() <= 1, "it was sent again");
    let said = format!("{fault:?}");
    assert!(!said.contains("s3cr3t") && !said.contains("T000"), "{said}");
    fault
}

#[tokio::test]
async fn what_an_answer_means() {
    use FaultKind::{Refused, Unreachable};
    let wait = Retry::At(NOW.plus(120));
    for (status, headers, kind, retry) in [
        (400, "", Refused, Retry::Never),
        (401, "", Refused, Retry::Never),
        (403, "", Refused, Retry::Never),
        (404, "", Refused, Retry::Never),
        (410, "", Refused, Retry::Never),
        (413, "", Refused, Retry::Never),
        (408, "", Unreachable, Retry::Backoff),
        (425, "", Unreachable, Retry::Backoff),
        (429, "", Unreachable, Retry::Backoff),
        (429, "Retry-After: 120\r\n", Unreachable, wait),
        (503, "Retry-After: 120\r\n", Unreachable, wait),
        (503, "Retry-After: Sat, 21 Nov 2026 12:02:00 GMT\r\n", Unreachable, wait),
        (503, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", Unreachable, Retry::At(NOW.plus(1))),
        (503, "Retry-After: soon\r\n", Unreachable, Retry::Backoff),
        (429, "Retry-After: 99999999999\r\n", Unreachable, Retry::At(NOW.plus(86_400))),
        (500, "", Unreachable, Retry::Backoff),
        (502, "", Unreachable, Retry::Backoff),
        (302, "Location: https://other.example/s3cr3ts3cr3t\r\n", Refused, Retry::Never),
        (308, "Location: /s3cr3ts3cr3t\r\n", Refused, Retry::Never),
    ] {
        let fault = fault(Answer::status(status, headers, "you sent s3cr3ts3cr3t")).await;
        assert_eq!((fault.kind, fault.retry), (kind, retry), "{status} {fault:?}");
        assert!(fault.context.contains(&status.to_string()), "{fault:?}");
    }
    let redirect = fault(Answer::status(302, "Location: https://other.example/s3cr3ts3cr3t\r\n", "")).await;
    assert!(redirect.context.contains("a redirect to https://other.example"), "{redirect:?}");
    let waits = fault(Answer::status(429, "", r#"{"parameters":{"retry_after":7}}"#)).await;
    assert_eq!(waits.retry, Retry::At(NOW.plus(7)));
}

#[tokio::test]
async fn it_ends_and_reads_no_flood() {
    let silent = fault(Answer::Silence).await;
    assert!(silent.context.contains("did not answer within 1 s"), "{silent:?}");
    assert_eq!(silent.retry, Retry::Backoff);
    for act in [Act::Silent, Act::Garbage, Act::EndlessLine, Act::Reset] {
        let peer = Peer::start(act);
        let table = json!({ "url": format!("http://{}{SECRET}", peer.address()), "timeout": "1s" });
        let fault = send("slack", table, None, &notice(Event::Alert)).await.unwrap_err();
        assert_eq!((fault.kind, fault.retry), (FaultKind::Unreachable, Retry::Backoff), "{fault:?}");
    }
    // A success is a success, however much is said after it; and no more than 64 kB of it are read.
    let flood = Receiver::start(Answer::Flood);
    send("slack", json!({ "url": flood.url(SECRET) }), None, &notice(Event::Alert)).await.unwrap();
    let nobody = json!({ "url": format!("http://127.0.0.1:1{SECRET}") });
    let fault = send("slack", nobody, None, &notice(Event::Alert)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(!format!("{fault:?}").contains("s3cr3t"), "{fault:?}");
}

#[tokio::test]
async fn a_private_root_is_trusted_when_it_is_named_and_only_then() {
    let lab = Lab::new("roots");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server().days(9));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let url = format!("https://{}{SECRET}", server.address());
    let stranger = send("slack", json!({ "url": url }), None, &notice(Event::Alert)).await.unwrap_err();
    assert_eq!((stranger.kind, stranger.retry), (FaultKind::Unreachable, Retry::Backoff), "{stranger:?}");
    assert!(stranger.hint.as_deref().unwrap_or_default().contains("ca_file"), "{stranger:?}");
    // nginx has no such page, or takes no POST: either answer came through TLS.
    let known = json!({ "url": url, "ca_file": leaf.root_pem });
    match send("slack", known, None, &notice(Event::Alert)).await {
        Ok(()) => {}
        Err(fault) => assert_eq!(fault.kind, FaultKind::Refused, "{fault:?}"),
    }
}

#[tokio::test]
async fn a_proxy_is_used_when_it_is_named() {
    let proxy = Receiver::start(Answer::status(200, "", "ok"));
    let table = json!({ "url": "http://hooks.invalid/abcdefgh", "proxy": proxy.url("") });
    send("slack", table, None, &notice(Event::Alert)).await.unwrap();
    assert_eq!(proxy.only().path, "http://hooks.invalid/abcdefgh");
}
