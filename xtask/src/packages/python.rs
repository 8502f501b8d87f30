//! What the tests need of Python's packages, in an environment of their own below `target/lab/venv`.
//!
//! Nothing is installed into the system's Python. Installs only what is missing.

use super::{run, say, workspace};

/// Each package with its version and why the tests want it.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("aiosmtpd", "1.4.6", "a real mail server with STARTTLS and sign-in, without root"),
    ("schemathesis", "4.32.5", "asks the API everything that its description allows, and more"),
];

/// Makes the environment, if it is not there, and installs what it lacks.
pub fn ensure() -> Result<(), String> {
    let folder = workspace().join("target/lab/venv");
    let python = folder.join("bin/python");
    let has = |name: &str| {
        let import = format!("import {name}");
        run(&python.to_string_lossy(), &["-c", &import], workspace()).is_ok()
    };
    if !python.exists() {
        run("python3", &["-m", "venv", &folder.to_string_lossy()], workspace())
            .map_err(|error| format!("{error}\nhint: apt-get install python3-venv"))?;
    }
    for (name, version, reason) in PACKAGES {
        if !has(name) {
            say(&format!("packages: missing {name}: {reason}"));
            let wanted = format!("{name}=={version}");
            run(&python.to_string_lossy(), &["-m", "pip", "install", "--quiet", &wanted], workspace())?;
        }
    }
    Ok(())
}
