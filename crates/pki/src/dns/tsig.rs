//! Signatures of DNS messages with a shared key: TSIG (RFC 8945), for whoever changes a zone and whoever has one handed out.
//!
//! A request is signed, and its answer is believed only if it is signed with the same key over the request's signature;
//! of an answer in many messages, each signature is over the one before it. HMAC-MD5 is left out: RFC 8945 section 6
//! says not to use it. Where a key lies, and what a wrong one means, is the caller's.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::name;
use crate::container::base64;

/// How far the clocks may be apart, in seconds: the value RFC 8945 section 10 recommends.
const FUDGE: u16 = 300;
/// The type TSIG and the class ANY.
const TSIG: u16 = 250;
const ANY: u16 = 255;

/// The algorithms, as configurations of name servers and lego name them.
const ALGORITHMS: &[(&str, &hmac::Algorithm)] = &[
    ("hmac-sha1", &hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
    ("hmac-sha224", &hmac::HMAC_SHA224),
    ("hmac-sha256", &hmac::HMAC_SHA256),
    ("hmac-sha384", &hmac::HMAC_SHA384),
    ("hmac-sha512", &hmac::HMAC_SHA512),
];

/// An algorithm.
#[derive(Clone, Copy)]
pub struct Algorithm {
    name: &'static str,
    hmac: &'static hmac::Algorithm,
}

impl Algorithm {
    /// Reads its name; `hmac-sha256.` with a dot at the end is what lego's own documentation writes.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text.trim_end_matches('.').to_ascii_lowercase();
        let found = ALGORITHMS.iter().find(|(name, _)| *name == plain);
        found.map(|(name, hmac)| Self { name, hmac }).ok_or_else(|| {
            let known: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
            format!(
                "the algorithm `{}` is none that is used here\nhint: one of {}; make a new key for others (tsig-keygen)",
                text.escape_debug(),
                known.join(", ")
            )
        })
    }
}

/// A key that two sides have.
pub struct Key {
    name: String,
    algorithm: Algorithm,
    key: hmac::Key,
}

impl Key {
    /// A key from its name and its secret, in base64 as name servers' configurations have it.
    ///
    /// # Errors
    /// A sentence that does not repeat the secret.
    pub fn new(key_name: &str, algorithm: Algorithm, secret: &str) -> Result<Self, String> {
        let absolute = format!("{}.", key_name.trim_end_matches('.'));
        let read = name::from_text(absolute.as_bytes(), None).ok_or_else(|| {
            format!(
                "`{}` is no name of a key\nhint: the name behind `key` in the name server's configuration",
                key_name.escape_debug()
            )
        })?;
        let bare: Zeroizing<String> = Zeroizing::new(secret.split_whitespace().collect());
        let octets = Zeroizing::new(base64::decode(bare.as_bytes()));
        // What is decoded passes over what is no base64.
        let is_whole =
            Zeroizing::new(base64::encode(&octets)).trim_end_matches('=') == bare.trim_end_matches('=');
        if octets.is_empty() || !is_whole {
            return Err("the secret of the key is not base64\nhint: what stands behind `secret` in the name server's configuration".to_owned());
        }
        Ok(Self { name: read, algorithm, key: hmac::Key::new(*algorithm.hmac, &octets) })
    }

    /// The first key of a file as `tsig-keygen` writes it and `named`, `nsupdate -k` and `dig -k` read it:
    /// `key "NAME" { algorithm hmac-sha256; secret "..."; };`.
    ///
    /// # Errors
    /// A sentence that does not repeat the secret.
    pub fn of_file(text: &str) -> Result<Self, String> {
        let none = || {
            "it holds no key\nhint: key \"NAME\" { algorithm hmac-sha256; secret \"...\"; }; as tsig-keygen writes it"
                .to_owned()
        };
        let words = words(text);
        let mut words = words.iter().map(|word| word.as_str());
        words.find(|word| *word == "key").ok_or_else(none)?;
        let key_name = words.next().ok_or_else(none)?;
        words.next().filter(|word| *word == "{").ok_or_else(none)?;
        let (mut algorithm, mut secret) = ("hmac-sha256", None);
        while let Some(word) = words.next().filter(|word| *word != "}") {
            match word {
                "algorithm" => algorithm = words.next().ok_or_else(none)?,
                "secret" => secret = Some(words.next().ok_or_else(none)?),
                _ => {}
            }
        }
        Self::new(key_name, Algorithm::parse(algorithm)?, secret.ok_or_else(none)?)
    }

