//! Certificates of OpenSSH's own kind (PROTOCOL.certkeys), and the keys of SSH authorities.
//!
//! Found as text anywhere: `-cert.pub` files, `authorized_keys`, `known_hosts` with `@cert-authority`, YAML. The
//! authority's signature over a certificate is checked where aws-lc-rs can, and the verdict is a fact, no more.
//! Plain public keys have no date and are left alone; keys in `RevokedKeys` lists (KRL) are not read.

use memchr::memmem;

use super::{Statement, StatementKind};
use crate::container::base64;
use crate::container::{Content, Found, Place, Reason, Session};
use crate::der;
use crate::fingerprint::sha256;
use crate::key::AlgorithmIdentifier;
use crate::oid;
use crate::private_key::{ssh_spki, ssh_string};
use crate::time::UnixTime;
use crate::verify::{SignatureVerdict, verify_signature};

/// What the name of every certificate type ends with.
pub(crate) const MARKER: &[u8] = b"-cert-v01@openssh.com";
/// What a line of `known_hosts` that trusts an authority begins with.
pub(crate) const AUTHORITY: &[u8] = b"@cert-authority";

/// No certificate is longer, in octets of base64.
const BLOB_MAX: usize = 64 << 10;
/// Problems told of one file.
const PROBLEMS_MAX: usize = 10;

/// An SSH certificate: spans over its blob.
#[derive(Clone, Debug)]
pub struct SshCertificate<'a> {
    /// The name of its type: `ssh-ed25519-cert-v01@openssh.com`.
    pub kind: &'a str,
    /// The serial number the authority chose.
    pub serial: u64,
    /// Whether it is for a host; else for a user.
    pub is_host: bool,
    /// What the authority calls it.
    pub key_id: String,
    /// Hosts or users it is valid for; none means any.
    pub principals: Vec<String>,
    /// `None`: always was.
    pub valid_after: Option<UnixTime>,
    /// `None`: for ever.
    pub valid_before: Option<UnixTime>,
    /// Names of critical options, with their values.
    pub options: Vec<(String, String)>,
    /// The certified key's blob, as a plain key.
    pub key: Vec<u8>,
    /// The authority's key, a blob.
    pub authority: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SshCertificate<'a> {
    /// Reads a blob; `None` where it is none or breaks off.
    pub fn parse(blob: &'a [u8]) -> Option<Self> {
        let mut rest = blob;
        let kind = std::str::from_utf8(ssh_string(&mut rest)?).ok()?;
        let plain = kind.strip_suffix("-cert-v01@openssh.com")?;
        ssh_string(&mut rest)?;
        // How many strings (or mpints, which look the same) the key has.
        let (fields, plain) = match plain {
            "ssh-rsa" | "rsa-sha2-256" | "rsa-sha2-512" => (2, "ssh-rsa".to_owned()),
            "ssh-dss" => (4, plain.to_owned()),
            "ssh-ed25519" | "ssh-ed448" => (1, plain.to_owned()),
            "sk-ssh-ed25519" => (2, format!("{plain}@openssh.com")),
            "sk-ecdsa-sha2-nistp256" | "webauthn-sk-ecdsa-sha2-nistp256" => {
                (3, format!("{plain}@openssh.com"))
            }
            _ if plain.starts_with("ecdsa-sha2-") => (2, plain.to_owned()),
            _ => return None,
        };
        let start = rest;
        for _ in 0..fields {
            ssh_string(&mut rest)?;
        }
        let own = start.get(..start.len() - rest.len())?;
        let key = [&(u32::try_from(plain.len()).ok()?).to_be_bytes()[..], plain.as_bytes(), own].concat();
        let serial = number(&mut rest)?;
        let (role, tail) = rest.split_first_chunk::<4>()?;
        rest = tail;
        let is_host = match u32::from_be_bytes(*role) {
            1 => false,
            2 => true,
            _ => return None,
        };
        let key_id = text(ssh_string(&mut rest)?);
        let principals = strings(ssh_string(&mut rest)?).map(text).collect();
        let valid_after = Some(number(&mut rest)?).filter(|time| *time != 0).map(instant);
        let valid_before = Some(number(&mut rest)?).filter(|time| *time != u64::MAX).map(instant);
        let mut pairs = strings(ssh_string(&mut rest)?);
        let mut options = Vec::new();
        while let Some(name) = pairs.next() {
            // The value is a string packed into a string.
            let value =
                pairs.next().and_then(|mut packed| ssh_string(&mut packed)).map_or_else(String::new, text);
            options.push((text(name), value));
        }
        ssh_string(&mut rest)?;
        ssh_string(&mut rest)?;
        let authority = ssh_string(&mut rest)?;
        let signed = blob.get(..blob.len() - rest.len())?;
        let signature = ssh_string(&mut rest)?;
        Some(Self {
            kind,
            serial,
            is_host,
            key_id,
            principals,
            valid_after,
            valid_before,
            options,
            key,
            authority,
            signed,
            signature,
        })
    }

    /// Whether the authority's key made the signature.
    pub fn verdict(&self) -> SignatureVerdict {
        self.verify().unwrap_or(SignatureVerdict::Unsupported)
    }

    fn verify(&self) -> Option<SignatureVerdict> {
        let spki = ssh_spki(self.authority)?;
        let mut rest = self.signature;
        let kind = ssh_string(&mut rest)?;
        let value = ssh_string(&mut rest)?;
        let algorithm = match kind {
            b"ssh-ed25519" => oid::ED25519,
            b"ssh-rsa" => oid::SHA1_RSA,
            b"rsa-sha2-256" => oid::SHA256_RSA,
            b"rsa-sha2-512" => oid::SHA512_RSA,
            b"ecdsa-sha2-nistp256" => oid::ECDSA_SHA256,
            b"ecdsa-sha2-nistp384" => oid::ECDSA_SHA384,
            b"ecdsa-sha2-nistp521" => oid::ECDSA_SHA512,
            _ => return None,
        };
        let algorithm = AlgorithmIdentifier { der: &[], oid: algorithm, parameters: None };
        let ecdsa;
        let signature = if kind.starts_with(b"ecdsa") {
            // RFC 5656 section 3.1.2 packs r and s as mpints, X9.62 as INTEGERs: the same octets.
            let mut pair = strings(value);
            let integer = |octets| der::encode(der::tag::INTEGER, octets);
            ecdsa = der::encode(der::tag::SEQUENCE, &[integer(pair.next()?), integer(pair.next()?)].concat());
            &ecdsa[..]
        } else {
            value
        };
        Some(verify_signature(algorithm, &spki, self.signed, signature))
    }

    /// What it states.
    pub fn statement(&self) -> Statement {
        let role = if self.is_host { "host" } else { "user" };
        let title = if self.key_id.is_empty() { fingerprint(&self.key) } else { self.key_id.clone() };
        let mut out = Statement::new(StatementKind::SshCertificate, title)
            .issuer(fingerprint(self.authority))
            .dated(self.valid_after, self.valid_before)
            .fact("type", self.kind)
            .fact("role", role)
            .fact("key_id", &self.key_id)
            .fact("serial", self.serial.to_string())
            .fact("key", fingerprint(&self.key))
            .fact(
                "signature",
                match self.verdict() {
                    SignatureVerdict::Good => "good",
                    SignatureVerdict::Bad => "bad",
                    SignatureVerdict::Unsupported => "not checked",
                },
            );
        for principal in &self.principals {
            out = out.name(principal);
        }
        for (name, value) in self.options.iter().take(8) {
            out = out.fact(&format!("option.{name}"), if value.is_empty() { "yes" } else { value });
        }
        out
    }
}

