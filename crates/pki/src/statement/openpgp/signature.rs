//! Signatures of OpenPGP keys over themselves (RFC 9580 section 5.2): what a key says of its own dates and uses.
//!
//! The digest a signature covers is computed and its first two octets compared with those that the signature itself
//! shows (section 5.2.3): that tells signatures moved, damaged or of other keys, at the price of a hash. The
//! public-key operation is deliberately left out, as nothing here is trusted because of it: a signature forged
//! with care passes, and gpg would refuse it.

use aws_lc_rs::digest;

use crate::time::UnixTime;

/// The types of signatures that matter here (RFC 9580 section 5.2.1).
#[allow(missing_docs)]
pub mod class {
    pub const DIRECT: u8 = 0x1f;
    pub const KEY_REVOCATION: u8 = 0x20;
    pub const SUBKEY_BINDING: u8 = 0x18;
    pub const SUBKEY_REVOCATION: u8 = 0x28;
    pub const CERTIFICATION_REVOCATION: u8 = 0x30;
}

/// A signature packet, as far as it is about its own key.
#[derive(Clone, Debug)]
pub struct Signature<'a> {
    /// Its type.
    pub class: u8,
    /// When it was made.
    pub created: u32,
    /// How many seconds after its creation the key lapses; 0 and none mean never.
    pub key_lifetime: Option<u32>,
    /// How many seconds after `created` the signature itself lapses.
    pub lifetime: Option<u32>,
    /// First octet of the key flags.
    pub flags: Option<u8>,
    /// Whether it marks its user id as the primary one.
    pub is_primary_user_id: bool,
    /// The last eight octets (or, version 6, the first) of the signer's fingerprint, as said outside or inside of
    /// what is signed.
    pub issuer: Option<[u8; 8]>,
    /// Why revoked (section 5.2.3.31).
    pub reason: Option<u8>,
    version: u8,
    digest: u8,
    /// What of the packet itself is hashed.
    hashed: &'a [u8],
    salt: &'a [u8],
    shown: [u8; 2],
}

impl<'a> Signature<'a> {
    /// Reads the body of a signature packet of version 2 to 6.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut out = Self {
            class: 0,
            created: 0,
            key_lifetime: None,
            lifetime: None,
            flags: None,
            is_primary_user_id: false,
            issuer: None,
            reason: None,
            version: *body.first()?,
            digest: 0,
            hashed: &[],
            salt: &[],
            shown: [0; 2],
        };
        match body {
            [2 | 3, 5, tail @ ..] => {
                out.hashed = tail.get(..5)?;
                out.class = *tail.first()?;
                out.created = word(tail.get(1..)?)?;
                out.issuer = tail.get(5..13)?.try_into().ok();
                out.digest = *tail.get(14)?;
                out.shown = *tail.get(15..)?.first_chunk()?;
            }
            [version @ 4..=6, class, _, digest, tail @ ..] => {
                (out.class, out.digest) = (*class, *digest);
                let wide = *version == 6;
                let (hashed, after) = area(tail, wide)?;
                out.hashed = body.get(..body.len() - after.len())?;
                let (unhashed, after) = area(after, wide)?;
                out.subpackets(hashed, true);
                out.subpackets(unhashed, false);
                out.shown = *after.first_chunk()?;
                if wide {
                    let length = usize::from(*after.get(2)?);
                    out.salt = after.get(3..3 + length)?;
                }
            }
            _ => return None,
        }
        Some(out)
    }

    /// RFC 9580 section 5.2.3.7: what counts only inside of what is signed is read only there.
    fn subpackets(&mut self, mut area: &[u8], signed: bool) {
        while let Some((length, tail)) = subpacket_length(area) {
            let Some((packet, rest)) = tail.split_at_checked(length) else { return };
            area = rest;
            let Some((kind, value)) = packet.split_first() else { continue };
            match (kind & 0x7f, value) {
                (2, value) if signed => self.created = word(value).unwrap_or(0),
                (3, value) if signed => self.lifetime = word(value).filter(|n| *n != 0),
                (9, value) if signed => self.key_lifetime = word(value).filter(|n| *n != 0),
                (25, [set, ..]) if signed => self.is_primary_user_id = *set != 0,
                (27, value) if signed => self.flags = Some(value.first().copied().unwrap_or(0)),
                (29, [code, ..]) if signed => self.reason = Some(*code),
                (16, value) if self.issuer.is_none() => self.issuer = value.try_into().ok(),
                (33, [4, print @ ..]) => self.issuer = print.last_chunk().copied(),
                (33, [5 | 6, print @ ..]) => self.issuer = print.first_chunk().copied(),
                _ => {}
            }
        }
    }

    /// When the signature itself lapses.
    pub fn expires(&self) -> Option<UnixTime> {
        Some(UnixTime(i64::from(self.created) + i64::from(self.lifetime?)))
    }

    /// Whether the signature is by this key over these octets, as far as the digest tells; `None` where the digest
    /// is one that nobody here can compute.
    pub fn covers(&self, signed: &[&[u8]]) -> Option<bool> {
        let algorithm = match self.digest {
            2 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            8 => &digest::SHA256,
            9 => &digest::SHA384,
            10 => &digest::SHA512,
            11 => &digest::SHA224,
            12 => &digest::SHA3_256,
            14 => &digest::SHA3_512,
            // MD5, which gpg takes from nobody (and RFC 9580 section 9.5 from no new signature).
            1 => return Some(false),
            // RIPEMD-160.
            _ => return None,
        };
        let mut context = digest::Context::new(algorithm);
        context.update(self.salt);
        signed.iter().for_each(|part| context.update(part));
        context.update(self.hashed);
        let length = self.hashed.len();
        match self.version {
            4 | 6 => {
                context.update(&[self.version, 0xff]);
                context.update(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
            }
            // LibrePGP counts in eight octets.
            5 => {
                context.update(&[5, 0xff]);
                context.update(&(length as u64).to_be_bytes());
            }
            _ => {}
        }
        Some(context.finish().as_ref().starts_with(&self.shown))
    }

    /// Whether user ids are hashed with a header (section 5.2.4): not by version 3.
    pub fn frames_user_ids(&self) -> bool {
        self.version > 3
    }
}

