//! cert-manager, as `kubectl get certificates,certificaterequests,orders,challenges -A -o yaml` (or `-o json`) writes its state
//! into a file: what each Certificate means to do, and what became of the last attempts.
//!
//! Its documentation, "API Reference", of `Certificate`: `status.renewalTime` is its plan, `status.failedIssuanceAttempts`
//! and `lastFailureTime` say how it fares, conditions why. Requests, orders and challenges are followed by the names that
//! they carry and by their owners. It renews from within and needs no timer. The certificate itself is that of the
//! Secret, or of the last request, wherever one of the files beside it holds it; no cluster is asked. A manifest without a state
//! is a wish and says nothing.

use std::path::{Path, PathBuf};

use notafter_core::UnixTime;
use notafter_core::observation::Reason;
use notafter_core::upkeep::Before;

use super::dates::parse;
use super::{Failed, Renewed, Renewer, State, says};
use crate::configs::{At, Node};

pub(super) const RENEWER: Renewer = Renewer {
    name: "cert-manager",
    homes: &[],
    home_of: |path, start| {
        let named = path.extension().is_some_and(|e| matches!(e.to_str(), Some("yaml" | "yml" | "json")));
        let state = named
            && says(start, &["cert-manager.io/"])
            && says(start, &["renewalTime", "notAfter", "conditions"]);
        path.parent().filter(|_| state).map(Path::to_path_buf)
    },
    read,
};

/// So many files of a folder are read.
const FILES_MAX: usize = 1000;

/// An object of Kubernetes, and the file that it stands in.
struct Object {
    file: PathBuf,
    node: Node,
}

impl Object {
    fn kind(&self) -> &str {
        self.node.get("kind").text().unwrap_or("")
    }

    fn is(&self, kind: &str, group: &str) -> bool {
        let version = self.node.get("apiVersion").text().unwrap_or("");
        self.kind() == kind && version.split('/').next() == Some(group)
    }

    fn meta(&self, key: &str) -> &str {
        self.node.at(&["metadata", key]).text().unwrap_or("")
    }

    fn namespace(&self) -> &str {
        self.meta("namespace")
    }

    /// Does an object of this kind and name own it?
    fn is_owned_by(&self, kind: &str, owner: &Self) -> bool {
        let owners = self.node.at(&["metadata", "ownerReferences"]).items();
        let named = |one: &Node| {
            one.get("kind").text() == Some(kind) && one.get("name").text() == Some(owner.meta("name"))
        };
        self.namespace() == owner.namespace() && owners.iter().any(named)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.node.at(&["metadata", "annotations", name]).text()
    }

    fn instant(&self, path: &[&str]) -> Option<UnixTime> {
        parse(self.node.at(path).text()?)
    }

    /// The condition of this type.
    fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        let all = self.node.at(&["status", "conditions"]).items();
        let found = all.iter().find(|one| one.get("type").text() == Some(kind))?;
        let text = |key| found.get(key).text().unwrap_or("");
        Some(Condition {
            is: text("status") == "True",
            reason: text("reason"),
            message: text("message"),
            since: parse(text("lastTransitionTime")),
        })
    }
}

struct Condition<'n> {
    is: bool,
    reason: &'n str,
    message: &'n str,
    since: Option<UnixTime>,
}

fn read(state: &mut State<'_>, home: &Path) {
    let objects = objects(state, home);
    for one in objects.iter().filter(|o| o.is("Certificate", "cert-manager.io")) {
        if one.node.get("status").is_some() {
            certificate(state, one, &objects);
        }
    }
}

/// The objects in the folder's documents, those of lists apart.
fn objects(state: &mut State<'_>, home: &Path) -> Vec<Object> {
    let patterns = ["*.yaml", "*.yml", "*.json"];
    let files: Vec<PathBuf> =
        patterns.iter().flat_map(|pattern| state.tree.glob(&home.join(pattern))).take(FILES_MAX).collect();
    let mut out = Vec::new();
    for file in files {
        // What cannot be read is said by the walk.
        let Some(text) = state.maybe(&file).filter(|text| text.contains("apiVersion")) else { continue };
        for node in Node::yaml(&text) {
            let is_list = node.get("kind").text().is_some_and(|kind| kind.ends_with("List"));
            let items = if is_list { node.get("items").items().to_vec() } else { vec![node] };
            out.extend(items.into_iter().map(|node| Object { file: file.clone(), node }));
        }
    }
    out
}

