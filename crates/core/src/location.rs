//! A place where an asset can be, as one URI-like line that prints and parses the same.
//!
//! `tls://10.0.0.5:8443?sni=api.example.com`, `smtp://10.0.0.9:25`, `file:///etc/nginx/api.pem#2`.
//! The host is the address connected to, `sni` the name sent. In a file, `#2` is the second PEM block
//! (from 1), `#alias` a keystore entry. `/srv/app.war!/WEB-INF/lib/b.jar!/keys.jks#alias` is a member of an archive
//! in an archive, `/srv/fw.bin@0x1f40` an offset in octets. Bytes that are not plain text are percent-encoded, and so
//! is a `!` before a slash or an `@` before `0x` in a name, so that a location is always one printable line and can
//! be taken apart whatever a file is called. It deliberately cannot be opened: whoever reads or connects does so
//! elsewhere.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A place, by its canonical text. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(Arc<str>);

impl Location {
    /// A network endpoint: `scheme` is `tls` or a STARTTLS protocol, `sni` the name sent, if any.
    pub fn endpoint(scheme: &str, address: SocketAddr, sni: Option<&str>) -> Self {
        let mut text = format!("{scheme}://{address}");
        if let Some(name) = sni {
            text.push_str("?sni=");
            encode(name.as_bytes(), &mut text, false);
        }
        Self(text.into())
    }

    /// An endpoint that was named but never reached an address (its name did not resolve).
    pub fn named_endpoint(scheme: &str, host: &str, port: Option<u16>) -> Self {
        let mut text = format!("{scheme}://");
        encode(host.as_bytes(), &mut text, false);
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        Self(text.into())
    }

    /// A zone of the DNS at one of its servers, after RFC 4501: `dns://10.0.0.53:53/example.com`.
    pub fn zone(server: SocketAddr, zone: &str) -> Self {
        let mut text = format!("dns://{server}/");
        encode(zone.as_bytes(), &mut text, false);
        Self(text.into())
    }

    /// A file, by its absolute path in bytes, and a fragment inside it (`""`: the file itself).
    /// The fragment is what follows `#`, already percent-encoded by whoever named the entry.
    pub fn file(path: &[u8], fragment: &str) -> Self {
        let mut text = String::with_capacity(path.len() + fragment.len() + 8);
        text.push_str("file://");
        encode(path, &mut text, true);
        if !fragment.is_empty() {
            text.push('#');
            text.push_str(fragment);
        }
        Self(text.into())
    }

    /// The registration of a domain, by its registrable name in ASCII: `domain:example.com`.
    pub fn domain(name: &str) -> Self {
        let mut text = "domain:".to_owned();
        encode(name.as_bytes(), &mut text, false);
        Self(text.into())
    }

    /// An entry of a certificate transparency log: `ct:log.example/2026h1/4711`; without `entry` the log itself. No
    /// place where anything is used.
    pub fn logged(log: &str, entry: Option<&str>) -> Self {
        let mut text = "ct:".to_owned();
        encode(log.trim_end_matches('/').as_bytes(), &mut text, true);
        if let Some(entry) = entry {
            text.push('/');
            encode(entry.as_bytes(), &mut text, false);
        }
        Self(text.into())
    }

    /// A member of the archive at this place, by the name it has in there, `/` and `./` in front taken off. The name is
    /// only a name: `..` in it leads nowhere.
    #[must_use]
    pub fn member(&self, name: &[u8]) -> Self {
        let mut text = String::with_capacity(self.0.len() + name.len() + 8);
        // Of an archive that was carved out of something, its offset tells which.
        text.push_str(self.plain());
        text.push_str("!/");
        encode(trimmed(name), &mut text, true);
        Self(text.into())
    }

    /// So many octets into the file or member at this place; into what was carved out of it, if that is the place.
    #[must_use]
    pub fn offset(&self, octets: u64) -> Self {
        Self(format!("{}@{octets:#x}", self.plain()).into())
    }

