//! What the tests of this folder have in common: bundles, a target in a lab, a disk that fails on command.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::deployment::{Bundle, Key, Receipt};
use notafter_core::fault::Fault;
use notafter_core::joints::{Cx, Deployer};
use notafter_lab::{Authority, Lab, Leaf, Request};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{Content, Limits, open};
use serde_json::Value;

use super::super::Files;
use super::super::disk::Steps;

/// When the tests take place: now, as the lab's certificates are dated by it.
pub(super) struct Wall;

impl Clock for Wall {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> UnixTime {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        UnixTime(now.as_secs() as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

pub(super) fn cx() -> Cx {
    Cx::new(Arc::new(Wall), "test".into())
}

/// Fails before the n-th effect: once, or from then on, as when the process was killed.
#[derive(Default)]
pub(super) struct Faulty {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: Vec<String>,
    stop: Option<(usize, bool)>,
    /// Effects of this kind alone, and all of them from there on.
    kind: Option<&'static str>,
}

impl Faulty {
    /// Everything from the n-th effect on (from 0) does not happen.
    pub(super) fn kill_at(n: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { stop: Some((n, true)), ..State::default() }) })
    }

    /// The n-th effect is answered by "no space left on device".
    pub(super) fn full_at(n: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { stop: Some((n, false)), ..State::default() }) })
    }

    /// From the n-th effect on, effects of this kind are refused, and no others.
    pub(super) fn refused_from(n: usize, kind: &'static str) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { stop: Some((n, true)), kind: Some(kind), ..State::default() }),
        })
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.clone()
    }
}

impl Steps for Faulty {
    fn step(&self, what: &'static str, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let number = state.seen.len();
        state.seen.push(format!("{what} {}", path.display()));
        match state.stop {
            Some(_) if state.kind.is_some_and(|kind| kind != what) => Ok(()),
            Some((stop, true)) if number >= stop => Err(io::Error::other("killed")),
            Some((stop, false)) if number == stop => Err(io::Error::from_raw_os_error(28)),
            _ => Ok(()),
        }
    }
}

/// One lab, one authority, and what they issued.
pub(super) struct Bench {
    pub(super) lab: Lab,
    pub(super) leaves: Vec<Leaf>,
}

impl Bench {
    pub(super) fn new(name: &str, leaves: usize) -> Self {
        let lab = Lab::new(name);
        let authority = Authority::new(&lab);
        let request = || Request::new(&["api.example.com", "127.0.0.1"]).days(60).fresh_key();
        let leaves = (0..leaves).map(|_| authority.issue(&request())).collect();
        Self { lab, leaves }
    }

    pub(super) fn bundle(&self, generation: u64) -> Bundle {
        bundle(&self.leaves[generation as usize - 1], generation)
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.lab.subfolder(name)
    }
}

pub(super) fn bundle(leaf: &Leaf, generation: u64) -> Bundle {
    let pem = std::fs::read(&leaf.fullchain_pem).unwrap();
    let chain = open(&pem, &[], &Limits::default()).certificates().map(<[u8]>::to_vec).collect();
    let key = std::fs::read_to_string(&leaf.key_pem).unwrap();
    let body: String = key.lines().filter(|l| !l.starts_with('-')).collect();
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    Bundle { name: "api".into(), generation, chain, key: Key::new(der) }
}

pub(super) fn files(table: Value) -> Files {
    Files::open(table).unwrap()
}

pub(super) fn faulty(table: Value, steps: &Arc<Faulty>) -> Files {
    let mut files = files(table);
    files.steps = Arc::<Faulty>::clone(steps);
    files
}

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub(super) fn deploy(files: &Files, bundle: &Bundle) -> Result<Receipt, Fault> {
    run(files.deploy(&cx(), bundle))
}

/// The fingerprint of the pair that a server finds at these paths, if it would start with it.
pub(super) fn pair(certificate: &Path, key: &Path) -> Result<String, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let (certificate, key) = (read(certificate)?, read(key)?);
    let opened = open(&certificate, &[], &Limits::default());
    let leaf = opened.certificates().next().ok_or("no certificate")?;
    let leaf = Certificate::parse(leaf).map_err(|_| "a broken certificate")?;
    let opened = open(&key, &[], &Limits::default());
    let id = opened.found.iter().find_map(|found| match &found.content {
        Content::PrivateKey(key) => key.key_id(),
        _ => None,
    });
    if id != Some(leaf.key_id()) {
        return Err("key and certificate disagree".into());
    }
    Ok(leaf.fingerprint().to_string())
}

/// All files below a folder that are none of the kept generations.
pub(super) fn loose(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let is_store = name.ends_with(".notafter");
        if is_store {
            for inner in std::fs::read_dir(entry.path()).unwrap().flatten() {
                let inner = inner.file_name().into_string().unwrap();
                if !["gen-", "before-", "found-", "current", "loaded"].iter().any(|k| inner.starts_with(k)) {
                    names.push(format!("{name}/{inner}"));
                }
            }
        } else if name.starts_with('.') {
            names.push(name);
        }
    }
    names
}
