//! Renewals a week, by owner and CA, under today's rules and under shorter lifetimes; and what is left of the CAs' limits.
//!
//! Every leaf in use is taken to be renewed at its usual time again and again; from the next renewal on, a certificate
//! of a public CA lives as long as the rules of that day allow (`core/lifetimes.rs`), or as long as was asked. Counted
//! by week in bounded memory: only what could reach a limit is followed by name.

use std::collections::{BTreeMap, HashMap, HashSet};

use notafter_core::lifetimes::{longest, usual_lead};
use notafter_core::rate_limits::{Per, RateLimit, RateLimits, limits_of};
use notafter_core::rules::unexpected_issuance::issuer_of;
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_store::ahead::LeafRow;
use notafter_store::judge::Due;
use notafter_store::{Store, StoreError};

use super::Forecast;
use crate::assess::ahead::{Span, assess_ahead};
use crate::setup::Setup;

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;
/// So many issuers are asked whether they are public.
const ISSUERS_MAX: usize = 2000;
/// So many groups that could reach a limit are followed.
const GROUPS_MAX: usize = 10_000;
/// So many certificates of one line make a habit of renewing it.
const HABIT: u64 = 3;

/// Renewals under one assumption.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// Certificates of public CAs live so many days at most; `None`: as long as the rules of the day allow.
    pub lifetime_days: Option<u32>,
    /// Renewals a week, in the mean of the span.
    pub a_week: f64,
    /// In the worst week.
    pub worst_week: u64,
    /// When that begins.
    pub worst_from: UnixTime,
    /// Of the mean, those that nothing known renews.
    pub by_hand: f64,
    /// By owner and CA, the most first.
    pub work: Vec<Work>,
    /// By CA, and limit that it publishes.
    pub headroom: Vec<Headroom>,
    /// Public CAs in use for which no published limit is known.
    pub unpublished: Vec<String>,
}

/// Whose renewals, by which CA.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Work {
    pub owner: String,
    pub ca: String,
    pub a_week: f64,
    pub worst_week: u64,
}

/// What is left of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Headroom {
    /// The CA.
    pub ca: String,
    /// What is counted together.
    pub per: Per,
    /// So many at most.
    pub most: u64,
    /// Within so many seconds.
    pub within: i64,
    /// The domain or the name of which most are issued; empty for an account.
    pub of: String,
    /// So many of it within that time, at the worst.
    pub worst: u64,
    /// When that time begins.
    pub from: UnixTime,
    /// How many domains, names or times exceed it.
    pub exceeding: u64,
    /// Do renewals for exactly the same names count? If not, it is exceeded only by what changes its names.
    pub counts_renewals: bool,
    /// The page that says it, and its date.
    pub source: String,
}

/// One leaf, as far as it counts here.
struct Leaf {
    begin: UnixTime,
    end: UnixTime,
    ca: usize,
    owner: Option<i64>,
    /// When its renewer means to renew it.
    due: Option<UnixTime>,
    automatic: bool,
}

struct Authority {
    name: String,
    public: bool,
    limits: Option<&'static RateLimits>,
}

/// Everything that all scenarios share.
struct Ground {
    authorities: Vec<Authority>,
    /// By the number of the issuer's name.
    by_issuer: HashMap<Option<i64>, usize>,
    managed: HashMap<Fingerprint, (Option<UnixTime>, bool)>,
    lines: HashSet<i64>,
    owners: HashMap<i64, String>,
}

