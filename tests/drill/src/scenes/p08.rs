//! P08: an intermediate ends while two leaves below it have months left.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p08/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let issuer = Make::authority(&format!("Drill Short CA {}", site.id), site.day(-3 * 365), site.day(0));
    let issuer = if site.twin { site.ca.clone() } else { site.root.issue(&issuer) };
    let dead =
        Make::authority(&format!("Drill Dead CA {}", site.id), site.day(-4000), site.day(-400)).self_signed();
    let mut hosts = Vec::new();
    for (number, name) in [(0, "smtp"), (1, "imap")] {
        let name = site.host(name, 1);
        let cert = issuer.issue(&Make::server(&[&name], site.day(-290), site.day(75)));
        let extra = if site.twin { dead.pem.as_str() } else { "" };
        site.hide(&format!("n{number}.key"), &cert.key);
        let path = site.hide(&format!("n{number}.pem"), cert.chain() + extra);
        hosts.push(Vhost::new(site.address(1, number), &name, &path));
        site.tls_place(1, number, &name);
    }
    nginx(site, &hosts)
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 1), &site.fqdn("imap"), at)
}
