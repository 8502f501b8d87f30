//! The week's summary for each owner: what is open, what ends next. Also how somebody notices that nothing
//! has come for a week.

use notafter_core::UnixTime;
use notafter_core::alert::State;
use notafter_core::dossier::days_text;
use notafter_core::finding::Severity;
use notafter_core::notice::{Event, Item, Notice};
use notafter_core::query::{Order, Query, Term, Test, When};
use notafter_store::queries::Sort;
use notafter_store::{Store, StoreError};

use crate::notify::Desk;
use crate::setup::Setup;

const WEEK: i64 = 7 * 86_400;
/// Where the last digest is noted.
const NAME: &str = "digest";
/// So many certificates are listed.
const LIST_MAX: usize = 15;

/// Writes the digests when their time has come. Returns when that is.
///
/// # Errors
/// The store's.
pub fn write_due(
    store: &Store,
    setup: &Setup,
    desk: &Desk,
    now: UnixTime,
) -> Result<Option<UnixTime>, StoreError> {
    let Some((day, second)) = setup.digest else { return Ok(None) };
    let last_due = last_due(now, day, second);
    let next = last_due.plus(WEEK);
    let kept = store.kept(NAME)?;
    let noted = kept.as_ref().and_then(|k| std::str::from_utf8(&k.value).ok()?.parse::<i64>().ok());
    // One that lies ahead was noted by a clock that was wrong.
    let Some(noted) = noted.filter(|noted| *noted <= now.0) else {
        // A new server has nothing to sum up: it begins with the next week.
        store.keep(NAME, last_due.0.to_string().as_bytes(), None)?;
        return Ok(Some(next));
    };
    // Two days late is a pause, more than that is another week.
    if noted >= last_due.0 || now.0 > last_due.0 + 2 * 86_400 {
        return Ok(Some(next));
    }
    let mut messages = Vec::new();
    for (name, person) in &setup.people {
        if person.notify.is_empty() {
            continue;
        }
        let notice = digest(store, setup, name, last_due, now)?;
        messages.extend(desk.address(setup, name, None, notice, now));
    }
    store.send(&messages)?;
    store.keep(NAME, last_due.0.to_string().as_bytes(), None)?;
    Ok(Some(next))
}

/// The last time that this second of this day of the week (0 is Monday) came round.
fn last_due(now: UnixTime, day: u8, second: u32) -> UnixTime {
    // 1970-01-01 was a Thursday: Monday is three days before it.
    let offset = i64::from(day) * 86_400 + i64::from(second) - 3 * 86_400;
    UnixTime((now.0 - offset).div_euclid(WEEK) * WEEK + offset)
}

fn digest(
    store: &Store,
    setup: &Setup,
    owner: &str,
    due: UnixTime,
    now: UnixTime,
) -> Result<Notice, StoreError> {
    // An owner of last resort that the configuration names has things of its own; one that is made up has what
    // nobody has.
    let named = setup.owners.iter().any(|o| o.name == owner);
    let theirs = |soon: i64| Query {
        terms: vec![
            Term { not: false, test: Test::Owner(named.then(|| owner.to_owned())) },
            Term { not: false, test: Test::Ends(Order::Before, When::Span(soon)) },
            Term { not: true, test: Test::Is(notafter_core::query::State::Expired) },
            Term { not: true, test: Test::Is(notafter_core::query::State::Superseded) },
            Term { not: true, test: Test::Role("trust-anchor".to_owned()) },
        ],
    };
    let ends = store.assets(&theirs(30 * 86_400), Sort::Ends, None, LIST_MAX, now)?.rows;
    let month = store.count(&theirs(30 * 86_400), 100_000, now)?;
    let quarter = store.count(&theirs(90 * 86_400), 100_000, now)?;
    let alerts = store.open_alerts()?;
    let alerts: Vec<_> = alerts.iter().filter(|a| a.owner == owner && a.state != State::Resolved).collect();
    let unanswered = alerts.iter().filter(|a| a.hold.is_none()).count();
    let totals = store.totals()?;
    let items = ends
        .iter()
        .map(|row| Item {
            finding: String::new(),
            kind: row.kind.as_str().to_owned(),
            severity: row.severity.unwrap_or(Severity::Info),
            name: row.title.clone(),
            summary: match row.not_after {
                Some(end) => format!("{} ends {}", row.title, days_text(end, now)),
                None => row.title.clone(),
            },
            hint: String::new(),
            deadline: row.not_after,
            places: row.place.iter().map(ToString::to_string).collect(),
            more_places: (row.places as usize).saturating_sub(1),
        })
        .collect::<Vec<_>>();
    let more = (month as usize).saturating_sub(items.len());
    Ok(Notice {
        id: format!("digest-{}-{owner}", due.0),
        event: Event::Digest,
        severity: if unanswered > 0 { Severity::Warning } else { Severity::Info },
        alert: None,
        instance: String::new(),
        owner: owner.to_owned(),
        title: format!("the week: {month} end within 30 days, {} open alerts", alerts.len()),
        text: format!(
            "{month} of yours end within 30 days, {quarter} within 90. {} alerts are open, {unanswered} of them \
             unanswered. Of {} places, {} did not answer at the last look.",
            alerts.len(),
            totals.placements,
            totals.unseen
        ),
        hint: String::new(),
        deadline: ends.first().and_then(|row| row.not_after),
        items,
        more,
        acknowledge_url: None,
        acknowledge_command: None,
        page_url: setup.public_url.clone(),
        at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mondays() {
        // 2026-11-23 is a Monday.
        let monday_eight = UnixTime(1_795_420_800);
        assert_eq!(monday_eight.to_string(), "2026-11-23T08:00:00Z");
        assert_eq!(last_due(monday_eight, 0, 8 * 3600), monday_eight);
        assert_eq!(last_due(monday_eight.plus(WEEK - 1), 0, 8 * 3600), monday_eight);
        assert_eq!(last_due(monday_eight.plus(-1), 0, 8 * 3600), monday_eight.plus(-WEEK));
    }
}
