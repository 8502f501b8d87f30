//! The memory under load: a million certificates in, a tenth more, a tenth again, and the questions people ask.
//!
//! The certificates are stamped from a few templates of real weight: every one has its own key, serial number, names,
//! dates, timestamps and signature, all random, so that nothing packs better here than it would in the world.

use std::sync::Arc;
use std::time::{Duration, Instant};

use notafter_core::inventory::{Asset, AssetIx, AssetKind, Inventory, Placement, Role};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Possession};
use notafter_core::owner::Owner;
use notafter_core::query::Query;
use notafter_core::scan::Scan;
use notafter_core::{Fingerprint, KeyId, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_pki::verify::{SignatureVerdict, is_signed_by};
use notafter_store::judge::Judged;
use notafter_store::observations::{Changed, Outcome, Run};
use notafter_store::queries::Sort;
use notafter_store::{Database, Store};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, SigningKey,
};
use serde_json::{Value, json};

use crate::Result;

/// Issuers.
const ISSUERS: usize = 50;
/// Certificates in one transaction.
const BATCH: usize = 20_000;
/// Repetitions of each question.
const TIMES: usize = 500;
/// 2026-11-01.
const NOW: UnixTime = UnixTime(1_793_491_200);
const DAY: i64 = 86_400;

/// Random enough, and the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
    }
}

/// A certificate with holes.
struct Template {
    der: Vec<u8>,
    authority: Arc<[u8]>,
    /// Where random bytes go: key, timestamps, serial, signature.
    random: Vec<(usize, usize)>,
    names: Vec<usize>,
    /// notBefore and notAfter.
    dates: [usize; 2],
    /// The SubjectPublicKeyInfo.
    spki: (usize, usize),
    /// The issuer's key, and where what it signs and its signature lie.
    issuer: KeyPair,
    signed: (usize, usize),
    signature: (usize, usize),
}

const NAME: &str = "h0000000.d000.c0000.com";
const SERIAL: [u8; 16] = [0x5a; 16];

