//! What goes on although something else was configured meanwhile, nobody came, or another one takes long.

use super::*;

impl House {
    /// One pass over what is configured by now.
    pub(super) async fn pass(&self, running: &Arc<Running>) -> UnixTime {
        let keeping = Keeping::new(vec![self.managed.clone()], Vec::new(), Vec::new(), self.tools.clone());
        pass(&self.store, &Arc::new(keeping), &self.cx, running).await.0
    }

    /// A generation that goes on by what is configured now.
    pub(super) fn configured(
        &self,
        generation: u64,
        state: State,
        chain: &[Vec<u8>],
        before: Option<&[Vec<u8>]>,
    ) {
        let mut renewal = Renewal::begin("web", generation, "a test", NOW);
        (renewal.state, renewal.chain) = (state, chain.to_vec());
        renewal.before = before.iter().map(|b| b[0].clone()).collect();
        renewal.configured = format!("{} {}", self.managed.made_from, self.managed.goes_to);
        self.tools.keep.keep(&renewal.key_name(), None, b"a key").unwrap();
        assert!(self.store.begin_work(&renewal, &Note::default(), NOW).unwrap());
    }
}

#[tokio::test]
async fn a_server_that_was_down_proves_it_once_it_is_up() {
    let mut house = house("down-a-while", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    house.target("files", 4431, Machine::default());
    house.shows(4431, None);
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(5 * DAY).await;
    assert_eq!((renewal.state, renewal.calls), (State::WaitsForProof, true), "{}", renewal.said);
    assert_eq!(house.trailed("renewal-failing").len(), 1, "called once: {:?}", house.trail());
    assert!(renewal.next - house.cx.clock.now().0 <= 600, "it is looked at again soon");
    house.shows(4431, Some(&new));
    let renewal = house.for_a_while(600).await;
    assert_eq!((renewal.state, renewal.calls), (State::Proved, false), "{}", renewal.said);
}

/// The grace went by while nobody ran, and the first look meets a server that has not read the new one yet.
#[tokio::test]
async fn nothing_is_put_back_because_of_one_look() {
    let mut house = house("one-look", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let stands = Machine { installed: Mutex::new(Some(old.clone())), ..Machine::default() };
    let machine = house.target("files", 4431, stands);
    house.shows(4431, Some(&old));
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    assert_eq!(house.go_on().await.state, State::WaitsForProof);
    house.clock.advance(Duration::from_secs(600));
    house.shows(4431, Some(&new));
    *house.eyes.once.lock().unwrap() = Some(old);
    let renewal = house.for_a_while(60).await;
    assert_eq!(renewal.state, State::Proved, "{}", renewal.said);
    assert_eq!(machine.rolled_back.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_rehearsal_looks_at_the_places_that_would_have_to_show_it() {
    let mut house = house("rehearsed-places", &["one"]);
    house.target("files", 4431, Machine::default());
    house.managed.targets[0].prove.push("tls://127.0.0.1:4432".to_owned());
    let shown = chain(0, 90 * DAY);
    for (first, second, works, looks) in [
        (true, true, [true, true], 0),
        // One that is down for an hour is worth a word.
        (true, false, [true, true], 1),
        // Where none answers, nobody would ever see the new one.
        (false, false, [false, false], 2),
    ] {
        house.shows(4431, first.then_some(&shown[..]));
        house.shows(4432, second.then_some(&shown[..]));
        let checks = house.renewer().rehearse(&house.managed, None).await;
        let places: Vec<&Check> = checks.iter().filter(|c| c.what.starts_with("prove: ")).collect();
        assert_eq!(places.iter().map(|c| c.works).collect::<Vec<_>>(), works, "{checks:?}");
        assert_eq!(places.iter().filter(|c| c.hint.is_some()).count(), looks, "{checks:?}");
        let silent = places.iter().filter(|c| c.because.contains("connection refused")).count();
        assert_eq!(silent, looks, "{checks:?}");
    }
    // An excused one is not asked.
    house.managed.targets[0].excused =
        vec![("tls://127.0.0.1:4431".into(), "down".into()), ("tls://127.0.0.1:4432".into(), "down".into())];
    let checks = house.renewer().rehearse(&house.managed, None).await;
    assert!(!checks.iter().any(|c| c.what.starts_with("prove: ")), "{checks:?}");
}

#[tokio::test]
async fn what_nobody_came_for_gives_way_when_it_is_due_itself() {
    for (left, begun, in_place) in [(50, 1, false), (20, 2, false), (20, 2, true)] {
        let mut house = house(&format!("gives-way-{left}-{in_place}"), &["one"]);
        let (old, new) = (chain(150 * DAY, 10 * DAY), chain((90 - left) * DAY, left * DAY));
        let mut renewal = Renewal::begin("web", 1, "a test", NOW.plus(-40 * DAY));
        (renewal.chain, renewal.before) = (new, vec![old[0].clone()]);
        let new = renewal.chain[0].clone();
        if in_place {
            house.target("files", 4431, Machine::default());
            renewal.targets = vec![TargetWork {
                label: "files".to_owned(),
                wave: 0,
                state: TargetState::Done,
                made_from: String::new(),
                receipt: None,
                places: Vec::new(),
                said: String::new(),
                prove_until: None,
            }];
        }
        renewal.needs_somebody("not seen in use");
        assert!(house.store.begin_work(&renewal, &Note::default(), NOW).unwrap());
        house.pass(&Arc::default()).await;
        let newest = house.store.works_of("web", 1).unwrap().remove(0).renewal;
        assert_eq!(newest.generation, begun, "{newest:?}");
        if begun == 2 {
            assert_eq!(house.row(1).state, State::Abandoned);
            assert!(house.trailed("renewal-abandoned")[0].contains("never seen in use"));
            // What is in use is still the old one, unless the new one lies there.
            assert_eq!(newest.before, [if in_place { new } else { old[0].clone() }]);
        }
    }
}

#[tokio::test]
async fn near_the_end_what_was_put_back_is_tried_once_a_day() {
    let mut house = house("last-chance", &["one"]);
    let (old, new) = (chain(70 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let machine = house.target(
        "files",
        4431,
        Machine { installed: Mutex::new(Some(old.clone())), forgets: true, ..Machine::default() },
    );
    house.shows(4431, Some(&old));
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    assert_eq!(house.for_a_while(600).await.state, State::WaitsForPerson);
    let tries = |machine: &Machine| machine.generations.lock().unwrap().len();
    let mut after = Vec::new();
    for day in [1, 10, 12, 13] {
        house.clock.set(NOW.plus(day * DAY));
        for _ in 0..60 {
            house.pass(&Arc::default()).await;
            house.clock.advance(Duration::from_secs(10));
        }
        after.push(tries(&machine));
    }
    assert_eq!(after, [1, 1, 2, 3], "{:?}", house.trail());
    assert_eq!(machine.rolled_back.load(Ordering::Relaxed), 3);
    // Whatever it was, it was mended.
    house.clock.set(NOW.plus(14 * DAY + 600));
    house.pass(&Arc::default()).await;
    house.shows(4431, Some(&new));
    house.clock.advance(Duration::from_secs(10));
    house.pass(&Arc::default()).await;
    assert_eq!(house.row(1).state, State::Proved);
}

#[tokio::test]
async fn a_corrected_name_or_key_is_asked_for_without_anybody_s_doing() {
    type Change = fn(&mut Managed);
    let name: Change = |m| m.names = vec![Identifier::parse("right.test").unwrap()];
    let key: Change = |m| m.key = KeyType::Rsa2048;
    for (label, change) in [("name", name), ("key", key)] {
        let mut house = house(&format!("corrected-{label}"), &["one"]);
        *house.offices[0].says.lock().unwrap() = Some(Retry::Never);
        assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
        assert_eq!(house.go_on().await.state, State::WaitsForIssuer);
        change(&mut house.managed);
        house.managed.made_from = "two".to_owned();
        let other = house.go_on().await;
        assert_eq!(
            (other.generation, other.request.unwrap().names),
            (2, house.managed.names.clone()),
            "{label}"
        );
        assert_eq!(other.key, Some(house.managed.key));
        assert_eq!(house.row(1).state, State::Abandoned);
        // And the same configuration is no reason for a third.
        assert_eq!(house.go_on().await.generation, 2);
    }
}

#[tokio::test]
async fn a_target_or_an_excuse_that_came_later_counts() {
    let mut house = house("later-target", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let first = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    house.target("dead", 4432, Machine::default());
    house.shows(4432, None);
    house.configured(1, State::WaitsForWindow, &new, Some(&old));
    let renewal = house.for_a_while(30).await;
    assert_eq!(renewal.state, State::WaitsForProof, "{}", renewal.said);
    // One is excused, another is new: what was installed is not installed again.
    let place = house.managed.targets[1].prove[0].clone();
    house.managed.targets[1].excused.push((place, "it was scrapped".into()));
    let third = house.target("third", 4433, Machine { reloads: true, ..Machine::default() });
    house.managed.goes_to = "there too".to_owned();
    let renewal = house.for_a_while(60).await;
    assert_eq!(renewal.state, State::Proved, "{}", renewal.said);
    assert_eq!((first.generations.lock().unwrap().len(), third.generations.lock().unwrap().len()), (1, 1));
    // After all is over: what is in use is installed there, too, by the next pass, and once.
    let fourth = house.target("fourth", 4434, Machine { reloads: true, ..Machine::default() });
    house.pass(&Arc::default()).await;
    assert_eq!(fourth.generations.lock().unwrap().len(), 0, "nothing says that it is configured otherwise");
    house.managed.goes_to = "and there".to_owned();
    for _ in 0..3 {
        house.pass(&Arc::default()).await;
    }
    assert_eq!(*fourth.generations.lock().unwrap(), [1]);
    assert_eq!((first.generations.lock().unwrap().len(), third.generations.lock().unwrap().len()), (1, 1));
    assert_eq!(house.row(1).deployed.map(|d| d.state), Some(State::Proved));
}

#[tokio::test]
async fn outside_its_window_nothing_is_tried_again() {
    let mut house = house("closed-again", &["one"]);
    let (old, new) = (chain(60 * DAY, 20 * DAY), chain(0, 90 * DAY));
    let machine = house.target("files", 4431, Machine { reloads: true, ..Machine::default() });
    // Open for ten minutes a day, from now on.
    let open = |at: i64| NOW.0 + (at - NOW.0).div_euclid(DAY) * DAY;
    house.managed.windows = Some(Arc::new(move |at| {
        let from = if at < open(at) + 600 { open(at) } else { open(at) + DAY };
        Some((from, from + 600))
    }));
    *machine.says.lock().unwrap() = Some(Retry::Backoff);
    house.issued(1, State::WaitsForWindow, &new, Some(&old), "one");
    let renewal = house.for_a_while(12 * 3_600).await;
    assert_eq!(renewal.next, NOW.0 + DAY, "{}", renewal.said);
    assert!(renewal.said.contains("it says no") && renewal.said.contains("when something may be changed"));
    *machine.says.lock().unwrap() = None;
    assert_eq!(house.for_a_while(DAY / 2).await.state, State::WaitsForTargets);
    // A person says now.
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    assert_eq!(house.go_on().await.state, State::Proved);
}

/// Never comes back.
struct Stuck(Arc<AtomicUsize>);

impl Issuer for Stuck {
    fn begin<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }
    fn advance<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Request,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(std::future::pending())
    }
    fn abandon<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
    fn revoke<'a>(&'a self, _: &'a Cx, _: &'a [u8], _: RevocationReason) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request, _: &'a dyn Solver) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

#[tokio::test]
async fn one_that_takes_long_holds_up_nobody_else() {
    let house = house("stuck", &["one"]);
    let begun = Arc::new(AtomicUsize::new(0));
    let mut stuck = house.managed.clone();
    stuck.name = "stuck".to_owned();
    stuck.issuers = vec![("stuck".to_owned(), Arc::new(Stuck(Arc::clone(&begun))) as Arc<dyn Issuer>)];
    let both = vec![stuck, house.managed.clone()];
    let running: Arc<Running> = Arc::default();
    let keeping = Arc::new(Keeping::new(both, Vec::new(), Vec::new(), house.tools.clone()));
    let mut asked = Vec::new();
    for _ in 0..3 {
        let (next, _) = pass(&house.store, &keeping, &house.cx, &running).await;
        asked.push(house.asked.lock().unwrap().len());
        assert!(next <= house.cx.clock.now().plus(2), "the others are looked after again soon");
        house.clock.advance(Duration::from_secs(DAY as u64 + 1));
    }
    assert_eq!(asked, [1, 2, 3], "the other one goes on");
    assert_eq!(begun.load(Ordering::Relaxed), 1, "and the one that is stuck is not begun again");
    assert!(!running.is_empty());
}