    /// All before the fragment.
    fn plain(&self) -> &str {
        self.0.split('#').next().unwrap_or("")
    }

    /// The entry of the file or member at this place with this fragment, percent-encoded already.
    #[must_use]
    pub fn entry(&self, fragment: &str) -> Self {
        let plain = self.plain();
        if fragment.is_empty() { Self(plain.into()) } else { Self(format!("{plain}#{fragment}").into()) }
    }

    /// The text, as printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes before `://`: `tls`, `smtp`, `file`, ...
    pub fn scheme(&self) -> &str {
        self.0.split("://").next().unwrap_or("")
    }

    /// Is this a file?
    pub fn is_file(&self) -> bool {
        self.0.starts_with("file://")
    }

    /// Is this an entry of a certificate transparency log?
    pub fn is_logged(&self) -> bool {
        self.0.starts_with("ct:")
    }

    /// Is this a network endpoint?
    pub fn is_endpoint(&self) -> bool {
        !self.is_file() && !self.is_logged() && self.0.contains("://")
    }

    /// The address connected to, for an endpoint with one.
    pub fn address(&self) -> Option<SocketAddr> {
        if self.is_file() {
            return None;
        }
        let rest = self.0.split_once("://")?.1;
        rest.split(['?', '/']).next()?.parse().ok()
    }

