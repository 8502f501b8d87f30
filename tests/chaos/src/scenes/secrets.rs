//! Keys that nobody else can read at any moment (trust F57), and secrets that turn up nowhere (F58).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use notafter_lab::{base64, pebble, program};

use crate::house::{House, Plan, finish, until};
use crate::{Options, Row};

/// They stand in the configuration's references, and must be found nowhere else.
const HMAC: &str = "Y2FuYXJ5LWhtYWMtNzE1Zjk0YzItZG8tbm90LWxlYWs";
const PASSWORD: &str = "canary-p12-9a6c1b";
const TSIG: &str = "Y2FuYXJ5LXRzaWctM2YyYS1kby1ub3QtbGVhaw";

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![modes(options)?, canaries(options)?])
}

/// Under umask 000 every file with a key is made for its owner alone, from its first moment.
fn modes(options: &Options) -> Result<Row, String> {
    crate::strace::is_there()?;
    let mut row =
        Row::of("F57", "umask 000: modes at creation and at the end; no dumps; no key in arguments");
    let house = House::new(options, "modes", &Plan::default())?;
    let out = house.lab.path().join("trace");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 000; exec \"$@\"", "sh", "strace", "-f", "-qq", "-y", "-v", "-s", "4000", "-o"])
        .arg(&out);
    shell.args(["-e", "trace=openat,open,creat,mkdir,mkdirat,execve,prctl,fchmod,memfd_create", "--"]);
    let run = finish(house.behind(shell, &["renew", "web", "--json"]), Duration::from_secs(90));
    if run.code != Some(0) {
        return Err(run.words());
    }
    let trace = fs::read_to_string(&out).map_err(|e| e.to_string())?;
    let (data, tls) = (house.data.display().to_string(), house.tls().display().to_string());
    for line in trace.lines().filter(|line| line.contains("O_CREAT") || line.contains("mkdir")) {
        if !line.contains(&data) && !line.contains(&tls) {
            continue;
        }
        row.points += 1;
        let mode = line.split(") = ").next().and_then(|call| call.rsplit(", 0").next());
        let mode =
            mode.and_then(|mode| u32::from_str_radix(mode.trim_end_matches(')'), 8).ok()).unwrap_or(0o777);
        // A folder of generations is passed through; a certificate may be read. Nobody else ever writes.
        let most = if line.contains("mkdir") && line.contains(&tls) { 0o711 } else { 0o600 | 0o100 };
        row.must(mode & !most == 0, || format!("made with mode {mode:o}: {line}"));
    }
    let mut files = Vec::new();
    under(&house.data, &mut files);
    under(&house.tls(), &mut files);
    for file in files {
        let Ok(meta) = fs::metadata(&file) else { continue };
        let (mode, bytes) = (meta.permissions().mode() & 0o777, fs::read(&file).unwrap_or_default());
        let holds_key = program_has(&bytes, b"PRIVATE KEY") || file.starts_with(&house.data);
        row.points += 1;
        row.must(mode & 0o022 == 0, || format!("others may write {} ({mode:o})", file.display()));
        row.must(!holds_key || mode & 0o077 == 0, || {
            format!("others may read {} ({mode:o})", file.display())
        });
    }
    row.must(trace.contains("PR_SET_DUMPABLE, SUID_DUMP_DISABLE"), || "the process can be dumped".to_owned());
    row.must(!trace.lines().any(|l| l.contains("execve") && l.contains("PRIVATE KEY")), || {
        "a key is in the arguments or the environment of a child".to_owned()
    });
    Ok(row)
}

fn under(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => under(&entry.path(), out),
            Ok(kind) if kind.is_file() => out.push(entry.path()),
            _ => {}
        }
    }
}

fn program_has(bytes: &[u8], what: &[u8]) -> bool {
    !what.is_empty() && bytes.windows(what.len()).any(|window| window == what)
}

