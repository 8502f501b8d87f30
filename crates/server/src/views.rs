//! What the templates are given: one struct for each thing on a page, and how the shared ones are made.
//!
//! `preview/VIEWS.md` is the other side of this: the designer's preview checks its sample against the same
//! structs. Each page's own struct is in `views/<page>.rs`, in two steps: `gather` asks the store, `view`
//! makes sentences of what came back and asks nothing. What an API answers is made from the same `gather`.
//! Nothing here knows HTTP.

pub(crate) mod alerts;
pub(crate) mod asset;
pub(crate) mod bare;
pub(crate) mod findings;
pub(crate) mod forecast;
pub(crate) mod frame;
pub(crate) mod headline;
pub(crate) mod horizon;
pub(crate) mod inventory;
pub(crate) mod life;
pub(crate) mod place;
pub(crate) mod renewals;
pub(crate) mod row;
pub(crate) mod sources;
pub(crate) mod starting;
pub(crate) mod status;
pub(crate) mod today;

use notafter_core::UnixTime;
use notafter_core::finding::Severity;

use crate::words;

/// What templates do with a value. In the scope of each view that uses one.
#[allow(unreachable_pub, reason = "the macro makes a struct that is as public as it can be")]
pub(crate) mod filters {
    use askama::filters::{Html, Safe, escape};

    /// Text in which backticks mark what is typed: escaped, and the marked parts as `<code>`.
    #[askama::filter_fn]
    pub(crate) fn code(text: impl std::fmt::Display, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
        let mut out = String::new();
        let text = text.to_string();
        // A backtick that is never closed is a letter like any other.
        let pairs = text.matches('`').count() / 2 * 2;
        for (n, part) in text.splitn(pairs + 1, '`').enumerate() {
            let part = escape(part, Html)?.to_string();
            if n % 2 == 1 {
                out.push_str(&format!("<code>{part}</code>"));
            } else {
                out.push_str(&part);
            }
        }
        Ok(Safe(out))
    }
}

/// What every page inside the app has around it (layout.html), as field `frame`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// for the title of the window: "Today", "shop.example.com"
    pub(crate) title: String,
    /// Today Inventory Findings Forecast Sources Alerts Status
    pub(crate) nav: Vec<NavItem>,
    /// what stands in the search box
    pub(crate) query: String,
    /// 1 or 2 lines, top right: looked at / not seen
    pub(crate) freshness: Vec<Freshness>,
    /// worst first; empty on a good day
    pub(crate) banners: Vec<Banner>,
    /// 0 = the page does not reload itself
    pub(crate) refresh_seconds: u32,
    pub(crate) signed_in: bool,
    /// "" unless signed in
    pub(crate) csrf: String,
    /// folder of css, js, icon: "/assets/0.2.0-1a2b3c4d" (hash: cached for a year)
    pub(crate) assets: String,
    pub(crate) version: String,
    /// the store's newest judgement, not the time of the request
    pub(crate) as_of: Stamp,
}

/// count: open alerts that want someone, "" if 0
#[derive(Clone, Debug, Default)]
pub(crate) struct NavItem {
    pub(crate) href: String,
    pub(crate) words: String,
    pub(crate) here: bool,
    pub(crate) count: String,
    pub(crate) count_title: String,
}

/// "1,204 places looked at 4 min ago"
#[derive(Clone, Debug, Default)]
pub(crate) struct Freshness {
    pub(crate) tone: String,
    pub(crate) words: String,
    pub(crate) href: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Banner {
    pub(crate) tone: String,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) href: String,
    pub(crate) link: String,
}

/// "4 min ago" / "13 Dec 2026", RFC 3339 UTC ("" if never)
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamp {
    pub(crate) words: String,
    pub(crate) iso: String,
}

/// href "" = do not draw
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) words: String,
    pub(crate) href: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Chip {
    pub(crate) words: String,
    pub(crate) href: String,
    pub(crate) on: bool,
    pub(crate) count: String,
    pub(crate) title: String,
}

/// hrefs of keyset pages, "" at an end
#[derive(Clone, Debug, Default)]
pub(crate) struct Pager {
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) words: String,
}

