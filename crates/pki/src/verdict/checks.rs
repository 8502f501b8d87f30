//! What can be told of one certificate alone, given its place on a path: validity, form, CA flag, usages,
//! critical extensions, strength (RFC 5280 sections 6.1.3 (a)(2), 6.1.4 (k), (n), (o), 6.1.5).
//!
//! Nothing here looks at two certificates at once: that is `path.rs`. Each check adds a fault and goes on, so
//! that a person is told of all of them.

use super::{Fault, Profile, Purpose, Question, Reason, Rules, called};
use crate::certificate::Certificate;
use crate::der::{Reader, tag};
use crate::key::PublicKey;
use crate::oid;

/// Where on a path a certificate stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// At its start.
    Leaf,
    /// At its start, and trusted for itself.
    TrustedLeaf,
    /// In between.
    Intermediate,
    /// At its end.
    Anchor,
}

/// Microsoft's application policies: a second extended key usage, which Windows CAs mark critical.
const MICROSOFT_APPLICATION_POLICIES: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x15\x0a";

/// Problems of form (`lint.rs`) for which clients refuse a certificate.
const FATAL: &[&str] = &[
    "odd-version",
    "version-with-extensions",
    "unreadable-time",
    "malformed-name",
    "empty-issuer",
    "algorithm-mismatch",
    "no-signature",
    "malformed-key",
    "explicit-curve",
    "malformed-extensions",
    "duplicate-extension",
    "malformed-extension",
    "trailing-bytes",
];

/// Problems of form for which only strict clients do.
const FATAL_WHEN_STRICT: &[&str] = &[
    "overlong-length",
    "odd-boolean",
    "empty-serial",
    "non-positive-serial",
    "serial-too-long",
    "non-minimal-serial",
    "odd-time",
    "validity-reversed",
    "empty-extensions",
    "empty-san",
    "no-subject-no-san",
    "ca-without-key-id",
];

/// What is wrong with this certificate at this place, in no order.
pub(super) fn faults(certificate: &Certificate<'_>, place: Place, question: &Question<'_, '_>) -> Vec<Fault> {
    let mut found = Vec::new();
    let rules = &question.rules;
    let anchor = place == Place::Anchor;
    if !anchor || rules.anchor_expiry {
        validity(certificate, question, &mut found);
    }
    // A root is configured, not received: its form is nobody's concern.
    if !anchor {
        form(certificate, rules, &mut found);
    }
    if !anchor || rules.anchor_constraints {
        critical_extensions(certificate, rules, &mut found);
        purpose(certificate, question.purpose, rules, &mut found);
    }
    match place {
        Place::Leaf | Place::TrustedLeaf => leaf(certificate, question, &mut found),
        Place::Intermediate => issuer(certificate, &mut found),
        Place::Anchor if rules.anchor_constraints => issuer(certificate, &mut found),
        Place::Anchor => {}
    }
    strength(certificate, place, rules, &mut found);
    if rules.profile >= Profile::Rfc5280 {
        rfc_5280(certificate, place, &mut found);
    }
    if rules.profile >= Profile::WebPki {
        web_pki(certificate, place, question.purpose, &mut found);
    }
    found
}

fn validity(certificate: &Certificate<'_>, question: &Question<'_, '_>, found: &mut Vec<Fault>) {
    let name = called(certificate);
    // Both ends are within the validity (RFC 5280 section 4.1.2.5).
    match certificate.not_before() {
        Some(start) if question.at < start => {
            found.push(Fault::new(Reason::NotYetValid, format!("{name} is not valid before {start}")));
        }
        Some(_) => {}
        None => found.push(Fault::new(Reason::Malformed, format!("the notBefore of {name} cannot be read"))),
    }
    match certificate.not_after() {
        Some(end) if question.at > end => {
            found.push(Fault::new(Reason::Expired, format!("{name} expired at {end}")));
        }
        Some(_) => {}
        None => found.push(Fault::new(Reason::Malformed, format!("the notAfter of {name} cannot be read"))),
    }
}

