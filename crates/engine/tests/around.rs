//! What is joined over several places is judged alike by a scan, which has all of it, and by the server, which loads for
//! each subject what stands around it from the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::finding::Finding;
use notafter_core::inventory::{AssetKind, Inventory, Role};
use notafter_core::joints::Sink;
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Flow, Link, LinkKind, Observation, Part, Seen, Whole};
use notafter_core::owner::Owner;
use notafter_core::policy::Policy;
use notafter_core::trust::TrustStores;
use notafter_engine::assess::{assess_all, assess_part};
use notafter_engine::ingest::Ingest;
use notafter_engine::pipeline::Judgment;
use notafter_pki::statement::{Statement, StatementKind};
use notafter_store::judge::Judged;
use notafter_store::{Database, Store};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
};

const DAY: i64 = 86_400;
/// 2026-11-21.
const NOW: UnixTime = UnixTime(1_795_219_200);

fn time(days: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(NOW.0 + days * DAY).expect("a time")
}

fn certificate(name: &str, from: i64, until: i64) -> Arc<[u8]> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (time(from), time(until));
    let made = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
    Arc::from(made.der().as_ref())
}

/// What is put, in its order.
#[derive(Default)]
struct World(Vec<Observation>);

impl World {
    fn put(&mut self, place: &str, seen: Seen) {
        let location = Location::parse(&format!("file://{place}")).expect("a place");
        self.0.push(Observation { at: NOW, location, seen });
    }

    fn signer(&mut self, place: &str, der: &Arc<[u8]>, of: Whole, name: &str, usage: &str) {
        let part = Part { of, name: name.into(), usage: usage.into(), crowd: false };
        let facts = Facts { part: Some(Arc::new(part)), ..Facts::default() };
        let chain = vec![Arc::clone(der)];
        self.put(place, Seen::Chain { chain, role: Some(Role::Signer), leads: false, facts });
    }

    fn stated(&mut self, place: &str, statement: &Statement, facts: Facts) {
        let kind = AssetKind::of_statement(statement.kind());
        self.put(place, Seen::Dated { kind, der: statement.to_bytes().into(), facts });
    }

    /// Metadata of an entity with these certificates.
    fn metadata(&mut self, file: &str, entity: &str, certificates: &[&Arc<[u8]>]) {
        for (n, der) in certificates.iter().enumerate() {
            self.signer(
                &format!("{file}#e/idp/signing/{}", n + 1),
                der,
                Whole::Metadata,
                entity,
                "idp/signing",
            );
        }
        let part = Part { of: Whole::Metadata, name: entity.into(), usage: "entity".into(), crowd: false };
        let facts = Facts { part: Some(Arc::new(part)), ..Facts::default() };
        let statement = Statement::new(StatementKind::SignedMetadata, format!("SAML metadata of {entity}"))
            .name(entity)
            .fact("element", "entity")
            .fact("keys", certificates.len().to_string());
        self.stated(&format!("{file}#e"), &statement, facts);
    }

    fn client(&mut self, place: &str, der: &Arc<[u8]>) {
        let (role, facts) = (Some(Role::Client), Facts::default());
        self.put(place, Seen::Chain { chain: vec![Arc::clone(der)], role, leads: true, facts });
    }

    /// An endpoint that asks for certificates of these CAs.
    fn asks(&mut self, endpoint: &str, cas: &[&str]) {
        let client_cas = Some(cas.iter().map(|ca| (*ca).to_owned()).collect());
        let location = Location::parse(endpoint).expect("a place");
        let chain = vec![certificate(endpoint, -5, 60)];
        let facts = Facts { client_cas, ..Facts::default() };
        let seen = Seen::Chain { chain, role: Some(Role::Leaf), leads: true, facts };
        self.0.push(Observation { at: NOW, location, seen });
    }

    fn key(&mut self, place: &str, until: i64) {
        let statement = Statement::new(StatementKind::OpenpgpKey, "Archive <a@b>")
            .dated(Some(NOW.plus(-300 * DAY)), Some(NOW.plus(until * DAY)))
            .fact("fingerprint", "ABCD");
        self.stated(place, &statement, Facts::default());
    }

