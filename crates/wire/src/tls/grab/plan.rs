//! Which attempt follows which, within one target: pure decisions, no sockets.
//!
//! One connection is enough for nearly every server. The further ones are for servers older than our
//! hello, for those that begin in plaintext, and for gentleness. A target never gets more than
//! `ATTEMPTS_MAX` connections.

use crate::starttls::{self, Protocol};
use crate::tls::grab::{Settings, Starttls, Target};
use crate::tls::hello::Offer;
use crate::tls::outcome::{Outcome, Stage};

/// The most connections made to one target.
pub(super) const ATTEMPTS_MAX: u8 = 6;

/// What one connection says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The plaintext protocol to begin in.
    pub(super) protocol: Option<Protocol>,
    /// The hello.
    pub(super) offer: Offer,
    /// What has been tried before, and is not tried twice.
    tried: u8,
}

const DIRECT: u8 = 1;
const GUESSED: u8 = 2;
const LEGACY: u8 = 4;
const POSTGRES: u8 = 8;
const FTP: u8 = 16;
const LMTP: u8 = 32;
const LDAP: u8 = 64;

/// The first attempt for a target.
pub(super) fn first(target: &Target, settings: &Settings) -> Attempt {
    let protocol = match target.starttls {
        Starttls::No => None,
        Starttls::Auto => Protocol::usual_on(target.addr.port()),
        Starttls::Named(protocol) => Some(protocol),
    };
    let gentle = settings.gentle && target.offer == Offer::Any;
    let offer = if gentle { Offer::Gentle } else { target.offer };
    Attempt { protocol, offer, tried: if protocol.is_none() { DIRECT } else { 0 } }
}

/// The attempt to make after one that ended in `outcome`, if any.
pub(super) fn next(target: &Target, last: Attempt, outcome: &Outcome) -> Option<Attempt> {
    let tries = |bit: u8, protocol: Option<Protocol>, offer: Offer| {
        (last.tried & bit == 0).then_some(Attempt { protocol, offer, tried: last.tried | bit })
    };
    let auto = target.starttls == Starttls::Auto;
    match (last.offer, outcome) {
        (Offer::Gentle, outcome) if declined(outcome) => {
            return Some(Attempt { offer: Offer::Any, ..last });
        }
        (Offer::Any, outcome) if declined(outcome) => {
            return tries(LEGACY, last.protocol, Offer::Legacy);
        }
        _ => {}
    }
    if !auto {
        return None;
    }
    match (last.protocol, outcome) {
        // What answered our hello named itself.
        (None, Outcome::NotTls { first }) => {
            let protocol = starttls::identify(first)?;
            tries(GUESSED, Some(protocol), target.offer)
        }
        // Some servers hang up on a hello without a word: these two are often found on odd ports.
        (
            None | Some(Protocol::Postgres),
            Outcome::Closed { stage: Stage::Handshake | Stage::Greeting }
            | Outcome::Reset { stage: Stage::Handshake | Stage::Greeting }
            | Outcome::NotTls { .. },
        ) if last.protocol.is_none() || last.tried & POSTGRES != 0 => {
            tries(POSTGRES, Some(Protocol::Postgres), target.offer)
                .or_else(|| tries(LDAP, Some(Protocol::Ldap), target.offer))
        }
        // "220" opens SMTP, FTP and LMTP alike; a server that does not know EHLO was one of the others.
        (Some(Protocol::Smtp | Protocol::Ftp), Outcome::StarttlsRefused { reply })
            if last.tried & GUESSED != 0 && reply.starts_with('5') =>
        {
            tries(FTP, Some(Protocol::Ftp), target.offer)
                .or_else(|| tries(LMTP, Some(Protocol::Lmtp), target.offer))
        }
        // The port's usual protocol is not spoken there.
        (
            Some(_),
            Outcome::NotTls { .. }
            | Outcome::Malformed { .. }
            | Outcome::Timeout { stage: Stage::Greeting }
            | Outcome::Closed { stage: Stage::Greeting }
            | Outcome::Reset { stage: Stage::Greeting },
        ) => tries(DIRECT, None, target.offer),
        _ => None,
    }
}

