//! Follows every subject that time will change until the end of the forecast: what lapses, what breaks, what is
//! renewed, and how findings open, worsen and close on the way.
//!
//! Part by part, as the server judges; of each part only what will be told is kept. What is expected to be renewed
//! ends its course there: the new one's findings are not foreseen. Nothing here knows of messages.

use std::collections::{BTreeMap, HashMap, HashSet};

use notafter_core::alert::decide::{Tellable, fades};
use notafter_core::dossier::{AssetView, Dossier, Subject};
use notafter_core::finding::{Fact, Finding, Kind, REPLACED, Severity};
use notafter_core::inventory::{AssetKind, Role};
use notafter_core::outlook::{Outlook, habit, outlook};
use notafter_core::subject::SubjectKey;
use notafter_core::{Fingerprint, UnixTime};
use notafter_store::ahead::{About, From};
use notafter_store::judge::Due;
use notafter_store::{Store, StoreError};

use super::{Broken, Fate, Forecast, LIST_MAX, Renewed};
use crate::assess::ahead::{Instant, Span, assess_ahead};
use crate::notify::tellable;
use crate::setup::Setup;

/// So many subjects are followed at a time.
const PART: usize = 1000;
/// What is renewed before its first word is due so much later is still seen, in seconds.
const MARGIN: i64 = 20 * 86_400;
/// So often crowds are counted, in seconds, as the server does; and once that was done so many times, by the day.
const CROWDS_EVERY: i64 = 900;
const CROWDS_MANY: usize = 100;
/// So many times in all.
const CROWDS_MAX: usize = 1000;

/// A finding changes: by its number in [`Courses::table`], whoever gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) at: UnixTime,
    pub(super) finding: u32,
    /// Which subject says so: a hash of its key.
    pub(super) by: u64,
    /// How it stands from here on; `None`: it is said no more.
    pub(super) stands: Option<(Severity, Option<UnixTime>)>,
    /// It is told no more, and was not seen to be gone: time made a line of it.
    pub(super) faded: bool,
}

/// What was found out.
#[derive(Default)]
pub(super) struct Courses {
    /// Every finding that somebody is or will be told about.
    pub(super) table: Vec<Tellable>,
    /// So many of them are open at the beginning: the first ones of the table.
    pub(super) open: usize,
    /// In order of time.
    pub(super) changes: Vec<Change>,
    /// Findings that several subjects give at the beginning.
    pub(super) shared: HashMap<u32, HashSet<u64>>,
    ids: HashMap<String, u32>,
    /// Broken by something else than their own ends: each once.
    broken: HashSet<String>,
}

/// Looks ahead. Fills in what lapses, breaks and renews.
pub(super) fn follow(store: &Store, setup: &Setup, forecast: &mut Forecast) -> Result<Courses, StoreError> {
    let (now, until) = (forecast.from, forecast.until);
    let mut courses = Courses::default();
    store.each_tellable(&mut |row| {
        // In words that change with the time, as they are kept.
        let summary = row.summary.clone();
        courses.table.push(Tellable { summary, ..tellable(row, &setup.last_resort, now) });
    })?;
    courses.open = courses.table.len();
    courses.ids = courses.table.iter().zip(0..).map(|(t, n)| (t.id.clone(), n)).collect();
    for tellable in &mut courses.table {
        slim(tellable);
    }
    for (finding, subject) in store.shared_findings()? {
        if let Some(number) = courses.ids.get(&finding) {
            courses.shared.entry(*number).or_default().insert(hash(&subject));
        }
    }
    let judgment = setup.judgment(now);
    let mut from = From::default();
    while !from.is_end() {
        let due = store.due_until(&mut from, until.plus(MARGIN), PART)?;
        let due: Vec<Due> = due.into_iter().filter(|due| is_foreseen(&due.subject)).collect();
        if !due.is_empty() {
            courses.part(store, setup, &judgment, due, forecast)?;
        }
    }
    courses.crowds(store, setup, now, until)?;
    courses.changes.sort_by_key(|change| change.at);
    Ok(courses)
}

