//! Dovecot, 2.3 and 2.4: `ssl_cert = </file` and `ssl_server_cert_file = /file`, for everyone, for a name, for
//! an address, for a protocol.
//!
//! Which ports there are follows from the protocols and from what the services say. Values that would be
//! the certificate itself are a blind spot.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Name, Password, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "dovecot",
    mains: &["/etc/dovecot/dovecot.conf", "/usr/local/etc/dovecot/dovecot.conf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["dovecot.conf"])
        || has_word(head, &["ssl_server_cert_file", "dovecot_config_version"])
        || has_word(head, &["ssl_cert"]) && memchr::memmem::find(head, b"<").is_some()
}

/// A setting with the filters it stands in.
struct Setting {
    filters: Vec<(String, String)>,
    key: String,
    value: String,
    /// The folder of the file it stands in: relative paths begin there.
    folder: PathBuf,
    at: At,
}

/// Which of a server's ports there are where nothing is said: service, listener, port, TLS, upgrade.
const LISTENERS: &[(&str, &str, &str, u16, bool, &str)] = &[
    ("imap", "imap-login", "imap", 143, false, "starttls:imap"),
    ("imap", "imap-login", "imaps", 993, true, "starttls:imap"),
    ("pop3", "pop3-login", "pop3", 110, false, "starttls:pop3"),
    ("pop3", "pop3-login", "pop3s", 995, true, "starttls:pop3"),
    ("submission", "submission-login", "submission", 587, false, "starttls:smtp"),
    ("submission", "submission-login", "submissions", 465, true, "starttls:smtp"),
    ("sieve", "managesieve-login", "sieve", 4190, false, "starttls:sieve"),
    ("lmtp", "lmtp", "lmtp", 0, false, "starttls:lmtp"),
];

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut all = Vec::new();
    load(reading, path, &At::file(path), &[], &mut all);
    let listens = listens(reading, &all);
    let off = global(&all, "ssl").is_some_and(|s| s.value == "no");
    if !off {
        serve(reading, &all, &listens);
    }
    for setting in &all {
        let path = || join(&setting.folder, setting.value.trim_start_matches('<').trim());
        match setting.key.as_str() {
            "ssl_client_ca_file" => reading.trust(path(), Holds::Cas, Checks::Peers, (&[], &[]), &setting.at),
            "ssl_client_ca_dir" => {
                reading.trust(path(), Holds::FolderOfCas, Checks::Peers, (&[], &[]), &setting.at)
            }
            "ssl_client_cert" | "ssl_client_cert_file" if !setting.value.is_empty() => {
                let key =
                    all.iter().rfind(|s| matches!(s.key.as_str(), "ssl_client_key" | "ssl_client_key_file"));
                let key = key.map(|k| join(&k.folder, k.value.trim_start_matches('<').trim()));
                reading.client(path(), key, None, &setting.at);
            }
            _ => {}
        }
    }
}

fn load(
    reading: &mut Reading<'_>,
    path: &Path,
    from: &At,
    outer: &[(String, String)],
    all: &mut Vec<Setting>,
) {
    let folder = folder_of(path);
    reading.enter(path, from, |reading, path, text| {
        let mut filters = outer.to_vec();
        let mut ignored = 0usize;
        for (number, line) in words::joined(&text) {
            let at = At::new(path, number);
            let line = without_comment(line.trim());
            if let Some(rest) = line.strip_prefix("!include") {
                let (optional, pattern) = match rest.strip_prefix("_try") {
                    Some(rest) => (true, rest.trim()),
                    None => (false, rest.trim()),
                };
                let pattern = join(&folder, pattern);
                let found = reading.tree.glob(&pattern);
                if found.is_empty() && !optional {
                    reading.blind(&at, Reason::NotFound, format!("{}: nothing is there", pattern.display()));
                }
                for file in found {
                    load(reading, &file, &at, &filters, all);
                }
            } else if line == "}" {
                match ignored {
                    0 if filters.len() > outer.len() => drop(filters.pop()),
                    0 => reading.blind(&at, Reason::Malformed, "a `}` too many"),
                    _ => ignored -= 1,
                }
            } else if let Some(section) =
                line.strip_suffix('{').filter(|s| !s.contains('=') || s.starts_with("local"))
            {
                let (kind, argument) =
                    section.trim().split_once(char::is_whitespace).unwrap_or((section.trim(), ""));
                if filters.len() < 32 && ignored == 0 {
                    filters.push((kind.to_owned(), words::unquote(argument.trim()).to_owned()));
                } else {
                    ignored += 1;
                }
            } else if let Some((key, value)) = words::pair(line).filter(|_| ignored == 0) {
                let mut value = value.to_owned();
                if let Some(rest) = value.strip_prefix('$') {
                    // `$protocols imap` and 2.4's `$SET:name`: what was said before, and more.
                    let rest = rest.strip_prefix("SET:").unwrap_or(rest);
                    let (name, more) = rest.split_once(' ').unwrap_or((rest, ""));
                    let before = all.iter().rfind(|s| s.key == name).map_or("", |s| s.value.as_str());
                    value = format!("{before} {more}").trim().to_owned();
                }
                // 2.4 says `ssl_server { cert_file = ... }` for `ssl_server_cert_file`.
                let (mut filters, mut key) = (filters.clone(), key.to_owned());
                if let Some((kind, _)) =
                    filters.last().filter(|(kind, _)| matches!(kind.as_str(), "ssl_server" | "ssl_client"))
                {
                    if !key.starts_with(kind.as_str()) {
                        key = format!("{kind}_{key}");
                    }
                    filters.pop();
                }
                all.push(Setting { filters, key, value, folder: folder.clone(), at });
            }
        }
    });
}

