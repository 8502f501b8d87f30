//! HTTP: pages, API, metrics. Reads the store, changes it only by a person with the token.

mod access;
mod api;
pub mod app;
pub mod calendar;
pub mod export;
mod health;
mod metrics;
pub mod probe;
mod stream;

#[cfg(test)]
mod machines_tests;
#[cfg(test)]
mod workbench;

/// STUB, replaced when the pages are merged: what the machine-facing half reads of the settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// So many placements have a series on `/metrics`.
    pub max_series: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_series: 20_000 }
    }
}
