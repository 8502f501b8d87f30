//! Files on another host, over the system's own `ssh`: the same switch, check, reload and way back as `files`.
//!
//! `ssh` is run by an argument list, never asks, and refuses a host whose key it does not know. On the far side one
//! constant script (`ssh.sh`) does the steps; the values follow it on the connection, as data. The far host needs sh,
//! base64, cp, ls, mv -T, readlink, sha256sum and sync of GNU coreutils or BusyBox; where there is no flock, a link that
//! names its process is the lock. As root there, no folder on the way to the files may be one that others can change, as with `files`. The key is in no argument and no environment. A keystore
//! comes here to be written anew, because its alias and its other entries are kept; the password stays here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::deployment::{Before, Bundle, Check, Receipt, Trial};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Deployer};
use notafter_core::location::Location;
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::{hex, sha256};
use notafter_pki::name::printable;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::command::{self, Argv, Ended, check_argv, shown};
use super::files::{Goods, Pair, Plain, Rendered, is_newer, is_older, unreadable};
use super::{BuildCx, Built};
use crate::settings::{self, Span};

pub(super) const NAME: &str = "ssh";
pub(super) const DOC: &str = "Files on another host, over ssh: switched as one, checked, reloaded, put back.";

/// Runs on the far host.
const SCRIPT: &str = include_str!("ssh.sh");

/// So much may come back of what is in place, base64: a keystore with all the anchors of a system takes a sixth.
const LOOK_MAX: usize = 2 << 20;

/// A set that is never there.
const NO_SET: &str = "gen-0-0";

/// `kind = "ssh"`
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The host, by a name or address that `ssh` knows.
    host: String,
    /// The account there. Default: what `ssh` takes.
    user: Option<String>,
    /// The port. Default: what `ssh` takes.
    port: Option<u16>,
    /// The private key to sign in with.
    identity: Option<PathBuf>,
    /// The file with the host's key. Default: the account's own.
    known_hosts: Option<PathBuf>,
    /// Become root there with `sudo -n`? Default `false`.
    #[serde(default)]
    sudo: bool,
    /// How long all of it may take, check and reload there included. Default `2m`.
    timeout: Option<Span>,
    /// The command there that says whether the server would start, as an argument list.
    check: Option<Vec<String>>,
    /// The command there that makes the server read the files, as an argument list.
    reload: Option<Vec<String>>,
}

pub(super) fn schema() -> Value {
    let (mut own, files) = (settings::schema::<Settings>(), Plain::schema());
    for part in ["properties", "$defs"] {
        let from = files[part].as_object().cloned().unwrap_or_default();
        match own[part].as_object_mut() {
            Some(into) => into.extend(from),
            None => own[part] = Value::Object(from),
        }
    }
    own
}

pub(super) fn build(mut table: Value, _: &BuildCx) -> Built {
    let known = Plain::schema();
    let mut plain = serde_json::Map::new();
    if let Some(table) = table.as_object_mut() {
        plain.extend(settings::keys(&known).filter_map(|key| table.remove_entry(key)));
    }
    let plain = Plain::open(Value::Object(plain))?;
    let mut settings: Settings = settings::read(table, &schema())?;
    let (check, reload) = plain.commands();
    settings.check = settings.check.or(check);
    settings.reload = settings.reload.or(reload);
    let word = |name: &str, text: &str| {
        let fit = !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_graphic() && !"'\"\\$`;&|<>()".contains(c));
        if fit {
            Ok(())
        } else {
            Err(format!("`{name}` is `{}`, which is none\nhint: one plain word", text.escape_debug()))
        }
    };
    word("host", &settings.host)?;
    settings.user.as_deref().map(|user| word("user", user)).transpose()?;
    for path in [&settings.identity, &settings.known_hosts].into_iter().flatten() {
        if !path.is_absolute()
            || path.to_string_lossy().contains(|c: char| c.is_whitespace() || "%\"".contains(c))
        {
            return Err(format!(
                "`{}` is no path that ssh takes as it is\nhint: an absolute path without spaces and %",
                path.display().to_string().escape_debug()
            ));
        }
    }
    for argv in [&settings.check, &settings.reload].into_iter().flatten() {
        check_argv(argv)?;
    }
    Ok(Box::new(Ssh { settings, plain }))
}

