//! lighttpd: `ssl.pemfile` for a socket, for a host, or for everything.
//!
//! Shell commands of `include_shell` are never run: they are blind spots. Conditions other than the socket
//! and the host count as fulfilled.

use std::collections::HashMap;
use std::path::Path;

use notafter_core::observation::Reason;

use super::reading::{address, address_and_port, folder_of, join};
use super::{At, Checks, Holds, Listen, Name, Reading, Server, has_word, is_named, words};

pub(super) const SERVER: Server = Server {
    name: "lighttpd",
    mains: &["/etc/lighttpd/lighttpd.conf", "/usr/local/etc/lighttpd/lighttpd.conf"],
    recognises,
    read,
};

fn recognises(path: &Path, head: &[u8]) -> bool {
    is_named(path, &["lighttpd.conf"]) || has_word(head, &["ssl.pemfile", "server.document-root"])
}

/// Settings of one block, which inherits from those around it.
#[derive(Clone, Default)]
struct Block {
    socket: Option<String>,
    names: Vec<Name>,
    settings: HashMap<String, (String, At)>,
    parent: Option<usize>,
}

#[derive(Default)]
struct State {
    blocks: Vec<Block>,
    open: Vec<usize>,
    variables: HashMap<String, String>,
}

fn read(reading: &mut Reading<'_>, path: &Path) {
    let folder = folder_of(path);
    let mut state = State { blocks: vec![Block::default()], open: vec![0], ..State::default() };
    load(reading, &mut state, path, &At::file(path), &folder);
    let get = |mut n: usize, key: &str| loop {
        if let Some(found) = state.blocks[n].settings.get(key) {
            return Some(found.clone());
        }
        n = state.blocks[n].parent?;
    };
    let global = (get(0, "server.bind"), get(0, "server.port"));
    let global_at = |reading: &mut Reading<'_>, at: &At| {
        let port = global.1.as_ref().and_then(|p| p.0.parse().ok()).unwrap_or(80);
        listen(reading, &global.0.as_ref().map_or(String::new(), |b| b.0.clone()), port, at)
    };
    for n in 0..state.blocks.len() {
        let block = &state.blocks[n];
        // A certificate of a block's own makes it serve: where none is named, the one around it counts.
        let Some((file, at)) = block.settings.get("ssl.pemfile") else { continue };
        let socket = std::iter::successors(Some(n), |n| state.blocks[*n].parent)
            .find_map(|n| state.blocks[n].socket.clone());
        let mut listens: Vec<Listen> = Vec::new();
        match &socket {
            Some(text) => {
                let (host, port) = address_and_port(text).unwrap_or((text, None));
                listens.extend(listen(reading, host, port.unwrap_or(443), at));
            }
            // Outside any socket: on every one that has TLS switched on.
            None => {
                let on = |k: &usize| {
                    state.blocks[*k].settings.get("ssl.engine").is_some_and(|(v, _)| words::is_on(v))
                };
                for k in (0..state.blocks.len()).filter(on) {
                    match &state.blocks[k].socket {
                        Some(text) => {
                            let (host, port) = address_and_port(text).unwrap_or((text, None));
                            listens.extend(listen(reading, host, port.unwrap_or(443), at));
                        }
                        None => listens.extend(global_at(reading, at)),
                    }
                }
            }
        }
        let mut serving = reading.serving(join(&folder, file), at);
        serving.key = get(n, "ssl.privkey").map(|(k, _)| join(&folder, &k));
        serving.names.clone_from(&block.names);
        serving.default = block.names.is_empty();
        serving.listens.clone_from(&listens);
        reading.serve(serving);
        let verify = |key: &str| get(n, key).is_some_and(|(v, _)| words::is_on(&v));
        let checks = match () {
            () if verify("ssl.verifyclient.enforce") => Checks::ClientsRequired,
            () if verify("ssl.verifyclient.activate") => Checks::ClientsOptional,
            () => Checks::NobodyAsked,
        };
        for (key, holds) in [
            ("ssl.ca-file", Holds::Cas),
            ("ssl.verifyclient.ca-file", Holds::Cas),
            ("ssl.verifyclient.ca-crl-file", Holds::Crl),
            ("ssl.stapling-file", Holds::Staple),
        ] {
            if let Some((path, at)) = get(n, key).filter(|(p, _)| !p.is_empty()) {
                reading.trust(join(&folder, &path), holds, checks, (&listens, &block.names), &at);
            }
        }
    }
}

fn listen(reading: &mut Reading<'_>, host: &str, port: u16, at: &At) -> Option<Listen> {
    match address(host) {
        Ok(address) if !host.starts_with('/') => {
            Some(Listen::tls(address.or(Some(std::net::IpAddr::from([0, 0, 0, 0]))), port))
        }
        Ok(_) => None,
        Err(()) => {
            reading.blind(at, Reason::Dns, format!("{host}: only the server's own resolver knows that"));
            None
        }
    }
}

