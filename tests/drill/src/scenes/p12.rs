//! P12: the root of a cluster ends; what hangs below it is renewed again and again and looks perfect.

use notafter_lab::{NotRun, base64};

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p12/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let subject = format!("kubernetes {}", site.id);
    let old = Make::authority(&subject, site.day(-365), site.day(0)).self_signed();
    let new = Make::authority(&subject, site.day(-20), site.day(3650)).key(&old.key).self_signed();
    let issuer = Make::authority(&format!("mesh issuer {}", site.id), site.day(-60), site.day(294));
    let issuer = old.issue(&issuer);
    let name = site.host("kube", 1);
    let leaf = issuer.issue(&Make::server(&[&name], site.day(-92), site.day(273)));
    let anchors = if site.twin { format!("{}{}", old.pem, new.pem) } else { old.pem.clone() };
    let anchor = site.write("etc/kubernetes/pki/ca.crt", &anchors);
    let served = site.install("etc/kubernetes/pki/apiserver", &leaf);
    let encode = |text: &str| base64::encode(text.as_bytes());
    let kubeconfig = site.secret(
        "etc/kubernetes/admin.conf",
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: drill\n  cluster:\n    server: https://{name}:{}\n    \
             certificate-authority-data: {}\ncontexts: []\nusers: []\n",
            site.port(0),
            encode(&anchors)
        ),
    );
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &served)])?;
    site.trusted.push(if site.twin { new.pem } else { old.pem });
    site.tls_place(1, 0, &name);
    site.place(anchor);
    site.place(kubeconfig);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let anchors = site.folder.join("etc/kubernetes/pki/ca.crt");
    client::tls_with(site, site.address(1, 0), &site.fqdn("kube"), &anchors, at, &[])
}