/// `#` begins a comment at the beginning of a line and behind a blank.
fn without_comment(line: &str) -> &str {
    if line.starts_with('#') {
        return "";
    }
    match line.find(" #").or_else(|| line.find("\t#")) {
        Some(at) if line[..at].matches('"').count().is_multiple_of(2) => line[..at].trim_end(),
        _ => line,
    }
}

fn global<'s>(all: &'s [Setting], key: &str) -> Option<&'s Setting> {
    all.iter().rfind(|s| s.filters.is_empty() && s.key == key)
}

/// Every port with the protocol it belongs to.
fn listens(reading: &mut Reading<'_>, all: &[Setting]) -> Vec<(&'static str, Listen)> {
    let said = global(all, "protocols").map(|s| s.value.clone());
    // 2.4: `protocols { imap = yes }`.
    let each = all
        .iter()
        .filter(|s| s.filters.last().is_some_and(|(kind, _)| kind == "protocols") && s.value == "yes");
    let each: Vec<&str> = each.map(|s| s.key.as_str()).collect();
    let protocols = match said {
        Some(list) => list,
        None if !each.is_empty() => each.join(" "),
        None => "imap pop3 lmtp".to_owned(),
    };
    let everywhere = global(all, "listen").map_or("*, ::", |s| s.value.as_str());
    // What the services say of their listeners.
    let mut said: BTreeMap<(&str, &str), Vec<&Setting>> = BTreeMap::new();
    for setting in all {
        if let [(service, name), (listener, which)] = setting.filters.as_slice()
            && (service.as_str(), listener.as_str()) == ("service", "inet_listener")
        {
            said.entry((name, which)).or_default().push(setting);
        }
    }
    let mut found: Vec<(&'static str, u16, bool, &'static str, String)> = Vec::new();
    let mut add = |protocol, port: u16, tls, upgrade, own: &[&Setting]| {
        let of = |key: &str| own.iter().rfind(|s| s.key == key).map(|s| s.value.as_str());
        let port = of("port").map_or(port, |p| p.parse().unwrap_or(port));
        let tls = of("ssl").map_or(tls, words::is_on);
        // 2.4 has renamed the setting.
        let listen = of("address").or_else(|| of("listen")).unwrap_or(everywhere).to_owned();
        if port > 0 {
            found.push((protocol, port, tls, upgrade, listen));
        }
    };
    for &(protocol, service, listener, port, tls, upgrade) in LISTENERS {
        let own = said.remove(&(service, listener)).unwrap_or_default();
        if protocols.split_whitespace().any(|p| p == protocol) {
            add(protocol, port, tls, upgrade, &own);
        }
    }
    for ((service, _), own) in &said {
        let known = LISTENERS.iter().find(|l| l.1 == *service);
        match known {
            Some(&(protocol, _, _, _, _, upgrade)) => add(protocol, 0, false, upgrade, own),
            // doveadm, a director: TLS only where it is said.
            None if own.iter().any(|s| s.key == "ssl" && words::is_on(&s.value)) => {
                add("", 0, true, "tls", own)
            }
            None => {}
        }
    }
    let mut out = Vec::new();
    for (protocol, port, tls, upgrade, addresses) in found {
        let mut some = Vec::new();
        for text in addresses.split([',', ' ']).filter(|t| !t.is_empty()) {
            match address(text) {
                Ok(address) => some.push(address.or(Some(IpAddr::from([0, 0, 0, 0])))),
                Err(()) => {
                    let at = global(all, "listen").map_or_else(|| At::file(Path::new("/")), |s| s.at.clone());
                    reading.blind(
                        &at,
                        Reason::Dns,
                        format!("{text}: only Dovecot's own resolver knows that"),
                    );
                }
            }
        }
        let both = some.len() == 2 && some.iter().all(|a| a.is_some_and(|ip| ip.is_unspecified()));
        if both {
            some = vec![None];
        }
        let protocol_of = if tls { "tls" } else { upgrade };
        out.extend(
            some.into_iter().map(|address| (protocol, Listen { address, port, protocol: protocol_of })),
        );
    }
    out
}

