//! The inventory's search language: `expires<30d owner:none issuer:"Let's Encrypt" name:*.example.com`.
//!
//! Words are joined by "and"; `-` in front turns a word round; a bare word is looked for in names,
//! subjects, places and identities. Parsing is here, once, for `ls`, the pages and the API; what a term
//! means in the database is `store`'s. A mistake is explained, never ignored: a filter that silently
//! filters nothing is how things are overlooked.

use std::fmt;
use std::net::IpAddr;

use notafter_pki::time::{Civil, DAY};

use crate::UnixTime;
use crate::finding::{Kind, Severity};
use crate::inventory::{AssetKind, Role};

/// A query: every term must hold. Empty: everything that is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The terms.
    pub terms: Vec<Term>,
}

/// One word of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Turned round by `-` in front?
    pub not: bool,
    /// What must hold.
    pub test: Test,
}

/// What a term tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `expires<30d`, `expires>2027-01-01`: the end against `now` plus a span, or against a date.
    Ends(Order, When),
    /// `issued<7d`: begun within the last span (`<`), or longer ago (`>`).
    Began(Order, When),
    /// `seen<1d`: first seen within the last span.
    FirstSeen(Order, When),
    /// `owner:web`; `None` is `owner:none`.
    Owner(Option<String>),
    /// `issuer:"Let's Encrypt"`: part of the issuer's name, letters of either case.
    Issuer(String),
    /// `subject:...`: part of what it is called.
    Subject(String),
    /// `name:a.test`, `name:*.a.test` (below it, and itself for `name:**.a.test`), in lower case.
    Name(NamePattern),
    /// `id:sha256:ab12`: the identity, or how it begins, as hex.
    Id(String),
    /// `location:10.0.3.0/24`: at an address of this network.
    Network(IpAddr, u8),
    /// `location:tls://10.0.3.9`: at a place that begins so.
    Location(String),
    /// `path:/etc/nginx/**`: in a file that matches.
    Path(String),
    /// `kind:certificate`.
    Kind(String),
    /// `role:leaf`.
    Role(String),
    /// `key:rsa`: part of the key's algorithm with its size (`rsa-2048`, `ecdsa-p256`).
    Key(String),
    /// `finding:expires-soon`; `None` is `finding:any`, and `finding:none` its opposite.
    Finding(Option<Kind>),
    /// `severity:warning`: a finding at least so bad.
    Severity(Severity),
    /// `source:office`: seen by this source.
    Source(String),
    /// `service:login`: at a place of this service of the status page.
    Service(String),
    /// `is:ca`, `is:unseen`, ...
    Is(State),
    /// A bare word.
    Text(String),
}

/// Smaller or greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Order {
    Before,
    After,
}

/// An instant, fixed or relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A date.
    At(UnixTime),
    /// A span in seconds.
    Span(i64),
}

/// A DNS name or a tree of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// Exactly this name.
    Exact(String),
    /// Names below this one (`*.example.com`, which also finds the wildcard itself).
    Below(String),
    /// This name and those below it (`**.example.com`).
    Tree(String),
}

impl NamePattern {
    /// Reads one. `None`: a star stands elsewhere than in front, for whole labels.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let pattern = match (text.strip_prefix("**."), text.strip_prefix("*.")) {
            (Some(tree), _) => Self::Tree(tree.to_owned()),
            (_, Some(below)) => Self::Below(below.to_owned()),
            _ => Self::Exact(text),
        };
        let (Self::Exact(rest) | Self::Below(rest) | Self::Tree(rest)) = &pattern;
        (!rest.contains('*')).then_some(pattern)
    }

    /// Does it speak of this DNS name?
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let below = |top: &str| name.strip_suffix(top).is_some_and(|rest| rest.ends_with('.'));
        match self {
            Self::Exact(own) => name == *own,
            Self::Below(top) => below(top),
            Self::Tree(top) => name == *top || below(top),
        }
    }
}

/// `is:...`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A CA certificate.
    Ca,
    /// Its own issuer.
    SelfSigned,
    /// Past its end.
    Expired,
    /// At a place where it was seen at the last look.
    InUse,
    /// Nowhere any more; found only with this word.
    Gone,
    /// At a place that did not answer at the last look.
    Unseen,
    /// A later one of its line is in use.
    Superseded,
    /// Served at an address, rather than only lying in a file.
    Served,
}

