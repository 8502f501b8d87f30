//! dns-01 (RFC 8555 section 8.4): a TXT record at `_acme-challenge.NAME`, or where aliases of that name end.
//!
//! This file is the order of things: find the place and the zone, write down what is going to be shown, let the provider
//! show it, look at every server of the zone, take back our own value and nothing else. Who the provider is, and how it
//! is spoken to, is in `dns_01/`. It decides nothing about when, and asks no CA.

mod acme_dns;
mod api;
mod ask;
mod hooks;
mod look;
mod provider;
mod rehearse;
mod rfc2136;
mod rows;
mod settings;
mod trace;
mod walk;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier};
use notafter_core::joints::{BoxFuture, Cx, Solver};
use notafter_pki::dns::name;
use notafter_pki::fingerprint::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::look::{View, look};
use self::provider::{Provider, Record, Room};
pub(super) use self::settings::{patience, runs_a_program, schema};
use self::trace::Trace;
pub(crate) use self::walk::{Resolver, server as server_at};
use self::walk::{Server, Zone};
use super::BuildCx;
use crate::issuers::acme::jws::b64;

/// A solver.
pub(super) struct Dns01 {
    provider: Box<dyn Provider>,
    /// Whose turn it is to change something there: many change a set by reading and writing it.
    turn: Option<Arc<tokio::sync::Mutex<()>>>,
    resolver: Resolver,
    /// Instead of the servers that the zone names.
    authoritative: Vec<SocketAddr>,
    /// Where those listen.
    port: u16,
    /// Instead of the one that is found.
    zone: Option<String>,
    /// Is looked whether the record can be seen?
    check: bool,
    /// How long it may take until it can; without a look, how long is waited.
    propagation: Duration,
    ttl: u32,
    trace: Trace,
}

/// What a `Cleanup` holds.
#[derive(Serialize, Deserialize)]
struct Left {
    record: Record,
    #[serde(default)]
    memo: Value,
}

/// One at a time for each provider and account.
fn turn(of: &str) -> Arc<tokio::sync::Mutex<()>> {
    static TURNS: OnceLock<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>> = OnceLock::new();
    let turns = TURNS.get_or_init(Mutex::default);
    let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(turns.entry(of.to_owned()).or_default())
}

/// The order at the CA is as it was, whatever went wrong here: only what ends the waiting for a record ends the order.
fn spare(mut fault: Fault) -> Fault {
    if matches!(fault.kind, FaultKind::Refused | FaultKind::Invalid | FaultKind::NotFound) {
        fault.kind = FaultKind::PermissionDenied;
    }
    fault
}

impl Dns01 {
    pub(super) fn open(table: Value, cx: &BuildCx) -> Result<Self, String> {
        let trace = Trace::new(Arc::clone(&cx.keep), &table);
        let read = settings::read(table, cx)?;
        Ok(Self {
            turn: read.provider.takes_turns().then(|| turn(&read.provider.called())),
            provider: read.provider,
            resolver: read.resolver,
            authoritative: read.authoritative,
            port: read.port,
            zone: read.zone,
            check: read.check,
            propagation: read.propagation,
            ttl: read.ttl,
            trace: trace.patient(read.propagation),
        })
    }

    /// The name that is proved, without `*.`.
    fn domain(identifier: &Identifier) -> Result<&str, Fault> {
        match identifier {
            Identifier::Dns(name) => {
                let bare = name.strip_prefix("*.").unwrap_or(name);
                if walk::is_plain(bare) {
                    return Ok(bare);
                }
                let said = format!("`{}` is no name of a host", name.escape_debug());
                Err(Fault::new(FaultKind::Invalid, said).hint("nothing was asked and nothing written for it"))
            }
            Identifier::Ip(ip) => Err(Fault::new(
                FaultKind::Invalid,
                format!("{ip} is an address, and dns-01 proves names alone (RFC 8738 section 7)"),
            )
            .retry(Retry::Never)
            .hint("set http-01 or tls-alpn-01 as the solver")),
        }
    }

