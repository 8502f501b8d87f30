//! The thirty scenes, one file each, and the parts of the organisation's configuration that some of them need.

use std::path::Path;

use crate::scene::Scene;

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
mod p17;
mod p25;
mod p26;
mod p27;
mod p28;
mod p30;

/// Every scene, in the order of its pattern.
pub(crate) const SCENES: &[&Scene] = &[
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
    &p17::SCENE,
    &p25::SCENE,
    &p26::SCENE,
    &p27::SCENE,
    &p28::SCENE,
    &p30::SCENE,
];

/// What the organisation has configured, part by part, so that a part not known yet does not spoil the others.
pub(crate) fn configuration(_folder: &Path) -> Vec<(&'static str, String)> {
    Vec::new()
}
