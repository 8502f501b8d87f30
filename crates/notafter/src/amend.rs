//! A change of `notafter.toml` that a command makes: shown as a difference, checked as `config check` does, and put in
//! place of the old file in one step, of which a copy is kept.
//!
//! Tables are added at the end, so that what people wrote stays as it is, comments included. Nothing is changed where
//! others than root could change the file and root runs this. What is written is decided by the commands.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use notafter_pki::name::{is_deceptive, printable};

use crate::assemble;
use crate::beside::Beside;
use crate::cli::Global;
use crate::commands::Usage;
use crate::config::plan::Sheet;
use crate::config::{self, Config};
use crate::{keeping, print, trusted};

/// Lines around a change, as `diff -u` shows them.
const AROUND: usize = 3;
/// A comment is broken so that its lines are about so long, in characters.
const COMMENT_WIDTH: usize = 100;

/// The configuration that is to be changed, and the file it is in or would be in.
///
/// # Errors
/// It cannot be read, or has a mistake.
pub(crate) fn sheet(global: &Global) -> Result<(Sheet, PathBuf), Usage> {
    let empty = || Sheet { file: None, text: String::new(), config: Config::default() };
    if let Some(named) = &global.config
        && !named.exists()
    {
        return Ok((empty(), named.clone()));
    }
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let usual = || match Path::new("/etc/notafter").is_dir() {
        true => PathBuf::from("/etc/notafter/notafter.toml"),
        false => PathBuf::from("notafter.toml"),
    };
    let path = sheet.file.clone().unwrap_or_else(usual);
    Ok((sheet, path))
}

/// Tables added to a configuration.
pub(crate) struct Amendment {
    /// As people call the file.
    path: PathBuf,
    /// What is in it now; `None`: it is not there.
    old: Option<String>,
    /// What will be in it.
    new: String,
}

impl Amendment {
    /// Adds tables at the end of the configuration.
    ///
    /// # Errors
    /// Root runs this, and others could change the file.
    pub(crate) fn append(sheet: &Sheet, path: &Path, tables: &str) -> Result<Self, Usage> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        trusted::obeyed(&path).map_err(|why| {
            let plain = assemble::explain_plain(&why);
            Usage { message: format!("nothing is changed: {}", plain.message), ..plain }
        })?;
        Ok(Self::joined(path, sheet.file.is_some().then(|| sheet.text.clone()), tables))
    }

    fn joined(path: PathBuf, old: Option<String>, tables: &str) -> Self {
        let mut new = old.clone().unwrap_or_default();
        if !new.is_empty() {
            if !new.ends_with('\n') {
                new.push('\n');
            }
            if !new.ends_with("\n\n") {
                new.push('\n');
            }
        }
        new.push_str(tables);
        Self { path, old, new }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Would `config check` find it right? A mistake that was there before is no reason against it.
    ///
    /// # Errors
    /// The first new mistake.
    pub(crate) fn check(&self, before: &Sheet) -> Result<Sheet, Usage> {
        let explain = |what: &str| assemble::explain(&self.path, what);
        let config = config::parse(&self.new).map_err(|e| explain(&e))?;
        let after = Sheet { file: Some(self.path.clone()), text: self.new.clone(), config };
        let known = before.mistakes();
        if let Some(new) = after.mistakes().iter().find(|mistake| !known.contains(mistake)) {
            return Err(explain(new));
        }
        keeping::checked(&after).map_err(|e| explain(&e))?;
        Ok(after)
    }

    /// As `diff -u` would print it.
    pub(crate) fn diff(&self) -> String {
        let shown = printable(&self.path.display().to_string());
        let old = self.old.as_deref().unwrap_or_default();
        let from = if self.old.is_some() { shown.as_str() } else { "/dev/null" };
        let mut out = format!("--- {from}\n+++ {shown}\n");
        let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), self.new.lines().collect());
        let torn = !old.is_empty() && !old.ends_with('\n');
        let same = before.len() - usize::from(torn);
        let first = same.saturating_sub(AROUND);
        let begin = |from: usize, count: usize| if count == 0 { 0 } else { from + 1 };
        let counts = (before.len() - first, after.len() - first);
        out.push_str(&format!(
            "@@ -{},{} +{},{} @@\n",
            begin(first, counts.0),
            counts.0,
            begin(first, counts.1),
            counts.1
        ));
        before[first..same].iter().for_each(|line| out.push_str(&format!(" {line}\n")));
        if torn {
            out.push_str(&format!("-{}\n\\ No newline at end of file\n", before[same]));
        }
        after[same..].iter().for_each(|line| out.push_str(&format!("+{line}\n")));
        out
    }

    /// Puts the new file in the place of the old one, which is kept as `FILE.bak`. Where that is, if there was one.
    ///
    /// # Errors
    /// Somebody changed it meanwhile; the system's.
    pub(crate) fn write(&self) -> Result<Option<PathBuf>, Usage> {
        // A link stays a link: what is at its end is replaced.
        let real = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let cannot = |what: &str, e: std::io::Error| {
            Usage::new(format!("cannot {what} {}: {e}", real.display()))
                .hint("nothing was changed; run this as the account that may")
        };
        let Some(old) = &self.old else {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(&real)
                .map_err(|e| cannot("make", e))?;
            file.write_all(self.new.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(|e| cannot("write", e))?;
            return Ok(None);
        };
        let held = File::open(&real).map_err(|e| cannot("read", e))?;
        rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|e| cannot("lock", e.into()))?;
        let now = fs::read_to_string(&real).map_err(|e| cannot("read", e))?;
        if now != *old {
            return Err(Usage::new(format!("{} was changed by somebody else meanwhile", real.display()))
                .hint("nothing was written; run this again"));
        }
        let about = held.metadata().map_err(|e| cannot("look at", e))?;
        let mut name = real.clone().into_os_string();
        name.push(".bak");
        let backup = PathBuf::from(name);
        let put = |path: &Path, text: &str| {
            let mut beside = Beside::like(path, Some(&about))?;
            beside.file.write_all(text.as_bytes())?;
            beside.keep()
        };
        put(&backup, old).map_err(|e| cannot("keep a copy of", e))?;
        put(&real, &self.new).map_err(|e| cannot("write", e))?;
        Ok(Some(backup))
    }
}

