//! A certificate authority with a root, intermediates and leaves of every kind, through the `openssl` program.
//!
//! `openssl ca` is used for all of them, because OpenSSL 3.0 has no other command that sets both dates. Each
//! certificate gets a folder and a database of its own, so that parallel tests need no lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::calendar::{DAY, generalized, now};
use crate::keys::Key;
use crate::material::{Leaf, write};
use crate::{Lab, program};

/// What is served after the certificate itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Chain {
    /// The intermediates, nearest first, as the standards want.
    #[default]
    Intermediates,
    /// Nothing: the most frequent mistake.
    Nothing,
    /// The intermediates and the root, which is superfluous.
    WithRoot,
    /// The intermediates with the farthest first.
    Reversed,
}

/// What a certificate shall say.
#[derive(Debug, Clone)]
pub struct Request {
    /// The subject in the form `/O=Lab/CN=name`; `/` for an empty one.
    subject: String,
    /// The kind of key.
    key: Key,
    /// Whether the key must be its own even where making one is slow.
    fresh_key: bool,
    /// A key that exists already.
    key_from: Option<PathBuf>,
    /// Subject alternative names in OpenSSL's form, such as `DNS:srv.test` and `IP:127.0.0.1`.
    sans: Vec<String>,
    /// Extended key usages, in OpenSSL's form.
    usages: Option<String>,
    /// First second of validity.
    not_before: i64,
    /// Last second of validity.
    not_after: i64,
    /// The digest of the signature.
    digest: &'static str,
    /// Whether it is an authority.
    is_authority: bool,
    /// Whether it signs itself.
    self_signed: bool,
    /// The serial number in hex; random where nothing is given.
    serial: Option<String>,
    /// More lines for OpenSSL's extension section.
    extensions: Vec<String>,
    /// What is served after it.
    chain: Chain,
}

