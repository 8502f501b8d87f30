//! Each row as an entry: hosts, end, issuer, serial, fingerprint, whose it is. What cannot be read is refused with its line.
//!
//! Nothing is looked up here: whether there is such a host is for `compare` to say.

use std::net::IpAddr;

use crate::columns::{Guess, Meaning};
use crate::dates::{self, Dated, Decided, Order, Reading};
use crate::table::{Cell, Line, Table};
use crate::{Wrong, shown};

/// Hosts of one row.
const HOSTS_MAX: usize = 1000;

/// A host as somebody wrote it, in small letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Host {
    /// A name, `*.example.com`, or an address.
    pub name: String,
    pub port: Option<u16>,
}

impl Host {
    /// Its address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }

    /// As a target of `scan`: `host:port`, or the host alone. `None` for a wildcard, which is no host.
    pub fn target(&self) -> Option<String> {
        if self.name.contains('*') {
            return None;
        }
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        Some(self.port.map_or_else(|| name.clone(), |port| format!("{name}:{port}")))
    }
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Entry {
    /// Its line in the file or sheet.
    pub line: u32,
    pub name: String,
    pub hosts: Vec<Host>,
    pub expiry: Option<Dated>,
    pub issuer: String,
    /// As it may be meant: hexadecimal digits without leading zeros, most likely first.
    pub serials: Vec<String>,
    /// 20 octets of SHA-1 or 32 of SHA-256.
    pub fingerprint: Option<Vec<u8>>,
    pub owner: String,
    pub team: String,
    pub email: String,
    pub environment: String,
    pub note: String,
}

impl Entry {
    /// What a person calls it: its name, else its first host, else its serial.
    pub fn title(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        match self.hosts.first() {
            Some(host) => host.port.map_or_else(|| host.name.clone(), |p| format!("{}:{p}", host.name)),
            None => {
                self.serials.first().map_or_else(|| format!("row {}", self.line), |s| format!("serial {s}"))
            }
        }
    }

    /// Who answers for it, in the sheet's words, best first: owner, team, mail.
    pub fn owners(&self) -> impl Iterator<Item = &str> {
        [self.owner.as_str(), self.team.as_str(), self.email.as_str()].into_iter().filter(|t| !t.is_empty())
    }
}

/// A cell that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Refused {
    pub line: u32,
    /// What a person calls the column.
    pub column: String,
    /// A sentence.
    pub message: String,
}

/// What was read of a table.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// The rows.
    pub entries: Vec<Entry>,
    /// Rows with a cell that cannot be taken: none of them is among the entries.
    pub refused: Vec<Refused>,
    /// Lines about nothing: headings of sections, repeated headers, sums.
    pub skipped: Vec<u32>,
    /// Every date with slashes could be read either way; one such line.
    pub unsure: Option<u32>,
    /// The order that the column showed, and the line that showed it.
    pub decided: Option<(Order, u32)>,
}

