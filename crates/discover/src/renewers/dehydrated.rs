//! dehydrated: `config`, `domains.txt`, and certificates whose file names carry the time they were made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use notafter_core::UnixTime;
use notafter_core::upkeep::Before;

use super::{Failed, Renewed, Renewer, State, above, says};
use crate::configs::At;

pub(super) const RENEWER: Renewer = Renewer {
    name: "dehydrated",
    homes: &["/etc/dehydrated", "/usr/local/etc/dehydrated", "/opt/dehydrated", "/var/lib/dehydrated"],
    home_of: |path, start| {
        let name = path.file_name()?.to_str()?;
        if name == "config" {
            let words = ["BASEDIR", "CHALLENGETYPE", "WELLKNOWN", "DOMAINS_TXT", "PRIVATE_KEY_RENEW"];
            return above(path, &[]).filter(|_| says(start, &words));
        }
        // `certs/a.test/cert-1763600000.pem`
        let made = name.strip_prefix("cert-")?.strip_suffix(".pem")?;
        let stamp = made.len() == 10 && made.bytes().all(|b| b.is_ascii_digit());
        above(path, &[None, Some("certs")]).filter(|_| stamp)
    },
    read,
};

/// What it renews before the end unless it is told otherwise, in days.
const DAYS: i64 = 32;
/// Where the configuration of a state that lies elsewhere may be.
const CONFIGS: &[&str] = &["/etc/dehydrated", "/usr/local/etc/dehydrated"];

fn read(state: &mut State<'_>, home: &Path) {
    let mut home = home.to_owned();
    let mut all = settings(state, &home);
    if !state.tree.is_file(&home.join("config")) {
        // Debian keeps the list in /etc and the rest in /var/lib.
        for other in CONFIGS.iter().map(PathBuf::from) {
            let theirs = settings(state, &other);
            if theirs.get("BASEDIR").is_some_and(|base| state.path(base) == home) {
                (home, all) = (other, theirs);
                break;
            }
        }
    }
    state.home.clone_from(&home);
    let base = state.path(&all["BASEDIR"]);
    let path = |name: &str, or: &str| {
        all.get(name).filter(|v| !v.is_empty()).map_or_else(|| base.join(or), |v| state.path(v))
    };
    let listed = [path("DOMAINS_TXT", "domains.txt"), home.join("domains.txt")];
    let certificates = path("CERTDIR", "certs");
    let timer = state.timer("dehydrated");
    let mut files = vec![home.join("config")];
    files.extend(all.get("HOOK").map(|hook| state.path(hook)));
    files.extend(state.named_by(timer.as_ref()));
    let credentials = state.credentials(&files);
    let mut found = Vec::new();
    match listed.iter().find(|p| state.tree.is_file(p)) {
        Some(domains) => {
            let Some(text) = state.text(domains) else { return };
            for (line, number) in text.lines().zip(1u32..) {
                let line = line.split('#').next().unwrap_or("").trim();
                let (names, alias) = line.split_once('>').map_or((line, None), |(n, a)| (n, Some(a.trim())));
                let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
                let Some(first) = names.first() else { continue };
                let lineage = alias.unwrap_or(first).to_owned();
                let folder = certificates.join(&lineage);
                if state.tree.kind(&folder.join("cert.pem")).is_none() {
                    let why = format!("{} was never obtained, or is gone", folder.join("cert.pem").display());
                    state.blind(&folder.join("cert.pem"), notafter_core::observation::Reason::NotFound, why);
                }
                found.push((lineage, names, At { line: number, ..At::file(domains) }));
            }
        }
        // What it is called for stands in the command (`-d a.test`).
        None => {
            for file in state.tree.glob(&certificates.join("*/cert.pem")) {
                let Some(lineage) = file.parent().and_then(Path::file_name) else { continue };
                let lineage = lineage.to_string_lossy().into_owned();
                found.push((lineage.clone(), vec![lineage], At::file(&file)));
            }
        }
    }
    for (lineage, names, at) in found {
        let folder = certificates.join(&lineage);
        let mut own = all.clone();
        load(state, &folder.join("config"), &mut own);
        let get = |name: &str| own.get(name).filter(|v| !v.is_empty()).cloned();
        let mut out = Renewed::new("dehydrated", &lineage, at);
        out.names = names;
        for name in ["fullchain.pem", "cert.pem"] {
            let file = folder.join(name);
            let real = state.tree.resolve(&file).ok();
            // `cert-1763600000.pem`: made then.
            out.certificates.push(file.clone());
            out.certificates.extend(real.filter(|r| *r != file));
        }
        let last_made = out.certificates.iter().filter_map(|p| made(p)).max();
        out.key = Some(folder.join("privkey.pem"));
        let days: i64 = get("RENEW_DAYS").and_then(|d| d.parse().ok()).unwrap_or(DAYS);
        out.before = Some(Before::Seconds(days.clamp(0, 100_000) * 86_400));
        out.server = Some(get("CA").unwrap_or_else(|| "letsencrypt".to_owned()));
        out.account = get("CONTACT_EMAIL");
        out.solver = Some(get("CHALLENGETYPE").unwrap_or_else(|| "http-01".to_owned()));
        out.hooks.extend(get("HOOK"));
        if let Some(hook) = get("HOOK").map(|hook| state.path(&hook)).filter(|h| h.is_absolute())
            && state.tree.kind(&hook).is_none()
        {
            out.broken.push(format!("its hook {} is not there", hook.display()));
        }
        out.failures = unanswered(state, &folder, last_made);
        out.last_run = out.failures.as_ref().map(|f| f.last).max(state.stamp("dehydrated"));
        out.timer.clone_from(&timer);
        out.credentials.clone_from(&credentials);
        state.put(out);
    }
}

