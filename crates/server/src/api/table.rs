//! Every operation of the API with its parameters: one table that requests are checked against and the
//! OpenAPI document is made from, so that neither can say what the other does not.
//!
//! Adding an operation: a line here, a handler and its route in `api.rs`, a schema in `schemas.rs`, and
//! `NOTAFTER_UPDATE=1 cargo test -p notafter-server openapi` for the file that is checked in.

use notafter_core::finding::Kind;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the path.
    Path,
    /// Behind the question mark.
    Query,
}

/// What a parameter can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Text without control characters, of at most so many; `format` names what it is in our words.
    Text {
        /// At least so many characters.
        least: usize,
        /// At most so many.
        most: usize,
        /// `notafter-query`, ...: what a generic reader may ignore.
        format: Option<&'static str>,
    },
    /// A certificate's identity or how it begins.
    AssetPrefix,
    /// A whole identity.
    AssetId,
    /// A finding's id: 16 hex digits.
    FindingId,
    /// An alert (`a17`, `17`), or one of its findings.
    AlertId,
    /// A row number.
    Row,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Kinds of finding, joined by commas.
    Kinds,
    /// A whole number within bounds.
    Number {
        /// At least.
        least: i64,
        /// At most.
        most: i64,
    },
    /// RFC 3339, or a date, which stands for its first instant.
    Time,
}

/// The pattern of text without control characters (ECMA 262).
pub(crate) const PLAIN: &str = "^[^\\u0000-\\u001F\\u007F]*$";

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// What stands when it is not given, as it would be written.
    pub(crate) usual: Option<&'static str>,
    pub(crate) doc: &'static str,
}

