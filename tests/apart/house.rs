//! A machine with two accounts: root, whose `notafter act` installs, and one without rights, which does the rest.

#![allow(dead_code, reason = "each test uses its own part")]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use notafter_lab::pebble::{self, Pebble};
use notafter_lab::{Authority, Lab, NotRun, Port, Request, need, program};
use notafter_pki::fingerprint::{hex, unhex};
use serde_json::Value;

use crate::run::{Run, finished, notafter};

/// An account without rights, by user and group.
pub(crate) type Account = (u32, u32);
/// The one of every machine.
pub(crate) const NOBODY: Account = (65_534, 65_534);

pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) config: PathBuf,
    /// The data folder of the account without rights.
    pub(crate) data: PathBuf,
    /// What `notafter act` keeps.
    pub(crate) state: PathBuf,
    pub(crate) socket: PathBuf,
    /// Where challenges are shown.
    pub(crate) root: PathBuf,
    /// As whom `notafter act` runs; root, where nothing is said.
    pub(crate) acts_as: Option<Account>,
    act: Option<Child>,
}

fn root_only() -> Result<(), NotRun> {
    match program::is_root() {
        true => Ok(()),
        false => Err(NotRun::new("two accounts", "only root can be two")),
    }
}

impl House {
    /// With these tables besides those of the server and of the two processes.
    pub(crate) fn new(name: &str, tables: &str) -> Self {
        need(root_only()).expect("these tests are run by root");
        let lab = Lab::new(name);
        let folder = lab.subfolder("etc");
        let (data, root, run) = (lab.subfolder("data"), lab.subfolder("webroot"), lab.subfolder("run"));
        chown(&data, Some(NOBODY.0), Some(NOBODY.1)).expect("theirs");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("closed");
        let (config, socket, state) =
            (folder.join("notafter.toml"), run.join("act.sock"), lab.path().join("state"));
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[act]\nsocket = \"{}\"\nuser = \"nobody\"\n{}",
            socket.display(),
            tables.replace("WEBROOT", &root.display().to_string()),
        );
        fs::write(&config, text).expect("written");
        Self { lab, config, data, state, socket, root, acts_as: None, act: None }
    }

    /// Two certificates whose targets are programs: the first one's is this.
    pub(crate) fn exec_tables(command: &[&str]) -> String {
        let certificate = |name: &str, target: &str, command: &[&str]| {
            format!(
                "[[certificate]]\nname = \"{name}\"\nnames = [\"{name}.test\"]\nissuer = \"by hand\"\n\
                 solver = {{ kind = \"http-01\", webroot = \"WEBROOT\", check = false }}\n\
                 [[certificate.target]]\nkind = \"exec\"\nname = \"{target}\"\ncommand = {command:?}\nprove = [\"tls://127.0.0.1:1\"]\n"
            )
        };
        format!(
            "[[issuer]]\nname = \"by hand\"\nkind = \"csr\"\n{}{}",
            certificate("one", "hook", command),
            certificate("two", "hook two", &["true"])
        )
    }

    /// Puts another line in the place of the one that begins so.
    pub(crate) fn change(&self, begins: &str, line: &str) {
        let text = fs::read_to_string(&self.config).expect("the configuration");
        assert!(text.lines().any(|l| l.starts_with(begins)), "{begins}: {text}");
        let lines = text.lines().map(|l| if l.starts_with(begins) { line } else { l });
        fs::write(&self.config, lines.collect::<Vec<_>>().join("\n") + "\n").expect("written");
    }

    /// Puts another target in the place of the one there is.
    pub(crate) fn target(&self, lines: &str) {
        let text = fs::read_to_string(&self.config).expect("the configuration");
        let (before, _) = text.split_once("[[certificate.target]]").expect("a target");
        fs::write(&self.config, format!("{before}[[certificate.target]]\n{lines}")).expect("written");
    }

    fn act(&self) -> Command {
        let mut command = notafter(&["act"]);
        command.arg("--config").arg(&self.config).arg("--data").arg(&self.state);
        if let Some((uid, gid)) = self.acts_as {
            command.uid(uid).gid(gid).current_dir("/");
        }
        command
    }

    /// Starts `notafter act` to see how it ends.
    pub(crate) fn act_once(&self) -> Run {
        finished(self.act().output().expect("it runs"))
    }

    /// Starts `notafter act`, and waits until it listens.
    pub(crate) fn start(&mut self) {
        let out = self.lab.path().join("act.out");
        let log = File::options().create(true).append(true).open(&out).expect("a file for its words");
        let _ = fs::remove_file(&self.socket);
        let child =
            self.act().stdout(log.try_clone().expect("the same")).stderr(log).spawn().expect("it starts");
        self.act = Some(child);
        self.until("its socket", |_| {
            self.socket.exists() && std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
        });
    }

    pub(crate) fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !holds(&self.words()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come:\n{}", self.words());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `notafter act` said.
    pub(crate) fn words(&self) -> String {
        fs::read_to_string(self.lab.path().join("act.out")).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        self.act.as_ref().map_or(0, Child::id)
    }

    /// Kills it without a word.
    pub(crate) fn kill(&self) {
        program::signal("KILL", &[i64::from(self.pid())]);
    }

    /// Tells it to end, and waits.
    pub(crate) fn term(&self) -> i32 {
        program::signal("TERM", &[i64::from(self.pid())]);
        let begun = Instant::now();
        // Gone, but for its exit code.
        while fs::read_to_string(format!("/proc/{}/stat", self.pid())).is_ok_and(|s| !s.contains(") Z ")) {
            assert!(begun.elapsed() < Duration::from_secs(30), "it does not end: {}", self.words());
            std::thread::sleep(Duration::from_millis(20));
        }
        0
    }

    /// The same, with its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.term();
        self.act.take().and_then(|mut child| child.wait().ok()).and_then(|s| s.code()).unwrap_or(-1)
    }

    /// How much memory it has, in kB.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    /// Runs a command as the account without rights.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Run {
        let (config, data) = (self.config.display().to_string(), self.data.display().to_string());
        self.ask_as(NOBODY, &[arguments, &["--config", &config, "--data", &data]].concat())
    }

    pub(crate) fn ask_as(&self, (uid, gid): Account, arguments: &[&str]) -> Run {
        finished(notafter(arguments).uid(uid).gid(gid).current_dir("/").output().expect("it runs"))
    }

    pub(crate) fn shell_as(&self, (uid, gid): Account, line: &str) -> ExitStatus {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).uid(uid).gid(gid).current_dir("/").stderr(std::process::Stdio::null());
        shell.stdout(std::process::Stdio::null()).status().expect("a shell")
    }

    /// The server, as the account without rights.
    pub(crate) fn serve(&self) -> Child {
        let log = File::create(self.lab.path().join("serve.out")).expect("a file for its words");
        let mut command = notafter(&["serve"]);
        command.arg("--config").arg(&self.config).arg("--data").arg(&self.data);
        command.uid(NOBODY.0).gid(NOBODY.1).current_dir("/");
        command.stdout(log.try_clone().expect("the same")).stderr(log).spawn().expect("it starts")
    }

    /// Writes something else into every receipt of the memory. How many there were.
    pub(crate) fn edit_receipts(&self, undo: &Value) -> usize {
        use notafter_core::UnixTime;
        use notafter_store::works::Note;
        use notafter_store::{Database, Store};
        let store =
            Store::open(&Database::File(self.data.join("notafter.db")), UnixTime(0)).expect("the memory");
        let work = store.works_of("web", 1).expect("read").remove(0);
        let mut renewal = work.renewal.clone();
        let mut edited = 0;
        for receipt in renewal.targets.iter_mut().filter_map(|t| t.receipt.as_mut()) {
            receipt.undo = undo.clone();
            edited += 1;
        }
        let now = UnixTime(seconds());
        let held =
            store.hold_work("web", renewal.generation, "me", now.plus(60), now).expect("held").expect("free");
        let note = Note { what: "", detail: String::new(), proofs: Vec::new() };
        let put = store.put_work(&renewal, held.version, ("me", now.plus(60)), &note, now).expect("written");
        assert!(put.is_some());
        store.let_go_of_work("web", renewal.generation, "me").expect("let go");
        edited
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(child) = &mut self.act {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A CA and an nginx that serves both the challenges and the certificate.
pub(crate) struct Web {
    pub(crate) ca: Pebble,
    nginx: Child,
    /// Its certificates: root's.
    pub(crate) tls: PathBuf,
    pub(crate) root: PathBuf,
    port: Port,
}

impl Web {
    pub(crate) fn house(name: &str, grace: &str) -> Option<(House, Self)> {
        Self::with(name, grace, &pebble::Options::default())
    }

    /// With such a CA.
    pub(crate) fn with(name: &str, grace: &str, options: &pebble::Options) -> Option<(House, Self)> {
        need(root_only())?;
        let mut house = House::new(name, "");
        let lab = &house.lab;
        let ca = need(pebble::start(lab, options))?;
        let nginx = need(program::find("nginx"))?;
        let (folder, tls, port) = (lab.subfolder("nginx"), lab.subfolder("tls"), Port::free());
        let leaf = Authority::new(lab)
            .issue(&Request::server().between(seconds() - 80 * 86_400, seconds() + 5 * 86_400));
        fs::copy(&leaf.fullchain_pem, tls.join("api.pem")).expect("copied");
        fs::copy(&leaf.key_pem, tls.join("api.key")).expect("copied");
        fs::set_permissions(tls.join("api.pem"), fs::Permissions::from_mode(0o644)).expect("set");
        fs::set_permissions(tls.join("api.key"), fs::Permissions::from_mode(0o600)).expect("set");
        let (http, root) = (ca.http_port(), house.root.clone());
        let text = format!(
            "user root; daemon off; error_log stderr; pid {f}/nginx.pid;\nevents {{}}\nhttp {{\n  access_log off;\n\
             client_body_temp_path {f}/a; proxy_temp_path {f}/b; fastcgi_temp_path {f}/c; uwsgi_temp_path {f}/d; scgi_temp_path {f}/e;\n\
             server {{ listen 127.0.0.1:{http}; root {root}; }}\n\
             server {{ listen 127.0.0.1:{tls_port} ssl; server_name srv.test; ssl_certificate {tls}/api.pem; ssl_certificate_key {tls}/api.key; }}\n}}\n",
            f = folder.display(),
            root = root.display(),
            tls = tls.display(),
            tls_port = port.number(),
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, text).expect("written");
        let log = File::create(folder.join("nginx.out")).expect("a log");
        let nginx = Command::new(nginx)
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .stderr(log)
            .spawn()
            .expect("nginx starts");
        let ca_file = folder.join("ca.pem");
        fs::copy(ca.ca_file(), &ca_file).expect("copied");
        fs::set_permissions(&ca_file, fs::Permissions::from_mode(0o644)).expect("set");
        let tables = format!(
            "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{directory}\"\nca_file = \"{ca}\"\n\
             [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"{grace}\"\nrehearse = \"never\"\n\
             solver = {{ kind = \"http-01\", webroot = \"{root}\", port = {http}, address = \"127.0.0.1\" }}\n\
             [[certificate.target]]\nkind = \"files\"\nname = \"nginx\"\ncertificate = \"{tls}/api.pem\"\nkey = \"{tls}/api.key\"\n\
             prove = [\"tls://127.0.0.1:{port}?sni=srv.test\"]\nreload = [\"kill\", \"-HUP\", \"{pid}\"]\n",
            directory = ca.directory(),
            ca = ca_file.display(),
            root = root.display(),
            tls = tls.display(),
            port = port.number(),
            pid = nginx.id(),
        );
        let before = fs::read_to_string(&house.config).expect("the configuration");
        fs::write(&house.config, before + &tables).expect("written");
        house.act = None;
        Some((house, Self { ca, nginx, tls, root, port }))
    }

    /// The lines of the target that reload it and look at it.
    pub(crate) fn reload_and_prove(&self) -> String {
        format!(
            "prove = [\"tls://{}?sni=srv.test\"]\nreload = [\"kill\", \"-HUP\", \"{}\"]\n",
            self.port.local(),
            self.nginx.id()
        )
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.nginx.id()
    }

    /// The issuer of what is served, by openssl.
    pub(crate) fn issuer(&self) -> String {
        notafter_lab::server::one_worker(self.nginx.id());
        let line = "openssl s_client -connect \"$1\" -servername srv.test </dev/null 2>/dev/null | openssl x509 -noout -issuer";
        let shown = Command::new("sh").args(["-c", line, "-", &self.port.local().to_string()]).output();
        String::from_utf8_lossy(&shown.expect("openssl runs").stdout).into_owned()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        program::signal("TERM", &[i64::from(self.nginx.id())]);
        let _ = self.nginx.wait();
    }
}

fn seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs() as i64)
}

