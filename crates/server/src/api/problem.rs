//! What went wrong with a request, as RFC 9457 has it: `application/problem+json`.
//!
//! The only shape in which the machine-facing half of the server says no. `detail` is for a person and
//! names no path and no statement of ours; what a program goes by are `type` and `status`.

use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use notafter_core::query::QueryError;
use notafter_engine::hands::Refused;
use notafter_store::{StoreError, Trouble};

use crate::saved;

/// A request that was not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last part of `type`: `urn:notafter:problem:not-found`.
    kind: &'static str,
    detail: String,
    hint: Option<String>,
    retry_after: Option<u32>,
    allow: Option<String>,
}

/// Every kind there is, with its title: the closed list that the reference page is made from.
const KINDS: &[(&str, &str)] = &[
    ("bad-request", "The request cannot be understood"),
    ("bad-query", "The query cannot be understood"),
    ("bad-cursor", "There is no such place to go on from"),
    ("not-signed-in", "A token is needed"),
    ("forbidden", "This is not allowed"),
    ("misdirected", "This server does not go by that name"),
    ("not-found", "There is no such thing"),
    ("ambiguous", "More than one begins so"),
    ("method-not-allowed", "This cannot be done here"),
    ("conflict", "This cannot be done now"),
    ("too-large", "The body is too large"),
    ("not-json", "The body is not JSON"),
    ("busy", "Too much is going on"),
    ("memory", "The memory does not work"),
    ("not-ready", "The server is not ready"),
    ("unwell", "The server is not well"),
    ("not-available", "This server cannot do that"),
    ("internal", "Something went wrong in the server"),
];

/// The title of a kind.
pub(crate) fn title_of(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, title)| title)
}

/// The kind of a problem of which only the status is known: the gate's, the pages'.
pub(crate) fn kind_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "not-signed-in",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "not-json",
        StatusCode::MISDIRECTED_REQUEST => "misdirected",
        StatusCode::TOO_MANY_REQUESTS => "busy",
        StatusCode::NOT_IMPLEMENTED => "not-available",
        StatusCode::SERVICE_UNAVAILABLE => "not-ready",
        StatusCode::INSUFFICIENT_STORAGE => "memory",
        status if status.is_server_error() => "internal",
        _ => "bad-request",
    }
}

