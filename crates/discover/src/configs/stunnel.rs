//! stunnel: services in INI form, servers and clients.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
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
        Some((text, at)) => match accept(text) {
            Ok((address, port)) => {
                vec![Listen { address, port, protocol: protocol(get("protocol").map(|(p, _)| p.as_str())) }]
            }
            Err((reason, why)) => {
                reading.blind(at, reason, why);
                Vec::new()
            }
        },
        // `sni = service:name`: reached through that service.
        None => Vec::new(),
    };
    let mut names = Vec::new();
    let mut listens = listens;
    if let Some((main, name)) = get("sni").filter(|_| !client).and_then(|(v, _)| v.split_once(':')) {
        names.push(Name::plain(name));
        let place = all.iter().find(|(n, _)| n == main).and_then(|(_, s)| s.get("accept")?.last());
        // What cannot be told of it is said where it stands.
        if let Some(Ok((address, port))) = place.map(|(text, _)| accept(text)) {
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

/// Ports by the names that /etc/services has for them (IANA).
const PORTS: &[(&str, u16)] = &[
    ("ftp", 21),
    ("smtp", 25),
    ("http", 80),
    ("pop3", 110),
    ("nntp", 119),
    ("imap", 143),
    ("imap2", 143),
    ("https", 443),
    ("smtps", 465),
    ("ssmtp", 465),
    ("submissions", 465),
    ("urd", 465),
    ("nntps", 563),
    ("submission", 587),
    ("ldaps", 636),
    ("domain-s", 853),
    ("ftps-data", 989),
    ("ftps", 990),
    ("telnets", 992),
    ("imaps", 993),
    ("ircs", 994),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("sip-tls", 5061),
    ("xmpp-client", 5222),
    ("amqps", 5671),
    ("syslog-tls", 6514),
    ("ircs-u", 6697),
    ("secure-mqtt", 8883),
];

/// `[host:]port`: the port, a number or a name, stands behind the last colon, and `::` in front of it is an
/// address without brackets (stunnel(8)).
fn accept(text: &str) -> Result<(Option<IpAddr>, u16), (Reason, String)> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let known = PORTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(port)).map(|(_, number)| *number);
    let port =
        port.parse().ok().or(known).ok_or_else(|| {
            (Reason::UnsupportedFormat, format!("{port}: not a port that is known by name"))
        })?;
    let address = address(host)
        .map_err(|()| (Reason::Dns, format!("{host}: only stunnel's own resolver knows that")))?;
    Ok((address, port))
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

    #[test]
    fn places() {
        let at = |accept: &str, expected: &[&str]| {
            let main = format!("[x]\naccept = {accept}\ncert = /a.pem\nconnect = 80\n");
            check("stunnel", &[("/etc/stunnel/s.conf", &main)], expected);
        };
        at(":::8532", &["serve /a.pem [tls [::]:8532] default @3"]);
        at("::1:993", &["serve /a.pem [tls [::1]:993] default @3"]);
        at("[::1]:993", &["serve /a.pem [tls [::1]:993] default @3"]);
        at("127.0.0.1:imaps", &["serve /a.pem [tls 127.0.0.1:993] default @3"]);
        at("https", &["serve /a.pem [tls *:443] default @3"]);
        at(":ircs-u", &["serve /a.pem [tls *:6697] default @3"]);
        at("127.0.0.1:ours", &["serve /a.pem default @3", "blind unsupported-format @2"]);
        at("a.test:443", &["serve /a.pem default @3", "blind dns @2"]);
    }
}
