//! Whatever stands in names, paths and configurations: what is added is valid TOML that says exactly what was meant.

use std::path::PathBuf;

use notafter_core::issuance::KeyType;
use notafter_core::location::Location;
use notafter_discover::configs::Listen;
use proptest::prelude::*;

use super::plan::{Issuer, Plan, Solver, Target};
use super::servers::{Files, Place, Reader};
use super::ways::Ways;
use super::who;
use crate::config;

/// Texts that somebody could use to say more than they may.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("x\"\n[[issuer]]\nname = \"evil\"\nkind = \"acme\"\n#".to_owned()),
        Just("'''\n]]\nreload = [\"sh\"]".to_owned()),
        Just("\\\"\\u0022\r\n# x".to_owned()),
        Just("\u{202e}gnp.\u{0}\u{7f}\u{85}\u{2028}".to_owned()),
        Just("#} ] , \"\"\"".to_owned()),
    ]
}

fn ways() -> impl Strategy<Value = Ways> {
    prop_oneof![
        Just(Ways::Preset("nginx")),
        (proptest::collection::vec(hostile(), 0..3), proptest::collection::vec(hostile(), 0..3))
            .prop_map(|(check, reload)| Ways::Elsewhere { check, reload }),
        hostile().prop_map(Ways::Unknown),
    ]
}

fn reader() -> impl Strategy<Value = Reader> {
    (ways(), hostile(), proptest::option::of(hostile())).prop_map(|(ways, at, socket)| Reader {
        server: "haproxy",
        at,
        ways,
        listens: Vec::new(),
        root: None,
        socket: socket.map(PathBuf::from),
    })
}

fn target() -> impl Strategy<Value = Target> {
    let texts = || proptest::collection::vec(hostile(), 0..3);
    let path = || proptest::option::of(hostile().prop_map(PathBuf::from));
    (
        hostile(),
        (path(), path(), path(), path(), any::<bool>()),
        proptest::collection::vec(reader(), 0..3),
        texts(),
        texts(),
    )
        .prop_map(
            |(label, (certificate, key, chain, combined, certificate_first), readers, prove, notes)| {
                let files = Files { certificate, key, chain, fullchain: None, combined, certificate_first };
                Target { label, files, readers, prove, notes }
            },
        )
}

fn plan() -> impl Strategy<Value = Plan> {
    let texts = || proptest::collection::vec(hostile(), 0..4);
    let issuer = prop_oneof![
        (hostile(), proptest::option::of(hostile())).prop_map(|(name, note)| Issuer::Known { name, note }),
        (hostile(), hostile(), hostile(), proptest::option::of(hostile()), hostile()).prop_map(
            |(name, directory, why, contact, home)| Issuer::New {
                name,
                directory,
                why,
                public: who::PUBLIC.last(),
                contact,
                go_on: Some(("certbot".into(), home.into())),
            }
        ),
    ];
    let solver = (hostile(), hostile()).prop_map(|(path, note)| Solver::webroot(&path, note));
    let targets = proptest::collection::vec(target(), 0..3);
    (hostile(), texts(), texts(), hostile(), issuer, solver, targets, texts()).prop_map(
        |(name, names, left_out, key_note, issuer, solver, targets, elsewhere)| Plan {
            name,
            names,
            left_out,
            key: KeyType::EcdsaP384,
            key_note: Some(key_note),
            issuer,
            solver,
            targets,
            elsewhere,
        },
    )
}

