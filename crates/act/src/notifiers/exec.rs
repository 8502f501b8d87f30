//! A program of the user's: the notice on its standard input and in its environment.
//!
//! An argument list and never a shell: a name out of a certificate is data in every place it reaches. The
//! environment is made anew, so that no secret of ours is in it. The program runs in a process group of its
//! own, which is killed when the program ends, at the deadline, and when the caller gives up.
//!
//! Exit codes: 0 says that it was carried. 64 (usage), 65 (data), 67 (no such user), 68 (no such host), 77
//! (no permission) and 78 (configuration) of sysexits.h, and 126 and 127 of a shell, say that trying again
//! is in vain. All else, 75 (EX_TEMPFAIL) above all, is tried again: a script that ends with curl's code
//! has mostly met a network that comes back, and a message too many is better than one too few.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Notifier};
use notafter_core::notice::Notice;
use notafter_pki::name::printable;
use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{BuildCx, Channel, NoticeDocument, Outgoing, Table};
use crate::settings::{self, Span};
use crate::text::{Words, cut};

/// How much of the output is kept; the rest is read and dropped, so that the program does not stall.
const OUTPUT_MAX: usize = 64 * 1024;
/// How much of it is shown in a fault.
const SHOWN_MAX: usize = 1000;
/// How long output is waited for once the program and its group are gone: a process that left the group
/// may hold the pipe open for ever.
const AFTERMATH: std::time::Duration = std::time::Duration::from_millis(500);
/// The exit codes after which trying again is in vain.
const IN_VAIN: &[i32] = &[64, 65, 67, 68, 77, 78, 126, 127];

/// `kind = "exec"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The program, by its full path, and its arguments. No shell reads them.
    command: Vec<String>,
    /// How long it may run. Default `30s`.
    timeout: Option<Span>,
}

impl Table for Settings {
    const NAME: &'static str = "exec";
    const DOC: &'static str = "A program: the notice as JSON on its input and as NOTAFTER_ variables.";
    type Channel = Exec;

    fn schema() -> Value {
        settings::schema::<Self>()
    }

    fn open(table: Value, _: &BuildCx) -> Result<Exec, String> {
        let settings: Self = settings::read(table, &Self::schema())?;
        let program = settings.command.first().map(String::as_str).unwrap_or_default();
        if !program.starts_with('/') {
            return Err(format!(
                "`command` begins with `{}`, which is no full path\n\
                 hint: command = [\"/usr/local/bin/tell\", \"argument\"]; it is an argument list, not a shell line",
                program.escape_debug()
            ));
        }
        if !Path::new(program).is_file() {
            return Err(format!(
                "`command`: there is no program {}\nhint: was it moved, or is it on another machine?",
                program.escape_debug()
            ));
        }
        if settings.command.iter().any(|argument| argument.contains('\0')) {
            return Err("`command` has a NUL character in it\nhint: take it out".to_owned());
        }
        Ok(Exec(settings))
    }
}

pub(super) struct Exec(Settings);

impl Notifier for Exec {
    fn notify<'a>(
        &'a self,
        cx: &'a Cx,
        to: Option<&'a str>,
        notice: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move { self.run(&Outgoing { to, notice, now: cx.clock.now() }).await })
    }
}

impl Channel for Exec {
    fn preview(&self, out: &Outgoing<'_>) -> Result<String, Fault> {
        let document = NoticeDocument::of(out, &Words::of(out.notice));
        let mut text = format!("{:?}\n", self.0.command);
        for (name, value) in variables(&document) {
            text.push_str(&format!("{name}={value}\n"));
        }
        let pretty = serde_json::to_string_pretty(&document).unwrap_or_default();
        Ok(format!("{text}\n{pretty}\n"))
    }
}

