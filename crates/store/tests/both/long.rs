//! What is longer than an index takes, and what the database refuses: neither may stop the rest.

use std::process::Command;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::finding::{Finding, Kind, Severity};
use notafter_core::observation::Reason;
use notafter_core::query::{Query, Term, Test};
use notafter_core::subject::SubjectKey;
use notafter_lab::Lab;
use notafter_store::alerts::AuditLine;
use notafter_store::findings::FindingFilter;
use notafter_store::judge::Judged;
use notafter_store::{Database, Store, Trouble};

use crate::scene::{Authority, Batch, NOW, at, judge_all};
use crate::{new_postgres, on_each};

/// A path of so many bytes that no compression makes short.
fn deep(begin: &str, length: usize) -> String {
    let mut path = format!("file:///srv/{begin}");
    let mut seed = 7_u64;
    while path.len() < length {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        path.push_str(&format!("/{:x}", seed >> 8));
    }
    path.truncate(length);
    path.replace("//", "/").replacen("file:/", "file:///", 1)
}

#[test]
fn a_long_path_is_a_place_like_any_other() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com"], 40);
        let [cert, key, dark] = ["cert", "key", "dark"].map(|what| deep(what, 3390));
        let again = |now| {
            Batch::new(now).saw(&cert, &[&leaf]).key(&key, &leaf).blind(&dark, Reason::PermissionDenied)
        };
        again(NOW).whole(store, "office");
        assert_eq!(again(UnixTime(NOW.0 + 60)).whole(store, "office").0.writes, 0);
        let due = store.due(NOW, 10).unwrap();
        assert!(due.iter().any(|d| d.subject == SubjectKey::Blind(at(&dark))), "{due:?}");
        let judged = due.into_iter().map(|due| {
            let finding = Finding {
                kind: Kind::ExpiresSoon,
                severity: Severity::Warning,
                asset: None,
                cause: due.subject.to_string(),
                locations: vec![at(&dark), at(&cert)],
                deadline: None,
                owner: None,
                summary: "x".into(),
                hint: "y".into(),
                blast: None,
                evidence: Vec::new(),
            };
            Judged {
                findings: vec![finding],
                holds_until: Some(UnixTime(NOW.0 + 9)),
                owner: None,
                roles: Vec::new(),
                due,
            }
        });
        let judged: Vec<_> = judged.collect();
        let opened = store.judged(&judged, NOW).unwrap().opened.len();
        assert_eq!(opened, judged.len());
        let there = FindingFilter { location: Some(dark.clone()), limit: 10, ..FindingFilter::default() };
        assert_eq!(store.findings(&there).unwrap().len(), opened);
        store.all_due().unwrap();
        judge_all(store, NOW);
        assert_eq!(store.findings(&there).unwrap(), []);
        assert_eq!(store.retire(&cert, "gone", "me", NOW).unwrap(), 1);
        assert_eq!(store.audit_lines(Some(&cert), None, 9).unwrap().len(), 1);
        assert_eq!(store.audit_broken_at().unwrap(), None);
    });
}

#[test]
fn long_chains_and_names_are_kept_once() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaves: Vec<Arc<[u8]>> = (0..450).map(|_| ca.leaf(&["a.example.com"], 40)).collect();
        let chain: Vec<&Arc<[u8]>> = leaves.iter().collect();
        let seen = |now| Batch::new(now).saw("tls://10.0.0.1:443?sni=a.example.com", &chain);
        seen(NOW).whole(store, "office");
        assert_eq!(seen(UnixTime(NOW.0 + 60)).whole(store, "office").0.writes, 0);
        let long = "o".repeat(300) + &deep("", 4000);
        assert!(store.own(&Query::default(), Some(&long), "me", NOW).unwrap() > 0);
        let test = Test::Owner(Some(long.clone()));
        let query = Query { terms: vec![Term { not: false, test }] };
        assert_eq!(store.count(&query, 1000, NOW).unwrap(), 450);
        assert!(store.keep(&long, b"1", Some(0)).unwrap() && !store.keep(&long, b"1", Some(0)).unwrap());
        assert_eq!(store.kept(&long).unwrap().unwrap().value, b"1");
        Batch::new(NOW).whole(store, &format!("watch {long}"));
        store.schedule(&format!("watch {long}"), NOW).unwrap();
        assert_eq!(store.sources().unwrap().len(), 2);
        store.add_service_day(&long, 1, [60, 0, 0]).unwrap();
        assert_eq!(store.service_days(&long, 0).unwrap(), [(1, [60, 0, 0])]);
    });
}

