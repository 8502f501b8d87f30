//! The databases: one way to speak to SQLite and to PostgreSQL. The only file, with its folder, that names a driver.
//!
//! Statements are written once with `$1` markers; where one database needs other words, both forms stand below,
//! side by side. There is one writer at a time on either (a lock in PostgreSQL, too), so that numbers can be given
//! out by the program and a batch be decided on before it is written. No statement of the store lives here.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::{Database, StoreError, Trouble};

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A bound parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

macro_rules! value_from {
    ($($type:ty => |$v:ident| $e:expr;)*) => {
        $(impl<'a> From<$type> for Value<'a> { fn from($v: $type) -> Self { $e } })*
    };
}
value_from! {
    i64 => |v| Self::Int(v);
    u64 => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX));
    u32 => |v| Self::Int(v.into());
    usize => |v| Self::Int(i64::try_from(v).unwrap_or(i64::MAX));
    bool => |v| Self::Int(v.into());
    notafter_core::UnixTime => |v| Self::Int(v.0);
    &'a str => |v| Self::Text(v);
    &'a String => |v| Self::Text(v);
    &'a [u8] => |v| Self::Blob(v);
    &'a Vec<u8> => |v| Self::Blob(v);
}
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::db::Value::from($value)),*][..] };
}
pub(crate) use args;

/// One value that came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Cell {
    pub(crate) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(v) => Value::Int(*v),
            Self::Text(v) => Value::Text(v),
            Self::Blob(v) => Value::Blob(v),
        }
    }
}

/// One row that came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Cell>);

impl Row {
    fn cell(&mut self, at: usize) -> Cell {
        self.0.get_mut(at).map_or(Cell::Null, |c| std::mem::replace(c, Cell::Null))
    }

    pub(crate) fn int(&self, at: usize) -> Result<i64> {
        self.maybe_int(at)?.ok_or_else(|| odd(at, "no number"))
    }

    pub(crate) fn maybe_int(&self, at: usize) -> Result<Option<i64>> {
        match self.0.get(at) {
            Some(Cell::Int(v)) => Ok(Some(*v)),
            Some(Cell::Null) | None => Ok(None),
            Some(_) => Err(odd(at, "not a number")),
        }
    }

    pub(crate) fn count(&self, at: usize) -> Result<u64> {
        Ok(u64::try_from(self.maybe_int(at)?.unwrap_or(0)).unwrap_or(0))
    }

    pub(crate) fn text(&mut self, at: usize) -> Result<String> {
        self.maybe_text(at)?.ok_or_else(|| odd(at, "no text"))
    }

    pub(crate) fn maybe_text(&mut self, at: usize) -> Result<Option<String>> {
        match self.cell(at) {
            Cell::Text(v) => Ok(Some(v)),
            Cell::Null => Ok(None),
            _ => Err(odd(at, "not a text")),
        }
    }

    pub(crate) fn blob(&mut self, at: usize) -> Result<Vec<u8>> {
        self.maybe_blob(at)?.ok_or_else(|| odd(at, "no bytes"))
    }

    pub(crate) fn maybe_blob(&mut self, at: usize) -> Result<Option<Vec<u8>>> {
        match self.cell(at) {
            Cell::Blob(v) => Ok(Some(v)),
            Cell::Null => Ok(None),
            _ => Err(odd(at, "not bytes")),
        }
    }
}

/// A value of another type than was ever written: the file was changed by somebody else, or is damaged.
fn odd(at: usize, what: &str) -> StoreError {
    corrupt(format!("a row of the database is not as it was written: column {at} is {what}"))
}

/// A damaged memory.
pub(crate) fn corrupt(context: impl Into<String>) -> StoreError {
    StoreError {
        trouble: Trouble::Corrupt,
        context: context.into(),
        hint: Some(
            "stop, keep the file for a look, and restore the last backup: notafter restore FILE".into(),
        ),
    }
}

