//! Findings: what is wrong, by kind, worst first; each with what to do.

use askama::Template;
use notafter_core::UnixTime;
use notafter_core::finding::{Kind, Severity, summary_at};
use notafter_core::location::Location;
use notafter_core::query::{nearest, span};
use notafter_pki::time::DAY;
use notafter_store::StoreError;
use notafter_store::findings::FindingFilter;
use notafter_store::rows::FindingRow;
use serde::Deserialize;

use super::filters;
use super::frame::{Coverage, House, Look, frame};
use super::row::left_of;
use super::{Cause, Chip, FindingItem, Frame, Link, Name, asset_href, place_href, tone};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "findings.html")]
pub(crate) struct FindingsView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) filters: Vec<FilterSet>,
    pub(crate) groups: Vec<FindingGroup>,
    pub(crate) groups_none: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FilterSet {
    pub(crate) label: String,
    pub(crate) chips: Vec<Chip>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FindingGroup {
    pub(crate) severity: String,
    pub(crate) tone: String,
    pub(crate) kind: String,
    pub(crate) doc: String,
    pub(crate) count: String,
    pub(crate) findings: Vec<FindingItem>,
    pub(crate) more: Link,
}

/// So many of one kind are shown beside others.
const BESIDE: usize = 5;
/// So many are shown when one kind is asked for.
const ALONE: usize = 100;
/// So many chips of owners.
const OWNERS: usize = 12;

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    pub(crate) severity: String,
    /// An owner; `none` for nobody.
    pub(crate) owner: String,
    pub(crate) kind: String,
    /// `1d`: opened within the last day.
    pub(crate) since: String,
    /// Go on after this finding.
    pub(crate) after: String,
}

type Count = (Kind, Severity, Option<String>, u64);

/// What the page is made from.
pub(crate) struct Findings {
    pub(crate) counts: Vec<Count>,
    pub(crate) groups: Vec<Group>,
    /// Opened since yesterday, so many at most.
    pub(crate) new: usize,
}

/// Findings of one kind and severity.
pub(crate) struct Group {
    pub(crate) kind: Kind,
    pub(crate) severity: Severity,
    /// How many there are; `None` when only a part was asked for.
    pub(crate) count: Option<u64>,
    pub(crate) rows: Vec<FindingRow>,
    pub(crate) more: bool,
}

/// Counting new ones stops here.
const NEW_MOST: usize = 100;

impl Ask {
    /// What is asked for and cannot be: a filter that silently filters nothing is how things are overlooked.
    pub(crate) fn refused(&self, look: &Look) -> Option<(String, String)> {
        let wrong = |what: &str, value: &str, hint: String| {
            Some((format!("{what} cannot be “{}”.", words::clean(value)), hint))
        };
        if !self.severity.is_empty() && self.severity().is_none() {
            return wrong("severity", &self.severity, "it is critical, warning or info".to_owned());
        }
        if !self.kind.is_empty() && self.kind().is_none() {
            let near = nearest(&self.kind, Kind::ALL.iter().map(|k| k.as_str()));
            let hint = near.map_or_else(String::new, |near| format!("did you mean {near}?"));
            return wrong("kind", &self.kind, hint);
        }
        if !self.since.is_empty() && self.since(look.now).is_none() {
            return wrong("since", &self.since, "write 12h, 1d or 6w".to_owned());
        }
        let known = look.setup.owner_names();
        if let Some(Some(owner)) = self.owner().filter(|o| o.as_ref().is_some_and(|o| !known.contains(o))) {
            // One that is configured no more may have findings still.
            let counts = look.store.finding_counts().unwrap_or_default();
            if !counts.iter().any(|(_, _, of, _)| of.as_ref() == Some(&owner)) {
                let near = nearest(&owner, known.iter().map(String::as_str));
                let hint =
                    near.map_or_else(String::new, |near| format!("did you mean {}?", words::clean(near)));
                return wrong("owner", &owner, hint);
            }
        }
        None
    }

    fn severity(&self) -> Option<Severity> {
        [Severity::Critical, Severity::Warning, Severity::Info]
            .into_iter()
            .find(|s| s.as_str() == self.severity)
    }

    fn kind(&self) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|k| k.as_str() == self.kind)
    }

    fn owner(&self) -> Option<Option<String>> {
        match self.owner.as_str() {
            "" => None,
            "none" => Some(None),
            owner => Some(Some(owner.to_owned())),
        }
    }

    fn since(&self, now: UnixTime) -> Option<UnixTime> {
        span(&self.since).filter(|_| !self.since.is_empty()).map(|s| now.plus(-s))
    }

    fn covers(&self, (kind, severity, owner, _): &Count) -> bool {
        self.severity().is_none_or(|s| s == *severity)
            && self.kind().is_none_or(|k| k == *kind)
            && self.owner().is_none_or(|o| o == *owner)
    }

    /// The page with one of the filters changed.
    fn href(&self, change: &str, value: &str) -> String {
        let parts = [
            ("severity", &self.severity),
            ("owner", &self.owner),
            ("kind", &self.kind),
            ("since", &self.since),
        ];
        let mut out = Vec::new();
        for (name, old) in parts {
            let value = if name == change { value } else { old };
            if !value.is_empty() {
                out.push(format!("{name}={}", words::encode(value)));
            }
        }
        if out.is_empty() { "/findings".to_owned() } else { format!("/findings?{}", out.join("&")) }
    }
}

