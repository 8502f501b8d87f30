//! The guarded client against real sockets: canaries that must not be connected to, a name server that changes its
//! mind, servers that redirect, drip and lie.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::network::Settings;
use crate::testing::Still;

/// A server on an address of this host, which counts its visitors. What is written for a path is sent as it is; after
/// a `~` it goes on with an octet every 50 ms for ever.
struct Canary {
    address: SocketAddr,
    visits: Arc<AtomicUsize>,
}

impl Canary {
    fn new(ip: &str, answers: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap_or_else(|e| panic!("{ip}: {e}"));
        let address = listener.local_addr().unwrap();
        let visits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&visits);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counter.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    let n = stream.read(&mut request).unwrap_or(0);
                    let line = String::from_utf8_lossy(&request[..n]).into_owned();
                    let path = line.split(' ').nth(1).unwrap_or("").to_owned();
                    let Some((_, answer)) = answers.iter().find(|(known, _)| *known == path) else { return };
                    let (text, drips) = answer.strip_suffix('~').map_or((*answer, false), |t| (t, true));
                    let _ = stream.write_all(text.as_bytes());
                    while drips && stream.write_all(b"x").is_ok() {
                        std::thread::park_timeout(Duration::from_millis(50));
                    }
                });
            }
        });
        Self { address, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A name server that answers every question for an IPv4 address with the next of these, the last for ever, and
/// has no other records.
fn name_server(answers: &'static [[u8; 4]]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut asked = 0;
        let mut packet = [0; 1500];
        while let Ok((n, from)) = socket.recv_from(&mut packet) {
            let end = 12 + packet[12..n].iter().position(|b| *b == 0).unwrap() + 5;
            let for_four = packet[end - 4..end - 2] == [0, 1];
            let mut reply = packet[..end].to_vec();
            reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(for_four), 0, 0, 0, 0]);
            if for_four {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                reply.extend(answers[asked.min(answers.len() - 1)]);
                asked += 1;
            }
            let _ = socket.send_to(&reply, from);
        }
    });
    address
}

fn given(resolver: Option<SocketAddr>) -> Given {
    let network = Settings { resolver, timeout: Duration::from_secs(3), ..Settings::default() };
    Given {
        network,
        passwords: Arc::default(),
        roots: Arc::default(),
        beside: Arc::default(),
        registries: Arc::default(),
        secret: crate::sources::no_secrets,
        tsig: None,
    }
}

