//! Looking at a challenge as a CA would: by the name it resolves to, on the port of the method, through redirects.
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

use super::stand::ACME_TLS;
use super::tokens::PLACE;
use crate::http::{chain, shown};
use crate::text::cut;

/// How long one look may take; CAs wait ten seconds, too.
const PATIENCE: Duration = Duration::from_secs(10);
/// As CAs follow (Let's Encrypt and the Baseline Requirements, section 3.2.2.4.19: to ports 80 and 443).
const REDIRECTS_MAX: usize = 10;
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

struct Fixed(Option<IpAddr>);

impl Resolve for Fixed {
    fn resolve(&self, name: Name) -> Resolving {
        let fixed = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = match fixed {
                Some(ip) => vec![SocketAddr::new(ip, 0)],
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Eyes {
    /// Is this the answer for the token?
    pub(super) async fn http(
        &self,
        name: &Identifier,
        token: &str,
        authorization: &str,
    ) -> Result<Seen, Fault> {
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
                && port.is_some_and(|port| [80, 443, own].contains(&port));
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
            .dns_resolver(Arc::new(Fixed(self.address)))
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

    /// The certificate that is shown for the challenge of this name.
    pub(super) async fn tls(&self, name: &Identifier, sent: &str) -> Result<Result<Vec<u8>, String>, Fault> {
        let config = trusting(&[ACME_TLS])?;
        let server = ServerName::try_from(sent.to_owned())
            .map_err(|_| Fault::new(FaultKind::Invalid, format!("{sent} is no name that TLS can send")))?;
        let look = async {
            let stream = match (self.address, name) {
                (Some(ip), _) | (None, &Identifier::Ip(ip)) => TcpStream::connect((ip, self.port)).await?,
                (None, Identifier::Dns(name)) => TcpStream::connect((name.as_str(), self.port)).await?,
            };
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
