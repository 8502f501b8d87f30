//! From a path to an open folder, refusing what others could turn against us.
//!
//! Root writes keys: whoever can rename one component of the path decides where they land. So the walk goes component by
//! component from the root, holds each folder open, and asks who else may write there. Links are followed, but never one
//! that lies in a world-writable folder or, for root, in one of another account. Whose an account is, it reads in /etc/passwd and /etc/group, and nowhere else.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use notafter_core::fault::{Fault, FaultKind, Retry};
use rustix::fs::{self as sys, Mode, OFlags, Stat};

use super::disk::{Entry, Folder, Steps, broke, shown};
use super::settings::{Layout, Settings};

/// How many links one path may go through, as in the kernel.
const LINKS_MAX: usize = 40;

/// Opens folders for one deployment.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) steps: Arc<dyn Steps>,
    /// Are we root? Then nobody else may write where we do.
    pub(super) is_root: bool,
    /// Accounts whose own folders may be written to, because somebody said that the files there are theirs.
    pub(super) owners: Vec<u32>,
    /// The accounts that the files which are there belong to. Others may have put them there: only a folder that was given to
    /// such an account, in one where nobody else makes folders, is its own.
    pub(super) found: Vec<u32>,
}

impl Guard {
    /// For the files of a target.
    pub(super) fn of(settings: &Settings, steps: &Arc<dyn Steps>) -> Self {
        use std::os::unix::fs::MetadataExt;
        let owner = settings.owner_ids().ok().and_then(|(owner, _)| owner);
        let there = settings.forms().into_iter().filter(|_| settings.layout() == Layout::InPlace);
        Self {
            steps: Arc::clone(steps),
            is_root: rustix::process::geteuid().is_root(),
            owners: owner.into_iter().collect(),
            found: there.filter_map(|(_, path)| Some(std::fs::metadata(path).ok()?.uid())).collect(),
        }
    }

    /// Opens a folder by its absolute path.
    pub(super) fn open(&self, path: &Path) -> Result<Folder, Fault> {
        if !path.is_absolute() {
            return Err(Fault::new(FaultKind::Invalid, format!("{} is no absolute path", shown(path))));
        }
        let mut trail = vec![self.root()?];
        let mut left: VecDeque<OsString> = parts(path);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            let Some(here) = trail.last() else { break };
            match here.entry(&name)? {
                Entry::Link(text) => {
                    links += 1;
                    self.may_follow(here, &name)?;
                    if links > LINKS_MAX {
                        return Err(Fault::new(
                            FaultKind::Invalid,
                            format!("{}: links without end", shown(path)),
                        ));
                    }
                    let to = Path::new(&text);
                    if to.is_absolute() {
                        trail.truncate(1);
                    }
                    for part in parts(to).into_iter().rev() {
                        left.push_front(part);
                    }
                }
                Entry::Folder => {
                    let next = here.open(&name)?;
                    self.allow(&next, here, left.is_empty())?;
                    trail.push(next);
                }
                Entry::Absent => {
                    return Err(broke(
                        "opened",
                        &here.path().join(&name),
                        std::io::ErrorKind::NotFound.into(),
                    )
                    .hint("make the folder first; only files are made here"));
                }
                _ => {
                    return Err(Fault::new(
                        FaultKind::Invalid,
                        format!("{} is no folder", shown(&here.path().join(&name))),
                    ));
                }
            }
        }
        trail.pop().ok_or_else(|| Fault::new(FaultKind::Invalid, format!("{}: no folder", shown(path))))
    }

    fn root(&self) -> Result<Folder, Fault> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd =
            sys::open("/", flags, Mode::empty()).map_err(|e| broke("opened", Path::new("/"), e.into()))?;
        Ok(Folder::new(fd, PathBuf::from("/"), Arc::clone(&self.steps)))
    }

    /// May the link of this name in this folder be followed?
    pub(super) fn may_follow(&self, folder: &Folder, name: &OsStr) -> Result<(), Fault> {
        let stat = folder.stat()?;
        if self.is_root && !is_trusted(stat.st_uid) {
            return Err(refused(
                format!(
                    "{} is a link that the account {} may change",
                    shown(&folder.path().join(name)),
                    stat.st_uid
                ),
                "root writes where it leads: name the file itself, or let root own the folder",
            ));
        }
        if stat.st_mode & 0o002 == 0 {
            return Ok(());
        }
        Err(refused(
            format!("{} is a link in a folder that everybody may write to", shown(&folder.path().join(name))),
            "anybody could point it elsewhere: name the file itself, or take the write permission away",
        ))
    }

    /// May we write below this folder, or in it, if it is the last?
    fn allow(&self, folder: &Folder, above: &Folder, is_last: bool) -> Result<(), Fault> {
        if !self.is_root {
            return Ok(());
        }
        let stat = folder.stat()?;
        let path = shown(folder.path());
        let own = self.owners.contains(&stat.st_uid)
            || (self.found.contains(&stat.st_uid) && !writable_by_others(&above.stat()?));
        if !is_trusted(stat.st_uid) && !own {
            return Err(refused(
                format!("{path} belongs to the account {}, who could put a link there", stat.st_uid),
                "let root own the folder, or set `owner` to the account that the files belong to",
            ));
        }
        // In a sticky folder nobody renames what is not theirs; whose the next component is, is asked next.
        let sticky = stat.st_mode & 0o1000 != 0 && !is_last;
        if writable_by_others(&stat) && !sticky {
            return Err(refused(
                format!("{path} may be written to by others (mode {:04o})", stat.st_mode & 0o7777),
                format!("whoever writes there could replace the key: chmod go-w {path}"),
            ));
        }
        Ok(())
    }
}

/// May anybody but the owner and root's own group change what is in it?
pub(super) fn writable_by_others(stat: &Stat) -> bool {
    stat.st_mode & 0o002 != 0 || (stat.st_mode & 0o020 != 0 && stat.st_gid != 0)
}

/// Root, or whoever runs this.
pub(super) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

pub(super) fn refused(what: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::new(FaultKind::PermissionDenied, what).retry(Retry::Never).hint(hint)
}

/// The number of an account (`table` is /etc/passwd) or group (/etc/group), by name or number.
pub(super) fn account(table: &str, name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let failed = |why: &str| {
        let kind = if table.ends_with("group") { "group" } else { "account" };
        format!(
            "there is no {kind} `{}` in {table}{why}\nhint: an account that only a directory knows is named by its number",
            name.escape_debug()
        )
    };
    let text = std::fs::read(table).map_err(|e| failed(&format!(" ({e})")))?;
    text.split(|b| *b == b'\n')
        .find_map(|line| {
            let mut fields = line.split(|b| *b == b':');
            (fields.next()? == name.as_bytes()).then_some(())?;
            std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()
        })
        .ok_or_else(|| failed(""))
}

/// The folder and the name of an absolute path to a file.
pub(super) fn split(path: &Path) -> Result<(&Path, &OsStr), Fault> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.is_absolute() && !name.as_bytes().contains(&0) => {
            Ok((folder, name))
        }
        _ => Err(Fault::new(FaultKind::Invalid, format!("{} is no absolute path to a file", shown(path)))),
    }
}
