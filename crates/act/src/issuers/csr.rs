//! A CA without an API: the request is written into a folder or shown, a person carries it there, and the certificate that
//! comes back days later is found by its key.
//!
//! It may be dropped into the folder, given to `notafter issuer reply`, or pasted into a page; in which form, under which name and with how much
//! of its chain is all the same (`csr/reply.rs`). Whatever does not fit is told and left alone, and it waits on.
//! `csr/shelf.rs` has what was given and waits;
//! `csr/folder.rs` is the only part that touches a disk. Files have names of ours: nothing of a certificate becomes a path.

mod folder;
mod reply;
mod shelf;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Issued, Progress, Request, RevocationReason, Ticket};
use notafter_core::joints::{BoxFuture, Cx, Issuer, Keep, Solver};
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::{hex, sha256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::BuildCx;
use crate::settings;
use folder::Folder;
use reply::{Judged, Offer};

/// `kind = "csr"`
pub const NAME: &str = "csr";
/// For the reference page.
pub const DOC: &str =
    "A CA without an API: writes the request into a folder and waits until somebody brings the certificate.";

/// Somebody stands beside it: looked at so often, in seconds.
const SOON_S: i64 = 5;
/// For so long, in seconds.
const BEGINNING_S: i64 = 600;
/// And later so often, in seconds.
const LATER_S: i64 = 60;

/// The table.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where requests are written and replies are looked for. Default: nowhere; the request is shown on the page of the renewal
    /// and by `notafter issuer request`, and its answer is brought there or by `notafter issuer reply`.
    folder: Option<PathBuf>,
    /// A PEM file with the CA's own certificates: they complete a chain that came without, and a reply that leads to none
    /// of them is not taken.
    chain: Option<PathBuf>,
}

/// An issuer that is a person.
pub struct ByHand {
    name: String,
    folder: Option<Folder>,
    chain: Option<PathBuf>,
    keep: Arc<dyn Keep>,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slip {
    issuer: String,
    /// Of the request: 16 hexadecimal digits.
    id: String,
    /// When it was written.
    since: i64,
}

/// The JSON schema of the table.
pub fn schema() -> Value {
    settings::schema::<Settings>()
}

/// The id of a request: nothing of what it asks for is in it.
fn id_of(csr: &[u8]) -> String {
    let mut id = hex(&sha256(csr));
    id.truncate(16);
    id
}

impl ByHand {
    /// Checks the settings. No file is looked at.
    ///
    /// # Errors
    /// A sentence for the person who wrote the table.
    pub fn open(table: Value, cx: &BuildCx) -> Result<Self, String> {
        let read: Settings = settings::read(table, &schema())?;
        if let Some(folder) = read.folder.as_deref().filter(|folder| !folder.is_absolute()) {
            return Err(format!(
                "`folder` = {} depends on where the program is started\nhint: folder = \"/var/lib/notafter-requests\"",
                folder.display()
            ));
        }
        Ok(Self {
            name: cx.name.clone(),
            folder: read.folder.map(Folder::new),
            chain: read.chain,
            keep: Arc::clone(&cx.keep),
        })
    }

