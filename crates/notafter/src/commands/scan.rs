//! `scan`: look once, judge, print.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::document::{AssetDocument, BlindSpotDocument, FindingDocument, ScanDocument, ScanHeader};
use notafter_core::finding::Severity;
use notafter_core::joints::Cx;
use notafter_core::location::Location;
use notafter_core::subject::SubjectKey;
use notafter_engine::judge::judge_due;
use notafter_engine::pipeline::{self, Order, Report};
use notafter_engine::setup::Setup;
use notafter_store::observations::{Changed, Outcome};
use notafter_store::{Store, StoreError};

use super::{End, Usage};
use crate::assemble::Assembly;
use crate::cli::{FailOn, Format, Global, Scan};
use crate::config::plan::Sheet;
use crate::data::Data;
use crate::print;
use crate::print::paper::Paper;
use crate::print::stream::{self, Stream};
use crate::print::table::{View, page};

/// More pairs of address and port than this are asked by nobody: at 100,000 a second it is four months.
const PAIRS_EVER: u64 = 1 << 40;
/// More pairs of address and port than this are asked only after a yes.
const PAIRS_MAX: u64 = 65_536;

pub(crate) fn run(global: &Global, args: Scan) -> Result<End, Usage> {
    let assembly = Assembly::new(global, &args.look, &args.targets)?.with_entries();
    assembled(global, assembly, &args)
}

/// Looks at the targets alone, and not at what the configuration knows besides.
pub(crate) fn targets_alone(global: &Global, args: &Scan) -> Result<End, Usage> {
    assembled(global, Assembly::new(global, &args.look, &args.targets)?, args)
}

fn assembled(global: &Global, assembly: Assembly, args: &Scan) -> Result<End, Usage> {
    if let Some(end) = consent(&assembly, args)? {
        return Ok(end);
    }
    let format = global.format();
    if args.no_findings && format != Format::Ndjson {
        return Err(Usage::new("--no-findings keeps nothing, so there would be nothing to print")
            .hint("use it with --format ndjson"));
    }
    let cx = assembly.cx();
    let stream = (format == Format::Ndjson).then(|| Stream::new(assembly.at, &cx.vantage));
    let started = assembly.clock.now();
    let targets = assembly.targets.clone();
    let roots = assembly.files.as_ref().map(|f| f.roots.clone()).unwrap_or_default();
    let roots = if assembly.network.is_some() { Vec::new() } else { roots };
    let (at, all_single, clock) = (assembly.at, assembly.all_single, Arc::clone(&assembly.clock));
    let judged = !args.no_findings;
    let report = look(assembly, &cx, global.quiet, judged, stream)?;
    for fault in &report.faults {
        print::error(&fault.context, fault.hint.as_deref());
    }
    if args.save {
        save(global, &report, &cx, started)?;
    }
    let header = ScanHeader {
        started: started.to_string(),
        finished: clock.now().to_string(),
        at: at.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        targets,
        attempted: 0,
        reached: 0,
        unreachable: 0,
        files: 0,
        interrupted: report.interrupted,
    }
    .counted(report.scan);
    match format {
        Format::Table => {
            let mut paper = Paper::new(print::colours(global.color), print::width());
            page(&mut paper, &View { report: &report, at, verbose: global.verbose > 0, quiet: global.quiet });
            print::out(paper.into_text().as_bytes());
        }
        Format::Json => print_json(&report, header, at, &cx),
        Format::Csv => {
            let assets = assets(&report, at);
            print::out(
                print::csv::render(&assets, &stream::placements(&report.inventory, &cx.vantage)).as_bytes(),
            );
        }
        Format::Ndjson => {
            let mut stream = Stream::new(at, &cx.vantage);
            for finding in &report.findings {
                stream.finding(&FindingDocument::of(finding, at));
            }
            stream.scan(&header);
        }
    }
    Ok(end(&report, args.fail_on, all_single || every_root_is_closed(&report, &roots)))
}

/// The name under which one-off scans are kept.
const SAVED: &str = "scan";

