//! Postfix: `main.cf` and `master.cf` together, for what its servers show to clients and its clients show
//! to servers.
//!
//! A service of `master.cf` sees `main.cf` with its own `-o` in front. Parameters are expanded as postconf(5)
//! says, with their built-in values where they are needed here. Tables other than text files beside their
//! source are not read, and said.

mod expand;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::{At, Checks, Holds, Listen, Name, Reading, Server, Serving, Trust, has_word, is_named, words};
use crate::tree::Tree;
use expand::Parameters;

pub(super) const SERVER: Server = Server {
    name: "postfix",
    mains: &["/etc/postfix/main.cf", "/etc/postfix-*/main.cf", "/usr/local/etc/postfix/main.cf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["main.cf"])
        && has_word(
            head,
            &[
                "smtpd_tls_cert_file",
                "smtpd_tls_chain_files",
                "myhostname",
                "mydestination",
                "inet_interfaces",
                "compatibility_level",
            ],
        )
}

/// What Postfix takes where nothing is said.
const BUILT_IN: &[(&str, &str)] = &[
    ("config_directory", "/etc/postfix"),
    ("inet_interfaces", "all"),
    ("inet_protocols", "all"),
    ("smtpd_tls_key_file", "$smtpd_tls_cert_file"),
    ("smtpd_tls_eckey_file", "$smtpd_tls_eccert_file"),
    ("smtpd_tls_dkey_file", "$smtpd_tls_dcert_file"),
    ("smtp_tls_key_file", "$smtp_tls_cert_file"),
    ("smtp_tls_eckey_file", "$smtp_tls_eccert_file"),
    ("lmtp_tls_key_file", "$lmtp_tls_cert_file"),
    ("smtpd_tls_wrappermode", "no"),
    ("smtpd_use_tls", "no"),
    ("smtpd_service_name", "smtpd"),
    ("smtpd_enforce_tls", "no"),
    ("mail_name", "Postfix"),
    ("data_directory", "/var/lib/postfix"),
    ("queue_directory", "/var/spool/postfix"),
];

/// Ports of /etc/services that Postfix is told to listen on by name.
const PORTS: &[(&str, u16)] = &[
    ("smtp", 25),
    ("smtps", 465),
    ("submissions", 465),
    ("submission", 587),
    ("ssmtp", 465),
    ("qmtp", 209),
    ("lmtp", 24),
];

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let mut main = Parameters::default();
    for (name, value) in BUILT_IN {
        main.set(name, value, At::file(path));
    }
    main.set("config_directory", &folder.to_string_lossy(), At::file(path));
    let read = reading.main(path, |_, path, text| {
        for (number, line) in logical(&text) {
            if let Some((name, value)) = line.split_once('=') {
                main.set(name.trim(), value.trim(), At::new(path, number));
            }
        }
    });
    if read.is_none() {
        return;
    }
    let master = folder.join("master.cf");
    let mut services = Vec::new();
    if reading.tree.is_file(&master) {
        reading.main(&master, |_, path, text| {
            services =
                logical(&text).into_iter().filter_map(|(n, line)| service(&line, At::new(path, n))).collect();
        });
    } else {
        services.push(Service {
            name: "smtp".to_owned(),
            overrides: Vec::new(),
            at: At::file(path),
            command: "smtpd".to_owned(),
            handed: false,
        });
    }
    let owns = services.iter().map(|service| {
        let mut own = main.clone();
        for (name, value) in &service.overrides {
            own.set(name, value, service.at.clone());
        }
        (service, own)
    });
    let owns: Vec<(&Service, Parameters)> = owns.collect();
    for (service, own) in &owns {
        match service.command.as_str() {
            "smtpd" if service.handed => handed(reading, own, service, &owns, &folder),
            "smtpd" | "postscreen" => smtpd(reading, own, service, &[(service, own)], &folder),
            _ => {}
        }
    }
    for prefix in ["smtp", "lmtp"] {
        client(reading, &main, prefix, &folder);
    }
}

