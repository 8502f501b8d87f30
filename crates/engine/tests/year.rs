//! A year lived on a simulated clock: a small company's certificates lapse, are renewed, forgotten; mail
//! breaks, a source dies, the clock is set. What people were told is then held against what happened.

#[path = "year/company.rs"]
mod company;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::finding::Severity;
use notafter_core::notice::{Event, Notice};
use notafter_core::policy::Policy;
use notafter_engine::forecast;
use notafter_store::Store;

use company::{Company, DAY, HOUR, Mail, START, lock};

#[test]
fn a_year() {
    let mut company = Company::new();
    {
        let mut world = lock(&company.world);
        for n in 0..40 {
            world.install(&format!("s{n}.web.test"), START.plus(-n * DAY), 90);
        }
        world.install("forgotten.web.test", START, 200);
        world.install("late.web.test", START, 100);
        world.install("nobody.test", START, 120);
    }
    // Forty renew by themselves with thirty days left; one is renewed on its last day; two never.
    company.live(365 * 24, |now, world| {
        let due: Vec<String> = world
            .served
            .iter()
            .filter(|(name, (_, end))| {
                let left = end.0 - now.0;
                (name.starts_with('s') && left < 30 * DAY) || (name.starts_with("late") && left < DAY)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            world.install(&name, now, 90);
        }
    });
    // What renews in time is never spoken of: thirty days left of ninety lie before the warning.
    for n in 0..40 {
        let name = format!("s{n}.web.test");
        assert!(
            company
                .told()
                .iter()
                .all(|(_, notice)| !notice.items.iter().any(|i| i.name == name)
                    || notice.event == Event::Digest),
            "{name} was told of"
        );
    }
    // Forgotten: told at each step, once; then daily, then weekly; escalated; never called mended.
    assert_eq!(company.days("web", Event::Alert, "forgotten.web.test"), [170, 186, 193, 200]);
    let reminders = company.days("web", Event::Reminder, "forgotten.web.test");
    assert!(reminders.starts_with(&[194, 195, 196, 197, 198, 199]), "{reminders:?}");
    assert!(reminders.len() < 45, "daily for a week, then weekly: {reminders:?}");
    assert_eq!(company.days("house", Event::Escalation, "forgotten.web.test").first(), Some(&173));
    assert!(company.days("web", Event::Resolved, "forgotten.web.test").is_empty());
    // Late: told, and told once that it is over, on the day when the new one was seen.
    let late = [75, 90, 95, 166, 180, 184, 255, 269, 273, 344, 358, 362];
    assert_eq!(company.days("web", Event::Alert, "late.web.test"), late);
    assert_eq!(company.days("web", Event::Resolved, "late.web.test"), [99, 188, 277]);
    // Nobody's: the owner of last resort hears of it.
    assert_eq!(company.days("house", Event::Alert, "nobody.test").first(), Some(&90));
    // A digest each week to each of the two.
    let digests = company.told().iter().filter(|(_, n)| n.event == Event::Digest).count();
    assert_eq!(digests, 2 * 52);
    // Every message had an id of its own.
    let mut ids: Vec<_> = company.told().into_iter().map(|(_, n)| (n.id, n.owner)).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "a message was carried twice");
    // The forty were renewed about six times each: their lines are one each, and nothing old speaks.
    let totals = company.handle.store.totals().expect("totals");
    assert!(totals.assets_ever > 200 && totals.assets < 60, "{totals:?}");
}

