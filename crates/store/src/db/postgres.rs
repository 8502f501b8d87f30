//! PostgreSQL: the driver works on a thread of its own, callers wait for it and may be any thread at all.
//!
//! Statements are prepared once for each connection, and many runs of one statement go over the wire together. A
//! connection that broke is dropped, the next call makes a new one. One writer at a time, by a lock in the database:
//! what a batch changes is decided before it is written, and numbers are given out by the program. Nothing is waited
//! for without end: not a statement, not a lock, not a peer that has gone silent.

mod address;
mod claim;
mod wait;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{TryStreamExt, pin_mut};
use tokio::runtime::Runtime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, NoTls, Statement};

use self::wait::{Ending, SILENCE, wait};
use super::{Cell, PATIENCE, Result, Row, Value, other};
use crate::{StoreError, Trouble};

/// The lock that the writer holds: any number that nobody else uses.
const WRITER_LOCK: i64 = 0x4e6f_7441_6674_6572;
/// So many connections stay open.
const IDLE_MAX: usize = 8;
/// So many runs of one statement are on their way at once: a bound for memory, not for speed.
const IN_FLIGHT: usize = 2000;
/// So long a connection may take until it can be used.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// So often a write is tried when another session was in its way, or the connection went before the end.
const TRIES: usize = 3;

/// What holds for every connection. No statement of ours takes minutes; one that does, or a transaction that a frozen
/// process left open, must not hold up the rest for ever. The server looks whether we are still there, as we do. A page of
/// a hundred rows is estimated dearer than it is, and compiling it would cost more than it does
/// (<https://www.postgresql.org/docs/current/jit-decision.html>).
const SESSION: &str =
    "SET jit = off; SET standard_conforming_strings = on; SET client_min_messages = warning;
    SET statement_timeout = '120s'; SET idle_in_transaction_session_timeout = '300s';
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

pub(crate) struct Pool {
    config: Config,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
    idle: Mutex<Vec<Client>>,
    patience: Mutex<Duration>,
    /// The session that says that this server, and no other, works here.
    claim: Mutex<Option<Client>>,
    driver: Driver,
    ending: Arc<Ending>,
}

/// Where the connections' own halves run, whatever the caller does meanwhile.
struct Driver(Option<Runtime>);

impl Driver {
    fn start() -> Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let made = builder.worker_threads(1).thread_name("postgres").enable_all().build();
        made.map(|runtime| Self(Some(runtime))).map_err(|e| other(format!("a runtime for PostgreSQL: {e}")))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // To wait for it here would panic where the caller is itself on a runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection.
pub(crate) struct Client {
    client: tokio_postgres::Client,
    statements: HashMap<String, Statement>,
    /// The other half; ended with this one when the server has gone silent.
    driver: tokio::task::AbortHandle,
    /// It failed in a way after which nothing can be said on it.
    broken: bool,
    /// Something was answered since a reader got it.
    heard: bool,
    /// Another session was in the way; the same transaction may succeed when it is tried again.
    conflict: bool,
    /// For how long it may say nothing.
    silence: Duration,
    ending: Arc<Ending>,
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.broken {
            self.driver.abort();
        }
    }
}

impl Pool {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let (config, tls) = address::read(url)?;
        let pool = Self {
            config,
            tls,
            idle: Mutex::new(Vec::new()),
            patience: Mutex::new(PATIENCE),
            claim: Mutex::new(None),
            driver: Driver::start()?,
            ending: Arc::default(),
        };
        pool.read(|c| c.query("SELECT 1", &[]).map(|_| ()))?;
        Ok(pool)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn connect(&self) -> Result<Client> {
        let Some(runtime) = &self.driver.0 else { return Err(other("the database was closed")) };
        let (config, tls) = (self.config.clone(), self.tls.clone());
        let made =
            runtime.spawn(async move { tokio::time::timeout(CONNECT_MAX, connected(&config, tls)).await });
        let (client, driver) = match wait(made, SILENCE, &self.ending)? {
            Ok(Ok(made)) => made.map_err(|e| failed(&e, "connecting"))?,
            Ok(Err(_)) => return Err(silent("it took no connection within 30 seconds")),
            Err(e) => return Err(other(format!("PostgreSQL: connecting broke off: {e}"))),
        };
        let mut client = Client {
            client,
            statements: HashMap::new(),
            driver,
            broken: false,
            heard: false,
            conflict: false,
            silence: SILENCE,
            ending: Arc::clone(&self.ending),
        };
        client.script(SESSION)?;
        Ok(client)
    }