    /// The aliases of the record of a name, the last one its place; and the zone of that, where it was seen.
    async fn way(&self, domain: &str) -> Result<(Vec<String>, Option<Zone>), Fault> {
        let port = (self.check && self.authoritative.is_empty()).then_some(self.port);
        self.resolver.follow(&format!("_acme-challenge.{domain}"), port).await
    }

    /// The zone of a place.
    async fn zone(&self, place: &str) -> Result<Zone, Fault> {
        let Some(zone) = &self.zone else { return self.resolver.zone(place).await };
        if !name::is_within(place, zone) {
            let said = format!("{place} is not in the zone {zone} that is set");
            return Err(
                Fault::new(FaultKind::System, said).hint("leave out `zone`, or name the one it is in")
            );
        }
        let primary = self.resolver.zone(zone).await.map(|found| found.primary).unwrap_or_default();
        Ok(Zone { name: zone.clone(), primary })
    }

    /// The record for a challenge.
    async fn record(
        &self,
        identifier: &Identifier,
        token: &str,
        authorization: &str,
    ) -> Result<Record, Fault> {
        let domain = Self::domain(identifier)?;
        let (mut way, seen) = self.way(domain).await?;
        let place = way.pop().unwrap_or_default();
        let found = match seen {
            Some(zone) if self.zone.is_none() => Ok(zone),
            _ => self.zone(&place).await,
        };
        let zone = match found {
            Ok(zone) => Some(zone),
            Err(fault) if self.provider.needs_zone() => return Err(fault),
            Err(_) => None,
        };
        let (zone, primary) = zone.map(|z| (z.name, z.primary)).unzip();
        Ok(Record {
            domain: domain.to_owned(),
            token: token.to_owned(),
            authorization: authorization.to_owned(),
            place,
            zone,
            primary: primary.filter(|name| walk::is_plain(name)),
            value: b64(&sha256(authorization.as_bytes())),
            ttl: self.ttl,
        })
    }

    async fn of(&self, challenge: &Challenge) -> Result<Record, Fault> {
        self.record(&challenge.identifier, &challenge.token, &challenge.key_authorization).await
    }

    /// All servers of the zone, at all their addresses; and which of them are not known.
    async fn servers(&self, record: &Record) -> Result<(Vec<Server>, Vec<String>), Fault> {
        if !self.authoritative.is_empty() {
            let servers = self.authoritative.iter().map(|address| Server { name: None, address: *address });
            return Ok((servers.collect(), Vec::new()));
        }
        let zone = match &record.zone {
            Some(zone) => zone.clone(),
            None => self.zone(&record.place).await?.name,
        };
        self.resolver.name_servers(&zone, self.port).await
    }

    async fn look(&self, record: &Record) -> Result<View, Fault> {
        let (servers, missing) = self.servers(record).await?;
        Ok(look(&record.place, &record.value, servers, missing).await)
    }

    /// Shows it. A trace is kept before.
    async fn show(&self, cx: &Cx, record: &Record) -> Result<Value, Fault> {
        let now = cx.clock.now().0;
        if let Some(fault) = self.provider.objects(record) {
            return Err(fault);
        }
        self.make_room(record, now)?;
        self.trace.begin(record, now)?;
        if self.provider.room() == Room::LastTwo
            && self.look(record).await.is_ok_and(|view| view.is_anywhere())
        {
            // Written again, it would push out the other of the two.
            return Ok(Value::Null);
        }
        let memo = {
            let _turn = self.my_turn().await;
            self.provider.add(cx, record).await?
        };
        if !memo.is_null() {
            self.trace.note(record, &memo)?;
        }
        Ok(memo)
    }