/// Makes a database refuse a place, and gives the store on it.
fn picky(database: &Database) -> Store {
    let store = Store::open(database, NOW).unwrap();
    match database {
        Database::File(path) => {
            let beside = rusqlite::Connection::open(path).unwrap();
            let trigger = "CREATE TRIGGER picky BEFORE INSERT ON location WHEN NEW.text LIKE '%poison%'
                 BEGIN SELECT RAISE(ABORT, 'I do not like it'); END";
            beside.execute_batch(trigger).unwrap();
        }
        Database::Postgres(url) => {
            let trigger = "CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF NEW.text LIKE '%poison%' THEN RAISE EXCEPTION 'I do not like it'; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER picky BEFORE INSERT ON location FOR EACH ROW EXECUTE FUNCTION picky()";
            let done = Command::new("psql").args(["-X", "-q", "-d", url, "-c", trigger]).status();
            assert!(done.is_ok_and(|status| status.success()));
        }
        Database::Memory => unreachable!("nobody else can come to it"),
    }
    store
}

#[test]
fn what_is_refused_is_given_up_and_said() {
    let lab = Lab::new("store-refused");
    let file = Database::File(lab.path().join("notafter.db"));
    for database in [Some(file), new_postgres()].into_iter().flatten() {
        let store = picky(&database);
        let ca = Authority::new("CA");
        let mut batch = Batch::new(NOW);
        for n in 0..40 {
            let leaf = ca.leaf(&[&format!("h{n}.example.com")], 40);
            let what = if n == 17 { "poison" } else { "plain" };
            batch = batch.saw(&format!("file:///srv/{what}{n}.pem"), &[&leaf]);
        }
        let mut run = store.begin("office", "here", NOW).unwrap();
        let error = store.record(&mut run, &batch.inventory).unwrap_err();
        assert_eq!(error.trouble, Trouble::Other, "{error}");
        let (changed, lost) = store.record_apart(&mut run, &batch.inventory, NOW).unwrap();
        assert_eq!((changed.new_assets, lost.len()), (39, 1));
        assert_eq!(lost[0].0.as_str(), "file:///srv/poison17.pem");
        let said = &store.audit_lines(Some("file:///srv/poison17.pem"), None, 9).unwrap()[0].1;
        assert!(said.what == "given-up" && said.detail.contains("I do not like it"), "{said:?}");
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
        // Where everything is refused, nothing is given up.
        let mut batch = Batch::new(NOW);
        for n in 0..40 {
            let leaf = ca.leaf(&[&format!("p{n}.example.com")], 40);
            batch = batch.saw(&format!("file:///srv/poison/{n}.pem"), &[&leaf]);
        }
        assert!(store.record_apart(&mut run, &batch.inventory, NOW).is_err());
    }
}

/// Has a statement of somebody else's done to the file or database of a store.
fn meddle(database: &Database, statement: &str) {
    match database {
        Database::File(path) => {
            rusqlite::Connection::open(path).unwrap().execute_batch(statement).unwrap();
        }
        Database::Postgres(url) => {
            let done = Command::new("psql").args(["-X", "-q", "-d", url, "-c", statement]).status();
            assert!(done.is_ok_and(|status| status.success()));
        }
        Database::Memory => unreachable!("nobody else can come to it"),
    }
}

#[test]
fn an_end_cut_off_the_audit_trail_is_missed_whatever_is_written_after() {
    let lab = Lab::new("store-cut");
    let file = Database::File(lab.path().join("data/notafter.db"));
    for database in [Some(file), new_postgres()].into_iter().flatten() {
        let store = Store::open(&database, NOW).unwrap();
        let write = |n: i64| {
            let (who, what) = ("me".to_owned(), "owner-set".to_owned());
            let line =
                AuditLine { at: UnixTime(NOW.0 + n), who, what, subject: "a1".into(), detail: n.to_string() };
            store.audit(&line).unwrap();
        };
        (1..=10).for_each(write);
        assert_eq!(store.audit_broken_at().unwrap(), None);
        meddle(&database, "DELETE FROM audit WHERE id > 7");
        assert_eq!(store.audit_broken_at().unwrap(), Some(8));
        write(11);
        write(12);
        assert_eq!(
            store.audit_lines(None, None, 3).unwrap().iter().map(|l| l.0).collect::<Vec<_>>(),
            [12, 11, 7]
        );
        assert_eq!(store.audit_broken_at().unwrap(), Some(8), "the gap stays");
        meddle(&database, "DELETE FROM audit");
        write(13);
        assert_eq!(store.audit_broken_at().unwrap(), Some(1));
    }
}