    /// A connection on which this was said. One that was kept may have broken unseen: nothing was done on it yet, so
    /// that a new one may try.
    fn begun(&self, begin: &str) -> Result<Client> {
        loop {
            let kept = self.idle().pop();
            let fresh = kept.is_none();
            let mut client = match kept {
                Some(client) if client.client.is_closed() => continue,
                Some(client) => client,
                None => self.connect()?,
            };
            match client.script(begin) {
                Ok(()) => return Ok(client),
                Err(error) if client.broken && fresh => return Err(error),
                // The others were made at the same time and broke with it.
                Err(_) if client.broken => self.idle().clear(),
                Err(error) => {
                    let _ = client.script("ROLLBACK");
                    self.give_back(client);
                    return Err(error);
                }
            }
        }
    }

    fn give_back(&self, mut client: Client) {
        client.conflict = false;
        client.silence = SILENCE;
        let mut idle = self.idle();
        if client.broken || client.client.is_closed() {
            idle.clear();
        } else if idle.len() < IDLE_MAX {
            idle.push(client);
        }
    }

    /// One transaction. What comes back beside an error: may it be tried again?
    fn transaction<T>(
        &self,
        begin: &str,
        work: impl FnOnce(&mut Client) -> Result<T>,
    ) -> std::result::Result<T, (StoreError, bool)> {
        let mut client = self.begun(begin).map_err(|e| (e, false))?;
        let done = match work(&mut client) {
            Ok(value) => match client.script("COMMIT") {
                Ok(()) => Ok(value),
                // Whether it was kept nobody knows: only the caller can look.
                Err(error) => Err((error, client.conflict)),
            },
            Err(error) => Err((error, client.conflict || client.broken)),
        };
        if done.is_err() && !client.broken {
            let _ = client.script("ROLLBACK");
        }
        self.give_back(client);
        done
    }

    /// Reads in one snapshot. A connection that was kept may have been ended unheard: as long as nothing was answered on
    /// it, a new one may be asked the same.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&mut Client) -> Result<T>) -> Result<T> {
        let kept = self.idle().pop().filter(|client| !client.client.is_closed());
        if let Some(mut client) = kept {
            client.send(READ);
            client.heard = false;
            let done = work(&mut client);
            let unheard = client.broken && !client.heard;
            self.end_read(client);
            if done.is_ok() || !unheard {
                return done;
            }
        }
        let mut client = self.begun(READ)?;
        let done = work(&mut client);
        self.end_read(client);
        done
    }

    fn end_read(&self, mut client: Client) {
        if !client.broken {
            client.send("ROLLBACK");
        }
        self.give_back(client);
    }

    /// What a write begins with. Each statement sees what was committed before it, and only one writes: the first
    /// snapshot must not be older than the lock, as it would be with a stricter level.
    fn write_begin(&self) -> String {
        let patience = *self.patience.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {};
             SELECT pg_advisory_xact_lock({WRITER_LOCK})",
            patience.as_millis()
        )
    }

    /// Writes; again when another session was in the way or the connection went before anything was kept.
    pub(crate) fn write<T>(&self, work: impl Fn(&mut Client) -> Result<T>) -> Result<T> {
        let mut tried = 1;
        loop {
            self.still_mine()?;
            match self.transaction(&self.write_begin(), &work) {
                Ok(value) => return Ok(value),
                Err((_, true)) if tried < TRIES => tried += 1,
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Writes what cannot be done twice.
    pub(crate) fn write_once<T>(&self, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        self.still_mine()?;
        self.transaction(&self.write_begin(), work).map_err(|(error, _)| error)
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        *self.patience.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = patience;
    }

    /// From now on a server that says nothing is waited for no longer than a few seconds.
    pub(crate) fn begin_end(&self) {
        self.ending.begin();
    }

    pub(crate) fn settle(&self) {
        // PostgreSQL counts its rows by itself, but not at once: after a large import the plans are made for nothing.
        if let Ok(mut client) = self.begun("SET statement_timeout = 0") {
            let _ = client.script("ANALYZE");
            let _ = client.script(SESSION);
            self.give_back(client);
        }
    }
}

/// Makes a connection; its other half runs from here on, on the runtime that this runs on.
async fn connected(
    config: &Config,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
) -> std::result::Result<(tokio_postgres::Client, tokio::task::AbortHandle), tokio_postgres::Error> {
    match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            Ok((client, tokio::spawn(connection).abort_handle()))
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            Ok((client, tokio::spawn(connection).abort_handle()))
        }
    }
}

