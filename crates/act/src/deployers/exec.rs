//! A program of the user's that installs: for whatever has no deployer here.
//!
//! It finds the files in a folder of its own that nobody else can read and that is gone when it ends, and the names in
//! the environment, as certbot's and lego's hooks do. Exit code 0 says that it is installed. It may be run twice for one
//! generation, when we were killed before we could note its end: it should then do nothing.

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use notafter_core::deployment::{Bundle, Check, Receipt};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Deployer};
use notafter_core::location::Location;
use rustix::process::{Pid, geteuid, test_kill_process};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::command::{Argv, check_argv, program, run};
use super::environment::{Paths, variables};
use super::files::{Goods, KeyForm};
use super::{BuildCx, Built, keystore, pem};
use crate::settings::{self, Span};

pub(super) const NAME: &str = "exec";
pub(super) const DOC: &str =
    "A program: the files in a folder of its own, the names as hooks of certbot and lego.";

const PREFIX: &str = "notafter-exec-";

/// `kind = "exec"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The program and its arguments. No shell reads them.
    command: Vec<String>,
    /// The program that goes back to the one before, where there is a way. It is given names and no files.
    roll_back: Option<Vec<String>>,
    /// How long it may run. Default `2m`.
    timeout: Option<Span>,
    /// What it is given on its standard input: nothing, or key and certificates as PEM.
    #[serde(default)]
    input: Input,
    /// Files that the program writes, to be read again for the proof.
    #[serde(default)]
    places: Vec<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Input {
    #[default]
    None,
    Pem,
}

pub(super) fn schema() -> Value {
    settings::schema::<Settings>()
}

pub(super) fn build(table: Value, _: &BuildCx) -> Built {
    let settings: Settings = settings::read(table, &schema())?;
    check_argv(&settings.command)?;
    settings.roll_back.as_deref().map(check_argv).transpose()?;
    Ok(Box::new(Exec(settings)))
}

struct Exec(Settings);

impl Exec {
    fn argv<'a>(&self, argv: &'a [String]) -> Argv<'a> {
        Argv { argv, timeout: self.0.timeout.unwrap_or(Span::seconds(120)).0 }
    }

    async fn install(&self, goods: &Goods) -> Result<Receipt, Fault> {
        let folder = Scratch::new()?;
        let key = keystore::key_pem(goods.key.expose(), KeyForm::Pkcs8)?;
        let text =
            |ders: &[Vec<u8>]| ders.iter().map(|der| pem::encode("CERTIFICATE", der)).collect::<String>();
        let (leaf, rest, all) =
            (text(goods.chain.get(..1).unwrap_or(&[])), text(goods.rest()), text(&goods.chain));
        let mut combined = Zeroizing::new(Vec::with_capacity(key.len() + all.len()));
        combined.extend_from_slice(&key);
        combined.extend_from_slice(all.as_bytes());
        folder.write("cert.pem", leaf.as_bytes())?;
        folder.write("chain.pem", rest.as_bytes())?;
        let fullchain = folder.write("fullchain.pem", all.as_bytes())?;
        let key = folder.write("privkey.pem", &key)?;
        let whole = folder.write("combined.pem", &combined)?;
        let chain = folder.0.join("chain.pem");
        let paths = Paths {
            folder: Some(&folder.0),
            fullchain: Some(&fullchain),
            key: Some(&key),
            chain: Some(&chain),
            combined: Some(&whole),
            pkcs12: None,
        };
        let environment = variables(goods, &paths, "deploy");
        let input: &[u8] = if self.0.input == Input::Pem { &combined } else { &[] };
        run(self.argv(&self.0.command), &environment, input).await?;
        Ok(Receipt { generation: goods.generation, before: None, undo: json!({ "name": goods.name }) })
    }

    async fn go_back(&self, receipt: &Receipt) -> Result<(), Fault> {
        let Some(argv) = &self.0.roll_back else {
            return Err(Fault::new(
                FaultKind::Invalid,
                "this target has no way back: `roll_back` is not set",
            )
            .retry(Retry::Never)
            .hint("set roll_back = [\"/usr/local/bin/...\"], or install the one before by hand"));
        };
        let text = |name: &str, value: String| (name.to_owned(), OsString::from(value.replace('\0', "")));
        let environment = [
            text("NOTAFTER_EVENT", "roll-back".to_owned()),
            text("NOTAFTER_GENERATION", receipt.generation.to_string()),
            text("NOTAFTER_CERTIFICATE", receipt.undo["name"].as_str().unwrap_or_default().to_owned()),
        ];
        run(self.argv(argv), &environment, &[]).await
    }
}

impl Deployer for Exec {
    fn places(&self) -> Vec<Location> {
        use std::os::unix::ffi::OsStrExt;
        self.0.places.iter().map(|path| Location::file(path.as_os_str().as_bytes(), "")).collect()
    }

    fn deploy<'a>(&'a self, cx: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move { self.install(&Goods::of(bundle, cx.clock.now())?).await })
    }

    fn roll_back<'a>(&'a self, _: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.go_back(receipt))
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            let all = [Some(&self.0.command), self.0.roll_back.as_ref()];
            all.into_iter()
                .flatten()
                .map(|argv| {
                    let what = format!("program {}", argv.first().map(String::as_str).unwrap_or_default());
                    match program(argv) {
                        Ok(path) => {
                            Check::works(what, format!("{} is there; it was not run", path.display()))
                        }
                        Err(fault) => {
                            Check::fails(what, fault.to_string(), fault.hint.clone().unwrap_or_default())
                        }
                    }
                })
                .collect()
        })
    }
}

/// A folder that only we can read, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    /// In memory where the system has a place for that (`/run`), so that no key reaches a disk.
    fn new() -> Result<Self, Fault> {
        let given = std::env::var_os("RUNTIME_DIRECTORY");
        let given = given.and_then(|all| Some(PathBuf::from(all.to_str()?.split(':').next()?)));
        let run = geteuid().is_root().then(|| PathBuf::from("/run")).filter(|path| path.is_dir());
        let base = given.or(run).unwrap_or_else(std::env::temp_dir);
        sweep(&base);
        let mut name = format!("{PREFIX}{}-", std::process::id());
        let mut octets = [0u8; 8];
        aws_lc_rs::rand::fill(&mut octets)
            .map_err(|_| Fault::new(FaultKind::System, "the system gave no random octets"))?;
        octets.iter().for_each(|o| name.push_str(&format!("{o:02x}")));
        let path = base.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| broke(&path, &e))?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Fault> {
        use std::io::Write as _;
        let path = self.0.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(|e| broke(&path, &e))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what a process of ours that was killed left there.
fn sweep(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        let ours = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == geteuid().as_raw());
        if ours && owner.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_err()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn broke(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::System, format!("{} could not be written: {error}", path.display()))
        .hint("the program is given its files in $RUNTIME_DIRECTORY, /run or $TMPDIR")
}
