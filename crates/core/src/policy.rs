//! What the organisation wants, where it differs from the field's own rules.
//!
//! For now the one choice that a scan can make: which findings fail the run is the command's business.

/// The organisation's own rules. `Default` is the field's.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Longest lifetime of a leaf in days, whoever issued it; `None`: only the public rules apply.
    pub max_days: Option<u32>,
}