fn texts(value: Option<&toml::Value>) -> Vec<String> {
    let all = value.and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

proptest! {
    #[test]
    fn what_is_added_is_what_was_meant(plan in plan()) {
        let text = plan.text();
        let read = config::parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(read.certificate.len(), 1);
        let got = &read.certificate[0];
        prop_assert_eq!(got.name.get_ref(), &plan.name);
        prop_assert_eq!(&got.names, &plan.names);
        prop_assert_eq!(got.key.as_deref(), Some("ecdsa-p384"));
        match &plan.issuer {
            Issuer::Known { name, .. } => {
                prop_assert!(read.issuer.is_empty());
                prop_assert_eq!(got.issuer.list(), std::slice::from_ref(name));
            }
            Issuer::New { name, directory, contact, .. } => {
                prop_assert_eq!(read.issuer.len(), 1);
                prop_assert_eq!(read.issuer[0].name.get_ref(), name);
                let rest = &read.issuer[0].rest;
                prop_assert_eq!(rest.get("directory").and_then(|d| d.as_str()), Some(directory.as_str()));
                prop_assert_eq!(rest.get("contact").and_then(|c| c.as_str()), contact.as_deref());
                prop_assert!(rest.keys().all(|k| ["directory", "contact", "staging"].contains(&k.as_str())));
            }
            Issuer::Unknown => {}
        }
        if let Solver::Table { table, .. } = &plan.solver {
            prop_assert_eq!(got.solver.as_ref(), Some(table));
        }
        prop_assert_eq!(got.target.len(), plan.targets.len());
        for (got, meant) in got.target.iter().zip(&plan.targets) {
            prop_assert_eq!(got.name.as_deref(), Some(meant.label.as_str()));
            prop_assert_eq!(&got.prove, &meant.prove);
            for (setting, path) in meant.files.paths() {
                prop_assert_eq!(got.rest.get(setting).and_then(|p| p.as_str()), path.to_str());
            }
            let known = ["certificate", "key", "chain", "combined", "combined_order", "preset", "check", "reload", "also", "haproxy_socket"];
            prop_assert!(got.rest.keys().all(|k| known.contains(&k.as_str())), "{}", text);
            let (check, reload) = (texts(got.rest.get("check")), texts(got.rest.get("reload")));
            match meant.readers.first().map(|r| &r.ways) {
                Some(Ways::Elsewhere { check: c, reload: r }) => {
                    prop_assert_eq!(&check, c);
                    prop_assert_eq!(&reload, r);
                }
                // A command comes from a preset, or from nowhere.
                _ => prop_assert!(check.is_empty() && reload.is_empty()),
            }
        }
    }

    #[test]
    fn any_bytes_for_a_certificate_are_no_trouble(der in proptest::collection::vec(any::<u8>(), 0..200), texts in proptest::collection::vec(hostile(), 0..3)) {
        let (names, _) = Plan::names(&der);
        let taken: Vec<&str> = texts.iter().map(String::as_str).collect();
        let name = Plan::called(&texts, &taken);
        prop_assert!(names.is_empty() || !der.is_empty());
        prop_assert!(!taken.contains(&name.as_str()) && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)));
        let _ = Plan::key(&der);
        for text in &texts {
            let _ = who::given(text);
        }
    }
}

#[test]
fn solvers_as_a_person_writes_them() {
    let check = |text: &str, expected: Option<&str>| {
        let got = who::given(text).ok().map(|table| crate::amend::value(&toml::Value::Table(table)));
        assert_eq!(got.as_deref(), expected, "{text}");
    };
    check("http-01", Some("{ kind = \"http-01\" }"));
    check("http-01:/var/www", Some("{ kind = \"http-01\", webroot = \"/var/www\" }"));
    check("{ kind = 'http-01', port = 8080 }", Some("{ kind = \"http-01\", port = 8080 }"));
    check("{ kind = 'x' }\n[evil]\na = 1", None);
    for wrong in ["", "http-02", "http-01:relative", "tls-alpn-01:/x", "{}", "{ port = 1 }"] {
        check(wrong, None);
    }
}

/// A server is proved by what it shows itself: not by another machine, nor by another server of this one.
#[test]
fn each_place_is_proved_by_whoever_answers_there() {
    let endpoint =
        |text: &str| Location::endpoint("tls", text.parse().expect("an address"), Some("srv.test"));
    let web = |listens: Vec<Listen>| Place {
        files: Files::default(),
        readers: vec![Reader {
            server: "nginx",
            at: "nginx.conf:3".into(),
            ways: Ways::Preset("nginx"),
            listens,
            root: None,
            socket: None,
        }],
        notes: Vec::new(),
    };
    let https = Listen { address: None, port: 443, protocol: "tls" };
    let (ours, stray, far) =
        (endpoint("127.0.0.1:443"), endpoint("127.0.0.1:8443"), endpoint("192.0.2.7:443"));
    let served = [ours.clone(), stray.clone(), far];
    let prove = |places: Vec<Place>| -> Vec<Vec<String>> {
        Plan::targets(places, &served, &[]).into_iter().map(|t| t.prove).collect()
    };
    assert_eq!(prove(vec![web(vec![https])]), [vec![ours.as_str().to_owned()]]);
    // A server that listens everywhere does not answer where another has the address for itself.
    let at = |ip: &str| Listen { address: Some(ip.parse().expect("an address")), port: 443, protocol: "tls" };
    let both = vec![web(vec![at("::")]), web(vec![at("127.0.0.1")])];
    assert_eq!(prove(both), [vec![], vec![ours.as_str().to_owned()]]);
    // Whose files nobody is known to read may be read by any server of this machine, and by none of another.
    let unread = Place { files: Files::default(), readers: Vec::new(), notes: Vec::new() };
    assert_eq!(prove(vec![unread]), [vec![ours.as_str().to_owned(), stray.as_str().to_owned()]]);
}
