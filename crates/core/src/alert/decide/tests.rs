//! Who is told what and when, in a world in which findings come and go.

use super::super::hold::{hold_most, hold_usual};
use super::*;

/// A world in which findings come and go by the hour, and everything told is written down.
struct World {
    now: UnixTime,
    tick: i64,
    findings: Vec<Tellable>,
    alerts: Vec<Alert>,
    contacts: Contacts,
    told: Vec<(i64, String, Event, usize)>,
    faded: BTreeSet<String>,
}

fn dated(id: &str, not_before: i64, deadline: i64) -> Tellable {
    Tellable {
        id: id.into(),
        kind: Kind::ExpiresSoon,
        breaks: String::new(),
        weight: 0,
        severity: Severity::Warning,
        asset: None,
        name: format!("{id}.test"),
        issuer_name: Some("CN=CA".into()),
        owner: "web".into(),
        deadline: Some(UnixTime(deadline)),
        not_before: Some(UnixTime(not_before)),
        is_ca: false,
        page: None,
        summary: String::new(),
        hint: String::new(),
        places: Vec::new(),
        opened: UnixTime(0),
    }
}

impl World {
    fn new() -> Self {
        let web = Contact { escalate_to: Some("platform".into()), ..Contact::default() };
        let owners = [("web".to_owned(), web), ("platform".to_owned(), Contact::default())];
        let contacts = Contacts { owners: owners.into(), last_resort: "everyone".into() };
        let now = UnixTime(0);
        let (findings, alerts, told, faded) = Default::default();
        Self { now, tick: 600, findings, alerts, contacts, told, faded }
    }

    /// Lives `seconds` tick by tick; dated findings climb their ladder as the rules have it.
    fn live(&mut self, seconds: i64) {
        let end = self.now.plus(seconds);
        while self.now < end {
            self.now = self.now.plus(self.tick);
            let now = self.now;
            for finding in &mut self.findings {
                if let Some((ladder, end)) = finding.ladder() {
                    let step = ladder.step(end, now).0;
                    finding.severity =
                        if step >= Step::Critical { Severity::Critical } else { Severity::Warning };
                }
            }
            let on = |f: &Tellable| f.ladder().is_none_or(|(l, end)| l.step(end, now).0 > Step::Quiet);
            let findings: Vec<_> = self.findings.iter().filter(|f| on(f)).cloned().collect();
            let input = Input {
                findings: &findings,
                alerts: &self.alerts,
                faded: &self.faded,
                contacts: &self.contacts,
                patience: Patience::default(),
                next_number: self.alerts.len() as i64 + 1,
                now,
            };
            for deed in decide(&input).deeds {
                let news = deed.news.len();
                for (owner, event) in deed.tell {
                    self.told.push((now.0 / DAY, owner, event, news));
                }
                self.alerts.retain(|a| a.number != deed.alert.number);
                self.alerts.push(deed.alert);
            }
        }
    }

    fn days(&self, who: &str, what: Event) -> Vec<i64> {
        self.told.iter().filter(|(_, o, e, _)| o == who && *e == what).map(|(day, ..)| *day).collect()
    }
}

#[test]
fn each_step_once_then_daily_and_mended_once() {
    let mut world = World::new();
    world.findings.push(dated("a", 0, 200 * DAY));
    world.live(195 * DAY);
    assert_eq!(world.days("web", Event::Alert), [170, 186, 193]);
    assert_eq!(world.days("web", Event::Reminder), [194, 195]);
    // Nobody answered: the next one is told, and then the last resort, again at each step.
    assert_eq!(world.days("platform", Event::Escalation), [173, 186, 193]);
    assert_eq!(world.days("everyone", Event::Escalation), [176, 186, 193]);
    world.findings.clear();
    world.live(10 * DAY);
    assert_eq!(world.days("web", Event::Resolved).len(), 1);
    assert_eq!(world.days("everyone", Event::Resolved).len(), 1);
    assert_eq!(world.alerts.len(), 1);
    assert_eq!(world.alerts[0].state, State::Resolved);
}

#[test]
fn five_thousand_of_one_day_are_a_handful_of_messages() {
    let mut world = World::new();
    world.tick = 6 * HOUR;
    for n in 0..5000 {
        world.findings.push(dated(&format!("c{n}"), 0, 90 * DAY + n * 17));
    }
    world.live(89 * DAY);
    // The first of them reach the step in the morning, the others are told together a day later.
    assert_eq!(world.days("web", Event::Alert), [67, 68, 81, 85]);
    assert!(world.told.len() < 20, "{} messages", world.told.len());
}

