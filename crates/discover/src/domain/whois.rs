//! WHOIS (RFC 3912): what comes back is prose with a custom per registry, read by a table of the words that registries
//! use for the few things that matter.
//!
//! A line is `key: value`, `[key] value`, `key......: value`, or a heading with its values below. Bytes that are no
//! UTF-8 are read as Latin-1. Nothing is asked here.

use super::dates;
use super::registration::Registration;

/// What a reply is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A registration.
    Found(Box<Registration>),
    /// Nobody has registered it.
    Nothing,
    /// Asked too often.
    TooOften,
    /// None of these: a refusal in words of its own, or nothing at all.
    Unclear,
}

/// So many lines are read.
const LINES_MAX: usize = 2000;

/// Words for the end, the better ones first: what the registry says counts before what the registrar says.
const ENDS: &[&[&str]] = &[
    &["registryexpirydate", "registryexpirationdate"],
    &[
        "domainexpirationdate",
        "domainexpires",
        "domainexpiry",
        "domainexpirydate",
        "expdate",
        "expirationdate",
        "expirationtime",
        "expiration",
        "expire",
        "expiredate",
        "expireson",
        "expires",
        "expiresat",
        "expiresdate",
        "expireddate",
        "expiry",
        "expirydate",
        "paidtill",
        "recordexpireson",
        "recordexpires",
        "relevantdatesexpirydate",
        "renewal",
        "renewaldate",
        "renewdate",
        "validthru",
        "validuntil",
        "validity",
        "domaindatebilleduntil",
        "domainvalidity",
    ],
    &["registrarregistrationexpirationdate", "registrarexpirationdate"],
    // `Connected (2027/03/31)`: Japanese organisations.
    &["state", "状態", "有効期限"],
];

const CREATED: &[&str] = &[
    "activated",
    "connecteddate",
    "created",
    "createddate",
    "createdon",
    "creationdate",
    "domaincreated",
    "domaincreatedate",
    "domaindateregistered",
    "domainregistrationdate",
    "domainnamecommencementdate",
    "domainregistered",
    "recordcreated",
    "recordcreatedon",
    "registered",
    "registereddate",
    "registeredon",
    "registrationdate",
    "registrationtime",
    "relevantdatesregisteredon",
];

const STATUS: &[&str] = &[
    "domainstate",
    "domainstatus",
    "eppstatus",
    "querystatus",
    "registrationstatus",
    "state",
    "status",
    "domaineppstatus",
];

const REGISTRAR: &[&str] = &[
    "currentregistar",
    "currentregistrar",
    "registrar",
    "registrarname",
    "registrarorganization",
    "registrationserviceprovider",
    "sponsoringregistrar",
    "sponsoringregistrarorganization",
];

const EMAIL: &[&str] =
    &["registrantemail", "registrantcontactemail", "registrantsemail", "holderemail", "registrante-mail"];

const SERVERS: &[&str] =
    &["nameserver", "nameservers", "nserver", "nameserversinformation", "dns", "hostname"];

/// Who knows more: the server of the registry (IANA's answer), or that of the registrar.
const REFERRALS: &[&str] = &["refer", "registrarwhoisserver", "whoisserver", "whois"];

const NOTHING: &[&str] = &[
    "available for purchase",
    "available for registration",
    "does not exist",
    "domain unknown",
    "free for registration",
    "has not been registered",
    "is available",
    "is free",
    "is not registered",
    "no data found",
    "no data was found",
    "no domain exists",
    "no entries found",
    "no entry found",
    "no found",
    "no information available",
    "no information was found",
    "no match",
    "no matching",
    "no object found",
    "no such domain",
    "not available for second level registration",
    "not been registered",
    "not exist",
    "not find matching",
    "not found",
    "not registered",
    "not registrated",
    "nothing found",
    "object_not_found",
    "query returned 0 objects",
    "status: available",
    "status: free",
    "we do not have an entry",
];

const TOO_OFTEN: &[&str] = &[
    "access control limit",
    "exceeded",
    "limit reached",
    "limited to",
    "please try again later",
    "query rate",
    "quota",
    "too many",
    "wait a while",
];

