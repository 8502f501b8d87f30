//! Verdicts on chains made for the purpose: one thing wrong at a time, alternatives, and chains made to hurt.

use std::time::{Duration, Instant};

use notafter_pki::verdict::{Profile, Purpose, Question, Reason, Rules, ServerName, Verdict, judge};
use notafter_pki::{Certificate, Crl};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Usage, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use super::agreement::parsed;
use super::made::{Authority, now, parse};

fn ask<'a>(
    leaf: &'a [u8],
    sent: &'a [Vec<u8>],
    anchors: &'a [Vec<u8>],
    crls: &'a [Vec<u8>],
    rules: Rules,
) -> Verdict<'a> {
    let lists: Vec<Crl<'_>> = crls.iter().map(|der| Crl::parse(der).expect("a CRL")).collect();
    let name = ServerName::Dns("a.example".to_owned());
    let (sent, anchors) = (parsed(sent), parsed(anchors));
    judge(&Question {
        leaf: parse(leaf),
        sent: &sent,
        anchors: &anchors,
        name: Some(&name),
        at: now(),
        purpose: Purpose::Server,
        crls: &lists,
        rules,
    })
}

/// What is done to a certificate, and the reason that is expected.
type Wrong = (&'static str, fn(&mut CertificateParams), Option<Reason>);
/// Lists, rules, and the reason that is expected.
type Listed = (&'static str, Vec<Vec<u8>>, Rules, Option<Reason>);

fn check(what: &str, verdict: &Verdict<'_>, reason: Option<Reason>) {
    assert_eq!(verdict.reason(), reason, "{what}: {verdict:?}");
}

#[test]
fn one_thing_wrong_with_the_leaf() {
    let (root, int) = (Authority::new("Root"), Authority::new("Int"));
    let (anchors, sent) = (vec![root.root(2040)], vec![int.certified_by(&root, 2035, |_| {})]);
    let table: &[Wrong] = &[
        ("nothing", |_| {}, None),
        ("expired", |p| p.not_after = date_time_ymd(2026, 1, 1), Some(Reason::Expired)),
        ("too early", |p| p.not_before = date_time_ymd(2027, 1, 1), Some(Reason::NotYetValid)),
        (
            "another name",
            |p| p.subject_alt_names = vec![SanType::DnsName("b.example".try_into().unwrap())],
            Some(Reason::NameMismatch),
        ),
        ("only a commonName", |p| p.subject_alt_names.clear(), Some(Reason::NameMismatch)),
        ("for clients", |p| p.extended_key_usages = vec![Usage::ClientAuth], Some(Reason::PurposeUnfit)),
        ("for servers", |p| p.extended_key_usages = vec![Usage::ServerAuth], None),
        ("for anything", |p| p.extended_key_usages = vec![Usage::Any], None),
        (
            "an unknown critical extension",
            |p| {
                let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
                extension.set_criticality(true);
                p.custom_extensions.push(extension);
            },
            Some(Reason::UnknownCriticalExtension),
        ),
    ];
    for (what, with, reason) in table {
        let leaf = int.leaf("a.example", 2027, with);
        check(what, &ask(&leaf, &sent, &anchors, &[], Rules::default()), *reason);
    }
    let leaf = int.leaf("a.example", 2027, |_| {});
    let Verdict::Trusted { path, expires, notes } = ask(&leaf, &sent, &anchors, &[], Rules::default()) else {
        panic!("untrusted")
    };
    assert_eq!((path.len(), expires.to_string().as_str(), notes.len()), (3, "2027-01-01T00:00:00Z", 0));
    let mut broken = leaf.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    check(
        "a broken signature",
        &ask(&broken, &sent, &anchors, &[], Rules::default()),
        Some(Reason::BadSignature),
    );
}

#[test]
fn one_thing_wrong_with_an_issuer() {
    let (root, int) = (Authority::new("Root"), Authority::new("Int"));
    let anchors = vec![root.root(2040)];
    let leaf = int.leaf("a.example", 2027, |_| {});
    let table: &[Wrong] = &[
        ("nothing", |_| {}, None),
        ("expired", |p| p.not_after = date_time_ymd(2026, 1, 1), Some(Reason::Expired)),
        ("no CA", |p| p.is_ca = IsCa::ExplicitNoCa, Some(Reason::NotACa)),
        ("no word about CA", |p| p.is_ca = IsCa::NoCa, Some(Reason::NotACa)),
        ("may not sign", |p| p.key_usages = vec![KeyUsagePurpose::CrlSign], Some(Reason::KeyUsageUnfit)),
        ("for clients", |p| p.extended_key_usages = vec![Usage::ClientAuth], Some(Reason::PurposeUnfit)),
        ("path length 0", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), None),
        (
            "another's names",
            |p| {
                p.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![GeneralSubtree::DnsName("b.example".into())],
                    excluded_subtrees: vec![],
                })
            },
            Some(Reason::NameConstraint),
        ),
        (
            "its names",
            |p| {
                p.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![GeneralSubtree::DnsName("example".into())],
                    excluded_subtrees: vec![],
                })
            },
            None,
        ),
    ];
    for (what, with, reason) in table {
        let sent = vec![int.certified_by(&root, 2035, with)];
        check(what, &ask(&leaf, &sent, &anchors, &[], Rules::default()), *reason);
    }
    check("not sent", &ask(&leaf, &[], &anchors, &[], Rules::default()), Some(Reason::UnknownIssuer));
    let sent = vec![int.certified_by(&root, 2035, |_| {}), root.root(2040)];
    check("no anchors", &ask(&leaf, &sent, &[], &[], Rules::default()), Some(Reason::UntrustedRoot));
    let below = Authority::new("Below");
    let sent = vec![
        int.certified_by(&root, 2035, |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        below.certified_by(&int, 2030, |_| {}),
    ];
    let leaf = below.leaf("a.example", 2027, |_| {});
    check("too long", &ask(&leaf, &sent, &anchors, &[], Rules::default()), Some(Reason::PathTooLong));
}

