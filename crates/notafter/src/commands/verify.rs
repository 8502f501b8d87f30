//! `verify`: would a client accept this chain? The offline judge.

use super::{End, Usage};
use crate::cli::{Global, Verify};

pub(crate) fn run(_global: &Global, _args: Verify) -> Result<End, Usage> {
    Err(Usage::new("verify is being built"))
}
