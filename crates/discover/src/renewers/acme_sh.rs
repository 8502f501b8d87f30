//! acme.sh: a folder for each domain with its own plan, `account.conf`, and the log if one is kept.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use notafter_core::UnixTime;

use super::{Failed, LOG_MAX, Renewed, Renewer, State, above, dates, says};
use crate::configs::At;

pub(super) const RENEWER: Renewer = Renewer {
    name: "acme.sh",
    homes: &[
        "/root/.acme.sh",
        "/home/*/.acme.sh",
        "/etc/acme.sh",
        "/etc/acme",
        "/opt/acme.sh",
        "/var/lib/acme/.acme.sh",
        "/usr/local/etc/acme",
    ],
    home_of: |path, start| {
        let name = path.file_name()?.to_str()?;
        if name == "account.conf" {
            let words =
                ["ACCOUNT_", "SAVED_", "LOG_FILE", "UPGRADE_HASH", "USER_PATH", "DEFAULT_ACME_SERVER"];
            return above(path, &[]).filter(|_| says(start, &words));
        }
        if !name.ends_with(".conf") || !says(start, &["Le_Domain="]) {
            return None;
        }
        // `a.test_ecc/a.test.conf`
        let folder = path.parent()?.file_name()?.to_str()?;
        let domain = folder.strip_suffix("_ecc").unwrap_or(folder);
        (name.strip_suffix(".conf")? == domain && domain.contains('.')).then(|| above(path, &[None]))?
    },
    read,
};

fn read(state: &mut State<'_>, home: &Path) {
    let account = settings(&state.maybe(&home.join("account.conf")).unwrap_or_default());
    let get = |all: &HashMap<String, (String, u32)>, name: &str| {
        all.get(name).map(|(v, _)| v.clone()).filter(|v| !v.is_empty() && v != "no")
    };
    let log_path = get(&account, "LOG_FILE").map_or_else(|| home.join("acme.sh.log"), |p| state.path(&p));
    let log = state.tree.tail(&log_path, LOG_MAX);
    let log = log.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let ran = log.lines().rev().find_map(|l| dates::shell(l.strip_prefix('[')?.split_once(']')?.0));
    let ran = ran.into_iter().chain(state.stamp("acme.sh")).chain(state.stamp("acme")).max();
    let timer = state.timer("acme.sh").or_else(|| state.timer("acme"));
    let mut credentials = vec![home.join("account.conf")];
    credentials.extend(state.named_by(timer.as_ref()));
    let credentials = state.credentials(&credentials);
    // Newer versions keep the certificates apart (`--cert-home`).
    let mut folders = vec![home.to_owned()];
    folders.extend(get(&account, "CERT_HOME").map(|p| state.path(&p)).filter(|p| p != home));
    for folder in folders {
        for conf in state.tree.glob(&folder.join("*/*.conf")) {
            let Some(text) = state.text(&conf) else { continue };
            let own = settings(&text);
            let Some((domain, line)) = own.get("Le_Domain").cloned() else { continue };
            let mut out = Renewed::new("acme.sh", &domain, At { line, ..At::file(&conf) });
            let parent = conf.parent().unwrap_or(home);
            if parent.to_string_lossy().ends_with("_ecc") {
                out.lineage.push_str("_ecc");
            }
            out.names.push(domain.clone());
            out.names.extend(
                get(&own, "Le_Alt")
                    .iter()
                    .flat_map(|l| l.split(','))
                    .filter(|n| !n.is_empty())
                    .map(str::to_owned),
            );
            // Where it was installed to is what is served; its own copies come after.
            for name in ["Le_RealFullChainPath", "Le_RealCertPath"] {
                out.certificates.extend(get(&own, name).map(|p| state.path(&p)));
            }
            for file in [parent.join("fullchain.cer"), parent.join(format!("{domain}.cer"))] {
                if state.tree.is_file(&file) {
                    out.certificates.push(file);
                }
            }
            out.key = get(&own, "Le_RealKeyPath")
                .map(|p| state.path(&p))
                .or_else(|| Some(parent.join(format!("{domain}.key"))));
            out.planned = get(&own, "Le_NextRenewTime").and_then(|t| t.parse().ok()).map(UnixTime);
            out.server = get(&own, "Le_API").or_else(|| get(&account, "DEFAULT_ACME_SERVER"));
            out.account = get(&account, "ACCOUNT_EMAIL");
            out.solver = get(&own, "Le_Webroot");
            let webroots =
                out.solver.iter().flat_map(|all| all.split(',')).filter(|one| one.starts_with('/'));
            out.webroots = webroots.map(|path| state.path(path)).collect();
            for name in ["Le_PreHook", "Le_PostHook", "Le_RenewHook", "Le_ReloadCmd"] {
                out.hooks.extend(get(&own, name).map(|v| decoded(&v)));
            }
            out.hooks.extend(get(&own, "Le_DeployHook").map(|h| format!("deploy: {h}")));
            out.timer.clone_from(&timer);
            out.last_run = ran;
            out.credentials.clone_from(&credentials);
            out.failures = failures(&log, &domain, &log_path);
            state.put(out);
        }
    }
}

