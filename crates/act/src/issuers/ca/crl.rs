//! Revocation lists (RFC 5280 section 5): when a new one is made, what stands on it, and where it is written.
//!
//! A list is made anew when something was revoked, and when half of its time is over: whoever fetches it in between has
//! one that is good for days. What has ended leaves the list after it has stood on one made after its end
//! (section 3.3).

use std::path::Path;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::RevocationReason;
use notafter_pki::certificate::Certificate;
use notafter_pki::container;
use notafter_pki::crl::Crl;
use notafter_pki::fingerprint::hex;
use notafter_pki::time::DAY;
use notafter_pki::verify::{SignatureVerdict, is_signed_by};

use super::book::{Listed, Made, Revoked, bytes};
use super::make::{newest, unreadable};
use super::write::{self, Entry, List};
use super::{BACKDATE_S, Ca};
use crate::deployers;
use crate::privsep;
use notafter_pki::container::pem;

/// How long the root's list is good for, in days: nothing ever stands on it.
const ROOT_DAYS: i64 = 365;
/// So often somebody else may revoke while a list is made.
const TRIES: usize = 20;

/// The lists as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// Of the certificates that were issued; DER.
    pub list: Vec<u8>,
    /// Of the intermediates; DER.
    pub root_list: Vec<u8>,
    /// The number of the first.
    pub number: u64,
    /// When the first was made.
    pub at: UnixTime,
    /// When the first lapses.
    pub next: UnixTime,
    /// How many stand on the first.
    pub revoked: usize,
}

impl Lists {
    /// Both as PEM: servers that check clients want one of each CA of the chain.
    pub fn pem(&self) -> String {
        pem_of(&self.list, &self.root_list)
    }
}

impl Ca {
    /// The lists, made anew where that is due.
    ///
    /// # Errors
    /// There is no CA; the memory.
    pub fn lists(&self, now: UnixTime) -> Result<Lists, Fault> {
        let made = self.made()?;
        for _ in 0..TRIES {
            let before = self.book.revoked()?;
            let mut after = before.clone();
            if before.changed || is_due(before.list.as_ref(), now) {
                let last = before.list.as_ref().map(|l| l.at);
                // It stood on a list that was made after its end: it may go.
                after.entries.retain(|e| last.is_none_or(|at| e.not_after >= at));
                let entries: Result<Vec<Entry>, Fault> = after.entries.iter().map(entry).collect();
                let next = now.plus(i64::from(self.plan.crl_days) * DAY);
                let key = (&newest(&made)?, made.intermediate_key.as_str());
                after.list = Some(self.list(&made, key, &entries?, before.list.as_ref(), (now, next))?);
                after.changed = false;
            }
            if is_due(before.root_list.as_ref(), now) {
                let key = (&bytes(&made.root)?, made.root_key.as_str());
                let next = now.plus(ROOT_DAYS * DAY);
                after.root_list = Some(self.list(&made, key, &[], before.root_list.as_ref(), (now, next))?);
            }
            if after == before || self.book.put_lists(&before, &after)? {
                return shown(&after);
            }
        }
        Err(Fault::new(FaultKind::System, "certificates are revoked faster than a list can be made"))
    }

    fn list(
        &self,
        made: &Made,
        (issuer, key): (&Vec<u8>, &str),
        entries: &[Entry],
        last: Option<&Listed>,
        (now, next): (UnixTime, UnixTime),
    ) -> Result<Listed, Fault> {
        let issuer = Certificate::parse(issuer).map_err(|_| unreadable())?;
        let signer = self.book.signer(key, made.key_type)?;
        let number = last.map_or(1, |l| l.number + 1);
        let tbs = List {
            algorithm: &signer.algorithm(),
            issuer: issuer.subject().der(),
            this_update: now.plus(-BACKDATE_S),
            next_update: next,
            entries,
            extensions: vec![
                write::authority_key_id(issuer.subject_key_id().unwrap_or_default()),
                write::crl_number(number),
            ],
        }
        .tbs();
        Ok(Listed { number, at: now.0, next: next.0, der: hex(&signer.sign(&tbs)?) })
    }

    /// Revokes a certificate that this CA issued, and makes the new list. That the list could not be written where `crl_file`
    /// says takes nothing back: it is said beside it.
    ///
    /// # Errors
    /// It is not of this CA; the memory. Then nothing was revoked.
    pub fn revoke_leaf(
        &self,
        leaf: &[u8],
        reason: RevocationReason,
        now: UnixTime,
    ) -> Result<Revoking, Fault> {
        let made = self.made()?;
        let stranger = || {
            Fault::new(
                FaultKind::Invalid,
                format!("this certificate was not issued by the CA `{}`", self.name),
            )
        };
        let certificate = Certificate::parse(leaf).map_err(|_| stranger())?;
        let intermediate = newest(&made)?;
        let above = Certificate::parse(&intermediate).map_err(|_| unreadable())?;
        // One key for all intermediates there ever were: the newest speaks for all of them.
        if certificate.issuer_name().der() != above.subject().der()
            || is_signed_by(&certificate, above.spki()) != SignatureVerdict::Good
        {
            return Err(stranger());
        }
        let news = certificate.not_after().is_none_or(|end| end > now)
            && self.book.revoke(&certificate, reason, now)?;
        Ok(Revoking { news, unlisted: self.publish(now).err() })
    }

