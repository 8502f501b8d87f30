//! Name constraints: which names a CA may certify (RFC 5280 section 4.2.1.10).
//!
//! Read strictly, unlike everything in `extension.rs`: a constraint that is misread permits what it should
//! forbid. A constraint of a kind that nobody processes (otherName, x400Address, ...) refuses every name of that
//! kind. Comparisons are counted, as names times constraints is what makes them explode.

use std::borrow::Cow;

use super::Profile;
use super::server_name::is_host;
use crate::certificate::Certificate;
use crate::der::{Reader, tag};
use crate::extension::GeneralName;
use crate::name::Name;
use crate::oid;

/// Names times constraints for one path; the figure that OpenSSL and BoringSSL have.
pub(super) const COMPARISONS_MAX: u64 = 1 << 20;

/// Why a name may not be certified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The constraints cannot be understood.
    Malformed(&'static str),
    /// This name is outside.
    Name(String),
    /// Too many names times constraints.
    Budget,
}

/// A directory name, ready to compare: per RDN the compared form of its attributes.
type Rdns = Vec<Vec<u8>>;

/// The kinds of names of which constraints may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Dns,
    Ip,
    Email,
    Uri,
    Directory,
    /// Not processed: the context tag.
    Other(u8),
}

/// One name of a certificate.
#[derive(Debug)]
enum Subject<'a> {
    Dns(Cow<'a, [u8]>),
    Ip(&'a [u8]),
    Email(&'a [u8]),
    Uri(&'a [u8]),
    Directory(Rdns, Name<'a>),
    Other(u8),
}

impl Subject<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Dns(_) => Kind::Dns,
            Self::Ip(_) => Kind::Ip,
            Self::Email(_) => Kind::Email,
            Self::Uri(_) => Kind::Uri,
            Self::Directory(..) => Kind::Directory,
            Self::Other(tag) => Kind::Other(*tag),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Dns(value) => GeneralName::Dns(value).to_text(),
            Self::Ip(value) => GeneralName::Ip(value).to_text(),
            Self::Email(value) => GeneralName::Email(value).to_text(),
            Self::Uri(value) => GeneralName::Uri(value).to_text(),
            Self::Directory(_, name) => name.to_rfc4514(),
            Self::Other(_) => "a name of a kind that clients do not process".to_owned(),
        }
    }
}

/// The names of one certificate to which constraints apply.
#[derive(Debug)]
pub(super) struct Names<'a>(Vec<Subject<'a>>);

impl<'a> Names<'a> {
    /// Subject and subjectAltNames; `host` where it may be a server's, whose commonName old clients take for
    /// its host name where it has no other.
    pub(super) fn of(certificate: &Certificate<'a>, host: bool) -> Self {
        let mut names: Vec<Subject<'a>> = certificate
            .subject_alt_names()
            .map(|name| match name {
                GeneralName::Dns(value) => Subject::Dns(Cow::Borrowed(value)),
                GeneralName::Ip(value) => Subject::Ip(value),
                GeneralName::Email(value) => Subject::Email(value),
                GeneralName::Uri(value) => Subject::Uri(value),
                GeneralName::DirectoryName(name) => Subject::Directory(rdns(&name), name),
                GeneralName::OtherName { .. } => Subject::Other(0),
                GeneralName::RegisteredId(_) => Subject::Other(8),
                GeneralName::Other { tag, .. } => Subject::Other(tag & 0x1f),
            })
            .collect();
        let subject = certificate.subject();
        // Also beside an rfc822Name, which RFC 5280 leaves open and OpenSSL does.
        let emails = subject.attributes().filter(|attribute| attribute.oid == oid::EMAIL_ADDRESS);
        names.extend(emails.map(|attribute| Subject::Email(attribute.value.value)));
        if host && !names.iter().any(|name| matches!(name, Subject::Dns(_) | Subject::Ip(_))) {
            let common = subject.attributes().filter(|attribute| attribute.oid == oid::COMMON_NAME);
            let texts = common.filter_map(|attribute| attribute.text());
            let hosts = texts.filter(|text| text.contains('.') && is_host(text.as_bytes()));
            names.extend(hosts.map(|text| Subject::Dns(Cow::Owned(text.into_bytes()))));
        }
        if !subject.is_empty() {
            names.push(Subject::Directory(rdns(&subject), subject));
        }
        Self(names)
    }
}

/// The compared form of a name, an element for each RDN.
fn rdns(name: &Name<'_>) -> Rdns {
    let Ok(list) = Reader::new(name.der()).sequence() else { return Vec::new() };
    list.into_iter()
        .map(|rdn| Name::new(&crate::der::encode(tag::SEQUENCE, rdn.raw)).comparison_key())
        .collect()
}

