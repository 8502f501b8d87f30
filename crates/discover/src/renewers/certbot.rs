//! certbot: `renewal/*.conf`, `live` and `archive`, accounts, hooks, and what its log says went wrong.

use std::path::{Path, PathBuf};

use notafter_core::UnixTime;
use notafter_core::upkeep::Before;
use notafter_pki::time::DAY;

use super::{Failed, Renewed, Renewer, State, above, dates, says};
use crate::configs::At;

pub(super) const RENEWER: Renewer = Renewer {
    name: "certbot",
    homes: &["/etc/letsencrypt", "/usr/local/etc/letsencrypt", "/var/snap/certbot/*/etc/letsencrypt"],
    home_of: |path, start| {
        let conf = path.extension().is_some_and(|e| e == "conf");
        let home = above(path, &[Some("renewal")]).filter(|_| conf)?;
        says(start, &["archive_dir", "[renewalparams]", "fullchain"]).then_some(home)
    },
    read,
};

/// So much of a log is read, from its end, in bytes.
const LOG_MAX: u64 = 512 << 10;
/// So many older logs are looked at: each run of certbot begins a new one.
const LOGS_MAX: usize = 60;

fn read(state: &mut State<'_>, home: &Path) {
    let common = hooks(state, home);
    let mut log_folder = None;
    let mut found = Vec::new();
    for conf in state.tree.glob(&home.join("renewal/*.conf")) {
        let Some(text) = state.text(&conf) else { continue };
        let lineage = conf.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let (renewed, logs) = one(state, home, &conf, &lineage, &text);
        log_folder = log_folder.or(logs);
        found.push(renewed);
    }
    // A state that lies elsewhere has its log beside it, or in itself.
    let mut folders: Vec<PathBuf> = log_folder.into_iter().collect();
    if state.usual {
        folders.push("/var/log/letsencrypt".into());
    }
    folders.extend([home.join("logs"), home.join("log"), home.to_owned()]);
    folders.extend(["logs", "log"].iter().filter_map(|name| Some(home.parent()?.join(name))));
    let logs = folders.iter().map(|f| logs(state, f)).find(|logs| !logs.is_empty()).unwrap_or_default();
    let timer = state.timer("certbot");
    // Cron keeps no stamp; that certbot has run is in its log.
    let ran = logs.iter().filter_map(|log| log.last).chain(state.stamp("certbot")).max();
    for mut renewed in found {
        renewed.hooks.extend(common.iter().cloned());
        renewed.timer.clone_from(&timer);
        renewed.last_run = ran;
        renewed.failures = failures(&logs, &renewed.lineage);
        state.put(renewed);
    }
}

