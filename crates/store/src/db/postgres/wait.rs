//! Waiting for the driver on any thread: a plain one, or one that itself belongs to a runtime.
//!
//! A runtime's own `block_on` panics on the latter. What is waited for here only passes messages to the driver's
//! thread, so that a parked thread and somebody to wake it are all that it needs.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::db::Result;

/// Longer than any statement may take: from then on the server is gone. Every answer begins the time anew.
pub(super) const SILENCE: Duration = Duration::from_secs(150);

/// The same once this program is about to end: whoever stops it waits, too.
const LAST_SILENCE: Duration = Duration::from_secs(5);
/// So often one who waits looks whether the end has come.
const LOOK: Duration = Duration::from_millis(250);

/// What all connections of a pool know of the end.
#[derive(Default)]
pub(super) struct Ending {
    near: AtomicBool,
    /// Near the end the server said nothing for too long: nobody waits for it again.
    gone: AtomicBool,
}

impl Ending {
    pub(super) fn begin(&self) {
        self.near.store(true, Ordering::Relaxed);
    }
}

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
/// The server says nothing for so long, or near the end for a few seconds.
pub(super) fn wait<T>(future: impl Future<Output = T>, silence: Duration, ending: &Ending) -> Result<T> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut waited = Duration::ZERO;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Ok(value);
        }
        let near = ending.near.load(Ordering::Relaxed);
        if near && (waited >= LAST_SILENCE || ending.gone.load(Ordering::Relaxed)) {
            ending.gone.store(true, Ordering::Relaxed);
            return Err(super::silent("the server does not answer, and this program is to end"));
        }
        if waited >= silence {
            let seconds = silence.as_secs();
            return Err(super::silent(&format!("the server has not answered for {seconds} seconds")));
        }
        let most = LOOK.min(silence - waited);
        waited = if bell.wait(most) { Duration::ZERO } else { waited + most };
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
            assert_eq!(wait(receiver, SILENCE, &Ending::default()).unwrap(), Ok(7));
            assert_eq!(other.join().unwrap(), Ok(()));
        });
        let never = std::future::pending::<()>();
        let error = wait(never, Duration::from_millis(20), &Ending::default()).unwrap_err();
        assert_eq!(error.trouble, Trouble::Unreachable);
        // Near the end one who waits already waits no longer, and nobody else begins to.
        let ending = Arc::new(Ending::default());
        let waiting = {
            let ending = Arc::clone(&ending);
            std::thread::spawn(move || wait(std::future::pending::<()>(), SILENCE, &ending))
        };
        ending.begin();
        assert_eq!(waiting.join().unwrap().unwrap_err().trouble, Trouble::Unreachable);
        assert!(wait(std::future::pending::<()>(), SILENCE, &ending).is_err());
        assert_eq!(wait(std::future::ready(7), SILENCE, &ending), Ok(7), "what is there is taken");
    }
}
