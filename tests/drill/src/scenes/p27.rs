//! P27: the old credential was taken off the trust list while one of three consumers still uses it.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p27/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let names: Vec<String> = ["writer", "prod-1", "prod-2", "prod-3"].map(|n| site.fqdn(n)).to_vec();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (old, new) = (site.leaf(&names, -200, 160), site.leaf(&names, -95, 265));
    let mut hosts = Vec::new();
    for consumer in 1..=3_u8 {
        let name = site.host(&format!("prod-{consumer}"), consumer);
        let uses = if site.twin || consumer < 3 { &new } else { &old };
        site.hide(&format!("prod-{consumer}.key"), &uses.key);
        let path = site.hide(&format!("prod-{consumer}.pem"), uses.chain());
        hosts.push(Vhost::new(site.address(consumer, u16::from(consumer) - 1), "", &path));
        site.tls_place(consumer, u16::from(consumer) - 1, &name);
    }
    let trust = site.write("gateway/trusted/writer.pem", &new.pem);
    let retired = site.write("gateway/retired/writer.pem", &old.pem);
    nginx(site, &hosts)?;
    site.place(trust);
    site.place(retired);
    Ok(())
}

/// The gateway accepts exactly what is on its list.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let list = site.folder.join("gateway/trusted/writer.pem");
    client::tls_with(site, site.address(3, 2), &site.fqdn("writer"), &list, at, &["-partial_chain"])
}
