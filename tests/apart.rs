//! Two processes: one that looks and decides as an account without rights, and one that installs as root, by a configuration
//! that only root can write. The real binary as both, a real CA, a real nginx.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

#[path = "apart/house.rs"]
mod house;
mod run;
#[path = "apart/wire.rs"]
mod wire;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use house::{House, NOBODY, Web, signed};
use notafter_core::joints::Keep;
use notafter_store::seal::{Master, Sealed};
use notafter_store::{Database, Store};
use serde_json::{Value, json};
use wire::{fault, order};

fn json(run: &run::Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", run.out, run.err))
}

#[test]
fn the_whole_cycle_with_two_accounts() {
    let Some((mut house, web)) = Web::house("apart-cycle", "4s") else { return };
    let (pem, key) = (web.tls.join("api.pem"), web.tls.join("api.key"));
    let before = fs::read(&pem).expect("what is served");
    // What nobody could do by themselves.
    let tried = house.shell_as(NOBODY, &format!("echo x > {}", pem.display()));
    assert!(!tried.success(), "the account without rights may write there");

    // Nothing listens yet: it is said, and nothing is written elsewhere instead.
    let alone = house.ask(&["rehearse", "web"]);
    assert!(
        alone.code == 1 && alone.out.contains("hint: systemctl status notafter-act"),
        "{}\n{}",
        alone.out,
        alone.err
    );
    let alone = house.ask(&["doctor", "--json"]);
    assert!(alone.out.contains("cannot be reached at"), "{}", alone.out);
    let alone = house.ask(&["config", "check"]);
    assert!(alone.code == 0 && alone.out.contains("act: not well"), "{}\n{}", alone.out, alone.err);
    assert_eq!(fs::read(&pem).expect("what is served"), before);

    house.start();
    let said = house.ask(&["config", "check"]);
    assert!(said.out.contains("act.sock answers"), "{}\n{}", said.out, said.err);
    let rehearsed = house.ask(&["rehearse", "web", "--json"]);
    assert_eq!(json(&rehearsed)[0]["would_renew"], true, "{}\n{}", rehearsed.out, house.words());
    let renewed = house.ask(&["renew", "web", "--json"]);
    assert_eq!(
        (renewed.code, json(&renewed)["state"].as_str()),
        (0, Some("proved")),
        "{}\n{}\n{}",
        renewed.out,
        renewed.err,
        house.words()
    );
    assert!(web.issuer().contains("Pebble"), "{}", web.issuer());
    for (file, mode) in [(&pem, 0o644), (&key, 0o600)] {
        let about = fs::metadata(file).expect("it is there");
        assert_eq!((about.uid(), about.mode() & 0o777), (0, mode), "{}", file.display());
    }
    // The challenge was taken back.
    let left = fs::read_dir(web.root.join(".well-known/acme-challenge")).map(|d| d.count());
    assert!(left.as_ref().is_ok_and(|n| *n == 0) || left.is_err(), "{left:?}");

    // The key was never in the process without rights: where it would keep one, it keeps a name.
    let kept = {
        let store = Store::open(&Database::File(house.data.join("notafter.db")), notafter_core::UnixTime(0))
            .expect("the memory");
        let kept =
            Sealed::new(Arc::new(store), Master::in_file(&house.data.join("master.key")).expect("its key"));
        kept.kept("key/web/1").expect("opened").expect("there")
    };
    assert!(kept.starts_with(b"act:") && kept.len() < 200, "{} octets", kept.len());
    // And none of the files it keeps has a piece of it, in any form that it is written in.
    let secret = house::secret_of(&key);
    for folder in [&house.data, house.lab.path()] {
        house::walk(folder, &mut |file, text| {
            let mine = file == key || file.starts_with(&house.state) || file.starts_with(&web.tls);
            assert!(
                mine || !secret.iter().any(|s| house::holds(text, s)),
                "a private key in {}",
                file.display()
            );
        });
    }
    for part in house::files(&house.state) {
        assert!(
            !secret.iter().any(|s| house::holds(&fs::read(&part).unwrap_or_default(), s)),
            "unsealed in {}",
            part.display()
        );
        assert_eq!(fs::metadata(&part).map_or(0, |m| m.mode() & 0o077), 0, "{}", part.display());
    }

    // The same again, a second one with a new key, and the proof.
    let first = (fs::read(&pem).expect("pem"), fs::read(&key).expect("key"));
    let again = house.ask(&["deploy", "web", "--json"]);
    assert_eq!(again.code, 0, "{}\n{}", again.out, again.err);
    assert_eq!((fs::read(&pem).expect("pem"), fs::read(&key).expect("key")), first);
    let second = house.ask(&["renew", "web", "--json"]);
    assert_eq!(
        (second.code, json(&second)["generation"].as_u64()),
        (0, Some(2)),
        "{}\n{}",
        second.out,
        second.err
    );
    assert_ne!(fs::read(&key).expect("key"), first.1);
    let proved = house.ask(&["prove", "web", "--json"]);
    assert_eq!((proved.code, json(&proved)["proved"].as_bool()), (0, Some(true)), "{}", proved.out);
    let doctor = house.ask(&["doctor", "--json"]);
    assert!(doctor.out.contains("act.sock answers"), "{}", doctor.out);

    // Gone again: what was issued is not installed otherwise, and it is said what is missing.
    assert_eq!(house.stop(), 0, "{}", house.words());
    let alone = house.ask(&["deploy", "web", "--wait", "1s"]);
    let said = alone.out.replace('\n', " ");
    assert!(
        alone.code == 1 && said.contains("`notafter act`, which installs here"),
        "{}\n{}",
        alone.out,
        alone.err
    );
}