/// Asks on a terminal. Without one, `yes` must have been given: otherwise it is an error that says so.
///
/// # Errors
/// Nobody can be asked.
pub(crate) fn agreed(question: &str, yes: bool, undone: &str) -> Result<bool, Usage> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Usage::new(undone).hint("nobody can be asked here: say --yes if that is what you want"));
    }
    print::ask(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let _ = stdin.lock().read_line(&mut answer);
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A text as TOML's basic string, on one line whatever it holds, and with nothing in it that would fool an eye.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_deceptive(c) => match u32::from(c) {
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04X}")),
                code => out.push_str(&format!("\\U{code:08X}")),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of texts.
pub(crate) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let all: Vec<String> = texts.into_iter().map(string).collect();
    format!("[{}]", all.join(", "))
}

/// Any value, on one line.
pub(crate) fn value(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => string(text),
        toml::Value::Array(all) => {
            let all: Vec<String> = all.iter().map(self::value).collect();
            format!("[{}]", all.join(", "))
        }
        toml::Value::Table(table) if table.is_empty() => "{}".to_owned(),
        toml::Value::Table(table) => {
            // What it is comes first, as a person would write it.
            let kind = table.iter().filter(|(key, _)| *key == "kind");
            let rest = table.iter().filter(|(key, _)| *key != "kind");
            let all: Vec<String> =
                kind.chain(rest).map(|(key, v)| format!("{} = {}", self::key(key), self::value(v))).collect();
            format!("{{ {} }}", all.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// A key, bare where it can be.
pub(crate) fn key(text: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !text.is_empty() && text.bytes().all(bare) { text.to_owned() } else { string(text) }
}

/// A comment behind an indent, in as many lines as it needs. Nothing in the text ends it.
pub(crate) fn comment(indent: &str, text: &str) -> String {
    let safe: String = printable(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (mut out, mut line) = (String::new(), String::new());
    for word in safe.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COMMENT_WIDTH {
            out.push_str(&format!("{indent}# {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push_str(&format!("{indent}# {line}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_one_line_and_reads_back() {
        for text in [
            "",
            "a\"b",
            "a\\",
            "x\n[[issuer]]\nname = \"y\"",
            "\u{202e}x\u{7f}\0\t\r",
            "é🦀",
            "'''",
            "\u{e0001}",
        ] {
            let written = string(text);
            assert!(!written.contains('\n') && !written.chars().any(char::is_control), "{written}");
            let table: toml::Table = toml::from_str(&format!("x = {written}\n")).expect("TOML");
            assert_eq!(table["x"].as_str(), Some(text));
        }
        for text in ["a\nb = 1", "\r\n[x]", "\u{2028}y", "\0"] {
            let written = comment("  ", text);
            let table: toml::Table = toml::from_str(&written).expect("TOML");
            assert!(table.is_empty(), "{written}");
        }
        let nested: toml::Value = toml::from_str::<toml::Table>("a = { \"b c\" = [1, 'x\"', { d = true }] }")
            .expect("TOML")["a"]
            .clone();
        let again: toml::Table = toml::from_str(&format!("a = {}", value(&nested))).expect("TOML");
        assert_eq!(again["a"], nested);
    }

    #[test]
    fn the_difference_is_one_that_patch_takes() {
        for old in [
            None,
            Some(""),
            Some("a = 1\n"),
            Some("a = 1\n\n"),
            Some("a = 1\nb = 2\nc = 3\nd = 4\ne = 5"),
            Some("a = 1"),
        ] {
            let change = Amendment::joined("/x.toml".into(), old.map(str::to_owned), "[x]\ny = 1\n");
            let folder = std::env::temp_dir().join(format!("notafter-diff-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            let (file, patch) = (folder.join("file"), folder.join("patch"));
            if let Some(old) = old {
                std::fs::write(&file, old).expect("written");
            }
            std::fs::write(&patch, change.diff()).expect("written");
            let ran = std::process::Command::new("patch").arg("-s").arg(&file).arg(&patch).output();
            if let Ok(ran) = ran {
                assert!(ran.status.success(), "{old:?}: {}\n{ran:?}", change.diff());
                assert_eq!(std::fs::read_to_string(&file).expect("read"), change.new, "{old:?}");
            } else {
                assert!(change.diff().ends_with("+[x]\n+y = 1\n"), "{}", change.diff());
            }
            std::fs::remove_dir_all(&folder).expect("removed");
        }
    }
}
