//! Looking at a challenge as a CA would: at what the name resolves to, on the port of the method, through redirects.
//!
//! A CA takes one address of the name, of IPv6 where there is one: so each has to show it. Addresses that this machine has no
//! route to say nothing.
//!
//! Certificates on the way are not judged, because no CA judges them there: what proves control is the answer alone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::Identifier;
use notafter_pki::name::printable;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::stand::ACME_TLS;
use super::tokens::PLACE;
use crate::http::{chain, shown};
use crate::issuers::acme::guard::{is_inward, literal};
use crate::text::cut;

/// How long one look may take; CAs wait ten seconds, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// As CAs follow (Let's Encrypt and the Baseline Requirements, section 3.2.2.4.19: to ports 80 and 443).
const REDIRECTS_MAX: usize = 10;
/// So many addresses of a name are looked at.
const ADDRESSES_MAX: usize = 64;
/// More than any key authorization.
const BODY_MAX: usize = 4 * 1024;

/// What was seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// What was shown.
    Right,
    /// Something else, or nothing: in a few words.
    Wrong(String),
}

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct Eyes {
    pub(super) port: u16,
    /// Instead of what the name resolves to.
    pub(super) address: Option<IpAddr>,
}

/// Resolves one host to one address; `None`: every host.
struct Fixed(Option<String>, IpAddr);