const STATES: &[(&str, State)] = &[
    ("ca", State::Ca),
    ("self-signed", State::SelfSigned),
    ("expired", State::Expired),
    ("in-use", State::InUse),
    ("gone", State::Gone),
    ("unseen", State::Unseen),
    ("superseded", State::Superseded),
    ("served", State::Served),
];

/// The keys, for hints and the help text: each with an example.
pub const KEYS: &[(&str, &str)] = &[
    ("expires", "expires<30d, expires>2027-03-15"),
    ("issued", "issued<7d"),
    ("seen", "seen<1d (new since yesterday)"),
    ("owner", "owner:web, owner:none"),
    ("issuer", "issuer:\"Let's Encrypt\""),
    ("subject", "subject:intranet"),
    ("name", "name:login.example.com, name:*.example.com"),
    ("id", "id:sha256:7f3a91"),
    ("location", "location:10.0.3.0/24, location:tls://10.0.3.9:443"),
    ("path", "path:/etc/nginx/**"),
    ("kind", "kind:certificate, kind:crl"),
    ("role", "role:leaf, role:trust-anchor"),
    ("key", "key:rsa, key:ecdsa"),
    ("finding", "finding:key-exposed, finding:any, finding:none"),
    ("severity", "severity:critical"),
    ("source", "source:office"),
    ("service", "service:login"),
    ("is", "is:ca, is:self-signed, is:expired, is:in-use, is:gone, is:unseen, is:superseded, is:served"),
];

/// What is wrong with a query, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for QueryError {}

/// So many letters: the same in the API, the pages and the command line.
pub const LENGTH_MAX: usize = 2000;
/// So many terms are enough for anybody; more would make a statement without bound.
const TERMS_MAX: usize = 32;

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// An unknown key, a value that the key cannot have, an open quote.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.chars().count() > LENGTH_MAX {
            return Err(QueryError {
                message: format!("the query has more than {LENGTH_MAX} letters"),
                hint: "ask in two steps".into(),
            });
        }
        let mut terms = Vec::new();
        for word in words(text)? {
            terms.push(Term::parse(&word)?);
        }
        if terms.len() > TERMS_MAX {
            return Err(QueryError {
                message: format!("the query has {} words; {TERMS_MAX} are the most", terms.len()),
                hint: "ask in two steps".into(),
            });
        }
        Ok(Self { terms })
    }
}

/// Words by blanks; quotes keep blanks together, wherever in a word they stand.
fn words(text: &str) -> Result<Vec<String>, QueryError> {
    let mut out = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if any {
                    out.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if quoted {
        return Err(QueryError { message: "a quote is never closed".into(), hint: "add a \"".into() });
    }
    if any {
        out.push(word);
    }
    Ok(out)
}

impl fmt::Display for Term {
    /// As a user would write it: parsed again it is the same term.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What holds blanks is quoted; a quote itself can stand in no term.
        let value = |text: &str| {
            if text.chars().any(char::is_whitespace) { format!("\"{text}\"") } else { text.to_owned() }
        };
        let order = |order: &Order| if *order == Order::Before { '<' } else { '>' };
        let when = |when: &When| match when {
            When::At(at) => at.to_string().chars().take(10).collect(),
            When::Span(seconds) if seconds % DAY == 0 => format!("{}d", seconds / DAY),
            When::Span(seconds) => format!("{seconds}s"),
        };
        // `finding:none` is kept as "not any".
        f.write_str(if self.not { "-" } else { "" })?;
        match &self.test {
            Test::Ends(o, at) => write!(f, "expires{}{}", order(o), when(at)),
            Test::Began(o, at) => write!(f, "issued{}{}", order(o), when(at)),
            Test::FirstSeen(o, at) => write!(f, "seen{}{}", order(o), when(at)),
            Test::Owner(owner) => write!(f, "owner:{}", value(owner.as_deref().unwrap_or("none"))),
            Test::Issuer(text) => write!(f, "issuer:{}", value(text)),
            Test::Subject(text) => write!(f, "subject:{}", value(text)),
            Test::Name(NamePattern::Exact(name)) => write!(f, "name:{}", value(name)),
            Test::Name(NamePattern::Below(name)) => write!(f, "name:*.{}", value(name)),
            Test::Name(NamePattern::Tree(name)) => write!(f, "name:**.{}", value(name)),
            Test::Id(id) => write!(f, "id:sha256:{id}"),
            Test::Network(ip, bits) => write!(f, "location:{ip}/{bits}"),
            Test::Location(text) => write!(f, "location:{}", value(text)),
            Test::Path(text) => write!(f, "path:{}", value(text)),
            Test::Kind(text) => write!(f, "kind:{}", value(text)),
            Test::Role(text) => write!(f, "role:{}", value(text)),
            Test::Key(text) => write!(f, "key:{}", value(text)),
            Test::Finding(kind) => write!(f, "finding:{}", kind.map_or("any", |k| k.as_str())),
            Test::Severity(severity) => write!(f, "severity:{}", severity.as_str()),
            Test::Source(text) => write!(f, "source:{}", value(text)),
            Test::Service(text) => write!(f, "service:{}", value(text)),
            Test::Is(state) => {
                let word = STATES.iter().find(|(_, known)| known == state).map_or("", |(word, _)| word);
                write!(f, "is:{word}")
            }
            Test::Text(text) => f.write_str(&value(text)),
        }
    }
}

