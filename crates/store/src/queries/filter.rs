//! From the words of a query to SQL. Whatever a person wrote is bound as a parameter, never part of a statement.
//!
//! What has an index is a subquery; what a database cannot say (networks, globs) is decided here over the places'
//! texts, and their numbers are bound as one list.

use std::net::IpAddr;

use notafter_core::glob;
use notafter_core::location::Location;
use notafter_core::query::{NamePattern, Order, Query, State, Term, Test, When};
use notafter_core::{UnixTime, query};

use crate::db::{Cell, Conn, Result, Value, args};
use crate::places::{hash48, names_below, reversed};
use crate::read::{CA, SELF_SIGNED, SUPERSEDED};
use crate::{StoreError, Trouble, texts};

use super::known::Names;

/// Up to so many candidates it is cheaper to fetch them all and sort than to walk the order and test.
const NARROW_MAX: i64 = 2000;

/// A condition over `asset a`.
#[derive(Default)]
pub(crate) struct Filter {
    pub(crate) sql: String,
    pub(crate) values: Vec<Cell>,
    /// Few can match, and an index finds them.
    pub(crate) narrow: bool,
}

impl Filter {
    /// The parameters, followed by more.
    pub(crate) fn with<'v>(&'v self, more: &[Value<'v>]) -> Vec<Value<'v>> {
        let own = self.values.iter().map(Cell::as_value);
        own.chain(more.iter().copied()).collect()
    }
}

/// The condition for all identities that begin with these hex digits.
pub(crate) fn identity(c: &mut Conn<'_>, prefix: &str) -> (String, Vec<Cell>) {
    let mut compiler = Compiler::new(c, &[], None, UnixTime(0));
    let sql = compiler.id(prefix);
    (sql, compiler.values)
}

/// What compiling needs to know.
pub(crate) struct Compiler<'q, 'c> {
    pub(crate) c: &'q mut Conn<'c>,
    pub(crate) services: &'q [(String, Vec<Term>)],
    names: Option<&'q Names>,
    pub(crate) now: UnixTime,
    values: Vec<Cell>,
    narrow: bool,
    gone: bool,
}

impl<'q, 'c> Compiler<'q, 'c> {
    pub(crate) fn new(
        c: &'q mut Conn<'c>,
        services: &'q [(String, Vec<Term>)],
        names: Option<&'q Names>,
        now: UnixTime,
    ) -> Self {
        Self { c, services, names, now, values: Vec::new(), narrow: false, gone: false }
    }

    pub(crate) fn compile(mut self, query: &Query) -> Result<Filter> {
        self.gone = query.terms.iter().any(|t| !t.not && t.test == Test::Is(State::Gone));
        let mut parts = vec![if self.gone { "a.places = 0".to_owned() } else { "a.places > 0".to_owned() }];
        for term in &query.terms {
            let before = self.narrow;
            let sql = self.test(&term.test, 0)?;
            if term.not {
                self.narrow = before;
                parts.push(format!("NOT coalesce({sql}, false)"));
            } else {
                parts.push(format!("({sql})"));
            }
        }
        let mut sql = parts.join(" AND ");
        if !self.narrow {
            // Walk the order and test, rather than fetch all that match and sort.
            sql = sql.replace("a.id IN ", "+a.id IN ");
        }
        Ok(Filter { sql, values: self.values, narrow: self.narrow })
    }

    fn bind(&mut self, value: Cell) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn text(&mut self, text: &str) -> String {
        self.bind(Cell::Text(notafter_pki::name::printable(text)))
    }

    fn int(&mut self, value: i64) -> String {
        self.bind(Cell::Int(value))
    }

