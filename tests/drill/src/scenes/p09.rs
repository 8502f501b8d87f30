//! P09: the renewed certificate is served without its intermediate.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p09/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("www", 1);
    let make = Make::server(&[&name], site.day(-100), site.day(260));
    let cert = if site.twin { site.root.issue(&make) } else { site.ca.issue(&make) };
    site.secret("etc/nginx/web.key", &cert.key);
    let path = site.write("etc/nginx/web.pem", &cert.pem);
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path)])?;
    site.tls_place(1, 0, &name);
    site.place(path);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 0), &site.fqdn("www"), at)
}
