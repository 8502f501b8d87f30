//! What lies only in files, with the real binary: an issuer that dies before what is bundled with it, rotations in the wrong
//! order, client certificates and who asks for them, the state of cert-manager. Each with its healthy twin.

mod run;

use std::fs;
use std::path::{Path, PathBuf};

use notafter_lab::calendar::{DAY, generalized, now};
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Leaf, Request, base64, need};
use run::{Scan, notafter, scan};

fn copy(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    fs::copy(from, &to).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    to
}

fn put(to: PathBuf, text: &str) -> PathBuf {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    fs::write(&to, text).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    to
}

fn from_now(days: i64) -> i64 {
    now() + days * DAY
}

fn rfc3339(at: i64) -> String {
    let text = generalized(at);
    let part = |from: usize, to: usize| text.get(from..to).expect("a date").to_owned();
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
}

/// Those of this kind, by severity.
fn of<'s>(found: &'s Scan, kind: &str) -> Vec<&'s str> {
    found.findings().into_iter().filter(|(k, _)| *k == kind).map(|(_, severity)| severity).collect()
}

#[test]
fn an_issuer_that_dies_before_what_is_bundled_with_it() {
    let lab = Lab::new("filed-chain");
    let dying = Request::authority("Dying Int").between(from_now(-1000), from_now(9));
    let authority = Authority::custom(&lab, Request::authority("Root").days(3650), &[dying]);
    let healthy = Authority::with_intermediates(&lab, notafter_lab::Key::P256, 1);
    let check = |name: &str, files: &[(&Leaf, &str)], expected: &[&str]| {
        let tree = lab.subfolder(name);
        for (leaf, file) in files {
            let from = match file.rsplit('/').next() {
                Some("key.pem") => &leaf.key_pem,
                Some("cert.pem") => &leaf.cert_pem,
                Some("chain.pem") => &leaf.chain_pem,
                _ => &leaf.fullchain_pem,
            };
            copy(from, tree.join(file));
        }
        let found = scan(&[tree.to_str().expect("a path")]);
        assert_eq!(of(&found, "chain-expires-first"), expected, "{name}: {:#}", found.0);
        found
    };
    let (one, two) =
        (authority.issue(&Request::server().days(80)), authority.issue(&Request::server().days(90)));
    let found = check("bundles", &[(&one, "a/fullchain.pem"), (&two, "b/bundle.pem")], &["critical"]);
    let finding = found.finding("chain-expires-first");
    assert_eq!(finding["locations"].as_array().map(Vec::len), Some(2), "{finding:#}");
    // Leaf, key and chain in files of their own.
    check("apart", &[(&one, "a/cert.pem"), (&one, "a/key.pem"), (&one, "a/chain.pem")], &["critical"]);
    // A leaf alone, of which nobody here has the key.
    check("alone", &[(&one, "a/cert.pem"), (&one, "other/chain.pem")], &[]);
    // A later one, from an issuer that lives, lies beside it.
    let newer = healthy.issue(&Request::server().days(200));
    let same = authority.issue(&Request::server().days(200));
    check("healthy", &[(&newer, "a/fullchain.pem")], &[]);
    check("newest", &[(&one, "a/1.pem"), (&same, "a/2.pem")], &["critical"]);
}

