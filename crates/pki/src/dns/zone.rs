//! What the signatures of a zone say of its end, gathered from its records as they come by.
//!
//! A zone holds thousands of signatures, and one that ends is enough to make a name unreachable: what counts is the
//! set of records whose last signature ends first. During a change of keys a set has several signatures, and any
//! of them will do (RFC 4035 section 5.3), so within a set it is the one that ends last. Sets must come together, as
//! they do in files and transfers. Nothing is verified, and nothing judged.

use std::collections::BTreeSet;

use super::{Data, KeyIdentity, Record, Rrsig, Soa, name, word_of};
use crate::statement::{Statement, StatementKind};
use crate::time::UnixTime;

/// So many keys of a zone are kept.
const KEYS_MAX: usize = 20;

/// What was seen of a zone and its signatures.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    zone: Option<String>,
    soa: Option<Soa>,
    entries: BTreeSet<KeyIdentity>,
    signers: BTreeSet<u16>,
    set: Option<Signed>,
    first: Option<Signed>,
    newest: Option<UnixTime>,
    count: u64,
}

/// A set of records and its signature that ends last.
#[derive(Clone, Debug)]
struct Signed {
    owner: String,
    signature: Rrsig,
}

impl Signatures {
    /// Of this zone; without, of the one whose SOA comes first.
    pub fn of(zone: Option<&str>) -> Self {
        Self { zone: zone.map(str::to_owned), ..Self::default() }
    }

    /// Takes one record.
    pub fn see(&mut self, record: &Record) {
        match &record.data {
            Data::Soa(soa) if self.soa.is_none() => {
                let zone = self.zone.get_or_insert_with(|| record.owner.clone());
                if *zone == record.owner {
                    self.soa = Some(soa.clone());
                }
            }
            // A zone file begins with its SOA: what comes later has the zone's name to compare with.
            Data::Dnskey(key)
                if key.is_entry()
                    && self.entries.len() < KEYS_MAX
                    && self.zone.as_ref().is_none_or(|zone| *zone == record.owner) =>
            {
                self.entries.insert(key.identity(&record.owner));
            }
            Data::Rrsig(signature) => self.signature(&record.owner, signature),
            _ => {}
        }
    }

    fn signature(&mut self, owner: &str, signature: &Rrsig) {
        self.count += 1;
        self.newest = self.newest.max(Some(signature.inception));
        if self.signers.len() < KEYS_MAX {
            self.signers.insert(signature.tag);
        }
        match &mut self.set {
            Some(set) if set.owner == owner && set.signature.covered == signature.covered => {
                if signature.expiration > set.signature.expiration {
                    set.signature = signature.clone();
                }
            }
            _ => {
                self.close();
                self.set = Some(Signed { owner: owner.to_owned(), signature: signature.clone() });
            }
        }
    }

    /// The set that was being read is whole.
    fn close(&mut self) {
        let Some(set) = self.set.take() else { return };
        let ends = |one: &Signed| one.signature.expiration;
        if self.first.as_ref().is_none_or(|first| ends(&set) < ends(first)) {
            self.first = Some(set);
        }
    }

    /// Is it a zone: was its SOA seen?
    pub fn zone(&self) -> Option<&str> {
        self.soa.as_ref().and(self.zone.as_deref())
    }

    /// Its beginning.
    pub fn soa(&self) -> Option<&Soa> {
        self.soa.as_ref()
    }

    /// The keys at which trust in it begins.
    pub fn entries(&self) -> impl Iterator<Item = &KeyIdentity> {
        self.entries.iter()
    }

    /// All that as a dated thing; `None` where there is no zone or no signature.
    pub fn statement(mut self) -> Option<Statement> {
        self.close();
        let (zone, soa, first) = (self.zone?, self.soa?, self.first?);
        let signature = first.signature;
        let shown = if zone == "." { "the root zone" } else { &zone };
        let join = |list: Vec<String>| (!list.is_empty()).then(|| list.join(" "));
        Some(
            Statement::new(StatementKind::DnssecSignature, format!("the signatures of {shown}"))
                .name(&zone)
                .issuer(format!("key {} of {}", signature.tag, signature.signer))
                .dated(Some(signature.inception), Some(signature.expiration))
                .fact("first_to_end", format!("{} of {}", word_of(signature.covered), first.owner))
                .fact("serial", soa.serial.to_string())
                .fact("refresh_seconds", soa.refresh.to_string())
                .fact("expire_seconds", soa.expire.to_string())
                .fact("signatures", self.count.to_string())
                .fact_time("last_signed", self.newest)
                .fact_if("signed_by", join(self.signers.iter().map(u16::to_string).collect()))
                .fact_if("keys", join(self.entries.iter().map(KeyIdentity::to_string).collect())),
        )
    }
}

/// Registered properties of CAA that are not about certificates of servers: RFC 9495, and the CA/Browser Forum's. A CA that
/// has heard of them is not kept from issuing by one that is critical.
const ELSEWHERE: [&str; 4] = ["issuemail", "issuevmc", "contactemail", "contactphone"];