    /// The IP address connected to.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address().map(|a| a.ip())
    }

    /// The server name sent, for an endpoint.
    pub fn sni(&self) -> Option<&str> {
        if self.is_file() { None } else { self.0.split_once("?sni=").map(|(_, name)| name) }
    }

    /// The path of a file, percent-decoded, without the fragment; of an archive's member, the path of the archive.
    pub fn path(&self) -> Option<Vec<u8>> {
        let rest = self.container().strip_prefix("file://")?.split("!/").next()?;
        // An archive that was carved out of the file: no file's name has these octets as they are.
        Some(decode(rest.split("@0x").next()?))
    }

    /// Is this a member of an archive?
    pub fn is_member(&self) -> bool {
        self.is_file() && self.container().contains("!/")
    }

    /// The part after `#`: which entry of the file.
    pub fn fragment(&self) -> Option<&str> {
        self.0.split_once('#').map(|(_, f)| f)
    }

    /// The location without its fragment or offset: the file, or the member of an archive, that holds this entry.
    pub fn container(&self) -> &str {
        let plain = self.plain();
        match plain.rsplit_once("@0x") {
            Some((file, octets)) if self.is_file() && octets.bytes().all(|b| b.is_ascii_hexdigit()) => file,
            _ => plain,
        }
    }

    /// Does the file's name say that it is there for certificates or keys?
    pub fn is_for_certificates(&self) -> bool {
        const ENDINGS: &[&str] = &[
            "pem",
            "crt",
            "cer",
            "cert",
            "der",
            "key",
            "p8",
            "p12",
            "pfx",
            "jks",
            "jceks",
            "bks",
            "keystore",
            "truststore",
            "p7b",
            "p7c",
            "crl",
        ];
        let file = self.container();
        let name = file.rsplit('/').next().unwrap_or(file);
        name.rsplit_once('.')
            .is_some_and(|(_, ending)| ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e)))
    }

    /// Is the file part of something that was published: a package's program, source, manual or test?
    pub fn is_published(&self) -> bool {
        // What others' sources lie in, wherever that is.
        const TREES: &[&str] =
            &["/node_modules/", "/site-packages/", "/dist-packages/", "/testdata/", "/fixtures/"];
        // In a program's own tree, these hold no program's data. Elsewhere somebody may well call a host's folder so.
        const FOLDERS: &[&str] = &["/doc/", "/docs/", "/test/", "/tests/", "/examples/", "/vendor/"];
        let file = self.container().strip_prefix("file://").unwrap_or("");
        let has = |folders: &[&str]| folders.iter().any(|folder| file.contains(folder));
        is_packaged(file) || has(TREES) || is_source(file) && has(FOLDERS)
    }

    /// Is it inside of something that is shipped and replaced as a whole: an archive or an image (`!/`), a blob that it
    /// was carved out of (`@0x`), a program or its source, a folder that is an unpacked image?
    pub fn is_embedded(&self) -> bool {
        const FOLDERS: &[&str] = &[
            "rootfs",
            "squashfs-root",
            "cpio-root",
            "ubifs-root",
            "jffs2-root",
            "initramfs",
            "overlay2",
            "_root.extracted",
        ];
        const PROGRAMS: &[&str] = &[
            "bin", "img", "fw", "rom", "hex", "elf", "exe", "dll", "so", "o", "a", "dylib", "wasm", "class",
            "pyc", "c", "h", "cc", "cpp", "hpp", "ino", "rs", "go", "py", "js", "ts", "java", "kt", "swift",
            "cs",
        ];
        if !self.is_file() {
            return false;
        }
        let file = self.container();
        let inside = self.0.contains("!/")
            || self.0.rsplit(['/', '#']).next().is_some_and(|last| last.contains("@0x"));
        let parts = || file.split('/');
        let unpacked = parts().any(|part| FOLDERS.contains(&part) || part.ends_with(".extracted"));
        let ending = parts().next_back().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
        inside || unpacked || ending.is_some_and(|e| PROGRAMS.iter().any(|p| e.eq_ignore_ascii_case(p)))
    }

    /// The file or the member that holds this entry, wherever in it: beside what else it lies.
    pub fn bundle(&self) -> &str {
        let container = self.container();
        container.rsplit_once("@0x").map_or(container, |(file, _)| file)
    }

    /// Parses a line that [`fmt::Display`] printed. Anything with a scheme is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").or_else(|| text.split_once(':'))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '+';
        let printable = !text.chars().any(|c| c.is_control() || c == ' ');
        (!scheme.is_empty() && scheme.chars().all(plain) && !rest.is_empty() && printable)
            .then(|| Self(text.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Does a package bring the file? Keys of vendors are put beside those of the distribution by hand (`signed-by`).
fn is_packaged(file: &str) -> bool {
    const KEYRINGS: &str = "/usr/share/keyrings/";
    const DISTRIBUTIONS: &[&str] = &["debian-", "ubuntu-", "devuan-", "kali-", "raspbian-", "linuxmint-"];
    match file.strip_prefix(KEYRINGS) {
        Some(name) => DISTRIBUTIONS.iter().any(|distribution| name.starts_with(distribution)),
        None => file.starts_with("/usr/") && !file.starts_with("/usr/local/"),
    }
}

/// Does it lie in sources, or in what a program was installed with?
fn is_source(file: &str) -> bool {
    const SOURCES: &[&str] = &[
        "/src/",
        "/source/",
        "/sources/",
        "/third_party/",
        "/third-party/",
        "/pkg/mod/",
        "/.cargo/",
        "/.m2/",
        "/gems/",
        "/vendor/github.com/",
        "/vendor/golang.org/",
        "/vendor/bundle/",
        "/vendor/composer/",
    ];
    let installed = file.starts_with("/usr/") || file.starts_with("/opt/") && file.contains("/share/");
    installed || SOURCES.iter().any(|folder| file.contains(folder))
}

/// Percent-encodes what would make a location ambiguous or unprintable. Valid UTF-8 letters stay, so
/// that `/srv/größe.pem` stays readable; control, bidirectional and other format characters do not.
fn encode(bytes: &[u8], out: &mut String, path: bool) {
    for chunk in bytes.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            let after = chunk.valid().get(at + 1..).unwrap_or("");
            let plain = if c.is_ascii() {
                c.is_ascii_graphic()
                    && !matches!(c, '%' | '#' | '?' | '"' | '<' | '>' | '\\')
                    && (path || c != '/')
                    // These two begin a member and an offset.
                    && !(path && (c == '!' && after.starts_with('/') || c == '@' && after.starts_with("0x")))
            } else {
                c.is_alphanumeric()
            };
            if plain {
                out.push(c);
            } else {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|b| percent(b, out));
            }
        }
        chunk.invalid().iter().for_each(|&b| percent(b, out));
    }
}

