//! The life of an alert, end to end: a real server lapses, a real mailbox hears of it, a person answers, the
//! certificate is renewed, and only then it is over.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use notafter_lab::servers::nginx;
use notafter_lab::sinks::http::{Answer, Receiver};
use notafter_lab::sinks::smtp::{self, Mode};
use notafter_lab::{Authority, Lab, Request, Server, need};
use serving::Serving;

const DAY: i64 = 86_400;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// A certificate of ninety days with so many of them left.
fn left(days: i64) -> Request {
    Request::server().between(now() + (days - 90) * DAY, now() + days * DAY + 3600)
}

fn mail_table(server: &Server) -> String {
    let port = server.address().port();
    format!(
        "[[notifier]]\nname = \"mail\"\nkind = \"email\"\nserver = \"127.0.0.1:{port}\"\ntls = \"none\"\n\
         from = \"notafter@example.test\"\n"
    )
}

fn source(server: &Server) -> String {
    let address = server.address();
    format!("[[source]]\nkind = \"network\"\ntargets = [\"tls://{address}?sni=srv.test\"]\nevery = \"3s\"\n")
}

#[test]
fn mail_at_the_warning_an_answer_and_the_end() {
    let lab = Lab::new("telling");
    let authority = Authority::new(&lab);
    let Some(mut web) = need(nginx::start(&lab, &authority.issue(&left(8)))) else { return };
    let Some(post) = need(smtp::start(&lab, &authority.issue(&Request::server()), Mode::Plain)) else {
        return;
    };
    let owner = "[[owner]]\nname = \"web\"\nmatch = [\"name:srv.test\"]\nnotify = [\"mail:web@example.test\"]\n\
                 [[owner]]\nname = \"house\"\nnotify = [\"mail:house@example.test\"]\ndefault = true\n";
    let serving = Serving::start(&lab, &format!("{}{}{owner}", mail_table(&post), source(&web)));

    let find = |what: &str| {
        let mails = smtp::mails(&post);
        mails.into_iter().find(|m| m.text.contains(what) && m.to == ["web@example.test"])
    };
    let first = serving.until("the first mail", || find("expires"));
    assert!(first.text.contains("srv.test expires in 8 days"), "{}", first.text);
    assert!(first.text.contains("notafter ack a"), "no way to answer: {}", first.text);
    assert!(first.text.contains(&format!("tls://{}", web.address())), "no place: {}", first.text);

    // The command that the mail names.
    let listed = serving.ask(&["ls", "--alerts"]);
    let line =
        listed.out.lines().find(|l| l.contains("srv.test")).unwrap_or_else(|| panic!("{}", listed.out));
    let id = line.split_whitespace().next().unwrap_or_default().to_owned();
    let acked = serving.ask(&["ack", &id, "--note", "on it", "--until", "400d"]);
    assert!(acked.out.contains("not longer: the deadline comes first"), "{}{}", acked.out, acked.err);
    let listed = serving.ask(&["ls", "--alerts"]).out;
    assert!(listed.contains("acknowledged by"), "{listed}");

    // Renewed in the file alone, it is not over: only what is served counts.
    web.replace(&authority.issue(&left(89))).expect("the new one is written");
    std::thread::sleep(Duration::from_secs(5));
    assert!(find("over: ").is_none());
    web.reload().expect("nginx reloads");
    let last = serving.until("the end", || find("over: "));
    assert!(last.text.contains("srv.test"), "{}", last.text);
    let mails = smtp::mails(&post).len();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(smtp::mails(&post).len(), mails, "the end is told once");
    assert_eq!(mails, 2, "one at the beginning, one at the end");
    assert!(serving.ask(&["ls", "--alerts"]).out.contains("no alert is open"));
}

