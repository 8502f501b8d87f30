//! Java: Tomcat's `server.xml`, and the properties that name keystores to any virtual machine.
//!
//! `${name}` is looked up in what Tomcat sets itself and in `catalina.properties`; what is not found is a
//! blind spot. A keystore's password is kept for whoever opens it, and never printed.

mod xml;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, folder_of, join};
use super::{At, Checks, Holds, Listen, Name, Password, Reading, Server, Serving, has_word, is_named, words};
use xml::{Tag, tags};

pub(super) const TOMCAT: Server = Server {
    name: "tomcat",
    mains: &[
        "/etc/tomcat*/server.xml",
        "/var/lib/tomcat*/conf/server.xml",
        "/opt/tomcat*/conf/server.xml",
        "/opt/apache-tomcat*/conf/server.xml",
        "/usr/local/tomcat*/conf/server.xml",
        "/usr/share/tomcat*/conf/server.xml",
    ],
    recognises: |path, head| {
        is_named(path, &["server.xml"]) && has_word(head, &["Connector", "Service", "Server"])
    },
    read: tomcat,
};

pub(super) const JVM: Server = Server {
    name: "jvm",
    mains: &[
        "/etc/default/tomcat*",
        "/etc/default/jenkins",
        "/etc/default/jetty*",
        "/etc/*/jvm.options",
        "/etc/*/jvm.options.d/*.options",
        "/etc/kafka/server.properties",
        "/etc/kafka/*.properties",
        "/opt/kafka/config/*.properties",
        "/opt/tomcat*/bin/setenv.sh",
    ],
    recognises: |path, head| {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        memchr::memmem::find(head, b"javax.net.ssl.").is_some()
            || ending == "properties"
                && [
                    "ssl.keystore.location",
                    "ssl.truststore.location",
                    "server.ssl.key-store",
                    "server.ssl.certificate",
                    "https-certificate-file",
                ]
                .iter()
                .any(|w| memchr::memmem::find(head, w.as_bytes()).is_some())
    },
    read: jvm,
};

