//! What ends together, counted where the rows are: the store's side of `core/census.rs`.
//!
//! One pass over the index of ends, and then only the days that matter. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};

use notafter_core::UnixTime;
use notafter_core::census::{Crowd, HORIZON, MEMBERS_MAX, Member, hangs, matters};
use notafter_core::inventory::AssetKind;
use notafter_core::policy::Policy;
use notafter_core::subject::SubjectKey;
use notafter_pki::time::DAY;

use crate::db::{Conn, Result, args};
use crate::read::{CA, SUPERSEDED};
use crate::{Store, StoreError, texts};

impl Store {
    /// Everybody's crowds, those without an owner too. An owner about whom something was said before and who has none
    /// any more gets an empty one.
    ///
    /// # Errors
    /// The store's.
    pub fn crowds(
        &self,
        policy: &Policy,
        now: UnixTime,
    ) -> std::result::Result<BTreeMap<Option<String>, Crowd>, StoreError> {
        self.db.read(|c| {
            let mut out: BTreeMap<Option<String>, Crowd> = BTreeMap::new();
            for mut row in
                c.query("SELECT DISTINCT subject FROM finding_part WHERE subject LIKE 'crowd%'", &[])?
            {
                if let Some(SubjectKey::Crowd(owner)) = SubjectKey::parse(&row.text(0)?) {
                    out.insert(owner, Crowd::default());
                }
            }
            let sql = format!(
                "SELECT a.owner, a.not_after / {DAY}, count(*) FROM asset a WHERE {} GROUP BY 1, 2 ORDER BY 2",
                ours()
            );
            let mut names: BTreeMap<i64, String> = BTreeMap::new();
            for row in c.query(&sql, args![now, now.plus(HORIZON)])? {
                let number = row.maybe_int(0)?;
                let owner = match number {
                    None => None,
                    Some(number) => Some(match names.get(&number) {
                        Some(known) => known.clone(),
                        None => {
                            let mut word = c.one("SELECT text FROM word WHERE id = $1", args![number])?;
                            let name = word.text(0)?;
                            names.insert(number, name.clone());
                            name
                        }
                    }),
                };
                let (day, count) = (row.int(1)?, usize::try_from(row.int(2)?).unwrap_or(0));
                let crowd = out.entry(owner.clone()).or_default();
                crowd.days.push((day, count));
                let room = MEMBERS_MAX.saturating_sub(crowd.members.len());
                if room > 0 && matters(count, day, owner.as_deref(), policy) {
                    crowd.members.extend(members(c, number, day, now, room)?);
                }
            }
            let states = c.query("SELECT DISTINCT state FROM renewal WHERE gone IS NULL", &[])?;
            let states = states.into_iter().map(|row| row.int(0)).collect::<Result<BTreeSet<_>>>()?;
            let renewals = crate::queries::fetch::renewals(c, states)?;
            let hangs = hangs(renewals.iter().map(|(renewal, ..)| renewal));
            if !hangs.is_empty() {
                out.entry(None).or_default().hangs = hangs;
            }
            Ok(out)
        })
    }
}

/// Certificates in use that are no CA's, not superseded, and end in the time given.
fn ours() -> String {
    let kind = texts::kind_number(AssetKind::Certificate);
    let not = CA | SUPERSEDED;
    format!(
        "a.places > 0 AND a.not_after >= $1 AND a.not_after < $2 AND a.kind = {kind} AND (a.flags & {not}) = 0"
    )
}

fn members(
    c: &mut Conn<'_>,
    owner: Option<i64>,
    day: i64,
    now: UnixTime,
    most: usize,
) -> Result<Vec<Member>> {
    let sql = format!(
        "SELECT a.fp8, a.fp24, a.not_before, a.not_after,
           (SELECT l.text FROM placement p JOIN location l ON l.id = p.location
            WHERE p.asset = a.id AND p.gone IS NULL ORDER BY p.id LIMIT 1)
         FROM asset a WHERE {} AND a.owner IS NOT DISTINCT FROM $3 ORDER BY a.not_after LIMIT $4",
        ours()
    );
    let from = UnixTime((day * DAY).max(now.0));
    let mut out = Vec::new();
    for mut row in c.query(&sql, args![from, UnixTime((day + 1) * DAY), owner, most])? {
        let Some(place) = row.maybe_text(4)? else { continue };
        let ends = UnixTime(row.int(3)?);
        out.push(Member {
            asset: texts::join(row.int(0)?, &row.blob(1)?)?,
            begins: row.maybe_int(2)?.map_or(ends, UnixTime),
            ends,
            location: texts::location(&place)?,
        });
    }
    Ok(out)
}
