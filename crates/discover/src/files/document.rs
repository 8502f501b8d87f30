//! Values of YAML and JSON documents, each under the names that lead to it: Secrets, ConfigMaps, webhooks,
//! kubeconfigs, values of charts, and whatever else writes certificates between its lines.
//!
//! For `read.rs`, which opens the values. A value is told by its path: `users[0].user.client-certificate-data`,
//! `data.tls.crt`; where a file has several Kubernetes objects, the object comes first: `Secret/shop/api.data.tls.crt`.
//! What a value is for, where its name says so, comes along. Documents are bounded in size, their values by
//! `configs/value.rs` in depth and number. Templates are read as far as they are YAML; what stands in the rest is found
//! by its looks alone. Values that were compressed first are opened as well: a release of Helm is a Secret with all
//! manifests of a chart in it (base64 of base64 of gzip of JSON), and cloud-init has `gz+b64`.

use std::collections::HashSet;
use std::io::Read;

use notafter_core::inventory::Role;
use notafter_core::observation::LinkKind;
use notafter_pki::container::base64;
use notafter_pki::container::sniff::{Hint, Markers};

use super::cloud_init;
use crate::configs::value::{Data, Node};

/// No larger document is taken apart, in octets.
const SIZE_MAX: usize = 16 << 20;
/// So many values of one document are opened.
const VALUES_MAX: usize = 20_000;
/// And so many octets of all together: an alias repeats its value as often as it likes.
const OCTETS_MAX: usize = 64 << 20;
/// No value inflates to more, in octets: a release of Helm has to fit into a Secret, which is at most one MiB.
const INFLATED_MAX: usize = 32 << 20;
/// Documents in documents.
const NESTED_MAX: u8 = 4;
/// Nothing that is of interest is shorter, in octets.
const SHORTEST: usize = 40;

/// A value that may hold something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// The names that lead to it, as a fragment.
    pub(super) path: String,
    /// Its text, or what its text is base64 of.
    pub(super) bytes: Vec<u8>,
    /// What certificates in it are there for.
    pub(super) role: Option<Role>,
}

/// The values of a document that may hold something; none where it is no document.
pub(super) fn values(path: &str, bytes: &[u8]) -> Vec<Value> {
    let mut walk =
        Walk { markers: markers(), out: Vec::new(), octets: 0, objects: HashSet::new(), nested: 0 };
    if bytes.len() <= SIZE_MAX && cloud_init::is_multipart(bytes) {
        for part in cloud_init::parts(bytes) {
            walk.part(&part);
        }
        return walk.out;
    }
    let Some(text) = document(path, bytes) else { return Vec::new() };
    let documents = Node::yaml(text);
    let several = documents.len() > 1;
    for (n, node) in documents.iter().enumerate() {
        let mut path = match several {
            true => walk.object(node).unwrap_or_else(|| format!("[{n}]")),
            false => String::new(),
        };
        walk.node(node, &mut path, "");
    }
    walk.out
}

/// A file that a kubeconfig names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Where it is named, as a fragment.
    pub(super) at: String,
    /// Its path as it is written: relative ones begin at the folder of the kubeconfig.
    pub(super) file: String,
    /// What it is there for.
    pub(super) kind: LinkKind,
}

/// Does a file that begins like this look like a kubeconfig?
pub(super) fn is_kubeconfig(start: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] =
        &[b"apiVersion:", b"kind:", b"clusters:", b"contexts:", b"current-context:", b"---", b"#"];
    let kind = |at: usize| !start.get(at + KIND.len()).is_some_and(u8::is_ascii_alphanumeric);
    BEGINNINGS.iter().any(|beginning| start.starts_with(beginning))
        && memchr::memmem::find_iter(start, KIND).any(kind)
}

const KIND: &[u8] = b"kind: Config";

/// The files that a kubeconfig names instead of holding what is in them (client-go, `clientcmd` API v1).
pub(super) fn references(bytes: &[u8]) -> Vec<Reference> {
    const NAMES: &[(&str, &str, &str, LinkKind)] = &[
        ("users", "user", "client-certificate", LinkKind::Presents),
        ("clusters", "cluster", "certificate-authority", LinkKind::Trusts),
    ];
    let text = Some(bytes).filter(|b| b.len() <= SIZE_MAX && is_kubeconfig(b));
    let Some(text) = text.and_then(|b| std::str::from_utf8(b).ok()) else { return Vec::new() };
    let mut out = Vec::new();
    for config in Node::yaml(text).iter().filter(|n| n.get("kind").text() == Some("Config")) {
        for (list, entry, name, kind) in NAMES {
            for (n, item) in config.get(list).items().iter().enumerate().take(VALUES_MAX) {
                if let Some(file) = item.at(&[entry, name]).text().filter(|file| !file.is_empty()) {
                    let at = format!("{list}[{n}].{entry}.{name}");
                    out.push(Reference { at, file: file.to_owned(), kind: *kind });
                }
            }
        }
    }
    out
}