/// A long text that breaks in the middle. The server splits it once: `tail` is the last part worth keeping (registrable
/// domain, file name; at most 22 characters), and "" when the whole has 28 characters or fewer.
/// full is the title: head + tail, or more of it (an issuer's whole RFC 4514 name behind "R11, Let's Encrypt").
#[derive(Clone, Debug, Default)]
pub(crate) struct Name {
    pub(crate) full: String,
    pub(crate) head: String,
    pub(crate) tail: String,
}

/// The row: days left | name, owner, where in words | the one thing to do or to expect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) left: Left,
    pub(crate) name: Name,
    pub(crate) href: String,
    /// "" = no owner, and the row says so
    pub(crate) owner: String,
    /// "15 places: 12 ports, 3 files · wildcard, private CA"
    pub(crate) place_words: String,
    pub(crate) todo: Todo,
    /// what key c copies: fingerprint or location
    pub(crate) copy: String,
}

/// "3" "days"; "9" "hours"; "2" "days ago"; "–" "no date"
#[derive(Clone, Debug, Default)]
pub(crate) struct Left {
    pub(crate) number: String,
    pub(crate) unit: String,
    pub(crate) tone: String,
}

/// auto = hollow mark; "renews itself about 25 Nov" is plain, never green
#[derive(Clone, Debug, Default)]
pub(crate) struct Todo {
    pub(crate) words: String,
    pub(crate) tone: String,
    pub(crate) auto: bool,
}

/// code = monospaced and copied on click
#[derive(Clone, Debug, Default)]
pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) code: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) words: String,
    pub(crate) at: Stamp,
    pub(crate) by: String,
    pub(crate) tone: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    pub(crate) tone: String,
    pub(crate) severity: String,
    pub(crate) kind: String,
    pub(crate) summary: String,
    pub(crate) hint: String,
    /// "60 servers on 15 hosts; ... Mending takes days (F2, ...)"; "" where it is not known
    pub(crate) breaks: String,
    pub(crate) command: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Spot {
    pub(crate) words: String,
    pub(crate) detail: String,
    pub(crate) href: String,
}

/// part/finding.html
#[derive(Clone, Debug, Default)]
pub(crate) struct FindingItem {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) kind_href: String,
    pub(crate) severity: String,
    pub(crate) tone: String,
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) owner: String,
    pub(crate) summary: String,
    pub(crate) hint: String,
    /// "" where it is not known
    pub(crate) breaks: String,
    pub(crate) place_words: String,
    /// "9 days left · first seen 3 Nov"
    pub(crate) when: String,
}

/// part/alert.html
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertItem {
    /// "a17"
    pub(crate) id: String,
    /// exactly 1
    pub(crate) row: Vec<Row>,
    /// "open", "acknowledged by J. Adeyemi", "snoozed until 1 Dec", "resolved"
    pub(crate) state: String,
    pub(crate) tone: String,
    pub(crate) summary: String,
    /// "" when nothing is left to do
    pub(crate) hint: String,
    /// "" where it is not known
    pub(crate) breaks: String,
    /// "step 3 of 4: critical, 14 days left"
    pub(crate) step: String,
    /// "goes to Platform at 14:00 if nobody acknowledges"
    pub(crate) next: String,
    /// "3 messages, all delivered" / "1 message not delivered"
    pub(crate) told: String,
    /// opens the list of messages
    pub(crate) trouble: bool,
    pub(crate) deliveries: Vec<Delivery>,
    /// open or snoozed; the forms also need frame.signed_in
    pub(crate) can_act: bool,
    /// YYYY-MM-DD
    pub(crate) snooze_earliest: String,
    /// YYYY-MM-DD, before the deadline
    pub(crate) snooze_latest: String,
    pub(crate) snooze_latest_words: String,
    /// "notafter ack a17"
    pub(crate) command: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) to: String,
    pub(crate) channel: String,
    pub(crate) event: String,
    pub(crate) at: Stamp,
    pub(crate) state: String,
    pub(crate) tone: String,
}

/// minor = not drawn on a narrow screen
#[derive(Clone, Debug, Default)]
pub(crate) struct Tick {
    pub(crate) x: f64,
    pub(crate) label: String,
    pub(crate) anchor: String,
    pub(crate) minor: bool,
}

