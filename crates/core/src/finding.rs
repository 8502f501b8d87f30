//! What is wrong, in words that scripts and people can rely on.
//!
//! The kinds are a closed list: dashboards and acceptance checks are written against their names. A
//! finding's id is stable across runs, because its cause key holds neither dates nor severity nor the
//! list of places.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blast::Blast;
use crate::location::Location;
use crate::{Fingerprint, UnixTime};

macro_rules! kinds {
    ($($variant:ident $name:literal $doc:literal,)*) => {
        /// What kind of thing is wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind { $(#[doc = $doc] $variant,)* }

        impl Kind {
            /// Every kind, in the order of the reference page.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The name used in JSON, tables and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// One line for the reference page.
            pub fn doc(self) -> &'static str {
                match self { $(Kind::$variant => $doc,)* }
            }
        }
    };
}

kinds! {
    Expired "expired" "It has expired and lies in a folder; nothing was seen to use it.",
    ExpiresSoon "expires-soon" "It is in use or ready for use and expires within its warning window.",
    NotYetValid "not-yet-valid" "Its validity has not begun.",
    RenewalOverdue "renewal-overdue" "The day on which it should have been renewed has passed.",
    RenewalFailing "renewal-failing" "Its renewal is tried and fails.",
    RenewerDead "renewer-dead" "What renews it no longer runs.",
    RenewerCredentialExpires "renewer-credential-expires" "A credential that renewals depend on expires.",
    RenewedNotLoaded "renewed-not-loaded" "The file has a newer certificate than the endpoint serves: it was not reloaded.",
    StoredNotDeployed "stored-not-deployed" "A newer certificate is in the store and not in use.",
    InconsistentEndpoint "inconsistent-endpoint" "The addresses of one name serve different certificates, and not all are healthy.",
    UnmonitoredEndpoint "unmonitored-endpoint" "A name with certificates that no source looks at.",
    UnexpectedIssuance "unexpected-issuance" "A certificate for our names that we did not ask for.",
    ChainIncomplete "chain-incomplete" "The intermediate certificates are not sent: some clients will fail.",
    ChainExpiresFirst "chain-expires-first" "An issuer on the path expires before the certificate it signed.",
    ChainWrongOrder "chain-wrong-order" "The certificates are not sent in issuing order.",
    PathExpiresForClients "path-expires-for-clients" "The path that some clients use expires first.",
    UntrustedChain "untrusted-chain" "The chain does not end at a root that clients trust.",
    NameMismatch "name-mismatch" "The certificate is not for the name it is served under.",
    DefaultVhostStale "default-vhost-stale" "What is served without a server name is about to expire or has.",
    EmbeddedAnchorExpires "embedded-anchor-expires" "A trust anchor inside an image or a program expires.",
    AnchorExpires "anchor-expires" "A trust anchor that something depends on expires.",
    IssuerOutlived "issuer-outlived" "The issuer has less life left than the certificates it signs.",
    TokenSignerExpires "token-signer-expires" "The key or certificate that signs tokens expires.",
    SamlCertificateExpires "saml-certificate-expires" "A certificate in SAML metadata expires.",
    MetadataExpires "metadata-expires" "Signed metadata expires.",
    CopyDiffers "copy-differs" "A partner's copy is not what the owner publishes.",
    ClientCertificateExpires "client-certificate-expires" "A certificate used to sign in as a client expires.",
    ClientCopyStale "client-copy-stale" "A client still has the old copy.",
    CrlExpires "crl-expires" "A revocation list passes its nextUpdate.",
    StapleExpires "staple-expires" "A stapled OCSP response passes its nextUpdate.",
    SignatureDies "signature-dies" "A signature stops being valid.",
    KeyExpires "key-expires" "A key with a date expires.",
    TokenExpires "token-expires" "A token expires.",
    DomainExpires "domain-expires" "A domain registration ends.",
    DomainHold "domain-hold" "A domain is on hold.",
    DnssecSignatureExpires "dnssec-signature-expires" "A DNSSEC signature expires.",
    TrustAnchorStale "trust-anchor-stale" "A DNSSEC trust anchor was not updated.",
    ExpiredInUse "expired-in-use" "It has expired and is still being served or used.",
    ExpiredButTolerated "expired-but-tolerated" "It has expired and the other side accepts it all the same.",
    RenewalChanged "renewal-changed" "The renewed certificate differs from its predecessor in more than its dates.",
    StillInUse "still-in-use" "What was to be retired is still used.",
    FlowSilent "flow-silent" "A counter that should move stands still.",
    ExpiryCliff "expiry-cliff" "Very many expire on one day.",
    ExpiresInFreeze "expires-in-freeze" "It expires when nobody may change anything.",
    ClockSkew "clock-skew" "A clock is wrong.",
    KeyMismatch "key-mismatch" "The private key beside the certificate is not its key.",
    KeyExposed "key-exposed" "A private key can be read by others.",
    KeyReused "key-reused" "One key serves many certificates.",
    WeakKey "weak-key" "The key is too weak.",
    WeakSignature "weak-signature" "The signature algorithm is broken.",
    LifetimeExceedsPolicy "lifetime-exceeds-policy" "It is valid for longer than the rules of its day allow.",
    PurposeUnfit "purpose-unfit" "Its purposes do not fit its use.",
    Revoked "revoked" "Its issuer has revoked it.",
    CaaForbids "caa-forbids" "DNS forbids this CA to issue.",
    PolicyDate "policy-date" "A dated policy will break it.",
    Unowned "unowned" "Nobody answers for it.",
    OwnerUnreachable "owner-unreachable" "Its owner cannot be reached.",
    AlertUndelivered "alert-undelivered" "An alert was not delivered.",
    SourceStale "source-stale" "A source has not succeeded for too long.",
    CannotRead "cannot-read" "Something that should be readable is not, so nothing is known about it.",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad. Ordered: critical first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is broken, or will be before it can comfortably be mended.
    Critical,
    /// Someone has to do something, in working hours.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Stands in a summary for "in 12 days" or "3 days ago": a sentence that is kept must not grow old.
pub const WHEN: &str = "{when}";

/// The fact that says from how many seconds before its deadline a finding is on the page step.
pub const PAGE: &str = "page_seconds";

/// The fact that says what was seen to have taken the place of what ends.
pub const REPLACED: &str = "replaced_by";

/// One thing that is wrong, or worth knowing.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// The kind.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// The asset it is about; `None` when it is about a place or a name.
    pub asset: Option<Fingerprint>,
    /// What tells this cause from others of the same kind and asset. Never a date, a severity or a list
    /// of places: the id is made from it and must be stable.
    pub cause: String,
    /// Where it was seen.
    pub locations: Vec<Location>,
    /// The instant at which something stops working, when there is one.
    pub deadline: Option<UnixTime>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What happened, in one sentence; [`WHEN`] in it stands for the deadline in words, which change daily.
    pub summary: String,
    /// What to do now.
    pub hint: String,
    /// The facts it rests on, by name.
    pub evidence: Vec<(&'static str, Fact)>,
    /// What breaks with it; `None` until that was gathered.
    pub blast: Option<Box<Blast>>,
}

/// One fact of a finding's evidence, of the type that a script would want.
#[derive(Clone, PartialEq, Debug)]
pub enum Fact {
    /// Words, names, locations, identities.
    Text(String),
    /// A count, or days.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Several.
    List(Vec<String>),
}

impl Fact {
    /// The number, if it is one.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(n) => Some(*n),
            _ => None,
        }
    }
}

