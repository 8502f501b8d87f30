//! OpenVPN: server and client configurations, with certificates in files or in the configuration itself.
//!
//! What stands inline is at the configuration's own path, where a reader of files finds it too. OpenVPN is
//! no TLS over TCP, so that no endpoint can be asked: the listen says `openvpn`.

use std::path::{Path, PathBuf};

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Password, Reading, Server, begins_line, words};

pub(super) const SERVER: Server = Server {
    name: "openvpn",
    mains: &[
        "/etc/openvpn/*.conf",
        "/etc/openvpn/server/*.conf",
        "/etc/openvpn/client/*.conf",
        "/etc/openvpn/*.ovpn",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    ending == "ovpn"
        || ending == "conf"
            && begins_line(head, &["dev", "dev-type"])
            && begins_line(head, &["ca", "cert", "pkcs12", "<ca>", "<cert>", "remote", "server"])
}

#[derive(Default)]
struct Found {
    ca: Option<(PathBuf, At)>,
    certificate: Option<(PathBuf, At)>,
    key: Option<PathBuf>,
    crl: Option<(PathBuf, At)>,
    password: Option<PathBuf>,
    remote: Option<String>,
    host: String,
    port: u16,
    server: bool,
    optional: bool,
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut found = Found { port: 1194, ..Found::default() };
    load(reading, path, &At::file(path), &mut found);
    let listens = match address(&found.host) {
        Ok(address) if found.server => vec![Listen { address, port: found.port, protocol: "openvpn" }],
        _ => Vec::new(),
    };
    if let Some((certificate, at)) = found.certificate {
        let key = found.key.filter(|k| *k != certificate);
        if found.server {
            let mut serving = reading.serving(certificate, &at);
            serving.key = key;
            serving.password = found.password.map(Password::File);
            serving.listens.clone_from(&listens);
            serving.default = true;
            reading.serve(serving);
        } else {
            reading.client(certificate, key, found.remote, &at);
        }
    }
    let checks = match (found.server, found.optional) {
        (false, _) => Checks::Peers,
        (true, true) => Checks::ClientsOptional,
        (true, false) => Checks::ClientsRequired,
    };
    for (file, holds) in [(found.ca, Holds::Cas), (found.crl, Holds::Crl)] {
        if let Some((path, at)) = file {
            reading.trust(path, holds, checks, (&listens, &[]), &at);
        }
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, found: &mut Found) {
    let folder = folder_of(path);
    reading.enter(path, from, |reading, path, text| {
        let mut inline: Option<String> = None;
        let mut base = folder.clone();
        for (number, line) in words::lines(&text, &['#', ';']) {
            let at = At::new(path, number);
            if let Some(name) = &inline {
                if line == format!("</{name}>") {
                    inline = None;
                }
                continue;
            }
            if let Some(name) = line.strip_prefix('<').and_then(|l| l.strip_suffix('>')) {
                inline = Some(name.to_owned());
                file(found, name, path.to_path_buf(), at);
                continue;
            }
            let all = words::split(line);
            let argument = all.get(1).map_or("", String::as_str);
            let name = all.first().map_or("", |w| w.trim_start_matches("--"));
            match name {
                "config" => load(reading, &join(&base, argument), &at, found),
                "cd" => base = join(&folder, argument),
                "server" | "tls-server" | "server-bridge" => found.server = true,
                "mode" => found.server |= argument == "server",
                "port" | "lport" => found.port = argument.parse().unwrap_or(1194),
                "local" => argument.clone_into(&mut found.host),
                "remote" => found.remote = Some(all[1..].join(" ")),
                "verify-client-cert" => found.optional = argument != "require",
                "client-cert-not-required" => found.optional = true,
                "askpass" if !argument.is_empty() => found.password = Some(join(&base, argument)),
                _ if !argument.is_empty() && argument != "[inline]" => {
                    file(found, name, join(&base, argument), at)
                }
                _ => {}
            }
        }
    });
}

fn file(found: &mut Found, name: &str, path: PathBuf, at: At) {
    match name {
        "ca" => found.ca = Some((path, at)),
        "cert" | "pkcs12" => found.certificate = Some((path, at)),
        "key" => found.key = Some(path),
        "crl-verify" => found.crl = Some((path, at)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn server_and_client() {
        let main = "port 1195\nlocal 10.0.0.1\nserver 10.8.0.0 255.255.255.0\nca ca.crt\ncert s.crt\nkey s.key # x\ncrl-verify c.pem\n";
        check(
            "openvpn",
            &[("/etc/openvpn/s.conf", main)],
            &[
                "serve /etc/openvpn/s.crt key /etc/openvpn/s.key [openvpn 10.0.0.1:1195] default @5",
                "cas /etc/openvpn/ca.crt required @4",
                "crl /etc/openvpn/c.pem required @7",
            ],
        );
        let client = "client\nremote far 1194\n<ca>\n-----BEGIN CERTIFICATE-----\n</ca>\n<cert>\nkey x\n</cert>\n<key>\n</key>\n";
        check("openvpn", &[("/c.ovpn", client)], &["cas /c.ovpn peers @3", "client /c.ovpn @6"]);
    }
}
