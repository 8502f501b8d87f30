//! A full handshake with one server, to learn whether it holds the key it shows.
//!
//! For `--prove`, and for servers that the fast hello of `grab` cannot satisfy: those that insist on a
//! post-quantum group, say. It costs several times more and blocks its thread. The chain is not judged
//! here either: only the signature over this very handshake is checked, against the leaf's key.

use crate::Monotonic;
use crate::starttls::{Dialogue, Protocol, Step, tds};
use crate::tls::grab::{Settings, Starttls, Target};
use crate::tls::hello::{Offer, sendable};
use crate::tls::outcome::{ClientAuth, Flight, Outcome, Stage};
use crate::tls::{Chain, flight};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, InvalidMessage, SignatureScheme};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whether the server has shown that it holds the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possession {
    /// It signed this handshake with the leaf's key.
    Verified,
    /// It did not, or not in a way that we can check.
    NotVerified {
        /// In a few words.
        why: String,
    },
}

/// What a full handshake learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// What the server showed. `group` is what a full client was given, post-quantum groups included.
    pub flight: Flight,
    /// Whether it holds the key.
    pub possession: Possession,
}

/// Shakes hands with the target, after the plaintext protocol it names. `Starttls::Auto` goes by the port
/// alone; name the protocol that a grab has found. Of `target.offer` only the kind of key counts: with `Offer::RsaOnly` a server
/// of two keys shows the RSA one, with `Offer::EcdsaOnly` the other; all else is offered always.
///
/// # Errors
/// The outcome, if it came to no certificates; never `Outcome::Certificates`.
pub fn prove(target: &Target, settings: &Settings, clock: &dyn Monotonic) -> Result<Proved, Outcome> {
    let start = clock.now();
    let patience = settings.connect_timeout.min(settings.total_timeout).max(Duration::from_millis(1));
    let stream = TcpStream::connect_timeout(&target.addr, patience)
        .map_err(|error| failure(&error, Stage::Connect))?;
    let deadline = start.saturating_add(settings.total_timeout);
    let mut line = Line { stream, clock, deadline, received: 0, most: settings.limits.flight_bytes };
    let protocol = match target.starttls {
        Starttls::No => None,
        Starttls::Auto => Protocol::usual_on(target.addr.port()),
        Starttls::Named(protocol) => Some(protocol),
    };
    if let Some(protocol) = protocol {
        start_tls(&mut line, protocol, target, settings)?;
    }
    let witness =
        Arc::new(Witness { provider: provider(target.offer), offer: target.offer, seen: Mutex::default() });
    let mut connection = connection(target, &witness)?;
    let shaken = shake_hands(&mut line, &mut connection, protocol == Some(Protocol::Mssql));
    // As in a grab, a reset leaves nothing behind on this side.
    let _ = rustix::net::sockopt::set_socket_linger(&line.stream, Some(Duration::ZERO));

    let mut seen = witness.seen();
    let sizes = seen.chain.iter().map(|der| der.len() + 3).sum();
    let Some(certificates) = Chain::collect(sizes, seen.chain.iter().map(Vec::as_slice)) else {
        return Err(shaken.err().unwrap_or(Outcome::NoCertificate));
    };
    if certificates.len() > settings.limits.chain_length {
        return Err(Outcome::TooLarge { what: "certificate chain", size: certificates.len() as u64 });
    }
    let possession = match (seen.signature.take(), shaken) {
        (Some(Ok(())), _) => Possession::Verified,
        (Some(Err(why)), _) => Possession::NotVerified { why },
        (None, Ok(())) => Possession::NotVerified { why: "the handshake needed no signature".to_string() },
        (None, Err(outcome)) => Possession::NotVerified {
            why: format!("the handshake broke off before the signature: {outcome:?}"),
        },
    };
    let flight = Flight {
        version: connection.protocol_version().map_or(0, u16::from),
        cipher: connection.negotiated_cipher_suite().map_or(0, |suite| u16::from(suite.suite())),
        group: connection.negotiated_key_exchange_group().map(|group| u16::from(group.name())),
        certificates,
        client_auth: seen.client_auth.take(),
        staple: seen.staple.take(),
        timestamps: None,
    };
    Ok(Proved { flight, possession })
}

