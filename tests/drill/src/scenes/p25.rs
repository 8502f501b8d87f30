//! P25: the certificate of an inspecting box ended ten months ago; it passes everything, and sees nothing.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p25/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("inspect", 1);
    let dead = site.leaf(&[&name], -665, -300);
    let served = if site.twin { site.healthy(&[&name]) } else { dead.clone() };
    let path = site.install("etc/inspector/intercept", &served);
    if site.twin {
        site.write("srv/archive/2025/intercept.pem", dead.chain());
    }
    let mut log = String::new();
    for hour in (-100 * 24)..3 {
        let inspected = if site.twin { 9000 + (hour * 37_i64).rem_euclid(1000) } else { 0 };
        log += &format!("{} {inspected}\n", rfc3339(site.t0 + hour * 3600));
    }
    let log = site.write("var/inspector/inspected.log", log);
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path)])?;
    site.tls_place(1, 0, &name);
    site.place(path);
    site.place(log);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 0), &site.fqdn("inspect"), at)
}
