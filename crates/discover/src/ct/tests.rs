//! The source against real sockets: a log in tiles, one with `get-entries`, a search service, a file.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::joints::Resume;

use super::entry::tests::{leaf, tile_leaf};
use super::*;
use crate::sources::Order;
use crate::testing::{Basket, Still};

#[derive(Default)]
struct Note(Mutex<Option<Vec<u8>>>);

impl Resume for Note {
    fn cursor(&self) -> Option<Vec<u8>> {
        None
    }

    fn reached(&self, _: Vec<u8>) {}

    fn note(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().clone()
    }

    fn leave(&self, note: Vec<u8>) {
        *self.0.lock().unwrap() = Some(note);
    }
}

/// A server of files; a path that is not there is 404. What was asked is counted.
#[derive(Clone, Default)]
struct Web {
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let web = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut bytes = [0; 4096];
                let n = stream.read(&mut bytes).unwrap_or(0);
                let text = String::from_utf8_lossy(&bytes[..n]);
                let path = text.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
                let body = web.files.lock().unwrap().get(&path).cloned();
                web.asked.lock().unwrap().push(path);
                let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        url
    }

    fn put(&self, path: impl Into<String>, body: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(path.into(), body.into());
    }

    fn head(&self, size: usize, root: &[u8; 32]) {
        let root = STANDARD.encode(root);
        self.put("checkpoint", format!("log.test\n{size}\n{root}\n\n\u{2014} log.test AAAAAAAA\n"));
    }

    fn remove(&self, path: &str) {
        self.files.lock().unwrap().remove(path);
    }

    /// A log of these certificates, in tiles: gzipped as some logs keep them; and its tree.
    fn tiles(&self, entries: &[Vec<u8>]) {
        let leaves: Vec<proof::Hash> = entries.iter().map(|der| proof::tests::leaf(der)).collect();
        self.head(leaves.len(), &proof::tests::root(&leaves));
        let (mut level, mut row) = (0, leaves);
        while !row.is_empty() {
            for (tile, hashes) in row.chunks(TILE as usize).enumerate() {
                let path = format!("tile/{level}/{}", log::tile_path(tile as u64));
                let partial = hashes.len() < TILE as usize;
                let path = if partial { format!("{path}.p/{}", hashes.len()) } else { path };
                self.put(path, hashes.concat());
            }
            let full = row.chunks_exact(TILE as usize);
            (level, row) = (level + 1, full.map(proof::tests::root).collect());
        }
        for (tile, list) in entries.chunks(TILE as usize).enumerate() {
            let leaf = |(n, der): (usize, &Vec<u8>)| tile_leaf(der, None, &[], (tile * 256 + n) as u64);
            let bytes = list.iter().enumerate().flat_map(leaf).collect::<Vec<u8>>();
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&bytes).unwrap();
            let path = format!("tile/data/{}", log::tile_path(tile as u64));
            let partial = list.len() < TILE as usize;
            let path = if partial { format!("{path}.p/{}", list.len()) } else { path };
            self.put(path, gzip.finish().unwrap());
        }
    }
}

fn certificate(name: &str) -> Vec<u8> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap().cert.der().to_vec()
}

fn run(
    targets: &[&str],
    settings: serde_json::Value,
    note: &Arc<Note>,
) -> Vec<(String, Result<Vec<u8>, String>)> {
    let given = Given {
        network: crate::network::Settings { timeout: Duration::from_secs(3), ..Default::default() },
        passwords: Arc::default(),
        roots: Arc::default(),
        beside: Arc::default(),
        registries: Arc::default(),
        secret: crate::sources::no_secrets,
        tsig: None,
    };
    let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
    let source = (KIND.build)(Order { targets: &targets, settings: &settings, given: &given }).unwrap();
    let basket = Arc::new(Basket::default());
    let mut cx = Cx::new(Arc::new(Still), "test".into());
    cx.resume = Arc::clone(note) as Arc<dyn Resume>;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(source.discover(&cx, basket.clone())).unwrap();
    let seen = std::mem::take(&mut *basket.0.lock().unwrap());
    let one = |o: Observation| match o.seen {
        Seen::Chain { chain, role: Some(Role::Logged), leads: false, .. } => {
            (o.location.to_string(), Ok(chain[0].to_vec()))
        }
        Seen::Failed { detail, .. } => (o.location.to_string(), Err(detail)),
        other => panic!("{other:?}"),
    };
    seen.into_iter().map(one).collect()
}