    /// Makes the list anew where that is due, and writes it where `crl_file` says. When it wants to be asked again.
    ///
    /// # Errors
    /// The memory; the file.
    pub fn publish(&self, now: UnixTime) -> Result<Option<UnixTime>, Fault> {
        let Some(file) = &self.plan.crl_file else { return Ok(None) };
        let lists = self.lists(now)?;
        match &self.act {
            Some(act) => {
                privsep::publish(act, &self.name, vec![lists.list.clone(), lists.root_list.clone()])?
            }
            None => put(file, &lists)?,
        }
        Ok(Some(UnixTime(lists.at.0 + (lists.next.0 - lists.at.0) / 2)))
    }
}

/// What came of revoking.
#[derive(Debug)]
pub struct Revoking {
    /// `false`: it was revoked already, or has ended.
    pub news: bool,
    /// Why the list is not where `crl_file` says: whoever reads it there does not learn it before it is written.
    pub unlisted: Option<Fault>,
}

/// None yet, half of its time over, or made at a time that is still to come.
fn is_due(list: Option<&Listed>, now: UnixTime) -> bool {
    list.is_none_or(|l| now.0 >= l.at + (l.next - l.at) / 2 || now.0 < l.at - BACKDATE_S)
}

fn entry(revocation: &super::book::Revocation) -> Result<Entry, Fault> {
    let serial = bytes(&revocation.serial)?;
    Ok(Entry { serial, at: UnixTime(revocation.at), reason: revocation.reason.code() })
}

fn shown(revoked: &Revoked) -> Result<Lists, Fault> {
    let (Some(list), Some(root)) = (&revoked.list, &revoked.root_list) else { return Err(unreadable()) };
    Ok(Lists {
        list: bytes(&list.der)?,
        root_list: bytes(&root.der)?,
        number: list.number,
        at: UnixTime(list.at),
        next: UnixTime(list.next),
        revoked: revoked.entries.len(),
    })
}

/// The same for another process, which is not believed: they have to be lists, none older than what is there, and nobody else
/// may be able to turn the folder.
///
/// # Errors
/// They are none; they are older; the folder is not ours; as for [`put`].
pub fn put_for(file: &Path, lists: &[Vec<u8>]) -> Result<(), Fault> {
    let refused = |what: &str| {
        Fault::new(FaultKind::Refused, format!("{}: {what}", file.display()))
            .retry(Retry::Never)
            .hint("nothing was touched")
    };
    let [list, root_list] = lists else { return Err(refused("a CA has two revocation lists")) };
    let parsed = |der| Crl::parse(der).map_err(|_| refused("what came is no revocation list"));
    let (ours, _) = (parsed(list)?, parsed(root_list)?);
    deployers::guarded(file.parent().unwrap_or(Path::new("/")), &[])?;
    if let Ok(there) = std::fs::read(file) {
        let limits = container::Limits::default();
        let opened = container::open(&there, &[], &limits);
        let there = opened.found.iter().find_map(|found| match &found.content {
            container::Content::Crl(der) => Crl::parse(der).ok(),
            _ => None,
        });
        let same = there.filter(|there| there.issuer_name().der() == ours.issuer_name().der());
        if same.is_some_and(|there| there.this_update() > ours.this_update()) {
            return Err(refused("the revocation list that is there is younger"));
        }
    }
    replace(file, list, root_list)
}

/// Writes the lists into a file: DER (the first alone) where its name ends in `.crl` or `.der`, else PEM. In one step;
/// what is there is replaced if it is a list, and only then.
///
/// # Errors
/// Something else is there; the file cannot be written.
pub fn put(file: &Path, lists: &Lists) -> Result<(), Fault> {
    replace(file, &lists.list, &lists.root_list)
}

fn pem_of(list: &[u8], root_list: &[u8]) -> String {
    pem::encode("X509 CRL", list) + &pem::encode("X509 CRL", root_list)
}

fn replace(file: &Path, list: &[u8], root_list: &[u8]) -> Result<(), Fault> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let told = |e: std::io::Error| {
        let kind = FaultKind::from(&e);
        Fault::new(kind, format!("the revocation list could not be written to {}: {e}", file.display()))
            .hint("the folder must be there, and writable for this user")
    };
    let der =
        file.extension().is_some_and(|e| e.eq_ignore_ascii_case("crl") || e.eq_ignore_ascii_case("der"));
    let body = if der { list.to_vec() } else { pem_of(list, root_list).into_bytes() };
    match std::fs::symlink_metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(told(e)),
        Ok(there) => {
            let before = if there.is_file() && there.len() < 64 << 20 {
                std::fs::read(file).map_err(told)?
            } else {
                Vec::new()
            };
            if before == body {
                return Ok(());
            }
            if !there.is_file() || !is_list(&before) {
                return Err(Fault::new(
                    FaultKind::Invalid,
                    format!("{} is there and is no revocation list: it is left as it is", file.display()),
                )
                .hint("name another file"));
            }
        }
    }
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = file.with_file_name(format!(".{name}.{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&beside)
        .and_then(|mut f| f.write_all(&body).and_then(|()| f.sync_all()))
        .and_then(|()| std::fs::rename(&beside, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(told)
}

fn is_list(bytes: &[u8]) -> bool {
    bytes.starts_with(b"-----BEGIN X509 CRL-----") || Crl::parse(bytes).is_ok()
}
