//! The bare pages: acknowledging by a link, signing in, problems. They ask nothing of the store that can fail, so
//! that an error can always be shown.

use askama::Template;
use notafter_core::UnixTime;

use super::{Link, Row, Stamp};
use crate::problem::Problem;
use crate::words;

#[derive(Clone, Debug, Default)]
pub(crate) struct Bare {
    pub(crate) title: String,
    pub(crate) assets: String,
    pub(crate) version: String,
    pub(crate) as_of: Stamp,
}

/// GET shows, POST `action` acts; the secret is in the path, and there is nothing else to forge.
#[derive(Clone, Debug, Template)]
#[template(path = "acknowledge.html")]
pub(crate) struct AcknowledgeView {
    pub(crate) bare: Bare,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) more: String,
    pub(crate) can_act: bool,
    pub(crate) action: String,
    pub(crate) meaning: String,
    pub(crate) command: String,
}

/// GET shows a button (mail scanners follow links), POST exchanges the link for a cookie.
#[derive(Clone, Debug, Template)]
#[template(path = "signin.html")]
pub(crate) struct SigninView {
    pub(crate) bare: Bare,
    pub(crate) headline: String,
    pub(crate) subline: String,
    pub(crate) can_act: bool,
    pub(crate) action: String,
    pub(crate) command: String,
}

/// A problem document (RFC 9457) as a page.
#[derive(Clone, Debug, Template)]
#[template(path = "problem.html")]
pub(crate) struct ProblemView {
    pub(crate) bare: Bare,
    pub(crate) status: String,
    pub(crate) headline: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
    pub(crate) instance: String,
    pub(crate) links: Vec<Link>,
}

/// What all of them have.
pub(crate) fn bare(title: &str, assets: String, version: &str, now: UnixTime) -> Bare {
    Bare { title: title.to_owned(), assets, version: version.to_owned(), as_of: Stamp::moment(now) }
}

/// A problem as a page. When even that cannot be rendered, its bare words.
pub(crate) fn problem(problem: &Problem, bare: Bare) -> String {
    let view = ProblemView {
        bare,
        status: problem.status.as_u16().to_string(),
        headline: words::clean(&problem.title),
        detail: words::clean(&problem.detail),
        hint: words::clean(&problem.hint),
        instance: String::new(),
        links: vec![
            Link::to("Today", "/"),
            Link::to("Inventory", "/inventory"),
            Link::to("Status", "/status"),
        ],
    };
    view.render()
        .unwrap_or_else(|_| "<!doctype html><title>Problem</title><p>Something went wrong.".to_owned())
}
