//! Gathers the part of the inventory that judges some subjects: themselves and all that stands beside them.
//!
//! A closure over numbers first (which assets, which placements), then one pass that reads rows and bytes. Every
//! step has a bound, so that one folder or one CA with a million neighbours cannot hold up the judging of the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use notafter_core::inventory::{Asset, AssetIx, BlindSpot, Inventory, KeySighting, Placement};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Link};
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, KeyId, UnixTime};

use super::{Due, Part};
use crate::db::{Conn, Result, Row, Value, args};
use crate::observations::intern::{find_place, members};
use crate::read::{CA, NEVER, key32};
use crate::shelf::Shelf;
use crate::{places, texts};

/// So many placements of one group or one asset are loaded.
const NEIGHBOURS_MAX: usize = 20_000;
/// So many with the same names.
const SAME_NAMES_MAX: usize = 1000;
/// So many that depend on one CA.
const DEPENDENTS_MAX: usize = 1000;
/// So many places of each that stands on an anchor, and of each root above an asset.
const SHOWN_MAX: usize = 8;
/// Issuers above an asset, and CAs below an anchor.
const DEPTH_MAX: usize = 8;

/// The columns of a placement, in the order `Found` reads them.
pub(crate) const PLACEMENT: &str = "p.id, p.asset, p.location, p.role, p.chain, p.facts, p.source, p.first_seen, p.unseen_since, p.gone, p.shown";

pub(super) struct Loader<'l, 'c> {
    shelf: &'l Shelf,
    c: &'l mut Conn<'c>,
    inventory: Inventory,
    /// By asset number.
    loaded: HashMap<i64, Option<AssetIx>>,
    placements: BTreeMap<i64, Row>,
    groups: BTreeSet<i64>,
    facts: HashMap<i64, Arc<Facts>>,
    chains: HashMap<i64, Arc<[i64]>>,
    places: HashMap<i64, Location>,
    looked: HashMap<i64, Option<i64>>,
    keys: BTreeSet<i64>,
}

/// What the closure needs of an asset.
struct About {
    names6: Option<i64>,
    key6: Option<i64>,
    issuer: Option<i64>,
    subject: Option<i64>,
    flags: i64,
    not_after: i64,
    /// Does it lie in files?
    filed: bool,
}

impl<'l, 'c> Loader<'l, 'c> {
    pub(super) fn new(shelf: &'l Shelf, c: &'l mut Conn<'c>) -> Self {
        Self {
            shelf,
            c,
            inventory: Inventory::default(),
            loaded: HashMap::new(),
            placements: BTreeMap::new(),
            groups: BTreeSet::new(),
            facts: HashMap::new(),
            chains: HashMap::new(),
            places: HashMap::new(),
            looked: HashMap::new(),
            keys: BTreeSet::new(),
        }
    }

    pub(super) fn part(mut self, due: Vec<Due>) -> Result<Part> {
        let mut judged = BTreeSet::new();
        for one in &due {
            match &one.subject {
                SubjectKey::Asset(id) => {
                    judged.extend(crate::queries::asset_number(self.c, id)?);
                }
                name @ SubjectKey::Name { .. } => {
                    self.group(places::name_group(name))?;
                }
                SubjectKey::Key(location) => {
                    self.group(places::group(location))?;
                    self.keys_at(location)?;
                }
                SubjectKey::Blind(location) => self.blind_at(location)?,
                SubjectKey::Source(_) | SubjectKey::Owner(_) | SubjectKey::Server => {}
            }
        }
        let hands = self.hands(&due)?;
        let mut names = BTreeSet::new();
        for asset in &judged {
            let Some(about) = self.about(*asset)? else { continue };
            self.placements_of(*asset, NEIGHBOURS_MAX)?;
            names.extend(about.names6);
            self.keys.extend(about.key6);
            if about.flags & CA != 0 {
                self.dependents(*asset, &about)?;
                self.standing(*asset, &about)?;
            }
        }
        for names in names {
            self.same_names(names)?;
        }
        // Everything at the same names and in the same folders.
        let near: BTreeSet<i64> = self
            .placements
            .values()
            .filter_map(|row| Some((row.int(1).ok()?, row.int(2).ok()?)))
            .filter(|(asset, _)| judged.contains(asset))
            .map(|(_, place)| place)
            .collect();
        for place in near {
            let location = self.place(place)?;
            self.group(places::group(&location))?;
        }
        self.chain_members()?;
        self.issuers(&judged)?;
        let assets: Vec<i64> = judged.into_iter().collect();
        for asset in assets {
            self.asset(asset)?;
        }
        self.fill()?;
        self.key_sightings()?;
        self.links()?;
        Ok(Part { inventory: self.inventory, due, hands })
    }

