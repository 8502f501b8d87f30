//! Replies of a CA without an API: openssl is that CA, and a person who makes every mistake carries the files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};

use notafter_core::clock::Clock;
use notafter_core::issuance::{Identifier, KeyType};
use notafter_lab::{Lab, program};
use serde_json::json;

use super::*;
use crate::request;
use crate::roots::Roots;
use crate::testing::{Hand, Memory, Nobody};
use notafter_pki::container::pem;

fn openssl(folder: &Path, arguments: &[&str]) {
    let ran =
        program::run(Command::new("openssl").current_dir(folder).args(arguments)).expect("openssl runs");
    assert!(ran.status.success(), "openssl {arguments:?}: {}", ran.all());
}

/// A root and an intermediate made by openssl, and the folder between them and us.
struct Office {
    lab: Lab,
    ca: PathBuf,
    folder: PathBuf,
    memory: Arc<Memory>,
    clock: Arc<Hand>,
}

impl Office {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let (ca, folder) = (lab.subfolder("ca"), lab.subfolder("requests"));
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let root = [
            "req",
            "-x509",
            "-days",
            "3000",
            "-subj",
            "/O=Office/CN=Office Root",
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
        ];
        openssl(&ca, &[&root[..], &key[..]].concat());
        let middle = ["req", "-subj", "/O=Office/CN=Office Issuing", "-keyout", "int.key", "-out", "int.csr"];
        openssl(&ca, &[&middle[..], &key[..]].concat());
        std::fs::write(
            ca.join("int.ext"),
            "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n",
        )
        .expect("written");
        openssl(
            &ca,
            &[
                "x509",
                "-req",
                "-in",
                "int.csr",
                "-CA",
                "root.pem",
                "-CAkey",
                "root.key",
                "-CAcreateserial",
                "-days",
                "2000",
                "-extfile",
                "int.ext",
                "-out",
                "int.pem",
            ],
        );
        let clock = Arc::new(Hand(AtomicI64::new(notafter_lab::calendar::now())));
        Self { lab, ca, folder, memory: Arc::default(), clock }
    }

    fn issuer(&self, more: Value) -> ByHand {
        let mut table = json!({ "folder": self.folder });
        table.as_object_mut().expect("a table").extend(more.as_object().cloned().expect("a table"));
        let keep: Arc<dyn Keep> = self.memory.clone();
        ByHand::open(table, &BuildCx { name: "office".into(), roots: Roots::none(), keep, act: None })
            .expect("an issuer")
    }

    fn cx(&self) -> Cx {
        Cx::new(self.clock.clone(), "this host".into())
    }

    fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The CA signs a request: the leaf as PEM.
    fn sign(&self, request: &Path, names: &str, days: &str) -> String {
        std::fs::write(
            self.ca.join("leaf.ext"),
            format!("subjectAltName={names}\nextendedKeyUsage=serverAuth\n"),
        )
        .expect("written");
        let request = request.to_string_lossy();
        openssl(
            &self.ca,
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "int.pem",
                "-CAkey",
                "int.key",
                "-CAcreateserial",
                "-days",
                days,
                "-extfile",
                "leaf.ext",
                "-out",
                "leaf.pem",
            ],
        );
        self.read("leaf.pem")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.ca.join(name)).expect(name)
    }

    fn drop(&self, name: &str, octets: impl AsRef<[u8]>) {
        std::fs::write(self.folder.join(name), octets).expect("dropped");
    }

    fn take(&self, name: &str) {
        std::fs::remove_file(self.folder.join(name)).expect("taken away");
    }
}

