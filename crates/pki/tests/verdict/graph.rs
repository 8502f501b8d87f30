//! `pki::chain`: which path is the best, and that finding it is bounded.

use std::time::{Duration, Instant};

use notafter_pki::chain::{AnchorSets, CHECKS_MAX, Client, End, Graph, Path};

use super::made::{Authority, parse};

/// Searches from `leaf` among `(DER, anchor sets, sent)`; gives the path and the numbers of its issuers.
fn search(leaf: &[u8], others: &[(&[u8], AnchorSets, bool)]) -> (Path, Vec<usize>) {
    let mut graph = Graph::new();
    let nodes: Vec<_> = others.iter().map(|(der, sets, _)| graph.add(parse(der), *sets)).collect();
    let sent: Vec<_> =
        nodes.iter().zip(others).filter(|(_, (.., sent))| *sent).map(|(node, _)| *node).collect();
    let path = graph.best_path(&parse(leaf), &sent);
    let number = |node: &_| nodes.iter().position(|known| known == node).expect("a node of ours");
    let numbers = path.issuers.iter().map(number).collect();
    (path, numbers)
}

fn check(
    what: &str,
    leaf: &[u8],
    others: &[(&[u8], AnchorSets, bool)],
    end: End,
    issuers: &[usize],
    unsent: bool,
) {
    let (path, numbers) = search(leaf, others);
    assert_eq!((path.end, numbers.as_slice(), path.unsent.is_some()), (end, issuers, unsent), "{what}");
    assert!(!path.cut_short, "{what}");
}

#[test]
fn ends() {
    let (root, other, int) = (Authority::new("Root"), Authority::new("Root"), Authority::new("Int"));
    let root_cert = root.root(2040);
    let other_cert = other.root(2040);
    let int_cert = int.certified_by(&root, 2035, |_| {});
    let leaf = int.leaf("a.example", 2027, |_| {});
    let anchor = End::Anchor(1);
    check("public", &leaf, &[(&int_cert, 0, true), (&root_cert, 1, false)], anchor, &[0, 1], false);
    check("private", &leaf, &[(&int_cert, 0, true), (&root_cert, 0, true)], End::PrivateRoot, &[0, 1], false);
    check("incomplete", &leaf, &[(&int_cert, 0, false), (&root_cert, 1, false)], anchor, &[0, 1], true);
    check("no intermediate", &leaf, &[(&root_cert, 1, false)], End::UnknownIssuer, &[], false);
    check("no root", &leaf, &[(&int_cert, 0, true)], End::UnknownIssuer, &[0], false);
    check(
        "a namesake of the root",
        &leaf,
        &[(&int_cert, 0, true), (&other_cert, 1, false)],
        End::BadSignature,
        &[0],
        false,
    );
    check(
        "both",
        &leaf,
        &[(&int_cert, 0, true), (&other_cert, 1, false), (&root_cert, 1, false)],
        anchor,
        &[0, 2],
        false,
    );
    check("an anchor itself", &int_cert, &[(&int_cert, 2, true)], End::Anchor(2), &[], false);
    check("a root by itself", &root_cert, &[], End::PrivateRoot, &[], false);
    let lone = Authority::new("lone.example");
    let mut params = lone.params.clone();
    params.is_ca = rcgen::IsCa::NoCa;
    let lone = lone.certified_by(&lone, 2030, |given| *given = params);
    check("a self-signed leaf", &lone, &[], End::SelfSigned, &[], false);
}

#[test]
fn preferences() {
    let (old, new, int) = (Authority::new("Old Root"), Authority::new("New Root"), Authority::new("Int"));
    let (old_cert, new_cert) = (old.root(2021), new.root(2040));
    let cross = new.certified_by(&old, 2021, |_| {});
    let int_cert = int.certified_by(&new, 2035, |_| {});
    let leaf = int.leaf("a.example", 2027, |_| {});
    // As in September 2021: the chain that is sent ends in a cross-sign by a root that is dead.
    let anchor = End::Anchor(1);
    let all: [(&[u8], AnchorSets, bool); 4] =
        [(&int_cert, 0, true), (&cross, 0, true), (&old_cert, 1, false), (&new_cert, 1, false)];
    check("the living root before the dead one", &leaf, &all, anchor, &[0, 3], false);
    let only_old = [all[0], all[1], all[2]];
    check("the dead root where there is no other", &leaf, &only_old, anchor, &[0, 1, 2], false);
    let private = [all[0], all[1], all[2], (&new_cert[..], 0, true)];
    check("an anchor before a private root that lasts longer", &leaf, &private, anchor, &[0, 1, 2], false);
    let more = [all[0], all[1], (&old_cert[..], 3, false), (&new_cert[..], 4, false)];
    check(
        "the root of more sets before the one that lasts longer",
        &leaf,
        &more,
        End::Anchor(3),
        &[0, 1, 2],
        false,
    );
    let twin = int.certified_by(&new, 2030, |_| {});
    let leaf = int.leaf("a.example", 2038, |_| {});
    let twins: [(&[u8], AnchorSets, bool); 3] =
        [(&twin, 0, false), (&int_cert, 0, false), (&new_cert, 1, false)];
    check("of two certificates of one CA, the one that lasts longer", &leaf, &twins, anchor, &[1, 2], true);
    let sent = [(&twin[..], 0, true), twins[1], twins[2]];
    check("what was sent before what lasts longer", &leaf, &sent, anchor, &[0, 2], false);
}

