//! Programs of the site's that write and remove the record: the contracts of lego's `exec`, of certbot's
//! `--manual-auth-hook` and `--manual-cleanup-hook`, and of acme.sh's `dnsapi` scripts.
//!
//! An argument list and an environment, and never a text that a shell would read: names and values are arguments or
//! variables in every contract. A `dnsapi` script is a piece of shell and has to be read by one; the few lines that do so
//! are constant, and what they work on is in variables. How a program is run and ended is `child.rs`'s.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx};
use notafter_pki::name::printable;
use serde_json::{Value, json};

use super::provider::{Provider, Record, hide};
use crate::child::{self, Ended, Order};
use crate::deployers::command::{check_argv, program};
use crate::secret::{Cover, MaybeSecret};
use crate::text::cut;

/// How much of what an auth hook prints is kept for the clean-up hook.
const OUTPUT_MAX: usize = 4 * 1024;

/// What reads a `dnsapi` script. acme.sh runs its first argument when it is read in without one of its options, and `:` is
/// the command that does nothing.
const READER: &str = "set -- :\n\
    if [ -n \"$NOTAFTER_LIBRARY\" ]; then . \"$NOTAFTER_LIBRARY\"; fi\n\
    . \"$NOTAFTER_SCRIPT\"\n\
    \"$NOTAFTER_FUNCTION\" \"$NOTAFTER_RECORD\" \"$NOTAFTER_VALUE\"\n";

/// Whose contract.
#[derive(Clone, Debug)]
pub(super) enum Contract {
    /// lego's `exec`: `present` or `cleanup`, then the record, or in raw mode what it is made of.
    Lego { command: Vec<String>, raw: bool },
    /// certbot's manual hooks.
    Certbot { auth: Vec<String>, cleanup: Option<Vec<String>> },
    /// acme.sh's `dnsapi`.
    AcmeSh { script: PathBuf, function: String, library: Option<PathBuf> },
}

/// A program with all it is given.
pub(super) struct Hook {
    contract: Contract,
    /// Variables of the site's for it.
    environment: BTreeMap<String, MaybeSecret>,
    timeout: Duration,
}

impl Hook {
    /// # Errors
    /// A sentence for the person who wrote the settings.
    pub(super) fn open(
        contract: Contract,
        environment: BTreeMap<String, MaybeSecret>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let lists = match &contract {
            Contract::Lego { command, .. } => vec![command],
            Contract::Certbot { auth, cleanup } => {
                [Some(auth), cleanup.as_ref()].into_iter().flatten().collect()
            }
            Contract::AcmeSh { script, function, library } => {
                if let Some(path) =
                    [Some(script), library.as_ref()].into_iter().flatten().find(|p| !p.is_absolute())
                {
                    return Err(format!(
                        "{} is no full path, and where a service runs is not where you are\n\
                         hint: script = \"/usr/share/acme.sh/dnsapi/dns_xyz.sh\"",
                        path.display()
                    ));
                }
                if !is_function(function) {
                    return Err(format!(
                        "`{}` is no name of a shell function\nhint: function = \"dns_xyz\", for dns_xyz_add and dns_xyz_rm",
                        function.escape_debug()
                    ));
                }
                Vec::new()
            }
        };
        for argv in lists {
            check_argv(argv)?;
        }
        if let Some(wrong) = environment.keys().find(|name| !is_variable(name)) {
            return Err(format!(
                "`environment`: `{}` is no name of a variable\nhint: letters, digits and underscores; NOTAFTER_ and CERTBOT_ are set here",
                wrong.escape_debug()
            ));
        }
        let this = Self { contract, environment, timeout };
        this.site()?;
        Ok(this)
    }

    /// The site's variables, and the secrets among them.
    fn site(&self) -> Result<(Vec<(String, OsString)>, Cover), String> {
        let (mut all, mut cover) = (Vec::new(), Cover::default());
        for (name, value) in &self.environment {
            let text = value.read().map_err(|e| format!("`environment.{name}`: {e}"))?;
            if matches!(value, MaybeSecret::Secret(_)) {
                hide(&mut cover, &text);
            }
            all.push((name.clone(), OsString::from(text.as_str())));
        }
        Ok((all, cover))
    }

