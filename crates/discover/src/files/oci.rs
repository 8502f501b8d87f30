//! Image layouts of the OCI that lie as folders: `oci-layout`, `index.json`, `blobs/sha256/...`, as skopeo, buildah and
//! `docker save` make them (OCI image specification, "Image Layout").
//!
//! Between the walk, which meets blobs one by one and in any order, and `members.rs`, which knows how layers lie on one
//! another. All blobs of a layout are set aside on the walk and read after it, together: only then is it known what is
//! still in the image. A folder of blobs without a layout, as registries and container runtimes keep them, says nothing
//! of which image is which: there each layer stands for itself.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use notafter_core::UnixTime;
use notafter_core::location::Location;
use notafter_core::observation::FileFacts;
use notafter_pki::container::sniff::Markers;

use super::Shared;
use super::members::Members;
use super::open::{Opener, bytes_of};

/// So many blobs of one walk are set aside; the rest is read where it is met.
const BLOBS_MAX: usize = 200_000;
/// Digests in hex: SHA-256 and SHA-512.
const DIGITS: [usize; 2] = [64, 128];

/// What the walk set aside.
#[derive(Default)]
pub(super) struct Layouts {
    /// Is this the folder of a layout?
    known: HashMap<PathBuf, bool>,
    /// The blobs of each.
    blobs: BTreeMap<PathBuf, Vec<PathBuf>>,
    count: usize,
}

/// Sets a blob of a layout below `root` aside; whether it was one.
pub(super) fn note(shared: &Shared, path: &Path, root: &Path) -> bool {
    let Some(layout) = layout_of(path).filter(|layout| layout.starts_with(root)) else { return false };
    let mut all = shared.layouts.lock().unwrap_or_else(PoisonError::into_inner);
    let is = match all.known.get(layout) {
        Some(is) => *is,
        None => {
            let is = layout.join("oci-layout").is_file();
            all.known.insert(layout.to_owned(), is);
            is
        }
    };
    if !is || all.count >= BLOBS_MAX {
        return false;
    }
    all.count += 1;
    all.blobs.entry(layout.to_owned()).or_default().push(path.to_owned());
    true
}

/// The folder of the layout that this would be a blob of: `LAYOUT/blobs/sha256/HEX`.
fn layout_of(path: &Path) -> Option<&Path> {
    let name = path.file_name()?.as_encoded_bytes();
    let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if !DIGITS.contains(&name.len()) || !name.iter().all(hex) {
        return None;
    }
    let blobs = path.parent()?.parent().filter(|folder| folder.file_name().is_some_and(|n| n == "blobs"))?;
    blobs.parent()
}

/// Reads what was set aside.
pub(super) fn report(shared: &Shared) {
    let all = std::mem::take(&mut *shared.layouts.lock().unwrap_or_else(PoisonError::into_inner));
    let markers = Markers::new();
    for (layout, mut blobs) in all.blobs {
        let facts =
            FileFacts { mode: 0, uid: 0, owner: None, mtime: UnixTime(0), reachable_by_others: false };
        let place = Location::file(bytes_of(&layout), "");
        let mut members = Members::of_layout(shared, &markers, place, facts);
        let mut opener = Opener::new(shared);
        let index = layout.join("index.json");
        if let Ok(bytes) = crate::tree::Tree::host().read(&index) {
            members.document(&Location::file(bytes_of(&index), ""), &bytes);
        }
        blobs.sort();
        for blob in blobs {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            opener.blob(&blob, &mut members);
        }
        members.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_by_their_path() {
        let hex = "0f".repeat(32);
        for (path, expected) in [
            (format!("/srv/img/blobs/sha256/{hex}"), Some("/srv/img")),
            (format!("/srv/img/blobs/sha512/{hex}{hex}"), Some("/srv/img")),
            (format!("/srv/img/other/sha256/{hex}"), None),
            (format!("/srv/img/blobs/sha256/{}", &hex[1..]), None),
            (format!("/srv/img/blobs/sha256/{}", hex.to_uppercase()), None),
            ("/".to_owned(), None),
        ] {
            assert_eq!(layout_of(Path::new(&path)), expected.map(Path::new), "{path}");
        }
    }
}
