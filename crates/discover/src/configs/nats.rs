//! NATS: the clients' port, clusters, gateways, leaf nodes, WebSocket and MQTT, each with its `tls` block.

use std::path::Path;
use std::sync::Arc;

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::value::{Data, Node};
use super::words::is_on;
use super::{At, Checks, Holds, Listen, Reading, Server, has_word, is_named};

pub(super) const SERVER: Server = Server {
    name: "nats",
    mains: &["/etc/nats-server.conf", "/etc/nats/*.conf", "/usr/local/etc/nats-server.conf"],
    recognises,
    read,
};

/// The parts that listen, and the port each has where none is named. NATS greets in plain text before TLS begins, which no
/// location can name: only that the file is used is known there.
const PARTS: &[(&str, Option<u16>, &str)] = &[
    ("cluster", None, "nats"),
    ("gateway", None, "nats"),
    ("leafnodes", None, "nats"),
    ("leafnode", None, "nats"),
    ("websocket", None, "tls"),
    ("mqtt", Some(1883), "tls"),
];

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["nats-server.conf", "nats.conf"])
        || has_word(head, &["cert_file"])
            && has_word(head, &["key_file"])
            && has_word(head, &["tls"])
            && has_word(
                head,
                &["jetstream", "leafnodes", "cluster", "server_name", "authorization", "accounts"],
            )
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let Some((path, all)) = load(reading, path, &At::file(path)) else { return };
    let folder = folder_of(&path);
    let own = listen(reading, &path, &all, Some(4222), "nats");
    part(reading, &path, &folder, all.get("tls"), own);
    if let Some(port) = all.get("https_port").text().and_then(|p| p.parse().ok()) {
        part(reading, &path, &folder, all.get("tls"), Some(Listen::tls(None, port)));
    }
    for (name, port, protocol) in PARTS {
        let its = all.get(name);
        let listen = its.is_some().then(|| listen(reading, &path, its, *port, protocol)).flatten();
        part(reading, &path, &folder, its.get("tls"), listen);
        for remote in its.get("remotes").entries().map(|(_, remote)| remote) {
            let tls = remote.get("tls");
            if let Some(file) = tls.get("cert_file").text() {
                let key = tls.get("key_file").text().map(|key| join(&folder, key));
                let to = remote.get("url").text().map(str::to_owned);
                reading.client(join(&folder, file), key, to, &At::new(&path, tls.get("cert_file").line));
            }
        }
    }
}

/// A file with all that it includes, as if it stood there.
fn load(reading: &mut Reading<'_>, path: &Path, from: &At) -> Option<(Arc<Path>, Node)> {
    reading.enter(path, from, |reading, path, text| {
        let all = reading.blocks(&text, &["#", "//"], &At::file(path));
        let mut out = Vec::new();
        for (name, value) in all.entries() {
            match value.text().filter(|_| name == "include") {
                Some(file) => {
                    let at = At::new(path, value.line);
                    if let Some((_, Node { data: Data::Map(more), .. })) =
                        load(reading, &join(&folder_of(path), file), &at)
                    {
                        out.extend(more);
                    }
                }
                None => out.push((name.to_owned(), value.clone())),
            }
        }
        (Arc::clone(path), Node { line: 1, data: Data::Map(out) })
    })
}

/// `listen`, or `host` (`net`) and `port`.
fn listen(
    reading: &mut Reading<'_>,
    path: &Arc<Path>,
    part: &Node,
    usual: Option<u16>,
    protocol: &'static str,
) -> Option<Listen> {
    let given = part.get("listen");
    let (host, port) = match given.text().and_then(address_and_port) {
        Some((host, port)) => (host, port),
        None => {
            let host = part.get("host").text().or_else(|| part.get("net").text());
            (host.unwrap_or_default(), part.get("port").text().and_then(|port| port.parse().ok()))
        }
    };
    let port = port.or(usual)?;
    match address(host) {
        Ok(address) => Some(Listen { address, port, protocol }),
        Err(()) => {
            let at = At::new(path, given.line.max(part.get("host").line));
            reading.blind(&at, Reason::Dns, format!("{host}: only the server's own resolver knows that"));
            None
        }
    }
}

fn part(reading: &mut Reading<'_>, path: &Arc<Path>, folder: &Path, tls: &Node, listen: Option<Listen>) {
    let listens: Vec<Listen> = listen.into_iter().filter(|listen| listen.scheme().is_some()).collect();
    let file = tls.get("cert_file");
    let serves = file.text().is_some();
    if let Some(certificate) = file.text() {
        let mut serving = reading.serving(join(folder, certificate), &At::new(path, file.line));
        serving.key = tls.get("key_file").text().map(|key| join(folder, key));
        serving.listens.clone_from(&listens);
        serving.default = true;
        reading.serve(serving);
    }
    let ca = tls.get("ca_file");
    if let Some(cas) = ca.text().filter(|_| serves) {
        let on = |name: &str| tls.get(name).text().is_some_and(is_on);
        let checks =
            if on("verify") || on("verify_and_map") { Checks::ClientsRequired } else { Checks::NobodyAsked };
        reading.trust(join(folder, cas), Holds::Cas, checks, (&listens, &[]), &At::new(path, ca.line));
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn the_clients_port_and_others() {
        let main = "listen: \"127.0.0.1:4333\"\ninclude ./tls.conf\ncluster {\n  port: 6222\n  tls { cert_file = \"/c.pem\", key_file = \"/c.key\", ca_file = \"/cas\", verify: true }\n}\n\
                    websocket { port: 443\n tls {\n cert_file: /w.pem\n key_file: /w.key\n} }\nleafnodes { remotes = [ { url: \"tls://hub\", tls: { cert_file: \"/l.pem\" } } ] }\n";
        check(
            "nats",
            &[
                ("/etc/nats-server.conf", main),
                ("/etc/tls.conf", "tls {\n  cert_file: \"a.pem\"\n  key_file: \"/a.key\"\n}\n"),
            ],
            &[
                "serve /etc/a.pem key /a.key default @2",
                "serve /c.pem key /c.key default @5",
                "serve /w.pem key /w.key [tls *:443] default @9",
                "cas /cas required @5",
                "client /l.pem @12",
            ],
        );
    }
}
