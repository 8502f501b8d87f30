//! Intervals: new, again, replaced, beside, unseen, returned, gone, retired, resumed.

use notafter_core::inventory::Placement;
use notafter_core::observation::{Facts, Reason};
use notafter_core::{UnixTime, subject::SubjectKey};
use notafter_store::Store;
use notafter_store::observations::Changed;

use crate::on_each;
use crate::scene::{Authority, Batch, DAY, NOW, complete, id, judge_all};

const A: &str = "tls://10.0.0.1:443?sni=a.example.com";
const B: &str = "tls://10.0.0.2:443?sni=a.example.com";

fn later(days: i64) -> UnixTime {
    UnixTime(NOW.0 + days * DAY)
}

#[test]
fn looking_again_writes_nothing() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com", "*.example.com"], 90);
        let batch = |now| {
            Batch::new(now)
                .saw(A, &[&leaf, &ca.der])
                .saw(B, &[&leaf, &ca.der])
                .saw("file:///etc/nginx/a.pem#1", &[&leaf])
                .key("file:///etc/nginx/a.key", &leaf)
                .link("file:///etc/nginx/a.pem", "tls://10.0.0.1:443")
                .blind("tls://10.0.0.9:443", Reason::Refused)
        };
        let (first, _) = batch(NOW).whole(store, "office");
        assert_eq!((first.new_assets, first.new_placements, first.blind_spots), (2, 5, 1));
        let subjects = judge_all(store, NOW);
        assert_eq!(subjects.len(), 5, "{subjects:?}");
        let (again, finish) = batch(later(1)).whole(store, "office");
        assert_eq!(again, Changed::default());
        assert_eq!(finish, Changed::default());
        assert_eq!(store.due(later(1), 10).unwrap(), []);
        assert_eq!(store.next_due().unwrap(), None);
    });
}

#[test]
fn what_is_loaded_is_what_was_recorded() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let (leaf, later_leaf) = (ca.leaf(&["a.example.com"], 90), ca.leaf(&["A.example.com"], 200));
        Batch::new(NOW)
            .saw(A, &[&leaf, &ca.der])
            .saw("file:///etc/nginx/a.pem#1", &[&later_leaf, &ca.der])
            .key("file:///etc/nginx/a.key", &later_leaf)
            .link("file:///etc/nginx/a.pem", "tls://10.0.0.1:443")
            .root("file:///etc/ssl/root.pem", &ca.der)
            .whole(store, "office");
        let due = store.due(NOW, 100).unwrap();
        let one: Vec<_> = due.into_iter().filter(|d| d.subject == SubjectKey::Asset(id(&leaf))).collect();
        assert_eq!(one.len(), 1);
        let part = store.load(one, NOW).unwrap();
        let inventory = &part.inventory;
        // The later one with the same names, in its file, with its key and the link; and the issuer.
        for der in [&leaf, &later_leaf, &ca.der] {
            let ix = inventory.find(&id(der)).unwrap();
            assert_eq!(*inventory.bytes(ix), **der);
        }
        let texts: Vec<String> = inventory.placements().iter().map(|p| p.location.to_string()).collect();
        assert!(
            texts.contains(&A.to_owned()) && texts.contains(&"file:///etc/nginx/a.pem#1".to_owned()),
            "{texts:?}"
        );
        assert_eq!(inventory.links().len(), 1);
        let served =
            inventory.placements().iter().find(|p| p.location.as_str() == A && p.chain.is_some()).unwrap();
        let chain: Vec<_> =
            served.chain.iter().flat_map(|c| c.iter()).map(|ix| inventory.asset(*ix).id).collect();
        assert_eq!(chain, [id(&leaf), id(&ca.der)]);
        assert_eq!(served.facts.tls_version, Some(0x0304));
        assert_eq!((served.first_seen, served.last_seen, served.unseen_since), (NOW, NOW, None));
    });
}

#[test]
fn a_renewal_ends_what_was_there() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let (old, new) = (ca.leaf(&["a.example.com"], 90), ca.leaf(&["a.example.com"], 180));
        Batch::new(NOW).saw(A, &[&old, &ca.der]).whole(store, "office");
        judge_all(store, NOW);
        let mut run = store.begin("office", "here", later(1)).unwrap();
        let changed = Batch::new(later(1)).saw(A, &[&new, &ca.der]).into(store, &mut run);
        assert_eq!((changed.new_placements, changed.gone_placements), (1, 1));
        let due: Vec<String> =
            store.due(later(1), 10).unwrap().iter().map(|d| d.subject.to_string()).collect();
        assert!(
            due.contains(&format!("asset {}", id(&old)))
                && due.contains(&"name tls 443 a.example.com".into()),
            "{due:?}"
        );
        store.finish(run, &complete(), later(1)).unwrap();
    });
}

