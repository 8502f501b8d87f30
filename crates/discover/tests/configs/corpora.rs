//! Corpora: N of M paths found, where M is what the files say to a reader that knows nothing but the word in
//! front of a path. Every exception is named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notafter_discover::configs::{Configured, SERVERS, read_tree, read_with, recognise};
use notafter_discover::renewers::{self, RENEWERS};
use notafter_discover::tree::{Entry, Tree};

/// The folder of a corpus; `None`, and a line that says so, where it is absent.
pub(crate) fn corpus(name: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let root = std::env::var_os("NOTAFTER_CORPORA").map_or(default, PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return folder.canonicalize().ok();
    }
    println!("NOT RUN: no corpus {name} at {}", root.display());
    None
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

/// A folder of the corpus as the root of a tree. The corpus keeps a link as a file with the path it leads to.
fn tree(folder: &Path, at: &str) -> Tree {
    let entries = files(folder).into_iter().map(|path| {
        let inside = Path::new(at).join(path.strip_prefix(folder).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let link = text.starts_with("../") && !text.trim_end().contains(['\n', ' ']);
        (inside, if link { Entry::link(text.trim_end()) } else { Entry::file(&bytes) })
    });
    Tree::memory(entries)
}

fn read(tree: &Tree, server: &str, main: &str) -> Configured {
    let server = SERVERS.iter().find(|s| s.name == server).unwrap();
    read_with(tree, server, Path::new(main))
}

fn certificates(found: &Configured) -> Vec<String> {
    let mut out: Vec<String> =
        found.servings.iter().map(|s| format!("{} {}", s.at, s.certificate.display())).collect();
    out.sort();
    out.dedup();
    out
}

/// What stands behind one of these words on lines that are no comments: what a plain search would find.
fn searched(path: &Path, words: &[&str]) -> Vec<(usize, String)> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let mut out = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with('#')) {
        let all: Vec<&str> = line.split_whitespace().collect();
        for pair in all.windows(2).filter(|p| words.contains(&p[0])) {
            out.push((n + 1, pair[1].trim_matches(['"', ';', '\'']).to_owned()));
        }
    }
    out
}

