//! What a registry says of a domain, whichever way it said it, and the statement that is kept of it.
//!
//! States are brought to the words of EPP (RFC 5731, RFC 3915; RDAP's by RFC 8056); a word that is none of them stays
//! as it came. Nothing that changes by the hour is kept, or every look would make another asset of it.

use notafter_core::UnixTime;
use notafter_pki::statement::{Statement, StatementKind};

/// A registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The domain, in ASCII, lower case.
    pub name: String,
    /// When it was registered.
    pub created: Option<UnixTime>,
    /// When it ends, where that is published.
    pub expires: Option<UnixTime>,
    /// The end as it was written, where it came as free text.
    pub expires_text: Option<String>,
    /// Its states, in the words of EPP where there is one.
    pub status: Vec<String>,
    /// Who was paid for it.
    pub registrar: Option<String>,
    /// Whom the registrar writes to.
    pub registrant_email: Option<String>,
    /// Its name servers.
    pub name_servers: Vec<String>,
    /// `rdap` or `whois`.
    pub source: &'static str,
}

/// The words of EPP.
const STATES: &[&str] = &[
    "addPeriod",
    "autoRenewPeriod",
    "clientDeleteProhibited",
    "clientHold",
    "clientRenewProhibited",
    "clientTransferProhibited",
    "clientUpdateProhibited",
    "inactive",
    "linked",
    "ok",
    "pendingCreate",
    "pendingDelete",
    "pendingRenew",
    "pendingRestore",
    "pendingTransfer",
    "pendingUpdate",
    "redemptionPeriod",
    "renewPeriod",
    "serverDeleteProhibited",
    "serverHold",
    "serverRenewProhibited",
    "serverTransferProhibited",
    "serverUpdateProhibited",
    "transferPeriod",
];

/// Other words for some of them: RDAP's, and those of registries.
const OTHERS: &[(&str, &str)] = &[
    ("active", "ok"),
    ("autorenew", "autoRenewPeriod"),
    ("autorenewgraceperiod", "autoRenewPeriod"),
    ("clienthold", "clientHold"),
    ("clientrestricted", "clientUpdateProhibited"),
    ("deleteprohibited", "clientDeleteProhibited"),
    ("grace", "autoRenewPeriod"),
    ("hold", "serverHold"),
    ("notdelegated", "inactive"),
    ("onhold", "serverHold"),
    ("quarantine", "redemptionPeriod"),
    ("redemption", "redemptionPeriod"),
    ("redemptiongraceperiod", "redemptionPeriod"),
    ("registryhold", "serverHold"),
    ("registrarhold", "clientHold"),
    ("renewprohibited", "clientRenewProhibited"),
    ("suspended", "serverHold"),
    ("todelete", "pendingDelete"),
    ("transferprohibited", "clientTransferProhibited"),
    ("updateprohibited", "clientUpdateProhibited"),
];

/// The word of EPP for a state, however it is written: `client hold`, `CLIENT-HOLD`, `clientHold https://icann...`.
pub fn state(text: &str) -> Option<&'static str> {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let known = |word: &str| {
        let epp = STATES.iter().find(|state| state.eq_ignore_ascii_case(word)).copied();
        epp.or_else(|| OTHERS.iter().find(|(other, _)| *other == word).map(|(_, epp)| *epp))
    };
    // The whole text, or its first word before an explanation.
    known(&letters(text)).or_else(|| known(&letters(text.split_whitespace().next()?)))
}

impl Registration {
    /// Adds a state, once.
    pub fn add_state(&mut self, text: &str) {
        let word: String = match state(text) {
            Some(known) => known.to_owned(),
            None => text.split_whitespace().take(6).collect::<Vec<_>>().join("-"),
        };
        if !word.is_empty() && word.len() <= 64 && self.status.len() < 24 && !self.status.contains(&word) {
            self.status.push(word);
        }
    }

