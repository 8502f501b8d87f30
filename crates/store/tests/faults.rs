//! What a store must survive: kill -9, a full disk, a lock held by another, damage, a newer program; and the way back.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a child says when it has begun")]
#![allow(dead_code, reason = "the scene is shared with another suite")]

#[path = "both/scene.rs"]
mod scene;

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use notafter_core::UnixTime;
use notafter_core::query::Query;
use notafter_lab::Lab;
use notafter_store::queries::Sort;
use notafter_store::{Database, Store, Trouble};
use scene::{Authority, Batch, DAY, NOW, at, complete, id, judge_all};

fn file(lab: &Lab) -> (PathBuf, Database) {
    let path = lab.path().join("data").join("notafter.db");
    (path.clone(), Database::File(path))
}

fn fill(store: &Store, from: usize, count: usize) {
    let ca = Authority::new("CA");
    let mut batch = Batch::new(NOW);
    let leaves: Vec<_> = (from..from + count).map(|n| ca.leaf(&[&format!("h{n}.example.com")], 90)).collect();
    for (n, leaf) in leaves.iter().enumerate() {
        let n = from + n;
        batch = batch
            .saw(&format!("tls://10.0.{}.{}:443?sni=h{n}.example.com", n / 256, n % 256), &[leaf, &ca.der]);
    }
    let mut run = store.begin("office", "here", NOW).unwrap();
    batch.into(store, &mut run);
    store.finish(run, &notafter_store::observations::Outcome { complete: false, ..complete() }, NOW).unwrap();
}

fn titles(store: &Store) -> Vec<String> {
    let page = store.assets(&Query::default(), Sort::Ends, None, 10_000, NOW).unwrap();
    page.rows.into_iter().map(|row| format!("{:?}", (row.id, row.title, row.places, row.place))).collect()
}

