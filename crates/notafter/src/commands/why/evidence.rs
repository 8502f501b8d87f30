//! The evidence, in the order of the path: what was looked at, what date it holds, and what follows. What could not be
//! looked at has a line, too, and says why.
//!
//! It reads what was seen and what the rules said; it asks nothing and judges nothing anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use notafter_core::document::AssetDocument;
use notafter_core::dossier::days_text;
use notafter_core::finding::{Finding, Kind, Severity};
use notafter_core::inventory::{Asset, AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::observation::{LinkKind, Reason};
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::Crl;
use notafter_pki::certificate::Certificate;
use notafter_pki::statement::Statement;

use super::Seen;
use super::asks::Outcome;
use crate::print::table::{self, common_name, shown};

/// So many lines of one part are listed.
const LINES_MAX: usize = 40;

/// What follows for one thing that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Say {
    /// It holds.
    Ok,
    /// It holds, and ends soon by the rules.
    Dies,
    /// Its date is past.
    Dead,
    /// It is wrong, and no date makes it so.
    Wrong,
    /// There is no such thing on this path.
    Nothing,
    /// It was not seen: the text says why.
    Unseen,
}

impl Say {
    /// The word used in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Dies => "dies",
            Self::Dead => "dead",
            Self::Wrong => "wrong",
            Self::Nothing => "nothing",
            Self::Unseen => "not-seen",
        }
    }
}

/// One line.
pub(super) struct Step {
    /// Which part of the path: `dns`, `leaf`, `chain`, ...
    pub(super) part: &'static str,
    /// Where.
    pub(super) places: Vec<String>,
    /// The date that it holds.
    pub(super) date: Option<UnixTime>,
    /// What follows.
    pub(super) say: Say,
    /// What was looked at, and what it says.
    pub(super) text: String,
    /// The worst that the rules say of it.
    pub(super) finding: Option<String>,
}

/// All of it.
pub(super) fn steps(seen: &Seen) -> Vec<Step> {
    let mut path = Path { seen, out: Vec::new() };
    path.clock();
    path.dns();
    path.dnssec();
    path.domain();
    path.addresses();
    path.chain();
    path.clients();
    path.staples();
    path.lists();
    path.client_certificates();
    path.files();
    path.signers();
    path.changes();
    path.out
}

/// Is this an endpoint of the host itself?
pub(super) fn is_served(place: &Placement) -> bool {
    place.location.is_endpoint() && !matches!(place.location.scheme(), "dns" | "http" | "https")
}

/// The leaves that the host serves, with their places.
pub(super) fn leaves(inventory: &Inventory) -> BTreeMap<AssetIx, Vec<&Placement>> {
    let mut out: BTreeMap<AssetIx, Vec<&Placement>> = BTreeMap::new();
    for place in inventory.placements().iter().filter(|p| is_served(p) && p.role == Role::Leaf) {
        if place.chain.is_some() {
            out.entry(place.asset).or_default().push(place);
        }
    }
    out
}

/// Who issued what the host serves: subjects of issuers, as octets.
pub(super) fn issuers(inventory: &Inventory) -> HashSet<Vec<u8>> {
    let mut out = HashSet::new();
    for place in inventory.placements().iter().filter(|p| is_served(p)) {
        if let Ok(certificate) = Certificate::parse(&inventory.bytes(place.asset)) {
            out.insert(certificate.issuer_name().comparison_key());
        }
    }
    out
}

/// Is this list of revoked certificates by one of these issuers?
pub(super) fn list_is_of(inventory: &Inventory, ix: AssetIx, issuers: &HashSet<Vec<u8>>) -> bool {
    Crl::parse(&inventory.bytes(ix)).is_ok_and(|list| issuers.contains(&list.issuer_name().comparison_key()))
}

struct Path<'s> {
    seen: &'s Seen,
    out: Vec<Step>,
}

impl<'s> Path<'s> {
    fn add(&mut self, part: &'static str, say: Say, text: impl Into<String>) {
        self.out.push(Step { part, places: Vec::new(), date: None, say, text: text.into(), finding: None });
    }

