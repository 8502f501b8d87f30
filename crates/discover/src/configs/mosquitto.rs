//! mosquitto: listeners with their certificates, bridges with theirs.

use std::path::Path;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "mosquitto",
    mains: &[
        "/etc/mosquitto/mosquitto.conf",
        "/mosquitto/config/mosquitto.conf",
        "/usr/local/etc/mosquitto/mosquitto.conf",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["mosquitto.conf"])
        || has_word(head, &["listener", "bridge_cafile"])
            && has_word(head, &["certfile", "bridge_cafile", "keyfile"])
}

/// What belongs together: a listener, or the connection to another broker.
#[derive(Default)]
struct Part {
    listen: Option<Listen>,
    certificate: Option<(String, At)>,
    key: Option<String>,
    cas: Vec<(String, Holds, At)>,
    required: bool,
    to: Option<String>,
    bridge: bool,
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    // The first is the listener that older versions have without saying so.
    let mut parts = vec![Part { listen: Some(Listen::tls(None, 1883)), ..Part::default() }];
    load(reading, path, &At::file(path), &mut parts);
    let slash = Path::new("/");
    for part in parts {
        let listens: Vec<Listen> = part.listen.into_iter().collect();
        let key = part.key.map(|k| join(slash, &k));
        let serves = part.certificate.is_some();
        if let Some((certificate, at)) = part.certificate {
            if part.bridge {
                reading.client(join(slash, &certificate), key, part.to, &at);
            } else {
                let mut serving = reading.serving(join(slash, &certificate), &at);
                serving.key = key;
                serving.listens.clone_from(&listens);
                serving.default = true;
                reading.serve(serving);
            }
        }
        let checks = match () {
            () if part.bridge => Checks::Peers,
            () if part.required => Checks::ClientsRequired,
            () => Checks::NobodyAsked,
        };
        for (path, holds, at) in part.cas.into_iter().filter(|_| serves || part.bridge) {
            reading.trust(
                join(slash, &path),
                holds,
                checks,
                (if part.bridge { &[] } else { &listens }, &[]),
                &at,
            );
        }
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, parts: &mut Vec<Part>) {
    let folder = folder_of(path);
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in words::lines(&text, &['#']) {
            let at = At::new(path, number);
            // The value is the rest of the line, blanks and all.
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim().to_owned();
            if name == "include_dir" {
                for file in reading.tree.glob(&join(&folder, &value).join("*.conf")) {
                    load(reading, &file, &at, parts);
                }
                continue;
            }
            match name {
                "listener" => {
                    let mut all = value.split_whitespace();
                    let port = all.next().and_then(|p| p.parse().ok()).filter(|p| *p > 0);
                    let host = all.next().map_or(Ok(None), address);
                    let listen = port.zip(host.ok()).map(|(port, address)| Listen::tls(address, port));
                    parts.push(Part { listen, ..Part::default() });
                    continue;
                }
                "connection" => {
                    parts.push(Part { bridge: true, ..Part::default() });
                    continue;
                }
                _ => {}
            }
            let Some(part) = parts.last_mut() else { continue };
            match name.strip_prefix("bridge_").unwrap_or(name) {
                "port" => part.listen = value.parse().ok().map(|port| Listen::tls(None, port)),
                "certfile" => part.certificate = Some((value, at)),
                "keyfile" => part.key = Some(value),
                "cafile" => part.cas.push((value, Holds::Cas, at)),
                "capath" => part.cas.push((value, Holds::FolderOfCas, at)),
                "crlfile" => part.cas.push((value, Holds::Crl, at)),
                "require_certificate" => part.required = words::is_on(&value),
                "address" | "addresses" => part.to = Some(value),
                _ => {}
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn listeners_and_bridges() {
        let main = "listener 1883\nlistener 8883 127.0.0.1\ncertfile /a b.pem\nkeyfile /a.key\ncafile /ca\nrequire_certificate true\ninclude_dir conf.d\n";
        check(
            "mosquitto",
            &[
                ("/etc/mosquitto/mosquitto.conf", main),
                (
                    "/etc/mosquitto/conf.d/b.conf",
                    "connection x\naddress far:8883\nbridge_cafile /up.pem\nbridge_certfile /me.pem\n",
                ),
            ],
            &[
                "serve /a b.pem key /a.key [tls 127.0.0.1:8883] default @3",
                "cas /ca required @5",
                "cas /up.pem peers @3",
                "client /me.pem @4",
            ],
        );
    }
}