#[test]
fn key_identifiers_are_hints() {
    let (root, int) = (Authority::new("Root"), Authority::new("Int"));
    let root_cert = root.root(2040);
    let wrong = int.certified_by(&root, 2035, |params| {
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3]);
    });
    let namesake = Authority::new("Int").certified_by(&root, 2035, |params| {
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(
            parse(&int.root(2030)).subject_key_id().expect("an id").to_vec(),
        );
    });
    let leaf = int.leaf("a.example", 2027, |_| {});
    let all: [(&[u8], AnchorSets, bool); 3] =
        [(&namesake, 0, true), (&wrong, 0, true), (&root_cert, 1, false)];
    check("the right key under a wrong identifier", &leaf, &all, End::Anchor(1), &[1, 2], false);
}

#[test]
fn loops_end() {
    let (a, b) = (Authority::new("A"), Authority::new("B"));
    let (a_by_b, b_by_a) = (a.certified_by(&b, 2030, |_| {}), b.certified_by(&a, 2030, |_| {}));
    let leaf = a.leaf("a.example", 2027, |_| {});
    let (path, numbers) = search(&leaf, &[(&a_by_b, 0, true), (&b_by_a, 0, true)]);
    assert_eq!((path.end, numbers, path.cut_short), (End::UnknownIssuer, vec![0, 1], false));
    let b_cert = b.root(2030);
    check(
        "a loop with a way out",
        &leaf,
        &[(&a_by_b, 0, true), (&b_by_a, 0, true), (&b_cert, 1, false)],
        End::Anchor(1),
        &[0, 2],
        false,
    );
}

#[test]
fn a_mesh_is_bounded() {
    let authorities: Vec<Authority> = (0..20).map(|n| Authority::new(&format!("CA {n}"))).collect();
    let mut mesh = Vec::new();
    for a in &authorities {
        for b in authorities.iter().filter(|b| !std::ptr::eq(a, *b)) {
            mesh.push(a.certified_by(b, 2030, |_| {}));
        }
    }
    let leaf = authorities[0].leaf("a.example", 2027, |_| {});
    let mut all: Vec<(&[u8], AnchorSets, bool)> = mesh.iter().map(|der| (&der[..], 0, true)).collect();
    let started = Instant::now();
    let (path, _) = search(&leaf, &all);
    assert!(path.cut_short && matches!(path.end, End::UnknownIssuer), "{path:?}");
    // The root of the last: three steps away, and found before the mesh has eaten the budget.
    let root = authorities[19].root(2030);
    all.push((&root, 1, false));
    let (path, numbers) = search(&leaf, &all);
    assert_eq!((path.end, numbers.len(), numbers.last()), (End::Anchor(1), 2, Some(&380)), "{path:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn clients_differ_where_a_cross_sign_is_sent() {
    let (old, new) = (Authority::new("Old Root"), Authority::new("New Root"));
    let (old_root, new_root) = (old.root(2027), new.root(2040));
    let cross = new.certified_by(&old, 2027, |_| {});
    let leaf = new.leaf("a.example", 2028, |_| {});
    let mut graph = Graph::new();
    let olds = graph.add(parse(&old_root), 2);
    let news = graph.add(parse(&new_root), 1);
    let crossed = graph.add(parse(&cross), 0);
    let leaf = parse(&leaf);
    // Who follows what is sent ends at the old root; who looks further, at the new one.
    assert_eq!(graph.as_sent(&leaf, &[crossed]), [crossed, olds]);
    assert_eq!(graph.best_path(&leaf, &[crossed]).issuers, [news]);
    assert_eq!(graph.as_sent(&leaf, &[]), [news]);
    // A root that was sent is not followed: the client has its own.
    assert_eq!(graph.as_sent(&leaf, &[news]), [news]);
    let mut path = |trusts, sent: &[_]| graph.best_path_of(Client { trusts, only_sent: true }, &leaf, sent);
    let with_old = path(2, &[crossed]);
    assert_eq!((with_old.end, with_old.issuers), (End::Anchor(2), vec![crossed, olds]));
    assert!(!matches!(path(2, &[]).end, End::Anchor(_)));
    assert_eq!(path(1, &[crossed]).issuers, [news]);
    assert_eq!(graph.kin(news).collect::<Vec<_>>(), [news, crossed]);
}

#[test]
fn every_client_together_costs_little_in_a_mesh() {
    let authorities: Vec<Authority> = (0..12).map(|n| Authority::new(&format!("CA {n}"))).collect();
    let mut mesh = Vec::new();
    for a in &authorities {
        for b in authorities.iter().filter(|b| !std::ptr::eq(a, *b)) {
            mesh.push(a.certified_by(b, 2030, |_| {}));
        }
    }
    let leaf = authorities[0].leaf("a.example", 2027, |_| {});
    let mut graph = Graph::new();
    let sent: Vec<_> = mesh.iter().map(|der| graph.add(parse(der), 0)).collect();
    let leaf = parse(&leaf);
    let started = Instant::now();
    graph.best_path(&leaf, &sent);
    graph.as_sent(&leaf, &sent);
    for bit in 0..9 {
        graph.best_path_of(Client { trusts: 1 << bit, only_sent: true }, &leaf, &sent);
    }
    // Each search has its budget, and a signature that was checked is not checked again.
    let most = u64::from(CHECKS_MAX) * 11;
    assert!(graph.checks() <= most.min(132 + 11 * 12), "{}", graph.checks());
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
