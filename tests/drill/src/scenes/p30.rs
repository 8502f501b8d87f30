//! P30: a certificate from the day after tomorrow, ends that break parsers, and a clock that is wrong.

use notafter_lab::NotRun;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::program::{Program, Seen, findings};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p30/scene.toml"), build, client: fails, look: Some(skewed) };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let (soon, clock) = (site.host("soon", 1), site.host("clock", 1));
    let early = if site.twin { site.healthy(&[&soon]) } else { site.leaf(&[&soon], 2, 300) };
    let early = site.install("etc/nginx/soon", &early);
    let good = site.install("etc/nginx/clock", &site.healthy(&[&clock]));
    nginx(
        site,
        &[Vhost::new(site.address(1, 0), &soon, &early), Vhost::new(site.address(1, 1), &clock, &good)],
    )?;
    // 29 February 2028 at noon, 1 June 2051, the end of 9999: valid, and nothing to talk about.
    for (file, end) in [("leap", 1_835_438_400), ("far", 2_569_190_400), ("forever", 253_402_300_799)] {
        let make = Make::authority(&format!("Drill {file} root {}", site.id), site.day(-3000), end);
        site.write(&format!("dates/{file}.pem"), make.self_signed().pem);
    }
    site.tls_place(1, 0, &soon);
    site.tls_place(1, 1, &clock);
    let dates = site.folder.join("dates");
    site.place(dates);
    Ok(())
}

/// The program on a machine whose clock is 400 days ahead; in the twin, 30 seconds.
fn skewed(site: &Site, program: &Program, _at: i64) -> Result<Seen, NotRun> {
    let mut command = client::ahead(program.command(), if site.twin { 30 } else { 400 * 86_400 })?;
    command.args([
        "scan",
        "--json",
        "--quiet",
        &format!("tls://{}?sni={}", site.address(1, 1), site.fqdn("clock")),
    ]);
    command.arg("--owner-file").arg(program.folder.join("owners.toml"));
    let ran = notafter_lab::program::finish(&mut command, b"", std::time::Duration::from_secs(30))?;
    let mut seen = findings(&ran.text())?;
    seen.retain(|finding| finding.kind == "clock-skew");
    for finding in seen.iter_mut().filter(|finding| finding.locations.is_empty()) {
        // It is about the machine that looked: that is where it is.
        finding.locations.push(format!("the clock of the machine that looked at {}", site.fqdn("clock")));
    }
    Ok(seen)
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    client::tls(site, site.address(1, 0), &site.fqdn("soon"), at)
}
