//! A notice in words: cleaned, bounded, and laid out within the length a channel allows.
//!
//! Between `core::notice` and every notifier. Each text in a notice is hostile (names come out of
//! certificates): here, once, control and bidi characters become visible escapes and lengths become
//! bounded. What is special in one channel's markup is escaped there, through [`Markup`]. What does not fit
//! is left out of the middle of a list, with "and N more"; the links at the end are always there.

use notafter_core::UnixTime;
use notafter_core::finding::Severity;
use notafter_core::notice::{Event, Item, Notice};
use notafter_pki::name::printable;

/// More than a person reads; a notice with more was not made for one.
const ITEMS_MAX: usize = 100;
const PLACES_MAX: usize = 20;
/// An address that is longer than this is not clicked but cut by some client on the way.
const URL_MAX: usize = 800;

/// A notice that is safe to print.
#[derive(Clone, Debug)]
pub struct Words {
    /// `Critical: title (3.2 days left)`: the whole in one line.
    pub subject: String,
    /// The title alone.
    pub title: String,
    /// What it means.
    pub text: String,
    /// What to do now.
    pub hint: String,
    /// Whose it is.
    pub owner: String,
    /// How bad.
    pub severity: Severity,
    /// Why it is sent.
    pub event: Event,
    /// `2026-12-01T00:00:00Z (9.4 days left)`.
    pub when: Option<String>,
    /// What it is about, the most urgent first.
    pub items: Vec<Line>,
    /// How many are not in `items`.
    pub more: usize,
    /// Where to acknowledge it.
    pub acknowledge_url: Option<String>,
    /// The command that acknowledges it.
    pub acknowledge_command: Option<String>,
    /// The page about it.
    pub page_url: Option<String>,
}

/// One item, safe to print.
#[derive(Clone, Debug)]
pub struct Line {
    /// The finding's id.
    pub finding: String,
    /// The finding's kind.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// What to call it.
    pub name: String,
    /// What happened.
    pub summary: String,
    /// What to do; empty where the notice says the same.
    pub hint: String,
    /// When it stops working.
    pub when: Option<String>,
    /// Where it is.
    pub places: Vec<String>,
    /// How many places are not in `places`.
    pub more_places: usize,
}

impl Words {
    /// The words of a notice. Days are counted from when it was written, so that a second attempt is the
    /// same message.
    pub fn of(notice: &Notice) -> Self {
        let title = clean(&notice.title, 300);
        let hint = clean(&notice.hint, 500);
        let left = notice.deadline.map(|t| format!(" ({})", days_left(t, notice.at))).unwrap_or_default();
        Self {
            subject: format!("{}: {title}{left}", headword(notice.severity, notice.event)),
            text: clean(&notice.text, 2000),
            owner: clean(&notice.owner, 200),
            severity: notice.severity,
            event: notice.event,
            when: notice.deadline.map(|t| format!("{t} ({})", days_left(t, notice.at))),
            items: notice
                .items
                .iter()
                .take(ITEMS_MAX)
                .map(|i| Line::of(i, &notice.hint, notice.at))
                .collect(),
            more: notice.more.saturating_add(notice.items.len().saturating_sub(ITEMS_MAX)),
            acknowledge_url: notice.acknowledge_url.as_deref().and_then(web_address),
            acknowledge_command: notice.acknowledge_command.as_deref().map(|c| clean(c, 200)),
            page_url: notice.page_url.as_deref().and_then(web_address),
            title,
            hint,
        }
    }
}

impl Line {
    fn of(item: &Item, hint: &str, at: UnixTime) -> Self {
        Self {
            finding: clean(&item.finding, 100),
            kind: clean(&item.kind, 100),
            severity: item.severity,
            name: clean(&item.name, 200),
            summary: clean(&item.summary, 500),
            hint: if item.hint == hint { String::new() } else { clean(&item.hint, 500) },
            when: item.deadline.map(|t| format!("{t} ({})", days_left(t, at))),
            places: item.places.iter().take(PLACES_MAX).map(|p| clean(p, 300)).collect(),
            more_places: item.more_places.saturating_add(item.places.len().saturating_sub(PLACES_MAX)),
        }
    }

    /// `critical: api.example.com: It expires in 3 days.`
    pub fn head(&self) -> String {
        format!("{}: {}: {}", self.severity, self.name, self.summary)
    }

    /// `tls://a:443, tls://b:443, and 3 more`; empty without places.
    pub fn places_text(&self, most: usize) -> String {
        let shown = &self.places[..self.places.len().min(most)];
        let more = self.more_places.saturating_add(self.places.len() - shown.len());
        let mut out = shown.join(", ");
        if more > 0 {
            let comma = if shown.is_empty() { "" } else { ", and " };
            out.push_str(&format!("{comma}{more} more"));
        }
        out
    }
}

/// `Critical`, `Warning, reminder`, `Critical, resolved`.
fn headword(severity: Severity, event: Event) -> String {
    let word = match severity {
        Severity::Critical => "Critical",
        Severity::Warning => "Warning",
        Severity::Info => "Info",
    };
    match event {
        Event::Alert => word.to_owned(),
        _ => format!("{word}, {}", event.as_str()),
    }
}

