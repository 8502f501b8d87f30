//! In what a certificate differs from the one before it, apart from serial and dates.
//!
//! Pure: two certificates in, words out. What a difference is worth is decided here for each of them; whether anybody
//! is told is the rule's (`rules/renewal_changed.rs`). Who finds the pair is `engine/assess/lineage.rs`.

use notafter_pki::certificate::Certificate;
use notafter_pki::oid;

use crate::document;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `eku`, `key-usage`, `san`, `key`, `issuer`, `chain`, `signature`, `must-staple`.
    pub what: &'static str,
    /// What exactly, for a person.
    pub text: String,
    /// Can it break a client that the earlier one suited? What was only added does not.
    pub breaks: bool,
}

/// What surrounds a pair and does not stand in the two certificates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// Do the paths of both end at roots of the public web?
    pub public: bool,
    /// How many certificates are sent or stored behind the earlier one, at most.
    pub older_above: usize,
    /// The same for the later one.
    pub newer_above: usize,
    /// Is the later one's file known to be what will be served as it is?
    pub installed: bool,
}

/// Every difference that matters to somebody.
pub fn differences(older: &Certificate<'_>, newer: &Certificate<'_>, around: Surroundings) -> Vec<Change> {
    let mut out = Vec::new();
    let mut add = |what, text: String, breaks| out.push(Change { what, text, breaks });

    let (had, has) = (purposes(older), purposes(newer));
    // No list at all means every purpose (RFC 5280 section 4.2.1.12).
    match (&had, &has) {
        (None, Some(has)) => {
            add("eku", format!("was for every purpose, is now for {} only", list(has)), true)
        }
        (Some(_), None) => add("eku", "is now for every purpose".to_owned(), false),
        (Some(had), Some(has)) => {
            let (lost, gained) = (without(had, has), without(has, had));
            if !lost.is_empty() {
                add("eku", format!("no longer for {}", list(&lost)), true);
            }
            if !gained.is_empty() {
                add("eku", format!("now for {} too", list(&gained)), false);
            }
        }
        (None, None) => {}
    }
    if let (Some(had), Some(has)) = (older.key_usage(), newer.key_usage()) {
        let own = |names: Vec<&'static str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let lost = without(&own(had.names()), &own(has.names()));
        // An elliptic key has no use for encipherment: that goes with the kind of key.
        let kept = older.public_key().algorithm() == newer.public_key().algorithm();
        if kept && !lost.is_empty() {
            add("key-usage", format!("its key may no longer be used for {}", list(&lost)), true);
        }
    }

    let (had, has) = (names(older), names(newer));
    let (lost, gained) = (without(&had, &has), without(&has, &had));
    if !lost.is_empty() {
        add("san", format!("without {}", list(&lost)), true);
    }
    if !gained.is_empty() {
        add("san", format!("with {} besides", list(&gained)), false);
    }

    let (was, is) = (key(older), key(newer));
    if was != is {
        add("key", format!("{was} has become {is}"), true);
    }
    if older.issuer_name().comparison_key() != newer.issuer_name().comparison_key() {
        let organisation = |c: &Certificate<'_>| c.issuer_name().text_of(oid::ORGANIZATION);
        // A public CA takes another of its intermediates every other time.
        let usual =
            around.public && organisation(older).is_some() && organisation(older) == organisation(newer);
        add("issuer", format!("issued by {}, not by {}", issuer(newer), issuer(older)), !usual);
    }
    let (was, is) = (signature(older), signature(newer));
    if was != is {
        add("signature", format!("signed with {is}, not with {was}"), true);
    }
    match (older.must_staple(), newer.must_staple()) {
        (false, true) => add("must-staple", "clients now insist on a stapled OCSP response".to_owned(), true),
        (true, false) => add("must-staple", "no longer insists on a stapled OCSP response".to_owned(), false),
        _ => {}
    }
    if around.older_above > 0 && around.newer_above == 0 && !newer.is_self_issued() {
        // Where files are kept apart, the chain may lie in another one.
        add("chain", "without the certificates of its issuers".to_owned(), around.installed);
    }
    out
}