    /// The message with its signature behind it, and the signature, which the answer's is over.
    ///
    /// # Errors
    /// A sentence, where the message is none.
    pub fn sign(&self, message: &[u8], now: i64) -> Result<(Vec<u8>, Vec<u8>), String> {
        let [i0, i1, _, _, _, _, _, _, _, _, c0, c1, ..] = *message else {
            return Err("no message".to_owned());
        };
        let variables = self.variables(now, FUDGE, 0, &[]).ok_or("no name of a key")?;
        let mac = hmac::sign(&self.key, &[message, &variables].concat()).as_ref().to_vec();
        let mut out = message.to_vec();
        let count = u16::from_be_bytes([c0, c1]).saturating_add(1);
        out[10..12].copy_from_slice(&count.to_be_bytes());
        out.extend(name::to_wire(&self.name).ok_or("no name of a key")?);
        out.extend(TSIG.to_be_bytes());
        out.extend(ANY.to_be_bytes());
        out.extend([0; 4]);
        let mut data = name::to_wire(self.algorithm.name).ok_or("no name of an algorithm")?;
        data.extend(clock(now));
        data.extend(FUDGE.to_be_bytes());
        data.extend((mac.len() as u16).to_be_bytes());
        data.extend(&mac);
        data.extend([i0, i1, 0, 0, 0, 0]);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
        Ok((out, mac))
    }

    /// What is signed besides the message (RFC 8945 section 4.3.3).
    fn variables(&self, time: i64, fudge: u16, error: u16, other: &[u8]) -> Option<Vec<u8>> {
        let mut out = name::to_wire(&self.name)?;
        out.extend(ANY.to_be_bytes());
        out.extend([0; 4]);
        out.extend(name::to_wire(self.algorithm.name)?);
        out.extend(clock(time));
        out.extend(fudge.to_be_bytes());
        out.extend(error.to_be_bytes());
        out.extend((other.len() as u16).to_be_bytes());
        out.extend(other);
        Some(out)
    }

    /// Checks an answer of one message to a request with this signature.
    ///
    /// # Errors
    /// Why it is not to be believed; also what the server says about our signature.
    pub fn check(&self, answer: &[u8], request_mac: &[u8], now: i64) -> Result<(), Wrong> {
        match self.exchange(request_mac).take(answer, now)? {
            true => Ok(()),
            false => Err(Wrong::Unsigned),
        }
    }

    /// The check of an answer in several messages to a request with this signature.
    pub fn exchange(&self, request_mac: &[u8]) -> Exchange<'_> {
        Exchange { key: self, digest: self.digest(request_mac), begun: false, unsigned: 0 }
    }

    /// What a signature that is over another one begins with.
    fn digest(&self, mac: &[u8]) -> hmac::Context {
        let mut digest = hmac::Context::with_key(&self.key);
        digest.update(&(mac.len() as u16).to_be_bytes());
        digest.update(mac);
        digest
    }
}

/// Of one message in so many that follow each other at least the last is signed (RFC 8945 section 5.3.1).
const UNSIGNED_MAX: u32 = 99;

/// An answer in several messages, checked one by one (RFC 8945 section 5.3.1).
pub struct Exchange<'k> {
    key: &'k Key,
    /// What the next signature is over, so far.
    digest: hmac::Context,
    /// Was a message signed?
    begun: bool,
    /// Messages since the last that was signed.
    unsigned: u32,
}

