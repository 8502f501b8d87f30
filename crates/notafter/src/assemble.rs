//! Plugs it all together: from what was typed to sources, trust stores and a clock.
//!
//! The only place that knows which provider serves which target, and the only one that reads the files
//! a user names for settings: lists, passwords, roots, owners.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notafter_act::secret::Secret;
use notafter_core::UnixTime;
use notafter_core::clock::Clock;
use notafter_core::joints::{Cx, Source};
use notafter_core::owner::Owner;
use notafter_core::policy::Policy;
use notafter_core::trust::TrustStores;
use notafter_core::watched::Watched;
use notafter_discover::domain::Registries;
use notafter_discover::exclude::Exclude;
use notafter_discover::files::{Files, SIZE_MAX};
use notafter_discover::network::{Network, Rate, Settings};
use notafter_discover::sources::{self, Given, Order, Reveal};
use notafter_discover::target::{self, NetworkTarget, PortRange, Target};
use notafter_engine::clock::SystemClock;
use notafter_engine::pipeline::Judgment;
use notafter_pki::container::{self, Content, Limits};

use crate::cli::{Global, Look};
use crate::commands::Usage;
use crate::config::plan::Sheet;
use crate::config::{self, Config};
use crate::moment;

/// A list of targets from a file or standard input may be so long, in bytes.
const LIST_MAX: u64 = 256 << 20;

/// Where `notafter scan` looks when told nothing, besides the listening ports.
const USUAL_FOLDERS: &[&str] = &[
    "/etc/ssl",
    "/etc/pki",
    "/etc/letsencrypt",
    "/etc/nginx",
    "/etc/apache2",
    "/etc/httpd",
    "/etc/haproxy",
    "/etc/postfix",
    "/etc/dovecot",
    "/etc/ldap",
    "/etc/openldap",
    "/etc/kubernetes",
    "/etc/docker",
    "/etc/openvpn",
    "/etc/stunnel",
    "/etc/mysql",
    "/etc/postgresql",
    "/etc/rabbitmq",
    "/etc/redis",
    "/etc/mosquitto",
    "/etc/tomcat10",
    "/etc/hitch",
    "/etc/prosody",
    "/etc/proftpd",
    "/etc/unbound",
    "/etc/vsftpd",
    "/etc/nats",
    "/etc/etcd",
    "/var/lib/acme",
    "/var/lib/dehydrated",
    "/var/lib/caddy",
    "/var/lib/kubelet/pki",
    "/usr/local/etc",
    "/opt",
];

/// What a command looks at, assembled.
pub(crate) struct Assembly {
    pub(crate) targets: Vec<String>,
    pub(crate) network: Option<Network>,
    pub(crate) files: Option<Files>,
    pub(crate) worded: Vec<Box<dyn Source>>,
    /// What the configuration knows by itself: dates typed in, counters.
    entries: Vec<Arc<dyn Source>>,
    pub(crate) trust: TrustStores,
    pub(crate) policy: Policy,
    pub(crate) owners: Vec<Owner>,
    /// What no source may look at.
    pub(crate) exclude: Exclude,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) at: UnixTime,
    /// Is every target a single server or file, so that silence of all of them is a failure?
    pub(crate) all_single: bool,
}