/// Reads the rows of a table. `order` is what a person said of dates like 03/04/27.
///
/// # Errors
/// No column says what a row is about; the dates contradict one another.
pub fn read(table: &Table, guess: &Guess, order: Option<Order>) -> Result<Entries, Wrong> {
    if !guess.is_about_something() {
        let known: Vec<_> = guess.columns.iter().map(crate::columns::Column::called).take(30).collect();
        return Err(Wrong::new(
            format!("no column says what a row is about; there are {}", known.join(", ")),
            "name it: --column host=HEADING (or name, serial, fingerprint); a letter like C is good, too",
        ));
    }
    let rows = table.lines.get(guess.first..).unwrap_or_default();
    let expiry = guess.of(Meaning::Expiry).next();
    let mut out = Entries::default();
    let mut by = order;
    if let (Some(column), None) = (expiry, order) {
        match dates::decide(rows.iter().map(|l| (l.number, reading(l.cell(column.at))))) {
            Decided::Needless => {}
            Decided::By(order, line) => {
                by = Some(order);
                if rows.iter().any(|l| matches!(reading(l.cell(column.at)), Reading::Either(..))) {
                    out.decided = Some((order, line));
                }
            }
            Decided::Unsure(line) => out.unsure = Some(line),
            Decided::Contradiction(day, month) => {
                let cell = |n: u32| {
                    let line = rows.iter().find(|l| l.number == n);
                    shown(&line.map(|l| l.cell(column.at).text()).unwrap_or_default())
                };
                let both = [day, month].map(cell);
                let either = rows.iter().find(|l| matches!(reading(l.cell(column.at)), Reading::Either(..)));
                // Two ways of writing in one column harm nobody while each can be read alone.
                if let Some(either) = either {
                    return Err(Wrong::new(
                        format!(
                            "{}: line {day} {} has the day first, line {month} {} the month; line {} {} can be either",
                            column.called(),
                            both[0],
                            both[1],
                            either.number,
                            cell(either.number)
                        ),
                        "say which is usual: --dates dmy or --dates mdy; the other lines are then refused one by one",
                    ));
                }
            }
        }
    }
    for line in rows.iter().filter(|l| !l.is_empty()) {
        if is_heading(line, guess) {
            out.skipped.push(line.number);
            continue;
        }
        let mut entry = entry(line, guess);
        if let Some(column) = expiry {
            let cell = line.cell(column.at);
            let refuse = |message: &str| Refused {
                line: line.number,
                column: column.called(),
                message: format!("{} {message}", shown(&cell.text())),
            };
            let read = reading(cell);
            match read.by(by) {
                Some(dated) => entry.expiry = Some(dated),
                None => match read {
                    Reading::Nothing => {}
                    // Read again, once it is known which.
                    Reading::Either(..) if out.unsure.is_some() => {}
                    Reading::Relative => {
                        out.refused.push(refuse("was true on the day it was typed: write the date itself"));
                        continue;
                    }
                    Reading::DayFirst(_) | Reading::MonthFirst(_) => {
                        out.refused.push(refuse("is no date in the order that --dates says"));
                        continue;
                    }
                    _ => {
                        out.refused.push(refuse("is no date: write it as 2026-12-31"));
                        continue;
                    }
                },
            }
        }
        let about = !entry.hosts.is_empty()
            || !entry.serials.is_empty()
            || entry.fingerprint.is_some()
            || !entry.name.is_empty();
        let lone = line.cells.iter().filter(|c| !c.is_empty()).count() == 1 && guess.columns.len() > 2;
        let is_section =
            lone && entry.fingerprint.is_none() && !entry.hosts.iter().any(|h| is_certain(&h.name));
        if !about || is_section {
            out.skipped.push(line.number);
        } else {
            out.entries.push(entry);
        }
    }
    Ok(out)
}

fn reading(cell: &Cell) -> Reading {
    match cell {
        Cell::Empty => Reading::Nothing,
        Cell::Date(at) => {
            let whole = at.0.rem_euclid(86_400) == 0;
            let precision = if whole { dates::Precision::Day } else { dates::Precision::Second };
            Reading::One(Dated { at: *at, precision })
        }
        Cell::Number(n) => dates::number(*n),
        Cell::Text(text) => dates::read(text),
    }
}

/// A header that is repeated, as on every printed page.
fn is_heading(line: &Line, guess: &Guess) -> bool {
    let same = |c: &&crate::columns::Column| !c.heading.is_empty() && line.cell(c.at).text() == c.heading;
    guess.columns.iter().filter(same).count() >= 2
}