#[test]
fn watched_in_one_command() {
    let lab = Lab::new("watched");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&left(5)))) else { return };
    let Some(post) = need(smtp::start(&lab, &authority.issue(&Request::server()), Mode::Plain)) else {
        return;
    };
    let nothing = "[[source]]\nkind = \"files\"\npaths = [\"/nonexistent-notafter\"]\n";
    let serving = Serving::start(&lab, &format!("{}{nothing}", mail_table(&post)));
    let target = format!("tls://{}?sni=srv.test", web.address());
    let wrong = serving.ask(&["watch", &target, "--notify", "mial:me@example.test"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean `mail`?"), "{}", wrong.err);
    for address in ["mail:notanaddress", "mail:x@y.z, ", "mail:evil@x\nBcc: a@b"] {
        let wrong = serving.ask(&["watch", &target, "--notify", address]);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""), "{address}: {}", wrong.err);
        assert!(wrong.err.contains("is no mail address") && wrong.err.lines().count() <= 3, "{}", wrong.err);
    }
    assert!(serving.ask(&["watch", "--list"]).out.contains("nothing is watched"));
    let watched = serving.ask(&["watch", &target, "--every", "10s", "--notify", "mail:me@example.test"]);
    assert_eq!(watched.code, 0, "{}{}", watched.out, watched.err);
    assert!(watched.out.contains("srv.test"), "what is there is shown at once: {}", watched.out);
    let mail =
        serving.until("a mail", || smtp::mails(&post).into_iter().find(|m| m.to == ["me@example.test"]));
    assert!(mail.text.contains("srv.test expires in 5 days"), "{}", mail.text);
    assert!(serving.ask(&["watch", "--list"]).out.contains("mail:me@example.test"));
    assert_eq!(serving.ask(&["watch", &target, "--stop"]).code, 0);
    assert!(serving.ask(&["watch", "--list"]).out.contains("nothing is watched"));
}

#[test]
fn a_dead_channel_is_said_and_gone_round() {
    let lab = Lab::new("dead-channel");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&left(8)))) else { return };
    let Some(post) = need(smtp::start(&lab, &authority.issue(&Request::server()), Mode::Plain)) else {
        return;
    };
    let hook = Receiver::start(Answer::status(200, "", "ok"));
    let config = format!(
        "{}[[notifier]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\n{}\
         [[owner]]\nname = \"web\"\nmatch = [\"name:srv.test\"]\nnotify = [\"mail:unknown@example.test\"]\n\
         [[owner]]\nname = \"house\"\nnotify = [\"hook\"]\ndefault = true\n",
        mail_table(&post),
        hook.url("/n"),
        source(&web)
    );
    let serving = Serving::start(&lab, &config);
    let got = |what: &str| hook.received().into_iter().find(|r| r.text().contains(what));
    // The mailbox does not exist: the one of last resort gets the message instead, and hears why.
    serving.until("the message gone round", || got("could not be delivered to web"));
    serving.until("the finding about it", || got("alert-undelivered").or_else(|| got("was not delivered")));
    let findings = serving.ask(&["ls", "--findings"]).out;
    assert!(findings.contains("alert-undelivered") && findings.contains("owner-unreachable"), "{findings}");
    let csv = serving.ask(&["ls", "--alerts", "--format", "csv"]).out;
    let json = serving.ask(&["ls", "--alerts", "--json"]).out;
    let listed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let alert = &listed["items"][0];
    let id = alert["id"].as_str().expect("an id as in messages");
    assert!(
        id.starts_with('a') && csv.contains(id) && alert["opened"].as_str().is_some_and(|t| t.ends_with('Z'))
    );
    // One id that is none, and nothing is done.
    let acked = serving.ask(&["ack", id, "a99"]);
    assert_eq!((acked.code, acked.out.as_str()), (2, ""), "{}", acked.err);
    assert!(acked.err.contains("no alert or finding is called a99"), "{}", acked.err);
    assert!(!serving.ask(&["ls", "--alerts"]).out.contains("acknowledged by"));
}

