//! The status page as files, so that it can live on another host than what it reports on.
//!
//! Only public services: the files are for strangers. One page, its stylesheet, and a script that greys it once it is
//! old, because nobody else would tell its readers that the one who wrote it has died. No link into the app.

use std::io;
use std::path::Path;

use askama::Template;
use notafter_core::UnixTime;
use notafter_engine::serve::Handle;
use notafter_engine::service::{ServiceState, states};
use notafter_engine::setup::Setup;
use notafter_store::Store;

use crate::assets;
use crate::views::status::{Gathered, days_of, view};

/// An export may be believed for so many seconds: as long as three rounds of a cron job that runs every five minutes.
pub const VALID: i64 = 900;

/// Writes `index.html`, `notafter.css` and `status.js` into a folder, each whole or not at all. Blocks.
///
/// # Errors
/// The store's, or the folder cannot be written.
pub fn status_export(handle: &Handle, dir: &Path) -> io::Result<()> {
    let well = handle.status.alive(handle.clock.monotonic()) && handle.status.read().trouble.is_none();
    write(&handle.store, &handle.setup(), well, dir, handle.clock.now())
}

/// The same over a store, for a command that runs beside the server. `well` says that somebody is observing.
///
/// # Errors
/// The store's, or the folder cannot be written.
pub fn write(store: &Store, setup: &Setup, well: bool, dir: &Path, now: UnixTime) -> io::Result<()> {
    write_valid(store, setup, well, dir, now, VALID)
}

/// The same, to be believed for so many seconds: longer than the time to the next export, and not much.
///
/// # Errors
/// The store's, or the folder cannot be written.
pub fn write_valid(
    store: &Store,
    setup: &Setup,
    well: bool,
    dir: &Path,
    now: UnixTime,
    valid: i64,
) -> io::Result<()> {
    let services = states(store, setup, now).map_err(io::Error::other)?;
    let services: Vec<ServiceState> = services.into_iter().filter(|s| s.public).collect();
    let days = days_of(store, &services, now).map_err(io::Error::other)?;
    let found = Gathered {
        services: &services,
        days: &days,
        as_of: now,
        well,
        inside: false,
        valid,
        folder: String::new(),
        version: env!("CARGO_PKG_VERSION"),
    };
    let page = view(&found, now).render().map_err(io::Error::other)?;
    std::fs::create_dir_all(dir)?;
    replace(dir, "notafter.css", assets::STYLE.as_bytes())?;
    replace(dir, "status.js", assets::STATUS_SCRIPT.as_bytes())?;
    replace(dir, "index.html", page.as_bytes())
}

/// A reader sees the old file or the new one.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!(".{name}.new"));
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, dir.join(name))
}
