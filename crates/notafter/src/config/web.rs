//! `[server]` as far as the HTTP side is told of it: where it listens, by which names, who may read.

use std::net::SocketAddr;

use super::plan::Sheet;

/// What the HTTP side is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Web {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) behind_proxy: bool,
    pub(crate) open_reads: bool,
    pub(crate) max_series: usize,
    /// Is a service shown to strangers?
    pub(crate) status_public: bool,
}

impl Web {
    /// The keys of the configuration that another one has otherwise: they hold after a restart.
    pub(crate) fn changed(&self, other: &Self) -> Vec<&'static str> {
        let changes = [
            ("listen", self.listen != other.listen),
            ("public_url", self.public_url != other.public_url),
            ("hosts", self.hosts != other.hosts),
            ("behind_proxy", self.behind_proxy != other.behind_proxy),
            ("open_reads", self.open_reads != other.open_reads),
            ("max_series", self.max_series != other.max_series),
            ("public of a [[service]]", self.status_public != other.status_public),
        ];
        changes.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }
}

impl Sheet {
    /// What the HTTP side is told; `listen` from the command line comes before the file's.
    ///
    /// # Errors
    /// An address that is none, or one that would be open to everybody.
    pub(crate) fn web(&self, listen: Option<SocketAddr>) -> Result<Web, String> {
        let server = &self.config.server;
        let given = listen.map(|l| l.to_string());
        let written = server.listen.as_ref();
        let text = given.as_deref().or(written.map(|l| l.get_ref().as_str())).unwrap_or("127.0.0.1:4747");
        let at = written.filter(|_| given.is_none()).map(|l| l.span().start);
        let listen: SocketAddr = text.parse().map_err(|_| {
            let what = format!("listen = \"{text}\" is no address");
            self.wrong(at, format!("{what}\nhint: write 127.0.0.1:4747 or [::1]:4747"))
        })?;
        let public_url = server.public_url.as_ref();
        if let Some(url) = public_url
            && !(url.get_ref().starts_with("https://") || url.get_ref().starts_with("http://"))
        {
            let what = format!("public_url = \"{}\" is no web address", url.get_ref());
            let hint = "hint: write https://certs.example.com";
            return Err(self.wrong(Some(url.span().start), format!("{what}\n{hint}")));
        }
        let public_url = public_url.map(|url| url.get_ref().trim_end_matches('/').to_owned());
        if !listen.ip().is_loopback() {
            let https = public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
            if !https || !server.behind_proxy {
                let what = format!(
                    "listen = \"{text}\" can be reached by others, and the token would travel in the clear\n\
                     hint: set public_url = \"https://...\" and behind_proxy = true with a proxy that speaks https, or \
                     listen on 127.0.0.1"
                );
                return Err(self.wrong(at, what));
            }
        }
        // Behind a proxy, loopback is not "only this machine": whoever reaches the proxy comes from there.
        let only_here = listen.ip().is_loopback()
            && !server.behind_proxy
            && public_url.as_deref().is_none_or(is_on_loopback);
        Ok(Web {
            open_reads: server.open_reads.unwrap_or(only_here),
            status_public: self.config.service.iter().any(|s| s.public),
            listen,
            public_url,
            hosts: server.hosts.clone(),
            behind_proxy: server.behind_proxy,
            max_series: self.config.metrics.max_series.unwrap_or(20_000),
        })
    }
}

/// Does this web address lead to this machine alone?
fn is_on_loopback(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or("");
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
