//! The place of one scene or of its twin: a folder, ports, an authority of its own, servers.
//!
//! A scene and its twin share nothing but the house's root, so that what is said about the one is never about the
//! other. Everything the program may find lies below [`Site::folder`]; what it may not, such as an authority's key,
//! stays in memory or below [`Site::work`]. Judges nothing.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::calendar::DAY;
use notafter_lab::{NotRun, Server, program, server};

use crate::pki::{Cert, Make};

/// Where the ports of the scenes begin; each has twenty, its twin the upper ten of them.
const FIRST_PORT: u16 = 18_100;

/// The place of one scene or twin.
pub(crate) struct Site {
    /// `p07`, or `p07-twin`.
    pub(crate) id: String,
    /// Whether this is the healthy one.
    pub(crate) twin: bool,
    /// When the service breaks (or, for the twin, would).
    pub(crate) t0: i64,
    /// What the program may find.
    pub(crate) folder: PathBuf,
    /// What it may not.
    pub(crate) work: PathBuf,
    /// The root that the whole house trusts.
    pub(crate) root: Cert,
    /// This site's own issuer below it.
    pub(crate) ca: Cert,
    /// Names and their addresses, for the zone.
    pub(crate) names: Vec<(String, Ipv4Addr)>,
    /// Names with the ports where they are served, for level 1.
    pub(crate) endpoints: Vec<String>,
    /// What is told at level 2: exact places, as words of the command line.
    pub(crate) places: Vec<String>,
    /// Roots that the organisation trusts besides the house's own.
    pub(crate) trusted: Vec<String>,
    /// Passwords of keystores that are told at every level.
    pub(crate) passwords: Vec<String>,
    /// What runs.
    servers: Vec<Server>,
    /// The first of ten ports.
    first: u16,
}

