//! Everything that changes the world and looks back: what tells people, hands out certificates, proves control of names.
//!
//! Providers stand in explicit lists (`notifiers::NOTIFIERS`, `issuers::ISSUERS`, `solvers::SOLVERS`): a new one is one file and one line. It
//! never imports `discover`, `store` or `engine`; the binary plugs it in.

mod child;
pub mod deployers;
pub mod http;
pub mod issuers;
pub mod notifiers;
pub mod privsep;
pub mod pulse;
pub mod request;
pub mod roots;
pub mod secret;
pub mod settings;
pub mod solvers;
#[cfg(test)]
mod testing;
pub mod text;
