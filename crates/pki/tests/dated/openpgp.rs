//! OpenPGP keys: expiry, as gpg computes it, of the corpus and of keys that gpg has made.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use notafter_pki::{Statement, StatementKind};

use super::tools::{Scratch, corpus, files, has, statements, until};

/// What is compared: when made, when it ends (a subkey not after its primary key), whether revoked.
type Facts = (i64, Option<i64>, bool);

/// Keys and subkeys by fingerprint, as `--with-colons` lists them (GnuPG's doc/DETAILS).
fn by_gpg(listing: &str) -> BTreeMap<String, Facts> {
    let mut out = BTreeMap::new();
    let mut primary: Option<i64> = None;
    let mut pending: Option<Facts> = None;
    for line in listing.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let field = |n: usize| fields.get(n).copied().unwrap_or("");
        let kind = field(0);
        if matches!(kind, "pub" | "sec" | "sub" | "ssb") {
            let own: Option<i64> = field(6).parse().ok().filter(|time| *time != 0);
            if matches!(kind, "pub" | "sec") {
                primary = own;
            }
            let end = [own, primary].into_iter().flatten().min();
            pending = Some((field(5).parse().unwrap_or(0), end, field(1) == "r"));
        } else if kind == "fpr"
            && let Some(facts) = pending.take()
        {
            out.insert(field(9).to_owned(), facts);
        }
    }
    out
}

fn by_us(found: &[(String, Statement)]) -> BTreeMap<String, Facts> {
    let mut out = BTreeMap::new();
    for (_, statement) in found {
        let print = statement.fact_of("fingerprint").expect("a fingerprint").to_owned();
        let facts = (
            statement.not_before().map_or(0, |time| time.0),
            statement.not_after().map(|time| time.0),
            statement.fact_of("revoked").is_some(),
        );
        out.insert(print, facts);
    }
    out
}

fn show(home: &Scratch, path: &std::path::Path) -> String {
    let out = Command::new("gpg")
        .arg("--homedir")
        .arg(home.path(""))
        .args(["--batch", "--with-colons", "--show-keys"])
        .arg(path)
        .output()
        .expect("gpg runs");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn the_corpus_by_gpg() {
    let Some(root) = corpus("the_corpus_by_gpg", "openpgp") else { return };
    if !has("the_corpus_by_gpg", "gpg") {
        return;
    }
    let home = Scratch::new("corpus");
    let (mut agree, mut all, mut ours_alone) = (0, 0, BTreeMap::new());
    let mut differ = Vec::new();
    for path in files(&root) {
        let name = path.strip_prefix(&root).expect("below").display().to_string();
        let bytes = fs::read(&path).unwrap_or_default();
        let found = statements(&bytes, StatementKind::OpenpgpKey);
        let ours = by_us(&found);
        let theirs = by_gpg(&show(&home, &path));
        for (print, facts) in &theirs {
            all += 1;
            if ours.get(print) == Some(facts) {
                agree += 1;
            } else {
                differ.push(format!("{name} {print}: gpg {facts:?}, we {:?}", ours.get(print)));
            }
        }
        for (_, statement) in &found {
            if !theirs.contains_key(statement.fact_of("fingerprint").unwrap_or("")) {
                let version = statement.fact_of("version").unwrap_or("");
                let why = if statement.fact_of("unbound").is_some() { "unbound" } else { "bound" };
                *ours_alone.entry(format!("version {version}, {why}")).or_insert(0) += 1;
                if version == "4" {
                    println!("openpgp: {name}: {} is listed by us alone ({why})", statement.title());
                }
            }
        }
    }
    println!("openpgp: {agree} of {all} keys and subkeys as gpg; not listed by gpg: {ours_alone:?}");
    assert!(differ.is_empty() && all > 0, "{differ:#?}");
}

#[test]
fn keys_made_by_gpg() {
    if !has("keys_made_by_gpg", "gpg") {
        return;
    }
    let home = Scratch::new("made");
    let gpg =
        format!("gpg --homedir {} --batch --pinentry-mode loopback --passphrase=", home.path("").display());
    let at = |day: &str| format!("{gpg} --faked-system-time {day}T000000!");
    home.run(&format!("{} --quick-generate-key one@example.org ed25519 sign 2031-01-01", at("20260101")));
    home.run(&format!("{} --quick-generate-key two@example.org default default 1y", at("20260102")));
    home.run(&format!(
        "{} --quick-generate-key ever@example.org future-default default never",
        at("20260103")
    ));
    let list = home.run(&format!("{gpg} --with-colons --list-keys"));
    let print = |who: &str| {
        let at = list.find(who).expect("listed");
        let start = list[..at].rfind("fpr:::::::::").expect("a fingerprint") + 12;
        list[start..start + 40].to_owned()
    };
    let (one, two) = (print("one@"), print("two@"));
    // A later subkey with a date of its own, a user id more, and a life made longer.
    home.run(&format!("{} --quick-add-key {one} cv25519 encr 2028-05-05", at("20260201")));
    home.run(&format!("{} --quick-add-uid {one} second@example.org", at("20260301")));
    home.run(&format!("{} --quick-set-expire {one} 2033-03-03", at("20260401")));
    home.run(&format!("{} --quick-set-expire {two} 2029-09-09", at("20260501")));
    home.run(&format!("{} --quick-set-expire {two} 2028-08-08 *", at("20260502")));
    let theirs = by_gpg(&home.run(&format!("{gpg} --with-colons --list-keys")));
    assert_eq!(theirs.len(), 6, "{theirs:?}");
    home.run(&format!("{gpg} --output binary.gpg --export"));
    home.run(&format!("{gpg} --armor --output armoured.asc --export"));
    home.run(&format!("{gpg} --output secret.gpg --export-secret-keys"));
    for name in ["binary.gpg", "armoured.asc", "pubring.kbx", "secret.gpg"] {
        let bytes = home.read(name);
        let found = statements(&bytes, StatementKind::OpenpgpKey);
        assert_eq!(by_us(&found), theirs, "{name}");
        let secret = found.iter().filter(|(_, s)| s.fact_of("secret").is_some()).count();
        assert_eq!(secret, if name == "secret.gpg" { 6 } else { 0 }, "{name}");
    }
    let binary = home.read("binary.gpg");
    let found = statements(&binary, StatementKind::OpenpgpKey);
    let first = found.iter().find(|(_, s)| s.fact_of("fingerprint") == Some(&one)).expect("the first key");
    assert_eq!(until(&first.1).as_deref().map(|time| &time[..10]), Some("2033-03-03"));
    assert_eq!((first.0.clone(), first.1.names().len()), (format!("#{one}"), 2));
}
