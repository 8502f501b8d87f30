//! The scenes, in the order in which they are played.

mod apart;
mod ca;
mod clock;
mod copy;
mod cycles;
mod dates;
mod disk;
mod dns;
mod fleet;
mod hooks;
mod kill;
mod matrix;
mod names;
mod others;
mod replicas;
mod secrets;
mod state;
mod used;

use crate::Scene;

/// All of them.
pub const SCENES: &[Scene] = &[
    Scene { name: "kill", doc: "killed at system calls of a renewal, then gone on with", play: kill::play },
    Scene {
        name: "apart",
        doc: "two processes: the one that installs killed at its system calls, then the server while it installs",
        play: apart::play,
    },
    Scene {
        name: "full",
        doc: "a disk that is full at each write, broken, closed, read-only",
        play: disk::full,
    },
    Scene {
        name: "order",
        doc: "what a power failure may lose: the order of syncs and renames",
        play: disk::order,
    },
    Scene {
        name: "replicas",
        doc: "several at once, stopped beyond their hold, restarted in a loop",
        play: replicas::play,
    },
    Scene { name: "copy", doc: "a backup restored on a second host", play: copy::play },
    Scene { name: "clock", doc: "a clock that is sixty days ahead", play: clock::play },
    Scene {
        name: "matrix",
        doc: "nonce refusals x reused authorizations x chain x binding",
        play: matrix::play,
    },
    Scene {
        name: "ca",
        doc: "a CA that answers with errors, pages, halves, limits, wrong certificates, or means harm",
        play: ca::play,
    },
    Scene {
        name: "hooks",
        doc: "commands that hang, flood, fork, or do nothing; another site that is broken",
        play: hooks::play,
    },
    Scene { name: "others", doc: "a locked memory, moved files, a busy port", play: others::play },
    Scene {
        name: "state",
        doc: "what is kept cut short, flipped, locked, newer; few descriptors, little memory",
        play: state::play,
    },
    Scene { name: "dates", doc: "a clock behind, and days at which calendars break", play: dates::play },
    Scene {
        name: "dns",
        doc: "name servers that are behind or silent, records that are left",
        play: dns::play,
    },
    Scene { name: "names", doc: "names that would like to be commands or paths", play: names::play },
    Scene { name: "used", doc: "a certificate done away with while it is in use", play: used::play },
    Scene { name: "secrets", doc: "modes under umask 000, no dumps, canary secrets", play: secrets::play },
    Scene {
        name: "cycles",
        doc: "short-lived certificates renewed over and over under a client",
        play: cycles::play,
    },
    Scene { name: "fleet", doc: "many certificates: planning and renewing them", play: fleet::play },
];
