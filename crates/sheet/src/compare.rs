//! The sheet held against what was really found: which rows match, which are gone, what the sheet does not know.
//!
//! A row is matched by the surest thing in it: fingerprint, serial number, host and port, host, the name as a title. What
//! matches is what is in use; what is known and used nowhere any more is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use notafter_core::UnixTime;

use crate::entries::{Entry, Host};

/// Something that was found.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Found {
    /// Its identity, as hexadecimal SHA-256.
    pub id: String,
    /// SHA-1 of its bytes, if rows are known by that.
    pub sha1: Option<[u8; 20]>,
    pub title: String,
    /// DNS names, addresses and common name in it.
    pub names: Vec<String>,
    /// Hexadecimal digits without leading zeros.
    pub serial: String,
    pub issuer: String,
    pub not_after: Option<UnixTime>,
    pub not_before: Option<UnixTime>,
    pub owner: Option<String>,
    /// Is it somewhere now?
    pub in_use: bool,
    /// A certificate of an authority, or no certificate: no row is about it by its host, and no sheet lacks it.
    pub aside: bool,
    /// Typed in before, from this sheet or elsewhere: a row does not match itself.
    pub by_hand: bool,
    /// A later one has taken its place.
    pub superseded: bool,
    /// Where it is served: address, port, and the name asked for.
    pub endpoints: Vec<(IpAddr, u16, Option<String>)>,
    /// A place, for people.
    pub place: String,
}

/// By what a row was matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum By {
    Fingerprint,
    Serial,
    Endpoint,
    Host,
    Title,
}

impl By {
    /// A word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fingerprint => "fingerprint",
            Self::Serial => "serial",
            Self::Endpoint => "host and port",
            Self::Host => "host",
            Self::Title => "name",
        }
    }
}

/// What came of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// It is in use: which ones, surest first, and whether the sheet's date is theirs.
    Matches {
        /// Indices of what was found.
        found: Vec<usize>,
        /// By what.
        by: By,
        /// `Some` when the sheet has a date and none of them ends on it: when the nearest to it does.
        differs: Option<UnixTime>,
    },
    /// Nothing like it is in use. The index is what it once was, if that is known.
    Gone(Option<usize>),
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// One of each entry, in order.
    pub rows: Vec<Row>,
    /// Found and in use, and in no row: indices.
    pub missing: Vec<usize>,
}

impl Comparison {
    /// How many rows match, how many are gone, how many were found and are in no row.
    pub fn counts(&self) -> (usize, usize, usize) {
        let matched = self.rows.iter().filter(|r| matches!(r, Row::Matches { .. })).count();
        (matched, self.rows.len() - matched, self.missing.len())
    }

    /// How many rows match and have the right date: by this one of two readings is chosen.
    pub fn agreeing(&self) -> usize {
        self.rows.iter().filter(|r| matches!(r, Row::Matches { differs: None, .. })).count()
    }
}

/// SHA-1 of a certificate, by which people and old programs call it.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    digest.as_ref().try_into().unwrap_or_default()
}

#[derive(Default)]
struct Index<'f> {
    by_id: BTreeMap<&'f str, Vec<usize>>,
    by_sha1: BTreeMap<[u8; 20], Vec<usize>>,
    by_serial: BTreeMap<&'f str, Vec<usize>>,
    by_name: BTreeMap<&'f str, Vec<usize>>,
    by_title: BTreeMap<String, Vec<usize>>,
    by_asked: BTreeMap<(&'f str, u16), Vec<usize>>,
    by_address: BTreeMap<(IpAddr, u16), Vec<usize>>,
    at_name: BTreeMap<&'f str, Vec<usize>>,
    at_address: BTreeMap<IpAddr, Vec<usize>>,
}

fn put<K: Ord>(map: &mut BTreeMap<K, Vec<usize>>, key: K, index: usize) {
    let list = map.entry(key).or_default();
    if list.last() != Some(&index) {
        list.push(index);
    }
}

impl<'f> Index<'f> {
    fn of(found: &'f [Found]) -> Self {
        let mut index = Self::default();
        for (i, one) in found.iter().enumerate().filter(|(_, f)| !f.by_hand) {
            put(&mut index.by_id, &one.id, i);
            if let Some(sha1) = one.sha1 {
                put(&mut index.by_sha1, sha1, i);
            }
            if !one.serial.is_empty() {
                put(&mut index.by_serial, &one.serial, i);
            }
            put(&mut index.by_title, one.title.to_lowercase(), i);
            if one.aside {
                continue;
            }
            for name in &one.names {
                put(&mut index.by_name, name, i);
            }
            for (ip, port, asked) in &one.endpoints {
                put(&mut index.by_address, (*ip, *port), i);
                put(&mut index.at_address, *ip, i);
                if let Some(asked) = asked {
                    put(&mut index.by_asked, (asked, *port), i);
                    put(&mut index.at_name, asked, i);
                }
            }
        }
        index
    }

