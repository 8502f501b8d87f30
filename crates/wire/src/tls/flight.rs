//! Reads what a server answers to our hello, up to its certificates, in pieces of any size.
//!
//! Sans-I/O: `feed` takes bytes as they arrive and says whether to go on, to send something or to
//! stop. Records are decrypted where they lie and messages are read in place; only what is cut by the
//! end of a piece is kept. Nothing is verified: neither the chain nor that the server holds the key.

use crate::tls::hello::{ClientHello, Retry, SECP256R1, SECP521R1, share_length};
use crate::tls::message::{self, Certificates, ServerHello};
use crate::tls::outcome::{ClientAuth, Flight, Outcome};
use crate::tls::schedule::{Opener, Suite};

/// The largest record body: 2^14 bytes and what encryption may add (RFC 5246 section 6.2.3).
const RECORD_MAX: usize = (1 << 14) + 2048;
/// Buffers that grew beyond this are given back before a reader is used again.
const KEPT_CAPACITY: usize = 32 * 1024;

/// How much of a server's answer is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One handshake message, in bytes.
    pub message_bytes: usize,
    /// The whole answer, in bytes.
    pub flight_bytes: usize,
    /// Certificates in a chain. A bundle of public roots (about 150) sent by mistake still fits.
    pub chain_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { message_bytes: 256 * 1024, flight_bytes: 1024 * 1024, chain_length: 256 }
    }
}

/// What to do after a piece was fed.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Wait for more.
    More,
    /// Send `FlightReader::reply` (a second hello), then wait for more.
    Reply,
    /// Leave: this is the result.
    Done(Outcome),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing but alerts so far, or a HelloRetryRequest.
    Hello,
    /// TLS 1.2 or below: certificates come in clear.
    Plain,
    /// TLS 1.3 after the ServerHello.
    Sealed,
}

/// The state of one answer. Reusable: `begin` forgets the previous one and keeps the buffers.
pub struct FlightReader {
    limits: Limits,
    want_client_cas: bool,
    phase: Phase,
    seen: usize,
    version: u16,
    cipher: u16,
    group: Option<u16>,
    staples: bool,
    opener: Option<Opener>,
    client_auth: Option<ClientAuth>,
    /// The certificates of TLS 1.2, while we read on for what comes behind them.
    found: Option<Box<Flight>>,
    /// A record cut by the end of a piece; before the first record, also bytes that may be no TLS.
    record: Vec<u8>,
    /// A handshake message cut by the end of a record.
    message: Vec<u8>,
    /// What precedes the ServerHello in the transcript, if there was a HelloRetryRequest.
    retried: Option<Vec<u8>>,
    reply: Vec<u8>,
    scratch: Vec<u8>,
}

impl Default for FlightReader {
    fn default() -> Self {
        FlightReader {
            limits: Limits::default(),
            want_client_cas: false,
            phase: Phase::Hello,
            seen: 0,
            version: 0,
            cipher: 0,
            group: None,
            staples: false,
            opener: None,
            client_auth: None,
            found: None,
            record: Vec::new(),
            message: Vec::new(),
            retried: None,
            reply: Vec::new(),
            scratch: Vec::new(),
        }
    }
}

impl FlightReader {
    /// Prepares for a new answer. With `want_client_cas` a TLS 1.2 answer is read to its end, so
    /// that a request for a client certificate is seen; in TLS 1.3 it comes first and is always seen.
    pub fn begin(&mut self, limits: Limits, want_client_cas: bool) {
        let mut buffers =
            [&mut self.record, &mut self.message, &mut self.reply, &mut self.scratch].map(std::mem::take);
        for buffer in &mut buffers {
            buffer.clear();
            buffer.shrink_to(KEPT_CAPACITY);
        }
        let [record, message, reply, scratch] = buffers;
        *self = FlightReader {
            limits,
            want_client_cas,
            record,
            message,
            reply,
            scratch,
            ..FlightReader::default()
        };
    }

