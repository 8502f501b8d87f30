//! P10: a server still sends the cross-sign, and clients with an old store follow it to a root that ends.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p10/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let (old, new) = (format!("Drill Old Root {}", site.id), format!("Drill New Root {}", site.id));
    let old = Make::authority(&old, site.day(-20 * 365), site.day(0)).self_signed();
    let new_root = Make::authority(&new, site.day(-5 * 365), site.day(10 * 365)).self_signed();
    let cross = old.issue(&Make::authority(&new, site.day(-5 * 365), site.day(0)).key(&new_root.key));
    let name = site.host("api", 1);
    let cert = new_root.issue(&Make::server(&[&name], site.day(-100), site.day(260)));
    let sent = if site.twin { cert.pem.clone() } else { format!("{}{}", cert.pem, cross.pem) };
    site.secret("etc/nginx/api.key", &cert.key);
    let path = site.write("etc/nginx/api.pem", sent);
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path)])?;
    // The stores of the clients there are: the old one is what a device of 2016 has.
    site.trusted.push(new_root.pem.clone());
    site.write("clients/2026/ca-bundle.pem", &new_root.pem);
    if !site.twin {
        site.write("clients/2016/ca-bundle.pem", &old.pem);
    }
    site.tls_place(1, 0, &name);
    site.place(site.folder.join("clients"));
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let store = if site.twin { "clients/2026/ca-bundle.pem" } else { "clients/2016/ca-bundle.pem" };
    client::tls_with(site, site.address(1, 0), &site.fqdn("api"), &site.folder.join(store), at, &[])
}