fn asked(names: &[&str]) -> Request {
    let names: Vec<Identifier> = names.iter().map(|n| Identifier::parse(n).expect(n)).collect();
    let csr = request::make(&names, KeyType::EcdsaP256, None).expect("a request").1;
    Request { names, csr, profile: None, replaces: None, preferred_chain: None, lifetime_s: None }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// What it says while it waits.
fn waits(office: &Office, issuer: &ByHand, request: &Request, ticket: &Ticket) -> String {
    match run(issuer.advance(&office.cx(), request, ticket, &Nobody)).expect("no fault") {
        Progress::Waits { ticket: same, until, what } => {
            assert_eq!(&same, ticket);
            assert!(until > office.now());
            what
        }
        other => panic!("{other:?}"),
    }
}

fn issued(office: &Office, issuer: &ByHand, request: &Request, ticket: &Ticket) -> Issued {
    match run(issuer.advance(&office.cx(), request, ticket, &Nobody)).expect("no fault") {
        Progress::Issued(issued) => issued,
        other => panic!("{other:?}"),
    }
}

fn written(office: &Office) -> Vec<PathBuf> {
    let list = std::fs::read_dir(&office.folder).expect("the folder");
    list.map(|e| e.expect("an entry").path()).filter(|p| p.extension().is_some_and(|e| e == "csr")).collect()
}

#[test]
fn it_waits_for_days_and_says_for_what() {
    let office = Office::new("csr-waits");
    let issuer = office.issuer(json!({}));
    let request = asked(&["a.office.example", "*.b.office.example"]);
    let ticket = run(issuer.begin(&office.cx(), &request)).expect("a ticket");
    assert_eq!(run(issuer.begin(&office.cx(), &request)).expect("the same"), ticket);
    let [file] = &written(&office)[..] else { panic!("one request: {:?}", written(&office)) };
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with("request-") && name.len() == 28 && !name.contains("office"), "{name}");
    openssl(&office.ca, &["req", "-verify", "-noout", "-in", &file.to_string_lossy()]);
    let said = waits(&office, &issuer, &request, &ticket);
    assert!(
        said.contains(&name)
            && said.contains("notafter issuer reply office FILE")
            && !said.contains("not taken"),
        "{said}"
    );
    // Days later, in another process, and somebody tidied up meanwhile.
    office.clock.0.fetch_add(5 * 86_400, Ordering::Relaxed);
    std::fs::remove_file(file).expect("tidied");
    assert_eq!(
        waits(&office, &office.issuer(json!({})), &request, &ticket),
        said,
        "the same, since the same day"
    );
    assert!(file.exists());
    run(issuer.abandon(&office.cx(), &ticket, &Nobody)).expect("taken back");
    run(issuer.abandon(&office.cx(), &ticket, &Nobody)).expect("twice");
    assert!(written(&office).is_empty());
    let stray = Ticket(json!({ "issuer": "office", "id": "../../etc/x", "since": 0 }));
    assert!(run(issuer.abandon(&office.cx(), &stray, &Nobody)).is_err());
}

