//! What must not be looked at: absolute, whoever asks. Checked by the sources before anything is opened
//! or connected, so that no order of options can undo it.

use std::net::IpAddr;
use std::path::Path;

use notafter_core::glob::covers;

use crate::http::reach::{Reach, reach};
use crate::target::{AddressRange, Hosts, NoTarget, PortRange, Target};

/// Everything excluded.
#[derive(Clone, Debug, Default)]
pub struct Exclude {
    paths: Vec<String>,
    names: Vec<String>,
    networks: Vec<(AddressRange, Option<Vec<PortRange>>)>,
    this_host: bool,
}

impl Exclude {
    /// Reads one exclusion: a path (`*` within a segment, `**` across), a file's bare name, a host name,
    /// an address, a range, each of the last with ports if wanted.
    ///
    /// # Errors
    /// A sentence and a hint.
    pub fn add(&mut self, text: &str) -> Result<(), NoTarget> {
        if is_nearly_addresses(text) && Target::parse(text, |_| false).is_err() {
            // Taken for a path it would exclude nothing, and what was to be spared would be looked at.
            return Err(NoTarget {
                message: format!("`{text}` is neither an address nor a range of them"),
                hint: "write 10.0.0.5, 10.0.0.0/24 or 10.0.0.1-10.0.0.50; ./ in front of a path".to_owned(),
            });
        }
        if text.contains('*') || text.starts_with(['/', '.', '~']) {
            if !text.contains('/') {
                self.names.push(text.to_ascii_lowercase());
            }
            self.paths.push(absolute(text));
            return Ok(());
        }
        match Target::parse(text, |_| false) {
            // `app/store.p12` is no range: it is below the folder we are in.
            Err(_) if text.contains('/') && !text.contains("://") => {
                self.paths.push(absolute(&format!("./{text}")))
            }
            Err(wrong) => return Err(wrong),
            Ok(Target::Path(path)) => self.paths.push(absolute(&path.to_string_lossy())),
            Ok(Target::ThisHost) => {
                self.this_host = true;
                self.names.push("localhost".to_owned());
            }
            Ok(Target::Worded(kind, _)) => {
                return Err(NoTarget {
                    message: format!(
                        "`{text}` names a source ({kind}), which is not asked unless it is named"
                    ),
                    hint: "exclude addresses, names and paths".to_owned(),
                });
            }
            Ok(Target::Network(target)) => match target.hosts {
                Hosts::Name(name) => {
                    // A bare word may be a host or a file: neither is looked at.
                    self.paths.push(text.to_owned());
                    self.names.push(name);
                }
                Hosts::Addresses(range) => self.networks.push((range, target.ports)),
            },
        }
        Ok(())
    }

    /// Is this address and port excluded? Where clouds keep the credentials of a machine always is.
    pub fn address(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        if reach(ip) == Reach::Metadata {
            return true;
        }
        self.networks.iter().any(|(range, ports)| {
            let all = ports.is_none();
            range.contains(ip) && (all || ports.iter().flatten().any(|p| (p.first..=p.last).contains(&port)))
        })
    }

    /// Why an excluded address is not connected to, in words.
    pub fn why(ip: IpAddr) -> &'static str {
        match reach(ip.to_canonical()) {
            Reach::Metadata => {
                "clouds keep the credentials of their machines there: it is never connected to"
            }
            Reach::Inside | Reach::Open => "it is excluded",
        }
    }

    /// Are this host's own listeners excluded?
    pub fn this_host(&self) -> bool {
        self.this_host
    }

    /// Is this name excluded?
    pub fn name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.names.iter().any(|pattern| covers(pattern.as_bytes(), name.as_bytes()))
    }

    /// Is this path, or a folder above it, excluded?
    pub fn path(&self, path: &Path) -> bool {
        if self.paths.is_empty() {
            return false;
        }
        use std::os::unix::ffi::OsStrExt;
        let bytes = path.as_os_str().as_bytes();
        self.paths.iter().any(|pattern| {
            let pattern = pattern.as_bytes();
            covers(pattern, bytes)
                || (!pattern.starts_with(b"/")
                    && path.file_name().is_some_and(|n| covers(pattern, n.as_bytes())))
        })
    }
}