#[test]
fn certbots_nginx() {
    let Some(folder) = corpus("certbot-configs") else { return };
    let folder = folder.join("nginx/testdata/etc_nginx");
    let found = read(&tree(&folder, "/etc/nginx"), "nginx", "/etc/nginx/nginx.conf");
    let wanted: usize =
        files(&folder.join("sites-enabled")).iter().map(|f| searched(f, &["ssl_certificate"]).len()).sum();
    let got = certificates(&found);
    println!("certbot-configs, nginx: {} of {wanted} certificates, {} files", got.len(), found.files.len());
    assert_eq!(
        got,
        [
            "/etc/nginx/sites-enabled/both.com:21 /etc/nginx/cert.pem",
            "/etc/nginx/sites-enabled/both.com:30 /etc/nginx/cert.pem",
            "/etc/nginx/sites-enabled/headers.com:5 /etc/nginx/snakeoil.cert",
            "/etc/nginx/sites-enabled/migration.com:11 /etc/nginx/cert.pem",
            "/etc/nginx/sites-enabled/sslon.com:4 /etc/nginx/snakeoil.cert",
        ]
    );
    assert_eq!(got.len(), wanted);
    let migration = found.servings.iter().find(|s| s.at.line == 11).unwrap();
    assert_eq!(migration.names.len(), 2, "{:?}", migration.names);
    // Files that must not be read as configurations, or that are broken on purpose: no certificate, no crash.
    for path in files(&folder) {
        let inside = Path::new("/etc/nginx").join(path.strip_prefix(&folder).unwrap());
        let named = |name: &str| path.ends_with(name);
        if !path.parent().is_some_and(|p| p.ends_with("sites-enabled"))
            && !named("nginx.conf")
            && !named("nginx-include.conf")
        {
            let found = read_with(&tree(&folder, "/etc/nginx"), &SERVERS[0], &inside);
            assert!(found.servings.is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn certbots_apache() {
    let Some(folder) = corpus("certbot-configs") else { return };
    let folder = folder.join("apache/testdata");
    let (mut found_all, mut wanted_all, mut exceptions) = (0, 0, Vec::new());
    for layout in ["default_vhost", "augeas_vhosts", "multiple_vhosts", "multi_vhosts"] {
        let folder = folder.join("debian_apache_2_4").join(layout).join("apache2");
        // `a2enmod ssl`, as certbot does before it looks: without the module nothing speaks TLS here.
        let mut entries: Vec<(PathBuf, Entry)> = Vec::new();
        for path in files(&folder) {
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let link = text.starts_with("../") && !text.trim_end().contains(['\n', ' ']);
            let entry = if link { Entry::link(text.trim_end()) } else { Entry::file(&bytes) };
            entries.push((Path::new("/etc/apache2").join(path.strip_prefix(&folder).unwrap()), entry));
        }
        let ssl = Entry::file(b"LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n");
        entries.push(("/etc/apache2/mods-enabled/ssl.load".into(), ssl));
        let tree = Tree::memory(entries);
        let found = read(&tree, "apache", "/etc/apache2/apache2.conf");
        let got: BTreeSet<PathBuf> = found.servings.iter().map(|s| s.at.path.to_path_buf()).collect();
        for site in tree.glob(Path::new("/etc/apache2/sites-enabled/*")) {
            let real = tree.resolve(&site).unwrap();
            let on_disk = folder.join(real.strip_prefix("/etc/apache2").unwrap());
            let certificates = searched(&on_disk, &["SSLCertificateFile"]).len();
            wanted_all += certificates;
            match got.contains(&site) {
                true => found_all += certificates,
                false if certificates > 0 => {
                    exceptions.push(format!("{layout}/{}", site.file_name().unwrap().display()))
                }
                false => {}
            }
        }
    }
    println!(
        "certbot-configs, Apache: {found_all} of {wanted_all} certificates of enabled sites; not: {exceptions:?}"
    );
    assert_eq!((found_all, wanted_all, exceptions.len()), (4, 4, 0));
    // Parts that are broken on purpose, read alone.
    for (file, servings) in
        [("missing-double-quote-1724.conf", 1), ("multivhost-1093.conf", 0), ("multivhost-1093b.conf", 2)]
    {
        let folder = folder.parent().unwrap().join("apache-conf-files/failing");
        let found = read(&tree(&folder, "/x"), "apache", &format!("/x/{file}"));
        assert_eq!(certificates(&found).len(), servings, "{file}: {:?}", found.blind);
    }
    // Variables and patterns of certbot's own parser tests: no certificate, no crash.
    let found =
        read(&tree(&folder.join("complex_parsing"), "/etc/apache2"), "apache", "/etc/apache2/apache2.conf");
    assert!(found.servings.is_empty() && found.files.len() >= 3, "{:?}", found.files);
}

#[test]
fn crossplanes_nginx() {
    let Some(folder) = corpus("crossplane-nginx") else { return };
    let check = |name: &str, files: usize, blind: usize| {
        let found = read(&tree(&folder.join(name), "/n"), "nginx", "/n/nginx.conf");
        let got = (found.files.len(), found.blind.len());
        assert_eq!(got, (files, blind), "{name}: {:?} {:?}", found.files, found.blind);
        assert!(found.servings.is_empty(), "{name}");
    };
    // Its expectations: which files are read, and in how many places something is wrong.
    check("includes-regular", 3, 1);
    check("includes-globbed", 6, 0);
    for name in [
        "simple",
        "lua-block-simple",
        "lua-block-tricky",
        "directive-with-space",
        "bad-args",
        "comments-between-args",
        "non-unicode",
        "quote-behavior",
    ] {
        check(name, 1, 0);
    }
    for name in ["broken-above.conf", "broken-below.conf"] {
        let found = read(&tree(&folder.join("missing-semicolon"), "/n"), "nginx", &format!("/n/{name}"));
        assert!(found.servings.is_empty(), "{name}");
    }
    println!("crossplane-nginx: 12 of 12 configurations");
}

#[test]
fn haproxys_own() {
    let Some(folder) = corpus("haproxy") else { return };
    let (mut found_all, mut wanted_all) = (0, 0);
    for path in files(&folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "cfg")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let found = read(&tree(path.parent().unwrap(), "/h"), "haproxy", &format!("/h/{name}"));
        let wanted: BTreeSet<(usize, String)> = searched(&path, &["crt"]).into_iter().collect();
        let got: BTreeSet<(usize, String)> = found
            .servings
            .iter()
            .map(|s| (s.at.line as usize, s.certificate.file_name().unwrap().to_string_lossy().into_owned()))
            .collect();
        assert_eq!(got, wanted, "{name}");
        let head = std::fs::read(&path).unwrap();
        let recognised = recognise(&path, &head[..head.len().min(4096)]).map(|s| s.name);
        // Nothing but a resolver or a global section in it, or a frontend without a single bind.
        assert!(recognised == Some("haproxy") || wanted.is_empty(), "{name}: {recognised:?}");
        found_all += got.len();
        wanted_all += wanted.len();
    }
    // Lists, through a bind line that names them.
    for path in files(&folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "crt-list")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let main = "frontend f\n bind :443 ssl crt-list /l\n";
        let tree = Tree::of(&[("/h.cfg", main), ("/l", &text)]);
        let found = read(&tree, "haproxy", "/h.cfg");
        let wanted = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).count();
        assert_eq!(found.servings.len(), wanted, "{}", path.display());
        found_all += found.servings.len();
        wanted_all += wanted;
    }
    println!("haproxy: {found_all} of {wanted_all} certificates");
    assert!(wanted_all >= 8);
}

#[test]
fn a_whole_etc() {
    let Some(folder) = corpus("augeas-root") else { return };
    let tree = tree(&folder, "/");
    let mut found = read_tree(&tree);
    // Its main file is not in the corpus: the part is met on a walk.
    let mut recognised = Vec::new();
    for path in files(&folder) {
        let inside = Path::new("/").join(path.strip_prefix(&folder).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        if let Some(server) = recognise(&inside, &bytes[..bytes.len().min(4096)]) {
            recognised.push((inside.clone(), server.name));
            if !found.files.contains(&inside) {
                found.servings.extend(read_with(&tree, server, &inside).servings);
            }
        }
    }
    println!("augeas-root: {} of 2 certificates; recognised: {recognised:?}", found.servings.len());
    assert_eq!(
        certificates(&found),
        [
            "/etc/httpd/conf.d/ssl.conf:105 /etc/pki/tls/certs/localhost.crt",
            "/etc/nginx/nginx.conf:102 /etc/nginx/cert.pem",
        ]
    );
    let names: BTreeSet<&str> = recognised.iter().map(|(_, name)| *name).collect();
    // nslcd has no reader of its own; what it names is not there.
    assert_eq!(names, BTreeSet::from(["a program", "apache", "nginx", "vsftpd"]));
    assert!(renewers::read_tree(&tree).renewed.is_empty());
}

#[test]
fn certbots_lineages() {
    let Some(folder) = corpus("certbot-files") else { return };
    let folder = folder.join("certbot/src/certbot/tests/testdata");
    let conf = std::fs::read_to_string(folder.join("sample-renewal-ancient.conf")).unwrap();
    let conf = conf.replace("MAGICDIR", "/le");
    let name = "sample-renewal-ancient";
    let mut entries = vec![(PathBuf::from(format!("/le/renewal/{name}.conf")), Entry::file(conf.as_bytes()))];
    for kind in ["cert", "privkey"] {
        let bytes = std::fs::read(folder.join(format!("sample-archive/{kind}1.pem"))).unwrap();
        entries.push((format!("/le/archive/{name}/{kind}1.pem").into(), Entry::file(&bytes)));
        entries.push((
            format!("/le/live/{name}/{kind}.pem").into(),
            Entry::link(&format!("../../archive/{name}/{kind}1.pem")),
        ));
    }
    let found = renewers::read_with(&Tree::memory(entries), &RENEWERS[0], Path::new("/le"));
    let [one] = found.renewed.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.lineage.as_str(), one.names.as_slice()), (name, &["isnot.org".to_owned()][..]));
    assert_eq!(one.before, Some(notafter_core::upkeep::Before::Seconds(365 * 86_400)));
    assert_eq!((one.solver.as_deref(), one.account.as_deref()), (Some("webroot"), None));
    assert_eq!(one.server.as_deref(), Some("https://acme-staging.api.letsencrypt.org/directory"));
    assert!(one.certificates.contains(&PathBuf::from(format!("/le/archive/{name}/cert1.pem"))));
    // The sample has neither chain nor fullchain.
    assert_eq!(one.broken.len(), 2, "{:?}", one.broken);
    println!("certbot-files: 1 of 1 lineages");
}

/// Whatever the corpora hold, read as a configuration of everything: no crash, no endless reading.
#[test]
fn every_file_as_every_configuration() {
    for name in ["certbot-configs", "crossplane-nginx", "haproxy", "augeas-root", "manifests"] {
        let Some(folder) = corpus(name) else { continue };
        let all = files(&folder);
        for path in all.iter().filter(|p| p.metadata().is_ok_and(|m| m.len() < 64 << 10)) {
            let text = std::fs::read(path).unwrap();
            let tree = Tree::memory([(PathBuf::from("/x/file"), Entry::file(&text))]);
            for server in SERVERS {
                let found = read_with(&tree, server, Path::new("/x/file"));
                assert!(found.files.len() <= 1, "{} {}", server.name, path.display());
            }
        }
        println!("{name}: {} files as each of {} configurations", all.len(), SERVERS.len());
    }
}
