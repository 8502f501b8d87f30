//! What is no proof though it looks like one, and what is one though something else lies beside it: keystores with other
//! entries, a relay without the key, a name with two addresses, two backends behind one address. Real servers and tools.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use notafter_lab::dns::{self, Daemon, Tsig, Zone};
use notafter_lab::pebble::{self, Pebble};
use notafter_lab::servers::nginx;
use notafter_lab::stores::{self, Java};
use notafter_lab::{Authority, Key, Lab, Leaf, Request, need, program};
use run::{Run, run};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};
use serde_json::Value;

/// Shows, at each connection, the chain in the file that its turn is; signs with one key, whether it fits or not.
#[derive(Debug)]
struct Shows {
    turns: Vec<(PathBuf, PathBuf)>,
    asked: AtomicUsize,
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (chain, key) = &self.turns[self.asked.load(Ordering::Relaxed) % self.turns.len()];
        let chain = CertificateDer::pem_file_iter(chain).ok()?.collect::<Result<_, _>>().ok()?;
        let key = aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::from_pem_file(key).ok()?).ok()?;
        // Whoever wants another type of key is shown nothing, and it was nobody's turn.
        key.choose_scheme(hello.signature_schemes())?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(CertifiedKey::new(chain, key)))
    }
}

/// A TLS server that shows these, one after the other, until the test ends.
fn shows(address: SocketAddr, turns: Vec<(PathBuf, PathBuf)>) -> SocketAddr {
    let resolver = Arc::new(Shows { turns, asked: AtomicUsize::new(0) });
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    let config = Arc::new(config);
    let listener = TcpListener::bind(address).expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut connection = ServerConnection::new(config).expect("a connection");
                let _ = connection.complete_io(&mut stream);
            });
        }
    });
    address
}

/// A CA and a configuration with one certificate for `srv.test`.
struct House {
    lab: Lab,
    ca: Pebble,
    config: PathBuf,
}

impl House {
    fn new(name: &str) -> Option<Self> {
        let lab = Lab::new(name);
        let ca = need(pebble::start(&lab, &pebble::Options::default()))?;
        let config = lab.path().join("notafter.toml");
        Some(Self { lab, ca, config })
    }

    /// `before`: tables that come first. `more`: the rest of the certificate's table, and its targets.
    fn configure(&self, before: &str, more: &str) {
        let port = self.ca.http_port();
        let text = format!(
            "{before}[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
             [[certificate]]\nname = \"it\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"5s\"\n\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n{more}",
            self.ca.directory(),
            self.ca.ca_file().display(),
        );
        std::fs::write(&self.config, text).expect("written");
    }

    fn ask(&self, words: &[&str]) -> Run {
        let data = self.lab.path().join("data").display().to_string();
        run(&[words, &["--config", &self.config.display().to_string(), "--data", &data]].concat())
    }

    /// Renews it: how it ended, and what was said.
    fn renew(&self) -> (i32, String, String) {
        let renewed = self.ask(&["renew", "it", "--json"]);
        let document: Value = serde_json::from_str(&renewed.out).unwrap_or_default();
        let text = |key: &str| document[key].as_str().unwrap_or(&renewed.err).to_owned();
        (renewed.code, text("state"), text("said"))
    }
}

fn files(tls: &Path, more: &str) -> String {
    let tls = tls.display();
    format!(
        "[[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n{more}"
    )
}

fn pair(leaf: &Leaf) -> (PathBuf, PathBuf) {
    (leaf.fullchain_pem.clone(), leaf.key_pem.clone())
}

fn keytool(store: &Path, words: &[&str]) -> String {
    let path = program::find("keytool").expect("keytool");
    let mut command = std::process::Command::new(path);
    command.args(words).arg("-keystore").arg(store);
    program::run(command.args(["-storetype", "JKS", "-storepass", "changeit"])).expect("keytool").text()
}

/// Tomcat's store: the site's key, another key, and the CA of a partner.
#[test]
fn a_keystore_with_entries_of_others_is_proved_by_its_own() {
    let Some(house) = House::new("proofs-store") else { return };
    let authority = Authority::new(&house.lab);
    let store = house.lab.subfolder("tls").join("keystore.jks");
    let old = authority.issue(&Request::server().days(20));
    if need(stores::java(&store, &old, Java::Jks, "changeit")).is_none() {
        return;
    }
    let root = authority.root().cert_pem.display().to_string();
    keytool(&store, &["-importcert", "-noprompt", "-alias", "a-partner", "-file", &root]);
    keytool(&store, &["-genkeypair", "-keyalg", "EC", "-alias", "beside", "-dname", "CN=beside.test"]);
    house.configure(
        "",
        &format!(
            "[[certificate.target]]\nkind = \"files\"\n\
             jks = {{ path = \"{}\", alias = \"srv.test\" }}\n",
            store.display()
        ),
    );
    let (code, state, said) = house.renew();
    assert_eq!((code, state.as_str()), (0, "proved"), "{said}");
    let listed = keytool(&store, &["-list"]);
    assert!(["a-partner", "beside", "srv.test"].iter().all(|alias| listed.contains(alias)), "{listed}");
    assert_eq!(house.ask(&["prove", "it"]).code, 0);
    let place = format!("file://{}", store.display());
    assert_eq!(house.ask(&["prove", &store.display().to_string(), &place]).code, 0);
    // Somebody puts the one before beside it: which one the server takes is not known.
    let second = house.lab.path().join("second.jks");
    stores::java(&second, &old, Java::Jks, "changeit").expect("a store");
    let from = second.display().to_string();
    keytool(
        &store,
        &[
            "-importkeystore",
            "-noprompt",
            "-srckeystore",
            &from,
            "-srcstorepass",
            "changeit",
            "-srcalias",
            "srv.test",
            "-destalias",
            "tomcat",
            "-destkeypass",
            "changeit",
        ],
    );
    let open = house.ask(&["prove", "it"]);
    assert!(open.code == 1 && open.out.contains("tomcat"), "{}{}", open.out, open.err);
}

