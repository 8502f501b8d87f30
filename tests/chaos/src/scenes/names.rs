//! Names that would like to be a command (trust F49) or a path (F50): they stay names.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::house::{House, Plan};
use crate::{Options, Row, facts};

const RENEW: &[&str] = &["renew", "--json", "--wait", "20s"];

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![commands(options)?, paths(options)?])
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", c as u32),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// The configuration with another name of the certificate, or other names in it. The words that renew it.
fn named(house: &House, plan: &Plan, name: &str, dns: &str) -> Result<(), String> {
    house.write(plan, &house.ca.directory());
    let text = fs::read_to_string(&house.config).map_err(|e| e.to_string())?;
    let text = text.replace("name = \"web\"", &format!("name = {}", quoted(name)));
    let text = text.replace("names = [\"srv.test\"]", &format!("names = [{}]", quoted(dns)));
    fs::write(&house.config, text).map_err(|e| e.to_string())
}

/// A name with a command in it, wherever a name may stand; a hook of the site and lego's names for it beside.
fn commands(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F49", "commands in names and paths: nothing of them is run");
    let mut house = House::new(options, "commands", &Plan::default())?;
    house.keep();
    let canary = house.lab.path().join("canary");
    let seen = house.lab.path().join("seen");
    let touch = format!("touch {}", canary.display());
    let texts = [
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("x; {touch}"),
        format!("x | {touch}"),
        format!("x\n{touch}\n"),
        format!("x' ; {touch} ; '"),
        format!("x\" ; {touch} ; \""),
        "-rf".to_owned(),
        "--config=/etc/passwd".to_owned(),
    ];
    // The hook says what it was given, in a shell of its own, as careful hooks do.
    let hook = format!(
        "printf '%s\\n' \"$NOTAFTER_CERTIFICATE|$RENEWED_DOMAINS|$LEGO_HOOK_CERT_NAME_SANITIZED\" > {}; kill -HUP {}",
        seen.display(),
        house.web.pid().unwrap_or(0)
    );
    let plan =
        Plan { target: Some(format!("reload = [\"sh\", \"-c\", {}]\n", quoted(&hook))), ..Plan::default() };
    let (mut refused, mut renewed) = (0, 0);
    for text in &texts {
        for place in ["name", "dns", "path"] {
            if options.quick && row.points >= 6 {
                break;
            }
            house.back()?;
            let _ = fs::remove_file(&seen);
            let old = facts::leaf(&house.certificate())?;
            let at = |what: String| format!("{text:?} as {place}: {what}");
            let mut name = "web";
            match place {
                "name" => {
                    name = text;
                    named(&house, &plan, text, "srv.test")?;
                }
                "dns" => named(&house, &plan, "web", &format!("{text}.test"))?,
                _ => {
                    named(&house, &plan, "web", "srv.test")?;
                    let config = fs::read_to_string(&house.config).map_err(|e| e.to_string())?;
                    let folder = house.tls().join(text.replace('/', "_"));
                    let more =
                        format!("fullchain = {}\nprove = [\"tls", quoted(&folder.display().to_string()));
                    let config = config.replacen("prove = [\"tls", &more, 1);
                    fs::write(&house.config, config).map_err(|e| e.to_string())?;
                }
            }
            let mut words = RENEW.to_vec();
            words.extend(["--", name]);
            let run = house.run_raw(&words);
            row.points += 1;
            row.must(run.code.is_some_and(|code| (0..=2).contains(&code)), || at(run.words()));
            row.must(!run.err.contains("panicked"), || at(run.words()));
            row.must(!canary.exists(), || at("it was run".to_owned()));
            let _ = fs::remove_file(&canary);
            let now = facts::leaf(&house.certificate())?;
            if run.code == Some(0) {
                renewed += 1;
                row.must(now != old, || at("it says it renewed and did not".to_owned()));
                let told = fs::read_to_string(&seen).unwrap_or_default();
                row.must(place != "name" || told.starts_with(&format!("{text}|")), || {
                    at(format!("the hook was told {told:?}"))
                });
            } else {
                refused += 1;
                row.must(now == old, || at("it failed and something was installed".to_owned()));
                row.must(run.words().len() > 30, || at("nothing is said".to_owned()));
            }
            let started = facts::would_start(&house.web);
            row.must(started.is_ok(), || at(started.clone().unwrap_err()));
            let agree = facts::agree(&house.certificate(), &house.key());
            row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        }
    }
    Ok(row.note(format!("{renewed} renewed with the name as it is, {refused} refused")))
}

