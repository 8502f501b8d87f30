//! The generations of one target on disk, and which of them is in force.
//!
//! A folder with one folder for each generation, and a link `current` to one of them. A generation is written whole and
//! to the disk before anything points at it, and never changed after. With `layout = "generations"` servers read through
//! `current`, and renaming that one link is the whole switch. With `layout = "in-place"` they read files of their own
//! ([`Outlet`]), and `switch.rs` lends those the same one rename.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use notafter_core::deployment::Before;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::fingerprint::{hex, sha256};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::disk::{Attributes, Entry, Folder, broke, shown};
use super::outlet::Outlet;

/// The file of a generation that says what it is.
const MANIFEST: &str = "set.json";
/// A generation that is being written.
const DRAFT: &str = "draft";
/// The link to the one in force.
pub(super) const CURRENT: &str = "current";
/// Says which generation was checked and reloaded.
const LOADED: &str = "loaded";
/// What our own names on the way to their place begin with.
pub(super) const STAGED: &str = "staged-";

/// What a generation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The generation of the bundle; none for what was found in place.
    pub(super) generation: Option<u64>,
    /// What it was made from: the same again need not be written again.
    pub(super) source: String,
    /// The generation that was in force before.
    pub(super) replaces: Option<String>,
    /// The certificate that was in it.
    pub(super) before: Option<Before>,
    /// Its files.
    pub(super) items: Vec<Item>,
}

/// One file of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    /// Its name in the generation.
    pub(super) name: String,
    /// The path that servers read; none with `layout = "generations"`.
    pub(super) path: Option<PathBuf>,
    /// SHA-256 of its content; none where there was no file.
    pub(super) digest: Option<String>,
    /// The text of the link, where the path is one into certbot's archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
}

/// A file that is to be written.
pub(super) struct Draft {
    pub(super) name: String,
    /// None: there shall be no such file, as there was none.
    pub(super) bytes: Option<Zeroizing<Vec<u8>>>,
    pub(super) attributes: Attributes,
    pub(super) link: Option<String>,
}

/// The folder of the generations, locked.
pub(super) struct Store {
    pub(super) folder: Folder,
}

