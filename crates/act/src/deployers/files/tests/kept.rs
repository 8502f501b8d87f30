//! What is kept: owners, modes, links, the last two generations; and what is refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use notafter_core::deployment::{Bundle, Trial};
use notafter_core::fault::Retry;
use notafter_core::issuance::{Identifier, KeyType};
use notafter_core::joints::Deployer;
use serde_json::json;

use super::super::Files;
use super::support::{Bench, bundle, cx, deploy, files, loose, pair, run};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn owner_and_mode_are_those_of_what_was_there() {
    let bench = Bench::new("owner", 2);
    let folder = bench.folder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    deploy(&files(json!({ "certificate": certificate, "key": key })), &bench.bundle(1)).unwrap();
    assert_eq!((mode(&certificate), mode(&key)), (0o644, 0o600));
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    chown(&key, Some(0), Some(7)).unwrap();
    chown(&certificate, Some(33), Some(33)).unwrap();
    deploy(&files(json!({ "certificate": certificate, "key": key })), &bench.bundle(2)).unwrap();
    let meta = (key.metadata().unwrap(), certificate.metadata().unwrap());
    assert_eq!((mode(&key), meta.0.uid(), meta.0.gid()), (0o640, 0, 7));
    assert_eq!((mode(&certificate), meta.1.uid(), meta.1.gid()), (0o644, 33, 33));
    // What is said counts more than what is there.
    let said =
        json!({ "certificate": certificate, "key": key, "owner": "www-data", "group": "0", "mode": "0400" });
    deploy(&files(said), &bundle(&bench.leaves[0], 3)).unwrap();
    let meta = key.metadata().unwrap();
    assert_eq!((mode(&key), meta.uid(), meta.gid()), (0o400, 33, 0));
}