/// What the account without rights may not read is proved by whoever wrote it; and the server does all of this by itself.
#[test]
fn the_server_renews_by_itself_and_what_it_may_not_read_is_proved() {
    let Some((mut house, web)) = Web::house("apart-serve", "4s") else { return };
    fs::set_permissions(&web.tls, fs::Permissions::from_mode(0o700)).expect("closed");
    let tried = house.shell_as(NOBODY, &format!("cat {}/api.pem", web.tls.display()));
    assert!(!tried.success(), "the account without rights may read there");
    house.start();
    let mut serving = house.serve();
    let begun = Instant::now();
    let mut proved = None;
    while proved.is_none() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(500));
        let asked = house.ask(&["prove", "web", "--json"]);
        proved = serde_json::from_str::<Value>(&asked.out).ok().filter(|v| v["proved"] == true);
    }
    let _ = serving.kill();
    let _ = serving.wait();
    let proved = proved.unwrap_or_else(|| {
        panic!(
            "{}\n{}",
            house.words(),
            fs::read_to_string(house.lab.path().join("serve.out")).unwrap_or_default()
        )
    });
    let places = proved["places"].as_array().map_or(0, Vec::len);
    assert_eq!(places, 2, "{proved}");
    assert!(web.issuer().contains("Pebble"));
}

