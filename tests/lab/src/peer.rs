//! The independent judge: what a server really serves, according to the `openssl` program.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::relay::Relay;
use crate::server::{Endpoint, Starttls};
use crate::{base64, program};

/// What was seen in one handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// SHA-256 of the leaf's DER, in lower hex.
    pub sha256: String,
    /// The leaf's serial number, in lower hex.
    pub serial: String,
    /// The DER of every certificate, in the order they were sent.
    pub chain: Vec<Vec<u8>>,
    /// The protocol, such as `TLSv1.3`; empty where the handshake was not finished.
    pub protocol: String,
}

/// How long one handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The leaf an endpoint serves to a client that asks for `srv.test`.
///
/// # Errors
/// When no certificate was served; the text says what the peer saw instead.
pub fn served(endpoint: &Endpoint) -> Result<Served, String> {
    served_to(endpoint, Some("srv.test"), &[])
}

/// The leaf an endpoint serves to a client that asks for this name, with more arguments for `openssl s_client`.
///
/// # Errors
/// When no certificate was served.
pub fn served_to(endpoint: &Endpoint, name: Option<&str>, arguments: &[&str]) -> Result<Served, String> {
    // s_client knows neither of these prefaces, so a relay has it first.
    let relay = match endpoint.starttls {
        Starttls::Rdp => Some(Relay::to_rdp(endpoint.address)),
        Starttls::Nats => Some(Relay::to_nats(endpoint.address)),
        _ => None,
    };
    let relay = relay.transpose().map_err(|error| error.to_string())?;
    let address: SocketAddr = relay.as_ref().map_or(endpoint.address, Relay::address);

    let mut command = Command::new("openssl");
    command.args(["s_client", "-showcerts", "-connect", &address.to_string()]);
    // Weak keys and digests are part of the tests, so the judge accepts them.
    command.args(["-cipher", "ALL:@SECLEVEL=0"]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    if let Some(word) = starttls_word(endpoint.starttls) {
        command.args(["-starttls", word]);
        if matches!(endpoint.starttls, Starttls::Xmpp | Starttls::XmppServer) {
            command.args(["-xmpphost", name.unwrap_or("srv.test")]);
        }
    }
    command.args(arguments);
    let ran = program::finish(&mut command, b"", PATIENCE).map_err(|error| error.why)?;
    let text = ran.text();
    let chain = base64::blocks(&text, "CERTIFICATE");
    let Some(leaf) = chain.first() else {
        return Err(format!("no certificate was served\n{}", program::tail(&ran.all())));
    };

    let mut command = Command::new("openssl");
    command.args(["x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256", "-serial"]);
    let facts = program::feed(&mut command, leaf).map_err(|error| error.to_string())?.text();
    let fact = |name: &str| {
        let line = facts.lines().find(|line| line.to_lowercase().starts_with(name)).unwrap_or_default();
        line.rsplit('=').next().unwrap_or_default().replace(':', "").to_lowercase()
    };
    let protocol = text.lines().find_map(|line| line.strip_prefix("New, ")?.split(',').next());
    let protocol = protocol.filter(|name| name.starts_with("TLS")).unwrap_or_default().to_owned();
    Ok(Served { sha256: fact("sha256"), serial: fact("serial"), chain, protocol })
}

/// What `openssl s_client -starttls` calls a protocol.
fn starttls_word(starttls: Starttls) -> Option<&'static str> {
    Some(match starttls {
        Starttls::Direct | Starttls::Rdp | Starttls::Nats => return None,
        Starttls::Smtp => "smtp",
        Starttls::Imap => "imap",
        Starttls::Pop3 => "pop3",
        Starttls::Ftp => "ftp",
        Starttls::Xmpp => "xmpp",
        Starttls::XmppServer => "xmpp-server",
        Starttls::Lmtp => "lmtp",
        Starttls::Sieve => "sieve",
        Starttls::Nntp => "nntp",
        Starttls::Ldap => "ldap",
        Starttls::Irc => "irc",
        Starttls::Postgres => "postgres",
        Starttls::Mysql => "mysql",
    })
}