    async fn run(&self, record: &Record, memo: &Value, away: bool) -> Result<Value, Fault> {
        let (mut environment, cover) = self.site().map_err(|said| Fault::new(FaultKind::NotFound, said))?;
        let mut set = |name: &str, value: &str| environment.push((name.to_owned(), OsString::from(value)));
        set("NOTAFTER_EVENT", if away { "cleanup" } else { "present" });
        set("NOTAFTER_DOMAIN", &record.domain);
        set("NOTAFTER_RECORD", &record.place);
        set("NOTAFTER_VALUE", &record.value);
        set("NOTAFTER_ZONE", record.zone.as_deref().unwrap_or_default());
        let argv = match &self.contract {
            Contract::Lego { command, raw } => {
                let word = if away { "cleanup" } else { "present" }.to_owned();
                let what = if *raw {
                    vec![
                        word,
                        "--".to_owned(),
                        record.domain.clone(),
                        record.token.clone(),
                        record.authorization.clone(),
                    ]
                } else {
                    vec![word, format!("{}.", record.place), record.value.clone()]
                };
                [command.as_slice(), &what].concat()
            }
            Contract::Certbot { auth, cleanup } => {
                for name in
                    ["CERTBOT_DOMAIN", "CERTBOT_IDENTIFIER", "CERTBOT_ALL_DOMAINS", "CERTBOT_ALL_IDENTIFIERS"]
                {
                    set(name, &record.domain);
                }
                set("CERTBOT_VALIDATION", &record.value);
                // Each is shown by itself: whoever waits after the last one waits after each.
                set("CERTBOT_REMAINING_CHALLENGES", "0");
                match (away, cleanup) {
                    (false, _) => auth.clone(),
                    (true, None) => return Ok(Value::Null),
                    (true, Some(cleanup)) => {
                        set("CERTBOT_AUTH_OUTPUT", memo["output"].as_str().unwrap_or_default());
                        cleanup.clone()
                    }
                }
            }
            Contract::AcmeSh { script, function, library } => {
                set("NOTAFTER_SCRIPT", &text(script)?);
                set("NOTAFTER_FUNCTION", &format!("{function}_{}", if away { "rm" } else { "add" }));
                set("NOTAFTER_LIBRARY", "");
                // Read by a shell of ours: whoever may write to them is us.
                safe(script)?;
                if let Some(library) = library {
                    safe(library)?;
                    set("NOTAFTER_LIBRARY", &text(library)?);
                    if let Some(home) = library.parent() {
                        for (name, path) in [
                            ("LE_WORKING_DIR", home.to_owned()),
                            ("LE_CONFIG_HOME", home.to_owned()),
                            ("ACCOUNT_CONF_PATH", home.join("account.conf")),
                        ] {
                            if !self.environment.contains_key(name) {
                                set(name, &text(&path)?);
                            }
                        }
                    }
                }
                vec![shell(script), "-c".to_owned(), READER.to_owned(), "notafter".to_owned()]
            }
        };
        let path = program(&argv)?;
        let called = self.named();
        let order = Order {
            program: &path,
            name: &called,
            arguments: argv.get(1..).unwrap_or_default(),
            input: &[],
            timeout: self.timeout,
            room: child::OUTPUT_MAX,
        };
        let covered = |mut fault: Fault| {
            fault.context = cover.mask(&fault.context);
            fault
        };
        let ended = child::end_of(&order, environment).await.map_err(covered)?;
        if !ended.status.success() {
            return Err(covered(failed(&called, &ended, away)));
        }
        let said = String::from_utf8_lossy(&ended.said);
        Ok(json!({ "output": cut(&cover.mask(said.trim()), OUTPUT_MAX) }))
    }

    /// What is run, as it is called in messages.
    fn named(&self) -> String {
        match &self.contract {
            Contract::Lego { command, .. } => command.first().cloned().unwrap_or_default(),
            Contract::Certbot { auth, .. } => auth.first().cloned().unwrap_or_default(),
            Contract::AcmeSh { script, .. } => script.to_string_lossy().into_owned(),
        }
    }
}

fn failed(called: &str, ended: &Ended, away: bool) -> Fault {
    let what = if away { "removes" } else { "adds" };
    let said = format!("{} {what} no record: {}{}", printable(called), ended.status, ended.shown());
    Fault::new(FaultKind::System, said)
        .hint("run it by hand with the same variables; exit code 0 alone says that it is done")
}

/// A file that only those who may be us can write, when we are root.
fn safe(path: &Path) -> Result<(), Fault> {
    program(&[text(path)?]).map(|_| ())
}

fn text(path: &Path) -> Result<String, Fault> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Fault::new(FaultKind::Invalid, format!("{} is no path in UTF-8", path.display())))
}

/// The shell that a script asks for in its first line: some that call themselves portable are not.
fn shell(script: &Path) -> String {
    let mut line = [0u8; 64];
    let read = std::fs::File::open(script).and_then(|mut file| file.read(&mut line)).unwrap_or(0);
    let first = line.get(..read).unwrap_or_default().split(|b| *b == b'\n').next().unwrap_or_default();
    let bash = first.starts_with(b"#!") && first.windows(4).any(|word| word == b"bash");
    if bash { "/bin/bash" } else { "/bin/sh" }.to_owned()
}

fn is_function(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_variable(name: &str) -> bool {
    is_function(name) && !name.starts_with("NOTAFTER_") && !name.starts_with("CERTBOT_")
}

impl Provider for Hook {
    fn called(&self) -> String {
        printable(&self.named())
    }

    fn needs_zone(&self) -> bool {
        false
    }

    fn add<'a>(&'a self, _: &'a Cx, record: &'a Record) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move { self.run(record, &Value::Null, false).await })
    }

    fn remove<'a>(
        &'a self,
        _: &'a Cx,
        record: &'a Record,
        memo: &'a Value,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.run(record, memo, true).await.map(|_| ()) })
    }
}
