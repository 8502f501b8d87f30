//! One asset: cause and remedy first, then its life, every place, the chain as sent, its line, its facts.

use askama::Template;
use notafter_core::document::AssetDocument;
use notafter_core::finding::{Severity, summary_at};
use notafter_core::inventory::{Asset, AssetKind, BytesAt, Role};
use notafter_core::location::Location;
use notafter_core::observation::Possession;
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::fingerprint::hex;
use notafter_store::StoreError;
use notafter_store::alerts::AuditLine;
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{AssetRow, AssetWhole, FindingRow, PlacementRow};

use super::alerts::{Whole, whole};
use super::filters;
use super::findings::{cause, item};
use super::frame::{House, Look, frame};
use super::inventory::issuer;
use super::life::life;
use super::row::renewals;
use super::{
    AlertItem, Cause, Event, Fact, FindingItem, Frame, Link, Name, Stamp, place_href, short_id, tiny_id,
};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "asset.html")]
pub(crate) struct AssetView {
    pub(crate) frame: Frame,
    pub(crate) kind: String,
    pub(crate) owner: String,
    pub(crate) owner_href: String,
    pub(crate) id: String,
    pub(crate) id_short: String,
    pub(crate) name: Name,
    pub(crate) subline: String,
    /// 0 or 1: its worst finding
    pub(crate) causes: Vec<Cause>,
    pub(crate) life: Life,
    pub(crate) places: Vec<AssetPlace>,
    pub(crate) places_words: String,
    pub(crate) places_more: Link,
    pub(crate) findings: Vec<FindingItem>,
    pub(crate) findings_words: String,
    pub(crate) findings_none: String,
    pub(crate) alerts: Vec<AlertItem>,
    pub(crate) alerts_none: String,
    /// the longest as an endpoint sent it, then those that differ
    pub(crate) chains: Vec<Chain>,
    pub(crate) chains_more: String,
    /// newest first, lapses among them
    pub(crate) line: Vec<Kin>,
    pub(crate) line_words: String,
    pub(crate) facts: Vec<Fact>,
    /// "1 oddity in its encoding"
    pub(crate) problems: Vec<String>,
    pub(crate) problems_words: String,
    pub(crate) history: Vec<Event>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) words: String,
    pub(crate) alternative: String,
    /// percent of the bar, 100 when past the end
    pub(crate) passed: f64,
    /// the ladder: planned renewal, warning, critical, page
    pub(crate) steps: Vec<Rung>,
    /// the ladder in words, for those who cannot hover
    pub(crate) ladder: String,
    /// issued, successor, today, end
    pub(crate) points: Vec<LifePoint>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Rung {
    pub(crate) x: f64,
    pub(crate) tone: String,
    pub(crate) title: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LifePoint {
    /// class of the line: axis, today, ladder
    pub(crate) x: f64,
    pub(crate) class: String,
    /// ends of the line, base of the words
    pub(crate) y1: i32,
    pub(crate) y2: i32,
    pub(crate) y: i32,
    pub(crate) label: String,
    pub(crate) anchor: String,
    pub(crate) dx: i32,
    pub(crate) strong: bool,
    pub(crate) title: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct AssetPlace {
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) stale: bool,
    /// "a1:09…" "the new one" plain
    pub(crate) shows: String,
    pub(crate) shows_words: String,
    pub(crate) shows_tone: String,
    /// "possession verified" proven | "unverified" plain | "unseen since 3 Oct" stale
    pub(crate) looked: Stamp,
    pub(crate) proof: String,
    pub(crate) proof_tone: String,
}

/// class: "", this, bad, off (not sent / not held)
#[derive(Clone, Debug, Default)]
pub(crate) struct Kin {
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) label: String,
    pub(crate) words: String,
    pub(crate) class: String,
    pub(crate) tone: String,
}

/// leaf first; words: "as sent by tls://10.0.3.11:443 and 2 more"
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) words: String,
    pub(crate) links: Vec<Kin>,
}

/// A chain in the store: what is not in it has only its identity.
pub(crate) struct Sent {
    links: Vec<(Fingerprint, Option<AssetRow>)>,
    /// At these places, endpoints first.
    places: Vec<Location>,
}

/// So many different chains are told apart.
const MORE_CHAINS: usize = 20;
/// So many chains are drawn.
const CHAINS: usize = 3;
/// So many places are listed.
const PLACES: usize = 200;
/// So many of the past ones are asked what they show now.
const PAST_ASKED: usize = 10;
const FINDINGS: usize = 30;
const HISTORY: usize = 30;
const NAMES: usize = 100;