fn entry(line: &Line, guess: &Guess) -> Entry {
    let mut entry = Entry { line: line.number, ..Entry::default() };
    let text = |meaning| -> String {
        let all: Vec<String> =
            guess.of(meaning).map(|c| line.cell(c.at).text()).filter(|t| is_said(t)).collect();
        let mut seen = std::collections::BTreeSet::new();
        let each: Vec<_> = all.into_iter().filter(|t| seen.insert(t.clone())).collect();
        each.join("; ")
    };
    let port =
        guess.of(Meaning::Port).find_map(|c| line.cell(c.at).text().parse::<u16>().ok()).filter(|p| *p > 0);
    for column in guess.of(Meaning::Host) {
        hosts(&line.cell(column.at).text(), true, &mut entry.hosts);
    }
    for column in guess.of(Meaning::Name) {
        let cell = line.cell(column.at).text();
        hosts(&cell, false, &mut entry.hosts);
        if is_said(&cell) && entry.name.is_empty() {
            entry.name = cell;
        }
    }
    for host in &mut entry.hosts {
        host.port = host.port.or(port);
    }
    let mut seen = std::collections::BTreeSet::new();
    entry.hosts.retain(|h| seen.insert(h.clone()));
    entry.hosts.truncate(HOSTS_MAX);
    entry.issuer = text(Meaning::Issuer);
    entry.serials = guess.of(Meaning::Serial).map(|c| serials(line.cell(c.at))).next().unwrap_or_default();
    entry.fingerprint = guess.of(Meaning::Fingerprint).find_map(|c| fingerprint(&line.cell(c.at).text()));
    entry.owner = text(Meaning::Owner);
    entry.team = text(Meaning::Team);
    entry.email = text(Meaning::Email);
    entry.environment = text(Meaning::Environment);
    entry.note = text(Meaning::Note);
    entry
}

/// Is there more than a stroke in it?
fn is_said(text: &str) -> bool {
    !matches!(
        text.to_ascii_lowercase().as_str(),
        "" | "-" | "--" | "n/a" | "na" | "?" | "tbd" | "none" | "k.a." | "unknown" | "unbekannt"
    )
}

/// The hosts in a cell. `column`: the whole column is of hosts, so that a short name is one, too.
fn hosts(text: &str, column: bool, out: &mut Vec<Host>) {
    let lower = text.to_lowercase();
    // A subject: its common name.
    let names = match lower.find("cn=") {
        Some(at) => lower[at + 3..].split([',', '/', '+', '\n']).next().unwrap_or_default(),
        None => &lower,
    };
    for word in names.split([',', ';', ' ', '\n', '\r', '\t', '|', '\u{a0}']) {
        let word =
            word.trim_start_matches("dns:").trim_start_matches("ip:").trim_matches(['"', '\'', '(', ')']);
        if !is_said(word) || out.len() >= HOSTS_MAX {
            continue;
        }
        if let Some(host) = host(word)
            && (column || is_certain(&host.name))
        {
            out.push(host);
        }
    }
}

/// One word as a host: a URL, `host:port`, `[::1]:443`, an address.
fn host(word: &str) -> Option<Host> {
    let (scheme, rest) = word.split_once("://").unwrap_or(("", word));
    let rest = rest.rsplit_once('@').filter(|_| !scheme.is_empty()).map_or(rest, |(_, host)| host);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if rest.contains('@') {
        return None;
    }
    let usual = match scheme {
        "https" => Some(443),
        "ldaps" => Some(636),
        "smtps" => Some(465),
        "imaps" => Some(993),
        "ftps" => Some(990),
        _ => None,
    };
    let (name, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (name, port) = inner.split_once(']')?;
        (name, port.strip_prefix(':'))
    } else if rest.parse::<IpAddr>().is_ok() || rest.matches(':').count() != 1 {
        (rest, None)
    } else {
        let (name, port) = rest.split_once(':')?;
        (name, Some(port))
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|p| *p > 0)?),
        None => usual,
    };
    let name = name.trim_end_matches('.');
    let labels = name.strip_prefix("*.").unwrap_or(name);
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = !labels.is_empty()
        && labels.len() <= 253
        && labels.chars().all(fits)
        && !labels.starts_with(['.', '-']);
    let address = name.parse::<IpAddr>().ok();
    let name = address.map_or_else(|| name.to_owned(), |ip| ip.to_string());
    (named || address.is_some()).then_some(Host { name, port })
}