impl Request {
    /// A server certificate for these names and addresses, good for 90 days; the first is the common name.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        let san = |name: &&str| match name.parse::<std::net::IpAddr>() {
            Ok(address) => format!("IP:{address}"),
            Err(_) => format!("DNS:{name}"),
        };
        Self {
            subject: format!("/CN={}", names.first().copied().unwrap_or("srv.test")),
            key: Key::P256,
            fresh_key: false,
            key_from: None,
            sans: names.iter().map(san).collect(),
            usages: Some("serverAuth".to_owned()),
            not_before: now() - 60,
            not_after: now() + 90 * DAY,
            digest: "sha256",
            is_authority: false,
            self_signed: false,
            serial: None,
            extensions: Vec::new(),
            chain: Chain::Intermediates,
        }
    }

    /// A server certificate for the names all servers of the lab answer to.
    #[must_use]
    pub fn server() -> Self {
        Self::new(&["srv.test", "localhost", "127.0.0.1"])
    }

    /// A client certificate.
    #[must_use]
    pub fn client(name: &str) -> Self {
        Self { usages: Some("clientAuth".to_owned()), ..Self::new(&[name]) }
    }

    /// A certificate of an authority, good for ten years.
    #[must_use]
    pub fn authority(name: &str) -> Self {
        let mut request = Self::new(&[]).subject(&format!("/O=Notafter Lab/CN={name}")).days(3650);
        request.is_authority = true;
        request.usages = None;
        request
    }

    /// With another kind of key.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// With a key that nothing else in this process has, even where making one is slow.
    #[must_use]
    pub fn fresh_key(mut self) -> Self {
        self.fresh_key = true;
        self
    }

    /// With the key of another certificate, as a renewal may have.
    #[must_use]
    pub fn same_key(mut self, leaf: &Leaf) -> Self {
        self.key = leaf.key;
        self.key_from = Some(leaf.key_pem.clone());
        self
    }

    /// With another subject, in the form `/O=Lab/CN=name`; `/` for an empty one.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// With another common name and nothing else in the subject.
    #[must_use]
    pub fn common_name(self, name: &str) -> Self {
        self.subject(&format!("/CN={name}"))
    }

    /// With these alternative names in OpenSSL's form, such as `DNS:srv.test`, `IP:::1`, `URI:spiffe://a/b`.
    #[must_use]
    pub fn sans(mut self, sans: &[&str]) -> Self {
        self.sans = sans.iter().map(|&san| san.to_owned()).collect();
        self
    }

    /// With these extended key usages in OpenSSL's form; an empty text leaves the extension out.
    #[must_use]
    pub fn usages(mut self, usages: &str) -> Self {
        self.usages = (!usages.is_empty()).then(|| usages.to_owned());
        self
    }

    /// Ends so many days from now (and a minute, so that whole days are left while a test runs).
    #[must_use]
    pub fn days(mut self, days: i64) -> Self {
        self.not_after = now() + days * DAY + 60;
        self
    }

    /// Ends so many seconds from now.
    #[must_use]
    pub fn seconds(mut self, seconds: i64) -> Self {
        self.not_after = now() + seconds;
        self
    }

    /// Good from the one to the other instant, in seconds since 1970.
    #[must_use]
    pub fn between(mut self, not_before: i64, not_after: i64) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Ended so many days ago, after 90 days.
    #[must_use]
    pub fn expired(self, days_ago: i64) -> Self {
        let end = now() - days_ago * DAY - 60;
        self.between(end - 90 * DAY, end)
    }

    /// Begins so many days from now, for 90 days.
    #[must_use]
    pub fn not_yet_valid(self, days_ahead: i64) -> Self {
        let start = now() + days_ahead * DAY + 60;
        self.between(start, start + 90 * DAY)
    }

    /// Signed over a SHA-1 digest.
    #[must_use]
    pub fn sha1(mut self) -> Self {
        self.digest = "sha1";
        self
    }

    /// Signed by its own key.
    #[must_use]
    pub fn self_signed(mut self) -> Self {
        self.self_signed = true;
        self
    }

    /// With this serial number, in hex.
    #[must_use]
    pub fn serial(mut self, hex: &str) -> Self {
        self.serial = Some(hex.to_owned());
        self
    }

    /// With one more line of OpenSSL's extension section, such as `tlsfeature = status_request`.
    #[must_use]
    pub fn extension(mut self, line: &str) -> Self {
        self.extensions.push(line.to_owned());
        self
    }

    /// Served with this after it.
    #[must_use]
    pub fn chain(mut self, chain: Chain) -> Self {
        self.chain = chain;
        self
    }

    /// The configuration by which `openssl ca` makes this certificate.
    fn configuration(&self) -> String {
        let mut lines = vec![
            "[ca]\ndefault_ca = lab\n[lab]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = ."
                .to_owned(),
            "default_md = default\npolicy = any\nunique_subject = no\ncopy_extensions = none".to_owned(),
            "preserve = yes\nstring_mask = utf8only\nx509_extensions = said\n[any]".to_owned(),
        ];
        let parts = ["countryName", "stateOrProvinceName", "localityName", "organizationName"];
        let more =
            ["organizationalUnitName", "commonName", "serialNumber", "emailAddress", "domainComponent"];
        lines.extend(parts.iter().chain(&more).map(|part| format!("{part} = optional")));
        lines.push("[said]\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid".to_owned());
        if self.is_authority {
            lines.push(
                "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign".to_owned(),
            );
        } else {
            lines.push(
                "basicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature".to_owned(),
            );
        }
        if let Some(usages) = &self.usages {
            lines.push(format!("extendedKeyUsage = {usages}"));
        }
        if !self.sans.is_empty() {
            lines.push("subjectAltName = @names".to_owned());
        }
        lines.extend(self.extensions.iter().cloned());
        lines.push("[names]".to_owned());
        // One entry per line: a comma in a name then needs no quoting.
        for (number, san) in self.sans.iter().enumerate() {
            let (kind, name) = san.split_once(':').unwrap_or(("DNS", san));
            lines.push(format!("{kind}.{number} = {name}"));
        }
        lines.join("\n") + "\n"
    }
}

/// A root, the intermediates below it, and the certificates they issue.
#[derive(Debug)]
pub struct Authority {
    /// Where everything is kept.
    folder: PathBuf,
    /// Numbers the certificates.
    next: AtomicU32,
    /// The root first, then each one below its predecessor.
    line: Vec<Leaf>,
}

