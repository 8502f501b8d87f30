//! How a server that reads the files is checked and reloaded: by its preset, or by what that has for a configuration
//! elsewhere. A command is filled in only where it reaches the server that was found, and no other one of the machine;
//! else the words say why there is none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notafter_act::deployers;
use notafter_act::deployers::presets::{self, Reaches};
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
fn preset(server: &str, running: &[Running]) -> Option<&'static presets::Preset> {
    let name = match server {
        "openldap" => "slapd",
        "postgres" => "postgresql",
        "mariadb" if is_mysql(running) => "mysql",
        other => other,
    };
    presets::PRESETS.iter().find(|preset| preset.name == name)
}

/// Both read the same files. MariaDB's program has had a name of its own since 10.5, and `mysqld` is a link to it.
fn is_mysql(running: &[Running]) -> bool {
    let called = |path: &Path| path.file_name().is_some_and(|name| name == "mysqld");
    let runs = running.iter().filter_map(|r| r.program.as_deref());
    runs.clone().any(called)
        || !runs.clone().any(|path| path.file_name().is_some_and(|name| name == "mariadbd"))
            && deployers::installed("mysqld")
                .is_some_and(|path| path.canonicalize().is_ok_and(|path| called(&path)))
}

/// How it is checked and reloaded: by its preset, or by what that has for a configuration elsewhere.
pub(super) fn ways(server: &str, main: &Path, running: &[Running]) -> Ways {
    let Some(preset) = preset(server, running) else {
        return Ways::Unknown(format!("there is no preset for {server}"));
    };
    let row = presets::ELSEWHERE.iter().find(|row| row.preset == preset.name);
    let known = configs::SERVERS.iter().find(|s| s.name == server).map_or(&[][..], |known| known.mains);
    let usual = row.map_or(known, |row| row.usual);
    let is_usual =
        usual.iter().any(|pattern| Tree::host().glob(Path::new(pattern)).iter().any(|m| m == main));
    if let Some(why) = refuses(preset.name, main) {
        return Ways::Unknown(why);
    }
    if is_usual {
        return Ways::Preset(preset.name);
    }
    let Some(row) = row.filter(|row| !row.check.is_empty() || !row.reload.is_empty()) else {
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
    let its: Vec<&Running> = running.iter().filter(|r| r.reads(main)).collect();
    let prefix = its.iter().find_map(|r| {
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
    let reload = if reaches(row.reaches, main, &its) { argv(row.reload) } else { Vec::new() };
    Ways::Elsewhere { check: argv(row.check), reload }
}

/// Is the process that a reload by this configuration tells one that was seen to run with it? A copy of another server's
/// files leads to that one's process, and so does a configuration that leaves to its server what others share.
fn reaches(by: Reaches, main: &Path, its: &[&Running]) -> bool {
    match by {
        Reaches::None => false,
        Reaches::Folder => !its.is_empty(),
        Reaches::Process { directive, tail } => value(main, directive).is_some_and(|named| {
            let file = PathBuf::from(named + tail);
            its.iter().any(|r| {
                let base = r.prefix.as_deref().unwrap_or(Path::new(""));
                let text = Tree::host().read(&base.join(&file)).unwrap_or_default();
                str::from_utf8(&text).is_ok_and(|text| text.trim() == r.pid.to_string())
            })
        }),
        Reaches::Address { directive, usual } => {
            !its.is_empty()
                && value(main, directive)
                    .is_some_and(|named| named != "off" && !usual.contains(&named.as_str()))
        }
    }
}

/// What a directive of a main file is set to: the last time, where it is set by no variable.
fn value(main: &Path, directive: &str) -> Option<String> {
    let text = Tree::host().read(main).ok()?;
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find_map(|line| {
        let (word, rest) = line.trim().split_once(|c: char| c.is_whitespace() || c == '=')?;
        word.eq_ignore_ascii_case(directive).then_some(rest)
    })?;
    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'' | '{');
    let value = last.trim_matches(ends);
    (!value.is_empty() && !value.contains(['$', '%'])).then(|| value.to_owned())
}

/// The program that runs with this configuration, by its path, where the name alone would find another one.
fn program(name: &str, also: &[&str], main: &Path, running: &[Running]) -> Option<String> {
    let is_its = |r: &&Running| {
        let called = r.program.as_deref().and_then(Path::file_name).and_then(|n| n.to_str());
        called.is_some_and(|called| called == name || also.contains(&called))
    };
    // Who names the file, or else who was started without one.
    let of = |r: &&Running| r.reads(main);
    let mut its = running.iter().filter(is_its);
    let one = its.clone().find(of).or_else(|| its.find(|r| r.files.is_empty()))?;
    let runs = one.program.as_deref()?;
    let by_name = runs.file_name().and_then(|name| deployers::installed(name.to_str()?));
    let is_same = by_name.is_some_and(|path| path.canonicalize().is_ok_and(|path| path == runs));
    (!is_same && is_guarded(runs).is_ok()).then(|| runs.to_str().map(str::to_owned))?
}

/// Why the preset's command would not get in, or would reach another server: by the main file and whatever that includes.
fn refuses(preset: &str, main: &Path) -> Option<String> {
    let (server, judge): (&str, fn(&str) -> Option<String>) = match preset {
        "redis" => ("redis", redis),
        "mariadb" | "mysql" => ("mariadb", mysql),
        "caddy" => ("caddy", caddy),
        _ => return None,
    };
    let tree = Tree::host();
    let server = configs::SERVERS.iter().find(|known| known.name == server)?;
    let mut text = String::new();
    for file in configs::read_with(&tree, server, main).files {
        text.push_str(&String::from_utf8_lossy(&tree.read(&file).unwrap_or_default()));
        text.push('\n');
    }
    judge(&text)
}

/// A Caddy that takes no new configuration while it runs.
fn caddy(text: &str) -> Option<String> {
    let is_off = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next(), words.next()) == (Some("admin"), Some("off"))
    };
    text.lines().any(is_off).then(|| {
        "its `admin` is off, so that no command reaches it, and `caddy reload` would reach another Caddy: only a restart makes it \
         read new files"
            .to_owned()
    })
}

