//! The floor: what the kernel alone takes for a connection, by one thread, epoll and nothing else.
//!
//! It understands nothing of what it receives: whatever arrives first counts as the answer.

use notafter_wire::tls::{ClientHello, Offer};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with, sockopt,
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::Result;
use crate::addresses::Ask;

/// The hello that the product sends too.
pub(crate) fn hello() -> Vec<u8> {
    let mut out = Vec::new();
    ClientHello { offer: Offer::Any, seed: 42, server_name: None, compressed: false }.write(&mut out);
    out
}

/// Connect, send, receive, close.
pub(crate) fn ask(ask: Ask) -> Result<Value> {
    conversations(ask, &hello())
}

/// Connect, be refused, close.
pub(crate) fn refused(ask: Ask) -> Result<Value> {
    conversations(ask, &[])
}

fn conversations(ask: Ask, hello: &[u8]) -> Result<Value> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections: Vec<Option<(OwnedFd, bool)>> = (0..ask.in_flight).map(|_| None).collect();
    let mut free: Vec<usize> = (0..ask.in_flight).collect();
    let (mut opened, mut done, mut answered, mut refused) = (0, 0, 0, 0);
    let (mut events, mut buffer) = (Vec::with_capacity(256), [0; 16_384]);
    while done < ask.count {
        while opened < ask.count
            && let Some(index) = free.pop()
        {
            let fd = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
            let address = ask.address(opened);
            opened += 1;
            if connect(&fd, &address) == Err(rustix::io::Errno::CONNREFUSED) {
                refused += 1;
                done += 1;
                free.push(index);
                continue;
            }
            // Closing with a reset: what waits in TIME_WAIT would use up the local ports.
            sockopt::set_socket_linger(&fd, Some(Duration::ZERO))?;
            let edges = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&poll, &fd, EventData::new_u64(index as u64), edges)?;
            connections[index] = Some((fd, false));
        }
        if done == ask.count {
            break;
        }
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let index = event.data.u64() as usize;
            let flags = event.flags;
            let Some((fd, sent)) = connections[index].as_mut() else { continue };
            if flags.contains(EventFlags::ERR) {
                refused += 1;
            } else {
                if !*sent && flags.contains(EventFlags::OUT) {
                    send(&*fd, hello, SendFlags::NOSIGNAL)?;
                    *sent = true;
                }
                if !flags.contains(EventFlags::IN) {
                    continue;
                }
                answered += usize::from(recv(&*fd, &mut buffer[..], RecvFlags::empty())?.1 > 0);
            }
            connections[index] = None;
            free.push(index);
            done += 1;
        }
    }
    Ok(json!({ "count": ask.count, "answered": answered, "refused": refused }))
}
