//! dehydrated: `config`, `domains.txt`, and certificates whose file names carry the time they were made.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use notafter_core::UnixTime;

use super::{Renewed, Renewer, State, above};
use crate::configs::At;

pub(super) const RENEWER: Renewer = Renewer {
    name: "dehydrated",
    homes: &["/etc/dehydrated", "/usr/local/etc/dehydrated", "/opt/dehydrated", "/var/lib/dehydrated"],
    home_of: |path| above(path, &[]).filter(|_| path.file_name().is_some_and(|n| n == "domains.txt")),
    read,
};

/// What it renews before the end unless it is told otherwise, in days.
const DAYS: i64 = 32;

fn read(state: &mut State<'_>, home: &Path) {
    let mut all: HashMap<String, String> = HashMap::new();
    all.insert("BASEDIR".to_owned(), home.to_string_lossy().into_owned());
    load(state, &home.join("config"), &mut all);
    let folder = all.get("CONFIG_D").map_or_else(|| home.join("conf.d"), PathBuf::from);
    for file in state.tree.glob(&folder.join("*.sh")) {
        load(state, &file, &mut all);
    }
    let base = PathBuf::from(&all["BASEDIR"]);
    let path = |name: &str, or: &str| {
        all.get(name).filter(|v| !v.is_empty()).map_or_else(|| base.join(or), PathBuf::from)
    };
    // Debian keeps the list in /etc and the rest in /var/lib.
    let listed = [path("DOMAINS_TXT", "domains.txt"), home.join("domains.txt")];
    let Some(domains) = listed.iter().find(|p| state.tree.is_file(p)) else { return };
    let certificates = path("CERTDIR", "certs");
    let Some(text) = state.text(domains) else { return };
    let timer = state.timers.of("dehydrated");
    for (line, number) in text.lines().zip(1u32..) {
        let line = line.split('#').next().unwrap_or("").trim();
        let (names, alias) = line.split_once('>').map_or((line, None), |(n, a)| (n, Some(a.trim())));
        let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        let Some(first) = names.first() else { continue };
        let lineage = alias.unwrap_or(first).to_owned();
        let folder = certificates.join(&lineage);
        let mut own = all.clone();
        load(state, &folder.join("config"), &mut own);
        let get = |name: &str| own.get(name).filter(|v| !v.is_empty()).cloned();
        let mut out = Renewed::new("dehydrated", &lineage, At { line: number, ..At::file(domains) });
        out.names = names;
        for name in ["fullchain.pem", "cert.pem"] {
            let file = folder.join(name);
            let real = state.tree.resolve(&file).ok();
            // `cert-1763600000.pem`: made then.
            out.certificates.push(file.clone());
            out.certificates.extend(real.filter(|r| *r != file));
        }
        let made = out.certificates.iter().filter_map(|p| made(p)).max();
        if state.tree.kind(&folder.join("cert.pem")).is_none() {
            out.broken.push(format!("{} was never obtained, or is gone", folder.join("cert.pem").display()));
        }
        out.key = Some(folder.join("privkey.pem"));
        out.renew_before =
            Some(get("RENEW_DAYS").and_then(|d| d.parse().ok()).unwrap_or(DAYS).clamp(0, 100_000) * 86_400);
        out.server = Some(get("CA").unwrap_or_else(|| "letsencrypt".to_owned()));
        out.account = get("CONTACT_EMAIL");
        out.solver = Some(get("CHALLENGETYPE").unwrap_or_else(|| "http-01".to_owned()));
        out.hooks.extend(get("HOOK"));
        // It keeps no log; a request that is newer than the certificate made from it is one that failed.
        out.last_error = unanswered(state, &folder, made);
        out.timer.clone_from(&timer);
        state.put(out);
    }
}

fn made(path: &Path) -> Option<UnixTime> {
    path.file_stem()?.to_str()?.rsplit_once('-')?.1.parse().ok().map(UnixTime)
}

fn unanswered(state: &State<'_>, folder: &Path, made_last: Option<UnixTime>) -> Option<(UnixTime, String)> {
    let asked = state.tree.glob(&folder.join("cert-*.csr")).iter().filter_map(|p| made(p)).max()?;
    let why = "a request was made and no certificate came of it".to_owned();
    made_last.is_none_or(|made| asked > made).then_some((asked, why))
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
        assert_eq!((one.lineage.as_str(), one.names.len(), one.renew_before), ("alias", 2, Some(864_000)));
        assert_eq!(one.last_error.as_ref().map(|(at, _)| at.0), Some(1_763_700_000));
        assert!(one.certificates.contains(&PathBuf::from("/var/lib/dehydrated/c/alias/cert-1763600000.pem")));
        assert_eq!(
            (two.solver.as_deref(), two.renew_before, two.broken.len()),
            (Some("dns-01"), Some(2_592_000), 1)
        );
    }
}
