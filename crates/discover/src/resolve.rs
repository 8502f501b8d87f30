//! Names to addresses: all of them, both families.
//!
//! By default the system answers (hosts file, search domains, whatever nsswitch says); with a resolver
//! given by the user, that one is asked and nothing else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Whom to ask.
pub enum Resolver {
    /// The system.
    System,
    /// This server only.
    Given(Box<TokioResolver>),
}

impl Resolver {
    /// A resolver that asks this server, or the system.
    ///
    /// # Errors
    /// A sentence, when no resolver can be built for the server.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let Some(server) = server else { return Ok(Self::System) };
        let mut udp = ConnectionConfig::udp();
        let mut tcp = ConnectionConfig::tcp();
        udp.port = server.port();
        tcp.port = server.port();
        let servers = vec![NameServerConfig::new(server.ip(), true, vec![udp, tcp])];
        let config = ResolverConfig::from_parts(None, vec![], servers);
        let mut options = ResolverOpts::default();
        options.ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|e| format!("no resolver for {server}: {e}"))?;
        Ok(Self::Given(Box::new(resolver)))
    }

    /// All addresses of a name, IPv4 first, each once, within so much time.
    ///
    /// # Errors
    /// What the resolver said, when there is no address.
    pub async fn addresses(&self, name: &str, patience: Duration) -> Result<Vec<IpAddr>, String> {
        let answer = tokio::time::timeout(patience, self.ask(name)).await;
        let mut found = answer.map_err(|_| "no answer in time from DNS".to_owned())??;
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err("the name has no address".to_owned());
        }
        Ok(found)
    }

    async fn ask(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        Ok(match self {
            Self::System => {
                let answer = tokio::net::lookup_host((name, 0)).await;
                answer.map_err(|e| e.to_string())?.map(|a| a.ip()).collect()
            }
            Self::Given(resolver) => {
                // The dot keeps search domains out.
                let answer = resolver.lookup_ip(format!("{name}.")).await;
                answer.map_err(|e| explain(&e))?.iter().collect()
            }
        })
    }
}

/// What a DNS server said, in words.
fn explain(error: &hickory_resolver::net::NetError) -> String {
    if error.is_nx_domain() {
        "the name does not exist".to_owned()
    } else if error.is_no_records_found() {
        "the name has no address".to_owned()
    } else {
        error.to_string()
    }
}
