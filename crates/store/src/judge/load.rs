//! Gathers the part of the inventory that judges some subjects: themselves and all that stands beside them.
//!
//! A closure over numbers first (which assets, which placements), then one pass that reads rows and bytes. Every
//! step has a bound, so that one folder or one CA with a million neighbours cannot hold up the judging of the rest.

mod standing;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use notafter_core::inventory::{
    Asset, AssetIx, AssetKind, BlindSpot, Inventory, KeySighting, Placement, RenewalSighting, Role,
};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Link, LinkKind, Whole};
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, KeyId, UnixTime};

use super::{Due, Hands};
use crate::db::{Conn, Result, Row, Value, args};
use crate::ledger::ASKS;
use crate::observations::intern::{find_place, members};
use crate::places::reversed;
use crate::read::{CA, NEVER, caa_group, crl_group, key32, kid_group};
use crate::shelf::Shelf;
use crate::{places, texts};

/// So many placements of one group or one asset are loaded.
const NEIGHBOURS_MAX: usize = 20_000;
/// So many with the same names.
const SAME_NAMES_MAX: usize = 1000;
/// So many that share the first name: a name in more says nothing.
const FIRST_NAME_MAX: usize = 200;
/// So many that depend on one CA.
const DEPENDENTS_MAX: usize = 1000;
/// So many CAs whose certificates are served are compared with what logs have.
const ISSUERS_MAX: usize = 200;
/// So many copies of one thing are loaded with their folders.
const COPIES_MAX: usize = 100;
/// So many endpoints that ask for a client certificate stand beside one that may be shown to them.
const ASKERS_MAX: usize = 200;
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
    abouts: HashMap<i64, Option<About>>,
    placements: BTreeMap<i64, Row>,
    /// Assets whose placements were asked for.
    placed: HashSet<i64>,
    groups: BTreeSet<i64>,
    facts: HashMap<i64, Arc<Facts>>,
    chains: HashMap<i64, Arc<[i64]>>,
    places: HashMap<i64, Location>,
    looked: HashMap<i64, Option<i64>>,
    keys: BTreeSet<i64>,
}

