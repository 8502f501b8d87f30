//! What is in an archive as observations: each member like a file of its own, and of the layers of an image only
//! what is still there.
//!
//! Between `archive.rs`, which hands over members, and `read.rs`, which reads them. It keeps what was found until the
//! archive has been read, because only then is it known how the layers of an image lie on each other: a file that a
//! later layer deletes or replaces is not in the image any more (OCI image specification, "Representing Changes").
//! Links and folders that take the place of a file are not looked at, nor layers that lie in files of their own.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;

use notafter_core::location::Location;
use notafter_core::observation::{FileFacts, Reason, Seen};
use notafter_pki::container::sniff::{Hint, Markers};

use super::Shared;
use super::archive::Visitor;
use super::read::{Holder, Origin, report};

/// Nothing that holds a certificate or a key is smaller, in octets.
const SIZE_MIN: usize = 40;
/// So much is kept until the end; more goes out at once, whatever a later layer does with it.
const KEPT_MAX: usize = 50_000;
/// So many names of files are remembered to tell what a later layer replaces.
const NAMES_MAX: usize = 2_000_000;
/// No larger list of layers is read, in octets.
const MANIFEST_MAX: usize = 1 << 20;

/// Reads the members of one archive.
pub(super) struct Members<'s> {
    shared: &'s Shared,
    markers: &'s Markers,
    /// The outermost archive.
    archive: Location,
    facts: FileFacts,
    origin: Origin,
    kept: RefCell<Vec<(Location, Seen)>>,
    layers: Layers,
    said: bool,
}

impl<'s> Members<'s> {
    pub(super) fn new(
        shared: &'s Shared,
        markers: &'s Markers,
        archive: Location,
        facts: FileFacts,
        origin: Origin,
    ) -> Self {
        let kept = RefCell::default();
        Self { shared, markers, archive, facts, origin, kept, layers: Layers::default(), said: false }
    }

    /// Puts what is still there; whether there was anything to say.
    pub(super) fn finish(self) -> bool {
        let outer = self.archive.container().len();
        for (place, seen) in self.kept.into_inner() {
            if !self.layers.hides(place.container().get(outer..).unwrap_or("")) {
                self.shared.put(place, seen);
            }
        }
        self.said
    }
}

impl Visitor for Members<'_> {
    fn file(&mut self, place: &Location, bytes: &[u8]) {
        let outer = self.archive.container().len();
        self.layers.note(place.container().get(outer..).unwrap_or(""), bytes);
        let start = &bytes[..bytes.len().min(1024)];
        if bytes.len() < SIZE_MIN || Hint::of_start(start).is_none() && self.markers.first(bytes).is_none() {
            return;
        }
        let passwords: Vec<&str> = self.shared.passwords.iter().map(String::as_str).collect();
        let (shared, kept) = (self.shared, &self.kept);
        let put = |place: Location, seen: Seen| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push((place, seen));
            } else {
                shared.put(place, seen);
            }
        };
        let holder = Holder {
            place: place.clone(),
            file: self.facts.clone(),
            origin: self.origin,
            passwords: &passwords,
            put: &put,
        };
        self.said |= report(&holder, bytes, || self.facts.reachable_by_others);
    }

    fn blind(&mut self, place: &Location, reason: Reason, detail: String) {
        self.said = true;
        self.shared.put(place.clone(), Seen::Failed { reason, detail });
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }
}

/// The layers of images: which lie on which, and what each takes away.
///
/// Places are told by their text behind that of the archive: `!/LAYER!/PATH`.
#[derive(Default)]
struct Layers {
    /// Each image as the names of its layers, the lowest first.
    images: Vec<Vec<String>>,
    by_name: HashMap<String, Layer>,
    names: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Layer {
    /// Files and folders that are deleted.
    deleted: HashSet<String>,
    /// Folders of which nothing below remains.
    emptied: HashSet<String>,
    /// Hashes of the names of files.
    files: HashSet<u64>,
}

impl Layers {
    fn note(&mut self, behind: &str, bytes: &[u8]) {
        let Some(inner) = behind.strip_prefix("!/") else { return };
        let Some((layer, path)) = inner.split_once("!/") else {
            let manifest = inner == "manifest.json" || inner.starts_with("blobs/");
            if manifest && bytes.len() <= MANIFEST_MAX && bytes.trim_ascii_start().starts_with(b"{")
                || inner == "manifest.json" && bytes.len() <= MANIFEST_MAX
            {
                self.images.extend(images(bytes));
            }
            return;
        };
        if path.contains("!/") || self.names >= NAMES_MAX {
            return;
        }
        self.names += 1;
        let known = match self.by_name.get_mut(layer) {
            Some(known) => known,
            None => self.by_name.entry(layer.to_owned()).or_default(),
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") => {
                known.emptied.insert(folder.to_owned());
            }
            Some(name) if folder.is_empty() => {
                known.deleted.insert(name.to_owned());
            }
            Some(name) => {
                known.deleted.insert(format!("{folder}/{name}"));
            }
            None => {
                known.files.insert(self.hasher.hash_one(path));
            }
        }
    }

