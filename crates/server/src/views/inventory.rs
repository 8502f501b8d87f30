//! Inventory: ask, and see a page of what answers; keyset pages, saved views.

use askama::Template;
use notafter_core::UnixTime;
use notafter_core::query::{KEYS, Query, QueryError, Term, Test};
use notafter_store::StoreError;
use notafter_store::queries::Sort;
use serde::Deserialize;

use super::filters;
use super::frame::{Coverage, House, Look, frame};
use super::row::{Entry, entries, grey, left, place_words, todo};
use super::{Chip, Frame, Left, Name, Pager, Stamp, Todo, asset_href};
use crate::export::Format;
use crate::saved::{self, SavedView};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "inventory.html")]
pub(crate) struct InventoryView {
    pub(crate) frame: Frame,
    pub(crate) headline: String,
    pub(crate) subline: String,
    /// "`expire` is not known." "Did you mean `expires`?"
    pub(crate) query_error: String,
    pub(crate) query_hint: String,
    pub(crate) examples: Vec<Chip>,
    pub(crate) chips: Vec<Chip>,
    pub(crate) views: Vec<Chip>,
    pub(crate) count: String,
    pub(crate) coverage: String,
    pub(crate) exports: Vec<Export>,
    pub(crate) rows: Vec<AssetRow>,
    pub(crate) rows_none: String,
    pub(crate) pager: Pager,
    /// a query is there and is not yet a view; POST /views (csrf, q, name)
    pub(crate) can_save: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Export {
    pub(crate) words: String,
    pub(crate) href: String,
    pub(crate) download: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct AssetRow {
    pub(crate) left: Left,
    pub(crate) name: Name,
    pub(crate) href: String,
    pub(crate) owner: String,
    pub(crate) place_words: String,
    pub(crate) todo: Todo,
    pub(crate) copy: String,
    pub(crate) kind: String,
    pub(crate) ends: Stamp,
    pub(crate) issuer_name: Name,
    pub(crate) key: String,
}

/// So many rows are on a page.
pub(crate) const ROWS: usize = 100;
/// Counting stops here: nobody reads on, and the count must not cost more than the page.
const COUNT_MOST: u64 = 10_000;
/// So many characters of an issuer are shown.
const ISSUER_MAX: usize = 36;
/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    pub(crate) q: String,
    /// `ends`, `newest` or `title`.
    pub(crate) sort: String,
    /// Cursor of the last row of the page before.
    pub(crate) after: String,
}

/// What the page is made from.
pub(crate) struct Inventory {
    pub(crate) error: Option<QueryError>,
    pub(crate) rows: Vec<Entry>,
    pub(crate) next: Option<String>,
    pub(crate) count: u64,
    pub(crate) views: Vec<SavedView>,
}

impl Ask {
    pub(crate) fn sort(&self) -> Sort {
        match self.sort.as_str() {
            "newest" => Sort::Newest,
            "title" => Sort::Title,
            _ => Sort::Ends,
        }
    }