#[test]
fn a_test_by_hand_goes_the_way_of_every_message() {
    let lab = Lab::new("test-by-hand");
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    // It refuses for good until a file is there.
    let works = lab.path().join("works");
    let config = format!(
        "[[notifier]]\nname = \"flaky\"\nkind = \"exec\"\n\
         command = [\"/bin/sh\", \"-c\", \"test -e {} || exit 78\"]\n{}\
         [[owner]]\nname = \"web\"\nnotify = [\"flaky\"]\ndefault = true\n",
        works.display(),
        source(&web)
    );
    let mut serving = Serving::start(&lab, &config);
    let findings = |serving: &Serving| serving.ask(&["ls", "--findings"]).out;
    serving.until("the finding", || findings(&serving).contains("alert-undelivered").then_some(()));
    let failed = serving.ask(&["alert", "test"]);
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.err);
    assert!(failed.out.contains("flaky: not delivered"), "{}", failed.out);
    std::fs::write(&works, "").expect("written");
    let tested = serving.ask(&["alert", "test", "name:srv.test"]);
    assert_eq!(tested.code, 0, "{}{}", tested.out, tested.err);
    assert!(tested.out.contains("flaky: taken over"), "{}", tested.out);
    serving.until("its end", || (!findings(&serving).contains("alert-undelivered")).then_some(()));
    // Without a server the command sends by itself, and what came of it is kept.
    assert_eq!(serving.stop(), 0);
    std::fs::remove_file(&works).expect("removed");
    let alone = serving.ask(&["alert", "test"]);
    assert_eq!(alone.code, 1, "{}{}", alone.out, alone.err);
    serving.crash_and_restart(lab.path());
    serving.until("what the next server knows", || {
        findings(&serving).contains("alert-undelivered").then_some(())
    });
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    let lab = Lab::new("killed-telling");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&left(8)))) else { return };
    // It takes everything and answers nothing: every attempt is cut off by the crash.
    let mute = Receiver::start(Answer::Silence);
    let config = |url: &str| {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[[notifier]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{url}\"\n{}\
             [[owner]]\nname = \"web\"\nnotify = [\"hook\"]\ndefault = true\n",
            source(&web)
        )
    };
    let mut serving = Serving::start(
        &lab,
        config(&mute.url("/n")).strip_prefix("[server]\nlisten = \"127.0.0.1:0\"\n").unwrap_or_default(),
    );
    serving.until("an attempt", || (!mute.received().is_empty()).then_some(()));
    for _ in 0..3 {
        serving.crash_and_restart(lab.path());
        std::thread::sleep(Duration::from_millis(700));
    }
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    std::fs::write(lab.path().join("notafter.toml"), config(&heard.url("/n")))
        .expect("the configuration is changed");
    serving.crash_and_restart(lab.path());
    let of = |receiver: &Receiver| -> Vec<String> {
        let about = receiver.received().into_iter().filter(|r| r.text().contains("srv.test expires"));
        let id = |r: notafter_lab::sinks::http::Received| {
            let body: serde_json::Value = serde_json::from_slice(&r.body).ok()?;
            Some(body["id"].as_str()?.to_owned())
        };
        about.filter_map(id).collect()
    };
    serving.until("the message", || (!of(&heard).is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    let mut ids = of(&heard);
    ids.extend(of(&mute));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one message, however often it was tried: {ids:?}");
    assert_eq!(of(&heard).len(), 1, "taken over once");
}

/// What a plain HTTP server says.
fn read(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut answer = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect(address) {
        let _ = stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes());
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

#[test]
fn a_push_comes_through_ntfy_and_the_heart_beats() {
    let lab = Lab::new("push");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&left(8)))) else { return };
    let Some(ntfy) = need(notafter_lab::sinks::ntfy::start(&lab)) else { return };
    let heart = Receiver::start(Answer::status(200, "", "ok"));
    let password = lab.path().join("ntfy-password");
    std::fs::write(&password, "lab-secret").expect("the password is written");
    let config = format!(
        "[heartbeat]\nurl = \"{}\"\nevery = \"2s\"\n\
         [[notifier]]\nname = \"push\"\nkind = \"ntfy\"\nurl = \"http://{}\"\nuser = \"notafter\"\n\
         password = {{ file = \"{}\" }}\n\
         [[owner]]\nname = \"web\"\nnotify = [\"push:certs\"]\ndefault = true\n{}",
        heart.url("/ping/7"),
        ntfy.address(),
        password.display(),
        source(&web)
    );
    let mut serving = Serving::start(&lab, &config);
    // It counts requests by address, and ours come from the same one as the publisher's.
    let page = || {
        std::thread::sleep(Duration::from_secs(1));
        read(ntfy.address(), "/certs/json?poll=1")
    };
    let pushed =
        serving.until("a push", || Some(page()).filter(|p| p.contains("srv.test expires in 8 days")));
    assert!(pushed.contains("\"priority\":5") && pushed.contains("notafter ack a"), "{pushed}");
    let beats = || heart.received().len();
    serving.until("two beats", || (beats() >= 2).then_some(()));
    assert!(heart.received().iter().all(|r| r.path == "/ping/7" && r.text().is_empty()));
    assert_eq!(serving.stop(), 0);
    let last = beats();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(beats(), last, "the dead beat no more");
}

