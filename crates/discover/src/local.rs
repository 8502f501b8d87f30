//! This host's own ports: what listens, and which process it is.
//!
//! Read from /proc, so that exactly the open ports are asked. Whose socket it is can be told only for
//! processes that we may look into; for the others it is left open, never guessed.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::observation::Process;

/// A listening TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens; the unspecified address means everywhere.
    pub address: SocketAddr,
    /// Its inode, by which a process is found.
    pub inode: u64,
}

impl Listener {
    /// An address at which it can be asked from here.
    pub fn reachable(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip.to_canonical(),
        };
        SocketAddr::new(ip, self.address.port())
    }

    fn covers(&self, asked: SocketAddr) -> bool {
        let ip = self.address.ip().to_canonical();
        let same = ip == asked.ip().to_canonical();
        // A dual-stack socket on [::] is asked over IPv4 too.
        let everywhere = ip.is_unspecified() && (ip.is_ipv6() || asked.is_ipv4());
        self.address.port() == asked.port() && (same || everywhere)
    }
}

/// All listening TCP sockets of this network namespace.
pub fn listeners() -> Vec<Listener> {
    let mut out = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        if let Ok(text) = std::fs::read_to_string(file) {
            out.extend(text.lines().skip(1).filter_map(listener));
        }
    }
    out
}

/// One line of /proc/net/tcp or tcp6 (proc(5)), if its state is LISTEN.
fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    let address = end(local)?;
    (state == "0A" && address.port() > 0).then_some(Listener { address, inode })
}

/// `0100007F:1F90`.
fn end(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each 32-bit word is in the byte order of the machine.
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut octets = [0; 16];
            for n in 0..4 {
                octets[n * 4..n * 4 + 4].copy_from_slice(&word(n * 8)?);
            }
            IpAddr::from(octets)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// Is this an address of this host? Only such a one can be bound to.
pub fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

/// The processes behind the listening sockets of this host.
#[derive(Default)]
pub struct Processes {
    by_listener: Vec<(Listener, Arc<Process>)>,
    connections: Connections,
}

impl Processes {
    /// Looks through every process that we may look into.
    pub fn look() -> Self {
        let listeners = listeners();
        let mut wanted: HashSet<u64> = listeners.iter().map(|l| l.inode).collect();
        let mut owner: HashMap<u64, Arc<Process>> = HashMap::new();
        let mut pids: Vec<u32> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        // A master is older than its workers and has the lower pid, mostly: it is the one to reload.
        pids.sort_unstable();
        for pid in pids {
            if wanted.is_empty() {
                break;
            }
            let mut process = None;
            for inode in sockets_of(pid) {
                if wanted.remove(&inode) {
                    let process = process.get_or_insert_with(|| Arc::new(describe(pid)));
                    owner.insert(inode, Arc::clone(process));
                }
            }
        }
        let with_process = |l: Listener| owner.get(&l.inode).map(|p| (l, Arc::clone(p)));
        Self {
            by_listener: listeners.into_iter().filter_map(with_process).collect(),
            connections: Connections::look(),
        }
    }

    /// Was another program than this one connected to this port of this host?
    pub fn connected(&self, asked: SocketAddr) -> bool {
        self.connections.0.contains(&SocketAddr::new(asked.ip().to_canonical(), asked.port()))
    }

    /// The process that answers at this address, if it is one of this host's and we may know.
    pub fn at(&self, asked: SocketAddr) -> Option<Arc<Process>> {
        let mut fits: Vec<_> = self.by_listener.iter().filter(|(l, _)| l.covers(asked)).collect();
        // The most exact address first: nginx on 10.0.0.5 beside a proxy on 0.0.0.0.
        fits.sort_by_key(|(l, _)| l.address.ip().is_unspecified());
        fits.first().map(|(_, process)| Arc::clone(process))
    }
}

/// The ports of this host that somebody is connected to, from this host or another, but for this program itself.
#[derive(Default)]
struct Connections(HashSet<SocketAddr>);

impl Connections {
    fn look() -> Self {
        // Before and after: what opens or ends in between is ours as well.
        let mut own: HashSet<u64> = sockets_of(std::process::id()).into_iter().collect();
        let mut pairs = Vec::new();
        for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
            if let Ok(text) = std::fs::read_to_string(file) {
                pairs.extend(text.lines().skip(1).filter_map(connection));
            }
        }
        own.extend(sockets_of(std::process::id()));
        Self::of(&pairs, &own)
    }

    /// Each connection within this host is there twice, once from either end; ours is known by our end.
    fn of(pairs: &[Connection], own: &HashSet<u64>) -> Self {
        let ours: HashSet<_> =
            pairs.iter().filter(|c| own.contains(&c.inode)).map(|c| (c.to, c.from)).collect();
        let theirs = pairs.iter().filter(|c| !own.contains(&c.inode) && !ours.contains(&(c.from, c.to)));
        Self(theirs.map(|c| c.from).collect())
    }
}