#[test]
fn an_acknowledgement_is_quiet_until_the_next_step() {
    let mut world = World::new();
    world.findings.push(dated("a", 0, 200 * DAY));
    world.live(171 * DAY);
    let until = hold_usual(&world.alerts[0], &world.findings, world.now);
    assert_eq!(until.0 / DAY, 186);
    assert_eq!(hold_most(&world.alerts[0], &world.findings, world.now).0 / DAY, 193);
    world.alerts[0].state = State::Acknowledged;
    world.alerts[0].hold =
        Some(Hold { by: "kim".into(), at: world.now, until, note: String::new(), snooze: false });
    world.told.clear();
    world.live(14 * DAY);
    assert_eq!(world.told, []);
    world.live(2 * DAY);
    assert_eq!(world.days("web", Event::Alert), [186]);
    assert_eq!(world.alerts[0].state, State::Open);
    // A snooze that would last for ever still ends before the deadline.
    let end = hold_most(&world.alerts[0], &world.findings, UnixTime(199 * DAY));
    assert_eq!(end.0, 199 * DAY + DAY / 2);
}

fn hold(world: &mut World, until: UnixTime, snooze: bool) {
    world.alerts[0].state = State::Acknowledged;
    world.alerts[0].hold = Some(Hold { by: "kim".into(), at: world.now, until, note: String::new(), snooze });
    world.told.clear();
}

#[test]
fn quiet_never_outlives_what_joins_later() {
    let mut world = World::new();
    // Both end on one day; the second is found a day before, with the first acknowledged until noon.
    world.findings.push(dated("a", 0, 100 * DAY + 23 * HOUR));
    world.live(100 * DAY + HOUR);
    hold(&mut world, UnixTime(100 * DAY + 12 * HOUR), true);
    let mut second = dated("b", 0, 100 * DAY + 6 * HOUR);
    second.opened = world.now;
    world.findings.push(second);
    world.live(3 * HOUR);
    let until = world.alerts[0].hold.as_ref().map_or(0, |h| h.until.0);
    assert!(until < 100 * DAY + 6 * HOUR, "{until}");
    world.live(HOUR);
    assert!(world.days("web", Event::Alert).contains(&100), "{:?}", world.told);
}

#[test]
fn what_still_stands_when_the_quiet_ends_is_said() {
    let mut world = World::new();
    let mut stale = dated("s", 0, 0);
    (stale.kind, stale.deadline, stale.severity) = (Kind::SourceStale, None, Severity::Critical);
    world.findings.push(stale);
    world.live(HOUR);
    let until = world.now.plus(2 * DAY);
    hold(&mut world, until, false);
    world.live(2 * DAY);
    assert_eq!(world.days("web", Event::Reminder).len(), 1, "{:?}", world.told);
    world.live(DAY / 2);
    assert_eq!(world.days("web", Event::Reminder).len(), 1);
    assert_eq!(world.days("platform", Event::Escalation).len(), 1, "{:?}", world.told);
}

#[test]
fn a_wrong_clock_costs_no_step() {
    let mut world = World::new();
    world.findings.push(dated("a", 0, 200 * DAY));
    world.live(171 * DAY);
    // For two hours it is two months later: everything is told that there is to tell.
    let truth = world.now;
    world.now = truth.plus(60 * DAY);
    world.live(2 * HOUR);
    let late = world.now.plus(DAY);
    hold(&mut world, late, false);
    world.now = truth.plus(2 * HOUR);
    world.live(25 * DAY);
    assert_eq!(world.days("web", Event::Alert), [186, 193], "{:?}", world.told);
    assert!(world.days("web", Event::Reminder).contains(&195), "{:?}", world.told);
}

#[test]
fn what_flaps_does_not_ring_every_time() {
    let mut world = World::new();
    let mut flap = dated("f", 0, 0);
    (flap.kind, flap.deadline) = (Kind::ChainIncomplete, None);
    for _ in 0..200 {
        world.findings = vec![flap.clone()];
        world.live(1800);
        world.findings.clear();
        world.live(1800);
    }
    assert!(world.days("web", Event::Alert).len() <= 10, "{:?}", world.told);
    assert!(world.alerts.len() <= 2);
    world.told.clear();
    for _ in 0..50 {
        world.findings = vec![flap.clone()];
        world.live(600);
        world.findings.clear();
        world.live(600);
    }
    assert!(world.told.len() <= 4, "{:?}", world.told);
}