fn certificate(state: &mut State<'_>, one: &Object, all: &[Object]) {
    let (namespace, name) = (one.namespace(), one.meta("name"));
    let at = At { line: one.node.line.max(1), ..At::file(&one.file) };
    let mut out = Renewed::new("cert-manager", &format!("{namespace}/{name}"), at);
    let spec = one.node.get("spec");
    let texts =
        |node: &Node| node.items().iter().filter_map(Node::text).map(str::to_owned).collect::<Vec<_>>();
    out.names = texts(spec.get("dnsNames"));
    out.names.extend(texts(spec.get("ipAddresses")));
    if let Some(common) = spec.get("commonName").text().filter(|c| !out.names.iter().any(|n| n == c)) {
        out.names.push(common.to_owned());
    }
    out.planned = one.instant(&["status", "renewalTime"]);
    // Its default: a third of the life.
    out.before = Some(Before::Share);
    out.resident = true;
    let issuer = spec.get("issuerRef");
    out.server = issuer.get("name").text().map(|name| {
        let kind = issuer.get("kind").text().unwrap_or("Issuer");
        format!("{kind} {name}")
    });
    let secret = spec.get("secretName").text().unwrap_or("");
    let requests: Vec<&Object> = all
        .iter()
        .filter(|o| o.is("CertificateRequest", "cert-manager.io") && o.namespace() == namespace)
        .filter(|o| {
            o.is_owned_by("Certificate", one)
                || o.annotation("cert-manager.io/certificate-name") == Some(name)
        })
        .collect();
    let holds = |o: &&Object| {
        let of_secret = o.kind() == "Secret"
            && o.namespace() == namespace
            && !secret.is_empty()
            && o.meta("name") == secret;
        of_secret && o.node.at(&["data", "tls.crt"]).is_some()
    };
    let issued = requests.iter().filter(|o| o.node.at(&["status", "certificate"]).is_some());
    out.certificates = all.iter().filter(holds).chain(issued.copied()).map(|o| o.file.clone()).collect();
    let attempts = attempts(one, &requests, all);
    out.failures = attempts.0;
    out.solver = attempts.1;
    out.broken.extend(broken(one, &requests));
    if out.certificates.is_empty() {
        let ends = one.instant(&["status", "notAfter"]).map(|end| format!(", which ends on {end}"));
        let why = format!(
            "cert-manager's {namespace}/{name} keeps a certificate in the Secret {secret}{}: none of the files here holds it, so that \
             it cannot be judged{}; write out secrets or certificaterequests beside it",
            ends.unwrap_or_default(),
            out.failures
                .as_ref()
                .map(|f| format!(" (its last attempt failed: {})", f.message))
                .unwrap_or_default()
        );
        state.out.blind.push(crate::configs::Blind { at: out.at.clone(), reason: Reason::NotFound, why });
    }
    state.put(out);
}

