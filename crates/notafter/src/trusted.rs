//! Is a configuration one that root may obey? What it says is done as root: commands are run, files are written.
//!
//! Who is not root does nothing here that whoever writes the file could not do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use notafter_act::deployers;

/// Refuses a file that others could change, when root runs this.
///
/// # Errors
/// Who else could, and what to do.
pub(crate) fn obeyed(path: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let refused =
        |what: &str, hint: &str| format!("root does not obey {}: {what}\nhint: {hint}", real.display());
    if let Some(folder) = real.parent() {
        deployers::guarded(folder, &[])
            .map_err(|fault| refused(&fault.to_string(), fault.hint.as_deref().unwrap_or_default()))?;
    }
    let Ok(about) = fs::metadata(&real) else { return Ok(()) };
    let others = about.mode() & 0o002 != 0 || (about.mode() & 0o020 != 0 && about.gid() != 0);
    let what = match about.uid() {
        0 if !others => return Ok(()),
        0 => format!("others may write to it (mode {:04o})", about.mode() & 0o7777),
        uid => format!("it belongs to the account {uid}"),
    };
    Err(refused(&what, &format!("chown root {0}; chmod go-w {0}", real.display())))
}