impl Template {
    fn new(number: usize, rsa: &KeyPair, names: usize) -> Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name = rcgen::DistinguishedName::new();
        ca.distinguished_name.push(DnType::CountryName, "US");
        ca.distinguished_name
            .push(DnType::OrganizationName, format!("Example Trust Services {}", number % 17));
        ca.distinguished_name.push(DnType::CommonName, format!("Example TLS Issuing CA {number}"));
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority: Arc<[u8]> = ca.self_signed(&ca_key)?.der().to_vec().into();
        let issuer = Issuer::new(ca, &ca_key);
        let list: Vec<String> = (0..names).map(|n| NAME.replacen("h0", &format!("h{n}"), 1)).collect();
        let mut leaf = CertificateParams::new(list.clone())?;
        leaf.distinguished_name = rcgen::DistinguishedName::new();
        leaf.distinguished_name.push(DnType::CommonName, list[0].clone());
        leaf.serial_number = Some(SERIAL.to_vec().into());
        leaf.not_before = rcgen::date_time_ymd(2026, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2027, 1, 1);
        leaf.use_authority_key_identifier_extension = true;
        leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        leaf.crl_distribution_points = vec![rcgen::CrlDistributionPoint {
            uris: vec![format!("http://crl.example-trust.com/issuing-{number}.crl")],
        }];
        // Two signed certificate timestamps, and where the issuer can be fetched and asked.
        leaf.custom_extensions.push(CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 4, 1, 11_129, 2, 4, 2],
            [vec![0x04, 0x81, 0xf0], vec![0xa5; 240]].concat(),
        ));
        leaf.custom_extensions.push(CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 4, 1, 99_999, 7],
            format!("http://ocsp.example-trust.com http://cacerts.example-trust.com/issuing-{number}.crt")
                .into_bytes(),
        ));
        let key = if number.is_multiple_of(2) { None } else { Some(KeyPair::generate()?) };
        let key = key.as_ref().unwrap_or(rsa);
        let der = leaf.signed_by(key, &issuer)?.der().to_vec();
        let find = |what: &[u8]| -> Result<usize> {
            der.windows(what.len())
                .position(|w| w == what)
                .ok_or_else(|| "the template has no such bytes".into())
        };
        let certificate = notafter_pki::Certificate::parse(&der).map_err(|e| e.to_string())?;
        let spki = (find(certificate.spki())?, certificate.spki().len());
        let public = certificate.public_key().key();
        // RSA: the modulus behind its headers, the exponent after it; ECDSA: the point.
        let (from, length) = if public.len() > 200 { (10, 250) } else { (1, 64) };
        let signature = certificate.signature().len();
        // The two integers of an ECDSA signature.
        let mut random =
            vec![(find(public)? + from, length), (der.len() - signature + 6, 28), (der.len() - 28, 28)];
        random.push((find(&[0xa5; 240])?, 240));
        random.push((find(&SERIAL)?, 16));
        let dates = [find(b"260101000000Z")?, find(b"270101000000Z")?];
        let mut places = Vec::new();
        for name in &list {
            let mut from = 0;
            while let Some(at) = der[from..].windows(NAME.len()).position(|w| w == name.as_bytes()) {
                places.push(from + at);
                from += at + 1;
            }
        }
        let signed = (find(certificate.tbs())?, certificate.tbs().len());
        let signature = (der.len() - signature, signature);
        Ok(Self {
            der: der.clone(),
            authority,
            random,
            names: places,
            dates,
            spki,
            issuer: ca_key,
            signed,
            signature,
        })
    }

    /// The same certificate with a signature that holds. ECDSA's have no fixed length: until one fits.
    fn sign(&self, der: &mut [u8]) -> Result<()> {
        loop {
            let signature = self.issuer.sign(&der[self.signed.0..self.signed.0 + self.signed.1])?;
            if signature.len() == self.signature.1 {
                der[self.signature.0..].copy_from_slice(&signature);
                return Ok(());
            }
        }
    }

    /// Certificate number `n`: its DER and its first name.
    fn stamp(&self, n: usize, days: i64) -> (Vec<u8>, String) {
        let mut der = self.der.clone();
        let mut random = Random(n as u64 + 1);
        for (at, length) in &self.random {
            random.fill(&mut der[*at..at + length]);
        }
        // A serial number is positive.
        let serial = self.random[4].0;
        der[serial] = 0x41;
        let name = format!("h{:07}.d{:03}.c{:04}.com", n % 10_000_000, n % 997, (n / 100) % 10_000);
        for (order, at) in self.names.iter().enumerate() {
            let text =
                if der[*at + 1] == b'1' && order > 0 { name.replacen('h', "w", 1) } else { name.clone() };
            der[*at..at + NAME.len()].copy_from_slice(text.as_bytes());
        }
        for (at, time) in self.dates.iter().zip([NOW.0 - 30 * DAY, NOW.0 + days * DAY + (n % 86_400) as i64])
        {
            let c = UnixTime(time).civil();
            let text = format!(
                "{:02}{:02}{:02}{:02}{:02}{:02}Z",
                c.year % 100,
                c.month,
                c.day,
                c.hour,
                c.minute,
                c.second
            );
            der[*at..at + 13].copy_from_slice(text.as_bytes());
        }
        (der, name)
    }
}

/// Certificates by number. `signed`: with signatures that hold, which takes longer to make than to keep.
struct World {
    templates: Vec<Template>,
    signed: bool,
}

impl World {
    fn new(signed: bool) -> Result<Self> {
        let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
        let templates = (0..ISSUERS).flat_map(|n| [Template::new(n, &rsa, 1), Template::new(n, &rsa, 2)]);
        Ok(Self { templates: templates.collect::<Result<Vec<_>>>()?, signed })
    }

    fn template(&self, n: usize) -> &Template {
        &self.templates[(Random(n as u64).next() % self.templates.len() as u64) as usize]
    }

    fn der(&self, n: usize) -> (Vec<u8>, String) {
        let random = Random(n as u64 + 7).next();
        // Where it is judged by the rules, most of it is as healthy as an inventory is: it lives for ninety days, and
        // one in fifty has to be renewed.
        let days = match (self.signed, random.is_multiple_of(50)) {
            (false, _) => random % 398,
            (true, true) => random % 20,
            (true, false) => 40 + random % 20,
        };
        self.template(n).stamp(n, days as i64)
    }

