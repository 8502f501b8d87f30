//! What is asked of the process that installs, and what it answers.
//!
//! An order is read from octets of somebody who may be in other hands: it is bounded, its words are checked as they are
//! read, and whether there is such a certificate, target or name is asked of a configuration that is not the asker's. Nothing
//! in it is ever taken as a path or a command.

use notafter_core::deployment::{Before, Check};
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::{Challenge, Identifier, KeyType};
use notafter_pki::fingerprint::{hex, unhex};
use serde::{Deserialize, Serialize};

use crate::issuers::acme::is_token;

/// A certificate has no more names than this here.
const NAMES_MAX: usize = 1_000;
/// A chain has no more certificates than this.
const CHAIN_MAX: usize = 16;
/// A name in the configuration, or of a key, is no longer than this, in octets.
const WORD_MAX: usize = 512;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Who are you?
    Greet,
    /// Make a key for a certificate of these names, and a request signed with it.
    Key {
        /// The names of a certificate in the configuration.
        names: Vec<Identifier>,
        /// Its type.
        key: KeyType,
    },
    /// Sign a request with a key that was made before.
    Request {
        /// The names.
        names: Vec<Identifier>,
        /// The type of the key.
        key: KeyType,
        /// The name of the key.
        handle: String,
    },
    /// Install.
    Deploy {
        /// A certificate's name in the configuration.
        certificate: String,
        /// What one of its targets is called.
        target: String,
        /// Counts what is installed.
        generation: u64,
        /// The chain, the leaf first.
        chain: Chain,
        /// The name of the key.
        key: String,
    },
    /// Put back what was there before this generation.
    RollBack {
        /// A certificate's name.
        certificate: String,
        /// A target's.
        target: String,
        /// Which.
        generation: u64,
    },
    /// Would it install today?
    Rehearse {
        /// A certificate's name.
        certificate: String,
        /// A target's.
        target: String,
    },
    /// Which files does it write?
    Places {
        /// A certificate's name.
        certificate: String,
        /// A target's.
        target: String,
    },
    /// What certificates are in the files that it writes?
    Look {
        /// A certificate's name.
        certificate: String,
        /// A target's.
        target: String,
    },
    /// Show what proves control of a name.
    Present {
        /// A certificate's name.
        certificate: String,
        /// What is shown.
        challenge: Challenge,
    },
    /// Can it be seen?
    IsVisible {
        /// A certificate's name.
        certificate: String,
        /// What is shown.
        challenge: Challenge,
    },
    /// Take it back.
    CleanUp {
        /// A certificate's name.
        certificate: String,
        /// What [`Answer::Shown`] called it.
        handle: String,
    },
    /// Write the revocation lists of a CA where this configuration says.
    Publish {
        /// An issuer's name in the configuration.
        issuer: String,
        /// Its list, and that of its root; DER.
        lists: Chain,
    },
    /// Could it be shown today?
    RehearseSolver {
        /// A certificate's name.
        certificate: String,
        /// For which name.
        name: Identifier,
    },
}

/// Certificates, DER; hexadecimal where they are written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Chain(pub Vec<Vec<u8>>);

impl TryFrom<Vec<String>> for Chain {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let read = |text: &String| unhex(text).ok_or_else(|| "no hexadecimal text".to_owned());
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Chain> for Vec<String> {
    fn from(chain: Chain) -> Self {
        chain.0.iter().map(|der| hex(der)).collect()
    }
}

impl Order {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, or something in it is not as it has to be. Trying again does not mend it.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let order: Self =
            serde_json::from_slice(bytes).map_err(|e| wrong(format!("this is no order: {e}")))?;
        order.check().map_err(wrong)?;
        Ok(order)
    }

