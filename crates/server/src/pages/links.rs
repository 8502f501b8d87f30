//! Pages whose address is a secret: acknowledging from a message, signing a browser in.
//!
//! GET only shows, because mail scanners and previews follow links; POST acts, once. No cookie is asked for, and
//! there is nothing to forge: whoever has the address may do the one thing it is for. They are not compressed,
//! not kept, and tell no other site where the reader came from.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use notafter_engine::hands::{Ask, hold};
use notafter_engine::notify::secret_hash;
use notafter_store::alerts::Link;

use super::deeds::{AckForm, Filled};
use super::{Answer, Shared, Who, see_other, show, work};
use crate::app::App;
use crate::problem::Problem;
use crate::session::{COOKIE, LinkState, SESSION_LIVES};
use crate::views::alerts::{Whole, alert_row, whole};
use crate::views::bare::{AcknowledgeView, SigninView};
use crate::views::frame::Look;
use crate::words;

/// Ours have 64 hex digits; whatever else stands there was never given out.
fn is_secret(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

pub(crate) async fn show_ack(
    State(app): Shared,
    Extension(caller): Who,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |app, look| {
        let link = if is_secret(&secret) {
            look.store.link(&secret_hash(&secret), false, look.now)?
        } else {
            Link::Unknown
        };
        let Link::For(number) = link else { return Ok(spent(app, &link)) };
        let Some(alert) = look.store.alert(number)? else { return Ok(spent(app, &Link::Unknown)) };
        let alert = whole(look, vec![alert])?.into_iter().next();
        Ok(alert.map_or_else(|| spent(app, &Link::Unknown), |w| asking(app, look, &w, &secret)))
    })
    .await
}

pub(crate) async fn take_ack(
    State(app): Shared,
    Extension(caller): Who,
    Path(secret): Path<String>,
    headers: HeaderMap,
    form: Filled<AckForm>,
) -> Answer {
    // The button alone is enough: a note is a favour.
    let note = form.map(|form| form.0.note).unwrap_or_default();
    show(&app, caller, &headers, move |app, look| {
        // Claimed before anything is done: of two who send it at once, one acts and the other is told so.
        let hash = secret_hash(&secret);
        let link = if is_secret(&secret) { look.store.link(&hash, true, look.now)? } else { Link::Unknown };
        let Link::For(number) = link else { return Ok(spent(app, &link)) };
        let note: String = note.trim().chars().filter(|c| !c.is_control()).take(500).collect();
        let alert = acknowledge(look, number, &words::clean(&note)).map_err(|problem| {
            // A link whose deed failed works again; when that fails too, the alert is still open and tells anew.
            let _ = look.store.give_link_back(&hash, look.now);
            problem
        })?;
        app.handle.wake();
        let until = alert.hold.as_ref().map(|hold| words::moment(hold.until)).unwrap_or_default();
        Ok(AcknowledgeView {
            bare: app.bare("Acknowledged"),
            headline: "You have it.".to_owned(),
            subline: format!(
                "Alert {} is quiet until {until}. It ends by itself when the cause is seen to be mended.",
                alert.id()
            ),
            rows: Vec::new(),
            more: String::new(),
            can_act: false,
            action: String::new(),
            meaning: String::new(),
            command: String::new(),
        })
    })
    .await
}

/// What the link is for.
fn acknowledge(look: &Look, number: i64, note: &str) -> Result<notafter_core::alert::Alert, Problem> {
    let owner = look.store.alert(number)?.map(|a| a.owner).unwrap_or_default();
    let by = format!("{owner}, by a link");
    let ask = Ask { by: &by, until: None, note, snooze: false };
    Ok(hold(&look.store, &format!("a{number}"), &ask, look.now)?)
}

fn asking(app: &App, look: &Look, whole: &Whole, secret: &str) -> AcknowledgeView {
    let alert = &whole.alert;
    let over = alert.resolved.is_some();
    let told = alert.told.map(|t| format!(", told {}", words::ago(t, look.now))).unwrap_or_default();
    let more = alert.members.len().saturating_sub(1) as u64;
    AcknowledgeView {
        bare: app.bare("Acknowledge"),
        headline: if over {
            "It is over already.".to_owned()
        } else {
            "You are about to say: I have this.".to_owned()
        },
        subline: format!("Alert {}, for {}{told}.", alert.id(), words::clean(&alert.owner)),
        // Without its link: the pages may not be open to whoever has a message.
        rows: vec![alert_row(whole, look.now)],
        more: if more > 0 {
            format!("and {} more of the same cause", words::number(more))
        } else {
            String::new()
        },
        can_act: !over,
        action: format!("/ack/{secret}"),
        meaning: "It stops the reminders and the escalation until the next step. It does not stop the date: \
                  if it is still there then, you are asked again. This link works once."
            .to_owned(),
        command: String::new(),
    }
}

