//! Traefik: the file provider in YAML and TOML, its entry points, and `acme.json`.
//!
//! Certificates are chosen by the names inside them on every entry point that speaks TLS. What other
//! providers say (labels of containers, resources of a cluster) is not here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::value::Node;
use super::{At, Checks, Holds, Listen, Name, Reading, Server, has_word, is_named};

pub(super) const SERVER: Server = Server {
    name: "traefik",
    mains: &["/etc/traefik/traefik.yml", "/etc/traefik/traefik.yaml", "/etc/traefik/traefik.toml"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    let config = matches!(ending, "yml" | "yaml" | "toml")
        && (has_word(head, &["entryPoints", "certificatesResolvers"])
            || has_word(head, &["certFile", "clientAuth"]) && has_word(head, &["tls"]));
    let store = is_named(path, &["acme.json"]) && has_word(head, &["Account", "Certificates"]);
    config || store || is_named(path, &["traefik.yml", "traefik.yaml", "traefik.toml"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let mut files: Vec<PathBuf> = Vec::new();
    let mut stores: Vec<(PathBuf, At)> = Vec::new();
    let mut listens = Vec::new();
    let main = reading.main(path, |reading, path, text| {
        let Some(node) = Node::of(path, &text) else {
            reading.blind(&At::new(path, 0), Reason::Malformed, "it cannot be read as what its name says");
            return;
        };
        if is_named(path, &["acme.json"]) {
            return acme(reading, path, &node, &[]);
        }
        listens = entry_points(&node);
        let provider = node.at(&["providers", "file"]);
        if let Some(file) = provider.get("filename").text() {
            files.push(join(&folder, file));
        }
        if let Some(dir) = provider.get("directory").text() {
            let dir = join(&folder, dir);
            for ending in ["*.yml", "*.yaml", "*.toml", "*/*.yml", "*/*.yaml", "*/*.toml"] {
                files.extend(reading.tree.glob(&dir.join(ending)));
            }
        }
        for (_, resolver) in node.get("certificatesResolvers").entries() {
            let acme = resolver.get("acme");
            if acme.is_some() {
                let storage = acme.get("storage").text().unwrap_or("acme.json");
                stores.push((join(&folder, storage), At::new(path, acme.line)));
            }
        }
        dynamic(reading, path, &node, &listens, &folder);
    });
    if main.is_none() {
        return;
    }
    stores.dedup_by(|a, b| a.0 == b.0);
    for file in files {
        reading.enter(&file, &At::file(path), |reading, path, text| match Node::of(path, &text) {
            Some(node) => dynamic(reading, path, &node, &listens, &folder),
            None => {
                reading.blind(&At::new(path, 0), Reason::Malformed, "it cannot be read as what its name says")
            }
        });
    }
    for (store, at) in stores {
        reading.enter(&store, &at, |reading, path, text| {
            if let Some(node) = Node::yaml(&text).first() {
                acme(reading, path, node, &listens);
            }
        });
    }
}

/// The entry points that speak TLS: those that say so, else all but those for plain HTTP.
fn entry_points(node: &Node) -> Vec<Listen> {
    let mut said = Vec::new();
    let mut other = Vec::new();
    for (_, point) in node.get("entryPoints").entries() {
        let text = point.get("address").text().unwrap_or("");
        let text = text.strip_suffix("/tcp").unwrap_or(text);
        let Some((host, Some(port))) = address_and_port(text) else { continue };
        let Ok(address) = address(host) else { continue };
        let http = point.get("http");
        if http.get("tls").is_some() || http.entries().any(|(name, _)| name.eq_ignore_ascii_case("tls")) {
            said.push(Listen::tls(address, port));
        } else if port != 80 && port != 8080 && !http.get("redirections").is_some() {
            other.push(Listen::tls(address, port));
        }
    }
    if said.is_empty() { other } else { said }
}

fn dynamic(reading: &mut Reading<'_>, path: &Arc<Path>, node: &Node, listens: &[Listen], folder: &Path) {
    let tls = node.get("tls");
    let mut one = |node: &Node, default: bool| {
        let Some(certificate) = node.get("certFile").text() else { return };
        let at = At::new(path, node.get("certFile").line);
        if certificate.contains("-----BEGIN") {
            return reading.blind(
                &at,
                Reason::UnsupportedFormat,
                "the certificate stands in the configuration itself",
            );
        }
        let mut serving = reading.serving(join(folder, certificate), &at);
        serving.key = node.get("keyFile").text().map(|k| join(folder, k));
        serving.listens = listens.to_vec();
        serving.default = default;
        serving.by_certificate = true;
        reading.serve(serving);
    };
    tls.get("certificates").items().iter().for_each(|c| one(c, false));
    for (_, store) in tls.get("stores").entries() {
        one(store.get("defaultCertificate"), true);
    }
    for (_, option) in tls.get("options").entries() {
        let client = option.get("clientAuth");
        let checks = match client.get("clientAuthType").text() {
            Some(kind) if kind.starts_with("Require") => Checks::ClientsRequired,
            Some("NoClientCert") => Checks::NobodyAsked,
            _ => Checks::ClientsOptional,
        };
        for file in client.get("caFiles").items() {
            if let Some(text) = file.text() {
                reading.trust(
                    join(folder, text),
                    Holds::Cas,
                    checks,
                    (listens, &[]),
                    &At::new(path, file.line),
                );
            }
        }
    }
    for kind in ["http", "tcp"] {
        for (_, transport) in node.at(&[kind, "serversTransports"]).entries() {
            let transport = if kind == "tcp" { transport.get("tls") } else { transport };
            for file in transport.get("rootCAs").items() {
                if let Some(text) = file.text() {
                    reading.trust(
                        join(folder, text),
                        Holds::Cas,
                        Checks::Peers,
                        (&[], &[]),
                        &At::new(path, file.line),
                    );
                }
            }
            for pair in transport.get("certificates").items() {
                if let Some(certificate) = pair.get("certFile").text() {
                    let key = pair.get("keyFile").text().map(|k| join(folder, k));
                    reading.client(join(folder, certificate), key, None, &At::new(path, pair.line));
                }
            }
        }
    }
}

/// `acme.json`: by resolver, certificates in base64 with their names. Traefik 1 has them without resolver.
fn acme(reading: &mut Reading<'_>, path: &Arc<Path>, node: &Node, listens: &[Listen]) {
    let resolvers = node.entries().map(|(_, resolver)| resolver).filter(|r| r.get("Certificates").is_some());
    for certificate in std::iter::once(node).chain(resolvers).flat_map(|r| r.get("Certificates").items()) {
        let domain = certificate.get("domain");
        let mut names: Vec<Name> = Vec::new();
        names.extend(domain.get("main").text().map(Name::plain));
        names.extend(domain.get("sans").items().iter().filter_map(Node::text).map(Name::plain));
        names.dedup();
        let mut serving = reading.serving(path.to_path_buf(), &At::new(path, certificate.line));
        serving.key = Some(path.to_path_buf());
        serving.listens = listens.to_vec();
        serving.names = names;
        serving.by_certificate = true;
        reading.serve(serving);
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn static_dynamic_and_acme() {
        let main = "entryPoints:\n  web:\n    address: \":80\"\n  websecure:\n    address: \":443\"\nproviders:\n  file:\n    directory: /etc/traefik/dyn\n\
                    certificatesResolvers:\n  le:\n    acme:\n      storage: /acme.json\n";
        check(
            "traefik",
            &[
                ("/etc/traefik/traefik.yml", main),
                (
                    "/etc/traefik/dyn/a.yml",
                    "tls:\n  certificates:\n    - certFile: /a.pem\n      keyFile: /a.key\n  stores:\n    default:\n      defaultCertificate:\n        certFile: /d.pem\n        keyFile: /d.key\n\
                     \x20 options:\n    o:\n      clientAuth:\n        caFiles:\n          - /ca.pem\n        clientAuthType: RequireAndVerifyClientCert\n",
                ),
                (
                    "/etc/traefik/dyn/b.toml",
                    "[[tls.certificates]]\n  certFile = \"/b.pem\"\n  keyFile = \"/b.key\"\n[http.serversTransports.x]\n  rootCAs = [\"/up.pem\"]\n",
                ),
                (
                    "/acme.json",
                    "{\"le\":{\"Account\":{},\"Certificates\":[\n{\"domain\":{\"main\":\"c.test\",\"sans\":[\"*.c.test\"]},\"certificate\":\"TUlJ\"}]}}",
                ),
            ],
            &[
                "serve /a.pem key /a.key [tls *:443] by-certificate @3",
                "serve /d.pem key /d.key [tls *:443] by-certificate default @8",
                "serve /b.pem key /b.key [tls *:443] by-certificate @2",
                "serve /acme.json key /acme.json [tls *:443] c.test *.c.test by-certificate @2",
                "cas /ca.pem required @14",
                "cas /up.pem peers @5",
            ],
        );
    }
}
