//! dns-01 by programs: scripts written for lego, certbot and acme.sh, unchanged, at a real name server; and programs that
//! hang, flood, fail, or are handed what would do harm in a shell.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notafter_core::fault::FaultKind;
use notafter_core::issuance::{Challenge, Identifier};
use notafter_lab::dns::{Dns, Zone};
use notafter_lab::pebble::Options;
use notafter_lab::{Lab, need};
use serde_json::{Value, json};

use crate::dns::{challenge, dns01, knot, value};
use crate::{cx, issuer, order, request, start, table};

/// What every script of these tests does in the end: `nsupdate` with a key file.
const SEND: &str = "send() { printf 'server 127.0.0.1 %s\\nupdate %s\\nsend\\n' \"$DNS_PORT\" \"$1\" | nsupdate -k \"$DNS_KEY\"; }\n";

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The variables for [`SEND`].
fn environment(lab: &Lab, dns: &Dns) -> Value {
    let file = lab.subfolder("key").join("update.key");
    let key = dns.key();
    let text =
        format!("key \"{}\" {{ algorithm {}; secret \"{}\"; }};\n", key.name, key.algorithm, key.secret);
    std::fs::write(&file, text).unwrap();
    json!({ "DNS_PORT": dns.address().port().to_string(), "DNS_KEY": file })
}

/// A solver with this program, that looks at this name server.
fn hooked(lab: &Lab, dns: &Dns, more: Value) -> Value {
    let mut table = json!({
        "environment": environment(lab, dns),
        "resolver": dns.address().to_string(),
        "port": dns.address().port(),
        "timeout": "20s",
    });
    table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    table
}

fn lego(folder: &Path) -> PathBuf {
    let text = format!(
        "#!/bin/sh\n{SEND}printf '%s\\n' \"$*\" >> \"${{0%/*}}/log\"\n\
         case \"$1\" in\n\
         present) send \"add $2 60 TXT \\\"$3\\\"\" ;;\n\
         cleanup) send \"delete $2 TXT \\\"$3\\\"\" ;;\n\
         *) exit 2 ;;\nesac\n"
    );
    script(folder, "lego.sh", &text)
}

fn lego_raw(folder: &Path) -> PathBuf {
    let text = format!(
        "#!/bin/sh\n{SEND}[ \"$2\" = -- ] || exit 2\n\
         value=$(printf %s \"$5\" | openssl dgst -sha256 -binary | openssl base64 | tr -d '=' | tr '/+' '_-')\n\
         case \"$1\" in\n\
         present) send \"add _acme-challenge.$3. 60 TXT \\\"$value\\\"\" ;;\n\
         cleanup) send \"delete _acme-challenge.$3. TXT \\\"$value\\\"\" ;;\nesac\n"
    );
    script(folder, "raw.sh", &text)
}

/// The clean-up insists on what the auth hook printed, and on all variables of certbot's documentation.
fn certbot(folder: &Path) -> (PathBuf, PathBuf) {
    let auth = format!(
        "#!/bin/sh\n{SEND}[ -n \"$CERTBOT_ALL_DOMAINS\" ] && [ \"$CERTBOT_REMAINING_CHALLENGES\" = 0 ] || exit 3\n\
         [ -z \"${{CERTBOT_AUTH_OUTPUT+set}}\" ] || exit 4\n\
         send \"add _acme-challenge.$CERTBOT_DOMAIN. 60 TXT \\\"$CERTBOT_VALIDATION\\\"\" || exit 1\n\
         echo \"record $CERTBOT_VALIDATION\"\n"
    );
    let cleanup = format!(
        "#!/bin/sh\n{SEND}[ \"$CERTBOT_AUTH_OUTPUT\" = \"record $CERTBOT_VALIDATION\" ] || exit 5\n\
         send \"delete _acme-challenge.$CERTBOT_DOMAIN. TXT \\\"$CERTBOT_VALIDATION\\\"\"\n"
    );
    (script(folder, "auth.sh", &auth), script(folder, "cleanup.sh", &cleanup))
}

