//! Who issues what is adopted, and how control of its names is proved: what the configuration has, else what the renewer
//! of today says, else what its issuer's name says.
//!
//! Guesses are marked as such, and every one can be overruled on the command line.

use std::path::{Path, PathBuf};

use notafter_core::upkeep::Upkeep;
use notafter_discover::local;
use notafter_discover::renewers::{self, Renewed};
use notafter_discover::tree::Tree;
use notafter_pki::certificate::Certificate;

use super::known::Known;
use super::plan::{Issuer, Solver};
use super::servers::Place;
use crate::commands::Usage;
use crate::config::plan::Sheet;

/// A public CA that speaks ACME.
#[derive(Debug)]
pub(crate) struct PublicCa {
    /// What the `[[issuer]]` is called.
    pub(crate) name: &'static str,
    /// acme.sh's short word for it.
    short: &'static str,
    /// In the organisation of its certificates' issuers.
    organization: &'static str,
    pub(crate) directory: &'static str,
    pub(crate) staging: Option<&'static str>,
    /// Does it make accounts only for those it knows (RFC 8555 section 7.3.4)?
    pub(crate) eab: bool,
    /// Where it says so.
    pub(crate) source: &'static str,
}

/// The CAs whose directories are known, each with its own page.
pub(crate) const PUBLIC: &[PublicCa] = &[
    PublicCa {
        name: "letsencrypt",
        short: "letsencrypt",
        organization: "Let's Encrypt",
        directory: "https://acme-v02.api.letsencrypt.org/directory",
        staging: Some("https://acme-staging-v02.api.letsencrypt.org/directory"),
        eab: false,
        source: "https://letsencrypt.org/docs/acme-protocol-updates/, https://letsencrypt.org/docs/staging-environment/",
    },
    PublicCa {
        name: "zerossl",
        short: "zerossl",
        organization: "ZeroSSL",
        directory: "https://acme.zerossl.com/v2/DV90",
        staging: None,
        eab: true,
        source: "https://zerossl.com/documentation/acme/",
    },
    PublicCa {
        name: "google",
        short: "google",
        organization: "Google Trust Services",
        directory: "https://dv.acme-v02.api.pki.goog/directory",
        staging: Some("https://dv.acme-v02.test-api.pki.goog/directory"),
        eab: true,
        source: "https://cloud.google.com/certificate-manager/docs/public-ca-tutorial",
    },
];

/// Another program that keeps the certificate alive today.
pub(super) struct Other {
    pub(super) tool: String,
    pub(super) lineage: String,
    pub(super) state: PathBuf,
    pub(super) automatic: bool,
    pub(super) server: Option<String>,
    pub(super) account: Option<String>,
    pub(super) solver: Option<String>,
    pub(super) webroots: Vec<PathBuf>,
    pub(super) home: PathBuf,
}

impl Other {
    fn of(one: &Renewed) -> Self {
        Self {
            tool: one.tool.to_owned(),
            lineage: one.lineage.clone(),
            state: one.at.path.to_path_buf(),
            automatic: one.automatic,
            server: one.server.clone(),
            account: one.account.clone(),
            solver: one.solver.clone(),
            webroots: one.webroots.clone(),
            home: one.home.clone(),
        }
    }

    fn remembered(one: &Upkeep) -> Self {
        let path = |location: &notafter_core::location::Location| {
            PathBuf::from(String::from_utf8_lossy(&location.path().unwrap_or_default()).into_owned())
        };
        Self {
            tool: one.tool.clone(),
            lineage: one.lineage.clone(),
            state: path(&one.state),
            automatic: one.automatic,
            server: one.server.clone(),
            account: one.account.clone(),
            solver: one.solver.clone(),
            webroots: Vec::new(),
            home: path(&one.home),
        }
    }

    /// How to stop it, so that two do not renew the same thing.
    pub(super) fn switch_off(&self) -> String {
        let (name, state) = (&self.lineage, self.state.display());
        match self.tool.as_str() {
            "certbot" => format!("put `autorenew = False` under [renewalparams] of {state}"),
            "acme.sh" => match name.strip_suffix("_ecc") {
                Some(plain) => format!("acme.sh --remove -d {plain} --ecc"),
                None => format!("acme.sh --remove -d {name}"),
            },
            "lego" => "take `lego renew` for it out of the timer or the crontab that runs it".to_owned(),
            "dehydrated" => format!("take {name} out of domains.txt"),
            tool => format!("tell {tool} (in {state}) to leave it alone"),
        }
    }
}

