//! A CA of one's own before other people's verifiers: openssl (strict), GnuTLS, and our own judge, which must agree.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use notafter_core::issuance::KeyType;
use notafter_lab::{Lab, program};
use notafter_pki::crl::Crl;
use notafter_pki::fingerprint::hex;
use notafter_pki::verdict::{Purpose, Question, Reason, Rules, Verdict, judge, second_opinion};
use serde_json::json;

use super::*;
use crate::request;
use crate::roots::Roots;
use crate::testing::{Hand, Memory, Nobody};
use notafter_pki::container::pem;

const DAY: i64 = 86_400;

/// A CA with its memory and a folder for what the judges read.
struct House {
    lab: Lab,
    memory: Arc<Memory>,
    table: Value,
    now: i64,
}

impl House {
    fn new(name: &str, more: Value) -> Self {
        let mut table =
            json!({ "names": ["*.internal.example"], "addresses": ["10.0.0.0/8"], "ca_key": "ecdsa-p256" });
        table.as_object_mut().expect("a table").extend(more.as_object().cloned().expect("a table"));
        let now = notafter_lab::calendar::now();
        Self { lab: Lab::new(name), memory: Arc::default(), table, now }
    }

    fn founded(name: &str, more: Value) -> Self {
        let house = Self::new(name, more);
        house.ca().found(&Founding::default(), UnixTime(house.now)).expect("made");
        house
    }

    fn open(&self, more: &Value) -> Ca {
        let mut table = self.table.clone();
        table.as_object_mut().expect("a table").extend(more.as_object().cloned().expect("a table"));
        let keep: Arc<dyn notafter_core::joints::Keep> = self.memory.clone();
        Ca::open(table, &BuildCx { name: "house".into(), roots: Roots::none(), keep, act: None })
            .expect("a CA")
    }

    fn ca(&self) -> Ca {
        self.open(&json!({}))
    }

    fn write(&self, name: &str, ders: &[Vec<u8>]) -> PathBuf {
        let path = self.lab.path().join(name);
        let text: String = ders.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
        std::fs::write(&path, text).expect("written");
        path
    }

    fn root(&self) -> PathBuf {
        self.write("root.pem", &[self.ca().standing(0).expect("it stands").root])
    }

    /// What openssl says of a chain: empty where it takes it.
    fn openssl(&self, chain: &[Vec<u8>], more: &[&str]) -> String {
        let (leaf, rest) = chain.split_first().expect("a chain");
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile"]).arg(self.root());
        if !rest.is_empty() {
            command.arg("-untrusted").arg(self.write("rest.pem", rest));
        }
        command.args(more).arg(self.write("leaf.pem", std::slice::from_ref(leaf)));
        refusal(&mut command)
    }

    /// What GnuTLS says of a chain: empty where it takes it.
    fn gnutls(&self, chain: &[Vec<u8>]) -> String {
        let mut command = Command::new("certtool");
        command.args(["--verify", "--load-ca-certificate"]).arg(self.root());
        command.arg("--infile").arg(self.write("chain.pem", chain));
        refusal(&mut command)
    }

    /// What we say of a chain ourselves; rustls-webpki has to agree.
    fn own(&self, chain: &[Vec<u8>], crls: &[Vec<u8>], purpose: Purpose) -> Option<Reason> {
        let root = self.ca().standing(0).expect("it stands").root;
        let certificates: Vec<Certificate<'_>> =
            chain.iter().map(|der| Certificate::parse(der).expect("a certificate")).collect();
        let anchors = [Certificate::parse(&root).expect("a root")];
        let crls: Vec<Crl<'_>> = crls.iter().map(|der| Crl::parse(der).expect("a CRL")).collect();
        let question = Question {
            leaf: certificates[0],
            sent: &certificates[1..],
            anchors: &anchors,
            name: None,
            at: UnixTime(self.now),
            purpose,
            crls: &crls,
            rules: Rules::default(),
        };
        let verdict = judge(&question);
        if crls.is_empty() {
            let second = second_opinion(&question);
            assert_eq!(verdict.is_trusted(), second.is_ok(), "{verdict:?} {second:?}");
        }
        match verdict {
            Verdict::Trusted { .. } => None,
            other => other.reason(),
        }
    }
}