/// One subtree.
#[derive(Debug)]
enum Base<'a> {
    Dns(&'a [u8]),
    Ip(&'a [u8], &'a [u8]),
    Email(&'a [u8]),
    Uri(&'a [u8]),
    Directory(Rdns),
    /// A whole URI where a host belongs: nobody can say what it means.
    UnprocessedUri,
    Other(u8),
}

impl Base<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Dns(_) => Kind::Dns,
            Self::Ip(..) => Kind::Ip,
            Self::Email(_) => Kind::Email,
            Self::Uri(_) => Kind::Uri,
            Self::Directory(_) => Kind::Directory,
            Self::UnprocessedUri => Kind::Uri,
            Self::Other(tag) => Kind::Other(*tag),
        }
    }

    fn is_processed(&self) -> bool {
        !matches!(self, Self::Other(_) | Self::UnprocessedUri)
    }
}

/// The constraints of one CA.
#[derive(Debug)]
pub(super) struct Constraints<'a> {
    permitted: Vec<Base<'a>>,
    excluded: Vec<Base<'a>>,
}

impl<'a> Constraints<'a> {
    /// Reads the value of a nameConstraints extension. What nobody processes in it binds only where it is
    /// critical. RFC 5280 wants it critical, browsers take it as it is (BR 7.1.2.5.2); and it knows no leading
    /// dot in a DNS name, which every client takes for "only names below".
    pub(super) fn read(value: &'a [u8], critical: bool, profile: Profile) -> Result<Self, Refusal> {
        const BROKEN: Refusal = Refusal::Malformed("cannot be decoded");
        let strict = profile == Profile::Rfc5280;
        if strict && !critical {
            return Err(Refusal::Malformed("are not critical"));
        }
        let mut outer = Reader::new(value);
        let mut inner = outer.sequence().map_err(|_| BROKEN)?;
        let permitted = inner.optional(tag::context(0));
        let excluded = inner.optional(tag::context(1));
        if !inner.is_empty() || !outer.is_empty() {
            return Err(BROKEN);
        }
        if permitted.is_none() && excluded.is_none() {
            return Err(Refusal::Malformed("permit and exclude nothing"));
        }
        let read = |list: Option<crate::der::Tlv<'a>>| match list {
            None => Ok(Vec::new()),
            Some(list) => subtrees(list.reader(), strict),
        };
        let (mut permitted, mut excluded) = (read(permitted)?, read(excluded)?);
        if !critical {
            permitted.retain(Base::is_processed);
            excluded.retain(Base::is_processed);
        }
        Ok(Self { permitted, excluded })
    }

    fn has_unprocessed(&self, kind: Kind) -> bool {
        self.permitted.iter().chain(&self.excluded).any(|base| base.kind() == kind && !base.is_processed())
    }

    /// Whether all these names may be certified; `left` is how many comparisons remain.
    pub(super) fn check(&self, names: &Names<'_>, left: &mut u64) -> Result<(), Refusal> {
        // All of it before any of it, so that the cost is refused and not the first name that fails.
        let cost = names.0.len() as u64 * (self.permitted.len() + self.excluded.len()) as u64;
        *left = left.checked_sub(cost).ok_or(Refusal::Budget)?;
        for name in &names.0 {
            let refused = || Refusal::Name(name.to_text());
            let kind = name.kind();
            let mut permitted = self.permitted.iter().filter(|base| base.kind() == kind).peekable();
            let mut excluded = self.excluded.iter().filter(|base| base.kind() == kind).peekable();
            if permitted.peek().is_none() && excluded.peek().is_none() {
                continue;
            }
            if !is_comparable(name) || self.has_unprocessed(kind) {
                return Err(refused());
            }
            if excluded.any(|base| contains(base, name, true)) {
                return Err(refused());
            }
            if permitted.peek().is_some() && !permitted.any(|base| contains(base, name, false)) {
                return Err(refused());
            }
        }
        Ok(())
    }
}

