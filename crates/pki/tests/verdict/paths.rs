//! BoringSSL's `path_builder_unittest` and `verify_unittest`: which path is taken, among cross-signs and twins.
//!
//! The corpus has the certificates, not the questions: those are written here.

use std::fs;

use notafter_pki::verdict::{Purpose, Question, Reason, Rules, Verdict, judge};

use super::agreement::{certificates, corpus, instant, parsed};

/// Leaf, what is sent, what is trusted, when; and the path that is expected, or the reason.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
    Result<&'static [&'static str], Reason>,
);

const A: &str = "path_builder_unittest/multi-root-A-by-B.pem";
const B_C: &str = "path_builder_unittest/multi-root-B-by-C.pem";
const B_F: &str = "path_builder_unittest/multi-root-B-by-F.pem";
const C_E: &str = "path_builder_unittest/multi-root-C-by-E.pem";
const F_E: &str = "path_builder_unittest/multi-root-F-by-E.pem";
const ML_LEAF: &str = "verify_unittest/mldsa-leaf.pem";
const ML_INT: &str = "verify_unittest/mldsa-intermediate.pem";
const ML_ROOT: &str = "verify_unittest/mldsa-root.pem";
const R3: &str = "verify_unittest/lencr-intermediate-r3.der";
const X1: &str = "verify_unittest/lencr-root-x1.der";
const X3: &str = "verify_unittest/lencr-root-dst-x3.der";
const TARGET: &str = "path_builder_unittest/validity_date_prioritization/target.pem";
const INT_AD: &str = "path_builder_unittest/validity_date_prioritization/int_ad.pem";
const INT_BC: &str = "path_builder_unittest/validity_date_prioritization/int_bc.pem";

const TABLE: &[Row] = &[
    (A, &[B_C, B_F], &[C_E], "2018-01-01T00:00:00Z", Ok(&[A, B_C, C_E])),
    (A, &[B_C, B_F], &[F_E], "2018-01-01T00:00:00Z", Ok(&[A, B_F, F_E])),
    (A, &[B_C, B_F, C_E], &[F_E], "2018-01-01T00:00:00Z", Ok(&[A, B_F, F_E])),
    (A, &[], &[B_F], "2018-01-01T00:00:00Z", Ok(&[A, B_F])),
    (A, &[B_C, B_F, C_E, F_E], &[], "2018-01-01T00:00:00Z", Err(Reason::UnknownIssuer)),
    (A, &[B_C], &[C_E], "2016-01-01T00:00:00Z", Err(Reason::NotYetValid)),
    (A, &[B_C], &[C_E], "2027-01-01T00:00:00Z", Err(Reason::Expired)),
    (A, &[], &[C_E, F_E], "2018-01-01T00:00:00Z", Err(Reason::UnknownIssuer)),
    (R3, &[], &[X3, X1], "2021-06-01T00:00:00Z", Ok(&[R3, X1])),
    (R3, &[], &[X3], "2021-06-01T00:00:00Z", Err(Reason::UnknownIssuer)),
    (ML_LEAF, &[ML_INT], &[ML_ROOT], "2026-04-06T00:00:00Z", Ok(&[ML_LEAF, ML_INT, ML_ROOT])),
    (ML_LEAF, &[ML_INT], &[ML_ROOT], "2026-04-08T00:00:00Z", Err(Reason::Expired)),
    // Both twins are fine at first; one of them is not yet, and is not waited for; then one is left.
    (TARGET, &[], &[INT_AD, INT_BC], "2017-01-01T00:00:00Z", Ok(&[TARGET, INT_AD])),
    (TARGET, &[], &[INT_BC, INT_AD], "2015-01-02T00:00:00Z", Ok(&[TARGET, INT_AD])),
    (TARGET, &[], &[INT_BC, INT_AD], "2018-01-02T00:00:00Z", Ok(&[TARGET, INT_AD])),
    (TARGET, &[], &[INT_BC], "2018-01-02T00:00:00Z", Err(Reason::Expired)),
];

#[test]
fn paths_taken() {
    let Some(folder) = corpus("boringssl-pki") else { return };
    let read =
        |name: &&str| certificates(&fs::read(folder.join(name)).expect("a certificate")).swap_remove(0);
    for (leaf, sent, anchors, at, expected) in TABLE {
        let ders: Vec<Vec<u8>> = sent.iter().chain(*anchors).map(read).collect();
        let (sent_ders, anchor_ders) = ders.split_at(sent.len());
        let leaf_der = read(leaf);
        let verdict = judge(&Question {
            leaf: parsed(std::slice::from_ref(&leaf_der))[0],
            sent: &parsed(sent_ders),
            anchors: &parsed(anchor_ders),
            name: None,
            at: instant(at),
            purpose: Purpose::Any,
            crls: &[],
            rules: Rules::default(),
        });
        let got = match &verdict {
            Verdict::Trusted { path, .. } => Ok(path.iter().map(|c| c.der().to_vec()).collect::<Vec<_>>()),
            Verdict::Untrusted { reason, .. } => Err(*reason),
        };
        let expected = expected.map(|path| path.iter().map(read).collect::<Vec<_>>());
        assert_eq!(got, expected, "{leaf} {sent:?} {anchors:?} {at}: {verdict:?}");
    }
    println!("boringssl path_builder_unittest, verify_unittest: {0} of {0} questions", TABLE.len());
}

/// Six certificates of one intermediate: any will do, and one is taken without asking the others.
#[test]
fn twins_by_key_identifier() {
    let Some(folder) = corpus("boringssl-pki/path_builder_unittest/key_id_prioritization") else { return };
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let ders: Vec<Vec<u8>> =
        files.iter().flat_map(|file| certificates(&fs::read(file).expect("a file"))).collect();
    let all = parsed(&ders);
    let (leaf, twins) = all.split_last().expect("certificates");
    assert_eq!(twins.len(), 6);
    let rules = Rules { checks_max: 1, ..Rules::default() };
    let at = instant("2017-01-01T00:00:00Z");
    let verdict = judge(&Question {
        leaf: *leaf,
        sent: &[],
        anchors: twins,
        name: None,
        at,
        purpose: Purpose::Any,
        crls: &[],
        rules,
    });
    let Verdict::Trusted { path, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(path[1].subject_key_id(), leaf.authority_key_id(), "the one whose identifier fits");
}
