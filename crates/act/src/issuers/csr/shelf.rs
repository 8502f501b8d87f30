//! The replies that were given by command or on a page, kept until their renewals go on with them.
//!
//! One that was handed out stays for a week, because whoever took it may be killed before it was kept, and is then removed;
//! so is one that has ended. What nobody has come for yet is never dropped for another.

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::Issued;
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::{hex, unhex};
use serde::{Deserialize, Serialize};

use super::ByHand;
use super::reply::Offer;

/// So many are kept, and so much of them, in octets.
const PASTED_MAX: usize = 1_000;
const OCTETS_MAX: usize = 16 << 20;
/// So long one that was handed out is kept, in seconds.
const USED_S: i64 = 7 * 86_400;
/// So often somebody else may come first.
const TRIES: usize = 50;

/// One of them: DER in hexadecimal, the leaf first.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Pasted {
    /// Nobody came for it yet.
    Waits(Vec<String>),
    /// It was handed out.
    Used { chain: Vec<String>, used: i64 },
}

impl Pasted {
    fn chain(&self) -> &[String] {
        match self {
            Self::Waits(chain) | Self::Used { chain, .. } => chain,
        }
    }

    fn is_over(&self, now: UnixTime) -> bool {
        let used = matches!(self, Self::Used { used, .. } if used.saturating_add(USED_S) < now.0);
        let leaf = self.chain().first().and_then(|text| unhex(text));
        let end = leaf.and_then(|der| Certificate::parse(&der).ok()?.not_after());
        used || end.is_none_or(|end| end < now)
    }
}

fn written(issued: &Issued) -> Vec<String> {
    issued.chain.iter().map(|der| hex(der)).collect()
}

impl ByHand {
    fn shelf(&self) -> String {
        format!("csr/{}/pasted", self.name)
    }

    /// What is kept, and the octets that a swap is compared with.
    fn pasted(&self) -> Result<(Vec<Pasted>, Option<Vec<u8>>), Fault> {
        let Some(octets) = self.keep.kept(&self.shelf())? else { return Ok((Vec::new(), None)) };
        let list = serde_json::from_slice(&octets).map_err(|_| {
            Fault::new(FaultKind::Invalid, "the replies that are kept cannot be read any more")
        })?;
        Ok((list, Some(octets)))
    }

    /// All of them, to be held against a request.
    pub(super) fn given(&self) -> Result<Vec<Offer>, Fault> {
        let offer = |one: &Pasted| Offer {
            label: "a reply".to_owned(),
            certificates: one.chain().iter().filter_map(|text| unhex(text)).collect(),
        };
        Ok(self.pasted()?.0.iter().map(offer).collect())
    }

    /// Keeps a reply that fits, until its renewal goes on.
    ///
    /// # Errors
    /// When there is no room for it: nothing else is dropped.
    pub(super) fn take(&self, issued: &Issued, now: UnixTime) -> Result<(), Fault> {
        let entry = written(issued);
        self.change(now, |list| {
            if !list.iter().any(|one| one.chain() == entry) {
                list.push(Pasted::Waits(entry.clone()));
            }
        })
    }

    /// This one was handed out.
    pub(super) fn was_used(&self, issued: &Issued, now: UnixTime) -> Result<(), Fault> {
        let leaf = written(issued).into_iter().next();
        self.change(now, |list| {
            for one in list.iter_mut() {
                if let Pasted::Waits(chain) = one
                    && chain.first() == leaf.as_ref()
                {
                    *one = Pasted::Used { chain: std::mem::take(chain), used: now.0 };
                }
            }
        })
    }

    fn change(&self, now: UnixTime, change: impl Fn(&mut Vec<Pasted>)) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let (mut list, before) = self.pasted()?;
            let had = list.len();
            list.retain(|one| !one.is_over(now));
            change(&mut list);
            let octets = serde_json::to_vec(&list).map_err(|e| {
                Fault::new(FaultKind::System, format!("a reply could not be written down: {e}"))
            })?;
            if list.len() > had && (list.len() > PASTED_MAX || octets.len() > OCTETS_MAX) {
                return Err(full(&self.name, list.len() - 1));
            }
            if before.as_ref() == Some(&octets)
                || self.keep.keep(&self.shelf(), before.as_deref(), &octets)?
            {
                return Ok(());
            }
        }
        Err(Fault::new(FaultKind::System, "other processes write down replies all the time"))
    }
}

fn full(name: &str, count: usize) -> Fault {
    Fault::new(FaultKind::System, format!("{count} replies are kept for the issuer {name}, and there is no room for another"))
        .retry(Retry::Never)
        .hint("nothing was changed: let the renewals that wait go on (is the server running?), or put the answer into a `folder` of the issuer; a reply is removed a week after it was used")
}
