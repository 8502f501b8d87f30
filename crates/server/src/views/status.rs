//! The status page: services as they were observed. Nothing can be set green by hand; not looked at is grey.
//!
//! It stands alone, with no link into the app, because strangers may read it and because it is exported to
//! other hosts. It says nothing of places, names inside, or owners.

use askama::Template;
use notafter_core::UnixTime;
use notafter_engine::service::{Health, ServiceState};
use notafter_pki::time::DAY;
use notafter_store::{Store, StoreError};

use super::{Banner, Stamp};
use crate::words;

#[derive(Clone, Debug, Template)]
#[template(path = "status.html")]
pub(crate) struct StatusView {
    pub(crate) title: String,
    pub(crate) stylesheet: String,
    /// greys the page once `valid_until` has passed; a file, because the policy lets no inline script run
    pub(crate) script: String,
    /// RFC 3339: whoever reads this later, from a copy or from a server that died, reads nothing that is known
    pub(crate) valid_until: String,
    /// the same for those without script
    pub(crate) valid_words: String,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) banners: Vec<Banner>,
    pub(crate) services: Vec<ServiceItem>,
    /// first day of the strips, "24 Aug"
    pub(crate) from: String,
    pub(crate) from_narrow: String,
    pub(crate) legend: String,
    pub(crate) version: String,
    pub(crate) as_of: Stamp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceItem {
    /// proven only when every place was seen good within its interval
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) tone: String,
    pub(crate) days: Vec<StripDay>,
    /// the same for a narrow screen: fewer days, each wide enough to be seen
    pub(crate) last_days: Vec<StripDay>,
    pub(crate) strip_words: String,
    /// words "" = nobody saw it
    pub(crate) looked: Stamp,
    /// words "" = never, or it is good now
    pub(crate) good: Stamp,
    pub(crate) next: String,
    pub(crate) next_tone: String,
}

/// also `gap`: nobody looked; height tells the tones apart without colour
#[derive(Clone, Debug, Default)]
pub(crate) struct StripDay {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) y: i32,
    pub(crate) height: i32,
    pub(crate) tone: String,
    /// of its height so much was seen good, at the foot of a day that was not seen whole
    pub(crate) part: i32,
    pub(crate) title: String,
}

/// The strip looks back so many days.
const BACK: i64 = 90;
/// On a narrow screen it looks back so many.
const BACK_NARROW: i64 = 30;
/// The top of the strip's box, in pixels from its base.
const TALL: i32 = 26;

/// A day of a service: seconds good, bad, unknown.
pub(crate) type Day = (i64, [u32; 3]);

/// The days of each service.
pub(crate) fn days_of(
    store: &Store,
    services: &[ServiceState],
    now: UnixTime,
) -> Result<Vec<Vec<Day>>, StoreError> {
    let first = now.0.div_euclid(DAY) - BACK + 1;
    services.iter().map(|s| store.service_days(&s.name, first)).collect()
}

/// What the page is made from.
pub(crate) struct Gathered<'a> {
    pub(crate) services: &'a [ServiceState],
    pub(crate) days: &'a [Vec<Day>],
    /// When the services were looked up.
    pub(crate) as_of: UnixTime,
    /// Does the engine live, and does the memory take what is seen?
    pub(crate) well: bool,
    /// May the reader see what is inside: the names by which services are configured?
    pub(crate) inside: bool,
    /// For so many seconds this may be believed.
    pub(crate) valid: i64,
    /// Where stylesheet and script are, with a slash at the end.
    pub(crate) folder: String,
    pub(crate) version: &'a str,
}