#[test]
fn what_ends_in_a_file_is_not_called_over_because_time_went_by() {
    let mut company = Company::new();
    {
        let mut world = lock(&company.world);
        world.lay("forgotten.web.test", START, 90);
        world.lay("replaced.web.test", START.plus(-5 * DAY), 90);
    }
    company.live(140 * 24, |now, world| {
        if now == START.plus(80 * DAY) {
            world.lay("replaced.web.test", now, 365);
        }
    });
    // Its steps and its end in one alert, which goes on for a month.
    let told = company.days("web", Event::Alert, "forgotten.web.test");
    assert_eq!(told, [67, 81, 85, 90], "{told:?}");
    let reminders = company.days("web", Event::Reminder, "forgotten.web.test");
    assert!(reminders.contains(&96) && reminders.contains(&117), "{reminders:?}");
    assert!(reminders.iter().all(|day| *day <= 120), "{reminders:?}");
    // Then it is said what has become of it, and that is not that nothing is left to do.
    let last: Vec<_> = company
        .told()
        .into_iter()
        .filter(|(_, n)| n.event == Event::Resolved && n.title.contains("forgotten") && n.owner == "web")
        .collect();
    let [(at, last)] = last.as_slice() else { panic!("{last:#?}") };
    assert_eq!((at.0 - START.0) / DAY, 120);
    assert_eq!(last.title, "ended 30 days ago, not seen in use: forgotten.web.test");
    assert!(!last.text.contains("Nothing is left") && last.hint.contains("delete it"), "{last:#?}");
    let alerts = company.handle.store.alerts(None, None, 100).expect("alerts");
    assert_eq!(alerts.iter().filter(|a| a.title == "forgotten.web.test").count(), 1, "{alerts:#?}");
    // What was replaced was seen to be, and is over.
    assert_eq!(company.days("web", Event::Resolved, "replaced.web.test"), [80]);
    let over = company.told().into_iter().find(|(_, n)| n.title == "over: replaced.web.test");
    assert!(over.is_some_and(|(_, n)| n.text.contains("Nothing is left to do")));
}

#[test]
fn mail_down_for_two_hours_and_a_source_for_three_days() {
    let mut company = Company::new();
    lock(&company.world).install("a.web.test", START.plus(-70 * DAY), 90);
    company.post.0.lock().expect("the post").1 = Mail::Down;
    company.live(2, |_, _| {});
    assert!(company.told().is_empty());
    company.post.0.lock().expect("the post").1 = Mail::Up;
    company.live(3, |_, _| {});
    assert_eq!(company.days("web", Event::Alert, "a.web.test"), [0]);
    lock(&company.world).broken = true;
    company.live(72, |_, _| {});
    let stale =
        company.told().into_iter().filter(|(_, n)| n.items.iter().any(|i| i.kind == "source-stale")).count();
    assert!(stale >= 1, "a dead source is told of");
    // What it saw is not forgotten: unreachable is not gone.
    assert_eq!(company.handle.store.totals().expect("totals").placements, 2);
    lock(&company.world).broken = false;
    company.live(12, |_, _| {});
    let over =
        company.told().into_iter().any(|(_, n)| n.event == Event::Resolved && n.title.contains("office"));
    assert!(over, "{:?}", company.told().iter().map(|(_, n)| &n.title).collect::<Vec<_>>());
}

#[test]
fn a_machine_that_slept_looks_before_it_speaks() {
    let mut company = Company::new();
    {
        let mut world = lock(&company.world);
        world.install("renewed.web.test", START.plus(-80 * DAY), 90);
        world.install("forgotten.web.test", START.plus(-79 * DAY), 90);
    }
    company.live(12, |_, _| {});
    assert_eq!(company.days("web", Event::Alert, "renewed.web.test"), [0], "the warning");
    // Asleep until the day on which both would have to be told of as expired; one was renewed meanwhile.
    lock(&company.world).install("renewed.web.test", START.plus(5 * DAY), 90);
    company.clock.advance(Duration::from_secs(11 * 24 * HOUR));
    let before = company.told().len();
    company.engine.pass();
    assert_eq!(company.told().len(), before, "not before it has looked");
    company.engine.settle();
    // The end of what is over may be told with what comes later on that day.
    company.live(30, |_, _| {});
    assert_eq!(company.days("web", Event::Alert, "renewed.web.test"), [0], "nothing more of what is over");
    let over = company.days("web", Event::Resolved, "renewed.web.test");
    assert_eq!(over.len(), 1, "{:#?}", company.told());
    let told = company.days("web", Event::Alert, "forgotten.web.test");
    assert!(told.starts_with(&[0, 11]), "what is true is told at once: {told:?}");
}