/// a policy date
#[derive(Clone, Debug, Default)]
pub(crate) struct DateRule {
    /// base of the words: two lines, by turns
    pub(crate) y: i32,
    pub(crate) x: f64,
    pub(crate) label: String,
    pub(crate) title: String,
    pub(crate) anchor: String,
    pub(crate) dx: i32,
}

/// a freeze
#[derive(Clone, Debug, Default)]
pub(crate) struct Band {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) label: String,
    pub(crate) title: String,
}

/// part/horizon.html. One pin a day at most for `act` and one for `auto`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Horizon {
    pub(crate) title: String,
    pub(crate) alternative: String,
    /// base: y of the line of time
    pub(crate) height: i32,
    pub(crate) base: i32,
    pub(crate) bands: Vec<Band>,
    pub(crate) rules: Vec<DateRule>,
    pub(crate) ticks: Vec<Tick>,
    /// auto first, act last, so that act is on top
    pub(crate) pins: Vec<Pin>,
    /// at most 4, placed so that none touches another
    pub(crate) labels: Vec<PinLabel>,
    /// the same, for a narrow screen; empty weeks are left out, runs of weeks without `act` are one line
    pub(crate) weeks: Vec<Week>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Pin {
    pub(crate) x: f64,
    pub(crate) y: i32,
    pub(crate) r: f64,
    pub(crate) act: bool,
    pub(crate) tone: String,
    pub(crate) title: String,
    pub(crate) href: String,
}

/// name at most 24 characters
#[derive(Clone, Debug, Default)]
pub(crate) struct PinLabel {
    pub(crate) x: f64,
    pub(crate) y: i32,
    pub(crate) dx: i32,
    pub(crate) anchor: String,
    pub(crate) name: String,
    pub(crate) words: String,
}

/// "21 Nov – 27 Nov", "2 to do", "6 renew"
#[derive(Clone, Debug, Default)]
pub(crate) struct Week {
    pub(crate) words: String,
    pub(crate) href: String,
    pub(crate) act: String,
    pub(crate) tone: String,
    pub(crate) auto: String,
    pub(crate) note: String,
}

/// part/progress.html: owned, automated, proven, reached
#[derive(Clone, Debug, Default)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) percent: u8,
    pub(crate) words: String,
    pub(crate) href: String,
}

/// Longer names than this are broken in the middle.
const NAME_WHOLE: usize = 28;
/// So many characters are kept together at the end.
const TAIL_MAX: usize = 22;

impl Name {
    /// A name from outside, made printable and broken where it is best read: before its registrable domain,
    /// or its file name, or its port.
    pub(crate) fn of(text: &str) -> Self {
        let full = words::clean(text);
        let chars: Vec<char> = full.chars().collect();
        if chars.len() <= NAME_WHOLE {
            return Self { head: full.clone(), tail: String::new(), full };
        }
        let least = chars.len() - TAIL_MAX;
        let from = |c: char, nth: usize| {
            chars.iter().enumerate().rev().filter(|(_, x)| **x == c).nth(nth).map(|(at, _)| at)
        };
        // A file: its name, with the slash. A host: the last two labels, with the dot in front of them.
        let cut = if full.contains('/') { from('/', 0) } else { from('.', 1) };
        let cut = cut.filter(|at| (least..chars.len().saturating_sub(3)).contains(at)).unwrap_or(least);
        Self { head: chars[..cut].iter().collect(), tail: chars[cut..].iter().collect(), full }
    }

    /// The same with another text as the title.
    pub(crate) fn titled(text: &str, full: &str) -> Self {
        let mut name = Self::of(text);
        if !full.is_empty() {
            name.full = words::clean(full);
        }
        name
    }
}

impl Stamp {
    /// A moment that has passed, as its age.
    pub(crate) fn past(at: Option<UnixTime>, now: UnixTime) -> Self {
        at.map_or_else(Self::never, |at| Self { words: words::ago(at, now), iso: at.to_string() })
    }

    /// A moment to come.
    pub(crate) fn coming(at: UnixTime, now: UnixTime) -> Self {
        Self { words: words::ahead(at, now), iso: at.to_string() }
    }

