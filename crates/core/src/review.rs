//! What an issuer handed out, held against what was asked and what is in use: before anything is touched.
//!
//! Pure: bytes in, words out. A CA that answers with another key, fewer names or a stranger's, for another purpose, for
//! minutes instead of months, with a CA certificate or a chain that does not fit is caught here, not by the customers of a
//! server. What else differs from the predecessor and may be meant is told as a preview and stops nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use notafter_pki::certificate::Certificate;
use notafter_pki::csr::Csr;
use notafter_pki::extension::GeneralName;
use notafter_pki::oid;
use notafter_pki::time::DAY;
use notafter_pki::verify::{SignatureVerdict, is_signed_by};

use crate::UnixTime;
use crate::change::{Change, Surroundings, differences};
use crate::issuance::{Identifier, Issued, Request};
use crate::rules::purpose_unfit::{is_for, key_usage, purposes};

/// So much may a CA's clock be ahead of ours before we call its certificate one of the future.
const SKEW_S: i64 = 300;
/// So many certificates may come: a chain has three or four, and clients give up long before this. Of more, an issuer hands on no
/// more than tells that there were.
const CHAIN_MAX: usize = 16;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// Reasons not to install it. Empty: it is what was asked for.
    pub wrong: Vec<String>,
    /// In what it differs from the one before.
    pub changes: Vec<Change>,
    /// The chain to install: the leaf first, without a root.
    pub chain: Vec<Vec<u8>>,
    /// Valid from, of the leaf. In the future: to be installed only then.
    pub not_before: Option<UnixTime>,
    /// And until.
    pub not_after: Option<UnixTime>,
}

/// Holds what came against what was asked.
pub fn review(request: &Request, issued: &Issued, before: Option<&[u8]>, now: UnixTime) -> Review {
    let mut out = Review::default();
    let parsed: Vec<_> = issued.chain.iter().map(|der| Certificate::parse(der)).collect();
    if let Some(n) = parsed.iter().position(Result::is_err) {
        out.wrong.push(format!("certificate {} of the chain cannot be read", n + 1));
        return out;
    }
    let chain: Vec<Certificate<'_>> = parsed.into_iter().flatten().collect();
    if chain.len() > CHAIN_MAX {
        out.wrong.push(format!("more than {CHAIN_MAX} certificates came, and no way to a root is that long"));
        return out;
    }
    let Some((leaf, above)) = chain.split_first() else {
        out.wrong.push("nothing came: an empty chain".into());
        return out;
    };
    (out.not_before, out.not_after) = (leaf.not_before(), leaf.not_after());
    key(request, leaf, &mut out.wrong);
    let before = before.and_then(|der| Certificate::parse(der).ok());
    names(request, leaf, before.as_ref(), &mut out.wrong);
    purpose(leaf, before.as_ref(), &mut out.wrong);
    lifetime(request, leaf, before.as_ref(), &mut out.wrong);
    if leaf.is_ca() {
        out.wrong.push("it is the certificate of a CA, not of a server".into());
    }
    dates(leaf, above, now, &mut out.wrong);
    links(leaf, above, &mut out.wrong);
    // A root at the end is of no use to a client: it has it, or does not trust it.
    let kept = chain.iter().enumerate().filter(|(n, c)| *n == 0 || !is_root(c));
    out.chain = kept.map(|(_, c)| c.der().to_vec()).collect();
    if let Some(before) = before {
        let around =
            Surroundings { newer_above: out.chain.len() - 1, installed: true, ..Surroundings::default() };
        out.changes = differences(&before, leaf, around);
    }
    out
}

fn is_root(certificate: &Certificate<'_>) -> bool {
    certificate.is_self_issued() && is_signed_by(certificate, certificate.spki()) == SignatureVerdict::Good
}

fn key(request: &Request, leaf: &Certificate<'_>, wrong: &mut Vec<String>) {
    match Csr::parse(&request.csr) {
        Ok(csr) if csr.public_key().spki() == leaf.spki() => {}
        Ok(_) => wrong.push("it is for another key than the one that asked".into()),
        Err(_) => wrong.push("the request that was kept cannot be read any more".into()),
    }
}