/// Is this a host wherever it stands? An address, or labels that end like a domain.
fn is_certain(name: &str) -> bool {
    if name.parse::<IpAddr>().is_ok() || name == "localhost" {
        return true;
    }
    let Some((front, last)) = name.rsplit_once('.') else { return false };
    let top = last.len() >= 2 && (last.chars().all(char::is_alphabetic) || last.starts_with("xn--"));
    // `report.xlsx` and `v1.final` have such ends, too; two letters and the usual ones do not.
    const FILES: &[&str] = &[
        "xlsx", "csv", "pem", "crt", "cer", "key", "pdf", "txt", "docx", "doc", "jks", "pfx", "p12", "conf",
    ];
    top && !front.is_empty() && !front.ends_with('.') && !FILES.contains(&last)
}

/// Is the text of a cell nothing but hosts?
pub(crate) fn looks_like_a_host(text: &str) -> bool {
    let mut words = text.split([',', ';', ' ', '\n', '\r']).filter(|w| !w.is_empty()).peekable();
    words.peek().is_some() && words.all(|w| host(&w.to_lowercase()).is_some_and(|h| is_certain(&h.name)))
}

/// A fingerprint, however it is parted.
pub(crate) fn fingerprint(text: &str) -> Option<Vec<u8>> {
    let text = text.rsplit('=').next().unwrap_or_default().to_ascii_lowercase();
    let text = text.trim().trim_start_matches("sha256:").trim_start_matches("sha1:");
    if text.len() > 200
        || !text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | ' ' | '-' | '\u{200e}'))
    {
        return None;
    }
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    matches!(digits.len(), 40 | 64).then(|| digits.chunks(2).map(|p| p[0] << 4 | p[1]).collect())
}

/// A serial number as it may be meant: hexadecimal, or decimal when it has no letters. What a spreadsheet made a rounded
/// number of is lost.
fn serials(cell: &Cell) -> Vec<String> {
    if let Cell::Number(n) = cell
        && n.abs() > 9e15
    {
        return Vec::new();
    }
    let text = cell.text().to_ascii_lowercase();
    let marked = text.starts_with("0x") || text.contains(':');
    let text = text.trim_start_matches("0x");
    if text.len() > 100 || !text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | ' ' | '-')) {
        return Vec::new();
    }
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let hex = digits.trim_start_matches('0').to_owned();
    if hex.is_empty() {
        return Vec::new();
    }
    let mut out = vec![hex];
    if !marked && digits.bytes().all(|b| b.is_ascii_digit()) {
        out.push(decimal_to_hex(&digits));
    }
    out
}