#[test]
fn two_servers_on_one_service_leave_each_others_incidents_alone() {
    let (one, other) = (Lab::new("instance-one"), Lab::new("instance-other"));
    let Some(web) = need(nginx::start(&one, &Authority::new(&one).issue(&left(8)))) else { return };
    let service = Receiver::start(Answer::status(202, "", "{}"));
    let key = one.path().join("key");
    std::fs::write(&key, "R0UT1NGKEY\n").expect("written");
    let config = format!(
        "[[notifier]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}\"\nrouting_key = {{ file = \"{}\" }}\n\
         [[owner]]\nname = \"web\"\nnotify = [\"pager\"]\ndefault = true\n{}",
        service.url("/v2/enqueue"),
        key.display(),
        source(&web)
    );
    let keys = |about: &str| -> Vec<String> {
        let bodies = service.received().into_iter().map(|r| r.text());
        let about = bodies.filter(|text| text.contains(about));
        let key = |text: String| {
            let body: serde_json::Value = serde_json::from_str(&text).ok()?;
            Some(body["dedup_key"].as_str()?.to_owned())
        };
        let mut keys: Vec<_> = about.filter_map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    };
    let mut first = Serving::start(&one, &config);
    let opened = first.until("the first incident", || keys("srv.test").first().cloned());
    let second = Serving::start(&other, &config);
    second.until("an incident of its own", || (keys("srv.test").len() == 2).then_some(()));
    let (number, instance) = opened.split_once('-').unwrap_or_else(|| panic!("{opened}"));
    assert!(number.starts_with('a') && instance.len() == 12, "{opened}");
    // A test goes under the same name; after a restart and from a backup it is still the same.
    let copy = one.path().join("copy.db");
    assert_eq!(first.ask(&["backup", &copy.to_string_lossy()]).code, 0);
    let shown = |serving: &Serving| serving.ask(&["alert", "test", "--preview"]).out;
    assert!(shown(&first).contains(instance), "{}", shown(&first));
    assert!(!shown(&second).contains(instance), "{}", shown(&second));
    first.crash_and_restart(one.path());
    assert!(shown(&first).contains(instance), "{}", shown(&first));
    assert_eq!(first.stop(), 0);
    std::fs::remove_dir_all(&first.folder).expect("lost");
    let restored = first.ask(&["restore", &copy.to_string_lossy()]);
    assert_eq!(restored.code, 0, "{}{}", restored.out, restored.err);
    assert!(shown(&first).contains(instance), "{}", shown(&first));
    // Nobody ended the incident of the other.
    assert!(keys("\"resolve\"").is_empty(), "{:?}", keys("\"resolve\""));
}

#[test]
fn snoozed_is_said_to_be_snoozed() {
    let lab = Lab::new("snoozed");
    let Some(web) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    let serving = Serving::start(&lab, &source(&web));
    let alerts = |serving: &Serving, more: &str| {
        let url = format!("{}/api/v1/alerts{more}", serving.url());
        let list = web::get(&url).json();
        list["items"].as_array().cloned().unwrap_or_default()
    };
    let id = serving.until("the alert", || {
        let all = alerts(&serving, "?state=open");
        let about = |a: &&serde_json::Value| a["title"].as_str().is_some_and(|t| t.contains("srv.test"));
        all.iter().find(about).and_then(|a| a["id"].as_str()).map(str::to_owned)
    });
    let snoozed = serving.ask(&["snooze", &id, "--until", "1d"]);
    assert_eq!(snoozed.code, 0, "{}{}", snoozed.out, snoozed.err);
    let listed = serving.ask(&["ls", "--alerts"]).out;
    assert!(listed.contains("snoozed by") && !listed.contains("open by"), "{listed}");
    let is =
        |list: Vec<serde_json::Value>| list.iter().any(|a| a["id"] == id.as_str() && a["state"] == "snoozed");
    assert!(is(alerts(&serving, "?state=snoozed")) && !is(alerts(&serving, "?state=open")));
    let page = web::get(&format!("{}/alerts?state=snoozed", serving.url()));
    assert!(page.status == 200 && page.body.contains(&format!("id=\"{id}\"")), "{}", page.body);
    assert!(
        !web::get(&format!("{}/alerts?state=open", serving.url())).body.contains(&format!("id=\"{id}\""))
    );
    let metrics = web::get(&format!("{}/metrics", serving.url())).body;
    assert!(metrics.contains("notafter_alerts{state=\"snoozed\"} 1"), "{metrics}");
    for wrong in ["/alerts?state=nonsense", "/findings?severity=bad", "/findings?kind=expire-soon"] {
        let answer = web::get(&format!("{}{wrong}", serving.url()));
        assert_eq!(answer.status, 400, "{wrong}");
    }
    // An alert and an owner are things to test, too.
    let tested = serving.ask(&["alert", "test", &id, "--preview"]);
    assert!(tested.err.contains("no channel") || tested.code == 0, "{}{}", tested.out, tested.err);
    assert!(!tested.err.contains("nothing in the inventory"), "{}", tested.err);
}

