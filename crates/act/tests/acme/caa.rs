//! CAA records in a rehearsal: a real name server and a real resolver, and a CA that says by which domain it is known.

use std::sync::Arc;

use notafter_core::deployment::Check;
use notafter_core::joints::Issuer as _;
use notafter_lab::dns::{self, Daemon, Tsig, Zone};
use notafter_lab::{Lab, Port, need};
use serde_json::{Value, json};

use crate::hostile::{Ca, Counting, Reply, ca, good};
use crate::{Memory, cx, issuer, order, request};

/// A good CA that is known by these domains.
async fn known_by(lab: &Lab, domains: Value) -> Ca {
    let scene = move |path: &str, base: &str| {
        let Reply::Json(status, headers, mut body) = good("/dir", base) else { return None };
        body["meta"] = json!({ "caaIdentities": domains });
        (path == "/dir").then_some(Reply::Json(status, headers, body))
    };
    ca(lab, Box::new(scene)).await
}

fn of(ca: &Ca, resolver: std::net::SocketAddr) -> Value {
    let directory = format!("{}/dir", ca.base);
    json!({ "directory": directory, "ca_file": ca.ca_file, "resolver": resolver.to_string() })
}

fn about_caa(checks: Vec<Check>) -> Vec<Check> {
    checks.into_iter().filter(|check| check.what.starts_with("CAA")).collect()
}

#[tokio::test]
async fn a_rehearsal_says_where_caa_records_forbid() {
    let lab = Lab::new("acme-caa");
    let ca = known_by(&lab, json!(["CA.test", "old-ca.test"])).await;
    let records = format!(
        "free A 127.0.0.1\n\
         bound CAA 0 issue \"other.test\"\nbound CAA 0 issue \"ca.TEST\"\n\
         former CAA 0 issue \"old-ca.test\"\n\
         other CAA 0 issue \"other.test\"\nother CAA 0 iodef \"mailto:x@other.test\"\ndeep.er.other A 127.0.0.1\n\
         nobody CAA 0 issue \";\"\n\
         wild CAA 0 issue \"ca.test\"\nwild CAA 0 issuewild \"other.test\"\n\
         mail CAA 0 issuemail \"other.test\"\n\
         critical CAA 0 issue \"ca.test\"\ncritical CAA 128 tbs \"x\"\n\
         alias CNAME target.elsewhere.\nbound2 CNAME fine.elsewhere.\n\
         ours CAA 0 issue \"ca.test; validationmethods=dns-01,http-01; accounturi={base}/account/1\"\n\
         theirs CAA 0 issue \"ca.test; accounturi={base}/account/2\"\n\
         method CAA 0 issue \"ca.test; validationmethods=dns-01\"\n\
         torn CAA 0 issue \"ca.test; accounturi\"\n",
        base = ca.base
    );
    let elsewhere = "target CAA 0 issue \"other.test\"\nfine CAA 0 issue \"ca.test\"\n";
    let zones = [Zone::new("test", &records), Zone::new("elsewhere", elsewhere)];
    let Some(dns) = need(dns::start(&lab, Daemon::Knot, &zones, &Tsig::new("hmac-sha256"))) else { return };
    let nobody = Port::free();
    let forward = [("test", dns.address()), ("elsewhere", dns.address()), ("broken.test", nobody.local())];
    let Some(resolver) = need(dns::resolver(&lab, &forward)) else { return };

    let acme = issuer(of(&ca, resolver.address()), &Arc::new(Memory::default()));
    let solver = Counting::default();
    // The account is made; the certificate is not there to be fetched.
    let _ = order(&acme, &request(&lab, &["a.test"]), &solver).await.unwrap_err();
    for (name, sign) in [
        ("free.test", None),
        ("bound.test", None),
        ("*.bound.test", None),
        ("former.test", None),
        ("127.0.0.1", None),
        ("wild.test", None),
        ("mail.test", None),
        ("bound2.test", None),
        ("ours.test", None),
        ("other.test", Some("CAA records of other.test let \"other.test\" issue, and not CA.test")),
        ("deep.er.other.test", Some("CAA records of other.test let \"other.test\" issue")),
        ("nobody.test", Some("let \";\" issue")),
        ("*.wild.test", Some("let \"other.test\" issue for wildcards, and not CA.test")),
        ("critical.test", Some("the critical property `tbs`")),
        ("alias.test", Some("CAA records of target.elsewhere let \"other.test\" issue")),
        ("theirs.test", Some("/account/2`, and the account here is https://localhost")),
        ("method.test", Some("validationmethods=dns-01`, and control is proved by http-01")),
        ("torn.test", Some("is malformed")),
        ("a.broken.test", Some("SERVFAIL")),
    ] {
        let checks = about_caa(acme.rehearse(&cx(), &request(&lab, &[name]), &solver).await);
        match sign {
            None => assert!(checks.iter().all(|check| check.works), "{name}: {checks:?}"),
            Some(sign) => {
                let [check] = &checks[..] else { panic!("{name}: {checks:?}") };
                assert!(!check.works && check.what == format!("CAA of {name}"), "{check:?}");
                assert!(check.because.contains(sign) && check.hint.is_some(), "{check:?}");
            }
        }
    }
    let both = request(&lab, &["*.wild.test", "wild.test", "nobody.test"]);
    let checks = about_caa(acme.rehearse(&cx(), &both, &solver).await);
    assert_eq!(checks.iter().filter(|check| !check.works).count(), 2, "{checks:?}");
    let hint = checks[0].hint.as_deref().unwrap();
    assert!(hint.starts_with("make it `CAA 0 issuewild \"CA.test\"` at wild.test"), "{hint}");
}

#[tokio::test]
async fn of_caa_nothing_is_said_that_is_not_known() {
    let lab = Lab::new("acme-caa-unknown");
    let zone = Zone::new("test", "@ CAA 0 issue \"other.test\"\n");
    let Some(dns) = need(dns::start(&lab, Daemon::Knot, &[zone], &Tsig::new("hmac-sha256"))) else { return };
    let nobody = Port::free();
    let wanted = request(&lab, &["a.test"]);
    // A CA that names no domain of its own, and a resolver that is not there or not for us.
    for (domains, resolver, name, said) in [
        (json!([]), dns.address(), "a.test", None),
        (json!(["ca.test"]), nobody.local(), "a.test", Some("not looked at: the resolver 127.0.0.1:")),
        (json!(["ca.test"]), dns.address(), "a.example", Some("REFUSED")),
    ] {
        let ca = known_by(&lab, domains).await;
        let acme = issuer(of(&ca, resolver), &Arc::new(Memory::default()));
        let wanted = if name == "a.test" { wanted.clone() } else { request(&lab, &[name]) };
        let checks = about_caa(acme.rehearse(&cx(), &wanted, &Counting::default()).await);
        assert!(checks.iter().all(|check| check.works), "{checks:?}");
        let because = checks.first().map(|check| check.because.as_str());
        assert!(because.is_some() == said.is_some(), "{checks:?}");
        assert!(because.unwrap_or_default().contains(said.unwrap_or_default()), "{checks:?}");
    }
}