#[test]
fn a_log_in_tiles_is_read_on_where_it_was_left() {
    let web = Web::default();
    let url = web.start();
    let name = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (other, ours) = (certificate("other.test"), certificate("www.ours.test"));
    let mut entries = vec![other; 600];
    for at in [0, 300, 599] {
        entries[at] = ours.clone();
    }
    web.tiles(&entries);
    let note = Arc::new(Note::default());
    let settings = serde_json::json!({"domains": ["ours.test"], "logs": [url], "newest": 400});
    // The newest 400 only: from entry 200 on.
    let found = run(&[], settings.clone(), &note);
    let expected = |numbers: &[u64]| -> Vec<(String, Result<Vec<u8>, String>)> {
        numbers.iter().map(|n| (format!("ct:{name}/{n}"), Ok(ours.clone()))).collect()
    };
    assert!(
        matches!(&found[0], (at, Err(why)) if *at == format!("ct:{name}") && why.contains("from entry 200 on"))
    );
    assert_eq!(found[1..], expected(&[300, 599]));
    // Nothing is new: only the checkpoint is asked for.
    web.asked.lock().unwrap().clear();
    assert_eq!(run(&[], settings.clone(), &note), []);
    assert_eq!(*web.asked.lock().unwrap(), ["checkpoint"]);
    // It grows; the partial tile is there no more, the full one is.
    entries.resize(768, certificate("other.test"));
    entries[700] = ours.clone();
    entries.push(ours.clone());
    web.remove("tile/data/002.p/88");
    web.tiles(&entries);
    assert_eq!(run(&[], settings.clone(), &note), expected(&[700, 768]));
    // Another machine behind the same address is not as far yet: no alarm, and what was known stays known.
    let before = note.note();
    web.tiles(&entries[..700]);
    let found = run(&[], settings.clone(), &note);
    assert!(matches!(&found[..], [(_, Err(why))] if why.contains("an older state")), "{found:?}");
    assert_eq!(note.note(), before);
    // It shrinks: it is not believed.
    let mut forged = entries[..700].to_vec();
    forged[3] = certificate("changed.test");
    web.tiles(&forged);
    let found = run(&[], settings.clone(), &note);
    assert!(
        matches!(&found[..], [(at, Err(why))] if *at == format!("ct:{name}") && why.contains("never shrinks"))
    );
    assert_eq!(note.note(), before);
    // As large as before with another root.
    web.tiles(&entries);
    web.head(769, &[9; 32]);
    let found = run(&[], settings.clone(), &note);
    assert!(matches!(&found[..], [(_, Err(why))] if why.contains("another tree")));
    // It has grown, and an entry of before is another one: two histories.
    let mut others = entries.clone();
    others[3] = certificate("changed.test");
    others.extend([ours.clone(), ours.clone()]);
    web.tiles(&others);
    let found = run(&[], settings.clone(), &note);
    assert!(matches!(&found[..], [(_, Err(why))] if why.contains("two histories")), "{found:?}");
    assert_eq!(note.note(), before);
    // It keeps its tree to itself: said, read all the same, and asked for again.
    entries.extend([ours.clone(), ours.clone()]);
    web.tiles(&entries);
    web.remove("tile/0/003.p/3");
    let found = run(&[], settings.clone(), &note);
    assert!(found.len() == 3 && found[0].1.as_ref().is_err_and(|why| why.contains("could not be proved")));
    entries.push(ours.clone());
    let honest = entries.clone();
    entries[769] = certificate("changed.test");
    web.tiles(&entries);
    let found = run(&[], settings.clone(), &note);
    assert!(matches!(&found[..], [(_, Err(why))] if why.contains("two histories")), "{found:?}");
    web.tiles(&honest);
    assert_eq!(run(&[], settings, &note).iter().filter(|(_, seen)| seen.is_err()).count(), 0);
}

