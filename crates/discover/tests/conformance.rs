//! What every source of the list keeps to: it is the same by target and by table; what is wrong outside is a blind spot
//! at its place and no end of the run; nothing is said twice; silence, noise and what never ends are bounded; and who
//! drops it has ended it, threads and all. A new source needs a line in [`fixture`].

// Real sockets and real time.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::print_stdout, reason = "how long each took is worth knowing")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::fault::Fault;
use notafter_core::joints::{Cx, Sink};
use notafter_core::observation::{Observation, Seen};
use notafter_core::scan::Scan;
use notafter_discover::network::Settings;
use notafter_discover::sources::{Given, Order, SOURCES, SourceKind, no_secrets};
use notafter_lab::Lab;
use serde_json::{Value, json};

/// A source is asked so many seconds at most, whatever is at the other end.
const BOUND: Duration = Duration::from_secs(100);

struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Default)]
struct Put(Mutex<Vec<Observation>>);

impl Sink for Put {
    fn put(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }
}

fn given() -> Given {
    Given {
        network: Settings { timeout: Duration::from_secs(1), ..Settings::default() },
        passwords: Arc::default(),
        roots: Arc::default(),
        beside: Arc::default(),
        registries: Arc::default(),
        secret: no_secrets,
        tsig: None,
    }
}

/// What a source is asked for: as a target, and as the keys of its table, without the target and with it.
struct Ask {
    target: String,
    beside: Value,
    table: Value,
}

