//! Everything that changes the world and looks back: for now, what tells people.
//!
//! Providers stand in explicit lists (`notifiers::NOTIFIERS`): a new one is one file and one line. It
//! never imports `discover`, `store` or `engine`; the binary plugs it in.

pub mod deployers;
pub mod http;
pub mod notifiers;
pub mod pulse;
pub mod request;
pub mod roots;
pub mod secret;
pub mod settings;
pub mod text;