#[test]
fn two_algorithms_stand_side_by_side() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let (one, other) = (ca.leaf(&["a.example.com"], 90), ca.other_leaf(&["a.example.com"], 90));
        let mut run = store.begin("office", "here", NOW).unwrap();
        Batch::new(NOW).saw(A, &[&one, &ca.der]).into(store, &mut run);
        let second = Batch::new(NOW).saw(A, &[&other, &ca.der]).into(store, &mut run);
        assert_eq!((second.new_placements, second.gone_placements), (1, 0));
        store.finish(run, &complete(), NOW).unwrap();
        // The next complete run sees one of them: the other was taken away.
        let (_, finish) = Batch::new(later(1)).saw(A, &[&one, &ca.der]).whole(store, "office");
        assert_eq!((finish.gone_placements, finish.unseen_placements), (1, 0));
    });
}

#[test]
fn unreachable_is_not_gone_and_not_there_is() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let (leaf, file, locked) = (
            ca.leaf(&["a.example.com"], 90),
            ca.leaf(&["b.example.com"], 90),
            ca.leaf(&["c.example.com"], 90),
        );
        let full = |now| {
            Batch::new(now)
                .saw(A, &[&leaf, &ca.der])
                .saw("file:///srv/a.pem", &[&file])
                .saw("file:///srv/locked/c.pem#2", &[&locked])
        };
        full(NOW).whole(store, "office");
        judge_all(store, NOW);
        let (_, finish) = Batch::new(later(1))
            .blind(A, Reason::Timeout)
            .blind("file:///srv/locked", Reason::PermissionDenied)
            .whole(store, "office");
        // The leaf, its intermediate and the locked file are unseen; the other file is gone.
        assert_eq!((finish.unseen_placements, finish.gone_placements), (3, 1));
        assert!(!judge_all(store, later(1)).is_empty());
        // Another source that sees it takes it over; then it has returned.
        let (back, finish) = full(later(2)).whole(store, "office");
        assert_eq!((back.returned_placements, back.new_placements), (3, 1));
        assert_eq!(finish.unseen_placements, 0);
        // A run that was broken off says nothing about what it did not see.
        let run = store.begin("office", "here", later(3)).unwrap();
        let mut outcome = complete();
        outcome.complete = false;
        assert_eq!(store.finish(run, &outcome, later(3)).unwrap(), Changed::default());
    });
}

#[test]
fn hostile_text_is_only_text() {
    on_each(|store: &Store| {
        let evil = "'; DROP TABLE asset; --\u{202e}\0<img onerror=alert(1)>";
        let ca = Authority::new(evil);
        let leaf = ca.leaf(&[], 90);
        let (first, _) = Batch::new(NOW)
            .saw("tls://10.0.0.1:443?sni=%27;drop", &[&leaf, &ca.der])
            .saw("file:///srv/%27;drop%00%E2%80%AE.pem#%25", &[&leaf])
            .blind("file:///srv/%FF%0A", Reason::Malformed)
            .whole(store, evil.trim_end_matches('>'));
        assert_eq!((first.new_assets, first.new_placements), (2, 3));
        judge_all(store, NOW);
        let rows = store.by_id(&id(&ca.der).to_string()).unwrap();
        assert!(
            rows[0].title.contains("DROP TABLE") && !rows[0].title.contains(['\0', '\u{202e}']),
            "{:?}",
            rows[0].title
        );
        store.keep(evil, b"1", None).unwrap();
        assert_eq!(store.retire("tls://10.0.0.1:443?sni=%27;drop", evil, evil, NOW).unwrap(), 2);
        assert_eq!(store.audit_broken_at().unwrap(), None);
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
        // A certificate that cannot be parsed is kept all the same.
        let broken: std::sync::Arc<[u8]> = leaf[..leaf.len() - 40].to_vec().into();
        Batch::new(NOW).saw("tls://10.0.0.2:443", &[&broken]).whole(store, "other");
        assert_eq!(store.asset(&id(&broken)).unwrap().unwrap().der, *broken);
        judge_all(store, NOW);
    });
}

