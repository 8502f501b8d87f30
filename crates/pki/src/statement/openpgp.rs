//! OpenPGP keys and keyrings (RFC 4880, RFC 9580): who they belong to and when they lapse.
//!
//! Armoured, binary, and GnuPG's keybox. Expiry is computed the way gpg does: of the signatures that a key has made
//! over itself the latest counts; a direct one before those over user ids; a subkey by its latest binding.
//! Signatures are told apart by digest only (see `signature.rs`), and those by way of MD5 do not count. A signature's own expiry is a fact, because
//! whether it has passed depends on the day, which is not known here. Messages and detached signatures hold no
//! key and are left alone; secret parts are never looked at.

pub mod key;
pub mod packet;
pub mod signature;

use std::borrow::Cow;

use super::{Statement, StatementKind};
use crate::container::{Content, Found, Place, Reason, Session};
use crate::fingerprint::hex;
use crate::time::{DAY, UnixTime};
use key::PublicPart;
use packet::{Blob, Packets, id};
use signature::{Signature, class};

/// So many octets may be hashed to tell the signatures of one file apart.
const HASHED_MAX: u64 = 256 << 20;
/// So many packets of one file are looked at.
const PACKETS_MAX: usize = 1_000_000;
/// User ids and subkeys of one key that are kept.
const PARTS_MAX: usize = 1000;

/// A key with its user ids, or a subkey.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// In upper-case hex.
    pub fingerprint: String,
    /// The key id, as most tools show it.
    pub key_id: String,
    /// Of the packet: 2 to 6.
    pub version: u8,
    /// Name of the algorithm.
    pub algorithm: String,
    /// Its size.
    pub bits: Option<u32>,
    /// When it was made.
    pub created: UnixTime,
    /// When it says that it lapses.
    pub expires: Option<UnixTime>,
    /// When the signature that says so lapses itself.
    pub signature_expires: Option<UnixTime>,
    /// The reason code of its revocation (RFC 9580 section 5.2.3.31); 0 where none is given.
    pub revoked: Option<u8>,
    /// The key flags (section 5.2.3.29); `None` where it says nothing.
    pub flags: Option<u8>,
    /// Whether a good self-signature, or binding, was found at all.
    pub is_bound: bool,
    /// Whether the secret half is here, too.
    pub is_secret: bool,
    /// User ids that are not revoked, the primary one first; of a subkey none.
    pub user_ids: Vec<String>,
    /// Subkeys, of which none has any.
    pub subkeys: Vec<Key>,
}

/// The keys in packets; what else there is between them is stepped over.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut budget = HASHED_MAX;
    let mut out = Vec::new();
    read_keys(bytes, &mut budget, |key| out.push(key));
    out
}

fn read_keys(bytes: &[u8], budget: &mut u64, mut put: impl FnMut(Key)) -> bool {
    let mut block: Option<Block<'_>> = None;
    let mut packets = Packets::new(bytes);
    for packet in packets.by_ref().take(PACKETS_MAX) {
        match packet.id {
            id::PUBLIC_KEY | id::SECRET_KEY => {
                if let Some(done) = block.take() {
                    put(done.judged(budget));
                }
                let is_secret = packet.id == id::SECRET_KEY;
                block = PublicPart::parse(packet.body, is_secret).map(|key| Block::new(key, is_secret));
            }
            id::MARKER | id::TRUST | id::PADDING => {}
            _ => {
                if let Some(block) = &mut block {
                    block.add(packet);
                }
            }
        }
    }
    if let Some(done) = block.take() {
        put(done.judged(budget));
    }
    packets.rest().is_empty()
}

