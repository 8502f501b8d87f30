//! What went wrong with a request: a problem document (RFC 9457) for programs, a page for people.
//!
//! The text says what happened, what it means and what to do. It never holds what only an operator may know
//! (paths on the disk, the database's address): those go to the log with the same reference.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use notafter_engine::hands::Refused;
use notafter_store::{StoreError, Trouble};

use crate::api::problem::{kind_of, title_of};
use crate::saved;

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// What happened, in one sentence.
    pub(crate) title: String,
    /// What it means.
    pub(crate) detail: String,
    /// What to do; "" is nothing.
    pub(crate) hint: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self { status, title: title.to_owned(), detail: detail.into(), hint: String::new() }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// There is no such page or thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here.", detail)
    }

    /// What was sent cannot be understood.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That cannot be done as it was asked.", detail)
    }

    /// What a bare status means, when some layer below gave nothing else.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("No page has this address."),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(status, "That cannot be done here.", "This address does not take this method.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "That was too much.", "A request may have 64 kB.")
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "That took too long.",
                    "The answer was not ready in time, and the work was stopped.",
                )
                .hint("try again; if it stays so, notafter doctor says why")
            }
            status if status.is_server_error() => Self::new(
                status,
                "Something went wrong here.",
                "The fault is the server's, not that of the request. Nothing was changed.",
            ),
            _ => Self::new(status, "That cannot be done as it was asked.", ""),
        }
    }

    /// The answer: JSON or what `page` makes of it.
    pub(crate) fn answer(&self, headers: &HeaderMap, page: impl FnOnce(&Self) -> String) -> Response<Body> {
        let (kind, body) = if wants_page(headers) {
            ("text/html; charset=utf-8", page(self))
        } else {
            ("application/problem+json", self.json())
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"notafter\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }

    /// As the API says it: of one type by one title, whoever of us says no.
    fn json(&self) -> String {
        let kind = kind_of(self.status);
        let mut document = serde_json::json!({
            "type": format!("urn:notafter:problem:{kind}"),
            "status": self.status.as_u16(),
            "title": title_of(kind),
            "detail": format!("{} {}", self.title, self.detail).trim_end(),
        });
        if !self.hint.is_empty() {
            document["hint"] = self.hint.as_str().into();
        }
        document.to_string()
    }
}

/// Does the client read pages? A browser says `text/html`; what accepts anything is taken for a program.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let mut accepts = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok());
    accepts.any(|v| v.contains("text/html"))
}

impl From<saved::Refused> for Problem {
    fn from(refused: saved::Refused) -> Self {
        let (said, hint) = refused.words();
        match refused {
            saved::Refused::Store(error) => error.into(),
            saved::Refused::Query(error) => Self::bad(notafter_pki::name::printable(&error.message))
                .hint(notafter_pki::name::printable(&error.hint)),
            saved::Refused::Unknown(_) => Self::not_found(said).hint(hint),
            saved::Refused::Empty => Self::bad(said),
            _ => Self::new(StatusCode::CONFLICT, "That cannot be done now.", said).hint(hint),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let (status, title) = match error.trouble {
            Trouble::Busy => (unavailable, "The inventory is busy just now."),
            Trouble::Full => (StatusCode::INSUFFICIENT_STORAGE, "The disk is full: nothing can be kept."),
            Trouble::ReadOnly => (unavailable, "The inventory cannot be written."),
            Trouble::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "The inventory is damaged."),
            Trouble::Newer => (StatusCode::INTERNAL_SERVER_ERROR, "The inventory is of a newer version."),
            Trouble::Unreachable => (unavailable, "The database server does not answer."),
            Trouble::Other => (unavailable, "The inventory cannot be read just now."),
        };
        let hint = match error.trouble {
            Trouble::Corrupt => "stop it, and restore a backup: notafter restore FILE",
            Trouble::Busy | Trouble::Unreachable => "try again; notafter doctor says what is wrong",
            _ => "notafter doctor says what is wrong",
        };
        Self::new(status, title, "Nothing was changed by this request.").hint(hint)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let said = notafter_pki::name::printable(&refused.to_string());
        match refused {
            Refused::Unknown(_) => Self::not_found(said),
            Refused::Resolved(_) => Self::new(StatusCode::CONFLICT, "It is over already.", said),
            Refused::Not(_) => Self::new(StatusCode::CONFLICT, "That cannot be given.", said),
            Refused::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_json_and_people_a_page() {
        let problem = Problem::not_found("No asset is called \"x\".").hint("search");
        let page = |_: &Problem| "page".to_owned();
        let mut headers = HeaderMap::new();
        for (accept, kind) in [
            ("text/html,application/xhtml+xml", "text/html; charset=utf-8"),
            ("application/json", "application/problem+json"),
            ("*/*", "application/problem+json"),
        ] {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            let answer = problem.answer(&headers, page);
            assert_eq!(answer.headers()[header::CONTENT_TYPE], kind, "{accept}");
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        }
        let json: serde_json::Value = serde_json::from_str(&problem.json()).unwrap();
        assert_eq!((json["status"].as_u64(), json["hint"].as_str()), (Some(404), Some("search")));
        assert_eq!(json["type"], "urn:notafter:problem:not-found", "of one form with the API's");
        assert_eq!(json["detail"], "There is nothing here. No asset is called \"x\".");
        let gate = Problem::of_status(StatusCode::MISDIRECTED_REQUEST).json();
        assert!(gate.contains("urn:notafter:problem:misdirected"), "{gate}");
    }

    #[test]
    fn a_fault_of_the_store_does_not_tell_strangers_where_it_lies() {
        let error = StoreError {
            trouble: Trouble::Other,
            context: "opening /srv/secret/notafter.db".into(),
            hint: None,
        };
        assert!(!Problem::from(error).json().contains("/srv"));
    }
}