/// `SHA256:` and unpadded base64, as ssh-keygen prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", base64::encode(&sha256(blob)).trim_end_matches('='))
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (octets, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    Some(u64::from_be_bytes(*octets))
}

fn instant(seconds: u64) -> UnixTime {
    i64::try_from(seconds).map_or(UnixTime::NO_EXPIRY, UnixTime).min(UnixTime::NO_EXPIRY)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// At most a thousand strings one after another.
fn strings(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || ssh_string(&mut rest)).take(1000)
}

/// Finds certificates and authorities in text.
pub(crate) fn read(bytes: &[u8], session: &mut Session, found: &mut Vec<Found<'static>>) {
    let mut number = 0;
    let mut keep = |statement: Statement, session: &mut Session| {
        number += 1;
        let alone = number == 1 && !bytes.trim_ascii().contains(&b'\n');
        let place = if alone { Place::whole() } else { Place::whole().named("ssh").numbered(number) };
        session.keep(found, Content::Statement(statement), place);
    };
    let (mut read_to, mut troubled) = (0, 0);
    for at in memmem::find_iter(bytes, MARKER) {
        let start = bytes.get(..at).unwrap_or(&[]).iter().rev().take(40).take_while(|o| is_word(**o)).count();
        let start = at - start;
        let after = at + MARKER.len();
        // What has been read as part of another cannot begin one.
        if start < read_to || session.is_full() {
            continue;
        }
        let Some((blob, end)) = blob_at(bytes, after) else { continue };
        let decoded = base64::decode(blob);
        let wanted = bytes.get(start..after).unwrap_or(&[]);
        let Some(certificate) = SshCertificate::parse(&decoded) else {
            if troubled < PROBLEMS_MAX && decoded.len() > 100 {
                troubled += 1;
                session.problem(Reason::Malformed, "an SSH certificate that cannot be read");
            }
            continue;
        };
        if certificate.kind.as_bytes() == wanted {
            read_to = end;
            keep(certificate.statement(), session);
        }
    }
    for at in memmem::find_iter(bytes, AUTHORITY) {
        let line = bytes.get(at..).unwrap_or(&[]);
        let line = line.get(..memchr::memchr(b'\n', line).unwrap_or(line.len())).unwrap_or(&[]);
        let at_start = at == 0 || bytes.get(at - 1) == Some(&b'\n');
        if at_start
            && line.len() <= BLOB_MAX
            && !session.is_full()
            && let Some(statement) = authority(line)
        {
            keep(statement, session);
        }
    }
}

