//! Forecasts, kept: looking ahead over very many takes longer than a page may.
//!
//! One is worked out at a time, beside the requests: over a million certificates it costs minutes and gigabytes. Who asks
//! waits a little for it, and only while it is young: later ones get the answer before it, or "not yet", at once. What was
//! cheap is worked out anew each time, so that a small house always sees what is. It judges nothing: that is
//! `notafter_engine::forecast`.

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
    /// Until it is there, the one before it serves.
    Working {
        since: Duration,
        before: Option<Arc<Forecast>>,
    },
    Done {
        at: Duration,
        good_for: Duration,
        forecast: Arc<Forecast>,
    },
}

impl Answer {
    fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// What is known by now.
#[derive(Default)]
pub(crate) struct Foreseen {
    kept: Mutex<Vec<(Question, Answer)>>,
    done: Condvar,
    /// Whose turn it is to be worked out.
    turn: Mutex<()>,
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
    let known = kept.iter().position(|(asked, _)| *asked == question).map(|n| kept.remove(n).1);
    let (since, before) = match known {
        Some(Answer::Done { at, good_for, forecast }) if mono.saturating_sub(at) < good_for => {
            kept.push((question, Answer::Done { at, good_for, forecast: Arc::clone(&forecast) }));
            return Some(forecast);
        }
        Some(Answer::Working { since, before }) => (since, before),
        other => {
            let old = kept.iter().position(|(_, answer)| answer.is_done()).filter(|_| kept.len() >= KEPT);
            old.map(|old| kept.remove(old));
            let (app, question) = (Arc::clone(app), question.clone());
            tokio::runtime::Handle::current().spawn_blocking(move || work(&app, &question, now));
            // One that took longer than anybody waits for will do so again.
            match other {
                Some(Answer::Done { good_for, forecast, .. }) if good_for > wait * WORTH => {
                    (mono.saturating_sub(wait), Some(forecast))
                }
                _ => (mono, None),
            }
        }
    };
    kept.push((question.clone(), Answer::Working { since, before }));
    let working = |kept: &mut Vec<(Question, Answer)>| {
        kept.iter().any(|(asked, answer)| *asked == question && !answer.is_done())
    };
    let left = (since + wait).saturating_sub(mono);
    let (kept, _) =
        foreseen.done.wait_timeout_while(kept, left, working).unwrap_or_else(PoisonError::into_inner);
    kept.iter().find(|(asked, _)| *asked == question).and_then(|(_, answer)| match answer {
        Answer::Done { forecast, .. } => Some(Arc::clone(forecast)),
        Answer::Working { before, .. } => before.clone(),
    })
}

fn work(app: &Arc<App>, question: &Question, now: UnixTime) {
    let foreseen = &app.cache.foreseen;
    let turn = foreseen.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let begun = app.handle.clock.monotonic();
    let setup = app.handle.setup();
    // A panic must not leave a question that is never answered.
    let store = Arc::clone(&app.handle.store);
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        look(&store, &setup, now.plus(question.0), &question.1, now)
    }));
    drop(turn);
    let at = app.handle.clock.monotonic();
    let mut kept = foreseen.kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|(asked, _)| asked != question);
    if let Ok(Ok(forecast)) = made {
        let good_for = (at.saturating_sub(begun) * WORTH).min(FRESH);
        let forecast = Arc::new(forecast);
        kept.push((question.clone(), Answer::Done { at, good_for, forecast }));
    }
    foreseen.done.notify_all();
}