    fn inventory(&self) -> Inventory {
        let ingest = Ingest::new(Inventory::default(), None, true);
        self.0.iter().for_each(|one| ingest.put(one.clone()));
        ingest.take()
    }
}

fn judgment() -> Judgment {
    let owner = |name: &str, default| Owner { name: name.into(), matches: vec![], default, needs_days: None };
    Judgment {
        trust: TrustStores { mozilla: vec![], system: vec![], given: vec![] },
        policy: Policy::default(),
        owners: vec![owner("all", true), owner("legal", false)],
        at: NOW,
    }
}

fn shown(finding: &Finding) -> String {
    let mut places: Vec<_> = finding.locations.iter().map(ToString::to_string).collect();
    places.sort();
    places.dedup();
    format!(
        "{} {} to {} at {}",
        finding.severity,
        finding.kind,
        finding.owner.as_deref().unwrap_or("nobody"),
        places.join(" ")
    )
}

/// Judges by both ways and holds them against each other, with what they advise; gives what was found.
fn judged(world: &World) -> Vec<String> {
    advised(world).into_iter().map(|(found, _)| found).collect()
}

/// The same with the hints.
fn advised(world: &World) -> Vec<(String, String)> {
    let shown = |finding: &Finding| (shown(finding), finding.hint.clone());
    let mut all: Vec<_> = assess_all(&mut world.inventory(), &judgment()).iter().map(shown).collect();
    let store = Store::open(&Database::Memory, NOW).expect("a store");
    let mut run = store.begin("test", "here", NOW).expect("a run");
    store.record(&mut run, &world.inventory()).expect("recorded");
    let mut kept = Vec::new();
    for due in store.due(NOW, 1000).expect("what is due") {
        // One by one: nothing is there by chance because a neighbour is judged in the same go.
        let mut part = store.load(vec![due.clone()], NOW).expect("a part");
        let subjects = BTreeSet::from([due.subject]);
        let verdicts = assess_part(&mut part.inventory, &judgment(), &subjects, &HashMap::new());
        kept.extend(verdicts.into_values().flat_map(|v| v.findings.iter().map(shown).collect::<Vec<_>>()));
    }
    all.sort();
    kept.sort();
    assert_eq!(all, kept, "a scan and the server disagree");
    all
}

/// A token that names a key.
fn token(of: &str, issuer: &str, kid: &str, until: i64) -> Statement {
    Statement::new(StatementKind::Token, format!("token of {of}"))
        .issuer(issuer)
        .dated(Some(NOW.plus(-5 * DAY)), Some(NOW.plus(until * DAY)))
        .fact("kid", kid)
}

/// A key of a key set, as its own statement.
fn bare(world: &mut World, place: &str, kid: &str) {
    let part = Part { of: Whole::KeySet, name: kid.into(), usage: "sig RSA".into(), crowd: false };
    let facts = Facts { part: Some(Arc::new(part)), ..Facts::default() };
    let key =
        Statement::new(StatementKind::BareKey, format!("JWK {kid}")).fact("format", "jwk").fact("kid", kid);
    world.stated(place, &key, facts);
}

