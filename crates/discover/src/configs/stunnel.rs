//! stunnel: services in INI form, servers and clients.

use std::collections::HashMap;
use std::path::Path;

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::{At, Checks, Holds, Listen, Name, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "stunnel",
    mains: &["/etc/stunnel/*.conf", "/usr/local/etc/stunnel/*.conf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["stunnel.conf"])
        || has_word(head, &["accept"])
            && has_word(head, &["connect", "exec"])
            && head.contains(&b'[')
            && head.contains(&b'=')
}

type Settings = HashMap<String, Vec<(String, At)>>;

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let mut services: Vec<(String, Settings)> = vec![(String::new(), Settings::new())];
    load(reading, path, &At::file(path), &mut services);
    let global = services.remove(0).1;
    // Before version 5 one service could stand without a name.
    if services.is_empty() && global.contains_key("accept") {
        services.push((String::new(), Settings::new()));
    }
    for (_, own) in &services {
        service(reading, own, &global, &services, &folder);
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, services: &mut Vec<(String, Settings)>) {
    let folder = folder_of(path);
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in words::lines(&text, &['#', ';']) {
            let at = At::new(path, number);
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
                services.push((name.to_owned(), Settings::new()));
            } else if let Some((key, value)) = words::pair(line) {
                if key.eq_ignore_ascii_case("include") {
                    for file in reading.tree.glob(&join(&folder, value).join("*")) {
                        load(reading, &file, &at, services);
                    }
                } else if let Some((_, own)) = services.last_mut() {
                    own.entry(key.to_ascii_lowercase()).or_default().push((value.to_owned(), at));
                }
            }
        }
    });
}

fn service(
    reading: &mut Reading<'_>,
    own: &Settings,
    global: &Settings,
    all: &[(String, Settings)],
    folder: &Path,
) {
    let get = |key: &str| own.get(key).or_else(|| global.get(key)).and_then(|v| v.last());
    let client = get("client").is_some_and(|(v, _)| words::is_on(v));
    let key = get("key").map(|(k, _)| join(folder, k));
    let listens = match get("accept").filter(|_| !client) {
        Some((text, at)) => match address_and_port(text) {
            Some((host, Some(port))) => match address(host) {
                Ok(address) => vec![Listen {
                    address,
                    port,
                    protocol: protocol(get("protocol").map(|(p, _)| p.as_str())),
                }],
                Err(()) => {
                    reading.blind(at, Reason::Dns, format!("{host}: only stunnel's own resolver knows that"));
                    Vec::new()
                }
            },
            _ => Vec::new(),
        },
        // `sni = service:name`: reached through that service.
        None => Vec::new(),
    };
    let mut names = Vec::new();
    let mut listens = listens;
    if let Some((main, name)) = get("sni").filter(|_| !client).and_then(|(v, _)| v.split_once(':')) {
        names.push(Name::plain(name));
        let accept = all.iter().find(|(n, _)| n == main).and_then(|(_, s)| s.get("accept")?.last());
        if let Some((host, Some(port))) = accept.and_then(|(text, _)| address_and_port(text))
            && let Ok(address) = address(host)
        {
            listens.push(Listen::tls(address, port));
        }
    }
    for (certificate, at) in own.get("cert").or_else(|| global.get("cert")).into_iter().flatten() {
        let path = join(folder, certificate);
        if client {
            reading.client(path, key.clone(), get("connect").map(|(c, _)| c.clone()), at);
        } else {
            let mut serving = reading.serving(path, at);
            serving.key = key.clone();
            serving.listens.clone_from(&listens);
            serving.default = names.is_empty();
            serving.names.clone_from(&names);
            reading.serve(serving);
        }
    }
    let level = get("verify").and_then(|(v, _)| v.parse::<u8>().ok()).unwrap_or(0);
    let on = |key: &str| get(key).is_some_and(|(v, _)| words::is_on(v));
    let required = level >= 2 || on("verifychain") || on("verifypeer");
    let checks = match () {
        () if client => Checks::Peers,
        () if required && get("requirecert").is_none_or(|(v, _)| words::is_on(v)) => Checks::ClientsRequired,
        () if level == 1 || required => Checks::ClientsOptional,
        () => Checks::NobodyAsked,
    };
    for (key, holds) in [
        ("cafile", Holds::Cas),
        ("capath", Holds::FolderOfCas),
        ("crlfile", Holds::Crl),
        ("crlpath", Holds::FolderOfCrls),
    ] {
        if let Some((path, at)) = get(key) {
            reading.trust(join(folder, path), holds, checks, (&listens, &names), at);
        }
    }
}

fn protocol(name: Option<&str>) -> &'static str {
    match name {
        Some("smtp") => "starttls:smtp",
        Some("imap") => "starttls:imap",
        Some("pop3") => "starttls:pop3",
        Some("nntp") => "starttls:nntp",
        Some("pgsql") => "starttls:postgres",
        _ => "tls",
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn services() {
        let main = "cert = /a.pem\n; x\n[https]\naccept = 443\nconnect = 80\nkey = /a.key\nverify = 2\nCAfile = ca.pem\n\
                    [virtual]\nsni = https:b.test\ncert = /b.pem\nconnect = 81\n[smtp]\naccept = 127.0.0.1:25\nprotocol = smtp\nconnect = 26\n\
                    [out]\nclient = yes\naccept = 9000\nconnect = far:443\ncert = /me.pem\nCAfile = /up.pem\n";
        check(
            "stunnel",
            &[("/etc/stunnel/s.conf", main)],
            &[
                "serve /a.pem key /a.key [tls *:443] default @1",
                "serve /b.pem [tls *:443] b.test @11",
                "serve /a.pem [starttls:smtp 127.0.0.1:25] default @1",
                "cas /etc/stunnel/ca.pem required @8",
                "cas /up.pem peers @22",
                "client /me.pem @21",
            ],
        );
    }
}