#[test]
fn what_is_not_seen_in_use_is_put_back_by_what_act_kept_whatever_the_memory_says() {
    let Some((mut house, web)) = Web::house("apart-back", "15s") else { return };
    let before = fs::read(web.tls.join("api.pem")).expect("what is served");
    let text = fs::read_to_string(&house.config).expect("the configuration");
    let still = text.lines().map(|l| if l.starts_with("reload = ") { "reload = [\"true\"]" } else { l });
    fs::write(&house.config, still.collect::<Vec<_>>().join("\n")).expect("written");
    house.start();
    let begun = Instant::now();
    loop {
        let waits = house.ask(&["renew", "web", "--json", "--wait", "1s"]);
        if json(&waits)["state"] == "waits-for-proof" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{}\n{}", waits.out, house.words());
    }
    assert_ne!(fs::read(web.tls.join("api.pem")).expect("the new one"), before);
    // Somebody who has the process without rights writes what he likes into its memory.
    let evil = house.lab.path().join("evil");
    let edited = house.edit_receipts(&json!({
        "set": evil, "path": evil, "folder": evil, "files": [{"path": evil}], "command": ["touch", evil], "reload": ["touch", evil]
    }));
    assert!(edited >= 1, "no receipt was edited");
    // The grace has to be over before anything is put back.
    std::thread::sleep(Duration::from_secs(16));
    let over = house.ask(&["renew", "web", "--json", "--wait", "20s"]);
    let said = json(&over).to_string();
    assert!(
        said.contains("put back") || said.contains("rolled") || json(&over)["generation"] == 2,
        "{said}\n{}",
        house.words()
    );
    assert!(house.words().contains("roll-back web nginx: done"), "{}", house.words());
    assert!(!evil.exists(), "what stood in the memory was obeyed");
}

#[test]
fn a_configuration_that_others_could_change_is_not_obeyed() {
    let mut house = House::new("apart-trust", &House::exec_tables(&["true"]));
    let refused = |house: &House, why: &str| {
        let run = house.act_once();
        assert!(
            run.code == 2 && run.err.contains("is not obeyed") && run.err.contains("hint: "),
            "{why}: {}",
            run.err
        );
    };
    let chmod = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set")
    };
    chmod(&house.config, 0o666);
    refused(&house, "everybody may write");
    chmod(&house.config, 0o644);
    chown(&house.config, Some(NOBODY.0), None).expect("given away");
    refused(&house, "another account's");
    chown(&house.config, Some(0), None).expect("taken back");
    let folder = house.config.parent().expect("a folder").to_owned();
    chmod(&folder, 0o777);
    refused(&house, "the folder above");
    chmod(&folder, 0o755);
    house.start();
    // Opened to others while it runs, it is not obeyed from that moment on.
    let places = json!({"do": "places", "certificate": "one", "target": "hook"});
    assert!(order(&house.socket, &places)["places"].is_array());
    chmod(&house.config, 0o646);
    assert!(fault(&order(&house.socket, &places)).contains("is not obeyed"));
    chmod(&house.config, 0o644);
    assert!(order(&house.socket, &places)["places"].is_array());
    // A mistake changes nothing and is said; a target that is added is known soon.
    let text = fs::read_to_string(&house.config).expect("the configuration");
    fs::write(&house.config, format!("{text}\n[nonsense]\n")).expect("written");
    house.until("its refusal", |words| words.contains("the configuration is not used"));
    assert!(order(&house.socket, &places)["places"].is_array());
    fs::write(&house.config, text.replace("name = \"hook\"", "name = \"other\"")).expect("written");
    house.until("the new one", |words| words.contains("configuration loaded anew"));
    assert!(fault(&order(&house.socket, &places)).contains("no target of one is called `hook`"));
}