#[test]
fn alternatives() {
    let (old, new, int) = (Authority::new("Old"), Authority::new("New"), Authority::new("Int"));
    let leaf = int.leaf("a.example", 2028, |_| {});
    let sent = vec![
        int.certified_by(&new, 2035, |_| {}),
        int.certified_by(&old, 2025, |_| {}),
        new.certified_by(&old, 2021, |_| {}),
    ];
    let both = vec![old.root(2021), new.root(2040)];
    check("the dead root does not count", &ask(&leaf, &sent, &both, &[], Rules::default()), None);
    let dead = vec![old.root(2021)];
    check("only the dead root", &ask(&leaf, &sent, &dead, &[], Rules::default()), Some(Reason::Expired));
    let chrome = Rules { anchor_expiry: false, ..Rules::default() };
    let sent_cross = vec![int.certified_by(&new, 2035, |_| {}), new.certified_by(&old, 2030, |_| {})];
    check("a client that lets roots lapse", &ask(&leaf, &sent_cross, &dead, &[], chrome), None);
    let twins = vec![int.certified_by(&new, 2027, |_| {}), int.certified_by(&new, 2035, |_| {})];
    let verdict = ask(&leaf, &twins, &both, &[], Rules::default());
    let Verdict::Trusted { expires, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(expires.to_string(), "2028-01-01T00:00:00Z", "the path that lasts longest");
    let lone = int.certified_by(&int, 2030, |p| {
        *p = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        p.distinguished_name = int.params.distinguished_name.clone();
    });
    check("a self-signed leaf", &ask(&lone, &[], &[], &[], Rules::default()), Some(Reason::UntrustedRoot));
    check(
        "and trusted for itself",
        &ask(&lone, &[], std::slice::from_ref(&lone), &[], Rules::default()),
        None,
    );
}

#[test]
fn revocation() {
    let (root, int) = (Authority::new("Root"), Authority::new("Int"));
    let anchors = vec![root.root(2040)];
    let sent = vec![int.certified_by(&root, 2035, |_| {})];
    let leaf = int.leaf("a.example", 2027, |_| {});
    let strict = Rules { profile: Profile::Rfc5280, ..Rules::default() };
    let table: &[Listed] = &[
        ("not on it", vec![int.crl(&[], 2027)], Rules::default(), None),
        ("on it", vec![int.crl(&[&leaf], 2027)], Rules::default(), Some(Reason::Revoked)),
        ("on a late one", vec![int.crl(&[&leaf], 2026)], Rules::default(), Some(Reason::Revoked)),
        ("not on a late one", vec![int.crl(&[], 2026)], Rules::default(), None),
        ("not on a late one, strictly", vec![int.crl(&[], 2026)], strict, Some(Reason::RevocationUnknown)),
        ("the issuer is on it", vec![root.crl(&[&sent[0]], 2027)], Rules::default(), Some(Reason::Revoked)),
        (
            "by a namesake",
            vec![Authority::new("Int").crl(&[&leaf], 2027)],
            Rules::default(),
            Some(Reason::RevocationUnknown),
        ),
        ("by somebody else", vec![Authority::new("Else").crl(&[&leaf], 2027)], Rules::default(), None),
    ];
    for (what, crls, rules, reason) in table {
        check(what, &ask(&leaf, &sent, &anchors, crls, *rules), *reason);
    }
    let late = vec![int.crl(&[], 2026)];
    let Verdict::Trusted { notes, .. } = ask(&leaf, &sent, &anchors, &late, Rules::default()) else {
        panic!("untrusted")
    };
    assert!(notes[0].contains("late: its next update was due at 2026-11-01T00:00:00Z"), "{notes:?}");
}

#[test]
fn meshes_are_bounded() {
    let authorities: Vec<Authority> = (0..20).map(|n| Authority::new(&format!("CA {n}"))).collect();
    let mut sent = Vec::new();
    for a in &authorities {
        for b in authorities.iter().filter(|b| !std::ptr::eq(a, *b)) {
            sent.push(a.certified_by(b, 2030, |_| {}));
        }
    }
    let leaf = authorities[0].leaf("a.example", 2027, |_| {});
    let started = Instant::now();
    check("a mesh to nowhere", &ask(&leaf, &sent, &[], &[], Rules::default()), Some(Reason::Budget));
    let anchors = vec![authorities[19].root(2030)];
    check("a mesh with a root", &ask(&leaf, &sent, &anchors, &[], Rules::default()), None);
    // Three hundred CAs of one name and different keys, none of which signed.
    let namesakes: Vec<Vec<u8>> = (0..300).map(|_| Authority::new("CA 0").root(2030)).collect();
    check("namesakes", &ask(&leaf, &namesakes, &anchors, &[], Rules::default()), Some(Reason::Budget));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn nothing_panics_on_mutations() {
    let (root, int) = (Authority::new("Root"), Authority::new("Int"));
    let constraints = NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example".into())],
        excluded_subtrees: vec![],
    };
    let (anchors, sent) = (
        vec![root.root(2040)],
        vec![int.certified_by(&root, 2035, |p| p.name_constraints = Some(constraints))],
    );
    let leaf = int.leaf("a.example", 2027, |_| {});
    let rules = Rules { profile: Profile::WebPki, ..Rules::default() };
    for at in 0..leaf.len().max(sent[0].len()) {
        for octet in [0, 0x30, 0x7f, 0x80, 0xff] {
            let mutate = |der: &[u8]| {
                let mut der = der.to_vec();
                if let Some(place) = der.get_mut(at) {
                    *place = octet;
                }
                der
            };
            let (leaf_mutant, sent_mutant) = (mutate(&leaf), vec![mutate(&sent[0])]);
            if Certificate::parse(&leaf_mutant).is_ok() && leaf_mutant != leaf {
                assert!(!ask(&leaf_mutant, &sent, &anchors, &[], rules).is_trusted(), "octet {at} = {octet}");
            }
            if sent_mutant != sent {
                assert!(!ask(&leaf, &sent_mutant, &anchors, &[], rules).is_trusted(), "octet {at} = {octet}");
            }
        }
    }
}
