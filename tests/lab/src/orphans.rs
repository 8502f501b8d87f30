//! Cleans up behind a test process that died without running its destructors.
//!
//! A test that is killed, or a server kept in a `static`, would leave processes and folders behind. So every test
//! process starts one small shell that holds the other end of a pipe: when the test process is gone, however it
//! ended, the pipe closes, and the shell kills the process groups and removes the folders it was told about.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// What the shell does: keeps two lists until its input ends, then cleans up.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
groups=' '
folders=''
while IFS= read -r line; do
  verb=${line%% *}
  rest=${line#* }
  case $verb in
    group) groups="$groups$rest " ;;
    ended) case $groups in *" $rest "*) groups="${groups%%" $rest "*} ${groups#*" $rest "}" ;; esac ;;
    folder) folders="$folders$rest
" ;;
    removed) ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
printf '%s' "$folders" | while IFS= read -r folder; do
  case $folder in */notafter-lab-*) rm -rf -- "$folder" ;; esac
done
"#;

/// The pipe to the shell of this process; nothing where no shell could be started.
static SHELL: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

/// Sends one line to the shell, which is started by the first one.
fn tell(line: &str) {
    let shell = SHELL.get_or_init(|| {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that Ctrl-C ends the test and not the one who cleans up.
        let mut child = command.process_group(0).spawn().ok()?;
        child.stdin.take().map(Mutex::new)
    });
    if let Some(pipe) = shell
        && let Ok(mut pipe) = pipe.lock()
    {
        let _ = writeln!(pipe, "{line}");
    }
}

/// A process group was started.
pub(crate) fn adopt_group(group: u32) {
    tell(&format!("group {group}"));
}

/// A process group has ended; its number may soon belong to somebody else.
pub(crate) fn forget_group(group: u32) {
    tell(&format!("ended {group}"));
}

/// A temporary folder was made.
pub(crate) fn adopt_folder(folder: &Path) {
    tell(&format!("folder {}", folder.display()));
}

/// A temporary folder was removed; its name holds our process number, so nobody else will use it.
pub(crate) fn forget_folder(folder: &Path) {
    tell(&format!("removed {}", folder.display()));
}
