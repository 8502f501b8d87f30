//! The `ssh` deployer and a far host with nothing but BusyBox: its `sh`, its tools, no others.
//!
//! Each session gets a mount namespace in which the folders of programs hold BusyBox and its links alone.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::{Lab, NotRun, need, program};
use serde_json::json;

use super::far::{Far, loose, same, start};
use super::{bundle, deployer, judge, leaves, run, script, text};

/// A host with BusyBox alone, and the folder of its programs.
fn small(lab: &Lab) -> Result<(Far, PathBuf), NotRun> {
    let busybox = program::find("busybox")?;
    let far = start(lab, true)?;
    let folder = lab.subfolder("small");
    std::fs::copy(busybox, folder.join("busybox")).unwrap();
    let applets = program::run(Command::new("busybox").arg("--list"))?.text();
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", folder.join(applet)).unwrap();
    }
    let places = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    let mounts = places.map(|place| format!("mount --bind {} {place}", text(&folder))).join(" && ");
    let session = format!("{mounts} && eval \"$SSH_ORIGINAL_COMMAND\"");
    script(&far.folder, "force", &format!("exec unshare -m --propagation private /bin/sh -c '{session}'"));
    Ok((far, folder))
}

#[test]
fn a_host_with_busybox_alone() {
    let lab = Lab::new("deploy-busybox");
    let leaves = leaves(&lab, 3);
    let Some((far, programs)) = need(small(&lab)) else { return };
    let folder = lab.path().join("it's $(touch x) `here`");
    std::fs::create_dir(&folder).unwrap();
    let at = |name: &str| folder.join(name);
    let (certificate, key, chain, store) = (at("api.pem"), at("api.key"), at("chain.pem"), at("api.p12"));
    let secret = lab.path().join("password");
    std::fs::write(&secret, "passw0rd1").unwrap();
    let log = far.folder.join("log");
    let good = script(&far.folder, "good", &format!("printf '%s|' \"$@\" >>{}; printf x >>{0}", text(&log)));
    let bad = script(&far.folder, "bad", "echo 'configuration is broken' >&2; exit 1");
    let table = |reload: &Path| {
        far.table(json!({
            "certificate": certificate, "key": key, "chain": chain,
            "pkcs12": { "path": store, "password": { "file": secret } },
            "check": [good, "it's", "$HOME", "two\nlines\n"], "reload": [reload],
        }))
    };
    let target = deployer("ssh", table(&good));
    let checks = run(target.rehearse(&super::cx()));
    assert!(checks.iter().all(|c| c.works), "{checks:?}");
    std::fs::remove_file(&log).unwrap();
    run(target.deploy(&super::cx(), &bundle(&leaves[0], 1))).unwrap();
    assert!(
        same(&certificate, &leaves[0].cert_pem)
            && same(&key, &leaves[0].key_pem)
            && same(&chain, &leaves[0].chain_pem)
    );
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "it's|$HOME|two\nlines\n|x|x", "check, then reload");
    assert_eq!(key.metadata().unwrap().mode() & 0o7777, 0o600);
    judge("openssl", &["pkcs12", "-in", text(&store), "-passin", "pass:passw0rd1", "-noout"]);
    // Owner and mode of what is there are kept; the same again changes nothing.
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&key, Some(33), Some(33)).unwrap();
    let receipt = run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    assert_eq!(receipt.before.as_ref().unwrap().fingerprint, format!("sha256:{}", leaves[0].sha256));
    let meta = key.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (33, 0o640));
    assert!(same(&key, &leaves[1].key_pem) && !key.is_symlink());
    assert_eq!(run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap(), receipt);
    assert_eq!(key.metadata().unwrap().ino(), meta.ino());
    assert_eq!(loose(&folder), Vec::<String>::new());
    // The way back and forth again; a reload that fails puts the old pair back.
    run(target.roll_back(&super::cx(), &receipt)).unwrap();
    assert!(same(&certificate, &leaves[0].cert_pem) && same(&key, &leaves[0].key_pem));
    run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
    let fault = run(deployer("ssh", table(&bad)).deploy(&super::cx(), &bundle(&leaves[2], 3))).unwrap_err();
    assert!(fault.to_string().contains("the server may run with either: configuration is broken"), "{fault}");
    assert!(same(&certificate, &leaves[1].cert_pem) && same(&key, &leaves[1].key_pem));
    assert_eq!(loose(&folder), Vec::<String>::new());
    assert!(!Path::new("x").exists() && !Path::new("/x").exists() && !folder.join("x").exists());

    // Without flock one deployment still waits for another; one that is gone gives way.
    let said = checks.iter().any(|c| c.because.contains("there is no flock on this host"));
    assert!(said || programs.join("flock").exists(), "{checks:?}");
    if said {
        let held = folder.join(".api.key.notafter/held");
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let began = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
        symlink(format!("{}-{began}", std::process::id()), &held).unwrap();
        let fault = run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap_err();
        assert!(fault.to_string().contains("is being deployed to already"), "{fault}");
        std::fs::remove_file(&held).unwrap();
        // The same number, of a process that began at another time.
        symlink(format!("{}-1", std::process::id()), &held).unwrap();
        run(target.deploy(&super::cx(), &bundle(&leaves[1], 2))).unwrap();
        assert!(!held.is_symlink());
    }

    // A host with less: what is missing is said by a rehearsal, and nothing is touched by a deployment.
    let without = |what: &str, change: &dyn Fn()| {
        change();
        let checks = run(target.rehearse(&super::cx()));
        assert!(checks.iter().any(|c| !c.works && c.because.contains(what)), "{checks:?}");
        assert!(run(target.deploy(&super::cx(), &bundle(&leaves[2], 3))).is_err());
        assert!(same(&certificate, &leaves[1].cert_pem) && same(&key, &leaves[1].key_pem));
        assert!(!key.is_symlink() && !certificate.is_symlink());
    };
    let mv = programs.join("mv");
    without("(mv -T)", &|| {
        std::fs::remove_file(&mv).unwrap();
        // As BusyBox was before it knew the option.
        let body = "case \"$1\" in *T*) echo \"mv: invalid option -- 'T'\" >&2; exit 1 ;; esac\nexec busybox mv \"$@\"";
        script(&programs, "mv", body);
    });
    without("there is no sha256sum on this host", &|| {
        std::fs::remove_file(&mv).unwrap();
        symlink("busybox", &mv).unwrap();
        std::fs::remove_file(programs.join("sha256sum")).unwrap();
    });
}
