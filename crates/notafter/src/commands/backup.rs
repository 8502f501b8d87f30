//! `backup FILE` and `restore FILE`: one SQLite file that holds everything, whatever database it came from.

use std::path::Path;

use notafter_core::clock::Clock;
use notafter_engine::clock::SystemClock;
use notafter_store::Store;
use notafter_store::alerts::AuditLine;

use super::hands::memory;
use super::{End, Usage};
use crate::assemble;
use crate::cli::Global;
use crate::data::{Data, shown, who};
use crate::home::Home;
use crate::print;

pub(crate) fn backup(global: &Global, to: &Path) -> Result<End, Usage> {
    let (data, store, _) = memory(global)?;
    store.backup(to).map_err(|e| data.explain(&e))?;
    let bytes = std::fs::metadata(to).map(|m| m.len()).unwrap_or(0);
    print::out(format!("{}: {bytes} bytes, copied and checked\n", shown(to)).as_bytes());
    Ok(End::Done)
}

pub(crate) fn restore(global: &Global, from: &Path) -> Result<End, Usage> {
    let now = SystemClock::new().now();
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let data = Data::find(global, &sheet)?;
    // A server must not write into what is being replaced.
    let _lock = data.lock()?;
    let store = Store::restore(&data.database, from, now).map_err(|e| data.explain(&e))?;
    Home::restored(&store).map_err(|e| data.explain(&e))?;
    let line = AuditLine {
        at: now,
        who: who(),
        what: "restored".to_owned(),
        subject: "memory".to_owned(),
        detail: shown(from),
    };
    store.audit(&line).map_err(|e| data.explain(&e))?;
    let totals = store.totals().map_err(|e| data.explain(&e))?;
    let text = format!(
        "restored {} assets in {} places into {}\n",
        totals.assets,
        totals.placements,
        shown(&data.folder)
    );
    print::out(text.as_bytes());
    if !sheet.config.certificate.is_empty() {
        print::note(
            "renewing is paused here: stop the one it comes from, then: notafter renew NAME --take-over",
        );
    }
    Ok(End::Done)
}
