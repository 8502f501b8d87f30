//! Would a client accept this chain: path building and validation after RFC 5280 section 6, at one instant.
//!
//! Reads only what it is given: leaf, issuers that came along, trust anchors, CRLs, a time. `chain.rs` finds
//! out where a chain leads; this judges it, names the reason, and says until when the answer holds. It follows
//! what TLS clients do where they and the RFC differ ([`Rules`]; `docs/decisions/0001-verdict.md`). The parts:
//! `verdict/checks.rs` (one certificate), `path.rs` (a whole path), `search.rs` (which path),
//! `constraints.rs`, `policy.rs`, `revocation.rs`, `server_name.rs`, and `second.rs` (rustls-webpki's opinion).
//! It fetches nothing: no AIA, no OCSP, no CRL that was not handed in.

mod checks;
mod constraints;
mod path;
mod policy;
mod revocation;
mod search;
mod second;
mod server_name;

use std::fmt;

use crate::certificate::Certificate;
use crate::crl::Crl;
use crate::oid;
use crate::time::UnixTime;

pub use revocation::{is_list_of, speaks_of};
pub use second::second_opinion;
pub use server_name::{NotAServerName, ServerName};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q, 'a> {
    /// The certificate that is judged.
    pub leaf: Certificate<'a>,
    /// What came along, in any order.
    pub sent: &'q [Certificate<'a>],
    /// What is trusted. Any certificate may be an anchor (RFC 5280 section 6.1.1 (d)), the leaf too.
    pub anchors: &'q [Certificate<'a>],
    /// The name it must be for; `None` to leave names alone.
    pub name: Option<&'q ServerName>,
    /// When.
    pub at: UnixTime,
    /// What for.
    pub purpose: Purpose,
    /// Lists to check revocation against.
    pub crls: &'q [Crl<'a>],
    /// How strictly, and with how much work.
    pub rules: Rules,
}

/// What a certificate must be good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A TLS server's (id-kp-serverAuth).
    Server,
    /// A TLS client's (id-kp-clientAuth).
    Client,
    /// Anything.
    Any,
}

impl Purpose {
    /// Contents octets of the extended key usage, where one is needed (RFC 5280 section 4.2.1.12).
    pub(crate) fn oid(self) -> Option<&'static [u8]> {
        match self {
            Self::Server => Some(oid::SERVER_AUTH),
            Self::Client => Some(oid::CLIENT_AUTH),
            Self::Any => None,
        }
    }
}

/// How much of what is written down a client enforces; each also does what those before it do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Profile {
    /// What TLS clients have in common.
    Common,
    /// The MUSTs of RFC 5280 about form, too: OpenSSL with `-x509_strict`, and so Python since 3.13.
    Rfc5280,
    /// What the CA/Browser Forum's Baseline Requirements (BR) ask of public CAs, too: what linters check,
    /// and no client in full.
    WebPki,
}

/// How strictly to judge. The default is what TLS clients have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// By which profile.
    pub profile: Profile,
    /// Whether an anchor must be within its own validity: OpenSSL, Go and NSS say yes, Chrome and rustls no.
    pub anchor_expiry: bool,
    /// Whether what the anchor's own certificate says (CA flag, path length, usages, name constraints,
    /// policies) binds.
    pub anchor_constraints: bool,
    /// The fewest bits of an RSA key.
    pub rsa_bits_min: u32,
    /// The most intermediates that are not self-issued.
    pub intermediates_max: usize,
    /// The most signature checks.
    pub checks_max: u32,
    /// The most steps from a certificate to a possible issuer.
    pub steps_max: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            profile: Profile::Common,
            anchor_expiry: true,
            anchor_constraints: true,
            rsa_bits_min: 2048,
            intermediates_max: 10,
            checks_max: 100,
            steps_max: 5_000,
        }
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    /// A client would accept it.
    Trusted {
        /// From the leaf to the anchor; only the leaf where that is itself an anchor.
        path: Vec<Certificate<'a>>,
        /// The earliest notAfter on the path: when this answer ends at the latest.
        expires: UnixTime,
        /// What a stricter client might mind, and what could not be checked; one sentence each.
        notes: Vec<String>,
    },
    /// It would not.
    Untrusted {
        /// The gravest reason on the best path there is.
        reason: Reason,
        /// One or more sentences for people.
        detail: String,
        /// The best path there is: whole where it reaches an anchor, else as far as it goes.
        path: Vec<Certificate<'a>>,
    },
}