    /// Something with a date, at some places.
    fn dated(&mut self, part: &'static str, asset: &Asset, places: Vec<String>, what: &str) {
        let at = self.seen.at;
        let worst = self.worst(asset.id, |_| true);
        let (say, date, when) = match (asset.not_before, asset.not_after) {
            (_, Some(end)) if end < at => {
                (Say::Dead, Some(end), format!("dead since {end} ({})", days_text(end, at)))
            }
            (Some(begin), _) if begin > at => {
                (Say::Wrong, Some(begin), format!("begins only on {begin} ({})", days_text(begin, at)))
            }
            (_, Some(end)) => {
                let soon = |f: &Finding| {
                    f.severity != Severity::Info && f.deadline == Some(end) && f.asset == Some(asset.id)
                };
                let say = if self.seen.findings.iter().any(soon) { Say::Dies } else { Say::Ok };
                (say, Some(end), format!("ends {end} ({})", days_text(end, at)))
            }
            (_, None) => (Say::Ok, None, "says no end".to_owned()),
        };
        // Held, refused or revoked: wrong, whatever its date.
        let wrong = matches!(say, Say::Ok | Say::Dies)
            && worst.is_some_and(|f| {
                matches!(f.kind, Kind::DomainHold | Kind::Revoked | Kind::TrustAnchorStale)
                    && f.severity != Severity::Info
            });
        let (say, more) = match worst.filter(|_| wrong) {
            Some(f) => (Say::Wrong, format!("; {}", f.summary)),
            None => (say, String::new()),
        };
        let finding = worst.map(Finding::id);
        self.out.push(Step { part, places, date, say, text: format!("{what}: {when}{more}"), finding });
    }

