//! Caddy and whatever else uses certmagic: a folder for each certificate, with the CA's own idea of when to
//! renew it (RFC 9773).

use std::path::Path;

use notafter_core::upkeep::Before;

use super::{Renewed, Renewer, State, above, dates};
use crate::configs::{At, Node};

pub(super) const RENEWER: Renewer = Renewer {
    name: "caddy",
    homes: &[
        "/var/lib/caddy/.local/share/caddy",
        "/root/.local/share/caddy",
        "/home/*/.local/share/caddy",
        "/home/*/.local/share/certmagic",
        "/root/.local/share/certmagic",
        "/data/caddy",
        "/var/db/caddy/data/caddy",
    ],
    home_of: |path, _| {
        let same = path.file_stem().is_some_and(|s| path.parent().and_then(Path::file_name) == Some(s));
        let json = path.extension().is_some_and(|e| e == "json");
        above(path, &[None, None, Some("certificates")]).filter(|_| json && same)
    },
    read,
};

fn read(state: &mut State<'_>, home: &Path) {
    for json in state.tree.glob(&home.join("certificates/*/*/*.json")) {
        let Some(text) = state.text(&json) else { continue };
        let Some(node) = Node::yaml(&text).into_iter().next() else { continue };
        let name = json.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let issuer = json.parent().and_then(Path::parent).and_then(Path::file_name);
        let mut out = Renewed::new("caddy", &name, At { line: 1, ..At::file(&json) });
        out.names = node.get("sans").items().iter().filter_map(Node::text).map(str::to_owned).collect();
        out.certificates.push(json.with_extension("crt"));
        out.key = Some(json.with_extension("key"));
        for path in [json.with_extension("crt"), json.with_extension("key")] {
            if !state.tree.is_file(&path) {
                out.broken.push(format!("{} is not there", path.display()));
            }
        }
        let data = node.get("issuer_data");
        let text = |names: &[&str]| names.iter().find_map(|n| data.get(n).text()).map(str::to_owned);
        out.server = text(&["ca"]).or_else(|| issuer.map(|i| i.to_string_lossy().into_owned()));
        out.account = text(&["account"]);
        let info = data.get("renewal_info");
        let window = info.get("suggestedWindow");
        let planned = info.get("_selectedTime").text().or_else(|| window.get("start").text());
        // The year 1 stands for nothing.
        out.planned = planned.and_then(dates::parse).filter(|t| t.0 > 0);
        out.before = Some(Before::Share);
        out.resident = true;
        state.put(out);
    }
}

#[cfg(test)]
mod tests {
    use crate::renewers::read_tree;
    use crate::tree::Tree;

    #[test]
    fn a_certificate() {
        let json = "{\n\"sans\": [\"a.test\"],\n\"issuer_data\": {\"url\":\"https://acme.test/cert/1\",\"ca\":\"https://acme.test/directory\",\"account\":\"https://acme.test/acct/1\",\
                    \"renewal_info\":{\"suggestedWindow\":{\"start\":\"2026-01-01T00:00:00Z\",\"end\":\"2026-01-03T00:00:00Z\"},\"_selectedTime\":\"2026-01-02T03:04:05Z\"}}}";
        let folder = "/data/caddy/certificates/acme.test-directory/a.test/a.test";
        let path = |ending: &str| format!("{folder}.{ending}");
        let (a, b, c) = (path("json"), path("crt"), path("key"));
        let found = read_tree(&Tree::of(&[(&a, json), (&b, "x"), (&c, "x")]));
        let [one] = found.renewed.as_slice() else { panic!("{found:?}") };
        assert_eq!(one.planned.map(|t| t.to_string()).as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(
            (one.server.as_deref(), one.resident, one.broken.len()),
            (Some("https://acme.test/directory"), true, 0)
        );
    }
}
