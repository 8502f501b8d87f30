//! Pages whose address is a secret: acknowledging from a message, signing a browser in.
//!
//! GET only shows, because mail scanners and previews follow links; POST acts, once. No cookie is asked for, and
//! there is nothing to forge: whoever has the address may do the one thing it is for. They are not compressed,
//! not kept, and tell no other site where the reader came from.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use notafter_core::UnixTime;
use notafter_core::alert::Alert;
use notafter_engine::hands::{Ask, Refused, hold};
use notafter_engine::notify::secret_hash;
use notafter_store::alerts::Link;

use super::deeds::{AckForm, Filled};
use super::{Answer, Shared, Who, see_other, show_as, work};
use crate::app::App;
use crate::problem::Problem;
use crate::session::{COOKIE, LinkState, SESSION_LIVES};
use crate::views::alerts::{Whole, alert_row, whole};
use crate::views::bare::{AcknowledgeView, SigninView};
use crate::views::frame::Look;
use crate::words;

/// So many of a link's alerts are shown.
const ROWS: usize = 20;

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
    show_as(&app, caller, &headers, move |app, look| {
        let link = if is_secret(&secret) {
            look.store.link(&secret_hash(&secret), false, look.now)?
        } else {
            Link::Unknown
        };
        let Link::For(numbers) = link else { return Ok(spent(app, &link)) };
        let mut alerts = Vec::new();
        for number in numbers {
            alerts.extend(look.store.alert(number)?);
        }
        if alerts.is_empty() {
            return Ok(spent(app, &Link::Unknown));
        }
        let count = alerts.len();
        let open = alerts.iter().filter(|a| a.resolved.is_none()).count();
        alerts.sort_by_key(|a| (a.resolved.is_some(), a.severity, a.deadline.unwrap_or(UnixTime(i64::MAX))));
        alerts.truncate(ROWS);
        Ok((StatusCode::OK, asking(app, look, &whole(look, alerts)?, (count, open), &secret)))
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
    show_as(&app, caller, &headers, move |app, look| {
        // Claimed before anything is done: of two who send it at once, one acts and the other is told so.
        let hash = secret_hash(&secret);
        let link = if is_secret(&secret) { look.store.link(&hash, true, look.now)? } else { Link::Unknown };
        let Link::For(numbers) = link else { return Ok(spent(app, &link)) };
        let note: String = note.trim().chars().filter(|c| !c.is_control()).take(500).collect();
        let alerts = acknowledge(look, &numbers, &words::clean(&note)).inspect_err(|_| {
            // A link whose deed failed works again; when that fails too, the alert is still open and tells anew.
            let _ = look.store.give_link_back(&hash, look.now);
        })?;
        app.handle.wake();
        let until = alerts.iter().filter_map(|a| a.hold.as_ref()).map(|hold| hold.until).min();
        let until = until.map(words::moment).unwrap_or_default();
        let subline = match alerts.as_slice() {
            [alert] => format!(
                "Alert {} is quiet until {until}. It ends by itself when the cause is seen to be mended.",
                alert.id()
            ),
            all => format!(
                "{} are quiet, the first until {until}. Each ends by itself when its cause is seen to be mended.",
                words::counted(all.len() as u64, "alert")
            ),
        };
        let done = AcknowledgeView {
            bare: app.bare("Acknowledged"),
            headline: if alerts.len() == 1 { "You have it." } else { "You have them." }.to_owned(),
            subline,
            rows: Vec::new(),
            more: String::new(),
            can_act: false,
            action: String::new(),
            meaning: String::new(),
            command: String::new(),
        };
        Ok((StatusCode::OK, done))
    })
    .await
}

/// What the link is for: all of its alerts that are not over. One that is over needs nobody.
fn acknowledge(look: &Look, numbers: &[i64], note: &str) -> Result<Vec<Alert>, Problem> {
    let mut held = Vec::new();
    let mut refused = None;
    for number in numbers {
        let owner = look.store.alert(*number)?.map(|a| a.owner).unwrap_or_default();
        let by = format!("{owner}, by a link");
        let ask = Ask { by: &by, until: None, note, snooze: false };
        match hold(&look.store, &format!("a{number}"), &ask, look.now) {
            Ok(alert) => held.push(alert),
            Err(why @ (Refused::Resolved(_) | Refused::Unknown(_))) => refused = Some(why),
            Err(why) => return Err(why.into()),
        }
    }
    match refused {
        Some(why) if held.is_empty() => Err(why.into()),
        _ => Ok(held),
    }
}

/// `count` alerts, of which so many are open; some of them may be left out of `shown`.
fn asking(
    app: &App,
    look: &Look,
    shown: &[Whole],
    (count, open): (usize, usize),
    secret: &str,
) -> AcknowledgeView {
    let told = shown.iter().filter_map(|w| w.alert.told).min();
    let told = told.map(|t| format!(", told {}", words::ago(t, look.now))).unwrap_or_default();
    let owner = shown.first().map(|w| words::clean(&w.alert.owner)).unwrap_or_default();
    let members: usize = shown.iter().map(|w| w.alert.members.len().saturating_sub(1)).sum();
    let subline = match (shown, count) {
        ([one], 1) => format!("Alert {}, for {owner}{told}.", one.alert.id()),
        _ => format!("{}, for {owner}{told}.", words::counted(count as u64, "alert")),
    };
    let more = match (count - shown.len(), members as u64) {
        (0, 0) => String::new(),
        (0, n) => format!("and {} more of the same cause", words::number(n)),
        (n, _) => format!("and {}", words::counted(n as u64, "more alert")),
    };
    AcknowledgeView {
        bare: app.bare("Acknowledge"),
        headline: match (open, count) {
            (0, 1) => "It is over already.",
            (0, _) => "They are over already.",
            (_, 1) => "You are about to say: I have this.",
            _ => "You are about to say: I have all of these.",
        }
        .to_owned(),
        subline,
        // Without its link: the pages may not be open to whoever has a message.
        rows: shown.iter().map(|w| alert_row(w, look.now)).collect(),
        more,
        can_act: open > 0,
        action: format!("/ack/{secret}"),
        meaning: "It stops the reminders and the escalation until the next step. It does not stop the date: \
                  if it is still there then, you are asked again. This link works once."
            .to_owned(),
        command: String::new(),
    }
}

/// A link that does not work, and why.
fn spent(app: &App, link: &Link) -> (StatusCode, AcknowledgeView) {
    // 404 and 410 (RFC 9110, 15.5.5 and 15.5.11): a program that follows links sees that nothing was done.
    let (status, headline, subline) = match link {
        Link::Used => (
            StatusCode::GONE,
            "This link was used already.",
            "Somebody has the alert. Nothing was changed now.",
        ),
        Link::Ended => (
            StatusCode::GONE,
            "This link has ended.",
            "Its date has come, or a newer message has a newer link.",
        ),
        _ => (
            StatusCode::NOT_FOUND,
            "This link is not known here.",
            "It may be cut short, or belong to another server.",
        ),
    };
    let view = AcknowledgeView {
        bare: app.bare("Acknowledge"),
        headline: headline.to_owned(),
        subline: subline.to_owned(),
        rows: Vec::new(),
        more: String::new(),
        can_act: false,
        action: String::new(),
        meaning: String::new(),
        command: "notafter ack ID".to_owned(),
    };
    (status, view)
}

pub(crate) async fn show_sign_in(
    State(app): Shared,
    Extension(caller): Who,
    Path(secret): Path<String>,
    headers: HeaderMap,
) -> Answer {
    show_as(&app, caller, &headers, move |app, _| {
        let state = if is_secret(&secret) { app.access.look_at(&secret)? } else { LinkState::Over };
        Ok((status_of(state), sign_in_view(app, state, &secret)))
    })
    .await
}

/// Of a link that signs in.
fn status_of(state: LinkState) -> StatusCode {
    match state {
        LinkState::Good => StatusCode::OK,
        LinkState::Used => StatusCode::GONE,
        LinkState::Over => StatusCode::NOT_FOUND,
    }
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
            show_as(&app, caller, &headers, move |app, _| {
                let state = if is_secret(&secret) { app.access.look_at(&secret)? } else { LinkState::Over };
                // Of two who used it at once, one was later.
                let state = if state == LinkState::Good { LinkState::Used } else { state };
                Ok((status_of(state), sign_in_view(app, state, &secret)))
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
