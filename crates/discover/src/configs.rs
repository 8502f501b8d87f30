//! Which file serves which address and name: the configurations of servers, read as the servers read them.
//!
//! One file a server below, one line in [`SERVERS`]. Pure readers over a [`Tree`]: includes, patterns and
//! variables are followed, what cannot be told is a [`Blind`] with its file and line, and hostile input is
//! bounded in size, depth and count. They deliberately open no certificate and ask no server: whether a
//! file is there, whose key it holds and what is really served is for others to compare.

mod apache;
mod blocks;
mod caddy;
mod dovecot;
mod envoy;
mod etcd;
mod exim;
mod haproxy;
mod hitch;
mod java;
mod lighttpd;
mod mariadb;
mod mosquitto;
mod nats;
mod nginx;
mod openldap;
mod openvpn;
pub(crate) mod other;
mod postfix;
mod postgres;
mod proftpd;
mod prosody;
mod rabbitmq;
mod reading;
mod redis;
mod stunnel;
mod taken;
mod traefik;
mod unbound;
pub(crate) mod value;
mod vsftpd;
mod words;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::location::Location;
use notafter_core::observation::{Link, LinkKind, Reason};

use crate::tree::Tree;
pub(crate) use reading::Reading;
pub(crate) use value::Node;
pub(crate) use words::split;

/// A server whose configuration can be read.
pub struct Server {
    /// Its name, as users say it.
    pub name: &'static str,
    /// Where its main files usually lie, as patterns from the root.
    pub mains: &'static [&'static str],
    /// Is this file, met on a walk, one of its configurations? Asked with the path and the first bytes.
    pub recognises: fn(&Path, &[u8]) -> bool,
    /// Reads a main file and all that it includes.
    read: fn(&mut Reading<'_>, &Path),
}

/// Every server that is known, sorted by how much depends on it.
pub const SERVERS: &[Server] = &[
    nginx::SERVER,
    // Before Apache, whose words for hosts and modules it shares.
    proftpd::SERVER,
    apache::SERVER,
    haproxy::SERVER,
    postfix::SERVER,
    dovecot::SERVER,
    caddy::SERVER,
    traefik::SERVER,
    lighttpd::SERVER,
    stunnel::SERVER,
    exim::SERVER,
    openldap::SERVER,
    postgres::SERVER,
    mariadb::SERVER,
    redis::SERVER,
    rabbitmq::SERVER,
    mosquitto::SERVER,
    java::TOMCAT,
    java::JVM,
    openvpn::SERVER,
    envoy::SERVER,
    hitch::SERVER,
    prosody::SERVER,
    vsftpd::SERVER,
    unbound::SERVER,
    nats::SERVER,
    etcd::SERVER,
    other::SERVER,
];

/// What was read of configurations.
#[derive(Debug, Default)]
pub struct Configured {
    /// What is served where.
    pub servings: Vec<Serving>,
    /// What others are checked against.
    pub trusts: Vec<Trust>,
    /// What the server shows to others when it is a client itself.
    pub clients: Vec<Client>,
    /// What could not be told.
    pub blind: Vec<Blind>,
    /// The files that were read, links followed, so that a walk need not read an included file again.
    pub files: Vec<PathBuf>,
}

/// The place of a directive.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The file.
    pub path: Arc<Path>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u32,
}

/// A certificate file and what it is served as.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The server's name, one of [`SERVERS`].
    pub server: &'static str,
    /// The file with the certificate, or the keystore.
    pub certificate: PathBuf,
    /// The file with its key, where that is another one.
    pub key: Option<PathBuf>,
    /// A file with the rest of the chain.
    pub chain: Option<PathBuf>,
    /// Where it is served. Empty: nowhere that is known.
    pub listens: Vec<Listen>,
    /// For which names the server chooses it.
    pub names: Vec<Name>,
    /// Does the server choose by the names inside the certificate?
    pub by_certificate: bool,
    /// Is it what a client gets that asks for no name, or for an unknown one?
    pub default: bool,
    /// Which entry of a keystore.
    pub alias: Option<String>,
    /// The password of the key or the keystore.
    pub password: Option<Password>,
    /// The folder that it shows as `/` where it serves this, if it shows files.
    pub root: Option<PathBuf>,
    /// The socket by which the running server takes another certificate (HAProxy's with `level admin`).
    pub socket: Option<PathBuf>,
    /// The directive.
    pub at: At,
}

/// An address and what is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listen {
    /// The address; `None` is every one of the host. `0.0.0.0` is every IPv4 address and no other.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// `tls`, `starttls:smtp`, ...; `quic` and `openvpn` for what is no TLS over TCP.
    pub protocol: &'static str,
}

