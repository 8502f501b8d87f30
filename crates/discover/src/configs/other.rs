//! Everything else that names certificate files: settings, units, manifests and environments of programs that have no
//! reader of their own.
//!
//! A line counts where its key says that a certificate follows and the path after it is that of a file that is there.
//! Whether a program shows it as a server or as a client is told by the words of the key and of the section above it;
//! where it listens is not known. Nothing is said of what is missing: what looks like a path may be none. Anchors and
//! keys are passed over.

use std::path::Path;

use super::reading::{folder_of, join};
use super::{At, Reading, Server, is_named};

pub(super) const SERVER: Server = Server { name: "a program", mains: &[], recognises, read };

/// Certificates end so.
const ENDINGS: &[&str] =
    &[".pem", ".crt", ".cer", ".cert", ".p12", ".pfx", ".jks", ".keystore", ".bks", ".der"];
/// So much of a file is looked at to tell what it is.
pub(crate) const HEAD: usize = 32 << 10;
/// No longer line is one that a person wrote.
const LINE_MAX: usize = 4096;
/// So deep are sections within one another.
const DEPTH_MAX: usize = 32;

fn recognises(path: &Path, head: &[u8]) -> bool {
    // Ours, and what renewers keep: to name a file is not to use it.
    if is_named(path, &["notafter.toml"]) || path.components().any(|c| c.as_os_str() == "renewal") {
        return false;
    }
    let has = |word: &[u8]| memchr::memmem::find(head, word).is_some();
    // A path that ends like one of a certificate, and a word for it.
    ENDINGS.iter().any(|ending| has(ending.as_bytes()))
        && [&b"ert"[..], b"ERT", b"crt", b"eystore", b"EYSTORE"].iter().any(|word| has(word))
}

/// What a file is there for.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    Server,
    Client,
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let curl = is_named(path, &[".curlrc", "_curlrc", "curlrc"]);
    reading.main(path, |reading, path, text| {
        let mut above: Vec<(usize, String)> = Vec::new();
        for (number, line) in (1u32..).zip(text.lines()) {
            let bare = line.trim().to_ascii_lowercase();
            if line.len() > LINE_MAX
                || bare.is_empty()
                || bare.starts_with(['#', ';'])
                || bare.starts_with("//")
            {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            above.retain(|(depth, _)| *depth < indent || *depth == usize::MAX);
            let section = bare.strip_prefix('[').and_then(|rest| rest.split(']').next());
            if let Some(section) = section.filter(|name| !name.contains(['"', '/'])) {
                above.clear();
                above.push((usize::MAX, section.to_owned()));
                continue;
            }
            for (before, file) in paths(line) {
                let mut key = before.to_ascii_lowercase();
                // An item of a list is what the list is.
                if !key.contains(|c: char| c.is_ascii_alphanumeric()) {
                    key = above.last().map(|(_, name)| name.clone()).unwrap_or_default();
                }
                if !is_certificate(&key) {
                    continue;
                }
                let file = join(&folder, file);
                if !reading.tree.resolve(&file).is_ok_and(|real| reading.tree.is_file(&real)) {
                    continue;
                }
                let at = At::new(path, number);
                let sections = above.iter().map(|(_, name)| name.as_str());
                match used_as(&key, sections) {
                    Use::Server if !curl => {
                        let serving = reading.serving(file, &at);
                        reading.serve(serving);
                    }
                    _ => reading.client(file, None, None, &at),
                }
            }
            // A key with nothing behind it holds what is further in.
            let opens = bare.trim_end_matches(['{', '[', ' ']).trim_start_matches(['-', ' ', '"', '<']);
            if (bare.ends_with([':', '{', '[', '>']) || opens.ends_with(':')) && above.len() < DEPTH_MAX {
                above.push((indent, opens.trim_end_matches([':', '"', '>']).to_owned()));
            }
        }
    });
}

/// The paths of certificates in a line, each with what stands before it, back to the path before.
fn paths(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut from = 0;
    let is_path = |c: char| {
        !c.is_whitespace()
            && !matches!(c, '"' | '\'' | '=' | ',' | '<' | '>' | '(' | ')' | '{' | '}' | ';' | '`')
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < line.len() {
            let rest = line.get(at..)?;
            let skipped: usize = rest.chars().take_while(|c| !is_path(*c)).map(char::len_utf8).sum();
            let token = rest.get(skipped..)?;
            let length: usize = token.chars().take_while(|c| is_path(*c)).map(char::len_utf8).sum();
            let (start, end) = (at + skipped, at + skipped + length);
            at = end.max(at + 1);
            let token = line.get(start..end)?;
            // `key:/path` has no blank.
            let path = token.find('/').map_or(token, |slash| {
                let colon = token.get(..slash).unwrap_or("").rfind(':').map_or(0, |colon| colon + 1);
                token.get(colon..).unwrap_or(token)
            });
            let lower = path.to_ascii_lowercase();
            let whole = ENDINGS.iter().any(|ending| lower.ends_with(ending))
                && !path.contains("://")
                && path.len() > 5;
            if whole && (path.starts_with("./") || !path.starts_with(['.', '*'])) {
                let before = line.get(from..end - path.len())?;
                from = end;
                return Some((before, path));
            }
        }
        None
    })
}

