//! How large a log says that it is, and whether it was the log that said so: the checkpoint of a static-ct log
//! (c2sp.org/tlog-checkpoint, a c2sp.org/signed-note) and the signed tree head of RFC 6962 section 4.3.
//!
//! Bytes in, numbers out. A signature is checked where the log's key was given; without one, size and root are what
//! whoever answered says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_pki::fingerprint::sha256;
use notafter_pki::key::AlgorithmIdentifier;
use notafter_pki::oid;
use notafter_pki::verify::{SignatureVerdict, verify_signature};
use serde_json::Value;

/// The type of a signature by a log of RFC 6962 in a signed note (static-ct-api, "Checkpoints").
const RFC6962_SIGNATURE: u8 = 5;

/// A tree head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// So many entries.
    pub size: u64,
    /// The root of the Merkle tree over them.
    pub root: [u8; 32],
    /// When it was signed, in milliseconds since 1970.
    pub timestamp: Option<u64>,
    /// What the checkpoint calls the log; a signed tree head names none.
    pub origin: Option<String>,
}

/// Why it is no head of this log: a sentence without anything that was received.
pub type Refused = &'static str;

impl Head {
    /// Reads a checkpoint; `key` is the log's SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// When it cannot be read, or is not signed by the key.
    pub fn of_checkpoint(bytes: &[u8], key: Option<&[u8]>) -> Result<Self, Refused> {
        const NO: Refused = "the checkpoint cannot be read";
        let text = std::str::from_utf8(bytes).map_err(|_| NO)?;
        let (body, signatures) = text.split_once("\n\n").ok_or(NO)?;
        let mut lines = body.lines();
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(NO);
        let (origin, size, root) = (line()?, line()?, line()?);
        // A number has one spelling.
        let plain = size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| plain).ok_or(NO)?;
        let mut head = Self { size, root: octets32(root).ok_or(NO)?, timestamp: None, origin: None };
        let mut good = false;
        for line in signatures.lines().take(64) {
            // The dash is U+2014; the name may be followed by nothing but the signature.
            let Some((name, signature)) = line.strip_prefix("\u{2014} ").and_then(|l| l.split_once(' '))
            else {
                continue;
            };
            let Some(signature) = STANDARD.decode(signature).ok().filter(|_| name == origin) else {
                continue;
            };
            let Some((id, rest)) = signature.split_at_checked(4) else { continue };
            if key.is_some_and(|key| id != note_key_id(origin, key)) {
                continue;
            }
            let Some((timestamp, signature)) = rest.split_first_chunk::<8>() else { continue };
            let timestamp = u64::from_be_bytes(*timestamp);
            if let Some(key) = key {
                head.verify(timestamp, signature, key)?;
                good = true;
            }
            head.timestamp = Some(timestamp);
        }
        if key.is_some() && !good {
            return Err("the checkpoint is not signed by the key that was given for this log");
        }
        head.origin = Some(origin.to_owned());
        Ok(head)
    }

    /// Reads the answer to `get-sth`.
    ///
    /// # Errors
    /// When it cannot be read, or is not signed by the key.
    pub fn of_sth(bytes: &[u8], key: Option<&[u8]>) -> Result<Self, Refused> {
        const NO: Refused = "the signed tree head cannot be read";
        let value: Value = serde_json::from_slice(bytes).map_err(|_| NO)?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64).ok_or(NO);
        let text = |name: &str| value.get(name).and_then(Value::as_str).ok_or(NO);
        let root = octets32(text("sha256_root_hash")?).ok_or(NO)?;
        let timestamp = number("timestamp")?;
        let head = Self { size: number("tree_size")?, root, timestamp: Some(timestamp), origin: None };
        if let Some(key) = key {
            let signature = STANDARD.decode(text("tree_head_signature")?).map_err(|_| NO)?;
            head.verify(timestamp, &signature, key)?;
        }
        Ok(head)
    }

    /// Checks the signature over the `TreeHeadSignature` of RFC 6962 section 3.5; `signature` is a `DigitallySigned` of
    /// RFC 5246 section 4.7.
    fn verify(&self, timestamp: u64, signature: &[u8], key: &[u8]) -> Result<(), Refused> {
        const BAD: Refused = "the signature of the tree head is not by the key that was given for this log";
        let mut signed = vec![0, 1];
        signed.extend(timestamp.to_be_bytes());
        signed.extend(self.size.to_be_bytes());
        signed.extend(self.root);
        let ([hash, algorithm, high, low], signature) = signature.split_first_chunk::<4>().ok_or(BAD)?;
        let oid = match (hash, algorithm) {
            (4, 3) => oid::ECDSA_SHA256,
            (4, 1) => oid::SHA256_RSA,
            _ => return Err("the tree head is signed in a way that RFC 6962 does not know"),
        };
        if usize::from(u16::from_be_bytes([*high, *low])) != signature.len() {
            return Err(BAD);
        }
        let algorithm = AlgorithmIdentifier { der: &[], oid, parameters: None };
        match verify_signature(algorithm, key, &signed, signature) {
            SignatureVerdict::Good => Ok(()),
            SignatureVerdict::Bad | SignatureVerdict::Unsupported => Err(BAD),
        }
    }
}

