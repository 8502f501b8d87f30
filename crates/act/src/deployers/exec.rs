//! A program of the user's that installs: for whatever has no deployer here.
//!
//! It finds the files in a folder of its own that nobody else can read and that is gone when it ends, and the names in
//! the environment, as certbot's and lego's hooks do. Exit code 0 says that it is installed. It may be run again for one
//! generation: when we were killed before we could note its end, and when somebody asks again because the new one is not seen
//! in use. It need not write again then, but check and reload. The way back is a command of
//! its own, which is told what to take back and given no files: what was there before is with whoever replaced it.

use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use notafter_core::deployment::{Before, Bundle, Check, Receipt};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Deployer};
use notafter_core::location::Location;
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::pem;
use notafter_pki::container::{Limits, open};
use rustix::process::{Pid, geteuid, test_kill_process};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::command::{Argv, check_argv, program, run, run_covered};
use super::environment::{Paths, variables};
use super::files::{Goods, KeyForm};
use super::{BuildCx, Built, back, keystore};
use crate::secret::Cover;
use crate::settings::{self, Span};

pub(super) const NAME: &str = "exec";
pub(super) const DOC: &str =
    "A program: the files in a folder of its own, the names as hooks of certbot and lego.";

const PREFIX: &str = "notafter-exec-";
/// Nothing that holds certificates for a server is larger.
const READ_MAX: u64 = 16 << 20;

/// `kind = "exec"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The program and its arguments. No shell reads them.
    command: Vec<String>,
    /// The program that takes a certificate back and puts the one before in use again. It is told which to take back, and
    /// given no files.
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

    /// The certificate in one of the files that the program writes. That of `goods` is not one before it.
    fn before(&self, goods: &Goods) -> Option<Before> {
        use std::io::Read as _;
        self.0.places.iter().find_map(|path| {
            let mut bytes = Vec::new();
            std::fs::File::open(path).ok()?.take(READ_MAX).read_to_end(&mut bytes).ok()?;
            let bytes = Zeroizing::new(bytes);
            let opened = open(&bytes, &[], &Limits::default());
            let leaf = opened.certificates().find(|der| Certificate::parse(der).is_ok_and(|c| !c.is_ca()))?;
            let not_after = Certificate::parse(leaf).ok()?.not_after()?;
            (leaf != goods.leaf())
                .then(|| Before { fingerprint: Fingerprint::of(leaf).to_string(), not_after: not_after.0 })
        })
    }

    async fn install(&self, goods: &Goods) -> Result<Receipt, Fault> {
        let before = self.before(goods);
        let folder = Scratch::new()?;
        let key = keystore::key_pem(goods.key.expose(), KeyForm::Pkcs8)?;
        // Not a line of it is told, whatever the command prints.
        let mut cover = Cover::default();
        let lines = String::from_utf8_lossy(&key);
        lines.lines().filter(|line| !line.starts_with('-')).for_each(|line| cover.add(line));
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
        run_covered(self.argv(&self.0.command), &environment, input, &cover).await?;
        let undo = back::undo(goods, self.0.roll_back.is_some());
        Ok(Receipt { generation: goods.generation, before, undo })
    }

    async fn go_back(&self, receipt: &Receipt, now: UnixTime) -> Result<(), Fault> {
        let Some(argv) = &self.0.roll_back else {
            return Err(back::none()
                .hint("set roll_back = [\"/usr/local/bin/...\"], or install the one before by hand"));
        };
        back::may(receipt, now)?;
        let taken = back::Taken::of(receipt);
        let text = |name: &str, value: String| (name.to_owned(), OsString::from(value.replace('\0', "")));
        let mut environment = vec![
            text("NOTAFTER_EVENT", "roll-back".to_owned()),
            text("NOTAFTER_GENERATION", receipt.generation.to_string()),
            text("NOTAFTER_CERTIFICATE", taken.name),
            text("NOTAFTER_FINGERPRINT", taken.fingerprint),
            text("NOTAFTER_DOMAINS", taken.names.join(" ")),
            text("RENEWED_DOMAINS", taken.names.join(" ")),
        ];
        if let Some(before) = &receipt.before {
            environment.push(text("NOTAFTER_BEFORE_FINGERPRINT", before.fingerprint.clone()));
        }
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

    fn roll_back<'a>(&'a self, cx: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.go_back(receipt, cx.clock.now()))
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            let all = [Some(&self.0.command), self.0.roll_back.as_ref()];
            let way_back = self.0.roll_back.is_none().then(back::said);
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
                .chain(way_back)
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
