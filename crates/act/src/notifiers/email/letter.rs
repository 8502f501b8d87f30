//! The message itself (RFC 5322): headers that thread and are never answered, text and HTML.
//!
//! Header injection cannot happen: each value is either made of a few safe characters ([`token`]) or goes
//! through the encoder as one printable line. It sends nothing.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use notafter_core::fault::Fault;
use notafter_core::finding::Severity;
use notafter_core::notice::Notice;

use super::super::{incident, token, unfit};
use super::html;
use crate::text::{Plain, Words, lay_out_text};

/// No line of a quoted-printable body can hold it (RFC 2045 section 6.7), so it needs no luck.
const BOUNDARY: &str = "=_notafter";
/// More than any client shows in one piece.
const TEXT_MAX: usize = 40_000;

/// Writes the message. The same notice gives the same octets.
pub(super) fn compose(
    from: &Mailbox,
    to: &[Mailbox],
    notice: &Notice,
    words: &Words,
) -> Result<Vec<u8>, Fault> {
    let domain = from.email.domain();
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(notice.at.0).unwrap_or_default());
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(words.subject.clone())
        .date(at)
        .message_id(Some(format!("<{}@{domain}>", token(&notice.id))));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    if notice.alert.is_some() {
        // Nobody ever sent the mail that all of them answer: so their order does not matter, and a client
        // keeps one thread for each alert (RFC 5322 section 3.6.4).
        let thread = format!("<alert-{}@{domain}>", incident(notice));
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let importance = if words.severity == Severity::Critical { "high" } else { "normal" };
    for (name, value) in [
        // RFC 3834 section 5; the second is what Exchange heeds.
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("Importance", importance),
        ("X-Notafter-Event", words.event.as_str()),
        ("X-Notafter-Severity", words.severity.as_str()),
    ] {
        builder =
            builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned()));
    }
    let body = MultiPart::alternative()
        .boundary(BOUNDARY)
        .singlepart(part(ContentType::TEXT_PLAIN, lay_out_text(words, &Plain, TEXT_MAX, true) + "\n")?)
        .singlepart(part(ContentType::TEXT_HTML, html::page(words))?);
    let message = builder
        .multipart(body)
        .map_err(|error| unfit(format!("no mail can be made of this message: {error}"), "report this"))?;
    Ok(message.formatted())
}

fn part(kind: ContentType, text: String) -> Result<SinglePart, Fault> {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| unfit("a text of the message cannot be encoded", "report this"))?;
    Ok(SinglePart::builder().header(kind).body(body))
}
