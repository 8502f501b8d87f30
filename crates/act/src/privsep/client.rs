//! The side that asks: one connection, one order, one answer.
//!
//! It asks nobody but the account that installs here: whoever could put a socket of their own in that place would make our
//! keys. What it is answered is bounded, and is believed in nothing that can be seen: that something is installed is proved
//! elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use tokio::net::UnixStream;

use super::frame;
use super::message::{Answer, Order};

/// So long a connection and a greeting may take.
const GREETING: Duration = Duration::from_secs(5);
/// So long an order may take, its commands included: less than a renewal is held by whoever works on it.
const ORDER: Duration = Duration::from_secs(840);

/// Asks.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    runs_as: u32,
}

impl Client {
    /// By this socket. `runs_as`: the account of the process behind it, besides root and our own.
    pub fn new(socket: PathBuf, runs_as: u32) -> Self {
        Self { socket, runs_as }
    }

    /// Where it asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, and waits for the answer. To drop the future is not to take the order back: it is carried out.
    ///
    /// # Errors
    /// Nobody answers, or what was ordered was not done.
    pub async fn ask(&self, order: &Order) -> Result<Answer, Fault> {
        let mut stream = tokio::time::timeout(GREETING, self.connect())
            .await
            .map_err(|_| self.mute("it does not answer"))??;
        let body = serde_json::to_vec(order).map_err(|e| Fault::new(FaultKind::System, e.to_string()))?;
        if body.len() > frame::ORDER_MAX {
            let said = format!("an order of {} octets is more than `notafter act` takes", body.len());
            return Err(Fault::new(FaultKind::Invalid, said).hint("is the chain of the CA that long?"));
        }
        let limit = if *order == Order::Greet { GREETING } else { ORDER };
        let exchange = async {
            // Whoever refuses us may answer before it has read everything.
            let sent = frame::write(&mut stream, &body).await;
            match frame::read(&mut stream, frame::ANSWER_MAX).await {
                Ok(answer) => Ok(answer),
                Err(error) => Err(sent.err().unwrap_or(error)),
            }
        };
        let answer = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| self.mute(&format!("there was no answer within {} s", limit.as_secs())))?
            .map_err(|e| self.mute(&format!("the connection broke off: {e}")))?;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Refused(fault)) => Err(fault),
            Ok(answer) => Ok(answer),
            Err(e) => Err(self
                .mute(&format!("what it answered is not understood: {e}"))
                .hint("both processes have to be of one version: restart both")),
        }
    }

    /// The same for whoever cannot wait in the usual way: on a thread of its own.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_now(&self, order: &Order) -> Result<Answer, Fault> {
        let failed = |what: String| Fault::new(FaultKind::System, what);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|e| failed(e.to_string()))?.block_on(self.ask(order))
            });
            asking.join().unwrap_or_else(|_| Err(failed("the question broke off".into())))
        })
    }

    async fn connect(&self) -> Result<UnixStream, Fault> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.closed(&e))?;
        let peer = stream.peer_cred().map_err(|e| self.mute(&e.to_string()))?.uid();
        if peer != 0 && peer != self.runs_as && peer != rustix::process::geteuid().as_raw() {
            let said = format!(
                "behind {} is a process of the account {peer}, and not the one that installs here: it is not asked",
                self.shown()
            );
            return Err(Fault::new(FaultKind::PermissionDenied, said)
                .retry(Retry::Never)
                .hint("whose is it? If it is right, name its account: runs_as in [act]"));
        }
        Ok(stream)
    }

    fn shown(&self) -> String {
        printable(&self.socket.display().to_string())
    }

    fn closed(&self, error: &io::Error) -> Fault {
        let shown = self.shown();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Fault::new(
                FaultKind::PermissionDenied,
                format!("this account may not speak to `notafter act` at {shown}"),
            )
            .hint("run it as the account of the service: sudo -u notafter notafter ..."),
            _ => self.mute(&error.to_string()),
        }
    }

    /// Nobody is there, or nobody that speaks.
    fn mute(&self, why: &str) -> Fault {
        Fault::new(
            FaultKind::Unreachable,
            format!("`notafter act`, which installs here, cannot be reached at {}: {why}", self.shown()),
        )
        .hint("systemctl status notafter-act; without `socket` in [act] this process would install by itself")
    }
}
