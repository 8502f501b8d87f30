//! Name servers that take dynamic updates: knot and BIND, with zones of the test's own; and PowerDNS with its HTTP API.
//!
//! Each listens on one address of 127.0.0.0/8, by UDP and TCP. Several on different addresses share one port, because the
//! addresses of a zone's servers have no port. Their zones end with them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::material::write;
use crate::{Lab, NotRun, Port, Server, program, server};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the name of its program")]
pub enum Daemon {
    Knot,
    Bind,
}

/// What a server is to its zones.
#[derive(Debug, Clone)]
pub enum Role {
    /// Changes are made here, with the key, to TXT records; these servers are told.
    Primary(Vec<SocketAddr>),
    /// It takes its zones from there.
    Secondary(SocketAddr),
    /// It has what is written in its file, for ever.
    Frozen,
    /// The same, and only who has the key is given the whole of it.
    Guarded,
}

/// A key for updates (TSIG).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tsig {
    /// Its name.
    pub name: String,
    /// `hmac-sha256` and so on.
    pub algorithm: String,
    /// base64.
    pub secret: String,
}

impl Tsig {
    /// A key with this algorithm.
    #[must_use]
    pub fn new(algorithm: &str) -> Self {
        let secret = "bm90YWZ0ZXItbGFiLWtleS1mb3ItdXBkYXRlcy0wMDE=".to_owned();
        Self { name: "acme".to_owned(), algorithm: algorithm.to_owned(), secret }
    }
}

/// A zone: its name and its records besides SOA and NS, as a zone file has them.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// The addresses of its servers: `ns1`, `ns2`, ...
    pub servers: Vec<Ipv4Addr>,
    /// The rest.
    pub records: String,
}

impl Zone {
    /// A zone with one server.
    #[must_use]
    pub fn new(name: &str, records: &str) -> Self {
        Self { name: name.to_owned(), servers: vec![Ipv4Addr::LOCALHOST], records: records.to_owned() }
    }

    /// As a file.
    fn file(&self) -> String {
        let mut out = format!("$ORIGIN {}.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 5\n", self.name);
        for (n, address) in self.servers.iter().enumerate() {
            let _ = writeln!(out, "@ NS ns{}\nns{} A {address}", n + 1, n + 1);
        }
        out + &self.records + "\n"
    }
}

/// A running name server. Dropping it ends it.
#[derive(Debug)]
pub struct Dns {
    /// The program.
    server: Server,
    /// Where it listens.
    address: SocketAddr,
    /// Its key.
    key: Tsig,
    /// Keeps the port from other tests, for the first of several.
    _port: Option<Port>,
}

/// Starts one at 127.0.0.1 that takes updates.
///
/// # Errors
/// When it is not there or does not start.
pub fn start(lab: &Lab, daemon: Daemon, zones: &[Zone], key: &Tsig) -> Result<Dns, NotRun> {
    let port = Port::free();
    let mut dns = start_at(lab, daemon, port.local(), zones, key, &Role::Primary(Vec::new()))?;
    dns._port = Some(port);
    Ok(dns)
}

/// Starts one at an address that the caller keeps others off.
///
/// # Errors
/// When it is not there or does not start.
pub fn start_at(
    lab: &Lab,
    daemon: Daemon,
    address: SocketAddr,
    zones: &[Zone],
    key: &Tsig,
    role: &Role,
) -> Result<Dns, NotRun> {
    let (name, path) = match daemon {
        Daemon::Knot => ("knotd", program::find("knotd")?),
        Daemon::Bind => ("named", program::find("named")?),
    };
    let folder = lab.subfolder(name);
    for zone in zones {
        write(&folder.join(format!("{}.zone", zone.name)), zone.file());
    }
    let mut command = Command::new(path);
    match daemon {
        Daemon::Knot => {
            std::fs::create_dir_all(folder.join("db"))
                .map_err(|error| NotRun::new(name, error.to_string()))?;
            write(&folder.join("knot.conf"), knot(&folder, address, zones, key, role));
            command.arg("-c").arg(folder.join("knot.conf"));
        }
        Daemon::Bind => {
            write(&folder.join("named.conf"), bind(&folder, address, zones, key, role));
            command.args(["-g", "-n", "1", "-c"]).arg(folder.join("named.conf"));
        }
    }
    let server = server::attend(name, &folder, command, &[address])?;
    Ok(Dns { server, address, key: key.clone(), _port: None })
}

