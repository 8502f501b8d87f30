//! vsftpd: `name=value` without blanks, one certificate for each kind of key.

use std::collections::HashMap;
use std::path::Path;

use super::reading::{address, join};
use super::{At, Checks, Holds, Listen, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "vsftpd",
    mains: &["/etc/vsftpd.conf", "/etc/vsftpd/*.conf", "/usr/local/etc/vsftpd.conf"],
    recognises,
    read,
};

/// What it reads where none is named.
const USUAL: &str = "/usr/share/ssl/certs/vsftpd.pem";

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["vsftpd.conf"]) || has_word(head, &["rsa_cert_file"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    reading.main(path, |reading, path, text| {
        let mut all: HashMap<&str, (&str, At)> = HashMap::new();
        for (number, line) in words::lines(&text, &['#']) {
            if let Some((name, value)) = line.split_once('=') {
                all.insert(name, (value, At::new(path, number)));
            }
        }
        let get = |name: &str| all.get(name).filter(|(value, _)| !value.is_empty());
        let is = |name: &str| get(name).is_some_and(|(value, _)| words::is_on(value));
        if !is("ssl_enable") {
            return;
        }
        let slash = Path::new("/");
        let host = get("listen_address").or_else(|| get("listen_address6")).map_or("", |(host, _)| *host);
        let port = get("listen_port").and_then(|(port, _)| port.parse().ok()).unwrap_or(21);
        let protocol = if is("implicit_ssl") { "tls" } else { "starttls:ftp" };
        let listens: Vec<Listen> =
            address(host).ok().map(|address| Listen { address, port, protocol }).into_iter().collect();
        let mut serve = |certificate: &str, key: Option<&str>, at: &At| {
            let mut serving = reading.serving(join(slash, certificate), at);
            serving.key = key.map(|key| join(slash, key));
            serving.listens.clone_from(&listens);
            serving.default = true;
            reading.serve(serving);
        };
        for (certificate, key) in
            [("rsa_cert_file", "rsa_private_key_file"), ("dsa_cert_file", "dsa_private_key_file")]
        {
            if let Some((file, at)) = get(certificate) {
                serve(file, get(key).map(|(key, _)| *key), at);
            }
        }
        if get("rsa_cert_file").is_none() && get("dsa_cert_file").is_none() {
            serve(USUAL, None, &all["ssl_enable"].1);
        }
        if let Some((file, at)) = get("ca_certs_file") {
            let checks = match () {
                () if is("require_cert") => Checks::ClientsRequired,
                () if is("ssl_request_cert") => Checks::ClientsOptional,
                () => Checks::NobodyAsked,
            };
            reading.trust(join(slash, file), Holds::Cas, checks, (&listens, &[]), at);
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn its_settings_and_what_it_has_without_them() {
        let main = "# c\nlisten_port=2121\nlisten_address=127.0.0.1\nssl_enable=YES\nrsa_cert_file=/a.pem\nrsa_private_key_file=/a.key\nca_certs_file=/ca\nrequire_cert=YES\n";
        check(
            "vsftpd",
            &[("/etc/vsftpd.conf", main)],
            &["serve /a.pem key /a.key [starttls:ftp 127.0.0.1:2121] default @5", "cas /ca required @7"],
        );
        check(
            "vsftpd",
            &[("/etc/vsftpd.conf", "ssl_enable=YES\nimplicit_ssl=YES\nlisten_port=990\n")],
            &["serve /usr/share/ssl/certs/vsftpd.pem [tls *:990] default @1"],
        );
        check("vsftpd", &[("/etc/vsftpd.conf", "ssl_enable=NO\nrsa_cert_file=/a.pem\n")], &[]);
    }
}
