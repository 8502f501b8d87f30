//! Which servers of this machine read the certificate, from which files and in which layout: the configurations read
//! again, now, and the files they name opened.
//!
//! A place counts only where the certificate *and its key* lie: who copied a public certificate into a file of their own
//! must not be handed the next private key. Nothing is written here, and no command comes from anything that was found.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notafter_act::deployers;
use notafter_core::location::Location;
use notafter_core::{Fingerprint, KeyId};
use notafter_discover::configs::{self, Client, Listen, Serving};
use notafter_discover::local;
use notafter_discover::tree::Tree;
use notafter_pki::container::{self, Content, Format, Limits};

use super::known::Known;
use super::running::{Running, running};
use super::ways::{Ways, ways};

/// So many files of certificates are opened. Hosters have ten thousand sites on one server.
const FILES_MAX: usize = 50_000;
/// So many entries of a folder are looked through for a key, and so large may its file be.
const BESIDE_MAX: usize = 1_000;
const KEY_FILE_MAX: u64 = 64 << 10;

/// A set of files in one layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) chain: Option<PathBuf>,
    pub(super) fullchain: Option<PathBuf>,
    pub(super) combined: Option<PathBuf>,
    /// The combined file has the certificate before the key.
    pub(super) certificate_first: bool,
}

impl Files {
    /// Every path, with the setting it is for.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [
            ("certificate", &self.certificate),
            ("key", &self.key),
            ("chain", &self.chain),
            ("fullchain", &self.fullchain),
            ("combined", &self.combined),
        ];
        all.into_iter().filter_map(|(setting, path)| Some((setting, path.as_deref()?)))
    }
}

/// A server that reads the certificate.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// As the readers of configurations call it.
    pub(super) server: &'static str,
    /// Where its configuration says so.
    pub(super) at: String,
    pub(super) ways: Ways,
    pub(super) listens: Vec<Listen>,
    /// What it shows as `/`.
    pub(super) root: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
}

/// Files, and every server that reads them.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) files: Files,
    pub(super) readers: Vec<Reader>,
    /// What has to be known about them.
    pub(super) notes: Vec<String>,
}

/// What was found, and what was found and is not taken.
#[derive(Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) not_taken: Vec<String>,
    /// Somebody reads it from files that are not taken: another copy would be renewed in vain.
    is_read_elsewhere: bool,
}

/// A certificate file that a configuration names.
struct Named<'a> {
    server: &'static str,
    at: String,
    certificate: &'a Path,
    key: Option<&'a Path>,
    chain: Option<&'a Path>,
    listens: &'a [Listen],
    root: Option<&'a Path>,
    socket: Option<&'a Path>,
}

impl<'a> Named<'a> {
    fn serving(serving: &'a Serving) -> Self {
        Self {
            server: serving.server,
            at: serving.at.to_string(),
            certificate: &serving.certificate,
            key: serving.key.as_deref(),
            chain: serving.chain.as_deref(),
            listens: &serving.listens,
            root: serving.root.as_deref(),
            socket: serving.socket.as_deref(),
        }
    }

    /// What is shown to others is read and reloaded like what is served.
    fn client(client: &'a Client) -> Self {
        Self {
            server: client.server,
            at: client.at.to_string(),
            certificate: &client.certificate,
            key: client.key.as_deref(),
            chain: None,
            listens: &[],
            root: None,
            socket: None,
        }
    }
}

/// What a file holds, as far as it matters here.
#[derive(Default)]
struct Held {
    /// The first certificate in it.
    leaf: Option<Fingerprint>,
    /// Further certificates.
    more: usize,
    key: Option<KeyId>,
    /// A key that a password guards.
    locked: bool,
    certificate_first: bool,
    format: Option<Format>,
    /// Blocks that a deployment would not write again.
    strangers: Vec<String>,
}

