//! Mail by SMTP (RFC 5321) through a relay: one message, plain text and HTML, to all its recipients.
//!
//! This file is the settings and the conversation; what is said is in [`letter`], what lies under it in [`wire`]. Each recipient is offered
//! alone within one conversation, so that one address that is unknown does not keep the message from the
//! others. It does not sign with DKIM (the relay does), reads no bounces, and keeps no connection.

mod html;
mod letter;
mod wire;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::joints::{BoxFuture, Cx, Notifier};
use notafter_core::notice::Notice;
use notafter_pki::name::{is_deceptive, printable};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{BuildCx, Channel, Outgoing, Table, base64, unfit, unreadable};
use crate::roots::Roots;
use crate::secret::{Cover, Secret};
use crate::settings::{self, Span};
use crate::text::{Words, clean};

/// More recipients than an owner has; a pasted list of customers is not one.
const RECIPIENTS_MAX: usize = 50;
/// So many half-delivered messages are remembered.
const TOOK_MAX: usize = 200;
/// What the closing QUIT may take: the message is taken over already.
const QUIT: Duration = Duration::from_secs(2);

/// How the conversation is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Tls {
    /// STARTTLS (RFC 3207), and never a word without it. Port 587 unless another is given.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314). Port 465 unless another is given.
    #[serde(rename = "tls")]
    Direct,
    /// None: for a relay on this host or a wire that is trusted. Port 25 unless another is given.
    None,
}

/// `kind = "email"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The relay: `host:port`.
    server: String,
    /// `starttls`, `tls` or `none`. Default `starttls`.
    #[serde(default)]
    tls: Tls,
    /// Whom mails are from: `notafter@example.com` or `Notafter <notafter@example.com>`.
    from: String,
    /// Whom to write to when `notify` names nobody.
    #[serde(default)]
    to: Vec<String>,
    /// The user to sign in as.
    user: Option<String>,
    /// The user's password.
    password: Option<Secret>,
    /// A PEM file with further CA certificates to trust, for a relay behind a private CA.
    ca_file: Option<PathBuf>,
    /// The name this host greets with. Default: the host's own.
    helo_name: Option<String>,
    /// How long the whole conversation may take. Default `30s`.
    timeout: Option<Span>,
}

impl Table for Settings {
    const NAME: &'static str = "email";
    const DOC: &'static str = "Mail through an SMTP relay. The address is one or several mail addresses.";
    type Channel = Email;
    const ADDRESS: super::CheckAddress = address;

    fn schema() -> Value {
        settings::schema::<Self>()
    }

    fn open(table: Value, cx: &BuildCx) -> Result<Email, String> {
        settings::read::<Self>(table, &Self::schema())?.relay(cx)
    }
}

impl Settings {
    fn relay(self, cx: &BuildCx) -> Result<Email, String> {
        let (host, port) = self.host_and_port()?;
        if self.user.is_some() != self.password.is_some() {
            return Err("`user` and `password` belong together\nhint: set both, or neither".to_owned());
        }
        let is_loopback =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if self.tls == Tls::None && self.password.is_some() && !is_loopback {
            return Err(format!(
                "with tls = \"none\" the password would go to {host} for everybody on the way to read\n\
                 hint: use tls = \"starttls\" or \"tls\"; without TLS only a relay on this host may have it"
            ));
        }
        if let Some(password) = &self.password {
            password.read()?;
        }
        let from = mailbox(&self.from).map_err(|why| format!("`from`: {why}"))?;
        let to = mailboxes(&self.to.join(",")).map_err(|why| format!("`to`: {why}"))?;
        let own = self.ca_file.as_deref().map(|path| cx.roots.and_file(path)).transpose()?;
        let roots = own.as_ref().unwrap_or(&cx.roots);
        let security = match self.tls {
            Tls::None => Security::None,
            Tls::Direct => Security::Direct(Arc::new(roots.client_config()?)),
            Tls::Starttls => Security::Starttls(starttls(&host, roots)?),
        };
        let hello = self.hello()?;
        let timeout = self.timeout.unwrap_or(Span::seconds(30)).0;
        let (user, password, took) = (self.user, self.password, Mutex::default());
        Ok(Email { host, port, security, hello, from, to, timeout, user, password, took })
    }

