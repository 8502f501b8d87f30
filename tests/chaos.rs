//! The scenes of `cargo xtask chaos` in their short form: a few points of each, so that none of them goes stale.

use notafter_chaos::{Options, play};
use notafter_lab::{NotRun, need};

/// Plays one scene, and fails with its board if anything was that must not be.
fn quick(scene: &str) {
    let options = Options {
        program: env!("CARGO_BIN_EXE_notafter").into(),
        only: vec![scene.to_owned()],
        ..Options::default()
    };
    let board = play(&options.quickly());
    assert_eq!(board.violations(), 0, "\n{board}");
    if board.not_run() > 0 {
        // Where the lab has to be there, what it lacks is a failure.
        let _ = need::<()>(Err(NotRun::new(scene, board.to_string())));
    }
}

macro_rules! scenes {
    ($($scene:ident),*) => { $(#[test] fn $scene() { quick(stringify!($scene)); })* };
}

scenes!(
    kill, apart, full, order, replicas, copy, clock, matrix, ca, hooks, others, state, dates, dns, names,
    used, secrets, cycles, fleet
);
