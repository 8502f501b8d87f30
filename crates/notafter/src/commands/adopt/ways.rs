//! How a server that reads the files is checked and reloaded: by its preset, or by what that has for a configuration
//! elsewhere. A command is filled in only where it reaches the server that was found, and no other one of the machine;
//! else the words say why there is none.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use notafter_act::deployers::{self, presets};
use notafter_discover::configs;
use notafter_discover::tree::Tree;

use super::running::Running;

/// How a server that reads the files is checked and reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// By its preset, with its usual configuration.
    Preset(&'static str),
    /// By the commands that its preset has for a configuration that lies elsewhere.
    Elsewhere {
        check: Vec<String>,
        /// Empty: none is known.
        reload: Vec<String>,
    },
    /// Not known, and why.
    Unknown(String),
}

/// The preset for a server, by the name its configuration's reader has.
pub(super) fn preset(server: &str) -> Option<&'static presets::Preset> {
    let name = match server {
        "openldap" => "slapd",
        "postgres" => "postgresql",
        other => other,
    };
    presets::PRESETS.iter().find(|preset| preset.name == name)
}

/// How it is checked and reloaded: by its preset, or by what that has for a configuration elsewhere.
pub(super) fn ways(server: &str, main: &Path, running: &[Running]) -> Ways {
    let Some(preset) = preset(server) else {
        return Ways::Unknown(format!("there is no preset for {server}"));
    };
    let row = presets::ELSEWHERE.iter().find(|row| row.preset == preset.name);
    let known = configs::SERVERS.iter().find(|s| s.name == server);
    let is_usual = match (row, known) {
        (Some(row), _) => row.usual.iter().any(|usual| Path::new(usual) == main),
        (None, Some(known)) => {
            known.mains.iter().any(|pattern| Tree::host().glob(Path::new(pattern)).iter().any(|m| m == main))
        }
        (None, None) => false,
    };
    if let Some(why) = refuses_strangers(preset.name, main) {
        return Ways::Unknown(why);
    }
    if is_usual {
        return Ways::Preset(preset.name);
    }
    let Some(row) = row else {
        return Ways::Unknown(format!(
            "{} is read from {}, and the preset is for one that is read from its usual place",
            preset.name,
            main.display()
        ));
    };
    // As root, this is what root's commands would read.
    if let Err(why) = is_guarded(main) {
        return Ways::Unknown(format!("{} is not read as root: {why}", main.display()));
    }
    let Some(config) = main.to_str() else {
        return Ways::Unknown("the path of its configuration is not UTF-8".to_owned());
    };
    let folder = main.parent().and_then(Path::to_str).unwrap_or("/");
    let prefix = running.iter().filter(|r| r.files.iter().any(|file| file == main)).find_map(|r| {
        let prefix = r.prefix.as_deref()?;
        is_guarded(&prefix.join("x")).is_ok().then(|| prefix.to_str().map(str::to_owned))?
    });
    let argv = |words: &[&str]| -> Vec<String> {
        let mut out: Vec<String> = words
            .iter()
            .map(|word| match word.split_once("{config}") {
                Some((before, after)) => format!("{before}{config}{after}"),
                None if *word == "{folder}" => folder.to_owned(),
                None => (*word).to_owned(),
            })
            .collect();
        if let Some(first) = out.first_mut() {
            let here = row.also.iter().find(|name| deployers::installed(name).is_some());
            let runs = program(first, row.also, main, running);
            *first = runs.or_else(|| here.map(|name| (*name).to_owned())).unwrap_or_else(|| first.clone());
        }
        if preset.name == "nginx"
            && !out.is_empty()
            && let Some(prefix) = &prefix
        {
            out.extend(["-p".to_owned(), prefix.clone()]);
        }
        out
    };
    // A copy of Debian's layout has the process number's file of the machine's own server: a reload would reach that one.
    let reload =
        if preset.name == "apache" && !names_its_process(main) { Vec::new() } else { argv(row.reload) };
    Ways::Elsewhere { check: argv(row.check), reload }
}

/// The program that runs with this configuration, by its path, where the name alone would find another one.
fn program(name: &str, also: &[&str], main: &Path, running: &[Running]) -> Option<String> {
    let is_its = |r: &&Running| {
        let called = r.program.as_deref().and_then(Path::file_name).and_then(|n| n.to_str());
        called.is_some_and(|called| called == name || also.contains(&called))
    };
    // Who names the file, or else who was started without one.
    let of = |r: &&Running| r.files.iter().any(|file| file == main);
    let mut its = running.iter().filter(is_its);
    let one = its.clone().find(of).or_else(|| its.find(|r| r.files.is_empty()))?;
    let runs = one.program.as_deref()?;
    let by_name = runs.file_name().and_then(|name| deployers::installed(name.to_str()?));
    let is_same = by_name.is_some_and(|path| path.canonicalize().is_ok_and(|path| path == runs));
    (!is_same && is_guarded(runs).is_ok()).then(|| runs.to_str().map(str::to_owned))?
}

/// Does this Apache configuration say itself, and not by a variable, which process runs with it?
fn names_its_process(main: &Path) -> bool {
    let text = Tree::host().read(main).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("PidFile"))
            && words.next().is_some_and(|path| !path.contains('$'))
    })
}

/// Redis takes a command over its own port alone. Why the preset's would not get in: by its main file and whatever that
/// includes.
fn refuses_strangers(preset: &str, main: &Path) -> Option<String> {
    if preset != "redis" {
        return None;
    }
    let tree = Tree::host();
    let server = configs::SERVERS.iter().find(|server| server.name == preset)?;
    let mut text = String::new();
    for file in configs::read_with(&tree, server, main).files {
        text.push_str(&String::from_utf8_lossy(&tree.read(&file).unwrap_or_default()));
        text.push('\n');
    }
    refuses(&text)
}

