//! Commands of the site that hang, flood, fork, or succeed without any effect (trust F17, F18).

use std::time::Duration;

use crate::house::{House, Plan};
use crate::{Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "20s"];

/// What a hook does, whether the renewal may succeed, and a word that must be said when it does not.
struct Hook {
    what: &'static str,
    /// In the place of `@HUP@` stands the reload that works.
    script: &'static str,
    /// Is the new one in use in the end?
    works: bool,
    says: &'static str,
}

const HOOKS: &[Hook] = &[
    Hook { what: "hangs", script: "sleep 6543", works: false, says: "was killed" },
    Hook { what: "hangs with a child", script: "sleep 6543 & sleep 6543", works: false, says: "was killed" },
    Hook {
        what: "floods its output and works",
        script: "@HUP@; head -c 300000000 /dev/zero",
        works: true,
        says: "",
    },
    Hook { what: "floods without end", script: "cat /dev/zero", works: false, says: "was killed" },
    Hook {
        what: "forks twice, leaves its session, keeps the pipe, works",
        script: "@HUP@; setsid sh -c 'sleep 7 &' &",
        works: true,
        says: "",
    },
    Hook { what: "fails", script: "echo broken >&2; exit 3", works: false, says: "broken" },
    Hook {
        what: "exits 0 and does nothing",
        script: "exit 0",
        works: false,
        says: "still shows the certificate before",
    },
    Hook { what: "is killed", script: "kill -9 $$", works: false, says: "signal" },
];

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let mut row = Row::of("F17, F18", "a reload that hangs, floods, forks, fails, does nothing");
    row.asked = HOOKS.len();
    let mut house = House::new(options, "hooks", &Plan::default())?;
    house.keep();
    let hup = format!("kill -HUP {}", house.web.pid().unwrap_or(0));
    let mut slowest = Duration::ZERO;
    for hook in HOOKS {
        house.back()?;
        let old = facts::leaf(&house.certificate())?;
        let script = hook.script.replace("@HUP@", &hup);
        let target = format!("reload = [\"sh\", \"-c\", {script:?}]\nreload_timeout = \"3s\"\n");
        let certificate = "grace = \"2s\"\n".to_owned();
        house.write(&Plan { target: Some(target), certificate, ..Plan::default() }, &house.ca.directory());
        let config = std::fs::read_to_string(&house.config).map_err(|e| e.to_string())?;
        std::fs::write(&house.config, config.replace("grace = \"5s\"\n", "")).map_err(|e| e.to_string())?;
        let run = house.run(RENEW);
        slowest = slowest.max(run.took);
        row.points += 1;
        let at = |what: String| format!("{}: {what}", hook.what);
        row.must((run.code == Some(0)) == hook.works, || at(run.words()));
        row.must(run.took < Duration::from_secs(30), || at(format!("it took {} s", run.took.as_secs())));
        let document = run.json();
        let said = format!("{} {}", document["said"], document["targets"]);
        row.must(said.contains(hook.says), || at(format!("`{}` is not said: {said}", hook.says)));
        let lies = facts::leaf(&house.certificate())?;
        row.must((lies != old) == hook.works, || at("what lies there is not what it should be".into()));
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        let left = std::process::Command::new("pgrep").args(["-f", "^sleep 6543"]).output();
        row.must(left.is_ok_and(|left| left.stdout.is_empty()), || at("it left a process running".into()));
        row.must(run.out.len() < 100_000, || at(format!("{} bytes were printed", run.out.len())));
    }
    Ok(vec![row.note(format!("slowest {} s", slowest.as_secs())), vhost(&mut house)?])
}

/// Another site of the same server is broken: the check fails for a reason that is not ours, and so would a restart.
fn vhost(house: &mut House) -> Result<Row, String> {
    let mut row = Row::of(
        "F18",
        "another site of the server is broken: nothing is replaced, and it is said what is broken",
    )
    .asks(3);
    let file = house.web.folder().join("nginx.conf");
    let good = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
    let nginx = notafter_lab::program::find("nginx").map_err(|e| e.to_string())?;
    let folder = house.web.folder().display().to_string();
    let check = format!(
        "[{:?}, \"-t\", \"-p\", {folder:?}, \"-c\", \"nginx.conf\", \"-e\", \"stderr\"]",
        nginx.display().to_string()
    );
    let target = format!("check = {check}\n{}", house.reload());
    house.write(&Plan { target: Some(target), ..Plan::default() }, &house.ca.directory());
    for (what, line) in [
        ("a directive that is none", "nonsense on;".to_owned()),
        (
            "a certificate that is not there",
            format!(
                "server {{ listen 127.0.0.1:1 ssl; ssl_certificate {folder}/no.pem; ssl_certificate_key {folder}/no.key; }}"
            ),
        ),
        ("a file that is not there", format!("include {folder}/no.conf;")),
    ] {
        house.back()?;
        let old = facts::leaf(&house.certificate())?;
        // Before the last brace: inside of `http`.
        let at = good.trim_end().rfind('}').unwrap_or(good.len());
        std::fs::write(&file, format!("{}{line}\n{}", &good[..at], &good[at..]))
            .map_err(|e| e.to_string())?;
        let run = house.run(RENEW);
        std::fs::write(&file, &good).map_err(|e| e.to_string())?;
        row.points += 1;
        let at = |text: String| format!("{what}: {text}");
        row.must(run.code == Some(1), || at(run.words()));
        let said = run.json()["said"].as_str().unwrap_or_default().to_owned();
        row.must(said.contains("check failed") && said.contains("nginx"), || {
            at(format!("it does not say why: {said}"))
        });
        let word = if what.starts_with("a directive") { "nonsense" } else { "/no." };
        row.must(said.contains(word), || at(format!("it does not say what is broken: {said}")));
        let lies = facts::leaf(&house.certificate())?;
        row.must(lies == old, || at("the new one was left in place".to_owned()));
        let shown = house.shows(&old);
        row.must(shown.is_ok(), || at(shown.clone().unwrap_err()));
        let again = super::disk::healed(house);
        row.must(again.code == Some(0), || at(format!("mended: {}", again.words())));
    }
    Ok(row)
}
