//! P21: certbot has failed for one name, then its timer stopped; the certificate is past the day it should have changed.

use std::os::unix::fs::symlink;

use notafter_lab::{NotRun, program};

use crate::client::{self, Said};
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p21/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("www", 1);
    let (from, until) = if site.twin { (-58, 32) } else { (-90, 0) };
    let cert = site.leaf(&[&name, &site.fqdn("new")], from, until);
    let tree = "etc/letsencrypt";
    for (file, text) in
        [("cert", &cert.pem), ("chain", &cert.above), ("fullchain", &cert.chain()), ("privkey", &cert.key)]
    {
        let archived = format!("{tree}/archive/{name}/{file}1.pem");
        if file == "privkey" {
            site.secret(&archived, text)
        } else {
            site.write(&archived, text)
        };
        let live = site.folder.join(format!("{tree}/live/{name}"));
        std::fs::create_dir_all(&live)
            .and_then(|()| {
                symlink(format!("../../archive/{name}/{file}1.pem"), live.join(format!("{file}.pem")))
            })
            .map_err(|error| NotRun::new("certbot's tree", error.to_string()))?;
    }
    let at = |file: &str| site.folder.join(format!("{tree}/{file}")).display().to_string();
    let renewal = site.write(
        &format!("{tree}/renewal/{name}.conf"),
        format!(
            "version = 4.1.0\narchive_dir = {}\ncert = {}\nprivkey = {}\nchain = {}\nfullchain = {}\n\n[renewalparams]\n\
             account = 0123456789abcdef0123456789abcdef\nauthenticator = webroot\nserver = \
             https://acme.drill.test/directory\nkey_type = ecdsa\n[[webroot_map]]\n{name} = /srv/www\n",
            at(&format!("archive/{name}")),
            at(&format!("live/{name}/cert.pem")),
            at(&format!("live/{name}/privkey.pem")),
            at(&format!("live/{name}/chain.pem")),
            at(&format!("live/{name}/fullchain.pem"))
        ),
    );
    // The scene's renewer failed from the first day it tried, and since the third day it does not run.
    let (first, last) = if site.twin { (-60 * 2, 1) } else { (-30 * 2, -28 * 2) };
    let mut log = String::new();
    for run in first..last {
        let when = rfc3339(site.t0 + run * 12 * 3600).replace('T', " ").replace('Z', ",000");
        log += &format!("{when}:DEBUG:certbot._internal.main:certbot version: 4.1.0\n");
        log += &if site.twin {
            format!("{when}:INFO:certbot._internal.renewal:Certificate not yet due for renewal\n")
        } else {
            format!(
                "{when}:ERROR:certbot._internal.renewal:Failed to renew certificate {name} with error: Some challenges have \
                 failed.\n{when}:DEBUG:acme.client:Domain: new.{0}.drill.test Type: connection\n",
                site.id
            )
        };
    }
    let log = site.write("var/log/letsencrypt/letsencrypt.log", log);
    let stamp = site.write("var/lib/systemd/timers/stamp-certbot.timer", "");
    let ran = site.t0 + (last - 1) * 12 * 3600;
    let mut touch = site.command("touch")?;
    program::run(touch.args(["-d", &format!("@{ran}")]).arg(&stamp).arg(&log))?;
    // nginx reads the key beside the chain, under certbot's names.
    site.hide("www.key", &cert.key);
    let served = site.hide("www.pem", cert.chain());
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &served)])?;
    site.tls_place(1, 0, &name);
    let (tree, var) = (site.folder.join(tree), site.folder.join("var"));
    site.place(tree);
    site.place(var);
    site.place(renewal);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 0), &site.fqdn("www"), at)
}
