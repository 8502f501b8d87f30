//! BetterTLS: path building under cross-signs, and name constraints.

use notafter_pki::verdict::{Purpose, Question, Rules, judge, second_opinion};
use serde_json::Value;

use super::agreement::{Group, Tally, corpus, decode, json_gz, parsed};

fn check(suite: &str, soft: bool, corpus_name: &'static str, least: usize, exceptions: &[Group]) {
    let Some(folder) = corpus("bettertls") else { return };
    let cases = json_gz(&folder.join("tests.json.gz"));
    let root = vec![decode(cases["trustRoot"].as_str().expect("a root"))];
    let mut of_rustls = 0;
    let mut tally = Tally::new(corpus_name);
    for case in cases["tests"].as_array().expect("cases") {
        if case["Suite"] != suite || case["SoftExpectation"].as_bool() != Some(soft) {
            continue;
        }
        let chain: Vec<Vec<u8>> = case["Certificates"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(decode)
            .collect();
        let chain = parsed(&chain);
        let name = case["Hostname"].as_str().expect("a name").parse().expect("a server name");
        let leaf = chain[0];
        // They are valid about the day they were made; a few leaves and issuers have lapsed on purpose.
        let question = Question {
            leaf,
            sent: &chain[1..],
            anchors: &parsed(&root),
            name: Some(&name),
            at: parsed(&root)[0].not_before().expect("a date").plus(86_400 * 2),
            purpose: Purpose::Server,
            crls: &[],
            rules: Rules::default(),
        };
        let verdict = judge(&question);
        let expected = case["Expected"] == "ACCEPT";
        of_rustls += usize::from(second_opinion(&question).is_ok() == expected);
        let id = format!("{suite}-{}", case["Id"]);
        tally.case(&id, verdict.is_trusted() == expected, || format!("{} {verdict:?}", case["Features"]));
    }
    println!("{corpus_name}: rustls-webpki agrees with {of_rustls}");
    tally.finish(least, exceptions);
}

#[test]
fn path_building() {
    check("pathbuilding", false, "bettertls, path building", 33, &[]);
}

#[test]
fn name_constraints() {
    check("nameconstraints", false, "bettertls, name constraints", 615, &[]);
}

#[test]
fn name_constraints_soft() {
    check("nameconstraints", true, "bettertls, name constraints where failure is only a warning", 83, &[]);
}
