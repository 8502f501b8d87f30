//! ProFTPD: the server and its virtual hosts, each with a certificate for every kind of key.

use std::path::Path;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Name, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "proftpd",
    mains: &["/etc/proftpd/proftpd.conf", "/etc/proftpd.conf", "/usr/local/etc/proftpd.conf"],
    recognises,
    read,
};

/// Certificate and key, by kind of key.
const PAIRS: &[(&str, &str)] = &[
    ("tlsrsacertificatefile", "tlsrsacertificatekeyfile"),
    ("tlseccertificatefile", "tlseccertificatekeyfile"),
    ("tlsdsacertificatefile", "tlsdsacertificatekeyfile"),
    ("tlspkcs12file", ""),
];

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["proftpd.conf"])
        || has_word(head, &["TLSRSACertificateFile", "TLSECCertificateFile", "TLSPKCS12File"])
}

/// Directives of the main server, of `<Global>`, or of a virtual host.
#[derive(Default)]
struct Scope {
    /// Addresses of a virtual host, or its names.
    addresses: Vec<String>,
    /// Its words behind the name, in small letters, of the directive.
    all: Vec<(String, Vec<String>, At)>,
}

impl Scope {
    fn get(&self, name: &str) -> Option<(&str, &At)> {
        let (_, words, at) = self.all.iter().rev().find(|(its, ..)| its == name)?;
        Some((words.first()?, at))
    }
}

/// Everything that is read, and where the next directive belongs.
struct Loaded {
    main: Scope,
    global: Scope,
    hosts: Vec<Scope>,
    open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Main,
    Global,
    Host,
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut loaded =
        Loaded { main: Scope::default(), global: Scope::default(), hosts: Vec::new(), open: Open::Main };
    load(reading, path, &At::file(path), &mut loaded);
    let hosts = std::mem::take(&mut loaded.hosts);
    serve(reading, &loaded, &loaded.main);
    for host in &hosts {
        serve(reading, &loaded, host);
    }
}

fn load(reading: &mut Reading<'_>, path: &Path, from: &At, loaded: &mut Loaded) {
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in words::lines(&text, &['#']) {
            let at = At::new(path, number);
            let bare = line.strip_prefix('<').map(|l| l.trim_end_matches('>')).unwrap_or(line);
            let mut all = words::split(bare);
            if all.is_empty() {
                continue;
            }
            let name = all.remove(0).to_ascii_lowercase();
            match (line.starts_with('<'), name.as_str()) {
                (true, "virtualhost") => {
                    loaded.hosts.push(Scope { addresses: all, all: Vec::new() });
                    loaded.open = Open::Host;
                }
                (true, "global") => loaded.open = Open::Global,
                (true, "/virtualhost" | "/global") => loaded.open = Open::Main,
                // `<IfModule>` and others hold whatever is around them.
                (true, _) => {}
                (false, "include") => {
                    for pattern in all {
                        let mut files = reading.tree.glob(&join(&folder_of(path), &pattern));
                        if let [folder] = files.as_slice()
                            && reading.tree.is_folder(folder)
                        {
                            files = reading.tree.glob(&folder.join("*"));
                        }
                        for file in files {
                            load(reading, &file, &at, loaded);
                        }
                    }
                }
                (false, _) => {
                    let scope = match loaded.open {
                        Open::Main => &mut loaded.main,
                        Open::Global => &mut loaded.global,
                        Open::Host => match loaded.hosts.last_mut() {
                            Some(host) => host,
                            None => continue,
                        },
                    };
                    scope.all.push((name, all, at));
                }
            }
        }
    });
}

fn serve(reading: &mut Reading<'_>, loaded: &Loaded, scope: &Scope) {
    let get = |name: &str| scope.get(name).or_else(|| loaded.global.get(name));
    if !get("tlsengine").is_some_and(|(on, _)| words::is_on(on)) {
        return;
    }
    let port = get("port").and_then(|(port, _)| port.parse().ok()).unwrap_or(21);
    let implicit = scope.all.iter().chain(&loaded.global.all).any(|(name, words, _)| {
        name == "tlsoptions" && words.iter().any(|word| word.eq_ignore_ascii_case("UseImplicitSSL"))
    });
    let protocol = if implicit { "tls" } else { "starttls:ftp" };
    let is_main = std::ptr::eq(scope, &raw const loaded.main);
    let mut given: Vec<&str> = scope.addresses.iter().map(String::as_str).collect();
    if is_main {
        given.extend(loaded.main.get("defaultaddress").map(|(address, _)| address));
    }
    let mut listens: Vec<Listen> = given
        .iter()
        .filter_map(|text| address(text).ok())
        .map(|address| Listen { address, port, protocol })
        .collect();
    if listens.is_empty() && port > 0 {
        listens.push(Listen { address: None, port, protocol });
    }
    // `ServerAlias`, by which a host is chosen on the address of another one.
    let aliases = scope.all.iter().filter(|(name, ..)| name == "serveralias");
    let names: Vec<Name> = aliases.flat_map(|(_, words, _)| words).map(|name| Name::plain(name)).collect();
    let slash = Path::new("/");
    let mut serves = false;
    for (certificate, key) in PAIRS {
        let Some((file, at)) = get(certificate) else { continue };
        let mut serving = reading.serving(join(slash, file), at);
        serving.key = get(key).map(|(key, _)| join(slash, key));
        serving.chain = get("tlscertificatechainfile").map(|(chain, _)| join(slash, chain));
        serving.listens.clone_from(&listens);
        serving.names.clone_from(&names);
        serving.default = names.is_empty();
        reading.serve(serving);
        serves = true;
    }
    let checks = match get("tlsverifyclient").map(|(how, _)| how.to_ascii_lowercase()).as_deref() {
        Some("on" | "required") => Checks::ClientsRequired,
        Some("optional") => Checks::ClientsOptional,
        _ => Checks::NobodyAsked,
    };
    for (name, holds) in [("tlscacertificatefile", Holds::Cas), ("tlscacertificatepath", Holds::FolderOfCas)]
    {
        if let Some((path, at)) = get(name).filter(|_| serves) {
            reading.trust(join(slash, path), holds, checks, (&listens, &names), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn the_server_its_hosts_and_what_is_for_all() {
        let main = "Port 2121\nDefaultAddress 127.0.0.1\nInclude /etc/proftpd/conf.d/\n<VirtualHost 127.0.0.2>\n Port 990\n TLSEngine on\n TLSOptions UseImplicitSSL\n\
                    \x20TLSECCertificateFile \"/e.pem\"\n TLSECCertificateKeyFile /e.key\n TLSCertificateChainFile /chain\n</VirtualHost>\n";
        let all = "<IfModule mod_tls.c>\nTLSEngine on\nTLSRSACertificateFile /r.pem\nTLSRSACertificateKeyFile /r.key\nTLSCACertificateFile /ca\nTLSVerifyClient on\n</IfModule>\n";
        check(
            "proftpd",
            &[("/etc/proftpd/proftpd.conf", main), ("/etc/proftpd/conf.d/tls.conf", all)],
            &[
                "serve /r.pem key /r.key [starttls:ftp 127.0.0.1:2121] default @3",
                "serve /e.pem key /e.key chain /chain [tls 127.0.0.2:990] default @8",
                "cas /ca required @5",
            ],
        );
    }
}
