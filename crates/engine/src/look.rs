//! One look by one source, and what a defect in it said. Started by `serve.rs` on the runtime; when is decided there.

use std::sync::Arc;

use notafter_core::joints::{Cx, Sink};

use crate::setup::Planned;

/// Looks: returns why it could not. What was never looked at comes first: a new line of the configuration answers
/// within seconds.
pub(crate) async fn look(planned: Planned, fresh: Vec<String>, cx: Cx, out: Arc<dyn Sink>) -> Option<String> {
    let mut fault = None;
    // A source that is named by a word has no list of targets, and looks once all the same.
    let first = (!fresh.is_empty()).then_some(fresh);
    for targets in first.into_iter().chain([planned.targets.clone()]) {
        match (planned.build)(&targets) {
            Ok(sources) => {
                for source in sources {
                    if let Err(error) = source.discover(&cx, Arc::clone(&out)).await {
                        fault.get_or_insert(error.to_string());
                    }
                }
            }
            Err(message) => fault = Some(message),
        }
    }
    fault
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Why work by itself has no answer.
pub(crate) enum Defect {
    /// It panicked, and said this.
    Panic(String),
    /// It was stopped.
    Stopped,
}

impl Defect {
    /// For whoever waits for the answer. `of`: whose work it was.
    pub(crate) fn in_words(self, of: &str) -> String {
        match self {
            Self::Panic(said) => format!("a defect in {of}: {said}"),
            Self::Stopped => "it was stopped".to_owned(),
        }
    }
}

/// Does it in a task of its own, so that a defect in it is its own trouble; it ends with whoever waits here.
pub(crate) async fn alone<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Defect> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(work);
    match tasks.join_next().await {
        Some(Ok(done)) => Ok(done),
        Some(Err(error)) if error.is_panic() => Err(Defect::Panic(panic_text(&*error.into_panic()))),
        _ => Err(Defect::Stopped),
    }
}
