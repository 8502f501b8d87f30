//! DER of certificates and CRLs, as RFC 5280 wants them. Values in, bytes out: no key, no policy, no clock.
//!
//! Own, because it is small and every octet is decided here: names are carried over as they are encoded above, and
//! what is critical is critical. openssl and GnuTLS are the judges in the tests.

use notafter_core::UnixTime;
use notafter_pki::der::{encode, strip_zeros, tag};
use notafter_pki::fingerprint::sha256;
use notafter_pki::key::PublicKey;
use notafter_pki::oid;

/// What a certificate says (RFC 5280 section 4.1.2).
pub(super) struct Draft<'a> {
    /// Positive, big-endian.
    pub(super) serial: &'a [u8],
    /// The AlgorithmIdentifier of the signature to come.
    pub(super) algorithm: &'a [u8],
    /// The issuer's name, DER.
    pub(super) issuer: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// The subject's name, DER.
    pub(super) subject: &'a [u8],
    /// SubjectPublicKeyInfo.
    pub(super) spki: &'a [u8],
    /// Each as [`extension`] makes it.
    pub(super) extensions: Vec<Vec<u8>>,
}

impl Draft<'_> {
    /// The TBSCertificate, version 3.
    pub(super) fn tbs(&self) -> Vec<u8> {
        let version = encode(tag::context(0), &[tag::INTEGER, 1, 2]);
        let validity = [time(self.not_before), time(self.not_after)].concat();
        let extensions = encode(tag::SEQUENCE, &self.extensions.concat());
        sequence(&[
            &version,
            &integer(self.serial),
            self.algorithm,
            self.issuer,
            &encode(tag::SEQUENCE, &validity),
            self.subject,
            self.spki,
            &encode(tag::context(3), &extensions),
        ])
    }
}

/// One entry of a CRL: serial, when, CRLReason (0 is said by saying nothing, RFC 5280 section 5.3.1).
pub(super) struct Entry {
    pub(super) serial: Vec<u8>,
    pub(super) at: UnixTime,
    pub(super) reason: u8,
}

/// What a CRL says (RFC 5280 section 5.1.2).
pub(super) struct List<'a> {
    pub(super) algorithm: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) this_update: UnixTime,
    pub(super) next_update: UnixTime,
    pub(super) entries: &'a [Entry],
    pub(super) extensions: Vec<Vec<u8>>,
}

impl List<'_> {
    /// The TBSCertList, version 2.
    pub(super) fn tbs(&self) -> Vec<u8> {
        let entry = |entry: &Entry| {
            let reason = (entry.reason != 0).then(|| {
                let code = encode(tag::ENUMERATED, &[entry.reason]);
                encode(tag::SEQUENCE, &extension(oid::REASON_CODE, false, &code))
            });
            sequence(&[&integer(&entry.serial), &time(entry.at), &reason.unwrap_or_default()])
        };
        // "MUST be absent" where nothing is revoked (section 5.1.2.6).
        let revoked = match self.entries.is_empty() {
            true => Vec::new(),
            false => encode(tag::SEQUENCE, &self.entries.iter().map(entry).collect::<Vec<_>>().concat()),
        };
        let extensions = encode(tag::SEQUENCE, &self.extensions.concat());
        sequence(&[
            &[tag::INTEGER, 1, 1],
            self.algorithm,
            self.issuer,
            &time(self.this_update),
            &time(self.next_update),
            &revoked,
            &encode(tag::context(0), &extensions),
        ])
    }
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    encode(tag::SEQUENCE, &parts.concat())
}

/// A non-negative INTEGER from big-endian octets.
pub(super) fn integer(octets: &[u8]) -> Vec<u8> {
    let octets = strip_zeros(octets);
    let padded = octets.first().is_none_or(|o| o & 0x80 != 0);
    let zero: &[u8] = if padded { &[0] } else { &[] };
    encode(tag::INTEGER, &[zero, octets].concat())
}

/// UTCTime through 2049, GeneralizedTime after it (RFC 5280 section 4.1.2.5).
pub(super) fn time(at: UnixTime) -> Vec<u8> {
    let c = at.civil();
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", c.month, c.day, c.hour, c.minute, c.second);
    match (1950..2050).contains(&c.year) {
        true => encode(tag::UTC_TIME, format!("{:02}{rest}", c.year % 100).as_bytes()),
        false => encode(tag::GENERALIZED_TIME, format!("{:04}{rest}", c.year).as_bytes()),
    }
}

/// An Extension (RFC 5280 section 4.1).
pub(super) fn extension(name: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[tag::BOOLEAN, 1, 0xff] } else { &[] };
    sequence(&[&encode(tag::OID, name), flag, &encode(tag::OCTET_STRING, value)])
}

