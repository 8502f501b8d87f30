//! nginx: `http`, `stream` and `mail`, with includes, inheritance, several certificates for one server and
//! maps by name.
//!
//! What a server block does not say it inherits. Whether an address speaks TLS is decided by all the blocks
//! on it together, and so is which of them is the default. Certificates that are chosen by a variable are
//! followed through `map` and `set`; what else they may come to is a blind spot.

mod syntax;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::taken::Taken;
use super::{At, Checks, Holds, Listen, Name, Reading, Server, Serving, has_word, is_named};
use syntax::Directive;

pub(super) const SERVER: Server = Server {
    name: "nginx",
    mains: &[
        "/etc/nginx/nginx.conf",
        "/usr/local/nginx/conf/nginx.conf",
        "/usr/local/etc/nginx/nginx.conf",
        "/opt/nginx/conf/nginx.conf",
        "/usr/local/openresty/nginx/conf/nginx.conf",
        "/etc/angie/angie.conf",
        "/etc/freenginx/nginx.conf",
    ],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["nginx.conf"])
        || has_word(head, &["ssl_certificate", "ssl_client_certificate"])
            && has_word(head, &["server", "listen"])
        || has_word(head, &["worker_connections"]) && has_word(head, &["events"])
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let Some(all) = load(reading, path, &At::file(path), &folder) else { return };
    let mut within_block = false;
    for directive in &all {
        let Some(block) = &directive.block else { continue };
        let kind = match directive.name.as_str() {
            "http" => Kind::Http,
            "stream" => Kind::Stream,
            "mail" => Kind::Mail,
            _ => continue,
        };
        within_block = true;
        Context { kind, folder: &folder, outer: block, variables: variables(block) }.evaluate(reading);
    }
    // A file that the main one includes, read alone: its servers are of `http`, as nearly all are.
    if !within_block {
        let context = Context { kind: Kind::Http, folder: &folder, outer: &all, variables: variables(&all) };
        context.evaluate(reading);
    }
}

/// The directives of a file, with those it includes in their places.
fn load(reading: &mut Reading<'_>, path: &Path, from: &At, folder: &Path) -> Option<Vec<Directive>> {
    reading.enter(path, from, |reading, path, text| {
        let (all, mistake) = syntax::parse(path, &text);
        if let Some((line, why)) = mistake {
            reading.blind(&At::new(path, line), Reason::Malformed, why);
        }
        expand(reading, all, folder)
    })
}

fn expand(reading: &mut Reading<'_>, all: Vec<Directive>, folder: &Path) -> Vec<Directive> {
    let mut out = Vec::with_capacity(all.len());
    for mut directive in all {
        if directive.name == "include" && directive.block.is_none() {
            let pattern = join(folder, directive.first());
            let found = reading.tree.glob(&pattern);
            if found.is_empty() && !pattern.as_os_str().as_encoded_bytes().iter().any(|b| b"*?[".contains(b))
            {
                let why = format!("{}: it is not there", pattern.display());
                reading.blind(&directive.at, Reason::NotFound, why);
            }
            for path in found {
                out.extend(load(reading, &path, &directive.at, folder).unwrap_or_default());
            }
        } else {
            directive.block = directive.block.map(|block| expand(reading, block, folder));
            out.push(directive);
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Http,
    Stream,
    Mail,
}

/// What a variable may come to.
enum Variable<'d> {
    /// `map`: by the value of its source.
    Map { by_name: bool, entries: Vec<(&'d str, &'d str)> },
    /// `set`.
    Set(&'d str),
}

fn variables(block: &[Directive]) -> HashMap<&str, Variable<'_>> {
    let mut out = HashMap::new();
    for directive in block {
        let target = directive.arguments.get(1).and_then(|v| v.strip_prefix('$'));
        if let ("map", Some(target), Some(entries)) = (directive.name.as_str(), target, &directive.block) {
            let source = directive.first().trim_start_matches('$');
            let by_name = matches!(source, "ssl_server_name" | "ssl_preread_server_name" | "host");
            let skip = ["hostnames", "volatile", "include"];
            let entries = entries
                .iter()
                .filter(|e| !skip.contains(&e.name.as_str()))
                .map(|e| (e.name.as_str(), e.first()))
                .collect();
            out.insert(target, Variable::Map { by_name, entries });
        }
    }
    set(block, &mut out);
    out
}

fn set<'d>(block: &'d [Directive], out: &mut HashMap<&'d str, Variable<'d>>) {
    for directive in block.iter().filter(|d| d.name == "set") {
        if let (Some(name), Some(value)) = (directive.first().strip_prefix('$'), directive.arguments.get(1)) {
            out.insert(name, Variable::Set(value));
        }
    }
}

