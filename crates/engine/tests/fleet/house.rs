//! So many certificates that are kept alive, with providers that only count: what planning is measured and tried on.
//!
//! Used by the tests beside it and by `cargo xtask bench` (group `renew`). What providers really do is tested elsewhere.

#![allow(dead_code, reason = "each user takes its own part")]

#[path = "../idle/nothing.rs"]
mod idle;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use idle::Nothing;
use notafter_core::UnixTime;
use notafter_core::calendar::Calendar;
use notafter_core::clock::Clock;
use notafter_core::deployment::{Check, Key};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::{Identifier, KeyType, Progress, Request, RevocationReason, Ticket};
use notafter_core::joints::{BoxFuture, Cx, Issuer, Solver};
use notafter_core::renew::{Renewal, State};
use notafter_engine::clock::SimulatedClock;
use notafter_engine::renew::pass::{Keeping, pass};
use notafter_engine::renew::{Managed, ManagedTarget, Tools};
use notafter_store::works::Note;
use notafter_store::{Database, Store};

pub(crate) const NOW: UnixTime = UnixTime(1_795_262_400);
pub(crate) const DAY: i64 = 86_400;

/// Counts what is asked of it, and issues nothing. Its clock runs as far behind ours as it is told.
#[derive(Default)]
pub(crate) struct Counts {
    orders: AtomicUsize,
    /// So many seconds; nothing is known of its clock where there is none.
    pub(crate) behind: Mutex<Option<i64>>,
}

impl Issuer for Counts {
    fn begin<'a>(&'a self, _: &'a Cx, _: &'a Request) -> BoxFuture<'a, Result<Ticket, Fault>> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(Fault::new(FaultKind::Unreachable, "it only counts")) })
    }

    fn advance<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Request,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<Progress, Fault>> {
        Box::pin(async { Err(Fault::new(FaultKind::Unreachable, "it only counts")) })
    }

    fn abandon<'a>(
        &'a self,
        _: &'a Cx,
        _: &'a Ticket,
        _: &'a dyn Solver,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn time<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Option<UnixTime>, Fault>> {
        let behind = *self.behind.lock().unwrap();
        Box::pin(async move { Ok(behind.map(|behind| cx.clock.now().plus(-behind))) })
    }

    fn revoke<'a>(&'a self, _: &'a Cx, _: &'a [u8], _: RevocationReason) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx, _: &'a Request, _: &'a dyn Solver) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async { Vec::new() })
    }
}

/// A leaf for one name, from now on for ninety days.
fn leaf(name: &str) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let at = |t: UnixTime| time::OffsetDateTime::from_unix_timestamp(t.0).unwrap();
    (params.not_before, params.not_after) = (at(NOW), at(NOW.plus(90 * DAY)));
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) keeping: Arc<Keeping>,
    pub(crate) issuer: Arc<Counts>,
    pub(crate) clock: Arc<SimulatedClock>,
    cx: Cx,
    folder: std::path::PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// So many certificates, each renewed today.
pub(crate) fn house(name: &str, count: usize) -> House {
    let folder = std::env::temp_dir().join(format!("notafter-fleet-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let store = Arc::new(Store::open(&Database::File(folder.join("notafter.db")), NOW).unwrap());
    let issuer = Arc::new(Counts::default());
    let der = leaf("srv.test");
    let managed = (0..count).map(|n| {
        let mut renewal = Renewal::begin(&format!("c{n}"), 1, "a test", NOW.plus(-DAY));
        (renewal.state, renewal.chain) = (State::Proved, vec![der.clone(), der.clone()]);
        store.begin_work(&renewal, &Note::default(), NOW).unwrap();
        Managed {
            name: renewal.name,
            names: vec![Identifier::parse("srv.test").unwrap()],
            key: KeyType::EcdsaP256,
            profile: None,
            preferred_chain: None,
            lifetime_s: None,
            issuers: vec![("ca".to_owned(), Arc::clone(&issuer) as Arc<dyn Issuer>)],
            solver: Arc::new(Nothing),
            targets: vec![ManagedTarget {
                label: "files 1".to_owned(),
                wave: 0,
                deployer: Arc::new(Nothing),
                prove: Vec::new(),
                excused: Vec::new(),
                grace_s: 60,
                made_from: String::new(),
            }],
            windows: None,
            revoke_old: false,
            rehearse_s: None,
            made_from: String::new(),
            goes_to: String::new(),
        }
    });
    let managed = managed.collect();
    let tools = Tools {
        keep: Arc::new(Nothing),
        probe: Arc::new(Nothing),
        make: Arc::new(|_, _, _| Ok((Key::new(vec![1]), vec![1]))),
        calendar: Calendar::default(),
        holder: "me".to_owned(),
        is_gone: Arc::new(|_| false),
        may: Arc::new(|_| Ok(())),
    };
    let clock = Arc::new(SimulatedClock::at(NOW));
    let cx = Cx::new(Arc::clone(&clock) as Arc<dyn Clock>, "here".into());
    House {
        store,
        keeping: Arc::new(Keeping::new(managed, Vec::new(), Vec::new(), tools)),
        issuer,
        clock,
        cx,
        folder,
    }
}

impl House {
    /// Begins anew, as a process does: everything is read again.
    pub(crate) fn restart(&mut self) {
        let (managed, tools) = (self.keeping.managed.clone(), self.keeping.tools.clone());
        self.keeping = Arc::new(Keeping::new(managed, Vec::new(), Vec::new(), tools));
    }

    /// One pass.
    pub(crate) async fn look(&self) -> (UnixTime, Option<String>) {
        pass(&self.store, &self.keeping, &self.cx, &Arc::default()).await
    }

    /// So many were ordered.
    pub(crate) fn orders(&self) -> usize {
        self.issuer.orders.load(Ordering::Relaxed)
    }
}

/// What this process holds, in MiB.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
}
