//! P17: a revocation list and a stapled answer are not replaced any more; every client that asks then fails.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::pki::Cert;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p17/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("vpn", 1);
    let cert = site.healthy(&[&name]);
    let path = site.install("etc/nginx/vpn", &cert);
    let hour = 3600;
    // The twin's publisher works: what lies there is a day old and has most of its time left.
    let (from, until) = if site.twin { (-26 * hour, 46 * hour) } else { (-5 * 24 * hour, 0) };
    let (list, _) = site.ca.crl(site.t0 + from, site.t0 + until);
    let list = site.write("crl/ca.crl", list);
    let staple = staple(site, &cert, if site.twin { (-26 * hour, 72) } else { (-48 * hour, 48) })?;
    let more = format!("    ssl_stapling on;\n    ssl_stapling_file {};\n", staple.display());
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path).more(&more)])?;
    site.tls_place(1, 0, &name);
    site.place(list);
    Ok(())
}

/// An OCSP answer made so many seconds from T0, good for so many hours.
fn staple(site: &Site, cert: &Cert, (when, hours): (i64, i64)) -> Result<std::path::PathBuf, NotRun> {
    let serial = site.run(
        "openssl",
        &["x509", "-noout", "-serial", "-in", &site.hide("leaf.pem", &cert.pem).display().to_string()],
    )?;
    let serial = serial.text().trim().rsplit('=').next().unwrap_or_default().to_owned();
    let end = &notafter_lab::calendar::generalized(site.day(260))[2..];
    site.hide("index", format!("V\t{end}\t\t{serial}\tunknown\t/CN=vpn\n"));
    site.hide("index.attr", "unique_subject = no\n");
    site.hide("ca.pem", &site.ca.pem);
    site.hide("ca.key", &site.ca.key);
    let mut command = client::at_time(site, "openssl", site.t0 + when)?;
    command.args(["ocsp", "-index", "index", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key"]);
    command.args(["-issuer", "ca.pem", "-cert", "leaf.pem", "-no_nonce", "-respout", "staple.der"]);
    command.args(["-nmin", &(hours * 60).to_string()]);
    notafter_lab::program::run(&mut command)?;
    Ok(site.work.join("staple.der"))
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let list = site.folder.join("crl/ca.crl").display().to_string();
    let chain = site.folder.join("etc/nginx/vpn.pem");
    let listed = client::verify(site, &chain, &site.root_file(), at, &["-crl_check", "-CRLfile", &list])?;
    let mut command = client::at_time(site, "openssl", at)?;
    command.args([
        "ocsp",
        "-respin",
        "staple.der",
        "-issuer",
        "ca.pem",
        "-cert",
        "leaf.pem",
        "-VAfile",
        "ca.pem",
        "-no_nonce",
    ]);
    let stapled = notafter_lab::program::finish(&mut command, b"", std::time::Duration::from_secs(20))?;
    let fresh = stapled.all().contains("leaf.pem: good") && !stapled.all().contains("Status times invalid");
    let line = format!("{}; staple {}", listed.line, if fresh { "good" } else { "out of date" });
    // A scene in which only one of them failed would not be what it says.
    if listed.works != fresh {
        return Err(NotRun::new("proof", line));
    }
    Ok(Said::new(listed.works, line))
}
