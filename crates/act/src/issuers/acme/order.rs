//! The steps of one order (RFC 8555 section 7.4), each with at most one effect that cannot be repeated.
//!
//! A step reads the kept [`State`], looks at how things stand at the CA, does the next thing and hands back the state
//! after it. Killed in between, the same step finds its own effect there: an authorization that is valid already, a
//! challenge that the CA looks at already, an order that was handed in already. Only a new order leaves no trace that
//! could be found; one that nobody kept ends by itself.

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, ChallengeType, Identifier, Issued, Progress, Request};
use notafter_core::joints::{Cx, Solver};
use serde_json::{Value, json};

use super::account::Account;
use super::document::{Authorization, ChallengeDocument, OrderDocument, Status, is_token, named};
use super::ticket::{Left, Order, Proof, Stage, State, Step, Task};
use super::wire::{Answer, Trouble};
use super::{Acme, ari, chain};
use crate::issuers::acme::jws::b64;

/// How long something may be shown without being seen before we say so, in seconds; beside the patience of its solver.
const VISIBLE_WITHIN: i64 = 300;
/// How long a CA may look at an answer before that is told as its trouble. RFC 8555 has no limit.
const DECIDED_WITHIN: i64 = 3_600;
/// How long it may make a certificate: by hand, at some. An order that expires before (RFC 8555 section 7.1.3) is waited for no longer.
const MADE_WITHIN: i64 = 86_400;
/// How long a CA may not know of the certificate that it has issued, in seconds.
const HANDED_OUT_WITHIN: i64 = 6 * 3_600;
/// The longest wait within an order, in seconds, whatever a CA's Retry-After says: a certificate may live for days only, and to
/// ask once an hour hurts nobody.
const WAIT_MAX: i64 = 3_600;
/// How often taking something back is tried before the certificate is handed out without it.
const CLEAN_TRIES: u32 = 3;
/// A chain as PEM (RFC 8555 section 9.1).
const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// One step under way.
pub(super) struct Walk<'a> {
    pub(super) acme: &'a Acme,
    pub(super) cx: &'a Cx,
    pub(super) request: &'a Request,
    pub(super) solver: &'a dyn Solver,
}

/// Was it said no, and not merely nothing?
fn is_no(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Refused | FaultKind::Invalid | FaultKind::NotFound)
}