impl Client {
    /// Waits for an answer, and remembers what it says of the connection.
    fn answer<T>(
        &mut self,
        answer: Result<std::result::Result<T, tokio_postgres::Error>>,
        sql: &str,
    ) -> Result<T> {
        let error = match answer {
            Ok(Ok(value)) => {
                self.heard = true;
                return Ok(value);
            }
            Ok(Err(error)) => {
                self.conflict = error.code().is_some_and(|code| {
                    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
                });
                failed(&error, sql)
            }
            Err(silent) => silent,
        };
        self.broken |= error.trouble == Trouble::Unreachable || self.client.is_closed();
        Err(error)
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let made = wait(self.client.prepare(sql), self.silence, &self.ending);
        let made = self.answer(made, sql)?;
        if self.statements.len() > 300 {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    pub(crate) fn execute(&mut self, sql: &str, args: &[Value<'_>]) -> Result<u64> {
        let statement = self.prepare(sql)?;
        let done =
            wait(self.client.execute_raw(&statement, used(&statement, args)), self.silence, &self.ending);
        self.answer(done, sql)
    }

    pub(crate) fn execute_many(&mut self, sql: &str, all: &[Vec<Value<'_>>]) -> Result<u64> {
        if all.is_empty() {
            return Ok(0);
        }
        let statement = self.prepare(sql)?;
        let mut touched = 0;
        for part in all.chunks(IN_FLIGHT) {
            // Polled together, they go over the wire together and are answered in order.
            let runs = part.iter().map(|args| self.client.execute_raw(&statement, used(&statement, args)));
            let counts = wait(try_join_all(runs), self.silence, &self.ending);
            touched += self.answer(counts, sql)?.iter().sum::<u64>();
        }
        Ok(touched)
    }

    pub(crate) fn query(&mut self, sql: &str, args: &[Value<'_>]) -> Result<Vec<Row>> {
        let statement = self.prepare(sql)?;
        let args = used(&statement, args);
        let asked = async {
            let rows = self.client.query_raw(&statement, args).await?;
            rows.try_collect::<Vec<_>>().await
        };
        let rows = wait(asked, self.silence, &self.ending);
        self.answer(rows, sql)?.iter().map(read_row).collect()
    }

    pub(crate) fn query_many(&mut self, sql: &str, all: &[Vec<Value<'_>>]) -> Result<Vec<Vec<Row>>> {
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.prepare(sql)?;
        let mut out = Vec::with_capacity(all.len());
        for part in all.chunks(IN_FLIGHT) {
            let runs = part.iter().map(|args| async {
                let rows = self.client.query_raw(&statement, used(&statement, args)).await?;
                rows.try_collect::<Vec<_>>().await
            });
            let found = wait(try_join_all(runs), self.silence, &self.ending);
            for rows in self.answer(found, sql)? {
                out.push(rows.iter().map(read_row).collect::<Result<Vec<_>>>()?);
            }
        }
        Ok(out)
    }

    pub(crate) fn each(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        each: &mut dyn FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let statement = self.prepare(sql)?;
        let args = used(&statement, args);
        // What the caller says of a row is no answer of the server's.
        let mut refused = Ok(());
        let mut heard = false;
        let asked = async {
            let rows = self.client.query_raw(&statement, args).await?;
            pin_mut!(rows);
            while let Some(row) = rows.try_next().await? {
                heard = true;
                refused = read_row(&row).and_then(&mut *each);
                if refused.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let done = wait(asked, self.silence, &self.ending);
        self.heard |= heard;
        self.answer(done, sql)?;
        refused
    }

    /// For the rest of the transaction a statement may take as long as it needs: a copy of everything, a new schema.
    pub(crate) fn unhurried(&mut self) -> Result<()> {
        self.silence = Duration::from_secs(6 * 3600);
        self.script("SET LOCAL statement_timeout = 0")
    }

    /// Begins or ends a transaction that changes nothing, without waiting for the answer: what is sent next comes after
    /// it. A connection that is gone says so there.
    fn send(&mut self, sql: &str) {
        let sent = pin!(self.client.batch_execute(sql));
        // The first poll sends it.
        let _ = sent.poll(&mut Context::from_waker(Waker::noop()));
    }

    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        let done = wait(self.client.batch_execute(sql), self.silence, &self.ending);
        self.answer(done, sql)
    }
}

/// As many parameters as the statement has.
fn used<'v>(statement: &Statement, args: &[Value<'v>]) -> Vec<Value<'v>> {
    args.iter().take(statement.params().len()).copied().collect()
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            // A marker beside a plain number is a small integer to PostgreSQL.
            Value::Int(v) if *ty == Type::INT4 => i32::try_from(v)?.to_sql(ty, out),
            Value::Int(v) if *ty == Type::INT2 => i16::try_from(v)?.to_sql(ty, out),
            Value::Int(v) => v.to_sql(ty, out),
            // PostgreSQL has no NUL in a text; whatever still has one is shown, not refused.
            Value::Text(v) if v.contains('\0') => v.replace('\0', "\\u{0}").to_sql(ty, out),
            Value::Text(v) => v.to_sql(ty, out),
            Value::Blob(v) => v.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::INT2, Type::TEXT, Type::VARCHAR, Type::BYTEA].contains(ty)
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row> {
    let mut cells = Vec::with_capacity(row.len());
    for (at, column) in row.columns().iter().enumerate() {
        let wrong = |e: tokio_postgres::Error| failed(&e, "reading a row");
        let ty = column.type_();
        cells.push(if *ty == Type::INT8 {
            row.try_get::<_, Option<i64>>(at).map_err(wrong)?.map_or(Cell::Null, Cell::Int)
        } else if *ty == Type::INT4 {
            let value = row.try_get::<_, Option<i32>>(at).map_err(wrong)?;
            value.map_or(Cell::Null, |v| Cell::Int(v.into()))
        } else if *ty == Type::BYTEA {
            row.try_get::<_, Option<Vec<u8>>>(at).map_err(wrong)?.map_or(Cell::Null, Cell::Blob)
        } else {
            row.try_get::<_, Option<String>>(at).map_err(wrong)?.map_or(Cell::Null, Cell::Text)
        });
    }
    Ok(Row(cells))
}

/// The server has not answered for so long that it is as good as gone.
fn silent(what: &str) -> StoreError {
    StoreError {
        trouble: Trouble::Unreachable,
        context: format!("PostgreSQL: {what}"),
        hint: Some("see whether the database server runs and can be reached from here".into()),
    }
}

fn failed(error: &tokio_postgres::Error, doing: &str) -> StoreError {
    let words: Vec<&str> = doing.split_whitespace().take(6).collect();
    let doing = words.join(" ");
    let Some(said) = error.as_db_error() else {
        let mut context = format!("PostgreSQL: {error} ({doing})");
        if let Some(source) = std::error::Error::source(error) {
            context = format!("PostgreSQL: {error}: {source} ({doing})");
        }
        let (trouble, hint) = match error.is_closed() || error.to_string().contains("connect") || is_io(error)
        {
            true => (
                Trouble::Unreachable,
                Some("see whether the database server runs and can be reached from here"),
            ),
            false => (Trouble::Other, None),
        };
        return StoreError { trouble, context, hint: hint.map(str::to_owned) };
    };
    let context = format!("PostgreSQL: {} ({doing})", said.message());
    let code = said.code();
    let (trouble, hint) = if *code == SqlState::LOCK_NOT_AVAILABLE {
        (Trouble::Busy, "another process writes; it is tried again")
    } else if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
        (Trouble::Busy, "another session of the database was in the way; it is tried again")
    } else if *code == SqlState::QUERY_CANCELED {
        (Trouble::Busy, "the database server took two minutes for one statement, or somebody cancelled it")
    } else if *code == SqlState::DISK_FULL || *code == SqlState::OUT_OF_MEMORY {
        (Trouble::Full, "make room on the database server")
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION || *code == SqlState::INSUFFICIENT_PRIVILEGE {
        (Trouble::ReadOnly, "the database user must own its schema, and the server must not be a standby")
    } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        (Trouble::Corrupt, "restore the last backup")
    } else if ["57P01", "57P02", "57P03", "57P05", "25P03"].contains(&code.code())
        || code.code().starts_with("08")
    {
        (Trouble::Unreachable, "the database server is starting or stopping; it is tried again")
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        (Trouble::Unreachable, "the database server takes no more connections: raise max_connections")
    } else {
        return StoreError { trouble: Trouble::Other, context, hint: None };
    };
    StoreError { trouble, context, hint: Some(hint.into()) }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}