    /// What to send after `Progress::Reply`.
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Takes the next bytes received, in answer to `hello`. They are overwritten.
    pub fn feed(&mut self, hello: &ClientHello<'_>, piece: &mut [u8]) -> Progress {
        self.reply.clear();
        match self.records(hello, piece) {
            Ok(()) if self.reply.is_empty() => Progress::More,
            Ok(()) => Progress::Reply,
            Err(outcome) => Progress::Done(match self.found.take() {
                Some(flight) => Outcome::Certificates(flight),
                None => outcome,
            }),
        }
    }

    /// To be called when no more bytes will come: what can be said from those that came, if anything.
    pub fn end(&mut self) -> Option<Outcome> {
        if let Some(flight) = self.found.take() {
            return Some(Outcome::Certificates(flight));
        }
        let foreign = self.seen == self.record.len() && !tls_like(&self.record);
        foreign.then(|| not_tls(&self.record))
    }

    /// Cuts the input into records. `Err` is the end, good or bad.
    fn records(&mut self, hello: &ClientHello<'_>, mut piece: &mut [u8]) -> Result<(), Outcome> {
        let first = self.seen == self.record.len();
        self.seen += piece.len();
        if self.seen > self.limits.flight_bytes {
            return Err(Outcome::TooLarge { what: "server's answer", size: self.seen as u64 });
        }
        if first && !(self.record.is_empty() && tls_like(piece)) {
            self.record.extend_from_slice(piece);
            if !tls_like(&self.record) {
                // A few bytes more tell which protocol it is; a whole line or 8 bytes will do.
                let enough = self.record.len() >= 8 || self.record.contains(&b'\n');
                return if enough { Err(not_tls(&self.record)) } else { Ok(()) };
            }
            let mut record = std::mem::take(&mut self.record);
            let rest = self.whole_records(hello, &mut record)?;
            let start = record.len() - rest;
            record.drain(..start);
            self.record = record;
            return Ok(());
        }
        while !self.record.is_empty() && !piece.is_empty() {
            let missing = match body_length(&self.record)? {
                Some(length) => 5 + length - self.record.len(),
                None => 5 - self.record.len(),
            };
            let (head, rest) = piece.split_at_mut(missing.min(piece.len()));
            self.record.extend_from_slice(head);
            piece = rest;
            if body_length(&self.record)?.is_some_and(|length| self.record.len() == 5 + length) {
                let mut record = std::mem::take(&mut self.record);
                self.record(hello, &mut record)?;
                record.clear();
                self.record = record;
            }
        }
        let rest = self.whole_records(hello, piece)?;
        let start = piece.len() - rest;
        self.record.extend_from_slice(&piece[start..]);
        Ok(())
    }

    /// Reads the whole records at the front of `bytes`; returns how many bytes are left behind them.
    fn whole_records(&mut self, hello: &ClientHello<'_>, mut bytes: &mut [u8]) -> Result<usize, Outcome> {
        while let Some(length) = body_length(bytes)? {
            if bytes.len() < 5 + length {
                break;
            }
            let (record, rest) = bytes.split_at_mut(5 + length);
            self.record(hello, record)?;
            bytes = rest;
        }
        Ok(bytes.len())
    }

    /// One whole record.
    fn record(&mut self, hello: &ClientHello<'_>, record: &mut [u8]) -> Result<(), Outcome> {
        let Some((header, body)) = record.split_first_chunk_mut::<5>() else { return Ok(()) };
        let (kind, body) = match (header[0], &mut self.opener) {
            (23, Some(opener)) => opener
                .open(*header, body)
                .ok_or(Outcome::Malformed { what: "an encrypted record does not open" })?,
            (kind, _) => (kind, body),
        };
        match kind {
            20 => Ok(()),
            21 => self.alert(body),
            22 => self.handshake(hello, body),
            _ => Err(Outcome::Malformed { what: "application data before the certificates" }),
        }
    }