    /// Takes a request away again, where one was written.
    fn forget(&self, id: &str) -> Result<(), Fault> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.forget(id))
    }

    /// The CA certificates that were configured.
    fn known(&self) -> Result<Vec<Vec<u8>>, Fault> {
        let Some(file) = &self.chain else { return Ok(Vec::new()) };
        let told = |why: String| {
            Fault::new(FaultKind::NotFound, format!("`chain` of the issuer {}: {why}", self.name))
                .hint("a PEM file with the CA's certificates, readable for this user")
        };
        let octets = folder::read(file).map_err(|why| told(format!("{} {why}", file.display())))?;
        let found = reply::certificates(&octets);
        if found.is_empty() {
            return Err(told(format!("{} holds no certificate", file.display())));
        }
        Ok(found)
    }

    /// Does this reply fit a request? What it came to, ready to be handed out.
    fn fits(&self, request: &Request, octets: &[u8], now: UnixTime) -> Result<Issued, Fault> {
        let offers = [Offer { label: "it".to_owned(), certificates: reply::certificates(octets) }];
        match reply::judge(request, &offers, &self.known()?, now) {
            Judged::Fits(issued) => Ok(issued),
            Judged::Not(reasons) => {
                let said = reasons.into_iter().map(|r| r.said).next();
                Err(Fault::new(FaultKind::Refused, said.unwrap_or_else(|| "it holds no certificate".into()))
                    .retry(Retry::Never))
            }
        }
    }

    fn slip(&self, ticket: &Ticket) -> Result<Slip, Fault> {
        let slip: Option<Slip> = serde_json::from_value(ticket.0.clone()).ok();
        // The id becomes a file name: nothing but what we wrote.
        let plain = |id: &str| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
        slip.filter(|slip| slip.issuer == self.name && plain(&slip.id)).ok_or_else(|| {
            Fault::new(FaultKind::Invalid, format!("this ticket is none of the issuer {}", self.name))
        })
    }

    fn look(&self, request: &Request, slip: &Slip, now: UnixTime) -> Result<Progress, Fault> {
        let known = self.known()?;
        if let Judged::Fits(issued) = reply::judge(request, &self.given()?, &known, now) {
            // Not written down, it stays a little longer: nothing that is in the way of a certificate.
            let _ = self.was_used(&issued, now);
            let _ = self.forget(&slip.id);
            return Ok(Progress::Issued(issued));
        }
        let every = if now.0 < slip.since + BEGINNING_S { SOON_S } else { LATER_S };
        let Some(folder) = &self.folder else {
            let what = format!(
                "waits for a certificate, since {}: `notafter issuer request {name}` and the page of the renewal show the request; give the answer there, or with: notafter issuer reply {name} FILE",
                UnixTime(slip.since),
                name = self.name,
            );
            return Ok(Progress::Waits { ticket: ticket(slip)?, until: now.plus(every), what });
        };
        let path = folder.write(&slip.id, &request.csr)?;
        let seen = folder.look(slip.since)?;
        let mut reasons = match reply::judge(request, &seen.offers, &known, now) {
            Judged::Fits(issued) => {
                let _ = self.forget(&slip.id);
                return Ok(Progress::Issued(issued));
            }
            Judged::Not(reasons) => reasons,
        };
        // Replies to other requests, and what lay there before, are nobody's mistake.
        reasons.retain(|r| r.ours || (seen.fresh.contains(&r.label) && !seen.others(r.key.as_deref())));
        reasons.sort_by_key(|r| !r.ours);
        let mut words: Vec<String> = reasons.into_iter().map(|r| r.said).collect();
        words.extend(seen.unread);
        let more = words.len().saturating_sub(3);
        words.truncate(3);
        let mut what = format!(
            "waits for the certificate of {}, since {}: put it into {}, or give it with: notafter issuer reply {} FILE",
            path.display(),
            UnixTime(slip.since),
            folder.path().display(),
            self.name,
        );
        if !words.is_empty() {
            what.push_str(&format!("; not taken: {}", words.join("; ")));
        }
        if more > 0 {
            what.push_str(&format!("; and {more} more"));
        }
        Ok(Progress::Waits { ticket: ticket(slip)?, until: now.plus(every), what })
    }
}

fn ticket(slip: &Slip) -> Result<Ticket, Fault> {
    let value = serde_json::to_value(slip);
    value.map(Ticket).map_err(|e| Fault::new(FaultKind::System, format!("a ticket: {e}")))
}

impl Issuer for ByHand {
    fn begin<'a>(&'a self, cx: &'a Cx, request: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        Box::pin(async move {
            let slip = Slip { issuer: self.name.clone(), id: id_of(&request.csr), since: cx.clock.now().0 };
            if let Some(folder) = &self.folder {
                folder.write(&slip.id, &request.csr)?;
            }
            ticket(&slip)
        })
    }

    fn advance<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        ticket: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(async move { self.look(request, &self.slip(ticket)?, cx.clock.now()) })
    }

    fn abandon<'a>(
        &'a self,
        _: &'a Cx,
        ticket: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.forget(&self.slip(ticket)?.id) })
    }

    fn revoke<'a>(
        &'a self,
        _: &'a Cx,
        leaf: &'a [u8],
        _: RevocationReason,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let serial = Certificate::parse(leaf).map(|c| hex(c.serial())).unwrap_or_default();
            Err(Fault::new(
                FaultKind::Invalid,
                format!("{} has no API: nobody but a person can ask it to revoke {serial}", self.name),
            ))
        })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request, _: &'a dyn Solver) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            let told = |what: &str, fault: Fault| {
                Check::fails(what, fault.context, fault.hint.unwrap_or_else(|| "see `folder`".into()))
            };
            let mut checks = Vec::new();
            checks.push(match self.folder.as_ref().map(|folder| (folder, folder.probe())) {
                None => Check::works(
                    "the request",
                    "is shown on the page of the renewal; a person brings the certificate",
                ),
                Some((folder, probed)) => {
                    let what = format!("the folder {}", folder.path().display());
                    match probed {
                        Ok(()) => Check::works(what, "can be written; a person brings the certificate"),
                        Err(fault) => told(&what, fault),
                    }
                }
            });
            if self.chain.is_some() {
                checks.push(match self.known() {
                    Ok(known) => Check::works("the CA's certificates", format!("{} in `chain`", known.len())),
                    Err(fault) => told("the CA's certificates", fault),
                });
            }
            checks
        })
    }

    fn is_by_hand(&self) -> bool {
        true
    }

    fn reply<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        octets: &'a [u8],
    ) -> BoxFuture<'a, Result<Issued, Fault>> {
        Box::pin(async move {
            let issued = self.fits(request, octets, cx.clock.now())?;
            self.take(&issued, cx.clock.now())?;
            Ok(issued)
        })
    }
}
