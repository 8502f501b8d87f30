//! PKCS#7 with certificates and nothing else (RFC 2315 section 9, the degenerate case).

use notafter_pki::der::{encode, tag};

use super::{integer, sequence};

const SIGNED_DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
pub(super) const DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];

/// The DER of a bag of certificates.
pub(in crate::deployers) fn write(chain: &[Vec<u8>]) -> Vec<u8> {
    let none = encode(tag::SET, &[]);
    let certificates = encode(tag::context(0), &chain.concat());
    let signed = sequence(&[&integer(1), &none, &sequence(&[DATA]), &certificates, &none]);
    sequence(&[SIGNED_DATA, &encode(tag::context(0), &signed)])
}