impl Resolve for Fixed {
    fn resolve(&self, name: Name) -> Resolving {
        let is_it = self.0.as_deref().is_none_or(|host| host.eq_ignore_ascii_case(name.as_str()));
        let (fixed, first) = (is_it.then_some(self.1), self.1);
        Box::pin(async move {
            let found: Vec<SocketAddr> = match fixed {
                Some(ip) => vec![SocketAddr::new(ip, 0)],
                None => {
                    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                    found.filter(|to| may_lead(first, to.ip())).collect()
                }
            };
            if found.is_empty() {
                return Err(format!("{} leads inward, where no CA follows", name.as_str()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// May an answer at one address lead to another? Whoever answers for a name in the open shows us nothing of the inside.
fn may_lead(first: IpAddr, to: IpAddr) -> bool {
    is_inward(first) || !is_inward(to)
}

/// Can anything be sent there from here? Asked of the system; nothing is sent.
fn has_route(ip: IpAddr) -> bool {
    let own: IpAddr = if ip.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    std::net::UdpSocket::bind((own, 0)).and_then(|socket| socket.connect((ip, 9))).is_ok()
}

/// Looks at each of them at the same time, and says what is wrong with the first that does not show it.
async fn each<F>(all: Vec<IpAddr>, look: impl Fn(IpAddr) -> F) -> Result<Seen, Fault>
where
    F: Future<Output = Result<Seen, Fault>> + Send + 'static,
{
    let (near, away): (Vec<IpAddr>, Vec<IpAddr>) = all.into_iter().partition(|ip| has_route(*ip));
    if let (Some(ip), true) = (away.first(), near.is_empty()) {
        return Ok(Seen::Wrong(format!("this machine has no route to {ip}")));
    }
    let mut looks = JoinSet::new();
    for (n, ip) in near.iter().enumerate() {
        let look = look(*ip);
        looks.spawn(async move { (n, look.await) });
    }
    let mut seen = looks.join_all().await;
    seen.sort_by_key(|(n, _)| *n);
    for ((_, seen), ip) in seen.into_iter().zip(near) {
        if let Seen::Wrong(why) = seen? {
            return Ok(Seen::Wrong(format!("at {ip}: {why}")));
        }
    }
    Ok(Seen::Right)
}

impl Eyes {
    /// Every address that may be asked.
    async fn addresses(&self, name: &Identifier) -> Result<Vec<IpAddr>, String> {
        let name = match (self.address, name) {
            (Some(ip), _) | (None, &Identifier::Ip(ip)) => return Ok(vec![ip]),
            (None, Identifier::Dns(name)) => name,
        };
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let found = found.map_err(|e| format!("{name} does not resolve: {e}"))?;
        let mut all: Vec<IpAddr> = Vec::new();
        for address in found.take(ADDRESSES_MAX) {
            if !all.contains(&address.ip()) {
                all.push(address.ip());
            }
        }
        if all.is_empty() { Err(format!("{name} has no address")) } else { Ok(all) }
    }

    /// Is this the answer for the token, wherever the name leads?
    pub(super) async fn http(
        &self,
        name: &Identifier,
        token: &str,
        authorization: &str,
    ) -> Result<Seen, Fault> {
        match self.addresses(name).await {
            Ok(all) => self.http_at(all, name, token, authorization).await,
            Err(why) => Ok(Seen::Wrong(cut(&printable(&why), 300))),
        }
    }

    async fn http_at(
        &self,
        all: Vec<IpAddr>,
        name: &Identifier,
        token: &str,
        authorization: &str,
    ) -> Result<Seen, Fault> {
        each(all, |ip| {
            let (eyes, name) = (self.clone(), name.clone());
            let (token, authorization) = (token.to_owned(), authorization.to_owned());
            async move { eyes.http_one(ip, &name, &token, &authorization).await }
        })
        .await
    }

    async fn http_one(
        &self,
        ip: IpAddr,
        name: &Identifier,
        token: &str,
        authorization: &str,
    ) -> Result<Seen, Fault> {
        let only = self.address.is_none().then(|| name.to_string());
        let host = match name {
            Identifier::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            name => name.to_string(),
        };
        let url = format!("http://{host}:{}{PLACE}{token}", self.port);
        let url = Url::parse(&url)
            .map_err(|e| Fault::new(FaultKind::Invalid, format!("{url} is no address: {e}")))?;
        let own = self.port;
        let policy = reqwest::redirect::Policy::custom(move |attempt| {
            let port = attempt.url().port_or_known_default();
            let fits = matches!(attempt.url().scheme(), "http" | "https")
                && port.is_some_and(|port| [80, 443, own].contains(&port))
                && attempt.url().host_str().and_then(literal).is_none_or(|to| may_lead(ip, to));
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirects")
            } else if fits {
                attempt.follow()
            } else {
                attempt.error("a redirect to where no CA follows")
            }
        });
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(trusting(&[])?)
            .redirect(policy)
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // Another user of the library has these on; answers are read as they are sent.
            .no_gzip()
            .no_deflate()
            .dns_resolver(Arc::new(Fixed(only, ip)))
            .pool_max_idle_per_host(0)
            .user_agent(concat!("notafter/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Fault::new(FaultKind::System, format!("no HTTP client: {}", chain(&e))))?;
        let look = async {
            let mut response = client.get(url).send().await?;
            let (status, at) = (response.status().as_u16(), response.url().clone());
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await? {
                body.extend_from_slice(&piece[..piece.len().min(BODY_MAX - body.len())]);
                if body.len() == BODY_MAX {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((status, at, body))
        };
        Ok(match tokio::time::timeout(PATIENCE, look).await {
            Err(_) => Seen::Wrong(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Seen::Wrong(cut(&printable(&chain(&error.without_url())), 300)),
            // White space at the end is no matter (RFC 8555 section 8.3).
            Ok(Ok((200, _, body))) if body.trim_ascii_end() == authorization.as_bytes() => Seen::Right,
            Ok(Ok((status, at, body))) => {
                Seen::Wrong(format!("{} answers {status}: {}", crate::http::place(&at), shown(&body)))
            }
        })
    }

    /// Is a certificate that proves it shown for the challenge of this name, wherever the name leads?
    pub(super) async fn tls(
        &self,
        name: &Identifier,
        sent: &str,
        proves: impl Fn(&[u8]) -> bool + Clone + Send + 'static,
    ) -> Result<Seen, Fault> {
        let all = match self.addresses(name).await {
            Ok(all) => all,
            Err(why) => return Ok(Seen::Wrong(cut(&printable(&why), 300))),
        };
        each(all, |ip| {
            let (eyes, sent, proves) = (self.clone(), sent.to_owned(), proves.clone());
            async move {
                Ok(match eyes.tls_one(ip, &sent).await? {
                    Ok(leaf) if proves(&leaf) => Seen::Right,
                    Ok(_) => Seen::Wrong("another certificate is shown there".to_owned()),
                    Err(why) => Seen::Wrong(why),
                })
            }
        })
        .await
    }

    async fn tls_one(&self, ip: IpAddr, sent: &str) -> Result<Result<Vec<u8>, String>, Fault> {
        let config = trusting(&[ACME_TLS])?;
        let server = ServerName::try_from(sent.to_owned())
            .map_err(|_| Fault::new(FaultKind::Invalid, format!("{sent} is no name that TLS can send")))?;
        let look = async {
            let stream = TcpStream::connect((ip, self.port)).await?;
            let done = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(server, stream).await?;
            let (_, connection) = done.get_ref();
            let leaf =
                connection.peer_certificates().and_then(|all| all.first()).map(|leaf| leaf.as_ref().to_vec());
            let spoken = connection.alpn_protocol() == Some(ACME_TLS);
            Ok::<_, std::io::Error>(leaf.filter(|_| spoken))
        };
        Ok(match tokio::time::timeout(PATIENCE, look).await {
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Err(cut(&printable(&error.to_string()), 300)),
            Ok(Ok(None)) => Err("what answers does not speak acme-tls/1".to_owned()),
            Ok(Ok(Some(leaf))) => Ok(leaf),
        })
    }
}

/// TLS that takes any certificate.
fn trusting(protocols: &[&[u8]]) -> Result<ClientConfig, Fault> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Fault::new(FaultKind::System, e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Whoever answers may answer.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // The library refuses to read a certificate with the critical extension of RFC 8737, and what is looked for is the
    // digest in that extension, which nobody else can know to show.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Serves one text at an address.
    async fn serve(at: (IpAddr, u16), text: &'static str) -> Option<u16> {
        let listener = tokio::net::TcpListener::bind(at).await.ok()?;
        let port = listener.local_addr().ok()?.port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                let _ = stream.write_all((head + text).as_bytes()).await;
            }
        });
        Some(port)
    }

    #[test]
    fn whoever_answers_in_the_open_leads_nobody_inside() {
        let may = |first: &str, to: &str| may_lead(first.parse().unwrap(), to.parse().unwrap());
        for inward in ["127.0.0.1", "10.0.0.5", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.5"] {
            assert!(!may("8.8.8.8", inward) && may("10.0.0.1", inward), "{inward}");
        }
        assert!(may("8.8.8.8", "2001:4860:4860::8888") && may("127.0.0.1", "8.8.8.8"));
    }

    #[tokio::test]
    async fn every_address_has_to_show_it() {
        let ip = |n: u8| IpAddr::from([127, 0, 0, n]);
        let port = serve((ip(1), 0), "token.right").await.expect("a port");
        for (n, text) in [(2, "token.right"), (3, "token.wrong")] {
            serve((ip(n), port), text).await.expect("the same port");
        }
        let eyes = Eyes { port, address: None };
        let name = Identifier::Dns("a.test".to_owned());
        for (last, why) in
            [(&[][..], None), (&[2], None), (&[3], Some("at 127.0.0.3: ")), (&[2, 4], Some("at 127.0.0.4: "))]
        {
            let all = [1].iter().chain(last).map(|n| ip(*n)).collect();
            let seen = eyes.http_at(all, &name, "token", "token.right").await.expect("a look");
            match why {
                None => assert_eq!(seen, Seen::Right, "{last:?}"),
                Some(why) => {
                    assert!(matches!(&seen, Seen::Wrong(said) if said.starts_with(why)), "{last:?}: {seen:?}")
                }
            }
        }
    }

    #[tokio::test]
    async fn where_there_is_no_route_nothing_is_seen() {
        // Nothing can be sent there without the name of a link.
        let away: IpAddr = "fe80::1".parse().expect("link-local without a link");
        assert!(has_route([127, 0, 0, 1].into()) && !has_route(away));
        let port = serve(([127, 0, 0, 1].into(), 0), "token.right").await.expect("a port");
        let eyes = Eyes { port, address: None };
        let name = Identifier::Dns("a.test".to_owned());
        let both = vec![away, [127, 0, 0, 1].into()];
        let seen = eyes.http_at(both, &name, "token", "token.right").await.expect("a look");
        assert_eq!(seen, Seen::Right);
        let seen = eyes.http_at(vec![away], &name, "token", "token.right").await.expect("a look");
        assert_eq!(seen, Seen::Wrong("this machine has no route to fe80::1".to_owned()));
    }
}
