//! What goes through the socket of `notafter act` besides files and hooks of this machine: another host over ssh, a service
//! over https, and the two challenges that are neither a file nor a page. Two accounts, and real servers behind each.
//!
//! The account without rights can read none of the secrets that these need: what works here was done by the other one.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

#[path = "apart/house.rs"]
mod house;
mod run;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use house::{House, NOBODY, Web};
use notafter_lab::dns::{self, Daemon, Tsig, Zone};
use notafter_lab::{Authority, Lab, Port, Request, need, pebble, program, sshd};
use serde_json::Value;

fn json(run: &run::Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

/// A file that only root can read.
fn secret(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closed");
}

fn unreadable(house: &House, path: &Path) {
    let tried = house.shell_as(NOBODY, &format!("cat {}", path.display()));
    assert!(!tried.success(), "the account without rights may read {}", path.display());
}

/// Asks for a renewal as the account without rights, and sees it in use.
fn renewed(house: &House, web: &Web, generation: u64) {
    let renewed = house.ask(&["renew", "web", "--json"]);
    let document = json(&renewed);
    assert_eq!(
        (renewed.code, document["state"].as_str(), document["generation"].as_u64()),
        (0, Some("proved"), Some(generation)),
        "{}\n{}\n{}",
        renewed.out,
        renewed.err,
        house.words()
    );
    assert!(web.issuer().contains("Pebble"), "{}", web.issuer());
}

/// The new private key is in none of the files that the account without rights keeps.
fn never_there(house: &House, key: &Path) {
    let secret = house::secret_of(key);
    house::walk(&house.data, &mut |file, text| {
        assert!(!secret.iter().any(|s| house::holds(text, s)), "a private key in {}", file.display());
    });
}

#[test]
fn another_host_over_ssh_and_the_way_back() {
    let Some((mut house, web)) = Web::house("crossing-ssh", "15s") else { return };
    let Some(far) = need(sshd::start(&house.lab, false)) else { return };
    unreadable(&house, &far.identity());
    let (pem, key) = (web.tls.join("api.pem"), web.tls.join("api.key"));
    let target = format!(
        "kind = \"ssh\"\nname = \"far\"\nhost = \"127.0.0.1\"\nport = {}\nidentity = \"{}\"\nknown_hosts = \"{}\"\n\
         certificate = \"{}\"\nkey = \"{}\"\n",
        far.port(),
        far.identity().display(),
        far.known_hosts().display(),
        pem.display(),
        key.display(),
    );
    house.target(&(target.clone() + &web.reload_and_prove()));
    house.start();
    let rehearsed = house.ask(&["rehearse", "web", "--json"]);
    assert_eq!(json(&rehearsed)[0]["would_renew"], true, "{}\n{}", rehearsed.out, house.words());
    renewed(&house, &web, 1);
    never_there(&house, &key);
    assert!(house.words().contains("deploy web far: done"), "{}", house.words());
    let first = fs::read(&pem).expect("what is served");
    // The same again changes nothing; a second one has another key.
    let again = house.ask(&["deploy", "web", "--json"]);
    assert_eq!(
        (again.code, fs::read(&pem).expect("pem")),
        (0, first.clone()),
        "{}\n{}",
        again.out,
        again.err
    );
    renewed(&house, &web, 2);
    let second = fs::read(&pem).expect("what is served");
    assert_ne!(second, first);
    // A reload that does nothing is caught, and what was there before is put back over there, by what `act` kept.
    house.change("reload = ", "reload = [\"true\"]");
    house.until("the new one", |words| words.contains("configuration loaded anew"));
    let over = house.ask(&["renew", "web", "--json", "--wait", "40s"]);
    let said = json(&over).to_string();
    assert!(
        over.code == 1 && said.contains("far was put back to the one before"),
        "{said}\n{}",
        house.words()
    );
    assert!(house.words().contains("roll-back web far: done"), "{}", house.words());
    assert_eq!(fs::read(&pem).expect("what is served"), second);
}

/// A service that takes what it is sent over https, if it is told the token and signed, and installs it.
const SERVICE: &str = r#"
import base64, hashlib, hmac, http.server, json, os, ssl, signal, sys
port, cert, key, tls, pid, token, signs, log = sys.argv[1:]
class Takes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        allowed = self.headers["Authorization"] == "Bearer " + open(token).read().strip()
        told_by = self.headers["webhook-id"] + "." + self.headers["webhook-timestamp"] + "."
        own = base64.b64decode(open(signs).read().strip()[len("whsec_"):])
        mac = base64.b64encode(hmac.new(own, told_by.encode() + body, hashlib.sha256).digest()).decode()
        allowed = allowed and self.headers["webhook-signature"] == "v1," + mac
        if allowed:
            told = json.loads(body)
            with open(log, "a") as f:
                f.write("%s %s %s\n" % (told["event"], told["generation"], self.headers["webhook-id"]))
            for name, text in (("api.pem", told["certificate_pem"] + told["chain_pem"]), ("api.key", told["key_pem"])):
                with open(tls + "/" + name + ".new", "w") as f:
                    f.write(text)
                os.rename(tls + "/" + name + ".new", tls + "/" + name)
            os.kill(int(pid), signal.SIGHUP)
        self.send_response(204 if allowed else 401)
        self.end_headers()
    def log_message(self, *words):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(port)), Takes)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_service_over_https_that_is_given_the_key() {
    let Some((mut house, web)) = Web::house("crossing-webhook", "6s") else { return };
    let Some(python) = need(program::find("python3")) else { return };
    let folder = house.lab.subfolder("service");
    let leaf = Authority::new(&house.lab).issue(&Request::server());
    let (token, log, port) = (folder.join("token"), folder.join("log"), Port::free());
    secret(&token, "t0ken-of-the-service\n");
    let signs = folder.join("signs");
    secret(&signs, "whsec_c2lnbnMtd2hhdC10aGUtc2VydmljZS1pcy10b2xk\n");
    unreadable(&house, &token);
    let ca = folder.join("ca.pem");
    fs::copy(&leaf.root_pem, &ca).expect("copied");
    fs::set_permissions(&ca, fs::Permissions::from_mode(0o644)).expect("set");
    let (number, pid) = (port.number(), web.pid().to_string());
    drop(port);
    let child = Command::new(python)
        .args(["-c", SERVICE, &number.to_string()])
        .args([&leaf.fullchain_pem, &leaf.key_pem, &web.tls])
        .args([Path::new(&pid), &token, &signs, &log])
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    let _service = Service(child);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", number)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the service does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let prove = web.reload_and_prove();
    let prove = prove.lines().next().expect("a place");
    house.target(&format!(
        "kind = \"webhook\"\nname = \"service\"\nurl = \"https://localhost:{number}/install\"\ntoken = {{ file = \"{}\" }}\n\
         secret = {{ file = \"{}\" }}\nsend_key = true\nca_file = \"{}\"\n{prove}\n",
        token.display(),
        signs.display(),
        ca.display()
    ));
    house.start();
    renewed(&house, &web, 1);
    never_there(&house, &web.tls.join("api.key"));
    assert!(house.words().contains("deploy web service: done"), "{}", house.words());
    renewed(&house, &web, 2);
    let told = fs::read_to_string(&log).expect("what it was told");
    let told: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(told.iter().map(|line| line[1]).collect::<Vec<_>>(), ["1", "2"], "{told:?}");
    assert_ne!(told[0][2], told[1][2], "two generations, two ids");
    // Another token than the service's: it is refused, and said; and no token is in what is said.
    let other = folder.join("other");
    secret(&other, "an0ther-token\n");
    house.change("token = ", &format!("token = {{ file = \"{}\" }}", other.display()));
    house.until("the new one", |words| words.contains("configuration loaded anew"));
    let refused = house.ask(&["renew", "web", "--json", "--wait", "5s"]);
    let said = format!("{}{}{}", refused.out, refused.err, house.words());
    assert!(refused.code == 1 && said.contains("401"), "{said}");
    assert!(!said.contains("an0ther-token") && !said.contains("t0ken-of-the-service"), "{said}");
}