    /// Certificates `from..to`, each at an endpoint of its own, as ingest leaves them.
    fn batch(&self, from: usize, to: usize) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        let facts = Arc::new(Facts {
            protocol: Some("tls".into()),
            tls_version: Some(0x0304),
            possession: Some(Possession::Verified),
            ..Facts::default()
        });
        for n in from..to {
            let template = self.template(n);
            let (mut der, name) = self.der(n);
            if self.signed {
                template.sign(&mut der)?;
            }
            let issuer = add(&mut inventory, &template.authority, None);
            let leaf = add(&mut inventory, &der, Some(template.spki));
            let address = std::net::SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 443));
            inventory.place(Placement {
                asset: leaf,
                location: Location::endpoint("tls", address, Some(&name)),
                role: Role::Leaf,
                chain: Some([leaf, issuer].into()),
                first_seen: NOW,
                last_seen: NOW,
                unseen_since: None,
                facts: Arc::clone(&facts),
            });
        }
        Ok(inventory)
    }
}

fn add(inventory: &mut Inventory, der: &[u8], spki: Option<(usize, usize)>) -> AssetIx {
    let id = Fingerprint::of(der);
    if let Some(known) = inventory.find(&id) {
        return known;
    }
    let bytes = inventory.keep(der);
    let read = notafter_pki::Certificate::parse(der).ok();
    let (not_before, not_after) = read.map_or((None, None), |c| (c.not_before(), c.not_after()));
    let key = spki.map(|(at, length)| KeyId::of(&der[at..at + length]));
    inventory.add(Asset { id, kind: AssetKind::Certificate, bytes, not_before, not_after, key })
}

fn fill(store: &Store, run: &mut Run, world: &World, from: usize, to: usize) -> Result<(f64, Changed)> {
    let mut spent = Duration::ZERO;
    let mut all = Changed::default();
    for start in (from..to).step_by(BATCH) {
        let batch = world.batch(start, (start + BATCH).min(to))?;
        let began = Instant::now();
        let changed = store.record(run, &batch)?;
        spent += began.elapsed();
        all.new_assets += changed.new_assets;
        all.writes += changed.writes;
    }
    Ok(((to - from) as f64 / spent.as_secs_f64(), all))
}

/// Everything due is judged as fine until thirty days before it ends.
fn judge(store: &Store) -> Result<f64> {
    let (mut count, mut spent) = (0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let due = store.due(NOW, BATCH)?;
        if due.is_empty() {
            return Ok(f64::from(count) / spent.as_secs_f64().max(1e-9));
        }
        count += due.len() as u32;
        let holds = |due: &notafter_store::judge::Due| {
            matches!(due.subject, notafter_core::subject::SubjectKey::Asset(_))
                .then_some(UnixTime(NOW.0 + 30 * DAY))
        };
        let judged: Vec<Judged> = due
            .into_iter()
            .map(|due| Judged {
                holds_until: holds(&due),
                due,
                findings: Vec::new(),
                owner: Some("web".into()),
                roles: Vec::new(),
            })
            .collect();
        store.judged(&judged, NOW)?;
        spent += began.elapsed();
    }
}