impl Assembly {
    /// Reads everything that was named. Opens files, connects to nothing.
    pub(crate) fn new(global: &Global, look: &Look, texts: &[String]) -> Result<Self, Usage> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let at = match &global.at {
            Some(text) => moment::parse_at(text, clock.now()).map_err(at_hint)?,
            None => clock.now(),
        };
        let sheet = read_sheet(global.config.as_deref())?;
        let named = sheet.file.clone().unwrap_or_default();
        let entries = sheet.entries().map_err(|e| explain(&named, &e))?;
        // What a configuration looks at by default is no list of anybody's.
        let listed = !sheet.config.source.is_empty();
        let watched = if listed { sheet.coverage(&[]).0.watched(false) } else { Watched::default() };
        let config = sheet.config;
        let settings = settings(look, &config)?;
        let mut owners = Vec::new();
        if let Some(file) = &look.owner_file {
            let from_file = config::parse(&read_text(file)?).map_err(|e| explain(file, &e))?;
            for table in &from_file.owner {
                owners.push(table.owner().map_err(|e| explain(file, &e))?);
            }
        }
        for table in &config.owner {
            owners.push(table.owner().map_err(Usage::new)?);
        }
        let texts = expand(texts)?;
        let trust = trust(&look.roots)?;
        let given = given(look, &settings, &trust)?;
        let Sources { network, files, worded, all_single } =
            sources(&texts, &settings, &given, &tables(&config))?;
        Ok(Self {
            targets: texts,
            network,
            files,
            worded,
            entries: entries.into_iter().map(|(_, _, source)| source).collect(),
            trust,
            policy: Policy {
                max_days: config.policy.max_days,
                issuers: config.policy.issuers.clone(),
                gone_after: None,
                calendar: config.calendar().map_err(|(_, what)| explain_plain(&what))?,
                owners_expected: owners.iter().any(|o| !o.matches.is_empty()),
                watched,
                stakes: config::stakes::stakes(&config),
            },
            owners,
            exclude: settings.exclude.clone(),
            clock,
            at,
            all_single,
        })
    }

    /// The context of a run.
    pub(crate) fn cx(&self) -> Cx {
        Cx::new(Arc::clone(&self.clock), vantage())
    }

    /// Looks at what the configuration knows by itself, too.
    pub(crate) fn with_entries(mut self) -> Self {
        let entries = std::mem::take(&mut self.entries);
        self.worded.extend(entries.into_iter().map(|source| Box::new(source) as Box<dyn Source>));
        self
    }

    /// The sources, taken out.
    pub(crate) fn take_sources(&mut self) -> Vec<Box<dyn Source>> {
        let mut out: Vec<Box<dyn Source>> = Vec::new();
        if let Some(network) = self.network.take() {
            out.push(Box::new(network));
        }
        if let Some(files) = self.files.take() {
            out.push(Box::new(files));
        }
        out.append(&mut self.worded);
        out
    }

    /// By what to judge.
    pub(crate) fn judgment(&self) -> Judgment {
        Judgment {
            trust: self.trust.clone(),
            policy: self.policy.clone(),
            owners: self.owners.clone(),
            at: self.at,
        }
    }
}

fn at_hint(message: String) -> Usage {
    Usage::new(message).hint("write 2027-03-01, 2027-03-01T08:00:00Z or +30d")
}

/// The name of this host, as others know it.
pub(crate) fn vantage() -> Arc<str> {
    Arc::from(rustix::system::uname().nodename().to_string_lossy().as_ref())
}

/// What words became.
struct Sources {
    network: Option<Network>,
    files: Option<Files>,
    worded: Vec<Box<dyn Source>>,
    all_single: bool,
}

impl Sources {
    fn all(self) -> Vec<Box<dyn Source>> {
        let network = self.network.map(|n| Box::new(n) as Box<dyn Source>);
        let files = self.files.map(|f| Box::new(f) as Box<dyn Source>);
        network.into_iter().chain(files).chain(self.worded).collect()
    }
}

/// The settings of sources with a word, by kind. Whoever names a registry or a log in them means it for every look.
pub(crate) type Tables = Vec<(String, toml::Table)>;

/// Those of a configuration.
pub(crate) fn tables(config: &Config) -> Tables {
    config.source.iter().map(|table| (table.kind.get_ref().clone(), table.rest.clone())).collect()
}

/// Of several `tables` of one kind the first counts.
fn sources(
    texts: &[String],
    settings: &Settings,
    given: &Given,
    tables: &[(String, toml::Table)],
) -> Result<Sources, Usage> {
    let mut worded: Vec<(&'static str, Vec<String>)> = Vec::new();
    let mut network: Vec<NetworkTarget> = Vec::new();
    let mut this_host = texts.is_empty();
    let mut roots: Vec<PathBuf> = Vec::new();
    let mut all_single = !texts.is_empty();
    let mut seen = std::collections::HashSet::new();
    for text in texts {
        match Target::parse(text, |path| Path::new(path).is_file())? {
            Target::ThisHost => {
                this_host = true;
                all_single = false;
            }
            Target::Network(target) => {
                all_single &= match &target.hosts {
                    target::Hosts::Name(_) => true,
                    target::Hosts::Addresses(range) => range.len() == 1,
                };
                // A list may name a server twice; it is asked once.
                if seen.insert(format!("{target:?}")) {
                    network.push(target);
                }
            }
            Target::Path(path) => {
                all_single &= !path.is_dir();
                roots.push(home(path));
            }
            Target::Worded(kind, text) => match worded.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, texts)) if texts.contains(&text) => {}
                Some((_, texts)) => texts.push(text),
                None => worded.push((kind, vec![text])),
            },
        }
    }
    let registries = registries(tables)?;
    let given = &Given { beside: network.as_slice().into(), registries, ..given.clone() };
    let worded = worded.into_iter().map(|(kind, texts)| {
        let table = tables.iter().find(|(known, _)| known == kind);
        self::worded(kind, &texts, table.map(|(_, rest)| rest), given)
    });
    let worded = worded.collect::<Result<_, _>>()?;
    if texts.is_empty() {
        roots.extend(usual_roots());
    }
    let passwords = Arc::clone(&given.passwords);
    let exclude = settings.exclude.clone();
    let files = (!roots.is_empty()).then(|| Files {
        roots,
        exclude,
        passwords,
        size_max: SIZE_MAX,
        threads: 0,
        given: Some(given.clone()),
    });
    let any = this_host || !network.is_empty();
    let network = any.then(|| Network { targets: network, this_host, settings: settings.clone() });
    Ok(Sources { network, files, worded, all_single })
}