/// The new chain is public as soon as it is written: whoever shows it without its key is not the server.
#[test]
fn a_relay_that_shows_the_new_chain_without_its_key_leaves_the_renewal_open() {
    let Some(house) = House::new("proofs-relay") else { return };
    let old = Authority::new(&house.lab).issue(&Request::server().days(20));
    let tls = house.lab.subfolder("tls");
    std::fs::copy(&old.fullchain_pem, tls.join("fullchain.pem")).expect("written");
    std::fs::copy(&old.key_pem, tls.join("key.pem")).expect("written");
    // A key of the same kind as the new one, and another one.
    let relay = shows(([127, 0, 0, 1], 0).into(), vec![(tls.join("fullchain.pem"), old.key_pem.clone())]);
    house.configure("", &files(&tls, &format!("prove = [\"tls://{relay}?sni=srv.test\"]\n")));
    let (code, state, said) = house.renew();
    assert_eq!((code, state.as_str()), (1, "waits-for-person"), "{said}");
    assert!(
        said.contains("did not prove that it holds its key") && said.contains(&relay.to_string()),
        "{said}"
    );
    assert_eq!(house.ask(&["prove", "it"]).code, 1);
}

#[test]
fn a_name_with_two_addresses_is_open_until_both_show_it() {
    let Some(house) = House::new("proofs-two") else { return };
    let old = Authority::new(&house.lab).issue(&Request::server().days(20));
    let key = Tsig::new("hmac-sha256");
    let zone = Zone::new("srv.test", "@ A 127.0.0.1\n@ AAAA ::1\n");
    let Some(names) = need(dns::start(&house.lab, Daemon::Knot, &[zone], &key)) else { return };
    let Some(web) = need(nginx::start(&house.lab, &old)) else { return };
    let port = web.address().port();
    let other = shows((Ipv6Addr::LOCALHOST, port).into(), vec![pair(&old)]);
    let ways = format!(
        "reload = [\"kill\", \"-HUP\", \"{}\"]\nprove = [\"tls://srv.test:{port}\"]\n",
        web.pid().unwrap_or(0)
    );
    let server = format!("[server]\nresolver = \"{}\"\n", names.address());
    house.configure(&server, &files(&web.folder().join("tls"), &ways));
    let (code, state, said) = house.renew();
    assert_eq!((code, state.as_str()), (1, "waits-for-person"), "{said}");
    assert!(said.contains(&other.to_string()) && said.contains("still shows"), "{said}");
    // That one is excused by name; the other address still has to show it.
    let excused = format!("{ways}excuse = {{ \"tls://[::1]:{port}\" = \"replaced in spring\" }}\n");
    house.configure(&server, &files(&web.folder().join("tls"), &excused));
    let (code, state, said) = house.renew();
    assert_eq!((code, state.as_str()), (0, "proved"), "{said}");
    // A typing error excuses nobody.
    let wrong = format!("{ways}excuse = {{ \"tls://other.test:{port}\" = \"x\" }}\n");
    house.configure(&server, &files(&web.folder().join("tls"), &wrong));
    let check = house.ask(&["config", "check"]);
    assert!(check.code == 2 && check.err.contains("not in `prove`"), "{}{}", check.out, check.err);
    house.configure(&server, &files(&web.folder().join("tls"), &excused));
    // All of it stands in the trail, and the trail can be carried away.
    let trail = house.ask(&["export", "--trail"]);
    assert_eq!(trail.code, 0, "{}", trail.err);
    let lines: Vec<Value> = trail.out.lines().map(|l| serde_json::from_str(l).expect("a line")).collect();
    let numbers: Vec<i64> = lines.iter().filter_map(|line| line["id"].as_i64()).collect();
    assert!(numbers.windows(2).all(|two| two[0] == two[1] + 1) && numbers.last() == Some(&1), "{numbers:?}");
    assert!(lines.iter().all(|line| line["hash"].as_str().is_some_and(|hash| hash.len() == 64)));
    assert!(lines.iter().any(|line| line["what"] == "renewed"), "{}", trail.out);
}

