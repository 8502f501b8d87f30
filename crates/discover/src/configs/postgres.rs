//! PostgreSQL: `postgresql.conf`, what `ALTER SYSTEM` wrote, and whom `pg_hba.conf` asks for a certificate.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Password, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "postgres",
    mains: &[
        "/etc/postgresql/*/*/postgresql.conf",
        "/var/lib/pgsql/data/postgresql.conf",
        "/var/lib/pgsql/*/data/postgresql.conf",
        "/var/lib/postgresql/data/postgresql.conf",
        "/var/lib/postgres/data/postgresql.conf",
        "/usr/local/pgsql/data/postgresql.conf",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["postgresql.conf"])
        || has_word(head, &["ssl_cert_file"]) && has_word(head, &["ssl", "ssl_key_file"])
}

type Settings = HashMap<String, (String, At)>;

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut all = Settings::new();
    load(reading, path, &At::file(path), &mut all);
    let get = |all: &Settings, name: &str| all.get(name).map(|(v, _)| v.clone()).filter(|v| !v.is_empty());
    let data = get(&all, "data_directory").map_or_else(|| folder_of(path), PathBuf::from);
    // Written by `ALTER SYSTEM`, read last.
    let automatic = data.join("postgresql.auto.conf");
    if reading.tree.is_file(&automatic) {
        load(reading, &automatic, &At::file(path), &mut all);
    }
    if !get(&all, "ssl").is_some_and(|v| words::is_on(&v)) {
        return;
    }
    let port = get(&all, "port").and_then(|p| p.parse().ok()).unwrap_or(5432);
    let mut listens = Vec::new();
    let place = all.get("listen_addresses").map_or_else(|| At::file(path), |(_, at)| at.clone());
    let addresses = get(&all, "listen_addresses").unwrap_or_else(|| "localhost".to_owned());
    for text in addresses.split(',').map(str::trim) {
        match address(text) {
            Ok(address) => listens.push(Listen { address, port, protocol: "starttls:postgres" }),
            Err(()) => reading.blind(
                &place,
                Reason::Dns,
                format!("{text}: only the server's own resolver knows that"),
            ),
        }
    }
    let at = |name: &str| {
        all.get(name).or_else(|| all.get("ssl")).map_or_else(|| At::file(path), |(_, at)| at.clone())
    };
    let file = get(&all, "ssl_cert_file").unwrap_or_else(|| "server.crt".to_owned());
    let key = get(&all, "ssl_key_file").unwrap_or_else(|| "server.key".to_owned());
    let mut serving = reading.serving(join(&data, &file), &at("ssl_cert_file"));
    serving.key = Some(join(&data, &key));
    serving.listens.clone_from(&listens);
    serving.default = true;
    serving.password = get(&all, "ssl_passphrase_command").map(Password::Program);
    reading.serve(serving);
    let hba = get(&all, "hba_file").map_or_else(|| folder_of(path).join("pg_hba.conf"), |h| join(&data, &h));
    let checks = asks(reading, &hba);
    for (name, holds) in
        [("ssl_ca_file", Holds::Cas), ("ssl_crl_file", Holds::Crl), ("ssl_crl_dir", Holds::FolderOfCrls)]
    {
        if let Some(value) = get(&all, name) {
            reading.trust(join(&data, &value), holds, checks, (&listens, &[]), &at(name));
        }
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, out: &mut Settings) {
    let folder = folder_of(path);
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in words::lines(&text, &['#']) {
            let at = At::new(path, number);
            // The equals sign may be left out.
            let end = line.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            let rest = rest.trim_start_matches(|c: char| c == '=' || c.is_whitespace());
            let value = match rest.strip_prefix('\'') {
                Some(quoted) => {
                    let end = quoted.replace("''", "\u{1}\u{1}").find('\'').unwrap_or(quoted.len());
                    quoted[..end].replace("''", "'")
                }
                None => rest.split(['#', ' ', '\t']).next().unwrap_or("").to_owned(),
            };
            match name.to_ascii_lowercase().as_str() {
                "include" => load(reading, &join(&folder, &value), &at, out),
                "include_if_exists" => {
                    let file = join(&folder, &value);
                    if reading.tree.is_file(&file) {
                        load(reading, &file, &at, out);
                    }
                }
                "include_dir" => {
                    for file in reading.tree.glob(&join(&folder, &value).join("*.conf")) {
                        load(reading, &file, &at, out);
                    }
                }
                name => {
                    out.insert(name.to_owned(), (value, at));
                }
            }
        }
    });
}

/// Does a line of `pg_hba.conf` want a certificate?
fn asks(reading: &Reading<'_>, path: &Path) -> Checks {
    let Ok(bytes) = reading.tree.read(path) else { return Checks::ClientsOptional };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = words::lines(&text, &['#']).map(|(_, l)| l).filter(|l| l.starts_with("host"));
    let wants = |l: &str| {
        l.contains("clientcert=verify")
            || l.contains("clientcert=1")
            || l.split_whitespace().any(|w| w == "cert")
    };
    match lines.any(wants) {
        true => Checks::ClientsRequired,
        false => Checks::ClientsOptional,
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn settings() {
        let main = "data_directory = '/var/lib/pg'\t# where\nssl = on\nssl_cert_file '/c/a''b.pem'\ninclude_dir 'conf.d'\nlisten_addresses = '*'\nport 5433\n";
        check(
            "postgres",
            &[
                ("/etc/postgresql/15/main/postgresql.conf", main),
                ("/etc/postgresql/15/main/conf.d/x.conf", "ssl_ca_file = 'ca.pem'"),
                ("/etc/postgresql/15/main/pg_hba.conf", "hostssl all all all cert\n"),
                ("/var/lib/pg/postgresql.auto.conf", "ssl_key_file = '/c/a.key'\n"),
            ],
            &[
                "serve /c/a'b.pem key /c/a.key [starttls:postgres *:5433] default @3",
                "cas /var/lib/pg/ca.pem required @1",
            ],
        );
        check("postgres", &[("/p.conf", "ssl = off\nssl_cert_file = '/a'\n")], &[]);
        check(
            "postgres",
            &[("/d/p.conf", "ssl = on\n")],
            &["serve /d/server.crt key /d/server.key [starttls:postgres 127.0.0.1:5432] default @1"],
        );
    }
}