/// The page.
pub(crate) fn view(found: &Gathered<'_>, now: UnixTime) -> StatusView {
    let services: Vec<ServiceItem> = found
        .services
        .iter()
        .zip(found.days.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..])))
        .map(|(service, days)| item(service, days, found, now))
        .collect();
    let banners = if found.well {
        Vec::new()
    } else {
        vec![Banner {
            tone: "stale".to_owned(),
            title: "Nothing is being observed just now.".to_owned(),
            text: "What stands here may be out of date: every state is grey until it was seen again."
                .to_owned(),
            ..Banner::default()
        }]
    };
    StatusView {
        title: "Status".to_owned(),
        stylesheet: format!("{}notafter.css", found.folder),
        script: format!("{}status.js", found.folder),
        valid_until: found.as_of.plus(found.valid).to_string(),
        valid_words: format!(
            "If this is older than {}, nothing here is known: it was written {}.",
            words::span(found.valid),
            words::moment(found.as_of)
        ),
        headline: headline(found.services, found.well),
        subline: "What stands here was observed, never typed in. Grey is not known.".to_owned(),
        banners,
        services,
        from: words::day(now.plus(-(BACK - 1) * DAY), now),
        from_narrow: words::day(now.plus(-(BACK_NARROW - 1) * DAY), now),
        legend: "Full green: every place of the service was seen good. Red: seen broken. Grey: not seen, with as much green at its foot as was seen of the day. Dotted: nobody looked."
            .to_owned(),
        version: found.version.to_owned(),
        as_of: Stamp::moment(found.as_of),
    }
}

fn headline(services: &[ServiceState], well: bool) -> String {
    let count = |health| services.iter().filter(|s| s.health == health).count() as u64;
    let all = services.len() as u64;
    let (good, bad) = (count(Health::Good), count(Health::Bad));
    let unknown = all - good - bad;
    let of = |n: u64| match (n, all) {
        (1, 1) => "The service is".to_owned(),
        (n, all) if n == all => format!("All {} services are", words::number_word(all)),
        (1, _) => format!("One of {} services is", words::number_word(all)),
        (n, _) => {
            format!("{} of {} services are", words::sentence(&words::number_word(n)), words::number_word(all))
        }
    };
    let unknowns = match unknown {
        0 => String::new(),
        1 => "; one is not known".to_owned(),
        n => format!("; {} are not known", words::number_word(n)),
    };
    match (all, well, bad, good) {
        (0, ..) => "No service is published here.".to_owned(),
        (_, false, ..) => "The state of the services is not known.".to_owned(),
        (_, _, 0, 0) => format!("{} not known.", of(all)),
        (_, _, 0, good) => format!("{} seen to be good{unknowns}.", of(good)),
        (_, _, bad, _) => format!("{} seen to be broken, or about to break{unknowns}.", of(bad)),
    }
}

fn item(service: &ServiceState, days: &[Day], found: &Gathered<'_>, now: UnixTime) -> ServiceItem {
    let health = if found.well { service.health } else { Health::Unknown };
    let tone = match health {
        Health::Good => "proven",
        Health::Unknown => "stale",
        Health::Bad => "now",
    };
    // Good at this moment needs no date, and a day of which a minute was seen is not one on which it was good.
    let good = days.iter().filter(|d| tone_of(**d, now).0 == "proven").map(|(day, _)| *day).max();
    let good = good.filter(|_| health != Health::Good).map(|day| UnixTime(day * DAY));
    let (next, next_tone) = match service.next_lapse {
        Some(end) if end < now => (format!("ended {}", words::day(end, now)), "now"),
        Some(end) if health == Health::Unknown => {
            (format!("ends {} when last seen", words::day(end, now)), "stale")
        }
        Some(end) if end.0 - now.0 < 7 * DAY => (format!("next lapse {}", words::day(end, now)), "soon"),
        Some(end) => (format!("next lapse {}", words::day(end, now)), ""),
        None => ("no date is known".to_owned(), "stale"),
    };
    let dated = |at: UnixTime| Stamp { words: words::day(at, now), iso: at.to_string() };
    ServiceItem {
        name: words::clean(&service.name),
        state: state_words(service, health, found),
        tone: tone.to_owned(),
        days: strip(days, BACK, now),
        last_days: strip(days, BACK_NARROW, now),
        strip_words: strip_words(service, days, now),
        looked: service.last_looked.map(|at| Stamp::past(Some(at), now)).unwrap_or_default(),
        good: good.map(dated).unwrap_or_default(),
        next,
        next_tone: next_tone.to_owned(),
    }
}

