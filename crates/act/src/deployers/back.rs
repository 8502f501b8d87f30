//! The way back of those who install out of our sight: what their receipts keep of it, and when there is none.
//!
//! Between `exec` and `webhook`. Neither of them lets us see what they replaced, and no key lies here to be installed a
//! second time: the other side keeps the one before, and is told which one to take back. Nothing secret is in a receipt.

use notafter_core::deployment::{Check, Receipt};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use serde_json::{Value, json};

use super::environment::names;
use super::files::{Goods, ended};

/// Why there is none.
const NONE: &str = "this target has no way back: `roll_back` is not set";

/// What a receipt keeps of a certificate that was installed, and why it could not be taken back, where it could not.
pub(super) fn undo(goods: &Goods, way_back: bool) -> Value {
    let leaf = Certificate::parse(goods.leaf()).ok();
    let mut undo = json!({
        "name": goods.name,
        "fingerprint": Fingerprint::of(goods.leaf()).to_string(),
        "names": leaf.as_ref().map(names).unwrap_or_default(),
    });
    if !way_back {
        undo["no_way_back"] = json!(NONE);
    }
    undo
}

/// What is to be taken back.
pub(super) struct Taken {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) names: Vec<String>,
}

impl Taken {
    /// By its receipt. One of an earlier version has a name alone.
    pub(super) fn of(receipt: &Receipt) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            name: text(&receipt.undo["name"]),
            fingerprint: text(&receipt.undo["fingerprint"]),
            names: receipt.undo["names"].as_array().into_iter().flatten().map(text).collect(),
        }
    }
}

/// Never back to one that has ended, as far as it is known. Where it is not, whoever asks has judged.
pub(super) fn may(receipt: &Receipt, now: UnixTime) -> Result<(), Fault> {
    match &receipt.before {
        Some(before) if !before.is_usable(now) => Err(ended(Some(before))),
        _ => Ok(()),
    }
}

/// There is no way back.
pub(super) fn none() -> Fault {
    Fault::new(FaultKind::Invalid, NONE).retry(Retry::Never)
}

/// The same before the day. It would renew all the same.
pub(super) fn said() -> Check {
    Check::works(
        "way back",
        "there is none, `roll_back` is not set: what is not seen in use stays until somebody comes",
    )
}