/// How a source is asked for something at an address, and for something that is well, if a document is all that takes.
fn fixture(kind: &SourceKind, at: SocketAddr, lab: &Lab) -> (Ask, Option<Ask>) {
    let file = |name: &str, text: &str| {
        let path = lab.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let ask = |place: &str, table: Value| Ask {
        target: format!("{}:{place}", kind.words[0]),
        beside: json!({}),
        table,
    };
    let url = format!("http://{at}/");
    match kind.name {
        "ct" => {
            let leaf = rcgen::generate_simple_self_signed(vec!["www.ours.test".to_owned()]).unwrap();
            let list = json!([{"id": "1", "cert_der": STANDARD.encode(leaf.cert.der())}]).to_string();
            let list = file("logged.json", &list);
            (
                ask(&format!("ours.test@{url}"), json!({"domains": ["ours.test"], "logs": [url]})),
                Some(ask(&format!("ours.test@{list}"), json!({"domains": ["ours.test"], "files": [list]}))),
            )
        }
        "domain" => {
            let registry = web(r#"{"objectClassName":"domain","ldhName":"ours.test","status":["active"],
                   "events":[{"eventAction":"expiration","eventDate":"2031-05-01T00:00:00Z"}]}"#);
            let of = |url: &str| Ask {
                target: "domain:ours.test".to_owned(),
                beside: json!({"rdap": url}),
                table: json!({"domains": ["ours.test"], "rdap": url}),
            };
            (of(&url), Some(of(&format!("http://{registry}/"))))
        }
        "saml" => {
            let leaf = rcgen::generate_simple_self_signed(vec!["idp.test".to_owned()]).unwrap();
            let text = format!(
                "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"https://idp.test\">\
                 <IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
                 <KeyDescriptor use=\"signing\"><KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><X509Data>\
                 <X509Certificate>{}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>\
                 </IDPSSODescriptor></EntityDescriptor>",
                STANDARD.encode(leaf.cert.der())
            );
            let path = file("idp.xml", &text);
            (ask(&url, json!({"metadata": [url]})), Some(ask(&path, json!({"metadata": [path]}))))
        }
        "oidc" => (ask(&url, json!({"issuers": [url]})), None),
        "dnssec" => {
            let place = format!("ours.test@{at}");
            (ask(&place, json!({"domains": [place]})), None)
        }
        "zone" => {
            let text =
                "@ 3600 SOA ns1 admin 1 3600 600 86400 60\n@ NS ns1.other.test.\n@ CAA 0 issue \"ca.test\"\n";
            let path = file("ours.test.zone", text);
            let (bad, good) = (format!("ours.test@{at}"), format!("ours.test@{path}"));
            (ask(&bad, json!({"zones": [bad]})), Some(ask(&good, json!({"zones": [good]}))))
        }
        "targets" => (ask(&url, json!({"url": url})), None),
        other => panic!("the source `{other}` has no line here"),
    }
}

/// What came of one run: the observations, how it ended, and how long it took.
fn run(
    kind: &SourceKind,
    targets: &[String],
    settings: &Value,
) -> (Vec<Observation>, Result<Scan, Fault>, Duration) {
    let given = given();
    let source = (kind.build)(Order { targets, settings, given: &given })
        .unwrap_or_else(|no| panic!("{}: {} ({})", kind.name, no.message, no.hint));
    let begun = Instant::now();
    let cx = Cx::new(Arc::new(Real(begun)), "test".into());
    let put = Arc::new(Put::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sink = Arc::clone(&put) as Arc<dyn Sink>;
    let ended = runtime.block_on(async { tokio::time::timeout(BOUND, source.discover(&cx, sink)).await });
    let ended = ended.unwrap_or_else(|_| panic!("{} {targets:?} {settings} has no end", kind.name));
    let seen = std::mem::take(&mut *put.0.lock().unwrap());
    (seen, ended, begun.elapsed())
}

/// What was seen, in words that are the same from run to run; each once.
fn told(kind: &SourceKind, seen: &[Observation]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in seen {
        let what = match &one.seen {
            Seen::Failed { reason, .. } => format!("{} failed {}", one.location, reason.as_str()),
            Seen::Dated { der, .. } => format!("{} dated {}", one.location, digest(der)),
            Seen::Chain { chain, .. } => {
                let all: Vec<String> = chain.iter().map(|der| digest(der)).collect();
                format!("{} chain {}", one.location, all.join(" "))
            }
            _ => continue,
        };
        *counts.entry(what).or_default() += 1;
    }
    for (what, count) in &counts {
        assert_eq!(*count, 1, "{} says it {count} times: {what}", kind.name);
    }
    counts.into_keys().collect()
}

fn digest(bytes: &[u8]) -> String {
    notafter_pki::fingerprint::hex(&notafter_pki::fingerprint::sha256(bytes)[..8])
}

/// By target and by table: the same.
fn both(kind: &SourceKind, ask: &Ask) -> Vec<String> {
    let one = |targets: &[String], settings: &Value| {
        let (seen, ended, took) = run(kind, targets, settings);
        println!("{} {targets:?} {settings}: {} seen in {took:?}", kind.name, seen.len());
        assert!(ended.is_ok(), "{}: {ended:?}", kind.name);
        told(kind, &seen)
    };
    let target = [ask.target.clone()];
    let (by_target, by_table) = std::thread::scope(|scope| {
        let other = scope.spawn(|| one(&target, &ask.beside));
        (one(&[], &ask.table), other.join().unwrap())
    });
    assert_eq!(by_target, by_table, "{}", kind.name);
    by_table
}

/// Answers every request with one document.
fn web(body: &'static str) -> SocketAddr {
    serve(move |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    })
}

fn serve(answer: impl Fn(&mut std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer(&mut stream));
        }
    });
    address
}

/// Takes everything and says nothing, on UDP as well.
fn silent() -> SocketAddr {
    let address = serve(|_| std::thread::sleep(Duration::from_secs(3600)));
    let socket = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || while socket.recv(&mut [0; 4096]).is_ok() {});
    address
}

