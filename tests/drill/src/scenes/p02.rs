//! P02: one wildcard certificate on twelve nodes and in three files.
//!
//! Does not make twelve servers: twelve addresses of one nginx look the same from outside.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p02/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = format!("*.svc.{}.drill.test", site.id);
    let shared = site.doomed(&[&name]);
    let mut hosts = Vec::new();
    for node in 1..=12 {
        let cert = if site.twin { site.healthy(&[&name]) } else { shared.clone() };
        let path = site.install(&format!("nodes/n{node}/tls"), &cert);
        hosts.push(Vhost::new(site.address(node, 0), "", &path));
        let name = site.host(&format!("n{node}.svc"), node);
        site.tls_place(node, 0, &name);
    }
    for service in ["a", "b", "c"] {
        let cert = if site.twin { site.healthy(&[&name]) } else { shared.clone() };
        let path = site.write(&format!("svc/{service}/tls.pem"), cert.chain());
        site.places.push(path.display().to_string());
    }
    // Twelve nodes keep their own copies on their own disks: what is on this one is the three services'.
    nginx(site, &hosts)?;
    std::fs::remove_dir_all(site.folder.join("nodes")).map_err(|e| NotRun::new("nodes", e.to_string()))?;
    std::fs::remove_dir_all(site.folder.join("etc")).map_err(|e| NotRun::new("etc", e.to_string()))
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(7, 0), &site.fqdn("n7.svc"), at)
}
