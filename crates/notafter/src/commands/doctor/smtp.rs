//! Is there a mail server at the other end? Its greeting, in the clear or within TLS, EHLO, and a polite end; nothing is
//! sent. What is said after STARTTLS is not tried here: `notafter alert test` does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use notafter_act::roots::Roots;

use super::PATIENCE;

/// A greeting may be so long.
const LENGTH_MAX: u64 = 16 * 1024;

/// Shakes hands. `starttls`: the settings need it to be offered.
pub(super) fn greet(stream: TcpStream, starttls: bool) -> Result<String, String> {
    timed(&stream)?;
    talk(stream, starttls)
}

/// The same inside TLS, which comes first (port 465). The server must have a certificate that the mails would be sent
/// to, too: `roots` is `ca_file` of the settings.
pub(super) fn greet_within_tls(
    stream: TcpStream,
    host: &str,
    roots: Option<&Path>,
) -> Result<String, String> {
    timed(&stream)?;
    let usual = Roots::read();
    let roots = roots.map_or_else(|| Ok(usual.clone()), |file| usual.and_file(file));
    let config = roots.map_err(|e| e.replace('\n', "; "))?.client_config()?;
    let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
    let session = rustls::ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    let mut tls = rustls::StreamOwned::new(session, stream);
    while tls.conn.is_handshaking() {
        if let Err(e) = tls.conn.complete_io(&mut tls.sock) {
            return Err(format!("is there, but TLS comes to nothing: {e}"));
        }
    }
    talk(tls, false).map(|says| format!("{says}, within TLS"))
}

fn timed(stream: &TcpStream) -> Result<(), String> {
    let timed =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    timed.map_err(|e| e.to_string())
}

/// A stream of which only so much is read.
struct Bounded<S>(S, u64);

impl<S: Read> Read for Bounded<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = (&mut self.0).take(self.1).read(buffer)?;
        self.1 -= read as u64;
        Ok(read)
    }
}

fn talk(stream: impl Read + Write, starttls: bool) -> Result<String, String> {
    let mut peer = BufReader::new(Bounded(stream, LENGTH_MAX));
    expect(&mut peer, "220", "greets")?;
    say(&mut peer.get_mut().0, "EHLO notafter.invalid")?;
    let offers = expect(&mut peer, "250", "answers EHLO")?;
    // Whether it says goodbye in turn changes nothing.
    let _ = say(&mut peer.get_mut().0, "QUIT");
    let offered = offers.iter().any(|line| line.get(4..).is_some_and(|l| l.eq_ignore_ascii_case("STARTTLS")));
    if starttls && !offered {
        return Err("greets, and offers no STARTTLS: tls = \"tls\" for port 465".to_owned());
    }
    Ok("greets as a mail server does".to_owned())
}

fn say(writer: &mut impl Write, line: &str) -> Result<(), String> {
    write!(writer, "{line}\r\n").and_then(|()| writer.flush()).map_err(|e| e.to_string())
}

/// The lines of one answer, which must have this code.
fn expect(reader: &mut impl BufRead, code: &str, what: &str) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    loop {
        let mut bytes = Vec::new();
        reader
            .read_until(b'\n', &mut bytes)
            .map_err(|e| format!("is there, but no mail server {what}: {e}"))?;
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if !line.starts_with(code) {
            let said = notafter_pki::name::printable(&line.chars().take(80).collect::<String>());
            return Err(format!("is there, but no mail server {what}: it says \"{said}\""));
        }
        let more = line.as_bytes().get(3) == Some(&b'-');
        lines.push(line);
        if !more {
            return Ok(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::talk;

    /// A server that says this, whatever it hears.
    struct Said<'a>(&'a [u8]);

    impl Read for Said<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Said<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn check(said: &str, starttls: bool, expected: Result<&str, &str>) {
        let result = talk(Said(said.as_bytes()), starttls);
        match (result, expected) {
            (Ok(text), Ok(part)) | (Err(text), Err(part)) => assert!(text.contains(part), "{said:?}: {text}"),
            (result, _) => panic!("{said:?}: {result:?}"),
        }
    }

    #[test]
    fn only_a_mail_server_greets_like_one() {
        let mail = "220-hi\r\n220 mail.test\r\n250-mail.test\r\n250 STARTTLS\r\n";
        check(mail, true, Ok("greets"));
        check("220 mail.test\r\n250 mail.test\r\n", false, Ok("greets"));
        check("220 mail.test\r\n250 mail.test\r\n", true, Err("offers no STARTTLS"));
        check("SSH-2.0-OpenSSH_9\r\n", false, Err("it says \"SSH-2.0-OpenSSH_9\""));
        check("", false, Err("no mail server greets"));
        check("220 x\r\n554 go away\r\n", false, Err("answers EHLO"));
    }
}