/// Octets without end and without sense, behind an honest head or not.
fn noise(head: &'static str) -> SocketAddr {
    let address = serve(move |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(head.as_bytes());
        let noise: Vec<u8> = (0..65_536_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        while stream.write_all(&noise).is_ok() {}
    });
    let socket = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            // Its own number, so that it counts as the answer.
            let mut answer = vec![0xff; 600];
            answer[..2.min(length)].copy_from_slice(&question[..2.min(length)]);
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

/// Every kind, each in a thread of its own.
fn each(check: impl Fn(&'static SourceKind) + Sync) {
    std::thread::scope(|scope| {
        let all: Vec<_> = SOURCES.iter().map(|kind| (kind, scope.spawn(|| check(kind)))).collect();
        let failed: Vec<&str> =
            all.into_iter().filter_map(|(kind, one)| one.join().is_err().then_some(kind.name)).collect();
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn what_is_well_is_the_same_by_target_and_by_table() {
    each(|kind| {
        let lab = Lab::new(&format!("conform-{}", kind.name));
        let (_, Some(good)) = fixture(kind, ([127, 0, 0, 1], 9).into(), &lab) else {
            // These need real servers, and have them elsewhere: tests/zones.rs, tests/parity.rs, tests/findings.rs.
            assert!(["oidc", "dnssec", "targets"].contains(&kind.name), "{}", kind.name);
            return;
        };
        let said = both(kind, &good);
        assert!(!said.is_empty() && said.iter().all(|one| !one.contains(" failed ")), "{said:?}");
    });
}

#[test]
fn what_is_wrong_outside_is_a_blind_spot() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let html = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[[[[";
    let places = [
        ("nobody", closed),
        ("silence", silent()),
        ("noise", noise("")),
        ("a document without end", noise(html)),
    ];
    each(|kind| {
        for (what, at) in places {
            let lab = Lab::new(&format!("conform-bad-{}", kind.name));
            let said = both(kind, &fixture(kind, at, &lab).0);
            let blind = said.iter().all(|one| one.contains(" failed "));
            assert!(blind && !said.is_empty(), "{} at {what}: {said:?}", kind.name);
        }
    });
}

#[test]
fn whoever_drops_it_has_ended_it() {
    let at = silent();
    for kind in SOURCES {
        let lab = Lab::new(&format!("conform-drop-{}", kind.name));
        let (ask, _) = fixture(kind, at, &lab);
        let given = given();
        let order = Order { targets: &[], settings: &ask.table, given: &given };
        let source = (kind.build)(order).unwrap_or_else(|no| panic!("{}", no.message));
        let cx = Cx::new(Arc::new(Real(Instant::now())), "test".into());
        let put = Arc::new(Put::default());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let looked = source.discover(&cx, Arc::clone(&put) as Arc<dyn Sink>);
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(300), looked).await });
        let begun = Instant::now();
        runtime.shutdown_timeout(Duration::from_secs(10));
        // What it holds of us, it lets go: nothing is put any more.
        while Arc::strong_count(&put) > 1 && begun.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(Arc::strong_count(&put), 1, "{} goes on", kind.name);
        assert!(begun.elapsed() < Duration::from_secs(12), "{}: {:?}", kind.name, begun.elapsed());
    }
}

#[test]
fn a_table_that_is_wrong_is_refused_with_a_hint() {
    for kind in SOURCES {
        let lab = Lab::new(&format!("conform-table-{}", kind.name));
        let (ask, _) = fixture(kind, ([127, 0, 0, 1], 9).into(), &lab);
        let given = given();
        let build = |settings: &Value| (kind.build)(Order { targets: &[], settings, given: &given }).err();
        let nothing = build(&json!({})).unwrap_or_else(|| panic!("{} needs nothing", kind.name));
        assert!(!nothing.message.is_empty() && !nothing.hint.is_empty(), "{}: {nothing:?}", kind.name);
        for key in kind.keys {
            for wrong in [json!({"no": "such"}), json!(true), json!([[1]])] {
                let mut table = ask.table.clone();
                table[*key] = wrong.clone();
                let no = build(&table).unwrap_or_else(|| panic!("{}: {key} = {wrong} is taken", kind.name));
                assert!(!no.message.is_empty() && !no.hint.is_empty(), "{}: {no:?}", kind.name);
            }
        }
    }
}