/// What a part of a key is.
enum Part<'a> {
    /// The primary key itself.
    Primary,
    UserId(&'a [u8]),
    Attribute(&'a [u8]),
    Subkey(PublicPart<'a>, bool),
    /// A subkey that cannot be read, whose signatures belong to nobody.
    Unknown,
}

/// A transferable key (RFC 9580 section 10.1) as it comes in.
struct Block<'a> {
    key: PublicPart<'a>,
    is_secret: bool,
    id: [u8; 8],
    parts: Vec<(Part<'a>, Vec<Signature<'a>>)>,
}

impl<'a> Block<'a> {
    fn new(key: PublicPart<'a>, is_secret: bool) -> Self {
        let id = key.key_id();
        Self { key, is_secret, id, parts: vec![(Part::Primary, Vec::new())] }
    }

    fn add(&mut self, packet: packet::Packet<'a>) {
        let part = match packet.id {
            id::SIGNATURE => {
                // Signatures of others, which big keys have thousands of, are dropped at once.
                if let Some(signature) = Signature::parse(packet.body)
                    && signature.issuer.is_none_or(|issuer| issuer == self.id)
                    && let Some((_, signatures)) = self.parts.last_mut()
                {
                    signatures.push(signature);
                }
                return;
            }
            id::USER_ID => Part::UserId(packet.body),
            id::USER_ATTRIBUTE => Part::Attribute(packet.body),
            id::PUBLIC_SUBKEY | id::SECRET_SUBKEY => {
                let is_secret = packet.id == id::SECRET_SUBKEY;
                PublicPart::parse(packet.body, is_secret)
                    .map_or(Part::Unknown, |key| Part::Subkey(key, is_secret))
            }
            _ => return,
        };
        if self.parts.len() <= PARTS_MAX {
            self.parts.push((part, Vec::new()));
        }
    }

    fn judged(self, budget: &mut u64) -> Key {
        let frame = self.key.frame();
        let primary = [&frame[..], self.key.body];
        let covers = |signature: &Signature<'_>, rest: &[&[u8]], budget: &mut u64| {
            let signed = [&primary[..], rest].concat();
            let cost: u64 = signed.iter().map(|part| part.len() as u64).sum();
            match budget.checked_sub(cost) {
                Some(left) => *budget = left,
                None => return true,
            }
            signature.covers(&signed).unwrap_or(true)
        };
        let mut out = self.describe(&self.key, self.is_secret);
        let mut direct: Option<&Signature<'_>> = None;
        let mut ids: Vec<(&Signature<'_>, &[u8], bool)> = Vec::new();
        for (part, signatures) in &self.parts {
            match part {
                Part::Primary => {
                    for signature in signatures {
                        if !matches!(signature.class, class::DIRECT | class::KEY_REVOCATION)
                            || !covers(signature, &[], budget)
                        {
                            continue;
                        }
                        if signature.class == class::KEY_REVOCATION {
                            out.revoked = Some(signature.reason.unwrap_or(0));
                        } else if direct.is_none_or(|latest| signature.created >= latest.created) {
                            direct = Some(signature);
                        }
                    }
                }
                Part::UserId(text) | Part::Attribute(text) => {
                    let is_attribute = matches!(part, Part::Attribute(_));
                    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
                    let head = [&[if is_attribute { 0xd1 } else { 0xb4 }][..], &length].concat();
                    let mut latest: Option<&Signature<'_>> = None;
                    for signature in signatures {
                        let framed = [&head[..], text];
                        let signed = if signature.frames_user_ids() { &framed[..] } else { &framed[1..] };
                        if matches!(signature.class, 0x10..=0x13 | class::CERTIFICATION_REVOCATION)
                            && latest.is_none_or(|latest| signature.created >= latest.created)
                            && covers(signature, signed, budget)
                        {
                            latest = Some(signature);
                        }
                    }
                    if let Some(latest) = latest {
                        ids.push((latest, text, is_attribute));
                    }
                }
                Part::Subkey(key, is_secret) => {
                    let mut subkey = self.describe(key, *is_secret);
                    let frame = key.frame();
                    let mut latest: Option<&Signature<'_>> = None;
                    for signature in signatures {
                        if !matches!(signature.class, class::SUBKEY_BINDING | class::SUBKEY_REVOCATION)
                            || !covers(signature, &[&frame, key.body], budget)
                        {
                            continue;
                        }
                        if signature.class == class::SUBKEY_REVOCATION {
                            subkey.revoked = Some(signature.reason.unwrap_or(0));
                        } else if latest.is_none_or(|latest| signature.created >= latest.created) {
                            latest = Some(signature);
                        }
                    }
                    subkey.settle(latest, latest);
                    out.subkeys.push(subkey);
                }
                Part::Unknown => {}
            }
        }
        ids.retain(|(signature, ..)| signature.class != class::CERTIFICATION_REVOCATION);
        // The latest first; of user ids marked as primary, the latest of these.
        ids.sort_by_key(|(signature, ..)| {
            std::cmp::Reverse((signature.is_primary_user_id, signature.created))
        });
        out.user_ids = ids
            .iter()
            .filter(|(.., is_attribute)| !is_attribute)
            .map(|(_, text, _)| String::from_utf8_lossy(text).into_owned())
            .collect();
        // As gpg does: a direct signature that speaks of it, else the latest over a user id that does.
        let latest = |speaks: fn(&Signature<'_>) -> bool| {
            direct.filter(|direct| speaks(direct)).or_else(|| {
                ids.iter().map(|(signature, ..)| *signature).filter(|s| speaks(s)).max_by_key(|s| s.created)
            })
        };
        let any = latest(|_| true);
        out.settle(latest(|signature| signature.key_lifetime.is_some()).or(any), any);
        if let Some(flags) =
            latest(|signature| signature.flags.is_some()).and_then(|signature| signature.flags)
        {
            out.flags = Some(flags);
        }
        if self.key.version < 4 && self.key.days > 0 {
            out.expires = Some(out.created.plus(i64::from(self.key.days) * DAY));
        }
        out
    }

    fn describe(&self, key: &PublicPart<'_>, is_secret: bool) -> Key {
        let algorithm = match key.curve {
            Some(curve) => format!("{} {curve}", key.algorithm_name()),
            None => key.algorithm_name(),
        };
        Key {
            fingerprint: key.fingerprint(),
            key_id: hex(&key.key_id()).to_ascii_uppercase(),
            version: key.version,
            algorithm,
            bits: key.bits,
            created: UnixTime(i64::from(key.created)),
            expires: None,
            signature_expires: None,
            revoked: None,
            flags: None,
            is_bound: false,
            is_secret,
            user_ids: Vec::new(),
            subkeys: Vec::new(),
        }
    }
}

impl Key {
    /// Takes expiry from the one signature, and what else is said from the other.
    fn settle(&mut self, of_expiry: Option<&Signature<'_>>, any: Option<&Signature<'_>>) {
        if let Some(lifetime) = of_expiry.and_then(|signature| signature.key_lifetime) {
            self.expires = Some(self.created.plus(i64::from(lifetime)));
        }
        self.signature_expires = any.and_then(Signature::expires);
        self.flags = any.and_then(|signature| signature.flags);
        self.is_bound = any.is_some();
    }

    /// What it states, subkeys aside.
    pub fn statement(&self) -> Statement {
        self.stated(self.user_ids.first().map_or(&self.fingerprint, |id| id), self.expires, &self.user_ids)
    }

    /// What each of its subkeys states: it lapses with its primary key at the latest.
    pub fn subkey_statements(&self) -> impl Iterator<Item = Statement> {
        self.subkeys.iter().map(|subkey| {
            let until = match (subkey.expires, self.expires) {
                (Some(own), Some(primary)) => Some(own.min(primary)),
                (own, primary) => own.or(primary),
            };
            let owner = self.user_ids.first().map_or(&self.fingerprint, |id| id);
            subkey
                .stated(&format!("subkey {} of {owner}", subkey.key_id), until, &self.user_ids)
                .fact("primary", &self.fingerprint)
                .fact_time("own_expiry", subkey.expires.filter(|own| Some(*own) != until))
        })
    }

    fn stated(&self, title: &str, until: Option<UnixTime>, names: &[String]) -> Statement {
        let yes = |set: bool| set.then_some("yes");
        let mut out = Statement::new(StatementKind::OpenpgpKey, title)
            .dated(Some(self.created), until)
            .fact("fingerprint", &self.fingerprint)
            .fact("key_id", &self.key_id)
            .fact("version", self.version.to_string())
            .fact("algorithm", &self.algorithm)
            .fact_if("bits", self.bits.map(|bits| bits.to_string()))
            .fact_if("usage", self.usage())
            .fact_if("revoked", self.revoked.map(revocation_reason))
            .fact_if("unbound", yes(!self.is_bound && self.version > 3))
            .fact_if("secret", yes(self.is_secret))
            .fact_time("self_signature_expires", self.signature_expires);
        for name in names {
            out = out.name(name);
        }
        out
    }

    /// What it may be used for, by its own word.
    pub fn usage(&self) -> Option<String> {
        let flags = self.flags?;
        let words = [(1, "certify"), (2, "sign"), (4 | 8, "encrypt"), (0x20, "authenticate")];
        let words: Vec<_> =
            words.iter().filter(|(mask, _)| flags & mask != 0).map(|(_, word)| *word).collect();
        Some(words.join(","))
    }
}

/// RFC 9580 section 5.2.3.31.
fn revocation_reason(code: u8) -> &'static str {
    match code {
        1 => "superseded",
        2 => "compromised",
        3 => "retired",
        32 => "user id no longer valid",
        _ => "no reason given",
    }
}