/// A name as the server matches it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// This name.
    Exact(String),
    /// `*.example.com`, `www.example.*`, `.example.com`: as written.
    Wildcard(String),
    /// A regular expression, kept as text.
    Regex(String),
}

/// Where a password is. Its text is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// In this file.
    File(PathBuf),
    /// In the configuration itself.
    Inline(String),
    /// What this program prints.
    Program(String),
}

/// What is held against clients or peers.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The server's name, one of [`SERVERS`].
    pub server: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What it holds.
    pub holds: Holds,
    /// Who is checked against it.
    pub checks: Checks,
    /// Where clients are checked.
    pub listens: Vec<Listen>,
    /// For which names.
    pub names: Vec<Name>,
    /// The password of a keystore.
    pub password: Option<Password>,
    /// The directive.
    pub at: At,
}

/// What a file of trust holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Holds {
    Cas,
    FolderOfCas,
    Crl,
    FolderOfCrls,
    /// A stored OCSP response.
    Staple,
}

/// Who is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// Clients, who get in only with a certificate.
    ClientsRequired,
    /// Clients, if they show one.
    ClientsOptional,
    /// Clients are not asked: the file only completes the chain, or names CAs.
    NobodyAsked,
    /// Servers to which this one connects.
    Peers,
}

/// A certificate shown to others.
#[derive(Debug, Clone)]
pub struct Client {
    /// The server's name, one of [`SERVERS`].
    pub server: &'static str,
    /// The file with the certificate.
    pub certificate: PathBuf,
    /// The file with its key, where that is another one.
    pub key: Option<PathBuf>,
    /// To whom, as the configuration says it.
    pub to: Option<String>,
    /// The directive.
    pub at: At,
}

/// What could not be told, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// Where.
    pub at: At,
    /// Of which kind.
    pub reason: Reason,
    /// What exactly.
    pub why: String,
}

impl At {
    /// A line of a file.
    pub fn new(path: &Arc<Path>, line: u32) -> Self {
        Self { path: Arc::clone(path), line }
    }

    /// The file as a whole.
    pub fn file(path: &Path) -> Self {
        Self { path: Arc::from(path), line: 0 }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.path.display()),
            line => write!(f, "{}:{line}", self.path.display()),
        }
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Inline(_) => f.write_str("Inline(not shown)"),
            Self::Program(line) => write!(f, "Program({line})"),
        }
    }
}

impl Listen {
    /// A port that speaks TLS from the first byte.
    pub fn tls(address: Option<IpAddr>, port: u16) -> Self {
        Self { address, port, protocol: "tls" }
    }

    /// The scheme of the location: `tls`, `smtp`, ...; `None` for what no location can name.
    pub fn scheme(&self) -> Option<&'static str> {
        match self.protocol {
            "tls" => Some("tls"),
            other => other.strip_prefix("starttls:"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} {}", self.protocol, SocketAddr::new(address, self.port)),
            None => write!(f, "{} *:{}", self.protocol, self.port),
        }
    }
}

impl Name {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Wildcard(name) | Self::Regex(name) => name,
        }
    }

    /// A name that may have a star in it.
    pub(crate) fn plain(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.contains('*') || text.starts_with('.') {
            true => Self::Wildcard(text),
            false => Self::Exact(text),
        }
    }
}

impl Serving {
    pub(crate) fn new(server: &'static str, certificate: PathBuf, at: At) -> Self {
        Self {
            server,
            certificate,
            key: None,
            chain: None,
            listens: Vec::new(),
            names: Vec::new(),
            by_certificate: false,
            default: false,
            alias: None,
            password: None,
            root: None,
            socket: None,
            at,
        }
    }