/// What the page is made from.
pub(crate) struct Gathered {
    pub(crate) whole: AssetWhole,
    /// As sent or stored at its places, each once.
    pub(crate) chains: Vec<Sent>,
    pub(crate) findings: Vec<FindingRow>,
    pub(crate) past: Vec<FindingRow>,
    pub(crate) alerts: Vec<Whole>,
    pub(crate) audit: Vec<AuditLine>,
    /// What some of the past places show now.
    pub(crate) instead: Vec<(String, Option<(Fingerprint, UnixTime)>)>,
    pub(crate) document: AssetDocument,
}

/// Asks for everything about an asset.
pub(crate) fn gather(look: &Look, id: &Fingerprint) -> Result<Option<Gathered>, StoreError> {
    let Some(whole_asset) = look.store.asset(id)? else { return Ok(None) };
    let mut chains = Vec::new();
    for (ids, places) in distinct(&whole_asset.placements).into_iter().take(MORE_CHAINS) {
        let mut links = Vec::new();
        // Those that are only counted need no names.
        for link in ids.iter().take(if chains.len() < CHAINS { 20 } else { 0 }) {
            links.push((*link, look.store.by_id(&hex(&link.0))?.into_iter().next()));
        }
        chains.push(Sent { links, places });
    }
    let about = |resolved| FindingFilter {
        asset: Some(id.to_string()),
        resolved,
        limit: FINDINGS,
        ..FindingFilter::default()
    };
    let findings = look.store.findings(&about(false))?;
    let past = look.store.findings(&about(true))?;
    let mut alerts = Vec::new();
    for finding in findings.iter().chain(&past).take(10) {
        let alert = look.store.alert_of(&finding.id)?;
        let known = |n: i64| alerts.iter().any(|a: &notafter_core::alert::Alert| a.number == n);
        alerts.extend(alert.filter(|a| !known(a.number)));
    }
    let mut audit = look.store.audit_lines(Some(&id.to_string()), None, HISTORY)?;
    for alert in &alerts {
        audit.extend(look.store.audit_lines(Some(&alert.id()), None, 10)?);
    }
    let mut instead = Vec::new();
    for gone in whole_asset.placements.iter().filter(|p| p.gone.is_some()).take(PAST_ASKED) {
        let location = gone.location.to_string();
        let now = look.store.place(&location)?;
        let now = now.and_then(|p| p.placements.into_iter().find(|p| p.gone.is_none() && p.asset != *id));
        instead.push((location, now.map(|p| (p.asset, p.first_seen))));
    }
    let row = &whole_asset.row;
    let asset = Asset {
        id: *id,
        kind: row.kind,
        bytes: BytesAt { offset: 0, length: 0 },
        not_before: row.not_before,
        not_after: row.not_after,
        key: whole_asset.key,
    };
    let document = AssetDocument::of(&asset, &whole_asset.der, look.now);
    Ok(Some(Gathered {
        chains,
        findings,
        past,
        alerts: of_this(whole(look, alerts)?, &whole_asset.row),
        audit: audit.into_iter().map(|(_, line)| line).collect(),
        instead,
        document,
        whole: whole_asset,
    }))
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, found: &Gathered) -> AssetView {
    let now = look.now;
    let row = &found.whole.row;
    let line = &found.whole.lineage;
    let at = line.iter().position(|r| r.id == row.id);
    let successor = at.and_then(|at| at.checked_sub(1)).and_then(|n| line.get(n));
    let open = found.findings.len() as u64;
    let owner = row.owner.as_deref().map(words::clean).unwrap_or_default();
    AssetView {
        frame: frame(look, house, &row.title, "Inventory"),
        kind: kind_words(row),
        owner_href: words::ask(&format!("owner:{}", words::quoted(&owner))),
        owner,
        id: row.id.to_string(),
        id_short: short_id(&row.id),
        name: Name::of(&row.title),
        subline: subline(row, line, successor),
        causes: found.findings.first().map(|f| cause(f, now)).into_iter().collect(),
        life: life(row, successor.map(|s| (s.first_seen, tiny_id(&s.id))), now),
        places: found.whole.placements.iter().take(PLACES).map(|p| place(look, house, found, p)).collect(),
        places_words: places_words(row, found),
        places_more: more_places(found),
        findings: found.findings.iter().map(|f| item(f, now)).collect(),
        findings_words: if open == 0 { String::new() } else { format!("{} open", words::number(open)) },
        findings_none: "None is open.".to_owned(),
        alerts: found.alerts.iter().map(|w| super::alerts::item(look, w)).collect(),
        alerts_none: "None was ever sent.".to_owned(),
        chains: found.chains.iter().take(CHAINS).map(|sent| chain(found, sent, now)).collect(),
        chains_more: match found.chains.len().saturating_sub(CHAINS) as u64 {
            0 => String::new(),
            n => format!("and {} more that differ", words::number(n)),
        },
        line: lineage(row, line, now),
        line_words: line_words(line),
        facts: facts(found),
        problems_words: match found.document.problems.len() as u64 {
            0 => String::new(),
            n => format!("{} in its encoding", words::counted(n, "oddity")),
        },
        problems: found.document.problems.iter().map(|p| words::clean(p)).collect(),
        history: history(found, now),
    }
}

