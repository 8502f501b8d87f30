//! Redis, Valkey and Sentinel: `tls-port` and its files.

use std::collections::HashMap;
use std::path::Path;

use notafter_core::observation::Reason;

use super::reading::{address, join};
use super::{At, Checks, Holds, Listen, Password, Reading, Server, begins_line, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "redis",
    mains: &["/etc/redis/*.conf", "/etc/redis.conf", "/etc/valkey/*.conf", "/usr/local/etc/redis.conf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["redis.conf", "valkey.conf", "sentinel.conf"])
        // At the beginning of a line, and without a colon, which Unbound has behind a setting of the same name.
        || begins_line(head, &["tls-port", "tls-cert-file"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut all: HashMap<String, (Vec<String>, At)> = HashMap::new();
    load(reading, path, &At::file(path), &mut all);
    let get =
        |name: &str| Some((all.get(name)?.0.first()?.as_str(), &all[name].1)).filter(|(v, _)| !v.is_empty());
    let folder = get("dir").map_or_else(|| "/".into(), |(d, _)| join(Path::new("/"), d));
    let port = get("tls-port").and_then(|(p, _)| p.parse().ok()).filter(|p: &u16| *p > 0);
    let mut listens = Vec::new();
    if let Some(port) = port {
        let none = (vec!["*".to_owned()], At::file(path));
        let (hosts, at) = all.get("bind").unwrap_or(&none);
        for text in hosts {
            // A dash in front: no mistake if there is no such address.
            let text = text.strip_prefix('-').unwrap_or(text);
            let text = if text == "::*" { "::" } else { text };
            match address(text) {
                Ok(address) => listens.push(Listen::tls(address, port)),
                Err(()) => reading.blind(
                    at,
                    Reason::Dns,
                    format!("{text}: only the server's own resolver knows that"),
                ),
            }
        }
    }
    if let Some((certificate, at)) = get("tls-cert-file") {
        let mut serving = reading.serving(join(&folder, certificate), at);
        serving.key = get("tls-key-file").map(|(k, _)| join(&folder, k));
        serving.password = get("tls-key-file-pass").map(|(p, _)| Password::Inline(p.to_owned()));
        serving.listens.clone_from(&listens);
        serving.default = true;
        reading.serve(serving);
    }
    if let Some((certificate, at)) = get("tls-client-cert-file") {
        reading.client(
            join(&folder, certificate),
            get("tls-client-key-file").map(|(k, _)| join(&folder, k)),
            None,
            at,
        );
    }
    let checks = match get("tls-auth-clients").map_or("yes", |(v, _)| v) {
        "yes" => Checks::ClientsRequired,
        "optional" => Checks::ClientsOptional,
        _ => Checks::NobodyAsked,
    };
    for (name, holds) in [("tls-ca-cert-file", Holds::Cas), ("tls-ca-cert-dir", Holds::FolderOfCas)] {
        if let Some((path, at)) = get(name) {
            reading.trust(join(&folder, path), holds, checks, (&listens, &[]), at);
        }
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, out: &mut HashMap<String, (Vec<String>, At)>) {
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in words::lines(&text, &['#']) {
            let mut all = words::split(line);
            if all.is_empty() {
                continue;
            }
            let name = all.remove(0).to_ascii_lowercase();
            let at = At::new(path, number);
            if name == "include" {
                let pattern = join(Path::new("/"), all.first().map_or("", String::as_str));
                for file in reading.tree.glob(&pattern) {
                    load(reading, &file, &at, out);
                }
            } else if name.starts_with("tls-") || matches!(name.as_str(), "bind" | "dir" | "port") {
                out.insert(name, (all, at));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn settings() {
        let main = "bind 127.0.0.1 -::1\ninclude /x.conf\ntls-port 6380\ntls-key-file /a.key\ntls-key-file-pass secret\ntls-ca-cert-file /ca\ndir /var/lib/redis\n";
        check(
            "redis",
            &[
                ("/etc/redis/redis.conf", main),
                ("/x.conf", "tls-cert-file a.pem\ntls-auth-clients optional\n"),
            ],
            &[
                "serve /var/lib/redis/a.pem key /a.key [tls 127.0.0.1:6380] [tls [::1]:6380] default password Inline(not shown) @1",
                "cas /ca optional @6",
            ],
        );
    }
}
