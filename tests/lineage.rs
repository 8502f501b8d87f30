//! Causes that join several places, on real servers and files, each with its healthy twin; and the same from a scan and
//! from the server.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Key, Lab, Leaf, Request, Server, need};
use run::{Scan, scan};
use serving::Serving;

const DAY: i64 = 86_400;

/// A certificate of a year for these names, by days from now.
fn dated(names: &[&str], from: i64, until: i64) -> Request {
    let now = notafter_lab::calendar::now();
    Request::new(names).between(now + from * DAY, now + until * DAY + 3600)
}

fn old(names: &[&str]) -> Request {
    dated(names, -200, 160).fresh_key()
}

fn new(names: &[&str]) -> Request {
    dated(names, -5, 360).fresh_key()
}

struct Scene {
    lab: Lab,
    authority: Authority,
}

impl Scene {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let authority = Authority::new(&lab);
        Self { lab, authority }
    }

    fn issue(&self, request: &Request) -> Leaf {
        self.authority.issue(request)
    }

    /// Puts a chain where the program may find it.
    fn put(&self, path: &str, leaf: &Leaf) -> String {
        let path = self.lab.path().join("org").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(&leaf.fullchain_pem, &path).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn folder(&self) -> String {
        let folder = self.lab.path().join("org");
        std::fs::create_dir_all(&folder).unwrap();
        folder.to_string_lossy().into_owned()
    }

    /// Scans these endpoints and everything that was put.
    fn look(&self, endpoints: &[String]) -> Scan {
        let (folder, root) = (self.folder(), self.authority.root().cert_pem.to_string_lossy().into_owned());
        let mut all: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        all.extend([folder.as_str(), "--roots", &root]);
        scan(&all)
    }

    /// One server with a certificate for each address from 127.0.0.1 on.
    fn farm(&self, leaves: &[&Leaf]) -> Option<Server> {
        let by_address = leaves.iter().enumerate().skip(1);
        let by_address = by_address.map(|(n, leaf)| (Ipv4Addr::new(127, 0, 0, 1 + n as u8), (*leaf).clone()));
        let options = nginx::Options { by_address: by_address.collect(), ..Default::default() };
        need(nginx::start_with(&self.lab, leaves[0], &options))
    }
}

fn at(server: &Server, host: u8, name: &str) -> String {
    let port = server.address().port();
    if name.is_empty() {
        format!("tls://127.0.0.{host}:{port}")
    } else {
        format!("tls://127.0.0.{host}:{port}?sni={name}")
    }
}

/// What was found beyond the quiet.
fn alarms(found: &Scan) -> Vec<(String, String)> {
    let all = found.findings().into_iter().filter(|(_, severity)| *severity != "info");
    all.map(|(kind, severity)| (kind.to_owned(), severity.to_owned())).collect()
}

fn one(kind: &str, severity: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), severity.to_owned())]
}

fn has(found: &Scan, kind: &str) -> bool {
    found.findings().iter().any(|(k, _)| *k == kind)
}

#[test]
fn stored_and_never_shipped() {
    let scene = Scene::new("stored");
    let names = ["blob.test"];
    let (before, after) = (scene.issue(&dated(&names, -340, 20).fresh_key()), scene.issue(&new(&names)));
    scene.put("store/web.pem", &after);
    scene.put("stage/web.pem", &before);
    let (Some(stale), Some(shipped)) = (scene.farm(&[&before]), scene.farm(&[&after])) else { return };
    let found = scene.look(&[at(&stale, 1, "blob.test")]);
    let expected = [one("expires-soon", "warning"), one("stored-not-deployed", "warning")].concat();
    assert_eq!(alarms(&found), expected);
    let places = found.finding("stored-not-deployed")["locations"].to_string();
    assert!(places.contains("store/web.pem") && places.contains("tls://127.0.0.1"), "{places}");
    // A copy of the old one still lies about.
    let twin = scene.look(&[at(&shipped, 1, "blob.test")]);
    assert_eq!(alarms(&twin), []);
    // With time to spare it waits for its day; served elsewhere, it is a roll-out.
    let early = scene.issue(&old(&names));
    let Some(rolling) = scene.farm(&[&early, &after]) else { return };
    let waiting = scene.look(&[at(&rolling, 1, "blob.test")]);
    assert_eq!((alarms(&waiting), has(&waiting, "stored-not-deployed")), (vec![], true));
    let rolled = scene.look(&[at(&rolling, 1, "blob.test"), at(&rolling, 2, "blob.test")]);
    assert_eq!((alarms(&rolled), has(&rolled, "stored-not-deployed")), (vec![], false));
}

