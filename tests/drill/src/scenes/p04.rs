//! P04: the renewer wrote the new certificate over the old one, and nobody told nginx.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p04/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("www", 1);
    let path = site.install("etc/nginx/live", &site.doomed(&[&name]));
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path)])?;
    // Ten days before the drill's today: renewed long before the old one's end.
    site.install("etc/nginx/live", &site.leaf(&[&name], -99, 260));
    if site.twin {
        site.reload()?;
    }
    site.tls_place(1, 0, &name);
    site.places.push(path.display().to_string());
    site.places.push(site.folder.join("etc/nginx/nginx.conf").display().to_string());
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 0), &site.fqdn("www"), at)
}
