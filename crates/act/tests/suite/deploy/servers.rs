//! Real servers: what was deployed is served, and what must not be is not.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use notafter_lab::servers::{haproxy, nginx, postfix};
use notafter_lab::{Lab, Server, need, program};
use serde_json::json;

use super::{bundle, deployer, leaves, run, script, text};

const PATIENCE: Duration = Duration::from_secs(20);

/// A command that signals the process of a server.
fn signal(server: &Server, name: &str) -> Vec<String> {
    let kill = format!("kill -{name} {}", server.pid().unwrap());
    ["/bin/sh", "-c", &kill].iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn nginx_serves_what_was_deployed_and_keeps_the_old_one_when_its_check_fails() {
    let lab = Lab::new("deploy-nginx");
    let leaves = leaves(&lab, 3);
    let Some(server) = need(nginx::start(&lab, &leaves[0])) else { return };
    let (folder, tls) = (server.folder().to_owned(), server.folder().join("tls"));
    let check = [
        text(&program::find("nginx").unwrap()),
        "-t",
        "-p",
        text(&folder),
        "-c",
        "nginx.conf",
        "-e",
        "stderr",
    ]
    .map(str::to_owned);
    let table = json!({
        "preset": "nginx", "certificate": tls.join("fullchain.pem"), "key": tls.join("key.pem"),
        "check": check, "reload": signal(&server, "HUP"),
    });
    let target = deployer("files", table);
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    server.await_serving(&leaves[1], PATIENCE).unwrap();
    // The way back.
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    server.await_serving(&leaves[0], PATIENCE).unwrap();
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    server.await_serving(&leaves[1], PATIENCE).unwrap();
    // Somebody breaks another part of the configuration: nothing of the new pair stays.
    let mut configuration = std::fs::OpenOptions::new().append(true).open(folder.join("nginx.conf")).unwrap();
    configuration.write_all(b"\nnonsense;\n").unwrap();
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves[2], 2))).unwrap_err().to_string();
    assert!(fault.contains("the check failed") && fault.contains("unknown directive"), "{fault}");
    assert_eq!(
        std::fs::read(tls.join("fullchain.pem")).unwrap(),
        std::fs::read(&leaves[1].fullchain_pem).unwrap()
    );
    server.await_serving(&leaves[1], PATIENCE).unwrap();
    let checks = run(target.rehearse(&super::cx()));
    assert!(checks.iter().any(|c| !c.works && c.because.contains("nonsense")), "{checks:?}");
}

#[test]
fn a_reload_that_went_astray_is_made_up_for_by_the_next_deployment() {
    let lab = Lab::new("deploy-astray");
    let leaves = leaves(&lab, 2);
    let Some(server) = need(nginx::start(&lab, &leaves[0])) else { return };
    let (folder, tls) = (lab.subfolder("programs"), server.folder().join("tls"));
    // It exits with 0 whatever it does: first it does nothing.
    let reload = |body: &str| script(&folder, "reload", body);
    let table = json!({
        "certificate": tls.join("fullchain.pem"), "key": tls.join("key.pem"), "reload": [reload("exit 0")],
    });
    let target = deployer("files", table);
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    server.await_serving(&leaves[0], PATIENCE).unwrap();
    let written = std::fs::metadata(tls.join("key.pem")).unwrap().modified().unwrap();
    reload(&format!("kill -HUP {}", server.pid().unwrap()));
    assert_eq!(run(target.deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap(), receipt);
    server.await_serving(&leaves[1], PATIENCE).unwrap();
    assert_eq!(std::fs::metadata(tls.join("key.pem")).unwrap().modified().unwrap(), written);
}

#[test]
fn haproxy_takes_a_combined_file_by_reload_and_over_its_socket() {
    let lab = Lab::new("deploy-haproxy");
    let leaves = leaves(&lab, 3);
    let Some(mut server) = need(haproxy::start(&lab, &leaves[0])) else { return };
    let file = server.folder().join("tls/combined.pem");
    let check = ["haproxy", "-c", "-f", text(&server.folder().join("haproxy.cfg"))].map(str::to_owned);
    let table =
        json!({ "preset": "haproxy", "combined": file, "check": check, "reload": signal(&server, "USR2") });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    server.await_serving(&leaves[1], PATIENCE).unwrap();
    // The same without a reload, where there is a socket.
    let socket = lab.path().join("h.sock");
    let path = server.folder().join("haproxy.cfg");
    let configuration = std::fs::read_to_string(&path).unwrap();
    let own = format!("global\n  stats socket {} mode 600 level admin", socket.display());
    std::fs::write(&path, configuration.replacen("global", &own, 1)).unwrap();
    server.restart().unwrap();
    let table = json!({ "combined": file, "haproxy_socket": socket });
    run(deployer("files", table.clone()).deploy(&super::cx(), &bundle(&leaves[2], 2))).unwrap();
    server.await_serving(&leaves[2], PATIENCE).unwrap();
    // A file that it does not know by this name.
    let table = json!({ "combined": lab.path().join("other.pem"), "haproxy_socket": socket });
    let fault =
        run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[1], 3))).unwrap_err().to_string();
    assert!(fault.contains("HAProxy did not take the new pair"), "{fault}");
}