/// The row of an asset.
struct About {
    id: Fingerprint,
    kind: AssetKind,
    names6: Option<i64>,
    key6: Option<i64>,
    issuer: Option<i64>,
    subject: Option<i64>,
    flags: i64,
    not_before: Option<i64>,
    not_after: i64,
    served: i64,
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
            abouts: HashMap::new(),
            placements: BTreeMap::new(),
            placed: HashSet::new(),
            groups: BTreeSet::new(),
            facts: HashMap::new(),
            chains: HashMap::new(),
            places: HashMap::new(),
            looked: HashMap::new(),
            keys: BTreeSet::new(),
        }
    }

    /// What these are judged by, and whom a person named for one of them.
    pub(super) fn part(mut self, due: &[Due]) -> Result<(Inventory, Hands)> {
        let assets: Vec<Fingerprint> = due.iter().filter_map(|one| asset_of(&one.subject)).collect();
        let ids: Vec<Vec<Value<'_>>> =
            assets.iter().map(texts::split).map(|(fp8, fp24)| vec![fp8.into(), fp24.into()]).collect();
        let mut judged = BTreeSet::new();
        let found = self.c.query_many("SELECT id FROM asset WHERE fp8 = $1 AND fp24 = $2", &ids)?;
        for row in found.into_iter().flatten() {
            judged.insert(row.int(0)?);
        }
        let (mut groups, mut names_due) = (BTreeSet::new(), BTreeSet::new());
        for one in due {
            match &one.subject {
                name @ SubjectKey::Name { .. } => {
                    groups.insert(places::name_group(name));
                    names_due.insert(places::name_group(name));
                }
                SubjectKey::Key(location) => {
                    groups.insert(places::group(location));
                    self.keys_at(location)?;
                }
                SubjectKey::Blind(location) => self.blind_at(location)?,
                SubjectKey::Asset(_)
                | SubjectKey::Source(_)
                | SubjectKey::Owner(_)
                | SubjectKey::Crowd(_)
                | SubjectKey::Server => {}
            }
        }
        self.groups(groups)?;
        let hands = self.hands(due)?;
        self.nameless(&names_due)?;
        let mut names = BTreeSet::new();
        self.know(judged.iter().copied())?;
        self.placements_of(&judged, NEIGHBOURS_MAX)?;
        let (mut authorities, mut stated) = (Vec::new(), BTreeSet::new());
        let mut unserved = BTreeSet::new();
        let mut shown = false;
        for asset in &judged {
            let Some(Some(about)) = self.abouts.get(asset) else { continue };
            names.extend(about.names6);
            // What has neither issuer nor key is a statement: of it, copies count wherever they lie.
            if about.issuer.is_none() && about.key6.is_none() {
                stated.extend(about.names6);
            }
            // What is served under one name is compared with what is served under the same; what lies in a file may
            // be meant to take the place of one with other names besides.
            if about.flags & CA == 0 && about.served == 0 && about.names6.is_some() {
                unserved.insert(*asset);
            }
            if about.kind == AssetKind::Certificate && about.flags & CA == 0 {
                names.insert(caa_group());
                shown |= about.filed;
            }
            self.keys.extend(about.key6);
            if about.flags & CA != 0 {
                let (end, filed) = (about.not_after, about.filed);
                authorities.extend(about.subject.map(|subject| (*asset, subject, end, filed)));
            }
        }
        for (asset, subject, not_after, filed) in authorities {
            self.dependents(asset, subject, not_after)?;
            if filed {
                self.standing(asset, subject)?;
            }
        }
        if shown {
            self.askers()?;
        }
        names.extend(self.kids(&judged)?);
        names.extend(self.lists(&judged)?);
        self.same_names(&names)?;
        self.issuers_in_use(&judged)?;
        self.same_first_name(&unserved)?;
        let copies = self.copies(&stated)?;
        // Everything at the same names and in the same folders; of metadata also what the copies hold.
        let near: BTreeSet<i64> = self
            .placements
            .values()
            .filter_map(|row| Some((row.int(1).ok()?, row.int(2).ok()?)))
            .filter(|(asset, _)| judged.contains(asset) || copies.contains(asset))
            .map(|(_, place)| place)
            .collect();
        self.places_of(near.iter().copied())?;
        let groups = near.iter().filter_map(|place| self.places.get(place)).map(places::group).collect();
        self.groups(groups)?;
        self.chain_members()?;
        self.issuers(&judged)?;
        // Of the roots that were met above.
        self.chain_members()?;
        for (asset, at) in crate::lapses::before(self.c, &judged)? {
            if let Some(Some(about)) = self.abouts.get(&asset) {
                self.inventory.set_lapsed(about.id, at);
            }
        }
        for (id, lives) in crate::ahead::lives(self.c, &assets)? {
            self.inventory.set_lives(id, lives);
        }
        self.assets(judged)?;
        self.fill()?;
        self.key_sightings()?;
        self.links()?;
        self.renewals()?;
        Ok((self.inventory, hands))
    }

    fn hands(&mut self, due: &[Due]) -> Result<Hands> {
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

    /// Reads the rows of assets that are not known yet.
    fn know(&mut self, ids: impl IntoIterator<Item = i64>) -> Result<()> {
        let new: BTreeSet<i64> = ids.into_iter().filter(|id| !self.abouts.contains_key(id)).collect();
        let found = self.c.query_many(
            "SELECT names6, key6, issuer, subject, flags, not_before, not_after, kind, fp8, fp24,
               places, served
             FROM asset WHERE id = $1",
            &numbers(&new),
        )?;
        for (id, rows) in new.into_iter().zip(found) {
            let about = match rows.into_iter().next() {
                None => None,
                Some(mut row) => Some(About {
                    names6: row.maybe_int(0)?,
                    key6: row.maybe_int(1)?,
                    issuer: row.maybe_int(2)?,
                    subject: row.maybe_int(3)?,
                    flags: row.int(4)?,
                    not_before: row.maybe_int(5)?,
                    not_after: row.int(6)?,
                    kind: texts::kind(row.int(7)?)?,
                    id: texts::join(row.int(8)?, &row.blob(9)?)?,
                    served: row.int(11)?,
                    filed: row.int(10)? > row.int(11)?,
                }),
            };
            self.abouts.insert(id, about);
        }
        Ok(())
    }

    fn take(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in rows {
            let id = row.int(0)?;
            self.placements.insert(id, row);
        }
        Ok(())
    }

    fn placements_of(&mut self, assets: &BTreeSet<i64>, most: usize) -> Result<()> {
        let sql =
            format!("SELECT {PLACEMENT} FROM placement p WHERE p.asset = $1 AND p.gone IS NULL LIMIT {most}");
        let new: BTreeSet<i64> = assets.iter().copied().filter(|id| self.placed.insert(*id)).collect();
        for rows in self.c.query_many(&sql, &numbers(&new))? {
            self.take(rows)?;
        }
        Ok(())
    }

    fn groups(&mut self, groups: BTreeSet<i64>) -> Result<()> {
        let new: Vec<Vec<Value<'_>>> = groups
            .into_iter()
            .filter(|group| self.groups.insert(*group))
            .map(|group| {
                let (low, high) = places::group_range(group);
                vec![low.into(), high.into()]
            })
            .collect();
        let sql = format!(
            "SELECT {PLACEMENT} FROM location l JOIN placement p ON p.location = l.id
             WHERE l.spot BETWEEN $1 AND $2 AND p.gone IS NULL LIMIT {NEIGHBOURS_MAX}"
        );
        for rows in self.c.query_many(&sql, &new)? {
            self.take(rows)?;
        }
        Ok(())
    }

    fn same_names(&mut self, names: &BTreeSet<i64>) -> Result<()> {
        let sql = format!(
            "SELECT id FROM asset WHERE names6 = $1 AND places > 0 ORDER BY id DESC LIMIT {SAME_NAMES_MAX}"
        );
        let mut same = BTreeSet::new();
        for row in self.c.query_many(&sql, &numbers(names))?.into_iter().flatten() {
            same.insert(row.int(0)?);
        }
        self.placements_of(&same, SAME_NAMES_MAX)
    }

    /// Where a client certificate is asked for.
    fn askers(&mut self) -> Result<()> {
        let sql = format!(
            "SELECT {PLACEMENT} FROM placement p
             WHERE p.gone IS NULL AND (p.flags & {ASKS}) <> 0 ORDER BY p.id LIMIT {ASKERS_MAX}"
        );
        let found = self.c.query(&sql, &[])?;
        self.take(found)
    }

    /// By what the tokens are found that name one of these, where it is a key of a key set.
    fn kids(&mut self, judged: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
        let signer = texts::role_number(Role::Signer);
        let of_judged = |row: &&Row| {
            let (Ok(asset), Ok(role)) = (row.int(1), row.int(3)) else { return false };
            role == signer && judged.contains(&asset)
        };
        let signers = self.placements.values().filter(of_judged);
        let facts = signers.map(|row| row.int(5)).collect::<Result<BTreeSet<i64>>>()?;
        let mut out = BTreeSet::new();
        for id in facts {
            let facts = self.facts(id)?;
            out.extend(facts.part.iter().filter(|p| p.of == Whole::KeySet).map(|p| kid_group(&p.name)));
        }
        Ok(out)
    }

    /// By what the revocation lists of the issuers of these are found.
    fn lists(&mut self, judged: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
        let abouts = judged.iter().filter_map(|id| self.abouts.get(id)?.as_ref());
        let issuers: BTreeSet<i64> =
            abouts.filter(|a| a.kind == AssetKind::Certificate).filter_map(|a| a.issuer).collect();
        let rows = self.c.query_many("SELECT alike FROM dname WHERE id = $1", &numbers(&issuers))?;
        rows.into_iter().flatten().map(|row| Ok(crl_group(row.int(0)?))).collect()
    }

    /// Everything of these names: their placements are loaded already.
    fn copies(&mut self, names: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
        let sql = format!(
            "SELECT id FROM asset WHERE names6 = $1 AND places > 0 ORDER BY id DESC LIMIT {COPIES_MAX}"
        );
        let rows = self.c.query_many(&sql, &numbers(names))?;
        rows.into_iter().flatten().map(|row| row.int(0)).collect()
    }

    /// Leaves that hold the first name of one that is served nowhere.
    fn same_first_name(&mut self, unserved: &BTreeSet<i64>) -> Result<()> {
        let mut firsts = BTreeSet::new();
        for mut row in self
            .c
            .query_many("SELECT title FROM asset WHERE id = $1", &numbers(unserved))?
            .into_iter()
            .flatten()
        {
            firsts.insert(reversed(&row.text(0)?.to_lowercase()));
        }
        let asked: Vec<Vec<Value<'_>>> = firsts.iter().map(|name| vec![name.into()]).collect();
        let sql = format!(
            "SELECT n.asset FROM name n JOIN asset a ON a.id = n.asset WHERE n.name = $1 AND a.places > 0
             LIMIT {FIRST_NAME_MAX}"
        );
        let mut found = BTreeSet::new();
        for rows in self.c.query_many(&sql, &asked)? {
            // One alone is the one that is judged.
            if rows.len() > 1 && rows.len() < FIRST_NAME_MAX {
                for row in rows {
                    found.insert(row.int(0)?);
                }
            }
        }
        self.placements_of(&found, SAME_NAMES_MAX)
    }

    /// What the addresses of these server names show to those who send none.
    fn nameless(&mut self, names_due: &BTreeSet<i64>) -> Result<()> {
        if names_due.is_empty() {
            return Ok(());
        }
        let named: BTreeSet<i64> = self.placements.values().filter_map(|row| row.int(2).ok()).collect();
        self.places_of(named.iter().copied())?;
        let places = named.iter().filter_map(|place| self.places.get(place));
        let due = places.filter(|l| l.sni().is_some() && names_due.contains(&places::group(l)));
        let bare = due.filter_map(|l| Some(Location::endpoint(l.scheme(), l.address()?, None)));
        let groups = bare.map(|location| places::group(&location)).collect();
        self.groups(groups)
    }

    /// One certificate that is served of each CA, where something is judged because a log has it.
    fn issuers_in_use(&mut self, judged: &BTreeSet<i64>) -> Result<()> {
        let logged = texts::role_number(Role::Logged);
        let is_logged = |row: &Row| {
            let (Ok(asset), Ok(role)) = (row.int(1), row.int(3)) else { return false };
            role == logged && judged.contains(&asset)
        };
        if !self.placements.values().any(is_logged) {
            return Ok(());
        }
        let rows = self.c.query(
            "SELECT max(id) FROM asset WHERE served > 0 AND issuer IS NOT NULL
             GROUP BY issuer ORDER BY max(id) DESC LIMIT $1",
            args![ISSUERS_MAX],
        )?;
        let served = rows.iter().map(|row| row.int(0)).collect::<Result<BTreeSet<i64>>>()?;
        let sql = format!(
            "SELECT {PLACEMENT} FROM placement p WHERE p.asset = $1 AND p.gone IS NULL AND p.flags <> 0 LIMIT 1"
        );
        for found in self.c.query_many(&sql, &numbers(&served))? {
            self.take(found)?;
        }
        Ok(())
    }

    /// What lives longer than a CA and is served below it.
    fn dependents(&mut self, asset: i64, subject: i64, not_after: i64) -> Result<()> {
        let rows = self.c.query(
            "SELECT a.id FROM asset a WHERE a.issuer IN
               (SELECT o.id FROM dname d JOIN dname o ON o.alike = d.alike WHERE d.id = $1)
             AND a.not_after > $2 AND a.places > 0 AND a.id <> $3 ORDER BY a.served DESC LIMIT $4",
            args![subject, not_after, asset, DEPENDENTS_MAX],
        )?;
        let below = rows.iter().map(|row| row.int(0)).collect::<Result<BTreeSet<i64>>>()?;
        self.know(below.iter().copied())?;
        // What lies in files alone counts with its chain or its key, and unless a later one has taken its place.
        let abouts = |id: &i64| self.abouts.get(id).and_then(Option::as_ref);
        let filed: BTreeSet<i64> =
            below.iter().copied().filter(|id| abouts(id).is_some_and(|a| a.served == 0)).collect();
        let names: BTreeSet<i64> = filed.iter().filter_map(|id| abouts(id)?.names6).collect();
        let keys: Vec<i64> = filed.iter().filter_map(|id| abouts(id)?.key6).collect();
        self.keys.extend(keys);
        self.same_names(&names)?;
        self.placements_of(&filed, SAME_NAMES_MAX)?;
        let sql = format!(
            "SELECT {PLACEMENT} FROM placement p
             WHERE p.asset = $1 AND p.gone IS NULL AND p.flags <> 0 LIMIT {DEPENDENTS_MAX}"
        );
        for found in self.c.query_many(&sql, &numbers(&below))? {
            self.take(found)?;
        }
        Ok(())
    }

    fn chain_members(&mut self) -> Result<()> {
        let mut chains: BTreeSet<i64> =
            self.placements.values().filter_map(|row| row.maybe_int(4).ok().flatten()).collect();
        chains.retain(|chain| !self.chains.contains_key(chain));
        let found = self.c.query_many("SELECT members FROM chain WHERE id = $1", &numbers(&chains))?;
        let mut all = BTreeSet::new();
        for (chain, rows) in chains.into_iter().zip(found) {
            let row = rows.into_iter().next();
            let mut row = row.ok_or_else(|| crate::db::corrupt(format!("chain {chain} is missing")))?;
            let read: Arc<[i64]> = members(&row.blob(0)?).into();
            all.extend(read.iter().copied());
            self.chains.insert(chain, read);
        }
        self.assets(all)
    }

    /// Candidate issuers of everything, up to the roots.
    fn issuers(&mut self, judged: &BTreeSet<i64>) -> Result<()> {
        let mut below: BTreeSet<i64> = judged.clone();
        below.extend(self.placements.values().filter_map(|row| row.int(1).ok()));
        below.extend(self.loaded.keys().copied());
        let mut asked = BTreeSet::new();
        for _ in 0..DEPTH_MAX {
            self.know(below.iter().copied())?;
            let issuers = below.iter().filter_map(|asset| self.abouts.get(asset)?.as_ref()?.issuer);
            let new: BTreeSet<i64> = issuers.filter(|issuer| asked.insert(*issuer)).collect();
            let found = self.c.query_many(
                "SELECT a.id FROM dname d JOIN dname s ON s.alike = d.alike JOIN asset a ON a.subject = s.id
                 WHERE d.id = $1 LIMIT 100",
                &numbers(&new),
            )?;
            let mut above = BTreeSet::new();
            for row in found.into_iter().flatten() {
                above.insert(row.int(0)?);
            }
            above.retain(|id| !below.contains(id));
            if above.is_empty() {
                break;
            }
            self.assets(above.clone())?;
            self.filed(&above)?;
            below = above;
        }
        Ok(())
    }

    /// The rows and bytes of assets into the inventory; those that do not exist are remembered as such.
    fn assets(&mut self, ids: BTreeSet<i64>) -> Result<()> {
        let ids: Vec<i64> = ids.into_iter().filter(|id| !self.loaded.contains_key(id)).collect();
        self.know(ids.iter().copied())?;
        let (there, missing): (Vec<i64>, Vec<i64>) =
            ids.into_iter().partition(|id| matches!(self.abouts.get(id), Some(Some(_))));
        self.loaded.extend(missing.into_iter().map(|id| (id, None)));
        let bytes = self.shelf.many(self.c, &there)?;
        for (id, bytes) in there.into_iter().zip(bytes) {
            let Some(Some(about)) = self.abouts.get(&id) else { continue };
            let certificate = (about.kind == AssetKind::Certificate)
                .then(|| notafter_pki::Certificate::parse(&bytes).ok())
                .flatten();
            let key = certificate.map(|c| c.key_id());
            let at = self.inventory.keep(&bytes);
            let ix = self.inventory.add(Asset {
                id: about.id,
                kind: about.kind,
                bytes: at,
                not_before: about.not_before.map(UnixTime),
                not_after: (about.not_after != NEVER).then_some(UnixTime(about.not_after)),
                key,
            });
            self.loaded.insert(id, Some(ix));
        }
        Ok(())
    }

    fn places_of(&mut self, ids: impl IntoIterator<Item = i64>) -> Result<()> {
        let new: BTreeSet<i64> = ids.into_iter().filter(|id| !self.places.contains_key(id)).collect();
        let found = self.c.query_many("SELECT text FROM location WHERE id = $1", &numbers(&new))?;
        for (id, rows) in new.into_iter().zip(found) {
            let row = rows.into_iter().next();
            let mut row = row.ok_or_else(|| crate::db::corrupt(format!("place {id} is missing")))?;
            self.places.insert(id, texts::location(&row.text(0)?)?);
        }
        Ok(())
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
        let column = |n| rows.values().map(move |row| row.int(n)).collect::<Result<BTreeSet<i64>>>();
        self.assets(column(1)?)?;
        self.places_of(column(2)?)?;
        let ix = |loaded: &HashMap<i64, Option<AssetIx>>, id: i64| loaded.get(&id).copied().flatten();
        for row in rows.values() {
            let Some(asset) = ix(&self.loaded, row.int(1)?) else { continue };
            let Some(location) = self.places.get(&row.int(2)?).cloned() else { continue };
            let chain = match row.maybe_int(4)? {
                None => None,
                Some(chain) => {
                    let mut members = vec![asset];
                    let known = self.chains.get(&chain).map(|c| c.iter()).unwrap_or_default();
                    members.extend(known.filter_map(|member| ix(&self.loaded, *member)));
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
        if self.c.first("SELECT id FROM keyseen LIMIT 1", &[])?.is_none() {
            return Ok(());
        }
        let columns = "k.id, l.text, k.key_id, k.format, k.encrypted, k.facts, k.source, k.first_seen";
        let mut found: BTreeMap<i64, Row> = BTreeMap::new();
        let ranges: Vec<Vec<Value<'_>>> = self
            .groups
            .iter()
            .map(|group| places::group_range(*group))
            .map(|(low, high)| vec![low.into(), high.into()])
            .collect();
        let beside = format!(
            "SELECT {columns} FROM location l JOIN keyseen k ON k.location = l.id
             WHERE l.spot BETWEEN $1 AND $2 AND k.gone IS NULL LIMIT {NEIGHBOURS_MAX}"
        );
        let same = format!(
            "SELECT {columns} FROM keyseen k JOIN location l ON l.id = k.location
             WHERE k.key6 = $1 AND k.gone IS NULL LIMIT {SAME_NAMES_MAX}"
        );
        let keys = std::mem::take(&mut self.keys);
        for (sql, asked) in [(beside, ranges), (same, numbers(&keys))] {
            for row in self.c.query_many(&sql, &asked)?.into_iter().flatten() {
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
        if self.c.first("SELECT id FROM link LIMIT 1", &[])?.is_none() {
            return Ok(());
        }
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

    /// What renewers say of the files that are loaded: by the links from these to their state.
    fn renewals(&mut self) -> Result<()> {
        let managed = self.inventory.links().iter().filter(|l| l.kind == LinkKind::ManagedBy);
        let states: BTreeSet<i64> = managed.map(|l| places::end_hash(&l.to)).collect();
        for (renewal, seen, source) in crate::queries::fetch::renewals(self.c, states)? {
            let looked = self.looked(source)?;
            let seen = UnixTime(last_seen(seen, None, None, looked));
            self.inventory.add_renewal(RenewalSighting { renewal, seen });
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

/// Each number as the parameters of one query.
fn numbers(ids: &BTreeSet<i64>) -> Vec<Vec<Value<'static>>> {
    ids.iter().map(|id| vec![(*id).into()]).collect()
}

/// When something was last seen. Looking again writes nothing, so this is derived, and only here: what is gone was
/// last seen when it went; what is unseen, when it was lost; the rest was there when the last complete run of its
/// source began, or when it was first seen, if that is later.
pub(crate) fn last_seen(first_seen: i64, unseen: Option<i64>, gone: Option<i64>, looked: Option<i64>) -> i64 {
    gone.or(unseen).unwrap_or_else(|| looked.map_or(first_seen, |looked| looked.max(first_seen)))
}

fn asset_of(subject: &SubjectKey) -> Option<Fingerprint> {
    match subject {
        SubjectKey::Asset(id) => Some(*id),
        _ => None,
    }
}
