//! The source against real sockets: a registry in RDAP, one in WHOIS, one that has had enough.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use notafter_pki::statement::Statement;

use super::*;
use crate::testing::{Basket, Still};

/// Answers the first line of each visitor with what stands for the first word found in it, and counts them.
fn server(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).unwrap_or(0);
            let line = String::from_utf8_lossy(&bytes[..n]).lines().next().unwrap_or("").to_owned();
            let answer =
                answers.iter().find(|(word, _)| line.contains(word)).map_or("", |(_, answer)| answer);
            kept.lock().unwrap().push(line);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, lines)
}

/// What was seen at each place.
type SeenAt = Vec<(String, Result<Statement, (Reason, String)>)>;

fn run(targets: &[&str], settings: serde_json::Value) -> SeenAt {
    let given = Given {
        network: crate::network::Settings { timeout: Duration::from_secs(3), ..Default::default() },
        passwords: Arc::default(),
        roots: Arc::default(),
        beside: Arc::default(),
        registries: Arc::default(),
        secret: crate::sources::no_secrets,
        tsig: None,
    };
    let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
    let source = (KIND.build)(Order { targets: &targets, settings: &settings, given: &given }).unwrap();
    let basket = Arc::new(Basket::default());
    let cx = Cx::new(Arc::new(Still), "test".into());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let scan = runtime.block_on(source.discover(&cx, basket.clone())).unwrap();
    let seen = std::mem::take(&mut *basket.0.lock().unwrap());
    assert_eq!(scan.attempted, seen.len() as u64);
    let one = |o: Observation| match o.seen {
        Seen::Dated { kind: AssetKind::Domain, der, .. } => {
            (o.location.to_string(), Ok(Statement::parse(&der).unwrap()))
        }
        Seen::Failed { reason, detail } => (o.location.to_string(), Err((reason, detail))),
        other => panic!("{other:?}"),
    };
    seen.into_iter().map(one).collect()
}

