//! What can still be told about a certificate that [`Certificate::parse`] refuses: BER, cut or corrupted.
//!
//! A deadline half readable is better than a certificate dropped. First the bytes are made definite and
//! parsed again; failing that, elements are walked with lengths clipped to the bytes there are, and told
//! apart by their shape, not their place. Best effort: nothing found here is more than a hint.

use crate::asn1_time;
use crate::certificate::Certificate;
use crate::der::{self, Reader, tag};
use crate::name::Name;
use crate::time::UnixTime;

/// The facts that were saved. Names are DER and own their bytes, since BER has to be re-encoded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvaged {
    /// Contents octets of the serial number.
    pub serial: Option<Vec<u8>>,
    /// DER of the issuer name; see [`Salvaged::issuer_name`].
    pub issuer_der: Option<Vec<u8>>,
    /// DER of the subject; see [`Salvaged::subject`].
    pub subject_der: Option<Vec<u8>>,
    /// Start of validity.
    pub not_before: Option<UnixTime>,
    /// End of validity.
    pub not_after: Option<UnixTime>,
    /// DER of the SubjectPublicKeyInfo.
    pub spki: Option<Vec<u8>>,
    /// The subjectAltName entries, as text that is safe to print.
    pub names: Vec<String>,
}

impl Salvaged {
    /// The issuer name.
    pub fn issuer_name(&self) -> Option<Name<'_>> {
        self.issuer_der.as_deref().map(Name::new)
    }

    /// The subject.
    pub fn subject(&self) -> Option<Name<'_>> {
        self.subject_der.as_deref().map(Name::new)
    }

    /// Whether nothing at all was saved.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Saves what can be told from these bytes. Linear in their length.
pub fn salvage(bytes: &[u8]) -> Salvaged {
    if let Ok(definite) = der::definite(bytes)
        && let Ok(certificate) = Certificate::parse(&definite)
    {
        return of_certificate(&certificate);
    }
    let mut saved = Salvaged::default();
    let Some((tag::SEQUENCE, whole, _)) = clipped(bytes) else { return saved };
    let Some((tag::SEQUENCE, mut rest, _)) = clipped(whole) else { return saved };
    // No certificate has more than ten fields; more is noise.
    for _ in 0..16 {
        let Some((field_tag, value, after)) = clipped(rest) else { break };
        let raw = rest.get(..rest.len() - after.len()).unwrap_or(rest);
        rest = after;
        let whole = || der::definite(raw).unwrap_or_else(|_| der::encode(field_tag, value));
        match field_tag {
            tag::INTEGER if saved.serial.is_none() => saved.serial = Some(value.to_vec()),
            tag::SEQUENCE => match value.first() {
                None | Some(&tag::SET) if saved.issuer_der.is_none() => saved.issuer_der = Some(whole()),
                None | Some(&tag::SET) if saved.subject_der.is_none() => saved.subject_der = Some(whole()),
                Some(&(tag::UTC_TIME | tag::GENERALIZED_TIME)) if saved.not_before.is_none() => {
                    let mut times = Reader::new(value).map(|time| asn1_time::read(&time));
                    saved.not_before = times.next().flatten().map(|instant| instant.time);
                    saved.not_after = times.next().flatten().map(|instant| instant.time);
                }
                Some(&tag::SEQUENCE) if saved.spki.is_none() => saved.spki = Some(whole()),
                _ => {}
            },
            _ => {}
        }
    }
    saved
}

fn of_certificate(certificate: &Certificate<'_>) -> Salvaged {
    Salvaged {
        serial: Some(certificate.serial().to_vec()),
        issuer_der: Some(certificate.issuer_name().der().to_vec()),
        subject_der: Some(certificate.subject().der().to_vec()),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        spki: Some(certificate.spki().to_vec()),
        names: certificate.subject_alt_names().map(|name| name.to_text()).collect(),
    }
}

/// Tag, contents and what follows, with the length clipped to the bytes there are; an indefinite element that
/// never ends has all the rest for its contents.
fn clipped(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, start, length) = der::header(bytes).ok()?;
    let body = bytes.get(start..)?;
    match length {
        Some(length) => {
            let (value, rest) = body.split_at_checked(length).unwrap_or((body, &[]));
            Some((tag, value, rest))
        }
        None => match der::skip_ber(bytes) {
            Ok(end) => Some((tag, bytes.get(start..end.checked_sub(2)?)?, bytes.get(end..)?)),
            Err(_) => Some((tag, body, &[])),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    /// A skeleton of a certificate, enough for `Certificate::parse`.
    fn skeleton() -> Vec<u8> {
        let attribute = [encode(tag::OID, crate::oid::COMMON_NAME), encode(tag::UTF8_STRING, b"x")].concat();
        let name = encode(tag::SEQUENCE, &encode(tag::SET, &encode(tag::SEQUENCE, &attribute)));
        let time = encode(tag::UTC_TIME, b"260101000000Z");
        let validity = encode(tag::SEQUENCE, &[time.clone(), time].concat());
        let algorithm = encode(tag::SEQUENCE, &encode(tag::OID, crate::oid::ED25519));
        let key = encode(tag::BIT_STRING, &[0, 1, 2, 3]);
        let spki = encode(tag::SEQUENCE, &[algorithm.clone(), key.clone()].concat());
        let serial = encode(tag::INTEGER, &[7]);
        let tbs = [serial, algorithm.clone(), name.clone(), validity, name, spki].concat();
        encode(tag::SEQUENCE, &[encode(tag::SEQUENCE, &tbs), algorithm, key].concat())
    }

    fn check(bytes: &[u8], subject: Option<&str>, not_after: Option<&str>) {
        let saved = salvage(bytes);
        assert_eq!(saved.subject().map(|name| name.to_rfc4514()).as_deref(), subject);
        assert_eq!(saved.not_after.map(|time| time.to_string()).as_deref(), not_after);
    }

    #[test]
    fn whole_cut_and_indefinite() {
        let whole = skeleton();
        check(&whole, Some("CN=x"), Some("2026-01-01T00:00:00Z"));
        check(whole.get(..60).expect("long enough"), None, Some("2026-01-01T00:00:00Z"));
        check(&[], None, None);
        check(b"\x30\x80\x30\x80", None, None);
        // The same with an indefinite outer length.
        let inner = Reader::new(&whole).read().expect("own encoding").value;
        let ber = [&[0x30, 0x80][..], inner, &[0, 0]].concat();
        assert!(Certificate::parse(&ber).is_err());
        check(&ber, Some("CN=x"), Some("2026-01-01T00:00:00Z"));
        for cut in 0..whole.len() {
            let _ = salvage(whole.get(..cut).unwrap_or(&[]));
        }
    }
}