/// Opens packets or a keybox.
pub(crate) fn open<'a>(bytes: &'a [u8], place: &Place, session: &mut Session, found: &mut Vec<Found<'a>>) {
    let mut budget = HASHED_MAX;
    let mut number = 0;
    let mut put = |key: Key, session: &mut Session, found: &mut Vec<Found<'a>>| {
        number += 1;
        let here = place.named(&key.fingerprint);
        session.keep(found, Content::Statement(key.statement()), here.clone());
        for (subkey, statement) in key.subkeys.iter().zip(key.subkey_statements()) {
            session.keep(found, Content::Statement(statement), here.named(&subkey.fingerprint));
        }
    };
    if packet::looks_like_keybox(bytes) {
        let mut certificates = 0;
        for blob in packet::blobs(bytes) {
            match blob {
                Blob::Openpgp(block) => {
                    read_keys(block, &mut budget, |key| put(key, session, found));
                }
                Blob::X509(der) => {
                    certificates += 1;
                    let place = place.numbered(certificates);
                    session.keep(found, Content::Certificate(Cow::Borrowed(der)), place);
                }
            }
            if session.is_full() {
                return;
            }
        }
        return;
    }
    let whole = read_keys(bytes, &mut budget, |key| put(key, session, found));
    if !whole && number > 0 {
        session.problem(Reason::Malformed, "an OpenPGP keyring that breaks off: read as far as it goes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of an Ed25519 key that was made at this second, and the octets that frame it.
    fn public(created: u32) -> (Vec<u8>, Vec<u8>) {
        let body = [&[4][..], &created.to_be_bytes(), &[27], &[created as u8; 32]].concat();
        let framed = [&[0x99, 0, body.len() as u8][..], &body].concat();
        (body, framed)
    }

    fn packet(id: u8, body: &[u8]) -> Vec<u8> {
        [&[0xc0 | id, 255][..], &(body.len() as u32).to_be_bytes(), body].concat()
    }

    /// A signature over these octets, made then, that gives the key so many seconds.
    fn signature(class: u8, created: u32, lifetime: Option<u32>, signed: &[&[u8]]) -> Vec<u8> {
        let mut area = [&[5, 2][..], &created.to_be_bytes()].concat();
        if let Some(lifetime) = lifetime {
            area.extend([&[5, 9][..], &lifetime.to_be_bytes()].concat());
        }
        let hashed = [&[4, class, 27, 8, 0, area.len() as u8][..], &area].concat();
        let trailer = [&[4, 0xff][..], &(hashed.len() as u32).to_be_bytes()].concat();
        let digest = crate::fingerprint::sha256(&[&signed.concat()[..], &hashed, &trailer].concat());
        packet(id::SIGNATURE, &[&hashed[..], &[0, 0], &digest[..2]].concat())
    }

    fn check(packets: &[Vec<u8>], expires: Option<i64>, user_ids: &[&str], subkeys: &[Option<i64>]) {
        let found = keys(&packets.concat());
        let [key] = found.as_slice() else { panic!("one key: {found:?}") };
        assert_eq!(key.expires, expires.map(UnixTime));
        assert_eq!(key.user_ids, user_ids);
        let ends: Vec<_> = key.subkey_statements().map(|subkey| subkey.not_after().map(|t| t.0)).collect();
        assert_eq!(ends, subkeys);
    }

    #[test]
    fn the_latest_word_counts() {
        let (key, framed) = public(1000);
        let (subkey, framed_subkey) = public(1005);
        let primary = packet(id::PUBLIC_KEY, &key);
        let user = |name: &str| packet(id::USER_ID, name.as_bytes());
        let of_user = |name: &str, class, created, lifetime| {
            let head = [&[0xb4][..], &(name.len() as u32).to_be_bytes(), name.as_bytes()].concat();
            signature(class, created, lifetime, &[&framed, &head])
        };
        let a = [user("a"), of_user("a", 0x13, 20, Some(500)), of_user("a", 0x13, 10, Some(100))].concat();
        check(&[primary.clone(), a.clone()], Some(1500), &["a"], &[]);
        // A later user id that says nothing leaves it; one that speaks does not; a direct word goes before all.
        let silent = [user("b"), of_user("b", 0x13, 30, None)].concat();
        check(&[primary.clone(), a.clone(), silent], Some(1500), &["b", "a"], &[]);
        let speaks = [user("b"), of_user("b", 0x10, 30, Some(7))].concat();
        check(&[primary.clone(), a.clone(), speaks], Some(1007), &["b", "a"], &[]);
        let direct = signature(class::DIRECT, 5, Some(50), &[&framed]);
        check(&[primary.clone(), direct, a.clone()], Some(1050), &["a"], &[]);
        // A user id revoked, a signature that is of another, and one of another key do not count.
        let revoked = [user("b"), of_user("b", 0x13, 30, Some(7)), of_user("b", 0x30, 31, None)].concat();
        check(&[primary.clone(), a.clone(), revoked], Some(1500), &["a"], &[]);
        let moved = [user("b"), of_user("x", 0x13, 30, Some(7))].concat();
        check(&[primary.clone(), a.clone(), moved], Some(1500), &["a"], &[]);
        // Subkeys end with their primary key at the latest.
        let bound = |lifetime| {
            let binding = signature(class::SUBKEY_BINDING, 40, lifetime, &[&framed, &framed_subkey]);
            [packet(id::PUBLIC_SUBKEY, &subkey), binding].concat()
        };
        let subkeys = [bound(Some(5)), bound(None), bound(Some(5000))].concat();
        check(&[primary, a, subkeys], Some(1500), &["a"], &[Some(1010), Some(1500), Some(1500)]);
    }
}