fn kind_words(row: &AssetRow) -> String {
    match (row.kind, row.is_ca) {
        (AssetKind::Certificate, true) => "CA certificate",
        (AssetKind::Certificate, false) => "certificate",
        (AssetKind::Crl, _) => "revocation list",
        (AssetKind::OcspResponse, _) => "OCSP response",
        (AssetKind::SshCertificate, _) => "SSH certificate",
        (AssetKind::OpenpgpKey, _) => "OpenPGP key",
        (AssetKind::Token, _) => "token",
        (AssetKind::Secret, _) => "secret",
        (AssetKind::SignedMetadata, _) => "signed metadata",
        (AssetKind::CodeSignature, _) => "code signature",
        (AssetKind::BareKey, _) => "key",
        (AssetKind::Domain, _) => "domain",
        (AssetKind::Manual, _) => "date entered by hand",
        (AssetKind::Flow, _) => "counter",
        (AssetKind::DnssecSignature, _) => "DNSSEC signatures",
        (AssetKind::CaaPolicy, _) => "CAA records",
    }
    .to_owned()
}

fn subline(row: &AssetRow, line: &[AssetRow], successor: Option<&AssetRow>) -> String {
    let issuer = issuer(&row.issuer_name);
    let mut parts = vec![if row.self_signed {
        "its own issuer".to_owned()
    } else {
        format!("issued by {}{}", issuer.head, issuer.tail)
    }];
    if !row.key.is_empty() {
        parts.push(words::clean(&row.key));
    }
    let (count, last) = renewals(line);
    if let Some(last) = last {
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let before = words::counted(last.max(0).unsigned_abs(), "day");
        parts.push(format!("its line was renewed {times} as far as was seen, last {before} before the end"));
    }
    match successor {
        Some(next) if row.superseded => {
            parts.push(format!("superseded by {}, which is in use", tiny_id(&next.id)));
        }
        Some(next) => parts.push(format!("a later one was seen: {}", tiny_id(&next.id))),
        None => {}
    }
    words::sentence(&parts.join(" · "))
}

/// On its own page an alert about several certificates is about this one first.
fn of_this(mut alerts: Vec<Whole>, row: &AssetRow) -> Vec<Whole> {
    for one in &mut alerts {
        one.findings.sort_by_key(|f| f.asset != Some(row.id));
        if one.findings.first().is_some_and(|f| f.asset == Some(row.id)) {
            one.asset = Some(row.clone());
        }
    }
    alerts
}

fn is_current(placement: &PlacementRow) -> bool {
    placement.gone.is_none()
}