/// Attempts that failed since one went well, and how control is proved.
fn attempts(one: &Object, requests: &[&Object], all: &[Object]) -> (Option<Failed>, Option<String>) {
    let mut solver = None;
    // What a challenge or an order says is the reason; the request repeats that it failed.
    let mut reason: Option<(UnixTime, String)> = None;
    let mut failed: Vec<(UnixTime, String)> = Vec::new();
    for request in requests {
        let orders = all.iter().filter(|o| o.is("Order", "acme.cert-manager.io"));
        for order in orders.filter(|o| o.is_owned_by("CertificateRequest", request)) {
            let challenges = all.iter().filter(|o| o.is("Challenge", "acme.cert-manager.io"));
            for challenge in challenges.filter(|o| o.is_owned_by("Order", order)) {
                let kind = challenge.node.at(&["spec", "type"]).text();
                solver = solver.or_else(|| kind.map(|kind| kind.to_ascii_lowercase()));
                let waits = challenge.node.at(&["status", "state"]).text() != Some("valid");
                let said =
                    challenge.node.at(&["status", "reason"]).text().filter(|text| waits && !text.is_empty());
                let since = challenge.instant(&["metadata", "creationTimestamp"]);
                if let (Some(said), Some(since)) = (said, since) {
                    reason = reason.filter(|(at, _)| *at > since).or(Some((since, said.to_owned())));
                }
            }
            let said = order.node.at(&["status", "reason"]).text().filter(|text| !text.is_empty());
            let since = order.instant(&["status", "failureTime"]);
            if let (Some(said), Some(since)) = (said, since) {
                reason = reason.filter(|(at, _)| *at >= since).or(Some((since, said.to_owned())));
            }
        }
        let at = request.instant(&["status", "failureTime"]);
        if let Some(at) = at {
            let message = request.condition("Ready").map_or("", |c| c.message).to_owned();
            failed.push((at, message));
        }
    }
    failed.sort_by_key(|(at, _)| *at);
    let last = one.instant(&["status", "lastFailureTime"]);
    let count = one.node.at(&["status", "failedIssuanceAttempts"]).text().and_then(|n| n.parse::<u32>().ok());
    let issuing = one.condition("Issuing");
    let told = issuing.as_ref().map_or("", |c| c.message);
    let latest = last.or(failed.last().map(|(at, _)| *at));
    let stuck = reason.as_ref().map(|(at, _)| *at);
    let Some(latest) = latest.into_iter().chain(stuck).max() else { return (None, solver) };
    let message = reason
        .map(|(_, text)| text)
        .or_else(|| failed.last().map(|(_, text)| text.clone()).filter(|text| !text.is_empty()))
        .unwrap_or_else(|| told.to_owned());
    // What was before the present certificate is over; the rule asks for that by the last.
    let valid_from = one.instant(&["status", "notBefore"]).unwrap_or(UnixTime(i64::MIN));
    let first = failed.iter().map(|(at, _)| *at).chain(last).chain(stuck).filter(|at| *at > valid_from).min();
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let once = Failed::more(None, latest, &message, &one.file);
    let known = failed.iter().filter(|(at, _)| *at > valid_from).count() as u32;
    let failures =
        Failed { count: count.unwrap_or(1).max(known).max(1), first: first.unwrap_or(latest), ..once };
    (Some(failures), solver)
}

