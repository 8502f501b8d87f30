//! Every page in a real browser, with names that would take it over if they could; and a person who clicks.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::time::{SystemTime, UNIX_EPOCH};

use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, need};
use serving::Serving;
use web::{Browser, ask, get};

const DAY: i64 = 86_400;

/// Names that have taken pages over elsewhere (opnsense/core 1964, squid 306).
const HOSTILE: &[&str] = &[
    "/CN=<img src=x onerror=alert(1)>",
    "/CN=\"><script>alert(2)<\\/script>",
    "/O=javascript:alert(3)/CN='onmouseover='alert(4)",
    "/CN=abc\u{202e}gnp.exe",
    "/CN={{7*7}}${7*7}<%= 7*7 %>",
    "/O=bell\u{7}/CN=esc\u{1b}[2Jclear\u{1b}]0;title\u{7}",
];

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn soon(days: i64) -> Request {
    Request::server().between(now() + (days - 90) * DAY, now() + days * DAY + 3600)
}

/// A house with something of everything in it.
fn house(lab: &Lab) -> Option<(Serving, notafter_lab::Server)> {
    let authority = Authority::new(lab);
    let server = need(nginx::start(lab, &authority.issue(&soon(8))))?;
    let folder = lab.subfolder("certificates");
    for (n, subject) in HOSTILE.iter().enumerate() {
        let leaf = authority.issue(&soon(3 + n as i64).subject(subject).sans(&[]));
        std::fs::copy(&leaf.cert_pem, folder.join(format!("h{n}.pem"))).expect("written");
    }
    let hostile_file = folder.join("<b onclick=alert(5)>.pem");
    std::fs::copy(authority.issue(&soon(60)).cert_pem, hostile_file).expect("written");
    let config = format!(
        "[[source]]\nkind = \"network\"\ntargets = [\"tls://{}?sni=srv.test\", \"127.0.0.1:1\"]\nevery = \"5s\"\n\
         [[source]]\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"1m\"\n\
         [[owner]]\nname = \"<i>web</i>\"\nmatch = [\"name:srv.test\"]\n\
         [[service]]\nname = \"<u>Shop</u>\"\nplaces = [\"name:srv.test\"]\npublic = true\n",
        server.address(),
        folder.display()
    );
    let serving = Serving::start(lab, &config);
    serving.until("findings", || (serving.ask(&["ls", "--alerts"]).out.lines().count() > 6).then_some(()));
    Some((serving, server))
}

/// Every link inside the app that a page has.
const LINKS: &str = "return [...document.querySelectorAll('a[href]')].map(a => new URL(a.getAttribute('href'), location).href)
    .filter(h => h.startsWith(location.origin)).map(h => h.split('#')[0])";

#[test]
fn every_page_shows_strangers_names_and_runs_none_of_them() {
    let lab = Lab::new("pages");
    let Some((serving, _server)) = house(&lab) else { return };
    let base = serving.url();
    for (width, dark, most) in [(1440, false, 150), (390, true, 150), (1440, true, 40), (390, false, 40)] {
        let Some(browser) = need(Browser::start(width, dark)) else { return };
        let mut todo: Vec<String> = vec![format!("{base}/")];
        let mut seen = std::collections::BTreeSet::new();
        // The first seconds of a server have a page of their own, which reloads itself.
        serving.until("the first look", || {
            browser.go(&format!("{base}/"));
            browser
                .script("return document.querySelectorAll('meta[http-equiv=refresh]').length")
                .as_i64()
                .filter(|n| *n == 0)
        });
        while let Some(url) = (!todo.is_empty()).then(|| todo.remove(0)) {
            let kind = url.split('?').next().unwrap_or(&url).to_owned();
            let files =
                ["/export.", "/api/", "/metrics", "/calendar/", "/probe"].iter().any(|f| kind.contains(f));
            if files || seen.len() > most || !seen.insert(url.clone()) {
                continue;
            }
            browser.go(&url);
            assert_eq!(browser.dialog(), None, "a script of a stranger ran on {url}");
            let wide = browser.script("return document.documentElement.scrollWidth - window.innerWidth");
            assert!(wide.as_i64().unwrap_or(0) <= 0, "{url} scrolls sideways at {width}: {wide}");
            let odd = browser.script("return document.querySelectorAll('script:not([src]),[onclick],[onerror],[style],main img').length");
            assert_eq!(odd, 0, "{url}: a stranger's markup is on the page");
            let headings = browser.script("return document.querySelectorAll('h1').length");
            assert_eq!(headings, 1, "{url}");
            let complaints = browser.complaints();
            assert!(complaints.is_empty(), "{url}: {complaints:?}");
            let links = browser.script(LINKS);
            assert!(links.is_array(), "{url}: {links}");
            for link in links.as_array().into_iter().flatten().filter_map(|l| l.as_str()) {
                todo.push(link.to_owned());
            }
        }
        for page in
            ["/inventory", "/findings", "/forecast", "/sources", "/alerts", "/status", "/asset/", "/place"]
        {
            assert!(
                most < 150 || seen.iter().any(|u| u.starts_with(&format!("{base}{page}"))),
                "{page} was never reached: {seen:?}"
            );
        }
        browser.go(&format!("{base}/inventory"));
        let text = browser.script("return document.body.innerText").as_str().unwrap_or_default().to_owned();
        assert!(text.contains("<img src=x onerror=alert(1)>"), "the name is shown as it is");
        for hidden in ['\u{202e}', '\u{1b}', '\u{7}'] {
            assert!(!text.contains(hidden), "{hidden:?} is shown as a code point");
        }
        assert!(text.contains("esc"), "what has control characters in its name is there all the same");
    }
}

