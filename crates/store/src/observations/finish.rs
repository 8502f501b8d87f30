//! The end of a run: what it did not see again, and the scan written down.
//!
//! Only a complete run says anything about what it did not see. At an endpoint, unreachable is not gone; in a file
//! that was read, or whose folder was, not there is gone.

use std::collections::HashMap;

use notafter_core::UnixTime;
use notafter_core::inventory::Role;
use notafter_core::location::Location;
use notafter_core::subject::SubjectKey;

use super::intern::{find_place, next_id};
use super::{Changed, Outcome, Run};
use crate::db::{Conn, Result, args};
use crate::ledger::{AT_ENDPOINT, Ledger};
use crate::{alerts, places, texts};

pub(super) struct Finishing<'r> {
    pub(super) run: &'r Run,
    now: UnixTime,
    pub(super) ledger: Ledger,
    pub(super) changed: Changed,
}

impl<'r> Finishing<'r> {
    pub(super) fn new(run: &'r Run, now: UnixTime) -> Self {
        Self { run, now, ledger: Ledger::default(), changed: Changed::default() }
    }

    pub(super) fn run(mut self, c: &mut Conn<'_>, outcome: &Outcome) -> Result<Changed> {
        if outcome.complete {
            self.blind_spots(c)?;
            let blind = self.blind_files(c)?;
            self.placements(c, &blind)?;
            self.keys(c, &blind)?;
            self.links(c)?;
            self.renewals(c)?;
        }
        let Self { run, now, ledger, mut changed, .. } = self;
        changed.writes += ledger.settle(c)?;
        write_down(c, run, outcome, now, &changed)?;
        Ok(changed)
    }

    /// When each placement of this source was last seen, before this run.
    fn looked(&self, c: &mut Conn<'_>) -> Result<Option<i64>> {
        c.one("SELECT looked FROM source WHERE id = $1", args![self.run.source])?.maybe_int(0)
    }