    fn href(&self, after: &str) -> String {
        let mut out = words::ask(&self.q);
        if !self.sort.is_empty() {
            out.push_str(&format!("&sort={}", words::encode(&self.sort)));
        }
        if !after.is_empty() {
            out.push_str(&format!("&after={}", words::encode(after)));
        }
        out
    }
}

/// Asks.
pub(crate) fn gather(look: &Look, house: &House, ask: &Ask) -> Result<Inventory, StoreError> {
    let views = saved::list(&look.store)?;
    let query = match Query::parse(&ask.q) {
        Ok(query) => query,
        Err(error) => {
            return Ok(Inventory { error: Some(error), rows: Vec::new(), next: None, count: 0, views });
        }
    };
    if let Some(error) = look.store.unknown_in(&query)? {
        return Ok(Inventory { error: Some(error), rows: Vec::new(), next: None, count: 0, views });
    }
    let after = Some(ask.after.as_str()).filter(|a| !a.is_empty());
    let page = look.store.assets(&query, ask.sort(), after, ROWS, look.now)?;
    let count = if query.terms.is_empty() {
        house.totals.assets
    } else if query.terms == [Term { not: false, test: Test::Owner(None) }] {
        // The store keeps this one: counting a million rows for it is not needed.
        house.totals.assets.saturating_sub(house.totals.owned)
    } else if page.next.is_none() && after.is_none() {
        page.rows.len() as u64
    } else {
        look.store.count(&query, COUNT_MOST, look.now)?
    };
    let rows = entries(look, house, page.rows)?;
    Ok(Inventory { error: None, rows, next: page.next, count, views })
}

/// The page.
pub(crate) fn view(look: &Look, house: &House, ask: &Ask, found: &Inventory) -> InventoryView {
    let now = look.now;
    let coverage = Coverage::of(look, house);
    let asked = ask.q.trim();
    let more = !asked.is_empty() && found.count >= COUNT_MOST;
    let count = if more {
        format!("more than {} assets", words::number(COUNT_MOST))
    } else {
        words::counted(found.count, "asset")
    };
    let mut frame = frame(look, house, "Inventory", "Inventory");
    frame.query = words::clean(&ask.q);
    let but = coverage.but();
    let limits = if but.is_empty() { String::new() } else { format!(" There may be more: {but}.") };
    let (headline, subline) = match (&found.error, asked) {
        (Some(_), _) => ("This question cannot be read.".to_owned(), "Nothing was looked up.".to_owned()),
        (None, "") => (
            format!("{} in use, in {}.", count, words::counted(coverage.placements, "place")),
            format!("{} were ever seen.{limits}", words::number(house.totals.assets_ever)),
        ),
        (None, _) => (
            format!(
                "{} {} this.",
                words::sentence(&count),
                if found.count == 1 { "answers" } else { "answer" }
            ),
            format!("Out of {} in use.{limits}", words::number(house.totals.assets)),
        ),
    };
    let shown = found.rows.len();
    let first = ask.after.is_empty();
    InventoryView {
        frame,
        headline,
        subline,
        query_error: found
            .error
            .as_ref()
            .map(|e| format!("{}.", words::clean(&e.message)))
            .unwrap_or_default(),
        query_hint: found
            .error
            .as_ref()
            .map(|e| format!("{}.", words::sentence(&words::clean(&e.hint))))
            .unwrap_or_default(),
        examples: examples(),
        chips: chips(asked, house),
        views: found
            .views
            .iter()
            .map(|v| {
                let mut chip = Chip::new(words::clean(&v.name), words::ask(&v.q), v.q == asked, None);
                chip.title = words::clean(&v.q);
                chip
            })
            .collect(),
        count: if found.error.is_some() { "No answer".to_owned() } else { count },
        coverage: coverage.words(),
        exports: if found.error.is_some() { Vec::new() } else { exports(asked) },
        rows: found.rows.iter().map(|entry| asset_row(entry, now)).collect(),
        rows_none: if found.error.is_some() {
            "Mend the question above.".to_owned()
        } else if but.is_empty() {
            "Nothing answers this.".to_owned()
        } else {
            format!("Nothing that was seen answers this. That is no proof that there is nothing: {but}.")
        },
        pager: Pager {
            before: if first { String::new() } else { ask.href("") },
            after: found.next.as_deref().map(|next| ask.href(next)).unwrap_or_default(),
            words: if first && found.next.is_none() {
                String::new()
            } else if first {
                format!("the first {shown}")
            } else {
                format!("{shown} more")
            },
        },
        can_save: found.error.is_none() && !asked.is_empty() && !found.views.iter().any(|v| v.q == asked),
    }
}

fn asset_row(entry: &Entry, now: UnixTime) -> AssetRow {
    let row = &entry.asset;
    let (mut left, mut todo) = (left(row, now), todo(row, entry.finding.as_ref(), now));
    if entry.late {
        grey(&mut left, &mut todo);
    }
    AssetRow {
        left,
        name: Name::of(&row.title),
        href: asset_href(&row.id),
        owner: row.owner.as_deref().map(words::clean).unwrap_or_default(),
        place_words: place_words(row),
        todo,
        copy: row.id.to_string(),
        kind: row.kind.as_str().to_owned(),
        ends: Stamp::date(row.not_after),
        issuer_name: issuer(&row.issuer_name),
        key: words::clean(&row.key),
    }
}

/// The part of an issuer's name that people know it by, with the whole as the title.
pub(crate) fn issuer(rfc4514: &str) -> Name {
    let part = |key: &str| {
        rfc4514.split(',').find_map(|part| part.trim().strip_prefix(key)).filter(|v| !v.is_empty())
    };
    let short = match (part("CN="), part("O=")) {
        (Some(cn), Some(o)) => format!("{cn}, {o}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => rfc4514.to_owned(),
    };
    // A column has room for so many characters: the middle is in the title.
    let chars: Vec<char> = words::clean(&short).chars().collect();
    if chars.len() <= ISSUER_MAX {
        return Name::titled(&short, rfc4514);
    }
    let (head, tail) = (&chars[..ISSUER_MAX - 13], &chars[chars.len() - 12..]);
    Name {
        full: words::clean(rfc4514),
        head: head.iter().chain(&['…']).collect(),
        tail: tail.iter().collect(),
    }
}

/// The same question as files for people; NDJSON is for programs, and the API's guide has it.
fn exports(asked: &str) -> Vec<Export> {
    [(Format::Csv, "CSV"), (Format::Xlsx, "XLSX"), (Format::Json, "JSON"), (Format::Calendar, "iCalendar")]
        .map(|(format, name)| {
            let query = if asked.is_empty() { String::new() } else { format!("?q={}", words::encode(asked)) };
            Export {
                words: name.to_owned(),
                href: format!("/export.{}{query}", format.extension()),
                download: true,
            }
        })
        .to_vec()
}

/// One example for each of the words that people need first.
fn examples() -> Vec<Chip> {
    let mut out: Vec<Chip> = [
        ("expires<30d owner:none", "ends within 30 days, and nobody answers for it"),
        ("issuer:\"Let's Encrypt\"", "part of the issuer's name"),
        ("name:*.example.com", "names below example.com"),
        ("location:10.0.0.0/24", "at an address of this network"),
        ("path:/etc/nginx/**", "in a file below this folder"),
        ("finding:any", "with something wrong"),
        ("is:unseen", "did not answer at the last look"),
    ]
    .into_iter()
    .map(|(query, title)| {
        let mut chip = Chip::new(query, words::ask(query), false, None);
        chip.title = title.to_owned();
        chip
    })
    .collect();
    let all: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
    if let Some(last) = out.last_mut() {
        last.title.push_str(&format!("; other words: {}", all.join(", ")));
    }
    out
}

/// Counts only where they cost nothing: those that the store keeps.
fn chips(asked: &str, house: &House) -> Vec<Chip> {
    let totals = &house.totals;
    let ownerless = totals.assets.saturating_sub(totals.owned);
    [
        ("all in use", "", Some(totals.assets)),
        ("expired", "is:expired", None),
        ("within 30 days", "expires<30d -is:expired", None),
        ("within 60 days", "expires<60d -is:expired", None),
        ("no owner", "owner:none", Some(ownerless)),
        ("on ports", "is:served", None),
        ("not answering", "is:unseen", None),
        ("new since yesterday", "seen<1d", None),
        ("CAs", "is:ca", None),
        ("revocation lists", "kind:crl", None),
    ]
    .into_iter()
    .map(|(words_, query, count)| Chip::new(words_, words::ask(query), query == asked, count))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_by_the_name_people_know() {
        let name = issuer("CN=R11,O=Let's Encrypt,C=US");
        assert_eq!(format!("{}{}", name.head, name.tail), "R11, Let's Encrypt");
        assert_eq!(name.full, "CN=R11,O=Let's Encrypt,C=US");
        assert_eq!(issuer("OU=x").head, "OU=x");
    }

    #[test]
    fn every_example_and_chip_is_a_question_that_can_be_asked() {
        let house =
            House { totals: Default::default(), sources: Vec::new(), alerts: Vec::new(), own: Vec::new() };
        for chip in examples().into_iter().chain(chips("", &house)) {
            let asked = chip.href.trim_start_matches("/inventory?q=");
            assert!(!asked.contains(' '), "{asked}");
            if chip.href.contains("%3C") || chip.words.contains(':') {
                Query::parse(&chip.words).map_or_else(|e| assert!(!chip.words.contains(':'), "{e}"), |_| ());
            }
        }
        let ask = Ask { q: "owner:none".into(), sort: "title".into(), after: String::new() };
        assert_eq!(ask.href("c+1"), "/inventory?q=owner:none&sort=title&after=c%2B1");
    }
}
