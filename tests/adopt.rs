//! From discovered to managed: what a scan found of real servers becomes a configuration that renews them.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;

use std::path::{Path, PathBuf};

use notafter_lab::pebble::{self, Pebble};
use notafter_lab::servers::{self, Start, apache, haproxy, nginx, postfix, redis};
use notafter_lab::{Authority, Lab, Leaf, Request, Server, need};
use run::{Run, run};
use serde_json::Value;

/// A machine with a configuration that knows an issuer, and a memory.
struct House {
    lab: Lab,
    authority: Authority,
    config: PathBuf,
    data: PathBuf,
}

impl House {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let authority = Authority::new(&lab);
        let (config, data) = (lab.path().join("notafter.toml"), lab.path().join("data"));
        Self { lab, authority, config, data }
    }

    /// The configuration, with an issuer that is never asked.
    fn configured(self) -> Self {
        self.write("# written by a person\n[[issuer]]\nname = \"ca\"\nkind = \"acme\"\ndirectory = \"https://ca.test/dir\"\n");
        self
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.config, text).expect("written");
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.config).expect("read")
    }

    fn ask(&self, arguments: &[&str]) -> Run {
        let (config, data) = (self.config.to_string_lossy(), self.data.to_string_lossy());
        let mut all = arguments.to_vec();
        all.extend(["--config", &config, "--data", &data]);
        run(&all)
    }

    /// Keeps a scan of a server and of its folder. The id of what it shows.
    fn found(&self, server: &Server, place: &str) -> String {
        let folder = server.folder().to_string_lossy().into_owned();
        let scanned = self.ask(&["scan", "--save", "--json", place, &folder]);
        let document: Value =
            serde_json::from_str(&scanned.out).unwrap_or_else(|e| panic!("{e}: {}", scanned.err));
        let shown = |p: &&Value| {
            p["role"] == "leaf" && p["location"].as_str().is_some_and(|l| !l.starts_with("file:"))
        };
        let placements = document["placements"].as_array().expect("placements");
        let id = placements.iter().find(shown).and_then(|p| p["asset"].as_str());
        id.unwrap_or_else(|| panic!("nothing at {place}: {}", scanned.out)).to_owned()
    }

    /// The certificate tables of the configuration.
    fn adopted(&self) -> toml_lite::Table {
        toml_lite::read(&self.text())
    }

    fn checked(&self) {
        let checked = self.ask(&["config", "check"]);
        assert_eq!(checked.code, 0, "{}\n{}\n{}", checked.out, checked.err, self.text());
        assert!(checked.out.contains("kept alive"), "{}", checked.out);
    }

    /// The issuer of what a client of its own kind is shown, by openssl.
    fn issuer_at(server: &Server) -> String {
        server.settled();
        let shown = std::process::Command::new("sh")
            .args(["-c", "openssl s_client -connect \"$1\" -servername srv.test </dev/null 2>/dev/null | openssl x509 -noout -issuer", "-", &server.address().to_string()])
            .output()
            .expect("openssl runs");
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }
}

/// Just enough to look at what was written, without the reader that is under test.
mod toml_lite {
    use std::collections::BTreeMap;

    pub(crate) type Table = BTreeMap<String, String>;