/// What a judge says who does not agree; empty where he does.
fn refusal(command: &mut Command) -> String {
    let ran = command.output().expect("the judge is installed");
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ran.status.success() || !said.is_empty(), "{command:?}: no word");
    if ran.status.success() { String::new() } else { said }
}

fn names(all: &[&str]) -> Vec<Identifier> {
    all.iter().map(|n| Identifier::parse(n).expect(n)).collect()
}

fn csr(all: &[&str], key: KeyType) -> Vec<u8> {
    request::make(&names(all), key, None).expect("a request").1
}

/// A certificate for these names.
fn issue(house: &House, ca: &Ca, all: &[&str], life: Option<i64>) -> Result<(Record, Vec<Vec<u8>>), Fault> {
    let record = ca.issue(&names(all), &csr(all, KeyType::EcdsaP256), life, UnixTime(house.now))?;
    let chain = ca.chain(&record)?;
    Ok((record, chain))
}

fn text(der: &[u8], lab: &Lab, kind: &str) -> String {
    let path = lab.path().join(format!("{kind}.der"));
    std::fs::write(&path, der).expect("written");
    let mut command = Command::new("openssl");
    command.args([kind, "-inform", "DER", "-noout", "-text", "-in"]).arg(&path);
    program::run(&mut command).expect("openssl runs").text()
}

#[test]
fn made_by_a_person_and_once() {
    let house = House::new("ca-made", json!({}));
    let ca = house.ca();
    let missing = ca.standing(0).expect_err("none yet");
    assert!(
        missing.to_string().contains("was not made yet")
            && missing.hint.is_some_and(|h| h.contains("notafter ca init house"))
    );
    let none = issue(&house, &ca, &["a.internal.example"], None).expect_err("none yet");
    assert!(none.to_string().contains("was not made yet"), "{none}");
    let wrong = Founding { subject: Some("House".into()), days: None };
    assert!(
        ca.found(&wrong, UnixTime(house.now)).expect_err("no name").to_string().contains("the subject: ")
    );
    let short = Founding { subject: None, days: Some(90) };
    assert!(
        ca.found(&short, UnixTime(house.now))
            .expect_err("too short")
            .to_string()
            .contains("90 days is no root")
    );
    let how = Founding { subject: Some("CN=House CA,O=Example,C=DE".into()), days: Some(400) };
    ca.found(&how, UnixTime(house.now)).expect("made");
    let again = ca.found(&how, UnixTime(house.now)).expect_err("once");
    assert!(again.to_string().contains("was made already") && again.hint.is_some(), "{again}");

    let standing = ca.standing(0).expect("it stands");
    let root = text(&standing.root, &house.lab, "x509");
    for words in [
        "CA:TRUE, pathlen:1",
        "Certificate Sign, CRL Sign",
        "X509v3 Subject Key Identifier",
        "Version: 3",
        "C = DE, O = Example, CN = House CA",
    ] {
        assert!(root.contains(words), "{words}: {root}");
    }
    let below = text(&standing.intermediate, &house.lab, "x509");
    for words in [
        "CA:TRUE, pathlen:0",
        "X509v3 Name Constraints: critical",
        "DNS:internal.example",
        "IP:10.0.0.0/255.0.0.0",
        "TLS Web Server Authentication",
        "X509v3 Authority Key Identifier",
        "CN = House CA intermediate",
    ] {
        assert!(below.contains(words), "{words}: {below}");
    }
    assert!(!below.contains("Client Authentication"), "{below}");
}

