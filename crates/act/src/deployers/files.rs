//! Files on this machine: written beside, checked, switched as one, and put back when the server would not start.
//!
//! The heart of deploying. `settings.rs` is the table, `render.rs` makes octets, `guard.rs` opens folders, `disk.rs` has
//! every effect on them, `outlet.rs` finds where a file is, `store.rs` keeps the generations, `switch.rs` puts one in
//! force. Here is the order of it: settle what was left, write, switch, check, reload, note. What is in place already is
//! not written again, and is checked and reloaded all the same. Everything that touches the disk runs on a thread for
//! blocking work, under a lock that lasts to the end.

mod disk;
mod guard;
mod haproxy;
mod install;
mod newer;
mod outlet;
mod plain;
mod rehearse;
mod render;
mod settings;
mod store;
mod switch;
#[cfg(test)]
mod tests;
mod trial;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::deployment::{Bundle, Check, Receipt, Trial};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Deployer};
use notafter_core::location::Location;
use serde_json::Value;

use super::environment::{Paths, variables};
use super::{BuildCx, Built, command};
use disk::{Steps, Unhindered};
pub(super) use install::ended;
use install::{Session, apart, back, carry_on, in_place};
pub(super) use newer::{is_newer, refused as is_older};
pub(super) use plain::{Plain, Rendered};
pub(super) use render::{Goods, secret};
use settings::{Form, Settings};
pub(super) use settings::{KeyForm, Strength};
pub(super) use trial::{Pair, unreadable};

pub(super) const NAME: &str = "files";
pub(super) const DOC: &str = "Files on this machine: PEM, DER, PKCS#7, PKCS#12, JKS; switched as one.";

pub(super) fn schema() -> Value {
    Settings::schema()
}

pub(super) fn build(table: Value, _: &BuildCx) -> Built {
    Ok(Box::new(Files::open(table)?))
}

/// Opens a folder as a deployment would.
pub(super) fn guarded(folder: &Path, owners: &[u32]) -> Result<(), Fault> {
    let steps: Arc<dyn Steps> = Arc::new(Unhindered);
    let is_root = rustix::process::geteuid().is_root();
    guard::Guard { steps, is_root, owners: owners.to_vec(), found: Vec::new() }.open(folder).map(drop)
}

/// `kind = "files"`
pub(super) struct Files {
    settings: Arc<Settings>,
    steps: Arc<dyn Steps>,
}

impl Files {
    fn open(table: Value) -> Result<Self, String> {
        Ok(Self { settings: Arc::new(Settings::open(table)?), steps: Arc::new(Unhindered) })
    }

