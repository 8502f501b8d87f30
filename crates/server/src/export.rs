//! The inventory as a file: CSV, XLSX, JSON, NDJSON, iCalendar. For the server and for `notafter export`.
//!
//! Rows come out of the store in pages of the list and go straight into the writer: nothing is collected,
//! whatever the size. Names in certificates are written by strangers: a cell that a spreadsheet would take
//! for a formula is disarmed in CSV (`export/csv.rs`), written as text in XLSX, escaped everywhere else.

mod csv;
mod ical;
mod json;
mod xlsx;

use std::io::{self, Write};
use std::sync::Arc;

use axum::Router;
use axum::extract::State as With;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use axum::routing::get;
use notafter_core::UnixTime;
use notafter_core::query::Query;
use notafter_store::queries::Sort;
use notafter_store::rows::AssetRow;
use notafter_store::{Store, StoreError};

use crate::api::args::pairs;
use crate::api::documents::AuditItem;
use crate::api::problem::Problem;
use crate::app::State;
use crate::stream::{self, Purpose, Stopped};

/// So many rows are read at a time.
const PAGE: usize = 500;

/// The kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a guard against formulas.
    Csv,
    /// A spreadsheet with real dates.
    Xlsx,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    /// A calendar with an event at each end.
    Calendar,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Csv, Self::Xlsx, Self::Json, Self::Ndjson, Self::Calendar];

    /// How a file of this kind ends, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Calendar => "ics",
        }
    }

    /// The kind that a name or an ending says.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.extension() == text)
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Calendar => "text/calendar; charset=utf-8",
        }
    }
}

/// Why an export ended before its end.
#[derive(Debug)]
pub enum ExportError {
    /// The memory failed.
    Store(StoreError),
    /// What was written to failed, or nobody reads it any more.
    Io(io::Error),
    /// The spreadsheet could not be made.
    Sheet(String),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for ExportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Sheet(error) => write!(f, "the spreadsheet could not be made: {error}"),
        }
    }
}

impl std::error::Error for ExportError {}

impl From<ExportError> for Stopped {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Io(_) => Self::Gone,
            ExportError::Sheet(_) => Problem::internal().into(),
        }
    }
}

/// Writes everything that a query finds, what ends first first. Returns how many rows.
///
/// # Errors
/// The memory's, the writer's.
pub fn write(
    store: &Store,
    query: &Query,
    format: Format,
    now: UnixTime,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    match format {
        Format::Csv => csv::write(&mut Rows { store, query, now }, out),
        Format::Xlsx => xlsx::write(&mut Rows { store, query, now }, out),
        Format::Json => json::write(&mut Rows { store, query, now }, json::Frame::Array, out),
        Format::Ndjson => json::write(&mut Rows { store, query, now }, json::Frame::Lines, out),
        Format::Calendar => ical::write(&mut Rows { store, query, now }, "Notafter", out),
    }
}

/// A calendar of everything that a query finds, under a name of its own. Returns how many events.
///
/// # Errors
/// The memory's, the writer's.
pub fn write_calendar(
    store: &Store,
    query: &Query,
    name: &str,
    now: UnixTime,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    ical::write(&mut Rows { store, query, now }, name, out)
}

/// The audit trail with all its proofs, a line of JSON each, the newest first, in the words of the API: whoever has it can
/// follow the chain of hashes. Returns how many lines.
///
/// # Errors
/// The memory's, the writer's.
pub fn trail(store: &Store, out: &mut dyn Write) -> Result<u64, ExportError> {
    let (mut count, mut before) = (0, None);
    loop {
        let page = store.audit_chain(None, before, PAGE)?;
        let Some((oldest, ..)) = page.last() else { return Ok(count) };
        before = Some(*oldest);
        for line in page {
            let line = serde_json::to_string(&AuditItem::of(line)).map_err(std::io::Error::from)?;
            writeln!(out, "{line}")?;
            count += 1;
        }
    }
}

/// What gives rows: the store, or a test's list.
trait Source {
    /// The instant at which it is asked.
    fn now(&self) -> UnixTime;
    /// Hands over every row, until one is refused.
    fn each(&mut self, take: &mut dyn FnMut(&AssetRow) -> Result<(), ExportError>)
    -> Result<(), ExportError>;
}

struct Rows<'s> {
    store: &'s Store,
    query: &'s Query,
    now: UnixTime,
}