#[test]
fn labels_and_access_lists_are_kept() {
    let bench = Bench::new("labels", 2);
    let folder = bench.folder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let table = || json!({ "certificate": certificate, "key": key });
    deploy(&files(table()), &bench.bundle(1)).unwrap();
    // An access list as the kernel keeps it: version 2, then owner rw, account 33 r, group none, mask r, others none.
    let entry = |tag: u16, bits: u16, id: u32| {
        [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let list = [
        2u32.to_le_bytes().to_vec(),
        entry(1, 6, none),
        entry(2, 4, 33),
        entry(4, 0, none),
        entry(16, 4, none),
        entry(32, 0, none),
    ]
    .concat();
    let name = "system.posix_acl_access";
    if rustix::fs::setxattr(&key, name, &list, rustix::fs::XattrFlags::empty()).is_err() {
        notafter_lab::NotRun::new("access lists", "the file system has none").report();
        return;
    }
    // Without SELinux in the kernel its label is an attribute like others, if root may set it.
    let label = ("security.selinux", b"system_u:object_r:cert_t:s0\0");
    let labelled = rustix::fs::setxattr(&key, label.0, label.1, rustix::fs::XattrFlags::empty()).is_ok();
    deploy(&files(table()), &bench.bundle(2)).unwrap();
    if labelled {
        let mut read = vec![0; 1024];
        let length = rustix::fs::getxattr(&key, label.0, read.as_mut_slice()).expect("the label was kept");
        assert_eq!(&read[..length], label.1);
    } else {
        notafter_lab::NotRun::new("SELinux labels", "the file system takes none").report();
    }
    let mut read = vec![0; 1024];
    let length = rustix::fs::getxattr(&key, name, read.as_mut_slice()).expect("the list was kept");
    assert_eq!(&read[..length], list);
}

#[test]
fn the_last_two_generations_are_kept_and_the_same_again_changes_nothing() {
    let bench = Bench::new("two", 3);
    let folder = bench.folder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let files = files(json!({ "certificate": certificate, "key": key }));
    for generation in 1..=3 {
        let first = deploy(&files, &bench.bundle(generation)).unwrap();
        let inode = key.metadata().unwrap().ino();
        assert_eq!(deploy(&files, &bench.bundle(generation)).unwrap(), first);
        assert_eq!(key.metadata().unwrap().ino(), inode, "written again");
    }
    let store = folder.join(".api.key.notafter");
    let mut kept: Vec<_> =
        std::fs::read_dir(&store).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    kept.sort();
    assert_eq!(kept, ["current", "gen-2", "gen-3", "loaded"]);
    assert_eq!(mode(&store.join("gen-3/privkey.pem")), 0o600);
    // Somebody overwrites a file: the same generation puts it right, and the receipt is that of the first time.
    std::fs::write(&certificate, "gone").unwrap();
    let again = deploy(&files, &bench.bundle(3)).unwrap();
    assert_eq!(pair(&certificate, &key).unwrap(), bench.bundle(3).fingerprint().unwrap().to_string());
    assert_eq!(again.before.unwrap().fingerprint, bench.bundle(2).fingerprint().unwrap().to_string());
}

#[test]
fn a_check_that_fails_puts_the_old_pair_back_and_says_what_it_printed() {
    let bench = Bench::new("check", 2);
    let folder = bench.folder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let seen = folder.join("seen");
    let good = script("good", "exit 0");
    let bad = script(
        "bad",
        &format!(
            "cp {} {}\nprintf 'emerg:\\033[31m no\\n' >&2\nexit 1",
            certificate.display(),
            seen.display()
        ),
    );
    let reloaded = folder.join("reloaded");
    let reload = script("reload", &format!("env > {}", reloaded.display()));
    let table = |check: &Path| json!({ "certificate": certificate, "key": key, "check": [check], "reload": [reload] });
    deploy(&files(table(&good)), &bench.bundle(1)).unwrap();
    let environment = std::fs::read_to_string(&reloaded).unwrap();
    for line in [
        "RENEWED_DOMAINS=api.example.com 127.0.0.1",
        "LEGO_HOOK_CERT_DOMAINS=api.example.com,127.0.0.1",
        "NOTAFTER_GENERATION=1",
        "LEGO_CERT_DOMAIN=api.example.com",
        "LEGO_HOOK_CERT_KEY_TYPE=EC256",
        &format!("LEGO_CERT_PATH={}", certificate.display()),
        &format!("RENEWED_LINEAGE={}", folder.join(".api.key.notafter/gen-1").display()),
    ] {
        assert!(environment.lines().any(|l| l == line), "{line} is not in\n{environment}");
    }
    assert!(!environment.contains("CARGO"), "the environment is made anew");
    std::fs::remove_file(&reloaded).unwrap();
    let fault = deploy(&files(table(&bad)), &bench.bundle(2)).unwrap_err();
    let text = fault.to_string();
    assert!(text.starts_with("the check failed, what was there before is in force again."), "{text}");
    assert!(text.contains("emerg:") && !text.contains('\u{1b}'), "{text}");
    assert_eq!(pair(&certificate, &key).unwrap(), bench.bundle(1).fingerprint().unwrap().to_string());
    // The check had looked at the new one, and nothing was reloaded.
    assert_ne!(std::fs::read(&seen).unwrap(), std::fs::read(&certificate).unwrap());
    assert!(!reloaded.exists());
    assert_eq!(loose(&folder), Vec::<String>::new());
    // The cause removed, the same generation is deployed.
    deploy(&files(table(&good)), &bench.bundle(2)).unwrap();
    assert!(reloaded.exists());
}

#[test]
fn a_check_that_fails_on_a_first_installation_leaves_nothing() {
    let bench = Bench::new("first", 1);
    let folder = bench.folder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    for layout in ["in-place", "generations"] {
        let at = |name: &str| {
            if layout == "in-place" { folder.join(name) } else { folder.join("g/current").join(name) }
        };
        let table = json!({ "layout": layout, "certificate": at("api.pem"), "key": at("api.key"), "check": ["false"] });
        deploy(&files(table), &bench.bundle(1)).unwrap_err();
        assert!(!at("api.pem").exists() && !at("api.key").exists(), "{layout}");
    }
    assert!(!certificate.is_symlink() && !key.is_symlink());
}

#[test]
fn a_command_that_hangs_or_floods_is_ended() {
    let bench = Bench::new("hang", 1);
    let folder = bench.folder("tls");
    let table =
        json!({ "combined": folder.join("api.pem"), "check": ["sleep", "600"], "check_timeout": "1s" });
    let text = deploy(&files(table), &bench.bundle(1)).unwrap_err().to_string();
    assert!(text.contains("was not done after 1 s and was killed"), "{text}");
    let table = json!({ "combined": folder.join("api.pem"), "check": ["yes"], "check_timeout": "1s" });
    let text = deploy(&files(table), &bench.bundle(1)).unwrap_err().to_string();
    assert!(text.len() < 2000 && text.contains("y / y"), "{text}");
}

#[test]
fn nothing_is_rolled_back_to_one_that_has_ended_or_over_somebody_elses() {
    let bench = Bench::new("back", 2);
    let folder = bench.folder("tls");
    let authority = notafter_lab::Authority::new(&bench.lab);
    let dead = authority.issue(&notafter_lab::Request::new(&["api.example.com"]).expired(3).fresh_key());
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let files = files(json!({ "certificate": certificate, "key": key }));
    deploy(&files, &bundle(&dead, 1)).unwrap();
    let receipt = deploy(&files, &bench.bundle(2)).unwrap();
    let fault = run(files.roll_back(&cx(), &receipt)).unwrap_err();
    assert!(fault.to_string().contains("not rolled back") && fault.retry == Retry::Never, "{fault}");
    assert_eq!(pair(&certificate, &key).unwrap(), bench.bundle(2).fingerprint().unwrap().to_string());
    let receipt = deploy(&files, &bundle(&bench.leaves[0], 3)).unwrap();
    // Somebody else installs another one meanwhile.
    std::fs::copy(&dead.fullchain_pem, &certificate).unwrap();
    let fault = run(files.roll_back(&cx(), &receipt)).unwrap_err();
    assert!(fault.to_string().contains("neither what was installed"), "{fault}");
    assert_eq!(std::fs::read(&certificate).unwrap(), std::fs::read(&dead.fullchain_pem).unwrap());
}

#[test]
fn links_stay_links() {
    let bench = Bench::new("links", 3);
    let folder = bench.folder("tls");
    // A link to a file elsewhere: the file is replaced.
    std::fs::create_dir(folder.join("real")).unwrap();
    symlink("real/api.pem", folder.join("api.pem")).unwrap();
    deploy(&files(json!({ "combined": folder.join("api.pem") })), &bench.bundle(1)).unwrap();
    assert!(folder.join("api.pem").is_symlink() && folder.join("real/api.pem").is_file());
    // Certbot's lineage: history stays, the links swing to the next number.
    let (live, archive) = (folder.join("live/api"), folder.join("archive/api"));
    for place in [&live, &archive] {
        std::fs::create_dir_all(place).unwrap();
    }
    let old = &bench.leaves[1];
    for (kind, from) in [("privkey", &old.key_pem), ("fullchain", &old.fullchain_pem)] {
        std::fs::copy(from, archive.join(format!("{kind}3.pem"))).unwrap();
        symlink(format!("../../archive/api/{kind}3.pem"), live.join(format!("{kind}.pem"))).unwrap();
    }
    let before = std::fs::read(archive.join("privkey3.pem")).unwrap();
    let (certificate, key) = (live.join("fullchain.pem"), live.join("privkey.pem"));
    let lineage = files(json!({ "fullchain": certificate, "key": key }));
    let receipt = deploy(&lineage, &bench.bundle(3)).unwrap();
    let text = |path: &Path| std::fs::read_link(path).unwrap().to_string_lossy().into_owned();
    assert_eq!(text(&key), "../../archive/api/privkey4.pem");
    assert_eq!(text(&certificate), "../../archive/api/fullchain4.pem");
    assert_eq!(std::fs::read(archive.join("privkey3.pem")).unwrap(), before);
    assert_eq!(pair(&certificate, &key).unwrap(), bench.bundle(3).fingerprint().unwrap().to_string());
    run(lineage.roll_back(&cx(), &receipt)).unwrap();
    assert_eq!(text(&key), "../../archive/api/privkey3.pem");
    assert_eq!(pair(&certificate, &key).unwrap(), bench.bundle(2).fingerprint().unwrap().to_string());
}

#[test]
fn places_that_others_could_turn_are_refused() {
    let bench = Bench::new("guard", 1);
    let folder = bench.folder("tls");
    let refused = |table: serde_json::Value, sign: &str| {
        let fault = deploy(&files(table), &bench.bundle(1)).unwrap_err();
        assert!(fault.to_string().contains(sign) && fault.hint.is_some(), "{fault}");
        assert_eq!(fault.retry, Retry::Never);
    };
    let open = folder.join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    refused(json!({ "combined": open.join("api.pem") }), "may be written to by others");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o1777)).unwrap();
    refused(json!({ "combined": open.join("api.pem") }), "may be written to by others");
    symlink(&folder, open.join("way")).unwrap();
    refused(json!({ "combined": open.join("way/api.pem") }), "is a link in a folder that everybody");
    let theirs = folder.join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(33), Some(33)).unwrap();
    refused(json!({ "combined": theirs.join("api.pem") }), "belongs to the account 33");
    deploy(&files(json!({ "combined": theirs.join("api.pem"), "owner": "33" })), &bench.bundle(1)).unwrap();
    // A link in it is theirs to turn.
    std::fs::create_dir(folder.join("mine")).unwrap();
    symlink(folder.join("mine"), theirs.join("way")).unwrap();
    refused(
        json!({ "combined": theirs.join("way/api.pem"), "owner": "33" }),
        "is a link that the account 33 may change",
    );
    // A program that others may change is not run.
    let script = folder.join("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o777)).unwrap();
    refused(json!({ "combined": folder.join("api.pem"), "check": [script] }), "may be changed by others");
    // Nor a script by root's interpreter, nor root's program by a link that they may turn.
    refused(
        json!({ "combined": folder.join("api.pem"), "check": ["sh", script] }),
        "may be changed by others",
    );
    symlink("/bin/true", theirs.join("true")).unwrap();
    refused(
        json!({ "combined": folder.join("api.pem"), "check": [theirs.join("true")] }),
        "may be changed by others",
    );
    assert!(!folder.join("api.pem").exists());
}

