//! `serve`: the server. Opens the memory, starts the engine and the pages, and goes on until told to stop.
//!
//! SIGHUP and a change by `notafter watch` load the configuration anew; SIGTERM and Ctrl-C drain. Under
//! systemd it says when it is ready, and keeps saying that it lives.

use std::sync::Arc;
use std::time::Duration;

use notafter_act::solvers::Shown;
use notafter_core::clock::Clock;
use notafter_engine::clock::SystemClock;
use notafter_engine::notify::secret_hash;
use notafter_engine::serve::{Engine, Handle};
use notafter_engine::setup::Setup;
use notafter_server::challenge::Challenges;
use notafter_server::probe::Prober;
use notafter_server::{App, Settings, serve};
use notafter_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{End, Usage};
use crate::assemble;
use crate::cli::{Global, Serve};
use crate::config::plan::Sheet;
use crate::config::web::Web;
use crate::data::{Data, no_dumps, shown};
use crate::keeping;
use crate::print;
use crate::prober::LookOnce;
use crate::watches;

/// How often changes by the command line are looked for.
const LOOK: Duration = Duration::from_secs(2);
/// An engine that was without a sign of life so many looks running stands still for good: a minute, as long as systemd
/// waits for ours. Looks, not time: a process that was stopped as a whole is not to be ended for it.
const STILL: u32 = 30;

pub(crate) fn run(global: &Global, args: &Serve) -> Result<End, Usage> {
    no_dumps();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let web = sheet.web(args.listen).map_err(|e| assemble::explained(&sheet, &e))?;
    let data = Data::find(global, &sheet)?;
    let lock = data.lock()?;
    let token = data.token()?;
    let store = data.open(clock.now())?;
    store.claim().map_err(|e| data.explain(&e))?;
    let (watched, version) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let setup = keeping::setup(&sheet, &watched, (&data, &store));
    let setup = setup.map_err(|e| assemble::explained(&sheet, &e))?;
    super::enough_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Usage::new(format!("cannot start: {e}")))?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(web.listen)).map_err(|e| {
        Usage::new(format!("cannot listen on {}: {e}", web.listen))
            .hint("another server may be there: name another address with --listen or `listen` in the configuration")
    })?;
    let address = listener.local_addr().map_err(|e| Usage::new(format!("no address: {e}")))?;
    let greeting = greeting(&sheet, &setup, &data);
    let quiet = global.quiet;
    let log: notafter_engine::notify::Log = {
        let clock = Arc::clone(&clock);
        Arc::new(move |text: &str| {
            print::note(&format!("{} {}", clock.now(), notafter_pki::name::printable(text)))
        })
    };
    let (engine, handle) = Engine::new(
        Arc::clone(&store),
        Arc::clone(&clock),
        setup,
        assemble::vantage(),
        runtime.handle().clone(),
        log,
    )
    .map_err(|e| data.explain(&e))?;
    let thread = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || engine.run())
        .map_err(|e| Usage::new(format!("cannot start the engine: {e}")))?;
    let (coverage, look) = sheet.coverage(&watched);
    let prober = Arc::new(LookOnce::new(Arc::clone(&handle), coverage, look));
    let settings = Settings {
        listen: address,
        public_url: web.public_url.clone(),
        behind_proxy: web.behind_proxy,
        open_reads: web.open_reads,
        hosts: web.hosts.clone(),
        token_hash: secret_hash(&token),
        max_series: web.max_series,
        status_public: web.status_public,
        challenges: challenges(&sheet, &data, &store).map_err(|e| assemble::explained(&sheet, &e))?,
        version: env!("CARGO_PKG_VERSION"),
    };
    // Before anybody is told that it runs: a SIGHUP that nobody hears would be its end.
    let signals = {
        let _inside = runtime.enter();
        Signals::new().map_err(|e| Usage::new(format!("cannot hear signals: {e}")))?
    };
    let app = App::new(Arc::clone(&handle), settings, Some(Arc::clone(&prober) as Arc<dyn Prober>));
    if !quiet {
        let base = web.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let link = app.access().new_link().map_err(|e| data.explain(&e))?;
        print::out(
            format!("{greeting}  pages     {base}/\n  sign in   {base}{link}  (once, within ten minutes)\n")
                .as_bytes(),
        );
    }
    let over = Arc::new(tokio::sync::Notify::new());
    let stopped = Arc::clone(&over);
    let router = app.router();
    let serving = runtime.spawn(async move { serve(listener, router, stopped.notified_owned()).await });
    let (global, listen, handle_, store_) =
        (global.clone(), args.listen, Arc::clone(&handle), Arc::clone(&store));
    let keeper = Keeper { global, listen, data, handle: handle_, store: store_, web, clock, prober };
    let end = runtime.block_on(Arc::new(keeper).keep(version, &thread, signals));
    // A database that says nothing must not keep us, nor whoever waits for our end.
    store.begin_end();
    over.notify_one();
    handle.stop();
    // One that stands still would never be joined.
    if thread.is_finished() || !matches!(end, End::Failed) {
        let _ = thread.join();
    }
    let _ = runtime.block_on(serving);
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(lock);
    Ok(end)
}

/// What a CA is answered here. The keys are made at the first need: nothing is shown before something is kept alive.
fn challenges(sheet: &Sheet, data: &Data, store: &Arc<Store>) -> Result<Challenges, String> {
    if sheet.config.certificate.is_empty() {
        return Ok(Challenges::default());
    }
    let shown = Shown::new(keeping::keep(sheet, data, store)?);
    Ok(Challenges::new(move |token| shown.answer(token).map_err(drop)))
}

