//! Two servers that no reload helps, Unbound and vsftpd: what an administrator would try exits 0 and changes nothing. The
//! renewal catches it, names it, and puts back what was there; with the restart of their presets it ends in use.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::print_stdout, reason = "what was seen is said")]

mod run;

use std::path::Path;

use notafter_lab::pebble;
use notafter_lab::servers::{Start, unbound, vsftpd};
use notafter_lab::{Authority, Lab, Request, need, peer};
use run::run;
use serde_json::Value;

/// `place`: the address in the words of a target. `reload`: what does not help, `@PID@` and `@DIR@` being the server's.
fn caught(name: &str, start: Start, place: &str, reload: &[&str]) {
    let lab = Lab::new(&format!("reloads-{name}"));
    let leaf = Authority::new(&lab).issue(&Request::server().days(20));
    let Some(ca) = need(pebble::start(&lab, &pebble::Options::default())) else { return };
    let Some(mut server) = need(start(&lab, &leaf)) else { return };
    let (tls, port) = (server.folder().join("tls"), ca.http_port());
    let folder = server.folder().display().to_string();
    let words: Vec<String> = reload
        .iter()
        .map(|w| w.replace("@PID@", &server.pid().unwrap_or(0).to_string()).replace("@DIR@", &folder))
        .collect();
    let config = format!(
        "[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n\
         [[certificate]]\nname = \"it\"\nnames = [\"srv.test\"]\nissuer = \"pebble\"\ngrace = \"5s\"\n\
         solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
         [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
         reload = {words:?}\nprove = [\"{place}\"]\n",
        ca.directory(),
        ca.ca_file().display(),
        tls = tls.display(),
        place = place.replace("@ADDRESS@", &server.address().to_string()),
    );
    let (file, data) = (lab.path().join("notafter.toml"), lab.path().join("data"));
    std::fs::write(&file, config).expect("written");
    let ask = |arguments: &[&str]| {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        run(&[arguments, &["--config", &text(&file), "--data", &text(&data)]].concat())
    };
    let read = |name: &str| std::fs::read(tls.join(name)).expect(name);
    let before = (read("fullchain.pem"), read("key.pem"));
    let address = server.endpoints()[0].clone();
    let serial = || peer::served(&address).map(|seen| seen.serial);
    assert_eq!(serial().as_deref(), Ok(leaf.serial.as_str()));
    let renewed = ask(&["renew", "it", "--json"]);
    let document: Value = serde_json::from_str(&renewed.out).unwrap_or_default();
    let said = document["said"].as_str().unwrap_or_default().to_owned();
    assert_eq!((renewed.code, document["state"].as_str()), (1, Some("waits-for-person")), "{}", renewed.out);
    assert!(said.contains("still shows the certificate before") && said.contains("put back"), "{said}");
    assert!(said.contains(&server.address().to_string()), "{said}");
    assert_eq!((read("fullchain.pem"), read("key.pem")), before);
    assert_eq!(serial().as_deref(), Ok(leaf.serial.as_str()), "it had reloaded after all");
    assert_eq!(ca.issued(), 1);
    println!("{name}: {said}");
    // With a restart, as its preset has it, the same ends in use. The service manager is this test.
    let (asked, done) = (lab.path().join("asked"), lab.path().join("done"));
    let wait =
        format!("touch {}; while [ ! -e {1} ]; do sleep 0.1; done; rm {1}", asked.display(), done.display());
    let restart = ["sh", "-c", &wait];
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, text.replace(&format!("{words:?}"), &format!("{restart:?}"))).expect("written");
    let endpoint = server.endpoints()[0].clone();
    let renewed = std::thread::scope(|scope| {
        let renewed = scope.spawn(|| ask(&["renew", "it", "--json"]));
        let begun = std::time::Instant::now();
        while !renewed.is_finished() && begun.elapsed().as_secs() < 60 {
            if asked.exists() {
                std::fs::remove_file(&asked).expect("removed");
                server.restart().expect("it starts again");
                std::fs::write(&done, "").expect("written");
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        renewed.join().expect("it ends")
    });
    assert_eq!(renewed.code, 0, "{}\n{}", renewed.out, renewed.err);
    let now = peer::served(&endpoint).expect("a certificate").serial;
    assert_ne!(now, leaf.serial);
    println!("{name}: served {} before, {now} after a restart", leaf.serial);
}

#[test]
fn unbound_is_told_to_reload_and_does_not() {
    caught(
        "unbound",
        unbound::start,
        "tls://@ADDRESS@?sni=srv.test",
        &["unbound-control", "-c", "@DIR@/unbound.conf", "reload"],
    );
}

#[test]
fn vsftpd_is_told_to_reload_and_does_not() {
    caught("vsftpd", vsftpd::start, "ftp://@ADDRESS@?sni=srv.test", &["kill", "-HUP", "@PID@"]);
}
