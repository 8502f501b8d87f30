//! What an ACME server complains of (RFC 8555 section 6.7, RFC 9457) and what a person can do about it.
//!
//! The CA's own words are always in the fault; the hint is ours. Nothing is retried here.

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::name::printable;
use serde::Deserialize;

use crate::text::cut;

/// In front of every type of RFC 8555.
const PREFIX: &str = "urn:ietf:params:acme:error:";
/// How much of a CA's own words is passed on.
const WORDS_MAX: usize = 600;
/// Longer than a day no service is waited for without asking again.
const WAIT_MAX: i64 = 86_400;

/// A problem document.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Problem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    title: String,
    /// The HTTP status it came with.
    #[serde(skip)]
    pub(crate) status: u16,
    #[serde(default)]
    subproblems: Vec<Subproblem>,
    /// `Retry-After`, in seconds.
    #[serde(skip)]
    pub(crate) wait: Option<i64>,
    /// Where the terms of service are to be read (`Link: rel="terms-of-service"`).
    #[serde(skip)]
    pub(crate) terms: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Subproblem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    detail: String,
    identifier: Option<super::document::Named>,
}

/// Does the same request have a chance later?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    /// Not before somebody changed something.
    No,
    /// It may.
    Yes,
}

/// The types of RFC 8555 section 6.7 and RFC 9773 section 7.4 that a user meets, and what helps.
const KNOWN: &[(&str, FaultKind, Later, &str)] = &[
    (
        "accountDoesNotExist",
        FaultKind::Refused,
        Later::Yes,
        "the CA does not know this account key: the account is made anew if the CA lets it, else import the right key",
    ),
    ("alreadyRevoked", FaultKind::Invalid, Later::No, "there is nothing left to do"),
    (
        "badCSR",
        FaultKind::Invalid,
        Later::No,
        "the CA does not take such a key or request: try another `key`, or fewer names",
    ),
    (
        "badNonce",
        FaultKind::Unreachable,
        Later::Yes,
        "the CA refused every nonce it gave: something between here and there may serve old answers from a cache",
    ),
    (
        "badRevocationReason",
        FaultKind::Invalid,
        Later::No,
        "the CA does not take this reason: try --reason unspecified",
    ),
    (
        "badSignatureAlgorithm",
        FaultKind::Invalid,
        Later::No,
        "set account_key_type to ecdsa-p256 or rsa-2048, which every CA takes",
    ),
    (
        "caa",
        FaultKind::Refused,
        Later::Yes,
        "a CAA record forbids this CA: add its name to the CAA records of the domain (RFC 8659)",
    ),
    (
        "connection",
        FaultKind::Refused,
        Later::Yes,
        "the CA could not connect from outside: the port (80 for http-01, 443 for tls-alpn-01) must be open to the whole Internet, over IPv6 too if the name has an AAAA record",
    ),
    (
        "dns",
        FaultKind::Refused,
        Later::Yes,
        "the CA could not resolve the name: look at its records and, if it is signed, at DNSSEC",
    ),
    (
        "externalAccountRequired",
        FaultKind::Invalid,
        Later::No,
        "this CA wants an account of its own behind the ACME one: set eab = { kid = \"...\", hmac = { file = \"...\" } } to what it gave you",
    ),
    (
        "incorrectResponse",
        FaultKind::Refused,
        Later::Yes,
        "something else answers for this name: another server behind it, an old record, a redirect",
    ),
    (
        "invalidContact",
        FaultKind::Invalid,
        Later::No,
        "set `contact` to a mail address that exists, or leave it out",
    ),
    (
        "invalidProfile",
        FaultKind::Invalid,
        Later::No,
        "the CA offers no such profile: `notafter rehearse` names those it has",
    ),
    (
        "malformed",
        FaultKind::Invalid,
        Later::No,
        "the CA did not understand the request; if it goes on, please report it with these words",
    ),
    ("orderNotReady", FaultKind::Unreachable, Later::Yes, "the CA is not done with the order yet"),
    (
        "rateLimited",
        FaultKind::Unreachable,
        Later::Yes,
        "a limit of the CA is reached; it ends by itself, and asking sooner does not help",
    ),
    (
        "rejectedIdentifier",
        FaultKind::Invalid,
        Later::No,
        "the CA never issues for this name: it may be on a list of its own, or no public name",
    ),
    (
        "serverInternal",
        FaultKind::Unreachable,
        Later::Yes,
        "the CA has a trouble of its own; its status page may say more",
    ),
    (
        "tls",
        FaultKind::Refused,
        Later::Yes,
        "the CA got no right TLS answer on port 443: is something in front of it that ends TLS?",
    ),
    (
        "unauthorized",
        FaultKind::Refused,
        Later::Yes,
        "what the CA found is not what we showed: does the name lead to this machine, and does nothing else answer there?",
    ),
    ("unsupportedContact", FaultKind::Invalid, Later::No, "write `contact` as a mail address"),
    (
        "unsupportedIdentifier",
        FaultKind::Invalid,
        Later::No,
        "this CA does not issue for addresses, or not in this profile",
    ),
    (
        "userActionRequired",
        FaultKind::Refused,
        Later::No,
        "a person has to act at the CA, most often to agree to new terms of service",
    ),
];

impl Problem {
    /// Reads the body of an answer that is no success.
    pub(crate) fn read(body: &[u8], status: u16, wait: Option<i64>, terms: Option<String>) -> Option<Self> {
        let problem: Self = serde_json::from_slice(body).ok()?;
        if problem.kind.is_empty() && problem.detail.is_empty() {
            return None;
        }
        Some(Self { status, wait, terms, ..problem })
    }

