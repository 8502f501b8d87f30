//! Stylesheet, script and icon: in the binary, under a name that changes with what they say.
//!
//! A page links `/assets/<version>-<hash>/notafter.css`, which a browser may keep for a year. Another hash is
//! an old page in an open tab: it gets today's files, to be asked for again.

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The stylesheet, also for the static export.
pub(crate) const STYLE: &str = include_str!("../assets/notafter.css");
const SCRIPT: &str = include_str!("../assets/notafter.js");
/// Greys a status page that is too old; also for the static export.
pub(crate) const STATUS_SCRIPT: &str = include_str!("../assets/status.js");
const ICON: &str = include_str!("../assets/icon.svg");

const FILES: [(&str, &str, &str); 4] = [
    ("notafter.css", "text/css; charset=utf-8", STYLE),
    ("notafter.js", "text/javascript; charset=utf-8", SCRIPT),
    ("status.js", "text/javascript; charset=utf-8", STATUS_SCRIPT),
    ("icon.svg", "image/svg+xml", ICON),
];

/// Eight hex digits over all files.
fn hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let all: String = FILES.iter().map(|(_, _, text)| *text).collect();
        let hex = notafter_pki::fingerprint::hex(&notafter_pki::fingerprint::sha256(all.as_bytes()));
        hex.get(..8).unwrap_or_default().to_owned()
    })
}

/// The folder that pages link to.
pub(crate) fn folder(version: &str) -> String {
    format!("/assets/{version}-{}", hash())
}

/// One of the files, or the answer that the browser's copy is still good. `None`: no such file.
pub(crate) fn answer(stamp: &str, file: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let (name, kind, text) = FILES.iter().find(|(name, ..)| *name == file)?;
    let etag = format!("\"{}-{name}\"", hash());
    let current = stamp.ends_with(&format!("-{}", hash()));
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    let mut tags = known.flat_map(|v| v.split(',')).map(|t| t.trim().trim_start_matches("W/"));
    let fresh = tags.any(|tag| tag == etag || tag == "*");
    let mut response = Response::new(if fresh { Body::empty() } else { Body::from(*text) });
    if fresh {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, etag);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_for_a_year_under_its_hash_only() {
        let folder = folder("0.2.0");
        let stamp = folder.trim_start_matches("/assets/");
        let get = |stamp: &str, headers: &HeaderMap| answer(stamp, "notafter.css", headers).unwrap();
        let first = get(stamp, &HeaderMap::new());
        assert!(first.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(get("0.1.0-00000000", &HeaderMap::new()).headers()[header::CACHE_CONTROL], "no-cache");
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(get(stamp, &again).status(), StatusCode::NOT_MODIFIED);
        assert!(answer(stamp, "../Cargo.toml", &HeaderMap::new()).is_none());
    }
}
