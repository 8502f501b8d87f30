//! What a person brought for a renewal whose issuer has no API: looked at by that issuer, kept, and the renewal goes on.
//!
//! The same for a command, a page and the API, which bound what they read. What does not fit is told, and changes nothing.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::fault::Fault;
use notafter_core::issuance::Request;
use notafter_core::joints::Issuer;
use notafter_core::renew::{Renewal, State};
use notafter_pki::certificate::Certificate;
use notafter_store::StoreError;
use notafter_store::alerts::AuditLine;
use notafter_store::works::{Note, Work, subject};

use super::{HOLD_S, Managed, Renewer, issuer_of};

/// What came of a reply.
#[derive(Debug)]
pub enum Replied {
    /// It is what the renewal waits for, and is kept for it.
    Taken {
        /// Of whom it is.
        issuer: String,
        /// Its end.
        not_after: Option<UnixTime>,
    },
    /// It is not taken, and why.
    Refused(Fault),
    /// No renewal of this certificate waits for one.
    Unasked,
}

/// For what a renewal waits that a person brings.
pub struct Awaited<'m> {
    /// The issuer's name.
    pub issuer: &'m str,
    /// What was asked.
    pub request: &'m Request,
    by: &'m Arc<dyn Issuer>,
}

/// Does this renewal wait for something that a person brings?
pub fn awaited<'m>(managed: &'m Managed, renewal: &'m Renewal) -> Option<Awaited<'m>> {
    if renewal.state != State::WaitsForIssuer {
        return None;
    }
    let (issuer, by) = issuer_of(managed, renewal)?;
    let request = renewal.request.as_ref()?;
    by.is_by_hand().then_some(Awaited { issuer, request, by })
}

impl Renewer<'_> {
    /// Gives a reply to the newest renewal of a certificate, which goes on with it at once. `who` stands in the trail.
    ///
    /// # Errors
    /// The store's.
    pub async fn reply(&self, managed: &Managed, octets: &[u8], who: &str) -> Result<Replied, StoreError> {
        let Some(open) = self.store.works_of(&managed.name, 1)?.into_iter().next() else {
            return Ok(Replied::Unasked);
        };
        let Some(awaited) = awaited(managed, &open.renewal) else { return Ok(Replied::Unasked) };
        let issued = match awaited.by.reply(self.cx, awaited.request, octets).await {
            Ok(issued) => issued,
            Err(fault) => return Ok(Replied::Refused(fault)),
        };
        let leaf = issued.chain.first().and_then(|der| Certificate::parse(der).ok());
        let not_after = leaf.and_then(|c| c.not_after());
        let issuer = awaited.issuer.to_owned();
        let end = not_after.map(|t| format!(", until {t}")).unwrap_or_default();
        self.store.audit(&AuditLine {
            at: self.cx.clock.now(),
            who: who.to_owned(),
            what: "reply-taken".to_owned(),
            subject: subject(&managed.name),
            detail: format!("{issuer}{end}"),
        })?;
        self.at_once(&open)?;
        Ok(Replied::Taken { issuer, not_after })
    }

    /// Nobody waits for the next look at the folder. Where somebody is at work on it, that look comes soon enough.
    fn at_once(&self, open: &Work) -> Result<(), StoreError> {
        if open.holder.is_some() {
            return Ok(());
        }
        let Some(mut work) = self.hold(open)? else { return Ok(()) };
        let now = self.cx.clock.now();
        if work.renewal.state == State::WaitsForIssuer {
            work.renewal.next = work.renewal.next.min(now.0);
            let until = (self.tools.holder.as_str(), now.plus(HOLD_S));
            self.store.put_work(&work.renewal, work.version, until, &Note::default(), now)?;
        }
        self.store.let_go_of_work(&work.renewal.name, work.renewal.generation, &self.tools.holder)
    }
}
