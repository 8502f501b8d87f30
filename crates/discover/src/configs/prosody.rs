//! Prosody: `ssl` of the whole and of each host, and the folder where it finds certificates by the names of its hosts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reading::{address, folder_of, join};
use super::value::{Data, Node};
use super::{At, Listen, Name, Reading, Server, has_word, is_named};

pub(super) const SERVER: Server = Server {
    name: "prosody",
    mains: &["/etc/prosody/prosody.cfg.lua", "/usr/local/etc/prosody/prosody.cfg.lua"],
    recognises,
    read,
};

/// What listens: the setting's beginning, the port it has by itself, and what is spoken there.
const SERVICES: &[(&str, Option<u16>, &str)] = &[
    ("c2s", Some(5222), "starttls:xmpp"),
    ("s2s", Some(5269), "starttls:xmpp-server"),
    ("c2s_direct_tls", None, "tls"),
    ("s2s_direct_tls", None, "tls"),
    ("legacy_ssl", None, "tls"),
    ("https", None, "tls"),
];

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["prosody.cfg.lua"])
        || path.extension().is_some_and(|e| e == "lua") && has_word(head, &["VirtualHost", "Component"])
}

/// The settings of the whole, or of one host.
#[derive(Default)]
struct Scope {
    host: Option<(String, At)>,
    settings: Vec<(String, Node, At)>,
}

