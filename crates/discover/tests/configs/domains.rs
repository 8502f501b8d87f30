//! Corpora of registrations: what another reader found in WHOIS replies and what registries sent as RDAP. Every
//! exception is named.

use std::path::Path;

use notafter_discover::domain::rdap::{self, Bootstrap};
use notafter_discover::domain::whois::{self, Reply};
use serde_json::Value;

use crate::corpora::{corpus, files};

/// Replies whose end the other reader does not have, or has otherwise, and why ours stands.
const OTHERWISE: &[(&str, &str)] = &[
    ("jp_google.co.jp", "the end stands in brackets behind the state, where the other reader does not look"),
    ("tw_google.net.tw", "midnight at UTC+8 is the day before at UTC; the other reader adds the zone"),
];

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn whois_ends() {
    let Some(folder) = corpus("whois") else { return };
    let (mut same, mut all, mut none, mut wrong) = (0, 0, 0, Vec::new());
    for path in files(&folder.join("noterror")) {
        let expected = folder.join("noterror").join(name(&path) + ".json");
        if !expected.is_file() {
            continue;
        }
        let expected: Value = serde_json::from_slice(&std::fs::read(&expected).unwrap()).unwrap();
        // Where the other reader kept the text and no instant, the text begins with the day.
        let of = |key: &str| expected["domain"][key].as_str().map(str::to_owned);
        let expected = of("expiration_date_in_time").or_else(|| of("expiration_date"));
        let (_, domain) = name(&path).split_once('_').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let found = match whois::read(&std::fs::read(&path).unwrap(), &domain) {
            Reply::Found(found) => found.expires.map(|t| t.to_string()),
            other => Some(format!("{other:?}")),
        };
        all += 1;
        none += usize::from(expected.is_none() && found.is_none());
        // The other reader forgets zones: a day on either side is the same end.
        let day = |text: &Option<String>| text.as_deref().and_then(|t| t.get(..10)).map(str::to_owned);
        match OTHERWISE.iter().find(|(file, _)| *file == name(&path)) {
            _ if day(&found) == day(&expected) => same += 1,
            Some(_) => {}
            None => wrong.push(format!("{}: {found:?} instead of {expected:?}", name(&path))),
        }
    }
    println!("whois: {same} of {all} ends as the other reader has them, {none} of these without one");
    OTHERWISE.iter().for_each(|(file, why)| println!("whois: {file}: {why}"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all > 100 && same + OTHERWISE.len() >= all, "{same} of {all}");
}

#[test]
fn whois_of_what_nobody_registered() {
    let Some(folder) = corpus("whois") else { return };
    let (mut free, mut all, mut wrong) = (0, 0, Vec::new());
    for path in files(&folder.join("notfound")) {
        all += 1;
        match whois::read(&std::fs::read(&path).unwrap(), "x.test") {
            Reply::Nothing => free += 1,
            other => wrong.push(format!("{}: {other:?}", name(&path))),
        }
    }
    println!("whois: {free} of {all} replies about nothing are taken for that");
    assert!(wrong.is_empty() && all > 40, "{}", wrong.join("\n"));
}

#[test]
fn rdap_documents() {
    let Some(folder) = corpus("rdap") else { return };
    let (mut domains, mut dated, mut undated) = (0, 0, Vec::new());
    for path in files(&folder) {
        let bytes = std::fs::read(&path).unwrap();
        let all: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let said = all["ldhName"].as_str().unwrap_or("x.test").to_ascii_lowercase();
        let found = rdap::read(&bytes, said.trim_end_matches('.'));
        assert_eq!(found.is_some(), all["objectClassName"] == "domain", "{}", path.display());
        let Some(found) = found else { continue };
        domains += 1;
        let has = all["events"].as_array().into_iter().flatten().any(|e| e["eventAction"] == "expiration");
        assert_eq!(has, found.expires.is_some(), "{}", path.display());
        if found.expires.is_some() { dated += 1 } else { undated.push(name(&path)) }
    }
    println!("rdap: {dated} of {domains} domains have an end; without: {}", undated.join(", "));
    assert!(dated >= 2, "{dated} of {domains}");
    for path in files(&folder.join("test/testdata")) {
        let malformed = path.to_string_lossy().contains("bootstrap_malformed");
        if path.to_string_lossy().contains("/bootstrap") {
            let list = Bootstrap::read(&std::fs::read(&path).unwrap());
            assert_eq!(list.is_none(), malformed, "{}", path.display());
        }
    }
}
