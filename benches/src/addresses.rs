//! Whom a client asks: so many addresses in a row on one port, so many at once.
//!
//! All of them are this machine: nothing here ever leaves the loopback network.

use crate::Result;
use std::net::{Ipv4Addr, SocketAddrV4};

/// What a client is asked to do.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    first: Ipv4Addr,
    port: u16,
    /// How many addresses.
    pub(crate) count: usize,
    /// How many connections at once.
    pub(crate) in_flight: usize,
}

impl Ask {
    /// Reads `FIRST PORT COUNT IN_FLIGHT`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let [first, port, count, in_flight] = words else { return Err("FIRST PORT COUNT IN_FLIGHT".into()) };
        let first: Ipv4Addr = first.parse()?;
        if !first.is_loopback() {
            return Err("only 127.0.0.0/8 is asked".into());
        }
        Ok(Self { first, port: port.parse()?, count: count.parse()?, in_flight: in_flight.parse()? })
    }

    /// The address with this number.
    pub(crate) fn address(&self, number: usize) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(u32::from(self.first) + number as u32), self.port)
    }
}
