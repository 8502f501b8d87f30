//! ACME (RFC 8555): certificates of any CA that speaks it, over a client of our own.
//!
//! Own, because every single effect has to be kept before the next one: an order is a [`Ticket`] that any later process
//! goes on with. `acme/order.rs` has the steps, `acme/ticket.rs` what is kept of them, `acme/account.rs` the account,
//! `acme/ca.rs` the signed conversation, `acme/wire.rs` one exchange, `acme/guard.rs` where a CA may send us.
//!
//! For whoever drives it: after a fault of `advance` of the kinds `Refused`, `Invalid` or `NotFound` the order is over; any
//! other fault leaves it as it was. The same ticket may be tried again in either case, when the fault says so: where the
//! order is over, another one is begun (`acme/over.rs`).
//!
//! It never sees the private key of a certificate, and does not judge what the CA hands out.

mod account;
mod ari;
mod ca;
mod caa;
mod chain;
mod document;
pub(crate) mod guard;
mod import;
pub(crate) mod jws;
mod key;
mod order;
mod over;
mod problem;
mod rehearse;
mod settings;
mod ticket;
mod wire;

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Progress, Request, RevocationReason, Suggested, Ticket};
use notafter_core::joints::{BoxFuture, Cx, Issuer, Keep, Solver};
use notafter_pki::fingerprint::{hex, sha256};
use serde_json::{Value, json};

pub use account::Imported;
use ca::Ca;
pub(crate) use document::is_token;
use document::{Directory, RenewalInfo};
pub use import::{FoundAccount, accounts};
use jws::{By, b64};
use key::AccountKey;
use order::Walk;
use settings::Settings;
use ticket::{State, Step};
use wire::Trouble;

use super::BuildCx;
use super::ledger::Ledger;

/// `kind = "acme"`
pub const NAME: &str = "acme";
/// For the reference page.
pub const DOC: &str = "A CA that speaks ACME (RFC 8555): Let's Encrypt, ZeroSSL, Google, step-ca, pebble ...";

/// An ACME issuer.
pub struct Acme {
    settings: Settings,
    ca: Ca,
    ledger: Ledger,
    keep: Arc<dyn Keep>,
    /// Tells this CA from others.
    id: String,
    /// In front of everything that is kept.
    prefix: String,
    /// Two renewals at once must not make two accounts.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// The JSON schema of the table.
pub fn schema() -> Value {
    settings::schema()
}

impl Acme {
    /// Checks the settings, reads every secret once, and makes the issuer. Nothing is asked and nothing kept.
    ///
    /// # Errors
    /// A sentence for the person who wrote the table.
    pub fn open(table: Value, cx: &BuildCx) -> Result<Self, String> {
        Self::with(settings::read(table)?, cx)
    }

    /// The issuer that rehearsals order from, where one is configured: the same in all but the CA.
    pub fn rehearsal(table: Value, cx: &BuildCx) -> Option<Result<Self, String>> {
        let settings = settings::read(table).map(|settings| settings.staging()).transpose()?;
        Some(settings.and_then(|settings| Self::with(settings, cx)))
    }

    fn with(settings: Settings, cx: &BuildCx) -> Result<Self, String> {
        let directory = settings.url()?;
        // Not of the binding too: once the account is made, people take `eab` out again.
        let id = hex(&sha256(directory.as_str().as_bytes()))[..16].to_owned();
        let prefix = format!("acme/{id}/");
        let ledger = Ledger::new(directory.host_str().unwrap_or_default(), Arc::clone(&cx.keep), &prefix);
        let ca = Ca::new(directory, &settings.reach(), &cx.roots)?;
        let keep = Arc::clone(&cx.keep);
        Ok(Self { settings, ca, ledger, keep, id, prefix, one_at_a_time: tokio::sync::Mutex::default() })
    }

    /// The profile an order names: the request's, else the configured one, where the CA offers it.
    fn profile_for(&self, request: &Request, directory: &Directory) -> Result<Option<String>, Fault> {
        let Some(wanted) = request.profile.clone().or_else(|| self.settings.profile()) else {
            return Ok(None);
        };
        let offered = &directory.meta.profiles;
        if offered.contains_key(&wanted.name) {
            return Ok(Some(wanted.name));
        }
        if !wanted.required {
            return Ok(None);
        }
        let names: Vec<&str> = offered.keys().map(String::as_str).collect();
        let hint = match names.is_empty() {
            true => "this CA has no profiles: leave out `profile`".to_owned(),
            false => format!(
                "it offers {}",
                crate::text::cut(&notafter_pki::name::printable(&names.join(", ")), 300)
            ),
        };
        Err(Fault::new(FaultKind::Invalid, format!("the CA does not offer the profile {}", wanted.name))
            .hint(hint))
    }

