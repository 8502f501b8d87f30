//! What is in an archive as observations: each member like a file of its own, and of the layers of an image only
//! what is still there.
//!
//! Between `archive.rs`, which hands over members, and `read.rs`, which reads them. It keeps what was found until the
//! archive has been read, because only then is it known how the layers of an image lie on each other: a file that a
//! later layer deletes or replaces is not in the image any more (OCI image specification, "Representing Changes"), and is
//! said, because it is still in its layer. Layers that lie in files of their own come from `oci.rs`. Links and folders
//! that take the place of a file are not looked at.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use notafter_core::location::Location;
use notafter_core::observation::{FileFacts, Reason, Seen};
use notafter_pki::container::sniff::{Hint, Markers};

use super::archive::Visitor;
use super::packed::{self, Budget};
use super::read::{Holder, Origin, report};
use super::{Shared, document};

/// Nothing that holds a certificate or a key is smaller, in octets.
const SIZE_MIN: usize = 40;
/// So much of a member tells whether it is a document that is to be read.
const DOCUMENT_HEAD: usize = 128 << 10;
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
    /// The outermost archive, or the folder of an image layout.
    archive: Location,
    facts: FileFacts,
    origin: Origin,
    kept: RefCell<Vec<(Location, Seen)>>,
    layers: Layers,
    said: bool,
    /// Do the members lie in files of their own?
    in_files: bool,
    /// Is something looked at that was carved out of a member?
    carving: bool,
    /// What may be carved out of all members together.
    budget: Option<Rc<Budget>>,
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
        let layers = Layers::default();
        Self {
            shared,
            markers,
            archive,
            facts,
            origin,
            kept,
            layers,
            said: false,
            in_files: false,
            carving: false,
            budget: None,
        }
    }

    /// The same for the folder of an image layout, whose layers are files of their own.
    pub(super) fn of_layout(
        shared: &'s Shared,
        markers: &'s Markers,
        folder: Location,
        facts: FileFacts,
    ) -> Self {
        Self { in_files: true, ..Self::new(shared, markers, folder, facts, Origin::default()) }
    }

    /// What comes next lies in a file of its own, with these facts.
    pub(super) fn set_facts(&mut self, facts: FileFacts) {
        self.facts = facts;
    }

    /// A document of an image layout: which layers lie on which.
    pub(super) fn document(&mut self, place: &Location, bytes: &[u8]) {
        let outer = self.archive.container().len();
        self.layers.note(place.container().get(outer..).unwrap_or(""), bytes);
    }

    /// Puts what is still there, and says what is not; whether there was anything to say.
    pub(super) fn finish(self) -> bool {
        let outer = self.archive.container().len();
        let images = self.layers.images();
        let mut hidden: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (place, seen) in self.kept.into_inner() {
            match self.layers.hides(&images, place.container().get(outer..).unwrap_or("")) {
                Some((layer, path)) => {
                    let first = || (0, path.to_owned());
                    hidden.entry(layer.to_owned()).or_insert_with(first).0 += 1;
                }
                None => self.shared.put(place, seen),
            }
        }
        for (layer, (count, path)) in hidden {
            let place = self.archive.container();
            let between = if self.in_files { "/" } else { "!/" };
            let what = if count == 1 { "one thing".to_owned() } else { format!("{count} things") };
            let detail = format!(
                "{what} in this layer of an image ({path} first) is deleted or replaced by a later layer: it is not in the \
                 image any more, and whoever has the layer still has it, keys included"
            );
            if let Some(place) = Location::parse(&format!("{place}{between}{layer}")) {
                self.shared.put(place, Seen::Failed { reason: Reason::Excluded, detail });
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
        let packed = !self.carving && packed::is_binary(bytes) && packed::may_hold(bytes);
        let worth = Hint::of_start(start).is_some()
            || self.markers.first(bytes).is_some()
            || document::is_worth(bytes.get(..DOCUMENT_HEAD).unwrap_or(bytes));
        if bytes.len() < SIZE_MIN || !worth && !packed {
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
        if packed {
            // What is carved out is not carved again.
            self.carving = true;
            let budget = self.budget.get_or_insert_with(|| Rc::new(Budget::of(0))).clone();
            packed::open(bytes, place, &budget, &*shared.clock, self);
            self.carving = false;
        }
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
/// Places are told by their text behind that of the archive: `!/LAYER!/PATH`; in the folder of an image layout `/LAYER!/PATH`.
#[derive(Default)]
struct Layers {
    /// Images that a list of Docker's names, as the names of their layers, the lowest first.
    listed: Vec<Vec<String>>,
    /// Manifests of the OCI by name: the layers.
    manifests: HashMap<String, Vec<String>>,
    /// Its lists of manifests by name: what they name.
    lists: HashMap<String, Vec<String>>,
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

/// How many layers the images have that these octets name as an index, for fuzzing.
pub(super) fn images_in(bytes: &[u8]) -> usize {
    let mut layers = Layers::default();
    for name in ["/index.json", "/manifest.json", "/blobs/sha256/1", "/blobs/sha256/1!/etc/.wh.x"] {
        layers.note(name, bytes);
    }
    layers.images().iter().map(|image| image.len()).sum()
}

/// The name behind the archive's.
fn inner(behind: &str) -> Option<&str> {
    behind.strip_prefix("!/").or_else(|| behind.strip_prefix('/'))
}

impl Layers {
    fn note(&mut self, behind: &str, bytes: &[u8]) {
        let Some(inner) = inner(behind) else { return };
        let Some((layer, path)) = inner.split_once("!/") else {
            let of_image = matches!(inner, "manifest.json" | "index.json") || inner.starts_with("blobs/");
            let document = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
            if of_image && document && bytes.len() <= MANIFEST_MAX {
                self.document(inner, bytes);
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

    /// Docker's list of images, or a manifest or a list of manifests by the OCI (image specification, "Image Manifest",
    /// "Image Index").
    fn document(&mut self, name: &str, bytes: &[u8]) {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
        if let Some(images) = value.as_array() {
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            let layers = images.iter().filter_map(|image| image["Layers"].as_array());
            self.listed.extend(layers.map(|layers| layers.iter().filter_map(text).collect::<Vec<_>>()));
            return;
        }
        let blob = |one: &serde_json::Value| {
            Some(format!("blobs/{}", one["digest"].as_str()?.replacen(':', "/", 1)))
        };
        let named = |key: &str| Some(value[key].as_array()?.iter().filter_map(blob).collect::<Vec<_>>());
        if let Some(layers) = named("layers") {
            self.manifests.insert(name.to_owned(), layers);
        } else if let Some(manifests) = named("manifests") {
            self.lists.insert(name.to_owned(), manifests);
        }
    }

    /// Every image: those that the index leads to, or all manifests where there is none.
    fn images(&self) -> Vec<&[String]> {
        let listed = self.listed.iter().map(Vec::as_slice);
        let Some(index) = self.lists.get("index.json") else {
            return listed.chain(self.manifests.values().map(Vec::as_slice)).collect();
        };
        let mut out: Vec<&[String]> = listed.collect();
        let mut ahead: Vec<&String> = index.iter().collect();
        let mut seen: HashSet<&String> = HashSet::new();
        while let Some(name) = ahead.pop().filter(|_| seen.len() < NAMES_MAX) {
            if !seen.insert(name) {
                continue;
            }
            out.extend(self.manifests.get(name).map(Vec::as_slice));
            ahead.extend(self.lists.get(name).into_iter().flatten());
        }
        out
    }

    /// The layer and the path of what is at this place, if it is no more in any image that its layer is part of.
    fn hides<'p>(&self, images: &[&[String]], behind: &'p str) -> Option<(&'p str, &'p str)> {
        let (layer, path) = inner(behind)?.split_once("!/")?;
        let path = path.split("!/").next().unwrap_or(path);
        let path = path.split("@0x").next().unwrap_or(path);
        let name = self.hasher.hash_one(path);
        let above = |image: &&'_ [String]| image.iter().rposition(|l| l == layer).map(|at| at + 1);
        let mut above = images.iter().filter_map(|image| image.get(above(image)?..)).peekable();
        let gone = above.peek().is_some()
            && above.all(|above| {
                above.iter().filter_map(|l| self.by_name.get(l)).any(|l| l.takes_away(path, name))
            });
        gone.then_some((layer, path))
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
        let images = layers.images();
        let check = |behind: &str, hidden: bool| {
            assert_eq!(layers.hides(&images, behind).is_some(), hidden, "{behind}");
        };
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
        let check = |documents: &[(&str, &str)], expected: &[&[&str]]| {
            let mut layers = Layers::default();
            for (name, text) in documents {
                layers.note(&format!("/{name}"), text.as_bytes());
            }
            assert_eq!(layers.images(), expected, "{documents:?}");
        };
        check(
            &[("manifest.json", r#"[{"Config":"x","Layers":["1/layer.tar","2/layer.tar"]}]"#)],
            &[&["1/layer.tar", "2/layer.tar"]],
        );
        let (manifest, other) =
            (r#"{"layers":[{"digest":"sha256:ab"}]}"#, r#"{"layers":[{"digest":"sha256:cd"}]}"#);
        check(&[("blobs/sha256/1", manifest)], &[&["blobs/sha256/ab"]]);
        // What the index does not lead to is left over from an earlier image.
        let list = r#"{"manifests":[{"digest":"sha256:3"}, {"digest":"sha256:3"}]}"#;
        let index = r#"{"manifests":[{"digest":"sha256:2"}]}"#;
        let all = [("blobs/sha256/1", manifest), ("blobs/sha256/3", other), ("blobs/sha256/2", list)];
        check(&[&all[..], &[("index.json", index)]].concat(), &[&["blobs/sha256/cd"]]);
        check(&[("index.json", r#"{"manifests":[{"digest":"sha256:2"}]}"#)], &[]);
        check(&[("manifest.json", "[1, {\"Layers\": 2}]"), ("index.json", "{")], &[]);
        // One that names itself.
        check(&[("index.json", index), ("blobs/sha256/2", index)], &[]);
    }
}