#[test]
fn what_a_configuration_still_names_and_others_no_longer_trust() {
    let lab = Lab::new("filed-retired");
    let authority = Authority::new(&lab);
    let request =
        |from: i64, until: i64| Request::new(&["writer.test"]).between(from_now(from), from_now(until));
    let (old, new) = (authority.issue(&request(-200, 160)), authority.issue(&request(-95, 265)));
    let build = |name: &str, used: &Leaf| {
        let tree = lab.subfolder(name);
        copy(&new.cert_pem, tree.join("gateway/trusted/writer.pem"));
        copy(&used.fullchain_pem, tree.join("srv/writer/writer.pem"));
        copy(&used.key_pem, tree.join("srv/writer/writer.key"));
        let folder = tree.join("srv/writer");
        put(
            tree.join("etc/nginx/nginx.conf"),
            &format!(
                "events {{}}\nhttp {{ server {{ listen 127.0.0.1:1 ssl; server_name writer.test;\n ssl_certificate {0}/writer.pem;\n \
                 ssl_certificate_key {0}/writer.key; }} }}\n",
                folder.display()
            ),
        );
        scan(&[tree.to_str().expect("a path")])
    };
    let found = build("sick", &old);
    assert_eq!(of(&found, "still-in-use"), ["critical"], "{:#}", found.0);
    assert!(found.finding("still-in-use")["summary"].as_str().is_some_and(|s| s.contains("configuration")));
    let found = build("healthy", &new);
    assert_eq!(of(&found, "still-in-use"), [""; 0], "{:#}", found.0);
}

/// A whole configuration may be shorter than any certificate.
#[test]
fn a_main_file_of_one_line_is_read() {
    let lab = Lab::new("filed-tiny");
    let leaf = Authority::new(&lab).issue(&Request::new(&["tiny.test"]).days(90));
    let tree = lab.subfolder("tree");
    copy(&leaf.fullchain_pem, tree.join("tls/tiny.pem"));
    put(tree.join("Caddyfile"), "import s/*\n");
    let site =
        format!("tiny.test:8443 {{\n\ttls {0}/tiny.pem {0}/tiny.key\n}}\n", tree.join("tls").display());
    put(tree.join("s/tiny"), &site);
    let found = scan(&[tree.to_str().expect("a path")]);
    // It was read: what it names and is not there is said.
    let unseen = found.0["blind_spots"].to_string();
    assert!(unseen.contains("tiny.key") && unseen.contains("s/tiny:2"), "{unseen}");
}