    /// The links from the certificate's file to the endpoints where it is served, with file and line as
    /// evidence. Every address of this host is `tls://[::]:443`, every IPv4 address `tls://0.0.0.0:443`; where
    /// several fit an endpoint, the most exact one counts, as it does for the socket. With `?sni=` where
    /// the server chooses the file only for a name; without where it is the default, or chosen by what is
    /// in the certificate. Regular expressions give no link of their own. A file that is reached through links
    /// is named by both of its paths, because a walk may have come upon either.
    pub fn links(&self, tree: &Tree) -> Vec<Link> {
        use std::os::unix::ffi::OsStrExt;
        let fragment = self.alias.as_deref().map(notafter_core::location::fragment).unwrap_or_default();
        let place = |path: &Path| Location::file(path.as_os_str().as_bytes(), &fragment);
        let mut files = vec![place(&self.certificate)];
        if let Ok(real) = tree.resolve(&self.certificate) {
            files.push(place(&real));
        }
        files.dedup();
        if self.listens.is_empty() {
            // Where it listens is not known; that somebody uses the file is.
            let to = Location::file(self.at.path.as_os_str().as_bytes(), "");
            let named = |from: &Location| Link {
                kind: LinkKind::Serves,
                from: from.clone(),
                to: to.clone(),
                evidence: self.at.to_string(),
            };
            return files.iter().map(named).collect();
        }
        let by_name = !self.default && !self.by_certificate && !self.names.is_empty();
        let mut out = Vec::new();
        for listen in &self.listens {
            let Some(scheme) = listen.scheme() else { continue };
            let ip = listen.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            let address = SocketAddr::new(ip, listen.port);
            let mut link = |sni: Option<&str>| {
                let to = Location::endpoint(scheme, address, sni);
                for from in &files {
                    let (from, to, evidence) = (from.clone(), to.clone(), self.at.to_string());
                    out.push(Link { kind: LinkKind::Serves, from, to, evidence });
                }
            };
            if !by_name {
                link(None);
            }
            for name in &self.names {
                if !matches!(name, Name::Regex(_)) {
                    link(Some(name.as_str()));
                }
            }
        }
        out
    }
}

impl Configured {
    /// Files that a configuration names for serving and that are not there. A server that runs goes on
    /// with what it has loaded, and will not come up again.
    pub fn missing(&self, tree: &Tree) -> Vec<(&Path, &At)> {
        let named = self.servings.iter().flat_map(|s| {
            let files = [Some(&s.certificate), s.key.as_ref(), s.chain.as_ref()];
            files.into_iter().flatten().map(|file| (file.as_path(), &s.at))
        });
        named.filter(|(file, _)| tree.kind(file).is_none()).collect()
    }

    fn append(&mut self, other: Self) {
        self.servings.extend(other.servings);
        self.trusts.extend(other.trusts);
        self.clients.extend(other.clients);
        self.blind.extend(other.blind);
        self.files.extend(other.files);
    }
}

/// Reads every configuration that lies where it usually lies.
pub fn read_tree(tree: &Tree) -> Configured {
    let mut out = Configured::default();
    for server in SERVERS {
        let mut read: Vec<PathBuf> = Vec::new();
        for main in server.mains.iter().flat_map(|pattern| tree.glob(Path::new(pattern))) {
            let Ok(real) = tree.resolve(&main) else { continue };
            if tree.is_file(&real) && !read.contains(&real) {
                let found = read_with(tree, server, &main);
                read.extend_from_slice(&found.files);
                out.append(found);
            }
        }
    }
    out
}

/// Reads one configuration, which [`recognise`] or a user named, and what it includes.
pub fn read_with(tree: &Tree, server: &'static Server, path: &Path) -> Configured {
    let mut reading = Reading::new(tree, server.name);
    (server.read)(&mut reading, path);
    reading.finish()
}

/// So much of a file tells whose configuration it is.
const NEAR: usize = 4096;

/// The server whose configuration this file is, by its name and its first bytes (some 32 KiB). It looks at
/// the bytes only where the name leaves it open, so that it may be asked about every file of a walk. An
/// included file is recognised too where it makes sense alone: read main files first, and skip what stands
/// in [`Configured::files`].
pub fn recognise(path: &Path, head: &[u8]) -> Option<&'static Server> {
    if !maybe(path) || head.contains(&0) {
        return None;
    }
    let near = &head[..head.len().min(NEAR)];
    let seen = |server: &Server| if server.name == other::SERVER.name { head } else { near };
    SERVERS.iter().find(|server| (server.recognises)(path, seen(server)))
}

/// Could a file of this name be a configuration? By its name alone: ask before opening anything.
pub fn maybe(path: &Path) -> bool {
    const ENDINGS: &[&str] = &[
        "conf",
        "cfg",
        "cnf",
        "cf",
        "config",
        "yml",
        "yaml",
        "json",
        "toml",
        "xml",
        "ovpn",
        "ldif",
        "vhost",
        "properties",
        "options",
        "site",
        "ini",
        "env",
        "service",
        "curlrc",
        "tfvars",
        "rb",
        "lua",
    ];
    const NAMES: &[&str] = &[
        "Caddyfile",
        "configure",
        "exim4.conf.template",
        "crt-list",
        "jvm.options",
        "cassandra-env.sh",
        "setenv.sh",
    ];
    const FOLDERS: &[&str] = &["sites-enabled", "sites-available", "conf.d", "mods-enabled", "vhosts.d"];
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return false };
    // Of the environments of services, the one whose program has a reader.
    if NAMES.contains(&name) || name.contains("Caddyfile") || path.ends_with("default/etcd") {
        return true;
    }
    match name.rsplit_once('.') {
        Some((_, ending)) if ENDINGS.contains(&ending) => true,
        // `sites-enabled/example.com` has whatever ending its host has.
        _ => path.parent().and_then(Path::file_name).is_some_and(|f| FOLDERS.iter().any(|k| f == *k)),
    }
}