fn form(certificate: &Certificate<'_>, rules: &Rules, found: &mut Vec<Fault>) {
    for problem in certificate.problems() {
        if FATAL.contains(&problem.name)
            || (rules.profile >= Profile::Rfc5280 && FATAL_WHEN_STRICT.contains(&problem.name))
        {
            let detail = format!("{}: {}", called(certificate), problem.text);
            found.push(Fault::new(Reason::Malformed, detail));
        }
    }
}

/// RFC 5280 section 4.2: what is critical and not processed means refusal. These are processed here, or say
/// nothing that binds a TLS client.
fn critical_extensions(certificate: &Certificate<'_>, rules: &Rules, found: &mut Vec<Fault>) {
    for extension in certificate.extensions().filter(|extension| extension.critical) {
        let known = match extension.oid {
            oid::BASIC_CONSTRAINTS
            | oid::KEY_USAGE
            | oid::SUBJECT_ALT_NAME
            | oid::EXTENDED_KEY_USAGE
            | oid::NAME_CONSTRAINTS
            | oid::POLICY_MAPPINGS
            | oid::POLICY_CONSTRAINTS
            | oid::INHIBIT_ANY_POLICY
            | oid::ISSUER_ALT_NAME
            | oid::TLS_FEATURE => true,
            oid::CERTIFICATE_POLICIES => !has_unknown_qualifier(extension.value),
            // Hints, which must not be critical; nobody but the strict minds.
            oid::SUBJECT_KEY_ID
            | oid::AUTHORITY_KEY_ID
            | oid::CRL_DISTRIBUTION_POINTS
            | oid::AUTHORITY_INFO_ACCESS => rules.profile < Profile::Rfc5280,
            MICROSOFT_APPLICATION_POLICIES => certificate.extension(oid::EXTENDED_KEY_USAGE).is_some(),
            _ => false,
        };
        if !known {
            let name =
                oid::extension_name(extension.oid).map_or_else(|| oid::dotted(extension.oid), str::to_owned);
            let detail = format!(
                "{} has the critical extension {name}, which clients do not process",
                called(certificate)
            );
            found.push(Fault::new(Reason::UnknownCriticalExtension, detail));
        }
    }
}

/// Whether a certificatePolicies value has a qualifier other than the two of RFC 5280 section 4.2.1.4: in a
/// critical extension it must be processed, and nobody can.
fn has_unknown_qualifier(value: &[u8]) -> bool {
    const QUALIFIERS: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x02";
    let Ok(policies) = Reader::new(value).sequence() else { return true };
    policies.into_iter().any(|policy| {
        let mut parts = policy.reader();
        parts.optional(tag::OID);
        let Some(list) = parts.optional(tag::SEQUENCE) else { return false };
        list.reader().any(|qualifier| {
            let id = qualifier.reader().optional(tag::OID).map_or(&[][..], |id| id.value);
            !matches!(id.strip_prefix(QUALIFIERS), Some([1 | 2]))
        })
    })
}

/// Extended key usage along the whole path, as browsers have it: an absent one allows everything, and one
/// that is there in a CA certificate narrows what is below it.
fn purpose(certificate: &Certificate<'_>, purpose: Purpose, rules: &Rules, found: &mut Vec<Fault>) {
    let (Some(wanted), Some(usages)) = (purpose.oid(), certificate.extended_key_usage()) else { return };
    let any_will_do = rules.profile < Profile::WebPki && usages.has(oid::ANY_EXTENDED_KEY_USAGE);
    if !usages.has(wanted) && !any_will_do {
        let wanted = oid::key_purpose_name(wanted).unwrap_or("this purpose");
        let has = usages.names().join(", ");
        let has = if has.is_empty() { "nothing".to_owned() } else { has };
        let detail = format!("{} is not for {wanted}, only for {has}", called(certificate));
        found.push(Fault::new(Reason::PurposeUnfit, detail));
    }
}