/// A source that is named by a word, with its targets from the command line or its settings from a table.
pub(crate) fn worded(
    name: &str,
    texts: &[String],
    rest: Option<&toml::Table>,
    given: &Given,
) -> Result<Box<dyn Source>, Usage> {
    let kind = sources::named(name).ok_or_else(|| Usage::new(format!("no source is called `{name}`")))?;
    let settings = match rest {
        Some(rest) => serde_json::to_value(rest).map_err(|e| Usage::new(e.to_string()))?,
        None => serde_json::json!({}),
    };
    Ok((kind.build)(Order { targets: texts, settings: &settings, given })?)
}

/// The same, as the server runs it; `beside`: the servers that its other sources look at.
pub(crate) fn worded_source(
    name: &str,
    texts: &[String],
    rest: &toml::Table,
    look: &Look,
    tables: &[(String, toml::Table)],
    beside: &Arc<[NetworkTarget]>,
) -> Result<Box<dyn Source>, Usage> {
    let settings = settings(look, &Config::default())?;
    let given = given(look, &settings, &trust(&look.roots)?)?;
    let given = Given { registries: registries(tables)?, beside: Arc::clone(beside), ..given };
    worded(name, texts, Some(rest), &given)
}

/// What holds for every source that is named by a word.
pub(crate) fn given(look: &Look, settings: &Settings, trust: &TrustStores) -> Result<Given, Usage> {
    let roots = trust.mozilla.iter().chain(&trust.system).chain(&trust.given).cloned();
    Ok(Given {
        network: settings.clone(),
        passwords: passwords(&look.password_file)?,
        roots: roots.collect(),
        beside: Arc::new([]),
        registries: Arc::default(),
        secret: reveal,
        tsig: look.tsig_file.as_deref().map(key_file).transpose()?,
    })
}

/// What reads the secret that a table refers to.
fn reveal(value: &serde_json::Value) -> Result<Reveal, String> {
    let secret: Secret = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
    Ok(Arc::new(move || secret.read()))
}

/// A key for transfers that the user named; whether it can be read is told now, and it is read again at every use.
fn key_file(path: &Path) -> Result<Reveal, Usage> {
    let secret = Secret::file(path);
    let text = secret.read().map_err(Usage::new)?;
    if let Err(said) = notafter_pki::dns::tsig::Key::of_file(&text) {
        return Err(Usage::new(format!("--tsig-file {}: {said}", path.display())));
    }
    Ok(Arc::new(move || secret.read()))
}

/// Whom the sources of registrations in a configuration ask.
fn registries(tables: &[(String, toml::Table)]) -> Result<Arc<Registries>, Usage> {
    let mut out = Registries::default();
    for (_, rest) in tables.iter().filter(|(kind, _)| kind == "domain") {
        out.add(&serde_json::to_value(rest).map_err(|e| Usage::new(e.to_string()))?)?;
    }
    Ok(Arc::new(out))
}

/// The usual certificate folders that there are.
pub(crate) fn usual_folders() -> Vec<String> {
    usual_roots().iter().filter_map(|path| path.to_str().map(str::to_owned)).collect()
}

/// The same as paths: those above, and where renewers keep their state.
fn usual_roots() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = USUAL_FOLDERS.iter().map(PathBuf::from).filter(|p| p.is_dir()).collect();
    for home in notafter_discover::renewers::usual_homes() {
        if !out.iter().any(|known| home.starts_with(known)) {
            out.push(home);
        }
    }
    out
}

/// The sources for some targets, as the server runs them.
pub(crate) fn sources_for(
    texts: &[String],
    look: &Look,
    tables: &Tables,
) -> Result<Vec<Box<dyn Source>>, Usage> {
    sources_with(texts, look, tables, &[])
}

