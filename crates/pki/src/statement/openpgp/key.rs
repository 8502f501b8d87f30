//! Public keys of OpenPGP (RFC 9580 section 5.5.2): version, date, algorithm, fingerprint.
//!
//! Of a secret key only the public half is looked at: it stands first, and its end is found by counting its parts.

use aws_lc_rs::digest;

use crate::fingerprint::{hex, sha256};

/// The public half of a key or subkey packet.
#[derive(Clone, Debug)]
pub struct PublicPart<'a> {
    /// 2 to 6.
    pub version: u8,
    /// Seconds since 1970.
    pub created: u32,
    /// Days after `created` until it lapses: versions 2 and 3 only.
    pub days: u16,
    /// The algorithm's number (section 9.1).
    pub algorithm: u8,
    /// Size by which its strength is told.
    pub bits: Option<u32>,
    /// The name of its curve.
    pub curve: Option<&'static str>,
    /// The octets that fingerprints and signatures cover.
    pub body: &'a [u8],
}

impl<'a> PublicPart<'a> {
    /// Reads the body of a key packet.
    pub fn parse(body: &'a [u8], is_secret: bool) -> Option<Self> {
        let (version, algorithm, days, start) = match body {
            [version @ (2 | 3), _, _, _, _, a, b, algorithm, ..] => {
                (*version, *algorithm, u16::from_be_bytes([*a, *b]), 8)
            }
            [4, _, _, _, _, algorithm, ..] => (4, *algorithm, 0, 6),
            [version @ (5 | 6), _, _, _, _, algorithm, _, _, _, _, ..] => (*version, *algorithm, 0, 10),
            _ => return None,
        };
        let created = u32::from_be_bytes(*body.get(1..)?.first_chunk()?);
        let material = body.get(start..)?;
        let (length, bits, curve) = measure(algorithm, material);
        let end = if version >= 5 {
            start.checked_add(u32::from_be_bytes(*body.get(6..)?.first_chunk()?) as usize)?
        } else if is_secret {
            start + length?
        } else {
            body.len()
        };
        Some(Self { version, created, days, algorithm, bits, curve, body: body.get(..end)? })
    }

    /// The octets with which a key stands in what signatures cover (section 5.2.4).
    pub fn frame(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len()).unwrap_or(u32::MAX).to_be_bytes();
        match self.version {
            5 => [&[0x9a], &length[..]].concat(),
            6 => [&[0x9b], &length[..]].concat(),
            _ => [&[0x99], length.get(2..).unwrap_or(&[])].concat(),
        }
    }

    /// The fingerprint in upper-case hex (section 5.5.4); for version 3, whose fingerprint is MD5, the key id.
    pub fn fingerprint(&self) -> String {
        let print = match self.version {
            4 => {
                let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
                context.update(&self.frame());
                context.update(self.body);
                context.finish().as_ref().to_vec()
            }
            5 | 6 => sha256(&[&self.frame()[..], self.body].concat()).to_vec(),
            _ => return hex(&self.key_id()).to_ascii_uppercase(),
        };
        hex(&print).to_ascii_uppercase()
    }

    /// The key id (section 5.5.4).
    pub fn key_id(&self) -> [u8; 8] {
        if self.version < 4 {
            // The low octets of the modulus.
            let modulus = self.body.get(8..).and_then(|material| mpi(material)).map_or(&[][..], |(n, _)| n);
            return modulus.last_chunk().copied().unwrap_or([0; 8]);
        }
        let print = self.fingerprint();
        let digits = if self.version == 4 { print.get(24..) } else { print.get(..16) };
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0).to_be_bytes()
    }

    /// The algorithm's name.
    pub fn algorithm_name(&self) -> String {
        match self.algorithm {
            1..=3 => "RSA",
            16 | 20 => "ElGamal",
            17 => "DSA",
            18 => "ECDH",
            19 => "ECDSA",
            22 => "EdDSA",
            25 => "X25519",
            26 => "X448",
            27 => "Ed25519",
            28 => "Ed448",
            30 => "ML-DSA-65+Ed25519",
            31 => "ML-DSA-87+Ed448",
            32 => "SLH-DSA-SHAKE-128s",
            33 => "SLH-DSA-SHAKE-128f",
            34 => "SLH-DSA-SHAKE-256s",
            35 => "ML-KEM-768+X25519",
            36 => "ML-KEM-1024+X448",
            other => return format!("algorithm {other}"),
        }
        .to_owned()
    }
}

