//! Which line is the header, and what each column means: by its heading in six languages, else by what stands in it.
//!
//! Every guess says how it was made, so that a person can say otherwise (`--column expiry=Ablauf`). What a cell means is
//! read in `entries`.

mod headings;

use crate::dates::{self, Reading};
use crate::table::{Cell, Line, Table, letters};
use crate::words::bare;
use crate::{Wrong, shown};
use headings::meaning_of;

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Meaning {
    /// Host names, addresses, URLs, common and alternative names: where or for what it is.
    Host,
    /// What people call it.
    Name,
    Port,
    Expiry,
    /// The first day of validity.
    Start,
    Issuer,
    Serial,
    Fingerprint,
    Owner,
    Team,
    Email,
    Environment,
    Note,
    /// Days left, a state, a running number: what follows from the rest, or from the day it was typed.
    Derived,
}

/// All of them with their words, for `--column`.
pub const MEANINGS: &[(&str, Meaning)] = &[
    ("name", Meaning::Name),
    ("host", Meaning::Host),
    ("port", Meaning::Port),
    ("expiry", Meaning::Expiry),
    ("start", Meaning::Start),
    ("issuer", Meaning::Issuer),
    ("serial", Meaning::Serial),
    ("fingerprint", Meaning::Fingerprint),
    ("owner", Meaning::Owner),
    ("team", Meaning::Team),
    ("email", Meaning::Email),
    ("environment", Meaning::Environment),
    ("note", Meaning::Note),
    ("none", Meaning::Derived),
];

impl Meaning {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        MEANINGS.iter().find(|(_, m)| *m == self).map_or("", |(word, _)| word)
    }
}

/// How a meaning was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum How {
    Heading,
    Contents,
    Asked,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Where it stands, from 0.
    pub at: usize,
    /// Its heading; empty where there is none.
    pub heading: String,
    /// What it means, and how that is known.
    pub meaning: Option<(Meaning, How)>,
}

impl Column {
    /// What a person calls it: its heading, else its letters.
    pub fn called(&self) -> String {
        if self.heading.is_empty() { format!("column {}", letters(self.at)) } else { shown(&self.heading) }
    }
}

/// What was made of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// Where in the lines the rows begin: after the header.
    pub first: usize,
    /// The columns, in order.
    pub columns: Vec<Column>,
}

impl Guess {
    /// The columns of a meaning.
    pub fn of(&self, meaning: Meaning) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(move |c| c.meaning.is_some_and(|(m, _)| m == meaning))
    }

    /// Is there a column that says what a row is about?
    pub fn is_about_something(&self) -> bool {
        [Meaning::Host, Meaning::Name, Meaning::Serial, Meaning::Fingerprint]
            .into_iter()
            .any(|m| self.of(m).next().is_some())
    }
}

/// The header stands in one of so many first lines.
const HEADER_IN: usize = 40;
/// So many rows are looked at to tell what stands in a column.
const LOOKED_AT: usize = 400;

/// Guesses. `asked` are pairs of a word of [`MEANINGS`] and a heading, a letter or a number.
///
/// # Errors
/// What was asked cannot be done: no such word, no such column.
pub fn guess(table: &Table, asked: &[(String, String)]) -> Result<Guess, Wrong> {
    let width = table.lines.iter().map(|l| l.cells.len()).max().unwrap_or(0);
    let header = header(table, asked).or_else(|| unknown_header(table, width));
    let mut columns: Vec<Column> = (0..width)
        .map(|at| Column {
            at,
            heading: header.map(|h| heading(table, h, at)).unwrap_or_default(),
            meaning: None,
        })
        .collect();
    let first = header.map_or(0, |h| h + 1);
    by_heading(&mut columns);
    let rows = &table.lines[first.min(table.lines.len())..];
    by_contents(&mut columns, rows);
    by_order(&mut columns, asked, table)?;
    settle(&mut columns, rows);
    Ok(Guess { first, columns })
}

