//! Killed, or out of room, before every single effect: the pair is whole, and the next deployment ends well.

use std::path::Path;

use serde_json::{Value, json};

use super::support::{Bench, Faulty, deploy, faulty, files, loose, pair};

/// Deploys generation 1 in peace and 2 under `kill`, for every point at which it can be killed.
fn killed_everywhere(
    name: &str,
    table: impl Fn(&Path) -> Value,
    paths: impl Fn(&Path) -> [std::path::PathBuf; 2],
    judge: impl Fn(&Path, &str),
) {
    let bench = Bench::new(name, 2);
    let (old, new) = (bench.bundle(1), bench.bundle(2));
    let [old_print, new_print] = [&old, &new].map(|b| b.fingerprint().unwrap().to_string());
    let mut switched_at = None;
    for point in 0.. {
        let folder = bench.folder("point");
        let [certificate, key] = paths(&folder);
        deploy(&files(table(&folder)), &old).unwrap();
        assert_eq!(pair(&certificate, &key).unwrap(), old_print);
        let steps = Faulty::kill_at(point);
        let ended = deploy(&faulty(table(&folder), &steps), &new);
        let at = steps.seen().get(point).cloned().unwrap_or_default();
        // What a server that starts now would load.
        let seen = pair(&certificate, &key).unwrap_or_else(|e| panic!("killed before {at}: {e}"));
        match (seen == old_print, seen == new_print) {
            (true, _) => assert_eq!(switched_at, None, "killed before {at}: the old pair came back"),
            (_, true) => _ = switched_at.get_or_insert(point),
            _ => panic!("killed before {at}: neither pair"),
        }
        judge(&folder, at.as_str());
        // The next deployment finds its way, and ends with nothing lying about.
        let receipt = deploy(&files(table(&folder)), &new).unwrap_or_else(|e| panic!("after {at}: {e}"));
        assert_eq!(pair(&certificate, &key).unwrap(), new_print, "after {at}");
        assert_eq!(receipt.before.as_ref().unwrap().fingerprint, old_print, "after {at}");
        assert_eq!(loose(&folder), Vec::<String>::new(), "after {at}");
        if !folder.join("base").exists() {
            assert!(!certificate.is_symlink() && !key.is_symlink(), "after {at}");
        }
        // The way back leads there, too.
        let back = files(table(&folder));
        super::support::run(notafter_core::joints::Deployer::roll_back(
            &back,
            &super::support::cx(),
            &receipt,
        ))
        .unwrap();
        assert_eq!(pair(&certificate, &key).unwrap(), old_print, "back after {at}");
        if ended.is_ok() {
            assert!(point > 20, "only {point} effects were seen");
            assert!(switched_at.is_some_and(|s| s < point));
            return;
        }
    }
}

#[test]
fn a_kill_at_any_point_leaves_a_whole_pair_in_place() {
    let table =
        |folder: &Path| json!({ "certificate": folder.join("api.pem"), "key": folder.join("api.key") });
    killed_everywhere(
        "kill-in-place",
        table,
        |folder| [folder.join("api.pem"), folder.join("api.key")],
        nginx,
    );
}

/// Would nginx start with it?
fn nginx(folder: &Path, at: &str) {
    use notafter_lab::program;
    let Some(nginx) = notafter_lab::need(program::find("nginx")) else { return };
    let server = "server { listen 127.0.0.1:1 ssl; ssl_certificate api.pem; ssl_certificate_key api.key; }";
    std::fs::write(
        folder.join("n.conf"),
        format!("pid n.pid; events {{}} http {{ access_log off; {server} }}"),
    )
    .unwrap();
    let mut command = std::process::Command::new(nginx);
    command.args(["-t", "-c", "n.conf", "-e", "stderr", "-p"]).arg(folder);
    program::run(&mut command).unwrap_or_else(|e| panic!("killed before {at}: {e}"));
}