/// A script in the form of acme.sh's `dnsapi`, and something that is read in as acme.sh is: it runs its first argument.
fn acme_sh(folder: &Path) -> (PathBuf, PathBuf) {
    let library = "#!/usr/bin/env sh\n_info() { echo \"$@\"; }\n_err() { echo \"$@\" >&2; return 1; }\n\
        _readaccountconf_mutable() { sed -n \"s/^SAVED_$1='\\(.*\\)'/\\1/p\" \"$ACCOUNT_CONF_PATH\"; }\n\
        main() { [ -z \"$1\" ] && echo Usage && exit 9; \"$@\"; }\nmain \"$@\"\n";
    let api = format!(
        "#!/usr/bin/env sh\n{SEND}\
         dns_lab_add() {{\n  fulldomain=$1\n  txtvalue=$2\n  Lab_Token=\"${{Lab_Token:-$(_readaccountconf_mutable Lab_Token)}}\"\n\
           [ \"$Lab_Token\" = from-account-conf ] || {{ _err \"no token\"; return 1; }}\n  _info \"adding $fulldomain\"\n\
           send \"add $fulldomain. 60 TXT \\\"$txtvalue\\\"\"\n}}\n\
         dns_lab_rm() {{\n  fulldomain=$1\n  txtvalue=$2\n  _info \"removing $fulldomain\"\n\
           send \"delete $fulldomain. TXT \\\"$txtvalue\\\"\"\n}}\n"
    );
    std::fs::write(folder.join("account.conf"), "SAVED_Lab_Token='from-account-conf'\n").unwrap();
    let scripts = folder.join("dnsapi");
    std::fs::create_dir_all(&scripts).unwrap();
    (script(&scripts, "dns_lab.sh", &api), script(folder, "acme.sh", library))
}

#[tokio::test]
async fn each_contract_brings_a_certificate() {
    let lab = Lab::new("dns01-hooks");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let options = Options { resolver: Some(dns.address()), ..Options::default() };
    let Some(ca) = start(&lab, &options) else { return };
    let folder = lab.subfolder("hooks");
    let (auth, cleanup) = certbot(&folder);
    let (api, library) = acme_sh(&folder);
    let acme = issuer(table(&ca, json!({})), &Arc::default());
    let mut by_name = environment(&lab, &dns);
    by_name["EXEC_PATH"] = json!(lego_raw(&folder));
    by_name["EXEC_MODE"] = json!("RAW");
    let mut issued = 0;
    for more in [
        json!({ "provider": "exec", "command": [lego(&folder)] }),
        json!({ "provider": "exec", "command": [lego_raw(&folder)], "raw": true }),
        json!({ "provider": "exec", "environment": by_name }),
        json!({ "provider": "certbot", "auth_hook": [auth], "cleanup_hook": [cleanup] }),
        json!({ "provider": "acme.sh", "script": api, "library": library }),
    ] {
        let solver = dns01(hooked(&lab, &dns, more.clone()));
        order(&acme, &request(&lab, &["dns.test", "*.dns.test"]), &*solver)
            .await
            .unwrap_or_else(|fault| panic!("{more}: {fault:?}"));
        issued += 1;
        assert_eq!(ca.issued(), issued);
        assert!(dns.texts("_acme-challenge.dns.test").unwrap().is_empty(), "{more}");
        let checks = solver.rehearse(&cx(), &Identifier::parse("dns.test").unwrap()).await;
        assert!(checks.iter().all(|check| check.works), "{more}: {checks:?}");
    }
    // As lego calls it: the record with its dot, then the value.
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    let first: Vec<&str> = log.lines().next().unwrap().split(' ').collect();
    assert_eq!((first[0], first[1], first[2].len()), ("present", "_acme-challenge.dns.test.", 43), "{log}");
}