fn subtrees(mut list: Reader<'_>, strict: bool) -> Result<Vec<Base<'_>>, Refusal> {
    if list.is_empty() {
        return Err(Refusal::Malformed("have an empty list"));
    }
    let mut out = Vec::new();
    while !list.is_empty() {
        let broken = |_| Refusal::Malformed("cannot be decoded");
        let mut subtree = list.sequence().map_err(broken)?;
        let element = subtree.read().map_err(broken)?;
        // minimum must be 0, which DER leaves out, and maximum absent (RFC 5280 section 4.2.1.10).
        if !subtree.is_empty() {
            return Err(Refusal::Malformed("have a minimum or maximum"));
        }
        out.push(match GeneralName::read(&element) {
            GeneralName::Dns(value) => Base::Dns(dns_base(value, strict)?),
            GeneralName::Ip(value) => ip_base(value)?,
            GeneralName::Email(value) => Base::Email(email_base(value)?),
            GeneralName::Uri(value) => host_base(value, "").map_or(Base::UnprocessedUri, Base::Uri),
            GeneralName::DirectoryName(name) if name.is_well_formed() => Base::Directory(rdns(&name)),
            GeneralName::DirectoryName(_) => {
                return Err(Refusal::Malformed("have a malformed directory name"));
            }
            GeneralName::OtherName { .. } => Base::Other(0),
            GeneralName::RegisteredId(_) => Base::Other(8),
            GeneralName::Other { tag, .. } => Base::Other(tag & 0x1f),
        });
    }
    Ok(out)
}

/// A host, `.domain` for hosts below it, or nothing for all.
fn host_base<'a>(value: &'a [u8], what: &'static str) -> Result<&'a [u8], Refusal> {
    let host = value.strip_prefix(b".").unwrap_or(value);
    if value.is_empty() || is_host(host) { Ok(value) } else { Err(Refusal::Malformed(what)) }
}

fn dns_base(value: &[u8], strict: bool) -> Result<&[u8], Refusal> {
    const WHAT: &str = "have a DNS name that is none";
    if strict && value.starts_with(b".") {
        return Err(Refusal::Malformed("have a DNS name with a leading dot"));
    }
    // A final dot says "from the root of the DNS", where all names begin anyway.
    host_base(value.strip_suffix(b".").unwrap_or(value), WHAT)
}

fn ip_base(value: &[u8]) -> Result<Base<'_>, Refusal> {
    if !matches!(value.len(), 8 | 32) {
        return Err(Refusal::Malformed("have an address of a wrong length"));
    }
    let (address, mask) = value.split_at(value.len() / 2);
    let mut ended = false;
    for bit in mask.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)) {
        if bit && ended {
            return Err(Refusal::Malformed("have an address mask with holes"));
        }
        ended |= !bit;
    }
    Ok(Base::Ip(address, mask))
}

fn email_base(value: &[u8]) -> Result<&[u8], Refusal> {
    const WHAT: &str = "have an e-mail address that is none";
    match mailbox(value) {
        Some(([], _)) => Err(Refusal::Malformed(WHAT)),
        Some(_) => Ok(value),
        None if value.contains(&b'@') => Err(Refusal::Malformed(WHAT)),
        None if ip_like(value) => Ok(value),
        None => host_base(value, WHAT),
    }
}

fn ip_like(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|octet| octet.is_ascii_digit() || *octet == b'.')
}

/// Local part and host; `None` where it is not exactly that. Quoted local parts are not taken apart.
fn mailbox(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = value.iter().position(|octet| *octet == b'@')?;
    let (local, host) = (value.get(..at)?, value.get(at + 1..)?);
    let plain = |octet: &u8| {
        octet.is_ascii_graphic()
            && !matches!(
                octet,
                b'@' | b'"' | b'\\' | b'(' | b')' | b',' | b':' | b';' | b'<' | b'>' | b'[' | b']'
            )
    };
    (local.iter().all(plain) && (is_host(host) || ip_like(host))).then_some((local, host))
}

/// Whether a name has the form of its kind, without which no constraint can be applied to it.
fn is_comparable(name: &Subject<'_>) -> bool {
    match name {
        Subject::Dns(value) => is_host(value.strip_prefix(b"*.").unwrap_or(value)),
        Subject::Ip(value) => matches!(value.len(), 4 | 16),
        Subject::Email(value) => mailbox(value).is_some_and(|(local, _)| !local.is_empty()),
        Subject::Uri(value) => uri_host(value).is_some(),
        Subject::Directory(_, name) => name.is_well_formed(),
        Subject::Other(_) => false,
    }
}

/// The host of a URI; `None` where it has none, or an address, to which constraints cannot be applied
/// (RFC 5280 section 4.2.1.10).
fn uri_host(value: &[u8]) -> Option<&[u8]> {
    let text = value.iter().position(|octet| *octet == b':')?;
    let rest = value.get(text + 1..)?.strip_prefix(b"//")?;
    let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let start = authority.iter().rposition(|octet| *octet == b'@').map_or(0, |at| at + 1);
    let host = authority.get(start..)?;
    let host = host.split(|octet| *octet == b':').next()?;
    is_host(host).then_some(host)
}

fn contains(base: &Base<'_>, name: &Subject<'_>, excluding: bool) -> bool {
    match (base, name) {
        (Base::Dns(base), Subject::Dns(name)) => dns_contains(base, name, excluding),
        (Base::Ip(address, mask), Subject::Ip(name)) => {
            address.len() == name.len()
                && address.iter().zip(*mask).zip(*name).all(|((a, mask), b)| a & mask == b & mask)
        }
        (Base::Email(base), Subject::Email(name)) => email_contains(base, name),
        (Base::Uri(base), Subject::Uri(name)) => uri_host(name).is_some_and(|host| host_contains(base, host)),
        (Base::Directory(base), Subject::Directory(name, _)) => name.starts_with(base),
        _ => false,
    }
}

