//! Account keys of other clients, where those keep them.
//!
//! certbot: `accounts/SERVER/.../private_key.json` with `regr.json` beside it. acme.sh: `ca/SERVER/account.key` with
//! `account.json` or `ca.conf`. lego: `accounts/SERVER/MAIL/keys/MAIL.key` with `account.json` two folders up. A key whose
//! neighbour names another CA is left out. Reads files, asks nobody, changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::Value;
use zeroize::Zeroizing;

use super::key::AccountKey;

/// How deep, how many, how large: more than any client has.
const DEPTH_MAX: usize = 8;
const ENTRIES_MAX: usize = 5_000;
const KEYS_MAX: usize = 20;
const BYTES_MAX: u64 = 64 * 1024;

/// A key that was found.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) key: AccountKey,
    pub(crate) file: PathBuf,
}

/// An account of another client, as its files tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAccount {
    /// Whose: `certbot`, `acme.sh`, `lego`, or `a key file`.
    pub client: &'static str,
    /// The file with the key.
    pub file: PathBuf,
    /// The directory of its CA, where the layout says it whole.
    pub directory: Option<String>,
    /// The host of its CA, with the port where there is one.
    pub host: Option<String>,
    /// Its address at the CA.
    pub account: Option<String>,
    /// Whom the CA writes to, without `mailto:`.
    pub contact: Vec<String>,
    /// The kind of its key.
    pub key: String,
}

/// The accounts in this file or below this folder, whichever CA they are at.
///
/// # Errors
/// A sentence, where there is none.
pub fn accounts(path: &Path) -> Result<Vec<FoundAccount>, String> {
    let about = fs::metadata(path).map_err(|error| unread(path, &error))?;
    let files = if about.is_file() { vec![path.to_owned()] } else { key_files(path) };
    let mut out = Vec::new();
    for file in files.into_iter().take(KEYS_MAX) {
        match read(&file) {
            Ok(key) => out.push(described(&file, &key)),
            Err(said) if about.is_file() => {
                return Err(format!("{} holds no account key: {said}", path.display()));
            }
            Err(_) => {}
        }
    }
    if out.is_empty() {
        return Err(format!("{} holds no account key\nhint: {PLACES}", path.display()));
    }
    Ok(out)
}

/// Where clients keep their keys.
const PLACES: &str =
    "certbot keeps them in /etc/letsencrypt/accounts, acme.sh in ~/.acme.sh/ca, lego in .lego/accounts";

fn unread(path: &Path, error: &std::io::Error) -> String {
    format!(
        "{} cannot be read: {error}\nhint: the account that runs notafter must be able to read it",
        path.display()
    )
}

/// What the neighbours of a key, and the folders above it, say.
fn described(file: &Path, key: &AccountKey) -> FoundAccount {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let parts: Vec<String> = folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    // The folders after the last one of this name.
    let behind = |name: &str| {
        let at = parts.iter().rposition(|part| part == name)?;
        parts.get(at + 1..).filter(|rest| !rest.is_empty())
    };
    let json = |path: PathBuf| {
        let bytes = bounded(&path)?;
        serde_json::from_slice::<Value>(&bytes).ok()
    };
    let text = |path: PathBuf| bounded(&path).map(|b| String::from_utf8_lossy(&b).into_owned());
    let mut out = FoundAccount {
        client: "a key file",
        file: file.to_owned(),
        directory: None,
        host: None,
        account: None,
        contact: Vec::new(),
        key: key.words(),
    };
    let https = |path: &[String]| format!("https://{}", path.join("/"));
    let mut said: Vec<Value> = Vec::new();
    match file.file_name().and_then(|name| name.to_str()) {
        Some("private_key.json") => {
            out.client = "certbot";
            // accounts/HOST/PATH/ID
            if let Some((_, server)) = behind("accounts").and_then(<[String]>::split_last)
                && !server.is_empty()
            {
                out.directory = Some(https(server));
            }
            said.extend(json(folder.join("regr.json")));
        }
        Some("account.key") if behind("ca").is_some() => {
            out.client = "acme.sh";
            // ca/HOST/PATH; before 3.0 without the path.
            let server = behind("ca").unwrap_or_default();
            out.host = server.first().cloned();
            out.directory = (server.len() > 1).then(|| https(server));
            said.extend(json(folder.join("account.json")));
            let conf = text(folder.join("ca.conf")).unwrap_or_default();
            for (name, value) in conf.lines().filter_map(|line| line.split_once('=')) {
                let value = value.trim().trim_matches(['\'', '"']);
                match name.trim() {
                    "ACCOUNT_URL" => out.account = Some(value.to_owned()),
                    "CA_EMAIL" if !value.is_empty() => out.contact.push(value.to_owned()),
                    _ => {}
                }
            }
        }
        _ if folder.file_name().is_some_and(|name| name == "keys") => {
            out.client = "lego";
            // accounts/HOST/MAIL/keys, a port behind `_`.
            let host = behind("accounts").and_then(|rest| rest.first());
            out.host = host.map(|host| match host.rsplit_once('_') {
                Some((name, port)) if port.parse::<u16>().is_ok() => format!("{name}:{port}"),
                _ => host.clone(),
            });
            said.extend(folder.parent().and_then(|above| json(above.join("account.json"))));
        }
        _ => {}
    }
    for one in &said {
        let at = |path: &str| one.pointer(path).and_then(Value::as_str);
        out.account = at("/uri").or(at("/registration/uri")).map(str::to_owned).or(out.account);
        out.contact.extend(at("/email").map(str::to_owned));
        let lists = ["/body/contact", "/contact", "/registration/body/contact"];
        let all = lists.iter().filter_map(|path| one.pointer(path)?.as_array()).flatten();
        out.contact.extend(all.filter_map(Value::as_str).map(|c| c.trim_start_matches("mailto:").to_owned()));
    }
    out.contact.retain(|contact| contact.contains('@') && contact.len() <= 320);
    out.contact.sort();
    out.contact.dedup();
    let host_of =
        |url: &str| url.strip_prefix("https://").and_then(|r| r.split('/').next()).map(str::to_owned);
    let bare = |host: &str| host.split(':').next().unwrap_or(host).to_owned();
    let of_account = out.account.as_deref().and_then(host_of);
    out.host = out.directory.as_deref().and_then(host_of).or(out.host).or_else(|| of_account.clone());
    // acme.sh leaves the port out of its folders; where the account is, it stands.
    if let (Some(host), Some(exact)) = (&out.host, of_account)
        && bare(host) == bare(&exact)
        && *host != exact
        && !host.contains(':')
    {
        out.directory = out.directory.map(|url| url.replacen(host.as_str(), &exact, 1));
        out.host = Some(exact);
    }
    out
}

