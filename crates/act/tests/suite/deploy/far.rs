//! The `ssh` deployer against a real sshd on loopback.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use notafter_core::deployment::Trial;
use notafter_core::fault::{FaultKind, Retry};
use notafter_core::issuance::{Identifier, KeyType};
use notafter_lab::sshd::{self, Sshd};
use notafter_lab::{Lab, NotRun, need, program};
use serde_json::{Value, json};

use super::{bundle, deployer, judge, leaves, run, script, text};

/// An sshd, and how to sign in.
pub(super) struct Far {
    server: Sshd,
    known: PathBuf,
    pub(super) folder: PathBuf,
}

pub(super) fn start(lab: &Lab, force: bool) -> Result<Far, NotRun> {
    let server = sshd::start(lab, force)?;
    Ok(Far { known: server.known_hosts(), folder: server.folder().to_owned(), server })
}

impl Far {
    pub(super) fn table(&self, more: Value) -> Value {
        let mut table = json!({
            "host": "127.0.0.1", "port": self.server.port(), "identity": self.server.identity(),
            "known_hosts": self.known, "timeout": "60s",
        });
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        table
    }
}

pub(super) fn same(a: &Path, b: &Path) -> bool {
    std::fs::read(a).unwrap() == std::fs::read(b).unwrap()
}

/// What lies in the folder of a target that should not.
pub(super) fn loose(folder: &Path) -> Vec<String> {
    let names =
        judge("find", &[text(folder), "-name", "*notafter-*", "-o", "-name", "draft", "-o", "-name", "next"]);
    names.lines().map(str::to_owned).collect()
}

#[test]
fn files_are_switched_checked_and_put_back_on_a_far_host() {
    let lab = Lab::new("deploy-ssh");
    let leaves = leaves(&lab, 4);
    let Some(far) = need(start(&lab, false)) else { return };
    // A name that a shell would trip over.
    let folder = lab.path().join("it's $(touch x) `here`");
    std::fs::create_dir(&folder).unwrap();
    let (certificate, key, chain) =
        (folder.join("api.pem"), folder.join("api.key"), folder.join("chain.pem"));
    let log = far.folder.join("log");
    let good = script(&far.folder, "good", &format!("printf '%s|' \"$@\" >>{}", text(&log)));
    let bad = script(&far.folder, "bad", "echo 'configuration is broken' >&2; exit 1");
    let table = |check: &Path, reload: &Path| {
        far.table(json!({
            "certificate": certificate, "key": key, "chain": chain,
            "check": [check, "it's", "$HOME", "two\nlines\n"], "reload": [reload],
        }))
    };
    let target = deployer("ssh", table(&good, &good));
    assert!(
        run(target.rehearse(&super::cx())).iter().all(|c| c.works),
        "{:?}",
        run(target.rehearse(&super::cx()))
    );
    std::fs::remove_file(&log).unwrap();
    let first = run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    assert!(first.before.is_none());
    assert!(
        same(&certificate, &leaves[0].cert_pem)
            && same(&key, &leaves[0].key_pem)
            && same(&chain, &leaves[0].chain_pem)
    );
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "it's|$HOME|two\nlines\n||", "check, then reload");
    assert_eq!(key.metadata().unwrap().mode() & 0o7777, 0o600);
    // Owner and mode of what is there are kept; the same again changes nothing.
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&key, Some(33), Some(33)).unwrap();
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    assert_eq!(receipt.before.as_ref().unwrap().fingerprint, format!("sha256:{}", leaves[0].sha256));
    let meta = key.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (33, 0o640));
    assert!(same(&key, &leaves[1].key_pem) && !key.is_symlink());
    std::fs::remove_file(&log).unwrap();
    assert_eq!(run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap(), receipt);
    assert_eq!(key.metadata().unwrap().ino(), meta.ino());
    // It is checked and reloaded all the same. Where that fails, there is nothing to put back, and that is said.
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "it's|$HOME|two\nlines\n||", "check, then reload");
    for (target, words) in [
        (deployer("ssh", table(&bad, &good)), "the check on 127.0.0.1 failed; this very pair was in place"),
        (deployer("ssh", table(&good, &bad)), "the reload on 127.0.0.1 failed; this very pair was in place"),
    ] {
        let fault = run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap_err().to_string();
        assert!(fault.contains(words) && fault.contains(": configuration is broken"), "{fault}");
        assert_eq!(key.metadata().unwrap().ino(), meta.ino());
        assert!(same(&certificate, &leaves[1].cert_pem) && same(&key, &leaves[1].key_pem));
    }
    assert_eq!(loose(&folder), Vec::<String>::new());
    // The way back, twice, and forth again.
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    assert!(same(&certificate, &leaves[0].cert_pem) && same(&key, &leaves[0].key_pem));
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    assert!(same(&certificate, &leaves[1].cert_pem) && same(&key, &leaves[1].key_pem));
    // A check that fails; a reload that fails.
    let once = script(
        &far.folder,
        "once",
        &format!(
            "[ -e {0} ] && exit; : >{0}; echo 'configuration is broken' >&2; exit 1",
            text(&far.folder.join("ran"))
        ),
    );
    let back = "what was there before is in force again: configuration is broken";
    for (target, words) in [
        (deployer("ssh", table(&bad, &good)), format!("the check on 127.0.0.1 failed, {back}")),
        (deployer("ssh", table(&good, &once)), format!("the reload on 127.0.0.1 failed, {back}")),
        // What it runs with then is not known, and not said to be known.
        (
            deployer("ssh", table(&good, &bad)),
            "the server may run with either: configuration is broken".to_owned(),
        ),
    ] {
        let fault = run(target.deploy(&super::cx(), &bundle(&leaves[2], 3))).unwrap_err().to_string();
        assert!(fault.contains(&words), "{fault}");
        assert!(same(&certificate, &leaves[1].cert_pem) && same(&key, &leaves[1].key_pem));
        assert_eq!(loose(&folder), Vec::<String>::new());
    }
    // Somebody else's files are left alone.
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[2], 3))).unwrap();
    std::fs::copy(&leaves[3].cert_pem, &certificate).unwrap();
    let fault = run(target.roll_back(&super::cx(), &receipt)).unwrap_err();
    assert!(
        fault.to_string().contains("neither what was installed") && fault.retry == Retry::Never,
        "{fault}"
    );
    assert!(!Path::new("x").exists() && !Path::new("/x").exists() && !folder.join("x").exists());
    let kept = judge("sh", &["-c", "ls \"$0\"", text(&folder.join(".api.key.notafter"))]);
    assert_eq!(kept.lines().filter(|l| l.starts_with("gen-")).count(), 2, "{kept}");
}

