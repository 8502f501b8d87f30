//! What `crt` and `crt-list` come to: one PEM file, a folder of them, a list with names.

use std::path::Path;

use notafter_core::observation::Reason;

use super::State;
use crate::configs::reading::join;
use crate::configs::{At, Checks, Holds, Name, Reading, Serving, words};

/// What lies beside a certificate and is none.
const BESIDE: &[&str] = &["key", "issuer", "ocsp", "sctl"];

impl State {
    /// `crt X`: a file, a folder, or an entry of a store.
    pub(super) fn certificate(&self, reading: &mut Reading<'_>, text: &str, at: &At) -> Vec<Serving> {
        if text.is_empty() {
            return Vec::new();
        }
        if text.starts_with('@') {
            let Some(loaded) = self.stores.get(text) else {
                reading.blind(at, Reason::NotFound, format!("{text}: there is no such store or entry"));
                return Vec::new();
            };
            let mut serving = reading.serving(loaded.certificate.clone(), at);
            serving.key = loaded.key.clone();
            serving.by_certificate = true;
            if let Some(staple) = &loaded.staple {
                reading.trust(staple.clone(), Holds::Staple, Checks::NobodyAsked, (&[], &[]), at);
            }
            return vec![serving];
        }
        let path = join(self.base("crt-base"), text);
        if reading.tree.is_folder(&path) {
            let names = reading.tree.list(&path).unwrap_or_default();
            let files = names.iter().filter(|name| {
                let name = name.to_string_lossy();
                let ending = name.rsplit_once('.').map_or("", |(_, e)| e);
                !name.starts_with('.') && !BESIDE.contains(&ending)
            });
            let files: Vec<_> =
                files.map(|name| path.join(name)).filter(|f| reading.tree.is_file(f)).collect();
            return files.iter().map(|file| self.one(reading, file, at)).collect();
        }
        // `crt site.pem` may stand for `site.pem.rsa` and `site.pem.ecdsa`.
        if reading.tree.kind(&path).is_none() {
            let with = |ending: &str| {
                let mut name = path.as_os_str().to_owned();
                name.push(ending);
                std::path::PathBuf::from(name)
            };
            let bundle: Vec<_> = [".rsa", ".ecdsa", ".dsa"]
                .map(with)
                .into_iter()
                .filter(|f| reading.tree.is_file(f))
                .collect();
            if !bundle.is_empty() {
                return bundle.iter().map(|file| self.one(reading, file, at)).collect();
            }
        }
        vec![self.one(reading, &path, at)]
    }

    /// One file, with what lies beside it by name.
    fn one(&self, reading: &mut Reading<'_>, path: &Path, at: &At) -> Serving {
        let with = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            std::path::PathBuf::from(name)
        };
        let mut serving = reading.serving(path.to_owned(), at);
        serving.by_certificate = true;
        serving.key = Some(with(".key")).filter(|f| reading.tree.is_file(f));
        // `.issuer` is for asking about revocation, and not sent to clients.
        let staple = with(".ocsp");
        if reading.tree.is_file(&staple) {
            reading.trust(staple, Holds::Staple, Checks::NobodyAsked, (&[], &[]), at);
        }
        serving
    }

    /// A `crt-list`: `file [settings] names`, a line each.
    pub(super) fn list(&self, reading: &mut Reading<'_>, path: &Path, from: &At) -> Vec<Serving> {
        let mut out = Vec::new();
        reading.enter(path, from, |reading, path, text| {
            for (number, line) in words::lines(&text, &['#']) {
                let at = At::new(path, number);
                let (settings, rest) = match line
                    .split_once('[')
                    .and_then(|(f, r)| Some((f, r.split_once(']')?)))
                {
                    Some((file, (settings, names))) => (words::split(settings), format!("{file} {names}")),
                    None => (Vec::new(), line.to_owned()),
                };
                let all = words::split(&rest);
                let Some(file) = all.first() else { continue };
                let names: Vec<Name> =
                    all[1..].iter().filter(|n| !n.starts_with('!')).map(|n| Name::plain(n)).collect();
                for mut serving in self.certificate(reading, file, &at) {
                    serving.by_certificate = names.is_empty();
                    serving.names.clone_from(&names);
                    out.push(serving);
                }
                let checks = match super::value(&settings, "verify") {
                    Some("required") => Checks::ClientsRequired,
                    Some("optional") => Checks::ClientsOptional,
                    _ => Checks::NobodyAsked,
                };
                self.trust(reading, &settings, checks, &[], &at);
            }
        });
        out
    }
}