/// The line whose cells are headings: the one with most of them, of several the first.
fn header(table: &Table, asked: &[(String, String)]) -> Option<usize> {
    let named = |text: &str| asked.iter().any(|(_, heading)| !text.is_empty() && bare(heading) == bare(text));
    let mut best: Option<(usize, usize)> = None;
    for (index, line) in table.lines.iter().enumerate().take(HEADER_IN) {
        let mut weight = 0;
        let mut seen = std::collections::BTreeSet::new();
        for cell in &line.cells {
            let Cell::Text(text) = cell else { continue };
            // The same heading over several merged columns says one thing.
            if text.len() > 120 || !seen.insert(bare(text)) {
                continue;
            }
            weight += match meaning_of(text) {
                _ if named(text) => 4,
                Some((_, 1000)) => 2,
                Some(_) => 1,
                None => 0,
            };
        }
        let dates = line.cells.iter().filter(|c| matches!(c, Cell::Date(_))).count();
        if dates == 0 && weight >= 2 && best.is_none_or(|(_, most)| weight > most) {
            best = Some((index, weight));
        }
    }
    best.map(|(index, _)| index)
}

/// A first line of words that we do not know, over columns of things that we do.
fn unknown_header(table: &Table, width: usize) -> Option<usize> {
    let (first, rows) = table.lines.split_first()?;
    let mut columns: Vec<Column> =
        (0..width).map(|at| Column { at, heading: String::new(), meaning: None }).collect();
    by_contents(&mut columns, rows);
    let mut told = columns.iter().filter(|c| c.meaning.is_some()).peekable();
    told.peek()?;
    let is_word = |c: &Column| matches!(first.cell(c.at), Cell::Text(_)) && kind(first.cell(c.at)).is_none();
    told.all(is_word).then_some(0)
}

/// The heading of a column: its own, with what is merged over it; what stands above where its own is empty.
fn heading(table: &Table, header: usize, column: usize) -> String {
    let own = table.lines[header].cell(column).text();
    let above = header
        .checked_sub(1)
        .map(|i| &table.lines[i])
        // The line straight above, with more than a title in it.
        .filter(|l| l.number + 1 == table.lines[header].number)
        .filter(|l| l.cells.iter().filter(|c| !c.is_empty()).count() > 1)
        .map(|l| l.cell(column).text())
        .unwrap_or_default();
    if own.is_empty() {
        return above;
    }
    // "Contact / Name" is no name of a certificate.
    let of_group = meaning_of(&own).is_none_or(|(m, _)| m == Meaning::Name)
        && matches!(meaning_of(&above), Some((Meaning::Owner | Meaning::Issuer | Meaning::Team, _)));
    if of_group && above != own { format!("{above} {own}") } else { own }
}

fn by_heading(columns: &mut [Column]) {
    for column in columns.iter_mut() {
        column.meaning = meaning_of(&column.heading).map(|(m, _)| (m, How::Heading));
        let text = bare(&column.heading);
        // "Contact Name" is about the contact, whatever is longer.
        let person = ["contact", "kontakt", "ansprechpartner", "owner", "responsable", "verantwortlicher"];
        if let Some((Meaning::Name, _)) = column.meaning
            && text.split(' ').any(|w| person.contains(&w))
        {
            column.meaning = Some((Meaning::Owner, How::Heading));
        }
    }
}

/// What stands in a column, where its heading says nothing.
fn by_contents(columns: &mut [Column], rows: &[Line]) {
    for column in columns.iter_mut().filter(|c| c.meaning.is_none()) {
        let mut counts = [0_usize; 5];
        let mut all = 0;
        for cell in rows.iter().map(|l| l.cell(column.at)).filter(|c| !c.is_empty()).take(LOOKED_AT) {
            all += 1;
            if let Some(kind) = kind(cell) {
                counts[kind] += 1;
            }
        }
        const KINDS: [Meaning; 5] =
            [Meaning::Expiry, Meaning::Email, Meaning::Fingerprint, Meaning::Host, Meaning::Port];
        let most = counts.iter().enumerate().max_by_key(|(_, n)| **n).filter(|(_, n)| **n * 10 >= all * 7);
        // A column of numbers with a heading that we do not know is anything.
        let fits = |m: Meaning| all > 0 && (m != Meaning::Port || column.heading.is_empty());
        column.meaning = most.map(|(i, _)| KINDS[i]).filter(|m| fits(*m)).map(|m| (m, How::Contents));
    }
}

