//! HTTP: pages, API, metrics. Reads the store, changes it only for a person with the token.
//!
//! Read `app` first (what is answered where), then `access` (who may ask). Pages are made in two steps, `pages`
//! gathers through `views`, askama renders; machines get the same from `api`, `metrics`, `probe` and `export`. It
//! looks at nothing in the world and decides nothing about certificates: it shows what `engine` has found and
//! `store` keeps.

mod access;
mod api;
pub mod app;
mod assets;
pub mod calendar;
pub mod challenge;
pub mod documents;
pub mod export;
mod foreseen;
mod health;
mod metrics;
mod pages;
mod parts;
pub mod probe;
mod problem;
mod replies;
pub mod saved;
mod session;
pub mod status_export;
mod stream;
mod views;
mod words;

#[cfg(test)]
mod machines_tests;
#[cfg(test)]
mod replies_tests;
#[cfg(test)]
mod workbench;

pub use app::{App, Settings, app, serve};
pub use session::Access;
pub use status_export::status_export;