fn decimal_to_hex(digits: &str) -> String {
    let mut nibbles: Vec<u32> = vec![0];
    for digit in digits.chars().filter_map(|c| c.to_digit(10)) {
        let mut carry = digit;
        for nibble in &mut nibbles {
            let value = *nibble * 10 + carry;
            *nibble = value % 16;
            carry = value / 16;
        }
        while carry > 0 {
            nibbles.push(carry % 16);
            carry /= 16;
        }
    }
    let text: String = nibbles.iter().rev().filter_map(|n| char::from_digit(*n, 16)).collect();
    text.trim_start_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::open;

    fn rows(text: &str, order: Option<Order>) -> Result<Entries, Wrong> {
        let book = open(text.as_bytes()).unwrap();
        let guess = crate::columns::guess(&book.tables[0], &[]).unwrap();
        read(&book.tables[0], &guess, order)
    }

    #[test]
    fn hosts_however_written() {
        for (text, column, expected) in [
            ("https://Shop.Example.com/x?y=1", false, "shop.example.com:443"),
            ("a.test:8443, b.test", false, "a.test:8443 b.test"),
            ("10.0.0.1:636", false, "10.0.0.1:636"),
            ("[2001:DB8::1]:443", false, "[2001:db8::1]:443"),
            ("2001:db8::1", false, "[2001:db8::1]"),
            ("CN=a.test,O=Org GmbH,C=DE", false, "a.test"),
            ("DNS:a.test, DNS:*.b.test", false, "a.test *.b.test"),
            ("Webshop Produktion", false, ""),
            ("srv-web01", true, "srv-web01"),
            ("srv-web01", false, ""),
            ("kim@a.test", true, ""),
            ("inventory.xlsx", false, ""),
            ("a.test.", true, "a.test"),
            ("n/a", true, ""),
        ] {
            let mut got = Vec::new();
            hosts(text, column, &mut got);
            let got: Vec<_> = got.iter().map(|h| h.target().unwrap_or_else(|| h.name.clone())).collect();
            assert_eq!(got.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn serials_and_fingerprints() {
        for (text, expected) in [
            ("0A:1B:2C", "a1b2c"),
            ("0x0a1b2c", "a1b2c"),
            ("255", "255 ff"),
            (
                "340282366920938463463374607431768211455",
                "340282366920938463463374607431768211455 ffffffffffffffffffffffffffffffff",
            ),
            ("1.23E+20", ""),
            ("", ""),
        ] {
            assert_eq!(serials(&Cell::Text(text.to_owned())).join(" "), expected);
        }
        assert!(serials(&Cell::Number(1.2e20)).is_empty());
        assert_eq!(fingerprint(&"AB:".repeat(20)).map(|f| f.len()), Some(20));
        assert_eq!(
            fingerprint(&format!("SHA256 Fingerprint={}", "cd".repeat(32))).map(|f| f.len()),
            Some(32)
        );
        assert_eq!(fingerprint("abc"), None);
    }

    #[test]
    fn rows_refusals_and_sections() {
        let text = "Host;Ablauf;Wer;Bemerkung\nProduktion;;;\na.test;31.12.2026;Kim;x\nHost;Ablauf;Wer;Bemerkung\n\
                    b.test;in 3 Monaten;;\nc.test;n/a;-;\nd.test;bald?;;\n;;;\n";
        let got = rows(text, None).unwrap();
        let lines: Vec<_> = got.entries.iter().map(|e| e.line).collect();
        assert_eq!((lines, got.skipped), (vec![3, 6], vec![2, 4]));
        let refused: Vec<_> =
            got.refused.iter().map(|r| format!("{} {}: {}", r.line, r.column, r.message)).collect();
        assert_eq!(
            refused,
            [
                "5 `Ablauf`: `in 3 Monaten` was true on the day it was typed: write the date itself",
                "7 `Ablauf`: `bald?` was true on the day it was typed: write the date itself",
            ]
        );
        assert_eq!(got.entries[0].expiry.map(|d| d.at.date()).as_deref(), Some("2026-12-31"));
        assert_eq!((got.entries[0].owner.as_str(), got.entries[1].owner.as_str()), ("Kim", ""));
    }

    #[test]
    fn the_order_of_a_column() {
        let text = "Host,Expires\na.test,03/04/27\nb.test,12/31/26\n";
        let got = rows(text, None).unwrap();
        assert_eq!(got.decided, Some((Order::MonthFirst, 3)));
        assert_eq!(got.entries[0].expiry.map(|d| d.at.date()).as_deref(), Some("2027-03-04"));
        let got = rows(text, Some(Order::DayFirst)).unwrap();
        assert_eq!(got.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [3]);
        assert_eq!(rows("Host,Expires\na.test,03/04/27\n", None).unwrap().unsure, Some(2));
        let both =
            rows("Host,Expires\na.test,03/04/27\nb.test,12/31/26\nc.test,31/12/26\n", None).unwrap_err();
        assert!(both.message.contains("line 4") && both.message.contains("line 3"), "{both}");
        assert!(rows("Ablauf;Wer\n31.12.2026;x\n", None).unwrap_err().hint.contains("--column host="));
    }
}
