//! What Apache does while it reads: includes, defines, conditions, macros. What is left are directives,
//! each with the host it stands in. It does not judge them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use crate::configs::reading::join;
use crate::configs::{At, Reading, words};

/// Lines that come out of macros and includes together: a macro that uses two of itself ends here.
const LINES_MAX: usize = 2_000_000;
/// Bytes that come out of macros together.
const EXPANDED_MAX: usize = 16 << 20;
/// So deep may macros use one another, and so deep may folders be included.
const DEPTH_MAX: usize = 16;

/// The directives of one host, or of none.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// The arguments of `<VirtualHost>`; empty for the main server.
    pub(super) addresses: Vec<String>,
    /// By name, in small letters.
    pub(super) settings: HashMap<String, Vec<(Vec<String>, At)>>,
    /// Something below it, a location, asks clients for certificates.
    pub(super) asks_somewhere: bool,
}

impl Host {
    pub(super) fn all(&self, name: &str) -> &[(Vec<String>, At)] {
        self.settings.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The parameters of a macro and its lines.
type Macro = (Vec<String>, Vec<(At, String)>);

/// Everything that was read.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) root: PathBuf,
    pub(super) main: Host,
    pub(super) hosts: Vec<Host>,
    pub(super) listens: Vec<Vec<String>>,
    variables: HashMap<String, String>,
    modules: HashSet<String>,
    macros: HashMap<String, Macro>,
    current: Option<usize>,
    lines: usize,
    expanded: usize,
    depth: usize,
}

/// Modules that are part of the program in every usual build.
const BUILT_IN: &[&str] = &[
    "core",
    "so",
    "http",
    "log_config",
    "logio",
    "unixd",
    "version",
    "watchdog",
    "mpm_event",
    "mpm_prefork",
];

/// What stands in these does not concern a whole host.
const INNER: &[&str] = &[
    "directory",
    "directorymatch",
    "location",
    "locationmatch",
    "files",
    "filesmatch",
    "proxy",
    "proxymatch",
    "limit",
    "limitexcept",
    "authnprovideralias",
    "requireall",
    "requireany",
    "requirenone",
    "if",
    "elseif",
    "else",
];

/// Other modules' words for the same.
const SAME: &[(&str, &str)] = &[
    ("gnutlsenable", "sslengine"),
    ("gnutlscertificatefile", "sslcertificatefile"),
    ("gnutlskeyfile", "sslcertificatekeyfile"),
    ("gnutlsclientcafile", "sslcacertificatefile"),
    ("gnutlsclientverify", "sslverifyclient"),
];

/// Reads a main file. Environment variables come from what starts Apache on this system.
pub(super) fn load(reading: &mut Reading<'_>, path: &Path, root: PathBuf) -> Option<Loaded> {
    let mut out = Loaded { root, ..Loaded::default() };
    let beside = path.parent().map(|p| p.join("envvars"));
    let files = [beside, Some("/etc/sysconfig/httpd".into()), Some("/etc/sysconfig/apache2".into())];
    for file in files.into_iter().flatten() {
        out.environment(reading, &file);
    }
    reading.main(path, |reading, path, text| {
        let lines = words::joined(&text).map(|(n, line)| (At::new(path, n), line)).collect();
        out.read(reading, lines);
    })?;
    Some(out)
}

impl Loaded {
    /// `export NAME=VALUE`, and `-D NAME` among the arguments it is started with.
    fn environment(&mut self, reading: &Reading<'_>, path: &Path) {
        let Ok(bytes) = reading.tree.read(path) else { return };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = words::pair(line).filter(|(name, _)| !name.contains(['#', ' '])) else {
                continue;
            };
            if matches!(name, "OPTIONS" | "APACHE_ARGUMENTS" | "HTTPD_OPTIONS") {
                let mut words = value.split_whitespace();
                while let Some(word) = words.next() {
                    let defined = match word {
                        "-D" => words.next(),
                        _ => word.strip_prefix("-D"),
                    };
                    if let Some(name) = defined {
                        self.variables.insert(name.to_owned(), String::new());
                    }
                }
            } else {
                // `$SUFFIX` tells several instances apart and is empty for the first.
                let value = value.replace("${SUFFIX}", "").replace("$SUFFIX", "");
                self.variables.insert(name.to_owned(), value);
            }
        }
    }