/// Reads a reply about this name.
pub fn read(bytes: &[u8], name: &str) -> Reply {
    let text = text(bytes);
    let lines = lines(&text);
    let mut out = Registration { name: name.to_owned(), source: "whois", ..Registration::default() };
    for words in ENDS {
        let values = lines.iter().filter(|(key, _)| words.contains(&key.as_str()));
        let mut undated = None;
        for (key, value) in values {
            // A state is an end only where a date stands in brackets behind it.
            let inside =
                value.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(date, _)| date);
            let is_state = ["state", "状態"].contains(&key.as_str());
            let date = if is_state { inside.and_then(dates::read) } else { dates::read(value) };
            out.expires = out.expires.or(date);
            if date.is_none() && !is_state && value.bytes().any(|b| b.is_ascii_digit()) {
                undated.get_or_insert_with(|| value.clone());
            }
        }
        if out.expires.is_some() {
            break;
        }
        out.expires_text = out.expires_text.or(undated);
    }
    if out.expires.is_some() {
        out.expires_text = None;
    }
    let all = |words: &'static [&str]| {
        lines.iter().filter(|(key, _)| words.contains(&key.as_str())).map(|(_, v)| v)
    };
    out.created = all(CREATED).find_map(|value| dates::read(value));
    out.registrar = all(REGISTRAR).find(|v| v.len() <= 256).cloned();
    out.registrant_email = all(EMAIL).find(|v| v.contains('@') && !v.contains([' ', '/'])).cloned();
    out.name_servers = all(SERVERS)
        .filter_map(|v| v.split_whitespace().next())
        .map(|v| v.trim_end_matches('.').to_ascii_lowercase())
        .filter(|v| v.contains('.'))
        .take(16)
        .collect();
    for value in all(STATUS) {
        // `ok https://icann.org/epp#ok`, `REGISTERED, DELEGATED`, `ok / autoRenewPeriod`, `ok (paid and in zone)`.
        let plain = value.split("http").next().unwrap_or("").split('(').next().unwrap_or("");
        plain.split([',', '/']).for_each(|state| out.add_state(state.trim().trim_matches('*').trim()));
        if value.to_ascii_lowercase().contains("suspended") {
            out.add_state("serverHold");
        }
    }
    if lines.iter().any(|(key, value)| key == "hold" && value.eq_ignore_ascii_case("yes")) {
        out.add_state("serverHold");
    }
    let lower = text.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    let known = out.expires.is_some() || out.created.is_some() || !out.name_servers.is_empty();
    if known {
        return Reply::Found(Box::new(out));
    }
    // `Status: available` is a state of nobody's domain.
    let squeezed = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    if NOTHING.iter().any(|phrase| squeezed.contains(phrase)) {
        Reply::Nothing
    } else if says(TOO_OFTEN) {
        Reply::TooOften
    } else if out.registrar.is_some() || !out.status.is_empty() {
        Reply::Found(Box::new(out))
    } else {
        Reply::Unclear
    }
}

/// The server that a reply sends to, if it names one.
pub fn referral(bytes: &[u8]) -> Option<String> {
    let text = text(bytes);
    let lines = lines(&text);
    let find = |word: &&str| lines.iter().find(|(key, value)| key == word && !value.is_empty());
    let (_, value) = REFERRALS.iter().find_map(find)?;
    let host = value.trim_start_matches("whois://").trim_start_matches("rwhois://").split('/').next()?;
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    (host.contains('.') && host.len() <= 253 && host.bytes().all(plain)).then_some(host)
}