/// Whether a server that speaks TLS, but not ours, may have said this.
fn declined(outcome: &Outcome) -> bool {
    match outcome {
        // unexpected_message, handshake_failure, illegal_parameter, decode_error, protocol_version,
        // insufficient_security, internal_error
        Outcome::Alert { description, .. } => matches!(description, 10 | 40 | 47 | 50 | 70 | 71 | 80),
        Outcome::Closed { stage } | Outcome::Reset { stage } => *stage == Stage::Handshake,
        _ => false,
    }
}

/// Of two attempts' outcomes the one to report: the later only if it says more.
pub(super) fn better(earlier: Option<Box<Ended>>, later: Ended) -> Box<Ended> {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::Certificates(_) => 5,
        Outcome::StarttlsRefused { .. }
        | Outcome::TooLarge { .. }
        | Outcome::Unsupported { .. }
        | Outcome::NoCertificate => 4,
        Outcome::Alert { .. } => 3,
        // TLS in answer to a guess at another protocol says only that the guess was wrong.
        Outcome::NotTls { first } if matches!(first.as_slice(), [0x14..=0x17, 3, ..]) => 0,
        Outcome::Malformed { .. } | Outcome::NotTls { .. } => 2,
        _ => 1,
    };
    match earlier {
        Some(earlier) if weight(&earlier.0) >= weight(&later.0) => earlier,
        _ => Box::new(later),
    }
}

/// How an attempt ended, and in which plaintext protocol it began.
pub(super) type Ended = (Outcome, Option<Protocol>);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(starttls: Starttls, port: u16, gentle: bool, outcomes: &[Outcome], expected: &[&str]) {
        let target = Target {
            tag: 0,
            addr: ([127, 0, 0, 1], port).into(),
            sni: None,
            starttls,
            offer: Offer::Any,
            want_client_cas: false,
        };
        let mut attempt = Some(first(&target, &Settings { gentle, ..Settings::default() }));
        let mut made = Vec::new();
        for outcome in outcomes {
            let Some(now) = attempt else { break };
            let name = now.protocol.map_or("tls", Protocol::name);
            made.push(format!("{name} {:?}", now.offer));
            attempt = next(&target, now, outcome);
        }
        assert_eq!(made, expected);
        assert_eq!(attempt, None);
    }

    #[test]
    fn follows_the_plan() {
        let refused = || Outcome::Alert { level: 2, description: 70 };
        let hung_up = || Outcome::Closed { stage: Stage::Handshake };
        let said = |text: &str| Outcome::NotTls { first: text.as_bytes().to_vec() };
        let silent = || Outcome::Timeout { stage: Stage::Greeting };
        check(Starttls::No, 443, false, &[Outcome::Refused], &["tls Any"]);
        check(Starttls::No, 443, false, &[refused(), refused(), refused()], &["tls Any", "tls Legacy"]);
        check(Starttls::No, 443, true, &[refused(), Outcome::NoCertificate], &["tls Gentle", "tls Any"]);
        check(Starttls::No, 443, false, &[said("220 mail ESMTP")], &["tls Any"]);
        let smtp = [said("220 mail ESMTP\r\n"), refused(), refused()];
        check(Starttls::Auto, 4443, false, &smtp, &["tls Any", "smtp Any", "smtp Legacy"]);
        let silent_smtp = [silent(), hung_up(), hung_up(), Outcome::Refused];
        let made = ["smtp Any", "tls Any", "tls Legacy", "postgres Any"];
        let closed = || Outcome::Closed { stage: Stage::Greeting };
        let hangs_up = [hung_up(), hung_up(), closed(), closed()];
        check(Starttls::Auto, 4443, false, &hangs_up, &["tls Any", "tls Legacy", "postgres Any", "ldap Any"]);
        let unknown = || Outcome::StarttlsRefused { reply: "500 what?".into() };
        let lmtp = [said("220 ready\r\n"), unknown(), unknown(), unknown()];
        check(Starttls::Auto, 4443, false, &lmtp, &["tls Any", "smtp Any", "ftp Any", "lmtp Any"]);
        check(Starttls::Auto, 25, false, &silent_smtp, &made);
        check(Starttls::Named(Protocol::Imap), 25, false, &[silent()], &["imap Any"]);
    }
}