#[test]
fn a_person_signs_in_once_and_acknowledges() {
    let lab = Lab::new("signing-in");
    let Some((serving, _server)) = house(&lab) else { return };
    let base = serving.url();
    let Some(browser) = need(Browser::start(1440, false)) else { return };
    let words = serving.words();
    let link =
        words.split_whitespace().find(|w| w.contains("/sign-in/")).expect("a link is printed").to_owned();
    browser.go(&format!("{base}/alerts"));
    assert_eq!(browser.script("return document.querySelectorAll('form[action*=acknowledge]').length"), 0);
    browser.go(&link);
    browser.click("main form button");
    serving.until("the page behind the sign-in", || (!browser.at().contains("/sign-in/")).then_some(()));
    browser.go(&format!("{base}/alerts"));
    browser.click("form[action*=acknowledge] button");
    serving.until("the acknowledgement", || {
        serving.ask(&["ls", "--alerts"]).out.contains("acknowledged by").then_some(())
    });
    // The link works once, the cookie is not for scripts, and it is not enough without the page's own token.
    browser.go(&link);
    let used = browser.script("return document.querySelectorAll('main form button').length");
    assert_eq!(used, 0, "a used link has no button");
    // Another one is one command away.
    let another = serving.ask(&["sign-in"]).out;
    let path = another.trim().split_once("/sign-in/").expect("a link").1.to_owned();
    browser.go(&format!("{base}/sign-in/{path}"));
    assert_eq!(browser.script("return document.querySelectorAll('main form button').length"), 1);
    assert_eq!(browser.script("return document.cookie"), "");
    // By keyboard: to the search, and to the help.
    browser.go(&format!("{base}/"));
    browser.keys("/");
    assert_eq!(browser.script("return document.activeElement.type || ''"), "search");
}

#[test]
fn an_export_that_grows_old_greys_itself() {
    let lab = Lab::new("export");
    let Some((serving, _server)) = house(&lab) else { return };
    let Some(browser) = need(Browser::start(1440, false)) else { return };
    let folder = lab.subfolder("www");
    let seen = serving.until("a service that is seen", || {
        let run = serving.ask(&["status", "export", &folder.to_string_lossy()]);
        assert_eq!(run.code, 0, "{}", run.err);
        let page = std::fs::read_to_string(folder.join("index.html")).expect("a page");
        page.contains("Last seen").then_some(page)
    });
    let open = |page: &str| {
        std::fs::write(folder.join("index.html"), page).expect("written");
        browser.go(&format!("file://{}/index.html", folder.display()));
        let text = browser.script("return document.body.innerText").as_str().unwrap_or_default().to_owned();
        let coloured = browser.script("return document.querySelectorAll('.proven, .soon, .now').length");
        (text, coloured.as_i64().unwrap_or(-1))
    };
    // Fresh: in colour, and with the sentence for those who run no script.
    let (fresh, coloured) = open(&seen);
    assert!(fresh.contains("If this is older than 15 min, nothing here is known"), "{fresh}");
    assert!(coloured > 0 && !fresh.contains("not known: nobody has said anything since"), "{fresh}");
    // The same page, a day after whoever wrote it has died.
    let until = seen.split("data-until=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a date");
    let (old, coloured) = open(&seen.replace(until, "2020-01-01T00:00:00Z"));
    assert!(old.contains("The state of the services is not known."), "{old}");
    assert!(old.contains("This is too old: nothing on it is known."), "{old}");
    assert_eq!(coloured, 0, "{old}");
    // As long as its writer says, and no longer than a week.
    let hour = serving.ask(&["status", "export", &folder.to_string_lossy(), "--valid", "1h"]);
    assert_eq!(hour.code, 0, "{}", hour.err);
    let page = std::fs::read_to_string(folder.join("index.html")).expect("a page");
    assert!(
        page.contains("If this is older than 60 min") || page.contains("If this is older than 1 h"),
        "{page}"
    );
    for wrong in ["0", "30d", "soon"] {
        let refused = serving.ask(&["status", "export", &folder.to_string_lossy(), "--valid", wrong]);
        assert!(refused.code == 2 && !refused.err.is_empty(), "{wrong}: {}", refused.err);
    }
    // A date that cannot be read is no promise.
    assert_eq!(open(&seen.replace(until, "soon")).1, 0);
}

