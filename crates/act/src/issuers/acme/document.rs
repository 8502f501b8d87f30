//! The documents of an ACME server (RFC 8555 section 7.1, RFC 9773, draft-ietf-acme-profiles), read leniently: what a newer
//! CA adds is skipped, what it leaves out is `None`. Every URL in them is still only text: `guard.rs` decides.

use std::collections::BTreeMap;
use std::net::IpAddr;

use notafter_core::UnixTime;
use notafter_core::issuance::Identifier;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::problem::Problem;

/// Where everything is (section 7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    pub(crate) new_nonce: String,
    pub(crate) new_account: String,
    pub(crate) new_order: String,
    #[serde(default)]
    pub(crate) revoke_cert: Option<String>,
    #[serde(default)]
    pub(crate) key_change: Option<String>,
    /// RFC 9773 section 4.1.
    #[serde(default)]
    pub(crate) renewal_info: Option<String>,
    #[serde(default)]
    pub(crate) meta: Meta,
}

/// About the CA (section 7.1.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) terms_of_service: Option<String>,
    #[serde(default)]
    pub(crate) external_account_required: bool,
    /// The domains by which CAA records name it.
    #[serde(default)]
    pub(crate) caa_identities: Vec<String>,
    /// Names and what they are for (draft-ietf-acme-profiles section 3).
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Value>,
}

impl Directory {
    /// Every address it names.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        [&self.new_nonce, &self.new_account, &self.new_order]
            .into_iter()
            .chain(&self.revoke_cert)
            .chain(&self.key_change)
            .chain(&self.renewal_info)
            .map(String::as_str)
    }
}

/// An identifier as it is written in JSON.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) value: String,
}

impl Named {
    /// As a value; `None` where it is of another type (RFC 8555 section 9.7.7, RFC 8738).
    pub(crate) fn identifier(&self) -> Option<Identifier> {
        match self.kind.as_str() {
            "dns" => Some(Identifier::Dns(self.value.trim_end_matches('.').to_ascii_lowercase())),
            "ip" => self.value.parse::<IpAddr>().ok().map(Identifier::Ip),
            _ => None,
        }
    }
}

/// The JSON of an identifier.
pub(crate) fn named(identifier: &Identifier) -> Value {
    match identifier {
        Identifier::Dns(name) => json!({ "type": "dns", "value": name }),
        Identifier::Ip(ip) => json!({ "type": "ip", "value": ip.to_string() }),
    }
}

/// How an order, an authorization or a challenge stands (section 7.1.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
    /// Something newer than these.
    #[default]
    #[serde(other)]
    Unknown,
}

/// An order (section 7.1.3).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OrderDocument {
    #[serde(default)]
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) authorizations: Vec<String>,
    #[serde(default)]
    pub(crate) finalize: String,
    #[serde(default)]
    pub(crate) certificate: Option<String>,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<Problem>,
}

impl OrderDocument {
    /// When it is worth nothing any more.
    pub(crate) fn expires(&self) -> Option<UnixTime> {
        let at = self.expires.as_ref()?.parse::<jiff::Timestamp>().ok()?;
        Some(UnixTime(at.as_second()))
    }
}

/// An authorization (section 7.1.4).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Authorization {
    pub(crate) identifier: Named,
    #[serde(default)]
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) challenges: Vec<ChallengeDocument>,
}

/// A challenge (section 8). Newer types carry no token: only ours must.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ChallengeDocument {
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) error: Option<Problem>,
}

/// Is it a token (section 8.3: at least 128 bits of base64url)? A solver writes file names and records with it.
pub(crate) fn is_token(text: &str) -> bool {
    (22..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// When a certificate should be replaced (RFC 9773 section 4.2).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RenewalInfo {
    pub(crate) suggested_window: Window,
    #[serde(default, rename = "explanationURL")]
    pub(crate) explanation: Option<String>,
}

/// Two instants of RFC 3339.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Window {
    pub(crate) start: String,
    pub(crate) end: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        assert!(is_token("DGyRejmCefe7v4NfDGDKfA"));
        for wrong in
            ["", "short", "../../../../etc/cron.d/x", "DGyRejmCefe7v4NfDGDKfA=", "aaaaaaaaaaaaaaaaaaaaaaa a"]
        {
            assert!(!is_token(wrong), "{wrong}");
        }
        assert!(!is_token(&"a".repeat(257)));
    }

    #[test]
    fn an_authorization_of_a_newer_ca() {
        let text = r#"{"identifier":{"type":"dns","value":"A.Example."},"status":"brand-new","challenges":[
            {"type":"dns-persist-01","url":"https://x/1","status":"pending"},
            {"type":"http-01","url":"https://x/2","status":"pending","token":"t"}],"wildcard":true}"#;
        let read: Authorization = serde_json::from_str(text).expect("an authorization");
        assert_eq!(read.status, Status::Unknown);
        assert_eq!(read.identifier.identifier(), Some(Identifier::Dns("a.example".into())));
        assert_eq!((read.challenges.len(), &read.challenges[0].token), (2, &None));
    }
}