fn purposes(certificate: &Certificate<'_>) -> Option<Vec<String>> {
    let listed = certificate.extended_key_usage()?;
    if listed.has(oid::ANY_EXTENDED_KEY_USAGE) {
        return None;
    }
    Some(sorted(listed.names()))
}

fn names(certificate: &Certificate<'_>) -> Vec<String> {
    let all = document::names(certificate);
    sorted(all.dns_and_ip.into_iter().chain(all.other).map(|n| n.to_ascii_lowercase()).collect())
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// `RSA 2048`, `ECDSA P-256`.
fn key(certificate: &Certificate<'_>) -> String {
    let key = certificate.public_key();
    let size = key.curve().or_else(|| key.bits().map(|bits| bits.to_string()));
    let size = size.filter(|_| !key.algorithm().starts_with("Ed"));
    size.map_or_else(|| key.algorithm(), |size| format!("{} {size}", key.algorithm()))
}

fn issuer(certificate: &Certificate<'_>) -> String {
    let name = certificate.issuer_name();
    notafter_pki::name::printable(&name.common_name().unwrap_or_else(|| name.to_rfc4514()))
}

fn signature(certificate: &Certificate<'_>) -> String {
    certificate.signature_algorithm().signature_name()
}

fn without(these: &[String], those: &[String]) -> Vec<String> {
    these.iter().filter(|one| !those.contains(one)).cloned().collect()
}

/// Five at most, and how many more.
fn list(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown =
        names.iter().take(MOST).map(|n| notafter_pki::name::printable(n)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose as Purpose, KeyPair};

    struct Made<'n> {
        names: &'n [&'n str],
        purposes: &'n [Purpose],
        issuer: &'n str,
        key: &'static rcgen::SignatureAlgorithm,
    }

    const PLAIN: Made<'static> = Made {
        names: &["a.test", "b.test"],
        purposes: &[Purpose::ServerAuth, Purpose::ClientAuth],
        issuer: "CA 1",
        key: &rcgen::PKCS_ECDSA_P256_SHA256,
    };

    fn der(made: &Made<'_>) -> Vec<u8> {
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.distinguished_name.push(DnType::CommonName, made.issuer);
        ca.distinguished_name.push(DnType::OrganizationName, "House");
        let ca = rcgen::Issuer::new(ca, KeyPair::generate().unwrap());
        let names: Vec<String> = made.names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = made.purposes.to_vec();
        let key = KeyPair::generate_for(made.key).unwrap();
        params.signed_by(&key, &ca).unwrap().der().to_vec()
    }

    fn check(newer: &Made<'_>, around: Surroundings, expected: &[(&str, bool)]) {
        let (older, newer) = (der(&PLAIN), der(newer));
        let of = |der: &'static [u8]| Certificate::parse(der).unwrap();
        let (older, newer) = (of(older.leak()), of(newer.leak()));
        let found = differences(&older, &newer, around);
        assert_eq!(found.iter().map(|c| (c.what, c.breaks)).collect::<Vec<_>>(), expected, "{found:?}");
    }

    #[test]
    fn each_difference_has_its_name() {
        let none = Surroundings::default();
        check(&PLAIN, none, &[]);
        check(&Made { purposes: &[Purpose::ServerAuth], ..PLAIN }, none, &[("eku", true)]);
        check(&Made { purposes: &[], ..PLAIN }, none, &[("eku", false)]);
        check(&Made { names: &["a.test"], ..PLAIN }, none, &[("san", true)]);
        check(&Made { names: &["b.test", "A.test"], ..PLAIN }, none, &[]);
        check(&Made { names: &["a.test", "b.test", "c.test"], ..PLAIN }, none, &[("san", false)]);
        check(&Made { key: &rcgen::PKCS_ECDSA_P384_SHA384, ..PLAIN }, none, &[("key", true)]);
        check(&Made { issuer: "CA 2", ..PLAIN }, none, &[("issuer", true)]);
        let public = Surroundings { public: true, ..none };
        check(&Made { issuer: "CA 2", ..PLAIN }, public, &[("issuer", false)]);
        let shorter = Surroundings { older_above: 1, ..none };
        check(&PLAIN, shorter, &[("chain", false)]);
        check(&PLAIN, Surroundings { installed: true, ..shorter }, &[("chain", true)]);
    }
}
