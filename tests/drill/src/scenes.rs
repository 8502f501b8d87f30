//! The thirty scenes, one file each, and the parts of the organisation's configuration that some of them need.

use crate::scene::Scene;
use crate::site::Site;

mod p01;
mod p02;
mod p03;
mod p04;
mod p05;
mod p06;
mod p07;
mod p08;
mod p09;
mod p10;
mod p11;
mod p12;
mod p13;
mod p14;
mod p15;
mod p16;
mod p17;
mod p18;
mod p19;
mod p20;
mod p21;
mod p22;
mod p23;
mod p24;
mod p25;
mod p26;
mod p27;
mod p28;
mod p29;
mod p30;

/// Every scene, in the order of its pattern.
pub(crate) const SCENES: &[&Scene] = &[
    &p01::SCENE,
    &p02::SCENE,
    &p03::SCENE,
    &p04::SCENE,
    &p05::SCENE,
    &p06::SCENE,
    &p07::SCENE,
    &p08::SCENE,
    &p09::SCENE,
    &p10::SCENE,
    &p11::SCENE,
    &p12::SCENE,
    &p13::SCENE,
    &p14::SCENE,
    &p15::SCENE,
    &p16::SCENE,
    &p17::SCENE,
    &p18::SCENE,
    &p19::SCENE,
    &p20::SCENE,
    &p21::SCENE,
    &p22::SCENE,
    &p23::SCENE,
    &p24::SCENE,
    &p25::SCENE,
    &p26::SCENE,
    &p27::SCENE,
    &p28::SCENE,
    &p29::SCENE,
    &p30::SCENE,
];

/// What the organisation has configured, part by part, so that a part not known yet does not spoil the others.
///
/// Only what no scan could know: where registrations are asked for, and how much should flow.
pub(crate) fn configuration(sites: &[&Site]) -> Vec<(&'static str, String)> {
    let mut parts = Vec::new();
    for site in sites {
        let flow = |name: &str, file: &str| {
            let file = site.folder.join(file);
            let part =
                format!("[[flow]]\nname = \"{name}-{}\"\nfile = {file:?}\nfloor_per_hour = 10\n", site.id);
            ("[[flow]]", part)
        };
        match site.id.get(..3) {
            Some("p16") => parts.push(flow("records to the partner", "var/partner/records.log")),
            Some("p25") => parts.push(flow("inspected connections", "var/inspector/inspected.log")),
            Some("p22") => {
                let (domain, held) =
                    (format!("drill-{}.test", site.id), format!("drillhold-{}.test", site.id));
                let rdap = format!("http://{}/rdap/", site.address(1, 1));
                let part = format!(
                    "[[source]]\nkind = \"domain\"\ndomains = [{domain:?}, {held:?}]\nrdap = {rdap:?}\n"
                );
                parts.push(("[[source]] kind = \"domain\"", part));
            }
            _ => {}
        }
    }
    parts
}