#[test]
fn tokens_that_name_a_key_depend_on_it() {
    let mut world = World::default();
    let (signer, other) = (certificate("signer", -700, 30), certificate("other", -700, 30));
    world.signer("/a/jwks.json#login-2025/1", &signer, Whole::KeySet, "login-2025", "sig RSA");
    bare(&mut world, "/a/jwks.json#login-2025", "login-2025");
    world.signer("/b/jwks.json#1/1", &other, Whole::KeySet, "1", "sig RSA");
    bare(&mut world, "/b/jwks.json#1", "1");
    for (place, kid, until) in [
        ("/srv/app/.env", "login-2025", 400),
        ("/home/x/ci.env", "login-2025", 90),
        ("/srv/old.env", "login-2025", -40),
        ("/srv/c.env", "1", 90),
    ] {
        world.stated(
            &format!("{place}#token/1"),
            &token(place, "https://id.test/", kid, until),
            Facts::default(),
        );
    }
    judged(&world);
    let said = |world: &World| {
        let findings = assess_all(&mut world.inventory(), &judgment());
        let signers =
            findings.into_iter().filter(|f| f.kind == notafter_core::finding::Kind::TokenSignerExpires);
        let mut said: Vec<(String, String)> = signers
            .map(|f| {
                let tokens = f.evidence.iter().find(|(name, _)| *name == "token_places");
                (f.summary, format!("{:?}", tokens.map(|(_, value)| value)))
            })
            .collect();
        said.sort();
        said
    };
    let said = said(&world);
    assert_eq!(said.len(), 2, "{said:#?}");
    // A short name could be anybody's.
    assert!(!said[0].0.contains("token") || said[0].1 == "None", "{said:#?}");
    assert!(said[1].0.ends_with("; 2 tokens that were found name it"), "{said:#?}");
    assert!(said[1].1.contains("/home/x/ci.env") && said[1].1.contains("/srv/app/.env"), "{said:#?}");
}

/// Summaries that the server gives for what is due.
fn due_summaries(store: &Store) -> Vec<String> {
    let mut out = Vec::new();
    for due in store.due(NOW, 1000).expect("what is due") {
        let mut part = store.load(vec![due.clone()], NOW).expect("a part");
        let subjects = BTreeSet::from([due.subject.clone()]);
        let verdicts = assess_part(&mut part.inventory, &judgment(), &subjects, &HashMap::new());
        let findings: Vec<Finding> = verdicts.into_values().flat_map(|v| v.findings).collect();
        out.extend(findings.iter().map(|f| f.summary.clone()));
        let nothing = Judged { due, findings, holds_until: None, owner: None, roles: Vec::new() };
        store.judged(&[nothing], NOW).expect("kept");
    }
    out
}

#[test]
fn a_token_that_comes_later_has_its_signer_judged_again() {
    let mut world = World::default();
    let signer = certificate("signer", -700, 30);
    world.signer("/a/jwks.json#login-2025/1", &signer, Whole::KeySet, "login-2025", "sig RSA");
    bare(&mut world, "/a/jwks.json#login-2025", "login-2025");
    let store = Store::open(&Database::Memory, NOW).expect("a store");
    let mut run = store.begin("test", "here", NOW).expect("a run");
    store.record(&mut run, &world.inventory()).expect("recorded");
    assert!(due_summaries(&store).iter().any(|s| s.contains("signs tokens") && !s.contains("names it")));
    assert!(due_summaries(&store).is_empty());
    let mut later = World::default();
    later.stated("/srv/app/.env#token/1", &token("a", "", "login-2025", 400), Facts::default());
    store.record(&mut run, &later.inventory()).expect("recorded");
    let said = due_summaries(&store);
    assert!(said.iter().any(|s| s.ends_with("; 1 token that was found names it")), "{said:?}");
}