impl Exchange<'_> {
    /// Checks the next message. `true`: it, and all before it, are what the server sent; `false`: that is not known
    /// before a later one is signed, so it is no last one.
    ///
    /// # Errors
    /// Why it is not to be believed; also what the server says about our signature.
    pub fn take(&mut self, message: &[u8], now: i64) -> Result<bool, Wrong> {
        let Some(seal) = Seal::read(message) else {
            self.unsigned += 1;
            if !self.begun || self.unsigned > UNSIGNED_MAX {
                return Err(Wrong::Unsigned);
            }
            self.digest.update(message);
            return Ok(false);
        };
        match seal.error {
            16 => return Err(Wrong::BadSignature),
            17 => return Err(Wrong::BadKey),
            22 => return Err(Wrong::BadTruncation),
            _ => {}
        }
        let mut bare = message.get(..seal.at).unwrap_or_default().to_vec();
        let (Some(count), Some(id)) = (bare.get(10..12), seal.id) else { return Err(Wrong::Forged) };
        let count = u16::from_be_bytes([count[0], count[1]]).saturating_sub(1);
        bare[10..12].copy_from_slice(&count.to_be_bytes());
        bare[..2].copy_from_slice(&id);
        self.digest.update(&bare);
        if self.begun {
            // The timers alone (RFC 8945 section 5.3.1).
            self.digest.update(&clock(seal.time));
            self.digest.update(&seal.fudge.to_be_bytes());
        } else {
            let variables = self.key.variables(seal.time, seal.fudge, seal.error, &seal.other);
            self.digest.update(&variables.ok_or(Wrong::Forged)?);
        }
        let next = self.key.digest(&seal.mac);
        let mac = std::mem::replace(&mut self.digest, next).sign();
        if seal.key != self.key.name || verify_slices_are_equal(mac.as_ref(), &seal.mac).is_err() {
            return Err(Wrong::Forged);
        }
        (self.begun, self.unsigned) = (true, 0);
        if seal.error == 18 {
            let server = <[u8; 6]>::try_from(seal.other.as_slice()).ok();
            let ahead = server.map(|t| t.iter().fold(0i64, |all, b| all << 8 | i64::from(*b)) - now);
            return Err(Wrong::BadTime(ahead));
        }
        if seal.time.abs_diff(now) > u64::from(seal.fudge.max(FUDGE)) {
            return Err(Wrong::BadTime(Some(seal.time - now)));
        }
        Ok(true)
    }
}

/// The words of a configuration of BIND, without comments; braces and semicolons are words.
fn words(text: &str) -> Vec<Zeroizing<String>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.trim_start().chars().next() {
        rest = rest.trim_start();
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => {
                let end = rest[1..].find('"').map_or(rest.len(), |at| at + 2);
                out.push(Zeroizing::new(rest[1..end].trim_end_matches('"').to_owned()));
                end
            }
            '{' | '}' | ';' => {
                out.push(Zeroizing::new(first.to_string()));
                1
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
                let end = rest.find(ends).unwrap_or(rest.len());
                out.push(Zeroizing::new(rest[..end].to_owned()));
                end
            }
        };
        rest = rest.get(length..).unwrap_or("");
    }
    out
}

/// Why a signature does not stand.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The answer has none.
    Unsigned,
    /// The server computes another one: the secret differs.
    BadSignature,
    /// The server does not know the key, or not with this algorithm.
    BadKey,
    /// The clocks differ, by so many seconds where the server says its own.
    BadTime(Option<i64>),
    /// The server wants a longer one.
    BadTruncation,
    /// The answer's own signature is not that of our key.
    Forged,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("the answer is not signed"),
            Self::BadSignature => f.write_str("the secret of the key is another one there (BADSIG)"),
            Self::BadKey => f.write_str("it does not know the key, or not with this algorithm (BADKEY)"),
            Self::BadTime(Some(ahead)) => {
                write!(f, "its clock is {ahead} s ahead of ours (BADTIME)")
            }
            Self::BadTime(None) => f.write_str("its clock is not ours (BADTIME)"),
            Self::BadTruncation => f.write_str("it wants a longer signature (BADTRUNC)"),
            Self::Forged => f.write_str("the answer is not signed with our key"),
        }
    }
}

/// 48 bits of seconds since 1970.
fn clock(time: i64) -> [u8; 6] {
    let [_, _, rest @ ..] = time.max(0).to_be_bytes();
    rest
}

/// The signature of a message, taken apart.
struct Seal {
    /// Where it begins.
    at: usize,
    key: String,
    time: i64,
    fudge: u16,
    mac: Vec<u8>,
    id: Option<[u8; 2]>,
    error: u16,
    other: Vec<u8>,
}