    /// What is there for a host, surest first.
    fn host(&self, found: &[Found], host: &Host) -> Vec<(By, Vec<usize>)> {
        let mut out = Vec::new();
        let name = host.name.as_str();
        let mut add = |by, list: Option<&Vec<usize>>| {
            if let Some(list) = list {
                out.push((by, list.clone()));
            }
        };
        if let Some(port) = host.port {
            match host.ip() {
                Some(ip) => add(By::Endpoint, self.by_address.get(&(ip, port))),
                None => add(By::Endpoint, self.by_asked.get(&(name, port))),
            }
            // For this name, at this port, whoever was asked for.
            let named = self.by_name.get(name).map(|list| -> Vec<usize> {
                list.iter().copied().filter(|i| found[*i].endpoints.iter().any(|e| e.1 == port)).collect()
            });
            add(By::Endpoint, named.as_ref());
            // Another port is another place: only files are left.
            let files = self.by_name.get(name).map(|list| -> Vec<usize> {
                list.iter().copied().filter(|i| found[*i].endpoints.is_empty()).collect()
            });
            add(By::Host, files.as_ref());
            return out;
        }
        match host.ip() {
            Some(ip) => add(By::Host, self.at_address.get(&ip)),
            None => {
                add(By::Host, self.at_name.get(name));
                add(By::Host, self.by_name.get(name));
            }
        }
        out
    }
}

/// Compares. The time is linear in both, but for names that many share.
pub fn compare(entries: &[Entry], found: &[Found]) -> Comparison {
    let index = Index::of(found);
    let mut known: BTreeSet<usize> = BTreeSet::new();
    let rows = entries.iter().map(|entry| {
        let row = row(entry, found, &index);
        if let Row::Matches { found, .. } = &row {
            known.extend(found);
        }
        row
    });
    let rows: Vec<Row> = rows.collect();
    let missing = found
        .iter()
        .enumerate()
        .filter(|(i, f)| f.in_use && !f.aside && !f.by_hand && !f.superseded && !known.contains(i));
    let missing = missing.map(|(i, _)| i).collect();
    Comparison { rows, missing }
}

fn row(entry: &Entry, found: &[Found], index: &Index<'_>) -> Row {
    let mut once: Option<usize> = None;
    let mut candidates: Vec<(By, Vec<usize>)> = Vec::new();
    match entry.fingerprint.as_deref() {
        Some(bytes) if bytes.len() == 32 => {
            let id = notafter_pki::fingerprint::hex(bytes);
            candidates.extend(index.by_id.get(id.as_str()).map(|l| (By::Fingerprint, l.clone())));
        }
        Some(bytes) => {
            let list = <[u8; 20]>::try_from(bytes).ok().and_then(|sha1| index.by_sha1.get(&sha1));
            candidates.extend(list.map(|l| (By::Fingerprint, l.clone())));
        }
        None => {}
    }
    for serial in &entry.serials {
        if let Some(list) = index.by_serial.get(serial.as_str()) {
            // Small serial numbers are everybody's: the host or the date must agree.
            let agrees = |f: &Found| {
                serial.len() >= 12
                    || entry.hosts.iter().any(|h| f.names.contains(&h.name))
                    || entry.expiry.zip(f.not_after).is_some_and(|(d, at)| d.covers(at))
            };
            let list: Vec<usize> = list.iter().copied().filter(|i| agrees(&found[*i])).collect();
            candidates.push((By::Serial, list));
        }
    }
    for host in &entry.hosts {
        candidates.extend(index.host(found, host));
    }
    if !entry.name.is_empty()
        && let Some(list) = index.by_title.get(&entry.name.to_lowercase())
    {
        candidates.push((By::Title, list.clone()));
    }
    // Surest first; of the same sureness all together.
    for by in [By::Fingerprint, By::Serial, By::Endpoint, By::Host, By::Title] {
        let mut list: Vec<usize> = Vec::new();
        for (_, some) in candidates.iter().filter(|(b, _)| *b == by) {
            for i in some.iter().filter(|i| found[**i].in_use && !found[**i].superseded) {
                if !list.contains(i) && list.len() < 1000 {
                    list.push(*i);
                }
            }
        }
        once = once
            .or_else(|| candidates.iter().filter(|(b, _)| *b == by).find_map(|(_, l)| l.first().copied()));
        if list.is_empty() {
            continue;
        }
        let ends: Vec<UnixTime> = list.iter().filter_map(|i| found[*i].not_after).collect();
        let differs = entry.expiry.and_then(|date| {
            let same = ends.iter().any(|end| date.covers(*end));
            let nearest = ends.iter().copied().min_by_key(|end| (end.0 - date.at.0).abs());
            nearest.filter(|_| !same)
        });
        return Row::Matches { found: list, by, differs };
    }
    wildcard(entry, found, index).unwrap_or(Row::Gone(once))
}

