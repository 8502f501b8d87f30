//! A line on standard error that says how far it is, while somebody watches.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use notafter_core::scan::Progress;

/// Draws until it is dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Bar {
    /// Begins to draw, if standard error is a terminal and the user wants it. Call within the runtime.
    pub(crate) fn start(progress: &Arc<Progress>, quiet: bool) -> Option<Self> {
        if quiet || !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        let (drawn, progress) = (bar.clone(), Arc::clone(progress));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(120));
            loop {
                ticks.tick().await;
                drawn.set_message(message(&progress));
            }
        });
        Some(Self { bar, task })
    }
}

fn message(progress: &Progress) -> String {
    let scan = progress.scan();
    let planned = progress.planned.load(std::sync::atomic::Ordering::Relaxed);
    let mut parts = Vec::new();
    if planned > 0 {
        parts.push(format!("{}/{planned} asked, {} answered", scan.attempted, scan.reached));
    }
    if scan.files > 0 {
        parts.push(format!("{} files", scan.files));
    }
    parts.join(", ")
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