    fn alert(&mut self, body: &[u8]) -> Result<(), Outcome> {
        match *body {
            // A warning ends nothing, unless it announces the end.
            [1, description, ..] if description != 0 && self.opener.is_none() => Ok(()),
            [level, description, ..] => Err(Outcome::Alert { level, description }),
            _ => Err(Outcome::Malformed { what: "an alert is cut short" }),
        }
    }

    /// Cuts handshake data into messages.
    fn handshake(&mut self, hello: &ClientHello<'_>, body: &[u8]) -> Result<(), Outcome> {
        if self.message.is_empty() {
            let rest = self.whole_messages(hello, body)?;
            self.message.extend_from_slice(&body[body.len() - rest..]);
            return Ok(());
        }
        self.message.extend_from_slice(body);
        let mut message = std::mem::take(&mut self.message);
        let rest = self.whole_messages(hello, &message)?;
        let start = message.len() - rest;
        message.drain(..start);
        self.message = message;
        Ok(())
    }

    fn whole_messages(&mut self, hello: &ClientHello<'_>, mut bytes: &[u8]) -> Result<usize, Outcome> {
        while let [kind, a, b, c, ..] = *bytes {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if length > self.limits.message_bytes {
                let what = match kind {
                    11 | 25 => "certificate message",
                    _ => "handshake message",
                };
                return Err(Outcome::TooLarge { what, size: length as u64 });
            }
            let Some((message, rest)) = bytes.split_at_checked(4 + length) else { break };
            self.one_message(hello, kind, message)?;
            bytes = rest;
        }
        Ok(bytes.len())
    }

    fn one_message(&mut self, hello: &ClientHello<'_>, kind: u8, message: &[u8]) -> Result<(), Outcome> {
        let body = &message[4..];
        match (self.phase, kind) {
            (Phase::Hello, 2) => {
                let said = message::server_hello(body)
                    .ok_or(Outcome::Malformed { what: "the ServerHello is cut short" })?;
                self.server_hello(hello, &said, message)
            }
            (Phase::Hello | Phase::Plain, 0) | (Phase::Sealed, 8) => Ok(()),
            (Phase::Plain, 11) => {
                let read = message::certificates_12(body, self.limits.chain_length)?;
                let flight = self.flight(read);
                if self.staples || self.want_client_cas {
                    self.found = Some(flight);
                    return Ok(());
                }
                Err(Outcome::Certificates(flight))
            }
            (Phase::Plain, 22 | 12 | 13 | 14) => self.behind_certificates(kind, body),
            (Phase::Sealed, 13) => {
                self.client_auth = Some(message::request_13(body).unwrap_or_default());
                Ok(())
            }
            (Phase::Sealed, 11) => {
                let read = message::certificates_13(body, self.limits.chain_length)?;
                Err(Outcome::Certificates(self.flight(read)))
            }
            (Phase::Sealed, 25) if hello.compressed => {
                let body = message::decompress(body, self.limits.message_bytes)?;
                let read = message::certificates_13(&body, self.limits.chain_length)?;
                Err(Outcome::Certificates(self.flight(read)))
            }
            (Phase::Sealed, 15 | 20) => Err(Outcome::NoCertificate),
            _ => Err(Outcome::Malformed { what: "a handshake message out of order" }),
        }
    }

    /// The rest of a TLS 1.2 flight: staple, key exchange, request for a client certificate, end.
    fn behind_certificates(&mut self, kind: u8, body: &[u8]) -> Result<(), Outcome> {
        let (version, cipher) = (self.version, self.cipher);
        let Some(flight) = &mut self.found else {
            return if kind == 12 { Ok(()) } else { Err(Outcome::NoCertificate) };
        };
        match kind {
            22 => flight.staple = message::status(body),
            12 => flight.group = message::exchange_group(cipher, body),
            13 => flight.client_auth = Some(message::request_12(version, body).unwrap_or_default()),
            _ => {}
        }
        if kind == 14 || !self.want_client_cas {
            // `feed` puts the certificates found in this one's place.
            return Err(Outcome::NoCertificate);
        }
        Ok(())
    }