/// For what was asked, and for nothing else but what the one before was for or what a CA adds by habit: the name with
/// `www.` before it, or without.
fn names(
    request: &Request,
    leaf: &Certificate<'_>,
    before: Option<&Certificate<'_>>,
    wrong: &mut Vec<String>,
) {
    let has = names_of(leaf);
    let missing: Vec<String> =
        request.names.iter().filter(|n| !has.contains(*n)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        wrong.push(format!("it is not for {}", missing.join(", ")));
    }
    let had = before.map(names_of).unwrap_or_default();
    let asked: BTreeSet<String> = request.names.iter().map(ToString::to_string).collect();
    let by_habit = |name: &str| {
        let bare = name.strip_prefix("www.").unwrap_or(name);
        asked.contains(bare) || asked.contains(&format!("www.{bare}"))
    };
    let stranger = |n: &&Identifier| {
        let text = n.to_string();
        !asked.contains(&text) && !had.contains(*n) && !by_habit(&text)
    };
    let strangers: Vec<String> = has.iter().filter(stranger).map(ToString::to_string).collect();
    if !strangers.is_empty() {
        wrong.push(format!("it is also for {}, which was not asked", strangers.join(", ")));
    }
}

/// For a server, unless the one before was for clients alone; and with a key that may sign a handshake.
fn purpose(leaf: &Certificate<'_>, before: Option<&Certificate<'_>>, wrong: &mut Vec<String>) {
    let serves = |c: &Certificate<'_>| is_for(c, oid::SERVER_AUTH);
    let fits = match before {
        Some(before) => serves(leaf) || !serves(before),
        None => serves(leaf) || is_for(leaf, oid::CLIENT_AUTH),
    };
    if !fits {
        wrong.push(format!("it is for {} only, and not for a server", purposes(leaf)));
    }
    wrong.extend(key_usage(leaf));
}

/// A CA shortens what is asked by its rules, and another CA gives days where the one before gave months. To less than a
/// tenth of what was asked, or from days to minutes, only by mistake.
fn lifetime(
    request: &Request,
    leaf: &Certificate<'_>,
    before: Option<&Certificate<'_>>,
    wrong: &mut Vec<String>,
) {
    let life = |c: &Certificate<'_>| Some(c.not_after()?.0.saturating_sub(c.not_before()?.0));
    let before = before.filter(|_| request.profile.is_none()).and_then(life).filter(|life| *life > DAY);
    let least = request.lifetime_s.map(|asked| asked / 10).or(before.map(|_| 3_600));
    let Some((usual, is)) = request.lifetime_s.or(before).zip(life(leaf)) else { return };
    if is > 0 && least.is_some_and(|least| is < least) {
        let (is, usual) = (spelt(is), spelt(usual));
        wrong.push(format!("it lives for {is} only, where {usual} were asked for or usual before"));
    }
}

fn spelt(seconds: i64) -> String {
    match seconds {
        s if s >= 2 * DAY => format!("{} days", s / DAY),
        s if s >= 7_200 => format!("{} hours", s / 3_600),
        s => format!("{} minutes", s / 60),
    }
}

/// The names a certificate is for: DNS names and addresses.
pub fn names_of(certificate: &Certificate<'_>) -> BTreeSet<Identifier> {
    certificate
        .subject_alt_names()
        .filter_map(|name| match name {
            GeneralName::Dns(text) => Identifier::parse(&String::from_utf8_lossy(text)),
            GeneralName::Ip(octets) => address(octets).map(Identifier::Ip),
            _ => None,
        })
        .collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

fn dates(leaf: &Certificate<'_>, above: &[Certificate<'_>], now: UnixTime, wrong: &mut Vec<String>) {
    let (Some(begin), Some(end)) = (leaf.not_before(), leaf.not_after()) else {
        wrong.push("its dates cannot be read".into());
        return;
    };
    if end.0 <= begin.0 {
        wrong.push("it ends before it begins".into());
    }
    if end <= now {
        wrong.push(format!("it ended at {end}"));
    }
    if begin.0 > now.0 + 86_400 {
        wrong.push(format!("it begins only at {begin}: its clock or ours is wrong"));
    }
    for ca in above {
        if ca.not_after().is_some_and(|a| a <= now) {
            wrong.push(format!("the CA certificate {} above it ended", ca.subject().to_rfc4514()));
        }
    }
}