/// Asks.
pub(crate) fn gather(look: &Look, ask: &Ask) -> Result<Findings, StoreError> {
    let counts = look.store.finding_counts()?;
    let since = ask.since(look.now);
    let new = FindingFilter { since: Some(look.now.plus(-DAY)), limit: NEW_MOST, ..FindingFilter::default() };
    let new = look.store.findings(&new)?.len();
    let mut wanted: Vec<(Severity, Kind, u64)> = Vec::new();
    for count in counts.iter().filter(|c| ask.covers(c)) {
        match wanted.iter_mut().find(|w| (w.0, w.1) == (count.1, count.0)) {
            Some(known) => known.2 += count.3,
            None => wanted.push((count.1, count.0, count.3)),
        }
    }
    wanted.sort_by_key(|w| (w.0, std::cmp::Reverse(w.2), w.1));
    let most = if ask.kind().is_some() { ALONE } else { BESIDE };
    let mut groups = Vec::new();
    for (severity, kind, count) in wanted {
        // The worst of a kind come first: those of this severity stand behind them.
        let worse: u64 = counts.iter().filter(|c| c.0 == kind && c.1 < severity).map(|c| c.3).sum();
        let skip = if ask.after.is_empty() { usize::try_from(worse).unwrap_or(0).min(2000) } else { 0 };
        let filter = FindingFilter {
            kinds: vec![kind],
            severity: Some(severity),
            owner: ask.owner(),
            since,
            after: Some(ask.after.clone()).filter(|a| !a.is_empty()),
            limit: skip + most + 1,
            ..FindingFilter::default()
        };
        let mut rows = look.store.findings(&filter)?;
        rows.retain(|row| row.severity == severity);
        let more = rows.len() > most;
        rows.truncate(most);
        if !rows.is_empty() {
            let count = Some(count).filter(|_| since.is_none());
            groups.push(Group { kind, severity, count, rows, more });
        }
    }
    Ok(Findings { counts, groups, new })
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, ask: &Ask, found: &Findings) -> FindingsView {
    let now = look.now;
    let coverage = Coverage::of(look, house);
    let sum =
        |keep: &dyn Fn(&Count) -> bool| -> u64 { found.counts.iter().filter(|c| keep(c)).map(|c| c.3).sum() };
    let all = sum(&|_| true);
    let by = |severity: Severity| sum(&|c: &Count| c.1 == severity);
    let (critical, warning, info) = (by(Severity::Critical), by(Severity::Warning), by(Severity::Info));
    let headline = if all == 0 {
        "No finding is open.".to_owned()
    } else {
        let are = if all == 1 { "finding is" } else { "findings are" };
        format!(
            "{} {are} open: {} critical, {}, {} to know of.",
            words::number(all),
            words::number(critical),
            words::counted(warning, "warning"),
            words::number(info)
        )
    };
    let new = match found.new {
        0 => "None is new since yesterday".to_owned(),
        NEW_MOST => format!("{NEW_MOST} or more are new since yesterday"),
        1 => "One is new since yesterday".to_owned(),
        n => format!("{n} are new since yesterday"),
    };
    FindingsView {
        frame: frame(look, house, "Findings", "Findings"),
        headline,
        subline: format!("{new}. Judged on {}.", coverage.words()),
        filters: filters(ask, found, [all, critical, warning, info]),
        groups: found.groups.iter().map(|g| group(ask, g, now)).collect(),
        groups_none: match (all, coverage.fresh) {
            (0, 0) => "Nothing has been looked at lately: that nothing is found says nothing.".to_owned(),
            (0, _) => "Nothing is wrong in what was seen.".to_owned(),
            _ => "None of this sort is open.".to_owned(),
        },
    }
}

fn filters(ask: &Ask, found: &Findings, [all, critical, warning, info]: [u64; 4]) -> Vec<FilterSet> {
    let chip = |name: &str, value: &str, words: &str, on: bool, count: Option<u64>| {
        Chip::new(words::clean(words), ask.href(name, value), on, count)
    };
    let severities = [
        ("", "all", all),
        ("critical", "critical", critical),
        ("warning", "warning", warning),
        ("info", "info", info),
    ]
    .map(|(value, words, count)| chip("severity", value, words, ask.severity == value, Some(count)));
    let tally = |key: &dyn Fn(&Count) -> String| {
        let mut out: Vec<(String, u64)> = Vec::new();
        for count in &found.counts {
            let key = key(count);
            match out.iter_mut().find(|(k, _)| *k == key) {
                Some(known) => known.1 += count.3,
                None => out.push((key, count.3)),
            }
        }
        out.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        out
    };
    let set = |label: &str, name: &str, now: &str, values: Vec<(String, u64)>| {
        let mut chips = vec![chip(name, "", "all", now.is_empty(), None)];
        chips.extend(values.iter().map(|(v, n)| chip(name, v, v, now == v, Some(*n))));
        FilterSet { label: label.to_owned(), chips }
    };
    let mut owners = tally(&|c| c.2.clone().unwrap_or_else(|| "none".to_owned()));
    owners.truncate(OWNERS);
    let kinds = tally(&|c| c.0.as_str().to_owned());
    vec![
        FilterSet { label: "severity".to_owned(), chips: severities.to_vec() },
        set("owner", "owner", &ask.owner, owners),
        set("kind", "kind", &ask.kind, kinds),
    ]
}

