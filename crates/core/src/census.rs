//! Counts over many, for what no single certificate shows: very many on one day, all of them in a freeze.
//!
//! Per owner, because a crowd is somebody's work. Gathered from an inventory here, from its counters by the store;
//! the rules see the same view.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Finding;
use crate::location::Location;
use crate::policy::Policy;
use crate::upkeep::Upkeep;
use crate::{Fingerprint, UnixTime};
use notafter_pki::time::DAY;

/// What ends beyond this is not looked at yet, in seconds.
pub const HORIZON: i64 = 400 * DAY;
/// So many members are kept of one owner.
pub const MEMBERS_MAX: usize = 20_000;
/// So many places are listed in a finding.
const LISTED_MAX: usize = 1000;
/// A day with fewer is not kept by its members.
const DAY_MIN: usize = 20;

/// One that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub asset: Fingerprint,
    /// When it began, and ends.
    pub begins: UnixTime,
    /// When it ends.
    pub ends: UnixTime,
    /// One of its places.
    pub location: Location,
}

impl Member {
    /// In seconds.
    pub fn lifetime(&self) -> i64 {
        self.ends.0.saturating_sub(self.begins.0).max(0)
    }
}

/// All that ends of one owner's.
#[derive(Clone, Copy, Debug)]
pub struct CrowdView<'a> {
    /// Whose.
    pub owner: Option<&'a str>,
    /// How many end on each day (days since 1970) on which one does, in order.
    pub days: &'a [(i64, usize)],
    /// Those that end on a day with many, or when nobody may change anything.
    pub members: &'a [Member],
    /// On what very many renewals hang, whosever they are; with those that are nobody's.
    pub hangs: &'a [Hang],
}

/// One thing on which many renewals hang: when it goes, all of them fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hang {
    /// `account`, `credential`, or `DNS access`.
    pub what: &'static str,
    /// Which.
    pub name: String,
    /// When it ends, if it does.
    pub until: Option<UnixTime>,
    /// The files that say so, one for each lineage.
    pub places: Vec<Location>,
}

/// On what many of these renewals hang: one account at a CA, one credential, one access to the DNS. Only what more than
/// a few hang on.
pub fn hangs<'a>(renewals: impl IntoIterator<Item = &'a Upkeep>) -> Vec<Hang> {
    type Hanging = (Option<UnixTime>, BTreeSet<Location>);
    let mut all: BTreeMap<(&'static str, String), Hanging> = BTreeMap::new();
    for renewal in renewals.into_iter().filter(|r| r.automatic) {
        let mut add = |what, name: String, until: Option<UnixTime>| {
            let (known, places) = all.entry((what, name)).or_default();
            *known = known.iter().copied().chain(until).min();
            places.insert(renewal.state.clone());
        };
        if let Some(account) = &renewal.account {
            let server = renewal.server.as_deref().unwrap_or("its CA");
            add("account", format!("{account} at {server}"), None);
        }
        for credential in &renewal.credentials {
            add("credential", format!("{} in {}", credential.what, credential.place), Some(credential.until));
        }
        let dns = |solver: &&String| solver.to_ascii_lowercase().contains("dns");
        if let Some(solver) = renewal.solver.as_ref().filter(dns).filter(|_| renewal.credentials.is_empty()) {
            add("DNS access", format!("{solver} of {} in {}", renewal.tool, renewal.home), None);
        }
    }
    let many = all.into_iter().filter(|(_, (_, places))| places.len() >= DAY_MIN);
    many.map(|((what, name), (until, places))| Hang {
        what,
        name,
        until,
        places: places.into_iter().collect(),
    })
    .collect()
}

/// The same, owned.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// See [`CrowdView::days`].
    pub days: Vec<(i64, usize)>,
    /// See [`CrowdView::members`].
    pub members: Vec<Member>,
    /// See [`CrowdView::hangs`].
    pub hangs: Vec<Hang>,
}

impl Crowd {
    /// As rules see it.
    pub fn view<'a>(&'a self, owner: Option<&'a str>) -> CrowdView<'a> {
        CrowdView { owner, days: &self.days, members: &self.members, hangs: &self.hangs }
    }
}

/// Does it matter which ones end on this day?
pub fn matters(count: usize, day: i64, owner: Option<&str>, policy: &Policy) -> bool {
    let begins = UnixTime(day * DAY);
    let calendar = &policy.calendar;
    count >= DAY_MIN
        || calendar.closed_at(begins.plus(1), owner).is_some()
        || calendar.closed_at(begins.plus(DAY), owner).is_some()
}

/// Counts what an inventory holds, by owner.
pub fn of_members(all: Vec<(Option<String>, Member)>, policy: &Policy) -> BTreeMap<Option<String>, Crowd> {
    let mut by_owner: BTreeMap<Option<String>, Vec<Member>> = BTreeMap::new();
    for (owner, member) in all {
        by_owner.entry(owner).or_default().push(member);
    }
    let crowd = |(owner, members): (Option<String>, Vec<Member>)| {
        let mut days: BTreeMap<i64, usize> = BTreeMap::new();
        for member in &members {
            *days.entry(member.ends.0.div_euclid(DAY)).or_default() += 1;
        }
        let kept = |m: &Member| {
            let day = m.ends.0.div_euclid(DAY);
            matters(days[&day], day, owner.as_deref(), policy)
        };
        let members = members.into_iter().filter(kept).take(MEMBERS_MAX).collect();
        let crowd = Crowd { members, days: days.into_iter().collect(), hangs: Vec::new() };
        (owner, crowd)
    };
    by_owner.into_iter().map(crowd).collect()
}

/// The places of these, as many as a message can bear, and how many there are.
pub(crate) fn when_and_where(finding: Finding, members: &[&Member]) -> Finding {
    finding
        .at(members.iter().take(LISTED_MAX).map(|m| &m.location))
        .evidence("certificates", members.len() as i64)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::calendar::{Calendar, Closed};
    use crate::rules::scene::{NOW, days};

    /// A member that lives so many days.
    pub(crate) fn member(number: u8, ends: UnixTime, lives: i64) -> Member {
        let location = Location::file(format!("/items/{number}.pem").as_bytes(), "");
        Member { asset: Fingerprint([number; 32]), begins: ends.plus(-lives * DAY), ends, location }
    }

    #[test]
    fn by_owner_and_day() {
        let web = Some("web".to_owned());
        let mut all: Vec<_> = (0..30).map(|n| (web.clone(), member(n, days(5), 90))).collect();
        all.push((web.clone(), member(40, days(9), 90)));
        all.push((None, member(41, days(9), 90)));
        let closed = Closed { from: days(8), until: days(12), why: "freeze".into(), owner: None };
        let calendar = Calendar { closed: vec![closed], days_off: [false; 7] };
        let crowds = of_members(all.clone(), &Policy { calendar, ..Policy::default() });
        assert_eq!((crowds[&web].days.len(), crowds[&web].members.len()), (2, 31));
        assert_eq!(crowds[&None].members.len(), 1);
        let crowds = of_members(all, &Policy::default());
        assert_eq!((crowds[&web].members.len(), crowds[&None].members.len()), (30, 0));
        assert_eq!(crowds[&None].days, [(days(9).0.div_euclid(DAY), 1)]);
        let _ = NOW;
    }
}