#[test]
fn nobody_else_is_heard_and_nothing_else_is_done() {
    let mut house = House::new("apart-wrong", &House::exec_tables(&["true"]));
    house.start();
    let mode = fs::metadata(&house.socket).expect("the socket").mode() & 0o777;
    assert_eq!(mode, 0o660);
    // Even where the file system would let them in, the kernel says who they are.
    fs::set_permissions(&house.socket, fs::Permissions::from_mode(0o666)).expect("opened");
    let (config, data) = (house.config.display().to_string(), house.lab.subfolder("stranger"));
    chown(&data, Some(1), Some(1)).expect("theirs");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("closed");
    let stranger = house
        .ask_as((1, 1), &["rehearse", "one", "--config", &config, "--data", &data.display().to_string()]);
    assert!(stranger.out.contains("the account 1 may not ask"), "{}\n{}", stranger.out, stranger.err);

    let key =
        order(&house.socket, &json!({"do": "key", "names": [{"dns": "one.test"}], "key": "ecdsa-p256"}));
    let (handle, csr) = wire::made(&key);
    let chain = signed(&house.lab, &csr, "one.test");
    let deploy = |certificate: &str, target: &str, chain: &[String], key: &str| {
        order(
            &house.socket,
            &json!({"do": "deploy", "certificate": certificate, "target": target, "generation": 1, "chain": chain, "key": key}),
        )
    };
    let done = deploy("one", "hook", &chain, &handle);
    assert!(done["deployed"].is_object(), "{done}");
    let other = wire::made(&order(
        &house.socket,
        &json!({"do": "key", "names": [{"dns": "two.test"}], "key": "ecdsa-p256"}),
    ));
    for (answer, why) in [
        (deploy("three", "hook", &chain, &handle), "no certificate is called `three`"),
        (deploy("one", "../hook", &chain, &handle), "no target of one is called"),
        // The key of one never goes where the other's goes.
        (deploy("two", "hook two", &chain, &handle), "is not kept here"),
        (deploy("two", "hook two", &chain, &other.0), "it is for another key"),
        (deploy("one", "hook", &signed(&house.lab, &csr, "evil.test"), &handle), "it is not for one.test"),
        (deploy("one", "hook", &chain[..1], &handle), "no CA certificate came with it"),
        (deploy("one", "hook", &chain, "0123.4567"), "is not kept here"),
        (
            order(&house.socket, &json!({"do": "key", "names": [{"dns": "evil.test"}], "key": "ecdsa-p256"})),
            "no certificate has these names",
        ),
        (
            order(
                &house.socket,
                &json!({"do": "roll-back", "certificate": "one", "target": "hook", "generation": 9}),
            ),
            "nothing was installed here",
        ),
        (
            order(
                &house.socket,
                &json!({"do": "roll-back", "certificate": "one", "target": "hook", "generation": 1, "undo": {"name": "x"}}),
            ),
            "no order",
        ),
        (order(&house.socket, &json!({"do": "run", "command": ["touch", "/tmp/x"]})), "no order"),
    ] {
        assert!(fault(&answer).contains(why), "{why}: {answer}");
    }
    let challenge = |identifier: &str, token: &str| {
        let authorization = format!("{token}.{}", "b".repeat(43));
        json!({"do": "present", "certificate": "one", "challenge": {"identifier": {"dns": identifier}, "kind": "http-01", "token": token, "key_authorization": authorization}})
    };
    let good = "a".repeat(43);
    for (one, why) in [
        (challenge("evil.test", &good), "none of the names"),
        (challenge("one.test", "../../../../etc/cron.d/evil-file"), "the token is none"),
    ] {
        let answer = order(&house.socket, &one);
        assert!(fault(&answer).contains(why), "{why}: {answer}");
    }
    // What is right is done: shown, and taken back by a name that leads nowhere else.
    let shown = order(&house.socket, &challenge("one.test", &good));
    let file = house.root.join(".well-known/acme-challenge").join(&good);
    assert!(file.is_file(), "{shown}");
    let wrong =
        order(&house.socket, &json!({"do": "clean-up", "certificate": "one", "handle": "/etc/passwd"}));
    assert!(wrong == json!("done") && file.is_file(), "{wrong}");
    let gone =
        order(&house.socket, &json!({"do": "clean-up", "certificate": "one", "handle": shown["shown"]}));
    assert!(gone == json!("done") && !file.exists(), "{gone}");
}

