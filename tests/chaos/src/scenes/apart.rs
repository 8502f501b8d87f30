//! Two processes (decision 0038), and either is killed while a certificate is installed: the one that installs at its
//! system calls, the server at any moment while the other one installs. Both come back (trust F1).
//!
//! The one that installs is root; the other one is an account without rights that owns nothing but its data folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::house::{House, Plan, Running, give, until};
use crate::strace::{self, Call, Lens, Point};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "20s"];
/// The account without rights of every machine.
const NOBODY: u32 = 65_534;
/// A process that installs ends what it began, and listens again, within this time.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    strace::is_there()?;
    let mut dice = Dice::new(options.seed);
    let mut two = Two::new(options, "apart", None)?;
    let begun = two.acting(None)?;
    let first = two.house.renew();
    if first.code != Some(0) {
        return Err(format!("the first renewal: {}\n{}", first.words(), begun.words()));
    }
    two.from = first.json()["generation"].as_u64().unwrap_or(0);
    two.end(begun)?;
    two.house.keep();
    let files = Lens { paths: super::kill::folders(&two.house), ..Lens::default() };
    let mut rows = vec![
        killed(&mut two, options, &mut dice, "in its files alone", &files)?,
        killed(&mut two, options, &mut dice, "from its first order on", &Lens::default())?,
    ];
    drop(two);
    rows.push(server(options, &mut dice).unwrap_or_else(Row::broken));
    Ok(rows)
}

/// A house with two processes.
struct Two {
    house: House,
    socket: PathBuf,
    /// The generation of what is installed before anything is broken.
    from: u64,
}