/// One end of an established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    from: SocketAddr,
    to: SocketAddr,
    inode: u64,
}

/// One line of /proc/net/tcp or tcp6, if its state is ESTABLISHED.
fn connection(line: &str) -> Option<Connection> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let remote = fields.next()?;
    let state = fields.next()?;
    let inode = fields.nth(5)?.parse().ok()?;
    (state == "01").then_some(Connection { from: end(local)?, to: end(remote)?, inode })
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let inode = |link: PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| inode(std::fs::read_link(entry.ok()?.path()).ok()?))
        .collect()
}

fn describe(pid: u32) -> Process {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    Process { pid, name: read("comm").trim_end().to_owned(), unit: unit(&read("cgroup")) }
}

/// The systemd unit in a control group path.
fn unit(cgroup: &str) -> Option<String> {
    let mut units = cgroup.lines().flat_map(|line| line.rsplit(':').next().unwrap_or("").split('/'));
    units.rfind(|part| part.ends_with(".service")).map(str::to_owned)
}

/// Files that a process's command line names, and that exist: for a small server, that is its
/// certificate; for a large one, its configuration. Argument number and path.
pub fn named_files(pid: u32) -> Vec<(usize, PathBuf)> {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return Vec::new() };
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let path = |argument: &[u8]| {
        use std::os::unix::ffi::OsStrExt;
        // `--cert=/x` as well as `/x`.
        let value = argument.iter().position(|b| *b == b'=').map_or(argument, |at| &argument[at + 1..]);
        let path = folder.join(Path::new(std::ffi::OsStr::from_bytes(value)));
        (!value.is_empty() && path.is_file()).then_some(path)
    };
    let arguments = line.split(|b| *b == 0).take(256).enumerate().skip(1);
    arguments.filter_map(|(n, argument)| Some((n, path(argument)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_net_tcp() {
        let check = |line: &str, expected: Option<(&str, u64)>| {
            let got = listener(line).map(|l| (l.address.to_string(), l.inode));
            assert_eq!(got, expected.map(|(a, i)| (a.to_owned(), i)));
        };
        let tail = "00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        check(&format!("0: 0100007F:1F90 00000000:0000 0A {tail}"), Some(("127.0.0.1:8080", 4711)));
        check(&format!("0: 00000000:01BB 00000000:0000 0A {tail}"), Some(("0.0.0.0:443", 4711)));
        check(&format!("0: 0100007F:1F90 0100007F:A000 01 {tail}"), None);
        check(
            &format!(
                "0: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A {tail}"
            ),
            Some(("[::1]:25", 4711)),
        );
        check("junk", None);
        check("", None);
    }

    #[test]
    fn a_socket_of_our_own_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert!(listeners().iter().any(|l| l.reachable() == address));
        let process = Processes::look().at(address).expect("our own process");
        assert_eq!(process.pid, std::process::id());
    }

    #[test]
    fn whose_address_it_is() {
        assert!(is_ours("127.0.0.1".parse().unwrap()) && is_ours("127.9.9.9".parse().unwrap()));
        // For documentation (RFC 5737): nobody has it.
        assert!(!is_ours("192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn who_is_connected() {
        let line = |from: &str, to: &str, inode: u64| {
            let line =
                format!("0: {from} {to} 01 00000000:00000000 00:00000000 00000000     0        0 {inode} 1");
            connection(&line).expect("a connection")
        };
        let (server, ours, peer) = ("0100007F:1F90", "0100007F:A000", "0100007F:B000");
        let check = |pairs: &[Connection], expected: bool| {
            let found = Connections::of(pairs, &HashSet::from([7]));
            assert_eq!(found.0.contains(&"127.0.0.1:8080".parse().unwrap()), expected, "{pairs:?}");
        };
        check(&[line(server, ours, 1), line(ours, server, 7)], false);
        check(&[line(server, peer, 1), line(peer, server, 2)], true);
        check(&[line(server, "0200000A:B000", 1)], true);
        check(&[], false);
        assert_eq!(connection("0: 0100007F:1F90 0100007F:A000 06 0:0 0:0 0 0 0 0"), None);
    }

    #[test]
    fn our_own_connections_do_not_count() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert!(!Processes::look().connected(address), "nobody yet");
        let _own = std::net::TcpStream::connect(address).unwrap();
        let _end = socket.accept().unwrap();
        assert!(!Processes::look().connected(address), "only this program");
    }

    #[test]
    fn units() {
        assert_eq!(unit("0::/system.slice/nginx.service\n").as_deref(), Some("nginx.service"));
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), None);
    }
}
