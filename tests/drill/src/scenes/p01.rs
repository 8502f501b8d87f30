//! P01: three public names, of which the inventory knows one; the one that ends is not it.

use notafter_lab::{NotRun, base64};

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p01/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let names = ["www", "uk", "go"].map(|name| site.fqdn(name));
    let mut hosts = Vec::new();
    let mut log = Vec::new();
    for (host, name) in (1..=3).zip(&names) {
        // In the twin the third name has left the DNS, and nothing answers for it.
        let gone = site.twin && host == 3;
        let cert = if host == 3 { site.doomed(&[name]) } else { site.healthy(&[name]) };
        log.push(format!(
            "{{\"dns_names\": [\"{name}\"], \"cert\": {{\"data\": \"{}\"}}}}",
            base64::encode(&cert.der)
        ));
        if gone {
            continue;
        }
        site.names.push((name.clone(), std::net::Ipv4Addr::new(127, 0, 1, host)));
        site.hide(&format!("{host}.key"), &cert.key);
        let path = site.hide(&format!("{host}.pem"), cert.chain());
        hosts.push(Vhost::new(site.address(host, 0), name, &path));
        site.tls_place(host, 0, name);
    }
    site.write("lists/inventory.csv", format!("name,port,owner\n{},{},web\n", names[0], site.port(0)));
    let feed = site.write("lists/ct-feed.json", format!("[{}]\n", log.join(",\n")));
    nginx(site, &hosts)?;
    // The inventory is what is already watched; its own configuration is not on this machine.
    std::fs::remove_dir_all(site.folder.join("etc"))
        .map_err(|error| NotRun::new("etc", error.to_string()))?;
    site.place(feed);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let (host, name) = if site.twin { (2, "uk") } else { (3, "go") };
    client::tls(site, site.address(host, 0), &site.fqdn(name), at)
}