/// Why a Redis with these lines would not take the preset's command.
fn refuses(text: &str) -> Option<String> {
    let lines = || text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let all = |name: &'static str| {
        lines().filter(move |(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if ["requirepass", "aclfile", "user"].iter().any(|name| all(name).next().is_some()) {
        return Some(
            "redis asks for a password, which no command line may show: write a program that reads it from a file into \
             REDISCLI_AUTH and calls redis-cli -e CONFIG SET as the preset does, and name that in reload"
                .to_owned(),
        );
    }
    let is_config = |value: &str| {
        let name = value.split_whitespace().next().unwrap_or_default();
        name.trim_matches(['"', '\'']).eq_ignore_ascii_case("config")
    };
    if all("rename-command").any(is_config) {
        return Some(
            "redis has another name for CONFIG, which stays between it and you, or none: without it only a restart makes it \
             read new files"
                .to_owned(),
        );
    }
    // Which of several counts is the reader's to know. One that is not the usual is enough to ask.
    match all("port").filter(|port| *port != "6379").last() {
        Some("0") => {
            return Some(
                "redis has no port without TLS: reload = [\"redis-cli\", \"--tls\", \"--cacert\", CA, \"-p\", PORT, ...], \
                 with the words of the preset behind it"
                    .to_owned(),
            );
        }
        Some(port) => {
            return Some(format!(
                "redis listens on port {}: reload = [\"redis-cli\", \"-p\", PORT, ...], with the words of the preset behind it",
                port.escape_debug()
            ));
        }
        None => {}
    }
    // Where redis-cli asks when nothing else is said: 127.0.0.1.
    let is_there = |value: &str| {
        value.split_whitespace().any(|host| {
            let host = host.trim_matches(['"', '\'']).trim_start_matches('-');
            matches!(host, "127.0.0.1" | "localhost" | "0.0.0.0" | "*")
        })
    };
    all("bind").find(|value| !is_there(value)).map(|value| {
        format!(
            "redis listens on {} and not on 127.0.0.1: reload = [\"redis-cli\", \"-h\", HOST, ...], with the words of the preset \
             behind it",
            value.escape_debug()
        )
    })
}

/// As root: may nobody else change this file?
fn is_guarded(path: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    deployers::guarded(real.parent().unwrap_or(Path::new("/")), &[]).map_err(|fault| fault.to_string())?;
    match std::fs::metadata(&real) {
        Ok(about)
            if about.uid() != 0
                || about.mode() & 0o002 != 0
                || (about.mode() & 0o020 != 0 && about.gid() != 0) =>
        {
            Err(format!(
                "others may change it (it belongs to {}, mode {:04o})",
                about.uid(),
                about.mode() & 0o7777
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_names_its_process_is_told_to_reload() {
        let folder = std::env::temp_dir().join(format!("notafter-pidfile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let conf = folder.join("httpd.conf");
        for (text, named) in [
            ("PidFile /run/own.pid\n", true),
            ("PidFile ${APACHE_PID_FILE}\n", false),
            ("# PidFile /x\n", false),
            ("", false),
        ] {
            std::fs::write(&conf, text).unwrap();
            assert_eq!(names_its_process(&conf), named, "{text}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_redis_that_takes_the_command_and_those_that_do_not() {
        for (text, word) in [
            ("", None),
            ("port 6379\nbind 127.0.0.1 -::1\n", None),
            ("bind 0.0.0.0\n", None),
            ("requirepass x\n", Some("REDISCLI_AUTH")),
            ("user default on >x ~* +@all\n", Some("REDISCLI_AUTH")),
            ("rename-command FLUSHALL \"\"\n", None),
            ("rename-command CONFIG \"\"\n", Some("another name for CONFIG")),
            ("rename-command \"config\" hidden\n", Some("another name for CONFIG")),
            ("port 0\n", Some("--tls")),
            ("port 6390\n", Some("port 6390")),
            ("bind 10.0.0.5\n", Some("listens on 10.0.0.5")),
            ("bind ::1\n", Some("listens on ::1")),
        ] {
            let why = refuses(text);
            assert_eq!(why.is_some(), word.is_some(), "{text}: {why:?}");
            assert!(why.unwrap_or_default().contains(word.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn the_program_that_runs_is_the_one_that_is_asked() {
        let main = Path::new("/srv/web.conf");
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().and_then(|n| n.to_str()).unwrap();
        let sh = Path::new("/bin/sh").canonicalize().unwrap();
        let runs = |program: &Path, files: &[&str]| Running {
            files: files.iter().map(Into::into).collect(),
            prefix: None,
            program: Some(program.to_owned()),
        };
        // What the name finds is called by its name.
        let short = sh.file_name().and_then(|n| n.to_str()).unwrap();
        assert_eq!(program(short, &[], main, &[runs(&sh, &["/srv/web.conf"])]), None);
        // Another server's program, and one that was started with another file.
        assert_eq!(program("httpd", &[], main, &[runs(&own, &["/srv/web.conf"])]), None);
        assert_eq!(program(name, &[], main, &[runs(&own, &["/srv/other.conf"])]), None);
        let expected = is_guarded(&own).is_ok().then(|| own.to_str().unwrap().to_owned());
        assert_eq!(program(name, &[], main, &[runs(&own, &["/srv/web.conf"])]), expected);
        assert_eq!(program("httpd", &[name], main, &[runs(&own, &[])]), expected);
    }
}