/// Who keeps it alive today: what lies on this machine, and what the memory knows of it.
pub(super) fn others(known: &Known, places: &[Place], ours: &str) -> Vec<Other> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let files: Vec<PathBuf> = places
        .iter()
        .flat_map(|p| p.files.paths().map(|(_, path)| real(path)))
        .chain(known.files.iter().map(|path| real(path)))
        .collect();
    let read = renewers::read_tree(&Tree::host());
    let keeps = |one: &&Renewed| one.certificates.iter().any(|path| files.contains(&real(path)));
    let mut out: Vec<Other> = read.renewed.iter().filter(keeps).map(Other::of).collect();
    // A state that lies where it usually does not is in the memory, and is read again if it is still there.
    for one in known.renewals.iter().filter(|r| r.tool != ours) {
        let remembered = Other::remembered(one);
        if out.iter().any(|o| o.tool == remembered.tool && o.lineage == remembered.lineage) {
            continue;
        }
        let kind = renewers::RENEWERS.iter().find(|r| r.name == remembered.tool);
        let again = kind.map(|kind| renewers::read_with(&Tree::host(), kind, &remembered.home).renewed);
        let again = again.unwrap_or_default();
        match again.iter().find(|r| r.lineage == remembered.lineage) {
            Some(fresh) => out.push(Other::of(fresh)),
            None => out.push(remembered),
        }
    }
    out
}