/// A place that serves the one before and that nobody named: the renewal is done, and says so.
#[test]
fn a_place_that_was_forgotten_is_named_at_the_end() {
    let Some(house) = House::new("proofs-forgotten") else { return };
    let old = Authority::new(&house.lab).issue(&Request::server().days(20));
    let Some(web) = need(nginx::start(&house.lab, &old)) else { return };
    let other = shows(([127, 0, 0, 1], 0).into(), vec![pair(&old)]);
    let place = format!("tls://{}?sni=srv.test", web.address());
    house.configure("", "");
    let known = house.ask(&["scan", &place, &format!("tls://{other}?sni=srv.test"), "--save"]);
    assert_eq!(known.code, 0, "{}", known.err);
    let ways =
        format!("reload = [\"kill\", \"-HUP\", \"{}\"]\nprove = [\"{place}\"]\n", web.pid().unwrap_or(0));
    house.configure("", &files(&web.folder().join("tls"), &ways));
    let (code, state, said) = house.renew();
    assert_eq!((code, state.as_str()), (0, "proved"), "{said}");
    assert!(said.contains(&other.to_string()) && !said.contains(&web.address().to_string()), "{said}");
}

/// A server with two keys: each of its certificates is proved by a client that takes no other kind.
#[test]
fn both_certificates_of_a_server_with_two_keys_are_proved() {
    let lab = Lab::new("proofs-two-keys");
    let authority = Authority::new(&lab);
    let (curve, rsa) =
        (authority.issue(&Request::server()), authority.issue(&Request::server().key(Key::Rsa2048)));
    let options = nginx::Options { second: Some(rsa.clone()), ..nginx::Options::default() };
    let Some(web) = need(nginx::start_with(&lab, &curve, &options)) else { return };
    let place = format!("tls://{}?sni=srv.test", web.address());
    let prove = |leaf: &Leaf| {
        let file = leaf.fullchain_pem.display().to_string();
        run(&["prove", &file, &place, "--data", &lab.path().display().to_string()])
    };
    for leaf in [&curve, &rsa] {
        let proved = prove(leaf);
        assert_eq!(proved.code, 0, "{}{}", proved.out, proved.err);
    }
    let other = prove(&authority.issue(&Request::server().key(Key::Rsa2048)));
    assert_eq!(other.code, 1, "{}{}", other.out, other.err);
}

/// Two backends behind one address, one of which missed the last two renewals: every other client is shown the old one.
#[test]
fn an_address_that_shows_the_new_one_every_other_time_is_not_proved() {
    let lab = Lab::new("proofs-backends");
    let authority = Authority::new(&lab);
    let new = authority.issue(&Request::server().days(80));
    let stale = authority.issue(&Request::server().days(10));
    let stranger = authority.issue(&Request::new(&["other.test"]).days(80));
    let prove = |turns: &[&Leaf]| {
        let turns = turns.iter().map(|leaf| pair(leaf)).collect();
        let address = shows(([127, 0, 0, 1], 0).into(), turns);
        let place = format!("tls://{address}?sni=srv.test");
        run(&[
            "prove",
            &new.fullchain_pem.display().to_string(),
            &place,
            "--data",
            &lab.path().display().to_string(),
        ])
    };
    for turns in [[&new, &stale], [&stale, &new]] {
        let open = prove(&turns);
        assert!(open.code == 1 && open.out.contains("for the same name"), "{}{}", open.out, open.err);
    }
    assert_eq!(prove(&[&new]).code, 0);
    // Shown to somebody else, it is no concern of this name.
    let beside = [[&new, &new, &stranger], [&new, &stranger, &new], [&stranger, &new, &new]];
    assert!(beside.iter().any(|turns| prove(turns).code == 0));
}

/// A file that was read back says nothing of the server that should have loaded it.
#[test]
fn files_alone_are_called_files_and_revoke_nothing() {
    let Some(house) = House::new("proofs-files") else { return };
    let tls = house.lab.subfolder("tls");
    let blind = files(&tls, "");
    house.configure("", &format!("revoke_old = true\n{blind}"));
    let check = house.ask(&["config", "check"]);
    assert!(check.code == 2 && check.err.contains("names no server"), "{}{}", check.out, check.err);
    let server = "prove = [\"tls://127.0.0.1:9\"]\n";
    house.configure("", &format!("revoke_old = true\n{}", files(&tls, server)));
    assert_eq!(house.ask(&["config", "check"]).code, 0);
    let excused = format!("{server}excuse = {{ \"tls://127.0.0.1:9\" = \"off\" }}\n");
    house.configure("", &format!("revoke_old = true\n{}", files(&tls, &excused)));
    assert_eq!(house.ask(&["config", "check"]).code, 2);
    house.configure("", &blind);
    let renewed = house.ask(&["renew", "it"]);
    assert_eq!(renewed.code, 0, "{}{}", renewed.out, renewed.err);
    let said = "its files hold it; no server was looked at";
    assert!(renewed.out.contains(said) && !renewed.out.contains("seen in use"), "{}", renewed.out);
}
