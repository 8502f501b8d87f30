//! HAProxy: `bind` lines with `crt`, `crt-list` and folders of PEM files, `ssl-f-use`, `crt-store`, and what
//! `server` lines show and trust.
//!
//! HAProxy chooses by the names inside the certificates unless a list says otherwise. Conditions that
//! depend on the program itself count as fulfilled, so that nothing is overlooked.

mod lists;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Reading, Server, Serving, begins_line, is_named};

pub(super) const SERVER: Server = Server {
    name: "haproxy",
    mains: &["/etc/haproxy/haproxy.cfg", "/usr/local/etc/haproxy/haproxy.cfg", "/etc/hapee-*/hapee-lb.cfg"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["haproxy.cfg"])
        || path.extension().is_some_and(|e| e == "cfg" || e == "conf")
            && begins_line(head, &["frontend", "listen", "backend", "defaults"])
            && begins_line(head, &["bind", "server", "mode", "timeout"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut state = State { working: PathBuf::from("/"), ..State::default() };
    // What the unit starts it with: more files, and the environment.
    for file in ["/etc/default/haproxy", "/etc/sysconfig/haproxy"] {
        state.environment(reading, Path::new(file));
    }
    state.file(reading, path);
    if path.starts_with("/etc/haproxy") {
        for file in std::mem::take(&mut state.more) {
            let found = if reading.tree.is_folder(&file) {
                reading.tree.glob(&file.join("*.cfg"))
            } else {
                vec![file]
            };
            for file in found.iter().filter(|f| f.as_path() != path) {
                state.file(reading, file);
            }
        }
    }
    state.finish(reading);
}

/// An entry of a `crt-store`.
#[derive(Clone)]
struct Loaded {
    certificate: PathBuf,
    key: Option<PathBuf>,
    staple: Option<PathBuf>,
}

/// A `bind` line with TLS.
struct Bind {
    listens: Vec<Listen>,
    words: Vec<String>,
    at: At,
    /// The section, for `ssl-f-use`.
    section: usize,
}

#[derive(Default)]
struct State {
    working: PathBuf,
    variables: HashMap<String, String>,
    more: Vec<PathBuf>,
    /// `crt-base`, `key-base`, `ca-base` of the global section.
    bases: HashMap<String, PathBuf>,
    stores: HashMap<String, Loaded>,
    binds: Vec<Bind>,
    /// `ssl-f-use` lines by section.
    uses: Vec<(usize, Vec<String>, At)>,
    /// `server` lines, and `default-server` lines, which each `server` line behind one begins with.
    servers: Vec<(Vec<String>, At)>,
    defaults: Vec<String>,
    /// The same from the last section of defaults.
    inherited: Vec<String>,
    section: usize,
    kind: String,
    /// The name and the folders of the `crt-store` section that is being read.
    store: (String, HashMap<String, PathBuf>),
    /// The socket of the global section by which the running process may be changed.
    socket: Option<PathBuf>,
    /// `.if` lines that are open: does this branch count, and has one counted?
    conditions: Vec<(bool, bool)>,
}

const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "mailers",
    "resolvers",
    "program",
    "ring",
    "log-forward",
    "log-profile",
    "http-errors",
    "userlist",
    "cache",
    "fcgi-app",
    "crt-store",
    "acme",
    "traces",
];

impl State {
    fn environment(&mut self, reading: &Reading<'_>, path: &Path) {
        let Ok(bytes) = reading.tree.read(path) else { return };
        let text = String::from_utf8_lossy(&bytes);
        for (_, line) in super::words::lines(&text, &['#']) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = super::words::pair(line) else { continue };
            let mut words = value.split_whitespace();
            while let Some(word) = words.next() {
                if word == "-f" {
                    self.more.extend(words.next().map(PathBuf::from));
                }
            }
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    fn file(&mut self, reading: &mut Reading<'_>, path: &Path) {
        reading.main(path, |reading, path, text| {
            self.conditions.clear();
            for (number, line) in super::words::joined(&text) {
                let at = At::new(path, number);
                let words = self.words(&line);
                let Some(first) = words.first() else { continue };
                if first.starts_with('.') {
                    self.condition(&words);
                } else if self.conditions.iter().all(|(live, _)| *live) {
                    self.line(reading, path, words, at);
                }
            }
        });
    }

    fn condition(&mut self, words: &[String]) {
        let holds = || {
            let text = words[1..].join(" ");
            let (wanted, text) = match text.strip_prefix('!') {
                Some(rest) => (false, rest.trim().to_owned()),
                None => (true, text),
            };
            match text.as_str() {
                "" | "0" => !wanted,
                "1" => wanted,
                _ => match text.strip_prefix("defined(").and_then(|t| t.strip_suffix(')')) {
                    Some(name) => self.variables.contains_key(name.trim()) == wanted,
                    None => true,
                },
            }
        };
        match words[0].as_str() {
            ".if" => {
                let live = holds();
                self.conditions.push((live, live));
            }
            ".elif" => {
                let live = holds();
                if let Some(last) = self.conditions.last_mut() {
                    *last = (live && !last.1, live || last.1);
                }
            }
            ".else" => {
                if let Some(last) = self.conditions.last_mut() {
                    *last = (!last.1, true);
                }
            }
            ".endif" => {
                self.conditions.pop();
            }
            _ => {}
        }
    }

    fn line(&mut self, reading: &mut Reading<'_>, path: &Arc<Path>, words: Vec<String>, at: At) {
        let first = words[0].as_str();
        let second = words.get(1).map_or("", String::as_str);
        if SECTIONS.contains(&first) {
            self.section += 1;
            first.clone_into(&mut self.kind);
            // What `defaults` say of servers holds in the sections after them; what a section says, in that one.
            if first == "defaults" {
                self.inherited.clear();
            }
            self.defaults.clone_from(&self.inherited);
            self.store = (second.to_owned(), HashMap::new());
            return;
        }
        match (self.kind.as_str(), first) {
            (_, "setenv") | ("global", "presetenv") => {
                let value = words.get(2).cloned().unwrap_or_default();
                if first == "setenv" || !self.variables.contains_key(second) {
                    self.variables.insert(second.to_owned(), value);
                }
            }
            ("global", "default-path") => {
                self.working = match second {
                    "config" => folder_of(path),
                    "parent" => folder_of(&folder_of(path)),
                    "origin" => words.get(2).map(PathBuf::from).unwrap_or_default(),
                    _ => PathBuf::from("/"),
                };
            }
            ("global", "stats") if second == "socket" && value(&words, "level") == Some("admin") => {
                let path = words.get(2).filter(|path| path.starts_with('/'));
                self.socket = path.map(PathBuf::from).or(self.socket.take());
            }
            ("global", "crt-base" | "key-base" | "ca-base") => {
                let base = join(&self.working, second);
                self.bases.insert(first.to_owned(), base);
            }
            ("crt-store", "crt-base" | "key-base") => {
                let base = join(&self.working, second);
                self.store.1.insert(first.to_owned(), base);
            }
            ("crt-store", "load") => self.load(&words),
            ("frontend" | "listen" | "peers" | "log-forward", "bind") => {
                let listens = self.listens(reading, second, &at);
                if words.iter().any(|w| w == "ssl") || second.starts_with("quic") {
                    let section = self.section;
                    self.binds.push(Bind { listens, words, at, section });
                }
            }
            (_, "ssl-f-use") => self.uses.push((self.section, words, at)),
            // The first of a word is what holds: what is said later stands in front.
            ("defaults", "default-server") => drop(self.inherited.splice(0..0, words.into_iter().skip(1))),
            (_, "default-server") => drop(self.defaults.splice(0..0, words.into_iter().skip(1))),
            (_, "server" | "server-template" | "peer") => {
                let mut all = words;
                all.extend(self.defaults.iter().cloned());
                self.servers.push((all, at));
            }
            _ => {}
        }
    }

    /// `load crt a.pem key a.key alias x` of a `crt-store`.
    fn load(&mut self, words: &[String]) {
        let base =
            |name: &str| self.store.1.get(name).or_else(|| self.bases.get(name)).unwrap_or(&self.working);
        let Some(certificate) = value(words, "crt") else { return };
        let of = |name: &str, kind: &str| value(words, name).map(|v| join(base(kind), v));
        let loaded = Loaded {
            certificate: join(base("crt-base"), certificate),
            key: of("key", "key-base"),
            staple: of("ocsp", "crt-base"),
        };
        let store = &self.store.0;
        for name in [value(words, "alias"), Some(certificate)].into_iter().flatten() {
            self.stores.insert(format!("@{store}/{name}"), loaded.clone());
        }
    }

    fn base(&self, kind: &str) -> &Path {
        self.bases.get(kind).unwrap_or(&self.working)
    }

    /// `10.0.0.1:443,:::8443,quic4@:443,*:8000-8010`
    fn listens(&self, reading: &mut Reading<'_>, text: &str, at: &At) -> Vec<Listen> {
        let mut out = Vec::new();
        for one in text.split(',') {
            let (family, rest) = match one.split_once('@') {
                Some((family, rest)) => (family, rest),
                None => ("", one),
            };
            if one.starts_with('/')
                || ["unix", "abns", "fd", "sockpair", "rev", "uxst", "uxdg"]
                    .iter()
                    .any(|f| family.starts_with(f))
            {
                continue;
            }
            let split = rest.rsplit_once(':').and_then(|(host, ports)| {
                let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
                Some((host, low.parse::<u16>().ok()?, high.parse::<u16>().ok()?))
            });
            let Some((host, low, high)) = split else {
                reading.blind(at, Reason::Malformed, format!("{one}: no port can be made out"));
                continue;
            };
            let Ok(mut address) = address(host) else {
                let why = format!("{one}: only the server's own resolver knows which address that is");
                reading.blind(at, Reason::Dns, why);
                continue;
            };
            // `*` is every IPv4 address, unless the family says otherwise.
            address = address.or(Some(match family.ends_with('6') {
                true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                false => IpAddr::from([0, 0, 0, 0]),
            }));
            let protocol = if family.starts_with("quic") { "quic" } else { "tls" };
            out.extend((low..=high).take(1024).map(|port| Listen { address, port, protocol }));
        }
        out
    }

    fn finish(self, reading: &mut Reading<'_>) {
        for bind in &self.binds {
            self.bind(reading, bind);
        }
        for (words, at) in &self.servers {
            self.server(reading, words, at);
        }
    }

    fn bind(&self, reading: &mut Reading<'_>, bind: &Bind) {
        let Bind { listens, words, at, .. } = bind;
        let mut first = true;
        let place = |serving: Serving, reading: &mut Reading<'_>, default: bool| {
            let socket = self.socket.clone();
            reading.serve(Serving { listens: listens.clone(), default, socket, ..serving });
        };
        for (n, word) in words.iter().enumerate() {
            let Some(argument) = words.get(n + 1) else { continue };
            match word.as_str() {
                "crt" | "default-crt" => {
                    for serving in self.certificate(reading, argument, at) {
                        let default = first || word == "default-crt";
                        first = false;
                        place(serving, reading, default);
                    }
                }
                "crt-list" => {
                    let list = join(&self.working, argument);
                    for serving in self.list(reading, &list, at) {
                        let default = first || serving.names.iter().any(|n| n.as_str() == "*");
                        first = false;
                        place(serving, reading, default);
                    }
                }
                _ => {}
            }
        }
        for (_, words, at) in self.uses.iter().filter(|(section, ..)| *section == bind.section) {
            for mut serving in self.certificate(reading, value(words, "crt").unwrap_or(""), at) {
                if let Some(key) = value(words, "key") {
                    serving.key = Some(join(self.base("key-base"), key));
                }
                serving.names =
                    values(words, "sni").filter(|n| !n.starts_with('!')).map(super::Name::plain).collect();
                serving.by_certificate = serving.names.is_empty();
                place(serving, reading, std::mem::take(&mut first));
            }
        }
        let checks = match value(words, "verify") {
            Some("required") => Checks::ClientsRequired,
            Some("optional") => Checks::ClientsOptional,
            _ => Checks::NobodyAsked,
        };
        self.trust(reading, words, checks, listens, at);
    }

    fn trust(
        &self,
        reading: &mut Reading<'_>,
        words: &[String],
        checks: Checks,
        listens: &[Listen],
        at: &At,
    ) {
        for (name, holds) in
            [("ca-file", Holds::Cas), ("ca-verify-file", Holds::Cas), ("crl-file", Holds::Crl)]
        {
            // `@system-ca` is the system's own store.
            if let Some(path) = value(words, name).filter(|p| !p.starts_with('@')) {
                let path = join(self.base("ca-base"), path);
                let holds = match holds {
                    Holds::Cas if reading.tree.is_folder(&path) => Holds::FolderOfCas,
                    other => other,
                };
                reading.trust(path, holds, checks, (listens, &[]), at);
            }
        }
    }

    /// A `server` line: the client's side of TLS.
    fn server(&self, reading: &mut Reading<'_>, words: &[String], at: &At) {
        if let Some(path) = value(words, "crt") {
            let to = words.get(2).cloned();
            reading.client(join(self.base("crt-base"), path), None, to, at);
        }
        if value(words, "verify") != Some("none") {
            self.trust(reading, words, Checks::Peers, &[], at);
        }
    }

    /// The words of a line, with variables filled in within double quotes, as HAProxy does.
    fn words(&self, line: &str) -> Vec<String> {
        let mut filled = String::new();
        let (mut single, mut double) = (false, false);
        let mut chars = line.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if !single => {
                    filled.push(c);
                    filled.extend(chars.next().map(|(_, c)| c));
                }
                '\'' if !double => {
                    single = !single;
                    filled.push(c);
                }
                '"' if !single => {
                    double = !double;
                    filled.push(c);
                }
                '$' if double => {
                    let rest = &line[at + 1..];
                    let (name, length) = match rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
                        Some((name, _)) => (name, name.len() + 2),
                        None => {
                            let end = rest
                                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                                .unwrap_or(rest.len());
                            (&rest[..end], end)
                        }
                    };
                    let name = name.split(['-', '[']).next().unwrap_or(name);
                    filled.push_str(self.variables.get(name).map_or("", String::as_str));
                    for _ in rest[..length].chars() {
                        chars.next();
                    }
                }
                _ => filled.push(c),
            }
        }
        super::words::split(&filled)
    }
}

