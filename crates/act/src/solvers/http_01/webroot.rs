//! The answer as a file below the folder of a web server: written whole or not at all, readable by everybody, removed only
//! if it is still ours.
//!
//! Folder by folder from the webroot, and no symbolic link is followed below it: whoever may write into a webroot must not
//! be able to have a service with more rights write elsewhere. Folders that were made stay: another challenge may be about
//! to use them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use notafter_core::fault::{Fault, FaultKind};
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, open, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Below the webroot.
const FOLDERS: [&str; 2] = [".well-known", "acme-challenge"];
/// More than any key authorization.
const BYTES_MAX: u64 = 4 * 1024;

/// Writes `text` as the file `token`. The token was checked to be base64url; it is checked again, because it is a file name.
pub(super) fn write(root: &Path, token: &str, text: &str) -> Result<(), Fault> {
    name(token)?;
    let folder = enter(root, true)?.ok_or_else(|| gone(root))?;
    let temporary = format!(".{token}.new");
    let wrote = (|| -> Result<(), Errno> {
        // Left by a crash, if it is there.
        let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder, &temporary, flags, Mode::from_raw_mode(0o644))?);
        // Whatever the umask of a service says, the web server has to read it.
        fchmod(&file, Mode::from_raw_mode(0o644))?;
        file.write_all(text.as_bytes()).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        renameat(&folder, &temporary, &folder, token)
    })();
    wrote.map_err(|error| {
        let _ = unlinkat(&folder, &temporary, AtFlags::empty());
        failed(root, error)
    })
}

/// Removes the file `token`, if `text` is what it holds. Gone already is done.
pub(super) fn remove(root: &Path, token: &str, text: &str) -> Result<(), Fault> {
    name(token)?;
    let Some(folder) = enter(root, false)? else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(&folder, token, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A link is none of ours.
        Err(Errno::NOENT | Errno::LOOP) => return Ok(()),
        Err(error) => return Err(failed(root, error)),
    };
    let mut held = Vec::new();
    let read = file.take(BYTES_MAX).read_to_end(&mut held);
    if read.is_err() || held != text.as_bytes() {
        return Ok(());
    }
    match unlinkat(&folder, token, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed(root, error)),
    }
}

/// The folder of challenges, made where it is not there and `make` says so.
fn enter(root: &Path, make: bool) -> Result<Option<OwnedFd>, Fault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = match open(root, flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) if !make => return Ok(None),
        Err(error) => return Err(failed(root, error)),
    };
    for name in FOLDERS {
        if make {
            match mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let made = openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty());
                    let _ = made.and_then(|made| fchmod(&made, Mode::from_raw_mode(0o755)));
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(root, error)),
            }
        }
        folder = match openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(error) => return Err(failed(root, error)),
        };
    }
    Ok(Some(folder))
}

fn name(token: &str) -> Result<(), Fault> {
    let fits = !token.is_empty() && token.len() <= 200;
    if fits && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Invalid, "a token that is no base64url names no file of ours"))
}

fn gone(root: &Path) -> Fault {
    failed(root, Errno::NOENT)
}

fn failed(root: &Path, error: Errno) -> Fault {
    let said =
        format!("the challenge cannot be put below {}: {}", root.display(), std::io::Error::from(error));
    let (kind, hint) = match error {
        Errno::NOENT => (FaultKind::NotFound, "set `webroot` to the folder that the web server serves as /"),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => (
            FaultKind::PermissionDenied,
            "the account that runs notafter must be able to write to .well-known/acme-challenge there",
        ),
        Errno::LOOP | Errno::NOTDIR => (
            FaultKind::Invalid,
            "no symbolic link is followed below the webroot: set `webroot` to where it leads",
        ),
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE => {
            (FaultKind::Exhausted, "make room there")
        }
        _ => (FaultKind::System, "look at the disk"),
    };
    Fault::new(kind, said).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn written_readable_and_removed_only_if_ours() {
        let lab = notafter_lab::Lab::new("webroot");
        let file = lab.path().join(".well-known/acme-challenge/tok_en-1");
        write(lab.path(), "tok_en-1", "tok_en-1.print").expect("written");
        write(lab.path(), "tok_en-1", "tok_en-1.print").expect("written already");
        assert_eq!(fs::read_to_string(&file).expect("there"), "tok_en-1.print");
        for (path, mode) in [(file.as_path(), 0o644), (file.parent().expect("a folder"), 0o755)] {
            assert_eq!(fs::metadata(path).expect("there").permissions().mode() & 0o777, mode);
        }
        assert_eq!(fs::read_dir(file.parent().expect("a folder")).expect("read").count(), 1);
        remove(lab.path(), "tok_en-1", "somebody else's").expect("nothing done");
        assert!(file.exists());
        remove(lab.path(), "tok_en-1", "tok_en-1.print").expect("removed");
        remove(lab.path(), "tok_en-1", "tok_en-1.print").expect("removed already");
        assert!(!file.exists());
        remove(&lab.path().join("nowhere"), "t", "t").expect("never there");
        assert_eq!(
            write(&lab.path().join("nowhere"), "t", "t").expect_err("no folder").kind,
            FaultKind::NotFound
        );
    }

    #[test]
    fn no_way_out_of_the_webroot() {
        let lab = notafter_lab::Lab::new("webroot-links");
        let (root, outside) = (lab.subfolder("root"), lab.subfolder("outside"));
        fs::create_dir(outside.join("acme-challenge")).expect("made");
        symlink(&outside, root.join(".well-known")).expect("linked");
        assert_eq!(write(&root, "token", "x").expect_err("a link").kind, FaultKind::Invalid);
        fs::remove_file(root.join(".well-known")).expect("removed");
        fs::create_dir_all(root.join(".well-known/acme-challenge")).expect("made");
        // A link in the place of the file is replaced, not followed.
        let victim = outside.join("victim");
        fs::write(&victim, "precious").expect("written");
        for name in ["token", ".token.new"] {
            symlink(&victim, root.join(".well-known/acme-challenge").join(name)).expect("linked");
        }
        write(&root, "token", "x").expect("written");
        assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");
        for wrong in ["../token", "a/b", "", ".", "a b", "tok\0en"] {
            assert_eq!(write(&root, wrong, "x").expect_err(wrong).kind, FaultKind::Invalid);
            assert!(remove(&root, wrong, "x").is_err());
        }
    }
}
