//! Envoy: static listeners and clusters, and the files of its secret discovery.
//!
//! What a control plane sends is in no file. Certificates that stand in the configuration itself are blind
//! spots.

use std::path::Path;
use std::sync::Arc;

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
use super::value::Node;
use super::{At, Checks, Holds, Listen, Name, Reading, Server, has_word};

pub(super) const SERVER: Server = Server {
    name: "envoy",
    mains: &["/etc/envoy/envoy.yaml", "/etc/envoy/envoy.yml", "/etc/envoy/envoy.json"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    let ending = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
    ending
        && has_word(head, &["static_resources", "dynamic_resources", "tls_certificate", "common_tls_context"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    reading.main(path, |reading, path, text| {
        for node in Node::yaml(&text) {
            let mut context = Context { path, folder: &folder, secrets: Vec::new() };
            context.secrets = node.at(&["static_resources", "secrets"]).items().to_vec();
            let mut used = false;
            for listener in node.at(&["static_resources", "listeners"]).items() {
                used = true;
                context.listener(reading, listener);
            }
            for cluster in node.at(&["static_resources", "clusters"]).items() {
                used = true;
                context.cluster(reading, cluster);
            }
            if !used {
                context.alone(reading, &node);
            }
        }
    });
}

struct Context<'c> {
    path: &'c Arc<Path>,
    folder: &'c Path,
    secrets: Vec<Node>,
}

impl Context<'_> {
    fn at(&self, node: &Node) -> At {
        At::new(self.path, node.line)
    }

    fn listener(&self, reading: &mut Reading<'_>, listener: &Node) {
        let mut listens = Vec::new();
        let more = listener.get("additional_addresses").items().iter().map(|a| a.get("address"));
        for one in std::iter::once(listener.get("address")).chain(more) {
            let socket = one.get("socket_address");
            let udp = socket.get("protocol").text().is_some_and(|p| p.eq_ignore_ascii_case("udp"));
            let port = socket.get("port_value").text().and_then(|p| p.parse().ok());
            if let (Some(port), Ok(address)) = (port, address(socket.get("address").text().unwrap_or(""))) {
                listens.push(Listen { address, port, protocol: if udp { "quic" } else { "tls" } });
            }
        }
        let chains =
            listener.get("filter_chains").items().iter().chain(listener.get("default_filter_chain").items());
        for chain in chains {
            let names: Vec<Name> = chain
                .at(&["filter_chain_match", "server_names"])
                .items()
                .iter()
                .filter_map(Node::text)
                .map(Name::plain)
                .collect();
            let config = chain.at(&["transport_socket", "typed_config"]);
            // QUIC wraps it once more; before 2020 it stood beside the filters.
            for tls in [config, config.get("downstream_tls_context"), chain.get("tls_context")] {
                let common = tls.get("common_tls_context");
                if !common.is_some() {
                    continue;
                }
                for one in self.certificates(reading, common) {
                    let Some((certificate, key, at)) = one else { continue };
                    let mut serving = reading.serving(certificate, &at);
                    serving.key = key;
                    serving.listens.clone_from(&listens);
                    serving.names.clone_from(&names);
                    serving.default = names.is_empty();
                    reading.serve(serving);
                }
                let required = tls.get("require_client_certificate").text() == Some("true");
                let checks = if required { Checks::ClientsRequired } else { Checks::ClientsOptional };
                self.trusts(reading, common, checks, (&listens, &names));
            }
        }
    }

    fn cluster(&self, reading: &mut Reading<'_>, cluster: &Node) {
        let mut found = Vec::new();
        cluster.all("common_tls_context", &mut found);
        for common in found {
            for (certificate, key, at) in self.certificates(reading, common).into_iter().flatten() {
                reading.client(certificate, key, cluster.get("name").text().map(str::to_owned), &at);
            }
            self.trusts(reading, common, Checks::Peers, (&[], &[]));
        }
    }

    /// A file of secrets, or a part of a configuration.
    fn alone(&self, reading: &mut Reading<'_>, node: &Node) {
        let mut found = Vec::new();
        node.all("tls_certificate", &mut found);
        for certificate in found {
            if let Some((path, key, at)) = self.pair(reading, certificate) {
                let mut serving = reading.serving(path, &at);
                serving.key = key;
                reading.serve(serving);
            }
        }
        self.trusts(reading, node, Checks::NobodyAsked, (&[], &[]));
    }

    fn certificates(
        &self,
        reading: &mut Reading<'_>,
        common: &Node,
    ) -> Vec<Option<(std::path::PathBuf, Option<std::path::PathBuf>, At)>> {
        let mut out: Vec<_> =
            common.get("tls_certificates").items().iter().map(|node| self.pair(reading, node)).collect();
        for secret in common.get("tls_certificate_sds_secret_configs").items() {
            if let Some(known) =
                self.secrets.iter().find(|s| s.get("name").text() == secret.get("name").text())
            {
                out.push(self.pair(reading, known.get("tls_certificate")));
                continue;
            }
            let source = secret.get("sds_config");
            let path =
                source.at(&["path_config_source", "path"]).text().or_else(|| source.get("path").text());
            let Some(path) = path.map(|p| join(self.folder, p)) else {
                let why = "the certificate comes from a control plane";
                reading.blind(&self.at(secret), Reason::UnsupportedFormat, why);
                continue;
            };
            let read = reading.enter(&path, &self.at(secret), |reading, path, text| {
                let inner = Context { path, folder: self.folder, secrets: Vec::new() };
                let mut found = Vec::new();
                for node in Node::yaml(&text) {
                    let mut all = Vec::new();
                    node.all("tls_certificate", &mut all);
                    found.extend(all.iter().map(|node| inner.pair(reading, node)));
                }
                found
            });
            out.extend(read.unwrap_or_default());
        }
        out
    }

    fn pair(
        &self,
        reading: &mut Reading<'_>,
        node: &Node,
    ) -> Option<(std::path::PathBuf, Option<std::path::PathBuf>, At)> {
        let chain = node.get("certificate_chain");
        let Some(path) = chain.get("filename").text() else {
            if chain.is_some() {
                let why = "the certificate stands in the configuration itself";
                reading.blind(&self.at(chain), Reason::UnsupportedFormat, why);
            }
            return None;
        };
        let key = node.at(&["private_key", "filename"]).text().map(|k| join(self.folder, k));
        Some((join(self.folder, path), key, self.at(chain)))
    }

    fn trusts(&self, reading: &mut Reading<'_>, common: &Node, checks: Checks, place: (&[Listen], &[Name])) {
        for (name, holds) in [("trusted_ca", Holds::Cas), ("crl", Holds::Crl)] {
            let mut found = Vec::new();
            common.all(name, &mut found);
            for node in found {
                if let Some(path) = node.get("filename").text() {
                    reading.trust(join(self.folder, path), holds, checks, place, &self.at(node));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn listeners_and_clusters() {
        let main = "static_resources:\n  listeners:\n  - address:\n      socket_address: { address: 0.0.0.0, port_value: 8443 }\n    filter_chains:\n    - filter_chain_match:\n        server_names: [a.test]\n\
                    \x20     transport_socket:\n        typed_config:\n          require_client_certificate: true\n          common_tls_context:\n            tls_certificates:\n            - certificate_chain: { filename: /a.pem }\n              private_key:\n                filename: /a.key\n\
                    \x20           tls_certificate_sds_secret_configs:\n            - name: x\n              sds_config:\n                path_config_source:\n                  path: /sds.yaml\n\
                    \x20           validation_context:\n              trusted_ca: { filename: /ca.pem }\n\
                    \x20 clusters:\n  - name: up\n    transport_socket:\n      typed_config:\n        common_tls_context:\n          tls_certificates:\n          - certificate_chain: { filename: /me.pem }\n";
        check(
            "envoy",
            &[
                ("/e.yaml", main),
                (
                    "/sds.yaml",
                    "resources:\n- name: x\n  tls_certificate:\n    certificate_chain:\n      filename: /s.pem\n    private_key: {filename: /s.key}\n",
                ),
            ],
            &[
                "serve /a.pem key /a.key [tls 0.0.0.0:8443] a.test @13",
                "serve /s.pem key /s.key [tls 0.0.0.0:8443] a.test @5",
                "cas /ca.pem required @22",
                "client /me.pem @29",
            ],
        );
    }
}