/// p50 and p99 in milliseconds.
fn times(mut work: impl FnMut(u64) -> Result<usize>) -> Result<Value> {
    let mut random = Random(99);
    let mut spent = Vec::with_capacity(TIMES);
    let mut rows = 0;
    for n in 0..TIMES + 50 {
        let number = random.next();
        let began = Instant::now();
        rows += work(number)?;
        if n >= 50 {
            spent.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    spent.sort_by(f64::total_cmp);
    Ok(json!({ "p50": spent[TIMES / 2], "p99": spent[TIMES * 99 / 100], "rows": rows / (TIMES + 50) }))
}

/// The whole measurement on one database.
pub(crate) fn run(database: &str, count: usize) -> Result<Value> {
    let world = World::new(false)?;
    let store = Store::open(&named(database), NOW)?;
    let complete = Outcome { scan: Scan::default(), complete: true, fault: None, next: None };
    let mut run = store.begin("bench", "here", NOW)?;
    let (ingest, _) = fill(&store, &mut run, &world, 0, count)?;
    let more = count / 10;
    let (ingest_more, _) = fill(&store, &mut run, &world, count, count + more)?;
    store.finish(run, &complete, NOW)?;
    // What judges a thousand of them.
    let due = store.due(NOW, 1000)?;
    let began = Instant::now();
    let part = store.load(due, NOW)?;
    let load = part.due.len() as f64 / began.elapsed().as_secs_f64();
    let judged = judge(&store)?;
    let mut run = store.begin("bench", "here", UnixTime(NOW.0 + DAY))?;
    let (rescan, changed) = fill(&store, &mut run, &world, 0, more)?;
    let outcome = Outcome { complete: false, ..complete };
    store.finish(run, &outcome, UnixTime(NOW.0 + DAY))?;
    store.settle();
    let sizes = store.sizes()?;
    let all: u64 = sizes.iter().map(|(_, n)| n).sum();
    let der: u64 = sizes.iter().filter(|(name, _)| name.starts_with("der")).map(|(_, n)| n).sum();
    let total = (count + more) as f64;
    let plain: usize = (0..1000).map(|n| world.der(n).0.len()).sum();
    let asked = questions(&store, &world, count)?;
    let sizes: Vec<Value> =
        sizes.iter().map(|(name, n)| json!([name, (*n as f64 / total * 10.0).round() / 10.0])).collect();
    let mut measured = json!({
        "ingest_per_s": ingest,
        "ingest_more_per_s": ingest_more,
        "rescan_per_s": rescan,
        "rescan_writes": changed.writes,
        "judged_per_s": judged,
        "loaded_per_s": load,
        "bytes_without_der": (all - der) as f64 / total,
        "bytes_with_der": all as f64 / total,
        "der_bytes": plain as f64 / 1000.0,
        "sizes": sizes,
    });
    if let Value::Object(all) = &mut measured {
        all.extend(asked);
    }
    Ok(measured)
}

/// The questions alone, to a memory that `run` filled with so many. What is asked for by fingerprint is not there: keys are
/// made anew for each run.
pub(crate) fn ask(database: &str, count: usize) -> Result<Value> {
    let store = Store::open(&named(database), NOW)?;
    Ok(Value::Object(questions(&store, &World::new(false)?, count)?))
}

fn questions(store: &Store, world: &World, count: usize) -> Result<serde_json::Map<String, Value>> {
    let expiring = Query::parse("expires>0d")?;
    let page = times(|_| Ok(store.assets(&expiring, Sort::Ends, None, 100, NOW)?.rows.len()))?;
    let suffix = times(|n| {
        let query = Query::parse(&format!("name:*.c{:04}.com", (n % (count as u64 / 100).max(1)) % 10_000))?;
        Ok(store.assets(&query, Sort::Ends, None, 100, NOW)?.rows.len())
    })?;
    let wanted: Vec<String> =
        (0..1000).map(|n| Fingerprint::of(&world.der(n * (count / 1000).max(1)).0).to_string()).collect();
    let by_id = times(|n| Ok(store.by_id(&wanted[(n % 1000) as usize])?.len()))?;
    let totals = times(|_| store.totals().map(|t| t.assets.min(1) as usize).map_err(Into::into))?;
    let asked = [("expiring", page), ("suffix", suffix), ("by_id", by_id), ("totals", totals)];
    Ok(asked.map(|(name, times)| (name.to_owned(), times)).into_iter().collect())
}

fn named(database: &str) -> Database {
    match database.starts_with("postgres") {
        true => Database::Postgres(database.to_owned()),
        false => Database::File(database.into()),
    }
}

/// Fills a memory, judges all of it, and looks ahead over ninety days and over a year: what the forecast costs.
pub(crate) fn forecast(database: &str, count: usize) -> Result<Value> {
    let judged = assess(database, count)?;
    let store = Store::open(&Database::File(database.into()), NOW)?;
    let world = World::new(true)?;
    let roots: Vec<Arc<[u8]>> = world.templates.iter().map(|t| Arc::clone(&t.authority)).collect();
    let setup = notafter_engine::setup::Setup {
        sources: Vec::new(),
        trust: notafter_core::trust::TrustStores { mozilla: roots, ..Default::default() },
        policy: notafter_core::policy::Policy::default(),
        owners: Vec::new(),
        people: std::collections::BTreeMap::new(),
        last_resort: "everyone".to_owned(),
        channels: std::collections::BTreeMap::new(),
        services: Vec::new(),
        pulse: None,
        public_url: None,
        digest: None,
        patience: notafter_core::alert::decide::Patience::default(),
        keeping: None,
        judgment_key: String::new(),
    };
    let mut out = serde_json::Map::new();
    for days in [90, 365] {
        let began = Instant::now();
        let seen = notafter_engine::forecast::look(
            &store,
            &setup,
            UnixTime(NOW.0 + days * DAY),
            &[100, 47, 6],
            NOW,
        )?;
        let what = json!({
            "seconds": began.elapsed().as_secs_f64(), "lapse": seen.count, "break": seen.broken,
            "told": seen.messages + seen.unheard,
        });
        out.insert(format!("{days} days"), what);
    }
    out.insert("judged".to_owned(), judged);
    out.insert("peak_rss_mb".to_owned(), json!(peak_mb()));
    Ok(Value::Object(out))
}

/// The most memory that this process had, in megabytes.
fn peak_mb() -> i64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss() / 1024)
}

