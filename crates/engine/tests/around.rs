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
use notafter_store::{Database, Store};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};

const DAY: i64 = 86_400;
/// 2026-11-21.
const NOW: UnixTime = UnixTime(1_795_219_200);

fn certificate(name: &str, from: i64, until: i64) -> Arc<[u8]> {
    let time = |days: i64| time::OffsetDateTime::from_unix_timestamp(NOW.0 + days * DAY).expect("a time");
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

/// Judges by both ways and holds them against each other; gives what was found.
fn judged(world: &World) -> Vec<String> {
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
        kept.extend(verdicts.into_values().flat_map(|v| v.findings).map(|f| shown(&f)));
    }
    all.sort();
    kept.sort();
    assert_eq!(all, kept, "a scan and the server disagree");
    all
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
