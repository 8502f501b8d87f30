//! What would be added to the configuration: values first, then their text as TOML.
//!
//! Every text that was found in a certificate, a file name or a configuration goes through the writers of `amend.rs`: one
//! line, one string, one comment, whatever is in it.

use std::path::{Path, PathBuf};

use notafter_core::issuance::{Identifier, KeyType};
use notafter_core::location::Location;
use notafter_pki::certificate::Certificate;

use super::servers::{Files, Place, Reader};
use super::ways::Ways;
use super::who::PublicCa;
use crate::amend::{comment, key, list, string, value};

/// Who issues.
#[derive(Debug)]
pub(crate) enum Issuer {
    /// One of the configuration.
    Known { name: String, note: Option<String> },
    /// One that is added.
    New {
        name: String,
        directory: String,
        /// How the directory is known.
        why: String,
        public: Option<&'static PublicCa>,
        contact: Option<String>,
        /// The client whose account could go on, and its folder.
        go_on: Option<(String, PathBuf)>,
    },
    /// Nothing says who.
    Unknown,
}

/// How control is proved.
#[derive(Debug)]
pub(super) enum Solver {
    /// So.
    Table { table: toml::Table, note: Option<String> },
    /// Somebody has to say, and this is why.
    Unknown(String),
}

impl Solver {
    pub(super) fn webroot(path: &str, note: String) -> Self {
        let table = [("kind".to_owned(), "http-01".into()), ("webroot".to_owned(), path.into())];
        Self::Table { table: table.into_iter().collect(), note: Some(note) }
    }
}

/// What is added.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) names: Vec<String>,
    /// Names of the certificate that cannot be asked for.
    pub(super) left_out: Vec<String>,
    pub(super) key: KeyType,
    pub(super) key_note: Option<String>,
    pub(super) issuer: Issuer,
    pub(super) solver: Solver,
    pub(super) targets: Vec<Target>,
    /// Where it was seen: said where no target is known.
    pub(super) elsewhere: Vec<String>,
}

/// A target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) label: String,
    pub(super) files: Files,
    /// The first of them is the one of `preset`, the others stand in `also`.
    pub(super) readers: Vec<Reader>,
    pub(super) prove: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The names of a certificate that an issuer could be asked for.
pub(crate) fn names(der: &[u8]) -> Vec<String> {
    Plan::names(der).0
}

impl Plan {
    /// The names that can be asked for, and those that cannot.
    pub(super) fn names(der: &[u8]) -> (Vec<String>, Vec<String>) {
        let Ok(parsed) = Certificate::parse(der) else { return Default::default() };
        let (mut names, mut left_out) = (Vec::new(), Vec::new());
        let mut sort = |text: String| match Identifier::parse(&text) {
            Some(name) if !names.contains(&name.to_string()) => names.push(name.to_string()),
            Some(_) => {}
            None => left_out.push(text),
        };
        for name in parsed.subject_alt_names() {
            sort(name.to_text());
        }
        // What is older than the rule that names stand there (RFC 6125 section 6.4.4) has one name.
        if names.is_empty()
            && left_out.is_empty()
            && let Some(name) = parsed.subject().common_name()
        {
            match Identifier::parse(&name) {
                Some(name) => names.push(name.to_string()),
                None => left_out.push(name),
            }
        }
        (names, left_out)
    }

    /// The kind of key it has today, as far as one like it can be asked for.
    pub(super) fn key(der: &[u8]) -> (KeyType, Option<String>) {
        let Ok(parsed) = Certificate::parse(der) else { return (KeyType::default(), None) };
        let key = parsed.public_key();
        let (algorithm, bits) = (key.algorithm(), key.bits().unwrap_or(0));
        let kind = match (algorithm.as_str(), bits, key.curve().as_deref()) {
            ("ECDSA", _, Some("P-256")) => KeyType::EcdsaP256,
            ("ECDSA", _, Some("P-384")) => KeyType::EcdsaP384,
            ("Ed25519", ..) => KeyType::Ed25519,
            ("RSA", 2048, _) => KeyType::Rsa2048,
            ("RSA", 3072, _) => KeyType::Rsa3072,
            ("RSA", 4096, _) => KeyType::Rsa4096,
            ("RSA", ..=2047, _) => {
                return (KeyType::Rsa2048, Some(format!("it has {bits} bits today, which is too few")));
            }
            ("RSA", ..) => {
                let near = if bits > 3072 { KeyType::Rsa4096 } else { KeyType::Rsa3072 };
                return (near, Some(format!("the nearest to the {bits} bits of today")));
            }
            _ => {
                let today = key.curve().unwrap_or(algorithm);
                return (KeyType::default(), Some(format!("it is {today} today, which is not made here")));
            }
        };
        (kind, None)
    }