    /// Is what is at this place no more in any image that its layer is part of?
    fn hides(&self, behind: &str) -> bool {
        let inner = behind.strip_prefix("!/").and_then(|inner| inner.split_once("!/"));
        let Some((layer, path)) = inner else { return false };
        let path = path.split("!/").next().unwrap_or(path);
        let name = self.hasher.hash_one(path);
        let mut above = self
            .images
            .iter()
            .filter_map(|image| image.get(image.iter().rposition(|l| l == layer)? + 1..))
            .peekable();
        above.peek().is_some()
            && above.all(|above| {
                above.iter().filter_map(|l| self.by_name.get(l)).any(|l| l.takes_away(path, name))
            })
    }
}

impl Layer {
    fn takes_away(&self, path: &str, name: u64) -> bool {
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.files.contains(&name)
            || self.deleted.contains(path)
            || self.emptied.contains("")
            || folders.any(|folder| self.deleted.contains(folder) || self.emptied.contains(folder))
    }
}

/// The layers that a manifest names: Docker's list of images, or the manifest of one image by the OCI.
fn images(bytes: &[u8]) -> Vec<Vec<String>> {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return Vec::new() };
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    if let Some(images) = value.as_array() {
        let layers = images.iter().filter_map(|image| image["Layers"].as_array());
        return layers.map(|layers| layers.iter().filter_map(text).collect()).collect();
    }
    let blob = |layer: &serde_json::Value| {
        Some(format!("blobs/{}", layer["digest"].as_str()?.replacen(':', "/", 1)))
    };
    let layers = value["layers"].as_array().map(|layers| layers.iter().filter_map(blob).collect());
    layers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_layer_takes_away() {
        let mut layers = Layers::default();
        let mut note = |behind: &str, bytes: &[u8]| layers.note(behind, bytes);
        note("!/manifest.json", br#"[{"Layers": ["a", "b"]}, {"Layers": ["a", "c"]}, {"Layers": ["b"]}]"#);
        for path in ["a!/gone", "a!/etc/gone", "a!/etc/app/x", "a!/new", "a!/stays", "a!/only-b", "b!/new"] {
            note(&format!("!/{path}"), b"");
        }
        for layer in ["b", "c"] {
            for path in [".wh.gone", "etc/.wh.gone", "etc/app/.wh..wh..opq"] {
                note(&format!("!/{layer}!/{path}"), b"");
            }
        }
        note("!/c!/new", b"");
        note("!/b!/.wh.only-b", b"");
        let check = |behind: &str, hidden: bool| assert_eq!(layers.hides(behind), hidden, "{behind}");
        check("!/a!/gone", true);
        check("!/a!/gone!/in/it", true);
        check("!/a!/etc/gone", true);
        check("!/a!/etc/app/x", true);
        check("!/a!/new", true);
        check("!/b!/new", false);
        check("!/a!/stays", false);
        // Another image still has it.
        check("!/a!/only-b", false);
        check("!/unknown!/gone", false);
        check("", false);
    }

    #[test]
    fn manifests() {
        let check =
            |text: &str, expected: &[&[&str]]| assert_eq!(images(text.as_bytes()), expected, "{text}");
        check(
            r#"[{"Config":"x","Layers":["1/layer.tar","2/layer.tar"]}]"#,
            &[&["1/layer.tar", "2/layer.tar"]],
        );
        check(r#"{"layers":[{"digest":"sha256:ab"}]}"#, &[&["blobs/sha256/ab"]]);
        check(r#"{"manifests":[{"digest":"sha256:ab"}]}"#, &[]);
        check("[1, {\"Layers\": 2}]", &[]);
        check("{", &[]);
    }
}
