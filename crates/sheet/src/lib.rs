//! The spreadsheet: what people kept before, read and held against what was really found.
//!
//! `table` opens CSV and XLSX, `columns` guesses what each column means, `dates` reads any way of writing a day,
//! `entries` makes one entry of each row, `compare` holds them against the inventory. `reading` goes through
//! all of it for a file; `like` brings a sheet up to date, `write` writes it as it was.
//! Bytes and plain values in, plain values out: no file is opened here, nothing is printed, no clock is read, and the
//! memory is not known.

mod archive;
pub mod columns;
pub mod compare;
pub mod dates;
mod delimited;
pub mod entries;
pub mod like;
pub mod reading;
pub mod table;
mod words;
pub mod write;
mod xlsx;

/// Why a sheet was not taken: what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// A sentence, with the line where there is one.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Wrong {}

/// Text of a stranger that is safe to print in one line.
pub(crate) fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("`{}{more}`", notafter_pki::name::printable(&short))
}
