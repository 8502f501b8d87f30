//! Every finding on something real, and its healthy twin, which must stay silent.

mod certbot;
mod registry;
mod run;

use std::path::Path;

use certbot::{date, said};
use notafter_lab::authority::Chain;
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Key, Lab, Leaf, Request, Server, need};
use run::{Scan, scan};

/// Findings but for the private CA of the lab, which is no alarm.
fn kinds(found: &Scan) -> Vec<(String, String)> {
    let all = found.findings().into_iter().filter(|(kind, _)| *kind != "untrusted-chain");
    all.map(|(kind, severity)| (kind.to_owned(), severity.to_owned())).collect()
}

fn pair(kind: &str, severity: &str) -> Vec<(String, String)> {
    vec![(kind.to_owned(), severity.to_owned())]
}

/// An instant so many seconds from now.
fn from_now(seconds: i64) -> i64 {
    notafter_lab::calendar::now() + seconds
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

    fn serve(&self, leaf: &Leaf) -> Option<Server> {
        need(nginx::start(&self.lab, leaf))
    }

    /// Serves a leaf and gives what a scan of the bare port finds, the lab's root being trusted.
    fn found(&self, request: &Request) -> Option<Vec<(String, String)>> {
        let server = self.serve(&self.authority.issue(request))?;
        let root = self.authority.root().cert_pem.to_string_lossy().into_owned();
        Some(kinds(&scan(&[&server.address().to_string(), "--roots", &root])))
    }
}

#[test]
fn a_healthy_server_is_silent_on_every_rule() {
    let scene = Scene::new("healthy");
    let Some(server) = scene.serve(&scene.authority.issue(&Request::server())) else { return };
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    let found = scan(&[&format!("tls://localhost:{}", server.address().port()), "--roots", &root]);
    assert_eq!(found.findings(), [], "{:#}", found.0);
}

#[test]
fn dates() {
    let scene = Scene::new("dates");
    let check = |request: &Request, expected: Vec<(String, String)>| {
        if let Some(found) = scene.found(request) {
            assert_eq!(found, expected);
        }
    };
    check(&Request::server().expired(3), pair("expired-in-use", "critical"));
    check(&Request::server().not_yet_valid(2), pair("not-yet-valid", "critical"));
    check(
        &Request::server().between(from_now(-80 * 86_400), from_now(10 * 86_400)),
        pair("expires-soon", "warning"),
    );
    check(
        &Request::server().between(from_now(-85 * 86_400), from_now(5 * 86_400)),
        pair("expires-soon", "critical"),
    );
    check(&Request::server().between(from_now(-40 * 86_400), from_now(50 * 86_400)), vec![]);
    // A healthy certificate of six days at its half-time.
    check(&Request::server().between(from_now(-3 * 86_400), from_now(3 * 86_400)), vec![]);
}

#[test]
fn the_same_files_merely_lying_in_a_folder() {
    let scene = Scene::new("folder");
    let expired = scene.authority.issue(&Request::server().expired(3));
    let folder = scene.lab.subfolder("archive");
    std::fs::copy(&expired.cert_pem, folder.join("old.pem")).unwrap();
    let found = scan(&[folder.to_str().unwrap()]);
    // An end that came within the last month was not prevented; later it is a line.
    assert_eq!(kinds(&found), pair("expired", "warning"));
    let expired = scene.authority.issue(&Request::server().expired(40));
    std::fs::copy(&expired.cert_pem, folder.join("old.pem")).unwrap();
    let found = scan(&[folder.to_str().unwrap()]);
    assert_eq!(kinds(&found), pair("expired", "info"));
}

#[test]
fn chains() {
    let scene = Scene::new("chains");
    let check = |chain: Chain, expected: Vec<(String, String)>| {
        if let Some(found) = scene.found(&Request::server().chain(chain)) {
            assert_eq!(found, expected);
        }
    };
    check(Chain::Intermediates, vec![]);
    check(Chain::WithRoot, vec![]);
    check(Chain::Nothing, pair("chain-incomplete", "warning"));
    // One issued by the trusted root itself is complete alone.
    let direct = Authority::with_intermediates(&scene.lab, Key::P256, 0);
    let leaf = direct.issue(&Request::server());
    let Some(server) = scene.serve(&leaf) else { return };
    let root = direct.root().cert_pem.to_string_lossy().into_owned();
    assert_eq!(kinds(&scan(&[&server.address().to_string(), "--roots", &root])), []);
}

