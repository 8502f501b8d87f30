//! The certificates of one server, in the order it sent them, in one allocation.
//!
//! A grab makes one of these and nothing else, so its shape is chosen for that: the raw list of the
//! Certificate message. The bytes of each certificate are not looked into.

use std::fmt;

/// A non-empty list of certificates (DER, unparsed), leaf first as far as the server keeps to the standard.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    /// Each certificate behind its 24-bit length. Only ever built by `push`.
    bytes: Box<[u8]>,
    count: u32,
}

impl Chain {
    /// Takes what `next` yields, of which `bytes` is the sum of lengths; `None` if it yields nothing.
    pub(crate) fn collect<'a>(total: usize, certificates: impl Iterator<Item = &'a [u8]>) -> Option<Chain> {
        let mut bytes = Vec::with_capacity(total);
        let mut count = 0;
        for der in certificates {
            let length = u32::try_from(der.len()).ok().filter(|length| *length < 1 << 24)?;
            bytes.extend_from_slice(&length.to_be_bytes()[1..]);
            bytes.extend_from_slice(der);
            count += 1;
        }
        (count > 0).then(|| Chain { bytes: bytes.into_boxed_slice(), count })
    }

    /// How many certificates there are; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// The first certificate: the server's own.
    pub fn leaf(&self) -> &[u8] {
        self.iter().next().unwrap_or_default()
    }

    /// The certificates in the order received.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<3>()?;
            let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
            let (der, after) = after.split_at_checked(length)?;
            rest = after;
            Some(der)
        })
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_bytes() {
        let check = |certificates: &[&[u8]]| {
            let chain = Chain::collect(0, certificates.iter().copied()).unwrap();
            assert_eq!(chain.len(), certificates.len());
            assert_eq!(chain.leaf(), certificates[0]);
            assert_eq!(chain.iter().collect::<Vec<_>>(), certificates);
        };
        check(&[b"leaf"]);
        check(&[b"leaf", b"", b"root"]);
        assert!(Chain::collect(0, std::iter::empty()).is_none());
    }
}