impl Walk<'_> {
    fn now(&self) -> UnixTime {
        self.cx.clock.now()
    }

    fn stepped(&self, step: Step) -> Result<Progress, Fault> {
        Ok(Progress::Stepped(State { ca: self.acme.id.clone(), step }.ticket()?))
    }

    fn waits(&self, step: Step, seconds: i64, what: impl Into<String>) -> Result<Progress, Fault> {
        let ticket = State { ca: self.acme.id.clone(), step }.ticket()?;
        Ok(Progress::Waits { ticket, until: self.now().plus(seconds.clamp(1, WAIT_MAX)), what: what.into() })
    }

    /// Goes one step on. An order that was found to be over before is given up, and another one begun.
    pub(super) async fn step(&self, state: State) -> Result<Progress, Fault> {
        let order = state.order().map(str::to_owned);
        if let Some(order) = &order
            && self.acme.is_over(order)?
        {
            for cleanup in state.cleanups() {
                // It was tried when the order ended, and somebody was told why.
                let _ = self.solver.clean_up(self.cx, cleanup).await;
            }
            return self.stepped(Step::Order { replaces_nothing: false, account_anew: false });
        }
        let result = self.go(state).await.map_err(|fault| match (&order, fault.kind, fault.retry) {
            // Who stands in front of the CA says nothing of the order, and may let us through later.
            (Some(_), FaultKind::Unreachable, Retry::Never) => fault.retry(Retry::Backoff),
            _ => fault,
        });
        if let (Err(fault), Some(order)) = (&result, &order)
            && is_no(fault)
        {
            self.acme.is_now_over(order)?;
        }
        result
    }

    async fn go(&self, state: State) -> Result<Progress, Fault> {
        let account = self.acme.account(self.cx).await?;
        match state.step {
            Step::Account => self.stepped(Step::Order { replaces_nothing: false, account_anew: false }),
            Step::Order { replaces_nothing, account_anew } => {
                self.order(&account, replaces_nothing, account_anew).await
            }
            Step::Authorize { order, proofs } => self.authorize(&account, order, proofs).await,
            Step::Finalize { order, left, looks, since } => {
                self.finalize(&account, order, left, (looks, since)).await
            }
            Step::Download { certificate, left, since } => {
                self.download(&account, certificate, left, since).await
            }
        }
    }

    async fn order(
        &self,
        account: &Account,
        replaces_nothing: bool,
        account_anew: bool,
    ) -> Result<Progress, Fault> {
        let now = self.now();
        let directory = self.acme.ca.directory(self.cx).await?;
        let mut payload = json!({ "identifiers": self.request.names.iter().map(named).collect::<Vec<_>>() });
        if let Some(profile) = self.acme.profile_for(self.request, &directory)? {
            payload["profile"] = json!(profile);
        }
        let replaced = self
            .request
            .replaces
            .as_deref()
            .filter(|_| !replaces_nothing && directory.renewal_info.is_some());
        let replaced = replaced.and_then(ari::certificate_id);
        match &replaced {
            Some(id) => payload["replaces"] = json!(id),
            None => self.acme.ledger.predict(&self.request.names, now)?,
        }
        let sent = self.acme.ca.post(self.cx, &directory.new_order, account.by(), Some(&payload)).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(trouble) if trouble.is("accountDoesNotExist") && !account_anew => {
                self.acme.forget(account)?;
                return self.stepped(Step::Order { replaces_nothing, account_anew: true });
            }
            Err(trouble) if replaced.is_some() && is_about_replacing(&trouble) => {
                return self.stepped(Step::Order { replaces_nothing: true, account_anew });
            }
            Err(trouble) => return Err(trouble.fault("the CA does not take the order", now)),
        };
        let order: OrderDocument = answer.json("an order")?;
        let url = answer.header("location").unwrap_or_default().to_owned();
        self.acme.ca.allowed(&url)?;
        self.acme.ca.allowed(&order.finalize)?;
        // A wildcard and the name below it are two authorizations; nothing makes more of one name.
        if order.authorizations.is_empty() || order.authorizations.len() > self.request.names.len() {
            let said = format!(
                "the CA wants {} authorizations for {} names",
                order.authorizations.len(),
                self.request.names.len()
            );
            return Err(Fault::new(FaultKind::Refused, said).retry(Retry::Never));
        }
        self.acme.ledger.ordered(now)?;
        let fresh = |url| Proof { url, stage: Stage::New, task: None, cleanup: None, looks: 0, since: now.0 };
        self.stepped(Step::Authorize {
            order: Order { url, finalize: order.finalize },
            proofs: order.authorizations.into_iter().map(fresh).collect(),
        })
    }

    async fn authorize(
        &self,
        account: &Account,
        order: Order,
        mut proofs: Vec<Proof>,
    ) -> Result<Progress, Fault> {
        let now = self.now();
        if proofs.iter().any(|proof| proof.stage == Stage::New) {
            for proof in proofs.iter_mut().filter(|proof| proof.stage == Stage::New) {
                let (authorization, _) = self.look(account, &proof.url).await?;
                self.choose(account, proof, authorization)?;
            }
            return self.stepped(Step::Authorize { order, proofs });
        }
        if let Some(proof) = proofs.iter_mut().find(|proof| proof.stage == Stage::Chosen) {
            let Some(task) = &proof.task else { return Err(torn()) };
            proof.cleanup = Some(self.solver.present(self.cx, &task.challenge).await?);
            proof.enter(Stage::Shown, now.0);
            return self.stepped(Step::Authorize { order, proofs });
        }
        for proof in proofs.iter_mut().filter(|proof| proof.stage == Stage::Shown) {
            let Some(task) = &proof.task else { return Err(torn()) };
            proof.looks += 1;
            if self.solver.is_visible(self.cx, &task.challenge).await? {
                self.tell(account, proof).await?;
                return self.stepped(Step::Authorize { order, proofs });
            }
        }
        if let Some(proof) = proofs.iter().find(|proof| proof.stage == Stage::Shown) {
            let Some(Task { challenge, .. }) = &proof.task else { return Err(torn()) };
            // No solver waits for years: what does not fit is as good as for ever.
            let patience = i64::from(u32::try_from(self.solver.patience().as_secs()).unwrap_or(u32::MAX));
            let within = patience + VISIBLE_WITHIN;
            if now.0 - proof.since > within {
                return Err(unseen(challenge, within));
            }
            let (wait, what) = (
                pause(proof.looks),
                format!("what proves control of {} is not to be seen yet", challenge.identifier),
            );
            return self.waits(Step::Authorize { order, proofs }, wait, what);
        }
        let mut wait = None;
        for proof in proofs.iter_mut().filter(|proof| proof.stage == Stage::Told) {
            let (authorization, after) = self.look(account, &proof.url).await?;
            match authorization.status {
                Status::Valid => proof.enter(Stage::Valid, now.0),
                Status::Pending | Status::Processing | Status::Unknown => {
                    proof.looks += 1;
                    let name = authorization.identifier.value;
                    if now.0 - proof.since > DECIDED_WITHIN {
                        return Err(undecided(&format!("the authorization of {name}")));
                    }
                    // Some CAs look once, and keep the challenge open with what went wrong (RFC 8555 section 8.2).
                    let open =
                        authorization.challenges.iter().find_map(|c| Some((&c.kind, c.error.as_ref()?)));
                    let what = match open {
                        Some((kind, problem)) => {
                            let so_far = format!(
                                "the CA could not prove control of {} by {} yet",
                                shown(&name),
                                shown(kind)
                            );
                            problem.fault(&so_far, now).to_string()
                        }
                        None => format!("the CA looks at {name}"),
                    };
                    wait = wait.max(Some((after.unwrap_or_else(|| pause(proof.looks)), what)));
                }
                _ => return Err(self.refused(&authorization, now)?),
            }
        }
        if let Some((wait, what)) = wait {
            return self.waits(Step::Authorize { order, proofs }, wait, what);
        }
        // Everything is proved: what was shown is of no more use.
        let mut left: Vec<Left> =
            proofs.into_iter().filter_map(|proof| Some(Left { cleanup: proof.cleanup?, tries: 0 })).collect();
        self.clean(&mut left).await;
        self.stepped(Step::Finalize { order, left, looks: 0, since: now.0 })
    }

    /// Reads an authorization, with how long the CA wants us to wait before the next look.
    async fn look(&self, account: &Account, url: &str) -> Result<(Authorization, Option<i64>), Fault> {
        let now = self.now();
        let answer = self.acme.ca.post(self.cx, url, account.by(), None).await;
        let answer =
            answer.map_err(|t| t.fault("the CA does not show an authorization of the order", now))?;
        Ok((answer.json("an authorization")?, answer.wait(now)))
    }

    /// What has to be done for an authorization that nobody looked at yet.
    fn choose(
        &self,
        account: &Account,
        proof: &mut Proof,
        authorization: Authorization,
    ) -> Result<(), Fault> {
        let now = self.now();
        let identifier = authorization.identifier.identifier();
        let ordered =
            |identifier: &Identifier| self.request.names.iter().any(|name| base(name) == *identifier);
        let Some(identifier) = identifier.filter(ordered) else {
            let said = format!(
                "the CA wants control of {} proved, which was not ordered",
                shown(&authorization.identifier.value)
            );
            return Err(Fault::new(FaultKind::Refused, said)
                .retry(Retry::Never)
                .hint("nothing was shown to it; is it the CA you mean?"));
        };
        match authorization.status {
            Status::Valid => {
                proof.enter(Stage::Valid, now.0);
                return Ok(());
            }
            Status::Pending | Status::Processing | Status::Unknown => {}
            _ => return Err(self.refused(&authorization, now)?),
        }
        let kind = self.solver.kind();
        let Some(offered) = authorization.challenges.iter().find(|c| c.kind == kind.as_str()) else {
            let kinds: Vec<String> = authorization.challenges.iter().map(|c| shown(&c.kind)).collect();
            let wildcard =
                self.request.names.iter().any(|name| name.is_wildcard() && base(name) == identifier);
            let hint = if wildcard && kind != ChallengeType::Dns01 {
                "a wildcard can be proved by dns-01 alone: set such a solver"
            } else {
                "set a solver for one of those"
            };
            let said =
                format!("the CA takes no {} for {identifier}, only {}", kind.as_str(), kinds.join(", "));
            return Err(Fault::new(FaultKind::Invalid, said).retry(Retry::Never).hint(hint));
        };
        let Some(token) = offered.token.as_deref().filter(|token| is_token(token)) else {
            let said = format!("the CA gave a token for {identifier} that is none (RFC 8555 section 8.3)");
            return Err(Fault::new(FaultKind::Refused, said)
                .retry(Retry::Never)
                .hint("a token of anything but base64url could name files or records of somebody else: nothing was written"));
        };
        self.acme.ca.allowed(&offered.url)?;
        let challenge = Challenge {
            identifier,
            kind,
            token: token.to_owned(),
            key_authorization: format!("{token}.{}", account.key.thumbprint()),
        };
        proof.task = Some(Task { url: offered.url.clone(), challenge });
        proof.enter(Stage::Chosen, now.0);
        Ok(())
    }

    /// Tells the CA that it may look (RFC 8555 section 7.5.1). If it looks already, that was us, before a crash.
    async fn tell(&self, account: &Account, proof: &mut Proof) -> Result<(), Fault> {
        let now = self.now();
        let Some(task) = &proof.task else { return Err(torn()) };
        let mut told = self.told(account, &task.url).await;
        if told.as_ref().is_err_and(|trouble| !matches!(trouble, Trouble::Problem(_))) {
            // Whether the CA heard it is not known, and it may look at this very moment: whoever closes the port now fails the
            // validation. So it is said once more, as RFC 8555 section 8.2 allows.
            told = self.told(account, &task.url).await;
        }
        if let Err(trouble) = told {
            let (authorization, _) = match &trouble {
                Trouble::Problem(problem) if !problem.is("rateLimited") => {
                    self.look(account, &proof.url).await?
                }
                _ => return Err(trouble.fault("the CA does not look", now)),
            };
            let untouched = authorization.status == Status::Pending
                && authorization.challenges.iter().any(|c| c.url == task.url && c.status == Status::Pending);
            if untouched {
                return Err(trouble.fault("the CA does not look", now));
            }
        }
        proof.enter(Stage::Told, now.0);
        Ok(())
    }

    async fn told(&self, account: &Account, url: &str) -> Result<(), Trouble> {
        let answer = self.acme.ca.post(self.cx, url, account.by(), Some(&json!({}))).await?;
        // A page in between is no answer of the CA, which may have heard nothing.
        answer.json::<ChallengeDocument>("a challenge").map(drop).map_err(Trouble::from)
    }

    /// Why an authorization will never be valid, counted.
    fn refused(&self, authorization: &Authorization, now: UnixTime) -> Result<Fault, Fault> {
        let name = &authorization.identifier.value;
        if authorization.status == Status::Invalid
            && let Some(identifier) = authorization.identifier.identifier()
        {
            self.acme.ledger.failed(&identifier, now)?;
        }
        let tried = authorization.challenges.iter().find_map(|c| Some((&c.kind, c.error.as_ref()?)));
        Ok(match tried {
            Some((kind, problem)) => {
                let mut fault = problem.fault(
                    &format!("the CA could not prove control of {} by {}", shown(name), shown(kind)),
                    now,
                );
                // The order is over in any case; whether a new one makes sense is what the fault says.
                if fault.kind == FaultKind::Unreachable {
                    fault.kind = FaultKind::Refused;
                }
                fault
            }
            None => Fault::new(
                FaultKind::Refused,
                format!("the authorization of {} is {:?} at the CA", shown(name), authorization.status),
            )
            .hint("begin a new order"),
        })
    }

    async fn finalize(
        &self,
        account: &Account,
        order: Order,
        mut left: Vec<Left>,
        (looks, since): (u32, i64),
    ) -> Result<Progress, Fault> {
        let now = self.now();
        // What was begun before this was noted counts from now on.
        let since = if since == 0 { now.0 } else { since };
        let again = |left, looks| Step::Finalize { order: order.clone(), left, looks, since };
        let answer = self.acme.ca.post(self.cx, &order.url, account.by(), None).await;
        let mut answer = answer.map_err(|t| t.fault("the CA does not show the order", now))?;
        let mut document: OrderDocument = answer.json("an order")?;
        if document.status == Status::Ready {
            let payload = json!({ "csr": b64(&self.request.csr) });
            match self.acme.ca.post(self.cx, &order.finalize, account.by(), Some(&payload)).await {
                Ok(next) => (document, answer) = (next.json("an order")?, next),
                Err(trouble) if trouble.is("orderNotReady") => {
                    return self.waits(
                        again(left, looks + 1),
                        pause(looks),
                        "the CA is not ready for the request",
                    );
                }
                Err(trouble) => return Err(trouble.fault("the CA refuses the request", now)),
            }
        }
        match document.status {
            Status::Valid => {
                let Some(certificate) = document.certificate else {
                    return Err(undecided("a valid order without a certificate"));
                };
                self.acme.ca.allowed(&certificate)?;
                self.acme.ledger.issued(&self.request.names, now)?;
                self.clean(&mut left).await;
                self.stepped(Step::Download { certificate, left, since: now.0 })
            }
            // Pending: every authorization was valid, and the CA has not noticed yet.
            Status::Processing | Status::Pending | Status::Ready | Status::Unknown => {
                // An end before the beginning is none: one of the two clocks is wrong.
                let expires = document.expires().map(|at| at.0).filter(|at| *at > since);
                let until = expires.unwrap_or(i64::MAX).min(since.saturating_add(MADE_WITHIN));
                if now.0 > until {
                    return Err(undecided("the order"));
                }
                let wait = answer.wait(now).unwrap_or_else(|| pause(looks)).min(until - now.0 + 1);
                self.waits(again(left, looks + 1), wait, "the CA makes the certificate")
            }
            _ => Err(match document.error {
                Some(problem) => {
                    let mut fault = problem.fault("the CA gave the order up", now);
                    if fault.kind == FaultKind::Unreachable {
                        fault.kind = FaultKind::Refused;
                    }
                    fault
                }
                None => {
                    Fault::new(FaultKind::Refused, "the order is invalid at the CA, which does not say why")
                        .hint("begin a new order")
                }
            }),
        }
    }

    async fn download(
        &self,
        account: &Account,
        certificate: String,
        mut left: Vec<Left>,
        since: i64,
    ) -> Result<Progress, Fault> {
        self.clean(&mut left).await;
        if !left.is_empty() {
            let what = format!("{} proofs of control are still shown and cannot be taken back", left.len());
            return self.waits(Step::Download { certificate, left, since }, 5, what);
        }
        let answer = match self.fetch(account, &certificate).await {
            // It is issued and counted: another one is no answer to a part of the CA that does not know of it yet.
            Err(fault) if is_no(&fault) && self.now().0 < since.saturating_add(HANDED_OUT_WITHIN) => {
                let again = Step::Download { certificate, left, since };
                return self.waits(again, 60, format!("it was issued, and {}", fault.context));
            }
            answer => answer?,
        };
        let mut chosen = chain::read(&answer.body)?;
        let wanted = self.request.preferred_chain.as_ref().or(self.acme.settings.preferred_chain.as_ref());
        if let Some(wanted) = wanted.filter(|wanted| chain::root_name(&chosen).as_ref() != Some(wanted)) {
            for url in answer.links("alternate") {
                let other = chain::read(&self.fetch(account, &url).await?.body)?;
                if chain::root_name(&other).as_ref() == Some(wanted) {
                    chosen = other;
                    break;
                }
            }
        }
        Ok(Progress::Issued(Issued { chain: chosen, reference: Some(certificate) }))
    }

    async fn fetch(&self, account: &Account, url: &str) -> Result<Answer, Fault> {
        let answer = self.acme.ca.post_for(self.cx, url, account.by(), None, PEM_CHAIN).await;
        answer.map_err(|t| t.fault("the CA does not hand out the certificate", self.now()))
    }

    /// Takes back what it can. What cannot be taken back is tried again later, and a few times at most: a certificate that
    /// was issued is not withheld for a file that lies about.
    async fn clean(&self, left: &mut Vec<Left>) {
        let mut still = Vec::new();
        for mut one in left.drain(..) {
            one.tries += 1;
            if self.solver.clean_up(self.cx, &one.cleanup).await.is_err() && one.tries < CLEAN_TRIES {
                still.push(one);
            }
        }
        *left = still;
    }
}

