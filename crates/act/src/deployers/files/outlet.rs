//! Where one file of a deployment goes: a path that a server reads, with whatever links lead there.
//!
//! A link stands for what it leads to: the file at its end is replaced and the link stays, so that all who read through
//! it see the same. One kind of link is different: certbot's `live/NAME/privkey.pem` leads to a numbered file of
//! `archive/`, which is history and never changed. There the next number is written beside it and the link is swung, as
//! certbot itself does. A link of our own, left by a deployment that was killed, is no link of the user's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use notafter_core::fault::{Fault, FaultKind};

use super::disk::{Entry, Folder, shown};
use super::guard::{Guard, split};

/// What the folder of a deployment's generations is called: `.api.key.notafter`, beside `api.key`.
const SUFFIX: &str = ".notafter";
/// How many links may follow each other.
const LINKS_MAX: usize = 8;

/// A place that a server reads.
#[derive(Clone)]
pub(super) struct Outlet {
    /// What the file is called in a generation: `privkey.pem`.
    pub(super) name: String,
    /// The folder it is in, and its name there.
    pub(super) folder: Folder,
    pub(super) file: OsString,
    /// Where it is a link into a numbered archive: that folder.
    pub(super) archive: Option<Archive>,
}

/// Certbot's archive of a lineage.
#[derive(Clone)]
pub(super) struct Archive {
    /// The folder of the numbered files.
    pub(super) folder: Folder,
    /// The text of the link up to it: `../../archive/api.example.com`.
    pub(super) prefix: PathBuf,
    /// `privkey`
    pub(super) stem: String,
}

impl Archive {
    /// The name of the file with this number.
    pub(super) fn file(&self, number: u64) -> OsString {
        format!("{}{number}.pem", self.stem).into()
    }

    /// The text of a link to it.
    pub(super) fn text(&self, number: u64) -> OsString {
        self.prefix.join(self.file(number)).into_os_string()
    }

    /// The highest number there is.
    pub(super) fn last(&self) -> Result<u64, Fault> {
        let names = self.folder.names()?;
        Ok(names.iter().filter_map(|name| numbered(name)).map(|(_, n)| n).max().unwrap_or(0))
    }
}

/// `privkey3.pem`: the stem and the number.
pub(super) fn numbered(name: &OsStr) -> Option<(&str, u64)> {
    let bare = name.to_str()?.strip_suffix(".pem")?;
    let stem = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    matches!(stem, "cert" | "chain" | "fullchain" | "privkey").then_some(())?;
    Some((stem, bare.get(stem.len()..)?.parse().ok()?))
}

/// The name of the folder of generations that stands beside this file.
pub(super) fn store_name(file: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(file);
    name.push(SUFFIX);
    name
}

/// Is it the text of a link that we made, from an outlet into its folder of generations?
pub(super) fn is_ours(text: &OsStr) -> bool {
    let parts: Vec<&OsStr> = Path::new(text).iter().collect();
    match parts.as_slice() {
        [.., store, current, _] => {
            *current == "current"
                && store.as_bytes().starts_with(b".")
                && store.as_bytes().ends_with(SUFFIX.as_bytes())
        }
        _ => false,
    }
}

impl Outlet {
    /// Follows a path to where its file is.
    pub(super) fn find(guard: &Guard, name: &str, path: &Path) -> Result<Self, Fault> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let (folder, file) = split(&path)?;
            let folder = guard.open(folder)?;
            let file = file.to_owned();
            match folder.entry(&file)? {
                Entry::Link(text) if !is_ours(&text) => {
                    guard.may_follow(&folder, &file)?;
                    let target = folder.path().join(&text);
                    if let Some(archive) = archive(guard, &target, &text)? {
                        return Ok(Self { name: name.to_owned(), folder, file, archive: Some(archive) });
                    }
                    path = target;
                }
                Entry::Folder | Entry::Other => {
                    return Err(Fault::new(FaultKind::Invalid, format!("{} is no file", shown(&path)))
                        .hint("name the file that the server reads"));
                }
                _ => return Ok(Self { name: name.to_owned(), folder, file, archive: None }),
            }
        }
        Err(Fault::new(FaultKind::Invalid, format!("{}: too many links", shown(&path)))
            .hint("name the file itself"))
    }

    /// A link of ours that stands for one into an archive, by the text that it had.
    pub(super) fn restore_archive(&mut self, guard: &Guard, text: &str) -> Result<(), Fault> {
        let target = self.folder.path().join(text);
        self.archive = archive(guard, &target, OsStr::new(text))?;
        Ok(())
    }

    /// Its path.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(&self.file)
    }
}

/// The archive that this target of a link belongs to, if it is certbot's.
fn archive(guard: &Guard, target: &Path, text: &OsStr) -> Result<Option<Archive>, Fault> {
    let (Some(folder), Some((stem, _))) = (target.parent(), target.file_name().and_then(numbered)) else {
        return Ok(None);
    };
    // .../archive/LINEAGE/privkey3.pem
    let is_archive = folder.parent().and_then(Path::file_name).is_some_and(|name| name == "archive");
    if !is_archive {
        return Ok(None);
    }
    let prefix = Path::new(text).parent().unwrap_or(Path::new("")).to_owned();
    Ok(Some(Archive { folder: guard.open(folder)?, prefix, stem: stem.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(numbered(OsStr::new("privkey12.pem")), Some(("privkey", 12)));
        for other in ["privkey.pem", "privkey1.key", "api3.pem", "cert-1.pem"] {
            assert_eq!(numbered(OsStr::new(other)), None, "{other}");
        }
        assert_eq!(store_name(OsStr::new("api.key")), ".api.key.notafter");
        assert!(is_ours(OsStr::new(".api.key.notafter/current/privkey.pem")));
        assert!(is_ours(OsStr::new("/etc/ssl/.api.key.notafter/current/cert.pem")));
        assert!(!is_ours(OsStr::new("../../archive/a/privkey1.pem")));
        assert!(!is_ours(OsStr::new("api.key.notafter/current/privkey.pem")));
    }
}