/// `NAME='value'` lines.
fn settings(text: &str) -> HashMap<String, (String, u32)> {
    let pair = |(line, number): (&str, u32)| {
        let (name, value) = line.trim().split_once('=')?;
        let name = name.trim_start_matches("export ").trim();
        (!name.starts_with('#'))
            .then(|| (name.to_owned(), (value.trim_matches(['\'', '"']).to_owned(), number)))
    };
    text.lines().zip(1u32..).filter_map(pair).collect()
}

/// Commands are kept in base64 between two marks.
fn decoded(value: &str) -> String {
    let inner =
        value.strip_prefix("__ACME_BASE64__START_").and_then(|v| v.strip_suffix("__ACME_BASE64__END_"));
    let Some(inner) = inner else { return value.to_owned() };
    let bytes = base64::engine::general_purpose::STANDARD.decode(inner).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The failures for a domain in the log after which nothing went well.
fn failures(log: &str, domain: &str, path: &Path) -> Option<Failed> {
    let mut ours = false;
    let mut found: Option<Failed> = None;
    let mut reason = None;
    for line in log.lines() {
        let (at, text) = match line.strip_prefix('[').and_then(|l| l.split_once(']')) {
            Some((date, text)) => (dates::shell(date), text.trim()),
            None => (None, line.trim()),
        };
        let quoted = |text: &str| text.trim().trim_matches(['\'', '"', '.']) == domain;
        if let Some(name) = text.strip_prefix("Renewing:").or_else(|| text.strip_prefix("Renew:")) {
            ours = quoted(name);
            reason = None;
        } else if ours && (text.contains("Cert success") || text.contains("Skipping.")) {
            if text.contains("Cert success") {
                found = None;
            }
            ours = false;
        } else if let Some(name) = text.strip_prefix("Error renewing") {
            if quoted(name)
                && let Some(at) = at
            {
                let why: String = reason.take().unwrap_or_else(|| text.to_owned());
                found = Some(Failed::more(found, at, &why, path));
            }
            ours = false;
        } else if ours && (text.contains("rror") || text.contains("nvalid status")) && !text.starts_with("_")
        {
            reason = Some(text.chars().filter(|c| !c.is_control()).take(500).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewers::read_tree;
    use crate::tree::Tree;

    #[test]
    fn a_domain() {
        let conf = "Le_Domain='a.test'\nLe_Alt='b.test,*.a.test'\nLe_Webroot='dns_cf'\nLe_API='https://acme.test/dv'\nLe_NextRenewTime='1766000000'\n\
                    Le_RealFullChainPath='/etc/nginx/a.pem'\nLe_RealKeyPath='/etc/nginx/a.key'\nLe_ReloadCmd='__ACME_BASE64__START_c3lzdGVtY3RsIHJlbG9hZCBuZ2lueA==__ACME_BASE64__END_'\n";
        let log = "[Thu Nov 20 00:10:00 UTC 2025] Renewing: 'a.test'\n[Thu Nov 20 00:10:01 UTC 2025] a.test: Invalid status, error detail: no TXT\n\
                   [Thu Nov 20 00:10:02 UTC 2025] Error renewing a.test.\n";
        let files = [
            ("/root/.acme.sh/a.test_ecc/a.test.conf", conf),
            ("/root/.acme.sh/a.test_ecc/fullchain.cer", "x"),
            ("/root/.acme.sh/a.test_ecc/a.test.csr.conf", "[req]\n"),
            ("/root/.acme.sh/account.conf", "ACCOUNT_EMAIL='me@a.test'\n"),
            ("/root/.acme.sh/acme.sh.log", log),
            (
                "/var/spool/cron/root",
                "8 0 * * * \"/root/.acme.sh\"/acme.sh --cron --home \"/root/.acme.sh\" > /dev/null\n",
            ),
        ];
        let found = read_tree(&Tree::of(&files));
        let [one] = found.renewed.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (one.lineage.as_str(), one.names.len(), one.planned),
            ("a.test_ecc", 3, Some(UnixTime(1_766_000_000)))
        );
        assert_eq!(
            one.certificates,
            [Path::new("/etc/nginx/a.pem"), Path::new("/root/.acme.sh/a.test_ecc/fullchain.cer")]
        );
        assert_eq!(
            (one.hooks.as_slice(), one.account.as_deref()),
            (&["systemctl reload nginx".to_owned()][..], Some("me@a.test"))
        );
        assert!(one.timer.as_ref().is_some_and(|t| t.enabled));
        let failed = one.failures.as_ref().unwrap();
        assert_eq!(
            (failed.count, failed.last.to_string().as_str(), failed.message.contains("no TXT")),
            (1, "2025-11-20T00:10:02Z", true)
        );
        assert_eq!(one.last_run, Some(failed.last));
        let well = format!(
            "{log}[Fri Nov 21 00:10:00 UTC 2025] Renewing: 'a.test'\n[Fri Nov 21 00:10:09 UTC 2025] Cert success.\n"
        );
        let path = Path::new("/l");
        assert_eq!(failures(&well, "a.test", path), None);
        assert_eq!(failures(log, "b.test", path), None);
        let again = format!("{log}{}", log.replace("Thu Nov 20", "Fri Nov 21"));
        assert_eq!(failures(&again, "a.test", path).map(|f| f.count), Some(2));
    }
}
