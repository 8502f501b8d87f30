//! nginx: TLS 1.2 and 1.3, several names and certificates, client certificates, several addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::{command, configure, install};
use crate::ports::Port;
use crate::server::{self, Endpoint, Recipe, Reload, Starttls};
use crate::{Lab, Leaf, NotRun, Server, program};

/// What a client gets that asks for a name no virtual host has, or for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// The server's own certificate.
    #[default]
    Default,
    /// A refused handshake (`ssl_reject_handshake`).
    Reject,
}

/// What this nginx shall be like.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Offers TLS 1.3 and nothing older.
    pub only_tls13: bool,
    /// Offers TLS 1.2 and nothing newer.
    pub only_tls12: bool,
    /// More virtual hosts: the names of one, separated by spaces, and its certificate. The first one's files lie in
    /// the folder `vhost-0`, and so on.
    pub vhosts: Vec<(String, Leaf)>,
    /// Addresses that serve a certificate of their own, on the same port. The first one's files lie in the folder
    /// `address-0`, and so on.
    pub by_address: Vec<(Ipv4Addr, Leaf)>,
    /// What happens to unknown names. When they are rejected, the main certificate still serves `srv.test`.
    pub unknown: Unknown,
    /// A second certificate of the default host, with another kind of key; its files lie in `second`.
    pub second: Option<Leaf>,
    /// Asks for a client certificate of these authorities, and serves no page without one.
    pub client_authorities: Option<PathBuf>,
    /// The addresses to listen on, each on the same port; 127.0.0.1 where none is given.
    pub addresses: Vec<Ipv4Addr>,
}

/// Starts an nginx that serves one certificate to everybody.
///
/// # Errors
/// When nginx is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    start_with(lab, leaf, &Options::default())
}

/// Starts an nginx with options.
///
/// # Errors
/// When nginx is not installed or does not start.
pub fn start_with(lab: &Lab, leaf: &Leaf, options: &Options) -> Result<Server, NotRun> {
    server::start(lab, "nginx", 1, |folder, ports| write(folder, &ports[0], leaf, options))
}

/// Writes the configuration.
fn write(folder: &Path, port: &Port, leaf: &Leaf, options: &Options) -> Result<Recipe, NotRun> {
    let mut nginx = command("nginx")?;
    install("nginx", folder, leaf, None)?;

    let mut addresses = options.addresses.clone();
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST);
    }
    let listen = |extra: &str| -> String {
        addresses
            .iter()
            .map(|address| format!("    listen {address}:{} ssl{extra};\n", port.number()))
            .collect()
    };
    let pair = |place: &str| {
        let files = folder.join(place);
        format!(
            "    ssl_certificate {0}/fullchain.pem;\n    ssl_certificate_key {0}/key.pem;\n",
            files.display()
        )
    };

    let mut hosts = String::new();
    let rejects = options.unknown == Unknown::Reject;
    if rejects {
        hosts += &format!("  server {{\n{}    ssl_reject_handshake on;\n  }}\n", listen(" default_server"));
    }
    let mut files = pair("tls");
    if let Some(second) = &options.second {
        place(folder, "second", second)?;
        files += &pair("second");
    }
    if let Some(authorities) = &options.client_authorities {
        files +=
            &format!("    ssl_verify_client on;\n    ssl_client_certificate {};\n", authorities.display());
    }
    let extra = if rejects { "" } else { " default_server" };
    hosts += &format!("  server {{\n{}    server_name srv.test localhost;\n{files}  }}\n", listen(extra));
    for (number, (names, leaf)) in options.vhosts.iter().enumerate() {
        let name = format!("vhost-{number}");
        place(folder, &name, leaf)?;
        hosts += &format!("  server {{\n{}    server_name {names};\n{}  }}\n", listen(""), pair(&name));
    }

    for (number, (address, leaf)) in options.by_address.iter().enumerate() {
        let name = format!("address-{number}");
        place(folder, &name, leaf)?;
        let listen = format!("    listen {address}:{} ssl;\n", port.number());
        hosts += &format!("  server {{\n{listen}{}  }}\n", pair(&name));
    }

    let protocols = match (options.only_tls12, options.only_tls13) {
        (true, false) => "TLSv1.2",
        (false, true) => "TLSv1.3",
        _ => "TLSv1.2 TLSv1.3",
    };
    // A worker of root's nginx would otherwise run as an account that cannot enter the folder.
    let user = if program::is_root() { "user root;" } else { "" };
    configure(
        folder,
        "nginx.conf",
        TEMPLATE,
        &[("USER", user.to_owned()), ("PROTOCOLS", protocols.to_owned()), ("HOSTS", hosts)],
    );
    nginx.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "stderr"]);
    let endpoints = addresses
        .into_iter()
        .chain(options.by_address.iter().map(|(address, _)| *address))
        .map(|address| Endpoint {
            name: "https",
            address: SocketAddr::new(IpAddr::V4(address), port.number()),
            starttls: Starttls::Direct,
        })
        .collect();
    Ok(Recipe::new(nginx, endpoints, Reload::Signal("HUP")))
}

/// Puts a further certificate into a folder of its own.
fn place(folder: &Path, name: &str, leaf: &Leaf) -> Result<(), NotRun> {
    leaf.install(&folder.join(name), None).map_err(|error| NotRun::new("nginx", error.to_string()))
}

/// The configuration around the hosts. Security level 0 lets the tests serve weak keys too.
const TEMPLATE: &str = "daemon off;
pid nginx.pid;
error_log stderr;
worker_processes 1;
@USER@
events { worker_connections 4096; }
http {
  access_log off;
  server_names_hash_bucket_size 128;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ssl_protocols @PROTOCOLS@;
  ssl_ciphers DEFAULT:@SECLEVEL=0;
@HOSTS@}
";
