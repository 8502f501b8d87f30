//! The socket of `notafter act`, spoken by hand: what a process in other hands would do.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Sends an order as whoever runs the tests. Null: no answer came.
pub(crate) fn order(socket: &Path, order: &Value) -> Value {
    let mut stream = UnixStream::connect(socket).expect("let in");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a bound");
    let body = order.to_string().into_bytes();
    let length = u32::try_from(body.len()).expect("short");
    stream.write_all(&[&length.to_be_bytes()[..], &body].concat()).expect("sent");
    read(&mut stream).unwrap_or(Value::Null)
}

/// Reads an answer.
pub(crate) fn read(stream: &mut UnixStream) -> Option<Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// Why it was not done; empty if it was.
pub(crate) fn fault(answer: &Value) -> String {
    answer["refused"]["context"].as_str().unwrap_or_default().to_owned()
}

/// The name of a key that was made, and the request.
pub(crate) fn made(answer: &Value) -> (String, Vec<u8>) {
    let made = &answer["made"];
    let handle = made["handle"].as_str().unwrap_or_else(|| panic!("no key: {answer}")).to_owned();
    let csr = made["csr"][0].as_str().and_then(notafter_pki::fingerprint::unhex).expect("a request");
    (handle, csr)
}