    /// Does blocking work on its own thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Settings>, Arc<dyn Steps>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (settings, steps) = (Arc::clone(&self.settings), Arc::clone(&self.steps));
        let done = tokio::task::spawn_blocking(move || work(settings, steps)).await;
        done.map_err(|e| Fault::new(FaultKind::System, format!("the deployment broke off: {e}")))?
    }

    async fn check(&self, environment: &[(String, std::ffi::OsString)]) -> Result<(), Fault> {
        for argv in self.settings.check_commands() {
            command::run(argv, environment, &[]).await?;
        }
        Ok(())
    }

    async fn reload(
        &self,
        environment: &[(String, std::ffi::OsString)],
        session: Session,
    ) -> (Session, Result<(), Fault>) {
        let mut session = session;
        if let (Some(socket), Some(combined)) = (&self.settings.haproxy_socket, &self.settings.combined) {
            let read;
            (session, read) = session.combined().await;
            let told = match read {
                Ok(pem) => haproxy::tell(socket, combined, &pem).await,
                Err(fault) => Err(fault),
            };
            if told.is_err() {
                return (session, told);
            }
        }
        let mut done = Ok(());
        for argv in self.settings.reload_commands() {
            // One that fails is no reason to leave the next one with the old pair.
            done = done.and(command::run(argv, environment, &[]).await);
        }
        (session, done)
    }

    async fn install(&self, goods: Goods) -> Result<Receipt, Fault> {
        let for_disk = goods.clone();
        let (session, installed) = self
            .blocking(move |settings, steps| {
                let session = Session::open(settings, steps)?;
                let installed = session.install(&for_disk)?;
                Ok((session, installed))
            })
            .await?;
        let environment = self.environment(&goods, &session.path(&installed.set), "deploy");
        if installed.is_loaded {
            self.again(session, &environment).await?;
            return Ok(installed.receipt);
        }
        let before = installed.receipt.before.as_ref();
        let usable = before.is_some_and(|b| b.is_usable(notafter_core::UnixTime(goods.now)));
        if let Err(fault) = self.check(&environment).await {
            // One that has ended helps nobody. Where none could be read, what was there is better than what fails.
            if before.is_some() && !usable {
                return Err(carry_on(fault, "the check"));
            }
            let set = installed.before.clone();
            let undone = self.blocking(move |_, _| session.put_back(set.as_deref())).await;
            return Err(back(fault, "the check", undone.map(drop)));
        }
        let (session, reloaded) = self.reload(&environment, session).await;
        if let Err(fault) = reloaded {
            // Never back to one that has ended: a server that runs on the new one is the better of the two.
            if !usable {
                return Err(carry_on(fault, "the reload"));
            }
            let set = installed.before.clone();
            let undone = self.blocking(move |_, _| session.put_back(set.as_deref()).map(|()| session)).await;
            let undone = match undone {
                Ok(session) => {
                    self.reload(&environment, session).await.1.map_err(|fault| apart(fault, "its reload"))
                }
                Err(fault) => Err(fault),
            };
            return Err(back(fault, "the reload", undone));
        }
        let set = installed.set.clone();
        self.blocking(move |_, _| session.finish(&set)).await?;
        Ok(installed.receipt)
    }

    /// Checks and reloads what is in place and was loaded once: whoever asks again did not see it in use. There is nothing to
    /// go back to when that fails, because nothing was replaced.
    async fn again(
        &self,
        session: Session,
        environment: &[(String, std::ffi::OsString)],
    ) -> Result<(), Fault> {
        self.check(environment).await.map_err(|fault| in_place(fault, "the check"))?;
        // The lock lasts until the servers have read the files.
        let (_session, reloaded) = self.reload(environment, session).await;
        reloaded.map_err(|fault| in_place(fault, "the reload"))
    }

    async fn restore(&self, receipt: Receipt, now: notafter_core::UnixTime) -> Result<(), Fault> {
        if receipt.before.as_ref().is_none_or(|before| !before.is_usable(now)) {
            return Err(ended(receipt.before.as_ref()));
        }
        let (session, restored) = self
            .blocking(move |settings, steps| {
                let session = Session::open(settings, steps)?;
                let restored = session.restore(&receipt)?;
                Ok((session, restored))
            })
            .await?;
        if restored.is_loaded {
            return Ok(());
        }
        let mut environment = self.static_environment(&session.path(&restored.set));
        environment.push(("NOTAFTER_EVENT".into(), "roll-back".into()));
        self.check(&environment).await.map_err(|fault| apart(fault, "the check"))?;
        let (session, reloaded) = self.reload(&environment, session).await;
        reloaded.map_err(|fault| apart(fault, "the reload"))?;
        self.blocking(move |_, _| session.note(&restored.set)).await
    }

    /// What a command is told about a deployment.
    fn environment(&self, goods: &Goods, set: &Path, event: &str) -> Vec<(String, std::ffi::OsString)> {
        let settings = &self.settings;
        let chained = if settings.chain.is_none() { settings.certificate.as_deref() } else { None };
        let fullchain = settings.fullchain.as_deref().or(chained).or(settings.certificate.as_deref());
        let paths = Paths {
            folder: Some(set),
            fullchain: fullchain.or(settings.combined.as_deref()),
            key: settings.key.as_deref().or(settings.combined.as_deref()),
            chain: settings.chain.as_deref(),
            combined: settings.combined.as_deref(),
            pkcs12: settings.pkcs12.as_ref().map(|p| p.path.as_path()),
        };
        variables(goods, &paths, event)
    }

    fn static_environment(&self, set: &Path) -> Vec<(String, std::ffi::OsString)> {
        let names = ["NOTAFTER_FOLDER", "RENEWED_LINEAGE"];
        names.iter().map(|name| ((*name).to_owned(), set.as_os_str().to_owned())).collect()
    }
}

impl Deployer for Files {
    fn places(&self) -> Vec<Location> {
        use std::os::unix::ffi::OsStrExt;
        let public = |(form, path): (Form, PathBuf)| {
            let shows = !matches!(form, Form::Key | Form::Chain);
            shows.then(|| Location::file(path.as_os_str().as_bytes(), ""))
        };
        self.settings.forms().into_iter().filter_map(public).collect()
    }

    fn opens(&self, place: &str) -> Vec<String> {
        use std::os::unix::ffi::OsStrExt;
        let here = |path: &Path| Location::file(path.as_os_str().as_bytes(), "").as_str() == place;
        let passwords = self.settings.passwords().filter(|(_, path, _)| here(path));
        passwords.filter_map(|(_, _, secret)| Some(secret.read().ok()?.to_string())).collect()
    }

    fn deploy<'a>(&'a self, cx: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move { self.install(Goods::of(bundle, cx.clock.now())?).await })
    }

    fn roll_back<'a>(&'a self, cx: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.restore(receipt.clone(), cx.clock.now()).await })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(rehearse::rehearse(self))
    }

    fn try_on<'a>(&'a self, cx: &'a Cx, trial: &'a Trial<'a>) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move { vec![trial::try_on(self, trial, cx.clock.now()).await] })
    }
}