/// Whoever puts a socket of their own in that place would make our keys; an account that the site chose is named.
#[test]
fn a_stranger_behind_the_socket_is_not_asked() {
    let mut house = House::new("apart-stranger", &House::exec_tables(&["true"]));
    let theirs = house.lab.subfolder("theirs");
    for folder in [theirs.as_path(), house.socket.parent().expect("a folder")] {
        chown(folder, Some(1), Some(1)).expect("theirs");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("set");
    }
    house.state = theirs.join("state");
    house.acts_as = Some((1, NOBODY.1));
    house.start();
    let doctor = house.ask(&["doctor", "--json"]);
    assert!(
        doctor.out.contains("is a process of the account 1, and not the one that installs here"),
        "{}",
        doctor.out
    );
    let text = fs::read_to_string(&house.config).expect("the configuration");
    fs::write(&house.config, text.replace("user = \"nobody\"", "user = \"nobody\"\nruns_as = \"1\""))
        .expect("written");
    let doctor = house.ask(&["doctor", "--json"]);
    assert!(doctor.out.contains("act.sock answers"), "{}", doctor.out);
    // It obeys a file that its own account could change, too, and none of anybody else.
    chown(&house.config, Some(1), None).expect("given away");
    let places = json!({"do": "places", "certificate": "one", "target": "hook"});
    assert!(order(&house.socket, &places)["places"].is_array());
    chown(&house.config, Some(2), None).expect("given away");
    assert!(fault(&order(&house.socket, &places)).contains("belongs to the account 2"));
}

#[test]
fn garbage_and_floods_are_bounded() {
    let mut house = House::new("apart-flood", &House::exec_tables(&["true"]));
    house.start();
    let greet = || order(&house.socket, &json!({"do": "greet"}));
    assert!(greet()["here"].is_string());
    let raw = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&house.socket).expect("let in");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a bound");
        let _ = stream.write_all(bytes);
        wire::read(&mut stream)
    };
    let long = [0xff_u8; 64];
    assert!(raw(&long).is_some_and(|a| fault(&a).contains("are the most")));
    assert!(raw(&[0, 0, 0, 4, b'n', b'u', b'l', b'l']).is_some_and(|a| fault(&a).contains("no order")));
    let deep = [&200_000_u32.to_be_bytes()[..], &b"[".repeat(200_000)].concat();
    assert!(raw(&deep).is_some_and(|a| fault(&a).contains("no order")));
    let mut seed = 7_u64;
    for length in 0..200_u32 {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            })
            .collect();
        assert!(raw(&[&length.to_be_bytes()[..], &noise].concat()).is_some());
    }
    // Halves that say no more: as many as are read at once, and more that wait behind them.
    let size = house.resident();
    let mut half: Vec<UnixStream> = Vec::new();
    for _ in 0..100 {
        let Ok(mut stream) = UnixStream::connect(&house.socket) else { break };
        let _ = stream.write_all(&[0, 3, 0, 0, b'{']);
        half.push(stream);
    }
    let begun = Instant::now();
    assert!(greet()["here"].is_string(), "{}", house.words());
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(house.resident() < size + 32_000, "{} kB, {size} kB before", house.resident());
    drop(half);
    assert!(!house.words().contains("panicked"), "{}", house.words());
    assert_eq!(house.stop(), 0, "{}", house.words());
    assert!(!house.socket.exists());
}

