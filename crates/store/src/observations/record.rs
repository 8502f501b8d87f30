//! One batch into the database, in one transaction: what is new is inserted, what changed is updated, the rest is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use notafter_core::Fingerprint;
use notafter_core::inventory::{AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Possession};

use super::Changed;
use super::intern::{Places, members, next_id};
use super::prepare::{Cache, Fresh, Packing, Prepared, find, last_token};
use crate::db::{Conn, Result, Value, args, other};
use crate::ledger::{ASKS, AT_ENDPOINT, Ledger, PROVED};
use crate::places;
use crate::read::NEVER;
use crate::seen::SeenAll;
use crate::texts;

/// A placement as it stands, open.
struct Open {
    id: i64,
    asset: i64,
    role: i64,
    flags: i64,
    chain: Option<i64>,
    facts: i64,
    source: i64,
    unseen: bool,
    removed: bool,
}

/// What the transaction read and decided.
pub(super) struct Recording<'r> {
    pub(super) source: i64,
    /// The instant of what has none of its own: when the batch's newest placement was seen.
    pub(super) at: i64,
    pub(super) cache: &'r mut Cache,
    pub(super) seen: &'r SeenAll,
    pub(super) batch: &'r Inventory,
    pub(super) fresh: Vec<Fresh>,
    packing: &'r Packing<'r>,
    /// See [`Prepared`].
    looked_at: i64,
    /// Numbers by index in the batch.
    pub(super) numbers: Vec<i64>,
    pub(super) places: Places,
    pub(super) ledger: Ledger,
    pub(super) changed: Changed,
    /// What the run will have seen once this is committed.
    pub(super) saw: SeenAll,
    /// By where they lie in the batch.
    facts: HashMap<*const Facts, i64>,
    /// Facts of the store, by number: are they of a place that only a zone led to?
    hinted: HashMap<i64, bool>,
    /// By a fresh asset: the one it replaces somewhere.
    replaces: HashMap<i64, i64>,
    /// The number of the first fresh asset; the others follow in order.
    first_number: i64,
}

impl<'r> Recording<'r> {
    pub(super) fn new(
        source: i64,
        started: i64,
        cache: &'r mut Cache,
        seen: &'r SeenAll,
        batch: &'r Inventory,
        prepared: Prepared,
        packing: &'r Packing<'r>,
    ) -> Self {
        Self {
            source,
            at: batch.placements().iter().map(|p| p.last_seen.0).max().unwrap_or(started),
            cache,
            seen,
            batch,
            fresh: prepared.fresh,
            packing,
            looked_at: prepared.token,
            numbers: vec![0; batch.assets().len()],
            places: Places::default(),
            ledger: Ledger::default(),
            changed: Changed::default(),
            saw: SeenAll::default(),
            facts: HashMap::new(),
            hinted: HashMap::new(),
            replaces: HashMap::new(),
            first_number: 0,
        }
    }

    pub(super) fn run(mut self, c: &mut Conn<'_>) -> Result<(Changed, SeenAll)> {
        self.cache.still_good(c)?;
        self.number_assets(c)?;
        let batch = self.batch;
        let placed = batch.placements().iter().map(|p| &p.location);
        let others = batch.keys().iter().map(|k| &k.location);
        let blind = batch.blind_spots().iter().map(|b| &b.location);
        self.places.learn(c, placed.chain(others).chain(blind))?;
        self.placements(c)?;
        self.insert_assets(c)?;
        self.keys(c)?;
        self.links(c)?;
        self.renewals(c)?;
        self.blind_spots(c)?;
        let Self { ledger, mut changed, saw, .. } = self;
        changed.writes += ledger.settle(c)?;
        Ok((changed, saw))
    }

