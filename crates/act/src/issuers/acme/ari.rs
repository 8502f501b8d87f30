//! ACME renewal information (RFC 9773): how a certificate is named, and when the CA wants it replaced.

use notafter_core::UnixTime;
use notafter_core::issuance::Suggested;
use notafter_pki::certificate::Certificate;
use notafter_pki::name::printable;

use super::document::RenewalInfo;
use super::jws::b64;
use crate::text::cut;

/// How often the CA is asked at most and at least (RFC 9773 section 4.3.2), and where it says nothing.
const ASK_MIN: i64 = 60;
const ASK_MAX: i64 = 86_400;
const ASK_USUAL: i64 = 6 * 3_600;

/// The name of a certificate (RFC 9773 section 4.1): the key identifier of its issuer and its serial number.
pub(crate) fn certificate_id(leaf: &[u8]) -> Option<String> {
    let leaf = Certificate::parse(leaf).ok()?;
    let key = leaf.authority_key_id().filter(|id| !id.is_empty())?;
    Some(format!("{}.{}", b64(key), b64(leaf.serial())))
}

/// What an answer means. A window that ends before it begins is no suggestion (section 4.2).
pub(crate) fn read(info: &RenewalInfo, wait: Option<i64>, now: UnixTime) -> Option<Suggested> {
    let instant = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|at| at.as_second());
    let (start, end) = (instant(&info.suggested_window.start)?, instant(&info.suggested_window.end)?);
    if end <= start {
        return None;
    }
    let wait = wait.unwrap_or(ASK_USUAL).clamp(ASK_MIN, ASK_MAX);
    let explanation = info.explanation.as_deref().filter(|url| url.starts_with("https://"));
    let explanation = explanation.map(|url| cut(&printable(url), 500));
    Some(Suggested { start, end, explanation, ask_again: now.plus(wait).0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let now = UnixTime(1_795_262_400);
        let check = |start: &str, end: &str, wait| {
            let text = format!(
                "{{\"suggestedWindow\":{{\"start\":\"{start}\",\"end\":\"{end}\"}},\"explanationURL\":\"https://x.example/y\"}}"
            );
            read(&serde_json::from_str(&text).expect("JSON"), wait, now)
        };
        let seen =
            check("2025-01-02T04:00:00Z", "2025-01-03T04:00:00+00:00", Some(21_600)).expect("a window");
        assert_eq!((seen.start, seen.end), (1_735_790_400, 1_735_876_800));
        assert_eq!(seen.explanation.as_deref(), Some("https://x.example/y"));
        assert_eq!(seen.ask_again, now.0 + 21_600);
        assert_eq!(
            check("2025-01-02T04:00:00Z", "2025-01-03T04:00:00Z", Some(0)).expect("one").ask_again,
            now.0 + 60
        );
        assert_eq!(check("2025-01-03T04:00:00Z", "2025-01-02T04:00:00Z", None), None);
        assert_eq!(check("tomorrow", "2025-01-02T04:00:00Z", None), None);
    }
}