/// The same, with more `passwords` for keystores among them.
pub(crate) fn sources_with(
    texts: &[String],
    look: &Look,
    tables: &Tables,
    passwords: &[String],
) -> Result<Vec<Box<dyn Source>>, Usage> {
    let settings = settings(look, &Config::default())?;
    let texts = expand(texts)?;
    let mut given = given(look, &settings, &trust(&look.roots)?)?;
    given.passwords = given.passwords.iter().chain(passwords).cloned().collect();
    Ok(sources(&texts, &settings, &given, tables)?.all())
}

/// The sources for one look at one target, which never touches `never`. `passwords` open the keystore that it is.
pub(crate) fn probe_sources(
    text: &str,
    look: &Look,
    never: &[&str],
    passwords: &[String],
) -> Result<Vec<Box<dyn Source>>, Usage> {
    let mut settings = settings(look, &Config::default())?;
    for range in never {
        settings.exclude.add(range)?;
    }
    // One look from the outside is one connection: no second ones for other keys and names.
    settings.threads = 1;
    let mut given = given(look, &settings, &trust(&look.roots)?)?;
    given.passwords = given.passwords.iter().chain(passwords).cloned().collect();
    Ok(sources(&[text.to_owned()], &settings, &given, &[])?.all())
}

/// A path as a shell would read it: `~` is the home of whoever runs this.
pub(crate) fn home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path,
    }
}

fn settings(look: &Look, config: &Config) -> Result<Settings, Usage> {
    let ports = match look.ports.as_str() {
        "common" => target::COMMON_PORTS.iter().map(|p| PortRange { first: *p, last: *p }).collect(),
        "all" => vec![PortRange { first: 1, last: u16::MAX }],
        list => target::parse_ports(list)?,
    };
    let starttls = look.starttls.as_deref().map(protocol).transpose()?;
    let resolver = look.resolver.as_deref().map(resolver).transpose()?;
    let mut exclude = Exclude::default();
    for text in look.exclude.iter().chain(config.scan.exclude.iter().map(|text| text.get_ref())) {
        spare(&mut exclude, text)?;
    }
    Ok(Settings {
        ports,
        ports_given: look.ports != "common",
        starttls,
        sni: look.sni.iter().map(|s| s.to_ascii_lowercase()).collect(),
        both: look.both,
        prove: look.prove,
        gentle: look.gentle,
        all_addresses: look.all_addresses,
        rate: look.rate.map_or(Rate::Polite, Rate::Total),
        concurrency: look.concurrency as usize,
        timeout: moment::duration(&look.timeout)
            .map_err(Usage::new)?
            .clamp(Duration::from_millis(10), Duration::from_secs(3600)),
        resolver,
        exclude,
        threads: 0,
    })
}

/// Adds what must not be looked at; `@FILE` is a list of it.
pub(crate) fn spare(exclude: &mut Exclude, text: &str) -> Result<(), Usage> {
    let Some(file) = text.strip_prefix('@') else { return Ok(exclude.add(text)?) };
    for line in lines(&read_text(Path::new(file))?) {
        exclude.add(line)?;
    }
    Ok(())
}

/// Reads the name of a STARTTLS protocol.
pub(crate) fn protocol(name: &str) -> Result<notafter_wire::starttls::Protocol, Usage> {
    use notafter_wire::starttls::Protocol;
    name.to_ascii_lowercase().parse().map_err(|_| {
        let known: Vec<_> = Protocol::ALL.iter().map(|p| p.name()).collect();
        Usage::new(format!("no STARTTLS protocol is called `{name}`"))
            .hint(format!("known are {}", known.join(" ")))
    })
}

/// Reads the address of a DNS server.
pub(crate) fn resolver(text: &str) -> Result<std::net::SocketAddr, Usage> {
    let with_port = text.parse().ok();
    let without = || text.trim_matches(['[', ']']).parse().ok().map(|ip| std::net::SocketAddr::new(ip, 53));
    with_port.or_else(without).ok_or_else(|| {
        Usage::new(format!("`{text}` is no address of a DNS server"))
            .hint("write 127.0.0.1 or 127.0.0.1:5353")
    })
}

