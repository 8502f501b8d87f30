//! The page that a person reads: what lapses when, what is wrong, what could not be seen, the sum.

use std::collections::{BTreeMap, HashMap};

use notafter_core::UnixTime;
use notafter_core::document::AssetDocument;
use notafter_core::finding::{Finding, Severity};
use notafter_core::inventory::{AssetIx, AssetKind, Role};
use notafter_core::location::Location;
use notafter_engine::pipeline::Report;

use super::paper::{Ink, Paper, fit, fit_middle};

/// How many blind spots and places are listed before they are only counted.
const LISTED: usize = 8;

/// What to print and how much of it.
pub(crate) struct View<'a> {
    pub(crate) report: &'a Report,
    pub(crate) at: UnixTime,
    pub(crate) verbose: bool,
    pub(crate) quiet: bool,
}

/// Prints the page.
pub(crate) fn page(paper: &mut Paper, view: &View<'_>) {
    let anchors = assets(paper, view);
    findings(paper, view);
    blind_spots(paper, view);
    if !view.quiet {
        sum(paper, view, anchors);
    }
}

struct Row {
    end: Option<UnixTime>,
    name: String,
    issuer: String,
    places: Vec<Location>,
    severity: Option<Severity>,
}

/// The table of assets, the next to lapse first. Gives how many trust anchors were left out.
fn assets(paper: &mut Paper, view: &View<'_>) -> usize {
    let inventory = &view.report.inventory;
    let mut worst: HashMap<_, Severity> = HashMap::new();
    for finding in &view.report.findings {
        if let Some(asset) = finding.asset {
            let entry = worst.entry(asset).or_insert(finding.severity);
            *entry = (*entry).min(finding.severity);
        }
    }
    let mut places: BTreeMap<AssetIx, Vec<Location>> = BTreeMap::new();
    let mut anchors = std::collections::BTreeSet::new();
    for placement in inventory.placements() {
        // Issuers that travel with a chain are told of by their leaf; a trust store is only counted.
        let shown = match placement.role {
            Role::TrustAnchor => false,
            Role::Intermediate | Role::Root => placement.chain.is_some(),
            _ => true,
        };
        if placement.role == Role::TrustAnchor {
            anchors.insert(placement.asset);
        }
        if shown || view.verbose {
            places.entry(placement.asset).or_default().push(placement.location.clone());
        }
    }
    let mut rows: Vec<Row> = places
        .into_iter()
        .map(|(ix, places)| {
            let asset = inventory.asset(ix);
            let document = AssetDocument::of(asset, &inventory.bytes(ix), view.at);
            Row {
                end: asset.not_after,
                name: name(&document, asset.kind),
                issuer: document.issuer_name.as_deref().map(common_name).unwrap_or_default(),
                places,
                severity: worst.get(&asset.id).copied(),
            }
        })
        .collect();
    rows.sort_by(|a, b| (a.end, &a.name).cmp(&(b.end, &b.name)));
    if !rows.is_empty() {
        table(paper, &rows, view.at, view.verbose);
        paper.end();
    }
    anchors.len()
}

fn table(paper: &mut Paper, rows: &[Row], at: UnixTime, verbose: bool) {
    let longest = |cell: fn(&Row) -> &str, most: usize| {
        rows.iter().map(|r| cell(r).chars().count()).max().unwrap_or(0).clamp(4, most)
    };
    let width = paper.width().unwrap_or(160);
    let lefts: Vec<_> =
        rows.iter().map(|r| r.end.map_or_else(|| "?".to_owned(), |end| left(end, at))).collect();
    let left_width = lefts.iter().map(|l| l.chars().count()).max().unwrap_or(4).max(4);
    // The name gets what it needs up to a third, the issuer up to a fifth, the place all the rest.
    let names = longest(|r| &r.name, (width / 3).max(12));
    let issuers = longest(|r| &r.issuer, (width / 5).max(8)).max(6);
    let fixed = left_width + 2 + 10 + 2 + names + 2 + issuers + 2;
    let wheres = width.saturating_sub(fixed);
    let head =
        format!("{:>left_width$}  {:<10}  {:<names$}  {:<issuers$}", "LEFT", "EXPIRES", "NAME", "ISSUER");
    paper.line(Ink::Dim, if wheres >= 12 && !verbose { format!("{head}  WHERE") } else { head }.trim_end());
    for (row, left) in rows.iter().zip(&lefts) {
        let ink = row.severity.map_or(Ink::Green, Ink::of);
        let ink = if row.severity == Some(Severity::Info) { Ink::Plain } else { ink };
        paper.put(ink, &format!("{left:>left_width$}"));
        let date = row.end.map_or_else(|| "unknown".to_owned(), |end| end.to_string()[..10].to_owned());
        let name = fit(&row.name, names);
        let issuer = fit(&row.issuer, issuers);
        paper.put(Ink::Plain, &format!("  {date:<10}  "));
        paper.put(Ink::Bold, &name).put(Ink::Plain, &" ".repeat(names - name.chars().count()));
        paper.put(Ink::Plain, "  ").put(Ink::Dim, &issuer);
        paper.put(Ink::Plain, &" ".repeat(issuers - issuer.chars().count()));
        if wheres >= 12 && !verbose {
            paper.put(Ink::Plain, "  ").put(Ink::Plain, &place(row, wheres));
        }
        paper.end();
        for location in row.places.iter().filter(|_| verbose) {
            paper.put(Ink::Plain, &" ".repeat(left_width + 2)).line(Ink::Dim, &shown(location));
        }
    }
}