#[test]
fn a_scan_and_the_server_say_the_same() {
    let mut world = World::default();
    let (old, new) = (certificate("idp", -700, 20), certificate("idp", -10, 900));
    world.metadata("/idp/own.xml", "https://idp/", &[&old, &new]);
    world.metadata("/sp/deep/copy.xml", "https://idp/", &[&old]);
    world.metadata("/other/whole.xml", "https://other/", &[&new]);
    let (dying, lasting) = (certificate("signer", -700, 30), certificate("signer", -10, 900));
    world.signer("/a/jwks.json#one/1", &dying, Whole::KeySet, "one", "sig RSA");
    let rotated = certificate("rotated", -700, 30);
    world.signer("/b/jwks.json#one/1", &rotated, Whole::KeySet, "one", "sig RSA");
    world.signer("/b/jwks.json#two/1", &lasting, Whole::KeySet, "two", "sig RSA");
    let (left, right) = (certificate("us", -340, 10), certificate("us", -10, 355));
    world.client("/etc/partner/old/client.pem", &left);
    world.client("/etc/partner/client.pem", &right);
    world.client("/etc/alone/client.pem", &certificate("alone", -340, 10));
    // Served by its purposes, a client by the configuration that shows it.
    let shown = certificate("shown", -340, 10);
    let seen = Seen::Chain { chain: vec![shown], role: None, leads: true, facts: Facts::default() };
    world.put("/etc/proxy/up.pem", seen);
    let place = |text: &str| Location::parse(text).expect("a place");
    let link = Link {
        kind: LinkKind::Presents,
        from: place("file:///etc/nginx/nginx.conf"),
        to: place("file:///etc/proxy/up.pem"),
        evidence: "nginx shows it as a client".into(),
    };
    world.put("/etc/nginx/nginx.conf", Seen::Linked(link));
    world.key("/etc/apt/keyrings/a.gpg", 100);
    world.key("/srv/repo/a.gpg", 700);
    let manual = Statement::new(StatementKind::Manual, "contract").dated(None, Some(NOW.plus(20 * DAY)));
    world.stated("/etc/notafter.toml#manual/contract", &manual.fact("owner", "legal"), Facts::default());
    let hours = |n: i64| NOW.plus(n * 3600);
    let flow = Flow { floor: 10, moved: Some(hours(-5)), first: hours(-90), last: hours(0) };
    let facts = Facts { flow: Some(Arc::new(flow)), ..Facts::default() };
    world.stated("/var/records.log", &Statement::new(StatementKind::Flow, "records"), facts);
    let found = judged(&world);
    assert_eq!(
        found,
        [
            "critical client-certificate-expires to all at file:///etc/alone/client.pem",
            "critical client-certificate-expires to all at file:///etc/proxy/up.pem",
            "critical token-signer-expires to all at file:///a/jwks.json#one/1",
            "info client-certificate-expires to all at file:///etc/partner/old/client.pem",
            "warning client-copy-stale to all at file:///etc/apt/keyrings/a.gpg file:///srv/repo/a.gpg",
            "warning copy-differs to all at file:///idp/own.xml#e file:///sp/deep/copy.xml#e",
            "warning expires-soon to legal at file:///etc/notafter.toml#manual/contract",
            "warning flow-silent to all at file:///var/records.log",
            "warning saml-certificate-expires to all at file:///idp/own.xml#e/idp/signing/1 \
             file:///sp/deep/copy.xml#e/idp/signing/1",
        ]
    );
}

#[test]
fn where_a_client_may_sign_in_is_told_wherever_that_is() {
    let mut world = World::default();
    world.client("/home/robot/client.pem", &certificate("robot", -80, 6));
    world.asks("tls://192.0.2.7:443", &["CN=somebody else", "CN=robot"]);
    world.asks("tls://192.0.2.8:443", &["CN=somebody else"]);
    world.asks("tls://192.0.2.9:8443?sni=any.test", &[]);
    let found = advised(&world);
    let hint = found.iter().find(|(what, _)| what.contains("client-certificate-expires"));
    let hint = &hint.unwrap_or_else(|| panic!("{found:?}")).1;
    assert!(hint.contains("tls://192.0.2.7:443") && !hint.contains("192.0.2.8"), "{hint}");
}

/// A CA with two certificates it issued, and its lists.
struct House {
    ca: Arc<[u8]>,
    issuer: Issuer<'static, KeyPair>,
}

impl House {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "House CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let ca = params.self_signed(&key).expect("a CA");
        Self { ca: Arc::from(ca.der().as_ref()), issuer: Issuer::new(params, key) }
    }

    fn leaf(&self, name: &str, serial: u64) -> Arc<[u8]> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.serial_number = Some(SerialNumber::from(serial));
        (params.not_before, params.not_after) = (time(-5), time(60));
        let made = params.signed_by(&KeyPair::generate().expect("a key"), &self.issuer).expect("a leaf");
        Arc::from(made.der().as_ref())
    }

    /// Its list of so many days ago.
    fn list(&self, ago: i64, revoked: &[(u64, RevocationReason)]) -> Seen {
        let entry = |(serial, reason): &(u64, RevocationReason)| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: time(-2),
            reason_code: Some(*reason),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: time(-ago),
            next_update: time(if ago > 30 { 30 - ago } else { 30 }),
            crl_number: SerialNumber::from(100 - ago as u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let der = Arc::from(params.signed_by(&self.issuer).expect("a list").der().as_ref());
        Seen::Dated { kind: AssetKind::Crl, der, facts: Facts::default() }
    }
}

