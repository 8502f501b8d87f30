//! How much a CA issues to one customer in what time: what CAs say of themselves in public, as data.
//!
//! Only what a CA's own page says, with its date; a CA that is not listed here publishes nothing that this version
//! knows. Limits move: then a line changes and no code. Nothing is counted here, that is the forecast's.

use notafter_pki::time::DAY;

/// What a CA says.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// The organisation in the names of its certificates.
    pub organisation: &'static str,
    /// The page that says it.
    pub page: &'static str,
    /// The day that the page bears.
    pub dated: &'static str,
    /// Each limit.
    pub limits: &'static [RateLimit],
}

/// One limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// What is counted together.
    pub per: Per,
    /// So many certificates.
    pub most: u64,
    /// Within so many seconds.
    pub within: i64,
    /// Does a renewal for exactly the same names count?
    pub counts_renewals: bool,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Per {
    /// A registered domain: one label below a public suffix.
    RegisteredDomain,
    /// Exactly the same names.
    SameNames,
    /// An account. Whose order goes by which is not known for all: counted as if all went by one.
    Account,
}

impl Per {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RegisteredDomain => "registered-domain",
            Self::SameNames => "same-names",
            Self::Account => "account",
        }
    }

    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Self::RegisteredDomain => "a registered domain",
            Self::SameNames => "exactly the same names",
            Self::Account => "an account",
        }
    }
}

/// Who says something, by organisation.
pub const RATE_LIMITS: &[RateLimits] = &[RateLimits {
    organisation: "Let's Encrypt",
    page: "https://letsencrypt.org/docs/rate-limits/",
    dated: "12 June 2025",
    limits: &[
        RateLimit { per: Per::RegisteredDomain, most: 50, within: 7 * DAY, counts_renewals: false },
        RateLimit { per: Per::SameNames, most: 5, within: 7 * DAY, counts_renewals: true },
        RateLimit { per: Per::Account, most: 300, within: 3 * 3600, counts_renewals: false },
    ],
}];

/// What this CA says.
pub fn limits_of(organisation: &str) -> Option<&'static RateLimits> {
    RATE_LIMITS.iter().find(|ca| ca.organisation == organisation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_page_and_a_day() {
        for ca in RATE_LIMITS {
            assert!(ca.page.starts_with("https://") && !ca.dated.is_empty() && !ca.limits.is_empty());
        }
        assert!(limits_of("Let's Encrypt").is_some() && limits_of("House CA").is_none());
    }
}
