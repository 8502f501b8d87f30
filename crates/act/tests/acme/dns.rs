//! dns-01 by dynamic updates, at knot and at BIND: wildcards, aliases, servers that are behind, wrong keys, what a killed
//! process leaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use notafter_act::solvers;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Challenge, ChallengeType, Identifier, Progress};
use notafter_core::joints::{Cx, Issuer as _, Solver};
use notafter_lab::dns::{self, Daemon, Dns, Role, Tsig, Zone};
use notafter_lab::pebble::Options;
use notafter_lab::{Lab, Port, need};
use serde_json::{Value, json};

use crate::{Memory, Real, cx, issuer, order, request, roots, solver, start, table, text};

/// The table of a solver that sends updates there, with more settings.
pub(crate) fn updates(lab: &Lab, dns: &Dns, more: Value) -> Value {
    let file = lab.subfolder("tsig").join("secret");
    std::fs::write(&file, format!("{}\n", dns.key().secret)).unwrap();
    let address = dns.address();
    let mut table = json!({
        "provider": "rfc2136",
        "server": address.to_string(),
        "key": dns.key().name,
        "algorithm": dns.key().algorithm,
        "secret": { "file": file },
        "resolver": address.to_string(),
        "port": address.port(),
    });
    table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    table
}

pub(crate) fn dns01(table: Value) -> Box<dyn Solver> {
    solver("dns-01", table, &Arc::default())
}

/// A solver that remembers here.
fn remembering(table: Value, keep: &Arc<Memory>) -> Box<dyn Solver> {
    solver("dns-01", table, keep)
}

pub(crate) fn challenge(name: &str, token: &str) -> Challenge {
    Challenge {
        identifier: Identifier::parse(name).unwrap(),
        kind: ChallengeType::Dns01,
        token: token.to_owned(),
        key_authorization: format!("{token}.thumbprint"),
    }
}

/// The value that a challenge shows (RFC 8555 section 8.4), computed by openssl.
pub(crate) fn value(challenge: &Challenge) -> String {
    use std::process::Command;
    let lab = Lab::new("dns-value");
    let file = lab.path().join("authorization");
    std::fs::write(&file, &challenge.key_authorization).unwrap();
    let mut openssl = Command::new("openssl");
    let ran = notafter_lab::program::run(openssl.args(["dgst", "-sha256", "-binary"]).arg(&file)).unwrap();
    let text = notafter_lab::base64::encode(&ran.stdout);
    text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_")
}

pub(crate) fn knot(lab: &Lab, zones: &[Zone]) -> Option<Dns> {
    need(dns::start(lab, Daemon::Knot, zones, &Tsig::new("hmac-sha256")))
}