    /// A date.
    pub(crate) fn date(at: Option<UnixTime>) -> Self {
        let iso = |at: UnixTime| at.to_string();
        at.map_or_else(
            || Self { words: "no date".to_owned(), iso: String::new() },
            |at| Self { words: words::date(at), iso: iso(at) },
        )
    }

    /// A date with its time.
    pub(crate) fn moment(at: UnixTime) -> Self {
        Self { words: words::moment(at), iso: at.to_string() }
    }

    /// It never happened.
    pub(crate) fn never() -> Self {
        Self { words: "never".to_owned(), iso: String::new() }
    }
}

impl Link {
    /// A link.
    pub(crate) fn to(words: impl Into<String>, href: impl Into<String>) -> Self {
        Self { words: words.into(), href: href.into() }
    }
}

impl Chip {
    /// A chip with a count, if there is one to tell.
    pub(crate) fn new(
        words: impl Into<String>,
        href: impl Into<String>,
        on: bool,
        count: Option<u64>,
    ) -> Self {
        let count = count.map(words::number).unwrap_or_default();
        Self { words: words.into(), href: href.into(), on, count, title: String::new() }
    }
}

impl Fact {
    /// A fact in words.
    pub(crate) fn words(label: &str, value: impl AsRef<str>) -> Self {
        Self { label: label.to_owned(), value: words::clean(value.as_ref()), code: false }
    }

    /// A fact that is copied.
    pub(crate) fn code(label: &str, value: impl AsRef<str>) -> Self {
        Self { label: label.to_owned(), value: words::clean(value.as_ref()), code: true }
    }
}

/// The tone that goes with a severity.
pub(crate) fn tone(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "now",
        Severity::Warning => "soon",
        Severity::Info => "plain",
    }
}

/// Where an asset's page is.
pub(crate) fn asset_href(id: &notafter_core::Fingerprint) -> String {
    format!("/asset/{id}")
}

/// Where a place's page is.
pub(crate) fn place_href(location: &str) -> String {
    format!("/place?at={}", words::encode(location))
}

/// `sha256:7f3a91c2…e04b`
pub(crate) fn short_id(id: &notafter_core::Fingerprint) -> String {
    let id = id.to_string();
    format!("{}…{}", id.get(..15).unwrap_or(&id), id.get(id.len().saturating_sub(4)..).unwrap_or(""))
}

/// `7f3a…`
pub(crate) fn tiny_id(id: &notafter_core::Fingerprint) -> String {
    let id = id.to_string();
    format!("{}…", id.get(7..11).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use askama::Template;

    #[derive(Template)]
    #[template(source = "{{ text|code }}", ext = "html")]
    struct Said {
        text: &'static str,
    }

    #[test]
    fn backticks_become_code_and_nothing_else_gets_through() {
        for (text, html) in [
            ("see `notafter doctor`; then <b>", "see <code>notafter doctor</code>; then &#60;b&#62;"),
            ("`<i>`", "<code>&#60;i&#62;</code>"),
            ("one ` alone", "one ` alone"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
        ] {
            assert_eq!(Said { text }.render().unwrap(), html);
        }
    }

    #[test]
    fn names_break_where_they_are_best_read() {
        let check = |text: &str, head: &str, tail: &str| {
            let name = Name::of(text);
            assert_eq!((name.head.as_str(), name.tail.as_str()), (head, tail));
            assert!(name.tail.chars().count() <= TAIL_MAX);
            assert_eq!(name.full, format!("{head}{tail}"));
        };
        check("shop.example.com", "shop.example.com", "");
        check("a-very-long-name-in-front.of.example.com", "a-very-long-name-in-front.of", ".example.com");
        check("file:///etc/nginx/conf.d/tls/shop.pem#2", "file:///etc/nginx/conf.d/tls", "/shop.pem#2");
        check(
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "xxxxxxxxxxxxxxxxxxxxxx",
        );
        check("ääääääääääääääääääääää.пошта.пример", "ääääääääääääääääääääää", ".пошта.пример");
        let bidi = Name::of("invoice-\u{202e}gpj.exe.example.com");
        assert!(bidi.full.contains("\\u{202e}") && !bidi.full.contains('\u{202e}'));
    }
}
