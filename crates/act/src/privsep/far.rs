//! The far side behind the near joints: a deployer, a solver and keys that are with the process that installs.
//!
//! What needs no rights (which files are written, what a person has to do) is answered here, from the configuration. What
//! comes back from the other side to be kept is the name of something that it keeps itself.

use std::sync::Arc;
use std::time::Duration;

use notafter_core::deployment::{Bundle, Check, Key, Receipt};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, ChallengeType, Cleanup, Identifier, KeyType};
use notafter_core::joints::{BoxFuture, Cx, Deployer, Solver};
use notafter_core::location::Location;
use serde_json::json;

use super::client::Client;
use super::message::{Answer, Chain, Order};
use super::{handle, placeholder};

/// Installs by asking.
pub struct FarDeployer {
    client: Arc<Client>,
    /// The same target, built here: it is asked what it would write, and never to write it.
    near: Arc<dyn Deployer>,
    certificate: String,
    target: String,
}

impl FarDeployer {
    /// For a target of a certificate, by their names in the configuration.
    pub fn new(client: Arc<Client>, near: Arc<dyn Deployer>, certificate: &str, target: &str) -> Self {
        Self { client, near, certificate: certificate.to_owned(), target: target.to_owned() }
    }

    async fn compare(&self) -> Option<Check> {
        let what = format!("{} of {} at `notafter act`", self.target, self.certificate);
        let hint = "both processes have to be given the same tables; systemctl reload notafter-act";
        let near = self.near.places();
        match places(&self.client, &self.certificate, &self.target).await {
            Err(fault) => Some(failed(what, fault)),
            Ok(far) if far.iter().eq(near.iter().map(Location::as_str)) => None,
            Ok(far) => {
                let said = format!("it would write {} there", far.join(", "));
                Some(Check::fails(what, said, hint))
            }
        }
    }
}

/// Which files a target writes, by the configuration of the process that installs.
///
/// # Errors
/// It cannot be asked, or knows no such target.
pub async fn places(client: &Client, certificate: &str, target: &str) -> Result<Vec<String>, Fault> {
    let order = Order::Places { certificate: certificate.to_owned(), target: target.to_owned() };
    match client.ask(&order).await? {
        Answer::Places(places) => Ok(places),
        _ => Err(strange()),
    }
}

/// What lies in the files that a target writes, for whoever may not read them: where, and the certificate there.
///
/// # Errors
/// It cannot be asked, or knows no such target.
pub async fn look(client: &Client, certificate: &str, target: &str) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let order = Order::Look { certificate: certificate.to_owned(), target: target.to_owned() };
    match client.ask(&order).await? {
        Answer::Seen(seen) => Ok(seen
            .into_iter()
            .filter_map(|(at, Chain(chain))| Some((at, chain.into_iter().next()?)))
            .collect()),
        _ => Err(strange()),
    }
}

/// Has the revocation lists of a CA written, where the configuration of the process that installs says. Blocks.
///
/// # Errors
/// It cannot be asked, knows no such CA, or cannot write them.
pub fn publish(client: &Client, issuer: &str, lists: Vec<Vec<u8>>) -> Result<(), Fault> {
    done(client.ask_now(&Order::Publish { issuer: issuer.to_owned(), lists: Chain(lists) })?)
}

impl Deployer for FarDeployer {
    fn places(&self) -> Vec<Location> {
        self.near.places()
    }

    fn opens(&self, place: &str) -> Vec<String> {
        self.near.opens(place)
    }

    fn deploy<'a>(&'a self, _: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move {
            let key = handle(&bundle.key).ok_or_else(|| {
                let said = format!(
                    "the private key of {} was made in this process, and is not handed to the one that installs",
                    bundle.name
                );
                Fault::new(FaultKind::Invalid, said)
                    .hint(format!("notafter renew {}: a new key is made where it is used", bundle.name))
            })?;
            let order = Order::Deploy {
                certificate: self.certificate.clone(),
                target: self.target.clone(),
                generation: bundle.generation,
                chain: Chain(bundle.chain.clone()),
                key: key.to_owned(),
            };
            match self.client.ask(&order).await? {
                Answer::Deployed { before } => {
                    // What undoes it is kept where it is undone.
                    Ok(Receipt { generation: bundle.generation, before, undo: json!({ "kept": "act" }) })
                }
                _ => Err(strange()),
            }
        })
    }

    fn roll_back<'a>(&'a self, _: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let order = Order::RollBack {
                certificate: self.certificate.clone(),
                target: self.target.clone(),
                generation: receipt.generation,
            };
            done(self.client.ask(&order).await?)
        })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            if let Some(check) = self.compare().await {
                return vec![check];
            }
            let order =
                Order::Rehearse { certificate: self.certificate.clone(), target: self.target.clone() };
            checks(self.client.ask(&order).await, &self.target)
        })
    }

    fn by_hand(&self) -> Option<&[String]> {
        self.near.by_hand()
    }
}

