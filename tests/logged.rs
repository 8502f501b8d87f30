//! A log of certificate transparency that is served here. Shared by the end-to-end tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::TcpListener;

use notafter_lab::{Leaf, base64};

/// Serves files under their paths until the test ends.
pub(crate) fn web(files: Vec<(String, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).unwrap_or(0);
            let text = String::from_utf8_lossy(&bytes[..n]);
            let path = text.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let body = files.iter().find(|(known, _)| known == path).map(|(_, body)| body.as_slice());
            let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
    });
    url
}

fn sized(out: &mut Vec<u8>, octets: usize, bytes: &[u8]) {
    out.extend(&(bytes.len() as u64).to_be_bytes()[8 - octets..]);
    out.extend(bytes);
}

/// A log of these certificates in one partial tile, after c2sp.org/static-ct-api; `true`: a precertificate.
pub(crate) fn log(entries: &[(&Leaf, bool)]) -> String {
    let mut tile = Vec::new();
    for (n, (leaf, is_precert)) in entries.iter().enumerate() {
        tile.extend(1_800_000_000_000_u64.to_be_bytes());
        tile.extend([0, u8::from(*is_precert)]);
        if *is_precert {
            tile.extend([0; 32]);
        }
        // What stands for the TBS here is the whole: only its names are searched for.
        sized(&mut tile, 3, leaf.der());
        sized(&mut tile, 2, &[&[0, 0, 5][..], &(n as u64).to_be_bytes()[3..]].concat());
        if *is_precert {
            sized(&mut tile, 3, leaf.der());
        }
        sized(&mut tile, 2, &[]);
    }
    let root = base64::encode(&[7; 32]);
    let checkpoint = format!("log.test\n{}\n{root}\n\n\u{2014} log.test AAAAAAAA\n", entries.len());
    web(vec![
        ("checkpoint".to_owned(), checkpoint.into_bytes()),
        (format!("tile/data/000.p/{}", entries.len()), tile),
    ])
}