#[test]
fn renewed_but_different() {
    let scene = Scene::new("different");
    let names = ["web.test", "api.test"];
    let before = scene.issue(&old(&names).usages("serverAuth,clientAuth"));
    let Some(server) = scene.farm(&[&before]) else { return };
    let endpoint = at(&server, 1, "web.test");
    let look = |request: &Request| {
        scene.put("next/web.pem", &scene.issue(request));
        scene.look(std::slice::from_ref(&endpoint))
    };
    let same = look(&new(&names).usages("serverAuth,clientAuth"));
    assert!(!has(&same, "renewal-changed"), "{:?}", same.findings());
    for (request, what) in [
        (new(&names), "eku: no longer for clientAuth"),
        (new(&["web.test"]).usages("serverAuth,clientAuth"), "san: without api.test"),
        (new(&["api.test"]).usages("serverAuth,clientAuth"), "san: without web.test"),
        (
            new(&names).usages("serverAuth,clientAuth").key(Key::Rsa2048),
            "key: ECDSA P-256 has become RSA 2048",
        ),
        (
            new(&names).usages("serverAuth,clientAuth").extension("tlsfeature = status_request"),
            "must-staple: ",
        ),
    ] {
        let found = look(&request);
        let finding = found.finding("renewal-changed");
        assert_eq!(finding["severity"], "warning", "{finding:#}");
        let changed = finding["evidence"]["changed"].as_array().unwrap();
        assert!(changed.iter().any(|c| c.as_str().unwrap().starts_with(what)), "{what}: {changed:?}");
        assert!(finding["locations"].to_string().contains("next/web.pem"), "{finding:#}");
    }
    let other = Authority::custom(&scene.lab, Request::authority("Another Root"), &[]);
    scene.put("next/web.pem", &other.issue(&new(&names).usages("serverAuth,clientAuth")));
    let found = scene.look(std::slice::from_ref(&endpoint));
    assert!(found.finding("renewal-changed")["evidence"]["changed"].to_string().contains("issuer: "));
}

#[test]
fn taken_out_of_service_and_still_served() {
    let scene = Scene::new("rotation");
    let names = ["writer.test", "prod.test"];
    let (before, after) = (scene.issue(&old(&names)), scene.issue(&new(&names)));
    scene.put("gateway/trusted/writer.pem", &after);
    let (Some(mixed), Some(moved)) = (scene.farm(&[&after, &after, &before]), scene.farm(&[&after])) else {
        return;
    };
    let three: Vec<_> = (1..=3).map(|host| at(&mixed, host, "prod.test")).collect();
    // The list alone says it; a folder that says so does too.
    assert_eq!(alarms(&scene.look(&three)), one("still-in-use", "critical"));
    scene.put("gateway/retired/writer.pem", &before);
    let found = scene.look(&three);
    assert_eq!(alarms(&found), one("still-in-use", "critical"));
    let places = found.finding("still-in-use")["locations"].to_string();
    assert!(places.contains("tls://127.0.0.3:") && !places.contains("tls://127.0.0.1:"), "{places}");
    assert_eq!(alarms(&scene.look(&[at(&moved, 1, "prod.test")])), []);
    // While both are trusted, nothing is wrong.
    scene.put("gateway/trusted/writer-old.pem", &before);
    std::fs::remove_dir_all(Path::new(&scene.folder()).join("gateway/retired")).unwrap();
    assert_eq!(alarms(&scene.look(&three)), []);
}

#[test]
fn a_forgotten_default_behind_a_good_name() {
    let scene = Scene::new("default");
    let good = scene.issue(&new(&["shop.test"]));
    for (left, expected) in [(3, true), (300, false)] {
        let default = scene.issue(&dated(&["default.test"], -60, left).fresh_key());
        let options =
            nginx::Options { vhosts: vec![("shop.test".into(), good.clone())], ..Default::default() };
        let Some(server) = need(nginx::start_with(&scene.lab, &default, &options)) else { return };
        let found = scene.look(&[at(&server, 1, ""), at(&server, 1, "shop.test")]);
        assert_eq!(has(&found, "default-vhost-stale"), expected, "{:?}", found.findings());
        if expected {
            assert_eq!(found.finding("default-vhost-stale")["severity"], "info");
        }
    }
}