/// The configuration in a folder.
fn settings(state: &State<'_>, home: &Path) -> HashMap<String, String> {
    let mut all: HashMap<String, String> = HashMap::new();
    all.insert("BASEDIR".to_owned(), home.to_string_lossy().into_owned());
    load(state, &home.join("config"), &mut all);
    let folder = all.get("CONFIG_D").map_or_else(|| home.join("conf.d"), |folder| state.path(folder));
    for file in state.tree.glob(&folder.join("*.sh")) {
        load(state, &file, &mut all);
    }
    all
}

fn made(path: &Path) -> Option<UnixTime> {
    path.file_stem()?.to_str()?.rsplit_once('-')?.1.parse().ok().map(UnixTime)
}

/// It keeps no log; each attempt begins with a request, and one that is newer than the certificate failed.
fn unanswered(state: &State<'_>, folder: &Path, last_made: Option<UnixTime>) -> Option<Failed> {
    let asked = state.tree.glob(&folder.join("cert-*.csr"));
    let mut asked: Vec<(UnixTime, &PathBuf)> = asked.iter().filter_map(|p| Some((made(p)?, p))).collect();
    asked.retain(|(at, _)| last_made.is_none_or(|made| *at > made));
    asked.sort_unstable();
    let why = "a request was made and no certificate came of it";
    asked.iter().fold(None, |known, (at, path)| Some(Failed::more(known, *at, why, path)))
}

/// `NAME="value"` of a shell, with the names that are known filled in.
fn load(state: &State<'_>, path: &Path, all: &mut HashMap<String, String>) {
    for line in state.maybe(path).unwrap_or_default().lines() {
        let line = line.trim();
        let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let name = name.trim_start_matches("export ").trim();
        let mut value = value.split(" #").next().unwrap_or(value).trim().trim_matches(['"', '\'']).to_owned();
        for known in ["BASEDIR", "CERTDIR", "SCRIPTDIR", "WELLKNOWN"] {
            if value.len() < 4096
                && let Some(with) = all.get(known)
            {
                value = value.replace(&format!("${{{known}}}"), with).replace(&format!("${known}"), with);
            }
        }
        if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            all.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewers::read_tree;
    use crate::tree::{Entry, Tree};

    #[test]
    fn domains() {
        let found = read_tree(&Tree::memory([
            ("/etc/dehydrated/config".into(), Entry::file(b"BASEDIR=/var/lib/dehydrated\nCERTDIR=\"${BASEDIR}/c\"\nDOMAINS_TXT=/etc/dehydrated/domains.txt\nCHALLENGETYPE=\"dns-01\"\nHOOK=/h.sh\nRENEW_DAYS=\"30\"\n")),
            ("/etc/dehydrated/domains.txt".into(), Entry::file(b"# x\na.test www.a.test > alias\nb.test\n")),
            ("/var/lib/dehydrated/c/alias/cert-1763600000.pem".into(), Entry::file(b"x")),
            ("/var/lib/dehydrated/c/alias/cert-1763700000.csr".into(), Entry::file(b"x")),
            ("/var/lib/dehydrated/c/alias/cert.pem".into(), Entry::link("cert-1763600000.pem")),
            ("/var/lib/dehydrated/c/alias/config".into(), Entry::file(b"RENEW_DAYS=10\n")),
        ]));
        let [one, two] = found.renewed.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (one.lineage.as_str(), one.names.len(), one.before),
            ("alias", 2, Some(Before::Seconds(864_000)))
        );
        assert!(found.blind[0].why.contains("never obtained"), "{found:?}");
        assert_eq!(one.failures.as_ref().map(|f| f.last.0), Some(1_763_700_000));
        assert!(one.certificates.contains(&PathBuf::from("/var/lib/dehydrated/c/alias/cert-1763600000.pem")));
        assert_eq!(
            (two.solver.as_deref(), two.before, two.broken.as_slice()),
            (
                Some("dns-01"),
                Some(Before::Seconds(2_592_000)),
                &["its hook /h.sh is not there".to_owned()][..]
            )
        );
    }
}