    fn flight(&mut self, read: Certificates) -> Box<Flight> {
        Box::new(Flight {
            version: self.version,
            cipher: self.cipher,
            group: self.group,
            certificates: read.chain,
            client_auth: self.client_auth.take(),
            staple: read.staple,
            timestamps: read.timestamps,
        })
    }

    fn server_hello(
        &mut self,
        hello: &ClientHello<'_>,
        said: &ServerHello<'_>,
        message: &[u8],
    ) -> Result<(), Outcome> {
        self.version = said.version;
        self.cipher = said.cipher;
        if said.version != 0x0304 {
            if said.retry || !(0x0300..0x0304).contains(&said.version) {
                return Err(Outcome::Malformed { what: "the ServerHello has an unknown version" });
            }
            self.phase = Phase::Plain;
            self.staples = said.staples;
            return Ok(());
        }
        let suite = Suite::of(said.cipher)
            .ok_or(Outcome::Malformed { what: "the server chose a cipher suite not offered" })?;
        if said.retry {
            return self.retry(hello, said, suite, message);
        }
        let Some((group, share)) = said.share else {
            // A server may go without only when it resumes by a pre-shared key, which we offer none of.
            return Err(Outcome::Malformed { what: "the ServerHello has no key share" });
        };
        let secret = shared_secret(group, share)
            .ok_or(Outcome::Malformed { what: "the server's key share does not fit its group" })?;
        let mut transcript = suite.transcript();
        match &self.retried {
            Some(before) => transcript.update(before),
            None => {
                self.scratch.clear();
                hello.write(&mut self.scratch);
                transcript.update(&self.scratch[5..]);
            }
        }
        transcript.update(message);
        let opener = suite
            .opener(secret, transcript.finish().as_ref())
            .ok_or(Outcome::Malformed { what: "no key follows from the ServerHello" })?;
        self.group = Some(group);
        self.opener = Some(opener);
        self.phase = Phase::Sealed;
        Ok(())
    }

    /// Answers a HelloRetryRequest (RFC 8446 section 4.1.4); the transcript is that of section 4.4.1.
    fn retry(
        &mut self,
        hello: &ClientHello<'_>,
        said: &ServerHello<'_>,
        suite: Suite,
        message: &[u8],
    ) -> Result<(), Outcome> {
        if self.retried.is_some() {
            return Err(Outcome::Malformed { what: "a second HelloRetryRequest" });
        }
        let group = said.share.map(|(group, _)| group);
        if let Some(group) = group.filter(|group| share_length(*group).is_none()) {
            return Err(Outcome::Unsupported { group });
        }
        self.scratch.clear();
        hello.write(&mut self.scratch);
        let mut first = suite.transcript();
        first.update(&self.scratch[5..]);
        let first = first.finish();
        let retry = Retry { group, cookie: said.cookie.map(<[u8]>::to_vec) };
        hello.write_retry(Some(&retry), &mut self.reply);
        let mut before = vec![254, 0, 0, first.as_ref().len() as u8];
        before.extend_from_slice(first.as_ref());
        before.extend_from_slice(message);
        before.extend_from_slice(&self.reply[5..]);
        self.retried = Some(before);
        Ok(())
    }
}

/// The secret that a private scalar of 1 shares with the owner of `share`: the share itself, or its
/// x coordinate where a share carries both.
fn shared_secret(group: u16, share: &[u8]) -> Option<&[u8]> {
    if share_length(group)? != share.len() {
        return None;
    }
    match (group, share[0]) {
        (SECP256R1..=SECP521R1, 4) => Some(&share[1..1 + share.len() / 2]),
        (SECP256R1..=SECP521R1, _) => None,
        _ => Some(share),
    }
}

