//! HTTP: pages, API, metrics. Reads the store, changes it only for a person with the token.
//!
//! Read `app` first (what is answered where), then `access` (who may ask). Pages are made in two steps, `pages`
//! gathers through `views`, askama renders. It looks at nothing in the world and decides nothing about
//! certificates: it shows what `engine` has found and `store` keeps.

mod access;
pub mod app;
mod assets;
mod health;
mod pages;
mod problem;
pub mod session;
pub mod status_export;
mod views;
mod words;

pub use app::{App, Settings, app, serve};
pub use session::Access;
pub use status_export::status_export;
