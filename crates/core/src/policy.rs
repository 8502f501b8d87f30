//! What the organisation wants, where it differs from the field's own rules.
//!
//! Which findings fail a run is the command's business, who is told the alerts'.

use crate::blast::Stakes;
use crate::calendar::Calendar;
use crate::watched::Watched;

/// The organisation's own rules. `Default` is the field's.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Longest lifetime of a leaf in days, whoever issued it; `None`: only the public rules apply.
    pub max_days: Option<u32>,
    /// The CAs that may issue for our names: their names, or the domains by which CAA records name them. Empty: what is
    /// in use tells.
    pub issuers: Vec<String>,
    /// After so many seconds without a sight of it, a place's owner is asked whether it is gone; `None`: never,
    /// as in a scan that looks once.
    pub gone_after: Option<i64>,
    /// When nobody may change anything.
    pub calendar: Calendar,
    /// Is everything supposed to have an owner? It is, once somebody was named for anything.
    pub owners_expected: bool,
    /// What is looked at again and again.
    pub watched: Watched,
    /// What matters more than other things, and to whom.
    pub stakes: Stakes,
}