/// A chain for a request, hexadecimal: signed by a new root for this name, whatever the request asks for.
pub(crate) fn signed(lab: &Lab, csr: &[u8], name: &str) -> Vec<String> {
    let authority = Authority::with_intermediates(lab, notafter_lab::Key::default(), 0);
    let folder = lab.subfolder("signed");
    fs::write(folder.join("csr.der"), csr).expect("written");
    fs::write(folder.join("ext"), format!("subjectAltName=DNS:{name}\n")).expect("written");
    let root = authority.root();
    let line = "openssl x509 -req -in csr.der -inform DER -CA \"$1\" -CAkey \"$2\" -CAcreateserial -days 30 -extfile ext -outform DER -out leaf.der && openssl x509 -in \"$1\" -outform DER -out root.der";
    let done = Command::new("sh")
        .args(["-c", line, "-"])
        .arg(&root.cert_pem)
        .arg(&root.key_pem)
        .current_dir(&folder)
        .output()
        .expect("openssl runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    ["leaf.der", "root.der"].map(|file| hex(&fs::read(folder.join(file)).expect(file))).to_vec()
}

/// What of a private key must be nowhere else: its secret octets, as they are and as text.
pub(crate) fn secret_of(key: &Path) -> Vec<Vec<u8>> {
    let out = Command::new("openssl")
        .args(["pkey", "-noout", "-text", "-in"])
        .arg(key)
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines =
        text.lines().skip_while(|l| !l.starts_with("priv")).skip(1).take_while(|l| l.starts_with(' '));
    let digits: String = lines.flat_map(|l| l.chars().filter(char::is_ascii_hexdigit)).collect();
    let secret = unhex(&digits).expect("its octets");
    assert_eq!(secret.len(), 32, "{text}");
    let pem = fs::read_to_string(key).expect("the key");
    let line = pem.lines().nth(1).expect("base64").as_bytes().to_vec();
    vec![hex(&secret).into_bytes(), secret, line]
}

pub(crate) fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|w| w == part)
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            out.extend(files(&path))
        } else if path.is_file() {
            out.push(path)
        }
    }
    out
}

pub(crate) fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for file in files(folder) {
        each(&file, &fs::read(&file).unwrap_or_default());
    }
}