impl Term {
    fn parse(word: &str) -> Result<Self, QueryError> {
        let (not, word) = match word.strip_prefix(['-', '!']) {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, word),
        };
        let at = word.find([':', '<', '>', '=']);
        let Some((key, sign, value)) = at.map(|at| (&word[..at], &word[at..=at], &word[at + 1..])) else {
            return Ok(Self { not, test: Test::Text(word.to_lowercase()) });
        };
        // `sha256:ab..`, `tls://..`, `file:///..` and addresses are things to look for, not keys.
        if key == "sha256" {
            return Ok(Self { not, test: Test::Id(hex(value)?) });
        }
        if value.starts_with("//") && sign == ":" {
            return Ok(Self { not, test: Test::Location(word.to_owned()) });
        }
        if word.parse::<IpAddr>().is_ok() {
            return Ok(Self { not, test: network(word)? });
        }
        let key = key.to_ascii_lowercase();
        let test = match (key.as_str(), sign) {
            ("expires" | "issued" | "seen", "<" | ">") => {
                let order = if sign == "<" { Order::Before } else { Order::After };
                let when = when(&key, value)?;
                match key.as_str() {
                    "expires" => Test::Ends(order, when),
                    "issued" => Test::Began(order, when),
                    _ => Test::FirstSeen(order, when),
                }
            }
            ("expires" | "issued" | "seen", _) => {
                return Err(wrong(&key, value, &format!("write {key}<30d or {key}>2027-03-15")));
            }
            (_, "<" | ">") if KEYS.iter().any(|(known, _)| *known == key) => {
                return Err(wrong(&key, value, "< and > go with expires, issued and seen; write a : here"));
            }
            ("owner", _) => Test::Owner((!value.eq_ignore_ascii_case("none")).then(|| value.to_owned())),
            ("issuer", _) => Test::Issuer(value.to_lowercase()),
            ("subject", _) => Test::Subject(value.to_lowercase()),
            ("name", _) => Test::Name(name(value)?),
            ("id", _) => Test::Id(hex(value.strip_prefix("sha256:").unwrap_or(value))?),
            ("location" | "at", _) if value.contains("://") => Test::Location(value.to_owned()),
            ("location" | "at", _) => network(value)?,
            ("path", _) => Test::Path(value.to_owned()),
            ("kind", _) => Test::Kind(one_of("kind", value, AssetKind::ALL.iter().map(|k| k.as_str()))?),
            ("role", _) => Test::Role(one_of("role", value, Role::ALL.iter().map(|r| r.as_str()))?),
            ("key", _) => Test::Key(value.to_lowercase()),
            ("finding", _) => Test::Finding(finding(&value.to_ascii_lowercase())?),
            ("severity", _) => Test::Severity(severity(&value.to_ascii_lowercase())?),
            ("source", _) => Test::Source(value.to_owned()),
            ("service", _) => Test::Service(value.to_owned()),
            ("is", _) => Test::Is(state(&value.to_ascii_lowercase())?),
            _ => return Err(unknown(&key)),
        };
        // `finding:none` says the opposite of `finding:any`.
        let not = not ^ (key == "finding" && value.eq_ignore_ascii_case("none"));
        Ok(Self { not, test })
    }
}