/// The name of a member without what only says where to unpack it.
fn trimmed(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"/").or_else(|| name.strip_prefix(b"./")) {
        name = rest;
    }
    name
}

fn percent(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)] as char);
    out.push(DIGITS[usize::from(byte & 15)] as char);
}

/// Percent-encodes the name of an entry (an alias) for use as a fragment.
pub fn fragment(name: &str) -> String {
    let mut out = String::new();
    encode(name.as_bytes(), &mut out, false);
    out
}

fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
        match (bytes[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            (byte, ..) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(location: &Location, text: &str) {
        assert_eq!(location.to_string(), text);
        assert_eq!(Location::parse(text).as_ref(), Some(location));
    }

    #[test]
    fn endpoints() {
        let address: SocketAddr = "10.0.0.5:8443".parse().unwrap();
        let api = Location::endpoint("tls", address, Some("api.example.com"));
        check(&api, "tls://10.0.0.5:8443?sni=api.example.com");
        assert_eq!((api.address(), api.sni()), (Some(address), Some("api.example.com")));
        let six = Location::endpoint("smtp", "[::1]:25".parse().unwrap(), None);
        check(&six, "smtp://[::1]:25");
        assert_eq!((six.scheme(), six.is_endpoint(), six.sni()), ("smtp", true, None));
        let zone = Location::zone("[::1]:53".parse().unwrap(), "a.test");
        check(&zone, "dns://[::1]:53/a.test");
        assert_eq!(zone.address().map(|a| a.port()), Some(53));
        check(&Location::named_endpoint("tls", "nosuch.test", Some(443)), "tls://nosuch.test:443");
        let domain = Location::domain("example.com");
        check(&domain, "domain:example.com");
        assert_eq!((domain.is_endpoint(), domain.is_file(), domain.address()), (false, false, None));
        let logged = Location::logged("log.example/2026h1/", Some("4711"));
        check(&logged, "ct:log.example/2026h1/4711");
        assert_eq!((logged.is_logged(), logged.is_endpoint(), logged.is_file()), (true, false, false));
    }

    #[test]
    fn files_with_any_name() {
        for (path, fragment, text) in [
            (&b"/etc/nginx/api.pem"[..], "2", "file:///etc/nginx/api.pem#2"),
            (b"/srv/a b#c?d%.pem", "", "file:///srv/a%20b%23c%3Fd%25.pem"),
            ("/srv/größe.pem".as_bytes(), "", "file:///srv/größe.pem"),
            ("/srv/\u{202e}x".as_bytes(), "", "file:///srv/%E2%80%AEx"),
            (b"/srv/\xff\n", "my%20alias", "file:///srv/%FF%0A#my%20alias"),
        ] {
            let location = Location::file(path, fragment);
            check(&location, text);
            assert_eq!(location.path().as_deref(), Some(path));
        }
    }

    #[test]
    fn members_and_offsets() {
        let war = Location::file(b"/srv/a.war", "");
        let store = war.member(b"WEB-INF/lib/b.jar").member(b"./../keys.jks").entry("my%20alias");
        check(&store, "file:///srv/a.war!/WEB-INF/lib/b.jar!/../keys.jks#my%20alias");
        assert_eq!(store.path().as_deref(), Some(&b"/srv/a.war"[..]));
        assert_eq!(store.container(), "file:///srv/a.war!/WEB-INF/lib/b.jar!/../keys.jks");
        assert!(store.is_for_certificates() && store.is_member() && !war.is_member());
        let carved = war.member(b"fw.bin").offset(8000);
        check(&carved, "file:///srv/a.war!/fw.bin@0x1f40");
        assert_eq!(carved.container(), "file:///srv/a.war!/fw.bin");
        check(&carved.entry("1"), "file:///srv/a.war!/fw.bin@0x1f40#1");
        let packed = Location::file(b"/srv/fw.bin", "").offset(64);
        check(&packed.member(b"etc/ca.pem").entry("1"), "file:///srv/fw.bin@0x40!/etc/ca.pem#1");
        check(&packed.offset(16), "file:///srv/fw.bin@0x40@0x10");
        for inner in [packed.member(b"etc/ca.pem"), packed.offset(16), packed.entry("1"), packed] {
            assert_eq!(inner.path().as_deref(), Some(&b"/srv/fw.bin"[..]), "{inner}");
        }
        // What only looks like one is the name of a file.
        for (path, text) in [
            (&b"/srv/a!/b@0x10"[..], "file:///srv/a%21/b%400x10"),
            (b"/srv/a!b@c", "file:///srv/a!b@c"),
            (b"/srv/a@0x/!", "file:///srv/a%400x/!"),
        ] {
            let location = Location::file(path, "");
            check(&location, text);
            assert_eq!((location.path().as_deref(), location.is_member()), (Some(path), false));
        }
        check(&war.member(b"a!/b"), "file:///srv/a.war!/a%21/b");
    }

    #[test]
    fn what_was_published() {
        let published = |path: &str| Location::file(path.as_bytes(), "").is_published();
        for path in [
            "/usr/lib/ssl/thing.pem",
            "/usr/share/keyrings/debian-archive-removed-keys.gpg",
            "/usr/local/share/doc/thing/ca.pem",
            "/opt/app/share/examples/ca.pem",
            "/srv/www/node_modules/tls/ca.pem",
            "/home/me/src/thing/tests/ca.crl",
            "/home/me/go/pkg/mod/github.com/x/y/test/ca.pem",
            "/srv/app/vendor/github.com/x/y/ca.pem",
            "/home/me/thing/testdata/ca.pem",
        ] {
            assert!(published(path), "{path}");
        }
        for path in [
            "/usr/share/keyrings/docker-archive-keyring.gpg",
            "/usr/local/etc/ca.pem",
            "/srv/ca/test/ca.crl",
            "/etc/vendor/token.jwt",
            "/srv/docs/metadata.xml",
            "/opt/app/test/ca.crl",
            "/home/me/src/thing/ca.pem",
        ] {
            assert!(!published(path), "{path}");
        }
    }

    #[test]
    fn what_is_inside_of_something() {
        let inside = |text: &str| Location::parse(text).unwrap().is_embedded();
        for text in [
            "file:///srv/layer.tar!/usr/ca.pem",
            "file:///srv/blob@0x1f40",
            "file:///srv/blob#@0x1f40",
            "file:///srv/fw.bin#1",
            "file:///build/squashfs-root/etc/ca.pem",
            "file:///var/lib/docker/overlay2/ab/diff/etc/ca.pem",
            "file:///home/me/src/root_ca.h",
        ] {
            assert!(inside(text), "{text}");
        }
        for text in
            ["file:///etc/ssl/certs/ca.pem#3", "file:///etc/kubernetes/pki/ca.crt", "tls://10.0.0.5:443"]
        {
            assert!(!inside(text), "{text}");
        }
        let bundle = |text: &str| Location::parse(text).unwrap().bundle().to_owned();
        assert_eq!(bundle("file:///srv/blob@0x1f40#2"), "file:///srv/blob");
        assert_eq!(bundle("file:///srv/l.tar!/ca.pem#2"), "file:///srv/l.tar!/ca.pem");
    }

    #[test]
    fn what_is_no_location() {
        for text in ["", "/etc/x", "example.com", "tls://", "://x", "tls://a b"] {
            assert_eq!(Location::parse(text), None, "{text}");
        }
    }
}
