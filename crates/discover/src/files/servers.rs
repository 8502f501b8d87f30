//! Configurations of servers that a walk met: which file serves which address and name, as links; and the state of
//! renewers: which files they keep alive, and how they fare.
//!
//! Between the walk and `configs.rs` and `renewers.rs`, which read them. It opens no certificate: the walk does. What a configuration
//! names and what is not there is said, because a server that runs goes on with what it has loaded and will not
//! come up again.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use notafter_core::location::Location;
use notafter_core::observation::{Link, LinkKind, Reason, Seen};
use notafter_pki::name::printable;

use super::Shared;
use crate::configs::{self, Configured};
use crate::renewers;
use crate::tree::Tree;

/// So much of a file is looked at to tell what it is.
const HEAD: usize = configs::other::HEAD;
/// So many configurations of one walk are read.
const MOST: usize = 10_000;

/// What a walk met that is read after it.
#[derive(Default)]
pub(super) struct Met {
    configurations: Vec<PathBuf>,
    renewers: renewers::Met,
}

/// Remembers a file that looks like the configuration of a server, or the state of a renewer. Whether it does.
pub(super) fn note(shared: &Shared, path: &Path, start: &[u8]) -> bool {
    let mut noted = false;
    if let Some((renewer, home)) = renewers::recognise(path, start) {
        noted = true;
        // What a renewer keeps alive is named by it, and not used by it.
        shared.met.lock().unwrap_or_else(PoisonError::into_inner).renewers.note(renewer, home);
    }
    if let Some(zone) = super::zones::apex(path, start) {
        noted = true;
        let mut zones = shared.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if zones.len() < MOST {
            zones.insert(zone);
        }
    }
    if configs::recognise(path, &start[..start.len().min(HEAD)]).is_none() {
        return noted;
    }
    let mut met = shared.met.lock().unwrap_or_else(PoisonError::into_inner);
    if met.configurations.len() < MOST {
        met.configurations.push(path.to_owned());
    }
    true
}

/// Reads what was remembered, main files before what they include, and puts what follows from it.
pub(super) fn report(shared: &Shared) {
    let Met { configurations: mut files, renewers } =
        std::mem::take(&mut *shared.met.lock().unwrap_or_else(PoisonError::into_inner));
    renewers.read(|tree, found| lineages(shared, tree, &found));
    // What includes others lies above them.
    files.sort_by_key(|path| (path.components().count(), path.clone()));
    let tree = Tree::host();
    let mut read: HashSet<PathBuf> = HashSet::new();
    for path in files {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let known = tree.resolve(&path).is_ok_and(|real| read.contains(&real));
        let Ok(bytes) = tree.read(&path) else { continue };
        let Some(server) = configs::recognise(&path, &bytes[..bytes.len().min(HEAD)]).filter(|_| !known)
        else {
            continue;
        };
        let found = configs::read_with(&tree, server, &path);
        put(shared, &tree, &found);
        read.extend(found.files);
    }
}

fn lineages(shared: &Shared, tree: &Tree, found: &renewers::Renewals) {
    for one in &found.renewed {
        for link in one.links(tree) {
            shared.put(link.from.clone(), Seen::Linked(link));
        }
        let renewal = one.renewal(tree);
        shared.put(renewal.state.clone(), Seen::Managed(Box::new(renewal)));
    }
    for blind in &found.blind {
        let detail = if blind.at.line > 0 {
            format!("line {}: {}", blind.at.line, blind.why)
        } else {
            blind.why.clone()
        };
        shared.blind(&tree.outside(&blind.at.path), blind.reason, detail);
    }
}

fn put(shared: &Shared, tree: &Tree, found: &Configured) {
    for link in found.servings.iter().flat_map(|serving| serving.links(tree)) {
        shared.put(link.from.clone(), Seen::Linked(link));
    }
    for client in &found.clients {
        let shown = tree.resolve(&client.certificate).ok();
        let to = client.to.as_deref().map(|to| format!(", to {}", printable(to))).unwrap_or_default();
        for file in [Some(client.certificate.clone()), shown.filter(|real| *real != client.certificate)] {
            let Some(file) = file else { continue };
            let link = Link {
                kind: LinkKind::Presents,
                from: Location::file(client.at.path.as_os_str().as_bytes(), ""),
                to: Location::file(file.as_os_str().as_bytes(), ""),
                evidence: format!("{} shows it as a client: {}{to}", client.server, client.at),
            };
            shared.put(link.from.clone(), Seen::Linked(link));
        }
    }
    for blind in &found.blind {
        shared.blind(&blind.at.path, blind.reason, format!("line {}: {}", blind.at.line, blind.why));
    }
    for (file, at) in found.missing(tree) {
        shared.blind(file, Reason::NotFound, format!("{at} names it, and it is not there"));
    }
}
