//! The row: days left, name, owner, where it lives in words, and the one thing to do or to expect.
//!
//! One anatomy everywhere. Who renews a thing is not known in this version, so nothing here says that it
//! renews itself: what was observed is said (it was replaced in time, so often), and nothing more.

use notafter_core::UnixTime;
use notafter_core::deadline::{Ladder, Step};
use notafter_core::finding::{Kind, Severity};
use notafter_pki::time::DAY;
use notafter_store::StoreError;
use notafter_store::findings::FindingFilter;
use notafter_store::rows::{AssetRow, FindingRow};

use super::frame::{House, Look};
use super::{Left, Name, Row, Todo, asset_href, tone};
use crate::words;

/// How much time is left.
pub(crate) fn left(row: &AssetRow, now: UnixTime) -> Left {
    let Some(end) = row.not_after else { return no_date("no date") };
    if end == UnixTime::NO_EXPIRY {
        return no_date("never ends");
    }
    let mut out = left_of(end, now);
    out.tone = time_tone(row, now).to_owned();
    out
}

fn no_date(unit: &str) -> Left {
    Left { number: "–".to_owned(), unit: unit.to_owned(), tone: "plain".to_owned() }
}

/// The number and its unit, in ink.
pub(crate) fn left_of(end: UnixTime, now: UnixTime) -> Left {
    let seconds = end.0.saturating_sub(now.0);
    let (n, unit) = match seconds.unsigned_abs() {
        s if s < 2 * 3600 => (s / 60, "minute"),
        s if s < 2 * 86_400 => (s / 3600, "hour"),
        s if s < 730 * 86_400 => (s / 86_400, "day"),
        s => (s / (365 * 86_400), "year"),
    };
    let ago = if seconds < 0 { " ago" } else { "" };
    Left {
        number: words::number(n),
        unit: format!("{}{ago}", words::plural(n, unit)),
        tone: "plain".to_owned(),
    }
}

/// What the time left means: nothing for what is superseded or not in use, grey for what was not seen.
pub(crate) fn time_tone(row: &AssetRow, now: UnixTime) -> &'static str {
    let Some(end) = row.not_after else { return "plain" };
    if row.places > 0 && row.unseen >= row.places {
        return "stale";
    }
    if row.superseded || (row.served == 0 && row.severity.is_none()) {
        return "plain";
    }
    let lifetime = row.not_before.map_or(365 * DAY, |begin| end.0.saturating_sub(begin.0));
    let ladder = if row.is_ca { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) };
    match ladder.step(end, now).0 {
        Step::Quiet => "plain",
        Step::Warning => "soon",
        Step::Critical | Step::Page | Step::Ended => "now",
    }
}

/// Where it lives.
pub(crate) fn place_words(row: &AssetRow) -> String {
    let mut out = match (&row.place, row.places) {
        (_, 0) => "in no place any more".to_owned(),
        (Some(place), 1) => words::clean(place.as_str()),
        (_, places) => {
            let others = places.saturating_sub(row.served);
            let mut parts = Vec::new();
            if row.served > 0 {
                parts.push(words::counted(row.served, "port"));
            }
            if others > 0 {
                parts.push(words::counted(others, "file"));
            }
            format!("{}: {}", words::counted(places, "place"), parts.join(", "))
        }
    };
    if row.is_ca {
        out.push_str(" · CA");
    }
    if row.self_signed {
        out.push_str(" · self-signed");
    }
    if row.unseen > 0 && row.places > 1 {
        out.push_str(&format!(" · {} did not answer at the last look", words::number(row.unseen)));
    }
    out
}

/// The one thing to do about a kind of finding, in a few words.
pub(crate) fn deed(kind: Kind) -> &'static str {
    match kind {
        Kind::ExpiresSoon => "renew it",
        Kind::ExpiredInUse => "replace it now",
        Kind::Expired => "expired; nothing was seen to use it",
        Kind::NotYetValid => "not valid yet",
        Kind::RenewedNotLoaded => "reload: the new one is on disk",
        Kind::InconsistentEndpoint => "give all addresses the same one",
        Kind::ChainIncomplete => "send the intermediates",
        Kind::ChainExpiresFirst => "its issuer ends first",
        Kind::ChainWrongOrder => "mend the order of the chain",
        Kind::UntrustedChain => "clients do not trust it",
        Kind::NameMismatch => "served under another name",
        Kind::KeyMismatch => "the key beside it is not its own",
        Kind::KeyExposed => "its key can be read by others",
        Kind::WeakKey => "replace its weak key",
        Kind::WeakSignature => "replace its weak signature",
        Kind::LifetimeExceedsPolicy => "it lives longer than allowed",
        Kind::CrlExpires => "publish the next list",
        Kind::Unowned => "give it an owner",
        Kind::SourceStale => "see why it is late",
        Kind::OwnerUnreachable => "give the owner a channel",
        Kind::AlertUndelivered => "mend the channel",
        Kind::ClockSkew => "check the clock",
        Kind::CannotRead => "have it reissued, or exclude it",
        other => other.as_str(),
    }
}

