//! Renewals within the engine's pass: one look at everything that is kept alive, beside it on the runtime.
//!
//! What is done, is `renew.rs`'s; when, `renew/pass.rs`'s. Here is only that there is one look at a time, and none while
//! the clock is in doubt: a clock that was set ahead by two months would renew everything at once. What is due after that
//! passes `renew/guard.rs`.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::joints::Cx;
use notafter_store::StoreError;

use super::{Engine, Event};
use crate::renew::pass::{self, Running};

/// When to look again, and whether somebody looks now.
#[derive(Default)]
pub(super) struct Renewals {
    at: Option<UnixTime>,
    looking: bool,
    /// Something was changed while somebody looked: that look may not have seen it.
    again: bool,
    /// What was said last of those that wait.
    said: Option<String>,
    /// What goes on beside the looks.
    running: Arc<Running>,
}

impl Renewals {
    /// A look ended. What is to be told, if it is new.
    pub(super) fn looked(&mut self, next: UnixTime, said: Option<String>) -> Option<String> {
        self.at = (!std::mem::take(&mut self.again)).then_some(next);
        self.looking = false;
        let is_new = said != self.said;
        self.said = said;
        self.said.clone().filter(|_| is_new)
    }

    /// Something was changed: look at once.
    pub(super) fn at_once(&mut self) {
        (self.at, self.again) = (None, self.looking);
    }

    /// Is a look under way, or what it began?
    pub(super) fn is_looking(&self) -> bool {
        self.looking || !self.running.is_empty()
    }
}

impl Engine {
    /// Starts a look, if one is due.
    pub(super) fn renew(&mut self, now: UnixTime) -> Result<Option<UnixTime>, StoreError> {
        let Some(keeping) = self.handle.setup().keeping.clone() else { return Ok(None) };
        let idle = keeping.managed.is_empty() && keeping.issuers.is_empty();
        if idle || self.renewals.looking || self.held(now) {
            return Ok(None);
        }
        if let Some(at) = self.renewals.at.filter(|at| *at > now) {
            return Ok(Some(at));
        }
        self.renewals.looking = true;
        let cx = Cx::new(Arc::clone(&self.handle.clock), Arc::clone(&self.vantage));
        let (events, store) = (self.handle.events.clone(), Arc::clone(&self.handle.store));
        let running = Arc::clone(&self.renewals.running);
        self.runtime.spawn(async move {
            let (next, said) = pass::pass(&store, &keeping, &cx, &running).await;
            let _ = events.send(Event::Renewed(next, said));
        });
        Ok(None)
    }
}