fn greeting(sheet: &Sheet, setup: &Setup, data: &Data) -> String {
    let what: Vec<_> =
        setup.sources.iter().map(|s| format!("{} ({})", s.name, count(s.targets.len()))).collect();
    let from = match &sheet.file {
        Some(file) => format!("configured by {}", shown(file)),
        None => "no configuration file: this machine and its usual certificate folders".to_owned(),
    };
    format!(
        "Notafter {} looks at {}\n  {from}\n  data      {}\n",
        env!("CARGO_PKG_VERSION"),
        what.join(", "),
        shown(&data.folder)
    )
}

fn count(n: usize) -> String {
    if n == 1 { "1 target".to_owned() } else { format!("{n} targets") }
}

/// What an administrator and a keyboard send.
pub(super) struct Signals {
    pub(super) hup: Signal,
    pub(super) term: Signal,
    pub(super) int: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }
}

/// Waits for signals and changes.
struct Keeper {
    global: Global,
    /// As given on the command line.
    listen: Option<std::net::SocketAddr>,
    data: Data,
    handle: Arc<Handle>,
    store: Arc<Store>,
    web: Web,
    clock: Arc<dyn Clock>,
    prober: Arc<LookOnce>,
}

impl Keeper {
    async fn keep(
        self: Arc<Self>,
        mut version: i64,
        engine: &std::thread::JoinHandle<()>,
        mut signals: Signals,
    ) -> End {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let mut tick = tokio::time::interval(LOOK);
        // A process that was stopped makes up for no look.
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The memory may be a database that does not answer: it is asked elsewhere, so that signals are heard meanwhile.
        let mut looking: Option<tokio::task::JoinHandle<Option<i64>>> = None;
        let mut loading: Option<tokio::task::JoinHandle<bool>> = None;
        let mut reload = false;
        let mut still = 0;
        loop {
            if let Some(loaded) = loading.take_if(|loading| loading.is_finished()) {
                reload |= matches!(loaded.await, Ok(false));
            }
            if reload && loading.is_none() {
                let keeper = Arc::clone(&self);
                (loading, reload) = (Some(tokio::task::spawn_blocking(move || keeper.reload())), false);
            }
            tokio::select! {
                _ = tick.tick() => {
                    // Pages without an engine would show yesterday for ever: whoever watches this process shall know.
                    if engine.is_finished() {
                        print::error(
                            "the engine stopped by a defect of its own",
                            Some("start it again (systemd does); please report what stands above this line"),
                        );
                        return End::Failed;
                    }
                    if self.handle.status.alive(self.clock.monotonic()) {
                        still = 0;
                        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                    } else {
                        still += 1;
                    }
                    if still > STILL {
                        print::error(
                            "the engine stands still: nothing was looked at and nobody was told anything for minutes",
                            Some("start it again (systemd does, and Docker with a restart policy); please report it"),
                        );
                        return End::Failed;
                    }
                    if let Some(looked) = looking.take_if(|looking| looking.is_finished())
                        && let Ok(Some(now)) = looked.await
                        && now != version
                    {
                        (version, reload) = (now, true);
                    }
                    looking.get_or_insert_with(|| {
                        let store = Arc::clone(&self.store);
                        tokio::task::spawn_blocking(move || watches::read(&store).ok().map(|(_, now)| now))
                    });
                }
                _ = signals.hup.recv() => reload = true,
                _ = signals.term.recv() => break,
                _ = signals.int.recv() => break,
            }
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        End::Done
    }

    /// Reads the configuration anew. A mistake in it changes nothing, and is said. `false`: it is to be tried again.
    fn reload(&self) -> bool {
        let sheet = match assemble::read_sheet(self.global.config.as_deref()) {
            Ok(sheet) => sheet,
            Err(wrong) => {
                print::error(&wrong.message, wrong.hint.as_deref());
                return true;
            }
        };
        let watched = match watches::read(&self.store) {
            Ok((watched, _)) => watched,
            Err(error) => {
                let what = format!("the configuration is not loaded yet, and is tried again: {error}");
                print::error(&what, error.hint.as_deref());
                return false;
            }
        };
        let with = (&self.data, &self.store);
        match keeping::setup(&sheet, &watched, with) {
            Ok(setup) => {
                let waiting = match self.waiting(&sheet) {
                    Ok(keys) => keys,
                    Err(wrong) => {
                        let what = "the configuration is wrong and is not used";
                        print::error(&format!("{what}: {wrong}"), None);
                        return true;
                    }
                };
                let rest = if waiting.is_empty() {
                    String::new()
                } else {
                    format!("; after a restart only: {}", waiting.join(", "))
                };
                print::note(&format!("{} configuration loaded anew{rest}", self.clock.now()));
                let (coverage, look) = sheet.coverage(&watched);
                self.prober.reload(coverage, look);
                self.handle.reload(setup);
            }
            Err(wrong) => print::error(&format!("the configuration is wrong and is not used: {wrong}"), None),
        }
        true
    }

    /// What the new configuration has otherwise and this process cannot take up.
    fn waiting(&self, sheet: &Sheet) -> Result<Vec<&'static str>, String> {
        let mut keys = self.web.changed(&sheet.web(self.listen)?);
        let data = Data::find(&self.global, sheet).map_err(|e| e.message)?;
        keys.extend(self.data.changed(&data));
        Ok(keys)
    }
}
