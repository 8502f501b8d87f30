//! The future: what lapses, what breaks, what renews by itself, who is told when, and what shorter lifetimes would mean.
//!
//! The server's own judgment and decisions, made on what the memory holds at the instants to come: from deadline to
//! deadline, nothing is polled day by day and nothing is written. It takes for granted that everything stays where it
//! is, that what looks goes on looking, that messages arrive and that nobody answers them. What renews by itself is
//! believed while there is a reason (`core/outlook.rs`).

mod course;
mod load;
mod told;

use std::collections::BTreeMap;

use notafter_core::deadline::{Ladder, Step};
use notafter_core::finding::{Fact, Kind, Severity};
use notafter_core::notice::Event;
use notafter_core::outlook::Outlook;
use notafter_core::rules::policy_date::decision;
use notafter_core::{Fingerprint, UnixTime};
use notafter_store::findings::FindingFilter;
use notafter_store::rows::AssetRow;
use notafter_store::{Store, StoreError};

pub use load::{Headroom, Scenario, Work};

use crate::setup::Setup;

/// So many of each kind are listed; the rest are counted.
pub const LIST_MAX: usize = 1000;
/// So many findings about dated decisions are read.
const DATED_MAX: usize = 5000;

/// What will happen.
#[derive(Clone, Debug, Default)]
pub struct Forecast {
    /// From when.
    pub from: UnixTime,
    /// Until when.
    pub until: UnixTime,
    /// In order of time; [`LIST_MAX`] at most.
    pub lapses: Vec<Lapse>,
    /// How many lapse in all.
    pub count: u64,
    /// Of these, so many are expected to be renewed before they do.
    pub renewing: u64,
    /// So many are published anew all the time.
    pub republishing: u64,
    /// So many are neither renewed nor known to be in use.
    pub unused: u64,
    /// What breaks, by the first instants.
    pub breaks: BTreeMap<(UnixTime, Fingerprint), Broken>,
    /// How many break in all, not only by ends of their own.
    pub broken: u64,
    /// By owner.
    pub broken_of: BTreeMap<String, u64>,
    /// What renews by itself, the first renewal of each.
    pub renewals: BTreeMap<(UnixTime, Fingerprint), Renewed>,
    /// How many such renewals there are, also of what ends later.
    pub renewed: u64,
    /// Messages in order of time.
    pub told: Vec<Message>,
    /// How many messages there are: one for each channel.
    pub messages: u64,
    /// By owner.
    pub messages_to: BTreeMap<String, u64>,
    /// So often somebody would have been told, and nobody has a channel.
    pub unheard: u64,
    /// By day (days since 1970), those on which anything happens.
    pub days: BTreeMap<i64, Day>,
    /// Lapses by owner.
    pub owners: BTreeMap<String, u64>,
    /// Dated decisions that take effect within the span.
    pub dates: Vec<PolicyDay>,
    /// Were there more findings about dated decisions than were read?
    pub dates_cut: bool,
    /// Renewals under today's rules, and under each lifetime that was asked about.
    pub scenarios: Vec<Scenario>,
    /// Leaves in use.
    pub leaves: u64,
    /// Of these, issued by public CAs.
    pub public_leaves: u64,
    fates: BTreeMap<(UnixTime, Fingerprint), Fate>,
}

/// One lapse.
#[derive(Clone, Debug, PartialEq)]
pub struct Lapse {
    /// What.
    pub asset: AssetRow,
    /// When.
    pub at: UnixTime,
    /// Who is told, and when each step is due: warning, critical, page.
    pub owner: String,
    /// The steps that are still to come or have come.
    pub told: [UnixTime; 3],
    /// What is expected of it.
    pub outlook: Outlook,
    /// Does something stop working then?
    pub breaks: bool,
}

/// What becomes of one that lapses.
#[derive(Clone, Debug)]
struct Fate {
    outlook: Outlook,
    breaks: bool,
}

/// Something stops working.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Broken {
    pub at: UnixTime,
    pub kind: Kind,
    /// The finding's id.
    pub id: String,
    pub asset: Option<Fingerprint>,
    pub title: String,
    pub owner: String,
    /// The first few.
    pub places: Vec<String>,
    pub places_count: u64,
}

