//! A machine with a systemd of its own, for units that have to be run and not only read.
//!
//! systemd is process 1 of namespaces of its own, over an overlay of this machine's files: what is written stays inside and ends
//! with it. Of this machine's services none is started. The network is this machine's, so that servers of the lab are
//! reached; a lab's folder is the same inside and outside.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{self, Ran};
use crate::{Lab, NotRun, orphans};

/// Makes the machine, and becomes its process 1. The rest of the arguments are pairs: a file outside, its place inside.
const SETUP: &str = r#"
set -e
b=$1; lab=$2; shift 2
mount -t tmpfs -o mode=755 none "$b"
mkdir "$b/upper" "$b/work" "$b/root"
r=$b/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$b/upper,workdir=$b/work" "$r"
mount -t proc proc "$r/proc"
mount -t sysfs -o ro sysfs "$r/sys"
mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$r/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$r/tmp"
mount -t tmpfs -o mode=755 tmpfs "$r/dev"
for d in null zero full random urandom tty; do : >"$r/dev/$d"; mount --bind "/dev/$d" "$r/dev/$d"; done
mkdir "$r/dev/pts" "$r/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$r/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$r/dev/shm"
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
mkdir -p "$r$lab"
mount --bind "$lab" "$r$lab"
while [ "$#" -ge 2 ]; do : >"$r$2"; mount --bind "$1" "$r$2"; shift 2; done
rm -rf "$r"/etc/systemd/system/*.wants "$r"/etc/systemd/system/*.service
for unit in systemd-udevd systemd-udev-trigger systemd-timesyncd systemd-resolved systemd-networkd systemd-logind; do
  ln -sf /dev/null "$r/etc/systemd/system/$unit.service"
done
ln -sf /lib/systemd/system/basic.target "$r/etc/systemd/system/default.target"
: >"$r/etc/machine-id"
hostname lab
mkdir -p "$r/mnt/outside"
cd "$r"
pivot_root . mnt/outside
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system --log-target=journal
"#;

/// So long it may take until it is up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running one. Dropping it ends it with all that runs in it.
#[derive(Debug)]
pub struct Booted {
    /// What made the namespaces.
    child: Child,
    /// Its process 1, as this machine counts.
    first: u32,
    /// Its processes' group in the hierarchy of this machine.
    group: PathBuf,
}

impl Booted {
    /// Starts one, with these files of this machine at other places inside.
    ///
    /// # Errors
    /// When there can be none here: it takes root, systemd, overlays, and version 2 of control groups.
    pub fn start(lab: &Lab, files: &[(&Path, &str)]) -> Result<Self, NotRun> {
        let failed = |error: std::io::Error| NotRun::new("systemd", error.to_string());
        if !program::is_root() {
            return Err(NotRun::new("systemd", "only root can be a machine"));
        }
        if !Path::new("/lib/systemd/systemd").exists() {
            return Err(NotRun::new("systemd", "it is not installed"));
        }
        let mounts = fs::read_to_string("/proc/mounts").map_err(failed)?;
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let hierarchy =
            mounts.find(|mount| mount.get(2) == Some(&"cgroup2")).and_then(|mount| mount.get(1).copied());
        let hierarchy =
            hierarchy.ok_or_else(|| NotRun::new("systemd", "version 2 of control groups is not mounted"))?;
        let folder = lab.subfolder("booted");
        let name = format!("notafter-lab-{}", lab.path().file_name().unwrap_or_default().to_string_lossy());
        let group = Path::new(hierarchy).join(name);
        fs::create_dir_all(&group).map_err(failed)?;
        let log = fs::File::create(lab.path().join("booted.log")).map_err(failed)?;
        let mut command = Command::new("sh");
        // It goes into its group first: that is then the root of what it sees.
        command
            .args(["-c", "g=$1; shift; echo $$ >\"$g/cgroup.procs\" && exec \"$@\"", "booted"])
            .arg(&group);
        command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup"]);
        command.args(["--propagation", "private", "sh", "-c", SETUP, "booted"]).arg(&folder).arg(lab.path());
        for (outside, inside) in files {
            command.arg(outside).arg(inside);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log).process_group(0);
        let child = command.spawn().map_err(failed)?;
        orphans::adopt_group(child.id());
        let mut machine = Self { child, first: 0, group };
        let begun = Instant::now();
        loop {
            machine.first = machine.process_one();
            if machine.first != 0 {
                let state = machine
                    .run(&["systemctl", "is-system-running"])
                    .map(|ran| ran.text())
                    .unwrap_or_default();
                if ["running", "degraded"].contains(&state.trim()) {
                    return Ok(machine);
                }
            }
            let ended = machine.child.try_wait().map_err(failed)?.is_some();
            if ended || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(lab.path().join("booted.log")).unwrap_or_default();
                return Err(NotRun::new(
                    "systemd",
                    format!("it is not up after {:?}: {said}", begun.elapsed()),
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The process that `unshare` began, once it is systemd.
    fn process_one(&self) -> u32 {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let first = children.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let is_it =
            fs::read_to_string(format!("/proc/{first}/comm")).is_ok_and(|name| name.trim() == "systemd");
        if is_it { first } else { 0 }
    }

    /// Runs a command in it to its end, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be run, or takes longer than a minute.
    pub fn run(&self, words: &[&str]) -> Result<Ran, NotRun> {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.first.to_string(),
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--cgroup",
            "--root",
        ]);
        command.args(["--wd=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "NO_COLOR=1"]);
        program::finish(command.args(words), b"", program::PATIENCE)
    }

    /// A path of it, as this machine sees it.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.first)).join(path.trim_start_matches('/'))
    }

    /// Writes a file of it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let at = self.at(path);
        let made = at.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&at, text));
        made.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// What its journal has of a unit.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "--output=cat", "-u", unit])
            .map(|ran| ran.all())
            .unwrap_or_default()
    }

    /// A property of a unit.
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.run(&["systemctl", "show", "--value", "--property", name, unit]);
        shown.map(|ran| ran.text().trim().to_owned()).unwrap_or_default()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let id = self.child.id();
        // With what made the namespaces goes process 1, and with that everything.
        program::signal("KILL", &[-i64::from(id)]);
        let _ = self.child.wait();
        orphans::forget_group(id);
        let begun = Instant::now();
        while self.group.exists() && begun.elapsed() < Duration::from_secs(5) {
            remove(&self.group);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes a control group and all below it. Its files are not files.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}
