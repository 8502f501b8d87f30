//! An sshd on loopback that lets root in with one key: the far host of whoever installs over ssh.
//!
//! Its files are this machine's. What a session is to be otherwise (another set of tools, a kill in the middle) is a command
//! that every session is made to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::material::write;
use crate::{Lab, NotRun, Port, Server, program, server};

/// A running sshd, and how to sign in. Dropping it ends it.
#[derive(Debug)]
pub struct Sshd {
    /// The program.
    _server: Server,
    /// Where it listens on 127.0.0.1.
    port: u16,
    /// Where its files are.
    folder: PathBuf,
}

/// Starts one. `force`: every session runs `sh FOLDER/force` in the place of what was asked for, which it finds in
/// `SSH_ORIGINAL_COMMAND`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, force: bool) -> Result<Sshd, NotRun> {
    let failed = |error: std::io::Error| NotRun::new("sshd", error.to_string());
    let sshd = program::find("sshd")?;
    let folder = lab.subfolder("sshd");
    for key in ["host", "identity"] {
        let mut command = Command::new("ssh-keygen");
        program::run(command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(key)))?;
    }
    fs::copy(folder.join("identity.pub"), folder.join("authorized")).map_err(failed)?;
    let port = Port::free();
    let number = port.number();
    let f = folder.display();
    let configuration = format!(
        "ListenAddress 127.0.0.1:{number}\nHostKey {f}/host\nAuthorizedKeysFile {f}/authorized\nPidFile {f}/pid\n\
         StrictModes no\nPermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\n"
    );
    let force = if force { format!("ForceCommand /bin/sh {f}/force\n") } else { String::new() };
    write(&folder.join("config"), configuration + &force);
    let _ = fs::create_dir_all("/run/sshd");
    let mut command = Command::new(sshd);
    command.args(["-D", "-e", "-f"]).arg(folder.join("config"));
    drop(port);
    let server = server::attend("sshd", &folder, command, &[([127, 0, 0, 1], number).into()])?;
    let public = fs::read_to_string(folder.join("host.pub")).map_err(failed)?;
    write(&folder.join("known"), format!("[127.0.0.1]:{number} {public}"));
    Ok(Sshd { _server: server, port: number, folder })
}

impl Sshd {
    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The private key that it lets in.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.folder.join("identity")
    }

    /// A file with its own key, as ssh reads it.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known")
    }

    /// Where its files are, and `force`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