fn issuer(certificate: &Certificate<'_>, found: &mut Vec<Fault>) {
    let name = called(certificate);
    let is_ca = match certificate.basic_constraints() {
        Some(constraints) => constraints.ca,
        // Only a configured root may be of a version that had no way to say so.
        None => certificate.version() < 3 && certificate.is_self_issued(),
    };
    if !is_ca {
        found.push(Fault::new(Reason::NotACa, format!("{name} is no CA (basicConstraints)")));
    }
    if certificate.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
        let detail = format!("{name} may not sign certificates (keyUsage lacks keyCertSign)");
        found.push(Fault::new(Reason::KeyUsageUnfit, detail));
    }
}

fn leaf(certificate: &Certificate<'_>, question: &Question<'_, '_>, found: &mut Vec<Fault>) {
    if let Some(name) = question.name
        && !name.is_named_by(certificate)
    {
        found.push(Fault::new(Reason::NameMismatch, mismatch(certificate, &name.to_string())));
    }
}

fn mismatch(certificate: &Certificate<'_>, wanted: &str) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> =
        certificate.subject_alt_names().take(SHOWN + 1).map(|name| name.to_text()).collect();
    if names.is_empty() {
        return format!(
            "{} has no subjectAltName, so it is not for {wanted} (the commonName does not count)",
            called(certificate)
        );
    }
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("...".to_owned());
    }
    format!("{} is not for {wanted}, only for {}", called(certificate), names.join(", "))
}

/// Keys and signatures that clients refuse. The signature of an anchor is not looked at: it proves nothing.
fn strength(certificate: &Certificate<'_>, place: Place, rules: &Rules, found: &mut Vec<Fault>) {
    let name = called(certificate);
    let key = certificate.public_key();
    let what = match key.algorithm_identifier().oid {
        oid::RSA | oid::RSASSA_PSS => rsa_weakness(&key, rules),
        oid::EC_PUBLIC_KEY => match key.curve().as_deref() {
            Some("P-256" | "P-384" | "P-521") => None,
            other => {
                Some(format!("is on the curve {}, which clients do not take", other.unwrap_or("unknown")))
            }
        },
        oid::DSA => Some("is a DSA key, which no client takes any more".to_owned()),
        _ => None,
    };
    if let Some(what) = what {
        found.push(Fault::new(Reason::WeakKey, format!("the key of {name} {what}")));
    }
    let algorithm = certificate.signature_algorithm();
    let shown = algorithm.signature_name();
    let digest = algorithm.pss_digest().filter(|_| algorithm.oid == oid::RSASSA_PSS);
    let lower = shown.to_ascii_lowercase();
    let weak = lower.contains("sha1")
        || lower.contains("md5")
        || lower.contains("md2")
        || lower.contains("md4")
        || digest == Some(oid::SHA1);
    if weak && matches!(place, Place::Leaf | Place::Intermediate) {
        found.push(Fault::new(Reason::WeakSignature, format!("{name} is signed with {shown}")));
    }
}

fn rsa_weakness(key: &PublicKey<'_>, rules: &Rules) -> Option<String> {
    let bits = key.bits()?;
    // A modulus may lack its top bits: whole octets count, as in every client.
    if bits.div_ceil(8) * 8 < rules.rsa_bits_min {
        return Some(format!("is RSA of {bits} bits, fewer than {}", rules.rsa_bits_min));
    }
    if bits > 16_384 {
        return Some(format!("is RSA of {bits} bits, more than clients take"));
    }
    // CA/Browser Forum BR 6.1.5.
    (rules.profile >= Profile::WebPki && bits % 8 != 0)
        .then(|| format!("is RSA of {bits} bits, not a multiple of 8"))
}

