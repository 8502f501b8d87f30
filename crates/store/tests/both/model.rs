//! Random runs against a naive model in memory: which leaf is where, unseen or not, and every count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use notafter_core::UnixTime;
use notafter_core::inventory::Role;
use notafter_core::query::Query;
use notafter_store::{Database, Store};
use proptest::prelude::*;

use crate::scene::{Authority, Batch, DAY, NOW, complete, id, judge_all};

const PLACES: usize = 5;
const LEAVES: usize = 6;

fn leaves() -> &'static Vec<Arc<[u8]>> {
    static MADE: OnceLock<Vec<Arc<[u8]>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let ca = Authority::new("CA");
        (0..LEAVES).map(|n| ca.leaf(&[&format!("h{}.example.com", n % 3)], 30 + n as i64)).collect()
    })
}

fn place(n: usize) -> String {
    match n {
        0 => "file:///etc/a.pem".into(),
        n => format!("tls://10.0.0.{n}:443?sni=h.example.com"),
    }
}

/// By place: the leaf and whether it is unseen.
type Model = BTreeMap<usize, (usize, bool)>;

/// One complete run: which leaf each place showed, if any.
type Look = Vec<Option<usize>>;

fn run(model: &mut Model, look: &Look) {
    for (place, seen) in look.iter().enumerate() {
        match (seen, place) {
            (Some(leaf), _) => {
                model.insert(place, (*leaf, false));
            }
            // A file that was looked for and is not there is gone; an endpoint is only unseen.
            (None, 0) => {
                model.remove(&0);
            }
            (None, _) => {
                model.entry(place).and_modify(|known| known.1 = true);
            }
        }
    }
}

fn stored(store: &Store) -> BTreeSet<(String, String, bool)> {
    let mut out = BTreeSet::new();
    let mut each = |_: &notafter_store::rows::AssetRow, p: &notafter_store::rows::PlacementRow| {
        assert_eq!(p.role, Role::Leaf);
        out.insert((p.location.to_string(), p.asset.to_string(), p.unseen_since.is_some()));
        true
    };
    store.each_placement(&Query::default(), NOW, &mut each).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_is_what_was_seen(
        looks in prop::collection::vec(
            (prop::collection::vec(prop::option::weighted(0.7, 0..LEAVES), PLACES), any::<bool>(), any::<bool>()), 1..12)
    ) {
        let store = Store::open(&Database::Memory, NOW).unwrap();
        let mut model = Model::new();
        for (day, (look, broken, judged)) in looks.iter().enumerate() {
            let now = UnixTime(NOW.0 + day as i64 * DAY);
            let mut run_now = store.begin("office", "here", now).unwrap();
            for (n, leaf) in look.iter().enumerate() {
                let Some(leaf) = leaf else { continue };
                // Each in a batch of its own; half of the runs break off in between and are resumed.
                Batch::new(now).saw(&place(n), &[&leaves()[*leaf]]).into(&store, &mut run_now);
                if *broken {
                    store.checkpoint(&run_now, b"x").unwrap();
                    run_now = store.begin("office", "here", now).unwrap();
                    prop_assert_eq!(run_now.resumed_at(), Some(&b"x"[..]));
                }
            }
            store.finish(run_now, &complete(), now).unwrap();
            run(&mut model, look);
            let expected: BTreeSet<_> = model
                .iter()
                .map(|(n, (leaf, unseen))| (place(*n), id(&leaves()[*leaf]).to_string(), *unseen))
                .collect();
            prop_assert_eq!(stored(&store), expected);
            prop_assert_eq!(store.recount().unwrap(), Vec::<String>::new());
            if *judged {
                judge_all(&store, now);
                prop_assert_eq!(store.due(now, 1).unwrap(), vec![]);
            }
        }
    }
}