/// Any other failure.
pub(crate) fn other(context: impl Into<String>) -> StoreError {
    StoreError { trouble: Trouble::Other, context: context.into(), hint: None }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

/// How long a write waits for another process that holds the lock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[allow(clippy::large_enum_variant, reason = "a program has one")]
enum Engine {
    Sqlite(sqlite::Pool),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Pool),
}

/// The database.
pub(crate) struct Db {
    engine: Engine,
    /// What the last write that failed said; `None` once one that wrote something succeeded.
    trouble: Mutex<Option<String>>,
    /// Damage that was met: from then on nothing is written until the memory is opened anew.
    damage: OnceLock<StoreError>,
}

/// A connection while it is lent.
pub(crate) struct Conn<'c> {
    link: Link<'c>,
    /// Rows touched so far.
    wrote: u64,
}

enum Link<'c> {
    Sqlite(&'c rusqlite::Connection),
    #[cfg(feature = "postgres")]
    Postgres(&'c mut postgres::Client),
}

impl<'c> Conn<'c> {
    fn sqlite(connection: &'c rusqlite::Connection) -> Self {
        Self { link: Link::Sqlite(connection), wrote: 0 }
    }

    #[cfg(feature = "postgres")]
    fn postgres(client: &'c mut postgres::Client) -> Self {
        Self { link: Link::Postgres(client), wrote: 0 }
    }
}

/// Work of a write with how many rows it touched.
fn counted<T>(mut conn: Conn<'_>, work: impl FnOnce(&mut Conn<'_>) -> Result<T>) -> Result<(T, u64)> {
    let value = work(&mut conn)?;
    Ok((value, conn.wrote))
}

impl Db {
    pub(crate) fn open(database: &Database) -> Result<Self> {
        let engine = match database {
            Database::File(path) => Engine::Sqlite(sqlite::Pool::open(Some(path))?),
            Database::Memory => Engine::Sqlite(sqlite::Pool::open(None)?),
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => Engine::Postgres(postgres::Pool::open(url)?),
            #[cfg(not(feature = "postgres"))]
            Database::Postgres(_) => return Err(other("this program was built without PostgreSQL")),
        };
        Ok(Self { engine, trouble: Mutex::new(None), damage: OnceLock::new() })
    }

