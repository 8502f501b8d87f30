//! The real Alertmanager: what it shows as firing, and what it no longer does.

use notafter_core::finding::Severity;
use notafter_core::joints::{Cx, Notifier};
use notafter_core::notice::{Event, Notice};
use notafter_core::{UnixTime, clock::Clock};
use notafter_lab::sinks::alertmanager;
use notafter_lab::{Lab, need};
use serde_json::{Value, json};

use crate::{build_cx, kind, notice};

/// The time of this machine: Alertmanager has no other.
struct Real;

impl Clock for Real {
    fn now(&self) -> UnixTime {
        #[allow(clippy::disallowed_methods, reason = "a test with a server that reads the clock")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        UnixTime(now.as_secs() as i64)
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

/// Reads a page, without a client of ours.
pub(crate) fn read(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn it_fires_changes_and_resolves() {
    let lab = Lab::new("alertmanager");
    let Some(server) = need(alertmanager::start(&lab)) else { return };
    let table = json!({ "url": format!("http://{}/", server.address()), "labels": { "team": "web" } });
    let notifier: Box<dyn Notifier> = (kind("alertmanager").build)(table, build_cx()).unwrap();
    let cx = Cx { clock: std::sync::Arc::new(Real), ..crate::cx() };
    let firing = || -> Vec<Value> {
        let page = read(server.address(), "/api/v2/alerts");
        let all: Vec<Value> = serde_json::from_str(&page).unwrap_or_else(|e| panic!("{e}: {page}"));
        all
    };
    let at = cx.clock.now();
    let warning = Notice { severity: Severity::Warning, at, ..notice(Event::Alert) };
    notifier.notify(&cx, None, &warning).await.unwrap();
    let seen = firing();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    let labels = json!({ "alertname": "Notafter", "severity": "warning", "owner": "web", "alert": "a17-5f3a9c02d1e4", "team": "web" });
    assert_eq!(seen[0]["labels"], labels);
    assert!(seen[0]["annotations"]["description"].as_str().unwrap().contains("api.example.com"));

    // Worse now: one alert, not two.
    let critical = Notice { at, ..notice(Event::Escalation) };
    notifier.notify(&cx, None, &critical).await.unwrap();
    let seen = firing();
    assert_eq!(seen.len(), 1, "{seen:#?}");
    assert_eq!(seen[0]["labels"]["severity"], "critical");

    notifier.notify(&cx, None, &Notice { at, ..notice(Event::Resolved) }).await.unwrap();
    assert_eq!(firing(), Vec::<Value>::new());
}