fn client(allowed: &[&str], resolver: Option<SocketAddr>) -> Client {
    let mut allow = Allow::default();
    allowed.iter().for_each(|text| allow.add(text).unwrap_or_else(|e| panic!("{text}: {e}")));
    Client::new(&given(resolver), allow, Arc::new(Still)).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn get(client: &Client, url: &str) -> Result<Answer, Failure> {
    wait(client.get(url, &Ask { time_max: Duration::from_secs(5), size_max: 1000, ..Ask::default() }))
}

fn reason(result: Result<Answer, Failure>) -> Reason {
    result.expect_err("no answer is expected").reason
}

const HELLO: &[(&str, &str)] = &[
    (
        "/",
        "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; x=y\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    ),
    (
        "/away",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "/file",
        "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    ("/loop", "HTTP/1.1 301 Moved\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    ("/home", "HTTP/1.1 308 Moved\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    ("/gone", "HTTP/1.1 404 No\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret"),
    ("/slow", "HTTP/1.1 429 No\r\nRetry-After: 120\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    (
        "/date",
        "HTTP/1.1 503 No\r\nRetry-After: Fri, 15 Jan 2027 08:10:00 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    ("/large", "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n~"),
    ("/drip", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n~"),
    ("/short", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"),
    ("/noise", "220 mail.example.com ESMTP secret\r\n"),
];

/// F31, F32: nothing inside is connected to unless it was named, however it is spelt.
#[test]
fn what_is_inside_is_not_connected_to() {
    let four = Canary::new("127.0.0.1", HELLO);
    let six = Canary::new("::1", HELLO);
    let (v4, v6) = (four.address.port(), six.address.port());
    let nobody = client(&[], None);
    for url in [
        format!("http://127.0.0.1:{v4}/"),
        format!("https://127.0.0.1:{v4}/"),
        format!("http://2130706433:{v4}/"),
        format!("http://0x7f.1:{v4}/"),
        format!("http://0177.0.0.1:{v4}/"),
        format!("http://127.1:{v4}/"),
        format!("http://%31%32%37.0.0.1:{v4}/"),
        format!("http://１２７.0.0.1:{v4}/"),
        format!("http://0:{v4}/"),
        format!("http://localhost:{v4}/"),
        format!("http://[::1]:{v6}/"),
        format!("http://[::ffff:127.0.0.1]:{v4}/"),
        format!("http://[::ffff:7f00:1]:{v4}/"),
        format!("http://[::127.0.0.1]:{v4}/"),
        format!("http://[64:ff9b::127.0.0.1]:{v4}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "ftp://1.1.1.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ldap://1.1.1.1/".to_owned(),
        "http://1.1.1.1:25/".to_owned(),
        "http://user:password@1.1.1.1/".to_owned(),
    ] {
        assert_eq!(reason(get(&nobody, &url)), Reason::Excluded, "{url}");
    }
    for text in ["", "/etc/passwd", "http://", "http://[::1", "http://a b/"] {
        assert_eq!(reason(get(&nobody, text)), Reason::UnsupportedFormat, "{text:?}");
    }
    assert_eq!((four.visits(), six.visits()), (0, 0));

    // Named by the operator, the same are reached; metadata is not.
    let port = format!("127.0.0.1:{v4}");
    let somebody = client(&[&port, &six.url("/"), "169.254.0.0/16", "fd00::/8"], None);
    for url in [four.url("/"), six.url("/"), format!("http://[::ffff:127.0.0.1]:{v4}/")] {
        let answer = get(&somebody, &url).unwrap_or_else(|e| panic!("{url}: {e}"));
        assert_eq!(
            (answer.status, answer.body.as_slice(), &*answer.content_type),
            (200, &b"hello"[..], "text/plain")
        );
    }
    for url in ["http://169.254.169.254/", "http://[fd00:ec2::254]/"] {
        assert_eq!(reason(get(&somebody, url)), Reason::Excluded, "{url}");
    }
    assert_eq!((four.visits(), six.visits()), (2, 1));
}

/// What is excluded is excluded, even where it is allowed.
#[test]
fn an_exclusion_is_absolute() {
    let canary = Canary::new("127.0.0.1", HELLO);
    let mut allow = Allow::default();
    allow.add(&canary.url("/")).unwrap();
    let mut given = given(None);
    given.network.exclude.add("127.0.0.1").unwrap();
    let client = Client::new(&given, allow, Arc::new(Still)).unwrap();
    assert_eq!((reason(get(&client, &canary.url("/"))), canary.visits()), (Reason::Excluded, 0));
}

/// F33: a name is asked for once, and what it says later changes nothing.
#[test]
fn a_name_that_changes_its_mind_leads_nowhere() {
    // 127.0.0.2 plays what is reachable, 127.0.0.1 what must not be.
    let open = Canary::new("127.0.0.2", HELLO);
    let port = open.address.port();
    let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) else {
        panic!("port {port} of 127.0.0.1 is taken");
    };
    listener.set_nonblocking(true).unwrap();
    let dns = name_server(&[[127, 0, 0, 2], [127, 0, 0, 1]]);
    let url = format!("http://rebind.test:{port}/");
    let first = client(&["127.0.0.2"], Some(dns));
    for _ in 0..3 {
        assert_eq!(get(&first, &url).map(|a| a.status), Ok(200));
    }
    let second = client(&["127.0.0.2"], Some(dns));
    assert_eq!(reason(get(&second, &url)), Reason::Excluded);
    assert_eq!(open.visits(), 3);
    assert_eq!(listener.accept().map(|_| ()).map_err(|e| e.kind()), Err(std::io::ErrorKind::WouldBlock));
}

/// Every redirect is judged as if it had been asked for.
#[test]
fn redirects_are_judged_anew() {
    let canary = Canary::new("127.0.0.2", HELLO);
    let client = client(&["127.0.0.2"], None);
    for (path, expected) in
        [("/away", Reason::Excluded), ("/file", Reason::Excluded), ("/loop", Reason::Budget)]
    {
        assert_eq!(reason(get(&client, &canary.url(path))), expected, "{path}");
    }
    assert_eq!(canary.visits(), 1 + 1 + 5);
    let home = get(&client, &canary.url("/home")).unwrap();
    assert_eq!((home.url.path(), home.body.as_slice()), ("/", &b"hello"[..]));
}

/// Size, time, lies; and nothing that was received is repeated.
#[test]
fn answers_have_an_end() {
    let canary = Canary::new("127.0.0.2", HELLO);
    let client = client(&["127.0.0.2", "http://127.0.0.3:1/"], None);
    let closed = "http://127.0.0.3:1/".to_owned();
    for (url, expected) in [
        (canary.url("/large"), Reason::TooLarge),
        (canary.url("/short"), Reason::Malformed),
        (canary.url("/noise"), Reason::Malformed),
        (canary.url("/nothing"), Reason::Malformed),
        (canary.url("/drip"), Reason::Timeout),
        (canary.url("/").replace("http:", "https:"), Reason::Handshake),
        (closed, Reason::Refused),
    ] {
        let ask = Ask { time_max: Duration::from_secs(2), size_max: 1000, ..Ask::default() };
        let failure = wait(client.get(&url, &ask)).expect_err(&url);
        assert_eq!(failure.reason, expected, "{url}: {failure}");
        assert!(!failure.detail.contains("secret") && !failure.detail.contains("passwd"), "{failure}");
    }
    let ask = Ask { size_max: 4, ..Ask::default() };
    assert_eq!(reason(wait(client.get(&canary.url("/"), &ask))), Reason::TooLarge);

    let gone = get(&client, &canary.url("/gone")).unwrap();
    assert!(gone.body.is_empty());
    assert_eq!(reason(gone.success()), Reason::NotFound);
    for (path, after) in [("/slow", 120), ("/date", 600)] {
        let failure = get(&client, &canary.url(path)).unwrap().success().unwrap_err();
        assert_eq!(
            (failure.reason, failure.again),
            (Reason::Budget, Some(Still.now().plus(after))),
            "{path}"
        );
    }
}
