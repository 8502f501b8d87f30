//! What breaks, for whom, and how long the mending takes: with each finding, in the order of findings, and where people
//! read it.

mod run;

use notafter_lab::keys::Key;
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Request, need};
use run::{run, scan};
use serde_json::{Value, json};

#[test]
fn what_others_stand_still_without_comes_first() {
    let lab = Lab::new("blast-order");
    let authority = Authority::new(&lab);
    // The one of the shop ended later, and matters more.
    let plain = authority.issue(&Request::new(&["wiki.test"]).expired(9));
    let shop = authority.issue(&Request::new(&["shop.test"]).expired(1));
    let login = authority.issue(&Request::new(&["login.test"]).expired(1));
    let options = nginx::Options {
        vhosts: vec![("shop.test".into(), shop), ("login.test".into(), login)],
        ..Default::default()
    };
    let Some(server) = need(nginx::start_with(&lab, &plain, &options)) else { return };
    let address = server.address();
    let targets = ["wiki", "shop", "login"].map(|name| format!("tls://{address}?sni={name}.test"));
    let config = lab.path().join("notafter.toml");
    let text = "[[owner]]\nname = 'shop'\nmatch = ['name:shop.test']\ncriticality = 'high'\n\
                [[owner]]\nname = 'rest'\ndefault = true\ncriticality = 'low'\n\
                [[service]]\nname = 'sign-in'\nplaces = ['name:login.test']\npublic = true\n\
                [[source]]\nkind = 'network'\ntargets = ['127.0.0.1:1']\n";
    std::fs::write(&config, text).unwrap();
    let known = ["--config", config.to_str().unwrap()];
    let words: Vec<&str> = targets.iter().map(String::as_str).chain(known).collect();
    let found = scan(&words);
    let findings = found.0["findings"].as_array().cloned().unwrap_or_default();
    let in_order = |findings: &[Value]| -> Vec<Value> {
        let mine = findings.iter().filter(|f| f["kind"] == "expired-in-use");
        mine.map(|f| json!([f["blast"]["names"][0], f["blast"]["criticality"], f["blast"]["fix"]])).collect()
    };
    let expected = [
        json!(["login.test", "high", "F1"]),
        json!(["shop.test", "high", "F1"]),
        json!(["wiki.test", "low", "F1"]),
    ];
    let by_name = |mut list: Vec<Value>| {
        list[..2].sort_by_key(ToString::to_string);
        list
    };
    assert_eq!(by_name(in_order(&findings)), expected, "{findings:#?}");
    let login = findings.iter().find(|f| f["blast"]["names"][0] == "login.test").unwrap();
    assert_eq!(login["blast"]["services"], json!(["sign-in"]));
    assert_eq!((&login["blast"]["endpoints"], &login["blast"]["hosts"]), (&json!(1), &json!(1)));
    // The memory keeps that order, and people read it.
    let data = lab.path().join("data");
    let kept = ["--data", data.to_str().unwrap(), known[0], known[1]];
    let saved = run(&[&["scan", "--save"], &words[..3], &kept].concat());
    assert_eq!(saved.code, 0, "{}", saved.err);
    let listed = run(&[&["ls", "--findings", "--json"], &kept[..]].concat());
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    let items = listed["items"].as_array().or(listed.as_array()).cloned().unwrap_or_default();
    assert_eq!(by_name(in_order(&items)), expected, "{items:#?}");
    let page = run(&[&["ls", "--findings"], &kept[..]].concat());
    assert!(
        page.out.contains(
            "breaks: 1 server; login.test; service sign-in; criticality high. Mending takes hours (F1"
        ),
        "{}",
        page.out
    );
    let asset = login["asset"].as_str().unwrap_or_default();
    let shown = run(&[&["show", asset], &kept[..]].concat());
    assert!(shown.out.contains("breaks: 1 server; login.test"), "{}", shown.out);
}

#[test]
fn an_issuer_takes_down_everything_that_hangs_on_it() {
    let lab = Lab::new("blast-issuer");
    let between = Request::authority("Lab Short Intermediate").key(Key::P256).fresh_key().days(10);
    let authority = Authority::custom(&lab, Request::authority("Lab Root").fresh_key(), &[between]);
    let issue = |name: &str| authority.issue(&Request::new(&[name]).fresh_key());
    let first = issue("one.test");
    let options = nginx::Options {
        vhosts: vec![("two.test".into(), issue("two.test")), ("three.test".into(), issue("three.test"))],
        ..Default::default()
    };
    let Some(server) = need(nginx::start_with(&lab, &first, &options)) else { return };
    let address = server.address();
    let targets = ["one", "two", "three"].map(|name| format!("tls://{address}?sni={name}.test"));
    let roots = ["--roots", first.root_pem.to_str().unwrap()];
    let words: Vec<&str> = targets.iter().map(String::as_str).chain(roots).collect();
    let found = scan(&words);
    let blast = &found.finding("chain-expires-first")["blast"];
    assert_eq!(blast["shared"], json!([{"what": "issuer", "count": 3}]), "{blast:#}");
    assert_eq!((&blast["fix"], &blast["endpoints"]), (&json!("F2"), &json!(1)));
    assert_eq!(blast["names"], json!(["one.test", "three.test", "two.test"]));
    let page = run(&[&["scan"], &words[..]].concat());
    assert!(page.out.contains("3 certificates hang on it. Mending takes days"), "{}", page.out);
}