    fn host_and_port(&self) -> Result<(String, u16), String> {
        let wrong = || {
            format!(
                "`server` {} is no mail server\nhint: server = \"smtp.example.com:587\"",
                self.server.escape_debug()
            )
        };
        let own = match self.tls {
            Tls::Starttls => 587,
            Tls::Direct => 465,
            Tls::None => 25,
        };
        let (host, port) = match self.server.rsplit_once(':') {
            // An IPv6 address needs its brackets.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (self.server.as_str(), own),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
        if is_host { Ok((host.to_owned(), port)) } else { Err(wrong()) }
    }

    /// The name for EHLO (RFC 5321 section 4.1.1.1): relays refuse those that are none.
    fn hello(&self) -> Result<ClientId, String> {
        let is_name = |name: &str| {
            (1..=255).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
        };
        if let Some(name) = &self.helo_name {
            return if is_name(name) {
                Ok(ClientId::Domain(name.clone()))
            } else {
                Err(format!(
                    "`helo_name` {} is no host name\nhint: letters, digits, - and dots",
                    name.escape_debug()
                ))
            };
        }
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(if is_name(own.trim()) { ClientId::Domain(own.trim().to_owned()) } else { ClientId::default() })
    }
}

/// What lettre needs to go on in TLS.
fn starttls(host: &str, roots: &Roots) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for root in roots.certificates() {
        let root = Certificate::from_der(root.to_vec()).map_err(|e| format!("a root is unusable: {e}"))?;
        builder = builder.add_root_certificate(root);
    }
    builder.build_rustls().map_err(|e| format!("no TLS for {host}: {e}"))
}

/// [`Tls`] with all that it takes.
enum Security {
    None,
    Direct(Arc<rustls::ClientConfig>),
    Starttls(TlsParameters),
}

/// A relay, ready to be spoken to.
pub(super) struct Email {
    host: String,
    port: u16,
    security: Security,
    hello: ClientId,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
    user: Option<String>,
    password: Option<Secret>,
    /// Of the last messages that not all took: who did. They are not sent it again with the next attempt.
    took: Mutex<VecDeque<(String, Vec<Address>)>>,
}

impl Notifier for Email {
    fn notify<'a>(
        &'a self,
        _: &'a Cx,
        to: Option<&'a str>,
        notice: &'a Notice,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let to = self.recipients(to)?;
            let mail = letter::compose(&self.from, &to, notice, &Words::of(notice))?;
            let took = self.took(&notice.id);
            let left: Vec<Mailbox> = to.into_iter().filter(|m| !took.contains(&m.email)).collect();
            if left.is_empty() {
                return Ok(());
            }
            let stage = Mutex::new("connecting");
            match tokio::time::timeout(self.timeout, self.converse(&left, &mail, &stage)).await {
                Ok(Ok(refused)) => {
                    let took = left.iter().filter(|m| refused.iter().all(|(address, _)| *address != m.email));
                    self.note(&notice.id, took.map(|m| m.email.clone()).collect(), refused.is_empty());
                    let faults = refused.into_iter().map(|(_, fault)| fault).collect();
                    joined(faults, left.len()).map_or(Ok(()), Err)
                }
                Ok(Err(fault)) => Err(fault),
                Err(_) => {
                    let stage = stage.lock().map(|s| *s).unwrap_or("speaking");
                    Err(Fault::new(
                        FaultKind::Unreachable,
                        format!(
                            "{} was not done within {} s, at {stage}",
                            self.name(),
                            self.timeout.as_secs()
                        ),
                    ))
                }
            }
        })
    }
}

impl Channel for Email {
    fn preview(&self, out: &Outgoing<'_>) -> Result<String, Fault> {
        let to = self.recipients(out.to)?;
        let mail = letter::compose(&self.from, &to, out.notice, &Words::of(out.notice))?;
        Ok(String::from_utf8_lossy(&mail).replace("\r\n", "\n"))
    }
}

impl Email {
    fn name(&self) -> String {
        format!("the mail server {}:{}", self.host, self.port)
    }