    /// A name for it: that of its first name, which no other has.
    pub(super) fn called(names: &[String], taken: &[&str]) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' };
        let first = names.first().map_or("certificate", String::as_str);
        let base: String = first.trim_start_matches("*.").chars().take(80).map(plain).collect();
        let mut out = base.clone();
        let mut n = 2;
        while taken.contains(&out.as_str()) {
            out = format!("{base}-{n}");
            n += 1;
        }
        out
    }

    /// From places and endpoints to targets: each endpoint with the first whose server answers there. An endpoint of this
    /// machine that none answers for belongs to files whose server is not known, if there are such; one of another machine
    /// to none of them: nothing that is installed here is seen there.
    pub(super) fn targets(places: Vec<Place>, served: &[Location], more: &[String]) -> Vec<Target> {
        let mut out: Vec<Target> = Vec::new();
        for place in places {
            let server = place.readers.first().map_or("files", |r| r.server);
            let same = out.iter().filter(|t| t.label.split(' ').next() == Some(server)).count();
            let label = if same == 0 { server.to_owned() } else { format!("{server} {}", same + 1) };
            let mut notes = place.notes;
            if place.readers.is_empty() {
                notes.push("no configuration was found that names these files: which server reads them is not known. Add preset = \"...\", or check and reload".to_owned());
            }
            out.push(Target { label, files: place.files, readers: place.readers, prove: Vec::new(), notes });
        }
        for place in served {
            let is_ours = place.ip().is_some_and(notafter_discover::local::is_ours);
            // Who listens on the very address answers there, beside another one that listens everywhere.
            let exact = |t: &Target| t.readers.iter().filter_map(|r| r.answers(place)).min();
            let at = (0..out.len()).filter_map(|at| Some((exact(&out[at])?, at))).min().map(|(_, at)| at);
            // A reader whose addresses are not known could be it as well.
            let silent = |t: &Target| t.readers.iter().all(|r| r.listens.is_empty());
            let unknown = || out.iter().position(silent).filter(|_| is_ours);
            if let Some(target) = at.or_else(unknown).and_then(|at| out.get_mut(at)) {
                target.prove.push(place.as_str().to_owned());
            }
        }
        if let Some(first) = out.first_mut() {
            first.prove.extend(more.iter().cloned());
        }
        for target in &mut out {
            target.prove.sort();
            target.prove.dedup();
            if target.prove.is_empty() {
                target.notes.push("it was seen at no address: add those that have to show it to `prove`. Without any, only the files are read again".to_owned());
            }
        }
        out
    }

    /// The tables as text.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        if let Issuer::New { name, directory, why, public, contact, go_on } = &self.issuer {
            out.push_str(&issuer_table(&IssuerTable {
                name,
                directory,
                why,
                public: *public,
                contact: contact.as_deref(),
                go_on: go_on.as_ref(),
                rest: &[],
            }));
            out.push('\n');
        }
        out.push_str("[[certificate]]\n");
        let mut line = |key: &str, value: String| out.push_str(&format!("{key} = {value}\n"));
        line("name", string(&self.name));
        line("names", list(self.names.iter().map(String::as_str)));
        for name in &self.left_out {
            out.push_str(&comment(
                "",
                &format!("left out, because no issuer here can be asked for it: {name}"),
            ));
        }
        match &self.issuer {
            Issuer::Known { name, note } => {
                out.push_str(&note.as_deref().map(|note| comment("", note)).unwrap_or_default());
                out.push_str(&format!("issuer = {}\n", string(name)));
            }
            Issuer::New { name, .. } => out.push_str(&format!("issuer = {}\n", string(name))),
            Issuer::Unknown => {
                out.push_str("# issuer = \"...\"   FILL IN: the name of an [[issuer]], or --issuer NAME\n");
            }
        }
        out.push_str(&self.key_note.as_deref().map(|note| comment("", note)).unwrap_or_default());
        out.push_str(&format!("key = {}\n", string(&self.key.to_string())));
        match &self.solver {
            Solver::Table { table, note } => {
                out.push_str(&note.as_deref().map(|note| comment("", note)).unwrap_or_default());
                out.push_str(&format!("solver = {}\n", value(&toml::Value::Table(table.clone()))));
            }
            Solver::Unknown(why) => {
                out.push_str("# solver = { kind = \"...\" }   FILL IN\n");
                out.push_str(&comment("", why));
            }
        }
        for target in &self.targets {
            out.push('\n');
            out.push_str(&target.text());
        }
        if self.targets.is_empty() {
            out.push_str(&comment("", "No file of this machine holds it together with its key. FILL IN where it goes, for instance on another host:"));
            out.push_str("#   [[certificate.target]]\n#   kind = \"ssh\"\n#   host = \"...\"\n#   preset = \"...\"\n#   certificate = \"/...\"\n#   key = \"/...\"\n");
            let prove = list(self.elsewhere.iter().map(String::as_str));
            out.push_str(&format!("#   prove = {prove}\n"));
        }
        out
    }

    /// What has to be said before it can be added.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut out = Vec::new();
        if let Issuer::Unknown = self.issuer {
            out.push("who issues it: write an [[issuer]] table, then --issuer NAME".to_owned());
        }
        if let Solver::Unknown(why) = &self.solver {
            out.push(format!("how control of the names is proved: {why}"));
        }
        if self.names.is_empty() {
            out.push("a name: it has none that an issuer could be asked for".to_owned());
        }
        out
    }
}