#[test]
fn postfix_serves_what_was_deployed() {
    let lab = Lab::new("deploy-postfix");
    let leaves = leaves(&lab, 2);
    let Some(server) = need(postfix::start(&lab, &leaves[0])) else { return };
    let (etc, tls) = (server.folder().join("etc"), server.folder().join("tls"));
    let postfix = |word: &str| ["postfix", "-c", text(&etc), word].map(str::to_owned);
    let table = json!({
        "fullchain": tls.join("fullchain.pem"), "key": tls.join("key.pem"),
        "check": postfix("check"), "reload": postfix("reload"),
    });
    run(deployer("files", table).deploy(&super::cx(), &bundle(&leaves[1], 1))).unwrap();
    server.await_serving(&leaves[1], PATIENCE).unwrap();
}

#[test]
fn a_reload_that_fails_puts_the_old_pair_back_and_loads_it() {
    let lab = Lab::new("deploy-reload");
    let leaves = leaves(&lab, 2);
    let folder = lab.subfolder("tls");
    let log = folder.join("log");
    let file = folder.join("api.pem");
    let run_log =
        |body: &str| script(&folder, "reload", &format!("wc -c <{} >>{}\n{body}", text(&file), text(&log)));
    let table = |reload: &Path| json!({ "combined": file, "reload": [reload] });
    run(deployer("files", table(&run_log("exit 0"))).deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    let old = std::fs::read(&file).unwrap();
    let target = deployer("files", table(&run_log("exit 3")));
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap_err().to_string();
    assert!(fault.contains("the reload failed") && fault.contains("exit status: 3"), "{fault}");
    assert_eq!(std::fs::read(&file).unwrap(), old);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 3, "told again after going back");
}

/// Every server of the lab that has a preset: it starts with what was deployed, as its own account, and picks it up as its row
/// says.
#[test]
fn every_server_of_the_lab_picks_up_what_was_deployed_as_its_preset_says() {
    use notafter_act::deployers::presets::{self, PickUp};
    use notafter_lab::server::Renewal;
    use notafter_lab::servers::ALL;
    use std::os::unix::fs::MetadataExt;
    let lab = Lab::new("deploy-all");
    let leaves = leaves(&lab, 2);
    let mut tried = Vec::new();
    for (name, start) in ALL {
        let preset = presets::find(if *name == "postgres" { "postgresql" } else { name });
        let Ok(preset) = preset else { continue };
        let Some(mut server) = need(start(&lab, &leaves[0])) else { continue };
        let tls = server.folder().join("tls");
        let table = json!({
            "certificate": tls.join("cert.pem"), "chain": tls.join("rest.pem"), "fullchain": tls.join("fullchain.pem"),
            "key": tls.join("key.pem"), "combined": tls.join("combined.pem"),
        });
        let owner = |file: &str| {
            let meta = tls.join(file).metadata().unwrap();
            (meta.uid(), meta.gid(), meta.mode() & 0o7777)
        };
        let before = (owner("key.pem"), owner("fullchain.pem"));
        let target = deployer("files", table);
        let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 1)))
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!((owner("key.pem"), owner("fullchain.pem")), before, "{name}");
        let mut load = |leaf| {
            match server.renewal() {
                Renewal::Itself => {}
                Renewal::Reload => server.reload().unwrap(),
                Renewal::Restart => server.restart().unwrap(),
            }
            server.await_serving(leaf, PATIENCE).unwrap_or_else(|e| panic!("{name}: {e}"));
        };
        load(&leaves[1]);
        run(target.roll_back(&super::cx(), &receipt)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        load(&leaves[0]);
        let agrees = match preset.pick_up {
            PickUp::Reload => server.renewal() == Renewal::Reload,
            // slapd can be told over LDAP, which no command of one line does.
            PickUp::Restart => server.renewal() == Renewal::Restart || *name == "slapd",
            PickUp::NextConnection | PickUp::Watches => server.renewal() == Renewal::Itself,
        };
        assert!(
            agrees,
            "{name}: its row says {}, and the lab {:?}",
            preset.pick_up.as_str(),
            server.renewal()
        );
        tried.push(*name);
    }
    assert!(tried.len() >= 10, "only {tried:?}");
}
