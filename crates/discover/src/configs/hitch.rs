//! Hitch: frontends, and certificates with their keys in one file, chosen by the names in them.

use std::path::Path;

use super::reading::{address, address_and_port, join};
use super::value::Node;
use super::{At, Checks, Holds, Listen, Reading, Server, has_word, is_named};

pub(super) const SERVER: Server = Server {
    name: "hitch",
    mains: &["/etc/hitch/hitch.conf", "/usr/local/etc/hitch.conf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["hitch.conf"])
        || has_word(head, &["pem-file", "pem-dir"]) && has_word(head, &["frontend"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    reading.main(path, |reading, path, text| {
        let all = reading.blocks(&text, &["#"], &At::file(path));
        let frontends: Vec<&Node> = named(&all, "frontend").collect();
        let mut shared: Vec<Listen> = Vec::new();
        for frontend in &frontends {
            let listens: Vec<Listen> = listen(frontend).into_iter().collect();
            // A frontend with files of its own shows no other.
            match named(frontend, "pem-file").next() {
                Some(_) => certificates(reading, path, frontend, &listens),
                None => shared.extend(listens),
            }
        }
        if frontends.is_empty() {
            shared.push(Listen::tls(None, 8443));
        }
        certificates(reading, path, &all, &shared);
    });
}

fn named<'n>(node: &'n Node, name: &'n str) -> impl Iterator<Item = &'n Node> {
    node.entries().filter(move |(its, _)| *its == name).map(|(_, value)| value)
}

/// `"[*]:443"`, or a block with `host` and `port`.
fn listen(frontend: &Node) -> Option<Listen> {
    let (host, port) = match frontend.text() {
        Some(text) => {
            let (host, port) = address_and_port(text)?;
            (host, port?)
        }
        None => (frontend.get("host").text().unwrap_or("*"), frontend.get("port").text()?.parse().ok()?),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    address(host).ok().map(|address| Listen::tls(address, port))
}

fn certificates(reading: &mut Reading<'_>, path: &std::sync::Arc<Path>, scope: &Node, listens: &[Listen]) {
    let slash = Path::new("/");
    let files = named(scope, "pem-file").filter_map(|value| {
        let file = value.text().or_else(|| value.get("cert").text())?;
        let key = value.get("private-key").text();
        Some((join(slash, file), key.map(|key| join(slash, key)), value.line))
    });
    let mut all: Vec<_> = files.collect();
    // Without a file of its own, the last one listed is for whoever asks for no name (measured with 1.7).
    let listed = all.len();
    if let Some(folder) = scope.get("pem-dir").text() {
        let pattern = scope.get("pem-dir-glob").text().unwrap_or("*");
        let line = scope.get("pem-dir").line;
        let found = reading.tree.glob(&join(slash, folder).join(pattern));
        all.extend(found.into_iter().map(|file| (file, None, line)));
    }
    for (n, (file, key, line)) in all.into_iter().enumerate() {
        let mut serving = reading.serving(file, &At::new(path, line));
        serving.key = key;
        serving.listens = listens.to_vec();
        serving.by_certificate = true;
        serving.default = n + 1 == listed;
        reading.serve(serving);
    }
    let verify = scope.get("client-verify");
    let checks = match verify.text() {
        Some("required") => Checks::ClientsRequired,
        Some("optional") => Checks::ClientsOptional,
        _ => Checks::NobodyAsked,
    };
    let ca = scope.get("client-verify-ca");
    if let Some(file) = ca.text() {
        reading.trust(join(slash, file), Holds::Cas, checks, (listens, &[]), &At::new(path, ca.line));
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn frontends_and_their_files() {
        let main = "# c\nfrontend = \"[*]:443\"\nfrontend = {\n  host = \"127.0.0.1\"\n  port = \"8443\"\n  pem-file = \"/own.pem\"\n}\n\
                    pem-file = \"/a.pem\"\npem-file = {\n cert = \"/b.crt\"\n private-key = \"/b.key\"\n}\npem-dir = \"/d\"\npem-dir-glob = \"*.pem\"\n\
                    client-verify = required\nclient-verify-ca = \"/ca\"\n";
        check(
            "hitch",
            &[("/etc/hitch/hitch.conf", main), ("/d/c.pem", "x"), ("/d/no", "x")],
            &[
                "serve /own.pem [tls 127.0.0.1:8443] by-certificate default @6",
                "serve /a.pem [tls *:443] by-certificate @8",
                "serve /b.crt key /b.key [tls *:443] by-certificate default @9",
                "serve /d/c.pem [tls *:443] by-certificate @13",
                "cas /ca required @16",
            ],
        );
    }
}