    fn placements(&mut self, c: &mut Conn<'_>, blind: &Blind) -> Result<()> {
        let looked = self.looked(c)?;
        let mut missing = Vec::new();
        let seen = &self.run.seen.placements;
        c.each(
            "SELECT id, asset, location, role, flags, first_seen, unseen_since FROM placement
             WHERE source = $1 AND gone IS NULL",
            args![self.run.source],
            |row| {
                if !seen.contains(row.int(0)?) {
                    missing.push(row);
                }
                Ok(())
            },
        )?;
        let mut others: HashMap<i64, Option<i64>> = HashMap::new();
        for row in missing {
            let (id, asset, place, role) = (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
            let (flags, first_seen, unseen) = (row.int(4)?, row.int(5)?, row.maybe_int(6)?);
            let mut text = c.one("SELECT text FROM location WHERE id = $1", args![place])?;
            let location = texts::location(&text.text(0)?)?;
            let last = looked.map_or(first_seen, |looked| looked.max(first_seen));
            let gone = if flags & AT_ENDPOINT != 0 {
                // Another leaf at the same place in this run: it was replaced.
                match others.get(&place) {
                    Some(other) => *other,
                    None => {
                        let other = self.seen_leaf(c, place)?;
                        others.insert(place, other);
                        other
                    }
                }
            } else {
                (!blind.covers(&location)).then_some(self.run.started.0)
            };
            match (gone, unseen) {
                (Some(at), _) => {
                    self.ledger.placement(asset, self.run.source, flags, unseen.is_some(), -1);
                    self.changed.gone_placements += 1;
                    c.execute(
                        "UPDATE placement SET gone = $2, unseen_since = NULL WHERE id = $1",
                        args![id, at.max(first_seen)],
                    )?;
                }
                (None, None) => {
                    self.ledger.unseen(asset, 1);
                    self.changed.unseen_placements += 1;
                    c.execute("UPDATE placement SET unseen_since = $2 WHERE id = $1", args![id, last])?;
                }
                (None, Some(_)) => continue,
            }
            self.changed.writes += 1;
            if let Some(subject) = places::name_subject(&location) {
                self.ledger.touch_subject(&subject);
            }
            if role == texts::role_number(Role::Root) && location.is_file() {
                self.ledger.root_folders.insert(places::group(&location));
            }
            // A signer's end is judged by what else stands in its document.
            if role == texts::role_number(Role::Signer) {
                self.ledger.folders.insert(places::group(&location));
            }
        }
        Ok(())
    }

    /// When the leaf that this run saw at a place was first seen in it.
    fn seen_leaf(&self, c: &mut Conn<'_>, place: i64) -> Result<Option<i64>> {
        let rows = c.query(
            "SELECT id, first_seen FROM placement WHERE location = $1 AND gone IS NULL AND role = 0",
            args![place],
        )?;
        let mut first = None;
        for row in rows {
            if self.run.seen.placements.contains(row.int(0)?) {
                let at = row.int(1)?.max(self.run.started.0);
                first = Some(first.map_or(at, |known: i64| known.min(at)));
            }
        }
        Ok(first)
    }

    fn keys(&mut self, c: &mut Conn<'_>, blind: &Blind) -> Result<()> {
        let rows = c.query(
            "SELECT k.id, k.key6, l.text FROM keyseen k JOIN location l ON l.id = k.location
             WHERE k.source = $1 AND k.gone IS NULL",
            args![self.run.source],
        )?;
        for mut row in rows {
            let location = texts::location(&row.text(2)?)?;
            if self.run.seen.keys.contains(row.int(0)?) || blind.covers(&location) {
                continue;
            }
            c.execute("UPDATE keyseen SET gone = $2 WHERE id = $1", args![row.int(0)?, self.run.started])?;
            self.changed.writes += 1;
            self.ledger.touch_subject(&SubjectKey::Key(location.clone()));
            self.ledger.keys.extend(row.maybe_int(1)?);
            self.ledger.folders.insert(places::group(&location));
        }
        Ok(())
    }

    fn links(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let rows = c.query(
            "SELECT id, from_place, to_place FROM link WHERE source = $1 AND gone IS NULL",
            args![self.run.source],
        )?;
        for mut row in rows {
            if self.run.seen.links.contains(row.int(0)?) {
                continue;
            }
            c.execute("UPDATE link SET gone = $2 WHERE id = $1", args![row.int(0)?, self.run.started])?;
            self.changed.writes += 1;
            for at in [1, 2] {
                self.ledger.folders.insert(places::group(&texts::location(&row.text(at)?)?));
            }
        }
        Ok(())
    }

    fn blind_spots(&mut self, c: &mut Conn<'_>) -> Result<()> {
        let rows = c.query(
            "SELECT b.id, l.text FROM blind b JOIN location l ON l.id = b.location
             WHERE b.source = $1 AND b.gone IS NULL",
            args![self.run.source],
        )?;
        for mut row in rows {
            if self.run.seen.blind.contains(row.int(0)?) {
                continue;
            }
            c.execute("UPDATE blind SET gone = $2 WHERE id = $1", args![row.int(0)?, self.run.started])?;
            self.changed.writes += 1;
            self.ledger.blind(self.run.source, -1);
            self.ledger.touch_subject(&SubjectKey::Blind(texts::location(&row.text(1)?)?));
        }
        Ok(())
    }

    /// Files and folders that this run could not read.
    fn blind_files(&self, c: &mut Conn<'_>) -> Result<Blind> {
        let rows = c.query(
            "SELECT b.id, l.text FROM blind b JOIN location l ON l.id = b.location
             WHERE b.source = $1 AND l.text LIKE 'file:%'
               AND (b.gone IS NULL OR b.location IN (SELECT location FROM retired))",
            args![self.run.source],
        )?;
        let mut out = std::collections::HashSet::new();
        for mut row in rows {
            if self.run.seen.blind.contains(row.int(0)?) {
                let text = row.text(1)?;
                out.insert(text.split('#').next().unwrap_or("").trim_end_matches('/').to_owned());
            }
        }
        Ok(Blind(out))
    }
}

/// Files and folders that could not be read.
struct Blind(std::collections::HashSet<String>);

impl Blind {
    /// Is this file, or a folder above it, among them?
    fn covers(&self, location: &Location) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let mut path = location.container();
        loop {
            if self.0.contains(path) {
                return true;
            }
            match path.rsplit_once('/') {
                // `file://` alone is the root folder.
                // Above the members of an archive is the archive.
                Some((above, _)) if above.len() >= "file:/".len() => {
                    path = above.strip_suffix('!').unwrap_or(above);
                }
                _ => return self.0.contains("file:") || self.0.contains("file://"),
            }
        }
    }
}