/// Counts, and puts it into the forecast: today's rules first, then each lifetime.
pub(super) fn count(
    store: &Store,
    setup: &Setup,
    lifetimes: &[u32],
    forecast: &mut Forecast,
) -> Result<(), StoreError> {
    let ground = ground(store, setup, forecast)?;
    let mut scenarios: Vec<Tally> = std::iter::once(None)
        .chain(lifetimes.iter().map(|days| Some(*days)))
        .map(|days| Tally::new(days, forecast))
        .collect();
    // First by hashes: which domains and which sets of names could come near a limit at all.
    let mut groups: HashMap<(Per, u64), u32> = HashMap::new();
    store.each_leaf(&mut |row| {
        if let Some(ca) =
            ground.by_issuer.get(&row.issuer).filter(|ca| ground.authorities[**ca].limits.is_some())
        {
            for (per, hash, _) in keys(&row, *ca) {
                *groups.entry((per, hash)).or_default() += 1;
            }
        }
        true
    })?;
    // So often in a week, and once more at the edges, what lives the shortest is renewed.
    let shortest = i64::from(lifetimes.iter().copied().min().unwrap_or(6).clamp(1, 6)) * DAY;
    let often = (WEEK / (shortest - usual_lead(shortest)) + 1).unsigned_abs();
    groups.retain(|(per, _), count| u64::from(*count) * often > if *per == Per::SameNames { 5 } else { 50 });
    let mut most: Vec<((Per, u64), u32)> = groups.into_iter().collect();
    most.sort_unstable_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
    let followed: HashSet<(Per, u64)> = most.into_iter().take(GROUPS_MAX).map(|(key, _)| key).collect();
    store.each_leaf(&mut |row| {
        let Some(ca) = ground.by_issuer.get(&row.issuer) else { return true };
        let managed = ground.managed.get(&row.id);
        let leaf = Leaf {
            begin: row.not_before,
            end: row.not_after,
            ca: *ca,
            owner: row.owner,
            due: managed.and_then(|(due, _)| *due),
            automatic: managed.is_some_and(|(_, automatic)| *automatic)
                || row.line.is_some_and(|line| ground.lines.contains(&line)),
        };
        let followed: Vec<_> = match ground.authorities[*ca].limits {
            Some(_) => keys(&row, *ca).filter(|(per, hash, _)| followed.contains(&(*per, *hash))).collect(),
            None => Vec::new(),
        };
        for scenario in &mut scenarios {
            scenario.add(&leaf, &followed, &ground.authorities[*ca]);
        }
        true
    })?;
    forecast.scenarios = scenarios.into_iter().map(|tally| tally.finish(&ground, setup)).collect();
    Ok(())
}

/// What a leaf counts under: its registered domain, and its names.
fn keys(row: &LeafRow, ca: usize) -> impl Iterator<Item = (Per, u64, String)> {
    let domain = registered(&row.title).map(|domain| (Per::RegisteredDomain, hashed(ca, &domain), domain));
    let names = row.names_key.map(|key| (Per::SameNames, hashed(ca, &key.to_string()), row.title.clone()));
    domain.into_iter().chain(names)
}

/// The registered domain: one label below a public suffix. An address stands for itself.
fn registered(name: &str) -> Option<String> {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some(name.to_owned());
    }
    let name = name.trim_start_matches("*.").to_ascii_lowercase();
    psl::domain_str(&name).map(str::to_owned)
}

fn hashed(ca: usize, text: &str) -> u64 {
    let sum = notafter_pki::fingerprint::sha256(format!("{ca} {text}").as_bytes());
    u64::from_be_bytes([sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]])
}

