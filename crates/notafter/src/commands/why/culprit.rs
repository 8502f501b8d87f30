//! Which of the findings on the path explains the outage: the cause before its symptoms.
//!
//! Judges nothing anew: what is wrong is said by the rules, and here it is only put in order. What has no date is never
//! called the culprit; it is said behind the words that nothing dated explains it.

use std::collections::HashSet;

use notafter_core::dossier::days_text;
use notafter_core::finding::{Finding, Kind, Severity};
use notafter_core::fix::Fix;
use notafter_core::inventory::{AssetKind, Inventory};
use notafter_core::location::Location;
use notafter_core::{Fingerprint, UnixTime};

use super::asks::Dns;
use super::memory::KnownClient;
use crate::print::table::shown;

/// So many places stand in the first line.
const PLACES_MAX: usize = 2;

/// The answer.
pub(super) struct Culprit<'f> {
    /// The first line, without the host.
    pub(super) text: String,
    /// What it rests on.
    pub(super) finding: Option<&'f Finding>,
    /// How long the mending takes.
    pub(super) fix: Option<Fix>,
    /// Has it a date, and is that date past?
    pub(super) dated: bool,
}

/// What lies on the path to the host.
pub(super) struct OnPath {
    assets: HashSet<Fingerprint>,
    /// Certificates of clients that the host demands.
    clients: HashSet<Fingerprint>,
    /// The name that clients of the host send, if it is a name.
    name: Option<String>,
}

/// Is it a place of the host itself, of its zone, of its domain, or of what signs its tokens?
pub(super) fn is_of_host(location: &Location) -> bool {
    location.is_endpoint() || location.as_str().starts_with("domain:")
}

impl OnPath {
    pub(super) fn of(inventory: &Inventory, clients: &[KnownClient], name: Option<&str>) -> Self {
        let mut assets = HashSet::new();
        for place in inventory.placements().iter().filter(|p| is_of_host(&p.location)) {
            assets.insert(inventory.asset(place.asset).id);
            assets.extend(place.chain.iter().flat_map(|c| c.iter()).map(|ix| inventory.asset(*ix).id));
        }
        // What revokes or vouches for one of these by name lies in files; it speaks of the path all the same.
        let lists = inventory.assets().filter(|(_, asset)| asset.kind == AssetKind::Crl);
        let issuers = super::evidence::issuers(inventory);
        for (ix, asset) in lists {
            if super::evidence::list_is_of(inventory, ix, &issuers) {
                assets.insert(asset.id);
            }
        }
        Self {
            assets,
            clients: clients.iter().map(|client| client.id).collect(),
            name: name.map(str::to_owned),
        }
    }

    /// Has this finding to do with the host?
    pub(super) fn has(&self, finding: &Finding) -> bool {
        let asset = finding.asset.is_some_and(|id| self.assets.contains(&id) || self.clients.contains(&id));
        asset || finding.kind == Kind::ClockSkew || finding.locations.iter().any(is_of_host)
    }

    /// Is it what clients of the host see? What a server shows to those who send no name, they never do.
    fn meets_clients(&self, finding: &Finding) -> bool {
        let Some(name) = &self.name else { return true };
        let mut servers = finding.locations.iter().filter(|l| is_server(l)).peekable();
        servers.peek().is_none() || servers.any(|l| l.sni() == Some(name.as_str()))
    }
}

/// Is it a place where clients of the host connect to: not its zone's, not its keys'?
fn is_server(location: &Location) -> bool {
    location.is_endpoint() && !matches!(location.scheme(), "dns" | "http" | "https")
}

/// How deep a cause lies: the smaller, the deeper. `None`: of this kind nothing stops at its date, or it is no cause.
fn depth(finding: &Finding) -> Option<u8> {
    Some(match finding.kind {
        // By a wrong clock, everything else is said wrongly.
        Kind::ClockSkew => 0,
        Kind::DomainHold | Kind::DomainExpires => 1,
        Kind::DnssecSignatureExpires | Kind::TrustAnchorStale => 2,
        Kind::RenewedNotLoaded => 3,
        Kind::StoredNotDeployed => 4,
        Kind::ChainExpiresFirst => 5,
        Kind::PathExpiresForClients => 6,
        // One address of several: says more than that something expired.
        Kind::InconsistentEndpoint => 7,
        Kind::ExpiredInUse | Kind::NotYetValid => 8,
        Kind::Revoked => 9,
        Kind::CrlExpires => 10,
        Kind::StapleExpires => 11,
        Kind::TokenSignerExpires | Kind::SamlCertificateExpires | Kind::MetadataExpires => 12,
        Kind::ClientCertificateExpires => 13,
        Kind::AnchorExpires | Kind::EmbeddedAnchorExpires | Kind::KeyExpires | Kind::TokenExpires => 14,
        _ => return None,
    })
}