/// Starts a resolver that goes on from one of these zones into another, and knows nobody else; it forgets at once.
///
/// # Errors
/// When BIND is not there or does not start.
pub fn resolver(lab: &Lab, zones: &[(&str, SocketAddr)]) -> Result<Dns, NotRun> {
    let path = program::find("named")?;
    let folder = lab.subfolder("resolver");
    let port = Port::free();
    // The root is at a port of this machine where nobody is.
    write(&folder.join("root.hint"), ". 60 NS a.root.\na.root. 60 A 127.255.255.254\n");
    let mut out = format!(
        "options {{ directory \"{}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file \"named.pid\"; \
         session-keyfile \"session.key\"; recursion yes; dnssec-validation no; empty-zones-enable no; max-cache-ttl 1; \
         max-ncache-ttl 0; managed-keys-directory \".\"; }};\ncontrols {{ }};\nzone \".\" {{ type hint; file \"root.hint\"; }};\n",
        folder.display(),
        port.number()
    );
    for (name, at) in zones {
        let _ = writeln!(
            out,
            "zone \"{name}\" {{ type forward; forward only; forwarders {{ {} port {}; }}; }};",
            at.ip(),
            at.port()
        );
    }
    write(&folder.join("named.conf"), out);
    let mut command = Command::new(path);
    command.args(["-4", "-g", "-n", "1", "-c"]).arg(folder.join("named.conf"));
    let server = server::attend("named", &folder, command, &[port.local()])?;
    Ok(Dns { server, address: port.local(), key: Tsig::new("hmac-sha256"), _port: Some(port) })
}

/// knot.conf(5).
fn knot(folder: &Path, address: SocketAddr, zones: &[Zone], key: &Tsig, role: &Role) -> String {
    let (ip, port, folder) = (address.ip(), address.port(), folder.display());
    let mut out = format!(
        "server:\n  listen: {ip}@{port}\n  rundir: {folder}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         database:\n  storage: {folder}/db\nlog:\n- target: stderr\n  any: info\n\
         key:\n- id: {}\n  algorithm: {}\n  secret: {}\n",
        key.name, key.algorithm, key.secret
    );
    let remote = |n: usize, at: &SocketAddr| format!("- id: r{n}\n  address: {}@{}\n", at.ip(), at.port());
    let own = match role {
        Role::Primary(told) => {
            if !told.is_empty() {
                let all: String = told.iter().enumerate().map(|(n, at)| remote(n, at)).collect();
                let _ = write!(out, "remote:\n{all}");
            }
            let _ = write!(
                out,
                "acl:\n- id: change\n  key: {}\n  action: update\n  update-type: TXT\n- id: hand-out\n  address: 127.0.0.0/8\n  action: transfer\n",
                key.name
            );
            let names: Vec<String> = (0..told.len()).map(|n| format!("r{n}")).collect();
            let notify =
                if told.is_empty() { String::new() } else { format!("  notify: [{}]\n", names.join(", ")) };
            format!("  acl: [change, hand-out]\n{notify}")
        }
        Role::Secondary(primary) => {
            let _ = write!(
                out,
                "remote:\n{}acl:\n- id: be-told\n  address: 127.0.0.0/8\n  action: notify\n",
                remote(0, primary)
            );
            "  acl: be-told\n  master: r0\n".to_owned()
        }
        Role::Frozen => String::new(),
        Role::Guarded => {
            let _ = write!(out, "acl:\n- id: hand-out\n  key: {}\n  action: transfer\n", key.name);
            "  acl: hand-out\n".to_owned()
        }
    };
    out.push_str("zone:\n");
    for zone in zones {
        let file = if matches!(role, Role::Secondary(_)) { "taken" } else { "zone" };
        let _ = write!(
            out,
            "- domain: {name}\n  storage: {folder}\n  file: {name}.{file}\n  zonefile-sync: -1\n{own}",
            name = zone.name
        );
    }
    out
}

/// named.conf(5).
fn bind(folder: &Path, address: SocketAddr, zones: &[Zone], key: &Tsig, role: &Role) -> String {
    let (ip, port) = (address.ip(), address.port());
    let mut out = format!(
        "options {{ directory \"{}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; pid-file \"named.pid\"; \
         session-keyfile \"session.key\"; recursion no; dnssec-validation no; allow-transfer {{ 127.0.0.0/8; }}; \
         notify-delay 0; managed-keys-directory \".\"; }};\ncontrols {{ }};\n\
         key \"{}\" {{ algorithm {}; secret \"{}\"; }};\n",
        folder.display(),
        key.name,
        key.algorithm,
        key.secret
    );
    for zone in zones {
        let own = match role {
            Role::Primary(told) => {
                let told: String =
                    told.iter().map(|at| format!("{} port {}; ", at.ip(), at.port())).collect();
                format!(
                    "type primary; file \"{}.zone\"; notify explicit; also-notify {{ {told}}}; \
                     update-policy {{ grant {} zonesub TXT; }};",
                    zone.name, key.name
                )
            }
            Role::Secondary(primary) => format!(
                "type secondary; file \"{}.taken\"; primaries {{ {} port {}; }}; allow-notify {{ 127.0.0.0/8; }};",
                zone.name,
                primary.ip(),
                primary.port()
            ),
            Role::Frozen => format!("type primary; file \"{}.zone\"; notify no;", zone.name),
            Role::Guarded => format!(
                "type primary; file \"{}.zone\"; notify no; allow-transfer {{ key \"{}\"; }};",
                zone.name, key.name
            ),
        };
        let _ = writeln!(out, "zone \"{}\" {{ {own} }};", zone.name);
    }
    out
}

