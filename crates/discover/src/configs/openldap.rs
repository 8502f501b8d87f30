//! OpenLDAP's slapd: `slapd.conf`, and the `cn=config` tree in LDIF.
//!
//! Where it listens is said to it at its start: by Debian's and Red Hat's files of defaults, else it is LDAP
//! with and without TLS on their usual ports. LDIF is read where it stands; base64 values are decoded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;

use super::reading::{address, address_and_port, join};
use super::{At, Checks, Holds, Listen, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "openldap",
    mains: &[
        "/etc/ldap/slapd.d/cn=config.ldif",
        "/etc/openldap/slapd.d/cn=config.ldif",
        "/etc/ldap/slapd.conf",
        "/etc/openldap/slapd.conf",
        "/usr/local/etc/openldap/slapd.conf",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["slapd.conf", "cn=config.ldif"])
        || has_word(head, &["olcTLSCertificateFile", "TLSCACertificateFile"])
            && has_word(head, &["TLSCertificateFile", "olcTLSCertificateFile"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let mut settings: HashMap<String, (String, At)> = HashMap::new();
    let ldif = path.extension().is_some_and(|e| e == "ldif");
    load(reading, path, &At::file(path), ldif, &mut settings);
    let get = |name: &str| settings.get(name).map(|(value, at)| (PathBuf::from(value), at.clone()));
    let Some((certificate, at)) = get("tlscertificatefile") else { return };
    let listens = listens(reading);
    let mut serving = reading.serving(certificate, &at);
    serving.key = get("tlscertificatekeyfile").map(|(k, _)| k).filter(|k| *k != serving.certificate);
    serving.listens.clone_from(&listens);
    serving.default = true;
    reading.serve(serving);
    let checks = match settings.get("tlsverifyclient").map_or("never", |(v, _)| v.as_str()) {
        "demand" | "hard" | "true" => Checks::ClientsRequired,
        "allow" | "try" => Checks::ClientsOptional,
        _ => Checks::NobodyAsked,
    };
    for (name, holds) in [
        ("tlscacertificatefile", Holds::Cas),
        ("tlscacertificatepath", Holds::FolderOfCas),
        ("tlscrlfile", Holds::Crl),
    ] {
        if let Some((path, at)) = get(name) {
            reading.trust(path, holds, checks, (&listens, &[]), &at);
        }
    }
}

fn load(
    reading: &mut Reading<'_>,
    path: &Path,
    from: &At,
    ldif: bool,
    out: &mut HashMap<String, (String, At)>,
) {
    reading.enter(path, from, |reading, path, text| {
        for (number, line) in logical(&text, ldif) {
            let at = At::new(path, number);
            let (name, value) = if ldif {
                let Some((name, value)) = line.split_once(':') else { continue };
                let value = match value.strip_prefix(':') {
                    Some(coded) => {
                        let bytes = base64::engine::general_purpose::STANDARD.decode(coded.trim());
                        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
                    }
                    None => value.trim().to_owned(),
                };
                (name.trim().to_ascii_lowercase(), value)
            } else {
                let mut all = words::split(&line).into_iter();
                let name = all.next().unwrap_or_default().to_ascii_lowercase();
                (name, all.next().unwrap_or_default())
            };
            let name = name.strip_prefix("olc").unwrap_or(&name);
            if name == "include" && !ldif {
                load(reading, &join(Path::new("/"), &value), &at, ldif, out);
            } else if name.starts_with("tls") {
                out.insert(name.to_owned(), (value, at));
            }
        }
    });
}

/// Lines that begin with a blank go on with the one before, in both forms.
fn logical(text: &str, ldif: bool) -> Vec<(u32, String)> {
    let mut out: Vec<(u32, String)> = Vec::new();
    for (line, number) in text.lines().zip(1u32..) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        match (line.strip_prefix([' ', '\t']), out.last_mut()) {
            (Some(more), Some((_, whole))) if whole.len() < 1 << 20 => {
                // The blank parts words in slapd.conf and nothing in LDIF.
                if !ldif {
                    whole.push(' ');
                }
                whole.push_str(more);
            }
            _ => out.push((number, line.trim_end().to_owned())),
        }
    }
    out
}

/// `SLAPD_SERVICES="ldap://127.0.0.1/ ldaps:///"`
fn listens(reading: &Reading<'_>) -> Vec<Listen> {
    let mut out = Vec::new();
    for file in ["/etc/default/slapd", "/etc/sysconfig/slapd"] {
        let Ok(bytes) = reading.tree.read(Path::new(file)) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let pairs = words::lines(&text, &['#']).filter_map(|(_, line)| words::pair(line));
        for (_, value) in pairs.filter(|(name, _)| matches!(*name, "SLAPD_SERVICES" | "SLAPD_URLS")) {
            for url in value.split_whitespace() {
                let (protocol, rest, port) = match url.split_once("://") {
                    Some(("ldaps", rest)) => ("tls", rest, 636),
                    Some(("ldap", rest)) => ("starttls:ldap", rest, 389),
                    _ => continue,
                };
                let rest = rest.split('/').next().unwrap_or(rest);
                let (host, own) = address_and_port(rest).unwrap_or((rest, None));
                if let Ok(address) = address(host) {
                    out.push(Listen { address, port: own.unwrap_or(port), protocol });
                }
            }
        }
    }
    if out.is_empty() {
        out.push(Listen { address: None, port: 389, protocol: "starttls:ldap" });
        out.push(Listen::tls(None, 636));
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn both_forms() {
        let main = "include /schema\nTLSCertificateFile /a.pem\nTLSCertificateKeyFile\n /a.key\nTLSCACertificateFile /ca.pem\nTLSVerifyClient demand\n";
        check(
            "openldap",
            &[("/etc/ldap/slapd.conf", main), ("/schema", "")],
            &[
                "serve /a.pem key /a.key [starttls:ldap *:389] [tls *:636] default @2",
                "cas /ca.pem required @5",
            ],
        );
        let ldif = "dn: cn=config\nolcTLSCertificateFile: /a.\n pem\nolcTLSCertificateKeyFile:: L2Eua2V5\n";
        check(
            "openldap",
            &[
                ("/etc/ldap/slapd.d/cn=config.ldif", ldif),
                ("/etc/default/slapd", "SLAPD_SERVICES=\"ldapi:/// ldaps://127.0.0.1:1636/\""),
            ],
            &["serve /a.pem key /a.key [tls 127.0.0.1:1636] default @2"],
        );
    }
}
