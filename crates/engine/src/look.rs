//! One look by one source, and what a defect in it said. Started by `serve.rs` on the runtime; when is decided there.

use std::sync::Arc;

use notafter_core::joints::{Cx, Sink};

use crate::setup::Planned;

/// Looks: returns why it could not. What was never looked at comes first: a new line of the configuration answers
/// within seconds.
pub(crate) async fn look(planned: Planned, fresh: Vec<String>, cx: Cx, out: Arc<dyn Sink>) -> Option<String> {
    let mut fault = None;
    for targets in [fresh, planned.targets.clone()] {
        if targets.is_empty() && !planned.targets.is_empty() {
            continue;
        }
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