/// Is this one of the words, whole, in the text?
pub(crate) fn has_word(head: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| {
        let word = word.as_bytes();
        let plain = |b: Option<&u8>| b.is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_' && *b != b'-');
        memchr::memmem::find_iter(head, word)
            .any(|at| plain(at.checked_sub(1).and_then(|k| head.get(k))) && plain(head.get(at + word.len())))
    })
}

/// Does a line begin with one of these words?
pub(crate) fn begins_line(head: &[u8], words: &[&str]) -> bool {
    head.split(|b| *b == b'\n').any(|line| {
        let line = line.trim_ascii_start();
        let end = line.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(line.len());
        words.iter().any(|word| &line[..end] == word.as_bytes())
    })
}

/// Is the file called one of these?
pub(crate) fn is_named(path: &Path, names: &[&str]) -> bool {
    path.file_name().is_some_and(|n| names.iter().any(|name| n == *name))
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(address: Option<&str>, names: &[&str]) -> Serving {
        let mut out =
            Serving::new("nginx", "/etc/a.pem".into(), At { path: Path::new("/n.conf").into(), line: 7 });
        out.listens = vec![Listen::tls(address.map(|a| a.parse().unwrap()), 443)];
        out.names = names.iter().map(|n| Name::plain(n)).collect();
        out
    }

    #[test]
    fn links_name_the_endpoint() {
        let check = |serving: &Serving, expected: &[&str]| {
            let links = serving.links(&Tree::of(&[]));
            let got: Vec<_> = links.iter().map(|l| l.to.as_str()).collect();
            assert_eq!(got, expected);
            assert!(
                links.iter().all(|l| l.evidence == "/n.conf:7" && l.from.as_str() == "file:///etc/a.pem")
            );
        };
        check(&serving(Some("10.0.0.5"), &[]), &["tls://10.0.0.5:443"]);
        check(&serving(None, &["a.test"]), &["tls://[::]:443?sni=a.test"]);
        let mut default = serving(Some("::1"), &["*.a.test"]);
        default.default = true;
        check(&default, &["tls://[::1]:443", "tls://[::1]:443?sni=*.a.test"]);
        default.listens[0].protocol = "quic";
        check(&default, &[]);
        let tree = Tree::memory([
            ("/etc/a.pem".into(), crate::tree::Entry::link("/archive/a3.pem")),
            ("/archive/a3.pem".into(), crate::tree::Entry::file(b"")),
        ]);
        let links = serving(None, &[]).links(&tree);
        let from: Vec<_> = links.iter().map(|l| l.from.as_str()).collect();
        assert_eq!(from, ["file:///etc/a.pem", "file:///archive/a3.pem"]);
    }

    #[test]
    fn what_whoever_takes_it_over_needs_to_know() {
        let one = |name: &str, text: &str| {
            let tree = Tree::of(&[("/x", text), ("/a.pem", "")]);
            let server = SERVERS.iter().find(|s| s.name == name).unwrap();
            read_with(&tree, server, Path::new("/x")).servings[0].clone()
        };
        let nginx = |root: &str| {
            one(
                "nginx",
                &format!("http {{ root /all; server {{ {root} listen 443 ssl; ssl_certificate /a.pem; }} }}"),
            )
            .root
        };
        assert_eq!(nginx(""), Some("/all".into()));
        assert_eq!(nginx("root /own;"), Some("/own".into()));
        assert_eq!(nginx("root /srv/$host;"), None);
        let host = "Listen 443 https\n<VirtualHost *:443>\nDocumentRoot /srv\nSSLEngine on\nSSLCertificateFile /a.pem\n</VirtualHost>\n";
        assert_eq!(one("apache", host).root, Some("/srv".into()));
        let haproxy = |level: &str| {
            let text = format!(
                "global\n stats socket /run/a.sock mode 600 {level}\nfrontend x\n bind :443 ssl crt /a.pem\n"
            );
            one("haproxy", &text).socket
        };
        assert_eq!(haproxy("level admin"), Some("/run/a.sock".into()));
        assert_eq!(haproxy("level operator"), None, "it may not change a certificate");
        assert_eq!(haproxy(""), None);
    }

    #[test]
    fn what_a_walk_recognises() {
        let check = |path: &str, head: &str, expected: Option<&str>| {
            let got = recognise(Path::new(path), head.as_bytes()).map(|s| s.name);
            assert_eq!(got, expected, "{path}");
        };
        check("/srv/nginx.conf", "events {}\nhttp {\n", Some("nginx"));
        check("/srv/x/site.conf", "server {\n listen 443 ssl;\n ssl_certificate a.pem;\n}", Some("nginx"));
        check("/srv/x/site.conf", "<VirtualHost *:443>\nSSLCertificateFile /a.pem\n", Some("apache"));
        check("/srv/h.cfg", "frontend x\n bind :443 ssl crt /a.pem\n", Some("haproxy"));
        check("/srv/main.cf", "smtpd_tls_cert_file = /a.pem\n", Some("postfix"));
        check("/srv/dovecot.conf", "ssl_cert = </a.pem\n", Some("dovecot"));
        check("/srv/Caddyfile", "a.test {\n tls /a.pem /a.key\n}\n", Some("caddy"));
        check("/srv/caddy.json", "{\"apps\":{\"tls\":{\"certificates\":{}}}}", Some("caddy"));
        check("/srv/dyn.yml", "tls:\n  certificates:\n    - certFile: /a.pem\n", Some("traefik"));
        check("/srv/acme.json", "{\"le\":{\"Account\":{},\"Certificates\":[]}}", Some("traefik"));
        check("/srv/lighttpd.conf", "ssl.engine = \"enable\"\n", Some("lighttpd"));
        check("/srv/stunnel.conf", "[https]\naccept = 443\nconnect = 80\n", Some("stunnel"));
        check("/srv/exim4.conf", "tls_certificate = /a.pem\n", Some("exim"));
        check("/srv/slapd.conf", "TLSCertificateFile /a.pem\n", Some("openldap"));
        check("/srv/postgresql.conf", "ssl = on\n", Some("postgres"));
        check("/srv/my.cnf", "[mysqld]\nssl-cert=/a.pem\n", Some("mariadb"));
        check("/etc/default/etcd", "ETCD_CERT_FILE=/a.pem\n", Some("etcd"));
        check("/srv/redis.conf", "tls-port 6379\n", Some("redis"));
        check("/srv/rabbitmq.conf", "listeners.ssl.default = 5671\n", Some("rabbitmq"));
        check("/srv/mosquitto.conf", "listener 8883\ncertfile /a.pem\n", Some("mosquitto"));
        check("/srv/server.xml", "<Server port=\"8005\">\n<Connector", Some("tomcat"));
        check("/srv/jvm.options", "-Djavax.net.ssl.keyStore=/a.jks\n", Some("jvm"));
        check("/srv/vpn.ovpn", "client\nremote a.test\n<ca>\n", Some("openvpn"));
        check("/srv/envoy.yaml", "static_resources:\n  listeners:\n", Some("envoy"));
        check("/srv/x.conf", "nothing = here\n", None);
        check("/srv/x.rs", "server { ssl_certificate }", None);
        check("/srv/x.yml", "services:\n  - a\n", None);
    }

    #[test]
    fn a_hostile_or_empty_tree_gives_nothing() {
        assert!(read_tree(&Tree::of(&[])).files.is_empty());
        for server in SERVERS {
            for text in
                ["", "{", "}", "{{{{{{", "\"", "include /x;", "<a", "[", "include x\nInclude x\n", "\\"]
            {
                let tree = Tree::of(&[("/x", text)]);
                let found = read_with(&tree, server, Path::new("/x"));
                assert!(found.servings.is_empty(), "{} {text}", server.name);
            }
            let deep = "{\n".repeat(100_000);
            read_with(&Tree::of(&[("/x", &deep)]), server, Path::new("/x"));
            let deep = "[".repeat(100_000);
            read_with(&Tree::of(&[("/x", &deep)]), server, Path::new("/x"));
            let deep = "<a>\n".repeat(20_000);
            read_with(&Tree::of(&[("/x", &deep)]), server, Path::new("/x"));
            let missing = read_with(&Tree::of(&[]), server, Path::new("/x"));
            assert_eq!(missing.blind.len(), 1, "{}: a main file that is not there is said", server.name);
        }
    }
}
