//! Signatures in CMS (RFC 5652 section 5): who signed, when, and the date the signature dies.
//!
//! A signature without a timestamp dies with its signer's certificate. One with a timestamp (RFC 3161, or the
//! countersignature of older Authenticode) outlives it, unless the certificate says otherwise: the purpose
//! "lifetime signing" of Microsoft binds the signature to the certificate's end. That a timestamp belongs to its
//! signature is checked, by digest; who made it, and every signature's arithmetic, is for a verifier. The
//! carriers, PE and PowerShell, have files of their own; of a JAR this reads the signature block that
//! whoever opens the archive hands over.

use aws_lc_rs::digest;

use super::{Statement, StatementKind};
use crate::asn1_time;
use crate::certificate::Certificate;
use crate::der::{Reader, Tlv, definite, tag, unsigned};
use crate::fingerprint::{Fingerprint, hex};
use crate::key::AlgorithmIdentifier;
use crate::name::Name;
use crate::oid;
use crate::time::UnixTime;

/// Signers of one signature block.
const SIGNERS_MAX: usize = 32;
/// How deep signatures within signatures are followed (Authenticode nests its second one).
const NESTING_MAX: usize = 4;

/// What carries a signature; the word stands in the statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// A CMS message or a detached signature.
    Cms,
    /// A Windows executable.
    Authenticode,
    /// A signature block of a Java archive.
    Jar,
    /// A signature block of a PowerShell script.
    Powershell,
}

impl Carrier {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cms => "cms",
            Self::Authenticode => "authenticode",
            Self::Jar => "jar",
            Self::Powershell => "powershell",
        }
    }
}

/// What the signature block of a JAR states (`META-INF/*.RSA`, `.EC` or `.DSA`: the bytes of that file).
pub fn jar_signature(block: &[u8]) -> Vec<Statement> {
    statements(block, Carrier::Jar)
}

/// What the signatures in a ContentInfo state, BER or DER; empty where it is no signed data.
pub fn statements(bytes: &[u8], carrier: Carrier) -> Vec<Statement> {
    let mut out = Vec::new();
    if collect(bytes, carrier, 0, &mut out).is_none()
        && let Ok(der) = definite(bytes)
    {
        out.clear();
        let _ = collect(&der, carrier, 0, &mut out);
    }
    out
}

/// DER of the certificates in a ContentInfo; empty where it is no signed data.
pub fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let list = |bytes: &[u8]| {
        Some(SignedData::parse(bytes)?.certificates().map(|der| der.to_vec()).take(100).collect::<Vec<_>>())
    };
    list(bytes).or_else(|| list(&definite(bytes).ok()?)).unwrap_or_default()
}

/// The parts of SignedData.
struct SignedData<'a> {
    content_type: &'a [u8],
    content: Option<&'a [u8]>,
    certificates: &'a [u8],
    signers: &'a [u8],
}

impl<'a> SignedData<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut info = Reader::new(bytes).sequence().ok()?;
        if info.expect(tag::OID).ok()?.value != oid::PKCS7_SIGNED_DATA {
            return None;
        }
        let mut signed = info.expect(tag::context(0)).ok()?.reader().sequence().ok()?;
        signed.expect(tag::INTEGER).ok()?;
        signed.expect(tag::SET).ok()?;
        let mut content = signed.sequence().ok()?;
        let content_type = content.expect(tag::OID).ok()?.value;
        let content = content.optional(tag::context(0)).map(|wrapped| wrapped.value);
        let certificates = signed.optional(tag::context(0)).map_or(&[][..], |set| set.value);
        signed.optional(tag::context(1));
        let signers = signed.expect(tag::SET).ok()?.value;
        // What is BER within is read once more, made definite.
        let readable = |mut list: Reader<'_>| {
            while !list.is_empty() {
                if list.read().is_err() {
                    return false;
                }
            }
            true
        };
        (readable(Reader::new(certificates)) && readable(Reader::new(signers))).then_some(Self {
            content_type,
            content,
            certificates,
            signers,
        })
    }

    fn certificates(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Reader::new(self.certificates).filter(|der| der.tag == tag::SEQUENCE).map(|der| der.raw)
    }

    /// The certificate that a signer identifier names.
    fn certificate_of(&self, signer: Signer<'_>) -> Option<Certificate<'a>> {
        self.certificates().filter_map(|der| Certificate::parse(der).ok()).find(|certificate| match signer {
            Signer::Number(issuer, serial) => {
                certificate.serial() == serial
                    && (certificate.issuer_name().der() == issuer
                        || certificate.issuer_name().matches(&Name::new(issuer)))
            }
            Signer::KeyId(id) => certificate.subject_key_id() == Some(id),
        })
    }
}

