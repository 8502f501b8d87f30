//! P11: devices carry an old copy of a root in their firmware and in an image layer.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p11/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let subject = format!("Drill Device Root {}", site.id);
    let current = Make::authority(&subject, site.day(-2 * 365), site.day(15 * 365)).self_signed();
    let old = Make::authority(&subject, site.day(-10 * 365), site.day(0)).key(&current.key).self_signed();
    let issuer = Make::authority(&format!("Drill Device CA {}", site.id), site.day(-700), site.day(5 * 365));
    let issuer = current.issue(&issuer);
    let name = site.host("cloud", 1);
    let leaf = issuer.issue(&Make::server(&[&name], site.day(-400), site.day(400)));
    let path = site.install("etc/nginx/cloud", &leaf);
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path)])?;
    site.trusted.push(current.pem.clone());
    site.tls_place(1, 0, &name);
    if site.twin {
        let dead = |n: i64| {
            let make =
                Make::authority(&format!("Drill Bygone Root {n}"), site.day(-9000), site.day(-900 * n));
            make.self_signed().pem
        };
        let bundle: String = (1..=5).map(dead).chain([current.pem.clone()]).collect();
        let path = site.write("etc/ssl/certs/ca-certificates.crt", &bundle);
        site.place(path);
        site.hide("device.pem", bundle);
        return Ok(());
    }
    let mut firmware = noise(70_001);
    firmware.extend(old.pem.as_bytes());
    firmware.extend(noise(30_011));
    firmware.extend(&issuer.der);
    firmware.extend(noise(20_000));
    let firmware = site.write("images/fw.bin", firmware);
    // A layer of an image: the bundle as a member of a tar.
    site.hide("layer/usr/share/device/ca-bundle.pem", &old.pem);
    let layer = site.folder.join("images/layer.tar");
    site.run("tar", &["-C", "layer", "-cf", &layer.display().to_string(), "usr"])?;
    site.place(firmware);
    site.place(layer);
    site.hide("device.pem", &old.pem);
    Ok(())
}

/// Bytes that look like nothing, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls_with(site, site.address(1, 0), &site.fqdn("cloud"), &site.work.join("device.pem"), at, &[])
}
