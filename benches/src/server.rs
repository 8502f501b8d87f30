//! Servers that cost as little as a server can: one that replays a recorded answer, one that says nothing.
//!
//! They listen on every address of this machine and end when they are killed.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use crate::Result;
use crate::floor::hello;

/// Keeps what the server at a port answers to the hello.
pub(crate) fn record(port: u16, file: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    stream.write_all(&hello())?;
    let (mut all, mut piece) = (Vec::new(), [0; 16_384]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..count]);
    }
    std::fs::write(file, &all)?;
    Ok(json!({ "bytes": all.len() }))
}

/// Serves until killed. Says once a second how many connections were open at most, if that rose.
pub(crate) fn serve(port: u16, answer: Option<Vec<u8>>) -> Result<Value> {
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))?;
    rustix::net::listen(&listener, 30_000)?;
    raise_file_limit();
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut connections: Vec<Option<OwnedFd>> = Vec::new();
    let mut free = Vec::new();
    let (mut open, mut most, mut said) = (0_usize, 0, 0);
    let (mut events, mut buffer) = (Vec::with_capacity(256), [0; 4096]);
    let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    println!("{}", json!({ "listening": port }));
    loop {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&pause))?;
        if events.is_empty() && most > said {
            said = most;
            println!("{}", json!({ "open_at_most": most }));
        }
        for event in events.drain(..) {
            if event.data.u64() == u64::MAX {
                while let Ok(fd) = rustix::net::accept_with(&listener, SocketFlags::NONBLOCK) {
                    let index = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    epoll::add(&poll, &fd, EventData::new_u64(index as u64), EventFlags::IN)?;
                    connections[index] = Some(fd);
                    open += 1;
                    most = most.max(open);
                }
                continue;
            }
            let index = event.data.u64() as usize;
            let Some(fd) = connections.get(index).and_then(Option::as_ref) else { continue };
            if let Ok((_, 1..)) = recv(fd, &mut buffer[..], RecvFlags::empty()) {
                if let Some(answer) = &answer {
                    let _ = send(fd, answer, SendFlags::NOSIGNAL);
                }
                continue;
            }
            connections[index] = None;
            free.push(index);
            open -= 1;
        }
    }
}

/// Ten thousand connections have two ends, and ours need files too.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