/// Behind `postscreen`, which hands over the connections it has let through.
fn handed(
    reading: &mut Reading<'_>,
    own: &Parameters,
    service: &Service,
    all: &[(&Service, Parameters)],
    folder: &Path,
) {
    let screens = all.iter().filter(|(screen, settings)| {
        screen.command == "postscreen" && settings.value("smtpd_service_name") == service.name
    });
    let screens: Vec<(&Service, &Parameters)> = screens.map(|(screen, own)| (*screen, own)).collect();
    let (servings, trusts) = (reading.out.servings.len(), reading.out.trusts.len());
    smtpd(reading, own, service, &screens, folder);
    // `postscreen` shows what is in `main.cf` itself, through `tlsproxy`: only what is different here is more.
    let what = |s: &Serving| (s.certificate.clone(), s.key.clone(), s.names.clone(), s.listens.clone());
    let new = reading.out.servings.split_off(servings);
    let before: HashSet<_> = reading.out.servings.iter().map(what).collect();
    reading.out.servings.extend(new.into_iter().filter(|s| !before.contains(&what(s))));
    let new = reading.out.trusts.split_off(trusts);
    for trust in new {
        let same = |t: &Trust| {
            (&t.path, t.holds, t.checks, &t.listens)
                == (&trust.path, trust.holds, trust.checks, &trust.listens)
        };
        if !reading.out.trusts.iter().any(same) {
            reading.out.trusts.push(trust);
        }
    }
}

/// A service of `master.cf` that listens on the network, or is handed connections by one that does.
struct Service {
    name: String,
    command: String,
    overrides: Vec<(String, String)>,
    at: At,
    /// Of type `pass`.
    handed: bool,
}

/// Lines that begin with a blank go on with the one before; comments and empty lines do not come between.
fn logical(text: &str) -> Vec<(u32, String)> {
    let mut out: Vec<(u32, String)> = Vec::new();
    for (line, number) in text.lines().zip(1u32..) {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match out.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(line.trim());
            }
            None => out.push((number, line.trim_end().to_owned())),
        }
    }
    out
}