/// Where what was seen is kept, and by what it is judged there.
pub(crate) struct Memory<'a> {
    pub(crate) sheet: &'a Sheet,
    pub(crate) data: &'a Data,
    pub(crate) store: &'a Store,
}

impl Memory<'_> {
    /// # Errors
    /// A mistake in the configuration; the store's.
    pub(crate) fn setup(&self) -> Result<Setup, Usage> {
        let (watched, _) = crate::watches::read(self.store).map_err(|e| self.data.explain(&e))?;
        self.sheet.mute_setup(&watched).map_err(Usage::new)
    }
}

/// Keeps what was seen, and judges it. It is no complete look at anything: what it did not see stays as it was.
///
/// # Errors
/// A mistake in the configuration; the store's.
pub(crate) fn keep(
    memory: &Memory<'_>,
    source: &str,
    (report, started): (&Report, UnixTime),
    cx: &Cx,
) -> Result<Changed, Usage> {
    let (store, now) = (memory.store, cx.clock.now());
    let failed = |e: StoreError| memory.data.explain(&e);
    let mut run = store.begin(source, &cx.vantage, started).map_err(failed)?;
    let changed = store.record(&mut run, &report.inventory).map_err(failed)?;
    let outcome = Outcome { scan: report.scan, complete: false, fault: None, next: None };
    store.finish(run, &outcome, now).map_err(failed)?;
    let judgment = memory.setup()?.judgment(now);
    let mut refused = |subject: &SubjectKey, error: &StoreError| {
        print::note(&format!("the verdict about {subject} was refused: {error}"));
    };
    while judge_due(store, &judgment, &mut refused).map_err(failed)?.is_some() {}
    Ok(changed)
}

/// Keeps a scan in the data folder.
fn save(global: &Global, report: &Report, cx: &Cx, started: UnixTime) -> Result<(), Usage> {
    let sheet = crate::assemble::read_sheet(global.config.as_deref())?;
    let data = Data::find(global, &sheet)?;
    let store = data.open(cx.clock.now())?;
    let memory = Memory { sheet: &sheet, data: &data, store: &store };
    let changed = keep(&memory, SAVED, (report, started), cx)?;
    if !global.quiet {
        print::note(&format!(
            "kept in {}: {} new assets, {} new places",
            crate::data::shown(&data.folder),
            changed.new_assets,
            changed.new_placements
        ));
    }
    Ok(())
}

/// Runs the pipeline of an assembly until its end or Ctrl-C.
pub(crate) fn look(
    mut assembly: Assembly,
    cx: &Cx,
    quiet: bool,
    judged: bool,
    stream: Option<Stream>,
) -> Result<Report, Usage> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Usage::new(format!("cannot start: {e}")))?;
    let judgment = judged.then(|| assembly.judgment());
    let sources = assembly.take_sources();
    let report = runtime.block_on(async {
        let bar = print::progress::Bar::start(&cx.progress, quiet || stream.is_some());
        let gone = Arc::new(tokio::sync::Notify::new());
        let ticker = stream.as_ref().map(|s| tokio::spawn(tick(s.outlet(), Arc::clone(&gone))));
        let tap = stream.map(|s| Box::new(s) as Box<dyn notafter_engine::ingest::Tap>);
        let order = Order { sources, judgment, tap };
        let stop = async {
            // Without a handler for it, Ctrl-C would lose what was found.
            let interrupted = async {
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            // And when nobody reads any more (`| head`), nobody else need be asked.
            tokio::select! {
                () = interrupted => {}
                () = gone.notified() => {}
            }
        };
        let report = pipeline::run(cx, order, stop).await;
        ticker.inspect(tokio::task::JoinHandle::abort);
        drop(bar);
        report
    });
    // The system's resolver may still be waiting for a dead server: nobody waits for it.
    runtime.shutdown_background();
    Ok(report)
}

/// Whoever reads the stream sees a line at the latest so long after it was found.
const LINE_LATE_MAX: std::time::Duration = std::time::Duration::from_millis(100);

async fn tick(outlet: stream::Outlet, gone: Arc<tokio::sync::Notify>) {
    let mut ticks = tokio::time::interval(LINE_LATE_MAX);
    loop {
        ticks.tick().await;
        if !outlet.flush() || print::reader_is_gone() {
            gone.notify_one();
            return;
        }
    }
}

