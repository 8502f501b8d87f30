//! The HTML of a mail: tables and inline styles, for a phone as for Outlook, which draws with Word.
//!
//! No images, no scripts, no fonts to fetch, no style sheet: what opens the mail tells nobody that it did.

use notafter_core::finding::Severity;
use notafter_core::notice::Event;

use crate::text::{Markup, Row, Words, lay_out};

/// Gmail cuts a mail off at 102 kB.
const BYTES_MAX: usize = 90_000;

/// The page of a message.
pub(super) fn page(words: &Words) -> String {
    let (colour, label) = match (words.event, words.severity) {
        (Event::Resolved, _) => ("#2e7d32", "Resolved"),
        (_, Severity::Critical) => ("#b71c1c", "Critical"),
        (_, Severity::Warning) => ("#8a5a00", "Warning"),
        (_, Severity::Info) => ("#1558a6", "Info"),
    };
    let rows = lay_out(words, &Html, BYTES_MAX, false).concat();
    let title = escape(&words.title);
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{subject}</title></head>\n\
         <body style=\"margin:0;padding:0;background:#f4f4f4\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" bgcolor=\"#f4f4f4\">\
         <tr><td align=\"center\" style=\"padding:12px\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" bgcolor=\"#ffffff\" \
         style=\"max-width:640px;{FONT}\">\n\
         <tr><td bgcolor=\"{colour}\" style=\"padding:10px 16px;color:#ffffff;{FONT}font-weight:bold\">{label}</td></tr>\n\
         <tr><td style=\"padding:14px 16px 4px;{FONT}font-size:19px;font-weight:bold\">{title}</td></tr>\n\
         {rows}\
         <tr><td style=\"padding:12px 16px;{FONT}font-size:12px;color:#666666\">Sent by Notafter.</td></tr>\n\
         </table>\n</td></tr></table>\n</body></html>\n",
        subject = escape(&words.subject),
    )
}

/// Written on every cell: Outlook does not inherit it.
const FONT: &str = "font-family:Segoe UI,Helvetica,Arial,sans-serif;font-size:15px;line-height:1.4;\
                    word-break:break-word;";

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A table row for each row.
struct Html;

impl Markup for Html {
    fn row(&self, row: Row<'_>) -> String {
        let cell = |style: &str, inner: String| {
            format!("<tr><td style=\"padding:4px 16px;{FONT}{style}\">{inner}</td></tr>\n")
        };
        match row {
            Row::Title(text) | Row::Text(text) => cell("", escape(text)),
            Row::Labelled(label, text) => cell("", format!("<b>{label}:</b> {}", escape(text))),
            Row::Item(text) => cell("padding-top:10px;border-top:1px solid #dddddd;", escape(text)),
            Row::Detail(label, text) => {
                cell("font-size:13px;color:#444444;", format!("{label}: {}", escape(text)))
            }
            Row::More(count) => cell("padding-top:10px;", format!("and {count} more")),
            // The address in full below the link: a mail is also read where links are taken out.
            Row::Link(label, url) => {
                let url = escape(url);
                cell("", format!("<a href=\"{url}\"><b>{label}</b></a><br>{url}"))
            }
            Row::Gap => cell("", "&nbsp;".to_owned()),
        }
    }

    fn size(&self, row: &str) -> usize {
        row.len()
    }
}
