//! What a renewer says of itself: what it keeps alive, when it means to renew, and how it fares.
//!
//! Read from its files by `discover/renewers.rs`, kept by the store as it stands here, judged by the rules about
//! renewers through [`crate::dossier::ManagedView`]. A statement of somebody else: whether a plan was kept is judged by
//! the certificate, and nothing here opens one.

use notafter_pki::time::DAY;
use serde::{Deserialize, Serialize};

use crate::UnixTime;
use crate::location::Location;

/// What a renewer keeps alive, and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upkeep {
    /// The tool's name: `certbot`, `acme.sh`, ...
    pub tool: String,
    /// The tool's own name for it.
    pub lineage: String,
    /// The file that says it.
    #[serde(with = "place")]
    pub state: Location,
    /// The folder of the tool's state: what its lineages share.
    #[serde(with = "place")]
    pub home: Location,
    /// The names it asks for, as far as its state says them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The files in which the certificate is: as served first, links and copies after.
    #[serde(with = "places")]
    pub certificates: Vec<Location>,
    /// When the tool itself means to renew.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub planned: Option<UnixTime>,
    /// So long before the end it renews, where it says that instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// Is it renewed without being asked? Some tools keep what they shall not renew.
    pub automatic: bool,
    /// Is it renewed from within a running process, which needs nothing to start it?
    pub resident: bool,
    /// Its account, by whatever the tool calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The directory URL of its CA, or the tool's short word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How it proves control: a plugin, a webroot, a DNS provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
    /// Commands that are run before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
    /// What starts the tool, if something was found that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starter: Option<Starter>,
    /// Was it looked for where it would have been seen? Only then does none found mean that there is none.
    pub starter_known: bool,
    /// When the tool last ran, as far as it can be told.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub last_run: Option<UnixTime>,
    /// Failures since it last went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// What in its state will make the next attempt fail: links that lead nowhere, an account that is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// What it signs in with, where that has an end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<Credential>,
}

/// How long before a certificate's end a tool renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Before {
    /// So many seconds.
    Seconds(i64),
    /// At a third of its life left, at half of it if it lives ten days or less: certbot since 4.0, Caddy, lego when
    /// told to.
    Share,
}

/// Something that starts a renewer now and then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starter {
    /// The unit (`certbot.timer`), or the line of cron.
    pub what: String,
    /// The file it stands in.
    #[serde(with = "place")]
    pub place: Location,
    /// Will it start anything? A timer that is not linked, or masked, will not.
    pub enabled: bool,
    /// So often, in seconds, where that can be read: the longest wait between two of its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<i64>,
}

/// Attempts that failed, with none that went well after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many are known.
    pub count: u32,
    /// The first.
    #[serde(with = "instant")]
    pub first: UnixTime,
    /// The last.
    #[serde(with = "instant")]
    pub last: UnixTime,
    /// What was said about the last.
    pub message: String,
    /// Where it was said.
    #[serde(with = "place")]
    pub place: Location,
}

/// Something that a renewer signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The file it stands in.
    #[serde(with = "place")]
    pub place: Location,
    /// What it is, never the secret itself: `token`, `certificate`, the name of the setting that says the date.
    pub what: String,
    /// When it begins, if that is known.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixTime>,
    /// When it ends.
    #[serde(with = "instant")]
    pub until: UnixTime,
}

impl Upkeep {
    /// When a certificate with this life is to be renewed: by the plan, by the time before the end, by a third of its
    /// life. `usual`: so many seconds before their ends its predecessors were renewed.
    pub fn due(&self, not_before: UnixTime, not_after: UnixTime, usual: Option<i64>) -> UnixTime {
        let life = not_after.0.saturating_sub(not_before.0).max(0);
        let planned = self.planned.filter(|t| *t > not_before && *t < not_after);
        if let Some(planned) = planned {
            return planned;
        }
        let share = if life <= 10 * DAY { life / 2 } else { life / 3 };
        let before = match self.before {
            // Longer than it lives is "at every run": nothing can be late by that.
            Some(Before::Seconds(seconds)) if seconds < life * 2 / 3 => seconds,
            Some(_) => share,
            None => usual.filter(|s| (1..life).contains(s)).unwrap_or(share),
        };
        not_after.plus(-before)
    }

    /// So long after its time a renewal may come, in seconds: what starts the tool does so now and then, at an hour
    /// that it chooses by chance. Never more than a sixth of the certificate's life.
    pub fn grace(&self, life: i64) -> i64 {
        let every = if self.resident { DAY } else { self.rhythm().unwrap_or(DAY).max(DAY) };
        (every + 6 * 3600).min(life.max(0) / 6)
    }

    /// So often the tool is started, in seconds.
    pub fn rhythm(&self) -> Option<i64> {
        self.starter.as_ref().filter(|s| s.enabled).and_then(|s| s.every)
    }

    /// When the tool counts as dead: it has not run for three of its rhythms, three days at least. `None` where its
    /// last run is not known, or it needs nothing to start it.
    pub fn dead_from(&self) -> Option<UnixTime> {
        let patience = 3 * self.rhythm().unwrap_or(DAY).max(DAY);
        self.last_run.filter(|_| !self.resident).map(|last| last.plus(patience))
    }

    /// Is there nothing that would start it?
    pub fn nothing_starts_it(&self) -> bool {
        !self.resident && self.starter_known && self.starter.as_ref().is_none_or(|s| !s.enabled)
    }

