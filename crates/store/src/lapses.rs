//! What ended while it was in use, remembered for those that come after it.
//!
//! Written when a verdict says so, in its transaction; read when what judges a subject is loaded. Which findings it
//! makes worse is `core/assess.rs`'s.

use std::collections::BTreeSet;

use notafter_core::UnixTime;
use notafter_core::finding::Severity;

use crate::db::{Conn, Result, args};
use crate::places::hash48;
use crate::texts::FindingJson;

/// Remembers that this asset ended and something still used it, if that is what the finding says.
pub(crate) fn remember(c: &mut Conn<'_>, asset: i64, finding: &FindingJson, now: UnixTime) -> Result<()> {
    // A critical finding about an end that has passed: merely lying in a folder is worth a line.
    let Some(deadline) = finding.deadline.filter(|t| *t < now.0 && finding.severity == Severity::Critical)
    else {
        return Ok(());
    };
    let mut row =
        c.one("SELECT not_after, names6, lineage, title, places FROM asset WHERE id = $1", args![asset])?;
    if row.int(0)? != deadline || row.int(4)? == 0 {
        return Ok(());
    }
    let (names, line, title) = (row.maybe_int(1)?, row.maybe_int(2)?, row.text(3)?);
    c.execute(
        "INSERT INTO lapse (asset, names6, title6, lineage, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (asset) DO UPDATE SET lineage = excluded.lineage",
        args![asset, names, hash48(title.as_bytes()), line, deadline],
    )?;
    Ok(())
}

/// When the last one before each of these lapsed: of its line, of the same names, or called the same.
pub(crate) fn before(c: &mut Conn<'_>, assets: &BTreeSet<i64>) -> Result<Vec<(i64, UnixTime)>> {
    if c.first("SELECT asset FROM lapse LIMIT 1", &[])?.is_none() {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for asset in assets {
        let known = c.first(
            "SELECT names6, lineage, title, not_before, kind FROM asset WHERE id = $1",
            args![*asset],
        )?;
        let Some(mut row) = known else { continue };
        let (names, line, title) = (row.maybe_int(0)?, row.maybe_int(1)?, row.text(2)?);
        let last = c.one(
            "SELECT max(l.at) FROM lapse l JOIN asset a ON a.id = l.asset
             WHERE l.asset <> $1 AND a.kind = $5 AND (l.names6 = $2 OR l.lineage = $3 OR l.title6 = $4)",
            args![*asset, names, line, hash48(title.as_bytes()), row.int(4)?],
        )?;
        out.extend(last.maybe_int(0)?.map(|at| (*asset, UnixTime(at))));
    }
    Ok(out)
}