impl Dns {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key for updates.
    #[must_use]
    pub fn key(&self) -> &Tsig {
        &self.key
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The texts at a name, as `dig` sees them, sorted.
    ///
    /// # Errors
    /// When dig is not there, or no answer came.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, NotRun> {
        texts(self.address, name)
    }
}

/// The texts at a name at this server, as `dig` sees them, sorted.
///
/// # Errors
/// When dig is not there, or no answer came.
pub fn texts(server: SocketAddr, name: &str) -> Result<Vec<String>, NotRun> {
    let mut dig = Command::new(program::find("dig")?);
    dig.args(["+short", "+norecurse", "+tries=2", "+time=3", "-p", &server.port().to_string()]);
    dig.arg(format!("@{}", server.ip())).args(["-t", "TXT", "-q", name]);
    let said = program::run(&mut dig)?.text();
    let texts = said.lines().filter(|line| line.starts_with('"'));
    let mut all: Vec<String> = texts.map(|line| line.trim_matches('"').to_owned()).collect();
    all.sort();
    Ok(all)
}

/// A copy of acme.sh below this folder, with its script for `nsupdate`: the first is its library, the second the script.
///
/// # Errors
/// When it is not there.
pub fn acme_sh(folder: &Path) -> Result<(PathBuf, PathBuf), NotRun> {
    let library = program::newer("acme.sh", "/usr/share/acme.sh/acme.sh")?;
    let script = library.with_file_name("dnsapi").join("dns_nsupdate.sh");
    let copies = (folder.join("acme.sh"), folder.join("dns_nsupdate.sh"));
    for (from, to) in [(&library, &copies.0), (&script, &copies.1)] {
        std::fs::copy(from, to)
            .map_err(|error| NotRun::new("acme.sh", format!("{}: {error}", from.display())))?;
    }
    Ok(copies)
}

/// A running PowerDNS with its API. Dropping it ends it.
#[derive(Debug)]
pub struct Powerdns {
    /// The program.
    _server: Server,
    /// Where it answers questions.
    address: SocketAddr,
    /// Where its API is.
    api: SocketAddr,
    /// Keeps the ports from other tests.
    _ports: (Port, Port),
}

/// Starts one with this key for its API, and these zones.
///
/// # Errors
/// When it is not there or does not start.
pub fn powerdns(lab: &Lab, api_key: &str, zones: &[&str]) -> Result<Powerdns, NotRun> {
    let path = program::find("pdns_server")?;
    let folder = lab.subfolder("powerdns");
    let (port, api) = (Port::free(), Port::free());
    write(
        &folder.join("pdns.conf"),
        format!(
            "launch=lmdb\nlmdb-filename={folder}/pdns.lmdb\nlmdb-shards=1\nsocket-dir={folder}\nlocal-address=127.0.0.1\nlocal-port={}\n\
             api=yes\napi-key={api_key}\nwebserver=yes\nwebserver-address=127.0.0.1\nwebserver-port={}\n\
             webserver-allow-from=127.0.0.0/8\ncache-ttl=0\nnegquery-cache-ttl=0\nquery-cache-ttl=0\nzone-cache-refresh-interval=0\n\
             receiver-threads=1\ndistributor-threads=1\nsecurity-poll-suffix=\nguardian=no\ndaemon=no\n",
            port.number(),
            api.number(),
            folder = folder.display()
        ),
    );
    for zone in zones {
        for words in [
            vec!["create-zone", zone, &format!("ns1.{zone}")],
            vec!["add-record", zone, "ns1", "A", "60", "127.0.0.1"],
        ] {
            let mut util = Command::new(program::find("pdnsutil")?);
            program::run(util.arg(format!("--config-dir={}", folder.display())).args(words))?;
        }
    }
    let mut command = Command::new(path);
    command.arg(format!("--config-dir={}", folder.display()));
    let server = server::attend("pdns_server", &folder, command, &[port.local(), api.local()])?;
    Ok(Powerdns { _server: server, address: port.local(), api: api.local(), _ports: (port, api) })
}

impl Powerdns {
    /// Where it answers questions.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of its API.
    #[must_use]
    pub fn api(&self) -> String {
        format!("http://{}", self.api)
    }
}

/// Other addresses of this machine with the same port.
#[must_use]
pub fn beside(first: SocketAddr, n: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, n)), first.port())
}

/// How long a transfer between two servers may take in a test.
pub const TRANSFER: Duration = Duration::from_secs(20);
