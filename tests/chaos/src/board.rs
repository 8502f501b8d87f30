//! What came of it, as a table: so many points, so many violations, each told.

use std::fmt;
use std::time::Duration;

/// One line of the board.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// What was broken, or what was held against what.
    pub what: String,
    /// The fault of `docs/guide/chaos.md` that it is about, such as `F1`; several with commas.
    pub fault: &'static str,
    /// At how many points, or how often.
    pub points: usize,
    /// At how many it was to be. Fewer is a violation.
    pub asked: usize,
    /// Why it was not run at all, where something of this machine is missing. Neither good nor bad news of the program.
    pub not_run: Option<String>,
    /// What must not have been, one sentence each.
    pub bad: Vec<String>,
    /// Figures besides.
    pub note: String,
}

impl Row {
    /// A line without violations yet. It has to be tried at one point at least.
    pub(crate) fn of(fault: &'static str, what: impl Into<String>) -> Self {
        Self { fault, what: what.into(), asked: 1, ..Self::default() }
    }

    /// A line of something that this machine cannot play.
    pub(crate) fn not_run(fault: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { not_run: Some(why.into()), ..Self::of(fault, what) }
    }

    /// A scene that could not be played to its end.
    pub(crate) fn broken(why: String) -> Self {
        Self { bad: vec![why], asked: 0, ..Self::of("", "could not be played to its end") }
    }

    /// Something must be so.
    pub(crate) fn must(&mut self, is_so: bool, else_: impl FnOnce() -> String) {
        if !is_so {
            self.bad.push(else_());
        }
    }

    /// To be tried at so many points.
    pub(crate) fn asks(mut self, points: usize) -> Self {
        self.asked = points;
        self
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

    pub(crate) fn took(&mut self, scene: &'static str, mut rows: Vec<Row>, time: Duration) {
        for row in rows.iter_mut().filter(|row| row.not_run.is_none()) {
            let (points, asked) = (row.points, row.asked);
            row.must(points >= asked, || format!("only {points} of {asked} points were reached"));
        }
        self.rows.extend(rows.into_iter().map(|row| (scene, row)));
        self.times.push((scene, time));
    }

    /// How much there was that must not be.
    #[must_use]
    pub fn violations(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.bad.len()).sum()
    }

    /// How many lines this machine could not play.
    #[must_use]
    pub fn not_run(&self) -> usize {
        self.rows.iter().filter(|(_, row)| row.not_run.is_some()).count()
    }

    /// The faults that no line is about.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let has = |fault: &str| self.rows.iter().any(|(_, row)| row.fault.split(", ").any(|f| f == fault));
        FAULTS.iter().copied().filter(|fault| !has(fault)).collect()
    }
}

/// The faults that a whole board has a line for.
pub const FAULTS: &[&str] = &[
    "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14", "F15", "F16",
    "F17", "F18", "F19", "F20", "F21", "F22", "F23", "F24", "F25", "F26", "F27", "F28", "F29", "F30", "F49",
    "F50", "F57", "F58",
];

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "{:<10} {:<9} {:>6} {:>4}  what", "scene", "fault", "points", "bad")?;
        for (scene, row) in &self.rows {
            let note = if row.note.is_empty() { String::new() } else { format!(": {}", row.note) };
            if let Some(why) = &row.not_run {
                writeln!(f, "{scene:<10} {:<9} {:>11}  {}{note}: {why}", row.fault, "NOT RUN", row.what)?;
                continue;
            }
            let (points, bad) = (row.points, row.bad.len());
            writeln!(f, "{scene:<10} {:<9} {points:>6} {bad:>4}  {}{note}", row.fault, row.what)?;
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
        write!(f, "{points} points, {} violations", self.violations())?;
        match self.not_run() {
            0 => Ok(()),
            lines => write!(f, ", {lines} lines NOT RUN on this machine"),
        }
    }
}