fn place(look: &Look, house: &House, found: &Gathered, placement: &PlacementRow) -> AssetPlace {
    let now = look.now;
    let this = &found.whole.row;
    let late = look.is_history(house, &placement.source);
    let unseen = placement.unseen_since.filter(|_| is_current(placement));
    let stale = is_current(placement) && (late || unseen.is_some());
    let (shows, shows_words, shows_tone) = match placement.gone {
        None if stale => (tiny_id(&this.id), "when last seen".to_owned(), "stale"),
        None if this.superseded => (tiny_id(&this.id), "this one, superseded".to_owned(), "plain"),
        None => (tiny_id(&this.id), "this one".to_owned(), "plain"),
        Some(gone) => {
            let location = placement.location.as_str();
            let other = found.instead.iter().find(|(l, _)| l == location).and_then(|(_, other)| *other);
            match other {
                Some((id, since)) => {
                    (tiny_id(&id), format!("another one, since {}", words::day(since, now)), "plain")
                }
                None => (String::new(), format!("not this one since {}", words::day(gone, now)), "plain"),
            }
        }
    };
    let possession = placement.facts.possession;
    let (proof, proof_tone) = match (placement.gone, unseen, possession) {
        (Some(_), ..) => ("past".to_owned(), "plain"),
        (_, Some(since), _) => (format!("no answer since {}", words::day(since, now)), "stale"),
        _ if late => (format!("not looked at since {}", words::day(placement.last_seen, now)), "stale"),
        (.., Some(Possession::Verified)) => ("possession verified".to_owned(), "proven"),
        (.., Some(Possession::Unverified)) => ("possession not verified".to_owned(), "plain"),
        _ if placement.location.is_file() => ("read in the file".to_owned(), "plain"),
        _ => ("seen; possession not asked for".to_owned(), "plain"),
    };
    AssetPlace {
        name: Name::of(placement.location.as_str()),
        href: place_href(placement.location.as_str()),
        stale,
        shows,
        shows_words,
        shows_tone: shows_tone.to_owned(),
        looked: Stamp::past(Some(placement.last_seen), now),
        proof,
        proof_tone: proof_tone.to_owned(),
    }
}

fn places_words(row: &AssetRow, found: &Gathered) -> String {
    let mut out = words::counted(row.places, "place");
    if row.unseen > 0 {
        out.push_str(&format!(", {} did not answer at the last look", words::number(row.unseen)));
    }
    let past = found.whole.placements.iter().filter(|p| !is_current(p)).count() as u64;
    if past > 0 {
        out.push_str(&format!("; {} in the past", words::number(past)));
    }
    out
}

fn more_places(found: &Gathered) -> Link {
    let hidden = found.whole.placements.len().saturating_sub(PLACES) as u64 + found.whole.placements_more;
    if hidden == 0 {
        return Link::default();
    }
    Link::to(
        format!("{} more places are not shown here", words::number(hidden)),
        words::ask(&format!("id:{}", hex(&found.whole.row.id.0))),
    )
}

/// The different chains in which it is now: what endpoints send first, and of these the longest. A file that holds one
/// certificate says nothing of what is sent with it.
fn distinct(placements: &[PlacementRow]) -> Vec<(Vec<Fingerprint>, Vec<Location>)> {
    let mut out: Vec<(Vec<Fingerprint>, Vec<Location>)> = Vec::new();
    let mut current: Vec<_> = placements.iter().filter(|p| is_current(p) && !p.chain.is_empty()).collect();
    if current.is_empty() {
        current = placements.iter().filter(|p| !p.chain.is_empty()).take(1).collect();
    }
    current.sort_by_key(|p| (p.location.is_file(), std::cmp::Reverse(p.chain.len())));
    for placement in current {
        match out.iter_mut().find(|(chain, _)| *chain == placement.chain) {
            Some((_, places)) => places.push(placement.location.clone()),
            None => out.push((placement.chain.clone(), vec![placement.location.clone()])),
        }
    }
    // Alone in a file is how most are stored: worth a drawing only where nothing is sent.
    if out.iter().any(|(_, places)| !places[0].is_file()) {
        out.retain(|(chain, places)| chain.len() > 1 || !places[0].is_file());
    }
    out
}

fn chain(found: &Gathered, sent: &Sent, now: UnixTime) -> Chain {
    let leaf_end = found.whole.row.not_after;
    let how = if sent.places.first().is_some_and(Location::is_file) { "stored in" } else { "by" };
    let first = sent.places.first().map(|p| words::clean(p.as_str())).unwrap_or_default();
    let more = match sent.places.len().saturating_sub(1) as u64 {
        0 => String::new(),
        n => format!(" and {} more", words::number(n)),
    };
    let links = sent
        .links
        .iter()
        .map(|(id, row)| {
            let this = *id == found.whole.row.id;
            let end = row.as_ref().and_then(|r| r.not_after);
            let first = end.zip(leaf_end).is_some_and(|(end, leaf)| end < leaf);
            let ended = end.is_some_and(|end| end < now);
            let words_ = match end {
                Some(end) if ended => format!("ended {}", words::date(end)),
                Some(end) if first && !this => format!("until {}: before what it signed", words::date(end)),
                Some(end) => format!("until {}", words::date(end)),
                None => "its dates are not known".to_owned(),
            };
            let title = row.as_ref().map_or_else(|| id.to_string(), |r| r.title.clone());
            Kin {
                name: Name::of(&title),
                href: if row.is_some() && !this { super::asset_href(id) } else { String::new() },
                label: String::new(),
                words: words_,
                class: if this {
                    "this"
                } else if ended {
                    "bad"
                } else {
                    ""
                }
                .to_owned(),
                tone: if ended {
                    "now"
                } else if first && !this {
                    "soon"
                } else {
                    ""
                }
                .to_owned(),
            }
        })
        .collect();
    Chain { words: format!("{how} {first}{more}"), links }
}