fn word(octets: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*octets.first_chunk()?))
}

fn area(bytes: &[u8], wide: bool) -> Option<(&[u8], &[u8])> {
    let (length, tail) = if wide {
        (word(bytes)? as usize, bytes.get(4..)?)
    } else {
        (usize::from(u16::from_be_bytes(*bytes.first_chunk()?)), bytes.get(2..)?)
    };
    tail.split_at_checked(length)
}

fn subpacket_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    Some(match bytes {
        [first @ 0..=191, rest @ ..] => (usize::from(*first), rest),
        [first @ 192..=254, second, rest @ ..] => {
            ((usize::from(*first) - 192) * 256 + usize::from(*second) + 192, rest)
        }
        [255, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &[u8], expected: Option<(u8, u32, Option<u32>)>) {
        let found = Signature::parse(body).map(|s| (s.class, s.created, s.key_lifetime));
        assert_eq!(found, expected, "{body:02x?}");
    }

    #[test]
    fn dates_count_only_where_they_are_signed() {
        let created = [5, 2, 0, 0, 0, 9];
        let lifetime = [5, 9, 0, 0, 0, 7];
        let body = |hashed: &[u8], unhashed: &[u8]| {
            let length = |area: &[u8]| (area.len() as u16).to_be_bytes();
            [&[4, 0x13, 1, 8], &length(hashed)[..], hashed, &length(unhashed)[..], unhashed, &[1, 2]].concat()
        };
        let both = [created, lifetime].concat();
        check(&body(&both, &[]), Some((0x13, 9, Some(7))));
        check(&body(&created, &lifetime), Some((0x13, 9, None)));
        check(&body(&[5, 9, 0, 0, 0, 0], &[]), Some((0x13, 0, None)));
        // A subpacket that overruns its area ends it.
        check(&body(&[200, 9], &[]), Some((0x13, 0, None)));
        let whole = body(&both, &created);
        for end in 0..whole.len() {
            check(whole.get(..end).unwrap_or(&[]), None);
        }
        check(&[3, 5, 0x10, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0, 0], Some((0x10, 1, None)));
    }
}
