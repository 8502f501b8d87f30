//! SQLite: one file, one writer, readers beside it on the log's snapshot.
//!
//! The file and its folder are for their owner alone. What is no database of ours is refused, never overwritten.

mod log;

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::{Cell, PATIENCE, Result, Row, Value, corrupt, other};
use crate::{StoreError, Trouble};

/// Says in the file's header whose it is: "NotA".
const APPLICATION_ID: i64 = 0x4e6f_7441;
/// Up to this size every page is looked at when the file is opened; beyond it, that takes seconds.
const QUICK_CHECK_MAX: u64 = 64 << 20;
const HEADER: &[u8; 16] = b"SQLite format 3\0";
/// So many readers stay open.
const IDLE_MAX: usize = 8;

pub(crate) struct Pool {
    path: Option<PathBuf>,
    /// Before the writer: it must have come to rest when that closes.
    log: Option<log::Log>,
    writer: Mutex<Connection>,
    idle: Mutex<Vec<Connection>>,
    patience: Mutex<Duration>,
}

impl Pool {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        if let Some(path) = path {
            prepare_file(path)?;
        }
        let writer = connect(path, true)?;
        if path.is_some() {
            claim(&writer)?;
        }
        let pool = Self {
            path: path.map(Path::to_path_buf),
            log: path.map(log::Log::new),
            writer: Mutex::new(writer),
            idle: Mutex::new(Vec::new()),
            patience: Mutex::new(PATIENCE),
        };
        pool.check(false)?;
        Ok(pool)
    }

    pub(crate) fn open_read_only(path: &Path) -> Result<Self> {
        looks_like_ours(path)?;
        let writer = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | plain())
            .map_err(|e| failed(e, "opening the backup"))?;
        let id = number(&writer, "PRAGMA application_id")?;
        if id != APPLICATION_ID {
            return Err(not_ours(path));
        }
        Ok(Self {
            path: Some(path.to_path_buf()),
            log: None,
            writer: Mutex::new(writer),
            idle: Mutex::new(Vec::new()),
            patience: Mutex::new(PATIENCE),
        })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let Some(path) = &self.path else {
            // In memory there is one connection for all.
            return work(&self.writer());
        };
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => connect(Some(path), false)?,
        };
        script(&reader, "BEGIN")?;
        let done = work(&reader);
        if script(&reader, "COMMIT").is_ok() {
            let mut idle = self.idle();
            if idle.len() < IDLE_MAX {
                idle.push(reader);
            }
        }
        done
    }

    pub(crate) fn write<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.write_by(&self.writer(), work)
    }

    /// A write that is on the disk when this returns. Others may be lost by a power failure, the last ones of all: the
    /// log is brought to the disk when it is written back (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
    pub(crate) fn write_through<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let writer = self.writer();
        // It cannot be changed within a transaction, not even one that a panic left open.
        if !writer.is_autocommit() {
            let _ = script(&writer, "ROLLBACK");
        }
        script(&writer, "PRAGMA synchronous = FULL")?;
        let done = self.write_by(&writer, work);
        let _ = script(&writer, "PRAGMA synchronous = NORMAL");
        done
    }

    fn write_by<T>(&self, writer: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        // A panic in an earlier transaction left it open: nothing of it may be kept.
        if !writer.is_autocommit() {
            let _ = script(writer, "ROLLBACK");
        }
        script(writer, "BEGIN IMMEDIATE")?;
        let done = work(writer).and_then(|value| script(writer, "COMMIT").map(|()| value));
        if done.is_err() && !writer.is_autocommit() {
            let _ = script(writer, "ROLLBACK");
        }
        if let Some(log) = &self.log {
            log.written();
        }
        done
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        *self.patience.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = patience;
        let _ = self.writer().busy_timeout(patience);
    }

    pub(crate) fn bytes(&self) -> Option<u64> {
        let path = self.path.as_ref()?;
        let size = |p: &Path| fs::metadata(p).map(|m| m.len()).unwrap_or(0);
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        Some(size(path) + size(Path::new(&log)))
    }

    pub(crate) fn seal(self) -> Result<()> {
        if let Some(log) = &self.log {
            log.rest();
        }
        let writer = self.writer.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        drop(self.idle);
        script(&writer, "PRAGMA journal_mode = DELETE")
    }

    pub(crate) fn settle(&self) {
        let _ = script(&self.writer(), "PRAGMA wal_checkpoint(TRUNCATE)");
    }

    pub(crate) fn check(&self, thorough: bool) -> Result<()> {
        let small = self.bytes().unwrap_or(0) <= QUICK_CHECK_MAX;
        let pragma = match (thorough, small) {
            (true, _) => "PRAGMA integrity_check(10)",
            (false, true) => "PRAGMA quick_check(10)",
            // Every table is touched at its root, and the newest rows, where a torn write would show.
            (false, false) => return self.read(touch),
        };
        self.read(|c| {
            let found = query(c, pragma, &[])?;
            let lines: Vec<String> =
                found.into_iter().filter_map(|mut r| r.maybe_text(0).ok().flatten()).collect();
            match lines.as_slice() {
                [fine] if fine == "ok" => Ok(()),
                damage => Err(corrupt(format!("the database is damaged: {}", damage.join("; ")))),
            }
        })
    }

    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        create_new(path)?;
        let copied = self.read(|source| {
            let mut target = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | plain())
                .map_err(|e| failed(e, "opening the copy"))?;
            let backup = rusqlite::backup::Backup::new(source, &mut target)
                .map_err(|e| failed(e, "beginning the copy"))?;
            // The reader holds one snapshot, so all pages can go at once, and writers go on meanwhile.
            loop {
                match backup.step(4096).map_err(|e| failed(e, "copying"))? {
                    rusqlite::backup::StepResult::Done => break,
                    rusqlite::backup::StepResult::More => {}
                    _ => return Err(busy("copying")),
                }
            }
            drop(backup);
            // A copy is one file: no log beside it.
            script(&target, "PRAGMA journal_mode = DELETE")?;
            Ok(())
        });
        if copied.is_err() {
            let _ = fs::remove_file(path);
        }
        copied
    }
}