/// Newest first, with the gaps between them: a day on which none of the line was valid.
fn lineage(row: &AssetRow, line: &[AssetRow], now: UnixTime) -> Vec<Kin> {
    let mut out: Vec<Kin> = Vec::new();
    for (n, member) in line.iter().take(30).enumerate() {
        let begin = member.not_before.map(words::date).unwrap_or_else(|| "?".to_owned());
        let end = member.not_after.map(words::date).unwrap_or_else(|| "?".to_owned());
        let this = member.id == row.id;
        let newest = if n == 0 && line.len() > 1 { "newest" } else { "" };
        let name = tiny_id(&member.id);
        out.push(Kin {
            name: Name { full: name.clone(), head: name, tail: String::new() },
            href: super::asset_href(&member.id),
            label: if this { "this one" } else { newest }.to_owned(),
            words: format!("{begin} to {end}"),
            class: if this { "this" } else { "" }.to_owned(),
            tone: String::new(),
        });
        let older = line.get(n + 1);
        let lapse = older.and_then(|o| o.not_after).zip(Some(member.first_seen)).filter(|(end, seen)| {
            *end < *seen && *end < now && older.is_some_and(|o| o.first_seen < member.first_seen)
        });
        if let Some((end, seen)) = lapse {
            out.push(Kin {
                label: format!("lapsed for {}", words::span(seen.0 - end.0)),
                words: format!("from {} until the next was first seen", words::moment(end)),
                class: "bad".to_owned(),
                tone: "now".to_owned(),
                ..Kin::default()
            });
        }
    }
    out
}

fn line_words(line: &[AssetRow]) -> String {
    match line.len() as u64 {
        0 | 1 => "no other is known".to_owned(),
        n => format!("{} of this purpose", words::number(n)),
    }
}

fn facts(found: &Gathered) -> Vec<Fact> {
    let document = &found.document;
    let row = &found.whole.row;
    let mut out = Vec::new();
    let mut push = |label: &str, value: Option<&str>, code: bool| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            out.push(if code { Fact::code(label, value) } else { Fact::words(label, value) });
        }
    };
    push("Subject", document.subject.as_deref(), false);
    let shown: Vec<_> = document.names.iter().take(NAMES).map(String::as_str).collect();
    let more = document.names.len().saturating_sub(NAMES);
    let names = if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") };
    push("Names", Some(&names), false);
    push("Other names", Some(&document.other_names.join(", ")), false);
    push("Issuer name", document.issuer_name.as_deref(), false);
    push("Not before", document.not_before.as_deref(), false);
    let end = if row.kind == AssetKind::Crl { "Next update" } else { "Not after" };
    push(end, document.not_after.as_deref(), false);
    push("Serial", document.serial.as_deref(), true);
    push("SHA-256", Some(&hex(&row.id.0)), true);
    if let Some(key) = &document.key {
        push("Key", Some(&row.key), false);
        push("Key id", Some(&key.id), true);
    }
    push("Signature", document.signature.as_deref(), false);
    push("Purposes", Some(&document.extended_key_usage.join(", ")), false);
    push("CA", document.is_ca.map(|ca| if ca { "yes" } else { "no" }), false);
    let revoked = document.revoked_count.map(words::number);
    push("Revoked", revoked.as_deref(), false);
    let keys: Vec<_> = found.whole.keys.iter().take(5).map(|k| k.location.as_str()).collect();
    push("Private key seen at", Some(&keys.join(", ")), false);
    let processes: Vec<_> = processes(found);
    push("Served by", Some(&processes.join(", ")), false);
    push("First seen", Some(&row.first_seen.to_string()), false);
    out
}