impl From<saved::Refused> for Problem {
    fn from(refused: saved::Refused) -> Self {
        let (said, hint) = refused.words();
        let problem = match refused {
            saved::Refused::Store(error) => return error.into(),
            saved::Refused::Query(error) => return error.into(),
            saved::Refused::Unknown(_) => Self::not_found(said),
            saved::Refused::Empty => Self::bad_request(said),
            _ => Self::conflict(said),
        };
        if hint.is_empty() { problem } else { problem.hint(hint) }
    }
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), hint: None, retry_after: None, allow: None }
    }

    /// Says what to do instead.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says after how many seconds it may work.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// 400: a parameter or the body is not what the document says.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 404: the cursor is none of ours.
    pub(crate) fn bad_cursor() -> Self {
        Self::new(StatusCode::NOT_FOUND, "bad-cursor", "`after` is no cursor of this list")
            .hint("begin without `after`, and go on with the `next` of each answer")
    }

    /// 401.
    pub(crate) fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not-signed-in", "this changes something, so it needs the token")
            .hint("send `Authorization: Bearer TOKEN`; the token lies in the data folder")
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 409: a prefix that fits more than one.
    pub(crate) fn ambiguous(prefix: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "ambiguous", format!("more than one id begins with {prefix}"))
            .hint("write more of it")
    }

    /// 405, with what can be done.
    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let detail = format!("this takes {allow}");
        Self {
            allow: Some(allow.to_owned()),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
        }
    }

    /// 409.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 413.
    pub(crate) fn too_large(most: usize) -> Self {
        let detail = format!("the body may have {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// 415.
    pub(crate) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "the body must be JSON")
            .hint("send `Content-Type: application/json`")
    }

    /// 429.
    pub(crate) fn busy(detail: impl Into<String>, seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).retry_after(seconds)
    }

    /// 503: not yet, or not any more.
    pub(crate) fn not_ready(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail).retry_after(5)
    }

    /// 503: the engine or the memory is in trouble.
    pub(crate) fn unwell(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unwell", detail)
    }

    /// 501.
    pub(crate) fn not_available(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not-available", detail)
    }

    /// 500: a task of ours fell over.
    pub(crate) fn internal() -> Self {
        let detail = "the answer could not be made; nothing more is known here";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The status, for those who decide by it.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The document.
    pub(crate) fn document(&self) -> serde_json::Value {
        let mut out = serde_json::json!({
            "type": format!("urn:notafter:problem:{}", self.kind),
            "title": title_of(self.kind),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let (Some(hint), Some(object)) = (&self.hint, out.as_object_mut()) {
            object.insert("hint".to_owned(), hint.as_str().into());
        }
        out
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.document().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow.and_then(|a| HeaderValue::from_str(&a).ok()) {
            headers.insert(ALLOW, allow);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"notafter\"");
            headers.insert(axum::http::header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let later =
            matches!(error.trouble, Trouble::Busy | Trouble::Full | Trouble::ReadOnly | Trouble::Unreachable);
        // What came back from the database may quote a path or a statement: it stays inside.
        let (status, detail) = match error.trouble {
            Trouble::Busy => (503, "another process holds the memory"),
            Trouble::Full => (503, "the disk is full"),
            Trouble::ReadOnly => (503, "the memory cannot be written"),
            Trouble::Unreachable => (503, "the database server does not answer"),
            Trouble::Corrupt => (500, "the memory is damaged"),
            Trouble::Newer => (500, "the memory was written by a newer version"),
            Trouble::Other => (500, "the memory gave an error"),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut out = Self::new(status, "memory", detail);
        out.hint = error.hint;
        if later { out.retry_after(5) } else { out }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-query", error.message).hint(error.hint)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(_) => Self::not_found(refused.to_string()),
            Refused::Resolved(_) | Refused::Not(_) => Self::conflict(refused.to_string()),
            Refused::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_error(trouble: Trouble) -> Problem {
        StoreError { trouble, context: "select secret from /srv/x".into(), hint: None }.into()
    }

    #[test]
    fn a_problem_is_a_whole_document() {
        for problem in [
            Problem::bad_request("x"),
            Problem::bad_cursor(),
            Problem::not_signed_in(),
            Problem::forbidden("x"),
            Problem::not_found("x"),
            Problem::ambiguous("ab"),
            Problem::method_not_allowed("GET"),
            Problem::conflict("x"),
            Problem::too_large(9),
            Problem::not_json(),
            Problem::busy("x", 3),
            Problem::not_ready("x"),
            Problem::unwell("x"),
            Problem::not_available("x"),
            Problem::internal(),
            store_error(Trouble::Busy),
            notafter_core::query::Query::parse("expire<3").unwrap_err().into(),
        ] {
            let document = problem.document();
            assert_eq!(document["status"], problem.status().as_u16());
            assert!(document["type"].as_str().unwrap().starts_with("urn:notafter:problem:"));
            assert!(!document["title"].as_str().unwrap().is_empty(), "{document}");
            let response = problem.into_response();
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        }
        assert_eq!(Problem::busy("x", 3).into_response().headers()[RETRY_AFTER], "3");
        assert_eq!(Problem::method_not_allowed("GET, HEAD").into_response().headers()[ALLOW], "GET, HEAD");
    }

    #[test]
    fn the_memorys_own_words_stay_inside() {
        for trouble in [Trouble::Busy, Trouble::Corrupt, Trouble::Other] {
            assert!(!store_error(trouble).document().to_string().contains("secret"));
        }
        assert_eq!(store_error(Trouble::Full).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(store_error(Trouble::Other).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
