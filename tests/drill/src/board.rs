//! The scoreboard: a table that a person reads, or JSON.
//!
//! Prints what was judged and judges nothing. A scene that is not honest, a program that is missing and a false
//! alarm are never left out.

use serde_json::{Value, json};

use crate::score::Grade;

/// What became of one scene and its twin.
pub(crate) struct Row {
    /// `P07`.
    pub(crate) id: String,
    /// What it is about.
    pub(crate) title: String,
    /// The pattern behind it, and what its healthy twin is.
    pub(crate) pattern: String,
    pub(crate) twin: String,
    /// The outages it comes from.
    pub(crate) incident: Vec<String>,
    /// How long mending takes.
    pub(crate) fix: String,
    /// What the clients said: nothing where both were honest.
    pub(crate) dishonest: Vec<String>,
    /// Why it could not be played, or in part.
    pub(crate) not_run: Vec<String>,
    /// What its clients said, for those who ask.
    pub(crate) proof: Vec<String>,
    /// The grades at levels 0, 1 and 2; nothing where the level was not looked at.
    pub(crate) grades: Vec<Option<(Grade, Option<i64>)>>,
    /// What was missing at level 2, or what was wrong with it.
    pub(crate) missing: Vec<String>,
    /// What was said about it a day before T0, at each level.
    pub(crate) heard: Vec<Vec<String>>,
    /// False alarms about the twin.
    pub(crate) alarms: Vec<String>,
    /// What peers made of it.
    pub(crate) peers: Vec<(String, String)>,
}

/// The whole drill.
pub(crate) struct Board {
    /// When, as a date.
    pub(crate) date: String,
    /// What was tested.
    pub(crate) program: String,
    /// The scenes.
    pub(crate) rows: Vec<Row>,
    /// What the program did not understand.
    pub(crate) notes: Vec<String>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
}

impl Board {
    /// How many scenes are early at a level.
    pub(crate) fn early(&self, level: usize) -> usize {
        self.count(level, Grade::Early)
    }

    /// How many scenes got a grade at a level.
    fn count(&self, level: usize, grade: Grade) -> usize {
        let of = |row: &&Row| row.grades.get(level).copied().flatten().is_some_and(|(g, _)| g == grade);
        self.rows.iter().filter(of).count()
    }

    /// How many twins were not left in peace.
    fn false_alarms(&self) -> usize {
        self.rows.iter().filter(|row| !row.alarms.is_empty()).count()
    }

