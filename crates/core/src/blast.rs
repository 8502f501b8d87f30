//! What breaks with a finding, for whom, and how long the mending takes: its blast radius.
//!
//! One plain value, made from the dossier in the step that judges, and kept with the finding: names, places, owners and
//! services, what shares its fate, how critical that is. It orders findings that are equally bad and is said where they
//! are told. It changes no severity and no deadline, and guesses nothing that was not seen. Every list is bounded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dossier::{AssetView, Dossier, Subject};
use crate::finding::{Finding, Kind};
use crate::fix::Fix;
use crate::inventory::Role;
use crate::location::Location;
use crate::owner::{Match, Owner, owner_of};

/// So many names, owners or services are listed; the rest is counted.
const LISTED: usize = 8;
/// So many places are looked through for owners and services.
const LOOKED: usize = 1_000;

/// How much it matters what an owner keeps, as `criticality` of `[[owner]]` says. Ordered: the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// It can wait.
    Low,
    /// As most things.
    #[default]
    Normal,
    /// Others stand still without it.
    High,
}

impl Criticality {
    /// Every one, as in the configuration.
    pub const ALL: &'static [Self] = &[Self::High, Self::Normal, Self::Low];

    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The one of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == word)
    }
}

/// What the configuration says matters: services, and how critical each owner's things are.
#[derive(Clone, Debug, Default)]
pub struct Stakes {
    /// By owner; who is not here is normal.
    pub criticality: BTreeMap<String, Criticality>,
    /// Groups of places that people know by one name.
    pub services: Vec<Stake>,
}

/// A service: `[[service]]`.
#[derive(Clone, Debug)]
pub struct Stake {
    /// Its name.
    pub name: String,
    /// Do strangers use it? Then it is critical, whoever keeps it.
    pub public: bool,
    /// What belongs to it: one that matches suffices.
    pub places: Vec<Match>,
    /// Everything of these owners belongs to it, too.
    pub owners: Vec<String>,
}

/// How far it reaches beyond the places that were seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The places that were seen.
    #[default]
    Places,
    /// Every name of a domain, whether it was seen or not.
    Domain,
    /// Everyone who signs in by it.
    SignIn,
}

impl Scope {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Places, Self::Domain, Self::SignIn];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Places => "places",
            Self::Domain => "domain",
            Self::SignIn => "sign-in",
        }
    }

    /// Of this kind of finding.
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::DomainExpires
            | Kind::DomainHold
            | Kind::DnssecSignatureExpires
            | Kind::TrustAnchorStale => Self::Domain,
            Kind::TokenSignerExpires | Kind::SamlCertificateExpires | Kind::MetadataExpires => Self::SignIn,
            _ => Self::Places,
        }
    }
}

/// What breaks, for whom, and how long the mending takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Blast {
    /// How long it takes to mend.
    pub fix: Fix,
    /// The most critical of what it touches.
    pub criticality: Criticality,
    /// Does it reach beyond the places?
    pub scope: Scope,
    /// Names that stop working, so many as a person reads.
    pub names: Vec<String>,
    /// How many there are.
    pub names_total: u32,
    /// Servers that show it, or what hangs on it: address and port.
    pub endpoints: u32,
    /// Hosts among them, by address.
    pub hosts: u32,
    /// All places: where it must be mended, and where it is felt.
    pub places: u32,
    /// Who answers for these places, so many as a person reads.
    pub owners: Vec<String>,
    /// Services that they are parts of.
    pub services: Vec<String>,
    /// What shares its fate.
    pub shared: Vec<Shared>,
}

/// Things that share a finding's fate, counted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Shared {
    /// What they share.
    pub what: Fate,
    /// How many they are.
    pub count: u32,
}

/// What things can share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Certificates that hang on one issuer or anchor.
    Issuer,
    /// Other certificates with one key.
    Key,
    /// Copies of what somebody publishes.
    Copies,
    /// Files that hold an anchor.
    Anchors,
    /// Configurations that sign in with it.
    Clients,
    /// What ends together.
    Day,
}