    /// Gives numbers to what is new; somebody else may have been faster.
    fn number_assets(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let mut found = vec![Vec::new(); self.fresh.len()];
        if last_token(c)? != self.looked_at {
            let asked: Vec<Vec<Value<'_>>> =
                self.fresh.iter().map(|f| vec![texts::split(&f.columns.id).0.into()]).collect();
            found = find(c, &asked)?;
        }
        let mut next = if self.fresh.is_empty() { 0 } else { next_id(c, "asset")? };
        self.first_number = next;
        let fresh = std::mem::take(&mut self.fresh);
        for (one, found) in fresh.into_iter().zip(found) {
            let id = one.columns.id;
            if let Some((number, _)) = found.into_iter().find(|(_, known)| *known == id) {
                self.cache.assets.insert(id, number);
                continue;
            }
            self.cache.assets.insert(id, next);
            self.ledger.fresh.insert(next);
            self.fresh.push(one);
            next += 1;
        }
        for (ix, asset) in self.batch.assets() {
            self.numbers[ix.0 as usize] = self.cache.assets.get(&asset.id).copied().unwrap_or(0);
        }
        self.changed.new_assets = self.fresh.len() as u64;
        Ok(())
    }

    pub(super) fn number(&self, ix: AssetIx) -> i64 {
        self.numbers.get(ix.0 as usize).copied().unwrap_or(0)
    }

    fn placements(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let mut by_place: BTreeMap<i64, Vec<&'r Placement>> = BTreeMap::new();
        let mut known = Vec::new();
        for placement in self.batch.placements() {
            let (id, new) = self.places.id(&placement.location);
            let here = by_place.entry(id).or_default();
            if here.is_empty() && !new {
                known.push(id);
            }
            here.push(placement);
        }
        known.sort_unstable();
        let asked: Vec<Vec<Value<'_>>> = known.iter().map(|id| vec![(*id).into()]).collect();
        let rows = c.query_many(
            "SELECT p.id, p.asset, p.role, p.flags, p.chain, p.facts, p.source, p.unseen_since, s.removed
             FROM placement p JOIN source s ON s.id = p.source WHERE p.location = $1 AND p.gone IS NULL",
            &asked,
        )?;
        let mut open: HashMap<i64, Vec<Open>> = HashMap::new();
        for (id, rows) in known.iter().zip(rows) {
            let read = rows.iter().map(|row| {
                Ok(Open {
                    id: row.int(0)?,
                    asset: row.int(1)?,
                    role: row.int(2)?,
                    flags: row.int(3)?,
                    chain: row.maybe_int(4)?,
                    facts: row.int(5)?,
                    source: row.int(6)?,
                    unseen: row.maybe_int(7)?.is_some(),
                    removed: row.int(8)? != 0,
                })
            });
            open.insert(*id, read.collect::<Result<_>>()?);
        }
        let mut out = Written::default();
        for (place, seen) in by_place {
            let before = open.remove(&place).unwrap_or_default();
            self.place(c, place, &seen, &before, &mut out)?;
        }
        self.write(c, out)
    }

