//! Apache httpd: virtual hosts, with includes, defines, conditions, macros, and certificates that mod_md
//! keeps itself.
//!
//! A host serves where an address of its own meets a `Listen`; a file that has none of these, being a part
//! read alone, is taken by its word. `${NAME}` is what was defined or what the environment of the system's
//! start script says; what is neither is a blind spot.

mod load;

use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::taken::Taken;
use super::{At, Checks, Holds, Listen, Name, Reading, Server, Serving, has_word, is_named};
use load::{Host, Loaded};

pub(super) const SERVER: Server = Server {
    name: "apache",
    mains: &[
        "/etc/apache2/apache2.conf",
        "/etc/apache2-*/apache2.conf",
        "/etc/httpd/conf/httpd.conf",
        "/etc/apache2/httpd.conf",
        "/usr/local/apache2/conf/httpd.conf",
        "/usr/local/etc/apache24/httpd.conf",
        "/opt/rh/httpd24/root/etc/httpd/conf/httpd.conf",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["httpd.conf", "apache2.conf"])
        || has_word(head, &["SSLCertificateFile", "SSLEngine", "GnuTLSCertificateFile", "MDomain"])
        || has_word(head, &["VirtualHost", "LoadModule"]) && head.contains(&b'<')
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let root = if folder.ends_with("conf") { folder_of(&folder) } else { folder };
    let Some(loaded) = load::load(reading, path, root) else { return };
    let listens: Vec<Bound> = loaded.listens.iter().filter_map(|l| bound(l)).collect();
    let served: Vec<Vec<Bound>> = loaded.hosts.iter().map(|host| meets(host, &listens)).collect();
    let mut taken = Taken::in_order();
    for (n, host) in loaded.hosts.iter().enumerate() {
        // The first host of an address is its default.
        let first =
            |b: &Bound| !served[..n].iter().flatten().any(|o| (o.address, o.port) == (b.address, b.port));
        let (default, other): (Vec<Bound>, Vec<Bound>) = served[n].iter().copied().partition(first);
        serve(reading, &loaded, host, [(false, other), (true, default)], &mut taken);
    }
    let met = |b: &Bound| served.iter().flatten().any(|o| o.port == b.port && o.address == b.address);
    let rest: Vec<Bound> = listens.iter().copied().filter(|b| !met(b)).collect();
    let own = Host { settings: loaded.main.settings.clone(), ..Host::default() };
    serve(reading, &loaded, &own, [(true, rest), (false, Vec::new())], &mut taken);
    peers(reading, &loaded, &loaded.main);
    for host in &loaded.hosts {
        peers(reading, &loaded, host);
    }
}

/// An address on which Apache listens.
#[derive(Clone, Copy)]
struct Bound {
    address: Option<std::net::IpAddr>,
    port: u16,
    https: bool,
}

fn bound(arguments: &[String]) -> Option<Bound> {
    let (host, port) = address_and_port(arguments.first()?)?;
    let port = port?;
    // Without a word for it, 443 speaks https and everything else http.
    let https = arguments.get(1).map_or(port == 443, |p| p.eq_ignore_ascii_case("https"));
    Some(Bound {
        address: address(host).ok()?.filter(|ip| !ip.is_unspecified() || ip.is_ipv4()),
        port,
        https,
    })
}

/// Where the addresses of a host meet those that Apache listens on.
fn meets(host: &Host, listens: &[Bound]) -> Vec<Bound> {
    let mut out: Vec<Bound> = Vec::new();
    for text in &host.addresses {
        let any_port = text.strip_suffix(":*");
        let Some((name, port)) = address_and_port(any_port.unwrap_or(text)) else { continue };
        let port = port.filter(|_| any_port.is_none());
        // A name is resolved when Apache starts: any address may be meant.
        let wanted = address(name).unwrap_or(None);
        let mut add = |b: Bound| {
            if !out.iter().any(|o| (o.address, o.port) == (b.address, b.port)) {
                out.push(b);
            }
        };
        for listen in listens.iter().filter(|l| port.is_none_or(|p| p == l.port)) {
            let everywhere = listen.address.is_none_or(|ip| ip.is_unspecified());
            match wanted {
                None => add(*listen),
                Some(ip) if everywhere || listen.address == Some(ip) => {
                    add(Bound { address: Some(ip), ..*listen })
                }
                Some(_) => {}
            }
        }
        if listens.is_empty() {
            let port = port.unwrap_or(443);
            add(Bound { address: wanted, port, https: port == 443 });
        }
    }
    out
}

