//! Caddy: Caddyfile and JSON, with what it obtains by itself and keeps in its storage.
//!
//! A site that names no certificate is served from the storage, and from Caddy's own CA where it says
//! `internal`; which file that is, is looked up there. What plugins add is not known.

mod lexer;

use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::value::Node;
use super::{At, Checks, Holds, Listen, Name, Reading, Server, has_word, is_named};
use lexer::{Block, parse};

pub(super) const SERVER: Server = Server {
    name: "caddy",
    mains: &[
        "/etc/caddy/Caddyfile",
        "/etc/caddy/caddy.json",
        "/etc/caddy/config.json",
        "/usr/local/etc/caddy/Caddyfile",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let json =
        name.ends_with(".json") && has_word(head, &["apps"]) && has_word(head, &["http", "tls", "servers"]);
    name == "Caddyfile"
        || name.ends_with(".Caddyfile")
        || name.starts_with("Caddyfile.")
        || json
        || is_named(path, &["caddy.json"])
}

/// Where Caddy keeps what it obtained, as packages and images have it.
const STORAGES: &[&str] = &[
    "/var/lib/caddy/.local/share/caddy",
    "/root/.local/share/caddy",
    "/data/caddy",
    "/home/*/.local/share/caddy",
    "/var/db/caddy/data/caddy",
];

fn read(reading: &mut Reading<'_>, path: &Path) {
    let json = path.extension().is_some_and(|e| e == "json");
    let folder = folder_of(path);
    let main = reading.main(path, |reading, path, text| {
        if json || text.trim_start().starts_with("{\"") {
            for node in Node::yaml(&text) {
                from_json(reading, &node, path, &folder);
            }
            return None;
        }
        Some(parse(reading, path, &text))
    });
    if let Some(Some(blocks)) = main {
        sites(reading, &blocks, &folder);
    }
}

/// What holds for all sites.
struct Options {
    storages: Vec<PathBuf>,
    https_port: u16,
    automatic: bool,
}

fn sites(reading: &mut Reading<'_>, blocks: &[Block], folder: &Path) {
    let global = blocks.first().filter(|b| b.words.is_empty());
    let option = |name: &str| global.and_then(|g| g.find(name)).map(|b| b.words[1..].to_vec());
    let storage = option("storage").filter(|s| s.first().is_some_and(|k| k == "file_system"));
    let storage = storage.and_then(|s| s.get(1).cloned()).or_else(|| {
        let block = global?
            .find("storage")?
            .children
            .iter()
            .find(|c| c.words.first().is_some_and(|w| w == "root"))?;
        block.words.get(1).cloned()
    });
    let options = Options {
        storages: storage
            .map_or_else(|| STORAGES.iter().map(PathBuf::from).collect(), |s| vec![join(folder, &s)]),
        https_port: option("https_port").and_then(|w| w.first()?.parse().ok()).unwrap_or(443),
        automatic: option("auto_https").is_none_or(|w| !w.iter().any(|w| w == "off" || w == "disable_certs")),
    };
    for site in blocks.iter().filter(|b| !b.words.is_empty()) {
        // `(name)` is a part for others to import, `&(name)` a route.
        if site.words[0].starts_with(['(', '&']) {
            continue;
        }
        one_site(reading, site, &options, folder);
    }
}

fn one_site(reading: &mut Reading<'_>, site: &Block, options: &Options, folder: &Path) {
    let bound: Vec<&String> =
        site.children.iter().filter(|c| c.words[0] == "bind").flat_map(|c| &c.words[1..]).collect();
    let mut listens: Vec<Listen> = Vec::new();
    let mut names: Vec<Name> = Vec::new();
    for word in site.words.iter().flat_map(|w| w.split(',')).filter(|w| !w.is_empty()) {
        let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
        let host_and_port = rest.split('/').next().unwrap_or(rest);
        let Some((host, port)) = address_and_port(host_and_port) else { continue };
        if scheme == "http" || port == Some(80) {
            continue;
        }
        // A bare port speaks HTTP unless it is told a certificate.
        if host.is_empty() && scheme.is_empty() && !site.children.iter().any(|c| c.words[0] == "tls") {
            continue;
        }
        let port = port.unwrap_or(options.https_port);
        if bound.is_empty() {
            push(&mut listens, Listen::tls(None, port));
        }
        for text in &bound {
            match address(text) {
                Ok(address) => push(&mut listens, Listen::tls(address, port)),
                Err(()) => {
                    let why = format!("{text}: only Caddy's own resolver knows which address that is");
                    reading.blind(&site.at, Reason::Dns, why);
                }
            }
        }
        if !host.is_empty() && !names.iter().any(|n| n.as_str() == host) {
            names.push(Name::plain(host.trim_matches(['[', ']'])));
        }
    }
    if listens.is_empty() {
        return;
    }
    let mut named = false;
    for tls in site.children.iter().filter(|c| c.words[0] == "tls") {
        if let [_, certificate, key] = tls.words.as_slice() {
            named = true;
            let mut serving = reading.serving(join(folder, certificate), &tls.at);
            serving.key = Some(join(folder, key));
            serving.default = names.is_empty();
            (serving.listens, serving.names) = (listens.clone(), names.clone());
            reading.serve(serving);
        }
        for child in &tls.children {
            match child.words[0].as_str() {
                "load" => {
                    for folder_of_files in &child.words[1..] {
                        named = true;
                        load_folder(reading, &join(folder, folder_of_files), &listens, &child.at);
                    }
                }
                "client_auth" => client_auth(reading, child, (&listens, &names), folder),
                _ => {}
            }
        }
    }
    if !named && options.automatic {
        automatic(reading, &options.storages, &names, &listens, &site.at);
    }
    for transport in site.below("transport") {
        for child in &transport.children {
            match child.words.as_slice() {
                [word, paths @ ..] if word == "tls_trusted_ca_certs" => {
                    for path in paths {
                        reading.trust(join(folder, path), Holds::Cas, Checks::Peers, (&[], &[]), &child.at);
                    }
                }
                [word, certificate, key] if word == "tls_client_auth" => {
                    reading.client(join(folder, certificate), Some(join(folder, key)), None, &child.at);
                }
                _ => {}
            }
        }
    }
}

fn push(listens: &mut Vec<Listen>, listen: Listen) {
    if !listens.contains(&listen) {
        listens.push(listen);
    }
}

fn client_auth(reading: &mut Reading<'_>, block: &Block, place: (&[Listen], &[Name]), folder: &Path) {
    let mode = block.find("mode").and_then(|m| m.words.get(1)).map_or("require_and_verify", String::as_str);
    let checks = if mode.starts_with("require") { Checks::ClientsRequired } else { Checks::ClientsOptional };
    for child in &block.children {
        let paths: Vec<&String> = match child.words.as_slice() {
            [word, paths @ ..] if word.starts_with("trusted_") && word.ends_with("_file") => {
                paths.iter().collect()
            }
            [word, kind, paths @ ..] if word == "trust_pool" && kind == "file" => {
                let inner =
                    child.children.iter().filter(|c| c.words[0] == "pem_file").flat_map(|c| &c.words[1..]);
                paths.iter().chain(inner).collect()
            }
            _ => continue,
        };
        for path in paths {
            reading.trust(join(folder, path), Holds::Cas, checks, place, &child.at);
        }
    }
}

fn load_folder(reading: &mut Reading<'_>, folder: &Path, listens: &[Listen], at: &At) {
    for file in reading.tree.glob(&folder.join("*.pem")) {
        let mut serving = reading.serving(file, at);
        serving.by_certificate = true;
        serving.listens = listens.to_vec();
        reading.serve(serving);
    }
}

/// What the storage has for the names of a site. Nothing there is no mistake: it may not be due yet.
fn automatic(reading: &mut Reading<'_>, storages: &[PathBuf], names: &[Name], listens: &[Listen], at: &At) {
    for name in names.iter().filter(|n| !n.as_str().contains('/')) {
        let safe = name.as_str().replace('*', "wildcard_").to_ascii_lowercase();
        for storage in storages {
            let pattern = storage.join("certificates/*").join(&safe).join(format!("{safe}.crt"));
            for certificate in reading.tree.glob(&pattern) {
                let mut serving = reading.serving(certificate.clone(), at);
                serving.key = Some(certificate.with_extension("key"));
                serving.listens = listens.to_vec();
                serving.names = vec![name.clone()];
                reading.serve(serving);
            }
        }
    }
}

fn from_json(reading: &mut Reading<'_>, node: &Node, path: &std::sync::Arc<Path>, folder: &Path) {
    let storage = node.at(&["storage", "root"]).text().map(PathBuf::from);
    let storages = storage.map_or_else(|| STORAGES.iter().map(PathBuf::from).collect(), |s| vec![s]);
    let mut listens = Vec::new();
    let mut hosts: Vec<Name> = Vec::new();
    for (_, server) in node.at(&["apps", "http", "servers"]).entries() {
        let policies = server.get("tls_connection_policies").items();
        let off = server.at(&["automatic_https", "disable"]).text() == Some("true");
        let mut own = Vec::new();
        for text in server.get("listen").items().iter().filter_map(Node::text) {
            let text = text.strip_prefix("tcp/").unwrap_or(text);
            if let Some((host, Some(port))) = address_and_port(text)
                && (!policies.is_empty() || port == 443 || !off && port != 80)
                && let Ok(address) = address(host)
            {
                push(&mut own, Listen::tls(address, port));
            }
        }
        let mut matched = Vec::new();
        server.all("host", &mut matched);
        for name in matched.iter().flat_map(|n| n.items()).filter_map(Node::text) {
            if !hosts.iter().any(|h| h.as_str() == name) && hosts.len() < 100_000 {
                hosts.push(Name::plain(name));
            }
        }
        for policy in policies {
            let names: Vec<Name> =
                policy.at(&["match", "sni"]).items().iter().filter_map(Node::text).map(Name::plain).collect();
            let client = policy.get("client_authentication");
            let checks = match client.get("mode").text() {
                Some(mode) if !mode.starts_with("require") => Checks::ClientsOptional,
                _ => Checks::ClientsRequired,
            };
            for files in [client.get("trusted_ca_certs_pem_files"), client.at(&["ca", "pem_files"])] {
                for file in files.items() {
                    if let Some(text) = file.text() {
                        reading.trust(
                            join(folder, text),
                            Holds::Cas,
                            checks,
                            (&own, &names),
                            &At::new(path, file.line),
                        );
                    }
                }
            }
        }
        own.into_iter().for_each(|l| push(&mut listens, l));
    }
    let certificates = node.at(&["apps", "tls", "certificates"]);
    for one in certificates.get("load_files").items() {
        let Some(certificate) = one.get("certificate").text() else { continue };
        let mut serving =
            reading.serving(join(folder, certificate), &At::new(path, one.get("certificate").line));
        serving.key = one.get("key").text().map(|k| join(folder, k));
        serving.by_certificate = true;
        serving.listens.clone_from(&listens);
        reading.serve(serving);
    }
    for one in certificates.get("load_folders").items() {
        if let Some(text) = one.text() {
            load_folder(reading, &join(folder, text), &listens, &At::new(path, one.line));
        }
    }
    if certificates.get("load_pem").is_some() {
        let at = At::new(path, certificates.get("load_pem").line);
        reading.blind(&at, Reason::UnsupportedFormat, "certificates stand in the configuration itself");
    }
    automatic(reading, &storages, &hosts, &listens, &At::new(path, 1));
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn caddyfile() {
        let main = "{\n  https_port 8443\n  storage file_system /data\n}\n(common) {\n  tls /c/a.pem {args[0]}\n}\n\
                    a.test, b.test:9443 {\n  import common /c/a.key\n  bind 10.0.0.1\n  reverse_proxy x {\n    transport http {\n      tls_trusted_ca_certs /up.pem\n    }\n  }\n}\n\
                    auto.test {\n tls {\n client_auth {\n mode verify_if_given\n trust_pool file /ca.pem\n }\n }\n}\nhttp://plain.test {\n}\n:80 {\n}\nimport sites/*\n";
        check(
            "caddy",
            &[
                ("/etc/caddy/Caddyfile", main),
                ("/etc/caddy/sites/x", "x.test\ntls {$DIR:/d}/x.pem /x.key\n"),
                ("/data/certificates/le/auto.test/auto.test.crt", "x"),
            ],
            &[
                "serve /c/a.pem key /c/a.key [tls 10.0.0.1:8443] [tls 10.0.0.1:9443] a.test b.test @6",
                "serve /data/certificates/le/auto.test/auto.test.crt key /data/certificates/le/auto.test/auto.test.key [tls *:8443] auto.test @17",
                "serve /d/x.pem key /x.key [tls *:8443] x.test @2",
                "cas /up.pem peers @13",
                "cas /ca.pem optional @21",
            ],
        );
    }

    #[test]
    fn json() {
        let main = "{\"apps\":{\"http\":{\"servers\":{\"s\":{\"listen\":[\":443\"],\n\"tls_connection_policies\":[{\"match\":{\"sni\":[\"a.test\"]},\
                    \"client_authentication\":{\n\"trusted_ca_certs_pem_files\":[\"/ca.pem\"]}}]}}},\n\
                    \"tls\":{\"certificates\":{\"load_files\":[{\"certificate\":\"/a.pem\",\"key\":\"/a.key\"}],\"load_pem\":[]}}}}";
        check(
            "caddy",
            &[("/etc/caddy/caddy.json", main)],
            &[
                "serve /a.pem key /a.key [tls *:443] by-certificate @4",
                "cas /ca.pem required @3",
                "blind unsupported-format @4",
            ],
        );
    }
}
