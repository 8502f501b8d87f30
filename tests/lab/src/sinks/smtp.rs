//! aiosmtpd, a real SMTP server, with TLS, sign-in and the moods of a relay.
//!
//! `xtask` installs it into `target/lab/venv`. It keeps each mail as a file. Who is written to decides what it says:
//! `greylisted@` is answered with 451, `unknown@` with 550, everybody else is taken.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::super::servers::install;
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// How it protects the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is taken before STARTTLS and AUTH.
    Starttls,
    /// TLS from the first byte, and AUTH.
    Smtps,
    /// Everything is taken in the clear.
    Plain,
}

/// The user it knows.
pub const USER: &str = "notafter";
/// The user's password.
pub const PASSWORD: &str = "lab pass\u{f6}rd";

/// A mail that it took.
#[derive(Debug, Clone)]
pub struct Mail {
    /// From whom, by MAIL FROM.
    pub from: String,
    /// To whom, by RCPT TO.
    pub to: Vec<String>,
    /// The octets.
    pub text: String,
}

/// Starts one on the endpoint `smtp`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf, mode: Mode) -> Result<Server, NotRun> {
    server::start(lab, "aiosmtpd", 1, |folder, ports| {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = here.join("../../target/lab/venv/bin/python");
        if !python.exists() {
            return Err(NotRun::new("aiosmtpd", "target/lab/venv is not there: cargo xtask test makes it"));
        }
        install("aiosmtpd", folder, leaf, None)?;
        let mails = folder.join("mails");
        fs::create_dir_all(&mails).map_err(|error| NotRun::new("aiosmtpd", error.to_string()))?;
        let mode = match mode {
            Mode::Starttls => "starttls",
            Mode::Smtps => "smtps",
            Mode::Plain => "plain",
        };
        let mut command = Command::new(python);
        command.arg(here.join("src/sinks/smtp.py")).arg(ports[0].number().to_string()).arg(mode);
        command.arg(folder.join("tls")).arg(mails).args([USER, PASSWORD]);
        let endpoints = vec![local("smtp", &ports[0], Starttls::Smtp)];
        Ok(Recipe::new(command, endpoints, Reload::OnlyRestart("HUP")))
    })
}

/// The mails it took, in their order.
#[must_use]
pub fn mails(server: &Server) -> Vec<Mail> {
    let mut paths: Vec<PathBuf> = fs::read_dir(server.folder().join("mails"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "eml"))
        .collect();
    paths.sort();
    paths.iter().filter_map(|path| read(&fs::read_to_string(path).ok()?)).collect()
}

/// Two lines of envelope, then the mail.
fn read(file: &str) -> Option<Mail> {
    let (from, rest) = file.split_once('\n')?;
    let (to, text) = rest.split_once('\n')?;
    Some(Mail {
        from: from.to_owned(),
        to: to.split(' ').map(str::to_owned).collect(),
        text: text.to_owned(),
    })
}
