//! A sheet of sixty rows against what a running server really found: counts, owners, dates by hand, and again.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;

use std::fmt::Write as _;
use std::fs;

use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, need};
use serde_json::Value;
use serving::Serving;

/// The day on which a certificate ends, as `31.12.2026`.
fn end(pem: &std::path::Path) -> String {
    let verify = run::run(&["scan", "--json", &pem.display().to_string()]);
    let document: Value = serde_json::from_str(&verify.out).expect("JSON");
    let leaf = document["assets"].as_array().into_iter().flatten().find(|a| a["is_ca"] == false);
    let text = leaf.and_then(|l| l["not_after"].as_str()).expect("an end").to_owned();
    format!("{}.{}.{}", &text[8..10], &text[5..7], &text[..4])
}

#[test]
fn sixty_rows_against_a_running_server() {
    let lab = Lab::new("import");
    let authority = Authority::new(&lab);
    let Some(web) = need(nginx::start(&lab, &authority.issue(&Request::server()))) else { return };
    let folder = lab.subfolder("files");
    let mut last = None;
    // Twenty rows have a file, twenty-two files have no row. All of them end on one day but the seventh.
    for n in 0..42 {
        let name = if n < 20 { format!("s{n}.test") } else { format!("extra{n}.test") };
        let leaf = authority.issue(&Request::new(&[&name]).days(if n == 7 { 300 } else { 200 }));
        fs::copy(&leaf.cert_pem, folder.join(format!("{name}.pem"))).expect("a file");
        last = Some(leaf);
    }
    let day = end(&last.expect("one").cert_pem);
    let mut text = "Bestand;;;;\r\n;;;;\r\nServer;Gültig bis;Zuständig;Bemerkung\r\n".to_owned();
    let address = web.address();
    let _ = write!(text, "{address};;Web;\r\n");
    for n in 0..20 {
        let _ = write!(text, "s{n}.test;{day};{};\r\n", if n < 5 { "web" } else { "Kevin" });
    }
    for n in 0..30 {
        let _ = write!(text, "new{n}.test:8443;01.02.2099;web;\"am Tor;\nzwei Zeilen\"\r\n");
    }
    for n in 0..9 {
        let _ = write!(text, "old{n}.test;01.02.2020;web;\r\n");
    }
    // In Windows-1252, beside the certificates: whoever looks through the folder must not end what the sheet says.
    let sheet = folder.join("Bestand.csv");
    let latin = |text: &str| -> Vec<u8> { text.chars().map(|c| u32::from(c) as u8).collect() };
    fs::write(&sheet, latin(&text)).expect("the sheet");
    let serving = Serving::start(
        &lab,
        &format!(
            "[[owner]]\nname = \"web\"\nnotify = []\n\
             [[source]]\nname = \"files\"\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"2s\"\n\
             [[source]]\nkind = \"network\"\ntargets = [\"tls://{address}?sni=srv.test\"]\nevery = \"2s\"\n",
            folder.display()
        ),
    );
    let count = |query: &str| serving.ask(&["ls", query, "--format", "ndjson"]).out.lines().count();
    serving.until("everything", || (count("role:leaf") == 43).then_some(()));
    let file = sheet.display().to_string();
    let import = |more: &[&str]| -> (i32, Value) {
        let run = serving.ask(&[&["import", &file, "--json"], more].concat());
        (run.code, serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{} {}", run.out, run.err)))
    };

    let (code, dry) = import(&["--dry-run"]);
    let expected: Value =
        serde_json::json!({ "rows": 60, "match": 21, "gone": 39, "not_in_sheet": 22, "differ": 1 });
    assert_eq!((code, &dry["counts"], &dry["done"]), (0, &expected, &Value::Null));
    assert_eq!((count("kind:manual"), count("owner:web")), (0, 0), "a dry run changes nothing");
    assert_eq!(dry["unknown_owners"]["Kevin"].as_array().map(Vec::len), Some(15));
    let seventh = dry["rows"].as_array().into_iter().flatten().find(|r| r["title"] == "s7.test");
    assert!(seventh.is_some_and(|r| r["differs"].is_string()), "{seventh:?}");

    // Given back in its own layout and letters: what was wrong is right, what was not in it is added, the rest stands.
    let back = lab.path().join("back.csv");
    let like = serving.ask(&["export", "--like", &file, "--output", &back.display().to_string()]);
    let told =
        "2 rows put right, 19 as they were, 39 about what is gone or cannot be read left alone, 22 added";
    assert!(like.code == 0 && like.err.contains(told), "{}{}", like.out, like.err);
    let written = fs::read(&back).expect("the sheet");
    assert!(written.starts_with(&latin("Bestand;;;;\r\n;;;;\r\nServer;Gültig bis;Zuständig;Bemerkung\r\n")));
    let run = serving.ask(&["import", &back.display().to_string(), "--json", "--dry-run"]);
    let held: Value = serde_json::from_str(&run.out).expect("JSON");
    let expected = serde_json::json!({ "rows": 82, "match": 43, "gone": 39, "not_in_sheet": 0, "differ": 0 });
    assert_eq!(held["counts"], expected);

    let (_, done) = import(&[]);
    assert_eq!(done["done"], serde_json::json!({ "owned": 6, "kept": 30, "ended": 0, "watched": 0 }));
    // A server's certificate, five files, thirty dates.
    assert_eq!((count("kind:manual"), count("owner:web")), (30, 36));
    let (_, again) = import(&[]);
    assert_eq!(again["done"], serde_json::json!({ "owned": 0, "kept": 0, "ended": 0, "watched": 0 }));

    // A host is found since, a row is taken out: their dates by hand end, and a walk of the folder ends none.
    let leaf = authority.issue(&Request::new(&["new0.test"]).days(200));
    fs::copy(&leaf.cert_pem, folder.join("new0.pem")).expect("a file");
    serving.until("the new one", || (count("name:new0.test -kind:manual") == 1).then_some(()));
    assert_eq!(count("kind:manual"), 30);
    let fewer: String =
        text.lines().filter(|l| !l.starts_with("new1.")).map(|l| format!("{l}\r\n")).collect();
    let fewer = fewer.replace("new0.test:8443", "new0.test");
    fs::write(&sheet, latin(&whole_rows(&fewer))).expect("the sheet");
    let (_, later) = import(&[]);
    assert_eq!(later["done"], serde_json::json!({ "owned": 1, "kept": 0, "ended": 2, "watched": 0 }));
    assert_eq!(count("kind:manual"), 28);

    // What cannot be read is refused with its line, the rest is taken, and hosts are watched where that was asked for.
    fs::write(
        &sheet,
        "Host,Expires\nsoon.test,in 3 months\nsrv.test,2027-01-01\nnosuch.test:443,2099-01-01\n",
    )
    .expect("the sheet");
    let (code, refused) = import(&["--watch"]);
    assert_eq!((code, &refused["sheets"][0]["refused"][0]["line"]), (1, &Value::from(2)));
    assert_eq!(refused["done"]["watched"], 1);
    let list = serving.ask(&["watch", "--list"]).out;
    assert!(list.contains("nosuch.test:443"), "{list}");
    let twice = import(&["--watch"]).1;
    assert_eq!(twice["done"], serde_json::json!({ "owned": 0, "kept": 0, "ended": 0, "watched": 0 }));
}

/// Without the second lines of notes whose first was taken out.
fn whole_rows(text: &str) -> String {
    let mut out = String::new();
    let mut open = false;
    for line in text.split_inclusive("\r\n") {
        let rest = line.starts_with("zwei Zeilen");
        if !rest || open {
            out.push_str(line);
        }
        open = !rest && line.contains("\"am Tor;");
    }
    out
}