/// Something is renewed by itself.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Renewed {
    pub at: UnixTime,
    pub asset: Fingerprint,
    pub title: String,
    pub owner: String,
    /// By what.
    pub by: String,
    /// When the present one ends.
    pub ends: UnixTime,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Message {
    pub at: UnixTime,
    pub owner: String,
    /// `NOTIFIER` or `NOTIFIER:ADDRESS`.
    pub by: String,
    pub event: Event,
    /// The step of the ladder that the alert is on.
    pub step: Step,
    pub severity: Severity,
    pub title: String,
    /// What it is about, the first few.
    pub names: Vec<String>,
}

/// What happens on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Day {
    pub lapses: u64,
    /// Of these, expected to be replaced before.
    pub replaced: u64,
    pub breaks: u64,
    pub renews: u64,
    pub messages: u64,
}

/// A dated decision that catches certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PolicyDay {
    pub at: UnixTime,
    /// `sc-081-100`, ...
    pub decision: String,
    /// Where it is written down.
    pub source: String,
    pub certificates: u64,
}

impl Forecast {
    pub(crate) fn day(&mut self, at: UnixTime) -> &mut Day {
        self.days.entry(at.0.div_euclid(86_400)).or_default()
    }
}

/// Looks ahead from `now` until `until`; `lifetimes`: what certificates of public CAs would live at most, in days.
///
/// # Errors
/// The store's.
pub fn look(
    store: &Store,
    setup: &Setup,
    until: UnixTime,
    lifetimes: &[u32],
    now: UnixTime,
) -> Result<Forecast, StoreError> {
    let mut out = Forecast { from: now, until, ..Forecast::default() };
    let courses = course::follow(store, setup, &mut out)?;
    told::tell(store, setup, &courses, &mut out)?;
    drop(courses);
    load::count(store, setup, lifetimes, &mut out)?;
    for ((at, id), fate) in std::mem::take(&mut out.fates) {
        let Some(asset) = store.by_id(&id.to_string())?.into_iter().next() else { continue };
        let owner = asset.owner.clone().unwrap_or_else(|| setup.last_resort.clone());
        let due = setup.policy.calendar.due(at, asset.owner.as_deref()).at;
        let ladder = ladder(&asset, at, setup);
        let told = [ladder.warning, ladder.critical, ladder.page].map(|before| due.plus(-before));
        out.lapses.push(Lapse { at, owner, told, outlook: fate.outlook, breaks: fate.breaks, asset });
    }
    dates(store, &mut out)?;
    Ok(out)
}

/// Which dated decisions take effect, and how many certificates each catches.
fn dates(store: &Store, out: &mut Forecast) -> Result<(), StoreError> {
    let filter =
        FindingFilter { kinds: vec![Kind::PolicyDate], limit: DATED_MAX, ..FindingFilter::default() };
    let rows = store.findings(&filter)?;
    out.dates_cut = rows.len() >= DATED_MAX;
    let mut days: BTreeMap<(UnixTime, String), PolicyDay> = BTreeMap::new();
    for row in rows {
        let fact = row.evidence.iter().find(|(name, _)| name == "decision").map(|(_, fact)| fact);
        let Some(Fact::Text(name)) = fact else { continue };
        let Some((at, source)) = decision(name).filter(|(at, _)| *at > out.from && *at <= out.until) else {
            continue;
        };
        let day = days.entry((at, name.clone())).or_insert_with(|| PolicyDay {
            at,
            decision: name.clone(),
            source: source.to_owned(),
            certificates: 0,
        });
        day.certificates += 1;
    }
    out.dates = days.into_values().collect();
    Ok(())
}

fn ladder(asset: &AssetRow, end: UnixTime, setup: &Setup) -> Ladder {
    let lifetime = end.0.saturating_sub(asset.not_before.unwrap_or(end).0);
    let ladder =
        if asset.is_ca && asset.served == 0 { Ladder::for_ca(lifetime) } else { Ladder::for_leaf(lifetime) };
    let owner = asset.owner.as_ref().and_then(|name| setup.owners.iter().find(|o| &o.name == name));
    ladder.needing(lifetime, owner.and_then(|o| o.needs_days))
}
