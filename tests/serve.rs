//! The server as a person starts it: first results, restarts, mistakes, copies, and the commands beside it.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notafter_lab::servers::nginx;
use notafter_lab::sinks::smtp;
use notafter_lab::{Authority, Lab, Request, Server, need};
use run::{Run, run};
use serving::Serving;
use web::get;

const DAY: i64 = 86_400;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn left(days: i64) -> Request {
    Request::server().between(now() + (days - 90) * DAY, now() + days * DAY + 3600)
}

fn source(server: &Server) -> String {
    format!(
        "[[source]]\nname = \"office\"\nkind = \"network\"\ntargets = [\"tls://{}?sni=srv.test\"]\nevery = \"3s\"\n",
        server.address()
    )
}

#[test]
fn with_no_configuration_it_shows_this_machine_within_ten_seconds() {
    let lab = Lab::new("first-start");
    let begun = Instant::now();
    // An empty file: nothing is configured.
    let mut serving = Serving::start(&lab, "");
    let url = serving.url();
    let totals = serving.until("first results", || {
        let totals = get(&format!("{url}/api/v1/totals")).json();
        (totals["assets"].as_u64()? > 0).then_some(totals)
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: {totals}", begun.elapsed());
    assert!(get(&format!("{url}/")).body.contains("<h1"));
    // Nobody is told: that is itself a finding.
    serving.until("the finding", || {
        serving.ask(&["ls", "--findings"]).out.contains("owner-unreachable").then_some(())
    });
    // A second server on the same folder is refused, and says who has it.
    let second = serving.ask(&["serve"]);
    assert_eq!(second.code, 2);
    assert!(second.err.contains("another server works on") && second.err.contains("pid"), "{}", second.err);
    assert_eq!(serving.stop(), 0);
}

#[test]
fn commands_beside_the_server_and_copies() {
    let lab = Lab::new("beside");
    let authority = Authority::new(&lab);
    let Some(server) = need(nginx::start(&lab, &authority.issue(&left(20)))) else { return };
    let owners = "[[owner]]\nname = \"web\"\n[[owner]]\nname = \"web team\"\n";
    let mut serving = Serving::start(&lab, &format!("{}{owners}", source(&server)));
    let address = server.address().to_string();
    serving.until("the asset", || serving.ask(&["ls", "srv.test"]).out.contains("srv.test").then_some(()));
    let json = serving.ask(&["ls", "name:srv.test", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    let id = listed["items"][0]["id"].as_str().expect("an id").to_owned();
    assert!(serving.ask(&["ls", &format!("location:{}", server.address().ip())]).out.contains("srv.test"));
    assert!(serving.ask(&["ls", "name:nobody.test"]).out.is_empty());
    let shown = serving.ask(&["show", &id[..20]]);
    assert!(shown.out.contains(&address) && shown.out.contains("owner"), "{}{}", shown.out, shown.err);
    let wrong = serving.ask(&["ls", "expire<30d"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("did you mean `expires`"), "{}", wrong.err);
    let forecast = serving.ask(&["forecast", "--days", "30", "--lifetime", "47"]);
    assert!(
        forecast.out.contains("srv.test") && forecast.out.contains("lifetimes of 47 days"),
        "{}",
        forecast.out
    );
    let owned = serving.ask(&["own", "name:srv.test", "web"]);
    assert!(owned.out.contains("belong to web"), "{}{}", owned.out, owned.err);
    assert!(serving.ask(&["ls", "owner:web"]).out.contains("srv.test"));
    assert!(serving.ask(&["own", "name:srv.test", "web"]).out.contains("nothing to change"));
    // As a shell passes owner:"web team" on.
    assert_eq!(serving.ask(&["own", "name:srv.test", "web team"]).code, 0);
    assert!(serving.ask(&["ls", "owner:web team"]).out.contains("srv.test"));
    // A scan can be kept beside what the server sees.
    let folder = lab.subfolder("kept");
    fs::copy(authority.issue(&left(50).sans(&["DNS:kept.test"])).cert_pem, folder.join("a.pem"))
        .expect("copied");
    let saved = serving.ask(&["scan", &folder.to_string_lossy(), "--save"]);
    assert!(saved.err.contains("1 new assets"), "{}", saved.err);
    assert!(serving.ask(&["ls", "kept.test"]).out.contains("kept.test"));
    for (kind, begins) in [("csv", "name"), ("json", "["), ("ics", "BEGIN:VCALENDAR")] {
        let out = serving.ask(&["export", "--as", kind]);
        assert!(out.out.trim_start().starts_with(begins), "{kind}: {}{}", out.out, out.err);
        assert!(out.out.contains("srv.test"), "{kind}");
    }
    assert!(serving.ask(&["doctor"]).out.contains("works on this data folder"));
    // A copy while it runs, into a folder of its own, and everything is there.
    let copy = lab.path().join("copy.db");
    let backup = serving.ask(&["backup", &copy.to_string_lossy()]);
    assert_eq!(backup.code, 0, "{}", backup.err);
    assert_eq!(serving.ask(&["backup", &copy.to_string_lossy()]).code, 2, "never over a file that is there");
    assert_eq!(serving.ask(&["restore", &copy.to_string_lossy()]).code, 2, "never under a running server");
    assert_eq!(serving.stop(), 0);
    let before = serving.ask(&["ls", "--json"]).out;
    fs::write(serving.folder.join("notafter.db"), b"not a database any more").expect("damaged");
    let damaged = serving.ask(&["ls"]);
    assert_eq!(damaged.code, 2);
    assert!(damaged.err.contains("hint:"), "{}", damaged.err);
    let restored = serving.ask(&["restore", &copy.to_string_lossy()]);
    assert_eq!(restored.code, 0, "{}{}", restored.out, restored.err);
    let after = serving.ask(&["ls", "--json"]).out;
    assert_eq!(before.matches("\"id\"").count(), after.matches("\"id\"").count());
}

/// A folder with one certificate, kept by `scan --save`: what commands work on without a server.
fn kept(lab: &Lab, config: &str) -> impl Fn(&[&str]) -> Run + use<> {
    let authority = Authority::new(lab);
    let folder = lab.subfolder("files");
    let leaf = authority.issue(&left(20).sans(&["DNS:kept.test"]));
    fs::copy(leaf.cert_pem, folder.join("a.pem")).expect("copied");
    let file = lab.path().join("notafter.toml");
    fs::write(&file, config).expect("written");
    let (data, file) = (lab.path().join("data"), file);
    let ask = move |arguments: &[&str]| {
        let (data, file) = (data.to_string_lossy().into_owned(), file.to_string_lossy().into_owned());
        let mut all = arguments.to_vec();
        all.extend(["--data", &data, "--config", &file]);
        run(&all)
    };
    let saved = ask(&["scan", &folder.to_string_lossy(), "--save"]);
    assert_eq!(saved.code, 0, "{}", saved.err);
    ask
}

#[test]
fn deeds_that_make_no_sense_are_refused() {
    let lab = Lab::new("refused-deeds");
    let ask = kept(&lab, "[[owner]]\nname = \"web-team\"\nmatch = [\"name:*.example.test\"]\n");
    for (arguments, says) in [
        (vec!["own", "", "web-team"], "an empty query would give away everything"),
        (vec!["own", "kept.test", "wep-team"], "hint: did you mean `web-team`?"),
        (vec!["own", "name:nobody.test", "web-team"], "nothing in the inventory is found"),
        (vec!["retire", "file:///nowhere", "--reason", "x"], "nothing is known at"),
        (vec!["retire", "file:///nowhere", "--reason", " "], "the reason is empty"),
        (vec!["calendar", "nosuch"], "no owner is called `nosuch`"),
        (vec!["ack", "a99"], "no alert or finding is called a99"),
        (vec!["alert", "test", "--owner", "web-tema"], "did you mean `web-team`?"),
        (vec!["ls", "--limit", "0"], "`--limit 0` would list nothing"),
        (vec!["export", "--format", "table"], "hint: `notafter ls` prints one"),
        (vec!["export", "--as", "ics", "--json"], "say two things"),
    ] {
        let run = ask(&arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}{}", run.out, run.err);
        assert!(run.err.contains(says) && run.err.contains("hint: "), "{arguments:?}: {}", run.err);
        assert!(run.out.is_empty(), "{arguments:?}: {}", run.out);
    }
    assert!(ask(&["ls", "owner:none"]).out.contains("kept.test"), "it is nobody's still");
}

#[test]
fn every_list_has_every_form() {
    let lab = Lab::new("forms");
    let ask = kept(&lab, "");
    let json = |arguments: &[&str]| -> serde_json::Value {
        let run = ask(arguments);
        serde_json::from_str(&run.out)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}{}", run.out, run.err))
    };
    let item = json(&["ls", "--json", "kept.test"])["items"][0].clone();
    assert_eq!(item["names"][0], "kept.test");
    assert!(
        item["subject"].is_string() && item["serial"].is_string() && item["key"]["bits"].is_number(),
        "{item:#}"
    );
    assert!(item["issuer_name"].as_str().is_some_and(|n| n.contains("CN=")), "{item:#}");
    let whole = json(&["show", item["id"].as_str().unwrap_or_default(), "--json"]);
    assert!(whole["placements"][0]["file"]["mode"].is_string(), "{whole:#}");
    let table = ask(&["ls", "kept.test"]).out;
    assert!(table.lines().next().is_some_and(|l| l.contains("NAME") && l.contains("PLACE")), "{table}");
    let shown = ask(&["show", item["id"].as_str().unwrap_or_default()]).out;
    assert!(shown.contains("mode 0") && shown.contains("since ") && shown.contains("first seen"), "{shown}");
    for (arguments, begins) in [
        (vec!["ls", "--alerts", "--format", "csv"], "id,severity,state,"),
        (vec!["ls", "--findings", "--format", "csv"], "id,severity,kind,"),
        (vec!["forecast", "--format", "csv"], "at,days_left,title,"),
        (vec!["forecast", "--format", "ndjson"], "{\"asset\":{"),
        (vec!["watch", "--list", "--json"], "{\"items\":["),
        (vec!["watch", "--list", "--format", "csv"], "name,targets,"),
        (vec!["retire", "--list", "--json"], "{\"items\":["),
        (vec!["export", "--json"], "["),
        (vec!["export", "--format", "ndjson"], "{"),
        (vec!["export"], "name,"),
    ] {
        let run = ask(&arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
        assert!(run.out.trim_start_matches('\u{feff}').starts_with(begins), "{arguments:?}: {}", run.out);
    }
    let days = |at: &str| json(&["export", "--json", "--at", at, "kept.test"])[0]["days_left"].as_f64();
    assert!(days("now").is_some_and(|d| d > 19.0) && days("+30d").is_some_and(|d| d < -9.0));
    let forecast = ask(&["forecast"]).out;
    assert!(forecast.contains("nobody has a channel"), "{forecast}");
}

#[test]
fn an_export_that_fails_leaves_the_old_file() {
    let lab = Lab::new("export-file");
    let ask = kept(&lab, "");
    let file = lab.path().join("out.csv");
    fs::write(&file, "old").expect("written");
    let name = file.to_string_lossy().into_owned();
    assert_eq!(ask(&["export", "expire<30d", "-o", &name]).code, 2);
    assert_eq!(fs::read_to_string(&file).expect("still there"), "old");
    assert_eq!(ask(&["export", "-o", &name]).code, 0);
    assert!(fs::read_to_string(&file).expect("new").contains("kept.test"));
    let beside: Vec<_> = fs::read_dir(lab.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
    assert!(!beside.iter().any(|n| n.to_string_lossy().ends_with(".new")), "{beside:?}");
}

#[test]
fn what_is_retired_can_be_listed_also_a_place_that_was_never_seen_into() {
    let lab = Lab::new("retired-list");
    let ask = kept(&lab, "");
    let saved = ask(&["scan", "127.0.0.1:1", "--save"]);
    assert_eq!(saved.code, 3, "{}", saved.err);
    let retired = ask(&["retire", "tls://127.0.0.1:1", "--reason", "never was a server"]);
    assert_eq!(retired.code, 0, "{}{}", retired.out, retired.err);
    assert!(retired.out.contains("nobody is told any more that it cannot be seen"), "{}", retired.out);
    let list = ask(&["retire", "--list"]).out;
    assert!(list.contains("tls://127.0.0.1:1") && list.contains("never was a server"), "{list}");
    let json = ask(&["retire", "--list", "--json"]).out;
    assert!(json.contains("\"reason\":\"never was a server\"") && json.contains("\"by\":"), "{json}");
}

#[test]
fn doctor_asks_those_it_depends_on() {
    let lab = Lab::new("doctor");
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = mute.local_addr().expect("its address").port();
    // Nothing answers names there, and what answers mail is none.
    let ask = kept(
        &lab,
        &format!(
            "[server]\nresolver = \"127.0.0.1:{port}\"\n[[source]]\nname = \"shop\"\nkind = \"network\"\n\
             targets = [\"shop.test\"]\n[[source]]\nkind = \"domain\"\ndomains = [\"shop.test\"]\n\
             rdap = \"http://127.0.0.1:1/\"\n[[notifier]]\nname = \"mail\"\nkind = \"email\"\n\
             server = \"127.0.0.1:{port}\"\ntls = \"none\"\nfrom = \"a@b.test\"\n"
        ),
    );
    let answers = std::thread::spawn(move || {
        if let Ok((mut peer, _)) = mute.accept() {
            let _ = std::io::Write::write_all(&mut peer, b"SSH-2.0-x\r\n");
        }
    });
    let folder = lab.path().join("data");
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("opened");
    let visit = ask(&["doctor"]);
    assert_eq!(visit.code, 1, "{}", visit.out);
    for says in [
        "does not answer",
        "shop: never ran",
        "it says \"SSH-2.0-x\"",
        "chmod 700",
        "source domain: ",
        "rdap = http://127.0.0.1:1/",
        "notifier mail (email): ",
    ] {
        assert!(visit.out.contains(says), "no `{says}` in {}", visit.out);
    }
    let line = visit.out.lines().find(|l| l.contains("data folder")).unwrap_or_default();
    assert!(line.starts_with("note"), "what `serve` accepts is no failure: {line}");
    let _ = answers.join();
}

#[test]
fn doctor_hears_a_mail_server_within_tls() {
    let lab = Lab::new("doctor-tls");
    let authority = Authority::new(&lab);
    let leaf = authority.issue(&Request::server().sans(&["DNS:localhost", "IP:127.0.0.1"]));
    let Some(post) = need(smtp::start(&lab, &leaf, smtp::Mode::Smtps)) else { return };
    let Some(web) = need(nginx::start(&lab, &leaf)) else { return };
    let root = authority.root().cert_pem.display().to_string();
    let table = |name: &str, port: u16, rest: &str| {
        format!(
            "[[notifier]]\nname = \"{name}\"\nkind = \"email\"\nserver = \"127.0.0.1:{port}\"\ntls = \"tls\"\n\
             from = \"a@b.test\"\n{rest}"
        )
    };
    let roots = format!("ca_file = \"{root}\"\n");
    let (mail, other) = (post.address().port(), web.address().port());
    let config = [table("good", mail, &roots), table("stranger", mail, ""), table("pages", other, &roots)];
    let ask = kept(&lab, &config.concat());
    let visit = ask(&["doctor"]).out;
    let line = |name: &str| {
        let found = visit.lines().find(|l| l.contains(&format!("{name}: "))).map(str::to_owned);
        found.unwrap_or_else(|| panic!("no {name} in {visit}"))
    };
    let good = line("good");
    assert!(good.starts_with("ok") && good.contains("greets as a mail server does, within TLS"), "{good}");
    let stranger = line("stranger");
    assert!(stranger.starts_with("failed") && stranger.contains("UnknownIssuer"), "{stranger}");
    let pages = line("pages");
    assert!(pages.starts_with("failed") && pages.contains("no mail server greets"), "{pages}");
}

#[test]
fn every_deed_has_a_document() {
    let lab = Lab::new("deeds-json");
    let taken = lab.path().join("taken");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&left(8)))) else { return };
    let config = format!(
        "[[notifier]]\nname = \"out\"\nkind = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"test -e {}\"]\n\
         [[owner]]\nname = \"web\"\nnotify = [\"out\"]\ndefault = true\n{}",
        taken.display(),
        source(&web)
    );
    let mut serving = Serving::start(&lab, &config);
    let json = |arguments: &[&str], code: i32| -> serde_json::Value {
        let run = serving.ask(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}{}", run.out, run.err);
        serde_json::from_str(&run.out)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}{}", run.out, run.err))
    };
    let id = serving.until("an alert", || {
        let alerts = json(&["ls", "--alerts", "--json"], 0);
        let items = alerts["items"].as_array()?;
        let about = items.iter().find(|a| a["title"].as_str().is_some_and(|t| t.contains("srv.test")))?;
        Some(about["id"].as_str()?.to_owned())
    });
    // The end is the one that holds, not the one that was asked for.
    let acked = json(&["ack", &id, "--until", "400d", "--note", "on it", "--json"], 0);
    let hold = &acked["items"][0]["hold"];
    assert_eq!(
        (&acked["items"][0]["id"], &hold["note"], &hold["snooze"]),
        (&id.as_str().into(), &"on it".into(), &false.into())
    );
    assert!(hold["until"].as_str() < acked["items"][0]["deadline"].as_str(), "{acked:#}");
    let snoozed = json(&["snooze", &id, "--until", "1d", "--json"], 0);
    assert_eq!(snoozed["items"][0]["hold"]["snooze"], true, "{snoozed:#}");
    let row = serving.ask(&["ack", &id, "--format", "csv"]).out;
    assert!(row.starts_with("id,severity,state,") && row.contains(&id), "{row}");
    let owned = json(&["own", "name:srv.test", "web", "--json"], 0);
    assert_eq!((&owned["owner"], &owned["lines"]), (&"web".into(), &1.into()), "{owned:#}");
    assert_eq!(json(&["own", "name:srv.test", "none", "--json"], 0)["owner"], serde_json::Value::Null);
    // A channel that does not take it, and one that does; by the server and without one.
    let failed = json(&["alert", "test", "--json"], 1);
    assert_eq!(
        (&failed["owner"], &failed["items"][0]["channel"]),
        (&"web".into(), &"out".into()),
        "{failed:#}"
    );
    assert!(failed["items"][0]["state"] != "sent" && failed["items"][0]["error"].is_string(), "{failed:#}");
    fs::write(&taken, "").expect("written");
    assert_eq!(json(&["alert", "test", "name:srv.test", "--json"], 0)["items"][0]["state"], "sent");
    let preview = json(&["alert", "test", "--preview", "--json"], 0);
    assert!(
        preview["items"][0]["text"].as_str().is_some_and(|t| t.contains("NOTAFTER_EVENT")),
        "{preview:#}"
    );
    let place = format!("tls://{}?sni=srv.test", web.address());
    let retired = json(&["retire", &place, "--reason", "moved", "--json"], 0);
    assert_eq!(
        (&retired["location"], &retired["was"]),
        (&place.as_str().into(), &"seen".into()),
        "{retired:#}"
    );
    for arguments in [vec!["own", "name:srv.test", "web"], vec!["alert", "test"]] {
        let csv = serving.ask(&[&arguments[..], &["--format", "csv"]].concat());
        assert!(csv.code == 2 && csv.err.contains("hint: use --json"), "{}{}", csv.out, csv.err);
    }
    assert_eq!(serving.stop(), 0);
    let ask = |arguments: &[&str]| serving.ask(arguments).out;
    assert!(ask(&["alert", "test", "--json"]).contains("\"state\":\"sent\""));
}

#[test]
fn gone_is_only_what_a_person_says() {
    let lab = Lab::new("retiring");
    let Some(mut server) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    let serving = Serving::start(&lab, &source(&server));
    serving.until("the alert", || serving.ask(&["ls", "--alerts"]).out.contains("srv.test").then_some(()));
    let place = format!("tls://{}?sni=srv.test", server.address());
    server.stop();
    serving.until("the silence", || serving.ask(&["ls", "is:unseen"]).out.contains("srv.test").then_some(()));
    // Unreachable is not gone: the alert stands.
    assert!(serving.ask(&["ls", "--alerts"]).out.contains("srv.test"));
    assert_eq!(serving.ask(&["retire", "tls://127.0.0.1:9", "--reason", "x"]).code, 2);
    let retired = serving.ask(&["retire", &place, "--reason", "the shop is closed"]);
    assert_eq!(retired.code, 0, "{}", retired.err);
    serving.until("the end of its alert", || {
        (!serving.ask(&["ls", "--alerts"]).out.contains("srv.test")).then_some(())
    });
    // Its page tells where it was and what was sent there.
    let gone = serving.ask(&["ls", "is:gone", "name:srv.test", "--json"]).out;
    let gone: serde_json::Value = serde_json::from_str(&gone).expect("JSON");
    let id = gone["items"][0]["id"].as_str().expect("an id").to_owned();
    let shown = serving.ask(&["show", &id]).out;
    assert!(shown.contains("was at") && shown.contains("TLSv1.") && shown.contains(", gone "), "{shown}");
    let json = serving.ask(&["show", &id, "--json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let place = &json["placements"][0];
    assert!(place["protocol"] == "tls" && place["tls_version"].is_string(), "{place:#}");
    assert!(place["gone"].is_string() && place["chain"][0] == id.as_str(), "{place:#}");
    server.restart().expect("it is back");
    serving.until("its return", || serving.ask(&["ls", "--alerts"]).out.contains("srv.test").then_some(()));
}

#[test]
fn a_changed_configuration_holds_at_once_and_a_wrong_one_changes_nothing() {
    let lab = Lab::new("reload");
    let authority = Authority::new(&lab);
    let folder = lab.subfolder("later");
    fs::copy(authority.issue(&left(50).sans(&["DNS:later.test"])).cert_pem, folder.join("a.pem"))
        .expect("copied");
    let first = "[[source]]\nkind = \"files\"\npaths = [\"/nonexistent-notafter\"]\n";
    let serving = Serving::start(&lab, first);
    let file = lab.path().join("notafter.toml");
    fs::write(&file, "[[sorce]]\n").expect("written");
    serving.signal("HUP");
    serving.until("the mistake", || serving.words().contains("did you mean `source`?").then_some(()));
    fs::write(&file, format!("[[source]]\nkind = \"files\"\npaths = [\"{}\"]\n", folder.display()))
        .expect("written");
    serving.signal("HUP");
    serving.until("what the new one shows", || {
        serving.ask(&["ls", "later.test"]).out.contains("later.test").then_some(())
    });
    // What this process cannot take up is named.
    let more =
        "[server]\nopen_reads = false\n[[service]]\nname = \"s\"\nplaces = [\"later.test\"]\npublic = true\n";
    fs::write(&file, format!("{more}{first}")).expect("written");
    serving.signal("HUP");
    serving.until("what waits", || {
        serving
            .words()
            .contains("loaded anew; after a restart only: listen, open_reads, public of a [[service]]")
            .then_some(())
    });
}

#[test]
fn a_restart_loop_tells_nobody_twice() {
    let lab = Lab::new("restart-loop");
    let Some(server) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(8)))) else { return };
    let said = lab.path().join("said");
    let config = format!(
        "{}[[notifier]]\nname = \"file\"\nkind = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"echo $NOTAFTER_ID >> {}\"]\n",
        source(&server),
        said.display()
    );
    let mut serving = Serving::start(&lab, &config);
    serving.until("the message", || fs::read_to_string(&said).ok().filter(|t| t.contains("alert")));
    // Once it is noted that the message was taken over; killed before that, it would come again under the same id.
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..5 {
        serving.crash_and_restart(lab.path());
        std::thread::sleep(Duration::from_millis(1500));
    }
    let text = fs::read_to_string(&said).unwrap_or_default();
    let mut ids: Vec<&str> = text.lines().filter(|l| l.contains("-alert-")).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all), (1, 1), "{text}");
}