/// `@cert-authority PATTERNS TYPE BLOB COMMENT`, sshd(8).
fn authority(line: &[u8]) -> Option<Statement> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace().skip(1);
    let (patterns, kind, blob) = (words.next()?, words.next()?, words.next()?);
    let blob = base64::decode(blob.as_bytes());
    let mut rest = &blob[..];
    if ssh_string(&mut rest)? != kind.as_bytes() {
        return None;
    }
    let print = fingerprint(&blob);
    let mut out = Statement::new(StatementKind::BareKey, format!("SSH authority {print}"))
        .fact("key", print)
        .fact("type", kind)
        .fact("role", "ssh-authority")
        .fact_if("comment", words.next());
    // Hashed names (|1|...) are kept as they are.
    for pattern in patterns.split(',') {
        out = out.name(pattern);
    }
    Some(out)
}

fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-'
}

/// The base64 after blanks at `at`, and where it ends.
fn blob_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..)?;
    let blanks = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    let rest = rest.get(blanks..)?;
    let length = rest.iter().take(BLOB_MAX + 1).take_while(|octet| base64::is_base64(**octet)).count();
    // AAAA: the length of the type begins with zeros.
    (blanks > 0 && length <= BLOB_MAX && rest.starts_with(b"AAAA"))
        .then(|| rest.get(..length).map(|blob| (blob, at + blanks + length)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(octets: &[u8]) -> Vec<u8> {
        [&(octets.len() as u32).to_be_bytes()[..], octets].concat()
    }

    fn blob(after: u64, before: u64, role: u32) -> Vec<u8> {
        [
            string(b"ssh-ed25519-cert-v01@openssh.com"),
            string(&[1; 32]),
            string(&[2; 32]),
            7u64.to_be_bytes().to_vec(),
            role.to_be_bytes().to_vec(),
            string(b"an id"),
            string(&[string(b"a.example"), string(b"b.example")].concat()),
            after.to_be_bytes().to_vec(),
            before.to_be_bytes().to_vec(),
            string(&[string(b"force-command"), string(&string(b"/bin/true"))].concat()),
            string(&[]),
            string(&[]),
            string(&[string(b"ssh-ed25519"), string(&[3; 32])].concat()),
            string(&[string(b"ssh-ed25519"), string(&[4; 64])].concat()),
        ]
        .concat()
    }

    fn check(text: &str, places: &[&str]) {
        let opened = crate::container::open(text.as_bytes(), &[], &crate::container::Limits::default());
        let found: Vec<_> = opened.found.iter().map(|found| found.place.to_string()).collect();
        assert_eq!(found, places, "{text}");
    }

    #[test]
    fn facts_and_dates() {
        let host = blob(1_700_000_000, 1_800_000_000, 2);
        let statement = SshCertificate::parse(&host).expect("a certificate").statement();
        assert_eq!((statement.title(), statement.names().len()), ("an id", 2));
        assert_eq!(statement.not_after(), Some(UnixTime(1_800_000_000)));
        for (key, value) in
            [("role", "host"), ("serial", "7"), ("option.force-command", "/bin/true"), ("signature", "bad")]
        {
            assert_eq!(statement.fact_of(key), Some(value));
        }
        let ever = blob(0, u64::MAX, 1);
        let ever = SshCertificate::parse(&ever).expect("a certificate");
        assert_eq!((ever.valid_after, ever.valid_before), (None, None));
        let far = blob(0, u64::MAX - 1, 1);
        assert_eq!(
            SshCertificate::parse(&far).expect("a certificate").valid_before,
            Some(UnixTime::NO_EXPIRY)
        );
        for end in 0..host.len() {
            assert!(SshCertificate::parse(host.get(..end).unwrap_or(&[])).is_none(), "{end}");
        }
    }

    #[test]
    fn wherever_they_stand() {
        let line = format!("ssh-ed25519-cert-v01@openssh.com {}", base64::encode(&blob(1, 2, 1)));
        check(&line, &[""]);
        check(&format!("{line} comment\n"), &[""]);
        check(&format!("# a\nkey: \"{line}\"\n{line}\n"), &["#ssh/1", "#ssh/2"]);
        check(&line.replace("ed25519-cert", "rsa-cert"), &[]);
        check("HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com\n", &[]);
        let key = base64::encode(&[string(b"ssh-ed25519"), string(&[3; 32])].concat());
        check(&format!("x\n@cert-authority *.a.example,b ssh-ed25519 {key} me\n"), &["#ssh/1"]);
        check(&format!("x\n@cert-authority * ssh-rsa {key} me\n"), &[]);
    }
}
