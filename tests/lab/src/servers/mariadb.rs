//! MariaDB: TLS inside its own handshake. Started by root it runs as the account `mysql`.

use super::{account, command, folder_of, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a MariaDB without tables of its own, which lets everybody in.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "mariadb", 1, |folder, ports| {
        let mut mariadb = command("mariadbd")?;
        let owner = account("mysql")?;
        install("mariadb", folder, leaf, owner)?;
        let data = folder.join("data");
        folder_of(&data, 0o700, owner)?;
        let socket = data.join("lab.sock");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();

        mariadb.args(["--no-defaults", "--skip-grant-tables", "--skip-log-bin", "--bind-address=127.0.0.1"]);
        mariadb.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        mariadb
            .arg(format!("--port={}", ports[0].number()))
            .arg(format!("--pid-file={}/pid", data.display()));
        mariadb.arg(format!("--ssl-cert={}", path("tls/fullchain.pem")));
        mariadb.arg(format!("--ssl-key={}", path("tls/key.pem")));
        mariadb.args([
            "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-method=fsync",
        ]);
        if owner.is_some() {
            mariadb.arg("--user=mysql");
        }
        let reload = move || {
            let mut client = command("mariadb")?;
            client.arg("--no-defaults").arg(format!("--socket={}", socket.display()));
            program::run(client.args(["-e", "FLUSH SSL"])).map(|_| ())
        };
        let endpoints = vec![local("mysql", &ports[0], Starttls::Mysql)];
        let mut recipe = Recipe::new(mariadb, endpoints, Reload::Call(Box::new(reload)));
        recipe.owner = owner;
        recipe.ready = Some("ready for connections");
        Ok(recipe)
    })
}