/// How a signer is named (section 5.3).
#[derive(Clone, Copy)]
enum Signer<'a> {
    Number(&'a [u8], &'a [u8]),
    KeyId(&'a [u8]),
}

/// The parts of a SignerInfo.
struct SignerInfo<'a> {
    signer: Signer<'a>,
    digest: &'a [u8],
    signed: &'a [u8],
    algorithm: AlgorithmIdentifier<'a>,
    signature: &'a [u8],
    unsigned: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn parse(element: &Tlv<'a>) -> Option<Self> {
        let mut fields = element.reader();
        fields.expect(tag::INTEGER).ok()?;
        let named = fields.read().ok()?;
        let signer = match named.tag {
            tag::SEQUENCE => {
                let mut pair = named.reader();
                Signer::Number(pair.expect(tag::SEQUENCE).ok()?.raw, pair.expect(tag::INTEGER).ok()?.value)
            }
            0x80 => Signer::KeyId(named.value),
            _ => return None,
        };
        let digest = AlgorithmIdentifier::read(&fields.expect(tag::SEQUENCE).ok()?).oid;
        let signed = fields.optional(tag::context(0)).map_or(&[][..], |set| set.value);
        let algorithm = AlgorithmIdentifier::read(&fields.expect(tag::SEQUENCE).ok()?);
        let signature = fields.expect(tag::OCTET_STRING).ok()?.value;
        let unsigned = fields.optional(tag::context(1)).map_or(&[][..], |set| set.value);
        Some(Self { signer, digest, signed, algorithm, signature, unsigned })
    }

    fn signed_value(&self, kind: &[u8]) -> Option<Tlv<'a>> {
        values(self.signed, kind).next()
    }

    fn signing_time(&self) -> Option<UnixTime> {
        Some(asn1_time::read(&self.signed_value(oid::SIGNING_TIME)?)?.time)
    }
}

/// The values of the attributes of this kind.
fn values<'a>(attributes: &'a [u8], kind: &[u8]) -> impl Iterator<Item = Tlv<'a>> {
    Reader::new(attributes)
        .filter_map(move |attribute| {
            let mut pair = attribute.reader();
            (pair.expect(tag::OID).ok()?.value == kind).then_some(pair.expect(tag::SET).ok()?.reader())
        })
        .flatten()
        .take(SIGNERS_MAX)
}

/// A timestamp over a signature.
struct Timestamp {
    time: UnixTime,
    /// Whether its digest is that of the signature; `None` where nobody here can compute it.
    belongs: Option<bool>,
    authority: Option<String>,
    authority_until: Option<UnixTime>,
}

fn collect(bytes: &[u8], carrier: Carrier, depth: usize, out: &mut Vec<Statement>) -> Option<()> {
    let signed = SignedData::parse(bytes)?;
    for element in Reader::new(signed.signers).take(SIGNERS_MAX) {
        let Some(info) = SignerInfo::parse(&element) else { continue };
        let certificate = signed.certificate_of(info.signer);
        // Mail: its signatures are looked at when it is read, and nobody renews them.
        let is_mail = carrier == Carrier::Cms
            && certificate.as_ref().and_then(Certificate::extended_key_usage).is_some_and(|usage| {
                usage.has(oid::EMAIL_PROTECTION)
                    && !usage.has(oid::CODE_SIGNING)
                    && !usage.has(oid::TIME_STAMPING)
            });
        // A timestamp token is signed data, too; by itself it dates nothing here.
        if !is_mail && signed.content_type != oid::TST_INFO && out.len() < SIGNERS_MAX {
            out.push(state(&signed, &info, certificate.as_ref(), carrier));
        }
        if depth < NESTING_MAX {
            for nested in values(info.unsigned, oid::MICROSOFT_NESTED_SIGNATURE) {
                let _ = collect(nested.raw, carrier, depth + 1, out);
            }
        }
    }
    Some(())
}

