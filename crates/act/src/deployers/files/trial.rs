//! A pair that nothing uses, written in the layout of a target and read again with our own reader.
//!
//! For rehearsals: what a server would find is made as for a deployment, on the file system where it would lie, with the
//! owner and the mode that it would have. `reads` judges what comes back, from here and from a far host alike.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::deployment::{Bundle, Check, Key, Trial};
use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Content, Limits};
use notafter_pki::name::printable;
use zeroize::Zeroizing;

use super::Files;
use super::disk::{Attributes, Entry, Folder, Steps, shown};
use super::guard::{Guard, is_trusted, refused, split};
use super::outlet::Outlet;
use super::rehearse::{failed, kept};
use super::render::{Goods, render};
use super::settings::{Form, Layout, Settings};
use crate::deployers::keystore::{self, password};
use crate::{privsep, request};

/// What a target is tried with, and where that is from.
pub(in crate::deployers) struct Pair {
    pub(in crate::deployers) goods: Goods,
    pub(in crate::deployers) from: &'static str,
}

impl Pair {
    /// What staging issued, where its key is here; else one that is made for it.
    pub(in crate::deployers) fn of(trial: &Trial<'_>, now: UnixTime) -> Result<Self, Fault> {
        let here = trial.key.filter(|key| privsep::is_here(key, trial.name).is_ok());
        let key = match here {
            Some(key) => key.clone(),
            None => Key::new(
                request::generate(trial.kind)
                    .map_err(|e| Fault::new(FaultKind::Invalid, format!("no key to try with: {e}")))?
                    .serialize_der(),
            ),
        };
        let (chain, from) = match (here, trial.chain) {
            (Some(_), [_, ..]) => (trial.chain.to_vec(), "that staging issued"),
            _ => (request::for_trial(trial.names, &key, trial.kind)?, "made for it"),
        };
        let bundle = Bundle { name: trial.name.to_owned(), generation: 0, chain, key };
        Ok(Self { goods: Goods::of(&bundle, now)?, from })
    }
}

pub(super) async fn try_on(files: &Files, trial: &Trial<'_>, now: UnixTime) -> Check {
    let first = files.settings.forms().into_iter().next().map(|(_, path)| shown(&path)).unwrap_or_default();
    let what = format!("a pair as {first} would be written");
    let steps = Arc::clone(&files.steps);
    let pair = match Pair::of(trial, now) {
        Ok(pair) => pair,
        Err(fault) => return failed(what, &fault),
    };
    let from = pair.from;
    match files.blocking(move |settings, _| through(&settings, &steps, &pair.goods)).await {
        Ok(()) => Check::works(
            what,
            format!("one {from} was written to a scratch folder beside it, read back whole, and removed"),
        ),
        Err(fault) => failed(what, &fault),
    }
}

/// Writes every file to a scratch folder on its own file system, and reads it back. Nothing is left, however it ends.
fn through(settings: &Settings, steps: &Arc<dyn Steps>, goods: &Goods) -> Result<(), Fault> {
    let (owner, group) = settings.owner_ids().map_err(|e| Fault::new(FaultKind::Invalid, e))?;
    let mode = settings.mode_bits().map_err(|e| Fault::new(FaultKind::Invalid, e))?;
    let mut made = Vec::new();
    let mut write = || {
        for (form, path) in settings.forms() {
            let guard = Guard::of(settings, steps);
            let parent = lies_in(settings, &guard, form, &path)?;
            let scratch = scratch(&parent, &path, &mut made)?;
            let existing = settings.keystore(form).and_then(|_| kept(&path));
            let bytes = render(settings, form, goods, existing.as_ref().map(|bytes| bytes.as_slice()))?;
            let there = std::fs::metadata(&path).ok();
            let usual = if form.holds_key() { 0o600 } else { 0o644 };
            let mut attributes = Attributes::new(there.as_ref().map_or(usual, |m| m.mode() & 0o7777));
            attributes.uid = owner.or(there.as_ref().map(MetadataExt::uid));
            attributes.gid = group.or(there.as_ref().map(MetadataExt::gid));
            attributes.mode = mode.filter(|_| form.holds_key()).unwrap_or(attributes.mode);
            let name = OsStr::new(form.name());
            scratch.create(name, &bytes, &attributes)?;
            let back = scratch.read(name)?.map(|(bytes, _)| Zeroizing::new(bytes)).unwrap_or_default();
            reads(settings, form, &back, goods, existing.as_ref().map(|bytes| bytes.as_slice()))
                .map_err(|why| unreadable(&shown(&path), &why))?;
        }
        Ok(())
    };
    let done = write();
    let removed: Result<(), Fault> = made.iter().try_for_each(|(parent, name)| parent.remove_folder(name));
    done.and(removed)
}