/// Asks before a large or wide scan; `--dry-run` only says what would be asked.
fn consent(assembly: &Assembly, args: &Scan) -> Result<Option<End>, Usage> {
    let size = assembly.network.as_ref().map(|n| n.size()).unwrap_or_default();
    if args.dry_run {
        let roots = assembly.files.as_ref().map(|f| f.roots.as_slice()).unwrap_or_default();
        let mut text = String::new();
        if assembly.network.is_some() {
            let pairs = print::table::count(size.pairs);
            text.push_str(&format!("would ask {pairs} pairs of address and port\n"));
        }
        for root in roots {
            text.push_str(&format!("would look through {}\n", root.display()));
        }
        print::out(text.as_bytes());
        return Ok(Some(End::Done));
    }
    if size.pairs > PAIRS_EVER {
        return Err(Usage::new(format!(
            "{} pairs of address and port would take years",
            print::table::count(size.pairs)
        ))
        .hint("name the hosts, or smaller ranges: IPv6 is not found by trying"));
    }
    if !args.yes {
        polite(assembly)
            .map_err(|wide| wide.hint("if you may scan all of them, say --yes; --dry-run only counts"))?;
    }
    Ok(None)
}

/// Refuses a large or wide look: for every command, because every command asks strangers.
pub(crate) fn polite(assembly: &Assembly) -> Result<(), Usage> {
    let size = assembly.network.as_ref().map(|n| n.size()).unwrap_or_default();
    if size.pairs <= PAIRS_MAX && !size.wide_and_public {
        return Ok(());
    }
    let what = if size.wide_and_public { ", in a public range beyond /24" } else { "" };
    let pairs = print::table::count(size.pairs);
    Err(Usage::new(format!("this would ask {pairs} pairs of address and port{what}"))
        .hint("use `notafter scan` for a range, and say --yes if you may scan all of it"))
}

fn assets(report: &Report, at: notafter_core::UnixTime) -> Vec<AssetDocument> {
    report.inventory.assets().map(|(ix, a)| AssetDocument::of(a, &report.inventory.bytes(ix), at)).collect()
}

fn print_json(report: &Report, scan: ScanHeader, at: notafter_core::UnixTime, cx: &Cx) {
    let document = ScanDocument {
        scan,
        assets: assets(report, at),
        placements: stream::placements(&report.inventory, &cx.vantage),
        findings: report.findings.iter().map(|f| FindingDocument::of(f, at)).collect(),
        blind_spots: report.inventory.blind_spots().iter().map(BlindSpotDocument::of).collect(),
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    use std::io::Write;
    // A closed pipe ends the printing; there is nobody left to tell.
    let _ = serde_json::to_writer_pretty(&mut out, &document);
    let _ = out.write_all(b"\n").and_then(|()| out.flush());
}

/// Was every folder that was named itself unreadable? Then its silence is no health.
fn every_root_is_closed(report: &Report, roots: &[std::path::PathBuf]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let closed = |root: &std::path::PathBuf| {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.clone());
        let root = Location::file(root.as_os_str().as_bytes(), "");
        report.inventory.blind_spots().iter().any(|spot| spot.location == root)
    };
    !roots.is_empty() && roots.iter().all(closed)
}

fn end(report: &Report, fail_on: Option<FailOn>, all_single: bool) -> End {
    if report.interrupted {
        return End::Interrupted;
    }
    let nothing = report.scan.reached == 0
        && report.inventory.assets().len() == 0
        && report.inventory.keys().is_empty();
    if all_single && nothing && (report.scan.attempted > 0 || !report.inventory.blind_spots().is_empty()) {
        return End::NothingReached;
    }
    let limit = fail_on.map(|f| match f {
        FailOn::Critical => Severity::Critical,
        FailOn::Warning => Severity::Warning,
        FailOn::Info => Severity::Info,
    });
    match limit {
        Some(limit) if report.findings.iter().any(|f| f.severity <= limit) => End::Failed,
        _ => End::Done,
    }
}