/// The client asks the server of its own defaults: 3306, and the socket that it was built with or that its section names.
fn mysql(text: &str) -> Option<String> {
    const SOCKETS: [&str; 5] = [
        "/run/mysqld/mysqld.sock",
        "/var/run/mysqld/mysqld.sock",
        "/var/lib/mysql/mysql.sock",
        "/tmp/mysql.sock",
        "/var/run/mysql/mysql.sock",
    ];
    let (mut client, mut of_client, mut of_server) = (false, Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            client = section.starts_with("client")
                || section.starts_with("mysql]")
                || section.starts_with("mariadb-client");
        } else if let Some((key, value)) = line.split_once('=')
            && key.trim() == "socket"
        {
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            if client { of_client.push(value) } else { of_server.push(value) }
        }
    }
    let own = of_server.iter().find(|path| !SOCKETS.contains(&path.as_str()) && !of_client.contains(path))?;
    Some(format!(
        "its socket is {}, where the client does not ask: reload = [CLIENT, \"--socket\", SOCKET, ...], with the words of the preset \
         behind it",
        own.escape_debug()
    ))
}

/// Why a Redis with these lines would not take the preset's command.
fn redis(text: &str) -> Option<String> {
    let lines = || text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let all = |name: &'static str| {
        lines().filter(move |(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if all("sentinel").next().is_some() {
        return Some(
            "it is a Sentinel, which takes other commands: only a restart makes it read new files".to_owned(),
        );
    }
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
    match all("port").rfind(|port| *port != "6379") {
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

    /// A process as it is seen, with what it was started with.
    fn one(pid: u32, program: Option<&Path>, files: &[&Path]) -> Running {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        Running { pid, files, prefix: None, program: program.map(Into::into) }
    }

    #[test]
    fn a_reload_is_known_only_where_it_reaches_who_was_seen() {
        let folder = std::env::temp_dir().join(format!("notafter-reaches-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (conf, pid) = (folder.join("web.conf"), folder.join("web.pid"));
        let by = |directive| Reaches::Process { directive, tail: "" };
        let check = |text: &str, by: Reaches, number: &str, running: &[Running], expected: bool| {
            std::fs::write(&conf, text.replace("PID", pid.to_str().unwrap())).unwrap();
            std::fs::write(&pid, number).unwrap();
            let its: Vec<&Running> = running.iter().filter(|r| r.reads(&conf)).collect();
            assert_eq!(reaches(by, &conf, &its), expected, "{text} {number}");
        };
        let its = [one(4711, None, &[&conf])];
        check("pid PID;\n", by("pid"), "4711\n", &its, true);
        check("PidFile \"PID\"\n", by("PidFile"), "4711", &its, true);
        check("pidfile = \"PID\";\n", by("pidfile"), "4711\n", &its, true);
        // Another's process, none that is named, a variable, a comment, and nobody who was started with this file.
        check("pid PID;\n", by("pid"), "4712\n", &its, false);
        check("worker_processes 1;\n", by("pid"), "4711\n", &its, false);
        check("PidFile ${APACHE_PID_FILE}\n", by("PidFile"), "4711\n", &its, false);
        check("# pid PID;\n", by("pid"), "4711\n", &its, false);
        check("pid PID;\n", by("pid"), "4711\n", &[one(4711, None, &[])], false);
        let admin = Reaches::Address { directive: "admin", usual: &["localhost:2019"] };
        check("{\n\tadmin localhost:2020\n}\n", admin, "", &its, true);
        check("{\n\tadmin localhost:2019\n}\n", admin, "", &its, false);
        check("a.test {\n}\n", admin, "", &its, false);
        check("{\n\tadmin localhost:2020\n}\n", admin, "", &[], false);
        check("", Reaches::Folder, "", &its, true);
        check("", Reaches::Folder, "", &[], false);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_client_that_would_ask_another_server_is_said() {
        for (text, own) in [
            ("[mysqld]\nssl-cert=/a\n", false),
            ("[mysqld]\nsocket = /run/mysqld/mysqld.sock\n", false),
            ("[mysqld]\nsocket=/srv/two.sock\n", true),
            ("[client-server]\nsocket=/srv/two.sock\n[mysqld]\nsocket=/srv/two.sock\n", false),
        ] {
            assert_eq!(mysql(text).is_some(), own, "{text}");
        }
        assert!(caddy("{\n\tadmin off\n}\n").is_some() && caddy("{\n\tadmin :2020\n}\n").is_none());
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
            ("port 6379\nsentinel monitor main 127.0.0.1 6379 2\n", Some("Sentinel")),
        ] {
            let why = redis(text);
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
        let runs = |program: &Path, files: &[&str]| {
            one(1, Some(program), &files.iter().map(Path::new).collect::<Vec<_>>())
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