impl Fate {
    /// Every one.
    pub const ALL: &'static [Self] =
        &[Self::Issuer, Self::Key, Self::Copies, Self::Anchors, Self::Clients, Self::Day];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Copies => "copies",
            Self::Anchors => "anchors",
            Self::Clients => "clients",
            Self::Day => "day",
        }
    }

    fn in_words(self, n: u32) -> String {
        let s = if n == 1 { "" } else { "s" };
        match self {
            Self::Issuer => format!("{n} certificate{s} hang{} on it", if n == 1 { "s" } else { "" }),
            Self::Key => format!("{n} other certificate{s} with its key"),
            Self::Copies => format!("{n} cop{} of it", if n == 1 { "y" } else { "ies" }),
            Self::Anchors => format!("{n} file{s} of anchors hold{} it", if n == 1 { "s" } else { "" }),
            Self::Clients => format!("{n} configuration{s} sign{} in with it", if n == 1 { "s" } else { "" }),
            Self::Day => format!("{n} end together"),
        }
    }
}

impl Blast {
    /// Of a finding about the subject of a dossier, whose names are `names`.
    pub fn of(dossier: &Dossier<'_>, finding: &Finding, names: &[String], owners: &[Owner]) -> Self {
        let mut reach = Reach { places: finding.locations.iter().collect(), ..Reach::default() };
        match &dossier.subject {
            Subject::Asset(view) => reach.asset(view, finding.kind, names),
            Subject::Name(view) => {
                reach.names.insert(view.name.to_owned());
                reach.places.extend(view.served.iter().map(|(place, _)| &place.location));
            }
            Subject::Crowd(view) => reach.count(Fate::Day, view.members.len()),
            _ => {}
        }
        reach.into_blast(dossier, finding, names, owners)
    }

    /// How much it weighs among findings that are equally bad: first how critical, then how much breaks, by orders of
    /// magnitude, then how long the mending takes. Coarse on purpose: within one weight, the date decides.
    pub fn weight(&self) -> u32 {
        let magnitude = match self.scope {
            Scope::Places => {
                let most =
                    [self.endpoints, self.names_total].into_iter().chain(self.shared.iter().map(|s| s.count));
                // 1 is 0, up to 7 is 1, up to 63 is 2, ...
                most.max().unwrap_or(0).max(1).ilog(8)
            }
            Scope::Domain | Scope::SignIn => 6,
        };
        let criticality = match self.criticality {
            Criticality::Low => 0,
            Criticality::Normal => 1,
            Criticality::High => 2,
        };
        let fix = Fix::ALL.iter().position(|fix| *fix == self.fix).unwrap_or(0) as u32;
        criticality * 100 + magnitude.min(9) * 10 + fix
    }

    /// Is it more than one thing at one place that matters as most things do?
    pub fn is_wide(&self) -> bool {
        let many =
            self.endpoints > 1 || self.names_total > 1 || !self.shared.is_empty() || self.owners.len() > 1;
        many || self.scope != Scope::Places
            || !self.services.is_empty()
            || self.criticality != Criticality::Normal
    }

    /// The same of one cause that was found twice.
    pub fn merge(&mut self, other: Self) {
        self.fix = self.fix.min(other.fix);
        self.criticality = self.criticality.max(other.criticality);
        self.scope = self.scope.max(other.scope);
        self.names_total = self.names_total.max(other.names_total);
        self.endpoints = self.endpoints.max(other.endpoints);
        self.hosts = self.hosts.max(other.hosts);
        self.places = self.places.max(other.places);
        for (mine, theirs) in [
            (&mut self.names, other.names),
            (&mut self.owners, other.owners),
            (&mut self.services, other.services),
        ] {
            mine.extend(theirs);
            mine.sort_unstable();
            mine.dedup();
            mine.truncate(LISTED);
        }
        self.names_total = self.names_total.max(self.names.len() as u32);
        self.shared.extend(other.shared);
        self.shared.sort_unstable();
        self.shared.dedup_by_key(|one| one.what);
    }