#[test]
fn chains_in_the_wrong_order() {
    let lab = Lab::new("order");
    let authority = Authority::with_intermediates(&lab, Key::P256, 2);
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    for (chain, expected) in
        [(Chain::Intermediates, vec![]), (Chain::Reversed, pair("chain-wrong-order", "warning"))]
    {
        let leaf = authority.issue(&Request::server().chain(chain));
        let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
        assert_eq!(kinds(&scan(&[&server.address().to_string(), "--roots", &root])), expected);
    }
}

#[test]
fn an_issuer_that_dies_before_its_leaves_is_one_finding() {
    let lab = Lab::new("issuer");
    let day = 86_400;
    let dying = Request::authority("Dying Int").between(from_now(-1000 * day), from_now(9 * day));
    let authority = Authority::custom(&lab, Request::authority("Root").days(3650), &[dying]);
    let root = authority.root().cert_pem.to_string_lossy().into_owned();
    let leaves: Vec<_> = (0..2).map(|_| authority.issue(&Request::server().days(80))).collect();
    let servers: Vec<_> = leaves.iter().filter_map(|l| need(nginx::start(&lab, l))).collect();
    let addresses: Vec<_> = servers.iter().map(|s| s.address().to_string()).collect();
    let [a, b] = addresses.as_slice() else { return };
    let found = scan(&[a, b, "--roots", &root]);
    assert_eq!(kinds(&found), pair("chain-expires-first", "critical"));
    assert_eq!(found.finding("chain-expires-first")["locations"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_root_that_everything_hangs_on() {
    let lab = Lab::new("anchor");
    let day = 86_400;
    let dying = Request::authority("Cluster").between(from_now(-300 * day), from_now(60 * day));
    let issuer = Request::authority("Mesh Issuer").days(300);
    let authority = Authority::custom(&lab, dying, &[issuer]);
    let Some(server) = need(nginx::start(&lab, &authority.issue(&Request::server().days(200)))) else {
        return;
    };
    let pki = lab.subfolder("pki");
    let anchor = std::fs::read_to_string(&authority.root().cert_pem).unwrap();
    std::fs::write(pki.join("ca.crt"), &anchor).unwrap();
    let scan = |more: &[&str]| {
        let address = server.address().to_string();
        scan(&[&[address.as_str(), pki.to_str().unwrap()], more].concat())
    };
    let found = scan(&[]);
    let anchors = found.finding("anchor-expires");
    assert_eq!(
        (anchors["severity"].as_str(), anchors["evidence"]["dependents"].as_i64()),
        (Some("warning"), Some(1))
    );
    assert!(anchors["locations"][0].as_str().unwrap().contains("ca.crt"), "{anchors}");
    let outlived = found.finding("issuer-outlived");
    assert!(outlived["locations"][0].as_str().unwrap().starts_with("tls://127."), "{outlived}");
    let kinds = |found: &Scan| {
        let all = kinds(found).into_iter();
        all.filter(|(_, severity)| severity != "info").map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&found), ["anchor-expires", "issuer-outlived"]);
    // The remedy: its successor, of the same name and key, beside it.
    let successor = Request::authority("Cluster").same_key(authority.root()).self_signed().days(3650);
    let successor = std::fs::read_to_string(&authority.issue(&successor).cert_pem).unwrap();
    std::fs::write(pki.join("ca.crt"), format!("{anchor}{successor}")).unwrap();
    assert_eq!(kinds(&scan(&[])), Vec::<String>::new());
}

#[test]
fn a_cross_sign_that_old_clients_follow() {
    let lab = Lab::new("cross");
    let day = 86_400;
    let old = Authority::custom(
        &lab,
        Request::authority("Old Root").between(from_now(-900 * day), from_now(40 * day)),
        &[],
    );
    let new = Authority::custom(&lab, Request::authority("New Root").days(3650), &[]);
    let cross =
        Request::authority("New Root").same_key(new.root()).between(from_now(-900 * day), from_now(40 * day));
    let cross = std::fs::read_to_string(&old.issue(&cross).cert_pem).unwrap();
    let root = new.root().cert_pem.to_string_lossy().into_owned();
    let leaf = new.issue(&Request::server().days(200));
    let alone = std::fs::read_to_string(&leaf.cert_pem).unwrap();
    for (sent, expected) in
        [(alone.clone() + &cross, pair("path-expires-for-clients", "warning")), (alone, vec![])]
    {
        std::fs::write(&leaf.fullchain_pem, &sent).unwrap();
        let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
        assert_eq!(kinds(&scan(&[&server.address().to_string(), "--roots", &root])), expected);
    }
}

#[test]
fn names() {
    let scene = Scene::new("names");
    let other = scene.authority.issue(&Request::new(&["other.test"]));
    let Some(server) = scene.serve(&other) else { return };
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    let port = server.address().port();
    let asked = |sni: &str| kinds(&scan(&[&format!("tls://127.0.0.1:{port}?sni={sni}"), "--roots", &root]));
    assert_eq!(asked("web.test"), pair("name-mismatch", "critical"));
    assert_eq!(asked("other.test"), []);
    // Without a name there is nothing to mismatch.
    assert_eq!(kinds(&scan(&[&format!("127.0.0.1:{port}"), "--roots", &root])), []);
}

#[test]
fn weak_keys_and_signatures() {
    let scene = Scene::new("weak");
    let check = |request: Request, expected: Vec<(String, String)>| {
        let leaf = scene.authority.issue(&request);
        let arguments = ["-cipher", "DEFAULT@SECLEVEL=0"];
        let Some(server) = need(notafter_lab::servers::openssl::start_with(&scene.lab, &leaf, &arguments))
        else {
            return;
        };
        let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
        assert_eq!(kinds(&scan(&[&server.address().to_string(), "--roots", &root])), expected);
    };
    check(Request::server().key(Key::Rsa1024), pair("weak-key", "warning"));
    check(Request::server().key(Key::Rsa2048), vec![]);
    check(Request::server().sha1(), pair("weak-signature", "warning"));
}

#[test]
fn keys_beside_certificates() {
    let scene = Scene::new("keys");
    let (one, two) = (
        scene.authority.issue(&Request::server().fresh_key()),
        scene.authority.issue(&Request::server().fresh_key()),
    );
    let place = |name: &str, key: &Path, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let folder = scene.lab.subfolder(name);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::copy(&one.fullchain_pem, folder.join("api.crt")).unwrap();
        std::fs::copy(key, folder.join("api.key")).unwrap();
        std::fs::set_permissions(folder.join("api.key"), std::fs::Permissions::from_mode(mode)).unwrap();
        kinds(&scan(&[folder.to_str().unwrap()]))
    };
    assert_eq!(place("right", &one.key_pem, 0o600), []);
    assert_eq!(place("wrong", &two.key_pem, 0o600), pair("key-mismatch", "critical"));
    // In a folder that is closed to others, a readable key is out of their reach.
    assert_eq!(place("readable", &one.key_pem, 0o644), []);
}

#[test]
fn a_key_is_right_when_any_certificate_beside_it_is_its_own() {
    let scene = Scene::new("orders");
    let leaf = scene.authority.issue(&Request::server().fresh_key());
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (own, issuer) = (read(&leaf.cert_pem), read(&scene.authority.intermediates()[0].cert_pem));
    let root = read(&scene.authority.root().cert_pem);
    for parts in [[&root, &issuer, &own], [&own, &root, &issuer], [&issuer, &own, &root]] {
        let folder = scene.lab.subfolder("order");
        std::fs::write(folder.join("server.crt"), parts.map(String::as_str).concat()).unwrap();
        std::fs::copy(&leaf.key_pem, folder.join("server.key")).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.join("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(kinds(&scan(&[folder.to_str().unwrap()])), []);
    }
}

#[test]
fn a_marker_in_a_manual_is_no_key() {
    let lab = Lab::new("manual");
    let folder = lab.subfolder("src");
    std::fs::write(folder.join("pem.py"), "MARK = b'-----BEGIN RSA PRIVATE KEY-----' and\n".repeat(3))
        .unwrap();
    let found = scan(&[folder.to_str().unwrap()]);
    assert_eq!((found.findings(), found.placements().len()), (vec![], 0));
}

#[test]
fn an_owner_who_needs_longer_is_warned_earlier() {
    let scene = Scene::new("needs");
    let Some(server) = scene.serve(&scene.authority.issue(&Request::server().days(80))) else { return };
    let owners = scene.lab.path().join("owners.toml");
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    for (days, expected) in [(85, pair("expires-soon", "warning")), (5, vec![])] {
        let text = format!("[[owner]]\nname = \"web\"\ndefault = true\nneeds_days = {days}\n");
        std::fs::write(&owners, text).unwrap();
        let arguments =
            [&server.address().to_string(), "--roots", &root, "--owner-file", owners.to_str().unwrap()];
        assert_eq!(kinds(&scan(&arguments)), expected);
    }
}

#[test]
fn a_key_that_everyone_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new("exposed");
    let leaf = scene.authority.issue(&Request::server());
    let folder = std::env::temp_dir().join(format!("notafter-exposed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::copy(&leaf.key_pem, folder.join("a.key")).unwrap();
    let mode = |mode| {
        std::fs::set_permissions(folder.join("a.key"), std::fs::Permissions::from_mode(mode)).unwrap();
        kinds(&scan(&[folder.to_str().unwrap()]))
    };
    let (open, closed) = (mode(0o644), mode(0o640));
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((open, closed), (pair("key-exposed", "critical"), vec![]));
}

#[test]
fn addresses_of_one_name_that_disagree() {
    let scene = Scene::new("addresses");
    let (good, old) = (
        scene.authority.issue(&Request::server().days(80)),
        scene.authority.issue(&Request::server().between(from_now(-88 * 86_400), from_now(2 * 86_400))),
    );
    let healthy = scene.authority.issue(&Request::server().days(70));
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    for (second, expected) in [(&old, 1), (&healthy, 0)] {
        let by_address = vec![(std::net::Ipv4Addr::new(127, 0, 0, 2), second.clone())];
        let options = nginx::Options { by_address, ..Default::default() };
        let Some(server) = need(nginx::start_with(&scene.lab, &good, &options)) else { return };
        let port = server.address().port();
        let found = scan(&[
            &format!("tls://127.0.0.1:{port}?sni=srv.test"),
            &format!("tls://127.0.0.2:{port}?sni=srv.test"),
            "--roots",
            &root,
        ]);
        let inconsistent = kinds(&found).iter().filter(|(kind, _)| kind == "inconsistent-endpoint").count();
        assert_eq!(inconsistent, expected, "{:?}", found.findings());
    }
}

#[test]
fn renewed_on_disk_and_not_loaded() {
    let scene = Scene::new("stale");
    let old = scene.authority.issue(&Request::server().between(from_now(-60 * 86_400), from_now(86_400)));
    let new = scene.authority.issue(&Request::server().days(80));
    let folder = scene.lab.subfolder("live");
    let live = folder.join("live.pem");
    std::fs::copy(&old.combined_pem, &live).unwrap();
    let path = live.to_string_lossy().into_owned();
    let port = notafter_lab::Port::free();
    let accept = port.local().to_string();
    let mut server = std::process::Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &accept, "-cert", &path, "-key", &path])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("openssl is there");
    for _ in 0..100 {
        if std::net::TcpStream::connect(port.local()).is_ok() {
            break;
        }
        std::thread::yield_now();
        let _ = std::process::Command::new("sleep").arg("0.05").status();
    }
    let look = || scan(&[&accept, folder.to_str().unwrap()]);
    let before = look();
    std::fs::copy(&new.combined_pem, &live).unwrap();
    let after = look();
    let _ = server.kill();
    let _ = server.wait();
    let stale = |found: &Scan| found.findings().contains(&("renewed-not-loaded", "critical"));
    assert!(!stale(&before), "{:?}", before.findings());
    assert!(stale(&after), "{:?}", after.findings());
    let finding = after.finding("renewed-not-loaded");
    assert!(finding["evidence"]["link"].as_str().unwrap().contains("command line"), "{finding:#}");
}

#[test]
fn a_configuration_says_what_was_renewed_and_not_loaded() {
    let scene = Scene::new("configured");
    let old = scene.authority.issue(&Request::server().between(from_now(-60 * 86_400), from_now(86_400)));
    let new = scene.authority.issue(&Request::server().days(80));
    let Some(mut web) = need(notafter_lab::servers::nginx::start(&scene.lab, &old)) else { return };
    let target = format!("tls://{}?sni=srv.test", web.address());
    let folder = scene.lab.path().to_string_lossy().into_owned();
    let look = || scan(&[&target, &folder]);
    let stale = |found: &Scan| found.findings().contains(&("renewed-not-loaded", "critical"));
    assert!(!stale(&look()), "loaded");
    web.replace(&new).expect("the new one is written");
    let after = look();
    assert!(stale(&after), "{:?}", after.findings());
    let finding = after.finding("renewed-not-loaded");
    assert!(finding["evidence"]["link"].as_str().unwrap().contains("nginx.conf:"), "{finding:#}");
    web.reload().expect("nginx reloads");
    let mut left = 50;
    while stale(&look()) && left > 0 {
        left -= 1;
        let _ = std::process::Command::new("sleep").arg("0.1").status();
    }
    assert!(left > 0, "after the reload nothing is stale");
}

#[test]
fn tokens_keys_and_lists_end_too() {
    let lab = Lab::new("dated");
    let folder = lab.subfolder("app");
    let run = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).current_dir(&folder).output();
        assert!(done.is_ok_and(|o| o.status.success()), "{program} {arguments:?}");
    };
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "host"]);
    run("ssh-keygen", &["-q", "-s", "ca", "-I", "web", "-h", "-n", "web.test", "-V", "-50w:+2w", "host.pub"]);
    use base64::Engine as _;
    let part = |json: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    let claims = format!(
        r#"{{"iss":"ci","sub":"deploy","iat":{},"exp":{}}}"#,
        from_now(-350 * 86_400),
        from_now(5 * 86_400)
    );
    let token = format!(
        "{}.{}.{}",
        part(r#"{"alg":"HS256","typ":"JWT"}"#.into()),
        part(claims),
        part("s".repeat(32))
    );
    std::fs::write(folder.join(".env"), format!("DEPLOY_TOKEN={token}\n")).unwrap();
    let found = scan(&[folder.to_str().unwrap()]);
    for expected in [("key-expires", "critical"), ("token-expires", "critical")] {
        assert!(found.findings().contains(&expected), "{expected:?}: {:?}", found.findings());
    }
    // The token itself is nowhere in what is told.
    assert!(!found.text().contains(token.rsplit('.').next().unwrap()));
}

