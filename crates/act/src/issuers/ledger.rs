//! What was ordered, against the limits that public CAs publish: whether the next order would be refused, and when not.
//!
//! A refused order costs nothing but the hour in which a hundred others wait behind it, so it is foreseen. The limits are
//! data with a source; a CA that is not in the table has none here, and what it says itself (429, `Retry-After`) holds
//! for every CA. Only what this installation ordered is counted: others under the same domain or account are not seen.
//!
//! Let's Encrypt counts with token buckets, so one number a bucket is enough: the instant at which it would be full again.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::Identifier;
use notafter_core::joints::Keep;
use notafter_pki::fingerprint::{hex, sha256};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Orders of one account.
    Orders,
    /// Certificates under one registered domain (or IPv4 address, or IPv6 /64). A renewal, the same set of names, is free.
    CertificatesOfDomain,
    /// Certificates for exactly the same set of names.
    CertificatesOfSet,
    /// Failed validations of one name by one account.
    FailuresOfName,
}

/// A published limit: a bucket of `count`, filled again evenly over `per_s` seconds.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The host of the CA's directory.
    pub host: &'static str,
    /// What it counts.
    pub counted: Counted,
    /// How many at once.
    pub count: i64,
    /// In which time the bucket fills, in seconds.
    pub per_s: i64,
    /// Where the CA says so, and when it was read there.
    pub source: &'static str,
}

const LETS_ENCRYPT: &str = "acme-v02.api.letsencrypt.org";
const SOURCE: &str = "https://letsencrypt.org/docs/rate-limits/, as of 2025-06-12";

/// Every limit that is known. Orders that replace a certificate by ARI are free of all of them, says the same page.
pub const LIMITS: &[Limit] = &[
    Limit { host: LETS_ENCRYPT, counted: Counted::Orders, count: 300, per_s: 3 * 3_600, source: SOURCE },
    Limit {
        host: LETS_ENCRYPT,
        counted: Counted::CertificatesOfDomain,
        count: 50,
        per_s: 7 * 86_400,
        source: SOURCE,
    },
    Limit {
        host: LETS_ENCRYPT,
        counted: Counted::CertificatesOfSet,
        count: 5,
        per_s: 7 * 86_400,
        source: SOURCE,
    },
    Limit { host: LETS_ENCRYPT, counted: Counted::FailuresOfName, count: 5, per_s: 3_600, source: SOURCE },
];

/// The counts for one CA.
pub struct Ledger {
    limits: Vec<Limit>,
    keep: Arc<dyn Keep>,
    prefix: String,
}

impl Ledger {
    /// The ledger for the CA with this host; its counts are kept under `prefix`.
    pub fn new(host: &str, keep: Arc<dyn Keep>, prefix: &str) -> Self {
        let limits = LIMITS.iter().filter(|limit| limit.host == host).copied().collect();
        Self::with(limits, keep, prefix)
    }

    /// The same with limits of one's own.
    pub fn with(limits: Vec<Limit>, keep: Arc<dyn Keep>, prefix: &str) -> Self {
        Self { limits, keep, prefix: format!("{prefix}ledger/") }
    }

    /// Would an order for these names be refused now? Asked before ordering; nothing is counted.
    ///
    /// # Errors
    /// A fault that says which limit, and when it is free again.
    pub fn predict(&self, names: &[Identifier], now: UnixTime) -> Result<(), Fault> {
        let mut latest: Option<(i64, String)> = None;
        let renewal = self.ordered_before(names)?;
        for limit in &self.limits {
            if renewal && limit.counted == Counted::CertificatesOfDomain {
                continue;
            }
            for (of, name) in buckets(limit.counted, names) {
                let free = limit.free_at(self.full_at(&name)?.unwrap_or(0), now);
                if free > now.0 && latest.as_ref().is_none_or(|(at, _)| free > *at) {
                    latest = Some((free, limit.words(&of)));
                }
            }
        }
        let Some((at, words)) = latest else { return Ok(()) };
        Err(Fault::new(FaultKind::Unreachable, format!("the CA would refuse the next order: {words}"))
            .retry(Retry::At(UnixTime(at)))
            .hint("it is ordered as soon as the limit allows; fewer names a certificate, or another issuer, avoid it"))
    }