/// How it is, and why.
fn state_words(service: &ServiceState, health: Health, found: &Gathered<'_>) -> String {
    let state = match health {
        Health::Good => return "good".to_owned(),
        Health::Unknown => "not known",
        Health::Bad => "broken, or about to break",
    };
    if !found.well {
        return state.to_owned();
    }
    let mut why = Vec::new();
    if let Some(place) = service.places.first().filter(|p| p.health == health) {
        let alike = service.places.iter().filter(|p| p.health == health).count() as u64;
        why.push(match (alike, service.count as u64) {
            (n, all) if n >= all => place.why.clone(),
            (n, all) => format!("{n} of {all} {}", place.why),
        });
    }
    match service.missing.as_slice() {
        [] => {}
        // A stranger is not told by which names the inside goes.
        _ if !found.inside => why.push("a part of it is seen nowhere".to_owned()),
        [one] => why.push(words::clean(one)),
        [one, rest @ ..] => why.push(format!("{}, and {} more", words::clean(one), rest.len())),
    }
    if why.is_empty() {
        why.push("no place of it was seen".to_owned());
    }
    format!("{state}: {}", why.join("; "))
}

/// How much of a day there was to be seen: all of it, or what has passed of today.
fn elapsed(day: i64, now: UnixTime) -> u32 {
    let passed = now.0.saturating_sub(day.saturating_mul(DAY)).clamp(1, DAY);
    u32::try_from(passed).unwrap_or(1)
}

/// Seconds good, bad, and not known: whatever of the day nobody accounts for was not seen.
fn parts_of((day, [good, bad, _]): Day, now: UnixTime) -> [u32; 3] {
    [good, bad, elapsed(day, now).saturating_sub(good).saturating_sub(bad)]
}

/// What a day was: broken at all is broken; good is what was seen good for nine tenths of the time that has passed.
/// With its height, and how much of that was seen good.
fn tone_of(day: Day, now: UnixTime) -> (&'static str, i32, i32) {
    let [good, bad, unknown] = parts_of(day, now);
    let all = u64::from(elapsed(day.0, now));
    if bad > 0 {
        ("now", TALL, 0)
    } else if u64::from(good) * 10 > all * 9 {
        ("proven", TALL, 0)
    } else if good > 0 {
        let part = u64::from(good) * TALL as u64 / u64::from(good + unknown).max(1);
        ("stale", TALL, i32::try_from(part).unwrap_or(0).clamp(2, TALL - 4))
    } else {
        ("stale", 9, 0)
    }
}

fn strip(days: &[Day], back: i64, now: UnixTime) -> Vec<StripDay> {
    let first = now.0.div_euclid(DAY) - back + 1;
    let step = 100.0 / back as f64;
    let mut out: Vec<StripDay> = Vec::new();
    // Days on which nobody looked are one stretch: a hundred dotted boxes say no more, and flicker.
    let mut gap: Option<i64> = None;
    for n in 0..back {
        let day = first + n;
        let known = days.iter().find(|(d, _)| *d == day).copied();
        let date = words::day(UnixTime(day * DAY), now);
        let from = *gap.get_or_insert(n);
        let stretch = StripDay {
            x: words::at_percent(from as f64 * step),
            width: words::at_percent((n - from + 1) as f64 * step - 0.25),
            y: 1,
            height: TALL,
            tone: "gap".to_owned(),
            part: 0,
            title: match n - from {
                0 => format!("{date}: nobody looked"),
                _ => format!("{} to {date}: nobody looked", words::day(UnixTime((first + from) * DAY), now)),
            },
        };
        let Some(known) = known else {
            if from < n {
                out.pop();
            }
            out.push(stretch);
            continue;
        };
        gap = None;
        let (tone, height, part) = tone_of(known, now);
        out.push(StripDay {
            x: words::at_percent(n as f64 * step),
            width: words::at_percent(step - 0.25),
            y: TALL + 1 - height,
            height,
            tone: tone.to_owned(),
            part,
            title: format!("{date}: {}", seconds_words(parts_of(known, now))),
        });
    }
    out
}

