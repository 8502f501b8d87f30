//! What else there is of the same thing: the next key beside a certificate, other copies of metadata and keys, who
//! shows a certificate to others, and what has taken its place.
//!
//! Indexes over the inventory, made once for a pass. Found by what the places say of themselves (`Facts::part`), by
//! fingerprints, names and links; no bytes are compared, and nothing is judged.

mod turns;

use std::collections::{BTreeMap, HashMap, HashSet};

use notafter_core::document;
use notafter_core::dossier::{Around, CopyView};
use notafter_core::inventory::{Asset, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::observation::{LinkKind, Part, Whole};
use notafter_pki::certificate::Certificate;
use notafter_pki::statement::Statement;

/// So many copies of one thing are compared.
const COPIES_MAX: usize = 100;
/// A name of a key that is at least so long is nobody else's, in octets.
const KID_MIN: usize = 8;

/// Gives the role of a client to what a configuration shows to others, unless the same file is served, too.
pub(crate) fn recognise_clients(inventory: &mut Inventory) {
    let ends = |kind: LinkKind, end: fn(&notafter_core::observation::Link) -> &Location| -> HashSet<String> {
        let links = inventory.links().iter().filter(|l| l.kind == kind);
        links.map(|l| end(l).container().to_owned()).collect()
    };
    let shown = ends(LinkKind::Presents, |l| &l.to);
    if shown.is_empty() {
        return;
    }
    let served = ends(LinkKind::Serves, |l| &l.from);
    inventory.reassign(|placement| {
        let file = placement.location.container();
        let is_client = placement.role == Role::Leaf && shown.contains(file) && !served.contains(file);
        if is_client { Role::Client } else { placement.role }
    });
}

/// Everything that is there more than once, by what tells it.
pub(crate) struct Index<'i> {
    /// Parts of metadata and key sets, by container.
    parts: HashMap<&'i str, Vec<Member<'i>>>,
    /// For each entity of metadata, its copies by container.
    entities: HashMap<&'i str, BTreeMap<&'i str, Copy<'i>>>,
    /// OpenPGP keys by fingerprint, each with a place.
    keys: HashMap<String, Vec<(&'i Asset, &'i Location)>>,
    /// Client certificates by their names.
    clients: HashMap<String, Vec<(&'i Asset, &'i Location)>>,
    /// Evidence by the file that is shown.
    presented: HashMap<&'i str, Vec<&'i str>>,
    /// Tokens by the `kid` that they name.
    tokens: HashMap<String, Vec<Token<'i>>>,
    turns: turns::Turns<'i>,
}

/// A token that names a key.
struct Token<'i> {
    asset: &'i Asset,
    location: &'i Location,
    /// Who it says issued it.
    issuer: String,
}

/// A thing within a whole.
struct Member<'i> {
    part: &'i Part,
    asset: &'i Asset,
    location: &'i Location,
}

/// The metadata of an entity in one document.
#[derive(Default)]
struct Copy<'i> {
    stated: Option<&'i Location>,
    certificates: Vec<&'i Asset>,
    crowd: bool,
}

impl<'i> Index<'i> {
    pub(crate) fn new(inventory: &'i Inventory) -> Self {
        let mut out = Self {
            parts: HashMap::new(),
            entities: HashMap::new(),
            keys: HashMap::new(),
            clients: HashMap::new(),
            presented: HashMap::new(),
            tokens: HashMap::new(),
            turns: turns::Turns::new(inventory),
        };
        for link in inventory.links().iter().filter(|l| l.kind == LinkKind::Presents) {
            out.presented.entry(link.to.container()).or_default().push(&link.evidence);
        }
        for placement in inventory.placements() {
            let (asset, location) = (inventory.asset(placement.asset), &placement.location);
            match placement.facts.part.as_deref() {
                Some(part) if part.of != Whole::Signature => out.part(part, asset, location),
                Some(_) => {}
                None if placement.role == Role::Client => {
                    let bytes = inventory.bytes(placement.asset);
                    let names = Certificate::parse(&bytes).ok().and_then(|c| document::names_key(&c));
                    if let Some(names) = names {
                        out.clients.entry(names).or_default().push((asset, location));
                    }
                }
                None if asset.kind == AssetKind::OpenpgpKey => {
                    let statement = Statement::parse(&inventory.bytes(placement.asset));
                    if let Some(print) = statement.as_ref().and_then(|s| s.fact_of("fingerprint")) {
                        out.keys.entry(print.to_owned()).or_default().push((asset, location));
                    }
                }
                None if asset.kind == AssetKind::Token => {
                    let statement = Statement::parse(&inventory.bytes(placement.asset));
                    if let Some((token, kid)) = statement.as_ref().and_then(|s| Some((s, document::kid(s)?)))
                    {
                        let all = out.tokens.entry(kid.to_owned()).or_default();
                        if !all.iter().any(|known| known.asset.id == asset.id) {
                            all.push(Token {
                                asset,
                                location,
                                issuer: token.issuer_name().unwrap_or_default().to_owned(),
                            });
                        }
                    }
                }
                None => {}
            }
        }
        // Only what there is more of can tell anything.
        out.entities.retain(|_, copies| copies.len() > 1);
        out.keys.retain(|_, copies| copies.len() > 1);
        out.clients.retain(|_, copies| copies.len() > 1);
        out
    }