fn plain() -> OpenFlags {
    // Each connection is used by one thread at a time; no names with `file:` in front.
    OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn connect(path: Option<&Path>, writes: bool) -> Result<Connection> {
    let connection = match path {
        Some(path) => Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | plain()),
        None => Connection::open_in_memory(),
    };
    let connection = connection.map_err(|e| failed(e, "opening the database"))?;
    connection.busy_timeout(PATIENCE).map_err(|e| failed(e, "opening the database"))?;
    connection.set_prepared_statement_cache_capacity(256);
    if path.is_some() {
        // The page size holds only for a file that is still empty.
        if writes {
            script(&connection, "PRAGMA page_size = 8192")?;
            // Two who turn the file to a log at one moment may not wait for one another, so SQLite sends one of them
            // away at once.
            patiently(|| script(&connection, "PRAGMA journal_mode = WAL"))?;
            script(&connection, "PRAGMA wal_autocheckpoint = 64000")?;
        }
        script(&connection, "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864")?;
        // Who reads asks for rows from all over a file that may be large, and a page that is mapped costs no call.
        // Mapped pages are looked through anew at each use: whoever writes keeps his own in memory instead.
        let mapped = if writes { "PRAGMA mmap_size = 0" } else { "PRAGMA mmap_size = 2147418112" };
        script(&connection, mapped)?;
    }
    let cache = if writes { "PRAGMA cache_size = -262144" } else { "PRAGMA cache_size = -16384" };
    script(&connection, cache)?;
    script(&connection, "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF")?;
    if writes {
        // What is damaged must not spread. Who only reads is kept from harm by SQLite's own bounds, and would pay for this
        // at each use of a page.
        script(&connection, "PRAGMA cell_size_check = ON")?;
    }
    Ok(connection)
}

