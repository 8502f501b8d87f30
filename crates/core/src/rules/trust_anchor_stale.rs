//! `trust-anchor-stale`: who validates a zone trusts a key that the zone does not sign with, or soon will not.
//!
//! The keys of the root are known by their dates; those of other zones only where the zone was seen, in a copy or at
//! its servers. What a zone's parent trusts (DS) is judged the same way, and is worse: it breaks the zone for
//! everybody. Whether a resolver really uses a file is not known.

use notafter_pki::dns::{KeyIdentity, zone::keys_of};
use notafter_pki::time::DAY;

use crate::UnixTime;
use crate::dossier::{AssetView, Dossier};
use crate::finding::{Finding, Kind, Severity};
use crate::joints::{Rule, RuleInfo, Verdict};
use crate::location::Location;

/// The rule.
pub struct TrustAnchorStale;

/// A key of the root.
struct RootKey {
    tag: u16,
    /// Since when it is in the root zone, so that RFC 5011 lets validators learn it.
    published: UnixTime,
    /// Since when the root is signed with it.
    signs: UnixTime,
}

/// IANA, "Trust Anchors and Rollovers" and root-anchors.xml: KSK-2010, KSK-2017 and KSK-2024.
const ROOT: &[RootKey] = &[
    // 2010-07-15
    RootKey { tag: 19036, published: UnixTime(1_279_152_000), signs: UnixTime(1_279_152_000) },
    // 2017-07-11, 2018-10-11
    RootKey { tag: 20326, published: UnixTime(1_499_731_200), signs: UnixTime(1_539_216_000) },
    // 2025-01-11, 2026-10-11
    RootKey { tag: 38696, published: UnixTime(1_736_553_600), signs: UnixTime(1_791_676_800) },
];

/// RFC 5011 section 2.4.1: a new key is trusted after it was seen for so long.
const HOLD_DOWN: i64 = 30 * DAY;

impl Rule for TrustAnchorStale {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::TrustAnchorStale,
            doc: "a DNSSEC trust anchor, or the DS record at the parent, has none of the zone's present keys, or lacks the root's coming one",
            citation: "RFC 4035 section 5; RFC 5011; RFC 9718; IANA root KSK-2024 rollover (key tag 38696 signs from 2026-10-11)",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = dossier.asset() else { return Verdict::NotApplicable };
        let Some(statement) = &view.statement else { return Verdict::NotApplicable };
        let Some((zone, keys)) = keys_of(statement) else { return Verdict::NotApplicable };
        let places: Vec<&Location> = view.locations().filter(|l| !is_only_kept(l)).collect();
        if places.is_empty() || keys.is_empty() {
            return Verdict::NotApplicable;
        }
        let subject = Anchor { view, zone, keys, places, initial: statement.fact_of("mode").is_some() };
        match statement.fact_of("usage") {
            Some("dnssec-anchor") if zone == "." => subject.root(now),
            Some("dnssec-anchor") => subject.zone(),
            Some("dnssec-ds") => subject.delegation(),
            _ => Verdict::NotApplicable,
        }
    }
}

struct Anchor<'d, 'a> {
    view: &'d AssetView<'a>,
    zone: &'d str,
    keys: Vec<KeyIdentity>,
    places: Vec<&'d Location>,
    initial: bool,
}

