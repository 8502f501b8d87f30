//! Killed at a system call (trust F1): nothing is ever halves of two, and going on ends with one certificate.

use crate::house::{House, Plan};
use crate::strace::{self, Lens, Point};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "90s"];

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    strace::is_there()?;
    let mut house = House::new(options, "kill", &Plan::default())?;
    let mut dice = Dice::new(options.seed);
    let mut rows = Vec::new();
    // The very first one: account, master key and memory are made.
    house.keep();
    rows.push(all(&mut house, options, &mut dice, "the first renewal", &Lens::default())?);
    // One that replaces another.
    house.back()?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(format!("the first renewal: {}", first.words()));
    }
    house.keep();
    rows.push(all(&mut house, options, &mut dice, "a renewal", &Lens::default())?);
    let lens = Lens { paths: folders(&house), ..Lens::default() };
    rows.push(all(&mut house, options, &mut dice, "a renewal, in its files alone", &lens)?);
    Ok(rows)
}

/// The folders that a deployment works in.
pub(super) fn folders(house: &House) -> Vec<std::path::PathBuf> {
    let store = house.tls().join(".key.pem.notafter");
    let sets = (1..4).flat_map(|n| [format!("gen-{n}"), format!("before-{n}"), format!("found-{n}")]);
    let mut all: Vec<_> = sets.map(|set| store.join(set)).collect();
    all.extend([house.certificate(), house.key(), house.tls(), store]);
    all
}

fn all(
    house: &mut House,
    options: &Options,
    dice: &mut Dice,
    what: &str,
    lens: &Lens,
) -> Result<Row, String> {
    house.back()?;
    let (whole, calls) = strace::trace(house, RENEW, lens, &[]);
    if whole.code != Some(0) {
        return Err(format!("without a fault, under strace: {}", whole.words()));
    }
    let left = house.left();
    let points = strace::points(&calls);
    let mut row = Row::of("F1", format!("killed in {what}"));
    let (mut extra, mut slowest) = (0, 0);
    let reached = strace::each(what, &points, options.points, dice, |point| {
        house.back()?;
        let Some((more, seconds)) = one(house, lens, point, &left, &mut row)? else { return Ok(false) };
        (extra, slowest) = (extra + more, slowest.max(seconds));
        row.points += 1;
        Ok(true)
    })?;
    let figures = format!(
        "{} calls, {} points in reach, {} runs ended before their point, {extra} orders begun twice, longest way back {slowest} s",
        calls.len(),
        points.len(),
        reached.missed,
    );
    Ok(row.asks(reached.asked).note(figures))
}

/// One kill. Orders too many and the seconds until all was well again; `None`: the run ended before the point.
fn one(
    house: &House,
    lens: &Lens,
    point: &Point,
    left: &[String],
    row: &mut Row,
) -> Result<Option<(usize, u64)>, String> {
    let (old, from) = (facts::leaf(&house.certificate())?, house.generation());
    let (orders, issued) = house.orders();
    let (_, met) = strace::broken(house, RENEW, lens, point, ("signal=KILL", false));
    if !met {
        return Ok(None);
    }
    let at = |what: String| format!("at {point}: {what}");
    // As a server and its administrator find it.
    let started = facts::would_start(&house.web);
    row.must(started.is_ok(), || at(started.clone().unwrap_err()));
    let agree = facts::agree(&house.certificate(), &house.key());
    row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
    // And gone on with.
    let again = house.renew();
    row.must(again.code == Some(0), || at(again.words()));
    let new = facts::leaf(&house.certificate()).unwrap_or_default();
    row.must(new != old, || at("the old certificate is still there".into()));
    let shown = house.shows(&new);
    row.must(shown.is_ok(), || at(shown.clone().unwrap_err()));
    let agree = facts::agree(&house.certificate(), &house.key());
    row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
    let proved = house.run(&["prove", "web", "--json"]);
    row.must(proved.code == Some(0), || at(proved.words()));
    let now = house.left();
    // Names carry numbers of generations: how many there are is what must be the same.
    row.must(now.len() <= left.len() + 4, || at(format!("left behind: {now:?}")));
    row.must(
        !now.iter().any(|name| name.contains(".notafter-new") || name.contains(".notafter-link")),
        || at(format!("left behind: {now:?}")),
    );
    let generations = usize::try_from(again.json()["generation"].as_u64().unwrap_or(0).saturating_sub(from));
    let generations = generations.unwrap_or(0);
    let (orders_now, issued_now) = house.orders();
    row.must(issued_now - issued == generations, || {
        at(format!("{} certificates for {generations} renewals", issued_now - issued))
    });
    Ok(Some((orders_now.saturating_sub(orders).saturating_sub(generations), again.took.as_secs())))
}