#[test]
fn a_reply_is_found_in_whatever_form_it_comes() {
    let office = Office::new("csr-forms");
    let issuer = office.issuer(json!({}));
    for form in
        ["pem", "reversed", "der", "pkcs7", "pkcs7-der", "two files", "text around", "crlf", "with root"]
    {
        let request = asked(&["a.office.example"]);
        let ticket = run(issuer.begin(&office.cx(), &request)).expect("a ticket");
        let file = written(&office).pop().expect("a request");
        let (leaf, middle, root) = (
            office.sign(&file, "DNS:a.office.example", "90"),
            office.read("int.pem"),
            office.read("root.pem"),
        );
        let convert = |arguments: &[&str]| {
            openssl(&office.ca, arguments);
            std::fs::read(office.ca.join("out")).expect("converted")
        };
        let files: Vec<(&str, Vec<u8>)> = match form {
            "pem" => vec![("x", (leaf + &middle).into_bytes())],
            "reversed" => vec![("Certificate (1).cer", (middle + &leaf).into_bytes())],
            "with root" => vec![("x.pem", (root + &leaf + &middle).into_bytes())],
            "der" => vec![
                ("x.der", convert(&["x509", "-in", "leaf.pem", "-outform", "DER", "-out", "out"])),
                ("ca.cer", middle.into_bytes()),
            ],
            "pkcs7" => vec![(
                "x.p7b",
                convert(&[
                    "crl2pkcs7",
                    "-nocrl",
                    "-certfile",
                    "leaf.pem",
                    "-certfile",
                    "int.pem",
                    "-certfile",
                    "root.pem",
                    "-out",
                    "out",
                ]),
            )],
            "pkcs7-der" => vec![(
                "x.p7b",
                convert(&[
                    "crl2pkcs7",
                    "-nocrl",
                    "-certfile",
                    "int.pem",
                    "-certfile",
                    "leaf.pem",
                    "-outform",
                    "DER",
                    "-out",
                    "out",
                ]),
            )],
            "two files" => vec![("a.crt", leaf.into_bytes()), ("b.crt", middle.into_bytes())],
            "crlf" => vec![("mail.txt", (leaf + &middle).replace('\n', "\r\n").into_bytes())],
            _ => vec![(
                "mail.txt",
                format!("Dear customer,\n\n{leaf}\nyour chain:\n{middle}\nregards").into_bytes(),
            )],
        };
        for (name, octets) in &files {
            office.drop(name, octets);
        }
        let came = issued(&office, &issuer, &request, &ticket);
        assert!(came.chain.len() >= 2, "{form}");
        // Killed before it was kept: asked again, it is there again.
        assert_eq!(issued(&office, &office.issuer(json!({})), &request, &ticket), came, "{form}");
        assert!(written(&office).is_empty(), "{form}: nobody is asked to sign it twice");
        for (name, _) in &files {
            office.take(name);
        }
    }
}

#[test]
fn what_does_not_fit_is_told_and_harms_nobody() {
    let office = Office::new("csr-wrong");
    let issuer = office.issuer(json!({}));
    let request = asked(&["a.office.example"]);
    let ticket = run(issuer.begin(&office.cx(), &request)).expect("a ticket");
    let file = written(&office).pop().expect("a request");
    let good = office.sign(&file, "DNS:a.office.example", "90");
    let (middle, root) = (office.read("int.pem"), office.read("root.pem"));
    let other = office.lab.path().join("other.csr");
    std::fs::write(&other, pem::encode("CERTIFICATE REQUEST", &asked(&["a.office.example"]).csr))
        .expect("written");
    let others = office.sign(&other, "DNS:a.office.example", "90");
    let wrong_name = office.sign(&file, "DNS:b.office.example", "90");
    let secret = pem::encode("PRIVATE KEY", &[1, 2, 3]);
    for (name, octets, words) in [
        ("other.pem", (others.clone() + &middle).into_bytes(), "other.pem is for another key"),
        (
            "cut.pem",
            good.as_bytes()[..good.len() / 2].to_vec(),
            "cut.pem holds no certificate that can be read",
        ),
        ("ca.pem", (middle.clone() + &root).into_bytes(), "ca.pem holds CA certificates alone"),
        (
            "alone.pem",
            good.clone().into_bytes(),
            "alone.pem is for the right key, but no CA certificate came with it",
        ),
        (
            "name.pem",
            (wrong_name + &middle).into_bytes(),
            "name.pem is for the right key, but it is not for a.office.example",
        ),
        ("empty", Vec::new(), "empty holds no certificate"),
        ("noise.bin", vec![0x30; 100_000], "noise.bin holds no certificate"),
        ("huge.pem", vec![b'x'; (1 << 20) + 1], "huge.pem is larger than 1024 KiB"),
        ("key.pem", secret.into_bytes(), "key.pem holds no certificate"),
        ("x\u{1b}[2J\n.pem", b"-".to_vec(), "holds no certificate"),
    ] {
        office.drop(name, &octets);
        let said = waits(&office, &issuer, &request, &ticket);
        assert!(
            said.contains("waits for the certificate")
                && said.contains("not taken: ")
                && said.contains(words),
            "{name:?}: {said}"
        );
        assert!(!said.contains('\u{1b}') && !said.contains('\n'), "{said:?}");
        // By command it is the same sentence.
        if !octets.is_empty() && octets.len() <= 1 << 20 {
            let fault = issuer.fits(&request, &octets, office.now()).expect_err(name);
            let end = words.split_once(' ').map_or(words, |(_, end)| end);
            assert!(fault.to_string().contains(end) || name.starts_with('x'), "{name:?}: {fault}");
        }
        office.take(name);
    }
    // A link to somewhere, a pipe, a folder: nothing is followed and nothing hangs.
    std::os::unix::fs::symlink(office.ca.join("int.pem"), office.folder.join("link.pem")).expect("linked");
    openssl(&office.ca, &["version"]);
    let made = Command::new("mkfifo").arg(office.folder.join("pipe.pem")).status().expect("mkfifo runs");
    assert!(made.success());
    std::fs::create_dir(office.folder.join("old")).expect("a folder");
    let said = waits(&office, &issuer, &request, &ticket);
    assert!(said.contains("link.pem could not be read") && said.contains("pipe.pem is no file"), "{said}");
    // Many at once: three are told, and how many more there are.
    for n in 0..20 {
        office.drop(&format!("n{n}"), b"nothing");
    }
    assert!(waits(&office, &issuer, &request, &ticket).ends_with("and 19 more"));
    // More than anybody brings: it is bounded, and said.
    for n in 0..40 {
        office.drop(&format!("a{n}"), vec![b'x'; 1 << 20]);
    }
    assert!(waits(&office, &issuer, &request, &ticket).contains("and "), "it goes on");
    for n in 0..40 {
        office.take(&format!("a{n}"));
    }
    // And beside all of it the right one is found.
    office.drop("zz.pem", good + &middle);
    assert_eq!(issued(&office, &issuer, &request, &ticket).chain.len(), 2);
}