#[test]
fn tokens_are_named_with_the_key_that_checks_them() {
    let scene = Scene::new("kid");
    let folder = scene.lab.subfolder("app");
    let signer = Request::new(&["login.test"]).between(from_now(-335 * 86_400), from_now(30 * 86_400));
    let signer = scene.authority.issue(&signer);
    let x5c = notafter_lab::base64::encode(signer.der());
    let set = format!(r#"{{"keys":[{{"kty":"EC","use":"sig","kid":"login-2025-b","x5c":["{x5c}"]}}]}}"#);
    std::fs::write(folder.join("jwks.json"), set).unwrap();
    use base64::Engine as _;
    let part = |json: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    let write = |file: &str, kid: &str, days: i64| {
        let header = part(format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#));
        let claims = part(format!(
            r#"{{"iss":"https://login.test/","sub":"{file}","exp":{}}}"#,
            from_now(days * 86_400)
        ));
        let text = format!("TOKEN={header}.{claims}.{}\n", part("s".repeat(64)));
        std::fs::write(folder.join(file), text).unwrap();
    };
    write("ours.env", "login-2025-b", 300);
    write("other.env", "login-2024-a", 300);
    write("over.env", "login-2025-b", -300);
    let found = scan(&[folder.to_str().unwrap()]);
    let finding = found.finding("token-signer-expires");
    assert_eq!(
        (&finding["evidence"]["kid"], &finding["evidence"]["tokens"]),
        (&"login-2025-b".into(), &1.into())
    );
    let place = finding["evidence"]["token_places"][0].as_str().unwrap();
    assert!(place.contains("/ours.env#token"), "{finding:#}");
}

#[test]
fn domains_end_and_are_held() {
    let lab = Lab::new("domains");
    let document = |name: &str, days: Option<i64>, status: &str| {
        let end = days.map(|days| {
            let end = notafter_lab::calendar::generalized(from_now(days * 86_400));
            format!(r#"{{"eventAction": "expiration", "eventDate": "{end}"}}"#)
        });
        let events = end.unwrap_or_default();
        let text = format!(
            r#"{{"objectClassName": "domain", "ldhName": "{name}", "status": ["{status}"], "events": [{events}],
                "entities": [{{"roles": ["registrant"], "vcardArray": ["vcard", [["email", {{}}, "text", "it@{name}"]]]}}]}}"#
        );
        (name.to_owned(), text)
    };
    let address = registry::registry(vec![
        document("lapses.test", Some(40), "active"),
        document("lapsed.test", Some(-3), "redemption period"),
        document("held.test", Some(600), "server hold"),
        document("undated.test", None, "active"),
        document("healthy.test", Some(300), "client transfer prohibited"),
        document("renewed.test", Some(-3), "auto renew period"),
    ]);
    let text =
        format!("[[source]]\nkind = \"domain\"\ndomains = [\"x.test\"]\nrdap = \"http://{address}/rdap/\"\n");
    let config = lab.path().join("notafter.toml");
    std::fs::write(&config, text).unwrap();
    let found = |name: &str| scan(&[&format!("domain:www.{name}"), "--config", config.to_str().unwrap()]);
    for (name, expected) in [
        ("lapses.test", vec![("domain-expires", "warning")]),
        ("lapsed.test", vec![("domain-expires", "critical"), ("domain-hold", "critical")]),
        ("held.test", vec![("domain-hold", "critical")]),
        ("undated.test", vec![("domain-expires", "info")]),
        ("healthy.test", vec![]),
        ("renewed.test", vec![]),
    ] {
        let found = found(name);
        let mut kinds = found.findings();
        kinds.sort_unstable();
        assert_eq!(kinds, expected, "{name}: {:#}", found.0);
    }
    assert!(found("lapses.test").text().contains("it@lapses.test, which dies with the domain"));
    // A zone that is met is asked about, too, where the configuration says who is asked, and only there. That an inner
    // zone was never registered is no news.
    let zone = "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 300\n@ NS ns1\nns1 A 127.0.0.1\n";
    for (name, expected) in [("lapses.test", &[("domain-expires", "warning")][..]), ("inner.test", &[])] {
        let file = lab.subfolder(&format!("zones/{name}")).join(format!("db.{name}"));
        std::fs::write(&file, zone).unwrap();
        let folder = file.parent().unwrap().to_str().unwrap();
        let target = format!("zone:{name}@{}", file.display());
        for target in [folder, target.as_str()] {
            let asked = scan(&[target, "--ports", "1", "--config", config.to_str().unwrap()]);
            assert_eq!(asked.findings(), expected, "{target}: {:#}", asked.0);
            let silent = scan(&[target, "--ports", "1"]);
            assert_eq!(silent.findings(), [], "{target}: {:#}", silent.0);
        }
    }
}

#[test]
fn an_endpoint_on_no_list() {
    let scene = Scene::new("unlisted");
    let (www, go) = (Request::new(&["www.unlisted.test"]), Request::new(&["go.unlisted.test"]));
    let issue = |request: Request| {
        scene.authority.issue(&request.between(from_now(-356 * 86_400), from_now(9 * 86_400)))
    };
    let (www, go) = (issue(www), issue(go));
    let (Some(first), Some(second)) = (scene.serve(&www), scene.serve(&go)) else { return };
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    let folder = scene.lab.subfolder("told");
    let (one, two) = (first.address().port(), second.address().port());
    let write = |name: &str, text: String| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let zone = write(
        "unlisted.zone",
        format!(
            "$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 300\nwww A 127.0.0.1\ngo A 127.0.0.1\n\
             _{one}._tcp.www TLSA 3 1 1 00\n_{two}._tcp.go TLSA 3 1 1 00\n"
        ),
    );
    let entry = |leaf: &Leaf| format!("{{\"der\": \"{}\"}}", notafter_lab::base64::encode(leaf.der()));
    let feed = write("feed.json", format!("[{}, {}]", entry(&www), entry(&go)));
    let config = write(
        "notafter.toml",
        format!("[[source]]\nkind = \"network\"\ntargets = [\"www.unlisted.test:{one}\"]\n"),
    );
    let check = |targets: &[&str], expected: &[u16]| {
        let words = [targets, &["--ports", "1", "--roots", &root, "--config", &config]].concat();
        let found = scan(&words);
        let all =
            found.0["findings"].as_array().unwrap().iter().filter(|f| f["kind"] == "unmonitored-endpoint");
        let places: Vec<String> = all.map(|f| f["locations"].to_string()).collect();
        assert_eq!(places.len(), expected.len(), "{targets:?}: {:#}", found.0);
        for (place, port) in places.iter().zip(expected) {
            assert!(place.contains(&format!(":{port}")), "{place}");
        }
        found
    };
    let by_zone = format!("zone:unlisted.test@{zone}");
    check(&[&by_zone], &[two]);
    let named = format!("tls://127.0.0.1:{two}?sni=go.unlisted.test");
    let found = check(&[&named, &feed], &[two]);
    assert_eq!(found.finding("unmonitored-endpoint")["severity"], "warning");
    // Named by hand and told of by nobody: this look is the watch. Told of, and not there: nobody's work.
    check(&[&named], &[]);
    let silent = check(&[&feed], &[]);
    assert!(silent.findings().iter().all(|(_, severity)| *severity == "info"), "{:#}", silent.0);
    // Somebody here has it.
    let kept = go.cert_pem.display().to_string();
    check(&[&by_zone, &kept], &[]);
}

/// Of two blocks for one name nginx asks the first: a new certificate in the other waits in vain for a reload.
#[test]
fn a_block_that_is_never_asked() {
    let scene = Scene::new("taken");
    let old = scene.authority.issue(&Request::server().between(from_now(-60 * 86_400), from_now(86_400)));
    let new = scene.authority.issue(&Request::server().days(80));
    let Some(server) = scene.serve(&old) else { return };
    let folder = scene.lab.subfolder("etc");
    let block = |leaf: &Leaf| {
        let (certificate, key) = (leaf.cert_pem.display(), leaf.key_pem.display());
        let address = server.address();
        format!(
            "server {{ listen {address} ssl; server_name srv.test; ssl_certificate {certificate}; ssl_certificate_key {key}; }}"
        )
    };
    let file = folder.join("nginx.conf");
    let write = |first: &Leaf, second: &Leaf| {
        let text = format!("events {{}}\nhttp {{\n{}\n{}\n}}\n", block(first), block(second));
        std::fs::write(&file, text).unwrap();
    };
    let look = || {
        let files = [&old, &new].map(|leaf| leaf.cert_pem.display().to_string());
        let target = format!("tls://{}?sni=srv.test", server.address());
        scan(&[&target, &files[0], &files[1], folder.to_str().unwrap()])
    };
    let is = |found: &Scan, kind: &str| found.findings().iter().any(|(found, _)| *found == kind);
    write(&old, &new);
    let judge =
        std::process::Command::new("nginx").args(["-t", "-c"]).arg(&file).output().expect("nginx runs");
    let judge = String::from_utf8_lossy(&judge.stderr).into_owned();
    assert!(judge.contains("conflicting server name \"srv.test\""), "{judge}");
    let found = look();
    assert!(!is(&found, "renewed-not-loaded") && is(&found, "stored-not-deployed"), "{:?}", found.findings());
    let blind = found.blind_spots()[0]["detail"].as_str().unwrap_or_default().to_owned();
    assert!(blind.contains("srv.test") && blind.contains("nginx.conf:3 already"), "{blind}");
    // The other way round it is the first that was renewed, and a reload is all it needs.
    write(&new, &old);
    assert!(is(&look(), "renewed-not-loaded"));
}

#[test]
fn configured_for_another_name() {
    let scene = Scene::new("misnamed");
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    for (name, expected) in [("other.test", pair("name-mismatch", "critical")), ("web.misnamed.test", vec![])]
    {
        let leaf = scene.authority.issue(&Request::new(&[name]));
        let Some(server) = scene.serve(&leaf) else { return };
        let folder = scene.lab.subfolder(&format!("etc-{name}"));
        let text = format!(
            "events {{}}\nhttp {{ server {{ listen {} ssl; server_name web.misnamed.test; ssl_certificate {}; }} }}\n",
            server.address(),
            leaf.cert_pem.display()
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        // By its address alone: what it ought to be for is in its configuration.
        let (address, pem) = (server.address().to_string(), leaf.cert_pem.display().to_string());
        let found = scan(&[&address, &pem, folder.to_str().unwrap(), "--roots", &root]);
        assert_eq!(kinds(&found), expected, "{name}: {:#}", found.0);
    }
}

#[test]
fn programs_without_a_reader_of_their_own() {
    let scene = Scene::new("programs");
    let folder = scene.lab.subfolder("etc");
    let put = |name: &str, leaf: &Leaf| {
        let file = folder.join(name);
        std::fs::copy(&leaf.cert_pem, &file).unwrap();
        file.display().to_string()
    };
    let proxy = put("proxy.pem", &scene.authority.issue(&Request::new(&["proxy.test"]).expired(300)));
    let flow = Request::client("flow to the partner").between(from_now(-300 * 86_400), from_now(5 * 86_400));
    let partner = put("partner.pem", &scene.authority.issue(&flow));
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("squid.conf", format!("http_port 3128 ssl-bump tls-cert={proxy}\n"));
    write("scrape.yml", format!("scrape_configs:\n- job_name: a\n  tls_config:\n    cert_file: {partner}\n"));
    let found = scan(&[folder.to_str().unwrap()]);
    assert!(found.findings().contains(&("expired-in-use", "warning")), "{:#}", found.0);
    assert!(found.findings().contains(&("client-certificate-expires", "critical")), "{:#}", found.0);
    // The same, named by nobody.
    std::fs::remove_file(folder.join("squid.conf")).unwrap();
    let found = scan(&[&proxy]);
    assert_eq!(kinds(&found), pair("expired", "info"), "{:#}", found.0);
}

#[test]
fn an_issuer_that_works_here_stands_on_its_anchor() {
    let lab = Lab::new("mesh");
    let mut made = Vec::new();
    for (name, days) in [("sick", 6), ("well", 3000)] {
        let root = Request::authority(&format!("Mesh {name}"))
            .between(from_now(-360 * 86_400), from_now(days * 86_400));
        let authority =
            Authority::custom(&lab, root, &[Request::authority(&format!("Issuer {name}")).days(300)]);
        let folder = lab.subfolder(name);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let indented = |text: String| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let roots = indented(read(&authority.root().cert_pem));
        std::fs::write(
            folder.join("roots.yaml"),
            format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  ca-bundle.crt: |\n{roots}"),
        )
        .unwrap();
        let issuer = &authority.intermediates()[0];
        std::fs::write(folder.join("issuer.pem"), read(&issuer.cert_pem) + &read(&issuer.key_pem)).unwrap();
        let found = scan(&[folder.to_str().unwrap()]);
        let found: Vec<_> = found
            .findings()
            .into_iter()
            .filter(|(kind, _)| *kind == "anchor-expires")
            .map(|(_, s)| s.to_owned())
            .collect();
        made.push(found);
    }
    assert_eq!(made, [vec!["critical".to_owned()], vec![]]);
}

#[test]
fn roots_in_a_bundle_say_nothing_however_dead() {
    let lab = Lab::new("bundle");
    let folder = lab.subfolder("store");
    let mut bundle = String::new();
    for n in 0..4 {
        let dead = Request::authority(&format!("Dead Root {n}"))
            .between(from_now(-4000 * 86_400), from_now(-400 * 86_400));
        let authority = Authority::custom(&lab, dead, &[]);
        bundle.push_str(&std::fs::read_to_string(&authority.root().cert_pem).unwrap());
    }
    std::fs::write(folder.join("bundle.crt"), bundle).unwrap();
    let found = scan(&[folder.to_str().unwrap()]);
    assert_eq!(found.assets().len(), 4);
    assert_eq!(found.findings(), []);
    assert!(found.placements().iter().all(|p| p["role"] == "trust-anchor"));
}

/// A machine of certbot's with a certificate of this scene.
fn certbot(scene: &Scene, lived: i64, cron: bool, log: &str) -> String {
    certbot::machine(
        &scene.lab.path().join("machine"),
        &scene.authority,
        &Request::server(),
        lived,
        cron,
        log,
    )
}

#[test]
fn a_renewer_that_is_late_fails_or_is_dead() {
    let fine = said(0, "DEBUG:certbot._internal.main:nothing to do");
    let failed = "ERROR:certbot._internal.renewal:Failed to renew certificate a with error: no TXT";
    let check = |name: &str, lived: i64, cron: bool, log: &str, expected: &[(&str, &str)]| {
        let scene = Scene::new(name);
        let mut got = kinds(&scan(&[&certbot(&scene, lived, cron, log)]));
        got.sort();
        let expected: Vec<_> = expected.iter().map(|(k, s)| ((*k).to_owned(), (*s).to_owned())).collect();
        assert_eq!(got, expected, "{name}");
    };
    check("renewed", 58, true, &fine, &[]);
    check("late", 62, true, &fine, &[("renewal-overdue", "warning")]);
    let fails = said(2, failed) + &said(1, failed) + &said(0, failed);
    let both = [("renewal-failing", "warning"), ("renewal-overdue", "warning")];
    check("failing", 62, true, &fails, &both);
    check(
        "mended",
        40,
        true,
        &(fails + &said(0, "DEBUG:x: /etc/letsencrypt/live/a/fullchain.pem (success)")),
        &[],
    );
    let long_ago = said(40, "DEBUG:certbot._internal.main:nothing to do");
    check("dead", 50, false, &long_ago, &[("renewer-dead", "warning")]);
    check("otherwise", 50, false, &fine, &[]);
}

#[test]
fn what_a_renewer_signs_in_with_ends() {
    let scene = Scene::new("credential");
    let log = said(0, "DEBUG:certbot._internal.main:nothing to do");
    let machine = certbot(&scene, 20, true, &log);
    assert_eq!(kinds(&scan(&[&machine])), []);
    let day = date(&notafter_lab::calendar::generalized(from_now(20 * 86_400)));
    let text = format!("dns_x_token = 0123456789\n# expires {day}\n");
    std::fs::write(Path::new(&machine).join("etc/x.ini"), text).unwrap();
    assert_eq!(kinds(&scan(&[&machine])), pair("renewer-credential-expires", "warning"));
}