impl Verdict<'_> {
    /// Whether a client would accept it.
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted { .. })
    }

    /// Why not.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Trusted { .. } => None,
            Self::Untrusted { reason, .. } => Some(*reason),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $kebab:literal $hint:literal;)+) => {
        /// Why a chain is not accepted, the gravest first.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its stable kebab-case name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $kebab,)+ }
            }

            /// What to do about it, one sentence.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)+ }
            }
        }
    };
}
reasons! {
    /// The search for a path ran out of its budget.
    Budget "budget" "the chain is built to exhaust verifiers: send one short chain";
    /// No issuer of that name is known.
    UnknownIssuer "unknown-issuer" "send the missing intermediate, or name the right roots";
    /// The chain ends in a self-signed certificate that nobody trusts.
    UntrustedRoot "untrusted-root" "install the root on the clients, or name it with --roots";
    /// An issuer of that name is known, but its key did not make the signature.
    BadSignature "bad-signature" "the chain mixes two issuers of one name: send the intermediate whose key signed";
    /// A certificate on the path is revoked.
    Revoked "revoked" "replace the revoked certificate, with a new key if the old one leaked";
    /// A certificate on the path has lapsed.
    Expired "expired" "renew it, or replace the lapsed issuer by its successor";
    /// The validity of a certificate on the path has not begun.
    NotYetValid "not-yet-valid" "wait, or mend the clock of whoever judges";
    /// None of its subjectAltNames is the name asked for.
    NameMismatch "name-mismatch" "issue a certificate with this name among its subjectAltNames";
    /// It is malformed in a way that clients refuse.
    Malformed "malformed" "issue the certificate anew";
    /// A critical extension that clients do not know (RFC 5280 section 4.2).
    UnknownCriticalExtension "unknown-critical-extension" "issue it anew without the extension, or with it not critical";
    /// An issuer on the path is no CA (RFC 5280 section 6.1.4 (k)).
    NotACa "not-a-ca" "a certificate without CA flag may not issue others: use one that has it";
    /// An issuer on the path may not sign certificates (RFC 5280 section 6.1.4 (n)), or a leaf may not do what it is for.
    KeyUsageUnfit "key-usage-unfit" "issue it anew with the right keyUsage";
    /// More intermediates follow than an issuer allows (RFC 5280 section 6.1.4 (m)).
    PathTooLong "path-too-long" "the issuer's pathLenConstraint forbids so many intermediates";
    /// It is not meant for this purpose (RFC 5280 section 4.2.1.12).
    PurposeUnfit "purpose-unfit" "issue it with the extended key usage that is needed";
    /// A name is outside of what an issuer may certify (RFC 5280 section 6.1.3 (b), (c)).
    NameConstraint "name-constraint" "the issuer may not certify this name: use another issuer or another name";
    /// A policy is demanded and not there (RFC 5280 section 6.1.5 (g)).
    PolicyUnmet "policy-unmet" "an issuer demands a certificate policy that the chain does not have";
    /// A key that clients refuse as too weak, or of a kind they do not take.
    WeakKey "weak-key" "make a new key: ECDSA P-256, or RSA of 2048 bits or more";
    /// A signature over MD5 or SHA-1.
    WeakSignature "weak-signature" "issue it anew with SHA-256";
    /// An algorithm that nothing here can check.
    UnsupportedAlgorithm "unsupported-algorithm" "few clients can check this algorithm";
    /// A CRL was given, but none that was answers for the certificate.
    RevocationUnknown "revocation-unknown" "give a current CRL, signed by the issuer with a key that may sign CRLs";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is wrong with a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// What to call a certificate in a sentence: its common name, else its subject, else its fingerprint.
pub(crate) fn called(certificate: &Certificate<'_>) -> String {
    let subject = certificate.subject();
    let name = subject.common_name().unwrap_or_else(|| subject.to_rfc4514());
    let shown: String = name.chars().take(80).collect();
    if shown.is_empty() { certificate.fingerprint().to_string() } else { format!("`{shown}`") }
}

/// Judges the chain. Pure, and bounded by [`Rules`]: the same question always has the same answer.
pub fn judge<'a>(question: &Question<'_, 'a>) -> Verdict<'a> {
    search::judge(question)
}