#[test]
fn two_requests_wait_side_by_side() {
    let office = Office::new("csr-two");
    let issuer = office.issuer(json!({}));
    let (one, two) = (asked(&["a.office.example"]), asked(&["b.office.example"]));
    let first = run(issuer.begin(&office.cx(), &one)).expect("a ticket");
    let file = written(&office).pop().expect("a request");
    let second = run(issuer.begin(&office.cx(), &two)).expect("a ticket");
    office.drop("reply.pem", office.sign(&file, "DNS:a.office.example", "90") + &office.read("int.pem"));
    let said = waits(&office, &issuer, &two, &second);
    assert!(said.contains("not taken") || !said.contains("reply.pem"), "{said}");
    assert!(!said.contains("reply.pem"), "the answer to another request is nobody's mistake: {said}");
    issued(&office, &issuer, &one, &first);
}

#[test]
fn a_reply_that_was_pasted_is_kept_and_found() {
    let office = Office::new("csr-pasted");
    let issuer = office.issuer(json!({ "chain": office.ca.join("int.pem") }));
    let request = asked(&["a.office.example"]);
    let ticket = run(issuer.begin(&office.cx(), &request)).expect("a ticket");
    let leaf = office.sign(&written(&office).pop().expect("a request"), "DNS:a.office.example", "90");
    // The chain came not with it: it is configured.
    let fits = issuer.fits(&request, leaf.as_bytes(), office.now()).expect("it fits");
    assert_eq!(fits.chain.len(), 2);
    waits(&office, &issuer, &request, &ticket);
    for _ in 0..3 {
        issuer.take(&fits, office.now()).expect("taken");
    }
    // Another process finds it, even if nothing can be written into the folder any more.
    std::fs::remove_dir_all(&office.folder).expect("gone");
    assert_eq!(
        issued(&office, &office.issuer(json!({ "chain": office.ca.join("int.pem") })), &request, &ticket),
        fits
    );
    let later = asked(&["a.office.example"]);
    let fault = run(issuer.begin(&office.cx(), &later)).expect_err("no folder");
    assert!(fault.hint.is_some_and(|h| h.contains("must be there")), "the folder is not made silently");
    let checks = run(issuer.rehearse(&office.cx(), &later, &Nobody));
    assert!(!checks[0].works && checks[1].works, "{checks:?}");
}

