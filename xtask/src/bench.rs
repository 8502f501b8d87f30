//! `cargo xtask bench`: both sides of every speed claim, interleaved in one run.

pub fn run(_names: &[String]) -> Result<(), String> {
    Err("no benchmark yet".to_owned())
}
