//! pebble: an ACME CA that validates for real, with the DNS server that its package brings.
//!
//! Debian 12's is too old (no ARI, no profiles, no DNS server): `xtask` unpacks a newer one beside the system. Every
//! name leads to 127.0.0.1 there, so that a validation reaches whatever a test put on [`Pebble::http_port`] or
//! [`Pebble::tls_port`]. All its state ends with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::material::write;
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Authority, Lab, NotRun, Port, Request, Server, program};

/// What this pebble shall be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many of a hundred good nonces it refuses.
    pub nonce_reject: u32,
    /// How many of a hundred valid authorizations it uses again.
    pub authz_reuse: u32,
    /// The key id and the base64url key of external account bindings, where it asks for one.
    pub eab: Option<(String, String)>,
    /// Intermediates in its chains.
    pub chain_length: u32,
    /// Further roots, each with a chain of its own.
    pub alternate_roots: u32,
    /// The profiles it offers, with the lifetime of their certificates in seconds. With several it takes any one for an
    /// order that names none.
    pub profiles: Vec<(String, u64)>,
    /// Names it issues nothing for.
    pub blocked: Vec<String>,
    /// The name server it asks, instead of the one that says that every name is here.
    pub resolver: Option<SocketAddr>,
    /// It waits up to so many seconds before it validates.
    pub pause: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nonce_reject: 0,
            authz_reuse: 0,
            eab: None,
            chain_length: 1,
            alternate_roots: 0,
            profiles: vec![("default".to_owned(), 90 * 86_400)],
            blocked: vec!["blocked.test".to_owned()],
            resolver: None,
            pause: 0,
        }
    }
}

/// A running pebble and its DNS server. Dropping it ends both.
#[derive(Debug)]
pub struct Pebble {
    /// The CA.
    server: Server,
    /// Its resolver.
    dns: Server,
    /// The root behind its own HTTPS certificate.
    ca_file: PathBuf,
    /// Where it validates http-01.
    http: Port,
    /// Where it validates tls-alpn-01.
    tls: Port,
}

/// Starts one.
///
/// # Errors
/// When it is not there or does not start.
pub fn start(lab: &Lab, options: &Options) -> Result<Pebble, NotRun> {
    let dns = server::start(lab, "pebble-challtestsrv", 2, |_, ports| {
        let mut command = Command::new(program::newer("pebble", "/usr/bin/pebble-challtestsrv")?);
        // An IPv6 address for every name would be tried first, and nobody listens there.
        command.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]);
        command.args(["-management", &ports[0].local().to_string()]);
        command.args(["-dnsserver", &ports[1].local().to_string()]);
        let endpoints =
            vec![local("management", &ports[0], Starttls::Direct), local("dns", &ports[1], Starttls::Direct)];
        Ok(Recipe::new(command, endpoints, Reload::Itself))
    })?;
    let authority = Authority::new(lab);
    let leaf = authority.issue(&Request::server());
    let (http, tls) = (Port::free(), Port::free());
    let resolver = options.resolver.unwrap_or(dns.endpoint("dns").address).to_string();
    let server = server::start(lab, "pebble", 2, |folder, ports| {
        let program = program::newer("pebble", "/usr/bin/pebble-challtestsrv")?.with_file_name("pebble");
        leaf.install(&folder.join("tls"), None).map_err(|error| NotRun::new("pebble", error.to_string()))?;
        let config = folder.join("pebble.json");
        write(&config, configuration(folder, options, ports, &http, &tls));
        let mut command = Command::new(program);
        command.arg("-config").arg(&config).args(["-dnsserver", &resolver]);
        match options.pause {
            0 => command.env("PEBBLE_VA_NOSLEEP", "1"),
            pause => command.env("PEBBLE_VA_SLEEPTIME", pause.to_string()),
        };
        command.env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject.to_string());
        command.env("PEBBLE_AUTHZREUSE", options.authz_reuse.to_string());
        command.env("PEBBLE_CHAIN_LENGTH", options.chain_length.to_string());
        command.env("PEBBLE_ALTERNATE_ROOTS", options.alternate_roots.to_string());
        let endpoints = vec![
            local("acme", &ports[0], Starttls::Direct),
            local("management", &ports[1], Starttls::Direct),
        ];
        Ok(Recipe::new(command, endpoints, Reload::Itself))
    })?;
    Ok(Pebble { server, dns, ca_file: leaf.root_pem.clone(), http, tls })
}

/// Its configuration file.
fn configuration(folder: &Path, options: &Options, ports: &[Port], http: &Port, tls: &Port) -> String {
    let quoted = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>().join(",");
    let profile = |(name, seconds): &(String, u64)| {
        format!("\"{name}\":{{\"description\":\"{seconds} seconds\",\"validityPeriod\":{seconds}}}")
    };
    let keys = options.eab.iter().map(|(kid, key)| format!("\"{kid}\":\"{key}\""));
    format!(
        "{{\"pebble\":{{\"listenAddress\":\"{}\",\"managementListenAddress\":\"{}\",\
         \"certificate\":\"{folder}/tls/fullchain.pem\",\"privateKey\":\"{folder}/tls/key.pem\",\
         \"httpPort\":{},\"tlsPort\":{},\"ocspResponderURL\":\"\",\
         \"externalAccountBindingRequired\":{},\"externalAccountMACKeys\":{{{}}},\
         \"retryAfter\":{{\"authz\":1,\"order\":1}},\"keyAlgorithm\":\"ecdsa\",\
         \"domainBlocklist\":[{}],\"profiles\":{{{}}}}}}}",
        ports[0].local(),
        ports[1].local(),
        http.number(),
        tls.number(),
        options.eab.is_some(),
        quoted(&mut keys.into_iter()),
        quoted(&mut options.blocked.iter().map(|name| format!("\"{name}\""))),
        quoted(&mut options.profiles.iter().map(profile)),
        folder = folder.display(),
    )
}

impl Pebble {
    /// The address of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.server.address().port())
    }

    /// The root behind its own HTTPS certificate (PEM).
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The port at which it validates http-01.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.http.number()
    }

    /// The port at which it validates tls-alpn-01.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.tls.number()
    }

    /// The DNS server it asks.
    #[must_use]
    pub fn dns(&self) -> &Server {
        &self.dns
    }

    /// Everything it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// How many certificates it issued.
    #[must_use]
    pub fn issued(&self) -> usize {
        self.log().matches("Issued certificate serial").count()
    }

    /// Asks its management interface, and gives the body of the answer.
    ///
    /// # Errors
    /// When it does not answer with a success.
    pub fn manage(&self, method: &str, path: &str, body: &str) -> Result<String, NotRun> {
        let address = self.server.endpoint("management").address.to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-ign_eof", "-connect", &address]);
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: lab\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let ran = program::finish(&mut command, request.as_bytes(), Duration::from_secs(20))?;
        let text = ran.text();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        match head.split_whitespace().nth(1) {
            Some("200") => Ok(body.to_owned()),
            _ => Err(NotRun::new("pebble", format!("{method} {path}: {text}"))),
        }
    }

    /// Ends the CA for good. Its DNS server goes on.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Ends it and starts it again with nothing kept: no account, no order, another root.
    ///
    /// # Errors
    /// When it does not start again.
    pub fn forget_everything(&mut self) -> Result<(), NotRun> {
        self.server.restart()
    }
}
