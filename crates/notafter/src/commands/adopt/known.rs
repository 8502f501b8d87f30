//! What is known of the certificate that is to be adopted: from the memory, or from a look at it now.
//!
//! Only what was seen. Which of it may be written is `servers.rs`'s, which looks at the files again.

use std::path::PathBuf;

use notafter_core::inventory::{AssetKind, Role};
use notafter_core::location::Location;
use notafter_core::observation::LinkKind;
use notafter_core::upkeep::Upkeep;
use notafter_core::{Fingerprint, KeyId};
use notafter_pki::certificate::Certificate;
use notafter_store::Store;
use notafter_store::rows::AssetWhole;

use super::plan::Plan;
use crate::assemble::Assembly;
use crate::cli::Global;
use crate::commands::{Usage, hands, kept, scan};
use crate::config::plan::Sheet;
use crate::data::Data;

/// A certificate and where it was seen.
pub(super) struct Known {
    pub(super) der: Vec<u8>,
    pub(super) id: Fingerprint,
    pub(super) key: KeyId,
    /// Endpoints that show it.
    pub(super) served: Vec<Location>,
    /// Files that hold it.
    pub(super) files: Vec<PathBuf>,
    /// Files that hold its key.
    pub(super) keys: Vec<PathBuf>,
    /// Configurations that were seen to name its files.
    pub(super) configurations: Vec<PathBuf>,
    /// Who keeps it alive, as far as the memory knows.
    pub(super) renewals: Vec<Upkeep>,
}

impl Known {
    fn of(der: Vec<u8>) -> Result<Self, Usage> {
        let parsed = Certificate::parse(&der).map_err(|_| {
            Usage::new("this certificate cannot be read")
                .hint("what it says cannot be asked for again: write its [[certificate]] by hand")
        })?;
        // Tools make self-signed certificates for servers that say they are a CA's.
        if parsed.is_ca() && (!parsed.is_self_issued() || Plan::names(&der).0.is_empty()) {
            return Err(Usage::new("this is a certificate of a CA, and no issuer here hands out such ones")
                .hint("adopt what servers show: `notafter ls` lists it"));
        }
        let (id, key) = (parsed.fingerprint(), parsed.key_id());
        Ok(Self {
            der,
            id,
            key,
            served: Vec::new(),
            files: Vec::new(),
            keys: Vec::new(),
            configurations: Vec::new(),
            renewals: Vec::new(),
        })
    }

    /// From the memory or from a look, as `ls` and `scan` name things.
    pub(super) fn find(global: &Global, sheet: &Sheet, item: &str) -> Result<Self, Usage> {
        if let Some(prefix) = item.strip_prefix("sha256:") {
            let (data, store, _) = hands::memory(global)?;
            let row = kept::find(&data, &store, prefix)?;
            if row.kind != AssetKind::Certificate {
                return Err(Usage::new(format!("{} is no certificate but {}", row.id, row.kind.as_str()))
                    .hint(
                        "what has a date and no issuer that can be asked is watched: see `notafter show`",
                    ));
            }
            let whole = store.asset(&row.id).map_err(|e| data.explain(&e))?;
            let whole = whole.ok_or_else(|| Usage::new(format!("{} has just gone", row.id)))?;
            let mut known = Self::of(whole.der.clone())?;
            known.remember(&whole);
            return Ok(known);
        }
        let mut known = Self::look(global, sheet, item)?;
        // What the memory knows besides; where there is none, or none yet, nothing is lost.
        if let Ok(data) = Data::find(global, sheet)
            && let Some(store) = existing(&data)
            && let Ok(Some(whole)) = store.asset(&known.id)
        {
            known.remember(&whole);
        }
        Ok(known)
    }

    fn remember(&mut self, whole: &AssetWhole) {
        for place in whole.placements.iter().filter(|p| p.gone.is_none() && p.role == Role::Leaf) {
            // One that did not answer at the last look is still where it is to be proved.
            self.place(&place.location);
        }
        for key in whole.keys.iter().filter(|k| k.key == Some(self.key)) {
            push(&mut self.keys, path(&key.location));
        }
        for link in whole.links.iter().filter(|l| l.kind == LinkKind::Serves) {
            self.evidence(&link.evidence);
        }
        self.renewals.extend(whole.renewals.iter().cloned());
    }

    fn place(&mut self, location: &Location) {
        if location.is_endpoint() && location.address().is_some() {
            if !self.served.contains(location) {
                self.served.push(location.clone());
            }
        } else if !location.is_member() {
            push(&mut self.files, path(location));
        }
    }

    /// `/etc/nginx/sites-enabled/a:12`
    fn evidence(&mut self, text: &str) {
        let file = text.rsplit_once(':').filter(|(_, line)| line.bytes().all(|b| b.is_ascii_digit()));
        let file = PathBuf::from(file.map_or(text, |(file, _)| file));
        if file.is_absolute() {
            push(&mut self.configurations, Some(file));
        }
    }

    fn look(global: &Global, sheet: &Sheet, item: &str) -> Result<Self, Usage> {
        let look = sheet.look_closely();
        let global = Global { config: sheet.file.clone(), at: None, ..global.clone() };
        let assembly = Assembly::new(&global, &look, &[item.to_owned()])?;
        scan::polite(&assembly)?;
        let cx = assembly.cx();
        // What is not judged is not kept either.
        let report = scan::look(assembly, &cx, global.quiet, true, None)?;
        let inventory = &report.inventory;
        let leaves = |ix| inventory.placements().iter().any(|p| p.asset == ix && p.role == Role::Leaf);
        let mut found = inventory.assets().filter(|(ix, a)| a.kind == AssetKind::Certificate && leaves(*ix));
        let Some((ix, _)) = found.next() else {
            let why = inventory.blind_spots().first();
            let why = why.map(|spot| format!(": {}: {}", spot.location, spot.detail)).unwrap_or_default();
            return Err(Usage::new(format!("no certificate of a server was seen at {item}{why}"))
                .hint("name a server, a file, or an id as `notafter ls` prints it"));
        };
        let others: Vec<String> = found.map(|(_, a)| a.id.to_string()).collect();
        if !others.is_empty() {
            let mut all = vec![inventory.asset(ix).id.to_string()];
            all.extend(others);
            let shown: Vec<&str> = all.iter().take(8).map(|id| id.get(..23).unwrap_or(id)).collect();
            return Err(Usage::new(format!("{} certificates are there: {}", all.len(), shown.join(", ")))
                .hint(format!(
                    "notafter scan --save {item}, then adopt one of them by its id: notafter adopt {}",
                    shown[0]
                )));
        }
        let mut known = Self::of(inventory.bytes(ix).into_owned())?;
        for place in inventory.placements().iter().filter(|p| p.asset == ix) {
            known.place(&place.location);
        }
        for key in inventory.keys().iter().filter(|k| k.key == Some(known.key)) {
            push(&mut known.keys, path(&key.location));
        }
        for link in inventory.links().iter().filter(|l| l.kind == LinkKind::Serves) {
            known.evidence(&link.evidence);
        }
        Ok(known)
    }
}

fn existing(data: &Data) -> Option<std::sync::Arc<Store>> {
    use notafter_core::clock::Clock;
    data.open_existing(notafter_engine::clock::SystemClock::new().now()).ok()
}

fn push(list: &mut Vec<PathBuf>, path: Option<PathBuf>) {
    if let Some(path) = path
        && !list.contains(&path)
    {
        list.push(path);
    }
}

fn path(location: &Location) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(location.path()?)))
}
