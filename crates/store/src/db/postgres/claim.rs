//! One server for each database: a lock that its session holds for its life, and that goes with it however it ends.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Client, Pool};
use crate::db::{Result, Value, other};
use crate::{StoreError, Trouble};

/// The lock of whoever serves; beside it stands the schema, so that two may share a database in schemas of their own.
const SERVER_LOCK: i64 = 0x4e6f_7453;
/// What was killed a moment ago is still being let go of.
const TRIES: usize = 25;
const PAUSE: Duration = Duration::from_millis(200);

const TAKE: &str = "SELECT CASE WHEN pg_try_advisory_lock(cast($1 AS integer), hashtext(current_schema())) THEN 1 ELSE 0 END";

const HOLDER: &str = "SELECT a.application_name, coalesce(host(a.client_addr), 'the same host'),
      to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND cast(l.classid AS bigint) = $1
      AND cast(l.objid AS bigint) = (cast(hashtext(current_schema()) AS bigint) & 4294967295)
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

impl Pool {
    /// Takes the place of the one server, until this is dropped.
    pub(crate) fn claim(&self) -> Result<()> {
        let mut held = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(self.take()?);
        Ok(())
    }

    /// Before each write of whoever has a claim. Its session may have gone with the database server: then it is taken
    /// anew, or somebody else has it and nothing more may be written here.
    pub(super) fn still_mine(&self) -> Result<()> {
        let mut held = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked, not guessed: that it was ended is heard only some time later.
        if held.as_mut().is_some_and(|client| client.script("").is_err()) {
            *held = Some(self.take()?);
        }
        Ok(())
    }

    fn take(&self) -> Result<Client> {
        let mut client = self.connect()?;
        client.script(&format!("SET application_name = '{}'", me()))?;
        for tried in 0..TRIES {
            if tried > 0 {
                std::thread::park_timeout(PAUSE);
            }
            let rows = client.query(TAKE, &[Value::Int(SERVER_LOCK)])?;
            if rows.first().is_some_and(|row| row.int(0) == Ok(1)) {
                return Ok(client);
            }
        }
        let who = client.query(HOLDER, &[Value::Int(SERVER_LOCK)])?.into_iter().next();
        let who = match who {
            Some(mut row) => format!(": {} from {}, since {}", row.text(0)?, row.text(1)?, row.text(2)?),
            None => String::new(),
        };
        Err(StoreError {
            trouble: Trouble::Busy,
            hint: Some("stop it first, or give this one a database or a schema of its own".into()),
            ..other(format!("another server works on this database{who}"))
        })
    }
}

/// What an administrator reads in `pg_stat_activity`. PostgreSQL cuts it at 63 bytes.
fn me() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fit = |c: &char| c.is_ascii_alphanumeric() || "-.".contains(*c);
    let host: String = host.chars().filter(fit).take(30).collect();
    format!("notafter serve, pid {} on {host}", std::process::id())
}