pub(in crate::deployers) fn unreadable(path: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Invalid, format!("{path}, written to try it and read again: {why}"))
        .hint("nothing in use was touched; is this form the one that the server reads?")
}

/// The folder that a file would be written in.
fn lies_in(settings: &Settings, guard: &Guard, form: Form, path: &Path) -> Result<Folder, Fault> {
    match settings.layout() {
        Layout::Generations => {
            let base = settings.base().map_err(|e| Fault::new(FaultKind::Invalid, e))?;
            guard.open(split(&base)?.0)
        }
        Layout::InPlace => {
            let outlet = Outlet::find(guard, form.name(), path)?;
            Ok(outlet.archive.map_or(outlet.folder, |archive| archive.folder))
        }
    }
}

/// A folder of our own in that one, for nobody else. What an earlier rehearsal left, when it was killed, goes first.
fn scratch(parent: &Folder, path: &Path, made: &mut Vec<(Folder, OsString)>) -> Result<Folder, Fault> {
    let same = |(known, _): &&(Folder, OsString)| known.path() == parent.path();
    if let Some((_, name)) = made.iter().find(same) {
        return parent.open(name);
    }
    let mut name = OsString::from(".");
    name.push(split(path)?.1);
    name.push(".notafter-rehearsal");
    match parent.entry(&name)? {
        Entry::Absent => {}
        Entry::Folder => parent.remove_folder(&name)?,
        _ => parent.remove(&name)?,
    }
    let folder = parent.make(&name, 0o700)?;
    if !is_trusted(folder.stat()?.st_uid) {
        return Err(refused(
            format!("{} was not made here", shown(folder.path())),
            "look what is in it, then remove it",
        ));
    }
    made.push((parent.clone(), name));
    Ok(folder)
}

/// Does a file hold what it was made from, as whoever reads it would see it? Why not. `existing`: what was there before.
pub(super) fn reads(
    settings: &Settings,
    form: Form,
    bytes: &[u8],
    goods: &Goods,
    existing: Option<&[u8]>,
) -> Result<(), String> {
    let opens = settings.keystore(form).map(|(kind, set)| password::choose(kind, set, Some(bytes)));
    let opens = opens.transpose().map_err(|fault| fault.to_string())?;
    let passwords: Vec<&str> = opens.iter().map(|p| p.as_str()).collect();
    let opened = container::open_with(bytes, &passwords, &Limits::default());
    let found: Vec<&[u8]> = opened.certificates().collect();
    let expected: &[Vec<u8>] = match form {
        Form::Key => &[],
        Form::Certificate if settings.chain.is_some() => goods.chain.get(..1).unwrap_or(&[]),
        Form::Der => goods.chain.get(..1).unwrap_or(&[]),
        Form::Chain => goods.rest(),
        _ => &goods.chain,
    };
    // A set has no order, and a keystore may hold others.
    let is_set = matches!(form, Form::Pkcs7 | Form::Pkcs12 | Form::Jks);
    let whole = match is_set {
        true => expected.iter().all(|der| found.contains(&der.as_slice())),
        false => expected.iter().map(Vec::as_slice).eq(found.iter().copied()),
    };
    if !whole {
        return Err(format!("{} certificates were written, and others are read", expected.len()));
    }
    if form.holds_key() {
        let leaf = Certificate::parse(goods.leaf()).map_err(|_| "the certificate is none")?.key_id();
        // In a keystore the key stays sealed for our reader: that one is there, under the password of the store, is what it sees.
        let sealed = matches!(form, Form::Pkcs12 | Form::Jks);
        let is_its = |content: &Content<'_>| match content {
            Content::PrivateKey(key) => key.key_id() == Some(leaf) || (sealed && key.encrypted),
            _ => false,
        };
        let fits = opened.found.iter().any(|found| is_its(&found.content));
        if !fits {
            return Err("no private key is read that belongs to the certificate".to_owned());
        }
    }
    let (Some(password), true) = (passwords.first(), matches!(form, Form::Pkcs12 | Form::Jks)) else {
        return Ok(());
    };
    entry(settings, form, &opened, goods, existing.map(|bytes| (bytes, *password)))
}