/// Looks until it is as it should be, or time is up.
async fn until(patience: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let begun = std::time::Instant::now();
    loop {
        if is_so().await {
            return true;
        }
        if begun.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn all_work(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.works)
}

#[tokio::test]
async fn a_wildcard_and_its_name_in_one_order_at_each_name_server() {
    for (daemon, algorithm) in [(Daemon::Knot, "hmac-sha256"), (Daemon::Bind, "hmac-sha512")] {
        let lab = Lab::new("dns01-wildcard");
        let zone = Zone::new("dns.test", "_acme-challenge TXT \"somebody-elses\"");
        let Some(dns) = need(dns::start(&lab, daemon, &[zone], &Tsig::new(algorithm))) else { return };
        let options = Options { resolver: Some(dns.address()), ..Options::default() };
        let Some(ca) = start(&lab, &options) else { return };
        let keep = Arc::new(Memory::default());
        let solver = remembering(updates(&lab, &dns, json!({})), &keep);
        let acme = issuer(table(&ca, json!({})), &Arc::default());
        let names = ["*.dns.test", "dns.test", "*.deep.er.dns.test"];
        let issued = order(&acme, &request(&lab, &names), &*solver)
            .await
            .unwrap_or_else(|fault| panic!("{daemon:?}: {fault:?}\n{}", dns.log()));
        let said = text(&lab, &issued.chain[0]);
        for name in names {
            assert!(said.contains(&format!("DNS:{name}")), "{said}");
        }
        assert_eq!(ca.issued(), 1);
        // Ours is gone, the other one stands, and nothing is left to be reaped.
        assert_eq!(dns.texts("_acme-challenge.dns.test").unwrap(), ["somebody-elses"]);
        assert!(dns.texts("_acme-challenge.deep.er.dns.test").unwrap().is_empty());
        let kept: Vec<String> =
            keep.0.lock().unwrap().values().map(|v| String::from_utf8_lossy(v).into_owned()).collect();
        assert_eq!(kept, ["[]"]);
        let checks = solver.rehearse(&cx(), &Identifier::parse("*.dns.test").unwrap()).await;
        assert!(checks.len() == 5 && all_work(&checks), "{checks:?}");
        assert_eq!(dns.texts("_acme-challenge.dns.test").unwrap(), ["somebody-elses"]);
    }
}

#[tokio::test]
async fn shown_twice_is_shown_once_and_each_is_taken_back_by_itself() {
    let lab = Lab::new("dns01-twice");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let solver = dns01(updates(&lab, &dns, json!({})));
    let (one, two) = (challenge("dns.test", "one"), challenge("dns.test", "two"));
    let first = solver.present(&cx(), &one).await.unwrap();
    assert_eq!(solver.present(&cx(), &one).await.unwrap(), first);
    let second = solver.present(&cx(), &two).await.unwrap();
    let mut both = vec![value(&one), value(&two)];
    both.sort();
    assert_eq!(dns.texts("_acme-challenge.dns.test").unwrap(), both);
    for challenge in [&one, &two] {
        assert!(solver.is_visible(&cx(), challenge).await.unwrap());
    }
    for _ in 0..2 {
        solver.clean_up(&cx(), &first).await.unwrap();
        assert_eq!(dns.texts("_acme-challenge.dns.test").unwrap(), [value(&two)]);
    }
    assert!(!solver.is_visible(&cx(), &one).await.unwrap());
    // A ticket is text in between.
    let kept = serde_json::from_str(&serde_json::to_string(&second).unwrap()).unwrap();
    solver.clean_up(&cx(), &kept).await.unwrap();
    assert!(dns.texts("_acme-challenge.dns.test").unwrap().is_empty());
}

/// A zone with so many servers, at 127.0.0.1 and on.
fn served_by(count: u8) -> Zone {
    Zone { servers: (1..=count).map(|n| Ipv4Addr::new(127, 0, 0, n)).collect(), ..Zone::new("dns.test", "") }
}

#[tokio::test]
async fn no_ca_is_asked_while_one_server_is_behind() {
    let lab = Lab::new("dns01-behind");
    let port = Port::free();
    let (first, second) = (port.local(), dns::beside(port.local(), 2));
    let (zone, key) = ([served_by(3)], Tsig::new("hmac-sha256"));
    let at = |daemon, address: SocketAddr, role: Role| {
        need(dns::start_at(&lab, daemon, address, &zone, &key, &role))
    };
    let Some(primary) = at(Daemon::Bind, first, Role::Primary(vec![second])) else { return };
    let Some(frozen) = at(Daemon::Knot, second, Role::Frozen) else { return };
    let options = Options { resolver: Some(first), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };

    // At once and later: the second has it not, and nobody listens at the third.
    let table_of = updates(&lab, &primary, json!({ "propagation": "1s" }));
    let solver = dns01(table_of.clone());
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let fault = order(&acme, &request(&lab, &["a.dns.test"]), &*solver).await.unwrap_err();
    assert!(
        fault.context.contains("1 of 3 name servers have it; ns2.dns.test (127.0.0.2:")
            && fault.context.contains("does not; 127.0.0.3:"),
        "{fault}"
    );
    assert!(fault.hint.as_deref().unwrap_or_default().contains("was not asked"), "{fault:?}");
    assert_eq!(fault.kind, FaultKind::Refused, "the order is over");
    assert!(!ca.log().contains(ASKED), "the CA was asked:\n{}", ca.log());
    let name = Identifier::parse("a.dns.test").unwrap();
    let checks = solver.rehearse(&cx(), &name).await;
    let wrong: Vec<&Check> = checks.iter().filter(|check| !check.works).collect();
    assert!(wrong.len() == 1 && wrong[0].because.contains("ns2.dns.test"), "{checks:?}");
    assert!(checks.iter().any(|c| c.what == "name servers of dns.test" && c.because.contains("127.0.0.3")));

    // A server that takes the zone from the first one follows by itself; the one that is gone is no reason to wait.
    drop(frozen);
    let Some(_second) = at(Daemon::Knot, second, Role::Secondary(first)) else { return };
    let solver = dns01(updates(&lab, &primary, json!({})));
    let name = "_acme-challenge.a.dns.test";
    let ready = until(dns::TRANSFER, async || dns::texts(second, name).is_ok_and(|t| !t.is_empty())).await;
    assert!(ready, "the rehearsals left {:?}", dns::texts(first, name));
    order(&acme, &request(&lab, &["b.dns.test"]), &*solver).await.unwrap();
    assert_eq!(ca.issued(), 1);
    assert!(ca.log().contains(ASKED), "{}", ca.log());
}

/// What pebble logs when it begins to look.
const ASKED: &str = "Pulled a task from the Tasks queue";

#[tokio::test]
async fn aliases_are_followed_to_where_they_end() {
    let lab = Lab::new("dns01-alias");
    let zones = [
        Zone::new(
            "dns.test",
            "_acme-challenge.a CNAME one.auth.test.\n_acme-challenge.b CNAME hop\nhop CNAME one.auth.test.\n\
             _acme-challenge.round CNAME about\nabout CNAME _acme-challenge.round\n\
             _acme-challenge.evil CNAME \\$\\(touch\\032/tmp/x\\)\\;.auth.test.\n\
             _acme-challenge.far CNAME far.away.example.\n",
        ),
        Zone::new("auth.test", ""),
    ];
    let Some(dns) = need(dns::start(&lab, Daemon::Bind, &zones, &Tsig::new("hmac-sha256"))) else { return };
    let both = [("dns.test", dns.address()), ("auth.test", dns.address())];
    let Some(resolver) = need(dns::resolver(&lab, &both)) else { return };
    let options = Options { resolver: Some(resolver.address()), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let solver = dns01(updates(&lab, &dns, json!({ "resolver": resolver.address().to_string() })));
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    order(&acme, &request(&lab, &["a.dns.test", "*.a.dns.test", "b.dns.test"]), &*solver)
        .await
        .unwrap_or_else(|fault| panic!("{fault:?}\n{}", dns.log()));
    assert_eq!(ca.issued(), 1);
    assert!(dns.log().contains("updating zone 'auth.test/IN': adding an RR at 'one.auth.test' TXT"));
    assert!(!dns.log().contains("updating zone 'dns.test"), "{}", dns.log());
    assert!(dns.texts("one.auth.test").unwrap().is_empty());
    let checks = solver.rehearse(&cx(), &Identifier::parse("b.dns.test").unwrap()).await;
    assert!(all_work(&checks), "{checks:?}");
    assert!(checks[0].because.ends_with("_acme-challenge.b.dns.test -> hop.dns.test -> one.auth.test"));

    for (name, sign) in [
        ("round.dns.test", "in a circle"),
        ("evil.dns.test", "which is no name of a host"),
        ("far.dns.test", "SERVFAIL"),
    ] {
        let fault = solver.present(&cx(), &challenge(name, "t")).await.unwrap_err();
        assert!(fault.context.contains(sign) && fault.hint.is_some(), "{fault:?}");
        assert!(!matches!(fault.kind, FaultKind::Refused | FaultKind::Invalid | FaultKind::NotFound));
        let checks = solver.rehearse(&cx(), &Identifier::parse(name).unwrap()).await;
        assert!(!checks.last().unwrap().works, "{checks:?}");
    }
}

/// The record's name may be a zone of its own, at the same server or at others.
#[tokio::test]
async fn a_zone_of_its_own_is_found_wherever_it_is() {
    let lab = Lab::new("dns01-child");
    let port = Port::free();
    let (first, second) = (port.local(), dns::beside(port.local(), 2));
    let parent = Zone::new(
        "dns.test",
        "_acme-challenge.here NS ns1\n_acme-challenge.there NS ns1._acme-challenge.there\n\
         ns1._acme-challenge.there A 127.0.0.2\n",
    );
    let here = Zone::new("_acme-challenge.here.dns.test", "");
    let there = Zone {
        servers: vec![Ipv4Addr::new(127, 0, 0, 2)],
        ..Zone::new("_acme-challenge.there.dns.test", "")
    };
    let (key, role) = (Tsig::new("hmac-sha256"), Role::Primary(Vec::new()));
    let at = |address, zones: &[Zone]| need(dns::start_at(&lab, Daemon::Knot, address, zones, &key, &role));
    let Some(both) = at(first, &[parent, here]) else { return };
    let Some(child) = at(second, &[there]) else { return };
    let forward = [
        ("dns.test", first),
        ("_acme-challenge.here.dns.test", first),
        ("_acme-challenge.there.dns.test", second),
    ];
    let Some(resolver) = need(dns::resolver(&lab, &forward)) else { return };
    for (name, dns) in [("here.dns.test", &both), ("there.dns.test", &child)] {
        let more = json!({ "resolver": resolver.address().to_string() });
        let solver = dns01(updates(&lab, dns, more));
        let one = challenge(name, "t");
        let cleanup = solver
            .present(&cx(), &one)
            .await
            .unwrap_or_else(|fault| panic!("{name}: {fault:?}\n{}", dns.log()));
        assert_eq!(dns.texts(&format!("_acme-challenge.{name}")).unwrap(), [value(&one)]);
        assert!(solver.is_visible(&cx(), &one).await.unwrap(), "{name}");
        solver.clean_up(&cx(), &cleanup).await.unwrap();
        assert!(dns.texts(&format!("_acme-challenge.{name}")).unwrap().is_empty());
        let checks = solver.rehearse(&cx(), &one.identifier).await;
        let zone = format!("name servers of _acme-challenge.{name}");
        assert!(all_work(&checks) && checks.iter().any(|c| c.what == zone), "{checks:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_told_plainly_and_leaves_the_order_alone() {
    let lab = Lab::new("dns01-key");
    let zones = || [Zone::new("dns.test", ""), Zone::new("other.test", "")];
    for daemon in [Daemon::Knot, Daemon::Bind] {
        let Some(dns) = need(dns::start(&lab, daemon, &zones(), &Tsig::new("hmac-sha256"))) else { return };
        let wrong = lab.subfolder("wrong").join("secret");
        std::fs::write(&wrong, "d3JvbmctY2FuYXJ5LXNlY3JldA==").unwrap();
        for (more, sign) in [
            (json!({ "secret": { "file": wrong } }), "secret of the key is another one there (BADSIG)"),
            (json!({ "key": "nobody" }), "does not know the key, or not with this algorithm (BADKEY)"),
            (json!({ "algorithm": "hmac-sha512" }), "(BADKEY)"),
            (json!({ "zone": "test" }), "NOTAUTH"),
            (json!({ "server": "127.0.0.1:1" }), "reached nobody"),
            (
                json!({ "key": null, "secret": null, "algorithm": null }),
                if daemon == Daemon::Knot { "does not let us change it (NOTAUTH)" } else { "(REFUSED)" },
            ),
        ] {
            let mut table = updates(&lab, &dns, more);
            table.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            let solver = dns01(table);
            let fault = solver.present(&cx(), &challenge("a.dns.test", "t")).await.unwrap_err();
            assert!(fault.context.contains(sign), "{daemon:?}: {fault:?}");
            assert!(fault.hint.is_some() && !format!("{fault:?}").contains("canary"), "{fault:?}");
            assert!(
                matches!(fault.kind, FaultKind::PermissionDenied | FaultKind::Unreachable),
                "{daemon:?}: {fault:?}"
            );
            let checks = solver.rehearse(&cx(), &Identifier::parse("a.dns.test").unwrap()).await;
            // Where the zone is wrong, its servers are missed first.
            let said = |c: &Check| {
                c.because.contains(sign) || (sign == "NOTAUTH" && c.because.contains("NS of test"))
            };
            assert!(checks.iter().any(|c| !c.works && said(c)), "{checks:?}");
        }
        // Our clock is an hour behind.
        let late = Cx::new(Arc::new(Shifted(AtomicI64::new(-3_600))), "this host".into());
        let solver = dns01(updates(&lab, &dns, json!({})));
        let fault = solver.present(&late, &challenge("a.dns.test", "t")).await.unwrap_err();
        assert!(fault.context.contains("BADTIME"), "{daemon:?}: {fault:?}");
        assert!(dns.texts("_acme-challenge.a.dns.test").unwrap().is_empty());
    }
}

/// The system's clock, so many seconds on.
struct Shifted(AtomicI64);

impl Clock for Shifted {
    fn now(&self) -> UnixTime {
        Real.now().plus(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Real.monotonic()
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_taken_back_a_day_later() {
    let lab = Lab::new("dns01-killed");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "_acme-challenge.a TXT \"somebody-elses\"")]) else {
        return;
    };
    let keep = Arc::new(Memory::default());
    let mut table = updates(&lab, &dns, json!({}));
    let cx = cx();
    {
        let solver = remembering(table.clone(), &keep);
        // The cleanup is never kept: killed before the ticket was.
        let _ = solver.present(&cx, &challenge("a.dns.test", "one")).await.unwrap();
    }
    let solver = remembering(table.clone(), &keep);
    let _ = solver.present(&cx, &challenge("b.dns.test", "two")).await.unwrap();
    assert_eq!(dns.texts("_acme-challenge.a.dns.test").unwrap().len(), 2, "an order may still wait for it");

    // An update signed with tomorrow's date would be refused, so the day passes in what was kept.
    let (name, bytes) = keep.0.lock().unwrap().iter().next().map(|(n, b)| (n.clone(), b.clone())).unwrap();
    let mut list: Value = serde_json::from_slice(&bytes).unwrap();
    for shown in list.as_array_mut().unwrap() {
        shown["at"] = json!(shown["at"].as_i64().unwrap() - 25 * 3_600);
    }
    keep.0.lock().unwrap().insert(name, serde_json::to_vec(&list).unwrap());
    let another = remembering(
        {
            table["ttl"] = json!(60);
            table.clone()
        },
        &keep,
    );
    let third = another.present(&cx, &challenge("c.dns.test", "three")).await.unwrap();
    assert_eq!(dns.texts("_acme-challenge.a.dns.test").unwrap().len(), 2, "other settings, another account");
    another.clean_up(&cx, &third).await.unwrap();
    let fourth = solver.present(&cx, &challenge("c.dns.test", "four")).await.unwrap();
    assert_eq!(dns.texts("_acme-challenge.a.dns.test").unwrap(), ["somebody-elses"]);
    assert!(dns.texts("_acme-challenge.b.dns.test").unwrap().is_empty());
    solver.clean_up(&cx, &fourth).await.unwrap();
}

#[tokio::test]
async fn without_a_look_it_is_waited_and_with_none_to_ask_it_is_said() {
    let lab = Lab::new("dns01-blind");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let nobody = Port::free();
    let blind = json!({ "check": false, "propagation": "2s" });
    let solver = dns01(updates(&lab, &dns, blind));
    let one = challenge("a.dns.test", "one");
    let cleanup = solver.present(&cx(), &one).await.unwrap();
    assert!(!solver.is_visible(&cx(), &one).await.unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(solver.is_visible(&cx(), &one).await.unwrap());
    solver.clean_up(&cx(), &cleanup).await.unwrap();

    let elsewhere = json!({ "authoritative": [nobody.local().to_string()], "propagation": "1s" });
    let solver = dns01(updates(&lab, &dns, elsewhere));
    let cleanup = solver.present(&cx(), &one).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let fault = solver.is_visible(&cx(), &one).await.unwrap_err();
    assert!(fault.context.contains("0 of 1 name servers have it; 127.0.0.1:"), "{fault}");
    assert!(fault.hint.unwrap().contains("set check = false"));
    solver.clean_up(&cx(), &cleanup).await.unwrap();
}

#[tokio::test]
async fn a_propagation_of_hours_is_waited_for() {
    let lab = Lab::new("dns01-slow");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let options = Options { resolver: Some(dns.address()), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let nobody = Port::free();
    let slow = json!({ "authoritative": [nobody.local().to_string()], "propagation": "3h" });
    let solver = dns01(updates(&lab, &dns, slow));
    assert_eq!(solver.patience(), Duration::from_secs(3 * 3_600));
    let clock = Arc::new(Shifted(AtomicI64::new(0)));
    let cx = Cx::new(clock.clone(), "this host".into());
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let wanted = request(&lab, &["a.dns.test"]);
    let mut ticket = acme.begin(&cx, &wanted).await.unwrap();
    loop {
        match acme.advance(&cx, &wanted, &ticket, &*solver).await.unwrap() {
            Progress::Stepped(next) => ticket = next,
            Progress::Waits { ticket: next, .. } => {
                ticket = next;
                break;
            }
            Progress::Issued(issued) => panic!("{issued:?}"),
        }
    }
    clock.0.store(3 * 3_600 - 60, Ordering::SeqCst);
    let still = acme.advance(&cx, &wanted, &ticket, &*solver).await.unwrap();
    assert!(matches!(still, Progress::Waits { .. }), "{still:?}");
    clock.0.store(3 * 3_600 + 60, Ordering::SeqCst);
    let fault = acme.advance(&cx, &wanted, &ticket, &*solver).await.unwrap_err();
    assert!(fault.context.contains("after 180 minutes not every name server has it"), "{fault}");
}

/// Another process shows it by the same table, and is as patient.
#[test]
fn patience_by_the_table_alone() {
    let kind = solvers::find("dns-01").unwrap();
    for (more, seconds) in [
        (json!({}), 3_600),
        (json!({ "check": false }), 120),
        (json!({ "propagation": "6h" }), 21_600),
        (json!({ "check": false, "propagation": "90s" }), 90),
    ] {
        let mut table = json!({ "provider": "exec", "command": ["/bin/true"] });
        table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let expected = Duration::from_secs(seconds);
        assert_eq!(
            ((kind.patience)(&table), dns01(table.clone()).patience()),
            (expected, expected),
            "{table}"
        );
    }
}

/// What is written wrongly in the table, and what is said.
#[test]
fn tables() {
    let cx = solvers::BuildCx { roots: roots(), keep: Arc::new(Memory::default()) };
    for (table, sign) in [
        (json!({}), "the setting `provider` is missing"),
        (json!({ "provider": "cloudfare" }), "did you mean `cloudflare`?"),
        (json!({ "provider": "nobody-knows-it" }), "provider = \"exec\""),
        (json!({ "provider": "cloudflare" }), "CF_DNS_API_TOKEN"),
        (json!({ "provider": "cloudflare", "token": "c4nary-plain" }), "`token` is a secret"),
        (
            json!({ "provider": "cloudflare", "environment": { "CF_TOKEN": { "env": "X" } } }),
            "no variable `CF_TOKEN`",
        ),
        (json!({ "provider": "cloudflare", "command": ["/bin/true"] }), "no setting `command`"),
        (
            json!({ "provider": "exec", "token": { "env": "X" }, "command": ["/bin/true"] }),
            "no setting `token`",
        ),
        (json!({ "provider": "exec" }), "the setting `command` is missing"),
        (json!({ "provider": "exec", "command": ["run me"] }), "no program"),
        (
            json!({ "provider": "exec", "command": ["/bin/true"], "environment": { "A B": "x" } }),
            "no name of a variable",
        ),
        (json!({ "provider": "certbot" }), "the setting `auth_hook` is missing"),
        (json!({ "provider": "acme.sh", "script": "dns_x.sh" }), "no full path"),
        (
            json!({ "provider": "acme.sh", "script": "/x/dns_x.sh", "function": "x; touch y" }),
            "no name of a shell function",
        ),
        (json!({ "provider": "acme-dns" }), "the setting `url` is missing"),
        (json!({ "provider": "acme-dns", "storage": "x.json" }), "no full path"),
        (json!({ "provider": "rfc2136", "key": "a" }), "`key` has no secret"),
        (json!({ "provider": "rfc2136", "server": "a b" }), "no name or address"),
        (json!({ "provider": "rfc2136", "algorithm": "hmac-md5" }), "tsig-keygen"),
        (json!({ "provider": "rfc2136", "resolver": "ns1.example.com" }), "no address of a DNS server"),
        (json!({ "provider": "rfc2136", "zone": "a b" }), "no name of a zone"),
        (json!({ "provider": "rfc2136", "propagatoin": "1h" }), "did you mean `propagation`?"),
        (
            json!({ "provider": "ovh", "endpoint": "ovh-xx", "application_key": "a", "application_secret": { "file": "/etc/hostname" }, "consumer_key": { "file": "/etc/hostname" } }),
            "Invalid OVH endpoint",
        ),
    ] {
        let said = (solvers::find("dns-01").unwrap().build)(table.clone(), &cx).err();
        let said = said.unwrap_or_else(|| panic!("{table} was taken"));
        assert!(said.contains(sign) && !said.contains("c4nary"), "{table}: {said}");
        assert!(said.contains("hint:"), "{table}: {said}");
    }
    for table in [
        json!({ "provider": "rfc2136" }),
        json!({ "provider": "dnsupdate", "environment": { "RFC2136_NAMESERVER": "ns1.example.com", "DNSUPDATE_TTL": "60", "DNSUPDATE_PROPAGATION_TIMEOUT": "90" } }),
        json!({ "provider": "exec", "environment": { "EXEC_PATH": "/bin/true", "EXEC_MODE": "RAW", "MY_TOKEN": { "file": "/etc/hostname" } } }),
        json!({ "provider": "infoblox", "host": "x.test", "api_port": 443, "username": "a", "password": { "file": "/etc/hostname" } }),
    ] {
        let built = (solvers::find("dns-01").unwrap().build)(table.clone(), &cx);
        assert!(built.is_ok(), "{table}: {:?}", built.err());
    }
}

/// An address is proved otherwise, and a name that could do harm is not asked for.
#[tokio::test]
async fn only_names_of_hosts_are_proved() {
    let solver = dns01(json!({ "provider": "exec", "command": ["/bin/false"], "resolver": "127.0.0.1:1" }));
    let ip = Challenge { identifier: Identifier::Ip([127, 0, 0, 1].into()), ..challenge("a.test", "t") };
    let fault: Fault = solver.present(&cx(), &ip).await.unwrap_err();
    assert!(fault.context.contains("RFC 8738"), "{fault}");
    for name in ["$(touch x).dns.test", "a;id.dns.test", "a\nb.dns.test", "-rf.dns.test", "a b.dns.test"] {
        let evil = Challenge { identifier: Identifier::Dns(name.to_owned()), ..challenge("a.test", "t") };
        let fault = solver.present(&cx(), &evil).await.unwrap_err();
        assert!(fault.context.contains("is no name of a host"), "{fault}");
    }
}