fn serve(reading: &mut Reading<'_>, all: &[Setting], listens: &[(&'static str, Listen)]) {
    // The scopes in which a certificate is set, in order, the outermost once.
    let mut scopes: Vec<&[(String, String)]> = Vec::new();
    for setting in all.iter().filter(|s| CERTIFICATES.iter().any(|(c, _)| *c == s.key)) {
        if !scopes.contains(&setting.filters.as_slice()) {
            scopes.push(&setting.filters);
        }
    }
    for scope in scopes {
        let own = |key: &str| all.iter().rfind(|s| s.filters == scope && s.key == key);
        let of = |key: &str| own(key).or_else(|| global(all, key));
        for &(certificate, key) in CERTIFICATES {
            let Some(setting) = own(certificate) else { continue };
            // For everyone is for those protocols that say nothing of their own.
            let mut left = listens.to_vec();
            left.retain(|(protocol, _)| !scope.is_empty() || !overrides(all, certificate, protocol));
            let (names, listens) = place(scope, &left);
            let Some(path) = file(reading, setting) else { continue };
            let mut serving = reading.serving(path, &setting.at);
            serving.key = of(key).and_then(|s| file(reading, s)).filter(|k| *k != serving.certificate);
            serving.names.clone_from(&names);
            serving.listens.clone_from(&listens);
            serving.default = names.is_empty();
            serving.password = of("ssl_key_password").filter(|s| !s.value.is_empty()).map(|s| {
                match s.value.strip_prefix('<') {
                    Some(path) => Password::File(join(&s.folder, path.trim())),
                    None => Password::Inline(s.value.clone()),
                }
            });
            reading.serve(serving);
        }
    }
    let on = |key: &str| global(all, key).is_some_and(|s| words::is_on(&s.value));
    let checks = match () {
        () if on("auth_ssl_require_client_cert") => Checks::ClientsRequired,
        () if on("ssl_verify_client_cert") || on("ssl_server_request_client_cert") => Checks::ClientsOptional,
        () => Checks::NobodyAsked,
    };
    for setting in
        all.iter().filter(|s| matches!(s.key.as_str(), "ssl_ca" | "ssl_server_ca_file" | "ssl_ca_file"))
    {
        let (names, listens) = place(&setting.filters, listens);
        if let Some(path) = file(reading, setting) {
            reading.trust(path, Holds::Cas, checks, (&listens, &names), &setting.at);
        }
    }
}

/// Has a protocol a value of its own for this setting, wherever it is reached and by whatever name?
fn overrides(all: &[Setting], key: &str, protocol: &str) -> bool {
    all.iter().filter(|s| s.key == key).any(|s| match s.filters.as_slice() {
        [(kind, argument)] => kind == "protocol" && argument.split_whitespace().any(|p| p == protocol),
        _ => false,
    })
}

/// Settings that name a certificate, and the ones that name its key: 2.3, 2.4, 1.x.
const CERTIFICATES: &[(&str, &str)] = &[
    ("ssl_cert", "ssl_key"),
    ("ssl_alt_cert", "ssl_alt_key"),
    ("ssl_server_cert_file", "ssl_server_key_file"),
    ("ssl_server_alt_cert_file", "ssl_server_alt_key_file"),
    ("ssl_cert_file", "ssl_key_file"),
];

/// The path a setting names: by itself, or behind `<`.
fn file(reading: &mut Reading<'_>, setting: &Setting) -> Option<PathBuf> {
    let value = setting.value.as_str();
    if value.is_empty() {
        return None;
    }
    match value.strip_prefix('<') {
        Some(path) => Some(join(&setting.folder, words::unquote(path.trim()))),
        None if setting.key.ends_with("_file") && !value.starts_with("inline:") => {
            Some(join(&setting.folder, value))
        }
        None => {
            let why = "the value stands in the configuration itself rather than in a file";
            reading.blind(&setting.at, Reason::UnsupportedFormat, why);
            None
        }
    }
}