    /// Opens a SQLite file that is only read: a backup.
    pub(crate) fn open_backup(path: &Path) -> Result<Self> {
        let engine = Engine::Sqlite(sqlite::Pool::open_read_only(path)?);
        Ok(Self { engine, trouble: Mutex::new(None), damage: OnceLock::new() })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.engine {
            Engine::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Reads: a connection of its own, beside the writer. One snapshot for all of it. The work begins anew when the
    /// connection turns out to have gone before anything was answered.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&mut Conn<'_>) -> Result<T>) -> Result<T> {
        let done = match &self.engine {
            Engine::Sqlite(pool) => pool.read(|c| work(&mut Conn::sqlite(c))),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.read(|c| work(&mut Conn::postgres(c))),
        };
        done.inspect_err(|error| self.met(error))
    }

    /// Writes: one transaction, kept whole or not at all. The work may be done again when it came to nothing because
    /// another session was in the way or the connection went.
    pub(crate) fn write<T>(&self, work: impl Fn(&mut Conn<'_>) -> Result<T>) -> Result<T> {
        self.sound()?;
        let done = match &self.engine {
            Engine::Sqlite(pool) => pool.write(|c| counted(Conn::sqlite(c), &work)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.write(|c| counted(Conn::postgres(c), &work)),
        };
        self.written(done)
    }

    /// The same, and on the disk when it returns: for what is noted before something is done outside that cannot be taken
    /// back. PostgreSQL keeps every commit so, unless its administrator said otherwise.
    pub(crate) fn write_through<T>(&self, work: impl Fn(&mut Conn<'_>) -> Result<T>) -> Result<T> {
        self.sound()?;
        let done = match &self.engine {
            Engine::Sqlite(pool) => pool.write_through(|c| counted(Conn::sqlite(c), &work)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.write(|c| counted(Conn::postgres(c), &work)),
        };
        self.written(done)
    }

    /// The same for work that cannot be done twice.
    pub(crate) fn write_once<T>(&self, work: impl FnOnce(&mut Conn<'_>) -> Result<T>) -> Result<T> {
        self.sound()?;
        let done = match &self.engine {
            Engine::Sqlite(pool) => pool.write(|c| counted(Conn::sqlite(c), work)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.write_once(|c| counted(Conn::postgres(c), work)),
        };
        self.written(done)
    }

    /// What was met damaged is not written to: that could only spread it.
    fn sound(&self) -> Result<()> {
        self.damage.get().map_or(Ok(()), |damage| Err(damage.clone()))
    }

    fn met(&self, error: &StoreError) {
        if error.trouble == Trouble::Corrupt {
            let _ = self.damage.set(error.clone());
        }
    }

    /// Notes how a write ended. One that changed no row took no room on the disk: it proves nothing.
    fn written<T>(&self, done: Result<(T, u64)>) -> Result<T> {
        let trouble = match &done {
            Ok((_, 0)) => return done.map(|(value, _)| value),
            Ok(_) => None,
            Err(error) => {
                self.met(error);
                Some(error.to_string())
            }
        };
        *self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = trouble;
        done.map(|(value, _)| value)
    }

    /// Takes the place of the one server of this database, until this is dropped. A file has a lock beside it.
    pub(crate) fn claim(&self) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.claim(),
        }
    }

    /// What the last write said, if it failed.
    pub(crate) fn trouble(&self) -> Option<String> {
        if let Some(damage) = self.damage.get() {
            return Some(damage.to_string());
        }
        self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// How long a write waits for the lock of another process.
    pub(crate) fn set_patience(&self, patience: Duration) {
        match &self.engine {
            Engine::Sqlite(pool) => pool.set_patience(patience),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.set_patience(patience),
        }
    }

    /// This program is about to end: a database server that says nothing is not waited for.
    pub(crate) fn begin_end(&self) {
        match &self.engine {
            Engine::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.begin_end(),
        }
    }

    /// Name and version, and bytes on disk.
    pub(crate) fn describe(&self) -> (String, Option<u64>) {
        match &self.engine {
            Engine::Sqlite(pool) => (format!("sqlite {}", rusqlite::version()), pool.bytes()),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => {
                let asked = self.read(|c| {
                    let mut row = c.one(
                        "SELECT current_setting('server_version'), cast(pg_database_size(current_database()) AS bigint)",
                        &[],
                    )?;
                    Ok((row.text(0)?, row.count(1)?))
                });
                asked.map_or(("postgresql".into(), None), |(v, n)| (format!("postgresql {v}"), Some(n)))
            }
        }
    }

    /// Is every page as it should be, as far as the database itself can say? `thorough`: all of them.
    pub(crate) fn check(&self, thorough: bool) -> Result<()> {
        match &self.engine {
            Engine::Sqlite(pool) => pool.check(thorough),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => self.read(|c| c.one("SELECT 1", &[]).map(|_| ())),
        }
    }

    /// SQLite's own copy of a database that others go on writing to.
    pub(crate) fn copy_to(&self, path: &Path) -> Option<Result<()>> {
        match &self.engine {
            Engine::Sqlite(pool) => Some(pool.copy_to(path)),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => None,
        }
    }

    /// Makes one file of a SQLite database, without a log beside it.
    pub(crate) fn seal(self) -> Result<()> {
        match self.engine {
            Engine::Sqlite(pool) => pool.seal(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Writes the log back into the file.
    pub(crate) fn settle(&self) {
        match &self.engine {
            Engine::Sqlite(pool) => pool.settle(),
            #[cfg(feature = "postgres")]
            Engine::Postgres(pool) => pool.settle(),
        }
    }
}

impl Conn<'_> {
    pub(crate) fn dialect(&self) -> Dialect {
        match self.link {
            Link::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Link::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement; how many rows it touched.
    pub(crate) fn execute(&mut self, sql: &str, args: &[Value<'_>]) -> Result<u64> {
        let touched = match &mut self.link {
            Link::Sqlite(c) => sqlite::execute(c, sql, args),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.execute(sql, args),
        }?;
        self.wrote += touched;
        Ok(touched)
    }

    /// Runs one statement for each set of parameters: prepared once, in one go on the wire.
    pub(crate) fn execute_many(&mut self, sql: &str, all: &[Vec<Value<'_>>]) -> Result<u64> {
        let touched = match &mut self.link {
            Link::Sqlite(c) => sqlite::execute_many(c, sql, all),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.execute_many(sql, all),
        }?;
        self.wrote += touched;
        Ok(touched)
    }

    /// All rows.
    pub(crate) fn query(&mut self, sql: &str, args: &[Value<'_>]) -> Result<Vec<Row>> {
        let rows = match &mut self.link {
            Link::Sqlite(c) => sqlite::query(c, sql, args),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.query(sql, args),
        }?;
        // `INSERT ... RETURNING`.
        self.wrote += if sql.starts_with("SELECT") { 0 } else { rows.len() as u64 };
        Ok(rows)
    }

    /// All rows of one query for each set of parameters.
    pub(crate) fn query_many(&mut self, sql: &str, all: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Row>>> {
        match &mut self.link {
            Link::Sqlite(c) => sqlite::query_many(c, sql, all),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.query_many(sql, all),
        }
    }

    /// Rows one by one, in bounded memory.
    pub(crate) fn each(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        mut row: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        match &mut self.link {
            Link::Sqlite(c) => sqlite::each(c, sql, args, &mut row),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.each(sql, args, &mut row),
        }
    }

    /// The first row.
    pub(crate) fn first(&mut self, sql: &str, args: &[Value<'_>]) -> Result<Option<Row>> {
        Ok(self.query(sql, args)?.into_iter().next())
    }

    /// The only row.
    pub(crate) fn one(&mut self, sql: &str, args: &[Value<'_>]) -> Result<Row> {
        self.first(sql, args)?.ok_or_else(|| other("the database gave no row where there is always one"))
    }

    /// What follows in this transaction may take as long as it needs.
    pub(crate) fn unhurried(&mut self) -> Result<()> {
        match &mut self.link {
            Link::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.unhurried(),
        }
    }

    /// Several statements without parameters.
    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        self.wrote += 1;
        match &mut self.link {
            Link::Sqlite(c) => sqlite::script(c, sql),
            #[cfg(feature = "postgres")]
            Link::Postgres(c) => c.script(sql),
        }
    }
}

// What the two say in different words.
impl Dialect {
    /// Is a number in a list that is bound as one JSON text? A list has no bound, parameters do.
    pub(crate) fn in_list(self, column: &str, marker: usize) -> String {
        match self {
            Self::Sqlite => format!("{column} IN (SELECT value FROM json_each(${marker}))"),
            #[cfg(feature = "postgres")]
            Self::Postgres => format!(
                "{column} IN (SELECT cast(value AS bigint) FROM json_array_elements_text(cast(cast(${marker} AS text) AS json)))"
            ),
        }
    }

    /// The tables of the schema with their columns, and the columns that make a row's identity.
    pub(crate) fn columns(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT m.name, c.name, CASE c.type WHEN 'INTEGER' THEN 'bigint' ELSE lower(c.type) END,
                        CASE WHEN c.\"notnull\" = 1 OR c.pk > 0 THEN 1 ELSE 0 END
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, c.cid"
            }
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                "SELECT cast(table_name AS text), cast(column_name AS text),
                        CASE data_type WHEN 'bytea' THEN 'blob' ELSE cast(data_type AS text) END,
                        cast(CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END AS bigint)
                 FROM information_schema.columns WHERE table_schema = current_schema()
                 ORDER BY table_name COLLATE \"C\", ordinal_position"
            }
        }
    }

    /// Bytes by table and index.
    pub(crate) fn sizes(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC",
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                "SELECT cast(c.relname AS text), cast(pg_relation_size(c.oid) AS bigint) FROM pg_class c
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'i') ORDER BY 2 DESC"
            }
        }
    }

    /// Does a table exist?
    pub(crate) fn table_exists(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND cast(table_name AS text) = $1"
            }
        }
    }
}
