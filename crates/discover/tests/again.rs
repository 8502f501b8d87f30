//! Files looked at again: what held nothing is passed by unopened, and whatever changes is read, however it changed.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::joints::{Cx, Resume, Sink, Source};
use notafter_core::observation::{Observation, Seen};
use notafter_discover::exclude::Exclude;
use notafter_discover::files::{Files, SIZE_MAX};

/// What a run leaves, in memory.
#[derive(Default)]
struct Note(Mutex<Option<Vec<u8>>>, AtomicI64);

impl Resume for Note {
    fn cursor(&self) -> Option<Vec<u8>> {
        None
    }

    fn reached(&self, _: Vec<u8>) {}

    fn note(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    fn leave(&self, note: Vec<u8>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        *self.0.lock().unwrap() = Some(note);
    }
}

/// Tomorrow, so that nothing is too fresh to be relied upon.
struct Tomorrow;

impl Clock for Tomorrow {
    #[allow(clippy::disallowed_methods, reason = "files have the machine's own times")]
    fn now(&self) -> UnixTime {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        UnixTime(now.as_secs() as i64 + 86_400)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Default)]
struct Put(Mutex<Vec<Observation>>);

impl Sink for Put {
    fn put(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }
}

/// The places of certificates in a folder, how many files were there, and what else was said.
fn look(folder: &Path, note: &Arc<Note>) -> (Vec<String>, u64, usize) {
    let files = Files {
        roots: vec![folder.to_owned()],
        exclude: Exclude::default(),
        passwords: Arc::new([]),
        size_max: SIZE_MAX,
        threads: 2,
        given: None,
    };
    let mut cx = Cx::new(Arc::new(Tomorrow), "here".into());
    cx.resume = Arc::clone(note) as Arc<dyn Resume>;
    let put = Arc::new(Put::default());
    let sink = Arc::clone(&put) as Arc<dyn Sink>;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(files.discover(&cx, sink)).unwrap();
    let all = put.0.lock().unwrap();
    let chains = all.iter().filter(|o| matches!(o.seen, Seen::Chain { .. }));
    let mut places: Vec<String> = chains.map(|o| name(o.location.as_str()).to_owned()).collect();
    places.sort();
    (places, cx.progress.files.load(Ordering::Relaxed), all.len())
}

/// The file's own name, without what is within it.
fn name(place: &str) -> &str {
    place.split('#').next().unwrap().rsplit('/').next().unwrap()
}

#[test]
fn passed_by_until_it_changes() {
    let folder = std::env::temp_dir().join(format!("notafter-again-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("in/ner")).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(["a.test".into()]).unwrap().self_signed(&key).unwrap().pem();
    let plain = "x".repeat(pem.len());
    std::fs::write(folder.join("held.pem"), &pem).unwrap();
    for name in ["a", "b", "c", "in/ner/d", "small"] {
        std::fs::write(folder.join(name), if name == "small" { "x" } else { &plain }).unwrap();
    }
    std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
    std::fs::write(folder.join("nginx.conf"), "server { ssl_certificate /nowhere.pem; listen 443 ssl; }\n")
        .unwrap();
    let note = Arc::new(Note::default());
    let first = look(&folder, &note);
    assert_eq!(first.0, ["held.pem"]);
    assert!(note.note().is_some());
    assert_eq!(look(&folder, &note), first, "the same is seen, and what a configuration says too");
    assert_eq!(note.1.load(Ordering::Relaxed), 1, "a note that says the same is not written again");
    // Each in a way of its own: written over with the time it had, put in its place by a rename, a link that leads
    // elsewhere, a new file, one that moved with its folder.
    let modified = std::fs::metadata(folder.join("a")).unwrap().modified().unwrap();
    std::fs::write(folder.join("a"), &pem).unwrap();
    std::fs::File::options().write(true).open(folder.join("a")).unwrap().set_modified(modified).unwrap();
    std::fs::write(folder.join("new"), &pem).unwrap();
    std::fs::copy(folder.join("held.pem"), folder.join("b.new")).unwrap();
    std::fs::rename(folder.join("b.new"), folder.join("b")).unwrap();
    std::fs::rename(folder.join("in"), folder.join("out")).unwrap();
    std::fs::write(folder.join("out/ner/d"), &pem).unwrap();
    let second = look(&folder, &note);
    assert_eq!(second.0, ["a", "b", "d", "held.pem", "link", "new"]);
    assert_eq!(second.1, first.1 + 1, "one file more");
    // And back: what held one holds none.
    std::fs::write(folder.join("a"), &plain).unwrap();
    assert_eq!(look(&folder, &note).0, ["b", "d", "held.pem", "new"]);
    assert_eq!(look(&folder, &note).0, ["b", "d", "held.pem", "new"]);
    std::fs::remove_dir_all(folder).unwrap();
}