#[test]
fn made_by_two_at_once_there_is_one() {
    let house = House::new("ca-race", json!({}));
    let house = &house;
    let made: Vec<bool> = std::thread::scope(|scope| {
        let one = || house.ca().found(&Founding::default(), UnixTime(house.now)).is_ok();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert_eq!(made.iter().filter(|done| **done).count(), 1, "{made:?}");
    // Its keys are those that were kept last: what it issues is taken.
    let (_, chain) = issue(house, &house.ca(), &["a.internal.example"], None).expect("issued");
    assert_eq!(house.openssl(&chain, &[]), "");
}

#[test]
fn what_it_issues_is_taken_by_every_verifier() {
    for (word, key) in KeyType::ALL {
        // RSA of the CA's own is slow to make; two of its sizes are enough.
        if matches!(key, KeyType::Rsa3072) {
            continue;
        }
        let house = House::founded(
            &format!("ca-{word}"),
            json!({ "ca_key": word, "crl_url": "http://pki.internal.example/house.crl" }),
        );
        let ca = house.ca();
        let all = ["api.internal.example", "10.1.2.3"];
        let (record, chain) = issue(&house, &ca, &all, None).expect(word);
        assert_eq!(chain.len(), 2, "the leaf and the intermediate, no root");
        let more =
            ["-purpose", "sslserver", "-verify_hostname", "api.internal.example", "-verify_ip", "10.1.2.3"];
        assert_eq!(house.openssl(&chain, &more), "", "{word}");
        assert_eq!(house.gnutls(&chain), "", "{word}");
        assert_eq!(house.own(&chain, &[], Purpose::Server), None, "{word}");
        assert!(house.openssl(&chain, &["-purpose", "sslclient"]).contains("purpose"), "{word}");
        let leaf = Certificate::parse(&chain[0]).expect("a certificate");
        assert!(leaf.serial().len() == 16 && leaf.serial()[0] & 0x80 == 0, "positive, 16 octets");
        assert_eq!(record.serial, hex(leaf.serial()));
        assert_eq!(leaf.problems(), vec![], "{word}");
        let end = leaf.not_after().expect("an end");
        assert_eq!(end, UnixTime(house.now + 90 * DAY));
        assert_eq!(leaf.not_before(), Some(UnixTime(house.now - 300)));
        let shown = text(&chain[0], &house.lab, "x509");
        assert!(
            shown.contains("URI:http://pki.internal.example/house.crl") && shown.contains("CA:FALSE"),
            "{shown}"
        );
    }
}

#[test]
fn addresses_alone_and_clients() {
    let house = House::founded("ca-client", json!({ "purposes": ["server", "client"] }));
    let ca = house.ca();
    let (_, chain) = issue(&house, &ca, &["10.1.2.3"], None).expect("issued");
    assert!(text(&chain[0], &house.lab, "x509").contains("X509v3 Subject Alternative Name: critical"));
    assert_eq!(house.openssl(&chain, &["-purpose", "sslclient", "-verify_ip", "10.1.2.3"]), "");
    assert_eq!(house.gnutls(&chain), "");
    assert_eq!(house.own(&chain, &[], Purpose::Client), None);
    // RSA keys may wrap keys, others not.
    let rsa = ca
        .issue(
            &names(&["a.internal.example"]),
            &csr(&["a.internal.example"], KeyType::Rsa2048),
            None,
            UnixTime(house.now),
        )
        .and_then(|r| ca.chain(&r))
        .expect("issued");
    assert!(text(&rsa[0], &house.lab, "x509").contains("Key Encipherment"));
    assert!(!text(&chain[0], &house.lab, "x509").contains("Key Encipherment"));
}

/// The policy is ours to keep; the constraints hold even if somebody has the intermediate's key.
#[test]
fn a_name_outside_is_refused_by_every_verifier_even_if_it_was_signed() {
    let house = House::founded("ca-forced", json!({}));
    let dns = House::founded("ca-forced-dns", json!({ "addresses": [] }));
    let ip = House::founded("ca-forced-ip", json!({ "names": [], "addresses": ["10.0.0.0/8", "fd00::/8"] }));
    for (house, name) in [
        (&house, "www.evil.example"),
        (&house, "11.0.0.1"),
        (&house, "fd00::1"),
        (&dns, "10.1.2.3"),
        (&dns, "2001:db8::1"),
        (&ip, "a.internal.example"),
        (&ip, "fe80::1"),
    ] {
        let ca = house.ca();
        assert!(issue(house, &ca, &[name], None).is_err(), "{name}");
        let made = ca.made().expect("it stands");
        let above = make::newest(&made).expect("an intermediate");
        let above = Certificate::parse(&above).expect("a certificate");
        let csr = csr(&[name], KeyType::EcdsaP256);
        let spki = notafter_pki::csr::Csr::parse(&csr).expect("a request").public_key().spki().to_vec();
        let slip = ca.slip().expect("a number");
        let forced = ca
            .sign_leaf(&made, &above, (&slip, &names(&[name]), &spki, DAY), UnixTime(house.now))
            .and_then(|r| ca.chain(&r))
            .expect("signed by force");
        let said = house.openssl(&forced, &[]);
        assert!(said.contains("subtree violation"), "{name}: {said}");
        assert!(!house.gnutls(&forced).is_empty(), "{name}: GnuTLS takes it");
        let own = house.own(&forced, &[], Purpose::Server);
        assert!(own.is_some_and(|r| format!("{r:?}").to_lowercase().contains("name")), "{name}: {own:?}");
    }
}

#[test]
fn asked_again_it_hands_out_the_same_one() {
    let house = House::founded("ca-again", json!({}));
    let clock = Arc::new(Hand(AtomicI64::new(house.now)));
    let cx = Cx::new(clock.clone(), "this host".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let all = ["a.internal.example"];
    let request = Request {
        names: names(&all),
        csr: csr(&all, KeyType::EcdsaP256),
        profile: None,
        replaces: None,
        preferred_chain: None,
        lifetime_s: Some(120),
    };
    runtime.block_on(async {
        let ca = house.ca();
        let ticket = ca.begin(&cx, &request).await.expect("a ticket");
        let issued = |progress| match progress {
            Progress::Issued(issued) => issued,
            other => panic!("{other:?}"),
        };
        let first = issued(ca.advance(&cx, &request, &ticket, &Nobody).await.expect("issued"));
        // Somebody was killed before the answer was kept: another process asks, later, and others were served meanwhile.
        clock.0.fetch_add(30, Ordering::Relaxed);
        for n in 0..40 {
            issue(&house, &ca, &[&format!("n{n}.internal.example")], None).expect("issued");
        }
        let second = issued(house.ca().advance(&cx, &request, &ticket, &Nobody).await.expect("again"));
        assert_eq!(first, second);
        assert_eq!(house.ca().standing(100).expect("it stands").issued.len(), 41);
        // Its own key, or nothing; and no ticket of somebody else.
        let other = Request { csr: csr(&all, KeyType::EcdsaP256), ..request.clone() };
        let wrong = ca.advance(&cx, &other, &ticket, &Nobody).await.expect_err("another key");
        assert!(wrong.to_string().contains("another request"), "{wrong}");
        let stray = Ticket(json!({ "ca": "other", "serial": "00", "page": 0 }));
        assert!(ca.advance(&cx, &request, &stray, &Nobody).await.is_err());
        // Two minutes are not made of backdating.
        let leaf = Certificate::parse(&first.chain[0]).expect("a certificate");
        assert_eq!(leaf.not_before(), Some(UnixTime(house.now - 12)));
        let checks = ca.rehearse(&cx, &request, &Nobody).await;
        assert!(checks.iter().all(|c| c.works), "{checks:?}");
        ca.abandon(&cx, &ticket, &Nobody).await.expect("nothing to take back");
    });
}

#[test]
fn nothing_outlives_what_signed_it_and_the_intermediate_is_renewed_in_time() {
    let mut house = House::new("ca-lives", json!({}));
    house.ca().found(&Founding { subject: None, days: Some(1_500) }, UnixTime(house.now)).expect("made");
    let (ca, begun) = (house.ca(), house.now);
    let end = |der: &[u8]| Certificate::parse(der).expect("a certificate").not_after().expect("an end").0;
    let (_, first) = issue(&house, &ca, &["a.internal.example"], None).expect("issued");
    assert_eq!(end(&first[1]), begun + 1_095 * DAY);
    // Too little is left of the intermediate: it is renewed, with the same key and the same constraints.
    house.now = begun + 1_010 * DAY;
    let (_, second) = issue(&house, &ca, &["a.internal.example"], None).expect("issued");
    assert_ne!(first[1], second[1]);
    let (old, new) =
        (Certificate::parse(&first[1]).expect("old"), Certificate::parse(&second[1]).expect("new"));
    assert_eq!((old.spki(), old.subject().der()), (new.spki(), new.subject().der()));
    assert_ne!(old.serial(), new.serial());
    let constraints = notafter_pki::oid::NAME_CONSTRAINTS;
    assert_eq!(old.extension(constraints).map(|e| e.value), new.extension(constraints).map(|e| e.value));
    assert_eq!(end(&second[1]), begun + 1_500 * DAY, "no later than its root");
    assert_eq!(end(&second[0]), house.now + 90 * DAY);
    // What was issued before is good with the new one too.
    let at = (begun + DAY).to_string();
    let at_begin = ["-attime", at.as_str()];
    assert_eq!(house.openssl(&first, &at_begin), "");
    let at = (house.now + 1).to_string();
    assert_eq!(house.openssl(&second, &["-attime", at.as_str()]), "");
    // Near the end of the root lives are cut, and after it nothing is issued.
    house.now = begun + 1_450 * DAY;
    let (_, third) = issue(&house, &ca, &["a.internal.example"], None).expect("issued");
    assert_eq!(end(&third[0]), begun + 1_500 * DAY);
    house.now = begun + 1_500 * DAY;
    let over = issue(&house, &ca, &["a.internal.example"], None).expect_err("over");
    assert!(over.to_string().contains("issues no more"), "{over}");
    assert!(
        ca.renew_intermediate(UnixTime(house.now)).expect_err("over").to_string().contains("root has ended")
    );
}

#[test]
fn a_wider_policy_needs_a_new_intermediate_and_a_person() {
    let house = House::founded("ca-wider", json!({}));
    let wider = json!({ "names": ["*.internal.example", "*.second.example"] });
    let ca = house.open(&wider);
    let narrow = issue(&house, &ca, &["a.second.example"], None).expect_err("older intermediate");
    assert!(narrow.to_string().contains("older than that"), "{narrow}");
    assert!(
        narrow.hint.as_deref().is_some_and(|h| h.contains("notafter ca init house --renew-intermediate"))
    );
    ca.renew_intermediate(UnixTime(house.now)).expect("renewed");
    let (_, chain) = issue(&house, &ca, &["a.second.example"], None).expect("issued");
    assert_eq!(house.openssl(&chain, &[]), "");
    assert_eq!(house.gnutls(&chain), "");
}

#[test]
fn revoked_is_what_the_list_says() {
    let mut house = House::founded("ca-crl", json!({}));
    let (ca, begun) = (house.ca(), house.now);
    let (bad, bad_chain) = issue(&house, &ca, &["bad.internal.example"], Some(3 * DAY)).expect("issued");
    let (_, good) = issue(&house, &ca, &["good.internal.example"], None).expect("issued");
    let empty = ca.lists(UnixTime(begun)).expect("lists");
    assert_eq!((empty.number, empty.revoked), (1, 0));
    assert!(text(&empty.list, &house.lab, "crl").contains("No Revoked Certificates"));
    assert!(
        ca.revoke_leaf(&bad_chain[0], RevocationReason::KeyCompromise, UnixTime(begun))
            .expect("revoked")
            .news
    );
    assert!(
        !ca.revoke_leaf(&bad_chain[0], RevocationReason::Superseded, UnixTime(begun)).expect("again").news
    );
    let lists = ca.lists(UnixTime(begun)).expect("lists");
    assert_eq!((lists.number, lists.revoked), (2, 1));
    assert_eq!(ca.lists(UnixTime(begun + 60)).expect("lists"), lists, "no new list without need");

    let shown = text(&lists.list, &house.lab, "crl");
    for words in [
        "Version 2",
        "X509v3 CRL Number",
        "X509v3 Authority Key Identifier",
        "Key Compromise",
        &bad.serial.to_uppercase(),
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let crls = house.lab.path().join("crls.pem");
    std::fs::write(&crls, lists.pem()).expect("written");
    let crls = crls.to_string_lossy().into_owned();
    let check = ["-crl_check_all", "-CRLfile", crls.as_str()];
    assert_eq!(house.openssl(&good, &check), "");
    assert!(house.openssl(&bad_chain, &check).contains("certificate revoked"));
    assert_eq!(house.own(&good, &[lists.list.clone(), lists.root_list.clone()], Purpose::Server), None);
    let own = house.own(&bad_chain, &[lists.list.clone(), lists.root_list.clone()], Purpose::Server);
    assert!(own.is_some_and(|r| format!("{r:?}") == "Revoked"), "{own:?}");
    let mut certtool = Command::new("certtool");
    certtool.arg("--verify-crl").arg("--load-ca-certificate").arg(house.write("int.pem", &good[1..]));
    let der = house.lab.path().join("list.pem");
    std::fs::write(&der, pem::encode("X509 CRL", &lists.list)).expect("written");
    assert_eq!(refusal(certtool.arg("--infile").arg(&der)), "");

    // Half of its time is over: a new one, before the last one lapses.
    assert_eq!(ca.lists(UnixTime(begun + 3 * DAY)).expect("lists").number, 2);
    let third = ca.lists(UnixTime(begun + 4 * DAY)).expect("lists");
    assert_eq!((third.number, third.revoked), (3, 1), "ended meanwhile, and told once more");
    assert!(third.next > lists.next && third.at < lists.next);
    let fourth = ca.lists(UnixTime(begun + 8 * DAY)).expect("lists");
    assert_eq!((fourth.number, fourth.revoked), (4, 0), "it stood on a list after its end");
    assert_eq!(fourth.root_list, lists.root_list);
    // What has ended needs no list any more.
    house.now = begun + 8 * DAY;
    assert!(
        !ca.revoke_leaf(&bad_chain[0], RevocationReason::Unspecified, UnixTime(house.now))
            .expect("ended")
            .news
    );

    let stranger = House::founded("ca-crl-stranger", json!({}));
    let (_, theirs) = issue(&stranger, &stranger.ca(), &["a.internal.example"], None).expect("issued");
    let refused =
        ca.revoke_leaf(&theirs[0], RevocationReason::Unspecified, UnixTime(begun)).expect_err("not ours");
    assert!(refused.to_string().contains("was not issued by the CA"), "{refused}");
}

#[test]
fn the_list_is_written_where_it_is_looked_for_and_nothing_else_is_touched() {
    let lab = Lab::new("ca-crl-file");
    let (der, other) = (lab.path().join("house.crl"), lab.path().join("notes.txt"));
    let house = House::founded("ca-crl-file-house", json!({ "crl_file": der }));
    let clock = Arc::new(Hand(AtomicI64::new(house.now)));
    let cx = Cx::new(clock.clone(), "this host".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ca = house.ca();
    let next = runtime.block_on(ca.tend(&cx)).expect("written").expect("and again");
    assert_eq!(next, UnixTime(house.now + 7 * DAY / 2));
    let number =
        |file: &Path| Crl::parse(&std::fs::read(file).expect("a file")).expect("a CRL").number().map(hex);
    assert_eq!(number(&der), Some("01".into()));
    clock.0.store(next.0, Ordering::Relaxed);
    runtime.block_on(ca.tend(&cx)).expect("written");
    assert_eq!(number(&der), Some("02".into()));
    // Revoked by a renewal: the file says so at once.
    let (_, chain) = issue(&house, &ca, &["a.internal.example"], None).expect("issued");
    runtime.block_on(ca.revoke(&cx, &chain[0], RevocationReason::Superseded)).expect("revoked");
    assert_eq!(Crl::parse(&std::fs::read(&der).expect("a file")).expect("a CRL").entry_count(), 1);
    // The file cannot be written: it is revoked all the same, and both are said.
    let (_, chain) = issue(&house, &ca, &["b.internal.example"], None).expect("issued");
    std::fs::remove_file(&der).expect("removed");
    std::fs::create_dir(&der).expect("in its way");
    let revoking = ca.revoke_leaf(&chain[0], RevocationReason::KeyCompromise, next).expect("revoked");
    assert!(revoking.news && revoking.unlisted.is_some(), "{revoking:?}");
    assert_eq!(ca.lists(next).expect("lists").revoked, 2);
    runtime.block_on(ca.tend(&cx)).expect_err("it is still in the way");
    std::fs::remove_dir(&der).expect("out of its way");
    runtime.block_on(ca.tend(&cx)).expect("written");
    assert_eq!(Crl::parse(&std::fs::read(&der).expect("a file")).expect("a CRL").entry_count(), 2);
    std::fs::write(&other, "not a list").expect("written");
    let refused = put(&other, &ca.lists(next).expect("lists")).expect_err("left alone");
    assert!(refused.to_string().contains("is no revocation list"), "{refused}");
    assert_eq!(std::fs::read(&other).expect("there"), b"not a list");
    let pem = lab.path().join("lists.pem");
    put(&pem, &ca.lists(next).expect("lists")).expect("written");
    assert_eq!(std::fs::read_to_string(&pem).expect("there").matches("BEGIN X509 CRL").count(), 2);
    let gone =
        put(&lab.path().join("no/such/house.crl"), &ca.lists(next).expect("lists")).expect_err("no folder");
    assert!(gone.hint.is_some(), "{gone}");
    let left = std::fs::read_dir(lab.path()).expect("the folder").count();
    assert_eq!(left, 3, "nothing half written is left");
    // Before anybody made it, nothing is looked after.
    let unmade = House::new("ca-crl-unmade", json!({ "crl_file": pem }));
    assert_eq!(runtime.block_on(unmade.ca().tend(&cx)), Ok(None));
}

#[test]
fn the_book_keeps_every_certificate_whoever_writes() {
    let house = House::founded("ca-book", json!({}));
    let (house, done) = (&house, std::sync::Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let done = &done;
            scope.spawn(move || {
                let ca = house.ca();
                for n in 0..20 {
                    let name = format!("t{thread}n{n}.internal.example");
                    let (record, _) = issue(house, &ca, &[&name], None).expect("issued");
                    done.lock().expect("the list").push(record.serial);
                }
            });
        }
    });
    let mut told = done.into_inner().expect("the list");
    let mut kept: Vec<String> =
        house.ca().standing(1_000).expect("it stands").issued.into_iter().map(|r| r.serial).collect();
    let found = house.ca().issued(&told[0]).expect("the memory").expect("found");
    assert_eq!(found.serial, told[0]);
    assert_eq!(house.ca().issued("00").expect("the memory"), None);
    told.sort();
    kept.sort();
    assert_eq!((told.len(), &told), (80, &kept));
    kept.dedup();
    assert_eq!(kept.len(), 80);
}

#[test]
fn names_of_a_ca_are_plain() {
    let keep: Arc<dyn notafter_core::joints::Keep> = Arc::new(Memory::default());
    for wrong in ["", "a/b", "../x", "a b", &"x".repeat(41)] {
        let cx = BuildCx { name: wrong.to_owned(), roots: Roots::none(), keep: Arc::clone(&keep), act: None };
        let error = Ca::open(json!({ "names": ["*.lan"] }), &cx).err().expect(wrong);
        assert!(error.contains("letters, digits"), "{error}");
    }
}