/// Does a key say that a certificate follows, and not what others are checked against? A private key that it says
/// follows is no certificate, whatever it is called.
fn is_certificate(key: &str) -> bool {
    const ANCHORS: &[&str] = &[
        "ca",
        "cas",
        "cacert",
        "cacerts",
        "cafile",
        "capath",
        "castore",
        "trust",
        "trusted",
        "truststore",
        "root",
        "roots",
        "rootcert",
        "sslrootcert",
        "anchor",
        "anchors",
        "crl",
        "issuer",
        "authority",
        "verify",
        "bundle",
        "request",
        "csr",
        "archive",
        "backup",
        "old",
        "copy",
        "url",
        "rm",
        "cp",
        "mv",
        "log",
    ];
    let last = key.rsplit([';', '&', '|']).next().unwrap_or(key);
    let mut words = last.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let any = |test: fn(&str) -> bool| words.clone().any(test);
    let cert = any(|word| {
        ["cert", "crt", "certificate", "keystore", "pkcs12", "pfx", "identity"]
            .iter()
            .any(|known| word.contains(known))
    });
    let anchor = words.any(|word| {
        ANCHORS.contains(&word)
            || word.starts_with("ca") && (word.contains("cert") || word.contains("file"))
            || word.contains("clientca")
            || word.contains("trust")
    });
    cert && !anchor
}

/// By the words of the key and of the sections around it.
fn used_as<'k>(key: &str, sections: impl Iterator<Item = &'k str>) -> Use {
    // etcd calls the side that clients connect to by this name.
    const SERVING: &[&str] = &["client-transport-security", "server"];
    const CLIENT: &[&str] =
        &["client", "sslcert", "upstream", "proxy", "remote", "etcd-cert", "output", "partner"];
    const WITHIN: &[&str] = &[
        "client",
        "tls_config",
        "output",
        "upstream",
        "remote",
        "scrape",
        "exporter",
        "sink",
        "publisher",
        "proxy",
    ];
    let sections: Vec<&str> = sections.collect();
    if CLIENT.iter().any(|word| key.contains(word)) && !key.contains("server") {
        return Use::Client;
    }
    let nearest = sections.iter().rev().find_map(|name| {
        if SERVING.iter().any(|word| name.contains(word)) {
            return Some(Use::Server);
        }
        WITHIN.iter().any(|word| name.contains(word)).then_some(Use::Client)
    });
    nearest.unwrap_or(Use::Server)
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    fn files<'f>(main: (&'f str, &'f str)) -> Vec<(&'f str, &'f str)> {
        vec![
            main,
            ("/etc/x/a.pem", "."),
            ("/etc/x/a.key", "."),
            ("/etc/x/ca.pem", "."),
            ("/etc/x/b.p12", "."),
        ]
    }

    #[test]
    fn servers() {
        for (path, text) in [
            (
                "/etc/squid/squid.conf",
                "https_port 3129 ssl-bump tls-cert=/etc/x/a.pem tls-key=/etc/x/a.key\n",
            ),
            ("/etc/vsftpd.conf", "rsa_cert_file=/etc/x/a.pem\nrsa_private_key_file=/etc/x/a.key\n"),
            (
                "/etc/mongod.conf",
                "net:\n  tls:\n    mode: requireTLS\n    certificateKeyFile: /etc/x/a.pem\n    CAFile: /etc/x/ca.pem\n",
            ),
            ("/etc/coturn/turnserver.conf", "cert=/etc/x/a.pem\npkey=/etc/x/a.key\n"),
            (
                "/srv/a.service",
                "[Service]\nExecStart=/bin/app --tls-cert=/etc/x/a.pem --tls-key /etc/x/a.key\n",
            ),
            ("/srv/pod.yaml", "  - --tls-cert-file=/etc/x/a.pem\n  - --client-ca-file=/etc/x/ca.pem\n"),
            ("/srv/etcd.yml", "client-transport-security:\n  cert-file: /etc/x/a.pem\n"),
            ("/srv/list.yml", "tls:\n  certificates:\n    - /etc/x/a.pem\n"),
            ("/srv/grafana.ini", "[server]\ncert_file = /etc/x/a.pem\n"),
            ("/srv/app.json", "{\"tls\": {\"certFile\": \"/etc/x/a.pem\"}}"),
            ("/srv/radius/eap.conf", "  certificate_file = /etc/x/a.pem\n  ca_file = /etc/x/ca.pem\n"),
        ] {
            let line = text.lines().position(|l| l.contains("a.pem")).map_or(0, |n| n + 1);
            check("a program", &files((path, text)), &[&format!("serve /etc/x/a.pem @{line}")]);
        }
    }

    #[test]
    fn clients() {
        for (path, text) in [
            ("/home/me/.curlrc", "cert = \"/etc/x/a.pem\"\n"),
            (
                "/etc/prometheus/prometheus.yml",
                "scrape_configs:\n- job_name: a\n  tls_config:\n    cert_file: /etc/x/a.pem\n",
            ),
            ("/srv/pg_service.conf", "[partner]\nsslcert=/etc/x/a.pem\n"),
            ("/srv/app.env", "CLIENT_CERT=/etc/x/a.pem\n"),
            ("/srv/apiserver.yaml", "    - --etcd-certfile=/etc/x/a.pem\n"),
            ("/srv/rsyslog.conf", "[client]\nssl-cert = /etc/x/a.pem\n"),
        ] {
            let line = text.lines().position(|l| l.contains("a.pem")).map_or(0, |n| n + 1);
            check("a program", &files((path, text)), &[&format!("client /etc/x/a.pem @{line}")]);
        }
    }

    #[test]
    fn neither() {
        for text in [
            "ca_cert = /etc/x/ca.pem\n",
            "key = /etc/x/a.key\n",
            "certificates:\n  logo: /etc/x/a.png\n",
            "# cert = /etc/x/a.pem\n",
            "cert = /etc/x/missing.pem\n",
            "cert = https://a.test/etc/x/a.pem\n",
            "logo = /etc/x/a.pem\n",
        ] {
            check("a program", &files(("/srv/x.conf", text)), &[]);
        }
    }
}
