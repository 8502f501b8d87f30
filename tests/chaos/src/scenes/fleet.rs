//! Many certificates: renewed by one server, beside lego run sixteen times at once on the same CA.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use notafter_lab::program;

use crate::house::{House, Plan, until};
use crate::proxy::Files;
use crate::{Options, Row};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let house = House::new(options, "fleet", &Plan::default())?;
    let (folder, root) = (house.lab.subfolder("fleet"), house.lab.subfolder("webroot"));
    let port = house.ca.http_port();
    let _files = Files::start(port, root.clone())?;
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n",
        house.ca.directory(),
        house.ca.ca_file().display()
    );
    for n in 0..options.fleet {
        let place = folder.join(n.to_string());
        fs::create_dir_all(&place).map_err(|e| e.to_string())?;
        let _ = write!(
            text,
            "[[certificate]]\nname = \"c{n}\"\nnames = [\"c{n}.test\"]\nissuer = \"pebble\"\n\
             solver = {{ kind = \"http-01\", webroot = \"{}\", port = {port}, address = \"127.0.0.1\" }}\n\
             [[certificate.target]]\nkind = \"files\"\ncertificate = \"{1}/cert.pem\"\nkey = \"{1}/key.pem\"\n",
            root.display(),
            place.display()
        );
    }
    fs::write(&house.config, text).map_err(|e| e.to_string())?;
    let mut row = Row::of("", "certificates issued and installed by one server, all at once");
    let begun = Instant::now();
    let server = house.start(&["serve"], "serve.out");
    let there =
        |folder: &Path| (0..options.fleet).filter(|n| folder.join(format!("{n}/cert.pem")).exists()).count();
    let mut memory = 0;
    let all = until(Duration::from_secs(1_200), || {
        memory = memory.max(resident(server.child.id()));
        (there(&folder) == options.fleet).then_some(())
    });
    let ours = begun.elapsed();
    row.points = there(&folder);
    row.must(all.is_some(), || format!("{} of {}: {}", there(&folder), options.fleet, server.words()));
    drop(server);
    let mut rows = vec![row.note(format!("{:.1} s, {} MiB at most", ours.as_secs_f64(), memory / 1_024))];

    let Ok(lego) = program::find("lego") else {
        rows.push(Row::not_run("", "the same by lego, sixteen at once", "it is not installed"));
        return Ok(rows);
    };
    let place = house.lab.subfolder("lego");
    // Its account is made once, as a user would have made it.
    let one = |n: usize| {
        let mut command = Command::new(&lego);
        command
            .args(["--accept-tos", "--email", "a@b.test", "--server", &house.ca.directory(), "--path"])
            .arg(&place);
        command.args(["--domains", &format!("c{n}.test"), "--http", "--http.webroot"]).arg(&root).arg("run");
        command.env("LEGO_CA_CERTIFICATES", house.ca.ca_file());
        program::finish(&mut command, b"", Duration::from_secs(120))
    };
    let first = one(0).map_err(|e| e.to_string())?;
    if !first.status.success() {
        rows.push(Row::not_run("", "the same by lego, sixteen at once", first.all().trim()));
        return Ok(rows);
    }
    let begun = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(1);
    let failed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if n >= options.fleet {
                        break;
                    }
                    if !one(n).is_ok_and(|ran| ran.status.success()) {
                        failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let theirs = begun.elapsed();
    let mut row = Row::of("", "the same by lego, sixteen at once, installed nowhere");
    row.points = options.fleet - failed.into_inner();
    // What lego does not bring about is no fault of ours.
    row.asked = 0;
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64().max(0.001);
    rows.push(row.note(format!("{:.1} s; ours / lego = {ratio:.2}", theirs.as_secs_f64())));
    Ok(rows)
}

/// The memory that a process holds, in kB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
