//! Values of YAML and JSON documents, each under the names that lead to it: Secrets, ConfigMaps, webhooks,
//! kubeconfigs, values of charts, and whatever else writes certificates between its lines.
//!
//! For `read.rs`, which opens the values. A value is told by its path: `users[0].user.client-certificate-data`,
//! `data.tls.crt`; where a file has several Kubernetes objects, the object comes first: `Secret/shop/api.data.tls.crt`.
//! What a value is for, where its name says so, comes along. Documents are bounded in size, their values by
//! `configs/value.rs` in depth and number. Templates are read as far as they are YAML; what stands in the rest is found
//! by its looks alone.

use std::collections::HashSet;

use notafter_core::inventory::Role;
use notafter_pki::container::base64;
use notafter_pki::container::sniff::{Hint, Markers};

use crate::configs::value::{Data, Node};

/// No larger document is taken apart, in octets.
const SIZE_MAX: usize = 16 << 20;
/// So many values of one document are opened.
const VALUES_MAX: usize = 20_000;
/// And so many octets of all together: an alias repeats its value as often as it likes.
const OCTETS_MAX: usize = 64 << 20;
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
    let Some(text) = document(path, bytes) else { return Vec::new() };
    let documents = Node::yaml(text);
    let mut walk = Walk { markers: markers(), out: Vec::new(), octets: 0, objects: HashSet::new() };
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

/// The text, if this is YAML or JSON.
fn document<'b>(path: &str, bytes: &'b [u8]) -> Option<&'b str> {
    if bytes.len() > SIZE_MAX {
        return None;
    }
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let json = matches!(start.first(), Some(b'{' | b'['));
    let named = [".yaml", ".yml"].iter().any(|ending| path.ends_with(ending));
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
        if text.len() < SHORTEST || self.out.len() >= VALUES_MAX {
            return;
        }
        let bytes = if self.markers.first(text.as_bytes()).is_some() {
            text.as_bytes().to_vec()
        } else if let Some(decoded) = decoded(text) {
            decoded
        } else {
            return;
        };
        self.octets += bytes.len();
        if self.octets <= OCTETS_MAX {
            self.out.push(Value { path: path.to_owned(), bytes, role: role(key) });
        }
    }
}

/// What base64 is of, where that begins as something of interest.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=') || b.is_ascii_whitespace();
    let start = text.get(..1368).unwrap_or(text);
    Hint::of_start(&base64::decode(start.as_bytes()))?;
    text.bytes().all(plain).then(|| base64::decode(text.as_bytes()))
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