/// What hangs on looks and not on time is not foreseen: sources, channels, clocks.
fn is_foreseen(subject: &SubjectKey) -> bool {
    !matches!(
        subject,
        SubjectKey::Source(_) | SubjectKey::Owner(_) | SubjectKey::Server | SubjectKey::Crowd(_)
    )
}

/// What was gathered of one subject while its part was loaded.
struct Followed {
    subject: SubjectKey,
    instants: Vec<Instant>,
    outlook: Outlook,
    /// Of an asset that lapses within the span.
    lapse: Option<UnixTime>,
    /// The end of the asset itself.
    end: Option<UnixTime>,
    asset: Option<Fingerprint>,
    title: String,
    owner: Option<String>,
}

impl Courses {
    /// The number of a finding in the table.
    pub(super) fn number_of(&self, id: &str) -> Option<u32> {
        self.ids.get(id).copied()
    }

    fn part(
        &mut self,
        store: &Store,
        setup: &Setup,
        judgment: &crate::pipeline::Judgment,
        due: Vec<Due>,
        forecast: &mut Forecast,
    ) -> Result<(), StoreError> {
        let (now, until) = (forecast.from, forecast.until);
        let starts: BTreeMap<SubjectKey, UnixTime> =
            due.iter().map(|d| (d.subject.clone(), UnixTime(d.token.max(0)))).collect();
        let ids: Vec<Fingerprint> = starts.keys().filter_map(asset_of).collect();
        let lives = store.lives_of_lines(&ids)?;
        let mut part = store.load(due, now)?;
        let span = Span { starts: &starts, hands: &part.hands, until };
        let mut followed: Vec<Followed> = Vec::with_capacity(starts.len());
        assess_ahead(&mut part.inventory, judgment, &span, &mut |subject, dossier, instants| {
            let left = asset_of(subject).and_then(|id| lives.get(&id)).map(|l| habit(l)).unwrap_or_default();
            followed.push(gather(subject, dossier, instants, &left, now, until));
        });
        let subjects: Vec<SubjectKey> = followed.iter().map(|f| f.subject.clone()).collect();
        let before = store.findings_given(&subjects)?;
        let mut about: Vec<Fingerprint> = followed
            .iter()
            .flat_map(|f| f.instants.iter().flat_map(|i| i.findings.iter().filter_map(|f| f.asset)))
            .collect();
        about.sort_unstable();
        about.dedup();
        let abouts = store.abouts(&about)?;
        for (one, before) in followed.iter().zip(before) {
            self.fates(setup, one, forecast);
            self.changes_of(setup, one, &before, &abouts, until);
        }
        Ok(())
    }