fn write_down(
    c: &mut Conn<'_>,
    run: &Run,
    outcome: &Outcome,
    now: UnixTime,
    changed: &Changed,
) -> Result<()> {
    let scan = &outcome.scan;
    let (success, looked) = match outcome.complete {
        true => (Some(now), Some(run.started)),
        false => (None, None),
    };
    c.execute(
        "UPDATE source SET last_finished = $2, last_success = coalesce($3, last_success), looked = coalesce($4, looked),
           next = $5, fault = $6, attempted = $7, reached = $8, unreachable = $9, files = $10,
           going = NULL, position = NULL, seen = NULL WHERE id = $1",
        args![
            run.source,
            now,
            success,
            looked,
            outcome.next,
            outcome.fault.as_ref(),
            scan.attempted,
            scan.reached,
            scan.unreachable,
            scan.files
        ],
    )?;
    let id = next_id(c, "run")?;
    c.execute(
        "INSERT INTO run (id, source, started, finished, complete, fault, attempted, reached, unreachable, files, new_assets,
           changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            id,
            run.source,
            run.started,
            now,
            outcome.complete,
            outcome.fault.as_ref(),
            scan.attempted,
            scan.reached,
            scan.unreachable,
            scan.files,
            changed.new_assets,
            changed.writes
        ],
    )?;
    Ok(())
}

pub(super) fn retire(c: &mut Conn<'_>, location: &str, reason: &str, by: &str, now: UnixTime) -> Result<u64> {
    let Some(parsed) = Location::parse(location) else { return Ok(0) };
    let Some(place) = find_place(c, &parsed)? else { return Ok(0) };
    let mut ledger = Ledger::default();
    let open = c.query(
        "SELECT id, asset, source, flags, unseen_since FROM placement WHERE location = $1 AND gone IS NULL",
        args![place],
    )?;
    for row in &open {
        ledger.placement(row.int(1)?, row.int(2)?, row.int(3)?, row.maybe_int(4)?.is_some(), -1);
    }
    c.execute(
        "UPDATE placement SET gone = $2, unseen_since = NULL WHERE location = $1 AND gone IS NULL",
        args![place, now],
    )?;
    let blind = c.query("SELECT source FROM blind WHERE location = $1 AND gone IS NULL", args![place])?;
    for row in &blind {
        ledger.blind(row.int(0)?, -1);
        ledger.touch_subject(&SubjectKey::Blind(parsed.clone()));
    }
    c.execute("UPDATE blind SET gone = $2 WHERE location = $1 AND gone IS NULL", args![place, now])?;
    let keys =
        c.execute("UPDATE keyseen SET gone = $2 WHERE location = $1 AND gone IS NULL", args![place, now])?;
    if keys > 0 {
        ledger.touch_subject(&SubjectKey::Key(parsed.clone()));
        ledger.folders.insert(places::group(&parsed));
    }
    if let Some(subject) = places::name_subject(&parsed) {
        ledger.touch_subject(&subject);
    }
    ledger.settle(c)?;
    c.execute(
        "INSERT INTO retired (location, at, reason, who) VALUES ($1, $2, $3, $4)
         ON CONFLICT (location) DO UPDATE SET at = excluded.at, reason = excluded.reason, who = excluded.who",
        args![place, now, reason, by],
    )?;
    let line = alerts::AuditLine {
        at: now,
        who: by.to_owned(),
        what: "retired".into(),
        subject: location.to_owned(),
        detail: reason.to_owned(),
    };
    alerts::audit(c, &line)?;
    Ok((open.len() + blind.len()) as u64 + keys)
}