#[test]
fn a_clock_set_by_sixty_days_rings_for_nobody_but_itself() {
    for jump in [60 * DAY, -60 * DAY] {
        let mut company = Company::new();
        {
            let mut world = lock(&company.world);
            // None ends soon; with a clock sixty days ahead, some have and others are about to, each on its own day.
            for n in 0..50 {
                world.install(&format!("s{n}.web.test"), START.plus(-2 * DAY), 55 + n);
            }
        }
        company.live(24, |_, _| {});
        assert!(company.told().is_empty(), "all is well");
        let true_now = company.clock.now();
        company.clock.set(true_now.plus(jump));
        // Ten minutes with the wrong time: everything looks expired, or not yet valid.
        for _ in 0..10 {
            company.clock.advance(Duration::from_secs(60));
            company.engine.pass();
            company.engine.settle();
        }
        assert!(company.told().is_empty(), "{jump}: held");
        let jumped = company.handle.status.read().clock.map(|c| c.jumped);
        assert_eq!(jumped, Some(jump));
        // Somebody mends the clock.
        company.clock.set(true_now.plus(600));
        company.live(48, |_, _| {});
        let told: Vec<_> = company.told().into_iter().map(|(_, n)| n.title).collect();
        let about_clock = told.iter().filter(|t| t.contains("clock")).count();
        let digests = told.iter().filter(|t| t.contains("week")).count();
        assert_eq!(told.len() - about_clock - digests, 0, "{jump}: {told:?}");
    }
}

#[test]
fn a_clock_that_is_set_again_and_again_silences_nobody() {
    let mut company = Company::new();
    lock(&company.world).install("a.web.test", START.plus(-80 * DAY), 90);
    // Two time services fight over it, every five minutes, for three hours.
    for n in 0..36 {
        company.clock.advance(Duration::from_secs(300));
        let now = company.clock.now();
        company.clock.set(now.plus(if n % 2 == 0 { 400 } else { -400 }));
        company.engine.pass();
        company.engine.settle();
        if n < 10 {
            assert!(company.told().is_empty(), "{n}: held at first");
        }
    }
    assert_eq!(company.days("web", Event::Alert, "a.web.test"), [0], "{:?}", company.told());
}

#[test]
fn a_channel_with_a_defect_is_a_channel_that_failed() {
    let mut company = Company::new();
    lock(&company.world).install("a.web.test", START.plus(-80 * DAY), 90);
    company.post.0.lock().expect("the post").1 = Mail::Breaks;
    company.live(24, |_, _| {});
    let mut open = Vec::new();
    company.handle.store.each_tellable(&mut |row| open.push(row.kind)).expect("findings");
    assert!(open.contains(&notafter_core::finding::Kind::AlertUndelivered), "{open:?}");
    company.post.0.lock().expect("the post").1 = Mail::Up;
    company.live(48, |_, _| {});
    assert!(!company.days("web", Event::Alert, "a.web.test").is_empty(), "{:?}", company.told());
}

#[test]
fn what_was_told_by_a_wrong_clock_is_taken_back() {
    let mut company = Company::new();
    {
        let mut world = lock(&company.world);
        for n in 0..20 {
            world.install(&format!("s{n}.web.test"), START.plus(-2 * DAY), 70 + n);
        }
        world.install("late.web.test", START.plus(-2 * DAY), 100);
    }
    company.live(24, |_, _| {});
    let true_now = company.clock.now();
    company.clock.set(true_now.plus(60 * DAY));
    // Longer than messages are held: people are told, by the clock there is.
    company.live(6, |_, _| {});
    assert!(!company.days("web", Event::Alert, "s0.web.test").is_empty());
    company.clock.set(true_now.plus(6 * 3600));
    company.live(24, |_, _| {});
    let open = company.handle.store.open_alerts().expect("alerts");
    assert!(open.iter().all(|a| a.resolved.is_some() || !a.title.contains("web.test")), "{open:?}");
    // And what comes is told when it comes, each step once.
    let before = company.told().len();
    company.live(97 * 24, |now, world| {
        let due: Vec<_> = world.served.keys().filter(|n| n.starts_with('s')).cloned().collect();
        for name in due.into_iter().filter(|_| now.0 < true_now.0 + 10 * DAY) {
            world.install(&name, now, 400);
        }
    });
    let told = company.told().split_off(before);
    let late: Vec<_> = told
        .iter()
        .filter(|(_, n)| n.owner == "web" && n.event == Event::Alert)
        .filter(|(_, n)| n.items.iter().any(|i| i.name == "late.web.test"))
        .map(|(at, _)| (at.0 - START.0) / DAY)
        .collect();
    assert_eq!(late, [73, 88, 93, 98], "warning, critical, page, expired");
}