fn seconds_words([good, bad, unknown]: [u32; 3]) -> String {
    let part = |seconds: u32, what: &str| {
        (seconds > 0).then(|| format!("{what} for {}", words::span(seconds.into())))
    };
    let parts = [part(bad, "seen broken"), part(good, "seen good"), part(unknown, "not known")];
    let said: Vec<_> = parts.into_iter().flatten().collect();
    if said.is_empty() { "nobody looked".to_owned() } else { said.join(", ") }
}

/// The strip in words: of the days on which anything was seen, how many were good.
fn strip_words(service: &ServiceState, days: &[Day], now: UnixTime) -> String {
    let first = now.0.div_euclid(DAY) - BACK + 1;
    let seen: Vec<Day> =
        days.iter().filter(|(d, [good, bad, _])| *d >= first && good + bad > 0).copied().collect();
    if seen.is_empty() {
        return match (service.last_looked, days.is_empty()) {
            (None, true) => "Not observed yet.".to_owned(),
            (None, false) => format!("Not seen in the last {BACK} days."),
            (Some(_), _) => "Its history begins now: no day of it is known yet.".to_owned(),
        };
    }
    let count = |tone| seen.iter().filter(|d| tone_of(**d, now).0 == tone).count() as u64;
    let (good, part, all) = (count("proven"), count("stale"), seen.len() as u64);
    let mut said = Vec::new();
    if good > 0 || part == 0 {
        said.push(match (good, all) {
            (1, 1) => "Good on the one day on which it was seen.".to_owned(),
            (n, all) if n == all => {
                format!("Good on all {} on which it was seen.", words::counted(all, "day"))
            }
            (0, _) => "Good on no day on which it was seen.".to_owned(),
            (n, all) => format!("Good on {n} of the {} on which it was seen.", words::counted(all, "day")),
        });
    }
    if part > 0 {
        said.push(match part {
            1 => "One day was seen only in part.".to_owned(),
            n => format!("{} were seen only in part.", words::sentence(&words::counted(n, "day"))),
        });
    }
    if let Some((day, [_, bad, _])) = seen.iter().filter(|(_, s)| s[1] > 0).max_by_key(|(d, _)| *d) {
        let when = words::day(UnixTime(day * DAY), now);
        said.push(format!("Last seen broken {when}, for {}.", words::span((*bad).into())));
    }
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::row::tests::NOW;

    fn service(health: Health) -> ServiceState {
        ServiceState {
            name: "Shop".into(),
            public: true,
            health,
            last_looked: Some(NOW.plus(-240)),
            next_lapse: Some(NOW.plus(20 * DAY)),
            places: Vec::new(),
            count: 2,
            missing: Vec::new(),
        }
    }

    fn shown(services: &[ServiceState], days: &[Vec<Day>], well: bool) -> StatusView {
        let found = Gathered {
            services,
            days,
            as_of: NOW,
            well,
            inside: true,
            valid: 900,
            folder: String::new(),
            version: "0",
        };
        view(&found, NOW)
    }

    #[test]
    fn headlines() {
        use Health::{Bad, Good, Unknown};
        for (states, expected) in [
            (vec![], "No service is published here."),
            (vec![Good], "The service is seen to be good."),
            (vec![Good, Good], "All two services are seen to be good."),
            (vec![Good, Good, Unknown], "Two of three services are seen to be good; one is not known."),
            (
                vec![Bad, Good, Unknown],
                "One of three services is seen to be broken, or about to break; one is not known.",
            ),
            (vec![Unknown, Unknown], "All two services are not known."),
        ] {
            let services: Vec<_> = states.into_iter().map(service).collect();
            assert_eq!(shown(&services, &[], true).headline, expected);
        }
    }

    #[test]
    fn nothing_is_green_while_nobody_looks() {
        let services = [service(Health::Good)];
        let view = shown(&services, &[vec![]], false);
        assert_eq!((view.services[0].tone.as_str(), view.banners.len()), ("stale", 1));
        assert!(view.services[0].days.iter().all(|d| d.tone == "gap"));
        assert!(!view.headline.contains("good"));
    }

    #[test]
    fn a_day_is_what_was_seen_of_it() {
        let today = NOW.0.div_euclid(DAY);
        let days = vec![
            (today - 3, [86_400, 0, 0]),
            (today - 2, [80_000, 6_400, 0]),
            (today - 1, [1000, 0, 80_000]),
            (today, [0, 0, 9]),
        ];
        let view = shown(&[service(Health::Good)], &[days], true);
        // What nobody looked at is one stretch, on a wide screen and on a narrow one.
        for (days, first) in [(&view.services[0].days, 86.0), (&view.services[0].last_days, 26.0)] {
            let tones: Vec<_> = days.iter().map(|d| d.tone.as_str()).collect();
            assert_eq!(tones, ["gap", "proven", "now", "stale", "stale"]);
            assert!(days[0].title.ends_with("nobody looked") && days[0].x == 0.0, "{:?}", days[0]);
            assert!((days[0].width / days[1].x - 1.0).abs() < 0.01 && days[1].x > first, "{days:?}");
        }
        assert!(
            view.services[0]
                .days
                .iter()
                .all(|d| d.x + d.width <= 100.0 && d.y >= 1 && d.y + d.height == TALL + 1)
        );
        let item = &view.services[0];
        assert_eq!(
            item.strip_words,
            "Good on 1 of the 3 days on which it was seen. One day was seen only in part. \
             Last seen broken 19 Nov, for 106 min."
        );
        // A day whose last hours nobody saw says so, however few seconds were counted as unknown.
        assert!(
            item.days[3].title.ends_with("seen good for 16 min, not known for 23 h"),
            "{:?}",
            item.days[3]
        );
    }

    #[test]
    fn one_minute_is_not_a_day() {
        let today = NOW.0.div_euclid(DAY);
        let passed = u32::try_from(NOW.0 - today * DAY).unwrap();
        let tone = |day, good| tone_of((day, [good, 0, 0]), NOW);
        assert_eq!(tone(today - 1, 60).0, "stale");
        assert_eq!(tone(today - 1, 77_000).0, "stale", "of 86,400 seconds that is less than nine tenths");
        assert_eq!(tone(today - 1, 78_000), ("proven", TALL, 0));
        assert_eq!(tone(today, passed - 60), ("proven", TALL, 0), "of today only what has passed");
        assert_eq!(tone(today, passed / 2), ("stale", TALL, TALL / 2));
    }

    #[test]
    fn nothing_contradicts_itself_in_the_first_minutes() {
        let mut unseen = service(Health::Unknown);
        (unseen.last_looked, unseen.next_lapse, unseen.count) = (None, None, 0);
        unseen.missing = vec!["name:never.test was never seen".into()];
        let today = NOW.0.div_euclid(DAY);
        let shown_with = |days: Vec<Day>| shown(&[unseen.clone()], &[days], true).services.remove(0);
        let first = shown_with(vec![]);
        assert_eq!(first.strip_words, "Not observed yet.");
        assert_eq!(first.state, "not known: name:never.test was never seen");
        assert_eq!((first.looked.words.as_str(), first.good.words.as_str()), ("", ""));
        let later = shown_with(vec![(today, [0, 0, 600])]);
        assert_eq!(later.strip_words, "Not seen in the last 90 days.");
        // A minute of good is not a day on which it was good.
        assert_eq!(shown_with(vec![(today, [60, 0, 600])]).good.words, "");
        let page = shown(&[service(Health::Good)], &[vec![]], true);
        assert_eq!(page.services[0].strip_words, "Its history begins now: no day of it is known yet.");
        assert!(page.valid_words.starts_with("If this is older than 15 min, nothing here is known"));
    }
}