impl World {
    fn serves(&mut self, endpoint: &str, chain: &[&Arc<[u8]>]) {
        let location = Location::parse(endpoint).expect("a place");
        let chain = chain.iter().map(|der| Arc::clone(der)).collect();
        let seen = Seen::Chain { chain, role: Some(Role::Leaf), leads: true, facts: Facts::default() };
        self.0.push(Observation { at: NOW, location, seen });
    }
}

/// What is said of revocation.
fn revoked(said: Vec<String>) -> Vec<String> {
    said.into_iter().filter(|line| line.contains(" revoked to ")).collect()
}

#[test]
fn what_a_list_names_is_revoked() {
    use RevocationReason::{CertificateHold, KeyCompromise};
    let (house, twin) = (House::new(), House::new());
    let mut world = World::default();
    world.put(
        "/ca/ca.pem",
        Seen::Chain { chain: vec![Arc::clone(&house.ca)], role: None, leads: true, facts: Facts::default() },
    );
    for (n, name) in ["one.test", "two.test", "three.test"].iter().enumerate() {
        let leaf = house.leaf(name, n as u64 + 1);
        world.serves(&format!("tls://192.0.2.{}:443?sni={name}", n + 1), &[&leaf, &house.ca]);
    }
    world.put("/lists/old.crl", house.list(3, &[(1, KeyCompromise), (2, CertificateHold)]));
    // Of the same name and with another key: it says nothing about what that one never signed.
    world.put("/lists/twin.crl", twin.list(0, &[(3, KeyCompromise)]));
    let at = |n: u8, name: &str| format!("critical revoked to all at tls://192.0.2.{n}:443?sni={name}");
    assert_eq!(revoked(judged(&world)), [at(1, "one.test"), at(2, "two.test")]);
    // The later list has taken the hold back.
    world.put("/elsewhere/new.crl", house.list(1, &[(1, KeyCompromise)]));
    assert_eq!(revoked(judged(&world)), [at(1, "one.test")]);
    let findings = assess_all(&mut world.inventory(), &judgment());
    let found = findings.iter().find(|f| f.kind.as_str() == "revoked").expect("it is found");
    assert_eq!(
        found.summary,
        "one.test was revoked by its issuer on 2026-11-19 (keyCompromise), and it is still served"
    );
    assert!(format!("{:?}", found.evidence).contains("file:///elsewhere/new.crl"), "{found:?}");
}

#[test]
fn a_list_that_comes_later_has_what_it_names_judged_again() {
    let house = House::new();
    let mut world = World::default();
    world.serves("tls://192.0.2.1:443?sni=one.test", &[&house.leaf("one.test", 1), &house.ca]);
    let store = Store::open(&Database::Memory, NOW).expect("a store");
    let mut run = store.begin("test", "here", NOW).expect("a run");
    store.record(&mut run, &world.inventory()).expect("recorded");
    assert!(due_summaries(&store).iter().all(|s| !s.contains("revoked")));
    let mut later = World::default();
    later.put("/lists/house.crl", house.list(1, &[(1, RevocationReason::Superseded)]));
    store.record(&mut run, &later.inventory()).expect("recorded");
    let said = due_summaries(&store);
    assert!(said.iter().any(|s| s.starts_with("one.test was revoked")), "{said:?}");
}