#[test]
fn mail_down_for_three_days_loses_no_step() {
    let mut company = Company::new();
    lock(&company.world).install("a.web.test", START.plus(-80 * DAY), 90);
    company.post.0.lock().expect("the post").1 = Mail::Down;
    company.live(72, |_, _| {});
    assert!(company.told().is_empty());
    company.post.0.lock().expect("the post").1 = Mail::Up;
    company.live(12, |_, _| {});
    assert_eq!(company.days("web", Event::Alert, "a.web.test").len(), 1, "{:?}", company.told());
    let late = company.told().into_iter().find(|(_, n)| n.owner == "web").expect("a message");
    assert!(late.1.text.starts_with("Late: "), "{}", late.1.text);
    // The channel works again, and nothing says otherwise.
    company.live(24, |_, _| {});
    let mut open = Vec::new();
    company.handle.store.each_tellable(&mut |row| open.push(row.kind)).expect("findings");
    assert!(!open.contains(&notafter_core::finding::Kind::AlertUndelivered), "{open:?}");
}

#[test]
fn a_source_with_a_defect_and_one_that_sees_nothing_are_said_and_go_on() {
    for trouble in ["defect", "blind"] {
        let mut company = Company::new();
        for n in 0..4 {
            lock(&company.world).install(&format!("s{n}.web.test"), START, 90);
        }
        company.live(12, |_, _| {});
        lock(&company.world).trouble = Some(trouble);
        company.live(48, |_, _| {});
        let source = company.handle.store.sources().expect("sources").remove(0);
        let fault = source.fault.expect("a fault");
        assert!(fault.contains(if trouble == "defect" { "not made for" } else { "none of 8" }), "{fault}");
        let success = source.last_success.expect("it succeeded once");
        assert!(success < START.plus(DAY), "{trouble} counts as success");
        assert!(!company.days("house", Event::Alert, "office").is_empty(), "{:?}", company.told());
        // Nothing is called gone that only could not be seen.
        assert_eq!(company.handle.store.totals().expect("totals").unseen, 0);
        lock(&company.world).trouble = None;
        company.live(12, |_, _| {});
        let source = company.handle.store.sources().expect("sources").remove(0);
        assert!(source.fault.is_none() && source.last_success > Some(success), "{source:?}");
    }
}

#[test]
fn five_thousand_on_one_day() {
    let mut company = Company::new();
    {
        let mut world = lock(&company.world);
        for n in 0..5000 {
            world.install(&format!("n{n}.web.test"), START.plus(-60 * DAY + n * 10), 90);
        }
    }
    for _ in 0..29 * 4 {
        company.clock.advance(Duration::from_secs(6 * HOUR));
        company.engine.pass();
        company.engine.settle();
    }
    let told = company.told();
    let alerts: Vec<_> = told.iter().filter(|(_, n)| n.event != Event::Digest).collect();
    assert!(!alerts.is_empty() && alerts.len() <= 20, "{} messages", alerts.len());
    // The cliff is said first, then all of them in one.
    let most = alerts.iter().map(|(_, n)| n.items.len() + n.more).max();
    assert!(most.is_some_and(|most| most > 100), "{most:?}");
}