struct Ssh {
    settings: Settings,
    plain: Plain,
}

impl Ssh {
    fn argv(&self) -> Vec<String> {
        let own = &self.settings;
        let mut argv: Vec<String> = ["ssh", "-T"].iter().map(|w| (*w).to_owned()).collect();
        let mut option = |text: String| argv.extend(["-o".to_owned(), text]);
        for fixed in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ForwardAgent=no",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "ConnectTimeout=15",
            "ServerAliveInterval=15",
        ] {
            option(fixed.to_owned());
        }
        if let Some(file) = &own.known_hosts {
            option(format!("UserKnownHostsFile={}", file.display()));
            option("GlobalKnownHostsFile=/dev/null".to_owned());
        }
        if let Some(file) = &own.identity {
            option("IdentitiesOnly=yes".to_owned());
            option(format!("IdentityFile={}", file.display()));
        }
        if let Some(user) = &own.user {
            option(format!("User={user}"));
        }
        if let Some(port) = own.port {
            option(format!("Port={port}"));
        }
        let shell = if own.sudo { "sudo -n /bin/sh" } else { "/bin/sh" };
        let length = SCRIPT.len();
        // Constant but for a number of ours: reads the script, octet by octet, and leaves the values on the connection.
        let far = format!("exec {shell} -c 'eval \"$(dd bs=1 count={length} 2>/dev/null)\"'");
        argv.extend(["--".to_owned(), own.host.clone(), far]);
        argv
    }

    /// Asks the far host to do one thing.
    async fn ask(&self, ask: &Ask<'_>, files: &Rendered, seen: Option<&Seen>) -> Result<Ended, Fault> {
        let timeout = self.settings.timeout.unwrap_or(Span::seconds(120)).0;
        let mut input = Zeroizing::new(Vec::with_capacity(SCRIPT.len() + 65_536));
        input.extend_from_slice(SCRIPT.as_bytes());
        let line = |input: &mut Vec<u8>, text: &str| {
            input.extend_from_slice(text.as_bytes());
            input.push(b'\n');
        };
        let coded = |text: &[u8]| Zeroizing::new(STANDARD.encode(text));
        let places = self.plain.places();
        let limit = (timeout.as_secs() / 3).max(1).to_string();
        for word in [ask.op, ask.set, ask.other, ask.back.word(), &limit, &places.len().to_string()] {
            line(&mut input, word);
        }
        for (n, place) in (1..).zip(&places) {
            // What was seen there is still there, or nothing is written.
            let state = match seen {
                _ if !self.plain.is_read(n) => "-".to_owned(),
                None => "look".to_owned(),
                Some(seen) => seen.there.get(&n).map_or("none".to_owned(), |bytes| hex(&sha256(bytes))),
            };
            let data = files.iter().find(|(path, _)| *path == place.path).map(|(_, bytes)| coded(bytes));
            let owner = place.owner.as_ref().map(|o| coded(o.as_bytes()));
            line(&mut input, &coded(place.path.as_bytes()));
            line(&mut input, &place.mode);
            line(&mut input, owner.as_ref().map_or("-", |o| o.as_str()));
            line(&mut input, data.as_ref().map_or("-", |d| d.as_str()));
            line(&mut input, &state);
        }
        for argv in [&self.settings.check, &self.settings.reload] {
            let words = argv.as_deref().unwrap_or(&[]);
            line(&mut input, &words.len().to_string());
            words.iter().for_each(|word| line(&mut input, &coded(word.as_bytes())));
        }
        let argv = self.argv();
        // The account's own agent, if it has one: nothing else of our environment goes along.
        let agent = std::env::var_os("SSH_AUTH_SOCK").map(|socket| ("SSH_AUTH_SOCK".to_owned(), socket));
        let environment: Vec<(String, OsString)> = agent.into_iter().collect();
        command::end_with(Argv { argv: &argv, timeout }, &environment, &input, LOOK_MAX).await
    }

    /// What an end of the script means.
    fn judge(&self, ended: &Ended) -> Result<(), Fault> {
        let host = &self.settings.host;
        let said = shown(&ended.complained);
        let refused = |what: String| Fault::new(FaultKind::Refused, what);
        Err(match ended.status.code() {
            Some(0) => return Ok(()),
            Some(255) => Fault::new(FaultKind::Unreachable, format!("ssh to {host} failed{said}"))
                .hint("try by hand, as the account that deploys: ssh -o BatchMode=yes HOST true; its key must be in known_hosts"),
            Some(10) => refused(format!("the check on {host} failed, what was there before is in force again{said}"))
                .hint("run the command there by hand"),
            Some(11) => refused(format!("the reload on {host} failed, what was there before is in force again{said}"))
                .hint("run the command there by hand"),
            Some(code @ (12 | 22)) => refused(format!(
                "the {} on {host} failed; the new files stay, because no certificate that still holds was there before{said}",
                if code == 22 { "check" } else { "reload" }
            ))
            .hint("run the command there by hand: does the server run at all?"),
            Some(24) => refused(format!("the check on {host} fails with what is in place{said}"))
                .hint("run the command there by hand"),
            Some(13) => refused(format!("{host} does not have what was there before any more"))
                .retry(Retry::Never)
                .hint("the last two generations are kept; deploy the one that shall be in use"),
            Some(14) => refused(format!("what is in place on {host} is neither what was installed nor what was there before"))
                .retry(Retry::Never)
                .hint("somebody else has replaced it since, and it is left alone"),
            Some(15) => Fault::new(FaultKind::Unreachable, format!("{host} is being deployed to already")).hint("it is tried again"),
            Some(23) => refused(format!(
                "the reload on {host} failed, and again with what was there before, whose files are in place: the server may run with either{said}"
            ))
            .hint("run the command there by hand: what it runs with and what is on the disk may differ"),
            Some(code @ (16 | 17)) => {
                let what = if code == 16 { "check" } else { "reload" };
                refused(format!(
                    "the files on {host} are those of before again, but their {what} failed: the server may still run with the new ones{said}"
                ))
                .hint("run the command there by hand, then reload the server: what it runs with and what is on the disk may differ")
            }
            Some(18) => Fault::new(FaultKind::Refused, format!("what is in place on {host} was changed while it was looked at"))
                .hint("it is tried again; does another tool write there?"),
            Some(code @ (19 | 21)) => {
                let what = if code == 19 { "check" } else { "reload" };
                refused(format!(
                    "the {what} on {host} failed; this very pair was in place and loaded before, and the files are left as they are{said}"
                ))
                .hint("run the command there by hand: it passed with the same files before")
            }
            Some(code) => refused(format!("{host}: the deployment ended with {code}{said}"))
                .hint("the message is the far host's; what was in use before still is, unless it says otherwise"),
            None => Fault::new(FaultKind::Unreachable, format!("ssh to {host} was ended by a signal{said}")),
        })
    }

    async fn install(&self, goods: &Goods) -> Result<Receipt, Fault> {
        let print = self.plain.made_from(goods);
        let mut set = format!("gen-{}-{}", goods.generation, print.get(..12).unwrap_or_default());
        let mut seen = self.look(&set).await?;
        let (mut before, mut replaces) = (seen.before(&self.plain), seen.replaces.take());
        let in_force = seen.force.clone();
        if !seen.is_usable(&self.plain) {
            // Written with another password than the one that is set now.
            let base = format!("{set}-");
            if in_force.as_ref().is_some_and(|name| name.starts_with(&base)) {
                set = in_force.clone().unwrap_or_default();
                seen = self.look(&set).await?;
                (before, replaces) = (seen.before(&self.plain), seen.replaces.take());
            }
            if !seen.is_usable(&self.plain) {
                let mut nonce = [0u8; 4];
                aws_lc_rs::rand::fill(&mut nonce)
                    .map_err(|_| Fault::new(FaultKind::System, "the system gave no random octets"))?;
                set = base + &hex(&nonce);
                seen.has.clear();
            }
        }
        if in_force.as_ref() != Some(&set)
            && let Some(there) = seen.leaf(&self.plain)
            && is_newer(&there, in_force.as_deref().and_then(generation), goods)
        {
            return Err(is_older(&there));
        }
        // One that is there whole is not sent again.
        let files = if seen.has.is_empty() { self.plain.render(goods, &seen.there)? } else { Vec::new() };
        let back = Back::of(before.as_ref(), goods.now);
        let other = replaces.as_deref().unwrap_or("-");
        let done = self.ask(&Ask { op: "deploy", set: &set, other, back }, &files, Some(&seen)).await?;
        self.judge(&done)?;
        let replaced = field(&done.said, "replaces ").unwrap_or_default();
        let undo = json!({ "installed": set, "before": replaced });
        Ok(Receipt { generation: goods.generation, before, undo })
    }

    /// What is in place there, and what is there of a set.
    async fn look(&self, set: &str) -> Result<Seen, Fault> {
        let looked =
            self.ask(&Ask { op: "look", set, other: "-", back: Back::Ended }, &Vec::new(), None).await?;
        self.judge(&looked)?;
        // Keys are in it, too.
        let said = Zeroizing::new(looked.said);
        if said.len() >= LOOK_MAX {
            return Err(Fault::new(
                FaultKind::Invalid,
                format!("what is in place on {} is too large to be a server's keystore", self.settings.host),
            )
            .retry(Retry::Never)
            .hint("give this certificate a file of its own"));
        }
        let name = |key: &str| field(&said, key).filter(|name| is_set(name));
        let all = |key: &str| {
            let read = (1..=self.plain.places().len()).filter(|n| self.plain.is_read(*n));
            let decoded = |n| STANDARD.decode(field(&said, &format!("{key} {n} "))?).ok();
            read.filter_map(|n| Some((n, Zeroizing::new(decoded(n)?)))).collect()
        };
        Ok(Seen {
            force: name("force "),
            replaces: name("replaces "),
            was: all("was"),
            there: all("there"),
            has: all("has"),
        })
    }

    /// Writes a pair that nothing uses beside the files there, as a deployment would, and reads what it wrote.
    async fn try_pair(&self, pair: &Pair) -> Result<String, Fault> {
        let seen = self.look(NO_SET).await?;
        let files = self.plain.render(&pair.goods, &seen.there)?;
        let ask = Ask { op: "try", set: NO_SET, other: "-", back: Back::Ended };
        let done = self.ask(&ask, &files, Some(&seen)).await?;
        self.judge(&done)?;
        let said = Zeroizing::new(done.said);
        for (number, place) in (1..).zip(self.plain.places()) {
            let back = field(&said, &format!("tried {number} ")).and_then(|text| STANDARD.decode(text).ok());
            let back = Zeroizing::new(back.unwrap_or_default());
            let existing = seen.there.get(&number).map(|bytes| bytes.as_slice());
            self.plain
                .reads(number, &back, &pair.goods, existing)
                .map_err(|why| unreadable(&place.path, &why))?;
        }
        Ok(format!("one {} was written beside the files, read back whole, and removed", pair.from))
    }

    async fn go_back(&self, receipt: &Receipt, now: UnixTime) -> Result<(), Fault> {
        if receipt.before.as_ref().is_none_or(|before| !before.is_usable(now)) {
            return Err(super::files::ended(receipt.before.as_ref()));
        }
        // What comes back out of a receipt is a name of ours, or nothing.
        let name = |key: &str| {
            let text = receipt.undo[key].as_str().unwrap_or_default();
            is_set(text).then_some(text).ok_or_else(|| {
                Fault::new(FaultKind::Invalid, "the receipt is not one of this target").retry(Retry::Never)
            })
        };
        let ask = Ask { op: "back", set: name("installed")?, other: name("before")?, back: Back::Ended };
        let ended = self.ask(&ask, &Vec::new(), None).await?;
        self.judge(&ended)
    }
}

