//! `check`: would a client accept this chain? The offline judge.

use super::{End, Usage};
use crate::cli::{Global, Check};

pub(crate) fn run(_global: &Global, _args: Check) -> Result<End, Usage> {
    Err(Usage::new("check is being built"))
}