/// A folder in which one kind of change is refused and the others are not: what could not be taken away is put nowhere.
#[test]
fn one_kind_of_effect_refused_leaves_a_whole_pair_in_place() {
    let bench = Bench::new("refused", 2);
    let (old, new) = (bench.bundle(1), bench.bundle(2));
    let prints = [&old, &new].map(|bundle| bundle.fingerprint().unwrap().to_string());
    for kind in ["remove", "rename", "symlink", "link"] {
        for point in 0.. {
            let folder = bench.folder("refused");
            let [certificate, key] = [folder.join("api.pem"), folder.join("api.key")];
            let table = || json!({ "certificate": certificate, "key": key });
            deploy(&files(table()), &old).unwrap();
            let steps = Faulty::refused_from(point, kind);
            let ended = deploy(&faulty(table(), &steps), &new);
            let at = steps.seen().get(point).cloned().unwrap_or_default();
            let seen = pair(&certificate, &key).unwrap_or_else(|e| panic!("no {kind} from {at} on: {e}"));
            assert!(prints.contains(&seen), "no {kind} from {at} on");
            deploy(&files(table()), &new).unwrap_or_else(|e| panic!("after no {kind} from {at} on: {e}"));
            assert_eq!(pair(&certificate, &key).unwrap(), prints[1], "after no {kind} from {at} on");
            if ended.is_ok() && steps.seen().len() <= point {
                assert!(point > 20, "only {point} effects were seen");
                break;
            }
        }
    }
}

#[test]
fn the_steps_reach_the_disk_in_their_order() {
    let bench = Bench::new("barriers", 2);
    let folder = bench.folder("tls");
    std::fs::create_dir_all(folder.join("private")).unwrap();
    let table = || json!({ "certificate": folder.join("api.pem"), "key": folder.join("private/api.key") });
    deploy(&files(table()), &bench.bundle(1)).unwrap();
    let steps = Faulty::kill_at(usize::MAX);
    deploy(&faulty(table(), &steps), &bench.bundle(2)).unwrap();
    let seen = steps.seen();
    let at = |what: &str, path: &str| -> Vec<usize> {
        let whole = format!("{what} {}", folder.join(path).display());
        (0..seen.len()).filter(|i| seen[*i].trim_end_matches('/') == whole.trim_end_matches('/')).collect()
    };
    // A power failure keeps what was synced and loses what it likes of the rest.
    let store = "private/.api.key.notafter";
    let switch = *at("rename", &format!("{store}/current")).last().expect("a switch");
    for (file, place) in [("api.pem", ""), ("private/api.key", "private")] {
        let renames = at("rename", file);
        let [lend, settle] = renames[..] else { panic!("{file}: {renames:?}") };
        let syncs = at("sync folder", place);
        assert!(lend < switch && switch < settle, "{seen:#?}");
        assert!(syncs.iter().any(|s| (lend..switch).contains(s)), "{file}: lent and not on the disk");
        assert!(syncs.iter().any(|s| *s > settle), "{file}: settled and not on the disk");
        assert!(
            at("sync folder", store).iter().any(|s| (switch..settle).contains(s)),
            "switched and not on the disk"
        );
    }
    for (number, step) in seen.iter().enumerate() {
        // Every file is whole on the disk before its folder is renamed into place.
        if let Some(path) = step.strip_prefix("create ") {
            let synced = seen.iter().position(|s| *s == format!("sync file {path}")).expect("synced");
            assert!(synced > number && synced < switch || path.contains("loaded"), "{step}");
        }
    }
}

#[test]
fn two_at_once_are_one_after_the_other() {
    let bench = Bench::new("lock", 2);
    let folder = bench.folder("tls");
    let table = |check: &str| json!({ "combined": folder.join("api.pem"), "check": ["sleep", check] });
    let (slow, quick) = (files(table("3")), files(table("0")));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| deploy(&slow, &bench.bundle(1)));
        while !folder.join("api.pem").exists() {
            std::thread::yield_now();
        }
        let fault = deploy(&quick, &bench.bundle(2)).unwrap_err();
        assert!(fault.to_string().contains("another deployment is at work"), "{fault}");
        first.join().unwrap().unwrap();
    });
    deploy(&quick, &bench.bundle(2)).unwrap();
}

