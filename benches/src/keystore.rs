//! Java keystores (JKS) with one trusted certificate each, to be found by a crawl.
//!
//! The format is the one of the JDK: magic, version 2, entries, and a SHA-1 over password and contents.

use aws_lc_rs::digest;

/// The entry is called `server`, the password is `changeit`.
pub(crate) fn jks(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xfeed_feed_u32.to_be_bytes());
    out.extend(2_u32.to_be_bytes());
    out.extend(1_u32.to_be_bytes());
    out.extend(2_u32.to_be_bytes());
    text(&mut out, "server");
    out.extend(1_700_000_000_000_u64.to_be_bytes());
    text(&mut out, "X.509");
    out.extend((der.len() as u32).to_be_bytes());
    out.extend(der);
    let mut keyed = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    keyed.update(&"changeit".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>());
    keyed.update(b"Mighty Aphrodite");
    keyed.update(&out);
    out.extend(keyed.finish().as_ref());
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}
