//! Unbound: DNS over TLS and HTTPS for its clients, and the channel of `unbound-control`.

use std::collections::HashMap;
use std::path::Path;

use super::reading::{address, folder_of, join};
use super::{At, Listen, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "unbound",
    mains: &["/etc/unbound/unbound.conf", "/usr/local/etc/unbound/unbound.conf", "/var/unbound/unbound.conf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["unbound.conf"]) || has_word(head, &["tls-service-pem", "tls-service-key"])
}

type Settings = HashMap<String, Vec<(String, At)>>;

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let mut all = Settings::new();
    load(reading, path, &At::file(path), &mut all);
    let last = |name: &str| all.get(name).and_then(|values| values.last());
    let text = |name: &str| last(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty());
    let base = text("directory").map_or_else(|| folder.clone(), |d| join(&folder, d));
    let port = |name: &str, usual: u16| text(name).and_then(|p| p.parse().ok()).unwrap_or(usual);
    let mut secure: Vec<u16> = vec![port("tls-port", port("ssl-port", 853)), port("https-port", 443)];
    secure.extend(
        all.get("tls-additional-port").into_iter().flatten().filter_map(|(p, _)| p.parse::<u16>().ok()),
    );
    let interfaces = ["interface", "ip-address"].iter().filter_map(|name| all.get(*name)).flatten();
    // Only what is said to listen on such a port speaks TLS there.
    let listens: Vec<Listen> = interfaces
        .filter_map(|(value, _)| {
            let (host, port) = value.split_once('@')?;
            let port = port.parse().ok().filter(|port| secure.contains(port))?;
            Some(Listen::tls(address(host).ok()?, port))
        })
        .collect();
    for (certificate, key) in [("tls-service-pem", "tls-service-key"), ("ssl-service-pem", "ssl-service-key")]
    {
        if let Some((file, at)) = last(certificate).filter(|(file, _)| !file.is_empty()) {
            let mut serving = reading.serving(join(&base, file), at);
            serving.key = text(key).map(|key| join(&base, key));
            serving.listens.clone_from(&listens);
            serving.default = true;
            reading.serve(serving);
        }
    }
    let controlled =
        text("control-enable").is_some_and(words::is_on) && text("control-use-cert").is_none_or(words::is_on);
    if let Some((file, at)) = last("server-cert-file").filter(|_| controlled) {
        let mut serving = reading.serving(join(&base, file), at);
        serving.key = text("server-key-file").map(|key| join(&base, key));
        serving.listens.push(Listen::tls(
            text("control-interface").and_then(|host| address(host).ok()?).or(Some([127, 0, 0, 1].into())),
            port("control-port", 8953),
        ));
        serving.default = true;
        reading.serve(serving);
    }
    if let Some((file, at)) = last("control-cert-file").filter(|_| controlled) {
        let key = text("control-key-file").map(|key| join(&base, key));
        reading.client(join(&base, file), key, None, at);
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, all: &mut Settings) {
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in words::lines(&text, &['#']) {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = words::split(value).into_iter().next().unwrap_or_default();
            let at = At::new(path, number);
            match name.trim() {
                "include" | "include-toplevel" => {
                    for file in reading.tree.glob(&join(&folder_of(path), &value)) {
                        load(reading, &file, &at, all);
                    }
                }
                name => all.entry(name.to_owned()).or_default().push((value, at)),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn what_is_asked_in_private_and_who_controls_it() {
        let main = "include-toplevel: \"/etc/unbound/unbound.conf.d/*.conf\"\nserver:\n  interface: 127.0.0.1\n  interface: 127.0.0.1@853 # c\n  interface: ::1@443\n\
                    \x20 tls-service-pem: \"/a.pem\"\n  tls-service-key: \"/a.key\"\n";
        check(
            "unbound",
            &[
                ("/etc/unbound/unbound.conf", main),
                (
                    "/etc/unbound/unbound.conf.d/r.conf",
                    "remote-control:\n control-enable: yes\n server-cert-file: \"/s.pem\"\n server-key-file: \"/s.key\"\n control-cert-file: \"/c.pem\"\n",
                ),
            ],
            &[
                "serve /a.pem key /a.key [tls 127.0.0.1:853] [tls [::1]:443] default @6",
                "serve /s.pem key /s.key [tls 127.0.0.1:8953] default @3",
                "client /c.pem @5",
            ],
        );
    }
}