/// `@FILE` and `-` become the targets they list.
fn expand(texts: &[String]) -> Result<Vec<String>, Usage> {
    let mut out = Vec::new();
    for text in texts {
        if text == "-" {
            let mut list = String::new();
            let read = std::io::stdin().take(LIST_MAX).read_to_string(&mut list);
            read.map_err(|e| Usage::new(format!("cannot read targets from standard input: {e}")))?;
            out.extend(lines(&list).map(str::to_owned));
        } else if let Some(file) = text.strip_prefix('@') {
            out.extend(lines(&read_text(Path::new(file))?).map(str::to_owned));
        } else {
            out.push(text.clone());
        }
    }
    if out.is_empty() && !texts.is_empty() {
        return Err(Usage::new("the list of targets is empty")
            .hint("put one target on each line; # begins a comment"));
    }
    Ok(out)
}

/// One entry a line; `#` begins a comment, empty lines do not count.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|l| l.split('#').next().unwrap_or("").trim()).filter(|l| !l.is_empty())
}

fn read_text(file: &Path) -> Result<String, Usage> {
    std::fs::read_to_string(file).map_err(|e| {
        Usage::new(format!("cannot read {}: {e}", file.display()))
            .hint("check the path and whether you may read it")
    })
}

/// A mistake of the configuration: with its file, where there is one.
pub(crate) fn explained(sheet: &Sheet, what: &str) -> Usage {
    match &sheet.file {
        Some(file) => explain(file, what),
        None => explain_plain(what),
    }
}

pub(crate) fn explain(file: &Path, what: &str) -> Usage {
    let plain = explain_plain(what);
    Usage { message: format!("{}: {}", file.display(), plain.message), ..plain }
}

/// A mistake without a file: its message, and its hint apart.
pub(crate) fn explain_plain(what: &str) -> Usage {
    match what.split_once("\nhint: ") {
        Some((message, hint)) => Usage::new(message).hint(hint),
        None => Usage::new(what),
    }
}

/// The configuration file with its text: the one that was named, else one in the usual places, else none.
pub(crate) fn read_sheet(named: Option<&Path>) -> Result<Sheet, Usage> {
    let usual = [Path::new("notafter.toml"), Path::new("/etc/notafter/notafter.toml")];
    let Some(file) = named.or_else(|| usual.into_iter().find(|p| p.is_file())) else {
        return Ok(Sheet { file: None, text: String::new(), config: Config::default() });
    };
    let text = read_text(file)?;
    let config = config::parse(&text).map_err(|e| explain(file, &e))?;
    Ok(Sheet { file: Some(file.to_owned()), text, config })
}

fn passwords(files: &[PathBuf]) -> Result<Arc<[String]>, Usage> {
    let mut out = Vec::new();
    for file in files {
        // A password may begin with # or end in a blank: only the line ends are taken off.
        out.extend(read_text(file)?.lines().map(str::to_owned));
    }
    Ok(out.into())
}

/// The certificates in a file that the user named.
pub(crate) fn certificates(file: &Path) -> Result<Vec<Arc<[u8]>>, Usage> {
    let bytes =
        std::fs::read(file).map_err(|e| Usage::new(format!("cannot read {}: {e}", file.display())))?;
    let opened = container::open(&bytes, &[], &Limits::default());
    let found: Vec<Arc<[u8]>> = opened
        .found
        .iter()
        .filter_map(|f| match &f.content {
            Content::Certificate(der) => Some(Arc::from(der.as_ref())),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(
            Usage::new(format!("{} holds no certificate", file.display())).hint("name a PEM or DER file")
        );
    }
    Ok(found)
}

/// Mozilla's roots, built in.
pub(crate) fn mozilla() -> Vec<Arc<[u8]>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Arc::from(der.as_ref())).collect()
}

/// This system's roots; `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured.
pub(crate) fn system() -> Vec<Arc<[u8]>> {
    rustls_native_certs::load_native_certs().certs.iter().map(|der| Arc::from(der.as_ref())).collect()
}

pub(crate) fn trust(given: &[PathBuf]) -> Result<TrustStores, Usage> {
    let mut out = TrustStores { mozilla: mozilla(), system: system(), given: Vec::new() };
    for file in given {
        out.given.extend(certificates(file)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_a_registry_means_it_for_every_look() {
        let check = |rdap: &str, builds: bool| {
            let table = toml::from_str(&format!("rdap = \"{rdap}\"")).unwrap();
            let tables = vec![("domain".to_owned(), table)];
            let made = sources_for(&["domain:example.com".to_owned()], &Look::default(), &tables);
            assert_eq!(made.is_ok(), builds, "{rdap}");
        };
        check("http://127.0.0.1:8080/rdap/", true);
        check("no address", false);
    }
}