/// One without a date, known since `now`.
fn undated(world: &World, id: &str, severity: Severity) -> Tellable {
    let (kind, opened) = (Kind::NameMismatch, world.now);
    Tellable { kind, severity, opened, deadline: None, not_before: None, ..dated(id, 0, 0) }
}

#[test]
fn what_came_back_once_is_told_at_once_and_then_after_the_pause() {
    let mut world = World::new();
    world.findings = vec![undated(&world, "a", Severity::Critical)];
    world.live(HOUR);
    world.findings.clear();
    world.live(HOUR);
    assert_eq!(world.days("web", Event::Resolved).len(), 1);
    world.findings = vec![undated(&world, "a", Severity::Critical)];
    world.live(1200);
    assert_eq!(world.days("web", Event::Alert).len(), 2, "{:?}", world.told);
    world.findings.clear();
    world.live(HOUR);
    assert_eq!(world.days("web", Event::Resolved).len(), 2);
    world.findings = vec![undated(&world, "a", Severity::Critical)];
    world.live(2 * HOUR);
    assert_eq!(world.days("web", Event::Alert).len(), 2, "{:?}", world.told);
    world.live(4 * HOUR);
    assert_eq!(world.days("web", Event::Alert).len(), 3, "{:?}", world.told);
    assert_eq!(world.alerts.len(), 1);
}

#[test]
fn an_acknowledgement_covers_what_it_was_given_for() {
    for snooze in [false, true] {
        let mut world = World::new();
        world.findings = vec![undated(&world, "a", Severity::Critical)];
        world.live(HOUR);
        let until = world.now.plus(7 * DAY);
        hold(&mut world, until, snooze);
        // What is no worse than a warning can wait for the end of the quiet.
        let warning = undated(&world, "w", Severity::Warning);
        world.findings.push(warning);
        world.live(DAY);
        assert_eq!(world.told, []);
        let critical = undated(&world, "b", Severity::Critical);
        world.findings.push(critical);
        world.live(HOUR);
        assert_eq!(world.days("web", Event::Alert), [1], "{:?}", world.told);
        // Nobody has said that they have the new one.
        assert!(world.alerts[0].hold.is_none() && world.alerts[0].state == State::Open);
        world.live(9 * HOUR);
        assert_eq!(world.days("platform", Event::Escalation).len(), 1, "{:?}", world.told);
    }
}

#[test]
fn what_its_rule_puts_on_the_page_step_is_told_then_and_at_its_end() {
    let mut world = World::new();
    let end = 100 * DAY;
    let domain = Tellable {
        kind: Kind::DomainExpires,
        severity: Severity::Critical,
        not_before: None,
        page: Some(14 * DAY),
        ..dated("d", 0, end)
    };
    world.now = UnixTime(end - 30 * DAY);
    world.findings.push(Tellable { opened: world.now, ..domain });
    world.live(40 * DAY);
    assert_eq!(world.days("web", Event::Alert), [70, 86, 100], "{:?}", world.told);
    let reminded = world.days("web", Event::Reminder);
    assert!(reminded.starts_with(&[87, 88, 89]), "{reminded:?}");
    // Weekly once it has been over for a week.
    assert!(reminded.iter().filter(|day| **day > 107).count() <= 1, "{reminded:?}");
    assert_eq!(world.alerts[0].step, Step::Ended);
    // An acknowledgement of a step ahead of the page step ends with it.
    let early = UnixTime(end - 20 * DAY);
    assert_eq!(hold_most(&world.alerts[0], &world.findings, early).0 / DAY, 86);
}

#[test]
fn a_date_without_a_beginning_is_told_when_it_has_passed() {
    let mut world = World::new();
    world.now = UnixTime(90 * DAY);
    let date = Tellable {
        severity: Severity::Critical,
        not_before: None,
        page: Some(7 * DAY),
        ..dated("soon", 0, 100 * DAY)
    };
    world.findings.push(date.clone());
    world.live(10 * DAY);
    assert_eq!(world.days("web", Event::Alert), [90, 93]);
    world.findings = vec![Tellable { id: "past".into(), kind: Kind::ExpiredInUse, ..date }];
    world.live(DAY);
    assert_eq!(world.days("web", Event::Alert), [90, 93, 100], "{:?}", world.told);
    assert!(world.days("web", Event::Resolved).is_empty());
    assert_eq!((world.alerts.len(), world.alerts[0].step), (1, Step::Ended));
}