#[test]
fn what_a_person_gave_to_somebody_is_owned() {
    let mut company = Company::among(Policy { owners_expected: true, ..Policy::default() }, false);
    lock(&company.world).install("nobody.test", START, 90);
    company.live(12, |_, _| {});
    let unowned = |company: &Company| {
        let kinds = vec![notafter_core::finding::Kind::Unowned];
        let filter = notafter_store::findings::FindingFilter { kinds, limit: 10, ..Default::default() };
        !company.handle.store.findings(&filter).expect("findings").is_empty()
    };
    assert!(unowned(&company));
    let query = notafter_core::query::Query::parse("name:nobody.test").expect("a query");
    let given = company.handle.store.own(&query, Some("web"), "kim", company.clock.now()).expect("given");
    assert_eq!(given, 1);
    company.live(12, |_, _| {});
    assert!(!unowned(&company));
}

/// Which day, to whom, why, about what.
type Said = (i64, String, Event, Vec<String>);

fn said(at: UnixTime, owner: &str, event: Event, title: &str, mut names: Vec<String>) -> Said {
    // What is over is only named in the title; other titles count minutes.
    if event == Event::Resolved {
        names.push(title.to_owned());
    }
    // Of many alike the first few are named, in any order.
    for name in &mut names {
        name.retain(|c| !c.is_ascii_digit());
    }
    names.sort_unstable();
    names.dedup();
    ((at.0 - START.0).div_euclid(DAY), owner.to_owned(), event, names)
}

/// Lives for so many days; what is called `r...` is renewed with fifteen days left, and nothing else ever.
fn live_and_renew(company: &mut Company, days: i64) -> Vec<(String, i64)> {
    let mut renewed = Vec::new();
    company.live(days as u64 * 24, |now, world| {
        let due: Vec<String> = world
            .served
            .iter()
            .filter(|(name, (_, end))| name.starts_with('r') && end.0 - now.0 <= 15 * DAY)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            world.install(&name, now, 45);
            renewed.push((name, (now.0 - START.0) / DAY));
        }
    });
    renewed
}

#[test]
fn what_was_foreseen_is_what_was_lived() {
    let noon = START.plus(10 * 3600);
    // A freeze of the house's, in which two of its own end.
    let closed = notafter_core::calendar::Closed {
        from: noon.plus(150 * DAY),
        until: noon.plus(171 * DAY),
        why: "the summer's freeze".into(),
        owner: Some("house".into()),
    };
    let mut policy = Policy { gone_after: Some(7 * DAY), owners_expected: true, ..Policy::default() };
    policy.calendar.closed.push(closed);
    let mut company = Company::with(policy);
    {
        let mut world = lock(&company.world);
        for n in 0..5 {
            world.install(&format!("r{n}.web.test"), noon.plus(-n * DAY), 45);
        }
        world.install("forgotten.web.test", noon, 200);
        world.install("frozen.test", noon, 160);
        world.install("also-frozen.test", noon.plus(5 * DAY), 160);
        world.install("nobody.test", noon, 120);
        world.install("old.web.test", noon.plus(-80 * DAY), 100);
        world.install("far.web.test", noon, 600);
        world.lay("filed.web.test", noon.plus(-3 * DAY), 150);
        for n in 0..25 {
            world.install(&format!("cliff{n}.web.test"), noon, 180);
        }
    }
    // Long enough for those that are renewed to have made a habit of it.
    live_and_renew(&mut company, 80);
    let (begin, span) = (company.clock.now(), 200);
    let until = begin.plus(span * DAY);
    let store = Arc::clone(&company.handle.store);
    let findings_before = store.finding_counts().expect("counts");
    let seen = forecast::look(&store, &company.handle.setup(), until, &[47, 6], begin).expect("a forecast");
    // Nothing was written.
    assert_eq!(store.finding_counts().expect("counts"), findings_before);
    let carried = company.told().len();
    let renewed = live_and_renew(&mut company, span);

    let foretold: Vec<Said> =
        seen.told.iter().map(|m| said(m.at, &m.owner, m.event, &m.title, m.names.clone())).collect();
    let lived: Vec<Said> = company.told()[carried..]
        .iter()
        .filter(|(_, n)| n.event != Event::Digest)
        .map(|(at, n)| {
            said(*at, &n.owner, n.event, &n.title, n.items.iter().take(5).map(|i| i.name.clone()).collect())
        })
        .collect();
    let missing: Vec<_> = lived.iter().filter(|one| !foretold.contains(one)).collect();
    let extra: Vec<_> = foretold.iter().filter(|one| !lived.contains(one)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "not foreseen: {missing:#?}\nnot lived: {extra:#?}");
    assert_eq!(foretold.len(), lived.len());
    assert!(lived.len() > 60, "{}", lived.len());

    // The same lapses: what was still served at its end, on its day.
    let day = |at: UnixTime| (at.0 - START.0).div_euclid(DAY);
    let mut lapsed: Vec<(String, i64)> = lock(&company.world)
        .served
        .iter()
        .filter(|(_, (_, end))| *end > begin && *end <= until)
        .filter(|(name, _)| !name.starts_with('r'))
        .map(|(name, (_, end))| (name.clone(), day(*end)))
        .collect();
    lapsed.sort_unstable();
    let mut broken: Vec<(String, i64)> = seen.breaks.values().map(|b| (b.title.clone(), day(b.at))).collect();
    broken.sort_unstable();
    assert_eq!(broken, lapsed);
    assert_eq!((seen.count, seen.renewing, seen.broken, seen.unused), (29 + 5 + 1, 5, 29, 1));
    // The same renewals, the first of each.
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    for (name, day) in renewed {
        first.entry(name).or_insert(day);
    }
    let foreseen: BTreeMap<String, i64> =
        seen.renewals.values().map(|r| (r.title.clone(), day(r.at))).collect();
    assert_eq!(foreseen, first);
    // A private CA answers to no public rule: shorter lives change nothing here.
    assert!(seen.scenarios.len() == 3 && seen.public_leaves == 0);
    assert_eq!(seen.scenarios[0].a_week, seen.scenarios[2].a_week);
}