impl Store {
    /// Locks it and takes away what a killed deployment left unfinished.
    pub(super) fn open(folder: Folder) -> Result<Self, Fault> {
        match rustix::fs::flock(folder.fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(Fault::new(
                    FaultKind::Unreachable,
                    format!("another deployment is at work in {}", shown(folder.path())),
                )
                .hint("it is tried again"));
            }
            Err(error) => return Err(broke("locked", folder.path(), error.into())),
        }
        let store = Self { folder };
        for name in store.folder.names()? {
            if name == DRAFT {
                store.folder.remove_folder(&name)?;
            } else if name.to_string_lossy().starts_with(STAGED) {
                store.folder.remove(&name)?;
            }
        }
        Ok(store)
    }

    /// The generation that `current` points at.
    pub(super) fn current(&self) -> Result<Option<String>, Fault> {
        match self.folder.entry(OsStr::new(CURRENT))? {
            Entry::Link(text) => Ok(text.into_string().ok().filter(|name| !name.contains('/'))),
            Entry::Absent => Ok(None),
            _ => {
                let path = self.folder.path().join(CURRENT);
                Err(Fault::new(FaultKind::Invalid, format!("{} is no link", shown(&path)))
                    .hint("it was not made here; move it away"))
            }
        }
    }

    /// Points `current` at a generation: one rename, brought to the disk.
    pub(super) fn set_current(&self, set: &str) -> Result<(), Fault> {
        if self.current()?.as_deref() == Some(set) {
            return Ok(());
        }
        let staged = OsString::from(format!("{STAGED}{CURRENT}"));
        self.folder.remove(&staged)?;
        self.folder.symlink(OsStr::new(set), &staged)?;
        self.folder.rename(&staged, &self.folder, OsStr::new(CURRENT))?;
        self.folder.sync()
    }

    /// What a generation is, if it is there and whole.
    pub(super) fn manifest(&self, set: &str) -> Result<Option<Manifest>, Fault> {
        let Entry::Folder = self.folder.entry(OsStr::new(set))? else { return Ok(None) };
        let folder = self.folder.open(OsStr::new(set))?;
        let Some((text, _)) = folder.read(OsStr::new(MANIFEST))? else { return Ok(None) };
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Are the files of a generation what they were when it was written?
    pub(super) fn is_whole(&self, set: &str, manifest: &Manifest) -> Result<bool, Fault> {
        let folder = self.folder.open(OsStr::new(set))?;
        for item in &manifest.items {
            if digest(&folder, OsStr::new(&item.name))? != item.digest {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a generation, whole and to the disk. Where it fails, nothing of it is left.
    pub(super) fn write(
        &self,
        set: &str,
        drafts: &[Draft],
        outlets: &[Outlet],
        mut manifest: Manifest,
    ) -> Result<Manifest, Fault> {
        let undo = |_: &Fault| drop(self.folder.remove_folder(OsStr::new(DRAFT)));
        let done = (|| {
            let draft = self.folder.make(OsStr::new(DRAFT), 0o711)?;
            for file in drafts {
                let name = OsStr::new(&file.name);
                if let Some(bytes) = &file.bytes {
                    draft.create(name, bytes, &file.attributes)?;
                }
                manifest.items.push(Item {
                    name: file.name.clone(),
                    path: outlets.iter().find(|o| o.name == file.name).map(Outlet::path),
                    digest: file.bytes.as_ref().map(|bytes| hex(&sha256(bytes))),
                    link: file.link.clone(),
                });
            }
            let text = serde_json::to_vec(&manifest).map_err(|e| {
                Fault::new(FaultKind::Invalid, format!("a path that cannot be written down: {e}"))
                    .retry(Retry::Never)
            })?;
            draft.create(OsStr::new(MANIFEST), &text, &Attributes::new(0o644))?;
            draft.sync()?;
            self.folder.remove_folder(OsStr::new(set))?;
            self.folder.rename(OsStr::new(DRAFT), &self.folder, OsStr::new(set))?;
            self.folder.sync()
        })();
        done.inspect_err(undo)?;
        Ok(manifest)
    }

    /// Which generation was checked and reloaded last.
    pub(super) fn loaded(&self) -> Result<Option<String>, Fault> {
        let read = self.folder.read(OsStr::new(LOADED))?;
        Ok(read.and_then(|(text, _)| String::from_utf8(text).ok()))
    }

    /// Notes it; `None`: none of them any more.
    pub(super) fn set_loaded(&self, set: Option<&str>) -> Result<(), Fault> {
        if self.loaded()?.as_deref() == set {
            return Ok(());
        }
        let Some(set) = set else {
            self.folder.remove(OsStr::new(LOADED))?;
            return self.folder.sync();
        };
        let staged = OsString::from(format!("{STAGED}{LOADED}"));
        self.folder.remove(&staged)?;
        self.folder.create(&staged, set.as_bytes(), &Attributes::new(0o644))?;
        self.folder.rename(&staged, &self.folder, OsStr::new(LOADED))?;
        self.folder.sync()
    }

    /// Removes every generation but these.
    pub(super) fn keep(&self, sets: &[&str]) -> Result<(), Fault> {
        for name in self.folder.names()? {
            let is_set = name.to_str().is_some_and(|n| {
                ["gen-", "before-", "found-"].iter().any(|kind| n.starts_with(kind)) && !sets.contains(&n)
            });
            if is_set {
                self.folder.remove_folder(&name)?;
            }
        }
        self.folder.sync()
    }

    /// The path of a generation.
    pub(super) fn path(&self, set: &str) -> PathBuf {
        self.folder.path().join(set)
    }
}

/// SHA-256 of a file; `None` where there is none.
pub(super) fn digest(folder: &Folder, name: &OsStr) -> Result<Option<String>, Fault> {
    Ok(folder.read(name)?.map(|(bytes, _)| {
        let bytes = Zeroizing::new(bytes);
        hex(&sha256(&bytes))
    }))
}

/// A name that is one component of a path, for folders named after what the configuration says.
pub(super) fn is_component(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.contains(['/', '\0'])
        && Path::new(name).components().count() == 1
}