    fn recipients(&self, to: Option<&str>) -> Result<Vec<Mailbox>, Fault> {
        let to = match to {
            None => self.to.clone(),
            Some(list) => mailboxes(list).map_err(|why| {
                unfit(why, "write NAME:a@example.com, or several with commas between them, in `notify`")
            })?,
        };
        if to.is_empty() {
            return Err(unfit(
                "there is nobody to write to",
                "set `to` in the [[notifier]], or write NAME:a@example.com in `notify`",
            ));
        }
        Ok(to)
    }

    fn took(&self, id: &str) -> Vec<Address> {
        let known = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(known, _)| known == id).flat_map(|(_, who)| who.clone()).collect()
    }

    fn note(&self, id: &str, who: Vec<Address>, all: bool) {
        let mut known = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        if all {
            known.retain(|(known, _)| known != id);
        } else {
            known.push_back((id.to_owned(), who));
            if known.len() > TOOK_MAX {
                known.pop_front();
            }
        }
    }

    /// The whole conversation: who was refused, and why. `stage` says where it stands, for whoever loses patience.
    async fn converse(
        &self,
        to: &[Mailbox],
        mail: &[u8],
        stage: &Mutex<&'static str>,
    ) -> Result<Vec<(Address, Fault)>, Fault> {
        // Called before each step, and its result after: it says where we stand, then what went wrong there.
        let enter = |name: &'static str| {
            if let Ok(mut stage) = stage.lock() {
                *stage = name;
            }
            move |error: lettre::transport::smtp::Error| self.fault(name, &error)
        };
        let direct = match &self.security {
            Security::Direct(config) => Some(Arc::clone(config)),
            Security::None | Security::Starttls(_) => None,
        };
        let stream = wire::connect(&self.host, self.port, direct)
            .await
            .map_err(|error| self.broken("connecting", &error.to_string()))?;
        let failed = enter("the greeting");
        let mut smtp =
            AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(failed)?;
        if let Security::Starttls(tls) = &self.security {
            if !smtp.can_starttls() {
                return Err(Fault::new(FaultKind::Refused, format!("{} offers no STARTTLS", self.name()))
                    .retry(Retry::Backoff)
                    .hint("tls = \"tls\" for port 465; tls = \"none\" only where the wire is trusted"));
            }
            let failed = enter("STARTTLS");
            smtp.starttls(tls.clone(), &self.hello).await.map_err(failed)?;
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let password = password.read().map_err(unreadable)?;
            let credentials = Credentials::new(user.clone(), password.to_string());
            // A server may repeat what it was told.
            let mut cover = Cover::default();
            cover.add(&password);
            cover.add(&base64(&password));
            cover.add(&base64(&format!("\0{user}\0{}", *password)));
            let failed = enter("AUTH");
            let signed_in = smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            signed_in.map_err(failed).map_err(|fault| {
                let context = cover.mask(&fault.context);
                Fault { context, ..fault }
            })?;
        }
        let is_ascii = to.iter().chain([&self.from]).all(|m| m.email.to_string().is_ascii());
        let options = match (is_ascii, smtp.server_info().supports_feature(Extension::SmtpUtfEight)) {
            (true, _) => Vec::new(),
            (false, true) => vec![MailParameter::SmtpUtfEight],
            (false, false) => {
                return Err(unfit(
                    format!("{} takes no addresses with letters beyond ASCII (RFC 6531)", self.name()),
                    "use an address in ASCII",
                ));
            }
        };
        let from = Some(self.from.email.clone());
        let failed = enter("MAIL FROM");
        smtp.command(Mail::new(from, options)).await.map_err(failed)?;
        let mut refused = Vec::new();
        for mailbox in to {
            let failed = enter("RCPT TO");
            match smtp.command(Rcpt::new(mailbox.email.clone(), Vec::new())).await {
                Ok(_) => {}
                Err(error) if error.status().is_some() => {
                    refused.push((mailbox.email.clone(), self.refused(&mailbox.email, &error)));
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if refused.len() < to.len() {
            let failed = enter("DATA");
            smtp.command(Data).await.map_err(failed)?;
            let failed = enter("the end of the message");
            smtp.message(mail).await.map_err(failed)?;
        }
        let _ = tokio::time::timeout(QUIT, smtp.quit()).await;
        Ok(refused)
    }

    fn refused(&self, recipient: &Address, error: &lettre::transport::smtp::Error) -> Fault {
        let fault = self.fault("RCPT TO", error);
        Fault { context: format!("{}, for {}", fault.context, printable(recipient.as_ref())), ..fault }
    }

    /// What a reply or a broken connection means (RFC 5321 section 4.2.1).
    fn fault(&self, stage: &str, error: &lettre::transport::smtp::Error) -> Fault {
        let said = clean(&error.to_string(), 300);
        let code = error.status().map(u16::from);
        let context = format!("{} at {stage}: {said}", self.name());
        match code {
            // RFC 4954 section 6. A wrong password that is tried again and again locks the account.
            Some(530 | 534 | 535 | 538) => Fault::new(FaultKind::Refused, context)
                .retry(Retry::Never)
                .hint("the relay wants a user and password, and those it got are not right"),
            Some(500..=599) => {
                let fault = Fault::new(FaultKind::Refused, context).retry(Retry::Never);
                match stage {
                    "RCPT TO" => {
                        fault.hint("the address is unknown there, or the relay serves only those who sign in")
                    }
                    "MAIL FROM" => fault.hint("the relay does not take mail from this `from`"),
                    _ => fault,
                }
            }
            // Greylisting and the like.
            Some(_) => Fault::new(FaultKind::Unreachable, context),
            None if stage == "AUTH" && error.is_client() => Fault::new(FaultKind::Refused, context)
                .retry(Retry::Never)
                .hint("the relay offers neither AUTH PLAIN nor LOGIN here"),
            None => self.broken(stage, &said),
        }
    }

    /// A connection that was not made, or broke.
    fn broken(&self, stage: &str, said: &str) -> Fault {
        let said = clean(said, 300);
        let fault = Fault::new(FaultKind::Unreachable, format!("{} at {stage}: {said}", self.name()));
        if said.contains("certificate") {
            return fault.hint("a relay behind a private CA needs the setting `ca_file`");
        }
        fault
    }
}

/// The faults of single recipients as one. It is tried again only while that helps one of them.
fn joined(refused: Vec<Fault>, of: usize) -> Option<Fault> {
    let count = refused.len();
    let later = refused.iter().position(|fault| fault.retry != Retry::Never);
    let mut all = refused;
    let mut fault = if all.is_empty() { return None } else { all.swap_remove(later.unwrap_or(0)) };
    if of > 1 {
        fault.context = format!("{count} of {of} recipients were refused; {}", fault.context);
    }
    Some(fault)
}

/// One address, with or without a name.
fn mailbox(text: &str) -> Result<Mailbox, String> {
    let shown = clean(text, 100);
    if text.len() > 320 || text.chars().any(is_deceptive) {
        return Err(format!("`{shown}` is no mail address"));
    }
    text.trim().parse().map_err(|_| format!("`{shown}` is no mail address"))
}

/// Is every part between commas a mail address? An empty one is most likely one that was forgotten.
fn address(table: &Value, to: Option<&str>) -> Result<(), String> {
    const HINT: &str = "write NAME:a@example.com, or several with commas between them, in `notify`";
    let Some(list) = to else {
        let has_to = table.get("to").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let nobody =
            "there is nobody to write to\nhint: set `to` in the [[notifier]], or write NAME:a@example.com";
        return if has_to { Ok(()) } else { Err(nobody.to_owned()) };
    };
    for part in list.split(',') {
        mailbox(part).map_err(|why| format!("{why}\nhint: {HINT}"))?;
    }
    mailboxes(list).map(|_| ()).map_err(|why| format!("{why}\nhint: {HINT}"))
}

/// Several, with commas between them.
fn mailboxes(list: &str) -> Result<Vec<Mailbox>, String> {
    let parts: Vec<&str> = list.split(',').filter(|part| !part.trim().is_empty()).collect();
    if parts.len() > RECIPIENTS_MAX {
        return Err(format!("more than {RECIPIENTS_MAX} recipients"));
    }
    parts.into_iter().map(mailbox).collect()
}
