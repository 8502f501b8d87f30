//! One reading of one configuration: what was found so far, and how much may still be read.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::observation::Reason;

use super::value::Node;
use super::{At, Blind, Checks, Client, Configured, Holds, Listen, Name, Serving, Trust, blocks};
use crate::tree::Tree;

/// So many files are read for one configuration. Hosters have ten thousand sites on one server.
const FILES_MAX: usize = 50_000;
/// So many bytes.
const BYTES_MAX: usize = 256 << 20;
/// So many results of each kind.
const RESULTS_MAX: usize = 200_000;
/// So many values in braces are kept at a time, of all files together.
const VALUES_MAX: usize = 400_000;
/// So deep may files include one another.
pub(crate) const DEPTH_MAX: usize = 24;

/// The state of a reading.
pub(crate) struct Reading<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) server: &'static str,
    pub(crate) out: Configured,
    /// The files that are being read, one inside the other: none of them is begun again.
    open: Vec<PathBuf>,
    files_left: usize,
    bytes_left: usize,
    values_left: usize,
}

impl<'t> Reading<'t> {
    pub(crate) fn new(tree: &'t Tree, server: &'static str) -> Self {
        let out = Configured::default();
        Self {
            tree,
            server,
            out,
            open: Vec::new(),
            files_left: FILES_MAX,
            bytes_left: BYTES_MAX,
            values_left: VALUES_MAX,
        }
    }

    pub(crate) fn finish(mut self) -> Configured {
        // A part that many hosts include was read for each of them.
        let mut seen = HashSet::new();
        self.out.files.retain(|file| seen.insert(file.clone()));
        self.out
    }

    /// The text of a file; where it cannot be had, that is said at the place that names it.
    pub(crate) fn text(&mut self, path: &Path, from: &At) -> Option<String> {
        let Some(left) = self.files_left.checked_sub(1) else {
            self.blind(from, Reason::Budget, format!("more than {FILES_MAX} files: the rest is not read"));
            return None;
        };
        self.files_left = left;
        match self.tree.read(path) {
            Ok(bytes) if bytes.len() > self.bytes_left => {
                self.bytes_left = 0;
                self.blind(from, Reason::Budget, "the files together are too large: the rest is not read");
                None
            }
            Ok(bytes) => {
                self.bytes_left -= bytes.len();
                if let Ok(real) = self.tree.resolve(path)
                    && self.out.files.last() != Some(&real)
                {
                    self.out.files.push(real);
                }
                // What is no UTF-8 is a comment nearly always; a path with such bytes will be missed aloud.
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Err(error) => {
                let (reason, detail) = crate::files::why(&error);
                self.blind(from, reason, format!("{}: {detail}", path.display()));
                None
            }
        }
    }

    /// Reads a file from within another one. `None` where it is being read already, or too deep.
    pub(crate) fn enter<T>(
        &mut self,
        path: &Path,
        from: &At,
        read: impl FnOnce(&mut Self, &Arc<Path>, String) -> T,
    ) -> Option<T> {
        let real = self.tree.resolve(path).unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&real) {
            self.blind(from, Reason::Malformed, format!("{} includes itself", path.display()));
            return None;
        }
        if self.open.len() >= DEPTH_MAX {
            self.blind(from, Reason::Budget, format!("{DEPTH_MAX} files include one another: no further"));
            return None;
        }
        let text = self.text(path, from)?;
        self.open.push(real);
        let out = read(self, &Arc::from(path), text);
        self.open.pop();
        Some(out)
    }

    /// Reads the main file.
    pub(crate) fn main<T>(
        &mut self,
        path: &Path,
        read: impl FnOnce(&mut Self, &Arc<Path>, String) -> T,
    ) -> Option<T> {
        self.enter(path, &At::file(path), read)
    }

    /// The settings of a file that are written in braces.
    pub(crate) fn blocks(&mut self, text: &str, comments: &[&str], at: &At) -> Node {
        let node = blocks::parse(text, comments, &mut self.values_left);
        if self.values_left == 0 {
            self.blind(at, Reason::Budget, format!("more than {VALUES_MAX} values: the rest is not read"));
        }
        node
    }

    pub(crate) fn blind(&mut self, at: &At, reason: Reason, why: impl Into<String>) {
        if self.out.blind.len() < RESULTS_MAX {
            self.out.blind.push(Blind { at: at.clone(), reason, why: why.into() });
        }
    }

    pub(crate) fn serve(&mut self, serving: Serving) {
        if self.out.servings.len() < RESULTS_MAX {
            self.out.servings.push(serving);
        } else if self.out.servings.len() == RESULTS_MAX {
            self.blind(&serving.at, Reason::Budget, "too many certificates: the rest is not kept");
        }
    }

    /// A serving of this server, to be filled in.
    pub(crate) fn serving(&self, certificate: PathBuf, at: &At) -> Serving {
        Serving::new(self.server, certificate, at.clone())
    }

    /// A trust of this server.
    pub(crate) fn trust(
        &mut self,
        path: PathBuf,
        holds: Holds,
        checks: Checks,
        place: (&[Listen], &[Name]),
        at: &At,
    ) {
        if self.out.trusts.len() < RESULTS_MAX {
            let (listens, names) = (place.0.to_vec(), place.1.to_vec());
            let (server, at) = (self.server, at.clone());
            self.out.trusts.push(Trust { server, path, holds, checks, listens, names, password: None, at });
        }
    }

    /// A certificate shown to others.
    pub(crate) fn client(&mut self, certificate: PathBuf, key: Option<PathBuf>, to: Option<String>, at: &At) {
        if self.out.clients.len() < RESULTS_MAX {
            self.out.clients.push(Client { server: self.server, certificate, key, to, at: at.clone() });
        }
    }
}

/// An address as servers write it: `*`, `0.0.0.0`, `[::]`, `10.0.0.5`, `localhost`. `Ok(None)` is every
/// one; `Err` is a name, which only the server's resolver knows.
pub(crate) fn address(text: &str) -> Result<Option<IpAddr>, ()> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split('%').next().unwrap_or(bare);
    match bare {
        "" | "*" | "_default_" => Ok(None),
        "localhost" => Ok(Some(IpAddr::from([127, 0, 0, 1]))),
        _ => bare.parse().map(Some).map_err(|_| ()),
    }
}

/// `host:port`, `[::1]:port`, `:port`, `port`: the address and the port.
pub(crate) fn address_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Ok(port) = text.parse() {
        return Some(("", Some(port)));
    }
    if text.starts_with('[') {
        let (host, rest) = text.split_at(text.find(']')? + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => Some((host, Some(port.parse().ok()?))),
        Some(_) => Some((text, None)),
        None => Some((text, None)),
    }
}

/// A path as the server sees it: its own folder in front, if it is not absolute.
pub(crate) fn join(folder: &Path, path: &str) -> PathBuf {
    folder.join(path.strip_prefix("./").unwrap_or(path))
}

/// The folder a file is in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_else(|| PathBuf::from("/"))
}
