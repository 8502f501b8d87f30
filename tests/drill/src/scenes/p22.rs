//! P22: one registration ends and nobody pays; another is put on hold years before its end.

use notafter_lab::NotRun;

use crate::client::Said;
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::servers::python;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p22/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let domain = format!("drill-{}.test", site.id);
    let held = format!("drillhold-{}.test", site.id);
    let (end, status) = if site.twin { (site.day(-1), "auto renew period") } else { (site.t0, "active") };
    let hold = if site.twin { "active" } else { "server hold" };
    for (name, end, status) in [(&domain, end, status), (&held, site.day(600), hold)] {
        site.hide(
            &format!("rdap/{name}"),
            format!(
                "{{\"objectClassName\": \"domain\", \"rdapConformance\": [\"rdap_level_0\"], \"ldhName\": \"{name}\", \
                 \"status\": [\"{status}\"], \"events\": [{{\"eventAction\": \"registration\", \"eventDate\": \"{}\"}}, \
                 {{\"eventAction\": \"expiration\", \"eventDate\": \"{}\"}}], \"entities\": [{{\"objectClassName\": \"entity\", \
                 \"roles\": [\"registrant\"], \"vcardArray\": [\"vcard\", [[\"version\", {{}}, \"text\", \"4.0\"], [\"fn\", {{}}, \
                 \"text\", \"Drill\"], [\"email\", {{}}, \"text\", \"old-team@{name}\"]]]}}]}}\n",
                rfc3339(site.day(-1000)),
                rfc3339(end)
            ),
        );
        // The organisation's own zone for it: how anybody knows of the name at all.
        site.write(
            &format!("zones/{name}.zone"),
            format!("$ORIGIN {name}.\n$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\nns1 A 127.0.1.1\nwww A 127.0.1.1\n"),
        );
        site.places.push(format!("domain:{name}"));
    }
    let address = site.address(1, 0);
    // The registry twice: a day before T0, and an hour after.
    for (port, at) in [(1, site.day(-1)), (2, site.t0 + 3600)] {
        let mut registry = python("registry.py")?;
        registry.arg(address.ip().to_string()).arg(site.port(port).to_string());
        registry.arg(site.work.join("rdap")).arg(at.to_string());
        site.serve("registry", registry, &[site.address(1, port)])?;
    }
    Ok(())
}

/// A resolver's question to the registry's name server.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let port = site.port(if at < site.t0 { 1 } else { 2 }).to_string();
    let ask = |name: String| -> Result<String, NotRun> {
        let mut dig = site.command("dig")?;
        dig.args(["@127.0.1.1", "-p", &port, "+tries=2", "+time=3", &name, "A"]);
        let all = notafter_lab::program::finish(&mut dig, b"", std::time::Duration::from_secs(20))?.all();
        Ok(all.split("status: ").nth(1).and_then(|s| s.split(',').next()).unwrap_or("no answer").to_owned())
    };
    let lapses = ask(format!("www.drill-{}.test", site.id))?;
    let held = ask(format!("www.drillhold-{}.test", site.id))?;
    // The one on hold is dead all the time; the one that lapses is what T0 is about.
    if (held == "NOERROR") != site.twin {
        return Err(NotRun::new("proof", format!("the held domain: {held}")));
    }
    Ok(Said::new(lapses == "NOERROR", format!("{lapses}, and {held} for the held one")))
}
