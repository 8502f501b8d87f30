//! Chaos: faults on purpose while real certificates are renewed, and figures of what came of it.
//!
//! The real program, a real CA (pebble), a real nginx, the real clock. A scene breaks something at many points, looks
//! with other programs' eyes (`nginx -t`, `openssl`, the CA's own log) at what is left, lets the program go on without
//! the fault, and counts what must not be: a violation. It knows the program by its command line alone. Run by
//! `cargo xtask chaos`, and in its short form by the ordinary tests.

// It waits for other programs, in real time, and says how far it is.
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

pub mod board;
mod facts;
mod house;
mod proxy;
mod scenes;
mod strace;

use std::path::PathBuf;
use std::time::Instant;

pub use board::{Board, Row};
pub use scenes::SCENES;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program under test.
    pub program: PathBuf,
    /// These scenes alone; none means all.
    pub only: Vec<String>,
    /// Which points are taken, where not all are.
    pub seed: u64,
    /// So many points in each scene that has many.
    pub points: usize,
    /// So many renewals in the scene `cycles`.
    pub cycles: usize,
    /// So many certificates in the scene `fleet`.
    pub fleet: usize,
    /// The short form.
    pub quick: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            only: Vec::new(),
            seed: 1,
            points: 60,
            cycles: 10,
            fleet: 1_000,
            quick: false,
        }
    }
}

impl Options {
    /// The short form of all scenes.
    #[must_use]
    pub fn quickly(self) -> Self {
        Self { quick: true, points: 2, cycles: 1, fleet: 20, ..self }
    }
}

/// One scene.
#[derive(Clone, Copy)]
pub struct Scene {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Plays it. An error means that it could not be played, which is neither good nor bad news of the program.
    pub play: fn(&Options) -> Result<Vec<Row>, String>,
}

/// Plays the scenes that were asked for. One that could not be played to its end counts as a violation.
pub fn play(options: &Options) -> Board {
    let mut board = Board::of(options.seed);
    for scene in SCENES {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == scene.name) {
            continue;
        }
        eprintln!("chaos: {}", scene.name);
        let began = Instant::now();
        let rows = (scene.play)(options).unwrap_or_else(|error| vec![Row::broken(error)]);
        board.took(scene.name, rows, began.elapsed());
    }
    board
}

/// Numbers that look random and are the same for one seed (xorshift64*, Vigna 2016, "An experimental exploration of
/// Marsaglia's xorshift generators, scrambled").
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end.max(1)
    }

    /// So many of these, evenly spread, in their order.
    pub(crate) fn spread<T: Clone>(&mut self, all: &[T], count: usize) -> Vec<T> {
        if all.len() <= count {
            return all.to_vec();
        }
        let step = all.len() as f64 / count as f64;
        let from = self.below(1_000) as f64 / 1_000.0 * step;
        let at = |n: usize| (from + n as f64 * step) as usize;
        (0..count).filter_map(|n| all.get(at(n)).cloned()).collect()
    }
}
