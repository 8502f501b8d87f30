//! What the process itself needs, by the names that every Prometheus client uses. From `/proc`, which a
//! program on Linux has; what cannot be read is left out.

use std::io;

use notafter_core::UnixTime;

use super::text::Text;

pub(super) fn write(started: Option<UnixTime>, text: &mut Text<'_>) -> io::Result<()> {
    // Processor time is no time of day: it does not belong to `engine/clock.rs`.
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    text.family("process_cpu_seconds_total", "counter", "Processor time that the process used.")?;
    text.sample(&[], (seconds * 100.0).round() / 100.0)?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (name, field, help) in [
        ("process_resident_memory_bytes", "VmRSS:", "Memory that the process holds."),
        ("process_virtual_memory_bytes", "VmSize:", "Address space that the process has."),
    ] {
        if let Some(bytes) = kilobytes(&status, field) {
            text.family(name, "gauge", help)?;
            text.sample(&[], bytes as f64)?;
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        text.family("process_open_fds", "gauge", "File descriptors that are open.")?;
        // One of them is the folder that is being read.
        text.sample(&[], open.count().saturating_sub(1) as f64)?;
    }
    if let Some(most) = fds_max() {
        text.family("process_max_fds", "gauge", "File descriptors that may be open.")?;
        text.sample(&[], most as f64)?;
    }
    if let Some(started) = started {
        text.family("process_start_time_seconds", "gauge", "When the server started.")?;
        text.sample(&[], started.0 as f64)?;
    }
    Ok(())
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn fds_max() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::text::faults;

    #[test]
    fn the_process_is_seen() {
        let mut out = Vec::new();
        write(Some(UnixTime(7)), &mut Text::new(&mut out)).unwrap();
        let sheet = String::from_utf8(out).unwrap();
        assert_eq!(faults(&sheet), Vec::<String>::new());
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            assert!(sheet.contains(&format!("\n{name} ")), "{name}");
        }
        assert_eq!(kilobytes("VmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1024));
    }
}