fn service(line: &str, at: At) -> Option<Service> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.len() < 8 || !matches!(words[1], "inet" | "pass") {
        return None;
    }
    let mut overrides = Vec::new();
    let mut rest = &words[8..];
    while let [word, behind @ ..] = rest {
        rest = behind;
        let (pair, used): (String, usize) = match (*word, behind) {
            // `-o { name = value with blanks }`
            ("-o", ["{", ..]) => {
                let end = behind.iter().position(|w| *w == "}").unwrap_or(behind.len());
                (behind[1..end].join(" "), (end + 1).min(behind.len()))
            }
            ("-o", [first, ..]) if first.starts_with('{') => {
                let end = behind.iter().position(|w| w.ends_with('}')).unwrap_or(behind.len() - 1);
                (behind[..=end].join(" ").trim_matches(['{', '}']).to_owned(), end + 1)
            }
            ("-o", [first, ..]) => ((*first).to_owned(), 1),
            (other, _) if other.starts_with("-o") && other.len() > 2 => (other[2..].to_owned(), 0),
            _ => continue,
        };
        rest = &rest[used..];
        if let Some((name, value)) = pair.split_once('=') {
            overrides.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    let command = words[7].rsplit('/').next().unwrap_or_default().to_owned();
    Some(Service { name: words[0].to_owned(), command, overrides, at, handed: words[1] == "pass" })
}

/// What a service shows at the places of these services: its own, or those that hand over to it.
fn smtpd(
    reading: &mut Reading<'_>,
    own: &Parameters,
    service: &Service,
    places: &[(&Service, &Parameters)],
    folder: &Path,
) {
    let is = |name: &str| words::is_on(&own.value(name));
    let level = own.value("smtpd_tls_security_level");
    let wrapped = is("smtpd_tls_wrappermode");
    let on = match level.as_str() {
        "" => is("smtpd_use_tls") || is("smtpd_enforce_tls"),
        "none" => false,
        _ => true,
    };
    if !on && !wrapped {
        return;
    }
    let protocol = if wrapped { "tls" } else { "starttls:smtp" };
    let mut found = Vec::new();
    for (place, its) in places {
        found.extend(listens(reading, its, place, protocol));
    }
    let listens = found;
    if listens.is_empty() {
        return;
    }
    for pair in pairs((reading.tree, folder), own, "smtpd", &service.at) {
        let mut serving = pair.serving(reading);
        serving.listens.clone_from(&listens);
        serving.default = true;
        reading.serve(serving);
    }
    sni(reading, own, &listens, folder);
    let checks = match () {
        () if is("smtpd_tls_req_ccert") => Checks::ClientsRequired,
        () if is("smtpd_tls_ask_ccert") => Checks::ClientsOptional,
        () => Checks::NobodyAsked,
    };
    for (name, holds) in [("smtpd_tls_CAfile", Holds::Cas), ("smtpd_tls_CApath", Holds::FolderOfCas)] {
        let path = own.value(name);
        if !path.is_empty() {
            reading.trust(join(folder, &path), holds, checks, (&listens, &[]), &own.at(name, &service.at));
        }
    }
}

/// A certificate, its key where that is in another file, and the rest of its chain where that is.
struct Pair {
    certificate: PathBuf,
    key: Option<PathBuf>,
    chain: Option<PathBuf>,
    at: At,
}

impl Pair {
    fn serving(self, reading: &Reading<'_>) -> Serving {
        let mut serving = reading.serving(self.certificate, &self.at);
        serving.key = self.key;
        serving.chain = self.chain;
        serving
    }
}

/// The certificates and keys of `smtpd` or `smtp`: all in chain files, or one file for each kind of key.
fn pairs(place: (&Tree, &Path), own: &Parameters, prefix: &str, or: &At) -> Vec<Pair> {
    let name = format!("{prefix}_tls_chain_files");
    let chains = chains(place, &own.value(&name), &own.at(&name, or));
    if !chains.is_empty() {
        return chains;
    }
    let mut out = Vec::new();
    for kind in ["", "ec", "d"] {
        let name = format!("{prefix}_tls_{kind}cert_file");
        let certificate = own.value(&name);
        if !certificate.is_empty() && certificate != "none" {
            let key = own.value(&format!("{prefix}_tls_{kind}key_file"));
            let key = Some(key).filter(|k| !k.is_empty() && *k != certificate);
            let in_folder = |file: &str| join(place.1, file);
            out.push(Pair {
                certificate: in_folder(&certificate),
                key: key.as_deref().map(in_folder),
                chain: None,
                at: own.at(&name, or),
            });
        }
    }
    out
}

/// Keys and chains in any number of files: each key in front of its chain, in the same file or before it.
fn chains((tree, folder): (&Tree, &Path), files: &str, at: &At) -> Vec<Pair> {
    let mut key: Option<PathBuf> = None;
    let mut out: Vec<Pair> = Vec::new();
    for file in list(files).map(|file| join(folder, file)) {
        match (has(tree, &file), out.last_mut()) {
            (Has::Key, _) => key = Some(file),
            // Nothing but certificates and no key in front: the chain before goes on.
            (Has::Certificates, Some(before)) if key.is_none() => {
                before.chain.get_or_insert(file);
            }
            _ => out.push(Pair { certificate: file, key: key.take(), chain: None, at: at.clone() }),
        }
    }
    out
}

enum Has {
    Key,
    Certificates,
    /// Both, or it cannot be told.
    Both,
}

/// What a file of a chain has in it. By its name, where it cannot be read.
fn has(tree: &Tree, path: &Path) -> Has {
    let (key, certificates) = match tree.read(path) {
        Ok(bytes) => {
            let has = |mark: &str| memchr::memmem::find(&bytes, mark.as_bytes()).is_some();
            (has("PRIVATE KEY-----"), has("BEGIN CERTIFICATE-----"))
        }
        Err(_) => {
            let name = path.file_stem().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
            let ends = |ending: &str| path.extension().is_some_and(|e| e == ending);
            (name.ends_with("key") || ends("key"), ends("crt") || ends("cer"))
        }
    };
    match (key, certificates) {
        (true, false) => Has::Key,
        (false, true) => Has::Certificates,
        _ => Has::Both,
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t']).filter(|w| !w.is_empty())
}

fn listens(
    reading: &mut Reading<'_>,
    own: &Parameters,
    service: &Service,
    protocol: &'static str,
) -> Vec<Listen> {
    let (host, port) = match service.name.rsplit_once(':') {
        Some((host, port)) => (Some(host), port),
        None => (None, service.name.as_str()),
    };
    let known = PORTS.iter().find(|(name, _)| *name == port).map(|(_, number)| *number);
    let Some(port) = port.parse().ok().or(known) else {
        reading.blind(
            &service.at,
            Reason::UnsupportedFormat,
            format!("{port}: not a port that is known by name"),
        );
        return Vec::new();
    };
    let interfaces = own.value("inet_interfaces");
    let hosts: Vec<&str> = host.map_or_else(|| list(&interfaces).collect(), |host| vec![host]);
    let protocols = own.value("inet_protocols");
    let mut out = Vec::new();
    for host in hosts {
        match host {
            "all" => {
                let only_four = !protocols.contains("all") && !protocols.contains("ipv6");
                out.push(only_four.then(|| IpAddr::from([0, 0, 0, 0])));
            }
            "loopback-only" => out.extend(["127.0.0.1", "::1"].map(|a| a.parse().ok())),
            host => match address_and_port(host).map(|(host, _)| address(host)) {
                Some(Ok(address)) => out.push(address),
                _ => reading.blind(
                    &service.at,
                    Reason::Dns,
                    format!("{host}: only Postfix's own resolver knows that"),
                ),
            },
        }
    }
    out.into_iter().map(|address| Listen { address, port, protocol }).collect()
}

/// `tls_server_sni_maps`: a name, then the files with its keys and chains, as in `smtpd_tls_chain_files`.
fn sni(reading: &mut Reading<'_>, own: &Parameters, listens: &[Listen], folder: &Path) {
    let maps = own.value("tls_server_sni_maps");
    let at = own.at("tls_server_sni_maps", &At::file(folder));
    if let Some(inline) = maps.trim().strip_prefix("inline:") {
        let inline = inline.trim();
        let inner = inline.strip_prefix('{').and_then(|i| i.strip_suffix('}')).unwrap_or(inline);
        // A comma stands between entries, or within braces between the files of one.
        let between: &[char] = if inner.contains('{') { &['{', '}'] } else { &[','] };
        for pair in inner.split(between) {
            if let Some((name, files)) = pair.split_once('=') {
                sni_entry(reading, name.trim(), files, listens, folder, &at);
            }
        }
        return;
    }
    for map in list(&maps) {
        let Some((kind, path)) = map.split_once(':') else { continue };
        if !matches!(kind, "hash" | "btree" | "texthash" | "lmdb" | "cdb" | "dbm" | "sdbm") {
            reading.blind(&at, Reason::UnsupportedFormat, format!("{map}: tables of this kind are not read"));
            continue;
        }
        // The text from which the table was made (`postmap -F`).
        let path = join(folder, path);
        reading.enter(&path, &at, |reading, path, text| {
            for (number, line) in logical(&text) {
                if let Some((name, files)) = line.split_once(char::is_whitespace) {
                    sni_entry(reading, name, files, listens, folder, &At::new(path, number));
                }
            }
        });
    }
}

fn sni_entry(reading: &mut Reading<'_>, name: &str, files: &str, listens: &[Listen], folder: &Path, at: &At) {
    for pair in chains((reading.tree, folder), files, at) {
        let mut serving = pair.serving(reading);
        serving.listens = listens.to_vec();
        serving.names = vec![Name::plain(name)];
        reading.serve(serving);
    }
}

/// What the SMTP client shows and trusts.
fn client(reading: &mut Reading<'_>, main: &Parameters, prefix: &str, folder: &Path) {
    for pair in pairs((reading.tree, folder), main, prefix, &At::file(folder)) {
        let to = Some(main.value("relayhost")).filter(|r| !r.is_empty());
        reading.client(pair.certificate, pair.key, to, &pair.at);
    }
    for (ending, holds) in [("CAfile", Holds::Cas), ("CApath", Holds::FolderOfCas)] {
        let name = format!("{prefix}_tls_{ending}");
        let path = main.value(&name);
        if !path.is_empty() {
            reading.trust(
                join(folder, &path),
                holds,
                Checks::Peers,
                (&[], &[]),
                &main.at(&name, &At::file(folder)),
            );
        }
    }
}

/// By name, with the place of each.
pub(super) type Settings = HashMap<String, (String, At)>;

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    const MASTER: &str = "smtp inet n - y - - smtpd\n# comment\nsubmission inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n  \
                          -o { smtpd_tls_cert_file = ${dir}/sub.pem }\nsmtps inet n - y - - smtpd -o smtpd_tls_wrappermode=yes\n\
                          127.0.0.1:10025 inet n - n - - smtpd -o smtpd_tls_security_level=none\npickup unix n - y 60 1 pickup\n";

    #[test]
    fn main_and_master() {
        let main = "dir = /etc/k\nsmtpd_tls_cert_file = ${dir}/a.pem\nsmtpd_tls_key_file =\n  $dir/a.key\nsmtpd_tls_security_level = may\n\
                    inet_interfaces = all\ninet_protocols = ipv4\nsmtpd_tls_CAfile = ca.pem\nsmtp_tls_CAfile = /up.pem\nsmtp_tls_cert_file=/me.pem\n";
        check(
            "postfix",
            &[("/etc/postfix/main.cf", main), ("/etc/postfix/master.cf", MASTER)],
            &[
                "serve /etc/k/a.pem key /etc/k/a.key [starttls:smtp 0.0.0.0:25] default @2",
                "serve /etc/k/sub.pem key /etc/k/a.key [starttls:smtp 0.0.0.0:587] default @3",
                "serve /etc/k/a.pem key /etc/k/a.key [tls 0.0.0.0:465] default @2",
                "cas /etc/postfix/ca.pem nobody @8",
                "cas /etc/postfix/ca.pem nobody @8",
                "cas /etc/postfix/ca.pem nobody @8",
                "cas /up.pem peers @9",
                "client /me.pem @10",
            ],
        );
    }

    #[test]
    fn chain_files_and_names() {
        let main = "smtpd_tls_chain_files = /r.key, /r.pem,\n /e.pem\nsmtpd_use_tls = yes\nsmtpd_tls_req_ccert=yes\nsmtpd_tls_CAfile=/ca\n\
                    inet_interfaces = loopback-only, 10.0.0.1\nmydomain = a.test\ntls_server_sni_maps = hash:$config_directory/sni\n";
        let places = "[starttls:smtp 127.0.0.1:25] [starttls:smtp [::1]:25] [starttls:smtp 10.0.0.1:25]";
        check(
            "postfix",
            &[
                ("/etc/postfix/main.cf", main),
                ("/etc/postfix/sni", "mail.b.test /b.key /b.pem\n.c.test /c.pem\n"),
            ],
            &[
                &format!("serve /r.pem key /r.key {places} default @1"),
                &format!("serve /e.pem {places} default @1"),
                &format!("serve /b.pem key /b.key {places} mail.b.test @1"),
                &format!("serve /c.pem {places} .c.test @2"),
                "cas /ca required @5",
            ],
        );
        let other = "smtpd_tls_cert_file=/a\nsmtpd_tls_security_level=may\ntls_server_sni_maps = ldap:/x";
        check(
            "postfix",
            &[("/main.cf", other)],
            &["serve /a [starttls:smtp *:25] default @1", "blind unsupported-format @3"],
        );
        let off = "smtpd_tls_cert_file=/a\n";
        check("postfix", &[("/main.cf", off)], &[]);
    }

    #[test]
    fn names_with_several_files() {
        const KEY: &str = "-----BEGIN PRIVATE KEY-----\n";
        const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n";
        let both = format!("{KEY}{CERTIFICATE}");
        let main = "smtpd_tls_chain_files = /k, /leaf, /ca, /r\nsmtpd_tls_security_level=may\ntls_server_sni_maps = hash:/sni\n";
        let sni = "two.test /r, /e\nthree.test /k, /leaf, /ca\nfour.test /k /leaf /ca /r\ngone.test x.key, x.crt, y.crt\n";
        let files = [("/k", KEY), ("/leaf", CERTIFICATE), ("/ca", CERTIFICATE), ("/r", &both), ("/e", &both)];
        let with = |main| [&[("/main.cf", main), ("/sni", sni)], &files[..]].concat();
        check(
            "postfix",
            &with(main),
            &[
                "serve /leaf key /k chain /ca [starttls:smtp *:25] default @1",
                "serve /r [starttls:smtp *:25] default @1",
                "serve /r [starttls:smtp *:25] two.test @1",
                "serve /e [starttls:smtp *:25] two.test @1",
                "serve /leaf key /k chain /ca [starttls:smtp *:25] three.test @2",
                "serve /leaf key /k chain /ca [starttls:smtp *:25] four.test @3",
                "serve /r [starttls:smtp *:25] four.test @3",
                "serve /x.crt key /x.key chain /y.crt [starttls:smtp *:25] gone.test @4",
            ],
        );
        let inline = "smtpd_tls_security_level=may\ntls_server_sni_maps = inline:{ {a.test = /k, /leaf}, {b.test = /r} }\n";
        check(
            "postfix",
            &with(inline),
            &["serve /leaf key /k [starttls:smtp *:25] a.test @2", "serve /r [starttls:smtp *:25] b.test @2"],
        );
    }

    #[test]
    fn behind_postscreen() {
        let main = "smtpd_tls_cert_file=/a\nsmtpd_tls_security_level=may\nsmtpd_tls_CAfile=/ca\n";
        let with = |smtpd: &str, expected: &[&str]| {
            let master = format!(
                "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd{smtpd}\nother pass - - y - - smtpd -o smtpd_tls_cert_file=/o\n\
                 tlsproxy unix - - y - 0 tlsproxy\n"
            );
            check("postfix", &[("/main.cf", main), ("/master.cf", &master)], expected);
        };
        let screen = "serve /a [starttls:smtp *:25] default @1";
        let cas = "cas /ca nobody @3";
        with("", &[screen, cas]);
        with("\n  -o smtpd_tls_cert_file=/b", &[screen, "serve /b [starttls:smtp *:25] default @2", cas]);
        with(" -o smtpd_tls_security_level=none", &[screen, cas]);
    }
}
