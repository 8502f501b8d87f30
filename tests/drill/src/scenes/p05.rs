//! P05: the new certificate lies in the central store, and no release carries it to the nodes.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p05/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("blob", 1);
    let (old, new) = (site.doomed(&[&name]), site.leaf(&[&name], -95, 260));
    let stored = site.write("store/web.pem", new.chain());
    let deployed = if site.twin { &new } else { &old };
    let staged = site.write("stage/web.pem", deployed.chain());
    site.write("stage/RELEASE.md", "# Release 41\n\nDatabase driver, new logo, refreshed certificates.\n");
    // The nodes' own disks are not within reach.
    site.hide("node.key", &deployed.key);
    let node = site.hide("node.pem", deployed.chain());
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &node)])?;
    site.tls_place(1, 0, &name);
    site.places.extend([stored, staged].map(|path| path.display().to_string()));
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 0), &site.fqdn("blob"), at)
}
