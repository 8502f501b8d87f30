//! P26: the renewed certificate lacks a purpose, a name, the kind of key and the issuer of the old one.

use notafter_lab::NotRun;
use rcgen::ExtendedKeyUsagePurpose;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p26/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let (web, api) = (site.host("web", 1), site.host("api", 1));
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let old = Make::server(&[&web, &api], site.day(-300), site.day(60)).usages(&both).key(&site.rsa("old")?);
    let old = site.ca.issue(&old);
    let new = if site.twin {
        let make =
            Make::server(&[&web, &api], site.day(-95), site.day(270)).usages(&both).key(&site.rsa("new")?);
        site.ca.issue(&make)
    } else {
        let other = Make::authority(&format!("Drill Other CA {}", site.id), site.day(-400), site.day(1500));
        site.root.issue(&other).issue(&Make::server(&[&web], site.day(-95), site.day(270)))
    };
    let live = site.install("live/web", &old);
    let next = site.install("next/web", &new);
    nginx(site, &[Vhost::new(site.address(1, 0), &format!("{web} {api}"), &live)])?;
    site.tls_place(1, 0, &web);
    site.place(live);
    site.place(next);
    Ok(())
}

/// At T0 the new one is installed: a client that wants the second name, and a partner that wants a client's purpose.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let chain = site.folder.join(if at < site.t0 { "live/web.pem" } else { "next/web.pem" });
    let named =
        client::verify(site, &chain, &site.root_file(), at, &["-verify_hostname", &site.fqdn("api")])?;
    let fit = client::verify(site, &chain, &site.root_file(), at, &["-purpose", "sslclient"])?;
    Ok(Said::new(named.works && fit.works, format!("{}; {}", named.line, fit.line)))
}