/// acme.sh itself, with a script of its own: credentials from variables the first time, from its `account.conf` later.
#[tokio::test]
async fn a_script_of_acme_sh_with_acme_sh_itself() {
    let lab = Lab::new("dns01-acme-sh");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let folder = lab.subfolder("acme.sh");
    let Some((library, script)) = need(notafter_lab::dns::acme_sh(&folder)) else { return };
    let variables = environment(&lab, &dns);
    let told = json!({
        "NSUPDATE_SERVER": "127.0.0.1", "NSUPDATE_SERVER_PORT": variables["DNS_PORT"], "NSUPDATE_KEY": variables["DNS_KEY"],
    });
    let one = challenge("a.dns.test", "t");
    for environment in [told, json!({})] {
        let more = json!({ "provider": "acme.sh", "script": script, "library": library, "environment": environment });
        let solver = dns01(hooked(&lab, &dns, more));
        let cleanup = solver.present(&cx(), &one).await.unwrap();
        assert_eq!(dns.texts("_acme-challenge.a.dns.test").unwrap(), [value(&one)]);
        solver.clean_up(&cx(), &cleanup).await.unwrap();
        assert!(dns.texts("_acme-challenge.a.dns.test").unwrap().is_empty());
    }
    let saved = std::fs::read_to_string(folder.join("account.conf")).unwrap();
    assert!(saved.contains("NSUPDATE_SERVER"), "{saved}");
}

