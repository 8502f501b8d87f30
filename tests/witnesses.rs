//! Other people's programs as witnesses: Prometheus and its promtool, Alertmanager, Nagios, schemathesis.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use notafter_lab::servers::nginx;
use notafter_lab::sinks::alertmanager;
use notafter_lab::{Authority, Lab, NotRun, Port, Request, Server, need};
use serving::{Serving, until};
use web::{get, try_ask};

const DAY: i64 = 86_400;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

fn program(name: &str, places: &[&str]) -> Result<PathBuf, NotRun> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(places.iter().copied());
    let found = folders.map(|f| Path::new(f).join(name)).find(|p| p.exists());
    found.ok_or_else(|| NotRun::new(name, format!("{name} is not installed: cargo xtask test gets it")))
}

/// A server with eight days left, and Notafter looking at it.
fn house(lab: &Lab) -> Option<(Serving, Server)> {
    let leaf =
        Authority::new(lab).issue(&Request::server().between(now() - 82 * DAY, now() + 8 * DAY + 3600));
    let server = need(nginx::start(lab, &leaf))?;
    let config = format!(
        "[[source]]\nkind = \"network\"\ntargets = [\"tls://{}?sni=srv.test\"]\nevery = \"5s\"\n\
         [[service]]\nname = \"Shop\"\nplaces = [\"name:srv.test\"]\npublic = true\n",
        server.address()
    );
    let serving = Serving::start(lab, &config);
    serving.until("an alert", || serving.ask(&["ls", "--alerts"]).out.contains("srv.test").then_some(()));
    Some((serving, server))
}

/// A program that is ended when the test is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let lab = Lab::new("promtool");
    let Some(promtool) = need(program("promtool", &[])) else { return };
    let Some((serving, server)) = house(&lab) else { return };
    for path in ["/metrics".to_owned(), format!("/probe?target={}&module=tcp_tls", server.address())] {
        let metrics = get(&format!("{}{path}", serving.url()));
        assert_eq!(metrics.status, 200, "{path}: {}", metrics.body);
        let file = lab.path().join("metrics.txt");
        fs::write(&file, &metrics.body).expect("written");
        let input = fs::File::open(&file).expect("read again");
        let judged =
            Command::new(&promtool).args(["check", "metrics"]).stdin(input).output().expect("it runs");
        let said =
            String::from_utf8_lossy(&judged.stderr).into_owned() + &String::from_utf8_lossy(&judged.stdout);
        // The names of the other exporters are theirs, and promtool has opinions about some of them.
        let ours: Vec<_> = said
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with("probe_") && !l.starts_with("ssl_"))
            .collect();
        assert!(ours.is_empty(), "{path}: {said}");
    }
}

#[test]
fn prometheus_scrapes_us_and_alertmanager_fires() {
    let lab = Lab::new("prometheus");
    let Some(prometheus) = need(program("prometheus", &[])) else { return };
    let Some(manager) = need(alertmanager::start(&lab)) else { return };
    let Some((serving, _server)) = house(&lab) else { return };
    let host = serving.url().trim_start_matches("http://").to_owned();
    let rules = lab.path().join("rules.yml");
    fs::write(
        &rules,
        "groups:\n- name: notafter\n  interval: 1s\n  rules:\n  - alert: CertificateEndsSoon\n    \
         expr: notafter_asset_not_after_timestamp_seconds{role=\"leaf\"} - time() < 14 * 86400\n",
    )
    .expect("written");
    let config = lab.path().join("prometheus.yml");
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{}\"]}}]}}]}}\n\
             scrape_configs:\n- job_name: notafter\n  static_configs: [{{targets: [\"{host}\"]}}]\n",
            rules.display(),
            manager.address()
        ),
    )
    .expect("written");
    let port = Port::free();
    let log = fs::File::create(lab.path().join("prometheus.log")).expect("a log");
    let running = Command::new(prometheus)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", lab.subfolder("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{}", port.number()))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("prometheus starts");
    let _running = Running(running);
    let words = || fs::read_to_string(lab.path().join("prometheus.log")).unwrap_or_default();
    let alerts = || {
        let url = format!("http://{}/api/v2/alerts", manager.address());
        try_ask("GET", &url, &[], "").ok().filter(|a| a.body.contains("CertificateEndsSoon"))
    };
    let fired = until("the alert at Alertmanager", alerts, words);
    assert!(fired.body.contains("\"name\":\"srv.test\""), "{}", fired.body);
    let up = get(&format!("http://127.0.0.1:{}/api/v1/query?query=up", port.number()));
    assert!(up.body.contains("\"1\"]"), "{}", up.body);
}