#[test]
fn dns_01_by_a_program_that_only_root_could_run() {
    let lab = Lab::new("crossing-dns");
    let key = Tsig::new("hmac-sha256");
    let zone = Zone::new("srv.test", "@ A 127.0.0.1\n");
    let Some(server) = need(dns::start(&lab, Daemon::Knot, &[zone], &key)) else { return };
    let options = pebble::Options { resolver: Some(server.address()), ..pebble::Options::default() };
    let Some((mut house, web)) = Web::with("crossing-dns-house", "6s", &options) else { return };
    let folder = house.lab.subfolder("hook");
    let (update, log, script) = (folder.join("update.key"), folder.join("log"), folder.join("hook.sh"));
    let text =
        format!("key \"{}\" {{ algorithm {}; secret \"{}\"; }};\n", key.name, key.algorithm, key.secret);
    secret(&update, &text);
    unreadable(&house, &update);
    let body = format!(
        "#!/bin/sh\nsend() {{ printf 'server 127.0.0.1 {}\\nupdate %s\\nsend\\n' \"$1\" | nsupdate -k {}; }}\n\
         echo \"$1 $(id -u)\" >>{}\ncase \"$1\" in\npresent) send \"add $2 60 TXT \\\"$3\\\"\" ;;\n\
         cleanup) send \"delete $2 TXT \\\"$3\\\"\" ;;\nesac\n",
        server.address().port(),
        update.display(),
        log.display()
    );
    fs::write(&script, body).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("set");
    let line = format!(
        "solver = {{ kind = \"dns-01\", provider = \"exec\", command = [\"{}\"], resolver = \"{}\", port = {} }}",
        script.display(),
        server.address(),
        server.address().port()
    );
    house.change("solver = ", &line);
    house.change("names = ", "names = [\"srv.test\", \"*.srv.test\"]");
    house.start();
    let rehearsed = house.ask(&["rehearse", "web", "--json"]);
    assert_eq!(json(&rehearsed)[0]["would_renew"], true, "{}\n{}", rehearsed.out, house.words());
    fs::remove_file(&log).expect("the hook was tried");
    renewed(&house, &web, 1);
    never_there(&house, &web.tls.join("api.key"));
    let ran = fs::read_to_string(&log).expect("the hook ran");
    let mut ran: Vec<&str> = ran.lines().collect();
    ran.sort_unstable();
    // A name and its wildcard are two values at one name; both as root, and both taken back.
    assert_eq!(ran, ["cleanup 0", "cleanup 0", "present 0", "present 0"]);
    assert!(server.texts("_acme-challenge.srv.test").expect("asked").is_empty());
    assert!(house.words().contains("clean-up web: done"), "{}", house.words());
}

#[test]
fn tls_alpn_01_is_shown_by_the_one_that_installs() {
    let Some((mut house, web)) = Web::house("crossing-alpn", "6s") else { return };
    let port = web.ca.tls_port();
    let line = format!(
        "solver = {{ kind = \"tls-alpn-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}"
    );
    house.change("solver = ", &line);
    house.start();
    let rehearsed = house.ask(&["rehearse", "web", "--json"]);
    assert_eq!(json(&rehearsed)[0]["would_renew"], true, "{}\n{}", rehearsed.out, house.words());
    renewed(&house, &web, 1);
    never_there(&house, &web.tls.join("api.key"));
    let words = house.words();
    assert!(words.contains("present web: done") && words.contains("clean-up web: done"), "{words}");
    drop(std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free again"));
    assert_eq!(house.stop(), 0, "{}", house.words());
    // Nobody shows it otherwise.
    let alone = house.ask(&["renew", "web", "--json", "--wait", "1s"]);
    assert!(alone.code == 1 && alone.out.contains("notafter act"), "{}\n{}", alone.out, alone.err);
}
