//! RabbitMQ: `rabbitmq.conf` in its newer form, `advanced.config` and `rabbitmq.config` in Erlang terms.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::reading::{address, address_and_port, folder_of};
use super::{At, Checks, Holds, Listen, Password, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "rabbitmq",
    mains: &["/etc/rabbitmq/rabbitmq.conf", "/etc/rabbitmq/rabbitmq.config", "/etc/rabbitmq/advanced.config"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["rabbitmq.conf", "rabbitmq.config", "advanced.config"])
        || has_word(head, &["ssl_options.certfile", "listeners.ssl.default", "ssl_listeners"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let terms = path.extension().is_some_and(|e| e == "config");
    let mut files = vec![path.to_owned()];
    if !terms {
        files.extend(reading.tree.glob(&folder_of(path).join("conf.d/*.conf")));
    }
    let mut all: HashMap<String, (String, At)> = HashMap::new();
    for file in files {
        reading.main(&file, |_, path, text| {
            if terms || text.trim_start().starts_with('[') {
                return erlang(&text, path, &mut all);
            }
            for (number, line) in words::lines(&text, &['#']) {
                if let Some((key, value)) = words::pair(line) {
                    all.insert(key.to_owned(), (value.to_owned(), At::new(path, number)));
                }
            }
        });
    }
    // The broker, the management pages, MQTT, STOMP and their kin over WebSocket.
    for (ssl, listeners, port) in [
        ("ssl_options.", "listeners.ssl", 5671),
        ("management.ssl.", "management.ssl.port", 15671),
        ("mqtt.ssl.", "mqtt.listeners.ssl", 8883),
        ("stomp.ssl.", "stomp.listeners.ssl", 61614),
        ("web_mqtt.ssl.", "web_mqtt.ssl.port", 15673),
        ("web_stomp.ssl.", "web_stomp.ssl.port", 15673),
        ("prometheus.ssl.", "prometheus.ssl.port", 15691),
    ] {
        section(reading, &all, ssl, listeners, port);
    }
}

fn section(
    reading: &mut Reading<'_>,
    all: &HashMap<String, (String, At)>,
    ssl: &str,
    listeners: &str,
    usual: u16,
) {
    let get = |name: &str| all.get(&format!("{ssl}{name}")).filter(|(v, _)| !v.is_empty());
    let mut listens: Vec<Listen> = Vec::new();
    let mut keys: Vec<_> = all
        .keys()
        .filter(|k| *k == listeners || k.starts_with(listeners) && k[listeners.len()..].starts_with('.'))
        .collect();
    keys.sort_unstable();
    for key in keys {
        for text in all[key].0.split(',') {
            if let Some((host, Some(port))) = address_and_port(text.trim())
                && let Ok(address) = address(host)
            {
                listens.push(Listen::tls(address, port));
            }
        }
    }
    if listens.is_empty() && ssl != "ssl_options." {
        listens.push(Listen::tls(None, usual));
    }
    if let Some((certificate, at)) = get("certfile") {
        let mut serving = reading.serving(PathBuf::from(certificate), at);
        serving.key = get("keyfile").map(|(k, _)| PathBuf::from(k));
        serving.password = get("password").map(|(p, _)| Password::Inline(p.clone()));
        serving.listens.clone_from(&listens);
        serving.default = true;
        reading.serve(serving);
    }
    let on = |name: &str, word: &str| get(name).is_some_and(|(v, _)| v == word);
    let checks = match () {
        () if on("verify", "verify_peer") && on("fail_if_no_peer_cert", "true") => Checks::ClientsRequired,
        () if on("verify", "verify_peer") => Checks::ClientsOptional,
        () => Checks::NobodyAsked,
    };
    if let Some((path, at)) = get("cacertfile") {
        reading.trust(PathBuf::from(path), Holds::Cas, checks, (&listens, &[]), at);
    }
}

/// Erlang terms, as far as they say `{ssl_listeners, [..]}` and `{ssl_options, [..]}`: a word behind an
/// opening brace names what follows, wherever it stands.
fn erlang(text: &str, path: &std::sync::Arc<Path>, out: &mut HashMap<String, (String, At)>) {
    let mut open: Vec<String> = Vec::new();
    let mut chars = text.char_indices().peekable();
    let mut line = 1;
    let mut named = false;
    let mut host = String::new();
    while let Some((at, c)) = chars.next() {
        let here = At::new(path, line);
        match c {
            '\n' => line += 1,
            '%' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '{' => {
                if open.len() > 64 {
                    return;
                }
                open.push(String::new());
                named = true;
            }
            '}' => {
                open.pop();
                host.clear();
                named = false;
            }
            '"' => {
                let mut value = String::new();
                while let Some((_, c)) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => value.extend(chars.next().map(|(_, c)| c)),
                        '\n' => line += 1,
                        _ => value.push(c),
                    }
                }
                if open.iter().any(|w| w == "ssl_listeners") {
                    host = value.clone();
                }
                said(&open, value, here, out);
                named = false;
            }
            c if c.is_alphanumeric() || c == '\'' => {
                let mut end = at + c.len_utf8();
                while let Some((at, c)) = chars.next_if(|(_, c)| c.is_alphanumeric() || "_@.'".contains(*c)) {
                    end = at + c.len_utf8();
                }
                let word = text[at..end].trim_matches('\'').trim_end_matches('.').to_owned();
                if std::mem::take(&mut named) {
                    if let Some(last) = open.last_mut() {
                        *last = word;
                    }
                } else if open.iter().any(|w| w == "ssl_listeners") && word.parse::<u16>().is_ok() {
                    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                    out.insert(format!("listeners.ssl.{}", out.len()), (format!("{bracketed}:{word}"), here));
                } else {
                    said(&open, word, here, out);
                }
            }
            _ => {}
        }
    }
}

