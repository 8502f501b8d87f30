//! A signed zone on a real name server of our own. Shared by the end-to-end tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::process::Command;

use notafter_lab::calendar::{generalized, now};
use notafter_lab::{Lab, NotRun, Port, Server, program, server};

/// A zone of this name, with two keys, signed for some time around now (in hours), and served with its DS record.
pub(crate) struct Zone {
    pub(crate) lab: Lab,
    pub(crate) name: String,
    pub(crate) server: Server,
    _port: Port,
}

impl Zone {
    pub(crate) fn start(
        name: &str,
        more: &str,
        (since, until): (i64, i64),
        ds_fits: bool,
    ) -> Result<Self, NotRun> {
        let lab = Lab::new(name);
        let zone = format!("{name}.test");
        let run = |tool: &str, words: &[&str]| {
            let mut command = Command::new(program::find(tool)?);
            command.current_dir(lab.path()).args(words);
            program::run(&mut command).map(|ran| ran.text().trim().to_owned())
        };
        let key = |flags: &[&str]| {
            let words = [&["-q", "-a", "ECDSAP256SHA256", "-n", "ZONE"], flags, &[zone.as_str()]].concat();
            run("dnssec-keygen", &words)
        };
        let (old, ksk, zsk) = (key(&["-f", "KSK"])?, key(&["-f", "KSK"])?, key(&[])?);
        let write = |file: &str, text: String| {
            std::fs::write(lab.path().join(file), text).map_err(|error| NotRun::new(file, error.to_string()))
        };
        write(
            "plain",
            format!(
                "$TTL 300\n@ SOA ns1 admin 7 3600 600 86400 300\n@ NS ns1\nns1 A 127.0.0.1\n{more}\n\
                 $INCLUDE {ksk}.key\n$INCLUDE {zsk}.key\n"
            ),
        )?;
        let (from, end) = (generalized(now() + since * 3600), generalized(now() + until * 3600));
        let words =
            ["-q", "-P", "-o", &zone, "-s", &from[..14], "-e", &end[..14], "-f", "signed", "-k", &ksk];
        run("dnssec-signzone", &[&words[..], &["plain", &zsk]].concat())?;
        run("named-compilezone", &["-q", "-f", "text", "-F", "raw", "-o", "raw", &zone, "signed"])?;
        let ds = run("dnssec-dsfromkey", &["-2", if ds_fits { &ksk } else { &old }])?;
        write(
            "parent",
            format!(
                "$TTL 300\n@ SOA ns.test. admin 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\n{zone}. NS ns1.{zone}.\nns1.{zone}. A 127.0.0.1\n{ds}\n"
            ),
        )?;
        let port = Port::free();
        let folder = lab.path().display().to_string();
        write(
            "named.conf",
            format!(
                "options {{ directory \"{folder}\"; pid-file \"{folder}/pid\"; session-keyfile \"{folder}/sk\"; \
                 listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
                 allow-transfer {{ any; }}; dnssec-validation no; }};\ncontrols {{ }};\n\
                 zone \"{zone}\" {{ type primary; file \"signed\"; }};\n\
                 zone \"test\" {{ type primary; file \"parent\"; allow-transfer {{ none; }}; }};\n",
                port.number()
            ),
        )?;
        let mut command = Command::new(program::find("named")?);
        command.args(["-g", "-n", "1", "-c"]).arg(lab.path().join("named.conf"));
        let server = server::attend("named", lab.path(), command, &[port.local()])?;
        Ok(Self { lab, name: zone, server, _port: port })
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.lab.path().join(name).display().to_string()
    }

    pub(crate) fn at(&self) -> String {
        self.server.address().to_string()
    }
}
