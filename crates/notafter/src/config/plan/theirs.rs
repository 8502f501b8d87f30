//! What belongs to somebody who watches a target: as rules of an owner.

use std::net::IpAddr;
use std::path::Path;

use notafter_core::owner::Match;
use notafter_discover::target::{AddressRange, Hosts, Target};

use crate::assemble::home;

/// A range of addresses becomes no more networks than this: twice 32, or 128, are the most that one can need.
const NETWORKS_MAX: usize = 256;

/// The names, networks, folders and addresses of documents that a target leads to. None: it is no target.
pub(super) fn theirs(target: &str) -> Vec<Match> {
    let exists = |path: &str| Path::new(path).exists();
    match Target::parse(target, exists) {
        Ok(Target::Path(path)) => below(&path),
        Ok(Target::ThisHost) => {
            ["127.0.0.0/8", "::1"].iter().filter_map(|net| rule("location", net)).collect()
        }
        Ok(Target::Network(network)) => match network.hosts {
            Hosts::Name(name) => rule("name", &name).into_iter().collect(),
            Hosts::Addresses(range) => networks(range),
        },
        Ok(Target::Worded(_, text)) => {
            let rest = text.split_once(':').map_or("", |(_, rest)| rest);
            if rest.starts_with(['/', '.', '~']) {
                return below(Path::new(rest));
            }
            if rest.contains("://") {
                return rule("location", rest).into_iter().collect();
            }
            // A registration, a zone, what logs have of a domain: it, and what is below it.
            let domain = rest.split(['/', '@', ':', '?']).next().unwrap_or_default();
            rule("name", &format!("**.{domain}")).filter(|_| !domain.is_empty()).into_iter().collect()
        }
        Err(_) => Vec::new(),
    }
}

fn rule(key: &str, value: &str) -> Option<Match> {
    Match::parse(&format!("{key}:{value}")).ok()
}

/// A file by itself, or all that lies in a folder.
fn below(path: &Path) -> Vec<Match> {
    let Ok(path) = std::path::absolute(home(path.to_path_buf())) else { return Vec::new() };
    let path = path.display().to_string();
    let path = path.trim_end_matches('/');
    [path.to_owned(), format!("{path}/**")].iter().filter_map(|pattern| rule("path", pattern)).collect()
}

/// The fewest networks that are these addresses and no other.
fn networks(range: AddressRange) -> Vec<Match> {
    let (bits, number): (u8, fn(IpAddr) -> u128) = match range.first {
        IpAddr::V4(_) => (32, |ip| if let IpAddr::V4(ip) = ip { ip.to_bits().into() } else { 0 }),
        IpAddr::V6(_) => (128, |ip| if let IpAddr::V6(ip) = ip { ip.to_bits() } else { 0 }),
    };
    let (mut first, last) = (number(range.first), number(range.last));
    let mut out = Vec::new();
    while first <= last && out.len() < NETWORKS_MAX {
        // As large as its beginning allows, and no larger than what is left.
        let left = last - first;
        let fits = if left == u128::MAX { 128 } else { (left + 1).ilog2() };
        let free = first.trailing_zeros().min(fits).min(bits.into());
        let base = match bits {
            32 => IpAddr::V4(u32::try_from(first).unwrap_or(u32::MAX).into()),
            _ => IpAddr::V6(first.into()),
        };
        out.push(Match::Network(base, bits - u8::try_from(free).unwrap_or(0)));
        let Some(next) = 1_u128.checked_shl(free).and_then(|size| first.checked_add(size)) else { break };
        first = next;
    }
    out
}
