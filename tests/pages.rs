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
    for (width, dark) in [(1440, false), (390, true)] {
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
            if files || seen.len() > 150 || !seen.insert(url.clone()) {
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
                seen.iter().any(|u| u.starts_with(&format!("{base}{page}"))),
                "{page} was never reached: {seen:?}"
            );
        }
        browser.go(&format!("{base}/inventory"));
        let text = browser.script("return document.body.innerText").as_str().unwrap_or_default().to_owned();
        assert!(text.contains("<img src=x onerror=alert(1)>"), "the name is shown as it is");
        assert!(!text.contains('\u{202e}'), "a bidi override is shown as a code point");
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
fn who_may_change_what() {
    let lab = Lab::new("gate");
    let Some((serving, _server)) = house(&lab) else { return };
    let base = serving.url();
    let token = std::fs::read_to_string(serving.folder.join("token")).expect("a token");
    let bearer = format!("Bearer {}", token.trim());
    let ack = |headers: &[(&str, &str)]| {
        ask("POST", &format!("{base}/api/v1/alerts/a1/acknowledge"), headers, "{}").status
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
