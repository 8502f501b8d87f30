//! The socket: who may come in, how much is read of them, and how it ends.
//!
//! The kernel says which account is at the other end (SO_PEERCRED, unix(7)); nothing is read of anybody else. One order a
//! connection, bounded in octets and seconds. What an order does goes on when whoever gave it is gone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notafter_act::privsep::frame;
use notafter_act::privsep::message::{Answer, Order};
use notafter_core::fault::{Fault, FaultKind, Retry};
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Desk;
use crate::trusted;

/// So many are read at once.
const READING: usize = 64;
/// So long an order may take to arrive, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where it listens. The socket is gone when this is.
pub(crate) struct Porch {
    listener: UnixListener,
    path: PathBuf,
    places: Arc<Semaphore>,
}

/// Somebody came in.
pub(crate) struct Caller {
    stream: UnixStream,
    place: OwnedSemaphorePermit,
}

/// Says what was done, for the log.
pub(crate) type Log = Arc<dyn Fn(&str) + Send + Sync>;

impl Porch {
    /// Listens at this path, for root and for the group of whoever may ask; without a group, for that account. Called before there are other threads, because
    /// the mode of new files is the process's.
    ///
    /// # Errors
    /// Something else is there, or the path cannot be used; with what to do.
    pub(crate) fn open(path: &Path, user: u32) -> Result<Self, String> {
        let shown = path.display();
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(format!(
                    "{shown} is there and is no socket\nhint: name another place with --socket"
                ));
            }
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(format!(
                    "another process listens on {shown}\nhint: is `notafter act` running already?"
                ));
            }
            // Of one that was killed.
            fs::remove_file(path).map_err(|e| format!("{shown} cannot be replaced: {e}"))?;
        }
        let before = umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(|e| {
            format!(
                "cannot listen on {shown}: {e}\nhint: its folder has to be there (systemd makes it: RuntimeDirectory=notafter), or name another place with --socket"
            )
        })?;
        let porch = Self { listener, path: path.to_owned(), places: Arc::new(Semaphore::new(READING)) };
        let group = trusted::group_of(user);
        let owner = Some(user).filter(|_| group.is_none());
        if user != rustix::process::geteuid().as_raw() {
            std::os::unix::fs::chown(path, owner, group).map_err(|e| {
                format!("{shown} cannot be given to the account {user} or its group: {e}\nhint: put the account that runs this into that group")
            })?;
        }
        fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(|e| format!("{shown}: {e}"))?;
        Ok(porch)
    }

    /// The next one. To drop the future loses nobody.
    pub(crate) async fn next(&self) -> std::io::Result<Caller> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(std::io::Error::other)?;
        let (stream, _) = self.listener.accept().await?;
        Ok(Caller { stream, place })
    }
}

impl Drop for Porch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Caller {
    /// Hears one order, has it carried out, and answers.
    pub(crate) async fn attend(mut self, desk: Arc<Desk>, log: Log) {
        let uid = match self.stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(_) => return,
        };
        if !desk.serves(uid) {
            log(&format!("refused: the account {uid} may not ask"));
            let fault = Fault::new(
                FaultKind::PermissionDenied,
                format!("the account {uid} may not ask `notafter act` for anything"),
            )
            .retry(Retry::Never)
            .hint("run it as the account of the service, or name another one: user in [act]");
            return self.reply(&Answer::Refused(fault)).await;
        }
        let read = match tokio::time::timeout(PATIENCE, frame::read(&mut self.stream, frame::ORDER_MAX)).await
        {
            Ok(Ok(bytes)) => Order::read(&bytes),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(Fault::new(FaultKind::Invalid, error.to_string()))
            }
            // It went away in the middle, or says nothing more.
            _ => return,
        };
        let order = match read {
            Ok(order) => order,
            Err(fault) => {
                log(&format!("refused: {fault}"));
                return self.reply(&Answer::Refused(fault)).await;
            }
        };
        // Others are read while this one is worked on.
        let Self { stream, place } = self;
        drop(place);
        let (what, certificate, target) = order.about();
        let about = format!("{what} {certificate} {target}").trim().to_owned();
        let is_quiet = matches!(
            order,
            Order::Greet | Order::Places { .. } | Order::Look { .. } | Order::IsVisible { .. }
        );
        let answer = desk.answer(order).await;
        match &answer {
            Err(fault) => log(&format!("{about}: not done, asked by the account {uid}: {fault}")),
            Ok(_) if is_quiet => {}
            Ok(_) => log(&format!("{about}: done, asked by the account {uid}")),
        }
        reply(stream, &answer.unwrap_or_else(Answer::Refused)).await;
    }

    async fn reply(self, answer: &Answer) {
        reply(self.stream, answer).await;
    }
}

/// Answers, if anybody is still there to hear it.
async fn reply(mut stream: UnixStream, answer: &Answer) {
    let Ok(mut body) = serde_json::to_vec(answer) else { return };
    if body.len() > frame::ANSWER_MAX {
        let fault = Fault::new(FaultKind::Exhausted, "the answer is longer than a connection carries");
        body = serde_json::to_vec(&Answer::Refused(fault)).unwrap_or_default();
    }
    let _ = tokio::time::timeout(PATIENCE, frame::write(&mut stream, &body)).await;
}