/// The key identifier of a key: 160 bits of the SHA-256 of its bits (RFC 7093 section 2, method 1).
pub(super) fn key_id(spki: &[u8]) -> Vec<u8> {
    sha256(PublicKey::read(spki).key())[..20].to_vec()
}

/// subjectKeyIdentifier (RFC 5280 section 4.2.1.2).
pub(super) fn subject_key_id(spki: &[u8]) -> Vec<u8> {
    extension(oid::SUBJECT_KEY_ID, false, &encode(tag::OCTET_STRING, &key_id(spki)))
}

/// authorityKeyIdentifier with the key identifier alone (RFC 5280 section 4.2.1.1).
pub(super) fn authority_key_id(id: &[u8]) -> Vec<u8> {
    extension(oid::AUTHORITY_KEY_ID, false, &sequence(&[&encode(tag::context_primitive(0), id)]))
}

/// basicConstraints (RFC 5280 section 4.2.1.9): of a CA with its path length, or of none.
pub(super) fn basic_constraints(path: Option<u8>) -> Vec<u8> {
    let value = path.map_or_else(|| sequence(&[]), |n| sequence(&[&[tag::BOOLEAN, 1, 0xff], &integer(&[n])]));
    extension(oid::BASIC_CONSTRAINTS, true, &value)
}

/// keyUsage (RFC 5280 section 4.2.1.3) with these bits, counted from 0 (digitalSignature).
pub(super) fn key_usage(bits: &[u8]) -> Vec<u8> {
    let octet = bits.iter().fold(0_u8, |all, bit| all | (0x80 >> (bit & 7)));
    let unused = u8::try_from(octet.trailing_zeros().min(7)).unwrap_or(0);
    extension(oid::KEY_USAGE, true, &encode(tag::BIT_STRING, &[unused, octet]))
}

/// extKeyUsage (RFC 5280 section 4.2.1.12).
pub(super) fn extended_key_usage(purposes: &[&[u8]]) -> Vec<u8> {
    let list: Vec<Vec<u8>> = purposes.iter().map(|oid| encode(tag::OID, oid)).collect();
    extension(oid::EXTENDED_KEY_USAGE, false, &encode(tag::SEQUENCE, &list.concat()))
}

/// A dNSName.
pub(super) fn dns(name: &str) -> Vec<u8> {
    encode(tag::context_primitive(2), name.as_bytes())
}

/// An iPAddress: an address, or in constraints an address with its mask.
pub(super) fn ip(octets: &[u8]) -> Vec<u8> {
    encode(tag::context_primitive(7), octets)
}

/// subjectAltName; critical where the subject is empty (RFC 5280 section 4.2.1.6).
pub(super) fn subject_alt_name(names: &[Vec<u8>], critical: bool) -> Vec<u8> {
    extension(oid::SUBJECT_ALT_NAME, critical, &encode(tag::SEQUENCE, &names.concat()))
}

/// nameConstraints, critical (RFC 5280 section 4.2.1.10). Both lists hold names of the kinds above.
pub(super) fn name_constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let subtrees = |number: u8, names: &[Vec<u8>]| {
        let list: Vec<Vec<u8>> = names.iter().map(|name| sequence(&[name])).collect();
        if list.is_empty() { Vec::new() } else { encode(tag::context(number), &list.concat()) }
    };
    extension(oid::NAME_CONSTRAINTS, true, &sequence(&[&subtrees(0, permitted), &subtrees(1, excluded)]))
}

/// cRLDistributionPoints with one address (RFC 5280 section 4.2.1.13).
pub(super) fn distribution_point(url: &str) -> Vec<u8> {
    let uri = encode(tag::context_primitive(6), url.as_bytes());
    let point = encode(tag::context(0), &encode(tag::context(0), &uri));
    extension(oid::CRL_DISTRIBUTION_POINTS, false, &sequence(&[&sequence(&[&point])]))
}

/// cRLNumber (RFC 5280 section 5.2.3).
pub(super) fn crl_number(number: u64) -> Vec<u8> {
    extension(oid::CRL_NUMBER, false, &integer(&number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_times() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&300_u64.to_be_bytes()), [2, 2, 1, 0x2c]);
        assert_eq!(time(UnixTime(2_524_607_999)), *b"\x17\x0d491231235959Z");
        assert_eq!(time(UnixTime(2_524_608_000)), *b"\x18\x0f20500101000000Z");
    }

    #[test]
    fn bits_of_key_usage() {
        // keyCertSign and cRLSign: 0x06 with one bit unused.
        assert!(key_usage(&[5, 6]).ends_with(&[3, 2, 1, 0x06]));
        assert!(key_usage(&[0]).ends_with(&[3, 2, 7, 0x80]));
    }
}
