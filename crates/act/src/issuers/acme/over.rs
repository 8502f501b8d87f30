//! Orders that are over: the CA gave them up, or we did.
//!
//! A ticket says how to go on with an order, and cannot say that there is nothing to go on with: whoever tries it again shall
//! begin another order instead of hearing the same fault for ever, in this process or the next. The last few hundred are
//! remembered; an older ticket hears its fault once more.

use notafter_core::fault::{Fault, FaultKind};
use notafter_pki::fingerprint::{hex, sha256};

use super::Acme;

/// How many are remembered.
const MOST: usize = 256;

impl Acme {
    fn over_name(&self) -> String {
        format!("{}over", self.prefix)
    }

    fn over(&self) -> Result<(Option<Vec<u8>>, Vec<String>), Fault> {
        let bytes = self.keep.kept(&self.over_name())?;
        // What cannot be read is forgotten: it costs one more fault.
        let list = bytes.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        Ok((bytes, list))
    }

    /// Was this order found to be over?
    pub(super) fn is_over(&self, order: &str) -> Result<bool, Fault> {
        Ok(self.over()?.1.contains(&short(order)))
    }

    /// It is, from now on.
    pub(super) fn is_now_over(&self, order: &str) -> Result<(), Fault> {
        // Other orders end too: a lost race is a look at what they left.
        for _ in 0..16 {
            let (before, mut list) = self.over()?;
            if list.contains(&short(order)) {
                return Ok(());
            }
            list.drain(..(list.len() + 1).saturating_sub(MOST));
            list.push(short(order));
            let bytes =
                serde_json::to_vec(&list).map_err(|e| Fault::new(FaultKind::System, e.to_string()))?;
            if self.keep.keep(&self.over_name(), before.as_deref(), &bytes)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn short(order: &str) -> String {
    hex(&sha256(order.as_bytes()))[..16].to_owned()
}