/// What RFC 5280 demands of form, and only strict clients enforce.
fn rfc_5280(certificate: &Certificate<'_>, place: Place, found: &mut Vec<Fault>) {
    let name = called(certificate);
    let mut refuse = |reason: Reason, what: &str| found.push(Fault::new(reason, format!("{name} {what}")));
    // Section 4.2.1.1: only a self-signed certificate may leave it out.
    if certificate.authority_key_id().is_none() && !certificate.is_self_issued() {
        refuse(
            Reason::Malformed,
            "has no key identifier in authorityKeyIdentifier (RFC 5280 section 4.2.1.1)",
        );
    }
    let usage = certificate.key_usage();
    if matches!(place, Place::Leaf | Place::TrustedLeaf) {
        if usage.is_some_and(|usage| usage.key_cert_sign()) && !certificate.is_ca() {
            refuse(
                Reason::KeyUsageUnfit,
                "may sign certificates (keyCertSign), but is no CA (RFC 5280 section 4.2.1.9)",
            );
        }
        return;
    }
    if certificate.subject().is_empty() {
        refuse(Reason::Malformed, "is a CA without subject (RFC 5280 section 4.1.2.6)");
    }
    let basic = certificate.extension(oid::BASIC_CONSTRAINTS);
    if usage.is_some() && !basic.is_some_and(|basic| basic.critical) {
        refuse(
            Reason::Malformed,
            "is a CA whose basicConstraints are not critical (RFC 5280 section 4.2.1.9)",
        );
    }
}

/// What the Baseline Requirements demand, and linters check.
fn web_pki(certificate: &Certificate<'_>, place: Place, purpose: Purpose, found: &mut Vec<Fault>) {
    let name = called(certificate);
    let mut refuse = |reason: Reason, what: &str| found.push(Fault::new(reason, format!("{name} {what}")));
    match place {
        Place::Leaf | Place::TrustedLeaf => {
            let usages = certificate.extension(oid::EXTENDED_KEY_USAGE);
            if purpose != Purpose::Any && usages.is_none() {
                refuse(Reason::PurposeUnfit, "has no extended key usage (BR 7.1.2.7.6)");
            }
            if usages.is_some_and(|usages| usages.critical) {
                refuse(Reason::Malformed, "has a critical extended key usage (BR 7.1.2.7.6)");
            }
            if certificate.extended_key_usage().is_some_and(|usages| usages.has(oid::ANY_EXTENDED_KEY_USAGE))
            {
                refuse(Reason::PurposeUnfit, "is for any purpose (BR 7.1.2.7.10)");
            }
            let san = certificate.extension(oid::SUBJECT_ALT_NAME);
            if san.is_some_and(|san| san.critical) && !certificate.subject().is_empty() {
                refuse(Reason::Malformed, "has a critical subjectAltName beside a subject (BR 7.1.2.7.12)");
            }
            let common = certificate.subject().common_name();
            let listed =
                |common: &String| certificate.subject_alt_names().any(|name| name.to_text() == *common);
            if purpose == Purpose::Server && common.is_some_and(|common| !listed(&common)) {
                refuse(
                    Reason::Malformed,
                    "has a commonName that is none of its subjectAltNames (BR 7.1.4.3)",
                );
            }
        }
        Place::Anchor if certificate.is_self_issued() => {
            let Some(aki) = certificate.extension(oid::AUTHORITY_KEY_ID) else { return };
            let parts = Reader::new(aki.value).sequence().map_or(0, Iterator::count);
            if parts > 1 {
                refuse(
                    Reason::Malformed,
                    "is a root whose authorityKeyIdentifier names an issuer (BR 7.1.2.1.3)",
                );
            }
            if certificate.authority_key_id() != certificate.subject_key_id() {
                refuse(
                    Reason::Malformed,
                    "is a root whose authorityKeyIdentifier is not its subjectKeyIdentifier",
                );
            }
        }
        Place::Intermediate | Place::Anchor => {}
    }
}
