//! A registry that answers RDAP, and other small web servers with fixed documents. Shared by the end-to-end tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

/// A registry in RDAP that answers with these documents, a name each, on a port of its own.
pub(crate) fn registry(documents: Vec<(String, String)>) -> SocketAddr {
    web(documents.into_iter().map(|(name, body)| (format!("/domain/{name}"), body)).collect())
}

/// A web server that answers with these documents: the end of a path, and the body, in which `ADDRESS` becomes its own
/// address.
pub(crate) fn web(documents: Vec<(String, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..n]).lines().next().unwrap_or("").to_owned();
            let found = documents.iter().find(|(path, _)| line.contains(&format!("{path} ")));
            let (status, body) = found.map_or(("404 Not Found", ""), |(_, body)| ("200 OK", body.as_str()));
            let body = body.replace("ADDRESS", &address.to_string());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/rdap+json\r\nContent-Length: {length}\r\n"
            );
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    address
}