/// An operation.
#[derive(Debug)]
pub(crate) struct Operation {
    /// `get` or `post`.
    pub(crate) method: &'static str,
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) params: &'static [Param],
    /// The schema of the body, if it takes one.
    pub(crate) body: Option<&'static str>,
    /// The status of the good answer.
    pub(crate) status: u16,
    /// The schema of the good answer, or of the items of a list.
    pub(crate) answer: Answer,
    /// Other answers besides 400, 401, 405, 500 and 503.
    pub(crate) also: &'static [u16],
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// One of these.
    One(&'static str),
    /// `{"items": [...], "next": ...}` of these.
    List(&'static str),
}

const fn query(name: &'static str, shape: Shape, doc: &'static str) -> Param {
    Param { name, place: Place::Query, shape, required: false, usual: None, doc }
}

const fn in_path(name: &'static str, shape: Shape, doc: &'static str) -> Param {
    Param { name, place: Place::Path, shape, required: true, usual: None, doc }
}

const LIMIT: Param = Param {
    usual: Some("100"),
    ..query("limit", Shape::Number { least: 1, most: 1000 }, "So many at most.")
};

const CURSOR: Param = query(
    "after",
    Shape::Text { least: 1, most: 500, format: Some("notafter-cursor") },
    "Where to go on: the `next` of the answer before.",
);

const ROW_CURSOR: Param = query("after", Shape::Row, "Where to go on: the `next` of the answer before.");

const Q: Param = query(
    "q",
    Shape::Text { least: 0, most: 2000, format: Some("notafter-query") },
    "The search language of the inventory: `expires<30d owner:none`. Empty: everything in use.",
);

const ALERT: Param = in_path("id", Shape::AlertId, "The alert (`a17`), or one of its findings.");

/// Every operation.
pub(crate) static OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/assets",
        id: "listAssets",
        doc: "Assets that a query finds",
        params: &[
            Q,
            Param {
                usual: Some("ends"),
                ..query("sort", Shape::Word(&["ends", "newest", "title"]), "In which order.")
            },
            CURSOR,
            LIMIT,
        ],
        body: None,
        status: 200,
        answer: Answer::List("Asset"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/assets/{id}",
        id: "getAsset",
        doc: "One asset, whole: its places, its line, its findings",
        params: &[in_path("id", Shape::AssetPrefix, "The SHA-256, or how it begins if only one does.")],
        body: None,
        status: 200,
        answer: Answer::One("AssetWhole"),
        also: &[404, 409],
    },
    Operation {
        method: "get",
        path: "/places",
        id: "getPlace",
        doc: "One place, whole: what is there and what was",
        params: &[Param {
            required: true,
            ..query(
                "at",
                Shape::Text { least: 1, most: 4000, format: Some("notafter-location") },
                "The location: `tls://10.0.0.5:443?sni=api.example.com`.",
            )
        }],
        body: None,
        status: 200,
        answer: Answer::One("Place"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/findings",
        id: "listFindings",
        doc: "Findings, worst and most urgent first",
        params: &[
            query("kind", Shape::Kinds, "Only these kinds, joined by commas."),
            query("severity", Shape::Word(&["critical", "warning", "info"]), "At least so bad."),
            query(
                "owner",
                Shape::Text { least: 1, most: 200, format: None },
                "Only of this owner; `none`: of nobody.",
            ),
            query("asset", Shape::AssetId, "Only about this asset."),
            query("location", Shape::Text { least: 1, most: 4000, format: None }, "Only at this place."),
            query("since", Shape::Time, "Only those that opened since."),
            Param {
                usual: Some("open"),
                ..query("state", Shape::Word(&["open", "resolved"]), "Open or resolved ones.")
            },
            query("after", Shape::FindingId, "Where to go on: the `next` of the answer before."),
            LIMIT,
        ],
        body: None,
        status: 200,
        answer: Answer::List("Finding"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/findings/{id}",
        id: "getFinding",
        doc: "One finding, open or resolved",
        params: &[in_path("id", Shape::FindingId, "Its id.")],
        body: None,
        status: 200,
        answer: Answer::One("Finding"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/alerts",
        id: "listAlerts",
        doc: "Alerts, newest change first",
        params: &[
            query(
                "state",
                Shape::Word(&["open", "acknowledged", "snoozed", "resolved"]),
                "Only in this state.",
            ),
            ROW_CURSOR,
            LIMIT,
        ],
        body: None,
        status: 200,
        answer: Answer::List("Alert"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/alerts/{id}",
        id: "getAlert",
        doc: "One alert with its findings and deliveries",
        params: &[ALERT],
        body: None,
        status: 200,
        answer: Answer::One("AlertWhole"),
        also: &[404],
    },
    Operation {
        method: "post",
        path: "/alerts/{id}/acknowledge",
        id: "acknowledgeAlert",
        doc: "Says: I have it. Holds until the next step, or as long as asked, and never past the deadline",
        params: &[ALERT],
        body: Some("Acknowledge"),
        status: 200,
        answer: Answer::One("Alert"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "post",
        path: "/alerts/{id}/snooze",
        id: "snoozeAlert",
        doc: "Says: be quiet until then. Never past the deadline",
        params: &[ALERT],
        body: Some("Snooze"),
        status: 200,
        answer: Answer::One("Alert"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "post",
        path: "/alerts/test",
        id: "testAlert",
        doc: "Sends a message by the channels that an item's owner would be told by",
        params: &[],
        body: Some("Test"),
        status: 202,
        answer: Answer::One("Tested"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "get",
        path: "/sources",
        id: "listSources",
        doc: "Sources: when they last succeeded and what they see",
        params: &[],
        body: None,
        status: 200,
        answer: Answer::List("Source"),
        also: &[],
    },
    Operation {
        method: "post",
        path: "/sources/{name}/scan",
        id: "scanSource",
        doc: "Runs a source now, out of turn",
        params: &[in_path("name", Shape::Text { least: 1, most: 200, format: None }, "Its name.")],
        body: None,
        status: 202,
        answer: Answer::One("Started"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/blind-spots",
        id: "listBlindSpots",
        doc: "Places that cannot be seen, and why",
        params: &[
            query("source", Shape::Text { least: 1, most: 200, format: None }, "Only of this source."),
            CURSOR,
            LIMIT,
        ],
        body: None,
        status: 200,
        answer: Answer::List("BlindSpot"),
        also: &[404],
    },
    Operation {
        method: "get",
        path: "/renewals",
        id: "listRenewals",
        doc: "The newest renewal of every certificate that is kept alive here: what it waits for, where it was seen in use",
        params: &[query(
            "name",
            Shape::Text { least: 1, most: 200, format: None },
            "Only of the certificate that the configuration calls so.",
        )],
        body: None,
        status: 200,
        answer: Answer::List("Renewal"),
        also: &[],
    },
    Operation {
        method: "post",
        path: "/renewals/{name}/reply",
        id: "replyToRenewal",
        doc: "Brings what a CA without an API sent for the request that waits: PEM, base64 of DER or PKCS#7, a whole mail. \
              It is known by its key and reviewed; the renewal goes on with it",
        params: &[in_path(
            "name",
            Shape::Text { least: 1, most: 200, format: None },
            "What the configuration calls the certificate.",
        )],
        body: Some("Reply"),
        status: 200,
        answer: Answer::One("Replied"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "get",
        path: "/services",
        id: "listServices",
        doc: "The services of the status page, from observation",
        params: &[],
        body: None,
        status: 200,
        answer: Answer::List("Service"),
        also: &[],
    },
    Operation {
        method: "get",
        path: "/forecast",
        id: "getForecast",
        doc: "What lapses, breaks and renews until a date, who would be told, and what a lifetime would mean in renewals a week",
        params: &[
            query(
                "days",
                Shape::Number { least: 1, most: 3650 },
                "So many days ahead; 90 if nothing is said.",
            ),
            query("until", Shape::Time, "Until then, ten years at most; instead of `days`."),
            query(
                "lifetime",
                Shape::Number { least: 1, most: 3650 },
                "Count the renewals that this lifetime in days would mean.",
            ),
        ],
        body: None,
        status: 200,
        answer: Answer::One("Forecast"),
        also: &[409],
    },
    Operation {
        method: "get",
        path: "/totals",
        id: "getTotals",
        doc: "Counts over everything",
        params: &[],
        body: None,
        status: 200,
        answer: Answer::One("Totals"),
        also: &[],
    },
    Operation {
        method: "get",
        path: "/audit",
        id: "listAudit",
        doc: "Who did what, newest first",
        params: &[
            query(
                "subject",
                Shape::Text { least: 1, most: 4000, format: None },
                "Only about this: an alert (`a17`), an asset, a place.",
            ),
            ROW_CURSOR,
            LIMIT,
        ],
        body: None,
        status: 200,
        answer: Answer::List("AuditLine"),
        also: &[],
    },
    Operation {
        method: "get",
        path: "/outgoing",
        id: "listOutgoing",
        doc: "Deliveries of messages, newest first",
        params: &[query("alert", Shape::AlertId, "Only about this alert."), LIMIT],
        body: None,
        status: 200,
        answer: Answer::List("Delivery"),
        also: &[404],
    },
    Operation {
        method: "post",
        path: "/retire",
        id: "retirePlace",
        doc: "Says that a place is gone for good. A new sighting revives it",
        params: &[],
        body: Some("Retire"),
        status: 200,
        answer: Answer::One("Retired"),
        also: &[404, 413, 415],
    },
    Operation {
        method: "post",
        path: "/own",
        id: "ownAssets",
        doc: "Gives everything that a query finds to an owner, with all that follows in the same lines",
        params: &[],
        body: Some("Own"),
        status: 200,
        answer: Answer::One("Owned"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "post",
        path: "/views/save",
        id: "saveView",
        doc: "Keeps a question under a name; the one of the same name gives way",
        params: &[],
        body: Some("View"),
        status: 200,
        answer: Answer::One("View"),
        also: &[409, 413, 415],
    },
    Operation {
        method: "get",
        path: "/views",
        id: "listViews",
        doc: "Questions to the inventory that were kept under a name",
        params: &[],
        body: None,
        status: 200,
        answer: Answer::List("View"),
        also: &[],
    },
    Operation {
        method: "post",
        path: "/views/rename",
        id: "renameView",
        doc: "Gives a view another name",
        params: &[],
        body: Some("RenameView"),
        status: 200,
        answer: Answer::One("ViewName"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "post",
        path: "/views/delete",
        id: "deleteView",
        doc: "Forgets a view",
        params: &[],
        body: Some("ViewName"),
        status: 200,
        answer: Answer::One("ViewName"),
        also: &[404, 409, 413, 415],
    },
    Operation {
        method: "post",
        path: "/calendars/{owner}",
        id: "makeCalendarLink",
        doc: "Makes the secret link of an owner's calendar; the one before ends",
        params: &[in_path("owner", Shape::Text { least: 1, most: 200, format: None }, "Whose.")],
        body: None,
        status: 200,
        answer: Answer::One("CalendarLink"),
        also: &[404],
    },
    Operation {
        method: "post",
        path: "/calendars/{owner}/revoke",
        id: "revokeCalendarLink",
        doc: "Ends the secret link of an owner's calendar",
        params: &[in_path("owner", Shape::Text { least: 1, most: 200, format: None }, "Whose.")],
        body: None,
        status: 200,
        answer: Answer::One("CalendarRevoked"),
        also: &[404],
    },
];

/// The operation at this path (as it is routed, with `/api/v1`) by this method.
pub(crate) fn operation(method: &str, routed: &str) -> Option<&'static Operation> {
    let path = routed.strip_prefix(super::BASE)?;
    // What can be got can be asked for without its body.
    let method = if method.eq_ignore_ascii_case("head") { "get" } else { method };
    OPERATIONS.iter().find(|o| o.path == path && o.method.eq_ignore_ascii_case(method))
}

/// The path of the table that a path is, without `/api/v1`. One without parameters goes first, as in a router.
pub(crate) fn template(path: &str) -> Option<&'static str> {
    let fits = |template: &str| {
        let (mut left, mut right) = (template.split('/'), path.split('/'));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(part), Some(given)) if part == given => {}
                (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
                _ => return false,
            }
        }
    };
    let mut found: Vec<_> = OPERATIONS.iter().map(|o| o.path).filter(|p| fits(p)).collect();
    found.sort_by_key(|path| path.contains('{'));
    found.first().copied()
}

/// What can be done at this path: for `Allow`.
pub(crate) fn allowed(routed: &str) -> String {
    let path = routed.strip_prefix(super::BASE).unwrap_or(routed);
    let mut out: Vec<&str> = Vec::new();
    for operation in OPERATIONS.iter().filter(|o| o.path == path) {
        out.extend_from_slice(if operation.method == "get" { &["GET", "HEAD"] } else { &["POST"] });
    }
    if out.is_empty() { "GET, HEAD".to_owned() } else { out.join(", ") }
}

/// The names of all kinds of finding.
pub(crate) fn kinds() -> Vec<&'static str> {
    Kind::ALL.iter().map(|k| k.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_as_a_router_would() {
        for (path, expected) in [
            ("/assets", Some("/assets")),
            ("/assets/ab", Some("/assets/{id}")),
            ("/alerts/test", Some("/alerts/test")),
            ("/alerts/a1", Some("/alerts/{id}")),
            ("/alerts/a1/snooze", Some("/alerts/{id}/snooze")),
            ("/assets/", None),
            ("/assets/a/b", None),
            ("/nothing", None),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
        assert_eq!(allowed("/api/v1/alerts/test"), "POST");
        assert_eq!(allowed("/api/v1/assets"), "GET, HEAD");
    }
}