/// An integer with its bits counted in front, and what follows it.
fn mpi(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bits = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    bytes.get(2..)?.split_at_checked(bits.div_ceil(8))
}

/// How long the public material is, and its size and curve.
fn measure(algorithm: u8, material: &[u8]) -> (Option<usize>, Option<u32>, Option<&'static str>) {
    let bits = || material.first_chunk().map(|bits| u32::from(u16::from_be_bytes(*bits)));
    let after_integers = |count: usize| {
        let mut rest = material;
        for _ in 0..count {
            rest = mpi(rest)?.1;
        }
        Some(material.len() - rest.len())
    };
    match algorithm {
        1..=3 => (after_integers(2), bits(), None),
        16 | 20 => (after_integers(3), bits(), None),
        17 => (after_integers(4), bits(), None),
        18 | 19 | 22 => {
            let curve = material
                .split_first()
                .and_then(|(length, rest)| rest.get(..usize::from(*length)))
                .and_then(curve_of);
            let length = || {
                let oid = usize::from(*material.first()?) + 1;
                let rest = mpi(material.get(oid..)?)?.1;
                let end = material.len() - rest.len();
                // ECDH names its key derivation after the point.
                Some(if algorithm == 18 { end + 1 + usize::from(*rest.first()?) } else { end })
            };
            (length(), curve.map(|(_, bits)| bits), curve.map(|(name, _)| name))
        }
        25 | 27 => (Some(32), Some(256), None),
        26 => (Some(56), Some(448), None),
        28 => (Some(57), Some(456), None),
        35 => (Some(32 + 1184), None, None),
        _ => (None, None, None),
    }
}

/// Curves by identifier (RFC 9580 section 9.2).
fn curve_of(oid: &[u8]) -> Option<(&'static str, u32)> {
    Some(match oid {
        [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01] => ("Ed25519", 255),
        [0x2b, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01] => ("Curve25519", 255),
        [0x2b, 0x65, 0x71] => ("Ed448", 448),
        [0x2b, 0x65, 0x6f] => ("X448", 448),
        [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07] => ("brainpoolP256r1", 256),
        [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b] => ("brainpoolP384r1", 384),
        [0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0d] => ("brainpoolP512r1", 512),
        other => return crate::oid::curve(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], is_secret: bool, expected: Option<(usize, &str)>) {
        let found = PublicPart::parse(body, is_secret);
        let found = found.as_ref().map(|key| (key.body.len(), key.algorithm_name()));
        assert_eq!(found.as_ref().map(|(length, name)| (*length, name.as_str())), expected, "{body:02x?}");
    }

    #[test]
    fn the_public_half_ends_where_its_parts_do() {
        let rsa = [4, 0x60, 0, 0, 0, 1, 0, 16, 0xab, 0xcd, 0, 2, 3];
        check(&rsa, false, Some((13, "RSA")));
        check(&[&rsa[..], &[0, 0, 1, 1]].concat(), true, Some((13, "RSA")));
        check(&rsa[..12], true, None);
        let x = [&[6, 0x60, 0, 0, 0, 27, 0, 0, 0, 32][..], &[7; 32], &[9; 40]].concat();
        check(&x, true, Some((42, "Ed25519")));
        check(&[6, 0x60, 0, 0, 0, 27, 255, 255, 255, 255], false, None);
        check(&[4, 0x60, 0, 0, 0, 99, 1], false, Some((7, "algorithm 99")));
        check(&[4, 0x60, 0, 0, 0, 99, 1], true, None);
        check(&[9, 0, 0, 0, 0, 1], false, None);
        let old = [3, 0x30, 0, 0, 0, 0, 10, 1, 0, 72, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 2, 3];
        assert_eq!(PublicPart::parse(&old, false).expect("a key").key_id(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