/// The first four octets of SHA-256(name, newline, 5, log id): how a note names a log's key.
fn note_key_id(name: &str, key: &[u8]) -> [u8; 4] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend([b'\n', RFC6962_SIGNATURE]);
    bytes.extend(sha256(key));
    let hash = sha256(&bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

fn octets32(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by sunlight for a log that never was public (FiloSottile/sunlight, skylight's test data).
    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEPIcer7RB32jt4bTEbhgUKLKvOctFD+I2hoDItFxUBlJiGFvftBuRk3fO7e1T7gC2ekyfL7XoO2oN/ObcZyc4EA==";
    const CHECKPOINT: &str = "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n\n\u{2014} rome2026h1.example.org kVB1JgAAAZtxtEwABAMARzBFAiEAi+mTa2xjL1IdWpH82OeciGsGvwRAP+f1WkfKaSZCfFECIHoNPZ/Q3y6UNzvKOO9cuLr6V16vPNfhwhle9f6r5H/Z\n";

    fn key() -> Vec<u8> {
        STANDARD.decode(KEY).unwrap()
    }

    #[test]
    fn a_checkpoint_by_its_key_and_by_no_other() {
        let head = Head::of_checkpoint(CHECKPOINT.as_bytes(), Some(&key())).unwrap();
        assert_eq!(
            (head.size, head.timestamp, head.origin.as_deref()),
            (300, Some(1_767_139_200_000), Some("rome2026h1.example.org"))
        );
        assert_eq!(Head::of_checkpoint(CHECKPOINT.as_bytes(), None), Ok(head));
        let mut other = key();
        *other.last_mut().unwrap() ^= 1;
        assert!(Head::of_checkpoint(CHECKPOINT.as_bytes(), Some(&other)).is_err());
        for (from, to) in
            [("\n300\n", "\n301\n"), ("lCkH", "lCkI"), ("AAAZtx", "AAAZty"), ("\n300\n", "\n0300\n")]
        {
            let odd = CHECKPOINT.replacen(from, to, 1);
            assert!(Head::of_checkpoint(odd.as_bytes(), Some(&key())).is_err(), "{to}");
        }
        for n in 0..CHECKPOINT.len() - 1 {
            let cut = &CHECKPOINT.as_bytes()[..n];
            assert!(Head::of_checkpoint(cut, Some(&key())).is_err(), "{n}");
        }
    }

    /// The same head as `get-sth` would give it: the signature is of the same octets.
    #[test]
    fn a_signed_tree_head() {
        let sth = |size: u64| {
            serde_json::json!({
                "tree_size": size,
                "timestamp": 1_767_139_200_000_u64,
                "sha256_root_hash": "lCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=",
                "tree_head_signature": "BAMARzBFAiEAi+mTa2xjL1IdWpH82OeciGsGvwRAP+f1WkfKaSZCfFECIHoNPZ/Q3y6UNzvKOO9cuLr6V16vPNfhwhle9f6r5H/Z",
            })
            .to_string()
        };
        assert_eq!(Head::of_sth(sth(300).as_bytes(), Some(&key())).map(|head| head.size), Ok(300));
        assert!(Head::of_sth(sth(301).as_bytes(), Some(&key())).is_err());
        assert_eq!(Head::of_sth(sth(301).as_bytes(), None).map(|head| head.size), Ok(301));
        assert!(Head::of_sth(b"{}", None).is_err());
    }
}