    /// Revokes a certificate with its own private key (PKCS#8, PKCS#1 or SEC1; DER), for when the account is gone (RFC 8555
    /// section 7.6). Revoked already is done.
    ///
    /// # Errors
    /// When the CA does not.
    pub async fn revoke_with_key(
        &self,
        cx: &Cx,
        leaf: &[u8],
        key: &[u8],
        reason: RevocationReason,
    ) -> Result<(), Fault> {
        let key = AccountKey::from_der(key).map_err(|said| {
            Fault::new(
                FaultKind::Invalid,
                format!("the certificate's key cannot sign the revocation: {said}"),
            )
        })?;
        self.send_revocation(cx, leaf, By::Key(&key), reason).await
    }

    async fn send_revocation(
        &self,
        cx: &Cx,
        leaf: &[u8],
        by: By<'_>,
        reason: RevocationReason,
    ) -> Result<(), Fault> {
        let directory = self.ca.directory(cx).await?;
        let Some(url) = &directory.revoke_cert else {
            return Err(
                Fault::new(FaultKind::Invalid, "this CA has no way to revoke over ACME").retry(Retry::Never)
            );
        };
        let mut payload = json!({ "certificate": b64(leaf) });
        // "Unspecified" is said by saying nothing (RFC 5280 section 5.3.1).
        if reason != RevocationReason::Unspecified {
            payload["reason"] = json!(reason.code());
        }
        match self.ca.post(cx, url, by, Some(&payload)).await {
            Ok(_) => Ok(()),
            Err(trouble) if trouble.is("alreadyRevoked") => Ok(()),
            Err(trouble) => Err(trouble.fault("the CA does not revoke the certificate", cx.clock.now())),
        }
    }

    async fn renewal_info(&self, cx: &Cx, leaf: &[u8]) -> Result<Option<Suggested>, Fault> {
        let directory = self.ca.directory(cx).await?;
        let (Some(base), Some(id)) = (&directory.renewal_info, ari::certificate_id(leaf)) else {
            return Ok(None);
        };
        let now = cx.clock.now();
        match self.ca.get(cx, &format!("{}/{id}", base.trim_end_matches('/'))).await {
            Ok(answer) => {
                let info: RenewalInfo = answer.json("renewal information")?;
                Ok(ari::read(&info, answer.wait(now), now))
            }
            // Not a certificate of this CA, or one it no longer speaks about.
            Err(Trouble::Problem(problem)) if matches!(problem.status, 400 | 404 | 410) => Ok(None),
            Err(trouble) => {
                Err(trouble.fault("the CA does not say when it wants the certificate replaced", now))
            }
        }
    }
}

impl Issuer for Acme {
    fn begin<'a>(&'a self, cx: &'a Cx, request: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        Box::pin(async move {
            if request.names.is_empty() {
                return Err(Fault::new(
                    FaultKind::Invalid,
                    "a certificate for no name at all is not ordered",
                ));
            }
            if request.replaces.is_none() {
                self.ledger.predict(&request.names, cx.clock.now())?;
            }
            State { ca: self.id.clone(), step: Step::Account }.ticket()
        })
    }

    fn advance<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        ticket: &'a Ticket,
        solver: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(async move {
            let state = State::read(ticket, &self.id)?;
            Walk { acme: self, cx, request, solver }.step(state).await
        })
    }

    fn abandon<'a>(
        &'a self,
        cx: &'a Cx,
        ticket: &'a Ticket,
        solver: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let state = State::read(ticket, &self.id)?;
            let mut result = Ok(());
            for cleanup in state.cleanups() {
                result = result.and(solver.clean_up(cx, cleanup).await);
            }
            if let Step::Authorize { proofs, .. } = &state.step {
                let _ = self.withdraw(cx, proofs).await;
            }
            result
        })
    }

    fn suggested<'a>(
        &'a self,
        cx: &'a Cx,
        leaf: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Suggested>, Fault>> {
        Box::pin(self.renewal_info(cx, leaf))
    }

    fn time<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Option<UnixTime>, Fault>> {
        Box::pin(self.ca.time(cx))
    }

    fn revoke<'a>(
        &'a self,
        cx: &'a Cx,
        leaf: &'a [u8],
        reason: RevocationReason,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let account = self.account(cx).await?;
            self.send_revocation(cx, leaf, account.by(), reason).await
        })
    }

    fn rehearse<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        solver: &'a dyn Solver,
    ) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(self.checks(cx, request, solver.kind()))
    }
}