fn place(row: &Row, room: usize) -> String {
    let first = row.places.first().map(shown).unwrap_or_default();
    match row.places.len() {
        0 | 1 => fit_middle(&first, room),
        n => {
            let more = format!(" +{}", n - 1);
            format!("{}{more}", fit_middle(&first, room.saturating_sub(more.len())))
        }
    }
}

/// A location as people write it: a file as its path.
pub(crate) fn shown(location: &Location) -> String {
    location.as_str().strip_prefix("file://").unwrap_or(location.as_str()).to_owned()
}

/// Days left as a column: whole, rounded down.
fn left(end: UnixTime, at: UnixTime) -> String {
    let seconds = end.0.saturating_sub(at.0);
    if end >= UnixTime::NO_EXPIRY {
        return "never".to_owned();
    }
    match seconds {
        s if s < 0 => format!("{} d", s.div_euclid(86_400)),
        s if s < 2 * 3600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// What to call an asset in a table.
pub(crate) fn name(document: &AssetDocument, kind: AssetKind) -> String {
    if kind == AssetKind::Crl {
        return format!("CRL of {}", document.issuer_name.as_deref().map(common_name).unwrap_or_default());
    }
    let more = match document.names.len() {
        0 | 1 => String::new(),
        n => format!(" +{}", n - 1),
    };
    match (document.names.first(), &document.subject) {
        (Some(name), _) => format!("{name}{more}"),
        (None, Some(subject)) if !subject.is_empty() => common_name(subject),
        _ => document.id[..19.min(document.id.len())].to_owned(),
    }
}

/// The common name in RFC 4514 text, or its first part.
pub(crate) fn common_name(subject: &str) -> String {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut escaped = false;
    for c in subject.chars() {
        match c {
            ',' if !escaped => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(part);
    let value = |p: &String| p.strip_prefix("CN=").map(|v| v.replace('\\', ""));
    parts.iter().find_map(value).unwrap_or_else(|| parts.swap_remove(0))
}

fn findings(paper: &mut Paper, view: &View<'_>) {
    // What is merely good to know is counted, unless it is all there is to say or more was asked for.
    let all = &view.report.findings;
    let shown = all.iter().filter(|f| view.verbose || f.severity < Severity::Info);
    let mut any = false;
    for finding in shown {
        any = true;
        one(paper, finding, view.verbose);
    }
    let infos = all.iter().filter(|f| f.severity == Severity::Info).count();
    if infos > 0 && !view.verbose {
        any = true;
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in all.iter().filter(|f| f.severity == Severity::Info) {
            *kinds.entry(finding.kind.as_str()).or_default() += 1;
        }
        let list: Vec<_> = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        paper.put(Ink::Blue, "info").put(Ink::Plain, &format!("      {}", list.join(", ")));
        paper.put(Ink::Dim, "  (-v lists them)").end();
    }
    if any {
        paper.end();
    }
}

/// One finding: what, where, what to do.
pub(crate) fn one(paper: &mut Paper, finding: &Finding, verbose: bool) {
    paper.put(Ink::of(finding.severity), &format!("{:<8}", finding.severity.as_str()));
    paper.put(Ink::Plain, "  ").put(Ink::Bold, finding.kind.as_str());
    if let Some(owner) = &finding.owner {
        paper.put(Ink::Dim, &format!("  (owner: {owner})"));
    }
    paper.end();
    paper.paragraph(Ink::Plain, 10, &finding.summary);
    let listed = if verbose { usize::MAX } else { LISTED };
    for location in finding.locations.iter().take(listed) {
        paper.put(Ink::Plain, "          ").line(Ink::Dim, &self::shown(location));
    }
    if finding.locations.len() > listed {
        paper.line(Ink::Dim, &format!("          and {} more places", finding.locations.len() - listed));
    }
    if let Some(blast) =
        finding.blast.as_ref().filter(|b| verbose || finding.severity != Severity::Info && b.is_wide())
    {
        paper.paragraph(Ink::Dim, 10, &format!("breaks: {}", blast.in_words()));
    }
    paper.paragraph(Ink::Plain, 10, &format!("hint: {}", finding.hint));
}

fn blind_spots(paper: &mut Paper, view: &View<'_>) {
    let spots = view.report.inventory.blind_spots();
    if spots.is_empty() {
        return;
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for spot in spots {
        *reasons.entry(spot.reason.as_str()).or_default() += 1;
    }
    let list: Vec<_> = reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    paper.put(Ink::Bold, "not seen").put(Ink::Plain, &format!("  {}", list.join(", "))).end();
    let listed = if view.verbose { usize::MAX } else { LISTED };
    for spot in spots.iter().take(listed) {
        let text = format!("{}: {} ({})", shown(&spot.location), spot.detail, spot.reason.as_str());
        paper.paragraph(Ink::Dim, 10, &text);
    }
    if spots.len() > listed {
        paper.line(Ink::Dim, &format!("          and {} more (-v lists them)", spots.len() - listed));
    }
    paper.end();
}

fn sum(paper: &mut Paper, view: &View<'_>, anchors: usize) {
    let report = view.report;
    let scan = report.scan;
    let mut looked = Vec::new();
    if scan.attempted > 0 {
        looked.push(format!("{} of {} endpoints answered", count(scan.reached), count(scan.attempted)));
    }
    if scan.files > 0 {
        looked.push(plural(scan.files, "file"));
    }
    if looked.is_empty() {
        looked.push("nothing was looked at".to_owned());
    }
    let certificates = report.inventory.assets().filter(|(_, a)| a.kind == AssetKind::Certificate).count();
    let places = report.inventory.placements().len();
    let mut line = format!(
        "{}: {} in {}",
        looked.join(", "),
        plural(certificates as u64, "certificate"),
        plural(places as u64, "place")
    );
    if anchors > 0 {
        line.push_str(&format!(", {anchors} of them in trust stores"));
    }
    paper.put(Ink::Plain, &line).put(Ink::Plain, ". ");
    let of = |severity| report.findings.iter().filter(|f| f.severity == severity).count();
    let (critical, warning) = (of(Severity::Critical), of(Severity::Warning));
    if report.interrupted {
        paper.put(Ink::Yellow, "Interrupted: only part was looked at. ");
    }
    if critical + warning == 0 {
        // Silence is health only where something was seen.
        match (certificates, report.inventory.blind_spots().is_empty()) {
            (0, false) => paper.put(Ink::Yellow, "Nothing was seen."),
            (0, true) if scan.attempted + scan.files == 0 => {
                paper.put(Ink::Yellow, "So nothing can be said.")
            }
            (_, false) => paper.put(Ink::Green, "Nothing needs doing now, in what was seen."),
            (_, true) => paper.put(Ink::Green, "Nothing needs doing now."),
        };
    } else {
        if critical > 0 {
            paper.put(Ink::Red, &format!("{critical} critical"));
        }
        if critical > 0 && warning > 0 {
            paper.put(Ink::Plain, ", ");
        }
        if warning > 0 {
            paper.put(Ink::Yellow, &plural(warning as u64, "warning"));
        }
        paper.put(Ink::Plain, ".");
    }
    paper.end();
}

fn plural(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A number with commas between thousands.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_out_of_subjects() {
        for (subject, expected) in [
            ("CN=R11,O=Let's Encrypt,C=US", "R11"),
            ("O=Acme\\, Inc.,CN=x", "x"),
            ("CN=a\\,b,C=DE", "a,b"),
            ("OU=Only,C=DE", "OU=Only"),
            ("", ""),
        ] {
            assert_eq!(common_name(subject), expected, "{subject}");
        }
    }

    #[test]
    fn whole_days_rounded_down() {
        let at = UnixTime(0);
        for (seconds, expected) in
            [(10 * 86_400 - 1, "9 d"), (86_400, "24 h"), (600, "10 min"), (-1, "-1 d"), (-86_400 * 3, "-3 d")]
        {
            assert_eq!(left(UnixTime(seconds), at), expected);
        }
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