#[test]
fn replies_are_kept_until_they_were_used_and_never_dropped_for_others() {
    let office = Office::new("csr-shelf");
    let issuer = office.issuer(json!({ "chain": office.ca.join("int.pem") }));
    let count = || {
        let kept =
            office.memory.kept("csr/office/pasted").expect("a memory").unwrap_or_else(|| b"[]".to_vec());
        serde_json::from_slice::<Vec<Value>>(&kept).expect("a list").len()
    };
    let request = asked(&["a.office.example"]);
    let ticket = run(issuer.begin(&office.cx(), &request)).expect("a ticket");
    let leaf = office.sign(&written(&office).pop().expect("a request"), "DNS:a.office.example", "90");
    let first = run(issuer.reply(&office.cx(), &request, leaf.as_bytes())).expect("taken");
    // As many others as there is room for: of other keys, and nobody comes for them.
    let leaf_der = &first.chain[0];
    let spki = Certificate::parse(leaf_der).expect("a leaf").spki();
    let end = leaf_der.windows(spki.len()).position(|w| w == spki).expect("its key") + spki.len();
    let other = |n: u32| {
        let mut chain = first.chain.clone();
        chain[0][end - 4..end].copy_from_slice(&n.to_be_bytes());
        Issued { chain, reference: None }
    };
    let mut all: Vec<Value> = Vec::new();
    all.push(json!(first.chain.iter().map(|der| hex(der)).collect::<Vec<_>>()));
    all.extend((1..1_000).map(|n| json!(other(n).chain.iter().map(|der| hex(der)).collect::<Vec<_>>())));
    let before = office.memory.kept("csr/office/pasted").expect("a memory");
    let octets = serde_json::to_vec(&all).expect("a list");
    assert!(office.memory.keep("csr/office/pasted", before.as_deref(), &octets).expect("a memory"));
    let fault = issuer.take(&other(1_000), office.now()).expect_err("it is full");
    assert!(fault.to_string().contains("no room") && fault.hint.is_some(), "{fault}");
    issuer.take(&other(999), office.now()).expect("it is there already");
    assert_eq!(count(), 1_000, "nothing was dropped");
    // Handed out, and again to whoever was killed before it was kept.
    for _ in 0..2 {
        assert_eq!(issued(&office, &issuer, &request, &ticket).chain[0], first.chain[0]);
    }
    issuer.take(&other(1_000), office.now()).expect_err("it is full still");
    office.clock.0.fetch_add(8 * 86_400, Ordering::Relaxed);
    issuer.take(&other(1_000), office.now()).expect("there is room");
    assert_eq!(count(), 1_000, "the used one is gone, and the new one is there");
    // What ended is of no use to anybody.
    office.clock.0.fetch_add(90 * 86_400, Ordering::Relaxed);
    let next = asked(&["b.office.example"]);
    run(issuer.begin(&office.cx(), &next)).expect("a ticket");
    let _ = run(issuer.reply(&office.cx(), &next, leaf.as_bytes())).expect_err("of another request");
    issuer.was_used(&first, office.now()).expect("tidied");
    assert_eq!(count(), 0);
}