    /// What it is about, for a person: its kind, the certificate, the target.
    pub fn about(&self) -> (&'static str, &str, &str) {
        match self {
            Self::Greet => ("greet", "", ""),
            Self::Key { .. } => ("key", "", ""),
            Self::Request { .. } => ("request", "", ""),
            Self::Deploy { certificate, target, .. } => ("deploy", certificate, target),
            Self::RollBack { certificate, target, .. } => ("roll-back", certificate, target),
            Self::Rehearse { certificate, target } => ("rehearse", certificate, target),
            Self::Places { certificate, target } => ("places", certificate, target),
            Self::Look { certificate, target } => ("look", certificate, target),
            Self::Present { certificate, .. } => ("present", certificate, ""),
            Self::IsVisible { certificate, .. } => ("is-visible", certificate, ""),
            Self::CleanUp { certificate, .. } => ("clean-up", certificate, ""),
            Self::Publish { issuer, .. } => ("publish", issuer, ""),
            Self::RehearseSolver { certificate, .. } => ("rehearse-solver", certificate, ""),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (_, certificate, target) = self.about();
        word("certificate", certificate)?;
        word("target", target)?;
        match self {
            Self::Key { names, .. } => names_of(names),
            Self::Request { names, handle, .. } => names_of(names).and_then(|()| word("key", handle)),
            Self::Deploy { chain, key, generation, .. } => {
                if !(1..=CHAIN_MAX).contains(&chain.0.len()) {
                    return Err(format!(
                        "a chain has 1 to {CHAIN_MAX} certificates, this one {}",
                        chain.0.len()
                    ));
                }
                nth(*generation)?;
                word("key", key)
            }
            Self::RollBack { generation, .. } => nth(*generation),
            Self::Present { challenge, .. } | Self::IsVisible { challenge, .. } => sound(challenge),
            Self::CleanUp { handle, .. } => word("handle", handle),
            Self::Publish { lists, .. } => match lists.0.len() {
                2 => Ok(()),
                n => Err(format!("{n} revocation lists, and a CA has two")),
            },
            Self::RehearseSolver { name, .. } => names_of(std::slice::from_ref(name)),
            Self::Greet | Self::Rehearse { .. } | Self::Places { .. } | Self::Look { .. } => Ok(()),
        }
    }
}

fn wrong(what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, what).retry(Retry::Never).hint("nothing was touched")
}

fn word(what: &str, text: &str) -> Result<(), String> {
    if text.len() > WORD_MAX || text.chars().any(char::is_control) {
        return Err(format!("`{what}` is too long, or not printable"));
    }
    Ok(())
}

/// Counts from 1, and stays within what a database counts with.
fn nth(generation: u64) -> Result<(), String> {
    if generation == 0 || generation > i64::MAX.unsigned_abs() {
        return Err(format!("there is no generation {generation}"));
    }
    Ok(())
}

fn names_of(names: &[Identifier]) -> Result<(), String> {
    if !(1..=NAMES_MAX).contains(&names.len()) {
        return Err(format!("{} names, and 1 to {NAMES_MAX} are possible", names.len()));
    }
    // As the configuration would have read them: a name that is written otherwise is none.
    match names.iter().find(|name| Identifier::parse(&name.to_string()).as_ref() != Some(*name)) {
        Some(name) => Err(format!("`{}` is no name", name.to_string().escape_debug())),
        None => Ok(()),
    }
}

/// Token and key authorization are base64url, and the second one begins with the first (RFC 8555 sections 8.1 and 8.3; the
/// thumbprint is a SHA-256, RFC 7638).
fn sound(challenge: &Challenge) -> Result<(), String> {
    names_of(std::slice::from_ref(&challenge.identifier))?;
    if !is_token(&challenge.token) {
        return Err("the token is none (RFC 8555 section 8.3)".into());
    }
    let thumbprint = challenge.key_authorization.strip_prefix(challenge.token.as_str());
    let thumbprint = thumbprint.and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    let fits = thumbprint.len() == 43
        && thumbprint.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fits.then_some(())
        .ok_or_else(|| "the key authorization does not belong to the token (RFC 8555 section 8.1)".into())
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Who answers: its version.
    Here(String),
    /// The name of a key, and a request signed with it.
    Made {
        /// The name.
        handle: String,
        /// PKCS#10, DER, hexadecimal.
        csr: Chain,
    },
    /// It is installed.
    Deployed {
        /// What was there before.
        before: Option<Before>,
    },
    /// It is done.
    Done,
    /// What is written where.
    Places(Vec<String>),
    /// What is in the files: where, and the first certificate there (DER, hexadecimal).
    Seen(Vec<(String, Chain)>),
    /// It is shown, and this is what it is taken back by.
    Shown(String),
    /// Whether it can be seen.
    Visible(bool),
    /// What a rehearsal found.
    Checks(Vec<Check>),
    /// It was not done.
    Refused(Fault),
}

#[cfg(test)]
mod tests {
    use notafter_core::UnixTime;
    use notafter_core::issuance::ChallengeType;

    use super::*;

    fn challenge(token: &str, authorization: &str) -> Challenge {
        Challenge {
            identifier: Identifier::Dns("a.test".into()),
            kind: ChallengeType::Http01,
            token: token.into(),
            key_authorization: authorization.into(),
        }
    }

