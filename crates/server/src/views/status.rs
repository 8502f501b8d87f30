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
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) banners: Vec<Banner>,
    pub(crate) services: Vec<ServiceItem>,
    /// first day of the strips, "24 Aug"
    pub(crate) from: String,
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
    pub(crate) strip_words: String,
    pub(crate) looked: Stamp,
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
    pub(crate) title: String,
}

/// The strip looks back so many days.
const BACK: i64 = 90;
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
    pub(crate) stylesheet: String,
    pub(crate) version: &'a str,
}

/// The page.
pub(crate) fn view(found: &Gathered<'_>, now: UnixTime) -> StatusView {
    let services: Vec<ServiceItem> = found
        .services
        .iter()
        .zip(found.days.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..])))
        .map(|(service, days)| item(service, days, found.well, now))
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
        stylesheet: found.stylesheet.clone(),
        headline: headline(found.services, found.well),
        subline: "What stands here was observed, never typed in. Grey is not known.".to_owned(),
        banners,
        services,
        from: words::day(now.plus(-(BACK - 1) * DAY), now),
        legend: "Full green: every place of the service was seen good. Red: seen broken. Low grey: looked at, and not known. Dotted: nobody looked."
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

fn item(service: &ServiceState, days: &[Day], well: bool, now: UnixTime) -> ServiceItem {
    let health = if well { service.health } else { Health::Unknown };
    let (mut state, tone) = match health {
        Health::Good => ("good".to_owned(), "proven"),
        Health::Unknown => ("not known".to_owned(), "stale"),
        Health::Bad => ("broken, or about to break".to_owned(), "now"),
    };
    let worst = service.places.first().filter(|_| well && health != Health::Good);
    if let Some(place) = worst {
        let alike = service.places.iter().filter(|p| p.health == health).count() as u64;
        state = match (alike, service.count as u64) {
            (n, all) if n >= all => format!("{state}: {}", place.why),
            (n, all) => format!("{state}: {} of {all} {}", n, place.why),
        };
    } else if service.count == 0 {
        state = "not known: no place of it was seen".to_owned();
    }
    let good = if health == Health::Good {
        service.last_looked
    } else {
        let last = days.iter().filter(|(_, seconds)| seconds[0] > 0).map(|(day, _)| *day).max();
        last.map(|day| UnixTime(day * DAY))
    };
    let (next, next_tone) = match service.next_lapse {
        Some(end) if end < now => (format!("ended {}", words::day(end, now)), "now"),
        Some(end) if health == Health::Unknown => {
            (format!("ends {} when last seen", words::day(end, now)), "stale")
        }
        Some(end) if end.0 - now.0 < 7 * DAY => (format!("next lapse {}", words::day(end, now)), "soon"),
        Some(end) => (format!("next lapse {}", words::day(end, now)), ""),
        None => ("no date is known".to_owned(), "stale"),
    };
    ServiceItem {
        name: words::clean(&service.name),
        state,
        tone: tone.to_owned(),
        days: strip(days, now),
        strip_words: strip_words(days, now),
        looked: Stamp::past(service.last_looked, now),
        good: match good {
            Some(at) if health == Health::Good => Stamp::past(Some(at), now),
            Some(at) => Stamp { words: words::day(at, now), iso: at.to_string() },
            None => Stamp::never(),
        },
        next,
        next_tone: next_tone.to_owned(),
    }
}

/// What a day was, by its seconds: broken at all is broken; mostly unseen is unseen.
fn tone_of([good, bad, unknown]: [u32; 3]) -> (&'static str, i32) {
    if bad > 0 {
        ("now", TALL)
    } else if good > 0 && unknown <= good / 10 {
        ("proven", TALL)
    } else if good > 0 {
        ("stale", 16)
    } else {
        ("stale", 9)
    }
}

fn strip(days: &[Day], now: UnixTime) -> Vec<StripDay> {
    let first = now.0.div_euclid(DAY) - BACK + 1;
    let step = 100.0 / BACK as f64;
    (0..BACK)
        .map(|n| {
            let day = first + n;
            let known = days.iter().find(|(d, _)| *d == day).map(|(_, seconds)| *seconds);
            let date = words::day(UnixTime(day * DAY), now);
            let (tone, height, what) = match known {
                None => ("gap", TALL, "nobody looked".to_owned()),
                Some(seconds) => {
                    let (tone, height) = tone_of(seconds);
                    (tone, height, seconds_words(seconds))
                }
            };
            StripDay {
                x: words::at_percent(n as f64 * step),
                width: words::at_percent(step - 0.25),
                y: TALL + 1 - height,
                height,
                tone: tone.to_owned(),
                title: format!("{date}: {what}"),
            }
        })
        .collect()
}

fn seconds_words([good, bad, unknown]: [u32; 3]) -> String {
    let part = |seconds: u32, what: &str| {
        (seconds > 0).then(|| format!("{what} for {}", words::span(seconds.into())))
    };
    let parts = [part(bad, "seen broken"), part(good, "seen good"), part(unknown, "not known")];
    let said: Vec<_> = parts.into_iter().flatten().collect();
    if said.is_empty() { "nobody looked".to_owned() } else { said.join(", ") }
}

fn strip_words(days: &[Day], now: UnixTime) -> String {
    let first = now.0.div_euclid(DAY) - BACK + 1;
    let known: Vec<_> = days.iter().filter(|(d, _)| *d >= first).collect();
    if known.is_empty() {
        return format!("Not observed in the last {BACK} days.");
    }
    let good = known.iter().filter(|(_, s)| tone_of(*s).0 == "proven").count() as u64;
    let bad: Vec<_> = known.iter().filter(|(_, s)| s[1] > 0).collect();
    let mut out = format!(
        "Good on {} of the {} on which it was observed.",
        good,
        words::counted(known.len() as u64, "day")
    );
    if let Some((day, seconds)) = bad.iter().max_by_key(|(d, _)| *d) {
        let when = words::day(UnixTime(day * DAY), now);
        out.push_str(&format!(" Last seen broken {when}, for {}.", words::span(seconds[1].into())));
    }
    out
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
        }
    }

    fn shown(services: &[ServiceState], days: &[Vec<Day>], well: bool) -> StatusView {
        let found = Gathered { services, days, as_of: NOW, well, stylesheet: "x.css".into(), version: "0" };
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
        let tones: Vec<_> = view.services[0].days[86..].iter().map(|d| d.tone.as_str()).collect();
        assert_eq!(tones, ["proven", "now", "stale", "stale"]);
        assert_eq!(view.services[0].days.len(), 90);
        assert!(
            view.services[0]
                .days
                .iter()
                .all(|d| d.x + d.width <= 100.0 && d.y >= 1 && d.y + d.height == TALL + 1)
        );
        assert!(view.services[0].strip_words.starts_with("Good on 1 of the 4 days"));
    }
}