/// Whoever may make a folder somewhere may put a file of theirs into it: that makes it nobody's but theirs.
#[test]
fn a_file_that_is_there_vouches_for_a_folder_that_was_given_and_no_other() {
    let bench = Bench::new("vouch", 1);
    let folder = bench.folder("tls");
    let theirs = |above: &Path, mode: u32| {
        std::fs::create_dir(above).unwrap();
        std::fs::set_permissions(above, PermissionsExt::from_mode(mode)).unwrap();
        let own = above.join("own");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("api.pem"), "").unwrap();
        [own.clone(), own.join("api.pem")].iter().for_each(|path| chown(path, Some(33), Some(33)).unwrap());
        own.join("api.pem")
    };
    let planted = theirs(&folder.join("open"), 0o1777);
    let fault = deploy(&files(json!({ "combined": planted })), &bench.bundle(1)).unwrap_err();
    assert!(fault.to_string().contains("belongs to the account 33"), "{fault}");
    assert_eq!(std::fs::read(&planted).unwrap(), b"");
    let checks = run(files(json!({ "combined": planted })).rehearse(&cx()));
    assert!(checks.iter().any(|c| !c.works && c.because.contains("belongs to the account 33")), "{checks:?}");
    // One that root made, and gave away, is theirs; and one that somebody says is.
    let given = theirs(&folder.join("closed"), 0o755);
    deploy(&files(json!({ "combined": given })), &bench.bundle(1)).unwrap();
    assert_eq!((given.metadata().unwrap().uid(), mode(&given)), (33, 0o644));
    deploy(&files(json!({ "combined": planted, "owner": "33" })), &bench.bundle(1)).unwrap();
}