/// Was this meant for addresses? Four numbers with dots, stars among them, or hex digits with colons, before any slash.
fn is_nearly_addresses(text: &str) -> bool {
    let head = text.split('/').next().unwrap_or("");
    let head = head.trim_start_matches('[').split(']').next().unwrap_or("");
    let v4 = head.matches('.').count() >= 2
        && head.starts_with(|c: char| c.is_ascii_digit())
        && head.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'*' | b':'));
    let v6 = head.matches(':').count() >= 2
        && head.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'-' | b'*'));
    v4 || v6
}

/// A pattern from the root on, without a slash at its end; a pattern for names alone stays as it is.
fn absolute(pattern: &str) -> String {
    let pattern = match pattern {
        "/" => pattern,
        _ => pattern.trim_end_matches('/'),
    };
    if !pattern.starts_with('.') {
        return pattern.to_owned();
    }
    let folder = std::env::current_dir().unwrap_or_default();
    let mut out = folder.clone();
    for part in Path::new(pattern).components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            part => out.push(part),
        }
    }
    out.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exclusion: &str, path: &str, expected: bool) {
        let mut exclude = Exclude::default();
        exclude.add(exclusion).unwrap();
        assert_eq!(exclude.path(Path::new(path)), expected, "{exclusion} {path}");
    }

    #[test]
    fn paths() {
        check("/srv", "/srv", true);
        check("/srv/", "/srv/a/b", true);
        check("/srv", "/srv2", false);
        check("/srv/*/tmp", "/srv/a/tmp/x", true);
        check("/srv/*/tmp", "/srv/a/b/tmp", false);
        check("/srv/**/tmp", "/srv/a/b/tmp", true);
        check("*.bak", "/srv/a.bak", true);
        check("*.bak", "/srv/a.bak2", false);
        check("**/node_modules", "/a/node_modules/b", true);
        check("store.p12", "/a/b/store.p12", true);
        let here = std::env::current_dir().unwrap();
        check("./x", &here.join("x/y").to_string_lossy(), true);
        check("app/store.p12", &here.join("app/store.p12").to_string_lossy(), true);
        check("../x", &here.parent().unwrap().join("x").to_string_lossy(), true);
    }

    #[test]
    fn credentials_of_clouds_are_said() {
        for (ip, word) in [
            ("169.254.169.254", "credentials"),
            ("::ffff:169.254.169.254", "credentials"),
            ("10.0.0.1", "excluded"),
        ] {
            assert!(Exclude::why(ip.parse().unwrap()).contains(word), "{ip}");
        }
    }

    #[test]
    fn hosts_and_networks() {
        let mut exclude = Exclude::default();
        for text in [
            "10.0.0.0/24",
            "10.1.0.1:9100",
            "printer.example.com",
            "10.2.0.1-10.2.0.9",
            "fd00::/64",
            "::1/128",
        ] {
            exclude.add(text).unwrap();
        }
        for (ip, port, expected) in [
            ("10.0.0.9", 443, true),
            ("10.0.1.9", 443, false),
            ("10.1.0.1", 9100, true),
            ("10.1.0.1", 443, false),
            ("10.2.0.5", 1, true),
            ("fd00::5", 1, true),
            ("::1", 1, true),
            ("::ffff:10.0.0.9", 1, true),
        ] {
            assert_eq!(exclude.address(ip.parse().unwrap(), port), expected, "{ip}:{port}");
        }
        exclude.add("*.lab").unwrap();
        assert!(exclude.name("a.b.lab") && !exclude.name("lab"));
        assert!(exclude.name("Printer.example.com") && !exclude.name("x.example.com"));
        assert!(exclude.add("no such thing").is_err());
    }

    #[test]
    fn what_is_nearly_a_range_is_refused() {
        let mut exclude = Exclude::default();
        for text in
            ["127.0.0.0/99", "10.0.0/24", "10.0.0.*", "300.0.0.0/8", "fd00::/200", "10.0.0.9-1/x", "[::1]/x"]
        {
            let wrong = exclude.add(text).expect_err(text);
            assert!(wrong.message.contains(text), "{}", wrong.message);
        }
        for text in ["*.bak", "2024.01/a", "app/store.p12", "/10.0.0.0/99", "./10.0.0.0/99", "10.0.0.1:443"] {
            exclude.add(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }
}
