//! The providers of the crate `dns-update`, one row each in `rows.rs`: their APIs, and what comes back, in plain words.
//!
//! One call adds or takes away one value. What a provider says may repeat what it was sent, the secret in an address among
//! it, so every secret is covered before anything is told.

use std::sync::Arc;
use std::time::Duration;

use dns_update::{DnsRecord, DnsRecordType, DnsUpdater, Error};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx};
use notafter_pki::name::printable;
use serde_json::Value;

use super::provider::{Plain, Provider, Purse, Record, Room, Values};
use crate::text::cut;

/// How long one exchange may take, and how long all that a provider needs for one record.
pub(super) const EXCHANGE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(150);
/// How much of an answer is shown.
const SHOWN_MAX: usize = 400;

/// How the values of one name are kept there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As a set: one is added and taken away beside others.
    Set,
    /// One, and a new one takes its place.
    One,
    /// The same, and the credential belongs to the host and not to the zone.
    OneByHost,
}

/// A provider.
pub(super) struct Row {
    /// As lego calls it.
    pub(super) name: &'static str,
    /// Other names for it.
    pub(super) aliases: &'static [&'static str],
    /// What it has to be told.
    pub(super) fields: &'static [Plain],
    /// The usual lifetime of a record, in seconds: lego's default, because some take no less.
    pub(super) ttl: u32,
    pub(super) shape: Shape,
    /// Makes its client.
    pub(super) build: fn(&Values) -> dns_update::Result<DnsUpdater>,
}

/// A provider with its settings.
pub(super) struct Api {
    row: &'static Row,
    purse: Arc<Purse>,
}

impl Api {
    /// # Errors
    /// A sentence for the person who wrote the settings.
    pub(super) fn open(row: &'static Row, purse: Arc<Purse>) -> Result<Self, String> {
        let this = Self { row, purse };
        this.client().map(|_| this)
    }

    fn client(&self) -> Result<(DnsUpdater, Values), String> {
        let values = self.purse.values(self.row.fields)?;
        match (self.row.build)(&values) {
            Ok(client) => Ok((client, values)),
            Err(error) => Err(format!(
                "the provider {} cannot be used so: {}\nhint: look at its settings",
                self.row.name,
                cut(&printable(&values.mask(&error.to_string())), SHOWN_MAX)
            )),
        }
    }

    async fn change(&self, record: &Record, away: bool) -> Result<(), Fault> {
        let (client, values) = self.client().map_err(|said| Fault::new(FaultKind::NotFound, said))?;
        let zone = match self.row.shape {
            Shape::OneByHost => record.place.strip_prefix("_acme-challenge.").unwrap_or(&record.place),
            _ => record.zone()?,
        };
        let (place, txt) = (record.place.as_str(), DnsRecordType::TXT);
        let one = vec![DnsRecord::TXT(record.value.clone())];
        let work = async {
            match (self.row.shape, away) {
                (Shape::Set, false) => client.add_to_rrset(place, txt, record.ttl, one, zone).await,
                (Shape::Set, true) => client.remove_from_rrset(place, txt, one, zone).await,
                (_, false) => client.set_rrset(place, txt, record.ttl, one, zone).await,
                (_, true) => client.set_rrset(place, txt, record.ttl, Vec::new(), zone).await,
            }
        };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Error::NotFound)) if away => Ok(()),
            Ok(Err(error)) => Err(self.judge(&error, record, &values)),
            Err(_) => Err(Fault::new(
                FaultKind::Unreachable,
                format!("{} was not done after {} s", self.row.name, PATIENCE.as_secs()),
            )),
        }
    }

    /// What an error means. The order is as it was, whatever it is: nobody told the CA.
    fn judge(&self, error: &Error, record: &Record, values: &Values) -> Fault {
        let name = self.row.name;
        let zone = record.zone.as_deref().unwrap_or("?");
        let said = cut(&printable(&values.mask(&error.to_string())), SHOWN_MAX);
        match error {
            Error::Unauthorized => {
                Fault::new(FaultKind::PermissionDenied, format!("{name} does not accept the credential"))
                    .hint("is it still valid, and may it change records of this zone?")
            }
            Error::NotFound => {
                Fault::new(FaultKind::PermissionDenied, format!("{name} does not know the zone {zone}"))
                    .hint("is it in this account, and may the credential see it? `zone` in the solver's table names another one")
            }
            _ if said.contains("HTTP 403") || said.contains("HTTP 401") => {
                Fault::new(FaultKind::PermissionDenied, format!("{name} refuses: {said}"))
                    .hint("may the credential change records of this zone?")
            }
            Error::Unsupported(_) => {
                Fault::new(FaultKind::System, format!("{name} cannot do that: {said}"))
                    .hint("use an exec hook for this provider")
            }
            _ => Fault::new(FaultKind::Unreachable, format!("{name}: {said}")),
        }
    }
}

impl Provider for Api {
    fn called(&self) -> String {
        self.row.name.to_owned()
    }

    fn room(&self) -> Room {
        if self.row.shape == Shape::Set { Room::Many } else { Room::One }
    }

    fn add<'a>(&'a self, _: &'a Cx, record: &'a Record) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move { self.change(record, false).await.map(|()| Value::Null) })
    }

    fn remove<'a>(&'a self, _: &'a Cx, record: &'a Record, _: &'a Value) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.change(record, true))
    }
}
