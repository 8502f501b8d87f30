//! Could a command be run today by whoever would run it? Nothing is run but questions that change nothing.
//!
//! The program is there and may be executed; `sudo` says whether it allows it, and `systemctl` whether it knows the unit. What
//! can be known on the day alone (whether `sudo` asks for a password, what polkit says) is said as not known.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::command::{self, Argv, end_of, program};

/// Options of `sudo` that take a word after them.
const SUDO_TAKES: [&str; 8] = ["-u", "--user", "-g", "--group", "-D", "-h", "-p", "-C"];
/// What `systemctl` does with a running unit.
const VERBS: [&str; 7] =
    ["reload", "restart", "try-restart", "reload-or-restart", "try-reload-or-restart", "condrestart", "kill"];
/// Where systemd runs the machine (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// Such a question is answered at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of it; or why it could not be run.
pub(super) async fn able(argv: Argv<'_>) -> Result<String, Fault> {
    let path = executable(argv.argv)?;
    let mut known = vec![format!("{} is there; it was not run", printable(&path.to_string_lossy()))];
    let (mut words, mut by_sudo) = (argv.argv, false);
    if is_called(words, "sudo") {
        let options = sudo_options(words);
        words = words.get(options..).unwrap_or(&[]);
        by_sudo = true;
        if !words.is_empty() {
            executable(words)?;
            known.push(sudo(argv.argv, options).await?);
        }
    }
    if is_called(words, "systemctl")
        && let Some(said) = unit(words, by_sudo).await?
    {
        known.push(said);
    }
    Ok(known.join("; "))
}

/// The program of an argument list, if we may execute it.
fn executable(argv: &[String]) -> Result<std::path::PathBuf, Fault> {
    let path = program(argv)?;
    access(&path, Access::EXEC_OK).map_err(|e| {
        let shown = printable(&path.to_string_lossy());
        Fault::new(FaultKind::PermissionDenied, format!("{shown} may not be executed by this account: {e}"))
            .retry(Retry::Never)
            .hint(format!("chmod +x {shown}; a file system may also be mounted noexec"))
    })?;
    Ok(path)
}

fn is_called(argv: &[String], name: &str) -> bool {
    argv.first()
        .is_some_and(|first| Path::new(first).file_name().is_some_and(|f| f.as_bytes() == name.as_bytes()))
}

/// Where the command begins that `sudo` is given.
fn sudo_options(argv: &[String]) -> usize {
    let mut at = 1;
    while let Some(word) = argv.get(at).filter(|word| word.starts_with('-')) {
        at += if SUDO_TAKES.contains(&word.as_str()) { 2 } else { 1 };
        if word == "--" {
            break;
        }
    }
    at
}

/// Does sudo let us? It lists what it would allow, and runs nothing.
async fn sudo(argv: &[String], options: usize) -> Result<String, Fault> {
    let mut asked = vec![argv.first().cloned().unwrap_or_default(), "-n".to_owned(), "-l".to_owned()];
    asked.extend(argv.iter().skip(1).filter(|word| *word != "-n").cloned());
    let ended = end_of(Argv { argv: &asked, timeout: PATIENCE }, &[], &[]).await?;
    if ended.status.success() {
        return Ok("sudo lists it as allowed; whether it would ask for a password is not known".to_owned());
    }
    let what = argv.get(options..).unwrap_or(&[]).join(" ");
    Err(Fault::new(
        FaultKind::PermissionDenied,
        format!("sudo does not let this account run {}{}", printable(&what), ended.shown()),
    )
    .retry(Retry::Never)
    .hint("a line in /etc/sudoers.d with NOPASSWD: and the command's full path"))
}

/// Does systemd know the unit, and could it do that with it?
async fn unit(argv: &[String], by_sudo: bool) -> Result<Option<String>, Fault> {
    let mut words = argv.iter().skip(1).filter(|word| !word.starts_with('-'));
    let (Some(verb), Some(unit)) = (words.next(), words.next()) else { return Ok(None) };
    if !VERBS.contains(&verb.as_str()) {
        return Ok(None);
    }
    if !Path::new(BOOTED).is_dir() {
        return Ok(Some("systemd does not run this machine: whether it would work is not known".to_owned()));
    }
    let program = argv.first().cloned().unwrap_or_default();
    let user = argv.iter().filter(|word| *word == "--user").cloned();
    let mut asked = vec![program];
    asked.extend(user);
    asked.extend(["show", "--property=LoadState,ActiveState,CanReload", "--"].map(str::to_owned));
    asked.push(unit.clone());
    let ended = match command::end_of(Argv { argv: &asked, timeout: PATIENCE }, &[], &[]).await {
        Ok(ended) if ended.status.success() => ended,
        _ => return Ok(Some("systemd did not answer: whether it would work is not known".to_owned())),
    };
    let said = String::from_utf8_lossy(&ended.said).into_owned();
    judge(verb, unit, &said)?;
    let rights = match geteuid().is_root() || by_sudo {
        true => "",
        false => "; whether this account may is polkit's to say, and not known",
    };
    Ok(Some(format!("systemd has {} loaded{rights}", printable(unit))))
}

/// What systemd's answer means for this verb.
fn judge(verb: &str, unit: &str, said: &str) -> Result<(), Fault> {
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let refused = |what: String, hint: String| {
        Err(Fault::new(FaultKind::NotFound, what).retry(Retry::Never).hint(hint))
    };
    let unit = printable(unit);
    match (field("LoadState"), field("ActiveState"), field("CanReload")) {
        (Some(state), ..) if state != "loaded" => refused(
            format!("systemd has no unit {unit} that it could {verb}: {}", printable(state)),
            "what is the server's unit called? systemctl list-units --type=service".to_owned(),
        ),
        (_, Some(state), _) if verb == "reload" && matches!(state, "inactive" | "failed") => refused(
            format!("{unit} does not run ({state}), and systemctl reload fails then"),
            format!("start it, or use try-reload-or-restart: systemctl status {unit}"),
        ),
        (_, _, Some("no")) if verb == "reload" => refused(
            format!("{unit} cannot be reloaded: it has no ExecReload="),
            "use reload-or-restart, or the server's own command".to_owned(),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_sudo_is_given_is_found_behind_its_options() {
        for (line, at) in [
            ("sudo systemctl reload x", 1),
            ("/usr/bin/sudo -n -u root -- systemctl reload x", 5),
            ("sudo -n", 2),
        ] {
            assert_eq!(sudo_options(&words(line)), at, "{line}");
        }
    }

    #[test]
    fn a_unit_that_is_not_there_or_cannot_reload_is_a_no() {
        let well = "LoadState=loaded\nActiveState=active\nCanReload=yes\n";
        assert!(judge("reload", "nginx", well).is_ok());
        assert!(judge("restart", "x", "LoadState=loaded\nActiveState=inactive\nCanReload=no\n").is_ok());
        for (verb, said, sign) in [
            ("restart", "LoadState=not-found\nActiveState=inactive\n", "no unit x that it could restart"),
            ("reload", "LoadState=masked\n", "masked"),
            ("reload", "LoadState=loaded\nActiveState=failed\nCanReload=yes\n", "does not run"),
            ("reload", "LoadState=loaded\nActiveState=active\nCanReload=no\n", "ExecReload"),
        ] {
            let fault = judge(verb, "x", said).unwrap_err();
            assert!(fault.to_string().contains(sign) && fault.hint.is_some(), "{fault}");
        }
    }
}