#[test]
fn a_memory_that_is_locked_loses_nothing() {
    let lab = Lab::new("locked");
    let Some(server) = need(nginx::start(&lab, &Authority::new(&lab).issue(&left(40)))) else { return };
    let folder = lab.subfolder("grows");
    let config = format!(
        "{}[[source]]\nname = \"files\"\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"2s\"\n",
        source(&server),
        folder.display()
    );
    let serving = Serving::start(&lab, &config);
    serving
        .until("the first look", || serving.ask(&["ls", "srv.test"]).out.contains("srv.test").then_some(()));
    // Another program holds the write lock for eight seconds; a certificate appears in the meantime.
    let script = "import sqlite3,sys,time\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
                  c.execute('BEGIN IMMEDIATE')\nprint('held',flush=True)\ntime.sleep(8)\nc.execute('ROLLBACK')\n";
    let mut holder = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(serving.folder.join("notafter.db"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 runs");
    std::thread::sleep(Duration::from_secs(1));
    fs::copy(
        Authority::new(&lab).issue(&left(50).sans(&["DNS:meanwhile.test"])).cert_pem,
        folder.join("a.pem"),
    )
    .expect("copied");
    // Reads go on from what was there.
    assert_eq!(get(&format!("{}/inventory", serving.url())).status, 200);
    let _ = holder.wait();
    serving.until("what came meanwhile", || {
        serving.ask(&["ls", "meanwhile.test"]).out.contains("meanwhile.test").then_some(())
    });
}

/// One that nobody renews, one that certbot does, one that certbot was to renew and cannot: what is said of each, in
/// every form.
#[test]
fn what_will_break_and_what_will_renew() {
    let lab = Lab::new("forecast");
    let authority = Authority::new(&lab);
    let Some(server) = need(nginx::start(&lab, &authority.issue(&left(40)))) else { return };
    let machine = lab.path().join("machine");
    let write = |path: &str, text: &str| {
        let path = machine.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, text).expect("it is written");
    };
    for (name, after) in [("well", ""), ("stuck", "no")] {
        let leaf = authority.issue(&left(45).sans(&[&format!("DNS:{name}.test")]));
        let pem = fs::read_to_string(&leaf.fullchain_pem).expect("a chain");
        write(&format!("etc/letsencrypt/archive/{name}/fullchain1.pem"), &pem);
        let live = machine.join(format!("etc/letsencrypt/live/{name}"));
        fs::create_dir_all(&live).expect("a folder");
        let link = live.join("fullchain.pem");
        std::os::unix::fs::symlink(format!("../../archive/{name}/fullchain1.pem"), link).expect("a link");
        let mut conf = format!("version = 2.1.0\narchive_dir = /etc/letsencrypt/archive/{name}\n");
        conf += &format!("fullchain = /etc/letsencrypt/live/{name}/fullchain.pem\n[renewalparams]\n");
        conf += if after.is_empty() {
            "authenticator = webroot\n"
        } else {
            "authenticator = webroot\nautorenew = False\n"
        };
        write(&format!("etc/letsencrypt/renewal/{name}.conf"), &conf);
    }
    write("etc/cron.d/certbot", "0 */12 * * * root certbot -q renew --no-random-sleep-on-renew\n");
    let config = format!(
        "{}[[source]]\nname = \"machine\"\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"3s\"\n\
         [[notifier]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n\
         [[owner]]\nname = \"web\"\ndefault = true\nnotify = [\"hook\"]\n",
        source(&server),
        machine.display()
    );
    let mut serving = Serving::start(&lab, &config);
    serving.until("the lineages", || {
        let listed = serving.ask(&["ls"]).out;
        ["srv.test", "well.test", "stuck.test"].iter().all(|name| listed.contains(name)).then_some(())
    });
    let ask = |arguments: &[&str]| serving.ask(arguments);
    let seen = serving.until("a forecast", || {
        let run = ask(&["forecast", "--days", "60", "--json"]);
        let seen: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
        (seen["count"] == 3 && seen["expected_to_renew"] == 1).then_some(seen)
    });
    let of = |name: &str| {
        let lapses = seen["lapses"].as_array().expect("a list").clone();
        lapses.into_iter().find(|l| l["asset"]["names"][0] == name).expect("it lapses")
    };
    assert_eq!(
        (of("srv.test")["outlook"].as_str(), of("srv.test")["breaks"].as_bool()),
        (Some("by-hand"), Some(true))
    );
    assert_eq!(
        (of("well.test")["outlook"].as_str(), of("well.test")["breaks"].as_bool()),
        (Some("renews"), Some(false))
    );
    assert_eq!(of("stuck.test")["outlook"], "by-hand");
    // Thirty days before its end, and it has 45.
    let at = seen["renewing"][0]["at"].as_str().expect("a day").to_owned();
    let due = now() + 15 * DAY;
    let days = [due - DAY, due, due + DAY].map(|t| notafter_lab::calendar::generalized(t)[..8].to_owned());
    assert!(days.contains(&at[..10].replace('-', "")), "{at}");
    assert_eq!(
        (seen["would_break"].as_u64(), seen["breaks"][0]["title"].as_str()),
        (Some(1), Some("srv.test")),
        "{:#}",
        seen["breaks"]
    );
    let kinds: Vec<_> =
        seen["messages"].as_array().expect("a list").iter().map(|m| m["step"].clone()).collect();
    for step in ["warning", "critical", "page"] {
        assert!(kinds.iter().any(|k| k == step), "{step}: {kinds:?}");
    }
    assert_eq!(seen["messages_by_owner"]["web"], seen["messages_count"]);
    // Private CAs answer to nobody: under six days it is no more than today.
    let scenarios = seen["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 4);
    assert_eq!(scenarios[0]["renewals_a_week"], scenarios[3]["renewals_a_week"]);
    let page = ask(&["forecast", "--days", "60"]).out;
    let first = page.lines().next().unwrap_or_default();
    assert!(
        first.contains("3 lapse, 1 would break, 1 is expected to renew") && first.contains("you would get"),
        "{page}"
    );
    assert!(
        page.contains("certbot") && page.contains("would break") && page.contains("under today's rules"),
        "{page}"
    );
    // A later day asked about is no other world: the same three, and the messages from then on.
    let later = ask(&["forecast", "--at", "+20d", "--days", "40", "--json"]);
    let later: serde_json::Value = serde_json::from_str(&later.out).expect("JSON");
    assert_eq!(later["would_break"], 1);
    assert_eq!(serving.stop(), 0);
}

#[test]
fn when_nothing_answers_nothing_is_green() {
    let lab = Lab::new("outage");
    let authority = Authority::new(&lab);
    let Some(server) =
        need(nginx::start(&lab, &authority.issue(&left(60).sans(&["DNS:*.srv.test", "DNS:srv.test"]))))
    else {
        return;
    };
    let address = server.address();
    let targets: Vec<_> = (1..=5).map(|n| format!("\"tls://{address}?sni=s{n}.srv.test\"")).collect();
    let config = format!(
        "[[source]]\nname = \"office\"\nkind = \"network\"\ntargets = [{}]\nevery = \"1h\"\n\
         [[service]]\nname = \"site\"\nplaces = [\"source:office\"]\npublic = true\n",
        targets.join(", ")
    );
    let serving = Serving::start(&lab, &config);
    let (url, metric) = (serving.url(), |text: &str, name: &str| -> Option<f64> {
        text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok())
    });
    let metrics = || get(&format!("{url}/metrics")).body;
    let health = |state: &str| format!("notafter_service_health{{service=\"site\",state=\"{state}\"}}");
    serving.until("a good service", || (metric(&metrics(), &health("good")) == Some(1.0)).then_some(()));
    drop(server);
    let token = fs::read_to_string(serving.folder.join("token")).expect("the token");
    let bearer = format!("Bearer {}", token.trim());
    let scan =
        web::ask("POST", &format!("{url}/api/v1/sources/office/scan"), &[("Authorization", &bearer)], "");
    assert_eq!(scan.status, 202, "{}", scan.body);
    serving.until("the source to be down", || {
        (metric(&metrics(), "notafter_source_up{source=\"office\"}") == Some(0.0)).then_some(())
    });
    let text = metrics();
    assert_eq!(metric(&text, &health("good")), Some(0.0), "a dead service is good");
    assert_eq!(metric(&text, &health("unknown")), Some(1.0));
    let (all, unseen) = (metric(&text, "notafter_placements"), metric(&text, "notafter_unseen_placements"));
    assert!(all.is_some_and(|n| n >= 5.0) && all == unseen, "{all:?} {unseen:?}");
    let state = serving.until("the page", || {
        let page = get(&format!("{url}/status")).body;
        (!page.contains("seen to be good")).then_some(page)
    });
    assert!(state.contains("the last look came to nothing"), "{state}");
    let today = get(&format!("{url}/")).body;
    assert!(today.contains(">0 of 15 known places seen at the last look"), "{today}");
    let folder = lab.path().join("status");
    let exported = serving.ask(&["status", "export", &folder.to_string_lossy()]);
    assert_eq!(exported.code, 0, "{}", exported.err);
    let page = fs::read_to_string(folder.join("index.html")).expect("the page");
    assert!(!page.contains("seen to be good"), "{page}");
    // What is watched no more owes nothing.
    assert!(!metrics().contains("source=\"watch"));
    let target = format!("tls://{address}?sni=w.srv.test");
    assert_eq!(serving.ask(&["watch", &target, "--every", "10s"]).code, 0);
    serving.until("the watch", || metrics().contains("notafter_source_up{source=\"watch").then_some(()));
    assert_eq!(serving.ask(&["watch", &target, "--stop"]).code, 0);
    serving.until("its end", || (!metrics().contains("notafter_source_up{source=\"watch")).then_some(()));
}

#[test]
fn a_shell_without_the_secrets_can_look_and_write() {
    let lab = Lab::new("no-secrets");
    let config = "[[notifier]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n\
                  secret = { env = \"NOTAFTER_NOT_SET\" }\n\
                  [[owner]]\nname = \"web\"\nmatch = [\"name:kept.test\"]\nnotify = [\"hook\"]\n\
                  [[service]]\nname = \"site\"\nplaces = [\"kept.test\"]\npublic = true\n";
    let ask = kept(&lab, config);
    let folder = lab.path().join("status").to_string_lossy().into_owned();
    for arguments in [
        vec!["status", "export", &folder],
        vec!["forecast"],
        vec!["own", "kept.test", "web"],
        vec!["calendar", "web"],
        vec!["ls", "owner:web"],
        vec!["watch", "tls://127.0.0.1:1?sni=kept.test"],
    ] {
        let run = ask(&arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}{}", run.out, run.err);
    }
    let doctor = ask(&["doctor"]);
    assert!(doctor.out.contains("NOTAFTER_NOT_SET") && doctor.out.contains("inventory"), "{}", doctor.out);
    for arguments in [vec!["alert", "test"], vec!["config", "check"]] {
        let run = ask(&arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}{}", run.out, run.err);
        assert!(run.err.contains("NOTAFTER_NOT_SET"), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn a_mistake_in_a_query_is_said_and_case_is_not_one() {
    let lab = Lab::new("queries");
    let ask = kept(&lab, "[[owner]]\nname = \"web\"\nmatch = [\"name:kept.test\"]\n");
    for (query, says) in [
        ("kind:xyzzy", "known are certificate"),
        ("role:xyzzy", "known are leaf"),
        ("owner:wep", "did you mean owner:web?"),
        ("source:nosuch", "no source is called `nosuch`"),
        ("finding:expire-soon", "expires-soon"),
    ] {
        let run = ask(&["ls", query]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{query}: {}", run.err);
        assert!(run.err.contains(says) && run.err.contains("hint: "), "{query}: {}", run.err);
    }
    for query in ["owner:WEB", "owner:Web", "Kind:CERTIFICATE", "ROLE:leaf", "Is:In-Use"] {
        assert!(ask(&["ls", query]).out.contains("kept.test"), "{query}: {}", ask(&["ls", query]).err);
    }
    let long = ask(&["ls", &"a".repeat(100_000)]);
    assert_eq!(long.code, 2);
    assert!(long.err.contains("2000 letters") && !long.err.contains("SELECT"), "{}", long.err);
}

#[test]
fn a_leaf_is_found_by_its_subject() {
    let lab = Lab::new("subjects");
    let ask = kept(&lab, "");
    let subject = "/O=Acme Widgets GmbH/CN=plain-cn";
    let file = lab.subfolder("more").join("plain.pem");
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args([
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-subj",
            subject,
            "-keyout",
            "/dev/null",
            "-out",
        ])
        .arg(&file)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let saved = ask(&["scan", &file.to_string_lossy(), "--save"]);
    assert_eq!(saved.code, 0, "{}", saved.err);
    for query in ["acme", "subject:acme", "subject:\"widgets gmbh\"", "plain-cn"] {
        assert!(ask(&["ls", query]).out.contains("plain-cn"), "{query}");
    }
    assert!(!ask(&["ls", "subject:acme"]).out.contains("kept.test"));
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let lab = Lab::new("schema");
    let schema = run(&["config", "schema"]);
    assert_eq!(schema.code, 0, "{}", schema.err);
    let file = lab.path().join("schema.json");
    fs::write(&file, &schema.out).expect("written");
    let python = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab/venv/bin/python");
    let validates = |toml: &str| -> bool {
        let script = "import json, sys, tomllib, jsonschema_rs\n\
                      schema = json.load(open(sys.argv[1]))\n\
                      v = jsonschema_rs.Draft202012Validator(schema)\n\
                      sys.exit(1 if list(v.iter_errors(tomllib.loads(sys.argv[2]))) else 0)";
        let done = std::process::Command::new(&python).args(["-c", script]).arg(&file).arg(toml).output();
        let done = done.expect("python of the lab: cargo xtask test makes it");
        assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        done.status.success()
    };
    let mail = "[[notifier]]\nname = 'm'\nkind = 'email'\nserver = 'x'\nfrom = 'a@b.test'\n";
    for right in [
        "",
        "[server]\nlisten = '127.0.0.1:1'\n",
        &format!("{mail}password = {{ env = 'X' }}\nuser = 'x'\nseverity = 'critical'\n"),
        "[[source]]\nkind = 'network'\ntargets = ['a.test']\nports = [443, '8000-8999']\nevery = '1h'\n",
        "[[source]]\nkind = 'domain'\ndomains = ['a.test']\n",
        "[[source]]\nkind = 'renewers'\n",
    ] {
        assert!(validates(right), "{right}");
    }
    for wrong in [
        "[[notifier]]\nname = 'm'\nkind = 'sms'\n",
        &format!("{mail}pasword = 'x'\n"),
        "[[source]]\nkind = 'netwrok'\n",
        "[[source]]\nkind = 'network'\nprots = [443]\n",
        "[server]\nlisen = 'x'\n",
    ] {
        assert!(!validates(wrong), "{wrong}");
    }
}
