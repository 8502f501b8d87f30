//! iCalendar (RFC 5545): an event at each end, with alarms a month, a fortnight and a week before.
//!
//! An event keeps its UID for ever, since it is made of the asset's identity: calendars replace what they
//! have instead of doubling it. A certificate's date never changes, so SEQUENCE is 0 until somebody is asked
//! to come to another time; a renewed certificate is another event.

use std::io::Write;

use notafter_core::UnixTime;
use notafter_pki::name::printable;
use notafter_store::rows::AssetRow;

use super::{ExportError, Source};

/// Days before the end on which a calendar reminds.
const ALARMS: [u32; 3] = [30, 14, 7];
/// A line may have so many bytes, its end not counted (RFC 5545 section 3.1).
const LINE_MAX: usize = 75;
/// A name may have so many characters in a title.
const NAME_MAX: usize = 200;

pub(super) fn write(rows: &mut dyn Source, name: &str, out: &mut dyn Write) -> Result<u64, ExportError> {
    let now = rows.now();
    let mut count = 0;
    for line in ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Notafter//Notafter//EN", "CALSCALE:GREGORIAN"] {
        fold(line, out)?;
    }
    let name = escape(&printable(name));
    // Both names of the same thing: RFC 7986 section 5.1, and what everybody reads.
    fold(&format!("NAME:{name}"), out)?;
    fold(&format!("X-WR-CALNAME:{name}"), out)?;
    fold("REFRESH-INTERVAL;VALUE=DURATION:PT6H", out)?;
    fold("X-PUBLISHED-TTL:PT6H", out)?;
    rows.each(&mut |row| {
        if let Some(end) = row.not_after.filter(|end| is_date(*end)) {
            event(row, end, now, out)?;
            count += 1;
        }
        Ok(())
    })?;
    fold("END:VCALENDAR", out)?;
    Ok(count)
}

fn event(row: &AssetRow, end: UnixTime, now: UnixTime, out: &mut dyn Write) -> Result<(), ExportError> {
    let id = notafter_pki::fingerprint::hex(&row.id.0[..8]);
    let title: String = printable(&row.title).chars().take(NAME_MAX).collect();
    let title = escape(&title);
    fold("BEGIN:VEVENT", out)?;
    fold(&format!("UID:{id}@notafter"), out)?;
    fold(&format!("DTSTAMP:{}", stamp(now)), out)?;
    fold(&format!("DTSTART:{}", stamp(end)), out)?;
    fold("DURATION:PT0S", out)?;
    fold("SEQUENCE:0", out)?;
    fold(&format!("SUMMARY:{title} ends"), out)?;
    fold(&format!("DESCRIPTION:{}", escape(&description(row))), out)?;
    fold(&format!("CATEGORIES:{}", row.kind.as_str()), out)?;
    fold("TRANSP:TRANSPARENT", out)?;
    for days in ALARMS {
        fold("BEGIN:VALARM", out)?;
        fold("ACTION:DISPLAY", out)?;
        fold(&format!("DESCRIPTION:{title} ends in {days} days"), out)?;
        fold(&format!("TRIGGER:-P{days}D"), out)?;
        fold("END:VALARM", out)?;
    }
    fold("END:VEVENT", out)?;
    Ok(())
}

fn description(row: &AssetRow) -> String {
    let owner = row.owner.as_deref().unwrap_or("nobody");
    let mut out = format!("Issued by {}. Owner: {owner}. ", printable(&row.issuer_name));
    match (&row.place, row.places) {
        (Some(place), 0 | 1) => out.push_str(&format!("At {place}.")),
        (Some(place), n) => out.push_str(&format!("At {n} places, one is {place}.")),
        (None, _) => {}
    }
    out.push_str(&format!("\n{}", row.id));
    out
}

/// Calendars have four digits for a year, and "no expiry" is no date.
fn is_date(at: UnixTime) -> bool {
    (0..=9999).contains(&at.civil().year) && at != UnixTime::NO_EXPIRY
}

fn stamp(at: UnixTime) -> String {
    let c = at.civil();
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

/// TEXT as RFC 5545 section 3.3.11 has it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Writes a line, folded between two characters so that none is longer than it may be.
fn fold(line: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let mut room = LINE_MAX;
    let mut rest = line;
    while rest.len() > room {
        let mut at = room;
        while !rest.is_char_boundary(at) {
            at -= 1;
        }
        write!(out, "{}\r\n ", &rest[..at])?;
        rest = &rest[at..];
        // The blank that a folded line begins with counts.
        room = LINE_MAX - 1;
    }
    write!(out, "{rest}\r\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, row};
    use super::*;

    fn made(rows: Vec<AssetRow>) -> String {
        let mut out = Vec::new();
        write(&mut Fixed(rows, UnixTime(0)), "web, and more", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn folded(line: &str) -> String {
        let mut out = Vec::new();
        fold(line, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_folded_at_75_octets_and_unfold_to_the_same() {
        for line in ["x", &"x".repeat(75), &"x".repeat(76), &"ä".repeat(300), &"🔒x".repeat(100)] {
            let text = folded(line);
            assert!(text.ends_with("\r\n"));
            for part in text.trim_end_matches("\r\n").split("\r\n") {
                assert!(part.len() <= 75, "{} octets", part.len());
            }
            assert_eq!(text.replace("\r\n ", "").trim_end_matches("\r\n"), line);
        }
        assert_eq!(folded(&"x".repeat(75)).matches("\r\n").count(), 1);
    }

    #[test]
    fn texts_are_escaped() {
        for (given, expected) in [
            ("a,b;c", "a\\,b\\;c"),
            ("back\\slash", "back\\\\slash"),
            ("line\nBEGIN:VEVENT", "line\\nBEGIN:VEVENT"),
            ("x\r\nATTENDEE:y", "x\\nATTENDEE:y"),
        ] {
            assert_eq!(escape(given), expected);
        }
    }

    #[test]
    fn an_event_for_each_end() {
        let end = 1_795_219_200;
        let text = made(vec![row("a.test", Some(end)), row("x\r\nEND:VCALENDAR", Some(end)), row("b", None)]);
        let plain = text.replace("\r\n ", "");
        assert_eq!(plain.matches("\r\nBEGIN:VEVENT\r\n").count(), 2);
        assert_eq!(plain.matches("\r\nBEGIN:VALARM\r\n").count(), 6);
        assert_eq!(plain.matches("\r\nEND:VCALENDAR\r\n").count(), 1);
        assert!(plain.contains("\r\nDTSTART:20261121T000000Z\r\n"));
        assert!(plain.contains("\r\nTRIGGER:-P30D\r\n") && plain.contains("\r\nSEQUENCE:0\r\n"));
        assert!(plain.contains("X-WR-CALNAME:web\\, and more"));
        let uid = format!("UID:{}@notafter\r\n", &row("a.test", None).id.to_string()[7..23]);
        assert!(plain.contains(&uid), "{plain}");
        let never = made(vec![row("never", Some(UnixTime::NO_EXPIRY.0))]);
        assert!(!never.contains("VEVENT"));
    }
}
