//! `show`: would a client accept this chain? The offline judge.

use super::{End, Usage};
use crate::cli::{Global, Show};

pub(crate) fn run(_global: &Global, _args: Show) -> Result<End, Usage> {
    Err(Usage::new("show is being built"))
}