    /// Whom a person named, by asset.
    fn hands(&mut self, due: &[Due]) -> Result<HashMap<Fingerprint, String>> {
        let mut out = HashMap::new();
        if self.c.first("SELECT lineage FROM owned LIMIT 1", &[])?.is_none() {
            return Ok(out);
        }
        for one in due {
            let SubjectKey::Asset(id) = &one.subject else { continue };
            let (fp8, fp24) = texts::split(id);
            let row = self.c.first(
                "SELECT w.text FROM asset a JOIN owned o ON o.lineage = coalesce(a.lineage, a.id)
                 JOIN word w ON w.id = o.owner WHERE a.fp8 = $1 AND a.fp24 = $2",
                args![fp8, fp24],
            )?;
            if let Some(mut row) = row {
                out.insert(*id, row.text(0)?);
            }
        }
        Ok(out)
    }

    fn about(&mut self, asset: i64) -> Result<Option<About>> {
        let row = self.c.first(
            "SELECT names6, key6, issuer, subject, flags, not_after, places, served FROM asset WHERE id = $1",
            args![asset],
        )?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(About {
            names6: row.maybe_int(0)?,
            key6: row.maybe_int(1)?,
            issuer: row.maybe_int(2)?,
            subject: row.maybe_int(3)?,
            flags: row.int(4)?,
            not_after: row.int(5)?,
            filed: row.int(6)? > row.int(7)?,
        }))
    }

    fn take(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in rows {
            let id = row.int(0)?;
            self.placements.insert(id, row);
        }
        Ok(())
    }

    fn placements_of(&mut self, asset: i64, most: usize) -> Result<()> {
        let sql =
            format!("SELECT {PLACEMENT} FROM placement p WHERE p.asset = $1 AND p.gone IS NULL LIMIT $2");
        let rows = self.c.query(&sql, args![asset, most])?;
        self.take(rows)
    }

    fn group(&mut self, group: i64) -> Result<()> {
        if !self.groups.insert(group) {
            return Ok(());
        }
        let (low, high) = places::group_range(group);
        let sql = format!(
            "SELECT {PLACEMENT} FROM location l JOIN placement p ON p.location = l.id
             WHERE l.spot BETWEEN $1 AND $2 AND p.gone IS NULL LIMIT $3"
        );
        let rows = self.c.query(&sql, args![low, high, NEIGHBOURS_MAX])?;
        self.take(rows)
    }

    fn same_names(&mut self, names: i64) -> Result<()> {
        let rows = self.c.query(
            "SELECT id FROM asset WHERE names6 = $1 AND places > 0 ORDER BY id DESC LIMIT $2",
            args![names, SAME_NAMES_MAX],
        )?;
        for row in rows {
            self.placements_of(row.int(0)?, SAME_NAMES_MAX)?;
        }
        Ok(())
    }

    /// What lives longer than a CA and is served below it.
    fn dependents(&mut self, asset: i64, about: &About) -> Result<()> {
        let Some(subject) = about.subject else { return Ok(()) };
        let rows = self.c.query(
            "SELECT a.id FROM asset a WHERE a.issuer IN
               (SELECT o.id FROM dname d JOIN dname o ON o.alike = d.alike WHERE d.id = $1)
             AND a.not_after > $2 AND a.served > 0 AND a.id <> $3 LIMIT $4",
            args![subject, about.not_after, asset, DEPENDENTS_MAX],
        )?;
        for row in rows {
            let sql = format!(
                "SELECT {PLACEMENT} FROM placement p WHERE p.asset = $1 AND p.gone IS NULL AND p.flags <> 0 LIMIT $2"
            );
            let found = self.c.query(&sql, args![row.int(0)?, DEPENDENTS_MAX])?;
            self.take(found)?;
        }
        Ok(())
    }

    /// What stands on a CA certificate that lies in a file: everything issued below it, down to leaves.
    fn standing(&mut self, asset: i64, about: &About) -> Result<()> {
        let Some(subject) = about.subject.filter(|_| about.filed) else { return Ok(()) };
        let (mut asked, mut level) = (BTreeSet::from([subject]), vec![subject]);
        let mut room = DEPENDENTS_MAX;
        while let Some(name) = level.pop().filter(|_| room > 0) {
            let rows = self.c.query(
                "SELECT a.id, a.subject FROM asset a WHERE a.issuer IN
                   (SELECT o.id FROM dname d JOIN dname o ON o.alike = d.alike WHERE d.id = $1)
                 AND a.places > 0 AND a.id <> $2 LIMIT $3",
                args![name, asset, room],
            )?;
            room = room.saturating_sub(rows.len());
            for row in rows {
                let id = row.int(0)?;
                match row.maybe_int(1)? {
                    Some(subject) if asked.len() <= DEPTH_MAX => {
                        self.asset(id)?;
                        level.extend(asked.insert(subject).then_some(subject));
                    }
                    Some(_) => {}
                    None => self.placements_of(id, SHOWN_MAX)?,
                }
            }
        }
        Ok(())
    }

    fn chain(&mut self, chain: i64) -> Result<Arc<[i64]>> {
        if let Some(known) = self.chains.get(&chain) {
            return Ok(Arc::clone(known));
        }
        let mut row = self.c.one("SELECT members FROM chain WHERE id = $1", args![chain])?;
        let read: Arc<[i64]> = members(&row.blob(0)?).into();
        self.chains.insert(chain, Arc::clone(&read));
        Ok(read)
    }

    fn chain_members(&mut self) -> Result<()> {
        let chains: BTreeSet<i64> =
            self.placements.values().filter_map(|row| row.maybe_int(4).ok().flatten()).collect();
        for chain in chains {
            for member in self.chain(chain)?.iter() {
                self.asset(*member)?;
            }
        }
        Ok(())
    }

    /// Candidate issuers of everything, up to the roots.
    fn issuers(&mut self, judged: &BTreeSet<i64>) -> Result<()> {
        let mut below: BTreeSet<i64> = judged.clone();
        below.extend(self.placements.values().filter_map(|row| row.int(1).ok()));
        below.extend(self.loaded.keys().copied());
        let mut asked = BTreeSet::new();
        for _ in 0..DEPTH_MAX {
            let mut above = BTreeSet::new();
            for asset in &below {
                let Some(issuer) = self.about(*asset)?.and_then(|a| a.issuer) else { continue };
                if !asked.insert(issuer) {
                    continue;
                }
                let rows = self.c.query(
                    "SELECT a.id FROM dname d JOIN dname s ON s.alike = d.alike JOIN asset a ON a.subject = s.id
                     WHERE d.id = $1 LIMIT 100",
                    args![issuer],
                )?;
                for row in rows {
                    above.insert(row.int(0)?);
                }
            }
            above.retain(|id| !below.contains(id));
            if above.is_empty() {
                break;
            }
            for id in &above {
                self.asset(*id)?;
                // Whether a root lies in a file decides how its end is told.
                let filed = self.about(*id)?.is_some_and(|a| a.filed && a.issuer == a.subject);
                if filed && !judged.contains(id) {
                    let sql = format!(
                        "SELECT {PLACEMENT} FROM placement p WHERE p.asset = $1 AND p.gone IS NULL AND p.flags = 0 LIMIT $2"
                    );
                    let rows = self.c.query(&sql, args![*id, SHOWN_MAX])?;
                    self.take(rows)?;
                }
            }
            below = above;
        }
        Ok(())
    }

    /// The asset's row and bytes; `None` when there is no such asset.
    fn asset(&mut self, id: i64) -> Result<Option<AssetIx>> {
        if let Some(known) = self.loaded.get(&id) {
            return Ok(*known);
        }
        let row = self.c.first(
            "SELECT fp8, fp24, kind, not_before, not_after, flags FROM asset WHERE id = $1",
            args![id],
        )?;
        let Some(mut row) = row else {
            self.loaded.insert(id, None);
            return Ok(None);
        };
        let bytes = self.shelf.bytes(self.c, id)?;
        let fingerprint = texts::join(row.int(0)?, &row.blob(1)?)?;
        let not_after = row.int(4)?;
        let key = notafter_pki::Certificate::parse(&bytes).ok().map(|c| c.key_id());
        let kind = texts::kind(row.int(2)?)?;
        let key = key.filter(|_| kind == notafter_core::inventory::AssetKind::Certificate);
        let at = self.inventory.keep(&bytes);
        let ix = self.inventory.add(Asset {
            id: fingerprint,
            kind,
            bytes: at,
            not_before: row.maybe_int(3)?.map(UnixTime),
            not_after: (not_after != NEVER).then_some(UnixTime(not_after)),
            key,
        });
        self.loaded.insert(id, Some(ix));
        Ok(Some(ix))
    }

    fn place(&mut self, id: i64) -> Result<Location> {
        if let Some(known) = self.places.get(&id) {
            return Ok(known.clone());
        }
        let mut row = self.c.one("SELECT text FROM location WHERE id = $1", args![id])?;
        let location = texts::location(&row.text(0)?)?;
        self.places.insert(id, location.clone());
        Ok(location)
    }

    fn facts(&mut self, id: i64) -> Result<Arc<Facts>> {
        if let Some(known) = self.facts.get(&id) {
            return Ok(Arc::clone(known));
        }
        let mut row = self.c.one("SELECT json FROM facts WHERE id = $1", args![id])?;
        let facts = Arc::new(texts::facts(&row.text(0)?)?);
        self.facts.insert(id, Arc::clone(&facts));
        Ok(facts)
    }

    fn looked(&mut self, source: i64) -> Result<Option<i64>> {
        if let Some(known) = self.looked.get(&source) {
            return Ok(*known);
        }
        let row = self.c.first("SELECT looked FROM source WHERE id = $1", args![source])?;
        let looked = row.map(|r| r.maybe_int(0)).transpose()?.flatten();
        self.looked.insert(source, looked);
        Ok(looked)
    }

    /// Placements into the inventory, in the order they were first seen.
    fn fill(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.placements);
        for row in rows.values() {
            let Some(asset) = self.asset(row.int(1)?)? else { continue };
            let location = self.place(row.int(2)?)?;
            let chain = match row.maybe_int(4)? {
                None => None,
                Some(chain) => {
                    let mut members = vec![asset];
                    for member in self.chain(chain)?.iter() {
                        members.extend(self.asset(*member)?);
                    }
                    Some(members.into())
                }
            };
            let facts = self.facts(row.int(5)?)?;
            let (first_seen, unseen) = (row.int(7)?, row.maybe_int(8)?);
            let looked = self.looked(row.int(6)?)?;
            self.inventory.place(Placement {
                asset,
                location,
                role: texts::role(row.int(3)?)?,
                chain,
                first_seen: UnixTime(first_seen),
                last_seen: UnixTime(last_seen(first_seen, unseen, None, looked)),
                unseen_since: unseen.map(UnixTime),
                facts,
            });
        }
        Ok(())
    }

    fn keys_at(&mut self, location: &Location) -> Result<()> {
        let Some(place) = find_place(self.c, location)? else { return Ok(()) };
        let rows = self
            .c
            .query("SELECT key6, key_id FROM keyseen WHERE location = $1 AND gone IS NULL", args![place])?;
        for mut row in rows {
            if let Some(id) = row.maybe_blob(1)?.and_then(|b| <[u8; 32]>::try_from(b).ok()) {
                self.keys.insert(key32(&KeyId(id)));
            }
        }
        Ok(())
    }

    /// Keys in the same folders, and the same keys anywhere.
    fn key_sightings(&mut self) -> Result<()> {
        let columns = "k.id, l.text, k.key_id, k.format, k.encrypted, k.facts, k.source, k.first_seen";
        let mut found: BTreeMap<i64, Row> = BTreeMap::new();
        for group in self.groups.clone() {
            let (low, high) = places::group_range(group);
            let sql = format!(
                "SELECT {columns} FROM location l JOIN keyseen k ON k.location = l.id
                 WHERE l.spot BETWEEN $1 AND $2 AND k.gone IS NULL LIMIT $3"
            );
            for row in self.c.query(&sql, args![low, high, NEIGHBOURS_MAX])? {
                found.insert(row.int(0)?, row);
            }
        }
        for key in std::mem::take(&mut self.keys) {
            let sql = format!(
                "SELECT {columns} FROM keyseen k JOIN location l ON l.id = k.location
                 WHERE k.key6 = $1 AND k.gone IS NULL LIMIT $2"
            );
            for row in self.c.query(&sql, args![key, SAME_NAMES_MAX])? {
                found.insert(row.int(0)?, row);
            }
        }
        for mut row in found.into_values() {
            let location = texts::location(&row.text(1)?)?;
            let key = row.maybe_blob(2)?.and_then(|b| <[u8; 32]>::try_from(b).ok()).map(KeyId);
            let looked = self.looked(row.int(6)?)?;
            let facts = self.facts(row.int(5)?)?;
            let format = texts::format_name(&row.text(3)?);
            let seen = UnixTime(last_seen(row.int(7)?, None, None, looked));
            let encrypted = row.int(4)? != 0;
            self.inventory.add_key(KeySighting { key, format, encrypted, location, seen, facts });
        }
        Ok(())
    }

    fn links(&mut self) -> Result<()> {
        let ends: BTreeSet<i64> =
            self.inventory.placements().iter().map(|p| places::end_hash(&p.location)).collect();
        let mut found: BTreeMap<i64, Row> = BTreeMap::new();
        for column in ["from_file", "to_address"] {
            let asked: Vec<Vec<Value<'_>>> = ends.iter().map(|h| vec![(*h).into()]).collect();
            let sql = format!(
                "SELECT id, from_place, to_place, evidence, kind FROM link WHERE {column} = $1 AND gone IS NULL"
            );
            for row in self.c.query_many(&sql, &asked)?.into_iter().flatten() {
                found.insert(row.int(0)?, row);
            }
        }
        for mut row in found.into_values() {
            let (from, to) = (texts::location(&row.text(1)?)?, texts::location(&row.text(2)?)?);
            let kind = texts::link_kind(&row.text(4)?)?;
            self.inventory.add_link(Link { kind, from, to, evidence: row.text(3)? });
        }
        Ok(())
    }

    fn blind_at(&mut self, location: &Location) -> Result<()> {
        let Some(place) = find_place(self.c, location)? else { return Ok(()) };
        let rows = self.c.query(
            "SELECT reason, detail FROM blind WHERE location = $1 AND gone IS NULL ORDER BY id",
            args![place],
        )?;
        for mut row in rows {
            let reason = texts::reason(&row.text(0)?)?;
            let detail = row.text(1)?;
            self.inventory.add_blind_spot(BlindSpot { location: location.clone(), reason, detail });
        }
        Ok(())
    }
}

/// When something was last seen. Looking again writes nothing, so this is derived, and only here: what is gone was
/// last seen when it went; what is unseen, when it was lost; the rest was there when the last complete run of its
/// source began, or when it was first seen, if that is later.
pub(crate) fn last_seen(first_seen: i64, unseen: Option<i64>, gone: Option<i64>, looked: Option<i64>) -> i64 {
    gone.or(unseen).unwrap_or_else(|| looked.map_or(first_seen, |looked| looked.max(first_seen)))
}