impl Exec {
    async fn run(&self, out: &Outgoing<'_>) -> Result<(), Fault> {
        let document = NoticeDocument::of(out, &Words::of(out.notice));
        let program = &self.0.command[0];
        let mut command = Command::new(program);
        command
            .args(&self.0.command[1..])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
            .envs(variables(&document))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            Fault::new(FaultKind::NotFound, format!("{program} could not be started: {error}"))
                .hint("is it there, executable, and does its first line name an interpreter that is?")
        })?;
        let group = Group::of(child.id());
        let input = document.to_json();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut said, mut complained) = (Vec::new(), Vec::new());

        let ended = {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A program that does not read its input is not wrong.
                    let _ = stdin.write_all(input.as_bytes()).await;
                }
            };
            let pipes = async { tokio::join!(feed, keep(stdout, &mut said), keep(stderr, &mut complained)) };
            tokio::pin!(pipes);
            let mut drained = false;
            let life = async {
                loop {
                    // Both pipes may be closed long before the program ends, and the other way round.
                    tokio::select! {
                        status = child.wait() => return status,
                        _ = &mut pipes, if !drained => drained = true,
                    }
                }
            };
            let timeout = self.0.timeout.unwrap_or(Span::seconds(30)).0;
            let ended = tokio::time::timeout(timeout, life).await;
            // Whatever the program left running in its group, it does not outlive the message.
            drop(group);
            if !drained {
                let _ = tokio::time::timeout(AFTERMATH, pipes).await;
            }
            ended.map_err(|_| timeout)
        };
        let output = [said, complained].concat();
        match ended {
            Ok(Ok(status)) => judge(program, status, &output),
            Ok(Err(error)) => Err(Fault::new(FaultKind::System, format!("{program}: {error}"))),
            Err(timeout) => {
                // Collects it if it is gone; one that even SIGKILL does not end at once is left to tokio.
                let _ = tokio::time::timeout(AFTERMATH, child.wait()).await;
                let said = shown(&output);
                Err(Fault::new(
                    FaultKind::Unreachable,
                    format!("{program} was not done after {} s and was killed{said}", timeout.as_secs()),
                ))
            }
        }
    }
}

/// What an end means; see the head of this file.
fn judge(program: &str, status: ExitStatus, output: &[u8]) -> Result<(), Fault> {
    if status.success() {
        return Ok(());
    }
    let fault = |kind| Fault::new(kind, format!("{program}: {status}{}", shown(output)));
    match status.code() {
        Some(code) if IN_VAIN.contains(&code) => Err(fault(FaultKind::Refused).retry(Retry::Never)),
        _ => Err(fault(FaultKind::Unreachable).retry(Retry::Backoff)),
    }
}

/// The environment of the program, besides PATH, HOME and LANG.
fn variables(document: &NoticeDocument) -> [(&'static str, String); 16] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        ("NOTAFTER_ID", document.id.clone()),
        ("NOTAFTER_EVENT", document.event.to_owned()),
        ("NOTAFTER_SEVERITY", document.severity.to_owned()),
        ("NOTAFTER_ALERT", text(&document.alert)),
        ("NOTAFTER_INSTANCE", document.instance.clone()),
        ("NOTAFTER_OWNER", document.owner.clone()),
        ("NOTAFTER_TO", text(&document.to)),
        ("NOTAFTER_SUBJECT", document.subject.clone()),
        ("NOTAFTER_TITLE", document.title.clone()),
        ("NOTAFTER_TEXT", document.text.clone()),
        ("NOTAFTER_HINT", document.hint.clone()),
        ("NOTAFTER_DEADLINE", text(&document.deadline)),
        ("NOTAFTER_DAYS_LEFT", document.days_left.map(|d| d.to_string()).unwrap_or_default()),
        ("NOTAFTER_ACKNOWLEDGE_URL", text(&document.acknowledge_url)),
        ("NOTAFTER_ACKNOWLEDGE_COMMAND", text(&document.acknowledge_command)),
        ("NOTAFTER_PAGE_URL", text(&document.page_url)),
    ]
}

/// Reads a pipe to its end and keeps the beginning.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = (OUTPUT_MAX / 2).saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
}

/// The output, for a fault.
fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        String::new()
    } else {
        cut(&format!(": {}", printable(&lines.join(" / "))), SHOWN_MAX)
    }
}

/// A process group, killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already in the usual case. Its number cannot have been given to others yet: the kernel
            // hands out all others first, and a group keeps its own while anybody is in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
