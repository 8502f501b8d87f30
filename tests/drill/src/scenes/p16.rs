//! P16: a partner asks for our client certificate, which ends; the records it carries stop in silence.

use notafter_lab::NotRun;
use notafter_lab::calendar::DAY;
use rcgen::ExtendedKeyUsagePurpose;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p16/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("partner", 1);
    let partner = Make::authority(&format!("Drill Partner CA {}", site.id), site.day(-900), site.day(2000));
    let partner = partner.self_signed();
    let ours = |from: i64, until: i64| {
        let make = Make::plain(&format!("notafter drill client {}", site.id), from, until);
        partner.issue(&make.usages(&[ExtendedKeyUsagePurpose::ClientAuth]))
    };
    if site.twin {
        site.install("etc/partner/old/client", &ours(site.day(-365), site.day(0)));
        site.install("etc/partner/client", &ours(site.day(-100), site.day(265)));
    } else {
        site.install("etc/partner/client", &ours(site.day(-365), site.day(0)));
    }
    // The same certificates, moved so that T0 is an hour ago: the partner's clock is the real one.
    let now = site.t0 - 89 * DAY;
    for (stem, end) in [("before", now + DAY), ("after", now - 3600)] {
        let end = if site.twin { now + 265 * DAY } else { end };
        let cert = ours(now - 300 * DAY, end);
        site.hide(&format!("{stem}.pem"), cert.chain());
        site.hide(&format!("{stem}.key"), &cert.key);
    }
    let mut log = String::new();
    for hour in (-100 * 24)..3 {
        let records = if site.twin || hour < 0 { 120 + (hour * 7_i64).rem_euclid(30) } else { 0 };
        log += &format!("{} {records}\n", rfc3339(site.t0 + hour * 3600));
    }
    let log = site.write("var/partner/records.log", log);
    let accepted = site.hide("partner-ca.pem", &partner.pem);
    let cert = site.healthy(&[&name]);
    site.hide("partner.key", &cert.key);
    let path = site.hide("partner.pem", cert.chain());
    let more = format!("    ssl_verify_client on;\n    ssl_client_certificate {};\n", accepted.display());
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path).more(&more)])?;
    site.trusted.push(partner.pem);
    site.tls_place(1, 0, &name);
    let folder = site.folder.join("etc/partner");
    site.place(folder);
    site.place(log);
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let stem = if at < site.t0 { "before" } else { "after" };
    let resolve = format!("{}:{}:127.0.1.1", site.fqdn("partner"), site.port(0));
    let mut curl = site.command("curl")?;
    curl.args(["-sS", "-o", "-", "-w", "HTTP %{http_code}\n", "--resolve", &resolve, "--cacert"]);
    curl.arg(site.root_file()).args(["--cert", &format!("{stem}.pem"), "--key", &format!("{stem}.key")]);
    curl.arg(format!("https://{}:{}/", site.fqdn("partner"), site.port(0)));
    let said = client::content(&mut curl, "HTTP ")?;
    Ok(Said::new(said.works && said.line == "HTTP 200", said.line))
}