    fn part(&mut self, part: &'i Part, asset: &'i Asset, location: &'i Location) {
        if part.of == Whole::Metadata && !part.name.is_empty() {
            let copies = self.entities.entry(&part.name).or_default();
            let copy = copies.entry(location.container()).or_default();
            copy.crowd |= part.crowd;
            match asset.kind {
                AssetKind::Certificate if is_of_a_role(&part.usage) => {
                    if !copy.certificates.iter().any(|known| known.id == asset.id) {
                        copy.certificates.push(asset);
                    }
                }
                AssetKind::Certificate => {}
                _ => copy.stated = Some(location),
            }
        }
        // Nobody looks for the next one among a federation's.
        if !part.crowd {
            self.parts.entry(location.container()).or_default().push(Member { part, asset, location });
        }
    }

    /// What there is around one asset.
    pub(crate) fn of<'a>(
        &'a self,
        asset: &'a Asset,
        certificate: Option<&Certificate<'_>>,
        statement: Option<&Statement>,
        places: &[&'a Placement],
    ) -> Around<'a>
    where
        'i: 'a,
    {
        let part = |p: &&'a Placement| p.facts.part.as_deref().map(|part| (part, &p.location));
        let parts: Vec<(&Part, &Location)> = places.iter().filter_map(part).collect();
        let presented = places.iter().filter(|p| p.role == Role::Client);
        let presented = presented.filter_map(|p| self.presented.get(p.location.container())).flatten();
        let presented: Vec<&str> = presented.take(COPIES_MAX).copied().collect();
        let replaced_by = match certificate {
            Some(certificate) if presented.is_empty() => self.replaced_by(asset, certificate, places),
            _ => None,
        };
        Around {
            next: parts.iter().find_map(|(part, location)| self.next(asset, part, location)),
            copies: self.copies(&parts),
            extended: statement.map(|s| self.extended(asset, s)).unwrap_or_default(),
            presented,
            replaced_by,
            tokens: self.tokens(&parts),
            overtaken_by: self.turns.overtaken_by(asset, places),
            ..Around::default()
        }
    }

    /// Tokens that name one of these keys, each once.
    fn tokens(&self, parts: &[(&Part, &Location)]) -> Vec<(&'i Asset, &'i Location)> {
        let mut out: Vec<(&Asset, &Location)> = Vec::new();
        for (part, set) in parts.iter().filter(|(part, _)| part.of == Whole::KeySet) {
            let named = self.tokens.get(&part.name).into_iter().flatten();
            for token in named.filter(|token| is_issuers(&token.issuer, &part.name, set)) {
                if !out.iter().any(|(known, _)| known.id == token.asset.id) {
                    out.push((token.asset, token.location));
                }
            }
        }
        out.sort_unstable_by_key(|(_, location)| location.as_str());
        out
    }

