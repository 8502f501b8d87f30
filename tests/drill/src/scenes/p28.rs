//! P28: ended three weeks ago, and nobody noticed, because nobody checks until the next restart.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx, python};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p28/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("sync", 1);
    let dead = site.leaf(&[&name], -385, -20);
    let served = if site.twin { site.healthy(&[&name]) } else { dead.clone() };
    site.hide("sync.key", &served.key);
    let path = site.hide("sync.pem", served.chain());
    let lines = "    keepalive_timeout 1h;\n";
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path).more(lines)])?;
    if site.twin {
        site.write("srv/old/sync.pem", dead.chain());
    } else {
        // A peer that connected long ago and does not look at dates.
        let mut peer = python("session.py")?;
        peer.arg(site.address(1, 0).ip().to_string()).arg(site.port(0).to_string());
        site.serve("session", peer, &[])?;
        site.write(
            "etc/peer/peer.toml",
            format!(
                "[upstream]\nurl = \"https://{name}:{}\"\ncheck_dates = false\nkeepalive = true\n",
                site.port(0)
            ),
        );
    }
    site.tls_place(1, 0, &name);
    let folder = site.folder.clone();
    site.place(folder);
    Ok(())
}

/// Before the restart a peer that does not look at dates; after it, one that does.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let more: &[&str] = if at < site.t0 { &["-no_check_time"] } else { &[] };
    client::tls_with(site, site.address(1, 0), &site.fqdn("sync"), &site.root_file(), at, more)
}
