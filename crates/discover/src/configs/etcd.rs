//! etcd: its file of settings, the environment of its unit, and the words it is started with in a manifest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::reading::{address, address_and_port, join};
use super::value::Node;
use super::{At, Checks, Holds, Listen, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "etcd",
    mains: &[
        "/etc/etcd/*.yml",
        "/etc/etcd/*.yaml",
        "/etc/etcd/etcd.conf",
        "/etc/default/etcd",
        "/etc/etcd.env",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["etcd.conf.yml", "etcd.conf.yaml", "etcd.env", "etcd.conf"])
        || has_word(head, &["client-transport-security", "ETCD_CERT_FILE"])
        || has_word(head, &["etcd"]) && has_word(head, &["--peer-cert-file", "--cert-file"])
}

/// Settings by the names of its flags.
type Settings = HashMap<String, (String, At)>;

fn read(reading: &mut Reading<'_>, path: &Path) {
    reading.main(path, |reading, path, text| {
        let mut all = Settings::new();
        let file = Node::yaml(&text).into_iter().next().unwrap_or_default();
        for (block, before) in [("client-transport-security", ""), ("peer-transport-security", "peer-")] {
            for (name, value) in file.get(block).entries() {
                keep(&mut all, &format!("{before}{name}"), value.text(), path, value.line);
            }
        }
        for name in ["listen-client-urls", "listen-peer-urls"] {
            keep(&mut all, name, file.get(name).text(), path, file.get(name).line);
        }
        for (number, line) in words::lines(&text, &['#']) {
            // `ETCD_CERT_FILE=...` is `--cert-file=...`.
            let line = line.trim_start_matches("- ").trim_start_matches("export ");
            if let Some((name, value)) = words::pair(line).filter(|(name, _)| name.starts_with("ETCD_")) {
                let name = name.trim_start_matches("ETCD_").to_ascii_lowercase().replace('_', "-");
                keep(&mut all, &name, Some(value), path, number);
            }
            let words = words::split(line);
            for (n, word) in words.iter().enumerate() {
                let Some(flag) = word.strip_prefix("--") else { continue };
                match flag.split_once('=') {
                    Some((name, value)) => keep(&mut all, name, Some(value), path, number),
                    None => keep(&mut all, flag, words.get(n + 1).map(String::as_str), path, number),
                }
            }
        }
        for (before, urls, usual) in [("", "listen-client-urls", 2379), ("peer-", "listen-peer-urls", 2380)] {
            part(reading, &all, before, urls, usual);
        }
    });
}

fn keep(all: &mut Settings, name: &str, value: Option<&str>, path: &Arc<Path>, line: u32) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        all.entry(name.to_owned()).or_insert_with(|| (value.to_owned(), At::new(path, line)));
    }
}

fn part(reading: &mut Reading<'_>, all: &Settings, before: &str, urls: &str, usual: u16) {
    let get = |name: &str| all.get(&format!("{before}{name}"));
    let Some((file, at)) = get("cert-file") else { return };
    let slash = Path::new("/");
    let given = all.get(urls).map_or("", |(urls, _)| urls.as_str());
    let listens: Vec<Listen> = given
        .split(',')
        .filter_map(|url| address_and_port(url.trim().strip_prefix("https://")?.trim_end_matches('/')))
        .filter_map(|(host, port)| Some(Listen::tls(address(host).ok()?, port.unwrap_or(usual))))
        .collect();
    let key = get("key-file").map(|(key, _)| join(slash, key));
    let mut serving = reading.serving(join(slash, file), at);
    serving.key.clone_from(&key);
    serving.listens.clone_from(&listens);
    serving.default = true;
    reading.serve(serving);
    // Its peers are shown the same one where it calls them.
    if before == "peer-" {
        reading.client(join(slash, file), key, None, at);
    }
    if let Some((ca, at)) = get("trusted-ca-file") {
        let asked =
            get("client-cert-auth").is_some_and(|(value, _)| words::is_on(value) || value.starts_with("--"));
        let checks = if asked { Checks::ClientsRequired } else { Checks::NobodyAsked };
        reading.trust(join(slash, ca), Holds::Cas, checks, (&listens, &[]), at);
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn a_file_an_environment_and_a_manifest() {
        let file = "listen-client-urls: https://127.0.0.1:2379,http://127.0.0.1:1\nclient-transport-security:\n  cert-file: /a.pem\n  key-file: /a.key\n  trusted-ca-file: /ca\n  client-cert-auth: true\n";
        check(
            "etcd",
            &[("/etc/etcd/etcd.conf.yml", file)],
            &["serve /a.pem key /a.key [tls 127.0.0.1:2379] default @3", "cas /ca required @5"],
        );
        let environment = "# c\nETCD_LISTEN_CLIENT_URLS=\"https://0.0.0.0:2379\"\nETCD_CERT_FILE=\"/a.pem\"\nETCD_KEY_FILE=/a.key\n";
        check(
            "etcd",
            &[("/etc/default/etcd", environment)],
            &["serve /a.pem key /a.key [tls 0.0.0.0:2379] default @3"],
        );
        let manifest = "spec:\n  containers:\n  - command:\n    - etcd\n    - --peer-cert-file=/p.crt\n    - --peer-key-file=/p.key\n    - --listen-peer-urls=https://127.0.0.1:2380\n";
        check(
            "etcd",
            &[("/etc/kubernetes/manifests/etcd.yaml", manifest)],
            &["serve /p.crt key /p.key [tls 127.0.0.1:2380] default @5", "client /p.crt key /p.key @5"],
        );
    }
}