fn state(
    signed: &SignedData<'_>,
    info: &SignerInfo<'_>,
    certificate: Option<&Certificate<'_>>,
    carrier: Carrier,
) -> Statement {
    let stamp = timestamp(signed, info);
    let certificate_end = certificate.and_then(Certificate::not_after);
    let lifetime = certificate
        .and_then(Certificate::extended_key_usage)
        .is_some_and(|usage| usage.has(oid::MICROSOFT_LIFETIME_SIGNING));
    // Made while the certificate was valid, or it proves nothing.
    let in_time = |stamp: &Timestamp| {
        certificate_end.is_none_or(|end| stamp.time <= end)
            && certificate.and_then(Certificate::not_before).is_none_or(|start| stamp.time >= start)
    };
    let proven = stamp.as_ref().is_some_and(|stamp| stamp.belongs != Some(false) && in_time(stamp));
    let until = if proven && !lifetime { None } else { certificate_end };
    let signing_time = info.signing_time();
    let from = stamp
        .as_ref()
        .map(|stamp| stamp.time)
        .or(signing_time)
        .or_else(|| certificate.and_then(Certificate::not_before));
    let signer = match (certificate, info.signer) {
        (Some(certificate), _) => {
            certificate.subject().common_name().unwrap_or_else(|| certificate.subject().to_rfc4514())
        }
        (None, Signer::Number(issuer, serial)) => {
            format!("serial {} of {}", hex(serial), Name::new(issuer).to_rfc4514())
        }
        (None, Signer::KeyId(id)) => format!("key {}", hex(id)),
    };
    let state = match &stamp {
        None => "none",
        Some(stamp) if stamp.belongs == Some(false) => "of another signature",
        Some(stamp) if !in_time(stamp) => "outside of the certificate's life",
        Some(_) => "valid",
    };
    let digest_name =
        digest_of(info.digest).map_or_else(|| oid::dotted(info.digest), |(name, _)| name.to_owned());
    let mut out = Statement::new(StatementKind::CodeSignature, format!("signature of {signer}"))
        .name(&signer)
        .dated(from, until)
        .fact("carrier", carrier.as_str())
        .fact("digest", digest_name)
        .fact("algorithm", info.algorithm.signature_name())
        .fact("content_type", oid::dotted(signed.content_type))
        .fact("timestamp", state)
        .fact_time("signing_time", signing_time)
        .fact_time("signer_not_after", certificate_end)
        .fact_if("lifetime_signing", lifetime.then_some("yes"))
        .fact_if("detached", signed.content.is_none().then_some("yes"))
        .fact("sha256", Fingerprint::of(info.signature).to_string());
    if let Some(certificate) = certificate {
        out = out
            .issuer(certificate.issuer_name().to_rfc4514())
            .fact("signer", certificate.fingerprint().to_string())
            .fact("signer_serial", hex(certificate.serial()));
    }
    if let Some(stamp) = stamp {
        out = out
            .fact_time("timestamp_time", Some(stamp.time))
            .fact_if("timestamp_authority", stamp.authority)
            .fact_time("timestamp_authority_not_after", stamp.authority_until);
    }
    out
}

/// The timestamp of a signature: RFC 3161 under either identifier, else Authenticode's countersignature.
fn timestamp(signed: &SignedData<'_>, info: &SignerInfo<'_>) -> Option<Timestamp> {
    let tokens = values(info.unsigned, oid::TIMESTAMP_TOKEN)
        .chain(values(info.unsigned, oid::MICROSOFT_TIMESTAMP_TOKEN))
        .filter_map(|token| token_of(token.raw, info.signature));
    let counter = values(info.unsigned, oid::COUNTERSIGNATURE).filter_map(|element| {
        let counter = SignerInfo::parse(&element)?;
        let claimed = counter.signed_value(oid::MESSAGE_DIGEST)?.value;
        let authority = signed.certificate_of(counter.signer);
        Some(Timestamp {
            time: counter.signing_time()?,
            belongs: is_digest(counter.digest, info.signature, claimed),
            authority: authority.and_then(|authority| authority.subject().common_name()),
            authority_until: authority.and_then(|authority| authority.not_after()),
        })
    });
    // One that belongs, where there are several.
    let mut best: Option<Timestamp> = None;
    for stamp in tokens.chain(counter) {
        if best.as_ref().is_none_or(|best| best.belongs == Some(false)) {
            best = Some(stamp);
        }
    }
    best
}

