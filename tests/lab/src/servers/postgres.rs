//! PostgreSQL: TLS after its own request. Started by root it runs as the account `postgres`.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::{account, configure, folder_of, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a PostgreSQL with an empty cluster that trusts everybody on this machine.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "postgres", 1, |folder, ports| {
        let programs = programs()?;
        let owner = account("postgres")?;
        install("postgres", folder, leaf, owner)?;
        let data = folder.join("data");
        folder_of(&data, 0o700, owner)?;
        let as_owner = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.env("LC_ALL", "C").current_dir(&data);
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        program::run(as_owner("initdb").args(["-A", "trust", "-N", "-U", "postgres", "-D"]).arg(&data))?;
        configure(folder, "data/postgresql.auto.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);

        let mut postgres = as_owner("postgres");
        postgres.arg("-D").arg(&data);
        let endpoints = vec![local("postgres", &ports[0], Starttls::Postgres)];
        let mut recipe = Recipe::new(postgres, endpoints, Reload::Signal("HUP"));
        recipe.owner = owner;
        recipe.stop = "INT";
        recipe.ready = Some("ready to accept connections");
        Ok(recipe)
    })
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf, NotRun> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let newest = newest.ok_or_else(|| NotRun::new("postgres", "it is not installed"))?;
    Ok(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
}

/// The settings.
const TEMPLATE: &str = "listen_addresses = '127.0.0.1'
port = @PORT@
unix_socket_directories = '@DIR@/data'
ssl = on
ssl_cert_file = '@DIR@/tls/fullchain.pem'
ssl_key_file = '@DIR@/tls/key.pem'
ssl_ciphers = 'DEFAULT:@SECLEVEL=0'
fsync = off
";
