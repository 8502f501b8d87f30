//! HAProxy's runtime API: gives a running process the new pair without a reload.
//!
//! `set ssl cert` and `commit ssl cert` of its management guide (section 9.3). The change is in the process's memory
//! alone, so the file is written in any case. A payload ends with an empty line, and so holds none.

use std::path::Path;
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind, Retry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::deployers::command::shown;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is a few lines.
const ANSWER_MAX: u64 = 64 * 1024;

/// Puts a pair into the process that listens on this socket. `file` is the name by which it knows the pair.
pub(super) async fn tell(socket: &Path, file: &Path, pem: &[u8]) -> Result<(), Fault> {
    let name = file.to_string_lossy();
    if name.contains(|c: char| c.is_whitespace() || c == ';' || c == '\\' || c.is_control()) {
        return Err(Fault::new(
            FaultKind::Invalid,
            "the path of the pair cannot be said on HAProxy's socket",
        )
        .retry(Retry::Never)
        .hint("use a path without spaces, `;` and `\\`, or leave `haproxy_socket` out"));
    }
    let mut set = zeroize::Zeroizing::new(format!("set ssl cert {name} <<\n").into_bytes());
    set.reserve(pem.len() + 1);
    set.extend_from_slice(pem);
    set.push(b'\n');
    let said = ask(socket, &set).await?;
    // "Transaction created for certificate ...!" or "Transaction updated ..."
    if !said.starts_with("Transaction ") {
        return Err(refused(&said));
    }
    let said = ask(socket, format!("commit ssl cert {name}\n").as_bytes()).await?;
    if said.contains("Success!") {
        return Ok(());
    }
    let _ = ask(socket, format!("abort ssl cert {name}\n").as_bytes()).await;
    Err(refused(&said))
}

fn refused(said: &str) -> Fault {
    Fault::new(FaultKind::Refused, format!("HAProxy did not take the new pair{}", shown(said.as_bytes())))
        .hint(
            "the socket needs `level admin`, and the path in `combined` must be written as in `bind ... crt`",
        )
}

async fn ask(socket: &Path, command: &[u8]) -> Result<String, Fault> {
    let place = socket.display().to_string();
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(command).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Fault::new(
            FaultKind::Unreachable,
            format!("HAProxy's socket {place} could not be spoken to: {error}"),
        )
        .hint("is HAProxy running, and `stats socket` set to this path?")),
        Err(_) => Err(Fault::new(
            FaultKind::Unreachable,
            format!("HAProxy's socket {place} did not answer within {} s", PATIENCE.as_secs()),
        )),
    }
}