/// Everything that comes out of the program, and everything that it keeps, searched for every secret it was given.
fn canaries(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F58", "secrets in outputs, errors, logs, data folder, backup, metrics, API");
    let ca = pebble::Options { eab: Some(("kid-1".into(), HMAC.into())), ..pebble::Options::default() };
    let mut plan = Plan { ca, head: "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned(), ..Plan::default() };
    let house = House::new(options, "canaries", &plan)?;
    let place = house.lab.subfolder("given");
    let write = |name: &str, text: &str| {
        let file = place.join(name);
        fs::write(&file, text).map(|()| file.display().to_string()).map_err(|e| e.to_string())
    };
    let account = place.join("account.pem");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&account);
    program::run(&mut openssl).map_err(|e| e.to_string())?;
    let account_der =
        base64::blocks(&fs::read_to_string(&account).map_err(|e| e.to_string())?, "PRIVATE KEY");
    plan.issuer = format!(
        "eab = {{ kid = \"kid-1\", hmac = {{ file = \"{}\" }} }}\naccount_key = \"{}\"\n",
        write("hmac", HMAC)?,
        account.display()
    );
    plan.target = Some(format!(
        "pkcs12 = {{ path = \"{0}/store.p12\", password = {{ file = \"{1}\" }} }}\n\
         jks = {{ path = \"{0}/store.jks\", password = {{ file = \"{1}\" }} }}\n{2}",
        house.tls().display(),
        write("password", PASSWORD)?,
        house.reload()
    ));
    house.write(&plan, &house.ca.directory());
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    let mut hear = |what: &str, words: &[&str]| {
        let run = house.run(words);
        said.push((format!("`{what}`"), [run.out.as_bytes(), run.err.as_bytes()].concat()));
    };
    let first = house.run(&["renew", "web", "--json"]);
    row.must(first.code == Some(0), || {
        format!("the renewal with all these secrets fails: {}", first.words())
    });
    hear("renew", &["renew", "web", "--json"]);
    for words in [
        ["renew", "web"].as_slice(),
        &["rehearse", "web"],
        &["rehearse", "web", "--json"],
        &["prove", "web", "--json"],
        &["deploy", "web"],
        &["config", "check"],
        &["doctor"],
        &["ls", "--json"],
        &["renew", "web", "-v"],
    ] {
        hear(&words.join(" "), words);
    }
    // Every reference wrong in turn, and a DNS that refuses: errors are where secrets leak.
    let wrong = [
        plan.target.clone().unwrap_or_default().replace("password = { file", "password = { fil"),
        plan.target.clone().unwrap_or_default().replace("store.p12", "no/such/store.p12"),
    ];
    for target in wrong {
        house.write(&Plan { target: Some(target), ..plan.clone() }, &house.ca.directory());
        hear("a wrong target", &["renew", "web", "--wait", "1s"]);
    }
    let tsig = write("tsig", TSIG)?;
    let solver = format!(
        "{{ kind = \"dns-01\", provider = \"rfc2136\", server = \"127.0.0.1:1\", key_name = \"k.\", secret = {{ file = \"{tsig}\" }} }}"
    );
    house.write(&Plan { solver: Some(solver), ..plan.clone() }, &house.ca.directory());
    hear("a DNS that refuses", &["rehearse", "web"]);
    hear("a DNS that refuses, checked", &["config", "check"]);
    house.write(&plan, &house.ca.directory());
    let backup = house.lab.path().join("copy.db");
    hear("backup", &["backup", &backup.display().to_string()]);
    let server = house.start(&["serve"], "serve.out");
    let url = until(Duration::from_secs(20), || {
        let words = server.words();
        let url = words.split_whitespace().find(|w| w.starts_with("http://127.0.0.1:") && w.ends_with('/'));
        url.map(str::to_owned)
    });
    let url = url.ok_or_else(|| format!("no server: {}", server.words()))?;
    let token = fs::read_to_string(house.data.join("token")).unwrap_or_default();
    for path in [
        "metrics",
        "healthz",
        "",
        "inventory",
        "alerts",
        "sources",
        "api/v1/assets",
        "api/v1/totals",
        "api/v1/alerts",
    ] {
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-m",
            "10",
            "-H",
            &format!("Authorization: Bearer {}", token.trim()),
            &format!("{url}{path}"),
        ]);
        let ran = program::finish(&mut curl, b"", Duration::from_secs(15)).map_err(|e| e.to_string())?;
        said.push((format!("/{path}"), ran.stdout));
    }
    said.push(("the server's log".to_owned(), server.words().into_bytes()));
    drop(server);
    let mut kept = Vec::new();
    under(&house.data, &mut kept);
    kept.push(backup);
    for file in kept.iter().filter(|file| !file.ends_with("master.key")) {
        said.push((file.display().to_string(), fs::read(file).unwrap_or_default()));
    }
    let key = fs::read_to_string(house.key()).map_err(|e| e.to_string())?;
    let key_der = base64::blocks(&key, "PRIVATE KEY");
    let master = fs::read_to_string(house.data.join("master.key")).unwrap_or_default();
    let raw = |text: &str| text.as_bytes().to_vec();
    let secrets: Vec<(&str, Vec<u8>)> = vec![
        ("the binding's key", raw(HMAC)),
        ("the binding's key, decoded", raw("canary-hmac-715f94c2-do-not-leak")),
        ("the store's password", raw(PASSWORD)),
        ("the zone's secret", raw(TSIG)),
        ("the zone's secret, decoded", raw("canary-tsig-3f2a-do-not-leak")),
        ("the master key", raw(master.trim())),
        ("the account key", secret_part(account_der.first())),
        ("the account key in PEM", middle(&fs::read_to_string(&account).unwrap_or_default())),
        ("the certificate's key", secret_part(key_der.first())),
        ("the certificate's key in PEM", middle(&key)),
    ];
    for (name, secret) in &secrets {
        row.must(secret.len() >= 12, || format!("{name}: the lab has no such secret"));
        for (place, bytes) in &said {
            row.points += 1;
            row.must(!program_has(bytes, secret), || format!("{name} is in {place}"));
        }
    }
    Ok(row.note(format!("{} secrets in {} places", secrets.len(), said.len())))
}

/// The secret number of a P-256 key in PKCS#8 (RFC 5915): the 32 octets behind the first octet string of 32.
fn secret_part(der: Option<&Vec<u8>>) -> Vec<u8> {
    let der = der.map(Vec::as_slice).unwrap_or_default();
    let at = der.windows(2).position(|two| two == [0x04, 0x20]);
    at.and_then(|at| der.get(at + 2..at + 34)).unwrap_or_default().to_vec()
}

/// A line of PEM that holds the secret and no algorithm.
fn middle(pem: &str) -> Vec<u8> {
    pem.lines().filter(|line| !line.starts_with("---")).nth(1).unwrap_or_default().as_bytes().to_vec()
}
