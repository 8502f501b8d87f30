//! Issuing: the key and the request, the steps of an order, the review of what came; and who is asked when one fails.
//!
//! Whose turn it is decides `core::renew::Renewal` (`issuer_failed`, `issued_wrongly`). Nothing is installed here.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::deployment::Key;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Progress, Request};
use notafter_core::joints::Issuer;
use notafter_core::renew::{IssuedBy, Renewal, State, Turn};
use notafter_core::review::{review, waits_until};

use super::{Bench, Did, Managed, Renewer, Stopped, told};

/// The issuer that a renewal is with, or that issued it. `None`: it is not one of the certificate's any more.
pub fn issuer_of<'m>(managed: &'m Managed, renewal: &Renewal) -> Option<&'m (String, Arc<dyn Issuer>)> {
    let at = renewal.issuer.among(managed.issuers.iter().map(|(name, _)| name.as_str()))?;
    managed.issuers.get(at)
}

/// How an issuer failed.
#[derive(Clone, Copy)]
enum Failed {
    /// It says so, and when to come again.
    Says(Retry),
    /// It issued something else than was asked for.
    Wrongly,
}

impl Renewer<'_> {
    pub(super) async fn issue(&self, managed: &Managed, bench: &mut Bench<'_>) -> Result<(), Stopped> {
        let now = self.cx.clock.now();
        let renewal = &mut bench.work.renewal;
        let Some((issuer_name, issuer)) = issuer_of(managed, renewal) else {
            // It was taken out of the configuration, or stands under another name there: the first is asked.
            let given_up = |name: &str| renewal.wrong.get(name).is_some_and(|wrong| wrong.is_final());
            let mut left = managed.issuers.iter().filter(|(name, _)| !given_up(name));
            let Some((first, _)) = left.next().or_else(|| managed.issuers.first()) else {
                renewal.needs_somebody("no issuer is left to ask");
                return bench.keep(&Did::of("renewal-stopped", "no issuer is left to ask"));
            };
            (renewal.issuer, renewal.ticket) = (IssuedBy::Name(first.clone()), None);
            return bench.keep(&Did::silently());
        };
        let Some(request) = renewal.request.clone() else {
            return match self.request(managed, renewal) {
                Ok(request) => {
                    (renewal.request, renewal.key) = (Some(request), Some(managed.key));
                    bench.keep(&Did::silently())
                }
                // No issuer's doing: none is left for it.
                Err(fault) => bench.failed(&fault, now),
            };
        };
        let Some(ticket) = renewal.ticket.clone() else {
            return match issuer.begin(self.cx, &request).await {
                Ok(ticket) => {
                    (renewal.ticket, renewal.issuer) = (Some(ticket), IssuedBy::Name(issuer_name.clone()));
                    // That it begins is no success either.
                    renewal.went_on(now);
                    bench.keep(&Did::of("renewal-asked", issuer_name.clone()))
                }
                Err(fault) => self.turn(managed, bench, Failed::Says(fault.retry), told(&fault), now).await,
            };
        };
        match issuer.advance(self.cx, &request, &ticket, managed.solver.as_ref()).await {
            Ok(Progress::Stepped(ticket)) => {
                renewal.ticket = Some(ticket);
                // A step is no success: an order that fails at its end every time must wait longer and longer.
                renewal.went_on(now);
                bench.keep(&Did::silently())
            }
            Ok(Progress::Waits { ticket, until, what }) => {
                renewal.ticket = Some(ticket);
                renewal.went_on(now);
                (renewal.next, renewal.said) = (until.0.max(now.0 + 1), what);
                bench.keep(&Did::silently())
            }
            Ok(Progress::Issued(issued)) => {
                let answer = review(&request, &issued, renewal.before.first().map(Vec::as_slice), now);
                if !answer.wrong.is_empty() {
                    renewal.ticket = None;
                    let wrong = answer.wrong.join("; ");
                    let said = format!("it issued something that was not asked for: {wrong}");
                    return self.turn(managed, bench, Failed::Wrongly, said, now).await;
                }
                renewal.ticket = None;
                renewal.was_issued(now);
                renewal.changes = answer.changes.iter().map(|c| c.text.clone()).collect();
                renewal.next = waits_until(&answer, now).unwrap_or(now).0;
                renewal.chain = answer.chain;
                renewal.issuer = IssuedBy::Name(issuer_name.clone());
                renewal.state = State::WaitsForWindow;
                let end = answer.not_after.map(|t| format!(" until {t}")).unwrap_or_default();
                bench.keep(&Did::of("renewal-issued", format!("by {issuer_name}{end}")))
            }
            Err(fault) => self.turn(managed, bench, Failed::Says(fault.retry), told(&fault), now).await,
        }
    }

    /// The issuer failed: the same again later, the next one, or all of them once more. It goes on by itself in any case;
    /// somebody is called when all have failed.
    async fn turn(
        &self,
        managed: &Managed,
        bench: &mut Bench<'_>,
        how: Failed,
        said: String,
        now: UnixTime,
    ) -> Result<(), Stopped> {
        let renewal = &mut bench.work.renewal;
        let Some((name, issuer)) = issuer_of(managed, renewal) else { return Ok(()) };
        let names: Vec<&str> = managed.issuers.iter().map(|(name, _)| name.as_str()).collect();
        let mut said = format!("{name}: {said}");
        let left = renewal.ticket.clone();
        let turn = match how {
            Failed::Says(retry) => renewal.issuer_failed(&names, retry, said.clone(), now),
            Failed::Wrongly => {
                let turn = renewal.issued_wrongly(&names, said.clone(), &managed.made_from, now);
                let wrong = renewal.wrong.get(name).copied().unwrap_or_default();
                if wrong.is_final() {
                    said.push_str(&format!(
                        "; it did so {} times, and is not asked again before somebody says so (notafter renew {}) or the configuration is another one",
                        wrong.times, managed.name
                    ));
                    renewal.said.clone_from(&said);
                }
                turn
            }
        };
        let next = issuer_of(managed, renewal).is_some_and(|(next, _)| next == name);
        let stays = next && !matches!(how, Failed::Wrongly | Failed::Says(Retry::Never));
        let did = match turn {
            Turn::Later => Did::of("renewal-failed", said),
            Turn::Next => Did::of("issuer-left", said),
            // Once: it is tried again every few hours, and nobody has to hear of each.
            Turn::Round if renewal.call() => {
                Did::of("renewal-failing", format!("{said}; somebody has to look"))
            }
            Turn::Round => Did::of("renewal-failed", said),
            Turn::Stopped => {
                renewal.needs_somebody(said.clone());
                Did::of("renewal-stopped", said)
            }
        };
        if !stays {
            renewal.ticket = None;
            if let Some(ticket) = left {
                let _ = issuer.abandon(self.cx, &ticket, managed.solver.as_ref()).await;
            }
        }
        bench.keep(&did)
    }

    /// The key, kept before anything is asked for with it, and the request.
    fn request(&self, managed: &Managed, renewal: &Renewal) -> Result<Request, Fault> {
        let kept = self.tools.keep.kept(&renewal.key_name())?.map(Key::new);
        let (key, csr) = (self.tools.make)(&managed.names, managed.key, kept.as_ref())?;
        if kept.is_none() && !self.tools.keep.keep(&renewal.key_name(), None, key.expose())? {
            return Err(Fault::new(
                FaultKind::System,
                "another process made a key for this renewal at the same moment",
            ));
        }
        Ok(Request {
            names: managed.names.clone(),
            csr,
            profile: managed.profile.clone(),
            replaces: renewal.before.first().cloned(),
            preferred_chain: managed.preferred_chain.clone(),
            lifetime_s: managed.lifetime_s,
        })
    }
}

/// Does what was asked for still ask for what is configured?
pub(super) fn is_as_configured(managed: &Managed, renewal: &Renewal) -> bool {
    renewal.request.as_ref().is_none_or(|request| {
        request.names == managed.names
            && request.profile == managed.profile
            && request.lifetime_s == managed.lifetime_s
            && request.preferred_chain == managed.preferred_chain
            && renewal.key.is_none_or(|key| key == managed.key)
    })
}