#[test]
fn an_end_that_the_calendar_moved_is_not_mended_when_it_comes() {
    let mut world = World::new();
    let asset = Some(Fingerprint([7; 32]));
    world.findings = vec![Tellable { asset, ..dated("soon", 0, 100 * DAY) }];
    world.live(100 * DAY);
    world.findings = vec![Tellable {
        kind: Kind::ExpiredInUse,
        severity: Severity::Critical,
        asset,
        opened: world.now,
        ..dated("past", 0, 120 * DAY)
    }];
    world.live(DAY);
    assert!(world.days("web", Event::Resolved).is_empty(), "{:?}", world.told);
    assert_eq!(world.alerts.iter().filter(|a| a.state == State::Resolved).count(), 1);
    assert_eq!(world.days("web", Event::Alert).last(), Some(&100));
}

#[test]
fn what_time_made_a_line_of_is_not_called_mended() {
    for faded in [true, false] {
        let mut world = World::new();
        world.findings.push(dated("a", 0, 100 * DAY));
        world.live(99 * DAY);
        world.findings.clear();
        world.faded.extend(faded.then(|| "a".to_owned()));
        world.live(DAY / 2);
        assert_eq!(world.days("web", Event::Resolved).len(), 1);
        assert_eq!((world.alerts[0].state, world.alerts[0].faded), (State::Resolved, faded));
    }
}

#[test]
fn the_story_of_one_end_fades_into_its_last_line() {
    let (one, other) = (Some(Fingerprint([1; 32])), Some(Fingerprint([2; 32])));
    let told = ("x", Kind::ExpiresSoon, one);
    assert!(fades(told, ("y", Kind::Expired, one)));
    assert!(!fades(told, ("y", Kind::Expired, other)));
    assert!(!fades(told, ("y", Kind::PolicyDate, one)));
    assert!(fades(("x", Kind::TokenExpires, one), ("x", Kind::TokenExpires, one)));
    assert!(!fades(("x", Kind::ChainIncomplete, one), ("y", Kind::Expired, one)));
    assert!(!fades(("x", Kind::ExpiresSoon, None), ("y", Kind::Expired, None)));
}

#[test]
fn an_owner_who_is_away_is_not_waited_for() {
    let mut world = World::new();
    world.contacts.owners.get_mut("web").unwrap().absent = true;
    world.findings.push(dated("a", 0, 40 * DAY));
    world.live(31 * DAY);
    assert_eq!(world.days("web", Event::Alert), [30]);
    assert_eq!(world.days("platform", Event::Escalation), [30]);
}

#[test]
fn another_owner_is_not_a_mended_thing() {
    let mut world = World::new();
    world.findings.push(dated("a", 0, 40 * DAY));
    world.live(31 * DAY);
    world.findings[0].owner = "platform".into();
    world.live(DAY);
    assert!(world.days("web", Event::Resolved).is_empty());
    assert_eq!(world.days("platform", Event::Alert), [31]);
}

#[test]
fn what_was_told_and_became_something_else_for_a_moment_is_said_to_be_over() {
    for end in [true, false] {
        for time_alone in [true, false] {
            let mut world = World::new();
            let (asset, tick) = (Some(Fingerprint([7; 32])), 30);
            let one = |id: &str, kind, opened| match end {
                true => {
                    Tellable { asset, opened, kind, severity: Severity::Critical, ..dated(id, 0, 2 * HOUR) }
                }
                false => Tellable { asset, opened, ..undated(&World::new(), id, Severity::Critical) },
            };
            world.findings = vec![one("a", Kind::ExpiresSoon, world.now)];
            world.live(3 * HOUR);
            let told = world.days("web", Event::Alert).len();
            assert!(told > 0);
            world.tick = tick;
            world.findings = vec![one("b", Kind::ExpiredInUse, world.now)];
            world.live(tick);
            world.findings.clear();
            world.faded = time_alone.then(|| "a".to_owned()).into_iter().collect();
            world.live(HOUR);
            assert_eq!(world.days("web", Event::Resolved).len(), 1, "{end}: {:?}", world.told);
            assert_eq!(world.days("web", Event::Alert).len(), told, "{end}: {:?}", world.told);
            assert_eq!(world.alerts[0].faded, end && time_alone);
            // It came back and went, unheard: nothing is said of that.
            world.findings = vec![one("b", Kind::ExpiredInUse, world.now)];
            world.live(tick);
            world.findings.clear();
            world.live(HOUR);
            assert_eq!(world.days("web", Event::Resolved).len(), 1, "{end}: {:?}", world.told);
        }
    }
}
