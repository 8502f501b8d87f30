//! Every row makes its client from lego's variables and from plain settings; the guide names all of them. No provider is
//! called.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use notafter_lab::{Lab, program};

use super::super::api::Api;
use super::super::provider::{Plain, Purse};
use super::*;
use crate::secret::{MaybeSecret, Secret};

/// A value of the form that the provider wants.
fn dummy(setting: &str, rsa: &str) -> String {
    match setting {
        "endpoint" => "ovh-eu".to_owned(),
        "context" => "4".to_owned(),
        "cloud" => "public".to_owned(),
        "mode" => "DMAPI".to_owned(),
        "region" => "eu-central-1".to_owned(),
        "tokens" => "a.test:c4nary-a,b.test:c4nary-b".to_owned(),
        "private_key" => rsa.to_owned(),
        "sandbox" | "private_zone" | "skip_deploy" | "global_key" => "true".to_owned(),
        "url" => "https://api.example.test".to_owned(),
        other => format!("c4nary-{other}"),
    }
}

/// As a file, for what may lie nowhere else.
fn file(folder: &Path, setting: &str, value: &str) -> MaybeSecret {
    let path = folder.join(setting);
    std::fs::write(&path, value).expect("written");
    MaybeSecret::Secret(Secret::file(path))
}

/// What is never given together, and what has to be although each of several would do.
fn is_given(row: &Row, field: &Plain, all: bool) -> bool {
    match (row.name, field.setting) {
        // The key of the test has no password.
        ("oraclecloud", "password") => false,
        ("joker", "api_key") | ("cloudns", "username") => true,
        _ => all || field.is_needed,
    }
}

#[test]
fn each_is_made_from_legos_variables_and_from_plain_settings() {
    let lab = Lab::new("dns01-rows");
    let pem = lab.path().join("rsa.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]).arg(&pem);
    program::run(&mut openssl).expect("a key");
    let rsa = std::fs::read_to_string(&pem).expect("it");
    let open = |row: &'static Row, purse: Purse, how: &str| {
        purse.check(row.name, row.fields, &[]).unwrap_or_else(|said| panic!("{} {how}: {said}", row.name));
        if let Err(said) = Api::open(row, Arc::new(purse)) {
            panic!("{} {how}: {said}", row.name);
        }
    };
    for row in ROWS {
        let folder = lab.subfolder(row.name);
        for all in [false, true] {
            let (mut by_name, mut by_file, mut plain) =
                (Purse::default(), Purse::default(), Purse::default());
            for field in row.fields.iter().filter(|field| is_given(row, field, all)) {
                let value = dummy(field.setting, &rsa);
                let secret = file(&folder, field.setting, &value);
                let path = MaybeSecret::from(folder.join(field.setting).to_str().expect("UTF-8"));
                let given = if field.is_secret { secret } else { MaybeSecret::from(value.as_str()) };
                plain.plain.insert(field.setting.to_owned(), given.clone());
                match (field.names.first(), field.paths.first()) {
                    (Some(name), _) => {
                        by_name.environment.insert((*name).to_owned(), given);
                        by_file.environment.insert(format!("{name}_FILE"), path);
                    }
                    (None, Some(name)) => {
                        by_name.environment.insert((*name).to_owned(), path.clone());
                        by_file.environment.insert((*name).to_owned(), path);
                    }
                    (None, None) => panic!("{}.{} has no variable", row.name, field.setting),
                }
            }
            let read = |purse: &Purse| {
                let values = purse.values(row.fields).unwrap_or_else(|said| panic!("{}: {said}", row.name));
                row.fields.iter().map(|f| values.opt(f.setting).map(str::to_owned)).collect::<Vec<_>>()
            };
            let wanted = read(&plain);
            for (purse, how) in [(&by_name, "variables"), (&by_file, "files that variables name")] {
                purse.check(row.name, row.fields, &[]).unwrap_or_else(|said| panic!("{}: {said}", row.name));
                assert!(read(purse) == wanted, "{} from {how}", row.name);
            }
            assert_eq!(wanted.iter().flatten().count(), plain.plain.len(), "{}", row.name);
            open(row, by_name, if all { "with everything" } else { "with what it needs" });
        }
    }
}

#[test]
fn without_what_it_needs_each_says_what() {
    for row in ROWS {
        let Err(said) = Api::open(row, Arc::new(Purse::default())) else {
            panic!("{} needs nothing", row.name);
        };
        assert!(said.contains("hint:"), "{}: {said}", row.name);
    }
}

#[test]
fn names_are_unique_and_in_the_guide() {
    let guide = include_str!("../../../../../../docs/guide/dns-01.md");
    assert!(ROWS.is_sorted_by_key(|row| row.name));
    let mut names: Vec<&str> =
        ROWS.iter().flat_map(|row| row.aliases.iter().chain([&row.name]).copied()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for row in ROWS {
        let line = guide.lines().find(|line| line.starts_with(&format!("| `{}`", row.name)));
        let line = line.unwrap_or_else(|| panic!("{} is not in the guide", row.name));
        for field in row.fields {
            for word in field.names.iter().chain(field.paths).chain([&field.setting]).chain(row.aliases) {
                assert!(line.contains(&format!("`{word}`")), "{}: {word} is not in the guide", row.name);
            }
        }
        assert!((1..=3600).contains(&row.ttl), "{}", row.name);
    }
    let (_, services) = guide.split_once("\n## Services\n").expect("their table");
    assert_eq!(services.lines().filter(|line| line.starts_with("| `")).count(), ROWS.len());
}
