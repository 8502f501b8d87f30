//! What came of it, as a table: so many points, so many violations, each told.

use std::fmt;
use std::time::Duration;

/// One line of the board.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// What was broken, or what was held against what.
    pub what: String,
    /// At how many points, or how often.
    pub points: usize,
    /// What must not have been, one sentence each.
    pub bad: Vec<String>,
    /// Figures besides.
    pub note: String,
}

impl Row {
    /// A line without violations yet.
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// A scene that could not be played to its end.
    pub(crate) fn broken(why: String) -> Self {
        Self { bad: vec![why], ..Self::of("could not be played to its end") }
    }

    /// Something must be so.
    pub(crate) fn must(&mut self, is_so: bool, else_: impl FnOnce() -> String) {
        if !is_so {
            self.bad.push(else_());
        }
    }

    /// With figures.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Board {
    seed: u64,
    rows: Vec<(&'static str, Row)>,
    times: Vec<(&'static str, Duration)>,
}

impl Board {
    /// An empty one.
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(crate) fn took(&mut self, scene: &'static str, rows: Vec<Row>, time: Duration) {
        self.rows.extend(rows.into_iter().map(|row| (scene, row)));
        self.times.push((scene, time));
    }

    /// How much there was that must not be.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.bad.len()).sum()
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "{:<10} {:>6} {:>4}  what", "scene", "points", "bad")?;
        for (scene, row) in &self.rows {
            let note = if row.note.is_empty() { String::new() } else { format!(": {}", row.note) };
            writeln!(f, "{scene:<10} {:>6} {:>4}  {}{note}", row.points, row.bad.len(), row.what)?;
            for bad in row.bad.iter().take(12) {
                writeln!(f, "{:>24}! {}", "", bad.replace('\n', "\n                          "))?;
            }
            if row.bad.len() > 12 {
                writeln!(f, "{:>24}! and {} more", "", row.bad.len() - 12)?;
            }
        }
        let times: Vec<String> = self.times.iter().map(|(s, t)| format!("{s} {} s", t.as_secs())).collect();
        writeln!(f, "{}", times.join(", "))?;
        let points: usize = self.rows.iter().map(|(_, row)| row.points).sum();
        write!(f, "{points} points, {} violations", self.violations())
    }
}