/// Has its date struck?
fn has_struck(finding: &Finding, at: UnixTime) -> bool {
    match finding.kind {
        Kind::ClockSkew => finding.cause == "peers",
        Kind::DomainHold => true,
        // It says since when, and that is past.
        Kind::Revoked => finding.severity == Severity::Critical,
        // Resolvers refuse what does not fit to the anchor that they have.
        Kind::TrustAnchorStale => finding.severity == Severity::Critical,
        Kind::NotYetValid => finding.severity != Severity::Info,
        _ => finding.severity != Severity::Info && finding.deadline.is_some_and(|end| end <= at),
    }
}

/// What explains it.
pub(super) fn culprit<'f>(
    findings: &'f [Finding],
    path: &OnPath,
    dns: Option<&Dns>,
    (served, unregistered): (bool, Option<&str>),
    at: UnixTime,
) -> Culprit<'f> {
    let mine = || findings.iter().filter(|f| path.has(f));
    let struck = mine().filter(|f| has_struck(f, at) && path.meets_clients(f));
    let deepest = struck.filter_map(|f| Some((depth(f)?, f))).min_by_key(|(depth, f)| (*depth, f.deadline));
    if let Some((_, finding)) = deepest {
        return Culprit {
            text: in_words(finding, at),
            finding: Some(finding),
            fix: Some(Fix::of(finding.kind, &finding.locations)),
            dated: true,
        };
    }
    let undated = |text: String, finding: Option<&'f Finding>| Culprit {
        text,
        fix: finding.map(|f| Fix::of(f.kind, &f.locations)),
        finding,
        dated: false,
    };
    if let Some(what) = unregistered {
        let fix = Fix::of(Kind::DomainExpires, []);
        let text = format!(
            "{}: {what}. Now ({fix}, {}): ask the registrar whether it can still be had back",
            Kind::DomainExpires,
            fix.takes()
        );
        return Culprit { text, finding: None, fix: Some(fix), dated: true };
    }
    match dns {
        Some(Err(error)) => {
            return undated(format!("nothing dated explains it: the name does not resolve: {error}"), None);
        }
        None => return undated("nothing dated explains it: DNS did not answer in time".to_owned(), None),
        Some(Ok(_)) => {}
    }
    if !served {
        let text = "nothing dated explains it: no server answered with a certificate".to_owned();
        return undated(text, None);
    }
    let broken = mine().find(|f| {
        let date = f.deadline.is_none() || f.deadline.is_some_and(|end| end <= at);
        f.severity != Severity::Info && date && path.meets_clients(f) && !is_upkeep(f.kind)
    });
    if let Some(finding) = broken {
        let text = format!("nothing dated explains it, but some clients will fail: {}", finding.summary);
        return undated(text, Some(finding));
    }
    let next = mine().filter(|f| f.severity != Severity::Info && f.deadline.is_some_and(|end| end > at));
    match next.min_by_key(|f| f.deadline) {
        Some(f) => undated(format!("nothing dated explains it; next: {}: {}", f.kind, f.summary), None),
        None => undated("nothing dated explains it".to_owned(), None),
    }
}

/// What is wrong with how things are kept, rather than with the things: it breaks nobody now.
fn is_upkeep(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Unowned
            | Kind::KeyExposed
            | Kind::KeyReused
            | Kind::WeakKey
            | Kind::WeakSignature
            | Kind::LifetimeExceedsPolicy
            | Kind::UnexpectedIssuance
            | Kind::UnmonitoredEndpoint
            | Kind::CaaForbids
            | Kind::CannotRead
            | Kind::SourceStale
            | Kind::OwnerUnreachable
            | Kind::AlertUndelivered
            | Kind::RenewalChanged
            | Kind::ExpiryCliff
            | Kind::IssuerOutlived
            | Kind::RenewalOverdue
            | Kind::RenewalFailing
            | Kind::RenewerDead
            | Kind::DefaultVhostStale
    )
}

/// What, where, since when, and what to do now.
fn in_words(finding: &Finding, at: UnixTime) -> String {
    let mut text = format!("{}: {}", finding.kind, finding.summary);
    let mut places: Vec<&Location> = finding.locations.iter().filter(|l| dead_there(finding, l)).collect();
    if places.is_empty() {
        places = finding.locations.iter().collect();
    }
    let named: Vec<String> = places.iter().take(PLACES_MAX).map(|l| shown(l)).collect();
    if !named.is_empty() {
        text += &format!("; at {}", named.join(" and "));
        if places.len() > PLACES_MAX {
            text += &format!(" and {} more", places.len() - PLACES_MAX);
        }
    }
    if let Some(end) = finding.deadline.filter(|end| *end <= at) {
        text += &format!("; since {end} ({})", days_text(end, at));
    }
    let fix = Fix::of(finding.kind, &finding.locations);
    text + &format!(". Now ({fix}, {}): {}", fix.takes(), finding.hint)
}