#[test]
fn what_was_retired_stays_quiet_until_something_is_seen() {
    on_each(|store: &Store| {
        let (dark, folder, inside) = ("tls://10.0.0.9:443", "file:///srv/dark", "file:///srv/dark/a.pem");
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com"], 90);
        let looks = |days| {
            let blind = Batch::new(later(days)).blind(dark, Reason::Refused);
            blind.blind(folder, Reason::PermissionDenied).whole(store, "office")
        };
        Batch::new(NOW).saw(inside, &[&leaf]).whole(store, "office");
        assert_eq!(looks(1).0.blind_spots, 2);
        judge_all(store, later(1));
        for place in [dark, folder] {
            assert_eq!(store.retire(place, "sold", "me", later(1)).unwrap(), 1, "{place}");
        }
        assert_eq!(store.totals().unwrap().blind_spots, 0);
        judge_all(store, later(1));
        // The next looks see nothing there, as was to be expected. What is in a folder that hides is not gone.
        for days in 2..4 {
            let (recorded, finished) = looks(days);
            assert_eq!((recorded.blind_spots, recorded.writes), (0, 0));
            assert_eq!((finished.gone_placements, finished.writes), (0, 0));
        }
        assert_eq!((store.totals().unwrap().blind_spots, store.due(later(4), 9).unwrap().len()), (0, 0));
        // Another reason is no news either; a certificate is, and so is silence after it.
        let other = Batch::new(later(4)).blind(dark, Reason::Timeout).blind(folder, Reason::PermissionDenied);
        assert_eq!(other.whole(store, "office").0.blind_spots, 0);
        let seen = Batch::new(later(5)).saw(dark, &[&leaf]).blind(folder, Reason::PermissionDenied);
        assert_eq!(seen.whole(store, "office").0.new_placements, 1);
        assert!(store.place(dark).unwrap().unwrap().retired.is_none());
        assert_eq!(looks(6).0.blind_spots, 1);
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn what_another_source_sees_stays_with_the_first_until_that_has_lost_it() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com"], 90);
        let sees = |now| Batch::new(now).saw(A, &[&leaf]);
        sees(NOW).whole(store, "one");
        let (again, finish) = sees(later(1)).whole(store, "two");
        assert_eq!((again.writes, finish.writes), (0, 0));
        // The second not seeing it says nothing about the first's.
        assert_eq!(Batch::new(later(2)).whole(store, "two").1.unseen_placements, 0);
        assert_eq!(Batch::new(later(3)).whole(store, "one").1.unseen_placements, 1);
        assert_eq!(sees(later(4)).whole(store, "two").0.returned_placements, 1);
        assert_eq!(store.place(A).unwrap().unwrap().placements[0].source, "two");
        store.set_sources(&["one"]).unwrap();
        sees(later(5)).whole(store, "one");
        assert_eq!(store.place(A).unwrap().unwrap().placements[0].source, "one");
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
    });
}

/// A batch with one leaf at one endpoint, to which perhaps only a zone led.
fn led_to(leaf: &std::sync::Arc<[u8]>, now: UnixTime, hinted: bool) -> Batch {
    let seen = Batch::new(now).saw(A, &[leaf]);
    let mut batch = Batch::new(now);
    for (_, asset) in seen.inventory.assets() {
        let mut asset = asset.clone();
        asset.bytes = batch.inventory.keep(leaf);
        batch.inventory.add(asset);
    }
    for placement in seen.inventory.placements() {
        let facts = Facts { hinted, ..(*placement.facts).clone() };
        batch.inventory.place(Placement { facts: facts.into(), ..placement.clone() });
    }
    batch
}

#[test]
fn what_only_a_zone_led_to_is_less_than_what_is_looked_at() {
    on_each(|store: &Store| {
        let leaf = Authority::new("CA").leaf(&["a.example.com"], 90);
        let hinted = || {
            let id = id(&leaf);
            let due = vec![notafter_store::judge::Due { subject: SubjectKey::Asset(id), token: 0 }];
            let part = store.load(due, NOW).unwrap();
            let all: Vec<bool> = part.inventory.placements().iter().map(|p| p.facts.hinted).collect();
            assert_eq!(all.len(), 1);
            all[0]
        };
        led_to(&leaf, NOW, true).whole(store, "zone");
        assert!(hinted());
        judge_all(store, NOW);
        led_to(&leaf, later(1), false).whole(store, "office");
        assert!(!hinted(), "a source of its own looks at it");
        assert!(!judge_all(store, later(1)).is_empty(), "it is judged again");
        led_to(&leaf, later(2), true).whole(store, "zone");
        assert!(!hinted(), "whatever the zone says");
        let (again, finished) = led_to(&leaf, later(3), false).whole(store, "office");
        assert_eq!((again, finished), (Changed::default(), Changed::default()));
    });
}

#[test]
fn records_that_say_who_may_issue_make_due_what_is_below_them() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let names = [
            "a.example.com",
            "deep.b.example.com",
            "example.com",
            "*.example.com",
            "example.org",
            "anexample.com",
        ];
        let leaves = names.map(|name| ca.leaf(&[name], 90));
        let mut batch = Batch::new(NOW);
        for (n, leaf) in leaves.iter().enumerate() {
            batch = batch.saw(&format!("tls://10.0.0.{n}:443"), &[leaf]);
        }
        batch.whole(store, "office");
        judge_all(store, NOW);
        let below = |all: Vec<String>| {
            let is_due =
                |leaf: &&std::sync::Arc<[u8]>| all.iter().any(|one| one.contains(&id(leaf).to_string()));
            leaves.iter().filter(is_due).count()
        };
        let zone = |now, issue: &str| {
            Batch::new(now).caa("file:///zones/db.example.com", "example.com", issue).whole(store, "zone")
        };
        zone(later(1), "ca.test");
        assert_eq!(below(judge_all(store, later(1))), 4, "they came");
        zone(later(2), "ca.test");
        assert_eq!(below(judge_all(store, later(2))), 0, "as they were");
        zone(later(3), "other.test");
        assert_eq!(below(judge_all(store, later(3))), 4, "others");
        Batch::new(later(4)).whole(store, "zone");
        assert_eq!(below(judge_all(store, later(4))), 4, "gone");
    });
}
