//! The notifiers: each carries a `Notice` over one kind of channel.
//!
//! One file and one line in [`NOTIFIERS`] each. Most speak HTTP, and are then a pure function from a notice
//! to a request (`Dress`); `Sender` sends it, so that time limits, statuses and secrets are dealt with
//! in one place. A notifier sends once: when and whether again is decided by the outbox of the engine.

mod address;
mod alertmanager;
mod discord;
mod document;
mod email;
mod exec;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod slack;
mod teams;
mod telegram;
mod template;
mod webhook;

use std::marker::PhantomData;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Notifier};
use notafter_core::notice::Notice;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use document::{ItemDocument, NoticeDocument};
pub(crate) use webhook::{key as signing_key, signatures};

use crate::http::{Client, ClientSettings, Request};
use crate::roots::Roots;
use crate::settings;
use crate::text::Words;

/// Every notifier, by name.
pub const NOTIFIERS: &[NotifierKind] = &[
    kind::<Http<alertmanager::Settings>>(),
    kind::<Http<discord::Settings>>(),
    kind::<email::Settings>(),
    kind::<exec::Settings>(),
    kind::<Http<ntfy::Settings>>(),
    kind::<Http<opsgenie::Settings>>(),
    kind::<Http<pagerduty::Settings>>(),
    kind::<Http<slack::Settings>>(),
    kind::<Http<teams::Settings>>(),
    kind::<Http<telegram::Settings>>(),
    kind::<Http<webhook::Settings>>(),
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static NotifierKind> {
    NOTIFIERS.iter().find(|kind| kind.name == name)
}

/// What every provider is built with.
#[derive(Clone, Debug)]
pub struct BuildCx {
    /// Whom connections trust, before a provider's own `ca_file`.
    pub roots: Roots,
}

/// A notifier, or a sentence for the person who wrote its table.
pub type Built = Result<Box<dyn Notifier>, String>;

/// Checks an address against a table of its kind.
pub type CheckAddress = fn(&Value, Option<&str>) -> Result<(), String>;

/// One kind of notifier.
#[derive(Clone, Copy)]
pub struct NotifierKind {
    /// `kind = "..."` in the file.
    pub name: &'static str,
    /// One line for the reference page.
    pub doc: &'static str,
    /// Is this an address for it? Given its table and what stands behind the colon of `NOTIFIER:ADDRESS`. No secret is
    /// read. A sentence with a hint where it is none.
    pub address: CheckAddress,
    /// Builds one from its table without `name` and `kind`.
    pub build: fn(Value, &BuildCx) -> Built,
    /// What it would send, with every secret covered. Nothing is sent.
    pub preview: fn(Value, &BuildCx, &Outgoing<'_>) -> Result<String, String>,
    /// The JSON schema of its table.
    pub settings: fn() -> Value,
}

/// One message on its way: what a notifier makes its channel's form from.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The address behind the colon of `NOTIFIER:ADDRESS`.
    pub to: Option<&'a str>,
    /// The message.
    pub notice: &'a Notice,
    /// The time of this attempt. What people read is dated by the notice.
    pub now: UnixTime,
}

/// A notifier that can also show what it would send.
trait Channel: Notifier + Sized + 'static {
    /// What would be sent, with every secret covered.
    fn preview(&self, out: &Outgoing<'_>) -> Result<String, Fault>;
}

/// The table of one kind.
trait Table: 'static {
    const NAME: &'static str;
    const DOC: &'static str;
    /// What it becomes.
    type Channel: Channel;

    /// Which addresses it takes.
    const ADDRESS: CheckAddress = address::any;

    /// Its JSON schema.
    fn schema() -> Value;

    /// Checks the settings, reads every secret once, and makes the notifier.
    fn open(table: Value, cx: &BuildCx) -> Result<Self::Channel, String>;
}

const fn kind<T: Table>() -> NotifierKind {
    NotifierKind {
        name: T::NAME,
        doc: T::DOC,
        address: T::ADDRESS,
        build: |table, cx| Ok(Box::new(T::open(table, cx)?)),
        preview: |table, cx, out| T::open(table, cx)?.preview(out).map_err(|fault| told(&fault)),
        settings: T::schema,
    }
}