    /// As a table.
    pub(crate) fn table(&self, verbose: bool) -> String {
        let mut lines = vec![format!("{}, {}", self.date, self.program), String::new()];
        lines.push(format!(
            "{:4} {:38} {:3} {:7} {:13} {:13} {:13} {}",
            "", "scene", "fix", "proof", "level 0", "level 1", "level 2", "twin"
        ));
        for row in &self.rows {
            let proof = if !row.not_run.is_empty() {
                "NOT RUN"
            } else if row.dishonest.is_empty() {
                "honest"
            } else {
                "BROKEN"
            };
            let grade = |level: usize| match row.grades.get(level).copied().flatten() {
                Some((Grade::InTime | Grade::Late, Some(lead))) => {
                    format!("{} {lead} d", row.grades[level].map_or("", |(g, _)| g.word()))
                }
                Some((grade, _)) => grade.word().to_owned(),
                None => "-".to_owned(),
            };
            let twin = if row.alarms.is_empty() {
                "silent".to_owned()
            } else {
                format!("FALSE {}", row.alarms.len())
            };
            let line = format!(
                "{:4} {:38} {:3} {:7} {:13} {:13} {:13} {}",
                row.id,
                cut(&row.title, 38),
                row.fix,
                proof,
                grade(0),
                grade(1),
                grade(2),
                twin
            );
            lines.push(line);
        }
        lines.push(String::new());
        lines.push(format!(
            "{:8} {:>6} {:>8} {:>5} {:>6} {:>6} {:>6} {:>6}",
            "", "EARLY", "IN TIME", "LATE", "WRONG", "AFTER", "never", "FALSE"
        ));
        for level in 0..3 {
            let n = |grade| self.count(level, grade);
            lines.push(format!(
                "level {level:<2} {:>6} {:>8} {:>5} {:>6} {:>6} {:>6} {:>6}",
                n(Grade::Early),
                n(Grade::InTime),
                n(Grade::Late),
                n(Grade::WrongPlace) + n(Grade::WrongPerson),
                n(Grade::After),
                n(Grade::Never),
                if level == 0 { self.false_alarms().to_string() } else { String::new() },
            ));
        }
        self.peers(&mut lines);
        lines.push(String::new());
        for row in &self.rows {
            for (sign, list) in
                [("NOT RUN", &row.not_run), ("dishonest", &row.dishonest), ("FALSE", &row.alarms)]
            {
                lines.extend(list.iter().map(|line| format!("{} {sign}: {line}", row.id)));
            }
            if verbose {
                lines.extend(row.proof.iter().map(|line| format!("{} proof: {line}", row.id)));
                for (level, heard) in row.heard.iter().enumerate().filter(|(_, heard)| !heard.is_empty()) {
                    lines.push(format!("{} level {level}, a day before T0: {}", row.id, heard.join(", ")));
                }
                lines.extend(row.missing.iter().map(|line| format!("{} missing: {line}", row.id)));
            }
        }
        if !self.notes.is_empty() {
            lines.push(format!("not understood by the program: {}", self.notes.join(", ")));
        }
        lines.push(format!("{:.0} s", self.seconds));
        lines.join("\n")
    }

    /// What the peers made of the same scenes.
    fn peers(&self, lines: &mut Vec<String>) {
        let Some(first) = self.rows.iter().find(|row| !row.peers.is_empty()) else { return };
        lines.push(String::new());
        lines.push("peers, told every endpoint and file that they can take".to_owned());
        for (n, (name, _)) in first.peers.iter().enumerate() {
            let said: Vec<(&str, &str)> = self
                .rows
                .iter()
                .filter_map(|row| Some((row.id.as_str(), row.peers.get(n)?.1.as_str())))
                .collect();
            let of = |word: &str| {
                said.iter()
                    .filter(|(_, s)| s.split(' ').any(|w| w == word))
                    .map(|(id, _)| *id)
                    .collect::<Vec<_>>()
            };
            if let Some((_, why)) = said.iter().find(|(_, s)| s.starts_with("NOT RUN")) {
                lines.push(format!("  {name}: {why}"));
                continue;
            }
            let list = |word: &str| format!("{} {word} ({})", of(word).len(), of(word).join(" "));
            lines.push(format!("  {name}: {}, {}, {}", list("SPOKE"), list("LATE"), list("FALSE")));
        }
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let row = |row: &Row| {
            let grades: Vec<Value> = row
                .grades
                .iter()
                .map(|grade| match grade {
                    Some((grade, lead)) => json!({"grade": grade.word(), "lead_days": lead}),
                    None => Value::Null,
                })
                .collect();
            json!({
                "id": row.id, "title": row.title, "pattern": row.pattern, "twin": row.twin,
                "incident": row.incident, "fix": row.fix,
                "honest": row.dishonest.is_empty() && row.not_run.is_empty(),
                "dishonest": row.dishonest, "not_run": row.not_run, "proof": row.proof,
                "levels": grades, "missing": row.missing, "false": row.alarms,
                "peers": row.peers.iter().map(|(name, said)| json!({"name": name, "said": said})).collect::<Vec<_>>(),
            })
        };
        json!({
            "date": self.date, "program": self.program, "seconds": self.seconds,
            "early": [self.early(0), self.early(1), self.early(2)],
            "false": self.false_alarms(),
            "not_understood": self.notes,
            "scenes": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// The beginning of a text.
fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}