/// Metadata of an identity provider that signs with these.
fn metadata(certificates: &[&Leaf]) -> String {
    let keys: String = certificates
        .iter()
        .map(|leaf| {
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate>\
                 </ds:X509Data></ds:KeyInfo></md:KeyDescriptor>",
                base64::encode(leaf.der())
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?>\n<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"https://idp.test/saml\"><md:IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}</md:IDPSSODescriptor></md:EntityDescriptor>\n"
    )
}

#[test]
fn copies_of_metadata_that_lie_only_in_files() {
    let lab = Lab::new("filed-saml");
    let signer = |from: i64, until: i64| {
        Request::new(&["idp.test"]).fresh_key().self_signed().between(from_now(from), from_now(until))
    };
    let authority = Authority::new(&lab);
    let (old, new) = (authority.issue(&signer(-700, 200)), authority.issue(&signer(-10, 900)));
    let check = |name: &str, own: &[&Leaf], partner: &[&Leaf], held: &[&Leaf], expected: &[(&str, &str)]| {
        let tree = lab.subfolder(name);
        put(tree.join("idp/metadata.xml"), &metadata(own));
        put(tree.join("partner/idp.xml"), &metadata(partner));
        for (n, leaf) in held.iter().enumerate() {
            copy(&leaf.key_pem, tree.join(format!("idp/signing-{n}.key")));
        }
        let found = scan(&[tree.to_str().expect("a path")]);
        let about: Vec<_> = found
            .findings()
            .into_iter()
            .filter(|(kind, _)| ["copy-differs", "still-in-use"].contains(kind))
            .collect();
        assert_eq!(about, expected, "{name}: {:#}", found.0);
    };
    let (differs, still) = (("copy-differs", "warning"), ("still-in-use", "critical"));
    check("behind", &[&old, &new], &[&old], &[&old, &new], &[differs]);
    // The partner has thrown out the old one, and the provider can sign with nothing else.
    check("too-early", &[&old], &[&new], &[&old], &[still, differs]);
    check("together", &[&old, &new], &[&old, &new], &[&old, &new], &[]);
    // It holds both keys: it may sign with the one that the partner knows.
    check("moved", &[&new], &[&new], &[&old, &new], &[]);
    // It may sign with either, and the partner knows one.
    check("both", &[&old, &new], &[&new], &[&old, &new], &[differs]);
}

#[test]
fn who_asks_for_a_client_certificate() {
    let lab = Lab::new("filed-client");
    let partner = Authority::new(&lab);
    let stranger = Authority::custom(&lab, Request::authority("Stranger").days(900), &[]);
    let server = partner.issue(&Request::server());
    let issuer = partner.intermediates().first().unwrap_or(partner.root());
    let options =
        nginx::Options { client_authorities: Some(issuer.cert_pem.clone()), ..nginx::Options::default() };
    let Some(asking) = need(nginx::start_with(&lab, &server, &options)) else { return };
    let place = format!("tls://localhost:{}", asking.address().port());
    let client = |authority: &Authority| {
        authority.issue(&Request::client("reporting").between(from_now(-350), from_now(10)))
    };
    let check = |name: &str, leaf: &Leaf, accepted: bool| {
        let folder = lab.subfolder(name);
        let file = copy(&leaf.cert_pem, folder.join("client.pem"));
        let words = [place.as_str(), file.to_str().expect("a path")];
        let found = scan(&words);
        let finding = found.finding("client-certificate-expires");
        let at = finding["evidence"]["accepted_at"].as_array().map_or(0, Vec::len);
        let hint = finding["hint"].as_str().unwrap_or_default();
        assert_eq!(
            (at > 0, hint.contains("ask for certificates of its issuer")),
            (accepted, accepted),
            "{finding:#}"
        );
        let shown = run::finished(notafter(&[&["show"], &words[..]].concat()).output().expect("it runs"));
        assert_eq!(shown.out.contains("may sign in"), accepted, "{}", shown.out);
    };
    check("ours", &client(&partner), true);
    check("strangers", &client(&stranger), false);
}

/// What `kubectl get certificates,certificaterequests,orders,challenges -A -o yaml` prints of one certificate.
fn dump(leaf: &Leaf, (begins, ends, renewal): (i64, i64, i64), failing: bool) -> String {
    let at = |days: i64| rfc3339(from_now(days));
    let pem = base64::encode(&fs::read(&leaf.fullchain_pem).expect("a chain"));
    let failed = if failing {
        format!("    failedIssuanceAttempts: 3\n    lastFailureTime: \"{}\"\n", at(-1))
    } else {
        String::new()
    };
    let challenge = if failing {
        format!(
            "- apiVersion: acme.cert-manager.io/v1\n  kind: Order\n  metadata:\n    name: web-2-1\n    namespace: shop\n    ownerReferences:\n    \
             - apiVersion: cert-manager.io/v1\n      kind: CertificateRequest\n      name: web-2\n  spec: {{}}\n  status:\n    state: pending\n\
             - apiVersion: acme.cert-manager.io/v1\n  kind: Challenge\n  metadata:\n    name: web-2-1-1\n    namespace: shop\n    \
             creationTimestamp: \"{}\"\n    ownerReferences:\n    - apiVersion: acme.cert-manager.io/v1\n      kind: Order\n      name: web-2-1\n  \
             spec:\n    type: HTTP-01\n  status:\n    processing: true\n    reason: 'Waiting for HTTP-01 challenge propagation: wrong status\n      \
             code ''404'', expected ''200'''\n    state: pending\n\
             - apiVersion: cert-manager.io/v1\n  kind: CertificateRequest\n  metadata:\n    name: web-2\n    namespace: shop\n    annotations:\n      \
             cert-manager.io/certificate-name: web\n  spec: {{}}\n  status:\n    failureTime: \"{}\"\n    conditions:\n    - message: 'Failed to wait for order'\n      \
             reason: Failed\n      status: \"False\"\n      type: Ready\n",
            at(-4),
            at(-3)
        )
    } else {
        String::new()
    };
    format!(
        "apiVersion: v1\nitems:\n- apiVersion: cert-manager.io/v1\n  kind: Certificate\n  metadata:\n    name: web\n    namespace: shop\n  spec:\n    \
         dnsNames:\n    - web.test\n    issuerRef:\n      kind: ClusterIssuer\n      name: letsencrypt\n    secretName: web-tls\n  status:\n    conditions:\n    \
         - lastTransitionTime: \"{0}\"\n      message: Certificate is up to date and has not expired\n      reason: Ready\n      status: \"True\"\n      type: Ready\n    \
         notAfter: \"{1}\"\n    notBefore: \"{0}\"\n    renewalTime: \"{2}\"\n    revision: 1\n{failed}\
         - apiVersion: cert-manager.io/v1\n  kind: CertificateRequest\n  metadata:\n    name: web-1\n    namespace: shop\n    ownerReferences:\n    \
         - apiVersion: cert-manager.io/v1\n      kind: Certificate\n      name: web\n  spec: {{}}\n  status:\n    certificate: {pem}\n    conditions:\n    \
         - message: Certificate fetched from issuer successfully\n      reason: Issued\n      status: \"True\"\n      type: Ready\n{challenge}\
         kind: List\nmetadata:\n  resourceVersion: \"\"\n",
        at(begins),
        at(ends),
        at(renewal)
    )
}

#[test]
fn the_state_of_cert_manager_in_a_file() {
    let lab = Lab::new("filed-cert-manager");
    let authority = Authority::new(&lab);
    let check = |name: &str, life: (i64, i64, i64), failing: bool, expected: &[(&str, &str)]| {
        let request = Request::new(&["web.test"]).between(from_now(life.0), from_now(life.1));
        let leaf = authority.issue(&request);
        let tree = lab.subfolder(name);
        put(tree.join("cluster.yaml"), &dump(&leaf, life, failing));
        let found = scan(&[tree.to_str().expect("a path")]);
        let mut about: Vec<_> =
            found.findings().into_iter().filter(|(kind, _)| kind.starts_with("renew")).collect();
        about.sort_unstable();
        assert_eq!(about, expected, "{name}: {:#}", found.0);
        found
    };
    check("healthy", (-20, 70, 40), false, &[]);
    let found = check(
        "failing",
        (-70, 20, -10),
        true,
        &[("renewal-failing", "warning"), ("renewal-overdue", "warning")],
    );
    let failing = found.finding("renewal-failing");
    let (summary, hint) = (failing["summary"].as_str().unwrap_or(""), failing["hint"].as_str().unwrap_or(""));
    assert!(summary.contains("failed 3 times") && summary.contains("wrong status code '404'"), "{failing:#}");
    assert!(hint.contains("cmctl renew -n shop web"), "{failing:#}");
    // It renews by itself: its last quarter alone is no warning.
    check("waiting", (-62, 28, 1), false, &[]);
    check("stuck", (-70, 20, -10), false, &[("renewal-overdue", "warning")]);
    // Without the certificate it is a blind spot that says what is known.
    let tree = lab.subfolder("bare");
    let leaf = authority.issue(&Request::new(&["web.test"]).between(from_now(-70), from_now(20)));
    let text = dump(&leaf, (-70, 20, -10), false);
    let start = text.find("- apiVersion: cert-manager.io/v1\n  kind: CertificateRequest").expect("it");
    put(tree.join("c.yaml"), &format!("{}kind: List\n", &text[..start]));
    let found = scan(&[tree.to_str().expect("a path")]);
    let detail = found.blind_spots()[0]["detail"].as_str().unwrap_or("").to_owned();
    assert!(detail.contains("shop/web") && detail.contains("web-tls"), "{:#}", found.0);
}