/// What holds in a host: its own word, else the main server's.
fn setting<'l>(loaded: &'l Loaded, host: &'l Host, name: &str) -> &'l [(Vec<String>, At)] {
    let own = host.all(name);
    if own.is_empty() { loaded.main.all(name) } else { own }
}

fn path_of(
    reading: &mut Reading<'_>,
    loaded: &Loaded,
    (arguments, at): &(Vec<String>, At),
) -> Option<PathBuf> {
    let text = arguments.first()?;
    if text.contains("${") {
        let why = format!("{text}: this variable is neither defined nor in the environment that is known");
        reading.blind(at, Reason::UnsupportedFormat, why);
        return None;
    }
    if text.starts_with("pkcs11:") {
        reading.blind(at, Reason::UnsupportedFormat, "the certificate is on a token");
        return None;
    }
    (!text.is_empty()).then(|| join(&loaded.root, text))
}

fn serve(
    reading: &mut Reading<'_>,
    loaded: &Loaded,
    host: &Host,
    places: [(bool, Vec<Bound>); 2],
    taken: &mut Taken,
) {
    let engine = setting(loaded, host, "sslengine").last().and_then(|(a, _)| a.first());
    let on = engine.map(|word| !word.eq_ignore_ascii_case("off"));
    let speaks = |b: &Bound| on.unwrap_or(b.https);
    let names = names(host);
    let said_at = host.all("servername").last().or(host.all("serveralias").first());
    let at = said_at.map_or_else(|| At::file(&loaded.root), |(_, at)| at.clone());
    let (mut every, mut said) = (Vec::new(), false);
    for (default, bound) in places {
        let tls = bound.iter().filter(|b| speaks(b));
        let listens: Vec<Listen> = tls.map(|b| Listen::tls(b.address, b.port)).collect();
        if listens.is_empty() {
            continue;
        }
        let root = setting(loaded, host, "documentroot").last().and_then(|(a, _)| a.first());
        let root = root.filter(|text| text.starts_with('/') && !text.contains('$')).map(PathBuf::from);
        // By the names that are left to it there.
        let mut parts: Vec<(Vec<Name>, Vec<Listen>)> = Vec::new();
        for listen in &listens {
            let left = taken.take(reading, *listen, &names, &at, &mut said);
            match parts.iter_mut().find(|(names, _)| *names == left) {
                _ if left.is_empty() && !names.is_empty() && !default => {}
                Some((_, listens)) => listens.push(*listen),
                None => parts.push((left, vec![*listen])),
            }
        }
        for mut serving in certificates(reading, loaded, host, &names) {
            serving.root.clone_from(&root);
            for (names, listens) in &parts {
                let (names, listens) = (names.clone(), listens.clone());
                reading.serve(Serving { names, listens, default, ..serving.clone() });
            }
        }
        every.extend(listens);
    }
    if every.is_empty() {
        return;
    }
    let asked = setting(loaded, host, "sslverifyclient").last().and_then(|(a, _)| a.first());
    let checks = match asked.map(|w| w.to_ascii_lowercase()).as_deref() {
        Some("require") => Checks::ClientsRequired,
        Some("optional" | "optional_no_ca" | "request") => Checks::ClientsOptional,
        _ if host.asks_somewhere => Checks::ClientsOptional,
        _ => Checks::NobodyAsked,
    };
    for (name, holds) in [
        ("sslcacertificatefile", Holds::Cas),
        ("sslcacertificatepath", Holds::FolderOfCas),
        ("sslcadnrequestfile", Holds::Cas),
        ("sslcarevocationfile", Holds::Crl),
        ("sslcarevocationpath", Holds::FolderOfCrls),
    ] {
        if let Some(directive) = setting(loaded, host, name).last()
            && let Some(path) = path_of(reading, loaded, directive)
        {
            reading.trust(path, holds, checks, (&every, &names), &directive.1);
        }
    }
}

