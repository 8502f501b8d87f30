//! PostgreSQL as a peer that can go away: from which threads it is called, who else is there, what is tried again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use notafter_store::{Database, Store, Trouble};

use crate::new_postgres;
use crate::scene::NOW;

/// Runs SQL beside the store, as an administrator would.
fn psql(database: &Database, sql: &str) -> String {
    let Database::Postgres(url) = database else { panic!("not PostgreSQL") };
    let out = Command::new("psql").args(["-X", "-q", "-A", "-t", "-d", url, "-c", sql]).output();
    let out = out.expect("psql runs");
    assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

const END_ALL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[test]
fn every_call_may_come_from_any_thread() {
    let Some(database) = new_postgres() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        // On the runtime's own threads, where waiting by another runtime panics; opened and dropped there, too.
        let store = Store::open(&database, NOW).unwrap();
        assert!(store.keep("x", b"1", None).unwrap());
        let store = tokio::spawn(async move {
            assert_eq!(store.kept("x").unwrap().unwrap().value, b"1");
            store
        });
        drop(store.await.unwrap());
    });
}

#[test]
fn only_one_serves() {
    let Some(database) = new_postgres() else { return };
    let (one, two) = (Store::open(&database, NOW).unwrap(), Store::open(&database, NOW).unwrap());
    one.claim().unwrap();
    let error = two.claim().unwrap_err().to_string();
    assert!(error.contains("another server works on this database"), "{error}");
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    // Commands beside the server have no claim and may write.
    assert!(two.keep("x", b"1", None).unwrap());
    // Nothing is put under a running server.
    let lab = notafter_lab::Lab::new("store-only-one");
    two.backup(&lab.path().join("copy.db")).unwrap();
    let error = Store::restore(&database, &lab.path().join("copy.db"), NOW).err().unwrap();
    assert!(error.to_string().contains("another server"), "{error}");
    drop(one);
    two.claim().unwrap();
    // The session that holds it goes: it is taken anew before the next write.
    psql(&database, END_ALL);
    assert!(two.keep("x", b"2", None).unwrap());
    let third = Store::open(&database, NOW).unwrap();
    assert!(third.claim().is_err());
    // It goes, and somebody else is faster: nothing more may be written.
    psql(&database, END_ALL);
    third.claim().unwrap();
    let error = two.keep("x", b"3", None).unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
    assert_eq!(two.kept("x").unwrap().unwrap().value, b"2");
}

#[test]
fn two_schemas_of_one_database_have_a_server_each() {
    let Some(Database::Postgres(url)) = new_postgres() else { return };
    let database = Database::Postgres(url.clone());
    psql(&database, "CREATE SCHEMA one; CREATE SCHEMA two");
    let open = |schema: &str| {
        Store::open(&Database::Postgres(format!("{url}&options=-c%20search_path%3D{schema}")), NOW).unwrap()
    };
    let (one, two) = (open("one"), open("two"));
    one.claim().unwrap();
    two.claim().unwrap();
    assert!(one.keep("x", b"1", None).unwrap());
    assert_eq!(two.kept("x").unwrap(), None);
    assert!(open("two").claim().unwrap_err().to_string().contains("another server"));
}

#[test]
fn connections_that_went_are_made_anew() {
    let Some(database) = new_postgres() else { return };
    let store = Store::open(&database, NOW).unwrap();
    assert!(store.keep("x", b"1", None).unwrap());
    psql(&database, END_ALL);
    assert_eq!(store.kept("x").unwrap().unwrap().value, b"1");
    psql(&database, END_ALL);
    assert!(store.keep("x", b"2", None).unwrap());
    // In the middle of a write, before its end: nothing was kept, so it is done again.
    psql(
        &database,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE INSERT ON keep FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.keep("y", b"1", None));
        std::thread::sleep(Duration::from_millis(700));
        assert_ne!(psql(&database, END_ALL), "0");
        assert!(writer.join().unwrap().unwrap());
    });
    assert_eq!(store.kept("y").unwrap().unwrap().version, 1);
}