/// The account keys in this file or below this folder that may belong to this CA.
///
/// # Errors
/// A sentence, where there is none.
pub(crate) fn candidates(path: &Path, directory: &Url) -> Result<Vec<Candidate>, String> {
    let about = fs::metadata(path).map_err(|error| unread(path, &error))?;
    if about.is_file() {
        let key = read(path).map_err(|said| format!("{} holds no account key: {said}", path.display()))?;
        return Ok(vec![Candidate { key, file: path.to_owned() }]);
    }
    let mut found = Vec::new();
    let mut elsewhere = 0;
    for file in key_files(path) {
        match belongs(&file, directory) {
            false => elsewhere += 1,
            true if found.len() < KEYS_MAX => {
                found.extend(read(&file).ok().map(|key| Candidate { key, file }));
            }
            true => break,
        }
    }
    if found.is_empty() {
        let more = if elsewhere > 0 { format!(" ({elsewhere} belong to another CA)") } else { String::new() };
        return Err(format!(
            "{} holds no account key for {}{more}\nhint: {PLACES}",
            path.display(),
            directory.host_str().unwrap_or_default()
        ));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<AccountKey, String> {
    let bytes = bounded(path).ok_or("it cannot be read, or is too long for a key")?;
    AccountKey::read(&bytes)
}

fn bounded(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let about = fs::metadata(path).ok()?;
    (about.is_file() && about.len() <= BYTES_MAX).then(|| fs::read(path).ok().map(Zeroizing::new)).flatten()
}

/// Files that are named like account keys, in the order of their names. Symbolic links are not followed: certbot has some
/// to folders that are there anyway.
fn key_files(root: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files, mut seen) = (vec![(root.to_owned(), 0)], Vec::new(), 0);
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES_MAX {
                break;
            }
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            let name = name.to_string_lossy();
            let in_keys = folder.file_name().is_some_and(|f| f == "keys");
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if kind.is_file()
                && (name == "private_key.json"
                    || name == "account.key"
                    || name == "account_key.pem"
                    || (in_keys && name.ends_with(".key")))
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Does what lies beside a key name this CA, or nothing that would tell?
fn belongs(key: &Path, directory: &Url) -> bool {
    let (Some(folder), Some(host)) = (key.parent(), directory.host_str()) else { return true };
    let beside = |name: &str| bounded(&folder.join(name));
    let above = || bounded(&folder.parent()?.join("account.json"));
    let texts = [beside("regr.json"), beside("account.json"), beside("ca.conf"), above()];
    let said: Vec<String> =
        texts.into_iter().flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    // Each of these files holds the account's address somewhere; where, differs with the version.
    let hosts: Vec<String> = said
        .iter()
        .flat_map(|text| text.split(['"', '\'', '\n', ' ', '=']))
        .filter(|word| word.starts_with("https://") && (word.contains("acct") || word.contains("account")))
        .filter_map(|word| Url::parse(word).ok()?.host_str().map(str::to_owned))
        .collect();
    // A CA whose hosts differ for the directory and the rest shares the domain above.
    let parent = |host: &str| host.split_once('.').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    hosts.is_empty()
        || hosts.iter().any(|h| h == host || (parent(h).contains('.') && parent(h) == parent(host)))
}
