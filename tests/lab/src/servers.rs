//! The servers: one file each, that writes its configuration and says how it is run and reloaded.
//!
//! None of them reads a packaged configuration folder, and none listens beyond 127.0.0.0/8. Where a server insists
//! on an account of its own when it is started by root, its file says so.

pub mod apache;
pub mod caddy;
pub mod dovecot;
pub mod etcd;
pub mod exim;
pub mod gnutls;
pub mod haproxy;
pub mod hitch;
pub mod inspircd;
pub mod lighttpd;
pub mod mariadb;
pub mod mosquitto;
pub mod nats;
pub mod nginx;
pub mod nnrpd;
pub mod openssl;
pub mod postfix;
pub mod postgres;
pub mod proftpd;
pub mod prosody;
pub mod rabbitmq;
pub mod redis;
pub mod slapd;
pub mod stunnel;
pub mod tomcat;
pub mod unbound;
pub mod vsftpd;
pub mod xrdp;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::material::write;
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a server with its plain options.
pub type Start = fn(&Lab, &Leaf) -> Result<Server, NotRun>;

/// Every server of the lab with its plain options.
pub const ALL: &[(&str, Start)] = &[
    ("nginx", nginx::start),
    ("apache", apache::start),
    ("haproxy", haproxy::start),
    ("openssl", openssl::start),
    ("gnutls", gnutls::start),
    ("postfix", postfix::start),
    ("dovecot", dovecot::start),
    ("slapd", slapd::start),
    ("postgres", postgres::start),
    ("mariadb", mariadb::start),
    ("vsftpd", vsftpd::start),
    ("proftpd", proftpd::start),
    ("prosody", prosody::start),
    ("inspircd", inspircd::start),
    ("nnrpd", nnrpd::start),
    ("xrdp", xrdp::start),
    ("redis", redis::start),
    ("mosquitto", mosquitto::start),
];

/// Servers that matter for what is installed for them, not for what is said before TLS.
pub const MORE: &[(&str, Start)] = &[
    ("caddy", caddy::start),
    ("etcd", etcd::start),
    ("exim", exim::start),
    ("hitch", hitch::start),
    ("lighttpd", lighttpd::start),
    ("nats", nats::start),
    ("rabbitmq", rabbitmq::start),
    ("stunnel", stunnel::start),
    ("tomcat", tomcat::start),
    ("unbound", unbound::start),
];

/// A command of this program, found wherever it is.
pub(crate) fn command(program: &str) -> Result<Command, NotRun> {
    let mut command = Command::new(program::find(program)?);
    command.env("LC_ALL", "C");
    Ok(command)
}

/// Writes a configuration file in which `@DIR@` stands for the server's folder, and further words for values.
pub(crate) fn configure(folder: &Path, name: &str, template: &str, values: &[(&str, String)]) {
    let mut text = template.replace("@DIR@", &folder.to_string_lossy());
    for (word, value) in values {
        text = text.replace(&format!("@{word}@"), value);
    }
    write(&folder.join(name), text);
}

/// Puts a certificate into the server's `tls` folder.
pub(crate) fn install(
    what: &str,
    folder: &Path,
    leaf: &Leaf,
    owner: Option<(u32, u32)>,
) -> Result<(), NotRun> {
    leaf.install(&folder.join("tls"), owner).map_err(|error| NotRun::new(what, error.to_string()))
}

/// Makes a folder that belongs to this account, where one is given.
fn folder_of(path: &Path, mode: u32, owner: Option<(u32, u32)>) -> Result<(), NotRun> {
    let made = fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .and_then(|()| owner.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group))));
    made.map_err(|error| NotRun::new(&path.to_string_lossy(), error.to_string()))
}

/// Says that a server did not run, where we are not root and it insists on being started by root.
fn only_root(what: &str) -> Result<(), NotRun> {
    if program::is_root() { Ok(()) } else { Err(NotRun::new(what, "only root can start it")) }
}

/// The account a server runs under when root starts it, or nothing when somebody else does.
fn account(user: &str) -> Result<Option<(u32, u32)>, NotRun> {
    if !program::is_root() {
        return Ok(None);
    }
    program::account(user).map(Some).ok_or_else(|| NotRun::new(user, "there is no such account"))
}