fn said(open: &[String], value: String, at: At, out: &mut HashMap<String, (String, At)>) {
    let section = open.iter().find_map(|w| match w.as_str() {
        "rabbitmq_management" => Some("management.ssl."),
        "rabbitmq_mqtt" => Some("mqtt.ssl."),
        "rabbitmq_stomp" => Some("stomp.ssl."),
        _ => None,
    });
    let name = open.last().map_or("", String::as_str);
    let wanted =
        ["certfile", "keyfile", "cacertfile", "verify", "fail_if_no_peer_cert", "password"].contains(&name);
    if wanted && open.iter().any(|w| w == "ssl_options" || w == "ssl_opts") {
        out.insert(format!("{}{name}", section.unwrap_or("ssl_options.")), (value, at));
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn both_forms() {
        let main = "listeners.ssl.default = 5671\nlisteners.ssl.local = 127.0.0.1:5672\nssl_options.cacertfile = /ca\nssl_options.certfile = /a.pem\n\
                    ssl_options.keyfile = /a.key\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\nmanagement.ssl.certfile = /m.pem\n";
        check(
            "rabbitmq",
            &[("/r.conf", main)],
            &[
                "serve /a.pem key /a.key [tls *:5671] [tls 127.0.0.1:5672] default @4",
                "serve /m.pem [tls *:15671] default @8",
                "cas /ca required @3",
            ],
        );
        let terms = "%% x\n[{rabbit, [{ssl_listeners, [5671, {\"127.0.0.1\", 5673}]},\n {ssl_options, [{cacertfile,\"/ca\"},\n\
                     {certfile, \"/a.pem\"}, {keyfile,\"/a.key\"}, {verify, verify_peer}, {fail_if_no_peer_cert,false}]}]}].\n";
        check(
            "rabbitmq",
            &[("/r.config", terms)],
            &["serve /a.pem key /a.key [tls *:5671] [tls 127.0.0.1:5673] default @4", "cas /ca optional @3"],
        );
    }
}