    fn read(order: &Order) -> Result<Order, Fault> {
        Order::read(&serde_json::to_vec(order).expect("JSON"))
    }

    #[test]
    fn orders_come_back_as_they_were() {
        let (certificate, target) = ("web".to_owned(), "files 1".to_owned());
        let names = vec![Identifier::Dns("*.a.test".into()), Identifier::Ip([127, 0, 0, 1].into())];
        let token = "a".repeat(30);
        let shown = challenge(&token, &format!("{token}.{}", "b".repeat(43)));
        for order in [
            Order::Greet,
            Order::Key { names: names.clone(), key: KeyType::Rsa2048 },
            Order::Deploy {
                certificate: certificate.clone(),
                target: target.clone(),
                generation: 7,
                chain: Chain(vec![vec![0x30, 0xff], vec![1]]),
                key: "x".into(),
            },
            Order::RollBack { certificate: certificate.clone(), target, generation: 1 },
            Order::Present { certificate: certificate.clone(), challenge: shown },
            Order::Publish { issuer: "house".into(), lists: Chain(vec![vec![1], vec![2]]) },
            Order::RehearseSolver { certificate, name: names[1].clone() },
        ] {
            assert_eq!(read(&order).expect("read"), order);
        }
    }

    #[test]
    fn what_is_no_order_is_refused() {
        let (token, print) = ("a".repeat(30), "b".repeat(43));
        for (token, authorization) in [
            ("../../../etc/passwd-of-somebody", "../../../etc/passwd-of-somebody.x".to_owned()),
            (token.as_str(), format!("{token}.{print}\n<script>")),
            (token.as_str(), format!("{token}.{}", "b".repeat(42))),
            (token.as_str(), format!("c{token}.{print}")),
            ("short", format!("short.{print}")),
        ] {
            let order =
                Order::Present { certificate: "web".into(), challenge: challenge(token, &authorization) };
            assert!(read(&order).is_err(), "{token} {authorization}");
        }
        let deploy = |chain: Vec<Vec<u8>>, generation| Order::Deploy {
            certificate: "web".into(),
            target: "files 1".into(),
            generation,
            chain: Chain(chain),
            key: "x".into(),
        };
        assert!(read(&deploy(vec![vec![1]], 1)).is_ok());
        for order in [
            deploy(vec![], 1),
            deploy(vec![vec![1]; 17], 1),
            deploy(vec![vec![1]], 0),
            deploy(vec![vec![1]], u64::MAX),
            Order::Key { names: vec![], key: KeyType::EcdsaP256 },
            Order::Key { names: vec![Identifier::Dns("../x".into())], key: KeyType::EcdsaP256 },
            Order::Key { names: vec![Identifier::Dns("A.test".into())], key: KeyType::EcdsaP256 },
            Order::Publish { issuer: "a\0b".into(), lists: Chain(vec![vec![1], vec![2]]) },
            Order::Publish { issuer: "house".into(), lists: Chain(vec![vec![1]; 3]) },
            Order::Rehearse { certificate: "a\nb".into(), target: String::new() },
            Order::Rehearse { certificate: "a".repeat(513), target: String::new() },
        ] {
            assert!(read(&order).is_err(), "{order:?}");
        }
        // There is no place for a command or a path.
        for text in [
            r#"{"do":"roll-back","certificate":"web","target":"t","generation":1,"undo":{"path":"/etc/shadow"}}"#,
            r#"{"do":"rehearse","certificate":"web","target":"t","command":["sh"]}"#,
            r#"{"do":"run","command":["sh"]}"#,
            r#"{"do":"deploy","certificate":"web","target":"t","generation":1,"chain":["zz"],"key":"x"}"#,
            "",
            "[]",
            "\u{0}",
        ] {
            assert!(Order::read(text.as_bytes()).is_err(), "{text}");
        }
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert!(Order::read(&deep).is_err());
    }

    #[test]
    fn faults_arrive_as_they_were() {
        for retry in [Retry::Never, Retry::At(UnixTime(7)), Retry::Backoff] {
            for kind in [FaultKind::NotFound, FaultKind::Refused, FaultKind::System] {
                let refused = Answer::Refused(Fault { retry, ..Fault::new(kind, "why").hint("what") });
                let sent = serde_json::to_vec(&refused).expect("JSON");
                assert_eq!(serde_json::from_slice::<Answer>(&sent).expect("an answer"), refused);
            }
        }
    }
}
