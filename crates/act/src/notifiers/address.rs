//! Addresses: what may stand behind the colon of `NOTIFIER:ADDRESS`, said when it is written rather than when an alert
//! cannot be delivered.
//!
//! Each kind names its own check in its table's `ADDRESS`. What is only known by the service (does the mailbox exist?)
//! is not asked here.

use serde_json::Value;

use crate::text::clean;

/// Longer than any address there is.
const LONGEST: usize = 500;

/// Any text that fits on a line.
pub(super) fn any(_table: &Value, to: Option<&str>) -> Result<(), String> {
    let Some(to) = to else { return Ok(()) };
    if to.trim().is_empty() {
        return Err("nothing stands behind the colon\nhint: write NAME:ADDRESS, or NAME alone".to_owned());
    }
    if to.len() > LONGEST || to.chars().any(char::is_control) {
        return Err(format!("`{}` is no address\nhint: write one line of text", clean(to, 100)));
    }
    Ok(())
}

/// None: where it posts is part of the settings.
pub(super) fn none(_table: &Value, to: Option<&str>) -> Result<(), String> {
    match to {
        None => Ok(()),
        Some(to) => Err(format!(
            "it takes no address, and `{}` is one: where it posts is part of its settings\n\
             hint: write NAME, not NAME:ADDRESS, in `notify`; make one [[notifier]] for each place",
            clean(to, 100)
        )),
    }
}

/// One that fits, or else the setting that stands for it: `usual` is its key.
pub(super) fn one(
    table: &Value,
    to: Option<&str>,
    usual: &str,
    fits: impl Fn(&str) -> bool,
    hint: &str,
) -> Result<(), String> {
    match to {
        Some(to) if fits(to) => Ok(()),
        Some(to) => Err(format!("`{}` is no address for it\nhint: {hint}", clean(to, 100))),
        None if table.get(usual).is_some() => Ok(()),
        None => Err(format!("it names no address, and there is no `{usual}`\nhint: {hint}")),
    }
}