fn one(state: &State<'_>, home: &Path, conf: &Path, lineage: &str, text: &str) -> (Renewed, Option<PathBuf>) {
    let at = At::file(conf);
    let mut out = Renewed::new("certbot", lineage, at.clone());
    let mut section = String::new();
    let (mut live, mut server_folder, mut logs) = (Vec::new(), None, None);
    let (mut credentials, mut manual_hook) = (Vec::new(), false);
    // Until 4.0 it was thirty days, whatever the life.
    out.before = Some(Before::Seconds(30 * DAY));
    for (line, number) in text.lines().zip(1u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let some = || Some(value.to_owned()).filter(|v| !v.is_empty() && v != "None");
        match (section.as_str(), key) {
            ("", "fullchain" | "cert" | "chain" | "privkey") => {
                live.push((key.to_owned(), state.path(value)));
                if key == "fullchain" {
                    out.at = At { line: number, ..at.clone() };
                }
            }
            ("", "version")
                if major(value).is_some_and(|major| major >= 4)
                    && out.before == Some(Before::Seconds(30 * DAY)) =>
            {
                out.before = Some(Before::Share);
            }
            ("", "renew_before_expiry") => {
                out.before = dates::span(value).map(Before::Seconds).or(out.before);
            }
            ("renewalparams", "autorenew") => out.automatic = value != "False",
            ("renewalparams", "account") => out.account = some(),
            ("renewalparams", "server") => {
                out.server = some();
                server_folder = value.split_once("://").map(|(_, rest)| rest.to_owned());
            }
            ("renewalparams", "authenticator") => out.solver = some(),
            ("renewalparams", "pre_hook" | "post_hook" | "renew_hook" | "deploy_hook") => {
                out.hooks.extend(some())
            }
            ("renewalparams", "domains") => {
                let names = value.split(',').map(str::trim).filter(|n| !n.is_empty());
                out.names.extend(names.map(str::to_owned));
            }
            ("renewalparams", "logs_dir") => logs = some().map(|path| state.path(&path)),
            ("renewalparams", "manual_auth_hook") => manual_hook = some().is_some(),
            ("renewalparams", key) if FILES.iter().any(|ending| key.ends_with(ending)) => {
                credentials.extend(some().filter(|v| v.starts_with('/')).map(|path| state.path(&path)));
            }
            ("renewalparams", "webroot_path") => {
                let paths = value.split(',').map(str::trim).filter(|path| path.starts_with('/'));
                out.webroots.extend(paths.map(|path| state.path(path)));
            }
            ("webroot_map", name) => {
                out.names.push(name.to_owned());
                out.webroots
                    .extend(some().filter(|path| path.starts_with('/')).map(|path| state.path(&path)));
            }
            _ => {}
        }
    }
    out.names.dedup();
    let mut seen = std::collections::HashSet::new();
    out.webroots.retain(|path| seen.insert(path.clone()));
    out.credentials = state.credentials(&credentials);
    if out.solver.as_deref() == Some("manual") && !manual_hook {
        out.broken.push("it was obtained by hand and names no hook that could do it again".to_owned());
    }
    // What is served from comes first.
    for wanted in ["fullchain", "cert"] {
        for (_, path) in live.iter().filter(|(kind, _)| kind == wanted) {
            out.certificates.push(path.clone());
            if let Ok(real) = state.tree.resolve(path)
                && real != *path
            {
                out.certificates.push(real);
            }
        }
    }
    out.key = live.iter().find(|(kind, _)| kind == "privkey").map(|(_, path)| path.clone());
    for (kind, path) in &live {
        if state.tree.kind(path).is_none() {
            out.broken.push(format!("{kind}: {} leads to no file", path.display()));
        } else if state.tree.resolve(path).ok().as_ref() == Some(path) {
            // certbot refuses to renew what it did not link itself.
            out.broken.push(format!("{kind}: {} is no link into archive", path.display()));
        }
    }
    if let (Some(account), Some(folder)) = (&out.account, server_folder) {
        let path = home.join("accounts").join(folder).join(account);
        if state.tree.kind(&path).is_none() && state.tree.is_folder(&home.join("accounts")) {
            out.broken.push(format!("its account is gone: {}", path.display()));
        }
    }
    if state.tree.is_file(&conf.with_extension("conf.new")) {
        out.broken.push("the last change of its configuration was not finished".to_owned());
    }
    (out, logs)
}

/// Endings of the settings that name a file to sign in with.
const FILES: &[&str] = &["_credentials", "_config", "_creds"];

/// `4` of `4.1.0`.
fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

/// Hooks for every lineage: scripts in folders, and those of `cli.ini`.
fn hooks(state: &State<'_>, home: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for kind in ["pre", "deploy", "post"] {
        let folder = home.join("renewal-hooks").join(kind);
        let scripts = state.tree.glob(&folder.join("*"));
        let scripts = scripts.iter().filter(|s| !s.as_os_str().as_encoded_bytes().ends_with(b"~"));
        out.extend(scripts.map(|s| s.to_string_lossy().into_owned()));
    }
    for line in state.maybe(&home.join("cli.ini")).unwrap_or_default().lines() {
        if let Some((key, value)) = line.split_once('=')
            && key.trim().ends_with("-hook")
        {
            out.push(value.trim().to_owned());
        }
    }
    out
}

/// What one run wrote.
struct Log {
    path: PathBuf,
    lines: Vec<String>,
    last: Option<UnixTime>,
}

/// The newest first.
fn logs(state: &State<'_>, folder: &Path) -> Vec<Log> {
    let name = |n: usize| match n {
        0 => "letsencrypt.log".to_owned(),
        n => format!("letsencrypt.log.{n}"),
    };
    let mut out = Vec::new();
    for n in 0..LOGS_MAX {
        let path = folder.join(name(n));
        let Ok(bytes) = state.tree.tail(&path, LOG_MAX) else { break };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let last = lines.iter().rev().find_map(|l| dates::parse(l));
        out.push(Log { path, lines, last });
    }
    out
}

