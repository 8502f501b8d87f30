//! P03: a mail server whose STARTTLS certificate ends, while the web server beside it is fine.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx, python};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p03/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let (web, mail) = (site.host("www", 2), site.host("mail", 2));
    let good = site.install("etc/nginx/web", &site.healthy(&[&web]));
    nginx(site, &[Vhost::new(site.address(2, 0), &web, &good)])?;
    let mut smtp = python("smtp.py")?;
    let address = site.address(2, 1);
    smtp.arg(address.ip().to_string()).arg(address.port().to_string());
    if !site.twin {
        // The mail server keeps its files elsewhere: only the port shows them.
        smtp.arg(site.hide("mail.pem", site.doomed(&[&mail]).combined()));
    }
    site.serve("smtp", smtp, &[address])?;
    site.tls_place(2, 0, &web);
    site.places.push(format!("smtp://{address}"));
    site.endpoints.push(format!("{mail}:{}", address.port()));
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    if site.twin {
        // Mail in the clear goes on working.
        let mut greet = python("greet.py")?;
        greet.arg(site.address(2, 1).ip().to_string()).arg(site.address(2, 1).port().to_string());
        return client::content(&mut greet, "");
    }
    let name = site.fqdn("mail");
    client::tls_with(site, site.address(2, 1), &name, &site.root_file(), at, &["-starttls", "smtp"])
}
