//! Whether what somebody brought is the answer to a request. Pure: bytes and certificates in, a chain or reasons out.
//!
//! The leaf is known by its key; above it the chain is put in order by signatures, out of everything that was brought and
//! what is configured. At last it is reviewed as every certificate is, so that a wrong one is told here, where it can
//! still be replaced, and not when it is too late.

use notafter_core::UnixTime;
use notafter_core::issuance::{Issued, Request};
use notafter_core::review::review;
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Limits};
use notafter_pki::csr::Csr;
use notafter_pki::verify::{SignatureVerdict, is_signed_by};

/// No chain is longer.
const DEPTH_MAX: usize = 8;
/// Certificates looked at in one file.
const CERTIFICATES_MAX: usize = 200;

/// What somebody brought at one time: a file, a paste.
pub(super) struct Offer {
    /// What it is called.
    pub(super) label: String,
    /// DER, in any order.
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Why one was not taken.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) label: String,
    /// It is for the key that was asked for, and wrong otherwise.
    pub(super) ours: bool,
    /// The key that it is for, where it is for another.
    pub(super) key: Option<Vec<u8>>,
    pub(super) said: String,
}

/// The answer.
#[derive(Debug)]
pub(super) enum Judged {
    Fits(Issued),
    Not(Vec<Reason>),
}

/// The certificates in a file: PEM, DER, PKCS#7, base64; in their order. No password is tried for long.
pub(super) fn certificates(octets: &[u8]) -> Vec<Vec<u8>> {
    let limits = Limits {
        found: CERTIFICATES_MAX,
        body_octets: octets.len().max(1),
        iterations: 10_000,
        total_iterations: 50_000,
    };
    container::open(octets, &[], &limits).certificates().map(<[u8]>::to_vec).collect()
}

/// Looks for the answer.
pub(super) fn judge(request: &Request, offers: &[Offer], known: &[Vec<u8>], now: UnixTime) -> Judged {
    let mut reasons = Vec::new();
    let Ok(csr) = Csr::parse(&request.csr) else { return Judged::Not(reasons) };
    let key = csr.public_key().spki();
    let all: Vec<&Vec<u8>> = offers.iter().flat_map(|o| &o.certificates).chain(known).collect();
    let mut best: Option<(i64, Issued)> = None;
    for offer in offers {
        let parsed: Vec<Certificate<'_>> =
            offer.certificates.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
        let mut reason = |ours: bool, key: Option<Vec<u8>>, said: String| {
            let (label, said) = (offer.label.clone(), format!("{} {said}", offer.label));
            reasons.push(Reason { label, ours, key, said });
        };
        let leaves: Vec<&Certificate<'_>> = parsed.iter().filter(|c| c.spki() == key && !c.is_ca()).collect();
        if leaves.is_empty() {
            let other = parsed.iter().find(|c| !c.is_ca());
            let said = match (other, parsed.is_empty()) {
                (_, true) => "holds no certificate that can be read (was it cut off?)",
                (Some(_), _) => "is for another key than the one that asked",
                (None, _) => "holds CA certificates alone, and not the one that was asked for",
            };
            reason(false, other.map(|c| c.spki().to_vec()), said.to_owned());
            continue;
        }
        for leaf in leaves {
            let chain = above(leaf, &parsed, &all);
            let issued = Issued { chain, reference: None };
            let wrong = match leads(&issued.chain, known) {
                false => vec!["it leads to none of the CA certificates in `chain`".to_owned()],
                true => review(request, &issued, None, now).wrong,
            };
            if !wrong.is_empty() {
                reason(true, None, format!("is for the right key, but {}", wrong.join("; ")));
                continue;
            }
            let end = leaf.not_after().map_or(0, |t| t.0);
            if best.as_ref().is_none_or(|(before, _)| end > *before) {
                best = Some((end, issued));
            }
        }
    }
    best.map_or(Judged::Not(reasons), |(_, issued)| Judged::Fits(issued))
}

/// The leaf and what signed it, one after the other: first out of the same file, then out of everything.
fn above(leaf: &Certificate<'_>, beside: &[Certificate<'_>], all: &[&Vec<u8>]) -> Vec<Vec<u8>> {
    let others: Vec<Certificate<'_>> = all.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    let mut chain = vec![leaf.der().to_vec()];
    let mut child = *leaf;
    while chain.len() < DEPTH_MAX && !child.is_self_issued() {
        let fits = |c: &&Certificate<'_>| {
            c.is_ca()
                && c.subject().matches(&child.issuer_name())
                && !chain.iter().any(|der| der == c.der())
                && is_signed_by(&child, c.spki()) == SignatureVerdict::Good
        };
        let Some(parent) = beside.iter().find(fits).or_else(|| others.iter().find(fits)).copied() else {
            break;
        };
        chain.push(parent.der().to_vec());
        child = parent;
    }
    chain
}

/// Does a chain lead to one of the certificates that are known: is it in there, or did its key sign one of them? Where none
/// are known, every chain does.
fn leads(chain: &[Vec<u8>], known: &[Vec<u8>]) -> bool {
    let known: Vec<Certificate<'_>> = known.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    let by = |child: &Certificate<'_>, ca: &Certificate<'_>| {
        ca.subject().matches(&child.issuer_name()) && is_signed_by(child, ca.spki()) == SignatureVerdict::Good
    };
    let mut certificates = chain.iter().filter_map(|der| Certificate::parse(der).ok());
    known.is_empty() || certificates.any(|c| known.iter().any(|ca| c.der() == ca.der() || by(&c, ca)))
}
