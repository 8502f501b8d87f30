//! lego: one JSON a certificate; everything else is in the command that a timer or cron runs, and in the log that the
//! command writes, if it does.

use std::path::{Path, PathBuf};

use notafter_core::UnixTime;
use notafter_core::upkeep::Before;

use super::{Failed, Renewed, Renewer, State, above, dates, says};
use crate::configs::{At, Node};

pub(super) const RENEWER: Renewer = Renewer {
    name: "lego",
    homes: &[
        "/root/.lego",
        "/home/*/.lego",
        "/etc/lego",
        "/var/lib/lego",
        "/opt/lego",
        "/opt/lego/.lego",
        "/.lego",
    ],
    home_of: |path, start| {
        let json = path.extension().is_some_and(|e| e == "json");
        // `certificates` is also the name of Caddy's folder, which has folders in it.
        let home = above(path, &[Some("certificates")]).filter(|_| json)?;
        says(start, &["\"certUrl\"", "\"certStableUrl\""]).then_some(home)
    },
    read,
};

/// What it renews before the end unless it is told otherwise, in days.
const DAYS: i64 = 30;

fn read(state: &mut State<'_>, home: &Path) {
    let timer = state.timer("lego");
    // The options stand in the command, or in the line of the script that it runs.
    let command = timer.as_ref().map(command).unwrap_or_default();
    let log = state.log_of(timer.as_ref());
    let credentials = state.credentials(&state.named_by(timer.as_ref()));
    let option = |names: &[&str]| {
        command.iter().enumerate().find_map(|(n, word)| {
            let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
            names
                .contains(&name.trim_start_matches('-'))
                .then(|| value.map_or_else(|| command.get(n + 1).cloned(), |v| Some(v.to_owned())))?
        })
    };
    let accounts = state.tree.glob(&home.join("accounts/*/*/account.json"));
    for json in state.tree.glob(&home.join("certificates/*.json")) {
        let Some(text) = state.text(&json) else { continue };
        let Some(node) = Node::yaml(&text).into_iter().next() else { continue };
        let stem = json.with_extension("");
        let name = stem.file_name().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let domain = node.get("domain").text().unwrap_or(&name).to_owned();
        let with = |ending: &str| {
            let mut path = stem.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let mut out = Renewed::new("lego", &name, At { line: node.get("domain").line, ..At::file(&json) });
        out.names.push(domain.clone());
        for word in node.get("domains").items().iter().filter_map(Node::text).filter(|d| *d != domain) {
            out.names.push(word.to_owned());
        }
        out.certificates.push(with(".crt"));
        out.key = Some(with(".key"));
        for path in [with(".crt"), with(".key")] {
            if !state.tree.is_file(&path) {
                out.broken.push(format!("{} is not there", path.display()));
            }
        }
        // Its URL is at the server that issued it; the folder of the account has that server's name.
        let host =
            node.get("certUrl").text().and_then(|u| u.split_once("://")?.1.split('/').next()).unwrap_or("");
        let account = accounts.iter().find(|a| a.to_string_lossy().contains(host)).or(accounts.first());
        out.account = account.and_then(|a| Some(a.parent()?.file_name()?.to_string_lossy().into_owned()));
        out.server = option(&["server", "s"]).or_else(|| Some(host.to_owned()).filter(|h| !h.is_empty()));
        out.solver = option(&["dns"]).map(|d| format!("dns:{d}")).or_else(|| {
            let has = |name: &str| command.iter().any(|w| w.trim_start_matches('-') == name);
            ["http", "tls"].iter().find(|n| has(n)).map(|n| (*n).to_owned())
        });
        out.webroots.extend(option(&["http.webroot"]).filter(|p| p.starts_with('/')).map(|p| state.path(&p)));
        out.hooks.extend(option(&["renew-hook", "run-hook", "deploy-hook"]));
        let days = option(&["days", "renew-days"]).and_then(|d| d.parse().ok());
        let share = command.iter().any(|w| w.trim_start_matches('-') == "dynamic");
        out.before = match days {
            Some(days) => Some(Before::Seconds(i64::clamp(days, 0, 100_000) * 86_400)),
            None if share => Some(Before::Share),
            None => Some(Before::Seconds(DAYS * 86_400)),
        };
        out.timer.clone_from(&timer);
        out.last_run = state.stamp("lego");
        out.credentials.clone_from(&credentials);
        if let Some((path, text)) = &log {
            let (failed, ran) = failures(text, &out.names, path);
            out.failures = failed;
            out.last_run = out.last_run.max(ran);
        }
        state.put(out);
    }
}

/// The words of the command that runs lego.
fn command(timer: &super::Timer) -> Vec<String> {
    let lines = [timer.command.as_str()].into_iter().chain(timer.script.lines());
    let mut words = lines.map(|line| crate::configs::split(&line.replace("\\\n", " ")));
    words.find(|w| w.iter().any(|w| w.rsplit('/').next() == Some("lego"))).unwrap_or_default()
}

/// Failures for these names after which nothing went well, and the last date of the log. A line is
/// `2026/11/20 03:14:07 [INFO] [a.test] ...`; what fails ends with a line that names no level.
fn failures(log: &str, names: &[String], path: &Path) -> (Option<Failed>, Option<UnixTime>) {
    let (mut found, mut ran, mut ours) = (None, None, false);
    for line in log.lines() {
        let Some(at) = line.get(..19).and_then(|date| dates::parse(&date.replacen('/', "-", 2))) else {
            continue;
        };
        ran = Some(at);
        let text = line[19..].trim();
        if let Some(domain) = text.split('[').nth(2).and_then(|t| t.split(']').next()) {
            ours = names.iter().any(|name| domain.split(", ").any(|d| d == name));
        }
        let well = ["no renewal", "Server responded with a certificate", "The certificate expires in"];
        let lower = text.to_ascii_lowercase();
        if ours && well.iter().any(|w| text.contains(w)) {
            found = None;
        } else if !text.starts_with('[') && (lower.contains("error") || lower.contains("could not")) {
            // The whole run stops at the first that fails, whichever that is.
            found = Some(Failed::more(found, at, text, path));
        }
    }
    (found, ran)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewers::read_tree;
    use crate::tree::Tree;

    #[test]
    fn a_certificate_and_its_command() {
        let found = read_tree(&Tree::of(&[
            (
                "/var/lib/lego/certificates/a.test.json",
                "{\n \"domain\": \"a.test\",\n \"certUrl\": \"https://acme.test/cert/1\"\n}",
            ),
            ("/var/lib/lego/certificates/a.test.crt", "x"),
            ("/var/lib/lego/accounts/acme.test/me@a.test/account.json", "{}"),
            (
                "/etc/cron.d/lego",
                "0 3 * * * root /usr/bin/lego --path /var/lib/lego --dns=cloudflare -d a.test renew --days 45 --renew-hook \"systemctl reload nginx\"\n",
            ),
        ]));
        let [one] = found.renewed.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (one.account.as_deref(), one.server.as_deref(), one.solver.as_deref()),
            (Some("me@a.test"), Some("acme.test"), Some("dns:cloudflare"))
        );
        assert_eq!(
            (one.before, one.hooks.as_slice(), one.at.line),
            (Some(Before::Seconds(45 * 86_400)), &["systemctl reload nginx".to_owned()][..], 2)
        );
        assert_eq!(one.broken, ["/var/lib/lego/certificates/a.test.key is not there"]);
    }
}
