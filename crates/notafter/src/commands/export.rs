//! `export`, `status export`, `calendar`, `sign-in`: what is known, in other programs' forms, and the way to it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use notafter_engine::clock::SystemClock;
use notafter_engine::notify::secret_hash;
use notafter_server::Access;
use notafter_server::export::{Format, write};
use notafter_server::{calendar as calendars, status_export};

use super::hands::memory;
use super::{End, Usage};
use crate::assemble;
use crate::cli::{Calendar, Export, Global};
use crate::data::{shown, who};
use crate::print;
use crate::watches;

pub(crate) fn run(global: &Global, args: &Export) -> Result<End, Usage> {
    let (_, store, now) = memory(global)?;
    let query = super::ls::parse(&args.query.join(" "))?;
    let ending = args.output.as_deref().and_then(Path::extension).map(|e| e.to_string_lossy().into_owned());
    let kind = args.kind.clone().or(ending).unwrap_or_else(|| "csv".to_owned());
    let format = Format::of(&kind).ok_or_else(|| {
        Usage::new(format!("nothing is exported as `{kind}`"))
            .hint("known are csv, xlsx, json, ndjson and ics")
    })?;
    let failed = |e: String| Usage::new(format!("the export failed: {e}"));
    match &args.output {
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            write(&store, &query, format, now, &mut out).map_err(|e| failed(e.to_string()))?;
            let _ = out.flush();
        }
        Some(path) => {
            let file = File::create(path)
                .map_err(|e| Usage::new(format!("cannot write {}: {e}", path.display())))?;
            let mut out = BufWriter::new(file);
            let rows = write(&store, &query, format, now, &mut out).map_err(|e| failed(e.to_string()))?;
            out.flush().map_err(|e| failed(e.to_string()))?;
            if !global.quiet {
                print::note(&format!("{}: {rows} rows", shown(path)));
            }
        }
    }
    Ok(End::Done)
}

pub(crate) fn status(global: &Global, folder: &Path) -> Result<End, Usage> {
    let (data, store, now) = memory(global)?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let (watched, _) = watches::read(&store).map_err(|e| data.explain(&e))?;
    let setup = sheet.setup(&watched).map_err(Usage::new)?;
    if !setup.services.iter().any(|s| s.public) {
        return Err(Usage::new("no service is public, so there is nothing to show to strangers")
            .hint("add a [[service]] with public = true"));
    }
    // Without a server nobody looks: what is written then says so.
    status_export::write(&store, &setup, data.is_served(), folder, now)
        .map_err(|e| Usage::new(format!("cannot write into {}: {e}", folder.display())))?;
    print::out(format!("{}: index.html and notafter.css\n", shown(folder)).as_bytes());
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
