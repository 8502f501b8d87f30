//! From exec to the first connection, as a listening server sees it, and the memory held at that moment.

use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;

/// Starts the program so many times.
pub(crate) fn run(program: &str, times: usize) -> Result<Value> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let target = listener.local_addr()?.to_string();
    let (mut bare, mut judged, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times.max(1) {
        bare.push(once(program, &["--no-findings"], &target, &listener, &mut memory)?);
        judged.push(once(program, &[], &target, &listener, &mut Vec::new())?);
    }
    Ok(json!({
        "bare_ms": median(&mut bare),
        "judged_ms": median(&mut judged),
        "rss_kib": median(&mut memory),
    }))
}

fn once(
    program: &str,
    more: &[&str],
    target: &str,
    listener: &TcpListener,
    memory: &mut Vec<f64>,
) -> Result<f64> {
    let mut command = Command::new(program);
    command.args(["scan", "--format", "ndjson", "--timeout", "1s"]).args(more).arg(target);
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (connection, _) = listener.accept()?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    memory.push(resident_kib(child.id()));
    drop(connection);
    child.kill()?;
    child.wait()?;
    // Connections that it made before it died are not the next one's.
    listener.set_nonblocking(true)?;
    while listener.accept().is_ok() {}
    listener.set_nonblocking(false)?;
    Ok(took)
}

fn resident_kib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0.0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