#[test]
fn what_a_server_staples_against_itself_is_revoked() {
    let house = House::new();
    let mut world = World::default();
    let endpoint = "tls://192.0.2.1:443?sni=one.test";
    for (name, serial) in [("one.test", "01"), ("two.test", "02")] {
        let leaf = house.leaf(name, if name == "one.test" { 1 } else { 7 });
        let endpoint = endpoint.replace("one.test", name);
        world.serves(&endpoint, &[&leaf, &house.ca]);
        let staple = Statement::new(StatementKind::OcspResponse, format!("OCSP for serial {serial}"))
            .dated(Some(NOW.plus(-DAY)), Some(NOW.plus(6 * DAY)))
            .fact("serial", serial)
            .fact("status", "revoked")
            .fact("reason", "superseded")
            .fact_time("revoked_at", Some(NOW.plus(-DAY)));
        let seen = Seen::Dated {
            kind: AssetKind::OcspResponse,
            der: staple.to_bytes().into(),
            facts: Facts::default(),
        };
        let location = Location::parse(&endpoint).expect("a place");
        world.0.push(Observation { at: NOW, location, seen });
    }
    // The other response is about another serial.
    assert_eq!(revoked(judged(&world)), [format!("critical revoked to all at {endpoint}")]);
}

#[test]
fn of_what_takes_turns_the_last_one_counts() {
    let house = House::new();
    let mut world = World::default();
    let mut due = |file: &str, list: Seen| world.put(file, list);
    // Lists that are late: kept beside later ones, and alone.
    due("/ca/old.crl", house.list(40, &[]));
    due("/ca/new.crl", house.list(1, &[]));
    due("/alone/old.crl", house.list(50, &[]));
    for (file, version, until) in
        [("/repo/1.root.json", 1, -400), ("/repo/2.root.json", 2, 300), ("/kept/1.root.json", 3, -4)]
    {
        let root = Statement::new(StatementKind::SignedMetadata, format!("TUF root {version}"))
            .dated(None, Some(NOW.plus(until * DAY)))
            .fact("format", "tuf")
            .fact("role", "root")
            .fact("version", version.to_string());
        world.stated(file, &root, Facts::default());
    }
    for (file, print, usage, until) in [
        ("/etc/apt/keyrings/a.gpg#1", "S1", "sign", 10),
        ("/etc/apt/keyrings/a.gpg#2", "S2", "sign", 700),
        ("/etc/apt/keyrings/b.gpg", "S3", "sign", 10),
    ] {
        let key = Statement::new(StatementKind::OpenpgpKey, format!("subkey {print}"))
            .dated(Some(NOW.plus(-300 * DAY)), Some(NOW.plus(until * DAY)))
            .fact("fingerprint", print)
            .fact("primary", "P")
            .fact("usage", usage);
        world.stated(file, &key, Facts::default());
    }
    let found = judged(&world);
    assert_eq!(
        found,
        [
            "critical crl-expires to all at file:///alone/old.crl",
            "critical key-expires to all at file:///etc/apt/keyrings/b.gpg",
            "critical metadata-expires to all at file:///kept/1.root.json",
        ]
    );
}

#[test]
fn whoever_watches_hears_that_it_stopped() {
    use notafter_core::dossier::SourceView;
    use notafter_engine::judge::{Own, judge_own};
    let store = Store::open(&Database::Memory, NOW).expect("a store");
    let dead = |name| SourceView {
        name,
        every: 60,
        last_success: Some(NOW.plus(-30 * DAY)),
        since: NOW.plus(-60 * DAY),
        grace: NOW.plus(-DAY),
        fault: None,
        places: 1,
    };
    let own = [Own::Source(dead("watch a.test"), Some("watch mail:me")), Own::Source(dead("office"), None)];
    judge_own(&store, &own, &Policy::default(), "house", NOW).expect("judged");
    let mut told = Vec::new();
    store.each_tellable(&mut |row| told.push((row.summary, row.owner))).expect("findings");
    told.sort();
    let owners: Vec<_> =
        told.iter().map(|(said, owner)| (said.contains("office"), owner.as_deref())).collect();
    assert!(
        owners.contains(&(true, Some("house"))) && owners.contains(&(false, Some("watch mail:me"))),
        "{told:?}"
    );
    assert_eq!(owners.len(), 2, "{told:?}");
}
