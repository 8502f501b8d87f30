//! What the integration tests share: keys made by openssl, servers as child processes, one way to grab.
//!
//! Servers listen on loopback only and end with their test. A missing program is reported, not hidden.

#![allow(dead_code)]

use notafter_wire::Monotonic;
use notafter_wire::tls::grab::{Grab, Grabber, Settings, Starttls, Target};
use notafter_wire::tls::{Offer, Outcome};
use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

struct SystemClock(Instant);

impl Monotonic for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

pub(crate) fn clock() -> Arc<dyn Monotonic> {
    // Tests own their process: here is where time comes from.
    #[allow(clippy::disallowed_methods)]
    Arc::new(SystemClock(Instant::now()))
}

pub(crate) fn pause(duration: Duration) {
    // Waiting for another process to come up: there is no event to wait for instead.
    #[allow(clippy::disallowed_methods)]
    std::thread::sleep(duration);
}

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(crate) fn target(port: u16) -> Target {
    Target {
        tag: 7,
        addr: SocketAddr::from(([127, 0, 0, 1], port)),
        sni: Some("lab.example".into()),
        starttls: Starttls::No,
        offer: Offer::Any,
        want_client_cas: false,
    }
}

/// Runs the targets through a grabber and returns the results in the order of completion.
pub(crate) fn grab_all(settings: Settings, targets: Vec<Target>) -> Vec<Grab> {
    let (grabber, feeder, results) = Grabber::start(settings, clock()).expect("the loops start");
    let fed = std::thread::spawn(move || feeder.send_all(VecDeque::from(targets)));
    let mut grabs = Vec::new();
    while let Some(batch) = results.recv() {
        grabs.extend(batch);
    }
    fed.join().expect("the feeder ends").expect("all targets are taken");
    drop(grabber);
    grabs
}

pub(crate) fn quick() -> Settings {
    Settings { threads: 1, total_timeout: Duration::from_secs(6), ..Settings::default() }
}

pub(crate) fn grab(target: Target) -> Grab {
    grab_all(quick(), vec![target]).pop().expect("one result")
}

/// A result in one line.
pub(crate) fn summary(grab: &Grab) -> String {
    match &grab.outcome {
        Outcome::Certificates(flight) => {
            let leaf = keys().iter().find(|key| key.der == flight.certificates.leaf());
            let mut text = format!(
                "{:04x} {:04x} group {} chain {} leaf {}",
                flight.version,
                flight.cipher,
                flight.group.map_or("-".to_string(), |group| group.to_string()),
                flight.certificates.len(),
                leaf.map_or("unknown", |key| key.name)
            );
            if let Some(auth) = &flight.client_auth {
                text += &format!(" client-auth {}", auth.ca_names.len());
            }
            if flight.staple.is_some() {
                text += " stapled";
            }
            text
        }
        other => format!("{other:?}"),
    }
}

pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: Vec<u8>,
}

pub(crate) fn directory() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("lab-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the lab");
    directory
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().expect("the program runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    output.stdout
}

/// One self-signed certificate of each kind, made once per test process.
pub(crate) fn keys() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let kinds: [(&str, &[&str]); 5] = [
            ("ec", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            ("ec521", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"]),
            ("rsa", &["-newkey", "rsa:2048"]),
            ("ed25519", &["-newkey", "ed25519"]),
            ("ed448", &["-newkey", "ed448"]),
        ];
        kinds
            .into_iter()
            .map(|(name, kind)| {
                let certificate = directory().join(format!("{name}.crt")).display().to_string();
                let key = directory().join(format!("{name}.key")).display().to_string();
                let subject = format!("/CN={name}.lab.example");
                let mut arguments = vec!["req", "-x509", "-nodes", "-days", "30", "-subj", &subject];
                arguments.extend_from_slice(&["-addext", "subjectAltName=DNS:lab.example"]);
                arguments.extend_from_slice(kind);
                arguments.extend_from_slice(&["-keyout", &key, "-out", &certificate]);
                run("openssl", &arguments);
                let der = run("openssl", &["x509", "-in", &certificate, "-outform", "der"]);
                Key { name, certificate, key, der }
            })
            .collect()
    })
}

pub(crate) fn key(name: &str) -> &'static Key {
    keys().iter().find(|key| key.name == name).expect("a key of that name")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

pub(crate) fn present(program: &str) -> bool {
    let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/lib/postgresql/15/bin";
    let there = paths.split(':').any(|path| PathBuf::from(path).join(program).exists());
    if !there {
        say(&format!("NOT RUN: {program} is not installed here"));
    }
    there
}

/// A server process, ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked politely at first: several of these have children of their own to take along.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for _ in 0..40 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until its port accepts; `None` (reported) if it ends or stays deaf.
pub(crate) fn serve(program: &str, arguments: &[String], port: u16) -> Option<Server> {
    let log = std::fs::File::create(directory().join(format!("{port}.log"))).expect("a log file");
    let child = Command::new(program)
        .args(arguments)
        .current_dir(directory())
        // s_server ends when its input does.
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the server starts");
    let mut server = Server { child, port };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(server);
        }
        if server.child.try_wait().is_ok_and(|status| status.is_some()) {
            break;
        }
        pause(Duration::from_millis(50));
    }
    let log = std::fs::read_to_string(directory().join(format!("{port}.log"))).unwrap_or_default();
    let tail: String = log.chars().take(600).collect();
    say(&format!("NOT RUN: {program} {arguments:?} did not come up: {tail}"));
    None
}

/// `openssl s_server` with these further arguments, a word starting with '@' naming a key.
pub(crate) fn s_server(words: &str) -> Option<Server> {
    let port = free_port();
    let mut arguments: Vec<String> = vec!["s_server".into(), "-accept".into(), format!("127.0.0.1:{port}")];
    for word in words.split_whitespace() {
        match word.strip_prefix('@') {
            Some(name) => {
                let (certificate, private) = match arguments.last().map(String::as_str) {
                    Some("-dcert") => ("", "-dkey"),
                    _ => ("-cert", "-key"),
                };
                if !certificate.is_empty() {
                    arguments.push(certificate.into());
                }
                arguments.push(key(name).certificate.clone());
                arguments.push(private.into());
                arguments.push(key(name).key.clone());
            }
            None => arguments.push(word.replace("CA:", &format!("{}/", directory().display()))),
        }
    }
    serve("openssl", &arguments, port)
}
