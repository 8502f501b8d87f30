//! Would dns-01 work today? The aliases are followed, the zone and its servers found, and a record of no meaning is shown
//! where a real one would be, looked for, and taken back.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use notafter_core::deployment::Check;
use notafter_core::fault::Fault;
use notafter_core::issuance::Identifier;
use notafter_core::joints::Cx;

use super::look::View;
use super::provider::{Record, Room};
use super::{Dns01, spare};
use crate::issuers::acme::jws::b64;

/// So long a rehearsal looks for its record at most; a renewal has more patience.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(3);

fn failed(what: String, fault: Fault) -> Check {
    Check::fails(
        what,
        fault.context,
        fault.hint.unwrap_or_else(|| "look at the log of the name server".to_owned()),
    )
}

impl Dns01 {
    pub(super) async fn checks(&self, cx: &Cx, name: &Identifier) -> Vec<Check> {
        let domain = match Self::domain(name) {
            Ok(domain) => domain,
            Err(fault) => return vec![failed(format!("dns-01 of {name}"), fault)],
        };
        let mut checks = Vec::new();
        let what = format!("_acme-challenge.{domain}");
        match self.way(domain).await {
            Ok((way, _)) if way.len() < 2 => {
                checks.push(Check::works(what, "it is no alias: the record is written there"))
            }
            Ok((way, _)) => {
                checks.push(Check::works(what, format!("an alias (CNAME): {}", way.join(" -> "))))
            }
            Err(fault) => return vec![failed(what, fault)],
        }
        let mut random = [0; 24];
        if SystemRandom::new().fill(&mut random).is_err() {
            checks.push(Check::fails(
                "randomness",
                "there is none on this machine",
                "look at the kernel's log",
            ));
            return checks;
        }
        let token = format!("rehearsal-{}", b64(&random));
        let record = match self.record(name, &token, &format!("{token}.rehearsal")).await {
            Ok(record) => record,
            Err(fault) => {
                checks.push(failed(format!("zone of _acme-challenge.{domain}"), fault));
                return checks;
            }
        };
        if self.check {
            match self.servers_check(&record).await {
                Ok(check) => checks.push(check),
                Err(check) => {
                    checks.push(check);
                    return checks;
                }
            }
        }
        checks.extend(self.try_out(cx, &record).await);
        checks
    }

    /// Do the servers of the zone answer? `Err`: none does, and to go on is in vain.
    async fn servers_check(&self, record: &Record) -> Result<Check, Check> {
        let zone = record.zone.as_deref().unwrap_or("?");
        let what = format!("name servers of {zone}");
        let view = match self.look(record).await {
            Ok(view) => view,
            Err(fault) => return Err(failed(what, fault)),
        };
        if !view.is_answered() {
            let hint = "can this machine reach port 53 of the servers? If only it cannot, set check = false";
            return Err(Check::fails(what, format!("none answers for the zone{}", view.absent()), hint));
        }
        let absent = view.absent();
        let because = if absent.is_empty() {
            format!("all {} answer", view.servers.len())
        } else {
            format!("they answer, but not all{absent}")
        };
        Ok(Check::works(what, because))
    }

    async fn try_out(&self, cx: &Cx, record: &Record) -> Vec<Check> {
        let what = format!("write {} by {}", record.place, self.provider.called());
        let in_use = self.trace.beside(record, cx.clock.now().0).unwrap_or_default();
        if self.provider.room() != Room::Many && in_use > 0 {
            return vec![Check::works(what, "it is used for a challenge at this moment")];
        }
        self.reap(cx).await;
        let memo = match self.show(cx, record).await {
            Ok(memo) => memo,
            Err(fault) => {
                let check = failed(what, spare(fault));
                // What was begun may have been done all the same.
                let _ = self.take_back(cx, record, &serde_json::Value::Null).await;
                return vec![check];
            }
        };
        let mut checks = vec![Check::works(what, "done")];
        if self.check {
            checks.push(self.seen(cx, record).await);
        }
        let back = format!("take back {}", record.place);
        checks.push(match self.take_back(cx, record, &memo).await {
            Ok(()) if self.provider.room() == Room::LastTwo => {
                Check::works(back, "not needed: it is pushed out by what is shown later")
            }
            Ok(()) => Check::works(back, "done"),
            Err(fault) => failed(back, fault),
        });
        checks
    }

    /// Looks until every server has it, or patience ends.
    async fn seen(&self, cx: &Cx, record: &Record) -> Check {
        let what = format!("see {} at every name server", record.place);
        let begun = cx.clock.monotonic();
        let patience = self.propagation.min(PATIENCE);
        loop {
            let view: View = match self.look(record).await {
                Ok(view) => view,
                Err(fault) => return failed(what, fault),
            };
            let took = cx.clock.monotonic().saturating_sub(begun);
            if view.is_visible() {
                return Check::works(what, format!("{}, after {} s", view.said(), took.as_secs()));
            }
            if took >= patience {
                return Check::fails(
                    what,
                    format!("after {} s, {}", took.as_secs(), view.said()),
                    "a renewal would wait, and give up without asking the CA: do zone transfers reach the server that is behind, and is the provider only slow?",
                );
            }
            // Servers take what was written from one another in their own time; nothing tells when.
            tokio::time::sleep(PAUSE.min(patience)).await;
        }
    }
}