/// How a lineage fared: the failures after which nothing went well.
fn failures(logs: &[Log], lineage: &str) -> Option<Failed> {
    let path = format!("/renewal/{lineage}.conf");
    let quoted = [format!("certificate {lineage} with"), format!("({lineage})"), format!("/live/{lineage}/")];
    let mut found = None;
    // Lines before the first date of a log belong to the run that began it.
    for log in logs.iter().rev() {
        let mut at = log.last;
        for line in &log.lines {
            at = dates::parse(line).or(at);
            if !line.contains(&path) && !quoted.iter().any(|q| line.contains(q.as_str())) {
                continue;
            }
            let wrong = line.contains(":ERROR:")
                || line.contains(":WARNING:") && line.contains("unexpected error")
                || line.contains("(failure)");
            // What is skipped is not due: it was renewed.
            if line.contains("(success)") || line.contains("(skipped)") {
                found = None;
            } else if let (true, Some(at)) = (wrong, at) {
                found = Some(Failed::more(found, at, message(line), &log.path));
            }
        }
    }
    found
}

/// The text of a line of the log, without date and module.
fn message(line: &str) -> &str {
    line.splitn(6, ':').nth(5).unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewers::{Renewals, read_tree};
    use crate::tree::{Entry, Tree};

    const CONF: &str = "# renew_before_expiry = 30 days\nversion = 2.1.0\narchive_dir = /etc/letsencrypt/archive/a.test\ncert = /etc/letsencrypt/live/a.test/cert.pem\n\
                        privkey = /etc/letsencrypt/live/a.test/privkey.pem\nfullchain = /etc/letsencrypt/live/a.test/fullchain.pem\n\n[renewalparams]\naccount = abc\n\
                        server = https://acme.test/directory\nauthenticator = webroot\nrenew_hook = systemctl reload nginx\n[[webroot_map]]\na.test = /var/www\nb.test = /var/www\n";

    fn tree(conf: &str, more: &[(&str, &str)]) -> Renewals {
        let mut files: Vec<(PathBuf, Entry)> =
            vec![("/etc/letsencrypt/renewal/a.test.conf".into(), Entry::file(conf.as_bytes()))];
        for kind in ["cert", "privkey", "fullchain"] {
            files.push((format!("/etc/letsencrypt/archive/a.test/{kind}3.pem").into(), Entry::file(b"x")));
            let link = Entry::link(&format!("../../archive/a.test/{kind}3.pem"));
            files.push((format!("/etc/letsencrypt/live/a.test/{kind}.pem").into(), link));
        }
        files.extend(more.iter().map(|(path, text)| (PathBuf::from(path), Entry::file(text.as_bytes()))));
        read_tree(&Tree::memory(files))
    }

    #[test]
    fn a_lineage() {
        let found = tree(
            CONF,
            &[
                ("/etc/letsencrypt/accounts/acme.test/directory/abc/regr.json", "{}"),
                ("/etc/letsencrypt/renewal-hooks/deploy/x.sh", ""),
                ("/etc/letsencrypt/cli.ini", "deploy-hook = echo\n"),
            ],
        );
        let one = &found.renewed[0];
        assert_eq!(
            (one.lineage.as_str(), one.names.as_slice()),
            ("a.test", &["a.test".to_owned(), "b.test".to_owned()][..])
        );
        let paths: Vec<_> = one.certificates.iter().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "/etc/letsencrypt/live/a.test/fullchain.pem",
                "/etc/letsencrypt/archive/a.test/fullchain3.pem",
                "/etc/letsencrypt/live/a.test/cert.pem",
                "/etc/letsencrypt/archive/a.test/cert3.pem",
            ]
        );
        assert_eq!(
            one.hooks,
            ["systemctl reload nginx", "/etc/letsencrypt/renewal-hooks/deploy/x.sh", "echo"]
        );
        assert_eq!(
            (one.server.as_deref(), one.solver.as_deref()),
            (Some("https://acme.test/directory"), Some("webroot"))
        );
        assert!(one.automatic && one.broken.is_empty() && one.failures.is_none() && one.timer.is_none());
        assert_eq!((one.at.line, one.before), (6, Some(Before::Seconds(30 * DAY))));
        let newer = tree(&CONF.replace("2.1.0", "4.2.0"), &[]);
        assert_eq!(newer.renewed[0].before, Some(Before::Share));
    }

    #[test]
    fn what_will_fail_and_what_did() {
        let log = "2025-11-20 03:14:07,100:DEBUG:certbot._internal.main:x\n\
                   2025-11-20 03:14:08,100:ERROR:certbot._internal.renewal:Failed to renew certificate a.test with error: Some challenges have failed.\n\
                   2025-11-20 03:14:09,100:ERROR:certbot._internal.renewal:  /etc/letsencrypt/live/other/fullchain.pem (failure)\n";
        let conf = format!(
            "renew_before_expiry = 20 days\n{CONF}autorenew = x\n[renewalparams]\nautorenew = False\n"
        );
        let found = tree(
            &conf,
            &[
                ("/etc/letsencrypt/accounts/other/x", ""),
                ("/var/log/letsencrypt/letsencrypt.log", "2025-11-21 00:00:00,000:DEBUG:certbot.x:nothing\n"),
                ("/var/log/letsencrypt/letsencrypt.log.1", log),
                ("/etc/cron.d/certbot", "0 0 * * * root certbot renew\n"),
            ],
        );
        let one = &found.renewed[0];
        let failed = one.failures.as_ref().unwrap();
        assert_eq!(
            (failed.count, failed.first.to_string().as_str()),
            (1, "2025-11-20T03:14:08Z"),
            "{failed:?}"
        );
        assert!(failed.message.contains("Some challenges have failed"), "{failed:?}");
        assert_eq!(failed.path, PathBuf::from("/var/log/letsencrypt/letsencrypt.log.1"));
        assert!(!one.automatic && one.broken.len() == 1, "{:?}", one.broken);
        assert_eq!(one.before, Some(Before::Seconds(20 * DAY)));
        let last = one.last_run.map(|t| t.to_string());
        assert_eq!(last.as_deref(), Some("2025-11-21T00:00:00Z"));
        let well = log
            .replace("ERROR:certbot._internal.renewal:Failed", "DEBUG:x:Tried")
            .replace("other", "a.test")
            .replace("failure", "success")
            .replace("ERROR", "INFO");
        let found = tree(
            CONF,
            &[
                ("/var/log/letsencrypt/letsencrypt.log", &well),
                ("/var/log/letsencrypt/letsencrypt.log.1", log),
            ],
        );
        assert_eq!(found.renewed[0].failures, None);
        // Again and again, each run with a log of its own.
        let again = log.replace("2025-11-20", "2025-11-21");
        let both = [
            ("/var/log/letsencrypt/letsencrypt.log", again.as_str()),
            ("/var/log/letsencrypt/letsencrypt.log.1", log),
        ];
        let failed = tree(CONF, &both).renewed[0].failures.clone().unwrap();
        assert_eq!((failed.count, failed.first < failed.last), (2, true), "{failed:?}");
    }

    #[test]
    fn where_it_puts_its_answers() {
        let conf = CONF
            .replace("authenticator = webroot", "authenticator = webroot\nwebroot_path = /srv/b, /srv/a,");
        let found = tree(&conf, &[]);
        assert_eq!(found.renewed[0].webroots, ["/srv/b", "/srv/a", "/var/www"].map(PathBuf::from));
    }

    #[test]
    fn what_it_signs_in_with() {
        let conf = CONF.replace(
            "authenticator = webroot",
            "authenticator = dns-x\ndns_x_credentials = /etc/letsencrypt/x.ini",
        );
        let found = tree(&conf, &[("/etc/letsencrypt/x.ini", "dns_x_token = abc\n# expires: 2026-12-01\n")]);
        let [(path, ends)] = found.renewed[0].credentials.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (path.to_str(), ends.until.to_string().as_str()),
            (Some("/etc/letsencrypt/x.ini"), "2026-12-01T23:59:59Z")
        );
        let found = tree(&CONF.replace("webroot\n", "manual\n"), &[]);
        assert!(found.renewed[0].broken[0].contains("by hand"), "{found:?}");
    }
}