    /// The worst that the rules say of an asset.
    fn worst(&self, id: Fingerprint, also: impl Fn(&Finding) -> bool) -> Option<&'s Finding> {
        self.seen.findings.iter().filter(|f| f.asset == Some(id) && also(f)).min_by_key(|f| f.severity)
    }

    fn title(&self, ix: AssetIx) -> String {
        let asset = self.seen.inventory.asset(ix);
        let document = AssetDocument::of(asset, &self.seen.inventory.bytes(ix), self.seen.at);
        if document.is_ca == Some(true) {
            return document.subject.as_deref().map(common_name).unwrap_or_default();
        }
        table::name(&document, asset.kind)
    }

    fn issuer(&self, ix: AssetIx) -> String {
        let document =
            AssetDocument::of(self.seen.inventory.asset(ix), &self.seen.inventory.bytes(ix), self.seen.at);
        document.issuer_name.as_deref().map(common_name).unwrap_or_default()
    }

    /// Why a part gave nothing: it was not begun, it was cut short, it could not run.
    fn silence(&self, part: &str, otherwise: &str) -> (Say, String) {
        match self.seen.heard.outcomes.get(part) {
            Some(Outcome::CutShort) => (
                Say::Unseen,
                "no answer within its time; what had not answered by then is not known".to_owned(),
            ),
            Some(Outcome::Fault(why)) => (Say::Unseen, format!("could not look: {why}")),
            Some(Outcome::Done) => (Say::Nothing, otherwise.to_owned()),
            None => (Say::Unseen, otherwise.to_owned()),
        }
    }

    fn clock(&mut self) {
        let mut ahead: Vec<i64> = self.seen.inventory.times().iter().map(|(_, ahead)| *ahead).collect();
        ahead.sort_unstable();
        let Some(middle) = ahead.get(ahead.len() / 2) else {
            let why = "our own clock was compared with nobody's: a server is asked for its time only where something \
                       has ended or not begun";
            return self.add("clock", Say::Unseen, why);
        };
        let wrong = self.seen.findings.iter().find(|f| f.kind == Kind::ClockSkew);
        let text = match wrong {
            Some(finding) => finding.summary.clone(),
            None => format!(
                "within {} seconds of {} that were asked",
                middle.unsigned_abs().max(1),
                count(ahead.len(), "server")
            ),
        };
        let say = if wrong.is_some() { Say::Wrong } else { Say::Ok };
        let finding = wrong.map(Finding::id);
        self.out.push(Step { part: "clock", places: Vec::new(), date: None, say, text, finding });
    }

    fn dns(&mut self) {
        let host = &self.seen.host;
        match &self.seen.heard.dns {
            Some(Ok(list)) if self.seen.name.is_none() => {
                let list: Vec<_> = list.iter().map(ToString::to_string).collect();
                self.add("dns", Say::Nothing, format!("{} is no name: nothing to resolve", list.join(" ")));
            }
            Some(Ok(list)) => {
                let list: Vec<_> = list.iter().map(ToString::to_string).collect();
                self.add("dns", Say::Ok, format!("{host} is {}", list.join(" ")));
            }
            Some(Err(why)) => self.add("dns", Say::Wrong, format!("{host} does not resolve: {why}")),
            None => self.add("dns", Say::Unseen, "no answer in time"),
        }
    }

    fn dnssec(&mut self) {
        if self.seen.asked.zones.is_empty() {
            return self.add(
                "dnssec",
                Say::Nothing,
                "not asked: nobody registers such a name, so it lies in no zone of its own",
            );
        }
        let inventory = &self.seen.inventory;
        let zones = || inventory.placements().iter().filter(|p| p.location.scheme() == "dns");
        let mut signed: BTreeMap<AssetIx, Vec<String>> = BTreeMap::new();
        for place in zones() {
            if inventory.asset(place.asset).kind == AssetKind::DnssecSignature {
                signed.entry(place.asset).or_default().push(shown(&place.location));
            }
        }
        for (ix, places) in &signed {
            let what = format!("signatures of the zone {}", self.title(*ix));
            self.dated("dnssec", inventory.asset(*ix), places.clone(), &what);
        }
        let stale = self.seen.findings.iter().filter(|f| f.kind == Kind::TrustAnchorStale);
        let stale: Vec<_> = stale.filter(|f| f.locations.iter().any(|l| l.scheme() == "dns")).collect();
        for finding in stale {
            let places = finding.locations.iter().map(shown).collect();
            let (text, id) = (finding.summary.clone(), Some(finding.id()));
            let step =
                Step { part: "dnssec", places, date: finding.deadline, say: Say::Wrong, text, finding: id };
            self.out.push(step);
        }
        // Only the registered name is sure to be a zone of its own.
        let mine = self.seen.asked.zones.last().cloned().unwrap_or_default();
        let blind: Vec<_> = inventory
            .blind_spots()
            .iter()
            .filter(|spot| spot.location.scheme() == "dns")
            .filter(|spot| spot.reason != Reason::Dns || spot.location.as_str() == format!("dns://{mine}"))
            .collect();
        for spot in &blind {
            self.unseen("dnssec", &spot.location, &spot.detail);
        }
        if signed.is_empty() && blind.is_empty() {
            if zones().next().is_some() {
                return self.add("dnssec", Say::Nothing, format!("the zone {mine} is not signed"));
            }
            let (say, why) = self.silence("dnssec", "no server of the zone is known");
            self.add("dnssec", say, why);
        }
    }

    fn unseen(&mut self, part: &'static str, place: &Location, why: &str) {
        let text = format!("{}: {why}", shown(place));
        let places = vec![shown(place)];
        self.out.push(Step { part, places, date: None, say: Say::Unseen, text, finding: None });
    }

    fn domain(&mut self) {
        let Some(name) = &self.seen.asked.registered else {
            return self.add("domain", Say::Nothing, "nobody registers such a name");
        };
        let inventory = &self.seen.inventory;
        let place = Location::domain(name);
        let found = inventory.placements().iter().find(|p| p.location == place);
        if let Some(found) = found {
            let asset = inventory.asset(found.asset);
            let mut what = format!("registration of {name}");
            if !self.seen.asked.domain {
                what += &format!(" (as it was on {})", found.last_seen);
            }
            return self.dated("domain", asset, vec![place.to_string()], &what);
        }
        if let Some(spot) = inventory.blind_spots().iter().find(|spot| spot.location == place) {
            let text = format!("registration of {name}: {}", spot.detail);
            let say = if spot.reason == Reason::NotFound { Say::Wrong } else { Say::Unseen };
            return self.add("domain", say, text);
        }
        let otherwise = "not asked: no [[source]] of kind = \"domain\" is configured, and nothing is told to registries \
                         without one";
        let (say, why) = self.silence("domain", otherwise);
        self.add("domain", say, format!("registration of {name}: {why}"));
    }

    fn addresses(&mut self) {
        let inventory = &self.seen.inventory;
        let (mut lines, mut silent) = (0, 0);
        let mut heard: BTreeSet<std::net::SocketAddr> = BTreeSet::new();
        for place in inventory.placements().iter().filter(|p| is_served(p) && p.role == Role::Leaf) {
            let Some(address) = place.location.address().filter(|a| heard.insert(*a)) else { continue };
            lines += 1;
            if lines > LINES_MAX {
                continue;
            }
            let protocol = place.facts.protocol.as_deref().unwrap_or("tls");
            let version = place.facts.tls_version.map(notafter_core::document::tls_version);
            let process = place
                .facts
                .process
                .as_ref()
                .map(|p| format!("; {} (pid {})", notafter_pki::name::printable(&p.name), p.pid));
            let text = format!(
                "{address} answers: {protocol}{}{}",
                version.map(|v| format!(", {v}")).unwrap_or_default(),
                process.unwrap_or_default()
            );
            let places = vec![address.to_string()];
            self.out.push(Step { part: "address", places, date: None, say: Say::Ok, text, finding: None });
        }
        for spot in inventory.blind_spots().iter().filter(|s| s.location.is_endpoint()) {
            if matches!(spot.location.scheme(), "dns" | "http" | "https") || spot.reason == Reason::Dns {
                continue;
            }
            silent += 1;
            if silent > LINES_MAX {
                continue;
            }
            self.unseen("address", &spot.location, &format!("{} ({})", spot.detail, spot.reason.as_str()));
        }
        for more in [lines, silent].into_iter().filter(|n| *n > LINES_MAX) {
            self.add("address", Say::Ok, format!("and {} more of the same", more - LINES_MAX));
        }
        if let Some(Outcome::CutShort) = self.seen.heard.outcomes.get("address") {
            self.add(
                "address",
                Say::Unseen,
                "some had not answered when the time was over: they are not in this list",
            );
        } else if lines + silent == 0 {
            let (say, why) = self.silence("address", "none answered, and none of the usual ports was open");
            self.add("address", say, why);
        }
    }

    /// The leaves, then everything that was sent behind them.
    fn chain(&mut self) {
        let inventory = &self.seen.inventory;
        let leaves = leaves(inventory);
        if leaves.is_empty() {
            self.add("leaf", Say::Unseen, "no certificate was seen on any address");
            return;
        }
        let mut issuers: BTreeMap<AssetIx, BTreeSet<String>> = BTreeMap::new();
        // Who ended first stands first.
        let mut in_order: Vec<_> = leaves.iter().collect();
        in_order.sort_by_key(|(ix, places)| (inventory.asset(**ix).not_after, &places[0].location));
        for (ix, places) in in_order {
            let what = format!("{} by {}", self.title(*ix), self.issuer(*ix));
            let shown_at = places.iter().map(|p| shown(&p.location)).collect();
            self.dated("leaf", inventory.asset(*ix), shown_at, &what);
            for place in places {
                for member in place.chain.iter().flat_map(|c| c.iter()).skip(1) {
                    issuers.entry(*member).or_default().insert(shown(&place.location));
                }
            }
        }
        if issuers.is_empty() {
            self.add("chain", Say::Nothing, "nothing is sent behind the leaf");
        }
        let mut issuers: Vec<_> = issuers.into_iter().collect();
        issuers.sort_by_key(|(ix, _)| (inventory.asset(*ix).not_after, *ix));
        for (ix, places) in issuers {
            let what = format!("{} by {}", self.title(ix), self.issuer(ix));
            self.dated("chain", inventory.asset(ix), places.into_iter().collect(), &what);
        }
    }

    fn clients(&mut self) {
        for view in super::clients::views(self.seen) {
            let say = match &view.refused {
                None => Say::Ok,
                Some(refusal) if refusal.dated => Say::Dead,
                // A house's own CA is on nobody's list, and those who trust it do.
                Some(refusal) if refusal.unknown => Say::Nothing,
                Some(_) => Say::Wrong,
            };
            // Where they agree, how many they are says it all.
            let who = match view.clients.len() {
                n if n == view.asked => format!("all {n} simulated clients"),
                _ => view.clients.join(", "),
            };
            let text = match &view.refused {
                None => match view.expires {
                    Some(end) => format!("{who}: accept it until {end} ({})", days_text(end, self.seen.at)),
                    None => format!("{who}: accept it"),
                },
                Some(refusal) => format!("{who}: refuse it: {}", refusal.why),
            };
            self.out.push(Step {
                part: "clients",
                places: vec![view.place],
                date: view.expires,
                say,
                text,
                finding: None,
            });
        }
    }

    fn staples(&mut self) {
        let inventory = &self.seen.inventory;
        let mut any = false;
        for (ix, places) in self.of_kind(AssetKind::OcspResponse) {
            any = true;
            let places = places.iter().map(|p| shown(&p.location)).collect();
            let said = Statement::parse(&inventory.bytes(ix));
            let revoked = said.as_ref().and_then(|s| s.fact_of("status")).is_some_and(|s| s == "revoked");
            let says = if revoked { ", which says `revoked`" } else { "" };
            let what = format!("stapled answer about {}{says}", self.title(ix));
            self.dated("staple", inventory.asset(ix), places, &what);
        }
        if !any && !leaves(inventory).is_empty() {
            let demands = leaves(inventory).keys().any(|ix| {
                Certificate::parse(&inventory.bytes(*ix)).is_ok_and(|certificate| certificate.must_staple())
            });
            if demands {
                self.add(
                    "staple",
                    Say::Wrong,
                    "nothing is stapled, and the certificate demands it (RFC 7633)",
                );
            } else {
                self.add("staple", Say::Nothing, "no OCSP response is stapled, and none is demanded");
            }
        }
    }

    fn of_kind(&self, kind: AssetKind) -> BTreeMap<AssetIx, Vec<&'s Placement>> {
        let inventory = &self.seen.inventory;
        let mut out: BTreeMap<AssetIx, Vec<&'s Placement>> = BTreeMap::new();
        for place in inventory.placements().iter().filter(|p| inventory.asset(p.asset).kind == kind) {
            out.entry(place.asset).or_default().push(place);
        }
        out
    }

    fn lists(&mut self) {
        let inventory = &self.seen.inventory;
        let issuers = issuers(inventory);
        if issuers.is_empty() {
            return;
        }
        let mut any = false;
        for (ix, places) in self.of_kind(AssetKind::Crl) {
            if list_is_of(inventory, ix, &issuers) {
                any = true;
                let places = places.iter().map(|p| shown(&p.location)).collect();
                self.dated("crl", inventory.asset(ix), places, &format!("CRL of {}", self.issuer(ix)));
            }
        }
        if any {
            return;
        }
        let mut named = BTreeSet::new();
        for ix in leaves(inventory).keys() {
            if let Ok(certificate) = Certificate::parse(&inventory.bytes(*ix)) {
                named.extend(
                    certificate
                        .crl_distribution_points()
                        .map(|uri| notafter_pki::name::printable(&String::from_utf8_lossy(uri))),
                );
            }
        }
        match named.first() {
            Some(uri) => {
                let text = format!(
                    "{uri}: not fetched: it is the issuer's server; no copy lies in a file that was looked at"
                );
                self.add("crl", Say::Unseen, text);
            }
            None => self.add("crl", Say::Nothing, "the certificate names no list of revoked ones"),
        }
    }

    fn client_certificates(&mut self) {
        let demanded = demanded(&self.seen.inventory);
        if demanded.is_empty() {
            if !leaves(&self.seen.inventory).is_empty() {
                self.add(
                    "client",
                    Say::Nothing,
                    "no client certificate is asked for, as far as the handshake showed",
                );
            }
            return;
        }
        for (cas, places) in &demanded {
            let whom = if cas.is_empty() {
                "of any CA".to_owned()
            } else {
                format!("of {}", cas.iter().map(|ca| common_name(ca)).collect::<Vec<_>>().join(", "))
            };
            let text = format!(
                "a client certificate {whom} is asked for: clients with none or a dead one are refused"
            );
            let places = places.clone();
            self.out.push(Step { part: "client", places, date: None, say: Say::Ok, text, finding: None });
        }
        let at = self.seen.at;
        for client in self.seen.clients.iter().take(LINES_MAX) {
            let finding = self.worst(client.id, |_| true);
            let (say, when) = match client.not_after {
                Some(end) if end < at => (Say::Dead, format!("dead since {end} ({})", days_text(end, at))),
                Some(end) => {
                    let soon = finding.is_some_and(|f| f.severity != Severity::Info);
                    (if soon { Say::Dies } else { Say::Ok }, format!("ends {end} ({})", days_text(end, at)))
                }
                None => (Say::Ok, "says no end".to_owned()),
            };
            let text = format!("client {} by {}: {when}", client.title, client.issuer);
            let places = client.place.clone().into_iter().collect();
            let finding = finding.map(Finding::id);
            self.out.push(Step { part: "client", places, date: client.not_after, say, text, finding });
        }
        if self.seen.clients.is_empty() {
            let why = match &self.seen.memory {
                Ok(()) => "no certificate of such a client is known here".to_owned(),
                Err(why) => format!("which clients there are is not known: {why}"),
            };
            self.add("client", Say::Unseen, why);
        }
    }

    /// What lies in the files behind the addresses, and who renews it.
    fn files(&mut self) {
        let inventory = &self.seen.inventory;
        let leaves = leaves(inventory);
        if leaves.is_empty() {
            return;
        }
        let mut any = false;
        for (ix, places) in &leaves {
            let mut files: BTreeSet<&str> = BTreeSet::new();
            for place in inventory.placements().iter().filter(|p| p.location.is_file() && p.asset == *ix) {
                if files.insert(place.location.container()) && files.len() <= LINES_MAX {
                    any = true;
                    let what = format!("{} holds what is served", shown(&place.location));
                    let at = vec![shown(&place.location)];
                    self.dated("file", inventory.asset(*ix), at, &what);
                }
            }
            for (link, other) in self.behind(places) {
                if other == *ix {
                    continue;
                }
                any = true;
                let what =
                    format!("{} ({}) holds another: {}", shown(&link.from), link.evidence, self.title(other));
                self.dated("file", inventory.asset(other), vec![shown(&link.from)], &what);
                // The wrong thing is that it is not what is served.
                let unloaded = self.worst(inventory.asset(*ix).id, |f| {
                    matches!(f.kind, Kind::RenewedNotLoaded | Kind::StoredNotDeployed)
                });
                if let (Some(finding), Some(step)) = (unloaded, self.out.last_mut()) {
                    step.say = Say::Wrong;
                    step.finding = Some(finding.id());
                    step.text += "; it is not what is served";
                }
            }
        }
        if !any {
            let why = match (self.seen.heard.here, &self.seen.memory) {
                (true, _) => {
                    "no file with it was found on this machine, in the usual folders and those of the configuration"
                }
                (false, Ok(())) => "not this machine, and no file with it is known",
                (false, Err(_)) => "not this machine, and nothing is kept that would tell",
            };
            self.add("file", Say::Unseen, why);
        }
        if let Some(Outcome::CutShort) = self.seen.heard.outcomes.get("file") {
            self.add("file", Say::Unseen, "not all folders were looked through when the time was over");
        }
        self.renewers(&leaves);
    }

    fn renewers(&mut self, leaves: &BTreeMap<AssetIx, Vec<&Placement>>) {
        let inventory = &self.seen.inventory;
        let host = self.seen.name.as_deref().unwrap_or(&self.seen.host);
        let files: HashSet<&str> = inventory
            .placements()
            .iter()
            .filter(|p| p.location.is_file() && leaves.contains_key(&p.asset))
            .map(|p| p.location.container())
            .collect();
        for sighting in inventory.renewals() {
            let renewal = &sighting.renewal;
            let mine = renewal.names.iter().any(|name| name.eq_ignore_ascii_case(host))
                || renewal.certificates.iter().any(|l| files.contains(l.container()));
            if !mine {
                continue;
            }
            let life = leaves.keys().next().map(|ix| inventory.asset(*ix));
            let text = renewal.in_words(life.and_then(|a| a.not_before), life.and_then(|a| a.not_after));
            let about = [
                Kind::RenewalFailing,
                Kind::RenewerDead,
                Kind::RenewerCredentialExpires,
                Kind::RenewalOverdue,
            ];
            let finding = leaves
                .keys()
                .filter_map(|ix| self.worst(inventory.asset(*ix).id, |f| about.contains(&f.kind)))
                .next();
            let say = if finding.is_some() { Say::Wrong } else { Say::Ok };
            let text = match finding {
                Some(finding) => format!("{text}; {}", finding.summary),
                None => text,
            };
            let places = vec![shown(&renewal.state)];
            let finding = finding.map(Finding::id);
            self.out.push(Step { part: "renewer", places, date: renewal.planned, say, text, finding });
        }
    }

    /// The files that configurations name for these places, and what lies in them.
    fn behind(&self, places: &[&Placement]) -> Vec<(&'s notafter_core::observation::Link, AssetIx)> {
        let inventory = &self.seen.inventory;
        let fits = |to: &Location| {
            let Some(wanted) = to.address() else { return false };
            places.iter().filter_map(|p| p.location.address().map(|a| (a, p.location.sni()))).any(
                |(is, sni)| {
                    let host = wanted.ip().is_unspecified() || wanted.ip() == is.ip();
                    host && wanted.port() == is.port() && (to.sni().is_none() || to.sni() == sni)
                },
            )
        };
        let mut out = Vec::new();
        for link in inventory.links().iter().filter(|l| l.kind == LinkKind::Serves && fits(&l.to)) {
            let file = link.from.container();
            let leaf = inventory
                .placements()
                .iter()
                .find(|p| p.location.container() == file && p.role == Role::Leaf && p.chain.is_some());
            if let Some(leaf) = leaf
                && !out.iter().any(|(_, known)| *known == leaf.asset)
            {
                out.push((link, leaf.asset));
            }
        }
        out.truncate(LINES_MAX);
        out
    }

    fn signers(&mut self) {
        let inventory = &self.seen.inventory;
        let mut any = 0;
        let mut done = HashSet::new();
        for place in inventory.placements() {
            let web = matches!(place.location.scheme(), "http" | "https");
            let names_host = place.location.as_str().contains(self.seen.host.as_str());
            let part = place.facts.part.as_ref().filter(|part| {
                use notafter_core::observation::Whole;
                !part.crowd && matches!(part.of, Whole::KeySet | Whole::Metadata)
            });
            let mine =
                web || part.is_some_and(|part| names_host || part.name.contains(self.seen.host.as_str()));
            if !mine || !done.insert(place.asset) {
                continue;
            }
            any += 1;
            if any <= LINES_MAX {
                let what = format!("{} at {}", self.title(place.asset), shown(&place.location));
                let places = vec![shown(&place.location)];
                self.dated("token", inventory.asset(place.asset), places, &what);
            }
        }
        for spot in inventory.blind_spots().iter().filter(|s| matches!(s.location.scheme(), "http" | "https"))
        {
            any += 1;
            self.unseen("token", &spot.location, &spot.detail);
        }
        if any == 0 {
            let otherwise = "who signs its tokens was not looked at: no [[source]] of kind = \"oidc\" or \"saml\" names \
                             this host, and nothing is kept that does";
            let (say, why) = self.silence("token", otherwise);
            self.add("token", say, why);
        }
    }

    fn changes(&mut self) {
        let (found, known) = match (&self.seen.changes, &self.seen.memory) {
            (_, Err(why)) => {
                return self.add("changes", Say::Unseen, format!("what changed lately is not known: {why}"));
            }
            (None, _) => return self.add("changes", Say::Unseen, "the memory did not answer in time"),
            (Some(Err(why)), _) => return self.add("changes", Say::Unseen, why.clone()),
            (Some(Ok(found)), _) => found,
        };
        if *known == 0 {
            return self.add("changes", Say::Unseen, "these places were never looked at before");
        }
        if found.is_empty() {
            let text = format!("nothing changed at {} in the last two weeks", count(*known, "place"));
            return self.add("changes", Say::Ok, text);
        }
        for change in found.iter().take(LINES_MAX) {
            let say = if change.breaks { Say::Wrong } else { Say::Ok };
            let text = format!(
                "{}: {} ({}): {}",
                change.place,
                change.at,
                days_text(change.at, self.seen.at),
                change.text
            );
            let places = vec![change.place.clone()];
            let date = Some(change.at);
            self.out.push(Step { part: "changes", places, date, say, text, finding: None });
        }
    }
}

/// Whose client certificates are asked for, with the places that ask.
pub(super) fn demanded(inventory: &Inventory) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut out: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for place in inventory.placements().iter().filter(|p| is_served(p) && p.role == Role::Leaf) {
        if let Some(cas) = &place.facts.client_cas {
            out.entry(cas.to_vec()).or_default().push(shown(&place.location));
        }
    }
    out
}

fn count(n: usize, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {what}{plural}")
}