impl Authority {
    /// A P-256 root with one intermediate.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self::with_intermediates(lab, Key::P256, 1)
    }

    /// A root with this many intermediates below it, all with this kind of key.
    #[must_use]
    pub fn with_intermediates(lab: &Lab, key: Key, count: usize) -> Self {
        let below = |number| Request::authority(&format!("Lab Intermediate {number}")).key(key).fresh_key();
        let root = Request::authority("Lab Root").key(key).fresh_key();
        Self::custom(lab, root, &(1..=count).map(below).collect::<Vec<_>>())
    }

    /// A root and intermediates as requested, for authorities that are expired, weak or odd.
    #[must_use]
    pub fn custom(lab: &Lab, root: Request, intermediates: &[Request]) -> Self {
        let mut authority =
            Self { folder: lab.subfolder("authority"), next: AtomicU32::new(0), line: Vec::new() };
        let root = authority.issue(&root.self_signed());
        authority.line.push(root);
        for request in intermediates {
            let next = authority.issue(request);
            authority.line.push(next);
        }
        authority
    }

    /// The root.
    ///
    /// # Panics
    /// Never: an authority without a root cannot be made.
    #[must_use]
    pub fn root(&self) -> &Leaf {
        &self.line[0]
    }

    /// The intermediates, the one below the root first.
    #[must_use]
    pub fn intermediates(&self) -> &[Leaf] {
        &self.line[1..]
    }

    /// Makes the certificate that the request describes.
    ///
    /// # Panics
    /// When `openssl` fails: no test can go on without its certificate.
    pub fn issue(&self, request: &Request) -> Leaf {
        let folder = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let key = match &request.key_from {
            Some(path) => {
                fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            }
            None => request.key.pem(request.fresh_key),
        };
        write(&folder.join("key.pem"), &key);
        write(&folder.join("ca.cnf"), request.configuration());
        write(&folder.join("req.cnf"), "[req]\ndistinguished_name = dn\nstring_mask = utf8only\n[dn]\n");
        write(&folder.join("index.txt"), "");
        write(&folder.join("serial"), request.serial.clone().unwrap_or_else(random_serial) + "\n");

        let openssl = |arguments: &[&str]| {
            let mut command = Command::new("openssl");
            command.current_dir(&folder).args(arguments);
            command
        };
        let mut csr =
            openssl(&["req", "-new", "-utf8", "-config", "req.cnf", "-key", "key.pem", "-out", "csr.pem"]);
        must(csr.args(["-subj", &request.subject]));
        let mut sign = openssl(&["ca", "-batch", "-notext", "-config", "ca.cnf", "-in", "csr.pem"]);
        sign.args(["-out", "cert.pem.new", "-md", request.digest]);
        sign.args([
            "-startdate",
            &generalized(request.not_before),
            "-enddate",
            &generalized(request.not_after),
        ]);
        match self.line.last().filter(|_| !request.self_signed) {
            Some(issuer) => sign.arg("-cert").arg(&issuer.cert_pem).arg("-keyfile").arg(&issuer.key_pem),
            None => sign.args(["-selfsign", "-keyfile", "key.pem"]),
        };
        must(&mut sign);
        self.assemble(request, &folder, &key)
    }

    /// Puts the files together that belong to a certificate just signed.
    fn assemble(&self, request: &Request, folder: &Path, key: &str) -> Leaf {
        let read = |path: &Path| {
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let cert = read(&folder.join("cert.pem.new"));
        let mut above: Vec<String> =
            self.line.iter().skip(1).rev().map(|leaf| read(&leaf.cert_pem)).collect();
        let mut root = folder.join("cert.pem");
        if request.self_signed {
            above.clear();
        } else if let Some(top) = self.line.first() {
            root.clone_from(&top.cert_pem);
        }
        let chain = above.concat();
        match request.chain {
            Chain::Intermediates => {}
            Chain::Nothing => above.clear(),
            Chain::WithRoot if request.self_signed => {}
            Chain::WithRoot => above.push(read(&root)),
            Chain::Reversed => above.reverse(),
        }
        let rest = above.concat();
        let fullchain = cert.clone() + &rest;
        write(&folder.join("rest.pem"), rest);
        write(&folder.join("chain.pem"), chain);
        write(&folder.join("combined.pem"), fullchain.clone() + key);
        write(&folder.join("fullchain.pem"), fullchain);
        write(&folder.join("cert.pem"), cert);
        let _ = fs::remove_file(folder.join("cert.pem.new"));
        Leaf::read(folder, request.key, root)
    }
}

/// Runs a command that must succeed.
fn must(command: &mut Command) {
    program::run(command).unwrap_or_else(|error| panic!("{error}"));
}

/// Twelve random bytes in hex, positive and without a leading zero.
fn random_serial() -> String {
    let mut command = Command::new("openssl");
    let mut serial =
        program::run(command.args(["rand", "-hex", "12"])).unwrap_or_else(|error| panic!("{error}")).text();
    serial.replace_range(0..1, "5");
    serial.trim().to_owned()
}
