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
    let mut row = Row::of("a reload that hangs, floods, forks, fails, does nothing");
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
    Ok(vec![row.note(format!("slowest {} s", slowest.as_secs()))])
}