#[test]
fn a_kill_at_any_point_leaves_a_whole_pair_across_folders_and_formats() {
    let folders = |folder: &Path| {
        for name in ["certs", "private"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        [folder.join("certs/api.pem"), folder.join("private/api.key")]
    };
    let table = |folder: &Path| {
        let [certificate, key] = folders(folder);
        json!({
            "certificate": certificate,
            "key": key,
            "combined": folder.join("private/api-all.pem"),
            "der": folder.join("certs/api.der"),
        })
    };
    killed_everywhere("kill-folders", table, folders, |_, _| {});
}

#[test]
fn a_kill_at_any_point_leaves_a_whole_pair_in_one_file() {
    let table = |folder: &Path| json!({ "combined": folder.join("api.pem") });
    killed_everywhere(
        "kill-combined",
        table,
        |folder| [folder.join("api.pem"), folder.join("api.pem")],
        |_, _| {},
    );
}

#[test]
fn a_kill_at_any_point_leaves_a_whole_pair_in_generations() {
    let at = |folder: &Path, name: &str| folder.join("base/current").join(name);
    let table = move |folder: &Path| json!({ "layout": "generations", "certificate": at(folder, "c.pem"), "key": at(folder, "k.pem") });
    let paths = |folder: &Path| [folder.join("base/current/c.pem"), folder.join("base/current/k.pem")];
    killed_everywhere("kill-generations", table, paths, |_, _| {});
}

#[test]
fn a_kill_during_the_way_back_leaves_a_whole_pair() {
    use notafter_core::joints::Deployer;
    let bench = Bench::new("kill-back", 2);
    let (old, new) = (bench.bundle(1), bench.bundle(2));
    let prints = [&old, &new].map(|b| b.fingerprint().unwrap().to_string());
    for point in 0.. {
        let folder = bench.folder("point");
        let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
        let table = || json!({ "certificate": certificate, "key": key });
        deploy(&files(table()), &old).unwrap();
        let receipt = deploy(&files(table()), &new).unwrap();
        let steps = Faulty::kill_at(point);
        let ended = super::support::run(faulty(table(), &steps).roll_back(&super::support::cx(), &receipt));
        let seen = pair(&certificate, &key).unwrap();
        assert!(prints.contains(&seen));
        super::support::run(files(table()).roll_back(&super::support::cx(), &receipt)).unwrap();
        assert_eq!(pair(&certificate, &key).unwrap(), prints[0]);
        assert_eq!(loose(&folder), Vec::<String>::new());
        if ended.is_ok() {
            assert!(point > 8, "{point}");
            return;
        }
    }
}

#[test]
fn no_room_at_any_point_leaves_the_old_pair_and_no_file_of_ours() {
    let bench = Bench::new("full", 2);
    let (old, new) = (bench.bundle(1), bench.bundle(2));
    let [old_print, new_print] = [&old, &new].map(|b| b.fingerprint().unwrap().to_string());
    let mut failed = 0;
    for point in 0.. {
        let folder = bench.folder("point");
        let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
        let table = || json!({ "certificate": certificate, "key": key });
        deploy(&files(table()), &old).unwrap();
        let steps = Faulty::full_at(point);
        let ended = deploy(&faulty(table(), &steps), &new);
        let seen = pair(&certificate, &key).unwrap();
        let at = steps.seen().get(point).cloned().unwrap_or_default();
        let Err(fault) = ended else {
            if point >= steps.seen().len() {
                assert!(failed > 15, "{failed}");
                return;
            }
            // Where only cleaning up failed, the new pair is in force and that is success.
            assert_eq!(seen, new_print, "{at}");
            continue;
        };
        failed += 1;
        assert_eq!(fault.kind, notafter_core::fault::FaultKind::Exhausted, "{at}: {fault}");
        // Everything that takes room comes before the switch: after it there are only renames and removals.
        let takes_room = ["create", "write", "make", "symlink", "link"].iter().any(|k| at.starts_with(k));
        if takes_room && !at.contains("loaded") {
            assert_eq!(seen, old_print, "{at}");
            assert_eq!(loose(&folder), Vec::<String>::new(), "{at}");
            assert!(!certificate.is_symlink() && !key.is_symlink(), "{at}");
        }
        deploy(&files(table()), &new).unwrap();
        assert_eq!(pair(&certificate, &key).unwrap(), new_print, "{at}");
    }
}