    /// One line about it, for a certificate with this life: who, by what, when next, and how it goes.
    pub fn in_words(&self, not_before: Option<UnixTime>, not_after: Option<UnixTime>) -> String {
        let mut out = format!("{} ({}, in {})", self.tool, self.lineage, self.state);
        match (self.automatic, not_before.zip(not_after)) {
            (false, _) => out.push_str(", not by itself"),
            (true, Some((begin, end))) => out.push_str(&format!(", next on {}", self.due(begin, end, None))),
            (true, None) => {}
        }
        match &self.starter {
            Some(starter) if starter.enabled => out.push_str(&format!("; started by {}", starter.what)),
            Some(starter) => out.push_str(&format!("; {} does not start it", starter.what)),
            None if self.nothing_starts_it() => out.push_str("; nothing was found that starts it"),
            None => {}
        }
        if let Some(last) = self.last_run {
            out.push_str(&format!("; last ran {last}"));
        }
        if let Some(failed) = &self.failures {
            out.push_str(&format!("; failed since {}: {}", failed.first, failed.message.trim()));
        }
        for why in &self.broken {
            out.push_str(&format!("; {why}"));
        }
        out
    }

    /// What tells it from all others: the tool, its file, its name.
    pub fn key(&self) -> String {
        format!("{} {} {}", self.tool, self.state, self.lineage)
    }
}

mod place {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::location::Location;

    pub(super) fn serialize<S: Serializer>(location: &Location, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(location.as_str())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Location, D::Error> {
        let text = String::deserialize(from)?;
        Location::parse(&text).ok_or_else(|| D::Error::custom("no place"))
    }
}

mod places {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::location::Location;

    pub(super) fn serialize<S: Serializer>(list: &[Location], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(Location::as_str))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<Location>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let read = |text: &String| Location::parse(text).ok_or_else(|| D::Error::custom("no place"));
        texts.iter().map(read).collect()
    }
}

mod instant {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::UnixTime;

    pub(super) fn serialize<S: Serializer>(at: &UnixTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.0)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<UnixTime, D::Error> {
        i64::deserialize(from).map(UnixTime)
    }
}

mod moment {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::UnixTime;

    pub(super) fn serialize<S: Serializer>(at: &Option<UnixTime>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_some(&at.0),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<UnixTime>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(UnixTime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::scene::renewal;

    #[test]
    fn when_it_is_due() {
        let check = |life: i64, before: Option<Before>, usual: Option<i64>, left: i64| {
            let one = Upkeep { before, ..renewal() };
            let (from, until) = (UnixTime(0), UnixTime(life * DAY));
            assert_eq!(until.0 - one.due(from, until, usual.map(|d| d * DAY)).0, left * 3600, "{before:?}");
        };
        let days = |n: i64| Some(Before::Seconds(n * DAY));
        check(90, days(30), None, 720);
        check(90, Some(Before::Share), None, 720);
        check(47, Some(Before::Share), None, 376);
        check(6, Some(Before::Share), None, 72);
        // Told 30 days for a certificate of six: it renews at every run, and is late when half its life is over.
        check(6, days(30), None, 72);
        check(90, None, Some(20), 480);
        check(90, None, None, 720);
        check(90, days(10), Some(20), 240);
        let planned = Upkeep { planned: Some(UnixTime(5)), ..renewal() };
        assert_eq!(planned.due(UnixTime(0), UnixTime(100), None), UnixTime(5));
        // A plan of an earlier certificate says nothing about this one.
        assert_ne!(planned.due(UnixTime(10), UnixTime(100), None), UnixTime(5));
    }

    #[test]
    fn grace_and_death() {
        let one = renewal();
        assert_eq!(one.grace(90 * DAY), DAY + 6 * 3600);
        assert_eq!(one.grace(6 * DAY), DAY);
        let weekly = Starter { every: Some(7 * DAY), ..one.starter.clone().unwrap() };
        let weekly = Upkeep { starter: Some(weekly), last_run: Some(UnixTime(0)), ..one.clone() };
        assert_eq!(weekly.grace(90 * DAY), 7 * DAY + 6 * 3600);
        assert_eq!(weekly.dead_from(), Some(UnixTime(21 * DAY)));
        assert_eq!(Upkeep { resident: true, ..weekly }.dead_from(), None);
        let none = Upkeep { starter: None, ..one.clone() };
        assert!(none.nothing_starts_it() && !one.nothing_starts_it());
        assert!(!Upkeep { starter_known: false, ..none }.nothing_starts_it());
    }

    #[test]
    fn it_is_kept_without_loss() {
        let place = Location::file(b"/var/log/x", "");
        let failures = Failures {
            count: 2,
            first: UnixTime(1),
            last: UnixTime(2),
            message: "\u{202e}no".into(),
            place: place.clone(),
        };
        let credential =
            Credential { place, what: "token".into(), from: Some(UnixTime(-1)), until: UnixTime(9) };
        let full = Upkeep {
            planned: Some(UnixTime(3)),
            last_run: Some(UnixTime(4)),
            failures: Some(failures),
            credentials: vec![credential],
            ..renewal()
        };
        for one in [full, renewal()] {
            let json = serde_json::to_string(&one).unwrap();
            assert_eq!(serde_json::from_str::<Upkeep>(&json).unwrap(), one, "{json}");
        }
    }
}