/// What its conditions say that will keep it from being renewed, where no attempt says so.
fn broken(one: &Object, requests: &[&Object]) -> Vec<String> {
    let mut out = Vec::new();
    let denied = |o: &&&Object| o.condition("Denied").is_some_and(|c| c.is);
    if let Some(request) = requests.iter().find(denied) {
        let said = request.condition("Denied").map_or("", |c| c.message);
        out.push(format!("its request {} is denied: {said}", request.meta("name")));
    }
    let ready = one.condition("Ready").filter(|c| !c.is);
    if let Some(ready) = ready {
        let since = ready.since.map(|t| format!(" since {t}")).unwrap_or_default();
        // While the first one is on its way, nothing is broken.
        let waits = matches!(ready.reason, "DoesNotExist" | "Pending" | "InProgress")
            && one.condition("Issuing").is_some_and(|c| c.is);
        if !waits {
            out.push(format!("it is not ready{since} ({}): {}", ready.reason, ready.message));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renewers::{Renewals, read_with};
    use crate::tree::Tree;

    const GOOD: &str = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: cert-manager.io/v1\n  kind: Certificate\n  metadata:\n    name: web\n    namespace: shop\n  \
        spec:\n    dnsNames: [web.test, www.web.test]\n    issuerRef: {kind: ClusterIssuer, name: le}\n    secretName: web-tls\n  \
        status:\n    conditions:\n    - {type: Ready, status: \"True\", reason: Ready, message: ok, lastTransitionTime: \"2026-09-01T00:00:00Z\"}\n    \
        notBefore: \"2026-09-01T00:00:00Z\"\n    notAfter: \"2026-11-30T00:00:00Z\"\n    renewalTime: \"2026-10-31T00:00:00Z\"\n";
    const SECRET: &str =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: web-tls, namespace: shop}\ndata: {tls.crt: TUlJ}\n";

    fn of(files: &[(&str, &str)]) -> Renewals {
        read_with(&Tree::of(files), &RENEWER, Path::new("/d"))
    }

    #[test]
    fn one_that_goes_well() {
        let found = of(&[("/d/certs.yaml", GOOD), ("/d/secrets.yaml", SECRET)]);
        let [one] = found.renewed.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (one.lineage.as_str(), one.names.join(" ").as_str()),
            ("shop/web", "web.test www.web.test")
        );
        assert_eq!(one.planned, parse("2026-10-31T00:00:00Z"));
        assert_eq!(one.certificates, [PathBuf::from("/d/secrets.yaml")]);
        assert_eq!(one.server.as_deref(), Some("ClusterIssuer le"));
        assert!(one.failures.is_none() && one.broken.is_empty() && one.resident && found.blind.is_empty());
        // Without the certificate, that is said.
        let found = of(&[("/d/certs.yaml", GOOD)]);
        assert!(
            found.blind[0].why.contains("web-tls") && found.blind[0].why.contains("2026-11-30"),
            "{found:?}"
        );
        // A wish is no state.
        let wish = GOOD.split("  status:").next().unwrap();
        assert!(of(&[("/d/certs.yaml", wish)]).renewed.is_empty());
    }

    #[test]
    fn one_that_fails_says_why() {
        let failing = format!(
            "{}    lastFailureTime: \"2026-11-02T00:00:00Z\"\n    failedIssuanceAttempts: 3\n\
             - apiVersion: cert-manager.io/v1\n  kind: CertificateRequest\n  metadata:\n    name: web-1\n    namespace: shop\n    \
             ownerReferences: [{{kind: Certificate, name: web}}]\n  status:\n    certificate: TUlJ\n    failureTime: \"2026-11-01T00:00:00Z\"\n    \
             conditions: [{{type: Ready, status: \"False\", reason: Failed, message: the order failed}}]\n\
             - apiVersion: acme.cert-manager.io/v1\n  kind: Order\n  metadata:\n    name: o\n    namespace: shop\n    \
             ownerReferences: [{{kind: CertificateRequest, name: web-1}}]\n  status: {{state: invalid}}\n\
             - apiVersion: acme.cert-manager.io/v1\n  kind: Challenge\n  metadata:\n    name: c\n    namespace: shop\n    \
             creationTimestamp: \"2026-11-01T00:00:00Z\"\n    ownerReferences: [{{kind: Order, name: o}}]\n  spec: {{type: HTTP-01}}\n  \
             status: {{state: invalid, reason: \"wrong status code '404', expected '200'\"}}\n",
            GOOD.replace(
                "status: \"True\", reason: Ready, message: ok",
                "status: \"False\", reason: Failed, message: no"
            )
        );
        let found = of(&[("/d/all.yaml", &failing)]);
        let [one] = found.renewed.as_slice() else { panic!("{found:?}") };
        let failed = one.failures.as_ref().expect("failures");
        assert_eq!((failed.count, failed.message.as_str()), (3, "wrong status code '404', expected '200'"));
        assert_eq!(Some(failed.first), parse("2026-11-01T00:00:00Z"));
        assert_eq!(Some(failed.last), parse("2026-11-02T00:00:00Z"));
        assert_eq!(one.solver.as_deref(), Some("http-01"));
        assert_eq!(one.certificates, [PathBuf::from("/d/all.yaml")]);
        assert!(one.broken[0].contains("not ready"), "{:?}", one.broken);
    }

    #[test]
    fn what_a_walk_recognises() {
        let met = |path: &str, text: &str| (RENEWER.home_of)(Path::new(path), text.as_bytes()).is_some();
        assert!(met("/d/all.yaml", GOOD));
        assert!(!met("/d/all.txt", GOOD));
        assert!(!met("/d/crd.yaml", "apiVersion: apps/v1\nkind: Deployment\n"));
        assert!(!met("/d/wish.yaml", GOOD.split("  status:").next().unwrap()));
    }
}
