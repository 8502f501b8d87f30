//! Free ports that two tests never get at the same time, not even in two processes.
//!
//! A port is taken from below the range the kernel uses for outgoing connections, so that no client of a parallel
//! test sits on it by chance. A locked file per port keeps other lab processes away; the kernel releases the lock
//! when its owner dies. Programs outside the lab may still take a port: [`crate::server`] then tries another one.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// The lowest port given.
const FIRST: u32 = 10_240;

/// How many ports there are to choose from, up to where outgoing connections begin.
const COUNT: u32 = 22_000;

/// Where the next search begins; each process begins elsewhere.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of this machine that is ours until it is dropped.
#[derive(Debug)]
pub struct Port {
    /// The port.
    number: u16,
    /// Keeps other lab processes from taking it.
    _lock: File,
}

impl Port {
    /// Takes a port that nobody listens on, on any address.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn free() -> Self {
        let folder = std::env::temp_dir().join("notafter-lab-ports");
        if fs::create_dir(&folder).is_ok() {
            // Another user's tests share the folder.
            let _ = fs::set_permissions(&folder, Permissions::from_mode(0o1777));
        }
        let start = std::process::id().wrapping_mul(613);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = (FIRST + start.wrapping_add(step) % COUNT) as u16;
            let Ok(lock) = File::create(folder.join(number.to_string())) else { continue };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// The port.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn ports_differ() {
        let (first, second) = (Port::free(), Port::free());
        assert_ne!(first.number(), second.number());
    }
}
