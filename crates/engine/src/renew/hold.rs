//! Who works on a renewal: taking it, taking it over from a process that is no more, and seeing that it is still ours.
//!
//! The row in the memory is the fence: whoever was stopped in the middle and goes on later finds another version there, and
//! does nothing more outside. Whether a process is no more it is told; it looks at none.

use notafter_store::StoreError;
use notafter_store::works::Work;

use super::{HOLD_S, Renewer};

impl Renewer<'_> {
    /// Takes hold of it. A holder of this machine that is no more is not waited for: killed in the middle, a renewal goes on
    /// as soon as somebody looks, not a quarter of an hour later.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn hold(&self, open: &Work) -> Result<Option<Work>, StoreError> {
        let now = self.cx.clock.now();
        let (name, generation, holder) =
            (&open.renewal.name, open.renewal.generation, self.tools.holder.as_str());
        let until = now.plus(HOLD_S);
        if let Some(work) = self.store.hold_work(name, generation, holder, until, now)? {
            return Ok(Some(work));
        }
        match &open.holder {
            Some((other, _)) if (self.tools.is_gone)(other) => {
                self.store.inherit_work(name, generation, (other, holder), until)
            }
            _ => Ok(None),
        }
    }

    /// Is it still ours? Asked before every step: what was read may be hours old for a process that was stopped.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn still_holds(&self, work: &Work) -> Result<bool, StoreError> {
        let (name, generation) = (&work.renewal.name, work.renewal.generation);
        self.store.holds_work(name, generation, &self.tools.holder, work.version)
    }
}
