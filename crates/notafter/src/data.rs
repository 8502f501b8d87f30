//! The data folder: the memory, the access token, the lock. Made with modes that let nobody else in.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_store::{Database, Store, StoreError, Trouble};

use crate::cli::Global;
use crate::commands::Usage;
use crate::config::plan::Sheet;

/// What this process holds in memory (keys, accounts) is written into no core dump, and read by no debugger of another
/// process of its account: prctl(2), PR_SET_DUMPABLE. Programs that it starts are as they were.
pub(crate) fn no_dumps() {
    // Where the kernel does not know it, nothing is lost.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Where things are kept.
pub(crate) struct Data {
    pub(crate) folder: PathBuf,
    pub(crate) database: Database,
    pub(crate) token_file: PathBuf,
    /// Does another process write whatever lies outside the folder?
    pub(crate) inside_only: bool,
}

impl Data {
    /// `--data`, else the configuration's, else what systemd gave, else `./notafter-data`. Nothing is made.
    ///
    /// # Errors
    /// The database's address cannot be read.
    pub(crate) fn find(global: &Global, sheet: &Sheet) -> Result<Self, Usage> {
        let server = &sheet.config.server;
        let given = global.data.clone().or_else(|| server.data.clone());
        let state = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let folder = given.or_else(state).unwrap_or_else(|| PathBuf::from("./notafter-data"));
        let database = match &server.database {
            Some(url) => {
                Database::Postgres(url.read().map_err(|e| Usage::new(format!("database: {e}")))?.to_string())
            }
            None => Database::File(folder.join("notafter.db")),
        };
        let token_file = server.token_file.clone().unwrap_or_else(|| folder.join("token"));
        Ok(Self { folder, database, token_file, inside_only: sheet.config.act.socket.is_some() })
    }

    /// The keys of the configuration by which another one lies elsewhere.
    pub(crate) fn changed(&self, other: &Self) -> Vec<&'static str> {
        let address = |d: &Database| match d {
            Database::Postgres(url) => Some(url.clone()),
            Database::File(_) | Database::Memory => None,
        };
        let changes = [
            ("data", self.folder != other.folder),
            ("token_file", self.token_file != other.token_file && self.folder == other.folder),
            ("database", address(&self.database) != address(&other.database)),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }

    /// Makes the folder, for us alone.
    ///
    /// # Errors
    /// It cannot be made, or others may write into it.
    pub(crate) fn make(&self) -> Result<(), Usage> {
        let cannot = |e: std::io::Error| {
            Usage::new(format!("cannot use the data folder {}: {e}", self.folder.display()))
                .hint("name another with --data, or make it writable for this user")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(cannot)?;
        let meta = std::fs::metadata(&self.folder).map_err(cannot)?;
        if meta.mode() & 0o022 != 0 {
            return Err(Usage::new(format!(
                "others may write into the data folder {} (mode {:04o})",
                self.folder.display(),
                meta.mode() & 0o7777
            ))
            .hint(format!("chmod 700 {}", self.folder.display())));
        }
        Ok(())
    }

    /// Opens the memory, making it where there is none.
    ///
    /// # Errors
    /// The store's, for a person.
    pub(crate) fn open(&self, now: UnixTime) -> Result<Arc<Store>, Usage> {
        self.make()?;
        Store::open(&self.database, now).map(Arc::new).map_err(|e| self.explain(&e))
    }

    /// Opens the memory that is there. Commands that only ask must not make an empty one.
    ///
    /// # Errors
    /// There is none; the store's.
    pub(crate) fn open_existing(&self, now: UnixTime) -> Result<Arc<Store>, Usage> {
        if let Database::File(file) = &self.database
            && !file.exists()
        {
            return Err(Usage::new(format!("nothing is kept in {}", self.folder.display()))
                .hint("start `notafter serve`, keep a scan with `notafter scan --save`, or name the folder with --data"));
        }
        self.open(now)
    }

    pub(crate) fn explain(&self, error: &StoreError) -> Usage {
        let hint = error.hint.clone().or_else(|| {
            (error.trouble == Trouble::Corrupt)
                .then(|| format!("keep a copy of {}, then: notafter restore BACKUP", self.folder.display()))
        });
        Usage { message: error.to_string(), hint }
    }

    /// Holds the folder for one server. Released when the file is dropped, also by a crash.
    ///
    /// # Errors
    /// Another server has it.
    pub(crate) fn lock(&self) -> Result<File, Usage> {
        self.make()?;
        let path = self.folder.join("lock");
        let cannot = |e: std::io::Error| Usage::new(format!("cannot make {}: {e}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(cannot)?;
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let who = if pid.trim().is_empty() { String::new() } else { format!(" (pid {})", pid.trim()) };
            return Err(Usage::new(format!("another server works on {}{who}", self.folder.display()))
                .hint("stop it first, or name another folder with --data"));
        }
        let _ = file.set_len(0);
        let _ = write!(file, "{}", std::process::id());
        Ok(file)
    }

    /// Does a server work on this folder now?
    pub(crate) fn is_served(&self) -> bool {
        let Ok(file) = File::open(self.folder.join("lock")) else { return false };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
    }

    /// The access token, made at the first start with 256 random bits and mode 0600.
    ///
    /// # Errors
    /// It cannot be read or made, or others can read it.
    pub(crate) fn token(&self) -> Result<String, Usage> {
        let path = &self.token_file;
        let cannot =
            |e: std::io::Error| Usage::new(format!("cannot use the token file {}: {e}", path.display()));
        if let Ok(meta) = std::fs::metadata(path) {
            if meta.mode() & 0o077 != 0 {
                return Err(Usage::new(format!("others can read the token file {}", path.display())).hint(
                    format!(
                        "chmod 600 {0}; if somebody may have read it, delete it: a new one is made",
                        path.display()
                    ),
                ));
            }
            let token = std::fs::read_to_string(path).map_err(cannot)?.trim().to_owned();
            if token.len() < 32 {
                return Err(Usage::new(format!("the token in {} is too short to be safe", path.display()))
                    .hint("delete the file: a new one is made at the next start"));
            }
            return Ok(token);
        }
        if self.inside_only && !path.starts_with(&self.folder) {
            let said = format!(
                "there is no token file {}, and with [act] none is made outside the data folder",
                path.display()
            );
            return Err(Usage::new(said).hint("leave token_file out, or make it: openssl rand -hex 32, mode 0600, readable for this account"));
        }
        let (token, _) = notafter_engine::notify::new_secret();
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
        writeln!(file, "{token}").and_then(|()| file.sync_all()).map_err(cannot)?;
        Ok(token)
    }
}

/// Who does something by the command line: the account's name, for the audit trail.
pub(crate) fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    std::env::var("SUDO_USER").ok().filter(|u| !u.is_empty()).or(name).unwrap_or_else(|| uid.to_string())
}

/// Is this a path of a database file rather than of a folder? For messages.
pub(crate) fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