/// Does the leaf stand under the name that the server looks for?
fn entry(
    settings: &Settings,
    form: Form,
    opened: &container::Opened<'_>,
    goods: &Goods,
    existing: Option<(&[u8], &str)>,
) -> Result<(), String> {
    let set = match form {
        Form::Jks => settings.jks.as_ref().and_then(|jks| jks.alias.clone()),
        _ => settings.pkcs12.as_ref().and_then(|p| p.alias.clone()),
    };
    let wanted = set.or_else(|| existing.and_then(|(bytes, password)| keystore::look(bytes, password).alias));
    let leaf = |content: &Content<'_>| matches!(content, Content::Certificate(der) if **der == *goods.leaf());
    let names: Vec<String> = opened
        .found
        .iter()
        .filter(|found| leaf(&found.content))
        .map(|found| keystore::unescape(found.place.as_str().split('/').next().unwrap_or_default()))
        .collect();
    match wanted {
        // Java knows no capital letters there.
        Some(wanted) if !names.iter().any(|name| name.to_lowercase() == wanted.to_lowercase()) => {
            Err(format!(
                "the entry is called {}, and the server looks for {}",
                printable(&names.join(", ")),
                printable(&wanted)
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notafter_core::issuance::{Identifier, KeyType};
    use serde_json::json;

    fn goods() -> Goods {
        let names = [Identifier::Dns("a.test".into())];
        let trial = Trial { name: "api", names: &names, kind: KeyType::EcdsaP256, key: None, chain: &[] };
        Pair::of(&trial, UnixTime(1_795_262_400)).expect("a pair").goods
    }

    #[test]
    fn what_is_read_back_is_what_was_written_or_it_is_said() {
        let lab = notafter_lab::Lab::new("read-back");
        let secret = lab.path().join("password");
        std::fs::write(&secret, "passw0rd1").expect("a password");
        let store =
            |name: &str, alias: &str| json!({ "path": name, "password": { "file": secret }, "alias": alias });
        let table = |alias: &str| {
            json!({ "key": "/a.key", "fullchain": "/a.pem", "combined": "/all.pem", "pkcs7": "/a.p7b", "der": "/a.der",
                    "pkcs12": store("/a.p12", alias), "jks": store("/a.jks", alias) })
        };
        let (ours, other) = (goods(), goods());
        let settings = Settings::open(table("one")).expect("settings");
        let renamed = Settings::open(table("two")).expect("settings");
        for (form, _) in settings.forms() {
            let bytes = render(&settings, form, &ours, None).expect("a file");
            assert_eq!(reads(&settings, form, &bytes, &ours, None), Ok(()), "{}", form.name());
            let others = reads(&settings, form, &bytes, &other, None);
            assert!(others.is_err(), "{} of another pair", form.name());
            let half = bytes.get(..bytes.len() / 2).expect("a half");
            assert!(reads(&settings, form, half, &ours, None).is_err(), "half of {}", form.name());
            if settings.keystore(form).is_some() {
                let why = reads(&renamed, form, &bytes, &ours, None).expect_err("another alias");
                assert_eq!(why, "the entry is called one, and the server looks for two");
            }
        }
    }
}