/// As root there the way to the files is judged as on this machine.
#[test]
fn a_way_that_others_could_turn_is_refused_on_a_far_host() {
    use std::os::unix::fs::{chown, symlink};
    let lab = Lab::new("deploy-ssh-guard");
    let leaves = leaves(&lab, 1);
    let Some(far) = need(start(&lab, false)) else { return };
    let folder = lab.subfolder("tls");
    let new = |path: &Path, mode: u32, owner: u32| {
        std::fs::create_dir(path).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        chown(path, Some(owner), Some(owner)).unwrap();
    };
    let deploy =
        |more: Value| run(deployer("ssh", far.table(more)).deploy(&super::cx(), &bundle(&leaves[0], 1)));
    let refused = |more: Value, sign: &str| {
        let rehearsed = run(deployer("ssh", far.table(more.clone())).rehearse(&super::cx()));
        assert!(rehearsed.iter().any(|c| !c.works && c.because.contains(sign)), "{sign}: {rehearsed:?}");
        let fault = deploy(more).unwrap_err().to_string();
        assert!(fault.contains(sign), "{sign}: {fault}");
    };
    let (open, sticky, theirs) = (folder.join("open"), folder.join("sticky"), folder.join("theirs"));
    new(&open, 0o777, 0);
    new(&open.join("in"), 0o755, 0);
    refused(json!({ "combined": open.join("in/api.pem") }), "others may write to");
    new(&folder.join("group"), 0o775, 0);
    chown(folder.join("group"), None, Some(33)).unwrap();
    refused(json!({ "combined": folder.join("group/api.pem") }), "others may write to");
    new(&theirs, 0o755, 33);
    refused(json!({ "combined": theirs.join("api.pem") }), "belongs to the account 33");
    deploy(json!({ "combined": theirs.join("api.pem"), "owner": "33" })).unwrap();
    // A link is for root to set: neither on the way nor at its end is one of theirs followed.
    new(&folder.join("mine"), 0o755, 0);
    symlink(folder.join("mine"), theirs.join("way")).unwrap();
    refused(
        json!({ "combined": theirs.join("way/api.pem"), "owner": "33" }),
        "a link that the account 33 may change",
    );
    symlink(folder.join("mine/end.pem"), theirs.join("end.pem")).unwrap();
    refused(
        json!({ "combined": theirs.join("end.pem"), "owner": "33" }),
        "a link that the account 33 may change",
    );
    // Who may make folders may make one that looks like a server's own.
    new(&sticky, 0o1777, 0);
    new(&sticky.join("own"), 0o755, 33);
    std::fs::write(sticky.join("own/api.pem"), "").unwrap();
    chown(sticky.join("own/api.pem"), Some(33), Some(33)).unwrap();
    refused(json!({ "combined": sticky.join("own/api.pem") }), "belongs to the account 33");
    new(&sticky.join("roots"), 0o755, 0);
    symlink(folder.join("mine"), sticky.join("roots/way")).unwrap();
    symlink("../../theirs/own.pem", folder.join("mine/link.pem")).unwrap();
    refused(json!({ "combined": folder.join("mine/link.pem") }), "leads nowhere");
    deploy(json!({ "combined": sticky.join("roots/way/api.pem") })).unwrap();
    assert!(same_pair(&folder.join("mine/api.pem"), &leaves[0].cert_pem));
    // A folder that was given, with a file in it that is theirs.
    new(&folder.join("given"), 0o755, 33);
    std::fs::write(folder.join("given/api.pem"), "").unwrap();
    chown(folder.join("given/api.pem"), Some(33), Some(33)).unwrap();
    deploy(json!({ "combined": folder.join("given/api.pem") })).unwrap();
}