/// Is it not valid yet, so that it has to lie still for a while? A few minutes are the usual skew of clocks.
pub fn waits_until(review: &Review, now: UnixTime) -> Option<UnixTime> {
    review.not_before.filter(|begin| begin.0 > now.0 + SKEW_S)
}

fn links(leaf: &Certificate<'_>, above: &[Certificate<'_>], wrong: &mut Vec<String>) {
    let mut child = leaf;
    for (n, ca) in above.iter().enumerate() {
        if !ca.is_ca() {
            wrong.push(format!("certificate {} of the chain is of no CA", n + 2));
        }
        match is_signed_by(child, ca.spki()) {
            SignatureVerdict::Good | SignatureVerdict::Unsupported => {}
            _ => wrong.push(format!("certificate {} of the chain did not sign the one before it", n + 2)),
        }
        child = ca;
    }
    if above.is_empty() && !leaf.is_self_issued() {
        wrong.push("no CA certificate came with it: clients would not find the way to a root".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    struct Ca {
        key: KeyPair,
        params: CertificateParams,
        der: Vec<u8>,
    }

    fn ca(name: &str, above: Option<&Ca>) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let der = match above {
            None => params.self_signed(&key).expect("a root"),
            Some(ca) => {
                params.signed_by(&key, &Issuer::from_params(&ca.params, &ca.key)).expect("an intermediate")
            }
        };
        let der = der.der().to_vec();
        Ca { key, params, der }
    }

    fn leaf(names: &[&str], key: &KeyPair, ca: &Ca) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        params.signed_by(key, &Issuer::from_params(&ca.params, &ca.key)).expect("a leaf").der().to_vec()
    }

    fn request(names: &[&str], key: &KeyPair) -> Request {
        let params =
            CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).expect("names");
        Request {
            names: names.iter().filter_map(|n| Identifier::parse(n)).collect(),
            csr: params.serialize_request(key).expect("a CSR").der().to_vec(),
            profile: None,
            replaces: None,
            preferred_chain: None,
            lifetime_s: None,
        }
    }

    const NOW: UnixTime = UnixTime(1_795_000_000);

    #[test]
    fn what_was_asked_for_is_taken_and_the_root_left_out() {
        let (root, key) = (ca("root", None), KeyPair::generate().expect("a key"));
        let middle = ca("middle", Some(&root));
        let asked = request(&["a.test", "127.0.0.1"], &key);
        let new = leaf(&["a.test", "127.0.0.1"], &key, &middle);
        let issued =
            Issued { chain: vec![new.clone(), middle.der.clone(), root.der.clone()], reference: None };
        let answer = review(&asked, &issued, None, NOW);
        assert_eq!((answer.wrong.clone(), answer.chain.len()), (vec![], 2));
        // And what the one before had that this has not is told.
        let before = leaf(&["a.test", "127.0.0.1", "b.test"], &key, &middle);
        let answer = review(&asked, &issued, Some(&before), NOW);
        assert!(
            answer.wrong.is_empty() && answer.changes.iter().any(|c| c.what == "san" && c.breaks),
            "{answer:?}"
        );
    }

    #[test]
    fn another_purpose_a_stranger_and_minutes_are_refused() {
        use rcgen::{ExtendedKeyUsagePurpose as Purpose, KeyUsagePurpose as Usage};
        let (root, key) = (ca("root", None), KeyPair::generate().expect("a key"));
        let middle = ca("middle", Some(&root));
        let made = |names: &[&str], change: &dyn Fn(&mut CertificateParams)| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            let mut params = CertificateParams::new(names).expect("names");
            let at = |s: i64| time::OffsetDateTime::from_unix_timestamp(s).expect("a time");
            (params.not_before, params.not_after) = (at(NOW.0 - 60), at(NOW.0 + 90 * DAY));
            change(&mut params);
            params
                .signed_by(&key, &Issuer::from_params(&middle.params, &middle.key))
                .expect("a leaf")
                .der()
                .to_vec()
        };
        let plain = |_: &mut CertificateParams| {};
        let with =
            |purpose: Purpose| move |p: &mut CertificateParams| p.extended_key_usages = vec![purpose.clone()];
        let minutes = |p: &mut CertificateParams| {
            p.not_after = time::OffsetDateTime::from_unix_timestamp(NOW.0 + 1_200).expect("a time");
        };
        let agrees = |p: &mut CertificateParams| p.key_usages = vec![Usage::CrlSign];
        let wrong = |new: Vec<u8>, before: Option<&[u8]>| {
            let issued = Issued { chain: vec![new, middle.der.clone()], reference: None };
            review(&request(&["a.test"], &key), &issued, before, NOW).wrong.join("; ")
        };
        let server = made(&["a.test"], &with(Purpose::ServerAuth));
        let client = made(&["a.test"], &with(Purpose::ClientAuth));
        assert!(wrong(client.clone(), Some(&server)).contains("not for a server"));
        assert!(wrong(made(&["a.test"], &with(Purpose::CodeSigning)), None).contains("not for a server"));
        assert!(wrong(made(&["a.test"], &agrees), None).contains("cRLSign"));
        assert!(wrong(made(&["a.test", "b.test"], &plain), None).contains("also for b.test"));
        assert!(wrong(made(&["a.test"], &minutes), Some(&server)).contains("21 minutes"));
        // A client's stays one; what a CA adds by habit, or had before, is no stranger; shorter is not by mistake.
        assert_eq!(wrong(client.clone(), Some(&client)), "");
        assert_eq!(wrong(made(&["a.test", "www.a.test"], &plain), None), "");
        assert_eq!(wrong(made(&["a.test", "b.test"], &plain), Some(&made(&["b.test"], &plain))), "");
        let six = |p: &mut CertificateParams| p.not_after = p.not_before + time::Duration::days(10);
        assert_eq!(wrong(made(&["a.test"], &six), Some(&server)), "");
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        let (root, key) = (ca("root", None), KeyPair::generate().expect("a key"));
        let (middle, stranger) = (ca("middle", Some(&root)), ca("stranger", None));
        let other = KeyPair::generate().expect("a key");
        let asked = request(&["a.test"], &key);
        let good = leaf(&["a.test"], &key, &middle);
        let wrong = |chain: Vec<Vec<u8>>, now: i64| {
            review(&asked, &Issued { chain, reference: None }, None, UnixTime(now)).wrong.join("; ")
        };
        let m = || middle.der.clone();
        for (chain, now, words) in [
            (vec![leaf(&["a.test"], &other, &middle), m()], NOW.0, "another key"),
            (vec![leaf(&["b.test"], &key, &middle), m()], NOW.0, "not for a.test"),
            (vec![good.clone()], NOW.0, "no CA certificate"),
            (vec![good.clone(), stranger.der.clone()], NOW.0, "did not sign"),
            (vec![good.clone(), vec![0x30, 3, 1, 2]], NOW.0, "cannot be read"),
            (vec![good.clone(), m()], 68_000_000_000, "it ended"),
            (vec![m(), root.der.clone()], NOW.0, "of a CA"),
            (vec![], NOW.0, "nothing came"),
            ([vec![good.clone()], vec![m(); 16]].concat(), NOW.0, "more than 16 certificates"),
        ] {
            let said = wrong(chain, now);
            assert!(said.contains(words), "{words}: {said}");
        }
        assert_eq!(wrong(vec![good, m()], NOW.0), "");
    }
}