impl Anchor<'_, '_> {
    fn found(&self, severity: Severity) -> Finding {
        Finding::new(Kind::TrustAnchorStale, severity, Some(self.view.asset.id), "")
            .at(self.places.iter().copied())
            .evidence("keys", self.keys.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn root(&self, now: UnixTime) -> Verdict {
        let has = |key: &RootKey| self.keys.iter().any(|k| k.tag == key.tag);
        let learnt = |key: &RootKey| key.published.plus(HOLD_DOWN);
        // The newest that could have been learnt by now decides.
        let Some(newest) = ROOT.iter().rev().find(|key| learnt(key) <= now) else {
            return Verdict::Pass { holds_until: ROOT.first().map(learnt) };
        };
        if has(newest) {
            let next = ROOT.iter().map(learnt).find(|at| *at > now);
            return Verdict::Pass { holds_until: next };
        }
        let (warn, critical) = (newest.signs.plus(-180 * DAY), newest.signs.plus(-30 * DAY));
        let (severity, holds_until) = if now < warn {
            (Severity::Info, Some(warn))
        } else if now < critical {
            (Severity::Warning, Some(critical))
        } else if now < newest.signs {
            (Severity::Critical, Some(newest.signs))
        } else {
            (Severity::Critical, ROOT.iter().map(learnt).find(|at| *at > now))
        };
        // From what only begins the state, an old installation has long learnt; a new one cannot begin.
        let severity = if self.initial { severity.max(Severity::Warning) } else { severity };
        let what = if now < newest.signs { "will be signed" } else { "is signed" };
        let finding = self
            .found(severity)
            .deadline(Some(newest.signs))
            .summary(format!(
                "the trust anchors of the root lack key {}, with which the root zone {what} {}",
                newest.tag,
                crate::finding::WHEN
            ))
            .hint("update the file (`unbound-anchor -a FILE`, the package dns-root-data, BIND's bind.keys) or let the resolver follow RFC 5011, then restart it and ask it for a signed name; without the new key it answers SERVFAIL for everything")
            .evidence("missing", i64::from(newest.tag));
        Verdict::found(finding, holds_until)
    }

    fn zone(&self) -> Verdict {
        let Some(view) = self.view.zone.as_ref() else { return Verdict::NotApplicable };
        let Some(present) = view.keys.as_ref().filter(|keys| !keys.is_empty()) else {
            return Verdict::NotApplicable;
        };
        let missing: Vec<&KeyIdentity> =
            present.iter().filter(|key| !self.keys.iter().any(|k| k.is(key))).collect();
        let at = view.keys_at.map_or("", Location::as_str);
        let zone = self.zone;
        if missing.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        let (severity, summary) = if missing.len() == present.len() {
            (
                Severity::Warning,
                format!("none of the trust anchors for {zone} is a key of the zone as it is now"),
            )
        } else {
            (Severity::Info, format!("the zone {zone} has a new key that the trust anchors for it lack"))
        };
        let finding = self
            .found(severity)
            .summary(summary)
            .hint("put the zone's present key into the file and reload the resolver; have it followed by RFC 5011, or leave the zone to the DS record of its parent. Check the new key by another way than DNS")
            .evidence("present", present.iter().map(ToString::to_string).collect::<Vec<_>>())
            .evidence("present_at", at);
        Verdict::found(finding, None)
    }

    fn delegation(&self) -> Verdict {
        let Some(present) = self.view.zone.as_ref().and_then(|view| view.keys.as_ref()) else {
            return Verdict::NotApplicable;
        };
        if present.iter().any(|key| self.keys.iter().any(|k| k.is(key))) {
            return Verdict::Pass { holds_until: None };
        }
        let zone = self.zone;
        let summary = if present.is_empty() {
            format!(
                "the parent of {zone} has a DS record and the zone is not signed: validating resolvers answer SERVFAIL"
            )
        } else {
            format!(
                "no DS record of {zone} is for a key that the zone has: validating resolvers answer SERVFAIL"
            )
        };
        let finding = self
            .found(Severity::Critical)
            .summary(summary)
            .hint("have the DS record at the registrar replaced by one of the present key (`dnssec-dsfromkey`, `dig CDS`), or removed if the zone is to be unsigned; until that is done and its TTL is over, serve the old key again if you still have it")
            .evidence("present", present.iter().map(ToString::to_string).collect::<Vec<_>>());
        Verdict::found(finding, None)
    }
}

/// Documents and tests, and what signers keep: key pairs (`Kexample.+013+12345.key`) and the records for a parent.
fn is_only_kept(location: &Location) -> bool {
    let file = location.container();
    let name = file.rsplit('/').next().unwrap_or(file);
    let key = name.starts_with('K') && name.contains(".+") && name.ends_with(".key");
    let examples =
        ["/doc/", "/docs/", "/test/", "/tests/", "/testdata/", "/fixtures/", "/examples/", "/src/"];
    location.is_file()
        && (key
            || name.starts_with("dsset-")
            || name.starts_with("keyset-")
            || examples.iter().any(|folder| file.contains(folder)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::Fingerprint;
    use crate::dossier::{Subject, ZoneView};
    use crate::inventory::{Asset, AssetIx, AssetKind, BytesAt, Placement, Role};
    use crate::observation::Facts;
    use crate::rules::scene::judge_at;
    use notafter_pki::dns::zone::anchors;

    fn key(tag: u16) -> KeyIdentity {
        KeyIdentity { tag, algorithm: 8, digest: None }
    }

    struct Case<'c> {
        zone: &'c str,
        usage: &'c str,
        has: &'c [u16],
        present: Option<&'c [u16]>,
        path: &'c str,
        initial: bool,
        now: i64,
    }

    fn check(case: &Case<'_>, expected: Option<Severity>) {
        let keys: BTreeSet<KeyIdentity> = case.has.iter().map(|tag| key(*tag)).collect();
        let asset = Asset {
            id: Fingerprint([5; 32]),
            kind: AssetKind::BareKey,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: None,
            not_after: None,
            key: None,
        };
        let place = Placement {
            asset: AssetIx(0),
            location: Location::file(case.path.as_bytes(), ""),
            role: Role::Signer,
            chain: None,
            first_seen: UnixTime(0),
            last_seen: UnixTime(0),
            unseen_since: None,
            facts: Arc::new(Facts::default()),
        };
        let view = AssetView {
            statement: Some(anchors(case.zone, &keys, case.usage, case.initial)),
            zone: Some(ZoneView {
                keys: case.present.map(|tags| tags.iter().map(|tag| key(*tag)).collect()),
                keys_at: None,
                newer: None,
            }),
            ..AssetView::bare(&asset, vec![&place])
        };
        let expected = expected.map(|severity| (Kind::TrustAnchorStale, severity));
        judge_at(Subject::Asset(view), &TrustAnchorStale, None, expected, UnixTime(case.now));
    }

    const AFTER: i64 = 1_795_219_200;

    #[test]
    fn the_root_has_its_dates() {
        let at = |has: &[u16], now: i64, initial: bool, expected| {
            let case = Case {
                zone: ".",
                usage: "dnssec-anchor",
                has,
                present: None,
                path: "/etc/root.key",
                initial,
                now,
            };
            check(&case, expected);
        };
        at(&[20326], AFTER, false, Some(Severity::Critical));
        at(&[20326], AFTER, true, Some(Severity::Warning));
        at(&[20326, 38696], AFTER, false, None);
        at(&[38696], AFTER, false, None);
        // 2025-01-20: nobody could have learnt it. 2025-03-01, 2026-06-01, 2026-10-01.
        at(&[20326], 1_737_331_200, false, None);
        at(&[20326], 1_740_787_200, false, Some(Severity::Info));
        at(&[20326], 1_780_272_000, false, Some(Severity::Warning));
        at(&[20326], 1_790_812_800, false, Some(Severity::Critical));
    }

    #[test]
    fn other_zones_by_what_was_seen_of_them() {
        let at = |usage: &str, path: &str, present: Option<&[u16]>, expected| {
            let case = Case { zone: "a.test", usage, has: &[1], present, path, initial: false, now: AFTER };
            check(&case, expected);
        };
        let file = "/etc/resolver/trusted.key";
        at("dnssec-anchor", file, Some(&[2]), Some(Severity::Warning));
        at("dnssec-anchor", file, Some(&[1, 2]), Some(Severity::Info));
        at("dnssec-anchor", file, Some(&[1]), None);
        at("dnssec-anchor", file, Some(&[]), None);
        at("dnssec-anchor", file, None, None);
        at("dnssec-anchor", "/etc/bind/keys/Ka.test.+013+00001.key", Some(&[2]), None);
        at("dnssec-anchor", "/etc/bind/dsset-a.test.", Some(&[2]), None);
        at("dnssec-ds", file, Some(&[2]), Some(Severity::Critical));
        at("dnssec-ds", file, Some(&[]), Some(Severity::Critical));
        at("dnssec-ds", file, Some(&[1, 2]), None);
    }
}