/// The issuer: the one that was named, the one of the configuration that fits, or one to be added.
pub(super) fn issuer(
    sheet: &Sheet,
    named: Option<&str>,
    known: &Known,
    others: &[Other],
) -> Result<Issuer, Usage> {
    let tables = &sheet.config.issuer;
    let names = || tables.iter().map(|t| t.name.get_ref().as_str());
    if let Some(named) = named {
        if names().any(|name| name == named) {
            return Ok(Issuer::Known { name: named.to_owned(), note: None });
        }
        let hint = match notafter_core::query::nearest(named, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if tables.is_empty() => {
                "the configuration has no [[issuer]]: leave --issuer out to have one suggested".to_owned()
            }
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        return Err(Usage::new(format!("no issuer is called `{}`", named.escape_debug())).hint(hint));
    }
    let directory = directory(known, others);
    let host = |url: &str| url.split("://").nth(1).and_then(|r| r.split('/').next()).map(str::to_owned);
    let fits = |table: &&crate::config::managed::IssuerTable| {
        let Some((wanted, _)) = &directory else { return false };
        table.rest.get("directory").and_then(toml::Value::as_str).and_then(host) == host(wanted)
    };
    if let Some(table) = tables.iter().find(fits) {
        return Ok(Issuer::Known { name: table.name.get_ref().clone(), note: None });
    }
    if let Some(table) = tables.first() {
        let name = table.name.get_ref().clone();
        let note = match (&directory, tables.len()) {
            (None, 1) => None,
            (Some((url, _)), _) => Some(format!("it comes from {url} today")),
            (None, _) => Some("the first of the configuration's issuers".to_owned()),
        };
        return Ok(Issuer::Known { name, note });
    }
    let contact = others.iter().filter_map(|o| o.account.clone()).find(|a| a.contains('@'));
    let go_on = others.iter().find(|o| matches!(o.tool.as_str(), "certbot" | "acme.sh" | "lego"));
    let go_on = go_on.map(|o| (o.tool.clone(), o.home.clone()));
    Ok(match directory {
        Some((directory, why)) => {
            let public = PUBLIC.iter().find(|ca| ca.directory == directory);
            let name = public.map_or_else(|| named_after(&directory), |ca| ca.name.to_owned());
            Issuer::New { name, directory, why, public, contact, go_on }
        }
        None => Issuer::Unknown,
    })
}

/// `ca.example.com` of its URL.
pub(crate) fn named_after(directory: &str) -> String {
    let host = directory.split("://").nth(1).unwrap_or(directory).split(['/', ':']).next().unwrap_or("acme");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' };
    let name: String = host.chars().take(60).map(plain).collect();
    if name.is_empty() { "acme".to_owned() } else { name }
}

/// The directory it comes from, and how that is known.
fn directory(known: &Known, others: &[Other]) -> Option<(String, String)> {
    for other in others {
        let Some(server) = &other.server else { continue };
        if server.starts_with("https://") {
            return Some((server.clone(), format!("from {}'s {}", other.tool, other.state.display())));
        }
        if let Some(ca) =
            PUBLIC.iter().find(|ca| ca.short == server || ca.directory.contains(&format!("//{server}/")))
        {
            return Some((
                ca.directory.to_owned(),
                format!("from {}'s {}", other.tool, other.state.display()),
            ));
        }
    }
    let parsed = Certificate::parse(&known.der).ok()?;
    let issuer = parsed.issuer_name();
    let organization = issuer.text_of(notafter_pki::oid::ORGANIZATION)?;
    let ca = PUBLIC.iter().find(|ca| organization.contains(ca.organization))?;
    Some((ca.directory.to_owned(), format!("its issuer is {organization}; see {}", ca.source)))
}

/// What a person named with `--solver`: `http-01`, `http-01:/var/www/html`, `tls-alpn-01`, or an inline table.
pub(super) fn given(text: &str) -> Result<toml::Table, Usage> {
    let wrong = || {
        Usage::new(format!("--solver {}: no solver", text.escape_debug())).hint(
            "write http-01:/var/www/html (a folder that port 80 serves), http-01 (port 80 is free), tls-alpn-01, or { kind = \"...\", ... } as in the guide",
        )
    };
    if text.trim_start().starts_with('{') {
        let whole: toml::Table = toml::from_str(&format!("solver = {text}")).map_err(|_| wrong())?;
        return match <[(String, toml::Value); 1]>::try_from(whole.into_iter().collect::<Vec<_>>()) {
            Ok([(_, toml::Value::Table(table))]) if table.contains_key("kind") => Ok(table),
            _ => Err(wrong()),
        };
    }
    let mut out = toml::Table::new();
    let (kind, webroot) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
    if notafter_act::solvers::find(kind).is_none() {
        return Err(wrong());
    }
    out.insert("kind".to_owned(), kind.into());
    match webroot {
        Some(path) if kind == "http-01" && path.starts_with('/') => {
            out.insert("webroot".to_owned(), path.into());
        }
        None => {}
        Some(_) => return Err(wrong()),
    }
    Ok(out)
}

/// How control is proved: as it is today, else by a folder that a server shows, else by a port that is free.
pub(super) fn solver(known: &Known, others: &[Other], places: &[Place]) -> Solver {
    let wildcard = Certificate::parse(&known.der)
        .is_ok_and(|c| c.subject_alt_names().any(|name| name.to_text().starts_with("*.")));
    for other in others {
        if let Some(solver) = as_today(other) {
            return solver;
        }
    }
    if wildcard {
        return Solver::Unknown(
            "a wildcard is proved by dns-01 alone (RFC 8555 section 8.4): --solver '{ kind = \"dns-01\", ... }'"
                .to_owned(),
        );
    }
    let rooted = places.iter().flat_map(|p| &p.readers).find_map(|r| Some((r.root.as_ref()?, r)));
    if let Some((root, reader)) = rooted
        && let Some(root) = root.to_str()
    {
        return Solver::webroot(
            root,
            format!(
                "a guess: {} shows this folder ({}); port 80 must lead there too",
                reader.server, reader.at
            ),
        );
    }
    if !local::listeners().iter().any(|l| l.address.port() == 80) {
        return Solver::Table {
            table: [("kind".to_owned(), "http-01".into())].into_iter().collect(),
            note: Some(
                "nothing listens on port 80 here: it is opened for the time of a challenge".to_owned(),
            ),
        };
    }
    Solver::Unknown(
        "somebody listens on port 80, and which folder it shows is not known: --solver http-01:/the/folder"
            .to_owned(),
    )
}

/// The way of the renewer of today.
fn as_today(other: &Other) -> Option<Solver> {
    let from = |what: &str| format!("{what}, as {} does it today ({})", other.tool, other.state.display());
    if let Some(root) = other.webroots.first().and_then(|path| path.to_str()) {
        return Some(Solver::webroot(root, from("by this folder")));
    }
    let way = other.solver.as_deref()?;
    let plain = |kind: &str, note: String| Solver::Table {
        table: [("kind".to_owned(), kind.into())].into_iter().collect(),
        note: Some(note),
    };
    match way {
        "standalone" | "http" => {
            Some(plain("http-01", from("port 80 is opened for the time of a challenge")))
        }
        "tls" | "alpn" => Some(plain("tls-alpn-01", from("port 443 is opened for the time of a challenge"))),
        dns if dns.starts_with("dns") => Some(Solver::Unknown(format!(
            "{} proves control by {dns} today: --solver '{{ kind = \"dns-01\", ... }}' with your provider and its credentials, which are not taken over",
            other.tool
        ))),
        _ => None,
    }
}
