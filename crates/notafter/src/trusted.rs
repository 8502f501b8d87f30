//! Is a configuration one that root may obey? What it says is done as root: commands are run, files are written.
//!
//! Who is not root does nothing here that whoever writes the file could not do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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

/// Refuses a file that anybody but root and whoever runs this could change, also through a folder above it. The file at the
/// end of all links.
///
/// # Errors
/// Who else could, and what to do; it is not there.
pub(crate) fn solely_ours(path: &Path) -> Result<PathBuf, String> {
    let real = solely_of(path, rustix::process::geteuid().as_raw())?;
    obeyed(&real)?;
    Ok(real)
}

/// The same for whoever runs as this account.
///
/// # Errors
/// As for [`solely_ours`].
pub(crate) fn solely_of(path: &Path, own: u32) -> Result<PathBuf, String> {
    let real = path.canonicalize().map_err(|e| format!("{} cannot be opened: {e}", path.display()))?;
    for part in real.ancestors() {
        let about = fs::metadata(part).map_err(|e| format!("{} cannot be looked at: {e}", part.display()))?;
        let mode = about.mode();
        let group = mode & 0o020 != 0 && about.gid() != 0;
        // Nobody renames what is not theirs in a sticky folder, and whose it is, is asked of each part.
        let all = mode & 0o002 != 0 && !(about.is_dir() && mode & 0o1000 != 0);
        let what = match about.uid() {
            uid if uid != 0 && uid != own => format!("belongs to the account {uid}"),
            _ if group || all => format!("may be written to by others (mode {:04o})", mode & 0o7777),
            _ => continue,
        };
        return Err(format!(
            "{} is not obeyed, because {} {what}\nhint: chown root {2}; chmod go-w {2}",
            real.display(),
            part.display(),
            part.display()
        ));
    }
    Ok(real)
}

/// The number of an account of this machine, by its name or number.
///
/// # Errors
/// There is none.
pub(crate) fn account(name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        format!(
            "there is no account `{}` in /etc/passwd\nhint: systemd-sysusers makes that of the packaging; one that only a directory knows is named by its number",
            name.escape_debug()
        )
    })
}

/// The group of an account.
pub(crate) fn group_of(uid: u32) -> Option<u32> {
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    table.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()?.parse() == Ok(uid)).then(|| fields.next()?.parse().ok())?
    })
}
