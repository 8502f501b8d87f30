//! `why`: would a client accept this chain? The offline judge.

use super::{End, Usage};
use crate::cli::{Global, Why};

pub(crate) fn run(_global: &Global, _args: Why) -> Result<End, Usage> {
    Err(Usage::new("why is being built"))
}