/// The word behind this one.
fn value<'w>(words: &'w [String], name: &str) -> Option<&'w str> {
    values(words, name).next()
}

fn values<'w>(words: &'w [String], name: &str) -> impl Iterator<Item = &'w str> {
    let pairs = words.iter().zip(words.iter().skip(1));
    pairs.filter(move |(word, _)| *word == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn binds() {
        let main = "global\n crt-base /c\n ca-base /ca\nfrontend a\n bind :443,[::]:443 ssl crt a.pem crt /x/b.pem alpn h2\n \
                    bind 10.0.0.1:80\n bind quic4@:443 ssl crt a.pem\n bind /run/x ssl crt a.pem\n \
                    bind *:8443 ssl crt a.pem verify required ca-file c.pem crl-file c.crl\n";
        check(
            "haproxy",
            &[("/h.cfg", main)],
            &[
                "serve /c/a.pem [tls 0.0.0.0:443] [tls [::]:443] by-certificate default @5",
                "serve /x/b.pem [tls 0.0.0.0:443] [tls [::]:443] by-certificate @5",
                "serve /c/a.pem [quic 0.0.0.0:443] by-certificate default @7",
                "serve /c/a.pem by-certificate default @8",
                "serve /c/a.pem [tls 0.0.0.0:8443] by-certificate default @9",
                "cas /ca/c.pem required @9",
                "crl /ca/c.crl required @9",
            ],
        );
    }

    #[test]
    fn lists_and_folders() {
        check(
            "haproxy",
            &[
                (
                    "/h.cfg",
                    "listen a\n bind :443 ssl crt /pems crt-list /l\n bind :444 ssl crt /pems/gone.pem\n",
                ),
                (
                    "/l",
                    "# comment\nb.pem [alpn h2 ca-file /x.pem verify optional] b.test !no.b.test *.b.test\nc.pem\n",
                ),
                ("/pems/1.pem", "x"),
                ("/pems/1.pem.key", "x"),
                ("/pems/1.pem.ocsp", "x"),
                ("/pems/.hidden", "x"),
                ("/pems/2.crt", "x"),
                ("/pems/3.pem.rsa", "x"),
                ("/pems/3.pem.ecdsa", "x"),
                ("/pems/2.key", "x"),
            ],
            &[
                "serve /pems/1.pem key /pems/1.pem.key [tls 0.0.0.0:443] by-certificate default @2",
                "serve /pems/2.crt [tls 0.0.0.0:443] by-certificate @2",
                "serve /pems/3.pem.ecdsa [tls 0.0.0.0:443] by-certificate @2",
                "serve /pems/3.pem.rsa [tls 0.0.0.0:443] by-certificate @2",
                "serve /b.pem [tls 0.0.0.0:443] b.test *.b.test @2",
                "serve /c.pem [tls 0.0.0.0:443] by-certificate @3",
                "serve /pems/gone.pem [tls 0.0.0.0:444] by-certificate default @3",
                "staple /pems/1.pem.ocsp nobody @2",
                "cas /x.pem optional @2",
            ],
        );
    }

    #[test]
    fn stores_and_uses() {
        let main = "global\n default-path config\ncrt-store web\n crt-base c\n key-base k\n load crt a.pem key a.key alias one\n\
                    frontend f\n bind :443 ssl crt @web/one\n ssl-f-use crt b.pem key b.key sni b.test\nbackend b\n \
                    default-server ca-file up.pem\n server s 10.0.0.1:443 ssl crt me.pem\n";
        check(
            "haproxy",
            &[("/etc/h.cfg", main)],
            &[
                "serve /etc/c/a.pem key /etc/k/a.key [tls 0.0.0.0:443] by-certificate default @8",
                "serve /etc/b.pem key /etc/b.key [tls 0.0.0.0:443] b.test @9",
                "cas /etc/up.pem peers @12",
                "client /etc/me.pem @12",
            ],
        );
    }

    #[test]
    fn what_servers_inherit() {
        let main = "defaults\n default-server ca-file /up.pem\nfrontend f\n bind :1\nbackend a\n default-server crt /a.pem ca-file /own.pem\n \
                    server s 10.0.0.1:443 ssl\nbackend b\n server s 10.0.0.2:443 ssl\ndefaults\nbackend c\n server s 10.0.0.3:443 ssl\n";
        check(
            "haproxy",
            &[("/h.cfg", main)],
            &["cas /own.pem peers @7", "cas /up.pem peers @9", "client /a.pem @7"],
        );
    }

    #[test]
    fn variables_and_conditions() {
        let main = "global\n setenv DIR /d\n.if defined(NONE)\n setenv DIR /never\n.else\n setenv PORT 444\n.endif\n\
                    frontend f\n bind \":${PORT}\" ssl crt \"$DIR/a.pem\" crt '$DIR'\n";
        check(
            "haproxy",
            &[("/h.cfg", main)],
            &[
                "serve /d/a.pem [tls 0.0.0.0:444] by-certificate default @9",
                "serve /$DIR [tls 0.0.0.0:444] by-certificate @9",
            ],
        );
    }
}