/// A link that does not work, and why.
fn spent(app: &App, link: &Link) -> AcknowledgeView {
    let (headline, subline) = match link {
        Link::Used => ("This link was used already.", "Somebody has the alert. Nothing was changed now."),
        Link::Ended => ("This link has ended.", "Its date has come, or a newer message has a newer link."),
        _ => ("This link is not known here.", "It may be cut short, or belong to another server."),
    };
    AcknowledgeView {
        bare: app.bare("Acknowledge"),
        headline: headline.to_owned(),
        subline: subline.to_owned(),
        rows: Vec::new(),
        more: String::new(),
        can_act: false,
        action: String::new(),
        meaning: String::new(),
        command: "notafter ack ID".to_owned(),
    }
}

pub(crate) async fn show_sign_in(
    State(app): Shared,
    Extension(caller): Who,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Answer {
    show(&app, caller, &headers, move |app, _| {
        let state = if is_secret(&secret) { app.access.look_at(&secret)? } else { LinkState::Over };
        Ok(sign_in_view(app, state, &secret))
    })
    .await
}

pub(crate) async fn take_sign_in(
    State(app): Shared,
    Extension(caller): Who,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let asked = secret.clone();
    let session = work(&app, move |app| {
        if !is_secret(&asked) {
            return Ok(None);
        }
        Ok(app.access.exchange(&asked)?)
    });
    match session.await {
        Ok(Some(session)) => {
            let mut answer = see_other("/");
            if let Ok(cookie) = HeaderValue::from_str(&cookie_of(&app, &session)) {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer
        }
        Ok(None) => {
            show(&app, caller, &headers, move |app, _| {
                let state = if is_secret(&secret) { app.access.look_at(&secret)? } else { LinkState::Over };
                // Of two who used it at once, one was later.
                let state = if state == LinkState::Good { LinkState::Used } else { state };
                Ok(sign_in_view(app, state, &secret))
            })
            .await
        }
        Err(problem) => problem.answer(&headers, |p: &Problem| app.problem_page(p)),
    }
}

/// Ends this browser's session: here, and in the browser.
pub(crate) async fn sign_out(State(app): Shared, headers: HeaderMap) -> Answer {
    let session = crate::access::cookie(&headers).unwrap_or_default().to_owned();
    let ended = work(&app, move |app| Ok(app.access.end(&session)?)).await;
    match ended {
        Ok(()) => {
            let mut answer = see_other("/");
            let secure = if app.is_secure() { "; Secure" } else { "" };
            let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{secure}");
            if let Ok(cookie) = HeaderValue::from_str(&gone) {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(problem) => problem.answer(&headers, |p: &Problem| app.problem_page(p)),
    }
}

fn cookie_of(app: &App, session: &str) -> String {
    let secure = if app.is_secure() { "; Secure" } else { "" };
    format!("{COOKIE}={session}; Path=/; Max-Age={SESSION_LIVES}; HttpOnly; SameSite=Strict{secure}")
}

fn sign_in_view(app: &App, state: LinkState, secret: &str) -> SigninView {
    let (headline, subline) = match state {
        LinkState::Good => (
            "Sign in to this Notafter",
            "The link works once and signs this browser in for 30 days. Nothing else is asked.",
        ),
        LinkState::Used => (
            "This link was already used.",
            "If that was not you, make a new token: every browser is signed out then.",
        ),
        LinkState::Over => (
            "This link does not work.",
            "It works for ten minutes, or it was never made here. Make another one on the server:",
        ),
    };
    let good = state == LinkState::Good;
    SigninView {
        bare: app.bare("Sign in"),
        headline: headline.to_owned(),
        subline: subline.to_owned(),
        can_act: good,
        action: if good { format!("/sign-in/{secret}") } else { String::new() },
        command: if good { String::new() } else { "notafter sign-in".to_owned() },
    }
}