/// An address on which servers listen, and what they agree on.
#[derive(Default)]
struct Socket {
    tls: bool,
    default: Option<usize>,
}

/// One `listen`.
struct Bound {
    address: Option<IpAddr>,
    port: u16,
    tls: bool,
    quic: bool,
    default: bool,
}

/// `http`, `stream` or `mail`.
struct Context<'d> {
    kind: Kind,
    folder: &'d Path,
    outer: &'d [Directive],
    variables: HashMap<&'d str, Variable<'d>>,
}

impl<'d> Context<'d> {
    fn evaluate(&self, reading: &mut Reading<'_>) {
        let is_server = |d: &&Directive| d.name == "server" && d.block.is_some();
        let blocks: Vec<&Directive> = self.outer.iter().filter(is_server).collect();
        let mut sockets: HashMap<(Option<IpAddr>, u16), Socket> = HashMap::new();
        let mut bound: Vec<Vec<Bound>> = Vec::new();
        for (n, server) in blocks.iter().enumerate() {
            let own = server.block.as_deref().unwrap_or_default();
            let mut listens: Vec<Bound> =
                own.iter().filter(|d| d.name == "listen").flat_map(|d| self.listen(reading, d)).collect();
            if listens.is_empty() && self.kind == Kind::Http && !own.iter().any(|d| d.name == "listen") {
                let address = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                listens.push(Bound { address, port: 80, tls: false, quic: false, default: false });
            }
            // `ssl on` is gone since nginx 1.25 and still in use before it; it is about this server alone.
            let switch = self.last(own, "ssl").is_some_and(|d| d.first() == "on");
            for one in &mut listens {
                let socket = sockets.entry((one.address, one.port)).or_default();
                socket.tls |= one.tls;
                one.tls |= switch;
                if one.default || socket.default.is_none() {
                    socket.default = Some(n);
                }
            }
            bound.push(listens);
        }
        let mut taken = Taken::default();
        for (n, (server, listens)) in blocks.iter().zip(&bound).enumerate() {
            let own = server.block.as_deref().unwrap_or_default();
            let socket = |b: &Bound| &sockets[&(b.address, b.port)];
            self.server(reading, (own, &server.at), listens, socket, n, &mut taken);
        }
        // What is said of peers outside any server.
        self.peers(reading, self.outer);
    }

