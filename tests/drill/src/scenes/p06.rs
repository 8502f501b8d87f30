//! P06: four nodes answer for one name, and one of them was forgotten at the last renewal.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p06/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.fqdn("api");
    let fresh = site.healthy(&[&name]);
    let mut hosts = Vec::new();
    for node in 2..=5 {
        site.host("api", node);
        let cert = match (site.twin, node) {
            (true, _) => site.healthy(&[&name]),
            (false, 5) => site.doomed(&[&name]),
            (false, _) => fresh.clone(),
        };
        // Each node has a disk of its own, out of reach.
        site.hide(&format!("n{node}.key"), &cert.key);
        let path = site.hide(&format!("n{node}.pem"), cert.chain());
        hosts.push(Vhost::new(site.address(node, 0), &name, &path));
        site.tls_place(node, 0, &name);
    }
    nginx(site, &hosts)
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(5, 0), &site.fqdn("api"), at)
}