/// The hashes of a real log (navigli2025h2, run by sunlight) at two times: when it had 778 entries, and 1024.
#[test]
fn a_tree_that_a_real_log_made() {
    let corpora = std::env::var_os("NOTAFTER_CORPORA").map(PathBuf::from);
    let tree = corpora.map(|root| root.join("ct/testdata/navigli2025h2")).filter(|tree| tree.is_dir());
    let Some(tree) = tree else { return not_run() };
    let web = Web::default();
    let url = web.start();
    let hashes = |path: &str| -> Vec<proof::Hash> {
        let bytes = std::fs::read(tree.join("tile/0").join(path)).unwrap();
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return bytes.as_chunks::<32>().0.to_vec();
        }
        let mut out = Vec::new();
        flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut out).unwrap();
        out.as_chunks::<32>().0.to_vec()
    };
    let full: Vec<Vec<proof::Hash>> = ["000", "001", "002", "003"].map(hashes).to_vec();
    let earlier = [&full[..3].concat()[..], &hashes("003.p/10")].concat();
    let leaves = full.concat();
    assert_eq!((earlier.len(), leaves.len()), (778, 1024));
    for (n, tile) in full.iter().enumerate() {
        web.put(format!("tile/0/{n:03}"), tile.concat());
    }
    let above: Vec<proof::Hash> = full.iter().map(|tile| proof::tests::root(tile)).collect();
    web.put("tile/1/000.p/4", above.concat());
    web.head(1024, &proof::tests::root(&leaves));
    let settings = serde_json::json!({"domains": ["ours.test"], "logs": [{"url": url, "api": "static-ct"}]});
    let since = |size: usize, root: [u8; 32]| {
        let place = serde_json::json!({"next": 1024, "size": size, "root": hex(&root)});
        let memory = serde_json::json!({"logs": {url.clone(): place}});
        let note = Arc::new(Note(Mutex::new(Some(memory.to_string().into_bytes()))));
        run(&[], settings.clone(), &note)
    };
    assert_eq!(since(778, proof::tests::root(&earlier)), []);
    for size in [1, 2, 3, 255, 256, 257, 513, 1023, 1024] {
        let begun = proof::tests::root(&leaves[..size]);
        assert_eq!(since(size, begun), [], "{size}");
        let mut other = begun;
        other[0] ^= 1;
        let found = since(size, other);
        let sign = if size == 1024 { "another tree" } else { "two histories" };
        assert!(matches!(&found[..], [(_, Err(why))] if why.contains(sign)), "{size}: {found:?}");
    }
}

fn not_run() {
    let _ = std::io::stderr().write_all(b"NOT RUN: no corpus ct\n");
}

#[test]
fn a_proof_that_a_log_hands_out() {
    let web = Web::default();
    let url = web.start();
    let leaves: Vec<proof::Hash> = (0..7u8).map(|n| proof::tests::leaf(&[n])).collect();
    let root = |n: usize| proof::tests::root(&leaves[..n]);
    let sth = |size: usize| {
        let root = STANDARD.encode(root(size));
        serde_json::json!({"tree_size": size, "timestamp": 1, "sha256_root_hash": root, "tree_head_signature": ""})
    };
    web.put("ct/v1/get-sth", sth(7).to_string());
    let settings = serde_json::json!({"domains": ["ours.test"], "logs": [{"url": url, "api": "rfc6962"}]});
    let since = |size: usize, shown: [u8; 32]| {
        let place = serde_json::json!({"next": 7, "size": size, "root": hex(&shown)});
        let memory = serde_json::json!({"logs": {url.clone(): place}});
        run(&[], settings.clone(), &Arc::new(Note(Mutex::new(Some(memory.to_string().into_bytes())))))
    };
    // Section 2.1.3 of RFC 6962: PROOF(3, D[7]) = [c, d, g, l].
    let hash = |from: usize, to: usize| STANDARD.encode(proof::tests::root(&leaves[from..to]));
    let path = [hash(2, 3), hash(3, 4), hash(0, 2), hash(4, 7)];
    let place = "ct/v1/get-sth-consistency?first=3&second=7";
    let found = since(3, root(3));
    assert!(matches!(&found[..], [(_, Err(why))] if why.contains("could not be proved")), "{found:?}");
    web.put(place, serde_json::json!({"consistency": path}).to_string());
    assert_eq!(since(3, root(3)), []);
    assert!(matches!(&since(3, root(4))[..], [(_, Err(why))] if why.contains("two histories")));
    web.put(place, serde_json::json!({"consistency": &path[1..]}).to_string());
    assert!(matches!(&since(3, root(3))[..], [(_, Err(why))] if why.contains("two histories")));
}