/// A TimeStampToken (RFC 3161 section 2.4.2).
fn token_of(bytes: &[u8], signature: &[u8]) -> Option<Timestamp> {
    let made_definite;
    let token = match SignedData::parse(bytes) {
        Some(token) => token,
        None => {
            made_definite = definite(bytes).ok()?;
            return token_in(&SignedData::parse(&made_definite)?, signature);
        }
    };
    token_in(&token, signature)
}

fn token_in(token: &SignedData<'_>, signature: &[u8]) -> Option<Timestamp> {
    if token.content_type != oid::TST_INFO {
        return None;
    }
    let content = Reader::new(token.content?).expect(tag::OCTET_STRING).ok()?.value;
    let mut info = Reader::new(content).sequence().ok()?;
    unsigned(info.expect(tag::INTEGER).ok()?.value)?;
    info.expect(tag::OID).ok()?;
    let mut imprint = info.sequence().ok()?;
    let algorithm = AlgorithmIdentifier::read(&imprint.expect(tag::SEQUENCE).ok()?).oid;
    let claimed = imprint.expect(tag::OCTET_STRING).ok()?.value;
    info.expect(tag::INTEGER).ok()?;
    let time = asn1_time::read(&info.expect(tag::GENERALIZED_TIME).ok()?)?.time;
    let signer = Reader::new(token.signers).next().and_then(|element| SignerInfo::parse(&element));
    let authority = signer.and_then(|signer| token.certificate_of(signer.signer));
    Some(Timestamp {
        time,
        belongs: is_digest(algorithm, signature, claimed),
        authority: authority.and_then(|authority| authority.subject().common_name()),
        authority_until: authority.and_then(|authority| authority.not_after()),
    })
}

fn is_digest(algorithm: &[u8], of: &[u8], claimed: &[u8]) -> Option<bool> {
    let (_, algorithm) = digest_of(algorithm)?;
    Some(digest::digest(algorithm, of).as_ref() == claimed)
}

