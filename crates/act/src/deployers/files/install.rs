//! What happens to the disk in one deployment or roll-back, in order.
//!
//! Between `files.rs`, which runs commands around it, and `store.rs` and `switch.rs`, which do the single steps. A
//! session holds the lock of the target from its first look to its last note.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::deployment::{Before, Receipt};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use serde_json::json;
use zeroize::Zeroizing;

use super::disk::{Attributes, Entry, Folder, Steps, shown};
use super::guard::{Guard, is_trusted, refused, split, writable_by_others};
use super::newer::{self, is_newer};
use super::outlet::{Outlet, store_name};
use super::render::{Goods, fits, leaf_of, render};
use super::settings::{Form, Layout, Settings};
use super::store::{CURRENT, Draft, Manifest, Store, digest};
use super::switch::Target;

/// One look at a target, under its lock.
pub(super) struct Session {
    settings: Arc<Settings>,
    target: Target,
}

/// What is in force after the files were switched.
pub(super) struct Installed {
    pub(super) receipt: Receipt,
    /// The generation that is in force.
    pub(super) set: String,
    /// The one that was before, to be put back when the check fails.
    pub(super) before: Option<String>,
    /// Was it in place, checked and reloaded before? Then nothing was written.
    pub(super) is_loaded: bool,
}

/// What is in force after a roll-back of the files.
pub(super) struct Restored {
    pub(super) set: String,
    pub(super) is_loaded: bool,
}

impl Session {
    /// Finds the files, takes the lock, and settles what a killed deployment left.
    pub(super) fn open(settings: Arc<Settings>, steps: Arc<dyn Steps>) -> Result<Self, Fault> {
        let invalid = |why: String| Fault::new(FaultKind::Invalid, why);
        settings.owner_ids().map_err(invalid)?;
        let guard = Guard::of(&settings, &steps);
        let target = match settings.layout() {
            Layout::Generations => {
                let base = settings.base().map_err(invalid)?;
                let (parent, name) = split(&base)?;
                let folder = owned(&guard.open(parent)?, name)?;
                Target { store: Store::open(folder)?, outlets: Vec::new() }
            }
            Layout::InPlace => {
                let forms = settings.forms();
                let find = |(form, path): &(Form, PathBuf)| Outlet::find(&guard, form.name(), path);
                let mut outlets = forms.iter().map(find).collect::<Result<Vec<_>, _>>()?;
                for (index, outlet) in outlets.iter().enumerate() {
                    if let Some(twin) = outlets.iter().take(index).find(|o| o.path() == outlet.path()) {
                        return Err(invalid(format!(
                            "{} and {} lead to one file, {}",
                            twin.name,
                            outlet.name,
                            shown(&outlet.path())
                        )));
                    }
                }
                let Some(first) = outlets.first() else { return Err(invalid("no file".to_owned())) };
                let store = Store::open(owned(&first.folder, &store_name(&first.file))?)?;
                if let Some(manifest) =
                    store.current()?.map(|set| store.manifest(&set)).transpose()?.flatten()
                {
                    for outlet in outlets.iter_mut().filter(|o| o.archive.is_none()) {
                        let item = manifest.items.iter().find(|i| i.name == outlet.name);
                        let same = item.filter(|i| i.path.as_deref() == Some(&outlet.path()));
                        if let Some(text) = same.and_then(|i| i.link.as_deref()) {
                            outlet.restore_archive(&guard, text)?;
                        }
                    }
                }
                Target { store, outlets }
            }
        };
        target.settle()?;
        Ok(Self { settings, target })
    }

    /// The path of a generation.
    pub(super) fn path(&self, set: &str) -> PathBuf {
        self.target.store.path(set)
    }

