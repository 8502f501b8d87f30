//! Mail against aiosmtpd: TLS, sign-in, threads, and what a relay may answer.

use std::time::{Duration, Instant};

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::notice::{Event, Notice};
use notafter_lab::hostile::{Act, Peer};
use notafter_lab::sinks::smtp::{self, Mode, PASSWORD, USER};
use notafter_lab::{Authority, Lab, Leaf, Request, Server, need};
use serde_json::{Value, json};

use crate::{notice, send};

/// A lab with a mail server, and the table that suits it.
fn relay(mode: Mode) -> Option<(Lab, Leaf, Server, Value)> {
    let lab = Lab::new("mail");
    let leaf = Authority::new(&lab).issue(&Request::server().days(9));
    let server = need(smtp::start(&lab, &leaf, mode))?;
    let password = lab.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let mut table = json!({
        "server": format!("localhost:{}", server.address().port()),
        "from": "Notafter <notafter@example.com>",
        "to": ["web@example.com"],
        "user": USER,
        "password": { "file": password },
        "ca_file": leaf.root_pem,
        "tls": match mode { Mode::Starttls => "starttls", Mode::Smtps => "tls", Mode::Plain => "none" },
    });
    if mode == Mode::Plain {
        let table = table.as_object_mut().unwrap();
        table.retain(|key, _| !matches!(key.as_str(), "user" | "password" | "ca_file"));
    }
    Some((lab, leaf, server, table))
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    let start = format!("{name}: ");
    mail.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().trim()
}

async fn refused(table: &Value, to: Option<&str>) -> Fault {
    send("email", table.clone(), to, &notice(Event::Alert)).await.unwrap_err()
}

#[tokio::test]
async fn it_arrives_over_each_kind_of_tls_in_one_thread() {
    for mode in [Mode::Starttls, Mode::Smtps, Mode::Plain] {
        let Some((_lab, _leaf, server, table)) = relay(mode) else { return };
        let second = Notice { id: "n-43".into(), ..notice(Event::Reminder) };
        for notice in [&notice(Event::Alert), &second] {
            send("email", table.clone(), None, notice).await.unwrap_or_else(|f| panic!("{mode:?}: {f:?}"));
        }
        let mails = smtp::mails(&server);
        assert_eq!(mails.len(), 2, "{}", server.log());
        assert_eq!(
            (mails[0].from.as_str(), &mails[0].to[..]),
            ("notafter@example.com", &["web@example.com".to_owned()][..])
        );
        let (first, second) = (&mails[0].text, &mails[1].text);
        assert_eq!(header(first, "Message-ID"), "<n-42@example.com>");
        assert_eq!(header(second, "Message-ID"), "<n-43@example.com>");
        for mail in [first, second] {
            assert_eq!(header(mail, "References"), "<alert-a17-5f3a9c02d1e4@example.com>");
            assert_eq!(header(mail, "In-Reply-To"), "<alert-a17-5f3a9c02d1e4@example.com>");
            assert_eq!(header(mail, "Auto-Submitted"), "auto-generated");
            assert_eq!(header(mail, "Date"), "Sat, 21 Nov 2026 12:00:00 +0000");
        }
        assert_eq!(header(first, "Subject"), "Critical: 2 certificates of web stop working (3.2 days left)");
        assert!(header(second, "Subject").starts_with("Critical, reminder: "), "{second}");
    }
}

#[tokio::test]
async fn recipients_are_judged_one_by_one() {
    let Some((_lab, _leaf, server, table)) = relay(Mode::Starttls) else { return };
    let unknown = refused(&table, Some("unknown@example.com")).await;
    assert_eq!((unknown.kind, unknown.retry), (FaultKind::Refused, Retry::Never), "{unknown:?}");
    assert!(
        unknown.context.contains("550") && unknown.context.contains("unknown@example.com"),
        "{unknown:?}"
    );
    let grey = refused(&table, Some("greylisted@example.com")).await;
    assert_eq!((grey.kind, grey.retry), (FaultKind::Unreachable, Retry::Backoff), "{grey:?}");
    assert_eq!(smtp::mails(&server).len(), 0);

    let some = refused(&table, Some("a@example.com, unknown@example.com,Bee <b@example.com>")).await;
    assert!(some.context.starts_with("1 of 3 recipients"), "{some:?}");
    assert_eq!(some.retry, Retry::Never);
    let both = refused(&table, Some("unknown@example.com,greylisted@example.com")).await;
    assert_eq!(both.retry, Retry::Backoff, "{both:?}");
    let mails = smtp::mails(&server);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, ["a@example.com", "b@example.com"]);
}

#[tokio::test]
async fn who_took_it_is_not_sent_it_again() {
    let Some((_lab, _leaf, server, table)) = relay(Mode::Starttls) else { return };
    let notifier = (crate::kind("email").build)(table, crate::build_cx()).unwrap_or_else(|e| panic!("{e}"));
    for _ in 0..3 {
        let to = Some("a@example.com,greylisted@example.com");
        let fault = notifier.notify(&crate::cx(), to, &notice(Event::Alert)).await.unwrap_err();
        assert_eq!(fault.retry, Retry::Backoff, "{fault:?}");
    }
    let mails = smtp::mails(&server);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].to, ["a@example.com"]);
}