impl Two {
    fn new(options: &Options, name: &str, target: Option<&dyn Fn(&House) -> String>) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut house = House::new(options, name, &Plan::default())?;
        let socket = house.lab.path().join("act.sock");
        let head = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[act]\nsocket = \"{}\"\nuser = \"nobody\"\n\
             [[source]]\nkind = \"files\"\npaths = [\"{}\"]\n",
            socket.display(),
            house.tls().display()
        );
        let target = target.map(|target| target(&house));
        // What is there is not for all of the names: a server sees that at once.
        let names = vec!["srv.test", "more.test"];
        house.write(&Plan { head, target, names, ..Plan::default() }, &house.ca.directory());
        fs::set_permissions(&house.config, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        fs::set_permissions(house.ca.ca_file(), fs::Permissions::from_mode(0o644)).map_err(failed)?;
        house.account = Some(NOBODY);
        house.state = Some(house.lab.path().join("state"));
        give(&house.data, NOBODY)?;
        Ok(Self { house, socket, from: 0 })
    }

    /// Starts the process that installs, and waits until it listens. Behind strace, that may never be.
    fn acting(&self, behind: Option<std::process::Command>) -> Result<Running, String> {
        let is_sure = behind.is_none();
        let mut act = Running::start(self.house.act(behind), &self.house.lab.path().join("act.out"));
        let listens = until(PATIENCE, || {
            let ended = act.child.try_wait().is_ok_and(|status| status.is_some());
            (ended || UnixStream::connect(&self.socket).is_ok()).then_some(!ended)
        });
        match listens {
            Some(true) => Ok(act),
            Some(false) if !is_sure => Ok(act),
            _ => Err(format!("`notafter act` does not listen: {}", act.words())),
        }
    }

    /// Tells it to end, and waits: what is under way ends as it began. strace gives no signal on, so its tracee is told.
    fn end(&self, mut act: Running) -> Result<(), String> {
        let children = format!("/proc/{0}/task/{0}/children", act.child.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        let traced =
            fs::read_to_string(format!("/proc/{}/comm", act.child.id())).is_ok_and(|c| c.trim() == "strace");
        match children.split_whitespace().next().and_then(|pid| pid.parse::<i64>().ok()).filter(|_| traced) {
            Some(pid) => notafter_lab::program::signal("TERM", &[pid]),
            None => act.signal("TERM"),
        }
        act.end(PATIENCE).map(drop).ok_or_else(|| format!("`notafter act` does not end: {}", act.words()))
    }

    /// What holds for whoever finds the files, at any moment at which nobody writes.
    fn whole(&self, row: &mut Row, at: &dyn Fn(String) -> String) {
        let started = facts::would_start(&self.house.web);
        row.must(started.is_ok(), || at(started.clone().unwrap_err()));
        let agree = facts::agree(&self.house.certificate(), &self.house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
    }

    /// What holds in the end.
    fn proved(&self, old: &str, row: &mut Row, at: &dyn Fn(String) -> String) {
        let new = facts::leaf(&self.house.certificate()).unwrap_or_default();
        row.must(new != old, || at("the old certificate is still there".into()));
        let shown = self.house.shows(&new);
        row.must(shown.is_ok(), || at(shown.clone().unwrap_err()));
        self.whole(row, at);
        let proved = self.house.run(&["prove", "web", "--json"]);
        row.must(proved.code == Some(0), || at(proved.words()));
        let left = self.house.left();
        row.must(
            !left.iter().any(|name| name.contains(".notafter-new") || name.contains(".notafter-link")),
            || at(format!("left behind: {left:?}")),
        );
    }
}

/// The process that installs is killed at its system calls; at every second point, whoever asked it is, too.
fn killed(two: &mut Two, options: &Options, dice: &mut Dice, what: &str, lens: &Lens) -> Result<Row, String> {
    two.house.back()?;
    let out = two.house.lab.path().join("trace-act");
    let act = two.acting(Some(strace::over(lens, &out, &[])))?;
    let whole = two.house.run(RENEW);
    two.end(act)?;
    if whole.code != Some(0) {
        return Err(format!("without a fault, under strace: {}", whole.words()));
    }
    let calls = strace::read(&fs::read_to_string(&out).unwrap_or_default());
    let points = since_it_listens(&calls);
    let mut row = Row::of("F1", format!("`notafter act` killed, {what}"));
    let mut sum = Sum::default();
    let mut coin = Dice::new(options.seed);
    let reached = strace::each(&format!("act, {what}"), &points, options.points, dice, |point| {
        two.house.back()?;
        let met = one(two, lens, point, coin.below(2) == 0, &mut row, &mut sum)?;
        row.points += usize::from(met);
        Ok(met)
    })?;
    Ok(row.asks(reached.asked).note(format!(
        "{} calls, {} points in reach, {} runs ended before their point, {} with both killed, {} with the new pair already in force, \
         {} waited for their next try, {} orders begun twice",
        calls.len(),
        points.len(),
        reached.missed,
        sum.both,
        sum.new_in_force,
        sum.later,
        sum.extra
    )))
}

/// The points after it began to listen. What it does before, it does before it is asked for anything.
fn since_it_listens(calls: &[Call]) -> Vec<Point> {
    let from = calls.iter().position(|call| call.name == "listen").map_or(0, |n| n + 1);
    let early: Vec<(String, usize)> =
        strace::points(&calls[..from]).into_iter().map(|point| (point.name, point.number)).collect();
    let mut points = strace::points(calls);
    points.retain(|point| !early.contains(&(point.name.clone(), point.number)));
    points
}

#[derive(Default)]
struct Sum {
    both: usize,
    new_in_force: usize,
    later: usize,
    extra: usize,
}

/// One kill. Whether the process came so far.
fn one(
    two: &Two,
    lens: &Lens,
    point: &Point,
    both: bool,
    row: &mut Row,
    sum: &mut Sum,
) -> Result<bool, String> {
    let house = &two.house;
    let old = facts::leaf(&house.certificate())?;
    let (orders, issued) = house.orders();
    let out = house.lab.path().join("trace-broken");
    let _ = fs::remove_file(&out);
    let mut act =
        two.acting(Some(strace::over(lens, &out, &strace::inject(point, ("signal=KILL", false)))))?;
    let mut asks = house.start(RENEW, "renew.out");
    let begun = Instant::now();
    let (mut is_killed, mut has_ended) = (false, false);
    while !is_killed && !has_ended && begun.elapsed() < Duration::from_secs(60) {
        is_killed = act.child.try_wait().is_ok_and(|status| status.is_some());
        has_ended = asks.child.try_wait().is_ok_and(|status| status.is_some());
        sleep(Duration::from_millis(5));
    }
    is_killed = is_killed || act.child.try_wait().is_ok_and(|status| status.is_some());
    if !is_killed || !strace::is_met(&out) {
        let _ = asks.end(PATIENCE);
        return two.end(act).map(|()| false);
    }
    if both {
        asks.kill();
        sum.both += 1;
    }
    let at = |what: String| {
        let who = if both { "both killed" } else { "killed" };
        format!("{who} at {point}: {what}")
    };
    // As a server and its administrator find it. Nobody writes now.
    two.whole(row, &at);
    sum.new_in_force += usize::from(facts::leaf(&house.certificate()).is_ok_and(|now| now != old));
    // As systemd starts it again.
    let act = two.acting(None)?;
    if !both {
        let ended = asks.end(Duration::from_secs(90));
        row.must(ended.is_some(), || at("whoever asked does not end".into()));
    }
    let mut again = house.renew();
    if again.code != Some(0) {
        // It waits for its next try: nobody answered.
        sum.later += 1;
        again = house.later("+6m", &["renew", "web", "--json", "--wait", "60s"]);
    }
    row.must(again.code == Some(0), || at(format!("{}\n{}", again.words(), act.words())));
    two.proved(&old, row, &at);
    let generations = again.json()["generation"].as_u64().unwrap_or(0).saturating_sub(two.from);
    let generations = usize::try_from(generations).unwrap_or(0);
    let (orders_now, issued_now) = house.orders();
    row.must(issued_now - issued == generations, || {
        at(format!("{} certificates for {generations} renewals", issued_now - issued))
    });
    sum.extra += orders_now.saturating_sub(orders).saturating_sub(generations);
    two.end(act).map(|()| true)
}

/// The server is killed at any moment of its own renewal, also while the other process installs for it; that one goes on, or
/// is told to end and comes back, too.
fn server(options: &Options, dice: &mut Dice) -> Result<Row, String> {
    let mut row = Row::of("F1", "the server killed while `notafter act` works");
    // A check and a reload that take their time, so that there is a middle.
    let slow = |house: &House| {
        let (steps, pid) = (steps(house), house.web.pid().unwrap_or(0));
        let line = |step: &str, act: &str| {
            format!(
                "{step} = [\"sh\", \"-c\", \"echo {step} >> {0}; sleep 0.4; {act}; echo {step}ed >> {0}\"]\n",
                steps.display()
            )
        };
        line("check", "true") + &line("reload", &format!("kill -HUP {pid}"))
    };
    let mut two = Two::new(options, "apart-server", Some(&slow))?;
    two.house.keep();
    // How long all of it takes.
    let act = two.acting(None)?;
    let begun = Instant::now();
    let running = two.house.start(&["serve"], "serve.out");
    let is_proved = |house: &House| (house.run(&["prove", "web", "--json"]).code == Some(0)).then_some(());
    if until(Duration::from_secs(60), || is_proved(&two.house)).is_none() {
        return Err(format!("without a fault: {}\n{}", running.words(), act.words()));
    }
    let whole = begun.elapsed();
    drop(running);
    two.end(act)?;
    let rounds = options.points.min(if options.quick { 3 } else { 24 });
    row.asked = rounds;
    let (mut amid, mut most) = (0, 0);
    for round in 0..rounds {
        eprint!("\r  server: {}/{rounds} ", round + 1);
        two.house.back()?;
        let _ = fs::remove_file(steps(&two.house));
        let old = facts::leaf(&two.house.certificate())?;
        let (orders, issued) = two.house.orders();
        let mut act = two.acting(None)?;
        let mut running = two.house.start(&["serve"], "serve.out");
        // Every third as the check is run, every third as the reload is, and the others at any time.
        let sooner = Duration::from_millis(dice.below(400));
        match ["check\n", "reload\n", ""][round % 3] {
            "" => sleep(whole.mul_f64(dice.below(1_000) as f64 / 1_000.0)),
            step => {
                let came = until_fine(&steps(&two.house), step);
                row.must(came, || format!("round {round}: no {} came: {}", step.trim(), running.words()));
                sleep(sooner);
                amid += 1;
            }
        }
        running.kill();
        let (goes_on, steps_then) =
            (dice.below(2) == 0, fs::read_to_string(steps(&two.house)).unwrap_or_default());
        let at = |what: String| {
            let other = if goes_on { "the other goes on" } else { "the other ends, too" };
            format!(
                "round {round}, after {:?}, {other}: {what}",
                steps_then.lines().last().unwrap_or("nothing")
            )
        };
        row.points += 1;
        if !goes_on {
            two.end(act)?;
            two.whole(&mut row, &at);
            act = two.acting(None)?;
        }
        let running = two.house.start(&["serve"], "serve.out");
        let proved = until(Duration::from_secs(90), || is_proved(&two.house));
        row.must(proved.is_some(), || at(format!("not renewed: {}\n{}", running.words(), act.words())));
        drop(running);
        two.end(act)?;
        two.proved(&old, &mut row, &at);
        let (orders_now, issued_now) = two.house.orders();
        row.must(issued_now - issued == 1, || at(format!("{} certificates", issued_now - issued)));
        most = most.max(orders_now - orders);
    }
    eprintln!();
    Ok(row.note(format!(
        "{amid} in the middle of a check or a reload, {most} orders at most for one certificate"
    )))
}

/// What the target's commands have done.
fn steps(house: &House) -> PathBuf {
    house.lab.path().join("steps")
}

/// Waits for a step, and notices it at once.
fn until_fine(file: &Path, step: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if fs::read_to_string(file).is_ok_and(|text| text.contains(step)) {
            return true;
        }
        sleep(Duration::from_millis(5));
    }
    false
}