/// Of several addresses, those that serve what has ended, as the rule's evidence has it: `ADDRESS ID until END`.
fn dead_there(finding: &Finding, location: &Location) -> bool {
    if finding.kind != Kind::InconsistentEndpoint {
        return location.is_endpoint() || location.as_str().starts_with("domain:");
    }
    let Some(ip) = location.ip().map(|ip| ip.to_string()) else { return false };
    let end = finding.deadline.map(|end| end.to_string()).unwrap_or_default();
    finding.evidence.iter().any(|(name, fact)| match fact {
        notafter_core::finding::Fact::List(lines) if *name == "served" => lines
            .iter()
            .any(|line| line.split(' ').next() == Some(&ip) && line.ends_with(&format!("until {end}"))),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn finding(kind: Kind, ago: i64, place: &str) -> Finding {
        let location = Location::parse(place).unwrap();
        Finding::new(kind, Severity::Critical, None, "peers")
            .at([&location])
            .deadline(Some(NOW.plus(-ago)))
            .summary(kind.as_str())
            .hint("mend it")
    }

    fn check(kinds: &[(Kind, i64)], expected: Option<Kind>) {
        let at = "tls://10.0.0.5:443?sni=a.test";
        let findings: Vec<Finding> = kinds.iter().map(|(kind, ago)| finding(*kind, *ago, at)).collect();
        let path = OnPath::of(&Inventory::default(), &[], Some("a.test"));
        let found = culprit(&findings, &path, Some(&Ok(Vec::new())), (true, None), NOW);
        let got = found.finding.filter(|_| found.dated).map(|f| f.kind);
        assert_eq!(got, expected, "{kinds:?}: {}", found.text);
    }

    #[test]
    fn the_cause_before_its_symptoms() {
        check(&[(Kind::ExpiredInUse, 9), (Kind::RenewedNotLoaded, 9)], Some(Kind::RenewedNotLoaded));
        check(&[(Kind::ExpiredInUse, 99), (Kind::ChainExpiresFirst, 9)], Some(Kind::ChainExpiresFirst));
        check(&[(Kind::InconsistentEndpoint, 9), (Kind::DomainHold, -99)], Some(Kind::DomainHold));
        check(&[(Kind::DomainExpires, 9), (Kind::ClockSkew, 0)], Some(Kind::ClockSkew));
        check(
            &[(Kind::StapleExpires, 9), (Kind::DnssecSignatureExpires, 9)],
            Some(Kind::DnssecSignatureExpires),
        );
    }

    #[test]
    fn what_was_revoked_needs_no_date() {
        let place = "tls://10.0.0.5:443?sni=a.test";
        let undated = |severity| {
            Finding { severity, ..finding(Kind::Revoked, 0, place) }
                .deadline(None)
                .summary("revoked")
                .hint("replace it")
        };
        let path = OnPath::of(&Inventory::default(), &[], Some("a.test"));
        for (severity, explains) in [(Severity::Critical, true), (Severity::Warning, false)] {
            let findings = [undated(severity)];
            let found = culprit(&findings, &path, Some(&Ok(Vec::new())), (true, None), NOW);
            assert_eq!(found.dated, explains, "{}", found.text);
        }
    }

    #[test]
    fn what_is_still_to_come_explains_nothing() {
        check(&[(Kind::ExpiresSoon, -9)], None);
        check(&[(Kind::ChainExpiresFirst, -9)], None);
        check(&[(Kind::RenewedNotLoaded, -9)], None);
        check(&[], None);
    }

    #[test]
    fn what_others_see_explains_nothing() {
        let path = OnPath::of(&Inventory::default(), &[], Some("a.test"));
        for (place, explains) in [
            ("tls://10.0.0.5:443?sni=a.test", true),
            ("tls://10.0.0.5:443", false),
            ("dns://10.0.0.53:53/a.test", true),
        ] {
            let findings = [finding(Kind::ExpiredInUse, 9, place)];
            let found = culprit(&findings, &path, Some(&Ok(Vec::new())), (true, None), NOW);
            assert_eq!(found.dated, explains, "{place}: {}", found.text);
        }
    }

    #[test]
    fn the_first_line_says_where_since_when_and_what_to_do() {
        let findings = [finding(Kind::ExpiredInUse, 7200, "tls://10.0.0.5:443?sni=a.test")];
        let path = OnPath::of(&Inventory::default(), &[], Some("a.test"));
        let found = culprit(&findings, &path, Some(&Ok(Vec::new())), (true, None), NOW);
        assert_eq!(
            found.text,
            "expired-in-use: expired-in-use; at tls://10.0.0.5:443?sni=a.test; since 2027-01-15T06:00:00Z (2 hours ago). \
             Now (F1, hours): mend it"
        );
    }
}
