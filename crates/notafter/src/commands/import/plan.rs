//! What an import would do: who becomes the owner of what, which dates are kept by hand, which hosts are watched.
//!
//! Decided before anything is done, so that `--dry-run` says exactly what would happen.

use std::collections::{BTreeMap, BTreeSet};

use notafter_core::UnixTime;
use notafter_discover::manual::Entry as ByHand;
use notafter_engine::hands::known_owner;
use notafter_engine::setup::Setup;
use notafter_sheet::compare::{Comparison, Found, Row};
use notafter_sheet::entries::Entry;

use crate::cli::Import;
use crate::commands::Usage;
use crate::watches::Watch;

/// What is done about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It was found: nothing but perhaps an owner.
    Found,
    /// Its date is kept by hand.
    Keep(ByHand),
    /// Its hosts are watched.
    Watch(Vec<String>),
    /// Its hosts are watched already.
    Watched,
    /// It ended before today, and is nowhere.
    Over,
    /// It has no date, and nothing to look at was asked for.
    Undated,
}

/// All of it.
#[derive(Default)]
pub(super) struct Plan {
    /// One of each entry, in order.
    pub(super) deeds: Vec<Deed>,
    /// Whose what becomes: identities and owners.
    pub(super) owners: BTreeMap<String, String>,
    /// Words of the sheet that name no owner, and on which lines they stand.
    pub(super) strangers: BTreeMap<String, Vec<u32>>,
    /// Lines that give one thing to two owners: nobody gets it.
    pub(super) disputed: Vec<(u32, u32)>,
}

impl Plan {
    pub(super) fn of(
        entries: &[Entry],
        comparison: &Comparison,
        found: &[Found],
        setup: &Setup,
        watched: &[Watch],
        args: &Import,
        now: UnixTime,
    ) -> Result<Self, Usage> {
        let owners = Owners::new(setup, &args.owner)?;
        let watched: BTreeSet<&str> =
            watched.iter().flat_map(|w| w.targets.iter().map(String::as_str)).collect();
        let mut plan = Self::default();
        let mut given: BTreeMap<usize, (String, u32)> = BTreeMap::new();
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for (entry, row) in entries.iter().zip(&comparison.rows) {
            let owner = owners.of(entry);
            if let (None, Some(words)) = (&owner, entry.owners().next()) {
                plan.strangers.entry(words.to_owned()).or_default().push(entry.line);
            }
            let deed = match row {
                Row::Matches { found, .. } => {
                    for index in owner.iter().flat_map(|_| found) {
                        let owner = owner.clone().unwrap_or_default();
                        let other = given.entry(*index).or_insert_with(|| (owner.clone(), entry.line));
                        if other.0 != owner {
                            plan.disputed.push((other.1, entry.line));
                        }
                    }
                    Deed::Found
                }
                Row::Gone(_) => gone(entry, owner, &watched, args, now, &mut names),
            };
            plan.deeds.push(deed);
        }
        let disputed: BTreeSet<u32> = plan.disputed.iter().map(|(first, _)| *first).collect();
        for (index, (owner, line)) in given {
            let one = &found[index];
            if !disputed.contains(&line) && one.owner.as_deref() != Some(owner.as_str()) {
                plan.owners.insert(one.id.clone(), owner);
            }
        }
        Ok(plan)
    }

    /// The hosts to be watched, each once.
    pub(super) fn targets(&self) -> Vec<String> {
        let all = self.deeds.iter().filter_map(|d| match d {
            Deed::Watch(targets) => Some(targets.clone()),
            _ => None,
        });
        let all: BTreeSet<String> = all.flatten().collect();
        all.into_iter().collect()
    }

    /// How many rows have a deed of this kind.
    pub(super) fn count(&self, is: impl Fn(&Deed) -> bool) -> usize {
        self.deeds.iter().filter(|d| is(d)).count()
    }
}

fn gone(
    entry: &Entry,
    owner: Option<String>,
    watched: &BTreeSet<&str>,
    args: &Import,
    now: UnixTime,
    names: &mut BTreeMap<String, usize>,
) -> Deed {
    let targets: Vec<String> = entry.hosts.iter().filter_map(notafter_sheet::entries::Host::target).collect();
    if !targets.is_empty() && targets.iter().all(|t| watched.contains(t.as_str())) {
        return Deed::Watched;
    }
    if args.watch && !targets.is_empty() {
        return Deed::Watch(targets.into_iter().filter(|t| !watched.contains(t.as_str())).collect());
    }
    let Some(date) = entry.expiry else { return Deed::Undated };
    // What ended long ago and is nowhere is how a sheet grows old, and no reason to wake anybody.
    if date.at < now {
        return Deed::Over;
    }
    // Two rows of one name are two entries, whatever stands between them.
    let title = entry.title();
    let count = names.entry(title.clone()).or_insert(0);
    *count += 1;
    let name = if *count == 1 { title } else { format!("{title} ({count})") };
    let hosts: Vec<String> =
        entry.hosts.iter().map(|h| h.target().unwrap_or_else(|| h.name.clone())).collect();
    let told = [
        ("", entry.note.clone()),
        ("host ", hosts.join(" ")),
        ("issuer ", entry.issuer.clone()),
        ("serial ", entry.serials.first().cloned().unwrap_or_default()),
        ("environment ", entry.environment.clone()),
        ("owner in the sheet ", entry.owners().collect::<Vec<_>>().join(", ")),
    ];
    let told: Vec<_> =
        told.iter().filter(|(_, t)| !t.is_empty()).map(|(what, t)| format!("{what}{t}")).collect();
    let note = (!told.is_empty()).then(|| told.join("; "));
    Deed::Keep(ByHand { name, deadline: date.at, owner, note })
}

/// Who is meant by the words of a sheet.
struct Owners {
    by_words: BTreeMap<String, String>,
}

impl Owners {
    fn new(setup: &Setup, said: &[String]) -> Result<Self, Usage> {
        let mut by_words = BTreeMap::new();
        // An address that tells one owner alone names that owner.
        let mut addresses: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
        for (name, person) in &setup.people {
            for address in person.notify.iter().filter_map(|(_, address)| address.as_deref()) {
                addresses.entry(folded(address)).or_default().insert(name);
            }
        }
        for (address, names) in addresses.into_iter().filter(|(_, names)| names.len() == 1) {
            by_words.extend(names.into_iter().map(|name| (address.clone(), name.clone())));
        }
        let rules = setup.owners.iter().map(|o| &o.name);
        by_words.extend(setup.people.keys().chain(rules).map(|name| (folded(name), name.clone())));
        for text in said {
            let Some((words, owner)) = text.rsplit_once('=') else {
                return Err(Usage::new(format!("--owner {text}: say who is meant")).hint(
                    "write --owner \"Web Team=web\": the sheet's words, and an owner of the configuration",
                ));
            };
            known_owner(setup, owner.trim())?;
            by_words.insert(folded(words), owner.trim().to_owned());
        }
        Ok(Self { by_words })
    }

    fn of(&self, entry: &Entry) -> Option<String> {
        let parts = |text: &str| text.split([';', ',', '/', '\n']).map(folded).collect::<Vec<_>>();
        let known = |text: &str| {
            let whole = self.by_words.get(&folded(text));
            whole.or_else(|| parts(text).iter().find_map(|p| self.by_words.get(p))).cloned()
        };
        entry.owners().find_map(known)
    }
}

/// Words of people, made comparable.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