/// Again and again while somebody else holds the database, for as long as any other statement waits.
#[allow(clippy::disallowed_methods, reason = "as SQLite's own busy handler waits, and no longer")]
fn patiently(work: impl Fn() -> Result<()>) -> Result<()> {
    let (mut waited, pause) = (Duration::ZERO, Duration::from_millis(20));
    loop {
        match work() {
            Err(e) if e.trouble == Trouble::Busy && waited < PATIENCE => std::thread::sleep(pause),
            done => return done,
        }
        waited += pause;
    }
}

/// Makes the file if it is not there, and looks who could read or change it if it is.
fn prepare_file(path: &Path) -> Result<()> {
    let shown = path.display();
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode_0700()
            .create(folder)
            .map_err(|e| io(&e, &format!("making the folder {}", folder.display())))?;
    }
    let known = match fs::symlink_metadata(path) {
        Ok(known) => known,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => match create_new(path) {
            // Another process was faster by a moment.
            Err(_) if fs::symlink_metadata(path).is_ok() => return prepare_file(path),
            made => return made,
        },
        Err(e) => return Err(io(&e, &format!("looking at {shown}"))),
    };
    let me = rustix::process::geteuid().as_raw();
    if !known.is_file() {
        return Err(StoreError {
            trouble: Trouble::Other,
            context: format!("{shown} is not a plain file"),
            hint: Some("name the database file itself, not a link or a folder".into()),
        });
    }
    if known.uid() != me && me != 0 {
        return Err(StoreError {
            trouble: Trouble::ReadOnly,
            context: format!("{shown} belongs to another user (uid {})", known.uid()),
            hint: Some("run as that user, or choose another data folder".into()),
        });
    }
    if known.mode() & 0o077 != 0 {
        // It tells where every key lies: not for others to read.
        let closed = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, closed).map_err(|e| io(&e, &format!("closing {shown} to others")))?;
    }
    if known.len() > 0 { looks_like_ours(path) } else { Ok(()) }
}

trait Mode0700 {
    fn mode_0700(&mut self) -> &mut Self;
}
impl Mode0700 for fs::DirBuilder {
    fn mode_0700(&mut self) -> &mut Self {
        std::os::unix::fs::DirBuilderExt::mode(self, 0o700)
    }
}

/// A new file that was not there before, for its owner alone.
pub(super) fn create_new(path: &Path) -> Result<()> {
    let made = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    made.map(|_| ()).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => StoreError {
            trouble: Trouble::Other,
            context: format!("{} is there already", path.display()),
            hint: Some("nothing is ever overwritten: name a file that does not exist".into()),
        },
        _ => io(&e, &format!("making {}", path.display())),
    })
}

/// The first bytes, before SQLite touches anything.
fn looks_like_ours(path: &Path) -> Result<()> {
    use std::io::Read;
    let mut head = [0; 100];
    let mut file = fs::File::open(path).map_err(|e| io(&e, &format!("reading {}", path.display())))?;
    let mut got = 0;
    while got < head.len() {
        match file.read(&mut head[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) => return Err(io(&e, &format!("reading {}", path.display()))),
        }
    }
    let id = i64::from(u32::from_be_bytes([head[68], head[69], head[70], head[71]]));
    match (got == head.len(), head.starts_with(HEADER), id) {
        (true, true, APPLICATION_ID) => {}
        // Broken off before its first migration: nothing is in it yet, SQLite will say so.
        (true, true, 0) => return Ok(()),
        (true, true, _) => return Err(not_ours(path)),
        _ if id == APPLICATION_ID => {
            return Err(corrupt(format!("the header of {} is damaged", path.display())));
        }
        _ => return Err(not_ours(path)),
    }
    // A file cut off is seen by its length before any page is missed.
    let size = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65536,
        n => u64::from(n),
    };
    let pages = u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]));
    let length = file.metadata().map(|m| m.len()).unwrap_or(0);
    let log = fs::metadata(with_ending(path, "-wal")).map(|m| m.len()).unwrap_or(0);
    if length < size.saturating_mul(pages) && log == 0 {
        return Err(corrupt(format!(
            "{} is cut off: {length} bytes are there of {}",
            path.display(),
            size.saturating_mul(pages)
        )));
    }
    Ok(())
}

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    name.push(ending);
    name.into()
}

