//! P07: a good certificate for another name on the node; and a forgotten default behind it.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p07/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let web = site.host("web", 6);
    let shop = site.host("shop", 6);
    let wrong = if site.twin {
        site.healthy(&[&format!("*.{}.drill.test", site.id)])
    } else {
        site.healthy(&[&format!("other-{}.example", site.id)])
    };
    let wrong = site.install("etc/nginx/web", &wrong);
    let default =
        site.install("etc/nginx/default", &site.subject(&[&format!("default.{}.drill.test", site.id)]));
    let good = site.install("etc/nginx/shop", &site.healthy(&[&shop]));
    nginx(
        site,
        &[
            Vhost::new(site.address(6, 0), &web, &wrong),
            Vhost::new(site.address(6, 1), "", &default),
            Vhost::new(site.address(6, 1), &shop, &good),
        ],
    )?;
    site.tls_place(6, 0, &web);
    site.tls_place(6, 1, "");
    site.tls_place(6, 1, &shop);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(6, 0), &site.fqdn("web"), at)
}