/// A name under a wildcard is matched by it alone where the date agrees: else `*.example.com` would be every host.
fn wildcard(entry: &Entry, found: &[Found], index: &Index<'_>) -> Option<Row> {
    let date = entry.expiry?;
    for host in entry.hosts.iter().filter(|h| h.ip().is_none()) {
        let Some((_, parent)) = host.name.split_once('.') else { continue };
        let list = index.by_name.get(format!("*.{parent}").as_str()).cloned().unwrap_or_default();
        let fits = |i: &usize| {
            let f = &found[*i];
            f.in_use && !f.superseded && f.not_after.is_some_and(|at| date.covers(at))
        };
        let list: Vec<usize> = list.into_iter().filter(fits).collect();
        if !list.is_empty() {
            return Some(Row::Matches { found: list, by: By::Host, differs: None });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::guess;
    use crate::entries::read;
    use crate::table::open;

    fn found(title: &str, end: &str, endpoint: Option<&str>) -> Found {
        let not_after = match crate::dates::read(end) {
            crate::dates::Reading::One(d) => Some(d.at),
            _ => None,
        };
        let address = |e: &str| {
            let (at, name) = e.split_once(' ').map_or((e, None), |(a, n)| (a, Some(n.to_owned())));
            let at: std::net::SocketAddr = at.parse().unwrap();
            (at.ip(), at.port(), name)
        };
        Found {
            id: notafter_pki::fingerprint::hex(&notafter_pki::fingerprint::sha256(
                format!("{title}{end}").as_bytes(),
            )),
            title: title.to_owned(),
            names: vec![title.to_owned()],
            serial: "abcdef0123456789".to_owned(),
            not_after,
            in_use: true,
            endpoints: endpoint.map(address).into_iter().collect(),
            ..Found::default()
        }
    }

    fn told(text: &str, found: &[Found]) -> String {
        let book = open(text.as_bytes()).unwrap();
        let guess = guess(&book.tables[0], &[]).unwrap();
        let entries = read(&book.tables[0], &guess, None).unwrap();
        let comparison = compare(&entries.entries, found);
        let mut out: Vec<String> = comparison
            .rows
            .iter()
            .map(|row| match row {
                Row::Matches { found: list, by, differs } => {
                    let titles: Vec<_> = list.iter().map(|i| found[*i].title.as_str()).collect();
                    let differs = differs.map(|d| format!(" not {}", d.date())).unwrap_or_default();
                    format!("{} by {}{differs}", titles.join("+"), by.as_str())
                }
                Row::Gone(once) => format!("gone{}", once.map(|_| ", known").unwrap_or_default()),
            })
            .collect();
        let missing: Vec<_> = comparison.missing.iter().map(|i| found[*i].title.as_str()).collect();
        out.push(format!("missing {}", missing.join("+")));
        out.join("; ")
    }

    #[test]
    fn rows_and_what_is_found() {
        let end = "2026-12-31T23:59:59Z";
        let shop = found("shop.test", end, Some("10.0.0.5:443 shop.test"));
        let mail = found("mail.test", end, Some("10.0.0.6:25"));
        let wild = found("*.wild.test", end, None);
        let mut old = found("old.test", "2026-01-01", None);
        old.in_use = false;
        let hex = shop.id.clone();
        let all = [shop, mail, wild, old];
        for (text, expected) in [
            ("Host;Ablauf\nshop.test;31.12.2026\n", "shop.test by host; missing mail.test+*.wild.test"),
            (
                "Host;Ablauf\nshop.test:443;01.01.2025\n",
                "shop.test by host and port not 2026-12-31; missing mail.test+*.wild.test",
            ),
            (
                "Host;Port;Ablauf\n10.0.0.6;25;2027-01-01\nmail.test;443;\n",
                "mail.test by host and port; gone; missing shop.test+*.wild.test",
            ),
            (
                "Host;Ablauf\nold.test;01.01.2026\nnosuch.test;1.1.2027\n",
                "gone, known; gone; missing shop.test+mail.test+*.wild.test",
            ),
            (
                "Host;Ablauf\na.wild.test;31.12.2026\nb.wild.test;01.05.2027\n",
                "*.wild.test by host; gone; missing shop.test+mail.test",
            ),
            (
                "Name;Seriennummer;Ablauf\nWebshop;AB:CD:EF:01:23:45:67:89;31.12.2026\n",
                "shop.test+mail.test+*.wild.test by serial; missing ",
            ),
        ] {
            assert_eq!(told(text, &all), expected, "{text}");
        }
        let text = format!("Bezeichnung;Fingerabdruck;Ablauf\nx;{hex};\n");
        assert_eq!(told(&text, &all), "shop.test by fingerprint; missing mail.test+*.wild.test");
    }
}
