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

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Notifier};
use notafter_core::notice::Notice;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{BuildCx, Channel, NoticeDocument, Outgoing, Table};
use crate::child::{self, Ended, Order};
use crate::settings::{self, Span};
use crate::text::Words;

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
        let (program, input) = (&self.0.command[0], document.to_json());
        let order = Order {
            program: Path::new(program),
            name: program,
            arguments: &self.0.command[1..],
            input: input.as_bytes(),
            timeout: self.0.timeout.unwrap_or(Span::seconds(30)).0,
            room: child::OUTPUT_MAX,
        };
        judge(program, &child::end_of(&order, variables(&document)).await?)
    }
}

/// What an end means; see the head of this file.
fn judge(program: &str, ended: &Ended) -> Result<(), Fault> {
    let status = ended.status;
    if status.success() {
        return Ok(());
    }
    let fault = |kind| Fault::new(kind, format!("{program}: {status}{}", ended.shown()));
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