#[tokio::test]
async fn an_alias_is_where_the_programs_write() {
    let lab = Lab::new("dns01-hook-alias");
    let zones =
        [Zone::new("dns.test", "_acme-challenge.a CNAME one.auth.test.\n"), Zone::new("auth.test", "")];
    let Some(dns) = knot(&lab, &zones) else { return };
    let folder = lab.subfolder("hooks");
    let (api, library) = acme_sh(&folder);
    let one = challenge("a.dns.test", "t");
    for more in [
        json!({ "provider": "exec", "command": [lego(&folder)] }),
        json!({ "provider": "acme.sh", "script": api, "library": library }),
    ] {
        let solver = dns01(hooked(&lab, &dns, more));
        let cleanup = solver.present(&cx(), &one).await.unwrap();
        assert_eq!(dns.texts("one.auth.test").unwrap(), [value(&one)]);
        assert!(solver.is_visible(&cx(), &one).await.unwrap());
        solver.clean_up(&cx(), &cleanup).await.unwrap();
        assert!(dns.texts("one.auth.test").unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_hangs_floods_or_fails_is_ended_and_told() {
    let lab = Lab::new("dns01-hook-bad");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let folder = lab.subfolder("hooks");
    let canary = folder.join("canary");
    std::fs::write(&canary, "c4nary+secret/value").unwrap();
    let left = folder.join("left-behind");
    let hang = script(
        &folder,
        "hang",
        &format!("#!/bin/sh\n(sleep 3; touch {}) &\necho about to hang\nsleep 60\n", left.display()),
    );
    let flood = script(
        &folder,
        "flood",
        "#!/bin/sh\nyes flood | head -c 30000000\nyes complaint | head -c 3000000 >&2\n",
    );
    let fails = script(
        &folder,
        "fails",
        "#!/bin/sh\necho \"token $CANARY refused by https://x/?t=c4nary%2Bsecret%2Fvalue\" >&2\nexit 1\n",
    );
    let one = challenge("a.dns.test", "t");
    let solver = |path: &PathBuf, timeout: &str| {
        let environment = json!({ "CANARY": { "file": canary } });
        dns01(hooked(
            &lab,
            &dns,
            json!({ "provider": "exec", "command": [path], "timeout": timeout, "environment": environment }),
        ))
    };
    let fault = solver(&hang, "1s").present(&cx(), &one).await.unwrap_err();
    assert!(fault.context.contains("was not done after 1 s and was killed: about to hang"), "{fault}");

    let cleanup = solver(&flood, "20s").present(&cx(), &one).await.unwrap();
    assert!(serde_json::to_string(&cleanup).unwrap().len() < 20_000, "the flood is kept");

    let fault = solver(&fails, "20s").present(&cx(), &one).await.unwrap_err();
    assert!(fault.context.contains("exit status: 1: token *** refused by https://x/?t=***"), "{fault}");
    assert!(!matches!(fault.kind, FaultKind::Refused | FaultKind::Invalid | FaultKind::NotFound));
    let checks = solver(&fails, "20s").rehearse(&cx(), &one.identifier).await;
    assert!(checks.iter().any(|c| !c.works && c.because.contains("exit status: 1")), "{checks:?}");

    let fault = solver(&folder.join("nothing"), "20s").present(&cx(), &one).await.unwrap_err();
    assert!(fault.context.contains("there is no program"), "{fault}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!left.exists(), "what the hung program had started went on");
}

/// A CA's token is checked by the issuer; here it is not, and even so no shell ever reads it.
#[tokio::test]
async fn no_shell_reads_a_name_or_a_value() {
    let lab = Lab::new("dns01-hook-shell");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let folder = lab.subfolder("hooks");
    let marker = folder.join("marker");
    let says = "#!/bin/sh\nfor one in \"$@\"; do printf '<%s>' \"$one\"; done > \"${0%/*}/seen\"\n";
    let program = script(&folder, "says", says);
    let api = script(
        &folder,
        "dns_says.sh",
        "dns_says_add() { printf '<%s>' \"$@\" > \"$SEEN\"; }\ndns_says_rm() { :; }\n",
    );
    let evil = format!("$(touch {m});`touch {m}`\n;touch {m};'\"*", m = marker.display());
    let hostile =
        Challenge { token: evil.clone(), key_authorization: evil.clone(), ..challenge("a.dns.test", "t") };
    let seen = folder.join("seen");

    let solver = dns01(hooked(&lab, &dns, json!({ "provider": "exec", "command": [program], "raw": true })));
    solver.present(&cx(), &hostile).await.unwrap();
    let text = std::fs::read_to_string(&seen).unwrap();
    assert_eq!(text, format!("<present><--><a.dns.test><{evil}><{evil}>"));

    let with_quotes = folder.join("a '$(touch marker)' folder");
    std::fs::create_dir_all(&with_quotes).unwrap();
    let moved = script(&with_quotes, "dns_says.sh", &std::fs::read_to_string(&api).unwrap());
    for api in [&api, &moved] {
        let environment = json!({ "SEEN": seen, "EVIL": evil });
        let table = json!({ "provider": "acme.sh", "script": api, "environment": environment });
        let solver = dns01(hooked(&lab, &dns, table));
        solver.present(&cx(), &hostile).await.unwrap();
        let text = std::fs::read_to_string(&seen).unwrap();
        assert_eq!(text, format!("<_acme-challenge.a.dns.test><{}>", value(&hostile)));
        std::fs::remove_file(&seen).unwrap();
    }
    assert!(!marker.exists() && !with_quotes.join("marker").exists() && !Path::new("/marker").exists());
}

#[tokio::test]
async fn root_runs_nothing_that_others_may_write() {
    if !rustix_is_root() {
        return;
    }
    let lab = Lab::new("dns01-hook-mode");
    let Some(dns) = knot(&lab, &[Zone::new("dns.test", "")]) else { return };
    let folder = lab.subfolder("hooks");
    let (api, library) = acme_sh(&folder);
    let open =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let one = challenge("a.dns.test", "t");
    let program = lego(&folder);
    for (path, table) in [
        (&program, json!({ "provider": "exec", "command": [program] })),
        (&api, json!({ "provider": "acme.sh", "script": api, "library": library })),
        (&library, json!({ "provider": "acme.sh", "script": api, "library": library })),
    ] {
        let solver = dns01(hooked(&lab, &dns, table));
        open(path, 0o757);
        let fault = solver.present(&cx(), &one).await.unwrap_err();
        assert!(fault.context.contains("may be changed by others"), "{fault}");
        open(path, 0o755);
        let cleanup = solver.present(&cx(), &one).await.unwrap();
        solver.clean_up(&cx(), &cleanup).await.unwrap();
    }
}

fn rustix_is_root() -> bool {
    std::process::Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
