//! `act`: the process that has the rights to install, and listens on nothing but a socket of this machine.
//!
//! It obeys one configuration, which only root (or its own account) may be able to change, and does what that says when the
//! server asks for it: decision 0038. It asks no CA, judges nothing and has no clock of its own to begin anything by.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notafter_core::clock::Clock;
use notafter_core::joints::{Cx, Keep};
use notafter_engine::clock::SystemClock;
use notafter_store::Database;
use notafter_store::seal::{Master, Sealed};
use tokio::task::JoinSet;

use super::serve::Signals;
use super::{End, Usage};
use crate::acting::Desk;
use crate::acting::porch::{Log, Porch};
use crate::assemble;
use crate::cli::{Act, Global};
use crate::data::{Data, no_dumps, shown};
use crate::print;
use crate::trusted;

/// The configuration, unless another one is named. Never one that lies where this was started.
const CONFIG: &str = "/etc/notafter/notafter.toml";
/// What it keeps, unless systemd or somebody names another place.
const STATE: &str = "/var/lib/notafter-act";
/// How often it is looked whether the configuration changed.
const LOOK: Duration = Duration::from_secs(2);
/// So long what is under way has when it is told to end.
const DRAIN: Duration = Duration::from_secs(150);

pub(crate) fn run(global: &Global, args: &Act) -> Result<End, Usage> {
    no_dumps();
    let file = global.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
    let file = std::path::absolute(&file).unwrap_or(file);
    let plain = |e: String| assemble::explain_plain(&e);
    trusted::solely_ours(&file).map_err(plain)?;
    let sheet = assemble::read_sheet(Some(&file))?;
    let user = sheet.may_ask().map_err(|e| assemble::explained(&sheet, &e))?;
    let configured = sheet.config.act.socket.as_ref().map(|s| s.get_ref().clone());
    let socket = args.socket.clone().or(configured);
    let socket = socket.unwrap_or_else(|| PathBuf::from(notafter_act::privsep::SOCKET));
    let data = data(global);
    let lock = data.lock()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let desk = Arc::new(desk(&data, file.clone(), &clock)?);
    super::enough_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Usage::new(format!("cannot start: {e}")))?;
    let (porch, signals) = {
        let _inside = runtime.enter();
        let signals = Signals::new().map_err(|e| Usage::new(format!("cannot hear signals: {e}")))?;
        (Porch::open(&socket, user).map_err(plain)?, signals)
    };
    if !global.quiet {
        let (certificates, targets) = desk.size();
        print::out(
            format!(
                "Notafter {} installs for {certificates} certificates, {targets} targets\n  obeys     {}\n  listens   {}\n  keeps     {}\n",
                env!("CARGO_PKG_VERSION"),
                shown(&file),
                socket.display(),
                shown(&data.folder),
            )
            .as_bytes(),
        );
    }
    let log: Log = {
        let clock = Arc::clone(&clock);
        Arc::new(move |text: &str| {
            print::note(&format!("{} {}", clock.now(), notafter_pki::name::printable(text)))
        })
    };
    runtime.block_on(attend(porch, signals, &desk, &file, &log));
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(lock);
    Ok(End::Done)
}

/// Where it keeps what is its own. Never the server's folder, which the same configuration may name.
fn data(global: &Global) -> Data {
    let state = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    let folder = global.data.clone().or_else(state).unwrap_or_else(|| PathBuf::from(STATE));
    Data {
        database: Database::File(folder.join("act.db")),
        token_file: folder.join("token"),
        folder,
        inside_only: true,
    }
}

fn desk(data: &Data, file: PathBuf, clock: &Arc<dyn Clock>) -> Result<Desk, Usage> {
    let plain = |e: String| assemble::explain_plain(&e);
    let store = data.open(clock.now())?;
    let key = data.folder.join("master.key");
    // A new one would open nothing of what is kept.
    if !key.exists() && store.kept("sealed/master").map_err(|e| data.explain(&e))?.is_some() {
        return Err(Usage::new(format!(
            "the key {} is gone: the private keys that are kept here do not open without it",
            key.display()
        ))
        .hint("put it back; if it is lost for good, move the folder away and renew every certificate"));
    }
    let master = Master::in_file(&key).map_err(plain)?;
    let keep: Arc<dyn Keep> = Arc::new(Sealed::new(store, master));
    if keep.kept("master")?.is_none() {
        keep.keep("master", None, b"the master key of this folder")?;
    }
    let cx = Cx::new(Arc::clone(clock), assemble::vantage());
    Desk::open(file, keep, cx).map_err(plain)
}

async fn attend(porch: Porch, mut signals: Signals, desk: &Arc<Desk>, file: &Path, log: &Log) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut tick = tokio::time::interval(LOOK);
    let mut tasks = JoinSet::new();
    let mut version = version_of(file);
    loop {
        let mut reload = false;
        tokio::select! {
            caller = porch.next() => match caller {
                Ok(caller) => {
                    tasks.spawn(caller.attend(Arc::clone(desk), Arc::clone(log)));
                }
                Err(error) => {
                    log(&format!("nobody could be let in: {error}"));
                    // Out of descriptors, most likely: at once it would be the same.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            _ = tick.tick() => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                let now = version_of(file);
                reload = now != version;
                version = now;
            }
            _ = signals.hup.recv() => reload = true,
            _ = signals.term.recv() => break,
            _ = signals.int.recv() => break,
        }
        while tasks.try_join_next().is_some() {}
        if reload {
            match desk.load() {
                Ok(()) => log("configuration loaded anew"),
                Err(wrong) => {
                    log(&format!("the configuration is not used: {}", wrong.replace("\nhint: ", "; ")))
                }
            }
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    drop(porch);
    // What is under way ends as it began: a target is never left in the middle for want of a few seconds.
    let _ = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
}

/// What changes when a file does, also in its mode and owner.
fn version_of(file: &Path) -> Option<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(file).ok()?;
    Some((about.ino(), about.ctime(), about.ctime_nsec()))
}
