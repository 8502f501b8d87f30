//! What was measured, as one table; and what was missed, which fails the run.

/// Collects rows.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<[String; 7]>,
    missed: Vec<String>,
}

/// One line of the table.
pub(super) struct Row {
    pub(super) group: &'static str,
    pub(super) what: String,
    pub(super) ours: String,
    pub(super) peer: String,
    /// What the goal is about: a ratio or a quantity.
    pub(super) value: f64,
    pub(super) shown: String,
    /// At most; none where the row only informs.
    pub(super) goal: Option<(f64, &'static str)>,
}

impl Row {
    /// Ours against a peer, both in `unit`.
    pub(super) fn ratio(
        group: &'static str,
        what: &str,
        (ours, peer): (f64, f64),
        unit: &str,
        goal: Option<(f64, &'static str)>,
    ) -> Self {
        let value = ours / peer;
        let shown = if value < 1.0 { format!("1/{:.1}", 1.0 / value) } else { format!("{value:.2}x") };
        let quantity = |value: f64| format!("{} {unit}", digits(value));
        Self { group, what: what.to_owned(), ours: quantity(ours), peer: quantity(peer), value, shown, goal }
    }

    /// Ours against a fixed quantity.
    pub(super) fn quantity(
        group: &'static str,
        what: &str,
        ours: f64,
        unit: &str,
        goal: Option<(f64, &'static str)>,
    ) -> Self {
        let text = format!("{} {unit}", digits(ours));
        Self {
            group,
            what: what.to_owned(),
            ours: text,
            peer: String::new(),
            value: ours,
            shown: String::new(),
            goal,
        }
    }
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

impl Table {
    /// Adds a row.
    pub(super) fn row(&mut self, row: Row) {
        let (goal, verdict) = match row.goal {
            None => (String::new(), String::new()),
            Some((limit, text)) => {
                (text.to_owned(), if row.value <= limit { "met" } else { "MISSED" }.to_owned())
            }
        };
        let line = [row.group.to_owned(), row.what, row.ours, row.peer, row.shown, goal, verdict];
        println!("bench: {}", line.join("  "));
        self.rows.push(line);
    }

    /// A measurement that could not be made.
    pub(super) fn not_run(&mut self, group: &'static str, what: &str, why: &str) {
        let mut line: [String; 7] = Default::default();
        (line[0], line[1], line[2]) = (group.to_owned(), what.to_owned(), format!("not run: {why}"));
        println!("bench: {}", line.join("  "));
        self.rows.push(line);
    }

    /// Ours did not find everything.
    pub(super) fn missed(&mut self, what: String) {
        self.missed.push(what);
    }

    /// The rows, aligned.
    pub(super) fn text(&self) -> String {
        let head = ["group", "what", "ours", "peer", "ratio", "goal", "verdict"].map(str::to_owned);
        let all: Vec<&[String; 7]> = std::iter::once(&head).chain(&self.rows).collect();
        let width =
            |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..7).map(width).collect();
        let mut out = String::new();
        for row in all {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            out += cells.join("  ").trim_end();
            out.push('\n');
        }
        out
    }

    /// Fails if anything was not found.
    pub(super) fn complete(&self) -> Result<(), String> {
        if self.missed.is_empty() {
            println!("complete: every run of ours found everything");
            return Ok(());
        }
        Err(format!("not complete:\n  {}", self.missed.join("\n  ")))
    }
}