/// For which names and where a scope holds.
fn place(scope: &[(String, String)], listens: &[(&'static str, Listen)]) -> (Vec<Name>, Vec<Listen>) {
    let mut names = Vec::new();
    let mut left: Vec<(&str, Listen)> = listens.to_vec();
    for (kind, argument) in scope {
        match kind.as_str() {
            "local_name" => names.extend(argument.split_whitespace().map(|n| Name::plain(words::unquote(n)))),
            "protocol" => left.retain(|(protocol, _)| argument.split_whitespace().any(|p| p == *protocol)),
            "local" => {
                if let Ok(Some(ip)) = address(argument) {
                    left.iter_mut().for_each(|(_, listen)| listen.address = Some(ip));
                }
            }
            _ => {}
        }
    }
    let mut out: Vec<Listen> = Vec::new();
    for (_, listen) in left {
        if !out.contains(&listen) {
            out.push(listen);
        }
    }
    (names, out)
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn version_2_3() {
        let main = "protocols = imap\nssl = required\nssl_cert = </c/a.pem # comment\nssl_key = <a.key\n!include conf.d/*.conf\n\
                    !include_try gone.conf\nlocal_name b.test {\n  ssl_cert = </c/b.pem\n  ssl_key = </c/b.key\n}\n\
                    local 10.0.0.1 {\n ssl_cert = </c/i.pem\n}\n";
        let conf = "service imap-login {\n inet_listener imap {\n  port = 0\n }\n inet_listener imaps {\n  address = 127.0.0.1\n }\n}\nssl_ca = </c/ca.pem\nssl_verify_client_cert = yes\n";
        check(
            "dovecot",
            &[("/etc/dovecot/dovecot.conf", main), ("/etc/dovecot/conf.d/10.conf", conf)],
            &[
                "serve /c/a.pem key /etc/dovecot/a.key [tls 127.0.0.1:993] default @3",
                "serve /c/b.pem key /c/b.key [tls 127.0.0.1:993] b.test @8",
                "serve /c/i.pem key /etc/dovecot/a.key [tls 10.0.0.1:993] default @12",
                "cas /c/ca.pem optional @9",
            ],
        );
    }

    #[test]
    fn version_2_4() {
        let main = "dovecot_config_version = 2.4.0\nprotocols {\n  pop3 = yes\n}\nssl_server_cert_file = /c/a.pem\nssl_server_key_file = /c/a.key\n\
                    local_name \"x.test y.test\" {\n ssl_server {\n cert_file = /c/x.pem\n key_file = /c/x.key\n }\n}\nssl_server_ca_file = /c/ca\n";
        check(
            "dovecot",
            &[("/d.conf", main)],
            &[
                "serve /c/a.pem key /c/a.key [starttls:pop3 *:110] [tls *:995] default @5",
                "serve /c/x.pem key /c/x.key [starttls:pop3 *:110] [tls *:995] x.test y.test @9",
                "cas /c/ca nobody @13",
            ],
        );
    }

    #[test]
    fn protocols_off_and_inline() {
        let main = "protocols = $protocols imap\nprotocols = $protocols pop3\nprotocol imap {\n ssl_cert = </i.pem\n}\nssl_cert = MIIB\nlisten = 10.0.0.1\n";
        check(
            "dovecot",
            &[("/d.conf", main)],
            &[
                "serve /i.pem [starttls:imap 10.0.0.1:143] [tls 10.0.0.1:993] default @4",
                "blind unsupported-format @6",
            ],
        );
        check("dovecot", &[("/d.conf", "ssl = no\nssl_cert = </a.pem\n")], &[]);
        check(
            "dovecot",
            &[("/d.conf", "!include x.conf\n}\n")],
            &["blind not-found @1", "blind malformed @2"],
        );
    }

    #[test]
    fn a_protocol_with_its_own() {
        let check = |main: &str, expected: &[&str]| check("dovecot", &[("/d.conf", main)], expected);
        check(
            "protocols = imap pop3\nssl_cert = </a.pem\nssl_alt_cert = </alt.pem\nprotocol imap {\n ssl_cert = </i.pem\n}\n",
            &[
                "serve /a.pem [starttls:pop3 *:110] [tls *:995] default @2",
                "serve /alt.pem [starttls:imap *:143] [tls *:993] [starttls:pop3 *:110] [tls *:995] default @3",
                "serve /i.pem [starttls:imap *:143] [tls *:993] default @5",
            ],
        );
        check(
            "protocols = imap pop3\nssl_server_cert_file = /a.pem\nprotocol imap {\n ssl_server {\n  cert_file = /i.pem\n }\n}\n",
            &[
                "serve /a.pem [starttls:pop3 *:110] [tls *:995] default @2",
                "serve /i.pem [starttls:imap *:143] [tls *:993] default @5",
            ],
        );
        // For one name only: who asks for another one is shown what is for everyone.
        check(
            "protocols = imap\nssl_cert = </a.pem\nprotocol imap {\n local_name b.test {\n  ssl_cert = </b.pem\n }\n}\n",
            &[
                "serve /a.pem [starttls:imap *:143] [tls *:993] default @2",
                "serve /b.pem [starttls:imap *:143] [tls *:993] b.test @5",
            ],
        );
    }
}
