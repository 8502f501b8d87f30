//! P29: four hundred things, nearly half of which end on one day, inside the freeze.

use notafter_lab::calendar::DAY;
use notafter_lab::{NotRun, program};

use crate::client::Said;
use crate::pki::Make;
use crate::program::{Program, Seen, findings, rfc3339};
use crate::scene::Scene;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p29/scene.toml"), build, client: fails, look: Some(frozen) };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let mut all = String::new();
    for item in 0..400 {
        let end = match (site.twin, item) {
            (true, n) => site.t0 + 45 * DAY + n * 12 * 3600,
            (false, n @ 0..180) => site.t0 + n * 60,
            (false, n) => site.t0 + 45 * DAY + (n - 180) * 20 * 3600,
        };
        let name = site.fqdn(&format!("item-{item}"));
        let cert = site.ca.issue(&Make::server(&[&name], end - 365 * DAY, end));
        site.write(&format!("items/{item}.pem"), &cert.pem);
        if item < 180 {
            all += &cert.pem;
        }
    }
    site.hide("cliff.pem", all);
    site.hide("issuer.pem", &site.ca.pem);
    let folder = site.folder.join("items");
    site.place(folder);
    Ok(())
}

/// With a year-end freeze around T0, which would move every other scene's deadline.
fn frozen(site: &Site, program: &Program, at: i64) -> Result<Seen, NotRun> {
    // Looks go on side by side: each reads a file that no other one writes.
    let path = site.work.join(format!("freeze-{at}.toml"));
    let freeze = format!(
        "[[freeze]]\nfrom = \"{}\"\nuntil = \"{}\"\nreason = \"year-end freeze\"\n",
        &rfc3339(site.day(-12))[..10],
        &rfc3339(site.day(10))[..10]
    );
    std::fs::write(&path, freeze).map_err(|error| NotRun::new("freeze", error.to_string()))?;
    let mut command = program.command();
    command.args(["scan", "--json", "--quiet", "--at", &rfc3339(at), "--config"]).arg(&path);
    command.arg("--owner-file").arg(program.folder.join("owners.toml")).arg(site.folder.join("items"));
    let ran = program::finish(&mut command, b"", std::time::Duration::from_secs(60))?;
    if ran.status.code() == Some(2) {
        // It knows no freezes: the shared looks are all there is.
        return Ok(Seen::new());
    }
    let mut seen = findings(&ran.text())?;
    seen.retain(|finding| finding.kind == "expires-in-freeze" || finding.kind == "expiry-cliff");
    Ok(seen)
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    // An hour after T0 sixty of them are dead at once, three hours after it all hundred and eighty.
    let mut command = site.command("openssl")?;
    command.args(["verify", "-attime", &(at + 2 * 3600).to_string(), "-CAfile"]).arg(site.root_file());
    command.args(["-no-CApath", "-no-CAstore", "-untrusted", "issuer.pem"]);
    command.args((0..180).map(|n| site.folder.join(format!("items/{n}.pem"))));
    let ran = program::finish(&mut command, b"", std::time::Duration::from_secs(30))?;
    let good = ran.all().lines().filter(|line| line.ends_with(": OK")).count();
    Ok(Said::new(good == 180, format!("{good} of 180 are good")))
}
