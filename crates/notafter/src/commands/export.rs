//! `export`, `status export`, `calendar`, `sign-in`: what is known, in other programs' forms, and the way to it.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use notafter_engine::clock::SystemClock;
use notafter_engine::hands;
use notafter_engine::notify::secret_hash;
use notafter_server::Access;
use notafter_server::export::{ExportError, Format, trail, write};
use notafter_server::{calendar as calendars, status_export};
use notafter_sheet::compare::compare;
use notafter_sheet::entries::Entry;
use notafter_sheet::reading::take;
use notafter_sheet::{Wrong, table};

use super::hands::{instant, memory, setup};
use super::{End, Usage, import};
use crate::assemble;
use crate::beside::Beside;
use crate::cli::{self, Calendar, Export, Global};
use crate::data::{shown, who};
use crate::moment;
use crate::print;

pub(crate) fn run(global: &Global, args: &Export) -> Result<End, Usage> {
    if let Some(sheet) = &args.like {
        return like(global, args, sheet);
    }
    let said = &args.reading;
    if !said.column.is_empty() || said.sheet.is_some() || said.dates.is_some() {
        return Err(Usage::new("--column, --sheet and --dates are about a file")
            .hint("name it: --like inventory.xlsx"));
    }
    if args.trail {
        let (_, store, _) = memory(global)?;
        return written(global, args, |out| trail(&store, out));
    }
    let (data, store, now) = memory(global)?;
    let at = instant(global, now)?;
    let query = super::ls::parse(&super::ls::words(&args.query), &data, &store)?;
    let kind = kind(global, args)?;
    let format = Format::of(&kind).ok_or_else(|| {
        Usage::new(format!("nothing is exported as `{kind}`"))
            .hint("known are csv, xlsx, json, ndjson and ics")
    })?;
    written(global, args, |out| write(&store, &query, format, at, out))
}

/// Into the file that is named, which is there as a whole or not at all; else to standard output.
fn written(
    global: &Global,
    args: &Export,
    rows: impl FnOnce(&mut dyn Write) -> Result<u64, ExportError>,
) -> Result<End, Usage> {
    let failed = |e: ExportError| Usage::new(format!("the export failed: {e}"));
    let Some(path) = &args.output else {
        let mut out = BufWriter::new(std::io::stdout().lock());
        rows(&mut out).map_err(failed)?;
        let _ = out.flush();
        return Ok(End::Done);
    };
    let cannot = |e: std::io::Error| Usage::new(format!("cannot write {}: {e}", path.display()));
    let mut beside = Beside::new(path).map_err(cannot)?;
    let mut out = BufWriter::new(&mut beside.file);
    let rows = rows(&mut out).map_err(failed)?;
    out.flush().map_err(cannot)?;
    drop(out);
    beside.keep().map_err(cannot)?;
    if !global.quiet {
        print::note(&format!("{}: {rows} rows", shown(path)));
    }
    Ok(End::Done)
}

/// A person's own sheet, brought up to date.
fn like(global: &Global, args: &Export, sheet: &Path) -> Result<End, Usage> {
    super::no_rows(global, "export --like")?;
    let asked = import::asked(&args.reading)?;
    let explain = |wrong: Wrong| Usage::new(format!("{}: {}", shown(sheet), wrong.message)).hint(wrong.hint);
    let book = table::open(&import::read(sheet)?).map_err(explain)?;
    let (data, store, now) = memory(global)?;
    let found = import::found(&store, now).map_err(|e| data.explain(&e))?;
    let reading = take(&book, &asked, &found).map_err(explain)?;
    let entries: Vec<Entry> = reading.parts.iter().flat_map(|p| p.rows.entries.iter().cloned()).collect();
    let like = notafter_sheet::like::like(&book, &reading, &compare(&entries, &found), &found);
    let (bytes, note) = notafter_sheet::write::write(&like.book).map_err(explain)?;
    match &args.output {
        None => drop(print::out(&bytes)),
        Some(path) => {
            let cannot = |e: std::io::Error| Usage::new(format!("cannot write {}: {e}", path.display()));
            let mut beside = Beside::new(path).map_err(cannot)?;
            beside.file.write_all(&bytes).map_err(cannot)?;
            beside.keep().map_err(cannot)?;
        }
    }
    if !global.quiet {
        for note in reading.notes.iter().chain(&note) {
            print::note(note);
        }
        print::note(&format!(
            "{} rows put right, {} as they were, {} about what is gone or cannot be read left alone, {} added",
            like.mended, like.right, like.left, like.added
        ));
    }
    Ok(End::Done)
}