#[test]
fn what_lapsed_once_is_told_louder_the_next_time() {
    let mut company = Company::new();
    {
        let mut world = lock(&company.world);
        world.install("again.web.test", START.plus(-85 * DAY), 90);
        world.install("never.web.test", START.plus(-10 * DAY), 90);
    }
    // Served for two days past its end, then replaced by one that nobody renews in time either.
    company.live(7 * 24, |_, _| {});
    let now = company.clock.now();
    lock(&company.world).install("again.web.test", now, 90);
    company.live(72 * 24, |_, _| {});
    let day = (now.0 - START.0) / DAY;
    let store = &company.handle.store;
    let filter = notafter_store::findings::FindingFilter { limit: 100, ..Default::default() };
    let open = store.findings(&filter).expect("findings");
    let of = |name: &str| open.iter().find(|f| f.title == name).map(|f| (f.severity, f.summary.clone()));
    // Both are within their warning; the one that lapsed is critical for it, and says when.
    let (severity, summary) = of("again.web.test").expect("it is told of");
    assert_eq!(
        (severity, summary.contains("it lapsed before, on 2026-01-06")),
        (Severity::Critical, true),
        "{summary}"
    );
    let again = company.days("web", Event::Alert, "again.web.test");
    assert!(again.contains(&(day + 67)) || again.contains(&(day + 68)), "{again:?}");
    let (_, summary) = of("never.web.test").expect("it is told of");
    assert!(!summary.contains("before"), "{summary}");
}

/// The one link of a message, as far as it is a secret.
fn secret(notice: &Notice) -> String {
    let url = notice.acknowledge_url.as_deref().unwrap_or_else(|| panic!("no link: {notice:?}"));
    url.strip_prefix("https://certs.test/ack/").unwrap_or_else(|| panic!("{url}")).to_owned()
}