#[test]
fn what_failed_once_and_works_now_is_no_illness() {
    let lab = Lab::new("once-failed");
    let works = lab.path().join("works");
    let config = format!(
        "[[notifier]]\nname = \"flaky\"\nkind = \"exec\"\n\
         command = [\"/bin/sh\", \"-c\", \"test -e {} || exit 78\"]\n\
         [[owner]]\nname = \"web\"\nnotify = [\"flaky\"]\ndefault = true\n\
         [[source]]\nkind = \"files\"\npaths = [\"/etc/hostname\"]\n",
        works.display()
    );
    let serving = Serving::start(&lab, &config);
    let failed = || {
        let text = web::get(&format!("{}/metrics", serving.url())).body;
        text.lines().find_map(|l| l.strip_prefix("notafter_alert_deliveries_failed ")?.parse::<u32>().ok())
    };
    assert_eq!(serving.ask(&["alert", "test", "web"]).code, 1);
    assert!(failed() >= Some(1));
    assert!(serving.ask(&["doctor"]).out.contains("was given up"));
    std::fs::write(&works, "").expect("written");
    let tested = serving.ask(&["alert", "test", "web"]);
    assert_eq!(tested.code, 0, "{}{}", tested.out, tested.err);
    serving.until("nothing to be failed", || (failed() == Some(0)).then_some(()));
    assert!(!serving.ask(&["doctor"]).out.contains("was given up"));
}

/// Unreachable is not gone: its owner is asked, says so, and that is kept; what comes back lives again.
#[test]
fn a_place_that_stays_away_is_asked_about_and_retired_by_its_owner() {
    let lab = Lab::new("gone-after");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&left(60));
    let Some(web) = need(nginx::start(&lab, &leaf)) else { return };
    let Some(post) = need(smtp::start(&lab, &authority.issue(&Request::server()), Mode::Plain)) else {
        return;
    };
    let place = format!("tls://{}?sni=srv.test", web.address());
    let owner = "[[owner]]\nname = \"web\"\nmatch = [\"name:srv.test\"]\nnotify = [\"mail:web@example.test\"]\n\
                 [[owner]]\nname = \"house\"\nnotify = [\"mail:house@example.test\"]\ndefault = true\n";
    let config = format!("[server]\ngone_after = \"6s\"\n{}{}{owner}", mail_table(&post), source(&web));
    let serving = Serving::start(&lab, &config);
    serving.until("the first look", || {
        serving.ask(&["ls", "name:srv.test"]).out.contains("srv.test").then_some(())
    });
    drop(web);
    let find = |what: &str| smtp::mails(&post).into_iter().find(|m| m.text.contains(what));
    let asked = serving.until("the question", || find("has not answered since"));
    assert_eq!(asked.to, ["web@example.test"]);
    let text = asked.text.replace("=\r\n", "").replace("=\n", "");
    assert!(text.contains("notafter retire"), "{}", asked.text);
    let retired = serving.ask(&["retire", &place, "--reason", "moved to the other house"]);
    assert_eq!(retired.code, 0, "{}{}", retired.out, retired.err);
    serving.until("the end of the alert", || {
        serving.ask(&["ls", "--alerts"]).out.contains("no alert is open").then_some(())
    });
    let audit = web::get(&format!("{}/api/v1/audit", serving.url())).json().to_string();
    assert!(audit.contains("\"retired\"") && audit.contains("moved to the other house"), "{audit}");
    assert!(serving.ask(&["retire", "--list"]).out.contains("moved to the other house"));
    assert!(serving.ask(&["doctor"]).out.contains("audit trail"));
}