    /// Writes what is missing and puts it in force.
    pub(super) fn install(&self, goods: &Goods) -> Result<Installed, Fault> {
        let store = &self.target.store;
        let source = self.source(goods);
        let prefix = format!("gen-{}", goods.generation);
        let mut first: Option<Manifest> = None;
        let mut reusable = None;
        let mut number = 1;
        let fresh = loop {
            let name = if number == 1 { prefix.clone() } else { format!("{prefix}.{number}") };
            number += 1;
            let Some(manifest) = store.manifest(&name)? else { break name };
            first.get_or_insert_with(|| manifest.clone());
            if self.is_reusable(&name, &manifest, &source)? {
                reusable = Some((name, manifest));
                break String::new();
            }
        };
        if let Some((set, manifest)) = &reusable
            && self.target.is_in_force(set, manifest)?
        {
            let is_loaded = store.loaded()?.as_deref() == Some(set);
            return Ok(self.installed(goods, set.clone(), manifest, is_loaded));
        }
        let in_force = self.in_force()?;
        self.is_no_step_back(in_force.as_deref(), goods)?;
        let (old, is_snapshot) = match in_force {
            Some(set) => (Some(set), false),
            None if self.target.outlets.is_empty() => (None, false),
            None => (Some(self.snapshot(goods)?), true),
        };
        let written = match reusable {
            Some(done) => Ok(done),
            None => {
                // The receipt of the first time stands, as long as it can be honoured.
                let kept = first.filter(|m| m.replaces.as_deref().is_some_and(|set| self.is_there(set)));
                let (replaces, before) = match kept {
                    Some(manifest) => (manifest.replaces, manifest.before),
                    None => (old.clone(), self.before(old.as_deref())),
                };
                let head =
                    Manifest { generation: Some(goods.generation), source, replaces, before, items: vec![] };
                self.drafts(goods)
                    .and_then(|drafts| store.write(&fresh, &drafts, &self.target.outlets, head))
                    .map(|manifest| (fresh, manifest))
            }
        };
        let switched = written.and_then(|(set, manifest)| {
            store.set_loaded(None)?;
            self.target.put(old.as_deref(), &set, &manifest)?;
            Ok((set, manifest))
        });
        let (set, manifest) = switched.inspect_err(|_| {
            // What was only just read off is worth nothing when nothing was switched.
            if let (Some(old), true) = (&old, is_snapshot)
                && store.current().is_ok_and(|current| current.as_deref() != Some(old))
            {
                let _ = store.folder.remove_folder(OsStr::new(old));
            }
        })?;
        let mut installed = self.installed(goods, set, &manifest, false);
        installed.before = old;
        Ok(installed)
    }

    /// Refuses to put an older certificate in the place of a newer one.
    fn is_no_step_back(&self, in_force: Option<&str>, goods: &Goods) -> Result<(), Fault> {
        let manifest = in_force.map(|set| self.target.store.manifest(set)).transpose()?.flatten();
        let Some(there) = self.leaf_there(in_force)? else { return Ok(()) };
        if !is_newer(&there, manifest.and_then(|m| m.generation), goods) {
            return Ok(());
        }
        Err(newer::refused(&there))
    }

    /// The leaf that is read now.
    fn leaf_there(&self, in_force: Option<&str>) -> Result<Option<Vec<u8>>, Fault> {
        for (form, _) in self.settings.forms() {
            let name = self.file_name(form);
            let bytes = match (self.target.outlets.iter().find(|o| o.name == name), in_force) {
                (Some(outlet), _) => self.target.read(outlet)?.map(|(bytes, _)| bytes),
                (None, Some(set)) => {
                    let read = self.target.store.folder.open(OsStr::new(set))?.read(OsStr::new(&name))?;
                    read.map(|(bytes, _)| Zeroizing::new(bytes))
                }
                (None, None) => None,
            };
            if let Some(leaf) = bytes.and_then(|bytes| leaf_of(&self.settings, form, &bytes)) {
                return Ok(Some(leaf));
            }
        }
        Ok(None)
    }

    /// Puts the generation back that was in force before; without one, nothing is.
    pub(super) fn put_back(&self, set: Option<&str>) -> Result<(), Fault> {
        let store = &self.target.store;
        let Some(set) = set else {
            store.folder.remove(OsStr::new(CURRENT))?;
            return store.folder.sync();
        };
        let manifest = store.manifest(set)?.ok_or_else(|| gone(&store.path(set)))?;
        let from = self.in_force()?;
        self.target.put(from.as_deref(), set, &manifest)
    }