/// A word of a closed list.
fn one_of<'a>(
    key: &str,
    value: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<String, QueryError> {
    let word = value.to_ascii_lowercase();
    if known.clone().any(|k| k == word) {
        return Ok(word);
    }
    let hint = match nearest(&word, known.clone()) {
        Some(near) => format!("did you mean {key}:{near}?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    Err(wrong(key, value, &hint))
}

fn finding(value: &str) -> Result<Option<Kind>, QueryError> {
    if value == "any" || value == "none" {
        return Ok(None);
    }
    let kind = Kind::ALL.iter().find(|k| k.as_str() == value);
    kind.map(|k| Some(*k)).ok_or_else(|| {
        let known = Kind::ALL.iter().map(|k| k.as_str());
        let hint = nearest(value, known).map_or_else(
            || "finding:any finds all that have one".to_owned(),
            |near| format!("did you mean finding:{near}?"),
        );
        wrong("finding", value, &hint)
    })
}

fn severity(value: &str) -> Result<Severity, QueryError> {
    [Severity::Critical, Severity::Warning, Severity::Info]
        .into_iter()
        .find(|s| s.as_str() == value)
        .ok_or_else(|| wrong("severity", value, "it is critical, warning or info"))
}

fn state(value: &str) -> Result<State, QueryError> {
    STATES.iter().find(|(word, _)| *word == value).map(|(_, state)| *state).ok_or_else(|| {
        let known: Vec<_> = STATES.iter().map(|(word, _)| *word).collect();
        wrong("is", value, &format!("known are {}", known.join(", ")))
    })
}

fn name(value: &str) -> Result<NamePattern, QueryError> {
    NamePattern::read(value).ok_or_else(|| {
        let hint = "a * stands in front alone, for whole labels: name:*.example.com; a bare word finds parts";
        wrong("name", &value.to_lowercase(), hint)
    })
}

fn network(value: &str) -> Result<Test, QueryError> {
    let explain = || {
        wrong(
            "location",
            value,
            "write a network (10.0.3.0/24), an address, or the beginning of a place (tls://...)",
        )
    };
    let (base, length) = value.split_once('/').unwrap_or((value, ""));
    let ip: IpAddr = base.trim_matches(['[', ']']).parse().map_err(|_| explain())?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let length: u8 = if length.is_empty() { bits } else { length.parse().map_err(|_| explain())? };
    if length > bits { Err(explain()) } else { Ok(Test::Network(ip, length)) }
}

fn hex(value: &str) -> Result<String, QueryError> {
    let fits = (2..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_hexdigit());
    if fits {
        Ok(value.to_ascii_lowercase())
    } else {
        Err(wrong("id", value, "write the SHA-256 or how it begins, as hex: id:sha256:7f3a91"))
    }
}

fn when(key: &str, value: &str) -> Result<When, QueryError> {
    if let Some(seconds) = span(value) {
        return Ok(When::Span(seconds));
    }
    date(value)
        .map(When::At)
        .ok_or_else(|| wrong(key, value, "write a span (12h, 30d, 6w, 1y) or a date (2027-03-15)"))
}

/// `2027-03-15`: its first instant, UTC.
fn date(text: &str) -> Option<UnixTime> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let civil = Civil {
        year: year.parse().ok()?,
        month: month.parse().ok()?,
        day: day.parse().ok()?,
        hour: 0,
        minute: 0,
        second: 0,
    };
    UnixTime::from_civil(civil)
}

/// `90s`, `5m`, `12h`, `30d`, `6w`, `1y` in seconds; a bare number counts days.
pub fn span(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: i64 = number.parse().ok()?;
    let unit = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" | "" => DAY,
        "w" => 7 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    number.checked_mul(unit)
}

fn wrong(key: &str, value: &str, hint: &str) -> QueryError {
    QueryError { message: format!("`{key}` cannot be `{value}`"), hint: hint.to_owned() }
}

fn unknown(key: &str) -> QueryError {
    let keys = || KEYS.iter().map(|(key, _)| *key);
    let hint = match nearest(key, keys()) {
        Some(near) => format!("did you mean `{near}`? put quotes around a text with a colon"),
        None => format!("known are {}", keys().collect::<Vec<_>>().join(", ")),
    };
    QueryError { message: format!("nothing can be asked about by `{key}`"), hint }
}

/// The known word that is the fewest typing mistakes away, two at most.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let best = known.map(|k| (distance(word, k), k)).min_by_key(|(d, _)| *d)?;
    (best.0 <= 2 && best.0 < word.len().max(1)).then_some(best.1)
}

