//! The connection under the SMTP conversation: TCP, TLS where it comes first, and a bound on what is read.
//!
//! The bound is why this exists: lettre reads a line to its end before it asks how long it was, so that a
//! server which never ends its line would fill the memory until the time is up, and it reads a reply of
//! many lines from the beginning for each of them, so that one without end would keep a core busy.
//!
//! It also keeps what was said in the clear apart from what is said in TLS. lettre reads ahead, and would
//! take octets that somebody slipped in behind the reply to STARTTLS for the first replies under TLS: a
//! man in the middle could so have us believe that a mail was taken over. RFC 3207 section 4.2 has the client forget
//! whatever it learnt before TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// All that a server may say to one command. The longest reply there is, to EHLO, has some hundred octets.
const REPLY_MAX: usize = 8 * 1024;
/// All that it may say after STARTTLS, where replies cannot be told apart, its certificates included.
const TLS_MAX: usize = 64 * 1024;

/// Connects, with TLS first where a configuration for it is given.
pub(super) async fn connect(
    host: &str,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Box<dyn AsyncTokioStream>> {
    let tcp = TcpStream::connect((host, port)).await?;
    let peer = tcp.peer_addr()?;
    let Some(tls) = tls else { return Ok(Box::new(Bounded::of(tcp, peer))) };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls).connect(name, tcp).await?;
    Ok(Box::new(Bounded::of(stream, peer)))
}

/// A stream that ends in an error once it has said too much.
#[derive(Debug)]
struct Bounded<S> {
    inner: S,
    left: usize,
    peer: SocketAddr,
    /// STARTTLS was said: what follows is TLS.
    upgraded: bool,
    /// Between STARTTLS and the first octet of TLS: not one octet may be read ahead.
    between: bool,
}

impl<S> Bounded<S> {
    fn of(inner: S, peer: SocketAddr) -> Self {
        Self { inner, left: REPLY_MAX, peer, upgraded: false, between: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = if self.between {
            let mut octet = [0];
            let mut one = ReadBuf::new(&mut octet);
            let polled = Pin::new(&mut self.inner).poll_read(cx, &mut one);
            buffer.put_slice(one.filled());
            polled
        } else {
            Pin::new(&mut self.inner).poll_read(cx, buffer)
        };
        let read = buffer.filled().len() - before;
        if read > self.left {
            return Poll::Ready(Err(io::Error::other("it said more than a mail server has to say")));
        }
        self.left -= read;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.between = bytes == b"STARTTLS\r\n";
        if self.between {
            (self.upgraded, self.left) = (true, TLS_MAX);
        } else if !self.upgraded {
            self.left = REPLY_MAX;
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