const RDAP: &[(&str, &str)] = &[
    (
        "/domain/lapses.test ",
        "HTTP/1.1 200 OK\r\nContent-Type: application/rdap+json\r\nConnection: close\r\n\r\n\
      {\"objectClassName\": \"domain\", \"ldhName\": \"lapses.test\", \"status\": [\"server hold\"], \
      \"events\": [{\"eventAction\": \"expiration\", \"eventDate\": \"2027-03-01T08:30:00Z\"}]}",
    ),
    (
        "/domain/undated.test ",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"objectClassName\": \"domain\", \"status\": [\"active\"]}",
    ),
    (
        "/domain/other.test ",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"objectClassName\": \"domain\", \"ldhName\": \"lapses.test\"}",
    ),
    (
        "/domain/later.test ",
        "HTTP/1.1 429 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "/domain/steered.test ",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    ("/domain/", "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
];

const WHOIS: &[(&str, &str)] = &[
    ("undated.test", "Domain: undated.test\nexpires: 2027-03-01\nWhois Server: 127.0.0.1\n"),
    ("prose.test", "Domain: prose.test\nNserver: ns1.example.net\nStatus: connect\n"),
    ("free.test", "No match for free.test\n"),
];

#[test]
fn a_registry_in_rdap() {
    let (address, lines) = server(RDAP);
    let rdap = format!("http://{address}/rdap/");
    let found = run(
        &[
            "domain:www.lapses.test",
            "domain:lapses.test",
            "domain:undated.test",
            "domain:other.test",
            "domain:gone.test",
            "domain:steered.test",
        ],
        serde_json::json!({"rdap": rdap}),
    );
    let of = |name: &str| &found.iter().find(|(at, _)| at == &format!("domain:{name}")).unwrap().1;
    assert_eq!(found.len(), 5);
    let lapses = of("lapses.test").as_ref().unwrap();
    assert_eq!(lapses.not_after().unwrap().to_string(), "2027-03-01T08:30:00Z");
    assert_eq!(lapses.fact_of("status"), Some("serverHold"));
    assert_eq!(of("undated.test").as_ref().unwrap().not_after(), None);
    for (name, reason) in [
        ("other.test", Reason::Malformed),
        ("gone.test", Reason::NotFound),
        ("steered.test", Reason::Excluded),
    ] {
        assert_eq!(of(name).as_ref().unwrap_err().0, reason, "{name}");
    }
    assert_eq!(lines.lock().unwrap().len(), 5);
}

#[test]
fn whois_where_rdap_has_no_date() {
    let (rdap, _) = server(RDAP);
    let (whois, lines) = server(WHOIS);
    let settings = serde_json::json!({
        "domains": ["undated.test", "prose.test", "free.test"],
        "rdap": format!("http://{rdap}"), "whois": whois.to_string(),
    });
    let found = run(&[], settings);
    // The registry's RDAP has the last word on what does not exist.
    let reasons: Vec<_> = found
        .iter()
        .map(|(at, seen)| (at.as_str(), seen.as_ref().map(|s| s.not_after().is_some()).map_err(|e| e.0)))
        .collect();
    assert_eq!(
        reasons,
        [
            ("domain:free.test", Err(Reason::NotFound)),
            ("domain:prose.test", Err(Reason::NotFound)),
            ("domain:undated.test", Ok(true)),
        ]
    );
    let alone = serde_json::json!({"domains": ["undated.test", "prose.test", "free.test", "nothing.test"], "whois": whois.to_string()});
    let found = run(&[], alone);
    let reasons: Vec<_> = found
        .iter()
        .map(|(_, seen)| seen.as_ref().map(|s| s.not_after().is_some()).map_err(|e| e.0))
        .collect();
    assert_eq!(reasons, [Err(Reason::NotFound), Err(Reason::UnsupportedFormat), Ok(false), Ok(true)]);
    assert_eq!(lines.lock().unwrap().len(), 1 + 4);
}

#[test]
fn a_registry_that_has_had_enough_is_left_alone() {
    let (address, lines) = server(RDAP);
    let found = run(
        &["domain:later.test", "domain:lapses.test", "domain:zzz.test"],
        serde_json::json!({"rdap": format!("http://{address}/")}),
    );
    // In the order of their names: one was answered before.
    let reasons: Vec<_> = found.iter().map(|(_, seen)| seen.as_ref().map(|_| ()).map_err(|e| e.0)).collect();
    assert_eq!(reasons, [Ok(()), Err(Reason::Budget), Err(Reason::Budget)]);
    assert_eq!(lines.lock().unwrap().len(), 2);
}

#[test]
fn settings_that_make_no_sense() {
    let given = Given {
        network: crate::network::Settings::default(),
        passwords: Arc::default(),
        roots: Arc::default(),
        beside: Arc::default(),
        registries: Arc::default(),
        secret: crate::sources::no_secrets,
        tsig: None,
    };
    for settings in [
        serde_json::json!({}),
        serde_json::json!({"domains": "example.com"}),
        serde_json::json!({"domains": ["com"]}),
        serde_json::json!({"domains": ["example.com"], "rdap": "127.0.0.1"}),
        serde_json::json!({"domains": ["example.com"], "whois": "127.0.0.1:0"}),
        serde_json::json!({"domains": ["example.com"], "allow": ["x/y"]}),
    ] {
        let built = (KIND.build)(Order { targets: &[], settings: &settings, given: &given });
        assert!(built.is_err_and(|wrong| !wrong.hint.is_empty()), "{settings}");
    }
}

/// Replies of any shape are read to the end, whatever was done to them.
#[test]
fn mutated_replies_are_read_all_the_same() {
    let whois: String = WHOIS.iter().map(|(_, text)| *text).collect();
    let seeds = [
        whois + "[State] Connected (2027/03/31)\n[\nRegistrar:\n name: \u{e9}\n\n.....: x\nExpires on 1st M\u{e4}rz 2027 10:00+0x\n",
        "Record expires on 2027-03-01 08:00:00 (UTC+8)\nrefer: whois.x.test\nStatus: ok / http://x (\nhold: YES\n".to_owned(),
        RDAP[0].1.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned(),
        "{\"services\": [[[\"com\"], [\"https://x/\"]]]}".to_owned(),
    ];
    let mut dice = 7_u64;
    let mut below = |most: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % most.max(1)
    };
    let (mut found, mut dated) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = seeds[below(seeds.len())].clone().into_bytes();
        for _ in 0..below(6) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, b":. \n[](){}\"\xc3\xff0123456789+-/,T"[below(28)]),
                2 if at < bytes.len() => bytes[at] = below(256) as u8,
                _ => {
                    let part = bytes[at..].to_vec();
                    bytes.extend_from_slice(&part);
                }
            }
        }
        let reply = whois::read(&bytes, "x.test");
        let _ = (whois::referral(&bytes), Bootstrap::read(&bytes), rdap::read(&bytes, "lapses.test"));
        if let Reply::Found(one) = reply {
            found += 1;
            dated += usize::from(one.expires.is_some());
            let statement = one.statement();
            assert_eq!(Statement::parse(&statement.to_bytes()).as_ref(), Some(&statement));
        }
    }
    // Were most of them rubbish, nothing would be tried.
    assert!(found > 5000 && dated > 2000, "{found} {dated}");
}