fn processes(found: &Gathered) -> Vec<String> {
    let current = found.whole.placements.iter().filter(|p| is_current(p));
    let mut out: Vec<String> = current
        .filter_map(|p| p.facts.process.as_ref())
        .map(|p| p.unit.clone().unwrap_or_else(|| p.name.clone()))
        .collect();
    out.sort();
    out.dedup();
    out.truncate(8);
    out
}

fn history(found: &Gathered, now: UnixTime) -> Vec<Event> {
    let mut out: Vec<(UnixTime, String, String, &str)> = Vec::new();
    for line in &found.audit {
        let detail = if line.detail.is_empty() { String::new() } else { format!(": {}", line.detail) };
        let what = line.what.replace('-', " ");
        out.push((line.at, format!("{} {what}{detail}", line.subject), line.who.clone(), "plain"));
    }
    for finding in found.findings.iter().chain(&found.past) {
        let summary = summary_at(&finding.summary, finding.deadline, now);
        let tone = if finding.severity == Severity::Critical { "now" } else { "plain" };
        out.push((finding.opened, format!("{} found: {summary}", finding.kind), String::new(), tone));
        if let Some(at) = finding.resolved {
            out.push((at, format!("{} is seen to be mended", finding.kind), String::new(), "plain"));
        }
    }
    for placement in found.whole.placements.iter().take(50) {
        let source = format!("source {}", placement.source);
        out.push((
            placement.first_seen,
            format!("First seen at {}", placement.location),
            source.clone(),
            "plain",
        ));
        if let Some(gone) = placement.gone {
            out.push((gone, format!("No longer at {}", placement.location), source, "plain"));
        }
    }
    out.sort_by_key(|e| std::cmp::Reverse(e.0));
    out.truncate(HISTORY);
    out.into_iter()
        .map(|(at, what, by, tone)| Event {
            words: words::sentence(&words::clean(
                what.trim_start_matches(&format!("{} ", found.whole.row.id)),
            )),
            at: Stamp::past(Some(at), now),
            by: words::clean(&by),
            tone: tone.to_owned(),
        })
        .collect()
}

/// Is it served or kept anywhere as something that leads, rather than behind others?
pub(crate) fn leads(role: Role) -> bool {
    matches!(role, Role::Leaf | Role::Client | Role::Signer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_the_longest_that_an_endpoint_sends() {
        let id = |n: u8| Fingerprint([n; 32]);
        let at = |location: &str, chain: &[u8]| PlacementRow {
            asset: id(1),
            title: "a.test".into(),
            not_after: None,
            location: Location::parse(location).unwrap(),
            role: Role::Leaf,
            chain: chain.iter().map(|n| id(*n)).collect(),
            facts: Default::default(),
            source: "s".into(),
            vantage: "here".into(),
            first_seen: UnixTime(0),
            last_seen: UnixTime(0),
            unseen_since: None,
            gone: None,
        };
        let all = [
            at("file:///srv/app/tls/a.pem", &[1]),
            at("tls://10.0.0.3:443", &[1]),
            at("tls://10.0.0.1:443", &[1, 2]),
            at("tls://10.0.0.2:443", &[1, 2]),
            at("file:///srv/app/tls/b.pem", &[1, 2, 3]),
        ];
        let drawn = distinct(&all);
        let drawn: Vec<_> = drawn.iter().map(|(chain, places)| (chain.len(), places.len())).collect();
        assert_eq!(
            drawn,
            [(2, 2), (1, 2), (3, 1)],
            "endpoints first, the longest of theirs before the others"
        );
        let file = distinct(&all[..1]);
        assert_eq!(file.len(), 1, "where nothing is sent, what is stored");
    }
    use notafter_pki::time::DAY;

    use crate::views::row::tests::{NOW, sample};

    #[test]
    fn a_lapse_in_the_line_is_shown() {
        let (mut newest, older) = (sample("a", 80), sample("a", -20));
        newest.first_seen = older.not_after.unwrap().plus(3 * 3600);
        let line = lineage(&newest, &[newest.clone(), older.clone()], NOW);
        assert_eq!(line.len(), 3);
        assert_eq!((line[1].label.as_str(), line[1].class.as_str()), ("lapsed for 3 h", "bad"));
        newest.first_seen = older.not_after.unwrap().plus(-DAY);
        assert_eq!(lineage(&newest, &[newest.clone(), older], NOW).len(), 2);
    }
}