#[test]
fn one_target_at_a_time_and_a_hook_that_hangs_keeps_nobody_else() {
    let trace = std::env::temp_dir().join(format!("notafter-apart-trace-{}", std::process::id()));
    let _ = fs::remove_file(&trace);
    let slow = format!("echo begin >> {0}; sleep 0.4; echo end >> {0}", trace.display());
    let mut house = House::new("apart-turns", &House::exec_tables(&["sh", "-c", &slow]));
    let text = fs::read_to_string(&house.config).expect("the configuration");
    let hangs = text.replacen(
        "name = \"hook two\"\ncommand = [\"true\"]",
        "name = \"hook two\"\ncommand = [\"sleep\", \"40\"]",
        1,
    );
    assert_ne!(hangs, text);
    fs::write(&house.config, hangs).expect("written");
    house.start();
    let prepared = |name: &str, target: &str| {
        let names = json!([{"dns": format!("{name}.test")}]);
        let (handle, csr) =
            wire::made(&order(&house.socket, &json!({"do": "key", "names": names, "key": "ecdsa-p256"})));
        let chain = signed(&house.lab, &csr, &format!("{name}.test"));
        json!({"do": "deploy", "certificate": name, "target": target, "generation": 1, "chain": chain, "key": handle})
    };
    let (one, two) = (prepared("one", "hook"), prepared("two", "hook two"));
    let socket = house.socket.clone();
    let hanging = std::thread::spawn(move || order(&socket, &two));
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    let both: Vec<Value> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(|| order(&house.socket, &one))).collect();
        asked.into_iter().map(|t| t.join().expect("answered")).collect()
    });
    assert!(both.iter().all(|a| a["deployed"].is_object()), "{both:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let lines = fs::read_to_string(&trace).expect("the trace");
    assert_eq!(lines.lines().collect::<Vec<_>>(), ["begin", "end"].repeat(3), "one after the other");
    // Too many for one target are sent away, and are told so.
    let many: Vec<Value> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|_| scope.spawn(|| order(&house.socket, &one))).collect();
        asked.into_iter().map(|t| t.join().expect("answered")).collect()
    });
    assert!(many.iter().any(|a| fault(a).contains("too many wait")), "{many:?}");
    assert!(many.iter().any(|a| a["deployed"].is_object()), "{many:?}");

    // Killed in the middle of one, and asked again: it is done.
    let hard = std::thread::scope(|scope| {
        let asked = scope.spawn(|| order(&house.socket, &one));
        std::thread::sleep(Duration::from_millis(200));
        house.kill();
        asked.join().expect("answered or not")
    });
    assert_eq!(hard, Value::Null, "it was killed before it could answer");
    let _ = hanging.join();
    house.start();
    let again = order(&house.socket, &one);
    assert!(again["deployed"].is_object(), "{again}\n{}", house.words());
    // Told to end, it ends what it began.
    let last = std::thread::scope(|scope| {
        let asked = scope.spawn(|| order(&house.socket, &one));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(house.term(), 0);
        asked.join().expect("answered")
    });
    assert!(last["deployed"].is_object(), "{last}");
    let _ = fs::remove_file(&trace);
}