/// The one thing to do or to expect. `finding` is its worst open one.
pub(crate) fn todo(row: &AssetRow, finding: Option<&FindingRow>, now: UnixTime) -> Todo {
    let make = |words: String, tone: &str| Todo { words, tone: tone.to_owned(), auto: false };
    if row.places > 0 && row.unseen >= row.places {
        return make("did not answer at the last look".to_owned(), "stale");
    }
    if let Some(finding) = finding.filter(|f| f.severity != Severity::Info) {
        let mut words = deed(finding.kind).to_owned();
        if finding.kind == Kind::ExpiresSoon && row.owner.is_none() {
            words = "nobody answers for it".to_owned();
        } else if let (Kind::ExpiresSoon, Some(end)) = (finding.kind, row.not_after) {
            words = format!("renew it before {}", words::day(end, now));
        }
        return make(words, tone(finding.severity));
    }
    if row.superseded {
        return make("superseded: a later one is in use".to_owned(), "plain");
    }
    match (row.severity, row.not_after) {
        // The list did not ask for the finding itself.
        (Some(severity @ (Severity::Critical | Severity::Warning)), _) if finding.is_none() => {
            make(words::counted(row.findings, "finding"), tone(severity))
        }
        (_, Some(end)) if end < now => make("expired; nothing was seen to use it".to_owned(), "plain"),
        (_, Some(end)) if end != UnixTime::NO_EXPIRY => {
            make(format!("ends {}", words::day(end, now)), "plain")
        }
        _ => make("nothing to do".to_owned(), "plain"),
    }
}

/// The whole row.
pub(crate) fn row(row: &AssetRow, finding: Option<&FindingRow>, now: UnixTime) -> Row {
    Row {
        left: left(row, now),
        name: Name::of(&row.title),
        href: asset_href(&row.id),
        owner: row.owner.as_deref().map(words::clean).unwrap_or_default(),
        place_words: place_words(row),
        todo: todo(row, finding, now),
        copy: row.id.to_string(),
    }
}

/// An asset in a list, with what the list must know besides.
pub(crate) struct Entry {
    pub(crate) asset: AssetRow,
    /// Its worst open finding, if that is worth naming.
    pub(crate) finding: Option<FindingRow>,
    /// Every source that knows it is late: what it shows is history.
    pub(crate) late: bool,
}

impl Entry {
    /// As a row.
    pub(crate) fn row(&self, now: UnixTime) -> Row {
        let mut out = row(&self.asset, self.finding.as_ref(), now);
        if self.late {
            grey(&mut out.left, &mut out.todo);
        }
        out
    }
}

/// What was not looked at lately is grey, whatever it showed then.
pub(crate) fn grey(left: &mut Left, todo: &mut Todo) {
    left.tone = "stale".to_owned();
    todo.tone = "stale".to_owned();
    todo.words.push_str("; not looked at lately");
}

/// Asks for what a list must know besides.
pub(crate) fn entries(look: &Look, house: &House, rows: Vec<AssetRow>) -> Result<Vec<Entry>, StoreError> {
    let mut out = Vec::with_capacity(rows.len());
    for asset in rows {
        let finding = if asset.severity.is_none_or(|s| s == Severity::Info) {
            None
        } else {
            let filter =
                FindingFilter { asset: Some(asset.id.to_string()), limit: 1, ..FindingFilter::default() };
            look.store.findings(&filter)?.into_iter().next()
        };
        let late = is_late(look, house, &asset);
        out.push(Entry { asset, finding, late });
    }
    Ok(out)
}

/// Asks only while some sources are late and others are not.
fn is_late(look: &Look, house: &House, row: &AssetRow) -> bool {
    let late = |source: &str| look.is_history(house, source);
    let late_ones = look.setup.sources.iter().filter(|s| late(&s.name)).count();
    if late_ones == 0 || row.places == 0 {
        return false;
    }
    if late_ones == look.setup.sources.len() {
        return true;
    }
    // What cannot be read is not known to be fresh.
    let Ok(whole) = look.store.asset(&row.id) else { return true };
    let placements = whole.map(|w| w.placements).unwrap_or_default();
    let mut current = placements.iter().filter(|p| p.gone.is_none()).peekable();
    current.peek().is_some() && current.all(|p| late(&p.source))
}