fn kind(cell: &Cell) -> Option<usize> {
    if matches!(cell, Cell::Date(_)) {
        return Some(0);
    }
    let text = cell.text();
    if let Ok(port) = text.parse::<u16>() {
        return (port > 0).then_some(4);
    }
    if matches!(cell, Cell::Number(_)) {
        return None;
    }
    if text.contains('@') && text.contains('.') && !text.contains(' ') {
        return Some(1);
    }
    if crate::entries::fingerprint(&text).is_some() {
        return Some(2);
    }
    if crate::entries::looks_like_a_host(&text) {
        return Some(3);
    }
    matches!(
        dates::read(&text),
        Reading::One(_) | Reading::Either(..) | Reading::DayFirst(_) | Reading::MonthFirst(_)
    )
    .then_some(0)
}

/// What a person said is so.
fn by_order(columns: &mut [Column], asked: &[(String, String)], table: &Table) -> Result<(), Wrong> {
    let mut said: Vec<Meaning> = Vec::new();
    for (word, heading) in asked {
        let Some((_, meaning)) = MEANINGS.iter().find(|(w, _)| w == word) else {
            let known: Vec<_> = MEANINGS.iter().map(|(w, _)| *w).collect();
            return Err(Wrong::new(
                format!("--column: {} is no meaning of a column", shown(word)),
                format!("known are {}", known.join(", ")),
            ));
        };
        let wanted = bare(heading);
        let by_name = columns.iter().position(|c| !wanted.is_empty() && bare(&c.heading) == wanted);
        let by_letters = || columns.iter().position(|c| letters(c.at).eq_ignore_ascii_case(heading.trim()));
        let by_number = || heading.trim().parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let found = by_name.or_else(by_letters).or_else(by_number).filter(|at| *at < columns.len());
        let Some(at) = found else {
            let known: Vec<_> = columns.iter().map(Column::called).take(30).collect();
            let sheet = table.name.as_deref().map(|n| format!(" in sheet {}", shown(n))).unwrap_or_default();
            return Err(Wrong::new(
                format!("--column {word}: there is no column {}{sheet}", shown(heading)),
                format!("there are {}; a letter (C) is good, too", known.join(", ")),
            ));
        };
        // The first word about a meaning takes it away from what was guessed.
        if !said.contains(meaning) && *meaning != Meaning::Derived {
            columns
                .iter_mut()
                .filter(|c| c.meaning.is_some_and(|(m, _)| m == *meaning))
                .for_each(|c| c.meaning = None);
        }
        said.push(*meaning);
        columns[at].meaning = Some((*meaning, How::Asked));
    }
    Ok(())
}