/// Equal but for case, or `end` after any labels.
fn dns_contains(base: &[u8], name: &[u8], excluding: bool) -> bool {
    if base.is_empty() {
        return true;
    }
    let only_below = base.starts_with(b".");
    let bare = base.strip_prefix(b".").unwrap_or(base);
    if is_below(bare, name) || (!only_below && bare.eq_ignore_ascii_case(name)) {
        return true;
    }
    // `*.example.com` stands for `a.example.com`, too: excluding the one excludes the other.
    let Some(parent) = name.strip_prefix(b"*.").filter(|_| excluding) else { return false };
    let above = bare.iter().position(|octet| *octet == b'.').and_then(|dot| bare.get(dot + 1..));
    above.is_some_and(|above| above.eq_ignore_ascii_case(parent)) && !only_below
}

/// Whether `name` is `base` with labels before it.
fn is_below(base: &[u8], name: &[u8]) -> bool {
    name.len()
        .checked_sub(base.len())
        .is_some_and(|at| at >= 2 && name[at..].eq_ignore_ascii_case(base) && name[at - 1] == b'.')
}

/// RFC 5280: a host is exactly that host, and `.domain` every host below it.
fn host_contains(base: &[u8], host: &[u8]) -> bool {
    match base.strip_prefix(b".") {
        Some(domain) => is_below(domain, host),
        None => base.is_empty() || base.eq_ignore_ascii_case(host),
    }
}

fn email_contains(base: &[u8], name: &[u8]) -> bool {
    let Some((local, host)) = mailbox(name) else { return false };
    match mailbox(base) {
        // The local part is compared as it is, the host without case (RFC 5280 section 7.5).
        Some((base_local, base_host)) => local == base_local && host.eq_ignore_ascii_case(base_host),
        None => host_contains(base, host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: Base<'_>, name: Subject<'_>, permits: bool, excludes: bool) {
        assert!(is_comparable(&name), "{name:?}");
        assert_eq!(
            (contains(&base, &name, false), contains(&base, &name, true)),
            (permits, excludes),
            "{base:?} {name:?}"
        );
    }

    #[test]
    fn containment() {
        let dns = |base: &'static str, name: &'static str, permits, excludes| {
            check(
                Base::Dns(base.as_bytes()),
                Subject::Dns(Cow::Borrowed(name.as_bytes())),
                permits,
                excludes,
            );
        };
        dns("example.com", "example.com", true, true);
        dns("example.com", "a.b.EXAMPLE.com", true, true);
        dns("example.com", "badexample.com", false, false);
        dns(".example.com", "example.com", false, false);
        dns(".example.com", "a.example.com", true, true);
        dns("", "a.example.com", true, true);
        dns("a.example.com", "*.example.com", false, true);
        dns("example.com", "*.example.com", true, true);
        dns("b.a.example.com", "*.example.com", false, false);
        let email = |base: &'static str, name: &'static str, both| {
            check(Base::Email(base.as_bytes()), Subject::Email(name.as_bytes()), both, both);
        };
        email("a@example.com", "a@EXAMPLE.com", true);
        email("a@example.com", "A@example.com", false);
        email("example.com", "a@example.com", true);
        email("example.com", "a@b.example.com", false);
        email(".example.com", "a@b.example.com", true);
        let uri = |base: &'static str, name: &'static str, both| {
            check(Base::Uri(base.as_bytes()), Subject::Uri(name.as_bytes()), both, both);
        };
        uri("example.com", "https://u@example.com:8443/x", true);
        uri(".example.com", "https://example.com", false);
        uri(".example.com", "https://a.example.com?q", true);
        check(Base::Ip(&[10, 0, 0, 0], &[255, 0, 0, 0]), Subject::Ip(&[10, 1, 2, 3]), true, true);
        check(Base::Ip(&[10, 0, 0, 0], &[255, 0, 0, 0]), Subject::Ip(&[11, 1, 2, 3]), false, false);
    }

    #[test]
    fn malformed_constraints() {
        for value in [&[][..], &[0x30, 0], &[0x30, 2, 0xa0, 0], &[0x30, 4, 0xa0, 2, 0x30, 0]] {
            assert!(
                matches!(Constraints::read(value, true, Profile::Common), Err(Refusal::Malformed(_))),
                "{value:?}"
            );
        }
        assert!(ip_base(&[10, 0, 0, 0, 255, 0, 255, 0]).is_err());
        assert!(ip_base(&[10, 0, 0]).is_err());
        assert!(dns_base(b"*.example.com", false).is_err());
        assert!(dns_base(b".example.com", false).is_ok() && dns_base(b".example.com", true).is_err());
    }
}