#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new("store-modes");
    let (path, database) = file(&lab);
    drop(Store::open(&database, NOW).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let link = lab.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let error = Store::open(&Database::File(link), NOW).err().unwrap();
    assert!(error.to_string().contains("not a plain file"), "{error}");
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let lab = Lab::new("store-foreign");
    for (name, bytes) in [("a.db", &b"hello, this is a text"[..]), ("b.db", &[0; 200][..])] {
        let path = lab.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Store::open(&Database::File(path.clone()), NOW).err().unwrap();
        assert!(error.to_string().contains("not a database of Notafter"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn damage_is_detected_and_never_a_panic() {
    let lab = Lab::new("store-damage");
    let (path, database) = file(&lab);
    let store = Store::open(&database, NOW).unwrap();
    fill(&store, 0, 300);
    store.settle();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let size = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let mut detected = 0;
    let pages = whole.len() / size;
    for page in 0..pages {
        let mut damaged = whole.clone();
        let header = if page == 0 { 100 } else { page * size };
        damaged[header] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        match Store::open(&database, NOW) {
            Err(error) => {
                assert_eq!(error.trouble, Trouble::Corrupt, "page {page}: {error}");
                detected += 1;
            }
            // An overflow or free page has no header: then all rows must be readable, or reading says so.
            Ok(store) => {
                let _ = store.check(true);
                let _ = store.assets(&Query::default(), Sort::Ends, None, 10_000, NOW);
            }
        }
        let _ = std::fs::remove_file(path.with_extension("db-wal"));
        let _ = std::fs::remove_file(path.with_extension("db-shm"));
    }
    assert!(detected * 10 >= pages * 9, "{detected} of {pages}");
    // Cut off: at any length it is refused or empty of nothing.
    for length in [1, 16, 99, size / 2, size, size * 3 + 7, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = Store::open(&database, NOW).err().unwrap_or_else(|| panic!("{length} bytes were taken"));
        assert!(matches!(error.trouble, Trouble::Corrupt | Trouble::Other), "{length}: {error}");
    }
}

#[test]
fn after_damage_nothing_more_is_written() {
    let lab = Lab::new("store-damage-met");
    let (path, database) = file(&lab);
    let store = Store::open(&database, NOW).unwrap();
    fill(&store, 0, 300);
    store.settle();
    drop(store);
    // Opened whole, damaged afterwards: the check at the start cannot have seen it.
    let store = Store::open(&database, NOW).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let size = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let mut damaged = std::fs::File::options().write(true).open(&path).unwrap();
    for page in 1..whole.len() / size {
        damaged.seek(SeekFrom::Start((page * size) as u64)).unwrap();
        damaged.write_all(&[0xff; 16]).unwrap();
    }
    drop(damaged);
    let met =
        store.assets(&Query::default(), Sort::Ends, None, 10_000, NOW).map(|_| ()).and(store.check(true));
    assert_eq!(met.unwrap_err().trouble, Trouble::Corrupt);
    let before = std::fs::read(&path).unwrap();
    let error = store.keep("x", b"1", None).unwrap_err();
    assert_eq!(error.trouble, Trouble::Corrupt, "{error}");
    assert!(store.begin("office", "here", NOW).is_err());
    assert!(store.condition().trouble.is_some_and(|t| t.contains("damaged") || t.contains("malformed")));
    drop(store);
    assert_eq!(std::fs::read(&path).unwrap(), before, "not even when it is closed");
    // The file is whole again, and opened anew.
    std::fs::write(&path, &whole).unwrap();
    let _ = std::fs::remove_file(path.with_extension("db-wal"));
    let store = Store::open(&database, NOW).unwrap();
    assert!(store.keep("x", b"1", None).unwrap());
}

#[test]
fn a_log_cut_off_loses_its_end_and_nothing_else() {
    let lab = Lab::new("store-log");
    let (path, database) = file(&lab);
    let store = Store::open(&database, NOW).unwrap();
    fill(&store, 0, 50);
    fill(&store, 50, 50);
    // As it lies on disk while the program runs.
    let (main, log) = (std::fs::read(&path).unwrap(), std::fs::read(path.with_extension("db-wal")).unwrap());
    drop(store);
    for cut in [0, 10, log.len() / 3, log.len() / 2, log.len() - 1] {
        let copy = lab.subfolder("cut").join("notafter.db");
        std::fs::write(&copy, &main).unwrap();
        std::fs::write(copy.with_extension("db-wal"), &log[..cut]).unwrap();
        match Store::open(&Database::File(copy), NOW) {
            Ok(store) => {
                store.check(true).unwrap();
                assert_eq!(store.recount().unwrap(), Vec::<String>::new());
            }
            Err(error) => assert_eq!(error.trouble, Trouble::Corrupt, "{error}"),
        }
    }
}

/// Not a test: what the next one starts and kills.
#[test]
fn child_that_records_for_ever() {
    let Some(path) = std::env::var_os("NOTAFTER_STORE_CHILD") else { return };
    let store = Store::open(&Database::File(path.into()), NOW).unwrap();
    let ca = Authority::new("CA");
    println!("begun");
    for round in 0.. {
        let now = UnixTime(NOW.0 + round * 60);
        let mut run = store.begin("office", "here", now).unwrap();
        let mut batch = Batch::new(now);
        let base = std::process::id();
        for n in 0..20 {
            let name = format!("h{n}.p{base}.example.com");
            let leaf = ca.leaf(&[&name], 90);
            batch = batch.saw(&format!("tls://10.1.{}.{n}:443?sni={name}", round % 3), &[&leaf, &ca.der]);
        }
        batch.into(&store, &mut run);
        store.checkpoint(&run, b"here").unwrap();
        store.finish(run, &complete(), now).unwrap();
        if round % 4 == 0 {
            judge_all(&store, now);
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let lab = Lab::new("store-kill");
    let (path, database) = file(&lab);
    let mut ever = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_records_for_ever", "--nocapture"])
            .env("NOTAFTER_STORE_CHILD", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Sometimes while it opens, mostly while it writes.
        if round > 3 {
            assert!(lines.any(|line| line.is_ok_and(|l| l.contains("begun"))));
        }
        std::thread::sleep(Duration::from_millis((round * 37) % 190));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&database, NOW).unwrap();
        store.check(true).unwrap();
        assert_eq!(store.recount().unwrap(), Vec::<String>::new(), "round {round}");
        let totals = store.totals().unwrap();
        assert!(totals.assets_ever >= ever, "nothing that was kept is lost");
        ever = totals.assets_ever;
        // Whatever is due can be loaded and judged.
        judge_all(&store, UnixTime(NOW.0 + DAY));
    }
    assert!(ever > 0);
}

#[test]
fn a_full_disk_says_so_and_heals() {
    let lab = Lab::new("store-full");
    let mount = lab.subfolder("small");
    let done = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=3m", "none"])
        .arg(&mount)
        .stderr(Stdio::null())
        .status();
    if !done.is_ok_and(|status| status.success()) {
        println!("NOT RUN: a_full_disk_says_so_and_heals: cannot mount a small file system here");
        return;
    }
    let finished = std::panic::catch_unwind(|| {
        let database = Database::File(mount.join("notafter.db"));
        let store = Store::open(&database, NOW).unwrap();
        fill(&store, 0, 50);
        let before = titles(&store);
        let ballast = mount.join("ballast");
        let mut full = std::fs::File::create(&ballast).unwrap();
        while full.write_all(&[7; 4096]).is_ok() {}
        drop(full);
        let ca = Authority::new("CA");
        let mut trouble = None;
        let mut run = store.begin("office", "here", NOW);
        for n in 0..200 {
            let leaf = ca.leaf(&[&format!("x{n}.example.com")], 90);
            let batch = Batch::new(NOW).saw(&format!("tls://10.9.0.{n}:443"), &[&leaf]);
            let done = match &mut run {
                Ok(run) => store.record(run, &batch.inventory).map(|_| ()),
                Err(error) => Err(error.clone()),
            };
            if let Err(error) = done {
                trouble = Some(error);
                break;
            }
        }
        let trouble = trouble.unwrap();
        assert_eq!(trouble.trouble, Trouble::Full, "{trouble}");
        assert!(store.condition().trouble.is_some());
        // A write that changes no row needs no room: the trouble is not over because it succeeds.
        store.set_sources(&["office"]).unwrap();
        assert!(store.condition().trouble.is_some());
        // Reading goes on.
        assert!(titles(&store).len() >= before.len());
        std::fs::remove_file(&ballast).unwrap();
        fill(&store, 50, 50);
        assert_eq!(store.condition().trouble, None);
        store.check(true).unwrap();
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
    });
    let _ = Command::new("umount").arg("-l").arg(&mount).status();
    finished.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_lock_held_by_another_is_waited_for() {
    let lab = Lab::new("store-lock");
    let (_, database) = file(&lab);
    let (one, two) = (Store::open(&database, NOW).unwrap(), Store::open(&database, NOW).unwrap());
    fill(&one, 0, 5);
    two.set_patience(Duration::from_millis(300));
    one.hold_for_tests(|| {
        let began = Instant::now();
        let error = two.keep("x", b"1", None).unwrap_err();
        assert_eq!(error.trouble, Trouble::Busy, "{error}");
        assert!(began.elapsed() >= Duration::from_millis(250));
        // Readers do not wait.
        assert_eq!(titles(&two).len(), 6);
    });
    assert!(two.keep("x", b"1", None).unwrap());
}

#[test]
fn a_copy_while_others_write_and_the_way_back() {
    let lab = Lab::new("store-backup");
    let (path, database) = file(&lab);
    let store = Store::open(&database, NOW).unwrap();
    fill(&store, 0, 200);
    let copy = lab.path().join("copy.db");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 1000;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fill(&store, n, 5);
                n += 5;
            }
        });
        store.backup(&copy).unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    });
    let again = store.backup(&copy).unwrap_err();
    assert!(again.hint.is_some_and(|h| h.contains("overwritten")));
    let exact = lab.path().join("exact.db");
    store.backup(&exact).unwrap();
    let before = titles(&store);
    fill(&store, 5000, 10);
    drop(store);
    // Into a file, with the old one kept; into memory.
    let back = Store::restore(&database, &exact, NOW).unwrap();
    assert_eq!(titles(&back), before);
    assert_eq!(back.recount().unwrap(), Vec::<String>::new());
    assert!(path.with_extension("db.before-restore").exists());
    assert_eq!(titles(&Store::restore(&Database::Memory, &exact, NOW).unwrap()), before);
    drop(back);
    // A damaged backup takes nothing away.
    let mut damaged = std::fs::File::options().write(true).read(true).open(&exact).unwrap();
    damaged.seek(SeekFrom::Start(8192 * 3)).unwrap();
    damaged.write_all(&[0xff; 64]).unwrap();
    assert!(Store::restore(&database, &exact, NOW).is_err());
    assert_eq!(titles(&Store::open(&database, NOW).unwrap()), before);
    let mut head = [0; 16];
    std::fs::File::open(&path).unwrap().read_exact(&mut head).unwrap();
    let _ = (at("tls://10.0.0.1:1"), id(b""));
}

#[test]
fn many_make_the_file_at_one_moment() {
    for round in 0..40 {
        let lab = Lab::new(&format!("store-many-{round}"));
        let (_, database) = file(&lab);
        let gate = Barrier::new(6);
        let open = || {
            gate.wait();
            let opened =
                Store::open(&database, NOW).and_then(|store| store.keep("x", b"1", None).map(|_| store));
            // None is gone before the last has come.
            gate.wait();
            opened.map(drop).map_err(|e| e.to_string())
        };
        let opened: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        assert_eq!(opened, vec![Ok(()); 6], "round {round}");
    }
}
