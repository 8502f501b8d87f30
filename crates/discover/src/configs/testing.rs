//! What every table of tests here says: the lines that a configuration comes to.

use std::path::Path;

use super::{Checks, Configured, Holds, SERVERS, read_with};
use crate::tree::Tree;

/// Reads the first of the files as a configuration of this server.
pub(crate) fn read(server: &str, files: &[(&str, &str)]) -> Configured {
    let server = SERVERS.iter().find(|s| s.name == server).expect("a server of the list");
    read_with(&Tree::of(files), server, Path::new(files[0].0))
}

/// Each result as one line, in order.
pub(crate) fn lines(found: &Configured) -> Vec<String> {
    let mut out = Vec::new();
    for s in &found.servings {
        let mut line = format!("serve {}", s.certificate.display());
        if let Some(key) = &s.key {
            line.push_str(&format!(" key {}", key.display()));
        }
        if let Some(chain) = &s.chain {
            line.push_str(&format!(" chain {}", chain.display()));
        }
        if let Some(alias) = &s.alias {
            line.push_str(&format!(" alias {alias}"));
        }
        s.listens.iter().for_each(|l| line.push_str(&format!(" [{l}]")));
        s.names.iter().for_each(|n| line.push_str(&format!(" {}", n.as_str())));
        if s.by_certificate {
            line.push_str(" by-certificate");
        }
        if s.default {
            line.push_str(" default");
        }
        if let Some(password) = &s.password {
            line.push_str(&format!(" password {password:?}"));
        }
        out.push(format!("{line} @{}", s.at.line));
    }
    for t in &found.trusts {
        let holds = match t.holds {
            Holds::Cas => "cas",
            Holds::FolderOfCas => "folder-of-cas",
            Holds::Crl => "crl",
            Holds::FolderOfCrls => "folder-of-crls",
            Holds::Staple => "staple",
        };
        let checks = match t.checks {
            Checks::ClientsRequired => "required",
            Checks::ClientsOptional => "optional",
            Checks::NobodyAsked => "nobody",
            Checks::Peers => "peers",
        };
        out.push(format!("{holds} {} {checks} @{}", t.path.display(), t.at.line));
    }
    for c in &found.clients {
        let key = c.key.as_ref().map(|k| format!(" key {}", k.display())).unwrap_or_default();
        out.push(format!("client {}{key} @{}", c.certificate.display(), c.at.line));
    }
    for b in &found.blind {
        out.push(format!("blind {} @{}", b.reason.as_str(), b.at.line));
    }
    out
}

/// The configuration comes to exactly these lines.
pub(crate) fn check(server: &str, files: &[(&str, &str)], expected: &[&str]) {
    let found = read(server, files);
    let got = lines(&found);
    assert_eq!(got, expected, "{server}: {:#?}\n{}", found.blind, files[0].1);
}
