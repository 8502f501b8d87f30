//! Metrics, probes, health, exports and calendars, on a seeded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use notafter_core::joints::BoxFuture;
use notafter_core::observation::{Observation, Reason};
use notafter_core::scan::Scan;
use notafter_core::trust::TrustStores;
use notafter_engine::pipeline::{Judgment, Report};

use crate::metrics::text::faults;
use crate::probe::Prober;
use crate::workbench::{
    Bench, HOSTILE, NOW, authority, certificate, failed, inventory, read, seen, settings,
};

fn lines<'t>(sheet: &'t str, name: &str) -> Vec<&'t str> {
    let of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    sheet.lines().filter(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_what_prometheus_takes() {
    let bench = Bench::new();
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = bench.send(request, false).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let (_, sheet) = read(response).await;
    assert_eq!(faults(&sheet), Vec::<String>::new());
    let series = lines(&sheet, "notafter_asset_not_after_timestamp_seconds");
    assert_eq!(series.len(), 4, "{sheet}");
    let api = series.iter().find(|l| l.contains("name=\"api.example.com\"")).unwrap();
    let ends = NOW.0 + 5 * 86_400;
    assert!(api.ends_with(&format!(" {ends}")), "{api}");
    for part in [
        "id=\"sha256:",
        r#"issuer_name="OU=Unit\\, \\\"quoted\\\",CN=api""#,
        "kind=\"certificate\"",
        "location=\"tls://10.0.0.5:443?sni=api.example.com\"",
        "role=\"leaf\"",
        "owner=\"web team\"",
    ] {
        assert!(api.contains(part), "{api}");
    }
    // What has expired stays.
    assert!(series.iter().any(|l| l.contains("10.0.0.8") && l.contains("<img")), "{series:?} {HOSTILE}");
    assert_eq!(lines(&sheet, "notafter_asset_not_before_timestamp_seconds").len(), 4);
    for (name, value) in [
        ("notafter_metrics_series_dropped", "0"),
        ("notafter_placements", "4"),
        ("notafter_source_up{source=\"office\"}", "1"),
        ("notafter_source_attempted{source=\"office\"}", "5"),
        ("notafter_blind_spots{source=\"office\",reason=\"timeout\"}", "1"),
        ("notafter_service_health{service=\"login\",state=\"bad\"}", "1"),
        ("notafter_service_health{service=\"login\",state=\"good\"}", "0"),
        ("notafter_engine_up", "1"),
        ("notafter_database_up", "1"),
        ("notafter_source_last_success_timestamp_seconds{source=\"office\"}", &NOW.0.to_string()),
    ] {
        assert!(sheet.lines().any(|l| l == format!("{name} {value}")), "{name} {value}: {sheet}");
    }
    assert!(!lines(&sheet, "notafter_findings").is_empty() && !lines(&sheet, "notafter_alerts").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_series_are_cut_and_the_cut_is_said() {
    let bench = Bench::with(settings(3), None);
    let (_, sheet) = bench.get("/metrics").await;
    assert_eq!(faults(&sheet), Vec::<String>::new());
    assert_eq!(lines(&sheet, "notafter_asset_not_after_timestamp_seconds").len(), 3);
    assert_eq!(lines(&sheet, "notafter_metrics_series_dropped"), ["notafter_metrics_series_dropped 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness() {
    let bench = Bench::new();
    assert_eq!(bench.get("/healthz").await.0, StatusCode::OK);
    assert_eq!(bench.get("/readyz").await.0, StatusCode::OK);
    bench.handle.status.update(|s| s.draining = true);
    let (status, text) = bench.get("/readyz").await;
    assert!(status == StatusCode::SERVICE_UNAVAILABLE && text.contains("going down"), "{text}");
    bench.handle.status.update(|s| (s.draining, s.settled) = (false, false));
    assert_eq!(bench.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_of_every_kind() {
    let bench = Bench::new();
    for (ending, kind) in [
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("ics", "text/calendar; charset=utf-8"),
    ] {
        let request = Request::get(format!("/export.{ending}?q=is:in-use")).body(Body::empty()).unwrap();
        let response = bench.send(request, false).await;
        assert_eq!(response.headers()["content-type"], kind);
        let file = format!("attachment; filename=\"notafter-2026-11-21.{ending}\"");
        assert_eq!(response.headers()["content-disposition"], file.as_str());
        let (status, text) = read(response).await;
        assert!(status == StatusCode::OK && text.len() > 300, "{ending}: {text}");
    }
    let (_, csv) = bench.get("/export.csv").await;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.contains("\r\n\"'=HYPERLINK("), "F52: {csv}");
    let (_, csv) = bench.get("/export.csv?q=name:api.example.com").await;
    assert_eq!(csv.lines().count(), 2);
    for wrong in ["/export.csv?q=expire%3C3", "/export.csv?x=1", "/export.xlsx?q=%ff"] {
        assert_eq!(bench.get(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_opens_with_its_own_secret_alone() {
    let bench = Bench::new();
    let link = || async {
        let (status, text) = bench.post("/api/v1/calendars/web%20team", &serde_json::Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let made: serde_json::Value = serde_json::from_str(&text).unwrap();
        made["path"].as_str().unwrap().to_owned()
    };
    let first = link().await;
    let (status, calendar) = bench.get(&first).await;
    assert!(status == StatusCode::OK && calendar.contains("SUMMARY:api.example.com ends"), "{calendar}");
    assert!(!calendar.contains("HYPERLINK"), "another owner's: {calendar}");
    let second = link().await;
    assert_eq!(bench.get(&first).await.0, StatusCode::NOT_FOUND, "the one before has ended");
    let key = second.split_once("key=").unwrap().1;
    for closed in [
        "/calendar/web%20team.ics".to_owned(),
        "/calendar/web%20team.ics?key=".to_owned(),
        "/calendar/web%20team.ics?key=abc".to_owned(),
        format!("/calendar/house.ics?key={key}"),
        format!("/calendar/web%20team?key={key}"),
    ] {
        assert_eq!(bench.get(&closed).await.0, StatusCode::NOT_FOUND, "{closed}");
    }
    assert_eq!(bench.get(&second).await.0, StatusCode::OK);
    let (status, _) = bench.post("/api/v1/calendars/web%20team/revoke", &serde_json::Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(bench.get(&second).await.0, StatusCode::NOT_FOUND);
    let audit = bench.json("/api/v1/audit").await.to_string();
    assert!(audit.contains("calendar-link-made") && !audit.contains(key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_does_not_ring_for_what_may_end() {
    use notafter_core::inventory::Role;
    use notafter_core::location::Location;
    use notafter_core::observation::{Facts, Seen};
    let file = |path: &str, role, der| Observation {
        at: NOW,
        location: Location::file(path.as_bytes(), ""),
        seen: Seen::Chain { chain: vec![der], role, leads: role.is_none(), facts: Facts::default() },
    };
    let bench = Bench::seeing(vec![
        // A later one is served; a root in a bundle; and one that somebody has to renew.
        file("/srv/api.pem", None, certificate("api", &["api.example.com"], 3)),
        file("/srv/ca.pem", Some(Role::TrustAnchor), certificate("root", &["root.example.com"], 9)),
        file("/srv/own.pem", None, certificate("own", &["own.example.com"], 4)),
    ]);
    let (_, text) = bench.post("/api/v1/calendars/web%20team", &serde_json::Value::Null).await;
    let made: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (_, calendar) = bench.get(made["path"].as_str().unwrap()).await;
    let ends = |name: &str| calendar.matches(&format!("SUMMARY:{name}.example.com ends")).count();
    assert_eq!((ends("api"), ends("own"), ends("root")), (1, 1, 0), "{calendar}");
}

/// Shows what it is told to; counts how often it was asked.
#[derive(Default)]
struct Fake {
    asked: AtomicUsize,
    slow: bool,
    issued: Option<Observation>,
}

impl Prober for Fake {
    fn covers(&self, target: &str) -> bool {
        target.starts_with("tls://10.0.0.")
    }

    fn probe<'a>(
        &'a self,
        target: &'a str,
        _starttls: Option<&'a str>,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Report, String>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if self.slow {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
            let observation = match target {
                "tls://10.0.0.1:443" => {
                    seen("tls://10.0.0.1:443", certificate("a", &["a.test", "b.test"], 9))
                }
                "tls://10.0.0.2:443" => seen("tls://10.0.0.2:443", certificate(HOSTILE, &[], -9)),
                "tls://10.0.0.3:443" => failed(target, Reason::Refused),
                "tls://10.0.0.4:443" => failed(target, Reason::Timeout),
                "tls://10.0.0.6:443" => self.issued.clone().unwrap(),
                "tls://10.0.0.5:443" => return Err("no descriptors: secret detail".to_owned()),
                // A name that leads where nobody may look, from a prober that did not check.
                _ => seen("tls://169.254.169.254:443", certificate("m", &["m.test"], 9)),
            };
            let mut inventory = inventory(vec![observation]);
            let judgment = Judgment {
                trust: TrustStores::default(),
                policy: Default::default(),
                owners: Vec::new(),
                at: NOW,
            };
            let findings = notafter_engine::assess::assess_all(&mut inventory, &judgment);
            Ok(Report { inventory, findings, scan: Scan::default(), faults: Vec::new(), interrupted: false })
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_speaks_both_exporters() {
    let bench = Bench::with(settings(20_000), Some(Arc::new(Fake::default())));
    let (status, sheet) = bench.get("/probe?target=10.0.0.1&module=tcp_tls").await;
    assert_eq!(status, StatusCode::OK, "{sheet}");
    assert_eq!(faults(&sheet), Vec::<String>::new());
    let ends = NOW.0 + 9 * 86_400;
    for line in [
        format!("probe_ssl_earliest_cert_expiry {ends}"),
        format!("probe_ssl_last_chain_expiry_timestamp_seconds {ends}"),
        "probe_tls_version_info{version=\"TLS 1.3\"} 1".to_owned(),
        "probe_tls_cipher_info{cipher=\"TLS_AES_128_GCM_SHA256\"} 1".to_owned(),
        "ssl_tls_version_info{version=\"TLS 1.3\"} 1".to_owned(),
        "ssl_prober{prober=\"tcp\"} 1".to_owned(),
        "probe_ip_protocol 4".to_owned(),
        // Nobody trusts it: said, and everything is shown all the same.
        "probe_success 0".to_owned(),
        "ssl_probe_success 0".to_owned(),
    ] {
        assert!(sheet.lines().any(|l| l == line), "{line}: {sheet}");
    }
    let info = lines(&sheet, "probe_ssl_last_chain_info")[0];
    assert!(info.contains("subjectalternative=\"a.test,b.test\"") && info.contains("fingerprint_sha256="));
    let cert = lines(&sheet, "ssl_cert_not_after")[0];
    assert!(cert.contains("dnsnames=\",a.test,b.test,\"") && cert.contains("cn=\"a\""), "{cert}");
    assert!(cert.contains("ou=\",Unit, \\\"quoted\\\",\""), "{cert}");
    // Expired and hostile: the series is there.
    let (_, sheet) = bench.get("/probe?target=10.0.0.2&module=https").await;
    assert_eq!(faults(&sheet), Vec::<String>::new());
    assert_eq!(lines(&sheet, "ssl_cert_not_after").len(), 1);
    assert!(sheet.contains("\nprobe_success 0\n") || sheet.contains("probe_success 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_to_a_root_is_verified_and_shown() {
    let (root, leaf) = authority();
    let issued = Some(seen("tls://10.0.0.6:443?sni=ok.test", leaf));
    let fake = Arc::new(Fake { issued, ..Fake::default() });
    let trust = TrustStores { given: vec![root], ..TrustStores::default() };
    let bench = Bench::build(settings(20_000), Some(fake), trust);
    let (_, sheet) = bench.get("/probe?target=10.0.0.6").await;
    assert_eq!(faults(&sheet), Vec::<String>::new());
    assert!(sheet.contains("\nprobe_success 1\n") && sheet.contains("\nssl_probe_success 1\n"), "{sheet}");
    let verified = lines(&sheet, "ssl_verified_cert_not_after");
    assert_eq!(verified.len(), 2, "the root is on the path: {sheet}");
    assert!(verified.iter().all(|line| line.contains("{chain_no=\"0\",serial_no=\"")), "{verified:?}");
    assert_eq!(lines(&sheet, "ssl_cert_not_after").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ninth_probe_comes_another_time() {
    let bench = Bench::with(settings(20_000), Some(Arc::new(Fake { slow: true, ..Fake::default() })));
    let probes = (0..9).map(|_| async {
        let request = Request::get("/probe?target=10.0.0.1&timeout=0.5").body(Body::empty()).unwrap();
        let response = bench.send(request, false).await;
        (response.status(), response.headers().contains_key("retry-after"))
    });
    let (mut good, mut busy) = (0, 0);
    let mut running: Vec<_> = probes.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        running.retain_mut(|probe| match probe.as_mut().poll(cx) {
            std::task::Poll::Ready((StatusCode::OK, _)) => {
                good += 1;
                false
            }
            std::task::Poll::Ready((StatusCode::TOO_MANY_REQUESTS, true)) => {
                busy += 1;
                false
            }
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!((good, busy), (8, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_no_tool_for_strangers() {
    let fake = Arc::new(Fake::default());
    let bench = Bench::with(settings(20_000), Some(Arc::clone(&fake) as Arc<dyn Prober>));
    for (target, stranger, known) in [
        ("10.0.0.1", 200, 200),
        ("192.168.0.1", 403, 200),
        ("127.0.0.1:4747", 403, 200),
        ("169.254.169.254", 403, 403),
        ("2852039166", 403, 403),
        ("0xa9fea9fe", 403, 403),
        ("[::ffff:169.254.169.254]", 403, 403),
        ("[fd00:ec2::254]", 403, 403),
        ("168.63.129.16", 403, 403),
        ("100.100.100.200", 403, 403),
        ("metadata.google.internal", 403, 403),
        ("2130706433", 400, 400),
        ("http://10.0.0.1", 400, 400),
        ("", 400, 400),
    ] {
        for (token, expected) in [(false, stranger), (true, known)] {
            let uri = format!("/probe?target={}", target.replace('[', "%5B").replace(']', "%5D"));
            let request = Request::get(uri).body(Body::empty()).unwrap();
            let (status, text) = read(bench.send(request, token).await).await;
            assert_eq!(status.as_u16(), expected, "{target} {token}: {text}");
        }
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), 4, "what is refused is not looked at");
    // Refused, silent and out of descriptors look alike, and no detail comes out.
    let mut sheets = Vec::new();
    for n in [3, 4, 5] {
        let (_, sheet) = bench.get(&format!("/probe?target=10.0.0.{n}")).await;
        assert!(!sheet.contains("secret"), "{sheet}");
        assert_eq!(faults(&sheet), Vec::<String>::new());
        sheets.push(sheet);
    }
    assert!(sheets.windows(2).all(|pair| pair[0] == pair[1]), "{sheets:?}");
    assert!(sheets[0].contains("notafter_probe_failure_info{reason=\"unreachable\"} 1"));
    // Should a prober go where nobody may look, nothing of it is told.
    let request = Request::get("/probe?target=rebound.test").body(Body::empty()).unwrap();
    let (_, sheet) = read(bench.send(request, true).await).await;
    assert!(!sheet.contains("m.test") && sheet.contains("probe_success 0"), "{sheet}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_prober_says_so() {
    let bench = Bench::new();
    assert_eq!(bench.get("/probe?target=10.0.0.1").await.0, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_good_only_when_all_of_it_was_seen_good() {
    use notafter_core::query::Query;
    use notafter_engine::service::{Health, states};
    use notafter_store::observations::Outcome;
    let mut bench = Bench::build(settings(10), None, TrustStores::default());
    let store = Arc::clone(&bench.handle.store);
    // One certificate at three places, one of them asked by a name that it is not for.
    let (root, leaf) = authority();
    let places =
        ["tls://10.1.0.1:443?sni=ok.test", "file:///srv/tls/ok.pem", "tls://10.1.0.1:443?sni=localhost"];
    let mut run = store.begin("office", "bench", NOW).unwrap();
    let looked = places.map(|place| seen(place, Arc::clone(&leaf))).to_vec();
    store.record(&mut run, &inventory(looked)).unwrap();
    let outcome = Outcome { scan: Scan::default(), complete: true, fault: None, next: None };
    store.finish(run, &outcome, NOW).unwrap();
    let _ = root;
    bench.pass();
    let of = |terms: &[&str]| {
        let mut setup = crate::workbench::setup(TrustStores::default());
        setup.services[0].places = terms.iter().flat_map(|t| Query::parse(t).unwrap().terms).collect();
        states(&store, &setup, NOW).unwrap().remove(0)
    };
    let all = of(&["name:ok.test"]);
    let bad: Vec<_> = all.places.iter().filter(|p| p.health == Health::Bad).map(|p| &p.location).collect();
    assert_eq!((all.count, all.health), (3, Health::Bad));
    assert_eq!(bad, [places[2]], "a finding is about its own places: {:?}", all.places);
    // The terms are a union: one that shows nothing must not hide behind one that does.
    let good = of(&["file:///srv/tls/ok.pem"]);
    assert!(good.places.iter().any(|p| p.health == Health::Good));
    let half = of(&["name:c.example.com", "name:never-seen.example.com"]);
    assert_eq!(
        half.missing,
        ["name:c.example.com was never seen", "name:never-seen.example.com was never seen"]
    );
    assert_eq!((half.health, half.count), (Health::Unknown, 0));
    let half = of(&["name:*.example.com", "name:never-seen.example.com"]);
    assert_eq!(half.missing, ["name:never-seen.example.com was never seen"]);
    assert!(half.count > 0 && half.health >= Health::Unknown, "{half:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_what_its_name_shows_whoever_it_is_for() {
    use notafter_core::query::Query;
    use notafter_engine::service::{Health, ServiceState, states};
    use notafter_store::observations::Outcome;
    let mut bench = Bench::build(settings(10), None, TrustStores::default());
    let store = Arc::clone(&bench.handle.store);
    let of = |term: &str| -> ServiceState {
        let mut setup = crate::workbench::setup(TrustStores::default());
        setup.services[0].places = Query::parse(term).unwrap().terms;
        states(&store, &setup, NOW).unwrap().remove(0)
    };
    let look = |looked: Vec<Observation>| {
        let mut run = store.begin("office", "bench", NOW).unwrap();
        store.record(&mut run, &inventory(looked)).unwrap();
        let outcome = Outcome { scan: Scan::default(), complete: true, fault: None, next: None };
        store.finish(run, &outcome, NOW).unwrap();
    };
    let login = certificate("login.test", &["login.test"], 60);
    let wildcard = certificate("*.wild.test", &["*.wild.test"], 60);
    let (first, second) = ("tls://10.1.0.1:9443?sni=login.test", "tls://10.1.0.2:443?sni=login.test");
    let copy = || seen("file:///srv/tls/login.pem", Arc::clone(&login));
    look(vec![
        seen(first, Arc::clone(&login)),
        copy(),
        seen("tls://10.1.0.3:443?sni=a.wild.test", Arc::clone(&wildcard)),
    ]);
    bench.pass();
    assert_eq!(of("name:login.test").count, 2);
    // Behind a wildcard it is seen as well.
    let behind = of("name:a.wild.test");
    assert_eq!((behind.count, behind.missing.len()), (1, 0), "{behind:?}");
    // Its server begins to show another one; its own certificate lies in a file all the same. A second server of the
    // name has never answered.
    look(vec![
        seen(first, certificate("default.test", &["default.test"], 60)),
        copy(),
        failed(second, Reason::Timeout),
    ]);
    bench.pass();
    let now = of("name:login.test");
    let at = |place: &str| now.places.iter().find(|p| p.location == place).map(|p| p.health);
    assert_eq!(at(first), Some(Health::Bad), "{now:?}");
    assert_eq!(at(second), Some(Health::Unknown), "{now:?}");
    assert_eq!(now.health, Health::Bad);
}
