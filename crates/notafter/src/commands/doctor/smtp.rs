//! Is there a mail server at the other end? Its greeting, EHLO, and a polite end; nothing is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// A greeting may be so long.
const LENGTH_MAX: u64 = 16 * 1024;

/// Shakes hands. `starttls`: the settings need it to be offered.
pub(super) fn greet(stream: TcpStream, starttls: bool) -> Result<String, String> {
    let timed =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    timed.map_err(|e| e.to_string())?;
    let mut writer = stream.try_clone().map_err(|e| e.to_string())?;
    let mut reader = BufReader::new(stream.take(LENGTH_MAX));
    talk(&mut reader, &mut writer, starttls)
}

fn talk(reader: &mut impl BufRead, writer: &mut impl Write, starttls: bool) -> Result<String, String> {
    expect(reader, "220", "greets")?;
    say(writer, "EHLO notafter.invalid")?;
    let offers = expect(reader, "250", "answers EHLO")?;
    // Whether it says goodbye in turn changes nothing.
    let _ = say(writer, "QUIT");
    let offered = offers.iter().any(|line| line.get(4..).is_some_and(|l| l.eq_ignore_ascii_case("STARTTLS")));
    if starttls && !offered {
        return Err("greets, and offers no STARTTLS: tls = \"tls\" for port 465".to_owned());
    }
    Ok("greets as a mail server does".to_owned())
}

fn say(writer: &mut impl Write, line: &str) -> Result<(), String> {
    write!(writer, "{line}\r\n").map_err(|e| e.to_string())
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
    use super::talk;

    fn check(said: &str, starttls: bool, expected: Result<&str, &str>) {
        let mut heard = Vec::new();
        let result = talk(&mut said.as_bytes(), &mut heard, starttls);
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
