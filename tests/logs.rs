//! Logs of certificate transparency and lists for Prometheus, with the real binary: a server that shows a certificate, a
//! log in tiles that has it, its precertificate and others.

mod logged;
mod run;

use logged::{log, web};
use notafter_lab::servers::openssl;
use notafter_lab::{Authority, Lab, Leaf, Request, need};
use run::{run, scan};

fn authority(lab: &Lab, organisation: &str) -> Authority {
    let root = Request::authority(organisation).subject(&format!("/O={organisation}/CN={organisation} Root"));
    Authority::custom(lab, root, &[])
}

#[test]
fn a_ca_that_is_not_ours() {
    let lab = Lab::new("logs");
    let (ours, other) = (authority(&lab, "Our Authority"), authority(&lab, "Other Authority"));
    let poison = "1.3.6.1.4.1.11129.2.4.3=critical,ASN1:NULL";
    let www = Request::new(&["www.logs.test"]).serial("1234567890abcdef");
    let (www, precert) = (ours.issue(&www), ours.issue(&www.extension(poison)));
    let spare = ours.issue(&Request::new(&["spare.logs.test"]));
    let stranger = other.issue(&Request::new(&["elsewhere.test"]));
    let rogue = Request::new(&["login.logs.test"]).serial("0badc0de");
    let (rogue, announced) = (other.issue(&rogue), other.issue(&rogue.extension(poison)));
    let over = other.issue(&Request::new(&["old.logs.test"]).expired(3));
    let Some(server) = need(openssl::start(&lab, &www)) else { return };
    let endpoint = server.address().to_string();
    let check = |entries: &[(&Leaf, bool)], configuration: &str, expected: &[(&str, &str)]| {
        let target = format!("ct:logs.test@{}", log(entries));
        let file = lab.path().join("notafter.toml");
        std::fs::write(&file, configuration).unwrap();
        let file = file.display().to_string();
        let found = scan(&["--config", &file, &endpoint, &target]);
        let of_logs: Vec<(&str, &str)> = found
            .findings()
            .into_iter()
            .filter(|(kind, _)| {
                *kind != "untrusted-chain" && *kind != "chain-incomplete" && *kind != "name-mismatch"
            })
            .collect();
        assert_eq!(of_logs, expected, "{:#}", found.0);
        found
    };
    let healthy = [(&www, false), (&precert, true), (&spare, false), (&stranger, false), (&over, false)];
    let found = check(&healthy, "", &[]);
    // What the log has is in the inventory, apart from what is used; the stranger's is not.
    let logged = found.placements().iter().filter(|p| p["role"] == "logged").count();
    assert_eq!(logged, 4, "{:#}", found.0);
    assert!(!found.text().contains("elsewhere.test"));
    // The certificate speaks for its precertificate.
    let sick = [&healthy[..], &[(&announced, true), (&rogue, false)]].concat();
    let found = check(&sick, "", &[("unexpected-issuance", "warning")]);
    assert!(
        found.text().contains("Other Authority issued a certificate for login.logs.test"),
        "{}",
        found.text()
    );
    check(&[(&announced, true)], "", &[("unexpected-issuance", "warning")]);
    check(&sick, "[policy]\nissuers = [\"Our Authority\"]\n", &[("unexpected-issuance", "critical")]);
    check(&sick, "[policy]\nissuers = [\"Our\", \"other authority\"]\n", &[]);
}

#[test]
fn a_list_for_prometheus_is_what_is_looked_at() {
    let lab = Lab::new("lists");
    let ours = authority(&lab, "Our Authority");
    let Some(server) = need(openssl::start(&lab, &ours.issue(&Request::new(&["a.lists.test"])))) else {
        return;
    };
    let address = server.address();
    let write = |name: &str, text: String| {
        let file = lab.path().join(name);
        std::fs::write(&file, text).unwrap();
        format!("targets:{}", file.display())
    };
    let groups = format!("[{{\"targets\": [\"{address}\"], \"labels\": {{\"env\": \"lab\"}}}}]");
    let url = web(vec![("sd".to_owned(), groups.clone().into_bytes())]);
    for target in [
        write("a.json", groups),
        write("a.yml", format!("- targets:\n  - https://{address}/health\n")),
        write(
            "prometheus.yml",
            "scrape_configs:\n- scheme: https\n  file_sd_configs:\n  - files: ['*.json']\n".to_owned(),
        ),
        format!("targets:{url}sd"),
    ] {
        let found = scan(&[&target]);
        assert_eq!(found.leaves_at(&format!("tls://{address}")).len(), 1, "{target}: {:#}", found.0);
    }
    let none = run(&["scan", &format!("targets:{}", lab.path().join("nothing.json").display())]);
    assert!(none.code == 3 && none.out.contains("not-found"), "{} {}", none.code, none.out);
}
