//! MariaDB and MySQL: option files with groups and includes, the server's and the client's side.

use std::collections::HashMap;
use std::path::Path;

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Password, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "mariadb",
    mains: &["/etc/mysql/my.cnf", "/etc/my.cnf", "/usr/local/etc/my.cnf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["my.cnf"])
        || path.extension().is_some_and(|e| e == "cnf")
            && has_word(head, &["mysqld", "mariadb", "server", "client"])
            && (has_word(head, &["ssl-cert", "ssl_cert", "ssl-ca", "ssl_ca", "datadir", "bind-address"]))
}

type Settings = HashMap<String, (String, At)>;

fn read(reading: &mut Reading<'_>, path: &Path) {
    let (mut server, mut client) = (Settings::new(), Settings::new());
    load(reading, path, &At::file(path), &mut server, &mut client);
    let get = |name: &str| server.get(name).filter(|(v, _)| !v.is_empty());
    let data = get("datadir").map_or("/var/lib/mysql", |(v, _)| v.as_str());
    let data = Path::new(data);
    if get("skip-networking").is_none_or(|(v, _)| v == "0") && get("skip-ssl").is_none() {
        let port = get("port").and_then(|(p, _)| p.parse().ok()).unwrap_or(3306);
        let mut listens = Vec::new();
        match get("bind-address") {
            None => listens.push(Listen { address: None, port, protocol: "starttls:mysql" }),
            Some((text, at)) => {
                for one in text.split(',').map(str::trim) {
                    match address(one) {
                        Ok(address) => listens.push(Listen { address, port, protocol: "starttls:mysql" }),
                        Err(()) => reading.blind(
                            at,
                            Reason::Dns,
                            format!("{one}: only the server's own resolver knows that"),
                        ),
                    }
                }
            }
        }
        if let Some((certificate, at)) = get("ssl-cert") {
            let mut serving = reading.serving(join(data, certificate), at);
            serving.key = get("ssl-key").map(|(k, _)| join(data, k));
            serving.listens.clone_from(&listens);
            serving.default = true;
            serving.password = get("ssl-passphrase").map(|(p, _)| match p.strip_prefix("file:") {
                Some(file) => Password::File(join(data, file)),
                None => Password::Inline(p.clone()),
            });
            reading.serve(serving);
        }
        for (name, holds) in [
            ("ssl-ca", Holds::Cas),
            ("ssl-capath", Holds::FolderOfCas),
            ("ssl-crl", Holds::Crl),
            ("ssl-crlpath", Holds::FolderOfCrls),
        ] {
            if let Some((path, at)) = get(name) {
                // Whom it asks is said account by account, in the database.
                reading.trust(join(data, path), holds, Checks::ClientsOptional, (&listens, &[]), at);
            }
        }
    }
    if let Some((certificate, at)) = client.get("ssl-cert") {
        let key = client.get("ssl-key").map(|(k, _)| join(data, k));
        reading.client(join(data, certificate), key, client.get("host").map(|(h, _)| h.clone()), at);
    }
    if let Some((path, at)) = client.get("ssl-ca") {
        reading.trust(join(data, path), Holds::Cas, Checks::Peers, (&[], &[]), at);
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, server: &mut Settings, client: &mut Settings) {
    let folder = folder_of(path);
    reading.enter(path, from, |reading, path, text| {
        let mut group = String::new();
        for (number, line) in words::lines(&text, &['#', ';']) {
            let at = At::new(path, number);
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
                name.trim().clone_into(&mut group);
            } else if let Some(rest) = line.strip_prefix("!includedir") {
                for file in reading.tree.glob(&join(&folder, rest.trim()).join("*.cnf")) {
                    load(reading, &file, &at, server, client);
                }
            } else if let Some(rest) = line.strip_prefix("!include") {
                load(reading, &join(&folder, rest.trim()), &at, server, client);
            } else {
                let (name, value) = words::pair(line).unwrap_or((line, ""));
                // `ssl_cert` and `ssl-cert` are the same, and so is `loose-ssl-cert`.
                let name = name.to_ascii_lowercase().replace('_', "-");
                let name = name.strip_prefix("loose-").unwrap_or(&name).to_owned();
                let value = words::unquote(value.split(" #").next().unwrap_or(value).trim()).to_owned();
                if ["mysqld", "mariadbd", "server", "mariadb", "galera"]
                    .iter()
                    .any(|g| group == *g || group.starts_with(&format!("{g}-")))
                {
                    server.insert(name, (value, at));
                } else if group.starts_with("client") {
                    client.insert(name, (value, at));
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn groups() {
        check(
            "mariadb",
            &[
                (
                    "/etc/mysql/my.cnf",
                    "[client]\nssl-ca = /up.pem\nssl_cert=/me.pem\n!includedir /etc/mysql/conf.d/\n",
                ),
                (
                    "/etc/mysql/conf.d/s.cnf",
                    "[mariadb-10.5]\nssl_cert = a.pem # x\nssl-key=\"/a.key\"\nbind-address = 127.0.0.1,::1\nssl_ca=/ca\n[other]\nssl-cert=/never\n",
                ),
            ],
            &[
                "serve /var/lib/mysql/a.pem key /a.key [starttls:mysql 127.0.0.1:3306] [starttls:mysql [::1]:3306] default @2",
                "cas /ca optional @5",
                "cas /up.pem peers @2",
                "client /me.pem @3",
            ],
        );
    }
}