/// Whether these first bytes can begin a TLS record. Empty can.
pub(crate) fn tls_like(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|kind| (20..=23).contains(kind))
        && bytes.get(1).is_none_or(|major| *major == 3)
        && bytes.get(2).is_none_or(|minor| *minor <= 4)
}

fn not_tls(bytes: &[u8]) -> Outcome {
    Outcome::NotTls { first: bytes[..bytes.len().min(64)].to_vec() }
}

/// The length a record header announces; `None` if the header is not whole yet.
fn body_length(record: &[u8]) -> Result<Option<usize>, Outcome> {
    if !tls_like(record) {
        return Err(Outcome::Malformed { what: "a record with an unknown type or version" });
    }
    let [_, _, _, high, low, ..] = *record else { return Ok(None) };
    match usize::from(u16::from_be_bytes([high, low])) {
        length if length <= RECORD_MAX => Ok(Some(length)),
        _ => Err(Outcome::Malformed { what: "a record longer than the protocol allows" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::hello::Offer;
    use proptest::prelude::*;

    const HELLO: ClientHello<'_> =
        ClientHello { offer: Offer::Any, seed: 1, server_name: None, compressed: false };

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 3, 3];
        out.extend_from_slice(&(body.len() as u16).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32).to_be_bytes().to_vec();
        out[0] = kind;
        out.extend_from_slice(body);
        out
    }

    fn hello_12(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[9; 32]);
        body.extend_from_slice(&[0, 0xc0, 0x2f, 0]);
        if !extensions.is_empty() {
            body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
            body.extend_from_slice(extensions);
        }
        message(2, &body)
    }

    fn certificates(list: &[&[u8]]) -> Vec<u8> {
        let mut inner = Vec::new();
        for der in list {
            inner.extend_from_slice(&(der.len() as u32).to_be_bytes()[1..]);
            inner.extend_from_slice(der);
        }
        let mut body = (inner.len() as u32).to_be_bytes()[1..].to_vec();
        body.extend_from_slice(&inner);
        message(11, &body)
    }

    fn read(want_client_cas: bool, bytes: &[u8], piece: usize) -> Option<Outcome> {
        let mut reader = FlightReader::default();
        reader.begin(Limits::default(), want_client_cas);
        for part in bytes.to_vec().chunks_mut(piece.max(1)) {
            if let Progress::Done(outcome) = reader.feed(&HELLO, part) {
                return Some(outcome);
            }
        }
        reader.end()
    }

    /// Feeds `bytes` in several cuts and compares how the result prints.
    fn check(want_client_cas: bool, bytes: &[u8], expected: &str) {
        for piece in [1, 2, 3, 7, 64, usize::MAX] {
            let outcome = read(want_client_cas, bytes, piece);
            let printed = format!("{outcome:?}");
            assert!(printed.contains(expected), "in pieces of {piece}: {printed}, not {expected}");
        }
    }

    #[test]
    fn reads_tls_12() {
        let hello = hello_12(&[]);
        let chain = certificates(&[&[1; 300], &[2; 200]]);
        let whole = [record(22, &hello), record(22, &chain)].concat();
        check(false, &whole, "certificates: [300, 200]");
        check(false, &record(22, &[hello.clone(), chain.clone()].concat()), "[300, 200]");
        check(false, &[record(20, &[1]), whole.clone()].concat(), "[300, 200]");
        check(false, &[record(21, &[1, 112]), whole.clone()].concat(), "[300, 200]");
        let bytewise: Vec<u8> =
            [hello, chain].concat().iter().flat_map(|byte| record(22, &[*byte])).collect();
        check(false, &bytewise, "[300, 200]");
        check(false, &whole[..whole.len() - 1], "None");
    }

    #[test]
    fn reads_on_where_more_is_wanted() {
        let hello = hello_12(&[0, 5, 0, 0]);
        let chain = certificates(&[&[1; 3]]);
        let staple = message(22, &[1, 0, 0, 2, 7, 7]);
        let exchange = message(12, &[3, 0, 29, 0]);
        let request = message(13, &[1, 1, 0, 2, 4, 3, 0, 4, 0, 2, 48, 0]);
        let done = message(14, &[]);
        let all = [hello, chain, staple, exchange, request, done].concat();
        check(false, &record(22, &all), "staple: Some([7, 7])");
        check(true, &record(22, &all), "ca_names: [[48, 0]]");
        check(true, &record(22, &all), "group: Some(29)");
        // Cut off behind the certificates: they are kept all the same.
        check(true, &record(22, &all[..all.len() - 30]), "certificates: [3]");
    }

    #[test]
    fn tells_what_went_wrong() {
        check(false, &record(21, &[2, 112]), "Alert { level: 2, description: 112 }");
        check(false, b"HTTP/1.1 400 Bad Request\r\n", "NotTls { first: [72, 84, 84, 80");
        check(false, b"+OK\r\n", "NotTls { first: [43, 79, 75, 13, 10] }");
        check(false, b"5", "NotTls { first: [53] }");
        check(false, &[22, 3, 3, 0xff, 0xff], "longer than the protocol allows");
        check(false, &record(23, &[0; 40]), "application data");
        check(false, &record(22, &message(11, &[])), "out of order");
        check(false, &record(22, &message(2, &[3, 3])), "cut short");
        check(false, &record(22, &[hello_12(&[]), message(14, &[])].concat()), "NoCertificate");
        let huge = [hello_12(&[]), vec![11, 0xff, 0xff, 0xff]].concat();
        check(false, &record(22, &huge), "TooLarge { what: \"certificate message\", size: 16777215 }");
        let many = certificates(&vec![&[1][..]; 10_000]);
        let many: Vec<u8> = many.chunks(16_000).flat_map(|part| record(22, part)).collect();
        check(false, &[record(22, &hello_12(&[])), many].concat(), "size: 10000");
        let noise: Vec<u8> = (0..300).flat_map(|_| record(20, &[1; 16_000])).collect();
        check(false, &noise, "TooLarge { what: \"server's answer\"");
        check(false, &[record(22, &hello_12(&[])), vec![80; 5]].concat(), "unknown type");
        check(false, b"", "None");
    }

    #[test]
    fn answers_retry_requests() {
        let request = |group: u16, cookie: &[u8]| {
            let mut body = vec![3, 3];
            body.extend_from_slice(
                &aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"HelloRetryRequest").as_ref()[..32],
            );
            body.extend_from_slice(&[0, 0x13, 1, 0]);
            let mut x = vec![0, 43, 0, 2, 3, 4, 0, 51, 0, 2];
            x.extend_from_slice(&group.to_be_bytes());
            x.extend_from_slice(cookie);
            body.extend_from_slice(&(x.len() as u16).to_be_bytes());
            body.extend_from_slice(&x);
            record(22, &message(2, &body))
        };
        let mut reader = FlightReader::default();
        reader.begin(Limits::default(), false);
        let mut first = request(30, &[0, 44, 0, 4, 0, 2, 0xab, 0xcd]);
        assert_eq!(reader.feed(&HELLO, &mut first), Progress::Reply);
        let reply = reader.reply().to_vec();
        assert!(reply.windows(8).any(|part| part == [0, 44, 0, 4, 0, 2, 0xab, 0xcd]));
        assert!(reply.windows(8).any(|part| part == [0, 51, 0, 62, 0, 60, 0, 30]));
        let again = reader.feed(&HELLO, &mut request(256, &[]));
        assert!(format!("{again:?}").contains("second HelloRetryRequest"));
        check(false, &request(0x11ec, &[]), "Unsupported { group: 4588 }");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
            let _ = read(true, &bytes, piece);
            let mut begun = record(22, &hello_12(&[0, 5, 0, 0]));
            begun.extend_from_slice(&record(22, &bytes));
            let _ = read(true, &begun, piece);
        }
    }
}