/// Fills a memory with certificates whose signatures hold, closes it, and judges all of it from cold: loading, paths to
/// roots with their signatures checked, every rule, and the verdicts kept. On one thread.
pub(crate) fn assess(database: &str, count: usize) -> Result<Value> {
    let database = Database::File(database.into());
    let world = World::new(true)?;
    let store = Store::open(&database, NOW)?;
    let mut run = store.begin("bench", "here", NOW)?;
    fill(&store, &mut run, &world, 0, count)?;
    let complete = Outcome { scan: Scan::default(), complete: true, fault: None, next: None };
    store.finish(run, &complete, NOW)?;
    drop(store);
    let roots: Vec<Arc<[u8]>> = world.templates.iter().map(|t| Arc::clone(&t.authority)).collect();
    let judgment = notafter_engine::pipeline::Judgment {
        trust: notafter_core::trust::TrustStores { mozilla: roots, ..Default::default() },
        policy: notafter_core::policy::Policy::default(),
        // Somebody answers for everything, as in every server.
        owners: vec![Owner { name: "house".into(), matches: Vec::new(), default: true, needs_days: None }],
        at: NOW,
    };
    let floor = signature_check(&world)?;
    let store = Store::open(&database, NOW)?;
    let (began, used) = (Instant::now(), crate::cost::used()?);
    let mut opened = 0;
    while let Some(changes) = notafter_engine::judge::judge_due(&store, &judgment, &mut |subject, error| {
        eprintln!("bench: {subject}: {error}");
    })? {
        opened += changes.opened.len();
    }
    let took = began.elapsed().as_secs_f64();
    let used = crate::cost::used()? - used;
    Ok(json!({
        "judged_per_s": count as f64 / took, "seconds": took, "findings": opened,
        "cpu_us": used / count as f64, "signature_us": floor,
    }))
}

/// What it costs to see that one of these leaves was signed by its issuer, in microseconds: no judgment from cold is
/// faster.
fn signature_check(world: &World) -> Result<f64> {
    let mut made = Vec::new();
    for n in 0..2_000 {
        let (template, mut der) = (world.template(n), world.der(n).0);
        template.sign(&mut der)?;
        made.push((der, Arc::clone(&template.authority)));
    }
    let began = Instant::now();
    for (leaf, authority) in &made {
        let (leaf, authority) = (Certificate::parse(leaf)?, Certificate::parse(authority)?);
        let verdict = is_signed_by(&leaf, authority.spki());
        if !matches!(verdict, SignatureVerdict::Good) {
            return Err("a leaf of ours is not signed by its issuer".into());
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / made.len() as f64)
}
