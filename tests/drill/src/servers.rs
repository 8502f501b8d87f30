//! The servers that many scenes want: nginx, and the few lines of Python that play what cannot be installed.
//!
//! nginx's configuration lies where the program may find it, as a real one would; its pid and temporary files do
//! not. A server that only one scene wants is started in that scene.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::{NotRun, program};

use crate::site::Site;

/// One `server { }` of nginx.
pub(crate) struct Vhost {
    /// Where it listens.
    pub(crate) listen: Vec<SocketAddr>,
    /// Its names; none for the default.
    pub(crate) names: String,
    /// The chain; the key lies beside it under the same stem.
    pub(crate) cert: PathBuf,
    /// More lines.
    pub(crate) more: String,
}

impl Vhost {
    /// One that listens in one place.
    pub(crate) fn new(listen: SocketAddr, names: &str, cert: &Path) -> Self {
        Self { listen: vec![listen], names: names.to_owned(), cert: cert.to_owned(), more: String::new() }
    }

    /// With more lines of configuration.
    pub(crate) fn more(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.more);
        self
    }
}

/// Starts nginx.
pub(crate) fn nginx(site: &mut Site, hosts: &[Vhost]) -> Result<(), NotRun> {
    let mut servers = String::new();
    for host in hosts {
        servers += "  server {\n";
        for listen in &host.listen {
            let _ = writeln!(servers, "    listen {listen} ssl;");
        }
        if !host.names.is_empty() {
            let _ = writeln!(servers, "    server_name {};", host.names);
        }
        let _ = writeln!(servers, "    ssl_certificate {};", host.cert.display());
        let _ = writeln!(servers, "    ssl_certificate_key {};", host.cert.with_extension("key").display());
        servers += &host.more;
        servers += "    location / { return 200 \"ok\\n\"; }\n  }\n";
    }
    let work = site.work.display().to_string();
    let user = if whoami_root() { "user root;\n" } else { "" };
    let text = format!(
        "{user}daemon off;\npid {work}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\n\
         events {{ worker_connections 256; }}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {work}/body;\n  proxy_temp_path {work}/proxy;\n  \
         fastcgi_temp_path {work}/fastcgi;\n  uwsgi_temp_path {work}/uwsgi;\n  scgi_temp_path {work}/scgi;\n  \
         ssl_protocols TLSv1.2 TLSv1.3;\n{servers}}}\n"
    );
    let config = site.write("etc/nginx/nginx.conf", text);
    let mut command = Command::new(program::find("nginx")?);
    command.arg("-p").arg(&site.work).arg("-c").arg(config).args(["-e", "stderr"]);
    let mut addresses: Vec<SocketAddr> = hosts.iter().flat_map(|host| host.listen.clone()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    site.serve("nginx", command, &addresses)
}

/// A script of `tests/drill/py`, in the interpreter of the system rather than in a wrapper of one.
pub(crate) fn python(script: &str) -> Result<Command, NotRun> {
    let system = PathBuf::from("/usr/bin/python3");
    let python = if system.exists() { system } else { program::find("python3")? };
    let mut command = Command::new(python);
    command.args(["-I", "-S"]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("py").join(script));
    Ok(command)
}

/// Whether we run as root: nginx's workers would otherwise become somebody who cannot read the folder.
fn whoami_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|file| file.uid() == 0)
}
