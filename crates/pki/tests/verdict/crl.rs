//! BoringSSL's `crl_unittest`: a leaf, its issuer, one CRL. The first word of the file's name is the expectation.

use std::fs;

use notafter_pki::Crl;
use notafter_pki::verdict::{Purpose, Question, Reason, Rules, judge};

use super::agreement::{Group, Tally, block, corpus, instant, parsed};

#[test]
fn crl_unittest() {
    let Some(folder) = corpus("boringssl-pki/crl_unittest") else { return };
    let mut tally = Tally::new("boringssl crl_unittest");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let id = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a case");
        let read = |label: &str| vec![block(&text, label).expect("a block")];
        let (leaf, issuer, list) = (read("CERTIFICATE"), read("CA CERTIFICATE"), read("CRL"));
        let list = Crl::parse(&list[0]).ok();
        let verdict = judge(&Question {
            leaf: parsed(&leaf)[0],
            sent: &[],
            anchors: &parsed(&issuer),
            name: None,
            at: instant("2017-03-09T00:00:00Z"),
            purpose: Purpose::Any,
            crls: list.as_slice(),
            // Keys are of 1024 bits, and the issuers have no basicConstraints.
            rules: Rules { rsa_bits_min: 1024, anchor_constraints: false, ..Rules::default() },
        });
        let expected = match id.split('_').next() {
            Some("good") => None,
            Some("revoked") => Some(Reason::Revoked),
            _ => Some(Reason::RevocationUnknown),
        };
        // A file that holds no list is refused before anything is judged.
        let refused = list.is_none() && expected == Some(Reason::RevocationUnknown);
        tally.case(&id, refused || verdict.reason() == expected, || {
            format!("{}: {verdict:?}", list.is_some())
        });
    }
    tally.finish(24, EXCEPTIONS);
}

const EXCEPTIONS: &[Group] = &[
    (
        "a list that is not for the certificate is no list for it, and without one nothing is judged",
        &["bad_idp_onlycontainscacerts_no_basic_constraints", "bad_idp_uri_and_onlycontainsusercerts"],
    ),
    (
        "BoringSSL's caller refuses lists older than a week; RFC 5280 has only nextUpdate",
        &["bad_thisupdate_too_old"],
    ),
];