    fn server<'s>(
        &self,
        reading: &mut Reading<'_>,
        (own, at): (&[Directive], &At),
        bound: &[Bound],
        socket: impl Fn(&Bound) -> &'s Socket,
        number: usize,
        taken: &mut Taken,
    ) {
        let names = names(own);
        let mut said = false;
        // By the names that are left to it there: as a rule all of them, everywhere.
        let mut places: Vec<(Vec<Name>, [Vec<Listen>; 2])> = Vec::new();
        let mut every = Vec::new();
        for one in bound {
            let socket = socket(one);
            let Some(protocol) = self.protocol(own, one, socket.tls || one.tls) else { continue };
            let listen = Listen { address: one.address, port: one.port, protocol };
            let left = taken.take(reading, listen, &names, at, &mut said);
            every.push(listen);
            let default = socket.default == Some(number);
            if left.is_empty() && !names.is_empty() && !default {
                continue;
            }
            let known = places.iter().position(|(names, _)| *names == left);
            let known = known.unwrap_or_else(|| {
                places.push((left, Default::default()));
                places.len() - 1
            });
            places[known].1[usize::from(default)].push(listen);
        }
        for (names, by_default) in &places {
            self.certificates(reading, own, names, by_default);
        }
        if !every.is_empty() {
            self.trusts(reading, own, &names, &every);
        }
        self.peers(reading, own);
    }

    fn protocol(&self, own: &[Directive], bound: &Bound, tls: bool) -> Option<&'static str> {
        if bound.quic {
            return Some("quic");
        }
        if tls {
            return Some("tls");
        }
        let starttls = self.last(own, "starttls").is_some_and(|d| matches!(d.first(), "on" | "only"));
        if self.kind != Kind::Mail || !starttls {
            return None;
        }
        match (self.last(own, "protocol").map(Directive::first), bound.port) {
            (Some("imap"), _) | (None, 143) => Some("starttls:imap"),
            (Some("pop3"), _) | (None, 110) => Some("starttls:pop3"),
            (Some("smtp"), _) | (None, 25 | 587) => Some("starttls:smtp"),
            _ => None,
        }
    }

    /// The directives of this name that hold in a server: its own, else the outer ones.
    fn all<'b>(&'b self, own: &'b [Directive], name: &'b str) -> Vec<&'b Directive> {
        let of = |block: &'b [Directive]| block.iter().filter(|d| d.name == name).collect::<Vec<_>>();
        let found = of(own);
        if found.is_empty() { of(self.outer) } else { found }
    }

    fn last<'b>(&'b self, own: &'b [Directive], name: &'b str) -> Option<&'b Directive> {
        self.all(own, name).pop()
    }

    fn listen(&self, reading: &mut Reading<'_>, directive: &Directive) -> Vec<Bound> {
        let text = directive.first();
        let has = |word: &str| directive.arguments.iter().skip(1).any(|a| a == word);
        if text.starts_with("unix:") {
            return Vec::new();
        }
        let (host, ports) = match text.rsplit_once(':') {
            _ if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => ("", text),
            Some((host, ports)) if !text.ends_with(']') => (host, ports),
            _ => (text, "80"),
        };
        let range = match ports.split_once('-') {
            Some((low, high)) => low.parse().ok().zip(high.parse().ok()),
            None => address_and_port(ports).and_then(|(_, port)| port).map(|p| (p, p)),
        };
        let (Some((low, high)), Ok(address)) = (range, address(host)) else {
            let why = format!("listen {text}: only the server's own resolver knows which address that is");
            reading.blind(&directive.at, Reason::Dns, why);
            return Vec::new();
        };
        let address = address.or(Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        let (quic, default) = (has("quic"), has("default_server") || has("default"));
        let one = |port| Bound { address, port, tls: has("ssl"), quic, default };
        (low..=high).take(1024).map(one).collect()
    }

    fn certificates(
        &self,
        reading: &mut Reading<'_>,
        own: &[Directive],
        names: &[Name],
        listens: &[Vec<Listen>; 2],
    ) {
        let mut variables: HashMap<&str, Variable<'_>> = HashMap::new();
        set(own, &mut variables);
        let keys = self.all(own, "ssl_certificate_key");
        let password = self.last(own, "ssl_password_file").map(|d| join(self.folder, d.first()));
        let root = self
            .last(own, "root")
            .map(Directive::first)
            .filter(|text| self.kind == Kind::Http && text.starts_with('/') && !text.contains('$'));
        for (n, directive) in self.all(own, "ssl_certificate").into_iter().enumerate() {
            // With fewer keys than certificates nginx does not start; the only one is meant for all.
            let key = keys.get(n).or(keys.last()).map_or("", |d| d.first());
            for choice in self.choices(reading, directive, names, &variables) {
                let mut serving = reading.serving(join(self.folder, &choice.certificate), &directive.at);
                serving.key = match &choice.name {
                    _ if key.is_empty() || key.starts_with("engine:") || key.starts_with("store:") => None,
                    _ if !key.contains('$') => Some(join(self.folder, key)),
                    // `$dir/$ssl_server_name.key` beside the certificate of that name.
                    name => self.key_of(key, name.as_ref(), &variables).map(|k| join(self.folder, &k)),
                };
                serving.names = choice.name.map_or_else(|| names.to_vec(), |name| vec![name]);
                serving.password = password.clone().map(super::Password::File);
                serving.root = root.map(PathBuf::from);
                for (default, listens) in listens.iter().enumerate().filter(|(_, l)| !l.is_empty()) {
                    let default = default == 1 && choice.may_default;
                    reading.serve(Serving { listens: listens.clone(), default, ..serving.clone() });
                }
            }
        }
    }

    /// What `ssl_certificate` comes to: one file, or several by name.
    fn choices(
        &self,
        reading: &mut Reading<'_>,
        directive: &Directive,
        names: &[Name],
        own: &HashMap<&str, Variable<'_>>,
    ) -> Vec<Choice> {
        let text = directive.first();
        let whole = |certificate: String| Choice { certificate, name: None, may_default: true };
        if text.is_empty() {
            return Vec::new();
        }
        let Some((before, variable, after)) = variable_in(text) else {
            if text.starts_with("data:") {
                let why = "the certificate stands in the configuration itself or in a variable";
                reading.blind(&directive.at, Reason::UnsupportedFormat, why);
                return Vec::new();
            }
            return vec![whole(text.to_owned())];
        };
        let around = |value: &str| format!("{before}{value}{after}");
        let mut out = Vec::new();
        let mut complete = true;
        let map = own.get(variable).or_else(|| self.variables.get(variable));
        match map {
            Some(Variable::Set(value)) => out.push(whole(around(value))),
            Some(Variable::Map { by_name, entries }) => {
                for (key, value) in entries {
                    let name = match *key {
                        _ if !by_name => None,
                        "default" => None,
                        key if key.starts_with('~') => Some(Name::Regex(key.to_owned())),
                        key => Some(Name::plain(key)),
                    };
                    if !value.is_empty() {
                        let may_default = name.is_none();
                        out.push(Choice { certificate: around(value), name, may_default });
                    }
                }
            }
            None if matches!(variable, "ssl_server_name" | "server_name" | "host") => {
                for name in names {
                    let certificate = around(name.as_str());
                    let exact = matches!(name, Name::Exact(_));
                    if exact && variable_in(&certificate).is_none() {
                        out.push(Choice { certificate, name: Some(name.clone()), may_default: false });
                    } else {
                        complete = false;
                    }
                }
                complete &= !names.is_empty();
            }
            None => complete = false,
        }
        let before = out.len();
        out.retain(|choice| {
            variable_in(&choice.certificate).is_none() && !choice.certificate.contains("data:")
        });
        if !complete || out.len() < before || out.is_empty() {
            let why = format!("{text} is decided anew for each connection");
            reading.blind(&directive.at, Reason::UnsupportedFormat, why);
        }
        out
    }

    fn key_of(&self, key: &str, name: Option<&Name>, own: &HashMap<&str, Variable<'_>>) -> Option<String> {
        let (before, variable, after) = variable_in(key)?;
        let value = match own.get(variable).or_else(|| self.variables.get(variable)) {
            Some(Variable::Set(value)) => value,
            Some(Variable::Map { entries, .. }) => {
                let wanted = name.map_or("default", Name::as_str);
                entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted))?.1
            }
            None => name?.as_str(),
        };
        Some(format!("{before}{value}{after}")).filter(|path| variable_in(path).is_none())
    }

    fn trusts(&self, reading: &mut Reading<'_>, own: &[Directive], names: &[Name], listens: &[Listen]) {
        let checks = match self.last(own, "ssl_verify_client").map_or("off", Directive::first) {
            "on" => Checks::ClientsRequired,
            "optional" | "optional_no_ca" => Checks::ClientsOptional,
            _ => Checks::NobodyAsked,
        };
        for (name, holds) in [
            ("ssl_client_certificate", Holds::Cas),
            ("ssl_trusted_certificate", Holds::Cas),
            ("ssl_crl", Holds::Crl),
            ("ssl_stapling_file", Holds::Staple),
        ] {
            if let Some(directive) = self.last(own, name).filter(|d| !d.first().is_empty()) {
                let checks = if holds == Holds::Staple { Checks::NobodyAsked } else { checks };
                let path = join(self.folder, directive.first());
                reading.trust(path, holds, checks, (listens, names), &directive.at);
            }
        }
    }

    /// What is said of the servers behind, at any depth below a server.
    fn peers(&self, reading: &mut Reading<'_>, block: &[Directive]) {
        for directive in block {
            let prefix =
                ["proxy_ssl_", "grpc_ssl_", "uwsgi_ssl_"].iter().find(|p| directive.name.starts_with(*p));
            let path = || join(self.folder, directive.first());
            let said = !directive.first().is_empty() && !directive.first().contains('$');
            match prefix.map(|p| &directive.name[p.len()..]) {
                Some("trusted_certificate") if said => {
                    reading.trust(path(), Holds::Cas, Checks::Peers, (&[], &[]), &directive.at);
                }
                Some("crl") if said => {
                    reading.trust(path(), Holds::Crl, Checks::Peers, (&[], &[]), &directive.at);
                }
                Some("certificate") if said => {
                    let beside = format!("{}_key", directive.name);
                    let key = block.iter().find(|d| d.name == beside).map(|d| join(self.folder, d.first()));
                    let pass = block.iter().find(|d| d.name.ends_with("_pass"));
                    reading.client(path(), key, pass.map(|d| d.first().to_owned()), &directive.at);
                }
                _ => {}
            }
            if let Some(inner) = directive.block.as_deref().filter(|_| directive.name != "server") {
                self.peers(reading, inner);
            }
        }
    }
}

