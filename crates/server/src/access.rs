//! STUB, replaced when the pages are merged: who asks.

/// Who asks, for those who answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The token or a session was shown.
    pub(crate) signed_in: bool,
    /// What the audit trail calls them.
    pub(crate) by: String,
}