/// A name server that answers each name with the next of its addresses, and the last one from then on.
fn liar(answers: Vec<(&'static str, Vec<std::net::IpAddr>)>) -> String {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut asked = vec![[0; 2]; answers.len()];
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let question = &packet[..length];
            // Header, labels, a zero, type and class.
            let mut labels = Vec::new();
            let mut at = 12;
            while let Some(n) = question.get(at).map(|n| usize::from(*n)).filter(|n| *n > 0) {
                labels.push(
                    String::from_utf8_lossy(question.get(at + 1..at + 1 + n).unwrap_or(b"")).into_owned(),
                );
                at += 1 + n;
            }
            let Some(kind) = question.get(at + 1..at + 3).map(|k| u16::from_be_bytes([k[0], k[1]])) else {
                continue;
            };
            let name = labels.join(".").to_ascii_lowercase();
            let known = answers.iter().position(|(known, _)| *known == name);
            let family = usize::from(kind == 28);
            let fits = |ip: &std::net::IpAddr| match ip {
                std::net::IpAddr::V4(_) => kind == 1,
                std::net::IpAddr::V6(_) => kind == 28,
            };
            let ip = known.and_then(|n| {
                let of_kind: Vec<_> = answers[n].1.iter().filter(|ip| fits(ip)).collect();
                let turn = asked[n][family];
                asked[n][family] += 1;
                of_kind.get(turn).or(of_kind.last()).map(|ip| **ip)
            });
            let mut answer = question[..2].to_vec();
            answer.extend([
                0x84,
                if known.is_some() { 0 } else { 3 },
                0,
                1,
                0,
                u8::from(ip.is_some()),
                0,
                0,
                0,
                0,
            ]);
            answer.extend(&question[12..(at + 5).min(length)]);
            if let Some(ip) = ip {
                let bytes = match ip {
                    std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
                    std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
                };
                answer.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 0, 0, bytes.len() as u8]);
                answer.extend(bytes);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

/// Counts who connects.
fn canary(address: &str) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    let counted = std::sync::Arc::clone(&count);
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    count
}