/// The certificates of a host, several where it has several kinds of key.
fn certificates(reading: &mut Reading<'_>, loaded: &Loaded, host: &Host, names: &[Name]) -> Vec<Serving> {
    let keys: Vec<Option<PathBuf>> = setting(loaded, host, "sslcertificatekeyfile")
        .iter()
        .map(|directive| path_of(reading, loaded, directive))
        .collect();
    let chain = setting(loaded, host, "sslcertificatechainfile").last();
    let chain = chain.and_then(|directive| path_of(reading, loaded, directive));
    let mut out = Vec::new();
    for (n, directive) in setting(loaded, host, "sslcertificatefile").iter().enumerate() {
        let Some(path) = path_of(reading, loaded, directive) else { continue };
        let mut serving = reading.serving(path, &directive.1);
        // Without a file of its own the key stands in the certificate's file.
        serving.key = keys.get(n).cloned().flatten();
        serving.chain = chain.clone();
        out.push(serving);
    }
    if out.is_empty() {
        out.extend(managed(reading, loaded, names));
    }
    out
}

/// The certificate that mod_md obtains and keeps for one of the names.
fn managed(reading: &Reading<'_>, loaded: &Loaded, names: &[Name]) -> Option<Serving> {
    let has = |list: &[String]| names.iter().any(|n| list.iter().any(|m| m.eq_ignore_ascii_case(n.as_str())));
    let mut domains = loaded.main.all("mdomain").iter();
    let (list, at) = domains.find(|(list, _)| has(list))?;
    let store =
        loaded.main.all("mdstoredir").last().and_then(|(a, _)| a.first()).map_or("md", String::as_str);
    let folder = join(&loaded.root, store).join("domains").join(list.first()?);
    let mut serving = reading.serving(folder.join("pubcert.pem"), at);
    serving.key = Some(folder.join("privkey.pem"));
    Some(serving)
}

fn names(host: &Host) -> Vec<Name> {
    let bare = |text: &str| {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        match text.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name.to_owned(),
            _ => text.to_owned(),
        }
    };
    let mut out = Vec::new();
    if let Some((arguments, _)) = host.all("servername").last() {
        out.extend(arguments.first().map(|name| Name::plain(&bare(name))));
    }
    let aliases = host.all("serveralias").iter().flat_map(|(arguments, _)| arguments);
    for name in aliases {
        match name.contains('?') {
            true => out.push(Name::Wildcard(name.to_ascii_lowercase())),
            false => out.push(Name::plain(name)),
        }
    }
    out
}