impl Acme {
    /// Tells the CA that an order is given up: its pending authorizations would count against us (RFC 8555 section 7.5.2).
    pub(super) async fn withdraw(&self, cx: &Cx, proofs: &[Proof]) -> Result<(), Fault> {
        let account = self.account(cx).await?;
        let payload: Value = json!({ "status": "deactivated" });
        for proof in proofs.iter().filter(|proof| proof.stage != Stage::Valid) {
            // Best effort: it ends by itself too.
            let _ = self.ca.post(cx, &proof.url, account.by(), Some(&payload)).await;
        }
        Ok(())
    }
}

/// A wildcard's authorization is for the name below it (RFC 8555 section 7.1.3).
fn base(name: &Identifier) -> Identifier {
    match name {
        Identifier::Dns(name) => Identifier::Dns(name.strip_prefix("*.").unwrap_or(name).to_owned()),
        Identifier::Ip(ip) => Identifier::Ip(*ip),
    }
}

/// Can it be that the CA minds only what the order replaces (RFC 9773 section 5)? Whatever else a CA says of a plain
/// order it will say again of one that replaces nothing, so only what has to do with the account or with rates is left
/// out: some answer with an internal error where the predecessor is unknown to them.
fn is_about_replacing(trouble: &Trouble) -> bool {
    const NOT: [&str; 4] = ["rateLimited", "userActionRequired", "badNonce", "accountDoesNotExist"];
    match trouble {
        Trouble::Problem(problem) => !NOT.iter().any(|kind| problem.is(kind)),
        Trouble::Fault(_) => false,
    }
}

/// Seconds before the n-th look.
fn pause(looks: u32) -> i64 {
    1 << looks.min(4)
}

fn shown(text: &str) -> String {
    crate::text::cut(&notafter_pki::name::printable(text), 260)
}

fn torn() -> Fault {
    Fault::new(FaultKind::Invalid, "what is kept of the order is incomplete")
        .retry(Retry::Never)
        .hint("give the order up and begin anew; nothing is lost but the order")
}

fn undecided(what: &str) -> Fault {
    Fault::new(FaultKind::Refused, format!("the CA does not come to an end with {what}"))
        .hint("its status page may say more; a new order is made later")
}

fn unseen(challenge: &Challenge, within: i64) -> Fault {
    let said = format!(
        "the {} for {} was shown, and is not to be seen from here after {} minutes",
        challenge.kind.as_str(),
        challenge.identifier,
        within / 60
    );
    Fault::new(FaultKind::Refused, said).hint(match challenge.kind {
        ChallengeType::Dns01 => "do all name servers of the zone answer, and is it the zone that the world sees?",
        _ => "does the name lead to this machine? If only this machine cannot see itself (NAT), set check = false in `solver`",
    })
}