fn digest_of(algorithm: &[u8]) -> Option<(&'static str, &'static digest::Algorithm)> {
    Some(match algorithm {
        oid::SHA1 => ("SHA-1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
        oid::SHA224 => ("SHA-224", &digest::SHA224),
        oid::SHA256 => ("SHA-256", &digest::SHA256),
        oid::SHA384 => ("SHA-384", &digest::SHA384),
        oid::SHA512 => ("SHA-512", &digest::SHA512),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    /// A certificate that ends in 2027, for code, with these purposes.
    fn certificate(purposes: &[&[u8]]) -> Vec<u8> {
        let oids: Vec<u8> = purposes.iter().flat_map(|oid| encode(tag::OID, oid)).collect();
        let value = encode(tag::OCTET_STRING, &encode(tag::SEQUENCE, &oids));
        let extension = encode(tag::SEQUENCE, &[encode(tag::OID, oid::EXTENDED_KEY_USAGE), value].concat());
        let pair = [encode(tag::OID, oid::COMMON_NAME), encode(tag::UTF8_STRING, b"Signer")].concat();
        let name = encode(tag::SEQUENCE, &encode(tag::SET, &encode(tag::SEQUENCE, &pair)));
        let dates = [encode(tag::UTC_TIME, b"260101000000Z"), encode(tag::UTC_TIME, b"270101000000Z")];
        let algorithm = encode(tag::SEQUENCE, &encode(tag::OID, oid::ECDSA_SHA256));
        let tbs = [
            encode(tag::context(0), &[2, 1, 2]),
            encode(tag::INTEGER, &[7]),
            algorithm.clone(),
            name.clone(),
            encode(tag::SEQUENCE, &dates.concat()),
            name,
            encode(tag::SEQUENCE, &[algorithm.clone(), encode(tag::BIT_STRING, &[0; 33])].concat()),
            encode(tag::context(3), &encode(tag::SEQUENCE, &extension)),
        ];
        let parts = [encode(tag::SEQUENCE, &tbs.concat()), algorithm, encode(tag::BIT_STRING, &[0, 1])];
        encode(tag::SEQUENCE, &parts.concat())
    }

    fn attribute(kind: &[u8], value: &[u8]) -> Vec<u8> {
        encode(tag::SEQUENCE, &[encode(tag::OID, kind), encode(tag::SET, value)].concat())
    }

    fn signed_data(kind: &[u8], content: &[u8], certificate: &[u8], unsigned: &[u8]) -> Vec<u8> {
        let parsed = Certificate::parse(certificate).expect("a certificate");
        let digest = encode(tag::SEQUENCE, &encode(tag::OID, oid::SHA256));
        let time = attribute(oid::SIGNING_TIME, &encode(tag::UTC_TIME, b"260601000000Z"));
        let signer = [
            vec![2, 1, 1],
            encode(tag::SEQUENCE, &[parsed.issuer_name().der(), &encode(tag::INTEGER, &[7])].concat()),
            digest.clone(),
            encode(tag::context(0), &time),
            encode(tag::SEQUENCE, &encode(tag::OID, oid::ECDSA_SHA256)),
            encode(tag::OCTET_STRING, b"the signature"),
            encode(tag::context(1), unsigned),
        ];
        let parts = [
            vec![2, 1, 1],
            encode(tag::SET, &digest),
            encode(tag::SEQUENCE, &[encode(tag::OID, kind), content.to_vec()].concat()),
            encode(tag::context(0), certificate),
            encode(tag::SET, &encode(tag::SEQUENCE, &signer.concat())),
        ];
        let data = encode(tag::context(0), &encode(tag::SEQUENCE, &parts.concat()));
        encode(tag::SEQUENCE, &[encode(tag::OID, oid::PKCS7_SIGNED_DATA), data].concat())
    }

    fn token(over: &[u8], time: &[u8]) -> Vec<u8> {
        let imprint = [
            encode(tag::SEQUENCE, &encode(tag::OID, oid::SHA256)),
            encode(tag::OCTET_STRING, &crate::fingerprint::sha256(over)),
        ];
        let info = [
            vec![2, 1, 1],
            encode(tag::OID, &[0x2a, 3]),
            encode(tag::SEQUENCE, &imprint.concat()),
            vec![2, 1, 9],
            encode(tag::GENERALIZED_TIME, time),
        ];
        let content = encode(tag::OCTET_STRING, &encode(tag::SEQUENCE, &info.concat()));
        let content = encode(tag::context(0), &content);
        signed_data(oid::TST_INFO, &content, &certificate(&[oid::TIME_STAMPING]), &[])
    }

    fn check(purposes: &[&[u8]], unsigned: &[u8], state: &str, until: Option<&str>) {
        let block = signed_data(oid::PKCS7_DATA, &[], &certificate(purposes), unsigned);
        let found = statements(&block, Carrier::Jar);
        let [one] = found.as_slice() else { panic!("one signature: {found:?}") };
        assert_eq!(one.fact_of("timestamp"), Some(state));
        assert_eq!(one.not_after().map(|time| time.to_string()).as_deref(), until, "{state}");
        assert_eq!((one.title(), one.fact_of("signer_serial")), ("signature of Signer", Some("07")));
        for end in (0..block.len()).step_by(7) {
            let _ = statements(block.get(..end).unwrap_or(&[]), Carrier::Cms);
        }
    }

    #[test]
    fn when_a_signature_dies() {
        let code: &[&[u8]] = &[oid::CODE_SIGNING];
        let lifetime: &[&[u8]] = &[oid::CODE_SIGNING, oid::MICROSOFT_LIFETIME_SIGNING];
        let end = Some("2027-01-01T00:00:00Z");
        let stamp = |over: &[u8], time: &[u8]| attribute(oid::TIMESTAMP_TOKEN, &token(over, time));
        check(code, &[], "none", end);
        check(code, &stamp(b"the signature", b"20260601000000Z"), "valid", None);
        check(lifetime, &stamp(b"the signature", b"20260601000000Z"), "valid", end);
        check(code, &stamp(b"another", b"20260601000000Z"), "of another signature", end);
        check(code, &stamp(b"the signature", b"20280601000000Z"), "outside of the certificate's life", end);
        let microsoft = token(b"the signature", b"20260601000000Z");
        check(code, &attribute(oid::MICROSOFT_TIMESTAMP_TOKEN, &microsoft), "valid", None);
        check(code, &attribute(oid::TIMESTAMP_TOKEN, b"\x30\x03\x02\x01\x01"), "none", end);
    }

    #[test]
    fn mail_and_tokens_are_no_code() {
        let mail = signed_data(oid::PKCS7_DATA, &[], &certificate(&[oid::EMAIL_PROTECTION]), &[]);
        assert_eq!(statements(&mail, Carrier::Cms), []);
        assert_eq!(certificates(&mail).len(), 1);
        assert_eq!(statements(&token(b"x", b"20260601000000Z"), Carrier::Cms), []);
    }
}