#[test]
fn only_the_ca_that_was_named_is_taken() {
    let (office, stranger) = (Office::new("csr-ours"), Office::new("csr-stranger"));
    let issuer = office.issuer(json!({ "chain": office.ca.join("root.pem") }));
    let request = asked(&["a.office.example"]);
    run(issuer.begin(&office.cx(), &request)).expect("a ticket");
    let file = written(&office).pop().expect("a request");
    let theirs = stranger.sign(&file, "DNS:a.office.example", "90")
        + &stranger.read("int.pem")
        + &stranger.read("root.pem");
    let fault = issuer.fits(&request, theirs.as_bytes(), office.now()).expect_err("another CA");
    assert!(fault.to_string().contains("none of the CA certificates in `chain`"), "{fault}");
    let ours = office.sign(&file, "DNS:a.office.example", "90") + &office.read("int.pem");
    issuer.fits(&request, ours.as_bytes(), office.now()).expect("ours");
    // The issuing CA was renewed with its key meanwhile, and the reply brings the new one along.
    let known = office.issuer(json!({ "chain": office.ca.join("int.pem") }));
    let older = office.read("int.pem");
    openssl(
        &office.ca,
        &[
            "x509",
            "-req",
            "-in",
            "int.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-set_serial",
            "77",
            "-days",
            "2100",
            "-extfile",
            "int.ext",
            "-out",
            "new.pem",
        ],
    );
    let leaf = office.sign(&file, "DNS:a.office.example", "90");
    assert_ne!(older, office.read("new.pem"));
    known.fits(&request, (leaf + &office.read("new.pem")).as_bytes(), office.now()).expect("the same CA");
    let missing = office.issuer(json!({ "chain": "/no/such/file" }));
    assert!(
        missing
            .fits(&request, ours.as_bytes(), office.now())
            .expect_err("no chain")
            .to_string()
            .contains("`chain`")
    );
    let leaf = reply::certificates(ours.as_bytes());
    let revoked =
        run(issuer.revoke(&office.cx(), &leaf[0], RevocationReason::Superseded)).expect_err("by hand");
    assert!(revoked.to_string().contains("has no API"), "{revoked}");
}

#[test]
fn tables() {
    let keep: Arc<dyn Keep> = Arc::new(Memory::default());
    let cx = BuildCx { name: "office".into(), roots: Roots::none(), keep, act: None };
    for (table, words) in [
        (json!({ "folder": "requests" }), "depends on where the program is started"),
        (json!({ "folder": "/x", "foldr": 1 }), "no setting `foldr`"),
    ] {
        let error = ByHand::open(table, &cx).err().expect(words);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn without_a_folder_nothing_is_written_and_the_reply_is_brought() {
    let office = Office::new("csr-no-folder");
    let keep: Arc<dyn Keep> = office.memory.clone();
    let cx = BuildCx { name: "office".into(), roots: Roots::none(), keep, act: None };
    let issuer = ByHand::open(json!({}), &cx).expect("an issuer");
    let request = asked(&["a.office.example"]);
    let ticket = run(issuer.begin(&office.cx(), &request)).expect("a ticket");
    let said = waits(&office, &issuer, &request, &ticket);
    assert!(said.contains("notafter issuer request office") && said.contains("reply office FILE"), "{said}");
    assert!(run(issuer.rehearse(&office.cx(), &request, &Nobody)).iter().all(|check| check.works));
    assert!(issuer.is_by_hand());
    // Somebody carries what was shown to the CA.
    let carried = office.ca.join("carried.csr");
    std::fs::write(&carried, pem::encode("CERTIFICATE REQUEST", &request.csr)).expect("carried");
    let bring = |octets: &str| run(issuer.reply(&office.cx(), &request, octets.as_bytes()));
    let leaf = |names: &str| office.sign(&carried, names, "90") + &office.read("int.pem");
    for (reply, words) in [
        (String::new(), "holds no certificate that can be read"),
        (office.read("root.pem"), "CA certificates alone"),
        (leaf("DNS:b.office.example"), "is for the right key, but it is not for a.office.example"),
    ] {
        let fault = bring(&reply).expect_err(words);
        assert!(fault.kind == FaultKind::Refused && fault.to_string().contains(words), "{fault}");
        waits(&office, &issuer, &request, &ticket);
    }
    let brought = bring(&leaf("DNS:a.office.example")).expect("taken");
    assert_eq!(issued(&office, &issuer, &request, &ticket), brought);
    assert_eq!(std::fs::read_dir(&office.folder).expect("the folder").count(), 0);
}