/// The rest of the line that begins so.
fn field(said: &[u8], key: &str) -> Option<String> {
    String::from_utf8_lossy(said).lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
}

/// Is it the name of a set of files? What comes from outside is one of ours, or nothing.
fn is_set(name: &str) -> bool {
    ["gen-", "before-"].iter().any(|kind| name.starts_with(kind))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The generation of a set.
fn generation(set: &str) -> Option<u64> {
    set.strip_prefix("gen-")?.split('-').next()?.parse().ok()
}

/// Files by their numbers.
type Contents = BTreeMap<usize, Zeroizing<Vec<u8>>>;

/// What was seen on the far host.
#[derive(Default)]
struct Seen {
    /// The set that is in force, if it is one of ours.
    force: Option<String>,
    /// What the set that was asked for replaced.
    replaces: Option<String>,
    /// What that was.
    was: Contents,
    /// What is in place.
    there: Contents,
    /// The same of the set that was asked for, if there is one.
    has: Contents,
}

impl Seen {
    /// Can the set be used as it is? One that is not there can be made.
    fn is_usable(&self, plain: &Plain) -> bool {
        self.has.iter().all(|(n, bytes)| plain.fits(*n, bytes))
    }

    /// The certificate that is in place.
    fn leaf(&self, plain: &Plain) -> Option<Vec<u8>> {
        self.there.iter().find_map(|(n, bytes)| plain.leaf(*n, bytes))
    }

    /// The certificate that was there before the set.
    fn before(&self, plain: &Plain) -> Option<Before> {
        let files = if self.replaces.is_some() { &self.was } else { &self.there };
        let leaf = files.iter().find_map(|(n, bytes)| plain.leaf(*n, bytes))?;
        let not_after = Certificate::parse(&leaf).ok()?.not_after()?;
        Some(Before { fingerprint: Fingerprint::of(&leaf).to_string(), not_after: not_after.0 })
    }
}

/// What the script is to do.
struct Ask<'a> {
    op: &'a str,
    set: &'a str,
    /// Another set: the one to go back to, or to note as replaced.
    other: &'a str,
    /// What it is gone back to when the check or the reload fails.
    back: Back,
}