fn load(reading: &mut Reading<'_>, state: &mut State, path: &Path, from: &At, folder: &Path) {
    reading.enter(path, from, |reading, path, text| {
        let depth = state.open.len();
        for (number, line) in words::lines(&text, &['#']) {
            let at = At::new(path, number);
            if let Some(rest) = line.strip_prefix("include_shell") {
                reading.blind(&at, Reason::UnsupportedFormat, format!("what{rest} prints is part of it"));
            } else if let Some(rest) = line.strip_prefix("include") {
                let pattern = join(folder, &evaluate(state, rest));
                for file in reading.tree.glob(&pattern) {
                    load(reading, state, &file, &at, folder);
                }
            } else {
                one(state, line, &at);
            }
        }
        state.open.truncate(depth);
    });
}

/// A line: perhaps closing a block, perhaps opening one, perhaps a setting; or several of these.
fn one(state: &mut State, line: &str, at: &At) {
    let mut line = line;
    while let Some(rest) = line.strip_prefix('}') {
        if state.open.len() > 1 {
            state.open.pop();
        }
        line = rest.trim();
    }
    let here = state.open.last().copied().unwrap_or(0);
    // `$SERVER["socket"] == ":443" {`, perhaps behind `else`, perhaps with settings on the same line.
    if let Some(at_condition) = line
        .find("$SERVER[")
        .or_else(|| line.find("$HTTP["))
        .filter(|_| line.starts_with('$') || line.starts_with("else"))
    {
        let condition = &line[at_condition..];
        let (head, inner) = condition.split_once('{').unwrap_or((condition, ""));
        let mut block = Block { parent: Some(here), ..Block::default() };
        let value = head.split_once("==").or_else(|| head.split_once("=~")).or_else(|| head.split_once("=^"));
        let value = value.map_or("", |(_, v)| words::unquote(v.trim()));
        block.names.clone_from(&state.blocks[here].names);
        if head.contains("\"socket\"") && head.contains("==") {
            block.socket = Some(value.to_owned());
        } else if head.contains("\"host\"") {
            block.names =
                vec![if head.contains("==") { Name::plain(value) } else { Name::Regex(format!("~{value}")) }];
        }
        open(state, block);
        if !inner.trim().is_empty() {
            let (inner, close) = inner.trim().strip_suffix('}').map_or((inner, false), |i| (i, true));
            inner.split(',').for_each(|part| setting(state, part.trim(), at));
            if close && state.open.len() > 1 {
                state.open.pop();
            }
        }
        return;
    }
    if line.ends_with('{') {
        let (parent, names) = (Some(here), state.blocks[here].names.clone());
        open(state, Block { parent, names, ..Block::default() });
        return;
    }
    setting(state, line, at);
}

fn open(state: &mut State, block: Block) {
    if state.blocks.len() < 100_000 && state.open.len() < 64 {
        state.open.push(state.blocks.len());
        state.blocks.push(block);
    }
}

fn setting(state: &mut State, line: &str, at: &At) {
    let Some((key, value)) = line.split_once('=') else { return };
    let key = key.trim().trim_end_matches(['+', ':']).trim();
    let value = evaluate(state, value);
    if key.starts_with("var.") {
        state.variables.insert(key.to_owned(), value);
    } else if key.starts_with("ssl.") || matches!(key, "server.port" | "server.bind") {
        let here = state.open.last().copied().unwrap_or(0);
        state.blocks[here].settings.insert(key.to_owned(), (value, at.clone()));
    }
}

/// `"text" + var.name`
fn evaluate(state: &State, text: &str) -> String {
    let one = |part: &str| {
        let part = part.trim();
        match part.strip_prefix('"') {
            Some(rest) => rest.split('"').next().unwrap_or(rest).to_owned(),
            None => state
                .variables
                .get(part)
                .or_else(|| state.variables.get(&format!("var.{part}")))
                .map_or_else(|| part.to_owned(), Clone::clone),
        }
    };
    text.split('+').map(one).collect()
}

#[cfg(test)]
mod tests {
    use crate::configs::testing::check;

    #[test]
    fn sockets_hosts_and_includes() {
        let main = "var.c = \"/c\"\nserver.port = 80\ninclude \"tls.conf\"\ninclude_shell \"x\"\n";
        let tls = "$SERVER[\"socket\"] == \":443\" {\n  ssl.engine = \"enable\"\n  ssl.pemfile = var.c + \"/a.pem\"\n  ssl.privkey = \"/c/a.key\"\n  \
                   ssl.ca-file = \"/ca\"\n  ssl.verifyclient.activate = \"enable\"\n  $HTTP[\"host\"] == \"b.test\" {\n    ssl.pemfile = \"/b.pem\"\n  }\n}\n\
                   $SERVER[\"socket\"] == \"[::]:443\" { ssl.engine = \"enable\" }\n$HTTP[\"host\"] =~ \"x$\" {\n ssl.pemfile = \"/x.pem\"\n}\n";
        check(
            "lighttpd",
            &[("/l/l.conf", main), ("/l/tls.conf", tls)],
            &[
                "serve /c/a.pem key /c/a.key [tls 0.0.0.0:443] default @3",
                "serve /b.pem key /c/a.key [tls 0.0.0.0:443] b.test @8",
                "serve /x.pem [tls 0.0.0.0:443] [tls [::]:443] ~x$ @13",
                "cas /ca optional @5",
                "cas /ca optional @5",
                "blind unsupported-format @4",
            ],
        );
    }
}
