//! One message to one DNS server, and its answer: by UDP, by TCP where that does not do (RFC 1035 section 4.2, RFC 7766).
//!
//! It resolves nothing and remembers nothing; whom to ask, and what answers mean, is `walk.rs`'s and `look.rs`'s.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use notafter_pki::dns::message::{Message, question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one datagram is waited for, and how often it is sent.
const UDP_PATIENCE: Duration = Duration::from_secs(2);
const UDP_TRIES: usize = 2;
/// How long a whole exchange by TCP may take.
const TCP_PATIENCE: Duration = Duration::from_secs(5);

/// A number that others cannot guess.
///
/// # Errors
/// A sentence, where the system gives no random octets.
pub(super) fn id() -> Result<u16, String> {
    let mut octets = [0u8; 2];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| "the system gave no random octets".to_owned())?;
    Ok(u16::from_be_bytes(octets))
}

/// Asks for the records of a name and type. `recurse`: the server is a resolver.
///
/// # Errors
/// A sentence, when no answer came.
pub(super) async fn ask(server: SocketAddr, name: &str, kind: u16, recurse: bool) -> Result<Message, String> {
    let asked = question(id()?, name, kind, recurse)
        .ok_or_else(|| format!("`{}` is no name", name.escape_debug()))?;
    // Some servers, and some firewalls, let only TCP through.
    let by_udp = udp(server, &asked).await.ok().and_then(|bytes| Message::parse(&bytes));
    if let Some(message) = by_udp.filter(|message| !message.truncated) {
        return Ok(message);
    }
    let bytes = tcp(server, &asked).await?;
    Message::parse(&bytes).ok_or_else(|| format!("{server} sent what is no answer"))
}

/// Sends a message by UDP, and again; gives the octets that came back for it.
///
/// # Errors
/// A sentence.
pub(super) async fn udp(server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
    let own: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let tell = |error: std::io::Error| format!("{server} by UDP: {error}");
    let socket = UdpSocket::bind((own, 0)).await.map_err(tell)?;
    socket.connect(server).await.map_err(tell)?;
    let mut buffer = vec![0u8; 65_535];
    for _ in 0..UDP_TRIES {
        socket.send(message).await.map_err(tell)?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await.map_err(tell)?;
                // Whatever does not carry our number is somebody else's.
                if is_answer(message, buffer.get(..length).unwrap_or_default()) {
                    return Ok::<_, String>(length);
                }
            }
        };
        match timeout(UDP_PATIENCE, answer).await {
            Ok(Ok(length)) => return Ok(buffer.get(..length).unwrap_or_default().to_vec()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Err(format!("{server} did not answer by UDP"))
}

/// Sends a message by TCP; gives the octets that came back for it.
///
/// # Errors
/// A sentence.
pub(super) async fn tcp(server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
    let tell = |error: std::io::Error| format!("{server} by TCP: {error}");
    let length = u16::try_from(message.len()).map_err(|_| "the message is too long".to_owned())?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await.map_err(tell)?;
        stream.write_all(&[&length.to_be_bytes()[..], message].concat()).await.map_err(tell)?;
        let mut size = [0u8; 2];
        stream.read_exact(&mut size).await.map_err(tell)?;
        let mut bytes = vec![0u8; usize::from(u16::from_be_bytes(size))];
        stream.read_exact(&mut bytes).await.map_err(tell)?;
        Ok::<_, String>(bytes)
    };
    let bytes = match timeout(TCP_PATIENCE, exchange).await {
        Ok(result) => result?,
        Err(_) => return Err(format!("{server} did not answer within {} s", TCP_PATIENCE.as_secs())),
    };
    if is_answer(message, &bytes) { Ok(bytes) } else { Err(format!("{server} answered something else")) }
}

/// Is it an answer, with the number of what was sent?
fn is_answer(sent: &[u8], got: &[u8]) -> bool {
    got.len() >= 12 && got.get(..2) == sent.get(..2) && got.get(2).is_some_and(|flags| flags & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use notafter_pki::dns::kind;

    /// A server that answers each question with datagrams of its own making.
    async fn server(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for answer in answers(&buffer[..length]) {
                    socket.send_to(&answer, from).await.expect("sent");
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_none() {
        let address = server(|asked| {
            let mut right = asked.to_vec();
            right[2] |= 0x84;
            let mut forged = right.clone();
            forged[0] ^= 1;
            vec![b"x".to_vec(), forged, asked.to_vec(), right]
        })
        .await;
        let message = ask(address, "a.test", kind::TXT, false).await.expect("the right one");
        assert!(message.authoritative && message.answers.is_empty());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_said() {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("it");
        let said = ask(gone, "a.test", kind::TXT, false).await.expect_err("nobody");
        assert!(said.contains("by TCP") && said.contains("refused"), "{said}");
        assert!(ask(gone, &"x".repeat(64), kind::TXT, false).await.expect_err("no name").contains("no name"));
    }
}