fn held(path: &Path) -> Option<Held> {
    let bytes = Tree::host().read(path).ok()?;
    let opened = container::open(&bytes, &[], &Limits::default());
    let mut out = Held { format: Some(opened.format), ..Held::default() };
    for found in &opened.found {
        match &found.content {
            Content::Certificate(der) if out.leaf.is_none() => {
                out.leaf = Some(Fingerprint::of(der));
                out.certificate_first = out.key.is_none() && !out.locked;
            }
            Content::Certificate(_) => out.more += 1,
            Content::PrivateKey(key) => {
                out.key = out.key.or(key.key_id());
                out.locked |= key.encrypted;
            }
            _ => {}
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    for label in text.lines().filter_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")) {
        let ours = label.ends_with("CERTIFICATE") || label.ends_with("PRIVATE KEY");
        // The parameters of a curve stand before keys that openssl made, and say nothing that the key does not.
        if !ours && label != "EC PARAMETERS" && !out.strangers.iter().any(|s| s == label) {
            out.strangers.push(label.to_owned());
        }
    }
    Some(out)
}

/// Looks for every place of this machine.
pub(super) fn find(known: &Known) -> Found {
    let tree = Tree::host();
    let running = running(known);
    let mut found = Found::default();
    let mut seen: BTreeMap<PathBuf, Option<Held>> = BTreeMap::new();
    for (server, main) in mains(&tree, known, &running) {
        let read = configs::read_with(&tree, server, &main);
        let all = read.servings.iter().map(Named::serving).chain(read.clients.iter().map(Named::client));
        for named in all {
            if seen.len() >= FILES_MAX && !seen.contains_key(named.certificate) {
                continue;
            }
            let held = seen.entry(named.certificate.to_owned()).or_insert_with(|| held(named.certificate));
            if let Some(held) = held.as_ref().filter(|h| h.leaf == Some(known.id)) {
                found.take(known, &named, held, &main, &running);
            }
        }
    }
    found.alone(known);
    found
}

impl Found {
    fn refuse(&mut self, path: &Path, why: &str) {
        let text = format!("{}: {why}", path.display());
        if !self.not_taken.contains(&text) {
            self.not_taken.push(text);
        }
    }

    fn take(&mut self, known: &Known, named: &Named<'_>, held: &Held, main: &Path, running: &[Running]) {
        // Of a program without a reader of its own it is not known which file is the key.
        let near = (named.key.is_none() && held.key.is_none() && !held.locked)
            .then(|| key_of(known, named.certificate))
            .flatten();
        let key = named.key.or(near.as_deref());
        let Some((files, notes)) = self.layout(known, named.certificate, key, named.chain, held) else {
            // Whoever copied the certificate without its key does not hinder others.
            let of = key.map_or(held.key, |key| self::held(key).and_then(|held| held.key));
            self.is_read_elsewhere |= of.is_none_or(|of| of == known.key);
            return;
        };
        let reader = Reader {
            server: named.server,
            at: named.at.clone(),
            ways: ways(named.server, main, running),
            listens: named.listens.to_vec(),
            root: named.root.map(Path::to_owned),
            socket: named.socket.map(Path::to_owned),
        };
        self.add(files, notes, Some(reader));
    }

    fn add(&mut self, files: Files, notes: Vec<String>, reader: Option<Reader>) {
        let place = match self.places.iter_mut().position(|p| p.files == files) {
            Some(at) => &mut self.places[at],
            None => {
                self.places.push(Place { files, readers: Vec::new(), notes });
                let last = self.places.len() - 1;
                &mut self.places[last]
            }
        };
        let Some(reader) = reader else { return };
        match place.readers.iter_mut().find(|r| r.server == reader.server && r.ways == reader.ways) {
            Some(same) => {
                same.listens.extend(reader.listens);
                same.root = same.root.take().or(reader.root);
                same.socket = same.socket.take().or(reader.socket);
            }
            None => place.readers.push(reader),
        }
    }

    /// The settings for these files, once it is sure that the key lies in them.
    fn layout(
        &mut self,
        known: &Known,
        certificate: &Path,
        key: Option<&Path>,
        chain: Option<&Path>,
        held: &Held,
    ) -> Option<(Files, Vec<String>)> {
        if !matches!(held.format, Some(Format::Pem)) {
            let what = match held.format {
                Some(Format::Pkcs12) => "pkcs12 = { path, password = { file = ... } }",
                Some(Format::Jks | Format::Jceks | Format::Bks) => {
                    "jks = { path, password = { file = ... } }"
                }
                Some(Format::Der) => "der = PATH",
                _ => "one of the forms in docs/guide/deploy.md",
            };
            self.refuse(certificate, &format!("it is no PEM file: write the target by hand, with {what}"));
            return None;
        }
        if certificate.to_str().is_none() || key.is_some_and(|k| k.to_str().is_none()) {
            self.refuse(certificate, "a path that is not UTF-8 cannot stand in a configuration");
            return None;
        }
        let mut notes = Vec::new();
        let foreign = |strangers: &[String], path: &Path| {
            let list = strangers.join(", ");
            (!strangers.is_empty())
                .then(|| format!("{} also holds {list}, which is not written again", path.display()))
        };
        if key.is_none_or(|key| key == certificate) {
            if held.key != Some(known.key) {
                self.refuse(certificate, &no_key(held, "in it"));
                return None;
            }
            notes.extend(foreign(&held.strangers, certificate));
            let files = Files {
                combined: Some(certificate.to_owned()),
                certificate_first: held.certificate_first,
                ..Files::default()
            };
            return Some((files, notes));
        }
        let key = key?;
        let Some(of_key) = self::held(key) else {
            self.refuse(
                certificate,
                &format!(
                    "its key {} cannot be read by this account: whoever may has to adopt it",
                    key.display()
                ),
            );
            return None;
        };
        if of_key.key != Some(known.key) {
            self.refuse(certificate, &no_key(&of_key, &format!("in {}", key.display())));
            return None;
        }
        if let Some(lineage) = certbot(certificate, key) {
            return Some((lineage, notes));
        }
        notes.extend(foreign(&held.strangers, certificate));
        notes.extend(foreign(&of_key.strangers, key));
        if chain.is_none() && held.more == 0 {
            notes.push(format!(
                "{} holds no intermediates today; what is written there will have them behind the certificate",
                certificate.display()
            ));
        }
        let files = Files {
            certificate: Some(certificate.to_owned()),
            key: Some(key.to_owned()),
            chain: chain.map(Path::to_owned),
            ..Files::default()
        };
        Some((files, notes))
    }

    /// Files that no configuration names: the best of them, where nothing else is known, for whoever reads it.
    fn alone(&mut self, known: &Known) {
        let covered: Vec<PathBuf> = self
            .places
            .iter()
            .flat_map(|p| p.files.paths())
            .map(|(_, path)| path.canonicalize().unwrap_or_else(|_| path.to_owned()))
            .collect();
        let is_read = !self.places.is_empty() || self.is_read_elsewhere;
        let mut candidates = Vec::new();
        for path in &known.files {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let start = format!("{}: ", path.display());
            if covered.contains(&real) || self.not_taken.iter().any(|why| why.starts_with(&start)) {
                continue;
            }
            let Some(held) = held(path).filter(|held| held.leaf == Some(known.id)) else { continue };
            let key = match held.key == Some(known.key) {
                true => None,
                false => Some(key_of(known, path)),
            };
            candidates.push((path.clone(), held, key));
        }
        // With its key beside it, whole, and in a file of its own: that is what a server would be told.
        candidates.sort_by_key(|(path, held, key)| {
            let near = match key {
                Some(Some(key)) => key.parent() == path.parent(),
                Some(None) => false,
                None => true,
            };
            (!near, held.more == 0, key.is_none(), path.clone())
        });
        for (path, held, key) in candidates {
            if is_read || !self.places.is_empty() {
                self.refuse(&path, "no configuration names it, so it stays as it is");
                continue;
            }
            let key = match key {
                Some(None) => {
                    self.refuse(&path, "no configuration names it, and the file of its key is not known");
                    continue;
                }
                Some(Some(key)) => Some(key),
                None => None,
            };
            if let Some((files, notes)) = self.layout(known, &path, key.as_deref(), None, &held) {
                self.add(files, notes, None);
            }
        }
    }
}

/// The file of its key, where that is one of its own: beside it and called like it, if there are several.
fn key_of(known: &Known, path: &Path) -> Option<PathBuf> {
    let apart = |key: &&PathBuf| (key.parent() != path.parent(), key.file_stem() != path.file_stem());
    // A file that holds a certificate too is no key file.
    let is_its = |key: &&PathBuf| held(key).is_some_and(|h| h.key == Some(known.key) && h.leaf.is_none());
    let near = beside(path);
    known.keys.iter().chain(&near).filter(is_its).min_by_key(apart).cloned()
}

/// Small files in the folder of this one: a look at one file has not seen its key.
fn beside(path: &Path) -> Vec<PathBuf> {
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let small = |path: &PathBuf| {
        std::fs::symlink_metadata(path).is_ok_and(|about| about.is_file() && about.len() <= KEY_FILE_MAX)
    };
    let mut out: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .take(BESIDE_MAX)
        .flatten()
        .map(|entry| entry.path())
        .filter(small)
        .collect();
    out.sort();
    out
}

fn no_key(held: &Held, where_: &str) -> String {
    match (held.locked, held.key.is_some()) {
        (true, _) => format!("the key {where_} is guarded by a password, and what is written here has none"),
        (_, true) => format!("the key {where_} is that of another certificate"),
        (_, false) => format!("its key is not {where_}"),
    }
}

/// The whole of certbot's lineage, where these are links of `live`: all of them are swung together.
fn certbot(certificate: &Path, key: &Path) -> Option<Files> {
    let folder = certificate.parent()?;
    let to = std::fs::read_link(certificate).ok()?;
    let archive = folder.join(to.parent()?).canonicalize().ok()?;
    let in_archive = archive.parent()?.file_name()? == "archive" && archive.file_name() == folder.file_name();
    if !in_archive || key.parent() != Some(folder) {
        return None;
    }
    let there = |name: &str| Some(folder.join(name)).filter(|path| path.is_symlink());
    Some(Files {
        certificate: there("cert.pem"),
        key: there("privkey.pem"),
        chain: there("chain.pem"),
        fullchain: there("fullchain.pem"),
        ..Files::default()
    })
    .filter(|files| files.key.is_some() && (files.certificate.is_some() || files.fullchain.is_some()))
}

/// Every main configuration: where they usually lie, where one was seen to name the files, what runs.
fn mains(tree: &Tree, known: &Known, running: &[Running]) -> Vec<(&'static configs::Server, PathBuf)> {
    let mut out: Vec<(&'static configs::Server, PathBuf)> = Vec::new();
    let mut reals: Vec<PathBuf> = Vec::new();
    for server in configs::SERVERS {
        for main in server.mains.iter().flat_map(|pattern| tree.glob(Path::new(pattern))) {
            if let Ok(real) = tree.resolve(&main)
                && tree.is_file(&real)
                && !reals.contains(&real)
            {
                reals.push(real);
                out.push((server, main));
            }
        }
    }
    let mut more: Vec<PathBuf> = running.iter().flat_map(|r| r.files.iter().cloned()).collect();
    more.extend(known.configurations.iter().cloned());
    // What the usual ones include is read with them, and would be read without its surroundings here.
    let mut included: Vec<PathBuf> =
        out.iter().flat_map(|(server, main)| configs::read_with(tree, server, main).files).collect();
    for path in more {
        let Ok(real) = tree.resolve(&path) else { continue };
        if included.contains(&real) || reals.contains(&real) {
            continue;
        }
        let Ok(bytes) = tree.read(&real) else { continue };
        let head = bytes.get(..bytes.len().min(32 << 10)).unwrap_or_default();
        if let Some(server) = configs::recognise(&path, head) {
            included.extend(configs::read_with(tree, server, &path).files);
            reals.push(real);
            out.push((server, path));
        }
    }
    // The server that most depends on is the one whose name the target gets.
    out.sort_by_key(|(server, _)| configs::SERVERS.iter().position(|known| known.name == server.name));
    out
}

impl Reader {
    /// Would it answer at this place? How widely it listens there: the less the likelier.
    pub(super) fn answers(&self, place: &Location) -> Option<u8> {
        let address = place.address().filter(|address| local::is_ours(address.ip()))?;
        let fits =
            |listen: &&Listen| listen.port == address.port() && listen.scheme() == Some(place.scheme());
        let width = |listen: &Listen| match listen.address {
            Some(ip) if ip == address.ip() => Some(0),
            Some(IpAddr::V4(ip)) if ip.is_unspecified() && address.is_ipv4() => Some(1),
            Some(IpAddr::V6(ip)) if ip.is_unspecified() => Some(if address.is_ipv6() { 1 } else { 3 }),
            Some(_) => None,
            None => Some(2),
        };
        self.listens.iter().filter(fits).filter_map(width).min()
    }
}

/// May this account write there? What would have to be, if not.
pub(super) fn may_write(path: &Path) -> Result<(), String> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let owner = std::fs::metadata(&real).map(|m| m.uid()).ok();
    for folder in [path.parent(), real.parent()].into_iter().flatten() {
        deployers::guarded(folder, &owner.into_iter().collect::<Vec<_>>()).map_err(|fault| {
            let hint = fault.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {fault}{hint}", path.display())
        })?;
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        let flags = rustix::fs::AtFlags::EACCESS;
        if rustix::fs::accessat(rustix::fs::CWD, folder, access, flags).is_err() {
            let whose = std::fs::metadata(folder).map(|m| m.uid()).unwrap_or(0);
            return Err(format!(
                "{}: {} may be written to by the account {} and not by this one",
                path.display(),
                folder.display(),
                if whose == 0 { "root".to_owned() } else { whose.to_string() }
            ));
        }
    }
    Ok(())
}