#[test]
fn a_check_that_fails_puts_nothing_back_that_has_ended() {
    let bench = Bench::new("check-ended", 2);
    let folder = bench.folder("tls");
    let authority = notafter_lab::Authority::new(&bench.lab);
    let dead = authority.issue(&notafter_lab::Request::new(&["api.example.com"]).expired(3).fresh_key());
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let table = |check: &str| json!({ "certificate": certificate, "key": key, "check": [check] });
    deploy(&files(table("true")), &bundle(&dead, 1)).unwrap();
    let fault = deploy(&files(table("false")), &bench.bundle(2)).unwrap_err();
    let said = fault.to_string();
    assert!(said.starts_with("the check failed; the new files stay"), "{said}");
    let new = bench.bundle(2).fingerprint().unwrap().to_string();
    assert_eq!(pair(&certificate, &key).unwrap(), new);
    assert_eq!(loose(&folder), Vec::<String>::new());
    // The cause removed, the same again is checked, and is done.
    let receipt = deploy(&files(table("true")), &bench.bundle(2)).unwrap();
    assert_eq!(receipt.before.unwrap().fingerprint, format!("sha256:{}", dead.sha256));
    assert_eq!(pair(&certificate, &key).unwrap(), new);
}

#[test]
fn a_way_back_that_is_not_taken_up_says_that_disk_and_server_may_differ() {
    let bench = Bench::new("apart", 2);
    let folder = bench.folder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let table = |check: &str, reload: &str| json!({ "certificate": certificate, "key": key, "check": [check], "reload": [reload] });
    deploy(&files(table("true", "true")), &bench.bundle(1)).unwrap();
    let old = bench.bundle(1).fingerprint().unwrap().to_string();
    for (check, reload, what) in [("false", "true", "the check"), ("true", "false", "the reload")] {
        let receipt = deploy(&files(table("true", "true")), &bench.bundle(2)).unwrap();
        let fault = run(files(table(check, reload)).roll_back(&cx(), &receipt)).unwrap_err();
        let said = fault.to_string();
        assert!(said.contains(&format!("those of before again, but {what} failed")), "{said}");
        assert!(fault.hint.as_deref().is_some_and(|h| h.contains("may differ")), "{fault:?}");
        assert_eq!(pair(&certificate, &key).unwrap(), old);
    }
    // Within one deployment, too.
    let fault = deploy(&files(table("true", "false")), &bench.bundle(2)).unwrap_err().to_string();
    assert!(fault.contains("the server may still run with the new ones"), "{fault}");
    assert_eq!(pair(&certificate, &key).unwrap(), old);
}

