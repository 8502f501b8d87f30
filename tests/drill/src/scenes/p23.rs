//! P23: a copy of a signed zone is not refreshed any more, and its signatures end; an anchor file has the old key.

use notafter_lab::NotRun;
use notafter_lab::calendar::{DAY, generalized};

use crate::client::{self, Said};
use crate::scene::Scene;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p23/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let zone = format!("drill-{}.test", site.id);
    let mut old = String::new();
    for (name, flags) in [("old", &["-f", "KSK"][..]), ("ksk", &["-f", "KSK"]), ("zsk", &[])] {
        let words = [&["-q", "-a", "ECDSAP256SHA256", "-K", ".", "-n", "ZONE"], flags, &[&zone]].concat();
        let made = site.run("dnssec-keygen", &words)?.text().trim().to_owned();
        if name == "old" {
            let read = |end: &str| std::fs::read_to_string(site.work.join(format!("{made}.{end}")));
            old = read("key").map_err(|error| NotRun::new("dnssec-keygen", error.to_string()))?;
            // Rolled away long ago: it signs nothing any more.
            for end in ["key", "private"] {
                let _ = std::fs::remove_file(site.work.join(format!("{made}.{end}")));
            }
        } else {
            site.hide(name, made);
        }
    }
    let key = |name: &str| std::fs::read_to_string(site.work.join(name)).unwrap_or_default();
    let public = |name: &str| {
        std::fs::read_to_string(site.work.join(format!("{}.key", key(name)))).unwrap_or_default()
    };
    let plain = format!(
        "$ORIGIN {zone}.\n$TTL 300\n@ SOA ns1 hostmaster 7 3600 600 86400 300\n@ NS ns1\nns1 A 127.0.1.1\nwww A 127.0.1.1\n{}{}",
        public("ksk"),
        public("zsk")
    );
    site.hide("plain.zone", plain);
    let (from, until) =
        if site.twin { (site.t0 - 26 * 3600, site.t0 + 46 * 3600) } else { (site.day(-3), site.t0) };
    let copy = site.folder.join(format!("var/cache/{zone}.signed"));
    site.write("var/cache/README", "Copies of zones, fetched by the resolver.\n");
    let (from, until) = (generalized(from), generalized(until));
    let out = copy.display().to_string();
    let (ksk, zsk) = (key("ksk"), key("zsk"));
    let words = [
        "-q",
        "-P",
        "-o",
        &zone,
        "-s",
        &from[..14],
        "-e",
        &until[..14],
        "-f",
        &out,
        "-k",
        &ksk,
        "plain.zone",
        &zsk,
    ];
    site.run("dnssec-signzone", &words)?;
    // The same, moved so that T0 is tomorrow or an hour ago: the validator's clock is the real one, because the
    // programs of this family do not run with another.
    let now = notafter_lab::calendar::now();
    for (name, t0) in [("before", now + DAY), ("after", now - 3600)] {
        let (from, until) = if site.twin { (now - DAY, now + 2 * DAY) } else { (t0 - 3 * DAY, t0) };
        let (from, until) = (generalized(from), generalized(until));
        let words = [
            "-q",
            "-P",
            "-o",
            &zone,
            "-s",
            &from[..14],
            "-e",
            &until[..14],
            "-f",
            name,
            "-k",
            &ksk,
            "plain.zone",
            &zsk,
        ];
        site.run("dnssec-signzone", &words)?;
    }
    let anchor = if site.twin { public("ksk") } else { old };
    let anchor = site.write("etc/resolver/trusted.key", anchor);
    site.places.push(format!("zone:{zone}@{}", copy.display()));
    site.places.push(format!("dnssec:{zone}"));
    site.place(copy);
    site.place(anchor);
    Ok(())
}

/// A validator of the whole copy, with its clock at the moment.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let zone = format!("drill-{}.test", site.id);
    let mut judge = site.command("dnssec-verify")?;
    judge.args(["-z", "-o", &zone, if at < site.t0 { "before" } else { "after" }]);
    client::content(&mut judge, "signature")
}