/// The text, if this is YAML or JSON.
fn document<'b>(path: &str, bytes: &'b [u8]) -> Option<&'b str> {
    if bytes.len() > SIZE_MAX {
        return None;
    }
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let json = matches!(start.first(), Some(b'{' | b'['));
    let named = [".yaml", ".yml"].iter().any(|ending| path.ends_with(ending)) || cloud_init::is_config(start);
    let object =
        || start.starts_with(b"apiVersion:") || memchr::memmem::find(bytes, b"\napiVersion:").is_some();
    let yaml = named || !start.starts_with(b"-----BEGIN") && object();
    if json || yaml { std::str::from_utf8(start).ok() } else { None }
}

fn markers() -> &'static Markers {
    static MARKERS: std::sync::OnceLock<Markers> = std::sync::OnceLock::new();
    MARKERS.get_or_init(Markers::new)
}

struct Walk {
    markers: &'static Markers,
    out: Vec<Value>,
    octets: usize,
    /// Objects met, by the names given to them.
    objects: HashSet<String>,
    /// So many documents stand around this one, of which it is a value.
    nested: u8,
}

impl Walk {
    /// `KIND/NAMESPACE/NAME` of a Kubernetes object, if no other has it.
    fn object(&mut self, node: &Node) -> Option<String> {
        let metadata = node.get("metadata");
        let (kind, name) = (node.get("kind").text()?, metadata.get("name").text()?);
        let mut out = encoded(kind);
        for part in metadata.get("namespace").text().into_iter().chain([name]) {
            out.push('/');
            out.push_str(&encoded(part));
        }
        self.objects.insert(out.clone()).then_some(out)
    }

    fn node(&mut self, node: &Node, path: &mut String, key: &str) {
        let length = path.len();
        match &node.data {
            Data::Nothing => {}
            Data::Text(text) => self.text(text, path, key),
            Data::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    if let Some(mut object) = self.object(item) {
                        self.node(item, &mut object, key);
                        continue;
                    }
                    path.push_str(&format!("[{n}]"));
                    self.node(item, path, key);
                    path.truncate(length);
                }
            }
            Data::Map(entries) => {
                for (name, value) in entries {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&encoded(name));
                    self.node(value, path, name);
                    path.truncate(length);
                }
            }
        }
    }

    fn text(&mut self, text: &str, path: &str, key: &str) {
        if text.len() < SHORTEST || self.out.len() >= VALUES_MAX || self.octets > OCTETS_MAX {
            return;
        }
        if let Some(packed) = packed(text) {
            return self.inflate(&packed, path, key);
        }
        if is_manifest(text.as_bytes()) && self.within(text.as_bytes(), path) {
            return;
        }
        let bytes = if self.markers.first(text.as_bytes()).is_some() && !is_encoded_document(text) {
            text.as_bytes().to_vec()
        } else if let Some(decoded) = decoded(text, self.markers) {
            decoded
        } else {
            return;
        };
        if self.within(&bytes, path) {
            return;
        }
        self.octets += bytes.len();
        if self.octets <= OCTETS_MAX {
            self.out.push(Value { path: path.to_owned(), bytes, role: role(key) });
        }
    }
}

impl Walk {
    /// A kubeconfig or manifests in a ConfigMap, a Secret or a release: whether there was anything in it.
    fn within(&mut self, bytes: &[u8], path: &str) -> bool {
        let is_document = |b: &[u8]| is_kubeconfig(b) || is_manifest(b);
        if is_document(bytes) { self.document(bytes, path) } else { false }
    }

