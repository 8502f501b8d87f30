//! INN's reader `nnrpd`, alone: NNTP with STARTTLS. It reads its certificate for each session.
//!
//! Runs as root only, and becomes the account `news`, which must own the key.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{account, configure, folder_of, install, only_root};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts an `nnrpd` without a news spool.
///
/// # Errors
/// When it is not unpacked or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "nnrpd", 1, |folder, ports| {
        only_root("nnrpd")?;
        let programs = program::find_in("inn2", "/usr/lib/news/bin")?;
        let library = program::find_in("inn2-inews", "/usr/lib/news/libinn.so.9")?;
        let owner = account("news")?;
        install("nnrpd", folder, leaf, owner)?;
        for part in ["run", "log", "tmp", "spool", "spool/overview", "spool/articles", "db", "etc"] {
            folder_of(&folder.join(part), 0o755, owner)?;
        }
        configure(folder, "etc/inn.conf", SETTINGS, &[("PROGRAMS", programs.display().to_string())]);
        configure(folder, "etc/readers.conf", READERS, &[]);
        configure(folder, "etc/storage.conf", STORAGE, &[]);
        configure(folder, "db/active", "", &[]);

        // Unpacked beside the system, its own libraries are not where the loader looks.
        let libraries = [programs.parent(), library.parent()].into_iter().flatten();
        let libraries: Vec<_> = libraries.map(|folder| folder.display().to_string()).collect();
        let inn = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.env("LD_LIBRARY_PATH", libraries.join(":")).env("LC_ALL", "C");
            command.env("INNCONF", folder.join("etc/inn.conf")).current_dir(folder);
            command
        };
        // Without an overview, even an empty one, it turns every reader away.
        let mut overview = inn("tdx-util");
        if let Some((user, group)) = owner {
            overview.uid(user).gid(group);
        }
        program::run(overview.arg("-i"))?;

        let mut nnrpd = inn("nnrpd");
        nnrpd.args(["-D", "-f", "-b", "127.0.0.1", "-p", &ports[0].number().to_string()]);
        let endpoints = vec![local("nntp", &ports[0], Starttls::Nntp)];
        let mut recipe = Recipe::new(nnrpd, endpoints, Reload::Itself);
        recipe.owner = owner;
        Ok(recipe)
    })
}

/// The settings.
const SETTINGS: &str = "mta: \"/bin/true %s\"
organization: lab
ovmethod: tradindexed
hismethod: hisv6
pathhost: srv.test
pathnews: @DIR@
runasuser: news
runasgroup: news
domain: srv.test
pathbin: @PROGRAMS@
pathdb: @DIR@/db
pathetc: @DIR@/etc
pathlog: @DIR@/log
pathrun: @DIR@/run
pathspool: @DIR@/spool
pathtmp: @DIR@/tmp
tlscafile: @DIR@/tls/root.pem
tlscapath: @DIR@/tls
tlscertfile: @DIR@/tls/fullchain.pem
tlskeyfile: @DIR@/tls/key.pem
";

/// Where articles would be.
const STORAGE: &str = "method tradspool {
  newsgroups: *
  class: 0
}
";

/// Who may read: everybody on this machine.
const READERS: &str = "auth lab {
  hosts: \"127.0.0.1, localhost\"
  default: <localhost>
}
access lab {
  users: <localhost>
  newsgroups: *
}
";