/// Does the first hold all of the second?
fn same_pair(whole: &Path, part: &Path) -> bool {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    read(whole).contains(read(part).trim())
}

#[test]
fn a_pair_is_tried_on_a_far_host_and_nothing_of_it_is_left() {
    let lab = Lab::new("deploy-ssh-trial");
    let leaves = leaves(&lab, 2);
    let Some(far) = need(start(&lab, false)) else { return };
    let folder = lab.subfolder("tls");
    let secret = lab.path().join("password");
    std::fs::write(&secret, "passw0rd1").unwrap();
    let store = |name: &str| json!({ "path": folder.join(name), "password": { "file": secret } });
    let table = json!({
        "key": folder.join("api.key"), "certificate": folder.join("api.pem"), "chain": folder.join("chain.pem"),
        "combined": folder.join("all.pem"), "pkcs12": store("api.p12"), "jks": store("api.jks"), "der": folder.join("api.der"),
    });
    let names = [Identifier::Dns("a.test".into())];
    let tried = |table: &Value, kind: KeyType| {
        let target = deployer("ssh", far.table(table.clone()));
        let trial = Trial { name: "api", names: &names, kind, key: None, chain: &[] };
        run(target.try_on(&super::cx(), &trial)).remove(0)
    };
    let shown = || {
        judge(
            "sh",
            &["-c", "cd \"$0\" && ls -A && ls -ln --time-style=full-iso *.* && sha256sum *.*", text(&folder)],
        )
    };
    let target = deployer("ssh", far.table(table.clone()));
    run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    let before = shown();
    let check = tried(&table, KeyType::EcdsaP256);
    assert!(check.works && check.because.contains("read back whole"), "{check:?}");
    assert_eq!(shown(), before);
    assert_eq!(loose(&folder), Vec::<String>::new());
    // What could not be installed is said, and leaves as little.
    let mut wrong = table.clone();
    wrong["key_format"] = json!("pkcs1");
    let check = tried(&wrong, KeyType::EcdsaP256);
    assert!(!check.works && check.because.contains("key_format"), "{check:?}");
    wrong["key_format"] = json!("pkcs8");
    wrong["owner"] = json!("no-such-account");
    let check = tried(&wrong, KeyType::EcdsaP256);
    assert!(!check.works && check.because.contains("no-such-account"), "{check:?}");
    assert_eq!(loose(&folder), Vec::<String>::new());
    // A reload that could not be run is a no; one that could is said.
    let rehearsed = |reload: &Path| {
        let mut table = table.clone();
        table["reload"] = json!([reload]);
        run(deployer("ssh", far.table(table)).rehearse(&super::cx())).remove(0)
    };
    let reload = script(&far.folder, "reload", "exit 0");
    let check = rehearsed(&reload);
    assert!(check.works && check.because.contains("the reload is there"), "{check:?}");
    std::fs::set_permissions(&reload, PermissionsExt::from_mode(0o644)).unwrap();
    let check = rehearsed(&reload);
    assert!(!check.works && check.because.contains("the reload cannot be run"), "{check:?}");
}