struct Choice {
    certificate: String,
    name: Option<Name>,
    may_default: bool,
}

fn names(own: &[Directive]) -> Vec<Name> {
    let all = own.iter().filter(|d| d.name == "server_name").flat_map(|d| &d.arguments);
    // `_` and `""` are no names: they only keep the list from being empty.
    all.filter(|name| !matches!(name.as_str(), "_" | ""))
        .map(|name| match name.strip_prefix('~') {
            Some(_) => Name::Regex(name.clone()),
            None => Name::plain(name),
        })
        .collect()
}

/// The first variable in a text, with what stands around it.
fn variable_in(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('$')?;
    if let Some((name, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
        return Some((before, name, after));
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    (end > 0).then(|| (before, &rest[..end], &rest[end..]))
}

#[cfg(test)]
mod tests {
    use crate::configs::testing;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let mut all: Vec<(&str, String)> = files.iter().map(|(p, t)| (*p, (*t).to_owned())).collect();
        all[0].1 = format!("events {{}} http {{ {} }}", all[0].1);
        let all: Vec<(&str, &str)> = all.iter().map(|(p, t)| (*p, t.as_str())).collect();
        testing::check("nginx", &all, expected);
    }

    #[test]
    fn one_server() {
        let main = "server { listen 443 ssl; listen [::]:443 ssl; server_name a.test *.b.test;\n\
                    ssl_certificate a.pem; ssl_certificate_key /k/a.key; }";
        check(
            &[("/etc/nginx/nginx.conf", main)],
            &[
                "serve /etc/nginx/a.pem key /k/a.key [tls 0.0.0.0:443] [tls [::]:443] a.test *.b.test default @2",
            ],
        );
    }

    #[test]
    fn a_name_that_is_taken() {
        // nginx 1.22: "conflicting server name "b.test" on 0.0.0.0:443, ignored".
        let main = "server { listen 443 ssl; server_name a.test b.test; ssl_certificate a.pem; }\n\
                    server { listen 443 ssl; listen 8443 ssl; server_name b.test; ssl_certificate b.pem; }\n\
                    server { listen 443 ssl; server_name c.test a.test; ssl_certificate c.pem; }\n\
                    server { listen 443 ssl; server_name c.test; ssl_certificate d.pem; }";
        check(
            &[("/n.conf", main)],
            &[
                "serve /a.pem [tls 0.0.0.0:443] a.test b.test default @1",
                "serve /b.pem [tls 0.0.0.0:8443] b.test default @2",
                "serve /c.pem [tls 0.0.0.0:443] c.test @3",
                "blind malformed @2",
                "blind malformed @3",
                "blind malformed @4",
            ],
        );
    }

    #[test]
    fn what_is_inherited_and_what_decides_an_address_together() {
        let main = "server { listen 443; server_name a.test; }\n\
                    server { listen 443 ssl default_server; server_name b.test; ssl_certificate b.pem; ssl_certificate_key b.key; }\n\
                    ssl_certificate all.pem; ssl_certificate_key all.key;";
        check(
            &[("/n.conf", main)],
            &[
                "serve /all.pem key /all.key [tls 0.0.0.0:443] a.test @3",
                "serve /b.pem key /b.key [tls 0.0.0.0:443] b.test default @2",
            ],
        );
        // No port of it speaks TLS: it serves nothing.
        check(&[("/n.conf", "server { listen 80; ssl_certificate a.pem; }")], &[]);
        check(
            &[("/n.conf", "server { listen 80; ssl on; ssl_certificate a.pem; }")],
            &["serve /a.pem [tls 0.0.0.0:80] default @1"],
        );
    }

    #[test]
    fn two_kinds_of_key_and_several_ports() {
        let main = "server { listen 127.0.0.1:8000-8001 ssl; listen 443 quic; listen unix:/x ssl;\n\
                    ssl_certificate r.pem; ssl_certificate e.pem;\n\
                    ssl_certificate_key r.key; ssl_certificate_key e.key; }";
        let places = "[tls 127.0.0.1:8000] [tls 127.0.0.1:8001] [quic 0.0.0.0:443] default @2";
        check(
            &[("/n.conf", main)],
            &[&format!("serve /r.pem key /r.key {places}"), &format!("serve /e.pem key /e.key {places}")],
        );
    }

    #[test]
    fn includes() {
        check(
            &[
                ("/n/n.conf", "include sites/*; include none/*.conf;\ninclude gone.conf; include n.conf;"),
                ("/n/sites/a", "server { include snip; listen 443 ssl; server_name ~^x\\d; }"),
                ("/n/snip", "ssl_certificate \"/c/a b.pem\"; # comment\nssl_certificate_key /c/a.key;"),
            ],
            &[
                "serve /c/a b.pem key /c/a.key [tls 0.0.0.0:443] ~^x\\d default @1",
                "blind not-found @2",
                "blind malformed @2",
            ],
        );
    }

    #[test]
    fn certificates_by_variable() {
        let map = "map $ssl_server_name $c { hostnames; default d.pem; a.test a.pem; .b.test b.pem; }\n\
                   server { listen 443 ssl; ssl_certificate /c/$c; ssl_certificate_key /c/$c; }";
        check(
            &[("/n.conf", map)],
            &[
                "serve /c/d.pem key /c/d.pem [tls 0.0.0.0:443] default @2",
                "serve /c/a.pem key /c/a.pem [tls 0.0.0.0:443] a.test @2",
                "serve /c/b.pem key /c/b.pem [tls 0.0.0.0:443] .b.test @2",
            ],
        );
        let by_name = "server { listen 443 ssl; server_name a.test; ssl_certificate /c/${ssl_server_name}.crt;\n\
                       ssl_certificate_key /c/$ssl_server_name.key; }";
        check(
            &[("/n.conf", by_name)],
            &["serve /c/a.test.crt key /c/a.test.key [tls 0.0.0.0:443] a.test @1"],
        );
        let unknown = "server { listen 443 ssl; ssl_certificate $x; ssl_certificate_key $x; }";
        check(&[("/n.conf", unknown)], &["blind unsupported-format @1"]);
        let set =
            "server { listen 443 ssl; set $d /c; ssl_certificate $d/a.pem; ssl_certificate_key $d/a.key; }";
        check(&[("/n.conf", set)], &["serve /c/a.pem key /c/a.key [tls 0.0.0.0:443] default @1"]);
        let data = "server { listen 443 ssl; ssl_certificate data:$x; }";
        check(&[("/n.conf", data)], &["blind unsupported-format @1"]);
    }

    #[test]
    fn clients_and_peers() {
        let main = "server { listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key;\n\
                    ssl_client_certificate ca.pem; ssl_verify_client on; ssl_crl c.crl; ssl_stapling_file s.der;\n\
                    location / { proxy_pass https://up; proxy_ssl_certificate me.pem; proxy_ssl_certificate_key me.key;\n\
                    proxy_ssl_trusted_certificate up.pem; } }";
        check(
            &[("/n.conf", main)],
            &[
                "serve /a.pem key /a.key [tls 0.0.0.0:443] default @1",
                "cas /ca.pem required @2",
                "crl /c.crl required @2",
                "staple /s.der nobody @2",
                "cas /up.pem peers @4",
                "client /me.pem key /me.key @3",
            ],
        );
    }

    #[test]
    fn mail_and_stream() {
        let text = "mail { ssl_certificate m.pem; ssl_certificate_key m.key;\n\
                    server { listen 143; protocol imap; starttls on; }\n\
                    server { listen 993 ssl; protocol imap; } }\n\
                    stream { server { listen 8443 ssl; ssl_certificate s.pem; ssl_certificate_key s.key; } }";
        testing::check(
            "nginx",
            &[("/n.conf", text)],
            &[
                "serve /m.pem key /m.key [starttls:imap 0.0.0.0:143] default @1",
                "serve /m.pem key /m.key [tls 0.0.0.0:993] default @1",
                "serve /s.pem key /s.key [tls 0.0.0.0:8443] default @4",
            ],
        );
    }

    #[test]
    fn lua_and_mistakes() {
        let lua = "server { listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key;\n\
                   content_by_lua_block { local x = \"}\" -- }\n x = [[ } ]] if y { } --[[ } ]] }\n\
                   server_name a.test; }";
        check(&[("/n.conf", lua)], &["serve /a.pem key /a.key [tls 0.0.0.0:443] a.test default @1"]);
        testing::check(
            "nginx",
            &[("/n.conf", "http { server { listen 443 ssl; ssl_certificate a.pem; ")],
            &["serve /a.pem [tls 0.0.0.0:443] default @1", "blind malformed @1"],
        );
        check(
            &[("/n.conf", "server { listen somename:443 ssl; ssl_certificate a.pem; }")],
            &["blind dns @1"],
        );
    }
}