    /// A document that is a value of another.
    fn document(&mut self, bytes: &[u8], path: &str) -> bool {
        let text = Some(bytes).filter(|b| b.len() <= SIZE_MAX && self.nested < NESTED_MAX);
        let Some(text) = text.and_then(|b| std::str::from_utf8(b).ok()) else { return false };
        let before = self.out.len();
        self.nested += 1;
        let documents = Node::yaml(text);
        let several = documents.len() > 1;
        for (n, node) in documents.iter().enumerate() {
            let mut path = path.to_owned();
            if several {
                let object = self.object(node).unwrap_or_else(|| format!("[{n}]"));
                path = format!("{path}.{object}");
            }
            self.node(node, &mut path, "");
        }
        self.nested -= 1;
        self.out.len() > before
    }

    /// What a value was before it was compressed: a document, or something of interest.
    fn inflate(&mut self, packed: &[u8], path: &str, key: &str) {
        let room = INFLATED_MAX.min(OCTETS_MAX.saturating_sub(self.octets)) as u64;
        let mut bytes = Vec::new();
        // What came before it broke is looked at.
        let _ = flate2::read::MultiGzDecoder::new(packed).take(room).read_to_end(&mut bytes);
        self.octets += bytes.len();
        let start = bytes.trim_ascii_start();
        let document = matches!(start.first(), Some(b'{' | b'['))
            || is_kubeconfig(start)
            || is_manifest(start)
            || cloud_init::is_config(start);
        if document && self.document(start, path) {
            return;
        }
        if Hint::of_start(&bytes).is_some() || self.markers.first(&bytes).is_some() {
            self.out.push(Value { path: path.to_owned(), bytes, role: role(key) });
        }
    }
}

impl Walk {
    /// A part of a message to cloud-init: a document, or anything else by its looks.
    fn part(&mut self, part: &cloud_init::Part) {
        let path = encoded(&part.name);
        if part.bytes.starts_with(&[0x1f, 0x8b, 8]) {
            return self.inflate(&part.bytes, &path, "");
        }
        if let Some(text) = document(&part.name, &part.bytes) {
            let before = self.out.len();
            for node in &Node::yaml(text) {
                self.node(node, &mut path.clone(), "");
            }
            if self.out.len() > before {
                return;
            }
        }
        let worth = Hint::of_start(&part.bytes).is_some() || self.markers.first(&part.bytes).is_some();
        // One that lies in the message as it is, is found there.
        if worth && part.encoded {
            self.octets += part.bytes.len();
            if self.octets <= OCTETS_MAX && self.out.len() < VALUES_MAX {
                self.out.push(Value { path, bytes: part.bytes.clone(), role: None });
            }
        }
    }
}

/// The octets of a value that begins as gzip does, in base64 once or twice.
fn packed(text: &str) -> Option<Vec<u8>> {
    const MAGIC: &[u8] = &[0x1f, 0x8b, 8];
    let text = text.trim();
    let once = if text.starts_with(TWICE) {
        base64::decode(text.as_bytes())
    } else if text.starts_with(ONCE) {
        text.as_bytes().to_vec()
    } else {
        return None;
    };
    Some(base64::decode(&once)).filter(|bytes| bytes.starts_with(MAGIC))
}

/// Base64 of gzip as it begins, and base64 of that.
const ONCE: &str = "H4sI";
const TWICE: &str = "SDRzS";

/// Are these objects of Kubernetes in YAML?
fn is_manifest(start: &[u8]) -> bool {
    let begins = |word: &[u8]| {
        start.starts_with(word) || memchr::memmem::find(start, &[b"\n", word].concat()).is_some()
    };
    begins(b"apiVersion: ") && begins(b"kind: ")
}

/// Is this base64 of YAML that begins as Kubernetes' own do?
fn is_encoded_document(text: &str) -> bool {
    text.trim_start().starts_with("YXBpVmVyc2lvbjog")
}

/// Is a file that begins like this to be read whole, although nothing in its beginning looks like a certificate?
pub(super) fn is_worth(start: &[u8]) -> bool {
    is_kubeconfig(start) || is_secret(start) || is_packed(start) || cloud_init::is_multipart(start)
}

/// Could a file that begins like this be instructions for cloud-init with a compressed value, or hold a release of Helm?
fn is_packed(start: &[u8]) -> bool {
    let has = |word: &str| memchr::memmem::find(start, word.as_bytes()).is_some();
    cloud_init::is_config(start) && has(ONCE) || may_be_object(start) && has(TWICE) && has("release")
}

/// Could a file that begins like this be a Secret? Whatever is in it is in base64, dates and tokens, too.
fn is_secret(start: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[b"kind: Secret", b"\"kind\":\"Secret\"", b"\"kind\": \"Secret\""];
    may_be_object(start) && WORDS.iter().any(|word| memchr::memmem::find(start, word).is_some())
}