    /// Puts back what a receipt replaced.
    pub(super) fn restore(&self, receipt: &Receipt) -> Result<Restored, Fault> {
        let store = &self.target.store;
        let invalid =
            || Fault::new(FaultKind::Invalid, "the receipt is not one of this target").retry(Retry::Never);
        let set = receipt.undo["before"].as_str().ok_or_else(invalid)?;
        let installed = receipt.undo["installed"].as_str().ok_or_else(invalid)?;
        let manifest = store.manifest(set)?.ok_or_else(|| gone(&store.path(set)))?;
        if !store.is_whole(set, &manifest)? {
            return Err(gone(&store.path(set)));
        }
        if self.target.is_in_force(set, &manifest)? {
            return Ok(Restored { is_loaded: store.loaded()?.as_deref() == Some(set), set: set.to_owned() });
        }
        let of_receipt =
            |name: &str| name == installed || name.starts_with(&format!("gen-{}.", receipt.generation));
        let from = self.in_force()?.filter(|name| of_receipt(name)).ok_or_else(|| {
            Fault::new(
                FaultKind::Refused,
                "what is in place is neither what was installed nor what was there before",
            )
            .retry(Retry::Never)
            .hint("somebody else has replaced it since, and it is left alone")
        })?;
        store.set_loaded(None)?;
        self.target.put(Some(&from), set, &manifest)?;
        Ok(Restored { set: set.to_owned(), is_loaded: false })
    }

    /// Notes that this generation was checked and reloaded.
    pub(super) fn note(&self, set: &str) -> Result<(), Fault> {
        self.target.store.set_loaded(Some(set))
    }

    /// The same, and keeps it and the one before, and no others.
    pub(super) fn finish(&self, set: &str) -> Result<(), Fault> {
        self.note(set)?;
        let store = &self.target.store;
        let before = store.manifest(set)?.and_then(|m| m.replaces);
        let current = store.current()?;
        let kept: Vec<&str> =
            [Some(set), before.as_deref(), current.as_deref()].into_iter().flatten().collect();
        store.keep(&kept)
    }

    /// The combined file as it is in force, for a server that is told it over a socket.
    pub(super) async fn combined(self) -> (Self, Result<Zeroizing<Vec<u8>>, Fault>) {
        let read = || {
            let store = &self.target.store;
            let set = store.current()?.unwrap_or_default();
            let name = OsString::from(self.file_name(Form::Combined));
            let read = store.folder.open(OsStr::new(&set))?.read(&name)?;
            read.map(|(bytes, _)| Zeroizing::new(bytes)).ok_or_else(|| gone(&store.path(&set)))
        };
        let read = read();
        (self, read)
    }

    /// What a file is called in a generation.
    fn file_name(&self, form: Form) -> String {
        let path = self.settings.forms().into_iter().find(|(f, _)| *f == form).map(|(_, path)| path);
        let own = path.filter(|_| self.settings.layout() == Layout::Generations);
        own.and_then(|p| Some(p.file_name()?.to_str()?.to_owned())).unwrap_or_else(|| form.name().to_owned())
    }

    /// What a generation is made from, in one line that tells two apart.
    fn source(&self, goods: &Goods) -> String {
        self.settings.made_from(goods)
    }

