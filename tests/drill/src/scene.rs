//! What a scene is: its `scene.toml`, and the functions that make it.
//!
//! The text says what is expected, in words that a person can check against the outage; the functions make it come
//! true. Neither knows what the program can do today.

use notafter_lab::NotRun;
use serde::Deserialize;

use crate::client::Said;
use crate::program::{Program, Seen};
use crate::site::Site;

/// One scene, as it is listed in [`crate::scenes`].
pub(crate) struct Scene {
    /// Its `scene.toml`.
    pub(crate) text: &'static str,
    /// Makes its files and starts its servers.
    pub(crate) build: fn(&mut Site) -> Result<(), NotRun>,
    /// The client that breaks, at this moment.
    pub(crate) client: fn(&Site, i64) -> Result<Said, NotRun>,
    /// A look of its own, for what the shared scans cannot show: a server's life, a calendar.
    pub(crate) look: Option<Look>,
}

/// A look of its own at this moment.
pub(crate) type Look = fn(&Site, &Program, i64) -> Result<Seen, NotRun>;

/// `scene.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// `P07`.
    pub(crate) id: String,
    /// What it is about, in a few words.
    pub(crate) title: String,
    /// The outages it comes from.
    pub(crate) incident: Vec<String>,
    /// The pattern's name.
    pub(crate) pattern: String,
    /// How long mending takes: F0 to F4.
    pub(crate) fix: String,
    /// The lead that is early enough, in days, where the pattern asks for another than its class.
    pub(crate) lead_days: Option<i64>,
    /// How long before T0 the state came about, in days; it is not looked for earlier.
    #[serde(default = "long_ago")]
    pub(crate) since_days: i64,
    /// The same for the twin, where its state is younger.
    pub(crate) twin_since_days: Option<i64>,
    /// Whether the client fails before T0 too: the service is broken as soon as the state exists.
    #[serde(default)]
    pub(crate) broken_at_once: bool,
    /// What must be reported, each of it.
    pub(crate) expect: Vec<Expect>,
    /// What the twin is.
    pub(crate) twin: String,
}

/// One finding that must be made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The kinds that name this cause.
    pub(crate) kind: Vec<String>,
    /// How bad it must have become before T0.
    pub(crate) severity: String,
    /// Every one of these must match a location of the finding. `{pN}` is a port of the site, `{host}` 127.0.1.
    pub(crate) locations: Vec<String>,
    /// Whom it must be laid before: the site's own team unless said otherwise; `*` is anybody.
    pub(crate) owner: Option<String>,
    /// The lead that is early enough for this one, in days, where it is another than the scene's.
    pub(crate) lead_days: Option<i64>,
    /// Since when this one can be known, in days before T0, where it is another time than the scene's.
    pub(crate) since_days: Option<i64>,
    /// Whether it cannot be known before T0 and is asked for right after.
    #[serde(default)]
    pub(crate) after: bool,
}

/// States are older than the drill looks back unless they say otherwise.
fn long_ago() -> i64 {
    10_000
}

impl Text {
    /// Reads it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|error| format!("scene.toml: {error}"))?;
        if class(&read.fix).is_none() {
            return Err(format!("{}: fix = {:?}: F0 to F4 are known", read.id, read.fix));
        }
        Ok(read)
    }

    /// The lead that counts as early, in days.
    pub(crate) fn early(&self) -> i64 {
        self.lead_days.or_else(|| class(&self.fix)).unwrap_or(1)
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.id.trim_start_matches('P').parse().unwrap_or_default()
    }
}

/// Twice the fix-time class, in days.
fn class(fix: &str) -> Option<i64> {
    Some(match fix {
        "F0" => 1,
        "F1" => 3,
        "F2" => 30,
        "F3" => 90,
        "F4" => 365,
        _ => return None,
    })
}