/// F31 and F33, with the real prober: this test runs itself again in a network of its own, where a canary listens at
/// the very address at which clouds keep their credentials.
#[test]
fn no_answer_of_a_name_server_leads_a_probe_astray() {
    const INSIDE: &str = "NOTAFTER_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().expect("this test");
        let commands = "ip link set lo up && ip addr add 169.254.169.254/32 dev lo && ip addr add 10.0.0.1/32 dev lo && exec \"$0\" \
                        --exact no_answer_of_a_name_server_leads_a_probe_astray --nocapture";
        let ran = std::process::Command::new("unshare")
            .args(["--net", "--map-root-user", "sh", "-c", commands])
            .arg(this)
            .env(INSIDE, "1")
            .output();
        let ran = need(ran.map_err(|e| notafter_lab::NotRun::new("unshare", e.to_string())));
        let Some(ran) = ran else { return };
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        return;
    }
    let count = |canary: &std::sync::atomic::AtomicUsize| canary.load(std::sync::atomic::Ordering::SeqCst);
    let checked = canary("127.0.0.2:8443");
    let forbidden =
        ["127.0.0.3:8443", "169.254.169.254:8443", "169.254.169.254:443", "10.0.0.1:8443"].map(canary);
    let ip = |text: &str| text.parse().expect("an address");
    let resolver = liar(vec![
        // First a place that may be looked at, from then on one that may not.
        ("rebind.test", vec![ip("127.0.0.2"), ip("127.0.0.3")]),
        ("cloud.test", vec![ip("169.254.169.254")]),
        ("mapped.test", vec![ip("::ffff:169.254.169.254")]),
        ("nat64.test", vec![ip("64:ff9b::169.254.169.254")]),
    ]);
    let lab = Lab::new("rebinding");
    let config = format!(
        "[server]\nresolver = \"{resolver}\"\n[[source]]\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"1h\"\n",
        lab.subfolder("nothing").display()
    );
    let serving = Serving::start(&lab, &config);
    let base = serving.url();
    let token = std::fs::read_to_string(serving.folder.join("token")).expect("a token");
    let bearer = format!("Bearer {}", token.trim());
    let probe = |target: &str| {
        let url = format!("{base}/probe?timeout=3&target={target}");
        let answer = ask("GET", &url, &[("Authorization", &bearer)], "");
        assert!(!answer.body.contains("\nprobe_success 1"), "{target}: {}", answer.body);
        answer.status
    };
    assert_eq!(probe("rebind.test:8443"), 200);
    for name in ["cloud.test", "mapped.test", "nat64.test"] {
        probe(&format!("{name}:8443"));
        probe(name);
    }
    for literal in ["[::ffff:169.254.169.254]:8443", "[::ffff:a9fe:a9fe]:8443", "[64:ff9b::10.0.0.1]:8443"] {
        assert_eq!(probe(literal), 403, "{literal}");
    }
    assert!(count(&checked) > 0, "the address that was resolved first is looked at");
    for canary in &forbidden {
        assert_eq!(count(canary), 0, "somebody was led astray");
    }
}

#[test]
fn who_may_change_what() {
    let lab = Lab::new("gate");
    let Some((serving, _server)) = house(&lab) else { return };
    let base = serving.url();
    let token = std::fs::read_to_string(serving.folder.join("token")).expect("a token");
    let bearer = format!("Bearer {}", token.trim());
    // Whichever is open now: the first may have ended by what was seen since.
    let open = || {
        let alerts: serde_json::Value =
            serde_json::from_str(&get(&format!("{base}/api/v1/alerts")).body).ok()?;
        Some(alerts["items"][0]["id"].as_str()?.to_owned())
    };
    let ack = |headers: &[(&str, &str)]| {
        let alert = serving.until("an open alert", open);
        ask("POST", &format!("{base}/api/v1/alerts/{alert}/acknowledge"), headers, "{}").status
    };
    let json = ("Content-Type", "application/json");
    assert_eq!(ack(&[json]), 401, "on loopback too");
    assert_eq!(ack(&[json, ("Authorization", "Bearer wrong")]), 401);
    assert_eq!(ack(&[json, ("Authorization", &bearer), ("Origin", "http://evil.test")]), 403);
    assert_eq!(ack(&[json, ("Authorization", &bearer), ("Host", "evil.test")]), 421);
    assert_eq!(ack(&[json, ("Authorization", &bearer)]), 200);
    // DNS rebinding: a page of a stranger that points its own name at us reads nothing either.
    assert_eq!(ask("GET", &format!("{base}/"), &[("Host", "evil.test")], "").status, 421);
    let page = get(&format!("{base}/"));
    assert!(page.header("content-security-policy").is_some_and(|p| p.starts_with("default-src 'none'")));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // Strangers look only where a source looks anyway, and never at what clouds keep for themselves.
    let probe = |target: &str| get(&format!("{base}/probe?target={target}")).status;
    assert_eq!(probe("127.0.0.1:9"), 403);
    assert_eq!(probe("169.254.169.254:443"), 403);
    let known =
        |t: &str| ask("GET", &format!("{base}/probe?target={t}"), &[("Authorization", &bearer)], "").status;
    for metadata in
        ["169.254.169.254:443", "[::ffff:169.254.169.254]:443", "2852039166:443", "[fd00:ec2::254]:443"]
    {
        assert_ne!(known(metadata), 200, "{metadata}");
    }
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(serving.folder.join(name)).map(|m| m.permissions().mode() & 0o777).unwrap_or(0)
    };
    assert_eq!((mode("token"), mode("notafter.db"), mode(".")), (0o600, 0o600, 0o700));
}