    /// The statement that is kept.
    pub fn statement(&self) -> Statement {
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list.dedup();
            list.join(" ")
        };
        let (unicode, _) = idna::domain_to_unicode(&self.name);
        let mut out = Statement::new(StatementKind::Domain, &self.name)
            .name(&self.name)
            .dated(self.created, self.expires)
            .fact("status", sorted(&self.status))
            .fact_if("registrar", self.registrar.as_deref())
            .fact_if("registrant_email", self.registrant_email.as_deref())
            .fact("name_servers", sorted(&self.name_servers))
            .fact_if("expires_text", self.expires_text.as_deref())
            .fact("source", self.source);
        if unicode != self.name {
            out = out.fact("unicode", unicode);
        }
        if let Some(registrar) = &self.registrar {
            out = out.issuer(registrar);
        }
        out
    }
}

/// The part of a name that somebody registered: one label below a public suffix that is a registry's (not one that a
/// hoster offers below its own domain). `None` for a suffix itself and for what is no name.
pub fn registrable(name: &str) -> Option<String> {
    let name = idna::domain_to_ascii(name.trim_end_matches('.')).ok()?.to_ascii_lowercase();
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if name.len() > 253 || !name.contains('.') || !name.split('.').all(label) {
        return None;
    }
    if name.split('.').next_back()?.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let suffix = psl::suffix(name.as_bytes())?;
    if suffix.typ() != Some(psl::Type::Private) {
        return psl::domain_str(&name).map(str::to_owned);
    }
    // A hoster's own suffix: it lies below one that is a registry's, the longest name from the right that is such.
    let starts: Vec<usize> =
        name.rmatch_indices('.').map(|(at, _)| at + 1).chain(std::iter::once(0)).collect();
    let suffix = starts.iter().rev().find_map(|&start| {
        let candidate = name.get(start..)?;
        let suffix = psl::suffix(candidate.as_bytes())?;
        let whole = suffix.as_bytes().len() == candidate.len();
        (whole && suffix.typ() != Some(psl::Type::Private)).then_some(start)
    })?;
    let next = starts.iter().find(|&&start| start < suffix)?;
    name.get(*next..).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_registered() {
        for (name, expected) in [
            ("example.com", Some("example.com")),
            ("www.Example.COM.", Some("example.com")),
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("drill-p22.test", Some("drill-p22.test")),
            ("www.drill-p22.test", Some("drill-p22.test")),
            ("foo.github.io", Some("github.io")),
            ("x.s3.amazonaws.com", Some("amazonaws.com")),
            ("www.blogspot.com", Some("blogspot.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("www.city.kawasaki.jp", Some("city.kawasaki.jp")),
            ("a.b.c.kawasaki.jp", Some("b.c.kawasaki.jp")),
            ("www.食狮.公司.cn", Some("xn--85x722f.xn--55qx5d.cn")),
            ("com", None),
            ("co.uk", None),
            ("", None),
            ("10.0.0.1", None),
            ("a b.com", None),
            ("..", None),
            ("-x.com", None),
        ] {
            assert_eq!(registrable(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn states_have_one_word() {
        for (text, expected) in [
            ("server hold", Some("serverHold")),
            ("clientHold https://icann.org/epp#clientHold", Some("clientHold")),
            ("CLIENT-HOLD", Some("clientHold")),
            ("auto renew period", Some("autoRenewPeriod")),
            ("redemption period", Some("redemptionPeriod")),
            ("active", Some("ok")),
            ("client transfer prohibited", Some("clientTransferProhibited")),
            ("pending delete", Some("pendingDelete")),
            ("in the ocean", None),
            ("", None),
        ] {
            assert_eq!(state(text), expected, "{text}");
        }
        let mut registration = Registration { name: "a.test".to_owned(), ..Registration::default() };
        for text in ["server hold", "serverHold", "Registered until expiry date."] {
            registration.add_state(text);
        }
        assert_eq!(registration.status, ["serverHold", "Registered-until-expiry-date."]);
        let again = registration.statement();
        assert_eq!(Statement::parse(&again.to_bytes()), Some(again));
    }
}