/// The head of an answer may be so long.
const HEAD_MAX: usize = 16 * 1024;

/// Asks an HTTPS server for the time: the `Date` field of its answer to `HEAD /` (RFC 9110 section 6.6.1), as written.
/// `None` where it gives none. No certificate is looked at.
///
/// # Errors
/// The outcome, if it came to no handshake.
pub fn date(target: &Target, settings: &Settings, clock: &dyn Monotonic) -> Result<Option<String>, Outcome> {
    let start = clock.now();
    let patience = settings.connect_timeout.min(settings.total_timeout).max(Duration::from_millis(1));
    let stream = TcpStream::connect_timeout(&target.addr, patience)
        .map_err(|error| failure(&error, Stage::Connect))?;
    let deadline = start.saturating_add(settings.total_timeout);
    let mut line = Line { stream, clock, deadline, received: 0, most: settings.limits.flight_bytes };
    let witness = Arc::new(Witness { provider: everything(), offer: Offer::Any, seen: Mutex::default() });
    let mut connection = connection(target, &witness)?;
    shake_hands(&mut line, &mut connection, false)?;
    let address = target.addr.ip().to_string();
    let host = target.sni.as_deref().unwrap_or(&address);
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {}\r\nConnection: close\r\n\r\n",
        settings.client_name
    );
    // Writing to memory cannot fail.
    let _ = connection.writer().write_all(request.as_bytes());
    let mut out = Vec::new();
    while connection.wants_write() {
        let _ = connection.write_tls(&mut out);
    }
    line.write(&out, Stage::Handshake)?;
    let (mut head, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while head.len() < HEAD_MAX && !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let Ok(count) = line.read(&mut buffer, Stage::Handshake) else { break };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let taken = connection.read_tls(&mut rest).unwrap_or(0);
            if connection.process_new_packets().is_err() || taken == 0 {
                break;
            }
        }
        let mut plain = [0; 4096];
        while let Ok(count @ 1..) = connection.reader().read(&mut plain) {
            head.extend_from_slice(&plain[..count]);
        }
    }
    let _ = rustix::net::sockopt::set_socket_linger(&line.stream, Some(Duration::ZERO));
    Ok(date_of(&String::from_utf8_lossy(&head)))
}

/// The `Date` field of an HTTP head.
fn date_of(head: &str) -> Option<String> {
    let mut lines = head.split("\r\n");
    lines.next().filter(|status| status.starts_with("HTTP/1."))?;
    let fields = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let mut dates = fields.filter(|(name, _)| name.eq_ignore_ascii_case("date"));
    dates.next().map(|(_, value)| value.trim().to_owned())
}

/// The plaintext dialogue up to the go-ahead.
fn start_tls(
    line: &mut Line<'_>,
    protocol: Protocol,
    target: &Target,
    settings: &Settings,
) -> Result<(), Outcome> {
    let address = target.addr.ip().to_string();
    let host = target.sni.as_deref().unwrap_or(&address);
    let mut dialogue = Dialogue::new(protocol, host, &settings.client_name);
    let (mut out, mut buffer, mut count) = (Vec::new(), [0; 4096], 0);
    loop {
        let step = dialogue.advance(&buffer[..count], &mut out);
        match step {
            Step::NeedMore | Step::StartTls => line.write(&std::mem::take(&mut out), Stage::Greeting)?,
            Step::Refused { reply } => return Err(Outcome::StarttlsRefused { reply }),
            Step::Violation { what } => return Err(Outcome::Malformed { what }),
            Step::Foreign { first } => return Err(Outcome::NotTls { first }),
        }
        if step == Step::StartTls {
            return Ok(());
        }
        count = line.read(&mut buffer, Stage::Greeting)?;
    }
}

