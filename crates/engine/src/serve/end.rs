//! How the engine comes to rest: for tests that live by a simulated clock, and at the end.
//!
//! What was seen is kept, what is under way to people is given a little time. Nothing new is started here.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::Engine;

impl Engine {
    /// Waits until nothing runs and nothing is under way, taking in what comes of it. For tests that live
    /// by a simulated clock, and for the end.
    pub fn settle(&mut self) {
        while self.is_busy() {
            match self.inbox.recv_timeout(Duration::from_secs(1)) {
                Ok(event) => drop(self.take(event)),
                Err(RecvTimeoutError::Timeout) => self.running.values().for_each(|r| r.recorder.tick()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.delivering.is_empty() || self.beating || self.renewals.is_looking()
    }

    /// Stops looking; what was seen is kept, what is under way to people is given a little time.
    pub(super) fn drain(&mut self) {
        self.handle.status.update(|s| s.draining = true);
        for running in self.running.values() {
            // Dropping the source stops its threads. The run stays open and is taken up after the restart.
            running.task.abort();
            running.recorder.call_off();
            running.recorder.flush();
        }
        let now = self.handle.clock.now();
        for name in self.running.keys() {
            if let Err(error) = self.handle.store.schedule(name, now) {
                self.handle.status.trouble(&error);
            }
        }
        self.running.clear();
        let mut rounds = 0;
        while !self.delivering.is_empty() && rounds < 10 {
            match self.inbox.recv_timeout(Duration::from_millis(500)) {
                Ok(event) => drop(self.take(event)),
                Err(RecvTimeoutError::Timeout) => rounds += 1,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }
}
