//! INN's reader `nnrpd`, alone: NNTP with STARTTLS. It reads its certificate for each session.
//!
//! Started by root it becomes the account `news`, which must own the key.

use std::process::Command;

use super::{account, configure, folder_of, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts an `nnrpd` without a news spool.
///
/// # Errors
/// When it is not unpacked or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "nnrpd", 1, |folder, ports| {
        let program = program::find_in("inn2", "/usr/lib/news/bin/nnrpd")?;
        let library = program::find_in("inn2-inews", "/usr/lib/news/libinn.so.9")?;
        let mut nnrpd = Command::new(&program);
        // Unpacked beside the system, its own libraries are not where the loader looks.
        let folders = [program.ancestors().nth(2), library.parent()].into_iter().flatten();
        let folders: Vec<_> = folders.map(|folder| folder.display().to_string()).collect();
        nnrpd.env("LD_LIBRARY_PATH", folders.join(":"));
        let owner = account("news")?;
        install("nnrpd", folder, leaf, owner)?;
        for part in ["run", "log", "tmp", "spool", "spool/overview", "spool/articles", "db", "etc"] {
            folder_of(&folder.join(part), 0o755, owner)?;
        }
        configure(folder, "etc/inn.conf", SETTINGS, &[]);
        configure(folder, "etc/readers.conf", READERS, &[]);
        configure(folder, "db/active", "", &[]);
        nnrpd.env("INNCONF", folder.join("etc/inn.conf")).env("LC_ALL", "C");
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