impl Target {
    fn text(&self) -> String {
        let mut out = String::from("  [[certificate.target]]\n");
        let mut line = |key: &str, value: String| out.push_str(&format!("  {key} = {value}\n"));
        line("name", string(&self.label));
        line("kind", string("files"));
        for (setting, path) in self.files.paths() {
            line(setting, string(&path.to_string_lossy()));
        }
        if self.files.combined.is_some() && self.files.certificate_first {
            line("combined_order", string("certificate-first"));
        }
        let mut readers = self.readers.iter();
        if let Some(first) = readers.next() {
            out.push_str(&comment("  ", &format!("named by {} in {}", first.server, first.at)));
            for (key, value) in settings(first) {
                out.push_str(&format!("  {key} = {value}\n"));
            }
            // HAProxy takes a pair over its socket as one text.
            let socket = first.socket.as_deref().and_then(Path::to_str);
            let socket = socket.filter(|_| first.server == "haproxy" && self.files.combined.is_some());
            if let Some(why) = unknown(first, socket.is_some()) {
                out.push_str(&comment("  ", &why));
            }
            if let Some(socket) = socket {
                out.push_str(&format!("  haproxy_socket = {}\n", string(socket)));
            }
        }
        let mut also = Vec::new();
        for reader in readers {
            out.push_str(&comment("  ", &format!("named by {} in {} too", reader.server, reader.at)));
            if let Some(why) = unknown(reader, false) {
                out.push_str(&comment("  ", &why));
            }
            let pairs: Vec<String> =
                settings(reader).iter().map(|(k, v)| format!("{} = {v}", key(k))).collect();
            if !pairs.is_empty() {
                also.push(format!("{{ {} }}", pairs.join(", ")));
            }
        }
        if !also.is_empty() {
            out.push_str(&format!("  also = [{}]\n", also.join(", ")));
        }
        if !self.prove.is_empty() {
            out.push_str(&format!("  prove = {}\n", list(self.prove.iter().map(String::as_str))));
        }
        for note in &self.notes {
            out.push_str(&comment("  ", note));
        }
        out
    }
}

/// `preset`, or `check` and `reload`.
fn settings(reader: &Reader) -> Vec<(&'static str, String)> {
    match &reader.ways {
        Ways::Preset(name) => vec![("preset", string(name))],
        Ways::Elsewhere { check, reload } => {
            let both =
                [("check", check), ("reload", reload)].into_iter().filter(|(_, argv)| !argv.is_empty());
            both.map(|(key, argv)| (key, list(argv.iter().map(String::as_str)))).collect()
        }
        Ways::Unknown(_) => Vec::new(),
    }
}

/// What has to be filled in for it, unless it is told over a socket.
fn unknown(reader: &Reader, by_socket: bool) -> Option<String> {
    match &reader.ways {
        Ways::Unknown(why) => Some(format!("{why}: FILL IN check and reload, as argument lists")),
        Ways::Elsewhere { reload, .. } if reload.is_empty() && !by_socket => {
            Some("its configuration is not where the preset's service reads it, and no reload is known that reaches this server for sure: FILL IN reload, as an argument list".to_owned())
        }
        _ => None,
    }
}

/// An `[[issuer]]` to be added.
pub(crate) struct IssuerTable<'a> {
    pub(crate) name: &'a str,
    pub(crate) directory: &'a str,
    pub(crate) why: &'a str,
    pub(crate) public: Option<&'static PublicCa>,
    pub(crate) contact: Option<&'a str>,
    pub(crate) go_on: Option<&'a (String, PathBuf)>,
    /// Further settings, as they are.
    pub(crate) rest: &'a [(&'a str, String)],
}

/// Its text.
pub(crate) fn issuer_table(table: &IssuerTable<'_>) -> String {
    let mut out = String::from("[[issuer]]\n");
    out.push_str(&format!("name = {}\nkind = \"acme\"\n", string(table.name)));
    if !table.why.is_empty() {
        out.push_str(&comment("", table.why));
    }
    out.push_str(&format!("directory = {}\n", string(table.directory)));
    if let Some(staging) = table.public.and_then(|ca| ca.staging) {
        out.push_str(&format!("staging = {}\n", string(staging)));
    }
    match table.contact {
        Some(contact) => out.push_str(&format!("contact = {}\n", string(contact))),
        None => out.push_str("# contact = \"certs@example.com\"   whom the CA may write to\n"),
    }
    for (key, value) in table.rest {
        out.push_str(&format!("{key} = {value}\n"));
    }
    if let Some(ca) = table.public.filter(|ca| ca.eab) {
        out.push_str(&comment("", &format!("this CA binds accounts to one of its own: FILL IN eab = {{ kid = \"...\", hmac = {{ file = \"...\" }} }} as {} says", ca.source)));
    }
    if let Some((tool, home)) = table.go_on {
        out.push_str(&comment(
            "",
            &format!("to go on with {tool}'s account: notafter issuer import {}", home.display()),
        ));
    }
    out
}