    /// What becomes of it.
    fn fates(&mut self, setup: &Setup, one: &Followed, forecast: &mut Forecast) {
        let (now, until) = (forecast.from, forecast.until);
        let owner = one.owner.clone().unwrap_or_else(|| setup.last_resort.clone());
        let replaced = one.outlook.replaced().filter(|at| *at <= until);
        if let (Some(at), Some(asset), Outlook::Renews { by, .. }) = (replaced, one.asset, &one.outlook) {
            forecast.renewed += 1;
            forecast.day(at).renews += 1;
            let row = Renewed {
                at,
                asset,
                title: one.title.clone(),
                owner: owner.clone(),
                by: by.clone(),
                ends: one.end.unwrap_or(at),
            };
            keep_first(&mut forecast.renewals, (at, asset), row);
        }
        let mut breaks_itself = false;
        for instant in &one.instants {
            if replaced.is_some_and(|at| instant.at >= at) {
                break;
            }
            for finding in &instant.findings {
                let Some(at) = breaks(finding, one, instant.at) else { continue };
                // Whatever is said of one end, it is one.
                let cause = match (one.asset, one.end == Some(at)) {
                    (Some(asset), true) => asset.to_string(),
                    _ => finding.id(),
                };
                if at <= now || at > until || !self.broken.insert(cause) {
                    continue;
                }
                breaks_itself |= Some(at) == one.lapse;
                forecast.broken += 1;
                forecast.day(at).breaks += 1;
                let owner = finding.owner.clone().unwrap_or_else(|| setup.last_resort.clone());
                *forecast.broken_of.entry(owner.clone()).or_default() += 1;
                let row = Broken {
                    at,
                    kind: finding.kind,
                    id: finding.id(),
                    asset: finding.asset.or(one.asset),
                    title: one.title.clone(),
                    owner,
                    places: finding.locations.iter().take(5).map(ToString::to_string).collect(),
                    places_count: finding.locations.len() as u64,
                };
                let key = (at, finding.asset.or(one.asset).unwrap_or(Fingerprint([0; 32])));
                keep_first(&mut forecast.breaks, key, row);
            }
        }
        let (Some(at), Some(asset)) = (one.lapse, one.asset) else { return };
        forecast.count += 1;
        *forecast.owners.entry(owner).or_default() += 1;
        forecast.day(at).lapses += 1;
        forecast.day(at).replaced += u64::from(replaced.is_some());
        match (&one.outlook, replaced) {
            (Outlook::Republished { .. }, Some(_)) => forecast.republishing += 1,
            (_, Some(_)) => forecast.renewing += 1,
            (_, None) if !breaks_itself => forecast.unused += 1,
            (_, None) => {}
        }
        let fate = Fate { outlook: one.outlook.clone(), breaks: breaks_itself };
        keep_first(&mut forecast.fates, (at, asset), fate);
    }

    /// What changes of its findings.
    fn changes_of(
        &mut self,
        setup: &Setup,
        one: &Followed,
        before: &[String],
        abouts: &HashMap<Fingerprint, About>,
        until: UnixTime,
    ) {
        let by = hash(&one.subject);
        let mut present: BTreeMap<u32, (Severity, Option<UnixTime>)> = before
            .iter()
            .filter_map(|id| self.ids.get(id))
            .map(|n| (*n, (self.table[*n as usize].severity, self.table[*n as usize].deadline)))
            .collect();
        let replaced = one.outlook.replaced().filter(|at| *at <= until);
        for instant in &one.instants {
            if replaced.is_some_and(|at| instant.at >= at) {
                break;
            }
            let mut next = BTreeMap::new();
            for finding in instant.findings.iter().filter(|f| f.severity <= Severity::Warning) {
                let number = self.number(finding, setup, abouts, instant.at);
                let state = next.entry(number).or_insert((finding.severity, finding.deadline));
                state.0 = state.0.min(finding.severity);
            }
            let lines: Vec<&Finding> = instant.findings.iter().filter(|f| is_line(f)).collect();
            self.differ(instant.at, by, &mut present, next, &lines);
        }
        if let Some(at) = replaced {
            // What has a date was about the old one; what has none, the new one is likely to inherit.
            let next = present.iter().filter(|(_, (_, deadline))| deadline.is_none());
            let next = next.map(|(number, state)| (*number, *state)).collect();
            self.differ(at, by, &mut present, next, &[]);
        }
    }

    fn differ(
        &mut self,
        at: UnixTime,
        by: u64,
        present: &mut BTreeMap<u32, (Severity, Option<UnixTime>)>,
        next: BTreeMap<u32, (Severity, Option<UnixTime>)>,
        lines: &[&Finding],
    ) {
        for finding in present.keys().filter(|n| !next.contains_key(n)) {
            let told = &self.table[*finding as usize];
            let line = |f: &&Finding| fades((&told.id, told.kind, told.asset), (&f.id(), f.kind, f.asset));
            let faded = lines.iter().any(line);
            self.changes.push(Change { at, finding: *finding, by, stands: None, faded });
        }
        for (finding, state) in next.iter().filter(|(n, state)| present.get(n) != Some(state)) {
            self.changes.push(Change { at, finding: *finding, by, stands: Some(*state), faded: false });
        }
        *present = next;
    }