    /// Another one in the same whole for the same use, that begins before this one ends and ends later, or never.
    fn next(&self, asset: &Asset, part: &Part, location: &Location) -> Option<&'i Location> {
        let end = asset.not_after?;
        let members = self.parts.get(location.container())?;
        let takes_over = |member: &&Member<'i>| match part.of {
            Whole::Metadata => {
                member.part.name == part.name
                    && member.asset.kind == AssetKind::Certificate
                    && same_use(&member.part.usage, &part.usage)
            }
            _ => member.part.name != part.name && member.part.usage == part.usage,
        };
        // Of a key of a set, its certificate says how long: the key itself has no date.
        let ends_with_another = |member: &&Member<'i>| {
            member.asset.kind == AssetKind::BareKey
                && members.iter().any(|m| m.part.name == member.part.name && m.asset.not_after.is_some())
        };
        let later = |member: &&Member<'i>| match member.asset.not_after {
            Some(until) => until > end && member.asset.not_before.is_none_or(|from| from <= end),
            None => member.asset.kind == AssetKind::BareKey && !ends_with_another(member),
        };
        members.iter().filter(takes_over).find(later).map(|member| member.location)
    }

    /// Every copy of the metadata of the entities that these places are about.
    fn copies(&self, parts: &[(&Part, &Location)]) -> Vec<CopyView<'i>> {
        let Some((part, _)) = parts.iter().find(|(part, _)| part.of == Whole::Metadata) else {
            return Vec::new();
        };
        let copies = self.entities.get(part.name.as_str()).into_iter().flat_map(BTreeMap::values);
        let stated = copies.filter_map(|copy| {
            Some(CopyView { place: copy.stated?, certificates: copy.certificates.clone(), crowd: copy.crowd })
        });
        stated.take(COPIES_MAX).collect()
    }

    /// Copies of the same key that end later.
    fn extended(&self, asset: &Asset, statement: &Statement) -> Vec<(&'i Asset, &'i Location)> {
        let Some(end) = asset.not_after else { return Vec::new() };
        let copies = statement.fact_of("fingerprint").and_then(|print| self.keys.get(print));
        let later = |(other, _): &&(&'i Asset, &'i Location)| {
            other.id != asset.id && other.not_after.is_none_or(|until| until > end)
        };
        copies.into_iter().flatten().filter(later).take(COPIES_MAX).copied().collect()
    }

    /// A later certificate of the same client that lies in the folder of this one, or in one above it.
    fn replaced_by(
        &self,
        asset: &Asset,
        certificate: &Certificate<'_>,
        places: &[&Placement],
    ) -> Option<&'i Location> {
        let others = self.clients.get(&document::names_key(certificate)?)?;
        let mut files = places.iter().filter(|p| p.role == Role::Client && p.location.is_file()).peekable();
        files.peek()?;
        let above = |file: &Location, other: &Location| {
            let folder = other.container().rsplit_once('/').map_or("", |(folder, _)| folder);
            file.container().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        let later = |other: &Asset| {
            other.id != asset.id
                && other.not_after > asset.not_after
                && other.not_before.zip(asset.not_after).is_some_and(|(from, end)| from <= end)
        };
        let files: Vec<&Location> = files.map(|p| &p.location).collect();
        let replaces = |other: &Location| files.iter().all(|file| above(file, other));
        others.iter().find(|(other, at)| later(other) && replaces(at)).map(|(_, at)| *at)
    }
}

/// May a token of this issuer be meant, where the key of a set is called as the token says? A set that was fetched says
/// by its address whose it is. Many call a key `1`: a short name alone says nothing.
fn is_issuers(issuer: &str, kid: &str, set: &Location) -> bool {
    let host = |url: &str| {
        let rest = url.split_once("://")?.1;
        let host = rest.split(['/', '?', '#', ':']).next()?;
        (!host.is_empty()).then(|| host.to_ascii_lowercase())
    };
    match (host(issuer), host(set.as_str()).filter(|_| !set.is_file())) {
        (Some(of_token), Some(of_set)) => of_token == of_set,
        _ => kid.len() >= KID_MIN,
    }
}

/// Is this certificate for what the entity does, rather than for the signature over the document?
fn is_of_a_role(usage: &str) -> bool {
    usage.contains('/') && !usage.ends_with("/signature") && !usage.ends_with("/other")
}

/// Can a key for the one use do the other? One without a word is for both (SAML metadata section 2.4.1.1).
fn same_use(a: &str, b: &str) -> bool {
    let split = |usage: &str| usage.rsplit_once('/').map(|(r, u)| (r.to_owned(), u.to_owned()));
    match (split(a), split(b)) {
        (Some((role_a, a)), Some((role_b, b))) => role_a == role_b && (a == b || a == "any" || b == "any"),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_key_it_is() {
        let long = "0b8e5d1c2f";
        for (issuer, kid, set, expected) in [
            ("https://id.example.com/", "1", "https://id.example.com/keys#1", true),
            ("https://ID.example.com:8443", "1", "https://id.example.com/keys#1", true),
            ("https://other.example/", long, "https://id.example.com/keys#1", false),
            ("https://id.example.com/", long, "file:///etc/app/jwks.json#1", true),
            ("https://id.example.com/", "1", "file:///etc/app/jwks.json#1", false),
            ("accounts", long, "https://id.example.com/keys#1", true),
            ("", "key", "https://id.example.com/keys#1", false),
        ] {
            let set = Location::parse(set).unwrap();
            assert_eq!(is_issuers(issuer, kid, &set), expected, "{issuer} {kid} {set}");
        }
    }

    #[test]
    fn uses() {
        for (a, b, expected) in [
            ("idp/signing", "idp/signing", true),
            ("idp/signing", "idp/any", true),
            ("idp/any", "idp/encryption", true),
            ("idp/signing", "idp/encryption", false),
            ("idp/signing", "sp/signing", false),
            ("signature", "signature", true),
            ("signature", "idp/signing", false),
        ] {
            assert_eq!(same_use(a, b), expected, "{a} {b}");
        }
    }
}