/// Shows by asking.
pub struct FarSolver {
    client: Arc<Client>,
    kind: ChallengeType,
    certificate: String,
    patience: Duration,
}

impl FarSolver {
    /// For the names of a certificate. `patience`: that of the solver that is asked.
    pub fn new(client: Arc<Client>, kind: ChallengeType, certificate: &str, patience: Duration) -> Self {
        Self { client, kind, certificate: certificate.to_owned(), patience }
    }
}

impl Solver for FarSolver {
    fn kind(&self) -> ChallengeType {
        self.kind
    }

    fn present<'a>(&'a self, _: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<Cleanup, Fault>> {
        let order = Order::Present { certificate: self.certificate.clone(), challenge: challenge.clone() };
        Box::pin(async move {
            match self.client.ask(&order).await? {
                Answer::Shown(handle) => Ok(Cleanup(json!({ "act": handle }))),
                _ => Err(strange()),
            }
        })
    }

    fn is_visible<'a>(&'a self, _: &'a Cx, challenge: &'a Challenge) -> BoxFuture<'a, Result<bool, Fault>> {
        let order = Order::IsVisible { certificate: self.certificate.clone(), challenge: challenge.clone() };
        Box::pin(async move {
            match self.client.ask(&order).await? {
                Answer::Visible(seen) => Ok(seen),
                _ => Err(strange()),
            }
        })
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn clean_up<'a>(&'a self, _: &'a Cx, cleanup: &'a Cleanup) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let Some(handle) = cleanup.0["act"].as_str() else {
                let said = "what is to be taken back was shown before `notafter act` was there";
                return Err(Fault::new(FaultKind::Invalid, said).retry(Retry::Never));
            };
            let order = Order::CleanUp { certificate: self.certificate.clone(), handle: handle.to_owned() };
            done(self.client.ask(&order).await?)
        })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, name: &'a Identifier) -> BoxFuture<'a, Vec<Check>> {
        let order = Order::RehearseSolver { certificate: self.certificate.clone(), name: name.clone() };
        Box::pin(async move { checks(self.client.ask(&order).await, self.kind.as_str()) })
    }
}

/// Has a key made where it is used, or a request signed with one that was; what comes back as the key is its name.
///
/// # Errors
/// It cannot be asked, or no certificate of its configuration has these names and this type of key.
pub fn make(
    client: &Client,
    names: &[Identifier],
    key: KeyType,
    kept: Option<&Key>,
) -> Result<(Key, Vec<u8>), Fault> {
    let names = names.to_vec();
    let order = match kept {
        None => Order::Key { names, key },
        Some(kept) => {
            let handle = handle(kept).ok_or_else(|| {
                Fault::new(FaultKind::Invalid, "the private key of this renewal was made in this process, and is not handed to the one that installs")
                    .hint("notafter renew NAME begins another one, whose key is made where it is used")
            })?;
            Order::Request { names, key, handle: handle.to_owned() }
        }
    };
    match client.ask_now(&order)? {
        Answer::Made { handle, csr: Chain(mut csr) } if csr.len() == 1 => {
            Ok((placeholder(&handle), csr.remove(0)))
        }
        _ => Err(strange()),
    }
}

fn done(answer: Answer) -> Result<(), Fault> {
    match answer {
        Answer::Done => Ok(()),
        _ => Err(strange()),
    }
}

fn checks(answer: Result<Answer, Fault>, what: &str) -> Vec<Check> {
    match answer {
        Ok(Answer::Checks(checks)) => checks,
        Ok(_) => vec![failed(what.to_owned(), strange())],
        Err(fault) => vec![failed(what.to_owned(), fault)],
    }
}

fn failed(what: String, fault: Fault) -> Check {
    let hint = fault.hint.clone().unwrap_or_else(|| "look at its log: journalctl -u notafter-act".into());
    Check::fails(what, fault.context, hint)
}

fn strange() -> Fault {
    Fault::new(FaultKind::System, "`notafter act` answered another question than the one it was asked")
        .hint("both processes have to be of one version: restart both")
}