/// Runs the handshake as far as the client's part in it.
fn shake_hands(line: &mut Line<'_>, connection: &mut ClientConnection, in_tds: bool) -> Result<(), Outcome> {
    let mut unwrapper = tds::Unwrapper::default();
    let mut buffer = [0; 16 * 1024];
    let mut first: Vec<u8> = Vec::new();
    loop {
        let mut out = Vec::new();
        while connection.wants_write() {
            // Writing to a vector cannot fail.
            let _ = connection.write_tls(&mut out);
        }
        if in_tds && !out.is_empty() {
            let bytes = std::mem::take(&mut out);
            tds::wrap(&bytes, &mut out);
        }
        if !out.is_empty() {
            line.write(&out, Stage::Handshake)?;
        }
        if !connection.is_handshaking() {
            return Ok(());
        }
        let count = line.read(&mut buffer, Stage::Handshake)?;
        let mut inside = Vec::new();
        match in_tds {
            false => inside.extend_from_slice(&buffer[..count]),
            true if unwrapper.feed(&buffer[..count], &mut inside) => {}
            true => return Err(Outcome::Malformed { what: "no TDS packet around TLS" }),
        }
        let missing = 64 - first.len().min(64);
        first.extend_from_slice(&inside[..inside.len().min(missing)]);
        if !flight::tls_like(&first) {
            return Err(Outcome::NotTls { first });
        }
        let mut rest = &inside[..];
        while !rest.is_empty() {
            // A failure to buffer shows as an error of the next call.
            let taken = connection.read_tls(&mut rest).unwrap_or(0);
            connection.process_new_packets().map_err(|error| broken(&error))?;
            if taken == 0 {
                break;
            }
        }
    }
}

fn broken(error: &Error) -> Outcome {
    match error {
        Error::AlertReceived(alert) => Outcome::Alert { level: 2, description: u8::from(*alert) },
        Error::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => Outcome::TooLarge { what: "handshake message", size: 0x1_0000 },
        Error::PeerIncompatible(_) => {
            Outcome::Malformed { what: "the server chose something that no current client offers" }
        }
        Error::NoCertificatesPresented => Outcome::NoCertificate,
        _ => Outcome::Malformed { what: "the handshake broke the protocol's rules" },
    }
}

/// A socket whose every wait ends with the target's deadline.
struct Line<'a> {
    stream: TcpStream,
    clock: &'a dyn Monotonic,
    deadline: Duration,
    received: usize,
    most: usize,
}

impl Line<'_> {
    fn left(&self, stage: Stage) -> Result<Duration, Outcome> {
        let left = self.deadline.saturating_sub(self.clock.now());
        if left < Duration::from_millis(1) { Err(Outcome::Timeout { stage }) } else { Ok(left) }
    }

    fn read(&mut self, buffer: &mut [u8], stage: Stage) -> Result<usize, Outcome> {
        loop {
            let left = self.left(stage)?;
            self.stream.set_read_timeout(Some(left)).map_err(|error| failure(&error, stage))?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(Outcome::Closed { stage }),
                Ok(count) => {
                    self.received += count;
                    if self.received > self.most {
                        return Err(Outcome::TooLarge {
                            what: "server's answer",
                            size: self.received as u64,
                        });
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(&error, stage)),
            }
        }
    }

    fn write(&mut self, bytes: &[u8], stage: Stage) -> Result<(), Outcome> {
        let left = self.left(stage)?;
        let written = self.stream.set_write_timeout(Some(left)).and_then(|()| self.stream.write_all(bytes));
        match written {
            // What the server said before it hung up is still to be read.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Ok(())
            }
            written => written.map_err(|error| failure(&error, stage)),
        }
    }
}

fn failure(error: &std::io::Error, stage: Stage) -> Outcome {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::Timeout { stage },
        ErrorKind::ConnectionRefused if stage == Stage::Connect => Outcome::Refused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            Outcome::Reset { stage }
        }
        _ => match error.raw_os_error() {
            // ENFILE and EMFILE
            Some(23 | 24) => Outcome::NoResources { what: "file descriptors" },
            Some(errno) => Outcome::Unreachable { errno },
            None => Outcome::Malformed { what: "the connection failed" },
        },
    }
}

