//! The servers as judges: a file that is said to be served is one without which the server refuses its
//! configuration, and what it prints of its configuration is what was read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_discover::configs::{Configured, SERVERS, read_with};
use notafter_discover::tree::Tree;

/// A folder that is removed in the end, with certificates in it.
struct Bench(PathBuf);

impl Bench {
    /// `None`, and a line that says so, where the judge or OpenSSL is not installed.
    fn new(test: &str, program: &str) -> Option<Self> {
        for needed in [program, "openssl"] {
            if which(needed).is_none() {
                println!("NOT RUN: {test}: {needed} is not installed");
                return None;
            }
        }
        let folder = std::env::temp_dir().join(format!("notafter-judge-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Some(Self(folder))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text.replace("DIR", self.0.to_str().unwrap())).unwrap();
        path
    }

    /// A certificate and its key, apart and together.
    fn certificate(&self, name: &str) {
        let (key, pem) = (self.0.join(format!("{name}.key")), self.0.join(format!("{name}.pem")));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", &format!("/CN={name}"), "-keyout"])
            .args([&key, Path::new("-out"), &pem])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let both = [std::fs::read(&pem).unwrap(), std::fs::read(&key).unwrap()].concat();
        std::fs::write(self.0.join(format!("{name}.both")), both).unwrap();
    }

    fn read(&self, server: &str, main: &Path) -> Configured {
        let server = SERVERS.iter().find(|s| s.name == server).unwrap();
        read_with(&Tree::host(), server, main)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    folders.map(|f| Path::new(f).join(program)).find(|p| p.is_file())
}

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(which(program).unwrap()).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Each file that is said to be served is missed by the server, and the one beside it is not.
fn missed(bench: &Bench, found: &Configured, accepts: impl Fn() -> (bool, String)) {
    let (fine, said) = accepts();
    assert!(fine, "{said}");
    let served: BTreeSet<&PathBuf> =
        found.servings.iter().flat_map(|s| [Some(&s.certificate), s.key.as_ref()]).flatten().collect();
    let away = bench.0.join("away");
    for file in &served {
        std::fs::rename(file, &away).unwrap();
        let (fine, _) = accepts();
        std::fs::rename(&away, file).unwrap();
        assert!(!fine, "{} was said to be served, and is not missed", file.display());
    }
    std::fs::rename(bench.0.join("decoy.pem"), &away).unwrap();
    assert!(accepts().0, "what is not served is not missed");
}

#[test]
fn nginx() {
    let Some(bench) = Bench::new("nginx", "nginx") else { return };
    ["a", "b", "c", "decoy"].iter().for_each(|name| bench.certificate(name));
    let main = bench.write(
        "nginx.conf",
        "pid DIR/pid; error_log DIR/error.log; events {}\nhttp { access_log off;\n\
         map $ssl_server_name $x { default DIR/decoy.pem; }\n include sites/*.conf; include 'none/*';\n\
         ssl_certificate c.pem; ssl_certificate_key \"c.key\"; }\n\
         stream { server { listen 127.0.0.1:28443 ssl; include snippets/b.inc; } }\n",
    );
    bench.write("sites/1.conf", "server { listen 127.0.0.1:28444 ssl; server_name a.test *.a.test ~^x; ssl_certificate DIR/a.pem;\n ssl_certificate_key ${x}a.key; }\n".replace("${x}", "DIR/").as_str());
    bench.write("sites/2.conf", "server { listen 127.0.0.1:28445 ssl; }\n");
    bench.write("snippets/b.inc", "ssl_certificate b.pem; ssl_certificate_key b.key;\n");
    let stream = which("nginx").is_some() && run("nginx", &["-V"]).1.contains("--with-stream ");
    if !stream {
        println!("NOT RUN: nginx: its stream part, which is not built in");
        let text = std::fs::read_to_string(&main).unwrap();
        std::fs::write(&main, text.split("stream {").next().unwrap()).unwrap();
    }
    let found = bench.read("nginx", &main);
    assert_eq!(found.servings.len(), if stream { 3 } else { 2 }, "{found:#?}");
    assert!(found.blind.is_empty(), "{:?}", found.blind);
    let (main, folder) = (main.to_str().unwrap(), bench.0.to_str().unwrap());
    // The files it reads, in its own words.
    let (_, dump) = run("nginx", &["-T", "-q", "-p", folder, "-c", main]);
    let theirs: BTreeSet<PathBuf> = dump
        .lines()
        .filter_map(|l| l.strip_prefix("# configuration file ")?.strip_suffix(':'))
        .map(PathBuf::from)
        .collect();
    let ours: BTreeSet<PathBuf> = found.files.iter().cloned().collect();
    assert_eq!(ours, theirs);
    missed(&bench, &found, || run("nginx", &["-t", "-p", folder, "-c", main]));
}

#[test]
fn apache() {
    let Some(bench) = Bench::new("apache", "apache2") else { return };
    ["a", "b", "decoy"].iter().for_each(|name| bench.certificate(name));
    let modules = ["mpm_event", "authz_core", "ssl", "socache_shmcb", "macro"]
        .map(|m| format!("LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"));
    let main = bench.write(
        "apache2.conf",
        &format!(
            "{}ServerRoot DIR\nServerName x.test\nPidFile DIR/pid\nErrorLog DIR/error.log\nListen 127.0.0.1:28443 https\nListen 28444\n\
             Define dir \"DIR\"\n<IfModule !mod_none.c>\nIncludeOptional sites/*.conf\n</IfModule>\n<IfDefine NONE>\nSSLCertificateFile DIR/decoy.pem\n</IfDefine>\n\
             <Macro Site $name $port>\n<VirtualHost *:$port>\nServerName $name.test\nSSLEngine on\nSSLCertificateFile $name.pem\nSSLCertificateKeyFile DIR/$name.key\n</VirtualHost>\n</Macro>\nUse Site b 28444\n",
            modules.concat()
        ),
    );
    bench.write(
        "sites/a.conf",
        "<VirtualHost 127.0.0.1:28443>\nServerName a.test\nServerAlias *.a.test\nSSLCertificateFile ${dir}/a.pem\nSSLCertificateKeyFile \\\n  \"${dir}/a.key\"\n</VirtualHost>\n",
    );
    let found = bench.read("apache", &main);
    let names: Vec<_> =
        found.servings.iter().flat_map(|s| s.names.iter().map(|n| n.as_str().to_owned())).collect();
    assert_eq!(names, ["a.test", "*.a.test", "b.test"], "{found:#?}");
    assert!(found.blind.is_empty(), "{:?}", found.blind);
    let main = main.to_str().unwrap();
    // Its own list of hosts: addresses and names, as we have them.
    let (_, dump) = run("apache2", &["-f", main, "-S"]);
    for (place, name) in [("127.0.0.1:28443", "a.test"), ("*:28444", "b.test")] {
        let has = |l: &str| l.starts_with(place) && l.contains(name);
        assert!(dump.lines().any(has), "{place} {name}: {dump}");
        let ours = found.servings.iter().find(|s| s.names[0].as_str() == name).unwrap();
        assert_eq!(ours.listens.len(), 1);
        assert!(ours.listens[0].to_string().ends_with(place) && ours.default, "{ours:?}");
    }
    missed(&bench, &found, || run("apache2", &["-f", main, "-t"]));
}

#[test]
fn haproxy() {
    let Some(bench) = Bench::new("haproxy", "haproxy") else { return };
    ["a", "b", "c", "decoy"].iter().for_each(|name| bench.certificate(name));
    let main = bench.write(
        "haproxy.cfg",
        "global\n crt-base DIR\n setenv WHERE DIR\ndefaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n\
         frontend f\n bind 127.0.0.1:28443,127.0.0.1:28444 ssl crt a.both crt-list DIR/list alpn h2\n bind \"127.0.0.1:28445\" ssl crt \"$WHERE/c.both\" # decoy\n",
    );
    bench.write("list", "# comment\nDIR/b.both [alpn http/1.1] b.test !x.b.test *.b.test\n");
    let found = bench.read("haproxy", &main);
    let files: Vec<_> =
        found.servings.iter().map(|s| s.certificate.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["a.both", "b.both", "c.both"], "{found:#?}");
    let main = main.to_str().unwrap();
    missed(&bench, &found, || run("haproxy", &["-c", "-f", main]));
}

#[test]
fn postfix() {
    let Some(bench) = Bench::new("postfix", "postconf") else { return };
    let main = bench.write(
        "main.cf",
        "compatibility_level = 2\nbase = DIR/tls\nname = mail\nsmtpd_tls_cert_file =\n  ${base}/${name}.pem\nsmtpd_tls_key_file = $base/${name?yes}.key\n\
         smtpd_tls_CAfile = ${none?no}${base:no}/ca.pem\nsmtpd_tls_security_level = may\ninet_interfaces = loopback-only\n",
    );
    bench.write("master.cf", "smtp inet n - y - - smtpd\nsmtps inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file=DIR/own.pem\n");
    let found = bench.read("postfix", &main);
    let folder = bench.0.to_str().unwrap();
    let value =
        |name: &str| run("postconf", &["-c", folder, "-hx", name]).1.lines().next().unwrap_or("").to_owned();
    let first = &found.servings[0];
    assert_eq!(first.certificate.to_str().unwrap(), value("smtpd_tls_cert_file"));
    assert_eq!(first.key.as_ref().unwrap().to_str().unwrap(), value("smtpd_tls_key_file"));
    assert_eq!(found.trusts[0].path.to_str().unwrap(), value("smtpd_tls_CAfile"));
    let (_, own) = run("postconf", &["-c", folder, "-P", "smtps/inet/smtpd_tls_cert_file"]);
    let own = own.lines().next().unwrap_or("");
    assert!(own.ends_with(found.servings[1].certificate.to_str().unwrap()), "{own}");
    assert_eq!(found.servings[1].listens[0].to_string(), "tls 127.0.0.1:465");
}

#[test]
fn dovecot() {
    let Some(bench) = Bench::new("dovecot", "doveconf") else { return };
    ["a", "b"].iter().for_each(|name| bench.certificate(name));
    let version = run("dovecot", &["--version"]).1;
    if !version.starts_with("2.3") {
        println!("NOT RUN: dovecot: {} is not 2.3", version.trim());
        return;
    }
    let main = bench.write(
        "dovecot.conf",
        "protocols = imap\nssl = required\n!include conf.d/*.conf\n!include_try none.conf\nlocal_name b.test {\n  ssl_cert = <DIR/b.pem\n  ssl_key = <b.key\n}\n",
    );
    bench.write("conf.d/ssl.conf", "ssl_cert = <DIR/a.pem # comment\nssl_key = <../a.key\n");
    let found = bench.read("dovecot", &main);
    let (fine, dump) = run("doveconf", &["-n", "-c", main.to_str().unwrap()]);
    assert!(fine, "{dump}");
    let theirs: BTreeSet<&str> = dump.lines().filter_map(|l| l.trim().strip_prefix("ssl_cert = <")).collect();
    let ours: BTreeSet<&str> = found.servings.iter().map(|s| s.certificate.to_str().unwrap()).collect();
    assert_eq!(ours, theirs, "{dump}");
    assert!(dump.contains("local_name b.test"));
    assert!(found.blind.is_empty() && found.missing(&Tree::host()).is_empty(), "{found:#?}");
}

#[test]
fn mariadb() {
    let Some(bench) = Bench::new("mariadb", "my_print_defaults") else { return };
    let main = bench.write("my.cnf", "[mysqld]\nssl_cert = DIR/a.pem\n!includedir DIR/d\n");
    bench.write("d/x.cnf", "[mysqld]\nssl-key=\"DIR/a.key\" # comment\n[mysqldump]\nssl-cert=DIR/decoy\n");
    let found = bench.read("mariadb", &main);
    let (_, dump) = run("my_print_defaults", &[&format!("--defaults-file={}", main.display()), "mysqld"]);
    let [one] = found.servings.as_slice() else { panic!("{found:#?}") };
    let theirs: Vec<&str> = dump.lines().filter_map(|l| l.split_once('=').map(|(_, v)| v)).collect();
    assert_eq!(
        theirs,
        [one.certificate.to_str().unwrap(), one.key.as_ref().unwrap().to_str().unwrap()],
        "{dump}"
    );
}