    /// Can a generation that is there be used again as it is?
    fn is_reusable(&self, set: &str, manifest: &Manifest, source: &str) -> Result<bool, Fault> {
        if manifest.source != source || !self.target.store.is_whole(set, manifest)? {
            return Ok(false);
        }
        let folder = self.target.store.folder.open(OsStr::new(set))?;
        for (form, _) in self.settings.forms() {
            let name = self.file_name(form);
            let Some((bytes, _)) = folder.read(OsStr::new(&name))? else { return Ok(false) };
            if !fits(&self.settings, form, &Zeroizing::new(bytes)) {
                return Ok(false);
            }
        }
        for item in manifest.items.iter().filter(|item| item.link.is_some()) {
            let outlet = self.target.outlets.iter().find(|o| o.name == item.name);
            let archive = outlet.and_then(|o| o.archive.as_ref());
            let file = item.link.as_deref().and_then(|text| Path::new(text).file_name());
            let (Some(archive), Some(file)) = (archive, file) else { return Ok(false) };
            let there = digest(&archive.folder, file)?;
            if there.is_some() && there != item.digest {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The generation whose files are the ones that are read, if they are any's.
    pub(super) fn in_force(&self) -> Result<Option<String>, Fault> {
        let store = &self.target.store;
        let current = store.current()?;
        if self.target.outlets.is_empty() {
            return Ok(current.filter(|set| self.is_there(set)));
        }
        let others = store.folder.names()?.into_iter().filter_map(|name| name.into_string().ok());
        for set in current.into_iter().chain(others) {
            if let Some(manifest) = store.manifest(&set)?
                && self.target.is_in_force(&set, &manifest)?
                && store.is_whole(&set, &manifest)?
            {
                return Ok(Some(set));
            }
        }
        Ok(None)
    }

    fn is_there(&self, set: &str) -> bool {
        self.target.store.manifest(set).is_ok_and(|manifest| manifest.is_some())
    }

    /// Reads off what is in place into a generation of its own.
    fn snapshot(&self, goods: &Goods) -> Result<String, Fault> {
        let mut drafts = Vec::new();
        for outlet in &self.target.outlets {
            let read = self.target.read(outlet)?;
            let link = self.target.link(outlet)?;
            let (bytes, attributes) = match read {
                Some((bytes, attributes)) => (Some(bytes), attributes),
                None => (None, Attributes::new(0o600)),
            };
            drafts.push(Draft { name: outlet.name.clone(), bytes, attributes, link });
        }
        let store = &self.target.store;
        let mut name = format!("before-{}", goods.generation);
        let mut number = 1;
        while self.is_there(&name) {
            name = format!("found-{number}");
            number += 1;
        }
        let head =
            Manifest { generation: None, source: String::new(), replaces: None, before: None, items: vec![] };
        store.write(&name, &drafts, &self.target.outlets, head)?;
        Ok(name)
    }

    /// The files of a new generation.
    fn drafts(&self, goods: &Goods) -> Result<Vec<Draft>, Fault> {
        let store = &self.target.store;
        let (owner, group) = self.settings.owner_ids().map_err(|e| Fault::new(FaultKind::Invalid, e))?;
        let mode = self.settings.mode_bits().map_err(|e| Fault::new(FaultKind::Invalid, e))?;
        let current = store.current()?;
        let mut number = 0;
        for archive in self.target.outlets.iter().filter_map(|o| o.archive.as_ref()) {
            number = number.max(archive.last()? + 1);
        }
        let mut drafts = Vec::new();
        for (form, _) in self.settings.forms() {
            let name = self.file_name(form);
            let outlet = self.target.outlets.iter().find(|o| o.name == name);
            let there = match (outlet, &current) {
                (Some(outlet), _) => self.target.read(outlet)?,
                (None, Some(set)) if self.is_there(set) => {
                    let read = store.folder.open(OsStr::new(set))?.read(OsStr::new(&name))?;
                    read.map(|(bytes, attributes)| (Zeroizing::new(bytes), attributes))
                }
                _ => None,
            };
            let bytes =
                render(&self.settings, form, goods, there.as_ref().map(|(bytes, _)| bytes.as_slice()))?;
            let usual = if form.holds_key() { 0o600 } else { 0o644 };
            let mut attributes = there.map_or_else(|| Attributes::new(usual), |(_, attributes)| attributes);
            attributes.uid = owner.or(attributes.uid);
            attributes.gid = group.or(attributes.gid);
            if let (Some(mode), true) = (mode, form.holds_key()) {
                attributes.mode = mode;
                // An access list would put its own mask in the place of the mode.
                attributes.labels.retain(|(name, _)| *name != "system.posix_acl_access");
            }
            let archive = outlet.and_then(|o| o.archive.as_ref());
            let link = archive.and_then(|a| a.text(number).into_string().ok());
            drafts.push(Draft { name, bytes: Some(bytes), attributes, link });
        }
        Ok(drafts)
    }

    /// The certificate of a generation.
    fn before(&self, set: Option<&str>) -> Option<Before> {
        let folder = self.target.store.folder.open(OsStr::new(set?)).ok()?;
        self.settings.forms().into_iter().find_map(|(form, _)| {
            let (bytes, _) = folder.read(OsStr::new(&self.file_name(form))).ok()??;
            let leaf = leaf_of(&self.settings, form, &Zeroizing::new(bytes))?;
            let not_after = Certificate::parse(&leaf).ok()?.not_after()?;
            Some(Before { fingerprint: Fingerprint::of(&leaf).to_string(), not_after: not_after.0 })
        })
    }

    fn installed(&self, goods: &Goods, set: String, manifest: &Manifest, is_loaded: bool) -> Installed {
        let receipt = Receipt {
            generation: goods.generation,
            before: manifest.before.clone(),
            undo: json!({ "before": manifest.replaces, "installed": set }),
        };
        Installed { receipt, set, before: manifest.replaces.clone(), is_loaded }
    }
}

/// The folder of the generations: made, or ours.
fn owned(parent: &Folder, name: &OsStr) -> Result<Folder, Fault> {
    let is_new = parent.entry(name)? == Entry::Absent;
    let folder = parent.make(name, 0o711)?;
    if is_new {
        parent.sync()?;
    }
    let stat = folder.stat()?;
    if !is_trusted(stat.st_uid) || writable_by_others(&stat) {
        let path = shown(folder.path());
        return Err(refused(
            format!("{path} was not made here, or others may write to it"),
            format!("look what is in it; then remove it, or: chown root {path}; chmod go-w {path}"),
        ));
    }
    Ok(folder)
}

fn gone(path: &Path) -> Fault {
    Fault::new(FaultKind::NotFound, format!("{} is not there any more, or not whole", shown(path)))
        .retry(Retry::Never)
        .hint("the last two generations are kept; deploy the one that shall be in use")
}

/// The fault of a command after which the old files were put back, or were to be.
pub(super) fn back(fault: Fault, what: &str, undone: Result<(), Fault>) -> Fault {
    let end = match undone {
        Ok(()) => "what was there before is in force again".to_owned(),
        Err(also) => format!("putting back what was there before failed, too: {also}"),
    };
    let hint = fault.hint.clone();
    let mut out = Fault::new(fault.kind, format!("{what} failed, {end}. {fault}")).retry(fault.retry);
    out.hint = hint.or_else(|| {
        Some("run the command by hand: is it the new certificate, or was the server's configuration broken before?".to_owned())
    });
    out
}

/// The fault of a command after which there is nothing to go back to.
pub(super) fn carry_on(fault: Fault, what: &str) -> Fault {
    Fault::new(
        fault.kind,
        format!("{what} failed; the new files stay, because no certificate that still holds was there before. {fault}"),
    )
    .retry(fault.retry)
    .hint("run the command by hand: does the server run at all?")
}

/// The fault of a check or a reload of what was put back.
pub(super) fn apart(fault: Fault, what: &str) -> Fault {
    let said = format!(
        "the files are those of before again, but {what} failed: the server may still run with the new ones. {fault}"
    );
    Fault::new(fault.kind, said)
        .retry(fault.retry)
        .hint("run the command by hand, then reload the server: what it runs with and what is on the disk may differ")
}

/// The fault of a command that was run once more for what was in place already.
pub(super) fn in_place(fault: Fault, what: &str) -> Fault {
    let hint = fault.hint.clone();
    let said = format!(
        "{what} failed; this very pair was in place and loaded before, and the files are left as they are. {fault}"
    );
    let mut out = Fault::new(fault.kind, said).retry(fault.retry);
    out.hint =
        hint.or_else(|| Some("run the command by hand: it passed with the same files before".to_owned()));
    out
}

/// Why there is no way back.
pub(in crate::deployers) fn ended(before: Option<&Before>) -> Fault {
    let what = match before {
        Some(before) => format!("the certificate that was there before ends {}", UnixTime(before.not_after)),
        None => "no certificate was there before that could be read".to_owned(),
    };
    Fault::new(FaultKind::Invalid, format!("not rolled back: {what}"))
        .retry(Retry::Never)
        .hint("what is in place is the better one; issue a new certificate")
}
