//! Where the corpora are, how their files are read, and how agreement with them is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use notafter_pki::container::{self, Content, Limits};
use notafter_pki::{Certificate, UnixTime};

/// A folder of the corpora; `None`, and a line that says so, when it is not there.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let folder = std::env::var_os("NOTAFTER_CORPORA").map_or(default, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("NOT RUN: {name}: no corpus at {}", folder.display());
    None
}

/// A JSON document in a gzip file.
pub(crate) fn json_gz(file: &Path) -> serde_json::Value {
    let bytes = fs::read(file).expect("a file of the corpus");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
    serde_json::from_str(&text).expect("JSON")
}

/// The DER of all certificates in these bytes.
pub(crate) fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    container::open(bytes, &[], &Limits::default()).certificates().map(<[u8]>::to_vec).collect()
}

/// The DER of all CRLs in these bytes.
pub(crate) fn crls(bytes: &[u8]) -> Vec<Vec<u8>> {
    let opened = container::open(bytes, &[], &Limits::default());
    let crl = |content: Content<'_>| match content {
        Content::Crl(der) => Some(der.into_owned()),
        _ => None,
    };
    opened.found.into_iter().filter_map(|found| crl(found.content)).collect()
}

/// The body of the first PEM block with this label, decoded.
pub(crate) fn block(text: &str, label: &str) -> Option<Vec<u8>> {
    let start = format!("-----BEGIN {label}-----");
    let body = text.split_once(&start)?.1.split_once("-----END")?.0;
    Some(decode(body))
}

/// Base64 with anything else left out.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for digit in text.bytes().filter_map(|octet| ALPHABET.iter().position(|known| *known == octet)) {
        bits = bits << 6 | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

/// Those that parse.
pub(crate) fn parsed(ders: &[Vec<u8>]) -> Vec<Certificate<'_>> {
    ders.iter().filter_map(|der| Certificate::parse(der).ok()).collect()
}

/// An instant written as RFC 3339 in UTC.
pub(crate) fn instant(text: &str) -> UnixTime {
    let numbers: Vec<i64> =
        text.split(['-', 'T', ':', '+', 'Z']).filter_map(|part| part.parse().ok()).collect();
    let [year, month, day, hour, minute, second, ..] = numbers[..] else { panic!("no instant: {text}") };
    let small = |number: i64| u8::try_from(number).expect("part of a date");
    UnixTime::from_civil(notafter_pki::time::Civil {
        year,
        month: small(month),
        day: small(day),
        hour: small(hour),
        minute: small(minute),
        second: small(second),
    })
    .expect("an instant")
}

/// A group of cases that disagree or are out of scope: why, and which.
pub(crate) type Group = (&'static str, &'static [&'static str]);

/// Counts agreement, case by case.
pub(crate) struct Tally {
    corpus: &'static str,
    agreeing: usize,
    disagreeing: Vec<(String, String)>,
    out_of_scope: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub(crate) fn new(corpus: &'static str) -> Self {
        Self { corpus, agreeing: 0, disagreeing: Vec::new(), out_of_scope: BTreeMap::new() }
    }

    /// Notes a case: what was expected, what came.
    pub(crate) fn case(&mut self, id: &str, agrees: bool, what: impl FnOnce() -> String) {
        if agrees {
            self.agreeing += 1;
        } else {
            self.disagreeing.push((id.to_owned(), what()));
        }
    }

    /// Notes a case that is no question to a TLS client, and why.
    pub(crate) fn skip(&mut self, why: &'static str) {
        *self.out_of_scope.entry(why).or_default() += 1;
    }

    /// Prints the sum, and fails unless exactly the named cases disagree.
    pub(crate) fn finish(self, agreeing_at_least: usize, exceptions: &[Group]) {
        let cases = self.agreeing + self.disagreeing.len();
        println!(
            "{}: {} of {cases} agree; {} named exceptions, {} out of scope",
            self.corpus,
            self.agreeing,
            self.disagreeing.len(),
            self.out_of_scope.values().sum::<usize>()
        );
        for (why, cases) in exceptions {
            println!("  exceptions, {}: {why}", cases.len());
        }
        for (why, count) in &self.out_of_scope {
            println!("  out of scope, {count}: {why}");
        }
        let named: BTreeSet<&str> = exceptions.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
        let found: BTreeSet<&str> = self.disagreeing.iter().map(|(id, _)| id.as_str()).collect();
        let mut wrong: Vec<String> = self
            .disagreeing
            .iter()
            .filter(|(id, _)| !named.contains(id.as_str()))
            .map(|(id, what)| format!("{id}: {what}"))
            .collect();
        wrong.extend(named.difference(&found).map(|id| format!("{id}: named as an exception, but agrees")));
        assert!(wrong.is_empty(), "{}:\n{}", self.corpus, wrong.join("\n"));
        assert!(
            self.agreeing >= agreeing_at_least,
            "{}: {} of {cases} agree, fewer than {agreeing_at_least}",
            self.corpus,
            self.agreeing
        );
    }
}