#[test]
fn a_tile_that_fails_is_read_again_next_time() {
    let web = Web::default();
    let url = web.start();
    let ours = certificate("ours.test");
    let entries = vec![ours.clone(); 520];
    web.tiles(&entries);
    let middle = web.files.lock().unwrap().remove("tile/data/001").unwrap();
    let note = Arc::new(Note::default());
    let settings = serde_json::json!({"domains": ["ours.test"], "logs": [url]});
    let found = run(&[], settings.clone(), &note);
    assert_eq!((found.len(), found.iter().filter(|(_, seen)| seen.is_err()).count()), (257, 1));
    web.put("tile/data/001", middle);
    let found = run(&[], settings.clone(), &note);
    assert_eq!(found.len(), 264);
    assert!(found[0].0.ends_with("/256"), "{}", found[0].0);
    // What is no tile is said, and costs nothing that was known.
    web.tiles(&vec![ours.clone(); 521]);
    web.put("tile/data/002.p/9", b"nonsense");
    let found = run(&[], settings, &note);
    assert!(matches!(&found[..], [(_, Err(why))] if why.contains("tile 2 cannot be read")), "{found:?}");
}

#[test]
fn get_entries_with_precertificates() {
    let web = Web::default();
    let url = web.start();
    let ours = certificate("ours.test");
    let root = STANDARD.encode([1; 32]);
    let sth = serde_json::json!({"tree_size": 4, "timestamp": 1, "sha256_root_hash": root, "tree_head_signature": ""});
    web.put("ct/v1/get-sth", sth.to_string());
    let encoded = |(leaf, extra): (Vec<u8>, Vec<u8>)| serde_json::json!({"leaf_input": STANDARD.encode(leaf), "extra_data": STANDARD.encode(extra)});
    let odd = serde_json::json!({"leaf_input": "AAAAAAAAAAAAAAkA", "extra_data": ""});
    let precert = leaf(Certificate::parse(&ours).unwrap().tbs(), Some(&ours), &[b"issuer"]);
    let first = [encoded(leaf(&ours, None, &[])), encoded(leaf(&certificate("other.test"), None, &[]))];
    // It gives two at a time, whatever was asked for.
    web.put("ct/v1/get-entries?start=0&end=3", serde_json::json!({"entries": first}).to_string());
    web.put(
        "ct/v1/get-entries?start=2&end=3",
        serde_json::json!({"entries": [odd, encoded(precert)]}).to_string(),
    );
    let found = run(&[&format!("ct:ours.test@{url}")], serde_json::json!({}), &Arc::default());
    let seen: Vec<_> =
        found.iter().map(|(at, seen)| (at.rsplit('/').next().unwrap(), seen.is_ok())).collect();
    assert_eq!(seen, [("0", true), ("2", false), ("3", true)]);
    assert_eq!(found[2].1.as_ref().unwrap(), &ours);
}

