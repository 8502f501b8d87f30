//! Puts a generation in force where servers read files of their own: several files, one rename.
//!
//! Two files cannot be replaced in one step, and a server that starts between two steps must not find halves of both.
//! So for a moment the files become links into the folder of generations, all through its one link `current`:
//!
//! 1. **lend**: each file is replaced by a link through `current` to the same content;
//! 2. **switch**: `current` is renamed to the new generation, and all of them have changed;
//! 3. **settle**: each link is replaced by the new file.
//!
//! Only step 2 changes what is read, and it is one system call. Whoever is killed anywhere leaves the old files or the
//! new ones, partly as links; the next deployment settles them first. The folders are brought to the disk between the
//! steps, so that a power failure finds no other order. Decision 0030 has the rest.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use notafter_core::fault::{Fault, FaultKind, Retry};
use zeroize::Zeroizing;

use super::disk::{Attributes, Entry, Folder, shown};
use super::outlet::{Outlet, is_ours};
use super::store::{CURRENT, Item, Manifest, STAGED, Store, digest};

/// The content and attributes of a file.
pub(super) type Content = Option<(Zeroizing<Vec<u8>>, Attributes)>;

/// One target: the generations, and the files that servers read. Without such files, they read through `current`.
pub(super) struct Target {
    pub(super) store: Store,
    pub(super) outlets: Vec<Outlet>,
}

