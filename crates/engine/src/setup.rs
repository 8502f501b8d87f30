//! What the engine is told to do: sources, owners, channels, services. Made by the binary from the
//! configuration, replaced whole when that changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::alert::decide::{Contact, Contacts, Patience};
use notafter_core::finding::Severity;
use notafter_core::joints::{Notifier, Pulse, Source};
use notafter_core::owner::Owner;
use notafter_core::policy::Policy;
use notafter_core::query::Term;
use notafter_core::trust::TrustStores;

use crate::pipeline::Judgment;
use crate::renew::pass::Keeping;

/// Everything.
#[derive(Clone)]
pub struct Setup {
    /// Where to look, and how often.
    pub sources: Vec<Planned>,
    /// Whom clients trust.
    pub trust: TrustStores,
    /// What the organisation wants.
    pub policy: Policy,
    /// Who answers for what.
    pub owners: Vec<Owner>,
    /// How owners are told.
    pub people: BTreeMap<String, Person>,
    /// Who is told when nobody else is left: a name in `people`.
    pub last_resort: String,
    /// The channels by name.
    pub channels: BTreeMap<String, Channel>,
    /// Groups of places that the status page speaks of.
    pub services: Vec<Service>,
    /// Whom to tell that we live, and how often in seconds.
    pub pulse: Option<(Arc<dyn Pulse>, i64)>,
    /// Where our pages are reached from outside, without a slash at the end.
    pub public_url: Option<String>,
    /// When the week's summary is written: the day (0 is Monday) and the second of the day, UTC.
    pub digest: Option<(u8, u32)>,
    /// How long to wait for more of the same.
    pub patience: Patience,
    /// What is kept alive here, and with what.
    pub keeping: Option<Arc<Keeping>>,
    /// Changes when judging anew could give other verdicts: a hash of rules, owners and trust stores.
    pub judgment_key: String,
}

/// A source with its schedule.
#[derive(Clone)]
pub struct Planned {
    /// Its name: what its findings and its row on the Sources page are called by.
    pub name: String,
    /// Seconds between the beginnings of two runs.
    pub every: i64,
    /// What it looks at, one a line, as configured: what is new among them is looked at first.
    pub targets: Vec<String>,
    /// Who hears when it no longer looks, where that is not the owner of last resort: whoever watches.
    pub owner: Option<String>,
    /// Makes the source for some of its targets.
    pub build: Build,
}

/// Makes a source for a list of targets.
pub type Build = Arc<dyn Fn(&[String]) -> Result<Vec<Arc<dyn Source>>, String> + Send + Sync>;

/// How an owner is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Notifier and the address behind its colon, in order.
    pub notify: Vec<(String, Option<String>)>,
    /// Who is told when this one does not answer.
    pub escalate_to: Option<String>,
    /// After so many seconds.
    pub escalate_after: Option<i64>,
    /// Away from, until.
    pub absences: Vec<(UnixTime, UnixTime)>,
}

/// A configured notifier.
#[derive(Clone)]
pub struct Channel {
    /// What carries the messages.
    pub notifier: Arc<dyn Notifier>,
    /// Only messages at least so bad.
    pub least: Severity,
}

/// A row of the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its places: any one that matches belongs to it.
    pub places: Vec<Term>,
    /// May strangers see it?
    pub public: bool,
}

impl Setup {
    /// Everybody who may own something.
    pub fn owner_names(&self) -> Vec<String> {
        let rules = self.owners.iter().map(|owner| &owner.name);
        let names: std::collections::BTreeSet<&String> = self.people.keys().chain(rules).collect();
        names.into_iter().cloned().collect()
    }

    /// By what to judge at an instant.
    pub fn judgment(&self, at: UnixTime) -> Judgment {
        Judgment { trust: self.trust.clone(), policy: self.policy.clone(), owners: self.owners.clone(), at }
    }

    /// Who can be told at an instant.
    pub fn contacts(&self, now: UnixTime) -> Contacts {
        let contact = |p: &Person| Contact {
            escalate_to: p.escalate_to.clone(),
            escalate_after: p.escalate_after,
            absent: p.absences.iter().any(|(from, until)| *from <= now && now < *until),
        };
        Contacts {
            owners: self.people.iter().map(|(name, p)| (name.clone(), contact(p))).collect(),
            last_resort: self.last_resort.clone(),
        }
    }
}

/// How a channel of a person is written: `NOTIFIER` or `NOTIFIER:ADDRESS`.
pub fn channel_name(notifier: &str, to: Option<&str>) -> String {
    to.map_or_else(|| notifier.to_owned(), |to| format!("{notifier}:{to}"))
}