#[tokio::test]
async fn what_can_be_wrong_with_a_relay() {
    let Some((lab, _leaf, server, table)) = relay(Mode::Starttls) else { return };
    let with = |key: &str, value: Value| {
        let mut table = table.clone();
        table[key] = value;
        table
    };
    let password = lab.path().join("wrong");
    std::fs::write(&password, "wr0ng-password").unwrap();
    let wrong = refused(&with("password", json!({ "file": password })), None).await;
    assert_eq!((wrong.kind, wrong.retry), (FaultKind::Refused, Retry::Never), "{wrong:?}");
    assert!(wrong.hint.is_some() && !format!("{wrong:?}").contains("wr0ng"), "{wrong:?}");

    let stranger = refused(&with("ca_file", Value::Null), None).await;
    assert_eq!(stranger.kind, FaultKind::Unreachable);
    assert!(stranger.hint.as_deref().unwrap_or_default().contains("ca_file"), "{stranger:?}");

    // The name in the certificate must be the one that was asked for.
    let other = format!("127.0.0.2:{}", server.address().port());
    assert_eq!(refused(&with("server", json!(other)), None).await.kind, FaultKind::Unreachable);

    for (address, sign) in [
        ("nobody", "is no mail address"),
        ("a@example.com\r\nRCPT TO:<b@example.com>", "is no mail address"),
        ("", "nobody to write to"),
    ] {
        let fault = refused(&table, Some(address)).await;
        assert_eq!((fault.kind, fault.retry), (FaultKind::Invalid, Retry::Never), "{fault:?}");
        assert!(fault.context.contains(sign), "{fault:?}");
    }

    let Some((_plain_lab, _plain_leaf, plain, _)) = relay(Mode::Plain) else { return };
    let no_tls = with("server", json!(format!("localhost:{}", plain.address().port())));
    let fault = refused(&no_tls, None).await;
    assert!(fault.context.contains("offers no STARTTLS"), "{fault:?}");
    assert_eq!(smtp::mails(&plain).len(), 0, "nothing goes out in the clear");
}

#[tokio::test]
async fn a_server_that_never_answers_ends_in_time() {
    for act in [Act::Silent, Act::EndlessLine, Act::EndlessLines] {
        let peer = Peer::start(act);
        let table = json!({
            "server": peer.address().to_string(), "tls": "none", "from": "n@example.com",
            "to": ["web@example.com"], "timeout": "1s"
        });
        #[allow(clippy::disallowed_methods, reason = "a test of real time")]
        let began = Instant::now();
        let fault = refused(&table, None).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?} {fault:?}", began.elapsed());
        assert_eq!((fault.kind, fault.retry), (FaultKind::Unreachable, Retry::Backoff), "{fault:?}");
        assert!(fault.context.contains("at the greeting"), "{fault:?}");
    }
}

/// A server that says each text after the line before it, and gives what it was told.
fn scripted(texts: &'static [&'static str]) -> (std::net::SocketAddr, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        use std::io::{BufRead, Write};
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut lines = std::io::BufReader::new(stream.try_clone().unwrap());
        let mut heard = Vec::new();
        for text in texts {
            let _ = stream.write_all(text.as_bytes());
            let _ = lines.read_until(b'\n', &mut heard);
        }
        String::from_utf8_lossy(&heard).into_owned()
    });
    (address, thread)
}

/// A man in the middle, who passes everything on and adds the replies to a whole conversation behind the one
/// to STARTTLS.
fn slips_in(server: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = std::net::TcpStream::connect(server).unwrap();
        let (mut client_in, mut server_in) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let asked = std::sync::Arc::new(AtomicBool::new(false));
        let asks = std::sync::Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = client_in.read(&mut buffer) {
                asks.fetch_or(&buffer[..read] == b"STARTTLS\r\n", Ordering::SeqCst);
                let _ = server.write_all(&buffer[..read]);
            }
        });
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = server_in.read(&mut buffer) {
            let mut said = buffer[..read].to_vec();
            if asked.swap(false, Ordering::SeqCst) {
                said.extend_from_slice(b"250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n");
            }
            let _ = client.write_all(&said);
        }
    });
    address
}

#[tokio::test]
async fn what_was_slipped_in_before_tls_is_not_taken_for_an_answer() {
    let Some((_lab, leaf, server, _)) = relay(Mode::Starttls) else { return };
    let middle = slips_in(server.address());
    let table = json!({
        "server": format!("localhost:{}", middle.port()), "from": "n@example.com", "to": ["web@example.com"],
        "ca_file": leaf.root_pem, "timeout": "3s"
    });
    let fault = refused(&table, None).await;
    assert!(fault.context.contains("at STARTTLS"), "{fault:?}");
    assert_eq!(smtp::mails(&server).len(), 0);
}

#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_get_it_into_the_fault() {
    let lab = Lab::new("echo");
    let password = lab.path().join("password");
    std::fs::write(&password, "c4nary-t0ken").unwrap();
    let (address, _) = scripted(&[
        "220 mx ESMTP\r\n",
        "250-mx\r\n250 AUTH PLAIN\r\n",
        // base64 of NUL u NUL c4nary-t0ken
        "535 no AHUAYzRuYXJ5LXQwa2Vu c4nary-t0ken\r\n",
    ]);
    let table = json!({
        "server": address.to_string(), "tls": "none", "from": "n@example.com", "to": ["web@example.com"],
        "user": "u", "password": { "file": password }
    });
    let fault = refused(&table, None).await;
    assert_eq!((fault.kind, fault.retry), (FaultKind::Refused, Retry::Never), "{fault:?}");
    let said = format!("{fault:?}");
    assert!(said.contains("***") && !said.contains("c4nary") && !said.contains("AHUAYzR"), "{said}");
}