#[test]
fn nagios_runs_us_as_its_plugin() {
    let lab = Lab::new("nagios");
    let Some(nagios) = need(program("nagios4", &["/usr/sbin"])) else { return };
    let leaf =
        Authority::new(&lab).issue(&Request::server().between(now() - 82 * DAY, now() + 8 * DAY + 3600));
    let Some(server) = need(nginx::start(&lab, &leaf)) else { return };
    let folder = lab.subfolder("nagios");
    let results = lab.subfolder("nagios/results");
    let said = folder.join("notified");
    let objects = folder.join("obj.cfg");
    let plugin = env!("CARGO_BIN_EXE_notafter");
    let address = server.address();
    fs::write(
        &objects,
        format!(
            "define timeperiod {{\n timeperiod_name all\n alias all\n sunday 00:00-24:00\n monday 00:00-24:00\n \
             tuesday 00:00-24:00\n wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n}}\n\
             define command {{\n command_name notafter\n command_line {plugin} check -H {} -p {} --sni srv.test -w 30 -c 5\n}}\n\
             define command {{\n command_name alive\n command_line /bin/true\n}}\n\
             define command {{\n command_name tell\n command_line /bin/sh -c 'echo \"$SERVICESTATE$ $SERVICEOUTPUT$\" >> {}'\n}}\n\
             define contact {{\n contact_name me\n service_notification_period all\n host_notification_period all\n \
             service_notification_options w,c,r\n host_notification_options n\n service_notification_commands tell\n \
             host_notification_commands alive\n}}\n\
             define host {{\n host_name h\n address 127.0.0.1\n check_command alive\n max_check_attempts 1\n contacts me\n \
             check_period all\n notification_period all\n}}\n\
             define service {{\n host_name h\n service_description cert\n check_command notafter\n max_check_attempts 1\n \
             check_interval 1\n retry_interval 1\n check_period all\n notification_period all\n notification_interval 60\n \
             notification_options w,c,r\n first_notification_delay 0\n contacts me\n}}\n",
            address.ip(),
            address.port(),
            said.display()
        ),
    )
    .expect("written");
    let main = folder.join("nagios.cfg");
    let user = if rustix_is_root() { "nagios" } else { "" };
    let owner =
        if user.is_empty() { String::new() } else { format!("nagios_user={user}\nnagios_group={user}\n") };
    fs::write(
        &main,
        format!(
            "cfg_file={}\nstatus_file={f}/status.dat\nobject_cache_file={f}/objects.cache\nprecached_object_file={f}/pre\n\
             lock_file={f}/lock\nlog_file={f}/nagios.log\ntemp_file={f}/temp\ntemp_path={f}\ncheck_result_path={}\n\
             query_socket={f}/query\ncommand_file={f}/command\ninterval_length=1\nstatus_update_interval=2\n\
             illegal_macro_output_chars=`~$&|'\"<>\n{owner}",
            objects.display(),
            results.display(),
            f = folder.display()
        ),
    )
    .expect("written");
    for place in [lab.path(), &folder, &results] {
        fs::set_permissions(place, fs::Permissions::from_mode(0o777)).expect("others may write");
    }
    let running = Command::new(nagios)
        .arg(&main)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let _running = Running(running);
    let status = || {
        let text = fs::read_to_string(folder.join("status.dat")).ok()?;
        text.contains("NOTAFTER WARNING").then_some(text)
    };
    let log = || fs::read_to_string(folder.join("nagios.log")).unwrap_or_default();
    let text = until("Nagios' state", status, log);
    assert!(text.contains("current_state=1"), "{text}");
    assert!(text.contains("days_left=8;30;5"), "{text}");
    until(
        "Nagios' message",
        || fs::read_to_string(&said).ok().filter(|t| t.contains("WARNING NOTAFTER")),
        log,
    );
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| {
        use std::os::unix::fs::MetadataExt;
        m.uid() == 0
    })
}

#[test]
fn schemathesis_finds_no_way_to_break_the_api() {
    let lab = Lab::new("schemathesis");
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab/venv/bin/schemathesis");
    let there = tool.exists().then_some(&tool);
    let missing = || NotRun::new("schemathesis", "target/lab/venv has none: cargo xtask test makes it");
    let Some(tool) = need(there.ok_or_else(missing)) else { return };
    let Some((serving, _server)) = house(&lab) else { return };
    let token = fs::read_to_string(serving.folder.join("token")).expect("a token");
    // A query that cannot be understood is refused, and rightly: it is told what one looks like.
    let hooks = lab.path().join("hooks.py");
    fs::write(
        &hooks,
        "import schemathesis\nfrom hypothesis import strategies as st\n\
         schemathesis.openapi.format('notafter-query', st.sampled_from(['', 'expires<30d', 'owner:none', 'is:served', \
         'name:*.test', 'srv', '-finding:any', 'location:127.0.0.0/8']))\n\
         schemathesis.openapi.format('notafter-cursor', st.sampled_from(['']))\n\
         schemathesis.openapi.format('notafter-location', st.sampled_from(['tls://127.0.0.1:443', 'file:///etc/a.pem']))\n",
    )
    .expect("written");
    let out = Command::new(tool)
        .env("SCHEMATHESIS_HOOKS", &hooks)
        .current_dir(lab.path())
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", serving.url()))
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        .args(["--max-examples", "15", "--seed", "1", "--no-color", "--request-timeout", "20"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{}\n{}", said, String::from_utf8_lossy(&out.stderr));
}