/// All that lies in a folder, with what it holds.
fn all(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            out.extend(all(&path));
        }
        out.push((path.clone(), std::fs::read(&path).unwrap_or_default()));
    }
    out.sort();
    out
}

#[test]
fn a_pair_is_tried_in_every_layout_and_nothing_of_it_is_left() {
    let bench = Bench::new("trial", 1);
    let (folder, other) = (bench.folder("tls"), bench.folder("other"));
    let password = bench.folder("secret").join("password");
    std::fs::write(&password, "passw0rd1").unwrap();
    let store = |name: &str, alias: &str| json!({ "path": folder.join(name), "password": { "file": password }, "alias": alias });
    let at = |name: &str| folder.join(name);
    let names = [Identifier::Dns("*.a.test".into()), Identifier::Ip([127, 0, 0, 1].into())];
    let tried = |table: serde_json::Value, kind: KeyType, issued: Option<&Bundle>| {
        let before = (all(&folder), all(&other));
        let (key, chain) = issued.map_or((None, &[][..]), |b| (Some(&b.key), &b.chain[..]));
        let trial = Trial { name: "api", names: &names, kind, key, chain };
        let mut checks = run(files(table).try_on(&cx(), &trial));
        assert_eq!((all(&folder), all(&other)), before, "something was left, or changed");
        assert_eq!(checks.len(), 1);
        checks.remove(0)
    };
    let all_forms = json!({
        "key": at("api.key"), "certificate": at("api.pem"), "chain": at("chain.pem"), "fullchain": other.join("full.pem"),
        "combined": at("all.pem"), "der": at("api.der"), "pkcs7": at("api.p7b"), "pkcs12": store("api.p12", "Twelve"),
        "jks": store("api.jks", "Tomcat"),
    });
    let generations = json!({ "layout": "generations", "key": at("g/current/api.key"), "certificate": at("g/current/api.pem") });
    let pkcs1 = json!({ "key": at("api.key"), "certificate": at("api.pem"), "key_format": "pkcs1", "owner": "33", "mode": "0640" });
    for (table, kind) in [
        (&all_forms, KeyType::EcdsaP256),
        (&all_forms, KeyType::Rsa2048),
        (&generations, KeyType::Ed25519),
        (&pkcs1, KeyType::Rsa2048),
    ] {
        let check = tried(table.clone(), kind, None);
        assert!(check.works && check.because.contains("one made for it"), "{check:?}");
    }
    let staged = bench.bundle(1);
    let check = tried(all_forms.clone(), KeyType::EcdsaP256, Some(&staged));
    assert!(check.works && check.because.contains("that staging issued"), "{check:?}");
    // Over what is in use, it is the same.
    deploy(&files(all_forms.clone()), &staged).unwrap();
    assert!(tried(all_forms, KeyType::EcdsaP384, None).works);
    // No server could be given that key in that form: the day of the renewal is not the day to learn it.
    let check = tried(pkcs1, KeyType::EcdsaP256, None);
    assert!(!check.works && check.because.contains("key_format") && check.hint.is_some(), "{check:?}");
}