impl Target {
    /// Replaces links of ours by the files they stand for. Changes nothing that is read.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        let mut lent = Vec::new();
        for outlet in &self.outlets {
            self.sweep(outlet)?;
            if self.is_lent(outlet)? {
                lent.push(outlet);
            }
        }
        if lent.is_empty() {
            return Ok(());
        }
        let set = self.store.current()?;
        let manifest = set.as_deref().map(|set| self.store.manifest(set)).transpose()?.flatten();
        let (Some(set), Some(manifest)) = (set, manifest) else {
            let path = shown(&self.store.folder.path().join(CURRENT));
            return Err(Fault::new(FaultKind::Invalid, format!("{path} leads to no generation, and files lead through it"))
                .retry(Retry::Never)
                .hint("somebody removed it: put the certificate and key that shall be used in the place of the links"));
        };
        for outlet in &lent {
            self.stage(outlet, item(&manifest, &outlet.name)?, &set)?;
        }
        self.place(&lent, &manifest)
    }

    /// Is this generation what is read?
    pub(super) fn is_in_force(&self, set: &str, manifest: &Manifest) -> Result<bool, Fault> {
        if self.outlets.is_empty() {
            return Ok(self.store.current()?.as_deref() == Some(set) && self.store.is_whole(set, manifest)?);
        }
        if manifest.items.len() != self.outlets.len() {
            return Ok(false);
        }
        for outlet in &self.outlets {
            let Ok(item) = item(manifest, &outlet.name) else { return Ok(false) };
            let same_place = item.path.as_deref() == Some(&outlet.path());
            if !same_place || self.digest(outlet)? != item.digest || self.link(outlet)? != item.link {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts a generation in force in the place of `from`, which is.
    pub(super) fn put(&self, from: Option<&str>, to: &str, manifest: &Manifest) -> Result<(), Fault> {
        self.date(to, manifest)?;
        if self.outlets.is_empty() {
            return self.store.set_current(to);
        }
        let all: Vec<&Outlet> = self.outlets.iter().collect();
        let switched = (|| {
            // All that needs room on the disk comes before the switch.
            for outlet in &all {
                self.stage(outlet, item(manifest, &outlet.name)?, to)?;
            }
            match (all.as_slice(), from) {
                // One file is one rename.
                ([_], _) | (_, None) => Ok(()),
                (_, Some(from)) => {
                    self.store.set_current(from)?;
                    self.lend(&all)
                }
            }
        })();
        if let Err(fault) = switched {
            self.undo();
            return Err(fault);
        }
        let is_single = all.len() == 1;
        if is_single {
            self.place(&all, manifest)?;
            return self.store.set_current(to);
        }
        if let Err(fault) = self.store.set_current(to) {
            self.undo();
            return Err(fault);
        }
        self.place(&all, manifest)
    }

    /// Goes back before the switch, as far as may be. What could not be taken away is of the other generation: nothing is
    /// put in the place of links then. They lead to what was in force, and the next deployment settles them.
    fn undo(&self) {
        if self.unstage().is_ok() {
            let _ = self.settle();
        }
    }

    /// What is read at an outlet now.
    pub(super) fn read(&self, outlet: &Outlet) -> Result<Content, Fault> {
        let found = if self.is_lent(outlet)? {
            match self.store.current()? {
                Some(set) => self.store.folder.open(OsStr::new(&set))?.read(OsStr::new(&outlet.name))?,
                None => None,
            }
        } else {
            match (outlet.folder.entry(&outlet.file)?, &outlet.archive) {
                (Entry::Link(text), Some(archive)) => match Path::new(&text).file_name() {
                    Some(name) => archive.folder.read(name)?,
                    None => None,
                },
                _ => outlet.folder.read(&outlet.file)?,
            }
        };
        Ok(found.map(|(bytes, attributes)| (Zeroizing::new(bytes), attributes)))
    }

    /// The text of the link that an outlet is, where it is one into an archive.
    pub(super) fn link(&self, outlet: &Outlet) -> Result<Option<String>, Fault> {
        Ok(match outlet.folder.entry(&outlet.file)? {
            Entry::Link(text) if !is_ours(&text) => text.into_string().ok(),
            _ => None,
        })
    }

    fn digest(&self, outlet: &Outlet) -> Result<Option<String>, Fault> {
        use notafter_pki::fingerprint::{hex, sha256};
        Ok(self.read(outlet)?.map(|(bytes, _)| hex(&sha256(&bytes))))
    }

    fn is_lent(&self, outlet: &Outlet) -> Result<bool, Fault> {
        Ok(matches!(outlet.folder.entry(&outlet.file)?, Entry::Link(text) if is_ours(&text)))
    }

    /// Where a file waits for its rename: in the folder of generations, or beside its place where that is another file
    /// system.
    fn waiting(&self, outlet: &Outlet, kind: &str) -> Result<(Folder, OsString), Fault> {
        if outlet.folder.device()? == self.store.folder.device()? {
            Ok((self.store.folder.clone(), format!("{STAGED}{kind}-{}", outlet.name).into()))
        } else {
            Ok((outlet.folder.clone(), beside(outlet, kind)))
        }
    }

    /// Dates the files of a generation anew. Hitch, for one, reads again only what is younger than what it has read: of a
    /// generation that was written before and is put back, it would take nothing.
    fn date(&self, set: &str, manifest: &Manifest) -> Result<(), Fault> {
        let folder = self.store.folder.open(OsStr::new(set))?;
        for item in manifest.items.iter().filter(|item| item.digest.is_some()) {
            folder.touch(OsStr::new(&item.name))?;
            let outlet = self.outlets.iter().find(|o| o.name == item.name);
            let archive = outlet.and_then(|o| o.archive.as_ref());
            let file = item.link.as_deref().and_then(|text| Path::new(text).file_name());
            if let (Some(archive), Some(file)) = (archive, file) {
                archive.folder.touch(file)?;
            }
        }
        Ok(())
    }

    /// Makes the file, or the link into an archive, that will take the outlet's place.
    fn stage(&self, outlet: &Outlet, item: &Item, set: &str) -> Result<(), Fault> {
        if item.digest.is_none() {
            return Ok(());
        }
        let from = self.store.folder.open(OsStr::new(set))?;
        let (folder, name) = self.waiting(outlet, "new")?;
        if folder.entry(&name)? != Entry::Absent {
            return Ok(());
        }
        let (Some(text), Some(archive)) = (&item.link, &outlet.archive) else {
            return copy(&from, OsStr::new(&item.name), &folder, &name);
        };
        let file = Path::new(text).file_name().unwrap_or_default();
        match digest(&archive.folder, file)? {
            Some(there) if Some(&there) == item.digest.as_ref() => {}
            Some(_) => {
                return Err(Fault::new(
                    FaultKind::Refused,
                    format!(
                        "{} was written by somebody else meanwhile",
                        shown(&archive.folder.path().join(file))
                    ),
                )
                .hint("does certbot still renew it? Only one of the two may"));
            }
            None => {
                // Certbot's own files are regular ones with one name.
                let (bytes, attributes) = read_set(&from, &item.name)?;
                archive.folder.create(file, &bytes, &attributes)?;
                archive.folder.sync()?;
            }
        }
        folder.symlink(OsStr::new(text), &name)
    }

    /// Replaces each file by a link to the same content through `current`.
    fn lend(&self, outlets: &[&Outlet]) -> Result<(), Fault> {
        for outlet in outlets {
            if self.is_lent(outlet)? {
                continue;
            }
            let (folder, name) = self.waiting(outlet, "link")?;
            folder.remove(&name)?;
            let store = self.store.folder.path();
            let relative = store.parent() == Some(outlet.folder.path());
            let base = if relative { Path::new(store.file_name().unwrap_or_default()) } else { store };
            folder.symlink(base.join(CURRENT).join(&outlet.name).as_os_str(), &name)?;
            folder.rename(&name, &outlet.folder, &outlet.file)?;
        }
        sync_all(outlets)
    }

    /// Puts what is staged in its place.
    fn place(&self, outlets: &[&Outlet], manifest: &Manifest) -> Result<(), Fault> {
        for outlet in outlets {
            if item(manifest, &outlet.name)?.digest.is_none() {
                outlet.folder.remove(&outlet.file)?;
                continue;
            }
            let (folder, name) = self.waiting(outlet, "new")?;
            folder.rename(&name, &outlet.folder, &outlet.file)?;
            // Two names of one file are left as they are by a rename.
            if folder.entry(&name)? != Entry::Absent {
                folder.remove(&name)?;
            }
        }
        sync_all(outlets)
    }

    /// Takes away what was staged.
    fn unstage(&self) -> Result<(), Fault> {
        for outlet in &self.outlets {
            for kind in ["new", "link"] {
                let (folder, name) = self.waiting(outlet, kind)?;
                if folder.entry(&name)? != Entry::Absent {
                    folder.remove(&name)?;
                }
            }
        }
        Ok(())
    }

    /// Takes away what a killed deployment staged on another file system than the generations'.
    fn sweep(&self, outlet: &Outlet) -> Result<(), Fault> {
        for kind in ["new", "link"] {
            let name = beside(outlet, kind);
            if outlet.folder.entry(&name)? != Entry::Absent {
                outlet.folder.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn beside(outlet: &Outlet, kind: &str) -> OsString {
    let mut name = OsString::from(".");
    name.push(&outlet.file);
    name.push(format!(".notafter-{kind}"));
    name
}

/// A file of a generation, by another name elsewhere: the same file where that can be, else a copy.
fn copy(from: &Folder, name: &OsStr, folder: &Folder, to: &OsStr) -> Result<(), Fault> {
    if from.device()? == folder.device()? && from.link(name, folder, to)? {
        return Ok(());
    }
    let (bytes, attributes) = read_set(from, &name.to_string_lossy())?;
    folder.create(to, &bytes, &attributes)
}

fn read_set(from: &Folder, name: &str) -> Result<(Zeroizing<Vec<u8>>, Attributes), Fault> {
    let path = from.path().join(name);
    let read = from.read(OsStr::new(name))?;
    let (bytes, attributes) = read.ok_or_else(|| {
        Fault::new(FaultKind::NotFound, format!("{} is gone", shown(&path)))
            .hint("somebody removed a file of a kept generation")
    })?;
    Ok((Zeroizing::new(bytes), attributes))
}

fn item<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a Item, Fault> {
    manifest.items.iter().find(|item| item.name == name).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("the kept generation has no {name}"))
            .retry(Retry::Never)
            .hint("the settings of the target have changed since; deploy again instead of going back")
    })
}

/// Brings every folder of these to the disk once.
fn sync_all(outlets: &[&Outlet]) -> Result<(), Fault> {
    let folders: BTreeMap<_, _> = outlets.iter().map(|o| (o.folder.path().to_owned(), &o.folder)).collect();
    folders.values().try_for_each(|folder| folder.sync())
}