/// Who may issue certificates for a name and all below it, from the CAA records of that name. `None`: there are none.
pub fn caa(owner: &str, records: &[Record]) -> Option<Statement> {
    let own = records.iter().filter(|record| record.owner == owner).filter_map(|record| match &record.data {
        Data::Caa { flags, tag, value } => Some((*flags, tag.as_str(), value.as_str())),
        _ => None,
    });
    let mut lists: [(&str, Option<Vec<String>>); 3] = [("issue", None), ("issuewild", None), ("iodef", None)];
    let (mut any, mut unknown) = (false, None);
    for (flags, tag, value) in own {
        any = true;
        match lists.iter_mut().find(|(known, _)| *known == tag) {
            // Between the values stands no semicolon: those separate parameters. Nothing is what `;` is: nobody.
            Some((_, list)) => {
                let value = if value.trim().is_empty() { ";" } else { value };
                list.get_or_insert_default().push(value.replace('|', " "));
            }
            None if flags & 0x80 != 0 && !ELSEWHERE.contains(&tag) => unknown = Some(tag.to_owned()),
            None => {}
        }
    }
    let mut out = Statement::new(StatementKind::CaaPolicy, format!("the CAA records of {owner}")).name(owner);
    for (tag, list) in lists {
        out = out.fact_if(tag, list.map(|list| list.join(" | ")));
    }
    any.then(|| out.fact_if("critical_unknown", unknown))
}

/// The keys that are trusted for a zone, as a file or a parent has them. `usage`: `dnssec-anchor` or `dnssec-ds`.
pub fn anchors(zone: &str, keys: &BTreeSet<KeyIdentity>, usage: &str, initial: bool) -> Statement {
    let shown = if zone == "." { "the root zone" } else { zone };
    let title = match usage {
        "dnssec-ds" => format!("the DS records of {shown}"),
        _ => format!("the trust anchors of {shown}"),
    };
    let list: Vec<String> = keys.iter().take(KEYS_MAX).map(KeyIdentity::to_string).collect();
    Statement::new(StatementKind::BareKey, title)
        .name(zone)
        .fact("usage", usage)
        .fact("keys", list.join(" "))
        .fact_if("mode", initial.then_some("initial"))
}

/// The zone a statement of [`Signatures`] or [`anchors`] is about, and its keys.
pub fn keys_of(statement: &Statement) -> Option<(&str, Vec<KeyIdentity>)> {
    let about = match statement.kind() {
        StatementKind::DnssecSignature => true,
        StatementKind::BareKey => {
            statement.fact_of("usage").is_some_and(|usage| usage.starts_with("dnssec-"))
        }
        _ => false,
    };
    let zone = about.then(|| statement.names().first()).flatten()?;
    let keys = statement.fact_of("keys").unwrap_or_default();
    Some((zone, keys.split(' ').filter_map(KeyIdentity::parse).collect()))
}

/// Is it a name that a certificate can be for: no `_service`, no wildcard, nothing escaped?
pub fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.len() <= 253 && host.split('.').all(label) && name::to_wire(host).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::text;

    fn signatures(text: &str) -> Option<Statement> {
        let mut out = Signatures::of(None);
        text::read(text.as_bytes(), Some("test"), &mut |_| None, &mut |record| {
            out.see(&record);
            true
        });
        out.statement()
    }

    #[test]
    fn the_set_whose_last_signature_ends_first_counts() {
        let soa = "@ 300 SOA ns admin 7 3600 600 86400 300\n";
        let sign = |owner: &str, covered: &str, from: &str, until: &str| {
            format!("{owner} RRSIG {covered} 13 1 300 {until}000000 {from}000000 99 test. AAAA\n")
        };
        let text = [
            soa.to_owned(),
            sign("@", "SOA", "20260301", "20260315"),
            // An old and a new key: the old one's signature may end.
            sign("a", "A", "20260220", "20260305"),
            sign("a", "A", "20260302", "20260316"),
            sign("b", "A", "20260225", "20260311"),
        ]
        .concat();
        let statement = signatures(&text).expect("a signed zone");
        assert_eq!(statement.not_after().map(|t| t.to_string()).as_deref(), Some("2026-03-11T00:00:00Z"));
        assert_eq!(statement.fact_of("first_to_end"), Some("A of b.test"));
        assert_eq!(statement.fact_of("last_signed"), Some("2026-03-02T00:00:00Z"));
        assert_eq!((statement.fact_of("signatures"), statement.fact_of("serial")), (Some("4"), Some("7")));
        // Signatures without a zone, and a zone without signatures.
        assert_eq!(signatures(&sign("b", "A", "20260225", "20260311")), None);
        assert_eq!(signatures(soa), None);
    }

    #[test]
    fn nobody_is_not_the_same_as_anybody() {
        let caa_of = |text: &str| {
            let mut all = Vec::new();
            text::read(text.as_bytes(), Some("test"), &mut |_| None, &mut |record| {
                all.push(record);
                true
            });
            caa("test", &all)
        };
        assert_eq!(caa_of("www CAA 0 issue \"ca.test\""), None);
        let nobody = caa_of("@ CAA 0 issue \";\"\n@ CAA 0 iodef \"mailto:x@test\"").expect("a policy");
        assert_eq!((nobody.fact_of("issue"), nobody.fact_of("issuewild")), (Some(";"), None));
        let two = caa_of("@ CAA 0 issue \"a.test\"\n@ CAA 0 issue \"b.test; x=y\"\n@ CAA 128 tbs \"\"");
        let two = two.expect("a policy");
        assert_eq!(two.fact_of("issue"), Some("a.test | b.test; x=y"));
        assert_eq!(two.fact_of("critical_unknown"), Some("tbs"));
        let mail =
            caa_of("@ CAA 128 issuemail \"ca.test\"\n@ CAA 128 contactemail \"x@test\"").expect("a policy");
        assert_eq!(mail.fact_of("critical_unknown"), None);
    }
}