    /// Everything at one place.
    fn place(
        &mut self,
        c: &mut Conn<'_>,
        place: i64,
        seen: &[&'r Placement],
        before: &[Open],
        out: &mut Written,
    ) -> Result<()> {
        let mut here = BTreeSet::new();
        for placement in seen {
            let asset = self.number(placement.asset);
            here.insert(asset);
            let role = texts::role_number(placement.role);
            let flags = flags(placement);
            let facts = self.facts(c, &placement.facts)?;
            let chain = match &placement.chain {
                Some(chain) => {
                    let behind: Vec<i64> = chain.iter().skip(1).map(|ix| self.number(*ix)).collect();
                    Some(self.cache.chain(c, &behind)?)
                }
                None => None,
            };
            let Some(open) = before.iter().find(|o| o.asset == asset) else {
                self.ledger.placement(asset, self.source, flags, false, 1);
                self.touch_place(&placement.location, role);
                // What stands beside it in the same document has a next one now, or none any more.
                if placement.facts.part.is_some() {
                    self.ledger.folders.insert(places::group(&placement.location));
                }
                self.changed.new_placements += 1;
                out.inserts.push([
                    asset.into(),
                    place.into(),
                    role.into(),
                    flags.into(),
                    chain.into(),
                    facts.into(),
                    self.source.into(),
                    placement.first_seen.into(),
                ]);
                continue;
            };
            self.saw.placements.insert(open.id);
            let more = open.source != self.source && self.is_more(c, open.facts, placement)?;
            self.see(open, placement, [role, flags, facts], chain, more, out);
        }
        let missing = |o: &&Open| {
            !here.contains(&o.asset)
                && !self.seen.placements.contains(o.id)
                && !self.saw.placements.contains(o.id)
        };
        let missing: Vec<&Open> = before.iter().filter(missing).collect();
        if !missing.is_empty() {
            self.replaced(c, seen, before, &missing, out)?;
        }
        Ok(())
    }

    /// The number of these facts; many places of a batch share theirs.
    fn facts(&mut self, c: &mut Conn<'_>, facts: &'r Arc<Facts>) -> Result<i64> {
        if let Some(known) = self.facts.get(&Arc::as_ptr(facts)) {
            return Ok(*known);
        }
        let number = self.cache.facts(c, &texts::facts_json(facts))?;
        self.facts.insert(Arc::as_ptr(facts), number);
        Ok(number)
    }

    /// What only a zone led to is less than what is looked at for its own sake: is the one known with these facts that,
    /// and this one not?
    fn is_more(&mut self, c: &mut Conn<'_>, known: i64, placement: &Placement) -> Result<bool> {
        if placement.facts.hinted || !placement.location.is_endpoint() {
            return Ok(false);
        }
        if let Some(hinted) = self.hinted.get(&known) {
            return Ok(*hinted);
        }
        let mut row = c.one("SELECT json FROM facts WHERE id = $1", args![known])?;
        let hinted = texts::facts(&row.text(0)?)?.hinted;
        self.hinted.insert(known, hinted);
        Ok(hinted)
    }

    /// A placement that was there before is there again.
    fn see(
        &mut self,
        open: &Open,
        placement: &Placement,
        [role, flags, facts]: [i64; 3],
        chain: Option<i64>,
        more: bool,
        out: &mut Written,
    ) {
        // Another source sees it, too: it stays with the one that saw it first, unless that one has lost it, or knows less.
        let takes_over = open.source != self.source && (open.unseen || open.removed || more);
        if open.source != self.source && !takes_over {
            return;
        }
        if takes_over {
            self.ledger.moved(open.source, self.source);
        }
        // Seen twice in one run, once leading a chain and once not: the leading one counts.
        let again = self.seen.placements.contains(open.id) && chain.is_none() && open.chain.is_some();
        let (role, chain) = if again { (open.role, open.chain) } else { (role, chain) };
        let other = (open.role, open.flags, open.facts, open.chain) != (role, flags, facts, chain);
        if !(other || open.unseen || takes_over) {
            return;
        }
        if open.flags != flags {
            self.ledger.placement(open.asset, self.source, open.flags, open.unseen, -1);
            self.ledger.placement(open.asset, self.source, flags, open.unseen, 1);
        }
        if open.unseen {
            self.ledger.unseen(open.asset, -1);
            self.changed.returned_placements += 1;
        }
        if other {
            self.changed.changed_placements += 1;
        }
        self.ledger.touch(open.asset);
        self.touch_place(&placement.location, role);
        if open.role != role {
            self.touch_place(&placement.location, open.role);
        }
        out.updates.push(vec![
            open.id.into(),
            role.into(),
            flags.into(),
            chain.into(),
            facts.into(),
            self.source.into(),
            i64::from(open.role != role).into(),
        ]);
    }

    /// A leaf of the same algorithm stands where another stood: that one was replaced. Its intermediates go with it,
    /// unless a leaf that stays needs them.
    fn replaced(
        &mut self,
        c: &mut Conn<'_>,
        seen: &[&Placement],
        before: &[Open],
        missing: &[&Open],
        out: &mut Written,
    ) -> Result<()> {
        let leaf = texts::role_number(Role::Leaf);
        let leaves: Vec<&&Placement> = seen.iter().filter(|p| p.role == Role::Leaf).collect();
        let mut gone = BTreeMap::new();
        for old in missing.iter().filter(|o| o.role == leaf) {
            for new in &leaves {
                let number = self.number(new.asset);
                if self.algorithm(c, old.asset)? == self.algorithm(c, number)? {
                    let known = before.iter().any(|o| o.asset == number);
                    gone.insert(old.id, if known { new.last_seen.0 } else { new.first_seen.0 });
                    self.replaces.insert(number, old.asset);
                }
            }
        }
        let Some(at) = gone.values().max().copied() else { return Ok(()) };
        let mut needed = BTreeSet::new();
        for placement in seen {
            needed.extend(placement.chain.iter().flat_map(|chain| chain.iter()).map(|ix| self.number(*ix)));
        }
        for stays in before.iter().filter(|o| o.role == leaf && !gone.contains_key(&o.id)) {
            if let Some(chain) = stays.chain {
                let row = c.first("SELECT members FROM chain WHERE id = $1", crate::db::args![chain])?;
                needed.extend(row.map(|mut r| r.blob(0)).transpose()?.iter().flat_map(|b| members(b)));
            }
        }
        for old in missing {
            let when = match gone.get(&old.id) {
                Some(when) => *when,
                None if old.role != leaf && !needed.contains(&old.asset) => at,
                None => continue,
            };
            self.ledger.placement(old.asset, old.source, old.flags, old.unseen, -1);
            self.changed.gone_placements += 1;
            out.gone.push(vec![old.id.into(), when.into()]);
        }
        if let Some(placement) = seen.first() {
            self.touch_place(&placement.location, leaf);
        }
        Ok(())
    }

    /// The first word of the key's label: what tells RSA from ECDSA.
    fn algorithm(&self, c: &mut Conn<'_>, asset: i64) -> Result<String> {
        let first = |label: &str| label.split(' ').next().unwrap_or("").to_owned();
        if self.ledger.fresh.contains(&asset) {
            let at = usize::try_from(asset - self.first_number).ok();
            return Ok(at
                .and_then(|n| self.fresh.get(n))
                .map(|f| first(&f.columns.label))
                .unwrap_or_default());
        }
        let sql = "SELECT w.text FROM asset a JOIN word w ON w.id = a.label WHERE a.id = $1";
        let row = c.first(sql, crate::db::args![asset])?;
        Ok(row.map(|mut r| r.text(0)).transpose()?.map(|l| first(&l)).unwrap_or_default())
    }

    pub(super) fn touch_place(&mut self, location: &Location, role: i64) {
        if let Some(subject) = places::name_subject(location) {
            self.ledger.touch_subject(&subject);
        }
        if role == texts::role_number(Role::Root) && location.is_file() {
            self.ledger.root_folders.insert(places::group(location));
        }
    }

    fn write(&mut self, c: &mut Conn<'_>, out: Written) -> Result<()> {
        self.changed.writes += (out.inserts.len() + out.updates.len() + out.gone.len()) as u64;
        let first = if out.inserts.is_empty() { 0 } else { next_id(c, "placement")? };
        let mut inserts = Vec::with_capacity(out.inserts.len());
        for (next, values) in (first..).zip(out.inserts) {
            self.saw.placements.insert(next);
            let mut row = Vec::with_capacity(9);
            row.push(Value::from(next));
            row.extend_from_slice(&values);
            inserts.push(row);
        }
        c.execute_many(
            "INSERT INTO placement (id, asset, location, role, flags, chain, facts, source, first_seen)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &inserts,
        )?;
        c.execute_many(
            "UPDATE placement SET role = $2, flags = $3, chain = $4, facts = $5, source = $6, unseen_since = NULL,
               shown = CASE WHEN $7 = 1 THEN NULL ELSE shown END WHERE id = $1",
            &out.updates,
        )?;
        c.execute_many("UPDATE placement SET gone = $2, unseen_since = NULL WHERE id = $1", &out.gone)?;
        let placed = self.batch.placements().iter().map(|p| &p.location);
        let revived: Vec<Vec<Value<'_>>> = placed
            .chain(self.batch.keys().iter().map(|k| &k.location))
            .map(|location| self.places.id(location))
            .filter(|(_, new)| !new)
            .map(|(id, _)| id)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|id| vec![id.into()])
            .collect();
        // A place that was retired by hand and is seen again lives.
        if c.first("SELECT location FROM retired LIMIT 1", &[])?.is_some() {
            self.changed.writes += c.execute_many("DELETE FROM retired WHERE location = $1", &revived)?;
        }
        Ok(())
    }