    /// One sentence: what breaks, of whom, and how long the mending takes.
    pub fn in_words(&self) -> String {
        let mut parts = Vec::new();
        match self.scope {
            Scope::Places => {}
            Scope::Domain => parts.push("every name of the domain".to_owned()),
            Scope::SignIn => parts.push("everyone who signs in by it".to_owned()),
        }
        if self.endpoints > 0 {
            let hosts = if self.hosts > 1 { format!(" on {} hosts", self.hosts) } else { String::new() };
            parts.push(format!("{}{hosts}", plural(self.endpoints, "server")));
        }
        if let Some(first) = self.names.first() {
            let listed = self.names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            let more = self.names_total.saturating_sub(self.names.len().min(3) as u32);
            parts.push(match (self.names_total, more) {
                (1, _) => first.clone(),
                (_, 0) => listed,
                (_, more) => format!("{listed} and {more} more names"),
            });
        }
        parts.extend(self.shared.iter().map(|shared| shared.what.in_words(shared.count)));
        if !self.services.is_empty() {
            let word = if self.services.len() == 1 { "service" } else { "services" };
            parts.push(format!("{word} {}", self.services.join(", ")));
        }
        if self.owners.len() > 1 {
            parts.push(format!("of {}", self.owners.join(", ")));
        }
        if self.criticality != Criticality::Normal {
            parts.push(format!("criticality {}", self.criticality.as_str()));
        }
        let what = match (parts.is_empty(), self.places) {
            (true, 0) => "nothing that is served".to_owned(),
            (true, places) => plural(places, "place"),
            (false, _) => parts.join("; "),
        };
        format!("{what}. Mending takes {} ({}, {})", self.fix.takes(), self.fix, self.fix.doc())
    }
}

/// What is gathered before it is counted.
#[derive(Default)]
struct Reach<'a> {
    names: BTreeSet<String>,
    places: BTreeSet<&'a Location>,
    shared: BTreeMap<Fate, u32>,
}

impl<'a> Reach<'a> {
    fn asset(&mut self, view: &'a AssetView<'_>, kind: Kind, names: &[String]) {
        let hangs = matches!(
            kind,
            Kind::ChainExpiresFirst
                | Kind::IssuerOutlived
                | Kind::AnchorExpires
                | Kind::EmbeddedAnchorExpires
        );
        if hangs {
            // What breaks is what hangs on it, where that is served.
            let (anchored, total) =
                view.anchor.as_ref().map_or((&[][..], 0), |a| (a.dependents.as_slice(), a.dependents_total));
            let dependents = || view.outlived_by.iter().chain(anchored);
            let all = dependents().map(|d| d.leaf).collect::<BTreeSet<_>>().len().max(total);
            self.count(Fate::Issuer, all);
            for location in dependents().flat_map(|d| d.locations.iter().copied()).take(LOOKED * 10) {
                self.names.extend(location.sni().map(str::to_owned));
                self.places.insert(location);
            }
        } else {
            self.names.extend(names.iter().cloned());
        }
        let used = view.places.iter().filter(|p| p.role != Role::TrustAnchor && p.role != Role::Logged);
        self.places.extend(used.map(|p| &p.location).take(LOOKED * 10));
        if let Some(anchor) = &view.anchor {
            self.count(Fate::Anchors, anchor.places.len());
        }
        self.count(Fate::Key, view.lineage.same_key.len());
        // The one that is judged is among the copies.
        self.count(Fate::Copies, view.around.copies.len().saturating_sub(1));
        self.count(Fate::Clients, view.around.presented.len());
    }

    fn count(&mut self, fate: Fate, n: usize) {
        if n > 0 {
            self.shared.insert(fate, n.try_into().unwrap_or(u32::MAX));
        }
    }