#[test]
fn expired_and_somebody_is_still_connected() {
    let scene = Scene::new("tolerated");
    let Some(server) = scene.farm(&[&scene.issue(&Request::server().expired(2))]) else { return };
    let endpoint = at(&server, 1, "");
    assert!(
        !has(&scene.look(std::slice::from_ref(&endpoint)), "expired-but-tolerated"),
        "nobody is connected"
    );
    // A client that does not look at the date; its input stays open, so that it stays.
    let address = server.address().to_string();
    let mut client = std::process::Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &address])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("openssl is there");
    let mut found = scene.look(std::slice::from_ref(&endpoint));
    for _ in 0..50 {
        if has(&found, "expired-but-tolerated") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        found = scene.look(std::slice::from_ref(&endpoint));
    }
    let _ = client.kill();
    let _ = client.wait();
    assert_eq!(found.finding("expired-but-tolerated")["severity"], "critical");
    assert!(has(&found, "expired-in-use"));
}

#[test]
fn what_lies_in_files_and_what_has_taken_its_place() {
    let scene = Scene::new("places");
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    let dying = scene.issue(&dated(&["client.test"], -300, 5).fresh_key());
    let fresh = scene.issue(&new(&["client.test"]));
    for (earlier, later, silent) in [
        ("partner/old/client.pem", "partner/client.pem", true),
        ("same/client1.pem", "same/client2.pem", true),
        // Two services with a copy each, and one that waits to be installed.
        ("svc/a/tls.pem", "svc/c/tls.pem", false),
        ("waits/client.pem", "waits/new/client.pem", false),
    ] {
        let _ = std::fs::remove_dir_all(scene.folder());
        scene.put(earlier, &dying);
        scene.put(later, &fresh);
        let found = scan(&[&scene.folder(), "--roots", &root]);
        let expected = if silent { vec![] } else { one("expires-soon", "critical") };
        assert_eq!(alarms(&found), expected, "{earlier} {later}");
    }
    // A feed that tells of many certificates is nobody's configuration.
    let _ = std::fs::remove_dir_all(scene.folder());
    let others = ["a.test", "b.test"].map(|name| scene.issue(&new(&[name])));
    let text = [&dying, &others[0], &others[1]].map(|leaf| std::fs::read_to_string(&leaf.cert_pem).unwrap());
    let feed: Vec<_> = text.iter().map(|pem| serde_json::json!({"cert": {"pem": pem}})).collect();
    std::fs::write(Path::new(&scene.folder()).join("feed.json"), serde_json::to_vec(&feed).unwrap()).unwrap();
    let found = scan(&[&scene.folder(), "--roots", &root]);
    assert_eq!((alarms(&found), found.finding("expires-soon")["severity"].as_str()), (vec![], Some("info")));
}

#[test]
fn one_key_for_many_names_and_a_purpose_that_does_not_fit() {
    let scene = Scene::new("reused");
    let a = scene.issue(&new(&["a.test"]));
    let b = scene.issue(&new(&["b.test"]).same_key(&a));
    let again = scene.issue(&old(&["a.test"]).same_key(&a));
    let Some(server) = scene.farm(&[&a, &b]) else { return };
    let found = scene.look(&[at(&server, 1, "a.test"), at(&server, 2, "b.test")]);
    assert_eq!(alarms(&found), one("key-reused", "warning"));
    // The same key over a renewal, and one certificate in two places.
    let Some(server) = scene.farm(&[&a, &a]) else { return };
    scene.put("archive/a.pem", &again);
    let found = scene.look(&[at(&server, 1, "a.test"), at(&server, 2, "a.test")]);
    assert!(!has(&found, "key-reused"), "{:?}", found.findings());

    let client = scene.issue(&new(&["c.test"]).usages("clientAuth"));
    let Some(server) = scene.farm(&[&client]) else { return };
    assert_eq!(alarms(&scene.look(&[at(&server, 1, "c.test")])), one("purpose-unfit", "warning"));
}

/// Kind, severity and places of all findings of these kinds.
fn told(list: &[serde_json::Value], kinds: &[&str]) -> BTreeSet<(String, String, Vec<String>)> {
    let of_ours = list.iter().filter(|f| f["kind"].as_str().is_some_and(|k| kinds.contains(&k)));
    of_ours
        .map(|f| {
            let mut places: Vec<String> = f["locations"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|l| l.as_str().unwrap().to_owned())
                .collect();
            places.sort_unstable();
            (f["kind"].as_str().unwrap().to_owned(), f["severity"].as_str().unwrap().to_owned(), places)
        })
        .collect()
}

