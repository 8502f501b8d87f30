//! Forecasts, kept: looking ahead over very many takes longer than a page may.
//!
//! One is worked out at a time for each question, beside the requests; who asks waits a little and is told "not yet"
//! after that. What was cheap is worked out anew each time, so that a small house always sees what is. It judges
//! nothing: that is `notafter_engine::forecast`.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_engine::forecast::{Forecast, look};

use crate::app::App;

/// So many questions are remembered.
const KEPT: usize = 8;
/// An answer is good for so many times as long as it took.
const WORTH: u32 = 50;
/// But no longer than this.
const FRESH: Duration = Duration::from_secs(3600);

/// Seconds ahead, and lifetimes asked about.
type Question = (i64, Vec<u32>);

enum Answer {
    Working,
    Done { at: Duration, good_for: Duration, forecast: Arc<Forecast> },
}

/// What is known by now.
#[derive(Default)]
pub(crate) struct Foreseen {
    kept: Mutex<Vec<(Question, Answer)>>,
    done: Condvar,
}

/// The forecast, if it is there within `wait`. To be called where blocking is allowed.
pub(crate) fn ask(
    app: &Arc<App>,
    ahead: i64,
    lifetimes: &[u32],
    now: UnixTime,
    wait: Duration,
) -> Option<Arc<Forecast>> {
    let question = (ahead, lifetimes.to_vec());
    let mono = app.handle.clock.monotonic();
    let foreseen = &app.cache.foreseen;
    let mut kept = foreseen.kept.lock().unwrap_or_else(PoisonError::into_inner);
    let known = kept.iter().position(|(asked, _)| *asked == question);
    let start = match known.map(|n| &kept[n].1) {
        Some(Answer::Done { at, good_for, forecast }) if mono.saturating_sub(*at) < *good_for => {
            return Some(Arc::clone(forecast));
        }
        Some(Answer::Working) => false,
        Some(Answer::Done { .. }) | None => true,
    };
    if start {
        if let Some(known) = known {
            kept.remove(known);
        }
        if kept.len() >= KEPT
            && let Some(old) = kept.iter().position(|(_, answer)| matches!(answer, Answer::Done { .. }))
        {
            kept.remove(old);
        }
        kept.push((question.clone(), Answer::Working));
        let (app, question) = (Arc::clone(app), question.clone());
        tokio::runtime::Handle::current().spawn_blocking(move || work(&app, &question, now));
    }
    let working = |kept: &mut Vec<(Question, Answer)>| {
        kept.iter().any(|(asked, answer)| *asked == question && matches!(answer, Answer::Working))
    };
    let (kept, _) =
        foreseen.done.wait_timeout_while(kept, wait, working).unwrap_or_else(PoisonError::into_inner);
    kept.iter().find(|(asked, _)| *asked == question).and_then(|(_, answer)| match answer {
        Answer::Done { forecast, .. } => Some(Arc::clone(forecast)),
        Answer::Working => None,
    })
}

fn work(app: &Arc<App>, question: &Question, now: UnixTime) {
    let begun = app.handle.clock.monotonic();
    let setup = app.handle.setup();
    // A panic must not leave a question that is never answered.
    let store = Arc::clone(&app.handle.store);
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        look(&store, &setup, now.plus(question.0), &question.1, now)
    }));
    let at = app.handle.clock.monotonic();
    let foreseen = &app.cache.foreseen;
    let mut kept = foreseen.kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|(asked, _)| asked != question);
    if let Ok(Ok(forecast)) = made {
        let good_for = (at.saturating_sub(begun) * WORTH).min(FRESH);
        let forecast = Arc::new(forecast);
        kept.push((question.clone(), Answer::Done { at, good_for, forecast }));
    }
    foreseen.done.notify_all();
}