impl Scope {
    fn get(&self, name: &str) -> Option<(&Node, &At)> {
        self.settings.iter().rev().find(|(its, ..)| its == name).map(|(_, value, at)| (value, at))
    }
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let mut scopes = vec![Scope::default()];
    load(reading, path, &At::file(path), &mut scopes);
    let whole = scopes.remove(0);
    let mut listens = Vec::new();
    for (service, usual, protocol) in SERVICES {
        let ports = match whole.get(&format!("{service}_ports")) {
            Some((ports, _)) => texts(ports).filter_map(|port| port.parse().ok()).collect(),
            None => usual.iter().copied().collect::<Vec<u16>>(),
        };
        let hosts = whole.get(&format!("{service}_interfaces")).or_else(|| whole.get("interfaces"));
        let mut addresses: Vec<_> = hosts
            .map(|(hosts, _)| texts(hosts).filter_map(|h| address(h).ok()).collect())
            .unwrap_or_default();
        if addresses.is_empty() {
            addresses.push(None);
        }
        for port in ports {
            listens.extend(addresses.iter().map(|address| Listen { address: *address, port, protocol }));
        }
    }
    if let Some((ssl, at)) = whole.get("ssl") {
        serve(reading, &folder, ssl, at, &listens, None);
    }
    let certificates = whole.get("certificates").and_then(|(value, _)| value.text()).unwrap_or("certs");
    let certificates = join(&folder, certificates);
    for scope in &scopes {
        let Some((host, named_at)) = &scope.host else { continue };
        match scope.get("ssl") {
            Some((ssl, at)) => serve(reading, &folder, ssl, at, &listens, Some(host)),
            None => {
                if let Some((certificate, key)) = found(reading, &certificates, host) {
                    let mut serving = reading.serving(certificate, named_at);
                    serving.key = Some(key);
                    serving.listens.clone_from(&listens);
                    serving.names.push(Name::plain(host));
                    reading.serve(serving);
                }
            }
        }
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, scopes: &mut Vec<Scope>) {
    reading.enter(path, from, |reading, path, text| {
        let all = reading.blocks(&text, &["--"], &At::file(path));
        for (name, value) in all.entries() {
            let at = At::new(path, value.line);
            match (name, value.text()) {
                ("VirtualHost" | "Component", Some(host)) => {
                    scopes.push(Scope { host: Some((host.to_owned(), at)), settings: Vec::new() });
                }
                ("Include" | "include", Some(pattern)) => {
                    for file in reading.tree.glob(&join(&folder_of(path), pattern)) {
                        load(reading, &file, &at, scopes);
                    }
                }
                _ => {
                    if let Some(scope) = scopes.last_mut() {
                        scope.settings.push((name.to_owned(), value.clone(), at));
                    }
                }
            }
        }
    });
}

/// The items of `{ "a"; "b" }`, or the one that stands without braces.
fn texts(node: &Node) -> impl Iterator<Item = &str> {
    let own = node.text().into_iter();
    let items = match &node.data {
        Data::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    own.chain(items.iter().filter_map(|(_, item)| item.text()))
}

fn serve(
    reading: &mut Reading<'_>,
    folder: &Path,
    ssl: &Node,
    at: &At,
    listens: &[Listen],
    host: Option<&String>,
) {
    let file = ssl.get("certificate");
    let Some(certificate) = file.text() else { return };
    let at = At { path: Arc::clone(&at.path), line: file.line };
    let mut serving = reading.serving(join(folder, certificate), &at);
    serving.key = ssl.get("key").text().map(|key| join(folder, key));
    serving.listens = listens.to_vec();
    serving.default = host.is_none();
    serving.names.extend(host.map(|host| Name::plain(host)));
    reading.serve(serving);
}

/// As it looks for them itself: by the host's name, and below the names of the domains above it.
fn found(reading: &Reading<'_>, folder: &Path, host: &str) -> Option<(PathBuf, PathBuf)> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.');
    let mut name = host;
    while is_name(name) {
        let pairs = [
            (format!("{name}.crt"), format!("{name}.key")),
            (format!("{name}/fullchain.pem"), format!("{name}/privkey.pem")),
        ];
        for (certificate, key) in pairs {
            let (certificate, key) = (folder.join(certificate), folder.join(key));
            if reading.tree.is_file(&certificate) && reading.tree.is_file(&key) {
                return Some((certificate, key));
            }
        }
        name = name.split_once('.')?.1;
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn hosts_and_what_is_found_for_them() {
        let main = "-- c\ninterfaces = { \"127.0.0.1\" }\ns2s_ports = { }\nc2s_direct_tls_ports = { 5223 }\n\
                    ssl = {\n  key = \"/g.key\";\n  certificate = \"/g.crt\";\n}\nVirtualHost \"a.test\"\n  ssl = { certificate = \"certs/x.crt\"; key = \"certs/x.key\" }\n\
                    VirtualHost \"b.test\"\nComponent \"rooms.b.test\" \"muc\"\nInclude \"conf.d/*.cfg.lua\"\n";
        check(
            "prosody",
            &[
                ("/etc/prosody/prosody.cfg.lua", main),
                ("/etc/prosody/conf.d/c.cfg.lua", "VirtualHost \"c.test\"\n"),
                ("/etc/prosody/certs/b.test.crt", "x"),
                ("/etc/prosody/certs/b.test.key", "x"),
                ("/etc/prosody/certs/c.test/fullchain.pem", "x"),
                ("/etc/prosody/certs/c.test/privkey.pem", "x"),
            ],
            &[
                "serve /g.crt key /g.key [starttls:xmpp 127.0.0.1:5222] [tls 127.0.0.1:5223] default @7",
                "serve /etc/prosody/certs/x.crt key /etc/prosody/certs/x.key [starttls:xmpp 127.0.0.1:5222] [tls 127.0.0.1:5223] a.test @10",
                "serve /etc/prosody/certs/b.test.crt key /etc/prosody/certs/b.test.key [starttls:xmpp 127.0.0.1:5222] [tls 127.0.0.1:5223] b.test @11",
                "serve /etc/prosody/certs/b.test.crt key /etc/prosody/certs/b.test.key [starttls:xmpp 127.0.0.1:5222] [tls 127.0.0.1:5223] rooms.b.test @12",
                "serve /etc/prosody/certs/c.test/fullchain.pem key /etc/prosody/certs/c.test/privkey.pem [starttls:xmpp 127.0.0.1:5222] [tls 127.0.0.1:5223] c.test @1",
            ],
        );
    }
}
