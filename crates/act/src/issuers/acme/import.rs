//! Account keys of other clients, where those keep them.
//!
//! certbot: `accounts/SERVER/.../private_key.json` with `regr.json` beside it. acme.sh: `ca/SERVER/account.key` with
//! `account.json` or `ca.conf`. lego: `accounts/SERVER/MAIL/keys/MAIL.key` with `account.json` two folders up. A key whose
//! neighbour names another CA is left out. Reads files, asks nobody, changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;
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

/// The account keys in this file or below this folder that may belong to this CA.
///
/// # Errors
/// A sentence, where there is none.
pub(crate) fn candidates(path: &Path, directory: &Url) -> Result<Vec<Candidate>, String> {
    let about = fs::metadata(path).map_err(|error| {
        format!(
            "{} cannot be read: {error}\nhint: the account that runs notafter must be able to read it",
            path.display()
        )
    })?;
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
            "{} holds no account key for {}{more}\nhint: certbot keeps them in /etc/letsencrypt/accounts, acme.sh in ~/.acme.sh/ca, lego in .lego/accounts",
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