/// Does it begin as an object of Kubernetes may?
fn may_be_object(start: &[u8]) -> bool {
    matches!(start.first(), Some(b'a' | b'k' | b'm' | b't' | b'd' | b's' | b'-' | b'#' | b'{' | b'[' | b'\n'))
}

/// What base64 is of, where that begins as something of interest or is text with something of interest in it.
fn decoded(text: &str, markers: &Markers) -> Option<Vec<u8>> {
    let text = text.trim();
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=') || b.is_ascii_whitespace();
    let start = text.get(..1368).unwrap_or(text);
    if !start.bytes().all(plain) {
        return None;
    }
    let begins = base64::decode(start.as_bytes());
    let is_text = || begins.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..));
    if Hint::of_start(&begins).is_none() && !is_text() {
        return None;
    }
    let whole = text.bytes().all(plain).then(|| base64::decode(text.as_bytes()))?;
    (Hint::of_start(&whole).is_some() || markers.first(&whole).is_some()).then_some(whole)
}

/// What the name of a value says that its certificates are for.
fn role(key: &str) -> Option<Role> {
    const ANCHORS: &[&str] = &[
        "certificate-authority-data",
        "caBundle",
        "ca.crt",
        "ca.pem",
        "cacert.pem",
        "ca-cert.pem",
        "root-cert.pem",
        "ca-bundle.crt",
        "ca-bundle.pem",
        "ca-certificates.crt",
        "service-ca.crt",
        "client-ca-file",
        "requestheader-client-ca-file",
        "caCertificate",
        "caCert",
        "rootCA",
    ];
    if key == "client-certificate-data" {
        return Some(Role::Client);
    }
    ANCHORS.iter().any(|name| key.eq_ignore_ascii_case(name)).then_some(Role::TrustAnchor)
}