    /// The last value of every key, as its text.
    pub(crate) fn read(text: &str) -> Table {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '[']));
        lines.filter_map(|line| line.split_once(" = ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

fn install(leaf: &Leaf, folder: &Path) {
    for (from, name) in
        [(&leaf.fullchain_pem, "fullchain.pem"), (&leaf.cert_pem, "cert.pem"), (&leaf.key_pem, "key.pem")]
    {
        std::fs::copy(from, folder.join(name)).expect("copied");
    }
}

/// The configuration of a CA that really issues, and how it is shown that a name is ours there.
fn really(ca: &Pebble) -> (String, String) {
    let text = format!(
        "# written by a person\n[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n",
        ca.directory(),
        ca.ca_file().display()
    );
    let port = ca.http_port();
    let solver = format!(
        "{{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}"
    );
    (text, solver)
}

#[test]
fn nginx_from_a_scan_to_a_renewal_that_was_seen() {
    let house = House::new("adopt-nginx");
    let Some(ca) = need(pebble::start(&house.lab, &pebble::Options::default())) else { return };
    let leaf = house.authority.issue(&Request::server().days(20));
    let Some(web) = need(nginx::start(&house.lab, &leaf)) else { return };
    let (text, solver) = really(&ca);
    house.write(&text);
    let id = house.found(&web, &format!("tls://{}?sni=srv.test", web.address()));

    // Shown first, and nothing is changed by that.
    let shown = house.ask(&["adopt", &id, "--solver", &solver, "--dry-run"]);
    assert_eq!(shown.code, 0, "{}\n{}", shown.out, shown.err);
    assert!(shown.out.contains("+[[certificate]]") && shown.out.contains("\n ca_file = "), "{}", shown.out);
    assert_eq!(house.text(), text);
    // Nobody is there to say yes.
    let unasked = house.ask(&["adopt", &id, "--solver", &solver]);
    assert!(unasked.code == 2 && unasked.err.contains("say --yes"), "{}", unasked.err);
    assert_eq!(house.text(), text);

    let added = house.ask(&["adopt", &id, "--solver", &solver, "--yes", "--json"]);
    assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
    let document = json(&added);
    assert_eq!((&document["added"], document["name"].as_str()), (&Value::Bool(true), Some("srv.test")));
    assert_eq!(
        document["diff"].as_str().map(|d| shown.out.starts_with(d)),
        Some(true),
        "what was shown is what was added"
    );
    let backup = house.config.with_extension("toml.bak");
    assert_eq!(std::fs::read_to_string(&backup).expect("a copy of before"), text);
    assert!(house.text().starts_with(&text), "what a person wrote stays as it is");
    house.checked();
    let tls = web.folder().join("tls");
    let written = house.adopted();
    assert_eq!(written.get("certificate"), Some(&quoted(&tls.join("fullchain.pem"))));
    assert_eq!(written.get("key"), Some(&quoted(&tls.join("key.pem"))));
    assert!(written["prove"].contains(&format!("tls://{}?sni=srv.test", web.address())), "{}", house.text());
    assert!(written["reload"].starts_with("[\"nginx\", \"-s\", \"reload\", \"-c\","), "{}", house.text());

    let renewed = house.ask(&["renew", "srv.test", "--json"]);
    assert_eq!(renewed.code, 0, "{}\n{}\n{}", renewed.out, renewed.err, house.text());
    assert_eq!(json(&renewed)["state"], "proved");
    assert!(House::issuer_at(&web).contains("Pebble"), "{}", House::issuer_at(&web));

    let again = house.ask(&["adopt", &format!("tls://{}?sni=srv.test", web.address()), "--yes"]);
    assert!(again.code == 2 && again.err.contains("keeps it alive already"), "{}\n{}", again.out, again.err);
}

/// Its configuration leaves its process to the program, or names another one's: a reload by it would reach that.
#[test]
fn a_second_nginx_is_not_reloaded_by_the_number_of_the_first() {
    let house = House::new("adopt-second").configured();
    let leaf = house.authority.issue(&Request::server().days(20));
    let Some(web) = need(nginx::start(&house.lab, &leaf)) else { return };
    let id = house.found(&web, &format!("tls://{}?sni=srv.test", web.address()));
    let conf = web.folder().join("nginx.conf");
    let text = std::fs::read_to_string(&conf).expect("its configuration");
    let other = web.folder().join("other.pid");
    std::fs::write(&other, "1\n").expect("written");
    let adopted = || {
        let shown = house.ask(&["adopt", &id, "--solver", "http-01", "--dry-run", "--name", "it"]);
        assert_eq!(shown.code, 0, "{}\n{}", shown.out, shown.err);
        (shown.out.contains(" reload = ["), shown.out.contains("FILL IN reload"), shown.out)
    };
    for (line, sure) in
        [("pid nginx.pid;", true), ("", false), (&*format!("pid {};", other.display()), false)]
    {
        std::fs::write(&conf, text.replace("pid nginx.pid;", line)).expect("written");
        let (reload, to_fill, out) = adopted();
        assert_eq!((reload, to_fill), (sure, !sure), "{line}: {out}");
        assert!(out.contains(" check = [\"nginx\", \"-t\""), "{out}");
    }
}

#[test]
fn haproxy_takes_the_new_pair_over_its_socket() {
    let house = House::new("adopt-haproxy");
    let Some(ca) = need(pebble::start(&house.lab, &pebble::Options::default())) else { return };
    let leaf = house.authority.issue(&Request::server().days(20));
    let Some(proxy) = need(haproxy::start(&house.lab, &leaf)) else { return };
    let (text, solver) = really(&ca);
    house.write(&text);
    let id = house.found(&proxy, &format!("tls://{}?sni=srv.test", proxy.address()));
    let added = house.ask(&["adopt", &id, "--solver", &solver, "--yes", "--name", "proxy"]);
    assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
    house.checked();
    let written = house.adopted();
    assert_eq!(
        written.get("combined"),
        Some(&quoted(&proxy.folder().join("tls/combined.pem"))),
        "{}",
        house.text()
    );
    assert_eq!(
        written.get("haproxy_socket"),
        Some(&quoted(&proxy.folder().join("admin.sock"))),
        "{}",
        house.text()
    );
    let renewed = house.ask(&["renew", "proxy", "--json"]);
    assert_eq!(renewed.code, 0, "{}\n{}\n{}", renewed.out, renewed.err, house.text());
    assert!(House::issuer_at(&proxy).contains("Pebble"));
}

#[test]
fn apache_and_postfix_with_the_commands_of_their_presets() {
    let house = House::new("adopt-others").configured();
    let leaf = house.authority.issue(&Request::server().days(20));
    if let Some(web) = need(apache::start(&house.lab, &leaf)) {
        let id = house.found(&web, &format!("tls://{}?sni=srv.test", web.address()));
        let added = house.ask(&["adopt", &id, "--solver", "http-01", "--yes", "--name", "web"]);
        assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
        let written = house.adopted();
        let conf = web.folder().join("httpd.conf");
        // Debian's script, which brings the settings that a copy of Debian's own configuration names.
        let check = format!("[\"apache2ctl\", \"-t\", \"-f\", {}]", quoted(&conf));
        assert_eq!(written["check"], check, "{}", house.text());
        let copied = std::fs::read_to_string("/etc/apache2/apache2.conf").expect("Debian's");
        assert!(copied.contains("${APACHE_RUN_DIR}") || copied.contains("${APACHE_PID_FILE}"));
        let there =
            std::process::Command::new("apache2ctl").args(["-t", "-f", "/etc/apache2/apache2.conf"]).output();
        assert!(there.expect("it runs").status.success());
        assert_eq!(written["certificate"], quoted(&web.folder().join("tls/fullchain.pem")));
        house.checked();
    }
    let house = House::new("adopt-mail").configured();
    let leaf = house.authority.issue(&Request::server().days(20));
    if let Some(mail) = need(postfix::start(&house.lab, &leaf)) {
        // Straight from a look: the memory is not there.
        let place = format!("smtp://{}", mail.endpoint("smtp").address);
        let added = house.ask(&["adopt", &place, "--solver", "http-01", "--yes", "--name", "mail"]);
        // Which configuration Postfix runs with, no process tells: the scan of its folder does.
        let added = if added.code == 0 {
            added
        } else {
            let id = house.found(&mail, &place);
            house.ask(&["adopt", &id, "--solver", "http-01", "--yes", "--name", "mail"])
        };
        assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
        let etc = mail.folder().join("etc");
        let written = house.adopted();
        assert_eq!(
            written["reload"],
            format!("[\"postfix\", \"-c\", {}, \"reload\"]", quoted(&etc)),
            "{}",
            house.text()
        );
        assert_eq!(written["key"], quoted(&mail.folder().join("tls/key.pem")));
        assert!(written["prove"].contains(&place), "{}", house.text());
        house.checked();
    }
}

/// A server of the lab: how it is started, the scheme of its place (none: it is not looked at over the network), and what is written for it. `{c}` stands for its
/// configuration; the check is run, and so is the reload.
struct Row(Start, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// etcd is not here: the lab starts it by flags alone, so that no file says what it serves.
const ROWS: &[Row] = &[
    Row(servers::hitch::start, "tls", "hitch.conf", &[("check", "hitch --test --config={c}")]),
    Row(servers::nats::start, "", "nats-server.conf", &[("check", "nats-server -t -c {c}")]),
    Row(servers::proftpd::start, "ftp", "proftpd.conf", &[("check", "proftpd -t -c {c}")]),
    Row(servers::prosody::start, "xmpp", "prosody.lua", &[("reload", "prosodyctl --config {c} reload")]),
    Row(servers::unbound::start, "tls", "unbound.conf", &[("check", "unbound-checkconf {c}")]),
    Row(servers::vsftpd::start, "ftp", "vsftpd.conf", &[]),
];

#[test]
fn servers_with_a_configuration_of_their_own() {
    for Row(start, scheme, conf, commands) in ROWS {
        let house = House::new(&format!("adopt-{}", conf.replace('.', "-"))).configured();
        let leaf = house.authority.issue(&Request::server().days(20));
        let Some(server) = need(start(&house.lab, &leaf)) else { continue };
        let id = format!("sha256:{}", leaf.sha256);
        if scheme.is_empty() {
            let folder = server.folder().to_string_lossy();
            assert_eq!(house.ask(&["scan", "--save", &folder]).code, 0);
        } else {
            house.found(&server, &format!("{scheme}://{}?sni=srv.test", server.address()));
        }
        let added = house.ask(&["adopt", &id, "--solver", "http-01", "--yes", "--name", "it"]);
        assert_eq!(added.code, 0, "{conf}: {}\n{}", added.out, added.err);
        let (written, text) = (house.adopted(), house.text());
        let tls = server.folder().join("tls");
        let files: &[(&str, &str)] = match *conf {
            "hitch.conf" => &[("combined", "combined.pem")],
            _ => &[("certificate", "fullchain.pem"), ("key", "key.pem")],
        };
        for (setting, file) in files {
            assert_eq!(written.get(*setting), Some(&quoted(&tls.join(file))), "{text}");
        }
        let seen = written.get("prove").is_some_and(|p| p.contains(&server.address().to_string()));
        assert_eq!(seen, !scheme.is_empty(), "{text}");
        let config = server.folder().join(conf).to_string_lossy().into_owned();
        for setting in ["check", "reload"] {
            let expected = commands.iter().find(|(key, _)| *key == setting).map(|(_, line)| *line);
            let word = |word: &str| match word {
                // What runs lies beside the system, and not where a name is looked for: it is called by its path.
                "proftpd" => of_proftpd(),
                word => word.replace("{c}", &config),
            };
            let argv: Option<Vec<String>> = expected.map(|line| line.split(' ').map(word).collect());
            assert_eq!(written.get(setting), argv.as_ref().map(|a| format!("{a:?}")).as_ref(), "{text}");
            if let Some(argv) = argv.filter(|argv| argv[0] != "proftpd") {
                let ran = std::process::Command::new(&argv[0]).args(&argv[1..]).output().expect("it runs");
                assert!(ran.status.success(), "{argv:?}: {ran:?}");
            }
        }
        assert!(text.contains("FILL IN") || commands.iter().any(|(key, _)| *key == "reload"), "{text}");
        house.checked();
    }
}

/// The program of a ProFTPD, as the lab has it.
fn of_proftpd() -> String {
    let found = notafter_lab::program::find_in("proftpd-core", "/usr/sbin/proftpd").expect("it was started");
    let installed =
        ["/usr/sbin/proftpd", "/usr/local/sbin/proftpd"].iter().any(|path| Path::new(path).exists());
    if installed { "proftpd".to_owned() } else { found.to_string_lossy().into_owned() }
}

/// What a Redis asks for before it takes a command is not filled in as if it asked for nothing.
#[test]
fn a_redis_that_would_refuse_the_command_has_its_own_filled_in() {
    let house = House::new("adopt-redis").configured();
    let leaf = house.authority.issue(&Request::server().days(20));
    let Some(server) = need(redis::start(&house.lab, &leaf)) else { return };
    let conf = server.folder().join("redis.conf");
    let plain = std::fs::read_to_string(&conf).expect("its configuration");
    let more = server.folder().join("more.conf");
    std::fs::write(&more, "requirepass secret\n").expect("written");
    let include = format!("include {}", more.display());
    for (line, sign) in [
        ("requirepass secret", "REDISCLI_AUTH"),
        (include.as_str(), "REDISCLI_AUTH"),
        ("rename-command CONFIG hidden", "another name for CONFIG"),
        ("port 0", "--tls"),
        ("port 6390", "port 6390"),
    ] {
        std::fs::write(&conf, format!("{plain}\n{line}\n")).expect("written");
        let id = house.found(&server, &format!("tls://{}", server.address()));
        let shown = house.ask(&["adopt", &id, "--solver", "http-01", "--dry-run", "--name", "it"]);
        let text = shown
            .out
            .split_whitespace()
            .filter(|word| *word != "#" && *word != "+")
            .collect::<Vec<_>>()
            .join(" ");
        assert!(text.contains(sign) && !text.contains("secret"), "{line}: {}{}", shown.out, shown.err);
        assert!(!text.contains("preset = \"redis\""), "{line}: {}", shown.out);
    }
}

#[test]
fn files_that_nobody_names_and_copies_without_their_key() {
    let house = House::new("adopt-files").configured();
    let leaf = house.authority.issue(&Request::server().days(20));
    let (mine, theirs) = (house.lab.subfolder("mine"), house.lab.subfolder("theirs"));
    install(&leaf, &mine);
    // Somebody else has the public half only, and a server that names it with a key of theirs.
    let other = house.authority.issue(&Request::server());
    std::fs::copy(&leaf.fullchain_pem, theirs.join("site.pem")).expect("copied");
    std::fs::copy(&other.key_pem, theirs.join("site.key")).expect("copied");
    std::fs::write(
        theirs.join("nginx.conf"),
        format!(
            "events {{}} http {{ server {{ listen 127.0.0.1:1 ssl; ssl_certificate {0}/site.pem; ssl_certificate_key {0}/site.key; }} }}",
            theirs.display()
        ),
    )
    .expect("written");
    let both = [mine.to_string_lossy(), theirs.to_string_lossy()];
    let scanned = house.ask(&["scan", "--save", "--json", &both[0], &both[1]]);
    assert_eq!(scanned.code, 0, "{}", scanned.err);
    let id = format!("sha256:{}", leaf.sha256);
    let added = house.ask(&["adopt", &id, "--solver", "http-01", "--yes"]);
    assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
    house.checked();
    let text = house.text();
    assert!(!text.contains("/theirs/"), "the next key goes nowhere where this one does not lie: {text}");
    assert!(added.err.contains("is that of another certificate"), "{}", added.err);
    assert!(text.contains("which server reads them is not known"), "{text}");

    // A folder where this account may not write, a configuration that others may change.
    let refused = house.ask(&["adopt", "/nowhere/at/all.pem"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    if notafter_lab::program::is_root() {
        use std::os::unix::fs::PermissionsExt;
        house.write("# a person's\n");
        std::fs::set_permissions(&house.config, std::fs::Permissions::from_mode(0o666)).expect("mode");
        let refused = house.ask(&["adopt", &id, "--yes"]);
        assert!(refused.code == 2 && refused.err.contains("others may write to it"), "{}", refused.err);
        assert_eq!(house.text(), "# a person's\n");
    }
}

#[test]
fn names_and_paths_that_would_like_to_be_a_configuration() {
    let house = House::new("adopt-hostile").configured();
    let evil = "x.test\"\n[[certificate]]\nname = \"evil\"";
    let leaf = house
        .authority
        .issue(&Request::server().days(20).sans(&["DNS:srv.test", "DNS:ok.test"]).common_name(evil));
    let folder = house.lab.path().join("a \"quoted\"\n[[issuer]] folder");
    std::fs::create_dir_all(&folder).expect("made");
    install(&leaf, &folder);
    let file = folder.join("fullchain.pem");
    let added = house.ask(&["adopt", &file.to_string_lossy(), "--solver", "http-01", "--yes", "--json"]);
    let scanned = house.ask(&["scan", "--save", &folder.to_string_lossy()]);
    assert_eq!(scanned.code, 0, "{}", scanned.err);
    let added = if added.code == 0 {
        added
    } else {
        house.ask(&["adopt", &format!("sha256:{}", leaf.sha256), "--solver", "http-01", "--yes", "--json"])
    };
    assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
    house.checked();
    let checked = house.ask(&["config", "check"]);
    assert!(checked.out.contains("1 certificate kept alive"), "{}", checked.out);
    assert_eq!(house.text().matches("\n[[issuer]]").count(), 1, "{}", house.text());
}

/// A lineage as certbot keeps it, below a folder of the lab, and two servers that read it.
fn lineage(house: &House) -> (Leaf, PathBuf) {
    let leaf = house.authority.issue(&Request::server().days(20));
    let home = house.lab.path().join("letsencrypt");
    let (live, archive) = (home.join("live/a"), home.join("archive/a"));
    for folder in [
        &live,
        &archive,
        &home.join("renewal"),
        &house.lab.path().join("web"),
        &house.lab.path().join("mail"),
    ] {
        std::fs::create_dir_all(folder).expect("made");
    }
    let files = [
        ("cert", &leaf.cert_pem),
        ("chain", &leaf.rest_pem),
        ("fullchain", &leaf.fullchain_pem),
        ("privkey", &leaf.key_pem),
    ];
    for (name, from) in files {
        std::fs::copy(from, archive.join(format!("{name}1.pem"))).expect("copied");
        let to = format!("../../archive/a/{name}1.pem");
        std::os::unix::fs::symlink(to, live.join(format!("{name}.pem"))).expect("linked");
    }
    let line = |name: &str| format!("{name} = {}\n", live.join(format!("{name}.pem")).display());
    std::fs::write(
        home.join("renewal/a.conf"),
        format!(
            "version = 2.1.0\narchive_dir = {}\n{}{}{}{}[renewalparams]\naccount = 0123\nauthenticator = webroot\nwebroot_path = /srv/www,\n\
             server = https://acme-v02.api.letsencrypt.org/directory\n",
            archive.display(),
            line("cert"),
            line("privkey"),
            line("chain"),
            line("fullchain"),
        ),
    )
    .expect("written");
    let live_shown = live.display();
    std::fs::write(
        house.lab.path().join("web/nginx.conf"),
        format!("events {{}} http {{ server {{ listen 127.0.0.1:1 ssl; ssl_certificate {live_shown}/fullchain.pem; ssl_certificate_key {live_shown}/privkey.pem; }} }}"),
    )
    .expect("written");
    std::fs::write(
        house.lab.path().join("mail/main.cf"),
        format!("smtpd_tls_cert_file = {live_shown}/fullchain.pem\nsmtpd_tls_key_file = {live_shown}/privkey.pem\nsmtpd_tls_security_level = may\n"),
    )
    .expect("written");
    (leaf, home)
}

#[test]
fn certbots_lineage_is_taken_whole_and_two_masters_are_named() {
    let house = House::new("adopt-certbot");
    let (leaf, home) = lineage(&house);
    let folders =
        ["letsencrypt", "web", "mail"].map(|n| house.lab.path().join(n).to_string_lossy().into_owned());
    let scanned = run(&[
        "scan",
        "--save",
        "--data",
        &house.data.to_string_lossy(),
        &folders[0],
        &folders[1],
        &folders[2],
    ]);
    assert_eq!(scanned.code, 0, "{}", scanned.err);
    let id = format!("sha256:{}", &leaf.sha256[..16]);
    // There is no configuration yet: one is made, with the CA that certbot uses.
    let added = house.ask(&["adopt", &id, "--yes", "--json"]);
    assert_eq!(added.code, 0, "{}\n{}", added.out, added.err);
    let document = json(&added);
    let text = house.text();
    assert!(text.contains("directory = \"https://acme-v02.api.letsencrypt.org/directory\""), "{text}");
    assert!(text.contains("solver = { kind = \"http-01\", webroot = \"/srv/www\" }"), "{text}");
    assert!(text.contains("notafter issuer import") && text.contains(&*home.to_string_lossy()), "{text}");
    let written = house.adopted();
    for (setting, name) in
        [("certificate", "cert"), ("chain", "chain"), ("fullchain", "fullchain"), ("key", "privkey")]
    {
        // `key` is also the kind of key, which stands before.
        assert_eq!(written[setting], quoted(&home.join(format!("live/a/{name}.pem"))), "{text}");
    }
    assert_eq!(text.matches("[[certificate.target]]").count(), 1, "one set of files is one target: {text}");
    assert!(
        written["also"].contains("\"postfix\", \"-c\"") && written["check"].contains("\"nginx\", \"-t\""),
        "{text}"
    );
    let warnings = document["warnings"].to_string();
    assert!(warnings.contains("two masters") && warnings.contains("autorenew = False"), "{warnings}");
    house.checked();
    assert_eq!(document["backup"], Value::Null, "there was nothing to keep");
}

#[test]
fn what_lives_on_another_machine_is_printed_and_not_added() {
    let house = House::new("adopt-far").configured();
    let leaf = house.authority.issue(&Request::server().days(20));
    let Some(web) = need(nginx::start(&house.lab, &leaf)) else { return };
    // Served here, but its key is not where anybody could find it.
    let key = web.folder().join("tls/key.pem");
    let hidden = house.lab.path().join("hidden.key");
    std::fs::rename(&key, &hidden).expect("moved");
    let place = format!("tls://{}?sni=srv.test", web.address());
    let before = house.text();
    let refused = house.ask(&["adopt", &place, "--solver", "http-01", "--yes"]);
    assert!(
        refused.code == 2 && refused.err.contains("together with its key"),
        "{}\n{}",
        refused.out,
        refused.err
    );
    assert!(refused.out.contains("kind = \"ssh\"") && refused.out.contains(&place), "{}", refused.out);
    assert_eq!(house.text(), before);
    // Nothing says how control is proved, or who issues: said, and not added by half.
    std::fs::rename(&hidden, &key).expect("moved back");
    std::fs::remove_file(&house.config).expect("removed");
    let refused = house.ask(&["adopt", &place, "--solver", "http-01", "--yes"]);
    assert!(refused.code == 2 && refused.err.contains("who issues it"), "{}\n{}", refused.out, refused.err);
    assert!(!house.config.exists());
    let wrong = house.ask(&["adopt", &place, "--solver", "http-09", "--yes"]);
    assert!(wrong.code == 2 && wrong.err.contains("no solver"), "{}", wrong.err);
}