/// Levenshtein's distance over bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, not: bool, test: Test) {
        assert_eq!(Query::parse(text).unwrap().terms, [Term { not, test }], "{text}");
    }

    #[test]
    fn words_of_the_language() {
        check("expires<30d", false, Test::Ends(Order::Before, When::Span(30 * DAY)));
        check("expires>2027-03-15", false, Test::Ends(Order::After, When::At(UnixTime(1_805_068_800))));
        check("owner:none", false, Test::Owner(None));
        check("-owner:web", true, Test::Owner(Some("web".into())));
        check("issuer:\"Let's Encrypt\"", false, Test::Issuer("let's encrypt".into()));
        check("name:*.Example.com", false, Test::Name(NamePattern::Below("example.com".into())));
        check("name:**.example.com", false, Test::Name(NamePattern::Tree("example.com".into())));
        check("sha256:AB12", false, Test::Id("ab12".into()));
        check("tls://10.0.0.1:443", false, Test::Location("tls://10.0.0.1:443".into()));
        check("location:10.0.3.0/24", false, Test::Network("10.0.3.0".parse().unwrap(), 24));
        check("2001:db8::1", false, Test::Network("2001:db8::1".parse().unwrap(), 128));
        check("is:unseen", false, Test::Is(State::Unseen));
        check("finding:none", true, Test::Finding(None));
        check("Severity:WARNING", false, Test::Severity(Severity::Warning));
        check("owner:NONE", false, Test::Owner(None));
        check("finding:None", true, Test::Finding(None));
        check("role:Leaf", false, Test::Role("leaf".into()));
        check("-finding:none", false, Test::Finding(None));
        check("finding:key-exposed", false, Test::Finding(Some(Kind::KeyExposed)));
        check("Example", false, Test::Text("example".into()));
        check("-", false, Test::Text("-".into()));
    }

    #[test]
    fn a_term_is_written_as_it_is_read() {
        for text in [
            "expires<30d",
            "expires>2027-03-15",
            "seen<90s",
            "owner:none",
            "-owner:web",
            "issuer:\"let's encrypt\"",
            "name:a.test",
            "name:*.a.test",
            "name:**.a.test",
            "id:sha256:ab12",
            "location:10.0.3.0/24",
            "location:tls://10.0.0.1:443",
            "path:/etc/nginx/**",
            "kind:crl",
            "role:leaf",
            "key:rsa-2048",
            "finding:any",
            "-finding:any",
            "finding:key-exposed",
            "severity:warning",
            "source:\"web ports\"",
            "service:login",
            "is:self-signed",
            "example",
        ] {
            assert_eq!(Query::parse(text).unwrap().terms[0].to_string(), text);
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, says) in [
            ("expire<30d", "did you mean `expires`"),
            ("expires:30d", "expires<30d"),
            ("expires<soon", "a span"),
            ("finding:expire-soon", "expires-soon"),
            ("is:ded", "superseded"),
            ("name:node*.a.test", "whole labels"),
            ("location:10.0.0.0/99", "network"),
            ("name:\"a", "add a"),
            ("owner<3", "write a :"),
            ("kind:xyzzy", "known are certificate, crl"),
            ("kind:certificat", "did you mean kind:certificate?"),
            ("role:leave", "did you mean role:leaf?"),
            (&"a".repeat(2001), "more than 2000 letters"),
        ] {
            let error = Query::parse(text).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        assert!(Query::parse(&"a ".repeat(33)).is_err());
        assert!(Query::parse("").unwrap().terms.is_empty());
    }
}