macro_rules! fact_from {
    ($($type:ty => |$value:ident| $fact:expr;)*) => {
        $(impl From<$type> for Fact {
            fn from($value: $type) -> Self {
                $fact
            }
        })*
    };
}
fact_from! {
    &str => |v| Self::Text(v.to_owned());
    String => |v| Self::Text(v);
    &String => |v| Self::Text(v.clone());
    &Location => |v| Self::Text(v.to_string());
    Fingerprint => |v| Self::Text(v.to_string());
    bool => |v| Self::Flag(v);
    i64 => |v| Self::Number(v);
    u32 => |v| Self::Number(v.into());
    usize => |v| Self::Number(i64::try_from(v).unwrap_or(i64::MAX));
    Vec<String> => |v| Self::List(v);
}

impl Finding {
    /// A finding with the two things that make its id; the rest is filled in with the methods below.
    pub fn new(kind: Kind, severity: Severity, asset: Option<Fingerprint>, cause: impl Into<String>) -> Self {
        Self {
            kind,
            severity,
            asset,
            cause: cause.into(),
            locations: Vec::new(),
            deadline: None,
            owner: None,
            summary: String::new(),
            hint: String::new(),
            evidence: Vec::new(),
            blast: None,
        }
    }

    /// Says what happened.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Says what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Says where.
    #[must_use]
    pub fn at<'a>(mut self, locations: impl IntoIterator<Item = &'a Location>) -> Self {
        self.locations.extend(locations.into_iter().cloned());
        self
    }

    /// Says until when.
    #[must_use]
    pub fn deadline(mut self, deadline: Option<UnixTime>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn evidence(mut self, name: &'static str, value: impl Into<Fact>) -> Self {
        self.evidence.push((name, value.into()));
        self
    }

    /// Says from how many seconds before its deadline somebody is woken, and that its deadline is an end.
    #[must_use]
    pub fn pages(self, before: i64) -> Self {
        self.evidence(PAGE, before)
    }

    /// From how many seconds before its deadline somebody is woken, if its rule has such a step.
    pub fn page(&self) -> Option<i64> {
        self.evidence.iter().find(|(name, _)| *name == PAGE).and_then(|(_, fact)| fact.number())
    }

    /// The summary as it reads at `now`.
    pub fn summary_at(&self, now: UnixTime) -> String {
        summary_at(&self.summary, self.deadline, now)
    }

    /// How much it weighs among findings that are equally bad.
    pub fn weight(&self) -> u32 {
        self.blast.as_ref().map_or(0, |blast| blast.weight())
    }

    /// The first 16 hex digits of SHA-256(kind, 0, asset id or empty, 0, cause key).
    pub fn id(&self) -> String {
        let asset = self.asset.map(|a| a.to_string()).unwrap_or_default();
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(self.kind.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(asset.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.cause.as_bytes());
        notafter_pki::fingerprint::hex(&notafter_pki::fingerprint::sha256(&bytes)[..8])
    }
}

/// A summary as it reads at `now`.
pub fn summary_at(summary: &str, deadline: Option<UnixTime>, now: UnixTime) -> String {
    match deadline {
        Some(deadline) => summary.replace(WHEN, &crate::dossier::days_text(deadline, now)),
        None => summary.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_stable_and_knows_only_the_cause() {
        let one = Finding::new(Kind::Expired, Severity::Info, None, "x").summary("a");
        let two = Finding::new(Kind::Expired, Severity::Critical, None, "x").deadline(Some(UnixTime(7)));
        assert_eq!(one.id(), two.id());
        assert_eq!(one.id().len(), 16);
        assert_ne!(one.id(), Finding::new(Kind::Expired, Severity::Info, None, "y").id());
        // printf 'expired\0\0x' | sha256sum
        assert_eq!(one.id(), "fbecc8430bc6c700");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
