//! SSH certificates: what `ssh-keygen -L` says of the corpus and of certificates that ssh-keygen has made.

use std::fs;
use std::process::Command;

use notafter_pki::{Statement, StatementKind};

use super::tools::{Scratch, corpus, files, has, statements};

/// What `ssh-keygen -L` prints of a certificate, field by field; our reading in its words.
fn in_their_words(statement: &Statement) -> Vec<(String, String)> {
    let fact = |key: &str| statement.fact_of(key).unwrap_or("").to_owned();
    let moment = |time: notafter_pki::UnixTime| time.to_string().trim_end_matches('Z').to_owned();
    let valid = match (statement.not_before(), statement.not_after()) {
        (None, None) => "forever".to_owned(),
        (Some(from), None) => format!("after {}", moment(from)),
        (None, Some(to)) => format!("before {}", moment(to)),
        (Some(from), Some(to)) => format!("from {} to {}", moment(from), moment(to)),
    };
    vec![
        ("Type".to_owned(), format!("{} {} certificate", fact("type"), fact("role"))),
        ("Public key".to_owned(), fact("key")),
        ("Signing CA".to_owned(), statement.issuer_name().unwrap_or("").to_owned()),
        ("Key ID".to_owned(), format!("\"{}\"", fact("key_id"))),
        ("Serial".to_owned(), fact("serial")),
        ("Valid".to_owned(), valid),
        ("Principals".to_owned(), statement.names().join(",")),
    ]
}

fn by_ssh_keygen(path: &std::path::Path) -> Option<Vec<(String, String)>> {
    let out = Command::new("ssh-keygen").args(["-L", "-f"]).arg(path).env("TZ", "UTC").output().ok()?;
    if !out.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut principals = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        match line.trim().split_once(": ") {
            Some((key, value)) if depth == 8 => {
                let value = match key {
                    "Public key" | "Signing CA" => value.split(' ').nth(1).unwrap_or("").to_owned(),
                    "Principals" => String::new(),
                    _ => value.to_owned(),
                };
                fields.push((key.to_owned(), value));
                principals = None;
            }
            _ if line.trim().starts_with("Principals:") => {
                fields.push(("Principals".to_owned(), String::new()));
                principals = (!line.contains("(none)")).then_some(fields.len() - 1);
            }
            _ if depth == 8 => principals = None,
            _ => {
                if let Some(slot) = principals.and_then(|at| fields.get_mut(at)) {
                    let comma = if slot.1.is_empty() { "" } else { "," };
                    slot.1.push_str(comma);
                    slot.1.push_str(line.trim());
                }
            }
        }
    }
    Some(fields)
}

#[test]
fn the_corpus_by_ssh_keygen() {
    let test = "the_corpus_by_ssh_keygen";
    let (Some(root), Some(more)) = (corpus(test, "ssh"), corpus(test, "pyca-vectors/asymmetric/OpenSSH"))
    else {
        return;
    };
    if !has("the_corpus_by_ssh_keygen", "ssh-keygen") {
        return;
    }
    let (mut agree, mut all) = (0, 0);
    let (mut refused, mut unread) = (Vec::new(), Vec::new());
    for path in files(&root).into_iter().chain(files(&more)) {
        let bytes = fs::read(&path).unwrap_or_default();
        let found = statements(&bytes, StatementKind::SshCertificate);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for (_, statement) in &found {
            match by_ssh_keygen(&path) {
                Some(theirs) => {
                    all += 1;
                    let theirs: Vec<_> =
                        theirs.into_iter().filter(|(key, _)| !key.contains("Options")).collect();
                    let ours = in_their_words(statement);
                    let same = ours.iter().all(|field| theirs.contains(field));
                    assert!(same, "{name}: {ours:#?} {theirs:#?}");
                    agree += 1;
                    assert_ne!(statement.fact_of("signature"), Some("bad"), "{name}");
                }
                None => refused.push((name.clone(), statement.fact_of("signature").unwrap_or("").to_owned())),
            }
        }
        // Of a type that says so, but not one that can be read: see below.
        let lines = String::from_utf8_lossy(&bytes).matches("-cert-v01@openssh.com AAAA").count();
        if found.len() != lines {
            unread.push(name);
        }
    }
    println!(
        "ssh: {agree} of {all} certificates as ssh-keygen -L; refused by it: {refused:?}; unread: {unread:?}"
    );
    // Neither for users nor for hosts: ssh-keygen refuses it, too.
    assert_eq!(unread, ["p256-p256-invalid-cert-type.pub"]);
    // ssh-keygen refuses the one whose signature is bad; we list it and say so.
    assert_eq!(refused, [("id_ed25519-cert-badsig.pub".to_owned(), "bad".to_owned())]);
}

#[test]
fn certificates_made_by_ssh_keygen() {
    if !has("certificates_made_by_ssh_keygen", "ssh-keygen") {
        return;
    }
    let scratch = Scratch::new("ssh");
    for (name, options) in [("ed25519", ""), ("ecdsa", "-b 256"), ("ecdsa3", "-b 384"), ("rsa", "-b 2048")] {
        let kind = name.trim_end_matches('3');
        scratch.run(&format!("ssh-keygen -q -t {kind} {options} -f ca_{name} -C ca -N ''"));
    }
    let mut number = 0;
    for ca in ["ed25519", "ecdsa", "ecdsa3", "rsa"] {
        for (kind, bits, options) in [
            ("ed25519", "", "-h -I host-id -n a.example,b.example -V 20260101:20270101"),
            ("rsa", "-b 2048", "-I user-id -n root -V 20260101000000Z:forever -O force-command=/bin/true"),
            ("ecdsa", "-b 521", "-I any -z 18446744073709551615"),
            ("ecdsa", "-b 256", "-I old -h -n x -V always:20300101 -z 7"),
        ] {
            number += 1;
            scratch.run(&format!("ssh-keygen -q -t {kind} {bits} -f k{number} -C me -N ''"));
            scratch.run(&format!("ssh-keygen -q -s ca_{ca} {options} k{number}.pub"));
            let path = scratch.path(&format!("k{number}-cert.pub"));
            let bytes = fs::read(&path).expect("a certificate");
            let found = statements(&bytes, StatementKind::SshCertificate);
            let [(place, statement)] = found.as_slice() else { panic!("one: {found:?}") };
            let theirs = by_ssh_keygen(&path).expect("its own");
            for field in in_their_words(statement) {
                assert!(theirs.contains(&field), "{ca} {kind}: {field:?} {theirs:#?}");
            }
            assert_eq!((place.as_str(), statement.fact_of("signature")), ("", Some("good")), "{ca} {kind}");
        }
    }
    println!("ssh: {number} of {number} certificates made by ssh-keygen as it lists them, signatures good");
    let hosts = format!(
        "# trusted\n@cert-authority *.a.example {}",
        String::from_utf8_lossy(&scratch.read("ca_ed25519.pub"))
    );
    let found = statements(hosts.as_bytes(), StatementKind::BareKey);
    let print = scratch.run("ssh-keygen -l -f ca_ed25519.pub");
    assert_eq!(found.first().and_then(|(_, s)| s.fact_of("key")), print.split(' ').nth(1));
}
