//! What shows itself to those who ask for a server name, whatever the certificate there is for.
//!
//! A list by `name:` finds certificates by their names; a server that shows another one is not in it. Here are the places
//! that were ever seen with a certificate of the name, and those that are usual for it.

use std::collections::BTreeSet;

use notafter_core::UnixTime;
use notafter_core::location::Location;
use notafter_core::query::NamePattern;
use notafter_core::subject::SubjectKey;

use super::{Sort, fetch};
use crate::db::{Conn, Result, Row, Value, args};
use crate::ledger::AT_ENDPOINT;
use crate::places::{group_range, name_group, names_below, reversed};
use crate::rows::{AssetRow, PlacementRow};
use crate::{Store, StoreError, texts};

/// So many places are looked up.
const PLACES_MAX: usize = 2_000;

/// What stands at the places of a name.
#[derive(Clone, Debug, Default)]
pub struct AtName {
    /// What is shown there.
    pub shown: Vec<(AssetRow, PlacementRow)>,
    /// Where nothing is known to be shown, and nothing answered at the last look.
    pub blind: Vec<(Location, UnixTime)>,
}

impl Store {
    /// What is at endpoints that are asked for a name: wherever a certificate of the name was ever seen, and at the
    /// `usual` schemes and ports where the name is an exact one.
    ///
    /// # Errors
    /// The store's.
    pub fn at_name(&self, pattern: &NamePattern, usual: &[(&str, u16)]) -> Result<AtName, StoreError> {
        self.db.read(|c| {
            let mut out = AtName::default();
            for (place, location) in places(c, pattern, usual)? {
                let found = fetch::placements(
                    c,
                    "p.location = $1 AND p.gone IS NULL ORDER BY p.id LIMIT $2",
                    args![place, PLACES_MAX],
                )?;
                if found.is_empty() {
                    let blind = c.first(
                        "SELECT since FROM blind WHERE location = $1 AND gone IS NULL",
                        args![place],
                    )?;
                    if let Some(row) = blind {
                        out.blind.push((location, UnixTime(row.int(0)?)));
                    }
                    continue;
                }
                for (_, placement) in found {
                    let (fp8, fp24) = texts::split(&placement.asset);
                    let row = c.one("SELECT id FROM asset WHERE fp8 = $1 AND fp24 = $2", args![fp8, fp24])?;
                    let asset = fetch::assets(c, &self.known, &[row.int(0)?], Sort::Ends)?;
                    out.shown.extend(asset.into_iter().next().map(|asset| (asset, placement)));
                }
            }
            Ok(out)
        })
    }
}

/// The endpoints that are asked for it, each once.
fn places(c: &mut Conn<'_>, pattern: &NamePattern, usual: &[(&str, u16)]) -> Result<Vec<(i64, Location)>> {
    let mut rows = match pattern {
        NamePattern::Exact(name) => ever(c, "name = $2", &[(&reversed(name)).into()])?,
        NamePattern::Below(name) | NamePattern::Tree(name) => {
            let top = reversed(name);
            let (from, to) = names_below(&top);
            let or = if matches!(pattern, NamePattern::Tree(_)) { " OR name = $4" } else { "" };
            let found = format!("(name >= $2 AND name < $3){or}");
            ever(c, &found, &[(&from).into(), (&to).into(), (&top).into()])?
        }
    };
    if let NamePattern::Exact(name) = pattern {
        for (scheme, port) in usual {
            let subject =
                SubjectKey::Name { scheme: (*scheme).to_owned(), port: *port, name: name.to_owned() };
            let (low, high) = group_range(name_group(&subject));
            rows.extend(c.query(
                "SELECT id, text FROM location WHERE spot BETWEEN $1 AND $2 LIMIT $3",
                args![low, high, PLACES_MAX],
            )?);
        }
    }
    let mut known = BTreeSet::new();
    let mut out = Vec::new();
    for mut row in rows {
        let (id, location) = (row.int(0)?, texts::location(&row.text(1)?)?);
        if location.sni().is_some_and(|name| pattern.covers(name)) && known.insert(id) {
            out.push((id, location));
        }
    }
    Ok(out)
}

/// Endpoints at which a certificate with such names was ever seen.
fn ever(c: &mut Conn<'_>, names: &str, values: &[Value<'_>]) -> Result<Vec<Row>> {
    let sql = format!(
        "SELECT DISTINCT l.id, l.text FROM placement p JOIN location l ON l.id = p.location
         WHERE (p.flags & {AT_ENDPOINT}) <> 0 AND p.asset IN (SELECT asset FROM name WHERE {names}) LIMIT $1"
    );
    let all: Vec<Value<'_>> = std::iter::once(PLACES_MAX.into()).chain(values.iter().copied()).collect();
    c.query(&sql, &all)
}