/// The algorithms of a full client, with the cipher suites for keys of that kind alone. Those of TLS 1.3 are for all.
fn provider(offer: Offer) -> Arc<CryptoProvider> {
    let all = everything();
    if !matches!(offer, Offer::RsaOnly | Offer::EcdsaOnly) {
        return all;
    }
    let fits = |suite: &rustls::SupportedCipherSuite| match suite {
        rustls::SupportedCipherSuite::Tls12(suite) => {
            suite.sign.iter().any(is_rsa) == (offer == Offer::RsaOnly)
        }
        rustls::SupportedCipherSuite::Tls13(_) => true,
    };
    let cipher_suites = all.cipher_suites.iter().copied().filter(fits).collect();
    Arc::new(CryptoProvider { cipher_suites, ..CryptoProvider::clone(&all) })
}

fn is_rsa(scheme: &SignatureScheme) -> bool {
    scheme.as_str().is_some_and(|name| name.starts_with("RSA"))
}

fn everything() -> Arc<CryptoProvider> {
    static PROVIDER: std::sync::OnceLock<Arc<CryptoProvider>> = std::sync::OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            let mut provider = aws_lc_rs::default_provider();
            provider.kx_groups = aws_lc_rs::ALL_KX_GROUPS.to_vec();
            // The post-quantum hybrid first: so a server that can shows it.
            provider.kx_groups.sort_by_key(|group| u16::from(group.name()) != 0x11ec);
            provider.cipher_suites = aws_lc_rs::ALL_CIPHER_SUITES.to_vec();
            Arc::new(provider)
        })
        .clone()
}

fn connection(target: &Target, witness: &Arc<Witness>) -> Result<ClientConnection, Outcome> {
    const UNBUILT: Outcome = Outcome::Malformed { what: "the TLS client cannot be set up" };
    let mut config = ClientConfig::builder_with_provider(witness.provider.clone())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|_| UNBUILT)?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_client_cert_resolver(witness.clone());
    config.resumption = Resumption::disabled();
    let name = target.sni.as_deref().and_then(sendable).and_then(|name| ServerName::try_from(name).ok());
    // An address is never sent; it stands for "no name".
    let name = name.map_or_else(|| ServerName::IpAddress(target.addr.ip().into()), |name| name.to_owned());
    ClientConnection::new(Arc::new(config), name).map_err(|_| UNBUILT)
}

/// Writes down what the server shows, and lets everything pass but keeps the verdict on its signature.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    offer: Offer,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    staple: Option<Vec<u8>>,
    client_auth: Option<ClientAuth>,
    signature: Option<Result<(), String>>,
}

impl Witness {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(
        &self,
        signature: &DigitallySignedStruct,
        verdict: Result<HandshakeSignatureValid, Error>,
    ) -> HandshakeSignatureValid {
        let known = self.provider.signature_verification_algorithms.supported_schemes();
        self.seen().signature = Some(match verdict {
            Ok(_) => Ok(()),
            Err(_) if !known.contains(&signature.scheme) => {
                Err(format!("signatures of scheme {:#06x} cannot be checked", u16::from(signature.scheme)))
            }
            Err(error) => Err(error.to_string()),
        });
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut seen = self.seen();
        seen.chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect();
        seen.staple = (!ocsp_response.is_empty()).then(|| ocsp_response.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.judge(dss, rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        Ok(self.judge(dss, rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)))
    }

    /// More than we can check: a server that finds nothing it can sign with would show us nothing.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        let more = [
            SignatureScheme::ED448,
            SignatureScheme::ML_DSA_44,
            SignatureScheme::ML_DSA_65,
            SignatureScheme::ML_DSA_87,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ];
        schemes.extend(more.into_iter().filter(|scheme| !schemes.contains(scheme)).collect::<Vec<_>>());
        match self.offer {
            Offer::RsaOnly => schemes.retain(is_rsa),
            Offer::EcdsaOnly => schemes.retain(|scheme| !is_rsa(scheme)),
            Offer::Any | Offer::Legacy | Offer::Gentle => {}
        }
        schemes
    }
}

impl ResolvesClientCert for Witness {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let ca_names = root_hint_subjects.iter().map(|name| name.to_vec()).collect();
        self.seen().client_auth = Some(ClientAuth { ca_names });
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