/// One column of dates is the end. Of several that may be, a heading wins over contents, then the latest dates do.
fn settle(columns: &mut [Column], rows: &[Line]) {
    let of = |columns: &[Column], how: How| -> Vec<usize> {
        let is = |c: &&Column| c.meaning == Some((Meaning::Expiry, how));
        columns.iter().filter(is).map(|c| c.at).collect()
    };
    let keep = [How::Asked, How::Heading, How::Contents]
        .into_iter()
        .map(|how| of(columns, how))
        .find(|c| !c.is_empty());
    let Some(candidates) = keep else { return };
    let latest = |at: &usize| -> i64 {
        let order =
            dates::decide(rows.iter().take(LOOKED_AT).map(|l| (l.number, dates::read(&l.cell(*at).text()))));
        let order = match order {
            dates::Decided::By(order, _) => Some(order),
            _ => Some(dates::Order::DayFirst),
        };
        let day = |cell: &Cell| match cell {
            Cell::Date(at) => Some(at.0),
            Cell::Number(n) => dates::number(*n).by(order).map(|d| d.at.0),
            cell => dates::read(&cell.text()).by(order).map(|d| d.at.0),
        };
        let mut all: Vec<i64> = rows.iter().take(LOOKED_AT).filter_map(|l| day(l.cell(*at))).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(i64::MIN)
    };
    let best = match candidates.as_slice() {
        [one] => *one,
        several => several.iter().copied().max_by_key(latest).unwrap_or(several[0]),
    };
    for column in columns.iter_mut().filter(|c| c.at != best) {
        if let Some((Meaning::Expiry, _)) = column.meaning {
            column.meaning = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::open;

    /// The meanings of a text's columns, and the first row's line.
    fn guessed(text: &str, asked: &[(&str, &str)]) -> String {
        let book = open(text.as_bytes()).unwrap();
        let table = &book.tables[0];
        let asked: Vec<_> = asked.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        match guess(table, &asked) {
            Ok(guess) => {
                let line = table.lines.get(guess.first).map_or(0, |l| l.number);
                let words: Vec<_> =
                    guess.columns.iter().map(|c| c.meaning.map_or("-", |(m, _)| m.as_str())).collect();
                format!("{line}: {}", words.join(" "))
            }
            Err(wrong) => format!("{wrong} / {}", wrong.hint),
        }
    }

    #[test]
    fn headings_of_six_languages() {
        for (text, expected) in [
            (
                "Common Name,Expiry Date,Issuer,Serial Number,Owner,E-Mail,Notes\na.test,x,,,,,\n",
                "2: host expiry issuer serial owner email note",
            ),
            (
                "Servername;Gültig bis;Aussteller;Seriennummer;Ansprechpartner;Abteilung;Bemerkung\na;b;;;;;\n",
                "2: host expiry issuer serial owner team note",
            ),
            (
                "Nom d'hôte;Date d'expiration;Émetteur;Numéro de série;Responsable;Courriel;Remarques\na;b;;;;;\n",
                "2: host expiry issuer serial owner email note",
            ),
            (
                "Servidor;Fecha de caducidad;Emisor;Número de serie;Propietario;Correo electrónico;Observaciones\na;b;;;;;\n",
                "2: host expiry issuer serial owner email note",
            ),
            (
                "Nome comune;Scadenza;Emittente;Referente;Ambiente\na;b;;;\n",
                "2: host expiry issuer owner environment",
            ),
            (
                "Domein;Vervaldatum;Uitgever;Eigenaar;Opmerkingen\na;b;;;\n",
                "2: host expiry issuer owner note",
            ),
            ("name,owner,ends,days left,issuer,kind\na,b,c,1,d,e\n", "2: name owner expiry none issuer none"),
            (
                "IP-Adresse;Port;Valid from;Valid to;Thumbprint\n10.0.0.1;443;x;y;z\n",
                "2: host port start expiry fingerprint",
            ),
            ("Issued To,Issued By,Expiration Date,Friendly Name\na,b,c,d\n", "2: host issuer expiry name"),
            ("Certificate expiry (UTC);Server / URL;Days to expiry\nx;y;1\n", "2: expiry host none"),
        ] {
            assert_eq!(guessed(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn titles_groups_and_no_header() {
        for (text, expected) in [
            (
                "Zertifikate Stand 2026;;\n;;\nHost;Ablauf;Team\na.test;31.12.2026;web\n",
                "4: host expiry team",
            ),
            (
                "Zertifikat;Zertifikat;Kontakt;Kontakt\nName;Ablauf;Name;E-Mail\na;31.12.2026;Kim;k@a.test\n",
                "3: name expiry owner email",
            ),
            ("a.test;31.12.2026;x@a.test\nb.test;01.01.2027;y@a.test\n", "1: host expiry email"),
            ("www.a.test 443\nb.test 8443\n", "1: host port"),
            ("Wo;Wann\na.test;31.12.2026\nb.test:8443;1.2.27\n", "2: host expiry"),
        ] {
            assert_eq!(guessed(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn a_person_says_otherwise() {
        let text = "Host;Datum A;Datum B;Wer\na.test;01.01.2026;01.01.2027;x\n";
        assert_eq!(guessed(text, &[]), "2: host - expiry owner");
        assert_eq!(guessed(text, &[("expiry", "Datum A")]), "2: host expiry - owner");
        assert_eq!(guessed(text, &[("expiry", "B"), ("note", "4")]), "2: host expiry - note");
        assert!(guessed(text, &[("expiry", "Ende")]).contains("there is no column `Ende`"));
        assert!(guessed(text, &[("ende", "B")]).contains("known are name, host"));
    }
}