    async fn my_turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        match &self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }

    /// Is there room for another value at the same name?
    fn make_room(&self, record: &Record, now: i64) -> Result<(), Fault> {
        let most = match self.provider.room() {
            Room::Many => return Ok(()),
            Room::LastTwo => 2,
            Room::One => 1,
        };
        if self.trace.beside(record, now)? < most {
            return Ok(());
        }
        let said = format!(
            "{} holds {most} value{} at one name, and {} is in use by another challenge",
            self.provider.called(),
            if most == 1 { "" } else { "s" },
            record.place
        );
        Err(Fault::new(FaultKind::System, said).hint(
            "a name and its wildcard in one certificate are two values: make two certificates, or delegate the name (CNAME) to a provider that holds more",
        ))
    }

    /// Takes it back, and the trace with it.
    async fn take_back(&self, cx: &Cx, record: &Record, memo: &Value) -> Result<(), Fault> {
        // Where one value takes the place of another, what is there now may be somebody else's.
        let is_ours = self.provider.room() == Room::Many || self.trace.beside(record, cx.clock.now().0)? == 0;
        if is_ours {
            let _turn = self.my_turn().await;
            self.provider.remove(cx, record, memo).await?;
        }
        self.trace.forget(record)
    }

    /// Takes back what somebody was killed over, long ago. Whether that goes well is no matter of the present.
    async fn reap(&self, cx: &Cx) {
        for shown in self.trace.forgotten(cx.clock.now().0).unwrap_or_default() {
            let _ = self.take_back(cx, &shown.record, &shown.memo).await;
        }
    }

    async fn is_shown(&self, cx: &Cx, challenge: &Challenge) -> Result<bool, Fault> {
        let record = self.of(challenge).await.map_err(spare)?;
        let now = cx.clock.now().0;
        let since = match self.trace.since(&record)? {
            Some(since) => since,
            None => {
                self.trace.begin(&record, now)?;
                now
            }
        };
        let late = now.saturating_sub(since) >= self.propagation.as_secs() as i64;
        if !self.check {
            return Ok(late);
        }
        let view = self.look(&record).await?;
        if view.is_visible() || !late {
            return Ok(view.is_visible());
        }
        let said = format!(
            "the record {} was shown, and after {} minutes not every name server has it: {}",
            record.place,
            self.propagation.as_secs() / 60,
            view.said()
        );
        Err(Fault::new(FaultKind::Refused, said).hint(if view.is_anywhere() {
            "the CA was not asked: it could ask the server that is behind. Do zone transfers (NOTIFY, AXFR) reach it?"
        } else if view.is_answered() {
            "the CA was not asked. Is this the zone that the world sees, and does the provider publish what it is told?"
        } else {
            "the CA was not asked. Can this machine reach port 53 of those servers? If only it cannot, set check = false"
        }))
    }
}

impl Solver for Dns01 {
    fn kind(&self) -> ChallengeType {
        ChallengeType::Dns01
    }

    fn present<'a>(&'a self, cx: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        Box::pin(async move {
            self.reap(cx).await;
            let record = self.of(challenge).await.map_err(spare)?;
            let memo = self.show(cx, &record).await.map_err(spare)?;
            let left = serde_json::to_value(Left { record, memo });
            left.map(Cleanup).map_err(|e| Fault::new(FaultKind::System, e.to_string()))
        })
    }

    fn is_visible<'a>(&'a self, cx: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(self.is_shown(cx, challenge))
    }

    fn patience(&self) -> Duration {
        self.propagation
    }

    fn clean_up<'a>(&'a self, cx: &'a Cx, cleanup: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let left: Left = serde_json::from_value(cleanup.0.clone()).map_err(|e| {
                Fault::new(FaultKind::System, format!("what is kept of a record in DNS is incomplete: {e}"))
                    .retry(Retry::Never)
            })?;
            self.take_back(cx, &left.record, &left.memo).await.map_err(spare)
        })
    }

    fn rehearse<'a>(
        &'a self,
        cx: &'a Cx,
        name: &'a Identifier,
    ) -> BoxFuture<'a, Vec<notafter_core::deployment::Check>> {
        Box::pin(self.checks(cx, name))
    }
}

#[cfg(test)]
mod tests;