    fn into_blast(
        self,
        dossier: &Dossier<'_>,
        finding: &Finding,
        names: &[String],
        owners: &[Owner],
    ) -> Blast {
        let stakes = &dossier.policy.stakes;
        let servers: BTreeSet<_> =
            self.places.iter().filter(|p| p.is_endpoint()).filter_map(|p| p.address()).collect();
        let hosts: BTreeSet<_> = servers.iter().map(|address| address.ip()).collect();
        let of_rule = dossier.owner.map(|o| o.name.clone()).or_else(|| finding.owner.clone());
        let mut found: BTreeSet<String> = of_rule.into_iter().collect();
        let (mut services, mut public) = (BTreeSet::new(), false);
        for place in self.places.iter().take(LOOKED) {
            let own = [(*place).clone()];
            found.extend(owner_of(owners, names, &own).map(|o| o.name.clone()));
            for stake in &stakes.services {
                let known = services.contains(&stake.name);
                if !known && stake.places.iter().any(|m| m.covers(names, place)) {
                    public |= stake.public;
                    services.insert(stake.name.clone());
                }
            }
        }
        for stake in stakes.services.iter().filter(|s| s.owners.iter().any(|owner| found.contains(owner))) {
            public |= stake.public;
            services.insert(stake.name.clone());
        }
        let own = found.iter().filter_map(|name| stakes.criticality.get(name)).copied();
        let own = own.max().unwrap_or_default();
        let listed = |set: BTreeSet<String>| set.into_iter().take(LISTED).collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Blast {
            fix: Fix::of(finding.kind, &finding.locations),
            criticality: if public { Criticality::High } else { own },
            scope: Scope::of(finding.kind),
            names_total: count(self.names.len()),
            names: listed(self.names),
            endpoints: count(servers.len()),
            hosts: count(hosts.len()),
            places: count(self.places.len()),
            owners: listed(found),
            services: listed(services),
            shared: self.shared.into_iter().map(|(what, count)| Shared { what, count }).collect(),
        }
    }
}

fn plural(n: u32, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blast: Blast, words: &str) {
        assert_eq!(blast.in_words(), words);
    }

    #[test]
    fn in_words() {
        let one = Blast {
            names: vec!["a.test".into()],
            names_total: 1,
            endpoints: 1,
            hosts: 1,
            places: 2,
            ..Blast::default()
        };
        check(one.clone(), "1 server; a.test. Mending takes hours (F1, something to install)");
        check(
            Blast {
                fix: Fix::F2,
                criticality: Criticality::High,
                names: ["a", "b", "c", "d"].map(|n| format!("{n}.test")).to_vec(),
                names_total: 40,
                endpoints: 60,
                hosts: 15,
                owners: vec!["shop".into(), "web".into()],
                services: vec!["login".into()],
                shared: vec![Shared { what: Fate::Issuer, count: 40 }],
                ..one
            },
            "60 servers on 15 hosts; a.test, b.test, c.test and 37 more names; 40 certificates hang on it; service login; \
             of shop, web; criticality high. Mending takes days (F2, a CA, a partner or a registrar has to act)",
        );
        check(
            Blast { fix: Fix::F2, scope: Scope::Domain, places: 1, ..Blast::default() },
            "every name of the domain. Mending takes days (F2, a CA, a partner or a registrar has to act)",
        );
        check(
            Blast { places: 3, ..Blast::default() },
            "3 places. Mending takes hours (F1, something to install)",
        );
    }

    #[test]
    fn what_weighs_more() {
        let of =
            |criticality, endpoints, fix| Blast { criticality, endpoints, fix, ..Blast::default() }.weight();
        use Criticality::{High, Low, Normal};
        let ascending = [
            of(Low, 500, Fix::F4),
            of(Normal, 1, Fix::F0),
            of(Normal, 7, Fix::F1),
            of(Normal, 9, Fix::F0),
            of(Normal, 70, Fix::F0),
            Blast { scope: Scope::Domain, fix: Fix::F2, ..Blast::default() }.weight(),
            of(High, 1, Fix::F0),
            of(High, 1, Fix::F3),
        ];
        assert!(ascending.is_sorted(), "{ascending:?}");
        let far = Blast { shared: vec![Shared { what: Fate::Issuer, count: 100 }], ..Blast::default() };
        assert!(far.weight() > of(Normal, 60, Fix::F1));
    }

    #[test]
    fn one_cause_in_two_parts() {
        let mut one =
            Blast { names: vec!["b.test".into()], names_total: 1, endpoints: 3, ..Blast::default() };
        let other = Blast {
            names: vec!["a.test".into()],
            names_total: 1,
            criticality: Criticality::High,
            shared: vec![Shared { what: Fate::Key, count: 2 }],
            ..Blast::default()
        };
        one.merge(other);
        assert_eq!((one.names.join(" "), one.names_total), ("a.test b.test".to_owned(), 2));
        assert_eq!((one.endpoints, one.criticality, one.shared.len()), (3, Criticality::High, 1));
    }
}