/// What is said of the servers behind.
fn peers(reading: &mut Reading<'_>, loaded: &Loaded, host: &Host) {
    for (name, holds) in [
        ("sslproxycacertificatefile", Holds::Cas),
        ("sslproxycacertificatepath", Holds::FolderOfCas),
        ("sslproxycarevocationfile", Holds::Crl),
        ("sslproxycarevocationpath", Holds::FolderOfCrls),
    ] {
        for directive in host.all(name) {
            if let Some(path) = path_of(reading, loaded, directive) {
                reading.trust(path, holds, Checks::Peers, (&[], &[]), &directive.1);
            }
        }
    }
    for directive in host.all("sslproxymachinecertificatefile") {
        if let Some(path) = path_of(reading, loaded, directive) {
            let to = host.all("proxypass").first().and_then(|(a, _)| a.last().cloned());
            reading.client(path, None, to, &directive.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn hosts_and_listens() {
        let main = "Listen 80\nListen 443\n<VirtualHost *:443>\nServerName https://a.test:443\n\
                    ServerAlias b.test *.c.test\nSSLEngine on\nSSLCertificateFile a.pem\n\
                    SSLCertificateKeyFile \"/k/a.key\"\nSSLCertificateChainFile ch.pem\n</VirtualHost>\n\
                    <virtualhost 10.0.0.5:443>\nsslengine ON\nSSLCertificateFile /b.pem\n</virtualhost>\n\
                    <VirtualHost *:80>\nSSLCertificateFile /never.pem\n</VirtualHost>\n";
        check(
            "apache",
            &[("/etc/httpd/conf/httpd.conf", main)],
            &[
                "serve /etc/httpd/a.pem key /k/a.key chain /etc/httpd/ch.pem [tls *:443] a.test b.test *.c.test default @7",
                "serve /b.pem [tls 10.0.0.5:443] default @13",
            ],
        );
    }

    #[test]
    fn a_name_that_is_taken() {
        let main = "Listen 443 https\n\
            <VirtualHost *:443>\nServerName a.test\nServerAlias *.shop.test\nSSLCertificateFile /a.pem\n</VirtualHost>\n\
            <VirtualHost *:443>\nServerName de.shop.test\nSSLCertificateFile /b.pem\n</VirtualHost>\n\
            <VirtualHost *:443>\nServerName c.test\nServerAlias a.test\nSSLCertificateFile /c.pem\n</VirtualHost>";
        crate::configs::testing::check(
            "apache",
            &[("/etc/apache2/apache2.conf", main)],
            &[
                "serve /a.pem [tls *:443] a.test *.shop.test default @5",
                "serve /c.pem [tls *:443] c.test @14",
                "blind malformed @8",
                "blind malformed @12",
            ],
        );
    }

    #[test]
    fn includes_defines_and_conditions() {
        check(
            "apache",
            &[
                (
                    "/etc/apache2/apache2.conf",
                    "Listen 127.0.0.1:8443 https\nLoadModule ssl_module m.so\nDefine dir /srv\nDefine name \\\n a.test\n\
                     <IfModule mod_ssl.c>\nInclude sites/*.conf\n</IfModule>\n<IfModule !mod_ssl.c>\nInclude never.conf\n</IfModule>\n\
                     <IfDefine X>\nInclude never.conf\n</IfDefine>\n<IfDefine dir>\nIncludeOptional gone.conf\n</IfDefine>\n\
                     Include gone.conf\nInclude folder",
                ),
                ("/etc/apache2/envvars", "export APACHE_KEYS=/keys$SUFFIX\n"),
                (
                    "/etc/apache2/sites/a.conf",
                    "<VirtualHost _default_:8443>\nServerName ${name}\nSSLCertificateFile ${dir}/a.pem\n\
                     SSLCertificateKeyFile ${APACHE_KEYS}/a.key\n</VirtualHost>\nInclude sites/a.conf",
                ),
                (
                    "/etc/apache2/folder/x",
                    "<VirtualHost *:8443>\nServerName x\nSSLCertificateFile ${unknown}\n</VirtualHost>",
                ),
            ],
            &[
                "serve /srv/a.pem key /keys/a.key [tls 127.0.0.1:8443] a.test default @3",
                "blind malformed @6",
                "blind not-found @18",
                "blind unsupported-format @3",
            ],
        );
    }

    #[test]
    fn macros() {
        let main = "<Macro Site $name $port>\n<VirtualHost *:$port>\nServerName $name\nSSLEngine on\n\
                    SSLCertificateFile /c/$name.pem\n</VirtualHost>\n</Macro>\nUse Site a.test 443\nUse Site b.test 8443\nUse None\n\
                    <Macro Loop>\nUse Loop\nUse Loop\n</Macro>\n";
        check(
            "apache",
            &[("/h.conf", main)],
            &[
                "serve /c/a.test.pem [tls *:443] a.test default @5",
                "serve /c/b.test.pem [tls *:8443] b.test default @5",
                "blind malformed @10",
            ],
        );
    }

    #[test]
    fn two_kinds_of_key_the_main_server_and_clients() {
        let main = "Listen 443\nSSLEngine on\nSSLCertificateFile /r.pem\nSSLCertificateFile /e.pem\nSSLCertificateKeyFile /r.key\n\
                    SSLCertificateKeyFile /e.key\nSSLCACertificateFile /ca.pem\nSSLVerifyClient require\nSSLCARevocationPath /crls\n\
                    SSLProxyMachineCertificateFile /me.pem\nSSLProxyCACertificateFile /up.pem";
        check(
            "apache",
            &[("/h.conf", main)],
            &[
                "serve /r.pem key /r.key [tls *:443] default @3",
                "serve /e.pem key /e.key [tls *:443] default @4",
                "cas /ca.pem required @7",
                "folder-of-crls /crls required @9",
                "cas /up.pem peers @11",
                "client /me.pem @10",
            ],
        );
        let inner = "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /a.pem\nSSLCACertificateFile /ca.pem\n\
                     <Location /x>\nSSLVerifyClient require\n</Location>\n</VirtualHost>";
        check(
            "apache",
            &[("/h.conf", inner)],
            &["serve /a.pem [tls *:443] default @3", "cas /ca.pem optional @4"],
        );
    }

    #[test]
    fn managed_by_mod_md() {
        let main = "Listen 443\nMDomain a.test www.a.test\n<VirtualHost *:443>\nServerName www.a.test\nSSLEngine on\n</VirtualHost>";
        check(
            "apache",
            &[("/etc/apache2/apache2.conf", main)],
            &[
                "serve /etc/apache2/md/domains/a.test/pubcert.pem key /etc/apache2/md/domains/a.test/privkey.pem \
             [tls *:443] www.a.test default @2",
            ],
        );
    }
}
