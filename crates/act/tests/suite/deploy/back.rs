//! The way back of those who install out of our sight: a program and a service, each with a real nginx behind it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use notafter_core::deployment::{Before, Receipt};
use notafter_core::fault::Retry;
use notafter_lab::servers::nginx;
use notafter_lab::{Authority, Lab, Port, Request, need, program, server};
use serde_json::json;

use super::{bundle, deployer, leaves, run, script, text};

const PATIENCE: Duration = Duration::from_secs(20);

/// A receipt as it comes back from where it was kept.
fn kept(receipt: &Receipt) -> Receipt {
    serde_json::from_str(&serde_json::to_string(receipt).unwrap()).unwrap()
}

#[test]
fn a_program_takes_back_what_it_installed() {
    let lab = Lab::new("back-exec");
    let leaves = leaves(&lab, 2);
    let Some(web) = need(nginx::start(&lab, &leaves[0])) else { return };
    let tls = web.folder().join("tls");
    let (certificate, key, told) = (tls.join("fullchain.pem"), tls.join("key.pem"), lab.path().join("told"));
    let (c, k, pid) = (text(&certificate), text(&key), web.pid().unwrap());
    let reload = format!("kill -HUP {pid}");
    // Both may be run twice: what was kept of the one before is not overwritten by the new one.
    let install = format!(
        "set -e\ncmp -s \"$NOTAFTER_CERTIFICATE_PATH\" {c} || {{ cp -p {c} {c}.before; cp -p {k} {k}.before; }}\n\
         cat \"$NOTAFTER_CERTIFICATE_PATH\" >{c}; cat \"$NOTAFTER_KEY_PATH\" >{k}\n{reload}"
    );
    let back = format!(
        "set -e\necho \"$NOTAFTER_FINGERPRINT $NOTAFTER_BEFORE_FINGERPRINT $RENEWED_DOMAINS\" >{}\n\
         cp -p {c}.before {c}; cp -p {k}.before {k}\n{reload}",
        text(&told)
    );
    let folder = lab.subfolder("programs");
    let (install, back) = (script(&folder, "install", &install), script(&folder, "back", &back));
    let table = json!({ "command": [install], "roll_back": [back], "places": [certificate] });
    let target = deployer("exec", table.clone());
    let checks = run(target.rehearse(&super::cx()));
    assert!(checks.len() == 2 && checks.iter().all(|c| c.works), "{checks:?}");
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 4))).unwrap();
    web.await_serving(&leaves[1], PATIENCE).unwrap();
    let (old, new) = (format!("sha256:{}", leaves[0].sha256), format!("sha256:{}", leaves[1].sha256));
    assert_eq!(receipt.before.as_ref().unwrap().fingerprint, old, "read where it writes");
    // Killed before that was kept, it is installed again: what is there now is not what was there before.
    assert!(run(target.deploy(&super::cx(), &bundle(&leaves[1], 4))).unwrap().before.is_none());
    for _ in 0..2 {
        run(target.roll_back(&super::cx(), &kept(&receipt))).unwrap();
        web.await_serving(&leaves[0], PATIENCE).unwrap();
    }
    let words = std::fs::read_to_string(&told).unwrap();
    assert!(words.starts_with(&format!("{new} {old} ")) && words.contains("srv.test"), "{words}");

    // Never back to one that has ended; and without a command the receipt says that there is no way.
    let ended = Before { fingerprint: old, not_after: 1_000_000_000 };
    let fault = run(target.roll_back(&super::cx(), &Receipt { before: Some(ended), ..receipt.clone() }));
    assert!(fault.unwrap_err().to_string().contains("not rolled back"), "it has ended");
    let mut table = table;
    table.as_object_mut().unwrap().remove("roll_back");
    let target = deployer("exec", table);
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 5))).unwrap();
    assert!(receipt.undo["no_way_back"].as_str().unwrap().contains("`roll_back` is not set"), "{receipt:?}");
    let fault = run(target.roll_back(&super::cx(), &receipt)).unwrap_err();
    assert!(fault.retry == Retry::Never && fault.to_string().contains("no way back"), "{fault}");
    let checks = run(target.rehearse(&super::cx()));
    assert!(checks.iter().any(|c| c.what == "way back" && c.works), "{checks:?}");
    web.await_serving(&leaves[1], PATIENCE).unwrap();
}

/// A service of the site's own: takes what is posted, keeps the one before, and goes back when asked.
const SERVICE: &str = r#"
import http.server, json, os, shutil, signal, sys
file, pid, port, log = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
class Install(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open(log, "a") as out:
            out.write(json.dumps(said) + "\n")
        if said["event"] == "deploy":
            shutil.copyfile(file, file + ".before")
            with open(file, "w") as out:
                out.write(said["certificate_pem"] + said["chain_pem"])
        elif os.path.exists(file + ".before"):
            shutil.copyfile(file + ".before", file)
        else:
            return self.answer(409)
        os.kill(pid, signal.SIGHUP)
        self.answer(200)
    def answer(self, code):
        self.send_response(code); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", port), Install).serve_forever()
"#;

#[test]
fn a_service_goes_back_where_it_says_that_it_can() {
    let lab = Lab::new("back-webhook");
    let authority = Authority::new(&lab);
    // The key stays where it is: both certificates are for the same one.
    let first = authority.issue(&Request::server().days(60));
    let second = authority.issue(&Request::server().days(80).same_key(&first));
    let Some(web) = need(nginx::start(&lab, &first)) else { return };
    let Some(python) = need(program::find("python3")) else { return };
    let file = web.folder().join("tls/fullchain.pem");
    let (folder, port) = (lab.subfolder("service"), Port::free());
    let (address, log) = (port.local(), folder.join("log"));
    let mut command = Command::new(python);
    command.args(["-c", SERVICE, text(&file), &web.pid().unwrap().to_string(), &address.port().to_string()]);
    command.arg(&log);
    let Some(_service) = need(server::attend("service", &folder, command, &[address])) else { return };
    let table = |more: bool| json!({ "url": format!("http://{address}/install"), "roll_back": more });
    let target = deployer("webhook", table(true));
    let receipt = run(target.deploy(&super::cx(), &bundle(&second, 7))).unwrap();
    web.await_serving(&second, PATIENCE).unwrap();
    run(target.roll_back(&super::cx(), &kept(&receipt))).unwrap();
    web.await_serving(&first, PATIENCE).unwrap();
    let last = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        serde_json::from_str::<serde_json::Value>(text.lines().last().unwrap()).unwrap()
    };
    let said = last(&log);
    assert_eq!((&said["event"], &said["generation"]), (&json!("roll-back"), &json!(7)));
    assert_eq!(said["fingerprint"], format!("sha256:{}", second.sha256));
    // One that cannot says so, and that is no success.
    std::fs::remove_file(file.with_extension("pem.before")).unwrap();
    assert!(run(target.roll_back(&super::cx(), &receipt)).is_err());
    // Nobody is asked who was not said to know the word.
    let target = deployer("webhook", table(false));
    let receipt = run(target.deploy(&super::cx(), &bundle(&second, 8))).unwrap();
    let fault = run(target.roll_back(&super::cx(), &receipt)).unwrap_err();
    assert!(fault.to_string().contains("no way back") && fault.hint.is_some(), "{fault}");
    assert!(receipt.undo["no_way_back"].is_string() && last(&log)["event"] == "deploy", "{receipt:?}");
    web.await_serving(&second, PATIENCE).unwrap();
    drop(port);
}