#[test]
fn one_that_has_ended_is_put_back_nowhere() {
    let lab = Lab::new("deploy-ssh-ended");
    let authority = notafter_lab::Authority::new(&lab);
    let leaves = leaves(&lab, 2);
    let dead = authority.issue(&notafter_lab::Request::server().expired(3).fresh_key());
    let Some(far) = need(start(&lab, false)) else { return };
    let folder = lab.subfolder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let target = |check: &str| {
        let table = far.table(json!({ "fullchain": certificate, "key": key, "check": [check] }));
        deployer("ssh", table)
    };
    run(target("true").deploy(&super::cx(), &bundle(&dead, 1))).unwrap();
    let fault = run(target("false").deploy(&super::cx(), &bundle(&leaves[0], 2))).unwrap_err().to_string();
    assert!(fault.contains("the check on 127.0.0.1 failed; the new files stay"), "{fault}");
    assert!(same(&key, &leaves[0].key_pem));
    run(target("true").deploy(&super::cx(), &bundle(&leaves[0], 2))).unwrap();
    // A way back that is not taken up by the server is said to be none.
    let receipt = run(target("true").deploy(&super::cx(), &bundle(&leaves[1], 3))).unwrap();
    let fault = run(target("false").roll_back(&super::cx(), &receipt)).unwrap_err();
    assert!(fault.to_string().contains("those of before again, but their check failed"), "{fault}");
    assert!(fault.hint.as_deref().is_some_and(|hint| hint.contains("may differ")), "{fault:?}");
    assert!(same(&key, &leaves[0].key_pem));
    // The generation before that one is gone by now: what is in place stays.
    let fault = run(target("false").deploy(&super::cx(), &bundle(&leaves[0], 2))).unwrap_err().to_string();
    assert!(fault.contains("is gone: what is in place stays"), "{fault}");
    assert!(same(&certificate, &leaves[0].fullchain_pem) && same(&key, &leaves[0].key_pem));
}

#[test]
fn a_connection_that_breaks_anywhere_leaves_a_whole_pair() {
    let lab = Lab::new("deploy-ssh-kill");
    let leaves = leaves(&lab, 2);
    let Some(far) = need(start(&lab, true)) else { return };
    let folder = lab.subfolder("tls");
    let (certificate, key) = (folder.join("api.pem"), folder.join("api.key"));
    let target = deployer("ssh", far.table(json!({ "fullchain": certificate, "key": key })));
    let agree = || {
        let public = |arguments: &[&str]| judge("openssl", arguments);
        let of_key = public(&["pkey", "-in", text(&key), "-pubout"]);
        of_key == public(&["x509", "-in", text(&certificate), "-noout", "-pubkey"])
    };
    script(&far.folder, "force", "eval \"$SSH_ORIGINAL_COMMAND\"");
    run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    // The far `mv`, in a mount namespace of each session's own, does the first n renames and kills the shell then.
    let mv = program::find("mv").unwrap().canonicalize().unwrap();
    let (real, count) = (far.folder.join("mv.real"), far.folder.join("count"));
    std::fs::copy(&mv, &real).unwrap();
    let body = format!(
        "case \"$*\" in *{0}*) ;; *) exec {1} \"$@\" ;; esac\nn=$(cat {2})\n[ \"$n\" -gt 0 ] || kill -9 $PPID\n\
         echo $((n - 1)) >{2}\nexec {1} \"$@\"",
        text(&folder),
        text(&real),
        text(&count)
    );
    let fake = script(&far.folder, "mv", &body);
    let session = format!("mount --bind {} {} && eval \"$SSH_ORIGINAL_COMMAND\"", text(&fake), text(&mv));
    script(&far.folder, "force", &format!("exec unshare -m --propagation private /bin/sh -c '{session}'"));
    let mut killed = 0;
    for (round, point) in [0usize, 2, 3, 4, 5, 6].into_iter().enumerate() {
        let (leaf, generation) = (&leaves[(round + 1) % 2], 2 + round as u64);
        std::fs::write(&count, point.to_string()).unwrap();
        let ended = run(target.deploy(&super::cx(), &bundle(leaf, generation)));
        assert!(agree(), "killed at rename {point}");
        killed += usize::from(ended.is_err());
        std::fs::write(&count, "1000").unwrap();
        run(target.deploy(&super::cx(), &bundle(leaf, generation))).unwrap();
        assert!(agree() && same(&key, &leaf.key_pem) && !key.is_symlink(), "after rename {point}");
    }
    assert_eq!(killed, 6);
}

#[test]
fn a_host_that_is_not_known_is_refused() {
    let lab = Lab::new("deploy-ssh-known");
    let leaves = leaves(&lab, 1);
    let Some(far) = need(start(&lab, false)) else { return };
    std::fs::write(&far.known, "").unwrap();
    let file = lab.path().join("api.pem");
    let target = deployer("ssh", far.table(json!({ "combined": file })));
    let fault = run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.to_string().contains("Host key verification failed"), "{fault}");
    assert!(!file.exists());
    for (table, sign) in [
        (json!({ "host": "-oProxyCommand=x", "combined": "/a" }), "`host` is"),
        (json!({ "host": "a", "user": "x y", "combined": "/a" }), "`user` is"),
        (json!({ "host": "a" }), "has no file"),
        (json!({ "host": "a", "preset": "ngnix" }), "did you mean `nginx`?"),
        (json!({ "host": "a", "combined": "/a", "layout": "generations" }), "no setting `layout`"),
    ] {
        let error = super::built("ssh", table).err().unwrap();
        assert!(error.contains(sign) && error.contains("hint:"), "{error}");
    }
}
