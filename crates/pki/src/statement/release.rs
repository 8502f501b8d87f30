//! Debian's Release and InRelease files: until when apt takes a repository's word (`Valid-Until`).
//!
//! Form by the Debian repository format ("Date, Valid-Until"), clearsigned or not. A file without that field never
//! lapses and is left alone. Who signed is told from the signature's own words, unverified.

use memchr::memmem;

use super::openpgp::packet::{Packets, id};
use super::openpgp::signature::Signature;
use super::{Statement, StatementKind, read_rfc2822};
use crate::container::base64;
use crate::container::{Content, Found, Place, Reason, Session};
use crate::fingerprint::{Fingerprint, hex};

/// The field that makes it lapse.
pub(crate) const MARKER: &[u8] = b"Valid-Until: ";
/// The fields stand before the long lists of digests.
const HEAD_MAX: usize = 64 << 10;

/// Reads a file that is one.
pub(crate) fn read(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let head = String::from_utf8_lossy(bytes.get(..bytes.len().min(HEAD_MAX)).unwrap_or(&[]));
    let field = |name: &str| {
        let at_name = |line: &str| {
            line.split_once(':').filter(|(key, _)| *key == name).map(|(_, v)| v.trim().to_owned())
        };
        head.lines().take(200).find_map(at_name)
    };
    let (Some(until), Some(made)) = (field("Valid-Until"), field("Date")) else { return };
    let (suite, codename) = (field("Suite"), field("Codename"));
    if suite.is_none() && codename.is_none() {
        return;
    }
    let Some(end) = read_rfc2822(&until) else {
        let until = crate::name::printable(&until);
        return session.problem(Reason::Malformed, format!("a Valid-Until that is no date: {until:?}"));
    };
    let origin = field("Origin");
    let name = suite.clone().or_else(|| codename.clone()).unwrap_or_default();
    let statement = Statement::new(
        StatementKind::SignedMetadata,
        format!("{} {name} Release", origin.as_deref().unwrap_or("Debian")),
    )
    .name(suite.as_deref().unwrap_or_default())
    .name(codename.as_deref().unwrap_or_default())
    .issuer(origin.unwrap_or_default())
    .dated(read_rfc2822(&made), Some(end))
    .fact("format", "debian-release")
    .fact_if("label", field("Label"))
    .fact_if("version", field("Version"))
    .fact_if("signed_by", signer(bytes))
    .fact("sha256", Fingerprint::of(bytes).to_string());
    session.keep(found, Content::Statement(statement), Place::whole());
}

/// The key id within the last signature of a clearsigned text.
fn signer(bytes: &[u8]) -> Option<String> {
    let start = memmem::find(bytes, b"-----BEGIN PGP SIGNATURE-----")?;
    let armour = bytes.get(start + 29..bytes.len().min(start + HEAD_MAX))?;
    let armour = armour.get(..memmem::find(armour, b"-----END").unwrap_or(armour.len()))?;
    let lines = armour.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    let data: Vec<u8> =
        lines.filter(|line| !line.contains(&b':') && !line.starts_with(b"=")).flatten().copied().collect();
    let decoded = base64::decode(&data);
    let signers: Vec<_> = Packets::new(&decoded)
        .filter(|packet| packet.id == id::SIGNATURE)
        .filter_map(|packet| Some(hex(&Signature::parse(packet.body)?.issuer?).to_ascii_uppercase()))
        .take(8)
        .collect();
    (!signers.is_empty()).then(|| signers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, open};

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let opened = open(text.as_bytes(), &[], &Limits::default());
        let found = opened.found.first().map(|one| {
            let Content::Statement(statement) = &one.content else { panic!("a statement") };
            (statement.title().to_owned(), statement.not_after().expect("a date").to_string())
        });
        let found = found.as_ref().map(|(title, until)| (title.as_str(), until.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn releases() {
        let text = "Origin: Debian\nLabel: Debian\nSuite: stable-security\nCodename: trixie-security\nDate: Sat, 01 \
                    Nov 2025 10:00:00 UTC\nValid-Until: Sat, 08 Nov 2025 10:00:00 UTC\nSHA256:\n 00 1 main/x\n";
        let expected = Some(("Debian stable-security Release", "2025-11-08T10:00:00Z"));
        check(text, expected);
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}-----BEGIN PGP SIGNATURE-----\n\niQ\n=x\n-----END PGP SIGNATURE-----\n"
        );
        check(&signed, expected);
        check(&text.replace("Valid-Until", "Valid-Unti1"), None);
        check(&text.replace("Suite", "X").replace("Codename", "Y"), None);
        check(&text.replace("08 Nov", "38 Nov"), None);
    }
}