/// What to send a server for a name: some speak a dialect.
pub fn question(server: &str, name: &str) -> String {
    match server {
        "whois.denic.de" => format!("-T dn,ace {name}\r\n"),
        "whois.jprs.jp" => format!("{name}/e\r\n"),
        "whois.verisign-grs.com" => format!("domain {name}\r\n"),
        _ => format!("{name}\r\n"),
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// Keys in lower case without anything but letters, and values. A heading lends its name to what is below it.
fn lines(text: &str) -> Vec<(String, String)> {
    let letters = |key: &str| -> String {
        key.to_lowercase()
            .chars()
            .filter(|c| c.is_alphabetic() || *c == '-')
            .filter(|c| *c != '-' || key.contains("e-mail"))
            .collect()
    };
    let mut out: Vec<(String, String)> = Vec::new();
    let mut heading = String::new();
    for line in text.lines().take(LINES_MAX) {
        let line: String = line.chars().take(1024).collect();
        let trimmed = line.trim();
        if trimmed.is_empty() {
            heading.clear();
            continue;
        }
        if trimmed.starts_with(['%', '#', '>']) {
            continue;
        }
        let bracketed = trimmed.find('[').filter(|at| *at <= 3).and_then(|at| {
            let (key, value) = trimmed.get(at + 1..)?.split_once(']')?;
            Some((key, value))
        });
        let (key, value) = match bracketed.or_else(|| trimmed.split_once(':')) {
            // A year before the colon: it is one of a time, and the key is words.
            Some((key, value)) if key.len() <= 60 && !has_year(key) => (letters(key), value.trim()),
            _ => {
                // `Record expires on 2027-03-01`, `Registered on 30th April`: a key of words before the first digit.
                let digit = trimmed.find(|c: char| c.is_ascii_digit()).filter(|at| (4..=40).contains(at));
                if let Some((key, value)) = digit.and_then(|at| trimmed.split_at_checked(at)) {
                    out.push((letters(key), value.trim().to_owned()));
                }
                // Everything below a heading is its value; without a colon it may be a heading itself.
                if heading.is_empty() {
                    heading = letters(trimmed);
                } else {
                    out.push((heading.clone(), trimmed.to_owned()));
                }
                continue;
            }
        };
        if value.is_empty() {
            heading = key;
        } else {
            if !heading.is_empty() {
                out.push((format!("{heading}{key}"), value.to_owned()));
                // `Registrar:` / `name: ...` of Estonia: the name is the thing.
                if key == "name" || key == "organization" {
                    out.push((heading.clone(), value.to_owned()));
                }
            }
            out.push((key, value.to_owned()));
        }
    }
    out
}

/// Are there four digits in a row?
fn has_year(text: &str) -> bool {
    text.as_bytes().windows(4).any(|four| four.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Registration {
        match read(text.as_bytes(), "example.test") {
            Reply::Found(found) => *found,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn check(text: &str, ends: &str, status: &str) {
        let found = found(text);
        let end = found.expires.map_or_else(|| "none".to_owned(), |t| t.to_string());
        assert_eq!((end.as_str(), found.status.join(" ").as_str()), (ends, status), "{text}");
    }

    #[test]
    fn customs_of_registries() {
        check(
            "Domain Name: EXAMPLE.TEST\r\nRegistrar Registration Expiration Date: 2028-01-01T00:00:00Z\r\n\
             Registry Expiry Date: 2027-03-01T08:30:00Z\r\nDomain Status: serverHold https://icann.org/epp#serverHold\r\n\
             Domain Status: clientTransferProhibited\r\n",
            "2027-03-01T08:30:00Z",
            "serverHold clientTransferProhibited",
        );
        check(
            "domain: X\nstate: REGISTERED, NOT DELEGATED\npaid-till: 2027-03-01T21:00:00Z\nfree-date: 2027-04-05\n",
            "2027-03-01T21:00:00Z",
            "REGISTERED inactive",
        );
        check(
            "Domain: x.it\nStatus: ok / autoRenewPeriod\nExpire Date: 2027-03-01\n",
            "2027-03-01T00:00:00Z",
            "ok autoRenewPeriod",
        );
        check(
            "[Domain Name]  X.CO.JP\n[State]  Connected (2027/03/31)\n[Connected Date] 2001/03/22\n",
            "2027-03-31T00:00:00Z",
            "Connected",
        );
        check(
            "Domain:\n  x.uk\n\nRegistrar:\n  Names Ltd [Tag = NAMES]\n\nRelevant dates:\n  Registered on: 01-Mar-2001\n  Expiry date:  01-Mar-2027\n\n\
               Registration status:\n  *** This registration has been SUSPENDED. ***\n",
            "2027-03-01T00:00:00Z",
            "This-registration-has-been-SUSPENDED. serverHold",
        );
        check(
            "domain: x.fr\nhold: YES\nstatus: ACTIVE\nExpiry Date: 2027-03-01T08:30:00Z\n",
            "2027-03-01T08:30:00Z",
            "ok serverHold",
        );
        check("Domain: x.de\nNserver: ns1.x.de\nStatus: connect\n", "none", "connect");
        check("   Record expires on 2027-03-01 08:00:00 (UTC+8)\n", "2027-03-01T00:00:00Z", "");
        check("   Record expires on 2027-03-01 (YYYY-MM-DD)\n", "2027-03-01T00:00:00Z", "");
        check(
            "domain............: x.fi\nstatus............: Registered\nexpires............: 1.3.2027 08:30:00\n",
            "2027-03-01T08:30:00Z",
            "Registered",
        );
        let odd = found("Domain: x\nExpires: soon, in year 5\ncreated: 2001-01-01\n");
        assert_eq!((odd.expires, odd.expires_text.as_deref()), (None, Some("soon, in year 5")));
        let estonian = found(
            "Domain:\nname: x.ee\nexpire: 2027-03-01\n\nRegistrant:\nemail: a@x.ee\n\nRegistrar:\nname: Zone\n",
        );
        assert_eq!(
            (estonian.registrar.as_deref(), estonian.registrant_email.as_deref()),
            (Some("Zone"), Some("a@x.ee"))
        );
    }

    #[test]
    fn what_is_no_registration() {
        for (text, expected) in [
            ("No match for \"X.COM\".\r\n", Reply::Nothing),
            ("Domain: x.de\nStatus: free\n", Reply::Nothing),
            ("Status:       AVAILABLE\n", Reply::Nothing),
            ("Your connection limit exceeded. Please slow down\n", Reply::TooOften),
            ("", Reply::Unclear),
            ("Hello.\n", Reply::Unclear),
        ] {
            assert_eq!(read(text.as_bytes(), "x.test"), expected, "{text}");
        }
    }

    #[test]
    fn referrals() {
        for (text, expected) in [
            ("refer:        whois.nic.example\n\nwhois: whois.other.example\n", Some("whois.nic.example")),
            ("whois:        whois.nic.example\n", Some("whois.nic.example")),
            ("   Registrar WHOIS Server: WHOIS.names.example\n", Some("whois.names.example")),
            ("Whois Server: whois://whois.names.example/\n", Some("whois.names.example")),
            ("refer: \n", None),
            ("refer: 127.0.0.1 x\n", None),
            ("refer: localhost\n", None),
        ] {
            assert_eq!(referral(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