/// Who issues, who renews, who answers.
fn ground(store: &Store, setup: &Setup, forecast: &mut Forecast) -> Result<Ground, StoreError> {
    let now = forecast.from;
    let mut issuers: HashMap<Option<i64>, (Fingerprint, u64)> = HashMap::new();
    let mut owners = HashSet::new();
    store.each_leaf(&mut |row| {
        issuers.entry(row.issuer).or_insert((row.id, 0)).1 += 1;
        owners.extend(row.owner);
        forecast.leaves += 1;
        true
    })?;
    let mut samples: Vec<_> = issuers.iter().map(|(issuer, (id, count))| (*issuer, *id, *count)).collect();
    samples.sort_unstable_by_key(|(_, id, count)| (std::cmp::Reverse(*count), *id));
    let judgment = setup.judgment(now);
    let mut told: HashMap<Fingerprint, (String, bool)> = HashMap::new();
    let ids: Vec<Fingerprint> = samples.iter().take(ISSUERS_MAX).map(|(_, id, _)| *id).collect();
    for ids in ids.chunks(100) {
        let due = ids.iter().map(|id| Due { subject: SubjectKey::Asset(*id), token: 0 }).collect();
        let mut part = store.load(due, now)?;
        let starts = ids.iter().map(|id| (SubjectKey::Asset(*id), now)).collect();
        let span = Span { starts: &starts, hands: &part.hands, until: now };
        assess_ahead(&mut part.inventory, &judgment, &span, &mut |_, dossier, _| {
            if let Some((view, certificate)) = dossier.certificate() {
                let public = view.chains.iter().any(|chain| chain.path.public);
                told.insert(view.asset.id, (issuer_of(&certificate.issuer_name()), public));
            }
        });
    }
    let mut out = Ground {
        authorities: Vec::new(),
        by_issuer: HashMap::new(),
        managed: managed(store, now)?,
        lines: store.long_lines(HABIT)?,
        owners: HashMap::new(),
    };
    let mut known: HashMap<(String, bool), usize> = HashMap::new();
    for (issuer, id, count) in samples {
        let (name, public) = told.remove(&id).unwrap_or_else(|| ("others".to_owned(), false));
        forecast.public_leaves += if public { count } else { 0 };
        let at = *known.entry((name.clone(), public)).or_insert_with(|| {
            let limits = limits_of(&name).filter(|_| public);
            out.authorities.push(Authority { name, public, limits });
            out.authorities.len() - 1
        });
        out.by_issuer.insert(issuer, at);
    }
    let numbers: Vec<i64> = owners.into_iter().collect();
    for (number, name) in numbers.iter().zip(store.words(&numbers)?) {
        out.owners.insert(*number, name.unwrap_or_default());
    }
    Ok(out)
}

/// When renewers mean to renew what they keep, and whether they do so by themselves.
#[allow(clippy::type_complexity)]
fn managed(
    store: &Store,
    now: UnixTime,
) -> Result<HashMap<Fingerprint, (Option<UnixTime>, bool)>, StoreError> {
    let mut out = HashMap::new();
    for (leaf, renewal) in store.managed_leaves()? {
        let well = renewal.automatic
            && renewal.failures.is_none()
            && renewal.broken.is_empty()
            && !renewal.nothing_starts_it()
            && renewal.credentials.iter().all(|credential| credential.until > now);
        let bytes = store.bytes_of(&[leaf])?.into_iter().next().unwrap_or_default();
        let due = Certificate::parse(&bytes)
            .ok()
            .and_then(|c| Some(renewal.due(c.not_before()?, c.not_after()?, None)));
        out.insert(leaf, (due, well));
    }
    Ok(out)
}

/// Counts under one assumption.
struct Tally {
    days: Option<u32>,
    from: UnixTime,
    until: UnixTime,
    weeks: Vec<u64>,
    by_hand: u64,
    work: BTreeMap<(Option<i64>, usize), Vec<u32>>,
    /// By CA: in slots of three hours.
    slots: BTreeMap<usize, Vec<u32>>,
    groups: HashMap<(usize, Per, u64), (String, Vec<u32>)>,
}

/// A slot is as long as the shortest limit: three hours.
const SLOT: i64 = 3 * 3600;

impl Tally {
    fn new(days: Option<u32>, forecast: &Forecast) -> Self {
        let span = forecast.until.0.saturating_sub(forecast.from.0).max(1);
        Self {
            days,
            from: forecast.from,
            until: forecast.until,
            weeks: vec![0; slot(span + WEEK - 1, WEEK).max(1)],
            by_hand: 0,
            work: BTreeMap::new(),
            slots: BTreeMap::new(),
            groups: HashMap::new(),
        }
    }

