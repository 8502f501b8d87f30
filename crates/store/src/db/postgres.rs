//! PostgreSQL: each connection has a small runtime of its own, so that callers can be plain threads.
//!
//! Statements are prepared once for each connection, and many runs of one statement go over the wire together. A
//! connection that broke is dropped, the next call makes a new one. One writer at a time, by a lock in the database:
//! what a batch changes is decided before it is written, and numbers are given out by the program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{TryStreamExt, pin_mut};
use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, NoTls, Statement};

use super::{Cell, PATIENCE, Result, Row, Value, other};
use crate::{StoreError, Trouble};

/// The lock that the writer holds: any number that nobody else uses.
const WRITER_LOCK: i64 = 0x4e6f_7441_6674_6572;
/// So many connections stay open.
const IDLE_MAX: usize = 8;
/// So many runs of one statement are on their way at once: a bound for memory, not for speed.
const IN_FLIGHT: usize = 2000;

pub(crate) struct Pool {
    config: Config,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
    idle: Mutex<Vec<Client>>,
    patience: Mutex<Duration>,
}

/// One connection.
pub(crate) struct Client {
    runtime: Runtime,
    client: tokio_postgres::Client,
    statements: HashMap<String, Statement>,
}

impl Pool {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let mut config: Config = url.parse().map_err(|e| {
            // The text may hold a password: only what is wrong with it is said.
            other(format!("the address of the PostgreSQL database cannot be read: {e}"))
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        config.application_name("notafter");
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tokio_postgres_rustls::MakeRustlsConnect::new(client_config()?)),
        };
        let pool = Self { config, tls, idle: Mutex::new(Vec::new()), patience: Mutex::new(PATIENCE) };
        pool.read(|c| c.query("SELECT 1", &[]).map(|_| ()))?;
        Ok(pool)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Client>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn connect(&self) -> Result<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| other(format!("a runtime for PostgreSQL: {e}")))?;
        let made = runtime.block_on(async {
            // The other half of the connection runs whenever this runtime is waited on.
            match &self.tls {
                Some(tls) => {
                    let (client, connection) = self.config.connect(tls.clone()).await?;
                    tokio::spawn(connection);
                    Ok(client)
                }
                None => {
                    let (client, connection) = self.config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    Ok(client)
                }
            }
        });
        let client = made.map_err(|e: tokio_postgres::Error| failed(&e, "connecting"))?;
        let mut client = Client { runtime, client, statements: HashMap::new() };
        // Plans for one run each are made anew a few times; afterwards the general one is as good here.
        client.script("SET standard_conforming_strings = on; SET client_min_messages = warning")?;
        Ok(client)
    }

    fn lent<T>(&self, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        let kept = self.idle().pop().filter(|c| !c.client.is_closed());
        let mut client = match kept {
            Some(client) => client,
            None => self.connect()?,
        };
        let done = work(&mut client);
        let broken = client.client.is_closed()
            || done.as_ref().err().is_some_and(|e| e.trouble == Trouble::Unreachable);
        let mut idle = self.idle();
        if broken {
            // The others were made at the same time and broke with it.
            idle.clear();
        } else if idle.len() < IDLE_MAX {
            idle.push(client);
        }
        done
    }

    fn transaction<T>(&self, begin: &str, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        self.lent(|client| {
            client.script(begin).inspect_err(|_| {
                let _ = client.client.is_closed();
            })?;
            let done = work(client).and_then(|value| client.script("COMMIT").map(|()| value));
            if done.is_err() && !client.client.is_closed() {
                let _ = client.script("ROLLBACK");
            }
            done
        })
    }

    pub(crate) fn read<T>(&self, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        self.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", work)
    }

    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
        let patience = *self.patience.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let begin = format!(
            "BEGIN; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({WRITER_LOCK})",
            patience.as_millis()
        );
        self.lent(|client| {
            let done = client
                .script(&begin)
                .and_then(|()| work(client))
                .and_then(|value| client.script("COMMIT").map(|()| value));
            if done.is_err() && !client.client.is_closed() {
                let _ = client.script("ROLLBACK");
            }
            done
        })
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        *self.patience.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = patience;
    }

    pub(crate) fn settle(&self) {
        // PostgreSQL counts its rows by itself, but not at once: after a large import the plans are made for nothing.
        let _ = self.lent(|client| client.script("ANALYZE"));
    }
}

/// The system's roots; `sslmode=require` without a check is not offered: it only looks safe.
fn client_config() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // One that cannot be read is no reason to trust none.
        let _ = roots.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| other(format!("TLS: {e}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Client {
    fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let made = self.runtime.block_on(self.client.prepare(sql)).map_err(|e| failed(&e, sql))?;
        if self.statements.len() > 300 {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    pub(crate) fn execute(&mut self, sql: &str, args: &[Value<'_>]) -> Result<u64> {
        let statement = self.prepare(sql)?;
        let args = used(&statement, args);
        self.runtime.block_on(self.client.execute_raw(&statement, args)).map_err(|e| failed(&e, sql))
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
            let counts = self.runtime.block_on(try_join_all(runs)).map_err(|e| failed(&e, sql))?;
            touched += counts.iter().sum::<u64>();
        }
        Ok(touched)
    }

    pub(crate) fn query(&mut self, sql: &str, args: &[Value<'_>]) -> Result<Vec<Row>> {
        let statement = self.prepare(sql)?;
        let args = used(&statement, args);
        let rows = self.runtime.block_on(async {
            let rows = self.client.query_raw(&statement, args).await?;
            rows.try_collect::<Vec<_>>().await
        });
        rows.map_err(|e| failed(&e, sql))?.iter().map(read_row).collect()
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
            let found = self.runtime.block_on(try_join_all(runs)).map_err(|e| failed(&e, sql))?;
            for rows in found {
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
        self.runtime.block_on(async {
            let rows = self.client.query_raw(&statement, args).await.map_err(|e| failed(&e, sql))?;
            pin_mut!(rows);
            while let Some(row) = rows.try_next().await.map_err(|e| failed(&e, sql))? {
                each(read_row(&row)?)?;
            }
            Ok(())
        })
    }

    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        self.runtime.block_on(self.client.batch_execute(sql)).map_err(|e| failed(&e, sql))
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
    } else if *code == SqlState::DISK_FULL || *code == SqlState::OUT_OF_MEMORY {
        (Trouble::Full, "make room on the database server")
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION || *code == SqlState::INSUFFICIENT_PRIVILEGE {
        (Trouble::ReadOnly, "the database user must own its schema, and the server must not be a standby")
    } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        (Trouble::Corrupt, "restore the last backup")
    } else if ["57P01", "57P02", "57P03"].contains(&code.code()) || code.code().starts_with("08") {
        (Trouble::Unreachable, "the database server is starting or stopping; it is tried again")
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
