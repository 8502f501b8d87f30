//! A CA of one's own: a root, an intermediate that is bound by name constraints, a policy, and revocation lists.
//!
//! Made by a person's command (`found`), never by a renewal. `ca/policy.rs` says what is issued, `ca/make.rs` makes root and
//! intermediate, `ca/issue.rs` a certificate, `ca/crl.rs` the lists; `ca/book.rs` is what is kept, `ca/write.rs` the DER,
//! `ca/sign.rs` the keys, which never leave `Keep` in clear. It needs no solver: the policy says which names are ours.
//!
//! It has no OCSP responder and no network of its own.

mod book;
mod crl;
mod issue;
mod make;
mod policy;
mod settings;
mod sign;
mod subject;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::deployment::Check;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Identifier, Issued, Progress, Request, RevocationReason, Ticket};
use notafter_core::joints::{BoxFuture, Cx, Issuer, Solver};
use notafter_pki::certificate::Certificate;
use serde_json::Value;

pub use book::{Record, Revocation};
pub use crl::{Lists, Revoking, put, put_for};
pub use make::Founding;
pub use settings::crl_file;

use super::BuildCx;
use crate::privsep::Client;
use book::{Book, Made};
use issue::Slip;
use policy::Asked;
use settings::Plan;

/// `kind = "ca"`
pub const NAME: &str = "ca";
/// For the reference page.
pub const DOC: &str = "A CA of your own, with a policy. Made with `notafter ca init`.";

/// Certificates begin so much before now: clocks differ. In seconds.
const BACKDATE_S: i64 = 300;

/// A CA of one's own.
pub struct Ca {
    name: String,
    plan: Plan,
    book: Book,
    /// Who writes the lists, where that is another process.
    act: Option<Arc<Client>>,
}

/// A CA as people look at it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When it was made.
    pub made: UnixTime,
    /// The root's certificate, DER.
    pub root: Vec<u8>,
    /// The newest of the intermediate's, DER.
    pub intermediate: Vec<u8>,
    /// The newest that were issued, the last first.
    pub issued: Vec<Record>,
    /// What is revoked and has not ended.
    pub revoked: Vec<Revocation>,
}

/// The JSON schema of the table.
pub fn schema() -> Value {
    settings::schema()
}

/// 127 bits, of which 126 are random (RFC 5280 section 4.1.2.2: positive, 20 octets at most).
fn serial() -> Result<[u8; 16], Fault> {
    let mut octets = [0; 16];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| Fault::new(FaultKind::System, "the system gives no random numbers"))?;
    octets[0] = octets[0] & 0x7f | 0x40;
    Ok(octets)
}

impl Ca {
    /// Checks the settings. Whether the CA was made is asked when it is needed.
    ///
    /// # Errors
    /// A sentence for the person who wrote the table.
    pub fn open(table: Value, cx: &BuildCx) -> Result<Self, String> {
        let plan = settings::read(table)?;
        let name = &cx.name;
        let plain = (1..=40).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !plain {
            return Err(
                "a CA's name is kept with its keys: 1 to 40 letters, digits, - and _\nhint: name = \"house\""
                    .into(),
            );
        }
        let book = Book::new(Arc::clone(&cx.keep), name);
        Ok(Self { name: name.clone(), plan, book, act: cx.act.clone() })
    }

    fn made(&self) -> Result<Made, Fault> {
        self.book.made()?.ok_or_else(|| {
            // Somebody may make it meanwhile: it is asked again.
            Fault::new(FaultKind::NotFound, format!("the CA `{}` was not made yet", self.name))
                .hint(format!("notafter ca init {}", self.name))
        })
    }

    /// What there is of it, with so many of the newest certificates.
    ///
    /// # Errors
    /// There is none; the memory.
    pub fn standing(&self, most: usize) -> Result<Standing, Fault> {
        let made = self.made()?;
        Ok(Standing {
            made: UnixTime(made.at),
            root: book::bytes(&made.root)?,
            intermediate: make::newest(&made)?,
            issued: self.book.newest(most)?,
            revoked: self.book.revoked()?.entries,
        })
    }