/// The table of a kind that speaks HTTP, without the settings of the client, which all of them have.
trait HttpTable: DeserializeOwned + JsonSchema + 'static {
    const NAME: &'static str;
    const DOC: &'static str;
    /// What it becomes.
    type Dress: Dress;

    /// Which addresses it takes.
    const ADDRESS: CheckAddress = address::any;

    /// Checks the settings and reads every secret once.
    fn open(self) -> Result<Self::Dress, String>;
}

/// From a notice to a request: all that one HTTP service differs in from another.
trait Dress: Send + Sync + 'static {
    /// Does the service take a summary? One that opens incidents does not: nothing would ever close it.
    const DIGESTS: bool = true;

    /// The request for a message.
    fn request(&self, out: &Outgoing<'_>, words: &Words) -> Result<Request, Fault>;
}

/// A kind's own settings and the client's, in one table.
struct Http<T>(PhantomData<T>);

impl<T: HttpTable> Table for Http<T> {
    const NAME: &'static str = T::NAME;
    const DOC: &'static str = T::DOC;
    type Channel = Sender<T::Dress>;
    const ADDRESS: CheckAddress = T::ADDRESS;

    fn schema() -> Value {
        settings::joined::<T, ClientSettings>()
    }

    fn open(table: Value, cx: &BuildCx) -> Result<Sender<T::Dress>, String> {
        let (own, shared): (T, ClientSettings) = settings::read_joined(table)?;
        let dress = own.open()?;
        Ok(Sender { dress, client: Client::new(&shared, &cx.roots)? })
    }
}

/// A notifier that speaks HTTP.
struct Sender<D> {
    dress: D,
    client: Client,
}

impl<D: Dress> Notifier for Sender<D> {
    fn carries(&self, event: notafter_core::notice::Event) -> bool {
        D::DIGESTS || event != notafter_core::notice::Event::Digest
    }

    fn notify<'a>(
        &'a self,
        cx: &'a Cx,
        to: Option<&'a str>,
        notice: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let now = cx.clock.now();
            let request = self.dress.request(&Outgoing { to, notice, now }, &Words::of(notice))?;
            self.client.send(&request, now).await.map(|_| ())
        })
    }
}

impl<D: Dress> Channel for Sender<D> {
    fn preview(&self, out: &Outgoing<'_>) -> Result<String, Fault> {
        Ok(self.dress.request(out, &Words::of(out.notice))?.preview())
    }
}

/// A fault as a message to whoever asked for a preview.
fn told(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{fault}\nhint: {hint}"),
        None => fault.to_string(),
    }
}

/// A secret that could be read at the start and now cannot.
fn unreadable(why: String) -> Fault {
    let (what, hint) = why.split_once("\nhint: ").unwrap_or((&why, "put the secret back where it was"));
    Fault::new(FaultKind::NotFound, what).hint(hint)
}

/// A message that this channel cannot carry, now or ever.
fn unfit(why: impl Into<String>, hint: &str) -> Fault {
    Fault::new(FaultKind::Invalid, why).retry(Retry::Never).hint(hint)
}

/// Refuses an address where a channel has none.
fn no_address(out: &Outgoing<'_>, kind: &str) -> Result<(), Fault> {
    match out.to {
        None => Ok(()),
        Some(_) => Err(unfit(
            format!("a notifier of kind {kind} takes no address: where it posts is part of its settings"),
            "write NAME, not NAME:ADDRESS, in `notify`; make one [[notifier]] for each place",
        )),
    }
}

/// An id fit for a header, a path or a key: letters, digits and `._-`.
fn token(id: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    id.chars().take(200).map(fit).collect()
}

/// What tells the incidents of one alert from those of others, and of other servers: the alert's id, else the
/// message's, with the server's.
fn incident(notice: &Notice) -> String {
    let id = token(notice.alert.as_deref().unwrap_or(&notice.id));
    if notice.instance.is_empty() { id } else { token(&format!("{id:.150}-{:.40}", notice.instance)) }
}

/// Refuses a digest where every message opens an incident: nothing would ever close it.
fn no_digest(notice: &Notice, kind: &str) -> Result<(), Fault> {
    if notice.event != notafter_core::notice::Event::Digest {
        return Ok(());
    }
    Err(unfit(
        format!("a digest is no incident, and {kind} knows nothing else"),
        "send the weekly digest by mail or to a chat",
    ))
}

/// Base64 (RFC 4648 section 4).
fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
