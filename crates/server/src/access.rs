//! STUB, replaced when the pages are merged: who asks. In the shape of the real one.

/// Who asks, for those who answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody in particular.
    #[default]
    Stranger,
    /// Whoever has the token.
    #[cfg_attr(not(test), allow(dead_code, reason = "a stub: only tests let anybody in"))]
    Token,
}

impl Caller {
    /// May it see what strangers may not?
    pub(crate) fn is_known(&self) -> bool {
        *self != Self::Stranger
    }

    /// How the audit trail calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stranger => "a link",
            Self::Token => "token",
        }
    }
}