    /// Every renewal of one leaf within the span.
    fn add(&mut self, leaf: &Leaf, groups: &[(Per, u64, String)], authority: &Authority) {
        let mut life = leaf.end.0.saturating_sub(leaf.begin.0).max(3600);
        let planned = leaf.due.unwrap_or_else(|| leaf.end.plus(-usual_lead(life)));
        // What is late is renewed now; what ended long ago is renewed by nobody.
        let mut at = planned.max(self.from);
        if leaf.end < self.from {
            return;
        }
        while at <= self.until {
            let since = at.0 - self.from.0;
            let week = slot(since, WEEK).min(self.weeks.len() - 1);
            self.weeks[week] += 1;
            self.by_hand += u64::from(!leaf.automatic);
            let weeks = self.weeks.len();
            let work = self.work.entry((leaf.owner, leaf.ca)).or_insert_with(|| vec![0; weeks]);
            work[week] = work[week].saturating_add(1);
            if authority.limits.is_some() {
                let slots = self.slots.entry(leaf.ca).or_default();
                grow(slots, slot(since, SLOT));
            }
            for (per, hash, name) in groups {
                let (_, days) =
                    self.groups.entry((leaf.ca, *per, *hash)).or_insert_with(|| (name.clone(), Vec::new()));
                grow(days, slot(since, DAY));
            }
            if authority.public {
                let rules = longest(at).unwrap_or(i64::MAX);
                let asked = self.days.map_or(i64::MAX, |days| i64::from(days) * DAY);
                life = life.min(rules).min(asked);
            }
            at = at.plus((life - usual_lead(life)).max(3600));
        }
    }

    fn finish(self, ground: &Ground, setup: &Setup) -> Scenario {
        let span = (self.until.0 - self.from.0).max(1) as f64 / WEEK as f64;
        let total: u64 = self.weeks.iter().sum();
        let worst = self.weeks.iter().enumerate().max_by_key(|(n, count)| (**count, std::cmp::Reverse(*n)));
        let (at, worst_week) = worst.map_or((0, 0), |(n, count)| (n, *count));
        let owner = |number: &Option<i64>| {
            let known = number.and_then(|n| ground.owners.get(&n)).cloned();
            known.unwrap_or_else(|| setup.last_resort.clone())
        };
        let mut work: Vec<Work> = self
            .work
            .iter()
            .map(|((number, ca), weeks)| Work {
                owner: owner(number),
                ca: ground.authorities[*ca].name.clone(),
                a_week: weeks.iter().map(|n| f64::from(*n)).sum::<f64>() / span,
                worst_week: u64::from(weeks.iter().copied().max().unwrap_or(0)),
            })
            .collect();
        work.sort_by(|a, b| {
            b.a_week.total_cmp(&a.a_week).then_with(|| (&a.owner, &a.ca).cmp(&(&b.owner, &b.ca)))
        });
        work.truncate(super::LIST_MAX);
        let mut unpublished: Vec<String> = ground
            .authorities
            .iter()
            .filter(|ca| ca.public && ca.limits.is_none())
            .map(|ca| ca.name.clone())
            .collect();
        unpublished.sort_unstable();
        Scenario {
            lifetime_days: self.days,
            a_week: total as f64 / span,
            worst_week,
            worst_from: self.from.plus(at as i64 * WEEK),
            by_hand: self.by_hand as f64 / span,
            headroom: self.headroom(ground),
            work,
            unpublished,
        }
    }

    fn headroom(&self, ground: &Ground) -> Vec<Headroom> {
        let mut out = Vec::new();
        for (number, ca) in ground.authorities.iter().enumerate() {
            let Some(limits) = ca.limits else { continue };
            for limit in limits.limits {
                out.push(self.headroom_of(number, ca, limits, limit));
            }
        }
        out
    }