    fn insert_assets(&mut self, c: &mut Conn<'_>) -> Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let token = self.ledger.token(c)?;
        let fresh = std::mem::take(&mut self.fresh);
        let lines = self.lines(c, &fresh)?;
        let packed = self.packing.take()?;
        let first_seen = first_seen(self.batch);
        let (mut assets, mut ders, mut names, mut bases) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut called = Vec::new();
        for one in &fresh {
            let (id, columns) = (self.number(one.ix), &one.columns);
            let asset = self.batch.asset(one.ix);
            let issuer = columns.issuer.as_ref().map(|n| self.cache.dname(c, n)).transpose()?;
            let subject = columns.subject.as_ref().map(|n| self.cache.dname(c, n)).transpose()?;
            let label = match columns.label.as_str() {
                "" => None,
                label => Some(self.cache.word(c, label)?),
            };
            // What was packed against another can only be read beside it: without its number nothing may be written.
            let base = one.base.as_ref().map(|b| self.base_number(c, &b.id)).transpose()?;
            if let (None, AssetKind::Certificate, Some(issuer), false) =
                (base, columns.kind, issuer, columns.is_ca())
            {
                bases.push(vec![issuer.into(), id.into()]);
            }
            if columns.is_ca() {
                self.ledger.issuers.extend(subject);
            }
            // What its issuer has signed may be revoked by now. Serial numbers are in no column: all of it is looked at.
            if columns.revokes {
                self.ledger.issuers.extend(issuer);
            }
            self.ledger.above.extend(issuer);
            let (fp8, fp24) = texts::split(&columns.id);
            let [places, served, unseen] = self.ledger.counts_of(id);
            let first_seen = first_seen.get(&one.ix).copied().unwrap_or(0);
            assets.push(vec![
                id.into(),
                fp8.into(),
                fp24.into(),
                texts::kind_number(columns.kind).into(),
                columns.flags.into(),
                asset.not_before.or(columns.not_before).into(),
                asset.not_after.or(columns.not_after).map_or(NEVER, |t| t.0).into(),
                columns.key6.into(),
                columns.names6.into(),
                issuer.into(),
                subject.into(),
                columns.title.as_str().into(),
                label.into(),
                lines.get(&id).copied().into(),
                places.into(),
                served.into(),
                unseen.into(),
                first_seen.into(),
                token.into(),
            ]);
            let bytes = packed.get(&one.ix).ok_or_else(|| other("an asset was not packed"))?;
            ders.push(vec![id.into(), base.into(), one.length.into(), bytes.into()]);
            names.extend(columns.names.iter().map(|n| (n.as_str(), id)));
            if !columns.called.is_empty() {
                called.push(vec![id.into(), columns.called.as_str().into()]);
            }
        }
        // In the order of their index: neighbours share a page.
        names.sort_unstable();
        let names: Vec<Vec<Value<'_>>> = names.into_iter().map(|(n, id)| vec![n.into(), id.into()]).collect();
        c.execute_many(
            "INSERT INTO asset (id, fp8, fp24, kind, flags, not_before, not_after, key6, names6, issuer, subject, title,
               label, lineage, places, served, unseen, findings, first_seen, judge_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, $18, $19)",
            &assets,
        )?;
        c.execute_many("INSERT INTO der (asset, base, length, bytes) VALUES ($1, $2, $3, $4)", &ders)?;
        c.execute_many("INSERT INTO name (name, asset) VALUES ($1, $2)", &names)?;
        c.execute_many("INSERT INTO called (asset, folded) VALUES ($1, $2)", &called)?;
        c.execute_many("UPDATE dname SET base = $2 WHERE id = $1 AND base IS NULL", &bases)?;
        self.changed.writes += (assets.len() + ders.len() + names.len() + called.len()) as u64;
        Ok(())
    }

    fn base_number(&self, c: &mut Conn<'_>, base: &Fingerprint) -> Result<i64> {
        if let Some(number) = self.cache.assets.get(base) {
            return Ok(*number);
        }
        let known = crate::queries::asset_number(c, base)?;
        known.ok_or_else(|| other(format!("{base}, which others are packed against, is not in the database")))
    }

    /// The line each new leaf joins: that of the one it replaces, else of the last with the same names.
    fn lines(&mut self, c: &mut Conn<'_>, fresh: &[Fresh]) -> Result<HashMap<i64, i64>> {
        let named: Vec<&Fresh> = fresh.iter().filter(|f| f.columns.names6.is_some()).collect();
        let asked: Vec<Vec<Value<'_>>> = named.iter().map(|f| vec![f.columns.names6.into()]).collect();
        let rows = c.query_many(
            "SELECT id, lineage, kind, flags FROM asset WHERE names6 = $1 ORDER BY id DESC LIMIT 20",
            &asked,
        )?;
        let mut last: HashMap<i64, i64> = HashMap::new();
        let mut signers = BTreeSet::new();
        for (one, rows) in named.iter().zip(rows) {
            let Some(names) = one.columns.names6 else { continue };
            if !rows.is_empty() {
                self.ledger.names.insert(names);
            }
            for row in &rows {
                let leaf = row.int(2)? == texts::kind_number(AssetKind::Certificate)
                    && row.int(3)? & crate::read::CA == 0;
                if leaf {
                    last.entry(names).or_insert(row.int(0)?);
                }
                // A new token names a key: its certificate stands beside it, under names of its own.
                if one.columns.kind == AssetKind::Token
                    && row.int(2)? == texts::kind_number(AssetKind::BareKey)
                {
                    signers.insert(row.int(0)?);
                }
            }
        }
        let asked: Vec<Vec<Value<'_>>> = signers.into_iter().map(|id| vec![id.into()]).collect();
        let spots = c.query_many(
            "SELECT l.spot FROM placement p JOIN location l ON l.id = p.location
             WHERE p.asset = $1 AND p.gone IS NULL LIMIT 100",
            &asked,
        )?;
        for row in spots.into_iter().flatten() {
            self.ledger.folders.insert(places::group_of(row.int(0)?));
        }
        let mut lines: HashMap<i64, i64> = HashMap::new();
        let mut begun = BTreeSet::new();
        for one in fresh {
            let (id, columns) = (self.number(one.ix), &one.columns);
            if columns.is_ca() || columns.kind != AssetKind::Certificate {
                continue;
            }
            let same = columns.names6.and_then(|n| last.insert(n, id)).filter(|other| *other != id);
            let Some(before) = self.replaces.get(&id).copied().or(same) else { continue };
            let line = match lines.get(&before) {
                Some(line) => *line,
                None if self.ledger.fresh.contains(&before) => before,
                None => {
                    let row = c.first("SELECT lineage FROM asset WHERE id = $1", crate::db::args![before])?;
                    row.map(|r| r.maybe_int(0)).transpose()?.flatten().unwrap_or(before)
                }
            };
            if line == before {
                lines.insert(before, line);
                if !self.ledger.fresh.contains(&before) {
                    begun.insert(before);
                }
            }
            lines.insert(id, line);
            self.ledger.lines.insert(line);
        }
        let begun: Vec<Vec<Value<'_>>> = begun.into_iter().map(|id| vec![id.into()]).collect();
        c.execute_many("UPDATE asset SET lineage = id WHERE id = $1 AND lineage IS NULL", &begun)?;
        Ok(lines)
    }
}

/// What is written of placements.
#[derive(Default)]
struct Written {
    inserts: Vec<[Value<'static>; 8]>,
    updates: Vec<Vec<Value<'static>>>,
    gone: Vec<Vec<Value<'static>>>,
}

fn flags(placement: &Placement) -> i64 {
    let endpoint = if placement.location.is_endpoint() { AT_ENDPOINT } else { 0 };
    let proved = if placement.facts.possession == Some(Possession::Verified) { PROVED } else { 0 };
    let asks = if endpoint != 0 && placement.facts.client_cas.is_some() { ASKS } else { 0 };
    endpoint | proved | asks
}

/// When each asset of the batch was first seen.
fn first_seen(batch: &Inventory) -> HashMap<AssetIx, i64> {
    let mut out = HashMap::new();
    for placement in batch.placements() {
        let members = placement.chain.iter().flat_map(|chain| chain.iter().copied());
        for ix in std::iter::once(placement.asset).chain(members) {
            let first = out.entry(ix).or_insert(placement.first_seen.0);
            *first = placement.first_seen.0.min(*first);
        }
    }
    out
}