fn tomcat(reading: &mut Reading<'_>, path: &Path) {
    // `conf/server.xml`, whose home is above; Debian keeps conf in /etc and the home in /var/lib.
    let conf = folder_of(path);
    let mut base = if conf.ends_with("conf") { folder_of(&conf) } else { conf.clone() };
    if let Some(name) =
        conf.strip_prefix("/etc").ok().filter(|n| n.as_os_str().to_string_lossy().starts_with("tomcat"))
    {
        base = Path::new("/var/lib").join(name);
    }
    let mut known: HashMap<String, String> = HashMap::new();
    for name in ["catalina.base", "catalina.home"] {
        known.insert(name.to_owned(), base.to_string_lossy().into_owned());
    }
    if let Ok(bytes) = reading.tree.read(&conf.join("catalina.properties")) {
        let text = String::from_utf8_lossy(&bytes);
        known.extend(
            words::lines(&text, &['#', '!'])
                .filter_map(|(_, l)| words::pair(l))
                .map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
    }
    reading.main(path, |reading, path, text| {
        let mut connector: Option<Connector> = None;
        for tag in tags(&text) {
            let at = At::new(path, tag.line);
            match (tag.name.as_str(), tag.closing) {
                ("Connector", false) => {
                    if let Some(done) = connector.take() {
                        done.finish(reading, &base);
                    }
                    connector = Connector::begin(reading, &tag, &at, &known);
                    if tag.alone
                        && let Some(done) = connector.take()
                    {
                        done.finish(reading, &base);
                    }
                }
                ("Connector", true) => {
                    if let Some(done) = connector.take() {
                        done.finish(reading, &base);
                    }
                }
                ("SSLHostConfig", false) => {
                    if let Some(c) = &mut connector {
                        c.host(&tag, &at, &known);
                    }
                }
                ("Certificate", false) => {
                    if let Some(c) = &mut connector {
                        c.certificate(reading, &tag, &at, &known);
                    }
                }
                _ => {}
            }
        }
        if let Some(done) = connector {
            done.finish(reading, &base);
        }
    });
}

/// A port of Tomcat with TLS.
struct Connector {
    listen: Option<Listen>,
    default_host: String,
    hosts: Vec<Host>,
}

struct Host {
    name: String,
    checks: Checks,
    certificates: Vec<Found>,
    trusts: Vec<(String, Holds, Option<Password>, At)>,
}

struct Found {
    certificate: String,
    key: Option<String>,
    chain: Option<String>,
    alias: Option<String>,
    password: Option<Password>,
    at: At,
}

type Known = HashMap<String, String>;

impl Connector {
    fn begin(reading: &mut Reading<'_>, tag: &Tag, at: &At, known: &Known) -> Option<Self> {
        let on = tag.get("SSLEnabled", known).is_some_and(|v| words::is_on(&v));
        let port = tag.get("port", known).and_then(|p| p.parse().ok());
        let listen = match address(&tag.get("address", known).unwrap_or_default()) {
            Ok(address) => port.map(|port| Listen::tls(address, port)),
            Err(()) => {
                reading.blind(at, Reason::Dns, "the connector's address is a name");
                None
            }
        };
        let default_host =
            tag.get("defaultSSLHostConfigName", known).unwrap_or_else(|| "_default_".to_owned());
        let mut out = Self { listen, default_host: default_host.clone(), hosts: Vec::new() };
        // Tomcat 8 and before say it all on the connector.
        let own = ["keystoreFile", "SSLCertificateFile", "keystorePass", "truststoreFile"]
            .iter()
            .any(|n| tag.get(n, known).is_some());
        if own {
            let mut host = Host::of(tag, default_host, at, known);
            let keystore =
                tag.get("keystoreFile", known).unwrap_or_else(|| "${user.home}/.keystore".to_owned());
            host.certificates.push(Found {
                certificate: tag.get("SSLCertificateFile", known).unwrap_or(keystore),
                key: tag.get("SSLCertificateKeyFile", known),
                chain: tag.get("SSLCertificateChainFile", known),
                alias: tag.get("keyAlias", known),
                password: tag
                    .get("keystorePass", known)
                    .or_else(|| tag.get("SSLPassword", known))
                    .map(Password::Inline),
                at: at.clone(),
            });
            out.hosts.push(host);
        }
        on.then_some(out)
    }

    fn host(&mut self, tag: &Tag, at: &At, known: &Known) {
        let name = tag.get("hostName", known).unwrap_or_else(|| "_default_".to_owned());
        let mut host = Host::of(tag, name, at, known);
        // Tomcat 8.5 allows a single certificate here.
        if let Some(found) = found(tag, at, known) {
            host.certificates.push(found);
        }
        self.hosts.push(host);
    }

    fn certificate(&mut self, reading: &mut Reading<'_>, tag: &Tag, at: &At, known: &Known) {
        match (found(tag, at, known), self.hosts.last_mut()) {
            (Some(found), Some(host)) => host.certificates.push(found),
            (None, _) => reading.blind(at, Reason::UnsupportedFormat, "a certificate without a file"),
            (_, None) => {}
        }
    }

    fn finish(self, reading: &mut Reading<'_>, base: &Path) {
        let listens: Vec<Listen> = self.listen.into_iter().collect();
        for host in self.hosts {
            let default = host.name.eq_ignore_ascii_case(&self.default_host);
            let names = if host.name == "_default_" { Vec::new() } else { vec![Name::plain(&host.name)] };
            for found in host.certificates {
                let Some(path) = resolve(reading, base, &found.certificate, &found.at) else { continue };
                let mut serving = reading.serving(path, &found.at);
                serving.key = found.key.as_deref().and_then(|k| resolve(reading, base, k, &found.at));
                serving.chain = found.chain.as_deref().and_then(|c| resolve(reading, base, c, &found.at));
                serving.alias = found.alias;
                serving.password = found.password;
                serving.listens.clone_from(&listens);
                serving.names.clone_from(&names);
                serving.default = default;
                reading.serve(serving);
            }
            for (text, holds, password, at) in host.trusts {
                let Some(path) = resolve(reading, base, &text, &at) else { continue };
                let before = reading.out.trusts.len();
                reading.trust(path, holds, host.checks, (&listens, &names), &at);
                if let Some(trust) = reading.out.trusts.get_mut(before) {
                    trust.password = password;
                }
            }
        }
    }
}

impl Host {
    fn of(tag: &Tag, name: String, at: &At, known: &Known) -> Self {
        let asked = tag
            .get("certificateVerification", known)
            .or_else(|| tag.get("clientAuth", known))
            .or_else(|| tag.get("SSLVerifyClient", known));
        let checks = match asked.unwrap_or_default().to_ascii_lowercase().as_str() {
            "required" | "true" | "require" => Checks::ClientsRequired,
            "optional" | "want" | "optionalnoca" => Checks::ClientsOptional,
            _ => Checks::NobodyAsked,
        };
        let mut trusts = Vec::new();
        for (name, holds) in [
            ("truststoreFile", Holds::Cas),
            ("caCertificateFile", Holds::Cas),
            ("SSLCACertificateFile", Holds::Cas),
            ("caCertificatePath", Holds::FolderOfCas),
            ("certificateRevocationListFile", Holds::Crl),
            ("crlFile", Holds::Crl),
        ] {
            if let Some(path) = tag.get(name, known) {
                let password =
                    tag.get("truststorePassword", known).or_else(|| tag.get("truststorePass", known));
                let password = password.filter(|_| name == "truststoreFile").map(Password::Inline);
                trusts.push((path, holds, password, at.clone()));
            }
        }
        Self { name, checks, certificates: Vec::new(), trusts }
    }
}

fn found(tag: &Tag, at: &At, known: &Known) -> Option<Found> {
    let certificate =
        tag.get("certificateFile", known).or_else(|| tag.get("certificateKeystoreFile", known))?;
    let file = tag.get("certificateKeystorePasswordFile", known).map(|f| Password::File(PathBuf::from(f)));
    let inline =
        tag.get("certificateKeystorePassword", known).or_else(|| tag.get("certificateKeyPassword", known));
    Some(Found {
        certificate,
        key: tag.get("certificateKeyFile", known),
        chain: tag.get("certificateChainFile", known),
        alias: tag.get("certificateKeyAlias", known),
        password: file.or_else(|| inline.map(Password::Inline)),
        at: at.clone(),
    })
}

fn resolve(reading: &mut Reading<'_>, base: &Path, text: &str, at: &At) -> Option<PathBuf> {
    if text.contains("${") {
        reading.blind(
            at,
            Reason::UnsupportedFormat,
            format!("{text}: this property is not set where it is looked for"),
        );
        return None;
    }
    Some(join(base, text.strip_prefix("file:").map_or(text, |t| t.trim_start_matches("//"))))
}

/// `-Djavax.net.ssl.keyStore=...`, Kafka's `ssl.keystore.location`, Spring's and Quarkus' own words.
fn jvm(reading: &mut Reading<'_>, path: &Path) {
    reading.main(path, |reading, path, text| {
        let mut all: HashMap<String, (String, At)> = HashMap::new();
        for (number, line) in words::joined(&text) {
            let at = At::new(path, number);
            let line = line.trim();
            if line.starts_with(['#', '!']) {
                continue;
            }
            let mut rest = line;
            while let Some((_, behind)) = rest.split_once("-Djavax.net.ssl.") {
                if let Some((name, value)) = behind.split_once('=') {
                    let value = match value.strip_prefix(['"', '\'']) {
                        Some(quoted) => quoted.split(['"', '\'']).next().unwrap_or(quoted),
                        None => value.split([' ', '"', '\'', '\t']).next().unwrap_or(value),
                    };
                    all.insert(format!("javax.{name}"), (value.to_owned(), at.clone()));
                }
                rest = behind;
            }
            if let Some((name, value)) = line.split_once(['=', ':']).filter(|_| !line.contains("-D")) {
                let name = name
                    .trim()
                    .strip_prefix("javax.net.ssl.")
                    .map_or_else(|| name.trim().to_owned(), |n| format!("javax.{n}"));
                all.insert(name, (value.trim().to_owned(), at));
            }
        }
        properties(reading, &all, &folder_of(path));
    });
}

/// Keystore, its password, its alias, key; trust store, its password; the port; does it serve?
type Words = (&'static [&'static str; 4], [&'static str; 2], &'static [&'static str], bool);

const PROPERTIES: &[Words] = &[
    (
        &["javax.keyStore", "javax.keyStorePassword", "", ""],
        ["javax.trustStore", "javax.trustStorePassword"],
        &[],
        false,
    ),
    (
        &["ssl.keystore.location", "ssl.keystore.password", "", "ssl.keystore.key"],
        ["ssl.truststore.location", "ssl.truststore.password"],
        &["listeners"],
        true,
    ),
    (
        &["server.ssl.key-store", "server.ssl.key-store-password", "server.ssl.key-alias", ""],
        ["server.ssl.trust-store", "server.ssl.trust-store-password"],
        &["server.port"],
        true,
    ),
    (
        &["server.ssl.certificate", "server.ssl.key-password", "", "server.ssl.certificate-private-key"],
        ["server.ssl.trust-certificate", ""],
        &["server.port"],
        true,
    ),
    (
        &["https-certificate-file", "", "", "https-certificate-key-file"],
        ["https-trust-store-file", "https-trust-store-password"],
        &["https-port"],
        true,
    ),
];

fn properties(reading: &mut Reading<'_>, all: &HashMap<String, (String, At)>, folder: &Path) {
    let get = |name: &str| all.get(name).filter(|(v, _)| !name.is_empty() && !v.is_empty());
    for ([store, password, alias, key], [trust, trust_password], ports, serves) in PROPERTIES {
        let inline = |name: &str| get(name).map(|(p, _)| Password::Inline(p.clone()));
        let mut listens = Vec::new();
        for text in ports.iter().filter_map(|p| get(p)).flat_map(|(v, _)| v.split(',')) {
            // Kafka: `SSL://:9093`, of which those without TLS do not count.
            let plain = text.trim().strip_prefix("PLAINTEXT://").is_some()
                || text.trim().starts_with("SASL_PLAINTEXT://");
            let text = text.trim().split_once("://").map_or(text.trim(), |(_, rest)| rest);
            if let Some((host, Some(port))) = super::reading::address_and_port(text).filter(|_| !plain)
                && let Ok(address) = address(host)
            {
                listens.push(Listen::tls(address, port));
            }
        }
        if let Some((path, at)) = get(store) {
            match resolve(reading, folder, path, at) {
                Some(path) if *serves => {
                    let serving = Serving {
                        alias: get(alias).map(|(a, _)| a.clone()),
                        password: inline(password),
                        key: get(key).filter(|(k, _)| !k.contains("BEGIN")).map(|(k, _)| join(folder, k)),
                        listens: listens.clone(),
                        default: true,
                        ..reading.serving(path, at)
                    };
                    reading.serve(serving);
                }
                // What the virtual machine shows, as a client and as a server that says nothing else.
                Some(path) => {
                    let mut serving = reading.serving(path, at);
                    serving.password = inline(password);
                    reading.serve(serving);
                }
                None => {}
            }
        }
        if let Some((path, at)) = get(trust)
            && let Some(path) = resolve(reading, folder, path, at)
        {
            let asked = get("ssl.client.auth")
                .or_else(|| get("server.ssl.client-auth"))
                .map_or("", |(v, _)| v.as_str());
            let checks = match asked {
                "required" | "need" => Checks::ClientsRequired,
                "requested" | "want" => Checks::ClientsOptional,
                _ => Checks::Peers,
            };
            let before = reading.out.trusts.len();
            reading.trust(path, Holds::Cas, checks, (&listens, &[]), at);
            if let Some(kept) = reading.out.trusts.get_mut(before) {
                kept.password = inline(trust_password);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn server_xml() {
        let main = "<?xml version='1.0'?>\n<Server port=\"8005\"><!-- <Connector SSLEnabled=\"true\" port=\"1\"/> -->\n<Service>\n<Connector port=\"8080\"/>\n\
                    <Connector port=\"8443\" SSLEnabled=\"true\" keystoreFile=\"conf/k.jks\" keystorePass=\"x&amp;y\" keyAlias=\"t\" clientAuth=\"want\" truststoreFile=\"${t}\"/>\n\
                    <Connector port=\"${p}\" SSLEnabled=\"true\" address=\"127.0.0.1\" defaultSSLHostConfigName=\"a.test\">\n\
                    <SSLHostConfig hostName=\"a.test\" certificateVerification=\"required\" caCertificateFile=\"/ca\">\n\
                    <Certificate certificateFile=\"${catalina.base}/conf/a.pem\"\n certificateKeyFile='/a.key' certificateChainFile='/ch'/>\n</SSLHostConfig>\n</Connector>\n</Service></Server>";
        check(
            "tomcat",
            &[("/opt/tomcat/conf/server.xml", main), ("/opt/tomcat/conf/catalina.properties", "p=9443\n")],
            &[
                "serve /opt/tomcat/conf/k.jks alias t [tls *:8443] default password Inline(not shown) @5",
                "serve /opt/tomcat/conf/a.pem key /a.key chain /ch [tls 127.0.0.1:9443] a.test default @8",
                "cas /ca required @7",
                "blind unsupported-format @5",
            ],
        );
    }

    #[test]
    fn properties_of_a_virtual_machine() {
        let main = "# x\n-Djavax.net.ssl.keyStore=/k.p12 -Djavax.net.ssl.keyStorePassword=secret\n-Djavax.net.ssl.trustStore=/t.jks\n";
        check(
            "jvm",
            &[("/jvm.options", main)],
            &["serve /k.p12 password Inline(not shown) @2", "cas /t.jks peers @3"],
        );
        let kafka = "listeners=PLAINTEXT://:9092,SSL://:9093\nssl.keystore.location=/k.jks\nssl.keystore.password=x\nssl.truststore.location=/t.jks\nssl.client.auth=required\n";
        check(
            "jvm",
            &[("/etc/kafka/server.properties", kafka)],
            &["serve /k.jks [tls *:9093] default password Inline(not shown) @2", "cas /t.jks required @4"],
        );
    }
}
