//! Judges what is due in the store: loads a part, has it assessed, keeps the verdicts.
//!
//! Only what was touched or whose time has come: a million healthy certificates cost nothing. What the
//! server knows of itself (sources, owners, its clock) is judged by the same rules, from here.

use std::collections::{BTreeSet, HashMap};

use notafter_core::UnixTime;
use notafter_core::assess::assess;
use notafter_core::blast::Blast;
use notafter_core::dossier::{ChannelView, ClockView, Dossier, OwnerView, SourceView, Subject};
use notafter_core::inventory::Role;
use notafter_core::policy::Policy;
use notafter_core::subject::SubjectKey;
use notafter_store::judge::{Due, FindingChanges, Judged};
use notafter_store::{Store, StoreError, Trouble};

use crate::assess::assess_part;
use crate::pipeline::Judgment;

/// So many subjects are judged at a time.
const PART: usize = 2000;

/// A verdict that the memory does not take is tried again after so many seconds.
const REFUSED: i64 = 3600;

/// Judges one part of what is due. `None`: nothing is. A verdict that the memory refuses for what is in it must not
/// stop all others: it is told by `refused`, and that subject waits.
///
/// # Errors
/// The store's.
pub fn judge_due(
    store: &Store,
    judgment: &Judgment,
    refused: &mut dyn FnMut(&SubjectKey, &StoreError),
) -> Result<Option<FindingChanges>, StoreError> {
    let due = store.due(judgment.at, PART)?;
    if due.is_empty() {
        return Ok(None);
    }
    judge_part(store, judgment, due, refused).map(Some)
}

fn judge_part(
    store: &Store,
    judgment: &Judgment,
    due: Vec<Due>,
    refused: &mut dyn FnMut(&SubjectKey, &StoreError),
) -> Result<FindingChanges, StoreError> {
    match judge(store, judgment, due.clone()) {
        Err(error) if error.trouble == Trouble::Other => match due.as_slice() {
            [one] => {
                refused(&one.subject, &error);
                store.put_off(one, judgment.at.plus(REFUSED))?;
                Ok(FindingChanges::default())
            }
            many => {
                let (left, right) = many.split_at(many.len() / 2);
                let mut changes = judge_part(store, judgment, left.to_vec(), refused)?;
                let more = judge_part(store, judgment, right.to_vec(), refused)?;
                changes.opened.extend(more.opened);
                changes.changed.extend(more.changed);
                changes.resolved.extend(more.resolved);
                Ok(changes)
            }
        },
        done => done,
    }
}

fn judge(store: &Store, judgment: &Judgment, due: Vec<Due>) -> Result<FindingChanges, StoreError> {
    let now = judgment.at;
    let part = store.load(due, now)?;
    let mut inventory = part.inventory;
    let subjects: BTreeSet<SubjectKey> = part.due.iter().map(|d| d.subject.clone()).collect();
    let before: HashMap<_, Role> =
        inventory.placements().iter().map(|p| ((p.asset, p.location.clone()), p.role)).collect();
    let mut verdicts = assess_part(&mut inventory, judgment, &subjects, &part.hands);
    let mut roles: HashMap<SubjectKey, Vec<_>> = HashMap::new();
    for placement in inventory.placements() {
        let known = before.get(&(placement.asset, placement.location.clone()));
        if known.is_some_and(|role| *role != placement.role) {
            let key = SubjectKey::Asset(inventory.asset(placement.asset).id);
            roles.entry(key).or_default().push((placement.location.clone(), placement.role));
        }
    }
    let judged: Vec<Judged> = part
        .due
        .into_iter()
        .map(|due| {
            let verdicts = verdicts.remove(&due.subject).unwrap_or_default();
            Judged {
                findings: verdicts.findings,
                holds_until: verdicts.holds_until,
                owner: verdicts.owner,
                roles: roles.remove(&due.subject).unwrap_or_default(),
                due,
            }
        })
        .collect();
    store.judged(&judged, now)
}

/// A source, an owner or the clock, as far as they are judged.
pub enum Own<'a> {
    /// A source, and who hears of it instead of the owner of last resort.
    Source(SourceView<'a>, Option<&'a str>),
    /// An owner, with what its findings are told to.
    Owner(OwnerView<'a>),
    /// The clock.
    Clock(ClockView<'a>),
}

/// Judges what the server knows of itself. All of it, every time: it is little.
///
/// # Errors
/// The store's.
pub fn judge_own(
    store: &Store,
    own: &[Own<'_>],
    policy: &Policy,
    last_resort: &str,
    now: UnixTime,
) -> Result<FindingChanges, StoreError> {
    let mut judged = Vec::new();
    for one in own {
        let (key, subject, owner) = match one {
            Own::Source(view, owner) => (
                SubjectKey::Source(view.name.to_owned()),
                Subject::Source(*view),
                owner.unwrap_or(last_resort),
            ),
            // The one whose channel is broken cannot be told by it.
            Own::Owner(view) => (SubjectKey::Owner(view.name.to_owned()), Subject::Owner(*view), last_resort),
            Own::Clock(view) => (SubjectKey::Server, Subject::Clock(*view), last_resort),
        };
        let dossier = Dossier { subject, policy, owner: None };
        let assessment = assess(&dossier, now);
        let mut findings = assessment.findings;
        for finding in &mut findings {
            finding.blast = Some(Box::new(Blast::of(&dossier, finding, &[], &[])));
            finding.owner = Some(owner.to_owned());
        }
        let due = Due { subject: key, token: 0 };
        // Judged anew on every round: time alone need not wake anybody.
        judged.push(Judged { due, findings, holds_until: None, owner: None, roles: Vec::new() });
    }
    store.judged(&judged, now)
}

/// Judges what ends together, owner by owner.
///
/// # Errors
/// The store's.
pub fn judge_crowds(
    store: &Store,
    policy: &Policy,
    last_resort: &str,
    now: UnixTime,
) -> Result<FindingChanges, StoreError> {
    let mut judged = Vec::new();
    for (owner, crowd) in store.crowds(policy, now)? {
        let subject = Subject::Crowd(crowd.view(owner.as_deref()));
        let dossier = Dossier { subject, policy, owner: None };
        let mut findings = assess(&dossier, now).findings;
        for finding in &mut findings {
            finding.blast = Some(Box::new(Blast::of(&dossier, finding, &[], &[])));
            finding.owner = Some(owner.clone().unwrap_or_else(|| last_resort.to_owned()));
        }
        let due = Due { subject: SubjectKey::Crowd(owner), token: 0 };
        judged.push(Judged { due, findings, holds_until: None, owner: None, roles: Vec::new() });
    }
    store.judged(&judged, now)
}

/// What became of the last message by each channel of an owner.
pub type Channels = Vec<(String, Option<String>, UnixTime)>;

/// The same, as a rule sees it.
pub fn channel_views(channels: &Channels) -> Vec<ChannelView<'_>> {
    channels
        .iter()
        .map(|(name, failed, at)| ChannelView { name, failed: failed.as_deref(), at: *at })
        .collect()
}