impl Site {
    /// An empty place.
    pub(crate) fn new(top: &Path, number: u16, twin: bool, t0: i64, root: &Cert) -> Self {
        let id = format!("p{number:02}{}", if twin { "-twin" } else { "" });
        let ca = root.issue(&Make::authority(
            &format!("Drill Issuing CA {id}"),
            t0 - 2 * 365 * DAY,
            t0 + 3 * 365 * DAY,
        ));
        let (folder, work) = (top.join("root").join(&id), top.join("work").join(&id));
        for path in [&folder, &work] {
            fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        Self {
            id,
            twin,
            t0,
            folder,
            work,
            root: root.clone(),
            ca,
            names: Vec::new(),
            endpoints: Vec::new(),
            places: Vec::new(),
            trusted: Vec::new(),
            passwords: Vec::new(),
            servers: Vec::new(),
            first: FIRST_PORT + number * 20 + if twin { 10 } else { 0 },
        }
    }

    /// One of its ten ports.
    pub(crate) fn port(&self, number: u16) -> u16 {
        assert!(number < 10, "a site has ten ports");
        self.first + number
    }

    /// An address of 127.0.1.0/28 with one of its ports.
    pub(crate) fn address(&self, host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 1, host], self.port(port)))
    }

    /// So many days after T0.
    pub(crate) fn day(&self, days: i64) -> i64 {
        self.t0 + days * DAY
    }

    /// `name.p07.drill.test`, entered into the zone with its address.
    pub(crate) fn host(&mut self, name: &str, host: u8) -> String {
        let full = self.fqdn(name);
        self.names.push((full.clone(), Ipv4Addr::new(127, 0, 1, host)));
        full
    }

    /// `name.p07.drill.test`, without entering it anywhere.
    pub(crate) fn fqdn(&self, name: &str) -> String {
        format!("{name}.{}.drill.test", self.id)
    }

    /// A server's certificate from this site's issuer, by days around T0.
    pub(crate) fn leaf(&self, names: &[&str], from: i64, until: i64) -> Cert {
        self.ca.issue(&Make::server(names, self.day(from), self.day(until)))
    }

    /// A server's certificate of a year that ends at T0.
    pub(crate) fn doomed(&self, names: &[&str]) -> Cert {
        self.leaf(names, -365, 0)
    }

    /// A server's certificate that nobody needs to think of during the whole drill.
    pub(crate) fn healthy(&self, names: &[&str]) -> Cert {
        self.leaf(names, -100, 260)
    }

    /// Doomed in the scene, healthy in the twin.
    pub(crate) fn subject(&self, names: &[&str]) -> Cert {
        if self.twin { self.healthy(names) } else { self.doomed(names) }
    }

    /// Writes a file that the program may find.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        write(&self.folder.join(path), bytes.as_ref(), 0o644)
    }

    /// The same, for its owner's eyes alone.
    pub(crate) fn secret(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        write(&self.folder.join(path), bytes.as_ref(), 0o600)
    }

    /// Writes a file that the program may not find.
    pub(crate) fn hide(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        write(&self.work.join(path), bytes.as_ref(), 0o600)
    }

    /// Writes `stem.pem` (the chain) and `stem.key`, as a server wants them.
    pub(crate) fn install(&self, stem: &str, cert: &Cert) -> PathBuf {
        self.secret(&format!("{stem}.key"), &cert.key);
        self.write(&format!("{stem}.pem"), cert.chain())
    }

    /// The house's root in a file, for clients.
    pub(crate) fn root_file(&self) -> PathBuf {
        self.hide("root.pem", &self.root.pem)
    }

    /// Starts a program and waits until it listens.
    pub(crate) fn serve(
        &mut self,
        name: &'static str,
        command: Command,
        addresses: &[SocketAddr],
    ) -> Result<(), NotRun> {
        let folder = self.work.join(format!("{name}-{}", self.servers.len()));
        fs::create_dir_all(&folder).map_err(|error| NotRun::new(name, error.to_string()))?;
        self.servers.push(server::attend(name, &folder, command, addresses)?);
        Ok(())
    }

    /// Tells the server that was started last to read its files again.
    pub(crate) fn reload(&mut self) -> Result<(), NotRun> {
        self.servers.last_mut().map_or(Ok(()), Server::reload)
    }

    /// An RSA key, from the cache where one of this name was made before: making one takes long.
    pub(crate) fn rsa(&self, name: &str) -> Result<String, NotRun> {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/drill");
        let path = cache.join(format!("rsa-2048-{}-{name}.pem", self.id));
        if let Ok(key) = fs::read_to_string(&path) {
            return Ok(key);
        }
        let key = self
            .run("openssl", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])?
            .text();
        let fresh = path.with_extension(std::process::id().to_string());
        let kept = fs::create_dir_all(&cache)
            .and_then(|()| fs::write(&fresh, &key))
            .and_then(|()| fs::rename(&fresh, &path));
        kept.map_err(|error| NotRun::new("the cache of keys", error.to_string()))?;
        Ok(key)
    }

    /// Names a place that is told at level 2.
    pub(crate) fn place(&mut self, place: impl AsRef<Path>) {
        self.places.push(place.as_ref().display().to_string());
    }

    /// Names an endpoint that is told at level 2, with the name that is asked for there.
    pub(crate) fn tls_place(&mut self, host: u8, port: u16, name: &str) {
        let sni = if name.is_empty() { String::new() } else { format!("?sni={name}") };
        self.places.push(format!("tls://{}{sni}", self.address(host, port)));
        if !name.is_empty() {
            self.endpoints.push(format!("{name}:{}", self.port(port)));
        }
    }

    /// Runs a program in this site's work folder to its successful end.
    pub(crate) fn run(&self, name: &str, words: &[&str]) -> Result<program::Ran, NotRun> {
        let mut command = self.command(name)?;
        let ran = program::run(command.args(words))?;
        Ok(ran)
    }

    /// A program, to be run in this site's work folder.
    pub(crate) fn command(&self, name: &str) -> Result<Command, NotRun> {
        let mut command = Command::new(program::find(name)?);
        command.current_dir(&self.work).env("HOME", &self.work);
        Ok(command)
    }

    /// Whether a location is in this site.
    pub(crate) fn owns(&self, location: &str) -> bool {
        let ports = (0..10).any(|n| {
            let port = format!(":{}", self.first + n);
            location
                .match_indices(&port)
                .any(|(at, _)| !location[at + port.len()..].starts_with(|c: char| c.is_ascii_digit()))
        });
        let label = format!("{}.drill.test", self.id);
        let named = location.match_indices(&label).any(|(at, _)| {
            at == 0 || !location[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
        });
        ports
            || named
            || location.contains(&format!("/{}/", self.id))
            || location.contains(&format!("drill-{}.test", self.id))
            || location.contains(&format!("drillhold-{}.test", self.id))
    }

    /// The `[[owner]]` of everything here: `team-p07`.
    pub(crate) fn owner(&self) -> String {
        let mut matches = vec![
            format!("path:{}/**", self.folder.display()),
            format!("name:*.{}.drill.test", self.id),
            format!("name:drill-{}.test", self.id),
            format!("name:*.drill-{}.test", self.id),
            format!("name:drillhold-{}.test", self.id),
        ];
        for address in self.servers.iter().flat_map(Server::endpoints).map(|e| e.address) {
            matches.extend(["tls", "smtp"].map(|scheme| format!("location:{scheme}://{address}")));
        }
        format!("[[owner]]\nname = \"team-{}\"\nmatch = {matches:?}\n", self.id)
    }

    /// The addresses that its servers listen on, for level 1.
    pub(crate) fn hosts(&self) -> Vec<Ipv4Addr> {
        let mut hosts: Vec<Ipv4Addr> = self
            .servers
            .iter()
            .flat_map(Server::endpoints)
            .filter_map(|e| match e.address {
                SocketAddr::V4(address) => Some(*address.ip()),
                SocketAddr::V6(_) => None,
            })
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// Its ports, as a range of the command line.
    pub(crate) fn range(&self) -> String {
        format!("{}-{}", self.first, self.first + 9)
    }
}

/// Writes a file, its folder first.
fn write(path: &Path, bytes: &[u8], mode: u32) -> PathBuf {
    let written = fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| fs::write(path, bytes))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_owned()
}