/// As what: `--as`, else `--format` and `--json`, else the name of the file, else CSV.
fn kind(global: &Global, args: &Export) -> Result<String, Usage> {
    let asked = if global.json { Some(cli::Format::Json) } else { global.format };
    let asked = match asked {
        None => None,
        Some(cli::Format::Json) => Some("json"),
        Some(cli::Format::Ndjson) => Some("ndjson"),
        Some(cli::Format::Csv) => Some("csv"),
        Some(cli::Format::Table) => {
            return Err(Usage::new("an export is for other programs, and has no table")
                .hint("`notafter ls` prints one"));
        }
    };
    match (&args.kind, asked) {
        (Some(kind), Some(asked)) if kind != asked => {
            Err(Usage::new(format!("`--as {kind}` and `--format {asked}` say two things")).hint("give one"))
        }
        (Some(kind), _) => Ok(kind.clone()),
        (None, Some(asked)) => Ok(asked.to_owned()),
        (None, None) => {
            let ending = args.output.as_deref().and_then(Path::extension);
            Ok(ending.map_or_else(|| "csv".to_owned(), |e| e.to_string_lossy().into_owned()))
        }
    }
}

/// An export may be believed for so many seconds at most: what is older says nothing about today.
const VALID_MOST: i64 = 7 * 86_400;

pub(crate) fn status(global: &Global, folder: &Path, valid: &str) -> Result<End, Usage> {
    let seconds = moment::duration(valid).map_err(Usage::new)?.as_secs();
    let valid = i64::try_from(seconds).unwrap_or(i64::MAX);
    if !(60..=VALID_MOST).contains(&valid) {
        return Err(Usage::new("--valid is from 1m to 7d")
            .hint("about three times as long as the exports are apart: 15m for one every five minutes"));
    }
    let (data, store, now) = memory(global)?;
    let (_, setup) = setup(global, &data, &store)?;
    if !setup.services.iter().any(|s| s.public) {
        return Err(Usage::new("no service is public, so there is nothing to show to strangers")
            .hint("add a [[service]] with public = true"));
    }
    // Without a server nobody looks: what is written then says so.
    status_export::write_valid(&store, &setup, data.is_served(), folder, now, valid)
        .map_err(|e| Usage::new(format!("cannot write into {}: {e}", folder.display())))?;
    print::out(format!("{}: index.html, notafter.css and status.js\n", shown(folder)).as_bytes());
    Ok(End::Done)
}

pub(crate) fn calendar(global: &Global, args: &Calendar) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let web = sheet.web(None).map_err(Usage::new)?;
    if args.revoke {
        let was = calendars::revoke(&store, &args.owner, &who(), now).map_err(|e| data.explain(&e))?;
        let text = if was { "its address is void\n" } else { "no address was given out\n" };
        print::out(text.as_bytes());
        return Ok(End::Done);
    }
    // The calendar of nobody would be empty for ever, and nobody would wonder.
    hands::known_owner(&setup(global, &data, &store)?.1, &args.owner)?;
    let path = calendars::calendar_link(&store, &args.owner, &who(), now).map_err(|e| data.explain(&e))?;
    let base = web.public_url.unwrap_or_else(|| format!("http://{}", web.listen));
    print::out(format!("{base}{path}\n").as_bytes());
    print::note("whoever has this address can read the calendar; a new one makes the old one void");
    Ok(End::Done)
}

/// Prints a link for a browser. Whoever can write into the data folder may sign in anyway.
pub(crate) fn sign_in(global: &Global) -> Result<End, Usage> {
    let (data, store, _) = memory(global)?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let web = sheet.web(None).map_err(Usage::new)?;
    let clock = Arc::new(SystemClock::new());
    let access = Access::new(store, clock, secret_hash(&data.token()?));
    let link = access.new_link().map_err(|e| data.explain(&e))?;
    let base = web.public_url.unwrap_or_else(|| format!("http://{}", web.listen));
    print::out(format!("{base}{link}\n").as_bytes());
    if !data.is_served() {
        print::note("the server does not run: start it with `notafter serve`");
    }
    Ok(End::Done)
}
