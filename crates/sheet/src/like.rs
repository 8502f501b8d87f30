//! The same layout back.