/// The list that lies there, as openssl reads it.
fn list(file: &std::path::Path) -> String {
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["crl", "-noout", "-text", "-inform", "DER", "-in"]).arg(file);
    let ran = openssl.output().expect("openssl runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn the_revocation_list_is_written_by_act_where_only_root_may() {
    let ca = "[[issuer]]\nname = \"house\"\nkind = \"ca\"\nnames = [\"*.test\"]\ncrl_file = \"WEBROOT/house.crl\"\n";
    let mut house = House::new("apart-lists", ca);
    let file = house.root.join("house.crl");
    assert!(!house.shell_as(NOBODY, &format!("echo x > {}", file.display())).success());
    let made = house.ask(&["ca", "init", "--json"]);
    assert_eq!(made.code, 0, "{}\n{}", made.out, made.err);
    // Nobody writes it as long as nobody is there who may.
    let mut serving = house.serve();
    let shown = || house.ask(&["ca", "show"]).out;
    let begun = Instant::now();
    while !shown().contains("`notafter act`, which installs here") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", shown());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(!file.exists());
    let _ = serving.kill();
    let _ = serving.wait();
    house.start();
    let mut serving = house.serve();
    house.until("the list", |_| file.exists());
    let _ = serving.kill();
    let _ = serving.wait();
    let about = fs::metadata(&file).expect("it is there");
    assert_eq!((about.uid(), about.mode() & 0o777), (0, 0o644));
    assert!(list(&file).contains("No Revoked Certificates"), "{}", list(&file));
    let first = fs::read(&file).expect("the list");
    // Lists are told apart by seconds.
    std::thread::sleep(Duration::from_millis(1_100));
    let folder = house.data.display().to_string();
    let issued = house.ask(&["ca", "issue", "--names", "a.test", "--out", &folder, "--json"]);
    assert_eq!(issued.code, 0, "{}\n{}", issued.out, issued.err);
    let serial = json(&issued)["serial"].as_str().expect("a serial number").to_owned();
    let revoked = house.ask(&["ca", "revoke", "--serial", &serial, "--reason", "superseded", "--json"]);
    assert_eq!(revoked.code, 0, "{}\n{}", revoked.out, revoked.err);
    assert!(list(&file).contains(&serial.to_uppercase()), "{serial}: {}", list(&file));
    assert!(house.words().contains("publish house: done"), "{}", house.words());
    // Whoever has the process without rights names no file, and brings nothing else and nothing older.
    let now = fs::read(&file).expect("the list");
    let hexed = |der: &[u8]| notafter_pki::fingerprint::hex(der);
    let publish = |issuer: &str, lists: [&[u8]; 2]| json!({"do": "publish", "issuer": issuer, "lists": [hexed(lists[0]), hexed(lists[1])]});
    let mut elsewhere = publish("house", [&now, &now]);
    elsewhere["file"] = json!("/etc/cron.d/evil");
    for (asked, why) in [
        (publish("house", [b"* * * * * root touch /tmp/x\n", &now]), "is no revocation list"),
        (publish("house", [&now, b"x"]), "is no revocation list"),
        (publish("house", [&first, &first]), "is younger"),
        (publish("../house", [&now, &now]), "no CA called"),
        (elsewhere, "no order"),
    ] {
        let answer = order(&house.socket, &asked);
        assert!(fault(&answer).contains(why), "{why}: {answer}");
    }
    assert_eq!(order(&house.socket, &publish("house", [&now, &now])), json!("done"), "the same again");
    assert_eq!(fs::read(&file).expect("the list"), now);
    // Where others could turn the folder, root does not write.
    fs::set_permissions(&house.root, fs::Permissions::from_mode(0o777)).expect("opened");
    let answer = order(&house.socket, &publish("house", [&now, &now]));
    assert!(fault(&answer).contains("may be written to by others"), "{answer}");
}

#[test]
fn with_two_processes_the_server_writes_nothing_outside_its_folder() {
    let csr = "[[issuer]]\nname = \"office\"\nkind = \"csr\"\nfolder = \"WEBROOT/requests\"\n\
               [[certificate]]\nname = \"web\"\nnames = [\"web.test\"]\nissuer = \"office\"\n";
    let house = House::new("apart-inside", csr);
    let refused = |arguments: &[&str], words: &str| {
        let run = house.ask(arguments);
        let all = run.err.replace('\n', " ");
        assert!(run.code == 2 && all.contains(words) && all.contains("hint: "), "{arguments:?}: {}", run.err);
    };
    for arguments in [&["config", "check"][..], &["renew", "web"], &["serve"]] {
        refused(arguments, "lies outside the data folder");
    }
    assert!(!house.root.join("requests").exists());
    // Below the folder that the file names it may lie; not by way of `..`.
    let text = fs::read_to_string(&house.config).expect("the configuration");
    let data = house.data.display().to_string();
    let set = |folder: &str| {
        let outside = format!("{}/requests", house.root.display());
        let text = text.replace(&outside, folder);
        let text = text.replace("[server]\n", &format!("[server]\ndata = \"{data}\"\n"));
        fs::write(&house.config, text).expect("written");
    };
    set(&format!("{data}/../webroot"));
    refused(&["config", "check"], "lies outside the data folder");
    set(&format!("{data}/requests"));
    let right = house.ask(&["config", "check"]);
    assert_eq!(right.code, 0, "{}\n{}", right.out, right.err);
    // Nor is a token made elsewhere.
    let token = house.root.join("token");
    let text = fs::read_to_string(&house.config).expect("the configuration");
    let text = text.replace("[server]\n", &format!("[server]\ntoken_file = \"{}\"\n", token.display()));
    fs::write(&house.config, text).expect("written");
    refused(&["serve"], "none is made outside the data folder");
    assert!(!token.exists());
}