/// A name as part of a fragment.
fn encoded(name: &str) -> String {
    notafter_core::location::fragment(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base64 of DER as it begins, long enough to be looked at.
    const DER: &str = "MIIC0123456789012345678901234567890123456789012345";

    fn check(path: &str, text: &str, expected: &[(&str, Option<Role>)]) {
        let found = values(path, text.as_bytes());
        let got: Vec<_> = found.iter().map(|value| (value.path.as_str(), value.role)).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn paths() {
        let (ca, client) = (Some(Role::TrustAnchor), Some(Role::Client));
        let secret =
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata:\n  tls.crt: {DER}\n");
        check("/a", &secret, &[("data.tls.crt", None)]);
        let hook = format!("kind: Hook\nmetadata:\n  name: h\n  namespace: n\nx:\n- caBundle: {DER}\n");
        let both = [("Secret/a.data.tls.crt", None), ("Hook/n/h.x[0].caBundle", ca)];
        check("/a", &format!("{secret}---\n{hook}"), &both);
        // Two that are called alike are told by their order.
        let twice = [("Secret/a.data.tls.crt", None), ("[1].data.tls.crt", None)];
        check("/a", &format!("{secret}---\n{secret}"), &twice);
        let list = format!(
            r#"{{"kind": "List", "items": [{{"kind": "Secret", "metadata": {{"name": "a"}}, "data": {{"k": "{DER}"}}}}, ["{DER}"]]}}"#
        );
        check("/a", &list, &[("Secret/a.data.k", None), ("items[1][0]", None)]);
        let config = format!(
            "apiVersion: v1\nkind: Config\nusers:\n- name: x\n  user:\n    client-certificate-data: {DER}\n"
        );
        check("/a", &config, &[("users[0].user.client-certificate-data", client)]);
        check("/values.yaml", &format!("tls:\n  a b/c: '{DER}'\n"), &[("tls.a%20b%2Fc", None)]);
        // No document: nothing says that these are names.
        check("/a", &format!("tls:\n  cert: {DER}\n"), &[]);
        check("/a.yaml", "a: short\nb: nothing that would be of any interest to anybody at all\n", &[]);
    }

    #[test]
    fn documents_and_tokens_in_secrets() {
        let client = Some(Role::Client);
        let config =
            format!("apiVersion: v1\nkind: Config\nusers:\n- user:\n    client-certificate-data: {DER}\n");
        let encoded = base64::encode(config.as_bytes());
        let inner = "users[0].user.client-certificate-data";
        let secret = format!("apiVersion: v1\nkind: Secret\ndata:\n  value: {encoded}\n");
        check("/a", &secret, &[(&format!("data.value.{inner}"), client)]);
        assert!(is_secret(secret.as_bytes()) && !is_secret(b"apiVersion: v1\nkind: Service\n"));
        let indented: String = config.lines().map(|line| format!("    {line}\n")).collect();
        let map = format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  k: |\n{indented}");
        check("/a", &map, &[(&format!("data.k.{inner}"), client)]);
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE4OTM0NTYwMDB9.c2lnbmF0dXJl";
        let secret =
            format!("apiVersion: v1\nkind: Secret\ndata:\n  token: {}\n", base64::encode(token.as_bytes()));
        check("/a", &secret, &[("data.token", None)]);
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut out, text.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn releases_of_helm_and_what_cloud_init_writes() {
        let manifest = format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata:\n  tls.crt: {DER}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: b}}\ndata:\n  ca.crt: {DER}\n"
        );
        let json = format!(
            r#"{{"name":"shop","config":{{"tls":"{DER}"}},"manifest":{}}}"#,
            serde_json::to_string(&manifest).unwrap()
        );
        let once = base64::encode(&gzip(&json));
        let twice = base64::encode(once.as_bytes());
        let ca = Some(Role::TrustAnchor);
        let secret = format!(
            "apiVersion: v1\ndata:\n  release: {twice}\nkind: Secret\nmetadata:\n  name: sh.helm.release.v1.shop.v1\n\
             type: helm.sh/release.v1\n"
        );
        let within = [
            ("data.release.config.tls", None),
            ("data.release.manifest.Secret/a.data.tls.crt", None),
            ("data.release.manifest.ConfigMap/b.data.ca.crt", ca),
        ];
        check("/a", &secret, &within);
        assert!(is_packed(secret.as_bytes()));
        let map = format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  release: {once}\n");
        check("/a", &map, &within);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{DER}\n-----END CERTIFICATE-----\n");
        let cloud = format!(
            "#cloud-config\nwrite_files:\n- path: /etc/ssl/a.pem\n  encoding: gz+b64\n  content: {}\n",
            base64::encode(&gzip(&pem))
        );
        check("/var/lib/cloud/instance/user-data.txt", &cloud, &[("write_files[0].content", None)]);
        assert!(is_packed(cloud.as_bytes()));
        // What came before it broke is looked at.
        let broken = format!("a: {}\n", &once[..200]);
        let found = values("/a.yaml", broken.as_bytes());
        assert!((1..3).contains(&found.len()), "{found:?}");
        // Nothing in it; no gzip; and one that inflates without end, many times.
        for text in [base64::encode(&gzip(&"x ".repeat(400))), format!("H4sI{DER}")] {
            check("/a.yaml", &format!("a: {text}\n"), &[]);
        }
        let bomb = base64::encode(&gzip(&format!("{{\"a\": \"{}\"}}", " ".repeat(40 << 20))));
        let many: String = (0..50).map(|n| format!("k{n}: {bomb}\n")).collect();
        check("/a.yaml", &many, &[]);
    }

    #[test]
    fn aliases_are_counted() {
        let bomb: String = (0..200).map(|n| format!("k{n}: *a\n")).collect();
        let text = format!("a: &a {}\n{bomb}", DER.repeat(20_000));
        let octets: usize = values("/a.yaml", text.as_bytes()).iter().map(|value| value.bytes.len()).sum();
        assert!((1..=OCTETS_MAX).contains(&octets), "{octets}");
    }

    #[test]
    fn files_of_kubeconfigs() {
        let text = "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {certificate-authority: pki/ca.crt}\nusers:\n- user:\n    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n";
        let got: Vec<_> = references(text.as_bytes()).into_iter().map(|r| (r.at, r.file, r.kind)).collect();
        let own = |text: &str| text.to_owned();
        let expected = [
            (
                own("users[0].user.client-certificate"),
                own("/var/lib/kubelet/pki/kubelet-client-current.pem"),
                LinkKind::Presents,
            ),
            (own("clusters[0].cluster.certificate-authority"), own("pki/ca.crt"), LinkKind::Trusts),
        ];
        assert_eq!(got, expected);
        for other in ["apiVersion: v1\nkind: ConfigMap\n", "kind: Secret\n", ""] {
            assert!(!is_kubeconfig(other.as_bytes()) && references(other.as_bytes()).is_empty(), "{other}");
        }
    }
}
