//! Real programs: what they are given, and that none outlives its message.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::notice::{Event, Notice};
use notafter_lab::Lab;
use serde_json::{Value, json};

use crate::{notice, send};

/// A script, to be read by the shell: to execute a file that was just written fails while another test forks.
fn script(lab: &Lab, text: &str) -> PathBuf {
    let path = lab.subfolder("script").join("tell");
    std::fs::write(&path, format!("{text}\n")).unwrap();
    path
}

async fn run(lab: &Lab, text: &str, notice: &Notice) -> Result<(), Fault> {
    let path = script(lab, text);
    send("exec", json!({ "command": ["/bin/sh", path, lab.path()], "timeout": "1s" }), Some("room 5"), notice)
        .await
}

fn alive(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    // A zombie is dead, whoever has yet to collect it.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn it_is_given_the_notice_and_nothing_of_ours() {
    let lab = Lab::new("exec");
    let text = "cat > \"$1/stdin\"; env > \"$1/env\"";
    let mut hostile = notice(Event::Alert);
    hostile.title = "$(touch /tmp/x); `id`\n-rf \u{0} \u{202e}".into();
    run(&lab, text, &hostile).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(lab.path().join(name)).unwrap();
    let document: Value = serde_json::from_str(&read("stdin")).unwrap();
    assert_eq!(document["title"], "$(touch /tmp/x); `id`\\u{a}-rf \\u{0} \\u{202e}");
    assert_eq!((&document["to"], &document["days_left"]), (&json!("room 5"), &json!(3.2)));
    assert_eq!(document["deadline"], "2026-11-24T16:48:00Z");
    let env = read("env");
    for line in [
        "NOTAFTER_EVENT=alert",
        "NOTAFTER_SEVERITY=critical",
        "NOTAFTER_ALERT=a17",
        "NOTAFTER_INSTANCE=5f3a9c02d1e4",
        "NOTAFTER_ID=n-42",
        "NOTAFTER_OWNER=web",
        "NOTAFTER_TO=room 5",
        "NOTAFTER_DEADLINE=2026-11-24T16:48:00Z",
    ] {
        assert!(env.lines().any(|l| l == line), "{line}: {env}");
    }
    let ours = ["PATH", "HOME", "LANG", "PWD", "SHLVL", "_", "OLDPWD"];
    for line in env.lines() {
        let name = line.split('=').next().unwrap();
        assert!(name.starts_with("NOTAFTER_") || ours.contains(&name), "{line}");
    }
}

#[tokio::test]
async fn exit_codes() {
    let lab = Lab::new("exec");
    for (code, kind, retry) in [
        (75, FaultKind::Unreachable, Retry::Backoff),
        (1, FaultKind::Unreachable, Retry::Backoff),
        (7, FaultKind::Unreachable, Retry::Backoff),
        (67, FaultKind::Refused, Retry::Never),
        (78, FaultKind::Refused, Retry::Never),
        (127, FaultKind::Refused, Retry::Never),
    ] {
        let text = format!("echo out; echo 'no such\x1b room' >&2; exit {code}");
        let fault = run(&lab, &text, &notice(Event::Alert)).await.unwrap_err();
        assert_eq!((fault.kind, fault.retry), (kind, retry), "{fault:?}");
        assert!(fault.context.contains("no such\\u{1b} room"), "{fault:?}");
    }
    let killed = run(&lab, "kill -9 $$", &notice(Event::Alert)).await.unwrap_err();
    assert_eq!(killed.retry, Retry::Backoff, "{killed:?}");
}

#[tokio::test]
async fn nothing_outlives_the_deadline() {
    let lab = Lab::new("exec");
    let pid = |name: &str| lab.path().join(name);
    #[allow(clippy::disallowed_methods, reason = "a test of real time")]
    let began = Instant::now();
    let hangs = "sleep 60 & echo $! > \"$1/child\"; echo working; wait";
    let fault = run(&lab, hangs, &notice(Event::Alert)).await.unwrap_err();
    assert!(fault.context.contains("was killed: working"), "{fault:?}");
    assert_eq!(fault.retry, Retry::Backoff);
    // It ended well and left something behind, which holds the pipes open.
    run(&lab, "sleep 60 & echo $! > \"$1/orphan\"; exit 0", &notice(Event::Alert)).await.unwrap();
    // One that left the group holds the pipe: it is not waited for.
    let left = "setsid sh -c 'echo $$ > \"$0/left\"; exec sleep 4' \"$1\" & sleep 0.2; exit 0";
    run(&lab, left, &notice(Event::Alert)).await.unwrap();
    // Closed its output and hangs.
    let quiet = "exec >&- 2>&-; echo $$ > \"$1/quiet\"; sleep 60";
    run(&lab, quiet, &notice(Event::Alert)).await.unwrap_err();
    // Floods, reads nothing.
    let flood = run(&lab, "echo $$ > \"$1/flood\"; exec yes", &notice(Event::Alert)).await.unwrap_err();
    assert!(flood.context.len() < 5000, "{flood:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    for name in ["child", "orphan", "quiet", "flood"] {
        assert!(!alive(&pid(name)), "{name} is alive");
    }
}

#[tokio::test]
async fn giving_up_kills_it_too() {
    let lab = Lab::new("exec");
    let path = script(&lab, "echo $$ > \"$1/pid\"; sleep 60");
    let notifier =
        (crate::kind("exec").build)(json!({ "command": ["/bin/sh", path, lab.path()] }), crate::build_cx())
            .unwrap();
    let (cx, notice) = (crate::cx(), notice(Event::Alert));
    let limit = Duration::from_millis(700);
    assert!(tokio::time::timeout(limit, notifier.notify(&cx, None, &notice)).await.is_err());
    tokio::time::timeout(Duration::from_secs(5), async {
        while alive(&lab.path().join("pid")) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it was alive after its future was dropped");
}