    /// Issues one certificate by hand, by the same policy.
    ///
    /// # Errors
    /// The policy; there is no CA; the memory.
    pub fn issue(
        &self,
        names: &[Identifier],
        csr: &[u8],
        lifetime_s: Option<i64>,
        now: UnixTime,
    ) -> Result<Record, Fault> {
        let asked = Asked { names, csr, lifetime_s, profile: None };
        self.issue_for(&self.slip()?, &asked, now)
    }

    /// A certificate with the intermediate behind it, DER; no root.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub fn chain(&self, record: &Record) -> Result<Vec<Vec<u8>>, Fault> {
        let made = self.made()?;
        let above = made.intermediates.get(record.above).map_or("", String::as_str);
        Ok(vec![record.leaf()?, book::bytes(above)?])
    }

    /// What was issued under this serial number (hexadecimal).
    ///
    /// # Errors
    /// The memory.
    pub fn issued(&self, serial: &str) -> Result<Option<Record>, Fault> {
        self.book.search(serial)
    }

    fn checks(&self, request: &Request, now: UnixTime) -> Vec<Check> {
        let what = format!("the CA {}", self.name);
        let failed = |what: &str, fault: Fault| {
            Check::fails(what, fault.context, fault.hint.unwrap_or_else(|| "see `notafter ca show`".into()))
        };
        let standing = self.made().and_then(|made| {
            let intermediate = make::newest(&made)?;
            self.book.signer(&made.intermediate_key, made.key_type)?;
            let above = Certificate::parse(&intermediate).map_err(|_| make::unreadable())?;
            let end = above
                .not_after()
                .filter(|end| *end > now)
                .ok_or_else(|| self.over("its intermediate has ended"))?;
            match policy::outside(&above, &request.names) {
                Some(name) => Err(policy::too_narrow(&name, &self.name)),
                None => Ok(format!("it can sign, until {end}")),
            }
        });
        let asked = Asked {
            names: &request.names,
            csr: &request.csr,
            lifetime_s: request.lifetime_s,
            profile: request.profile.as_ref(),
        };
        vec![
            match standing {
                Ok(said) => Check::works(what, said),
                Err(fault) => failed(&what, fault),
            },
            match self.plan.policy.check(&asked) {
                Ok(_) => Check::works("its policy", "permits what would be asked for"),
                Err(fault) => failed("its policy", fault),
            },
        ]
    }
}

impl Issuer for Ca {
    fn begin<'a>(&'a self, _: &'a Cx, request: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        Box::pin(async move {
            self.plan.policy.check(&Asked {
                names: &request.names,
                csr: &request.csr,
                lifetime_s: request.lifetime_s,
                profile: request.profile.as_ref(),
            })?;
            self.made()?;
            let slip = serde_json::to_value(self.slip()?);
            slip.map(Ticket).map_err(|e| Fault::new(FaultKind::System, format!("a ticket: {e}")))
        })
    }

    fn advance<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        ticket: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(async move {
            let slip: Option<Slip> = serde_json::from_value(ticket.0.clone()).ok();
            let slip = slip.filter(|slip| slip.ca == self.name).ok_or_else(|| {
                Fault::new(FaultKind::Invalid, format!("this ticket is none of the CA `{}`", self.name))
            })?;
            let asked = Asked {
                names: &request.names,
                csr: &request.csr,
                lifetime_s: request.lifetime_s,
                profile: request.profile.as_ref(),
            };
            let record = self.issue_for(&slip, &asked, cx.clock.now())?;
            Ok(Progress::Issued(Issued { chain: self.chain(&record)?, reference: Some(record.serial) }))
        })
    }

    fn abandon<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn revoke<'a>(
        &'a self,
        cx: &'a Cx,
        leaf: &'a [u8],
        reason: RevocationReason,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.revoke_leaf(leaf, reason, cx.clock.now()).map(drop) })
    }

    fn tend<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Option<UnixTime>, Fault>> {
        Box::pin(async move {
            // Nothing is to be looked after before somebody made it.
            if self.plan.crl_file.is_none() || self.book.made()?.is_none() {
                return Ok(None);
            }
            self.publish(cx.clock.now())
        })
    }

    fn rehearse<'a>(
        &'a self,
        cx: &'a Cx,
        request: &'a Request,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move { self.checks(request, cx.clock.now()) })
    }
}