fn not_ours(path: &Path) -> StoreError {
    StoreError {
        trouble: Trouble::Other,
        context: format!("{} is not a database of Notafter", path.display()),
        hint: Some("name another file; this one is left as it is".into()),
    }
}

/// Marks a new file as ours; refuses somebody else's database.
fn claim(writer: &Connection) -> Result<()> {
    if number(writer, "PRAGMA application_id")? == APPLICATION_ID {
        return Ok(());
    }
    // Whoever claims an empty file at the same moment is waited for.
    script(writer, "BEGIN IMMEDIATE")?;
    let claimed = claim_alone(writer);
    script(writer, if claimed.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    claimed
}

fn claim_alone(writer: &Connection) -> Result<()> {
    match number(writer, "PRAGMA application_id")? {
        APPLICATION_ID => Ok(()),
        0 if number(writer, "SELECT count(*) FROM sqlite_master")? == 0 => {
            script(writer, &format!("PRAGMA application_id = {APPLICATION_ID}"))
        }
        _ => Err(StoreError {
            trouble: Trouble::Other,
            context: "the file is a database, but not one of Notafter".into(),
            hint: Some("name another file; this one is left as it is".into()),
        }),
    }
}

fn touch(c: &Connection) -> Result<()> {
    let mut tables =
        query(c, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", &[])?;
    for row in &mut tables {
        // The name is the schema's own, and quoted all the same.
        let table = row.text(0)?.replace('"', "\"\"");
        query(c, &format!("SELECT * FROM \"{table}\" LIMIT 1"), &[])?;
    }
    for table in ["asset", "placement", "location", "der"] {
        let key = if table == "der" { "asset" } else { "id" };
        query(c, &format!("SELECT * FROM {table} ORDER BY {key} DESC LIMIT 100"), &[]).or_else(|e| {
            // A file broken off before its first migration has no tables yet.
            if e.trouble == Trouble::Corrupt { Err(e) } else { Ok(Vec::new()) }
        })?;
    }
    Ok(())
}

fn number(c: &Connection, sql: &str) -> Result<i64> {
    let rows = query(c, sql, &[])?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Which of ours each parameter of a statement is. SQLite numbers `$2, $1` by first appearance: the name says which is
/// meant. Asked once for many runs: it looks through all names for each.
fn order(statement: &rusqlite::CachedStatement<'_>) -> Vec<usize> {
    let named = |at| statement.parameter_name(at).and_then(|n| n[1..].parse::<usize>().ok());
    (1..=statement.parameter_count()).map(|at| named(at).unwrap_or(at).wrapping_sub(1)).collect()
}

fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    order: &[usize],
    args: &[Value<'_>],
) -> rusqlite::Result<()> {
    for (at, which) in (1..).zip(order) {
        match args.get(*which).copied().unwrap_or(Value::Null) {
            Value::Null => statement.raw_bind_parameter(at, rusqlite::types::Null)?,
            Value::Int(v) => statement.raw_bind_parameter(at, v)?,
            Value::Text(v) => statement.raw_bind_parameter(at, v)?,
            Value::Blob(v) => statement.raw_bind_parameter(at, v)?,
        }
    }
    Ok(())
}

pub(super) fn execute(c: &Connection, sql: &str, args: &[Value<'_>]) -> Result<u64> {
    let run = || -> rusqlite::Result<usize> {
        let mut statement = c.prepare_cached(sql)?;
        let order = order(&statement);
        bind(&mut statement, &order, args)?;
        statement.raw_execute()
    };
    run().map(|n| n as u64).map_err(|e| failed(e, sql))
}

pub(super) fn execute_many(c: &Connection, sql: &str, all: &[Vec<Value<'_>>]) -> Result<u64> {
    let run = || -> rusqlite::Result<usize> {
        let mut statement = c.prepare_cached(sql)?;
        let order = order(&statement);
        let mut touched = 0;
        for args in all {
            bind(&mut statement, &order, args)?;
            touched += statement.raw_execute()?;
        }
        Ok(touched)
    };
    run().map(|n| n as u64).map_err(|e| failed(e, sql))
}

fn read_row(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    let mut cells = Vec::with_capacity(columns);
    for at in 0..columns {
        cells.push(match row.get_ref(at)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(v) => Cell::Int(v),
            ValueRef::Real(v) => Cell::Int(v as i64),
            ValueRef::Text(v) => Cell::Text(String::from_utf8_lossy(v).into_owned()),
            ValueRef::Blob(v) => Cell::Blob(v.to_vec()),
        });
    }
    Ok(Row(cells))
}

pub(super) fn query(c: &Connection, sql: &str, args: &[Value<'_>]) -> Result<Vec<Row>> {
    let mut out = Vec::new();
    each(c, sql, args, &mut |row| {
        out.push(row);
        Ok(())
    })?;
    Ok(out)
}

pub(super) fn query_many(c: &Connection, sql: &str, all: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Row>>> {
    let run = || -> rusqlite::Result<Vec<Vec<Row>>> {
        let mut statement = c.prepare_cached(sql)?;
        let (columns, order) = (statement.column_count(), order(&statement));
        let mut out = Vec::with_capacity(all.len());
        for args in all {
            bind(&mut statement, &order, args)?;
            let mut found = Vec::new();
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                found.push(read_row(row, columns)?);
            }
            out.push(found);
        }
        Ok(out)
    };
    run().map_err(|e| failed(e, sql))
}

pub(super) fn each(
    c: &Connection,
    sql: &str,
    args: &[Value<'_>],
    each: &mut dyn FnMut(Row) -> Result<()>,
) -> Result<()> {
    let wrong = |e| failed(e, sql);
    let mut statement = c.prepare_cached(sql).map_err(wrong)?;
    let order = order(&statement);
    bind(&mut statement, &order, args).map_err(wrong)?;
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(wrong)? {
        each(read_row(row, columns).map_err(wrong)?)?;
    }
    Ok(())
}

pub(super) fn script(c: &Connection, sql: &str) -> Result<()> {
    c.execute_batch(sql).map_err(|e| failed(e, sql))
}

fn busy(doing: &str) -> StoreError {
    StoreError {
        trouble: Trouble::Busy,
        context: format!("another process holds the database ({})", short(doing)),
        hint: Some("it is tried again; see which process has the file open: fuser FILE".into()),
    }
}

/// A statement, short enough for a message.
fn short(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(6).collect();
    words.join(" ")
}

fn failed(error: rusqlite::Error, doing: &str) -> StoreError {
    let (code, extended) = match &error {
        rusqlite::Error::SqliteFailure(e, _) => (e.code, e.extended_code),
        rusqlite::Error::SqlInputError { error, .. } => (error.code, error.extended_code),
        rusqlite::Error::Utf8Error(..) => {
            return corrupt(format!("a text in the database is not UTF-8: {error}"));
        }
        _ => return other(format!("{error} ({})", short(doing))),
    };
    let context = format!("{error} ({})", short(doing));
    let (trouble, hint) = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => return busy(doing),
        ErrorCode::DiskFull => (Trouble::Full, "make room on the disk; what was seen is looked for again"),
        ErrorCode::ReadOnly => (Trouble::ReadOnly, "make the data folder writable for this user"),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            (Trouble::ReadOnly, "check the data folder's rights")
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => return corrupt(context),
        // Quotas and full disks come back from the system as I/O errors, too.
        ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_WRITE => {
            (Trouble::Full, "the disk did not take a write: it may be full, over quota or failing")
        }
        ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_SHORT_READ => return corrupt(context),
        _ => return other(context),
    };
    StoreError { trouble, context, hint: Some(hint.into()) }
}

fn io(error: &std::io::Error, doing: &str) -> StoreError {
    let trouble = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Trouble::Full,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        _ => Trouble::Other,
    };
    StoreError { trouble, context: format!("{doing}: {error}"), hint: None }
}