    /// An order was made.
    ///
    /// # Errors
    /// The memory's.
    pub fn ordered(&self, now: UnixTime) -> Result<(), Fault> {
        self.count(Counted::Orders, &[], now)
    }

    /// A certificate was issued for these names.
    ///
    /// # Errors
    /// The memory's.
    pub fn issued(&self, names: &[Identifier], now: UnixTime) -> Result<(), Fault> {
        if !self.ordered_before(names)? {
            self.count(Counted::CertificatesOfDomain, names, now)?;
        }
        self.count(Counted::CertificatesOfSet, names, now)
    }

    /// A name could not be validated.
    ///
    /// # Errors
    /// The memory's.
    pub fn failed(&self, name: &Identifier, now: UnixTime) -> Result<(), Fault> {
        self.count(Counted::FailuresOfName, std::slice::from_ref(name), now)
    }

    fn ordered_before(&self, names: &[Identifier]) -> Result<bool, Fault> {
        match buckets(Counted::CertificatesOfSet, names).first() {
            Some((_, name)) if !self.limits.is_empty() => Ok(self.full_at(name)?.is_some()),
            _ => Ok(false),
        }
    }

    fn full_at(&self, name: &str) -> Result<Option<i64>, Fault> {
        let bytes = self.keep.kept(&format!("{}{name}", self.prefix))?;
        Ok(bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()))
    }

    fn count(&self, counted: Counted, names: &[Identifier], now: UnixTime) -> Result<(), Fault> {
        for limit in self.limits.iter().filter(|limit| limit.counted == counted) {
            for (_, name) in buckets(counted, names) {
                let name = format!("{}{name}", self.prefix);
                // Others count too: a lost race is a look at what they left.
                for _ in 0..16 {
                    let before = self.keep.kept(&name)?;
                    let full = before
                        .as_deref()
                        .and_then(|b| std::str::from_utf8(b).ok()?.parse().ok())
                        .unwrap_or(0);
                    let after = limit.take(full, now).to_string();
                    if self.keep.keep(&name, before.as_deref(), after.as_bytes())? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Limit {
    /// When the bucket is full again, once one more was taken.
    fn take(&self, full_at: i64, now: UnixTime) -> i64 {
        full_at.max(now.0).saturating_add(self.each())
    }

    /// When the next may be taken.
    fn free_at(&self, full_at: i64, now: UnixTime) -> i64 {
        self.take(full_at, now).saturating_sub(self.per_s).max(now.0)
    }

    /// How long one takes to grow back; rounded up, so that we never come too early.
    fn each(&self) -> i64 {
        self.per_s / self.count + i64::from(self.per_s % self.count != 0)
    }

    fn words(&self, of: &str) -> String {
        let what = match self.counted {
            Counted::Orders => "orders of the account",
            Counted::CertificatesOfDomain => "certificates under",
            Counted::CertificatesOfSet => "certificates for exactly these names",
            Counted::FailuresOfName => "failed validations of",
        };
        let of = if of.is_empty() { String::new() } else { format!(" {of}") };
        let per = match self.per_s {
            s if s % 86_400 == 0 => format!("{} days", s / 86_400),
            s => format!("{} hours", s / 3_600),
        };
        format!("{} {what}{of} in {per} are used up ({})", self.count, self.source)
    }
}

/// What is counted for these names: for people, and the name it is kept under.
fn buckets(counted: Counted, names: &[Identifier]) -> Vec<(String, String)> {
    let kept = |kind: &str, of: &str| format!("{kind}/{}", &hex(&sha256(of.as_bytes()))[..32]);
    match counted {
        Counted::Orders => vec![(String::new(), "orders".to_owned())],
        Counted::CertificatesOfSet => {
            let set: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
            let all = set.into_iter().collect::<Vec<_>>().join(" ");
            vec![(String::new(), kept("set", &all))]
        }
        Counted::CertificatesOfDomain => {
            let domains: BTreeSet<String> = names.iter().map(registered).collect();
            domains.into_iter().map(|domain| (domain.clone(), kept("domain", &domain))).collect()
        }
        Counted::FailuresOfName => {
            let bare = |name: &Identifier| name.to_string().trim_start_matches("*.").to_owned();
            let all: BTreeSet<String> = names.iter().map(bare).collect();
            all.into_iter().map(|name| (name.clone(), kept("failed", &name))).collect()
        }
    }
}

/// What counts as one owner's: the registered domain by the public suffix list, an IPv4 address, an IPv6 /64.
fn registered(name: &Identifier) -> String {
    match name {
        Identifier::Dns(name) => {
            let bare = name.trim_start_matches("*.");
            psl::domain_str(bare).unwrap_or(bare).to_owned()
        }
        Identifier::Ip(IpAddr::V6(ip)) => {
            let s = ip.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/64", s[0], s[1], s[2], s[3])
        }
        Identifier::Ip(ip) => ip.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    const NOW: UnixTime = UnixTime(1_795_262_400);

    fn names(texts: &[&str]) -> Vec<Identifier> {
        texts.iter().map(|text| Identifier::parse(text).expect("a name")).collect()
    }

    #[test]
    fn the_sixth_of_a_week_waits_34_hours() {
        let ledger = Ledger::new(LETS_ENCRYPT, Arc::new(Memory::default()), "acme/x/");
        let set = names(&["a.example.com", "b.example.com"]);
        for _ in 0..5 {
            ledger.predict(&set, NOW).expect("free");
            ledger.issued(&set, NOW).expect("kept");
        }
        let fault = ledger.predict(&set, NOW).expect_err("used up");
        // A fifth of a week.
        assert_eq!(fault.retry, Retry::At(NOW.plus(120_960)));
        assert!(fault.context.contains("5 certificates for exactly these names in 7 days"), "{fault}");
        assert!(fault.context.contains("letsencrypt.org/docs/rate-limits"), "{fault}");
        ledger.predict(&set, NOW.plus(120_960)).expect("free again");
        // The order of the names is no matter, another name is.
        ledger.predict(&names(&["b.example.com", "a.example.com"]), NOW).expect_err("the same set");
        ledger.predict(&names(&["a.example.com"]), NOW).expect("another set");
    }

    #[test]
    fn a_domain_and_its_renewals() {
        let ledger = Ledger::new(LETS_ENCRYPT, Arc::new(Memory::default()), "acme/x/");
        for number in 0..50 {
            ledger.issued(&names(&[&format!("h{number}.example.co.uk")]), NOW).expect("kept");
        }
        let fault = ledger.predict(&names(&["new.example.co.uk"]), NOW).expect_err("used up");
        assert!(fault.context.contains("50 certificates under example.co.uk"), "{fault}");
        ledger.predict(&names(&["h0.example.co.uk"]), NOW).expect("a renewal");
        ledger.predict(&names(&["new.other.co.uk"]), NOW).expect("another domain");
    }

    #[test]
    fn orders_failures_and_unknown_cas() {
        let keep = Arc::new(Memory::default());
        let ledger = Ledger::new(LETS_ENCRYPT, keep.clone(), "acme/x/");
        for _ in 0..5 {
            ledger.failed(&names(&["a.example.com"])[0], NOW).expect("kept");
        }
        let fault = ledger.predict(&names(&["*.a.example.com"]), NOW).expect_err("used up");
        assert_eq!(fault.retry, Retry::At(NOW.plus(720)));
        for _ in 0..300 {
            ledger.ordered(NOW).expect("kept");
        }
        assert_eq!(
            ledger.predict(&names(&["x.example"]), NOW).expect_err("used up").retry,
            Retry::At(NOW.plus(36))
        );
        let other = Ledger::new("ca.example", keep, "acme/y/");
        for _ in 0..1_000 {
            other.ordered(NOW).expect("nothing to count");
        }
        other.predict(&names(&["x.example"]), NOW).expect("no limit is known");
    }

    #[test]
    fn every_limit_has_a_source() {
        for limit in LIMITS {
            assert!(limit.source.starts_with("https://") && limit.count > 0 && limit.per_s > 0);
        }
    }
}