/// How often a line was renewed before our eyes before the old one ended, and how long before that the last time.
/// `lineage` is newest first. What stood side by side at the first look is no renewal that was seen.
pub(crate) fn renewals(lineage: &[AssetRow]) -> (u64, Option<i64>) {
    let mut count = 0;
    let mut last = None;
    for pair in lineage.windows(2) {
        let [newer, older] = pair else { continue };
        let Some(end) = older.not_after else { continue };
        if newer.first_seen > older.first_seen && newer.first_seen < end {
            count += 1;
            last.get_or_insert((end.0 - newer.first_seen.0) / DAY);
        }
    }
    (count, last)
}

/// `renewed 3 times in time, last 20 days before the end`: only what was seen at least twice.
pub(crate) fn renewed_words(lineage: &[AssetRow]) -> Option<String> {
    let (count, last) = renewals(lineage);
    let last = last.filter(|_| count >= 2)?;
    Some(format!("renewed {count} times, last {} before the end", words::counted(last.max(0) as u64, "day")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use notafter_core::Fingerprint;
    use notafter_core::inventory::AssetKind;
    use notafter_core::location::Location;

    pub(crate) const NOW: UnixTime = UnixTime(1_795_273_440); // 2026-11-21T15:04:00Z

    pub(crate) fn sample(title: &str, days_left: i64) -> AssetRow {
        let end = NOW.plus(days_left * DAY + 60);
        AssetRow {
            id: Fingerprint::of(format!("{title}{days_left}").as_bytes()),
            kind: AssetKind::Certificate,
            title: title.to_owned(),
            issuer_name: "CN=R11,O=Let's Encrypt,C=US".to_owned(),
            issuer: "CN=R11,O=Let's Encrypt,C=US".to_owned(),
            not_before: Some(end.plus(-90 * DAY)),
            not_after: Some(end),
            is_ca: false,
            self_signed: false,
            key: "ECDSA P-256".to_owned(),
            owner: Some("Web".to_owned()),
            places: 1,
            served: 1,
            unseen: 0,
            place: Location::parse("tls://10.0.0.1:443"),
            severity: None,
            findings: 0,
            superseded: false,
            first_seen: end.plus(-90 * DAY),
            cursor: title.to_owned(),
        }
    }

    #[test]
    fn time_left_and_its_tone() {
        let check = |days: i64, number: &str, unit: &str, tone: &str| {
            let got = left(&sample("a", days), NOW);
            assert_eq!(
                (got.number.as_str(), got.unit.as_str(), got.tone.as_str()),
                (number, unit, tone),
                "{days}"
            );
        };
        check(40, "40", "days", "plain");
        check(22, "22", "days", "soon");
        check(8, "8", "days", "now");
        check(1, "24", "hours", "now");
        check(-3, "2", "days ago", "now");
        check(800, "2", "years", "plain");
        let mut row = sample("a", 3);
        row.superseded = true;
        assert_eq!(left(&row, NOW).tone, "plain", "what has a successor in use is not urgent");
        row = sample("a", 3);
        row.unseen = 1;
        assert_eq!((left(&row, NOW).tone, todo(&row, None, NOW).tone), ("stale".into(), "stale".into()));
        row.not_after = Some(UnixTime::NO_EXPIRY);
        assert_eq!(left(&row, NOW).unit, "never ends");
    }

    #[test]
    fn where_it_lives() {
        let mut row = sample("a", 3);
        assert_eq!(place_words(&row), "tls://10.0.0.1:443");
        (row.places, row.served, row.unseen, row.self_signed) = (15, 12, 2, true);
        assert_eq!(
            place_words(&row),
            "15 places: 12 ports, 3 files · self-signed · 2 did not answer at the last look"
        );
    }

    #[test]
    fn only_renewals_that_were_seen_are_claimed() {
        let mut line: Vec<_> = [80, 20, -40].into_iter().map(|left| sample("a", left)).collect();
        assert_eq!(renewals(&line), (2, Some(30)));
        assert_eq!(renewed_words(&line).as_deref(), Some("renewed 2 times, last 30 days before the end"));
        line[1].first_seen = line[2].first_seen;
        assert_eq!(renewed_words(&line), None, "both were there at the first look");
        assert_eq!(todo(&line[0], None, NOW).words, "ends 9 Feb");
        assert!(!todo(&line[0], None, NOW).auto);
    }
}