    fn read(&mut self, reading: &mut Reading<'_>, lines: Vec<(At, String)>) {
        // Sections that are open in this file, and whether what is in them counts.
        let mut open: Vec<(String, bool)> = Vec::new();
        let mut lines = lines.into_iter();
        let host_before = self.current;
        while let Some((at, line)) = lines.next() {
            self.lines += 1;
            if self.lines > LINES_MAX {
                reading.blind(&at, Reason::Budget, "too many lines: the rest is not read");
                break;
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let live = open.iter().all(|(_, live)| *live);
            if let Some(name) = line.strip_prefix("</") {
                let name = name.trim_end_matches('>').trim().to_ascii_lowercase();
                match open.iter().rposition(|(open, _)| *open == name) {
                    Some(n) => {
                        open.truncate(n);
                        if name == "virtualhost" {
                            self.current = None;
                        }
                    }
                    None => reading.blind(&at, Reason::Malformed, format!("</{name}> closes nothing")),
                }
            } else if let Some(section) = line.strip_prefix('<') {
                let section = section.trim_end().trim_end_matches('>');
                let section = if live { self.expand(section) } else { section.to_owned() };
                let mut arguments = words::split(&section);
                let name = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
                let name = name.to_ascii_lowercase();
                if name == "macro" {
                    let body = lines
                        .by_ref()
                        .take_while(|(_, l)| !l.trim().to_ascii_lowercase().starts_with("</macro"));
                    let body: Vec<_> = body.collect();
                    if live && !arguments.is_empty() {
                        let name = arguments.remove(0).to_ascii_lowercase();
                        self.macros.insert(name, (arguments, body));
                    }
                    continue;
                }
                let counts = live && self.section(reading, &name, &arguments, &open);
                open.push((name, counts));
            } else if live {
                let inner = open.iter().any(|(name, _)| INNER.contains(&name.as_str()));
                let line = self.expand(line);
                self.directive(reading, &line, &at, inner);
            }
            if open.len() > 256 {
                reading.blind(&at, Reason::Malformed, "sections stand too deep in one another");
                break;
            }
        }
        if open.iter().any(|(name, _)| name == "virtualhost") {
            self.current = host_before;
        }
    }

    /// Does what is in this section count?
    fn section(
        &mut self,
        reading: &Reading<'_>,
        name: &str,
        arguments: &[String],
        open: &[(String, bool)],
    ) -> bool {
        let argument = arguments.first().map_or("", String::as_str);
        let (wanted, argument) = match argument.strip_prefix('!') {
            Some(rest) => (false, rest),
            None => (true, argument),
        };
        match name {
            "ifdefine" => self.variables.contains_key(argument) == wanted,
            "ifmodule" => self.has_module(argument) == wanted,
            "iffile" => reading.tree.kind(&join(&self.root, argument)).is_some() == wanted,
            "virtualhost" => {
                let inner = open.iter().any(|(name, _)| name == "virtualhost");
                if !inner {
                    self.current = Some(self.hosts.len());
                    self.hosts.push(Host { addresses: arguments.to_vec(), ..Host::default() });
                }
                !inner
            }
            _ => true,
        }
    }

    /// Is the module there? A file that loads none is a part of a configuration, of which nobody knows.
    fn has_module(&self, name: &str) -> bool {
        let name = module(name);
        self.modules.is_empty() || self.modules.contains(name) || BUILT_IN.contains(&name)
    }

    fn directive(&mut self, reading: &mut Reading<'_>, line: &str, at: &At, inner: bool) {
        let mut arguments = words::split(line);
        if arguments.is_empty() {
            return;
        }
        let name = arguments.remove(0).to_ascii_lowercase();
        let first = arguments.first().map_or("", String::as_str);
        match name.as_str() {
            "serverroot" => self.root = PathBuf::from(first),
            "define" => {
                let value = arguments.get(1).cloned().unwrap_or_default();
                self.variables.insert(first.to_owned(), value);
            }
            "undefine" => {
                self.variables.remove(first);
            }
            "loadmodule" => {
                self.modules.insert(module(first).to_owned());
            }
            "include" | "includeoptional" => {
                let path = join(&self.root, first);
                self.include(reading, &path, at, name == "include");
            }
            "use" => self.use_macro(reading, first, &arguments, at),
            "listen" => self.listens.push(arguments),
            "sslverifyclient" | "gnutlsclientverify" if inner => {
                let asks = !first.eq_ignore_ascii_case("none") && !first.eq_ignore_ascii_case("ignore");
                self.host().asks_somewhere |= asks;
            }
            _ => {
                let kept = ["ssl", "server", "md", "gnutls", "proxypass", "documentroot"]
                    .iter()
                    .any(|p| name.starts_with(p));
                if kept && (!inner || name.starts_with("sslproxy")) {
                    let name = SAME
                        .iter()
                        .find(|(other, _)| *other == name)
                        .map_or(name.as_str(), |(_, ours)| *ours);
                    self.host().settings.entry(name.to_owned()).or_default().push((arguments, at.clone()));
                }
            }
        }
    }

    fn host(&mut self) -> &mut Host {
        match self.current {
            Some(n) => &mut self.hosts[n],
            None => &mut self.main,
        }
    }

    fn include(&mut self, reading: &mut Reading<'_>, path: &Path, at: &At, required: bool) {
        let plain = !path.as_os_str().as_encoded_bytes().iter().any(|b| b"*?[".contains(b));
        let found = reading.tree.glob(path);
        if found.is_empty() && required && plain {
            reading.blind(at, Reason::NotFound, format!("{}: it is not there", path.display()));
        }
        for path in found {
            self.include_one(reading, &path, at);
        }
    }

    fn include_one(&mut self, reading: &mut Reading<'_>, path: &Path, at: &At) {
        if reading.tree.is_folder(path) {
            if self.depth < DEPTH_MAX {
                self.depth += 1;
                for name in reading.tree.list(path).unwrap_or_default() {
                    self.include_one(reading, &path.join(name), at);
                }
                self.depth -= 1;
            }
            return;
        }
        reading.enter(path, at, |reading, path, text| {
            let lines = words::joined(&text).map(|(n, line)| (At::new(path, n), line)).collect();
            self.read(reading, lines);
        });
    }

    fn use_macro(&mut self, reading: &mut Reading<'_>, name: &str, arguments: &[String], at: &At) {
        let Some((parameters, body)) = self.macros.get(&name.to_ascii_lowercase()) else {
            return reading.blind(at, Reason::Malformed, format!("there is no macro {name}"));
        };
        if self.depth >= DEPTH_MAX {
            return reading.blind(
                at,
                Reason::Budget,
                format!("{DEPTH_MAX} macros use one another: no further"),
            );
        }
        // The longest first: `$name` is no `$n`.
        let mut pairs: Vec<_> = parameters.iter().zip(arguments.iter().skip(1)).collect();
        pairs.sort_by_key(|(parameter, _)| std::cmp::Reverse(parameter.len()));
        let filled = |line: &String| {
            pairs.iter().fold(line.clone(), |line, (parameter, value)| match line.len() < 8192 {
                true => line.replace(parameter.as_str(), value),
                false => line,
            })
        };
        let lines: Vec<(At, String)> = body.iter().map(|(at, line)| (at.clone(), filled(line))).collect();
        self.expanded += lines.iter().map(|(_, line)| line.len() + 64).sum::<usize>();
        if self.expanded > EXPANDED_MAX {
            return reading.blind(at, Reason::Budget, "macros give too much: the rest is not read");
        }
        self.depth += 1;
        self.read(reading, lines);
        self.depth -= 1;
    }

    /// `${NAME}`: what was defined, else the environment; what is neither stays.
    fn expand(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else { break };
            out.push_str(before);
            match self.variables.get(name.split(':').next().unwrap_or(name)) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("${{{name}}}")),
            }
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

/// `mod_ssl.c` and `ssl_module` are the same.
fn module(name: &str) -> &str {
    let name = name.strip_suffix("_module").unwrap_or(name);
    let name = name.strip_suffix(".c").unwrap_or(name);
    name.strip_prefix("mod_").unwrap_or(name)
}