    /// Part of a text, whatever signs of a pattern stand in it.
    fn part(&mut self, text: &str) -> String {
        let mut out = String::from("%");
        for c in text.to_lowercase().chars() {
            if matches!(c, '%' | '_' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('%');
        self.text(&out)
    }

    fn open(&self) -> &'static str {
        if self.gone { "" } else { " AND p.gone IS NULL" }
    }

    fn test(&mut self, test: &Test, depth: usize) -> Result<String> {
        Ok(match test {
            Test::Ends(order, when) => {
                let bound = match when {
                    When::At(at) => at.0,
                    When::Span(span) => self.now.0.saturating_add(*span),
                };
                let bound = self.int(bound);
                format!("a.not_after {} {bound}", sign(*order))
            }
            Test::Began(order, when) => self.since("a.not_before", *order, *when),
            Test::FirstSeen(order, when) => self.since("a.first_seen", *order, *when),
            Test::Owner(None) => "a.owner IS NULL".into(),
            Test::Owner(Some(name)) => {
                let alike: Vec<String> = match self.names {
                    Some(names) => names.owners_like(name).map(str::to_owned).collect(),
                    None => vec![name.clone()],
                };
                let one = |name: &String| {
                    let hash = self.int(hash48(name.as_bytes()));
                    let name = self.text(name);
                    format!("(hash = {hash} AND text = {name})")
                };
                let parts: Vec<_> = alike.iter().map(one).collect();
                format!("a.owner IN (SELECT id FROM word WHERE {})", parts.join(" OR "))
            }
            Test::Issuer(text) => {
                let part = self.part(text);
                format!("a.issuer IN (SELECT id FROM dname WHERE folded LIKE {part} ESCAPE '\\')")
            }
            Test::Subject(text) => {
                let part = self.part(text);
                format!(
                    "lower(a.title) LIKE {part} ESCAPE '\\' OR a.subject IN (SELECT id FROM dname WHERE folded LIKE {part} ESCAPE '\\')
                     OR a.id IN (SELECT asset FROM called WHERE folded LIKE {part} ESCAPE '\\')"
                )
            }
            Test::Name(pattern) => self.name(pattern)?,
            Test::Id(prefix) => {
                self.narrow |= prefix.len() >= 4;
                self.id(prefix)
            }
            Test::Network(base, length) => {
                let (base, length) = (*base, *length);
                self.at_places("'tls://'", &|l| l.ip().is_some_and(|ip| in_network(ip, base, length)))?
            }
            Test::Location(prefix) => {
                let end = format!("{prefix}\u{10ffff}");
                let rows = self.c.query(
                    "SELECT id FROM location WHERE text >= $1 AND text < $2",
                    args![&notafter_pki::name::printable(prefix), &end],
                )?;
                let ids = rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>>>()?;
                self.placed(&ids)
            }
            Test::Path(pattern) => {
                let matches =
                    |l: &Location| l.path().is_some_and(|path| glob::matches(pattern.as_bytes(), &path));
                self.at_places("'file:'", &matches)?
            }
            Test::Kind(word) => {
                let kind = self.int(texts::kind_of_word(word).unwrap_or(-1));
                format!("a.kind = {kind}")
            }
            Test::Role(word) => {
                let role = self.int(texts::role_of_word(word).unwrap_or(-1));
                let open = self.open();
                format!(
                    "a.id IN (SELECT p.asset FROM placement p WHERE coalesce(p.shown, p.role) = {role}{open})"
                )
            }
            Test::Key(text) => {
                let plain = |text: &str| text.to_lowercase().replace([' ', '-'], "");
                let wanted = plain(text);
                let mut ids = Vec::new();
                for mut row in self.c.query("SELECT id, text FROM word", &[])? {
                    if plain(&row.text(1)?).contains(&wanted) {
                        ids.push(row.int(0)?);
                    }
                }
                self.list("a.label", &ids)
            }
            Test::Finding(None) => "a.findings > 0".into(),
            Test::Finding(Some(kind)) => {
                let kind = self.text(kind.as_str());
                format!(
                    "a.findings > 0 AND a.id IN
                       (SELECT asset FROM finding WHERE resolved IS NULL AND kind = {kind} AND asset IS NOT NULL)"
                )
            }
            Test::Severity(severity) => {
                let number = self.int(texts::severity_number(*severity));
                format!("a.severity <= {number}")
            }
            Test::Source(name) => {
                let (name, open) = (self.text(name), self.open());
                format!(
                    "a.id IN (SELECT p.asset FROM placement p JOIN source s ON s.id = p.source WHERE lower(s.name) = lower({name}){open})"
                )
            }
            Test::Service(name) => self.service(name, depth)?,
            Test::Is(state) => self.state(*state),
            Test::Text(text) => self.bare(text),
        })
    }

    fn since(&mut self, column: &str, order: Order, when: When) -> String {
        // `seen<1d` is within the last day: the instant lies after a day ago.
        let (sign, bound) = match (when, order) {
            (When::At(at), order) => (sign(order), at.0),
            (When::Span(span), Order::Before) => (">", self.now.0.saturating_sub(span)),
            (When::Span(span), Order::After) => ("<", self.now.0.saturating_sub(span)),
        };
        let bound = self.int(bound);
        format!("{column} {sign} {bound}")
    }

    fn name(&mut self, pattern: &NamePattern) -> Result<String> {
        let (exact, tree) = match pattern {
            NamePattern::Exact(name) => (Some(reversed(name)), None),
            NamePattern::Below(name) => (None, Some(reversed(name))),
            NamePattern::Tree(name) => (Some(reversed(name)), Some(reversed(name))),
        };
        let mut parts = Vec::new();
        let mut few = true;
        if let Some(name) = exact {
            let marker = self.text(&name);
            parts.push(format!("name = {marker}"));
        }
        if let Some(name) = tree {
            let (from, to) = names_below(&name);
            let counted = self.c.one(
                "SELECT count(*) FROM (SELECT 1 FROM name WHERE name >= $1 AND name < $2 LIMIT $3) few",
                args![&from, &to, NARROW_MAX + 1],
            )?;
            few = counted.int(0)? <= NARROW_MAX;
            let (from, to) = (self.text(&from), self.text(&to));
            parts.push(format!("(name >= {from} AND name < {to})"));
        }
        self.narrow |= few;
        Ok(format!("a.id IN (SELECT asset FROM name WHERE {})", parts.join(" OR ")))
    }

    /// All identities that begin with these hex digits: a range of the first eight bytes, then of the rest.
    fn id(&mut self, prefix: &str) -> String {
        let bytes = |fill: char| -> [u8; 32] {
            let mut out = [0; 32];
            let digits: Vec<u32> = prefix
                .chars()
                .chain(std::iter::repeat(fill))
                .take(64)
                .map(|c| c.to_digit(16).unwrap_or(0))
                .collect();
            for (slot, pair) in out.iter_mut().zip(digits.as_chunks::<2>().0) {
                *slot = (pair[0] * 16 + pair[1]) as u8;
            }
            out
        };
        let (low, high) = (notafter_core::Fingerprint(bytes('0')), notafter_core::Fingerprint(bytes('f')));
        let ((low8, low24), (high8, high24)) = (texts::split(&low), texts::split(&high));
        let (a, b) = (self.int(low8), self.int(high8));
        if prefix.len() <= 16 {
            return format!("a.fp8 BETWEEN {a} AND {b}");
        }
        let (c, d) = (self.bind(Cell::Blob(low24.to_vec())), self.bind(Cell::Blob(high24.to_vec())));
        format!("a.fp8 BETWEEN {a} AND {b} AND a.fp24 BETWEEN {c} AND {d}")
    }

    /// At places that only the program can tell.
    fn at_places(&mut self, scheme: &str, matches: &dyn Fn(&Location) -> bool) -> Result<String> {
        let mut ids = Vec::new();
        let sql = match scheme {
            "'file:'" => "SELECT id, text FROM location WHERE text LIKE 'file:%'",
            _ => "SELECT id, text FROM location WHERE text NOT LIKE 'file:%'",
        };
        self.c.each(sql, &[], |mut row| {
            if matches(&texts::location(&row.text(1)?)?) {
                ids.push(row.int(0)?);
            }
            Ok(())
        })?;
        Ok(self.placed(&ids))
    }

    fn placed(&mut self, places: &[i64]) -> String {
        self.narrow |= places.len() as i64 <= NARROW_MAX;
        let open = self.open();
        let list = self.list("p.location", places);
        format!("a.id IN (SELECT p.asset FROM placement p WHERE {list}{open})")
    }

    fn list(&mut self, column: &str, ids: &[i64]) -> String {
        let json = serde_json::to_string(ids).unwrap_or_else(|_| "[]".into());
        self.values.push(Cell::Text(json));
        self.c.dialect().in_list(column, self.values.len())
    }

    fn service(&mut self, name: &str, depth: usize) -> Result<String> {
        let Some((_, terms)) = self.services.iter().find(|(known, _)| known == name) else {
            let known = self.services.iter().map(|(known, _)| known.as_str());
            let hint = match query::nearest(name, known) {
                Some(near) => format!("did you mean service:{near}?"),
                None => "services are named in the configuration under [[service]]".into(),
            };
            return Err(StoreError {
                trouble: Trouble::Other,
                context: format!("there is no service `{name}`"),
                hint: Some(hint),
            });
        };
        if terms.is_empty() || depth > 2 {
            return Ok("1 = 0".into());
        }
        let mut parts = Vec::new();
        let before = self.narrow;
        let mut all_narrow = true;
        for term in terms {
            self.narrow = false;
            let sql = self.test(&term.test, depth + 1)?;
            all_narrow &= self.narrow && !term.not;
            parts.push(if term.not { format!("NOT coalesce({sql}, false)") } else { format!("({sql})") });
        }
        self.narrow = before || all_narrow;
        Ok(parts.join(" OR "))
    }

    fn state(&mut self, state: State) -> String {
        match state {
            State::Ca => format!("(a.flags & {CA}) <> 0"),
            State::SelfSigned => format!("(a.flags & {SELF_SIGNED}) <> 0"),
            State::Superseded => format!("(a.flags & {SUPERSEDED}) <> 0"),
            State::Expired => {
                let now = self.int(self.now.0);
                format!("a.not_after < {now}")
            }
            State::InUse => "a.places > a.unseen".into(),
            State::Gone => "a.places = 0".into(),
            State::Unseen => "a.unseen > 0".into(),
            State::Served => "a.served > 0".into(),
        }
    }

    /// A bare word: in what it is called, in its names, its subject, its issuer, its places, or how its identity begins.
    fn bare(&mut self, text: &str) -> String {
        let part = self.part(text);
        // Names stand in reverse order of their labels; a word with a dot in it is turned like them.
        let name = self.part(&reversed(text));
        let open = self.open();
        let mut sql = format!(
            "lower(a.title) LIKE {part} ESCAPE '\\'
             OR a.id IN (SELECT asset FROM name WHERE name LIKE {name} ESCAPE '\\')
             OR a.issuer IN (SELECT id FROM dname WHERE folded LIKE {part} ESCAPE '\\')
             OR a.subject IN (SELECT id FROM dname WHERE folded LIKE {part} ESCAPE '\\')
             OR a.id IN (SELECT asset FROM called WHERE folded LIKE {part} ESCAPE '\\')
             OR a.id IN (SELECT p.asset FROM location l JOIN placement p ON p.location = l.id
                         WHERE lower(l.text) LIKE {part} ESCAPE '\\'{open})"
        );
        if (2..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            sql = format!("{sql} OR {}", self.id(text));
        }
        sql
    }
}

fn sign(order: Order) -> &'static str {
    match order {
        Order::Before => "<",
        Order::After => ">",
    }
}

fn in_network(ip: IpAddr, base: IpAddr, length: u8) -> bool {
    let cut = |bits: u128, width: u32| bits.checked_shr(width - u32::from(length).min(width)).unwrap_or(0);
    match (ip, base) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => cut(ip.to_bits().into(), 32) == cut(base.to_bits().into(), 32),
        (IpAddr::V6(ip), IpAddr::V6(base)) => cut(ip.to_bits(), 128) == cut(base.to_bits(), 128),
        _ => false,
    }
}