/// What was there before, as a way back.
#[derive(Clone, Copy)]
enum Back {
    /// A certificate that still holds.
    Holds,
    /// One that has ended: never gone back to.
    Ended,
    /// None that could be read: gone back to when the check fails, and not when the reload does.
    Unread,
}

impl Back {
    fn of(before: Option<&Before>, now: i64) -> Self {
        match before {
            Some(before) if before.is_usable(UnixTime(now)) => Self::Holds,
            Some(_) => Self::Ended,
            None => Self::Unread,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Holds => "yes",
            Self::Ended => "no",
            Self::Unread => "check",
        }
    }
}

impl Deployer for Ssh {
    fn places(&self) -> Vec<Location> {
        // A file of another host is no place that can be read from here; `prove` names where it is served.
        Vec::new()
    }

    fn deploy<'a>(&'a self, cx: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move { self.install(&Goods::of(bundle, cx.clock.now())?).await })
    }

    fn roll_back<'a>(&'a self, cx: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.go_back(receipt, cx.clock.now()))
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            let what = format!("ssh to {}", self.settings.host);
            let ask = Ask { op: "rehearse", set: NO_SET, other: "-", back: Back::Ended };
            let asked = self.ask(&ask, &Vec::new(), None).await;
            let reached = match asked.and_then(|ended| self.judge(&ended).map(|()| ended)) {
                Ok(ended) => {
                    let mut said =
                        "it signs in, writes beside the files, and the check passes; nothing was reloaded"
                            .to_owned();
                    let able = String::from_utf8_lossy(&ended.said).into_owned();
                    for line in able.lines().filter_map(|line| line.strip_prefix("able ")) {
                        said.push_str(&format!("; {}", printable(line)));
                    }
                    Check::works(what, said)
                }
                Err(fault) => Check::fails(what, fault.to_string(), fault.hint.clone().unwrap_or_default()),
            };
            std::iter::once(reached).chain(self.plain.passwords()).collect()
        })
    }

    fn try_on<'a>(&'a self, cx: &'a Cx, trial: &'a Trial<'a>) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            let what = format!("a pair as it would be written on {}", self.settings.host);
            let tried = match Pair::of(trial, cx.clock.now()) {
                Ok(pair) => self.try_pair(&pair).await,
                Err(fault) => Err(fault),
            };
            vec![match tried {
                Ok(because) => Check::works(what, because),
                Err(fault) => Check::fails(what, fault.to_string(), fault.hint.clone().unwrap_or_default()),
            }]
        })
    }
}
