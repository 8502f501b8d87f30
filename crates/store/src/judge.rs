//! What is due for judgment, with everything that a judge must see beside it; and the verdicts, kept.

use notafter_core::UnixTime;
use notafter_core::finding::Finding;
use notafter_core::inventory::Inventory;
use notafter_core::subject::SubjectKey;

mod load;
mod verdict;

pub(crate) use load::last_seen;
pub(crate) use verdict::{merge, set_owner};

use crate::db::args;
use crate::ledger::Ledger;
use crate::{Store, StoreError, texts};

/// A subject that is due, and the token under which it was found so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub subject: SubjectKey,
    /// Changes when the subject is touched again; a verdict given under an old token leaves it due.
    pub token: i64,
}

/// Whom a person named, by asset.
pub type Hands = std::collections::HashMap<notafter_core::Fingerprint, String>;

/// What judges one part of the inventory: the subjects, and all that stands beside them.
pub struct Part {
    /// Loaded: the subjects, everything at the same server names and in the same folders, the chains, candidate
    /// issuers up to a root, later certificates for the same names, what depends on a CA among them, links.
    pub inventory: Inventory,
    /// What is to be judged in it.
    pub due: Vec<Due>,
    /// Whom a person named for an asset among these: a rule's answer does not count there.
    pub hands: Hands,
}

/// A verdict.
#[derive(Clone, Debug)]
pub struct Judged {
    /// About what.
    pub due: Due,
    /// What is wrong with it. Empty: nothing, any more.
    pub findings: Vec<Finding>,
    /// When time alone can change that.
    pub holds_until: Option<UnixTime>,
    /// Who answers for it, for an asset.
    pub owner: Option<String>,
    /// The role of each placement by location, where judgment changed it (a folder of roots).
    pub roles: Vec<(notafter_core::location::Location, notafter_core::inventory::Role)>,
}

/// What verdicts changed, by finding id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct FindingChanges {
    pub opened: Vec<String>,
    pub changed: Vec<String>,
    pub resolved: Vec<String>,
}

impl Store {
    /// The subjects that are due at `now`, most urgent first, so many at most.
    ///
    /// What was touched comes first, in the order of the changes; then what time has made due.
    ///
    /// # Errors
    /// The store's.
    pub fn due(&self, now: UnixTime, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.db.read(|c| {
            let assets = c.query(
                "SELECT judge_at, fp8, fp24 FROM asset WHERE judge_at <= $1 ORDER BY judge_at LIMIT $2",
                args![now, limit],
            )?;
            let others = c.query(
                "SELECT judge_at, subject FROM subject_due WHERE judge_at <= $1 ORDER BY judge_at LIMIT $2",
                args![now, limit],
            )?;
            let mut out = Vec::with_capacity(assets.len() + others.len());
            for mut row in assets {
                let subject = SubjectKey::Asset(texts::join(row.int(1)?, &row.blob(2)?)?);
                out.push(Due { subject, token: row.int(0)? });
            }
            for mut row in others {
                if let Some(subject) = SubjectKey::parse(&row.text(1)?) {
                    out.push(Due { subject, token: row.int(0)? });
                }
            }
            out.sort_by_key(|due| due.token);
            out.truncate(limit);
            Ok(out)
        })
    }

    /// When the next subject is due.
    ///
    /// # Errors
    /// The store's.
    pub fn next_due(&self) -> Result<Option<UnixTime>, StoreError> {
        self.db.read(|c| {
            let mut next = None;
            for sql in [
                "SELECT min(judge_at) FROM asset WHERE judge_at IS NOT NULL",
                "SELECT min(judge_at) FROM subject_due",
            ] {
                let at = c.one(sql, &[])?.maybe_int(0)?;
                next = match (next, at) {
                    (Some(a), Some(b)) => Some(i64::min(a, b)),
                    (a, b) => a.or(b),
                };
            }
            // Touched: at once, which is no instant of any clock.
            Ok(next.map(|at| UnixTime(at.max(0))))
        })
    }

    /// Makes everything due: the rules, the owners or the trust stores are others now.
    ///
    /// # Errors
    /// The store's.
    pub fn all_due(&self) -> Result<(), StoreError> {
        self.db.write(|c| {
            let mut ledger = Ledger::default();
            let token = ledger.token(c)?;
            c.execute("UPDATE asset SET judge_at = $1", args![token])?;
            let mut subjects = std::collections::BTreeSet::new();
            c.each(
                "SELECT DISTINCT l.text FROM placement p JOIN location l ON l.id = p.location
                 WHERE p.gone IS NULL AND p.role = 0 AND l.text LIKE '%?sni=%'",
                &[],
                |mut row| {
                    let location = texts::location(&row.text(0)?)?;
                    subjects.extend(crate::places::name_subject(&location).map(|s| s.to_string()));
                    Ok(())
                },
            )?;
            for (table, prefix) in [("keyseen", "key "), ("blind", "blind ")] {
                let sql = format!(
                    "SELECT DISTINCT l.text FROM {table} t JOIN location l ON l.id = t.location WHERE t.gone IS NULL"
                );
                c.each(&sql, &[], |mut row| {
                    subjects.insert(format!("{prefix}{}", row.text(0)?));
                    Ok(())
                })?;
            }
            // Sources, owners and the server itself: whatever was judged before.
            c.each(
                "SELECT subject FROM subject_due UNION SELECT subject FROM finding_part
                 WHERE subject NOT LIKE 'asset %' AND subject NOT LIKE 'crowd%'",
                &[],
                |mut row| {
                    subjects.insert(row.text(0)?);
                    Ok(())
                },
            )?;
            crate::ledger::subjects_due(c, &subjects, token)
        })
    }

    /// Makes subjects due that no observation touches: a source, an owner, the server itself.
    ///
    /// # Errors
    /// The store's.
    pub fn touch(&self, subjects: &[SubjectKey]) -> Result<(), StoreError> {
        self.db.write(|c| {
            let mut ledger = Ledger::default();
            for subject in subjects {
                match subject {
                    SubjectKey::Asset(id) => {
                        if let Some(asset) = crate::queries::asset_number(c, id)? {
                            ledger.touch(asset);
                        }
                    }
                    other => ledger.touch_subject(other),
                }
            }
            ledger.settle(c).map(|_| ())
        })
    }

    /// Loads what judges these.
    ///
    /// # Errors
    /// The store's.
    pub fn load(&self, due: Vec<Due>, now: UnixTime) -> Result<Part, StoreError> {
        let _ = now;
        let (inventory, hands) = self.db.read(|c| load::Loader::new(&self.shelf, c).part(&due))?;
        Ok(Part { inventory, due, hands })
    }

    /// A verdict could not be had: the subject is judged again at that time, and nothing that was found of it is over.
    ///
    /// # Errors
    /// The store's.
    pub fn put_off(&self, due: &Due, until: UnixTime) -> Result<(), StoreError> {
        self.db.write(|c| verdict::put_off(c, due, until))
    }

    /// Keeps verdicts: findings open, change and resolve; owners and next instants are noted. One transaction.
    ///
    /// A finding may come from several subjects: it is resolved when the last of them no longer gives it.
    ///
    /// # Errors
    /// The store's.
    pub fn judged(&self, judged: &[Judged], now: UnixTime) -> Result<FindingChanges, StoreError> {
        if judged.is_empty() {
            return Ok(FindingChanges::default());
        }
        self.db.write(|c| verdict::keep(c, judged, now))
    }
}
