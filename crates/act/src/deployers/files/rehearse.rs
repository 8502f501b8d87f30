//! Would a deployment of files work today? Writes one empty scratch file beside the real ones, and removes it; `trial.rs` then
//! tries a whole pair there.
//!
//! It does not reload. The check is run with what is in force: one that fails now would fail then.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use notafter_core::deployment::Check;
use notafter_core::fault::Fault;

use super::Files;
use super::disk::{Attributes, Entry, shown};
use super::guard::{Guard, split};
use super::settings::{Form, Layout, Settings};
use crate::deployers::keystore::password::choose as keystore_password;
use crate::deployers::{able, command};

/// A certificate, its chain and its key in every form take far less.
const ROOM: u64 = 1 << 20;
/// No server's keystore is larger.
const STORE_MAX: u64 = 16 << 20;
const SCRATCH: &str = ".notafter-rehearsal";

pub(super) async fn rehearse(files: &Files) -> Vec<Check> {
    let steps = Arc::clone(&files.steps);
    let looked = files.blocking(move |settings, _| Ok(look(&settings, &steps))).await;
    let mut checks = match looked {
        Ok(checks) => checks,
        Err(fault) => vec![failed("the files".to_owned(), &fault)],
    };
    for argv in files.settings.check_commands() {
        let name = argv.argv.join(" ");
        checks.push(match command::run(argv, &[], &[]).await {
            Ok(_) => Check::works(format!("check: {name}"), "it passes with what is in place"),
            Err(fault) => failed(format!("check: {name}"), &fault),
        });
    }
    for argv in files.settings.reload_commands() {
        let name = argv.argv.join(" ");
        checks.push(match able::able(argv).await {
            Ok(because) => Check::works(format!("reload: {name}"), because),
            Err(fault) => failed(format!("reload: {name}"), &fault),
        });
    }
    checks
}

pub(super) fn failed(what: String, fault: &Fault) -> Check {
    Check::fails(what, fault.to_string(), fault.hint.clone().unwrap_or_else(|| "see the message".to_owned()))
}

fn look(settings: &Settings, steps: &Arc<dyn super::Steps>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut seen = Vec::new();
    for (form, path) in settings.forms() {
        let base = (settings.layout() == Layout::Generations).then(|| settings.base().ok()).flatten();
        let place = base.as_deref().unwrap_or(&path).to_owned();
        let guard = Guard::of(settings, steps);
        let folder = place.parent().unwrap_or(Path::new("/")).to_owned();
        if !seen.contains(&folder) {
            let what = format!("write to {}", shown(&folder));
            checks.push(match write(&guard, &place) {
                Ok(because) => Check::works(what, because),
                Err(fault) => failed(what, &fault),
            });
            seen.push(folder);
        }
        checks.extend(password(settings, form));
        checks.extend(kept_password(settings, form, &path));
    }
    checks
}

/// Would the keystore that is there be written anew, so that whoever opens it now opens it then?
fn kept_password(settings: &Settings, form: Form, path: &Path) -> Option<Check> {
    let (kind, set) = settings.keystore(form)?;
    // One that cannot be read is said already.
    if set.is_some_and(|secret| secret.read().is_err()) {
        return None;
    }
    let there = kept(path);
    let what = format!("keystore {}", shown(path));
    let there = there.as_ref().map(|bytes| bytes.as_slice());
    Some(match (keystore_password(kind, set, there), there, set) {
        (Ok(_), None, _) => {
            Check::works(what, "it is not there yet, and is made with the password that is set")
        }
        (Ok(_), _, Some(_)) => Check::works(what, "it opens with the password that is set, and keeps it"),
        (Ok(_), _, None) => Check::works(what, "it opens with a well-known password, and keeps it"),
        (Err(fault), ..) => failed(what, &fault),
    })
}

/// The keystore that is there.
pub(super) fn kept(path: &Path) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    use std::io::Read as _;
    // Opening a pipe would wait for its writer.
    std::fs::metadata(path).ok().filter(|found| found.is_file())?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    std::fs::File::open(path).ok()?.take(STORE_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Opens the folder of a path, with all its refusals, and writes a scratch file into it.
fn write(guard: &Guard, path: &Path) -> Result<String, Fault> {
    let (folder, _) = split(path)?;
    let folder = guard.open(folder)?;
    let scratch = OsStr::new(SCRATCH);
    if folder.entry(scratch)? != Entry::Absent {
        folder.remove(scratch)?;
    }
    folder.create(scratch, b"", &Attributes::new(0o600))?;
    folder.remove(scratch)?;
    let room = rustix::fs::fstatvfs(folder.fd()).map(|s| s.f_bavail.saturating_mul(s.f_frsize));
    match room {
        Ok(room) if room < ROOM => Err(Fault::new(
            notafter_core::fault::FaultKind::Exhausted,
            format!("{room} octets are free in {}", shown(folder.path())),
        )
        .hint("make room on this file system")),
        _ => Ok("a scratch file was written and removed".to_owned()),
    }
}

/// Can the password of a keystore be read?
pub(super) fn password(settings: &Settings, form: Form) -> Option<Check> {
    let (_, _, secret) = settings.passwords().find(|(f, ..)| *f == form)?;
    let what = if form == Form::Jks { "password of jks" } else { "password of pkcs12" };
    Some(match secret.read() {
        Ok(_) => Check::works(what, format!("{secret} can be read")),
        Err(why) => failed(what.to_owned(), &super::secret(why)),
    })
}
