//! Copies of everything into one SQLite file, and the way back into either database.
//!
//! A copy is one moment: SQLite's own copying under a snapshot, one read-only transaction of PostgreSQL. Nothing is
//! ever overwritten, and no copy is believed before every page of it was checked.

use std::fs;
use std::path::{Path, PathBuf};

use notafter_core::UnixTime;

use crate::db::{Cell, Conn, Db, Result, Value, args, other};
use crate::{Database, Store, StoreError, Trouble, migrate};

/// Rows that go over at once.
const CHUNK: usize = 2000;

impl Store {
    /// Copies everything into a new SQLite file while others go on reading and writing, and checks the copy.
    ///
    /// # Errors
    /// The file is there already, the disk is full, the source is damaged.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        match self.db.copy_to(to) {
            Some(copied) => copied?,
            None => {
                let made = export(&self.db, to);
                if made.is_err() && !made.as_ref().is_err_and(is_there) {
                    let _ = fs::remove_file(to);
                }
                made?;
            }
        }
        let copy = Db::open_backup(to)?;
        copy.check(true)?;
        same_counts(&copy)
    }

    /// Replaces everything by what a backup holds, after checking it. A SQLite file that was there is kept beside
    /// it as `*.before-restore`. No other process may have the database open meanwhile; a server on PostgreSQL is noticed.
    ///
    /// # Errors
    /// The backup is damaged or newer than this program.
    pub fn restore(database: &Database, from: &Path, now: UnixTime) -> Result<Self, StoreError> {
        let backup = Db::open_backup(from)?;
        backup.check(true)?;
        migrate::known(&backup)?;
        match database {
            Database::File(path) => {
                let moved = move_aside(path)?;
                if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                    fs::create_dir_all(parent)
                        .map_err(|e| other(format!("making the folder {}: {e}", parent.display())))?;
                }
                let copied = backup.copy_to(path).unwrap_or_else(|| Err(other("a backup is a SQLite file")));
                if let Err(error) = copied {
                    // Back to what was there: a restore that failed must not take anything away.
                    for (aside, place) in moved.iter().rev() {
                        let _ = fs::rename(aside, place);
                    }
                    return Err(error);
                }
                Self::open(database, now)
            }
            Database::Memory | Database::Postgres(_) => {
                let store = Self::open(database, now)?;
                // Not under a running server: it would go on with what it remembers of the old rows.
                store.claim()?;
                import(&backup, &store.db)?;
                Ok(store)
            }
        }
    }
}

fn is_there(error: &StoreError) -> bool {
    error.hint.as_deref().is_some_and(|hint| hint.contains("nothing is ever overwritten"))
}

/// Moves the database and what belongs to it out of the way; what was moved, and from where.
fn move_aside(path: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut moved = Vec::new();
    if fs::symlink_metadata(path).is_err() {
        return Ok(moved);
    }
    let with = |path: &Path, ending: &str| {
        let mut name = path.to_path_buf().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = (0..1000)
        .map(|n| {
            with(path, &if n == 0 { ".before-restore".to_owned() } else { format!(".before-restore-{n}") })
        })
        .find(|free| fs::symlink_metadata(free).is_err())
        .ok_or_else(|| other("there are a thousand files from before a restore: remove some"))?;
    for ending in ["", "-wal", "-shm"] {
        let (from, to) = (with(path, ending), with(&aside, ending));
        if fs::symlink_metadata(&from).is_ok() {
            fs::rename(&from, &to).map_err(|e| other(format!("moving {} aside: {e}", from.display())))?;
            moved.push((to, from));
        }
    }
    Ok(moved)
}

/// The tables with their columns, in the order of their names; the record of migrations is each database's own.
fn tables(db: &Db) -> Result<Vec<(String, Vec<String>)>> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    for mut row in db.read(|c| c.query(db.dialect().columns(), &[]))? {
        let (table, column) = (row.text(0)?, row.text(1)?);
        if table == "migration" {
            continue;
        }
        match out.last_mut().filter(|(name, _)| *name == table) {
            Some((_, columns)) => columns.push(column),
            None => out.push((table, vec![column])),
        }
    }
    Ok(out)
}

/// PostgreSQL into a new SQLite file.
fn export(from: &Db, to: &Path) -> Result<()> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(StoreError {
            trouble: Trouble::Other,
            context: format!("{} is there already", to.display()),
            hint: Some("nothing is ever overwritten: name a file that does not exist".into()),
        });
    }
    let target = Db::open(&Database::File(to.to_path_buf()))?;
    migrate::migrate(&target, migrate::STEPS, UnixTime(0))?;
    copy(from, &target)?;
    target.seal()
}

/// A backup into a database that may hold something: all of it is replaced, in one transaction.
fn import(backup: &Db, target: &Db) -> Result<()> {
    let shape = |db: &Db| db.read(|c| c.query(db.dialect().columns(), &[]));
    if shape(backup)? != shape(target)? {
        return Err(StoreError {
            trouble: Trouble::Other,
            context: "the backup has an older schema than this database".into(),
            hint: Some(
                "restore it into a SQLite file first, and that file's backup into this database".into(),
            ),
        });
    }
    copy(backup, target)
}

fn copy(from: &Db, to: &Db) -> Result<()> {
    let tables = tables(to)?;
    from.read(|source| {
        source.unhurried()?;
        to.write_once(|target| {
            target.unhurried()?;
            for (table, columns) in &tables {
                target.execute(&format!("DELETE FROM {table}"), &[])?;
                table_rows(source, target, table, columns)?;
            }
            Ok(())
        })
    })
}

fn table_rows(source: &mut Conn<'_>, target: &mut Conn<'_>, table: &str, columns: &[String]) -> Result<()> {
    let list = columns.join(", ");
    let markers: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    let insert = format!("INSERT INTO {table} ({list}) VALUES ({})", markers.join(", "));
    let mut waiting: Vec<Vec<Cell>> = Vec::with_capacity(CHUNK);
    source.each(&format!("SELECT {list} FROM {table}"), &[], |row| {
        waiting.push(row.0);
        if waiting.len() >= CHUNK { put(target, &insert, &mut waiting) } else { Ok(()) }
    })?;
    put(target, &insert, &mut waiting)
}

fn put(target: &mut Conn<'_>, insert: &str, waiting: &mut Vec<Vec<Cell>>) -> Result<()> {
    let rows: Vec<Vec<Value<'_>>> =
        waiting.iter().map(|row| row.iter().map(Cell::as_value).collect()).collect();
    target.execute_many(insert, &rows)?;
    waiting.clear();
    Ok(())
}

/// A copy that lost rows without losing a page would pass every check of pages.
fn same_counts(copy: &Db) -> Result<()> {
    copy.read(|c| {
        let noted = c.first("SELECT count FROM total WHERE name = 'assets_ever'", args![])?;
        let noted = noted.map(|row| row.int(0)).transpose()?.unwrap_or(0);
        let counted = c.one("SELECT count(*) FROM asset", &[])?.int(0)?;
        let bytes = c.one("SELECT count(*) FROM der", &[])?.int(0)?;
        if noted == counted && counted == bytes {
            return Ok(());
        }
        Err(crate::db::corrupt(format!(
            "the copy holds {counted} assets and the bytes of {bytes}, not {noted}"
        )))
    })
}
