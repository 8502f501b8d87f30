//! Waiting for the driver on any thread: a plain one, or one that itself belongs to a runtime.
//!
//! A runtime's own `block_on` panics on the latter. What is waited for here only passes messages to the driver's
//! thread, so that a parked thread and somebody to wake it are all that it needs.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::db::Result;

/// Longer than any statement may take: from then on the server is gone. Every answer begins the time anew.
pub(super) const SILENCE: Duration = Duration::from_secs(150);

/// Says that there may be an answer.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }
}

impl Bell {
    /// Waits for it. `false`: it did not ring.
    fn wait(&self, most: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(rung, most, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}

/// Waits until it is ready.
///
/// # Errors
/// The server says nothing for so long.
pub(super) fn wait<T>(future: impl Future<Output = T>, silence: Duration) -> Result<T> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Ok(value);
        }
        if !bell.wait(silence) {
            return Err(super::silent(&format!(
                "the server has not answered for {} seconds",
                silence.as_secs()
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trouble;

    #[test]
    fn waiting_works_on_a_runtime_and_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let other = std::thread::spawn(move || sender.send(7));
            assert_eq!(wait(receiver, SILENCE).unwrap(), Ok(7));
            assert_eq!(other.join().unwrap(), Ok(()));
        });
        let never = std::future::pending::<()>();
        let error = wait(never, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.trouble, Trouble::Unreachable);
    }
}