#[test]
fn every_message_has_its_link_and_a_bundle_one_for_all() {
    let mut company = Company::new();
    for n in 0..6 {
        lock(&company.world).install(&format!("s{n}.web.test"), START.plus((n - 80) * DAY), 90);
    }
    company.live(24, |_, _| {});
    let store = Arc::clone(&company.handle.store);
    let alerts = store.open_alerts().expect("alerts");
    assert!(alerts.len() >= 6, "{}", alerts.len());
    let told = company.told();
    let bundle = told.iter().find(|(_, n)| n.owner == "web" && n.alert.is_none() && n.event == Event::Alert);
    let (_, bundle) = bundle.unwrap_or_else(|| panic!("no bundle: {told:?}"));
    for (_, notice) in told.iter().filter(|(_, n)| !matches!(n.event, Event::Digest | Event::Resolved)) {
        assert_eq!(secret(notice).len(), 64);
    }
    let hash = notafter_engine::notify::secret_hash(&secret(bundle));
    let link = store.link(&hash, false, company.clock.now()).expect("a link");
    let notafter_store::alerts::Link::For(numbers) = link else { panic!("{link:?}") };
    let named: Vec<String> = numbers.iter().map(|n| format!("a{n}")).collect();
    let command = bundle.acknowledge_command.clone().unwrap_or_default();
    assert!(named.len() > 3 && named.iter().all(|id| command.contains(id.as_str())), "{command} {named:?}");
    // Each of them shows the one message, and what became of it.
    for number in &numbers {
        let with = store.outgoing(Some(*number), 50).expect("messages");
        assert!(with.iter().any(|m| m.notice.id == bundle.id && m.sent.is_some()), "a{number}: {with:?}");
        let lines = store.audit_lines(Some(&format!("a{number}")), None, 50).expect("lines");
        let what: Vec<_> = lines.iter().map(|(_, l)| l.what.as_str()).collect();
        assert!(what.contains(&"alert-queued") && what.contains(&"alert-told"), "{what:?}");
    }
}