#[test]
fn a_scan_and_the_server_say_the_same() {
    const KINDS: &[&str] = &[
        "stored-not-deployed",
        "renewal-changed",
        "still-in-use",
        "default-vhost-stale",
        "purpose-unfit",
        "expires-soon",
    ];
    let scene = Scene::new("both");
    let blob = (scene.issue(&dated(&["blob.test"], -300, 6).fresh_key()), scene.issue(&new(&["blob.test"])));
    let writer = (scene.issue(&old(&["writer.test"])), scene.issue(&new(&["writer.test"])));
    let web = scene.issue(&old(&["web.test", "api.test"]));
    let unfit = scene.issue(&new(&["c.test"]).usages("clientAuth"));
    scene.put("store/blob.pem", &blob.1);
    scene.put("next/web.pem", &scene.issue(&new(&["web.test"])));
    scene.put("gateway/trusted/writer.pem", &writer.1);
    scene.put("gateway/retired/writer.pem", &writer.0);
    scene.put("partner/old/client.pem", &scene.issue(&dated(&["client.test"], -300, 5).fresh_key()));
    scene.put("partner/client.pem", &scene.issue(&new(&["client.test"])));
    let Some(farm) = scene.farm(&[&blob.0, &writer.0, &writer.1, &web, &unfit]) else { return };
    let names = ["blob.test", "writer.test", "writer.test", "web.test", "c.test"];
    let mut endpoints: Vec<String> =
        names.iter().enumerate().map(|(n, name)| at(&farm, 1 + n as u8, name)).collect();
    let options = nginx::Options {
        vhosts: vec![("shop.test".into(), scene.issue(&new(&["shop.test"])))],
        ..Default::default()
    };
    let default = scene.issue(&dated(&["default.test"], -60, 3).fresh_key());
    let Some(shop) = need(nginx::start_with(&scene.lab, &default, &options)) else { return };
    endpoints.extend([at(&shop, 1, ""), at(&shop, 1, "shop.test")]);

    let found = scene.look(&endpoints);
    let list: Vec<_> = found.0["findings"].as_array().unwrap().clone();
    let scanned = told(&list, KINDS);
    let kinds: BTreeSet<&str> = scanned.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert_eq!(kinds.len(), KINDS.len(), "{scanned:#?}");

    let config = format!(
        "[[source]]\nname = \"files\"\nkind = \"files\"\npaths = [{:?}]\nevery = \"1h\"\n\
         [[source]]\nname = \"network\"\nkind = \"network\"\ntargets = {endpoints:?}\nevery = \"1h\"\n",
        scene.folder()
    );
    let mut serving = Serving::start(&scene.lab, &config);
    let mut last = BTreeSet::new();
    let mut listed = String::new();
    for _ in 0..300 {
        let all = serving.ask(&["ls", "--findings", "--json"]);
        listed = format!("{}{}", all.out, all.err);
        let all: serde_json::Value = serde_json::from_str(&all.out).unwrap_or_default();
        last = told(all["items"].as_array().map(Vec::as_slice).unwrap_or_default(), KINDS);
        if last == scanned {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(last, scanned, "{listed}");
    assert_eq!(serving.stop(), 0);
}

/// No renewer is known, and each time it was replaced with thirty days left: three days after that day somebody hears of
/// it, before the usual warning.
#[test]
fn late_as_its_predecessors_never_were() {
    for (left, expected) in [(25, true), (28, false)] {
        let scene = Scene::new("habit");
        let ended = |n: i64| dated(&["habit.test"], left - 90 - 60 * n, left - 60 * n).fresh_key();
        let Some(mut web) = need(nginx::start(&scene.lab, &scene.issue(&ended(2)))) else { return };
        let config = format!(
            "[[source]]\nname = \"office\"\nkind = \"network\"\ntargets = [\"tls://{}?sni=habit.test\"]\nevery = \"1s\"\n",
            web.address()
        );
        let serving = Serving::start(&scene.lab, &config);
        let findings = || serving.ask(&["ls", "--findings"]).out;
        serving.until("the first", || findings().contains("expired").then_some(()));
        for n in [1, 0] {
            web.replace(&scene.issue(&ended(n))).expect("the next one is written");
            web.reload().expect("nginx reloads");
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
        let about = |kind: &str| findings().contains(kind);
        if expected {
            serving.until("that it is late", || about("renewal-overdue").then_some(()));
            assert!(findings().contains("as its 2 predecessors were"), "{}", findings());
            assert!(!about("expires-soon"), "{}", findings());
        } else {
            std::thread::sleep(std::time::Duration::from_secs(4));
            assert!(!about("renewal-overdue"), "{}", findings());
        }
    }
}