/// A way to the database on which connections die unheard: those made before the number grew end at the next word.
fn dying_way(database: &Database) -> (Database, Arc<AtomicU32>) {
    let Database::Postgres(url) = database else { panic!("not PostgreSQL") };
    let host = url.split(['@', '/']).find(|part| part.starts_with("127.0.0.1:")).unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap().to_string();
    let (deaths, shared) = (Arc::new(AtomicU32::new(0)), url.replace(&host, &here));
    let seen = Arc::clone(&deaths);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&host).unwrap());
            let (born, deaths) = (seen.load(Ordering::SeqCst), Arc::clone(&seen));
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut down, &mut up));
            std::thread::spawn(move || {
                let (mut client, mut server, mut said) = (client, server, [0; 8192]);
                while let Ok(length @ 1..) = client.read(&mut said) {
                    if deaths.load(Ordering::SeqCst) > born || server.write_all(&said[..length]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    (Database::Postgres(shared), deaths)
}

#[test]
fn a_connection_that_went_unheard_is_made_anew() {
    let Some(database) = new_postgres() else { return };
    let (way, deaths) = dying_way(&database);
    let store = Store::open(&way, NOW).unwrap();
    assert!(store.keep("x", b"1", None).unwrap());
    for round in 2..5 {
        deaths.fetch_add(1, Ordering::SeqCst);
        assert_eq!(store.kept("x").unwrap().unwrap().version, round - 1);
        deaths.fetch_add(1, Ordering::SeqCst);
        assert!(store.keep("x", b"1", Some(round - 1)).unwrap(), "{round}");
    }
}

#[test]
fn a_statement_that_is_cancelled_may_be_tried_later() {
    let Some(database) = new_postgres() else { return };
    let (one, two) = (Store::open(&database, NOW).unwrap(), Store::open(&database, NOW).unwrap());
    one.hold_for_tests(|| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| two.keep("x", b"1", None));
            std::thread::sleep(Duration::from_millis(500));
            let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            assert_eq!(psql(&database, cancel), "1");
            let error = waiter.join().unwrap().unwrap_err();
            assert_eq!(error.trouble, Trouble::Busy, "{error}");
        });
    });
    assert!(two.condition().trouble.is_some());
    // A write that changes nothing proves nothing.
    two.set_sources(&[]).unwrap();
    assert!(two.condition().trouble.is_some());
    assert!(two.keep("x", b"1", None).unwrap());
    assert_eq!(two.condition().trouble, None);
}

#[test]
fn sessions_have_bounds() {
    let Some(database) = new_postgres() else { return };
    let store = Store::open(&database, NOW).unwrap();
    store.settle();
    // What the next one gets is what `settle` gave back.
    psql(
        &database,
        "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           NEW.value := convert_to(current_setting('statement_timeout') || ' ' ||
             current_setting('idle_in_transaction_session_timeout') || ' ' ||
             current_setting('transaction_isolation'), 'UTF8'); RETURN NEW; END $$;
         CREATE TRIGGER told BEFORE INSERT ON keep FOR EACH ROW EXECUTE FUNCTION told()",
    );
    assert!(store.keep("z", b"1", None).unwrap());
    let said = String::from_utf8(store.kept("z").unwrap().unwrap().value).unwrap();
    assert_eq!(said, "2min 5min read committed");
    // A copy of everything takes as long as it takes.
    let lab = notafter_lab::Lab::new("store-bounds");
    let copy = lab.path().join("copy.db");
    store.backup(&copy).unwrap();
    let back = Store::restore(&database, &copy, NOW).unwrap();
    let said = String::from_utf8(back.kept("z").unwrap().unwrap().value).unwrap();
    assert_eq!(said, "0 5min read committed");
}

#[test]
fn what_another_session_was_in_the_way_of_is_done_again() {
    let Some(database) = new_postgres() else { return };
    let store = Store::open(&database, NOW).unwrap();
    let refuse = |times: u32| {
        psql(
            &database,
            &format!(
                "DROP TRIGGER IF EXISTS busy ON keep; DROP SEQUENCE IF EXISTS tries; CREATE SEQUENCE tries;
                 CREATE OR REPLACE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END IF;
                   RETURN NEW; END $$;
                 CREATE TRIGGER busy BEFORE INSERT ON keep FOR EACH ROW EXECUTE FUNCTION busy()"
            ),
        )
    };
    refuse(2);
    assert!(store.keep("x", b"1", None).unwrap());
    assert_eq!(store.kept("x").unwrap().unwrap().version, 1);
    // Not without end.
    refuse(3);
    assert_eq!(store.keep("y", b"1", None).unwrap_err().trouble, Trouble::Busy);
    assert!(store.keep("y", b"1", None).unwrap());
}