    /// The type, without the prefix of RFC 8555.
    pub(crate) fn kind(&self) -> &str {
        short(&self.kind)
    }

    /// Is it of this type?
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.strip_prefix(PREFIX) == Some(kind)
    }

    /// The CA's own words, in one printable line.
    pub(crate) fn words(&self) -> String {
        let mut all = vec![self.own()];
        for sub in self.subproblems.iter().take(20) {
            let name = sub.identifier.as_ref().map(|named| format!("{}: ", named.value)).unwrap_or_default();
            all.push(format!("{name}{} ({})", sub.detail, short(&sub.kind)));
        }
        cut(&printable(&all.join("; ")), WORDS_MAX)
    }

    fn own(&self) -> String {
        let said = if self.detail.is_empty() { &self.title } else { &self.detail };
        if said.is_empty() { self.kind().to_owned() } else { format!("{said} ({})", self.kind()) }
    }

    /// As a fault. `doing` says what was asked: "the order was refused".
    pub(crate) fn fault(&self, doing: &str, now: UnixTime) -> Fault {
        // A compound problem is one of its parts: the first known of them has the useful hint (RFC 8555 section 6.7.1).
        let mut kinds = vec![self.kind()];
        kinds.extend(self.subproblems.iter().map(|sub| short(&sub.kind)));
        let row = |kind: &str| KNOWN.iter().find(|(known, ..)| *known == kind);
        let compound = matches!(self.kind(), "compound" | "malformed") && kinds.len() > 1;
        let found =
            kinds.iter().skip(usize::from(compound)).find_map(|kind| row(kind)).or_else(|| row(kinds[0]));
        let (kind, later, hint) = match found {
            Some((_, kind, later, hint)) => (*kind, *later, Some(*hint)),
            None if self.status == 429 || self.status >= 500 => (FaultKind::Unreachable, Later::Yes, None),
            None => (FaultKind::Refused, Later::No, None),
        };
        let mut fault = Fault::new(kind, format!("{doing}: {}", self.words()));
        fault.retry = match (later, self.wait) {
            (_, Some(wait)) if self.is_transient() => Retry::At(now.plus(wait.clamp(1, WAIT_MAX))),
            (_, None) if self.is("rateLimited") || self.status == 429 => Retry::At(now.plus(3_600)),
            (Later::Yes, _) => Retry::Backoff,
            (Later::No, _) => Retry::Never,
        };
        fault.hint = hint.map(str::to_owned);
        // In an answer to a request it is about the account; in an authorization, about what the CA found.
        if self.is("unauthorized") && self.status != 0 {
            fault.hint = Some("the CA does not let this account do that: was it deactivated, or is it about something of another account's?".to_owned());
        }
        if self.is("userActionRequired")
            && let Some(terms) = &self.terms
        {
            fault.hint = Some(format!(
                "read the new terms of service at {} and agree to them there",
                cut(&printable(terms), 200)
            ));
        }
        fault
    }

    fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 500..=599)
            || ["rateLimited", "serverInternal", "orderNotReady", "badNonce"].iter().any(|kind| self.is(kind))
    }
}

fn short(kind: &str) -> &str {
    kind.strip_prefix(PREFIX).unwrap_or(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_262_400);

    fn check(body: &str, status: u16, wait: Option<i64>) -> Fault {
        Problem::read(body.as_bytes(), status, wait, None)
            .expect("a problem")
            .fault("the order was refused", NOW)
    }

    #[test]
    fn the_words_of_the_ca_and_a_hint() {
        let fault = check(
            r#"{"type":"urn:ietf:params:acme:error:caa","detail":"CAA record for a.example prevents issuance"}"#,
            403,
            None,
        );
        assert_eq!(fault.context, "the order was refused: CAA record for a.example prevents issuance (caa)");
        assert!(fault.hint.expect("a hint").contains("CAA records"));
        assert_eq!(fault.kind, FaultKind::Refused);
    }

    #[test]
    fn limits_say_when() {
        let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#;
        assert_eq!(check(body, 429, Some(120)).retry, Retry::At(NOW.plus(120)));
        assert_eq!(check(body, 429, None).retry, Retry::At(NOW.plus(3_600)));
        assert_eq!(check(body, 429, Some(i64::MAX)).retry, Retry::At(NOW.plus(WAIT_MAX)));
        assert_eq!(check(r#"{"type":"x:y","detail":"z"}"#, 503, Some(-5)).retry, Retry::At(NOW.plus(1)));
    }

    #[test]
    fn subproblems_name_the_identifier_and_give_the_hint() {
        let fault = check(
            r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"Some of the identifiers were rejected",
                "subproblems":[{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"forbidden",
                "identifier":{"type":"dns","value":"_bad.example"}}]}"#,
            400,
            None,
        );
        assert!(fault.context.ends_with("_bad.example: forbidden (rejectedIdentifier)"), "{fault}");
        assert!(fault.hint.expect("a hint").contains("never issues"));
    }

    #[test]
    fn what_is_none() {
        for body in ["", "{}", "[]", "<html>", "{\"error\":1}", "\"x\""] {
            assert!(Problem::read(body.as_bytes(), 500, None, None).is_none(), "{body}");
        }
        assert!(KNOWN.is_sorted_by_key(|(kind, ..)| *kind));
    }
}