    fn headroom_of(&self, ca: usize, who: &Authority, limits: &RateLimits, limit: &RateLimit) -> Headroom {
        let mut out = Headroom {
            ca: who.name.clone(),
            per: limit.per,
            most: limit.most,
            within: limit.within,
            of: String::new(),
            worst: 0,
            from: self.from,
            exceeding: 0,
            counts_renewals: limit.counts_renewals,
            source: format!("{} ({})", limits.page, limits.dated),
        };
        let mut take = |name: &str, counts: &[u32], step: i64| {
            let (worst, at) = worst_window(counts, (limit.within / step).max(1) as usize);
            out.exceeding += u64::from(worst > limit.most);
            if worst > out.worst {
                (out.worst, out.of) = (worst, name.to_owned());
                out.from = self.from.plus(at as i64 * step);
            }
        };
        match limit.per {
            Per::Account => {
                let none = Vec::new();
                let slots = self.slots.get(&ca).unwrap_or(&none);
                take("", slots, SLOT);
            }
            per => {
                let mut groups: Vec<_> =
                    self.groups.iter().filter(|((of, p, _), _)| *of == ca && *p == per).collect();
                groups.sort_unstable_by(|a, b| a.1.0.cmp(&b.1.0));
                for (_, (name, days)) in groups {
                    take(name, days, DAY);
                }
            }
        }
        out
    }
}

fn slot(since: i64, step: i64) -> usize {
    usize::try_from(since / step).unwrap_or(0)
}

fn grow(counts: &mut Vec<u32>, at: usize) {
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    counts[at] = counts[at].saturating_add(1);
}

/// The most in so many slots one after another, and where they begin.
fn worst_window(counts: &[u32], length: usize) -> (u64, usize) {
    let (mut sum, mut worst) = (0_u64, (0, 0));
    for (at, count) in counts.iter().enumerate() {
        sum += u64::from(*count);
        if at >= length {
            sum -= u64::from(counts[at - length]);
        }
        if sum > worst.0 {
            worst = (sum, (at + 1).saturating_sub(length));
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-01.
    const NOW: UnixTime = UnixTime(1_798_761_600);

    fn forecast(days: i64) -> Forecast {
        Forecast { from: NOW, until: NOW.plus(days * DAY), ..Forecast::default() }
    }

    fn renewals(lifetime: Option<u32>, public: bool, life: i64, left: i64, days: i64) -> u64 {
        let mut tally = Tally::new(lifetime, &forecast(days));
        let leaf = Leaf {
            begin: NOW.plus((left - life) * DAY),
            end: NOW.plus(left * DAY),
            ca: 0,
            owner: None,
            due: None,
            automatic: false,
        };
        tally.add(&leaf, &[], &Authority { name: "CA".into(), public, limits: None });
        tally.weeks.iter().sum()
    }

    #[test]
    fn each_is_renewed_as_the_rules_of_the_day_allow() {
        // On day 20 for 90 days: again on days 80, 140, ...
        assert_eq!(renewals(None, true, 90, 50, 365), 6);
        // One of a year, renewed before March 2027 for 200 days, after it for 100.
        assert_eq!(renewals(None, true, 365, 365 / 3 + 10, 20), 1);
        assert_eq!(renewals(None, false, 365, 365 / 3 + 10, 400), 2);
        assert_eq!(renewals(None, true, 365, 365 / 3 + 10, 400), 5);
        assert_eq!(renewals(Some(47), true, 90, 50, 365), 12);
        assert_eq!(renewals(Some(6), true, 90, 50, 120), 34);
        // Private CAs answer to nobody.
        assert_eq!(renewals(Some(6), false, 90, 50, 120), 2);
        // What ended before is renewed by nobody.
        assert_eq!(renewals(None, true, 90, -1, 365), 0);
    }

    #[test]
    fn the_worst_days_one_after_another() {
        assert_eq!(worst_window(&[1, 2, 3, 4, 1], 2), (7, 2));
        assert_eq!(worst_window(&[5], 7), (5, 0));
        assert_eq!(worst_window(&[], 7), (0, 0));
        assert_eq!(registered("*.a.example.co.uk").as_deref(), Some("example.co.uk"));
        assert_eq!(registered("192.0.2.1").as_deref(), Some("192.0.2.1"));
    }
}