/// Every file below a folder, but those of the CA and the servers, which go on writing.
fn files(folder: &Path) -> Vec<String> {
    let mut find = Command::new("find");
    find.arg(folder).args(["-type", "f", "-not", "-name", "*.log", "-not", "-path", "*/pebble*"]);
    let found =
        find.output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    let mut all: Vec<String> = found.lines().map(str::to_owned).collect();
    all.sort();
    all
}

/// A name that is a path, is too long, or is another one's but for its case.
fn paths(options: &Options) -> Result<Row, String> {
    let mut row = Row::of(
        "F50",
        "paths, reserved and long names as names of certificates and of a CA: no file outside its folder",
    );
    let mut house = House::new(options, "paths", &Plan::default())?;
    house.keep();
    let long = "n".repeat(300);
    let names = [
        "../../../../etc/cron.d/x",
        "/etc/cron.d/x",
        "..",
        ".",
        "CON",
        "a/b",
        "*.example",
        "Web",
        "nul\u{0}x",
        &long,
    ];
    let (tls, data) = (house.tls().display().to_string(), house.data.display().to_string());
    let (mut refused, mut renewed) = (0, 0);
    for name in names {
        house.back()?;
        named(&house, &Plan::default(), name, "srv.test")?;
        let at = |what: String| format!("{:?}: {what}", name.chars().take(40).collect::<String>());
        let before = files(house.lab.path());
        let outside = fs::metadata("/etc/cron.d/x").is_ok();
        let mut words = RENEW.to_vec();
        words.extend(["--", name.trim_end_matches("\u{0}x")]);
        let run = house.run_raw(&words);
        // A CA of one's own writes files that are named after it, and after what it issues for.
        let text = format!("[[issuer]]\nname = {}\nkind = \"ca\"\nnames = [\"*.test\"]\n", quoted(name));
        let (config, out) = (house.config.clone(), house.lab.subfolder("out"));
        let kept = fs::read_to_string(&config).map_err(|e| e.to_string())?;
        fs::write(&config, text).map_err(|e| e.to_string())?;
        let made = house.run(&["ca", "init", "--subject", "CN=House"]);
        let issued = house.run(&["ca", "issue", "--names", "*.a.test", "--out", &out.display().to_string()]);
        fs::write(&config, kept).map_err(|e| e.to_string())?;
        row.points += 1;
        for run in [&run, &made, &issued] {
            row.must(run.code.is_some_and(|code| (0..=2).contains(&code)), || at(run.words()));
            row.must(!run.err.contains("panicked"), || at(run.words()));
        }
        row.must(outside || !Path::new("/etc/cron.d/x").exists(), || at("it is in /etc/cron.d".to_owned()));
        let out = out.display().to_string();
        let strange: Vec<String> = files(house.lab.path())
            .into_iter()
            .filter(|f| {
                !before.contains(f) && ![&tls, &data, &out].iter().any(|ours| f.starts_with(&***ours))
            })
            .collect();
        row.must(strange.is_empty(), || at(format!("files outside: {strange:?}")));
        match run.code {
            Some(0) => renewed += 1,
            _ => refused += 1,
        }
        let started = facts::would_start(&house.web);
        row.must(started.is_ok(), || at(started.clone().unwrap_err()));
    }
    Ok(row.note(format!("{renewed} renewed, {refused} refused")))
}