impl Seal {
    /// The last record of the message, if it is a signature.
    fn read(message: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let mut at = 12;
        for _ in 0..word(4)? {
            at = name::from_message(message, at)?.1.checked_add(4)?;
        }
        let records = usize::from(word(6)?) + usize::from(word(8)?) + usize::from(word(10)?);
        if word(10)? == 0 {
            return None;
        }
        for _ in 1..records {
            let (_, after) = name::from_message(message, at)?;
            at = after + 10 + usize::from(word(after + 8)?);
        }
        let (key, after) = name::from_message(message, at)?;
        if word(after)? != TSIG || word(after + 2)? != ANY {
            return None;
        }
        let (_, data) = name::from_message(message, after + 10)?;
        let time = message.get(data..data + 6)?.iter().fold(0i64, |all, b| all << 8 | i64::from(*b));
        let size = usize::from(word(data + 8)?);
        let (mac, rest) = (message.get(data + 10..data + 10 + size)?.to_vec(), data + 10 + size);
        let other = usize::from(word(rest + 4)?);
        Some(Self {
            at,
            key,
            time,
            fudge: word(data + 6)?,
            mac,
            id: message.get(rest..rest + 2)?.try_into().ok(),
            error: word(rest + 2)?,
            other: message.get(rest + 6..rest + 6 + other)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::new("acme.", Algorithm::parse("HMAC-SHA256.").expect("it"), secret).expect("a key")
    }

    /// As a server would: the answer to a signed request, signed over its signature.
    fn answer(key: &Key, request_mac: &[u8], now: i64, error: u16, other: &[u8]) -> Vec<u8> {
        let bare = [0, 7, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let variables = key.variables(now, FUDGE, error, other).expect("variables");
        let over = [&(request_mac.len() as u16).to_be_bytes()[..], request_mac, &bare, &variables].concat();
        let mac = hmac::sign(&key.key, &over);
        let mut out = bare.to_vec();
        out[11] = 1;
        out.extend(name::to_wire("acme").expect("a name"));
        out.extend([0, 250, 0, 255, 0, 0, 0, 0]);
        let mut data = name::to_wire("hmac-sha256").expect("a name");
        data.extend(clock(now));
        data.extend(FUDGE.to_be_bytes());
        data.extend((mac.as_ref().len() as u16).to_be_bytes());
        data.extend(mac.as_ref());
        data.extend([0, 7]);
        data.extend(error.to_be_bytes());
        data.extend((other.len() as u16).to_be_bytes());
        data.extend(other);
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn an_answer_is_believed_only_with_the_signature_over_ours() {
        let (ours, other) = (key("c2VjcmV0"), key("b3RoZXI="));
        let (signed, mac) = ours.sign(&[0, 7, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1000).expect("signed");
        assert_eq!(signed[11], 1, "one more record");
        let good = answer(&ours, &mac, 1000, 0, &[]);
        assert_eq!(ours.check(&good, &mac, 1100), Ok(()));
        assert_eq!(ours.check(&good, &mac, 2000), Err(Wrong::BadTime(Some(-1000))));
        assert_eq!(ours.check(&good, &[1; 32], 1000), Err(Wrong::Forged), "over another request");
        assert_eq!(ours.check(&answer(&other, &mac, 1000, 0, &[]), &mac, 1000), Err(Wrong::Forged));
        assert_eq!(ours.check(&good[..12], &mac, 1000), Err(Wrong::Unsigned));
        for length in 0..good.len() {
            assert!(ours.check(&good[..length], &mac, 1000).is_err(), "{length}");
        }
        let late = answer(&ours, &mac, 1000, 18, &[0, 0, 0, 0, 0x0b, 0xb8]);
        assert_eq!(ours.check(&late, &mac, 1000), Err(Wrong::BadTime(Some(2000))));
        let unknown = answer(&ours, &mac, 1000, 17, &[]);
        assert_eq!(ours.check(&unknown, &mac, 1000), Err(Wrong::BadKey));
    }

    /// The next message of an answer, as a server signs it: over the signature before, with the timers alone.
    fn more(key: &Key, unsigned: &[Vec<u8>], before: &[u8], now: i64) -> (Vec<u8>, Vec<u8>) {
        let bare = [0, 7, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut over = (before.len() as u16).to_be_bytes().to_vec();
        over.extend(before);
        unsigned.iter().for_each(|message| over.extend(message));
        over.extend(bare);
        over.extend(clock(now));
        over.extend(FUDGE.to_be_bytes());
        let mac = hmac::sign(&key.key, &over);
        let sealed = answer(key, &[], now, 0, &[]);
        // The same seal with the other signature in it.
        let at = sealed.len() - 6 - mac.as_ref().len();
        let mut out = sealed;
        out[..11].copy_from_slice(&bare[..11]);
        out[at..at + mac.as_ref().len()].copy_from_slice(mac.as_ref());
        (out, mac.as_ref().to_vec())
    }

    #[test]
    fn an_answer_in_many_messages() {
        let ours = key("c2VjcmV0");
        let (_, mac) = ours.sign(&[0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1000).expect("signed");
        let first = answer(&ours, &mac, 1000, 0, &[]);
        let first_mac = Seal::read(&first).expect("sealed").mac;
        let bare = vec![0, 7, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let (third, third_mac) = more(&ours, std::slice::from_ref(&bare), &first_mac, 1001);
        let (fourth, _) = more(&ours, &[], &third_mac, 1002);
        let mut exchange = ours.exchange(&mac);
        let taken: Vec<_> =
            [&first, &bare, &third, &fourth].into_iter().map(|m| exchange.take(m, 1002)).collect();
        assert_eq!(taken, [Ok(true), Ok(false), Ok(true), Ok(true)]);
        // One that was left out, or changed, or put in another place.
        for messages in [vec![&first, &third], vec![&first, &fourth], vec![&third]] {
            let mut exchange = ours.exchange(&mac);
            let last = messages.into_iter().map(|m| exchange.take(m, 1002)).last();
            assert_eq!(last, Some(Err(Wrong::Forged)));
        }
        let mut exchange = ours.exchange(&mac);
        assert_eq!(exchange.take(&bare, 1000), Err(Wrong::Unsigned), "the first one is always signed");
        let mut exchange = ours.exchange(&mac);
        assert_eq!(exchange.take(&first, 1000), Ok(true));
        for _ in 0..UNSIGNED_MAX {
            assert_eq!(exchange.take(&bare, 1000), Ok(false));
        }
        assert_eq!(exchange.take(&bare, 1000), Err(Wrong::Unsigned));
    }

    #[test]
    fn keys_as_name_servers_have_them() {
        let written = "# made by tsig-keygen\nkey \"acme.\" {\n\talgorithm hmac-sha256; // good\n\t\
                       secret \"c2VjcmV0\";\n};\n";
        let (ours, read) = (key("c2VjcmV0"), Key::of_file(written).expect("a key"));
        let message = [0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(read.sign(&message, 5), ours.sign(&message, 5));
        assert!(Key::of_file("key acme{algorithm hmac-sha512;secret c2VjcmV0;}").is_ok());
        for (wrong, sign) in [
            ("", "holds no key"),
            ("key", "holds no key"),
            ("key a { algorithm hmac-md5; secret \"AA==\"; };", "none that is used here"),
            ("key a { algorithm hmac-sha256; };", "holds no key"),
            ("key a { secret \"not base64!\"; };", "not base64"),
            ("key \"a { secret", "holds no key"),
        ] {
            let said = Key::of_file(wrong).err().unwrap_or_default();
            assert!(said.contains(sign), "{wrong}: {said}");
        }
    }

    #[test]
    fn wrong_keys_are_told_without_their_secrets() {
        for (name, secret, sign) in [
            ("acme", "not base64!", "not base64"),
            ("acme", "", "not base64"),
            ("a..b", "AA==", "no name of a key"),
        ] {
            let read = Key::new(name, Algorithm::parse("hmac-sha512").expect("it"), secret);
            let said = read.err().expect("refused");
            assert!(said.contains(sign) && !said.contains("64!"), "{said}");
        }
        assert!(Algorithm::parse("hmac-md5").err().expect("refused").contains("tsig-keygen"));
    }
}