fn group(ask: &Ask, group: &Group, now: UnixTime) -> FindingGroup {
    let shown = group.rows.len() as u64;
    let mut one_kind = ask.clone();
    one_kind.kind = group.kind.as_str().to_owned();
    let mut href = one_kind.href("severity", group.severity.as_str());
    if ask.kind().is_some() {
        let last = group.rows.last().map(|r| r.id.as_str()).unwrap_or_default();
        href.push_str(&format!("&after={}", words::encode(last)));
    }
    let left = group.count.map(|n| n.saturating_sub(shown)).filter(|n| *n > 0 && ask.after.is_empty());
    let more = left.map_or_else(|| "more".to_owned(), |n| format!("{} more", words::number(n)));
    FindingGroup {
        severity: group.severity.as_str().to_owned(),
        tone: tone(group.severity).to_owned(),
        kind: group.kind.as_str().to_owned(),
        doc: group.kind.doc().to_owned(),
        count: group.count.map(words::number).unwrap_or_default(),
        findings: group.rows.iter().map(|row| item(row, now)).collect(),
        more: if group.more { Link::to(more, href) } else { Link::default() },
    }
}

/// One finding, as it stands in every list.
pub(crate) fn item(row: &FindingRow, now: UnixTime) -> FindingItem {
    let href = match (&row.asset, row.locations.first()) {
        (Some(id), _) => asset_href(id),
        (None, Some(place)) => place_href(place.as_str()),
        (None, None) => "/sources".to_owned(),
    };
    let since = format!("first seen {}", words::ago(row.opened, now));
    let when = match (row.resolved, row.deadline) {
        (Some(at), _) => format!("mended {}", words::ago(at, now)),
        (None, Some(deadline)) => {
            let left = left_of(deadline, now);
            let left_words = format!("{} {}", left.number, left.unit);
            let behind = if deadline < now { "" } else { " left" };
            format!("{left_words}{behind} · {since}")
        }
        (None, None) => since,
    };
    FindingItem {
        id: words::clean(&row.id),
        kind: row.kind.as_str().to_owned(),
        kind_href: format!("/findings?kind={}", row.kind.as_str()),
        severity: row.severity.as_str().to_owned(),
        tone: tone(row.severity).to_owned(),
        name: Name::of(&row.title),
        href,
        owner: row.owner.as_deref().map(words::clean).unwrap_or_default(),
        summary: words::said(&words::clean(&summary_at(&row.summary, row.deadline, now))),
        hint: words::clean(&row.hint),
        breaks: breaks(row),
        place_words: places(&row.locations),
        when,
    }
}

/// What breaks, of what somebody is told of.
pub(crate) fn breaks(row: &FindingRow) -> String {
    let told = row.severity != Severity::Info && row.resolved.is_none();
    let blast = row.blast.as_ref().filter(|_| told);
    blast.map(|blast| words::clean(&blast.in_words())).unwrap_or_default()
}

/// Up to three places, and how many more.
pub(crate) fn places(locations: &[Location]) -> String {
    let first: Vec<_> = locations.iter().take(3).map(|l| words::clean(l.as_str())).collect();
    match locations.len().saturating_sub(3) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The worst finding, as the head of a page has it.
pub(crate) fn cause(row: &FindingRow, now: UnixTime) -> Cause {
    let item = item(row, now);
    Cause {
        tone: item.tone,
        severity: item.severity,
        kind: item.kind,
        summary: item.summary,
        hint: words::sentence(&item.hint),
        breaks: item.breaks,
        command: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_keep_each_other() {
        let ask = Ask { severity: "warning".into(), owner: "web & co".into(), ..Ask::default() };
        assert_eq!(
            ask.href("kind", "expired"),
            "/findings?severity=warning&owner=web%20%26%20co&kind=expired"
        );
        assert_eq!(ask.href("severity", ""), "/findings?owner=web%20%26%20co");
        assert_eq!(Ask::default().href("owner", ""), "/findings");
        let none = Ask { owner: "none".into(), ..Ask::default() };
        assert!(none.covers(&(Kind::Expired, Severity::Info, None, 1)));
        assert!(!none.covers(&(Kind::Expired, Severity::Info, Some("web".into()), 1)));
    }

    #[test]
    fn many_places_are_counted() {
        let at = |n: u8| Location::parse(&format!("tls://10.0.0.{n}:443")).unwrap();
        assert_eq!(places(&[at(1)]), "tls://10.0.0.1:443");
        let many: Vec<_> = (1..=9).map(at).collect();
        assert!(places(&many).ends_with("tls://10.0.0.3:443 and 6 more"));
    }
}