    /// The number of a finding in the table; a new one is entered.
    fn number(
        &mut self,
        finding: &Finding,
        setup: &Setup,
        abouts: &HashMap<Fingerprint, About>,
        at: UnixTime,
    ) -> u32 {
        let id = finding.id();
        if let Some(known) = self.ids.get(&id) {
            return *known;
        }
        let about = finding.asset.and_then(|asset| abouts.get(&asset));
        // As the memory has them: in order.
        let place = || finding.locations.iter().map(ToString::to_string).min();
        let issues = finding.evidence.iter().find(|(name, _)| *name == "issues");
        let mut tellable = Tellable {
            id: id.clone(),
            kind: finding.kind,
            severity: finding.severity,
            asset: finding.asset,
            name: about.map(|a| a.title.clone()).or_else(place).unwrap_or_else(|| finding.cause.clone()),
            issuer_name: about.and_then(|a| a.issuer_name.clone()),
            owner: finding.owner.clone().unwrap_or_else(|| setup.last_resort.clone()),
            deadline: finding.deadline,
            not_before: about.and_then(|a| a.not_before),
            is_ca: match issues {
                Some((_, fact)) => *fact == Fact::from(true),
                None => about.is_some_and(|a| a.is_ca),
            },
            summary: finding.summary.clone(),
            page: finding.page(),
            hint: String::new(),
            places: Vec::new(),
            breaks: String::new(),
            weight: finding.blast.as_ref().map_or(0, |blast| blast.weight()),
            opened: at,
        };
        slim(&mut tellable);
        let number = self.table.len() as u32;
        self.table.push(tellable);
        self.ids.insert(id, number);
        number
    }

