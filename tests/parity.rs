//! The field's own tools as judges: check_ssl_cert and check_http must say the same days and the same
//! state of the same server.

mod run;

use std::process::Command;

use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Leaf, NotRun, Request, Server, need};
use run::run;

/// Runs a plugin; gives its exit code and what it said.
fn plugin(name: &str, arguments: &[&str]) -> Option<(i32, String)> {
    let program = format!("/usr/lib/nagios/plugins/{name}");
    let output = Command::new(&program).args(arguments).output();
    let output = need(output.map_err(|e| NotRun::new("plugin", format!("{program}: {e}"))))?;
    Some((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
}

struct Scene {
    _lab: Lab,
    authority: Authority,
    server: Server,
}

/// A server whose leaf has so many days and an hour left, so that no tool rounds across a boundary.
fn serve(days: i64) -> Option<Scene> {
    let lab = Lab::new("parity");
    let authority = Authority::new(&lab);
    let leaf: Leaf = authority.issue(&Request::server().seconds(days * 86_400 + 3600));
    let server = need(nginx::start(&lab, &leaf))?;
    Some(Scene { _lab: lab, authority, server })
}

fn ours(scene: &Scene, more: &[&str]) -> (i32, String) {
    let port = scene.server.address().port().to_string();
    let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
    let mut all = vec!["check", "-H", "127.0.0.1", "-p", &port, "--sni", "srv.test", "-r", &root];
    all.extend_from_slice(more);
    let run = run(&all);
    (run.code, run.out)
}

/// The value of a perfdata label.
fn value(said: &str, label: &str) -> Option<i64> {
    let (_, rest) = said.split_once(&format!("{label}="))?;
    rest.split([';', '.', ' ']).next()?.trim().parse().ok()
}

#[test]
fn check_ssl_cert_says_the_same_days_and_state() {
    for (days, warning, critical, state) in [(9, "20", "5", 1), (3, "20", "5", 2), (60, "20", "5", 0)] {
        let Some(scene) = serve(days) else { return };
        let port = scene.server.address().port().to_string();
        let root = scene.authority.root().cert_pem.to_string_lossy().into_owned();
        let theirs = plugin(
            "check_ssl_cert",
            &[
                "-H",
                "127.0.0.1",
                "-m",
                "srv.test",
                "--sni",
                "srv.test",
                "-p",
                &port,
                "-r",
                &root,
                "-w",
                warning,
                "-c",
                critical,
                "--ignore-ocsp",
                "--ignore-sct",
                "--maximum-validity",
                "10000",
            ],
        );
        let Some((code, said)) = theirs else { return };
        let (our_code, our_line) = ours(&scene, &["-w", warning, "-c", critical]);
        assert_eq!((code, our_code), (state, state), "{days} days:\n{said}\n{our_line}");
        assert_eq!(
            value(&said, "days_chain_elem1"),
            value(&our_line, "days_chain_elem1"),
            "{said}\n{our_line}"
        );
        assert_eq!(
            value(&said, "days_chain_elem2"),
            value(&our_line, "days_chain_elem2"),
            "{said}\n{our_line}"
        );
    }
}

#[test]
fn check_http_says_the_same_state() {
    for (days, state) in [(9, 2), (20, 1), (60, 0)] {
        let Some(scene) = serve(days) else { return };
        let port = scene.server.address().port().to_string();
        let arguments = ["-H", "srv.test", "-I", "127.0.0.1", "-p", &port, "--sni", "-C", "30,14"];
        let Some((code, said)) = plugin("check_http", &arguments) else { return };
        let (our_code, our_line) = ours(&scene, &["-C", "30,14"]);
        assert_eq!((code, our_code), (state, state), "{days} days:\n{said}\n{our_line}");
    }
}