#[test]
fn what_cannot_be_executed_is_said_by_a_rehearsal() {
    let bench = Bench::new("exec-bit", 1);
    let folder = bench.folder("tls");
    let script = folder.join("reload");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o644)).unwrap();
    let reload = || {
        let table = json!({ "combined": folder.join("api.pem"), "reload": [script] });
        run(files(table).rehearse(&cx())).into_iter().find(|c| c.what.starts_with("reload: ")).unwrap()
    };
    let check = reload();
    assert!(!check.works && check.because.contains("may not be executed"), "{check:?}");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(reload().works);
}

#[test]
fn a_bundle_whose_key_is_anothers_is_refused() {
    let bench = Bench::new("swapped", 2);
    let folder = bench.folder("tls");
    let mut swapped = bench.bundle(1);
    swapped.key = bench.bundle(2).key.clone();
    let fault = deploy(&files(json!({ "combined": folder.join("api.pem") })), &swapped).unwrap_err();
    assert!(fault.to_string().contains("does not belong to its certificate"), "{fault}");
    assert!(!folder.join("api.pem").exists());
}

#[test]
fn every_server_that_reads_the_files_is_checked_and_reloaded() {
    let bench = Bench::new("also", 2);
    let (folder, log) = (bench.folder("tls"), bench.folder("log").join("ran"));
    let note = |word: &str| {
        let path = bench.folder("bin").join(word);
        std::fs::write(
            &path,
            format!("#!/bin/sh\necho {word} >>{}\ntest ! -e {}.fails\n", log.display(), path.display()),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let (check, reload, check_2, reload_2) =
        (note("check"), note("reload"), note("check-2"), note("reload-2"));
    let table = json!({
        "combined": folder.join("api.pem"), "check": [check], "reload": [reload],
        "also": [{ "check": [check_2], "reload": [reload_2] }],
    });
    let ran = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(&log);
        text.lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    deploy(&files(table.clone()), &bench.bundle(1)).unwrap();
    assert_eq!(ran(), "check check-2 reload reload-2");
    let first = std::fs::read(folder.join("api.pem")).unwrap();
    // The other one would not start: nothing is reloaded, and what was there is there again.
    std::fs::write(check_2.with_extension("fails"), "").unwrap();
    let second = bundle(&bench.leaves[1], 2);
    assert!(deploy(&files(table.clone()), &second).is_err());
    assert_eq!(ran(), "check check-2");
    assert_eq!(std::fs::read(folder.join("api.pem")).unwrap(), first);
    // The first one does not reload: the other one is told of the new pair, and of the old one again.
    std::fs::remove_file(check_2.with_extension("fails")).unwrap();
    std::fs::write(reload.with_extension("fails"), "").unwrap();
    assert!(deploy(&files(table), &second).is_err());
    assert_eq!(ran(), "check check-2 reload reload-2 reload reload-2");
    assert_eq!(std::fs::read(folder.join("api.pem")).unwrap(), first);
    let error = Files::open(json!({ "combined": "/a.pem", "also": [{ "preset": "ngnix" }] })).err();
    assert!(error.is_some_and(|e| e.contains("did you mean `nginx`?")));
    let error = Files::open(json!({ "combined": "/a.pem", "also": [{ "reload": ["sh -c x"] }] })).err();
    assert!(error.is_some_and(|e| e.contains("each argument is a string")));
}

#[test]
fn what_is_in_place_is_checked_and_reloaded_again_and_not_written() {
    let bench = Bench::new("in-place-again", 2);
    for layout in ["in-place", "generations"] {
        let (folder, bin) = (bench.folder(layout), bench.folder(&format!("{layout}-bin")));
        let log = bin.join("ran");
        let note = |word: &str| {
            let path = bin.join(word);
            let body =
                format!("#!/bin/sh\necho {word} >>{}\ntest ! -e {}.fails\n", log.display(), path.display());
            std::fs::write(&path, body).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            path
        };
        let (check, reload) = (note("check"), note("reload"));
        let at = |name: &str| match layout {
            "in-place" => folder.join(name),
            _ => folder.join("g/current").join(name),
        };
        let (certificate, key) = (at("api.pem"), at("api.key"));
        let table = || {
            files(json!({
                "layout": layout, "certificate": certificate, "key": key, "check": [check], "reload": [reload],
            }))
        };
        let ran = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let _ = std::fs::remove_file(&log);
            text.lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        deploy(&table(), &bench.bundle(1)).unwrap();
        let receipt = deploy(&table(), &bench.bundle(2)).unwrap();
        assert_eq!(ran(), "check reload check reload", "{layout}");
        let stands =
            || [&certificate, &key].map(|p| (p.metadata().unwrap().ino(), std::fs::read(p).unwrap()));
        let before = stands();
        assert_eq!(deploy(&table(), &bench.bundle(2)).unwrap(), receipt, "{layout}");
        assert_eq!(ran(), "check reload", "{layout}");
        // The second time either fails: there is nothing to go back to, nothing is touched, and it is said.
        for (program, words, both) in
            [(&check, "the check failed", "check"), (&reload, "the reload failed", "check reload")]
        {
            let fails = program.with_extension("fails");
            std::fs::write(&fails, "").unwrap();
            let fault = deploy(&table(), &bench.bundle(2)).unwrap_err();
            let said = fault.to_string();
            assert!(said.starts_with(words) && said.contains("are left as they are"), "{layout}: {said}");
            assert!(!said.contains("in force again") && fault.hint.is_some(), "{layout}: {fault:?}");
            assert_eq!((ran().as_str(), stands()), (both, before.clone()), "{layout}");
            std::fs::remove_file(fails).unwrap();
        }
        // The cause gone, it is well again, and the way back leads where it led.
        assert_eq!(deploy(&table(), &bench.bundle(2)).unwrap(), receipt, "{layout}");
        run(table().roll_back(&cx(), &receipt)).unwrap();
        assert_eq!(pair(&certificate, &key).unwrap(), bench.bundle(1).fingerprint().unwrap().to_string());
        assert_eq!(loose(&folder), Vec::<String>::new(), "{layout}");
        std::fs::remove_dir_all(&bin).unwrap();
    }
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    for (table, sign) in [
        (json!({}), "has no file"),
        (json!({ "preset": "nginx" }), "nginx reads ssl_certificate"),
        (json!({ "preset": "ngnix" }), "did you mean `nginx`?"),
        (json!({ "certificat": "/a" }), "did you mean `certificate`?"),
        (json!({ "combined": "a.pem" }), "no absolute path"),
        (json!({ "combined": "/a/../b.pem" }), "no absolute path"),
        (json!({ "certificate": "/a.pem", "key": "/a.pem" }), "named twice"),
        (json!({ "combined": "/a.pem", "mode": "0644" }), "gives the key to everybody"),
        (json!({ "combined": "/a.pem", "mode": "rw" }), "is no mode"),
        (json!({ "combined": "/a.pem", "owner": "nobody-of-this-name" }), "there is no account"),
        (json!({ "combined": "/a.pem", "check": ["nginx -t"] }), "each argument is a string"),
        (json!({ "combined": "/a.pem", "check": [] }), "argument list"),
        (json!({ "combined": "/a.pem", "layout": "generations" }), "FOLDER/current/FILE"),
        (json!({ "certificate": "/a.pem", "haproxy_socket": "/run/x" }), "needs `combined`"),
        (json!({ "pkcs12": { "path": "/a.p12", "password": "x" } }), "hint: write { env"),
    ] {
        let error = Files::open(table.clone()).err().unwrap_or_else(|| panic!("{table} was taken"));
        assert!(error.contains(sign) && error.contains("hint:") || sign == "is no mode", "{table}: {error}");
    }
}

#[test]
fn a_rehearsal_says_what_would_fail() {
    let bench = Bench::new("rehearsal", 1);
    let folder = bench.folder("tls");
    let table = |check: &str| json!({ "combined": folder.join("api.pem"), "check": [check], "reload": ["no-such-program"] });
    let checks = run(files(table("true")).rehearse(&cx()));
    let works: Vec<bool> = checks.iter().map(|c| c.works).collect();
    assert_eq!(works, [true, true, false], "{checks:?}");
    assert!(std::fs::read_dir(&folder).unwrap().next().is_none(), "something was left");
    let checks = run(files(json!({ "combined": "/nonexistent/api.pem" })).rehearse(&cx()));
    assert!(!checks[0].works && checks[0].hint.is_some());
}