#[test]
fn what_was_refused_for_good_is_told_when_the_channel_works() {
    let mut company = Company::new();
    for n in 0..6 {
        lock(&company.world).install(&format!("s{n}.web.test"), START.plus((n - 80) * DAY), 90);
    }
    company.post.0.lock().expect("the post").1 = Mail::Refuses;
    company.live(12, |_, _| {});
    assert!(company.told().is_empty());
    let store = Arc::clone(&company.handle.store);
    let undelivered = |store: &Store| {
        let mut open = Vec::new();
        store.each_tellable(&mut |row| open.push(row.kind)).expect("findings");
        open.contains(&notafter_core::finding::Kind::AlertUndelivered)
    };
    assert!(undelivered(&store), "it is said that nobody was told");
    let lines = store.audit_lines(Some("a1"), None, 50).expect("lines");
    assert!(lines.iter().all(|(_, l)| l.what != "alert-told"), "told? {lines:?}");
    assert!(lines.iter().any(|(_, l)| l.what == "alert-not-delivered"), "{lines:?}");
    // Mended, and any message that goes through brings the others after it; a link that works is in them.
    company.post.0.lock().expect("the post").1 = Mail::Up;
    let item = notafter_engine::hands::Item { owner: "web".into(), about: "a test".into() };
    let now = company.clock.now();
    let setup = company.handle.setup();
    let notice = notafter_engine::hands::test_notice(&setup, &item, "kim", now);
    notafter_engine::hands::test(&store, &setup, notice, "a test", "kim", now).expect("sent");
    company.live(6, |_, _| {});
    let told = company.told();
    for n in 0..6 {
        let name = format!("s{n}.web.test");
        let heard = |(_, notice): &&(UnixTime, Notice)| {
            notice.owner == "web" && notice.items.iter().any(|i| i.name == name)
        };
        let count = told.iter().filter(heard).count();
        assert_eq!(count, 1, "{name} was told {count} times: {:?}", told.iter().map(|(_, n)| &n.title));
        let (_, notice) = told.iter().find(heard).expect("it");
        let hash = notafter_engine::notify::secret_hash(&secret(notice));
        let link = store.link(&hash, false, company.clock.now()).expect("a link");
        assert!(matches!(link, notafter_store::alerts::Link::For(_)), "{link:?}");
    }
    assert!(!undelivered(&store), "and nothing says otherwise any more");
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Mail breaks and refuses, the source dies, sees nothing or has a defect, for hours and days, by chance; people forget. Whoever
/// could be told in time was told, nothing was called over before it was seen to be, and nothing came twice.
#[test]
fn months_of_faults_by_chance() {
    for seed in [1, 2, 3] {
        let mut dice = Dice(seed);
        let mut company = Company::new();
        for n in 0..12 {
            let name = format!("s{n}.web.test");
            lock(&company.world).install(&name, START.plus(-(dice.below(60) as i64) * DAY), 90);
        }
        let (mut mail_until, mut source_until, mut forgets) = (START, START, BTreeMap::new());
        // Hours in which somebody could hear of it: the source saw it near its end, and mail went out.
        let mut chances: BTreeMap<(String, UnixTime), i64> = BTreeMap::new();
        let mut renewed: Vec<(String, UnixTime)> = Vec::new();
        let last_fault = START.plus(115 * DAY);
        let post = company.post.clone();
        company.live(120 * 24, |now, world| {
            if now >= mail_until {
                let (next, hours) = match dice.below(40) {
                    _ if now >= last_fault => (Mail::Up, 9999),
                    0 => (Mail::Down, 1 + dice.below(60)),
                    1 => (Mail::Refuses, 1 + dice.below(12)),
                    _ => (Mail::Up, 4 + dice.below(20)),
                };
                post.0.lock().expect("the post").1 = next;
                mail_until = now.plus(hours as i64 * 3600);
            }
            if now >= source_until {
                let (broken, trouble, hours) = match dice.below(40) {
                    _ if now >= last_fault => (false, None, 9999),
                    0 => (true, None, 1 + dice.below(80)),
                    1 => (false, Some("blind"), 1 + dice.below(40)),
                    2 => (false, Some("defect"), 1 + dice.below(20)),
                    _ => (false, None, 4 + dice.below(20)),
                };
                (world.broken, world.trouble) = (broken, trouble);
                source_until = now.plus(hours as i64 * 3600);
            }
            let works = !world.broken && world.trouble.is_none();
            let mails = post.0.lock().expect("the post").1 == Mail::Up;
            for (name, (_, end)) in world.served.clone() {
                let left = end.0 - now.0;
                if left > 0 && left < 20 * DAY && works && mails {
                    *chances.entry((name.clone(), end)).or_default() += 1;
                }
                // Most renew a month ahead; some are forgotten, until long after the end or a little before it.
                let at = *forgets.entry((name.clone(), end)).or_insert_with(|| match dice.below(4) {
                    0 => 6 * DAY - dice.below(12) as i64 * DAY,
                    _ => 30 * DAY,
                });
                if left < at {
                    world.install(&name, now, 90);
                    renewed.push((name, now));
                }
            }
        });
        let told = company.told();
        for ((name, end), hours) in &chances {
            let heard = told.iter().any(|(at, n)| {
                *at < *end
                    && at.0 > end.0 - 23 * DAY
                    && n.event == Event::Alert
                    && n.items.iter().any(|i| i.name == *name)
            });
            // The source looks every six hours, a message waits for more of its kind, a retry for its turn.
            assert!(
                heard || *hours < 48,
                "seed {seed}: {name}, which ends {end}, was told to nobody in {hours} hours"
            );
        }
        assert!(chances.len() > 2, "seed {seed}: {chances:?}");
        for (at, notice) in told.iter().filter(|(_, n)| n.event == Event::Resolved) {
            if let Some(name) =
                notice.title.strip_prefix("over: ").filter(|t| t.ends_with(".web.test") && !t.contains(' '))
            {
                let seen = renewed.iter().any(|(who, when)| who == name && when <= at);
                assert!(seen, "seed {seed}: {name} was called over at {at} and had not been renewed");
            }
        }
        let mut ids: Vec<_> = told.iter().map(|(_, n)| (&n.id, &n.owner)).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "seed {seed}: a message was carried twice");
        // Five days without a fault, and nothing is left of them.
        let open = company.handle.store.open_alerts().expect("alerts");
        let open: Vec<_> = open.iter().filter(|a| a.state != notafter_core::alert::State::Resolved).collect();
        for trouble in ["source-stale", "alert-undelivered", "owner-unreachable"] {
            assert!(!open.iter().any(|a| a.group.contains(trouble)), "seed {seed}: {trouble}: {open:#?}");
        }
    }
}
