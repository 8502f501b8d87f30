//! Traefik: `acme.json`, the store of its resolvers, with certificates and keys in base64.
//!
//! It renews from within and has no timer. When, it does not write down: by default thirty days before the end, because it
//! takes certificates to live for ninety (`certificatesDuration` of a resolver; Traefik's guide, "ACME", "Automatic
//! Renewals"). What the static configuration says instead is not looked for.

use std::path::Path;

use notafter_core::upkeep::Before;
use notafter_pki::time::DAY;

use super::{Renewed, Renewer, State};
use crate::configs::{At, Node, has_word};

pub(super) const RENEWER: Renewer = Renewer {
    name: "traefik",
    homes: &["/etc/traefik", "/etc/traefik/acme", "/letsencrypt", "/var/lib/traefik", "/data/traefik"],
    home_of: |path, start| {
        let head = &start[..start.len().min(4096)];
        let store = path.extension().is_some_and(|e| e == "json") && has_word(head, &["Account"]);
        let resolver = || has_word(head, &["Registration", "Certificates"]);
        path.parent().filter(|_| store && resolver()).map(Path::to_path_buf)
    },
    read,
};

fn read(state: &mut State<'_>, home: &Path) {
    for store in state.tree.glob(&home.join("*.json")) {
        let Some(text) = state.text(&store) else { continue };
        let Some(node) = Node::yaml(&text).into_iter().next() else { continue };
        for (resolver, of) in node.entries() {
            let account = of.get("Account");
            if !account.is_some() {
                continue;
            }
            let uri = account.at(&["Registration", "uri"]).text().map(str::to_owned);
            for one in of.get("Certificates").items() {
                let domain = one.get("domain");
                let Some(main) = domain.get("main").text() else { continue };
                let mut out = Renewed::new("traefik", main, At { line: 1, ..At::file(&store) });
                let others = domain.get("sans").items();
                out.names = std::iter::once(main)
                    .chain(others.iter().filter_map(Node::text))
                    .map(str::to_owned)
                    .collect();
                out.certificates.push(store.clone());
                out.account.clone_from(&uri);
                out.solver = Some(format!("resolver {resolver}"));
                out.before = Some(Before::Seconds(30 * DAY));
                out.resident = true;
                state.put(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::renewers::{RENEWERS, read_tree};
    use crate::tree::Tree;

    #[test]
    fn a_store() {
        let text = r#"{"le": {"Account": {"Email": "x@a.test", "Registration": {"body": {"status": "valid"}, "uri": "https://acme.test/acct/1"}},
            "Certificates": [{"domain": {"main": "a.test", "sans": ["www.a.test"]}, "certificate": "TUlJ", "key": "TUlJ", "Store": "default"},
                             {"domain": {"main": "b.test"}, "certificate": "TUlJ", "key": "TUlJ"}]}, "other": {"Account": null}}"#;
        let found = read_tree(&Tree::of(&[
            ("/etc/traefik/acme.json", text),
            ("/etc/traefik/x.json", "{\"a\": [1]}"),
        ]));
        let [a, b] = found.renewed.as_slice() else { panic!("{found:?}") };
        assert_eq!((a.names.join(" ").as_str(), a.resident), ("a.test www.a.test", true));
        assert_eq!((b.lineage.as_str(), b.account.as_deref()), ("b.test", Some("https://acme.test/acct/1")));
        let met = |path: &str, text: &str| {
            RENEWERS.iter().any(|r| {
                r.name == "traefik" && (r.home_of)(std::path::Path::new(path), text.as_bytes()).is_some()
            })
        };
        assert!(met("/srv/acme.json", text));
        assert!(!met("/srv/package.json", "{\"Account\": 1}"));
    }
}
