//! How much of a moment remains: readers that open both files in a loop while they are switched.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use notafter_lab::{Lab, base64};
use serde_json::json;

use super::{bundle, deployer, leaves, run};

/// A reader that opens two paths one after the other may see halves; one that then looks again does not.
#[test]
#[allow(clippy::print_stdout)]
fn readers_never_find_a_missing_file_and_never_halves_that_stay() {
    let lab = Lab::new("race");
    let leaves = leaves(&lab, 2);
    let folder = lab.subfolder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let target = deployer("files", json!({ "certificate": certificate, "key": key }));
    run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    let of = |path: &std::path::Path| std::fs::read(path).unwrap();
    let pairs: Vec<_> = leaves.iter().map(|l| (of(&l.fullchain_pem), of(&l.key_pem))).collect();
    let (over, seen, halves) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let agree = || {
        let pair = (of(&certificate), of(&key));
        pairs.contains(&pair)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                seen.fetch_add(1, Ordering::Relaxed);
                if !agree() {
                    halves.fetch_add(1, Ordering::Relaxed);
                    // A busy machine may hold a look up until the next switch, and not three times.
                    assert!((0..3).any(|_| agree()), "halves that stay");
                }
            }
        });
        for generation in 2..30 {
            run(target.deploy(&super::cx(), &bundle(&leaves[generation % 2], generation as u64))).unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    let (seen, halves) = (seen.into_inner(), halves.into_inner());
    println!("{seen} looks during 28 switches, {halves} of them across one");
    assert!(seen > 100, "{seen}");
    // At most one look can lie across each switch.
    assert!(halves <= 28, "{halves}");
    assert!(!base64::blocks(&std::fs::read_to_string(&key).unwrap(), "PRIVATE KEY").is_empty());
}
