//! The floor of a crawl: walk the tree, two threads, open nothing. And the second look at a tree, beside that floor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ignore::{DirEntry, WalkBuilder, WalkState};
use notafter_core::clock::Clock;
use notafter_core::joints::{Cx, Resume, Sink, Source};
use notafter_discover::exclude::Exclude;
use notafter_discover::files::{Files, SIZE_MAX};
use notafter_engine::clock::SystemClock;
use notafter_engine::record::Recorder;
use notafter_store::observations::Outcome;
use notafter_store::{Database, Store};
use serde_json::{Value, json};

use crate::Result;

/// Counts the files below a folder.
pub(crate) fn walk(folder: &str) -> Result<Value> {
    walked(folder, |_| true)
}

/// The same, and asks of each what `stat` says: without that nobody knows whether a file has changed.
fn walk_and_ask(folder: &str) -> Result<Value> {
    walked(folder, |entry| entry.metadata().is_ok_and(|found| found.len() > 0))
}

fn walked(folder: &str, counts: impl Fn(&DirEntry) -> bool + Sync) -> Result<Value> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let files = AtomicU64::new(0);
    WalkBuilder::new(folder).standard_filters(false).threads(threads).build_parallel().run(|| {
        Box::new(|entry| {
            let is_file = |entry: &DirEntry| entry.file_type().is_some_and(|kind| kind.is_file());
            if entry.is_ok_and(|entry| is_file(&entry) && counts(&entry)) {
                files.fetch_add(1, Ordering::Relaxed);
            }
            WalkState::Continue
        })
    });
    Ok(json!({ "files": files.load(Ordering::Relaxed) }))
}

/// A tree that was looked at before and has not changed, as the server looks at it again: through the engine into a
/// memory. The walk alone beside it, in turn; medians of so many.
pub(crate) fn rescan(folder: &str, database: &str, times: usize) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = Arc::new(Store::open(&Database::File(database.into()), SystemClock::new().now())?);
    let first = look(&runtime, &store, folder)?;
    let (mut walks, mut asks, mut looks) = (Vec::new(), Vec::new(), Vec::new());
    let mut again = first;
    for _ in 0..times {
        for (work, took) in [(walk as fn(&str) -> Result<Value>, &mut walks), (walk_and_ask, &mut asks)] {
            let began = Instant::now();
            work(folder)?;
            took.push(began.elapsed().as_secs_f64());
        }
        again = look(&runtime, &store, folder)?;
        looks.push(again.seconds);
    }
    let median = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    Ok(json!({
        "first_s": first.seconds, "again_s": median(looks), "walk_s": median(walks), "asked_s": median(asks),
        "files": [first.files, again.files], "placements": [first.placements, again.placements],
    }))
}

/// One look: what it took, how many files were there, how many places are known after it.
#[derive(Clone, Copy)]
struct Looked {
    seconds: f64,
    files: u64,
    placements: u64,
}

fn look(runtime: &tokio::runtime::Runtime, store: &Arc<Store>, folder: &str) -> Result<Looked> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let began = Instant::now();
    let run = store.begin("bench", "here", clock.now())?;
    let recorder = Arc::new(Recorder::new(Arc::clone(store), Arc::default(), Arc::clone(&clock), run));
    let mut cx = Cx::new(clock, "here".into());
    cx.resume = Arc::clone(&recorder) as Arc<dyn Resume>;
    let files = Files {
        roots: vec![folder.into()],
        exclude: Exclude::default(),
        passwords: Arc::new([]),
        size_max: SIZE_MAX,
        threads: 0,
        given: None,
    };
    let sink = Arc::clone(&recorder) as Arc<dyn Sink>;
    let scan = runtime.block_on(files.discover(&cx, sink)).map_err(|fault| fault.to_string())?;
    recorder.finish(&Outcome { scan, complete: true, fault: None, next: None })?;
    let seconds = began.elapsed().as_secs_f64();
    let placements = store.sources()?.iter().map(|source| source.placements).sum();
    Ok(Looked { seconds, files: cx.progress.files.load(Ordering::Relaxed), placements })
}