/// `3.2 days left`, `expired 2.0 days ago`.
fn days_left(end: UnixTime, at: UnixTime) -> String {
    let days = end.days_after(at);
    // Cut, not rounded: "in 8 days" and "9.0 days left" in one mail would be two answers.
    let days = (days * 10.0).trunc() / 10.0;
    if days < 0.0 { format!("{:.1} days ago", -days) } else { format!("{days:.1} days left") }
}

/// One printable line of at most so many characters.
pub fn clean(text: &str, most: usize) -> String {
    // Cut first: to escape a megabyte only to throw it away would be a gift to whoever sent it.
    cut(&printable(&cut(text, most)), most)
}

/// The text, or as many characters of it as fit, with an ellipsis that says so.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// An address that a channel may make clickable: ours by origin, checked all the same.
fn web_address(url: &str) -> Option<String> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let is_plain =
        url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\' | b'`' | b'|'));
    (is_web && is_plain && url.len() <= URL_MAX).then(|| url.to_owned())
}

/// One row of a laid-out message. The texts are clean and not yet escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// The first line.
    Title(&'a str),
    /// A paragraph.
    Text(&'a str),
    /// A label and what it says.
    Labelled(&'static str, &'a str),
    /// One thing the message is about.
    Item(&'a str),
    /// More about the item above.
    Detail(&'static str, &'a str),
    /// `and 5 more`.
    More(usize),
    /// A label and an address.
    Link(&'static str, &'a str),
    /// Space between two parts.
    Gap,
}

/// How a channel writes a row, and how it counts.
pub trait Markup {
    /// The row with everything escaped that would mean something here.
    fn row(&self, row: Row<'_>) -> String;

    /// How much of the limit a row takes, with the line break behind it. Unicode scalar values, unless the
    /// channel counts otherwise.
    fn size(&self, row: &str) -> usize {
        row.chars().count() + 1
    }
}

/// No markup at all.
pub struct Plain;

impl Markup for Plain {
    fn row(&self, row: Row<'_>) -> String {
        match row {
            Row::Title(text) | Row::Text(text) => text.to_owned(),
            Row::Labelled(label, text) | Row::Link(label, text) => format!("{label}: {text}"),
            Row::Item(text) => format!("- {text}"),
            Row::Detail(label, text) => format!("  {label}: {text}"),
            Row::More(count) => format!("and {count} more"),
            Row::Gap => String::new(),
        }
    }
}

/// Lays the words out within `limit` and gives the rows. With `title` the subject is the first row.
pub fn lay_out(words: &Words, markup: &dyn Markup, limit: usize, title: bool) -> Vec<String> {
    let foot = rows(markup, &foot(words));
    // The words at the top give way before the links at the bottom do.
    let mut head = Vec::new();
    for most in [2000, 1000, 500, 250, 100, 40] {
        head = rows(markup, &self::head(words, title, most).iter().map(Part::row).collect::<Vec<_>>());
        if size(markup, &head) + size(markup, &foot) <= limit * 3 / 4 {
            break;
        }
    }
    let more = rows(markup, &[Row::More(usize::MAX)]);
    let room = limit.saturating_sub(size(markup, &head) + size(markup, &foot) + size(markup, &more));

    let (mut used, mut shown, mut list) = (0, 0, Vec::new());
    for line in &words.items {
        // In full if there is room, else with less about it.
        let tries = [item(line, PLACES_MAX, true), item(line, 3, true), item(line, 1, false)];
        let fits = tries.iter().map(|parts| rows(markup, &parts.iter().map(Part::row).collect::<Vec<_>>()));
        let Some(block) = fits.into_iter().find(|block| used + size(markup, block) <= room) else { break };
        used += size(markup, &block);
        shown += 1;
        list.extend(block);
    }
    let left_out = words.more.saturating_add(words.items.len() - shown);
    if left_out > 0 {
        list.extend(rows(markup, &[Row::More(left_out)]));
    }
    let mut all = head;
    all.extend(list);
    all.extend(foot);
    all
}

/// The same as one text.
pub fn lay_out_text(words: &Words, markup: &dyn Markup, limit: usize, title: bool) -> String {
    lay_out(words, markup, limit, title).join("\n")
}

/// A row that owns what it says.
enum Part {
    Title(String),
    Text(String),
    Labelled(&'static str, String),
    Item(String),
    Detail(&'static str, String),
    Gap,
}

impl Part {
    fn row(&self) -> Row<'_> {
        match self {
            Self::Title(text) => Row::Title(text),
            Self::Text(text) => Row::Text(text),
            Self::Labelled(label, text) => Row::Labelled(label, text),
            Self::Item(text) => Row::Item(text),
            Self::Detail(label, text) => Row::Detail(label, text),
            Self::Gap => Row::Gap,
        }
    }
}

fn head(words: &Words, title: bool, most: usize) -> Vec<Part> {
    let mut out = Vec::new();
    if title {
        out.push(Part::Title(cut(&words.subject, most)));
    }
    if !words.text.is_empty() {
        out.push(Part::Text(cut(&words.text, most)));
    }
    if !words.hint.is_empty() {
        out.push(Part::Labelled("What to do", cut(&words.hint, most)));
    }
    if let Some(when) = &words.when {
        out.push(Part::Labelled("Deadline", when.clone()));
    }
    if !words.owner.is_empty() {
        out.push(Part::Labelled("Owner", cut(&words.owner, most)));
    }
    if !words.items.is_empty() {
        out.push(Part::Gap);
    }
    out
}

fn item(line: &Line, places: usize, full: bool) -> Vec<Part> {
    let mut out = vec![Part::Item(if full { line.head() } else { cut(&line.head(), 120) })];
    let place = line.places_text(places);
    if !place.is_empty() {
        out.push(Part::Detail("where", if full { place } else { cut(&place, 120) }));
    }
    if let Some(when) = &line.when {
        out.push(Part::Detail("deadline", when.clone()));
    }
    if full && !line.hint.is_empty() {
        out.push(Part::Detail("what to do", line.hint.clone()));
    }
    out
}

fn foot(words: &Words) -> Vec<Row<'_>> {
    let mut out = Vec::new();
    match (&words.acknowledge_url, &words.acknowledge_command) {
        (Some(url), _) => out.push(Row::Link("Acknowledge", url)),
        (None, Some(command)) => out.push(Row::Labelled("Acknowledge with", command)),
        (None, None) => {}
    }
    if let Some(url) = &words.page_url {
        out.push(Row::Link("Details", url));
    }
    if !out.is_empty() {
        out.insert(0, Row::Gap);
    }
    out
}

fn rows(markup: &dyn Markup, rows: &[Row<'_>]) -> Vec<String> {
    rows.iter().map(|row| markup.row(*row)).collect()
}

fn size(markup: &dyn Markup, rows: &[String]) -> usize {
    rows.iter().map(|row| markup.size(row)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_bounded_printable_line() {
        for (text, most, is) in [
            ("plain", 10, "plain"),
            ("a\r\nb", 20, "a\\u{d}\\u{a}b"),
            ("a\u{202e}b", 20, "a\\u{202e}b"),
            ("abcdef", 4, "abc…"),
            ("\u{1f600}\u{1f600}\u{1f600}", 2, "\u{1f600}…"),
            ("\u{0}\u{0}\u{0}", 8, "\\u{0}\\u…"),
            ("", 5, ""),
            ("x", 0, "…"),
        ] {
            assert_eq!(clean(text, most), is, "{text:?}");
        }
    }

    #[test]
    fn only_plain_web_addresses_become_links() {
        for (url, good) in [
            ("https://a.example/ack/x?y=1&z=2", true),
            ("http://10.0.0.1:4747/", true),
            ("javascript:alert(1)", false),
            ("https://a.example/\r\nX: y", false),
            ("https://a.example/<b>", false),
            ("https://a.example/a|b", false),
            ("https://a.example/\u{202e}", false),
        ] {
            assert_eq!(web_address(url).is_some(), good, "{url}");
        }
        assert_eq!(web_address(&format!("https://a.example/{}", "a".repeat(URL_MAX))), None);
    }

    #[test]
    fn days_in_words() {
        let day = |days: f64| days_left(UnixTime((days * 86_400.0) as i64), UnixTime(0));
        assert_eq!([day(3.24), day(0.0), day(-2.0)], ["3.2 days left", "0.0 days left", "2.0 days ago"]);
        assert_eq!(headword(Severity::Warning, Event::Resolved), "Warning, resolved");
    }

    /// Whatever fits is whole, the rest is counted, and the limit holds.
    #[test]
    fn a_list_is_cut_between_its_items() {
        let item = |n: usize| Item {
            finding: String::new(),
            kind: String::new(),
            severity: Severity::Info,
            name: format!("host-{n}.example.com"),
            summary: "It expires.".repeat(n % 7),
            hint: String::new(),
            deadline: None,
            places: vec!["tls://10.0.0.1:443".into(); n % 5],
            more_places: n % 3,
        };
        let notice = Notice {
            id: "n".into(),
            event: Event::Alert,
            severity: Severity::Info,
            alert: None,
            instance: String::new(),
            owner: "web".into(),
            title: "t".repeat(200),
            text: "x".repeat(3000),
            hint: "h".into(),
            deadline: None,
            items: (0..60).map(item).collect(),
            more: 5,
            acknowledge_url: Some("https://a.example/ack".into()),
            acknowledge_command: None,
            page_url: None,
            at: UnixTime(0),
        };
        let words = Words::of(&notice);
        for limit in (600..20_000).step_by(137) {
            let rows = lay_out(&words, &Plain, limit, true);
            assert!(rows.iter().map(|row| Plain.size(row)).sum::<usize>() <= limit, "{limit}");
            let shown = rows.iter().filter(|row| row.starts_with("- ")).count();
            assert!(rows.contains(&format!("and {} more", 65 - shown)), "{limit}: {rows:#?}");
            assert_eq!(rows.last().unwrap(), "Acknowledge: https://a.example/ack");
        }
    }
}