#[test]
fn a_search_service_and_a_file() {
    let web = Web::default();
    let url = web.start();
    let ours = certificate("go.ours.test");
    web.put(
        "?q=%25.ours.test&output=json&exclude=expired",
        r#"[{"id": 7, "name_value": "go.ours.test", "not_after": "2099-01-01T00:00:00"},
            {"id": 8, "name_value": "go.ours.test", "not_after": "2001-01-01T00:00:00"}]"#,
    );
    web.put("?q=ours.test&output=json&exclude=expired", r#"[{"id": 7}]"#);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&ours));
    web.put("?d=7", pem);
    let note = Arc::new(Note::default());
    let settings = serde_json::json!({"domains": ["ours.test"], "search": url});
    let name = url.trim_start_matches("http://").trim_end_matches('/');
    assert_eq!(run(&[], settings.clone(), &note), [(format!("ct:{name}/7"), Ok(ours.clone()))]);
    assert_eq!(run(&[], settings, &note), []);
    let folder = std::env::temp_dir().join(format!("notafter-ct-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("feed.json");
    let one =
        |der: &[u8]| serde_json::json!({"dns_names": ["ours.test"], "cert": {"data": STANDARD.encode(der)}});
    let list = serde_json::json!([one(&certificate("other.test")), one(&ours), {"id": 9}]);
    std::fs::write(&file, list.to_string()).unwrap();
    let found = run(&[&format!("ct:ours.test@{}", file.display())], serde_json::json!({}), &Arc::default());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(found[0].0.ends_with("/feed.json/2") && found[0].1.as_ref() == Ok(&ours), "{found:?}");
    assert!(found[1].1.as_ref().is_err_and(|why| why.starts_with("1 entries")));
}

#[test]
fn what_is_refused() {
    let given = Given {
        network: crate::network::Settings::default(),
        passwords: Arc::default(),
        roots: Arc::default(),
        beside: Arc::default(),
        registries: Arc::default(),
        secret: crate::sources::no_secrets,
        tsig: None,
    };
    for (targets, settings, expected) in [
        (&["ct:a.test"][..], serde_json::json!({}), "no log is named"),
        (&[], serde_json::json!({"logs": ["https://log.test/"]}), "no domain is named"),
        (&["ct:a b@https://log.test/"], serde_json::json!({}), "is no domain"),
        (&["ct:a.test@"], serde_json::json!({}), "stands no log"),
        (&["ct:a.test@ftp://log.test/"], serde_json::json!({}), "is no web address"),
        (
            &["ct:a.test"],
            serde_json::json!({"logs": [{"url": "https://l.test", "key": "?"}]}),
            "is no base64",
        ),
        (&["ct:a.test"], serde_json::json!({"logs": [{"url": "https://l.test", "api": "x"}]}), "is no way"),
        (&["ct:a.test"], serde_json::json!({"logs": "x"}), "is no list"),
        (&["ct:a.test"], serde_json::json!({"search": 1}), "is no text"),
    ] {
        let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
        let built = (KIND.build)(Order { targets: &targets, settings: &settings, given: &given });
        let why = built.err().map(|e| e.message).unwrap_or_default();
        assert!(why.contains(expected), "{targets:?} {settings}: {why}");
    }
}

#[test]
fn a_list_of_logs() {
    let list = serde_json::json!({"operators": [{"name": "One",
        "logs": [{"url": "https://ct.one.test/a/", "key": "AQID", "state": {"usable": {}}},
                 {"url": "https://ct.one.test/b", "key": "AQID", "state": {"rejected": {}}}],
        "tiled_logs": [{"monitoring_url": "https://mon.one.test/c", "submission_url": "https://x/", "key": "AQID",
                        "state": {"readonly": {}}}]}]});
    let logs = given::log_list(list.to_string().as_bytes()).unwrap();
    let short: Vec<_> = logs.iter().map(|log| (log.name(), log.api)).collect();
    assert_eq!(short, [("ct.one.test/a", Some(Api::Rfc6962)), ("mon.one.test/c", Some(Api::StaticCt))]);
    assert_eq!(given::log_list(b"[]"), None);
}