    /// What ends together: counted anew at each instant at which one of the rules could change its mind.
    fn crowds(
        &mut self,
        store: &Store,
        setup: &Setup,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<(), StoreError> {
        type Present = BTreeMap<u32, (Severity, Option<UnixTime>)>;
        let mut present: BTreeMap<Option<String>, Present> = BTreeMap::new();
        let (mut at, mut rounds) = (now, 0);
        while at <= until && rounds < CROWDS_MAX {
            rounds += 1;
            let mut next_at: Option<UnixTime> = None;
            let mut crowds = store.crowds(&setup.policy, at)?;
            for owner in present.keys() {
                crowds.entry(owner.clone()).or_default();
            }
            for (owner, crowd) in crowds {
                let key = SubjectKey::Crowd(owner.clone());
                if rounds == 1 {
                    let given = store.findings_given(std::slice::from_ref(&key))?;
                    let known = given.iter().flatten().filter_map(|id| self.ids.get(id));
                    let table = &self.table;
                    let state = |n: &u32| (*n, (table[*n as usize].severity, table[*n as usize].deadline));
                    present.insert(owner.clone(), known.map(state).collect());
                }
                let subject = Subject::Crowd(crowd.view(owner.as_deref()));
                let dossier = Dossier { subject, policy: &setup.policy, owner: None };
                let assessment = notafter_core::assess::assess(&dossier, at);
                next_at = next_at.into_iter().chain(assessment.holds_until).min();
                let mut next = BTreeMap::new();
                for mut finding in assessment.findings {
                    if finding.severity > Severity::Warning {
                        continue;
                    }
                    finding.owner = Some(owner.clone().unwrap_or_else(|| setup.last_resort.clone()));
                    let number = self.number(&finding, setup, &HashMap::new(), at);
                    next.insert(number, (finding.severity, finding.deadline));
                }
                let known = present.entry(owner).or_default();
                let mut known = std::mem::take(known);
                let by = hash(&key);
                self.differ(at, by, &mut known, next, &[]);
                if let SubjectKey::Crowd(owner) = key {
                    present.insert(owner, known);
                }
            }
            match next_at.filter(|next| *next > at) {
                Some(next) => {
                    let every = if rounds > CROWDS_MANY { 86_400 } else { CROWDS_EVERY };
                    at = UnixTime(next.0.saturating_add(every - 1).div_euclid(every) * every);
                }
                None => break,
            }
        }
        Ok(())
    }
}

/// Is it a line about an end of which nobody is told, and which was not seen to be replaced?
fn is_line(finding: &Finding) -> bool {
    let replaced = finding.evidence.iter().any(|(name, _)| *name == REPLACED);
    finding.severity == Severity::Info && finding.deadline.is_some() && !replaced
}

/// What no decision and no title needs is not kept for a million.
fn slim(tellable: &mut Tellable) {
    tellable.hint = String::new();
    tellable.places = Vec::new();
}

fn gather(
    subject: &SubjectKey,
    dossier: &Dossier<'_>,
    instants: Vec<Instant>,
    left: &[i64],
    now: UnixTime,
    until: UnixTime,
) -> Followed {
    let view = dossier.asset();
    let end = view.and_then(|v| v.asset.not_after).filter(|end| *end < UnixTime::NO_EXPIRY);
    let lapses = |end: &UnixTime| *end > now && *end <= until && view.is_some_and(|v| counts(v, now));
    Followed {
        subject: subject.clone(),
        instants,
        outlook: view.map_or(Outlook::ByHand, |v| outlook(v, left, now)),
        lapse: end.filter(lapses),
        end,
        asset: view.map(|v| v.asset.id),
        title: view.map(AssetView::title).unwrap_or_else(|| subject.to_string()),
        owner: dossier.owner.map(|o| o.name.clone()),
    }
}

/// Does its end concern anybody here?
fn counts(view: &AssetView<'_>, now: UnixTime) -> bool {
    let somewhere = !view.places.is_empty() && !view.is_only_published();
    let dated = !matches!(view.asset.kind, AssetKind::Flow | AssetKind::CaaPolicy);
    somewhere && dated && view.superseded(now).is_err() && !view.has_role(Role::TrustAnchor)
}

/// When something stops working by this finding, if by then it has.
fn breaks(finding: &Finding, one: &Followed, at: UnixTime) -> Option<UnixTime> {
    if finding.severity != Severity::Critical {
        return None;
    }
    let deadline = finding.deadline.filter(|deadline| *deadline <= at)?;
    match finding.kind {
        // These speak before an end, not of it.
        Kind::ExpiresSoon
        | Kind::ExpiryCliff
        | Kind::ExpiresInFreeze
        | Kind::RenewalOverdue
        | Kind::RenewalFailing
        | Kind::RenewerDead
        | Kind::RenewedNotLoaded
        | Kind::StoredNotDeployed
        | Kind::ExpiredButTolerated
        | Kind::PolicyDate => None,
        Kind::ChainExpiresFirst
        | Kind::PathExpiresForClients
        | Kind::AnchorExpires
        | Kind::EmbeddedAnchorExpires
        | Kind::RenewerCredentialExpires => Some(deadline),
        _ => one.end.filter(|end| *end <= at),
    }
}

fn asset_of(subject: &SubjectKey) -> Option<Fingerprint> {
    match subject {
        SubjectKey::Asset(id) => Some(*id),
        _ => None,
    }
}

/// What tells a subject from the others while one forecast is made.
fn hash(subject: &SubjectKey) -> u64 {
    let sum = notafter_pki::fingerprint::sha256(subject.to_string().as_bytes());
    u64::from_be_bytes([sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7]])
}

/// Keeps the first of very many.
pub(super) fn keep_first<T>(
    map: &mut BTreeMap<(UnixTime, Fingerprint), T>,
    key: (UnixTime, Fingerprint),
    value: T,
) {
    if map.len() >= LIST_MAX && map.last_key_value().is_some_and(|(last, _)| *last <= key) {
        return;
    }
    map.insert(key, value);
    if map.len() > LIST_MAX {
        map.pop_last();
    }
}