impl Source for Rows<'_> {
    fn now(&self) -> UnixTime {
        self.now
    }

    fn each(
        &mut self,
        take: &mut dyn FnMut(&AssetRow) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.assets(self.query, Sort::Ends, after.as_deref(), PAGE, self.now)?;
            page.rows.iter().try_for_each(&mut *take)?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// A row as people read it.
struct Cells {
    name: String,
    owner: String,
    ends: Option<UnixTime>,
    days_left: Option<i64>,
    issuer: String,
    kind: &'static str,
    places: u64,
    place: String,
    key: String,
    severity: &'static str,
    findings: u64,
    first_seen: UnixTime,
    id: String,
}

/// The heads of the columns, in the order of [`Cells`].
const COLUMNS: [&str; 13] = [
    "name",
    "owner",
    "ends",
    "days left",
    "issuer",
    "kind",
    "places",
    "one place",
    "key",
    "severity",
    "findings",
    "first seen",
    "id",
];

impl Cells {
    fn of(row: &AssetRow, now: UnixTime) -> Self {
        Self {
            name: row.title.clone(),
            owner: row.owner.clone().unwrap_or_default(),
            ends: row.not_after,
            // Whole days, rounded towards less, as tables have them.
            days_left: row.not_after.map(|end| end.0.saturating_sub(now.0).div_euclid(86_400)),
            issuer: row.issuer.clone(),
            kind: row.kind.as_str(),
            places: row.places,
            place: row.place.as_ref().map(ToString::to_string).unwrap_or_default(),
            key: row.key.clone(),
            severity: row.severity.map_or("", |s| s.as_str()),
            findings: row.findings,
            first_seen: row.first_seen,
            id: row.id.to_string(),
        }
    }
}

/// The routes: one a kind of file.
pub(crate) fn routes() -> Router<State> {
    let mut router = Router::new();
    for format in Format::ALL {
        let serve = move |with: With<State>, uri: Uri| export(with, uri, format);
        router = router.route(&format!("/export.{}", format.extension()), get(serve));
    }
    router
}

async fn export(With(app): With<State>, uri: Uri, format: Format) -> Result<Response, Problem> {
    let mut query = Query::default();
    for (name, value) in pairs(uri.query().unwrap_or(""))? {
        match name.as_str() {
            "q" => query = Query::parse(&value)?,
            _ => return Err(Problem::bad_request("an export takes `q` and nothing else")),
        }
    }
    let (store, now) = (Arc::clone(&app.handle.store), app.handle.clock.now());
    let query = crate::api::with_store(&app, move |store, _| crate::api::lists::known(store, query)).await?;
    let body =
        stream::body(Purpose::Export, move |out| Ok(write(&store, &query, format, now, out).map(drop)?))
            .await?;
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let date: String = now.to_string().chars().take(10).collect();
    let file = format!("attachment; filename=\"notafter-{date}.{}\"", format.extension());
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    Ok(response)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use notafter_core::Fingerprint;
    use notafter_core::finding::Severity;
    use notafter_core::inventory::AssetKind;
    use notafter_core::location::Location;

    /// A list in memory.
    pub(crate) struct Fixed(pub(crate) Vec<AssetRow>, pub(crate) UnixTime);

    impl Source for Fixed {
        fn now(&self) -> UnixTime {
            self.1
        }

        fn each(
            &mut self,
            take: &mut dyn FnMut(&AssetRow) -> Result<(), ExportError>,
        ) -> Result<(), ExportError> {
            self.0.iter().try_for_each(take)
        }
    }

    /// A row with this name.
    pub(crate) fn row(title: &str, not_after: Option<i64>) -> AssetRow {
        AssetRow {
            id: Fingerprint::of(title.as_bytes()),
            kind: AssetKind::Certificate,
            title: title.to_owned(),
            issuer_name: "R11, Let's Encrypt".to_owned(),
            issuer: "CN=R11,O=Let's Encrypt".to_owned(),
            not_before: Some(UnixTime(0)),
            not_after: not_after.map(UnixTime),
            is_ca: false,
            self_signed: false,
            key: "ECDSA P-256".to_owned(),
            owner: None,
            places: 2,
            served: 1,
            unseen: 0,
            place: Location::parse("tls://10.0.0.5:443?sni=a.test"),
            severity: Some(Severity::Warning),
            findings: 1,
            superseded: false,
            first_seen: UnixTime(86_400),
            cursor: String::new(),
        }
    }

    #[test]
    fn formats_by_their_endings() {
        for format in Format::ALL {
            assert_eq!(Format::of(format.extension()), Some(format));
        }
        assert_eq!(Format::of("exe"), None);
    }
}
